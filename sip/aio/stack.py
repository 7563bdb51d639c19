"""The driver: feeds the endpoint, sends what it wants sent, keeps its one timer."""

import asyncio
import errno
import logging
import os
import ssl
from collections.abc import Callable
from typing import Any, Final

from sip.aio.listener import SocketListener
from sip.aio.resolver import Resolver
from sip.aio.stream import StreamListener
from sip.aio.udp import BATCH, UdpListener
from sip.endpoint import Endpoint
from sip.events import Event, Responded
from sip.ids import IdSource
from sip.records import Query
from sip.timers import Timers
from sip.transport import Address, Faults, Listener, Outgoing, Tap

log = logging.getLogger(__name__)

_PASSING: Final = (errno.ENOBUFS, errno.ENOMEM)
"""What says nothing of the peer, and is over soon."""

_LATE: Final = 1.0
"""Seconds: a timer that fires so late has waited for a process that stood still."""

_CATCHING_UP: Final = 0.25
"""Seconds for which sockets are read then. Once: what comes meanwhile may be as much again."""

_UNREAD: Final = 0.05
"""Seconds without a look at a socket after which new calls are asked how old they are."""

_SHARE: Final = 0.001
"""Seconds that calls which wait at the door get in a turn of the loop at least, and otherwise
as long as all else took since the last that had time for them."""

_LONGEST_SHARE: Final = 0.02
"""But no longer: what comes meanwhile has to fit into the kernel's buffer."""

Handler = Callable[[Event | Responded, float], None]


def _ignore(event: Event | Responded, _now: float) -> None:
    """The handler until there is one."""


def _all(taps: tuple[Tap, ...]) -> Tap | None:
    """One tap for them all."""
    if len(taps) < 2:
        return taps[0] if taps else None

    def tap(direction: str, data: bytes, listener: Listener, address: Address, now: float) -> None:
        for one in taps:
            one(direction, data, listener, address, now)

    return tap


