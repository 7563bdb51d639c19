"""Rounds: each server at the rate it can be asked, and SIPp alone at the same."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import rounds
from benchmarks.report import as_json, calls_table, figures_table
from benchmarks.rounds import Rounds, Series
from benchmarks.slices import Slice
from benchmarks.subjects import BASE, Subject
from scenarios.load.meters import saturated

SLICE = Slice(100, 50.0, 40.0, 40.0, 0.1, 0.1, 0.0, 0, {"200": 100}, ())


class Fake(Subject):
    """A server that exists by name only."""

    def __init__(self, directory: Path, cpu_us: float, *, most: float = 1e9, peer: bool = False):
        super().__init__(directory, "1")
        self.cpu_us, self.most, self.peer = cpu_us, most, peer
        self.calls = 0

    def cpu(self) -> float:
        return 0.0

    def joined(self, calls: int) -> list[str]:
        return [] if calls == self.calls else [f"{self.calls} of {calls}"]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Rounds]:
    monkeypatch.setattr(rounds, "IDLE", 0.001)
    asked: list[tuple[Fake, float]] = []

    def run_slice(subject: Fake, _place: Path, rate: float, seconds: float) -> Slice:
        asked.append((subject, rate))
        subject.calls += (calls := round(rate * seconds))
        if subject.cpu_us > 1000:
            raise OSError("no such process")
        problems = ("slow",) if subject.cpu_us > 500 else ()
        return replace(SLICE, calls=calls, cpu_us=subject.cpu_us, problems=problems)

    monkeypatch.setattr(rounds, "run_slice", run_slice)

    def built(**subjects: dict[str, Any]) -> Rounds:
        fakes = {name: Fake(tmp_path / name, **more) for name, more in subjects.items()}
        return Rounds({BASE: Fake(tmp_path / "base", 40.0), **fakes}, tmp_path, 2000)

    return built


def test_a_slow_server_has_a_base_of_its_own(make: Callable[..., Rounds]) -> None:
    run = make(ours={"cpu_us": 100.0}, slow={"cpu_us": 400.0, "most": 100, "peer": True})
    run.run(2, 4, lambda _: None)
    run.join()
    assert list(run.series) == [BASE, "ours", "SIPp uas at 100 calls/s", "slow"]
    assert [one.rate for one in run.series.values()] == [2000, 2000, 100, 100]
    assert run.series["slow"].ratios == [10.0, 10.0]
    assert run.series["ours"].ratios == [2.5, 2.5]
    assert not any(one.all_problems for one in run.series.values())


@pytest.mark.parametrize("cpu_us", [600.0, 2000.0])
def test_a_peer_that_cannot_is_left_out_and_spoils_nothing(
    make: Callable[..., Rounds], cpu_us: float
) -> None:
    run = make(peer={"cpu_us": cpu_us, "peer": True})
    run.run(1, 4, lambda _: None)
    run.join()
    peer = run.series["peer"]
    assert peer.slices == []
    assert peer.all_problems
    assert not peer.spoils_the_run
    assert "not clean" in calls_table(run.series, BASE)
    assert "not clean" in figures_table(run.series, {}, BASE)
    assert as_json({}, run.series, {})["calls"]["peer"]["ratio"] is None


def test_our_own_end_is_not_passed_over(make: Callable[..., Rounds]) -> None:
    with pytest.raises(OSError, match="no such process"):
        make(ours={"cpu_us": 2000.0})


def test_a_saturated_generator_spoils_the_run_whoever_it_called() -> None:
    dirty = replace(SLICE, saturated="generator", problems=("the generator was saturated",))
    assert Series([dirty], [1.0], peer=True).spoils_the_run
    assert Series([replace(SLICE, problems=("slow",))], [1.0]).spoils_the_run
    assert not Series([replace(SLICE, problems=("slow",))], [1.0], peer=True).spoils_the_run
    assert not Series([SLICE], [1.0]).spoils_the_run


@pytest.mark.parametrize(
    ("server", "generator", "machine", "who"),
    [
        (0.5, 0.5, 1.2, ""),
        (0.95, 0.5, 1.99, "server"),
        (0.95, 0.95, 1.99, "generator"),
        (0.5, 0.6, 1.99, "machine"),
    ],
)
def test_who_was_saturated(server: float, generator: float, machine: float, who: str) -> None:
    assert saturated(server, generator, machine, cores=2) == who
