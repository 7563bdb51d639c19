"""The INVITE usage (RFC 3261 sections 13 to 15): one leg of a call, either role.

The program above calls the verbs (`ring`, `answer`, `reject`, `cancel`,
`acknowledge`, `reinvite`, `bye`, ...) and reads `sip.events`. Each verb takes
``now``, the time in seconds, and raises InvalidState where the session is not in a
state for it; then nothing was sent. `lines` are header lines, each ended by CRLF.
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
    Referred,
    Refused,
    Reinvited,
    Requested,
    Responded,
)
from sip.message import Request, Response, reason_phrase
from sip.timers import Timer
from sip.transaction.client import ClientTransaction, ClientUser
from sip.transaction.server import ServerTransaction
from sip.transport import Address, Listener
from sip.usage.refer import ReceivedRefer, SentRefer
from sip.values import NameAddr

if TYPE_CHECKING:
    from sip.endpoint import Endpoint

# States of a session.
INITIAL: Final = 0
EARLY: Final = 1
CONFIRMED: Final = 2
TERMINATED: Final = 3
STATE_NAMES: Final = ("initial", "early", "confirmed", "terminated")

# Timers of a session.
_REPEAT_2XX: Final = 0
_RETRY_OFFER: Final = 1
_REFERS_OVER: Final = 2

SDP: Final = "application/sdp"


class InviteSession:
    """A session set up by INVITE.

    `user` is the program's own, for finding what a session belongs to. `outgoing`:
    we sent the INVITE. `remote_address` is where the last message came from or went.
    """

    __slots__ = (
        "_ack",
        "_ack_address",
        "_ack_number",
        "_bye_lines",
        "_cancel_lines",
        "_final",
        "_final_address",
        "_final_deadline",
        "_final_interval",
        "_final_number",
        "_final_timer",
        "_invite_number",
        "_leaving",
        "_offer",
        "_offer_timer",
        "_offered",
        "_pending_bye",
        "client_invite",
        "contact",
        "dialog",
        "endpoint",
        "first_hop",
        "listener",
        "outgoing",
        "refers",
        "remote_address",
        "server_invite",
        "state",
        "user",
    )

    def __init__(
        self, endpoint: "Endpoint", dialog: Dialog, listener: Listener, *, outgoing: bool
    ) -> None:
        self.endpoint = endpoint
        self.dialog = dialog
        self.listener = listener
        self.outgoing = outgoing
        self.user: object = None
        self.state = INITIAL
        self.first_hop = ""  # where the first INVITE goes, if not to the target
        self.contact = ""  # the Contact line we send, with CRLF
        self.remote_address: Address = ("", 0)
        self.client_invite: ClientTransaction | None = None  # ours, no final response yet
        self.server_invite: ServerTransaction | None = None  # the peer's, not answered yet
        self.refers: dict[int, SentRefer] | None = None
        self._invite_number = 0  # CSeq of our last INVITE
        self._ack: bytes | None = None  # the ACK sent, to repeat for each repeated 2xx
        self._ack_address: Address = ("", 0)
        self._ack_number = 0
        self._final: bytes | None = None  # our 2xx that waits for its ACK
        self._final_address: Address = ("", 0)
        self._final_number = 0
        self._final_interval = 0.0
        self._final_deadline = 0.0
        self._final_timer: Timer | None = None
        self._cancel_lines: str | None = None  # cancel() was called
        self._bye_lines: str | None = None  # bye() waits for the ACK of our 2xx
        self._offer: tuple[bytes, str] | None = None  # a re-INVITE that waits its turn
        self._offered: tuple[bytes, str] | None = None  # the re-INVITE under way
        self._offer_timer: Timer | None = None
        self._pending_bye: ServerTransaction | None = None
        self._leaving = False  # our BYE is under way

    def __repr__(self) -> str:
        return f"<InviteSession {self.dialog.local_tag} {STATE_NAMES[self.state]}>"

    @property
    def local_tag(self) -> str:
        """Our tag: what the endpoint's table of sessions is keyed by."""
        return self.dialog.local_tag

    # Verbs of the callee.

    def ring(
        self, now: float, status: int = 180, body: bytes = b"", lines: str = "", reason: str = ""
    ) -> None:
        """Send a provisional response from 101 to 199."""
        invite = self._unanswered("ring")
        if self.state == INITIAL:
            self.state = EARLY
        invite.respond(status, now, self._response_lines(lines, body), body, reason)

    def answer(self, now: float, body: bytes = b"", lines: str = "") -> None:
        """Accept the INVITE or re-INVITE with 200, repeated until ACK (13.3.1.4)."""
        invite = self._unanswered("answer")
        self.server_invite = None
        self.state = CONFIRMED
        endpoint = self.endpoint
        lines = self._response_lines(endpoint.capability_lines + lines, body)
        self._final = invite.respond(200, now, lines, body)
        self._final_address = invite.address
        self._final_number, _ = invite.request.cseq
        timers = endpoint.timers
        self._final_deadline = now + timers.timeout
        self._final_interval = timers.t1
        self._final_timer = endpoint.wheel.start(now, timers.t1, self, _REPEAT_2XX)

    def reject(self, now: float, status: int, reason: str = "", lines: str = "") -> None:
        """Refuse the INVITE or re-INVITE; `status` from 300 to 699."""
        invite = self._unanswered("reject")
        self.server_invite = None
        invite.respond(status, now, lines, b"", reason)
        if self.state != CONFIRMED:
            self._end(now)
        else:
            self._try_offer(now)

    def _unanswered(self, verb: str) -> ServerTransaction:
        if self.server_invite is None:
            raise InvalidState(f"{verb}: no INVITE waits for an answer")
        return self.server_invite

    def _response_lines(self, lines: str, body: bytes) -> str:
        record = ""
        routes = self.dialog.routes
        if routes and not self.outgoing:  # section 12.1.1
            record = "".join([f"Record-Route: {route}\r\n" for route in routes])
        if body:
            return f"{record}{self.contact}{lines}Content-Type: {SDP}\r\n"
        return f"{record}{self.contact}{lines}"

    # Verbs of the caller.

    def start(self, now: float, body: bytes, lines: str) -> None:
        """Send the first INVITE; the endpoint's `invite` calls this."""
        self._send_invite(now, body, lines)

    def cancel(self, now: float, lines: str = "") -> None:
        """Give up an INVITE that has no final response (section 9.1).

        CANCEL goes out after the first provisional response; a 2xx that crosses it is
        acknowledged and ended by BYE.
        """
        invite = self.client_invite
        if invite is None or self.state >= CONFIRMED:
            raise InvalidState("cancel: no INVITE of ours waits for a final response")
        if self._cancel_lines is None:
            self._cancel_lines = lines
            if self.state == EARLY:
                self._send_cancel(invite, now)

    def _send_cancel(self, invite: ClientTransaction, now: float) -> None:
        request = invite.request
        number, _ = request.cseq
        routes = "".join([f"Route: {route}\r\n" for route in request.all("route")])
        head = (
            f"CANCEL {request.uri} SIP/2.0\r\nVia: {request.top_via}\r\n{routes}"
            f"Max-Forwards: 70\r\nFrom: {request.get('from')}\r\nTo: {request.get('to')}\r\n"
            f"Call-ID: {request.call_id}\r\nCSeq: {number} CANCEL\r\n"
            f"{self._cancel_lines}Content-Length: 0"
        )
        cancel = Request("CANCEL", request.uri, head)
        self.endpoint.start_client(cancel, invite.listener, invite.address, self, now)
        invite.cancelled(now)

    def acknowledge(self, now: float, body: bytes = b"") -> None:
        """Send the ACK for the 2xx of our last INVITE (section 13.2.2.4)."""
        if self.client_invite is not None or self._ack_number == self._invite_number:
            raise InvalidState("acknowledge: no 2xx waits for its ACK")
        self._send_ack(self.dialog, now, body)
        self._try_offer(now)

    def _send_ack(self, dialog: Dialog, now: float, body: bytes = b"") -> None:
        endpoint = self.endpoint
        lines = f"Content-Type: {SDP}\r\n" if body else ""
        ours = dialog is self.dialog
        number = self._invite_number if ours else dialog.local_cseq

        def send(address: Address | None, _now: float) -> None:
            if address is None:
                return  # the peer will time out its 2xx and hang up
            via = endpoint.new_via(self.listener, address)
            _, head = dialog.request_head("ACK", number, via, lines)
            text = f"{head}Content-Length: {len(body)}\r\n\r\n"
            data = text.encode("utf-8", "surrogateescape") + body
            if ours:
                self._ack = data
                self._ack_address = self.remote_address = address
            endpoint.send(self.listener, address, data)

        if ours:
            self._ack = None
            self._ack_number = number
        endpoint.locate(dialog.next_hop(), send, now)

    # Verbs of both.

    def reinvite(self, now: float, body: bytes = b"", lines: str = "") -> None:
        """Offer a new session description; without a body the peer is asked for one.

        Waits for its turn while another INVITE transaction of this dialog is under
        way, and comes again after a 491 (section 14.1). A later offer replaces one that
        still waits.
        """
        if self.state != CONFIRMED or self._leaving:
            raise InvalidState("reinvite: the session is not established")
        self._offer = (body, lines)
        self._try_offer(now)

    @property
    def busy(self) -> bool:
        """Whether an INVITE transaction of this dialog is under way."""
        return (
            self.client_invite is not None
            or self.server_invite is not None
            or self._final is not None
            or self._ack_number != self._invite_number
        )

    def _try_offer(self, now: float) -> None:
        if self._offer is None or self._offer_timer is not None or self.busy or self._leaving:
            return
        self._offered = self._offer
        self._offer = None
        body, lines = self._offered
        self._send_invite(now, body, lines)

    def _send_invite(self, now: float, body: bytes, lines: str) -> None:
        lines = f"{self.contact}{self.endpoint.capability_lines}{lines}"
        self._invite_number = self.dialog.local_cseq + 1
        self.client_invite = self.send_request(
            now, "INVITE", lines, body, SDP if body else "", user=self
        )

    def bye(self, now: float, lines: str = "") -> None:
        """End the session. While our 2xx waits for its ACK, BYE waits too (section 15)."""
        if self.state != CONFIRMED or self._leaving:
            raise InvalidState("bye: the session is not established")
        self._offer = None
        self._leaving = True
        self._drop_server_invite(now)
        if self._final is not None:
            self._bye_lines = lines
        else:
            self._send_bye(now, lines)

    def _send_bye(self, now: float, lines: str) -> None:
        self._bye_lines = None
        if self._ack_number != self._invite_number and self.client_invite is None:
            self._send_ack(self.dialog, now)
        self.send_request(now, "BYE", lines, user=self)

    def request(
        self,
        now: float,
        method: str,
        lines: str = "",
        body: bytes = b"",
        content_type: str = "",
        context: object = None,
    ) -> None:
        """Send INFO, UPDATE or another request in the dialog; see `Responded`."""
        if self._leaving or self.dialog.remote_tag is None:
            raise InvalidState(f"{method}: no dialog yet or any more")
        self.send_request(now, method, lines, body, content_type, context=context, user=self)

    def refer(self, now: float, target: str, lines: str = "") -> SentRefer:
        """Ask the peer to call `target`, a URI (RFC 3515); see `ReferProgressed`."""
        if self.state != CONFIRMED or self._leaving:
            raise InvalidState("refer: the session is not established")
        lines = f"{self.contact}Refer-To: {NameAddr(target)}\r\n{lines}"
        refer = SentRefer(self, target)
        refer.number = self.dialog.local_cseq + 1
        if self.refers is None:
            self.refers = {}
        self.refers[refer.number] = refer
        self.send_request(now, "REFER", lines, user=refer)
        return refer

    def send_request(
        self,
        now: float,
        method: str,
        lines: str,
        body: bytes = b"",
        content_type: str = "",
        *,
        context: object = None,
        user: ClientUser | None = None,
    ) -> ClientTransaction:
        """Send a request with the next CSeq in a client transaction of its own."""
        dialog = self.dialog
        dialog.local_cseq += 1
        dialog.last_cseq = dialog.local_cseq
        if body:
            lines = f"{lines}Content-Type: {content_type}\r\n"
        number = dialog.local_cseq
        hop = dialog.next_hop()
        if self.first_hop and dialog.remote_tag is None:
            hop = self.first_hop

        def make(via: str) -> Request:
            uri, head = dialog.request_head(method, number, via, lines)
            return Request(method, uri, f"{head}Content-Length: {len(body)}", body)

        transaction = self.endpoint.start_client_at(
            hop, method, make, self.listener, user or self, now, context
        )
        if transaction.key:  # else its name is being looked up
            self.remote_address = transaction.address
        return transaction

    # What the transactions report.

    def response_received(
        self, transaction: ClientTransaction, response: Response, now: float
    ) -> None:
        """Responses to INVITE, BYE, CANCEL and requests of the program."""
        method = transaction.request.method
        self.remote_address = transaction.address
        if method == "INVITE":
            if response.status < 200:
                self._provisional(transaction, response, now)
            elif response.status < 300:
                self._accepted(transaction, response, now)
            else:
                self._refused(transaction, response.status, response.reason, response, now)
        elif response.status >= 200 and method != "CANCEL":
            self._final_received(transaction, response.status, response, now)

    def transaction_failed(self, transaction: ClientTransaction, status: int, now: float) -> None:
        """No response to a request, or no way to send it."""
        if transaction.request.method == "INVITE":
            self._refused(transaction, status, reason_phrase(status), None, now)
        elif transaction.request.method != "CANCEL":
            self._final_received(transaction, status, None, now)

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
        if self.state == EARLY and response.to_tag is not None:
            self.dialog.meet(response)  # of several forks the one heard last
        if self._cancel_lines is None:
            self.endpoint.events.append(Progressed(self, response))

    def _accepted(self, tx: ClientTransaction, response: Response, now: float) -> None:
        if tx is not self.client_invite:
            self._repeated_2xx(tx, response, now)
            return
        self.client_invite = None
        self._offered = None
        if self.state < CONFIRMED:
            self.state = CONFIRMED
            self.dialog.meet(response)
        else:
            self.dialog.refresh(response)
        if self._cancel_lines is None and not self._leaving:
            self.endpoint.events.append(Answered(self, response))
            return
        self._send_ack(self.dialog, now)
        if not self._leaving:  # the 2xx crossed our CANCEL
            self._leaving = True
            self._send_bye(now, self._cancel_lines or "")
        self.endpoint.events.append(Refused(self, 487, reason_phrase(487), response))

    def _repeated_2xx(self, tx: ClientTransaction, response: Response, now: float) -> None:
        """A retransmitted 2xx gets its ACK again; another fork's gets ACK and BYE."""
        dialog = self.dialog
        tag = response.to_tag
        if tag == dialog.remote_tag:
            if self._ack is not None and response.cseq[0] == self._ack_number:
                self.endpoint.send(self.listener, self._ack_address, self._ack)
            return
        fork = dialog.fork(response)
        fork.local_cseq = response.cseq[0]
        self._send_ack(fork, now)
        ended = tx.context if isinstance(tx.context, set) else set()
        if tag not in ended:  # one BYE for each fork
            tx.context = ended | {tag}
            other = InviteSession(self.endpoint, fork, self.listener, outgoing=True)
            other.send_request(now, "BYE", "", user=_Unheard())

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
        self.client_invite = None
        self._ack_number = self._invite_number  # the transaction has sent the ACK
        offered = self._offered
        self._offered = None
        if self.state != CONFIRMED:
            self._end(now)
        elif self._leaving:
            pass
        elif status == 491 and offered is not None and self._offer is None:
            # Section 14.1: the owner of the Call-ID waits longer.
            ids = self.endpoint.ids
            hundredths = 210 + ids.below(191) if self.outgoing else ids.below(201)
            self._offer = offered
            self._offer_timer = self.endpoint.wheel.start(now, hundredths / 100, self, _RETRY_OFFER)
            return
        elif status in (408, 481):
            self._lose(now, status)
        else:
            self._try_offer(now)
        self.endpoint.events.append(Refused(self, status, reason, response))

    def _final_received(
        self, tx: ClientTransaction, status: int, response: Response | None, now: float
    ) -> None:
        events = self.endpoint.events
        if tx.request.method == "BYE":
            self._end(now)
            events.append(Closed(self))
            return
        if response is not None and status < 300 and tx.request.method == "UPDATE":
            self.dialog.refresh(response)
        events.append(Responded(self, tx.context, status, response))
        if status in (408, 481) and self.state == CONFIRMED and not self._leaving:
            self._lose(now, status)  # section 12.2.1.2

    def _lose(self, now: float, status: int) -> None:
        """The dialog is broken: say BYE all the same and report it."""
        self._leaving = True
        self._stop_2xx()
        self._drop_server_invite(now)
        self._send_bye(now, "")
        self.endpoint.events.append(Lost(self, status))

    # What the endpoint hands over.

    def invited(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """The INVITE that made this session; 100 goes out at once (section 17.2.1)."""
        self.server_invite = transaction
        self.remote_address = transaction.address
        transaction.session = self
        transaction.respond(100, now)
        self.endpoint.events.append(Invited(self, request))

    def ack_received(self, request: Request, _now: float) -> bool:
        """An ACK in the dialog; False when nothing waited for it."""
        if self._final is None or request.cseq[0] != self._final_number:
            return False
        self._stop_2xx()
        if self._bye_lines is not None:
            self._send_bye(_now, self._bye_lines)
            return True
        self.endpoint.events.append(Acknowledged(self, request))
        self._try_offer(_now)
        return True

    def cancel_received(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """A CANCEL that matched the INVITE `transaction`; its 200 has been sent."""
        if transaction is not self.server_invite:
            return
        self.server_invite = None
        transaction.respond(487, now)
        if self.state != CONFIRMED:
            self._end(now)
            self.endpoint.events.append(Cancelled(self, request))
        else:
            self._try_offer(now)

    def request_received(
        self, transaction: ServerTransaction, request: Request, now: float
    ) -> None:
        """A request in the dialog, its CSeq checked."""
        self.remote_address = transaction.address
        handler = _HANDLERS.get(request.method)
        if self.state == TERMINATED and request.method != "NOTIFY":
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
            seconds = self.endpoint.ids.below(11)
            tx.respond(500, now, f"Retry-After: {seconds}\r\n")
        else:
            self.dialog.refresh(request)
            self.server_invite = tx
            tx.session = self
            tx.respond(100, now)
            self.endpoint.events.append(Reinvited(self, request))

    def _hung_up(self, tx: ServerTransaction, request: Request, now: float) -> None:
        if self._leaving or (self.state != CONFIRMED and self.outgoing):
            tx.respond(200, now)  # BYE crossed ours, or the callee gave up an early dialog
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
        tx = self._pending_bye
        if tx is not None:
            self._pending_bye = None
            tx.respond(200, now, lines)

    def _updated(self, tx: ServerTransaction, request: Request, now: float) -> None:
        self.dialog.refresh(request)
        self.endpoint.events.append(Requested(self, request, tx))

    def _notified(self, tx: ServerTransaction, request: Request, now: float) -> None:
        refer = SentRefer.matching(self.refers, request)
        if refer is None:
            tx.respond(481, now)
        else:
            refer.notified(tx, request, now)

    def _referred(self, tx: ServerTransaction, request: Request, now: float) -> None:
        refer = ReceivedRefer.from_request(self, tx, request)
        if refer is None:
            tx.respond(400, now, reason="Refer-To is missing, repeated or malformed")
        elif self._leaving or self.state != CONFIRMED:
            tx.respond(481, now)
        else:
            self.endpoint.events.append(Referred(self, request, refer))

    # The end.

    def _stop_2xx(self) -> None:
        self._final = None
        if self._final_timer is not None:
            self._final_timer.target = None
            self._final_timer = None

    def _end(self, now: float) -> None:
        """Over; REFER subscriptions still open keep the dialog for a while (RFC 5057)."""
        if self.state == TERMINATED:
            return
        self.state = TERMINATED
        self._leaving = True
        self._drop_server_invite(now)
        if self.client_invite is not None:  # a re-INVITE whose response may never come
            self.client_invite.cancelled(now)
        if self._offer_timer is not None:
            self._offer_timer.target = None
            self._offer_timer = None
        if self.refers:
            self.endpoint.wheel.start(now, self.endpoint.timers.timeout, self, _REFERS_OVER)
        else:
            self.endpoint.forget(self)

    def _drop_server_invite(self, now: float) -> None:
        """An INVITE that nobody will answer any more (section 15.1.2)."""
        invite = self.server_invite
        if invite is not None:
            self.server_invite = None
            invite.respond(487, now)

    def refer_over(self, refer: SentRefer) -> None:
        """A REFER has had its last news."""
        refers = self.refers
        if refers is not None and refers.pop(refer.number, None) is not None:
            over = not refers and self.state == TERMINATED
            if over:
                self.endpoint.forget(self)

    def timer_fired(self, what: int, now: float) -> None:
        """Repeat the 2xx, retry a re-INVITE after glare, or forget the dialog."""
        if what == _REPEAT_2XX:
            self._repeat_2xx(now)
        elif what == _RETRY_OFFER:
            self._offer_timer = None
            self._try_offer(now)
        else:
            self.refers = None
            self.endpoint.forget(self)

    def _repeat_2xx(self, now: float) -> None:
        endpoint = self.endpoint
        self._final_timer = None
        if self._final is None:
            return
        if now >= self._final_deadline:  # section 13.3.1.4: no ACK in 64*T1
            lines = self._bye_lines
            self._stop_2xx()
            if lines is not None:
                self._send_bye(now, lines)
            else:
                self._lose(now, 408)
            return
        endpoint.retransmitted += 1
        endpoint.send(self.listener, self._final_address, self._final)
        self._final_interval = min(self._final_interval * 2, endpoint.timers.t2)
        delay = min(self._final_interval, self._final_deadline - now)
        self._final_timer = endpoint.wheel.start(now, delay, self, _REPEAT_2XX)


class _Unheard:
    """The user of a request whose outcome changes nothing: BYE to a fork."""

    __slots__ = ()

    def response_received(
        self, transaction: ClientTransaction, response: Response, now: float
    ) -> None:
        """As good as any."""

    def transaction_failed(self, transaction: ClientTransaction, status: int, now: float) -> None:
        """The fork will find out by itself."""


_Handler = Callable[[InviteSession, ServerTransaction, Request, float], None]
_HANDLERS: Final[dict[str, _Handler]] = {
    "INVITE": InviteSession._reinvited,
    "BYE": InviteSession._hung_up,
    "UPDATE": InviteSession._updated,
    "NOTIFY": InviteSession._notified,
    "REFER": InviteSession._referred,
}
