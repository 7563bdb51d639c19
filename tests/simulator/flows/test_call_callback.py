"""Courtesy callback: the caller leaves, keeps the place, and is called when an agent is near."""

import asyncio
from typing import Any

import pytest

from simulator.cdr_events import events_of
from simulator.errors import CallStateError
from simulator.views import TransferCommand
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import SILENT, Manner, origin_of
from tests.simulator.flows.world import CALLING, World

OFFER = {"self_service": {"application": "offer", "seconds": 1}}
LEAVE = {"callback": {"skill_group": "support"}}
CONFIRM = {"self_service": {"application": "confirm", "seconds": 2}}
QUEUE = {"queue": {"skill_group": "support"}}


def plan(*steps: Any, callback: Any = None, **group: Any) -> dict[str, Any]:
    """Every number runs these nodes; one agent, who takes one call at a time."""
    support = {"agents": ["1001"], "wait": 0, "handling_time": 100, **group}
    return {
        "dialed_numbers": [{"pattern": ">", "script": "test", "ring_no_answer": 5}],
        "icm": {
            "scripts": {"test": list(steps or (OFFER, LEAVE, CONFIRM, QUEUE))},
            "skill_groups": {"support": support},
            "agents": {"1001": {"max_calls": 1}},
            "wait": 0,
            "callback": callback or {},
        },
    }


def agent(world: World, state: Any) -> None:
    """The agent comes or goes."""
    world.server.desk.set_state("1001", state)


def away(world: World) -> None:
    """A caller who has asked for a callback, while the agent is not there."""
    agent(world, "not_ready")
    world.dial("7000")
    world.run(1.5)
    assert world.call.treatment is not None
    assert world.call.treatment.callback is not None
    assert world.state == "queued"


def events(world: World) -> list[str]:
    """The lines of the history that are about the callback."""
    return [line for line in world.history if line.startswith("callback_")]


def test_the_caller_leaves_and_the_place_stays(build: Build) -> None:
    world = build(**plan())
    away(world)
    assert world.flow[-4:] == [
        "server > caller BYE",
        "server > vxml BYE",
        "caller > server 200 BYE",
        "vxml > server 200 BYE",
    ]
    assert len(world.server.calls) == 1, "the call goes on"
    place = world.server.desk.place(world.call.guid)
    assert (place.queue_position, place.callback) == (1, "waiting")
    world.terminate()


def test_called_when_an_agent_is_free_confirmed_and_connected(build: Build) -> None:
    world = build(**plan())
    away(world)
    world.forget()
    agent(world, "available")
    world.run()
    assert world.flow == [
        "server > caller INVITE",
        "caller > server 200 INVITE",
        "server > caller ACK",
        "server > vxml INVITE",
        "vxml > server 200 INVITE",
        "server > caller INVITE",
        "caller > server 200 INVITE",
        "server > caller ACK",
        "server > vxml ACK",
    ]
    line = world.caller.line
    assert line.invite.uri.startswith(f"sip:{CALLING}@"), "to the Contact that it called from"
    assert "sip:7000@" in (line.invite.get("from") or ""), "from the number it had dialed"
    assert line.invite.get("cisco-guid") == world.vxml.line.invite.get("cisco-guid")
    assert origin_of(line.requests[-2].body)[1:] == (origin_of(line.invite.body)[1], 2)
    assert world.state == "self_service"
    assert world.call.application == "confirm"
    world.run(4.0)
    assert world.state == "connected"
    assert world.call.icm_agent == "1001"
    line.hang_up()
    world.run()
    assert world.cdr.call_result == "completed"
    assert [leg.kind for leg in world.cdr.legs] == ["caller", "vxml", "callback", "vxml", "agent"]
    assert world.cdr.error_count == 0
    assert world.cdr.transfer_count == 3, "the gateway twice and the agent; not the callback itself"
    world.over()


def test_the_requests_are_in_the_records(build: Build) -> None:
    world = build(**plan(callback={"attempts": 2, "interval": 1}))
    away(world)
    world.caller.manners[CALLING] = Manner(refuse=486)
    agent(world, "available")
    world.run()
    world.caller.manners.clear()
    world.run(1.5)
    world.terminate()
    found = [event for event in events_of(world.cdr) if event.event_type_id >= 20]
    assert [event.event_type for event in found] == [
        "Callback Requested",
        "Callback Dialled",
        "Callback Failed",
        "Callback Dialled",
        "Callback Answered",
    ]
    assert {event.transfer_label for event in found} == {CALLING}
    assert world.cdr.error_count == 1