class SipStack:
    """An `Endpoint` on real sockets, in the running event loop.

    `handler` gets every event with the time; it may be set until the first arrives. After
    the program has called a verb on a session outside of the handler it calls `pump`, which
    sends and re-arms.
    """

    def __init__(
        self, timers: Timers | None = None, user_agent: str = "", handler: Handler | None = None
    ) -> None:
        self.endpoint = Endpoint([], IdSource(os.urandom), timers, user_agent)
        self._taps: tuple[Tap, ...] = ()
        self._tap: Tap | None = None  # what calls them
        self.faults: Faults | None = None
        self.handler = handler or _ignore
        self.resolver: Resolver | None = None  # the system's, made when a name comes up
        self._loop: Any = asyncio.get_running_loop()  # uvloop's returns other types
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_time = 0.0
        self._caught_up = 0.0  # when that was over
        self._backlog: list[tuple[UdpListener, Address, bytes]] = []
        self._lookups: set[asyncio.Task[None]] = set()
        self._pumping = False
        self._closed = False
        self.lost = 0  # datagrams for which the kernel had no room
        self._attending: asyncio.Handle | None = None  # where new calls came to the door
        self._attended = 0.0  # when they had time last, or came; 0: no turn is due
        self._full = False  # a reading since was a whole batch: more may be there

    def add_tap(self, tap: Tap) -> None:
        """Have `tap` see each message from now on, before it is read and once it is sent."""
        self._taps = (*self._taps, tap)
        self._tap = _all(self._taps)

    def remove_tap(self, tap: Tap) -> None:
        """Have `tap` see no more."""
        self._taps = tuple(one for one in self._taps if one != tap)
        self._tap = _all(self._taps)

    def now(self) -> float:
        """The time that every verb wants: the loop's clock, in seconds."""
        now: float = self._loop.time()
        return now

    def listen_udp(self, host: str, port: int, advertise: str | None = None) -> UdpListener:
        """Open a UDP socket and add it to the endpoint. Raises OSError."""
        listener = UdpListener(host, port, advertise)
        self.endpoint.listeners.append(listener)
        listener.watch(self._loop, lambda: self._read(listener))
        return listener

    async def listen_stream(
        self,
        transport: str,
        host: str,
        port: int,
        advertise: str | None = None,
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
    ) -> StreamListener:
        """Open a ``TCP`` or ``TLS`` port and add it to the endpoint. Raises OSError."""
        listener = StreamListener(
            transport,
            host,
            port,
            advertise,
            take=lambda data, address: self._take(listener, data, address),
            broken=lambda error, address: self.endpoint.receive_broken(
                error, address, listener, self._loop.time()
            ),
            failed=lambda address: self._failed(listener, address),
            settle=self.pump,
            client_tls=client_tls,
        )
        await listener.listen(server_tls)
        self.endpoint.listeners.append(listener)
        return listener

    def _take(self, listener: StreamListener, data: bytes, address: Address) -> None:
        now = self._loop.time()
        if self._tap is not None:
            self._tap("in", data, listener, address, now)
        try:
            if self.faults is not None:
                self.faults.arrived(data, address, listener, now)
            else:
                self.endpoint.door.take(data, address, listener, now)
        except Exception:
            log.exception("a message from %s:%s was not processed", *address)

    def _failed(self, listener: StreamListener, address: Address) -> None:
        now = self._loop.time()
        self.endpoint.transport_failed(listener, address, now)
        self.pump(now)

    def close(self) -> None:
        """Close the sockets and stop the timer; nothing more is sent."""
        for listener in self.endpoint.listeners:
            if isinstance(listener, SocketListener):
                listener.close()
        self.endpoint.listeners.clear()
        self._backlog.clear()
        self.endpoint.door.clear()
        for task in self._lookups:
            task.cancel()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._closed = True

    def _read(self, listener: UdpListener) -> int:
        now = self._loop.time()
        door = self.endpoint.door
        receive = door.take if self.faults is None else self.faults.arrived
        tap = self._tap
        # Nothing is old where the last reading left nothing, and that is not long ago.
        ask = door.delay > 0 and (listener.full or now > listener.read_until + _UNREAD)

        def take(data: bytes, address: Address) -> None:
            nonlocal ask
            if tap is not None:
                tap("in", data, listener, address, now)
            try:
                age = 0.0
                if ask and data[:1] in b"I\r":  # INVITE, after a CRLF also
                    age = max(0.0, listener.age() + now - self._loop.time())
                    ask = age > _UNREAD  # those behind are younger
                receive(data, address, listener, now, age)
            except Exception:
                log.exception("a datagram from %s:%s was not processed", *address)

        count = listener.drain(take)
        listener.full = count == BATCH
        self._full = self._full or listener.full
        self.pump(now)
        listener.read_until = self._loop.time()
        return count

    def _attend(self) -> None:
        """A turn of the loop is over: let in those who wait at the door, or refuse them, for a
        while."""
        endpoint = self.endpoint
        door = endpoint.door
        door.taken = 0
        busy, self._full = self._full, False
        if not door.waiting:
            self._attending = None
            self._attended = 0.0
            return
        began = now = self._loop.time()
        share = min(max(_SHARE, now - self._attended), _LONGEST_SHARE)
        until = now + share
        try:
            while now < until and door.next(now, busy=busy):
                if endpoint.events:
                    self.pump(now)
                now = self._loop.time()
        except Exception:
            log.exception("a call that waited was not processed")
        self._attending = None
        if not door.waiting:
            self._attended = 0.0
        else:  # what a busy turn has left of its share is the next one's too
            self._attended = now - (max(0.0, share - (now - began)) if busy else 0.0)
        self.pump(now)

    def _wake(self) -> None:
        self._alarm = None
        now = self._loop.time()
        if now > max(self._alarm_time, self._caught_up) + _LATE:
            self._catch_up(now)
            return
        try:
            self.endpoint.handle_timers(now)
        except Exception:
            log.exception("a timer failed")
        self.pump(now)

    def _catch_up(self, now: float) -> None:
        """Read what came while the process stood still, before a timer takes it as missing.

        The timers have the next turn of the loop, so that it can look at connections first.
        """
        until = now + _CATCHING_UP
        listeners = [one for one in self.endpoint.listeners if isinstance(one, UdpListener)]
        while now < until and any([0 if self._closed else self._read(one) for one in listeners]):
            now = self._loop.time()
        self._caught_up = self._loop.time()
        self.pump(self._caught_up)

    def pump(self, now: float | None = None) -> None:
        """Handle the events, send the outbox, start look-ups, re-arm the timer."""
        if self._closed:
            return
        if self._pumping:  # called by the handler: the round below goes on until all is done
            return
        if now is None:
            now = self._loop.time()
        endpoint = self.endpoint
        self._pumping = True
        try:
            while endpoint.events:
                events = endpoint.events
                endpoint.events = []
                for event in events:
                    try:
                        self.handler(event, now)
                    except Exception:
                        log.exception("%s was not handled", type(event).__name__)
        finally:
            self._pumping = False
        if endpoint.outbox:
            self._flush(now)
        door = endpoint.door
        if self._attending is None and (door.taken or door.waiting):
            self._attended = self._attended or now
            self._attending = self._loop.call_soon(self._attend)
        if endpoint.locator.queries:
            self._start_lookups()
        due = endpoint.wheel.next_time()
        if due is not None and (self._alarm is None or due < self._alarm_time):
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_time = due
            self._alarm = self._loop.call_at(due, self._wake)

    def _flush(self, now: float) -> None:
        endpoint = self.endpoint
        outbox = endpoint.outbox
        endpoint.outbox = []
        if self.faults is not None:
            outbox = self.faults.leaving(outbox, now)
        self.transmit(outbox, now)
        if endpoint.events or endpoint.outbox:
            self.pump(now)

    def transmit(self, messages: list[Outgoing], now: float) -> None:
        """Send past the faults. What comes of an address that fails is left to `pump`."""
        tap = self._tap
        failed: list[tuple[Listener, Address]] = []
        for listener, address, data in messages:
            assert isinstance(listener, SocketListener)
            try:
                listener.transmit(data, address)
            except (BlockingIOError, InterruptedError):
                assert isinstance(listener, UdpListener)
                if not self._backlog:
                    self._loop.add_writer(listener.socket, self._writable, listener)
                self._backlog.append((listener, address, data))
                continue
            except (OSError, OverflowError) as error:
                if isinstance(error, OSError) and error.errno in _PASSING:
                    self._lost(error)
                    continue
                log.warning("cannot send to %s:%s: %s", *address, error)
                failed.append((listener, address))
                continue
            if tap is not None:
                tap("out", data, listener, address, now)
        for listener, address in failed:
            self.endpoint.transport_failed(listener, address, now)

    def _lost(self, error: OSError) -> None:
        """A datagram that could not leave is as good as lost on the way: it is sent again."""
        self.lost += 1
        if self.lost & (self.lost - 1) == 0:  # 1, 2, 4, 8 ...: not one line each
            log.warning("%d datagrams could not be sent: %s", self.lost, error.strerror)

    def _writable(self, listener: UdpListener) -> None:
        self._loop.remove_writer(listener.socket)
        backlog: list[Outgoing] = [*self._backlog]
        self._backlog = []
        self.transmit(backlog, self._loop.time())
        self.pump()

    def _start_lookups(self) -> None:
        locator = self.endpoint.locator
        queries, locator.queries = locator.queries, []
        for query in queries:
            task = self._loop.create_task(self._look_up(query))
            self._lookups.add(task)
            task.add_done_callback(self._lookups.discard)

    def _use(self, made: Resolver) -> None:
        if self.resolver is None:  # else another look-up was first
            self.resolver = made

    async def _look_up(self, query: Query) -> None:
        if self.resolver is None:
            self._use(await asyncio.to_thread(Resolver))  # it reads files, which may be long
        assert self.resolver is not None
        answer = await self.resolver.ask(query)
        now = self._loop.time()
        self.endpoint.locator.answered(query, answer, now)
        self.pump(now)
