"""What a request must be before it is served (RFC 3261 section 8.2), and text before it is sent."""

import re
from typing import Final

from sip.dialog import contact_uri
from sip.errors import InvalidValue, PeerError
from sip.message import Request, reason_phrase
from sip.usage.session import SDP

_unsendable: Final = re.compile(r"[\r\n\x00\ud800-\udc7f\udd00-\udfff]").search


def check_lines(*texts: str) -> None:
    """A line break in a value would add header fields of its own. Raises InvalidValue."""
    text = " ".join(texts)
    if not text.isprintable() and (found := _unsendable(text)):  # the first is much quicker
        raise InvalidValue(f"{found[0]!r} cannot stand in a SIP header line: remove it")


def unsupported(request: Request, extensions: tuple[str, ...]) -> str:
    """The Unsupported line of a 420 (section 8.2.2.3)."""
    unknown = [tag for tag in request.tokens("require") if tag.lower() not in extensions]
    return f"Unsupported: {', '.join(unknown)}\r\n"


def check_extensions(request: Request, extensions: tuple[str, ...]) -> None:
    """Require names nothing but `extensions` (section 8.2.2.3). Raises PeerError."""
    if request.get("require") is not None and any(
        tag.lower() not in extensions for tag in request.tokens("require")
    ):
        raise PeerError(reason_phrase(420), 420)


def check_content(request: Request) -> None:
    """An INVITE's body (section 8.2.3), and what it must let us answer with. Raises PeerError."""
    fields = request.fields()
    if request.body:
        content_type = fields.get("content-type") or ""
        if content_type != SDP:
            content_type = request.content_type
        if content_type and content_type != SDP and not content_type.startswith("multipart/"):
            raise PeerError(reason_phrase(415), 415)
        if (fields.get("content-encoding") or "identity").lower() != "identity":
            raise PeerError(reason_phrase(415), 415)
    accept = fields.get("accept")
    if accept and SDP not in accept.lower() and "*" not in accept:
        raise PeerError(reason_phrase(406), 406)  # section 20.1: no answer could be sent
    if "contact" in fields and contact_uri(request) is None:
        raise PeerError("Contact is malformed")
