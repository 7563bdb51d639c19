"""What each event on a leg means to its call, side by side."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from simulator.audit import AuditCheck
from simulator.bridge import OfferRelay, RequestRelay, withdrawn
from simulator.cdr_records import CallResult
from simulator.connection import Connection
from simulator.headers import parting, refusal_of
from simulator.ivr import note_gateway
from simulator.leg import RINGTONE, VXML, Leg, note_oddity
from simulator.outpulse import Outpulse
from simulator.refer import Departure, ReferTransfer
from simulator.referred import refer_received
from simulator.refresh import refresh_due
from simulator.script_messages import RunScript
from simulator.states import NORMAL, REASONS
from simulator.survey import begin_survey
from sip.events import (
    Acknowledged,
    Answered,
    Cancelled,
    Event,
    Hungup,
    Lost,
    PeerOddity,
    Pracked,
    Progressed,
    ReferProgressed,
    Referred,
    RefreshDue,
    Refused,
    Reinvited,
    Requested,
    Responded,
    Withdrawn,
)

if TYPE_CHECKING:
    from simulator.call import Call


def _progressed(call: "Call", leg: Leg, event: Progressed, now: float) -> None:
    if isinstance(call.work, Connection) and leg is call.work.target:
        call.work.progressed(event.response, now)
    elif leg.owner is not None and leg.ended == 0.0:
        leg.owner.leg_rings(leg, event.response, now)


def _answered(call: "Call", leg: Leg, event: Answered, now: float) -> None:
    if leg.answered == 0.0:
        leg.answered = now
        leg.status = event.response.status
        leg.take(event.response)
        if leg.kind == VXML:
            note_gateway(call, leg, event.response)
        if isinstance(call.work, Connection) and leg is call.work.target:
            call.work.target_answered(event.response, now)
        elif leg.owner is not None and leg.ended == 0.0:
            leg.owner.leg_answered(leg, event.response, now)
        else:  # nobody waits for it any more
            leg.hang_up(now, NORMAL)
        return
    user = leg.offer_over()
    leg.take(event.response)
    if user is not None:
        user.offer_answered(leg, event.response, now)
    else:
        leg.session.acknowledge(now)
    leg.next_offer(now)


def _refused(call: "Call", leg: Leg, event: Refused, now: float) -> None:
    event = call.server.access.checked(event)
    moved = not call.server.config.sip.follow_redirects
    call.refusal = refusal_of(event.status, event.response, moved=moved)
    if leg.answered == 0.0:
        over = leg.ended != 0.0
        leg.finish(now, event.status)
        leg.status = event.status
        if isinstance(call.work, Connection) and leg is call.work.target:
            call.work.target_refused(event.status, event.reason, now)
        elif leg.owner is not None and not over:
            leg.owner.leg_refused(leg, event.status, event.reason, now)
        return
    user = leg.offer_over(refused=True)
    if user is not None:
        user.offer_refused(leg, event.status, event.reason, now)
    leg.next_offer(now)


def _acknowledged(call: "Call", leg: Leg, event: Acknowledged, now: float) -> None:
    leg.take(event.request)
    user = leg.ack_user
    leg.ack_user = None
    if user is not None:
        user.acknowledged(leg, event.request, now)


def _pracked(call: "Call", leg: Leg, event: Pracked, now: float) -> None:
    leg.take(event.request)
    if isinstance(call.work, Connection) and leg is call.caller:
        call.work.caller_pracked(event.request, now)


def _cancelled(call: "Call", leg: Leg, event: Cancelled, now: float) -> None:
    leg.finish(now, 487)
    if leg is not call.caller and _goes_on_without(call, leg, now):
        return  # it wanted the place of another leg
    call.error_code = 487
    call.log(now, "cancelled", event.request.get("reason") or "")
    reason, beside = parting(event.request)
    details = "the caller gave up before the answer"
    call.end(now, "abandoned", details, reason=reason, by=leg, beside=beside)


def _hung_up(call: "Call", leg: Leg, event: Hungup, now: float) -> None:
    leg.finish(now)
    if call.state == "ended":
        leg.session.confirm_bye(now)
        return
    reason, beside = parting(event.request)
    call.log(now, "hung_up", f"{leg.kind} {leg.number}".rstrip())
    if leg is call.caller:
        _caller_left(call, leg, reason, beside, now)
    elif begin_survey(call, leg, now) or _goes_on_without(call, leg, now):
        leg.session.confirm_bye(now)
    elif _unheard(call, now):
        call.error_code = 408
        call.end(now, "error", "no ACK from the caller", reason=REASONS["timeout"], by=leg)
    else:
        call.end(now, "completed", f"{leg.kind} hung up", reason=reason, by=leg, beside=beside)


def _unheard(call: "Call", now: float) -> bool:
    """Whether the caller is gone rather than the callee, which waited for its ACK too long.

    The callee gets its ACK after that of the caller, so its 64*T1 is over first.
    """
    caller = call.caller
    waits = isinstance(caller.ack_user, Connection)  # for its first; a re-INVITE has an OfferRelay
    return waits and now - caller.answered >= call.server.stack.endpoint.timers.timeout / 2


def _caller_left(call: "Call", leg: Leg, reason: str, beside: str, now: float) -> None:
    if isinstance(call.work, Departure) and call.work.caller_left(now):
        call.departed(call.work, now, by=leg)
        return
    state = call.settled_state
    waiting = state in ("queued", "ringing") or not leg.answered
    result: CallResult = "abandoned" if waiting else "completed"
    call.end(now, result, f"the {leg.kind} hung up", reason=reason, by=leg, beside=beside)


def _goes_on_without(call: "Call", leg: Leg, now: float) -> bool:
    """Whether the call outlives a leg that is not the caller's."""
    if isinstance(call.work, Connection) and call.work.left(leg, now):
        if leg is call.peer:
            call.peer = None
        return True
    if leg is not call.peer:
        if leg.owner is not None:
            leg.owner.leg_left(leg, now)
        return True
    call.peer = None
    if isinstance(call.work, Departure) or leg.kind == RINGTONE:
        return True
    return call.treatment is not None and call.treatment.peer_left(leg, now)


