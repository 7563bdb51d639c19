"""Calls that last for hours: session timers of the legs (RFC 4028)."""

from typing import Any

import pytest

from sip.message import Message
from sip.usage.session_timer import SessionTimers
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Line, Manner, Phone, direction_of, origin_of
from tests.simulator.flows.world import World

HOUR = 3600.0


def timed(phone: Phone, expires: int = 0, *, update: bool = True, refresher: str = "auto") -> None:
    """The phone has session timers; without `update` it does not say that it takes UPDATE."""
    endpoint = phone.party.endpoint
    if not update:
        endpoint.methods = tuple(method for method in endpoint.methods if method != "UPDATE")
    SessionTimers(expires, refresher=refresher).serve(endpoint)


def said(message: Message) -> str | None:
    return message.get("session-expires")


def sessions(build: Build, **timer: Any) -> World:
    """A world whose server has this under ``sip.session_timer``, and no audit."""
    return build(sip={"session_timer": timer, "audit": {"every": 0}})


@pytest.fixture
def world(build: Build) -> World:
    return sessions(build)


# Who speaks of timers.


def test_plain_calls_know_no_timers(world: World) -> None:
    line = world.connected()
    world.run(5 * HOUR)
    assert world.flow == []
    assert world.call.caller.session.timer is None
    line.hang_up()
    world.run()
    assert world.cdr.call_result == "completed"


def test_what_the_caller_asks_for_is_asked_for_on_the_other_leg(world: World) -> None:
    """CVP 10.5 carries Session-Expires and Min-SE 1800 [REC]; each leg agrees for itself."""
    timed(world.caller)
    timed(world.agents, refresher="local")
    line = world.dial("6000", lines="Session-Expires: 1800\r\nMin-SE: 1800\r\n")
    world.run(2.0)
    invite = world.agents.line.invite
    assert (said(invite), invite.get("min-se")) == ("1800", "1800")
    assert said(world.the("200 INVITE", "agents")) == "1800;refresher=uas"
    assert said(world.the("200 INVITE", to="caller")) == "1800;refresher=uac"
    line.hang_up()


def test_the_configuration_asks(build: Build) -> None:
    """CVP can add Session-Expires [SDG-HA]."""
    world = sessions(build, expires=600)
    timed(world.caller)
    timed(world.agents)
    line = world.connected()
    caller, agent = world.call.caller.session.timer, world.agents.line.session.timer
    assert caller is not None
    assert agent is not None
    assert (caller.interval, caller.refreshing) == (600, False)
    assert (agent.interval, agent.refreshing) == (600, False), "whoever sent the INVITE"
    world.run(HOUR - 10.0)
    assert len(world.sent("UPDATE", by="caller")) == 11
    assert len(world.sent("UPDATE", to="agents")) == 11
    assert world.state == "connected"
    line.hang_up()


def test_the_interval_must_not_be_too_short(world: World) -> None:
    timed(world.caller)
    world.dial("6000", lines="Session-Expires: 60\r\n")
    world.run()
    refusal = world.the("422 INVITE")
    assert refusal.get("min-se") == "90"
    assert world.seen == {}


def test_a_callee_that_wants_a_longer_interval(world: World) -> None:
    """Section 7.3: 422 is the leg's own affair; the caller does not hear of it."""
    timed(world.caller)
    SessionTimers(min_se=3600).serve(world.agents.party.endpoint)
    line = world.dial("6000", lines="Session-Expires: 1800\r\n")
    world.run(2.0)
    assert [said(invite) for invite in world.sent("INVITE")] == ["1800", "3600"]
    assert world.state == "connected"
    line.hang_up()


# Refreshes.


def test_a_refresh_goes_no_further(world: World) -> None:
    """By UPDATE: answered here, and the call does not change."""
    timed(world.caller, 1800)
    line = world.connected()
    history = world.history
    world.run(901.0)
    assert [step for step in world.flow if "caller" in step] == [
        "caller > server UPDATE",
        "server > caller 200 UPDATE",
    ]
    assert said(world.the("200 UPDATE", to="caller")) == "1800;refresher=uac"
    assert world.history == history
    line.hang_up()


def test_a_refresh_by_reinvite_goes_no_further(build: Build) -> None:
    world = sessions(build)
    methods = world.party.endpoint.methods
    timed(world.caller, 1800)
    world.party.endpoint.methods = tuple(m for m in methods if m != "UPDATE")
    world.party.endpoint.support("timer")
    line = world.connected()
    sent = world.call.caller.sent
    world.run(901.0)
    assert [step for step in world.flow if "caller" in step] == [
        "caller > server INVITE",
        "server > caller 200 INVITE",
        "caller > server ACK",
    ]
    assert world.sent("INVITE", to="agents") == []
    ok = world.the("200 INVITE", to="caller")
    assert (ok.body, said(ok)) == (sent, "1800;refresher=uac")
    line.offer("sendonly")  # something else: it concerns the agent
    world.run()
    assert direction_of(world.agents.line.received) == "sendonly"
    assert world.state == "on_hold"
    line.hang_up()


