"""The schemas of the reporting interface: records, legs, events and figures.

Names follow the API Evangelist profile of the CVP Reporting API; what it lacks of the tables
of the reporting database stands beside. Times are given in whole milliseconds since the
epoch and shown as RFC 3339, durations shown in whole seconds.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, RootModel, ValidationInfo
from pydantic.json_schema import SkipJsonSchema

from api.models import AS_SHOWN, OptionalText, Reply, Share, Text, Texts
from api.report_queries import LATEST, Interval
from simulator.cdr_queries import ServerType
from simulator.cdr_records import CallResult, LegType


def at(milliseconds: float) -> datetime:
    """A time since the epoch as a `datetime`."""
    return datetime.fromtimestamp(max(0, min(milliseconds, LATEST)) / 1000, UTC)


def shown_time(milliseconds: object) -> object:
    """A time since the epoch as a `datetime`; what is no number as it is."""
    return at(milliseconds) if isinstance(milliseconds, int | float) else milliseconds


def _seconds(value: object, info: ValidationInfo) -> object:
    """Milliseconds of a record; an answer has seconds already."""
    if info.context == AS_SHOWN:
        return value
    return int(value // 1000) if isinstance(value, int | float) else value


Time = Annotated[datetime, BeforeValidator(shown_time)]
Seconds = Annotated[int, BeforeValidator(_seconds)]


class CallLeg(Reply):
    """One leg of a call; `duration` in seconds."""

    leg_id: Text
    call_guid: Text
    leg_type: LegType
    start_time: Time
    answer_time: Annotated[Time | SkipJsonSchema[None], Field(default=None)]
    end_time: Time
    duration: Seconds
    from_uri: Text
    to_uri: Text
    server_hostname: Text
    sip_response_code: int | SkipJsonSchema[None] = None


class CallLegs(RootModel[list[CallLeg]]):
    """The legs of a call."""


class CallEvent(Reply):
    """A row of the table CallEvent; its numbers with their names."""

    call_leg_id: Text
    message_bus_name: Text
    event_date_time: Time = Field(validation_alias="event_time")
    event_type_id: int
    event_type: Text
    cause_id: int
    cause: Text
    transfer_type_id: int
    transfer_label: OptionalText = None


class CallEvents(RootModel[list[CallEvent]]):
    """The events of a call in their order."""


class VxmlSession(Reply):
    """A row of the table VXMLSession: an application that the call was with, and how it ended."""

    app_name: Text
    start_date_time: Time = Field(validation_alias="start_time")
    end_date_time: Time = Field(validation_alias="end_time")
    cause_id: int
    cause: Text


class VxmlSessions(RootModel[list[VxmlSession]]):
    """The applications of a call in their order."""


class CallDetailRecord(Reply):
    """One call that has ended. Durations are in whole seconds.

    From numTimeOut on: fields of the tables Call and CallICMInfo of the reporting database.
    localTimeZoneOffset is that of the call server at the start, in minutes ahead of UTC.
    """

    call_guid: Text
    call_start_time: Time
    call_end_time: Time
    calling_number: Text
    called_number: Text
    call_result: CallResult
    call_duration: Seconds
    self_service_duration: Seconds
    queue_duration: Seconds
    application_name: OptionalText = None
    call_server_hostname: Text
    vxml_server_hostname: OptionalText = None
    sip_call_id: Text
    icm_call_key: OptionalText = None
    ecc_variables: Texts
    transfer_destination: OptionalText = None
    error_code: OptionalText = None
    num_time_out: int = Field(validation_alias="timeout_count")
    num_error: int = Field(validation_alias="error_count")
    num_on_hold: int = Field(validation_alias="hold_count")
    num_app_visited: int = Field(validation_alias="application_count")
    total_transfer: int = Field(validation_alias="transfer_count")
    uui: OptionalText = None
    ii_digits: OptionalText = None
    local_time_zone_offset: int
    call_type_id: int
    call_type: Text
    sub_system_type_id: int
    sub_system_type: Text
    cause_id: int
    cause: Text
    router_call_key: int | SkipJsonSchema[None] = None
    router_call_key_day: int | SkipJsonSchema[None] = None
    router_call_key_sequence_number: int | SkipJsonSchema[None] = None


class WholeCallDetailRecord(CallDetailRecord):
    """One call that has ended, with its legs, its events and its applications."""

    legs: list[CallLeg]
    call_events: list[CallEvent] = Field(validation_alias="events")
    vxml_sessions: list[VxmlSession]


class CdrQueryResult(Reply):
    """One page of records; `total_records` counts all that match.

    With totalIsMinimum at least so many do: they are not all counted.
    """

    total_records: int
    total_is_minimum: bool | SkipJsonSchema[None] = None
    offset: int
    limit: int
    records: list[CallDetailRecord]


class CsvRecords(RootModel[str]):
    """Lines of CSV (RFC 4180) in UTF-8, the first one with the names of the fields.

    Text is in quotes, and has an apostrophe before = + - @, a tab or a line end at its begin.
    """


class MetricsText(RootModel[str]):
    """Figures in the text format of Prometheus."""


class CallsInProgress(Reply):
    """Active calls by state."""

    self_service: int
    queued: int
    connected: int
    ringing: int
    transferring: int
    on_hold: int


class ServerMetrics(Reply):
    """One server; usages in percent."""

    server_id: Text
    hostname: Text
    server_type: ServerType
    active_calls: int
    cpu_usage: Share
    memory_usage: Share


class RealtimeStatistics(Reply):
    """The calls of this moment; the rate is of the last ten seconds, the peak since the start."""

    timestamp: datetime
    active_calls: int
    calls_in_progress: CallsInProgress
    calls_per_second: Share
    peak_active_calls: int
    server_metrics: list[ServerMetrics]


class SummaryInterval(Reply):
    """The calls that started in one interval; averages in seconds, rates in percent."""

    interval_start: Time
    interval_end: Time
    total_calls: int
    completed_calls: int
    abandoned_calls: int
    transferred_calls: int
    error_calls: int
    average_duration: Share
    average_self_service_duration: Share
    average_queue_duration: Share
    self_service_completion_rate: Share
    abandon_rate: Share


class CallSummaryStatistics(Reply):
    """Figures by interval; intervals without calls are left out."""

    start_time: Time
    end_time: Time
    interval: Interval
    intervals: list[SummaryInterval]


class ApplicationFigures(Reply):
    """One application; the average in seconds, rates in percent."""

    application_name: Text
    total_invocations: int
    completed_invocations: int
    error_invocations: int
    average_duration: Share
    completion_rate: Share
    error_rate: Share


class ApplicationStatistics(Reply):
    """Figures by application."""

    start_time: Time
    end_time: Time
    applications: list[ApplicationFigures]


class ServerFigures(Reply):
    """One server; concurrent calls are of those that have ended, usages since its start."""

    server_id: Text
    hostname: Text
    server_type: ServerType
    total_calls: int
    peak_concurrent_calls: int | SkipJsonSchema[None] = None
    average_concurrent_calls: Share = None
    cpu_usage_average: Share = None
    memory_usage_average: Share = None


class ServerStatistics(Reply):
    """Figures by server."""

    start_time: Time
    end_time: Time
    servers: list[ServerFigures]


class HeaderField(Reply):
    """One header field of a SIP message."""

    name: Text
    value: Text


class CallHeaders(Reply):
    """What of the caller's INVITE goes to the other legs, X- header fields among it."""

    call_guid: Text
    headers: list[HeaderField]


