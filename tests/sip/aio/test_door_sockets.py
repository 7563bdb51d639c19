"""The door on real sockets: who comes while there is no time waits, and not too long."""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from functools import wraps
from types import SimpleNamespace

import pytest

from sip.aio.stack import SipStack
from sip.aio.udp import UdpListener
from sip.door import AT_ONCE
from sip.errors import PeerError
from sip.events import Event, Invited, Responded
from sip.knock import Knock
from sip.message import Response, parse
from sip.stream import StreamFramer
from tests.support.builders import request_text

DELAY = 0.1
TOIL = 0.002
"""Seconds that the program takes for a call."""

MANY = 200
PATIENCE = 20.0


Scenario = Callable[[], Coroutine[None, None, None]]


def in_a_loop(scenario: Scenario) -> Callable[[], None]:
    """A test that runs in an event loop of its own."""

    @wraps(scenario)
    def test() -> None:
        asyncio.run(scenario())

    return test


@pytest.fixture(autouse=True, scope="module")
def _times_noted() -> Iterator[None]:
    """The kernel notes when datagrams come. For the first socket of a machine that asks for it
    it takes a while to begin."""
    with (
        closing(UdpListener("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller,
    ):
        caller.connect(("127.0.0.1", listener.port))
        listener.age()
        ages = [0.0]
        until = time.monotonic() + PATIENCE
        while ages[-1] < DELAY / 10:
            assert time.monotonic() < until
            caller.send(b"ping")
            stand_still(DELAY / 10)
            listener.drain(lambda _data, _address: ages.append(listener.age()))
        yield


def stand_still(seconds: float) -> None:
    """Keep the event loop from its work."""
    time.sleep(seconds)


class Server:
    """A program that toils over each call and refuses it then by 486; `took` are the times."""

    def __init__(self, toil: float = TOIL) -> None:
        self.toil = toil
        self.toiled = 0.0  # seconds, which are more on a busy machine
        self.stack = SipStack(handler=self.handle)
        self.stack.endpoint.door.watch(self, always=False, delay=DELAY)
        self.late = 0

    def shut(self, now: float) -> bool:
        return False

    def refuses(self, knock: Knock, now: float, *, late: bool) -> str:
        return "late" if late else ""

    def count(self, reason: str, now: float) -> None:
        self.late += 1

    def handle(self, event: Event | Responded, now: float) -> None:
        if isinstance(event, Invited):
            began = time.monotonic()
            stand_still(self.toil)
            self.toiled += time.monotonic() - began
            event.session.reject(now, 486)


def invite(number: int, transport: str = "UDP") -> bytes:
    headers = {
        "Via": f"SIP/2.0/{transport} 127.0.0.1;branch=z9hG4bK{number};rport",
        "Call-ID": f"{number}@127.0.0.1",
    }
    return request_text("INVITE", headers)


class Answers:
    """When each call had its final response, and which."""

    def __init__(self) -> None:
        self.statuses: dict[str, int] = {}
        self.times: dict[str, float] = {}

    def take(self, data: bytes) -> None:
        message = parse(data)
        assert isinstance(message, Response)
        if message.status >= 200:
            self.statuses.setdefault(message.call_id, message.status)
            self.times.setdefault(message.call_id, time.monotonic())

    async def all(self, receive: Callable[[], "asyncio.Future[bytes]"], many: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.statuses) < many:
                self.take(await receive())


def judge(server: Server, answers: Answers, many: int = MANY) -> None:
    """As many as there was time for came in, each other was refused."""
    statuses = list(answers.statuses.values())
    let_in = statuses.count(486)
    assert statuses.count(503) == many - let_in == server.late
    assert 0 < let_in < many
    endpoint = server.stack.endpoint
    assert len(endpoint.servers) == let_in
    assert endpoint.door.waiting == 0


def judge_times(server: Server, answers: Answers, began: float) -> None:
    """Nobody waited as long as it would have taken to toil over all."""
    judge(server, answers)
    waited = max(answers.times.values()) - began
    assert waited < MANY * server.toiled / len(server.stack.endpoint.servers)


@in_a_loop
async def test_a_flood_of_datagrams() -> None:
    server = Server()
    loop = asyncio.get_running_loop()
    listener = server.stack.listen_udp("127.0.0.1", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        caller.setblocking(False)
        caller.bind(("127.0.0.1", 0))
        caller.connect(("127.0.0.1", listener.port))
        began = time.monotonic()
        for number in range(MANY):
            caller.send(invite(number))
        answers = Answers()
        await answers.all(lambda: asyncio.ensure_future(loop.sock_recv(caller, 65_535)), MANY)
        judge_times(server, answers, began)
        # The flood is over: the next one comes in at once.
        caller.send(invite(MANY))
        await answers.all(lambda: asyncio.ensure_future(loop.sock_recv(caller, 65_535)), MANY + 1)
        assert answers.statuses[f"{MANY}@127.0.0.1"] == 486
    server.stack.close()


@in_a_loop
async def test_a_flood_on_a_connection() -> None:
    server = Server()
    listener = await server.stack.listen_stream("TCP", "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    began = time.monotonic()
    writer.write(b"".join(invite(number, "TCP") for number in range(MANY)))
    framer, answers = StreamFramer(), Answers()
    async with asyncio.timeout(PATIENCE):
        while len(answers.statuses) < MANY:
            for message in framer.feed(await reader.read(65_535)):
                answers.take(message)
    judge_times(server, answers, began)
    writer.close()
    await writer.wait_closed()
    server.stack.close()


@in_a_loop
async def test_a_flood_among_other_datagrams() -> None:
    """New calls are few in each reading; what they wait for in the kernel is seen."""
    server = Server(toil=2 * TOIL)
    loop = asyncio.get_running_loop()
    listener = server.stack.listen_udp("127.0.0.1", 0)
    many = 90
    other = request_text("ACK", {"To": "<sip:b@c>;tag=gone"})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        caller.setblocking(False)
        caller.bind(("127.0.0.1", 0))
        caller.connect(("127.0.0.1", listener.port))
        for number in range(many):
            for data in (invite(number), other, other, other):  # AT_ONCE calls in each batch
                caller.send(data)
        answers = Answers()
        await answers.all(lambda: asyncio.ensure_future(loop.sock_recv(caller, 65_535)), many)
    judge(server, answers, many)
    server.stack.close()


@in_a_loop
async def test_a_flood_on_many_connections() -> None:
    """One call on each: those of a turn of the loop are counted together."""
    server = Server()
    listener = await server.stack.listen_stream("TCP", "127.0.0.1", 0)
    opened = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(MANY)]
    answers = Answers()

    async def hear(reader: asyncio.StreamReader) -> None:
        framer, messages = StreamFramer(), [b""]
        while b" 100 " in messages[-1][:12] or not messages[-1]:
            for message in framer.feed(await reader.read(65_535)):
                answers.take(message)
                messages.append(message)

    for number, (_, writer) in enumerate(opened):
        writer.write(invite(number, "TCP"))
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(hear(reader) for reader, _ in opened))
    judge(server, answers)
    for _, writer in opened:
        writer.close()
        await writer.wait_closed()
    server.stack.close()


class Loop:
    """The event loop of a stack, one turn at a time, on a clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 1.0
        self.soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.seconds

    def call_soon(self, callback: Callable[[], None]) -> object:
        self.soon.append(callback)
        return callback

    def call_at(self, _when: float, _callback: Callable[[], None]) -> object:
        return SimpleNamespace(cancel=lambda: None)

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


@in_a_loop
async def test_who_waits_gets_the_time_of_turns_that_had_none_for_them() -> None:
    """As long as all else took since they had any, and not in the last turn alone."""
    loop = Loop()
    server = Server()
    stack = server.stack
    stack.endpoint.door.watch(server, always=False, delay=PATIENCE)
    listener = stack.listen_udp("127.0.0.1", 0)
    stack._loop = loop
    let_in: list[int] = []

    def handle(event: Event | Responded, now: float) -> None:
        assert isinstance(event, Invited)
        event.session.reject(now, 486)
        if door.taken == 0:
            loop.seconds += toil

    stack.handler = handle
    toil = 1 / 1024
    door = stack.endpoint.door
    for number in range(AT_ONCE + 40):
        door.take(invite(number), ("127.0.0.1", 9), listener, loop.seconds)
    stack.pump()
    turns = ((False, 5), (True, 5), (True, 5), (False, 3), (True, 50), (False, 0))
    for full, took in turns:
        waiting = door.waiting
        loop.seconds += took * toil
        stack._full = full
        loop.turn()
        let_in.append(waiting - door.waiting)
    assert let_in == [5, 0, 0, 13, 0, 21]  # and no longer than 20 ms
    while door.waiting:
        loop.seconds += 50 * toil
        loop.turn()
    # A while later others have to wait: what was before they came is not theirs.
    loop.seconds += 1.0
    for number in range(AT_ONCE + 40):
        door.take(invite(1000 + number), ("127.0.0.1", 9), listener, loop.seconds)
    stack.pump()
    loop.seconds += 5 * toil
    loop.turn()
    assert stack.endpoint.door.waiting == 35
    listener.close()


@in_a_loop
async def test_those_who_wait_go_with_the_sockets() -> None:
    server = Server()
    listener = server.stack.listen_udp("127.0.0.1", 0)
    door = server.stack.endpoint.door
    for number in range(2 * AT_ONCE):
        door.take(invite(number), ("127.0.0.1", 9), listener, 0.0)
    assert door.waiting
    server.stack.close()
    assert not door.waiting


@in_a_loop
async def test_a_call_that_cannot_be_processed_holds_up_nobody() -> None:
    """Whatever the program does with one of those who wait."""
    server = Server()
    loop = asyncio.get_running_loop()
    listener = server.stack.listen_udp("127.0.0.1", 0)
    seen: list[str] = []

    def handle(event: Event | Responded, now: float) -> None:
        assert isinstance(event, Invited)
        seen.append(event.request.call_id)
        if len(seen) % 2:
            raise PeerError("no")
        event.session.reject(now, 486)

    server.stack.endpoint.door.watch(server, always=False, delay=PATIENCE)
    server.stack.handler = handle
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        caller.setblocking(False)
        caller.connect(("127.0.0.1", listener.port))
        for number in range(2 * AT_ONCE):
            caller.send(invite(number))
        answers = Answers()
        await answers.all(lambda: asyncio.ensure_future(loop.sock_recv(caller, 65_535)), AT_ONCE)
    assert len(seen) == 2 * AT_ONCE
    server.stack.close()


@in_a_loop
async def test_the_age_of_a_datagram() -> None:
    """The kernel notes when each came; who reads late can ask."""
    loop = asyncio.get_running_loop()
    listener = UdpListener("127.0.0.1", 0)
    ages: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller, closing(listener):
        read = asyncio.Event()

        def drain() -> int:
            count = listener.drain(lambda _data, _address: ages.append(listener.age()))
            read.set()
            return count

        listener.watch(loop, drain)
        caller.connect(("127.0.0.1", listener.port))
        caller.send(b"late")
        stand_still(0.05)
        caller.send(b"soon")
        await asyncio.wait_for(read.wait(), PATIENCE)
    assert len(ages) == 2
    assert 0.05 <= ages[0] < PATIENCE
    assert ages[1] < ages[0]
