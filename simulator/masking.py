"""Secrets in SIP messages, each octet replaced by an x: lengths and offsets stay as they are.

What is masked: answers to digest challenges and their cnonce (by which a password could be
tried out), other credentials, passwords in URIs, keys of media (SDES, MIKEY, k= and ICE's
password), DTMF digits in bodies, and bodies that are packed, as nobody can look into them.
The text is not parsed, as malformed messages have secrets too; what looks like one is masked.
"""

import re
from typing import Final

_FOLDED: Final = rb"[^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*"
_CREDENTIALS: Final = re.compile(
    rb"^[ \t]*(?:proxy-)?(?:authorization|authentication-info)[ \t]*:(" + _FOLDED + rb")",
    re.IGNORECASE | re.MULTILINE,
)
_PARAMETER: Final = re.compile(
    rb"([\w!%*.+`'~-]+)(?:[ \t\r\n]*=[ \t\r\n]*(\"(?:[^\"\\]|\\.)*\"?|[^\s\",]*))?", re.DOTALL
)
_SCHEME: Final = re.compile(rb"[ \t\r\n]*([\w!%*.+`'~-]*)")
_DIGEST_SECRETS: Final = frozenset((b"response", b"cnonce", b"rspauth"))

_URI: Final = re.compile(rb"sips?:|://", re.IGNORECASE)
_URI_END: Final = re.compile(rb"[\s<>\"]")

_KEYS: Final = re.compile(
    rb"^(?:a=crypto:(?P<crypto>[^\r\n]*)|a=key-mgmt:\S*[ \t]+(?P<mikey>[^\r\n]*)"
    rb"|a=ice-pwd:(?P<ice>[^\r\n]*)|k=[^:\r\n]*:(?P<k>[^\r\n]*))",
    re.IGNORECASE | re.MULTILINE,
)
_INLINE: Final = re.compile(rb"inline:([^|;\s]*)", re.IGNORECASE)

_SIGNAL: Final = re.compile(rb"^[ \t]*(?:signal|d=digits)[ \t]*=([^\r\n]*)", re.I | re.M)
_KPML: Final = re.compile(rb"\bdigits[ \t\r\n]*=[ \t\r\n]*(\"[^\"]*\"?|'[^']*'?)", re.IGNORECASE)
_TYPE: Final = re.compile(
    rb"^(?:content-type|c)[ \t]*:[ \t\r\n]*application/(dtmf|kpml-response\+xml)[ \t]*(?:;|\r|$)",
    re.IGNORECASE | re.MULTILINE,
)
_PACKED: Final = re.compile(
    rb"^(?:content-encoding|e)[ \t]*:[ \t\r\n]*(?!identity\b)\S", re.IGNORECASE | re.MULTILINE
)
_VISIBLE: Final = re.compile(rb"[^\s\"']")


def masked(data: bytes) -> bytes:
    """`data`, a message as it was on the wire, with its secrets masked; as long as before."""
    hidden: list[tuple[int, int]] = []
    _credentials(data, hidden)
    if b"@" in data:
        _uri_passwords(data, hidden)
    body = data.find(b"\r\n\r\n")
    if 0 <= body < len(data) - 4:
        if _PACKED.search(data, 0, body + 2):
            hidden.append((body + 4, len(data)))
        else:
            _keys(data, body, hidden)
            _digits(data, body, hidden)
    if not hidden:
        return data
    shown = bytearray(data)
    for start, end in hidden:
        shown[start:end] = _VISIBLE.sub(b"x", data[start:end])
    return bytes(shown)


def _credentials(data: bytes, hidden: list[tuple[int, int]]) -> None:
    for line in _CREDENTIALS.finditer(data):
        start, end = line.span(1)
        scheme = _SCHEME.match(data, start, end)
        assert scheme is not None
        told = b"info" in data[line.start() : start].lower()
        if not told and scheme[1].lower() != b"digest":
            hidden.append((scheme.end(), end))
            continue
        for parameter in _PARAMETER.finditer(data, start if told else scheme.end(), end):
            if parameter[1].lower() in _DIGEST_SECRETS:
                hidden.append(parameter.span(2))


def _uri_passwords(data: bytes, hidden: list[tuple[int, int]]) -> None:
    """``sip:user:password@host``, and other URIs of that form."""
    place = end = 0
    while True:
        scheme = _URI.search(data, place)
        if scheme is None:
            return
        if scheme.end() > end:
            found = _URI_END.search(data, scheme.end())
            end = found.start() if found is not None else len(data)
        at = data.find(b"@", scheme.end(), end)
        if at < 0:
            place = end
            continue
        colon = data.find(b":", scheme.end(), at)
        if colon >= 0:
            hidden.append((colon + 1, at))
        place = at + 1


def _keys(data: bytes, body: int, hidden: list[tuple[int, int]]) -> None:
    for line in _KEYS.finditer(data, body):
        if line["crypto"] is not None:
            hidden += [one.span(1) for one in _INLINE.finditer(data, *line.span("crypto"))]
        else:
            hidden.append(line.span(line.lastgroup or 0))


def _digits(data: bytes, body: int, hidden: list[tuple[int, int]]) -> None:
    hidden += [signal.span(1) for signal in _SIGNAL.finditer(data, body)]
    end = 0
    for kind in _TYPE.finditer(data):
        if kind.start() < end:
            continue
        start = max(body, data.find(b"\r\n\r\n", kind.start()))
        end = data.find(b"\r\n--", start)
        end = end if end >= 0 else len(data)
        if kind[1].lower() == b"dtmf":
            hidden.append((start, end))
        else:
            hidden += [one.span(1) for one in _KPML.finditer(data, start, end)]
