"""Phones on real sockets, in the loop of the test: they answer, acknowledge, confirm."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sip.aio.stack import SipStack
from sip.aio.stream import StreamListener
from sip.events import Answered, Event, Hungup, Invited, Refused, Responded
from sip.transport import Listener, host_port
from sip.usage.invite import InviteSession

PATIENCE = 20.0

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]

ANSWER = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0\r\n"
)


class Phone:
    """A stack that remembers what it saw; `status` is how it answers calls."""

    def __init__(self, status: int = 200) -> None:
        self.stack = SipStack(handler=self.handle)
        self.status = status
        self.seen: list[Event | Responded] = []
        self.listener: Listener
        self._changed = asyncio.Event()

    async def listen(
        self,
        transport: str,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
    ) -> Listener:
        """Open a port; `listener` is the last one."""
        if transport == "UDP":
            self.listener = self.stack.listen_udp(host, port)
        else:
            server, client = tls or (None, None)
            self.listener = await self.stack.listen_stream(
                transport, host, port, None, server, client
            )
        return self.listener

    @property
    def stream(self) -> StreamListener:
        """The listener, of TCP or TLS."""
        assert isinstance(self.listener, StreamListener)
        return self.listener

    @property
    def uri(self) -> str:
        return self.at(self.listener.host)

    def at(self, host: str, scheme: str = "sip") -> str:
        """Its URI by another name; a sips: URI names no transport."""
        transport = f";transport={self.listener.transport.lower()}" if scheme == "sip" else ""
        return f"{scheme}:phone@{host_port(host, self.listener.port)}{transport}"

    def call(self, uri: str, body: bytes = b"", next_hop: str = "") -> InviteSession:
        """Send an INVITE."""
        session = self.stack.endpoint.invite(
            self.stack.now(),
            uri,
            from_="<sip:a@example.com>",
            to="<sip:b@example.com>",
            body=body,
            next_hop=next_hop,
        )
        self.stack.pump()
        return session

    def handle(self, event: Event | Responded, now: float) -> None:
        if isinstance(event, Invited):
            if self.status == 200:
                event.session.answer(now, ANSWER)
            elif self.status < 200:
                event.session.ring(now, self.status)
            else:
                event.session.reject(now, self.status)
        elif isinstance(event, Answered):
            event.session.acknowledge(now)
        elif isinstance(event, Hungup):
            event.session.confirm_bye(now)
        self.seen.append(event)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds, looked at after each event."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def saw(self, kind: type[Event] | type[Responded]) -> bool:
        return any(isinstance(event, kind) for event in self.seen)

    async def sees(self, kind: type[Event] | type[Responded]) -> None:
        """Wait for an event of a kind."""
        await self.until(lambda: self.saw(kind))

    async def refusal(self) -> int:
        """The status that its call is refused with."""
        await self.sees(Refused)
        return next(event.status for event in self.seen if isinstance(event, Refused))


@asynccontextmanager
async def phones(count: int, status: int = 200) -> AsyncIterator[list[Phone]]:
    """Phones without a port yet, for `PATIENCE` seconds at most."""
    made = [Phone(status) for _ in range(count)]
    try:
        async with asyncio.timeout(PATIENCE):
            yield made
    finally:
        for phone in made:
            for listener in phone.stack.endpoint.listeners:
                if isinstance(listener, StreamListener):
                    for connection in listener.connections.values():
                        connection.abort()  # TLS would wait for the far end to say good-bye
            phone.stack.close()
        await asyncio.sleep(0)  # connections that were closed leave the loop
