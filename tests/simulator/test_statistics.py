"""The figures of a Call Server: by interval, and since the start [OPS]."""

import pytest

from simulator.statistics import Counts, Statistics


def test_an_interval_ends_with_the_first_call_after_it() -> None:
    statistics = Statistics(100.0, 600.0)
    statistics.new_call(150.0)
    statistics.new_call(699.9)
    assert (statistics.current.new_calls, statistics.last.new_calls) == (2, 0)
    statistics.new_call(700.0)
    assert (statistics.current.new_calls, statistics.last.new_calls) == (1, 2)
    assert (statistics.last_end, statistics.next_end) == (700.0, 1300.0)
    assert statistics.total().new_calls == 3


def test_without_calls_the_interval_before_is_an_empty_one() -> None:
    statistics = Statistics(0.0, 600.0)
    statistics.new_call(1.0)
    statistics.roll(1250.0)
    assert (statistics.current.new_calls, statistics.last.new_calls) == (0, 0)
    assert statistics.last_end == 1200.0
    assert statistics.total().new_calls == 1


def test_announcements_are_counted_by_kind() -> None:
    statistics = Statistics(0.0, 600.0)
    for whisper, played in ((True, True), (True, False), (False, False), (False, True)) * 2:
        statistics.announced(whisper=whisper, played=played)
    statistics.announced(whisper=False, played=True)
    counts = statistics.total()
    assert (counts.whispers, counts.failed_whispers) == (2, 2)
    assert (counts.greetings, counts.failed_greetings) == (3, 2)


def test_a_look_within_the_interval_changes_nothing() -> None:
    statistics = Statistics(0.0, 600.0)
    statistics.new_call(1.0)
    statistics.roll(599.0)
    assert statistics.current.new_calls == 1


def test_another_length_of_the_interval() -> None:
    statistics = Statistics(0.0, 600.0)
    statistics.new_call(1.0)
    statistics.change_interval(100.0, 600.0)
    assert statistics.current.new_calls == 1
    statistics.change_interval(100.0, 1800.0)
    assert (statistics.current.new_calls, statistics.last.new_calls) == (0, 1)
    assert statistics.next_end == 1900.0
    assert statistics.total().new_calls == 1


def test_everything_that_is_counted_is_added_up() -> None:
    one, total = Counts(), Counts()
    for number, name in enumerate(Counts.__slots__, 1):
        setattr(one, name, number)
    total.add(one)
    total.add(one)
    for number, name in enumerate(Counts.__slots__, 1):
        assert getattr(total, name) == 2 * number, name


def test_the_latency_from_connect_to_answer() -> None:
    statistics = Statistics(0.0, 600.0)
    assert statistics.current.average_latency == 0.0
    statistics.answered(1.0)
    statistics.answered(2.0)
    assert statistics.current.average_latency == 1.5


def test_the_rate_is_that_of_the_last_ten_whole_seconds() -> None:
    statistics = Statistics(0.0, 600.0)
    for tenth in range(200):  # ten calls a second for twenty seconds
        statistics.new_call(tenth / 10)
    assert statistics.calls_per_second(20.0) == pytest.approx(10.0)
    assert statistics.calls_per_second(25.0) == pytest.approx(5.0)
    assert statistics.calls_per_second(40.0) == 0.0


def test_the_rate_right_after_the_start() -> None:
    statistics = Statistics(0.0, 600.0)
    statistics.new_call(0.5)
    assert statistics.calls_per_second(0.9) == 0.0
    assert statistics.calls_per_second(1.0) == 1.0
