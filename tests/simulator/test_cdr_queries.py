"""What reports ask of the records."""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.cdr import SqliteCdrStore
from simulator.cdr_queries import CdrFilter, SortBy
from simulator.cdr_records import CdrRecord, CdrStoreError, to_row
from simulator.cdr_store import CdrStore
from simulator.errors import ReportTooLong
from tests.support.records import RecordsInMemory
from tests.support.stores import fill, run

Reports = RecordsInMemory | CdrStore
Stored = Callable[[Iterable[CdrRecord]], Reports]

HOUR = 3_600_000
START = 1_800_000_000_000 // HOUR * HOUR


def call(number: int, start: int, length: int = 1000, **rest: Any) -> CdrRecord:
    values = {"calling_number": "1", "called_number": "7000", "call_server_hostname": "cs"} | rest
    return CdrRecord(f"{number:032X}", START + start, START + start + length, **values)


def guids(store: Reports, **wanted: Any) -> list[int]:
    return [int(record.call_guid, 16) for record in store.page(CdrFilter(**wanted)).records]


@pytest.fixture(params=["sqlite", "postgresql"])
def stored(request: pytest.FixtureRequest) -> Iterator[Stored]:
    """Makes a store of each kind that has these records."""
    opened: list[CdrStore] = []

    def in_postgresql(records: Iterable[CdrRecord]) -> CdrStore:
        place = request.getfixturevalue("database")
        fill(place, records)
        opened.append(place.open(run))
        return opened[-1]

    yield RecordsInMemory if request.param == "sqlite" else in_postgresql
    for one in opened:
        one.close()


@pytest.fixture
def store(stored: Stored) -> Reports:
    return stored(
        [
            call(1, 0, 9000, called_number="7000", calling_number="3"),
            call(2, 1000, 500, called_number="6000", calling_number="2", call_result="error"),
            call(3, 2000, 600, called_number="7000", calling_number="1", call_result="abandoned"),
        ]
    )


def test_pages(store: Reports) -> None:
    assert guids(store) == [3, 2, 1], "the newest first"
    assert guids(store, sort_order="asc") == [1, 2, 3]
    assert guids(store, limit=1, offset=1) == [2]
    assert store.page(CdrFilter(limit=1, offset=5)).total == 3
    assert guids(store, offset=5) == []


@pytest.mark.parametrize(
    ("sort_by", "expected"),
    [
        ("callStartTime", [1, 2, 3]),
        ("callEndTime", [2, 3, 1]),
        ("calledNumber", [2, 1, 3]),
        ("callingNumber", [3, 2, 1]),
    ],
)
def test_orders(store: Reports, sort_by: SortBy, expected: list[int]) -> None:
    assert guids(store, sort_by=sort_by, sort_order="asc") == expected
    assert guids(store, sort_by=sort_by) == expected[::-1]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"start": START + 1000}, [3, 2]),
        ({"end": START + 1000}, [1]),
        ({"start": START + 1000, "end": START + 2000}, [2]),
        ({"called_number": "7000"}, [3, 1]),
        ({"called_number": "700"}, []),
        ({"calling_number": "2"}, [2]),
        ({"call_guid": f"{3:032X}"}, [3]),
        ({"call_result": "error"}, [2]),
        ({"called_number": "7000", "call_result": "completed"}, [1]),
    ],
)
def test_filters(store: Reports, wanted: dict[str, Any], expected: list[int]) -> None:
    assert guids(store, **wanted) == expected
    assert store.page(CdrFilter(**wanted)).total == len(expected)


def test_a_summary_by_intervals(stored: Stored) -> None:
    served = {"self_service_duration": 2000, "transfer_count": 1, "application_count": 1}
    store = stored(
        [
            call(1, 0, 4000, **served),
            call(2, HOUR - 1, 2000, call_result="abandoned", queue_duration=1000),
            call(3, 2 * HOUR, 1000, call_result="error"),
            call(4, 2 * HOUR + 1, 3000, call_result="transferred", called_number="8"),
        ]
    )
    first, second = store.summary(CdrFilter(), HOUR)
    assert (first.start, first.end) == (START, START + HOUR)
    assert (first.total, first.completed, first.abandoned) == (2, 1, 1)
    assert (first.duration, first.self_service_duration, first.queue_duration) == (3.0, 1.0, 0.5)
    assert (first.self_service, first.self_served) == (1, 1)
    assert second.start == START + 2 * HOUR
    assert (second.total, second.failed, second.transferred) == (2, 1, 1)
    (only,) = store.summary(CdrFilter(called_number="8"), HOUR)
    assert only.total == 1
    assert store.summary(CdrFilter(end=0), HOUR) == []


