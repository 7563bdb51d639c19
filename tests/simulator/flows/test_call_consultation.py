"""Consultation: the caller is held, the target is called, then they are joined."""

import pytest

from sip.message import Request
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner, direction_of, origin_of
from tests.simulator.flows.test_call_transfer import FROM
from tests.simulator.flows.world import World


def offers(world: World) -> list[Request]:
    """The re-INVITEs to the caller."""
    return [m for m in world.sent("INVITE", to="caller") if isinstance(m, Request)]


@pytest.mark.parametrize("start", FROM)
def test_it_succeeds(world: World, start: str) -> None:
    caller = FROM[start](world)
    world.transfer("1002", "consultation")
    world.run(1.5)
    assert world.state == ("on_hold" if start == "on_hold" else "connected")
    assert world.flow[:10] == [
        "server > caller INVITE",
        "caller > server 200 INVITE",
        "server > caller ACK",
        "server > agents INVITE",
        "agents > server 180 INVITE",
        "agents > server 200 INVITE",
        "server > caller INVITE",
        "caller > server 200 INVITE",
        "server > caller ACK",
        "server > agents ACK",
    ]
    hold, join = offers(world)
    assert direction_of(hold.body) == "sendonly"
    # One that holds the call itself goes on holding: that is its own to end.
    assert direction_of(join.body) == ("recvonly" if start == "on_hold" else "sendrecv")
    assert origin_of(caller.received)[0] == world.agents.host
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"
    world.over()


@pytest.mark.parametrize("start", FROM)
@pytest.mark.parametrize("status", [404, 486])
def test_a_failure_takes_the_caller_back(world: World, start: str, status: int) -> None:
    caller = FROM[start](world)
    state, before = world.state, caller.received
    world.agents.manners["1002"] = Manner(ring=0.0, answer=0.5, refuse=status)
    world.transfer("1002", "consultation")
    world.run(1.0)
    assert world.state == state
    assert any(e.startswith(f"transfer_failed 1002: SIP {status} ") for e in world.history)
    hold, back = offers(world)
    first, second = origin_of(before), origin_of(hold.body)
    assert second == (first[0], first[1], first[2] + 1)
    assert origin_of(back.body) == (first[0], first[1], first[2] + 2)
    assert back.body.partition(b"\r\ns=")[2] == before.partition(b"\r\ns=")[2], "media as before"
    caller.hang_up()


def test_no_answer(build: Build) -> None:
    world = build(transfer={"ring_no_answer": 2})
    caller = world.connected()
    world.agents.manners["1002"] = Manner(ring=0.0, answer=None)
    world.transfer("1002", "consultation")
    world.run(3.0)
    assert world.state == "connected"
    assert "transfer_failed 1002: SIP 408 ring no answer" in world.history
    assert len(offers(world)) == 2
    caller.hang_up()


def test_the_caller_will_not_hold(world: World) -> None:
    caller = world.connected()
    caller.manner = Manner(reinvite=488)
    world.transfer("1002", "consultation")
    world.run()
    assert world.state == "connected"
    assert len(world.agents.lines) == 1
    assert any(e.startswith("transfer_failed 1002: SIP 488") for e in world.history)
    caller.hang_up()


def test_the_caller_will_not_be_joined(world: World) -> None:
    caller = world.connected()
    before = origin_of(caller.received)
    world.transfer("1002", "consultation")
    world.run(0.5)
    caller.manner = Manner(reinvite=0)
    world.run(1.0)
    caller.refuse(488)
    caller.manner = Manner()
    world.run()
    assert world.state == "connected"
    assert any(e.startswith("transfer_failed 1002: SIP 488") for e in world.history)
    assert world.agents.lines[1].heard[-1] == "Hungup"
    assert origin_of(caller.received)[:2] == before[:2]
    assert direction_of(caller.received) == "sendrecv"
    caller.hang_up()


def test_the_target_leaves_while_the_caller_is_asked(world: World) -> None:
    caller = world.connected()
    before = origin_of(caller.received)
    world.transfer("1002", "consultation")
    world.run(0.5)
    caller.manner = Manner(reinvite=0)
    world.run(1.0)
    world.agents.line.drop()
    world.run()
    caller.manner = Manner()
    caller.answer()
    world.run()
    assert world.state == "connected"
    assert origin_of(caller.received)[0] == before[0]
    assert direction_of(caller.received) == "sendrecv"
    caller.hang_up()


@pytest.mark.parametrize("stage", [0.005, 0.025, 0.5, 1.02, 1.04])
def test_the_old_agent_hangs_up(world: World, stage: float) -> None:
    caller = world.connected()
    world.transfer("1002", "consultation")
    world.run(stage)
    world.agents.lines[0].hang_up()
    world.run(1.5)
    assert world.state == "connected"
    assert "transfer_completed 1002" in world.history
    caller.hang_up()


def test_the_old_agent_hangs_up_and_the_target_is_busy(world: World) -> None:
    caller = world.connected()
    world.agents.manners["1002"] = Manner(ring=0.0, answer=0.5, refuse=486)
    world.transfer("1002", "consultation")
    world.run(0.1)
    world.agents.lines[0].hang_up()
    world.run(1.0)
    assert caller.heard[-1] == "Hungup"
    assert world.cdr.error_code == "486"
    world.over()


def test_to_a_queue(world: World) -> None:
    caller = world.connected()
    world.transfer("7000", "consultation")
    world.run()
    assert world.state == "self_service"
    assert direction_of(caller.received) == "sendrecv"
    caller.hang_up()


def test_a_caller_without_a_description(world: World) -> None:
    """It was never told one: there is nothing to hold."""
    world.vxml.behaves(answer=None)
    caller = world.dial("3000")
    world.run()
    world.vxml.line.answer(b"")
    world.run()
    world.forget()
    assert (world.state, caller.received) == ("self_service", b"")
    world.transfer("1002", "consultation")
    world.run(1.5)
    assert world.flow[0] == "server > agents INVITE"
    assert world.state == "connected"
    caller.hang_up()
