"""The octets of the trace: a log of SIP messages in memory, in pieces, the oldest of which goes.

Whoever writes only appends. What belongs to which call is found out by who reads.
"""

import re
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from sip.transport import Address, Listener

IN: Final = 0
OUT: Final = 1
NOTE: Final = 2
ENDED: Final = 3
"""Kinds of a `Record`: a message that came, one that went, a note between messages of a leg
(Call-ID, line feed, text), and the end of a call: GUID, omitted messages and its legs, a line each
(Call-ID, kind)."""

_CALL_ID: Final = re.compile(rb"\n(?:call-id|i)[ \t]*:[ \t\r\n]*([^ \t\r\n]+)", re.IGNORECASE)
_BLANK: Final = re.compile(rb"[\r\n]*")

_HEAD: Final = Struct("<dQIIBB")
_LENGTH: Final = Struct("<I")
_LENGTH_AT: Final = Struct("<dQ").size
HEAD: Final = _HEAD.size
"""Octets of a record beside its data."""

End = tuple[Listener, Address | None, Address]
"""By which listener, our end where a connection says it, and the peer."""


Entry = tuple[float, int, int, bool, End | None, bytes]
"""What a `Record` says, in its order."""


class Record(NamedTuple):
    """One entry: `time` of the loop's clock; `number` rises from message to message. A `saved`
    one was moved from a piece that went."""

    time: float
    number: int
    kind: int
    saved: bool
    end: End | None
    data: bytes

    @property
    def call_id(self) -> bytes:
        """Of a message or note; empty where there is none."""
        data = self.data
        if self.kind == NOTE:
            return data.partition(b"\n")[0]
        begin = _BLANK.match(data)
        end = data.find(b"\r\n\r\n", begin.end() if begin is not None else 0)
        found = _CALL_ID.search(data, 0, end if end >= 0 else len(data))
        return found[1] if found is not None else b""


class Piece:
    """A part of the log. `number` is that of the last message before it, `count` how many had
    been written until then; its first `saved` octets were moved here. `until` is the time of the
    last record. A peer of which it has nothing takes memory besides: there may be one for each
    KiB, and `peers` more."""

    __slots__ = ("_ends", "_most_ends", "count", "number", "octets", "saved", "until", "used")

    def __init__(self, size: int, peers: int, number: int, count: int) -> None:
        self.octets = bytearray(size)
        self.used = 0
        self.until = 0.0
        self.number = number
        self._most_ends = peers + size // 1024
        self.count = count
        self.saved = 0
        self._ends: dict[End | None, int] = {}

    def put(self, records: list[Entry], begin: int) -> int:
        """Append the records from that place on while there is room; the place of the first for
        which there is none."""
        octets = self.octets
        size = len(octets)
        ends = self._ends
        after = self.used
        time = self.until
        for place in range(begin, len(records)):
            time, number, kind, saved, end, data = records[place]
            at = after
            body = at + HEAD
            after = body + len(data)
            index = ends.get(end, -1)
            if after > size or (index < 0 and len(ends) >= self._most_ends):
                self.used = at
                self.until = time
                return place
            if index < 0:
                index = ends[end] = len(ends)
            _HEAD.pack_into(octets, at, time, number, len(data), index, kind, saved)
            octets[body:after] = data
        self.used = after
        self.until = time
        return len(records)

    def records(self, until: int) -> Iterator[Record]:
        """What is in the first `until` octets. Any thread may read them while more come."""
        return self.having(b"", until)

    def having(self, name: bytes, until: int) -> Iterator[Record]:
        """Those of `records` whose data has `name` in it."""
        octets = self.octets
        ends = list(self._ends)
        after = 0
        while (hit := octets.find(name, after, until)) >= 0 and after < until:
            at = after
            while (after := at + HEAD + _LENGTH.unpack_from(octets, at + _LENGTH_AT)[0]) <= hit:
                at = after
            time, number, length, index, kind, saved = _HEAD.unpack_from(octets, at)
            data = bytes(octets[after - length : after])
            yield Record(time, number, kind, saved == 1, ends[index], data)
