"""The operations for test suites: calls that are made, many that end, a new beginning."""

import pytest

from simulator.errors import NotAdmitted
from simulator.views import CallFilter
from tests.api.support import GUID, FakeCallServer, run, serving

CALLS = "/sim/v1/calls"
WANTED = {"callingNumber": "1005", "destination": "6000"}
KEY = {"Idempotency-Key": "one"}


@run
async def test_a_call_is_made_once_for_a_key() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        replies = [await client("POST", CALLS, json=WANTED, headers=KEY) for _ in range(2)]
    assert [reply.status for reply in replies] == [202, 202]
    assert replies[0].json == replies[1].json
    assert (replies[0].json["callGuid"], replies[0].json["operation"]) == (GUID, "originate")
    assert fake.asked == [("originate", "1005", "6000")]


@run
async def test_a_call_that_cannot_be_made() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        missing = await client("POST", CALLS, json={"callingNumber": "1005"})
        impossible = await client("POST", CALLS, json={**WANTED, "destination": "ftp:x"})
        fake.failure = NotAdmitted("the server is full")
        full = await client("POST", CALLS, json=WANTED)
        anonymous = await client("POST", CALLS, json=WANTED, login=False)
    assert "destination" in missing.error(400)
    assert impossible.error(400, "NOT_ROUTABLE")
    assert full.error(503, "NOT_ADMITTED")
    assert anonymous.error(401)


@run
async def test_calls_end_by_a_filter() -> None:
    fake = FakeCallServer()
    body = {"applicationName": "bank", "leg": "1007", "reason": "timeout"}
    async with serving(fake) as client:
        reply = await client("POST", f"{CALLS}/terminate", json=body)
    assert (reply.status, reply.json) == (200, {"terminatedCalls": 2})
    wanted = CallFilter(application="bank", leg="1007")
    assert fake.asked == [("terminate_all", wanted, "timeout")]


@pytest.mark.parametrize("body", [{}, {"reason": "error"}])
@run
async def test_not_without_a_filter(body: dict[str, str]) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        reply = await client("POST", f"{CALLS}/terminate", json=body)
    assert "/sim/v1/reset" in reply.error(400)
    assert fake.asked == []


@run
async def test_reset_ends_all_and_forgets_the_keys() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        await client("POST", CALLS, json=WANTED, headers=KEY)
        reply = await client("POST", "/sim/v1/reset")
        await client("POST", CALLS, json=WANTED, headers=KEY)
    assert (reply.status, reply.json) == (200, {"terminatedCalls": 2})
    assert [one[0] for one in fake.asked] == ["originate", "terminate_all", "originate"]
    assert fake.asked[1] == ("terminate_all", CallFilter(), "administrative")
