"""Consultation that a command completes: the agent talks to the target, then the caller does."""

from collections.abc import Callable

import pytest

from simulator.errors import CallStateError
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Line, Manner, direction_of, origin_of
from tests.simulator.flows.world import World


@pytest.fixture
def desk(build: Build) -> World:
    """A server where commands complete consultations, by re-INVITE."""
    return build(transfer={"consultation": "manual", "replaces": False})


def complete(world: World) -> None:
    world.server.complete_transfer(world.call.guid)


def cancel(world: World) -> None:
    world.server.cancel_transfer(world.call.guid)


def talk_to_each_other(one: Line, other: Line) -> bool:
    """Whether each has been told last where the other is."""
    return (
        f"m=audio {one.media.port}".encode() in other.received
        and f"m=audio {other.media.port}".encode() in one.received
        and {direction_of(one.received), direction_of(other.received)} == {"sendrecv"}
    )


class Talk:
    """An agent who consults 1002, with the caller on hold."""

    def __init__(self, world: World) -> None:
        self.caller = world.connected()
        self.agent = world.agents.line
        self.before = self.caller.received
        world.transfer("1002", "consultation")
        world.run(1.5)
        self.target = world.agents.line
        assert world.state == "transferring"

    def together(self) -> bool:
        """Whether caller and agent have each other again."""
        return talk_to_each_other(self.caller, self.agent)


def test_the_agent_talks_to_the_target(desk: World) -> None:
    talk = Talk(desk)
    assert desk.flow == [
        "server > caller INVITE",
        "caller > server 200 INVITE",
        "server > caller ACK",
        "server > agents INVITE",
        "agents > server 180 INVITE",
        "agents > server 200 INVITE",
        "server > agents INVITE",
        "agents > server 200 INVITE",
        "server > agents ACK",
        "server > agents ACK",
    ]
    assert direction_of(talk.caller.received) == "sendonly"
    assert talk_to_each_other(talk.agent, talk.target)
    states = {s.session_id: s.state for s in desk.server.sessions(10)[1]}
    assert list(states.values()) == ["confirmed"] * 3
    (guid,) = desk.server.calls
    legs = desk.server.legs(guid)
    assert [one.leg for one in legs] == ["caller", "callee", "transfer"]
    assert legs[2].number == "1002"
    assert [one.session.session_id for one in legs] == list(states)
    assert desk.history[-1] == "consulting 1002"
    talk.caller.hang_up()
    desk.run()
    assert {talk.agent.heard[-1], talk.target.heard[-1]} == {"Hungup"}
    assert desk.cdr.call_result == "completed"
    assert desk.moved == ("consultation", "reinvite", "rest", "cancelled", 487)
    desk.over()


def test_completed(desk: World) -> None:
    talk = Talk(desk)
    desk.forget()
    complete(desk)
    desk.run()
    assert desk.flow == [
        "server > agents INVITE",
        "agents > server 200 INVITE",
        "server > caller INVITE",
        "caller > server 200 INVITE",
        "server > caller ACK",
        "server > agents ACK",
        "server > agents BYE",
        "agents > server 200 BYE",
    ]
    assert talk_to_each_other(talk.caller, talk.target)
    assert talk.agent.heard[-1] == "Hungup"
    assert desk.state == "connected"
    assert desk.moved == ("consultation", "reinvite", "rest", "completed", 200)
    talk.caller.hang_up()
    desk.run()
    assert (desk.cdr.call_result, desk.cdr.transfer_destination) == ("transferred", "1002")
    desk.over()


def test_cancelled(desk: World) -> None:
    talk = Talk(desk)
    cancel(desk)
    desk.run()
    assert talk.target.heard[-1] == "Hungup"
    assert talk.together()
    assert talk.caller.received.partition(b"\r\ns=")[2] == talk.before.partition(b"\r\ns=")[2]
    assert desk.state == "connected"
    assert desk.moved == ("consultation", "reinvite", "rest", "cancelled", 487)
    talk.caller.hang_up()
    desk.run()
    assert desk.cdr.call_result == "completed"
    desk.over()


def test_cancelled_while_it_rings(desk: World) -> None:
    caller = desk.connected()
    agent = desk.agents.line
    desk.transfer("1002", "consultation")
    desk.run(0.5)
    cancel(desk)
    desk.run()
    assert desk.agents.line.heard == ["Invited", "Cancelled"]
    assert desk.state == "connected"
    assert talk_to_each_other(caller, agent)
    caller.hang_up()


