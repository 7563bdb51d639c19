"""The ringtone service leg between queue and agent [TN178]."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import SILENT, Manner, direction_of, origin_of
from tests.simulator.flows.test_call_treatment import QUEUE, agents, script
from tests.simulator.flows.world import Line, World

ON: dict[str, Any] = {"services": {"ringtone": "9191"}}


def ringing(world: World) -> Line:
    """A caller who hears the ringtone while the agent's phone rings."""
    world.agents.manner = Manner(ring=0.0, answer=None)
    line = world.queued()
    world.forget()
    world.run(3.2)
    assert [leg.kind for leg in world.call.legs] == ["caller", "vxml", "ringtone", "agent"]
    return line


def test_the_order_of_messages(build: Build) -> None:
    """Steps 8 to 12: VRU released, ringtone joined, agent called, ringtone released, joined."""
    world = build(**ON)
    line = world.queued()
    world.forget()
    world.run(5.0)
    assert world.flow == [
        "server > vxml BYE",
        "server > vxml INVITE",
        "vxml > server 200 BYE",
        "vxml > server 200 INVITE",
        "server > caller INVITE",
        "caller > server 200 INVITE",
        "server > caller ACK",
        "server > vxml ACK",
        "server > agents INVITE",
        "agents > server 180 INVITE",
        "agents > server 200 INVITE",
        "server > vxml BYE",
        "server > caller INVITE",
        "vxml > server 200 BYE",
        "caller > server 200 INVITE",
        "server > caller ACK",
        "server > agents ACK",
    ]
    assert world.state == "connected"
    assert world.vxml.line.invite.uri.startswith("sip:9191@")
    assert "ringtone 9191" in world.history
    world.forget()
    line.hang_up()
    world.run()
    bye = world.the("BYE")
    assert (bye.get("reason"), world.cdr.call_result) == ("Q.850;cause=16", "completed")
    kinds = [leg.leg_type for leg in world.cdr.legs]
    assert kinds == ["inbound", "outbound", "outbound", "outbound"], "four SIP calls [SDG-SIZE]"
    world.over()


def test_what_each_party_is_told_of_the_media(build: Build) -> None:
    """The caller hears the service, then the agent, under one o= with a rising version."""
    world = build(**ON)
    line = world.queued()
    world.run(5.0)
    ringtone, agent = world.vxml.line, world.agents.line
    offers = [m.body for m in line.requests if m.method == "INVITE"]
    assert [origin_of(body)[0] for body in offers] == [world.vxml.host, world.agents.host]
    assert len({origin_of(body)[1] for body in offers}) == 1
    assert origin_of(ringtone.invite.body)[0] == world.caller.host
    assert origin_of(agent.invite.body)[0] == world.caller.host
    assert origin_of(agent.received)[0] == world.caller.host
    assert {direction_of(m) for m in (line.received, agent.received)} == {"sendrecv"}
    line.hang_up()


def test_the_state_is_queued_until_the_agent_answers(build: Build) -> None:
    world = build(**ON)
    line = ringing(world)
    assert (world.state, world.call.icm_agent) == ("queued", "1001")
    assert line.statuses == [200]
    line.hang_up()
    world.run()
    assert world.cdr.call_result == "abandoned"
    world.over()


def test_switched_off(build: Build) -> None:
    world = build(services={"ringtone": ""})
    line = world.queued()
    world.run(5.0)
    assert len(world.vxml.lines) == 1
    line.hang_up()


def test_no_route_to_the_ringtone_service(build: Build) -> None:
    """A lab without a static route for 9191: the agent is called all the same."""
    world = build(services={"ringtone": "5191"})
    line = world.queued()
    world.run(5.0)
    assert "no_route ringtone 5191: add it under routes" in world.history
    assert (world.state, len(world.vxml.lines)) == ("connected", 1)
    line.hang_up()


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        (Manner(refuse=404), "SIP 404 Not Found"),
        (SILENT, "SIP 408 ring no answer"),
    ],
)
def test_a_ringtone_service_that_does_not_answer(build: Build, manner: Manner, reason: str) -> None:
    world = build(**ON)
    line = world.queued()
    world.vxml.manners["9191"] = manner
    world.run(10.0)
    assert f"no_ringtone 9191: {reason}" in world.history
    assert world.state == "connected"
    line.hang_up()
    world.run()
    assert world.cdr.error_code is None
    world.over()


