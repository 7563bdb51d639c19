"""The overload curve: what is counted as completed, lost, recovered, and drawn."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.overload import Point, draw, offer, outcome_of, recovered, recovery
from benchmarks.plots import NoPlots
from benchmarks.subjects import Callsim

POINT = Point(1.0, 1000, 990, 0.01, 2, 9, 0, 8000, 0, 0, 0.98, 0.3, 100, "server")
LAST = replace(POINT, factor=3.0, offered=3000, completed=850, refused=0.72, memory=120)
SETTINGS = {"role": "callee", "form": "plain"}


def met(*points: Point, recovery: float = 1.0) -> list[bool]:
    outcome = outcome_of(points, 1000, recovery, (90, 100), SETTINGS)
    return [target.met for target in outcome.targets]


def test_what_a_good_server_does() -> None:
    assert met(POINT, LAST) == [True] * 4


def test_each_target_can_be_missed() -> None:
    assert met(POINT, replace(LAST, completed=799)) == [False, True, True, True]
    assert met(POINT, LAST, recovery=5.5) == [True, False, True, True]
    assert met(POINT, replace(LAST, memory=165)) == [True, True, False, True]
    assert met(replace(POINT, failed=1), LAST) == [True, True, True, False]


def test_less_than_was_to_be_offered_does_not_count() -> None:
    outcome = outcome_of([POINT, replace(LAST, offered=2500)], 1000, 1.0, (90, 100), SETTINGS)
    assert "2,500 calls/s were offered of 3,000" in outcome.problems[0]
    assert outcome_of([POINT, LAST], 1000, 1.0, (90, 100), SETTINGS).problems == []


def test_recovery_ends_with_the_last_call_that_was_not_as_before() -> None:
    times = {"answered": [(9.0, 700.0), (11.0, 3.0)], "refused": [(10.5, 1.0)]}
    assert recovered(times, 10.0) == 0.5
    times["answered"].append((12.0, 501.0))  # its INVITE came twice
    assert recovered(times, 10.0) == 2.0
    assert recovered({"answered": [(11.0, 3.0)], "refused": []}, 10.0) == 0.0


def test_the_curve_is_drawn_where_matplotlib_is(tmp_path: Path) -> None:
    outcome = outcome_of([POINT, LAST], 1000, 1.0, (90, 100), SETTINGS)
    try:
        path = draw(outcome.as_json(), tmp_path / "run.json")
    except NoPlots:
        pytest.skip("matplotlib is not there")
    assert path == tmp_path / "run.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_calls_are_offered_answered_and_refused(tmp_path: Path) -> None:
    """A server that may take 20 calls/s gets 60, then 50 and 10: what it has not got time for
    elsewhere is here what it may not take."""
    server = Callsim(tmp_path / "server", settings=("admission.rate=20", "admission.delay=0"))
    calls = 120
    try:
        point = offer(server, tmp_path / "offer", 20, 3.0, 2, 1)
        # What comes again on a busy machine, SIPp may count twice.
        sure = point.again == 0
        problems = server.joined(point.whole) if sure else []
        seconds, more = recovery(server, tmp_path / "recovery", 20, 1, 1, after=1)
    finally:
        stopped = server.stop()
    assert problems == []
    assert any("overload" in text for text in stopped)
    # How many in a second is up to the machine; each came to an end, and to one alone.
    refused = round(point.refused * calls)
    assert point.whole + refused + point.failed == calls or not sure
    assert more > 0
    assert 0 < refused < calls
    assert min(point.completed, point.offered) > 0
    assert point.memory > 1
    assert seconds >= 0
