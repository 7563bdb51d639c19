"""What a peer does against the RFCs and is served all the same, for the trace to show.

A clean message costs a few look-ups of what its parse has found; only the others are
looked at closely. `Session.note` reports each oddity once for a session.
"""

import re
from typing import TYPE_CHECKING, Final

from sip.errors import ParseError
from sip.message import MAGIC_COOKIE, Request, Response
from sip.transaction.server import ServerTransaction

if TYPE_CHECKING:
    from sip.usage.session import Session

NO_FROM_TAG: Final = "From has no tag (RFC 3261 8.1.1.3)"
NO_COOKIE: Final = "the branch of Via has no magic cookie (RFC 3261 8.1.1.7)"
NO_CONTACT: Final = "INVITE has no Contact (RFC 3261 8.1.1.8)"
NO_HOPS: Final = "Max-Forwards is missing or no number (RFC 3261 8.1.1.6)"
OTHER_TRANSPORT: Final = "Via names another transport than it came by (RFC 3261 18.1.1)"
NO_TO_TAG: Final = "To of a response has no tag (RFC 3261 8.2.6.2)"
NO_ANSWERED_CONTACT: Final = "a 2xx has no Contact (RFC 3261 12.1.1)"
NO_EARLY_CONTACT: Final = "a provisional response has no Contact (RFC 3261 12.1.1)"
CAPITALS: Final = "the transport of Contact is in capitals (RFC 3261 7.3.1 compares without case)"
LATE_ACK: Final = "ACK came only after the 2xx was repeated (RFC 3261 13.3.1.4)"
OTHER_TAG: Final = "a request in the dialog has another From tag (RFC 3261 12.2.2)"

_capitals: Final = re.compile(";transport=(?:UDP|TCP|TLS)").search


def inspect_invite(session: "Session", transaction: ServerTransaction, request: Request) -> None:
    """Note what is odd about the INVITE of a new session, once that is reported."""
    if request.oddity is not None:
        session.note(request.oddity)
    if request.from_tag is None:
        session.note(NO_FROM_TAG)
    if transaction.key[:7] != MAGIC_COOKIE:
        session.note(NO_COOKIE)
    fields = request.fields()
    if "contact" not in fields:
        session.note(NO_CONTACT)
    if not fields.get("max-forwards", "").isdigit():
        session.note(NO_HOPS)
    transport = transaction.listener.transport
    if fields.get("via", "")[8:11] != transport and not _same_transport(request, transport):
        session.note(OTHER_TRANSPORT)
    contact = session.dialog.target
    if ("=U" in contact or "=T" in contact) and _capitals(contact):
        session.note(CAPITALS)


def inspect_request(session: "Session", request: Request) -> None:
    """Note what is odd about a request in the dialog."""
    if request.oddity is not None:
        session.note(request.oddity)


def _same_transport(request: Request, transport: str) -> bool:
    """The long way: in small letters, or with white space around the slashes."""
    try:
        return request.via.transport.upper() == transport
    except ParseError:
        return True  # not to be read, and told otherwise


def inspect_response(session: "Session", response: Response) -> None:
    """Note what is odd about a provisional response above 100, or a 2xx, to our INVITE."""
    if response.oddity is not None:
        session.note(response.oddity)
    if response.to_tag is None:
        session.note(NO_TO_TAG)
    contact = response.get("contact")
    if contact is None:
        session.note(NO_EARLY_CONTACT if response.status < 200 else NO_ANSWERED_CONTACT)
    elif ("=U" in contact or "=T" in contact) and _capitals(contact):
        session.note(CAPITALS)
