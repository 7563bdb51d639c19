"""The call detail record of a call that has ended."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from simulator.caller_data import UUI
from simulator.cdr_events import (
    APP_SESSION_COMPLETE,
    BLIND_TRANSFER,
    BY_REFER,
    BY_REINVITE,
    BY_SIGNAL,
    CALL_ABANDON,
    CALL_TRANSFER,
    CALL_TRANSFERRED,
    CALLBACK_ANSWERED,
    CALLBACK_DIALLED,
    CALLBACK_FAILED,
    CALLBACK_REQUESTED,
    CALLED_PARTY_DISCONNECTED,
    ERROR,
    FORCED,
    HUNG_UP,
    MAX_LABEL,
    MOVED_ON,
    NO_ANSWER,
    NO_CAUSE,
    NO_TRANSFER,
    NORMAL_COMPLETION,
    RUN_SCRIPT,
    STATUS_CAUSES,
    TIME_OUT,
    Mark,
    failure_of,
)
from simulator.cdr_records import (
    SIP_CALL,
    SIP_SUB_SYSTEM,
    CallResult,
    LegType,
    LegValues,
    Row,
    as_json,
)
from simulator.leg import (
    CALLBACK,
    CALLER,
    GREETING,
    ORIGINATED,
    RINGTONE,
    TRANSFER,
    VXML,
    WHISPER,
    Leg,
)

if TYPE_CHECKING:
    from simulator.call import Call

_LEG_TYPES: Final[Mapping[str, LegType]] = {CALLER: "inbound", TRANSFER: "transfer"}

_RESULT_CAUSES: Final[Mapping[CallResult, int]] = {
    "completed": NORMAL_COMPLETION,
    "abandoned": CALL_ABANDON,
    "transferred": CALL_TRANSFERRED,
}

# Legs that are no place where a call was transferred to.
_SERVICE: Final = frozenset((RINGTONE, WHISPER, GREETING, CALLBACK, ORIGINATED))

# Lines of a call's history that its legs do not tell; from CALLBACK_REQUESTED on the number
# is the EventTypeID.
_RUN: Final = 0  # what is played in a queue
_APPLICATION: Final = 1
_RESULT: Final = 2  # of an application
_NOT_RUN: Final = 3
_SCRIPT: Final = 4
_FAILED: Final = 5
_MOVED: Final = 6
_INSIDE: Final = (_RESULT, _NOT_RUN, _SCRIPT)  # no marks, but they may end an application
_MARKED: Final[Mapping[str, int]] = {
    "self_service": _APPLICATION,
    "queued": _RUN,
    "RUN_SCRIPT_RESULT": _RESULT,
    "application_ended": _RESULT,
    "application_not_run": _NOT_RUN,
    "script": _SCRIPT,
    "connect_failed": _FAILED,
    "transfer_failed": _FAILED,
    "transfer_completed": _MOVED,
    "callback_requested": CALLBACK_REQUESTED,
    "callback_dialled": CALLBACK_DIALLED,
    "callback_answered": CALLBACK_ANSWERED,
    "callback_failed": CALLBACK_FAILED,
}
_NO_ERROR: Final = (
    RUN_SCRIPT,
    APP_SESSION_COMPLETE,
    CALLBACK_REQUESTED,
    CALLBACK_DIALLED,
    CALLBACK_ANSWERED,
)
_STATUS: Final = re.compile(r"\d{3}")


def vxml_server(call: "Call") -> str:
    """The host of the VXML gateway the call is on or was on last; empty without."""
    for leg in reversed(call.legs):
        if leg.kind == VXML:
            return leg.session.remote_address[0]
    return ""


def row_of(call: "Call", now: float, by: Leg | None = None) -> Row:
    """The CDR of an ended call, as the store takes it: in the order of `COLUMNS`.

    `by` is the leg that hung up.
    """
    server = call.server
    epoch = call.epoch
    legs = call.legs
    marks = _marks(call, by)
    applications = timeouts = errors = transfers = 0
    if call.ivr is not None:
        applications, timeouts, errors = call.ivr.applications, call.ivr.timeouts, call.ivr.errors
    for _, event_type, _, transfer_type, _ in marks:
        if event_type == NO_ANSWER:
            timeouts += 1
        elif event_type == BLIND_TRANSFER:
            transfers += 1
        elif transfer_type == NO_TRANSFER and event_type not in _NO_ERROR:
            errors += 1
    values = []
    for leg in legs:
        values.append(_leg_values(call, leg, epoch, now))
        if leg.answered != 0.0 and leg.session.outgoing and leg.kind not in _SERVICE:
            transfers += 1
    ecc = call.variables.ecc if call.variables is not None else None
    return (
        call.guid,
        int((epoch + call.started) * 1000),
        int((epoch + now) * 1000),
        call.calling,
        call.called,
        call.result,
        _milliseconds(call.self_service_time),
        _milliseconds(call.queue_time),
        call.application,
        server.config.server.name,
        vxml_server(call),
        legs[0].session.dialog.call_id,
        call.icm.call_key if call.icm is not None else "",
        call.transfer_destination,
        str(call.error_code) if call.error_code else None,
        _cause(call, by),
        SIP_CALL,
        SIP_SUB_SYSTEM,
        ecc.get(UUI) if ecc is not None else None,
        call.holds,
        applications,
        transfers,
        timeouts,
        errors,
        as_json(ecc) if ecc is not None else None,
        as_json(values),
        as_json(marks),
    )


def _cause(call: "Call", by: Leg | None) -> int:
    """The CauseID of the reporting database [RG]."""
    if call.result == "error":
        return STATUS_CAUSES.get(call.error_code, ERROR)
    if call.result == "completed" and by is not None and by is not call.caller:
        return CALLED_PARTY_DISCONNECTED
    return _RESULT_CAUSES[call.result]


def _marks(call: "Call", by: Leg | None) -> list[Mark]:
    """What of the history the legs do not tell; nothing of a plain call."""
    marks: list[Mark] = []
    running = ""  # the application
    for at, event, details in call.history:
        what = _MARKED.get(event)
        if what is None:
            continue
        after = round((at - call.started) * 1000)
        mark = _mark(what, after, details) if what not in _INSIDE else None
        if running and (mark is not None or what in _INSIDE):
            cause = _end_of(running, what, details)
            if cause != NO_CAUSE:
                marks.append((after, APP_SESSION_COMPLETE, cause, NO_TRANSFER, running))
                running = ""
        if mark is not None:
            marks.append(mark)
            if what == _APPLICATION:
                running = details
    if running:
        after = round((call.history[-1][0] - call.started) * 1000)
        cause = ERROR if call.result == "error" else HUNG_UP if by is call.caller else FORCED
        marks.append((after, APP_SESSION_COMPLETE, cause, NO_TRANSFER, running))
    return marks


def _end_of(application: str, what: int, details: str) -> int:
    """The cause of an application's end by a line of the history; 0 where it goes on."""
    if what == _RESULT:
        failed = f"{details} ".startswith(f"{application} failed ")
        return ERROR if failed else NORMAL_COMPLETION
    if what == _NOT_RUN:  # of this one, or too late of one before
        return ERROR if details.startswith(f"{application}: ") else NO_CAUSE
    if what == _SCRIPT:
        return TIME_OUT if details.endswith(": time is over") else NO_CAUSE
    return NO_CAUSE if what == _FAILED else MOVED_ON