def test_the_callback_has_no_srtp(build: Build) -> None:
    world = build(**plan())
    away(world)
    agent(world, "available")
    world.run()
    assert b" RTP/AVP " in world.caller.line.invite.body
    assert b"crypto" not in world.caller.line.invite.body
    world.terminate()


def test_who_comes_later_is_served_meanwhile_but_not_before(build: Build) -> None:
    world = build(**plan(OFFER, LEAVE, QUEUE))
    world.caller.manners[CALLING] = Manner(answer=3.0)
    away(world)
    first = world.call
    agent(world, "available")  # the callback rings, the agent is idle
    world.run()
    assert world.server.desk.place(first.guid).callback == "dialling"
    agent(world, "not_ready")
    world.run(3.0)
    assert world.server.desk.place(first.guid).callback is None
    assert world.server.desk.place(first.guid).queue_position == 1
    agent(world, "available")
    world.run(1.5)
    assert first.state == "connected"
    world.caller.line.hang_up()


def test_called_when_the_estimated_wait_is_nearly_over(build: Build) -> None:
    world = build(**plan(OFFER, LEAVE, QUEUE, callback={"lead": 20}))
    world.dial("7000")
    world.run(1.5)
    assert world.server.calls, "an agent is free: it is called back at once"
    world.run(1.0)
    assert world.call.icm_agent == "1001"
    busy = world.caller.line
    world.dial("7000")  # 100 s is what a call takes
    world.run(1.5)
    second = world.call
    world.run(79.0)
    assert second.treatment is not None
    assert second.treatment.callback is not None
    world.run(1.5)
    assert second.treatment.callback is None, "called 20 s before the estimate is over"
    assert second.state == "queued"
    busy.hang_up()
    world.run(1.5)
    assert second.state == "connected"
    world.caller.line.hang_up()


@pytest.mark.parametrize("number", ["anonymous", "Restricted", "unknown"])
def test_without_a_number_it_is_not_offered(build: Build, number: str) -> None:
    leave = {"callback": {"skill_group": "support", "on_failure": "stay"}}
    world = build(**plan(OFFER, leave, {"release": {}}, {**QUEUE, "name": "stay"}))
    agent(world, "not_ready")
    caller = world.caller.dial(f"sip:7000@{world.address}", number)
    world.run(1.5)
    assert world.state == "queued"
    assert world.call.caller.up
    assert f"script 2 callback: not offered: '{number}' cannot be called back" in world.history
    caller.hang_up()


def test_another_number_that_the_script_knows(build: Build) -> None:
    leave = {"callback": {"skill_group": "support", "number": "{user.number}"}}
    world = build(**plan(OFFER, {"set": {"user.number": "5550000"}}, leave, QUEUE))
    away(world)
    agent(world, "available")
    world.run()
    assert world.caller.line.invite.uri.startswith("sip:5550000@")
    world.terminate()


def test_by_the_dial_plan(build: Build) -> None:
    leave = {"callback": {"skill_group": "support", "number": "1005"}}
    world = build(**plan(OFFER, leave, QUEUE, callback={"route": "plan"}))
    away(world)
    agent(world, "available")
    world.run()
    assert world.agents.line.invite.uri.startswith("sip:1005@")
    world.terminate()


@pytest.mark.parametrize(("manner", "status"), [(Manner(refuse=486), 486), (SILENT, 408)])
def test_not_reached_again_and_at_last_abandoned(build: Build, manner: Manner, status: int) -> None:
    world = build(**plan(callback={"attempts": 2, "interval": 30}))
    away(world)
    world.caller.manners[CALLING] = manner
    agent(world, "available")
    world.run(10.0)
    assert world.server.desk.place(world.call.guid).callback == "waiting"
    reason = "Busy Here" if status == 486 else "ring no answer"
    assert events(world)[1:] == [
        f"callback_dialled {CALLING}",
        f"callback_failed {CALLING}: SIP {status} {reason}",
    ]
    world.run(60.0)
    assert len(events(world)) == 5
    assert world.history[-1] == "ended the caller could not be called back"
    assert world.cdr.call_result == "abandoned"
    assert world.cdr.error_code == str(status)
    world.over()


def test_answered_in_the_moment_of_the_cancel(build: Build) -> None:
    world = build(**plan(callback={"attempts": 1}))
    away(world)
    world.caller.manners[CALLING] = Manner(answer=5.0 + 1e-3)
    agent(world, "available")
    world.run(8.0)
    assert world.cdr.call_result == "abandoned"
    world.over()


def test_commands_that_need_the_caller_are_refused(build: Build) -> None:
    world = build(**plan())
    away(world)
    guid = world.call.guid
    with pytest.raises(CallStateError, match="has left"):
        world.server.transfer(guid, TransferCommand("1002"))
    with pytest.raises(CallStateError, match="has left"):
        world.server.hold(guid)
    assert world.state == "queued"
    asyncio.run(_terminate(world, guid))
    assert world.cdr.call_result == "completed"
    world.over()