def test_cancelled_while_the_agent_is_asked(desk: World) -> None:
    caller = desk.connected()
    agent = desk.agents.line
    agent.manner = Manner(reinvite=0)
    desk.transfer("1002", "consultation")
    desk.run(1.5)
    cancel(desk)
    desk.run()
    agent.manner = Manner()
    agent.answer()
    desk.run()
    assert desk.state == "connected"
    assert talk_to_each_other(caller, agent)
    caller.hang_up()
    desk.run()
    desk.over()


def test_a_blind_transfer_can_be_cancelled_too(world: World) -> None:
    caller = world.connected()
    world.transfer("1002")
    world.run(0.5)
    cancel(world)
    world.run()
    assert (world.state, world.moved[3]) == ("connected", "cancelled")
    assert world.agents.line.heard == ["Invited", "Cancelled"]
    caller.hang_up()


def test_so_can_one_of_a_phone(world: World) -> None:
    caller = world.connected()
    agent = world.agents.line
    agent.transfer(f"sip:1002@{world.address}")
    world.run(0.5)
    cancel(world)
    world.run()
    assert agent.news == [202, 100, 180, 487]
    assert world.state == "connected"
    caller.hang_up()


@pytest.mark.parametrize("command", [complete, cancel])
def test_without_a_transfer(world: World, command: object) -> None:
    caller = world.connected()
    with pytest.raises(CallStateError):
        command(world)  # type: ignore[operator]
    caller.hang_up()


def test_complete_before_the_answer(desk: World) -> None:
    caller = desk.connected()
    desk.transfer("1002", "consultation")
    desk.run(0.5)
    with pytest.raises(CallStateError, match="not answered"):
        complete(desk)
    desk.run(1.0)
    complete(desk)
    with pytest.raises(CallStateError, match="already"):
        complete(desk)
    desk.run()
    assert desk.state == "connected"
    caller.hang_up()


def test_cancel_while_the_caller_is_put_on_hold(desk: World) -> None:
    caller = desk.connected()
    desk.transfer("1002", "consultation")
    with pytest.raises(CallStateError, match="try again"):
        cancel(desk)
    desk.run(1.5)
    cancel(desk)
    desk.run()
    caller.hang_up()


# What goes wrong: the call is where it was.


def test_the_caller_will_not_hold(desk: World) -> None:
    caller = desk.connected()
    caller.manner = Manner(reinvite=488)
    desk.transfer("1002", "consultation")
    desk.run()
    assert (desk.state, len(desk.agents.lines)) == ("connected", 1)
    assert desk.moved[3:] == ("failed", 488)
    caller.hang_up()


@pytest.mark.parametrize("status", [404, 486])
def test_the_target_refuses(desk: World, status: int) -> None:
    caller = desk.connected()
    agent = desk.agents.line
    desk.agents.manners["1002"] = Manner(ring=0.0, answer=0.5, refuse=status)
    desk.transfer("1002", "consultation")
    desk.run(1.0)
    assert desk.state == "connected"
    assert desk.moved[3:] == ("failed", status)
    assert talk_to_each_other(caller, agent)
    caller.hang_up()


def test_the_target_never_answers(build: Build) -> None:
    world = build(transfer={"consultation": "manual", "ring_no_answer": 2})
    caller = world.connected()
    agent = world.agents.line
    world.agents.manners["1002"] = Manner(ring=0.0, answer=None)
    world.transfer("1002", "consultation")
    world.run(3.0)
    assert (world.state, world.moved[3:]) == ("connected", ("failed", 408))
    assert talk_to_each_other(caller, agent)
    caller.hang_up()


def test_the_agent_will_not_talk(desk: World) -> None:
    caller = desk.connected()
    agent = desk.agents.line
    agent.manner = Manner(reinvite=488)
    desk.transfer("1002", "consultation")
    desk.run(1.5)
    assert desk.agents.line.heard[-1] == "Hungup"
    assert (desk.state, desk.moved[3:]) == ("connected", ("failed", 488))
    assert direction_of(caller.received) == "sendrecv"
    caller.hang_up()


def test_the_target_hangs_up(desk: World) -> None:
    talk = Talk(desk)
    talk.target.hang_up()
    desk.run()
    assert talk.together()
    assert (desk.state, desk.moved[3:]) == ("connected", ("failed", 487))
    talk.caller.hang_up()


def test_the_target_hangs_up_while_the_agent_is_asked(desk: World) -> None:
    caller = desk.connected()
    agent = desk.agents.line
    agent.manner = Manner(reinvite=0)
    desk.transfer("1002", "consultation")
    desk.run(1.5)
    desk.agents.line.drop()
    desk.run()
    agent.manner = Manner()
    agent.answer()
    desk.run()
    assert desk.state == "connected"
    assert talk_to_each_other(caller, agent)
    caller.hang_up()


