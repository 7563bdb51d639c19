"""The journal of calls and records: what is in it after a crash, and what a broken file does.

A crash is a copy of the file as it was: pages outlive the process.
"""

import errno
import json
import mmap
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cdr_events import ERROR
from simulator.cdr_records import COLUMNS, CdrRecord, Row, from_row, to_row
from simulator.errors import ServiceError
from simulator.journal import BLOCK, CHUNK, CUT_OFF, FILE, NEVER, CutOff, Journal

GUID = "F13437331000013A5FCA33210A4244A9"
START = 1_700_000_000_000
RING = 8 * BLOCK


def row(number: int = 0, size: int = 10) -> Row:
    return to_row(CdrRecord(GUID, START + number, START + number, called_number="x" * size))


def numbers(journal: Journal) -> list[int]:
    """Those of the records that were left."""
    return [one[1] - START for _, one in journal.rows]


class Disk:
    """A folder with a journal; `crash` gives what the next start finds."""

    def __init__(self, folder: Path, ring: int = RING) -> None:
        self.folder = folder
        self.ring = ring
        self.journal = Journal(folder / FILE, ring)
        self.crashes = 0

    def crash(self) -> Journal:
        self.crashes += 1
        after = self.folder / str(self.crashes) / FILE
        after.parent.mkdir(parents=True)
        shutil.copyfile(self.folder / FILE, after)
        self.journal.close()
        self.folder = after.parent
        self.journal = Journal(after, self.ring)
        return self.journal


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


# -- calls ---------------------------------------------------------------------------------


def test_a_call_is_there_after_a_crash_until_it_has_ended(disk: Disk) -> None:
    journal = disk.journal
    assert journal.begin(GUID, START, "5551234", "7000", "1-2@127.0.0.1")
    assert journal.begin(GUID, START + 1, "sipp", "5000", "2-2@127.0.0.1")
    journal.end(GUID, START)
    journal = disk.crash()
    assert journal.calls == [CutOff(GUID, START + 1, "sipp", "5000", "2-2@127.0.0.1")]
    journal.end(GUID, START + 1)
    assert disk.crash().calls == []


def test_its_record_says_what_happened() -> None:
    """ "If end is lost, end = start" (CVP.md section 6)."""
    record = from_row(CutOff(GUID, START, "5551234", "7000", "1-2@127.0.0.1").row("lab"))
    assert record == CdrRecord(
        GUID, START, START, "5551234", "7000", "error",
        call_server_hostname="lab", sip_call_id="1-2@127.0.0.1",
        error_code=CUT_OFF, cause_id=ERROR,
    )  # fmt: skip
    assert CUT_OFF == "server restarted"
    assert record.events == []


@pytest.mark.parametrize(
    ("calling", "called", "call_id", "kept"),
    [
        ("", "", "", ("", "", "")),
        ("\udce9t", "ä", "1@h", ("\\udce9t", "ä", "1@h")),
        ("1\0\0", "2\0x", "\0", ("1\ufffd\ufffd", "2\ufffdx", "\ufffd")),
        ("1", "2", "c" * 1000, ("1", "2", "c" * (BLOCK - 52))),
        ("1", "2", "c" + "ä" * 1000, ("1", "2", "c" + "ä" * 229 + "\ufffd")),
        ("1" * 1000, "2", "3", ("1" * (BLOCK - 48), "", "")),
    ],
)
def test_whatever_a_caller_says_fits(
    disk: Disk, calling: str, called: str, call_id: str, kept: tuple[str, str, str]
) -> None:
    disk.journal.begin(GUID, START, calling, called, call_id)
    (call,) = disk.crash().calls
    assert (call.guid, call.start) == (GUID, START)
    assert (call.calling, call.called, call.call_id) == kept


