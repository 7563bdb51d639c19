"""The schemas of the event stream.

Names and fields are those of the API Evangelist profile of the CVP Call Events API; what it
lacks is the cursor, the numbers in every event of a call, and `call.state_changed`.
"""

import re
from datetime import datetime
from typing import Annotated, Final, Literal, get_args

from pydantic import BeforeValidator, Field, RootModel, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from api.models import OptionalText, PlainText, Query, Reply, Text, WholeNumber
from simulator.cdr_records import CallResult
from simulator.event_views import (
    DeviceStatus,
    ErrorCategory,
    EventType,
    ServiceName,
    ServiceState,
)
from simulator.views import CallState


class AnyEvent(Reply):
    """What every event says: `cursor` is its place in the stream, to go on from."""

    cursor: int
    event_type: Text
    timestamp: datetime


class AnyCallEvent(AnyEvent):
    """What every event of a call says."""

    call_guid: Text
    calling_number: Text
    called_number: Text


class CallStarted(AnyCallEvent):
    """A call has come in; `ingress_gateway` is the address that it came from."""

    event_type: Literal["call.started"]
    call_server_hostname: Text
    sip_call_id: Text
    ingress_gateway: Text
    matched_pattern: OptionalText = None


class CallStateChanged(AnyCallEvent):
    """A call has another state than before; `details` as in its history.

    The same state with the details ``consulting``: the target of a consultation has answered.
    """

    event_type: Literal["call.state_changed"]
    state: CallState
    details: OptionalText = None


class ApplicationInvoked(AnyCallEvent):
    """A VXML application begins; `session_id` is the SIP session that leads to it."""

    event_type: Literal["call.application_invoked"]
    application_name: Text
    vxml_server_hostname: OptionalText = None
    session_id: OptionalText = None


class CallQueued(AnyCallEvent):
    """A call waits for an agent; `estimated_wait_time` in seconds."""

    event_type: Literal["call.queued"]
    skill_group: Text
    estimated_wait_time: int | SkipJsonSchema[None] = None
    queue_position: int
    queue_application: OptionalText = None


class CallTransferred(AnyCallEvent):
    """A transfer has succeeded: an operator's, a phone's, or ICM's to an agent."""

    event_type: Literal["call.transferred"]
    transfer_destination: Text
    transfer_type: Literal["blind", "consultation"]
    icm_label: OptionalText = None
    skill_group: OptionalText = None


class CallError(AnyCallEvent):
    """Something went wrong; the call may go on. `error_code` is the SIP code, if there is one."""

    event_type: Literal["call.error"]
    error_code: Text
    error_message: Text
    error_category: ErrorCategory
    server_hostname: Text
    sip_response_code: int | SkipJsonSchema[None] = None


class CallEnded(AnyCallEvent):
    """A call is over; durations in seconds."""

    event_type: Literal["call.ended"]
    call_result: CallResult
    call_duration: int
    self_service_duration: int
    queue_duration: int
    application_name: OptionalText = None
    termination_reason: Text
    sip_response_code: int | SkipJsonSchema[None] = None


class DeviceStatusChanged(AnyEvent):
    """A server of a group or a VXML server came or went."""

    event_type: Literal["system.device_status_changed"]
    device_id: Text
    hostname: Text
    device_type: OptionalText = None
    previous_status: DeviceStatus
    current_status: DeviceStatus
    reason: Text


class ThresholdExceeded(AnyEvent):
    """More licences are in use than a threshold says."""

    event_type: Literal["system.threshold_exceeded"]
    device_id: Text
    hostname: Text
    metric: Literal["concurrent_calls"]
    threshold_value: float
    current_value: float
    severity: Literal["warning", "critical"]


class ServiceStateChanged(AnyEvent):
    """A service of the call server has another state."""

    event_type: Literal["system.service_state_changed"]
    device_id: Text
    hostname: Text
    service_name: ServiceName
    previous_state: ServiceState
    current_state: ServiceState
    message: Text


class Event(
    RootModel[
        CallStarted
        | CallStateChanged
        | ApplicationInvoked
        | CallQueued
        | CallTransferred
        | CallError
        | CallEnded
        | DeviceStatusChanged
        | ThresholdExceeded
        | ServiceStateChanged
    ]
):
    """One event; `eventType` says which."""


MODELS: Final[tuple[type[AnyEvent], ...]] = get_args(Event.model_fields["root"].annotation)
TYPES: Final[tuple[str, ...]] = get_args(EventType)
_GROUPS: Final = ("call.*", "system.*")
_WANTED: Final = "|".join(re.escape(name) for name in (*TYPES, *_GROUPS))


def _types(value: object) -> object:
    """Types, or groups of them, separated by commas."""
    if not isinstance(value, str):
        return value
    found: set[str] = set()
    for name in value.split(","):
        if name in _GROUPS:
            found |= {one for one in TYPES if one.startswith(name.removesuffix("*"))}
        elif name in TYPES:
            found.add(name)
        else:
            known = ", ".join((*_GROUPS, *TYPES))
            raise ValueError(f"has {name!r}, which is no type; known are {known}")
    return frozenset(found)


class EventsQuery(Query):
    """Which events to send, and from where on."""

    cursor: Annotated[WholeNumber, Field(ge=0)] | SkipJsonSchema[None] = Field(
        None,
        description="Send what followed the event with this cursor; without it what happens from "
        "now on. Last-Event-ID comes before it.",
    )
    type: Annotated[
        frozenset[str] | SkipJsonSchema[None],
        BeforeValidator(_types),
        WithJsonSchema({"type": "string", "pattern": f"^({_WANTED})(,({_WANTED}))*$"}),
    ] = Field(
        None, description="Only events of these types, separated by commas; call.* is all of calls."
    )
    call_guid: PlainText | SkipJsonSchema[None] = Field(
        None, description="Only events of this call."
    )
