"""The caller's early dialogs: forks (RFC 3261 13.2.2.4), and PRACK in each (RFC 3262 4)."""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sip.dialog import Dialog
from sip.errors import InvalidState
from sip.events import Responded
from sip.message import Response
from sip.transaction.client import ClientTransaction
from sip.usage.negotiation import (
    ASKED,
    OFFERED,
    OVER,
    RECEIVE_SDP,
    SEND_OFFER,
    SEND_SDP,
    STABLE,
    WANTED,
    Negotiation,
)
from sip.usage.session import EARLY, SDP

if TYPE_CHECKING:
    from sip.usage.invite import InviteSession

_GONE: Final = 199  # RFC 6228: this early dialog is over, the INVITE goes on


class EarlyDialog:
    """One of them; `number` is the RSeq acknowledged last, 0 before the first.

    `waiting` is the reliable response that the program is to acknowledge.
    """

    __slots__ = ("dialog", "negotiation", "number", "waiting")

    def __init__(self, dialog: Dialog, negotiation: Negotiation) -> None:
        self.dialog = dialog
        self.negotiation = negotiation
        self.number = 0
        self.waiting: Response | None = None


class EarlyDialogs:
    """The early dialogs of `invite`, by the tag of the callee.

    Made when a second one shows up, or a response is reliable. The dialog of the session is
    the one heard last. A re-INVITE has one, the session's own.
    """

    __slots__ = ("_dialogs", "invite", "session")

    def __init__(self, session: "InviteSession", invite: ClientTransaction) -> None:
        self.session = session
        self.invite = invite
        self._dialogs: dict[str, EarlyDialog] = {}
        dialog = session.dialog
        if dialog.remote_tag is not None:
            self._dialogs[dialog.remote_tag] = EarlyDialog(dialog, session.negotiate())

    def __len__(self) -> int:
        return len(self._dialogs)

    def take(self, response: Response, now: float) -> bool:
        """A provisional response above 100; False when the program should not hear of it.

        That is a retransmission, or one out of order (RFC 3262 section 4).
        """
        tag = response.to_tag
        if tag is None:
            return True
        early = self._dialogs.get(tag)
        if early is None:
            if self.session.state != EARLY:
                return False
            early = self._meet(tag, response)
        number = _reliable_number(response)
        if number:
            if early.number and number != early.number + 1:
                return False
            early.number = number
        if self.session.state == EARLY:
            early.dialog.refresh(response)
        self._turn_to(early)
        if number:
            self._reliable(early, response, now)
        if response.status == _GONE:
            self.drop(tag)
        return True

    def _meet(self, tag: str, response: Response) -> EarlyDialog:
        session = self.session
        dialog = session.dialog
        if dialog.remote_tag is None:
            dialog.meet(response)
            negotiation = session.negotiate()
        else:
            dialog = dialog.fork(response)
            dialog.local_cseq = self.invite.request.cseq[0]
            negotiation = Negotiation(OFFERED if self.invite.request.body else WANTED)
        early = self._dialogs[tag] = EarlyDialog(dialog, negotiation)
        return early

    def _turn_to(self, early: EarlyDialog) -> None:
        self.session.dialog = early.dialog
        self.session.negotiation = early.negotiation

    def turn_to(self, tag: str | None) -> bool:
        """Make the early dialog with this tag the session's; False when there is none."""
        early = self._dialogs.get(tag) if tag is not None else None
        if early is None:
            return False
        self._turn_to(early)
        return True

    def drop(self, tag: str | None) -> None:
        """This early dialog is over; the others go on."""
        early = self._dialogs.pop(tag, None) if tag is not None else None
        if early is not None and early.dialog is self.session.dialog and self._dialogs:
            self._turn_to(next(reversed(self._dialogs.values())))

    def confirm(self, response: Response) -> None:
        """The 2xx: its dialog is the session's, the others are over (section 13.2.2.4)."""
        if not self.turn_to(response.to_tag):
            invite = self.invite.request
            self.session.negotiation = Negotiation(OFFERED if invite.body else WANTED)

    # PRACK.

    def _reliable(self, early: EarlyDialog, response: Response, now: float) -> None:
        if response.sdp:
            early.negotiation.apply(RECEIVE_SDP)
        early.waiting = response
        if early.negotiation.state != ASKED and not self.session.holds_prack:
            self.acknowledge(response, now, b"", "", None)

    def owes(self, response: Response) -> bool:
        """Whether the program is still to acknowledge this response."""
        early = self._dialogs.get(response.to_tag or "")
        return early is not None and early.waiting is response

    def acknowledge(
        self, response: Response, now: float, body: bytes, lines: str, context: object
    ) -> None:
        """Send the PRACK for a reliable response that still waits for it."""
        session = self.session
        early = self._dialogs.get(response.to_tag or "")
        if early is None or early.waiting is not response:
            raise InvalidState("prack: the response does not wait for its PRACK")
        state = early.negotiation.state
        if state == ASKED and not body:
            raise InvalidState("prack: the response holds an offer: an answer is due")
        if body and state not in (ASKED, STABLE):
            raise InvalidState("prack: no offer is allowed before the answer")
        early.waiting = None
        self._turn_to(early)
        number, method = response.cseq
        user = SentPrack(self, early, context, offer=bool(body) and state == STABLE)
        lines = f"RAck: {early.number} {number} {method}\r\n{lines}"
        tx = session.send_request(now, "PRACK", lines, body, SDP, user=user)
        if user.offer:
            early.negotiation.apply(SEND_OFFER, tx)
        elif body:
            early.negotiation.apply(SEND_SDP)

    def prack_over(self, prack: "SentPrack", status: int, now: float) -> None:
        """A PRACK has its final response: 408 and 481 end its dialog (section 12.2.1.2)."""
        session = self.session
        if status in (408, 481) and session.state == EARLY and session.early is self:
            tag = prack.early.dialog.remote_tag
            if len(self) > 1 or tag not in self._dialogs:
                self.drop(tag)
            else:
                with suppress(InvalidState):
                    session.cancel(now)


class SentPrack:
    """A PRACK under way; `offer`: it holds one, and its 2xx the answer."""

    __slots__ = ("_context", "_dialogs", "early", "offer")

    def __init__(
        self, dialogs: EarlyDialogs, early: EarlyDialog, context: object, *, offer: bool
    ) -> None:
        self._dialogs = dialogs
        self.early = early
        self._context = context
        self.offer = offer

    def response_received(
        self, transaction: ClientTransaction, response: Response, now: float
    ) -> None:
        """The answer to our offer, or only the end of it."""
        if response.status >= 200:
            self._over(transaction, response.status, response, now)

    def transaction_failed(self, transaction: ClientTransaction, status: int, now: float) -> None:
        """No response: the callee repeats its own for as long."""
        self._over(transaction, status, None, now)

    def _over(
        self, tx: ClientTransaction, status: int, response: Response | None, now: float
    ) -> None:
        if self.offer:
            agreed = response is not None and status < 300 and response.body
            self.early.negotiation.apply(RECEIVE_SDP if agreed else OVER, tx)
        session = self._dialogs.session
        if self._context is not None:
            session.endpoint.events.append(Responded(session, self._context, status, response))
        self._dialogs.prack_over(self, status, now)


def _reliable_number(response: Response) -> int:
    """The RSeq of a reliable response, 0 where it is not one."""
    value = (response.get("rseq") or "").strip(" \t")
    if value.isascii() and value.isdigit() and len(value) < 11:
        return int(value) if response.has_option("require", "100rel") else 0
    return 0