def test_more_slots_are_made_before_they_are_needed(disk: Disk) -> None:
    journal = disk.journal
    size = (disk.folder / FILE).stat().st_size
    begun = 0
    while not journal.short:
        begun += 1
        assert journal.begin(GUID, START + begun, "1", "2", "3") != journal.short
    assert begun == CHUNK // 2 + 1
    journal.grow()
    assert not journal.short
    for _ in range(CHUNK):
        begun += 1
        journal.begin(GUID, START + begun, "1", "2", "3")
    assert journal.unnoted == 0
    assert (disk.folder / FILE).stat().st_size == size + CHUNK * BLOCK
    journal = disk.crash()
    assert sorted(call.start - START for call in journal.calls) == list(range(1, begun + 1))
    for call in journal.calls:
        journal.end(call.guid, call.start)
    disk.crash()
    assert (disk.folder / FILE).stat().st_size == size  # as small as at first, once empty


def test_slots_that_there_is_no_room_for_leave_no_trace(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ext4 extends a file by what there is room for, and then says that there is none."""
    size = (disk.folder / FILE).stat().st_size

    def full(file: int, offset: int, length: int) -> None:
        os.ftruncate(file, offset + length // 3)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def unmapped(*_: object, **__: object) -> None:
        raise ValueError("mmap offset is greater than file size")

    for module, name, fault in ((os, "posix_fallocate", full), (mmap, "mmap", unmapped)):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, fault)
            with pytest.raises((OSError, ValueError), match=r"No space|mmap offset"):
                disk.journal.grow()
        assert (disk.folder / FILE).stat().st_size == size
    disk.journal.grow()
    assert (disk.folder / FILE).stat().st_size == size + CHUNK * BLOCK


@pytest.mark.parametrize(
    ("more", "chunks"),
    [(BLOCK, 1), (1, 1), (CHUNK * BLOCK + 7, 2), (-BLOCK, 1), (1 - CHUNK * BLOCK, 1)],
)
def test_an_odd_tail_harms_nothing(
    disk: Disk, caplog: pytest.LogCaptureFixture, more: int, chunks: int
) -> None:
    """Slots were being added as the server ended, or a copy was cut short: records stay."""
    size = (disk.folder / FILE).stat().st_size
    disk.journal.put(row(1))
    os.truncate(disk.folder / FILE, size + more)
    journal = disk.crash()
    assert numbers(journal) == [1]
    assert (disk.folder / FILE).stat().st_size == size + (chunks - 1) * CHUNK * BLOCK
    assert not (disk.folder / f"{FILE}.damaged").exists()
    assert f"has {size + more} octets in place of" in caplog.text
    for number in range(chunks * CHUNK):
        journal.begin(GUID, START + number, "1", "2", "3")
    assert len(disk.crash().calls) == chunks * CHUNK


def test_a_ring_that_is_cut_short_keeps_what_is_there(disk: Disk) -> None:
    for number in range(8):
        disk.journal.put(row(number))
    disk.journal.close()
    os.truncate(disk.folder / FILE, 4096 + 5 * BLOCK + 40)
    assert numbers(disk.crash()) == list(range(5))


def test_calls_without_a_slot_are_counted_and_go_on(disk: Disk) -> None:
    for number in range(CHUNK):
        disk.journal.begin(GUID, START + number, "1", "2", "3")
    assert not disk.journal.begin(GUID, START - 1, "1", "2", "3")
    assert disk.journal.unnoted == 1
    disk.journal.end(GUID, START - 1)
    assert len(disk.crash().calls) == CHUNK


def test_a_slot_that_makes_no_sense_is_left_out(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        disk.journal.begin(GUID, START + number, "1", "2", "3")
    data = bytearray((disk.folder / FILE).read_bytes())
    at = data.index(f"{GUID}\0{START + 1}".encode())
    data[at + 33] = ord("x")
    at = data.index(f"{GUID}\0{START + 2}".encode())
    data[at - 1] = 7
    (disk.folder / FILE).write_bytes(data)
    assert [call.start for call in disk.crash().calls] == [START]
    assert "2 calls could not be read" in caplog.text


# -- records -------------------------------------------------------------------------------


def test_records_are_there_after_a_crash_in_their_order(disk: Disk) -> None:
    places = [disk.journal.put(row(number)) for number in range(4)]
    disk.journal.sync()
    disk.journal.remove(places[1])
    journal = disk.crash()
    assert [one for _, one in journal.rows] == [row(0), row(2), row(3)]
    assert journal.waiting == 3
    journal.put(row(4))
    assert numbers(disk.crash()) == [0, 2, 3, 4]


def test_a_full_ring_keeps_the_oldest(disk: Disk) -> None:
    places: list[int] = []
    while (place := disk.journal.put(row(len(places)))) >= 0:
        places.append(place)
    assert len(places) == 8
    assert numbers(disk.crash()) == list(range(8))
    disk.journal.remove(places[1])
    assert disk.journal.put(row(8)) == -1  # in a ring the oldest goes first
    disk.journal.remove(places[0])
    assert disk.journal.put(row(8)) == places[0]
    assert disk.journal.put(row(9)) == places[1]
    assert numbers(disk.crash()) == list(range(2, 10))


def test_a_record_larger_than_the_ring(disk: Disk) -> None:
    assert disk.journal.put(row(size=RING)) == NEVER
    assert disk.journal.waiting == 0


@given(
    st.lists(
        st.one_of(
            st.integers(1, 5).map(lambda blocks: ("put", blocks)),
            st.integers(0, 7).map(lambda which: ("remove", which)),
            st.just(("crash", 0)),
        ),
        max_size=60,
    )
)
@settings(max_examples=40)
def test_the_ring_is_a_queue_that_crashes_do_not_touch(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[tuple[str, int]]
) -> None:
    disk = Disk(tmp_path_factory.mktemp("ring"))
    model: dict[int, Row] = {}  # by place
    for number, (deed, how) in enumerate(deeds):
        if deed == "put":
            one = row(number, BLOCK * how - 400)
            place = disk.journal.put(one)
            assert place not in model
            if place >= 0:
                model[place] = one
            else:
                assert model, "an empty ring takes whatever is smaller"
        elif deed == "remove" and model:
            place = list(model)[how % len(model)]
            disk.journal.remove(place)
            del model[place]
        elif deed == "crash":
            assert disk.crash().rows == list(model.items())
        assert disk.journal.waiting == len(model)
    assert disk.crash().rows == list(model.items())
    disk.journal.close()


@given(st.integers(0, 3), st.integers(0, 10_000), st.booleans())
@settings(max_examples=40)
def test_a_torn_write_is_there_whole_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, before: int, cut: int, backwards: bool
) -> None:
    """Of what a `put` changes only the first octets have come to disk, or only the last."""
    disk = Disk(tmp_path_factory.mktemp("torn"))
    file = disk.folder / FILE
    for number in range(before):
        disk.journal.put(row(number, 600))
    old = file.read_bytes()
    disk.journal.put(row(before, 600))
    new = file.read_bytes()
    changed = [at for at in range(4096 + RING) if old[at] != new[at]]
    cut %= len(changed) + 1
    torn = bytearray(old)
    for at in changed[len(changed) - cut :] if backwards else changed[:cut]:
        torn[at] = new[at]
    file.write_bytes(torn)
    found = numbers(disk.crash())
    assert found == list(range(before + (cut == len(changed))))
    disk.journal.close()


@given(st.data())
@settings(max_examples=40)
def test_damage_hurts_nothing_but_what_it_hits(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any octets changed: nothing raises, and what is found was written."""
    disk = Disk(tmp_path_factory.mktemp("damage"))
    for number in range(3):
        disk.journal.put(row(number))
        disk.journal.begin(GUID, START + number, "1", "2", "3")
    file = disk.folder / FILE
    content = bytearray(file.read_bytes())
    ends = 4096 + RING + CHUNK * BLOCK
    near = st.one_of(st.integers(0, 40), st.integers(4096, 4096 + RING - 1))
    near = near | st.integers(ends - 4 * BLOCK, ends - 1)
    for at, octet in data.draw(st.lists(st.tuples(near, st.integers(0, 255)), max_size=20)):
        content[at] = octet
    file.write_bytes(content)
    journal = disk.crash()
    assert [one for _, one in journal.rows if one not in map(row, range(3))] == []
    assert len(journal.calls) <= 4
    assert journal.put(row(9)) >= 0
    journal.close()


def test_rows_and_version_go_together() -> None:
    """Another row takes another `_VERSION`: else a row of before would be read as one of now."""
    assert len(COLUMNS) == 27


# -- the file ------------------------------------------------------------------------------


def test_the_file_is_reserved_whole(disk: Disk) -> None:
    status = (disk.folder / FILE).stat()
    assert status.st_size == 4096 + RING + CHUNK * BLOCK
    assert status.st_blocks * 512 >= status.st_size
    assert status.st_mode & 0o077 == 0  # numbers of callers are in it


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda data: b"something else" * 500, "it is no journal"),
        (lambda data: data[:20], "it is no journal"),
        (lambda data: data[:16] + b"\2" + data[17:], "its head is damaged"),
    ],
)
def test_a_file_that_is_none_is_set_aside(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[bytes], bytes],
    why: str,
) -> None:
    file = tmp_path / FILE
    Journal(file, RING).close()
    spoilt = spoil(file.read_bytes())
    file.write_bytes(spoilt)
    journal = Journal(file, RING)
    assert f"cannot be read ({why}) and was set aside" in caplog.text
    assert (tmp_path / f"{FILE}.damaged").read_bytes() == spoilt
    assert journal.put(row()) >= 0
    journal.close()


