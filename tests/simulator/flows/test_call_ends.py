"""How calls end: who hangs up, gives up, refuses, or is heard of no more."""

import asyncio
from dataclasses import replace

import pytest

from simulator.errors import NotAdmitted
from sip.message import Request
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.world import World
from tests.support.builders import request_text

NORMAL = "Q.850;cause=16"


def test_the_caller_hangs_up(world: World) -> None:
    caller = world.connected()
    caller.hang_up("Reason: Q.850;cause=17\r\n")
    world.run()
    assert world.flow == [
        "caller > server BYE",
        "server > agents BYE",
        "server > caller 200 BYE",
        "agents > server 200 BYE",
    ]
    assert world.the("BYE").get("reason") == "Q.850;cause=17"
    assert world.history[-2:] == ["hung_up caller 5551234", "ended the caller hung up"]
    assert world.cdr.call_result == "completed"
    world.over()


def test_the_callee_hangs_up(world: World) -> None:
    world.connected()
    world.agents.line.hang_up()
    world.run()
    assert world.flow == [
        "agents > server BYE",
        "server > caller BYE",
        "server > agents 200 BYE",
        "caller > server 200 BYE",
    ]
    assert world.the("BYE").get("reason") == NORMAL
    assert world.cdr.call_result == "completed"
    world.over()


def test_the_gateway_hangs_up_after_the_last_step(world: World) -> None:
    world.self_service()
    world.vxml.line.hang_up()
    world.run()
    assert "application_ended welcome" in world.history
    assert world.sent("BYE", to="caller")
    assert world.cdr.call_result == "completed"
    world.over()


@pytest.mark.parametrize("number", ["5000", "6000", "3000", "7000"])
def test_the_caller_hangs_up_wherever_it_is(world: World, number: str) -> None:
    caller = world.established(number)
    caller.hang_up()
    world.run()
    assert caller.heard[-1] == "Closed"
    assert all(leg.end_time >= leg.start_time for leg in world.cdr.legs)
    world.over()


def test_the_caller_leaves_the_queue(world: World) -> None:
    world.queued().hang_up()
    world.run()
    assert world.cdr.call_result == "abandoned"
    world.run(10.0)
    assert not world.agents.lines
    world.over()


def test_cancel_before_anything_rings(world: World) -> None:
    world.agents.behaves(ring=None, answer=None)
    caller = world.dial("6000")
    world.run(0.025)  # 100 Trying is here
    caller.cancel("Reason: SIP;cause=200\r\n")
    world.run()
    assert world.flow == [
        "caller > server INVITE",
        "server > agents INVITE",
        "caller > server CANCEL",
        "server > caller 200 CANCEL",
        "server > caller 487 INVITE",
        "server > agents CANCEL",
        "caller > server ACK",
        "agents > server 200 CANCEL",
        "agents > server 487 INVITE",
        "server > agents ACK",
    ]
    assert "cancelled SIP;cause=200" in world.history
    assert (world.cdr.call_result, world.cdr.error_code) == ("abandoned", "487")
    world.over()


def test_cancel_while_the_callee_rings(world: World) -> None:
    world.agents.behaves(answer=None)
    caller = world.dial("6000")
    world.run()
    assert world.agents.line.heard == ["Invited"]
    caller.cancel()
    world.run()
    assert caller.statuses == [180, 487]
    assert world.agents.line.heard == ["Invited", "Cancelled"]
    assert world.the("CANCEL").get("reason") == NORMAL
    assert [leg.sip_response_code for leg in world.cdr.legs] == [487, 487]
    world.over()


def test_cancel_waits_for_the_first_response_of_the_callee(world: World) -> None:
    world.agents.behaves(answer=None, ring=None)
    world.network.lose("100 INVITE", 2)  # the caller's and the agent's
    caller = world.dial("6000")
    world.run(0.1)
    world.terminate()
    assert not world.sent("CANCEL", to="agents")
    world.run(1.0)
    assert world.sent("CANCEL", to="agents"), "after the INVITE was repeated"
    assert caller.statuses == [480]
    world.over()


def test_cancel_crosses_the_answer_of_the_callee(world: World) -> None:
    world.agents.behaves(answer=None)
    caller = world.dial("6000")
    world.run()
    caller.cancel()
    world.run(0.015)  # the server has it, the callee not yet
    world.agents.line.answer()
    world.run()
    assert caller.statuses == [180, 487]
    assert [step for step in world.flow if "agents" in step][2:] == [
        "server > agents CANCEL",
        "agents > server 200 INVITE",
        "agents > server 200 CANCEL",
        "server > agents ACK",
        "server > agents BYE",
        "agents > server 200 BYE",
    ]
    assert world.agents.line.heard[-2:] == ["Acknowledged", "Hungup"]
    world.over()


def test_cancel_crosses_our_answer(world: World) -> None:
    world.agents.behaves(answer=None)
    caller = world.dial("6000")
    world.run()
    world.agents.line.answer()
    world.run(0.011)  # our 200 is on its way
    caller.cancel()
    world.run()
    assert caller.statuses[-1] in (200, 487)
    assert world.agents.line.heard[-2:] == ["Acknowledged", "Hungup"]
    assert caller.session.state == 3
    world.over()


