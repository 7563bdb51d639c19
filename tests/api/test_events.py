"""The event stream: server-sent events and WebSocket, over loopback."""

import asyncio
import json
import random
import select
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import WSMsgType

from api.app import GROUPS, create_app
from api.event_models import MODELS, TYPES, Event
from api.keys import ApiOptions
from api.listing import Writer
from api.openapi import document
from api.runner import ApiServer
from api.streams import AT_ONCE
from simulator.event_bus import MOST_READERS
from simulator.event_views import (
    VIEWS,
    ApplicationInvoked,
    CallEnded,
    CallError,
    CallQueued,
    CallStarted,
    CallStateChanged,
    CallTransferred,
    DeviceStatusChanged,
    EventView,
    ServiceStateChanged,
    ThresholdExceeded,
)
from tests.api.support import (
    GUID,
    LOOPBACK,
    STARTED,
    USER,
    Client,
    FakeCallServer,
    basic,
    events_bus,
    run,
    serving,
)
from tests.simulator.flows.world import World
from tests.support.network import Network

PATH = "/sim/v1/events"
SOCKET = "/sim/v1/ws"
OF_A_CALL: dict[str, Any] = {
    "cursor": 1,
    "timestamp": STARTED,
    "call_guid": GUID,
    "calling_number": "1001",
    "called_number": "7000",
}
OF_THE_SERVER: dict[str, Any] = {
    "cursor": 1,
    "timestamp": STARTED,
    "device_id": "one",
    "hostname": "one",
}
EXAMPLES: list[EventView] = [
    CallStarted(
        **OF_A_CALL,
        call_server_hostname="callsim",
        sip_call_id="abc@10.0.0.1",
        ingress_gateway="10.0.0.1",
        matched_pattern="7>",
    ),
    CallStateChanged(**OF_A_CALL, state="on_hold", details=None),
    ApplicationInvoked(
        **OF_A_CALL, application_name="bank", vxml_server_hostname="10.0.0.2", session_id="ds1"
    ),
    CallQueued(
        **OF_A_CALL,
        skill_group="support",
        estimated_wait_time=None,
        queue_position=2,
        queue_application="bank",
    ),
    CallTransferred(
        **OF_A_CALL,
        transfer_destination="1001",
        transfer_type="blind",
        icm_label="1001",
        skill_group="support",
    ),
    CallError(
        **OF_A_CALL,
        error_code="486",
        error_message="1001: SIP 486 Busy \udce9",
        error_category="sip_failure",
        server_hostname="callsim",
        sip_response_code=486,
    ),
    CallEnded(
        **OF_A_CALL,
        call_result="completed",
        call_duration=5,
        self_service_duration=2,
        queue_duration=0,
        application_name=None,
        termination_reason="the caller hung up",
        sip_response_code=200,
    ),
    DeviceStatusChanged(
        **OF_THE_SERVER,
        device_type="VXMLServer",
        previous_status="online",
        current_status="offline",
        reason="the heartbeat was not answered",
    ),
    ThresholdExceeded(
        **OF_THE_SERVER,
        metric="concurrent_calls",
        threshold_value=94.0,
        current_value=95.0,
        severity="warning",
    ),
    ServiceStateChanged(
        **OF_THE_SERVER,
        service_name="SIP",
        previous_state="running",
        current_state="stopped",
        message="the server takes no more calls",
    ),
]


def event(number: int, guid: str = GUID) -> EventView:
    """An event with a number."""
    return CallStateChanged(0, STARTED, guid, "1001", "7000", "connected", str(number))


def put(fake: FakeCallServer, view: EventView) -> None:
    """It happens: the bus gives it a cursor of its own."""
    _, _, *names = (field.name for field in fields(view))
    fake.events.publish(type(view), 0.0, tuple(getattr(view, name) for name in names))


