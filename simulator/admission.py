"""Who may come in: by the number of calls, their rate, and the time that there is for them.

What is refused here has cost next to nothing and leaves nothing behind, see `sip.door`. CVP
itself throttles no call rate [SDG-SIZE], so a rate has to be asked for.
"""

import logging
from typing import TYPE_CHECKING, Final

from simulator.headers import user_part
from simulator.origin import leading_digits
from simulator.patterns import Pattern
from sip.dialog import name_addr_uri
from sip.knock import Knock

if TYPE_CHECKING:
    from simulator.config import Config
    from simulator.server import CallServer

log = logging.getLogger(__name__)

OVER: Final = 2.0
"""Seconds without a refusal after which the overload is over."""

_BURST: Final = 0.2  # seconds of calls at `admission.rate` that may come at once
_WHY: Final = {
    "delay": "new calls wait longer than admission.delay",
    "rate": "more new calls come than admission.rate",
}


class Refusals:
    """Calls refused since the start, by what there was too much of."""

    __slots__ = ("calls", "delay", "rate")

    def __init__(self) -> None:
        self.calls = 0
        self.rate = 0
        self.delay = 0


class Admission:
    """The keeper of the door of `server`.

    `overload` is why calls are refused at present: ``rate``, ``delay`` or nothing. At
    `server.max_calls`, or without a licence, a server is full, not overloaded.
    """

    __slots__ = (
        "_always",
        "_before",
        "_began",
        "_burst",
        "_filled",
        "_last",
        "_limited",
        "_rate",
        "_server",
        "_tokens",
        "overload",
        "refused",
    )

    def __init__(self, server: "CallServer") -> None:
        self._server = server
        self._always: list[Pattern] = []
        self._limited = False  # by number or rate
        self._rate = 0.0
        self._burst = 0.0
        self._tokens = 0.0
        self._filled = 0.0
        self._began = 0.0
        self._last = 0.0
        self._before = 0
        self.overload = ""
        self.refused = Refusals()

    def configure(self, config: "Config", now: float) -> None:
        """Take a configuration."""
        admission, limits = config.admission, config.server
        self._always = [Pattern.parse(text) for text in admission.always]
        if admission.rate != self._rate:
            self._rate = admission.rate
            self._burst = self._tokens = max(1.0, admission.rate * _BURST)
            self._filled = now
        door = self._server.stack.endpoint.door
        door.lines = self._server.server_line.encode("utf-8", "surrogateescape")
        self._limited = self._rate > 0 or limits.max_calls >= 0 or limits.licences > 0
        door.watch(self, always=self._limited, delay=admission.delay)

    # What the server asks.

    def admits(self, number: str, now: float) -> bool:
        """Whether a new call to `number` may come in; one that may not is counted."""
        reason = self._reason(number, now)
        if reason:
            self.count(reason, now)
            return False
        if self._rate:
            self._tokens = max(0.0, self._level(now) - 1.0)  # who always comes in leaves no debt
            self._filled = now
        return True

    def _reason(self, number: str, now: float) -> str:
        server = self._server
        if not (self._limited or server.store.full):
            return ""
        full = server.is_full
        if not full and not self._too_fast(now):
            return ""
        if full and server.has_no_place:
            return "calls"
        if self._passes(number):
            return ""
        return "rate" if self._too_fast(now) else "calls"

    def _passes(self, number: str) -> bool:
        return bool(self._always) and any([one.matches(number) for one in self._always])

    def _too_fast(self, now: float) -> bool:
        return self._rate > 0 and self._level(now) < 1.0

    def _level(self, now: float) -> float:
        return min(self._burst, self._tokens + (now - self._filled) * self._rate)

    # What the door asks.

    def shut(self, now: float) -> bool:
        """Whether a new call may have to be refused."""
        return self._too_fast(now) or self._server.is_full

    def refuses(self, knock: Knock, now: float, *, late: bool) -> str:
        """Why the call is: not one to a number that may always come in, nor a return from the
        VRU, which is a part of a call that is up."""
        server = self._server
        number = ""
        if self._always or server.waiting.calls:
            try:
                number = user_part(knock.uri) or user_part(name_addr_uri(knock.to.decode()))
            except ValueError:  # a ParseError is one
                return ""
            number = number[len(leading_digits(server.config.dial_plan, number)) :]
            if server.waiting.calls and server.plan.vru_label in number:
                return ""
        reason = self._reason(number, now)
        if late and not reason and not self._passes(number):
            reason = "delay"
        return reason

    # What it comes to.

    def count(self, reason: str, now: float) -> None:
        """A call is refused, and why: ``calls``, ``rate`` or ``delay``."""
        server = self._server
        server.statistics.rejected(now)
        if reason == "calls":
            self.refused.calls += 1
            if server.is_out_of_licences:
                server.licences.deny()
            return
        if reason == "rate":
            self.refused.rate += 1
        else:
            self.refused.delay += 1
        self._last = now
        if not self.overload:
            self._began = now
            self._before = self.refused.rate + self.refused.delay - 1
            server.stack.endpoint.wheel.start(now, OVER, self, 0)
            log.warning("overload: calls are refused, as %s", _WHY[reason])
            server.news.overload(_WHY[reason], now)
        self.overload = reason

    def timer_fired(self, _what: int, now: float) -> None:
        """Whether the overload is over."""
        server = self._server
        left = self._last + OVER - now
        if left > 0:
            server.stack.endpoint.wheel.start(now, left, self, 0)
            return
        self.overload = ""
        refused = self.refused.rate + self.refused.delay - self._before
        seconds = self._last - self._began
        log.warning("the overload is over: %d calls were refused in %.1f s", refused, seconds)
        server.news.overload("", now)
