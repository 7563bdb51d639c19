"""SIP messages: scanned once, parsed only where somebody asks (RFC 3261 section 7).

A datagram is split into lines and each line into name and value; that is all that
happens to most header fields. Values are read (as text, or as the types of
`sip.values`) when the code that needs them asks. Text is UTF-8 decoded with
`surrogateescape`, so that any octets survive the way from one leg to another.
"""

import re
from collections.abc import Iterator, KeysView
from functools import lru_cache
from typing import Final

from sip.errors import ParseError
from sip.fields import KEYS, header_key
from sip.grammar import check_header, plain_phrase, split_values
from sip.multipart import sdp_part
from sip.traffic import METHODS
from sip.values import CSeq, NameAddr, Via

VERSION: Final = "SIP/2.0"
MAGIC_COOKIE: Final = "z9hG4bK"

# Header fields that may stand once only (RFC 3261 section 7.3.1, table 2).
_SINGLE: Final = frozenset(
    "call-id content-length content-type cseq from max-forwards to refer-to event".split()
)

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_FOLD: Final = re.compile(r"(?<![ \t])[ \t]*\r\n[ \t]+")  # linear, however long the white space
_NEEDED: Final = ("via", "from", "to", "call-id", "cseq")

_METHODS: Final = frozenset(METHODS)
_UNREAD: Final = "\0"  # a tag that nobody has asked for yet

REASONS: Final = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued",
    183: "Session Progress", 200: "OK", 202: "Accepted", 204: "No Notification",
    300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily",
    305: "Use Proxy", 380: "Alternative Service", 400: "Bad Request", 401: "Unauthorized",
    402: "Payment Required", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
    410: "Gone", 412: "Conditional Request Failed", 413: "Request Entity Too Large",
    414: "Request-URI Too Long", 415: "Unsupported Media Type", 416: "Unsupported URI Scheme",
    420: "Bad Extension", 421: "Extension Required", 422: "Session Interval Too Small",
    423: "Interval Too Brief", 469: "Bad Info Package", 480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops",
    484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending", 493: "Undecipherable",
    500: "Server Internal Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Server Time-out", 505: "Version Not Supported",
    513: "Message Too Large", 600: "Busy Everywhere", 603: "Decline",
    604: "Does Not Exist Anywhere", 606: "Not Acceptable",
}  # fmt: skip


