"""Offer and answer of an endpoint with one audio stream (RFC 3264)."""

import re
from collections.abc import Sequence
from functools import lru_cache

from sip.errors import InvalidValue, PeerError
from sip.sdp import (
    MIRRORED,
    STATIC_ENCODINGS,
    Media,
    Origin,
    SessionDescription,
    connection_line,
)

DEFAULT_CODECS = ("PCMU", "PCMA", "telephone-event")

_STATIC_TYPES = {name: payload for payload, name in STATIC_ENCODINGS.items()}
_EVENTS_TYPE = 101  # not required anywhere, but what nearly all send
_PROTOCOLS = ("RTP/AVP", "RTP/AVPF")
# s=, i=, b= and the like, and attributes that give no direction.
_PLAIN_LINES = (
    r"(?:[beikpsu]=[^\x00\r\n]*\r\n|c=[^ \x00\r\n]+ [^ \x00\r\n]+ [^ \x00\r\n]+\r\n"
    r"|a=(?!sendrecv\r|sendonly\r|recvonly\r|inactive\r)[^\x00\r\n]*\r\n)*"
)
_plain_offer = re.compile(
    r"v=0\r\no=[!-~]+ [0-9]{1,19} [0-9]{1,19} [!-~]+ [!-~]+ [!-~]+\r\n"
    rf"{_PLAIN_LINES}t=0 0\r\n{_PLAIN_LINES}m=audio ([1-9][0-9]{{0,4}}) (.*\r\n)".encode(),
    re.DOTALL,
).fullmatch
_REMEMBERED = 1024  # octets of a section; longer ones are not worth their memory
_codec = re.compile(r"[A-Za-z0-9\-.!%*_+]+(?:/[0-9]{1,6}(?:/[0-9]{1,3})?)?").fullmatch


def make_offer(
    address: str, port: int, session_id: int, codecs: Sequence[str] = DEFAULT_CODECS
) -> SessionDescription:
    """An offer of one audio stream, RFC 3264 section 5, in our order of preference.

    A codec is ``name[/clock rate[/channels]]``; one that RFC 3551 gives no payload type
    needs its rate and gets a type from 96 up, telephone-event 101 (RFC 4733). Raises
    `InvalidValue`.
    """
    payloads: list[str] = []
    attributes: list[str] = []
    for codec in codecs:
        payload, encoding = _payload(codec, payloads)
        payloads.append(payload)
        attributes.append(f"a=rtpmap:{payload} {encoding}")
        if encoding.lower().startswith("telephone-event/"):
            attributes.append(f"a=fmtp:{payload} 0-15")
    _check_port(port)
    if not payloads:
        raise InvalidValue("codecs: an offer needs at least one")
    m_line = f"m=audio {port} RTP/AVP {' '.join(payloads)}"
    lines = (
        "v=0",
        f"o={Origin.local(address, session_id)}",
        "s=-",
        connection_line(address),
        "t=0 0",
    )
    return SessionDescription(lines, (Media((m_line, *attributes, "a=sendrecv"), lines),))


def answer_to(
    offer: SessionDescription,
    address: str,
    port: int,
    codecs: Sequence[str] = DEFAULT_CODECS,
    *,
    origin: Origin,
) -> SessionDescription:
    """The answer of an endpoint with one audio stream at `address` and `port`, RFC 3264 6.

    Same sections in the same order. The first audio section with a common codec is
    accepted: the common codecs in the offer's order with their rtpmap and fmtp lines,
    telephone-event where its clock rate fits (RFC 4733), the direction mirrored. All
    others are refused with port 0; ask `rejected` whether anything is left. The t= lines
    are the offer's. Raises `InvalidValue` for a local value.
    """
    _check_port(port)
    times = [line for line in offer.lines if line[:2] in ("t=", "r=", "z=")] or ["t=0 0"]
    lines = ("v=0", f"o={origin}", "s=-", connection_line(address), *times)
    media: list[Media] = []
    for section in offer.media:
        taken = any(not accepted.rejected for accepted in media)
        common = set() if taken else _common(section, codecs)
        media.append(_answer_media(section, common, port, lines))
    return SessionDescription(lines, tuple(media))


def check_answer(offer: SessionDescription, answer: SessionDescription) -> None:
    """An answer has the offer's sections, in their order, and accepts no refused one.

    RFC 3264 section 6. Raises `PeerError`, 488, for one that has not.
    """
    kinds = [media.kind for media in offer.media]
    if kinds != [media.kind for media in answer.media]:
        raise PeerError("The answer has other media sections than the offer", 488)
    if any(o.rejected and not a.rejected for o, a in zip(offer.media, answer.media, strict=True)):
        raise PeerError("The answer accepts a section that was not offered", 488)


