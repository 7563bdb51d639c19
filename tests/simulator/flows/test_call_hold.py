"""Hold and resume by a command: re-INVITE to both far ends (RFC 3264 section 8.4)."""

import pytest

from simulator.errors import CallNotFound, CallStateError
from tests.simulator.flows.phones import Manner, direction_of, origin_of
from tests.simulator.flows.test_call_consulted import talk_to_each_other
from tests.simulator.flows.world import Line, World


def hold(world: World) -> None:
    world.server.hold(world.call.guid)
    world.run()


def resume(world: World) -> None:
    world.server.resume(world.call.guid)
    world.run()


def test_both_far_ends(world: World) -> None:
    caller = world.connected()
    agent = world.agents.line
    before = origin_of(caller.received)
    hold(world)
    assert sorted(world.flow) == sorted(
        f"{step}"
        for name in ("caller", "agents")
        for step in (
            f"server > {name} INVITE",
            f"{name} > server 200 INVITE",
            f"server > {name} ACK",
        )
    )
    assert direction_of(caller.received) == direction_of(agent.received) == "sendonly"
    assert origin_of(caller.received) == (before[0], before[1], before[2] + 1)
    assert (world.state, world.history[-1]) == ("on_hold", "on_hold by the operator")
    resume(world)
    assert world.state == "connected"
    assert talk_to_each_other(caller, agent)
    caller.hang_up()
    world.run()
    assert world.cdr.hold_count == 1
    world.over()


@pytest.mark.parametrize("start", ["standalone", "self_service", "queued"])
def test_from_every_state(world: World, start: str) -> None:
    caller: Line = getattr(world, start)()
    state = world.state
    hold(world)
    assert (world.state, direction_of(caller.received)) == ("on_hold", "sendonly")
    resume(world)
    assert (world.state, direction_of(caller.received)) == (state, "sendrecv")
    caller.hang_up()


def test_one_will_not(world: World) -> None:
    """Neither is held then."""
    caller = world.connected()
    agent = world.agents.line
    agent.manner = Manner(reinvite=488)
    hold(world)
    assert world.state == "connected"
    assert any(e.startswith("hold_failed callee: SIP 488") for e in world.history)
    assert direction_of(caller.received) == "sendrecv"
    agent.manner = Manner()
    hold(world)
    assert world.state == "on_hold"
    caller.hang_up()


def test_not_twice(world: World) -> None:
    caller = world.connected()
    with pytest.raises(CallStateError, match="no command holds it"):
        world.server.resume(world.call.guid)
    world.server.hold(world.call.guid)
    with pytest.raises(CallStateError, match="already"):
        world.server.hold(world.call.guid)
    with pytest.raises(CallStateError, match="try again"):
        world.server.resume(world.call.guid)
    world.run()
    caller.hang_up()
    world.run()
    with pytest.raises(CallNotFound):
        world.server.hold(world.call.guid)


def test_not_while_ringing_or_transferring(world: World) -> None:
    world.agents.manners["1002"] = Manner(answer=None)
    caller = world.connected()
    world.transfer("1002")
    with pytest.raises(CallStateError, match="transferring"):
        world.server.hold(world.call.guid)
    caller.hang_up()
    world.agents.behaves(answer=None)
    ringing = world.dial("6000")
    world.run()
    with pytest.raises(CallStateError, match="ringing"):
        world.server.hold(world.call.guid)
    ringing.cancel()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_far_end_offers_meanwhile(world: World, method: str) -> None:
    """It is answered on hold; the other hears of it when the call is resumed."""
    caller = world.connected()
    agent = world.agents.line
    hold(world)
    world.forget()
    caller.media.port = 7000
    if method == "INVITE":
        caller.offer()
    else:
        caller.request("UPDATE", caller.media.body())
    world.run()
    assert direction_of(world.the(f"200 {method}", to="caller").body) == "sendonly"
    assert not world.sent(method, to="agents")
    assert world.state == "on_hold"
    resume(world)
    assert b"m=audio 7000 " in agent.received
    assert talk_to_each_other(caller, agent)
    caller.hang_up()