def reason_phrase(status: int) -> str:
    """The reason phrase of RFC 3261 section 21 for `status`, or that of its class."""
    return REASONS.get(status) or REASONS.get(status // 100 * 100, "Unknown")


class Message:
    """What requests and responses share: a head of text lines and a body of octets.

    `defect` is why a received message cannot be accepted, or None. A defective
    request can still be answered with ``defect.status``. `oddity` is what is wrong with
    one that can.
    """

    __slots__ = (
        "_cseq", "_fields", "_from_tag", "_more", "_to_tag", "body", "defect", "head", "oddity",
    )  # fmt: skip

    def __init__(self, head: str, body: bytes = b"") -> None:
        self.head = head
        self.body = body
        self.defect: ParseError | None = None
        self.oddity: str | None = None
        self._fields: dict[str, str] | None = None
        self._more: dict[str, list[str]] | None = None
        self._cseq: tuple[int, str] | None = None
        self._from_tag: str | None = _UNREAD
        self._to_tag: str | None = _UNREAD

    def get(self, key: str) -> str | None:
        """The first value of a header field by its key (``"call-id"``), as written."""
        fields = self._fields
        if fields is None:
            fields = self._scan()
        return fields.get(key)

    def all(self, key: str) -> list[str]:
        """Every line of a header field, in order, as written."""
        first = self.fields().get(key)
        if first is None:
            return []
        if self._more is not None and key in self._more:
            return self._more[key]
        return [first]

    def values(self, key: str) -> list[str]:
        """Every value of a list-valued header field, lines split at their commas."""
        lines = self.all(key)
        if len(lines) == 1 and "," not in lines[0]:
            return lines
        return [value for line in lines for value in split_values(line)]

    def fields(self) -> dict[str, str]:
        """The first value of each header field by its key: what `get` looks up."""
        fields = self._fields
        return self._scan() if fields is None else fields

    def keys(self) -> KeysView[str]:
        """The keys of the header fields that the message has."""
        return self.fields().keys()

    def lines(self) -> Iterator[tuple[str, str]]:
        """Header fields as (name, value) in the order and spelling of the sender."""
        for line in _FOLD.sub(" ", self.head).split("\r\n")[1:]:
            name, _, value = line.partition(":")
            yield name.rstrip(" \t"), value.strip(" \t")

    def to_bytes(self) -> bytes:
        """The message as it goes on the wire."""
        return self.head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + self.body

    def _scan(self) -> dict[str, str]:
        return self._index(self.head.split("\r\n"))

    def _index(self, lines: list[str]) -> dict[str, str]:
        """Index the header lines; the first fault found becomes `defect`."""
        fields: dict[str, str] = {}
        self._fields = fields
        text = "".join(lines)  # two quick looks at all of it
        if "\n" in text or "\r" in text:
            self._fault("bare CR or LF in the header")
        del lines[0]
        for line in lines:
            name, _, value = line.partition(":")
            key = KEYS.get(name)
            if key is None:
                if line[:1] in (" ", "\t"):  # folded (section 7.3.1): unfold all, start again
                    return self._scan_unfolded()
                key = self._unusual_key(line, name)
                if key is None:
                    continue
            if key in fields:
                self._repeat(fields, key, value.strip(" \t"))
            else:
                fields[key] = value.strip(" \t")
        return fields

    def _scan_unfolded(self) -> dict[str, str]:
        start, _, rest = self.head.partition("\r\n")
        if rest[:1] in (" ", "\t"):
            self._fault("a folded line follows the start line")
        self.head = f"{start}\r\n{_FOLD.sub(' ', rest).lstrip()}"
        self._more = None
        return self._scan()

    def _unusual_key(self, line: str, name: str) -> str | None:
        name = name.rstrip(" \t")
        if not line.startswith(name) or ":" not in line or not _TOKEN.fullmatch(name):
            self._fault("a header line is not 'name: value'")
            return None
        return header_key(name)

    def _repeat(self, fields: dict[str, str], key: str, value: str) -> None:
        if key in _SINGLE:
            self._fault(f"{key.title()} stands twice")
        if self._more is None:
            self._more = {}
        self._more.setdefault(key, [fields[key]]).append(value)

    def _fault(self, reason: str, status: int = 400) -> None:
        if self.defect is None:
            self.defect = ParseError(reason, status)

    # Values that the stack itself asks for.

    @property
    def call_id(self) -> str:
        """Call-ID (section 20.8); empty when the message has none."""
        return self.get("call-id") or ""

    @property
    def from_tag(self) -> str | None:
        """The tag of From; None in messages of RFC 2543 systems."""
        tag = self._from_tag
        if tag is _UNREAD:
            tag = self._from_tag = tag_of(self.get("from") or "")
        return tag

    @property
    def to_tag(self) -> str | None:
        """The tag of To; None outside a dialog."""
        tag = self._to_tag
        if tag is _UNREAD:
            tag = self._to_tag = tag_of(self.get("to") or "")
        return tag

    @property
    def from_(self) -> NameAddr:
        """From (section 20.20)."""
        return NameAddr.parse(self.get("from") or "")

    @property
    def to(self) -> NameAddr:
        """To (section 20.39)."""
        return NameAddr.parse(self.get("to") or "")

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact (section 20.10), or None."""
        values = self.values("contact")
        return NameAddr.parse(values[0]) if values else None

    @property
    def cseq(self) -> tuple[int, str]:
        """Sequence number and method (section 20.16)."""
        cseq = self._cseq
        if cseq is None:
            cseq = self._cseq = _read_cseq(self.get("cseq") or "")
        return cseq

    @property
    def via(self) -> Via:
        """The topmost Via (section 20.42)."""
        return Via.parse(self.top_via)

    @property
    def top_via(self) -> str:
        """The topmost Via value as text; empty when the message has none."""
        text = self.get("via") or ""
        if "," in text:
            return split_values(text)[0]
        return text

    @property
    def content_type(self) -> str:
        """Content-Type without parameters, in lower case; empty without a body."""
        return (self.get("content-type") or "").partition(";")[0].rstrip(" \t").lower()

    @property
    def sdp(self) -> bytes:
        """The session description: the body, or that part of a multipart body; or empty."""
        body = self.body
        if not body:
            return b""
        kind = self.get("content-type")
        return body if kind == "application/sdp" else sdp_part(kind or "", body)

    def tokens(self, key: str) -> list[str]:
        """The tokens that `key` lists, such as option tags and methods; never raises.

        What a sloppy peer puts between them, a comma too many, counts as nothing.
        """
        parts = [part.strip(" \t") for line in self.all(key) for part in line.split(",")]
        return [part for part in parts if part]

    def has_option(self, key: str, tag: str) -> bool:
        """Whether an option tag is listed in `key` (``supported``, ``require``)."""
        return any(token.lower() == tag for token in self.tokens(key))

    def _check(self, lines: list[str]) -> None:
        """What every received message must have (sections 8.1.1, 18.3, 20.14)."""
        fields = self._index(lines)
        from_, to = fields.get("from"), fields.get("to")
        via, cseq = fields.get("via"), fields.get("cseq")
        if not (from_ and to and via and cseq and fields.get("call-id")):
            missing = next(key for key in _NEEDED if not fields.get(key))
            self._fault(f"{missing.title()} is missing")
            return
        length = fields.get("content-length")
        if length is not None and length != str(len(self.body)):
            self._check_length(length, len(self.body))
        self._from_tag = self._checked_tag("From", from_)
        self._to_tag = self._checked_tag("To", to)
        if self.defect is None:
            try:
                self._cseq = (_known_cseq if len(cseq) <= 32 else _read_cseq)(cseq)
            except ParseError as error:
                self._fault(f"CSeq: {error}")

    def _checked_tag(self, name: str, value: str) -> str | None:
        """The tag of a From or To that must be well-formed."""
        uri, end, params = value.partition(">")
        if end and "<" in uri and '"' not in value:
            if not params:
                return None
            tag = params[5:]
            if params[:5] == ";tag=" and ";" not in tag and ">" not in tag:
                return tag.strip(" \t") or None
            return tag_of(value)
        try:
            return NameAddr.parse(value).tag
        except ParseError as error:
            self._fault(f"{name}: {error}")
            return tag_of(value)

    def _check_length(self, length: str, data_length: int) -> None:
        if not (length.isascii() and length.isdigit() and len(length) < 10):
            self._fault("Content-Length is not a number")
        elif int(length) > data_length:
            self._fault("Content-Length is larger than the body")
        elif int(length) < data_length:
            self.body = self.body[: int(length)]  # section 18.3: the rest is not ours
            self.oddity = "Content-Length is smaller than the body (RFC 3261 18.3)"


class Request(Message):
    """A request (section 7.1): `method`, and `uri`, the Request-URI as text."""

    __slots__ = ("method", "uri")

    def __init__(self, method: str, uri: str, head: str, body: bytes = b"") -> None:
        Message.__init__(self, head, body)
        self.method = method
        self.uri = uri

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri}>"


class Response(Message):
    """A response (section 7.2): `status`, the code, and `reason`, its phrase."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str, head: str, body: bytes = b"") -> None:
        Message.__init__(self, head, body)
        self.status = status
        self.reason = reason

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"


def tag_of(value: str) -> str | None:
    """The tag parameter of a From or To value, or None."""
    if '"' in value:  # a quoted name or parameter may hold anything: read it properly
        try:
            return NameAddr.parse(value).tag
        except ParseError:
            return None
    params = value[value.rfind(">") + 1 :] if ">" in value else value
    at = params.find(";tag=")
    if at >= 0:
        end = params.find(";", at + 5)
        tag = params[at + 5 :] if end < 0 else params[at + 5 : end]
        return tag.strip(" \t") or None
    if "tag" in params.lower():
        try:
            return NameAddr.parse(value).tag
        except ParseError:
            return None
    return None


def _read_cseq(text: str) -> tuple[int, str]:
    """Sequence number and method. Raises ParseError."""
    number, _, method = text.partition(" ")
    if number.isascii() and number.isdigit() and len(number) < 10 and method.isalpha():
        return int(number), method
    value = CSeq.parse(text)
    return value.number, value.method


_known_cseq = lru_cache(maxsize=1024)(_read_cseq)  # most calls number their requests alike


def build_request(
    method: str, uri: str, lines: list[str], body: bytes = b"", content_type: str = ""
) -> Request:
    """A request from its header lines (``"Name: value"``); Content-Length is added."""
    if body:
        lines.append(f"Content-Type: {content_type}")
    lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join((f"{method} {uri} {VERSION}", *lines))
    check_header(f"{head}\r\n")
    return Request(method, uri, head, body)


def parse(data: bytes) -> Request | Response:
    """Read one message from a datagram (section 18.3).

    A message that is recognisably SIP but faulty is returned with `defect` set, so
    that a request can be answered. Raises ParseError for what is not SIP at all.
    """
    front, complete, body = data.partition(b"\r\n\r\n")
    if not complete:
        front = data.rstrip(b"\r\n")
    head = front.decode("utf-8", "surrogateescape")
    lines = head.split("\r\n")
    start = lines[0]
    message: Request | Response
    parts = start.split(" ")
    if len(parts) == 3 and parts[2] == VERSION != parts[0]:
        message = Request(parts[0], parts[1], head, body)
        message._check(lines)
        _check_request(message)
    elif parts[0] == VERSION and len(parts) > 1:
        message = _parse_response(parts, lines, head, body)
    else:
        if start == "" and data[:2] == b"\r\n":
            return parse(data.lstrip(b"\r\n"))  # section 7.5: leading CRLF is ignored
        message = _unusual_start(lines, head, body)
    if not complete:
        message._fault("no empty line after the header")
    return message


def _check_request(request: Request) -> None:
    method = request.method
    if method not in _METHODS and not _TOKEN.fullmatch(method):
        request._fault("the method is not a token")
    cseq = request._cseq
    if cseq is not None and cseq[1] != method:
        request._fault("the method in CSeq differs from the request's")


def _parse_response(parts: list[str], lines: list[str], head: str, body: bytes) -> Response:
    code = parts[1]
    if not (code.isascii() and code.isdigit() and len(code) == 3 and "100" <= code <= "699"):
        raise ParseError("the status code is not a number from 100 to 699")
    response = Response(int(code), plain_phrase(" ".join(parts[2:])), head, body)
    response._check(lines)
    return response


def _unusual_start(lines: list[str], head: str, body: bytes) -> Request | Response:
    """A start line with other spacing, case or version: answerable where it is a request."""
    start = lines[0]
    words = start.split()
    if words and words[0].upper() == VERSION and len(words) > 1:
        phrase = start.partition(words[1])[2].lstrip()
        response = _parse_response([VERSION, words[1], phrase], lines, head, body)
        response.oddity = "white space or case of the status line (RFC 3261 7.2)"
        return response
    if len(words) < 3 or not words[-1].upper().startswith("SIP/"):
        raise ParseError("the start line is neither a request's nor a status line")
    request = Request(words[0], " ".join(words[1:-1]), head, body)
    if words[-1].upper() != VERSION:
        request._fault(f"this is {VERSION}", 505)
    elif len(words) > 3 or start.strip(" ") != " ".join(words):
        request._fault("white space in the request line")
    request.oddity = "white space or case of the request line (RFC 3261 7.1)"
    request._check(lines)
    _check_request(request)
    return request
