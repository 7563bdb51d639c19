"""Bodies of several parts (RFC 2046 section 5.1, RFC 5621): finding the one that matters.

Gateways send the session description as a part of multipart/mixed, beside what ISUP says.
The time taken grows with the length of the body and no faster, whatever is in it.
"""

import binascii
import re
from collections.abc import Iterator
from typing import Final

from sip.errors import ParseError
from sip.grammar import unfold
from sip.values import MediaType

_LONGEST: Final = 70  # octets of a boundary
_DEEPEST: Final = 4  # parts within parts
_SDP: Final = ("application/sdp", "")

_blank_line = re.compile(rb"(?:\A|\r?\n)\r?\n").search


def sdp_part(content_type: str, body: bytes) -> bytes:
    """The session description in a body of this Content-Type, empty where there is none.

    `body` itself when it has no Content-Type, or the first part that is application/sdp,
    also in a part that is multipart itself, decoded where its encoding says so.
    """
    return part_of(content_type, body, _SDP)


def part_of(content_type: str, body: bytes, wanted: tuple[str, ...]) -> bytes:
    """The first part of `body` that has one of these media types, decoded; empty without."""
    return _find(content_type, body, wanted, _DEEPEST) or b""


def _find(content_type: str, body: bytes, wanted: tuple[str, ...], depth: int) -> bytes | None:
    essence = content_type.partition(";")[0].strip(" \t").lower()
    if essence in wanted:
        return body
    if not essence.startswith("multipart/") or depth == 0:
        return None
    try:
        boundary = MediaType.parse(content_type).param("boundary") or ""
    except ParseError:
        return None
    if not 0 < len(boundary) <= _LONGEST:
        return None
    for head, content in _parts(body, boundary.encode("utf-8", "surrogateescape")):
        found = _find(head.get("content-type", "text/plain"), content, wanted, depth - 1)
        if found is not None:
            return _decoded(head.get("content-transfer-encoding", ""), found)
    return None


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[dict[str, str], bytes]]:
    """Header fields and content of each part; the last may lack the closing delimiter."""
    start = -1  # of the part under way
    for begin, end, closing in _delimiters(body, boundary):
        if start >= 0:
            yield _split(body[start : max(start, begin)])
        if closing:
            return
        start = end
    if start >= 0:
        yield _split(body[start:])


def _delimiters(body: bytes, boundary: bytes) -> Iterator[tuple[int, int, bool]]:
    """Where each delimiter begins, with the line break before it, and ends; the last closes."""
    mark = b"--" + boundary
    at = body.find(mark)
    while at >= 0:
        end = at + len(mark)
        if at == 0 or body[at - 1] == 0x0A:
            line_end = body.find(b"\n", end) + 1 or len(body)
            rest = body[end:line_end].strip(b" \t\r\n")
            if rest in (b"", b"--"):
                begin = at - (at > 0) - (body[max(0, at - 2) : at] == b"\r\n")
                yield begin, line_end, rest != b""
            end = line_end
        at = body.find(mark, end)


def _split(part: bytes) -> tuple[dict[str, str], bytes]:
    gap = _blank_line(part)
    head, content = (part, b"") if gap is None else (part[: gap.start()], part[gap.end() :])
    fields: dict[str, str] = {}
    for line in unfold(head.decode("utf-8", "surrogateescape")).split("\n"):
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(" \t").lower(), value.strip(" \t\r"))
    return fields, content


def _decoded(encoding: str, content: bytes) -> bytes:
    try:
        match encoding.lower():
            case "base64":
                return binascii.a2b_base64(content)
            case "quoted-printable":
                return binascii.a2b_qp(content)
            case _:
                return content
    except binascii.Error:
        return b""
