"""ABNF fragments of RFC 3261 section 25 that headers and URIs share.

Text is `str` decoded from UTF-8 with ``surrogateescape`` and already unfolded
(`unfold`). Functions that read what a peer sent raise `ParseError`; functions that
take a local value raise `InvalidValue`, whose text begins with the name of the field
and a colon. Every pattern here runs in linear time on hostile text.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from sip.errors import InvalidValue, ParseError

T = TypeVar("T")

Params = tuple[tuple[str, str | None], ...]
"""Parameters in order of appearance; a flag such as ``;lr`` has the value None.

A value is kept as it stands on the wire: a quoted string keeps its quotes.
"""

TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"  # nosec B105 # a pattern
"""token, RFC 3261 section 25.1."""

# Lone surrogates other than the 128 of surrogateescape have no encoding.
_LONE = r"\ud800-\udc7f\udd00-\udfff"
_QDTEXT = rf'[^"\\\x00-\x08\x0a-\x1f\x7f{_LONE}]'

QUOTED = rf'"{_QDTEXT}*(?:\\[^\r\n{_LONE}]{_QDTEXT}*)*"'
"""quoted-string, RFC 3261 section 25.1; a backslash may also stand before UTF-8 text."""

# gen-value is a token, a host or a quoted string. "/" and "=" are no token characters,
# yet peers send them unquoted (MIME boundaries); neither can end a parameter.
_GEN_VALUE = r"[A-Za-z0-9\-.!%*_+`'~\[\]:/=]+"

_token = re.compile(TOKEN).fullmatch
_quoted = re.compile(QUOTED).fullmatch
_value = re.compile(f"{QUOTED}|{_GEN_VALUE}").fullmatch
_param = re.compile(
    rf"[ \t]*;[ \t]*({TOKEN})(?:[ \t]*=[ \t]*({QUOTED}|{_GEN_VALUE}))?(?=[ \t]*(?:;|\Z))"
).match
_token_params = re.compile(rf"[ \t]*({TOKEN})((?:[ \t;].*)?)", re.DOTALL).fullmatch
_piece = re.compile(rf'[^",<>]+|{QUOTED}|<[^<>"]*>|,').match
_comment_piece = re.compile(rf'[^",<>()\\]+|{QUOTED}|<[^<>"]*>|\\[^\r\n]|[,()]').match
_quoted_pair = re.compile(r"\\(.)", re.DOTALL)
_needs_pair = re.compile(r'["\\\x00-\x08\x0b\x0c\x0e-\x1f\x7f]')
_fold = re.compile(r"\r?\n[ \t]+")

_unencodable = re.compile(f"[{_LONE}]").search
_unquotable = re.compile(rf"[\r\n{_LONE}]").search
_unsafe = re.compile(rf"[\x00-\x1f\x7f-\x9f{_LONE}]").search
_controls = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

# A label that begins with a digit may not come last in a dotted name (it would look
# like an address), but does stand alone: container ids are host names. "_" is no letter
# of RFC 3261, yet resolvers and container networks hand out names that hold it.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_hostname = re.compile(
    rf"(?:{_LABEL}\.)*(?=[A-Za-z_]){_LABEL}\.?|(?![0-9]+\Z){_LABEL}",
).fullmatch
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_ipv4 = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}").fullmatch
_ipv6_characters = re.compile(r"[0-9A-Fa-f:.]{2,45}").fullmatch
_host_port = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]+)(?::([0-9]+))?").fullmatch
# What the grammar of RFC 3261 makes of an embedded IPv4 address, wrongly (RFC 5118 4.10).
_three_colons = re.compile(r"([0-9A-Fa-f:]*)::(:[0-9]+\.[0-9.]+)").fullmatch
_digits = re.compile(r"0*([0-9]{1,20})").fullmatch
_seconds = re.compile(r"[ \t]*0*([0-9]{1,20})[0-9]*(?=[ \t;(]|\Z)").match
_qvalue = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}").fullmatch

_escaped_run = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_stays_escaped = re.compile(r"[\x00-\x1f\x7f-\x9f\udc80-\udcff]")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()")
_USER_PLAIN = _UNRESERVED | frozenset(b"&=+$,?/")
_PARAM_PLAIN = _UNRESERVED | frozenset(b"[]/:&+$")
_HEADER_PLAIN = _UNRESERVED | frozenset(b"[]/?:+$")


def from_peer(build: Callable[[], T]) -> T:
    """What `build` makes of a peer's text; an `InvalidValue` becomes the peer's fault.

    Only the field's name reaches the reason phrase of the `ParseError`: a peer's own text
    must not be written into the status line that answers it.
    """
    try:
        return build()
    except InvalidValue as error:
        raise ParseError("Malformed " + str(error).partition(":")[0]) from error


def safe_text(text: str, field: str) -> str:
    """Return `text` unchanged if it can go into a header, for text of local origin.

    Raises `InvalidValue` that names `field` and the fix when `text` holds CR, LF, NUL,
    another control character (C0, DEL, C1) or a code point that UTF-8 cannot carry:
    a line break would let the text add headers of its own (RFC 3261 section 7.3.1).
    """
    if not text.isprintable() and (found := _unsafe(text)):  # the first is much quicker
        raise InvalidValue(
            f"{field}: character U+{ord(found[0]):04X} at position {found.start()} "
            "cannot stand in a SIP message; remove it"
        )
    return text


def header_line(name: str, text: str) -> str:
    """`text`, of local origin, as the value of a header line, ended by CRLF.

    Raises `InvalidValue` as `safe_text` does, and for a name that is no token.
    """
    return f"{check_token(name, 'header name')}: {safe_text(text, name)}\r\n"


def check_header(lines: str) -> None:
    """Raise `InvalidValue` unless `lines` are header lines, each ended by CRLF.

    A CR or LF that ends no line, or a line that is empty or goes on with the one before,
    would make another message of the one that they are for. Each verb that takes lines of the
    program looks once, before it changes anything.
    """
    if not lines:
        return
    fields = lines.split("\r\n")
    broken = fields.pop() != ""
    text = "".join(fields)
    # "" and what begins with a space or a control character is below "!"
    if broken or min(fields) < "!" or "\r" in text or "\n" in text:
        raise InvalidValue(f"header lines: {lines!r} are not lines that CRLF ends each")
    if not lines.isascii() and _unencodable(lines):
        raise InvalidValue("header lines: a lone surrogate has no UTF-8 form; remove it")


def check_answer(lines: str, reason: str) -> None:
    """`check_header`, and the same for a reason phrase, "" for the usual one."""
    check_header(lines)
    if reason:
        safe_text(reason, "reason phrase")


def plain_phrase(text: str) -> str:
    """A peer's reason phrase without control characters, which none can have (section 25.1)."""
    return text if text.isprintable() else _controls.sub("", text)


