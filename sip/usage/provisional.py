"""Before the answer, and beside INVITE: provisional responses, PRACK and UPDATE.

RFC 3261 sections 13.2.2.1 and 13.3.1.1, RFC 3262, RFC 3311.
"""

from typing import TYPE_CHECKING, cast

from sip.dialog import Dialog
from sip.errors import InvalidState
from sip.grammar import check_answer, check_header
from sip.message import Request, Response
from sip.transaction.client import ClientTransaction
from sip.transaction.server import ServerTransaction
from sip.transport import Listener
from sip.usage.early import EarlyDialogs
from sip.usage.negotiation import (
    OVER,
    RECEIVE_SDP,
    SEND_OFFER,
    STABLE,
    Negotiation,
)
from sip.usage.oddity import inspect_response
from sip.usage.reliable import ReliableResponses, is_wanted
from sip.usage.session import CONFIRMED, EARLY, INITIAL, SDP, Session
from sip.usage.session_timer import SessionTimer

if TYPE_CHECKING:
    from sip.endpoint import Endpoint
    from sip.usage.invite import InviteSession


class ProvisionalSession(Session):
    """What `InviteSession` can do besides INVITE, ACK and BYE.

    `holds_prack`: the program calls `prack` for each reliable response, not only for one
    with an offer. `negotiation`, `reliable`, `early` and `timer` are None until UPDATE, a
    reliable response, a fork or Session-Expires shows up.
    """

    __slots__ = (
        "client_invite",
        "early",
        "holds_prack",
        "negotiation",
        "reliable",
        "server_invite",
        "timer",
    )

    def __init__(
        self, endpoint: "Endpoint", dialog: Dialog, listener: Listener, *, outgoing: bool
    ) -> None:
        Session.__init__(self, endpoint, dialog, listener, outgoing=outgoing)
        self.client_invite: ClientTransaction | None = None  # ours, no final response yet
        self.server_invite: ServerTransaction | None = None  # the peer's, not answered yet
        self.negotiation: Negotiation | None = None
        self.reliable: ReliableResponses | None = None  # ours, to `server_invite`
        self.early: EarlyDialogs | None = None  # of `client_invite`
        self.holds_prack = False
        self.timer: SessionTimer | None = None  # once a side speaks of session timers

    @property
    def busy(self) -> bool:
        """Whether an INVITE may not be sent now."""
        raise NotImplementedError

    @property
    def _whole(self) -> "InviteSession":
        return cast("InviteSession", self)  # there is no other

    def negotiate(self) -> Negotiation:
        """The state of offer and answer, followed from now on."""
        if self.negotiation is None:
            self.negotiation = Negotiation.of(self)
        return self.negotiation

    def described(self, what: int) -> None:
        """INVITE, its final response or ACK: an input of offer and answer."""
        if self.negotiation is not None:
            self.negotiation.apply(what)

    # The callee's side.

    def ring(
        self,
        now: float,
        status: int = 180,
        body: bytes = b"",
        lines: str = "",
        reason: str = "",
        *,
        reliable: bool = False,
    ) -> None:
        """Send a provisional response from 101 to 199.

        It is sent reliably (RFC 3262) where the caller requires that, or supports it and
        `reliable` asks for it; then it waits for the PRACK of the one before.
        """
        invite = self.unanswered("ring", lines, reason)
        if self.state == INITIAL:
            self.state = EARLY
        lines = self.response_lines(lines, body)
        if is_wanted(invite.request, asked=reliable):
            if self.reliable is None or self.reliable.invite is not invite:
                self.reliable = ReliableResponses(self._whole, invite)
            self.reliable.send(now, status, body, lines, reason)
        else:
            invite.reply(status, now, lines, body, reason)

    def unanswered(self, verb: str, lines: str, reason: str = "") -> ServerTransaction:
        """The INVITE that waits for our answer, with `lines` and a `reason` phrase.

        Raises InvalidState when none does, InvalidValue for texts that no answer can have.
        """
        check_answer(lines, reason)
        if self.server_invite is None:
            raise InvalidState(f"{verb}: no INVITE waits for an answer")
        if self.reliable is not None and self.reliable.answering and verb != "reject":
            raise InvalidState(f"{verb}: the answer waits for a PRACK")
        return self.server_invite

    def response_lines(self, lines: str, body: bytes) -> str:
        """The lines of a 1xx above 100 or a 2xx to INVITE."""
        record = ""
        routes = self.dialog.routes
        if routes and not self.outgoing:  # section 12.1.1
            record = "".join([f"Record-Route: {route}\r\n" for route in routes])
        if body:
            return f"{record}{self.contact}{lines}Content-Type: {SDP}\r\n"
        return f"{record}{self.contact}{lines}"

    def pracked(self, tx: ServerTransaction, request: Request, now: float) -> None:
        """PRACK: 481 where nothing waits for it (RFC 3262 section 3)."""
        if self.reliable is None or not self.reliable.acknowledged(tx, request, now):
            tx.respond(481, now)

    # The caller's side.

    def progressed(self, tx: ClientTransaction, response: Response, now: float) -> bool:
        """A response from 101 to 199; False when the program should not hear of it."""
        inspect_response(self, response)
        tag = response.to_tag
        early = self.early
        forked = self.dialog.remote_tag != tag and self.dialog.remote_tag is not None
        if early is not None or forked or response.get("rseq") is not None:
            if early is None or early.invite is not tx:
                early = self.early = EarlyDialogs(self._whole, tx)
            return early.take(response, now)
        if self.state == EARLY and tag is not None:
            self.dialog.meet(response)
        return True

    def prack(
        self,
        now: float,
        response: Response,
        body: bytes = b"",
        lines: str = "",
        context: object = None,
    ) -> None:
        """Acknowledge a reliable provisional response that holds an offer, with the answer.

        With `holds_prack` any such response waits for this, and `body` may be a new offer
        once the first is answered (RFC 3262 section 5). With a `context` see `Responded`.
        """
        check_header(lines)
        if self.early is None:
            raise InvalidState("prack: no response waits for a PRACK")
        self.early.acknowledge(response, now, body, lines, context)

    def owes_prack(self, response: Response) -> bool:
        """Whether a reliable response waits for `prack`."""
        return self.early is not None and self.early.owes(response)

    def turn_to(self, request: Request) -> bool:
        """Whether `request` is of another early dialog of ours; it is the session's then."""
        if self.early is None or self.dialog.call_id != request.call_id:
            return super().turn_to(request)
        return self.early.turn_to(request.from_tag)

    # Session timers.

    def reject(self, now: float, status: int, reason: str = "", lines: str = "") -> None:
        """Refuse the INVITE or re-INVITE."""
        raise NotImplementedError

    def timed(self, tx: ServerTransaction, now: float) -> bool:
        """INVITE or UPDATE of the peer: False when the session timer has answered it."""
        timers = self.endpoint.session_timers
        return timers is None or timers.admits(self, tx, now)

    def settled(self, response: Response, now: float) -> None:
        """A 2xx to our INVITE or UPDATE: the session timer starts anew, if there is one."""
        timer = self.timer
        if timer is None:
            if response.get("session-expires") is None or self.endpoint.session_timers is None:
                return
            timer = self.timer = SessionTimer(self, 0)
        timer.agreed(response, now)

    def agreement(self, request: Request, now: float) -> str:
        """The lines of the 2xx that the program sends to an UPDATE now."""
        if self.timer is None or self.state != CONFIRMED:
            return self.contact
        return self.contact + self.timer.answer(request, now)

    # UPDATE.

    def update(
        self, now: float, body: bytes = b"", lines: str = "", context: object = None
    ) -> ClientTransaction:
        """Send UPDATE, early or later; see `Responded`.

        Without a body it refreshes target and session; an offer needs the one before to be
        answered, in an early dialog by reliable responses (RFC 3311 section 5.1). After 491
        or 500 it is for the program to try again.
        """
        check_header(lines)
        if self._leaving or self.dialog.remote_tag is None or self.state == INITIAL:
            raise InvalidState("update: no dialog yet or any more")
        timing = ""
        if self.timer is not None and self.state == CONFIRMED:
            timing = self.endpoint.supported_line + self.timer.lines()
        lines = f"{self.contact}{timing}{lines}"
        if not body:
            return self.send_request(now, "UPDATE", lines, context=context, user=self)
        negotiation = self.negotiate()
        unheard = self.reliable is not None and self.reliable.outstanding
        if negotiation.state != STABLE or unheard:
            raise InvalidState("update: the offer before is not answered")
        tx = self.send_request(now, "UPDATE", lines, body, SDP, context=context, user=self)
        negotiation.apply(SEND_OFFER, tx)
        return tx

    def update_over(self, tx: ClientTransaction, agreed: Response | None, now: float) -> None:
        """Our UPDATE has its final response; `agreed` is a 2xx."""
        if self.early is not None:
            self.early.turn_to(tx.request.to_tag)
        if agreed is not None:
            self.dialog.refresh(agreed)
            if self.state == CONFIRMED and not self._leaving:
                self.settled(agreed, now)
        if self.negotiation is not None and self.negotiation.carrier is tx:
            body = agreed is not None and agreed.body
            self.negotiation.apply(RECEIVE_SDP if body else OVER, tx)

    def updated(self, tx: ServerTransaction, request: Request, now: float) -> None:
        """UPDATE: refused while an offer is outstanding (RFC 3311 section 5.2)."""
        if self.may_offer(tx, request, now) and self.timed(tx, now):
            super().updated(tx, request, now)

    def may_offer(self, tx: ServerTransaction, request: Request, now: float) -> bool:
        """Whether UPDATE or re-INVITE comes at a time for it; else it has been refused."""
        update = tx if request.method == "UPDATE" else None
        status = self.negotiate().refusal(update, offer=bool(request.sdp))
        if status:
            self.refuse_offer(tx, status, now)
        return status == 0

    def refuse_offer(self, tx: ServerTransaction, status: int, now: float) -> None:
        """491: ours is outstanding. 500: the peer's own is, it may try again soon."""
        seconds = self.endpoint.ids.below(11)
        tx.respond(status, now, f"Retry-After: {seconds}\r\n" if status == 500 else "")
