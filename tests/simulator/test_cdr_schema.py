"""What is entered behind the records, and files of former versions."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from simulator import cdr_schema
from simulator.cdr import SqliteCdrStore
from simulator.cdr_queries import CdrFilter
from simulator.cdr_records import COLUMNS, CallResult, CdrRecord, CdrStoreError, Row, to_row
from simulator.cdr_schema import FIGURES, QUARTER, catch_up
from tests.support.records import RecordsInMemory, table_of

HOUR = 3_600_000
START = 1_800_000_000_000 // HOUR * HOUR
GUID = "F13437331000013A5FCA33210A4244A9"
WAIT = 20.0
RESULTS: tuple[CallResult, ...] = ("completed", "abandoned", "transferred", "error")

# What is repeated of each record, and in which figures.
BRIEF = (
    "id, call_start_time, call_end_time, call_result, called_number, calling_number, "
    "self_service_duration, queue_duration, transfer_count"
)


def call(number: int, start: int = 0, length: int = 1000, **rest: Any) -> CdrRecord:
    values = {"calling_number": "1", "called_number": "7000", "call_server_hostname": "cs"} | rest
    return CdrRecord(f"{number:032X}", START + start, START + start + length, **values)


def calls(count: int, seed: int = 1) -> list[CdrRecord]:
    random = Random(seed)
    return [
        call(
            number,
            random.randrange(5 * QUARTER),
            random.choice((0, 1000, QUARTER)),
            calling_number=random.choice("123"),
            called_number=random.choice("45"),
            call_result=random.choice(RESULTS),
            self_service_duration=random.choice((0, 500)),
            queue_duration=random.choice((0, 700)),
            transfer_count=random.choice((0, 1, 2)),
        )
        for number in range(count)
    ]


def check_whole(connection: sqlite3.Connection) -> int:
    """All records are entered, and counted once; how many there are."""
    columns = connection.execute(f"SELECT {BRIEF} FROM cdr ORDER BY id").fetchall()
    assert connection.execute(f"SELECT {BRIEF} FROM cdr_brief ORDER BY id").fetchall() == columns
    figures = f"SELECT start, {', '.join(FIGURES)} FROM cdr_quarter ORDER BY start"
    ends = "SELECT first_end, last_end FROM cdr_quarter ORDER BY start"
    kept, bounds = connection.execute(figures).fetchall(), connection.execute(ends).fetchall()
    connection.execute("SAVEPOINT again")
    connection.execute("DELETE FROM cdr_quarter")
    connection.execute(cdr_schema._COUNT_BEHIND, (-1,))
    assert connection.execute(figures).fetchall() == kept
    for (first, last), (low, high) in zip(connection.execute(ends), bounds, strict=True):
        assert low <= first <= last <= high, "of those that were deleted, too"
    connection.execute("ROLLBACK TO again")
    connection.execute("RELEASE again")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return len(columns)


def stored_in(store: SqliteCdrStore, records: Sequence[CdrRecord]) -> None:
    """Submit, and wait until all are on disk."""
    stored = threading.Semaphore(0)
    for record in records:
        store.submit(to_row(record), stored.release)
    for _ in records:
        assert stored.acquire(timeout=WAIT)


def told(callables: list[Callable[[], None]]) -> None:
    for done in callables:
        done()


# -- entering ------------------------------------------------------------------------------


def test_a_report_has_what_was_stored_before_it(tmp_path: Path) -> None:
    """However few that are, and by whichever way it is asked for."""
    with SqliteCdrStore(tmp_path / "cdr.sqlite", told, gather=0) as store:
        for number in range(6):
            stored_in(store, [call(number, number)])
            assert store._unentered == 1, "one more"
            if number % 2:
                assert store.page(CdrFilter(called_number="7000")).total == number + 1
            else:
                (line,) = store.summary(CdrFilter(), HOUR)
                assert line.total == number + 1
            assert store._unentered == 0
        assert check_whole(store._writer_connection) == 6


def test_many_are_entered_without_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqliteCdrStore, "_ENTERED_AT", 10)
    entered: list[int] = []

    def counted(connection: sqlite3.Connection) -> None:
        catch_up(connection)
        entered.append(connection.execute("SELECT count(*) FROM cdr_brief").fetchone()[0])

    monkeypatch.setattr("simulator.cdr.catch_up", counted)
    with SqliteCdrStore(tmp_path / "cdr.sqlite", told, gather=0) as store:
        for record in calls(25):
            stored_in(store, [record])
    assert entered == [10, 20]
    with SqliteCdrStore(tmp_path / "cdr.sqlite", told) as store:
        assert check_whole(store._writer_connection) == 25, "opening enters the rest"
        assert entered == [10, 20]


def test_records_are_stored_where_they_cannot_be_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Reports say so rather than leave them out."""
    monkeypatch.setattr(SqliteCdrStore, "_ENTERED_AT", 5)
    broken = [True]
    tried = threading.Event()

    def sometimes(connection: sqlite3.Connection) -> None:
        if broken:
            if threading.current_thread().name == "cdr-writer":
                tried.set()
            raise sqlite3.OperationalError("database or disk is full")
        catch_up(connection)

    monkeypatch.setattr("simulator.cdr.catch_up", sometimes)
    with SqliteCdrStore(tmp_path / "cdr.sqlite", told, gather=0) as store:
        stored_in(store, calls(12))
        assert (store.healthy, store.count(), store.pending) == (True, 12, 0)
        with pytest.raises(CdrStoreError, match=r"cannot be read: .* is full"):
            store.page(CdrFilter())
        assert tried.wait(WAIT)
        broken.clear()
        assert store.page(CdrFilter()).total == 12
    assert "reports wait for new CDRs: database or disk is full" in caplog.text


