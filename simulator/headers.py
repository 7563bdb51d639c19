"""What an INVITE says of a call: numbers, hops, GUID, and what goes on to the other legs.

A GUID is 32 upper-case hexadecimal digits. ``Cisco-Gucid`` carries them as they are,
``Cisco-Guid`` as four decimal words of ten digits; the last word of one made here is the
call server's IPv4 address [TN178].
"""

import ipaddress
import re
from contextlib import suppress
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

from simulator.script_messages import PACKAGE
from simulator.states import NORMAL
from sip.errors import ParseError
from sip.fields import header_key
from sip.grammar import format_host
from sip.ids import IdSource
from sip.message import Message, Request, Response
from sip.uri import PLAIN_SIP_URI, OtherUri, parse_uri
from sip.values import WarningValue

# A message that has only these needs no closer look: of them a subject alone goes on.
_PLAIN: Final = frozenset(
    "via from to call-id cseq max-forwards contact content-type content-length allow supported "
    "user-agent server route record-route expires subject".split()
)

# What a caller says of itself goes to the other legs as it is (CVP passes them on [REC]),
# with all that begins with X-.
PASSED: Final = frozenset(
    "p-asserted-identity p-preferred-identity remote-party-id diversion history-info call-info "
    "privacy user-to-user subject recv-info".split()
)
# So does what a callee says in a provisional response or a 2xx ...
ANSWERED: Final = PASSED - {"subject", "p-preferred-identity"}
# ... and what either says in its BYE (RFC 7433 section 3).
_PARTING: Final = frozenset({"user-to-user"})

_GUCID: Final = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)
_WORDS: Final = Struct(">4I").unpack
_GUID: Final = re.compile(r"\d{1,10}(?:-\d{1,10}){3}", re.ASCII)


def received_guid(request: Request) -> str | None:
    """The GUID that the caller sent, from Cisco-Gucid, else Cisco-Guid; None if malformed."""
    gucid = request.get("cisco-gucid")
    if gucid is not None and _GUCID.fullmatch(gucid):
        return gucid.upper()
    guid = request.get("cisco-guid")
    if guid is not None and _GUID.fullmatch(guid):
        words = [int(word) for word in guid.split("-")]
        if max(words) < 1 << 32:
            return "".join([f"{word:08X}" for word in words])
    return None


def guid_of(text: str) -> str:
    """`text` as it is in all tables, in capitals, where it has the form of a GUID."""
    return text.upper() if _GUCID.fullmatch(text) else text


def new_guid(ids: IdSource, host: str, milliseconds: int) -> str:
    """A GUID of our own, made at `milliseconds` since the epoch.

    It rises with time, which keeps the index of the CDR store compact; its last word is
    `host` where that is an IPv4 address.
    """
    return f"{milliseconds:012X}{ids.hex(12).upper()}{_last_word(host)}"


@lru_cache(maxsize=64)
def _last_word(host: str) -> str:
    try:
        return f"{int(ipaddress.IPv4Address(host)):08X}"
    except ValueError:
        return "7F000001"


def guid_lines(guid: str) -> str:
    """The header lines that carry `guid` to another leg."""
    a, b, c, d = _WORDS(bytes.fromhex(guid))
    return f"Cisco-Guid: {a:010d}-{b:010d}-{c:010d}-{d:010d}\r\nCisco-Gucid: {guid}\r\n"


def passed_lines(message: Message, passed: frozenset[str] = PASSED) -> str:
    """The header lines of `message` that go on to another leg, in their order."""
    present = message.keys()
    if _PLAIN.issuperset(present):  # a subject alone needs no look for the sender's spelling
        subject = message.get("subject") if "subject" in passed else None
        return "" if subject is None or is_cut(subject) else f"Subject: {subject}\r\n"
    keys = {key for key in present if key in passed or key[:2] == "x-"}
    if not keys:
        return ""
    return "".join(
        [
            f"{name}: {value}\r\n"
            for name, value in message.lines()
            if header_key(name) in keys and value != PACKAGE and not is_cut(value)  # that is for us
        ]
    )


