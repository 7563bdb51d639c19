"""What reports ask of the records, and the figures, as SQL; each runs to its end in one thread.

Times are whole milliseconds since the epoch. A range holds its start and not its end, so
that neighbouring ranges share no call; a call belongs to the range in which it started.
Where all calls of a range are summed up, whole quarters of an hour come from `cdr_quarter`
and only the ends of the range from `cdr_brief`, as all else that this has.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from simulator.cdr_records import COLUMNS, CallResult, CdrRecord
from simulator.cdr_schema import FIGURES, QUARTER, SUMS, begin_of

SortBy: TypeAlias = Literal["callStartTime", "callEndTime", "calledNumber", "callingNumber"]
SortOrder: TypeAlias = Literal["asc", "desc"]
ServerType: TypeAlias = Literal["CallServer", "VXMLServer"]

ALL: Final = ", ".join(COLUMNS)

# Where a range has no start or no end; whole quarters.
_EVER: Final = 2**62 // QUARTER * QUARTER

_STEPS: Final = 100_000
"""Of SQLite's machine, some 5 ms, from one look at the clock to the next: each waits for the
interpreter, which the calls need.
"""


@contextmanager
def snapshot(connection: sqlite3.Connection, longest: float) -> Iterator[sqlite3.Connection]:
    """What is stored from now on is not seen: the figures of one report fit together.

    It is interrupted after `longest` seconds.
    """
    connection.execute("BEGIN")
    end = time.monotonic() + longest
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        yield connection
    finally:
        connection.set_progress_handler(None, 0)
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@dataclass(frozen=True, slots=True)
class CdrFilter:
    """Which records, in which order, and the part of them to show; None matches all.

    `cursor` is the id of the record behind which the part begins, as the part before told;
    `newest` that of the last record to look at.
    """

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
    cursor: int | None = None
    newest: int | None = None

    def tests(self) -> tuple[list[str], list[Any]]:
        """What WHERE is to ask, and its parameters."""
        tests: list[tuple[str, Any]] = [
            ("call_start_time >= ?", self.start),
            ("call_start_time < ?", self.end),
            ("called_number = ?", self.called_number),
            ("calling_number = ?", self.calling_number),
            ("call_guid = ?", self.call_guid),
            ("call_result = ?", self.call_result),
            ("id <= ?", self.newest),
        ]
        used = [(test, value) for test, value in tests if value is not None]
        return [test for test, _ in used], [value for _, value in used]

    @property
    def table(self) -> str:
        """Where all is that `tests` look at."""
        return "cdr_brief" if self.call_guid is None else "cdr"

    @property
    def by_time(self) -> bool:
        """Whether nothing but the range and the result decide."""
        return self.called_number is self.calling_number is self.call_guid is None


@dataclass(slots=True)
class CdrPage:
    """How many records match, and those of one page; `cursor` leads to the next, if any.

    Where not `exact`, at least so many match.
    """

    total: int
    records: list[CdrRecord] = field(default_factory=list)
    exact: bool = True
    cursor: int | None = None


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


@dataclass(frozen=True, slots=True)
class Parts:
    """A range as its whole quarters of an hour, and what lies before and behind them."""

    before: tuple[int, int]
    whole: tuple[int, int]
    behind: tuple[int, int]

    @classmethod
    def of(cls, wanted: CdrFilter) -> "Parts":
        """The parts of the range of `wanted`; any of them may be empty."""
        start = -_EVER if wanted.start is None else wanted.start
        end = _EVER if wanted.end is None else wanted.end
        first, last = -(-start // QUARTER) * QUARTER, end // QUARTER * QUARTER
        return cls((start, min(first, end)), (first, last), (max(first, last), end))


def summary(connection: sqlite3.Connection, wanted: CdrFilter, interval: int) -> list[SummaryLine]:
    """Figures by intervals of so many milliseconds (UTC), those without calls left out.

    `interval` is a multiple of a quarter of an hour.
    """
    if wanted.by_time and wanted.call_result is None:
        parts = Parts.of(wanted)
        of_records = (
            f"SELECT call_start_time AS start, {SUMS} FROM cdr_brief "
            "WHERE call_start_time >= ? AND call_start_time < ? "
            f"GROUP BY {begin_of('call_start_time', QUARTER)}"
        )
        source = (
            f"SELECT start, {', '.join(FIGURES)} FROM cdr_quarter WHERE start >= ? AND start < ? "
            f"UNION ALL {of_records} UNION ALL {of_records}"
        )
        values: list[Any] = [*parts.whole, *parts.before, *parts.behind]
    else:
        tests, values = wanted.tests()
        source = (
            f"SELECT call_start_time AS start, {SUMS} FROM {wanted.table} "
            f"WHERE {' AND '.join(tests)} "
            f"GROUP BY {begin_of('call_start_time', QUARTER)}"
        )
    totals = ", ".join(f"total({name})" for name in FIGURES)
    rows = connection.execute(
        f"SELECT {begin_of('start', interval)} AS part, {totals} "
        f"FROM ({source}) GROUP BY part ORDER BY part",
        values,
    )
    return [summary_line(part, interval, figures) for part, *figures in rows]


def summary_line(start: int, interval: int, figures: list[float]) -> SummaryLine:
    """A line of a summary from the sums of `FIGURES`."""
    *counts, duration, self_service, queue, served, self_served = figures
    total, completed, abandoned, transferred, failed = map(int, counts)
    return SummaryLine(
        start,
        start + interval,
        total,
        completed,
        abandoned,
        transferred,
        failed,
        duration / total / 1000,
        self_service / total / 1000,
        queue / total / 1000,
        int(served),
        int(self_served),
    )


def applications(
    connection: sqlite3.Connection, wanted: CdrFilter, name: str | None
) -> list[ApplicationLine]:
    """Figures of the applications that calls were with, by their names."""
    tests, values = wanted.tests()
    calls = f"SELECT id FROM {wanted.table} WHERE {' AND '.join(tests) or '1'}"
    served = "application_name != '' AND application_count > 0"
    if name is not None:
        served += " AND application_name = ?"
        values.append(name)
    rows = connection.execute(
        f"""
        SELECT application_name, sum(application_count),
            sum(application_count * (call_result != 'error')),
            sum(application_count * (call_result = 'error')),
            total(self_service_duration) / sum(application_count)
        FROM cdr WHERE id IN ({calls}) AND {served}
        GROUP BY application_name ORDER BY application_name
        """,
        values,
    )
    return [
        ApplicationLine(found, total, completed, failed, duration / 1000)
        for found, total, completed, failed, duration in rows
    ]


def servers(connection: sqlite3.Connection, start: int, end: int) -> list[ServerLine]:
    """Figures by server, of the calls that were there at some time of the range.

    The calls that were there when it began are looked for from the first quarter of an hour
    on of which one was.
    """
    (earliest,) = connection.execute(
        "SELECT min(start) FROM cdr_quarter WHERE start < ? AND last_end >= ?", (end, start)
    ).fetchone()
    if earliest is None:
        return []
    there = (
        "FROM cdr_brief AS call INDEXED BY cdr_start CROSS JOIN cdr USING (id) "
        "WHERE call.call_start_time >= :earliest AND call.call_start_time < :end "
        "AND call.call_end_time >= :start"
    )
    values = {"earliest": earliest, "start": start, "end": end}
    rows = connection.execute(
        f"""
        WITH span AS (
            SELECT call_server_hostname AS name, max(call.call_start_time, :start) - :start AS a,
                min(call.call_end_time, :end) - :start AS b {there}
        ), step AS (
            SELECT name, a AS t, 1 AS d FROM span UNION ALL SELECT name, b, -1 FROM span
        )
        SELECT name, sum(d = 1), max(busy), -sum(t * d) FROM (
            SELECT name, t, d, sum(d) OVER (
                PARTITION BY name ORDER BY t, d DESC ROWS UNBOUNDED PRECEDING
            ) AS busy FROM step
        ) GROUP BY name ORDER BY name
        """,
        values,
    )
    length = end - start
    lines = [
        ServerLine(name, "CallServer", total, peak, busy / length if length > 0 else 0.0)
        for name, total, peak, busy in rows
    ]
    rows = connection.execute(
        f"SELECT vxml_server_hostname, count(*) {there} AND vxml_server_hostname != '' "
        "GROUP BY 1 ORDER BY 1",
        values,
    )
    return lines + [ServerLine(name, "VXMLServer", total) for name, total in rows]
