"""Somebody sets the clock: each call keeps the time of day that it began with."""

import time

import pytest

from simulator.event_views import CallEnded
from tests.simulator.flows.world import World


def set_clock(world: World, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    """The time of day is another one, and that is noticed."""
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + step)
    world.server.epoch = true_time() - world.network.now  # so much has passed in this world
    world.server.news.look_around(0.0)


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_the_times_of_a_call_fit_together(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: float
) -> None:
    first = world.connected()
    before = world.server.call_detail(world.call.guid)
    reader = world.server.events.reader(lambda: None)
    set_clock(world, monkeypatch, step)
    assert f"the clock was set by {step:+.1f} s" in caplog.text
    after = world.server.call_detail(world.call.guid)
    assert (after.start_time, after.history[0]) == (before.start_time, before.history[0])
    second = world.dial("5000")
    world.run(10.0)
    first.hang_up()
    second.hang_up()
    world.run()
    early, late = world.store.records
    assert early.call_start_time == int(before.start_time * 1000)
    assert 10_000 < early.call_end_time - early.call_start_time < 20_000
    assert early.legs[0].end_time - early.legs[0].start_time < 20_000
    assert abs(late.call_start_time / 1000 - time.time()) < 60.0
    assert 10_000 <= late.call_end_time - late.call_start_time < 11_000
    ends = [event for event in reader.take(100) if isinstance(event, CallEnded)]
    assert [abs(event.timestamp - time.time()) < 60.0 for event in ends] == [True, True]
    world.settle()


def test_a_clock_that_is_right_is_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    set_clock(world, monkeypatch, 0.1)
    assert "the clock was set" not in caplog.text