def test_cancel_and_the_answer_in_one_batch(world: World) -> None:
    """Both were in the socket's buffer: the event of the answer comes to a dead session."""
    world.agents.behaves(answer=None)
    caller = world.dial("6000")
    world.run()
    server = world.party
    held = server.held = []
    world.agents.line.answer()
    caller.cancel()
    world.run(0.02)
    server.held = None
    for data, peer in held:
        server.endpoint.receive_datagram(data, peer, server.listener, world.network.now)
    world.run()
    assert caller.statuses == [180, 487]
    assert world.agents.line.heard[-2:] == ["Acknowledged", "Hungup"]
    assert world.cdr.call_result == "abandoned"
    world.over()


@pytest.mark.parametrize("status", [302, 400, 404, 408, 480, 486, 500, 503, 600, 603])
def test_a_refusal_reaches_the_caller(world: World, status: int) -> None:
    world.agents.behaves(refuse=status)
    caller = world.dial("6000")
    world.run(2.0)
    assert caller.statuses == [180, status]
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", str(status))
    assert any(e.startswith(f"connect_failed 1001: SIP {status}") for e in world.history)
    world.over()


def test_nobody_answers(build: Build) -> None:
    world = build(dialed_numbers=[{"pattern": "6>", "label": "1001", "ring_no_answer": 15}])
    world.agents.behaves(answer=None)
    caller = world.dial("6000")
    world.run(14.9)
    assert world.state == "ringing"
    world.run(0.5)
    assert caller.statuses == [180, 408]
    assert world.agents.line.heard == ["Invited", "Cancelled"]
    assert world.cdr.error_code == "408"
    world.over()


def test_the_callee_is_not_there(world: World) -> None:
    world.network.unreachable.add(world.agents.party.address)
    caller = world.dial("6000")
    world.run()
    assert caller.statuses == [503]
    assert world.cdr.error_code == "503"
    world.over()


def test_the_callee_says_nothing(world: World) -> None:
    world.agents.vanish()
    caller = world.dial("6000")
    world.run(31.0)
    assert world.state == "ringing"
    world.run(2.0)
    assert caller.statuses == [408]
    world.over()


@pytest.mark.parametrize("number", ["5000", "3000"])
def test_no_ack_from_the_caller(world: World, number: str) -> None:
    world.caller.behaves(acknowledge=False)
    world.dial(number)
    world.run(31.5)
    assert world.state != "ended"
    world.run(1.5)
    assert len(world.sent("200 INVITE", to="caller")) == 11
    assert world.sent("BYE", to="caller")
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "408")
    if number != "5000":  # the gateway has waited as long, and says BYE itself
        assert world.the("BYE", "vxml")
    world.over()


def test_an_agent_that_waits_in_vain_for_its_ack(world: World) -> None:
    """It waits for that of the caller, who is gone: it gives up first, and is not to blame."""
    world.caller.behaves(acknowledge=False)
    world.dial("6000")
    world.run(34.0)
    assert world.the("BYE", "agents")
    assert world.history[-1] == "ended no ACK from the caller"
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "408")
    world.over()


def test_an_agent_hangs_up_before_a_late_ack_to_a_reinvite(world: World) -> None:
    """The caller was heard when the call began, however long ago: it is not gone."""
    caller = world.connected()
    world.run(60.0)
    caller.manner = replace(caller.manner, acknowledge=False)
    caller.offer("sendonly")
    world.run(1.0)
    world.agents.line.drop()
    world.run(1.0)
    assert world.cdr.call_result == "completed"
    world.run(40.0)
    world.settle()


def test_an_agent_that_does_not_wait_for_its_ack(world: World) -> None:
    world.caller.behaves(acknowledge=False)
    caller = world.dial("6000")
    world.run(2.0)
    world.agents.line.drop()
    world.run()
    caller.acknowledge()
    world.run()
    assert world.cdr.call_result == "completed"
    world.over()


def test_a_bye_before_the_ack(world: World) -> None:
    world.caller.behaves(acknowledge=False)
    caller = world.dial("3000")
    world.run()
    caller.hang_up()
    world.run()
    assert world.vxml.line.heard == ["Invited", "Acknowledged", "Hungup"]
    assert world.cdr.call_result == "completed"
    world.over()


def test_a_leg_is_lost(world: World) -> None:
    """The agent's host has died; a re-INVITE of the caller finds it out."""
    caller = world.connected()
    world.agents.vanish()
    caller.offer()
    world.run(33.0)
    assert "leg_lost callee: SIP 408" in world.history
    assert world.sent("491 INVITE", to="caller")
    assert world.sent("BYE", to="caller")
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "408")
    world.over()


def test_a_leg_that_knows_nothing_of_the_call(world: World) -> None:
    """The gateway was restarted: 481 to a re-INVITE ends the call."""
    caller = world.self_service()
    world.vxml.party.endpoint.sessions.clear()
    caller.offer()
    world.run()
    assert world.sent("491 INVITE", to="caller")
    assert "leg_lost vxml: SIP 481" in world.history
    world.over()


