"""What is wrong with one field of a message, one thing at a time: each field, each anomaly.

After the method of PROTOS (Oulu University): a valid message, and from it one message for each
pair of a field and an exceptional element. Nothing is drawn: the same message gives the same
cases.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

LONGEST: Final = 60_000  # octets of a case: it is to fit a datagram

_NUMBERS: Final = {
    "negative": b"-1",
    "zero": b"0",
    "2**31": b"2147483648",
    "2**32": b"4294967296",
    "2**64": b"18446744073709551616",
    "40 digits": b"9" * 40,
    "5000 digits": b"9" * 5_000,  # more than int() takes
    "exponent": b"1e9",
    "hexadecimal": b"0x7fffffff",
    "other digits": "\u0663".encode(),
}
_TEXTS: Final = {
    "empty": b"",
    "300 octets": b"A" * 300,
    "8,000 octets": b"A" * 8_000,
    "printf": b"%s%n%x%p" * 8,
    "str.format": b"{0}{x.__class__}{}{",
    "interpolation": b"${x}%(x)s$x",
    "overlong UTF-8": b"\xc0\xaf\xc0\x80",
    "surrogate in UTF-8": b"\xed\xa0\x80",
    "cut UTF-8": b"a\xe2\x82",
    "no UTF-8": b"\xff\xfe",
    "NUL": b"a\x00b",
    "controls": b"\x01\x08\x1b\x7f",
    "bare CR": b"a\rb",
    "bare LF": b"a\nb",
    "escapes": b"%00%0d%0a%zz%",
    "open quote": b'"a\\',
    "open bracket": b"<",
    "nothing but brackets": b"<>" * 200,
}
_VALUES: Final = {
    **_TEXTS,
    "blanks": b" \t  ",
    "60,000 octets": b"A" * LONGEST,
    "delimiters": b',;=:@?&<>"()[]\\/',
    "semicolons": b";" * 1_000,
    "commas": b"," * 1_000,
    "quotes": b'"' * 1_001,
    "parentheses": b"(" * 1_000,
    "backslashes": b'"' + b"\\" * 1_001,
}
# Instead of a host: no other number, or it would be another machine's address.
_HOSTS: Final = {
    **_TEXTS,
    "negative": b"-1",
    "open reference": b"[::1",
    "IPv6 of nine parts": b"[1:2:3:4:5:6:7:8:9]",
    "no IPv6": b"[g::1]",
    "dots": b"." * 300,
    "labels": b"a." * 2_000,
}

_ADDRESS: Final = rb"127\.0\.0\.1"
_TOKEN: Final = re.compile(_ADDRESS + rb'|"[^"]*"|[^\s;,=<>"@:?&()/]+')


class Case(NamedTuple):
    """A message with one thing wrong, and what that is."""

    field: str
    anomaly: str
    data: bytes


def cases(message: bytes) -> Iterator[Case]:
    """Every case of a message; where its body changes, its Content-Length follows."""
    head, _, body = message.partition(b"\r\n\r\n")
    start, *headers = head.split(b"\r\n")
    for what, line in _of_value(start, b""):
        yield Case(f"start line{what.place}", what.anomaly, _join([line, *headers], body))
    for at, header in enumerate(headers):
        name, _, value = header.partition(b":")
        for what, lines in _of_line(header, name + b": ", value.strip(), b":"):
            changed = [start, *headers[:at], *lines, *headers[at + 1 :]]
            yield Case(name.decode() + what.place, what.anomaly, _join(changed, body))
    if body:
        yield from _of_body(start, headers, body)


def _of_body(start: bytes, headers: list[bytes], body: bytes) -> Iterator[Case]:
    for anomaly, changed in (("none", b""), ("cut", body[: len(body) // 2]), ("NUL", b"\x00")):
        yield Case("body", anomaly, _join([start, *_measured(headers, changed)], changed))
    rows = body.split(b"\r\n")
    for at, row in enumerate(rows):
        if not row:
            continue
        delimiter = b"=" if row[1:2] == b"=" else b":"
        name, found, value = row.partition(delimiter)
        if not found:
            name, delimiter, value = b"", b"", row
        for what, lines in _of_line(row, name + delimiter, value.strip(), delimiter):
            changed = b"\r\n".join([*rows[:at], *lines, *rows[at + 1 :]])
            field = f"body line {at + 1} {name.decode()}".rstrip() + what.place
            yield Case(field, what.anomaly, _join([start, *_measured(headers, changed)], changed))


class _What(NamedTuple):
    place: str
    anomaly: str


def _of_line(
    line: bytes, prefix: bytes, value: bytes, delimiter: bytes
) -> Iterator[tuple[_What, list[bytes]]]:
    """The lines that take the place of one."""
    yield _What("", "absent"), []
    yield _What("", "twice"), [line, line]
    yield _What("", "1,000 times"), [line] * min(1_000, LONGEST // (len(line) + 2))
    yield _What("", "two values"), [line, prefix + b"x"]
    if delimiter:
        name = prefix.partition(delimiter)[0]
        yield _What("", "no delimiter"), [name + b" " + value]
        yield _What("", "two delimiters"), [name + delimiter * 2 + value]
        for anomaly, text in _TEXTS.items():
            yield _What(" name", anomaly), [text + delimiter + b" " + value]
    yield _What("", "folded"), [prefix + b"\r\n " + value.replace(b" ", b"\r\n\t")]
    yield (
        _What("", "500 values"),
        [prefix + b",".join([value] * min(500, 50_000 // (len(value) + 1)))],
    )
    for what, changed in _of_value(value, prefix):
        yield what, [changed]


def _of_value(value: bytes, prefix: bytes) -> Iterator[tuple[_What, bytes]]:
    """The value as a whole replaced or extended, then each part of it replaced."""
    for anomaly, text in (_VALUES | _NUMBERS).items():
        yield _What("", anomaly), prefix + text
    for anomaly in ("printf", "no UTF-8", "NUL", "semicolons", "commas", "open quote"):
        yield _What("", f"{anomaly} behind"), prefix + value + _VALUES[anomaly]
        yield _What("", f"{anomaly} before"), prefix + _VALUES[anomaly] + value
    yield _What("", "1,000 parameters"), prefix + value + b";a=b" * 1_000
    for number, match in enumerate(_TOKEN.finditer(value), 1):
        token = match[0]
        instead = _HOSTS if re.fullmatch(_ADDRESS, token) else _TEXTS | _NUMBERS
        for anomaly, text in instead.items():
            changed = value[: match.start()] + text + value[match.end() :]
            yield _What(f" part {number}", anomaly), prefix + changed


def _measured(headers: list[bytes], body: bytes) -> list[bytes]:
    measured = b"Content-Length: %d" % len(body)
    return [measured if line.startswith(b"Content-Length:") else line for line in headers]


def _join(lines: list[bytes], body: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