def test_what_fails_to_be_entered_is_as_it_was() -> None:
    """The figures are in the same transaction."""
    table = table_of(calls(20))
    before = table.execute("SELECT count(*) FROM cdr_brief").fetchone()
    insert = f"INSERT INTO cdr ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    table.execute(insert, to_row(call(99)))
    table.execute("ALTER TABLE cdr_quarter RENAME TO hidden")
    with pytest.raises(sqlite3.OperationalError, match="cdr_quarter"):
        catch_up(table)
    assert not table.in_transaction
    assert table.execute("SELECT count(*) FROM cdr_brief").fetchone() == before
    table.execute("ALTER TABLE hidden RENAME TO cdr_quarter")
    catch_up(table)
    catch_up(table)
    assert check_whole(table) == 21


def test_what_is_deleted_or_changed_before_it_is_entered() -> None:
    """By hand: ids may come again then."""
    table = table_of(calls(20))
    insert = f"INSERT INTO cdr ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    new = [to_row(replace(one, call_guid=f"{n:032X}")) for n, one in enumerate(calls(9, 2), 100)]
    table.executemany(insert, new[:6])
    table.execute("DELETE FROM cdr WHERE id IN (3, 19, 20, 21, 26)")
    table.execute("UPDATE cdr SET called_number = '9', call_result = 'error' WHERE id IN (5, 22)")
    assert table.execute("SELECT max(id) FROM cdr_brief").fetchone() == (18,)
    table.executemany(insert, new[6:])
    catch_up(table)
    assert check_whole(table) == 24
    table.execute("DELETE FROM cdr WHERE id > 10")
    table.executemany(insert, new)
    catch_up(table)
    assert check_whole(table) == 18


WRITER = """
import sys
from itertools import count
from threading import Semaphore
from simulator.cdr import SqliteCdrStore
from simulator.cdr_records import CdrRecord, to_row

def told(callables):
    for done in callables:
        done()

SqliteCdrStore._ENTERED_AT = 40
stored, first = Semaphore(0), int(sys.argv[2])
with SqliteCdrStore(sys.argv[1], told, gather=0.001) as store:
    for number in count(first):
        start = number * 7919 % 4_500_000
        record = CdrRecord(f"{number:032X}", start, start + 1000, called_number=str(number % 3))
        store.submit(to_row(record), stored.release)
        if (number - first) % 15 == 14:
            for _ in range(15):
                stored.acquire()
            print(number, flush=True)
"""


def test_after_a_kill_reports_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "cdr.sqlite"
    stored = 0
    for run in range(3):
        first = run * 10**6
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(first)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            while (told_of := int(writer.stdout.readline()) - first) < 200 + 37 * run:
                pass
            os.kill(writer.pid, signal.SIGKILL)
        with SqliteCdrStore(path, told) as store:
            assert store.page(CdrFilter()).total == store.count()
            count = check_whole(store._writer_connection)
        assert count > stored + told_of, "whoever was told had his record"
        stored = count


# -- former versions -----------------------------------------------------------------------

# Of versions 1 and 2, and of those before them.
FORMER_INDEXES = """
CREATE UNIQUE INDEX cdr_guid ON cdr (call_guid, call_start_time);
CREATE INDEX cdr_start ON cdr (call_start_time);
CREATE INDEX cdr_end ON cdr (call_end_time);
CREATE INDEX cdr_called ON cdr (called_number);
CREATE INDEX cdr_calling ON cdr (calling_number);
"""

