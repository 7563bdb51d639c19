"""What a caller hears while its agent consults: the ringtone service, where that is wanted."""

from typing import TYPE_CHECKING, Final

from simulator.leg import RINGTONE, Leg
from simulator.states import NORMAL
from sip.errors import LocalError
from sip.message import Response

if TYPE_CHECKING:
    from simulator.call import Call

PATIENCE: Final = 5.0
"""Seconds that the service may ring: it has no queue."""


class HeldRingtone:
    """A leg to the ringtone service, joined by re-INVITE to a caller on hold, until `stop`.

    It is no part of the transfer: without it the caller is on hold, and that is all.
    """

    __slots__ = ("_call", "_leg", "_stopped")

    def __init__(self, call: "Call", leg: Leg) -> None:
        self._call = call
        self._leg = leg
        self._stopped = False

    @classmethod
    def begin(cls, call: "Call", now: float) -> "HeldRingtone | None":
        """Call the service; None where there is no way to it."""
        server = call.server
        number = server.config.services.ringtone
        uri = server.way_to_service(call, "ringtone", number, now)
        if uri is None:
            return None
        leg = Leg(call, RINGTONE, number, now)
        ringtone = cls(call, leg)
        leg.owner = ringtone
        try:
            server.place(leg, uri, call.caller.offer_of(), PATIENCE, now)
        except LocalError as error:
            leg.ended = now
            call.log(now, "no_ringtone", f"{number}: {error}")
            return None
        return ringtone

    @property
    def wanted(self) -> bool:
        """Whether the caller is still to be offered it."""
        return not self._stopped

    def stop(self, now: float) -> None:
        """The caller goes elsewhere, by an offer that follows."""
        self._stopped = True
        if self._leg.ended == 0.0:
            self._leg.hang_up(now, NORMAL)

    # What becomes of its leg.

    def leg_rings(self, leg: Leg, response: Response, now: float) -> None:
        """It will answer soon."""

    def leg_answered(self, leg: Leg, response: Response, now: float) -> None:
        """The caller is offered what it plays."""
        self._call.caller.offer(now, response.sdp or leg.received, self)

    def leg_refused(self, leg: Leg, status: int, reason: str, now: float) -> None:
        """The caller stays on hold."""
        self._call.log(now, "no_ringtone", f"{leg.number}: SIP {status} {reason}")

    def leg_left(self, leg: Leg, now: float) -> None:
        """It plays no more; nor does anybody else."""

    # What the caller says to it.

    def offer_answered(self, leg: Leg, response: Response, now: float) -> None:
        """Both have each other."""
        leg.session.acknowledge(now)
        if self._leg.up:
            self._leg.session.acknowledge(now)

    def offer_refused(self, leg: Leg, status: int, reason: str, now: float) -> None:
        """It stays on hold then."""
        self._call.log(now, "no_ringtone", f"{leg.kind}: SIP {status} {reason}")
        self.stop(now)

    def leg_over(self, leg: Leg, now: float) -> None:
        """Nobody is there to listen."""
