"""Agents and skill groups over REST."""

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.api.support import GUID, FakeCallServer, run, serving, simulated_phones

JSON = {"Content-Type": "application/json"}


def body(value: Any) -> dict[str, Any]:
    return {"data": json.dumps(value), "headers": JSON}


@run
async def test_the_agents_of_the_configuration() -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("GET", "/sim/v1/agents")
        assert [agent["name"] for agent in reply.json["agents"]] == ["Ada", "Grace", "Hedy"]
        one = (await client("GET", "/sim/v1/agents/1002")).json
    assert one.pop("idleSince").startswith("2026")
    assert one == {
        "extension": "1002",
        "agentId": "1002",
        "name": "Grace",
        "state": "available",
        "activeCalls": 0,
        "maxCalls": 0,
        "skillGroups": ["support"],
    }


@pytest.mark.parametrize("state", ["not_ready", "busy", "logged_out", "available"])
@run
async def test_a_state_is_set(state: str) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        reply = await client("PUT", "/sim/v1/agents/1001", **body({"state": state}))
        assert (reply.status, reply.json["state"]) == (200, state)
        again = await client("GET", "/sim/v1/agents/1001")
        assert again.json["state"] == state
        group = (await client("GET", "/sim/v1/skill-groups/support")).json
    assert group["available"] == (3 if state == "available" else 2)
    assert group["loggedIn"] == (2 if state == "logged_out" else 3)


@run
async def test_how_long_a_simulated_phone_rings() -> None:
    fake = FakeCallServer()
    async with simulated_phones(fake) as phones, serving(fake) as client:
        reply = await client("PUT", "/sim/v1/agents/1002", **body({"answerAfter": 2.5}))
        assert (reply.status, reply.json["answerAfter"]) == (200, 2.5)
        assert reply.json["state"] == "available"
        both = {"state": "not_ready", "answerAfter": 0}
        reply = await client("PUT", "/sim/v1/agents/1003", **body(both))
        assert (reply.json["state"], reply.json["answerAfter"]) == ("not_ready", 0.0)
        listed = (await client("GET", "/sim/v1/agents")).json["agents"]
        assert [one["answerAfter"] for one in listed] == [1.0, 2.5, 0.0]
        assert [phones.rings(one["extension"]) for one in listed] == [1.0, 2.5, 0.0]
        assert (await client("POST", "/sim/v1/reset")).status == 200
        assert [phones.rings(one["extension"]) for one in listed] == [1.0, 1.0, 1.0]


@run
async def test_a_reset_puts_back_their_states() -> None:
    async with serving(FakeCallServer()) as client:
        await client("PUT", "/sim/v1/agents/1001", **body({"state": "logged_out"}))
        await client("PUT", "/sim/v1/agents/1003", **body({"state": "not_ready"}))
        assert (await client("POST", "/sim/v1/reset")).status == 200
        agents = (await client("GET", "/sim/v1/agents")).json["agents"]
    assert [one["state"] for one in agents] == ["available"] * 3


@pytest.mark.parametrize("elsewhere", [False, True])
@run
async def test_a_phone_that_is_not_simulated_here(elsewhere: bool) -> None:
    """Nothing is changed, the state neither."""
    fake = FakeCallServer()
    async with AsyncExitStack() as stack:
        if elsewhere:  # the route leads past the simulated ones
            plan = fake.plan
            await stack.enter_async_context(simulated_phones(fake))
            fake.plan = plan
        client = await stack.enter_async_context(serving(fake))
        wanted = {"state": "not_ready", "answerAfter": 1}
        reply = await client("PUT", "/sim/v1/agents/1001", **body(wanted))
        assert "agent 1001 is none" in reply.error(409, "PHONE_NOT_SIMULATED")
        one = (await client("GET", "/sim/v1/agents/1001")).json
        assert (one["state"], "answerAfter" in one) == ("available", False)


@run
async def test_what_is_refused() -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("GET", "/sim/v1/agents/9")
        assert "extension or agent id '9'" in reply.error(404, "AGENT_NOT_FOUND")
        reply = await client("PUT", "/sim/v1/agents/9", **body({"state": "busy"}))
        reply.error(404, "AGENT_NOT_FOUND")
        reply = await client("PUT", "/sim/v1/agents/1001", **body({"state": "asleep"}))
        assert "state" in reply.error(400, "INVALID_REQUEST")
        (await client("PUT", "/sim/v1/agents/1001", **body({}))).error(400, "INVALID_REQUEST")
        reply = await client("GET", "/sim/v1/skill-groups/x")
        assert "'x'" in reply.error(404, "SKILL_GROUP_NOT_FOUND")
        reply = await client("GET", f"/sim/v1/calls/{GUID}/queue")
        assert "its state is connected" in reply.error(409, "CALL_NOT_QUEUED")
        (await client("GET", "/sim/v1/calls/x/queue")).error(404, "CALL_NOT_FOUND")


@run
async def test_skill_groups() -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("GET", "/sim/v1/skill-groups")
    assert reply.json["skillGroups"] == [
        {
            "name": "support",
            "loggedIn": 3,
            "available": 3,
            "handlingTime": 120.0,
            "waiting": 0,
            "calls": [],
        }
    ]
