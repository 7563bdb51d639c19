"""A call server in memory: datagrams in, datagrams out, a clock that we move.

Its `SipStack` is real, and closed: nothing is sent by itself, the driver takes the outbox.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final, cast

from benchmarks.micro import wire
from simulator.call import Call
from simulator.cdr import SqliteCdrStore
from simulator.cdr_records import Row
from simulator.config import Config
from simulator.config_defaults import BUILTIN
from simulator.server import CallServer
from sip.aio.stack import SipStack
from sip.endpoint import Endpoint
from sip.events import Event, Responded
from sip.ids import IdSource
from sip.timers import Timers
from sip.transport import Address, Listener

STEP: Final = 0.01
"""Seconds from one call to the next: lingering transactions stay a few thousand."""

STEADY: Final = 3300
"""Calls after which as many transactions end as begin."""


def endpoint() -> tuple[Endpoint, Listener]:
    """An endpoint on a listener that is no socket."""
    listener = Listener("UDP", "127.0.0.1", 5060)
    return Endpoint([listener], IdSource(Random(1).randbytes), Timers(), "Callsim/bench"), listener


class Store:
    """Takes CDRs at once."""

    healthy = True
    full = False

    def __init__(self) -> None:
        self.stored = 0

    def begun(self, *_call: object) -> None:
        """A call has begun."""

    def submit(self, _row: Row, done: Callable[[], None]) -> None:
        """Count the record; it is stored."""
        self.stored += 1
        done()


class Driver:
    """A `CallServer` and its far ends; number 5000 is answered by itself, or by a callee."""

    def __init__(self, *, back_to_back: bool) -> None:
        self.back_to_back = back_to_back
        self.number = 0
        self.store = Store()
        asyncio.run(self._start())
        self.now = self.stack.now()
        self.ended: list[Call] = []

    async def _start(self) -> None:
        settings = dict(BUILTIN)
        if self.back_to_back:
            settings["direct_routes"] = [{"pattern": ">", "to": "sip:127.0.0.1:7001"}]
        self.stack = SipStack(Timers(), "Callsim/bench")
        self.stack.close()
        self.listener = Listener("UDP", "127.0.0.1", 5060)
        self.endpoint = self.stack.endpoint
        self.endpoint.listeners.append(self.listener)
        store = cast(SqliteCdrStore, self.store)
        self.server = CallServer(Config.model_validate(settings), self.stack, store, "bench")
        self.server.ready = True

    def receive(self, data: bytes, address: Address = wire.CALLER) -> list[bytes]:
        """One datagram; what is sent in return."""
        endpoint = self.endpoint
        endpoint.receive_datagram(data, address, self.listener, self.now)
        while endpoint.events:
            events: list[Event | Responded] = endpoint.events
            endpoint.events = []
            for event in events:
                self.server.on_event(event, self.now)
        sent, endpoint.outbox = endpoint.outbox, []
        return [data for _, _, data in sent]

    def set_up(self) -> bytes:
        """INVITE to ACK; the server's tag."""
        self.number += 1
        self.now += STEP
        self.endpoint.handle_timers(self.now)
        answer = self.receive(wire.invite(self.number))[-1]
        if self.back_to_back:
            invite = answer
            tag = b"callee%d" % self.number
            self.receive(wire.response(invite, b"180 Ringing", tag), wire.CALLEE)
            answer = self.receive(wire.response(invite, b"200 OK", tag, wire.OFFER), wire.CALLEE)[
                -1
            ]
        if not answer.startswith(b"SIP/2.0 200 "):
            raise AssertionError(f"no answer to INVITE: {answer!r}")
        tag = wire.to_tag(answer)
        self.receive(wire.in_dialog(b"ACK", self.number, 1, tag))
        return tag

    def tear_down(self, tag: bytes) -> None:
        """BYE to its 200."""
        sent = self.receive(wire.in_dialog(b"BYE", self.number, 2, tag))
        if self.back_to_back:
            (bye,) = [data for data in sent if data.startswith(b"BYE")]
            sent += self.receive(wire.response(bye, b"200 OK", b""), wire.CALLEE)
        if not any(data.startswith(b"SIP/2.0 200 ") for data in sent):
            raise AssertionError(f"no answer to BYE: {sent!r}")

    def call(self) -> None:
        """A whole call."""
        self.tear_down(self.set_up())

    def last_call(self) -> Call:
        """The `Call` of a whole call, once it is over."""
        seen: list[Call] = []
        self.server.watch = lambda call, _now, _event, _details: seen.append(call)
        self.call()
        self.server.watch = None
        return seen[-1]
