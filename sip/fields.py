"""Names of header fields: one key for all spellings and the compact form (RFC 3261 section 7.3)."""

from typing import Final

# RFC 3261 section 7.3.3 and the registrations since (RFC 3515, 3841, 3892, 4028, 6665, 8224).
COMPACT: Final = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}

# Usual spellings, so that a header field costs one dictionary look-up.
KEYS: Final[dict[str, str]] = {}
for _name in (
    "Via From To Call-ID CSeq Max-Forwards Contact Content-Type Content-Length Allow Supported "
    "Require User-Agent Server Route Record-Route Subject Reason Expires Event Refer-To "
    "Referred-By Subscription-State Date Timestamp Cisco-Guid Cisco-Gucid Remote-Party-ID "
    "P-Asserted-Identity Diversion Session-Expires Min-SE Accept Retry-After Call-Info"
).split():
    for _spelling in (_name, _name.lower(), _name.upper(), _name.title()):
        KEYS[_spelling] = _name.lower()
for _short, _long in COMPACT.items():
    KEYS[_short] = KEYS[_short.upper()] = _long


def header_key(name: str) -> str:
    """The lower-case full name of a header field: ``v`` and ``VIA`` are both ``via``."""
    key = KEYS.get(name)
    if key is None:
        key = name.lower()
        key = COMPACT.get(key, key)
    return key
