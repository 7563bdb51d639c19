"""Records on their way: who is told when, and that no crash loses or doubles one."""

import errno
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import backlog as module
from simulator.backlog import PATIENCE, Backlog, Done, Waiting
from simulator.cdr import SqliteCdrStore
from simulator.cdr_records import CdrRecord, Row, to_row
from simulator.config import Config
from simulator.journal import BLOCK, CUT_OFF, FILE, Journal
from simulator.service import open_store, tell
from tests.support.stores import Place

GUID = "F13437331000013A5FCA33210A4244A9"
START = 1_700_000_000_000
RING = 8 * BLOCK
WAIT = 10.0  # seconds; only what is broken makes a test wait so long
ALL = float("inf")


def row(number: int = 0) -> Row:
    return to_row(CdrRecord(GUID, START + number, START + number + 1))


def run(told: list[Done]) -> None:
    for done in told:
        done()


# -- the promise ---------------------------------------------------------------------------


class Machine:
    """A server as far as its records go: the store is a table, a crash a copy of the journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.starts = 0
        self.begun = 0
        self.table: dict[tuple[str, int], Row] = {}
        self.up: list[int] = []
        self.told: set[int] = set()
        self.journal: Journal
        self.start()

    def start(self) -> None:
        self.starts += 1
        here = self.folder / f"{self.starts}"
        here.mkdir()
        if self.starts > 1:
            shutil.copyfile(self.folder / f"{self.starts - 1}" / FILE, here / FILE)
            self.journal.close()
        self.journal = Journal(here / FILE, RING)
        self.backlog = Backlog(run, self.journal)
        self.queue: list[Waiting] = self.backlog.left()
        self.queue += [self.backlog.add(one.row("lab"), None) for one in self.journal.calls]
        self.up.clear()

    def begin(self) -> None:
        self.backlog.begun(GUID, START + self.begun, "1", "2", "3")
        self.up.append(self.begun)
        self.begun += 1

    def end(self, which: int) -> None:
        if self.up:
            number = self.up.pop(which % len(self.up))
            self.queue.append(self.backlog.add(row(number), lambda: self.told.add(number)))

    def commit(self, *, and_say: bool) -> None:
        """The store takes all; without `and_say` the server ends in that moment."""
        for one in self.queue:
            self.table.setdefault((one.row[0], one.row[1]), one.row)  # on conflict do nothing
        if and_say:
            self.backlog.stored(self.queue)
            self.queue = []
        else:
            self.start()

    def look(self) -> None:
        self.backlog.look(ALL)

    def judge(self) -> None:
        self.start()
        self.commit(and_say=True)
        assert set(self.table) == {(GUID, START + number) for number in range(self.begun)}
        for number in range(self.begun):
            found = self.table[GUID, START + number]
            cut_off = found[14] == CUT_OFF
            assert found == row(number) or (cut_off and number not in self.told)
        self.start()
        assert (self.journal.rows, self.journal.calls) == ([], [])
        self.journal.close()


@given(
    st.lists(
        st.one_of(
            st.just(Machine.begin),
            st.just(Machine.begin),
            st.integers(0, 9).map(lambda n: lambda machine: machine.end(n)),
            st.just(Machine.look),
            st.booleans().map(lambda say: lambda machine: machine.commit(and_say=say)),
            st.just(Machine.start),
        ),
        max_size=40,
    )
)
@settings(max_examples=50)
def test_no_crash_loses_or_doubles_a_record(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[Callable[[Machine], None]]
) -> None:
    """Each call has one record: its own if anybody was told so, else perhaps that of the crash."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    for deed in deeds:
        deed(machine)
    machine.judge()


def test_who_is_told(tmp_path: Path) -> None:
    """The journal has room for eight; the others are told by the store alone."""
    machine = Machine(tmp_path)
    for _ in range(12):
        machine.begin()
        machine.end(0)
    assert machine.told == set()
    machine.look()
    assert machine.told == set(range(8))
    machine.look()
    assert machine.told == set(range(8))
    machine.commit(and_say=True)
    assert machine.told == set(range(12))
    machine.judge()


# -- with the real store -------------------------------------------------------------------


