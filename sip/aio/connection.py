"""One connection of TCP or TLS: octets to messages, keep-alive, and when to close it."""

import asyncio
import logging
import math
import socket
import ssl
from contextlib import suppress
from typing import Any, Final, Protocol, cast

from sip.identity import speaks_for
from sip.stream import FramingError, StreamFramer
from sip.transport import Address

log = logging.getLogger(__name__)

IDLE: Final = 900.0
"""Seconds without a message, or a ping of the peer, after which a connection is closed."""

PATIENCE: Final = 32.0
"""Seconds (64*T1) in which a message that has begun has to be whole, the first one too."""

PING: Final = 90.0
"""Seconds of silence after which a connection that we opened is pinged (RFC 5626 4.4.1)."""

PONG: Final = 10.0
"""Seconds in which the answer to a ping has to come."""

UNHEARD: Final = 32.0
"""Seconds (64*T1) in which the kernel of the peer has to take what was sent: one that is gone,
or whose program has stopped to read, does not keep its connection."""

_MOST_UNSENT: Final = 4 * 1024 * 1024


class Owner(Protocol):
    """Who is told what became of a connection."""

    def opened(self, connection: "StreamConnection") -> bool:
        """It is up; False: there are too many."""

    def arrived(self, connection: "StreamConnection", messages: list[bytes]) -> None:
        """Messages, whole."""

    def broke(self, connection: "StreamConnection", error: FramingError) -> None:
        """Nothing can be read from it any further."""

    def lost(self, connection: "StreamConnection") -> None:
        """It is closed, whoever did that."""


class StreamConnection(asyncio.Protocol):
    """One connection; `peer` and `local` are its ends, `ours` whether we opened it.

    A ping that is not answered ends a connection whose peer has answered one before; who
    never did does not know of RFC 5626, and is not pinged again.
    """

    def __init__(self, owner: Owner, *, ours: bool) -> None:
        self.peer: Address = ("", 0)
        self.local: Address = ("", 0)
        self.ours = ours
        self._owner = owner
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None  # idle, ping or pong
        self._deadline: asyncio.TimerHandle | None = None
        self._last = 0.0  # when something was sent or received
        self._answers: bool | None = None  # pings; not known at first
        self._domains: dict[str, bool] = {}
        self._certificate: dict[str, Any] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Enter the owner's table under the peer's address."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has no such base
        name = transport.get_extra_info("peername")
        if not name:  # reset before we looked
            self._transport.abort()
            return
        self.peer = (name[0], name[1])
        name = transport.get_extra_info("sockname")
        self.local = (name[0], name[1])
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._certificate = tls.getpeercert() or {}
        if not self._owner.opened(self):
            self._transport.abort()
            return
        self._last = self._now()
        _watch_over(transport)
        self._watch()
        if not self.ours:
            self._hurry()

    def speaks_for(self, domain: str) -> bool:
        """Whether requests for `domain` may go over it (RFC 5922 section 4).

        A connection that we opened without looking at certificates takes any. One that the
        peer opened takes those for its own address: that names nothing but itself.
        """
        if not domain or (not self.ours and domain == self.peer[0]):
            return True
        known = self._domains.get(domain)
        if known is None:
            known = speaks_for(self._certificate, domain)
            self._domains[domain] = known
        return known

    def trust(self, domain: str) -> None:
        """Take requests for `domain`, whatever the certificate says."""
        self._domains[domain] = True

    def data_received(self, data: bytes) -> None:
        """Octets, in whatever pieces the network made of them."""
        framer = self._framer
        waiting = framer.awaits_pong
        while True:
            try:
                messages = framer.feed(data)
            except FramingError as error:
                self._owner.broke(self, error)
                return
            for _ in range(framer.pings):
                self.send(b"\r\n")
            framer.pings = 0
            if not messages:
                break
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
            self._owner.arrived(self, messages)
            data = b""  # once more: what follows the last message may be none
        if framer.awaits_pong == waiting:  # a pong alone is no use of the connection
            self._last = self._now()
        if self._deadline is None and framer.partial:
            self._hurry()

    def connection_lost(self, error: Exception | None) -> None:
        """Leave the owner's table."""
        for timer in (self._timer, self._deadline):
            if timer is not None:
                timer.cancel()
        self._owner.lost(self)

    def send(self, data: bytes) -> None:
        """Write; a peer that does not read is cut off before it fills the memory."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._last = self._now()
        transport.write(data)
        if transport.get_write_buffer_size() > _MOST_UNSENT:
            log.warning("%s:%s does not read: connection closed", *self.peer)
            transport.abort()

    @property
    def usable(self) -> bool:
        """Whether something can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Close after what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    # Timers.

    def _hurry(self) -> None:
        """A message is due: who dribbles it, or sends none, does not keep the connection."""
        self._deadline = asyncio.get_running_loop().call_later(PATIENCE, self._too_slow)

    def _too_slow(self) -> None:
        self._deadline = None
        log.info("%s:%s sent no whole message in %g s: closed", *self.peer, PATIENCE)
        self.abort()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _watch(self) -> None:
        """Look after a while what has passed."""
        pings = self.ours and self._answers is not False
        after = PING if pings else max(1.0, self._last + IDLE - self._now())
        self._timer = asyncio.get_running_loop().call_later(after, self._look)

    def _look(self) -> None:
        quiet = self._now() - self._last
        if quiet >= IDLE:
            self.close()
        elif self.ours and self._answers is not False and quiet >= PING:
            assert self._transport is not None
            self._transport.write(b"\r\n\r\n")
            self._framer.awaits_pong = True
            self._timer = asyncio.get_running_loop().call_later(PONG, self._pong_due)
        else:
            self._watch()

    def _pong_due(self) -> None:
        answered = not self._framer.awaits_pong
        self._framer.awaits_pong = False
        if self._answers and not answered and self._now() - self._last >= PONG:
            log.info("%s:%s does not answer pings any more: closed", *self.peer)
            self.abort()
            return
        self._answers = answered or bool(self._answers)
        self._watch()


def _watch_over(transport: asyncio.BaseTransport) -> None:
    """Have the kernel notice a peer that is gone without a word (RFC 5482, RFC 9293 3.8.4)."""
    opened = transport.get_extra_info("socket")
    with suppress(OSError):  # reset before we looked
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_KEEPIDLE, math.ceil(PING)),
            (socket.TCP_KEEPINTVL, math.ceil(PONG)),
            (socket.TCP_USER_TIMEOUT, math.ceil(UNHEARD * 1000)),
        ):
            opened.setsockopt(socket.IPPROTO_TCP, option, value)
