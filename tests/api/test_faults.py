"""Fault rules over REST."""

from typing import Any

import pytest

from simulator.config_base import User
from tests.api.support import FakeCallServer, basic, run, serving

FAULTS = "/sim/v1/faults"
RULE = {"method": "INVITE", "direction": "in", "answer": {"status": 503}}


@run
async def test_a_rule_comes_and_goes() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        made = await client("POST", FAULTS, json={**RULE, "name": "busy", "number": "7>"})
        listed = await client("GET", FAULTS)
        one = await client("GET", f"{FAULTS}/busy")
        off = await client("PATCH", f"{FAULTS}/busy", json={"enabled": False})
        gone = await client("DELETE", f"{FAULTS}/busy")
        after = await client("GET", FAULTS)
        missing = await client("GET", f"{FAULTS}/busy")
    wanted = {
        "name": "busy",
        "enabled": True,
        "direction": "in",
        "method": "INVITE",
        "number": "7>",
        "probability": 1.0,
        "seed": 0,
        "answer": {"status": 503, "reason": "", "headers": {}},
        "matched": 0,
        "fired": 0,
        "origin": "rest",
    }
    assert (made.status, made.json) == (201, wanted)
    assert listed.json == {"faults": [wanted]}
    assert one.json == wanted
    assert off.json == wanted | {"enabled": False}
    assert (gone.status, gone.text) == (204, "")
    assert after.json == {"faults": []}
    assert "no fault has the name 'busy'; GET /sim/v1/faults" in missing.error(
        404, "FAULT_NOT_FOUND"
    )
    trail = [(one.action, one.what, one.id) for one in fake.administration.trail.entries]
    assert trail == [
        ("create", "fault", "busy"),
        ("replace", "fault", "busy"),
        ("delete", "fault", "busy"),
    ]


@run
async def test_the_audit_trail_tells_what_was_in_force() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        await client("POST", FAULTS, json={**RULE, "name": "busy"})
        await client("DELETE", f"{FAULTS}/busy")
    deleted = fake.administration.trail.entries[-1]
    assert (deleted.action, deleted.after) == ("delete", None)
    assert deleted.before is not None
    assert deleted.before["enabled"] is True


@run
async def test_a_ready_made_rule() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        sets = await client("GET", "/sim/v1/fault-sets")
        for one in sets.json["sets"]:
            made = await client("POST", FAULTS, json={"set": one["set"], "peer": "10.0.0.0/8"})
            assert made.status == 201, made.text
            assert made.json.items() >= {"name": one["set"], "peer": "10.0.0.0/8"}.items()
        twice = await client("POST", FAULTS, json={"set": "late-200"})
        named = {"set": "late-200", "name": "later", "delay": {"seconds": 9}}
        other = await client("POST", FAULTS, json=named)
        gone = await client("DELETE", FAULTS)
    assert "late-200" in [one["set"] for one in sets.json["sets"]]
    assert "'late-200' is there already; give another name" in twice.error(409, "FAULT_CONFLICT")
    assert other.json["delay"] == {"seconds": 9.0, "jitter": 0.0}
    assert other.json["status"] == "200"
    assert len(gone.json["faults"]) == len(sets.json["sets"]) + 1
    assert {one["enabled"] for one in gone.json["faults"]} == {True}  # as they were
    assert [
        one.before["enabled"]
        for one in fake.administration.trail.entries
        if one.action == "delete" and one.before is not None
    ] == [True] * len(gone.json["faults"])
    assert fake.faults.rules == {}


@run
async def test_reset_clears_them() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        await client("POST", FAULTS, json=RULE)
        assert fake.administration.server.stack.faults is fake.faults
        await client("POST", "/sim/v1/reset")
    assert fake.faults.rules == {}
    assert fake.administration.server.stack.faults is None