class SipFigures(Reply):
    """What the SIP and ICM services counted in a time; the latency in seconds."""

    start_time: Time
    end_time: Time
    new_calls: int
    rejected_calls: int
    connects_received: int
    average_latency: Share
    failed_transfers_pre_dialog: int
    failed_transfers_post_dialog: int
    call_legs: int
    vru_legs: int
    icm_lookups: int
    whispers_played: int
    whispers_failed: int
    greetings_played: int
    greetings_failed: int
    post_call_surveys: int


class LicencePorts(Reply):
    """Ports licensed, one for each call; `denied` counts those refused since the start."""

    licensed: int = Field(validation_alias="limit")
    in_use: int = Field(validation_alias="used")
    available: int = Field(validation_alias="free")
    denied: int
    level: Literal["safe", "warning", "critical", "failure"] = Field(validation_alias="name")


class RefusedCalls(Reply):
    """New calls refused since the start, by what there was too much of: calls at a time, new
    calls a second, or delay."""

    calls: int
    rate: int
    delay: int


class AdmissionFigures(Reply):
    """Whether new calls are refused now, and why; without `overload` all are taken."""

    overload: Literal["rate", "delay"] | SkipJsonSchema[None] = None
    refused: RefusedCalls


class LoginFigures(Reply):
    """Logins over REST that failed, put off by 429 or 503, and from how many addresses of late."""

    failed: int
    slowed: int
    busy: int
    addresses: int


class ServiceStatistics(Reply):
    """The SIP and ICM statistics of a Call Server: now, by interval, and since the start.

    No `licencePorts` where `server.licences` does not limit them.
    """

    timestamp: datetime
    active_calls: int
    active_call_legs: int
    active_icm_calls: int
    active_vru_calls: int
    licence_ports: LicencePorts | SkipJsonSchema[None] = None
    admission: AdmissionFigures
    interval_minutes: Share
    current: SipFigures
    previous: SipFigures
    since_start: SipFigures
    logins: LoginFigures
