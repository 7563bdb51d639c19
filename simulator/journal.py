"""The journal: a file beside the store of CDRs that a crash of the process does not touch.

It has two parts. A call that begins is noted in a slot, and leaves it when its CDR is in the
store: what is left at the next start was cut off. Records that the store does not take in
time wait in a ring until it does.

The file is reserved whole (posix_fallocate) and reached as memory, so a full disk does not
touch it, and to note a call takes no system call. What that is worth: the pages are the
kernel's, and outlive the process however it ends. A power failure they outlive once they are
on disk: records of the ring are (`sync`) before anybody relies on them; slots whenever the
kernel writes pages back, within half a minute or so. On a file system that copies on write
(btrfs, ZFS) a full disk may still stand in the way.
"""

import fcntl
import json
import logging
import mmap
import os
import struct
import zlib
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simulator.cdr_events import ERROR
from simulator.cdr_records import COLUMNS, CdrRecord, Row, to_row
from simulator.errors import ServiceError

FILE: Final = "calls.journal"

CUT_OFF: Final = "server restarted"
"""The error code of a call that a crash has ended."""

BLOCK: Final = 512
"""Octets of a slot, and what entries of the ring are multiples of: a sector, never torn."""

CHUNK: Final = 1024
"""Slots that the file has at first, and by how many it grows."""

NEVER: Final = -2
"""The place of a record that is larger than the whole ring."""

_SPARE: Final = 512  # slots that are to be free, for calls that come before there are more

# The head of the file: mark, version, blocks of the ring, CRC of these. A change of what a
# row or a slot holds takes another version.
_VERSION: Final = 1
_MARK: Final = b"CALLSIM JOURNAL\n"
_HEAD: Final = struct.Struct("<16sII")
_CRC: Final = struct.Struct("<I")
_HEAD_SIZE: Final = 4096  # a page, for the sake of mmap

# An entry of the ring: mark (no text has it), sequence number, octets of JSON, CRC of these.
_ENTRY_MARK: Final = b"\xffRECORD\n"
_ENTRY: Final = struct.Struct("<8sQI")
_ENTRY_HEAD: Final = _ENTRY.size + _CRC.size
_NO_MARK: Final = bytes(len(_ENTRY_MARK))

# A slot: one octet that says whether it is taken, written last; then text, zeros behind it.
_FREE: Final = 0
_TAKEN: Final = 0xC5
_SLOT: Final = struct.Struct(f"{BLOCK - 1}s")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CutOff:
    """A call that was up when the server ended; `start` in milliseconds since the epoch."""

    guid: str
    start: int
    calling: str
    called: str
    call_id: str

    def row(self, server: str) -> Row:
        """Its CDR. "If end is lost, end = start" [RG]."""
        return to_row(
            CdrRecord(
                self.guid,
                self.start,
                self.start,
                self.calling,
                self.called,
                "error",
                call_server_hostname=server,
                sip_call_id=self.call_id,
                error_code=CUT_OFF,
                cause_id=ERROR,
            )
        )


