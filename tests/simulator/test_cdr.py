"""The store of records, in each of its kinds."""

import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.backlog import Done
from simulator.cdr import CdrRecord, LegRecord, SqliteCdrStore
from simulator.cdr_queries import CdrFilter
from simulator.cdr_records import Row, from_row, repaired, to_row
from simulator.cdr_store import CdrStore
from tests.support.stores import Place

GUID = "F13437331000013A5FCA33210A4244A9"
WAIT = 10.0  # seconds; only a broken store makes a test wait so long


def record(guid: str = GUID, start: int = 1_700_000_000_000, legs: int = 2) -> CdrRecord:
    return CdrRecord(
        call_guid=guid,
        call_start_time=start,
        call_end_time=start + 5_000,
        calling_number="sipp",
        called_number="7000",
        self_service_duration=2_000,
        queue_duration=1_000,
        application_name="support",
        sip_call_id="1-2@127.0.0.1",
        ecc_variables={"user.a": "ä"},
        legs=[
            LegRecord(
                leg_id=f"{n}-2",
                call_guid=guid,
                leg_type="outbound" if n else "inbound",
                start_time=start + n,
                end_time=start + 5_000,
                from_uri="sip:sipp@127.0.0.1",
                to_uri="sip:7000@127.0.0.1",
                sip_response_code=200,
            )
            for n in range(legs)
        ],
    )


def row(guid: str = GUID, start: int = 1_700_000_000_000) -> Row:
    return to_row(record(guid, start))


class Told:
    """Runs what the store hands to `notify`, and lets a test wait for it."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.threads: set[str] = set()
        self.called = threading.Semaphore(0)

    def notify(self, callables: list[Done]) -> None:
        self.groups.append(len(callables))
        self.threads.add(threading.current_thread().name)
        for done in callables:
            done()

    def done(self) -> None:
        self.called.release()

    def wait(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.called.acquire(timeout=WAIT)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def store(place: Place, told: Told) -> Iterator[CdrStore]:
    with place.open(told.notify, gather=0) as opened:
        yield opened


def test_a_record_is_on_disk_when_done_is_called(place: Place, store: CdrStore, told: Told) -> None:
    store.submit(row(), told.done)
    told.wait()
    assert place.count() == 1
    assert store.get(GUID) == record()
    assert store.legs(GUID) == record().legs
    assert store.pending == 0
    assert (store.healthy, store.backlog.reason) == (True, "")
    assert told.threads == {"cdr-writer"}


def test_durations_are_milliseconds() -> None:
    assert record().call_duration == 5_000
    assert record().legs[1].duration == 4_999


def test_what_is_not_there_is_not_found(store: CdrStore) -> None:
    assert store.get(GUID) is None
    assert store.legs(GUID) == []
    assert store.recent(10) == []
    assert store.count() == 0
    assert store.ping() >= 0


@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 65, 150])
def test_groups_of_any_size_are_stored_whole(place: Place, told: Told, count: int) -> None:
    records = [record(f"{n:032X}", start=n, legs=n % 3) for n in range(count)]
    with place.open(told.notify) as store:
        for one in records:
            store.submit(to_row(one), told.done)
        told.wait(count)
        assert store.count() == count
        assert store.recent(count + 1) == records[::-1]
        assert store.recent(1) == records[-1:]
        assert store.recent(0) == []
    assert sum(told.groups) == count


def test_records_that_come_together_share_a_commit(
    store: CdrStore, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    commit = store._commit

    def held(rows: list[Row]) -> None:
        entered.set()
        assert go_on.wait(WAIT)
        commit(rows)

    monkeypatch.setattr(store, "_commit", held)
    store.submit(row(start=0), told.done)
    assert entered.wait(WAIT)
    for n in range(1, 20):
        store.submit(row(start=n), told.done)
    assert store.pending == 20
    go_on.set()
    told.wait(20)
    assert told.groups == [1, 19]


def test_a_lone_record_does_not_wait_for_others(place: Place, told: Told) -> None:
    with place.open(told.notify, gather=3600.0) as store:
        store.submit(row(), told.done)
        told.wait()


class Pause:
    """Stands in for the store's closing mark: a pause lasts until the test ends it."""

    def __init__(self) -> None:
        self.lengths: list[float] = []
        self.begun, self.over = threading.Event(), threading.Event()

    def wait(self, length: float) -> None:
        self.lengths.append(length)
        self.begun.set()
        assert self.over.wait(WAIT)


