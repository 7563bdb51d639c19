"""The store of call detail records in SQLite.

Legs lie in the row of their call as JSON: they are read only with it, so they need no table
of their own, and one statement stores a whole group of calls. GUIDs that rise with time and
pages of 2 KiB keep what is written small. What reports look for is entered behind the records
(`simulator.cdr_schema`): once many are there, or before a report.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from simulator.backlog import Notify
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
    snapshot,
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
)
from simulator.cdr_schema import catch_up, prepare
from simulator.cdr_store import CdrStore
from simulator.journal import Journal

__all__ = ["CallResult", "CdrRecord", "CdrStoreError", "LegRecord", "LegType", "SqliteCdrStore"]

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


class SqliteCdrStore(CdrStore):
    """Keeps records in one SQLite file; a second thread tidies its log.

    A commit is on disk when it returns: write-ahead log, ``synchronous=FULL``.
    Raises `CdrStoreError` when the file cannot be opened.
    """

    _CHECKPOINT_EVERY = 0.25  # seconds between looks at the log while it grows
    _LONG_LOG = 16_384  # pages of 2 KiB: the log is then cut at the next commit
    _ENTERED_AT = 512  # records that reports do not find yet: the writer is to pause briefly

    _OWN_FAULTS = (sqlite3.OperationalError,)
    _PEERS_FAULTS = (UnicodeEncodeError,)
    _PARAMETER = "?"

    def __init__(
        self,
        path: Path | str,
        notify: Notify,
        journal: Journal | None = None,
        *,
        gather: float = 0.032,
    ) -> None:
        super().__init__(str(path), notify, journal, gather)
        self.path = Path(path)
        self._written = threading.Event()
        self._cut_log = False
        self._unentered = 0
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._report_lock = threading.Lock()
        (
            self._writer_connection,
            self._reader_connection,
            self._tidy_connection,
            self._report_connection,
        ) = self._open()
        self._tidier = threading.Thread(target=self._tidy, name="cdr-checkpoint", daemon=True)
        self._start()
        self._tidier.start()

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

    def _commit(self, rows: list[Row]) -> None:
        connection = self._writer_connection
        with self._write_lock:
            connection.execute("BEGIN IMMEDIATE")
            try:
                start = 0
                for size in _SIZES:
                    while len(rows) - start >= size:
                        values = [value for row in rows[start : start + size] for value in row]
                        connection.execute(_INSERT[size], values)
                        start += size
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._unentered += len(rows)
        self._written.set()

    def _catch_up(self) -> None:
        """Reports find what was stored until now."""
        with self._write_lock:
            if self._unentered:
                catch_up(self._writer_connection)
                self._unentered = 0
                self._written.set()

    def _between_commits(self) -> None:
        if self._unentered >= self._ENTERED_AT:
            try:
                self._catch_up()
            except sqlite3.Error as error:  # the records are stored: a report tries again
                _log.warning("the CDR store %s: reports wait for new CDRs: %s", self.path, error)
        if self._cut_log:
            self._cut_log = False
            with self._write_lock:
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

    def _read(self, query: str, *parameters: object) -> list[Row]:
        try:
            with self._read_lock:
                return self._reader_connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    # Reports may take long: they have a connection of their own, and wait for one another.
    # Each raises ReportTooLong after `_LONGEST_REPORT`.

    def page(self, wanted: CdrFilter) -> CdrPage:
        """How many records match, and those of one page. Raises CursorUnknown."""
        return self._report(lambda connection: page(connection, wanted))

    def csv(self, wanted: CdrFilter) -> CsvPiece:
        """The records of one page as lines of CSV. Raises CursorUnknown."""
        return self._report(lambda connection: csv_piece(connection, wanted))

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
            with self._report_lock:
                self._catch_up()
                with snapshot(self._report_connection, self._LONGEST_REPORT) as connection:
                    return query(connection)
        except sqlite3.Error as error:
            if str(error) == "interrupted" and not self._closing.is_set():
                raise self._too_long() from error
            raise self._unreadable(error) from error

    # -- the end ---------------------------------------------------------------------------

    def _close_writer(self) -> None:
        with self._write_lock:
            self._writer_connection.close()

    def _close_readers(self, timeout: float) -> None:
        self._tidier.join(timeout)
        with self._read_lock:
            self._reader_connection.close()
        if not self._report_lock.acquire(blocking=False):
            self._report_connection.interrupt()  # a report is not waited for
            self._report_lock.acquire()
            self._report_connection.execute("SELECT 1")  # closing is not to be interrupted
        self._report_connection.close()
        self._report_lock.release()
