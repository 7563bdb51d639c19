"""Our ACK to a 2xx (RFC 3261 section 13.2.2.4)."""

from typing import TYPE_CHECKING

from sip.dialog import Dialog
from sip.message import Response
from sip.traffic import ACK
from sip.transaction.client import ClientTransaction
from sip.transport import Address, Listener
from sip.usage.session import SDP, Unheard

if TYPE_CHECKING:
    from sip.usage.session import Session


class SentAck:
    """The ACK of the INVITE with the CSeq `number`, kept to be repeated with its 2xx.

    It goes out once its way is known.
    """

    __slots__ = ("_address", "_data", "_endpoint", "_listener")

    def __init__(
        self, session: "Session", dialog: Dialog, number: int, now: float, body: bytes = b""
    ) -> None:
        endpoint = session.endpoint
        self._endpoint = endpoint  # not the session, which would only go with a garbage collection
        self._listener = session.listener
        self._address: Address | None = None
        self._data = b""
        credentials = session.credentials
        lines = f"Content-Type: {SDP}\r\n{credentials}" if body else credentials

        def send(listener: Listener, address: Address) -> None:
            if dialog is session.dialog:
                address = session.by_flow(listener, address)
                session.remote_address = address
            via = endpoint.new_via(listener, address)
            _, head = dialog.request_head("ACK", number, via, lines)
            text = f"{head}Content-Length: {len(body)}\r\n\r\n"
            self._data = text.encode("utf-8", "surrogateescape") + body
            self._listener = listener
            self._address = address
            self.repeat()

        # Not sent when that leads nowhere: the peer will time out its 2xx and hang up.
        peer = session.remote_address
        endpoint.with_way(session.next_hop(dialog), session.listener, peer, send, now)

    def repeat(self) -> None:
        """Send it, for each 2xx."""
        if self._address is not None:
            self._endpoint.traffic.sent[ACK] += 1
            self._endpoint.send(self._listener, self._address, self._data)


def end_fork(session: "Session", tx: ClientTransaction, response: Response, now: float) -> None:
    """Another fork has answered: its 2xx gets ACK each time, and BYE once."""
    fork = session.dialog.fork(response)
    number = fork.local_cseq = response.cseq[0]
    other = type(session)(session.endpoint, fork, tx.listener, outgoing=True)
    other.remote_address = tx.address
    other.credentials = session.credentials
    SentAck(other, fork, number, now)
    ended = tx.context if isinstance(tx.context, set) else set()
    tag = response.to_tag
    if tag not in ended:
        tx.context = ended | {tag}
        other.send_request(now, "BYE", "", user=Unheard())
