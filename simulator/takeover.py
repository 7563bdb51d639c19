"""Attended transfer: a party of another call takes the place of the phone that asked.

The phone has two calls, each with another party. Its REFER on one names its leg of the
other by Replaces (RFC 3891): the party of the other call moves to this one and is joined
by re-INVITE to the party here. The other call ends as transferred. Until they are joined
either call can still go back to what it was.

The other party may be the VXML gateway that the phone is with, in a queue or with an
application: then the party here takes its place there, and the script comes along.
"""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from simulator.connection import Connection
from simulator.ivr import ivr_of
from simulator.joining import DIALLING
from simulator.leg import VXML, Leg, Restored
from simulator.referred import PhoneTransfer, name_of
from simulator.script_values import hand_on
from simulator.states import TRANSFER
from simulator.transfer_log import PHONE, REINVITE
from sip.errors import InvalidState
from sip.message import Response
from sip.usage.refer import ReceivedRefer

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.treatment import Treatment


class Handover:
    """What the other call is at meanwhile: its party is about to leave it for `guid`.

    `run` is the script that goes along with a VXML gateway.
    """

    __slots__ = ("_destination", "_leg", "_to", "_treatment", "call", "destination", "guid", "run")

    transfer: Final = True

    def __init__(self, call: "Call", leg: Leg, to: "Call", destination: str, now: float) -> None:
        self.call = call
        self.guid = to.guid
        self._to = to
        self.destination = destination
        self._leg = leg
        self._destination = call.transfer_destination
        self._treatment: Treatment | None = call.treatment
        call.treatment = None  # its script is not to look for somebody else meanwhile
        self.run = self._treatment if leg.kind == VXML else None
        call.server.transfer_log.begin(call, "attended", REINVITE, PHONE, destination, now)
        call.enter(TRANSFER, now, f"handed over to call {to.guid}")
        call.transfer_destination = destination
        call.work = self

    @property
    def over(self) -> bool:
        """Whether the other call has ended by itself."""
        return self.call.work is not self

    def moved(self) -> None:
        """The script is the other call's from now on."""
        if self.run is not None:
            self.run.call = self._to

    def done(self, now: float) -> None:
        """The party has gone: the call ends."""
        if self.run is None:
            self.drop(now)
        if not self.over:
            self.call.work = None
            self.call.transferred(now, self.destination, f" in call {self.guid}")
            self.call.end(now, "transferred", f"replaced by call {self.guid}")

    def drop(self, now: float) -> None:
        """Nobody goes on in its script."""
        if self._treatment is not None:
            self._treatment.stop(now)

    def undone(self, now: float, status: int, details: str) -> None:
        """The call goes on as before, or ends with the party that has hung up."""
        call = self.call
        call.work = None
        call.treatment = self._treatment
        call.transfer_destination = self._destination
        call.log(now, "transfer_failed", details)
        call.steps.failed(status, details, now)
        if self._leg.ended:
            call.end(now, "completed", f"{self._leg.kind} hung up", by=self._leg)
        else:
            call.go_back(now, details)

    def abandon(self, now: float) -> None:
        """The phone has left this call already: its party stays where it goes."""
        self.call.steps.completed(now)
        self.moved()
        if self.run is None:
            self.drop(now)


class Takeover(PhoneTransfer):
    """A phone's transfer whose target is in a call of its own, with that same phone."""

    __slots__ = ("_handover",)

    def __init__(self, call: "Call", target: Leg, refer: ReceivedRefer) -> None:
        super().__init__(call, target, "", 0.0, refer)
        self.destination = name_of(target)
        self._handover: Handover | None = None

    def call_target(self, now: float) -> None:
        """Move the target's leg here, and offer it what the party here can do."""
        call = self.call
        target = self.target
        self._handover = handover = Handover(target.call, target, call, call.caller.number, now)
        self.run = handover.run
        if self.run is not None and target.call.ivr is not None:
            ivr_of(call).take_over(target.call.ivr)
        target.call = call
        call.legs.append(target)
        call.server.trace.joined(target)
        target.offer(now, self.offered, self)

    def offer_answered(self, leg: Leg, response: Response, now: float) -> None:
        """The target agrees first, then the party here."""
        if leg is self.target and self.state == DIALLING:
            self.target_answered(response, now)
        elif leg is self.target and self.finished:  # it has been given back meanwhile
            leg.session.acknowledge(now)
        else:
            super().offer_answered(leg, response, now)

    def offer_refused(self, leg: Leg, status: int, reason: str, now: float) -> None:
        """The target refuses: both calls go back."""
        if leg is self.target and self.state == DIALLING:
            self.target_refused(status, reason, now)
        else:
            super().offer_refused(leg, status, reason, now)

    def left(self, leg: Leg, now: float) -> bool:
        """BYE from the target before it was joined is the end of its own call."""
        if leg is self.target and not self.finished:
            if self.state == DIALLING:
                self.target_refused(487, "the target hung up before it was joined", now)
                return True
            goes_on = super().left(leg, now)
            self._give_back(now)
            return goes_on
        return super().left(leg, now)

    def drop_target(self, now: float) -> None:
        """It goes back to its own call, or where that has ended, it ends too."""
        self._give_back(now)

    def adopted(self, now: float) -> None:
        """The caller has agreed: it is with the gateway where the other call has been."""
        if self._handover is not None and self.run is not None:
            before = self._handover.call
            self._handover.moved()
            self.call.icm_skill_group = before.icm_skill_group
            hand_on(before, self.call, now)
        super().adopted(now)

    def release_old(self, now: float) -> None:
        """Success: the phone is told, its other call is over."""
        super().release_old(now)
        handover, self._handover = self._handover, None
        if handover is not None:
            handover.done(now)

    def abandon(self, now: float) -> None:
        """This call ends first: the target stays with the phone."""
        super().abandon(now)
        self._give_back(now)

    def _give_back(self, now: float) -> None:
        handover, self._handover = self._handover, None
        if handover is None:
            return
        target = self.target
        if handover.over:  # nobody there waits for it any more
            handover.drop(now)
            if target.ended == 0.0:
                Connection.drop_target(self, now)
            return
        self.call.legs.remove(target)
        target.call = handover.call
        if handover.run is not None and self.call.ivr is not None and target.call.ivr is not None:
            self.call.ivr.give_back(target.call.ivr)
        status = self.status or 487
        handover.undone(now, status, f"call {self.call.guid}: SIP {status} {self.reason}")
        if target.up:
            with suppress(InvalidState):
                target.session.acknowledge(now)
            other = handover.call
            phone = other.caller if other.peer is target else other.peer
            if phone is not None and phone.up:
                target.offer(now, phone.offer_of(), Restored())
        if handover.call.treatment is not None:
            handover.call.treatment.resume(now)