class Bench:
    """A store whose commits are held, or fail, as long as a test wants."""

    def __init__(
        self, folder: Path, place: Place, monkeypatch: pytest.MonkeyPatch, ring: int = RING
    ) -> None:
        self.folder = folder
        self.place = place
        self.journal = Journal(folder / FILE, ring)
        self.news: SimpleQueue[str] = SimpleQueue()
        self.told: SimpleQueue[int] = SimpleQueue()
        self.store = place.open(run, self.journal, gather=0)
        self.store.backlog.watch = self.news.put
        self.store.backlog.calm = 0.0
        self.may_commit = threading.Event()
        self.fault: Exception | None = None
        commit = self.store._commit

        def held(rows: list[Row]) -> None:
            if self.fault is not None:
                raise self.fault
            assert self.may_commit.wait(WAIT)
            commit(rows)

        monkeypatch.setattr(self.store, "_commit", held)
        monkeypatch.setattr(self.store, "_LONGEST_BACKOFF", 0.05)

    def submit(self, number: int) -> None:
        self.store.submit(row(number), lambda: self.told.put(number))

    def stored(self) -> list[int]:
        return [one.call_start_time - START for one in self.store.recent(1000)][::-1]


@pytest.fixture
def bench(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path, place, monkeypatch)
    yield made
    made.fault = None
    made.may_commit.set()
    made.store.close()


