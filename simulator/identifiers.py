"""Call GUIDs and the header fields they travel in.

A GUID is 32 upper-case hexadecimal digits. ``Cisco-Gucid`` carries them as they are,
``Cisco-Guid`` as four decimal words of ten digits; the last word of one made here is the
call server's IPv4 address [TN178].
"""

import ipaddress
import re
from functools import lru_cache
from typing import Final

from sip.ids import IdSource
from sip.message import Request

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
