"""TCP on real sockets: stacks, and peers that speak raw octets."""

import asyncio
import contextlib
import ctypes
import logging
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from sip.aio import connection
from sip.events import Answered, Hungup, Invited, Progressed, Refused, Responded
from sip.message import Request, Response, parse
from sip.stream import StreamFramer
from tests.support.builders import response_text
from tests.support.network import summary
from tests.support.phone import Phone, phones


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever peers do, nothing is an error of ours."""
    yield
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == []


@asynccontextmanager
async def tcp_phones(count: int, status: int = 200) -> AsyncIterator[list[Phone]]:
    """Phones on TCP ports."""
    async with phones(count, status) as made:
        for phone in made:
            await phone.listen("TCP")
        yield made


class End:
    """The far end of a connection, which speaks octets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.port: int = writer.get_extra_info("sockname")[1]
        self._framer = StreamFramer()
        self._messages: list[bytes] = []

    async def gets(self, what: str) -> Request | Response:
        """The next message with this summary (``200 INVITE``)."""
        while True:
            while self._messages:
                data = self._messages.pop(0)
                if summary(data) == what:
                    return parse(data)
            data = await self.reader.read(65_536)
            assert data, f"closed before {what} came"
            self._messages += self._framer.feed(data)

    async def gets_request(self, method: str) -> Request:
        found = await self.gets(method)
        assert isinstance(found, Request)
        return found

    async def closed(self) -> None:
        """Wait until it is, nothing having come before."""
        with contextlib.suppress(ConnectionResetError):
            assert await self.reader.read() == b""