def test_a_commit_that_takes_long(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.submit(1)
    assert bench.told.get(timeout=WAIT) == 1  # from the journal
    assert bench.news.get(timeout=WAIT) == "a commit takes longer than 0.2 s"
    assert not bench.store.healthy
    assert bench.journal.waiting == 1
    assert bench.stored() == []
    bench.may_commit.set()
    assert bench.news.get(timeout=WAIT) == ""
    assert bench.store.healthy
    assert bench.stored() == [1]
    assert bench.journal.waiting == 0
    assert bench.told.empty()  # told once
    assert [r.levelno for r in caplog.records] == [logging.WARNING] * 2


def test_late_records_are_news_once(bench: Bench) -> None:
    """One that is late now and then is no reason to be well in between."""
    bench.store.backlog.calm = 3600.0
    for number in range(3):
        bench.may_commit.clear()
        bench.submit(number)
        assert bench.told.get(timeout=WAIT) == number
        bench.may_commit.set()
        bench.submit(10 + number)
        assert bench.told.get(timeout=WAIT) == 10 + number
    assert bench.news.get(timeout=WAIT)
    assert bench.news.empty()
    bench.store.backlog.calm = 0.0
    assert bench.news.get(timeout=WAIT) == ""


def test_a_commit_in_time_leaves_the_journal_alone(bench: Bench) -> None:
    bench.may_commit.set()
    for number in range(20):
        bench.submit(number)
        assert bench.told.get(timeout=WAIT) == number
    assert bench.news.empty()
    assert bench.journal._sequence == 0


def test_a_store_that_fails_is_news_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.fault = bench.place.fault("database or disk is full")
    for number in range(3):
        bench.submit(number)
        assert bench.told.get(timeout=WAIT) == number
    assert "database or disk is full" in bench.news.get(timeout=WAIT)
    assert caplog.text.count("CDRs cannot be stored, and wait: ") == 1
    bench.may_commit.set()
    bench.fault = None
    assert bench.news.get(timeout=WAIT) == ""
    assert bench.stored() == [0, 1, 2]
    assert bench.news.empty()


def test_both_are_full(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is told of what is in memory alone; the first to come stay in the journal."""
    bench.fault = bench.place.fault("database or disk is full")
    for number in range(12):
        bench.submit(number)
    assert [bench.told.get(timeout=WAIT) for _ in range(8)] == list(range(8))
    while "CDRs wait in memory alone" not in caplog.text:
        assert bench.told.empty()
    assert bench.told.empty()
    assert f"{FILE} is full" in bench.store.backlog.reason
    assert bench.store.full
    bench.may_commit.set()
    bench.fault = None
    assert [bench.told.get(timeout=WAIT) for _ in range(4)] == list(range(8, 12))
    assert bench.stored() == list(range(12))
    while bench.news.get(timeout=WAIT):
        pass
    assert bench.store.healthy
    assert not bench.store.full


def test_the_journal_cannot_be_brought_to_disk(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is told before it can be."""
    failed = threading.Event()
    sync = os.fdatasync
    mended = threading.Event()

    def broken(file: int) -> None:
        if not mended.is_set():
            failed.set()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(file)

    monkeypatch.setattr(os, "fdatasync", broken)
    bench.submit(1)
    assert failed.wait(WAIT)
    assert bench.told.empty()
    mended.set()
    assert bench.told.get(timeout=WAIT) == 1
    assert f"{FILE}: Input/output error" in caplog.text


def test_the_disk_hangs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither store nor journal answers: there is no room for more calls until they do."""
    sync = os.fdatasync
    asked, answers = threading.Event(), threading.Event()

    def hanging(file: int) -> None:
        asked.set()
        assert answers.wait(WAIT)
        sync(file)

    monkeypatch.setattr(os, "fdatasync", hanging)
    bench.submit(1)
    assert asked.wait(WAIT)
    assert bench.news.get(timeout=WAIT) == f"a commit takes longer than {PATIENCE:g} s"
    assert not bench.store.full
    bench.store.backlog.hung = 0.0
    assert bench.store.full
    (waiting,) = bench.store.backlog._unsynced
    waiting.stored = True
    assert not bench.store.full
    waiting.stored = False
    assert bench.told.empty()
    answers.set()
    assert bench.told.get(timeout=WAIT) == 1
    assert not bench.store.full


def dirty(path: Path) -> int:
    """KiB of the mapped file that are not written yet, as the kernel has it."""
    found, here = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            here = line.endswith(f" {path}")
        elif here and line.startswith(("Shared_Dirty:", "Private_Dirty:")):
            found += int(line.split()[1])
    return found


def test_what_a_failed_sync_left_is_written_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux takes pages for clean whose writing has failed: the next fdatasync is no proof."""
    left: list[int] = []
    sync = os.fdatasync
    may_go_on = threading.Event()

    def failing(file: int) -> None:
        assert not left or may_go_on.wait(WAIT)
        before = dirty(bench.folder / FILE)
        sync(file)
        left.extend((before, dirty(bench.folder / FILE)))
        if len(left) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", failing)
    bench.fault = bench.place.fault("disk I/O error")
    bench.submit(1)
    while not bench.store.full:  # neither takes records
        assert bench.told.empty()
    may_go_on.set()
    assert bench.told.get(timeout=WAIT) == 1
    first, clean, again, _ = left
    if clean:
        pytest.skip("this file system has pages that are never clean, such as tmpfs")
    assert first > 0
    assert again > 0
    assert not bench.store.full


def test_a_disk_that_refuses_is_not_asked_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / FILE, RING)
    backlog = Backlog(run, journal)
    while not journal.short:
        backlog.begun(GUID, START + len(journal._slots), "1", "2", "3")
    told: list[int] = []
    backlog.add(row(), lambda: told.append(1))
    asked: list[str] = []

    def refuse(name: str, code: int) -> Callable[..., None]:
        def refusing(*_: object) -> None:
            asked.append(name)
            raise OSError(code, os.strerror(code))

        return refusing

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", refuse("grow", errno.ENOSPC))
        patch.setattr(os, "fdatasync", refuse("sync", errno.EIO))
        for _ in range(5):
            backlog.look(ALL)
    assert asked == ["grow", "sync"]
    assert told == []
    assert backlog.close() == 1  # but at the end
    assert told == [1]


def test_a_record_larger_than_the_journal_holds_up_no_other(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.fault = bench.place.fault("database or disk is full")
    large = to_row(CdrRecord("B" * 32, START, START, called_number="x" * RING))
    bench.store.submit(large, lambda: bench.told.put(0))
    for number in range(1, 4):
        bench.submit(number)
        assert bench.told.get(timeout=WAIT) == number
    assert [r.levelno for r in caplog.records].count(logging.CRITICAL) == 1
    assert f"is larger than {bench.folder / FILE}, and waits in memory alone: BBB" in caplog.text
    assert not bench.store.full
    bench.may_commit.set()
    bench.fault = None
    assert bench.told.get(timeout=WAIT) == 0
    assert bench.store.count() == 4


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_the_log_is_tidied_while_a_record_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer's own checkpoint may take long as well as a commit."""
    may_end = threading.Event()
    monkeypatch.setattr(bench.store, "_checkpoint", lambda _: int(may_end.wait(WAIT)))
    assert isinstance(bench.store, SqliteCdrStore)
    bench.store._cut_log = True
    bench.may_commit.set()
    bench.submit(1)
    assert bench.told.get(timeout=WAIT) == 1
    asleep = threading.Event()
    while bench.store.backlog._at_work or bench.store.backlog._busy.is_set():
        assert not asleep.wait(0.001)
    bench.submit(2)
    assert bench.told.get(timeout=WAIT / 2) == 2
    assert bench.journal.waiting == 1
    may_end.set()


def test_what_was_recovered_leaves_the_memory(tmp_path: Path) -> None:
    config = Config.model_validate({"server": {"data_dir": str(tmp_path)}, "cdr": {"journal": 1}})
    journal = Journal(tmp_path / FILE, 1 << 20)
    journal.put(row(1))
    journal.begin(GUID, START + 2, "1", "2", "3")
    journal.close()
    store = open_store(config, run)
    used = store.backlog._journal
    assert used is not None
    assert (used.rows, used.calls) == ([], [])
    store.close()
    with SqliteCdrStore(config.cdr_path, run) as store:
        assert sorted(one.call_start_time - START for one in store.recent()) == [1, 2]


def test_one_that_waited_in_vain_hurts_no_other(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def broken() -> None:
        raise KeyError("b")

    tell([lambda: told.append("a"), broken, lambda: told.append("c")], told.clear)
    assert told == []
    tell([broken, lambda: told.append("c")], lambda: told.append("sent"))
    assert told == ["c", "sent"]
    assert caplog.text.count("what was to come after a CDR has failed") == 2


def test_closing_leaves_in_the_journal_what_the_store_does_not_take(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, place, monkeypatch)
    bench.fault = bench.place.fault("database or disk is full")
    bench.store.begun(GUID, START + 9, "1", "2", "3")
    for number in range(10):
        bench.submit(number)
    assert bench.store.close() == 2  # so many the journal has no room for
    assert bench.store.close() == 2
    journal = Journal(tmp_path / FILE, RING)
    assert [one[1] - START for _, one in journal.rows] == list(range(8))
    assert [one.start - START for one in journal.calls] == [9]
    with place.open(run, journal) as store:
        store.submit(journal.calls[0].row("lab"))
        store.close()
    with place.open(run) as store:
        found = [one.call_start_time - START for one in store.recent(100)]
    assert found[::-1] == [*range(8), 9]
    journal = Journal(tmp_path / FILE, RING)
    assert (journal.rows, journal.calls) == ([], [])
    journal.close()


def test_a_record_that_is_none_leaves_the_journal(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.store.begun(GUID, START, "1", "2", "3")
    bench.store.submit((GUID, START, "no record"), lambda: bench.told.put(0))
    assert bench.told.get(timeout=WAIT) == 0
    assert bench.journal.waiting == 1
    bench.may_commit.set()
    assert bench.news.get(timeout=WAIT)
    assert bench.news.get(timeout=WAIT) == ""
    assert bench.journal.waiting == 0
    assert "malformed and lost" in caplog.text
    assert (GUID, START) in bench.journal._slots  # the call has a record at the next start


def test_slots_are_made_in_time(bench: Bench) -> None:
    size = (bench.folder / FILE).stat().st_size
    for number in range(600):
        bench.store.begun(GUID, START + number, "1", "2", "3")
    grown = threading.Event()
    while bench.journal.short:
        assert not grown.wait(0.001)
    assert (bench.folder / FILE).stat().st_size > size
    for number in range(600, 1200):
        bench.store.begun(GUID, START + number, "1", "2", "3")
    assert bench.journal.unnoted == 0
    assert bench.store.healthy


def test_slots_cannot_be_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls go on without; that is told, and over when the disk has room or calls end."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        for number in range(1100):
            bench.store.begun(GUID, START + number, "1", "2", "3")
        assert bench.news.get(timeout=WAIT).endswith("No space left on device")
        assert not bench.store.healthy
        assert bench.journal.unnoted == 1100 - 1024
    assert bench.news.get(timeout=WAIT) == ""
    assert "76 calls were not noted" in caplog.text


def test_without_a_journal_records_wait_for_the_store(tmp_path: Path) -> None:
    backlog = Backlog(run, None)
    backlog.start()
    backlog.begun(GUID, START, "1", "2", "3")
    told: list[int] = []
    one = backlog.add(row(), lambda: told.append(1))
    backlog.look(ALL)
    assert told == []
    backlog.stored([one])
    assert told == [1]
    assert backlog.left() == []
    assert backlog.close() == 0


def test_the_patience_is_that_of_a_bye() -> None:
    """Well below T1, so that a BYE is not sent again for it (RFC 3261 section 17.1.2.2)."""
    assert module.PATIENCE == 0.2
    assert 0 < module.LOOK < module.PATIENCE
