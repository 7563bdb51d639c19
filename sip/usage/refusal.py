"""Requests that are refused: without a transaction (RFC 3261 section 8.2.7), or in one.

In one where they have a To tag of ours and cannot be taken now (section 12.2.2). What is refused
once stays refused: the request may come again when the answer would be another one, and a
request has one final response (section 17.2.2).
"""

from typing import TYPE_CHECKING, Final
from zlib import crc32

from sip.errors import PeerError
from sip.grammar import check_answer, format_host
from sip.inspection import unsupported
from sip.message import Request, reason_phrase
from sip.transaction.layer import server_key
from sip.transaction.server import (
    InviteServerTransaction,
    NonInviteServerTransaction,
    response_prefix,
    return_address,
)
from sip.transport import Address, Listener
from sip.usage.screen import AMPLIFICATION
from sip.usage.session import SDP, Session

if TYPE_CHECKING:
    from sip.endpoint import Endpoint

ACCEPT: Final = f"Accept: {SDP}\r\n"
_PASSING: Final = (481, 500)  # no dialog yet or any more, a CSeq that another request overtook


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


def refuse(
    endpoint: "Endpoint",
    request: Request,
    address: Address,
    listener: Listener,
    status: int,
    lines: str = "",
    reason: str = "",
    tag: str | None = None,
) -> None:
    """Answer without a transaction; a retransmission gets the same.

    The unknown sender of a datagram gets no more than `AMPLIFICATION` allows: an answer without
    `lines`, or none.
    """
    if request.method == "ACK" or not request.get("via"):
        endpoint.discarded += 1
        return
    check_answer(lines, reason)
    if tag is None:
        digest = f"{request.get('via')} {request.call_id} {request.get('cseq')}"
        tag = f"ds{crc32(digest.encode('utf-8', 'surrogateescape')):08x}"
    if status == 420:
        lines += unsupported(request, endpoint.extensions)
    elif status == 405:
        lines += endpoint.allow_line
    elif status == 406:
        host = listener.local_host(address[0])
        lines += f'Warning: 399 {format_host(host)} "only {SDP} is offered"\r\n'
    elif status == 415:
        lines += ACCEPT + "Accept-Encoding: identity\r\n"
    start = f"SIP/2.0 {status} {reason or reason_phrase(status)}\r\n"
    start += response_prefix(request, address, tag)
    end = "Content-Length: 0\r\n\r\n"
    fixed = len(start) + len(end)
    if amplifies(endpoint, request, address, listener, fixed + len(lines)):
        lines = "" if status not in (401, 407) else lines
        if amplifies(endpoint, request, address, listener, fixed + len(lines)):
            endpoint.discarded += 1
            return
    data = f"{start}{lines}{end}".encode("utf-8", "surrogateescape")
    endpoint.traffic.gave(request.method, status)
    endpoint.send(listener, return_address(request, address, listener), data)


def amplifies(
    endpoint: "Endpoint", request: Request, address: Address, listener: Listener, length: int
) -> bool:
    """Whether an answer of `length` would help who sent `request` in another's name."""
    screen = endpoint.screen
    if screen is None or listener.reliable:
        return False
    most = AMPLIFICATION * (len(request.head) + 4 + len(request.body))
    return length > most and not screen.known(address[0])
