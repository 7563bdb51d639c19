"""Our re-INVITEs: one at a time, and again after glare (RFC 3261 sections 14.1, 14.2)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sip.timers import Timer

if TYPE_CHECKING:
    from sip.usage.invite import InviteSession

MakeBody = Callable[[], bytes]


class OfferQueue:
    """The re-INVITE that waits its turn, and the one under way.

    A body may be given as a function that makes it at the moment of sending: after glare
    the peer's own re-INVITE may have changed what must be offered.
    """

    __slots__ = ("_session", "_timer", "_under_way", "_waiting")

    def __init__(self, session: "InviteSession") -> None:
        self._session = session
        self._waiting: tuple[bytes | MakeBody, str] | None = None
        self._under_way: tuple[bytes | MakeBody, str] | None = None
        self._timer: Timer | None = None

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
        self._session.send_invite(now, body() if callable(body) else body, lines)

    def refused(self, status: int, now: float) -> bool:
        """The one under way was refused; whether it will come again."""
        offer = self._under_way
        self._under_way = None
        if status != 491 or offer is None or self._waiting is not None:
            return False
        self._waiting = offer
        ids = self._session.endpoint.ids
        # The owner of the Call-ID waits longer, so that the two do not meet again.
        hundredths = 210 + ids.below(191) if self._session.outgoing else ids.below(201)
        self._timer = self._session.endpoint.wheel.start(now, hundredths / 100, self, 0)
        return True

    def clear(self) -> None:
        """The session is ending: nothing waits any more."""
        self._waiting = None
        if self._timer is not None:
            self._timer.target = None
            self._timer = None

    def timer_fired(self, _what: int, now: float) -> None:
        """The wait after glare is over."""
        self._timer = None
        self.next(now)
