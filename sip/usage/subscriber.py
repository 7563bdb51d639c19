"""A subscription of ours: SUBSCRIBE, and the NOTIFYs that come (RFC 6665 section 4.1).

In the dialog of a session, or in one of its own that the first NOTIFY makes: it may come
before the 2xx, and from another branch where the SUBSCRIBE was forked (section 4.4.1). The
program reads `Notified` and `Unsubscribed`; until it ends it, the subscription renews itself.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from sip.dialog import Dialog
from sip.errors import InvalidState, ParseError
from sip.events import Notified, Unsubscribed
from sip.grammar import check_header, delta_seconds
from sip.inspection import check_lines
from sip.message import Request, Response, reason_phrase
from sip.timers import Timer
from sip.transaction.client import ClientTransaction
from sip.transaction.server import ServerTransaction
from sip.usage.notifier import SubscriptionSession
from sip.usage.session import Session
from sip.usage.subscription import key_of
from sip.values import EventType, SubscriptionState

if TYPE_CHECKING:
    from sip.endpoint import Endpoint

# States: figure 1 of the RFC, and the wait for the last NOTIFY.
WAITING: Final = 0  # for the first NOTIFY
PENDING: Final = 1
ACTIVE: Final = 2
LEAVING: Final = 3
OVER: Final = 4
STATE_NAMES: Final = ("waiting", "pending", "active", "leaving", "terminated")

# Inputs.
HEARD_PENDING: Final = 0
HEARD_ACTIVE: Final = 1
HEARD_TERMINATED: Final = 2
REFUSED: Final = 3
GONE: Final = 4  # a refusal that ends a subscription that was there
LEAVE: Final = 5
TIMER_N: Final = 6
RENEW: Final = 7
EXPIRE: Final = 8

# What a refused renewal means the end with (section 4.1.2.2); others leave it as it was.
_FATAL: Final = frozenset((404, 405, 410, 416, *range(480, 486), 489, 501, 604))


class SentSubscription:
    """One subscription of ours to `event` at the peer of `session`; `expires` is in seconds.

    `accept` are the media types that NOTIFY may bring, any where there are none.
    """

    __slots__ = (
        "_timers",
        "accept",
        "event",
        "expires",
        "lines",
        "reason",
        "retry_after",
        "session",
        "state",
        "status",
    )

    def __init__(
        self, session: Session, event: EventType, expires: int, accept: tuple[str, ...], lines: str
    ) -> None:
        self.session = session
        self.event = event
        self.expires = expires
        self.accept = accept
        media_types = f"Accept: {', '.join(accept)}\r\n" if accept else ""
        self.lines = media_types + lines
        check_header(self.lines)
        self.state = WAITING
        self.status = 0  # of the response that ended it
        self.reason = ""
        self.retry_after: int | None = None
        self._timers: dict[int, Timer] = {}

    def __repr__(self) -> str:
        return f"<SentSubscription {self.event} {STATE_NAMES[self.state]}>"

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.state == OVER

    def start(self, now: float) -> None:
        """Send the first SUBSCRIBE."""
        session = self.session
        if session.watches is None:
            session.watches = {}
        session.watches[key_of(self.event)] = self
        self._send(now)
        self._wait(TIMER_N, session.endpoint.timers.timeout, now)

    def end(self, now: float) -> None:
        """Unsubscribe (section 4.1.2.3); `Unsubscribed` comes with the last NOTIFY."""
        if self.state in (LEAVING, OVER):
            raise InvalidState("unsubscribe: the subscription is over, or about to be")
        self.expires = 0
        self.apply(LEAVE, now)

    def apply(self, what: int, now: float) -> None:
        """Take one input; one that the state has no row for changes nothing."""
        row = TABLE[self.state].get(what)
        if row is not None:
            self.state = row[0]
            for effect in row[1]:
                effect(self, now)

    def timer_fired(self, what: int, now: float) -> None:
        """Timer N, the time to renew, or the end of the time granted."""
        self._timers.pop(what, None)
        if what != RENEW:
            self.reason = "timeout"
        self.apply(what, now)

    def _wait(self, what: int, delay: float, now: float) -> None:
        self._stop(what)
        self._timers[what] = self.session.endpoint.wheel.start(now, delay, self, what)

    def _stop(self, what: int) -> None:
        timer = self._timers.pop(what, None)
        if timer is not None:
            timer.stop()

    def _granted(self, seconds: int, now: float) -> None:
        """The time that the notifier gives: renewed before it is over."""
        self._wait(EXPIRE, seconds, now)
        self._wait(RENEW, seconds - min(30.0, seconds / 2), now)

    def _send(self, now: float) -> None:
        self.session.send_request(
            now,
            "SUBSCRIBE",
            f"{self.session.contact}Event: {self.event}\r\nExpires: {self.expires}\r\n{self.lines}",
            user=self,
        )

    # What comes.

    def response_received(self, tx: ClientTransaction, response: Response, now: float) -> None:
        """2xx tells how long; 423 asks for longer (section 4.1.2.1)."""
        status = response.status
        if status < 200 or self.over:
            return
        if status >= 300:
            least = delta_seconds(response.get("min-expires"))
            if status == 423 and self.expires and least is not None and least > self.expires:
                self.expires = least
                self._send(now)
                return
            self._refused(status, response.reason, now)
            return
        seconds = delta_seconds(response.get("expires"))
        if seconds and self.state != LEAVING:
            self._granted(min(seconds, self.expires), now)

    def transaction_failed(self, _tx: ClientTransaction, status: int, now: float) -> None:
        """No response: as good as a refusal; a subscription that was there lasts its time."""
        self._refused(status, reason_phrase(status), now)

    def _refused(self, status: int, reason: str, now: float) -> None:
        fatal = status in _FATAL
        if self.state in (WAITING, LEAVING) or fatal:
            self.status, self.reason = status, reason
        self.apply(GONE if fatal else REFUSED, now)

    def notified(self, tx: ServerTransaction, request: Request, now: float) -> None:
        """A NOTIFY of this subscription (section 4.1.3)."""
        try:
            state = SubscriptionState.parse(request.get("subscription-state") or "")
        except ParseError:
            tx.respond(400, now, reason="Subscription-State is missing or malformed")
            return
        if request.body and self.accept and request.content_type not in self.accept:
            tx.respond(415, now, f"Accept: {', '.join(self.accept)}\r\n")
            return
        self.session.dialog.refresh(request)
        tx.respond(200, now)
        self._stop(TIMER_N if self.state != LEAVING else RENEW)
        ended = state.state == "terminated"
        self.session.endpoint.events.append(Notified(self, request, state))
        if ended:
            self.reason, self.retry_after = state.reason or "", state.retry_after
        elif state.expires is not None and self.state != LEAVING:
            self._granted(state.expires, now)
        pending = state.state == "pending"
        self.apply(HEARD_TERMINATED if ended else HEARD_PENDING if pending else HEARD_ACTIVE, now)


# Effects.


def _renew(subscription: SentSubscription, now: float) -> None:
    subscription._send(now)


def _leave(subscription: SentSubscription, now: float) -> None:
    for what in (RENEW, EXPIRE):
        subscription._stop(what)
    subscription._send(now)
    subscription._wait(TIMER_N, subscription.session.endpoint.timers.timeout, now)


def _finish(subscription: SentSubscription, _now: float) -> None:
    for what in list(subscription._timers):
        subscription._stop(what)
    session = subscription.session
    if session.watches is not None:
        session.watches.pop(key_of(subscription.event), None)
    session.endpoint.events.append(Unsubscribed(subscription))
    session.usage_over()


Effect = Callable[[SentSubscription, float], None]
_OVER: Final = (OVER, (_finish,))
_LIVE: Final[Mapping[int, tuple[int, tuple[Effect, ...]]]] = {
    HEARD_PENDING: (PENDING, ()),
    HEARD_ACTIVE: (ACTIVE, ()),
    HEARD_TERMINATED: _OVER,
    GONE: _OVER,
    LEAVE: (LEAVING, (_leave,)),
    EXPIRE: _OVER,
}

TABLE: Final[Mapping[int, Mapping[int, tuple[int, tuple[Effect, ...]]]]] = {
    WAITING: {**_LIVE, REFUSED: _OVER, TIMER_N: _OVER},
    PENDING: {**_LIVE, RENEW: (PENDING, (_renew,))},
    ACTIVE: {**_LIVE, RENEW: (ACTIVE, (_renew,))},
    LEAVING: {HEARD_TERMINATED: _OVER, REFUSED: _OVER, GONE: _OVER, TIMER_N: _OVER},
    OVER: {},
}


def subscribe_in(
    session: Session,
    now: float,
    event: EventType,
    *,
    expires: int = 3600,
    accept: tuple[str, ...] = (),
    lines: str = "",
) -> SentSubscription:
    """Subscribe in the dialog of `session`. Raises InvalidState where there is none."""
    if session.leaving or session.dialog.remote_tag is None:
        raise InvalidState("subscribe: no dialog yet or any more")
    if key_of(event) in (session.watches or {}):
        raise InvalidState(f"subscribe: {event} is subscribed to already; give it an id")
    subscription = SentSubscription(session, event, expires, accept, lines)
    subscription.start(now)
    return subscription


def subscribe(
    endpoint: "Endpoint",
    now: float,
    uri: str,
    event: EventType,
    *,
    from_: str,
    to: str,
    expires: int = 3600,
    accept: tuple[str, ...] = (),
    lines: str = "",
    next_hop: str = "",
) -> SentSubscription:
    """Subscribe at `uri` in a dialog of its own; with 0 seconds the state is fetched once.

    `from_` and `to` are name-addrs without tags. Raises InvalidValue, and nothing is sent,
    when the destination cannot be used or a text cannot stand in a header line.
    """
    check_lines(uri, from_, to)
    host, listener = endpoint.way_to(next_hop or uri)
    tag = endpoint.new_tag()
    call_id = f"{endpoint.ids.hex(32)}@{listener.local_host(host)}"
    dialog = Dialog(call_id, f"{from_};tag={tag}", tag, to, uri)
    session = SubscriptionSession(endpoint, dialog, listener, outgoing=True)
    session.contact = endpoint.contact_line(listener, host, "")
    session.first_hop = next_hop
    subscription = SentSubscription(session, event, expires, accept, lines)
    session.enter()
    subscription.start(now)
    return subscription