class Journal:
    """The journal at `path`, whose ring has `size` octets, a multiple of 4096; made if need be.

    `rows` are the records that a former run left in the ring, oldest first, each behind its
    place, and `calls` those it left in slots. They stay in the file until `remove` and `end`.

    `begin`, `end` and `grow` may each be called by a thread of its own; the rest by one at a
    time. Raises ServiceError when the file cannot be had, or another server has it.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.rows: list[tuple[int, Row]] = []
        self.calls: list[CutOff] = []
        self.unnoted = 0
        """Calls for which there was no slot."""
        self._blocks = size // BLOCK
        self._wanted_size = _HEAD_SIZE + (self._blocks + CHUNK) * BLOCK
        self._used: deque[int] = deque()  # places of the ring as they were taken, some free again
        self._sizes: dict[int, int] = {}  # blocks by place, of those that are taken
        self._head = 0  # the block behind the last entry
        self._sequence = 0
        self._slots: dict[tuple[str, int], tuple[mmap.mmap, int]] = {}
        self._free: list[tuple[mmap.mmap, int]] = []
        self._chunks: list[mmap.mmap] = []
        self._ring: mmap.mmap
        self._file = self._open()

    # The file.

    def _open(self) -> int:
        path = self.path
        file = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = _locked(path)
            if (fault := self._read_head(file)) is not None:
                aside = path.with_name(f"{path.name}.damaged")
                os.replace(path, aside)
                _log.warning(
                    "%s cannot be read (%s) and was set aside as %s; what calls and CDRs a "
                    "former run left there are not in the store", path, fault, aside
                )  # fmt: skip
                os.close(file)
                file = -1
                file = _locked(path)
                self._format(file)
            self._map(file)
            if not self.rows and not self.calls and os.fstat(file).st_size != self._wanted_size:
                self._unmap()
                self._format(file)
                self._map(file)
        except OSError as error:
            if file >= 0:
                os.close(file)
            raise ServiceError(
                f"server.data_dir: {str(path)!r} cannot be written: {error.strerror or error}; "
                "see that the folder is writable and has room, or choose another by --data-dir"
            ) from error
        except ServiceError:
            if file >= 0:
                os.close(file)
            raise
        return file

    def _read_head(self, file: int) -> str | None:
        """Format an empty file; what is wrong with one that cannot be used."""
        head = os.pread(file, _HEAD.size + _CRC.size, 0)
        if not head.strip(b"\0"):  # the head is what is written last
            self._format(file)
            return None
        if len(head) < _HEAD.size + _CRC.size or not head.startswith(_MARK):
            return "it is no journal"
        if _CRC.unpack_from(head, _HEAD.size)[0] != zlib.crc32(head[: _HEAD.size]):
            return "its head is damaged"
        _, version, blocks = _HEAD.unpack_from(head)
        if version != _VERSION:
            return f"it is of version {version}, this Callsim writes {_VERSION}"
        self._blocks = blocks
        found = os.fstat(file).st_size
        size = self._size(max(1, (found - self._size(0)) // (CHUNK * BLOCK)))
        if found != size:  # slots that were being added as the server ended, or a copy cut short
            _log.warning("%s has %d octets in place of %d; set right", self.path, found, size)
            os.ftruncate(file, size)
        os.posix_fallocate(file, 0, size)  # a copy may have holes
        return None

    def _size(self, chunks: int) -> int:
        """Octets of a file with so many chunks of slots."""
        return _HEAD_SIZE + (self._blocks + chunks * CHUNK) * BLOCK

    def _format(self, file: int) -> None:
        self._blocks = (self._wanted_size - _HEAD_SIZE) // BLOCK - CHUNK
        os.ftruncate(file, 0)
        try:
            os.posix_fallocate(file, 0, self._wanted_size)
        except OSError:
            os.ftruncate(file, 0)
            raise
        head = _HEAD.pack(_MARK, _VERSION, self._blocks)
        os.pwrite(file, head + _CRC.pack(zlib.crc32(head)), 0)
        os.fsync(file)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _map(self, file: int) -> None:
        ring = _HEAD_SIZE + self._blocks * BLOCK
        self._ring = mmap.mmap(file, ring)
        for offset in range(ring, os.fstat(file).st_size, CHUNK * BLOCK):
            self._chunks.append(mmap.mmap(file, CHUNK * BLOCK, offset=offset))
        self._read_rows()
        damaged = sum(map(self._read_slots, self._chunks))
        if damaged:
            _log.warning("%s: %d calls could not be read and are left out", self.path, damaged)

    def _unmap(self) -> None:
        for memory in (self._ring, *self._chunks):
            memory.close()
        self._chunks.clear()
        self._free.clear()
        self._slots.clear()

    def sync(self) -> None:
        """What was written is on disk when this returns. Raises OSError."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Leave the file to others."""
        if self._file >= 0:
            self._unmap()
            os.close(self._file)
            self._file = -1

    # Calls.

    def begin(self, guid: str, start: int, calling: str, called: str, call_id: str) -> bool:
        """Note a call; False when `grow` is due. What does not fit into a slot is cut."""
        free = self._free
        if not free:
            self.unnoted += 1
            return False
        memory, at = slot = free.pop()
        fields = (guid, str(start), calling, called, call_id)
        text = "\0".join([one.replace("\0", "\ufffd") for one in fields])
        _SLOT.pack_into(memory, at + 1, text.encode("utf-8", "backslashreplace"))
        memory[at] = _TAKEN
        self._slots[guid, start] = slot
        return len(free) >= _SPARE

    def end(self, guid: str, start: int) -> None:
        """The CDR of a call is in the store; nothing where the call was not noted."""
        slot = self._slots.pop((guid, start), None)
        if slot is not None:
            memory, at = slot
            memory[at] = _FREE
            self._free.append(slot)

    @property
    def short(self) -> bool:
        """Whether there are few free slots left."""
        return len(self._free) < _SPARE

    def grow(self) -> None:
        """Add slots. Raises OSError, or ValueError of mmap, where there is no room for them."""
        size = self._size(len(self._chunks))
        try:
            os.posix_fallocate(self._file, size, CHUNK * BLOCK)
            chunk = mmap.mmap(self._file, CHUNK * BLOCK, offset=size)
        except (OSError, ValueError):
            with suppress(OSError):  # what there was room for stays otherwise
                os.ftruncate(self._file, size)
            raise
        self._chunks.append(chunk)
        # Behind those that were in use already: their pages are there.
        self._free[:0] = [(chunk, at) for at in range(0, CHUNK * BLOCK, BLOCK)]

    def _read_slots(self, chunk: mmap.mmap) -> int:
        """Take in what a former run left; how many slots make no sense."""
        damaged = 0
        for at in range(0, CHUNK * BLOCK, BLOCK):
            if chunk[at] == _TAKEN:
                text = chunk[at + 1 : at + BLOCK].rstrip(b"\0").decode("utf-8", "replace")
                guid, start, calling, called, call_id = (*text.split("\0", 4), *[""] * 4)[:5]
                if guid and start.isdecimal() and start.isascii():
                    self.calls.append(CutOff(guid, int(start), calling, called, call_id))
                    self._slots[guid, int(start)] = chunk, at
                    continue
            if chunk[at] != _FREE:
                damaged += 1
                chunk[at] = _FREE
            self._free.append((chunk, at))
        return damaged

    # Records.

    @property
    def waiting(self) -> int:
        """How many records are in the ring."""
        return len(self._sizes)

    def put(self, row: Row) -> int:
        """Write a record; its place, -1 where there is no room now, or NEVER.

        `sync` brings it to disk.
        """
        data = json.dumps(row, default=str).encode()  # ASCII: never like a mark
        need = -(-(_ENTRY_HEAD + len(data)) // BLOCK)
        if need > self._blocks:
            return NEVER
        block = self._room(need)
        if block < 0:
            return -1
        self._sequence += 1
        place = _HEAD_SIZE + block * BLOCK
        head = _ENTRY.pack(_ENTRY_MARK, self._sequence, len(data))
        crc = _CRC.pack(zlib.crc32(data, zlib.crc32(head)))
        body = place + _ENTRY_HEAD
        self._ring[body : body + len(data)] = data
        self._ring[place:body] = head + crc
        self._take(place, need)
        return place

    def _take(self, place: int, blocks: int) -> None:
        self._used.append(place)
        self._sizes[place] = blocks
        self._head = (place - _HEAD_SIZE) // BLOCK + blocks

    def renew(self, places: Iterable[int]) -> None:
        """Write records again: Linux takes pages for written that a `sync` failed to write."""
        for place in places:
            end = place + self._sizes[place] * BLOCK
            self._ring[place:end] = self._ring[place:end]

    def remove(self, place: int) -> None:
        """The record at a place is in the store."""
        del self._sizes[place]
        self._ring[place : place + len(_NO_MARK)] = _NO_MARK
        while self._used and self._used[0] not in self._sizes:
            self._used.popleft()

    def _room(self, need: int) -> int:
        """The first of `need` free blocks in a row; -1 without."""
        if not self._used:
            return 0
        head = self._head
        oldest = (self._used[0] - _HEAD_SIZE) // BLOCK
        if head <= oldest:
            return head if head + need <= oldest else -1
        if head + need <= self._blocks:
            return head
        return 0 if need <= oldest else -1

    def _read_rows(self) -> None:
        """Take in what a former run left; what it was writing when it ended is left out."""
        found: list[tuple[int, int, int, Row]] = []
        unfinished = 0
        place, end = _HEAD_SIZE, len(self._ring)
        while place < end:
            blocks = 1
            if self._ring[place : place + len(_ENTRY_MARK)] == _ENTRY_MARK:
                entry = self._read_entry(place)
                if entry is None:
                    unfinished += 1
                    self._ring[place : place + len(_NO_MARK)] = _NO_MARK
                else:
                    found.append(entry)
                    blocks = entry[2]
            place += blocks * BLOCK
        if unfinished:
            _log.warning("%s: %d CDRs are unfinished and left out", self.path, unfinished)
        found.sort()
        for sequence, place, blocks, row in found:
            self._sequence = sequence
            self._take(place, blocks)
            self.rows.append((place, row))

    def _read_entry(self, place: int) -> tuple[int, int, int, Row] | None:
        """Sequence, place, blocks and record of an entry; None unless it is whole."""
        ring = self._ring
        _, sequence, size = _ENTRY.unpack_from(ring, place)
        (crc,) = _CRC.unpack_from(ring, place + _ENTRY.size)
        body = place + _ENTRY_HEAD
        if body + size > len(ring):
            return None
        data = ring[body : body + size]
        if zlib.crc32(data, zlib.crc32(ring[place : place + _ENTRY.size])) != crc:
            return None
        row = tuple(json.loads(data))
        if len(row) != len(COLUMNS):
            return None
        return sequence, place, -(-(_ENTRY_HEAD + size) // BLOCK), row


def _locked(path: Path) -> int:
    """Open a file that nobody else has open so. Raises OSError and ServiceError."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise ServiceError(
            f"server.data_dir: another server runs on {str(path.parent)!r}; stop it, or choose "
            "another folder by --data-dir"
        ) from None
    except OSError:
        os.close(file)
        raise
    return file
