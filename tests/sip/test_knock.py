"""What an INVITE says at the door is what the parser says of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.knock import knock_of
from sip.message import Request, Response, parse
from sip.transaction.layer import server_key
from sip.transport import Listener
from tests.support.builders import HEADERS, PEER, request_text

UDP = Listener("UDP", "192.0.2.1", 5060)
VIAS = (
    HEADERS["Via"],
    "SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKb",
    "SIP/2.0/UDP proxy.example;branch=z9hG4bKc;rport, SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKd",
    "SIP/2.0/UDP 198.51.100.9;branch=old",
    "SIP / 2.0 / UDP 198.51.100.9 ; branch=z9hG4bKe",
    "SIP/2.0/UDP [2001:db8::1]:5060;maddr=192.0.2.9;branch=z9hG4bKf;rport=1",
    "SIP/2.0/UDP 198.51.100.9;branch=old;branch=z9hG4bKg",
    'SIP/2.0/UDP 198.51.100.9;x="a;branch=z9hG4bKh";branch=z9hG4bKi',
    "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK",
    " SIP/2.0/UDP HOST.example:05060;branch=z9hG4bKj",
    "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKk\t",
)
NAMES = {
    "Via": ("Via", "v", "VIA", "via ", "V"),
    "From": ("From", "f", "FROM"),
    "To": ("To", "t", "to\t"),
    "Call-ID": ("Call-ID", "i", "call-id", "CALL-Id"),
    "CSeq": ("CSeq", "cseq", "CSEQ"),
}
PARTIES = ("<sip:a@b>", '"A;tag=x" <sip:a@b>', "sip:a@b", "Ann <sip:a@b;x=y>")


@given(st.data())
def test_any_spelling(data: st.DataObject) -> None:
    """The key and the answer are those that a request gets which is parsed as a whole."""
    spell = {key: data.draw(st.sampled_from(names)) for key, names in NAMES.items()}
    fold = data.draw(st.sampled_from(["", "\r\n ", "\r\n\t"]))
    vias = data.draw(st.lists(st.sampled_from(VIAS), min_size=1, max_size=3))
    lines = [f"{spell['Via']}:{fold}{via}" for via in vias]
    lines += [
        f"{spell['From']}: {data.draw(st.sampled_from(PARTIES))};tag=c",
        f"{spell['To']}: {data.draw(st.sampled_from(PARTIES))}",
        f"{spell['Call-ID']}:{fold} 1@a",
        f"{spell['CSeq']}: 7 INVITE",
        "Contact: <sip:a@b>",
        "Supported: replaces, timer",
        "Call-Info: <sip:a@b>;purpose=x-cisco-remotecc",
        "Cisco-Guid: 1-2-3-4",
        "Subject: via: from: to: call-id:",
        "Content-Length: 0",
    ]
    text = "\r\n".join(["INVITE sip:b@c SIP/2.0", *data.draw(st.permutations(lines)), "", ""])
    knock, request = knock_of(text.encode()), parse(text.encode())
    assert isinstance(request, Request)
    assert request.defect is None
    assert knock is not None
    assert (knock.key, knock.uri, knock.replaces) == (server_key(request), "sip:b@c", False)
    assert knock.to.decode().strip() == request.get("to")
    _, octets = knock.answer(b"SIP/2.0 503 No", b"t", b"", PEER, UDP)
    response = parse(octets)
    assert isinstance(response, Response)
    assert response.defect is None
    assert response.to_tag == "t"
    assert response.cseq == request.cseq
    assert (response.call_id, response.from_tag) == (request.call_id, request.from_tag)
    assert len(response.values("via")) == len(request.values("via"))


@pytest.mark.parametrize(
    "headers",
    [
        {"From": None},
        {"To": ""},
        {"To": "<sip:b@c>;tag=x"},
        {"To": "sip:b@c;tag=x"},
        {"To": '"b" <sip:b@c> ; TAG=x'},
        {"Call-ID": "a\r\ni: b"},
        {"CSeq": "1 INVITE\r\nCSEQ: 2 INVITE"},
        {"From": "<sip:a@b>;tag=c\rTo: <sip:x@y>", "To": None},
        {"Via": "SIP/2.0/UDP"},
    ],
)
def test_what_is_left_to_the_parser(headers: dict[str, str | None]) -> None:
    """In a dialog, or in some way wrong."""
    assert knock_of(request_text("INVITE", headers)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"INVITE sip:b@c SIP/2.0\r\nVia: x",
        b"INVITE sip:b@c SIP/3.0" + request_text("INVITE")[22:],
        b"INVITE  sip:b@c SIP/2.0\r\n" + request_text("INVITE").partition(b"\r\n")[2],
    ],
)
def test_what_is_no_usual_request(data: bytes) -> None:
    assert knock_of(data) is None


def test_copies_share_their_number() -> None:
    """And no other request has it, that of the same transaction among them."""
    first, copy = (knock_of(request_text("INVITE")) for _ in range(2))
    others = [{"CSeq": "2 INVITE"}, {"Call-ID": "other"}, {"Via": VIAS[1]}]
    found = [knock_of(request_text("INVITE", headers)) for headers in others]
    assert first is not None
    assert copy is not None
    assert first.id == copy.id
    assert len({first.id, *[one.id for one in found if one is not None]}) == 4


def test_a_call_that_takes_the_place_of_another() -> None:
    """RFC 3891: that is no new one."""
    knock = knock_of(request_text("INVITE", {"Replaces": "a@b;to-tag=1;from-tag=2"}))
    assert knock is not None
    assert knock.replaces
