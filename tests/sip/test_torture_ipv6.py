"""RFC 5118: each of its IPv6 cases, in messages of our own, through parser, endpoint and sockets.

A message is written as what differs from a plain one; addresses are of 2001:db8::/32 and,
where the case is about both families, of 192.0.2.0/24.
"""

import socket
from collections.abc import Iterator, Mapping
from itertools import count

import pytest

from sip.message import Request, parse
from sip.sdp import SessionDescription
from sip.uri import SipUri
from sip.values import Via
from tests.sip.torture import CALL, Row, check_endpoint, check_parser, check_tcp, check_udp
from tests.support.builders import request_text
from tests.support.live import LiveStack

HOST = "2001:db8::b0b"
PEER = ("2001:db8::ca:11", 5060)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


on_the_wire = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")


_numbers = count(1)


def message(
    method: str,
    uri: str,
    headers: Mapping[str, str | None] | None = None,
    sdp: str = "",
) -> bytes:
    number = next(_numbers)
    usual: dict[str, str | None] = {
        "Via": f"SIP/2.0/UDP [2001:db8::ca:11];branch=z9hG4bK5118-{number}",
        "From": "<sip:carol@[2001:db8::ca:11]>;tag=carol",
        "To": "<sip:bob@example.com>",
        "Call-ID": f"{number}@[2001:db8::ca:11]",
        "Contact": "<sip:carol@[2001:db8::ca:11]:5060>",
    }
    if sdp:
        usual["Content-Type"] = "application/sdp"
    return request_text(method, usual | dict(headers or {}), sdp, uri)


def description(*lines: str) -> str:
    return "".join([f"{line}\r\n" for line in ("v=0", *lines)])


ORIGIN6 = "o=carol 7001 1 IN IP6 2001:db8::ca:11"

MESSAGES: dict[str, bytes] = {
    "reference": message("REGISTER", "sip:[2001:db8::5]"),
    "no-brackets": message("OPTIONS", "sip:2001:db8::5"),
    "port-ambiguous": message("OPTIONS", "sip:[2001:db8::5:5070]"),
    "port-unambiguous": message("OPTIONS", "sip:[2001:db8::5]:5070"),
    "received-in-brackets": message(
        "BYE",
        "sip:bob@[2001:db8::b0b]",
        {
            "Via": "SIP/2.0/UDP [2001:db8::ca:11]:6050;received=[2001:db8::77:99]"
            ";branch=z9hG4bK5118a",
            "To": "<sip:bob@example.com>;tag=gone",
        },
    ),
    "received-plain": message(
        "BYE",
        "sip:bob@[2001:db8::b0b]",
        {
            "Via": "SIP/2.0/UDP [2001:db8::ca:11]:6050;received=2001:db8::77:99"
            ";branch=z9hG4bK5118b",
            "To": "<sip:bob@example.com>;tag=gone",
        },
    ),
    "sdp": message(
        "INVITE",
        "sip:bob@[2001:db8::b0b]",
        sdp=description(
            ORIGIN6,
            "s=-",
            "c=IN IP6 2001:db8::ca:12",
            "t=0 0",
            "m=audio 7078 RTP/AVP 0",
            "m=video 7080 RTP/AVP 96",
            "a=rtpmap:96 H264/90000",
        ),
    ),
    "several-in-headers": message(
        "OPTIONS",
        "sip:bob@[2001:db8::b0b]",
        {
            "Via": "SIP/2.0/UDP [2001:db8::ca:11]:6050;branch=z9hG4bK5118c"
            ";received=192.0.2.17\r\nVia: SIP/2.0/UDP 192.0.2.33:5061;branch=z9hG4bKx, "
            "SIP/2.0/TCP [2001:db8::1]:5062;received=[2001:db8::2];branch=z9hG4bKy",
            "Record-Route": "<sip:[2001:db8::1];lr>, <sip:192.0.2.33;lr>",
        },
    ),
    "several-in-sdp": message(
        "INVITE",
        "sip:bob@[2001:db8::b0b]",
        sdp=description(
            "o=carol 7002 1 IN IP4 host.example.com",
            "s=-",
            "t=0 0",
            "m=audio 7078 RTP/AVP 0",
            "c=IN IP4 192.0.2.33",
            "m=video 7080 RTP/AVP 31",
            "c=IN IP6 2001:db8::ca:12",
        ),
    ),
    "mapped": message(
        "INVITE",
        "sip:bob@example.com",
        {
            "Via": "SIP/2.0/UDP [::ffff:192.0.2.33]:19911;branch=z9hG4bK5118d\r\n"
            "Via: SIP/2.0/UDP [::ffff:192.0.2.34];branch=z9hG4bKz",
            "Contact": '"Carol" <sip:carol@[::ffff:192.0.2.34]>',
        },
        description(
            "o=carol 7003 1 IN IP6 ::ffff:192.0.2.34",
            "s=-",
            "c=IN IP6 ::ffff:192.0.2.34",
            "t=0 0",
            "m=audio 7078 RTP/AVP 0",
        ),
    ),
    "three-colons": message(
        "OPTIONS", "sip:bob@[2001:db8:::192.0.2.33]", {"To": "<sip:bob@[2001:db8:::192.0.2.33]>"}
    ),
    "two-colons": message(
        "OPTIONS", "sip:bob@[2001:db8::192.0.2.33]", {"To": "<sip:bob@[2001:db8::192.0.2.33]>"}
    ),
}

