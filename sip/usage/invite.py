"""The INVITE usage (RFC 3261 sections 13 to 15): one leg of a call, either role.

The program above calls the verbs (`ring`, `answer`, `reject`, `cancel`,
`acknowledge`, `reinvite`, `bye`, ...) and reads `sip.events`. Each verb takes
``now``, the time in seconds, and raises InvalidState where the session is not in a state for
it, InvalidValue for `lines` that are not header lines, each ended by CRLF; nothing is sent then.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sip.dialog import Dialog
from sip.errors import InvalidState
from sip.events import (
    Acknowledged,
    Answered,
    Cancelled,
    Closed,
    Hungup,
    Invited,
    Lost,
    Progressed,
    Refused,
    Reinvited,
    Requested,
    Responded,
    Withdrawn,
)
from sip.grammar import check_header
from sip.message import Request, Response, reason_phrase
from sip.transaction.client import ClientTransaction, cancel_for
from sip.transaction.machine import PROCEEDING
from sip.transaction.server import ServerTransaction
from sip.transport import Listener
from sip.usage.ack import SentAck, end_fork
from sip.usage.answer import UnacknowledgedAnswer
from sip.usage.negotiation import (
    OVER,
    RECEIVE_INVITE,
    RECEIVE_OFFER,
    RECEIVE_SDP,
    SEND_INVITE,
    SEND_OFFER,
    SEND_SDP,
)
from sip.usage.oddity import inspect_response
from sip.usage.offer import MakeBody, OfferQueue
from sip.usage.provisional import ProvisionalSession
from sip.usage.session import CONFIRMED, EARLY, INITIAL, OUTLIVES, SDP, TERMINATED

if TYPE_CHECKING:
    from sip.endpoint import Endpoint


class InviteSession(ProvisionalSession):
    """A session set up by INVITE; `outgoing`: we sent it."""

    __slots__ = (
        "_ack",
        "_ack_number",
        "_bye_lines",
        "_cancel_lines",
        "_final",
        "_invite_number",
        "_offers",
        "_pending_bye",
    )

    def __init__(
        self, endpoint: "Endpoint", dialog: Dialog, listener: Listener, *, outgoing: bool
    ) -> None:
        ProvisionalSession.__init__(self, endpoint, dialog, listener, outgoing=outgoing)
        self._invite_number = 0  # CSeq of our last INVITE
        self._ack: SentAck | None = None
        self._ack_number = 0
        self._final: UnacknowledgedAnswer | None = None
        self._cancel_lines: str | None = None  # cancel() was called
        self._bye_lines: str | None = None  # bye() waits for the ACK of our 2xx
        self._offers: OfferQueue | None = None  # our re-INVITEs
        self._pending_bye: ServerTransaction | None = None

    # Verbs of the callee.

    def answer(self, now: float, body: bytes = b"", lines: str = "") -> None:
        """Accept the INVITE or re-INVITE with 200, repeated until ACK (13.3.1.4).

        It waits for the PRACK of a reliable response with a session description.
        """
        invite = self.unanswered("answer", lines)
        if self.reliable is None or not self.reliable.withhold(body, lines):
            self.accept(invite, now, body, lines)

    def accept(self, invite: ServerTransaction, now: float, body: bytes, lines: str) -> None:
        """Send the 200 now."""
        self.server_invite = None
        self.state = CONFIRMED
        self.described(SEND_SDP if body else OVER)
        endpoint = self.endpoint
        timing = "" if self.timer is None else self.timer.answer(invite.request, now)
        lines = self.response_lines(endpoint.capability_lines + timing + lines, body)
        number, _ = invite.request.cseq
        data = invite.reply(200, now, lines, body)
        if data is not None:
            self._final = UnacknowledgedAnswer(self, data, invite, number, now)

    def reject(self, now: float, status: int, reason: str = "", lines: str = "") -> None:
        """Refuse the INVITE or re-INVITE; `status` from 300 to 699."""
        invite = self.unanswered("reject", lines, reason)
        self.server_invite = None
        self.described(OVER)
        invite.reply(status, now, lines, b"", reason)
        if self.state != CONFIRMED:
            self._end(now)
        else:
            self._next_offer(now)

    # Verbs of the caller.

    def cancel(self, now: float, lines: str = "") -> None:
        """Give up an INVITE that has no final response (section 9.1).

        CANCEL goes out after the first provisional response; a 2xx that crosses it is
        acknowledged and ended by BYE.
        """
        check_header(lines)
        invite = self.client_invite
        if invite is None or self.state >= CONFIRMED:
            raise InvalidState("cancel: no INVITE of ours waits for a final response")
        if self._cancel_lines is None:
            self._cancel_lines = lines
            if self.state == EARLY:
                self._send_cancel(invite, now)

    def _send_cancel(self, invite: ClientTransaction, now: float) -> None:
        cancel = cancel_for(invite.request, self._cancel_lines or "")
        self.endpoint.start_client(cancel, invite.listener, invite.address, self, now)
        invite.cancelled(now)

    def acknowledge(self, now: float, body: bytes = b"") -> None:
        """Send the ACK for the 2xx of our last INVITE (section 13.2.2.4)."""
        if self.client_invite is not None or self._ack_number == self._invite_number:
            raise InvalidState("acknowledge: no 2xx waits for its ACK")
        self._send_ack(now, body)
        self._next_offer(now)

    def _send_ack(self, now: float, body: bytes = b"") -> None:
        self.described(OVER)
        self._ack_number = self._invite_number
        self._ack = SentAck(self, self.dialog, self._ack_number, now, body)

    # Verbs of both.

    def reinvite(self, now: float, body: bytes | MakeBody = b"", lines: str = "") -> None:
        """Offer a new session description; without a body the peer is asked for one.

        Waits for its turn while another INVITE transaction of this dialog is under
        way, and comes again after a 491 (section 14.1). A later offer replaces one that
        still waits.
        """
        check_header(lines)
        if self.state != CONFIRMED or self._leaving:
            raise InvalidState("reinvite: the session is not established")
        if self._offers is None:
            self._offers = OfferQueue(self)
        self._offers.put(now, body, lines)

    @property
    def busy(self) -> bool:
        """Whether an INVITE transaction of this dialog is under way."""
        return (
            self.client_invite is not None
            or self.server_invite is not None
            or self._final is not None
            or self._ack_number != self._invite_number
            or (self.negotiation is not None and self.negotiation.pending)
        )

    def _next_offer(self, now: float) -> None:
        if self._offers is not None:
            self._offers.next(now)

    def send_invite(self, now: float, body: bytes, lines: str) -> None:
        """Send an INVITE or re-INVITE now."""
        timing = "" if self.timer is None else self.timer.lines()
        lines = f"{self.contact}{self.endpoint.capability_lines}{timing}{lines}"
        self.described(SEND_OFFER if body else SEND_INVITE)
        self._invite_number = self.dialog.local_cseq + 1
        self.client_invite = self.send_request(now, "INVITE", lines, body, SDP, user=self)

    def withdraw(self, now: float) -> None:
        """Give up a re-INVITE that the peer only promises to answer (section 9.1)."""
        invite = self.client_invite
        if invite is not None and invite.state == PROCEEDING:
            self._send_cancel(invite, now)

    def bye(self, now: float, lines: str = "") -> None:
        """End the session. While our 2xx waits for its ACK, BYE waits too (section 15)."""
        check_header(lines)
        if self.state != CONFIRMED or self._leaving:
            raise InvalidState("bye: the session is not established")
        self._leave(now)
        if self._final is not None:
            self._bye_lines = lines
        else:
            self._send_bye(now, lines)

    def _send_bye(self, now: float, lines: str) -> None:
        self._bye_lines = None
        if self._ack_number != self._invite_number and self.client_invite is None:
            self._send_ack(now)
        self.send_request(now, "BYE", lines, user=self)

    # What the transactions report.

    def response_received(
        self, transaction: ClientTransaction, response: Response, now: float
    ) -> None:
        """Responses to INVITE, BYE, CANCEL and requests of the program."""
        method = transaction.request.method
        self.came_by(transaction)
        if self.keyring is not None:
            self.keyring.answered(response)
        if method == "INVITE":
            if response.status < 200:
                self._provisional(transaction, response, now)
            elif response.status < 300:
                self._accepted(transaction, response, now)
            else:
                self._refused(transaction, response.status, response.reason, response, now)
        elif response.status >= 200 and method != "CANCEL":
            self._final_received(transaction, response.status, response, now)

    def may_repeat(self, request: Request) -> bool:
        """Not an INVITE that was given up meanwhile."""
        given_up = request.method == "INVITE" and self._cancel_lines is not None
        return super().may_repeat(request) and not given_up

    def repeated(self, request: Request, number: int, uri: str) -> None:
        """`request` goes out again: for the first INVITE as if nobody had rung."""
        super().repeated(request, number, uri)
        if request.method == "INVITE":
            self._invite_number = number
            self.early = None
            if self.state != CONFIRMED:
                self.state = INITIAL
                self.negotiation = None
                self.dialog.start_over(request, uri)

    def transaction_failed(self, transaction: ClientTransaction, status: int, now: float) -> None:
        """No response to a request, or no way to send it."""
        if transaction.request.method == "INVITE":
            self._refused(transaction, status, reason_phrase(status), None, now)
        elif transaction.request.method != "CANCEL":
            self._final_received(transaction, status, None, now)

    def _final_received(
        self, tx: ClientTransaction, status: int, response: Response | None, now: float
    ) -> None:
        events = self.endpoint.events
        if tx.request.method == "BYE":
            self._end(now)
            events.append(Closed(self))
            return
        if tx.request.method == "UPDATE":
            self.update_over(tx, response if status < 300 else None, now)
        events.append(Responded(self, tx.context, status, response))
        if status in (408, 481):
            self.broken(status, now)
        elif self._offers is not None:
            self._offers.next(now)

    def _provisional(self, tx: ClientTransaction, response: Response, now: float) -> None:
        if self.state == INITIAL:
            self.state = EARLY
            if self._cancel_lines is not None:
                self._send_cancel(tx, now)
        elif self.state == TERMINATED:
            if tx.lifetime is None:
                tx.cancelled(now)  # see _end: the 1xx has stopped timer B
            return
        if response.status == 100 or tx is not self.client_invite:
            return
        if self.progressed(tx, response, now) and self._cancel_lines is None:
            self.endpoint.events.append(Progressed(self, response))

    def _accepted(self, tx: ClientTransaction, response: Response, now: float) -> None:
        if tx is not self.client_invite:
            if response.to_tag != self.dialog.remote_tag:
                end_fork(self, tx, response, now)
            elif self._ack is not None and response.cseq[0] == self._ack_number:
                self._ack.repeat()
            return
        self.client_invite = None
        if self.early is not None:
            self.early.confirm(response)
            self.early = None
        self.described(RECEIVE_SDP if response.body else OVER)
        if self._offers is not None:
            self._offers.over()
        inspect_response(self, response)
        if self.state < CONFIRMED:
            self.state = CONFIRMED
            self.dialog.meet(response)
        else:
            self.dialog.refresh(response)
        if self._cancel_lines is None and not self._leaving:
            self.settled(response, now)
            self.endpoint.events.append(Answered(self, response))
            return
        self._send_ack(now)
        if not self._leaving:  # the 2xx crossed our CANCEL
            self._leaving = True
            self._send_bye(now, self._cancel_lines or "")
        self.endpoint.events.append(Refused(self, 487, reason_phrase(487), response))

    def _refused(
        self,
        tx: ClientTransaction,
        status: int,
        reason: str,
        response: Response | None,
        now: float,
    ) -> None:
        if tx is not self.client_invite:
            return
        self.client_invite = self.early = None
        self.described(OVER)
        self._ack_number = self._invite_number  # the transaction has sent the ACK
        again = self._offers is not None and self._offers.refused(status, now)
        if self.state != CONFIRMED:
            self._end(now)
        elif self._leaving:
            pass
        elif again:
            return
        elif status in (408, 481):
            self.broken(status, now)
        else:
            self._next_offer(now)
        self.endpoint.events.append(Refused(self, status, reason, response))

    def broken(self, status: int, now: float, reason: str = "") -> None:
        """The dialog is over at the peer (section 12.2.1.2): say BYE all the same."""
        if self.state != CONFIRMED or self._leaving:
            return
        self._leave(now)
        self._stop_2xx()
        # RFC 3326; 102 is Q.850's recovery on timer expiry.
        cause = "Q.850;cause=102" if status == 408 else f"SIP;cause={status}"
        self._send_bye(now, f"Reason: {reason or cause}\r\n")
        self.endpoint.events.append(Lost(self, status))

    # What the endpoint hands over.

    def invited(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """The INVITE that made this session; 100 goes out at once (section 17.2.1)."""
        self.server_invite = transaction
        self.came_by(transaction)
        transaction.session = self
        transaction.try_it(now)
        if self.timed(transaction, now):
            self.endpoint.events.append(Invited(self, request))

    def ack_received(self, request: Request, _now: float) -> bool:
        """An ACK in the dialog; False when nothing waited for it."""
        if self._final is None or request.cseq[0] != self._final.number:
            return False
        self._final.acknowledged()
        self._stop_2xx()
        self.described(OVER)
        if self._bye_lines is not None:
            self._send_bye(_now, self._bye_lines)
            return True
        self.endpoint.events.append(Acknowledged(self, request))
        self._next_offer(_now)
        return True

    def cancel_received(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """A CANCEL that matched the INVITE `transaction`; its 200 has been sent."""
        if transaction is not self.server_invite:
            return
        self.server_invite = None
        self.described(OVER)
        transaction.respond(487, now)
        if self.state != CONFIRMED:
            self._end(now)
            self.endpoint.events.append(Cancelled(self, request))
        else:
            self.endpoint.events.append(Withdrawn(self, request))
            self._next_offer(now)

    def request_received(
        self, transaction: ServerTransaction, request: Request, now: float
    ) -> None:
        """A request in the dialog, its CSeq checked."""
        self.came_by(transaction)
        handler = _HANDLERS.get(request.method)
        if self.state == TERMINATED and request.method not in OUTLIVES:
            transaction.respond(481, now)
        elif handler is None:
            self.endpoint.events.append(Requested(self, request, transaction))
        else:
            handler(self, transaction, request, now)

    def _reinvited(self, tx: ServerTransaction, request: Request, now: float) -> None:
        if self._leaving:
            tx.respond(481, now)
        elif self.client_invite is not None or self._final is not None:
            tx.respond(491, now)  # glare (section 14.2), or our 2xx waits for its ACK
        elif self.server_invite is not None:
            self.refuse_offer(tx, 500, now)
        elif (self.negotiation is None or self.may_offer(tx, request, now)) and self.timed(tx, now):
            self.dialog.refresh(request)
            self.described(RECEIVE_OFFER if request.body else RECEIVE_INVITE)
            self.server_invite = tx
            tx.session = self
            tx.try_it(now)
            self.endpoint.events.append(Reinvited(self, request))

    def _hung_up(self, tx: ServerTransaction, request: Request, now: float) -> None:
        if self._leaving or (self.state != CONFIRMED and self.outgoing):
            tx.respond(200, now)  # BYE crossed ours, or the callee gave up an early dialog
            if self.early is not None:
                self.early.drop(request.from_tag)
            if self._bye_lines is not None:  # ours still waited for the ACK of our 2xx
                self._stop_2xx()
                self._end(now)
                self.endpoint.events.append(Closed(self))
            return
        self._pending_bye = tx
        self._stop_2xx()
        self._end(now)
        self.endpoint.events.append(Hungup(self, request))

    def confirm_bye(self, now: float, lines: str = "") -> None:
        """Answer the BYE that `Hungup` reported; once, further calls do nothing."""
        check_header(lines)
        tx, self._pending_bye = self._pending_bye, None
        if tx is not None:
            tx.reply(200, now, lines)

    # The end.

    def _stop_2xx(self) -> None:
        if self._final is not None:
            self._final.stop()
            self._final = None

    def not_acknowledged(self, now: float) -> None:
        """No ACK to our 2xx in 64*T1 (section 13.3.1.4)."""
        lines = self._bye_lines
        self._stop_2xx()
        if lines is not None:
            self._send_bye(now, lines)
        else:
            self.broken(408, now)

    def _end(self, now: float) -> None:
        """Over; REFER subscriptions still open keep the dialog for a while (RFC 5057)."""
        if self.state == TERMINATED:
            return
        self.state = TERMINATED
        self._leave(now)
        self.timer = None
        if self.client_invite is not None:  # a re-INVITE whose response may never come
            self.client_invite.cancelled(now)
        if self.shared:
            self.endpoint.wheel.start(now, self.endpoint.timers.timeout, self, 0)
        else:
            self.endpoint.forget(self)

    def _leave(self, now: float) -> None:
        """No more offers; an INVITE that nobody will answer gets 487 (section 15.1.2)."""
        self._leaving = True
        if self.timer is not None:
            self.timer.stop()
        if self._offers is not None:
            self._offers.clear()
            self._offers = None  # it refers to the session, which is to go at once
        invite = self.server_invite
        if invite is not None:
            self.server_invite = None
            invite.respond(487, now)

    def timer_fired(self, _what: int, _now: float) -> None:
        """Our REFERs have had their time; subscriptions of the peer expire by themselves."""
        self.refers = None
        self.usage_over()


_Handler = Callable[[InviteSession, ServerTransaction, Request, float], None]
_HANDLERS: Final[dict[str, _Handler]] = {
    "INVITE": InviteSession._reinvited,
    "BYE": InviteSession._hung_up,
    "UPDATE": InviteSession.updated,
    "PRACK": InviteSession.pracked,
    "NOTIFY": InviteSession.notified,
    "REFER": InviteSession.referred,
    "SUBSCRIBE": InviteSession.subscribed,
}
