"""Secrets of SIP messages, octet for octet replaced by an x."""

import time

import pytest

from simulator.masking import masked
from sip.message import parse

HEAD = "REGISTER sip:example.com SIP/2.0\r\nCall-ID: 1@a\r\n"


def shown(lines: str, body: str = "") -> str:
    """Header lines and a body as they are shown."""
    data = f"{HEAD}{lines}\r\n{body}".encode()
    found = masked(data)
    assert len(found) == len(data)
    assert masked(found) == found
    return found.decode().removeprefix(HEAD)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'Authorization: Digest username="1001", realm="r", nonce="n", uri="sip:a", '
            'response="0a1b", cnonce="c0ffee", nc=00000001',
            'Authorization: Digest username="1001", realm="r", nonce="n", uri="sip:a", '
            'response="xxxx", cnonce="xxxxxx", nc=00000001',
        ),
        (
            'Proxy-Authorization : Digest response = 0a1b,cnonce="a\\"b"',
            'Proxy-Authorization : Digest response = xxxx,cnonce="xx"x"',
        ),
        (
            'proxy-authorization:Digest realm="r",\r\n\tresponse="0a1b",\r\n cnonce="1"',
            'proxy-authorization:Digest realm="r",\r\n\tresponse="xxxx",\r\n cnonce="x"',
        ),
        # A name that looks like a parameter takes nothing from the one behind it.
        (
            'Authorization: Digest username="a response=", response="0a1b"',
            'Authorization: Digest username="a response="x xxxxxxxxx"xxxx"',
        ),
        (
            'Authorization: Digest username="u,response="0a1b"',
            'Authorization: Digest username="u,response="xxxx"',
        ),
        (
            'Authorization: Digest username="u",\rresponse="0a1b"',
            'Authorization: Digest username="u",\rresponse="xxxx"',
        ),
        (
            'Authorization: Digest response="0a", Basic c2VjcmV0',
            'Authorization: Digest response="xx", Basic xxxxxxxx',
        ),
        (
            "Refer-To: <sip:a@b?Replaces=1&Authorization=Digest%20response%3D0a&X=1>",
            f"Refer-To: <sip:a@b?Replaces=1&Authorization={'x' * 22}&X=1>",
        ),
        ("Contact: <tel:+1;postd=pp1234;x=1>", "Contact: <tel:+1;postd=xxxxxx;x=1>"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic xxxxxxxxxxxx"),
        ("Authorization: Bearer a.b\r\n c", "Authorization: Bearer xxx\r\n x"),
        (
            'Authentication-Info: nextnonce="n", rspauth="0a1b", cnonce="c"',
            'Authentication-Info: nextnonce="n", rspauth="xxxx", cnonce="x"',
        ),
        ('WWW-Authenticate: Digest realm="r", nonce="n"',) * 2,
        ("To: <sip:bob:secret@example.com>", "To: <sip:bob:xxxxxx@example.com>"),
        (
            "Contact: <SIPS:b:1@h:5061>, <sip:c@h:5060>",
            "Contact: <SIPS:b:x@h:5061>, <sip:c@h:5060>",
        ),
        ("Call-Info: <http://u:pw@h/a>", "Call-Info: <http://u:xx@h/a>"),
        ("Via: SIP/2.0/UDP h:5060;branch=z9hG4bK1",) * 2,
    ],
)
def test_header_fields(line: str, expected: str) -> None:
    assert shown(f"{line}\r\n") == f"{expected}\r\n\r\n"


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (
            "application/sdp",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNf+/4=|2^20|1:4;inline:QUJD|2^20\r\n",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xxxxxxxx|2^20|1:4;inline:xxxx|2^20\r\n",
        ),
        (
            "application/sdp",
            "k=clear:key\r\na=key-mgmt:mikey AQA=\r\na=ice-pwd:abc\r\na=fingerprint:sha-1 AB\r\n",
            "k=clear:xxx\r\na=key-mgmt:mikey xxxx\r\na=ice-pwd:xxx\r\na=fingerprint:sha-1 AB\r\n",
        ),
        ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", "Signal=x\r\nDuration=160\r\n"),
        ("application/dtmf-relay", "signal = 1\n", "signal = x\n"),
        ("application/dtmf-relay", "Signal: 7\r\n", "Signal: x\r\n"),
        ("application/dtmf", "5\r\n", "x\r\n"),
        ("application / dtmf", "5\r\n", "x\r\n"),
        ("audio/telephone-event", "\x09\x0a\x06\x40", "xxxx"),
        (
            "application/sdp",
            "a=acap:1 crypto:1 AES_CM_128_HMAC_SHA1_80 inline:QUJD|2^20\r\n"
            "a=acap:2 key-mgmt:mikey AQA=\r\n",
            "a=acap:1 crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xxxx|2^20\r\n"
            "a=acap:2 key-mgmt:mikey xxxx\r\n",
        ),
        (
            "application/mediaservercontrol+xml",
            '<response request="playcollect" digits="123"/>',
            '<response request="playcollect" digits="xxx"/>',
        ),
        (
            "multipart/mixed;boundary=b",
            "--b\r\nContent-Transfer-Encoding: base64\r\n\r\nYT1j\r\n--b--",
            f"--b\r\nContent-Transfer-Encoding: base64\r\n\r\n{'x' * 11}",
        ),
        (
            "multipart/mixed;boundary=b",
            "--b\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\r\n--b--",
            f"--b\r\nContent-Encoding: gzip\r\n\r\n{'x' * 10}",
        ),
        (
            "application/kpml-response+xml",
            '<kpml-response code="200" digits="4711"/>',
            '<kpml-response code="200" digits="xxxx"/>',
        ),
        (
            "multipart/mixed;boundary=b",
            "--b\r\nContent-Type: application/dtmf\r\n\r\n5\r\n--b\r\n\r\nno 5\r\n--b--\r\n",
            "--b\r\nContent-Type: application/dtmf\r\n\r\nx\r\n--b\r\n\r\nno 5\r\n--b--\r\n",
        ),
        (
            "message/sip",
            "BYE sip:a SIP/2.0\r\nAuthorization: Digest response=0a\r\n\r\n",
            "BYE sip:a SIP/2.0\r\nAuthorization: Digest response=xx\r\n\r\n",
        ),
        ("text/plain", "a 5\r\n", "a 5\r\n"),
    ],
)
def test_bodies(kind: str, body: str, expected: str) -> None:
    line = f"Content-Type: {kind}\r\n"
    assert shown(line, body) == f"{line}\r\n{expected}"


