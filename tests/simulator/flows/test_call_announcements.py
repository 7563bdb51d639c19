"""Whisper announcement and agent greeting [SDG-FEAT]."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import SILENT, Manner, origin_of
from tests.simulator.flows.world import Line, World

WHISPER = "9191919100"
GREETING = "9191919101"


def built(build: Build, ringtone: str = "9191", **sections: Any) -> World:
    """Skill group support has a whisper, whose service hangs up after two seconds by itself."""
    icm = {"skill_groups": {"support": {"wait": 0, "agents": ["1001"], "whisper": "sales.wav"}}}
    sections.setdefault("icm", icm)
    world = build(services={"ringtone": ringtone}, **sections)
    world.agents.manner = Manner(ring=0.0, answer=0.05)
    return world


def whispering(world: World, number: str = "7000") -> Line:
    """A caller who hears the ringtone, while the agent hears the whisper."""
    line = world.dial(number)
    world.run(2.5)
    world.forget()
    assert [leg.kind for leg in world.call.legs[-2:]] == ["agent", "whisper"]
    assert world.state == "queued"
    return line


def test_the_order_of_messages(build: Build) -> None:
    """The agent answers and hears the announcement; the caller is joined when it is over."""
    world = built(build)
    line = world.dial("7000")
    world.run(2.08)
    world.forget()
    world.run(0.5)
    assert (
        world.flow
        == [
            "server > agents INVITE",
            "agents > server 180 INVITE",
            "agents > server 200 INVITE",
            "server > agents ACK",
            "server > vxml INVITE",
            "vxml > server 200 INVITE",
            "server > vxml ACK",
            "server > agents INVITE",
            "agents > server 200 INVITE",
            "server > agents ACK",
        ][-len(world.flow) :]
    )
    assert "server > vxml INVITE" in world.flow
    assert world.state == "queued", "the caller hears the ringtone"
    invite = world.vxml.line.invite
    assert invite.uri.startswith(f"sip:{WHISPER}@")
    assert invite.get("x-announcement") == "sales.wav"
    assert origin_of(invite.body)[0] == world.agents.host
    assert origin_of(world.agents.line.received)[0] == world.vxml.host
    world.forget()
    world.vxml.line.hang_up()
    world.run()
    assert world.flow == [
        "vxml > server BYE",
        "server > vxml BYE",
        "server > caller INVITE",
        "server > vxml 200 BYE",
        "vxml > server 200 BYE",
        "caller > server 200 INVITE",
        "server > caller ACK",
        "server > agents INVITE",
        "agents > server 200 INVITE",
        "server > agents ACK",
    ]
    assert world.state == "connected"
    assert origin_of(world.agents.line.received)[0] == world.caller.host
    assert origin_of(line.received)[0] == world.agents.host
    assert f"whisper {WHISPER} sales.wav" in world.history
    line.hang_up()
    world.run()
    assert world.cdr.call_result == "completed"
    counts = world.server.statistics.current
    assert (counts.whispers, counts.failed_whispers, counts.greetings) == (1, 0, 0)
    world.over()


def test_the_announcement_is_ours_whatever_the_caller_says(build: Build) -> None:
    """The service gets one X-Announcement; other legs get the caller's as it is."""
    world = built(build)
    line = world.dial("7000", lines="X-Announcement: theirs.wav\r\nX-Other: 1\r\n")
    world.run(2.5)
    invite = world.vxml.line.invite
    assert invite.uri.startswith(f"sip:{WHISPER}@")
    assert invite.all("x-announcement") == ["sales.wav"]
    assert invite.all("x-other") == ["1"]
    assert world.agents.line.invite.all("x-announcement") == ["theirs.wav"]
    line.hang_up()


def test_agents_called_without_an_offer(build: Build) -> None:
    """`sdp.mid_call: offerless`: the whisper's answer is that to the agent's offer."""
    world = built(build, sdp={"mid_call": "offerless"})
    line = whispering(world)
    agent = world.agents.line
    assert agent.invite.body == b""
    ack = next(m for m in agent.requests if m.method == "ACK")
    assert origin_of(ack.body)[0] == world.vxml.host
    assert agent.heard.count("Reinvited") == 0
    world.vxml.line.hang_up()
    world.run()
    assert world.state == "connected"
    assert origin_of(agent.received)[0] == world.caller.host
    line.hang_up()


