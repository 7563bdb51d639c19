"""The call detail record of a call that has ended."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from simulator.cdr_records import CallResult, CdrRecord, LegRecord, LegType
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


def record_of(call: "Call", now: float) -> CdrRecord:
    """The CDR of an ended call."""
    wall = call.server.wall
    return CdrRecord(
        call_guid=call.guid,
        call_start_time=int(wall(call.started) * 1000),
        call_end_time=int(wall(now) * 1000),
        calling_number=call.calling,
        called_number=call.called,
        call_result=call.result,
        self_service_duration=round(call.self_service_time * 1000),
        queue_duration=round(call.queue_time * 1000),
        application_name=call.application,
        call_server_hostname=call.server.config.server.name,
        vxml_server_hostname=vxml_server(call),
        sip_call_id=call.legs[0].session.dialog.call_id,
        icm_call_key="",
        cause_id=_cause(call),
        hold_count=call.holds,
        transfer_count=sum(event == "transfer_completed" for _, event, _ in call.history),
        ecc_variables=call.variables.ecc if call.variables is not None else {},
        transfer_destination=call.transfer_destination,
        error_code=str(call.error_code) if call.error_code else None,
        legs=[_leg_record(call, leg, now) for leg in call.legs],
    )


def _cause(call: "Call") -> int:
    """The CauseID of the reporting database [RG]."""
    if call.result == "error":
        return _CAUSES.get(call.error_code, _ERROR)
    return _RESULT_CAUSES[call.result]


def _leg_record(call: "Call", leg: Leg, now: float) -> LegRecord:
    wall = call.server.wall
    from_uri, to_uri = call.server.leg_uris(leg)
    return LegRecord(
        leg_id=leg.session.dialog.call_id.partition("@")[0],
        call_guid=call.guid,
        leg_type=_LEG_TYPES.get(leg.kind, "outbound"),
        # One that came over from another call was here no longer than this call is.
        start_time=int(wall(max(leg.started, call.started)) * 1000),
        end_time=int(wall(leg.ended or now) * 1000),
        from_uri=from_uri,
        to_uri=to_uri,
        server_hostname=leg.session.remote_address[0],
        sip_response_code=leg.status or None,
    )
