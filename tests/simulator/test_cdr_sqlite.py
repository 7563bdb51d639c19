"""What the store of records has of its own in SQLite: the file, its locks, its log."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.cdr import CdrStoreError, SqliteCdrStore
from simulator.cdr_records import Row, to_row
from tests.simulator.test_cdr import GUID, WAIT, Told, failing, record, row


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def store(tmp_path: Path, told: Told) -> Iterator[SqliteCdrStore]:
    with SqliteCdrStore(tmp_path / "data" / "cdr.sqlite", told.notify, gather=0) as opened:
        yield opened


def other_reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=0)


def large(start: int) -> Row:
    """A record that does not fit into the pages that a new file has."""
    one = record(start=start)
    one.ecc_variables = {"user.a": "x" * 5_000}
    return to_row(one)


def test_a_full_disk_delays_records_and_loses_none(
    store: SqliteCdrStore, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = failing(store, monkeypatch)
    monkeypatch.setattr(store, "_LONGEST_BACKOFF", 0.01)
    store._writer_connection.execute("PRAGMA max_page_count=1").fetchone()
    for n in range(200):
        store.submit(large(n), told.done)
    assert failed.wait(WAIT)
    assert not store.healthy
    assert "full" in store.backlog.reason
    assert store.pending == 200
    assert told.groups == []
    store.submit(large(200), told.done)
    store._writer_connection.execute("PRAGMA max_page_count=1000000").fetchone()
    told.wait(201)
    assert (store.healthy, store.backlog.reason, store.pending) == (True, "", 0)
    assert [one.call_start_time for one in store.recent(300)] == list(range(200, -1, -1))


def test_a_locked_file_delays_records(
    store: SqliteCdrStore, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = failing(store, monkeypatch)
    store._writer_connection.execute("PRAGMA busy_timeout=0").fetchone()
    other = other_reader(store.path)
    other.execute("BEGIN IMMEDIATE")
    store.submit(row(), told.done)
    assert failed.wait(WAIT)
    assert "locked" in store.backlog.reason
    assert store.get(GUID) is None  # readers go on
    other.execute("COMMIT")
    other.close()
    told.wait()
    assert store.healthy


def test_closing_while_the_store_fails_gives_up_in_time(
    store: SqliteCdrStore, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = failing(store, monkeypatch)
    store._writer_connection.execute("PRAGMA max_page_count=1").fetchone()
    for n in range(100):
        store.submit(large(n), told.done)
    assert failed.wait(WAIT)
    assert store.close() == 100
    assert told.groups == []


def test_closing_leaves_no_log(tmp_path: Path, told: Told) -> None:
    store = SqliteCdrStore(tmp_path / "cdr.sqlite", told.notify, gather=3600.0)
    for n in range(50):
        store.submit(row(start=n))
    assert store.close() == 0
    assert not (tmp_path / "cdr.sqlite-wal").exists()


def test_reading_a_broken_store_says_so(store: SqliteCdrStore) -> None:
    store._reader_connection.close()
    for read in (store.ping, store.count, lambda: store.get(GUID)):
        with pytest.raises(CdrStoreError, match="cannot be read"):
            read()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "cdr.sqlite"
    path.write_text("something else, and long enough to be looked at" * 100)
    with pytest.raises(CdrStoreError, match=r"cannot be opened: .*; see cdr.url"):
        SqliteCdrStore(path, told.notify)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, told: Told) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CdrStoreError, match="cannot be opened"):
        SqliteCdrStore(tmp_path / "file" / "cdr.sqlite", told.notify)


def test_a_later_schema_is_refused(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "cdr.sqlite"
    SqliteCdrStore(path, told.notify).close()
    other = other_reader(path)
    other.execute("UPDATE schema_version SET version = 99")
    other.close()
    with pytest.raises(CdrStoreError, match="has schema 99, this Callsim knows 5"):
        SqliteCdrStore(path, told.notify)


def test_the_store_is_durable_and_indexed(store: SqliteCdrStore, told: Told) -> None:
    writer = store._writer_connection
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert writer.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
    for connection in (writer, store._report_connection):
        assert connection.execute("PRAGMA cache_size").fetchone() == (-16384,)
    for table, column in (("cdr", "call_guid"), ("cdr_brief", "call_start_time")):
        query = f"EXPLAIN QUERY PLAN SELECT id FROM {table} WHERE {column} = 1"
        (plan,) = store._read(query)
        assert plan[3].startswith(f"SEARCH {table} USING COVERING INDEX")


def test_the_log_starts_over_under_steady_load(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteCdrStore, "_CHECKPOINT_EVERY", 0.001)
    monkeypatch.setattr(SqliteCdrStore, "_LONG_LOG", 50)
    cuts = threading.Semaphore(0)
    checkpoint = SqliteCdrStore._checkpoint

    def counted(store: SqliteCdrStore, connection: sqlite3.Connection) -> int:
        pages = checkpoint(store, connection)
        if connection is store._writer_connection and pages > 0:
            cuts.release()
        return pages

    monkeypatch.setattr(SqliteCdrStore, "_checkpoint", counted)
    with SqliteCdrStore(tmp_path / "cdr.sqlite", told.notify, gather=0) as store:
        start = 0
        for _ in range(5):
            while not cuts.acquire(blocking=False):
                assert start < 20_000, "the log was never cut"
                store.submit(row(start=start), told.done)
                told.wait()
                start += 1
        size = (tmp_path / "cdr.sqlite-wal").stat().st_size
        assert store.count() == start
    assert size < 20_000 * 2048
