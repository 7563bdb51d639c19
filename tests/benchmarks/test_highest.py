"""The highest clean rate: found by bisection, confirmed, and never more than was seen."""

import random
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import highest
from benchmarks.highest import Highest, Search, as_figures, highest_table, judge, run_rounds
from benchmarks.plots import charts
from benchmarks.slices import Slice
from benchmarks.subjects import BASE, BenchmarkError, Maker, Subject
from scenarios.load.bisection import Found, search, two_of_three

SLICE = Slice(100, 50.0, 40.0, 40.0, 0.5, 0.3, 0.0, 0, {"200": 100}, ())


@pytest.mark.parametrize("edge", [11.0, 73.0, 999.0, 5500.0, 16_900.0])
@pytest.mark.parametrize("start", [10.0, 2000.0, 30_000.0])
@pytest.mark.parametrize("step", [2.0, 1.15])
def test_the_edge_is_found_from_either_side(edge: float, start: float, step: float) -> None:
    asked: list[float] = []

    def is_good(rate: float) -> bool:
        asked.append(rate)
        return rate <= edge

    found = search(is_good, start, step=step)
    assert found.good <= edge < (found.bad or 0)
    assert found.good in asked
    assert found.bad in asked
    assert len(asked) == len(set(asked))
    # Whole numbers below 100, whole tens above.
    assert found.bad is not None
    assert found.bad <= max(found.good * 1.05, found.good + (1 if found.good < 100 else 10))


def test_few_tries_are_enough_near_the_edge() -> None:
    asked: list[float] = []
    search(lambda rate: asked.append(rate) or rate <= 5300, 5000, step=1.15)  # type: ignore[func-returns-value]
    assert len(asked) <= 4


def test_a_search_has_ends() -> None:
    assert search(lambda _: True, 1000, most=4000) == Found(4000, None)
    assert search(lambda _: False, 1000, least=10) == Found(0, 10)


def test_a_search_among_noise_ends() -> None:
    noise = random.Random(5)
    found = search(lambda rate: rate < 3000 or noise.random() < 0.3, 1000)
    assert found.bad is not None
    assert found.good < found.bad


@pytest.mark.parametrize(
    ("outcomes", "good", "asked"),
    [("yy", True, 2), ("nn", False, 2), ("yny", True, 3), ("nyn", False, 3)],
)
def test_two_of_three(outcomes: str, good: bool, asked: int) -> None:
    left = list(outcomes)
    assert two_of_three(lambda: left.pop(0) == "y") is good
    assert len(outcomes) - len(left) == asked


class Fake(Subject):
    """A server that is clean up to a rate; `who` is saturated above it."""

    made: list[str] = []  # noqa: RUF012

    def __init__(self, directory: Path, edge: float, who: str, peer: bool) -> None:
        super().__init__(directory, "1")
        self.edge, self.who, self.peer = edge, who, peer
        self.calls = 0
        self.made.append(f"{edge:g}")

    def joined(self, calls: int) -> list[str]:
        return [] if calls == self.calls else [f"{self.calls} of {calls} calls"]

    def stop(self) -> list[str]:
        return []


def maker(edge: float, who: str = "server", peer: bool = False) -> Maker:
    return lambda directory, _seconds: Fake(directory, edge, who, peer)


Run = Callable[..., dict[str, Highest]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    def run_slice(
        subject: Fake,
        _place: Path,
        rate: float,
        seconds: float,
        *,
        generators: int = 1,
        hurry: bool = False,
    ) -> Slice:
        if rate > subject.edge and subject.who == "end":
            raise OSError("no such process")
        calls = round(rate * seconds)
        subject.calls += calls
        spare = generators if subject.who == "generator" else 1
        if rate > subject.edge * spare:
            return replace(SLICE, saturated=subject.who, problems=("slow",), calls=calls)
        return replace(SLICE, calls=calls)

    monkeypatch.setattr(highest, "run_slice", run_slice)
    Fake.made = []

    def searched(makers: Mapping[str, Maker], rounds: int = 1, generators: int = 1) -> object:
        options = Namespace(rounds=rounds, seconds=4, generators=generators)
        return run_rounds(makers, tmp_path, options)

    return searched  # type: ignore[return-value]


def test_shares_are_of_the_base_in_the_same_round(run: Run) -> None:
    found = run({BASE: maker(10_000), "Callsim, callee": maker(4000)}, rounds=3)
    one = found["Callsim, callee"]
    assert all(3800 <= rate <= 4000 for rate in one.rates)
    assert len(one.shares) == 3
    assert all(0.36 < share < 0.42 for share in one.shares)
    assert judge(found) == ([], [])
    row = highest_table(found, BASE).splitlines()[3]
    assert "at" not in row.replace("saturated", "")
    assert row.rstrip(" |").endswith("server")


def test_a_server_that_was_not_clean_is_replaced(run: Run) -> None:
    run({BASE: maker(3000)})
    assert len(Fake.made) > 2


def test_a_saturated_generator_makes_a_lower_bound(run: Run) -> None:
    found = run({BASE: maker(9000, "generator"), "ours": maker(3000, "machine")})
    assert found[BASE].lower_bound
    problems, notes = judge(found)
    assert problems == ["ours: all cores were busy: the rate is a lower bound"]
    assert notes == ["SIPp uas: the generator was saturated: the rate is a lower bound"]
    table = highest_table(found, BASE).splitlines()
    assert "at least " in table[2]
    assert "about 0." in table[3]
    found = run({BASE: maker(9000, "generator"), "ours": maker(3000)})
    assert "at most 0." in highest_table(found, BASE).splitlines()[3]


def test_another_generator_joins_where_one_is_saturated(run: Run) -> None:
    assert 8500 < run({BASE: maker(3000, "generator")}, generators=3)[BASE].rates[0] <= 9000


def test_what_ends_is_noted_of_a_peer_and_fails_ours(run: Run) -> None:
    found = run({BASE: maker(9000), "peer": maker(500, "end", peer=True)})
    assert found["peer"].rates == [0.0]
    assert judge(found)[0] == []
    assert "none" in highest_table(found, BASE)
    with pytest.raises(OSError, match="no such process"):
        run({BASE: maker(9000), "ours": maker(500, "end")})


def test_without_a_base_there_is_no_share(run: Run) -> None:
    with pytest.raises(BenchmarkError, match="clean at no rate"):
        run({BASE: maker(1)})


def test_ours_that_is_clean_at_no_rate_is_a_problem(run: Run) -> None:
    problems, _ = judge(run({BASE: maker(9000), "ours": maker(1)}))
    assert problems == ["ours: round 1: it was clean at no rate"]


def test_a_call_that_the_far_side_lacks_is_a_problem(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fake, "joined", lambda _self, calls: [f"one of {calls} is lost"])
    problems, _ = judge(run({BASE: maker(9000), "ours": maker(3000)}))
    assert any("is lost" in text for text in problems)


def test_the_chart_and_the_json_say_lower_bound() -> None:
    one = Highest([Search(5000.0, "generator", {5000.0: [SLICE]})], [0.5])
    figures = as_figures({"Callsim, callee": one})
    assert figures["Callsim, callee"]["lower_bound"]
    assert figures["Callsim, callee"]["slices"][0]["asked"] == 5000.0
    (chart,) = charts({"highest": figures})
    assert chart.bars[0].text == "at least 5,000"
