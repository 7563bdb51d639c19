"""Joining the caller to a target: the first connect, ICM's CONNECT, and transfers.

One table serves all of them. The target is called with the caller's description; its
answer goes to the caller, as the 200 to a caller not yet answered or as the offer of a
re-INVITE; the target's ACK waits for the caller's [TN178]. The old leg stays until the
caller has agreed (ICM's own CONNECT ends it first).
"""

from typing import TYPE_CHECKING, Final

from simulator.early import EarlyOffers
from simulator.errors import CallStateError
from simulator.joining import (
    CALLER_ACKED,
    CALLER_ACKED_SILENT,
    CALLER_AGREED,
    CALLER_DIFFERS,
    CALLER_REFUSED,
    DIAL,
    DIALLING,
    DIALLING_HELD,
    DONE,
    FAILED,
    HOLD_AND_DIAL,
    HOLDING,
    IDLE,
    JOINING,
    JOINING_HEARD,
    JOINING_HELD,
    REALIGNING,
    RETRIEVING,
    RING_TIMEOUT,
    TABLE,
    TARGET_AGREED,
    TARGET_ANSWERED,
    TARGET_ANSWERED_FIRST,
    TARGET_LEFT,
    TARGET_REFUSED,
    TARGET_RINGS,
    UNJOINING,
    WHISPERING,
)
from simulator.leg import Leg
from simulator.states import NORMAL
from sip.errors import LocalError
from sip.message import Request, Response, reason_phrase
from sip.sdp import same_media
from sip.timers import Timer

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.treatment import Treatment

_ASKING: Final = (WHISPERING, JOINING, JOINING_HELD, JOINING_HEARD, UNJOINING, RETRIEVING)


