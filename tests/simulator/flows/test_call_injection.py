"""No text writes into a SIP message: of the configuration, of ICM, or of another leg."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from simulator.config_accounts import AuthenticationSection, Credential, Trunk
from simulator.config_dial_plan import ServerGroupSection, Site
from simulator.config_headers import HeadersSection
from simulator.config_icm import Agent, IcmSection, SkillGroup
from simulator.config_plan import DialedNumber, StaticRoute
from simulator.config_sections import ServerSection
from simulator.config_services import ServicesSection
from simulator.config_sip import SipSection
from simulator.script_messages import INFO_PACKAGE, JSON, PACKAGE
from simulator.webhook import BadAnswer, instruction
from sip.message import Request
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Line, Manner
from tests.simulator.flows.test_call_scripts import graph
from tests.simulator.flows.world import World
from tests.support.builders import response_text
from tests.support.injection import (
    CONTROLS,
    ESCAPES,
    INJECTIONS,
    LINE_ENDS,
    SURROGATES,
    placed,
    shapes,
)
from tests.support.network import Network, Stranger

Made = Callable[[str], dict[str, Any]]
NOT_IN_A_LINE = [*CONTROLS, *LINE_ENDS, *SURROGATES, *INJECTIONS]


def tries(harmless: str) -> Iterator[str]:
    """Texts that no line can hold."""
    for bad in NOT_IN_A_LINE:
        yield from placed(harmless, bad)


# The configuration.

ROUTE: dict[str, Any] = {"pattern": "1", "to": "sip:a"}
NUMBER: dict[str, Any] = {"pattern": "1", "label": "1"}
GROUP: dict[str, Any] = {"name": "a", "servers": "b"}


def part(key: str, section: dict[str, Any]) -> Made:
    """A section with a text in it."""
    return lambda text: {**section, key: text}


CONFIGURED: list[tuple[str, type[BaseModel], str, Made]] = [
    ("user_agent", HeadersSection, "CVP 12.6", lambda t: {"user_agent": t}),
    ("server", HeadersSection, "CVP 12.6", lambda t: {"server": t}),
    ("app_info", HeadersSection, "8000:8443", lambda t: {"app_info": t}),
    ("to_icm", HeadersSection, "X-A", lambda t: {"to_icm": t}),
    ("add", HeadersSection, "text", lambda t: {"rules": [{"add": {"X-A": t}}]}),
    ("add.name", HeadersSection, "X-A", lambda t: {"rules": [{"add": {t: "1"}}]}),
    ("rename", HeadersSection, "X-A", lambda t: {"rules": [{"rename": {"X-B": t}}]}),
    ("whisper", SkillGroup, "sales", lambda t: {"agents": "1001", "whisper": t}),
    ("greeting", Agent, "hello", lambda t: {"greeting": t}),
    ("agents", SkillGroup, "1001", lambda t: {"agents": [t]}),
    ("extension", IcmSection, "1001", lambda t: {"agents": {t: {}}}),
    ("vru_label", IcmSection, "777", lambda t: {"vru_label": t}),
    ("ringtone_file", StaticRoute, "bell", part("ringtone_file", ROUTE)),
    ("ringtone", StaticRoute, "9191", part("ringtone", ROUTE)),
    ("to", StaticRoute, "sip:10.0.0.1:5060", part("to", ROUTE)),
    ("route", StaticRoute, "1002", part("pattern", ROUTE)),
    ("label", DialedNumber, "1002", part("label", NUMBER)),
    ("pattern", DialedNumber, "12XX", part("pattern", NUMBER)),
    ("survey", DialedNumber, "1002", part("survey", NUMBER)),
    ("application", DialedNumber, "bank", part("application", NUMBER)),
    ("services.error", ServicesSection, "9292", lambda t: {"error": t}),
    ("services.whisper", ServicesSection, "9292", lambda t: {"whisper": t}),
    ("name", ServerSection, "callsim", lambda t: {"name": t}),
    ("advertise", SipSection, "lab.example", lambda t: {"listen": f"udp:0.0.0.0;advertise={t}"}),
    ("outbound_proxy", SipSection, "sip:10.0.0.1", lambda t: {"outbound_proxy": t}),
    ("realm", AuthenticationSection, "lab", lambda t: {"realm": t}),
    ("credential.user", Credential, "ada", lambda t: {"user": t, "password": "x", "realm": "r"}),
    ("credential.realm", Credential, "lab", lambda t: {"user": "a", "password": "x", "realm": t}),
    ("registrar", Trunk, "sip:10.0.0.1", lambda t: {"registrar": t, "aor": "sip:a@b"}),
    ("aor", Trunk, "sip:ada@lab", lambda t: {"registrar": "sip:b", "aor": t}),
    ("group", ServerGroupSection, "cucm", part("name", GROUP)),
    ("group.host", ServerGroupSection, "cucm", lambda t: GROUP | {"servers": [{"host": t}]}),
    ("contact", ServerGroupSection, "cvp.lab", lambda t: GROUP | {"heartbeat": {"contact": t}}),
    ("site", Site, "17", lambda t: {"id": t, "gateways": "10.0.0.1"}),
]


@pytest.mark.parametrize(
    ("section", "harmless", "made"), [row[1:] for row in CONFIGURED], ids=[r[0] for r in CONFIGURED]
)
def test_a_text_of_the_configuration(section: type[BaseModel], harmless: str, made: Made) -> None:
    section.model_validate(made(harmless))
    for text in tries(harmless):
        try:
            taken = section.model_validate(made(text))
        except ValidationError:
            continue
        # White space around an address is no part of it.
        assert text != text.strip(), repr(text)
        assert taken == section.model_validate(made(text.strip())), repr(text)


URIS = ["sip:10{}02@lab", "sip:lab;x={}", "sip:1@lab;{}", "sip:1@lab?X-Injected={}", "sip:{}@lab"]


@pytest.mark.parametrize("uri", URIS)
def test_an_escaped_control_character_in_a_uri_of_the_configuration(uri: str) -> None:
    for escape in ESCAPES:
        for made in (
            lambda text: StaticRoute.model_validate({"pattern": "1", "to": text}),
            lambda text: Trunk.model_validate({"registrar": "sip:b", "aor": text}),
            lambda text: SipSection.model_validate({"outbound_proxy": text}),
        ):
            with pytest.raises(ValidationError):
                made(uri.format(escape))


# ICM: what a webhook answers, and what a script makes of variables.

INSTRUCTIONS: list[tuple[str, str, Made]] = [
    ("label", "1002", lambda t: {"label": t}),
    ("connect", "1002", lambda t: {"connect": {"label": t}}),
    ("set", "text", lambda t: {"set": {"callVariable1": t}}),
    ("set.ecc", "text", lambda t: {"set": {"user.microapp.override_cli": t}}),
    ("set.name", "user.x", lambda t: {"set": {t: "1"}}),
    ("queue", "support", lambda t: {"queue": {"skill_group": t}}),
    ("application", "bank", lambda t: {"run_application": {"application": t}}),
    ("variable", "result", lambda t: {"run_application": {"application": "a", "variable": t}}),
    ("callback", "{ani}", lambda t: {"callback": {"skill_group": "a", "number": t}}),
    ("next", "bank", lambda t: {"label": "1", "next": t}),
]


@pytest.mark.parametrize(
    ("harmless", "made"), [row[1:] for row in INSTRUCTIONS], ids=[r[0] for r in INSTRUCTIONS]
)
def test_a_text_that_a_webhook_answers(harmless: str, made: Made) -> None:
    instruction(json.dumps(made(harmless)).encode())
    for text in tries(harmless):
        with pytest.raises(BadAnswer):
            instruction(json.dumps(made(text)).encode())


MENU = {
    "menu": {"run_application": {"application": "menu"}},
    "keep": {"set": {"callVariable1": "{result}", "user.microapp.override_cli": "{result}"}},
    "go": {"label": "{result}"},
}


def menu(**more: Any) -> World:
    """A gateway whose application brings back a result, which is the label that comes next."""
    sections = graph(**MENU) | {"routes": [{"pattern": ">", "to": "sip:192.0.2.3"}], **more}
    world = World(Network(), **sections)
    world.vxml.behaves(lines=f"Recv-Info: {PACKAGE}\r\n")
    world.agents.manner = Manner(answer=0.0)
    world.dial("3000")
    world.run()
    return world


@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_result_that_an_application_brings_back(
    caplog: pytest.LogCaptureFixture, where: int
) -> None:
    """RUN_SCRIPT_RESULT is JSON: it can write any character there is."""
    for bad in (*CONTROLS, *LINE_ENDS, *SURROGATES, *INJECTIONS):
        world = menu()
        text = list(placed("1002", bad))[where]
        result = {"type": "RUN_SCRIPT_RESULT", "id": 1, "result": {"result": text}}
        line = world.vxml.line
        line.request("INFO", json.dumps(result).encode(), JSON, INFO_PACKAGE)
        world.run()
        assert world.sent("200 INFO", to="vxml")
        assert world.agents.lines == [], "there is no such label"
        assert any(entry.startswith("variable_refused") for entry in world.history)
        world.run(10.0)
        assert world.state == "ended"
        shapes(world.network.log)
        world.settle()
    assert all(message.isprintable() for message in caplog.messages), "nor into the log"


@given(text=st.lists(st.sampled_from(NOT_IN_A_LINE + ESCAPES) | st.characters(), max_size=5))
@settings(max_examples=60)
def test_a_result_is_a_label_or_nothing(text: list[str]) -> None:
    world = menu()
    result = {"type": "RUN_SCRIPT_RESULT", "id": 1, "result": {"result": f"1{''.join(text)}"}}
    world.vxml.line.request("INFO", json.dumps(result).encode(), JSON, INFO_PACKAGE)
    world.run(10.0)
    shapes(world.network.log)
    if world.state != "ended":
        world.caller.line.hang_up()
        world.run()
    world.settle()


# What one leg says, on the other.

OCTETS = st.lists(
    st.sampled_from([*CONTROLS, *LINE_ENDS, *ESCAPES, '"', "\\", "<", ">", ",", ";", ":", "\udcff"])
    | st.characters(codec="utf-8"),
    max_size=8,
).map(lambda parts: "".join(parts).replace("\r", "").replace("\n", "").strip(" \t"))
"""All that can stand in a header line, and what cannot but comes all the same."""

CARRIED = ["User-to-User", "X-Any", "P-Asserted-Identity", "Remote-Party-ID", "Subject"]


@given(name=st.sampled_from(CARRIED), value=OCTETS)
@settings(max_examples=100)
def test_a_header_field_goes_on_as_it_is(name: str, value: str) -> None:
    """Escapes stay escapes; what has a NUL stays behind."""
    world = World(Network())
    plain = world.dial("6000")
    world.run(1.5)
    before = world.agents.line.invite
    plain.hang_up()
    world.run()
    world.dial("6000", lines=f"{name}: {value}\r\n")
    world.run(1.5)
    invite = world.agents.line.invite
    carried = [] if "\0" in value else [value]
    assert invite.all(name.lower()) == carried
    names = [key for key, _ in invite.lines() if key != name]
    assert names == [key for key, _ in before.lines()]
    shapes(world.network.log)
    world.caller.line.hang_up()
    world.run()
    assert world.network.errors == []
    world.settle()


@given(value=OCTETS)
@settings(max_examples=60)
def test_the_reason_of_a_bye_goes_on_as_it_is(value: str) -> None:
    world = World(Network())
    world.connected()
    world.caller.line.hang_up(f"Reason: {value}\r\nUser-to-User: {value}\r\n")
    world.run()
    bye = world.the("BYE", to="agents")
    kept = value and "\0" not in value
    assert bye.all("reason") == [value if kept else "Q.850;cause=16"]
    assert bye.all("user-to-user") == ([] if "\0" in value else [value])
    shapes(world.network.log)
    world.over()


def test_a_line_end_in_a_header_field_of_the_caller(world: World) -> None:
    """A bare one makes the message unreadable, and it is refused."""
    stranger = world.network.add_stranger("gateway")
    for count, bare in enumerate(("\r", "\n", "a\rb", "a\nX-Injected: 1")):
        text = (
            f"INVITE sip:6000@{world.address} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {stranger.address[0]};branch=z9hG4bK{count}\r\n"
            f"From: <sip:1@a>;tag={count}\r\nTo: <sip:6000@b>\r\nCall-ID: {count}\r\n"
            f"CSeq: 1 INVITE\r\nX-Any: {bare}\r\nContent-Length: 0\r\n\r\n"
        )
        stranger.send(world.party, text)
        world.run()
        assert stranger.statuses("INVITE")[-1] == 400
    assert world.agents.lines == []


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("name", ["Caller", '\\"', "%0d%0aX-Injected: 1", "\\\0", "\\\x07"])
def test_who_calls(world: World, name: str, escape: str) -> None:
    """From is made anew; its number is the caller's, with what was escaped escaped."""
    stranger = world.network.add_stranger("gateway")
    escape = escape.partition(":")[0]
    text = (
        f"INVITE sip:6{escape}0@{world.address} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {stranger.address[0]};branch=z9hG4bK1\r\n"
        f'From: "{name}" <sip:55{escape}1@a>;tag=1\r\nTo: <sip:6@b>\r\nCall-ID: 1\r\n'
        "CSeq: 1 INVITE\r\nContact: <sip:1@192.0.2.9>\r\nContent-Length: 0\r\n\r\n"
    )
    stranger.send(world.party, text)
    world.run(1.5)
    invite = world.agents.line.invite
    assert invite.from_.display_name == ""
    assert invite.from_.uri.lower().startswith(f"sip:55{escape.lower().replace('%', '%25')}1@")
    shapes(packet for packet in world.network.log if packet.target != "gateway")
    world.run(64.0)


