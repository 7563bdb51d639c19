"""UDP sockets, drained in batches (RFC 3261 section 18)."""

import asyncio
import fcntl
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Final

from sip.aio.listener import SocketListener, Take
from sip.transport import Address

BATCH: Final = 64
"""Datagrams that one reading takes at most."""

_PAUSE: Final = 0.001  # seconds between two readings of a busy socket
_BUSY: Final = 32  # wake-ups in a row, each less than a pause after the last
_QUIET: Final = 4  # readings in a row that found nothing
_LARGEST = 65_535
_SIOCGSTAMPNS: Final = 0x8907  # Linux: when the datagram that was read last arrived
_TIMESPEC: Final = struct.Struct("@ll")
_BUFFER = 4 * 1024 * 1024


class UdpListener(SocketListener):
    """A bound UDP socket.

    While datagrams come one close on the other, waking up for each costs more than what is
    done with it: a busy socket is read once in a millisecond instead. A quiet one is read
    at once.
    """

    __slots__ = (
        "_in_a_row",
        "_loop",
        "_pause",
        "_read",
        "_read_at",
        "full",
        "read_until",
        "socket",
    )

    def __init__(self, host: str, port: int, advertise: str | None = None) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self.socket.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self.socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
            if family == socket.AF_INET6:  # IPv4 has a listener of its own
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self.socket.bind((host, port))
        except OSError:
            self.socket.close()
            raise
        self._loop: Any = None  # uvloop's does not return what asyncio says
        self._read: Callable[[], int] | None = None
        self._read_at = 0.0
        self.read_until = 0.0  # when the last reading was over, with all that came of it
        self.full = False  # the last reading was a whole batch: more may be there
        self._in_a_row = 0  # close wake-ups, or readings that found nothing
        self._pause: asyncio.TimerHandle | None = None
        super().__init__("UDP", host, self.socket.getsockname()[1], advertise, reliable=False)

    def transmit(self, data: bytes, address: Address) -> None:
        """Send a datagram. Raises BlockingIOError when it has to wait, OSError when not at all."""
        self.socket.sendto(data, address)

    def watch(self, loop: Any, read: Callable[[], int]) -> None:
        """Have `loop` call `read`, which drains this and says how many there were."""
        self._loop = loop
        self._read = read
        loop.add_reader(self.socket, self._readable)
        self.age()  # from now on the kernel notes the times

    def age(self) -> float:
        """Seconds that the datagram read last had waited; 0.0 where the kernel does not tell."""
        try:
            stamp = fcntl.ioctl(self.socket, _SIOCGSTAMPNS, bytes(_TIMESPEC.size))
        except OSError:
            return 0.0
        seconds, nanoseconds = _TIMESPEC.unpack(stamp)
        arrived: float = seconds + nanoseconds * 1e-9
        return max(0.0, time.time() - arrived)

    def close(self) -> None:
        """Leave the event loop and close the socket."""
        if self._loop is not None:
            self._loop.remove_reader(self.socket)
            self._loop.remove_writer(self.socket)
        if self._pause is not None:
            self._pause.cancel()
        self.socket.close()
        self._read = None

    def _readable(self) -> None:
        loop, read = self._loop, self._read
        assert read is not None
        now = loop.time()
        self._in_a_row = self._in_a_row + 1 if now < self._read_at + _PAUSE else 0
        self._read_at = now
        read()
        if self._in_a_row >= _BUSY and self._read is not None:
            self._in_a_row = 0
            loop.remove_reader(self.socket)
            self._pause = loop.call_later(_PAUSE, self._after_pause)

    def _after_pause(self) -> None:
        read = self._read
        assert read is not None
        count = 0
        try:
            count = read()
        finally:  # whatever went wrong, what comes next is read
            self._go_on(count)

    def _go_on(self, count: int) -> None:
        loop = self._loop
        self._in_a_row = self._in_a_row + 1 if count == 0 else 0
        if self._read is None:  # closed meanwhile
            return
        if self._in_a_row < _QUIET:
            self._pause = loop.call_later(_PAUSE if count < BATCH else 0.0, self._after_pause)
        else:
            self._in_a_row = 0
            self._pause = None
            loop.add_reader(self.socket, self._readable)

    def drain(self, take: Take) -> int:
        """Hand over what has arrived, at most one batch, so that others get a turn; how many."""
        receive = self.socket.recvfrom
        for count in range(BATCH):
            try:
                data, address = receive(_LARGEST)
            except (BlockingIOError, InterruptedError):
                return count
            except OSError:  # an ICMP error of an earlier datagram
                continue
            take(data, address if len(address) == 2 else address[:2])
        return BATCH