class Connection:
    """An attempt to make `target` the peer of the call's caller.

    `old` is the leg that it replaces, if any. `transfer` says that it was asked for from
    outside, so that a failure returns the call to where it was; `run` is the treatment that
    goes on with the target. `status` and `reason` say why it failed.
    """

    __slots__ = (
        "_ring_no_answer",
        "_timer",
        "call",
        "destination",
        "early",
        "offered",
        "old",
        "reason",
        "retrieve",
        "run",
        "state",
        "status",
        "target",
        "transfer",
        "uri",
    )

    def __init__(
        self,
        call: "Call",
        target: Leg,
        uri: str,
        ring_no_answer: float,
        *,
        transfer: bool = False,
        run: "Treatment | None" = None,
    ) -> None:
        self.call = call
        self.target = target
        self.uri = uri
        self.destination = target.number
        self.transfer = transfer
        self.run = run
        self.old = call.peer
        self.state = IDLE
        self.status = 0
        self.reason = ""
        self._ring_no_answer = ring_no_answer
        self._timer: Timer | None = None
        self.offered = b""  # what the target was offered
        self.early: EarlyOffers | None = None  # by a target called without an offer
        self.retrieve = b""  # what the caller was told by the old leg

    @property
    def finished(self) -> bool:
        """Whether nothing more is to come."""
        return self.state in (DONE, FAILED)

    @property
    def wanted(self) -> bool:
        """Whether an offer that had to wait is still to be sent."""
        return not self.finished

    def start(self, now: float, *, hold: bool = False) -> None:
        """Call the target; with `hold` once the caller has agreed to hold."""
        self.offered = self.own_offer()
        self.retrieve = self.call.caller.sent
        self.apply(HOLD_AND_DIAL if hold else DIAL, now)

    def own_offer(self) -> bytes:
        """What the target is offered; nothing where it is to make the offer."""
        caller = self.call.caller
        if caller.answered and self.call.server.config.sdp.mid_call == "offerless":
            return b""
        return caller.offer_of()

    @property
    def apart(self) -> bool:
        """Whether the legs of the call are not each other's partners, see `partner_of`."""
        return False

    def partner_of(self, leg: Leg) -> Leg | None:
        """Whom a leg talks to meanwhile."""
        return None

    def apply(self, what: int, now: float, message: Request | Response | None = None) -> None:
        """Take one input; one that the state has no row for changes nothing."""
        row = TABLE[self.state].get(what)
        if row is None:
            return
        self.state = row[0]
        for effect in row[1]:
            effect(self, now, message)

    # Inputs, as the call and its legs tell them.

    def progressed(self, response: Response, now: float) -> None:
        """The target rings."""
        self.apply(TARGET_RINGS, now, response)

    def caller_pracked(self, request: Request, now: float) -> None:
        """The caller's PRACK: it may answer the target's offer."""
        if self.early is not None and not self.finished:
            self.early.pracked(request, now)

    def target_unusable(self, reason: str, now: float) -> None:
        """What the target offers cannot be answered."""
        self.target.hang_up(now, NORMAL)
        self.target_refused(488, reason, now)

    def target_answered(self, response: Response | Request, now: float) -> None:
        """The target's 200, or the INVITE of who takes its place."""
        first = self.call.caller.answered == 0.0
        if self.finished:
            self.target.hang_up(now, NORMAL)
        else:
            self.apply(TARGET_ANSWERED_FIRST if first else TARGET_ANSWERED, now, response)

    def target_refused(self, status: int, reason: str, now: float) -> None:
        """The target cannot be reached."""
        if self.status == 0:
            self.status, self.reason = status, reason
        self.apply(TARGET_REFUSED, now)

    def left(self, leg: Leg, now: float) -> bool:
        """BYE from a leg that is not the caller's; whether the call goes on all the same."""
        if leg is self.target:
            if self.state in (JOINING, JOINING_HELD, JOINING_HEARD, WHISPERING, UNJOINING):
                self.status, self.reason = 487, "the target hung up before it was joined"
                self.apply(TARGET_LEFT, now)
                return True
            return False
        return leg is self.old and not self.finished

    def acknowledged(self, leg: Leg, request: Request, now: float) -> None:
        """The caller's ACK to our 200."""
        silent = self.early is not None and self.early.silent
        self.apply(CALLER_ACKED_SILENT if silent else CALLER_ACKED, now, request)

    def not_acknowledged(self, now: float) -> None:
        """The caller is gone: so is the call."""

    def offer_answered(self, leg: Leg, response: Response, now: float) -> None:
        """The caller, or the target, agrees to an offer."""
        if leg is self.target:
            self.apply(TARGET_AGREED, now, response)
        else:
            differs = self.offered and not same_media(response.sdp, self.offered)
            held = self.state in (HOLDING, RETRIEVING)
            self.apply(CALLER_DIFFERS if differs and not held else CALLER_AGREED, now, response)

    def offer_refused(self, leg: Leg, status: int, reason: str, now: float) -> None:
        """The caller, or the target, does not agree to an offer."""
        if leg is self.target:
            self.apply(TARGET_AGREED, now)  # the call stays up on what was agreed before
            return
        if self.status == 0:
            self.status, self.reason = status, reason
        self.apply(CALLER_REFUSED, now)

    def leg_over(self, leg: Leg, now: float) -> None:
        """A target has nothing more to agree to. Of others `left` tells, or the call is over."""
        if leg is self.target and self.state == REALIGNING:
            self.apply(TARGET_AGREED, now)

    def timer_fired(self, _what: int, now: float) -> None:
        """Ring no answer."""
        self._timer = None
        self.status, self.reason = 408, "ring no answer"
        self.apply(RING_TIMEOUT, now)

    @property
    def joining(self) -> bool:
        """Whether the caller is asked, or is about to be, and has not answered yet."""
        return self.state in _ASKING

    def give_up(self, now: float) -> None:
        """A transfer comes first: stop calling the target."""
        if self.state == DIALLING:
            self.abandon(now)
            self.target.hang_up(now, NORMAL)

    def picked_up(self, leg: Leg, request: Request, now: float) -> None:
        """`leg`, which has called us, stands in for the target that rings."""
        self.target = leg
        self.destination = leg.number
        self.offered = b""  # what the caller says is the answer to that INVITE
        self.target_answered(request, now)

    def call_target(self, now: float) -> None:
        """Begin to reach the target: an INVITE with what the caller can do."""
        call = self.call
        server = call.server
        wheel = server.stack.endpoint.wheel
        self._timer = wheel.start(now, self._ring_no_answer, self, 0)
        try:
            server.place(self.target, self.uri, self.offered, self._ring_no_answer, now)
        except LocalError as error:
            self.target.finish(now, 503)
            self.target_refused(503, str(error), now)

    def cancel(self, now: float) -> None:
        """A command: give up. Raises CallStateError once the target has answered."""
        if self.state not in (DIALLING, DIALLING_HELD):
            raise CallStateError("the caller is being put on hold or joined: try again")
        self.call.steps.cancelled("cancelled by a command", now)
        self.target_refused(487, "cancelled by a command", now)

    def drop_target(self, now: float) -> None:
        """It has come to nothing."""
        if self.target.ended == 0.0:
            self.target.hang_up(now, NORMAL, self.status or 480)

    def adopted(self, now: float) -> None:
        """The caller has agreed to the target."""
        self.call.connected(self, now)
        self.release_old(now)

    def done(self, now: float) -> None:
        """Nothing is left to do."""
        call = self.call
        if call.work is self:
            call.work = None
        if call.work is None:  # a transfer may have come and gone before the caller's ACK
            if call.ivr is not None:
                call.ivr.go_on(now)
            if call.treatment is not None:
                call.treatment.resume(now)

    def failed(self, now: float) -> None:
        """It has come to nothing."""
        status = self.status or 500
        self.call.connect_failed(self, status, self.reason or reason_phrase(status), now)

    def release_old(self, now: float) -> None:
        """The target has taken the place of the old leg."""
        if self.old is not None and self.old.ended == 0.0:
            self.old.hang_up(now, NORMAL)

    def abandon(self, now: float) -> None:
        """The call ends: so does this; the legs are ended by the call."""
        self.stop_timer()
        self.state = FAILED

    def stop_timer(self) -> None:
        """The target rings no more."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
