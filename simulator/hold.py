"""Hold by a command: the far ends are offered what they have, only that we send and they listen.

Nobody sends then: each hears the call server, which is silent. What a far end offers
meanwhile is answered on hold, and the other hears of it when the call is resumed; what one
offers while it is resumed goes on to the other, behind the offer that is under way there.
"""

from typing import TYPE_CHECKING, Final

from simulator.bridge import held_by, partner
from simulator.errors import CallStateError
from simulator.leg import Leg, Offer, Restored
from simulator.states import HELD_FROM, HOLD
from sip.errors import PeerError
from sip.message import Response
from sip.sdp import SessionDescription, same_media

if TYPE_CHECKING:
    from simulator.call import Call

# What is under way.
_HOLDING: Final = 0
_HELD: Final = 1
_RESUMING: Final = 2


class Hold:
    """Both legs of a call on hold, or on their way there or back."""

    __slots__ = ("_before", "_call", "_refused", "_state", "_waiting")

    wanted = True

    def __init__(self, call: "Call") -> None:
        self._call = call
        self._state = _HOLDING
        self._waiting = 0
        self._refused = ""
        self._before: list[tuple[Leg, bytes]] = []  # what each was told before

    @property
    def resuming(self) -> bool:
        """Whether the far ends have been offered each other again."""
        return self._state == _RESUMING

    @classmethod
    def begin(cls, call: "Call", now: float) -> None:
        """Offer hold to the far ends. Raises CallStateError."""
        if call.hold is not None:
            raise CallStateError("a command holds the call already: resume it")
        call.check(HOLD)
        if call.work is not None:
            raise CallStateError("another leg is being called or joined: try again after it")
        hold = cls(call)
        other = partner(call, call.caller)
        offers: list[tuple[Leg, Offer]] = []
        before: list[tuple[Leg, bytes]] = []
        for leg in (call.caller, other):
            if leg is not None and leg.sent:
                try:
                    held = SessionDescription.parse(leg.sent).with_direction("sendonly")
                except PeerError as error:
                    raise CallStateError(
                        f"the {leg.kind} has no readable session: {error}"
                    ) from None
                offers.append((leg, held.to_bytes()))
                before.append((leg, leg.sent))
        if not offers:
            raise CallStateError("no far end has a session to hold")
        hold._before = before
        call.hold = hold
        call.log(now, "holding", "by the operator")
        hold._offer(offers, now)

    def resume(self, now: float) -> None:
        """Offer each far end what the other can do. Raises CallStateError."""
        if self._state != _HELD:
            raise CallStateError("the far ends have not answered the last command yet: try again")
        if self._call.work is not None:
            raise CallStateError(f"the call is {self._call.state}: try again after it")
        self._state = _RESUMING
        self._call.log(now, "resuming", "by the operator")
        self._go_back(now)

    def _go_back(self, now: float) -> None:
        call = self._call
        offers: list[tuple[Leg, Offer]] = []
        for leg, before in self._before:
            other = partner(call, leg)
            if leg.up:
                offers.append((leg, before if other is None else other.offer_of))
        self._offer(offers, now)
        if not offers:
            self._settled(now)

    def _offer(self, offers: list[tuple[Leg, Offer]], now: float) -> None:
        self._waiting += len(offers)
        for leg, body in offers:
            leg.offer(now, body, self)

    # What becomes of the offers.

    def offer_answered(self, leg: Leg, response: Response, now: float) -> None:
        """A far end agrees."""
        leg.session.acknowledge(now)
        self._answered(now)

    def offer_refused(self, leg: Leg, status: int, reason: str, now: float) -> None:
        """A far end does not."""
        self._refused = f"{leg.kind}: SIP {status} {reason}"
        self._answered(now)

    def leg_over(self, leg: Leg, now: float) -> None:
        """There is nobody to hold any more."""
        self._answered(now)

    def _align(self, now: float) -> None:
        """Each has been offered what the other had said before: it may have said more since."""
        for leg, _ in self._before:
            other = partner(self._call, leg)
            if other is not None and leg.up and not same_media(other.offer_of(), leg.sent):
                leg.offer(now, other.offer_of, Restored())

    def _answered(self, now: float) -> None:
        self._waiting -= 1
        if self._waiting == 0:
            self._settled(now)

    def _settled(self, now: float) -> None:
        """Both have answered."""
        call = self._call
        if call.state == "ended" or call.hold is not self:
            return
        if self._state == _HOLDING and not self._refused:
            self._state = _HELD
            if call.state in HELD_FROM:
                call.enter(HOLD, now, "by the operator")
            return
        if self._state == _HOLDING:  # one did not want to: neither is held
            call.log(now, "hold_failed", self._refused)
            self._refused = ""
            self._state = _RESUMING
            self._go_back(now)
            return
        if self._refused:
            call.log(now, "resume_failed", self._refused)
        call.hold = None
        if not self._refused:
            self._align(now)
        if call.state == "on_hold" and not held_by(call):
            call.go_back(now, "resumed by the operator")
