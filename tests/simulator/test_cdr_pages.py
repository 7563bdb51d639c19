"""Pages of records: what is in them, whichever way they are found, and by which indexes."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from random import Random
from typing import Any

import pytest

from simulator import cdr_pages
from simulator.cdr_pages import page
from simulator.cdr_queries import CdrFilter, SortBy, SortOrder, applications, servers, summary
from simulator.cdr_records import CallResult, CdrRecord
from simulator.cdr_schema import FIGURES, QUARTER
from simulator.errors import CursorUnknown
from tests.support.records import RecordsInMemory, explained

START = 1_800_000_000_000 // QUARTER * QUARTER
RESULTS: tuple[CallResult, ...] = ("completed", "abandoned", "transferred", "error")
SORTS: tuple[SortBy, ...] = ("callStartTime", "callEndTime", "calledNumber", "callingNumber")
ORDERS: tuple[SortOrder, ...] = ("asc", "desc")
ATTRIBUTES = {
    "callStartTime": "call_start_time",
    "callEndTime": "call_end_time",
    "calledNumber": "called_number",
    "callingNumber": "calling_number",
}


def many() -> RecordsInMemory:
    """Records that share most of their values, in no order, over five quarters of an hour."""
    random = Random(5038)
    records = {}
    for number in range(90):
        start = START + random.randrange(5) * QUARTER + random.choice((0, 1, 2, QUARTER - 1))
        records[number // 2, start] = CdrRecord(
            f"{number // 2:032X}",
            start,
            start + random.choice((0, 1, 500, 3 * QUARTER)),
            calling_number=random.choice("123"),
            called_number=random.choice("12345"),
            call_result=random.choice(RESULTS),
            call_server_hostname="cs",
            application_name="a",
            application_count=1,
        )
    return RecordsInMemory(records.values())


@pytest.fixture(scope="module")
def store() -> RecordsInMemory:
    return many()


@pytest.fixture(params=["few", "many"])
def limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """As if there were far too many records to be sorted or counted, and as it is."""
    limits = str(request.param)
    if limits == "many":
        monkeypatch.setattr(cdr_pages, "MOST_LOOKED_UP", 3)
        monkeypatch.setattr(cdr_pages, "STRIDE", 4)
        monkeypatch.setattr(cdr_pages, "MOST_COUNTED", 9)
    return limits


def filters() -> Iterator[CdrFilter]:
    times = (None, START + 1, START + QUARTER, START + 3 * QUARTER + 2)
    numbers = (None, "1")
    results: tuple[CallResult | None, ...] = (None, "error")
    for start, end, called, calling, result in product(times, times, numbers, numbers, results):
        if start is None or end is None or start <= end:
            yield CdrFilter(start, end, called, calling, None, result)
    yield CdrFilter(called_number="none such")
    for guid in (f"{3:032X}", "none such"):
        yield CdrFilter(call_guid=guid)
        yield CdrFilter(call_guid=guid, called_number="1", call_result="error")


def matches(record: CdrRecord, wanted: CdrFilter) -> bool:
    return (
        (wanted.start is None or record.call_start_time >= wanted.start)
        and (wanted.end is None or record.call_start_time < wanted.end)
        and wanted.called_number in (None, record.called_number)
        and wanted.calling_number in (None, record.calling_number)
        and wanted.call_guid in (None, record.call_guid)
        and wanted.call_result in (None, record.call_result)
    )


def keys(records: list[CdrRecord]) -> list[tuple[str, int]]:
    return [(record.call_guid, record.call_start_time) for record in records]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sort", SORTS)
def test_pages_have_what_matches_in_order(
    store: RecordsInMemory, limits: str, sort: SortBy, order: SortOrder
) -> None:
    stored = store.page(CdrFilter(limit=1000)).records
    assert len(stored) == len(store.records) > 80
    for plain in filters():
        wanted = replace(plain, sort_by=sort, sort_order=order, limit=1000)
        expected = [record for record in stored if matches(record, wanted)]
        found = page(store.table(), wanted)
        assert sorted(keys(found.records)) == sorted(keys(expected)), wanted
        values = [getattr(record, ATTRIBUTES[sort]) for record in found.records]
        assert values == sorted(values, reverse=order == "desc"), wanted
        if found.exact:
            assert found.total == len(expected), wanted
        else:
            assert limits == "many"
            assert found.total <= len(expected), wanted
        assert found.cursor is None
        check_parts(store, wanted, keys(found.records))


def check_parts(store: RecordsInMemory, wanted: CdrFilter, whole: list[tuple[str, int]]) -> None:
    """Page by page, by cursor and by offset, the same records come in the same order."""
    cursor: int | None = None
    for offset in range(0, len(whole) + 1, 7):
        part = page(store.table(), replace(wanted, limit=7, offset=offset))
        assert keys(part.records) == whole[offset : offset + 7], (wanted, offset)
        if offset == 0 or cursor is not None:
            part = page(store.table(), replace(wanted, limit=7, cursor=cursor))
            assert keys(part.records) == whole[offset : offset + 7], (wanted, offset)
            cursor = part.cursor
            assert (cursor is not None) == (offset + 7 < len(whole))


def test_a_cursor_that_is_of_no_page_is_refused(store: RecordsInMemory) -> None:
    with pytest.raises(CursorUnknown, match="cursor 1000 is of no page"):
        store.page(CdrFilter(cursor=1000))


def test_what_comes_meanwhile_does_not_shift_pages() -> None:
    store = many()
    first = store.page(CdrFilter(limit=40))
    store.records.append(replace(store.records[0], call_start_time=START + 9 * QUARTER))
    second = store.page(CdrFilter(limit=1000, cursor=first.cursor))
    assert len({*keys(first.records), *keys(second.records)}) == first.total
    pinned = store.page(CdrFilter(limit=1000, newest=first.total))
    assert keys(pinned.records) == keys(first.records + second.records)


def test_figures_are_kept_when_records_are_deleted() -> None:
    """By hand, since nothing of ours does."""
    records = many().records
    table = RecordsInMemory(records).table()
    table.execute("DELETE FROM cdr WHERE call_start_time < ?", (START + QUARTER,))
    table.execute("DELETE FROM cdr WHERE call_result = 'error'")
    rest = RecordsInMemory(
        [r for r in records if r.call_start_time >= START + QUARTER and r.call_result != "error"]
    )
    assert summary(table, CdrFilter(), QUARTER) == rest.summary(CdrFilter(), QUARTER)
    assert page(table, CdrFilter()).total == len(rest.records) > 0
    table.execute("DELETE FROM cdr")
    assert summary(table, CdrFilter(), QUARTER) == []
    assert table.execute("SELECT count(*) FROM cdr_quarter").fetchone() == (0,)


def test_figures_are_kept_when_records_are_changed() -> None:
    """By hand as well: what is counted, and in which quarter."""
    records = many().records
    store = RecordsInMemory(records)
    table = store.table()
    changed = [replace(record) for record in records]
    for record in changed:
        if record.call_result == "error":
            record.call_result = "completed"
        if record.called_number == "1":
            record.call_start_time += 9 * QUARTER
            record.call_end_time += 9 * QUARTER
            record.self_service_duration = record.queue_duration = 77
            record.transfer_count = 2
    table.execute("UPDATE cdr SET call_result = 'completed' WHERE call_result = 'error'")
    table.execute(
        "UPDATE cdr SET call_start_time = call_start_time + ?1, call_end_time = call_end_time + ?1,"
        " self_service_duration = 77, queue_duration = 77, transfer_count = 2"
        " WHERE called_number = '1'",
        (9 * QUARTER,),
    )
    again = RecordsInMemory(changed)
    kept = f"SELECT start, {', '.join(FIGURES)} FROM cdr_quarter ORDER BY start"
    assert table.execute(kept).fetchall() == again.table().execute(kept).fetchall()
    by_end = CdrFilter(start=START + 8 * QUARTER, sort_by="callEndTime", limit=1000)
    moved = page(table, by_end)
    assert keys(moved.records) == keys(again.page(by_end).records)
    assert len(moved.records) == moved.total > 0


def steps_of(table: sqlite3.Connection, ask: Callable[[], object]) -> int:
    """What SQLite has to do for `ask`, in tens of steps of its machine."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    table.set_progress_handler(step, 10)
    ask()
    table.set_progress_handler(None, 0)
    return steps


