"""What a server says to an INVITE that has gone on to another server.

By UDP a server of a group has a second or so for its first response; others, that the DNS
names, have 64*T1 (timer B). One may have been slow only, and the callee's phone there rings
or is picked up all the same: what comes late is cancelled (RFC 3261 section 9.1), a 2xx is
acknowledged and ended by BYE (13.2.2.4).
"""

from sip.message import Response
from sip.transaction.client import ClientTransaction, cancel_for
from sip.transaction.machine import TIMER_CANCEL
from sip.usage.ack import end_fork
from sip.usage.session import Session, Unheard


class LateAnswer:
    """The user of such an INVITE, which was that of `session`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def response_received(
        self, transaction: ClientTransaction, response: Response, now: float
    ) -> None:
        """CANCEL once for 1xx; ACK for each 2xx, and BYE once. The transaction does the rest."""
        if 200 <= response.status < 300:
            end_fork(self._session, transaction, response, now)
        elif response.status < 200 and transaction.lifetime is None:  # the first has stopped it
            cancel = cancel_for(transaction.request, "")
            listener, address = transaction.listener, transaction.address
            self._session.endpoint.start_client(cancel, listener, address, Unheard(), now)
            transaction.cancelled(now)

    def transaction_failed(self, transaction: ClientTransaction, status: int, now: float) -> None:
        """It was dead indeed."""


def await_late(tx: ClientTransaction, now: float) -> None:
    """`tx` gives up its server: take for 64*T1 what that says to the INVITE."""
    session, request = tx.user, tx.request
    if request.method != "INVITE" or request.to_tag is not None:
        return  # inside a dialog another server may have led the same request to the same peer
    if isinstance(session, Session):
        layer, user = tx.layer, LateAnswer(session)
        late = type(tx)(layer, tx.key, tx.listener, tx.address, request, user)
        late.data = b""
        layer.clients[late.key] = late
        late.start_lifetime(now, layer.timers.timeout, TIMER_CANCEL)
