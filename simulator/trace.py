"""The trace of calls: their SIP messages on all legs, for a while after their end too.

While calls run it only copies each message to the end of a log, whose begin makes room; what
calls in progress said stays. What belongs to which call, what is a secret, where our end was:
all that is found out when somebody asks, in the thread of who asks.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from simulator.errors import TraceNotFound
from simulator.trace_log import ENDED, HEAD, IN, NOTE, OUT, Piece, Record
from simulator.trace_reader import TraceReader, legs_of, name_of
from simulator.trace_views import TracedCallView as TracedCallView
from simulator.trace_views import TracedMessage as TracedMessage
from simulator.trace_views import TraceStateView as TraceStateView
from simulator.trace_views import TraceView as TraceView
from sip.transport import Address, Listener

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.config_sections import TraceSection
    from simulator.leg import Leg
    from simulator.server import CallServer
    from simulator.trace_log import End, Entry

_PIECES: Final = 32
_LEAST: Final = 64 << 10
_MOST: Final = 256 << 10
"""Octets of a piece at most: to look through it takes a millisecond."""

_AT_A_TIME: Final = 3
_FRESH: Final = 64  # messages that are written together
_BEFORE: Final = 0.5  # seconds by which a leg's first message may be older than the leg


class Trace:
    """The messages of the calls of `server`, in so many octets (``trace.memory``)."""

    def __init__(self, server: "CallServer", section: "TraceSection") -> None:
        self._server = server
        self._section = section
        self._most = section.memory << 20
        self._least = min(max(_LEAST, self._most // _PIECES), _MOST)
        self.enabled = False
        self._pieces: list[Piece] = []  # the oldest first
        self._size = 0  # their octets
        self._piece = Piece(0, 0, 0, 0)  # the last of them
        self._fresh: list[Entry] = []
        self._number = 0  # of the last message
        self._saved = 0  # how many were moved from a piece that went
        self._legs: dict[bytes, Leg] = {}  # of calls in progress, by Call-ID
        self._omitted: dict[bytes, int] = {}  # by Call-ID as well
        self.restore()

    def restore(self) -> None:
        """On or off, as configured."""
        self.switch(on=self._section.enabled)

    def switch(self, *, on: bool) -> None:
        """Turn it on, from now on for calls in progress too, or off: nothing is kept then."""
        if on == self.enabled:
            return
        self.enabled = on
        if on:
            for call in self._server.calls.values():
                for leg in call.legs:
                    self.joined(leg)
            self._server.stack.add_tap(self._take)
        else:
            self._server.stack.remove_tap(self._take)
            self._fresh.clear()
            self._pieces.clear()
            self._size = 0
            self._piece = Piece(0, 0, 0, 0)
            self._legs.clear()
            self._omitted.clear()

    def _take(
        self, direction: str, data: bytes, listener: Listener, address: Address, now: float
    ) -> None:
        end: End = (listener, None, address)
        if listener.reliable:
            local, address = listener.path(address)
            end = (listener, local, address)
        self._number = number = self._number + 1
        fresh = self._fresh
        fresh.append((now, number, IN if direction == "in" else OUT, False, end, data))
        if len(fresh) == _FRESH:
            self._flush()

    def mark(self, call_id: str, text: str, now: float) -> None:
        """Note something between the messages of a leg."""
        if self.enabled:
            self._number += 1
            note = name_of(call_id) + b"\n" + text.encode("utf-8", "surrogateescape")
            self._write(NOTE, now, note)

    def joined(self, leg: "Leg") -> None:
        """A leg is of its call from now on."""
        if self.enabled:
            self._legs[name_of(leg.session.dialog.call_id)] = leg

    def ended(self, call: "Call", now: float) -> None:
        """A call is over: its legs are known by its GUID from now on."""
        if not self.enabled:
            return
        legs = legs_of(call)
        omitted = 0
        lines = [call.guid.encode(), b""]
        for name, kind in legs.items():
            lines += [name, kind.encode()]
            omitted += self._omitted.pop(name, 0)
            leg = self._legs.get(name)
            if leg is not None and leg.call is call:  # else it was moved to another call
                del self._legs[name]
        lines[1] = b"%d" % omitted
        self._write(ENDED, now, b"\n".join(lines))

    def _write(self, kind: int, now: float, data: bytes) -> None:
        self._fresh.append((now, self._number, kind, False, None, data))
        if len(self._fresh) >= _FRESH:
            self._flush()

    def _flush(self) -> None:
        """Write what has come: together, as what that takes is in the caches then."""
        fresh = self._fresh
        place = 0
        while (place := self._piece.put(fresh, place)) < len(fresh):
            self._turn(Record(*fresh[place]))
            place += 1
        fresh.clear()

    # Room.

    def _turn(self, record: Record) -> None:
        """Begin a piece with a record for which the last had no room.

        The oldest ones go, but few at a time, as calls wait meanwhile. What is saved of them
        comes on top of what a piece is for, so that each turn makes room for messages to come.
        """
        need = HEAD + len(record.data)
        most = self._most - self._least - need
        looked = 0
        kept: list[Record] = []
        while self._size > most and self._pieces and looked < _AT_A_TIME * self._least + need:
            oldest = self._pieces.pop(0)
            self._size -= len(oldest.octets)
            looked += len(oldest.octets)
            self._save(oldest, kept)
        saved = _octets(kept)
        number = record.number - 1 if record.kind != ENDED else record.number
        piece = Piece(saved + need + self._least, len(kept), number, number + self._saved)
        piece.saved = saved
        self._saved += len(kept)
        first: list[Entry] = [*kept, record]
        piece.put(first, 0)
        self._piece = piece
        self._pieces.append(piece)
        self._size += len(piece.octets)

    def _save(self, piece: Piece, kept: list[Record]) -> None:
        """Add to `kept` what calls in progress said in a piece that goes. They have half of the
        room."""
        before = _BEFORE + self._server.config.admission.delay  # it may have waited at the door
        until = piece.until + before
        if not any([leg.started <= until for leg in self._legs.values()]):
            return  # whoever said something in it is gone: no need to look
        live = self._server.calls
        room = self._most // 2 - sum([one.saved for one in self._pieces]) - _octets(kept)
        for record in piece.records(piece.used):
            leg = self._legs.get(name := record.call_id) if record.kind != ENDED else None
            if leg is None or leg.call.guid not in live:
                continue
            room -= HEAD + len(record.data)
            if room >= 0:
                kept.append(record._replace(saved=True))
            else:
                self._omitted[name] = self._omitted.get(name, 0) + 1

    # What readers ask.

    def state(self) -> TraceStateView:
        """Whether it is on, and how much there is."""
        self._flush()
        messages = 0
        if self._pieces:
            messages = self._number + self._saved - self._pieces[0].count
        return TraceStateView(self.enabled, messages, sum([one.used for one in self._pieces]))

    def messages(self, name: str) -> list[TracedMessage]:
        """The messages of `of`, masked."""
        return self.of(name).messages

    def of(self, name: str, after: int = 0) -> TraceView:
        """What `reader` returns, at once."""
        return self.reader(name, after)()

    def reader(self, name: str, after: int = 0) -> Callable[[], TraceView]:
        """What gives, in any thread, all that is kept now of a call, by its GUID or the Call-ID
        of one of its legs: of its messages those whose number is higher than `after`.

        This, and what it gives, raise TraceNotFound.
        """
        if not self.enabled:
            raise TraceNotFound("the trace is off: PUT /sim/v1/trace turns it on, for new messages")
        reader = self._reader()
        call = self._server.calls.get(name.upper())
        if call is not None:
            return lambda: reader.of_call(call, after)
        return lambda: reader.of(name, after)

    def calls(self, limit: int) -> list[TracedCallView]:
        """The calls of which something is kept, those that began last first."""
        return self.lister(limit)()

    def lister(self, limit: int) -> Callable[[], list[TracedCallView]]:
        """What gives `calls`, in any thread."""
        reader = self._reader()
        return lambda: reader.calls(limit)

    def _reader(self) -> TraceReader:
        """Of what there is now."""
        self._flush()
        pieces = [(piece, piece.used) for piece in self._pieces]
        live = tuple(self._server.calls.values())
        return TraceReader(pieces, live, self._omitted, self._server.wall)


def _octets(records: list[Record]) -> int:
    return sum([HEAD + len(record.data) for record in records])
