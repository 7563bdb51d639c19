"""Agents and skill groups over REST."""

import json
from typing import Any

import pytest

from tests.api.support import GUID, FakeCallServer, run, serving

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