def unfold(text: str) -> str:
    """Replace each line break and the LWS after it by one space, RFC 3261 section 7.3.1."""
    return _fold.sub(" ", text)


def is_token(text: str) -> bool:
    """Whether `text` is a token, RFC 3261 section 25.1."""
    return _token(text) is not None


def check_token(text: str, field: str) -> str:
    """Return `text`; raise `InvalidValue` unless it is a token."""
    if _token(text) is None:
        raise InvalidValue(f"{field}: {text!r} is no token; use letters, digits and -.!%*_+`'~")
    return text


def is_quoted(text: str) -> bool:
    """Whether `text` is one complete quoted string, quotes included."""
    return _quoted(text) is not None


def check_quotable(text: str, field: str) -> str:
    """Return `text`; raise `InvalidValue` if no quoted string can hold it (CR, LF)."""
    if _unquotable(text):
        raise InvalidValue(f"{field}: no quoted string holds {text!r}; remove CR and LF")
    return text


def quote(text: str) -> str:
    r"""Write `text` as a quoted string, RFC 3261 section 25.1.

    Quotes, backslashes and control characters become quoted pairs. CR and LF have no
    quoted form: `InvalidValue`. ``unquote(quote(text)) == text``.
    """
    check_quotable(text, "quoted string")
    return '"' + _needs_pair.sub(r"\\\g<0>", text) + '"'


def unquote(text: str) -> str:
    """Return what a quoted string says; `ParseError` unless `text` is exactly one."""
    if _quoted(text) is None:
        raise ParseError("Malformed quoted string")
    return _quoted_pair.sub(r"\1", text[1:-1])


def parse_int(text: str, field: str, maximum: int = 2**32 - 1) -> int:
    """Read 1*DIGIT (ASCII only: no sign, space or underscore) up to `maximum`.

    Leading zeros are allowed. Raises `ParseError` naming `field`.
    """
    found = _digits(text)
    if found is None or (number := int(found[1])) > maximum:
        raise ParseError(f"Malformed {field}")
    return number


