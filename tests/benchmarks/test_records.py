"""Reports are timed on a store that is like a real one, and slow ones miss their targets."""

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from benchmarks import records
from benchmarks.record_data import DAY, END, FIRST, WEEK, WEEKS, make_store, rows
from benchmarks.records import REST, Times, ask_all, ask_rest, outcome_of, samples
from benchmarks.rest_client import RestClient, RestError
from benchmarks.subjects import Callsim
from simulator.cdr import SqliteCdrStore
from simulator.cdr_queries import CdrFilter
from simulator.cdr_records import from_row, to_row
from simulator.errors import ReportTooLong

COUNT = 150 * WEEKS


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("records") / "data" / "cdr.sqlite"
    path.parent.mkdir()
    make_store(path, COUNT)
    return path


def test_the_records_are_like_real_ones() -> None:
    made = list(rows(COUNT))
    found = [from_row(row) for row in made]
    assert [to_row(record) for record in found[:50]] == made[:50]
    assert len({record.call_guid for record in found}) == COUNT
    assert all(len(record.call_guid) == 32 for record in found)
    ends = [record.call_end_time for record in found]
    assert ends == sorted(ends)
    starts = [record.call_start_time for record in found]
    assert starts != sorted(starts)
    assert FIRST <= min(starts) < FIRST + DAY
    assert FIRST + 6 * DAY < max(starts) < FIRST + WEEK
    assert {len(record.legs) for record in found} == {1, 2, 3}
    assert sum(1 for record in found if record.vxml_sessions) > COUNT / 2
    assert all(record.events for record in found)
    assert {record.call_result for record in found} == {
        *("completed", "transferred", "abandoned", "error")
    }
    busiest = max(sum(1 for r in found if r.called_number == n) for n in {"80000", "80007"})
    assert busiest > COUNT / 20
    assert 0 < sum(1 for r in found if r.calling_number == "anonymous") < COUNT / 10


def test_the_store_that_is_made_is_one(path: Path) -> None:
    with SqliteCdrStore(path, lambda _: None) as store:
        assert store.page(CdrFilter()).total == store.count() == store.newest() == COUNT
        days = store.summary(CdrFilter(), DAY)
    assert sum(day.total for day in days) == COUNT
    assert len(days) == 7 * WEEKS
    assert [day.total for day in days[:7]] * WEEKS == [day.total for day in days]


def test_every_kind_of_query_is_asked(path: Path) -> None:
    times = ask_all(path, 2)
    assert len({one.what for one in times}) == len(times) > 50
    for one in times:
        assert len(one.values) == 2
        assert all(value > 0 for value in one.values)
        assert any("cdr" in step for steps in one.plans for step in steps), one.what


def test_what_is_given_up_has_its_time_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def given_up(store: SqliteCdrStore, sample: records.Sample) -> object:
        raise ReportTooLong("after 5 s")

    monkeypatch.setattr(records, "LINEAR", {"servers of a day": given_up})
    (servers,) = [one for one in ask_all(path, 1) if one.what == "servers of a day"]
    assert len(servers.values) == 1


def test_some_are_asked_by_rest(path: Path) -> None:
    with SqliteCdrStore(path, lambda _: None) as store:
        made = samples(store, Random(1), len(REST) + 1, COUNT)
    server = Callsim(path.parent.parent)
    client = RestClient(server.api, prefix=records._PREFIX)
    try:
        times = ask_rest(client, made, 1)
        with pytest.raises(RestError, match="400"):
            client.request("GET", "/cdr?limit=0")
    finally:
        client.close()
        assert server.stop() == []
    assert [len(one.values) for one in times] == [1] * (len(REST) + 1)


def test_what_a_record_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_WRITTEN", 200)
    path = tmp_path / "cdr.sqlite"
    make_store(path, 10 * WEEKS)
    assert records.write_cost(path, END, entered=True) > 0
    entered = "SELECT count(*) FROM cdr_brief"
    with closing(sqlite3.connect(path)) as file:
        assert file.execute(entered).fetchone() == (10 * WEEKS + 200,)
    assert records.write_cost(path, END + WEEK, entered=False) > 0
    with closing(sqlite3.connect(path)) as file:
        assert file.execute(entered).fetchone() == (10 * WEEKS + 200,), "later"
    with SqliteCdrStore(path, lambda _: None) as store:
        assert store.page(CdrFilter()).total == store.count() == 10 * WEEKS + 400


def test_what_is_too_slow_misses_its_target() -> None:
    quick = Times("first page", True, [1.0] * 19 + [80.0], [["SEARCH cdr"]])
    slow = Times("a day", True, [1.0] * 18 + [51.0, 52.0])
    linear = Times("servers of a day", False, [300.0])
    outcome = outcome_of([quick, linear], (10.0, 15.0), {})
    assert outcome.code == 0
    assert "| first page" in outcome.tables[0]
    assert "SEARCH cdr" in outcome.tables[1]
    assert "1.50" in outcome.tables[2]
    outcome = outcome_of([quick, slow, linear], (10.0, 15.0), {})
    assert [target.met for target in outcome.targets] == [True, False]
    assert outcome.code == 1
