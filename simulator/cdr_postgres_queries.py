"""What reports ask of the records in PostgreSQL, with the results of `simulator.cdr_queries`.

Its planner chooses among the indexes, so a query says what is wanted and not by which way.
Each function takes a connection in a transaction of its own.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import psycopg

from simulator.cdr_csv import CsvPiece, line_of
from simulator.cdr_queries import (
    ALL,
    ApplicationLine,
    CdrFilter,
    CdrPage,
    ServerLine,
    SummaryLine,
    summary_line,
)
from simulator.cdr_records import Row, from_row
from simulator.cdr_schema import begin_of
from simulator.errors import CursorUnknown

MOST_COUNTED: Final = 1_000_000
"""Records that are counted: half a second on a slow core. With more, a total says that there are
at least so many.
"""

# The columns of an order. Where the values of two records are the same, their ids decide.
_ORDERS: Final = {
    "callStartTime": ("call_start_time", "id"),
    "callEndTime": ("call_end_time", "call_start_time", "id"),
    "calledNumber": ("called_number", "call_start_time", "id"),
    "callingNumber": ("calling_number", "call_start_time", "id"),
}

# Durations as floating point: whole numbers overflow where a peer's clock is absurd.
_FIGURES: Final = """
    count(*),
    count(*) FILTER (WHERE call_result = 'completed'),
    count(*) FILTER (WHERE call_result = 'abandoned'),
    count(*) FILTER (WHERE call_result = 'transferred'),
    count(*) FILTER (WHERE call_result = 'error'),
    sum(call_end_time::float8 - call_start_time),
    coalesce(sum(self_service_duration::float8), 0),
    coalesce(sum(queue_duration::float8), 0),
    count(*) FILTER (WHERE self_service_duration > 0),
    count(*) FILTER (WHERE self_service_duration > 0 AND queue_duration = 0
        AND call_result = 'completed' AND coalesce(transfer_count, 0) <= 1)
"""

# No time so early that the begin of its interval could not be told.
_START: Final = f"greatest(call_start_time, {-(2**62)})"

_Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]


def storable(text: str) -> str:
    """`text` as PostgreSQL can have it: UTF-8 without NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _tests(wanted: CdrFilter) -> tuple[list[str], list[Any]]:
    tests, values = wanted.tests()
    return (
        [test.replace("?", "%s") for test in tests],
        [storable(value) if isinstance(value, str) else value for value in values],
    )


def _where(tests: list[str]) -> str:
    return f"WHERE {' AND '.join(tests)}" if tests else ""


def page(connection: _Connection, wanted: CdrFilter) -> CdrPage:
    """One page of records, and how many there are in all. Raises CursorUnknown."""
    tests, values = _tests(wanted)
    some = f"SELECT FROM cdr {_where(tests)} LIMIT {MOST_COUNTED + 1}"
    counted = connection.execute(f"SELECT count(*) FROM ({some}) AS found", values).fetchone()
    total = counted[0] if counted is not None else 0
    ids = _ids(connection, wanted)
    records = [from_row(row) for row in _rows(connection, ids[: wanted.limit])]
    exact = total <= MOST_COUNTED
    return CdrPage(min(total, MOST_COUNTED), records, exact, _behind(ids, wanted))


def csv_piece(connection: _Connection, wanted: CdrFilter) -> CsvPiece:
    """The lines of one page, without that of names. Raises CursorUnknown."""
    ids = _ids(connection, wanted)
    rows = _rows(connection, ids[: wanted.limit])
    return CsvPiece("".join(f"{line_of(row)}\r\n" for row in rows), _behind(ids, wanted))