@pytest.mark.parametrize("who", ["caller", "agents"])
def test_the_server_refreshes_by_reinvite(build: Build, who: str) -> None:
    """Section 7.4: the description as it was sent last, its o= line unchanged."""
    world = sessions(build, expires=1800, refresher="local")
    timed(getattr(world, who), update=False)
    line = world.connected()
    leg = world.call.caller if who == "caller" else world.call.peer
    assert leg is not None
    sent = leg.sent
    far: Line = line if who == "caller" else world.agents.line
    for _ in range(3):
        world.forget()
        world.run(900.0)
        request = world.the("INVITE", to=who)
        assert request.body == sent
        assert said(request) == "1800;refresher=uac"
        assert said(world.the("200 INVITE", by=who)) == "1800;refresher=uac"
    assert origin_of(far.received) == origin_of(sent)
    assert world.state == "connected"
    line.hang_up()


def test_a_refresh_that_is_answered_otherwise(build: Build) -> None:
    """The answer has other media than before: the other leg is told."""
    world = sessions(build, expires=1800, refresher="local")
    timed(world.agents, update=False)
    timed(world.caller)
    line = world.connected()
    world.agents.line.media.port += 2
    world.run(900.0)
    assert f"m=audio {world.agents.line.media.port} ".encode() in line.received
    assert origin_of(line.received)[2] == 2
    line.hang_up()


def test_a_refresh_that_is_refused(build: Build) -> None:
    world = sessions(build, expires=1800, refresher="local")
    timed(world.agents, update=False)
    world.agents.behaves(reinvite=488)
    line = world.connected()
    world.run(901.0)
    assert world.history[-1] == "refresh_refused callee: SIP 488 Not Acceptable Here"
    world.run(1000.0)
    assert world.state == "ended", "nothing has refreshed it: section 10"
    assert world.history[-2:] == ["hung_up callee 1001", "ended callee hung up"]
    assert line.heard[-1] == "Hungup"
    expired = 'SIP;cause=408;text="Session timer expired"'
    assert world.the("BYE", by="agents").get("reason") == expired
    assert world.the("BYE", to="caller").get("reason") == expired


def test_a_refresh_waits_for_an_offer_and_is_dropped(build: Build) -> None:
    """A hold under way refreshes as well; what waited for it is not sent."""
    world = sessions(build, expires=100, refresher="local")
    timed(world.agents, update=False)
    line = world.connected()
    world.agents.line.manner = Manner(reinvite=0)
    world.run(47.0)
    line.offer("sendonly")  # relayed to the agent, who takes 5 s to answer
    world.run(4.0)
    world.agents.line.manner = Manner()
    world.agents.line.answer()
    world.run(1.0)
    assert len(world.sent("INVITE", to="agents")) == 1
    assert world.state == "on_hold"
    line.hang_up()


def test_a_refresh_of_a_leg_that_is_over(build: Build) -> None:
    world = sessions(build, expires=100, refresher="local")
    timed(world.agents, update=False)
    world.agents.behaves(reinvite=0)
    line = world.connected()
    world.run(52.0)
    line.hang_up()
    world.run(40.0)
    assert world.state == "ended"


def test_an_update_with_an_offer_refreshes_both(world: World) -> None:
    """UPDATE passes from the ingress leg to the other [SDG-CVP]; both 2xx settle the timer."""
    timed(world.caller, 1800)
    timed(world.agents)
    line = world.connected()
    world.run(100.0)
    line.session.update(line.now, line.media.body("sendonly"))
    world.run()
    assert said(world.the("UPDATE", to="agents")) == "1800;refresher=uac"
    assert world.the("UPDATE", to="agents").get("contact") is not None
    assert said(world.the("200 UPDATE", to="caller")) == "1800;refresher=uac"
    assert world.state == "on_hold"
    world.forget()
    world.run(899.0)
    assert world.flow == []
    line.hang_up()


# The end.


def test_a_caller_that_is_gone_is_noticed(world: World) -> None:
    timed(world.caller, 1800)
    world.connected()
    world.caller.vanish()
    world.run(1800.0)
    assert world.history[-2:] == ["leg_lost caller: SIP 408", "ended caller lost: SIP 408"]
    bye = world.sent("BYE", to="caller")[0]
    assert bye.get("reason") == 'SIP;cause=408;text="Session timer expired"'
    assert world.the("BYE", to="agents").get("reason") == "Q.850;cause=102"
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "408")
    world.over()


def test_an_agent_that_is_gone_is_noticed(build: Build) -> None:
    world = sessions(build, expires=1800, refresher="local")
    timed(world.agents)
    world.connected()
    world.agents.vanish()
    world.run(940.0)
    assert world.state == "ended"
    world.over()
