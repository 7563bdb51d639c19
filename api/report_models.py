"""The schemas of the reporting interface: records, legs, events and figures.

Names follow the API Evangelist profile of the CVP Reporting API; what it lacks of the tables
of the reporting database stands beside. Times are given in whole milliseconds since the
epoch and shown as RFC 3339, durations shown in whole seconds.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    RootModel,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.json_schema import SkipJsonSchema

from api.models import (
    AS_SHOWN,
    OptionalText,
    PlainText,
    Query,
    Reply,
    Share,
    Text,
    Texts,
    WholeNumber,
)
from simulator.cdr_queries import ServerType, SortBy, SortOrder
from simulator.cdr_records import CallResult, LegType

MAX_OFFSET: Final = 2**53
_LATEST: Final = 253_402_300_799_999  # the end of the year 9999
_MOMENT: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
_EXAMPLE: Final = "2026-01-15T10:30:00Z; a + in a URL is written %2B"


def _moment(value: object) -> object:
    """RFC 3339 to milliseconds since the epoch; years before 1970 count as its begin."""
    if not isinstance(value, str):
        return value
    match = _MOMENT.fullmatch(value)
    if match is None:
        raise ValueError(f"must be a time as in RFC 3339 with its zone, such as {_EXAMPLE}")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    try:  # second 60 is a leap second
        day_ = datetime(max(year, 1), month, day, hour, minute, min(second, 59), tzinfo=UTC)
        if second > 60:
            raise ValueError("second must be in 0..60")
    except ValueError as error:
        raise ValueError(f"is no time: {error}; write it like {_EXAMPLE}") from None
    at = (day_ - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    at += 1000 * (second == 60) + int((match[7] or ".")[1:4].ljust(3, "0"))
    zone = match[8]
    if zone not in "Zz":
        hours, minutes = int(zone[1:3]), int(zone[4:6])
        if hours > 23 or minutes > 59:
            raise ValueError(f"has no such time zone as {zone}; write it like {_EXAMPLE}")
        at -= (1 if zone[0] == "+" else -1) * (hours * 60 + minutes) * 60_000
    return 0 if year == 0 else max(0, min(at, _LATEST))


def at(milliseconds: float) -> datetime:
    """A time since the epoch as a `datetime`."""
    return datetime.fromtimestamp(max(0, min(milliseconds, _LATEST)) / 1000, UTC)


def shown_time(milliseconds: object) -> object:
    """A time since the epoch as a `datetime`; what is no number as it is."""
    return at(milliseconds) if isinstance(milliseconds, int | float) else milliseconds


def _seconds(value: object, info: ValidationInfo) -> object:
    """Milliseconds of a record; an answer has seconds already."""
    if info.context == AS_SHOWN:
        return value
    return int(value // 1000) if isinstance(value, int | float) else value


Moment = Annotated[
    int, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]
Time = Annotated[datetime, BeforeValidator(shown_time)]
Seconds = Annotated[int, BeforeValidator(_seconds)]
Guid = Annotated[PlainText, AfterValidator(str.upper)]
Interval = Literal["fifteen_minutes", "thirty_minutes", "hourly", "daily"]

_START: Final = "Begin of the range, inclusive."
_END: Final = "End of the range, exclusive."


class RecordsQuery(Query):
    """Which records, in which order."""

    start_time: Moment | SkipJsonSchema[None] = Field(None, description=_START)
    end_time: Moment | SkipJsonSchema[None] = Field(None, description=_END)
    called_number: PlainText | SkipJsonSchema[None] = Field(None, description="The exact DNIS.")
    calling_number: PlainText | SkipJsonSchema[None] = Field(None, description="The exact ANI.")
    call_guid: Guid | SkipJsonSchema[None] = Field(None, description="The GUID of a call.")
    call_result: CallResult | SkipJsonSchema[None] = Field(None, description="How calls ended.")
    sort_by: SortBy = "callStartTime"
    sort_order: SortOrder = "desc"


class CdrQuery(RecordsQuery):
    """Which records, and which page of them."""

    offset: WholeNumber = Field(0, ge=0, le=MAX_OFFSET, description="Records to skip.")
    limit: WholeNumber = Field(100, ge=1, le=1000, description="Records to list at most.")
    cursor: WholeNumber = Field(
        0,
        ge=0,
        le=MAX_OFFSET,
        description="Where the page begins: as the Link of the page before says.",
    )


class RangeQuery(Query):
    """A range of time; the last 24 hours where nothing is said."""

    start_time: Moment | SkipJsonSchema[None] = Field(
        None, description=f"{_START} Unset: 24 hours before the end."
    )
    end_time: Moment | SkipJsonSchema[None] = Field(None, description=f"{_END} Unset: now.")


class SummaryQuery(RangeQuery):
    """Which calls to sum up, by which intervals."""

    interval: Interval = "hourly"
    called_number: PlainText | SkipJsonSchema[None] = Field(None, description="The exact DNIS.")


class ApplicationQuery(RangeQuery):
    """Which applications."""

    application_name: PlainText | SkipJsonSchema[None] = Field(
        None, description="Only this application."
    )


class ServerQuery(RangeQuery):
    """Which servers."""

    server_type: ServerType | SkipJsonSchema[None] = Field(
        None, description="Only servers of this type."
    )


class RealtimeQuery(Query):
    """Which server."""

    server_id: PlainText | SkipJsonSchema[None] = Field(
        None, description="Only this server, by its name."
    )


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
    interval_minutes: Share
    current: SipFigures
    previous: SipFigures
    since_start: SipFigures
    logins: LoginFigures
