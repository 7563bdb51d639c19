"""The audit of old calls: a caller that has gone without BYE is noticed, as CVP does [SDG-HA]."""

from typing import TYPE_CHECKING, Final

from simulator.leg import Leg
from simulator.states import REASONS
from sip.errors import InvalidState
from sip.events import Responded
from sip.timers import Timer

if TYPE_CHECKING:
    from simulator.server import CallServer

AT_ONCE: Final = 50
"""Callers asked in one turn; the others are asked `_PAUSE` seconds later, so that calls go on."""

_PAUSE: Final = 0.02
_LOOK: Final = 0  # what timers mean
_ASK: Final = 1
_BUSY: Final = 491
_ENDS_THE_DIALOG: Final = (408, 481)


class Audit:
    """Looks at the calls of a server.

    Every ``sip.audit.every`` seconds an UPDATE goes to the caller of each call that is older
    than ``sip.audit.older_than``; where it is rejected or not answered the call ends.
    """

    __slots__ = ("_asked", "_next", "_old", "_server", "_timer")

    def __init__(self, server: "CallServer") -> None:
        self._server = server
        self._timer: Timer | None = None
        self._asked: set[Leg] = set()
        self._old: list[Leg] = []  # callers still to be asked, the next one last
        self._next: Timer | None = None

    def begin(self, now: float) -> None:
        """There are calls: look at them from time to time."""
        if self._timer is not None:
            return
        every = self._server.config.sip.audit.every
        if every:
            self._timer = self._server.stack.endpoint.wheel.start(now, every, self, _LOOK)

    def rest(self) -> None:
        """There are no calls."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._next is not None:
            self._next.stop()
            self._next = None
        self._old.clear()

    def timer_fired(self, what: int, now: float) -> None:
        """Ask the callers of old calls, some at a time."""
        if what == _ASK:
            self._next = None
        else:
            self._timer = None
            self.begin(now)
            self._look(now)
        self._ask(now)
        if self._old and self._next is None:
            self._next = self._server.stack.endpoint.wheel.start(now, _PAUSE, self, _ASK)

    def _look(self, now: float) -> None:
        """Find the calls that are old; the oldest come first among all."""
        oldest = now - self._server.config.sip.audit.older_than
        self._old.clear()
        for call in self._server.calls.values():
            if call.started > oldest:
                break
            self._old.append(call.caller)
        self._old.reverse()

    def _ask(self, now: float) -> None:
        for _ in range(min(AT_ONCE, len(self._old))):
            leg = self._old.pop()
            if leg.up and leg not in self._asked:
                try:
                    leg.session.update(now, b"", self._server.agent_line, AuditCheck(self, leg))
                except InvalidState:  # it is ending
                    continue
                self._asked.add(leg)

    def answered(self, leg: Leg, status: int, now: float) -> None:
        """What a caller said to UPDATE. 408 and 481 have ended its leg already."""
        self._asked.discard(leg)
        call = leg.call
        if status < 300 or status == _BUSY or status in _ENDS_THE_DIALOG or call.state == "ended":
            return
        call.error_code = status
        call.end(now, "error", f"audit: SIP {status} to UPDATE", reason=REASONS["timeout"])


class AuditCheck:
    """The UPDATE to one caller."""

    __slots__ = ("_audit", "_leg")

    def __init__(self, audit: Audit, leg: Leg) -> None:
        self._audit = audit
        self._leg = leg

    def responded(self, event: Responded, now: float) -> None:
        """Its final response."""
        self._audit.answered(self._leg, event.status, now)
