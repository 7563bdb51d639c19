"""Reporting: records of calls that have ended, and figures, after the profile's Reporting API."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from api.errors import ApiError
from api.exports import CsvExport
from api.keys import CallServer
from api.listing import Json, written
from api.logins import FailedLogins
from api.operations import Operations
from api.report_models import (
    AdmissionFigures,
    ApplicationFigures,
    ApplicationStatistics,
    CallDetailRecord,
    CallEvents,
    CallHeaders,
    CallLegs,
    CallsInProgress,
    CallSummaryStatistics,
    CdrQueryResult,
    HeaderField,
    LicencePorts,
    LoginFigures,
    RealtimeStatistics,
    ServerFigures,
    ServerMetrics,
    ServerStatistics,
    ServiceStatistics,
    SipFigures,
    SummaryInterval,
    VxmlSessions,
    WholeCallDetailRecord,
    at,
)
from api.report_queries import (
    ApplicationQuery,
    CdrQuery,
    RangeQuery,
    RealtimeQuery,
    RecordsQuery,
    ServerQuery,
    SummaryQuery,
)
from simulator.cdr_queries import ApplicationLine, CdrFilter, CdrPage, SummaryLine
from simulator.reports import IntervalView

reporting: Final = Operations("Reporting", prefix="/cvp-reporting/rest")
statistics: Final = Operations("Statistics", prefix="/sim/v1")

_UNKNOWN: Final = "no call that has ended has this GUID"
_DAY: Final = 86_400_000
_INTERVALS: Final = {
    "fifteen_minutes": 900_000,
    "thirty_minutes": 1_800_000,
    "hourly": 3_600_000,
    "daily": _DAY,
}


@reporting.add("GET", "/cdr", "records")
async def get_call_detail_records(server: CallServer, query: CdrQuery) -> Json[CdrQueryResult]:
    """Records of calls that have ended, page by page.

    A call belongs to the range in which it started. totalRecords counts all that match; of a
    number it counts 50,000 at most, and totalIsMinimum says so. Where there are more, Link
    (rel="next") leads to them: its cursor costs nothing, however far it is, while an offset is
    skipped record by record where a number or another order than by callStartTime is asked for.
    What takes longer than 5 s is given up, so that others have their turn: ask for a shorter range.
    """
    if query.cursor and query.offset:
        details = "cursor and offset exclude each other; leave offset out"
        raise ApiError(400, details, code="INVALID_REQUEST")
    wanted = replace(
        _wanted(query), offset=query.offset, limit=query.limit, cursor=query.cursor or None
    )
    page = await server.reports.page(wanted)
    listed = await written(lambda: _page(page, wanted))
    if page.cursor is not None:
        listed.headers["Link"] = f'<{reporting.prefix}/cdr?{_next(query, page.cursor)}>; rel="next"'
    return listed


def _wanted(query: RecordsQuery) -> CdrFilter:
    _check_range(query.start_time, query.end_time)
    return CdrFilter(
        start=query.start_time,
        end=query.end_time,
        called_number=query.called_number,
        calling_number=query.calling_number,
        call_guid=query.call_guid,
        call_result=query.call_result,
        sort_by=query.sort_by,
        sort_order=query.sort_order,
    )


def _next(query: CdrQuery, cursor: int) -> str:
    """The same query, for the page behind this one."""
    more = query.model_copy(update={"cursor": cursor, "offset": 0})
    asked = more.model_dump(by_alias=True, exclude_defaults=True)
    for name in asked.keys() & {"startTime", "endTime"}:
        asked[name] = at(asked[name]).isoformat().replace("+00:00", "Z")
    return urlencode(asked)


def _page(page: CdrPage, wanted: CdrFilter) -> CdrQueryResult:
    return CdrQueryResult(
        total_records=page.total,
        total_is_minimum=None if page.exact else True,
        offset=wanted.offset,
        limit=wanted.limit,
        records=[CallDetailRecord.model_validate(record) for record in page.records],
    )


@reporting.add("GET", "/cdr.csv", "the records", errors={503: "too many exports at a time"})
async def export_call_detail_records(server: CallServer, query: RecordsQuery) -> CsvExport:
    """All records that match and are stored by now, as CSV.

    Text that begins with = + - @ (in either width, or behind blanks), a tab or a line end has
    an apostrophe before it, so that no spreadsheet takes it for a formula; so has what would
    where a semicolon, a tab or a line end separates. Control characters are left out. Two exports
    run at a time, an hour each at most.
    """
    return CsvExport(server.reports, _wanted(query))


@reporting.add("GET", "/cdr/{callGuid}", "the record", errors={404: _UNKNOWN})
async def get_call_detail_record(server: CallServer, call_guid: str) -> WholeCallDetailRecord:
    """The record of one call, with its legs, events and applications.

    The last one, if the GUID came more than once.
    """
    record = await server.reports.record(call_guid)
    return WholeCallDetailRecord.model_validate(record)


@reporting.add("GET", "/cdr/{callGuid}/legs", "the legs", errors={404: _UNKNOWN})
async def get_call_legs(server: CallServer, call_guid: str) -> CallLegs:
    """The legs of one call, the caller's first."""
    record = await server.reports.record(call_guid)
    return CallLegs.model_validate(record.legs)