@pytest.mark.parametrize("who", ["caller", "target"])
def test_one_refuses_to_be_joined(desk: World, who: str) -> None:
    talk = Talk(desk)
    getattr(talk, who).manner = Manner(reinvite=488)
    complete(desk)
    desk.run(0.03)
    talk.caller.manner = Manner()
    desk.run()
    assert talk.target.heard[-1] == "Hungup"
    assert (desk.state, desk.moved[3:]) == ("connected", ("failed", 488))
    assert talk.together()
    talk.caller.hang_up()
    desk.run()
    assert desk.cdr.call_result == "completed"


@pytest.mark.parametrize("stage", [0.0, 0.005, 0.015, 0.025, 0.035])
@pytest.mark.parametrize("who", ["caller", "target", "agent"])
def test_one_leaves_while_they_are_joined(desk: World, who: str, stage: float) -> None:
    talk = Talk(desk)
    complete(desk)
    desk.run(stage)
    getattr(talk, who).drop()
    desk.run(1.0)
    if who == "caller":
        assert desk.state == "ended"
        assert talk.target.session.state == talk.agent.session.state == 3
    elif who == "agent":
        assert desk.state == "connected"
        assert talk_to_each_other(talk.caller, talk.target)
    if desk.state != "ended":
        talk.caller.hang_up()
        desk.run()
    desk.over()


@pytest.mark.parametrize("stage", [0.0, 0.015, 0.5, 1.01, 1.03, 1.05])
@pytest.mark.parametrize("who", ["caller", "agent", "terminate"])
def test_one_leaves_at_each_stage(desk: World, who: str, stage: float) -> None:
    caller = desk.connected()
    agent = desk.agents.line
    desk.transfer("1002", "consultation")
    desk.run(stage)
    if who == "terminate":
        desk.terminate()
    else:
        (caller if who == "caller" else agent).drop()
    desk.run(1.5)
    if who == "agent":  # there is nobody to consult any more
        assert desk.state == "connected"
        assert talk_to_each_other(caller, desk.agents.line)
        caller.hang_up()
        desk.run()
        assert desk.cdr.call_result == "transferred"
    assert all(line.session.state == 3 for line in desk.agents.lines)
    desk.over()


def test_the_agent_completes_it_by_hanging_up(desk: World) -> None:
    talk = Talk(desk)
    talk.agent.hang_up()
    desk.run()
    assert desk.state == "connected"
    assert talk_to_each_other(talk.caller, talk.target)
    assert desk.moved[3:] == ("completed", 200)
    talk.caller.hang_up()


def test_the_agent_and_the_target_have_each_other(desk: World) -> None:
    """What one says goes to the other, and not to the caller on hold."""
    talk = Talk(desk)
    desk.forget()
    talk.agent.offer("sendonly")
    talk.target.request("INFO", b"Signal=1\r\n", "application/dtmf-relay")
    talk.caller.request("INFO", b"Signal=2\r\n", "application/dtmf-relay")
    desk.run()
    assert direction_of(talk.target.received) == "sendonly"
    assert len(desk.sent("INFO", to="agents")) == 1
    assert not [step for step in desk.flow if "server > caller INVITE" in step]
    talk.agent.offer()
    desk.run()
    cancel(desk)
    desk.run()
    assert talk.together()
    talk.caller.hang_up()


@pytest.mark.parametrize("start", ["standalone", "self_service", "queued"])
def test_nobody_to_consult(desk: World, start: str) -> None:
    """The target waits on hold until the command comes."""
    caller: Line = getattr(desk, start)()
    state = desk.state
    desk.transfer("1002", "consultation")
    desk.run(1.5)
    assert direction_of(desk.agents.line.received) == "inactive"
    cancel(desk)
    desk.run()
    assert desk.state == state
    desk.transfer("1002", "consultation")
    desk.run(1.5)
    complete(desk)
    desk.run()
    assert desk.state == "connected"
    assert talk_to_each_other(caller, desk.agents.line)
    caller.hang_up()


def test_offerless(build: Build) -> None:
    """sdp.mid_call: the target makes each offer."""
    world = build(transfer={"consultation": "manual"}, sdp={"mid_call": "offerless"})
    talk = Talk(world)
    assert talk_to_each_other(talk.agent, talk.target)
    complete(world)
    world.run()
    assert talk_to_each_other(talk.caller, talk.target)
    talk.caller.hang_up()
    world.run()
    world.over()


