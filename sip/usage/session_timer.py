"""Session timers (RFC 4028): who refreshes a session how often, and its end without that.

`SessionTimers` is what an endpoint wants, `SessionTimer` what one session has agreed to; a
session where neither side speaks of timers has none. Every INVITE, re-INVITE and UPDATE of
such a session asks anew, every 2xx settles it. The refresh is an UPDATE that the program
does not hear of, or, to a peer whose Allow lacks UPDATE, a re-INVITE that it is asked for
by `RefreshDue`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from sip.errors import InvalidValue, ParseError
from sip.events import RefreshDue
from sip.message import Message, Request, Response
from sip.session_expires import MIN_SE, MinSE, SessionExpires
from sip.timers import Timer
from sip.traffic import SESSION
from sip.transaction.client import ClientTransaction
from sip.transaction.server import ServerTransaction
from sip.usage.again import Attempts, Change
from sip.usage.session import CONFIRMED, INITIAL

if TYPE_CHECKING:
    from sip.endpoint import Endpoint
    from sip.usage.invite import InviteSession
    from sip.usage.provisional import ProvisionalSession

OPTION: Final = "timer"

EXPIRED: Final = 'SIP;cause=408;text="Session timer expired"'
"""The Reason of our BYE (RFC 3326)."""

_DUE: Final = 0
_EXPIRES: Final = 1

_SHORTEST: Final = 10  # seconds: a peer that agrees to less is not refreshed more often


@dataclass(frozen=True, slots=True)
class SessionTimers:
    """What an endpoint asks for and takes; times in seconds.

    `expires` is the interval that it asks for, and the longest that it grants; 0: it asks for
    none and grants any. Requests for less than `min_se` are refused by 422. `refresher`:
    ``local``, ``remote``, or ``auto``, which leaves the choice to the peer, and means the
    caller where that leaves it open too. Raises InvalidValue.
    """

    expires: int = 0
    min_se: int = MIN_SE
    refresher: str = "auto"

    def __post_init__(self) -> None:
        if self.min_se < 1:
            raise InvalidValue(f"min_se: {self.min_se} is not above 0")
        if 0 != self.expires < self.min_se:
            raise InvalidValue(f"expires: {self.expires} is below min_se ({self.min_se})")
        if self.refresher not in ("auto", "local", "remote"):
            raise InvalidValue(f"refresher: {self.refresher!r} is not auto, local or remote")

    def serve(self, endpoint: "Endpoint") -> None:
        """Have `endpoint` understand session timers from now on."""
        endpoint.session_timers = self
        endpoint.amendments[422] = ask_for_longer
        endpoint.support(OPTION)

    def ask(self, session: "ProvisionalSession", expires: int | None, min_se: int) -> None:
        """Have the first INVITE of `session` ask for a timer; None: as this endpoint does."""
        wanted = self.expires if expires is None else expires
        if wanted:
            timer = session.timer = SessionTimer(session, max(wanted, min_se, self.min_se))
            timer.min_se = max(min_se, self.min_se if self.min_se > MIN_SE else 0)

    def admits(self, session: "ProvisionalSession", tx: ServerTransaction, now: float) -> bool:
        """Take what an INVITE, re-INVITE or UPDATE of the peer says of timers (section 9).

        False when it is answered already: refused, or an UPDATE that only refreshes.
        """
        request = tx.request
        value = request.get("session-expires")
        timer = session.timer
        if value is None and timer is None and not self.expires:
            return True
        update = request.method == "UPDATE"
        if update and session.state != CONFIRMED:
            return True  # no session yet: nothing to refresh
        try:
            asked = SessionExpires.parse(value).seconds if value is not None else 0
        except ParseError:
            _refuse(session, tx, 400, "", "Session-Expires is malformed", now)
            return False
        if 0 < asked < self.min_se or (value is not None and not asked):
            if _is_supported(request):
                _refuse(session, tx, 422, f"Min-SE: {self.min_se}\r\n", "", now)
                return False
            asked = 0  # 422 would mean nothing to it; this is as if it had not asked
        if timer is None:
            if not (asked or self.expires):
                return True
            timer = session.timer = SessionTimer(session, asked or self.expires)
        timer.heard(request)
        if not update or request.body or value is None:
            return True
        session.dialog.refresh(request)
        lines = session.contact + session.endpoint.capability_lines
        tx.respond(200, now, lines + timer.answer(request, now))
        return False


class SessionTimer:
    """The timer of one session.

    `interval` is the session interval in seconds, asked for or agreed to; `min_se` the
    highest Min-SE heard, 0 before one was. `refreshing` says whether we are the one to
    refresh, None while nothing is agreed; `due`, that we should have by now.
    """

    __slots__ = (
        "_expires",
        "_lone",
        "_over",
        "_session",
        "_timer",
        "_update",
        "_updates",
        "due",
        "interval",
        "min_se",
        "refreshing",
    )

    def __init__(self, session: "ProvisionalSession", interval: int) -> None:
        self._session = session
        self.interval = interval
        self.min_se = 0
        self.refreshing: bool | None = None
        self.due = False
        self._lone = False  # the peer knows nothing of timers: for it no session expires
        self._updates: bool | None = False  # the peer takes UPDATE; None: it has refused one
        self._update: ClientTransaction | None = None  # our refresh, under way
        self._expires = 0.0
        self._timer: Timer | None = None
        self._over = False

    def __repr__(self) -> str:
        return f"<SessionTimer {self.interval} s, refreshing: {self.refreshing}>"

    @property
    def _policy(self) -> SessionTimers:
        policy = self._session.endpoint.session_timers
        assert policy is not None
        return policy

    # What messages say.

    def lines(self) -> str:
        """The header lines of our INVITE, re-INVITE or UPDATE (sections 7.1 and 7.4)."""
        if self.refreshing is None:
            refresher = {"local": "uac", "remote": "uas"}.get(self._policy.refresher, "")
        else:
            refresher = "uac" if self.refreshing else "uas"
        # Not below Min-SE: a smaller one would only be refused.
        asked = SessionExpires(max(self.interval, self.min_se), refresher)
        min_se = f"Min-SE: {self.min_se}\r\n" if self.min_se else ""
        return f"Session-Expires: {asked}\r\n{min_se}"

    def heard(self, message: Message) -> None:
        """What the peer says of itself besides."""
        if self._updates is not None and message.get("allow") is not None:
            self._updates = "UPDATE" in message.tokens("allow")
        if isinstance(message, Request):
            self.min_se = max(self.min_se, _min_se(message))

    def answer(self, request: Request, now: float) -> str:
        """Settle for our 2xx to `request`; returns its header lines (section 9)."""
        policy = self._policy
        supported = _is_supported(request)
        asked = _session_expires(request)
        least = _min_se(request) or min(MIN_SE, policy.min_se)
        if asked is None or asked.seconds < policy.min_se:
            interval, refresher = max(self.interval, least), ""
        else:
            longest = max(policy.expires, least) if policy.expires else asked.seconds
            interval, refresher = min(asked.seconds, longest), asked.refresher
        if not supported:
            refresher = "uas"
        elif not refresher:
            ours = policy.refresher == "local" if self.refreshing is None else self.refreshing
            refresher = "uas" if ours else "uac"
        self._settle(interval, now, refreshing=refresher == "uas", lone=not supported)
        require = f"Require: {OPTION}\r\n" if supported else ""
        return f"Session-Expires: {SessionExpires(interval, refresher)}\r\n{require}"

    def agreed(self, response: Response, now: float) -> None:
        """A 2xx to our INVITE, re-INVITE or UPDATE (section 7.2)."""
        if self._over:
            return
        self.heard(response)
        agreed = _session_expires(response)
        if agreed is None and self.interval == 0:
            self._session.timer = None  # neither side has asked in words that can be read
        elif agreed is None:  # for our own benefit only
            self._settle(self.interval, now, refreshing=True, lone=True)
        else:
            shortest = min(_SHORTEST, self._policy.min_se)
            interval = max(agreed.seconds, shortest)
            self._settle(interval, now, refreshing=agreed.refresher != "uas", lone=False)

    # Time.

    def _settle(self, interval: int, now: float, *, refreshing: bool, lone: bool) -> None:
        self.interval = interval
        self.refreshing = refreshing
        self._lone = lone
        self.due = False
        self._expires = now + interval
        if refreshing:
            self._start(now, interval / 2, _DUE)  # section 10
        else:
            self._start(now, interval - min(32.0, interval / 3), _EXPIRES)

    def _start(self, now: float, delay: float, what: int) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self._session.endpoint.wheel.start(now, delay, self, what)

    def stop(self) -> None:
        """The session is ending."""
        self._over = True
        if self._timer is not None:
            self._timer.stop()

    def timer_fired(self, what: int, now: float) -> None:
        """It is time to refresh, to try again, or to end the session."""
        session = self._session
        session.endpoint.traffic.timers[SESSION] += 1
        left = self._expires - now
        if what == _DUE:
            # Again halfway through what is left, as long as that leaves time for an answer.
            again = left > session.endpoint.timers.timeout
            self._start(now, left / 2 if again else left, _DUE if again else _EXPIRES)
            self.due = True
            self._refresh(now)
        elif self._lone:
            self._settle(self.interval, now, refreshing=True, lone=True)
        elif session.server_invite is not None and left > 0:
            self._start(now, left, _EXPIRES)  # the refresh has come, and is to be answered
        else:
            session.broken(408, now, EXPIRED)

    def _refresh(self, now: float) -> None:
        session = self._session
        if session.busy or self._update is not None:
            return  # that refreshes as well
        if self._updates:
            lines = session.contact + session.endpoint.capability_lines + self.lines()
            self._update = session.send_request(now, "UPDATE", lines, user=self)
        else:
            session.endpoint.events.append(RefreshDue(cast("InviteSession", session)))

    # What became of our UPDATE.

    def response_received(
        self, transaction: ClientTransaction, response: Response, now: float
    ) -> None:
        """A response to our refresh."""
        self._session.remote_address = transaction.address
        if response.status >= 200:
            if response.status < 300:
                self._session.dialog.refresh(response)
                self.agreed(response, now)
            self._update_over(response.status, now)

    def transaction_failed(self, transaction: ClientTransaction, status: int, now: float) -> None:
        """No response to our refresh, or no way to send it."""
        self._update_over(status, now)

    def _update_over(self, status: int, now: float) -> None:
        self._update = None
        if self._over:
            return
        if status in (408, 481):
            self._session.broken(status, now)
        elif status in (405, 501):  # whatever Allow says
            self._updates = None
            self._refresh(now)


def ask_for_longer(
    tx: ClientTransaction, attempts: Attempts, response: Response, _now: float
) -> Change | None:
    """422: again with the interval that the response wants (section 7.3)."""
    timer = getattr(attempts.session, "timer", None)
    wanted = _min_se(response)
    before = _session_expires(tx.request)
    if not isinstance(timer, SessionTimer) or before is None or wanted <= before.seconds:
        return None
    timer.min_se = max(timer.min_se, wanted)
    asked = SessionExpires(timer.min_se, before.refresher)
    lines = f"Session-Expires: {asked}\r\nMin-SE: {timer.min_se}\r\n"
    if timer.refreshing is None:
        timer.interval = timer.min_se
    return Change(lines, without=("session-expires", "min-se"))


def _refuse(
    session: "ProvisionalSession",
    tx: ServerTransaction,
    status: int,
    lines: str,
    reason: str,
    now: float,
) -> None:
    if session.state == INITIAL:
        session.reject(now, status, reason, lines)
    else:
        tx.respond(status, now, lines, b"", reason)


def _is_supported(request: Request) -> bool:
    """Whether the caller of this transaction knows session timers."""
    return request.has_option("supported", OPTION) or request.has_option("require", OPTION)


def _session_expires(message: Message) -> SessionExpires | None:
    """What it says, None where that cannot be read."""
    value = message.get("session-expires")
    try:
        return None if value is None else SessionExpires.parse(value)
    except ParseError:
        return None


def _min_se(message: Message) -> int:
    """Min-SE, 0 where it is absent or cannot be read."""
    value = message.get("min-se")
    try:
        return 0 if value is None else MinSE.parse(value).seconds
    except ParseError:
        return 0
