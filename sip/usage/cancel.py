"""CANCEL received (RFC 3261 section 9.2)."""

from typing import TYPE_CHECKING

from sip.errors import PeerError
from sip.message import Request, reason_phrase
from sip.transaction.machine import RECEIVE_REQUEST
from sip.transaction.server import NonInviteServerTransaction
from sip.transport import Address, Listener

if TYPE_CHECKING:
    from sip.endpoint import Endpoint


def receive_cancel(
    endpoint: "Endpoint",
    request: Request,
    key: str,
    address: Address,
    listener: Listener,
    now: float,
) -> None:
    """Answer it, hop by hop; the INVITE, the transaction `key`, is answered by its session.

    A transaction of its own repeats the 200 when that of the INVITE is gone already. Raises
    PeerError (481) where there is no INVITE.
    """
    own_key = f"{key} CANCEL"
    repeated = endpoint.servers.get(own_key)
    if repeated is not None:
        endpoint.traffic.again("CANCEL")
        repeated.apply(RECEIVE_REQUEST, now)
        return
    invite = endpoint.servers.get(key)
    if invite is None:
        raise PeerError(reason_phrase(481), 481)
    transaction = NonInviteServerTransaction(
        endpoint, own_key, listener, address, request, invite.to_tag
    )
    endpoint.servers[own_key] = transaction
    transaction.respond(200, now)
    if invite.session is not None:
        invite.session.cancel_received(invite, request, now)
