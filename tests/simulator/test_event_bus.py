"""The event bus: the ring, its cursors, and who reads."""

import pytest

from simulator.errors import EventsGone, TooManyReaders
from simulator.event_bus import IDLE, MOST_READERS, MOST_TEXT, EventBus, EventReader
from simulator.event_views import CallStateChanged, ServiceStateChanged

NOON = 1_780_000_000.5


class Clock:
    """Time, as the test says."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def bus_of(kept: int = 10, clock: Clock | None = None, begin: float = NOON) -> EventBus:
    """It begins at `begin`, a time of day; its clock is at 100 s then."""
    return EventBus(kept, clock or Clock(), lambda now: begin - Clock.now + now)


def publish_call(bus: EventBus, number: int, guid: str = "A") -> None:
    bus.publish(CallStateChanged, bus._clock(), (guid, "1", "2", "connected", str(number)))


def publish_service(bus: EventBus) -> None:
    values = ("callsim", "callsim", "SIP", "running", "stopped", "over")
    bus.publish(ServiceStateChanged, 101.0, values)


def publish(bus: EventBus, first: int, last: int) -> None:
    """Events with these numbers."""
    for number in range(first, last + 1):
        publish_call(bus, number)


def reader_of(bus: EventBus, cursor: int | None = None) -> EventReader:
    return bus.reader(lambda: None, cursor)


def numbers(reader: EventReader, most: int = 1000) -> list[int]:
    found = reader.take(most)
    return [int(event.details or "") for event in found if isinstance(event, CallStateChanged)]


def test_nothing_is_on_before_somebody_reads() -> None:
    bus = bus_of()
    assert not bus.on
    reader_of(bus)
    assert bus.on


def test_a_reader_gets_what_comes_in_order_and_once() -> None:
    bus = bus_of()
    reader = reader_of(bus)
    publish(bus, 1, 3)
    assert numbers(reader) == [1, 2, 3]
    assert numbers(reader) == []
    publish(bus, 4, 5)
    assert reader.behind
    assert numbers(reader) == [4, 5]
    assert not reader.behind


def test_who_comes_later_does_not_get_what_was_before() -> None:
    bus = bus_of()
    reader_of(bus)
    publish(bus, 1, 3)
    late = reader_of(bus)
    publish(bus, 4, 4)
    assert numbers(late) == [4]


def test_what_comes_out_is_what_went_in() -> None:
    bus = bus_of()
    reader = reader_of(bus)
    publish_call(bus, 7)
    publish_service(bus)
    assert reader.take(10) == [
        CallStateChanged(bus.first, NOON, "A", "1", "2", "connected", "7"),
        ServiceStateChanged(
            bus.last, NOON + 1.0, "callsim", "callsim", "SIP", "running", "stopped", "over"
        ),
    ]


def test_cursors_rise_by_one_and_are_below_what_javascript_counts_to() -> None:
    bus = bus_of()
    reader = reader_of(bus)
    publish(bus, 1, 3)
    cursors = [event.cursor for event in reader.take(10)]
    assert cursors == [int(NOON * 1_000_000) + one for one in (1, 2, 3)]
    assert cursors[-1] < 2**53


def test_a_look_at_so_many() -> None:
    bus = bus_of()
    reader = reader_of(bus)
    publish(bus, 1, 5)
    assert numbers(reader, 2) == [1, 2]
    assert reader.behind
    assert numbers(reader, 2) == [3, 4]
    assert numbers(reader, 2) == [5]


@pytest.mark.parametrize("events", [1, 9, 10, 11, 19, 20, 21, 35])
def test_who_comes_back_gets_what_was_missed(events: int) -> None:
    """Wherever the ring begins: what is kept can be read from every cursor."""
    bus = bus_of(kept=10)
    start = bus.last
    reader = reader_of(bus)
    publish(bus, 1, events)
    oldest = max(0, events - 10)
    assert bus.first == start + oldest + 1
    for seen in range(oldest, events + 1):
        assert numbers(reader_of(bus, start + seen)) == list(range(seen + 1, events + 1))
    if oldest:
        with pytest.raises(EventsGone, match=f"event {start + oldest - 1} .*from {start + oldest}"):
            reader_of(bus, start + oldest - 1)
        with pytest.raises(EventsGone):
            reader.take(1)


def test_the_ring_does_not_grow() -> None:
    bus = bus_of(kept=10)
    reader_of(bus)
    publish(bus, 1, 1000)
    assert len(bus._ring) == 10


def test_long_texts_leave_room_for_fewer() -> None:
    """What a caller writes may be 64 KiB, and there may be tens of thousands of events."""
    text = "a" * (MOST_TEXT // 8)
    bus = bus_of(kept=1_000)
    reader_of(bus)
    publish(bus, 1, 500)
    reader = reader_of(bus)
    for _ in range(20):
        publish_call(bus, 0, text)
    assert 7 <= len(bus._ring) <= 8
    with pytest.raises(EventsGone):
        reader.take(1)
    publish(bus, 1, 500)  # the long ones go as others come
    assert numbers(reader_of(bus, bus.last - 500)) == list(range(1, 501))
    assert bus._text < MOST_TEXT
    publish(bus, 1, 1_000)
    assert len(bus._ring) == 1_000
    assert bus._text < 1_000 * 20


def test_another_size_counts_from_the_next_start() -> None:
    clock = Clock()
    bus = bus_of(10, clock)
    reader = reader_of(bus)
    publish(bus, 1, 15)
    bus.kept = 20
    publish(bus, 16, 40)
    assert numbers(reader_of(bus, bus.first - 1)) == list(range(31, 41))
    reader.leave()
    for one in list(bus.readers):
        one.leave()
    clock.now += IDLE + 1
    publish(bus, 41, 41)
    reader_of(bus)
    publish(bus, 1, 25)
    assert numbers(reader_of(bus, bus.first - 1)) == list(range(6, 26))


def test_a_cursor_of_a_former_run_is_gone() -> None:
    before = bus_of(begin=NOON)
    reader_of(before)
    publish(before, 1, 9)
    after = bus_of(begin=NOON + 1.0)
    with pytest.raises(EventsGone):
        reader_of(after, before.last)
    assert before.last < after.first


def test_a_cursor_that_was_never_given_is_gone() -> None:
    bus = bus_of()
    reader_of(bus)
    publish(bus, 1, 3)
    with pytest.raises(EventsGone):
        reader_of(bus, bus.last + 1)


def test_an_hour_without_readers_ends_it() -> None:
    clock = Clock()
    bus = bus_of(clock=clock)
    reader = reader_of(bus)
    publish(bus, 1, 2)
    clock.now += 2 * IDLE
    publish(bus, 3, 3)
    assert bus.on, "somebody reads, if ever so long"
    reader.leave()
    clock.now += IDLE
    publish(bus, 4, 4)
    assert numbers(reader_of(bus, reader.position)) == [1, 2, 3, 4]
    for one in list(bus.readers):
        one.leave()
    last = bus.last
    clock.now += IDLE + 1
    publish(bus, 5, 5)
    assert not bus.on
    assert not bus._ring
    with pytest.raises(EventsGone):  # 5 was not kept
        reader_of(bus, last)
    again = reader_of(bus)
    publish(bus, 6, 7)
    assert numbers(again) == [6, 7]


def test_each_reader_is_woken() -> None:
    bus = bus_of()
    woken: list[str] = []
    first = bus.reader(lambda: woken.append("first"))
    bus.reader(lambda: woken.append("second"))
    publish_call(bus, 1)
    assert woken == ["first", "second"]
    first.leave()
    publish_call(bus, 2)
    assert woken == ["first", "second", "second"]


def test_only_some_types() -> None:
    bus = bus_of()
    reader = bus.reader(lambda: None, types=frozenset({"system.service_state_changed"}))
    publish_call(bus, 1)
    publish_service(bus)
    assert [event.event_type for event in reader.take(10)] == ["system.service_state_changed"]
    assert reader.position == bus.last


def test_only_one_call() -> None:
    bus = bus_of()
    reader = bus.reader(lambda: None, guid="B")
    for number, guid in enumerate("ABAB"):
        publish_call(bus, number, guid)
    publish_service(bus)
    assert numbers(reader) == [1, 3]


def test_one_reader_too_many() -> None:
    bus = bus_of()
    readers = [reader_of(bus) for _ in range(MOST_READERS)]
    with pytest.raises(TooManyReaders):
        reader_of(bus)
    readers[0].leave()
    readers[0].leave()
    reader_of(bus)


def test_the_end() -> None:
    bus = bus_of()
    woken: list[int] = []
    reader = bus.reader(lambda: woken.append(1))
    bus.close()
    assert reader.closing
    assert woken == [1]