class Raw:
    """A peer without a stack: `connections` are those that came to its port."""

    def __init__(self) -> None:
        self.connections: asyncio.Queue[End] = asyncio.Queue()
        self.port = 0
        self._ends: list[End] = []

    async def __aenter__(self) -> "Raw":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for end in self._ends:
            end.writer.transport.abort()
        await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.append(End(reader, writer))
        self.connections.put_nowait(self._ends[-1])

    async def connect(self, port: int) -> End:
        """A connection to `port`."""
        self._ends.append(End(*await asyncio.open_connection("127.0.0.1", port)))
        return self._ends[-1]

    @property
    def uri(self) -> str:
        return f"sip:raw@127.0.0.1:{self.port};transport=tcp"


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until a condition holds (the phones' patience ends it)."""
    turn = partial(asyncio.sleep, 0)
    while not condition():
        await turn()


def test_a_call_over_tcp() -> None:
    async def play() -> None:
        async with tcp_phones(2) as (alice, bob):
            alice.call(bob.uri)
            await alice.until(lambda: alice.saw(Answered))
            session = next(e.session for e in alice.seen if isinstance(e, Answered))
            session.bye(alice.stack.now())
            alice.stack.pump()
            await bob.until(lambda: bob.saw(Hungup))
            # INVITE, ACK and BYE went over one connection that Alice opened.
            assert len(bob.stream.connections) == 1
            assert alice.stack.endpoint.retransmitted == bob.stack.endpoint.retransmitted == 0

    asyncio.run(play())


def test_nobody_listens() -> None:
    """A connection that fails is an input to the transaction: 503 (section 8.1.3.1)."""

    async def play() -> None:
        async with tcp_phones(2) as (alice, bob):
            uri = bob.uri
            bob.stream.close()
            alice.call(uri)
            await alice.until(lambda: alice.saw(Refused))
            refused = next(e for e in alice.seen if isinstance(e, Refused))
            assert refused.status == 503
            assert not alice.stack.endpoint.clients

    asyncio.run(play())


def test_what_follows_a_message_is_none() -> None:
    """A message, and octets after it that are no header: answered, and closed at once."""

    async def play() -> None:
        async with tcp_phones(1) as (bob,):
            reader, writer = await asyncio.open_connection("127.0.0.1", bob.listener.port)
            writer.write(
                b"OPTIONS sip:b@127.0.0.1 SIP/2.0\r\n"
                b"Via: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\n"
                b"From: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
                b"Content-Length: 0\r\n\r\nnothing\r\n\r\n"
            )
            answer = await reader.read()
            assert answer.startswith(b"SIP/2.0 200 OK\r\n")
            assert reader.at_eof()
            writer.close()

    asyncio.run(play())


def test_octets() -> None:
    """A ping gets its pong, a header without length 400, and then the connection closes."""

    async def play() -> None:
        async with tcp_phones(1) as (bob,):
            reader, writer = await asyncio.open_connection("127.0.0.1", bob.listener.port)
            writer.write(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"\r\n"
            head = (
                b"OPTIONS sip:b@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\n"
                b"From: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
            )
            for octet in head + b"Content-Length: 0\r\n\r\n":
                writer.write(bytes([octet]))
                await writer.drain()
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"SIP/2.0 200 OK\r\n")
            writer.write(head + b"\r\n")
            answer = await reader.read()
            assert answer.startswith(b"SIP/2.0 400 ")
            assert reader.at_eof()
            writer.close()
            await writer.wait_closed()

    asyncio.run(play())


# Connections that fail.


def test_a_connection_lost_before_the_answer() -> None:
    """503 at once, not after 64*T1; for a call that rings as well."""

    async def play(lines: str | None) -> None:
        async with tcp_phones(1) as (alice,), Raw() as far:
            alice.call(far.uri)
            end = await far.connections.get()
            invite = await end.gets_request("INVITE")
            if lines is not None:
                end.writer.write(response_text(invite, 180, "far", lines))
                await alice.sees(Progressed)
            end.writer.transport.abort()
            assert await alice.refusal() == 503
            assert not alice.stack.endpoint.clients

    for lines in (None, ""):
        asyncio.run(play(lines))


def test_options_on_a_lost_connection() -> None:
    async def play() -> None:
        async with tcp_phones(1) as (alice,), Raw() as far:
            now = alice.stack.now()
            alice.stack.endpoint.options(now, far.uri, from_="<sip:a@b>", context="probe")
            alice.stack.pump()
            end = await far.connections.get()
            end.writer.close()
            await alice.sees(Responded)
            assert [e.status for e in alice.seen if isinstance(e, Responded)] == [503]

    asyncio.run(play())


def invite_text(far: Raw, bob: Phone, source_port: int, contact: str, via: str = "") -> bytes:
    """An INVITE of the far end."""
    return (
        f"INVITE {bob.uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/TCP {via or f'127.0.0.1:{source_port}'};branch=z9hG4bKi\r\n"
        "Max-Forwards: 70\r\nFrom: <sip:far@127.0.0.1>;tag=far\r\nTo: <sip:bob@127.0.0.1>\r\n"
        f"Call-ID: {source_port}@far\r\nCSeq: 1 INVITE\r\nContact: <{contact}>\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def test_a_response_whose_connection_is_gone() -> None:
    """It goes to the port of the sent-by, over a new connection (section 18.2.2)."""

    async def play() -> None:
        async with tcp_phones(1, status=180) as (bob,), Raw() as far:
            end = await far.connect(bob.listener.port)
            end.writer.write(invite_text(far, bob, end.port, far.uri, f"127.0.0.1:{far.port}"))
            await end.gets("180 INVITE")
            end.writer.transport.abort()
            await until(lambda: not bob.stream.connections)
            session = next(e.session for e in bob.seen if isinstance(e, Invited))
            session.reject(bob.stack.now(), 486)
            bob.stack.pump()
            end = await far.connections.get()
            await end.gets("486 INVITE")

    asyncio.run(play())


def test_a_contact_that_takes_no_connections() -> None:
    """BYE goes back over the connection that the INVITE came by."""

    async def play() -> None:
        async with tcp_phones(1) as (bob,), Raw() as far:
            end = await far.connect(bob.listener.port)
            with socket.create_server(("127.0.0.1", 0)) as closed:
                nowhere = closed.getsockname()[1]
            contact = f"sip:far@127.0.0.1:{nowhere};transport=tcp"
            end.writer.write(invite_text(far, bob, end.port, contact))
            await end.gets("200 INVITE")
            session = next(e.session for e in bob.seen if isinstance(e, Invited))
            ack = (
                f"ACK {bob.uri} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKa\r\n"
                f"From: {session.dialog.remote}\r\nTo: {session.dialog.local}\r\n"
                f"Call-ID: {session.dialog.call_id}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
            )
            end.writer.write(ack.encode())
            await bob.until(lambda: len(bob.seen) > 1)
            session.bye(bob.stack.now())
            bob.stack.pump()
            bye = await end.gets_request("BYE")
            assert bye.uri == contact
            assert far.connections.empty()

    asyncio.run(play())


@pytest.mark.parametrize("parameter", ["", ";ob"])
def test_a_contact_that_takes_them(parameter: str) -> None:
    """It is what counts, unless it says ``ob`` (RFC 5626 section 4.3)."""

    async def play() -> None:
        async with tcp_phones(1) as (bob,), Raw() as far:
            end = await far.connect(bob.listener.port)
            end.writer.write(invite_text(far, bob, end.port, far.uri + parameter))
            await end.gets("200 INVITE")
            session = next(e.session for e in bob.seen if isinstance(e, Invited))
            session.request(bob.stack.now(), "INFO")
            bob.stack.pump()
            if not parameter:
                end = await far.connections.get()
            await end.gets_request("INFO")

    asyncio.run(play())


# A peer that is gone without a word.


def deafen(end: End) -> None:
    """The host of the far end is gone: its kernel takes no packet of this connection any more."""
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # BPF: return 0
    program = struct.pack("HL", 1, ctypes.addressof(nothing))
    attach = 26  # SO_ATTACH_FILTER
    end.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, attach, program)


def test_a_half_open_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent is not taken: 503, and the next request opens another connection."""
    monkeypatch.setattr(connection, "UNHEARD", 0.3)

    async def play() -> None:
        async with tcp_phones(1) as (alice,), Raw() as far:
            session = alice.call(far.uri)
            end = await far.connections.get()
            end.writer.write(response_text(await end.gets_request("INVITE"), 180, "far"))
            await alice.sees(Progressed)
            deafen(end)
            session.cancel(alice.stack.now())
            alice.stack.pump()
            assert await alice.refusal() == 503
            alice.call(far.uri)
            await (await far.connections.get()).gets_request("INVITE")

    asyncio.run(play())


def test_a_peer_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNHEARD", 0.3)

    async def play() -> None:
        async with tcp_phones(1) as (bob,):
            with socket.create_connection(("127.0.0.1", bob.listener.port)):
                await until(lambda: bob.stream.connections)
                (ours,) = bob.stream.connections.values()
                ours.send(bytes(3 << 20))  # more than the buffers of both kernels
                assert ours.usable
                await until(lambda: not bob.stream.connections)

    asyncio.run(play())


def test_an_idle_connection_is_looked_after_by_the_kernel() -> None:
    """Keep-alive of TCP finds a peer that was switched off while nothing was sent."""

    async def play() -> None:
        async with tcp_phones(1) as (bob,), Raw() as far:
            await far.connect(bob.listener.port)
            await until(lambda: bob.stream.connections)
            (ours,) = bob.stream.connections.values()
            assert ours._transport is not None
            opened = ours._transport.get_extra_info("socket")
            assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            for option, value in (
                (socket.TCP_KEEPIDLE, 90), (socket.TCP_KEEPINTVL, 10),
                (socket.TCP_USER_TIMEOUT, 32_000),
            ):  # fmt: skip
                assert opened.getsockopt(socket.IPPROTO_TCP, option) == value

    asyncio.run(play())


# Keep-alive, RFC 5626 section 4.4.1, and time limits.


def test_an_idle_connection_of_ours_is_pinged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops to answer pings is gone."""
    monkeypatch.setattr(connection, "PING", 0.02)
    monkeypatch.setattr(connection, "PONG", 0.05)

    async def play() -> None:
        async with tcp_phones(1) as (alice,), Raw() as far:
            alice.call(far.uri)
            end = await far.connections.get()
            end.writer.write(response_text(await end.gets_request("INVITE"), 180, "far"))
            for _ in range(2):
                assert await end.reader.readexactly(4) == b"\r\n\r\n"
                end.writer.write(b"\r\n")
            assert await end.reader.readexactly(4) == b"\r\n\r\n"
            await end.closed()
            assert await alice.refusal() == 503

    asyncio.run(play())


def test_who_knows_no_pings_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PING", 0.02)
    monkeypatch.setattr(connection, "PONG", 0.02)

    async def play() -> None:
        async with tcp_phones(1) as (alice,), Raw() as far:
            session = alice.call(far.uri)
            end = await far.connections.get()
            invite = await end.gets_request("INVITE")
            end.writer.write(response_text(invite, 180, "far"))
            assert await end.reader.readexactly(4) == b"\r\n\r\n"
            (ours,) = alice.stream.connections.values()
            await until(lambda: ours._answers is False)
            end.writer.write(response_text(invite, 200, "far", f"Contact: <{far.uri}>\r\n"))
            await alice.sees(Answered)
            await end.gets_request("ACK")  # no second ping before it
            session.bye(alice.stack.now())
            alice.stack.pump()
            await end.gets_request("BYE")

    asyncio.run(play())


def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE", 0.05)

    async def play() -> None:
        async with tcp_phones(1) as (bob,), Raw() as far:
            end = await far.connect(bob.listener.port)
            await end.closed()
            assert not bob.stream.connections

    asyncio.run(play())


@pytest.mark.parametrize("sent", [b"", b"OPTIONS sip:b@127.0.0.1 SIP/2.0\r\nVia: S"])
def test_a_message_that_does_not_end(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """A slow peer, or one that says nothing at all, does not keep its connection."""
    monkeypatch.setattr(connection, "PATIENCE", 0.05)

    async def play() -> None:
        async with tcp_phones(1) as (bob,), Raw() as far:
            end = await far.connect(bob.listener.port)
            end.writer.write(sent)
            await end.closed()

    asyncio.run(play())


def test_octet_by_octet_wins_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.05)

    async def play() -> None:
        async with tcp_phones(1) as (bob,), Raw() as far:
            end = await far.connect(bob.listener.port)
            await until(lambda: bob.stream.connections)
            while bob.stream.connections:
                end.writer.write(b"x")
                await end.writer.drain()
                await asyncio.sleep(0)

    asyncio.run(play())


def test_there_may_be_only_so_many() -> None:
    async def play() -> None:
        async with tcp_phones(1) as (bob,), Raw() as far:
            bob.stream.most = 2
            ends = [await far.connect(bob.listener.port) for _ in range(2)]
            await until(lambda: len(bob.stream.connections) == 2)
            await (await far.connect(bob.listener.port)).closed()
            ends[0].writer.close()
            await until(lambda: len(bob.stream.connections) == 1)
            await far.connect(bob.listener.port)
            await until(lambda: len(bob.stream.connections) == 2)

    asyncio.run(play())


def test_more_than_a_header_may_have_is_413_or_513() -> None:
    """Answered where it can be, and the connection is closed."""

    async def play() -> None:
        async with tcp_phones(1) as (bob,), Raw() as far:
            end = await far.connect(bob.listener.port)
            head = invite_text(far, bob, 1, far.uri).replace(
                b"Content-Length: 0", b"Content-Length: 99999999"
            )
            end.writer.write(head)
            answer = await end.reader.read()
            assert answer.startswith(b"SIP/2.0 513 ")

    asyncio.run(play())