def test_a_far_end_holds_as_well(world: World) -> None:
    """Each ends its own hold."""
    caller = world.connected()
    hold(world)
    caller.offer("sendonly")
    world.run()
    assert direction_of(caller.received) == "inactive"
    resume(world)
    assert world.state == "on_hold"
    caller.offer()
    world.run()
    assert world.state == "connected"
    assert talk_to_each_other(caller, world.agents.line)
    caller.hang_up()


def test_a_transfer_ends_it(world: World) -> None:
    caller = world.connected()
    hold(world)
    world.transfer("1002")
    world.run(1.5)
    assert world.state == "connected"
    assert talk_to_each_other(caller, world.agents.line)
    with pytest.raises(CallStateError):
        world.server.resume(world.call.guid)
    caller.hang_up()


def test_a_transfer_that_fails_leaves_it(world: World) -> None:
    caller = world.connected()
    world.agents.manners["1002"] = Manner(refuse=486)
    hold(world)
    world.transfer("1002")
    world.run()
    assert world.state == "on_hold"
    resume(world)
    assert world.state == "connected"
    assert talk_to_each_other(caller, world.agents.lines[0])
    caller.hang_up()


@pytest.mark.parametrize("who", ["caller", "agent"])
@pytest.mark.parametrize("stage", [0.0, 0.005, 0.015, 0.1])
def test_one_leaves(world: World, who: str, stage: float) -> None:
    caller = world.connected()
    line = caller if who == "caller" else world.agents.line
    world.server.hold(world.call.guid)
    world.run(stage)
    line.hang_up()
    world.run()
    world.over()


def test_glare(world: World) -> None:
    """RFC 3261 section 14.1: both sides offer at once; one comes again."""
    caller = world.connected()
    world.server.hold(world.call.guid)
    caller.offer()
    world.run(6.0)
    assert world.state == "on_hold"
    assert direction_of(caller.received) == "sendonly"
    caller.hang_up()


@pytest.mark.parametrize("who", ["caller", "operator"])
@pytest.mark.parametrize("transfer", [False, True])
def test_who_leaves_the_queue_while_it_is_held(world: World, who: str, transfer: bool) -> None:
    """The caller waits for an agent all the same: abandoned."""
    caller = world.queued()
    if who == "operator":
        hold(world)
    else:
        caller.offer("sendonly")
        world.run()
    assert world.state == "on_hold"
    if transfer:
        world.agents.manner = Manner(answer=None)
        world.transfer("1002")
        world.run()
        assert world.state == "transferring"
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "abandoned"
    world.over()


@pytest.mark.parametrize("by", ["operator", "caller", "transfer"])
def test_who_waits_on_hold_waits_all_the_same(world: World, by: str) -> None:
    """The place in the queue goes on, and so does queueDuration; likewise in self-service."""
    for agent in ("1001", "1002", "1003"):
        world.server.desk.set_state(agent, "logged_out")
    world.agents.manners["1002"] = Manner(answer=4.0, refuse=486)
    caller = world.queued()
    times = {event: at for at, event, _ in world.call.history}
    if by == "transfer":
        world.transfer("1002")
    elif by == "caller":
        caller.offer("sendonly")
    else:
        hold(world)
    world.run(5.0)
    if by == "operator":
        resume(world)
    elif by == "caller":
        assert world.state == "on_hold"
        caller.offer()
    world.run(1.0)
    assert world.state == "queued"
    caller.hang_up()
    world.run()
    ended = world.call.history[-1][0]
    waited = 1000 * (ended - times["queued"])
    assert world.cdr.queue_duration == pytest.approx(waited, abs=1)
    served = 1000 * (times["queued"] - times["self_service"])
    assert world.cdr.self_service_duration == pytest.approx(served, abs=1)
    assert world.cdr.hold_count == (by != "transfer")
    world.over()
