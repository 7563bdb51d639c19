"""Courtesy callback: the caller leaves, keeps the place in the queue, and is called back.

The messages of a Call Server are not published [SDG-FEAT]; these are ours. Caller and VXML
gateway get BYE; when an agent is near, INVITE goes to the number that was left, with the
call server's own media until the script goes on, which moves the caller by re-INVITE like
any other that is answered. What confirms is the script's next node.
"""

from typing import TYPE_CHECKING, Final

from simulator.config_icm import is_extension
from simulator.config_values import SipTarget, join_address
from simulator.leg import CALLBACK, Leg
from simulator.routing import NotRoutable
from simulator.states import NORMAL
from sip.errors import LocalError, ParseError
from sip.message import Response
from sip.timers import Timer
from sip.uri import SipUri

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.treatment import Treatment

_WITHHELD: Final = frozenset(("anonymous", "private", "restricted", "unavailable", "unknown"))

# What the timer means.
_LOOK: Final = 0
_NO_ANSWER: Final = 1
_AGAIN: Final = 2


_NOBODY_THERE: Final = 30.0
"""Seconds from look to look while no agent is at work."""


def may_be_called(number: str) -> bool:
    """Whether a callback can be offered: not without the caller's number [SDG-FEAT]."""
    return is_extension(number) and number.lower() not in _WITHHELD


class Callback:
    """The request of one caller who has left, from then until `number` answers.

    It is dialled when the estimated wait has come down to ``icm.callback.lead``, or when an
    agent is free for it (`near`).
    """

    __slots__ = ("_attempts", "_expires", "_leg", "_place", "_timer", "_treatment", "number")

    def __init__(self, treatment: "Treatment", number: str) -> None:
        self.number = number
        self._treatment = treatment
        self._attempts = 0
        self._expires = 0.0
        self._leg: Leg | None = None  # while it is dialled
        self._place = 0  # in the queue, when that was looked at last
        self._timer: Timer | None = None

    @property
    def state(self) -> str:
        """``waiting`` or ``dialling``."""
        return "waiting" if self._leg is None else "dialling"

    def begin(self, now: float) -> None:
        """The caller leaves."""
        call = self._treatment.call
        self._expires = now + call.server.config.icm.callback.expires
        call.log(now, "callback_requested", self.number)
        peer, call.peer = call.peer, None
        call.hold = None
        call.caller.hang_up(now, NORMAL)
        if peer is not None and peer.ended == 0.0:
            peer.hang_up(now, NORMAL)

    def look(self, now: float) -> None:
        """Dial if the wait is nearly over; if not, look again when it should be."""
        if self._attempts:
            return
        if now >= self._expires:
            self._give_up("no agent in time", now)
            return
        call = self._treatment.call
        lead = call.server.config.icm.callback.lead
        queue = call.server.skill_groups.queue(self._treatment.waiting)
        place = queue.position(self._treatment)
        wait = queue.estimated_wait(place, now)
        # An estimate stands still with the place: what it said then is over now.
        if wait is not None and (wait <= lead or place == self._place):
            self._dial(now)
            return
        self._place = 0 if wait is None else place
        delay = _NOBODY_THERE if wait is None else wait - lead
        self._start_timer(now, min(delay, self._expires - now), _LOOK)

    def near(self, now: float) -> None:
        """An agent is free for the caller."""
        if self._leg is None and self._attempts == 0:
            self._dial(now)

    def stop(self) -> None:
        """The call ends, and its legs with it."""
        self._stop_timer()

    def _dial(self, now: float) -> None:
        self._stop_timer()
        self._attempts += 1
        call = self._treatment.call
        server = call.server
        self._leg = leg = Leg(call, CALLBACK, self.number, now)
        leg.cli = call.called  # whom the caller knows
        leg.owner = self
        call.log(now, "callback_dialled", self.number)
        patience = call.route.ring_no_answer
        try:
            server.place(leg, way_back(call, self.number), None, patience, now)
        except (LocalError, NotRoutable) as error:
            leg.finish(now, 503)
            self._failed(503, str(error), now)
            return
        self._start_timer(now, patience, _NO_ANSWER)

    def leg_rings(self, leg: Leg, response: Response, now: float) -> None:
        """Nobody hears that, but it may hold the answer to our offer."""
        leg.take(response)

    def leg_answered(self, leg: Leg, response: Response, now: float) -> None:
        """The caller is back."""
        if leg is not self._leg:
            leg.hang_up(now, NORMAL)
            return
        self._stop_timer()
        call = self._treatment.call
        leg.session.acknowledge(now)
        leg.owner = None
        call.caller = leg
        call.log(now, "callback_answered", self.number)
        self._treatment.called_back(now)

    def leg_refused(self, leg: Leg, status: int, reason: str, now: float) -> None:
        """Busy, or not to be reached."""
        self._failed(status, reason, now)

    def leg_left(self, leg: Leg, now: float) -> None:
        """An answered one is the caller: its end is that of the call."""

    def timer_fired(self, what: int, now: float) -> None:
        """The wait should be nearly over, nobody answers, or it is time for another attempt."""
        self._timer = None
        if what == _LOOK:
            self.look(now)
        elif what == _AGAIN:
            self._dial(now)
        elif self._leg is not None:
            self._leg.hang_up(now, NORMAL)
            self._failed(408, "ring no answer", now)
        self._treatment.call.server.stack.pump(now)

    def _failed(self, status: int, reason: str, now: float) -> None:
        self._stop_timer()
        self._leg = None
        call = self._treatment.call
        call.log(now, "callback_failed", f"{self.number}: SIP {status} {reason}")
        settings = call.server.config.icm.callback
        if self._attempts < settings.attempts:
            self._start_timer(now, settings.interval, _AGAIN)
        else:
            call.error_code = status
            self._give_up("the caller could not be called back", now)

    def _give_up(self, why: str, now: float) -> None:
        self._treatment.call.end(now, "abandoned", why)

    def _start_timer(self, now: float, delay: float, what: int) -> None:
        wheel = self._treatment.call.server.stack.endpoint.wheel
        self._timer = wheel.start(now, delay, self, what)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None


def way_back(call: "Call", number: str) -> str:
    """The SIP URI by which `number` is called back. Raises NotRoutable without one."""
    if call.server.config.icm.callback.route == "plan":
        found = call.server.plan.find(number, call.origin)
        if found is None:
            raise NotRoutable(f"no route to {number!r}; add one under routes")
        return found.uri
    contact = call.caller.session.dialog.target
    try:
        parsed = SipUri.parse(contact)
        text = f"{parsed.scheme}:{join_address(parsed.host, parsed.port)}"
        if parsed.transport:
            text += f";transport={parsed.transport}"
        return str(SipTarget.parse(text).with_user(number))
    except (ParseError, ValueError) as error:
        raise NotRoutable(f"the caller's Contact leads nowhere: {error}") from None
