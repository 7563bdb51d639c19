"""Secrets in SIP messages, each octet replaced by an x: lengths and offsets stay as they are.

What is masked: answers to digest challenges and their cnonce (by which a password could be
tried out), other credentials, in URIs too, passwords in URIs, keys of media (SDES, MIKEY, k=
and ICE's password), DTMF digits in bodies and numbers, and bodies that are packed, as nobody
can look into them. The text is not parsed, as malformed messages have secrets too; what looks
like one is masked.
"""

import re
from typing import Final

_BLANK: Final = re.compile(rb"\r?\n\r?\n")
_FOLDED: Final = rb"[^\r\n]*(?:\r?\n?[ \t]+[^\r\n]*|\r(?!\n)[^\r\n]*)*"
_CREDENTIALS: Final = re.compile(
    rb"\n[ \t]*(?:proxy-)?auth(?:orization|entication-info)[ \t]*:(" + _FOLDED + rb")",
    re.IGNORECASE,
)
_SCHEME: Final = re.compile(rb"[\s\"]*([^\s\",=]*)")
_ANOTHER: Final = re.compile(rb"\b(?:basic|bearer)\s+([^\s,]+)", re.IGNORECASE)
_DIGEST: Final = re.compile(  # ahead: one may stand in what is taken for the value of another
    rb"(?=(?:response|cnonce|rspauth)\s*=\s*(\"(?:[^\"\\]|\\.)*\"?|'[^']*'?|[^\s\",]*))",
    re.IGNORECASE | re.DOTALL,
)

_URI: Final = re.compile(rb"sips?:|://", re.IGNORECASE)
_URI_END: Final = re.compile(rb"[\s<>\"]")
_URI_HEADER: Final = re.compile(
    rb"[?&](?:proxy-)?authorization=([^&>\s\"]*)|;postd=([^;>\s\"]*)", re.IGNORECASE
)

_PACKED: Final = re.compile(
    rb"\n[ \t]*(?:(?:content-encoding|e)[ \t]*:\s*(?!identity\b)"
    rb"|content-transfer-encoding[ \t]*:\s*(?!7bit\b|8bit\b|binary\b))\S",
    re.IGNORECASE,
)
_KEYS: Final = re.compile(
    rb"inline:([^|;\s]*)|(?:key-mgmt:\S{0,40}|mikey)[ \t]+([^\r\n]*)|ice-pwd:([^\r\n]*)"
    rb"|[\r\n]k=[^:\r\n]*:([^\r\n]*)",
    re.IGNORECASE,
)
_DIGITS: Final = re.compile(
    rb"[\r\n][ \t]*(?:signal|d=digits)[ \t]*[=:]([^\r\n]*)"
    rb"|\bdigits\s*=\s*(\"[^\"]*\"?|'[^']*'?)",
    re.IGNORECASE,
)
_ALL_DIGITS: Final = re.compile(
    rb"\n[ \t]*(?:content-type|c)[ \t]*:\s*"
    rb"(?:application\s*/\s*dtmf|(audio)\s*/\s*telephone-event)[ \t]*[;\r\n]",
    re.IGNORECASE,
)
_VISIBLE: Final = re.compile(rb"[^\s\"']")

_Spans = list[tuple[int, int]]


def masked(data: bytes) -> bytes:
    """`data`, a message as it was on the wire, with its secrets masked; as long as before."""
    texts: _Spans = []
    octets: _Spans = []  # not text: what looks like a space tells something as well
    for line in _CREDENTIALS.finditer(data):
        _credentials(data, line, texts)
    if b"@" in data:
        _uri_passwords(data, texts)
    _all(_URI_HEADER, data, 0, texts)
    blank = _BLANK.search(data, len(data) - len(data.lstrip(b"\r\n")))
    if blank is not None:
        _body(data, blank.start(), texts, octets)
    if not texts and not octets:
        return data
    shown = bytearray(data)
    for start, end in texts:
        shown[start:end] = _VISIBLE.sub(b"x", data[start:end])
    for start, end in octets:
        shown[start:end] = b"x" * (end - start)
    return bytes(shown)


def _all(secret: re.Pattern[bytes], data: bytes, start: int, texts: _Spans) -> None:
    texts += [found.span(found.lastindex or 0) for found in secret.finditer(data, start)]


def _credentials(data: bytes, line: re.Match[bytes], texts: _Spans) -> None:
    start, end = line.span(1)
    scheme = _SCHEME.match(data, start, end)
    assert scheme is not None
    if b"info" not in data[line.start() : start].lower() and scheme[1].lower() != b"digest":
        texts.append((scheme.end(), end))
        return
    texts += [found.span(1) for found in _DIGEST.finditer(data, start, end)]
    texts += [found.span(1) for found in _ANOTHER.finditer(data, start, end)]


def _uri_passwords(data: bytes, texts: _Spans) -> None:
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
            texts.append((colon + 1, at))
        place = at + 1


def _body(data: bytes, body: int, texts: _Spans, octets: _Spans) -> None:
    """What follows the first blank line, which is at `body`; parts have lines as the head has."""
    packed = _PACKED.search(data)
    if packed is not None:  # whatever follows such a part too
        octets.append((_content(data, max(body, packed.start())), len(data)))
    _all(_KEYS, data, body, texts)
    _all(_DIGITS, data, body, texts)
    end = 0
    for kind in _ALL_DIGITS.finditer(data):
        if kind.start() >= end:
            start = _content(data, max(body, kind.start()))
            end = data.find(b"\n--", start)
            end = end if end >= 0 else len(data)
            (texts if kind[1] is None else octets).append((start, end))


def _content(data: bytes, place: int) -> int:
    """Where what follows the next blank line begins."""
    blank = _BLANK.search(data, place)
    return len(data) if blank is None else blank.end()
