"""The rows of the `CallEvent` table of the reporting database [RG], and its numbers.

What a record says of its legs is enough for most of them, so that a plain call costs
nothing here; what only its history tells (failures, transfers, applications) lies in the
record as `marks`. The rows are made when somebody reads them.

The guide does not publish the numbers of TransferTypeID: 1, 2 and 3 below are ours. It names
only the range of the callback events (20 to 29), of which 20 to 23 are ours, and of the
whisper causes (29 to 33).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from simulator.cdr_records import CdrRecord, LegRecord

# EventTypeID.
NEW_CALL: Final = 0
CONNECT_FAILURE: Final = 1
BUSY: Final = 2
NO_ANSWER: Final = 3
ANSWER: Final = 4
ABANDON: Final = 5
DISCONNECT: Final = 6
HANG_UP: Final = 7
APP_TRANSFER: Final = 8
APP_SESSION_COMPLETE: Final = 9
CALL_TRANSFER: Final = 10
RUN_SCRIPT: Final = 11
BRIDGE_TRANSFER: Final = 16
BLIND_TRANSFER: Final = 17
REQ_ICM_LABEL: Final = 18
CALLBACK_REQUESTED: Final = 20
CALLBACK_DIALLED: Final = 21
CALLBACK_ANSWERED: Final = 22
CALLBACK_FAILED: Final = 23
EVENT_TYPES: Final[Mapping[int, str]] = {
    NEW_CALL: "New Call",
    CONNECT_FAILURE: "Connect Failure",
    BUSY: "Busy",
    NO_ANSWER: "No Answer",
    ANSWER: "Answer",
    ABANDON: "Abandon",
    DISCONNECT: "Disconnect",
    HANG_UP: "Hang Up",
    APP_TRANSFER: "App Transfer",
    APP_SESSION_COMPLETE: "App Session Complete",
    CALL_TRANSFER: "Call Transfer",
    RUN_SCRIPT: "Run Script",
    BRIDGE_TRANSFER: "Bridge Transfer",
    BLIND_TRANSFER: "Blind Transfer",
    REQ_ICM_LABEL: "ReqICMLabel",
    CALLBACK_REQUESTED: "Callback Requested",
    CALLBACK_DIALLED: "Callback Dialled",
    CALLBACK_ANSWERED: "Callback Answered",
    CALLBACK_FAILED: "Callback Failed",
    **{number: f"Callback {number}" for number in range(24, 30)},
}

# CauseID; 1 to 13 are also the clear causes of GED-125.
NO_CAUSE: Final = 0
NORMAL_COMPLETION: Final = 1
CALL_ABANDON: Final = 2
CALL_TRANSFERRED: Final = 3
CAUSE_BUSY: Final = 5
CAUSE_NO_ANSWER: Final = 6
NOT_OBTAINABLE: Final = 9
NO_RESOURCES: Final = 11
CALLED_PARTY_DISCONNECTED: Final = 13
TIME_OUT: Final = 16
ERROR: Final = 18
INVALID_NUMBER: Final = 26
CALLER_CANCELED: Final = 28
HUNG_UP: Final = 1001
MOVED_ON: Final = 1025
FORCED: Final = 1027
CAUSES: Final[Mapping[int, str]] = {
    NO_CAUSE: "None",
    NORMAL_COMPLETION: "Normal Completion",
    CALL_ABANDON: "Call Abandon",
    CALL_TRANSFERRED: "Call Transferred",
    4: "New Transaction",
    CAUSE_BUSY: "Busy",
    CAUSE_NO_ANSWER: "No Answer",
    7: "Maintenance",
    8: "Net Congestion",
    NOT_OBTAINABLE: "Net Not Obtainable",
    10: "Reorder Tone",
    NO_RESOURCES: "Resources Not Available",
    12: "Trunks Busy",
    CALLED_PARTY_DISCONNECTED: "Called Party Disconnected",
    14: "Max Ports",
    15: "Suspended",
    TIME_OUT: "Time Out",
    17: "Invalidated",
    ERROR: "Error",
    20: "Post Call Answer",
    25: "No Response",
    INVALID_NUMBER: "Invalid Number",
    CALLER_CANCELED: "Caller Canceled",
    **{number: f"Whisper {number}" for number in range(29, 34)},
    HUNG_UP: "Hang Up",
    1002: "Network",
    1003: "System",
    1022: "Called Hung Up",
    1023: "No Answer",
    1024: "Busy",
    MOVED_ON: "Transfer",
    1026: "Invalid Extn",
    FORCED: "Hang Up Forced",
    1040: "CVP System Unavailable",
}

SUB_SYSTEMS: Final[Mapping[int, str]] = {0: "SIP", 1: "IVR", 2: "VXML", 6: "ICM"}
CALL_TYPES: Final[Mapping[int, str]] = {
    1: "legacy audio",
    2: "legacy video",
    4: "SIP",
    5: "VRU",
    6: "VXML",
    7: "basic video",
    8: "full video",
}

# TransferTypeID.
NO_TRANSFER: Final = 0
BY_REINVITE: Final = 1
BY_REFER: Final = 2
BY_SIGNAL: Final = 3  # digits, hookflash, two B-channel transfer
TRANSFER_TYPES: Final[Mapping[int, str]] = {
    NO_TRANSFER: "none",
    BY_REINVITE: "re-INVITE",
    BY_REFER: "REFER",
    BY_SIGNAL: "signal",
}

# SIP code to CauseID (I): 404 is a connect failure, 486 busy, a timeout no answer.
STATUS_CAUSES: Final[Mapping[int, int]] = {
    404: INVALID_NUMBER,
    408: CAUSE_NO_ANSWER,
    480: CAUSE_NO_ANSWER,
    484: INVALID_NUMBER,
    486: CAUSE_BUSY,
    487: CALLER_CANCELED,
    503: NO_RESOURCES,
    600: CAUSE_BUSY,
    604: INVALID_NUMBER,
}
_FAILURES: Final[Mapping[int, int]] = {
    408: NO_ANSWER,
    480: NO_ANSWER,
    486: BUSY,
    600: BUSY,
}

MAX_LABEL: Final = 32
"""Characters of a TransferLabel."""

Mark: TypeAlias = tuple[int, int, int, int, str]
"""Milliseconds after the start of the call, EventTypeID, CauseID, TransferTypeID, label."""


@dataclass(slots=True)
class CallEvent:
    """A row of `CallEvent`; the time is in whole milliseconds since the epoch."""

    call_leg_id: str
    message_bus_name: str
    event_time: int
    event_type_id: int
    cause_id: int = NO_CAUSE
    transfer_type_id: int = NO_TRANSFER
    transfer_label: str = ""

    @property
    def event_type(self) -> str:
        """The name of the type."""
        return EVENT_TYPES.get(self.event_type_id, "")

    @property
    def cause(self) -> str:
        """The name of the cause."""
        return CAUSES.get(self.cause_id, "")


@dataclass(slots=True)
class VxmlSession:
    """A row of `VXMLSession`: an application that a call was with, from when to when.

    Times are in whole milliseconds since the epoch. `cause_id` is 1 where it came to its end,
    18 where it failed, 16 where the script had no more time for it, 1025 where the caller was
    moved on; 1001 where the caller hung up, 1027 where the call ended otherwise.
    """

    app_name: str
    start_time: int
    end_time: int
    cause_id: int

    @property
    def cause(self) -> str:
        """The name of the cause."""
        return CAUSES.get(self.cause_id, "")


_USER_PART: Final = re.compile(r"\w+:([^@;?]*)@")
_time: Final = attrgetter("event_time")


def failure_of(status: int) -> tuple[int, int]:
    """EventTypeID and CauseID of a target that could not be reached."""
    return _FAILURES.get(status, CONNECT_FAILURE), STATUS_CAUSES.get(status, ERROR)


def events_of(record: "CdrRecord") -> list[CallEvent]:
    """The events of a call in the order in which they happened."""
    events: list[CallEvent] = []
    bus = record.call_server_hostname
    for leg in record.legs:
        if _begins(leg):
            events.append(CallEvent(leg.leg_id, bus, leg.start_time, NEW_CALL))
        elif leg.answer_time is not None:
            label = label_of(leg)
            at = leg.answer_time
            events.append(CallEvent(leg.leg_id, bus, at, ANSWER, transfer_label=label))
    for after, event_type, cause, transfer_type, label in record.marks:
        at = record.call_start_time + after
        leg_id = _leg_of(record, at, event_type, label)
        label = label[:MAX_LABEL]
        events.append(CallEvent(leg_id, bus, at, event_type, cause, transfer_type, label))
    for leg in record.legs:
        events += _ending(record, leg, bus)
    events.sort(key=_time)
    return events


def _begins(leg: "LegRecord") -> bool:
    """Whether the call began with this leg: of a caller, or by a command."""
    return leg.leg_type == "inbound" or leg.kind == "originated"


def sessions_of(record: "CdrRecord") -> list[VxmlSession]:
    """The applications that a call was with, one after another.

    A record of a former version has none: it does not say how they ended.
    """
    sessions: list[VxmlSession] = []
    start = record.call_start_time
    for after, event_type, cause, _, label in record.marks:
        at = record.call_start_time + after
        if event_type == RUN_SCRIPT:
            start = at
        elif event_type == APP_SESSION_COMPLETE:
            sessions.append(VxmlSession(label, start, at, cause))
    return sessions


def _leg_of(record: "CdrRecord", at: int, event_type: int, label: str) -> str:
    """The leg of a mark: the gateway's where an application ended, else that of its label."""
    found = record.legs[0].leg_id if record.legs else ""
    for leg in record.legs[1:]:
        if event_type != APP_SESSION_COMPLETE:
            if label_of(leg) == label:
                return leg.leg_id
        elif leg.kind == "vxml" and leg.start_time <= at:
            found = leg.leg_id  # the last one
    return found