def delta_seconds(text: str | None) -> int | None:
    """Seconds as in Expires or Retry-After (RFC 3261 section 25.1); None where there are none.

    A comment or parameters may follow them (section 20.33). 2**32 - 1 is the most.
    """
    found = _seconds(text) if text is not None else None
    return min(int(found[1]), 2**32 - 1) if found is not None else None


def q_value(text: str | None) -> float:
    """The q of a contact: 1 where it has none, and at most. Raises `ParseError`."""
    if text is None:
        return 1.0
    if _qvalue(text) is None:
        raise ParseError("Malformed q")
    return min(float(text), 1.0)


def check_int(number: int, field: str, maximum: int) -> int:
    """Return `number`; raise `InvalidValue` unless 0 <= `number` <= `maximum`."""
    if not 0 <= number <= maximum:
        raise InvalidValue(f"{field}: {number} is out of range; use 0 to {maximum}")
    return number


def is_ipv4(text: str) -> bool:
    """Whether `text` is a dotted IPv4 address; leading zeros, read as octal by some, are not."""
    return _ipv4(text) is not None


def is_ipv6(text: str) -> bool:
    """Whether `text` is an IPv6 address without brackets or zone, RFC 4291 section 2.2."""
    if _ipv6_characters(text) is None:
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def is_host(text: str) -> bool:
    """Whether `text` is a host name, an IPv4 address or an IPv6 address without brackets."""
    if ":" in text:
        return is_ipv6(text)
    return _ipv4(text) is not None or (len(text) <= 254 and _hostname(text) is not None)


def check_host(text: str, field: str) -> str:
    """Return `text`; raise `InvalidValue` unless `is_host`."""
    if not is_host(text):
        raise InvalidValue(f"{field}: {text!r} is no host; use a host name or an IP address")
    return text


def format_host(host: str) -> str:
    """Write a host: an IPv6 address gets its brackets (IPv6reference)."""
    return f"[{host}]" if ":" in host else host


def parse_host_port(text: str, field: str = "host") -> tuple[str, int | None]:
    """Read ``host [":" port]``, RFC 3261 section 25.1: ``("2001:db8::1", 5060)``.

    An IPv6 reference must have brackets and loses them; of three colons before an IPv4
    address one too many goes (RFC 5118 section 4.10). Raises `ParseError`.
    """
    found = _host_port(text)
    if found is None:
        raise ParseError(f"Malformed {field}")
    host: str = found[1]
    bracketed = host[0] == "["
    if bracketed:
        host = host[1:-1]
        if mapped := _three_colons(host):
            host = f"{mapped[1]}:{mapped[2]}"
    if not (is_ipv6(host) if bracketed else is_host(host)):
        raise ParseError(f"Malformed {field}")
    return host, None if found[2] is None else parse_int(found[2], f"{field} port", 65535)


def format_host_port(host: str, port: int | None) -> str:
    """Write ``host [":" port]``, with brackets around an IPv6 address."""
    return format_host(host) if port is None else f"{format_host(host)}:{port}"


def check_unique(params: Iterable[tuple[str, str | None]], field: str) -> None:
    """Raise `InvalidValue` if a name comes twice (RFC 3261 sections 7.3.1 and 19.1.1).

    Which of two values counts would be anyone's guess, and two elements would guess
    differently.
    """
    names = [name.lower() for name, _ in params]
    if len(set(names)) != len(names):
        raise InvalidValue(f"{field}: a parameter appears twice; give each name once")


def check_params(params: Params, field: str) -> None:
    """Raise `InvalidValue` unless every pair is a generic-param and no name comes twice."""
    for name, value in params:
        check_token(name, field)
        if value is not None and _value(value) is None:
            raise InvalidValue(f"{field}: the value of {name!r} must be a token or use quote()")
    if len(params) > 1:
        check_unique(params, field)


def parse_params(text: str, field: str = "parameters") -> Params:
    r"""Read ``*( SEMI generic-param )``, RFC 3261 section 25.1, with LWS around ``;`` and ``=``.

    ``;a=b;lr;c="d e"`` gives ``(("a", "b"), ("lr", None), ("c", '"d e"'))``. An empty
    parameter, a repeated name or anything else raises `ParseError` naming `field`.
    """
    params: list[tuple[str, str | None]] = []
    end = len(text.rstrip(" \t"))
    position = 0
    while position < end:
        found = _param(text, position)
        if found is None:
            raise ParseError(f"Malformed {field}")
        params.append((found[1], found[2]))
        position = found.end()
    if len(params) > 1:
        from_peer(lambda: check_unique(params, field))
    return tuple(params)