def test_the_agent_has_one_of_its_own(build: Build) -> None:
    icm = {
        "skill_groups": {"support": {"wait": 0, "agents": ["1001"], "whisper": "sales.wav"}},
        "agents": {"1001": {"whisper": "ada.wav"}},
    }
    world = built(build, icm=icm)
    line = whispering(world)
    assert world.vxml.line.invite.get("x-announcement") == "ada.wav"
    line.hang_up()


def test_a_label_that_no_queue_chose_has_none(build: Build) -> None:
    """Not for label-node selection."""
    world = built(build)
    line = world.dial("6000")
    world.run(1.0)
    assert (world.state, world.vxml.lines) == ("connected", [])
    line.hang_up()


def test_it_is_cut_off_when_it_takes_too_long(build: Build) -> None:
    world = built(build)
    line = whispering(world)
    world.run(28.0)
    assert world.state == "queued"
    world.run(3.0)
    assert world.state == "connected"
    assert world.vxml.line.heard[-1] == "Hungup"
    line.hang_up()


@pytest.mark.parametrize("offerless", [False, True])
@pytest.mark.parametrize("manner", [Manner(refuse=404), SILENT])
def test_a_service_that_does_not_answer(build: Build, manner: Manner, offerless: bool) -> None:
    """The caller is joined without it."""
    sections: dict[str, Any] = {"sdp": {"mid_call": "offerless"}} if offerless else {}
    world = built(build, **sections)
    world.vxml.manners[WHISPER] = manner
    line = world.dial("7000")
    world.run(8.0)
    assert any(entry.startswith(f"no_whisper {WHISPER}: ") for entry in world.history)
    assert world.state == "connected"
    assert origin_of(world.agents.line.received)[0] == world.caller.host
    line.hang_up()


def test_no_route_to_the_service(build: Build) -> None:
    world = built(build, routes=["9191=sip:192.0.2.3:5060"], lab={"embedded": False})
    world.server.config = world.server.config.model_copy(
        update={"services": world.server.config.services.model_copy(update={"whisper": "5191"})}
    )
    line = world.dial("7000")
    world.run(3.0)
    assert "no_whisper 5191: no route, add it under routes" in world.history
    counts = world.server.statistics.current
    assert (counts.whispers, counts.failed_whispers) == (0, 1)
    assert world.state == "connected"
    line.hang_up()


def test_a_service_that_cannot_be_called(build: Build) -> None:
    world = built(build, routes=[f"{WHISPER}=sip:192.0.2.9:5060;transport=tcp"])
    line = world.dial("7000")
    world.run(3.0)
    assert world.state == "connected"
    line.hang_up()


def test_an_agent_who_does_not_want_to_hear_it(build: Build) -> None:
    """488 to the re-INVITE: the caller is joined at once."""
    world = built(build)
    world.agents.manner = Manner(answer=0.05, reinvite=488)
    line = world.dial("7000")
    world.run(3.0)
    assert world.state == "connected"
    assert world.vxml.line.heard[-1] == "Hungup"
    line.hang_up()


def test_the_agent_hangs_up_while_it_is_played(build: Build) -> None:
    """Requery, as after any agent who cannot be reached."""
    world = built(build)
    line = whispering(world)
    played = world.vxml.line
    world.agents.line.hang_up()
    world.agents.manner = Manner(answer=0.05)
    world.run(0.5)
    assert played.heard[-1] == "Hungup"
    assert any(entry.startswith("requery") for entry in world.history)
    line.hang_up()
    world.run()
    world.over()


def test_the_agent_hangs_up_while_the_caller_is_asked(build: Build) -> None:
    world = built(build)
    line = whispering(world)
    line.manner = Manner(reinvite=0)
    world.vxml.line.hang_up()
    world.run(0.1)
    world.agents.line.hang_up()
    world.run(0.1)
    line.manner = Manner()
    line.answer()
    world.run(0.5)
    assert any(entry.startswith("requery") for entry in world.history)
    line.hang_up()
    world.run()
    world.over()


