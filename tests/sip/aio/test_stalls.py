"""A stack whose process stood still: what arrived meanwhile comes before what timers say."""

import asyncio
import socket
import time
from contextlib import closing

import pytest

from sip.aio.stack import SipStack
from sip.aio.udp import BATCH
from sip.events import Event, Invited, Refused, Responded
from sip.message import Request, parse
from sip.timers import Timers
from tests.support.builders import request_text, response_text

T1 = 0.02
STILL = 64 * T1 + 1.5
"""Seconds: more than a second ago the INVITE was given up."""

PATIENCE = 20.0


class Caller:
    """A stack that calls a socket of ours; `heard` is what it was told, in order.

    It toils over each call that comes in.
    """

    def __init__(self, toil: float = 0.0) -> None:
        self.stack = SipStack(Timers(T1, 4 * T1, T1), handler=self.handle)
        self.heard: list[Event | Responded] = []
        self._refused = asyncio.Event()
        self._toil = toil

    def handle(self, event: Event | Responded, now: float) -> None:
        self.heard.append(event)
        if isinstance(event, Invited):
            time.sleep(self._toil)
            event.session.reject(now, 486)
        elif isinstance(event, Refused):
            self._refused.set()

    def call(self, port: int, transport: str) -> None:
        uri = f"sip:b@127.0.0.1:{port};transport={transport.lower()}"
        now = self.stack.now()
        self.stack.endpoint.invite(now, uri, from_="<sip:a@a.example>", to="<sip:b@b.example>")
        self.stack.pump()

    async def refusal(self) -> int:
        """The status that its call is refused with."""
        async with asyncio.timeout(PATIENCE):
            await self._refused.wait()
        return next(event.status for event in self.heard if isinstance(event, Refused))


def busy(invite: bytes) -> bytes:
    """486 to an INVITE."""
    request = parse(invite)
    assert isinstance(request, Request)
    return response_text(request, 486, "b")


def stand_still() -> None:
    """Keep the event loop from its work."""
    time.sleep(STILL)


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_an_answer_that_came_meanwhile_counts(transport: str) -> None:
    async def play() -> int:
        caller = Caller()
        kind = socket.SOCK_DGRAM if transport == "UDP" else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as callee, closing(caller.stack):
            callee.bind(("127.0.0.1", 0))
            port = callee.getsockname()[1]
            if transport == "UDP":
                caller.stack.listen_udp("127.0.0.1", 0)
                caller.call(port, transport)
                invite, address = callee.recvfrom(65_535)
                callee.sendto(busy(invite), address)
                stand_still()
                return await caller.refusal()
            callee.listen()
            callee.setblocking(False)
            await caller.stack.listen_stream("TCP", "127.0.0.1", 0)
            caller.call(port, transport)
            loop = asyncio.get_running_loop()
            connection, _ = await loop.sock_accept(callee)
            with connection:
                connection.setblocking(False)
                connection.send(busy(await loop.sock_recv(connection, 65_535)))
                stand_still()
                return await caller.refusal()

    assert asyncio.run(play()) == 486


def test_what_comes_without_end_does_not_keep_timers_waiting() -> None:
    """They are told after a quarter of a second, and what the loop reads in two turns."""
    toil, many = 0.005, 8 * BATCH  # a turn of the loop stays below the second that is late

    async def play() -> list[Event | Responded]:
        caller = Caller(toil)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far, closing(caller.stack):
            far.bind(("127.0.0.1", 0))
            listener = caller.stack.listen_udp("127.0.0.1", 0)
            caller.call(far.getsockname()[1], "UDP")
            stand_still()
            for number in range(many):
                headers = {
                    "Via": f"SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{number};rport",
                    "Call-ID": f"{number}@127.0.0.1",
                }
                far.sendto(request_text("INVITE", headers), ("127.0.0.1", listener.port))
            assert await caller.refusal() == 408
        return caller.heard

    heard = asyncio.run(play())
    before = next(at for at, event in enumerate(heard) if isinstance(event, Refused))
    assert BATCH <= before <= 4 * BATCH