def test_what_comes_soon_after_a_commit_shares_the_next(
    place: Place, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteCdrStore, "_CHECKPOINT_EVERY", 3600.0)  # another that waits
    with place.open(told.notify, gather=3600.0) as store:
        pause = Pause()
        with monkeypatch.context() as patch:
            patch.setattr(store, "_closing", pause)
            store.submit(row(start=0), told.done)
            told.wait()
            store.submit(row(start=1), told.done)
            assert pause.begun.wait(WAIT)
            for n in range(2, 40):
                store.submit(row(start=n), told.done)
            assert told.groups == [1]  # nobody is told before the commit
            assert store.count() == 1
            pause.over.set()
            told.wait(39)
        assert told.groups == [1, 39]
        (length,) = pause.lengths
        assert 3600.0 - WAIT < length < 3600.0


def test_the_order_of_submission_is_kept(store: CdrStore, told: Told) -> None:
    order: list[int] = []

    def note(n: int) -> Callable[[], None]:
        def done() -> None:
            order.append(n)
            told.done()

        return done

    for n in range(200):
        store.submit(row(start=n), note(n))
    told.wait(200)
    assert order == list(range(200))


def test_closing_stores_all_that_waits(place: Place, told: Told) -> None:
    store = place.open(told.notify, gather=3600.0)
    for n in range(50):
        store.submit(row(start=n))
    assert store.close() == 0
    assert store.close() == 0
    with place.open(told.notify) as again:
        assert again.count() == 50


def test_the_same_record_twice_is_one(store: CdrStore, told: Told) -> None:
    store.submit(row(), told.done)
    told.wait()
    store.submit(row(), told.done)
    told.wait()
    assert store.count() == 1


def test_a_guid_may_come_again_in_another_call(store: CdrStore, told: Told) -> None:
    store.submit(row(start=2), told.done)
    store.submit(row(start=1), told.done)
    told.wait(2)
    assert store.count() == 2
    found = store.get(GUID)
    assert found is not None
    assert found.call_start_time == 2


# -- faults --------------------------------------------------------------------------------


