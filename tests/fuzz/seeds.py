"""What is damaged: valid messages of every kind, and the torture messages of RFC 4475."""

import os
from pathlib import Path

from tests.support.builders import request, request_text, response_text
from tests.support.network import OFFER

METHODS = (
    "INVITE ACK CANCEL BYE OPTIONS INFO UPDATE REFER NOTIFY PRACK SUBSCRIBE REGISTER MESSAGE "
    "PUBLISH"
).split()

SDP = OFFER.decode() + (
    "m=audio 7078 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
    "a=sendrecv\r\nm=video 0 RTP/AVP 31\r\nc=IN IP6 2001:db8::1\r\n"
)
MULTIPART = (
    "--b\r\nContent-Type: application/sdp\r\n\r\n" + SDP + "\r\n--b\r\n"
    "Content-Type: application/gtd\r\nContent-Transfer-Encoding: base64\r\n\r\nSUFN\r\n--b--\r\n"
)
DIGEST = (
    'Digest username="bob", realm="example.com", nonce="0123abcd", uri="sip:bob@example.com", '
    'response="00000000000000000000000000000000", algorithm=SHA-256, qop=auth, nc=00000001, '
    'cnonce="c", opaque=""'
)
CHALLENGE = (
    'Digest realm="example.com", nonce="0123abcd", algorithm=SHA-256, qop="auth,auth-int", '
    "stale=FALSE"
)

# Header fields that a method has beside the usual ones.
OWN: dict[str, dict[str, str | None]] = {
    "INVITE": {
        "Allow": "INVITE, ACK, BYE",
        "Supported": "timer, replaces, 100rel",
        "Session-Expires": "1800;refresher=uac",
        "Min-SE": "90",
        "Expires": "120",
        "Record-Route": "<sip:p1.example.com;lr>, <sip:p2.example.com>",
        "P-Asserted-Identity": '"Carol" <sip:carol@example.org>, <tel:+15550100>',
        "Privacy": "id",
        "Diversion": "<sip:dave@example.org>;reason=unconditional",
        "History-Info": "<sip:bob@example.com?Reason=SIP%3Bcause%3D302>;index=1",
        "User-to-User": "48656c6c6f;encoding=hex",
        "Replaces": "call@192.0.2.1;to-tag=a;from-tag=b",
        "Authorization": DIGEST,
    },
    "PRACK": {"RAck": "1 1 INVITE"},
    "REFER": {
        "Refer-To": "<sip:dave@example.com?Replaces=a%40b%3Bto-tag%3Dc%3Bfrom-tag%3Dd>",
        "Referred-By": "<sip:carol@example.org>",
        "Refer-Sub": "false",
        "Target-Dialog": "call@192.0.2.1;local-tag=a;remote-tag=b",
    },
    "NOTIFY": {"Event": "refer;id=2", "Subscription-State": "active;expires=60"},
    "SUBSCRIBE": {"Event": "dialog", "Expires": "3600", "Accept": "application/dialog-info+xml"},
    "REGISTER": {
        "Contact": "<sip:bob@198.51.100.9>;expires=60;q=0.5, <sip:bob@198.51.100.10>",
        "Path": "<sip:edge.example.com;lr>",
        "Authorization": DIGEST,
    },
    "BYE": {"Reason": 'Q.850;cause=16;text="Normal", SIP;cause=200'},
    "UPDATE": {"Session-Expires": "90;refresher=uas"},
    "INFO": {"Content-Type": "application/dtmf-relay", "Info-Package": "x"},
}
BODIES = {
    "INVITE": SDP,
    "UPDATE": SDP,
    "INFO": "Signal=5\r\nDuration=160\r\n",
    "NOTIFY": "SIP/2.0 200 OK\r\n",
}
TYPES = {
    "INVITE": "application/sdp",
    "UPDATE": "application/sdp",
    "NOTIFY": "message/sipfrag;version=2.0",
}


def make(method: str, inside: dict[str, str | None] | None = None) -> bytes:
    """A request of a method; `inside` are the fields that put it into a dialog."""
    fields = {"Content-Type": TYPES.get(method), **OWN.get(method, {}), **(inside or {})}
    text = request_text(method, fields, BODIES.get(method, ""))
    return text.replace(b"Content-Length", b"l") if method == "OPTIONS" else text


def plain() -> list[bytes]:
    """Requests outside a dialog, and responses to nothing."""
    made = [make(method) for method in METHODS]
    made.append(request_text("INVITE", {"Content-Type": "multipart/mixed;boundary=b"}, MULTIPART))
    made.append(
        b"INVITE sip:bob@[2001:db8::1]:5070;transport=tcp SIP/2.0\r\n"
        b"v: SIP/2.0/TCP [2001:db8::9];branch=z9hG4bK6;rport, SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK7"
        b'\r\nf: "A. \\"B\\"" <sip:a@b>;tag=6\r\nt: <tel:+1-555-0100;phone-context=x>\r\n'
        b"i: 6@b\r\nCSeq: 900 INVITE\r\nm: <sips:a@[::1]>\r\nl: 0\r\nk: timer\r\n\r\n"
    )
    invite = request(headers={"CSeq": "900 INVITE"})
    for status, lines in (
        (100, ""),
        (183, "Require: 100rel\r\nRSeq: 1\r\n"),
        (200, "Contact: <sip:x@y>\r\n"),
        (302, "Contact: <sip:x@y>;q=0.1, <sip:z@y>\r\n"),
        (401, f"WWW-Authenticate: {CHALLENGE}\r\n"),
        (407, f"Proxy-Authenticate: {CHALLENGE}\r\nRetry-After: 5 (busy);duration=9\r\n"),
        (422, "Min-SE: 90\r\n"),
        (488, 'Warning: 304 example.com "Media type not available"\r\n'),
    ):
        made.append(response_text(invite, status, "c", lines))
    return made


def vectors() -> list[bytes]:
    """The messages that RFC4475_VECTORS names, if it does."""
    folder = os.environ.get("RFC4475_VECTORS")
    return [path.read_bytes() for path in sorted(Path(folder).glob("*.dat"))] if folder else []
