"""Session timers of the legs (RFC 4028), each of its own.

What refreshes one leg and changes nothing goes no further.
"""

from typing import TYPE_CHECKING

from simulator.bridge import partner
from simulator.leg import Leg, Restored
from sip.events import RefreshDue
from sip.message import Response
from sip.sdp import same_media
from sip.usage.session_timer import SessionTimers

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.config_sip import SessionTimerSection


def session_timers(section: "SessionTimerSection") -> SessionTimers:
    """What the configuration says, for the endpoint."""
    return SessionTimers(section.expires, section.min_se, section.refresher)


def refresh_due(_call: "Call", leg: Leg, _event: RefreshDue, now: float) -> None:
    """A leg whose far end takes no UPDATE is to be refreshed by re-INVITE."""
    leg.offer(now, None, Refresh(leg))


class Refresh:
    """A re-INVITE with the description that the leg was sent last."""

    __slots__ = ("_received_before", "leg")

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self._received_before = leg.received

    @property
    def wanted(self) -> bool:
        """Not once another re-INVITE has refreshed the session."""
        timer = self.leg.session.timer
        return timer is not None and timer.due

    def offer_answered(self, leg: Leg, response: Response, now: float) -> None:
        """Usually the same as ever; where not, the leg's partner has to know."""
        leg.session.acknowledge(now)
        other = partner(leg.call, leg)
        body = response.sdp
        if body and other is not None and not same_media(body, self._received_before):
            other.offer(now, body, Restored())

    def offer_refused(self, leg: Leg, status: int, reason: str, now: float) -> None:
        """The timer will try again."""
        leg.call.log(now, "refresh_refused", f"{leg.kind}: SIP {status} {reason}")

    def leg_over(self, leg: Leg, now: float) -> None:
        """There is nothing to refresh any more."""
