"""The highest clean rate of one server process, as a share of SIPp uas's own.

``python -m benchmarks.highest`` looks for it by bisection, round after round, for SIPp alone,
for both forms and roles of Callsim, and for the peers that are installed. A rate is clean
when two of three slices are, on a server that runs alone: no failed call, retransmissions
under 0.1 %, no generator saturated. It says who was saturated at the next higher rate; where
that was the generator, or the machine, the figure is a lower bound.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.choices import add_choices, chosen, finish, run_command
from benchmarks.cores import generator_cores
from benchmarks.figures import RESULTS, WholeNumber, tell
from benchmarks.report import machine, table
from benchmarks.rounds import spread
from benchmarks.slices import Slice, run_slice
from benchmarks.subjects import BASE, BenchmarkError, Maker, Subject, start
from scenarios.load.bisection import Found, search, two_of_three
from scenarios.runner import SippError

START: Final = 2000.0
"""The rate to begin with, or the most that a server is asked for elsewhere."""

_STEP: Final = 2.0
_STEP_NEAR: Final = 1.15  # from what the round before found
_WARM_UP: Final = 100.0  # calls/s, for a second
_SERVER: Final = 900.0  # seconds that a SIPp which answers lives at most
_CONFIRM: Final = 3
_NOT_ITS_OWN: Final = {
    "generator": "the generator was saturated",
    "machine": "all cores were busy",
    "limit": "it was clean at the highest rate tried",
}


@dataclass(frozen=True, slots=True)
class Search:
    """What one search gave: the highest clean `rate`, the slices by rate, and who was
    saturated at the lowest rate that was not clean (``limit``: none was that)."""

    rate: float
    limited_by: str
    slices: Mapping[float, Sequence[Slice]]
    problems: tuple[str, ...] = ()

    @property
    def lower_bound(self) -> bool:
        """Whether the server may be able to do more."""
        return self.limited_by in _NOT_ITS_OWN

    @property
    def at_its_rate(self) -> Sequence[Slice]:
        """The slices at the rate that it found."""
        return self.slices.get(self.rate, ())


@dataclass(slots=True)
class Highest:
    """The searches of one server, round by round, and the shares of SIPp's own."""

    searches: list[Search] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    peer: bool = False

    @property
    def rates(self) -> list[float]:
        """Those found."""
        return [one.rate for one in self.searches]

    @property
    def lower_bound(self) -> bool:
        """Whether one of the searches ended before the server's own limit."""
        return any(one.lower_bound for one in self.searches)

    @property
    def problems(self) -> list[str]:
        """Why a search gave nothing that counts."""
        found = []
        for number, one in enumerate(self.searches, 1):
            found += [f"round {number}: {text}" for text in one.problems]
            if one.rate == 0:
                found.append(f"round {number}: it was clean at no rate")
        return found


class Bench:
    """One server at a time: a slice that was not clean leaves calls behind, so that the next
    one has a fresh server."""

    def __init__(
        self, name: str, make: Maker, directory: Path, seconds: float, generators: int
    ) -> None:
        self._name, self._make, self._directory = name, make, directory
        self._seconds = seconds
        self._most_generators = generators
        self._generators = 1
        self._subject: Subject | None = None
        self._count = 0
        self.slices: dict[float, list[Slice]] = {}

    @property
    def subject(self) -> Subject:
        """The server, running and warm."""
        if self._subject is None:
            self._count += 1
            place = self._directory / str(self._count)
            self._subject = start(self._name, self._make, place, _SERVER)
            run_slice(self._subject, place / "warm-up", _WARM_UP, 1)
        return self._subject

    def stop(self) -> list[str]:
        """End the server; what was wrong with it."""
        subject, self._subject = self._subject, None
        return subject.stop() if subject is not None else []

    def slice(self, rate: float) -> Slice:
        """One slice; where the generator was saturated, another with one more, if there may
        be more."""
        while True:
            found = self._slice(rate)
            self.slices.setdefault(rate, []).append(found)
            if found.saturated != "generator" or self._generators >= self._most_generators:
                return found
            self._generators += 1

    def _slice(self, rate: float) -> Slice:
        subject = self.subject
        self._count += 1
        place = self._directory / f"{self._count}-{rate:g}"
        found = run_slice(
            subject, place, rate, self._seconds, generators=self._generators, hurry=True
        )
        if found.problems:
            self.stop()
        return found

    def is_clean(self, rate: float) -> bool:
        """Whether two of three slices are."""
        return two_of_three(lambda: not self.slice(rate).problems)

    def confirm(self, rate: float) -> tuple[str, ...]:
        """One more clean slice on a fresh server, whose far side has every call."""
        self.stop()
        problem = ""
        for _ in range(_CONFIRM):
            subject = self.subject
            found = self._slice(rate)
            if not found.problems:
                return (*subject.joined(found.calls + round(_WARM_UP)), *self.stop())
            problem = found.problems[0]
        return (f"{rate:g} calls/s could not be confirmed: {problem}",)


def find(bench: Bench, begin: float, step: float) -> Search:
    """The highest clean rate, beginning at this one."""
    found = search(bench.is_clean, begin, step=step)
    problems = bench.confirm(found.good) if found.good else ()
    return Search(found.good, limited_by(found, bench.slices), bench.slices, problems)