def test_a_walk_keeps_to_the_calls_of_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which may all lie at the far end of the range."""
    monkeypatch.setattr(cdr_pages, "MOST_COUNTED", 1)
    records = [
        CdrRecord(
            f"{number:032X}",
            START + number * QUARTER // 10,
            START + number * QUARTER // 10 + 1000,
            called_number="rare" if 5 <= number < 10 else "other",
        )
        for number in range(3000)
    ]
    table = RecordsInMemory(records).table()
    for sort_order in ORDERS:
        wanted = CdrFilter(called_number="rare", sort_by="callEndTime", sort_order=sort_order)
        steps = steps_of(table, lambda wanted=wanted: page(table, wanted))  # type: ignore[misc]
        assert steps < 150, "less than one step of twenty for each record, let alone two"
        assert len(page(table, wanted).records) == 5


def spread(calls: int, numbers: int) -> list[CdrRecord]:
    """So many calls, a second apart, of each of so many numbers in turn."""
    return [
        CdrRecord(
            f"{call:032X}",
            START + 1000 * call,
            START + 1000 * call + 10,
            called_number=f"{call % numbers:04}",
            calling_number=f"{call // numbers:04}",
        )
        for call in range(calls * numbers)
    ]


@pytest.mark.parametrize("order", ORDERS)
def test_calls_outside_of_the_time_are_passed_by(
    order: SortOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls that a number had before and later cost one seek, however many they are."""
    monkeypatch.setattr(cdr_pages, "MOST_LOOKED_UP", 1)
    monkeypatch.setattr(cdr_pages, "STRIDE", 8)

    def cost(calls: int) -> int:
        records = spread(calls, 5)
        start = START + 1000 * (len(records) // 2)
        table = RecordsInMemory(records).table()
        wanted = CdrFilter(
            start, start + 20_000, sort_by="calledNumber", sort_order=order, limit=1000
        )
        found = page(table, wanted).records
        expected = [r for r in records if start <= r.call_start_time < start + 20_000]
        expected.sort(key=lambda r: (r.called_number, r.call_start_time), reverse=order == "desc")
        assert keys(found) == keys(expected)
        assert len(found) == 20
        return steps_of(table, lambda: page(table, wanted))

    assert cost(2000) < 1.3 * cost(200), "ten times as many calls lie outside"


@pytest.mark.parametrize("order", ORDERS)
def test_where_few_numbers_call_in_the_time_calls_are_sorted(
    order: SortOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million numbers that did not call then are not looked at one by one."""
    monkeypatch.setattr(cdr_pages, "MOST_LOOKED_UP", 1)
    monkeypatch.setattr(cdr_pages, "STRIDE", 8)
    records = spread(3, 2000)
    late = START + 1000 * len(records)
    middle = [
        CdrRecord(f"{number:032X}", late + number, late + number, called_number="1000")
        for number in range(len(records), len(records) + 30)
    ]
    store = RecordsInMemory(records + middle)
    wanted = CdrFilter(late, sort_by="calledNumber", sort_order=order, limit=1000)
    assert keys(store.page(wanted).records) == keys(middle if order == "asc" else middle[::-1])
    assert steps_of(store.table(), lambda: store.page(wanted)) < 300, "half a step for each"
    sent = explained(store.table(), lambda: store.page(wanted))
    ways = [steps[0] for statement, steps in sent if PAGE.match(statement)]
    assert ways[-1].startswith("SEARCH cdr_brief USING INDEX cdr_start ("), "in the end"
    check_parts(store, wanted, keys(store.page(wanted).records))


@pytest.mark.parametrize("seed", range(3))
def test_pages_of_many_numbers_are_those_of_a_plain_sort(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of times, numbers and limits at random, with ties, from any cursor and offset."""
    random = Random(seed)
    records = {}
    for number in range(400):
        start = START + int(random.expovariate(1 / QUARTER))
        records[number] = CdrRecord(
            f"{number:032X}",
            start,
            start + random.choice((0, 1000)),
            calling_number=f"{int(random.expovariate(1 / 30)):03}",
            called_number=str(int(random.paretovariate(0.7))),
            call_result=random.choice(RESULTS),
        )
    store = RecordsInMemory(records.values())
    stored = dict(enumerate(records.values(), 1))

    def key(one: int, column: str) -> tuple[object, ...]:
        record = stored[one]
        others = (record.call_start_time, record.call_end_time, record.call_result)
        other = "calling_number" if column == "called_number" else "called_number"
        return getattr(record, column), *others, getattr(record, other), one

    monkeypatch.setattr(cdr_pages, "MOST_COUNTED", 40)
    for _ in range(60):
        monkeypatch.setattr(cdr_pages, "MOST_LOOKED_UP", random.choice((1, 50)))
        monkeypatch.setattr(cdr_pages, "STRIDE", random.choice((1, 2, 5, 30)))
        monkeypatch.setattr(cdr_pages, "LONGEST_STRIDE", 30)
        times = sorted(START + random.randrange(3 * QUARTER) for _ in range(2))
        sort = random.choice(SORTS[2:])
        wanted = CdrFilter(
            random.choice((None, times[0])),
            random.choice((None, times[1])),
            called_number=random.choice((None, "1")),
            call_result=random.choice((None, "completed")),
            sort_by=sort,
            sort_order=random.choice(ORDERS),
            limit=random.choice((1, 7, 100)),
            newest=random.choice((None, 300)),
        )
        fitting = [
            one
            for one, record in stored.items()
            if matches(record, wanted) and one <= (wanted.newest or one)
        ]
        column = ATTRIBUTES[sort]
        if wanted.called_number is not None and sort == "calledNumber":
            column = "call_start_time"  # of one number, by what comes next in its index
        reverse = wanted.sort_order == "desc"
        fitting.sort(key=lambda one: key(one, column), reverse=reverse)
        expected = [(stored[one].call_guid, stored[one].call_start_time) for one in fitting]
        at = random.randrange(len(expected) + 1)
        found = page(store.table(), replace(wanted, offset=at))
        assert keys(found.records) == expected[at : at + wanted.limit], wanted
        if at > 0:
            found = page(store.table(), replace(wanted, cursor=fitting[at - 1]))
            assert keys(found.records) == expected[at : at + wanted.limit], wanted


# -- query plans ---------------------------------------------------------------------------

RANGE: dict[str, Any] = {"start": START + 1, "end": START + 3 * QUARTER + 2}
IN_RANGE = "call_start_time>? AND call_start_time<?"
BETWEEN = "call_end_time>? AND call_end_time<?"
OF_CALLED = "called_number,call_start_time,call_end_time,call_result,calling_number"
PAGE = re.compile(r"SELECT id(, .*)? FROM cdr(_brief)? INDEXED BY")


def plan_of(store: RecordsInMemory, wanted: CdrFilter) -> tuple[str, bool]:
    """How the ids of a page are found, and whether they are sorted; checks the rest."""
    ids: tuple[str, bool] | None = None
    for statement, steps in explained(store.table(), lambda: store.page(wanted)):
        if PAGE.match(statement):
            sorting = [step for step in steps if "B-TREE" in step]
            ids = (steps[0], bool(sorting))
            assert len(steps) == 1 + len(sorting)
        else:
            check(steps)
    assert ids is not None
    return ids


def check(steps: list[str]) -> None:
    """No walk over records or over a whole index, and nothing to sort."""
    for step in steps:
        assert not step.startswith("SCAN cdr"), steps
        assert "B-TREE" not in step, steps


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, "SCAN cdr_brief USING COVERING INDEX cdr_start"),
        (RANGE, f"SEARCH cdr_brief USING COVERING INDEX cdr_start ({IN_RANGE})"),
        ({"offset": 60}, "SEARCH cdr_brief USING COVERING INDEX cdr_start (call_start_time<?)"),
        ({"cursor": 7}, "SEARCH cdr_brief USING COVERING INDEX cdr_start (call_start_time<?)"),
        (
            {"cursor": 7, "sort_order": "asc"},
            "SEARCH cdr_brief USING COVERING INDEX cdr_start (call_start_time>?)",
        ),
        (
            {"call_result": "error"},
            "SEARCH cdr_brief USING COVERING INDEX cdr_result (call_result=?)",
        ),
        (
            {"call_result": "error", **RANGE},
            f"SEARCH cdr_brief USING COVERING INDEX cdr_result (call_result=? AND {IN_RANGE})",
        ),
        ({"sort_by": "callEndTime"}, "SCAN cdr_brief USING COVERING INDEX cdr_end"),
        (
            {"sort_by": "callEndTime", **RANGE},
            f"SEARCH cdr_brief USING COVERING INDEX cdr_end ({BETWEEN})",
        ),
        (
            {"sort_by": "callEndTime", "cursor": 7, "call_result": "error"},
            "SEARCH cdr_brief USING INDEX cdr_end (call_end_time<?)",
        ),
        ({"sort_by": "calledNumber"}, "SCAN cdr_brief USING COVERING INDEX cdr_called"),
        (
            {"sort_by": "callingNumber", **RANGE},
            "SEARCH cdr_brief USING COVERING INDEX cdr_calling (calling_number<?)",
        ),
        (
            {"sort_by": "calledNumber", "sort_order": "asc", "cursor": 7, **RANGE},
            f"SEARCH cdr_brief USING COVERING INDEX cdr_called (({OF_CALLED})>(?,?,?,?,?))",
        ),
        (
            {"sort_by": "calledNumber", "cursor": 7},
            f"SEARCH cdr_brief USING COVERING INDEX cdr_called (({OF_CALLED})<(?,?,?,?,?))",
        ),
        (
            {"called_number": "1", **RANGE},
            f"SEARCH cdr_brief USING COVERING INDEX cdr_called (called_number=? AND {IN_RANGE})",
        ),
        (
            {"calling_number": "1", "call_result": "error", "sort_by": "callingNumber"},
            "SEARCH cdr_brief USING COVERING INDEX cdr_calling (calling_number=?)",
        ),
        (
            {"calling_number": "1", "called_number": "1"},
            "SEARCH cdr_brief USING COVERING INDEX cdr_calling (calling_number=?)",
        ),
        (
            {"called_number": "1", "sort_by": "callEndTime", **RANGE},
            f"SEARCH cdr_brief USING INDEX cdr_end ({BETWEEN})",
        ),
        (
            {"called_number": "1", "sort_by": "callEndTime"},
            f"SEARCH cdr_brief USING INDEX cdr_end ({BETWEEN})",
        ),
        (
            {"called_number": "1", "sort_by": "callingNumber"},
            "SEARCH cdr_brief USING COVERING INDEX cdr_calling (calling_number<?)",
        ),
    ],
)
def test_a_page_comes_from_an_index_in_its_order(
    store: RecordsInMemory,
    wanted: dict[str, Any],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where there are too many matches to sort them."""
    monkeypatch.setattr(cdr_pages, "MOST_LOOKED_UP", 1)
    monkeypatch.setattr(cdr_pages, "MOST_COUNTED", 1)
    monkeypatch.setattr(cdr_pages, "STRIDE", 1000)
    assert plan_of(store, CdrFilter(**wanted)) == (expected, False)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (
            {"sort_by": "calledNumber", **RANGE},
            f"SEARCH cdr_brief USING INDEX cdr_start ({IN_RANGE})",
        ),
        (
            {"sort_by": "callingNumber", "call_result": "error", **RANGE},
            f"SEARCH cdr_brief USING INDEX cdr_result (call_result=? AND {IN_RANGE})",
        ),
        (
            {"called_number": "1", "sort_by": "callEndTime"},
            "SEARCH cdr_brief USING COVERING INDEX cdr_called (called_number=?)",
        ),
        (
            {"calling_number": "1", "sort_by": "calledNumber", **RANGE},
            f"SEARCH cdr_brief USING COVERING INDEX cdr_calling (calling_number=? AND {IN_RANGE})",
        ),
        (
            {"call_guid": f"{3:032X}", "sort_by": "calledNumber"},
            "SEARCH cdr USING INDEX cdr_guid (call_guid=?)",
        ),
    ],
)
def test_few_matches_are_sorted(
    store: RecordsInMemory, wanted: dict[str, Any], expected: str
) -> None:
    assert plan_of(store, CdrFilter(**wanted)) == (expected, True)


def test_figures_of_a_range_read_that_range(store: RecordsInMemory) -> None:
    table = store.table()
    wanted = CdrFilter(**RANGE)
    asked: dict[str, Callable[[], object]] = {
        "summary": lambda: summary(table, wanted, QUARTER),
        "of a number": lambda: summary(table, replace(wanted, called_number="1"), QUARTER),
        "applications": lambda: applications(table, wanted, None),
        "an application": lambda: applications(table, wanted, "a"),
        "servers": lambda: servers(table, START + 1, START + QUARTER),
    }
    for what, ask in asked.items():
        plans = explained(table, ask)
        assert plans, what
        for _, steps in plans:
            for step in steps:
                assert not step.startswith("SCAN cdr"), (what, steps)
    ((_, steps), *_) = explained(table, asked["of a number"])
    assert any(f"INDEX cdr_called (called_number=? AND {IN_RANGE})" in step for step in steps)