def _ending(record: "CdrRecord", leg: "LegRecord", bus: str) -> list[CallEvent]:
    """How a leg ended; a target that never answered has its failure among the marks."""
    at = leg.end_time
    if _begins(leg):
        # Who has left to be called back has not given up by that.
        abandoned = record.call_result == "abandoned" and at >= record.call_end_time
        event_type = ABANDON if abandoned else DISCONNECT
        return [CallEvent(leg.leg_id, bus, at, event_type, record.cause_id)]
    if leg.answer_time is None:
        if record.call_result != "abandoned" or leg.end_time < record.call_end_time:
            return []
        return [CallEvent(leg.leg_id, bus, at, DISCONNECT, CALLER_CANCELED)]
    cause = record.cause_id if at >= record.call_end_time else CALL_TRANSFERRED
    events = [CallEvent(leg.leg_id, bus, at, DISCONNECT, cause)]
    if leg.kind == "vxml" and not _has_sessions(record, leg):
        events.insert(0, CallEvent(leg.leg_id, bus, at, APP_SESSION_COMPLETE, NORMAL_COMPLETION))
    return events


def _has_sessions(record: "CdrRecord", leg: "LegRecord") -> bool:
    """Whether marks tell the ends of applications on a leg: not where it only had a queue."""
    first, last = leg.start_time - record.call_start_time, leg.end_time - record.call_start_time
    return any(
        event_type == APP_SESSION_COMPLETE and first <= after <= last
        for after, event_type, *_ in record.marks
    )


def label_of(leg: "LegRecord") -> str:
    """The number that an outbound leg called."""
    user = _USER_PART.match(leg.to_uri)
    return user[1][:MAX_LABEL] if user is not None else ""