async def _terminate(world: World, guid: str) -> None:
    await world.server.terminate(guid, "requested")


def test_terminated_while_it_rings(build: Build) -> None:
    world = build(**plan())
    away(world)
    world.caller.manners[CALLING] = Manner(ring=0.0, answer=None)
    agent(world, "available")
    world.run()
    world.forget()
    world.terminate()
    assert "server > caller CANCEL" in world.flow


def test_the_byes_cross(build: Build) -> None:
    world = build(**plan())
    agent(world, "not_ready")
    caller = world.dial("7000")
    world.run(1.0)
    for _ in range(1000):  # up to the moment in which the server sends BYE
        if world.state == "queued":
            break
        world.run(0.001)
    caller.hang_up()
    world.run(1.0)
    assert world.the("BYE", "caller", "server")
    assert world.the("BYE", "server", "caller")
    assert world.state == "queued", "the call goes on"
    world.terminate()


def test_a_second_callback_calls_once(build: Build) -> None:
    """At the head of the queue again, with an agent free: one INVITE for each request."""
    leave = {**LEAVE, "name": "leave"}
    world = build(**plan(OFFER, leave, {**CONFIRM, "next": "leave"}))
    world.caller.manners[CALLING] = Manner(answer=1.0)
    away(world)
    agent(world, "available")
    world.run(6.0)
    asked = [line for line in world.history if line.startswith("callback_requested")]
    assert len(asked) == 2
    assert len(world.caller.lines) == 3, "the call itself and two callbacks"
    assert sum(line.startswith("callback_dialled") for line in world.history) == 2
    world.terminate()


def test_a_free_agent_is_for_one_of_those_who_left(build: Build) -> None:
    world = build(**plan(OFFER, LEAVE, QUEUE))
    world.caller.manners[CALLING] = Manner(answer=3.0)
    away(world)
    first = world.call
    world.dial("7000")
    world.run(1.5)
    second = world.call
    agent(world, "available")
    world.run()
    states = [world.server.desk.place(call.guid).callback for call in (first, second)]
    assert states == ["dialling", "waiting"]
    for call in (first, second):
        world.wait_for(world.server.terminate(call.guid, "requested"))


def test_a_server_that_stops_ends_who_is_away(build: Build) -> None:
    world = build(**plan())
    away(world)
    asyncio.run(world.server.drain(0.0))
    assert world.cdr.call_result == "error"
    world.over()


def test_given_up_when_no_agent_comes(build: Build) -> None:
    world = build(**plan(callback={"expires": 3600, "lead": 0}))
    away(world)
    fired = world.stack.endpoint.wheel.fired
    world.run(3500.0)
    assert world.stack.endpoint.wheel.fired - fired < 200, "it does not look all the time"
    assert world.state == "queued"
    world.run(101.0)
    assert world.history[-1] == "ended no agent in time"
    assert world.cdr.call_result == "abandoned"
    assert "Abandon" not in [event.event_type for event in events_of(world.cdr)]
    world.over()


def test_the_caller_is_not_told_what_it_said(build: Build) -> None:
    world = build(**plan())
    agent(world, "not_ready")
    world.dial("7000", lines="P-Asserted-Identity: <sip:5551234@gw>\r\nX-Test: 1\r\n")
    world.run(1.5)
    agent(world, "available")
    world.run()
    invite = world.caller.line.invite
    assert (invite.get("p-asserted-identity"), invite.get("x-test")) == (None, None)
    assert invite.get("max-forwards") == "70"
    assert world.vxml.line.invite.get("x-test") == "1"
    world.terminate()


def test_survey_of_who_was_called_back(build: Build) -> None:
    sections = plan(OFFER, LEAVE, QUEUE)
    sections["dialed_numbers"][0]["survey"] = "3999"
    sections["dialed_numbers"].append({"pattern": "3999", "script": "survey"})
    sections["icm"]["scripts"]["survey"] = [{"self_service": {"application": "survey"}}]
    world = build(**sections)
    away(world)
    agent(world, "available")
    world.run(2.0)
    assert world.state == "connected"
    world.agents.line.hang_up()
    world.run()
    assert world.call.application == "survey"
    world.terminate()


def test_the_caller_who_is_back_hangs_up(build: Build) -> None:
    world = build(**plan())
    away(world)
    agent(world, "available")
    world.run()
    world.caller.line.hang_up()
    world.run()
    assert world.cdr.call_result == "completed", "in the application that confirms"
    world.over()