def test_calls_before_1970_are_counted_where_they_are(stored: Stored) -> None:
    """A wrong clock may say so; SQLite and Python round such times otherwise."""
    starts = [-HOUR - 1, -HOUR, -1, 0, 1]
    store = stored(
        CdrRecord(f"{number:032X}", start, start + 5) for number, start in enumerate(starts)
    )
    expected = [(-2 * HOUR, 1), (-HOUR, 2), (0, 2)]
    for wanted in (CdrFilter(), CdrFilter(start=-HOUR - 1, end=2)):
        found = [(line.start, line.total) for line in store.summary(wanted, HOUR)]
        assert found == expected
    for start in range(-2, 3):
        page = store.page(CdrFilter(start=start))
        assert page.total == len(page.records) == sum(start <= one for one in starts)
        for offset in range(page.total):
            assert len(store.page(CdrFilter(start=start, offset=offset)).records) > 0


def test_applications(stored: Stored) -> None:
    served = {"application_count": 1, "self_service_duration": 2000}
    store = stored(
        [
            call(1, 0, application_name="b", **served),
            call(2, 0, application_name="b", call_result="error", **served),
            call(3, 0, application_name="a", application_count=2, self_service_duration=3000),
            call(4, 0, application_name="never reached"),
            call(5, 0),
        ]
    )
    a, b = store.applications(CdrFilter(), None)
    assert (a.name, a.total, a.completed, a.failed, a.duration) == ("a", 2, 2, 0, 1.5)
    assert (b.name, b.total, b.completed, b.failed, b.duration) == ("b", 2, 1, 1, 2.0)
    assert store.applications(CdrFilter(), "b") == [b]
    assert store.applications(CdrFilter(end=0), "b") == []


def test_servers(stored: Stored) -> None:
    store = stored(
        [
            call(1, 0, 1000, vxml_server_hostname="v"),
            call(2, 500, 1000),
            call(3, 1000, 1000),  # as the first one ends
            call(4, 5000, 10, call_server_hostname="other"),
        ]
    )
    cs, other, vxml = store.servers(START, START + 10_000)
    assert (cs.hostname, cs.kind, cs.total) == ("cs", "CallServer", 3)
    assert (cs.average, other.average) == (0.3, 0.001)
    assert (cs.peak, other.peak) == (3, 1)
    assert (vxml.hostname, vxml.kind, vxml.total) == ("v", "VXMLServer", 1)
    (within,) = store.servers(START + 1200, START + 1400)
    assert (within.total, within.peak, within.average) == (2, 2, 2.0)
    assert store.servers(START + 6000, START + 7000) == []


# -- the real store ------------------------------------------------------------------------


def test_the_store_answers_reports(tmp_path: Path) -> None:
    done: list[object] = []
    with SqliteCdrStore(tmp_path / "cdr.sqlite", done.extend) as store:
        store.submit(to_row(call(1, 0, application_name="a", application_count=1)))
    with SqliteCdrStore(tmp_path / "cdr.sqlite", done.extend) as store:
        assert store.page(CdrFilter()).total == 1
        assert len(store.summary(CdrFilter(), HOUR)) == 1
        assert store.applications(CdrFilter(), None)[0].name == "a"
        assert store.servers(START, START + 1)[0].total == 1
        store._report_connection.close()
        with pytest.raises(CdrStoreError, match="cannot be read"):
            store.page(CdrFilter())


def test_a_report_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with SqliteCdrStore(tmp_path / "cdr.sqlite", lambda _: None) as store:
        monkeypatch.setattr(SqliteCdrStore, "_LONGEST_REPORT", 0.1)
        with pytest.raises(ReportTooLong, match=r"after 0\.1 s; ask for a shorter range by start"):
            store._report(lambda connection: connection.execute(endless).fetchone())
        assert store.page(CdrFilter()).total == 0, "the next one has its turn"


def test_the_figures_of_one_report_fit_together(tmp_path: Path) -> None:
    """What is stored while it is made is not in it."""
    stored = threading.Semaphore(0)
    with SqliteCdrStore(tmp_path / "cdr.sqlite", lambda _: stored.release()) as store:
        store.submit(to_row(call(1, 0)), lambda: None)
        assert stored.acquire(timeout=20)
        later: list[bool] = []

        def another(statement: str) -> None:
            if statement.startswith("SELECT id FROM cdr_brief "):
                store.submit(to_row(call(2, 0)), lambda: None)
                later.append(stored.acquire(timeout=20))

        store._report_connection.set_trace_callback(another)
        page = store.page(CdrFilter())
        store._report_connection.set_trace_callback(None)
        assert later == [True]
        assert (page.total, len(page.records)) == (1, 1)
        assert store.page(CdrFilter()).total == 2