class Rogue:
    """An agent that says what no phone would."""

    def __init__(self, build: Build, **sections: Any) -> None:
        network = Network()
        self.stranger: Stranger = network.add_stranger("rogue", "198.51.100.7")
        routes = [{"pattern": "66X", "to": "sip:198.51.100.7"}]
        numbers = [{"pattern": "66X", "label": "{dnis}"}, {"pattern": "6>", "label": "1001"}]
        self.world = build(network, routes=routes, dialed_numbers=numbers, **sections)

    @property
    def invite(self) -> Request:
        """The INVITE that it got last."""
        return self.stranger.requests("INVITE")[-1]

    def say(self, status: int, reason: str, lines: str = "", tag: str = "rogue") -> None:
        """A response to that."""
        self.stranger.send(
            self.world.party, response_text(self.invite, status, tag, lines, reason=reason)
        )
        self.world.run()


PHRASES = ["Busy\0Here", "Busy\x0bHere", "\x7f", "Busy\x85Here", "%0d%0aX-Injected: 1", "B\udcffsy"]


@pytest.mark.parametrize("phrase", PHRASES)
@pytest.mark.parametrize("status", [180, 486])
def test_the_reason_phrase_of_an_answer(build: Build, status: int, phrase: str) -> None:
    rogue = Rogue(build)
    world = rogue.world
    caller = world.dial("661")
    world.run()
    rogue.say(status, phrase, f'Reason: SIP;cause={status};text="a%0D%0Ab"\r\n')
    response = caller.responses[-1]
    assert response.status == status
    assert not set(response.reason) & {*CONTROLS}
    assert not set(response.head.split("\r\n")[0]) & {*CONTROLS}
    if status == 486:
        assert response.all("reason") == ['SIP;cause=486;text="a%0D%0Ab"']
    else:
        rogue.say(486, "Busy")
    shapes(world.network.log)