# Of versions 3 and 4; the triggers are cut short, as they are not to remain.
FIGURES_OF_4 = """
CREATE UNIQUE INDEX cdr_guid ON cdr (call_guid, call_start_time);
CREATE INDEX cdr_start ON cdr (call_start_time);
CREATE INDEX cdr_end ON cdr (call_end_time, call_start_time, call_result);
CREATE INDEX cdr_result ON cdr (call_result, call_start_time);
CREATE INDEX cdr_called ON cdr (called_number, call_start_time, call_end_time, call_result);
CREATE INDEX cdr_calling ON cdr (calling_number, call_start_time, call_end_time, call_result);
CREATE TABLE cdr_quarter (
    start INTEGER PRIMARY KEY, total INTEGER NOT NULL, completed INTEGER NOT NULL,
    abandoned INTEGER NOT NULL, transferred INTEGER NOT NULL, error INTEGER NOT NULL,
    duration INTEGER NOT NULL, self_service_duration INTEGER NOT NULL,
    queue_duration INTEGER NOT NULL, self_service INTEGER NOT NULL, self_served INTEGER NOT NULL,
    first_end INTEGER NOT NULL, last_end INTEGER NOT NULL
);
INSERT INTO cdr_quarter VALUES (0, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
CREATE TRIGGER cdr_uncounted AFTER DELETE ON cdr
BEGIN UPDATE cdr_quarter SET total = total - 1; END;
CREATE TRIGGER cdr_recounted AFTER UPDATE OF call_start_time ON cdr
BEGIN UPDATE cdr_quarter SET total = total - 1; END;
"""


def made(version: int) -> str:
    return f"CREATE TABLE schema_version (version); INSERT INTO schema_version VALUES ({version}); "


@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_file_of_the_version_before_goes_on(tmp_path: Path, version: int) -> None:
    path = tmp_path / "cdr.sqlite"
    records = calls(60)
    rows: list[Row] = [to_row(record) for record in records]
    old = sqlite3.connect(path)
    old.executescript(f"{made(version)} {cdr_schema.TABLE};")
    old.executescript(FORMER_INDEXES if version == 2 else FIGURES_OF_4)
    marks = ", ".join("?" * len(COLUMNS))
    old.executemany(f"INSERT INTO cdr ({', '.join(COLUMNS)}) VALUES ({marks})", rows)
    old.commit()
    old.close()
    expected = RecordsInMemory(records)
    wanted = CdrFilter(called_number="4", sort_by="callingNumber", limit=1000)
    for _ in range(2):  # and once it is of this version, it is left as it is
        with SqliteCdrStore(path, told) as store:
            assert check_whole(store._writer_connection) == 60
            assert store.page(wanted) == expected.page(wanted)
            assert store.summary(CdrFilter(), QUARTER) == expected.summary(CdrFilter(), QUARTER)
            assert schema_of(store._writer_connection) == schema_of(expected.table())
    with SqliteCdrStore(path, told) as store:
        store._writer_connection.execute("DELETE FROM cdr WHERE id > 30")
        store.submit(to_row(call(1000)))
    with SqliteCdrStore(path, told) as store:
        assert check_whole(store._writer_connection) == 31


def schema_of(connection: sqlite3.Connection) -> dict[str, str]:
    """Indexes and triggers, and their tables."""
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE name LIKE 'cdr_%'")
    return dict(found.fetchall())


def test_a_file_of_the_first_version_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "cdr.sqlite"
    former = [name for name in COLUMNS if name != "marks"]
    table = cdr_schema.TABLE.replace(",\n    marks", "").replace(", marks", "")
    assert "marks" not in table
    old = sqlite3.connect(path)
    old.executescript(f"{made(1)} {table}; {FORMER_INDEXES}")
    leg = '["1-2","inbound",5,9,"sip:a@b","sip:c@d","host",200]'
    values: dict[str, Any] = dict.fromkeys(former, 0) | {
        "call_guid": GUID,
        "call_result": "completed",
    }
    values |= {"call_start_time": 5, "call_end_time": 9, "ecc_variables": None, "legs": f"[{leg}]"}
    values |= {"icm_call_key": ""}
    marks = ", ".join("?" * len(former))
    old.execute(
        f"INSERT INTO cdr ({', '.join(former)}) VALUES ({marks})", [values[k] for k in former]
    )
    old.commit()
    old.close()
    for _ in range(2):  # and once it is of this version, it is left as it is
        with SqliteCdrStore(path, lambda done: None) as store:
            record = store.get(GUID)
            assert record is not None
            assert (record.call_start_time, record.marks) == (5, [])
            (only,) = record.legs
            assert (only.sip_response_code, only.answer_time, only.kind) == (200, None, "")
            assert [event.event_type_id for event in record.events] == [0, 6]
    with SqliteCdrStore(path, lambda done: None) as store:
        store.submit(to_row(call(2)))
    with SqliteCdrStore(path, lambda done: None) as store:
        assert store.page(CdrFilter()).total == 2
        assert store._read("SELECT version FROM schema_version") == [(cdr_schema.SCHEMA_VERSION,)]
        indexes = store._read("SELECT name, sql FROM sqlite_master WHERE type = 'index'")
        assert dict(indexes) == dict(cdr_schema.INDEXES)
        assert [line.total for line in store.summary(CdrFilter(), HOUR)] == [1, 1]
