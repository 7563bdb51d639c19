"""A call that a command makes: one party is called, and once it has answered the other one.

The first leg gets the call server's own media; then the call goes the way of every call
whose caller is answered already: by re-INVITE to whatever its number leads to.
"""

from typing import TYPE_CHECKING

from simulator.leg import ORIGINATED, Leg
from simulator.states import NORMAL
from sip.message import Response
from sip.timers import Timer

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.routing import Route


class Origination:
    """The first leg of `call`, until it answers; then `route` says what is done."""

    __slots__ = ("_call", "_leg", "_route", "_timer")

    def __init__(self, call: "Call", number: str, route: "Route", now: float) -> None:
        self._call = call
        self._route = route
        self._timer: Timer | None = None
        self._leg = call.caller = Leg(call, ORIGINATED, number, now)
        self._leg.cli = call.called
        self._leg.owner = self

    def begin(self, uri: str, patience: float, now: float) -> None:
        """INVITE to the first party. Raises LocalError when there is no way to `uri`."""
        call = self._call
        server = call.server
        server.place(self._leg, uri, None, patience, now)
        call.work = self
        self._timer = server.stack.endpoint.wheel.start(now, patience, self, 0)

    def leg_rings(self, leg: Leg, response: Response, now: float) -> None:
        """Nobody else hears that, but it may hold the answer to our offer."""
        leg.take(response)

    def leg_answered(self, leg: Leg, response: Response, now: float) -> None:
        """The first party is there: now the second."""
        call = self._call
        self.abandon(now)
        leg.owner = None
        call.work = None
        leg.session.acknowledge(now)
        call.log(now, "answered", leg.number)
        call.server.treat(call, self._route, now)

    def leg_refused(self, leg: Leg, status: int, reason: str, now: float) -> None:
        """There is nobody to connect."""
        self._over(status, reason, now)

    def leg_left(self, leg: Leg, now: float) -> None:
        """An answered one is the caller: its end is that of the call."""

    def timer_fired(self, _what: int, now: float) -> None:
        """It rings too long."""
        self._timer = None
        self._leg.hang_up(now, NORMAL)
        self._over(408, "ring no answer", now)
        self._call.server.stack.pump(now)

    def abandon(self, now: float) -> None:
        """It rings no more."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _over(self, status: int, reason: str, now: float) -> None:
        call = self._call
        call.error_code = status
        details = f"{self._leg.number} could not be reached: SIP {status} {reason}"
        call.end(now, "error", details, by=self._leg)