def test_the_caller_does_not_want_the_agent(build: Build) -> None:
    """488 to the last re-INVITE: the agent is released, and the queue asked again."""
    world = built(build)
    line = whispering(world)
    agent = world.agents.line
    line.manner = Manner(reinvite=488)
    world.vxml.line.hang_up()
    world.run(0.3)
    assert agent.heard[-1] == "Hungup"
    assert world.cdr.error_code == "488", "it does not want the VRU either"
    world.over()


def test_a_transfer_has_to_wait(build: Build) -> None:
    """409 while somebody is about to be joined."""
    world = built(build)
    line = whispering(world)
    with pytest.raises(Exception, match="try again"):
        world.transfer("1002")
    line.hang_up()


@pytest.mark.parametrize("end", ["hang up", "terminate"])
@pytest.mark.parametrize("step", range(14))
def test_the_call_ends_at_any_moment(build: Build, step: int, end: str) -> None:
    """From the agent's answer until they talk; nothing is left on any leg."""
    world = built(build)
    world.vxml.manners[WHISPER] = Manner()
    line = world.dial("7000")
    world.run(2.13 + step * 0.0101)
    if step > 8:
        world.vxml.line.hang_up()
        world.run((step - 8) * 0.0101)
    ends: dict[str, Callable[[], object]] = {"hang up": line.hang_up, "terminate": world.terminate}
    ends[end]()
    world.run(3.0)
    for phone in (world.vxml, world.agents):
        for one in phone.lines:
            assert {"Hungup", "Cancelled", "Closed"} & set(one.heard), one
    world.over()


# Agent greeting.


def greeted(build: Build, **more: Any) -> World:
    icm = {
        "skill_groups": {"support": {"wait": 0, "agents": ["1001"], **more}},
        "agents": {"1001": {"greeting": "ada-hello.wav"}},
    }
    return built(build, "", icm=icm)


def test_the_greeting_is_one_more_call_to_the_voice_browser(build: Build) -> None:
    world = greeted(build)
    line = world.dial("7000")
    world.run(3.0)
    assert world.state == "connected"
    greeting = world.vxml.line
    assert greeting.invite.uri.startswith(f"sip:{GREETING}@")
    assert greeting.invite.get("x-announcement") == "ada-hello.wav"
    assert origin_of(greeting.invite.body)[0] == world.agents.host
    assert b"a=recvonly" in greeting.invite.body
    assert f"greeting {GREETING} ada-hello.wav" in world.history
    assert world.server.statistics.current.greetings == 1
    greeting.hang_up()
    world.run()
    assert world.state == "connected"
    line.hang_up()
    world.run()
    assert len(world.cdr.legs) == 4
    world.over()


def test_whisper_and_greeting(build: Build) -> None:
    world = greeted(build, whisper="sales.wav")
    line = whispering(world)
    world.vxml.line.hang_up()
    world.run(1.0)
    assert world.vxml.line.invite.uri.startswith(f"sip:{GREETING}@")
    line.hang_up()
    world.run()
    assert world.vxml.line.heard[-1] == "Hungup"
    world.over()


def test_the_greeting_ends_when_the_agent_is_replaced(build: Build) -> None:
    world = greeted(build)
    line = world.dial("7000")
    world.run(3.0)
    world.transfer("1002")
    world.run(1.0)
    assert world.vxml.line.heard[-1] == "Hungup"
    assert world.state == "connected"
    line.hang_up()


@pytest.mark.parametrize("manner", [Manner(refuse=486), SILENT])
def test_a_greeting_that_cannot_be_played(build: Build, manner: Manner) -> None:
    world = greeted(build)
    world.vxml.manners[GREETING] = manner
    line = world.dial("7000")
    world.run(9.0)
    assert any(entry.startswith("no_greeting") for entry in world.history)
    counts = world.server.statistics.current
    assert (counts.greetings, counts.failed_greetings) == (0, 1)
    assert world.state == "connected"
    line.hang_up()
    world.run()
    world.over()


def test_the_call_ends_before_the_greeting_is_answered(build: Build) -> None:
    world = greeted(build)
    world.vxml.manners[GREETING] = SILENT
    line = world.dial("7000")
    world.run(3.0)
    line.hang_up()
    world.run()
    assert world.vxml.line.heard[-1] in ("Cancelled", "Closed")
    world.over()
