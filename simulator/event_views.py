"""The events that readers of the stream get, as plain values.

Names and fields follow the Call Events API of the profile [AE]; `call.state_changed` is an
addition. Times are seconds since the epoch, durations whole seconds; None where there is
nothing to tell. The REST surface turns these into JSON.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias

from simulator.cdr_records import CallResult
from simulator.views import CallState

CONSULTING: Final = "consulting"
"""The details of call.state_changed when the target of a consultation has answered."""

EventType: TypeAlias = Literal[
    "call.started",
    "call.state_changed",
    "call.application_invoked",
    "call.queued",
    "call.transferred",
    "call.error",
    "call.ended",
    "system.device_status_changed",
    "system.threshold_exceeded",
    "system.service_state_changed",
]
ErrorCategory: TypeAlias = Literal[
    "sip_failure",
    "vxml_error",
    "icm_communication",
    "application_error",
    "timeout",
    "system_error",
]
DeviceStatus: TypeAlias = Literal["online", "offline", "maintenance", "error"]
ServiceName: TypeAlias = Literal["SIP", "ICM", "Reporting"]
ServiceState: TypeAlias = Literal["running", "stopped", "error"]


@dataclass(slots=True)
class EventView:
    """Any event; `cursor` is its place in the stream, which the bus gives."""

    event_type: ClassVar[EventType]

    cursor: int
    timestamp: float


@dataclass(slots=True)
class CallEventView(EventView):
    """An event of one call."""

    call_guid: str
    calling_number: str
    called_number: str


@dataclass(slots=True)
class CallStarted(CallEventView):
    """A call was let in; `ingress_gateway` is the address that it came from."""

    event_type: ClassVar[EventType] = "call.started"

    call_server_hostname: str
    sip_call_id: str
    ingress_gateway: str
    matched_pattern: str | None


@dataclass(slots=True)
class CallStateChanged(CallEventView):
    """A call has another state than before; `details` as in its history."""

    event_type: ClassVar[EventType] = "call.state_changed"

    state: CallState
    details: str | None


@dataclass(slots=True)
class ApplicationInvoked(CallEventView):
    """A VXML application begins; `session_id` is the SIP session that leads to it."""

    event_type: ClassVar[EventType] = "call.application_invoked"

    application_name: str
    vxml_server_hostname: str | None
    session_id: str | None


@dataclass(slots=True)
class CallQueued(CallEventView):
    """A call waits for an agent; `estimated_wait_time` None while nobody is there."""

    event_type: ClassVar[EventType] = "call.queued"

    skill_group: str
    estimated_wait_time: int | None
    queue_position: int
    queue_application: str | None


@dataclass(slots=True)
class CallTransferred(CallEventView):
    """A transfer has succeeded: an operator's, a phone's, or ICM's to an agent."""

    event_type: ClassVar[EventType] = "call.transferred"

    transfer_destination: str
    transfer_type: Literal["blind", "consultation"]
    icm_label: str | None
    skill_group: str | None


@dataclass(slots=True)
class CallError(CallEventView):
    """Something went wrong; the call may go on. `error_code` is the SIP code, if there is one."""

    event_type: ClassVar[EventType] = "call.error"

    error_code: str
    error_message: str
    error_category: ErrorCategory
    server_hostname: str
    sip_response_code: int | None


@dataclass(slots=True)
class CallEnded(CallEventView):
    """A call is over; `sip_response_code` None where an operator ended it before an answer."""

    event_type: ClassVar[EventType] = "call.ended"

    call_result: CallResult
    call_duration: int
    self_service_duration: int
    queue_duration: int
    application_name: str | None
    termination_reason: str
    sip_response_code: int | None


@dataclass(slots=True)
class DeviceStatusChanged(EventView):
    """A server of a group or a VXML server came or went."""

    event_type: ClassVar[EventType] = "system.device_status_changed"

    device_id: str
    hostname: str
    device_type: str | None
    previous_status: DeviceStatus
    current_status: DeviceStatus
    reason: str


@dataclass(slots=True)
class ThresholdExceeded(EventView):
    """More licences are in use than a threshold says."""

    event_type: ClassVar[EventType] = "system.threshold_exceeded"

    device_id: str
    hostname: str
    metric: Literal["concurrent_calls"]
    threshold_value: float
    current_value: float
    severity: Literal["warning", "critical"]


@dataclass(slots=True)
class ServiceStateChanged(EventView):
    """A service of the call server has another state."""

    event_type: ClassVar[EventType] = "system.service_state_changed"

    device_id: str
    hostname: str
    service_name: ServiceName
    previous_state: ServiceState
    current_state: ServiceState
    message: str


VIEWS: tuple[type[EventView], ...] = (
    CallStarted,
    CallStateChanged,
    ApplicationInvoked,
    CallQueued,
    CallTransferred,
    CallError,
    CallEnded,
    DeviceStatusChanged,
    ThresholdExceeded,
    ServiceStateChanged,
)
