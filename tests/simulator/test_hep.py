"""HEPv3: each message as a collector reads it, with addresses, time and no secret."""

import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from simulator.hep import HepExport, collector
from sip.transport import Address, Listener

INVITE = (
    b"INVITE sip:7001@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK1\r\n"
    b"From: <sip:5551234@10.0.0.7>;tag=a\r\nTo: <sip:7001@10.0.0.1>\r\nCall-ID: one\r\n"
    b'CSeq: 1 INVITE\r\nAuthorization: Digest username="x", response="0123456789abcdef"\r\n'
    b"Content-Length: 0\r\n\r\n"
)


class Taps:
    """What `HepExport` uses of the stack."""

    def __init__(self) -> None:
        self.taps: list[Any] = []

    def add_tap(self, tap: Any) -> None:
        self.taps.append(tap)

    def remove_tap(self, tap: Any) -> None:
        self.taps.remove(tap)

    def pass_by(self, direction: str, data: bytes, listener: Listener, peer: Address) -> None:
        for tap in self.taps:
            tap(direction, data, listener, peer, 7.5)


@pytest.fixture
def homer() -> Iterator[socket.socket]:
    """A collector."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox:
        inbox.bind(("127.0.0.1", 0))
        inbox.settimeout(5)
        yield inbox


@pytest.fixture
def taps(homer: socket.socket) -> Iterator[Taps]:
    taps = Taps()
    export = exporting(taps, homer.getsockname())
    yield taps
    export.close()
    assert taps.taps == []


def exporting(taps: Taps, to: tuple[str, int]) -> HepExport:
    stack: Any = taps
    return HepExport(stack, lambda now: 1_700_000_000.123456 + now, collector(*to), 2001)


def decoded(packet: bytes) -> dict[int, bytes]:
    """The generic chunks of a packet, by type."""
    assert packet[:4] == b"HEP3"
    assert struct.unpack_from("!H", packet, 4) == (len(packet),)
    chunks: dict[int, bytes] = {}
    at = 6
    while at < len(packet):
        vendor, kind, length = struct.unpack_from("!HHH", packet, at)
        assert (vendor, kind in chunks) == (0, False)
        chunks[kind] = packet[at + 6 : at + length]
        at += length
    assert at == len(packet)
    return chunks


@pytest.mark.parametrize(
    ("transport", "host", "peer", "protocol"),
    [
        ("UDP", "10.0.0.1", ("10.0.0.7", 5070), 17),
        ("TCP", "10.0.0.1", ("10.0.0.7", 40_000), 6),
        ("TLS", "2001:db8::1", ("2001:db8::7", 40_000), 6),
    ],
)
def test_a_message_and_its_way(
    taps: Taps,
    homer: socket.socket,
    transport: str,
    host: str,
    peer: tuple[str, int],
    protocol: int,
) -> None:
    listener = Listener(transport, host, 5060, transport != "UDP")
    v6 = ":" in host
    for direction in ("in", "out"):
        taps.pass_by(direction, INVITE, listener, peer)
        found = decoded(homer.recv(65_535))
        ends = [
            (str(ip_address(found[5 if v6 else 3])), int.from_bytes(found[7])),
            (str(ip_address(found[6 if v6 else 4])), int.from_bytes(found[8])),
        ]
        assert ends == ([peer, (host, 5060)] if direction == "in" else [(host, 5060), peer])
        assert (found[1][0], found[2][0], found[11][0]) == (10 if v6 else 2, protocol, 1)
        assert (int.from_bytes(found[9]), int.from_bytes(found[10])) == (1_700_000_007, 623_456)
        assert int.from_bytes(found[12]) == 2001
        assert found[15] == INVITE.replace(b"0123456789abcdef", b"x" * 16)


def test_a_keep_alive_is_no_message(taps: Taps, homer: socket.socket) -> None:
    listener = Listener("UDP", "10.0.0.1", 5060)
    taps.pass_by("in", b"\r\n\r\n", listener, ("10.0.0.7", 5070))
    taps.pass_by("in", INVITE, listener, ("10.0.0.7", 5070))
    assert decoded(homer.recv(65_535))[15].startswith(b"INVITE ")


def test_a_collector_that_is_gone_fails_nothing(homer: socket.socket) -> None:
    place = homer.getsockname()
    homer.close()
    taps = Taps()
    export = exporting(taps, place)
    listener = Listener("UDP", "10.0.0.1", 5060)
    for _ in range(3):  # the second one hears that nobody is there
        taps.pass_by("out", INVITE, listener, ("10.0.0.7", 5070))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
        back.bind(place)
        back.settimeout(5)
        for _ in range(2):
            taps.pass_by("out", INVITE, listener, ("10.0.0.7", 5070))
        assert decoded(back.recv(65_535))[12] == (2001).to_bytes(4)
    export.close()


def test_what_fits_in_no_datagram_is_left_out(taps: Taps, homer: socket.socket) -> None:
    listener = Listener("TCP", "an.advertised.name", 5060, True)
    taps.pass_by("in", b"x" * 70_000, listener, ("10.0.0.7", 5070))
    taps.pass_by("in", INVITE, listener, ("10.0.0.7", 5070))
    found = decoded(homer.recv(65_535))
    assert found[15].startswith(b"INVITE ")
    assert found[4] == bytes(4)
