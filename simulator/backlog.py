"""Records on their way to disk: those that the store does not take in time go to the journal.

Whoever waits for a record is told when it is in one or the other. Where it can be in neither,
it waits in memory, and nobody is told.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, TypeAlias

from simulator.cdr_records import Row
from simulator.journal import NEVER, Journal

Done: TypeAlias = Callable[[], None]
Notify: TypeAlias = Callable[[list[Done]], None]

PATIENCE: Final = 0.2
"""Seconds that a record waits for the store at most."""

LOOK: Final = 0.05
"""Seconds from one look at those that wait to the next."""

CALM: Final = 10.0
"""Seconds without a late record, after which the store is in time again: not with each one."""

HUNG: Final = 2.0
"""Seconds in which the disk has not kept the journal, after which it is taken for hung."""

RETRY: Final = 1.0
"""Seconds until the disk is asked again for what it has refused."""

_log = logging.getLogger(__name__)

# What may be wrong, how bad that is, and the words for it.
STORE: Final = "store"
LATE: Final = "late"
FULL: Final = "full"
JOURNAL: Final = "journal"
SLOTS: Final = "slots"
_NEWS: Final = {
    STORE: (logging.ERROR, "CDRs cannot be stored, and wait"),
    LATE: (logging.WARNING, "CDRs wait in the journal"),
    FULL: (logging.CRITICAL, "CDRs wait in memory alone"),
    JOURNAL: (logging.CRITICAL, "CDRs wait in memory alone"),
    SLOTS: (logging.ERROR, "calls are not noted, and would have no CDR after a crash"),
}


class Waiting:
    """A record that is not in the store yet; `place` is where the journal has it, -1: nowhere."""

    __slots__ = ("at", "done", "place", "row", "stored")

    def __init__(self, row: Row, done: Done | None, at: float) -> None:
        self.row = row
        self.done = done
        self.at = at  # when it came
        self.place = -1
        self.stored = False


class Backlog:
    """The records that wait, and what is wrong with the store and with `journal`.

    `notify` gets what is to be called because records are safe. `watch` is told, by the same
    way, why records cannot be stored, and with an empty reason that they can be again. A
    thread, from `start` on, brings records to the journal; without one they wait. After `calm`
    seconds without a late record all is well again; a disk that has not answered for `hung`
    seconds is taken for hung.
    """

    def __init__(self, notify: Notify, journal: Journal | None) -> None:
        self.watch: Callable[[str], None] | None = None
        self.calm = CALM
        self.hung = HUNG
        self._full = False
        self._asked = 0.0  # since when the journal is at work, 0: it is not
        self._latest = 0.0  # when a record was late last
        self._notify = notify
        self._journal = journal
        self._fresh: deque[Waiting] = deque()  # those not in the journal; some are stored by now
        self._unsynced: list[Waiting] = []
        self._sync_failed = False
        self._sync_at = 0.0  # not to be tried before
        self._grow_at = 0.0
        self._lock = threading.Lock()  # of the places in the ring, and who is told
        self._troubles: dict[str, str] = {}
        self._news = threading.Lock()
        self._busy = threading.Event()
        self._closing = threading.Event()
        self._keeper: threading.Thread | None = None

    def start(self) -> None:
        """From now on records go to the journal when it is time, if there is one."""
        if self._journal is not None:
            self._busy.set()  # of a former run there may be some
            self._keeper = threading.Thread(target=self._run, name="cdr-journal", daemon=True)
            self._keeper.start()

    # Records.

    @property
    def full(self) -> bool:
        """Whether records wait in memory alone, so that there should not be more: the journal has
        no room, or the disk does not answer, and the store has not got them meanwhile."""
        asked = self._asked
        if self._full or asked == 0.0 or time.monotonic() - asked <= self.hung:
            return self._full
        return any([not one.stored for one in (*tuple(self._unsynced), *tuple(self._fresh))])

    @property
    def journaled(self) -> int:
        """How many records are in the journal."""
        return 0 if self._journal is None else self._journal.waiting

    def left(self) -> list[Waiting]:
        """The records that a former run left in the journal."""
        found = []
        for place, row in self._journal.rows if self._journal is not None else ():
            one = Waiting(row, None, 0.0)
            one.place = place
            found.append(one)
        return found

    def begun(self, guid: str, start: int, calling: str, called: str, call_id: str) -> None:
        """A call has begun, at `start` in milliseconds since the epoch."""
        journal = self._journal
        if journal is not None and not journal.begin(guid, start, calling, called, call_id):
            self._busy.set()

    def add(self, row: Row, done: Done | None) -> Waiting:
        """A record is given to the store; `done` is called once it is on disk."""
        one = Waiting(row, done, time.monotonic())
        if self._journal is not None:
            self._fresh.append(one)
            if not self._busy.is_set():  # looked at after the record is there, cleared before
                self._busy.set()
        return one

    def stored(self, group: Iterable[Waiting]) -> None:
        """The store has these; whoever waits for them is told."""
        told: list[Done] = []
        with self._lock:
            journal = self._journal
            for one in group:
                self._release(one, told)
                if journal is not None:
                    journal.end(one.row[0], one.row[1])
        self.report(STORE, "")
        self._tell(told)

    def dropped(self, one: Waiting) -> None:
        """This is no record, and lost; whoever waits for it is told, as no other comes.

        Its call stays noted, to have one at the next start.
        """
        told: list[Done] = []
        with self._lock:
            self._release(one, told)
        self._tell(told)

    def _release(self, one: Waiting, told: list[Done]) -> None:
        one.stored = True
        if one.done is not None:
            told.append(one.done)
            one.done = None
        if one.place >= 0 and self._journal is not None:
            self._journal.remove(one.place)
            one.place = -1

    def close(self, timeout: float = 5.0) -> int:
        """All that can still be brought to the journal is; how many records wait in it.

        `timeout` in seconds is for what is under way. Nothing may be added afterwards.
        """
        journal = self._journal
        if self._closing.is_set() or journal is None:
            return 0
        self._closing.set()
        self._busy.set()
        if self._keeper is not None:
            self._keeper.join(timeout)
            if self._keeper.is_alive():  # the disk does not answer
                return journal.waiting - len(self._unsynced)
        self._sync_at = 0.0
        self.look(float("inf"))
        kept = journal.waiting - len(self._unsynced)
        with self._lock:
            journal.close()
            self._journal = None  # a writer that was not waited for may still be at work
        return kept

    # The thread of the journal.

    def _run(self) -> None:
        while True:
            self._busy.wait()
            self._busy.clear()
            while not self._closing.is_set():
                try:
                    self.look(time.monotonic() - PATIENCE + LOOK)
                except Exception:
                    _log.exception("the journal of CDRs could not be looked after")
                if not self._at_work:
                    break
                self._closing.wait(LOOK)
            if self._closing.is_set():
                return

    @property
    def _at_work(self) -> bool:
        """Whether there may be something to do soon: while one waits, others do."""
        journal = self._journal
        assert journal is not None
        waiting = self._fresh or self._unsynced or journal.waiting
        return bool(waiting or journal.short or self._troubles)

    def look(self, latest: float) -> None:
        """Bring the records that came at `latest` or before to the journal, and say so."""
        journal = self._journal
        if journal is None:
            return
        self._asked = time.monotonic()
        try:
            self._look(journal, latest)
        finally:
            self._asked = 0.0

    def _look(self, journal: Journal, latest: float) -> None:
        fresh = self._fresh
        if journal.short:
            self._grow(journal)
        else:
            self._noted(journal)
        while fresh and (fresh[0].stored or fresh[0].at <= latest) and self._keep(fresh[0]):
            fresh.popleft()
        if self._unsynced:
            self._sync(journal)
        if not journal.waiting:
            self.report(FULL, "")
            if time.monotonic() - self._latest >= self.calm:
                self.report(LATE, "")

    def _keep(self, one: Waiting) -> bool:
        """Whether a record is in the ring now, or in the store, or can be in no ring."""
        journal = self._journal
        assert journal is not None
        if one.stored:
            return True
        with self._lock:
            if one.stored:  # meanwhile
                return True
            place = journal.put(one.row)
            one.place = max(place, -1)
        if place == NEVER:
            text = "a CDR is larger than %s, and waits in memory alone: %s"
            _log.critical(text, journal.path, one.row[0])
            return True
        if place < 0:
            self.report(FULL, f"{journal.path} is full")
            return False
        self._unsynced.append(one)
        self._latest = time.monotonic()
        self.report(FULL, "")
        if STORE not in self._troubles:  # that is reason enough
            self.report(LATE, f"a commit takes longer than {PATIENCE:g} s")
        return True

    def _sync(self, journal: Journal) -> None:
        if time.monotonic() < self._sync_at:
            return
        if self._sync_failed:
            with self._lock:
                journal.renew([one.place for one in self._unsynced if one.place >= 0])
        try:
            journal.sync()
        except OSError as error:
            self._sync_failed = True
            self._sync_at = time.monotonic() + RETRY
            self.report(JOURNAL, f"{journal.path}: {error.strerror or error}")
            return
        self._sync_failed = False
        self.report(JOURNAL, "")
        told: list[Done] = []
        with self._lock:
            for one in self._unsynced:
                if one.done is not None:
                    told.append(one.done)
                    one.done = None
        self._unsynced.clear()
        self._tell(told)

    def _grow(self, journal: Journal) -> None:
        if time.monotonic() < self._grow_at:
            return
        try:
            journal.grow()
        except (OSError, ValueError) as error:
            self._grow_at = time.monotonic() + RETRY
            self.report(SLOTS, f"{journal.path}: {error}")
        else:
            self._noted(journal)

    def _noted(self, journal: Journal) -> None:
        """There are slots for the calls to come."""
        if journal.unnoted:
            _log.warning("%d calls were not noted, for want of slots", journal.unnoted)
            journal.unnoted = 0
        self.report(SLOTS, "")

    # What is wrong.

    @property
    def reason(self) -> str:
        """Why all is not well; empty while it is."""
        return "; ".join(list(self._troubles.values()))

    def report(self, what: str, reason: str) -> None:
        """Say, from any thread, that one thing is wrong and why, or with "" that it is well."""
        if self._troubles.get(what, "") == reason:
            return
        with self._news:
            before = self.reason
            if reason:
                self._troubles[what] = reason
                if what == STORE:
                    self._troubles.pop(LATE, None)
            else:
                self._troubles.pop(what, None)
            after = self.reason
            now = self._troubles
            self._full = FULL in now or (STORE in now and JOURNAL in now)
        if reason:
            level, words = _NEWS[what]
            _log.log(level, "%s: %s", words, reason)
        if before and not after:
            _log.warning("CDRs are stored again")
        if bool(before) != bool(after) and self.watch is not None:
            self._tell([partial(self.watch, after)])

    def _tell(self, told: list[Done]) -> None:
        if told:
            try:
                self._notify(told)
            except Exception:  # such as a loop that is closed already
                _log.exception("nobody could be told that CDRs are stored")
