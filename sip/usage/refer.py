"""REFER and the subscription it implies (RFC 3515, RFC 6665), sender and receiver."""

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sip.errors import InvalidState, ParseError, PeerError
from sip.events import ReferProgressed
from sip.grammar import check_answer, unescape
from sip.message import Request, Response, reason_phrase
from sip.replaces import Replaces
from sip.transaction.client import ClientTransaction
from sip.transaction.server import ServerTransaction
from sip.uri import SipUri
from sip.usage.subscription import Subscription
from sip.values import EventType, NameAddr, SubscriptionState, parse_sipfrag, sipfrag

if TYPE_CHECKING:
    from sip.usage.session import Session

SIPFRAG: Final = "message/sipfrag"
_EXPIRES: Final = 300
"""Seconds; longer than anybody is let ring, so that nobody has to refresh."""


class SentRefer:
    """A REFER that we sent; `target` is the URI in Refer-To.

    `silent`: the peer has agreed to send no NOTIFY (RFC 4488 section 4).

    NOTIFY may overtake the 202 (RFC 3515 section 2.4.4), so news are taken from the
    moment of sending.
    """

    __slots__ = ("final", "number", "over", "session", "silent", "status", "target")

    def __init__(self, session: "Session", target: str) -> None:
        self.session = session
        self.target = target
        self.number = 0  # the CSeq of the REFER, the id of its subscription
        self.status = 0  # the last that was heard
        self.final = False  # the outcome has been reported
        self.over = False  # so has the end of the subscription
        self.silent = False

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
            if response.status < 300 and _is_false(response.get("refer-sub")):
                self.silent = True
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
        state = _state(request.get("subscription-state") or "")
        if state is None:
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

    def refresh(self, now: float, seconds: int) -> None:
        """Ask for `seconds` more of news; 0: for none (RFC 3515 section 2.4.4)."""
        if self.over:
            raise InvalidState("the subscription is over")
        session = self.session
        lines = f"{session.contact}Event: refer;id={self.number}\r\nExpires: {seconds}\r\n"
        session.send_request(now, "SUBSCRIBE", lines, user=_Refreshed(self))

    def lost(self, status: int, now: float) -> None:
        """The subscription is over without a word about the outcome."""
        self._report(0, reason_phrase(status), notified=True, now=now, ended=True)

    def _report(
        self, status: int, reason: str, *, notified: bool, now: float, ended: bool = False
    ) -> None:
        if self.over:
            return
        final = ended or status >= (200 if notified else 300)
        if ended or self.silent or (final and not notified):
            self.over = True
            self.session.refer_over(self)
        if self.final:  # a 202 after the news, or the end of the subscription after them
            return
        self.status = status
        self.final = final
        self.session.endpoint.events.append(
            ReferProgressed(self, status, reason, notified=notified, final=final)
        )


def _state(text: str) -> SubscriptionState | None:
    """What NOTIFY says of its subscription; None where even its first word cannot be read.

    Parameters that cannot be read are left out: linphone ends with ``reason=reason=noresource``.
    """
    for said in (text, text.partition(";")[0]):
        with suppress(ParseError):
            return SubscriptionState.parse(said)
    return None


class _Refreshed:
    """The user of a SUBSCRIBE that prolongs the subscription of a REFER."""

    __slots__ = ("_refer",)

    def __init__(self, refer: SentRefer) -> None:
        self._refer = refer

    def response_received(
        self, _transaction: ClientTransaction, response: Response, now: float
    ) -> None:
        if response.status == 481:  # the peer does not know it any more (RFC 6665 section 4.1.2.2)
            self._refer.lost(response.status, now)

    def transaction_failed(self, _transaction: ClientTransaction, status: int, now: float) -> None:
        self._refer.lost(status, now)


