"""The timer wheel: 5 ms a tick, never early, in order."""

import pytest

from sip.timers import Timers, TimerWheel


class Recorder:
    """Notes which timers fire."""

    def __init__(self) -> None:
        self.fired: list[tuple[int, float]] = []

    def timer_fired(self, what: int, now: float) -> None:
        self.fired.append((what, now))


def test_values_of_table_4() -> None:
    timers = Timers()
    assert (timers.t1, timers.t2, timers.t4, timers.timeout) == (0.5, 4.0, 5.0, 32.0)
    assert Timers(t1=0.1).timeout == 6.4


def test_a_timer_fires_at_the_tick_after_its_time() -> None:
    wheel, target = TimerWheel(), Recorder()
    wheel.start(0.0, 0.5, target, 7)
    due = wheel.next_time()
    assert due is not None
    assert 0.5 < due <= 0.505
    wheel.advance(due - 0.001)
    assert target.fired == []
    wheel.advance(due)
    assert target.fired == [(7, due)]
    assert wheel.next_time() is None
    assert wheel.fired == 1


def test_timers_fire_in_order_of_time() -> None:
    wheel, target = TimerWheel(), Recorder()
    for what, delay in enumerate((0.3, 0.1, 0.2, 0.1)):
        wheel.start(0.0, delay, target, what)
    assert wheel.running == 4
    wheel.advance(1.0)
    assert [what for what, _ in target.fired] == [1, 3, 2, 0]


def test_a_stopped_timer_is_silent() -> None:
    wheel, target = TimerWheel(), Recorder()
    timer = wheel.start(0.0, 0.1, target, 1)
    timer.stop()
    timer.stop()
    assert wheel.running == 0
    wheel.advance(1.0)
    assert target.fired == []


def test_a_timer_may_start_another_while_it_fires() -> None:
    wheel = TimerWheel()

    class Again(Recorder):
        def timer_fired(self, what: int, now: float) -> None:
            super().timer_fired(what, now)
            wheel.start(now, 0.0, self, what + 1)

    target = Again()
    wheel.start(0.0, 0.0, target, 1)
    wheel.advance(0.1)
    assert [what for what, _ in target.fired] == [1]  # the next tick is another round
    wheel.advance(0.2)
    assert [what for what, _ in target.fired] == [1, 2]


def test_a_clock_that_is_a_hair_early_still_fires() -> None:
    wheel, target = TimerWheel(), Recorder()
    for number in range(1, 2000):
        wheel.start(number * 0.0013, 0.0007, target, number)
        due = wheel.next_time()
        assert due is not None
        wheel.advance(due - 1e-9)  # the resolution of an event loop's clock
    assert len(target.fired) == 1999


def test_a_timer_that_fails_does_not_take_its_neighbours_along() -> None:
    wheel, target = TimerWheel(), Recorder()

    class Broken:
        def timer_fired(self, what: int, now: float) -> None:
            raise RuntimeError(what)

    wheel.start(0.0, 0.1, target, 1)
    wheel.start(0.0, 0.1, Broken(), 2)
    wheel.start(0.0, 0.1, target, 3)
    with pytest.raises(RuntimeError):
        wheel.advance(1.0)
    assert wheel.running == 1
    wheel.advance(1.0)
    assert [what for what, _ in target.fired] == [1, 3]
    assert wheel.next_time() is None


@pytest.mark.parametrize("now", [36.29999999999994, 36.3 - 1e-9, 0.065, 13 / 200 - 1e-12])
def test_no_timer_is_due_when_it_starts(now: float) -> None:
    """One that starts another of no length has to let the time pass, or it never ends."""
    wheel = TimerWheel()

    class Again(Recorder):
        def timer_fired(self, what: int, now: float) -> None:
            super().timer_fired(what, now)
            if len(self.fired) < 10:
                wheel.start(now, 0.0, self, what)

    target = Again()
    wheel.start(now - 0.01, 0.0, target, 1)
    wheel.advance(now)
    assert len(target.fired) == 1


def test_timers_that_share_a_tick_wake_the_process_once() -> None:
    wheel = TimerWheel()
    target = Recorder()
    for what, delay in enumerate((0.996, 1.001, 1.006, 1.013)):
        wheel.start(0.0, delay, target, what, 4)
    wheel.advance(0.995)
    assert target.fired == []
    wheel.advance(1.0)
    assert [what for what, _ in target.fired] == [0]
    assert wheel.next_time() == 1.02
    wheel.advance(1.015)
    assert len(target.fired) == 1
    wheel.advance(1.02)
    assert [what for what, _ in target.fired] == [0, 1, 2, 3]
