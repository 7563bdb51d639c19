"""HEP, the encapsulation of HOMER: each SIP message goes to a collector as it passes.

A packet of HEPv3 (sipcapture's HEP/EEP draft): ``HEP3``, its length, then chunks of vendor, type,
length and value. Messages are masked as in the trace. They go by UDP from a socket that never
waits: what the kernel has no room for, and what nobody collects, is left out.
"""

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from simulator.masking import masked
from simulator.ports import Stack
from sip.transport import Address, Listener

# Generic chunks (vendor 0).
FAMILY: Final = 1
PROTOCOL: Final = 2
SOURCES: Final = (3, 5)  # IPv4, IPv6
DESTINATIONS: Final = (4, 6)
SOURCE_PORT: Final = 7
DESTINATION_PORT: Final = 8
SECONDS: Final = 9
MICROSECONDS: Final = 10
PAYLOAD_TYPE: Final = 11
CAPTURE_ID: Final = 12
PAYLOAD: Final = 15

SIP: Final = 1
"""The type of a payload."""

_HEAD: Final = struct.Struct("!HHH")  # vendor, type, length with these six octets


class HepExport:
    """Sends what passes `stack` to the socket `out`, connected and non-blocking.

    `wall` gives the time of day for a time of the loop's clock, `capture_id` is who captured.
    """

    def __init__(
        self, stack: Stack, wall: Callable[[float], float], out: socket.socket, capture_id: int
    ) -> None:
        self._stack = stack
        self._wall = wall
        self._out = out
        self._tail = _chunk(PAYLOAD_TYPE, bytes((SIP,))) + _number(CAPTURE_ID, capture_id)
        stack.add_tap(self.take)

    def close(self) -> None:
        """Send no more."""
        self._stack.remove_tap(self.take)
        self._out.close()

    def take(
        self, direction: str, data: bytes, listener: Listener, address: Address, now: float
    ) -> None:
        """One message, ``in`` or ``out``."""
        if not data.strip():  # a keep-alive
            return
        ours, theirs = listener.path(address)
        here = (ours[0], ours[1]) if ours is not None else ("", 0)
        there = (theirs[0], theirs[1])
        inbound = direction == "in"
        source, target = (there, here) if inbound else (here, there)
        protocol = socket.IPPROTO_UDP if listener.transport == "UDP" else socket.IPPROTO_TCP
        time = self._wall(now)
        packet = self.packet(source, target, protocol, time, masked(data))
        with suppress(OSError):  # nobody is there, no room, or too long
            self._out.send(packet)

    def packet(
        self,
        source: tuple[str, int],
        target: tuple[str, int],
        protocol: int,
        time: float,
        data: bytes,
    ) -> bytes:
        """A message as HEPv3; ports and addresses of both ends on the wire, seconds since 1970."""
        v6 = ":" in source[0] or ":" in target[0]
        family = socket.AF_INET6 if v6 else socket.AF_INET
        seconds, microseconds = divmod(round(time * 1_000_000), 1_000_000)
        chunks = (
            _chunk(FAMILY, bytes((family,)))
            + _chunk(PROTOCOL, bytes((protocol,)))
            + _chunk(SOURCES[v6], _octets(family, source[0]))
            + _chunk(DESTINATIONS[v6], _octets(family, target[0]))
            + _chunk(SOURCE_PORT, source[1].to_bytes(2))
            + _chunk(DESTINATION_PORT, target[1].to_bytes(2))
            + _number(SECONDS, seconds)
            + _number(MICROSECONDS, microseconds)
            + self._tail
        )
        room = 65_535 - 6 - len(chunks) - _HEAD.size
        chunks += _chunk(PAYLOAD, data[:room])
        return b"HEP3" + (6 + len(chunks)).to_bytes(2) + chunks


def _chunk(kind: int, value: bytes) -> bytes:
    return _HEAD.pack(0, kind, _HEAD.size + len(value)) + value


def _number(kind: int, value: int) -> bytes:
    return _chunk(kind, value.to_bytes(4))


def _octets(family: int, host: str) -> bytes:
    """The address; zeros for what is none, such as an advertised name."""
    try:
        return socket.inet_pton(family, host.partition("%")[0])
    except OSError:
        return bytes(16 if family == socket.AF_INET6 else 4)


def collector(host: str, port: int) -> socket.socket:
    """A socket for `HepExport`; looks a name up, which takes its time. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    family, kind, protocol, _, address = found[0]
    out = socket.socket(family, kind, protocol)
    try:
        out.setblocking(False)
        out.connect(address)
    except OSError:
        out.close()
        raise
    return out
