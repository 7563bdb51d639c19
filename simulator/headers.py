"""What an INVITE says of a call: numbers, hops, GUID, and what goes on to the other legs.

A GUID is 32 upper-case hexadecimal digits. ``Cisco-Gucid`` carries them as they are,
``Cisco-Guid`` as four decimal words of ten digits; the last word of one made here is the
call server's IPv4 address [TN178].
"""

import ipaddress
import re
from functools import lru_cache
from typing import Final

from sip.ids import IdSource
from sip.message import Request, Response, header_key
from sip.uri import PLAIN_SIP_URI, OtherUri, parse_uri

# What a caller says of itself goes to the other legs as it is (CVP passes them on [REC]).
_PASSED: Final = frozenset(
    "p-asserted-identity remote-party-id diversion history-info call-info privacy "
    "user-to-user subject".split()
)

_GUCID: Final = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)
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
    words = "-".join([f"{int(guid[i : i + 8], 16):010d}" for i in range(0, 32, 8)])
    return f"Cisco-Guid: {words}\r\nCisco-Gucid: {guid}\r\n"


def passed_lines(request: Request) -> str:
    """The caller's header lines that go to the other legs."""
    keys = [key for key in request.keys() if key in _PASSED or key[:2] == "x-"]  # noqa: SIM118
    if not keys:
        return ""
    if keys == ["subject"]:  # no need to look for the sender's spelling
        return f"Subject: {request.get('subject')}\r\n"
    return "".join(
        [f"{name}: {value}\r\n" for name, value in request.lines() if header_key(name) in keys]
    )


# What a refusal means something with (RFC 3261 section 21): it goes on with its code.
_REFUSAL: Final = (
    "contact retry-after www-authenticate proxy-authenticate allow accept accept-encoding "
    "unsupported warning min-se"
).split()


def refusal_lines(response: Response | None) -> str:
    """The header lines of a refusal that the caller needs beside its code."""
    if response is None:
        return ""
    return "".join(
        [f"{key.title()}: {value}\r\n" for key in _REFUSAL for value in response.all(key)]
    )


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