def _mark(what: int, after: int, details: str) -> Mark | None:
    if what <= _APPLICATION:  # a return from a hold or a failed transfer says no name, or a code
        if not details or details.startswith(("SIP ", "resumed ")):
            return None
        return after, RUN_SCRIPT, NO_CAUSE, NO_TRANSFER, details[:MAX_LABEL]
    if what == _MOVED:
        label, _, how = details.partition(" ")
        if how.startswith("by "):  # the caller was sent off
            kind = BY_REFER if how.startswith("by REFER") else BY_SIGNAL
            return after, BLIND_TRANSFER, NORMAL_COMPLETION, kind, label[:MAX_LABEL]
        return after, CALL_TRANSFER, NORMAL_COMPLETION, BY_REINVITE, label[:MAX_LABEL]
    label, _, rest = details.partition(": SIP ")  # a label may be a URI
    if what >= CALLBACK_REQUESTED:
        return after, what, NO_CAUSE, NO_TRANSFER, label[:MAX_LABEL]
    status = _STATUS.match(rest)
    event_type, cause = failure_of(int(status[0]) if status is not None else 0)
    return after, event_type, cause, NO_TRANSFER, label[:MAX_LABEL]


def _leg_values(call: "Call", leg: Leg, epoch: float, now: float) -> LegValues:
    session = leg.session
    from_uri, to_uri = call.server.leg_uris(leg)
    # One that came over from another call was here no longer than this call is.
    started = leg.started if leg.started > call.started else call.started
    return (
        session.dialog.call_id.partition("@")[0],
        _LEG_TYPES.get(leg.kind, "outbound"),
        int((epoch + started) * 1000),
        int((epoch + (leg.ended or now)) * 1000),
        from_uri,
        to_uri,
        session.remote_address[0],
        leg.status or None,
        int((epoch + leg.answered) * 1000) if leg.answered != 0.0 else None,
        leg.kind,
    )


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000) if seconds else 0
