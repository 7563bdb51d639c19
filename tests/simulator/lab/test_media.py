import socket

import pytest

from simulator.lab.media import MediaSink, Negotiation, sdp_of
from sip.errors import ParseError, PeerError
from sip.message import Request
from sip.offer_answer import make_offer
from sip.sdp import SessionDescription

OFFER = make_offer("192.0.2.1", 4000, 7).to_bytes()


def ours() -> Negotiation:
    return Negotiation("127.0.0.1", 5004, 42)


def parsed(body: bytes) -> SessionDescription:
    return SessionDescription.parse(body)


def test_rtp_is_swallowed() -> None:
    sink = MediaSink("127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", sink.port))
        for _ in range(100):
            sender.send(bytes(172))  # an ICMP error would be raised by the next send
    sink.close()


def test_the_rtp_port_is_even() -> None:
    sinks = [MediaSink("127.0.0.1") for _ in range(4)]
    for sink in sinks:
        sink.close()
    assert [sink.port % 2 for sink in sinks] == [0, 0, 0, 0]


def test_an_unchanged_description_keeps_its_version() -> None:
    side = ours()
    first = side.answer(OFFER)
    assert side.answer(OFFER) == first


def test_each_change_raises_the_version_by_one() -> None:
    side = ours()
    side.answer(OFFER)
    held = parsed(side.answer(parsed(OFFER).with_direction("sendonly").to_bytes()))
    assert (held.origin.sess_version, held.media[0].direction) == (2, "recvonly")
    assert side.on_hold
    back = parsed(side.answer(OFFER))
    assert (back.origin.sess_version, back.media[0].direction) == (3, "sendrecv")
    assert not side.on_hold


def test_a_refused_offer_leaves_the_description_in_force() -> None:
    side = ours()
    first = side.answer(OFFER)
    side.held = True
    refused = side.offer()
    assert refused.media[0].direction == "sendonly"
    assert refused.origin.sess_version == 2
    side.held = False
    assert side.answer(OFFER) == first


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ("sendrecv", "sendonly"),
        ("sendonly", "inactive"),
        ("recvonly", "sendonly"),
        ("inactive", "inactive"),
    ],
)
def test_a_side_that_holds_does_not_hear(offered: str, answered: str) -> None:
    side = ours()
    side.held = True
    answer = side.answer(OFFER.replace(b"a=sendrecv", f"a={offered}".encode()))
    assert parsed(answer).media[0].direction == answered


def test_a_later_offer_keeps_the_sections() -> None:
    side = ours()
    video = b"m=video 4002 RTP/AVP 31\r\n"
    answer = side.answer(OFFER.replace(b"m=audio", video + b"m=audio"))
    later = side.offer()
    assert [(media.kind, media.port) for media in later.media] == [("video", 0), ("audio", 5004)]
    assert later.to_bytes() == answer


def test_our_offer_is_answered() -> None:
    one, other = ours(), Negotiation("127.0.0.2", 6004, 43)
    offer = one.offer()
    assert one.local is None
    one.accept(offer, other.answer(offer.to_bytes()))
    assert one.remote == other.local
    assert one.local == other.remote


@pytest.mark.parametrize(
    ("offer", "error", "status"),
    [
        (b"hello", ParseError, 400),
        (b"", ParseError, 400),
        (OFFER.replace(b"RTP/AVP", b"RTP/SAVP"), PeerError, 488),
        (OFFER.replace(b"m=audio", b"m=image"), PeerError, 488),
    ],
)
def test_an_offer_that_cannot_be_answered(
    offer: bytes, error: type[PeerError], status: int
) -> None:
    with pytest.raises(error) as raised:
        ours().answer(offer)
    assert raised.value.status == status


def test_an_answer_that_refuses_everything() -> None:
    side = ours()
    offer = side.offer()
    refusal = offer.to_bytes().replace(b"m=audio 5004", b"m=audio 0")
    with pytest.raises(PeerError):
        side.accept(offer, refusal)


def request_with(content_type: str, body: bytes) -> Request:
    head = f"INVITE sip:a@b SIP/2.0\r\nContent-Type: {content_type}"
    return Request("INVITE", "sip:a@b", head, body)


def test_sdp_is_found_in_a_multipart_body() -> None:
    body = (
        b"--next\r\nContent-Type: application/gtd\r\n\r\nIAM,\r\n"
        b"--next\r\nContent-Type: application/sdp\r\n\r\n" + OFFER + b"--next--\r\n"
    )
    found = sdp_of(request_with("multipart/mixed;boundary=next", body))
    assert parsed(found) == parsed(OFFER)


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/mixed;boundary=next", ""])
def test_a_body_without_sdp(content_type: str) -> None:
    with pytest.raises(PeerError) as raised:
        sdp_of(request_with(content_type, b"--next\r\nContent-Type: text/plain\r\n\r\nhi\r\n"))
    assert raised.value.status == 415
