"""How a page of records is found without walking through all of them.

Whatever is asked, the ids of the page come from one index: one that has them in their order,
or one that holds so few matches that these can be sorted. Which it is, counts decide. Those
by time and result are kept (`cdr_quarter`); those by number are taken from the number's
index, and only up to `MOST_COUNTED`. What an index lacks is read in `cdr_brief`, where calls
that ended one after the other lie side by side; the records themselves are read for the page
alone.

In the order of a number the index is walked number by number: the calls of one that are
outside of the time are passed by at once, however many. Where that turns out to be long
nevertheless, the calls of the time are sorted after all.

A page begins behind a record (`CdrFilter.cursor`) at no cost, or after so many (`offset`),
which walks over the entries of an index; by time alone the quarters of an hour are skipped
as a whole. Where the values of two records are the same, those in the further columns of the
index decide, and at last their ids.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from simulator.cdr_queries import ALL, CdrFilter, CdrPage, Parts
from simulator.cdr_records import from_row
from simulator.cdr_schema import QUARTER
from simulator.errors import CursorUnknown

MOST_COUNTED: Final = 50_000
"""Calls of a number that are counted, or sorted: some 5 ms, or 20."""

MOST_LOOKED_UP: Final = 10_000
"""Calls of a range that are sorted by what the index by time lacks: some 10 ms."""

STRIDE: Final = 16
"""Entries of an index by number that are looked at before others are passed by: some 20 us."""

LONGEST_STRIDE: Final = 16 * STRIDE
"""The same where numbers have few calls each."""

_SORT_COLUMNS: Final = {
    "callStartTime": "call_start_time",
    "callEndTime": "call_end_time",
    "calledNumber": "called_number",
    "callingNumber": "calling_number",
}
_INDEXES: Final = {
    "call_start_time": "cdr_start",
    "call_end_time": "cdr_end",
    "called_number": "cdr_called",
    "calling_number": "cdr_calling",
}
_LEADING: Final = {"cdr_result": "call_result"} | {
    index: column for column, index in _INDEXES.items()
}
_OTHER: Final = {"called_number": "calling_number", "calling_number": "called_number"}

# The further columns of the indexes, which are the order of what is equal before.
_START: Final = ("call_start_time",)
_END: Final = ("call_end_time", "call_start_time")


@dataclass(slots=True)
class _Way:
    """How to find a page: an index, the order, and tests besides those of the filter.

    `instead` is the index that has no more than `most` entries to sort, where `index` is
    walked number by number.
    """

    index: str
    order: tuple[str, ...]
    total: int
    exact: bool = True
    tests: dict[str, int] = field(default_factory=dict)
    instead: str = ""
    most: int = 0


def page(connection: sqlite3.Connection, wanted: CdrFilter) -> CdrPage:
    """One page of records, and how many there are in all. Raises CursorUnknown."""
    way = _way(connection, wanted)
    ids = _ids(connection, wanted, way)
    rows = rows_of(connection, ids[: wanted.limit], ALL)
    records = [from_row(row) for row in rows]
    return CdrPage(way.total, records, way.exact, behind(ids, wanted))


def page_ids(connection: sqlite3.Connection, wanted: CdrFilter) -> list[int]:
    """The ids of a page in their order, and one more where others follow.

    Raises CursorUnknown.
    """
    return _ids(connection, wanted, _way(connection, wanted))


def behind(ids: Sequence[int], wanted: CdrFilter) -> int | None:
    """The cursor of the page that follows one of `page_ids`, if one does."""
    return ids[wanted.limit - 1] if len(ids) > wanted.limit else None


def rows_of(connection: sqlite3.Connection, ids: Sequence[int], columns: str) -> list[Any]:
    """`columns` of the records `ids`, in their order."""
    marks = ", ".join("?" * len(ids))
    found = connection.execute(f"SELECT id, {columns} FROM cdr WHERE id IN ({marks})", ids)
    rows = {row[0]: row[1:] for row in found}
    return [rows[one] for one in ids]


# -- which way -----------------------------------------------------------------------------


def _way(connection: sqlite3.Connection, wanted: CdrFilter) -> _Way:
    sort = _SORT_COLUMNS[wanted.sort_by]
    if wanted.call_guid is not None:
        calls, total = _counted(connection, "cdr_guid", wanted, most=MOST_COUNTED + 1)
        return _Way("cdr_guid", _order(sort), total, calls <= MOST_COUNTED)
    if wanted.by_time:
        return _way_by_time(connection, wanted, sort)
    return _way_by_number(connection, wanted, sort)


def _order(sort: str) -> tuple[str, ...]:
    if sort == "call_start_time":
        return _START
    return _END if sort == "call_end_time" else (sort, *_of_a_number(sort))


def _of_a_number(name: str) -> tuple[str, ...]:
    """The order of the calls of one number in its index."""
    return "call_start_time", "call_end_time", "call_result", _OTHER[name]


def _way_by_time(connection: sqlite3.Connection, wanted: CdrFilter, sort: str) -> _Way:
    by_time = "cdr_start" if wanted.call_result is None else "cdr_result"
    total = _kept(connection, wanted)
    way = _Way(by_time, _order(sort), total)
    if sort == "call_start_time" or total <= MOST_LOOKED_UP:
        return way
    way.index = _INDEXES[sort]
    if sort == "call_end_time":
        _walk_by_end(connection, wanted, way)
    elif wanted.start is not None or wanted.end is not None:
        way.instead, way.most = by_time, total
    return way


def _walk_by_end(connection: sqlite3.Connection, wanted: CdrFilter, way: _Way) -> None:
    """Between the first and the last end of the calls that began in the range."""
    if wanted.start is wanted.end is None:
        return
    parts = Parts.of(wanted)
    first, last = connection.execute(
        "SELECT min(first_end), max(last_end) FROM cdr_quarter WHERE start >= ? AND start < ?",
        (parts.before[0] // QUARTER * QUARTER, parts.behind[1]),
    ).fetchone()
    if first is not None:
        way.tests = {"call_end_time >= ?": first, "call_end_time <= ?": last}


def _way_by_number(connection: sqlite3.Connection, wanted: CdrFilter, sort: str) -> _Way:
    """Along the index of the number, or of the one of two that has fewer calls."""
    both = {"calling_number": wanted.calling_number, "called_number": wanted.called_number}
    numbers = {name: number for name, number in both.items() if number is not None}
    entries, total, name = MOST_COUNTED + 1, 0, ""
    for one in numbers:
        calls, matching = _counted(connection, _INDEXES[one], wanted, one, most=entries)
        if not name or calls < entries:
            entries, total, name = calls, matching, one
    index, exact = _INDEXES[name], entries <= MOST_COUNTED
    if sort in numbers or sort == "call_start_time":
        return _Way(index, _of_a_number(name), total, exact)
    way = _Way(index, _order(sort), total, exact)
    if exact and not _rather_walked(connection, wanted, entries, total):
        return way
    way.index = _INDEXES[sort]
    if sort == "call_end_time":
        of_one = _with_number(wanted, name)
        _walk_by_end(connection, _where_it_calls(connection, index, of_one), way)
    else:
        way.instead, way.most = index, entries
    return way


def _rather_walked(
    connection: sqlite3.Connection, wanted: CdrFilter, entries: int, total: int
) -> bool:
    """Whether a page shows up among the calls of all numbers before `entries` are sorted."""
    if entries <= MOST_LOOKED_UP:
        return False
    calls = _kept(connection, CdrFilter(start=wanted.start, end=wanted.end))
    return (wanted.offset + wanted.limit) * calls < entries * total


def _where_it_calls(connection: sqlite3.Connection, index: str, wanted: CdrFilter) -> CdrFilter:
    """From the first to the last call of a number: it may be long out of use, or quite new."""
    tests, values = replace(wanted, call_result=None).tests()
    calls = f"FROM cdr_brief INDEXED BY {index} WHERE {' AND '.join(tests)}"
    (first,) = connection.execute(f"SELECT min(call_start_time) {calls}", values).fetchone()
    (last,) = connection.execute(f"SELECT max(call_start_time) {calls}", values).fetchone()
    return wanted if first is None else replace(wanted, start=first, end=last + 1)


def _with_number(wanted: CdrFilter, name: str) -> CdrFilter:
    """The same with one of the numbers."""
    called, calling = wanted.called_number, wanted.calling_number
    return replace(
        wanted,
        called_number=called if name == "called_number" else None,
        calling_number=calling if name == "calling_number" else None,
    )


# -- counts --------------------------------------------------------------------------------


def _kept(connection: sqlite3.Connection, wanted: CdrFilter) -> int:
    """How many calls a filter by time and result has: what is kept, and the ends counted."""
    parts = Parts.of(wanted)
    (total,) = connection.execute(
        f"SELECT total({wanted.call_result or 'total'}) FROM cdr_quarter "
        "WHERE start >= ? AND start < ?",
        parts.whole,
    ).fetchone()
    return int(total) + sum(
        _at(connection, replace(wanted, start=start, end=end))
        for start, end in (parts.before, parts.behind)
        if start < end
    )


def _at(connection: sqlite3.Connection, wanted: CdrFilter) -> int:
    """How many calls a short range has."""
    tests, values = wanted.tests()
    index = "cdr_start" if wanted.call_result is None else "cdr_result"
    query = f"SELECT count(*) FROM cdr_brief INDEXED BY {index} WHERE {' AND '.join(tests)}"
    return int(connection.execute(query, values).fetchone()[0])


def _counted(
    connection: sqlite3.Connection,
    index: str,
    wanted: CdrFilter,
    name: str = "",
    *,
    most: int,
) -> tuple[int, int]:
    """How many calls an index has, that of the number `name`; and how many of them match.

    `most` are looked at: by one more than `MOST_COUNTED` it shows that there are more.
    """
    along = replace(_with_number(wanted, name), call_result=None)
    tests, values = along.tests()
    rest = replace(wanted, start=None, end=None, call_guid=None, newest=None)
    if name:
        rest = _with_number(rest, _OTHER[name])
    fits, fitting_values = rest.tests()
    some = (
        f"SELECT call_result, called_number, calling_number FROM {wanted.table} "
        f"INDEXED BY {index} WHERE {' AND '.join(tests)} LIMIT ?"
    )
    matches = f"count(*) FILTER (WHERE {' AND '.join(fits)})" if fits else "count(*)"
    calls, fitting = connection.execute(
        f"SELECT count(*), {matches} FROM ({some})",
        [*fitting_values, *values, most],
    ).fetchone()
    return calls, min(fitting, MOST_COUNTED)


# -- along an index ------------------------------------------------------------------------


def _ids(connection: sqlite3.Connection, wanted: CdrFilter, way: _Way) -> list[int]:
    """The ids of the page, and one more where others follow."""
    if way.exact and wanted.offset >= way.total:
        return []
    behind_cursor: list[Any] = []
    if wanted.cursor is not None:
        behind_cursor = _values_at(connection, wanted, wanted.cursor, way)
        wanted = _narrowed(wanted, way, behind_cursor[0])
    elif way.order == _START and way.index != "cdr_guid" and wanted.offset > 0:
        wanted = _skipped(connection, wanted)
    if way.instead:
        found = _by_numbers(connection, wanted, way, behind_cursor)
        if found is not None:
            return found
        way.index = way.instead
    tests, values = wanted.tests()
    # Not seen as a constant, a column has its place in the order, which is that of the index.
    hidden = {f"{name} = ?" for name in way.order} - {f"{_LEADING.get(way.index)} = ?"}
    tests = [f"+{test}" if test in hidden else test for test in tests]
    tests += way.tests
    values += way.tests.values()
    columns = (*way.order, "id")
    if behind_cursor:
        tests.append(_behind(wanted, columns))
        values += behind_cursor
    where = f"WHERE {' AND '.join(tests)}" if tests else ""
    rows = connection.execute(
        f"SELECT id FROM {wanted.table} INDEXED BY {way.index} {where} "
        f"ORDER BY {_by(wanted, columns)} LIMIT ? OFFSET ?",
        [*values, wanted.limit + 1, wanted.offset],
    )
    return [row[0] for row in rows]


def _behind(wanted: CdrFilter, columns: Sequence[str]) -> str:
    """The test for what comes behind so many values."""
    sign = "<" if wanted.sort_order == "desc" else ">"
    return f"({', '.join(columns)}) {sign} ({', '.join('?' * len(columns))})"


def _by(wanted: CdrFilter, columns: Sequence[str]) -> str:
    return ", ".join(f"{name} {wanted.sort_order}" for name in columns)


def _by_numbers(
    connection: sqlite3.Connection, wanted: CdrFilter, way: _Way, behind_cursor: list[Any]
) -> list[int] | None:
    """The same, passing by those calls of each number that are outside of the time.

    None where more entries than `way.most` were looked at in vain.
    """
    columns = (*way.order, "id")
    tests, values = wanted.tests()
    ids: list[int] = []
    full, in_vain = wanted.offset + wanted.limit + 1, 0
    # SQLite has numbers below all texts, and BLOBs above them.
    place = behind_cursor or [b"" if wanted.sort_order == "desc" else -(2**63)]
    stride = STRIDE
    while in_vain <= way.most:
        entries = connection.execute(
            f"SELECT id, {' AND '.join(tests)} FROM cdr_brief INDEXED BY {way.index} "
            f"WHERE {_behind(wanted, columns[: len(place)])} "
            f"ORDER BY {_by(wanted, columns)} LIMIT ?",
            [*values, *place, stride],
        ).fetchall()
        found = [one for one, matches in entries if matches]
        ids += found
        in_vain += len(entries) - len(found)
        if len(ids) >= full or len(entries) < stride:
            return ids[wanted.offset : full]
        last = _values_at(connection, wanted, entries[-1][0], way)
        number, place = place[0], _next_place(wanted, last)
        # One number alone filled it, and has more that is passed by: look less far.
        frequent = place is not last and place[0] == number
        stride = max(STRIDE, stride // 2) if frequent else min(2 * stride, LONGEST_STRIDE)
    return None


def _next_place(wanted: CdrFilter, last: list[Any]) -> list[Any]:
    """Behind which values to go on: those of the last entry, or as far as none can match."""
    number, start = last[:2]
    descending = wanted.sort_order == "desc"
    if wanted.start is not None and start < wanted.start:
        return [number] if descending else [number, wanted.start - 1]
    if wanted.end is not None and start >= wanted.end:
        return [number, wanted.end] if descending else [number]
    return last


def _values_at(
    connection: sqlite3.Connection, wanted: CdrFilter, cursor: int, way: _Way
) -> list[Any]:
    """What the record of a cursor has in the columns of the order, and its id."""
    query = f"SELECT {', '.join(way.order)}, id FROM {wanted.table} WHERE id = ?"
    row = connection.execute(query, (cursor,)).fetchone()
    if row is None:
        raise CursorUnknown(f"cursor {cursor} is of no page; take it from the Link of one")
    return list(row)


def _narrowed(wanted: CdrFilter, way: _Way, value: int) -> CdrFilter:
    """The range as far as a cursor leaves it, where `value` of the first column is a time.

    Of two limits to a column SQLite takes one, and walks from there: it is to be the near one.
    """
    descending = wanted.sort_order == "desc"
    if way.order[0] == "call_start_time":
        if descending:
            return replace(wanted, end=min(value + 1, wanted.end or value + 1))
        return replace(wanted, start=max(value, wanted.start or value))
    if way.order[0] == "call_end_time":
        test = "call_end_time <= ?" if descending else "call_end_time >= ?"
        nearer = min if descending else max
        way.tests[test] = nearer(value, way.tests.get(test, value))
    return wanted


def _skipped(connection: sqlite3.Connection, wanted: CdrFilter) -> CdrFilter:
    """The rest of the range once `offset` has skipped whole quarters of an hour."""
    parts = Parts.of(wanted)
    descending = wanted.sort_order == "desc"
    start, end = parts.behind if descending else parts.before
    left = wanted.offset
    if start < end:
        found = _at(connection, replace(wanted, start=start, end=end))
        if left < found:
            return wanted
        left -= found
    quarters = connection.execute(
        f"SELECT start, {wanted.call_result or 'total'} FROM cdr_quarter "
        f"WHERE start >= ? AND start < ? ORDER BY start {wanted.sort_order}",
        parts.whole,
    )
    for start, found in quarters:
        if left < found:
            near = start + QUARTER if descending else start
            break
        left -= found
    else:
        near = parts.before[1] if descending else parts.behind[0]
    return replace(wanted, offset=left, **{"end" if descending else "start": near})
