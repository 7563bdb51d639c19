"""What an answer owes its offer: RFC 3264 section 6."""

import pytest

from sip.errors import PeerError
from sip.offer_answer import answer_to, check_answer
from sip.sdp import Origin, SessionDescription

AUDIO, VIDEO = "m=audio 4000 RTP/AVP 0", "m=video 4002 RTP/AVP 31"
REFUSED = "m=video 0 RTP/AVP 31"


def description(*media: str) -> SessionDescription:
    lines = ("v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", *media)
    return SessionDescription.parse("".join(f"{line}\r\n" for line in lines).encode())


@pytest.mark.parametrize(
    ("offer", "answer", "reason"),
    [
        ((AUDIO,), (AUDIO,), ""),
        ((AUDIO, VIDEO), (AUDIO, REFUSED), ""),
        ((REFUSED, AUDIO), (REFUSED, AUDIO), ""),
        ((AUDIO, VIDEO), (AUDIO,), "other media sections"),
        ((AUDIO,), (AUDIO, REFUSED), "other media sections"),
        ((AUDIO, VIDEO), (REFUSED, AUDIO), "other media sections"),
        ((AUDIO, REFUSED), (AUDIO, VIDEO), "not offered"),
    ],
)
def test_sections_of_an_answer(
    offer: tuple[str, ...], answer: tuple[str, ...], reason: str
) -> None:
    if not reason:
        check_answer(description(*offer), description(*answer))
        return
    with pytest.raises(PeerError, match=reason) as caught:
        check_answer(description(*offer), description(*answer))
    assert caught.value.status == 488


@pytest.mark.parametrize("media", [(VIDEO, AUDIO), (AUDIO, AUDIO, VIDEO), (REFUSED,)])
def test_our_own_answers_fit(media: tuple[str, ...]) -> None:
    """Refused sections stay in their places, with port 0."""
    offer = description(*media)
    origin = Origin.local("192.0.2.2", 1)
    answer = answer_to(offer, "192.0.2.2", 6000, origin=origin)
    check_answer(offer, answer)
    assert sum(not section.rejected for section in answer.media) == (AUDIO in media)