def _ids(connection: _Connection, wanted: CdrFilter) -> list[int]:
    """The ids of the page, and one more where others follow."""
    tests, values = _tests(wanted)
    columns = _ORDERS[wanted.sort_by]
    if wanted.cursor is not None:
        query = f"SELECT {', '.join(columns)} FROM cdr WHERE id = %s"
        row = connection.execute(query, (wanted.cursor,)).fetchone()
        if row is None:
            raise CursorUnknown(
                f"cursor {wanted.cursor} is of no page; take it from the Link of one"
            )
        sign = "<" if wanted.sort_order == "desc" else ">"
        tests.append(f"({', '.join(columns)}) {sign} ({', '.join(['%s'] * len(columns))})")
        values += row
    order = ", ".join(f"{name} {wanted.sort_order}" for name in columns)
    rows = connection.execute(
        f"SELECT id FROM cdr {_where(tests)} ORDER BY {order} LIMIT %s OFFSET %s",
        [*values, wanted.limit + 1, wanted.offset],
    )
    return [row[0] for row in rows]


def _behind(ids: Sequence[int], wanted: CdrFilter) -> int | None:
    """The cursor of the page that follows, if one does."""
    return ids[wanted.limit - 1] if len(ids) > wanted.limit else None


def _rows(connection: _Connection, ids: Sequence[int]) -> list[Row]:
    """The records `ids`, in their order."""
    found = connection.execute(f"SELECT id, {ALL} FROM cdr WHERE id = ANY(%s)", (list(ids),))
    rows = {row[0]: row[1:] for row in found}
    return [rows[one] for one in ids]


def summary(connection: _Connection, wanted: CdrFilter, interval: int) -> list[SummaryLine]:
    """Figures by intervals of so many milliseconds (UTC), those without calls left out."""
    tests, values = _tests(wanted)
    rows = connection.execute(
        f"SELECT {begin_of(_START, interval).replace('%', '%%')} AS part, {_FIGURES} "
        f"FROM cdr {_where(tests)} GROUP BY part ORDER BY part",
        values,
    )
    return [summary_line(part, interval, figures) for part, *figures in rows]


def applications(
    connection: _Connection, wanted: CdrFilter, name: str | None
) -> list[ApplicationLine]:
    """Figures of the applications that calls were with, by their names."""
    tests, values = _tests(wanted)
    tests.append("application_name != '' AND application_count > 0")
    if name is not None:
        tests.append("application_name = %s")
        values.append(storable(name))
    rows = connection.execute(
        f"""
        SELECT application_name, sum(application_count),
            coalesce(sum(application_count) FILTER (WHERE call_result != 'error'), 0),
            coalesce(sum(application_count) FILTER (WHERE call_result = 'error'), 0),
            coalesce(sum(self_service_duration::float8), 0)
        FROM cdr {_where(tests)} GROUP BY application_name ORDER BY application_name
        """,
        values,
    )
    return [
        ApplicationLine(
            found, int(total), int(completed), int(failed), duration / int(total) / 1000
        )
        for found, total, completed, failed, duration in rows
    ]


def servers(connection: _Connection, start: int, end: int) -> list[ServerLine]:
    """Figures by server, of the calls that were there at some time of the range."""
    there = "FROM cdr WHERE call_start_time < %(end)s AND call_end_time >= %(start)s"
    values = {"start": start, "end": end}
    rows = connection.execute(
        f"""
        WITH span AS (
            SELECT call_server_hostname AS name,
                greatest(call_start_time, %(start)s) - %(start)s AS a,
                least(call_end_time, %(end)s) - %(start)s AS b {there}
        ), step AS (
            SELECT name, a AS t, 1 AS d FROM span UNION ALL SELECT name, b, -1 FROM span
        )
        SELECT name, count(*) FILTER (WHERE d = 1), max(busy), -sum(t * d) FROM (
            SELECT name, t, d, sum(d) OVER (
                PARTITION BY name ORDER BY t, d DESC ROWS UNBOUNDED PRECEDING
            ) AS busy FROM step
        ) AS steps GROUP BY name ORDER BY name
        """,
        values,
    )
    length = end - start
    lines = [
        ServerLine(name, "CallServer", total, peak, int(busy) / length if length > 0 else 0.0)
        for name, total, peak, busy in rows
    ]
    rows = connection.execute(
        f"SELECT vxml_server_hostname, count(*) {there} AND vxml_server_hostname != '' "
        "GROUP BY 1 ORDER BY 1",
        values,
    )
    return lines + [ServerLine(name, "VXMLServer", total) for name, total in rows]