@reporting.add("GET", "/cdr/{callGuid}/events", "the events", errors={404: _UNKNOWN})
async def get_call_events(server: CallServer, call_guid: str) -> CallEvents:
    """The rows of the table CallEvent for one call, in their order."""
    record = await server.reports.record(call_guid)
    return CallEvents.model_validate(record.events)


@reporting.add("GET", "/cdr/{callGuid}/vxml-sessions", "the sessions", errors={404: _UNKNOWN})
async def get_vxml_sessions(server: CallServer, call_guid: str) -> VxmlSessions:
    """The rows of the table VXMLSession for one call: the applications that it was with."""
    record = await server.reports.record(call_guid)
    return VxmlSessions.model_validate(record.vxml_sessions)


@reporting.add("GET", "/statistics/realtime", "the figures of this moment")
async def get_realtime_statistics(server: CallServer, query: RealtimeQuery) -> RealtimeStatistics:
    """The calls of this moment, by state.

    The rate is of the last ten seconds, the peak since the start.
    """
    view = server.reports.realtime()
    metrics = ServerMetrics(
        server_id=view.server_name,
        hostname=view.server_name,
        server_type="CallServer",
        active_calls=view.active_calls,
        cpu_usage=view.cpu_usage,
        memory_usage=view.memory_usage,
    )
    return RealtimeStatistics(
        timestamp=datetime.now(UTC),
        active_calls=view.active_calls,
        calls_in_progress=CallsInProgress.model_validate(view),
        calls_per_second=view.calls_per_second,
        peak_active_calls=view.peak,
        server_metrics=[metrics] if query.server_id in (None, view.server_name) else [],
    )


@reporting.add("GET", "/statistics/summary", "figures by interval")
async def get_call_summary_statistics(
    server: CallServer, query: SummaryQuery
) -> Json[CallSummaryStatistics]:
    """Figures of the calls that have ended, by intervals of UTC.

    Intervals without calls are left out.
    """
    start, end = _range(query)
    wanted = CdrFilter(start=start, end=end, called_number=query.called_number)
    lines = await server.reports.summary(wanted, _INTERVALS[query.interval])
    return await written(
        lambda: CallSummaryStatistics(
            start_time=at(start),
            end_time=at(end),
            interval=query.interval,
            intervals=[_interval(line) for line in lines],
        )
    )


def _interval(line: SummaryLine) -> SummaryInterval:
    return SummaryInterval(
        interval_start=at(line.start),
        interval_end=at(line.end),
        total_calls=line.total,
        completed_calls=line.completed,
        abandoned_calls=line.abandoned,
        transferred_calls=line.transferred,
        error_calls=line.failed,
        average_duration=line.duration,
        average_self_service_duration=line.self_service_duration,
        average_queue_duration=line.queue_duration,
        self_service_completion_rate=_percent(line.self_served, line.total),
        abandon_rate=_percent(line.abandoned, line.total),
    )


@reporting.add("GET", "/statistics/application", "figures by application")
async def get_application_statistics(
    server: CallServer, query: ApplicationQuery
) -> ApplicationStatistics:
    """Figures of the applications that calls were with."""
    start, end = _range(query)
    wanted = CdrFilter(start=start, end=end)
    lines = await server.reports.applications(wanted, query.application_name)
    return ApplicationStatistics(
        start_time=at(start), end_time=at(end), applications=[_application(line) for line in lines]
    )


