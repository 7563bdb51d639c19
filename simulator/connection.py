"""Joining the caller to a target: the first connect, ICM's CONNECT, and transfers.

One table serves all of them. The target is called with the caller's description; its
answer goes to the caller, as the 200 to a caller not yet answered or as the offer of a
re-INVITE; the target's ACK waits for the caller's [TN178]. The old leg stays until the
caller has agreed (ICM's own CONNECT ends it first).
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from simulator.early import EarlyOffers
from simulator.headers import ANSWERED, passed_lines
from simulator.leg import Leg
from simulator.states import NORMAL
from sip.errors import LocalError, PeerError
from sip.message import Request, Response, reason_phrase
from sip.sdp import SessionDescription, same_media
from sip.timers import Timer

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.treatment import Treatment

# States.
IDLE: Final = 0
HOLDING: Final = 1  # consultation: the caller is asked to hold
DIALLING: Final = 2
DIALLING_HELD: Final = 3  # the same with the caller on hold
ANSWERING: Final = 4  # the caller has the 200, its ACK is awaited
JOINING: Final = 5  # the caller is offered the target's description
JOINING_HELD: Final = 11  # the same to a caller on hold
REALIGNING: Final = 6  # the target is offered what the caller answered
UNJOINING: Final = 7  # the target left while the caller was asked: the caller's answer is awaited
RETRIEVING: Final = 8  # the caller is taken back to the old leg
DONE: Final = 9
FAILED: Final = 10

# Inputs.
DIAL: Final = 0
HOLD_AND_DIAL: Final = 1
CALLER_AGREED: Final = 2
CALLER_DIFFERS: Final = 3  # agreed, with another description than the target was offered
CALLER_REFUSED: Final = 4
CALLER_ACKED: Final = 5
TARGET_RINGS: Final = 6
TARGET_ANSWERED_FIRST: Final = 7  # and the caller is not answered yet
TARGET_ANSWERED: Final = 8
TARGET_REFUSED: Final = 9
TARGET_AGREED: Final = 10
TARGET_LEFT: Final = 11
RING_TIMEOUT: Final = 12
CALLER_ACKED_SILENT: Final = 13  # and the target has no media yet, see `EarlyOffers`


class Connection:
    """An attempt to make `target` the peer of the call's caller.

    `old` is the leg that it replaces, if any. `transfer` says that it was asked for from
    outside, so that a failure returns the call to where it was; `run` is the treatment that
    goes on with the target. `status` and `reason` say why it failed.
    """

    __slots__ = (
        "_retrieve",
        "_ring_no_answer",
        "_timer",
        "call",
        "destination",
        "early",
        "offered",
        "old",
        "reason",
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
        self._retrieve = b""  # what the caller was told by the old leg

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
        self.offered = self.call.caller.offer_of()
        self._retrieve = self.call.caller.sent
        self.apply(HOLD_AND_DIAL if hold else DIAL, now)

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
            if self.state in (JOINING, JOINING_HELD, UNJOINING):
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
        """`left` tells that as well, or the call is over."""

    def timer_fired(self, _what: int, now: float) -> None:
        """Ring no answer."""
        self._timer = None
        self.status, self.reason = 408, "ring no answer"
        self.apply(RING_TIMEOUT, now)

    @property
    def joining(self) -> bool:
        """Whether the caller has been asked and has not answered yet."""
        return self.state in (JOINING, JOINING_HELD, UNJOINING, RETRIEVING)

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
        if call.caller.answered and server.config.sdp.mid_call == "offerless":
            self.offered = b""
        wheel = server.stack.endpoint.wheel
        self._timer = wheel.start(now, self._ring_no_answer, self, 0)
        try:
            server.place(self.target, self.uri, self.offered, self._ring_no_answer, now)
        except LocalError as error:
            self.target.finish(now, 503)
            self.target_refused(503, str(error), now)

    def drop_target(self, now: float) -> None:
        """It has come to nothing."""
        if self.target.ended == 0.0:
            self.target.hang_up(now, NORMAL, self.status or 480)

    def release_old(self, now: float) -> None:
        """The target has taken the place of the old leg."""
        if self.old is not None and self.old.ended == 0.0:
            self.old.hang_up(now, NORMAL)

    def abandon(self, now: float) -> None:
        """The call ends: so does this; the legs are ended by the call."""
        self._stop_timer()
        self.state = FAILED

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None


# Effects.


def _dial(work: Connection, now: float, _message: object) -> None:
    work.call_target(now)


def _hold_caller(work: Connection, now: float, _message: object) -> None:
    # What the caller heard last, only that we send now and it listens.
    try:
        description = SessionDescription.parse(work._retrieve).with_direction("sendonly")
    except PeerError as error:
        work.offer_refused(work.call.caller, 488, f"no hold: {error}", now)
        return
    work.call.caller.offer(now, description.to_bytes(), work)


def _relay_progress(work: Connection, now: float, response: Response) -> None:
    caller = work.call.caller
    server = work.call.server
    work.target.take(response)
    ringing = caller.answered == 0.0 and not caller.terminated
    reliable = server.config.sip.reliable_provisional == "supported"
    if work.target.session.owes_prack(response):  # it holds an offer
        work.early = work.early or EarlyOffers(work)
        if not work.early.take(response, now):
            return
        reliable = reliable or work.early.passed_on
    if ringing:
        body = caller.describe(response.sdp)
        lines = server.server_line + passed_lines(response, ANSWERED)
        caller.session.ring(now, response.status, body, lines, response.reason, reliable=reliable)
        if response.status == 180:
            work.call.log(now, "ringing", work.destination)


def _answer_caller(work: Connection, now: float, answer: Request | Response) -> None:
    work._stop_timer()
    caller = work.call.caller
    if caller.terminated:  # its CANCEL came together with this answer and is dealt with next
        return
    caller.ack_user = work
    body = answer.sdp or work.target.received  # the answer may have come in a 183
    if work.early is not None and work.early.passed_on:
        body = b""
    lines = work.call.server.server_line + passed_lines(answer, ANSWERED)
    caller.session.answer(now, caller.describe(body), lines)
    caller.answered = now
    caller.status = 200
    work.call.connected(work, now)


def _offer_to_caller(work: Connection, now: float, answer: Request | Response) -> None:
    work._stop_timer()
    work.call.caller.offer(now, answer.sdp or work.target.received, work)


def _ack_target_first(work: Connection, now: float, request: Request) -> None:
    target = work.target
    if target.up:
        # The offer of a reliable response has been answered by PRACK.
        body = b"" if work.early is not None else request.sdp
        target.session.acknowledge(now, target.describe(body))
        target.next_offer(now)
    elif target.answered == 0.0:
        _answer_target(work, now, request.sdp or work.call.caller.received)


def _ack_both(work: Connection, now: float, response: Response) -> None:
    work.call.caller.session.acknowledge(now)
    target = work.target
    if target.answered == 0.0:
        _answer_target(work, now, response.sdp)
        return
    # The target's 200 was an offer only if our INVITE to it had none.
    target.session.acknowledge(now, b"" if work.offered else target.describe(response.sdp))


def _answer_target(work: Connection, now: float, body: bytes) -> None:
    """200 to who has called to take a place (RFC 3891)."""
    target = work.target
    if not target.terminated:  # else its CANCEL came in the same moment: it is told next
        target.session.answer(now, target.describe(body), work.call.server.server_line)
        target.answered = now
        target.status = 200


def _ack_caller(work: Connection, now: float, _message: object) -> None:
    work.call.caller.session.acknowledge(now)


def _adopt(work: Connection, now: float, _message: object) -> None:
    work.call.connected(work, now)
    work.release_old(now)


def _realign_target(work: Connection, now: float, _message: object) -> None:
    work.target.offer(now, work.call.caller.received, work)


def _ack_target_again(work: Connection, now: float, message: object) -> None:
    if message is not None and work.target.up:
        work.target.session.acknowledge(now)


def _finish(work: Connection, now: float, _message: object) -> None:
    call = work.call
    if call.work is work:
        call.work = None
        if call.treatment is not None:
            call.treatment.resume(now)


def _end_target(work: Connection, now: float, _message: object) -> None:
    work._stop_timer()
    work.drop_target(now)


def _retrieve_caller(work: Connection, now: float, _message: object) -> None:
    old = work.old
    if work.call.standalone if old is None else old.up:
        work.call.caller.offer(now, work._retrieve, work)
    else:
        work.apply(CALLER_REFUSED, now)


def _report_failure(work: Connection, now: float, _message: object) -> None:
    work._stop_timer()
    status = work.status or 500
    work.call.connect_failed(work, status, work.reason or reason_phrase(status), now)


Effect = Callable[[Connection, float, Any], None]
_FAIL: Final = (FAILED, (_end_target, _report_failure))
_RETRIEVE: Final = (RETRIEVING, (_end_target, _retrieve_caller))

TABLE: Final[Mapping[int, Mapping[int, tuple[int, tuple[Effect, ...]]]]] = {
    IDLE: {
        DIAL: (DIALLING, (_dial,)),
        HOLD_AND_DIAL: (HOLDING, (_hold_caller,)),
        TARGET_ANSWERED: (JOINING, (_offer_to_caller,)),  # it has called us
    },
    HOLDING: {
        CALLER_AGREED: (DIALLING_HELD, (_ack_caller, _dial)),
        CALLER_REFUSED: (FAILED, (_report_failure,)),
    },
    DIALLING: {
        TARGET_RINGS: (DIALLING, (_relay_progress,)),
        TARGET_ANSWERED_FIRST: (ANSWERING, (_answer_caller,)),
        TARGET_ANSWERED: (JOINING, (_offer_to_caller,)),
        TARGET_REFUSED: _FAIL,
        RING_TIMEOUT: _FAIL,
    },
    DIALLING_HELD: {
        TARGET_RINGS: (DIALLING_HELD, (_relay_progress,)),
        TARGET_ANSWERED: (JOINING_HELD, (_offer_to_caller,)),
        TARGET_REFUSED: _RETRIEVE,
        RING_TIMEOUT: _RETRIEVE,
    },
    ANSWERING: {
        CALLER_ACKED: (DONE, (_ack_target_first, _finish)),
        CALLER_ACKED_SILENT: (REALIGNING, (_ack_target_again, _realign_target)),
    },
    JOINING: {
        CALLER_AGREED: (DONE, (_ack_both, _adopt, _finish)),
        CALLER_DIFFERS: (REALIGNING, (_ack_both, _adopt, _realign_target)),
        CALLER_REFUSED: _FAIL,
        TARGET_LEFT: (UNJOINING, ()),
    },
    JOINING_HELD: {
        CALLER_AGREED: (DONE, (_ack_both, _adopt, _finish)),
        CALLER_DIFFERS: (REALIGNING, (_ack_both, _adopt, _realign_target)),
        CALLER_REFUSED: _RETRIEVE,
        TARGET_LEFT: (UNJOINING, ()),
    },
    REALIGNING: {TARGET_AGREED: (DONE, (_ack_target_again, _finish))},
    UNJOINING: {
        CALLER_AGREED: (RETRIEVING, (_ack_caller, _retrieve_caller)),
        CALLER_DIFFERS: (RETRIEVING, (_ack_caller, _retrieve_caller)),
        CALLER_REFUSED: (RETRIEVING, (_retrieve_caller,)),
    },
    RETRIEVING: {
        CALLER_AGREED: (FAILED, (_ack_caller, _report_failure)),
        CALLER_DIFFERS: (FAILED, (_ack_caller, _report_failure)),
        CALLER_REFUSED: (FAILED, (_report_failure,)),
    },
    DONE: {},
    FAILED: {},
}
