"""Requests with a To tag of ours that cannot be taken now (RFC 3261 section 12.2.2).

What is refused once stays refused: the request may come again when the answer would be
another one, and a request has one final response (section 17.2.2).
"""

from typing import TYPE_CHECKING

from sip.errors import PeerError
from sip.message import Request, reason_phrase
from sip.transaction.layer import server_key
from sip.transaction.server import InviteServerTransaction, NonInviteServerTransaction
from sip.transport import Address, Listener
from sip.usage.session import Session

if TYPE_CHECKING:
    from sip.endpoint import Endpoint

_PASSING = (481, 500)  # no dialog yet or any more, a CSeq that another request overtook


def no_dialog(session: Session | None, request: Request) -> PeerError:
    """Why a request is not of the dialog of `session`, which has the tag of its To.

    One that has overtaken all that the callee said to our INVITE gets 500 and may come again:
    with 481 the peer would give up a call that it has just answered.
    """
    if (
        session is not None
        and session.outgoing
        and session.dialog.remote_tag is None
        and session.dialog.call_id == request.call_id
    ):
        return PeerError("The INVITE has no answer yet", 500, "Retry-After: 1\r\n")
    return PeerError(reason_phrase(481), 481)


def refuse_once(
    endpoint: "Endpoint",
    request: Request,
    address: Address,
    listener: Listener,
    error: PeerError,
    now: float,
) -> bool:
    """Refuse in a transaction of its own; False where the endpoint can do it without."""
    if error.status not in _PASSING or request.defect is not None:
        return False
    if request.to_tag not in endpoint.sessions or request.method in ("ACK", "CANCEL"):
        return False
    key = server_key(request)
    invite = request.method == "INVITE"
    made = InviteServerTransaction if invite else NonInviteServerTransaction
    transaction = made(endpoint, key, listener, address, request, None)
    endpoint.servers[key] = transaction
    transaction.respond(error.status, now, error.lines, reason=error.reason)
    return True