def fast_answer(
    offer: bytes, address: str, port: int, session_id: int, codecs: tuple[str, ...] = DEFAULT_CODECS
) -> bytes:
    """``answer_to(SessionDescription.parse(offer), ...).to_bytes()``, several times as fast.

    Its origin is ``Origin.local(address, session_id)``.

    An offer of one section and ``t=0 0`` is answered from a memory of sections with the
    same formats and attributes; any other goes through the model. Raises as these two do.
    """
    found = _plain_offer(offer)
    plan = _audio_plan(found[2], codecs) if found and len(found[2]) <= _REMEMBERED else None
    if found is None or plan is None or int(found[1]) > 65535:
        model = SessionDescription.parse(offer)
        origin = Origin.local(address, session_id)
        return answer_to(model, address, port, codecs, origin=origin).to_bytes()
    _check_port(port)
    accepted, rest = plan
    ours = _connection_line(address)
    return (
        f"v=0\r\no=- {session_id} 1 {ours[2:]}\r\ns=-\r\n{ours}\r\nt=0 0\r\n"
        f"m=audio {port if accepted else 0} {rest}"
    ).encode("utf-8", "surrogateescape")


_connection_line = lru_cache(maxsize=64)(connection_line)  # few addresses are ours


@lru_cache(maxsize=256)
def _audio_plan(rest: bytes, codecs: tuple[str, ...]) -> tuple[bool, str] | None:
    """What follows the port in the answer to the section ``m=audio <port> <rest>``."""
    text = f"m=audio 9 {rest.decode('utf-8', 'surrogateescape')}"
    try:
        section = Media(tuple(text.removesuffix("\r\n").split("\r\n")))
    except InvalidValue:
        return None
    answer = _answer_media(section, _common(section, codecs), 9, ())
    return not answer.rejected, str(answer).removeprefix(f"m=audio {answer.port} ")


def _answer_media(section: Media, common: set[str], port: int, session: tuple[str, ...]) -> Media:
    """The section that accepts these of the offered formats, or refuses if there are none."""
    formats = dict.fromkeys(f for f in section.formats if not common or f in common)
    m_line = f"m={section.kind} {port if common else 0} {section.protocol} {' '.join(formats)}"
    if not common:
        return Media((m_line,), session)
    carried = [
        f"a={name}:{value}"
        for name, value in section.attributes
        if name in ("rtpmap", "fmtp") and value and value.partition(" ")[0] in common
    ]
    return Media((m_line, *carried, f"a={MIRRORED[section.direction]}"), session)


def _common(section: Media, codecs: Sequence[str]) -> set[str]:
    """The offered formats that we can take; telephone-event only beside speech of its rate."""
    usable = section.kind == "audio" and section.port_count == 1 and not section.rejected
    if not usable or section.protocol not in _PROTOCOLS:
        return set()
    speech: set[str] = set()
    events: dict[str, str] = {}
    rates: set[str] = set()
    wanted = {codec.lower().removesuffix("/1") for codec in codecs}
    for payload, encoding in section.encodings.items():
        known = encoding.lower().removesuffix("/1")
        name, rate = (known + "/").split("/")[:2]
        if wanted.isdisjoint((known, name)):
            continue
        if name == "telephone-event":
            events[payload] = rate
        else:
            speech.add(payload)
            rates.add(rate)
    return speech | {payload for payload, rate in events.items() if rate in rates}


def _payload(codec: str, taken: Sequence[str]) -> tuple[str, str]:
    """Payload type and encoding for a codec of our offer."""
    if _codec(codec) is None:
        raise InvalidValue(f"codec: {codec!r} is not name, name/rate or name/rate/channels")
    name, slash, _ = codec.partition("/")
    for static, payload in _STATIC_TYPES.items():
        if codec.upper() in (static, static.removesuffix("/8000")) and payload not in taken:
            return payload, static
    is_event = name.lower() == "telephone-event"
    free = [t for t in map(str, (_EVENTS_TYPE, *range(96, 128))) if t not in taken]
    if not is_event:
        free = [t for t in free if t != str(_EVENTS_TYPE)]
    if not (free and (slash or is_event)):
        raise InvalidValue(f"codec: {codec!r} has no payload type of its own; add its /rate")
    return free[0], codec if slash else f"{codec}/8000"


def _check_port(port: int) -> None:
    if not 1 <= port <= 65535:
        raise InvalidValue(f"SDP port: {port} cannot be listened on; use 1 to 65535")
