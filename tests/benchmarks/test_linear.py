"""What held calls cost by themselves is taken off, and costs that rise miss the target."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import linear
from benchmarks.figures import Outcome
from benchmarks.linear import Costs, Rounds, add_role, cost_us, distance
from benchmarks.slices import Slice
from benchmarks.subjects import Callsim, start_all, stop_all

SLICE = Slice(1000, 500.0, 300.0, 250.0, 0.2, 0.1, 0.0, 0, {}, ())


def test_idle_time_is_taken_off_in_proportion() -> None:
    assert cost_us(SLICE, 2.0, 0.0) == 300.0
    assert cost_us(SLICE, 2.0, 0.01) == pytest.approx(280.0)  # 20 ms over 1,000 calls


def test_the_distance_is_that_of_the_medians() -> None:
    costs = [
        Costs(100, ratios=[1.0, 1.0, 1.0]),
        Costs(1000, ratios=[0.9, 0.99, 1.5]),
        Costs(10_000, ratios=[1.0, 1.0692, 1.2]),
    ]
    assert distance(costs) == pytest.approx(0.08)


def test_a_cost_that_rises_misses_the_target() -> None:
    outcome = Outcome({})
    flat = [Costs(n, 0.0, [SLICE], [300.0], [ratio]) for n, ratio in ((100, 1.0), (1000, 1.09))]
    add_role(outcome, "callee", flat)
    steep = [flat[0], replace(flat[1], ratios=[1.2], problems=["lost"])]
    add_role(outcome, "back-to-back", steep)
    assert [target.met for target in outcome.targets] == [True, False]
    assert outcome.problems == ["back-to-back, 1000 held: lost"]
    assert "1,000 held" in outcome.tables[0]


def test_calls_are_held_while_others_come_and_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "_LINGER", 0.1)
    monkeypatch.setattr(linear, "_IDLE", 0.3)
    makers = {str(n): lambda directory, _: Callsim(directory) for n in (2, 20)}
    subjects = start_all(tmp_path / "servers", 60, makers)
    try:
        rounds = Rounds(subjects, (2, 20), 50)
        try:
            rounds.hold()
            rounds.run(tmp_path, 1, 1)
            rounds.end()
        finally:
            rounds.close()
    finally:
        assert stop_all(subjects) == []
    first, second = rounds.costs.values()
    # How well a slice kept its rate is the machine's affair.
    lost = [text for text in first.problems + second.problems if not text.startswith("round ")]
    assert lost == []
    assert len(first.slices) == len(second.slices) == 1
    assert first.ratios == [1.0]
    assert second.ratios == [pytest.approx(second.cpu_us[0] / first.cpu_us[0])]