def without(lines: str, others: str) -> str:
    """`lines` without the header fields that `others` have: these stand in their place."""
    names = {header_key(line.partition(":")[0]) for line in others.split("\r\n")}
    return "".join(
        [
            f"{line}\r\n"
            for line in lines.split("\r\n")
            if line and header_key(line.partition(":")[0]) not in names
        ]
    )


def parting(request: Request) -> tuple[str, str]:
    """What goes on with a BYE or CANCEL: the value of Reason, and further header lines."""
    if _PLAIN.issuperset(request.keys()):
        return NORMAL, ""
    return _reasons(request) or NORMAL, passed_lines(request, _PARTING)


def _reasons(message: Message) -> str:
    return ", ".join([value for value in message.all("reason") if not is_cut(value)])


def is_cut(value: str) -> bool:
    """NUL is legal in a quoted pair, but to many it is the end of the text: it does not go on."""
    return "\0" in value


def content_type(message: Message) -> str:
    """Content-Type as it goes on with a body; empty where there is none."""
    value = message.get("content-type") or ""
    return message.content_type if is_cut(value) else value


# What a refusal means something with (RFC 3261 section 21): it goes on with its code.
_REFUSAL: Final = (
    "retry-after www-authenticate proxy-authenticate allow accept accept-encoding "
    "unsupported min-se user-to-user history-info diversion"
).split()
_WARN_AGENT: Final = (
    "callee"  # a pseudonym (section 20.43) for a host that is not the caller's to know
)


class CalleeRefusal(NamedTuple):
    """What a callee refused with: its code, header lines beside it, and the value of Reason."""

    status: int = 0
    lines: str = ""
    reason: str = ""


NO_REFUSAL: Final = CalleeRefusal()


def refusal_of(status: int, response: Response | None, *, moved: bool = False) -> CalleeRefusal:
    """A final response from 300 to 699, None where there was none.

    `moved`: the caller is to go itself where a 3xx points.
    """
    reason = "" if response is None else _reasons(response)
    lines = refusal_lines(response)
    if moved and response is not None and status < 400:
        lines = _lines("contact", response) + lines
    return CalleeRefusal(status, lines, reason)


def refusal_lines(response: Response | None) -> str:
    """The header lines of a refusal that the caller needs beside its code.

    What tells where the callee is stays here: Contact, Error-Info, the hosts of Warning.
    """
    if response is None:
        return ""
    return "".join([_lines(key, response) for key in _REFUSAL]) + _warnings(response)


def _lines(key: str, response: Response) -> str:
    values = [value for value in response.all(key) if not is_cut(value)]
    return "".join([f"{key.title()}: {value}\r\n" for value in values])


def _warnings(response: Response) -> str:
    lines = ""
    for value in response.all("warning"):
        if not is_cut(value):
            with suppress(ParseError):
                for one in WarningValue.parse_many(value):
                    lines += f"Warning: {WarningValue(one.code, _WARN_AGENT, one.text)}\r\n"
    return lines


def media_warning(host: str, text: str) -> str:
    """The line beside a 488 (RFC 3261 sections 20.43 and 21.4.26); `host` is ours."""
    return f"Warning: {WarningValue(305, format_host(host), text)}\r\n"


def max_forwards(request: Request) -> int:
    """Max-Forwards as a number, 70 where it is missing or no number."""
    text = request.get("max-forwards") or ""
    return min(int(text), 255) if text.isascii() and text.isdigit() and len(text) < 6 else 70


def user_part(uri: str) -> str:
    """The user part of a SIP or tel URI, escapes undone, without its parameters."""
    plain = PLAIN_SIP_URI.fullmatch(uri)
    if plain is not None:
        return plain[1]
    parsed = parse_uri(uri)
    return "" if isinstance(parsed, OtherUri) else parsed.number