@run
async def test_metrics_have_a_counter_for_each() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        await client("POST", FAULTS, json={**RULE, "name": "busy"})
        fake.faults.find("busy").fired = 3
        reply = await client("GET", "/metrics", login=False)
        await client("DELETE", f"{FAULTS}/busy")
        after = await client("GET", "/metrics", login=False)
    assert 'callsim_faults_fired_total{fault="busy"} 3.0' in reply.text
    assert "callsim_faults_fired_total{" not in after.text


@run
async def test_who_may_set_them() -> None:
    reader = User("reader", "r", "read")
    steering = User("steering", "s", "control")
    fake = FakeCallServer()
    async with serving(fake, users=(reader, steering)) as client:

        async def ask(method: str, path: str, user: User, body: Any = None) -> int:
            reply = await client(method, path, login=False, headers=basic(user), json=body)
            return reply.status

        assert await ask("GET", FAULTS, reader) == 200
        assert await ask("POST", FAULTS, steering, RULE) == 403
        assert await ask("DELETE", FAULTS, steering) == 403
        assert (await client("POST", FAULTS, login=False, json=RULE)).status == 401
        assert (await client("GET", FAULTS, login=False)).status == 401


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "does nothing; give one of drop, delay, duplicate"),
        ({"drop": True, "close": True}, "has drop and close; give one of"),
        ({"drop": False}, "drop must be true"),
        ({"drop": True, "method": "invite"}, "method 'invite' is not a method such as INVITE"),
        ({"drop": True, "status": "9xx"}, "status '9xx' is not a SIP code such as 503"),
        ({"drop": True, "status": None}, "status is null; leave it out"),
        ({"drop": True, "direction": "up"}, "direction must be 'in' or 'out'"),
        ({"drop": True, "peer": "gw1"}, "peer 'gw1' is not an IP address"),
        ({"drop": True, "peer": "10.0.0.1/8"}, "a network is written 10.0.0.0/8"),
        ({"drop": True, "number": "1>2"}, "stand for the rest of the number"),
        ({"drop": True, "nth": 0}, "nth must be at least 1"),
        ({"drop": True, "nth": 1, "every": 2}, "has nth and every; give one of them"),
        ({"drop": True, "probability": 0}, "probability"),
        ({"drop": True, "count": "3"}, "count must be a whole number"),
        ({"drop": True, "name": "a b"}, "name 'a b' is not a name"),
        ({"drop": True, "colour": 1}, "colour is not known; known in the body: "),
        ({"set": "late-100"}, "set must be 'all-503', 'late-200'"),
        ({"delay": {}}, "delay.seconds is missing"),
        ({"delay": {"seconds": "5"}}, "delay.seconds"),
        ({"delay": {"seconds": 5, "max": 2}}, "delay.max is not known; known in delay: seconds"),
        ({"answer": {"status": 183}}, "answer.status must be at least 200"),
        ({"answer": {"status": 503}, "direction": "out"}, "only incoming requests can be answered"),
        ({"answer": {"status": 503}, "status": "200"}, "only incoming requests can be answered"),
        ({"answer": {"status": 503}, "method": "ACK"}, "an ACK has no answer"),
        ({"answer": {"status": 503, "headers": {"Via": "x"}}}, "'Via' is copied from the request"),
        ({"answer": {"status": 503, "headers": {"A": "x\r\nB: y"}}}, "control character"),
        ({"answer": {"status": 503, "reason": "x\ny"}}, "control character"),
        ({"corrupt": "via"}, "corrupt must be 'from-tag', 'to-tag'"),
        ({"silence": "all"}, "silence must be 'dialog' or 'peer'"),
        ({"sdp": {}}, "changes nothing; give remove, replace, direction or port"),
        ({"sdp": {"port": 70000}}, "sdp.port must be at most 65535"),
        ({"sdp": {"remove": "PCMU 0"}}, "'PCMU 0' is not a codec such as PCMU"),
    ],
    ids=str,
)
@run
async def test_what_is_wrong_with_a_rule(body: dict[str, Any], told: str) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        reply = await client("POST", FAULTS, json=body)
    assert told in reply.error(400, "INVALID_REQUEST")
    assert fake.faults.rules == {}
