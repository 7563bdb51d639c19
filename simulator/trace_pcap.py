"""A traced call as a capture file: IP packets made anew around its messages.

Format: libpcap, link type raw IP (https://www.tcpdump.org/linktypes.html).
Checksums are right. A message by UDP is one packet, cut where it is longer than a packet can
be, as one is that could not be sent; one by TCP is a segment of
a connection whose begin is not in the file, with sequence numbers that fit. What went by TLS
is such a segment too, as text: with port 5060 where it was 5061, as Wireshark takes whatever
is at 5061 for TLS. A note has no packet.
"""

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from simulator.trace_views import TracedMessage

_FILE: Final = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 101)
_UDP: Final = 17
_TCP: Final = 6
_PSH_ACK: Final = 0x18
_HOPS: Final = 64
_SEGMENT: Final = 60_000
"""Octets of one TCP segment at most: with its headers it fits into an IP packet."""

_DATAGRAM: Final = 65_507
"""Octets that a UDP packet takes at most, by IPv4 (RFC 768, RFC 791)."""

_SIPS: Final = 5061
_SIP: Final = 5060

_End = tuple[str, int]
_IP = IPv4Address | IPv6Address


def pcap(messages: Iterable[TracedMessage]) -> bytes:
    """The capture file of some messages, in their order."""
    pieces = [_FILE]
    sent: dict[tuple[_End, _End], int] = {}  # octets of each way of each connection
    for message in messages:
        if not message.direction:
            continue
        inbound = message.direction == "in"
        local, peer = message.local, message.peer
        if message.transport == "TLS":
            local, peer = _plain(local), _plain(peer)
        source, target = (peer, local) if inbound else (local, peer)
        if message.transport == "UDP":
            packet = _udp(source, target, message.data[:_DATAGRAM])
            cut = max(0, len(message.data) - _DATAGRAM)
            pieces.append(_record(message.time, packet, cut))
            continue
        for at in range(0, len(message.data), _SEGMENT):
            piece = message.data[at : at + _SEGMENT]
            done, heard = sent.get((source, target), 0), sent.get((target, source), 0)
            sent[source, target] = done + len(piece)
            pieces.append(_record(message.time, _tcp(source, target, done, heard, piece)))
    return b"".join(pieces)


def _plain(end: _End) -> _End:
    return (end[0], _SIP) if end[1] == _SIPS else end


def _record(time: float, packet: bytes, cut: int = 0) -> bytes:
    """A packet in the file, of which `cut` octets at its end are not there."""
    seconds, microseconds = divmod(round(time * 1e6), 1_000_000)
    return struct.pack("<IIII", seconds, microseconds, len(packet), len(packet) + cut) + packet


def _udp(source: _End, target: _End, data: bytes) -> bytes:
    head = struct.pack("!HHHH", source[1], target[1], 8 + len(data), 0)
    return _ip(source[0], target[0], _UDP, head + data, 6)


def _tcp(source: _End, target: _End, done: int, heard: int, data: bytes) -> bytes:
    """A segment after `done` octets the same way and `heard` the other way."""
    sequence, acknowledged = (1 + done) & 0xFFFFFFFF, (1 + heard) & 0xFFFFFFFF
    head = struct.pack(
        "!HHIIBBHHH", source[1], target[1], sequence, acknowledged, 0x50, _PSH_ACK, 0xFFFF, 0, 0
    )
    return _ip(source[0], target[0], _TCP, head + data, 16)


def _ip(source: str, target: str, protocol: int, segment: bytes, at: int) -> bytes:
    """A packet of IPv4 or IPv6 around `segment`, whose checksum belongs at `at`."""
    here, there = _address(source), _address(target)
    if here.version != there.version:  # one of them is a name, or not known
        kind = IPv6Address if isinstance(here, IPv6Address) else IPv4Address
        there = kind(0)
    ends = here.packed + there.packed
    if here.version == 4:
        pseudo = ends + struct.pack("!HH", protocol, len(segment))
    else:
        pseudo = ends + struct.pack("!II", len(segment), protocol)
    # A sum of 0 would say that there is none (RFC 768); to TCP both are the same.
    checksum = _checksum(pseudo + segment) or 0xFFFF
    segment = segment[:at] + struct.pack("!H", checksum) + segment[at + 2 :]
    if here.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(segment), protocol, _HOPS) + ends + segment
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0x4000, _HOPS, protocol, 0)
    head = head[:10] + struct.pack("!H", _checksum(head + ends)) + ends
    return head + segment


def _address(host: str) -> _IP:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return IPv4Address(0)


def _checksum(data: bytes) -> int:
    """The checksum of the Internet (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