def _application(line: ApplicationLine) -> ApplicationFigures:
    return ApplicationFigures(
        application_name=line.name,
        total_invocations=line.total,
        completed_invocations=line.completed,
        error_invocations=line.failed,
        average_duration=line.duration,
        completion_rate=_percent(line.completed, line.total),
        error_rate=_percent(line.failed, line.total),
    )


@reporting.add("GET", "/statistics/server", "figures by server")
async def get_server_statistics(server: CallServer, query: ServerQuery) -> ServerStatistics:
    """Figures by call server and VXML server, of the calls that have ended.

    Usages are those of this call server since its start.
    """
    start, end = _range(query)
    view = server.reports.realtime()
    lines = await server.reports.servers(start, end)
    figures = []
    for line in lines:
        if query.server_type not in (None, line.kind):
            continue
        is_call_server = line.kind == "CallServer"
        here = is_call_server and line.hostname == view.server_name
        figures.append(
            ServerFigures(
                server_id=line.hostname,
                hostname=line.hostname,
                server_type=line.kind,
                total_calls=line.total,
                peak_concurrent_calls=line.peak if is_call_server else None,
                average_concurrent_calls=line.average if is_call_server else None,
                cpu_usage_average=view.cpu_average if here else None,
                memory_usage_average=view.memory_usage if here else None,
            )
        )
    return ServerStatistics(start_time=at(start), end_time=at(end), servers=figures)


@statistics.add(
    "GET", "/calls/{callGuid}/headers", "header fields", errors={404: "not found or over"}
)
async def get_call_headers(server: CallServer, call_guid: str) -> CallHeaders:
    """The header fields of the caller's INVITE that its other legs get, in their order.

    What a caller says of itself, such as P-Asserted-Identity, and all that begins with X-.
    """
    fields = [HeaderField(name=n, value=v) for n, v in server.passed_headers(call_guid)]
    return CallHeaders(call_guid=call_guid, headers=fields)


@statistics.add("GET", "/statistics", "the figures")
async def get_service_statistics(server: CallServer, logins: FailedLogins) -> ServiceStatistics:
    """What the SIP and ICM services count: now, by interval, and since the start.

    Also the logins over REST that failed.
    """
    view = server.reports.service()
    return ServiceStatistics(
        timestamp=datetime.now(UTC),
        active_calls=view.active_calls,
        active_call_legs=view.active_legs,
        active_icm_calls=view.icm_calls,
        active_vru_calls=view.vru_calls,
        licence_ports=None if view.licences is None else LicencePorts.model_validate(view.licences),
        admission=AdmissionFigures.model_validate(
            {"overload": view.overload or None, "refused": view.refused}
        ),
        interval_minutes=view.interval / 60,
        current=_figures(view.current),
        previous=_figures(view.last),
        since_start=_figures(view.total),
        logins=LoginFigures.model_validate(logins),
    )


def _figures(view: IntervalView) -> SipFigures:
    counts = view.counts
    return SipFigures(
        start_time=at(view.start * 1000),
        end_time=at(view.end * 1000),
        new_calls=counts.new_calls,
        rejected_calls=counts.rejected,
        connects_received=counts.connects,
        average_latency=counts.average_latency,
        failed_transfers_pre_dialog=counts.failed_pre_dialog,
        failed_transfers_post_dialog=counts.failed_in_dialog,
        call_legs=counts.legs,
        vru_legs=counts.vru_legs,
        icm_lookups=counts.lookups,
        whispers_played=counts.whispers,
        whispers_failed=counts.failed_whispers,
        greetings_played=counts.greetings,
        greetings_failed=counts.failed_greetings,
        post_call_surveys=counts.surveys,
    )


def _range(query: RangeQuery) -> tuple[int, int]:
    """The range that is asked for; a time to come is now."""
    now = int(datetime.now(UTC).timestamp() * 1000) + 1
    end = now if query.end_time is None else min(query.end_time, now)
    start = max(0, end - _DAY) if query.start_time is None else query.start_time
    _check_range(start, query.end_time)
    return min(start, end), end


def _check_range(start: int | None, end: int | None) -> None:
    if start is not None and end is not None and start > end:
        details = "startTime is after endTime; exchange them"
        raise ApiError(400, details, code="INVALID_REQUEST")


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 0.0