def test_a_ringtone_service_that_cannot_be_called(build: Build) -> None:
    world = build(routes=["9191=sip:192.0.2.9:5060;transport=tcp"], **ON)
    line = world.queued()
    world.run(5.0)
    assert world.state == "connected"
    line.hang_up()


def test_a_caller_who_does_not_want_the_ringtone(build: Build) -> None:
    """488 to the first re-INVITE; the one for the agent is accepted."""
    world = build(**ON)
    line = world.queued()
    line.manner = Manner(reinvite=488)
    world.run(3.1)
    line.manner = Manner()
    world.run(2.0)
    assert "no_ringtone 9191: SIP 488 Not Acceptable Here" in world.history
    assert world.state == "connected"
    line.hang_up()


def test_the_ringtone_service_hangs_up_while_the_agent_rings(build: Build) -> None:
    world = build(**ON)
    line = ringing(world)
    world.vxml.line.hang_up()
    world.run()
    assert world.state == "queued"
    world.agents.line.answer()
    world.run()
    assert world.state == "connected"
    line.hang_up()


def test_the_ringtone_service_hangs_up_before_it_is_joined(build: Build) -> None:
    world = build(**ON)
    line = world.queued()
    line.manner = Manner(reinvite=0)
    world.run(3.05)
    world.vxml.line.drop()
    world.run()
    line.manner = Manner()
    line.answer()
    world.run(2.0)
    assert world.state == "connected"
    line.hang_up()


def test_the_ringtone_service_hangs_up_while_it_is_asked_again(build: Build) -> None:
    """It was called without an offer of the caller's: what differs is told it by re-INVITE."""
    world = build(sdp={"mid_call": "offer"}, **ON)
    line = world.queued()
    world.vxml.manners["9191"] = Manner(reinvite=0)
    line.media.port += 2  # the caller answers from another port: its partner has to know
    world.run(3.2)
    ringtone = world.vxml.line
    assert ringtone.heard[-1] == "Reinvited"
    ringtone.hang_up()
    world.run(2.0)
    assert world.state == "connected"
    line.hang_up()


def test_a_busy_agent_leads_back_to_the_queue(build: Build) -> None:
    """Requery: the caller hears the ringtone until the VRU has answered again."""
    world = build(**script(QUEUE, **agents(a1001=1, a1002=1)), **ON)
    world.agents.manners["1001"] = Manner(refuse=486)
    world.dial("1")
    world.run(0.02)
    world.forget()
    world.run(2.0)
    assert (world.state, world.call.icm_agent) == ("connected", "1002")
    assert [line.invite.uri.partition("@")[0] for line in world.vxml.lines] == [
        "sip:777000000000001",
        "sip:9191",
        "sip:777000000000002",
        "sip:9191",
    ]
    assert all("Hungup" in line.heard for line in world.vxml.lines)
    world.terminate()
    world.over()


def test_the_last_agent_is_busy(build: Build) -> None:
    """The caller hears the ringtone while ICM is waited for, then the call ends on both legs."""
    plan = script({"self_service": {"application": "a", "seconds": 1}},
                  {"connect": {"label": "9486"}}, wait=2)  # fmt: skip
    world = build(**plan, **ON)
    line = world.dial("1")
    world.run(2.0)
    assert world.history[-1] == "waiting_for_icm 2 s"
    assert "Hungup" not in world.vxml.line.heard
    world.run(2.0)
    assert (line.requests[-1].get("reason") or "").startswith("SIP;cause=486")
    assert world.cdr.error_code == "486"
    world.over()


def test_a_transfer_by_rest_takes_the_place_of_the_agent(build: Build) -> None:
    world = build(**ON)
    line = ringing(world)
    world.agents.manner = Manner(answer=0.5)
    world.transfer("1002")
    world.run()
    assert "Hungup" not in world.vxml.line.heard, "the caller hears it until the target answers"
    world.run(2.0)
    assert world.state == "connected"
    assert "Cancelled" in world.agents.lines[0].heard
    assert "Hungup" in world.vxml.line.heard
    line.hang_up()