class Frames:
    """What comes over one connection of server-sent events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> dict[str, str]:
        """The fields of the next block of lines; a comment is the field ``""``."""
        found: dict[str, str] = {}
        while line := (await self.response.content.readline()).decode():
            if line == "\n":
                return found
            name, _, value = line.removesuffix("\n").partition(":")
            assert name not in found
            found[name] = value.removeprefix(" ")
        raise EOFError("the stream has ended")

    async def event(self) -> Any:
        """The next event, past heartbeats; its frame says what its data says."""
        while True:
            frame = await self.next()
            if "data" in frame:
                data = json.loads(frame["data"])
                assert (frame["id"], frame["event"]) == (str(data["cursor"]), data["eventType"])
                return data


@asynccontextmanager
async def stream(client: Client, query: str = "", **headers: str) -> AsyncIterator[Frames]:
    """A connection; its first block, which says where it begins, is read."""
    url = f"{client.address}{PATH}{query}"
    sent = basic(USER) | {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.session.get(url, headers=sent) as response:
        assert response.status == 200, await response.text()
        frames = Frames(response)
        begin = await frames.next()
        assert set(begin) == {"retry", "id"}
        yield frames


@asynccontextmanager
async def web_socket(
    client: Client, query: str = "", **headers: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    url = f"{client.address}{SOCKET}{query}"
    async with client.session.ws_connect(url, headers=basic(USER) | headers) as connection:
        yield connection


# -- what is sent --------------------------------------------------------------------------


@run
async def test_an_event_as_it_happens() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client, stream(client) as frames:
        response = frames.response
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        put(fake, EXAMPLES[0])
        told = await frames.event()
    assert told == {
        "cursor": int(STARTED * 1_000_000) + 1,
        "eventType": "call.started",
        "timestamp": "2026-05-28T20:26:40.250000Z",
        "callGuid": GUID,
        "callingNumber": "1001",
        "calledNumber": "7000",
        "callServerHostname": "callsim",
        "sipCallId": "abc@10.0.0.1",
        "ingressGateway": "10.0.0.1",
        "matchedPattern": "7>",
    }


@pytest.mark.parametrize("view", EXAMPLES, ids=lambda view: view.event_type)
def test_what_is_sent_is_what_the_schema_says(view: EventView) -> None:
    model = dict(zip(VIEWS, MODELS, strict=True))[type(view)]
    sent = Writer(model, type(view)).json(view)
    shown = model.model_validate(view).model_dump_json(by_alias=True, exclude_none=True)
    assert json.loads(sent) == json.loads(shown)
    assert type(Event.model_validate(view).root) is model
    assert json.loads(sent)["eventType"] == view.event_type
    assert b"\n" not in sent


def test_there_is_an_example_of_each_event() -> None:
    assert [type(view) for view in EXAMPLES] == list(VIEWS)
    assert tuple(view.event_type for view in EXAMPLES) == TYPES


@run
async def test_events_over_web_socket() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client, web_socket(client) as connection:
        for view in EXAMPLES:
            put(fake, view)
        told = [await connection.receive_json() for _ in EXAMPLES]
    assert [one["eventType"] for one in told] == list(TYPES)
    first = told[0]["cursor"]
    assert [one["cursor"] for one in told] == list(range(first, first + len(told)))


@run
async def test_what_a_web_socket_says_is_ignored() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client, web_socket(client) as connection:
        await connection.send_str("hello")
        put(fake, event(1))
        assert (await connection.receive_json())["details"] == "1"


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("?type=call.state_changed", [0, 2]),
        ("?type=call.ended,system.service_state_changed", [1, 3]),
        ("?type=system.*", [3]),
        ("?type=call.*", [0, 1, 2]),
        (f"?callGuid={GUID}", [0, 1]),
        (f"?callGuid={GUID.lower()}&type=call.ended", [1]),
        ("", [0, 1, 2, 3]),
    ],
)
@run
async def test_only_what_is_wanted(query: str, numbers: list[int]) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client, stream(client, query) as frames:
        base = fake.events.first
        for view in (event(0), EXAMPLES[6], event(2, "F" * 32), EXAMPLES[9]):
            put(fake, view)
        told = [(await frames.event())["cursor"] - base for _ in numbers]
    assert told == numbers


@run
async def test_a_heartbeat_takes_a_browser_past_what_it_does_not_want() -> None:
    """A comment, and an id without data, which is where a browser goes on from."""
    fake = FakeCallServer()
    async with serving(fake, heartbeat=0.02) as client:
        async with stream(client, "?type=call.ended") as frames:
            assert await frames.next() == {"": "", "id": str(fake.events.last)}
            for number in range(500):
                put(fake, event(number))
            while (frame := await frames.next())["id"] != str(fake.events.last):
                assert "data" not in frame
        assert fake.events.last - fake.events.first == 499


@run
async def test_a_web_socket_is_pinged() -> None:
    async with serving(FakeCallServer(), heartbeat=0.02) as client:
        url = f"{client.address}{SOCKET}"
        async with client.session.ws_connect(
            url, headers=basic(USER), autoping=False
        ) as connection:
            assert (await connection.receive()).type is WSMsgType.PING


@run
async def test_a_whole_call() -> None:
    """Of a real call server: self-service, queue, agent, a transfer, the end."""
    world = World(Network())
    server = cast(FakeCallServer, world.server)
    async with serving(server) as client, stream(client) as frames:
        line = world.queued()
        world.run(5.0)
        world.transfer("1002")
        world.run(2.0)
        line.hang_up()
        world.run()
        told = [await frames.event()]
        while told[-1]["eventType"] != "call.ended":
            told.append(await frames.event())
    assert [one["eventType"].partition(".")[2] for one in told] == [
        "started", "state_changed", "application_invoked", "state_changed", "queued",
        "state_changed", "transferred", "state_changed", "transferred", "state_changed", "ended",
    ]  # fmt: skip
    assert {one["callGuid"] for one in told} == {world.call.guid}
    states = [one["state"] for one in told if "state" in one]
    assert states == ["self_service", "queued", "connected", "transferring", "connected"]
    times = [one["timestamp"] for one in told]
    assert times == sorted(times)
    assert told[-1]["callResult"] == "transferred"


# -- where it goes on ----------------------------------------------------------------------


@run
async def test_what_was_missed_comes_first() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        async with stream(client) as frames:
            for number in range(5):
                put(fake, event(number))
            cursor = (await frames.event())["cursor"]
        put(fake, event(5))
        old, new = f"?cursor={cursor}", str(cursor + 2)
        async with stream(client, old) as frames:
            assert [(await frames.event())["details"] for _ in range(5)] == list("12345")
        async with stream(client, old, Last_Event_ID=new) as frames:
            assert [(await frames.event())["details"] for _ in range(3)] == list("345")
        async with web_socket(client, f"?cursor={new}") as connection:
            assert [(await connection.receive_json())["details"] for _ in range(3)] == list("345")


@run
async def test_where_a_reader_begins_that_has_had_no_event() -> None:
    """What a browser sends as Last-Event-ID when it is cut off before the first event."""
    fake = FakeCallServer()
    async with serving(fake) as client:
        async with client.session.get(f"{client.address}{PATH}", headers=basic(USER)) as response:
            begin = (await Frames(response).next())["id"]
        put(fake, event(7))
        async with stream(client, Last_Event_ID=begin) as frames:
            assert (await frames.event())["details"] == "7"


@pytest.mark.parametrize("path", [PATH, SOCKET])
@run
async def test_older_than_the_ring_is_gone(path: str) -> None:
    fake = FakeCallServer(events=events_bus(100))
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    async with serving(fake) as client:
        reader = fake.events.reader(lambda: None)
        for number in range(101):
            put(fake, event(number))
        oldest = fake.events.first - 1
        for cursor in (0, reader.position, oldest - 1, fake.events.last + 1):
            reply = await client("GET", f"{path}?cursor={cursor}", headers=upgrade)
            details = reply.error(410, "EVENTS_GONE")
            assert f"from {oldest}," in details
    assert fake.events.readers == [reader]


@pytest.mark.parametrize(
    ("query", "headers", "fault"),
    [
        ("?cursor=x", {}, "cursor"),
        ("?cursor=-1", {}, "cursor"),
        ("?type=call.nothing", {}, "type"),
        ("?type=", {}, "type"),
        ("?type=call.ended,,", {}, "type"),
        ("?kind=call.ended", {}, "kind"),
        ("?cursor=1&cursor=2", {}, "cursor"),
        ("", {"Last-Event-ID": "x"}, "Last-Event-ID"),
        ("", {"Last-Event-ID": "-1"}, "Last-Event-ID"),
        ("", {"Last-Event-ID": "9" * 17}, "Last-Event-ID"),
    ],
)
@run
async def test_what_cannot_be_asked(query: str, headers: dict[str, str], fault: str) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        reply = await client("GET", PATH + query, headers=headers)
    assert fault in reply.error(400)
    assert not fake.events.on


# -- who may read --------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PATH, SOCKET])
@run
async def test_nobody_reads_without_a_password(path: str) -> None:
    async with serving(FakeCallServer()) as client:
        assert (await client("GET", path, login=False)).error(401)


@run
async def test_a_page_of_another_site_gets_no_web_socket() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with web_socket(client, Origin="http://evil.example"):
                pass
        assert refused.value.status == 403
        own = f"http://{client.address.host}:{client.address.port}"
        async with web_socket(client, Origin=own) as connection:
            put(fake, event(1))
            assert (await connection.receive_json())["details"] == "1"


@run
async def test_a_web_socket_needs_an_upgrade() -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("GET", SOCKET)
    assert PATH in reply.error(426)
    assert reply.headers["Upgrade"] == "websocket"


@run
async def test_a_head_says_what_there_is() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        reply = await client("HEAD", PATH)
    assert (reply.status, reply.text) == (200, "")
    assert reply.headers["Content-Type"] == "text/event-stream"
    assert fake.events.readers == []


@run
async def test_one_reader_too_many() -> None:
    fake = FakeCallServer()
    for _ in range(MOST_READERS):
        fake.events.reader(lambda: None)
    async with serving(fake) as client:
        assert (await client("GET", PATH)).error(503, "TOO_MANY_READERS")


# -- who does not keep up, or goes ---------------------------------------------------------


class Consumer:
    """Reads until it has `wanted` events; `seen` are their numbers."""

    def __init__(self, client: Client, wanted: int) -> None:
        self.client = client
        self.wanted = wanted
        self.seen: list[int] = []
        self.cursor: int | None = None
        self.connections = 0
        self.progress = asyncio.Event()
        self._random = random.Random(1)

    async def consume(self, how: str) -> None:
        """Come back after each death, with the last cursor and nothing else."""
        while len(self.seen) < self.wanted:
            self.connections += 1
            await (self._read_events if how == "sse" else self._read_socket)()

    def _take(self, data: bytes | str) -> None:
        told = json.loads(data)
        self.cursor = told["cursor"]
        self.seen.append(int(told["details"]))
        self.progress.set()

    @property
    def _life(self) -> int:
        return len(self.seen) + self._random.randrange(1, self.wanted // 12)

    @property
    def _query(self) -> str:
        return "" if self.cursor is None else f"?cursor={self.cursor}"

    async def _read_events(self) -> None:
        life = self._life
        url = f"{self.client.address}{PATH}{self._query}"
        async with self.client.session.get(url, headers=basic(USER)) as response:
            assert response.status == 200, await response.text()
            self.progress.set()
            rest = b""
            while len(self.seen) < min(life, self.wanted):
                *frames, rest = (rest + await response.content.readany()).split(b"\n\n")
                for frame in frames:
                    _, _, data = frame.partition(b"\ndata: ")
                    if data and len(self.seen) < life:  # what else it has read dies with it
                        self._take(data)
            _kill(response)

    async def _read_socket(self) -> None:
        life = self._life
        async with web_socket(self.client, self._query) as connection:
            self.progress.set()
            while len(self.seen) < min(life, self.wanted):
                self._take((await connection.receive()).data)
            _kill(connection._response)


def _kill(response: aiohttp.ClientResponse) -> None:
    """As a process dies: no goodbye, and what is under way is lost."""
    assert response.connection is not None
    transport = response.connection.transport
    assert transport is not None
    transport.abort()


@pytest.mark.parametrize(("how", "events"), [("sse", 100_000), ("websocket", 20_000)])
@run
async def test_who_is_killed_and_comes_back_gets_each_event_once(how: str, events: int) -> None:
    kept = events // 5
    fake = FakeCallServer(events=events_bus(kept))
    async with serving(fake) as client:
        consumer = Consumer(client, events)
        consuming = asyncio.create_task(consumer.consume(how))
        await consumer.progress.wait()
        for number in range(events):
            put(fake, event(number))
            while number - len(consumer.seen) > kept - 1000 and not consuming.done():
                consumer.progress.clear()
                await consumer.progress.wait()
            if number % 100 == 0:
                await asyncio.sleep(0)
        await consuming
        assert consumer.seen == list(range(events))
        assert consumer.connections > 10


@asynccontextmanager
async def deaf(client: Client) -> AsyncIterator[socket.socket]:
    """A reader that has asked, and takes nothing."""
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await loop.sock_connect(connection, (client.address.host, client.address.port))
        request = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n"
        request += "".join(f"{name}: {value}\r\n" for name, value in basic(USER).items())
        await loop.sock_sendall(connection, f"{request}\r\n".encode())
        begin = b""
        while b"id: " not in begin:
            begin += await loop.sock_recv(connection, 4096)
        yield connection


async def publish(fake: FakeCallServer, count: int) -> None:
    """Events, no more at a time than a reader takes in a turn."""
    for number in range(count):
        put(fake, event(number))
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)


async def read_all(connection: socket.socket) -> None:
    """Take what comes until the end."""
    while await asyncio.get_running_loop().sock_recv(connection, 65536):
        pass


@run
async def test_who_does_not_read_costs_no_memory_and_is_dropped() -> None:
    """The ring overtakes it: what it has not taken is kept for nobody."""
    kept = 1000
    fake = FakeCallServer(events=events_bus(kept))
    async with serving(fake) as client, deaf(client) as connection:
        (reader,) = fake.events.readers
        await publish(fake, kept)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            await publish(fake, 40_000)
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert grown < 1_000_000, "of 10 MB that it was to get"
        assert reader.position < fake.events.first - 1
        with pytest.raises(ConnectionResetError):
            await read_all(connection)
        assert fake.events.readers == []


@run
async def test_who_takes_nothing_for_a_while_is_dropped() -> None:
    fake = FakeCallServer(events=events_bus(100_000))
    async with serving(fake, patience=0.2) as client, deaf(client) as connection:
        await publish(fake, 50_000)  # more than the buffers of the system take
        poll = select.poll()
        poll.register(connection, 0)  # tells of the end alone
        assert await asyncio.to_thread(poll.poll, 20_000)
        assert fake.events.readers == []


@run
async def test_the_others_go_on_meanwhile() -> None:
    fake = FakeCallServer(events=events_bus(2000))
    async with serving(fake) as client, deaf(client), stream(client) as frames:
        for number in range(20_000):
            put(fake, event(number))
            if number % 500 == 499:
                while (await frames.event())["details"] != str(number):
                    pass


@pytest.mark.parametrize("how", ["sse", "websocket"])
@run
async def test_who_goes_is_forgotten(how: str) -> None:
    fake = FakeCallServer()
    async with serving(fake, heartbeat=0.02) as client:
        if how == "sse":
            async with stream(client) as frames:
                assert len(fake.events.readers) == 1
                _kill(frames.response)
        else:
            async with web_socket(client) as connection:
                assert len(fake.events.readers) == 1
                await connection.close()
        while fake.events.readers:
            assert (await client("GET", "/livez")).status == 200
        put(fake, event(1))


@run
async def test_the_end_of_the_server_is_the_end_of_the_streams() -> None:
    """What is there is sent, then the streams end properly, without the patience for requests."""
    fake = FakeCallServer()
    app = create_app(fake, ApiOptions(users=(USER,), listen=(LOOPBACK,)))
    server = ApiServer(app, shutdown_timeout=30)
    addresses = await server.start((LOOPBACK,))
    async with aiohttp.ClientSession() as session:
        client = Client(session, addresses)
        async with stream(client) as frames, web_socket(client) as connection:
            put(fake, event(1))
            async with asyncio.timeout(5):
                closing = asyncio.create_task(server.stop())
                assert (await frames.event())["details"] == "1"
                with pytest.raises(EOFError):
                    await frames.next()
                assert (await connection.receive_json())["details"] == "1"
                message = await connection.receive()
                assert message.type is WSMsgType.CLOSE
                assert message.data == aiohttp.WSCloseCode.GOING_AWAY
                await closing


# -- the document --------------------------------------------------------------------------


def test_they_are_documented() -> None:
    described = document(GROUPS)
    events = described["paths"][PATH]["get"]
    content = events["responses"]["200"]["content"]["text/event-stream"]
    assert content["schema"] == {"$ref": "#/components/schemas/Event"}
    assert {"400", "401", "410", "503"} <= events["responses"].keys()
    names = {(one["in"], one["name"]) for one in events["parameters"]}
    assert names == {
        ("query", "cursor"),
        ("query", "type"),
        ("query", "callGuid"),
        ("header", "Last-Event-ID"),
    }
    assert all("description" in one for one in events["parameters"])
    web_socket = described["paths"][SOCKET]["get"]
    assert web_socket["parameters"] == events["parameters"]
    assert web_socket["responses"].keys() >= {"101", "403", "410", "426"}
    schemas = described["components"]["schemas"]
    one_of = {one["$ref"].rpartition("/")[2] for one in schemas["Event"]["anyOf"]}
    assert {schemas[name]["properties"]["eventType"]["const"] for name in one_of} == set(TYPES)
