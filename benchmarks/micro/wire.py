"""The messages of a call as SIPp sends them, numbered so that each call is another."""

from typing import Final

CALLER: Final = ("127.0.0.1", 7000)
CALLEE: Final = ("127.0.0.1", 7001)

OFFER: Final = (
    b"v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n"
    b"t=0 0\r\nm=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)

_REQUEST: Final = (
    b"%b sip:5000@127.0.0.1:5060 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:7000;branch=z9hG4bK-1-%d-%b\r\n"
    b"From: sipp <sip:sipp@127.0.0.1:7000>;tag=1SIPpTag00%d\r\n"
    b"To: service <sip:5000@127.0.0.1:5060>%b\r\n"
    b"Call-ID: %d-1@127.0.0.1\r\nCSeq: %d %b\r\nContact: sip:sipp@127.0.0.1:7000\r\n"
    b"Max-Forwards: 70\r\nSubject: Performance Test\r\n%bContent-Length: %d\r\n\r\n%b"
)


def invite(number: int) -> bytes:
    """The INVITE of a call."""
    kind = b"Content-Type: application/sdp\r\n"
    values = (b"INVITE", number, b"0", number, b"", number, 1, b"INVITE", kind, len(OFFER), OFFER)
    return _REQUEST % values


def in_dialog(method: bytes, number: int, cseq: int, tag: bytes) -> bytes:
    """Its ACK or BYE, to the party with this tag."""
    to = b";tag=" + tag
    return _REQUEST % (method, number, method, number, to, number, cseq, method, b"", 0, b"")


def response(request: bytes, status: bytes, tag: bytes, body: bytes = b"") -> bytes:
    """The callee's response to a request."""
    to = field(request, b"To")
    if b";tag=" not in to:
        to += b";tag=" + tag
    copied = [field(request, name) for name in (b"Via", b"From", b"Call-ID", b"CSeq")]
    kind = b"Content-Type: application/sdp\r\n" if body else b""
    return b"SIP/2.0 %b\r\n%b\r\n%b\r\nContact: <sip:127.0.0.1:7001;transport=UDP>\r\n%b" % (
        status,
        b"\r\n".join(copied),
        to,
        kind + b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
    )


def field(message: bytes, name: bytes) -> bytes:
    """The line of a header field."""
    start = message.index(b"\r\n" + name + b":") + 2
    return message[start : message.index(b"\r\n", start)]


def to_tag(message: bytes) -> bytes:
    """The tag of To."""
    return field(message, b"To").partition(b";tag=")[2]