def test_a_transfer_of_a_transfer(desk: World) -> None:
    """Who has been joined consults the next one."""
    talk = Talk(desk)
    complete(desk)
    desk.run()
    desk.transfer("1003", "consultation")
    desk.run(1.5)
    last = desk.agents.line
    assert talk_to_each_other(talk.target, last)
    complete(desk)
    desk.run()
    assert talk_to_each_other(talk.caller, last)
    talk.caller.hang_up()
    desk.run()
    assert (desk.cdr.transfer_destination, len(desk.cdr.legs)) == ("1003", 4)


# What the caller hears.


@pytest.fixture
def ringing(build: Build) -> World:
    """A server that leads the caller to the ringtone service meanwhile."""
    return build(
        transfer={"consultation": "manual", "consultation_caller": "ringtone", "replaces": False},
        services={"ringtone": "9191"},
    )


@pytest.mark.parametrize("end", [complete, cancel])
def test_the_caller_hears_ringback(ringing: World, end: Callable[[World], None]) -> None:
    world = ringing
    talk = Talk(world)
    service = world.vxml.line
    assert service.invite.uri.startswith("sip:9191@")
    assert talk_to_each_other(talk.caller, service)
    assert talk_to_each_other(talk.agent, talk.target)
    assert [leg.kind for leg in world.call.legs][-2:] == ["transfer", "ringtone"]
    end(world)
    world.run()
    assert service.heard[-1] == "Hungup"
    assert world.state == "connected"
    assert talk_to_each_other(talk.caller, talk.target if end is complete else talk.agent)
    talk.caller.hang_up()
    world.run()
    world.over()


@pytest.mark.parametrize("status", [404, 486])
def test_no_ringback(ringing: World, status: int) -> None:
    """The caller is on hold then."""
    world = ringing
    world.vxml.manners["9191"] = Manner(refuse=status)
    talk = Talk(world)
    assert direction_of(talk.caller.received) == "sendonly"
    assert any(e.startswith(f"no_ringtone 9191: SIP {status}") for e in world.history)
    cancel(world)
    world.run()
    assert talk.together()
    talk.caller.hang_up()


def test_no_way_to_the_ringback(build: Build) -> None:
    world = build(
        transfer={"consultation": "manual", "consultation_caller": "ringtone"},
        services={"ringtone": "5191"},
    )
    talk = Talk(world)
    assert "no_route ringtone 5191: add it under routes" in world.history
    complete(world)
    world.run()
    assert talk_to_each_other(talk.caller, talk.target)
    talk.caller.hang_up()


def test_the_ringback_has_the_digits_of_the_caller(build: Build) -> None:
    """CVP.md 4: significant digits lead the ringtone's number, as they lead every label."""
    world = build(
        dial_plan={"significant_digits": 2},
        transfer={"consultation": "manual", "consultation_caller": "ringtone", "replaces": False},
        services={"ringtone": "9191"},
        dialed_numbers=[{"pattern": "6>", "label": "1001"}],
        routes=["771XXX=sip:192.0.2.3", "779191=sip:192.0.2.2"],
    )
    caller = world.dial("776000")
    world.run(1.5)
    world.transfer("1002", "consultation")
    world.run(2.0)
    assert [line.invite.uri.partition("@")[0] for line in world.vxml.lines] == ["sip:779191"]
    assert talk_to_each_other(caller, world.vxml.line)
    caller.hang_up()


def test_a_caller_that_wants_no_ringback(ringing: World) -> None:
    world = ringing
    world.vxml.manners["9191"] = Manner(ring=0.0, answer=0.5)
    caller = world.connected()
    world.transfer("1002", "consultation")
    world.run(0.3)
    caller.manner = Manner(reinvite=488)
    world.run(0.5)
    caller.manner = Manner()
    world.run(0.7)
    assert world.vxml.line.heard[-1] == "Hungup"
    assert any(e.startswith("no_ringtone caller: SIP 488") for e in world.history)
    complete(world)
    world.run()
    assert talk_to_each_other(caller, world.agents.line)
    caller.hang_up()


@pytest.mark.parametrize("stage", [0.0, 0.03, 0.05, 0.5, 1.02, 1.2])
@pytest.mark.parametrize("who", ["caller", "agent", "ringtone", "target"])
def test_one_leaves_during_the_ringback(ringing: World, who: str, stage: float) -> None:
    world = ringing
    caller = world.connected()
    agent = world.agents.line
    world.transfer("1002", "consultation")
    world.run(stage)
    lines = {"caller": caller, "agent": agent}
    if who == "ringtone" and world.vxml.lines:
        lines[who] = world.vxml.line
    if who == "target" and len(world.agents.lines) > 1:
        lines[who] = world.agents.line
    leaver = lines.get(who)
    if leaver is not None and leaver.session.state == 2:
        leaver.drop()
    world.run(2.0)
    if world.state != "ended":
        world.terminate()
        world.run()
    assert all(line.session.state == 3 for line in (*world.agents.lines, *world.vxml.lines))
    world.over()