@pytest.mark.parametrize("phrase", PHRASES)
def test_the_outcome_that_a_notify_tells(build: Build, phrase: str) -> None:
    """Its sipfrag has our own words."""
    rogue = Rogue(build)
    world = rogue.world
    caller = world.dial("6000")
    world.run(1.5)
    agent = world.agents.line
    agent.transfer(f"sip:661@{world.address}")
    world.run()
    rogue.say(486, phrase)
    bodies = [message.body for message in world.sent("NOTIFY", to="agents")]
    assert bodies == [b"SIP/2.0 100 Trying\r\n", b"SIP/2.0 486 Busy Here\r\n"]
    shapes(world.network.log)
    caller.hang_up()


HEADERS = [
    "X-Injected=1",
    "Subject=a%0D%0AX-Injected:%201",
    "X-Injected=1&Subject=b",
    "From=%22a%22",
    "body=v%3D0",
]


def in_a_transfer(world: World) -> tuple[Line, Line]:
    """A caller, and an agent who is about to transfer it."""
    caller = world.connected()
    return caller, world.agents.line


@pytest.mark.parametrize("headers", HEADERS)
def test_headers_in_refer_to_are_dropped(world: World, headers: str) -> None:
    caller, agent = in_a_transfer(world)
    agent.transfer(f"sip:1002@{world.address}?{headers}")
    world.run(1.5)
    assert agent.news[-1] == 200
    invite = world.agents.line.invite
    assert (invite.get("subject"), invite.get("x-injected")) == (None, None)
    assert invite.uri.partition("@")[0] == "sip:1002"
    assert "?" not in invite.uri
    shapes(world.network.log)
    caller.hang_up()


