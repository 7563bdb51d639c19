"""The Administration API: dialed-number patterns and server groups, changed while calls run."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from api.plan_models import _UNSEEN
from simulator.config_plan import StaticRoute
from simulator.plan_changes import PlanChanges
from simulator.routing import DialPlan
from tests.api.support import USER, Client, FakeCallServer, run, serving

PATTERNS = "/oamp/rest/dialedNumberPattern"
GROUPS = "/oamp/rest/sipserver"

SALES: dict[str, Any] = {"pattern": "4XXX", "callType": "preroute", "applicationName": "sales"}
CUCM: dict[str, Any] = {
    "groupName": "cucm.lab",
    "servers": [{"hostname": "pub", "ipAddress": "10.0.0.1"}, {"ipAddress": "10.0.0.2"}],
}


def plan(fake: FakeCallServer) -> DialPlan:
    """What calls follow now."""
    return fake.administration.server.plan


async def created(client: Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = await client("POST", path, json=body)
    assert reply.status == 201, reply.text
    found: dict[str, Any] = reply.json
    return found


@run
async def test_the_patterns_of_the_file_are_listed_under_their_own_text() -> None:
    async with serving(FakeCallServer()) as client:
        patterns = (await client("GET", PATTERNS)).json
        assert [one["patternId"] for one in patterns] == (
            "5> 6> 7> 93XX 94XX 95XX 96XX 8XX >".split()
        )
        seven = (await client("GET", f"{PATTERNS}/7%3E")).json
        assert seven == patterns[2]
        assert seven == {
            "patternId": "7>",
            "pattern": "7>",
            "description": "self-service, queue, agent",
            "callType": "preroute",
            "applicationName": "support",
            "enabled": True,
            "priority": 1,
        }


@run
async def test_a_new_pattern_is_in_force_for_the_next_call() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        new = await created(client, PATTERNS, SALES)
        assert new["patternId"].startswith("dn-")
        assert (await client("GET", f"{PATTERNS}/{new['patternId']}")).json == new
        route = plan(fake).route_call("4711")
        assert (route.pattern, route.script, route.application) == ("4XXX", "sales", "sales")
        (step,) = fake.administration.server.config.icm.scripts["sales"]
        assert step.self_service is not None
        assert step.self_service.application == "sales"


@run
async def test_a_pattern_may_name_a_script_that_is_there() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        await created(client, PATTERNS, {**SALES, "applicationName": "support"})
        route = plan(fake).route_call("4711")
        assert (route.script, len(fake.administration.server.config.icm.scripts["support"])) == (
            "support",
            2,
        )


@run
async def test_a_pattern_may_lead_to_a_server_group() -> None:
    fake = FakeCallServer()
    body = {"pattern": "4XXX", "callType": "post_route", "sipServerGroup": "cucm.lab"}
    async with serving(fake) as client:
        details = (await client("POST", PATTERNS, json=body)).error(409, "PLAN_CONFLICT")
        assert details == (
            "pattern '4XXX' leads to the server group 'cucm.lab', which is not there; "
            "add it first, or change the pattern"
        )
        await created(client, GROUPS, CUCM)
        await created(client, PATTERNS, body)
        assert plan(fake).route_call("4711").destination == "sip:4711@cucm.lab"
        details = (await client("DELETE", f"{GROUPS}/cucm.lab")).error(409, "PLAN_CONFLICT")
        assert details == (
            "pattern '4XXX' leads to the server group 'cucm.lab': change that first, then delete it"
        )


@run
async def test_a_group_that_a_route_leads_to_stays() -> None:
    fake = FakeCallServer()
    base = fake.administration.base
    route = StaticRoute.model_validate("2XXX=sip:CUCM.lab")
    fake.administration.base = base.model_copy(update={"routes": (*base.routes, route)})
    async with serving(fake) as client:
        await created(client, GROUPS, CUCM)
        details = (await client("DELETE", f"{GROUPS}/cucm.lab")).error(409, "PLAN_CONFLICT")
        assert details.startswith("route '2XXX' leads to the server group 'cucm.lab'")


@run
async def test_a_pattern_is_replaced_and_keeps_what_is_not_shown() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        body = {"pattern": "6>", "callType": "preroute", "applicationName": "agent"}
        reply = await client("PUT", f"{PATTERNS}/6%3E", json={**body, "description": "new"})
        assert (reply.status, reply.json["description"]) == (200, "new")
        assert plan(fake).route_call("6000").label == "1001"
        await client("PUT", f"{PATTERNS}/6%3E", json={**body, "enabled": False})
        assert plan(fake).route_call("6000").pattern == ">"
        body["applicationName"] = "other"
        await client("PUT", f"{PATTERNS}/6%3E", json={**body, "pattern": "61>"})
        assert plan(fake).route_call("6100").script == "other"
        assert [one["pattern"] for one in (await client("GET", PATTERNS)).json][1] == "61>"


@run
async def test_nothing_is_kept_of_what_came_and_went() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        new = await created(client, PATTERNS, SALES)
        await created(client, GROUPS, CUCM)
        assert (await client("DELETE", f"{PATTERNS}/{new['patternId']}")).status == 204
        assert (await client("DELETE", f"{GROUPS}/cucm.lab")).status == 204
    assert len(fake.administration.changes) == 0


@run
async def test_a_pattern_is_deleted() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        reply = await client("DELETE", f"{PATTERNS}/6%3E")
        assert (reply.status, reply.text) == (204, "")
        assert plan(fake).route_call("6000").pattern == ">"
        for method in ("GET", "DELETE"):
            details = (await client(method, f"{PATTERNS}/6%3E")).error(404, "PLAN_ENTRY_NOT_FOUND")
            assert details.startswith("no dialed number pattern has the id '6>'; GET /oamp/rest/")
        (await client("PUT", f"{PATTERNS}/6%3E", json=SALES)).error(404)


@pytest.mark.parametrize(
    ("change", "status", "details"),
    [
        ({"pattern": "9[34]"}, 400, "pattern '9[34]' has '['"),
        ({"pattern": "1" * 25}, 400, "has 25 characters; at most 24"),
        ({"pattern": ""}, 400, "pattern"),
        ({"pattern": "6!"}, 409, "matches the same numbers as '6>'"),
        ({"pattern": "1*2"}, 409, "has '>', '*' or '!' before its end"),
        ({"callType": "other"}, 400, "callType"),
        ({"applicationName": ""}, 400, "applicationName"),
        ({"applicationName": "a\r\nb"}, 400, "has the character '\\r' at place 2; remove it"),
        ({"sipServerGroup": "10.0.0.1"}, 400, "'10.0.0.1' cannot be the host of a SIP URI"),
        ({"priority": 0}, 400, "priority"),
        ({"enabled": "yes"}, 400, "enabled"),
        ({"colour": "red"}, 400, "colour is not known"),
    ],
)
def test_a_pattern_that_cannot_be_is_refused(
    change: dict[str, Any], status: int, details: str
) -> None:
    @run
    async def attempt() -> None:
        fake = FakeCallServer()
        before = plan(fake)
        async with serving(fake) as client:
            reply = await client("POST", PATTERNS, json={**SALES, **change})
            assert details in reply.error(status)
            assert plan(fake) is before

    attempt()


@run
async def test_a_pattern_must_lead_somewhere() -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("POST", PATTERNS, json={"pattern": "4", "callType": "preroute"})
        assert "needs applicationName, or sipServerGroup, or both" in reply.error(400)


def test_what_can_be_written_can_be_seen() -> None:
    """A header or a log line shows it: no control, format or private character."""
    found = [chr(code) for code in range(0x11000) if not _UNSEEN.search(chr(code))]
    assert [char for char in found if not char.isprintable()] == []
    assert {*"aZ09 é-ß漢", "П"} <= set(found)


@run
async def test_groups_show_their_state() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        new = await created(client, GROUPS, CUCM)
        assert (new["groupId"], new["loadBalancing"], new["status"]) == (
            "cucm.lab",
            "round_robin",
            "up",
        )
        groups = fake.administration.server.server_groups
        group = groups.groups["cucm.lab"]
        group.mark(group.elements[0], "down", "no answer to OPTIONS in 0.5 s", 0.0)
        (shown,) = (await client("GET", GROUPS)).json
        assert shown["status"] == "partial"
        first, second = shown["servers"]
        assert first["hostname"] == "pub"
        assert (first["status"], first["reason"]) == ("down", "no answer to OPTIONS in 0.5 s")
        assert (second["hostname"], second["ipAddress"], second["port"]) == (
            "10.0.0.2",
            "10.0.0.2",
            5060,
        )
        assert (second["priority"], second["weight"]) == (1, 100)


@run
async def test_a_group_is_replaced_and_who_stays_keeps_its_state() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        await created(client, GROUPS, CUCM)
        groups = fake.administration.server.server_groups
        group = groups.groups["cucm.lab"]
        group.mark(group.elements[1], "overloaded", "503 to OPTIONS", 0.0)
        body = {**CUCM, "servers": [{"ipAddress": "10.0.0.2", "weight": 7}], "description": "new"}
        reply = await client("PUT", f"{GROUPS}/cucm.lab", json=body)
        assert (reply.status, reply.json["description"]) == (200, "new")
        (server,) = reply.json["servers"]
        assert (server["status"], server["weight"]) == ("overloaded", 7)
        other = await client("PUT", f"{GROUPS}/cucm.lab", json={**body, "groupName": "x.lab"})
        assert 'groupName: "x.lab" is another name' in other.error(409)
        assert (await client("DELETE", f"{GROUPS}/cucm.lab")).status == 204
        assert (await client("GET", GROUPS)).json == []
        (await client("GET", f"{GROUPS}/cucm.lab")).error(404)


@pytest.mark.parametrize(
    ("change", "status", "details"),
    [
        ({"groupName": "a b"}, 400, "groupName 'a b' cannot be the host of a SIP URI"),
        ({"servers": []}, 400, "servers"),
        ({"servers": [{}]}, 400, "servers.0.ipAddress is missing"),
        (
            {"servers": [{"ipAddress": "300.1.1.1"}]},
            400,
            "servers.0.ipAddress must be an IP address, or a host name",
        ),
        (
            {"servers": [{"ipAddress": "fe80::1%eth0"}]},
            400,
            "servers.0.ipAddress 'fe80::1%eth0' has a zone (what follows %), which means nothing",
        ),
        ({"servers": [{"ipAddress": "10.0.0.1"}] * 2}, 409, "10.0.0.1 port 5060 is there twice"),
        ({"servers": [{"ipAddress": "10.0.0.1", "port": 0}]}, 400, "port"),
        ({"loadBalancing": "any"}, 400, "loadBalancing"),
    ],
)
def test_a_group_that_cannot_be_is_refused(
    change: dict[str, Any], status: int, details: str
) -> None:
    @run
    async def attempt() -> None:
        async with serving(FakeCallServer()) as client:
            reply = await client("POST", GROUPS, json={**CUCM, **change})
            assert details in reply.error(status)

    attempt()


@run
async def test_a_group_cannot_be_there_twice() -> None:
    async with serving(FakeCallServer()) as client:
        await created(client, GROUPS, CUCM)
        (await client("POST", GROUPS, json=CUCM)).error(409, "PLAN_CONFLICT")


@run
async def test_nobody_changes_anything_without_a_password() -> None:
    async with serving(FakeCallServer()) as client:
        for method, path in (("GET", PATTERNS), ("POST", PATTERNS), ("DELETE", f"{GROUPS}/a")):
            reply = await client(method, path, login=False, json={})
            reply.error(401)


def test_every_change_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    @run
    async def change() -> None:
        async with serving(FakeCallServer()) as client:
            await client("PUT", f"{PATTERNS}/6%3E", json={**SALES, "pattern": "6>"})
            await client("DELETE", f"{PATTERNS}/6%3E")

    change()
    lines = [r for r in caplog.records if r.name == "simulator.changes"]
    assert all(record.levelno == logging.INFO for record in lines)
    replaced, deleted = (json.loads(record.getMessage()) for record in lines)
    assert (replaced["user"], replaced["action"]) == (USER.name, "replace")
    assert (replaced["what"], replaced["id"]) == ("dialedNumberPattern", "6>")
    assert replaced["before"]["label"] == "1001"
    assert replaced["after"]["script"] == "sales"
    assert (deleted["action"], deleted["before"], deleted["after"]) == (
        "delete",
        replaced["after"],
        None,
    )


@run
async def test_many_changes_at_once_are_all_made() -> None:
    import asyncio

    fake = FakeCallServer()
    async with serving(fake) as client:
        bodies = [{**SALES, "pattern": f"4{number:03}"} for number in range(50)]
        await asyncio.gather(*[created(client, PATTERNS, body) for body in bodies])
        numbers = [f"4{number:03}" for number in range(50)]
        assert [plan(fake).route_call(number).pattern for number in numbers] == numbers


def test_changes_are_on_disk_before_they_are_answered(tmp_path: Path) -> None:
    path = tmp_path / "data" / "plan-changes.json"

    @run
    async def change() -> None:
        fake = FakeCallServer()
        fake.administration._path = path
        async with serving(fake) as client:
            await created(client, GROUPS, CUCM)
            await created(client, PATTERNS, {**SALES, "sipServerGroup": "cucm.lab"})
            await client("DELETE", f"{PATTERNS}/6%3E")
            kept = PlanChanges.load(path)
            assert kept == fake.administration.changes
            assert kept.numbers["6>"] is None

    change()
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_what_cannot_be_kept_is_not_done(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")

    @run
    async def change() -> None:
        fake = FakeCallServer()
        fake.administration._path = tmp_path / "data" / "plan-changes.json"
        before = plan(fake)
        async with serving(fake) as client:
            reply = await client("POST", PATTERNS, json=SALES)
            assert "nothing was changed" in reply.error(500, "PLAN_NOT_STORED")
            assert plan(fake) is before

    change()