def _lost(call: "Call", leg: Leg, event: Lost, now: float) -> None:
    leg.finish(now, event.status)
    call.log(now, "leg_lost", f"{leg.kind}: SIP {event.status}")
    if leg is call.caller or not _goes_on_without(call, leg, now):
        if leg is not call.caller and call.caller.up and call.server.config.sip.error_refer:
            call.fail(now, event.status, f"{leg.kind} lost")
            return
        call.error_code = event.status
        details = f"{leg.kind} lost: SIP {event.status}"
        reason = REASONS["timeout"] if event.status == 408 else NORMAL
        call.end(now, "error", details, reason=reason, by=leg)


def _reinvited(call: "Call", leg: Leg, event: Reinvited, now: float) -> None:
    OfferRelay(call, leg, event.request).start(now)


def _responded(call: "Call", leg: Leg, event: Responded, now: float) -> None:
    context = event.context
    if isinstance(context, RequestRelay | AuditCheck | Outpulse):
        context.responded(event, now)
    elif isinstance(context, RunScript) and call.ivr is not None:
        call.ivr.responded(leg, context, event, now)


def _referred(call: "Call", leg: Leg, event: Referred, now: float) -> None:
    refer_received(call, leg, event.refer, now)


def _refer_progressed(call: "Call", leg: Leg, event: ReferProgressed, now: float) -> None:
    if isinstance(call.work, ReferTransfer) and call.work.refer is event.refer:
        call.work.progressed(event, now)


_Handler = Callable[["Call", Leg, Any, float], None]
HANDLERS: Final[dict[type[Event | Responded], _Handler]] = {
    Progressed: _progressed,
    Answered: _answered,
    Refused: _refused,
    Pracked: _pracked,
    Acknowledged: _acknowledged,
    Cancelled: _cancelled,
    Hungup: _hung_up,
    Lost: _lost,
    Reinvited: _reinvited,
    Withdrawn: withdrawn,
    Requested: RequestRelay.start,
    RefreshDue: refresh_due,
    Responded: _responded,
    Referred: _referred,
    ReferProgressed: _refer_progressed,
    PeerOddity: note_oddity,
}
