"""A subscription that we serve: its state, its time, its NOTIFYs (RFC 6665 section 4.2).

It stands on the dialog of a `Session`, beside an INVITE usage (RFC 5057) or in a dialog
of its own. A REFER makes one (RFC 3515), SUBSCRIBE makes and refreshes them, see
`sip.usage.notifier`. The states are a table; time and failed NOTIFYs are inputs.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from sip.errors import ParseError
from sip.grammar import delta_seconds
from sip.message import Request, Response
from sip.timers import Timer
from sip.transaction.client import ClientTransaction
from sip.transaction.server import ServerTransaction
from sip.values import EventType, SubscriptionState

if TYPE_CHECKING:
    from sip.usage.session import Session

# States.
INITIAL: Final = 0
PENDING: Final = 1
ACTIVE: Final = 2
OVER: Final = 3
STATE_NAMES: Final = ("initial", "pending", "active", "terminated")

# Inputs.
OPEN: Final = 0
OPEN_PENDING: Final = 1  # nobody has said yet whether it may be
FETCH: Final = 2  # SUBSCRIBE with Expires: 0 and no subscription before
APPROVE: Final = 3
CHANGE: Final = 4  # what is subscribed to has changed
REFRESH: Final = 5
UNSUBSCRIBE: Final = 6
EXPIRE: Final = 7
END: Final = 8
LOST: Final = 9  # a NOTIFY was refused, or nobody answered it


class Subject(Protocol):
    """What a subscription is to."""

    def news(self, subscription: "Subscription") -> tuple[str, bytes]:
        """Media type and body of the next NOTIFY."""

    def subscription_over(self, subscription: "Subscription", now: float) -> None:
        """The last NOTIFY has been sent, or the subscriber is gone."""


class Subscription:
    """One subscription of the peer of `session` to `event`.

    `reason` and `retry_after` stand in the NOTIFY that ends it (section 4.1.3).
    """

    __slots__ = (
        "_expires_at",
        "_seconds",
        "_timer",
        "event",
        "longest",
        "reason",
        "retry_after",
        "session",
        "state",
        "subject",
    )

    def __init__(self, session: "Session", event: EventType, subject: Subject) -> None:
        self.session = session
        self.event = event
        self.subject = subject
        self.state = INITIAL
        self.reason = "timeout"
        self.retry_after: int | None = None
        self.longest = 0  # seconds that it may be prolonged by
        self._seconds = 0
        self._expires_at = 0.0
        self._timer: Timer | None = None

    def __repr__(self) -> str:
        return f"<Subscription {self.event} {STATE_NAMES[self.state]}>"

    @property
    def key(self) -> str:
        """What tells the subscriptions of one dialog apart: package and id (section 4.5.2)."""
        return key_of(self.event)

    @property
    def over(self) -> bool:
        """Whether nothing more will be notified."""
        return self.state == OVER

    def open(self, now: float, seconds: int, *, pending: bool = False) -> None:
        """Begin, for `seconds`; the first NOTIFY goes out at once (section 4.2.1.2).

        With 0 seconds that is the only one.
        """
        self.longest = self._seconds = seconds
        if not seconds:
            self.apply(FETCH, now)
            return
        session = self.session
        if session.subscriptions is None:
            session.subscriptions = {}
        session.subscriptions[self.key] = self
        self.apply(OPEN_PENDING if pending else OPEN, now)

    def approve(self, now: float) -> None:
        """A pending subscription becomes active."""
        self.apply(APPROVE, now)

    def changed(self, now: float) -> None:
        """Tell the subscriber, if the subscription is active."""
        self.apply(CHANGE, now)

    def refresh(self, now: float, seconds: int) -> None:
        """A SUBSCRIBE has come again; with 0 seconds it is the end (sections 4.2.1.4, 4.4.3)."""
        self._seconds = seconds
        self.apply(REFRESH if seconds else UNSUBSCRIBE, now)

    def end(self, now: float, reason: str, retry_after: int | None = None) -> None:
        """The last NOTIFY, with an event-reason-value of section 4.1.3."""
        self.reason, self.retry_after = reason, retry_after
        self.apply(END, now)

    def apply(self, what: int, now: float) -> None:
        """Take one input; one that the state has no row for changes nothing."""
        row = TABLE[self.state].get(what)
        if row is not None:
            self.state = row[0]
            for effect in row[1]:
                effect(self, now)

    def timer_fired(self, _what: int, now: float) -> None:
        """Nobody has refreshed it."""
        self._timer = None
        self.apply(EXPIRE, now)

    # What becomes of a NOTIFY.

    def response_received(
        self, _transaction: ClientTransaction, response: Response, now: float
    ) -> None:
        """A refusal is the end, unless it asks for patience or an older NOTIFY came late."""
        status = response.status
        if status >= 300 and status not in (401, 407, 500) and not response.get("retry-after"):
            self.apply(LOST, now)

    def transaction_failed(self, _transaction: ClientTransaction, _status: int, now: float) -> None:
        """Nobody answers: the end (section 4.2.2)."""
        self.apply(LOST, now)

    def subscription_state(self, now: float) -> SubscriptionState:
        """The Subscription-State of a NOTIFY sent now."""
        if self.state == OVER:
            return SubscriptionState("terminated", None, self.reason, self.retry_after)
        remaining = max(0, round(self._expires_at - now))
        return SubscriptionState(STATE_NAMES[self.state], remaining)


def key_of(event: EventType) -> str:
    """Package and id of an Event header, as one text."""
    return event.package if event.id is None else f"{event.package};id={event.id}"


def event_of(request: Request) -> EventType:
    """What a SUBSCRIBE or NOTIFY is about. Raises ParseError: Event must be there."""
    return EventType.parse(request.get("event") or "")


def expires_of(request: Request) -> int | None:
    """Expires in seconds, None where it is missing or no number."""
    return delta_seconds(request.get("expires"))


def refreshed(session: "Session", tx: ServerTransaction, request: Request, now: float) -> bool:
    """Let SUBSCRIBE prolong or end a subscription of `session`; False where there is none.

    How long it may last was settled when it was made (section 4.2.1.1): never longer.
    """
    try:
        event = event_of(request)
    except ParseError as error:
        tx.respond(error.status, now, reason=error.reason)
        return True
    subscription = (session.subscriptions or {}).get(key_of(event))
    if subscription is None:
        return False
    wanted = expires_of(request)
    seconds = subscription.longest if wanted is None else min(wanted, subscription.longest)
    session.dialog.refresh(request)
    tx.respond(200, now, f"{session.contact}Expires: {seconds}\r\n")
    subscription.refresh(now, seconds)
    return True


# Effects.


def _stop(subscription: Subscription, _now: float) -> None:
    if subscription._timer is not None:
        subscription._timer.stop()
        subscription._timer = None


def _start(subscription: Subscription, now: float) -> None:
    _stop(subscription, now)
    seconds = subscription._seconds
    subscription._expires_at = now + seconds
    wheel = subscription.session.endpoint.wheel
    subscription._timer = wheel.start(now, seconds, subscription, 0)


def _notify(subscription: Subscription, now: float) -> None:
    session = subscription.session
    content_type, body = "", b""
    if subscription.state != PENDING:  # whoever may not know yet is told nothing
        content_type, body = subscription.subject.news(subscription)
    event = EventType(subscription.event.package, subscription.event.id)
    lines = (
        f"{session.contact}Event: {event}\r\n"
        f"Subscription-State: {subscription.subscription_state(now)}\r\n"
    )
    session.send_request(now, "NOTIFY", lines, body, content_type, user=subscription)


def _leave(subscription: Subscription, now: float) -> None:
    session = subscription.session
    if session.subscriptions is not None:
        session.subscriptions.pop(subscription.key, None)
    subscription.subject.subscription_over(subscription, now)
    session.usage_over()


Effect = Callable[[Subscription, float], None]
_LAST_WORD: Final = (OVER, (_stop, _notify, _leave))
_ENDS: Final[Mapping[int, tuple[int, tuple[Effect, ...]]]] = {
    UNSUBSCRIBE: _LAST_WORD,
    EXPIRE: _LAST_WORD,
    END: _LAST_WORD,
    LOST: (OVER, (_stop, _leave)),
}

TABLE: Final[Mapping[int, Mapping[int, tuple[int, tuple[Effect, ...]]]]] = {
    INITIAL: {
        OPEN: (ACTIVE, (_start, _notify)),
        OPEN_PENDING: (PENDING, (_start, _notify)),
        FETCH: (OVER, (_notify, _leave)),
    },
    PENDING: {
        APPROVE: (ACTIVE, (_notify,)),
        REFRESH: (PENDING, (_start, _notify)),
        **_ENDS,
    },
    ACTIVE: {
        CHANGE: (ACTIVE, (_notify,)),
        REFRESH: (ACTIVE, (_start, _notify)),
        **_ENDS,
    },
    OVER: {},
}
