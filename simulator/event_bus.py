"""The event bus: the last events in a ring, and who reads them.

A reader has no buffer of its own, only a place in the ring; so readers cost the same memory
however slow they are, and who falls behind by the whole ring is out. Nothing is kept before
somebody has asked, nor once nobody has read for `IDLE` seconds. What is kept are the values
of an event: its view is made for who reads it.

A cursor is a whole number, one higher for each event. The first of a run is made from the
time, in microseconds: so cursors rise from run to run as well, and one of a former run is
older than the ring. They stay below 2**53, what JavaScript can count to, for 200 years.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from simulator.errors import EventsGone, TooManyReaders
from simulator.event_views import CallEventView, EventView

IDLE: Final = 3600.0
"""Seconds without a reader, after which events are not kept any more."""

MOST_READERS: Final = 200
"""Readers at a time."""

MOST_TEXT: Final = 16_000_000
"""Characters of text in the ring: what callers write can be long. The oldest goes for more."""

_GUID: Final = 0  # its place among the values of a call's event


Kind: TypeAlias = type[EventView]
Values: TypeAlias = tuple[object, ...]
"""What a view is made of, besides cursor and timestamp, in the order of its fields."""

Entry: TypeAlias = tuple[Kind, float, Values]
"""Its second part is the time of day, in seconds since the epoch."""


class EventBus:
    """The last `kept` events. `wall` gives the time of day for a time of `clock`.

    Who has an event asks `on` first, so that none is made for nobody. `last` is the cursor
    of the newest event; `kept` counts from the next time that events begin to be kept.
    Of events with more than `MOST_TEXT` together there are fewer. `published` are all since the
    start.
    """

    __slots__ = (
        "_clock",
        "_left",
        "_most",
        "_ring",
        "_text",
        "kept",
        "last",
        "on",
        "published",
        "readers",
        "wall",
    )

    def __init__(
        self, kept: int, clock: Callable[[], float], wall: Callable[[float], float]
    ) -> None:
        self.kept = kept
        self.on = False
        self.last = int(wall(clock()) * 1_000_000)
        self.published = 0
        self.readers: list[EventReader] = []
        self._clock = clock
        self.wall = wall
        self._ring: deque[Entry] = deque()
        self._most = kept  # entries of this ring
        self._text = 0  # characters in it
        self._left = 0.0  # when the last reader went

    def publish(self, kind: Kind, now: float, values: Values) -> None:
        """Add an event, and wake the readers."""
        if not self.readers and now - self._left > IDLE:
            self._switch_off()
            return
        self.last += 1
        self.published += 1
        ring = self._ring
        ring.append((kind, self.wall(now), values))
        self._text += _text_of(values)
        while len(ring) > self._most or self._text > MOST_TEXT:
            self._text -= _text_of(ring.popleft()[2])
        for reader in self.readers:
            reader.wake()

    @property
    def first(self) -> int:
        """The cursor of the oldest event in the ring."""
        return self.last - len(self._ring) + 1

    def at(self, cursor: int) -> Entry:
        """The event with a cursor from `first` to `last`."""
        return self._ring[cursor - self.last - 1]  # from the end: most readers are there

    def _switch_off(self) -> None:
        self.on = False
        self._ring = deque()
        self._text = 0
        self.last += 1  # what comes now is not kept: no present cursor leads beyond it

    def reader(
        self,
        wake: Callable[[], None],
        cursor: int | None = None,
        types: frozenset[str] | None = None,
        guid: str | None = None,
    ) -> "EventReader":
        """A reader of what follows the event `cursor`, or of what comes from now on.

        `wake` is called when there is something to take. Only events of these types are
        taken, and those of the call `guid`. Raises EventsGone and TooManyReaders.
        """
        if len(self.readers) >= MOST_READERS:
            raise TooManyReaders(f"{MOST_READERS} readers are there already; end one of them")
        if cursor is None:
            cursor = self.last
        self.check(cursor)
        if not self.on:
            self.on = True
            self._most = self.kept
        reader = EventReader(self, wake, cursor, types, guid)
        self.readers.append(reader)
        return reader

    def check(self, cursor: int) -> None:
        """Whether all that follows the event `cursor` is there. Raises EventsGone."""
        if not self.first - 1 <= cursor <= self.last:
            raise EventsGone(
                f"what followed event {cursor} is not kept any more: look at the calls anew and "
                f"read on without a cursor, or from {self.first - 1}, the oldest that will do"
            )

    def left(self, reader: "EventReader") -> None:
        """A reader reads no more."""
        if reader in self.readers:
            self.readers.remove(reader)
            self._left = self._clock()

    def close(self) -> None:
        """Ask all readers to take what is there, and go."""
        for reader in self.readers:
            reader.close()


class EventReader:
    """One who reads: `position` is the cursor of the last event that was looked at.

    `closing`: it takes what is there, and goes.
    """

    __slots__ = ("_bus", "_guid", "_types", "closing", "position", "wake")

    def __init__(
        self,
        bus: EventBus,
        wake: Callable[[], None],
        position: int,
        types: frozenset[str] | None,
        guid: str | None,
    ) -> None:
        self._bus = bus
        self._types = types
        self._guid = guid
        self.wake = wake
        self.position = position
        self.closing = False

    @property
    def behind(self) -> bool:
        """Whether there is something that was not looked at."""
        return self.position < self._bus.last

    def take(self, most: int) -> list[EventView]:
        """The next events, of `most` that are looked at. Raises EventsGone when it was too slow."""
        bus = self._bus
        bus.check(self.position)
        end = self.position + most
        if end > bus.last:
            end = bus.last
        found = []
        for cursor in range(self.position + 1, end + 1):
            kind, at, values = bus.at(cursor)
            if self._wants(kind, values):
                found.append(_view(kind, cursor, at, values))
        self.position = end
        return found

    def _wants(self, kind: Kind, values: Values) -> bool:
        if self._types is not None and kind.event_type not in self._types:
            return False
        if self._guid is None:
            return True
        return issubclass(kind, CallEventView) and values[_GUID] == self._guid

    def close(self) -> None:
        """Take what is there, and go."""
        self.closing = True
        self.wake()

    def leave(self) -> None:
        """Read no more."""
        self._bus.left(self)


def _text_of(values: Values) -> int:
    """The characters of its texts."""
    return sum([len(value) for value in values if isinstance(value, str)])


def _view(
    kind: Callable[..., EventView], cursor: int, timestamp: float, values: Values
) -> EventView:
    return kind(cursor, timestamp, *values)
