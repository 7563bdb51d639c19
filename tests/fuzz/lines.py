"""A peer of a live server over UDP, TCP or TLS: calls that are good, and messages that are not.

All of it is on 127.0.0.1. Requests of the server are answered 200 at once, unless an `Ends`
says otherwise.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Final

from sip.errors import PeerError
from sip.message import Request, Response, parse
from sip.stream import StreamFramer
from sip.transport import Address
from tests.fuzz.seeds import SDP
from tests.support.builders import request_text, response_text
from tests.support.live import PATIENCE, probe

HOST: Final = "127.0.0.1"
Transport = str  # "UDP", "TCP" or "TLS"
Answers = Callable[[Request], list[bytes]]

_numbers = count(1)


def ok(request: Request) -> list[bytes]:
    """200 to all requests but ACK, which none has."""
    return [] if request.method == "ACK" else [response_text(request, 200, "peer")]


class Line:
    """One socket or connection to the server, or from it; `heard` are responses that came.

    `statuses` counts the responses on all lines of a run.
    """

    def __init__(self, transport: Transport, statuses: Counter[int], answers: Answers = ok) -> None:
        self.transport = transport
        self.heard: list[Response] = []
        self.local: Address = (HOST, 0)
        self.closed = False
        self._statuses = statuses
        self._answers = answers
        self._changed = asyncio.Event()
        self._send: Callable[[bytes], object] = lambda _: None
        self._close: Callable[[], object] = lambda: None

    def attach(
        self, local: Address, send: Callable[[bytes], object], close: Callable[[], object]
    ) -> None:
        """It is open: this sends, and closes."""
        self.local, self._send, self._close = local, send, close

    def send(self, data: bytes) -> None:
        """Send one message, or what is to be one."""
        if not self.closed:
            self._send(data)

    def close(self) -> None:
        """Close it."""
        self.lost()
        self._close()

    def lost(self) -> None:
        """The far end has closed it."""
        self.closed = True
        self._changed.set()

    def take(self, data: bytes) -> None:
        """One message came."""
        with suppress(PeerError):
            message = parse(data)
            if isinstance(message, Request):
                for answer in self._answers(message):
                    self.send(answer)
            else:
                self._statuses[message.status] += 1
                self.heard.append(message)
                self._changed.set()

    async def answer(self, call_id: str, cseq: tuple[int, str], least: int = 200) -> Response:
        """The first response to a request of ours with at least this status.

        Raises TimeoutError, or ConnectionError when the far end closes the line.
        """
        async with asyncio.timeout(PATIENCE):
            while True:
                for one in self.heard:
                    if one.call_id == call_id and one.cseq == cseq and one.status >= least:
                        return one
                if self.closed:
                    raise ConnectionError(f"the server closed the line of {call_id}")
                self._changed.clear()
                await self._changed.wait()

    async def reached(self) -> None:
        """Wait until the server has read all that was sent before: it answers an OPTIONS."""
        call_id, options = probe(self.transport)
        self.send(options)
        await self.answer(call_id, (1, "OPTIONS"))
        self.heard.clear()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, line: Line) -> None:
        self._line = line

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._line.take(data)


class _Stream(asyncio.Protocol):
    def __init__(self, line: Line) -> None:
        self._line = line
        self._framer = StreamFramer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)

        def send(data: bytes) -> None:
            if not transport.is_closing():
                transport.write(data)

        self._line.attach(transport.get_extra_info("sockname"), send, transport.abort)

    def data_received(self, data: bytes) -> None:
        for message in self._framer.feed(data):
            self._line.take(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._line.lost()


class Peer:
    """Who talks to `server` over one transport; `tls` are contexts to accept and to open."""

    def __init__(
        self,
        transport: Transport,
        server: Address,
        tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
    ) -> None:
        self.transport = transport
        self.server = server
        self.statuses: Counter[int] = Counter()
        self._accepting: ssl.SSLContext | None = tls[0] if tls else None
        self._opening: ssl.SSLContext | None = tls[1] if tls else None

    async def open(self) -> Line:
        """A new line to the server."""
        line = Line(self.transport, self.statuses)
        loop = asyncio.get_running_loop()
        if self.transport == "UDP":
            await self._bind(line, 0)
        else:
            await loop.create_connection(lambda: _Stream(line), *self.server, ssl=self._opening)
        return line

    async def _bind(self, line: Line, port: int) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(line), local_addr=(HOST, port)
        )
        # The server has one UDP socket: all that comes is from it.
        local = transport.get_extra_info("sockname")
        line.attach(local, lambda data: transport.sendto(data, self.server), transport.close)

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        """A new line, closed at the end."""
        line = await self.open()
        try:
            yield line
        finally:
            line.close()

    @asynccontextmanager
    async def callee(self, port: int, answers: Answers) -> AsyncIterator[None]:
        """Take what the server sends to a port: `answers` says what is sent back."""
        lines: list[Line] = []

        def taken() -> Line:
            lines.append(Line(self.transport, self.statuses, answers))
            return lines[-1]

        listening = None
        if self.transport == "UDP":
            await self._bind(taken(), port)
        else:
            loop = asyncio.get_running_loop()
            listening = await loop.create_server(
                lambda: _Stream(taken()), HOST, port, ssl=self._accepting
            )
        try:
            yield
        finally:
            if listening is not None:
                listening.close()
            for line in lines:
                line.close()
            await asyncio.sleep(0)  # connections that were closed leave the loop


class Call:
    """A call of ours to `number` over one line; `lines` are more fields of its INVITE."""

    def __init__(
        self, line: Line, number: str, lines: Mapping[str, str | None] | None = None
    ) -> None:
        self.line = line
        self.call_id = new_id()
        self.cseq = 1
        self.to_tag = ""
        self._number = number
        self._lines = lines or {}  # of the INVITE

    def fill(self, data: bytes, cseq: int, branch: str) -> bytes:
        """A `template` as a message of this call."""
        return filled(data, self.line, self.call_id, self.to_tag, cseq, branch)

    def send(self, method: str, cseq: int, branch: str) -> None:
        """Send a good request, as the call stands."""
        invite = method == "INVITE"
        text = template(method, self._number, SDP if invite else "", self._lines if invite else {})
        self.line.send(self.fill(text, cseq, branch))

    async def invite(self, least: int = 200) -> int:
        """The status of the first response of at least `least`."""
        self.send("INVITE", 1, self.call_id)
        answer = await self.line.answer(self.call_id, (1, "INVITE"), least)
        self.to_tag = answer.to_tag or ""
        return answer.status

    async def connect(self) -> None:
        """Until it is answered and acknowledged; ConnectionError when it is refused."""
        if (status := await self.invite()) != 200:
            raise ConnectionError(f"a good call to {self._number} got {status}")
        self.acknowledge()

    def acknowledge(self) -> None:
        """ACK of a 2xx."""
        self.send("ACK", 1, new_id())

    async def hang_up(self) -> int:
        """BYE; the status of its answer."""
        self.cseq += 1
        self.send("BYE", self.cseq, new_id())
        return (await self.line.answer(self.call_id, (self.cseq, "BYE"))).status

    async def end(self, status: int) -> None:
        """What the final response to the INVITE takes: ACK, and BYE after a 2xx."""
        if status >= 300:
            self.send("ACK", 1, self.call_id)
        else:
            self.acknowledge()
            await self.hang_up()

    async def cancel(self) -> None:
        """CANCEL, and what becomes of the INVITE."""
        self.to_tag = ""
        self.send("CANCEL", 1, self.call_id)
        answer = await self.line.answer(self.call_id, (1, "INVITE"))
        self.to_tag = answer.to_tag or ""
        await self.end(answer.status)


# What stands in a message for what each call has of its own. They are looked for as they are,
# so the case that damages one of them goes out damaged.
_BRANCH: Final = b"BRANCH-HERE"
_CALL_ID: Final = b"CALL-ID-HERE"
_TO_TAG: Final = b"TO-TAG-HERE"
_CSEQ: Final = b"CSEQ-HERE"
_PORT: Final = b"PORT-HERE"
_VIA: Final = b"SIP/2.0/UDP"


def new_id() -> str:
    """One that no other message of this process has."""
    return f"fuzz-{next(_numbers)}"


def template(
    method: str, number: str, body: str = "", lines: Mapping[str, str | None] | None = None
) -> bytes:
    """A request in a call to `number`, for `filled`."""
    fields: dict[str, str | None] = {
        "Via": f"SIP/2.0/UDP {HOST}:PORT-HERE;branch=z9hG4bKBRANCH-HERE;rport",
        "From": f'"A fuzz" <sip:fuzz@{HOST}>;tag=fuzz',
        "To": f"<sip:{number}@{HOST}>;tag=TO-TAG-HERE",
        "Call-ID": "CALL-ID-HERE",
        "CSeq": f"CSEQ-HERE {method}",
        "Contact": f"<sip:fuzz@{HOST}:PORT-HERE>",
        "Content-Type": "application/sdp" if body == SDP else None,
    }
    return request_text(method, fields | dict(lines or {}), body, f"sip:{number}@{HOST}")


def filled(data: bytes, line: Line, call_id: str, to_tag: str, cseq: int, branch: str) -> bytes:
    """The template's values are replaced by real ones; without a tag, To has none."""
    tag = b";tag=" + to_tag.encode("utf-8", "surrogateescape") if to_tag else b""
    return (
        data.replace(_VIA, b"SIP/2.0/" + line.transport.encode())
        .replace(b":" + _PORT, b":%d" % line.local[1])
        .replace(b";tag=" + _TO_TAG, tag)
        .replace(_CALL_ID, call_id.encode())
        .replace(_CSEQ, b"%d" % cseq)
        .replace(_BRANCH, branch.encode())
    )