def limited_by(found: Found, slices: Mapping[float, Sequence[Slice]]) -> str:
    """Who was saturated at the lowest rate that was not clean, in most of its unclean slices;
    the server, where nobody was: it was late all the same."""
    if found.bad is None:
        return "limit"
    counts = Counter(one.saturated for one in slices[found.bad] if one.problems)
    return counts.most_common(1)[0][0] or "server"


def highest_table(found: Mapping[str, Highest], base: str) -> str:
    """The highest clean rates and their shares, the median with the lowest and the highest."""
    heading = (
        "server",
        "highest clean rate, calls/s",
        f"share of {base}",
        "core",
        "generator",
        "saturated above it",
    )
    rows = []
    for name, one in found.items():
        if not any(one.rates):
            rows.append((name, "none", "-", "-", "-", "-"))
            continue
        slices = [slice_ for search in one.searches for slice_ in search.at_its_rate]
        rows.append(
            (
                name,
                ("at least " if one.lower_bound else "") + spread(one.rates),
                _bound(one.lower_bound, found[base].lower_bound) + spread(one.shares, 2),
                f"{median([slice_.server_load for slice_ in slices]):.0%}",
                f"{median([slice_.generator_load for slice_ in slices]):.0%}",
                " ".join(sorted({search.limited_by for search in one.searches})),
            )
        )
    return table(heading, rows)


def _bound(own: bool, base: bool) -> str:
    """What a share is, when its parts are lower bounds."""
    return {(False, False): "", (False, True): "at most ", (True, False): "at least "}.get(
        (own, base), "about "
    )


def as_figures(found: Mapping[str, Highest]) -> dict[str, Any]:
    """All of it, for the JSON."""
    return {
        name: {
            "rates": one.rates,
            "shares": one.shares,
            "lower_bound": one.lower_bound,
            "limited_by": [search.limited_by for search in one.searches],
            "slices": [
                asdict(slice_) | {"round": number, "asked": rate}
                for number, search in enumerate(one.searches, 1)
                for rate, row in search.slices.items()
                for slice_ in row
            ],
            "problems": one.problems,
        }
        for name, one in found.items()
    }


def run_rounds(
    makers: Mapping[str, Maker], directory: Path, options: argparse.Namespace
) -> dict[str, Highest]:
    """Search for each server in turn, round after round."""
    found = {name: Highest() for name in makers}
    for number in range(1, options.rounds + 1):
        base = 0.0
        for index, (name, make) in enumerate(makers.items()):
            one = found[name]
            bench = Bench(
                name, make, directory / f"{number}-{index}", options.seconds, options.generators
            )
            try:
                subject = bench.subject
                one.peer = subject.peer
                last = one.rates[-1] if one.rates else 0.0
                begin = last or min(START, subject.most)
                result = find(bench, begin, _STEP_NEAR if last else _STEP)
            except (BenchmarkError, SippError, OSError) as error:
                if name == BASE or not one.peer:
                    raise
                result = Search(0.0, "", bench.slices, (f"it ended: {error}",))
            finally:
                bench.stop()
            one.searches.append(result)
            if name == BASE:
                base = result.rate
                if not base:
                    raise BenchmarkError("SIPp alone was clean at no rate: there is no share of it")
            one.shares.append(result.rate / base)
            bound = "at least " if result.lower_bound else ""
            tell(
                f"round {number} of {options.rounds}: {name} {bound}{result.rate:g} calls/s "
                f"({one.shares[-1]:.2f}), above it: {result.limited_by}"
            )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Search; 0 when every figure of Callsim counts, 1 when not, 2 when it cannot run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.highest", description=__doc__)
    parser.add_argument("--rounds", type=WholeNumber(1, 20), default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=WholeNumber(1, 60), default=4, help="of a slice (4)")
    parser.add_argument(
        "--generators",
        type=WholeNumber(1, 16),
        default=generator_cores(),
        help="SIPps that call at most; another joins when one is saturated (all cores but one)",
    )
    parser.add_argument(
        "--output", type=Path, default=RESULTS / "highest.json", help="where the JSON goes"
    )
    add_choices(parser)
    parser.add_argument("--keep", action="store_true", help="keep the files of the run")
    options = parser.parse_args(arguments)
    return run_command(lambda directory: _measure(options, directory), keep=options.keep)


def _measure(options: argparse.Namespace, directory: Path) -> int:
    ours, peers = chosen(options)
    found = run_rounds(ours | peers, directory, options)
    print("\n" + highest_table(found, BASE))
    problems, notes = judge(found)
    settings = {key: getattr(options, key) for key in ("rounds", "seconds", "generators", "pin")}
    figures = {"machine": machine(), "settings": settings, "highest": as_figures(found)}
    finish(options.output, figures | {"problems": problems, "notes": notes})
    for text in notes:
        print(f"NOTE: {text}", file=sys.stderr)
    for text in problems:
        print(f"NOT CLEAN: {text}", file=sys.stderr)
    return 1 if problems else 0


def judge(found: Mapping[str, Highest]) -> tuple[list[str], list[str]]:
    """What is wrong with the figures of Callsim, and what is worth a note."""
    problems: list[str] = []
    notes: list[str] = []
    for name, one in found.items():
        texts = notes if one.peer or name == BASE else problems
        texts += [f"{name}: {text}" for text in one.problems]
        if one.lower_bound:
            who = {_NOT_ITS_OWN[each.limited_by] for each in one.searches if each.lower_bound}
            texts.append(f"{name}: {', '.join(sorted(who))}: the rate is a lower bound")
    return problems, notes


if __name__ == "__main__":
    sys.exit(main())
