"""What reads a peer's text takes time in proportion to its length (RFC 3261 section 26.1.5)."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import thread_time

import pytest

from sip.auth import Challenge, Credentials
from sip.dialog import is_loose, name_addr_uri
from sip.errors import PeerError
from sip.grammar import parse_host_port, split_values, unescape
from sip.knock import knock_of
from sip.message import Request, parse, tag_of
from sip.multipart import sdp_part
from sip.sdp import SessionDescription, same_media
from sip.stream import StreamFramer
from sip.transaction.layer import server_key
from sip.transaction.server import response_prefix
from sip.uri import parse_uri
from sip.values import (
    CSeq,
    EventType,
    MediaType,
    NameAddr,
    Reason,
    Via,
    WarningValue,
    parse_sipfrag,
)
from tests.support.growth import least_growth

pytestmark = pytest.mark.thousands

LENGTH = 32_000
SECONDS = 0.5  # what is linear takes a tenth at most, unless the machine is busy: see below
PART = 8
MOST = 3 * PART  # times as long as a part of the text: 8 where it is linear, 64 where it is not

PIECES = [
    *',"<>;=[]:()?&@%\\./-+*_ \t0aA\0\xff\n\r', ";a", ";a=", ";a=b", " ;", "; ", '",', "<>", "[]",
    "::", "()", "\r\n ", "\r\n\t", " \r\n ", '\\"', "\\\\", "%41", "%E4", '"a",', "<a>,", "a,",
    'a="b",', "a = b , ", "1.", "a.", "a-", "sip:", "a=b&", ";;", ",,", '";', "--b\r\n", "--b",
    "a=sendrecv\r\n", "m=audio 1 RTP/AVP 0\r\n", "a=rtpmap:0 a\r\n", "c=IN IP4 a\r\n", " 0",
    "Via: a\r\n", "Content-Length: 0\r\n", "Content-Length: 0\r\n\r\n", "\r\n", "\r\n\r\n",
]  # fmt: skip

ORIGIN = "v=0\r\no=- 1 1 IN IP4 a\r\ns=-\r\nt=0 0\r\n"

INVITE = (
    b"INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"
    b"To: <sip:a>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n%b\r\n\r\n"
)


def whole(line: str) -> None:
    """A request with this line, and what the stack reads of every request."""
    text = (
        "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1;rport\r\n"
        "From: <sip:a>;tag=1\r\nTo: <sip:a>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
        f"{line}\r\n\r\n"
    )
    request = parse(text.encode())
    assert isinstance(request, Request)
    list(request.lines())
    response_prefix(request, ("192.0.2.1", 5060), "tag")
    for key in list(request.keys())[:9]:
        with suppress(PeerError):
            request.values(key)
    server_key(request)


READERS: dict[str, Callable[[str], object]] = {
    "message": lambda text: parse(text.encode()),
    "start line": lambda text: parse(f"{text} SIP/2.0\r\nVia: a\r\n\r\n".encode()),
    "status line": lambda text: parse(f"SIP/2.0 200 {text}\r\n\r\n".encode()),
    "header": whole,
    "Via": lambda text: whole(f"Via: {text}"),
    "second Via value": lambda text: whole(f"Via: SIP/2.0/UDP a;branch=z9hG4bK2, {text}"),
    "From": lambda text: whole(f"From: {text}"),
    "CSeq": lambda text: whole(f"CSeq: {text}"),
    "stream": lambda text: StreamFramer().feed(text.encode()),
    "list": split_values,
    "comments": lambda text: split_values(text, comments=True),
    "host": parse_host_port,
    "IPv6": lambda text: parse_host_port(f"[{text}]"),
    "unescape": unescape,
    "URI": parse_uri,
    "sip: URI": lambda text: parse_uri(f"sip:{text}"),
    "sip: host": lambda text: parse_uri(f"sip:a@b{text}"),
    "tel: URI": lambda text: parse_uri(f"tel:+1{text}"),
    "address": NameAddr.parse_many,
    "display name": lambda text: NameAddr.parse(f"{text}<sip:a>"),
    "quoted name": lambda text: NameAddr.parse(f'"{text}" <sip:a>'),
    "address parameters": lambda text: NameAddr.parse(f"<sip:a>{text}"),
    "address URI": name_addr_uri,
    "loose route": lambda text: is_loose(f";lr{text}"),
    "tag": tag_of,
    "tag after": lambda text: tag_of(f"<sip:a>{text}"),
    "via-parm": Via.parse_many,
    "via sent-by": lambda text: Via.parse(f"SIP/2.0/UDP {text}"),
    "CSeq value": CSeq.parse,
    "Event": EventType.parse,
    "Reason": Reason.parse_many,
    "Warning": lambda text: WarningValue.parse_many(f"399 a {text}"),
    "media type": MediaType.parse,
    "challenge": lambda text: Challenge.parse(f"Digest {text}"),
    "credentials": lambda text: Credentials.parse(f"Digest {text}"),
    "sipfrag": lambda text: parse_sipfrag(f"SIP/2.0 200 {text}".encode()),
    "SDP": lambda text: SessionDescription.parse(f"{ORIGIN}{text}".encode()),
    "SDP media": lambda text: SessionDescription.parse(f"{ORIGIN}m=audio 1 a {text}".encode()),
    "same media": lambda text: same_media(f"a=sendrecv\n{text}".encode(), text.encode()),
    "multipart": lambda text: sdp_part("multipart/mixed;boundary=b", f"--b\n{text}".encode()),
    "knock": lambda text: knock_of(INVITE % f"Feature: {text}".encode()),
    "knock, a field": lambda text: knock_of(INVITE % f"f: {text}".encode()),
    "multipart type": lambda text: sdp_part(f"multipart/mixed;boundary={text}", b"--a\n"),
}


def cost(read: Callable[[str], object], text: str) -> float:
    """CPU seconds that reading takes."""
    started = thread_time()
    with suppress(PeerError):
        read(text)
    return thread_time() - started


@pytest.mark.parametrize("name", READERS)
def test_it_takes_linear_time(name: str) -> None:
    read = READERS[name]
    for piece in PIECES:
        for last in ("", "x", '"'):
            text = (piece * (LENGTH // len(piece) + 1))[:LENGTH] + last
            took = cost(read, text)
            if took > SECONDS:
                part = text[: LENGTH // PART] + last
                least = least_growth(partial(cost, read, text), partial(cost, read, part), MOST)
                assert least < MOST, f"{took:.2f} s for {piece!r}, many times, and {last!r}"


def test_what_is_not_linear_is_seen() -> None:
    def read(text: str) -> None:
        for _ in range(0, len(text), 32):
            text.replace("a", "b")

    part = "a" * (LENGTH // PART)
    assert least_growth(partial(cost, read, "a" * LENGTH), partial(cost, read, part), MOST) > MOST


def test_a_stream_in_single_octets_takes_linear_time() -> None:
    """The header is read once, however slowly the body comes: as many octets either way."""

    def feed(length: int, times: int) -> float:
        head = f"X: {'a' * length}\r\nContent-Length: {length}\r\n\r\n".encode()
        octets = [bytes((octet,)) for octet in head + b"b" * length]
        started = thread_time()
        for _ in range(times):
            framer = StreamFramer()
            for octet in octets[:-1]:
                assert framer.feed(octet) == []
            assert len(framer.feed(octets[-1])) == 1
        return thread_time() - started

    # 1 where it is linear, 5 where each octet has the header read again
    assert least_growth(lambda: feed(60_000, 1), lambda: feed(1_000, 60), 2.5) < 2.5