@pytest.mark.parametrize("headers", HEADERS)
def test_replaces_alone_goes_on(world: World, headers: str) -> None:
    caller, agent = in_a_transfer(world)
    replaces = "Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2"
    agent.transfer(f"sip:1002@{world.address}?{headers}&{replaces}")
    world.run(1.5)
    invite = world.sent("INVITE", to="agents")[-1]
    assert invite.get("replaces") == "a@b;to-tag=1;from-tag=2"
    assert (invite.get("subject"), invite.get("x-injected")) == (None, None)
    shapes(world.network.log)
    caller.hang_up()


@pytest.mark.parametrize(
    "uri",
    [
        "sip:10{}02@{{}}",
        "sip:1002@{{}};x={}",
        "sip:1002@{{}}?Replaces=a{}%3Bto-tag%3D1%3Bfrom-tag%3D2",
        "sip:1002@{{}}?Replaces=a%3Bto-tag%3D1{}%3Bfrom-tag%3D2",
        "sip:1002@{{}}?Repl{}aces=a%3Bto-tag%3D1%3Bfrom-tag%3D2",
        "tel:+1{};ext=1",
        "tel:+1555;ext={}",
    ],
)
@pytest.mark.parametrize("escape", ESCAPES)
def test_escapes_in_refer_to(build: Build, uri: str, escape: str) -> None:
    """They stay what they are, in the number too, or the REFER is refused."""
    world = build(routes=[{"pattern": ">", "to": "sip:192.0.2.3"}])
    caller, agent = in_a_transfer(world)
    before = len(world.agents.lines)
    agent.transfer(uri.format(escape.replace(":", "%3A")).format(world.address))
    world.run(1.5)
    assert agent.news
    for line in world.agents.lines[before:]:
        assert not set(line.invite.head) & {"\0", "\x1b", "\x7f"}
        assert "%0d" not in line.invite.uri.lower().replace("%250d", "")
    shapes(world.network.log)
    caller.hang_up()


def test_headers_of_a_redirection_are_dropped(build: Build) -> None:
    rogue = Rogue(build)
    world = rogue.world
    caller = world.dial("661")
    world.run()
    contact = f"<{world.agents.uri.replace('sip:', 'sip:1002@')}?X-Injected=1&Subject=%0D%0Aa>"
    rogue.say(302, "Moved", f"Contact: {contact}\r\n")
    world.run(1.5)
    invite = world.agents.line.invite
    assert (invite.get("subject"), invite.get("x-injected")) == (None, None)
    assert "?" not in invite.uri
    shapes(world.network.log)
    caller.hang_up()
