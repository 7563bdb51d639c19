"""What a connection does at each step: its states, its inputs, and the table of both.

See `simulator.connection`, whose objects these are the effects on.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from simulator.early import EarlyOffers
from simulator.headers import ANSWERED, passed_lines
from simulator.leg import RINGTONE, Leg, Restored
from simulator.states import NORMAL
from sip.errors import PeerError
from sip.message import Request, Response
from sip.sdp import SessionDescription, same_media

if TYPE_CHECKING:
    from simulator.connection import Connection

# States.
IDLE: Final = 0
HOLDING: Final = 1  # consultation: the caller is asked to hold
DIALLING: Final = 2
DIALLING_HELD: Final = 3  # the same with the caller on hold
ANSWERING: Final = 4  # the caller has the 200, its ACK is awaited
JOINING: Final = 5  # the caller is offered the target's description
JOINING_HELD: Final = 11  # the same to a caller on hold
WHISPERING: Final = 12  # an agent has answered, and hears an announcement first
JOINING_HEARD: Final = 13  # the caller is offered the description of who has heard it
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
TARGET_HEARS: Final = 14  # it has answered; the announcement comes first
WHISPER_OVER: Final = 15
WHISPER_USELESS: Final = 16  # it has not come about, and the target's offer is still open

# Effects.


def _dial(work: "Connection", now: float, _message: object) -> None:
    work.call_target(now)


def _hold_caller(work: "Connection", now: float, _message: object) -> None:
    # What the caller heard last, only that we send now and it listens.
    try:
        description = SessionDescription.parse(work.retrieve).with_direction("sendonly")
    except PeerError as error:
        work.offer_refused(work.call.caller, 488, f"no hold: {error}", now)
        return
    work.call.caller.offer(now, description.to_bytes(), work)


def _relay_progress(work: "Connection", now: float, response: Response) -> None:
    caller = work.call.caller
    server = work.call.server
    body = work.target.take(response)
    ringing = caller.answered == 0.0 and not caller.terminated
    reliable = server.config.sip.reliable_provisional == "supported"
    if work.target.session.owes_prack(response):  # it holds an offer
        work.early = work.early or EarlyOffers(work)
        if not work.early.take(response, now):
            return
        reliable = reliable or work.early.passed_on
    if ringing:
        body = caller.describe(body)
        lines = server.server_line + passed_lines(response, ANSWERED)
        caller.session.ring(now, response.status, body, lines, response.reason, reliable=reliable)
        if response.status == 180:
            work.call.log(now, "ringing", work.destination)


def _answer_caller(work: "Connection", now: float, answer: Request | Response) -> None:
    work.stop_timer()
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


def _offer_to_caller(work: "Connection", now: float, answer: Request | Response | None) -> None:
    work.stop_timer()
    old = work.old
    if old is not None and old.kind == RINGTONE:  # it is released first [TN178]
        work.call.peer = None
        old.hang_up(now, NORMAL)
    body = work.target.offer_of() if answer is None else answer.sdp or work.target.received
    work.call.caller.offer(now, body, work)


def _ack_target_first(work: "Connection", now: float, request: Request) -> None:
    target = work.target
    if target.up:
        # The offer of a reliable response has been answered by PRACK.
        body = b"" if work.early is not None else request.sdp
        target.session.acknowledge(now, target.describe(body))
        target.next_offer(now)
    elif target.answered == 0.0:
        _answer_target(work, now, request.sdp or work.call.caller.received)


def _ack_both(work: "Connection", now: float, response: Response) -> None:
    _ack_caller(work, now, response)
    target = work.target
    if target.answered == 0.0:
        _answer_target(work, now, response.sdp)
        return
    work.call.steps.sent(target, "ACK", now)
    # The target's 200 was an offer only if our INVITE to it had none.
    target.session.acknowledge(now, b"" if work.offered else target.describe(response.sdp))


def _answer_target(work: "Connection", now: float, body: bytes) -> None:
    """200 to who has called to take a place (RFC 3891)."""
    target = work.target
    if not target.terminated:  # else its CANCEL came in the same moment: it is told next
        target.session.answer(now, target.describe(body), work.call.server.server_line)
        target.answered = now
        target.status = 200


def _ack_caller(work: "Connection", now: float, _message: object) -> None:
    work.call.caller.session.acknowledge(now)
    work.call.steps.sent(work.call.caller, "ACK", now)


def _adopt(work: "Connection", now: float, _message: object) -> None:
    work.adopted(now)


def _realign_target(work: "Connection", now: float, _message: object) -> None:
    work.target.offer(now, work.call.caller.received, work)


def _ack_target_again(work: "Connection", now: float, message: object) -> None:
    if message is not None and work.target.up:
        work.target.session.acknowledge(now)


def _tell_caller(work: "Connection", now: float, message: Response | None) -> None:
    _tell(work.call.caller, b"" if message is None else message.sdp, now)


def _tell_old(work: "Connection", now: float, message: Response) -> None:
    _tell(work.old, message.sdp, now)


def _tell(leg: Leg | None, body: bytes, now: float) -> None:
    """Offer a leg what the other has answered, where it knows of other media."""
    if leg is not None and leg.up and body and not _same(body, leg.sent):
        leg.offer(now, body, Restored())


def _same(one: bytes, other: bytes) -> bool:
    """Whether two descriptions differ in nothing but their direction."""
    return same_media(_two_way(one), _two_way(other))


def _two_way(body: bytes) -> bytes:
    try:
        return SessionDescription.parse(body).with_direction("sendrecv").to_bytes()
    except PeerError:
        return body


def _finish(work: "Connection", now: float, _message: object) -> None:
    work.done(now)


def _end_target(work: "Connection", now: float, _message: object) -> None:
    work.stop_timer()
    work.drop_target(now)


def _retrieve_caller(work: "Connection", now: float, _message: object) -> None:
    old = work.old
    if work.call.standalone if old is None else old.up:
        # Made when it goes out: the caller may be about to offer something itself.
        work.call.caller.offer(now, lambda: _of_the_old(work), work)
    else:
        work.apply(CALLER_REFUSED, now)


def _of_the_old(work: "Connection") -> bytes:
    """What the old leg has said last; on hold by a command, what the caller was told."""
    call, old = work.call, work.old
    if old is None or not old.received or call.hold is not None:
        return work.retrieve
    return old.received if call.caller.holding else old.offer_of()


def _report_failure(work: "Connection", now: float, _message: object) -> None:
    work.stop_timer()
    work.failed(now)


Effect = Callable[["Connection", float, Any], None]
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
        TARGET_HEARS: (WHISPERING, ()),
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
    WHISPERING: {
        WHISPER_OVER: (JOINING_HEARD, (_offer_to_caller,)),
        WHISPER_USELESS: (JOINING, (_offer_to_caller,)),
        TARGET_LEFT: _FAIL,
    },
    JOINING_HEARD: {
        CALLER_AGREED: (DONE, (_ack_caller, _adopt, _finish)),
        CALLER_DIFFERS: (REALIGNING, (_ack_caller, _adopt, _realign_target)),
        CALLER_REFUSED: _FAIL,
        TARGET_LEFT: (UNJOINING, ()),
    },
    REALIGNING: {TARGET_AGREED: (DONE, (_ack_target_again, _tell_caller, _finish))},
    UNJOINING: {
        CALLER_AGREED: (RETRIEVING, (_ack_caller, _retrieve_caller)),
        CALLER_DIFFERS: (RETRIEVING, (_ack_caller, _retrieve_caller)),
        CALLER_REFUSED: (RETRIEVING, (_retrieve_caller,)),
    },
    RETRIEVING: {
        CALLER_AGREED: (FAILED, (_ack_caller, _tell_old, _report_failure)),
        CALLER_DIFFERS: (FAILED, (_ack_caller, _tell_old, _report_failure)),
        CALLER_REFUSED: (FAILED, (_report_failure,)),
    },
    DONE: {},
    FAILED: {},
}