def test_the_bye_is_answered_once_the_record_is_stored(world: World) -> None:
    caller = world.connected()
    world.store.slow = True
    caller.hang_up()
    world.run(0.1)
    assert not world.sent("200 BYE")
    world.store.catch_up()
    world.run(0.05)
    assert world.sent("200 BYE")
    world.run(1.0)
    assert len(world.sent("200 BYE")) == 1
    world.over()


def test_no_new_calls_while_records_wait_in_memory_alone(world: World) -> None:
    """Those that are up go on; the store may have room for their records by then."""
    caller = world.connected()
    world.store.full = True
    refused = world.dial("6000")
    world.run(0.5)
    assert refused.statuses == [503]
    assert refused.responses[-1].get("retry-after") == "5"
    with pytest.raises(NotAdmitted, match="full"):
        world.server.originate("1001", "6000")
    assert world.server.reports.service().total.counts.rejected == 1
    world.store.full = False
    taken = world.dial("6000")
    world.run(2.0)
    assert taken.statuses[-1] == 200
    caller.hang_up()
    taken.hang_up()
    world.run()
    world.over()


def test_the_bye_is_not_answered_without_the_record(world: World) -> None:
    """However long that takes; `simulator.backlog` sees that it does not."""
    caller = world.connected()
    world.store.slow = True
    caller.hang_up()
    world.run(20.0)
    assert not world.sent("200 BYE")
    world.store.catch_up()
    world.run(5.0)
    assert world.sent("200 BYE")
    assert caller.heard[-1] == "Closed"
    world.over()


def test_byes_cross(world: World) -> None:
    caller = world.connected()
    caller.hang_up()
    world.agents.line.hang_up()
    world.run()
    assert caller.heard[-1] == "Closed"
    assert world.agents.line.heard[-1] == "Closed"
    assert len(world.store.records) == 1
    world.over()


def test_too_many_calls(build: Build) -> None:
    world = build(server={"max_calls": 1})
    first = world.dial("5000")
    world.run()
    refused = world.dial("5000")
    world.run()
    assert refused.statuses == [503]
    assert 5 <= int(refused.responses[0].get("retry-after") or 0) <= 10
    assert len(world.seen) == 1
    first.hang_up()
    world.run()
    world.dial("5000")
    world.run()
    assert world.state == "connected"
    world.terminate()


def test_draining(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caller = world.connected()

    async def drain() -> None:
        draining = asyncio.create_task(world.server.drain(60.0))
        await asyncio.sleep(0)
        late = world.dial("5000")
        world.run()
        assert late.statuses == [503]
        await asyncio.sleep(0)
        assert not draining.done()
        assert caplog.messages == ["stopping: 1 calls have 60 s left; Ctrl-C ends them now"]
        caller.hang_up()
        world.run(1.0)
        await draining

    asyncio.run(drain())
    assert caplog.messages[1:] == ["stopping: all calls are over"]
    assert world.cdr.call_result == "completed"
    world.over()


@pytest.mark.parametrize("grace", [0.0, 60.0])
def test_draining_ends_what_is_left(
    world: World, caplog: pytest.LogCaptureFixture, grace: float
) -> None:
    caller = world.connected()

    async def drain() -> None:
        draining = asyncio.create_task(world.server.drain(grace))
        await asyncio.sleep(0)
        world.server.hurry()
        for _ in range(10):
            await asyncio.sleep(0.001)
        world.run(1.0)
        await draining

    asyncio.run(drain())
    assert caplog.messages[-2:] == ["stopping: 1 calls are ended", "stopping: all calls are over"]
    assert caller.requests[-1].get("reason") == "Q.850;cause=41"
    assert (world.cdr.call_result, world.history[-1]) == ("error", "ended the server was stopped")
    world.over()


def test_icm_has_time_for_other_instructions(build: Build) -> None:
    world = build(icm={"wait": 2})
    world.agents.behaves(refuse=486, answer=0.0, ring=None)
    caller = world.dial("6000")
    world.run(1.9)
    assert (world.state, caller.statuses) == ("ringing", [])
    assert "waiting_for_icm 2 s" in world.history
    world.run(0.3)
    assert caller.statuses == [486]
    world.over()


def test_icm_waits_no_longer_than_the_caller(build: Build) -> None:
    world = build(icm={"wait": 2})
    world.agents.behaves(refuse=486, answer=0.0, ring=None)
    caller = world.dial("6000")
    world.run(1.0)
    caller.cancel()
    world.run(5.0)
    assert caller.statuses == [487]
    assert world.cdr.error_code == "487"
    world.over()


def test_stray_requests_get_481(world: World) -> None:
    stranger = world.network.add_stranger("stray")
    for method in ("BYE", "INFO", "UPDATE", "NOTIFY"):
        headers = {"To": "<sip:1@example.com>;tag=ds00000000", "CSeq": f"2 {method}"}
        headers["Via"] = f"SIP/2.0/UDP {stranger.address[0]}:5060;branch=z9hG4bK{method}"
        stranger.send(world.party, request_text(method, headers))
    world.run()
    assert [r.status for r in stranger.received if not isinstance(r, Request)] == [481] * 4