def test_a_transfer_while_the_ringtone_is_called(build: Build) -> None:
    """Neither the service nor the agent is wanted any more, and the agent is free."""
    world = build(**ON)
    world.vxml.manners["9191"] = SILENT
    line = world.queued()
    world.run(3.1)
    world.transfer("1002")
    world.run(2.0)
    assert world.state == "connected"
    assert "Cancelled" in world.vxml.line.heard
    assert [one.invite.uri.partition("@")[0] for one in world.agents.lines] == ["sip:1002"]
    assert not world.server.skill_groups.agents["1001"].busy
    line.hang_up()


def test_a_failed_transfer_leads_back_to_the_queue(build: Build) -> None:
    world = build(**ON)
    line = ringing(world)
    world.transfer("9486")
    world.agents.manner = Manner()
    world.run(3.0)
    assert world.state == "connected"
    assert any(entry.startswith("requery") for entry in world.history)
    line.hang_up()


def test_a_ringtone_of_the_pattern(build: Build) -> None:
    """Per pattern: another service number, and the file that it is to play [CG-SYS]."""
    world = build(
        routes=[
            {
                "pattern": "1XXX",
                "to": "sip:192.0.2.3:5060",
                "ringtone": "91915",
                "ringtone_file": "sales.wav",
            }
        ],
        **ON,
    )
    line = world.queued()
    world.run(5.0)
    invite = world.vxml.line.invite
    assert invite.uri.startswith("sip:91915@")
    assert invite.get("x-announcement") == "sales.wav"
    assert world.state == "connected"
    line.hang_up()


def test_none_at_all_though_a_pattern_has_one(build: Build) -> None:
    routes = [{"pattern": "1XXX", "to": "sip:192.0.2.3:5060", "ringtone": "91915"}]
    world = build(routes=routes, services={"ringtone": ""})
    line = world.queued()
    world.run(5.0)
    assert len(world.vxml.lines) == 1
    line.hang_up()


MOMENTS: dict[str, tuple[Manner, float]] = {
    "the ringtone is called": (SILENT, 3.05),
    "the ringtone has answered": (Manner(), 3.045),
    "the agent is called": (Manner(), 3.2),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("end", ["hang up", "terminate", "vanish"])
def test_the_call_ends_in_between(build: Build, moment: str, end: str) -> None:
    """Nothing of it is left, on no leg."""
    manner, seconds = MOMENTS[moment]
    world = build(**ON)
    world.agents.manner = Manner(ring=0.0, answer=None)
    world.vxml.manners["9191"] = manner
    line = world.queued()
    world.run(seconds)
    ends: dict[str, Callable[[], object]] = {
        "hang up": line.hang_up,
        "terminate": world.terminate,
        "vanish": world.caller.vanish,
    }
    ends[end]()
    if end == "vanish":
        world.run(100.0)
        if world.state != "ended":
            world.terminate()
    world.run()
    for phone in (world.vxml, world.agents):
        for one in phone.lines:
            assert {"Hungup", "Cancelled", "Lost"} & set(one.heard), one
    world.over()


@pytest.mark.parametrize("step", range(24))
def test_the_caller_leaves_at_any_moment(build: Build, step: int) -> None:
    """Every few milliseconds from the end of the queue on; all see the same end."""
    world = build(**ON)
    world.agents.manner = Manner(ring=0.0, answer=0.06)
    line = world.queued()
    world.run(2.99 + step * 0.0101)
    line.hang_up()
    world.run(3.0)
    for phone in (world.vxml, world.agents):
        for one in phone.lines:
            assert {"Hungup", "Cancelled", "Closed"} & set(one.heard), one
    assert world.cdr.call_result in ("abandoned", "completed")
    world.over()


def test_the_answer_crosses_the_end_of_ringing(build: Build) -> None:
    """RNA fires while the 200 is under way: ACK and BYE to the agent, and a requery."""
    plan = script(QUEUE, **agents(a1001=1, a1002=1))
    plan["dialed_numbers"][0]["ring_no_answer"] = 5
    world = build(**plan, **ON)
    world.agents.manners["1001"] = Manner(ring=0.0, answer=None)
    world.dial("1")
    world.run(2.0)
    late = world.agents.line
    world.network.run(10.0, until=lambda: "requery" in " ".join(world.history))
    late.answer()
    world.run(2.0)
    assert (world.state, world.call.icm_agent) == ("connected", "1002")
    assert {"Acknowledged", "Hungup"} & set(late.heard)
    world.terminate()
    world.over()
