"""TCP on real sockets: two stacks, and a peer that speaks raw octets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sip.aio.stack import SipStack
from sip.aio.stream import StreamListener
from sip.events import Answered, Event, Hungup, Invited, Refused, Responded

PATIENCE = 10.0


class Phone:
    """A stack on a TCP port that answers calls, and remembers what it saw."""

    def __init__(self) -> None:
        self.stack = SipStack(handler=self.handle)
        self.seen: list[Event | Responded] = []
        self._changed = asyncio.Event()

    async def open(self) -> StreamListener:
        self.listener = await self.stack.listen_stream("TCP", "127.0.0.1", 0)
        return self.listener

    @property
    def uri(self) -> str:
        return f"sip:phone@127.0.0.1:{self.listener.port};transport=tcp"

    def handle(self, event: Event | Responded, now: float) -> None:
        if isinstance(event, Invited):
            event.session.answer(now)
        elif isinstance(event, Answered):
            event.session.acknowledge(now)
        elif isinstance(event, Hungup):
            event.session.confirm_bye(now)
        self.seen.append(event)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def saw(self, kind: type[Event] | type[Responded]) -> bool:
        return any(isinstance(event, kind) for event in self.seen)


@asynccontextmanager
async def phones(count: int) -> AsyncIterator[list[Phone]]:
    made = [Phone() for _ in range(count)]
    for phone in made:
        await phone.open()
    try:
        async with asyncio.timeout(PATIENCE):
            yield made
    finally:
        for phone in made:
            phone.stack.close()


def call(caller: Phone, uri: str) -> None:
    caller.stack.endpoint.invite(
        caller.stack.now(), uri, from_="<sip:a@127.0.0.1>", to="<sip:b@127.0.0.1>"
    )
    caller.stack.pump()


def test_a_call_over_tcp() -> None:
    async def play() -> None:
        async with phones(2) as (alice, bob):
            call(alice, bob.uri)
            await alice.until(lambda: alice.saw(Answered))
            session = next(e.session for e in alice.seen if isinstance(e, Answered))
            session.bye(alice.stack.now())
            alice.stack.pump()
            await bob.until(lambda: bob.saw(Hungup))
            # INVITE, ACK and BYE went over one connection that Alice opened.
            assert len(bob.listener.connections) == 1
            assert alice.stack.endpoint.retransmitted == bob.stack.endpoint.retransmitted == 0

    asyncio.run(play())


def test_nobody_listens() -> None:
    """A connection that fails is an input to the transaction: 503 (section 8.1.3.1)."""

    async def play() -> None:
        async with phones(2) as (alice, bob):
            uri = bob.uri
            bob.listener.close()
            call(alice, uri)
            await alice.until(lambda: alice.saw(Refused))
            refused = next(e for e in alice.seen if isinstance(e, Refused))
            assert refused.status == 503
            assert not alice.stack.endpoint.clients

    asyncio.run(play())


def test_what_follows_a_message_is_none() -> None:
    """A message, and octets after it that are no header: answered, and closed at once."""

    async def play() -> None:
        async with phones(1) as (bob,):
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
        async with phones(1) as (bob,):
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
