"""What a store of call detail records is, wherever it keeps them: a thread that writes in groups.

What a commit costs is mostly the same for one call and for fifty, so one does not begin right
after another. While the store fails, records wait and are tried again.
"""

import logging
import threading
import time
from abc import ABC, abstractmethod
from queue import Empty, SimpleQueue
from typing import ClassVar, Self, TypeAlias

from simulator.backlog import STORE, Backlog, Done, Notify, Waiting
from simulator.cdr_csv import CsvPiece
from simulator.cdr_queries import ALL, ApplicationLine, CdrFilter, CdrPage, ServerLine, SummaryLine
from simulator.cdr_records import CdrRecord, CdrStoreError, LegRecord, Row, from_row, repaired
from simulator.errors import ReportTooLong
from simulator.journal import Journal

_Group: TypeAlias = list[Waiting]

_log = logging.getLogger(__name__)


class CdrStore(ABC):
    """Keeps records; one thread writes them, any may read.

    `submit` hands a record over and returns at once. The writer commits all that has come (it
    is on disk when the commit returns) and gives the `done` callables of the group to `notify`,
    in its own thread. While a commit fails, or takes long, records wait in `journal` and are
    tried again; `healthy` is False. What a former run left in the journal is stored first.

    `gather` is the shortest time from one commit to the next, in seconds: a lone record is
    stored at once, and under load those that come meanwhile make a group.
    """

    _LONGEST_BACKOFF = 2.0
    _PIECE = 1024  # records of a transaction at most: many may wait once it has failed
    _LONGEST_REPORT = 5.0  # seconds: the others wait meanwhile

    _OWN_FAULTS: ClassVar[tuple[type[Exception], ...]]
    """What a commit raises for no fault of the records in it."""

    _PEERS_FAULTS: ClassVar[tuple[type[Exception], ...]]
    """What it raises for what a peer has sent, and that `_repaired` mends."""

    _PARAMETER: ClassVar[str]
    """Where a parameter stands in a query."""

    def __init__(self, name: str, notify: Notify, journal: Journal | None, gather: float) -> None:
        self.name = name
        """What it is called in texts."""
        self.gather = gather
        self.backlog = Backlog(notify, journal)
        self.begun = self.backlog.begun
        self.malformed = 0
        """Records that could not be stored whatever was mended, and are lost."""
        self._incoming: SimpleQueue[Waiting | None] = SimpleQueue()
        self._submitted = 0
        self._stored = 0
        self._kept = 0  # in the journal, at the end
        self._ready = True  # False: the writer is to open the store, once it can be
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._write_all, name="cdr-writer", daemon=True)

    def _start(self) -> None:
        """From now on records are stored; called once by who is ready for that."""
        for one in self.backlog.left():
            self._submitted += 1
            self._incoming.put(one)
        self._writer.start()
        self.backlog.start()

    # -- what kinds of stores differ in -----------------------------------------------------

    @abstractmethod
    def _commit(self, rows: list[Row]) -> None:
        """Store all rows or none, those that are there already but once."""

    @abstractmethod
    def _close_writer(self) -> None:
        """The writer ends: what it alone uses is closed, in its thread."""

    @abstractmethod
    def _close_readers(self, timeout: float) -> None:
        """Close what reads, and end further threads within so many seconds."""

    def _repaired(self, row: Row) -> Row:
        """`row` as it can be stored. Raises what it likes where that cannot be."""
        return repaired(row)

    def _between_commits(self) -> None:  # noqa: B027  # most have nothing to do
        """A commit has succeeded, and the next has not begun."""

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
    def journaled(self) -> int:
        """How many of them are in the journal."""
        return self.backlog.journaled

    @property
    def full(self) -> bool:
        """Whether records wait in memory alone: there should be no new calls."""
        return self.backlog.full

    def _write_all(self) -> None:
        """The writer thread: until the end mark and all that came before it."""
        open_ended = self._ready or self._store([], True)
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
        self._close_writer()

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
                if isinstance(error, self._PEERS_FAULTS) and not mended:
                    mended = True  # a peer's octets, no fault of the store: at once, unnoticed
                    self._mend_piece(group)
                    continue
                self._failed(error)
                if not isinstance(error, self._OWN_FAULTS):
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
                one.row = self._repaired(one.row)
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

    def _failed(self, error: Exception) -> None:
        self.backlog.report(STORE, f"{self.name}: {one_line(error)}")

    def _succeeded(self, group: _Group) -> None:
        self._stored += len(group)
        self.backlog.stored(group)
        self._between_commits()

    # -- reading: from any thread, each may take long -----------------------------------------

    @abstractmethod
    def _read(self, query: str, *parameters: object) -> list[Row]:
        """The rows of a short query, `_PARAMETER` for each parameter. Raises `CdrStoreError`."""

    def get(self, guid: str) -> CdrRecord | None:
        """The record of a call, the last one if the GUID came more than once."""
        query = (
            f"SELECT {ALL} FROM cdr WHERE call_guid = {self._PARAMETER} "
            "ORDER BY call_start_time DESC LIMIT 1"
        )
        rows = self._read(query, guid)
        return from_row(rows[0]) if rows else None

    def legs(self, guid: str) -> list[LegRecord]:
        """The legs of a call in the order they were given; none for an unknown call."""
        record = self.get(guid)
        return record.legs if record else []

    def recent(self, limit: int = 100) -> list[CdrRecord]:
        """The records stored last, newest first."""
        query = f"SELECT {ALL} FROM cdr ORDER BY id DESC LIMIT {self._PARAMETER}"
        return [from_row(row) for row in self._read(query, max(0, limit))]

    def count(self) -> int:
        """How many records there are (walks an index: not for every request)."""
        return int(self._read("SELECT count(*) FROM cdr")[0][0])

    def newest(self) -> int:
        """The id of the record stored last, 0 without one; ids rise, and records stay."""
        return int(self._read("SELECT coalesce(max(id), 0) FROM cdr")[0][0])

    def ping(self) -> float:
        """Seconds that a trivial read took; raises `CdrStoreError` when it fails.

        Whether records can be written is `healthy`.
        """
        begin = time.perf_counter()
        self._read("SELECT 1 FROM cdr LIMIT 1")
        return time.perf_counter() - begin

    # Each of these raises ReportTooLong after `_LONGEST_REPORT`.

    @abstractmethod
    def page(self, wanted: CdrFilter) -> CdrPage:
        """How many records match, and those of one page. Raises CursorUnknown."""

    @abstractmethod
    def csv(self, wanted: CdrFilter) -> CsvPiece:
        """The records of one page as lines of CSV. Raises CursorUnknown."""

    @abstractmethod
    def summary(self, wanted: CdrFilter, interval: int) -> list[SummaryLine]:
        """Figures of the calls that match, by intervals of so many milliseconds."""

    @abstractmethod
    def applications(self, wanted: CdrFilter, name: str | None) -> list[ApplicationLine]:
        """Figures by application."""

    @abstractmethod
    def servers(self, start: int, end: int) -> list[ServerLine]:
        """Figures by call server and by VXML server."""

    def _too_long(self) -> ReportTooLong:
        return ReportTooLong(
            f"the report was given up after {self._LONGEST_REPORT:g} s; ask for a shorter "
            "range by startTime and endTime, or for records by callStartTime (sortBy)"
        )

    def _unreadable(self, error: Exception) -> CdrStoreError:
        return CdrStoreError(f"the CDR store {self.name!r} cannot be read: {one_line(error)}")

    # -- the end -------------------------------------------------------------------------------

    def close(self, timeout: float = 5.0) -> int:
        """Store all that waits, end the threads, close the files; how many records are lost.

        `timeout` is in seconds. Lost are those that are malformed, and where the store fails to
        the end those that the journal has not. Nothing may be submitted afterwards.
        """
        if not self._closing.is_set():
            self._closing.set()
            self._incoming.put(None)
            self._writer.join(timeout)
            reason = self.backlog.reason
            self._kept = self.backlog.close(timeout)
            if self.pending:
                text = "%d CDRs could not be stored (%d wait in the journal): %s"
                _log.error(text, self.pending, self._kept, reason)
            self._close_readers(timeout)
        return self.pending - self._kept + self.malformed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def one_line(error: Exception) -> str:
    """The text of an error, without its line ends."""
    return " ".join(str(error).split())
