"""The caller that times calls, and the verdict on what it found."""

from dataclasses import replace
from pathlib import Path
from random import Random

from benchmarks.caller import Caller
from benchmarks.latency import Delays, Latency, outcome_of, time_calls
from benchmarks.subjects import BACK_TO_BACK, BASE, CALLEE, Callsim, callsims

DELAYS = Delays(100, 0.3, 1.0, 2.0, 0.0)


def test_each_call_is_timed_and_ended(tmp_path: Path) -> None:
    server = callsims()[BACK_TO_BACK](tmp_path, 30)
    try:
        found, problems = time_calls(server, 50, 1, Random(1))
        assert problems == []
        assert server.joined(50) == []
    finally:
        assert server.stop() == []
    assert found.calls == 50
    assert 0 < found.p50 <= found.p99 <= found.worst


def test_held_calls_stay_until_they_are_ended(tmp_path: Path) -> None:
    server = Callsim(tmp_path)
    caller = Caller(server.address, server.number)
    try:
        caller.hold(20, 1000)
        assert len(caller.calls) == 20
        assert all(call.answered > call.invited > 0 for call in caller.calls.values())
        caller.hang_up_all(1000)
        assert caller.calls == {}
        assert caller.all_problems() == []
        assert server.joined(20) == []
    finally:
        caller.close()
        assert server.stop() == []


def test_a_refused_call_is_a_problem(tmp_path: Path) -> None:
    server = Callsim(tmp_path)
    caller = Caller(server.address, "9486")  # refused with that code
    try:
        call = caller.place()
        assert caller.settle(5.0)
    finally:
        caller.close()
        server.stop()
    assert not call.answered
    assert caller.all_problems() == ["1 x 486 to INVITE"]
    caller.repeated = 2
    assert caller.all_problems(allowed=2) == ["1 x 486 to INVITE"]
    assert caller.all_problems() == ["1 x 486 to INVITE", "2 messages came again"]


def test_a_ratio_that_is_too_high_misses_its_target() -> None:
    latencies = {
        BASE: Latency([DELAYS], [1.0]),
        CALLEE: Latency([DELAYS, replace(DELAYS, p99=3.0)], [0.9, 3.0], problems=["lost"]),
        BACK_TO_BACK: Latency([DELAYS], [1.49]),
    }
    outcome = outcome_of(latencies, {})
    assert [target.met for target in outcome.targets] == [False, True]
    assert outcome.problems == [f"{CALLEE}: lost"]
    assert "2.00 (1.00-3.00)" in outcome.tables[0]