def failing(store: CdrStore, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """An event that is set when a commit has failed."""
    failed = threading.Event()
    note = store._failed

    def noted(error: Exception) -> None:
        note(error)
        failed.set()

    monkeypatch.setattr(store, "_failed", noted)
    return failed


def test_many_that_wait_are_stored_by_pieces(
    place: Place, store: CdrStore, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a failure costs does not grow with what waits."""
    failed = failing(store, monkeypatch)
    monkeypatch.setattr(store, "_LONGEST_BACKOFF", 0.01)
    monkeypatch.setattr(store, "_PIECE", 10)
    broken = threading.Event()
    broken.set()
    sizes: list[int] = []
    commit = store._commit

    def sometimes(rows: list[Row]) -> None:
        sizes.append(len(rows))
        if broken.is_set():
            raise place.fault("disk I/O error")
        commit(rows)

    monkeypatch.setattr(store, "_commit", sometimes)
    store.submit(row(start=0), told.done)
    assert failed.wait(WAIT)
    for n in range(1, 35):
        odd = record(start=n)
        odd.called_number = "7\udce9" if n % 16 == 0 else "7"
        store.submit(to_row(odd), told.done)
    store.submit((GUID, "not a row"), told.done)
    broken.clear()
    told.wait(36)
    assert max(sizes) == 10
    assert [one.call_start_time for one in store.recent(100)] == list(range(34, -1, -1))
    assert (store.pending, store.malformed) == (0, 1)


def test_a_commit_whose_outcome_is_unknown(
    place: Place, store: CdrStore, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has succeeded, and the word of it got lost: it is tried again, and nothing is double."""
    commit = store._commit
    lost = threading.Event()

    def unheard(rows: list[Row]) -> None:
        commit(rows)
        if not lost.is_set():
            lost.set()
            raise place.fault("the connection is lost")

    monkeypatch.setattr(store, "_commit", unheard)
    for n in range(3):
        store.submit(row(start=n), told.done)
    told.wait(3)
    assert lost.is_set()
    assert place.count() == 3


def test_closing_tries_once_more(
    place: Place, store: CdrStore, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = failing(store, monkeypatch)
    monkeypatch.setattr(store, "_LONGEST_BACKOFF", 60.0)
    broken = threading.Event()
    broken.set()
    commit = store._commit

    def sometimes(rows: list[Row]) -> None:
        if broken.is_set():
            raise place.fault("disk I/O error")
        commit(rows)

    monkeypatch.setattr(store, "_commit", sometimes)
    store.submit(row(), told.done)
    assert failed.wait(WAIT)
    broken.clear()
    assert store.close() == 0
    told.wait()


def test_a_record_that_cannot_be_stored_is_repaired(store: CdrStore, told: Told) -> None:
    odd = record()
    odd.called_number = "7\ud800"
    odd.hold_count = 2**70
    odd.ecc_variables = {"\ud800": "\udfff"}
    store.submit(to_row(odd), told.done)
    store.submit(row(start=1), told.done)
    told.wait(2)
    found = store.get(GUID)
    assert found is not None
    assert (found.called_number, found.hold_count) == ("7\\ud800", 2**63 - 1)
    assert found.ecc_variables == {"\\ud800": "\\udfff"}
    assert store.healthy


def test_octets_of_a_peer_are_no_fault_of_the_store(
    store: CdrStore, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    """Malformed UTF-8 in a header: repaired at once, and the store was healthy all along."""
    odd = record()
    odd.calling_number = "\udce9t\udce9"
    store.submit(to_row(odd), told.done)
    told.wait()
    found = store.get(GUID)
    assert found is not None
    assert found.calling_number == "\\udce9t\\udce9"
    assert caplog.text == ""


def test_a_record_that_is_none_is_lost_alone(
    store: CdrStore, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waits for it is told: a BYE would have no answer, and no other record comes."""
    store.submit((GUID, "not a row"), told.done)
    store.submit(row(start=1), told.done)
    told.wait(2)
    assert store.count() == 1
    assert (store.pending, store.malformed) == (0, 1)
    assert "malformed and lost" in caplog.text
    assert store.close() == 1


def test_a_missing_guid_or_time_does_not_stop_the_store(store: CdrStore, told: Told) -> None:
    wrong = record()
    wrong.call_guid = None  # type: ignore[assignment]
    wrong.call_end_time = None  # type: ignore[assignment]
    store.submit(to_row(wrong), told.done)
    told.wait()
    found = store.get("")
    assert found is not None
    assert found.call_end_time == 0


def test_nobody_to_tell_does_not_stop_the_store(place: Place) -> None:
    def closed(callables: list[Done]) -> None:
        raise RuntimeError("Event loop is closed")

    with place.open(closed, gather=0) as store:
        for n in range(3):
            store.submit(row(start=n), lambda: None)
        assert store.close() == 0


def test_absurd_times_do_not_stop_the_store(store: CdrStore, told: Told) -> None:
    """Sums over them overflow; what is counted goes on."""
    for number, times in enumerate([(0, 2**63 - 1), (-(2**61), 2**63 - 1), (2**61, -(2**63))]):
        odd = record(f"{number:032X}")
        odd.call_start_time, odd.call_end_time = times
        odd.self_service_duration = odd.queue_duration = 2**63 - 1
        store.submit(to_row(odd), told.done)
    store.submit(row(), told.done)
    told.wait(4)
    assert store.healthy
    assert store.page(CdrFilter()).total == store.count() == 4
    assert sum(line.total for line in store.summary(CdrFilter(), 86_400_000)) == 4


# -- rows ----------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LEGS = st.builds(
    LegRecord,
    leg_id=TEXT,
    call_guid=st.just(GUID),
    leg_type=st.sampled_from(["inbound", "outbound", "transfer", "conference"]),
    start_time=st.integers(0, 2**62),
    end_time=st.integers(0, 2**62),
    from_uri=TEXT,
    to_uri=TEXT,
    sip_response_code=st.none() | st.integers(100, 699),
    answer_time=st.none() | st.integers(0, 2**62),
    kind=st.sampled_from(["caller", "vxml"]),
)
RECORDS = st.builds(
    CdrRecord,
    call_guid=st.just(GUID),
    call_start_time=st.integers(0, 2**62),
    call_end_time=st.integers(0, 2**62),
    calling_number=TEXT,
    error_code=st.none() | TEXT,
    ecc_variables=st.dictionaries(TEXT, TEXT, max_size=3),
    legs=st.lists(LEGS, max_size=3),
    marks=st.lists(st.tuples(*[st.integers(0, 2**31)] * 4, TEXT), max_size=2),
)


@given(RECORDS)
def test_a_record_survives_its_row(one: CdrRecord) -> None:
    assert from_row(to_row(one)) == one
    assert repaired(to_row(one)) == to_row(one)
