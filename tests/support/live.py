"""A stack on real sockets, in a thread of its own, and plain peers that speak to it.

Nothing here sleeps: what a message leads to at once has arrived when the answer to the
OPTIONS that was sent after it, from the same socket, arrives.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from itertools import count
from typing import Self

from sip.aio.stack import SipStack
from sip.message import Response, parse
from sip.stream import StreamFramer
from sip.transport import Address

PATIENCE = 20.0  # seconds until a test gives up
_probes = count(1)


class _Complaints(logging.Handler):
    """What the stack could not process."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


class LiveStack:
    """A `SipStack` on UDP and TCP ports of `host`; nobody answers the calls that it gets."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.udp: Address = ("", 0)
        self.tcp: Address = ("", 0)
        self.complaints: list[str] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._stop: Callable[[], object] = lambda: None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(over.set)
        handler = _Complaints()
        self.complaints = handler.texts
        logging.getLogger("sip").addHandler(handler)
        stack = SipStack()
        try:
            self.udp = (self.host, stack.listen_udp(self.host, 0).port)
            self.tcp = (self.host, (await stack.listen_stream("TCP", self.host, 0)).port)
            self.endpoint = stack.endpoint
            self._ready.set()
            await over.wait()
        finally:
            stack.close()
            logging.getLogger("sip").removeHandler(handler)


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def probe(transport: str) -> tuple[str, bytes]:
    """An OPTIONS, and its Call-ID."""
    call_id = f"probe-{next(_probes)}"
    text = (
        "OPTIONS sip:probe@example.com SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport} probe.invalid;branch=z9hG4bK{call_id};rport\r\n"
        "Max-Forwards: 70\r\nFrom: <sip:probe@example.com>;tag=probe\r\n"
        f"To: <sip:probe@example.com>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    return call_id, text.encode()


def over_udp(address: Address, data: bytes) -> list[Response]:
    """What comes back at once for a datagram; the server is alive after it."""
    call_id, options = probe("UDP")
    answers: list[Response] = []
    with socket.socket(_family(address), socket.SOCK_DGRAM) as peer:
        peer.settimeout(PATIENCE)
        peer.sendto(data, address)
        peer.sendto(options, address)
        while (answer := _response(peer.recv(65_535))).call_id != call_id:
            answers.append(answer)
    assert answer.status == 200
    return answers


def over_tcp(address: Address, data: bytes) -> list[Response]:
    """What comes back on a connection that stays open; the server is alive after it."""
    call_id, options = probe("TCP")
    answers: list[Response] = []
    framer = StreamFramer()
    with closing(socket.create_connection((address[0], address[1]), PATIENCE)) as peer:
        peer.sendall(data + options)
        while not answers or answers[-1].call_id != call_id:
            received = peer.recv(65_535)
            assert received, "the server closed the connection"
            answers += map(_response, framer.feed(received))
    assert answers.pop().status == 200
    return answers


def until_closed(address: Address, data: bytes, *, give_up: bool = False) -> list[Response]:
    """What comes back before the server closes the connection; others are still served.

    With `give_up` the peer says first that it will send no more.
    """
    framer = StreamFramer()
    answers: list[Response] = []
    with closing(socket.create_connection((address[0], address[1]), PATIENCE)) as peer:
        peer.sendall(data)
        if give_up:
            peer.shutdown(socket.SHUT_WR)
        while received := peer.recv(65_535):
            answers += map(_response, framer.feed(received))
    assert over_tcp(address, b"") == []
    return answers


def _response(data: bytes) -> Response:
    message = parse(data)
    assert isinstance(message, Response)
    return message
