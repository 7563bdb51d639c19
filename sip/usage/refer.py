"""REFER and the subscription it implies (RFC 3515, RFC 6665), sender and receiver."""

from typing import TYPE_CHECKING, Final

from sip.errors import InvalidState, ParseError
from sip.events import ReferProgressed
from sip.message import Request, Response, reason_phrase
from sip.transaction.client import ClientTransaction
from sip.transaction.server import ServerTransaction
from sip.values import EventType, NameAddr, SubscriptionState, parse_sipfrag, sipfrag

if TYPE_CHECKING:
    from sip.usage.session import Session

SIPFRAG: Final = "message/sipfrag"
_EXPIRES: Final = 60


class SentRefer:
    """A REFER that we sent; `target` is the URI in Refer-To.

    NOTIFY may overtake the 202 (RFC 3515 section 2.4.4), so news are taken from the
    moment of sending.
    """

    __slots__ = ("final", "number", "over", "session", "status", "target")

    def __init__(self, session: "Session", target: str) -> None:
        self.session = session
        self.target = target
        self.number = 0  # the CSeq of the REFER, the id of its subscription
        self.status = 0  # the last that was heard
        self.final = False  # the outcome has been reported
        self.over = False  # so has the end of the subscription

    @staticmethod
    def matching(refers: "dict[int, SentRefer] | None", request: Request) -> "SentRefer | None":
        """The REFER that a NOTIFY is about, by the id of its Event (section 2.4.6)."""
        if not refers:
            return None
        try:
            event = EventType.parse(request.get("event") or "")
        except ParseError:
            return None
        if event.package != "refer":
            return None
        if event.id is None:
            return next(iter(refers.values()))
        if event.id.isascii() and event.id.isdigit() and len(event.id) < 11:
            return refers.get(int(event.id))
        return None

    def response_received(
        self, _transaction: ClientTransaction, response: Response, now: float
    ) -> None:
        """202 opens the subscription, a refusal is the end."""
        if response.status >= 200:
            self._report(response.status, response.reason, notified=False, now=now)
            if response.status in (408, 481):  # section 12.2.1.2
                self.session.broken(response.status, now)

    def transaction_failed(self, _transaction: ClientTransaction, status: int, now: float) -> None:
        """No response to the REFER."""
        alive = self.status != 0  # a NOTIFY came all the same
        self._report(status, reason_phrase(status), notified=False, now=now)
        if status == 408 and not alive:  # section 12.2.1.2
            self.session.broken(status, now)

    def notified(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """A NOTIFY of this subscription."""
        try:
            state = SubscriptionState.parse(request.get("subscription-state") or "")
        except ParseError:
            transaction.respond(400, now, reason="Subscription-State is missing or malformed")
            return
        if request.body and request.content_type != SIPFRAG:
            transaction.respond(415, now, f"Accept: {SIPFRAG}\r\n")
            return
        transaction.respond(200, now)
        news = parse_sipfrag(request.body)
        ended = state.state == "terminated"
        if news is not None:
            self._report(news[0], news[1], notified=True, now=now, ended=ended)
        elif ended:
            # An end without an outcome: the peer will not tell how it went.
            self._report(0, state.reason or "", notified=True, now=now, ended=True)

    def _report(
        self, status: int, reason: str, *, notified: bool, now: float, ended: bool = False
    ) -> None:
        if self.over:
            return
        final = ended or status >= (200 if notified else 300)
        if ended or (final and not notified):
            self.over = True
            self.session.refer_over(self)
        if self.final:  # a 202 after the news, or the end of the subscription after them
            return
        self.status = status
        self.final = final
        self.session.endpoint.events.append(
            ReferProgressed(self, status, reason, notified=notified, final=final)
        )


class ReceivedRefer:
    """A REFER that a peer sent us: `accept` or `reject` it, then `notify` how it goes."""

    __slots__ = ("_active", "_transaction", "number", "request", "session", "target")

    def __init__(
        self,
        session: "Session",
        transaction: ServerTransaction,
        request: Request,
        target: NameAddr,
    ) -> None:
        self.session = session
        self.request = request
        self.target = target
        self.number = request.cseq[0]
        self._transaction: ServerTransaction | None = transaction
        self._active = False

    @classmethod
    def from_request(
        cls, session: "Session", transaction: ServerTransaction, request: Request
    ) -> "ReceivedRefer | None":
        """None unless there is exactly one well-formed Refer-To (RFC 3515 section 2.4.2)."""
        values = request.all("refer-to")
        if len(values) != 1:
            return None
        try:
            target = NameAddr.parse(values[0])
        except ParseError:
            return None
        return cls(session, transaction, request, target)

    def accept(self, now: float) -> None:
        """202, and the first NOTIFY at once (section 2.4.4)."""
        self._answer(now, 202)
        self._active = True
        self.notify(now, 100)

    def reject(self, now: float, status: int, reason: str = "") -> None:
        """Refuse with `status`."""
        self._answer(now, status, reason)

    def _answer(self, now: float, status: int, reason: str = "") -> None:
        if self._transaction is None:
            raise InvalidState("the REFER has been answered before")
        contact = self.session.contact if status < 300 else ""
        self._transaction.respond(status, now, contact, reason=reason)
        self._transaction = None

    def notify(self, now: float, status: int, reason: str = "") -> None:
        """Tell the status of the call to the target; 200 and above is the last word."""
        if not self._active:
            raise InvalidState("the subscription is not open")
        final = status >= 200
        self._active = not final
        state = "terminated;reason=noresource" if final else f"active;expires={_EXPIRES}"
        lines = (
            f"{self.session.contact}Event: refer;id={self.number}\r\n"
            f"Subscription-State: {state}\r\n"
        )
        body = sipfrag(status, reason or reason_phrase(status))
        self.session.send_request(now, "NOTIFY", lines, body, SIPFRAG, user=self)

    def response_received(
        self, _transaction: ClientTransaction, response: Response, _now: float
    ) -> None:
        """A refused NOTIFY ends the subscription (RFC 6665 section 4.2.2)."""
        if response.status >= 300:
            self._active = False

    def transaction_failed(
        self, _transaction: ClientTransaction, _status: int, _now: float
    ) -> None:
        """An unanswered NOTIFY ends the subscription."""
        self._active = False
