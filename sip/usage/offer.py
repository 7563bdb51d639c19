"""Our re-INVITEs: one at a time, and again after glare (RFC 3261 sections 14.1, 14.2)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sip.timers import Timer

if TYPE_CHECKING:
    from sip.usage.invite import InviteSession

MakeBody = Callable[[], bytes]

_RETRY: Final = 0
_OVERDUE: Final = 1
_MOST_GLARES: Final = 5
"""A peer that answers 491 as often as this in a row is not on its way to anything."""


class OfferQueue:
    """The re-INVITE that waits its turn, and the one under way.

    A body may be given as a function that makes it at the moment of sending: after glare
    the peer's own re-INVITE may have changed what must be offered.
    """

    __slots__ = ("_glares", "_limit", "_session", "_timer", "_under_way", "_waiting")

    def __init__(self, session: "InviteSession") -> None:
        self._session = session
        self._waiting: tuple[bytes | MakeBody, str] | None = None
        self._under_way: tuple[bytes | MakeBody, str] | None = None
        self._timer: Timer | None = None
        self._limit: Timer | None = None
        self._glares = 0

    def put(self, now: float, body: bytes | MakeBody, lines: str) -> None:
        """Send this as soon as may be; it replaces one that still waits."""
        self._waiting = (body, lines)
        self.next(now)

    def next(self, now: float) -> None:
        """Send what waits, if its turn has come."""
        if self._waiting is None or self._timer is not None or self._session.busy:
            return
        self._under_way = self._waiting
        self._waiting = None
        body, lines = self._under_way
        session = self._session
        session.send_invite(now, body() if callable(body) else body, lines)
        # Behind the peer another may have to time out first (64*T1): twice that.
        patience = 2 * session.endpoint.timers.timeout
        self._limit = session.endpoint.wheel.start(now, patience, self, _OVERDUE)

    def over(self) -> None:
        """The one under way has its final response."""
        self._under_way = None
        if self._limit is not None:
            self._limit.target = None
            self._limit = None

    def refused(self, status: int, now: float) -> bool:
        """The one under way was refused; whether it will come again."""
        offer = self._under_way
        self.over()
        self._glares = self._glares + 1 if status == 491 else 0
        if not 0 < self._glares < _MOST_GLARES or offer is None or self._waiting is not None:
            return False
        self._waiting = offer
        ids = self._session.endpoint.ids
        # The owner of the Call-ID waits longer, so that the two do not meet again.
        hundredths = 210 + ids.below(191) if self._session.outgoing else ids.below(201)
        self._timer = self._session.endpoint.wheel.start(now, hundredths / 100, self, _RETRY)
        return True

    def clear(self) -> None:
        """The session is ending: nothing waits any more."""
        self._waiting = None
        for timer in (self._timer, self._limit):
            if timer is not None:
                timer.target = None
        self._timer = self._limit = None

    def timer_fired(self, what: int, now: float) -> None:
        """The wait after glare is over, or no final response has come in time."""
        if what == _RETRY:
            self._timer = None
            self.next(now)
        else:
            self._limit = None
            self._session.withdraw(now)