class ReceivedRefer:
    """A REFER that a peer sent us: `accept` or `reject` it, then `notify` how it goes.

    `target` is Refer-To without its URI headers, `replaces` the one of them that counts
    (RFC 3891), `method` what it asks for, `referred_by` the header line to pass on
    (RFC 3892). `subscribed` is False where the sender wants no NOTIFY (RFC 4488).
    """

    __slots__ = (
        "_accepted",
        "_status",
        "_transaction",
        "method",
        "number",
        "referred_by",
        "replaces",
        "request",
        "session",
        "subscribed",
        "subscription",
        "target",
    )

    def __init__(
        self, session: "Session", transaction: ServerTransaction, request: Request
    ) -> None:
        """Raises PeerError unless there is exactly one well-formed Refer-To (section 2.4.2)."""
        self.session = session
        self.request = request
        self.target, self.method, self.replaces = _refer_to(request)
        self.number = request.cseq[0]
        self.referred_by = _referred_by(request)
        self.subscribed = not _is_false(request.get("refer-sub"))
        event = EventType("refer", str(self.number))
        self.subscription = Subscription(session, event, self)
        self._transaction: ServerTransaction | None = transaction
        self._accepted = False  # and not over yet
        self._status = (100, reason_phrase(100))

    def accept(self, now: float) -> None:
        """202, and the first NOTIFY at once (section 2.4.4), if it is wanted."""
        lines = self.session.contact
        if self.request.to_tag is None:
            lines += self.session.dialog.record_route_lines()
        if not self.subscribed:
            lines += f"Refer-Sub: false\r\n{self.session.endpoint.supported_line}"
        self._answer(now, 202, lines)
        self._accepted = True
        if self.subscribed:
            self.subscription.open(now, _EXPIRES)
        else:
            self.session.usage_over()

    def reject(self, now: float, status: int, reason: str = "") -> None:
        """Refuse with `status`."""
        self._answer(now, status, "", reason)
        self.session.usage_over()

    def _answer(self, now: float, status: int, lines: str, reason: str = "") -> None:
        if self._transaction is None:
            raise InvalidState("the REFER has been answered before")
        self._transaction.respond(status, now, lines, reason=reason)
        self._transaction = None

    def notify(self, now: float, status: int, reason: str = "") -> None:
        """Tell the status of the call to the target; 200 and above is the last word.

        Without a subscription (any more) nobody is told.
        """
        if not self._accepted:
            raise InvalidState("the REFER has not been accepted, or has had its last word")
        check_answer("", reason)
        self._status = (status, reason or reason_phrase(status))
        if status >= 200:
            self._accepted = False
            self.subscription.end(now, "noresource")
        else:
            self.subscription.changed(now)

    def news(self, _subscription: Subscription) -> tuple[str, bytes]:
        """The last status, as a fragment of a response (section 2.4.5, RFC 3420)."""
        return SIPFRAG, sipfrag(*self._status)

    def subscription_over(self, _subscription: Subscription, _now: float) -> None:
        """The transfer goes on; only its sender hears no more of it."""


def _is_false(refer_sub: str | None) -> bool:
    """Whether a Refer-Sub value declines the subscription (RFC 4488 section 4)."""
    return (refer_sub or "").partition(";")[0].strip(" \t").lower() == "false"


def _refer_to(request: Request) -> tuple[NameAddr, str, Replaces | None]:
    """Target, method and Replaces of Refer-To; other URI headers are dropped."""
    values = request.all("refer-to")
    try:
        if len(values) != 1:
            raise ParseError("Refer-To is not there exactly once")
        target = NameAddr.parse(values[0])
        uri = target.address
    except ParseError:
        raise PeerError("Refer-To is missing, repeated or malformed", 400) from None
    if not isinstance(uri, SipUri):
        return target, "INVITE", None
    replaces = [unescape(v) for name, v in uri.headers if unescape(name).lower() == "replaces"]
    if len(replaces) > 1:
        raise PeerError("Refer-To has more than one Replaces", 400)
    bare = replace(uri, headers=()).without_params("method")
    return (
        replace(target, uri=str(bare)),
        (uri.param("method") or "INVITE").upper(),
        Replaces.parse(replaces[0]) if replaces else None,
    )


def _referred_by(request: Request) -> str:
    """Referred-By as the line that the INVITE carries on (RFC 3892 section 2.2)."""
    values = [value for value in request.all("referred-by") if "\0" not in value]
    try:
        return f"Referred-By: {NameAddr.parse(values[0])}\r\n" if len(values) == 1 else ""
    except ParseError:
        return ""