# With Replaces.


@pytest.fixture
def by_replaces(build: Build) -> World:
    """The same, with far ends that know REFER and Replaces."""
    world = build(transfer={"consultation": "manual"})
    for phone in (world.caller, world.agents):
        phone.party.endpoint.support("replaces")
    return world


def test_by_refer_with_replaces(by_replaces: World) -> None:
    """RFC 5589 section 7.3: the caller calls the target in our place."""
    world = by_replaces
    talk = Talk(world)
    complete(world)
    world.run()
    refer = world.the("REFER", to="caller")
    dialog = talk.target.session.dialog
    to = refer.get("refer-to") or ""
    assert f"{dialog.local_tag}" in to
    assert "Replaces=" in to
    assert to.startswith(f"<sip:{world.agents.host}"), "its Contact"
    talk.caller.accept_refer()
    talk.target.hang_up()  # replaced
    talk.caller.notify(200)
    world.run()
    talk.caller.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"
    assert talk.agent.heard[-1] == "Hungup"
    assert world.moved == ("consultation", "replaces", "rest", "completed", 200)
    world.over()


@pytest.mark.parametrize("how", ["refused", "failed", "silence"])
def test_a_caller_that_will_not(build: Build, how: str) -> None:
    """By re-INVITE then: both are still here."""
    world = build(transfer={"consultation": "manual", "ring_no_answer": 5})
    for phone in (world.caller, world.agents):
        phone.party.endpoint.support("replaces")
    talk = Talk(world)
    complete(world)
    world.run()
    if how == "refused":
        talk.caller.refuse_refer(603)
    else:
        talk.caller.accept_refer()
        if how == "failed":
            talk.caller.notify(486)
    world.run(6.0)
    assert world.state == "connected"
    assert talk_to_each_other(talk.caller, talk.target)
    assert world.moved[3:] == ("completed", 200)
    assert any(e.startswith("replaces_failed SIP") for e in world.history)
    talk.caller.hang_up()
    world.run()
    world.over()


@pytest.mark.parametrize("who", ["agent", "target"])
def test_who_talks_to_whom_until_the_caller_has_gone_over(by_replaces: World, who: str) -> None:
    """While the REFER is pending agent and target have each other still, the caller nobody."""
    world = by_replaces
    talk = Talk(world)
    complete(world)
    world.run()
    talk.caller.accept_refer()
    world.run()
    before = talk.caller.received
    one, other = (talk.agent, talk.target) if who == "agent" else (talk.target, talk.agent)
    one.offer("sendonly")
    world.run()
    assert direction_of(other.received) == "sendonly"
    assert talk.caller.received == before
    one.offer()
    world.run()
    assert talk_to_each_other(one, other)
    talk.caller.offer()
    world.run()
    assert world.sent("491 INVITE", to="caller")
    assert talk_to_each_other(one, other)
    talk.caller.notify(486)
    world.run(3.0)
    assert talk_to_each_other(talk.caller, talk.target)
    talk.caller.hang_up()
    world.run()
    world.over()


def test_replaced_and_not_told(by_replaces: World) -> None:
    """The target has gone over, then the caller says that it failed: the agent has it back."""
    world = by_replaces
    talk = Talk(world)
    complete(world)
    world.run()
    talk.caller.accept_refer()
    talk.target.hang_up()
    world.run()
    assert world.state == "transferring"
    talk.caller.notify(503)
    world.run()
    assert (world.state, world.moved[3:]) == ("connected", ("failed", 503))
    assert talk.together()
    talk.caller.hang_up()


@pytest.mark.parametrize("who", ["caller", "agents"])
def test_only_where_both_know_it(build: Build, who: str) -> None:
    world = build(transfer={"consultation": "manual"})
    getattr(world, who).party.endpoint.support("replaces")
    talk = Talk(world)
    complete(world)
    world.run()
    assert not world.sent("REFER")
    assert world.state == "connected"
    talk.caller.hang_up()


def test_the_description_is_that_of_the_agent(desk: World) -> None:
    """The target is called with what the agent can do, in the agent's own words."""
    talk = Talk(desk)
    assert origin_of(talk.target.invite.body)[0] == desk.agents.host
    talk.caller.hang_up()
