"""What readers of the call server see: plain values, copied at the moment of asking.

The REST surface turns these into JSON. Times are seconds since the epoch, UTC.
"""

from dataclasses import dataclass, field
from typing import Literal

CallState = Literal["ringing", "connected", "queued", "self_service", "transferring", "on_hold"]
TransferType = Literal["blind", "consultation"]
TerminateReason = Literal["administrative", "timeout", "error", "requested"]
CallType = Literal["preroute", "translation_route", "post_route"]
LoadBalancing = Literal["round_robin", "top_down", "weight_based"]
Component = Literal["ICM", "CUCM", "VXMLServer", "ReportingServer", "MediaServer"]


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls are meant; None: any.

    `leg` is the number, the session id or the Call-ID of any leg that is up or rings.
    """

    state: str | None = None
    called_number: str | None = None
    calling_number: str | None = None
    application: str | None = None
    leg: str | None = None


@dataclass(frozen=True, slots=True)
class BanView:
    """A source that SIP does not hear until a time; `refused` requests of it were dropped."""

    address: str
    reason: str
    since: float
    until: float
    refused: int


@dataclass(slots=True)
class HistoryEntry:
    """One line of a call's history."""

    time: float
    event: str
    details: str


@dataclass(slots=True)
class IcmRouteResult:
    """What ICM decided last; empty text where it has not."""

    route_label: str = ""
    skill_group: str = ""
    agent_id: str = ""


@dataclass(slots=True)
class CallView:
    """One active call."""

    guid: str
    state: CallState
    calling_number: str
    called_number: str
    start_time: float
    duration: int
    application_name: str


@dataclass(slots=True)
class CallPage:
    """Some of the calls that match, the oldest first; `total` counts all that do.

    `cursor` is where the next page begins, None after the last one.
    """

    total: int
    calls: list[CallView]
    cursor: int | None


@dataclass(slots=True)
class CallDetailView(CallView):
    """One active call with its caller leg's dialog, its history and variables."""

    sip_call_id: str
    sip_from_tag: str
    sip_to_tag: str
    icm_route_result: IcmRouteResult
    vxml_server: str
    history: list[HistoryEntry] = field(default_factory=list)
    ecc_variables: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class TransferCommand:
    """What POST /call/{callGuid}/transfer asks for; `label` replaces `destination`."""

    destination: str
    transfer_type: TransferType = "blind"
    label: str | None = None
    ecc_variables: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class TransferStepView:
    """One message of a transfer, or the loss of a far end; `sip_code` None for a request."""

    time: float
    leg: str
    number: str
    session_id: str
    direction: str
    message: str
    sip_code: int | None
    reason: str
    outcome: str


@dataclass(slots=True)
class TransferView:
    """One transfer of a call: who wanted it, how it was done, its steps and its outcome."""

    transfer_type: str
    method: str
    initiated_by: str
    destination: str
    label: str
    state: str
    start_time: float
    end_time: float | None
    sip_code: int | None
    reason: str
    steps: list[TransferStepView]


@dataclass(slots=True)
class VariablesView:
    """The variables of a call that are set, under the names of the contract."""

    ecc: dict[str, str]
    peripheral: dict[str, str]
    call: dict[str, str]


@dataclass(slots=True)
class SessionView:
    """One SIP dialog of a call, that is one leg, as lists show it."""

    session_id: str
    call_id: str
    call_guid: str
    state: Literal["initial", "early", "confirmed", "terminated"]
    method: str
    from_uri: str
    to_uri: str
    start_time: float


@dataclass(slots=True)
class SessionDetailView(SessionView):
    """One SIP dialog with its tags, addresses and times."""

    from_tag: str
    to_tag: str
    cseq: int
    transport: Literal["UDP", "TCP", "TLS"]
    local_address: str
    remote_address: str
    last_activity_time: float


@dataclass(slots=True)
class LegView:
    """One leg of a call: what it is for, the number it is called by, and its dialog."""

    leg: str
    number: str
    session: SessionDetailView


@dataclass(slots=True)
class HealthView:
    """The server as a whole; `cpu_usage` and `memory_usage` in percent, `uptime` in seconds."""

    server_name: str
    status: Literal["healthy", "degraded", "unhealthy"]
    uptime: float
    version: str
    active_calls: int
    max_calls: int
    sip_stack_status: Literal["running", "stopped", "error"]
    cpu_usage: float
    memory_usage: float


@dataclass(slots=True)
class ConnectionView:
    """One neighbour, probed just now; `latency` in milliseconds, None when it failed."""

    component: Component
    hostname: str
    ip_address: str
    port: int
    status: Literal["connected", "disconnected", "timeout", "error"]
    latency: int | None
    last_successful_contact: float | None


@dataclass(slots=True)
class ServerView:
    """One server of a group; `latency` in milliseconds, of its last ping."""

    hostname: str
    ip_address: str
    port: int
    transport: Literal["udp", "tcp", "tls"] | None
    priority: int
    weight: int
    status: Literal["up", "down", "overloaded"]
    reason: str
    since: float
    last_contact: float | None
    latency: int | None


@dataclass(slots=True)
class ServerGroupView:
    """One server group with the state of each of its servers."""

    group_id: str
    group_name: str
    description: str
    load_balancing: LoadBalancing
    heartbeat: bool
    status: Literal["up", "partial", "down"]
    servers: list[ServerView]


@dataclass(slots=True)
class TrunkView:
    """A registrar where this server registers, and how that stands."""

    registrar: str
    aor: str
    state: Literal["idle", "registering", "registered", "failed", "unregistering"]
    sip_response_code: int | None
