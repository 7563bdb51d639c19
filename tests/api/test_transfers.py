"""The operations under /sim/v1/calls: steps of transfers, consultation, hold."""

import pytest

from api.app import GROUPS
from api.openapi import document
from tests.api.support import GUID, RINGING_GUID, FakeCallServer, call_view, run, serving

SIM = "/sim/v1/calls"
COMMANDS = {
    "transfer/complete": "complete_transfer",
    "transfer/cancel": "cancel_transfer",
    "hold": "hold",
    "resume": "resume",
}


@run
async def test_the_steps_of_a_transfer() -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("GET", f"{SIM}/{GUID}/transfers")
    assert reply.status == 200
    assert reply.json["callGuid"] == GUID
    (transfer,) = reply.json["transfers"]
    steps = transfer.pop("steps")
    assert transfer == {
        "transferType": "blind",
        "method": "reinvite",
        "initiatedBy": "rest",
        "destination": "1002",
        "state": "failed",
        "startTime": "2026-05-28T20:26:40.250000Z",
        "endTime": "2026-05-28T20:26:41.250000Z",
        "sipCode": 486,
        "reason": "Busy Here",
    }
    assert [(step["direction"], step["message"], step.get("sipCode")) for step in steps] == [
        ("sent", "INVITE", None),
        ("received", "486 INVITE", 486),
    ]
    assert [step["outcome"] for step in steps] == ["requested", "failure"]


@run
async def test_the_legs_of_a_call() -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("GET", f"{SIM}/{GUID}/legs")
        session = await client("GET", "/cvp/rest/sip/session/leg-2")
        none = await client("GET", f"{SIM}/{'0' * 32}/legs")
    caller, agent = reply.json["legs"]
    assert (caller["leg"], caller["number"]) == ("caller", "1001")
    assert agent == {"leg": "agent", "session": session.json}
    assert none.error(404, "CALL_NOT_FOUND")


@pytest.mark.parametrize("command", COMMANDS)
@run
async def test_a_command(command: str) -> None:
    state = "transferring" if command.startswith("transfer") else "connected"
    fake = FakeCallServer(calls={GUID: call_view(state=state)})
    async with serving(fake) as client:
        reply = await client("POST", f"{SIM}/{GUID}/{command}")
    assert reply.status == 202
    assert (reply.json["callGuid"], reply.json["status"]) == (GUID, "pending")
    assert reply.json["operation"] == command
    assert fake.asked == [(COMMANDS[command], GUID)]


@pytest.mark.parametrize("command", COMMANDS)
@run
async def test_a_command_that_cannot_be(command: str) -> None:
    async with serving(FakeCallServer()) as client:
        conflict = await client("POST", f"{SIM}/{RINGING_GUID}/{command}")
        unknown = await client("POST", f"{SIM}/nobody/{command}")
        anonymous = await client("POST", f"{SIM}/{GUID}/{command}", login=False)
    assert conflict.error(409, "CALL_STATE")
    assert unknown.error(404, "CALL_NOT_FOUND")
    assert anonymous.error(401)


@run
async def test_a_guid_may_be_in_lower_case() -> None:
    fake = FakeCallServer()
    path, key = f"/cvp/rest/call/{GUID.lower()}", {"Idempotency-Key": "one"}
    async with serving(fake) as client:
        for place in (path, f"{path}/variables", f"{SIM}/{GUID.lower()}/transfers"):
            reply = await client("GET", place)
            assert (reply.status, reply.json["callGuid"]) == (200, GUID)
        for guid in (GUID.lower(), GUID):
            reply = await client("POST", f"{SIM}/{guid}/hold", headers=key)
            assert (reply.status, reply.json["callGuid"]) == (202, GUID)
        assert (await client("GET", f"{SIM}/{GUID.lower()}/queue")).error(409, "CALL_NOT_QUEUED")
    assert fake.asked.count(("hold", GUID)) == 1, "it is the same path"


@run
async def test_nobody_sees_the_steps_without_a_password() -> None:
    async with serving(FakeCallServer()) as client:
        assert (await client("GET", f"{SIM}/{GUID}/transfers", login=False)).error(401)
        assert (await client("GET", f"{SIM}/nobody/transfers")).error(404, "CALL_NOT_FOUND")


@run
async def test_the_same_key_is_the_same_command() -> None:
    fake = FakeCallServer()
    key = {"Idempotency-Key": "one"}
    async with serving(fake) as client:
        replies = [await client("POST", f"{SIM}/{GUID}/hold", headers=key) for _ in range(2)]
    assert replies[0].json == replies[1].json
    assert fake.asked == [("hold", GUID)]


def test_they_are_documented() -> None:
    described = document(GROUPS)
    paths = {path for path in described["paths"] if path.startswith(SIM)}
    assert paths >= {f"{SIM}/{{callGuid}}/{name}" for name in ["transfers", *COMMANDS]}
    assert all(described["paths"][path]["servers"] == [{"url": "/"}] for path in paths)