def test_one_of_another_version_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / FILE
    Journal(file, RING).close()
    data = bytearray(file.read_bytes())
    data[16] = 99
    data[24:28] = zlib.crc32(data[:24]).to_bytes(4, "little")
    file.write_bytes(data)
    Journal(file, RING).close()
    assert "it is of version 99, this Callsim writes 1" in caplog.text


def test_one_that_was_not_finished_is_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(bytes(10_000))
    journal = Journal(tmp_path / FILE, RING)
    assert (journal.rows, journal.calls, caplog.text) == ([], [], "")
    journal.close()


def test_another_size_counts_once_it_is_empty(disk: Disk) -> None:
    place = disk.journal.put(row())
    disk.ring = 4 * RING
    journal = disk.crash()
    assert numbers(journal) == [0]
    assert len((disk.folder / FILE).read_bytes()) == 4096 + RING + CHUNK * BLOCK
    journal.remove(place)
    journal = disk.crash()
    assert len((disk.folder / FILE).read_bytes()) == 4096 + 4 * RING + CHUNK * BLOCK
    for number in range(32):
        assert journal.put(row(number)) >= 0
    assert numbers(disk.crash()) == list(range(32))


def test_two_servers_in_one_folder(disk: Disk) -> None:
    with pytest.raises(
        ServiceError, match=r"server\.data_dir: another server runs on .*--data-dir"
    ):
        Journal(disk.folder / FILE, RING)
    disk.journal.close()
    Journal(disk.folder / FILE, RING).close()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match=r"server\.data_dir: .* cannot be written: File exists"):
        Journal(tmp_path / "file" / FILE, RING)


def test_no_room_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, offset: int, length: int) -> None:
        os.ftruncate(file, length // 2)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(ServiceError, match=r"No space left on device; see that .* has room"):
            Journal(tmp_path / FILE, RING)
    assert (tmp_path / FILE).stat().st_size == 0
    Journal(tmp_path / FILE, RING).close()


def test_what_is_in_it_is_plain_json(disk: Disk) -> None:
    """For whoever must read it by hand."""
    disk.journal.put(row())
    data = (disk.folder / FILE).read_bytes()
    at = data.index(b'["F13')
    assert json.JSONDecoder().raw_decode(data[at : at + 1000].decode())[0] == list(row())
