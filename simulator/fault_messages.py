"""What fault rules do to the octets of a message: one field wrong, or another description.

Each function gives the message back as it is where there is nothing to change.
"""

import re
from dataclasses import replace
from typing import Final

from simulator.config_faults import SdpChange
from sip.errors import PeerError
from sip.sdp import STATIC_ENCODINGS, Media, SessionDescription

_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"^((?:Content-Length|l)[ \t]*:[ \t]*)(\d+)", re.I | re.M)
_TOO_MUCH: Final = 10
"""Octets that a corrupt Content-Length promises and the message does not have."""


def _field(name: str, parameter: str = "") -> re.Pattern[bytes]:
    """What precedes the value of a field or of its parameter, and the value."""
    before = rf"[^\r\n]*?;[ \t]*{parameter}[ \t]*=[ \t]*" if parameter else ""
    return re.compile(rf"^((?:{name})[ \t]*:[ \t]*{before})([^;,\s]+)".encode(), re.I | re.M)


_FIELDS: Final = {
    "from-tag": _field("From|f", "tag"),
    "to-tag": _field("To|t", "tag"),
    "branch": _field("Via|v", "branch"),
    "cseq": _field("CSeq"),
    "content-length": _LENGTH,
}
_DYNAMIC: Final = range(96, 128)


def corrupted(data: bytes, what: str) -> bytes:
    """`data` with a wrong tag, branch, CSeq number or Content-Length; only the first of a field.

    A tag and a branch have another last character, CSeq is one less (0: one more), and
    Content-Length promises more than there is.
    """
    head, end, body = data.partition(_END)

    def wrong(found: re.Match[bytes]) -> bytes:
        value = found[2]
        if what == "cseq":
            number = int(value)
            return b"%s%d" % (found[1], number - 1 if number else 1)
        if what == "content-length":
            return b"%s%d" % (found[1], len(body) + _TOO_MUCH)
        return found[1] + value[:-1] + (b"0" if value[-1:] != b"0" else b"1")

    return _FIELDS[what].sub(wrong, head, count=1) + end + body


def with_sdp(data: bytes, change: SdpChange) -> bytes:
    """`data` with its session description changed, and the Content-Length that it has then."""
    head, end, body = data.partition(_END)
    try:
        before = SessionDescription.parse(body)
    except PeerError:
        return data
    media = tuple(_changed(one, change) for one in before.media)
    if media == before.media:
        return data
    body = replace(before, media=media).to_bytes()
    return _LENGTH.sub(lambda found: b"%s%d" % (found[1], len(body)), head, count=1) + end + body


def _changed(media: Media, change: SdpChange) -> Media:
    lines = list(media.lines)
    formats = list(media.formats)
    port = media.port if change.port is None else change.port
    for payload, encoding in media.encodings.items():
        codec = encoding.partition("/")[0].lower()
        new = next((new for old, new in change.replace.items() if old.lower() == codec), None)
        if new is not None:
            _drop(lines, payload)
            number, mapping = _payload(new, encoding, formats)
            formats[formats.index(payload)] = number
            lines.append(f"a=rtpmap:{number} {mapping}")
        elif change.remove is not None and codec == change.remove.lower():
            if len(formats) > 1:
                _drop(lines, payload)
                formats.remove(payload)
            else:
                port = 0  # no section is without a format
    if (port, formats) != (media.port, list(media.formats)):
        lines[0] = _m_line(media, port, formats)
    media = replace(media, lines=tuple(lines))
    direction = change.direction
    if direction is not None and direction != media.direction:
        media = media.with_direction(direction)
    return media


def _drop(lines: list[str], payload: str) -> None:
    """Take out what is said of a payload type."""
    about = tuple(f"a={name}:{payload} " for name in ("rtpmap", "fmtp", "rtcp-fb"))
    lines[1:] = [line for line in lines[1:] if not line.startswith(about)]


def _payload(codec: str, old: str, taken: list[str]) -> tuple[str, str]:
    """The payload type and the mapping of a codec that takes the place of another."""
    for number, mapping in STATIC_ENCODINGS.items():
        if mapping.partition("/")[0].lower() == codec.lower() and number not in taken:
            return number, mapping
    free = next((number for number in map(str, _DYNAMIC) if number not in taken), "127")
    return free, f"{codec}/{old.partition('/')[2] or '8000'}"


def _m_line(media: Media, port: int, formats: list[str]) -> str:
    count = f"/{media.port_count}" if media.port_count != 1 else ""
    return f"m={media.kind} {port}{count} {media.protocol} {' '.join(formats)}"
