"""Session descriptions (RFC 8866).

A description is kept as its lines: what this module does not know stays where it was,
and a well-formed body with CRLF comes back octet for octet. The functions at the end
work on bytes, for code that relays bodies and must not pay for the model.
"""

import itertools
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

from sip.errors import InvalidValue, ParseError
from sip.grammar import check_host, check_int, from_peer, parse_int

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]


MIRRORED: dict[Direction, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
_DIRECTION_LINES: dict[str, Direction] = {f"a={name}": name for name in MIRRORED}

# RFC 3551 section 6: payload types that need no rtpmap.
STATIC_ENCODINGS = {
    "0": "PCMU/8000",
    "3": "GSM/8000",
    "8": "PCMA/8000",
    "9": "G722/8000",
    "18": "G729/8000",
}
_MAX_ID = 10**20 - 1  # an NTP timestamp has 20 digits at most

_line = re.compile(r"[A-Za-z]=[^\x00\r\n\ud800-\udc7f\udd00-\udfff]*").fullmatch
_m_line = re.compile(
    r"m=([!-~]+) +([0-9]{1,5})(?:/([0-9]{1,5}))? +([!-~]+)((?: +[!-~]+)+) *"
).fullmatch
_c_line = re.compile(r"c=[^ ]+ [^ ]+ [^ ]+ *").fullmatch
_word = re.compile(r"[^\x00-\x20\x7f\ud800-\udc7f\udd00-\udfff]+").fullmatch
_sendrecv = re.compile(rb"^a=sendrecv\r?\n", re.MULTILINE).sub
_o_s_t = re.compile(rb"^[ost]=[^\n]*\n", re.MULTILINE).sub


@dataclass(frozen=True, slots=True)
class Origin:
    """``- 2890844526 2890842807 IN IP4 192.0.2.1``: the o= line, RFC 8866 section 5.2.

    Raises `InvalidValue`.
    """

    username: str
    sess_id: int
    sess_version: int
    nettype: str
    addrtype: str
    address: str

    def __post_init__(self) -> None:
        check_int(self.sess_id, "SDP origin sess-id", _MAX_ID)
        check_int(self.sess_version, "SDP origin sess-version", _MAX_ID)
        for word in (self.username, self.nettype, self.addrtype, self.address):
            if _word(word) is None:
                raise InvalidValue(f"SDP origin: {word!r} is empty or holds spaces; use -")

    @classmethod
    def local(cls, address: str, session_id: int, version: int = 1) -> "Origin":
        """The origin of our own description: no user name, IP4 or IP6 as `address` says."""
        return cls("-", session_id, version, "IN", _address_type(address), address)

    @classmethod
    def parse(cls, text: str) -> "Origin":
        """Read the value of an o= line; raises `ParseError`."""
        words = text.rstrip(" ").split(" ")
        if len(words) != 6:
            raise ParseError("Malformed SDP origin")
        sess_id, version = (parse_int(word, "SDP origin", _MAX_ID) for word in words[1:3])
        return from_peer(lambda: cls(words[0], sess_id, version, *words[3:]))

    def __str__(self) -> str:
        return (
            f"{self.username} {self.sess_id} {self.sess_version} "
            f"{self.nettype} {self.addrtype} {self.address}"
        )

    def bumped(self) -> "Origin":
        """The origin of the next, changed description of this session (RFC 3264 section 8)."""
        return replace(self, sess_version=self.sess_version + 1)

    def to_line(self) -> bytes:
        """The whole line without its line break, as `rewrite_origin` takes it."""
        return f"o={self}".encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Media:
    """One media section, RFC 8866 section 5.14.

    `lines` are its lines without line breaks, the m= line first; `session` the session
    level lines, for what a section inherits (it takes no part in comparison). Raises
    `InvalidValue`.
    """

    lines: tuple[str, ...]
    session: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.lines:
            raise InvalidValue("SDP media: the m= line is missing")
        _check_lines(self.lines[1:], "SDP media")
        found = _m_line(self.lines[0])
        if found is None or int(found[2]) > 65535:
            raise InvalidValue(f"SDP media: {self.lines[0]!r} is no m= line")

    def __str__(self) -> str:
        return "".join([f"{line}\r\n" for line in self.lines])

    @property
    def kind(self) -> str:
        """``audio``, ``video``, ``image`` ..."""
        return self._m_line[1]

    @property
    def port(self) -> int:
        """The transport port; 0 in a refused or removed stream."""
        return int(self._m_line[2])

    @property
    def port_count(self) -> int:
        """How many ports the section uses (``49170/2``), usually 1."""
        return int(self._m_line[3] or 1)

    @property
    def protocol(self) -> str:
        """``RTP/AVP``, ``RTP/SAVP`` ..."""
        return self._m_line[4]

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats in order of preference; for RTP, payload types as text."""
        return tuple(self._m_line[5].split())

    @property
    def attributes(self) -> tuple[tuple[str, str | None], ...]:
        """The a= lines of this section: name and value, None for a flag."""
        return _attributes(self.lines)

    @property
    def connection(self) -> str | None:
        """The address of the c= line, own or inherited, without ``/ttl``, or None."""
        return _connection(self.lines) or _connection(self.session)

    @property
    def direction(self) -> Direction:
        """Own, inherited, or sendrecv, RFC 3264 section 5.1."""
        return _direction(self.lines) or _direction(self.session) or "sendrecv"

    @property
    def rejected(self) -> bool:
        """Whether the port is 0: refused, removed or not to be used (RFC 3264 section 6)."""
        return self.port == 0

    @property
    def is_hold(self) -> bool:
        """Whether the sender does not want to hear us.

        sendonly or inactive (RFC 3264 section 8.4), or the connection 0.0.0.0 of RFC 2543.
        """
        held = self.direction in ("sendonly", "inactive") or self.connection in ("0.0.0.0", "::")
        return held and not self.rejected

    @property
    def encodings(self) -> dict[str, str]:
        """What each format is, as ``{"0": "PCMU/8000"}``: its rtpmap, or RFC 3551; or ``""``."""
        mapped = dict(STATIC_ENCODINGS)
        for name, value in self.attributes:
            if name == "rtpmap" and value:
                payload, _, encoding = value.partition(" ")
                mapped[payload] = encoding.strip(" ")
        return {payload: mapped.get(payload, "") for payload in self.formats}

    def with_direction(self, direction: Direction) -> "Media":
        """A copy with this direction, in place of its direction line or after its last line."""
        if direction not in MIRRORED:
            raise InvalidValue(f"SDP direction: {direction!r} is none; use {', '.join(MIRRORED)}")
        lines = self.lines
        kept = [line for line in lines if line not in _DIRECTION_LINES]
        place = next((i for i, line in enumerate(lines) if line in _DIRECTION_LINES), len(lines))
        return replace(self, lines=(*kept[:place], f"a={direction}", *kept[place:]))

    @property
    def _m_line(self) -> "re.Match[str]":
        found = _m_line(self.lines[0])
        assert found is not None  # __post_init__ has seen to it
        return found


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole body, RFC 8866 section 5.

    `lines` are the lines of the session level without line breaks, ``v=0`` first, exactly
    one of them o=; `media` the sections in order. Raises `InvalidValue`.
    """

    lines: tuple[str, ...]
    media: tuple[Media, ...] = ()

    def __post_init__(self) -> None:
        if self.lines[:1] != ("v=0",):
            raise InvalidValue("SDP version: a description begins with v=0")
        _check_lines(self.lines, "SDP session")
        if sum([line[:2] == "o=" for line in self.lines]) != 1:
            raise InvalidValue("SDP origin: a description has exactly one o= line")
        if any(media.session != self.lines for media in self.media):
            bound = tuple([replace(media, session=self.lines) for media in self.media])
            object.__setattr__(self, "media", bound)

    @classmethod
    def parse(cls, body: bytes) -> "SessionDescription":
        """Read a body; lines may end in a bare LF, and blank lines may follow the last.

        Raises `ParseError`. The order of lines within a section is not enforced.
        """
        text = body.decode("utf-8", "surrogateescape").rstrip("\r\n")
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        starts = [i for i, line in enumerate(lines) if line[:2] == "m="] + [len(lines)]
        session = tuple(lines[: starts[0]])
        sections = [tuple(lines[start:end]) for start, end in itertools.pairwise(starts)]
        description = from_peer(
            lambda: cls(session, tuple([Media(section, session) for section in sections]))
        )
        _ = description.origin  # malformed: ParseError
        return description

    def to_bytes(self) -> bytes:
        """The body, every line ended by CRLF."""
        return str(self).encode("utf-8", "surrogateescape")

    def __str__(self) -> str:
        return "".join([f"{line}\r\n" for line in self.lines] + [str(m) for m in self.media])

    @property
    def origin(self) -> Origin:
        """The o= line; raises `ParseError` if it is malformed."""
        return Origin.parse(next(line[2:] for line in self.lines if line[:2] == "o="))

    @property
    def attributes(self) -> tuple[tuple[str, str | None], ...]:
        """The a= lines of the session level: name and value, None for a flag."""
        return _attributes(self.lines)

    @property
    def connection(self) -> str | None:
        """The address of the session level c= line, without ``/ttl``, or None."""
        return _connection(self.lines)

    @property
    def rejected(self) -> bool:
        """Whether no section is left to use: of an answer, that the offer got 488."""
        return all(media.rejected for media in self.media)

    @property
    def is_hold(self) -> bool:
        """Whether all audio in use is on hold (all media in use, if there is no audio)."""
        used = [media for media in self.media if not media.rejected]
        used = [media for media in used if media.kind == "audio"] or used
        return bool(used) and all(media.is_hold for media in used)

    def with_origin(self, origin: Origin) -> "SessionDescription":
        """A copy with another o= line in the same place."""
        lines = tuple([f"o={origin}" if line[:2] == "o=" else line for line in self.lines])
        return replace(self, lines=lines)

    def with_direction(self, direction: Direction) -> "SessionDescription":
        """A copy in which each section in use has this direction; the session level has none.

        The version stays: send it with ``.with_origin(description.origin.bumped())``.
        """
        media = tuple([m if m.rejected else m.with_direction(direction) for m in self.media])
        lines = tuple([line for line in self.lines if line not in _DIRECTION_LINES])
        return replace(self, lines=lines, media=media)


def origin_line(body: bytes) -> bytes | None:
    """The first o= line of a body, without its line break, or None. Fast."""
    start = body.find(b"\no=")
    if start < 0:
        return None
    end = body.find(b"\n", start + 1)
    return (body[start + 1 :] if end < 0 else body[start + 1 : end]).removesuffix(b"\r")


def rewrite_origin(body: bytes, origin_line: bytes) -> bytes:
    """`body` with `origin_line` (see `Origin.to_line`) in place of its first o= line. Fast.

    The line keeps its break; a body without an o= line comes back as it is. Raises
    `InvalidValue` unless `origin_line` is one o= line.
    """
    if origin_line[:2] != b"o=" or b"\n" in origin_line or b"\r" in origin_line:
        raise InvalidValue("SDP origin: give one o= line without its line break")
    start = body.find(b"\no=") + 1
    if start == 0:
        return body
    end = body.find(b"\n", start)
    if end < 0:
        end = len(body)
    elif body[end - 1] == 0x0D:
        end -= 1
    return body[:start] + origin_line + body[end:]


def same_media(one: bytes, other: bytes) -> bool:
    """Whether two bodies are equal apart from their o=, s= and t= lines. Fast.

    Tells a description that changes the media from one that only refreshes the session.
    That a stream is sendrecv may be said or left out (RFC 8866 section 6.7).
    """
    if one == other:
        return True
    if (b"a=sendrecv" in one) != (b"a=sendrecv" in other):
        one, other = _without_default(one), _without_default(other)
    head, *media = one.partition(b"\nm=")
    other_head, *other_media = other.partition(b"\nm=")
    return media == other_media and _o_s_t(b"", head + b"\n") == _o_s_t(b"", other_head + b"\n")


def _without_default(body: bytes) -> bytes:
    """A body without its sendrecv lines, where no other direction could show through."""
    if any(line in body for line in (b"\na=sendonly", b"\na=recvonly", b"\na=inactive")):
        return body
    return _sendrecv(b"", body)


@lru_cache(maxsize=64)
def connection_line(address: str) -> str:
    """The c= line for our own address. Raises InvalidValue."""
    return f"c=IN {_address_type(address)} {address}"


def _address_type(address: str) -> str:
    return "IP6" if ":" in check_host(address, "SDP address") else "IP4"


def _check_lines(lines: tuple[str, ...], field_name: str) -> None:
    for line in lines:
        if _line(line) is None or line[0] == "m" or (line[0] == "c" and _c_line(line) is None):
            raise InvalidValue(f"{field_name}: {line!r} is no line that can stand here")


def _attributes(lines: tuple[str, ...]) -> tuple[tuple[str, str | None], ...]:
    pairs = [line[2:].partition(":") for line in lines if line[0] == "a"]
    return tuple([(name, value if colon else None) for name, colon, value in pairs])


def _connection(lines: tuple[str, ...]) -> str | None:
    line = next((line for line in lines if line[0] == "c"), None)
    return line.split(" ")[2].partition("/")[0] if line else None


def _direction(lines: tuple[str, ...]) -> Direction | None:
    return next((_DIRECTION_LINES[line] for line in lines if line in _DIRECTION_LINES), None)
