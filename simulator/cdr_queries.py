"""What reports ask of the table of records, as SQL; each runs to its end in one thread.

Times are whole milliseconds since the epoch. A range holds its start and not its end, so
that neighbouring ranges share no call; a call belongs to the range in which it started.
"""

import sqlite3
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

from simulator.cdr_records import COLUMNS, CallResult, CdrRecord, from_row

SortBy: TypeAlias = Literal["callStartTime", "callEndTime", "calledNumber", "callingNumber"]
SortOrder: TypeAlias = Literal["asc", "desc"]
ServerType: TypeAlias = Literal["CallServer", "VXMLServer"]

ALL: Final = ", ".join(COLUMNS)
_SORT_COLUMNS: Final = dict(
    zip(
        get_args(SortBy),
        ("call_start_time", "call_end_time", "called_number", "calling_number"),
        strict=True,
    )
)


@dataclass(frozen=True, slots=True)
class CdrFilter:
    """Which records, in which order, and the part of them to show; None matches all."""

    start: int | None = None
    end: int | None = None
    called_number: str | None = None
    calling_number: str | None = None
    call_guid: str | None = None
    call_result: CallResult | None = None
    offset: int = 0
    limit: int = 100
    sort_by: SortBy = "callStartTime"
    sort_order: SortOrder = "desc"

    def where(self) -> tuple[str, list[Any]]:
        """The WHERE clause, and its parameters."""
        tests: list[tuple[str, Any]] = [
            ("call_start_time >= ?", self.start),
            ("call_start_time < ?", self.end),
            ("called_number = ?", self.called_number),
            ("calling_number = ?", self.calling_number),
            ("call_guid = ?", self.call_guid),
            ("call_result = ?", self.call_result),
        ]
        used = [(test, value) for test, value in tests if value is not None]
        if not used:
            return "", []
        return f"WHERE {' AND '.join(test for test, _ in used)}", [value for _, value in used]


@dataclass(slots=True)
class CdrPage:
    """How many records match, and those of one page."""

    total: int
    records: list[CdrRecord] = field(default_factory=list)


@dataclass(slots=True)
class SummaryLine:
    """The calls that started in one interval; durations are averages in seconds.

    `self_served` are those that ended in self-service: completed, and never transferred.
    """

    start: int
    end: int
    total: int
    completed: int
    abandoned: int
    transferred: int
    failed: int
    duration: float
    self_service_duration: float
    queue_duration: float
    self_service: int
    self_served: int


@dataclass(slots=True)
class ApplicationLine:
    """What became of the calls that an application served; the duration is an average."""

    name: str
    total: int
    completed: int
    failed: int
    duration: float


@dataclass(slots=True)
class ServerLine:
    """The calls of one server in a range; concurrent calls are those that have ended."""

    hostname: str
    kind: ServerType
    total: int
    peak: int = 0
    average: float = 0.0


def page(connection: sqlite3.Connection, wanted: CdrFilter) -> CdrPage:
    """One page of records, and how many there are in all."""
    where, values = wanted.where()
    (total,) = connection.execute(f"SELECT count(*) FROM cdr {where}", values).fetchone()
    order = wanted.sort_order
    rows = connection.execute(
        f"SELECT {ALL} FROM cdr {where} "
        f"ORDER BY {_SORT_COLUMNS[wanted.sort_by]} {order}, id {order} LIMIT ? OFFSET ?",
        [*values, wanted.limit, wanted.offset],
    )
    return CdrPage(total, [from_row(row) for row in rows])


def summary(connection: sqlite3.Connection, wanted: CdrFilter, interval: int) -> list[SummaryLine]:
    """Figures by intervals of `interval` milliseconds (UTC), those without calls left out."""
    where, values = wanted.where()
    rows = connection.execute(
        f"""
        SELECT call_start_time / ? AS part, count(*),
            sum(call_result = 'completed'), sum(call_result = 'abandoned'),
            sum(call_result = 'transferred'), sum(call_result = 'error'),
            avg(call_end_time - call_start_time), avg(self_service_duration),
            avg(queue_duration), sum(self_service_duration > 0),
            sum(self_service_duration > 0 AND queue_duration = 0
                AND call_result = 'completed' AND transfer_count <= 1)
        FROM cdr {where} GROUP BY part ORDER BY part
        """,
        [interval, *values],
    )
    return [
        SummaryLine(
            part * interval,
            (part + 1) * interval,
            total,
            completed,
            abandoned,
            transferred,
            failed,
            duration / 1000,
            self_service / 1000,
            queue / 1000,
            served,
            self_served,
        )
        for (
            part,
            total,
            completed,
            abandoned,
            transferred,
            failed,
            duration,
            self_service,
            queue,
            served,
            self_served,
        ) in rows
    ]


def applications(
    connection: sqlite3.Connection, wanted: CdrFilter, name: str | None
) -> list[ApplicationLine]:
    """Figures of the applications that calls were with, by their names."""
    where, values = wanted.where()
    where += " AND " if where else "WHERE "
    where += "application_name != '' AND application_count > 0"
    if name is not None:
        where += " AND application_name = ?"
        values.append(name)
    rows = connection.execute(
        f"""
        SELECT application_name, sum(application_count),
            sum(application_count * (call_result != 'error')),
            sum(application_count * (call_result = 'error')),
            sum(self_service_duration) * 1.0 / sum(application_count)
        FROM cdr {where} GROUP BY application_name ORDER BY application_name
        """,
        values,
    )
    return [
        ApplicationLine(found, total, completed, failed, duration / 1000)
        for found, total, completed, failed, duration in rows
    ]


def servers(connection: sqlite3.Connection, start: int, end: int) -> list[ServerLine]:
    """Figures by server, of the calls that were there at some time of the range."""
    lines = [
        ServerLine(name, "CallServer", total, *_concurrent(connection, name, start, end))
        for name, total in connection.execute(
            "SELECT call_server_hostname, count(*) FROM cdr "
            "WHERE call_start_time < ? AND call_end_time >= ? GROUP BY 1 ORDER BY 1",
            (end, start),
        ).fetchall()
    ]
    lines += [
        ServerLine(name, "VXMLServer", total)
        for name, total in connection.execute(
            "SELECT vxml_server_hostname, count(*) FROM cdr WHERE call_start_time < ? "
            "AND call_end_time >= ? AND vxml_server_hostname != '' GROUP BY 1 ORDER BY 1",
            (end, start),
        )
    ]
    return lines


def _concurrent(
    connection: sqlite3.Connection, name: str, start: int, end: int
) -> tuple[int, float]:
    """The most calls at a time, and their average over the range."""
    rows = connection.execute(
        """
        WITH span AS (
            SELECT max(call_start_time, :start) AS a, min(call_end_time, :end) AS b FROM cdr
            WHERE call_server_hostname = :name
                AND call_start_time < :end AND call_end_time >= :start
        ), step AS (SELECT a AS t, 1 AS d FROM span UNION ALL SELECT b, -1 FROM span)
        SELECT max(busy), (SELECT sum(b - a) FROM span)
        FROM (SELECT sum(d) OVER (ORDER BY t, d DESC ROWS UNBOUNDED PRECEDING) AS busy FROM step)
        """,
        {"name": name, "start": start, "end": end},
    )
    peak, busy = rows.fetchone()
    return peak or 0, (busy or 0) / (end - start) if end > start else 0.0
