"""Transfers that meet ICM at work: an agent is found, rings, is joined; a step is over."""

import pytest

from simulator.errors import CallStateError
from simulator.views import TransferCommand
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner
from tests.simulator.flows.test_call_treatment import QUEUE, SERVICE, agents, script
from tests.simulator.flows.world import Line, World

BUSY = Manner(ring=0.0, answer=1.0, refuse=486)


def in_queue(world: World) -> Line:
    """A caller in the queue before there is an agent."""
    caller = world.dial("1")
    world.run(0.1)
    assert world.state == "queued"
    world.forget()
    return caller


@pytest.mark.parametrize("wait", [0.0, 0.5])
def test_an_agent_is_found_meanwhile_and_the_transfer_fails(build: Build, wait: float) -> None:
    world = build(**script(QUEUE, **agents(wait, a1001=1)))
    world.agents.manners["1002"] = BUSY
    world.vxml.behaves(answer=0.1)
    caller = world.dial("1")
    world.run(0.13)
    world.transfer("1002")
    world.run(1.1)
    assert world.state == "queued"
    world.run(2.0)
    assert (world.state, world.call.icm_agent) == ("connected", "1001")
    caller.hang_up()


def test_an_agent_is_found_meanwhile_and_the_caller_leaves(build: Build) -> None:
    world = build(**script(QUEUE, **agents(0.5, a1001=1)))
    caller = in_queue(world)
    world.agents.manners["1002"] = Manner(ring=0.0, answer=None)
    world.transfer("1002")
    world.run(1.0)
    caller.hang_up()
    world.run(5.0)
    assert len(world.agents.lines) == 1, "no call to the agent for nobody"
    world.over()


def test_an_agent_is_found_meanwhile_and_the_transfer_succeeds(build: Build) -> None:
    world = build(**script(QUEUE, **agents(0.5, a1001=1)))
    caller = in_queue(world)
    world.transfer("1002")
    world.run(5.0)
    assert world.state == "connected"
    assert len(world.agents.lines) == 1
    caller.hang_up()


def test_the_next_in_the_queue_gets_the_agent_meanwhile(build: Build) -> None:
    world = build(**script(QUEUE, **agents(0.5, a1001=1)))
    in_queue(world)
    in_queue(world)
    first, second = world.seen.values()
    world.agents.manners["1002"] = Manner(ring=0.0, answer=3.0, refuse=486)
    world.server.transfer(first.guid, TransferCommand("1002"))
    world.run(4.0)
    assert (first.state, second.state) == ("queued", "connected")
    world.agents.lines[-1].hang_up()
    world.run(1.5)
    assert (first.state, second.state) == ("connected", "ended")
    world.caller.lines[0].hang_up()


def test_a_step_is_over_meanwhile(build: Build) -> None:
    service = {"self_service": {"application": "bank", "seconds": 1}}
    world = build(**script(service, {"connect": {"label": "1003"}}))
    world.agents.manners["1002"] = Manner(ring=0.0, answer=2.0, refuse=486)
    caller = world.dial("1")
    world.run(0.5)
    world.transfer("1002")
    world.run(1.5)
    assert world.state == "transferring"
    world.run(2.0)
    assert world.state == "connected"
    assert world.agents.line.invite.uri.startswith("sip:1003@")
    caller.hang_up()


def test_the_gateway_leaves_meanwhile(build: Build) -> None:
    """The queue goes on, on another VXML leg."""
    world = build(**script(QUEUE, **agents(2.0, a1001=1)))
    caller = in_queue(world)
    world.agents.manners["1002"] = BUSY
    world.transfer("1002")
    world.run(0.5)
    world.vxml.line.hang_up()
    world.run(1.0)
    assert world.state == "queued"
    assert len(world.vxml.lines) == 2
    world.run(3.0)
    assert (world.state, world.call.icm_agent) == ("connected", "1001")
    caller.hang_up()


def test_while_the_agent_rings(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1)))
    caller = in_queue(world)
    world.run(0.3)
    assert world.agents.line.heard == ["Invited"]
    world.transfer("1002")
    world.run(2.0)
    assert world.agents.lines[0].heard == ["Invited", "Cancelled"]
    assert world.state == "connected"
    assert world.agents.line.invite.uri.startswith("sip:1002@")
    world.run(100.0)
    assert world.state == "connected"
    caller.hang_up()


def test_while_the_agent_rings_and_it_fails(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1)))
    caller = in_queue(world)
    world.agents.manners["1002"] = BUSY
    world.run(0.3)
    world.transfer("1002")
    world.run(1.2)
    assert world.state == "queued", "in the queue again"
    world.run(1.5)
    assert (world.state, world.call.icm_agent) == ("connected", "1001")
    caller.hang_up()


def test_while_the_caller_is_being_joined(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1)))
    caller = in_queue(world)
    caller.manner = Manner(reinvite=0)
    world.run(1.5)
    variables = world.server.call_variables(world.call.guid)
    with pytest.raises(CallStateError, match="joined"):
        world.server.transfer(world.call.guid, TransferCommand("1002", ecc_variables={"user": "1"}))
    assert world.server.call_variables(world.call.guid) == variables
    caller.answer()
    world.run()
    assert world.state == "connected"
    world.terminate()


def test_while_icm_has_time_for_other_instructions(build: Build) -> None:
    """The transfer is another instruction: the call is not given up."""
    plan = script(SERVICE, {"connect": {"label": "1001"}})
    plan["icm"]["wait"] = 3
    world = build(**plan)
    world.agents.manners["1001"] = Manner(refuse=486)
    caller = world.dial("1")
    world.run()
    world.vxml.line.hang_up()
    world.run()
    assert world.history[-1] == "waiting_for_icm 3 s"
    world.transfer("1002")
    world.run(10.0)
    assert world.state == "connected"
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"


def test_before_the_callers_ack(build: Build) -> None:
    world = build()
    world.caller.behaves(acknowledge=False)
    caller = world.dial("3000")
    world.run()
    world.transfer("1002")
    world.run(2.0)
    assert world.state == "transferring", "the re-INVITE waits for the ACK"
    caller.manner = Manner()
    caller.acknowledge()
    world.run()
    assert world.state == "connected"
    assert world.vxml.line.heard == ["Invited", "PeerOddity", "Acknowledged", "Hungup"]
    world.terminate()
