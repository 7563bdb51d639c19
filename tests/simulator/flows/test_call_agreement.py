"""Both far ends know where the other's media are, whoever moves them when (RFC 3264 section 8)."""

import pytest

from tests.simulator.flows.phones import Line, Manner, direction_of
from tests.simulator.flows.world import World


def knows(one: Line, other: Line) -> bool:
    """Whether what one has heard last is where the other is."""
    return f"m=audio {other.media.port} ".encode() in one.received


def move(line: Line) -> None:
    """Its media go to another port from its next description on."""
    line.media.port += 2


def test_an_answer_to_update_moves_the_media(world: World) -> None:
    caller = world.connected()
    agent = world.agents.line
    move(caller)
    agent.request("UPDATE", agent.media.body())
    world.run()
    assert knows(agent, caller)
    world.transfer("1002")
    world.run()
    assert knows(world.agents.line, caller), "it is offered what the caller has said last"
    caller.hang_up()


def test_a_target_that_moves_while_it_is_realigned(world: World) -> None:
    """The caller answers with other media than the target was offered, and the target does too."""
    caller = world.connected()
    world.agents.manners["1002"] = Manner(answer=0.0, think=0.1)
    world.transfer("1002")
    move(caller)
    world.run(0.1)
    target = world.agents.line
    move(target)
    world.run(0.5)
    assert world.state == "connected"
    assert knows(target, caller)
    assert knows(caller, target)
    caller.hang_up()


def test_a_target_that_holds_is_told_to_the_caller_once(world: World) -> None:
    """A direction that is the answer to the caller's own is nothing new to it."""
    caller = world.connected()
    caller.offer("sendonly")
    world.run()
    world.forget()
    world.transfer("1002")
    world.run(1.5)
    assert len(world.sent("INVITE", to="caller")) == 1
    caller.hang_up()


def test_what_was_agreed_before_a_refused_offer(world: World) -> None:
    """The caller's own re-INVITE is answered while the offer of a transfer waits for it."""
    caller = world.connected()
    agent = world.agents.line
    agent.manner = Manner(think=0.3)
    caller.offer()
    move(agent)
    world.agents.manners["1002"] = Manner(answer=0.0)
    world.transfer("1002")
    caller.manner = Manner(reinvite=488)
    world.run(1.0)
    assert world.state == "connected"
    assert any(line.startswith("transfer_failed 1002: SIP 488") for line in world.history)
    caller.manner = Manner()
    world.server.hold(world.call.guid)
    world.run()
    assert knows(caller, agent), "the hold is of what it was told last"
    caller.hang_up()


# While the caller is on hold for a consultation.


@pytest.mark.parametrize("who", ["caller", "agent"])
def test_one_moves_while_the_caller_is_held(world: World, who: str) -> None:
    """Nothing comes of the consultation: the caller is led to where the agent is now."""
    caller = world.connected()
    agent = world.agents.line
    world.agents.manners["9486"] = Manner(answer=1.0, refuse=486)
    if who == "caller":
        move(caller)  # in its answer to the hold
    world.transfer("9486", "consultation")
    world.run(0.3)
    if who == "agent":
        move(agent)
        agent.offer()
    world.run(1.5)
    assert world.state == "connected"
    assert knows(caller, agent)
    assert knows(agent, caller)
    caller.hang_up()


def test_a_caller_that_resumes_while_it_is_held(world: World) -> None:
    """It is led back to the agent, and not to the hold that it has ended."""
    caller = world.connected()
    caller.offer("sendonly")
    world.run()
    world.agents.manners["9486"] = Manner(answer=1.0, refuse=486)
    world.transfer("9486", "consultation")
    world.run(0.3)
    caller.offer()
    world.run(1.5)
    assert world.state == "connected"
    assert direction_of(caller.received) == direction_of(world.agents.lines[0].received)
    assert direction_of(caller.received) == "sendrecv"
    caller.hang_up()


# After a transfer.


def test_a_former_partner_is_not_heard(world: World) -> None:
    """Its re-INVITE has waited behind the offer by which the caller left it."""
    caller = world.connected()
    phone = world.agents.line
    caller.manner = Manner(think=0.3)
    world.agents.manners["1002"] = Manner(answer=0.0)
    phone.transfer(f"sip:1002@{world.address}")
    world.run(0.1)
    move(phone)
    phone.offer()
    world.run(1.0)
    assert phone.news == [202, 100, 200]
    assert world.sent("491 INVITE", to="agents")
    assert knows(caller, world.agents.line)
    caller.hang_up()


def test_a_gateway_that_is_lost_while_it_is_realigned(world: World) -> None:
    """It does not know the call any more: the script goes on."""
    caller = world.connected()
    world.vxml.behaves(reinvite=0, info=481)
    world.transfer("7000")
    move(caller)
    world.run(0.5)
    assert world.state == "self_service"
    caller.request("INFO", b"Signal=5\r\n", "application/dtmf-relay")
    world.run(0.5)
    assert (world.state, world.call.work) == ("queued", None)
    assert len(world.vxml.lines) == 2
    caller.hang_up()