ROWS: dict[str, Row] = {
    "reference": Row(405),  # 4.1; REGISTER, and no registrar here
    "no-brackets": Row(400),  # 4.2
    "port-ambiguous": Row(200),  # 4.3: all within the brackets is the address
    "port-unambiguous": Row(200),  # 4.4
    "received-in-brackets": Row(481),  # 4.5: read, but the dialog is not ours
    "received-plain": Row(481),  # 4.5
    "sdp": Row(CALL),  # 4.6
    "several-in-headers": Row(200),  # 4.7
    "several-in-sdp": Row(CALL),  # 4.8
    "mapped": Row(CALL),  # 4.9
    "three-colons": Row(200),  # 4.10: what the grammar of RFC 3261 wrongly makes is tolerated
    "two-colons": Row(200),  # 4.10
}


@pytest.fixture(scope="module")
def udp_server() -> Iterator[LiveStack]:
    with LiveStack("::1") as live:
        yield live


@pytest.fixture(scope="module")
def tcp_server() -> Iterator[LiveStack]:
    with LiveStack("::1") as live:
        yield live


def read(name: str) -> Request:
    parsed = parse(MESSAGES[name])
    assert isinstance(parsed, Request)
    return parsed


def test_every_message_has_a_verdict() -> None:
    assert set(MESSAGES) == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_the_parser(name: str) -> None:
    check_parser(MESSAGES[name], ROWS[name])


@pytest.mark.parametrize("name", ROWS)
def test_the_endpoint(name: str) -> None:
    check_endpoint(MESSAGES[name], ROWS[name], HOST, PEER)


@on_the_wire
@pytest.mark.parametrize("name", ROWS)
def test_over_udp(name: str, udp_server: LiveStack) -> None:
    check_udp(udp_server, MESSAGES[name], ROWS[name])


@on_the_wire
@pytest.mark.parametrize("name", ROWS)
def test_over_tcp(name: str, tcp_server: LiveStack) -> None:
    check_tcp(tcp_server, MESSAGES[name], ROWS[name])


def test_where_the_port_begins() -> None:
    """Sections 4.3 and 4.4."""
    ambiguous = SipUri.parse(read("port-ambiguous").uri)
    assert (ambiguous.host, ambiguous.port) == ("2001:db8::5:5070", None)
    unambiguous = SipUri.parse(read("port-unambiguous").uri)
    assert (unambiguous.host, unambiguous.port) == ("2001:db8::5", 5070)


@pytest.mark.parametrize("name", ["received-in-brackets", "received-plain"])
def test_received_with_and_without_brackets(name: str) -> None:
    """Section 4.5; the address that the message came from replaces it (18.2.1)."""
    assert read(name).via.received == "2001:db8::77:99"
    [answer] = check_endpoint(MESSAGES[name], ROWS[name], HOST, PEER)
    assert answer.via.received in (None, PEER[0])
    assert answer.via.host == PEER[0]


def test_both_families_in_headers() -> None:
    """Section 4.7: the answer carries every Via as it came, below the first."""
    [answer] = check_endpoint(
        MESSAGES["several-in-headers"], ROWS["several-in-headers"], HOST, PEER
    )
    vias = [Via.parse(value) for value in answer.values("via")]
    assert [(via.host, via.port) for via in vias] == [
        ("2001:db8::ca:11", 6050),
        ("192.0.2.33", 5061),
        ("2001:db8::1", 5062),
    ]


@pytest.mark.parametrize(
    ("name", "connections"),
    [
        ("sdp", ["2001:db8::ca:12", "2001:db8::ca:12"]),  # 4.6
        ("several-in-sdp", ["192.0.2.33", "2001:db8::ca:12"]),  # 4.8
        ("mapped", ["::ffff:192.0.2.34"]),  # 4.9
    ],
)
def test_addresses_of_media(name: str, connections: list[str]) -> None:
    media = SessionDescription.parse(read(name).sdp).media
    assert [section.connection for section in media] == connections


def test_three_colons_are_two() -> None:
    """Section 4.10: the same address either way; with no IPv4 after them they are an error."""
    assert SipUri.parse(read("three-colons").uri) == SipUri.parse(read("two-colons").uri)
    assert str(SipUri.parse("sip:[2001:db8:::192.0.2.33]")) == "sip:[2001:db8::192.0.2.33]"
    for wrong in (
        "sip:[2001:db8:::5]",
        "sip:[2001:db8::::192.0.2.33]",
        "sip:[2001::1:::192.0.2.3]",
    ):
        with pytest.raises(ValueError, match="Malformed"):
            SipUri.parse(wrong)
