"""The call detail record of a call that has ended."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from simulator.cdr_records import (
    SIP_CALL,
    SIP_SUB_SYSTEM,
    CallResult,
    LegType,
    LegValues,
    Row,
    as_json,
)
from simulator.leg import CALLER, TRANSFER, VXML, Leg

if TYPE_CHECKING:
    from simulator.call import Call

_LEG_TYPES: Final[Mapping[str, LegType]] = {CALLER: "inbound", TRANSFER: "transfer"}


# CauseID [RG]: 1 normal completion, 2 abandon, 3 transferred, 5 busy, 6 no answer,
# 18 error, 26 invalid number.
_RESULT_CAUSES: Final[Mapping[CallResult, int]] = {
    "completed": 1,
    "abandoned": 2,
    "transferred": 3,
}
_CAUSES: Final[Mapping[int, int]] = {404: 26, 408: 6, 480: 6, 484: 26, 486: 5, 600: 5}
_ERROR: Final = 18


def vxml_server(call: "Call") -> str:
    """The host of the VXML gateway the call is on or was on last; empty without."""
    for leg in reversed(call.legs):
        if leg.kind == VXML:
            return leg.session.remote_address[0]
    return ""


def row_of(call: "Call", now: float) -> Row:
    """The CDR of an ended call, as the store takes it: in the order of `COLUMNS`."""
    server = call.server
    epoch = server.wall(0.0)
    legs = call.legs
    ivr = call.ivr
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
        "",  # icm_call_key
        call.transfer_destination,
        str(call.error_code) if call.error_code else None,
        _cause(call),
        SIP_CALL,
        SIP_SUB_SYSTEM,
        None,  # uui
        call.holds,
        ivr.applications if ivr is not None else 0,
        call.transfers,
        ivr.timeouts if ivr is not None else 0,
        ivr.errors if ivr is not None else 0,
        as_json(call.variables.ecc) if call.variables is not None else None,
        as_json([_leg_values(call, leg, epoch, now) for leg in legs]),
    )


def _cause(call: "Call") -> int:
    """The CauseID of the reporting database [RG]."""
    if call.result == "error":
        return _CAUSES.get(call.error_code, _ERROR)
    return _RESULT_CAUSES[call.result]


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
    )


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000) if seconds else 0