def parse_token_params(text: str, field: str) -> tuple[str, Params]:
    """Read ``token *( SEMI generic-param )``, the form of Event, Reason and many others.

    Raises `ParseError` naming `field`.
    """
    found = _token_params(text)
    if found is None:
        raise ParseError(f"Malformed {field}")
    return found[1], parse_params(found[2], f"{field} parameters")


def format_params(params: Params) -> str:
    """Write parameters as they follow a header value: ``;a=b;lr``."""
    return "".join([f";{name}" if value is None else f";{name}={value}" for name, value in params])


def find_param(params: Params, name: str) -> str | None:
    """The value of the parameter `name`, whatever its case, as it stands on the wire.

    None if there is no such parameter, ``""`` if it is a flag without a value.
    """
    name = name.lower()
    for key, value in params:
        if key.lower() == name:
            return value or ""
    return None


def param_text(params: Params, name: str) -> str | None:
    """Like `find_param`, with a quoted string unquoted."""
    value = find_param(params, name)
    return unquote(value) if value and value[0] == '"' else value


def split_values(text: str, *, comments: bool = False) -> list[str]:
    """Split a header value at its commas, RFC 3261 section 7.3.1; each part without outer LWS.

    Commas in quoted strings and in angle brackets do not split; with `comments`, for
    fields whose grammar has them, nor do those in parentheses (elsewhere a parenthesis
    is an ordinary character of a URI). An empty part, an open quote, bracket or comment
    raises `ParseError`.
    """
    next_piece = _comment_piece if comments else _piece
    parts: list[str] = []
    start = position = depth = 0
    while position < len(text):
        found = next_piece(text, position)
        if found is None:
            raise ParseError("Unbalanced quotes or brackets")
        piece = found[0]
        if piece == "," and depth == 0:
            parts.append(text[start:position].strip(" \t"))
            start = found.end()
        elif comments and piece in "()":
            depth += 1 if piece == "(" else -1
            if depth < 0:
                raise ParseError("Unbalanced comment")
        position = found.end()
    if depth:
        raise ParseError("Unbalanced comment")
    parts.append(text[start:].strip(" \t"))
    if "" in parts:
        raise ParseError("Empty element in a list")
    return parts


def _escape(text: str, plain: frozenset[int], field: str) -> str:
    if text.isalnum() and text.isascii():  # a number, most of the time
        return text
    if _unencodable(text):
        raise InvalidValue(f"{field}: a lone surrogate has no UTF-8 form; remove it")
    octets = text.encode("utf-8", "surrogateescape")
    return "".join([chr(o) if o in plain else f"%{o:02X}" for o in octets])


def escape_user(text: str) -> str:
    """Escape any text for the user part of a SIP URI, RFC 3261 section 25.1 (user).

    ``;`` is escaped too, although the grammar allows it: it would begin a user
    parameter. Line breaks become harmless ``%0D%0A``. Raises `InvalidValue` for a lone
    surrogate only.
    """
    return _escape(text, _USER_PLAIN, "user")


def escape_param(text: str) -> str:
    """Escape any text for a URI parameter, RFC 3261 section 25.1 (paramchar)."""
    return _escape(text, _PARAM_PLAIN, "URI parameter")


def escape_header(text: str) -> str:
    """Escape any text for a URI header such as ``?Replaces=``, RFC 3261 section 25.1 (hvalue)."""
    return _escape(text, _HEADER_PLAIN, "URI header")


def _decode_run(run: re.Match[str]) -> str:
    decoded = bytes.fromhex(run[0].replace("%", "")).decode("utf-8", "surrogateescape")
    return _stays_escaped.sub(
        lambda c: "".join([f"%{o:02X}" for o in c[0].encode("utf-8", "surrogateescape")]), decoded
    )


def unescape(text: str) -> str:
    """Decode ``%HH`` of a URI part as UTF-8, RFC 3261 section 19.1.2.

    What decodes to a control character (CR, LF, NUL ...) or to no valid UTF-8 stays
    escaped, so the result is safe in a header or a log; ``%`` without two hexadecimal
    digits stays as it is.
    """
    return _escaped_run.sub(_decode_run, text)
