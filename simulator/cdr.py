"""The store of call detail records: SQLite, written in groups by a thread of its own.

Legs lie in the row of their call as JSON: they are read only with it, so they need no table
of their own, and one statement stores a whole group of calls. What a commit costs is mostly
the same for one call and for fifty, so one does not begin right after another. GUIDs that
rise with time, pages of 2 KiB, and no index without a query keep what is written small.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias, TypeVar

from simulator.backlog import STORE, Backlog, Done, Notify, Waiting
from simulator.cdr_csv import CsvPiece, csv_piece
from simulator.cdr_pages import page
from simulator.cdr_queries import (
    ALL,
    ApplicationLine,
    CdrFilter,
    CdrPage,
    ServerLine,
    SummaryLine,
    applications,
    servers,
    summary,
)
from simulator.cdr_records import (
    COLUMNS,
    CallResult,
    CdrRecord,
    CdrStoreError,
    LegRecord,
    LegType,
    Row,
    from_row,
    repaired,
)
from simulator.cdr_schema import COUNT_BEHIND, prepare
from simulator.errors import ReportTooLong
from simulator.journal import Journal

__all__ = ["CallResult", "CdrRecord", "CdrStoreError", "LegRecord", "LegType", "SqliteCdrStore"]

_Group: TypeAlias = list[Waiting]
_T = TypeVar("_T")

_log = logging.getLogger(__name__)

# A caller may bring the same GUID twice; the same GUID and start is the same record, so a
# group that is tried again after an unclear failure does not come out double.
_ROW: Final = f"({', '.join('?' * (len(COLUMNS)))})"
_INSERT: Final = {
    size: f"INSERT INTO cdr ({ALL}) VALUES {', '.join([_ROW] * size)} "
    "ON CONFLICT (call_guid, call_start_time) DO NOTHING"
    for size in (1, 2, 4, 8, 16, 32, 64)
}
_SIZES: Final = tuple(sorted(_INSERT, reverse=True))

_STEPS: Final = 100_000
"""Of SQLite's machine, some 5 ms, from one look at the clock to the next: each waits for the
interpreter, which the calls need.
"""


@contextmanager
def _snapshot(connection: sqlite3.Connection, longest: float) -> Iterator[sqlite3.Connection]:
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


class SqliteCdrStore:
    """Keeps records in one SQLite file; one thread writes, another one tidies the log.

    `submit` hands a record over and returns at once. The writer commits all that has come
    (write-ahead log, ``synchronous=FULL``: on disk when the commit returns) and gives the
    `done` callables of the group to `notify`, in its own thread. While a commit fails, or
    takes long, records wait in `journal` and are tried again; `healthy` is False. What a
    former run left in the journal is stored first.

    `gather` is the shortest time from one commit to the next, in seconds: a lone record is
    stored at once, and under load those that come meanwhile make a group.
    Raises `CdrStoreError` when the file cannot be opened.
    """

    _CHECKPOINT_EVERY = 0.25  # seconds between looks at the log while it grows
    _LONG_LOG = 16_384  # pages of 2 KiB: the log is then cut at the next commit
    _LONGEST_BACKOFF = 2.0
    _PIECE = 1024  # records of a transaction at most: many may wait once it has failed
    _LONGEST_REPORT = 5.0  # seconds: the others wait meanwhile

    def __init__(
        self,
        path: Path | str,
        notify: Notify,
        journal: Journal | None = None,
        *,
        gather: float = 0.032,
    ) -> None:
        self.path = Path(path)
        self.gather = gather
        self.backlog = Backlog(notify, journal)
        self.begun = self.backlog.begun
        self._incoming: SimpleQueue[Waiting | None] = SimpleQueue()
        self._submitted = 0
        self._stored = 0
        self.malformed = 0  # records that could not be stored whatever was mended, and are lost
        self._kept = 0  # in the journal, at the end
        self._closing = threading.Event()
        self._written = threading.Event()
        self._cut_log = False
        self._read_lock = threading.Lock()
        self._report_lock = threading.Lock()
        (
            self._writer_connection,
            self._reader_connection,
            self._tidy_connection,
            self._report_connection,
        ) = self._open()
        self._writer = threading.Thread(target=self._write_all, name="cdr-writer", daemon=True)
        self._tidier = threading.Thread(target=self._tidy, name="cdr-checkpoint", daemon=True)
        for one in self.backlog.left():
            self._submitted += 1
            self._incoming.put(one)
        self._writer.start()
        self._tidier.start()
        self.backlog.start()

    # -- opening ---------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=1.0, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA page_size=2048")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        return connection

    def _open(self) -> list[sqlite3.Connection]:
        """Four connections to a file with the present schema, the writer's first."""
        connections: list[sqlite3.Connection] = []
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connections += [self._connect() for _ in range(4)]
            connections[0].execute("PRAGMA journal_mode=WAL").fetchone()
            for connection in (connections[0], connections[3]):  # who writes, and who reports
                connection.execute("PRAGMA cache_size=-16384")  # KiB: the indexes are wide
            prepare(connections[0], str(self.path))
            for connection in connections:  # one that has read nothing has no log to tidy
                connection.execute("SELECT version FROM schema_version").fetchone()
        except (sqlite3.Error, OSError, CdrStoreError) as error:
            for connection in connections:
                connection.close()
            if isinstance(error, CdrStoreError):
                raise
            raise CdrStoreError(
                f"the CDR store {str(self.path)!r} cannot be opened: {error}; "
                "see cdr.url and server.data_dir"
            ) from error
        return connections

    # -- writing ---------------------------------------------------------------------------

    def submit(self, row: Row, done: Done | None = None) -> None:
        """Store a record soon; `done` is called through `notify` once it is on disk.

        Costs a queue entry; never raises for the store's troubles.
        """
        self._submitted += 1
        self._incoming.put(self.backlog.add(row, done))

    @property
    def healthy(self) -> bool:
        """Whether records can be stored, and in time; `backlog.reason` says why not."""
        return not self.backlog.reason

    @property
    def pending(self) -> int:
        """How many records were submitted and are not on disk yet."""
        return self._submitted - self._stored - self.malformed

    @property
    def full(self) -> bool:
        """Whether records wait in memory alone: there should be no new calls."""
        return self.backlog.full

    def _write_all(self) -> None:
        """The writer thread: until the end mark and all that came before it."""
        open_ended = True
        earliest = 0.0  # when the next commit may begin
        while open_ended:
            first = self._incoming.get()
            if first is None:
                break
            pause = earliest - time.monotonic()
            if pause > 0.0:
                self._closing.wait(pause)
            earliest = time.monotonic() + self.gather
            group = [first]
            open_ended = self._take_all(group)
            open_ended = self._store(group, open_ended)
        self._writer_connection.close()

    def _take_all(self, group: _Group) -> bool:
        """Move all that waits into `group`; False when the end mark was among it."""
        try:
            while (item := self._incoming.get_nowait()) is not None:
                group.append(item)
        except Empty:
            return True
        return False

    def _store(self, group: _Group, open_ended: bool) -> bool:
        """Commit `group` by pieces, trying again until it succeeds or the store closes."""
        backoff = 0.05
        mended = False
        while True:
            try:
                if not self._commit_piece(group):
                    return open_ended
                mended = False
            except Exception as error:
                if isinstance(error, UnicodeEncodeError) and not mended:
                    mended = True  # a peer's octets, no fault of the store: at once, unnoticed
                    self._mend_piece(group)
                    continue
                self._failed(error)
                if not isinstance(error, sqlite3.OperationalError):
                    self._mend_piece(group)
                if not open_ended or self._closing.wait(backoff):
                    return self._last_try(group)
                backoff = min(2 * backoff, self._LONGEST_BACKOFF)
                open_ended = self._take_all(group)

    def _commit_piece(self, group: _Group) -> bool:
        """Store the first of `group`; whether others are left in it."""
        piece = group[: self._PIECE]
        self._commit([one.row for one in piece])
        del group[: self._PIECE]
        self._succeeded(piece)
        return bool(group)

    def _mend_piece(self, group: _Group) -> None:
        """Make the first storable; what cannot be made so is lost, and logged whole."""
        for one in group[: self._PIECE]:
            try:
                one.row = repaired(one.row)
            except Exception:
                _log.exception("this CDR is malformed and lost: %r", one.row)
                group.remove(one)
                self.malformed += 1
                self.backlog.dropped(one)

    def _last_try(self, group: _Group) -> bool:
        """The store closes while it fails: once more, with all there is; then give up."""
        self._take_all(group)
        try:
            while self._commit_piece(group):
                pass
        except Exception as error:
            self._failed(error)
        return False

    def _commit(self, rows: list[Row]) -> None:
        connection = self._writer_connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            (last,) = connection.execute("SELECT ifnull(max(id), 0) FROM cdr").fetchone()
            start = 0
            for size in _SIZES:
                while len(rows) - start >= size:
                    values = [value for row in rows[start : start + size] for value in row]
                    connection.execute(_INSERT[size], values)
                    start += size
            connection.execute(COUNT_BEHIND, (last,))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._written.set()

    def _failed(self, error: Exception) -> None:
        self.backlog.report(STORE, f"{self.path}: {error}")

    def _succeeded(self, group: _Group) -> None:
        self._stored += len(group)
        self.backlog.stored(group)
        if self._cut_log:
            self._cut_log = False
            self._checkpoint(self._writer_connection)

    # -- the write-ahead log ---------------------------------------------------------------

    def _tidy(self) -> None:
        """The checkpoint thread: move the log into the file without holding up commits.

        A passive checkpoint never waits for the writer, so under steady load some pages
        are always left and the log cannot start over. Once it is long, the writer itself
        moves the last few between two commits.
        """
        connection = self._tidy_connection
        while not self._closing.wait(self._CHECKPOINT_EVERY):
            if self._written.is_set():
                self._written.clear()
                self._cut_log = self._checkpoint(connection) > self._LONG_LOG
        connection.close()

    def _checkpoint(self, connection: sqlite3.Connection) -> int:
        """Move what can be moved; how many pages the log has."""
        try:
            _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            _log.warning("the log of the CDR store could not be tidied: %s", error)
            return 0
        return int(pages)

    # -- reading ---------------------------------------------------------------------------

    def _read(self, query: str, parameters: Iterable[Any] = ()) -> list[Any]:
        try:
            with self._read_lock:
                return self._reader_connection.execute(query, tuple(parameters)).fetchall()
        except sqlite3.Error as error:
            raise CdrStoreError(f"the CDR store {str(self.path)!r} cannot be read: {error}") from (
                error
            )

    def get(self, guid: str) -> CdrRecord | None:
        """The record of a call, the last one if the GUID came more than once."""
        query = f"SELECT {ALL} FROM cdr WHERE call_guid = ? ORDER BY call_start_time DESC LIMIT 1"
        rows = self._read(query, (guid,))
        return from_row(rows[0]) if rows else None

    def legs(self, guid: str) -> list[LegRecord]:
        """The legs of a call in the order they were given; none for an unknown call."""
        record = self.get(guid)
        return record.legs if record else []

    def recent(self, limit: int = 100) -> list[CdrRecord]:
        """The records stored last, newest first."""
        rows = self._read(f"SELECT {ALL} FROM cdr ORDER BY id DESC LIMIT ?", (max(0, limit),))
        return [from_row(row) for row in rows]

    def count(self) -> int:
        """How many records there are (walks an index: not for every request)."""
        return int(self._read("SELECT count(*) FROM cdr")[0][0])

    # Reports may take long: they have a connection of their own, and wait for one another.
    # Each raises ReportTooLong after `_LONGEST_REPORT`.

    def page(self, wanted: CdrFilter) -> CdrPage:
        """How many records match, and those of one page. Raises CursorUnknown."""
        return self._report(lambda connection: page(connection, wanted))

    def csv(self, wanted: CdrFilter) -> CsvPiece:
        """The records of one page as lines of CSV. Raises CursorUnknown."""
        return self._report(lambda connection: csv_piece(connection, wanted))

    def newest(self) -> int:
        """The id of the record stored last, 0 without one; ids rise, and records stay."""
        (found,) = self._read("SELECT max(id) FROM cdr")
        return found[0] or 0

    def summary(self, wanted: CdrFilter, interval: int) -> list[SummaryLine]:
        """Figures of the calls that match, by intervals of so many milliseconds."""
        return self._report(lambda connection: summary(connection, wanted, interval))

    def applications(self, wanted: CdrFilter, name: str | None) -> list[ApplicationLine]:
        """Figures by application."""
        return self._report(lambda connection: applications(connection, wanted, name))

    def servers(self, start: int, end: int) -> list[ServerLine]:
        """Figures by call server and by VXML server."""
        return self._report(lambda connection: servers(connection, start, end))

    def _report(self, query: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            with (
                self._report_lock,
                _snapshot(self._report_connection, self._LONGEST_REPORT) as connection,
            ):
                return query(connection)
        except sqlite3.Error as error:
            if str(error) == "interrupted" and not self._closing.is_set():
                raise ReportTooLong(
                    f"the report was given up after {self._LONGEST_REPORT:g} s; ask for a shorter "
                    "range by startTime and endTime, or for records by callStartTime (sortBy)"
                ) from error
            raise CdrStoreError(f"the CDR store {str(self.path)!r} cannot be read: {error}") from (
                error
            )

    def ping(self) -> float:
        """Seconds that a trivial read took; raises `CdrStoreError` when it fails.

        Whether records can be written is `healthy`.
        """
        begin = time.perf_counter()
        self._read("SELECT version FROM schema_version")
        return time.perf_counter() - begin

    def close(self, timeout: float = 5.0) -> int:
        """Store all that waits, end the threads, close the files; how many records are lost.

        `timeout` is in seconds. Lost are those that are malformed, and where the store fails to
        the end those that the journal has not. Nothing may be submitted afterwards.
        """
        if not self._closing.is_set():
            self._closing.set()
            self._incoming.put(None)
            self._writer.join(timeout)
            self._tidier.join(timeout)
            reason = self.backlog.reason
            self._kept = self.backlog.close(timeout)
            if self.pending:
                text = "%d CDRs could not be stored (%d wait in the journal): %s"
                _log.error(text, self.pending, self._kept, reason)
            with self._read_lock:
                self._reader_connection.close()
            if not self._report_lock.acquire(blocking=False):
                self._report_connection.interrupt()  # a report is not waited for
                self._report_lock.acquire()
                self._report_connection.execute("SELECT 1")  # closing is not to be interrupted
            self._report_connection.close()
            self._report_lock.release()
        return self.pending - self._kept + self.malformed

    def __enter__(self) -> "SqliteCdrStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
