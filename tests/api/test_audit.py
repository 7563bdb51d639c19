"""GET /sim/v1/audit: each change with who, when, from where, by which request, and what."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulator.audit_trail import KEPT, Requester
from simulator.config_base import User
from tests.api.support import USER, Client, FakeCallServer, basic, run, serving

AUDIT = "/sim/v1/audit"
PATTERNS = "/oamp/rest/dialedNumberPattern"
GROUPS = "/oamp/rest/sipserver"
WEBHOOKS = "/sim/v1/webhooks"
SALES = {"pattern": "4XXX", "callType": "preroute", "applicationName": "sales"}
CUCM = {"groupName": "cucm.lab", "servers": [{"ipAddress": "10.0.0.1"}]}
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


async def entries(client: Client, query: str = "") -> list[dict[str, Any]]:
    reply = await client("get", f"{AUDIT}{query}")
    assert reply.status == 200, reply.text
    found: list[dict[str, Any]] = reply.json["entries"]
    return found


@run
async def test_an_entry_says_all() -> None:
    async with serving(FakeCallServer()) as client:
        body = {**SALES, "pattern": "6>"}
        headers = {"X-Request-Id": "change-6"}
        await client("put", f"{PATTERNS}/6%3E", json=body, headers=headers)
        (entry,) = await entries(client)
    age = datetime.now(UTC) - datetime.fromisoformat(entry.pop("timestamp"))
    assert timedelta(0) <= age < timedelta(minutes=5)
    before, after = entry.pop("before"), entry.pop("after")
    assert entry == {
        "user": USER.name,
        "address": "127.0.0.1",
        "requestId": "change-6",
        "action": "replace",
        "what": "dialedNumberPattern",
        "id": "6>",
    }
    assert (before["label"], after["script"]) == ("1001", "sales")


@run
async def test_each_kind_of_change_is_recorded_once_and_nothing_else() -> None:
    async with serving(FakeCallServer()) as client:
        key = {"Idempotency-Key": "one"}
        pattern = (await client("post", PATTERNS, json=SALES)).json["patternId"]
        await client("delete", f"{PATTERNS}/{pattern}")
        await client("post", GROUPS, json=CUCM)
        await client("put", f"{GROUPS}/cucm.lab", json={**CUCM, "description": "new"})
        await client("delete", f"{GROUPS}/cucm.lab")
        body = {"url": "http://127.0.0.1:9/hidden/path?token=hidden", "secret": SECRET}
        hooks = [await client("post", WEBHOOKS, json=body, headers=key) for _ in range(2)]
        hook = hooks[0].json["webhookId"]
        await client("post", f"{WEBHOOKS}/{hook}/dead-letters/redeliver")
        await client("delete", f"{WEBHOOKS}/{hook}")
        await client("post", "/sim/v1/faults", json={"set": "lossy"})
        await client("patch", "/sim/v1/faults/lossy", json={"enabled": False})
        await client("delete", "/sim/v1/faults")
        await client("put", "/sim/v1/log", json={"levels": {"sip": "error"}})
        await client("post", "/sim/v1/reset")
        # None of these changes anything.
        await client("get", PATTERNS)
        (await client("post", PATTERNS, json={})).error(400)
        (await client("delete", f"{PATTERNS}/none")).error(404)
        (await client("delete", f"{WEBHOOKS}/none")).error(404)
        (await client("put", "/sim/v1/log", json={"levels": {"nobody": "error"}})).error(400)
        assert (await client("put", "/sim/v1/log", json={"levels": {}})).status == 200
        reply = await client("get", AUDIT)
        found = reply.json["entries"]
    assert [(one["action"], one["what"], one["id"]) for one in found] == [
        ("create", "dialedNumberPattern", pattern),
        ("delete", "dialedNumberPattern", pattern),
        ("create", "sipserver", "cucm.lab"),
        ("replace", "sipserver", "cucm.lab"),
        ("delete", "sipserver", "cucm.lab"),
        ("create", "webhook", hook),
        ("redeliver", "webhook", hook),
        ("delete", "webhook", hook),
        ("create", "fault", "lossy"),
        ("replace", "fault", "lossy"),
        ("delete", "fault", "lossy"),
        ("replace", "log", "levels"),
        ("reset", "server", ""),
    ]
    webhook = {"url": "http://127.0.0.1:9", "eventTypes": []}
    assert (found[5]["after"], found[7]["before"]) == (webhook, webhook)
    assert found[11]["after"] == {"sip": "error"}
    assert found[12]["after"] == {"terminatedCalls": 2}
    for secret in ("hidden", SECRET, USER.password):
        assert secret not in reply.text


@run
async def test_the_last_ones_are_listed_the_oldest_first() -> None:
    fake = FakeCallServer()
    trail = fake.administration.trail
    for number in range(KEPT + 5):
        await trail.record(Requester("ada"), "create", "thing", str(number))
    async with serving(fake) as client:
        reply = await client("get", AUDIT)
        three = await entries(client, "?limit=3")
        for limit in ("0", str(KEPT + 1), "x"):
            (await client("get", f"{AUDIT}?limit={limit}")).error(400)
    assert reply.json["totalEntries"] == KEPT
    assert [one["id"] for one in reply.json["entries"]] == [
        str(number) for number in range(KEPT - 95, KEPT + 5)
    ]
    assert [one["id"] for one in three] == ["1002", "1003", "1004"]
    assert "before" not in three[0]


@pytest.mark.parametrize(("role", "status"), [("read", 403), ("control", 403), ("admin", 200)])
@run
async def test_it_is_for_admins(role: Any, status: int) -> None:
    user = User("somebody", "x", role)
    async with serving(FakeCallServer(), users=(user,)) as client:
        assert (await client("get", AUDIT, headers=basic(user))).status == status
