"""No text of REST writes into a SIP message: it is refused by name, or harmless on the wire."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.script_messages import JSON, PACKAGE, RunScript
from tests.api.support import Client, FakeCallServer, Reply, run, serving
from tests.simulator.flows.phones import Manner
from tests.simulator.flows.world import World
from tests.support.injection import (
    CONTROLS,
    ESCAPES,
    INJECTIONS,
    LINE_ENDS,
    SURROGATES,
    Harmless,
    placed,
)
from tests.support.network import Network, Packet

AGENTS = "192.0.2.3"  # where the virtual network puts them
TRANSFER = "/cvp/rest/call/{guid}/transfer"
VARIABLES = "/cvp/rest/call/{guid}/variables"
PATTERNS = "/oamp/rest/dialedNumberPattern"
GROUPS = "/oamp/rest/sipserver"
PATTERN: dict[str, Any] = {"pattern": "88XX", "callType": "preroute", "applicationName": "sales"}
GROUP: dict[str, Any] = {"groupName": "cucm.lab", "servers": [{"ipAddress": AGENTS}]}


def new_world(**sections: Any) -> World:
    """Every label leads to the agents; 4000 is an application, then a label from a variable."""
    scripts = {
        "ivr": [
            {"run_application": {"application": "one"}},
            {"run_application": {"application": "two"}},
            {"label": "{callVariable1}"},
        ],
        "support": [{"queue": {"skill_group": "support"}}],
    }
    plan: dict[str, Any] = {
        "dialed_numbers": [
            {"pattern": "4>", "script": "ivr"},
            {"pattern": "6>", "label": "1001"},
            {"pattern": "7>", "script": "support"},
            {"pattern": ">", "label": "{dnis}"},
        ],
        "routes": [{"pattern": ">", "to": f"sip:{AGENTS}"}],
        "icm": {"scripts": scripts},
    }
    world = World(Network(), **plan | sections)
    world.vxml.behaves(lines=f"Recv-Info: {PACKAGE}\r\n")
    world.agents.manner = Manner(answer=0.1)
    return world


Texts = Callable[[str], dict[str, Any]]


class Form(NamedTuple):
    """A request with a text in every place that takes one: their names, and its body."""

    method: str
    path: str
    names: tuple[str, ...]
    body: Texts

    def __str__(self) -> str:
        return f"{self.method} {self.path.rpartition('/')[2]} {self.names[0]}"


def part(name: str, body: dict[str, Any]) -> Texts:
    """A body with a text in it."""
    return lambda text: {**body, name: text}


FORMS = [
    Form(
        "POST",
        TRANSFER,
        ("destination", "label", "transferType", "eccVariables.user.x"),
        lambda text: {
            "destination": text,
            "label": text,
            "transferType": text,
            "eccVariables": {"user.x": text},
        },
    ),
    Form(
        "POST",
        TRANSFER,
        ("eccVariables.",),
        lambda text: {"destination": "1002", "eccVariables": {text: "1"}},
    ),
    Form(
        "PUT",
        VARIABLES,
        ("eccVariables.user.x", "callVariables.callVariable1", "peripheralVariables.peripheral1"),
        lambda text: {
            "eccVariables": {"user.x": text},
            "callVariables": {"callVariable1": text},
            "peripheralVariables": {"peripheral1": text},
        },
    ),
    Form("PUT", VARIABLES, ("eccVariables.",), lambda text: {"eccVariables": {text: "1"}}),
    Form("PUT", VARIABLES, ("callVariables.",), lambda text: {"callVariables": {text: "1"}}),
    Form(
        "POST",
        "/sim/v1/calls",
        ("callingNumber", "destination"),
        lambda text: {"callingNumber": text, "destination": text},
    ),
    Form(
        "POST",
        "/cvp/rest/routing/lookup",
        ("dialedNumber", "callingNumber"),
        lambda text: {"dialedNumber": text, "callingNumber": text},
    ),
    Form(
        "POST",
        PATTERNS,
        ("pattern", "description", "applicationName", "sipServerGroup", "survivalApplication"),
        lambda text: (
            PATTERN
            | {
                "pattern": text,
                "description": text,
                "applicationName": text,
                "sipServerGroup": text,
                "survivalApplication": text,
            }
        ),
    ),
    Form(
        "POST",
        GROUPS,
        ("groupName", "description", "hostname", "ipAddress", "loadBalancing"),
        lambda text: {
            "groupName": text,
            "description": text,
            "servers": [{"hostname": text, "ipAddress": text}],
            "loadBalancing": text,
        },
    ),
]
"""Of all texts that one of these holds, each has a name; five are named at the most."""

SINGLE: list[tuple[str, str, str, Texts]] = [
    ("destination", "POST", TRANSFER, part("destination", {})),
    ("label", "POST", TRANSFER, part("label", {"destination": "1002"})),
    ("eccVariables.user.x", "PUT", VARIABLES, lambda text: {"eccVariables": {"user.x": text}}),
    ("eccVariables.", "PUT", VARIABLES, lambda text: {"eccVariables": {text: "1"}}),
    (
        "callVariables.callVariable1",
        "PUT",
        VARIABLES,
        lambda text: {"callVariables": {"callVariable1": text}},
    ),
    ("callVariables.", "PUT", VARIABLES, lambda text: {"callVariables": {text: "1"}}),
    ("callingNumber", "POST", "/sim/v1/calls", part("callingNumber", {"destination": "1"})),
    ("destination", "POST", "/sim/v1/calls", part("destination", {"callingNumber": "1"})),
    ("reason", "POST", "/cvp/rest/call/{guid}/terminate", part("reason", {})),
    ("callType", "POST", PATTERNS, part("callType", PATTERN)),
    ("applicationName", "POST", PATTERNS, part("applicationName", PATTERN)),
    ("description", "POST", PATTERNS, part("description", PATTERN)),
    ("groupName", "POST", GROUPS, part("groupName", GROUP)),
    ("hostname", "POST", GROUPS, lambda text: GROUP | {"servers": [{"hostname": text}]}),
    ("ipAddress", "POST", GROUPS, lambda text: GROUP | {"servers": [{"ipAddress": text}]}),
]


class Bench:
    """A call server in memory, and the API over it; `created` can be deleted again."""

    def __init__(self, world: World, client: Client) -> None:
        self.world = world
        self.created: list[str] = []
        self._client = client

    async def ask(self, method: str, path: str, body: object = None) -> Reply:
        """A request, its body in JSON of ASCII alone."""
        if "{guid}" in path:
            path = path.format(guid=self.world.call.guid)
        headers = {"Content-Type": "application/json"}
        reply = await self._client(method, path, data=json.dumps(body), headers=headers)
        if reply.status == 201:
            self.created.append(f"{path}/{reply.json.get('patternId') or reply.json['groupId']}")
        return reply

    async def transfer(self, **body: object) -> Reply:
        return await self.ask("POST", TRANSFER, body)

    async def end(self) -> None:
        """All calls are over, and the plan is what it was."""
        reply = await self.ask("POST", "/sim/v1/reset")
        assert reply.status == 200, reply.text
        while self.created:
            reply = await self.ask("DELETE", self.created.pop())
            assert reply.status == 204, reply.text
        self.world.run(1.0)
        assert self.world.network.errors == []


@asynccontextmanager
async def bench(**sections: Any) -> AsyncIterator[Bench]:
    """Over a world with these sections."""
    world = new_world(**sections)
    async with serving(cast(FakeCallServer, world.server)) as client:
        yield Bench(world, client)


@run
async def test_what_no_line_can_hold_is_refused_by_name() -> None:
    """Each control character, in each text of a request, at its beginning, middle and end."""
    async with bench() as made:
        made.world.connected()
        for form in FORMS:
            for bad in CONTROLS:
                for text in placed("1002", bad):
                    reply = await made.ask(form.method, form.path, form.body(text))
                    details = reply.error(400)
                    assert all(name in details for name in form.names), (text, details)
        for name, method, path, body in SINGLE:
            for bad in (*LINE_ENDS, *SURROGATES[::2], *INJECTIONS[::2]):
                for text in placed("1002", bad):
                    reply = await made.ask(method, path, body(text))
                    assert name in reply.error(400), (text, reply.text)
        assert made.world.network.log == [], "nothing was sent"
        assert made.world.state == "connected"
        variables = made.world.server.call_variables(made.world.call.guid)
        assert variables.call == {}
        assert set(variables.ecc) <= {"user.media.id", "user.cvp_server_info"}
        await made.end()


URIS = [
    "sip:10{}02@192.0.2.3",
    "sip:1002@192.0.2.3;x={}",
    "sip:1002@192.0.2.3;{}",
    "sip:1002@192.0.2.3?X-Injected={}",
    "sip:1002@192.0.2.3?{}=1",
    "sips:1002{}@192.0.2.3",
    "SIP:{}@192.0.2.3",
]


@pytest.mark.parametrize("uri", URIS)
@run
async def test_an_escaped_control_character_in_a_uri_is_refused(uri: str) -> None:
    async with bench() as made:
        made.world.connected()
        for escape in ESCAPES:
            text = uri.format(escape)
            calls = {"callingNumber": text, "destination": "1002"}
            for reply in (
                await made.transfer(destination=text),
                await made.transfer(destination="1002", label=text),
                await made.transfer(destination="1002", label=f"rf{text}"),
                await made.ask("POST", "/sim/v1/calls", calls),
            ):
                reply.error(400)
        assert made.world.network.log == []
        await made.end()


# What a text of REST does on the wire.

Deed = Callable[[Bench, str], Awaitable[Reply]]


async def blind(made: Bench, text: str) -> Reply:
    """Request-URI and To of the new leg."""
    made.world.connected()
    return await made.transfer(destination=text)


async def consultation(made: Bench, text: str) -> Reply:
    """The same."""
    made.world.connected()
    return await made.transfer(destination=text, transferType="consultation")


async def label(made: Bench, text: str) -> Reply:
    """The same; CLI in From; digits in INFO; Refer-To."""
    made.world.connected()
    return await made.transfer(destination="1002", label=text)


async def refer(made: Bench, text: str) -> Reply:
    """Refer-To."""
    made.world.connected()
    return await made.transfer(destination="1002", label=f"rf{text}")


async def cli(made: Bench, text: str) -> Reply:
    """From and Contact of the new leg."""
    made.world.connected()
    return await made.transfer(destination="1002", label=f"1002;CLI={text}")


async def override_cli(made: Bench, text: str) -> Reply:
    """The same."""
    made.world.connected()
    return await made.transfer(
        destination="1002", eccVariables={"user.microapp.override_cli": text}
    )


async def uui(made: Bench, text: str) -> Reply:
    """User-to-User in the BYE after digits."""
    made.world.connected()
    return await made.transfer(
        destination="1002", label="DTMF1", eccVariables={"user.microapp.uui": text}
    )


async def variables(made: Bench, text: str) -> Reply:
    """RUN_SCRIPT_REQ in the body of INFO, and a label that is made of a variable."""
    world = made.world
    world.established("4000")
    body = {
        "callVariables": {"callVariable1": text},
        "eccVariables": {"user.x": text, "user.microapp.ToExtVXML[0]": f"a={text}"},
    }
    reply = await made.ask("PUT", VARIABLES, body)
    treatment = world.call.treatment
    assert treatment is not None
    for _ in range(2):
        if reply.status == 200:
            treatment.application_result({}, world.network.now)
            world.stack.pump()
            world.run()
    for packet in world.network.packets("INFO"):
        if packet.message.content_type == JSON:
            RunScript.parse(packet.message.body)
    return reply


async def variable_name(made: Bench, text: str) -> Reply:
    """The name of a variable in RUN_SCRIPT_REQ."""
    world = made.world
    world.established("4000")
    reply = await made.ask("PUT", VARIABLES, {"eccVariables": {f"user.{text}": "1"}})
    treatment = world.call.treatment
    assert treatment is not None
    if reply.status == 200:
        treatment.application_result({}, world.network.now)
        world.stack.pump()
    return reply


async def calling(made: Bench, text: str) -> Reply:
    """Request-URI and To of the first leg of a call that is made."""
    return await made.ask("POST", "/sim/v1/calls", {"callingNumber": text, "destination": "1002"})


async def called(made: Bench, text: str) -> Reply:
    """From of that leg, Request-URI and To of the second."""
    return await made.ask("POST", "/sim/v1/calls", {"callingNumber": "1001", "destination": text})


async def application(made: Bench, text: str) -> Reply:
    """The application in RUN_SCRIPT_REQ."""
    reply = await made.ask("POST", PATTERNS, PATTERN | {"applicationName": text})
    if reply.status == 201:
        made.world.dial("8801")
    return reply


async def server(made: Bench, text: str) -> Reply:
    """Where requests go."""
    body = {"groupName": "cucm.lab", "servers": [{"ipAddress": text, "hostname": text}]}
    reply = await made.ask("POST", GROUPS, body)
    if reply.status == 201:
        pattern = {"pattern": "88XX", "callType": "preroute", "sipServerGroup": "cucm.lab"}
        assert (await made.ask("POST", PATTERNS, pattern)).status == 201
        made.world.dial("8801")
    return reply


DEEDS: list[Deed] = [
    blind,
    consultation,
    label,
    refer,
    cli,
    override_cli,
    uui,
    variables,
    variable_name,
    calling,
    called,
    application,
    server,
]

SAFE = [
    "1002",
    "10é02",
    "a;b=c",
    "1002;CLI=55",
    "1002;CLI=null",
    "rf1002",
    "DTMF12",
    "HF1",
    "TBCT1",
    "sip:1002@192.0.2.3",
    "sip:1002@192.0.2.3;transport=udp",
    "sip:192.0.2.3",
    "sips:1002@192.0.2.3",
    "sip:1002@nowhere.example",
    "tel:+1-555",
    "tel:+1555;ext=7",
    "4000",
    "7000",
    "x.example",
    "192.0.2.3",
    "192.0.2.200",
    "::1",
    'a "b" <c>',
    "",
]
"""Texts that take each of the ways there are."""


async def done(made: Bench, deed: Deed, text: str) -> tuple[Reply, list[Packet]]:
    """What the API says to a text, and what went out because of it."""
    made.world.forget()
    reply = await deed(made, text)
    if reply.status == 400:
        assert made.world.network.log == []
    made.world.run(3.0)
    await made.end()
    return reply, list(made.world.network.log)


class Hall:
    """A bench for many tests, in a loop of its own, and what it sends for harmless texts."""

    def __init__(self, made: Bench, loop: asyncio.AbstractEventLoop) -> None:
        self._made = made
        self._loop = loop
        self.harmless = Harmless()
        for deed in DEEDS:
            for text in SAFE:
                self.harmless.learn(deed.__name__, self.do(deed, text)[1])

    def do(self, deed: Deed, text: str) -> tuple[Reply, list[Packet]]:
        """`done`, here."""
        return self._loop.run_until_complete(done(self._made, deed, text))


@pytest.fixture(scope="module")
def hall() -> Iterator[Hall]:
    loop = asyncio.new_event_loop()
    place = bench()
    yield Hall(loop.run_until_complete(place.__aenter__()), loop)
    loop.run_until_complete(place.__aexit__(None, None, None))
    loop.close()


PIECES = [
    *CONTROLS,
    *LINE_ENDS,
    *SURROGATES,
    *ESCAPES,
    *INJECTIONS,
    *SAFE,
    *'%;?@:<>"\\,&=#/ []{}é',
    *("sip:", "sips:", "tel:", "rf", ";CLI=", "DTMF", "{dnis}", "X-Injected: 1"),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=6).map("".join)


@given(deed=st.sampled_from(DEEDS), text=TEXTS)
@settings(max_examples=150)
def test_a_text_is_refused_or_harmless(hall: Hall, deed: Deed, text: str) -> None:
    reply, packets = hall.do(deed, text)
    assert reply.status in (200, 201, 202, 400), reply.text
    if reply.status == 400:
        assert reply.error(400)
    hall.harmless.check(deed.__name__, packets)
    assert not any(decoded_controls(packets)), "nor for one who undoes the escapes"


def decoded_controls(packets: Iterable[Packet]) -> Iterator[bytes]:
    """Lines of heads that hold control characters once the escapes in them are undone."""
    for packet in packets:
        if packet.source == "server":
            for line in packet.data.partition(b"\r\n\r\n")[0].split(b"\r\n"):
                if set(unquote_to_bytes(line)) & set(b"\r\n\0"):
                    yield line


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("number", ["7{}", "70{}00", "7000{}"])
@run
async def test_an_escape_in_a_number_of_ours_is_text(number: str, escape: str) -> None:
    """By REFER the caller is to call us again: what it undoes is the number, to the letter."""
    text = number.format(escape)
    sections: dict[str, Any] = {"routes": [], "transfer": {"mode": "refer"}}
    async with bench(**sections) as made:
        reply, packets = await done(made, blind, text)
    assert reply.status == 202, reply.text
    (refer_to,) = {
        packet.message.get("refer-to")
        for packet in packets
        if packet.summary == "REFER" and packet.source == "server"
    }
    assert refer_to is not None
    assert unquote_to_bytes(refer_to).decode() == f"<sip:{text}@192.0.2.4:5060>"
    assert list(decoded_controls(packets)) == []
