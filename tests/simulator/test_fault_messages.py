"""What becomes of the octets of a message."""

import pytest

from simulator.config_faults import SdpChange
from simulator.fault_messages import corrupted, with_sdp

BODY = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
    b"m=video 4002/2 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n"
)
FIELDS = (
    b"INVITE sip:1@192.0.2.2 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKabc;x\r\n"
    b"v: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKdef\r\n"
    b"f: <sip:1@192.0.2.1>;tag=from0\r\n"
    b"To: <sip:1@192.0.2.2> ; tag = to1\r\n"
    b"Call-ID: tag=none\r\nCSeq: 7 INVITE\r\n"
)


def message(body: bytes = BODY) -> bytes:
    return FIELDS + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("what", "good", "bad"),
    [
        ("from-tag", b"tag=from0", b"tag=from1"),
        ("to-tag", b"tag = to1", b"tag = to0"),
        ("branch", b"z9hG4bKabc;", b"z9hG4bKab0;"),
        ("cseq", b"CSeq: 7 ", b"CSeq: 6 "),
        ("content-length", b"Length: %d" % len(BODY), b"Length: %d" % (len(BODY) + 10)),
    ],
)
def test_one_field_is_wrong(what: str, good: bytes, bad: bytes) -> None:
    assert corrupted(message(), what) == message().replace(good, bad)
    assert message().count(good) == 1


def test_what_is_not_there_cannot_be_wrong() -> None:
    plain = message().replace(b" ; tag = to1", b"")
    assert corrupted(plain, "to-tag") == plain
    zero = message().replace(b"CSeq: 7", b"CSeq: 0")
    assert corrupted(zero, "cseq") == message().replace(b"CSeq: 7", b"CSeq: 1")


def changed(**change: object) -> list[bytes]:
    """The lines of the description from the first section on, its length checked."""
    found = with_sdp(message(), SdpChange.model_validate(change))
    head, _, body = found.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert head.rpartition(b"\r\n")[0] == FIELDS.rstrip()
    return body.splitlines()[5:]


def test_direction() -> None:
    assert changed(direction="sendonly") == [
        b"m=audio 4000 RTP/AVP 0 8 101",
        b"a=rtpmap:101 telephone-event/8000",
        b"a=fmtp:101 0-16",
        b"a=sendonly",
        b"m=video 4002/2 RTP/AVP 97",
        b"a=rtpmap:97 H264/90000",
        b"a=sendonly",
    ]


def test_port() -> None:
    lines = changed(port=0)
    assert (lines[0], lines[3]) == (b"m=audio 0 RTP/AVP 0 8 101", b"m=video 0/2 RTP/AVP 97")


def test_a_codec_is_removed() -> None:
    assert changed(remove="telephone-event")[:2] == [
        b"m=audio 4000 RTP/AVP 0 8",
        b"m=video 4002/2 RTP/AVP 97",
    ]
    assert changed(remove="pcmu")[0] == b"m=audio 4000 RTP/AVP 8 101"
    assert changed(remove="H264")[3] == b"m=video 0/2 RTP/AVP 97"  # it was the last one


def test_a_codec_is_replaced() -> None:
    lines = changed(replace={"PCMU": "G729", "telephone-event": "opus"})
    assert lines[:3] == [
        b"m=audio 4000 RTP/AVP 18 8 96",
        b"a=rtpmap:18 G729/8000",
        b"a=rtpmap:96 opus/8000",
    ]


@pytest.mark.parametrize("body", [b"", b"no description", BODY])
def test_where_there_is_nothing_to_change_it_stays(body: bytes) -> None:
    change = SdpChange(remove="G729")
    assert with_sdp(message(body), change) == message(body)
