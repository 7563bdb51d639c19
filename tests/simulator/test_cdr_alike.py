"""Reports on PostgreSQL are those on SQLite."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, cast

import pytest
from psycopg import Cursor

from simulator.cdr_csv import HEAD
from simulator.cdr_postgres import PostgresCdrStore
from simulator.cdr_postgres_queries import page
from simulator.cdr_queries import CdrFilter, CdrPage
from simulator.cdr_records import CdrRecord, LegRecord
from simulator.cdr_schema import QUARTER
from simulator.cdr_store import CdrStore
from simulator.errors import CursorUnknown
from simulator.postgres import Connection
from tests.simulator.test_cdr_pages import ATTRIBUTES, ORDERS, SORTS, START, filters, keys, many
from tests.support.postgres import Cluster
from tests.support.records import RecordsInMemory
from tests.support.stores import PostgresPlace, fill, run

HOUR = 4 * QUARTER


def odd() -> list[CdrRecord]:
    """What only some records have, and what is not as it should be."""
    plain = CdrRecord("odd", START, START + 5)
    leg = LegRecord("1", "f", "inbound", 1, 2, sip_response_code=200)
    return [
        replace(plain, call_guid="a", call_start_time=-1, call_end_time=-QUARTER),
        replace(plain, call_guid="b", call_end_time=2**62, call_start_time=-(2**61)),
        replace(plain, call_guid="c", call_end_time=2**50, called_number="7\u00e9\U0001f600"),
        replace(plain, call_guid="d", uui='=1\r\n"', error_code="", called_number="7\uffee"),
        replace(plain, call_guid="e", self_service_duration=1999, queue_duration=-1999),
        replace(plain, call_guid="f", application_name="b", application_count=3, legs=[leg]),
        replace(plain, call_guid="g", application_name="B", application_count=1, uui="a;=b"),
        replace(plain, call_guid="h", vxml_server_hostname="v", call_server_hostname="cs2"),
        replace(plain, call_guid="i", self_service_duration=5, transfer_count=2),
        replace(plain, call_guid="j", ecc_variables={"user.a": "ä"}, marks=[(1, 2, 3, 4, "x")]),
    ]


@pytest.fixture(scope="module")
def memory() -> RecordsInMemory:
    return RecordsInMemory([*many().records, *odd()])


@pytest.fixture(scope="module")
def store(cluster: Cluster, prepared: str, memory: RecordsInMemory) -> Iterator[CdrStore]:
    place = PostgresPlace(cluster, cluster.database(like=prepared))
    fill(place, memory.records)
    with place.open(run) as opened:
        yield opened


def ways() -> Iterator[CdrFilter]:
    """Each filter in one of the orders, in turn."""
    orders = [*product(SORTS, ORDERS)]
    for number, plain in enumerate(filters()):
        sort_by, sort_order = orders[number % len(orders)]
        yield replace(plain, sort_by=sort_by, sort_order=sort_order, limit=1000)


def test_records_come_back_as_they_were(store: CdrStore, memory: RecordsInMemory) -> None:
    assert store.recent(1000) == memory.records[::-1]
    assert store.newest() == memory.newest() == store.count()
    for record in odd():
        assert store.get(record.call_guid) == record
        assert store.legs(record.call_guid) == record.legs


@pytest.mark.parametrize("wanted", [CdrFilter(sort_by=sort) for sort in SORTS])
def test_all_in_order(store: CdrStore, memory: RecordsInMemory, wanted: CdrFilter) -> None:
    """Text by its code points, in any locale."""
    for sort_order in ORDERS:
        both = replace(wanted, sort_order=sort_order, limit=1000)
        name = ATTRIBUTES[wanted.sort_by]
        found, expected = (
            [getattr(record, name) for record in one.page(both).records] for one in (store, memory)
        )
        assert found == expected


def test_pages(store: CdrStore, memory: RecordsInMemory) -> None:
    for wanted in ways():
        expected, found = memory.page(wanted), store.page(wanted)
        assert (found.total, found.exact) == (expected.total, expected.exact), wanted
        whole = keys(found.records)
        assert sorted(whole) == sorted(keys(expected.records)), wanted
        values = [getattr(record, ATTRIBUTES[wanted.sort_by]) for record in found.records]
        assert values == sorted(values, reverse=wanted.sort_order == "desc"), wanted
        cursor: int | None = None
        for offset in range(0, len(whole) + 1, 17):
            part = store.page(replace(wanted, limit=17, offset=offset))
            assert keys(part.records) == whole[offset : offset + 17], (wanted, offset)
            if offset == 0 or cursor is not None:
                part = store.page(replace(wanted, limit=17, cursor=cursor))
                assert keys(part.records) == whole[offset : offset + 17], (wanted, offset)
                cursor = part.cursor
                assert (cursor is not None) == (offset + 17 < len(whole))


def test_a_cursor_that_is_of_no_page_is_refused(store: CdrStore) -> None:
    with pytest.raises(CursorUnknown, match="cursor 1000 is of no page"):
        store.page(CdrFilter(cursor=1000))
    with pytest.raises(CursorUnknown, match="cursor 1000 is of no page"):
        store.csv(CdrFilter(cursor=1000))


def test_csv(store: CdrStore, memory: RecordsInMemory) -> None:
    wanted = CdrFilter(limit=1000, newest=memory.newest() - 3)
    lines = [
        sorted(csv.reader(io.StringIO(HEAD + one.csv(wanted).text, newline=""), strict=True))
        for one in (store, memory)
    ]
    assert len(lines[0]) == len(memory.records) - 2
    assert lines[0] == lines[1]


def test_csv_in_pieces(store: CdrStore, memory: RecordsInMemory) -> None:
    whole = store.csv(CdrFilter(limit=1000)).text
    piece = store.csv(CdrFilter(limit=40))
    text = piece.text
    while piece.cursor is not None:
        piece = store.csv(CdrFilter(limit=40, cursor=piece.cursor))
        text += piece.text
    assert text == whole


@pytest.mark.parametrize("interval", [QUARTER, HOUR, 24 * HOUR])
def test_summaries(store: CdrStore, memory: RecordsInMemory, interval: int) -> None:
    for wanted in filters():
        assert store.summary(wanted, interval) == memory.summary(wanted, interval), wanted


def test_applications(store: CdrStore, memory: RecordsInMemory) -> None:
    for wanted in filters():
        for name in (None, "a", "B", "none such"):
            expected = memory.applications(wanted, name)
            assert store.applications(wanted, name) == expected, wanted


def test_servers(store: CdrStore, memory: RecordsInMemory) -> None:
    times = [0, START, START + 1, START + QUARTER, START + 3 * QUARTER + 2, START + 9 * QUARTER]
    for start, end in product(times, times):
        if start <= end:
            assert store.servers(start, end) == memory.servers(start, end), (start, end)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (CdrFilter(), "cdr_start"),
        (CdrFilter(start=1, end=2**45), "cdr_start"),
        (CdrFilter(cursor=7), "cdr_start"),
        (CdrFilter(sort_by="callEndTime"), "cdr_end"),
        (CdrFilter(sort_by="calledNumber"), "cdr_called"),
        (CdrFilter(sort_by="callingNumber", cursor=7), "cdr_calling"),
        (CdrFilter(call_result="error", start=1), "cdr_result"),
        (CdrFilter(called_number="1", start=1), "cdr_called"),
        (CdrFilter(calling_number="1", sort_by="callingNumber"), "cdr_calling"),
    ],
)
def test_a_page_can_come_from_an_index_in_its_order(
    store: CdrStore, wanted: CdrFilter, index: str
) -> None:
    """Where there are too many records to sort them, or to walk through."""
    assert isinstance(store, PostgresCdrStore)
    seen: list[str] = []

    class Explained:
        """A connection that tells the plan of the query for the ids."""

        def __init__(self, connection: Connection) -> None:
            self._connection = connection

        def execute(self, query: str, values: Sequence[object]) -> Cursor[tuple[Any, ...]]:
            if query.startswith("SELECT id FROM cdr "):
                plan = self._connection.execute(f"EXPLAIN {query}", values)
                seen.extend(row[0] for row in plan)
            return self._connection.execute(query, values)

    def ask(connection: Connection) -> CdrPage:
        for setting in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
            connection.execute(f"SET LOCAL {setting} = off")
        return page(cast(Connection, Explained(connection)), wanted)

    assert store._report(ask).records
    assert any(f"using {index} " in line for line in seen), seen
    assert not any("Sort" in line for line in seen), seen