def test_the_compact_form() -> None:
    assert shown("c:application/dtmf\r\n", "7") == "c:application/dtmf\r\n\r\nx"
    assert shown("e: gzip\r\n", "ab c") == "e: gzip\r\n\r\nxxxx"
    assert shown("Content-Encoding: identity\r\n", "ab") == "Content-Encoding: identity\r\n\r\nab"


@pytest.mark.parametrize("before", [b"", b"\r\n\r\n"], ids=["", "after a keep-alive"])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
def test_lines_that_end_otherwise(before: bytes, end: bytes) -> None:
    lines = (b"INFO sip:a SIP/2.0", b"c: application/dtmf", b"", b"5")
    assert masked(before + end.join(lines)) == before + end.join([*lines[:3], b"x"])
    lines = (b"INFO sip:a SIP/2.0", b"Content-Encoding: gzip", b"", b"packed")
    assert masked(before + end.join(lines)) == before + end.join([*lines[:3], b"xxxxxx"])


def test_what_is_no_secret_is_the_same_object() -> None:
    data = f"{HEAD}\r\n".encode()
    assert masked(data) is data


def test_it_is_still_sip() -> None:
    data = (
        'INVITE sip:7001:pw@10.0.0.1 SIP/2.0\r\nProxy-Authorization: Digest username="1001", '
        'realm="r", nonce="n", uri="sip:a", response="0a1b"\r\nCSeq: 1 INVITE\r\n\r\n'
    )
    message = parse(masked(data.encode()))
    assert message.get("proxy-authorization") == (
        'Digest username="1001", realm="r", nonce="n", uri="sip:a", response="xxxx"'
    )


@pytest.mark.parametrize(
    "piece",
    [
        b"a",
        b" ",
        b"sip:",
        b"sip:a:b@",
        b"://@",
        b"Authorization: Digest a\r\n",
        b'Authorization: Digest "\\\r\n ',
        b"response = ",
        b"\r\nContent-Type: application/dtmf\r\n\r\n",
        b"\r\nc: application/kpml-response+xml\r\n\r\ndigits=",
        b"\r\na=crypto:inline:",
        b"\r\ne: ",
        b"\r\n ",
        b"\n",
        b"\r",
        b"sip:@",
        b"key-mgmt:",
        b"?authorization=",
        b"Basic ",
        b'"\\',
    ],
)
def test_it_takes_linear_time(piece: bytes) -> None:
    head = b"INVITE sip:a SIP/2.0\r\nAuthorization: Digest "
    for fill in (piece * (60_000 // len(piece)), b"\r\n\r\n" + piece * (60_000 // len(piece))):
        began = time.process_time()
        masked(head + fill)
        assert time.process_time() - began < 0.5  # quadratic: tens of seconds
