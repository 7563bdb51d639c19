"""Whether a call costs the same however many others are up.

``python -m benchmarks.linear`` runs servers that hold 100, 1,000 and 10,000 calls, and has
each take a slice of short calls in turn, at the same rate, round after round. What a server
uses for the calls that it holds is measured before, while nobody calls, and taken off.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.caller import Caller
from benchmarks.figures import Outcome, Target, WholeNumber, tell
from benchmarks.report import table
from benchmarks.rounds import spread
from benchmarks.slices import Slice, run_slice
from benchmarks.subjects import Maker, Subject, start_all, stop_all
from benchmarks.tools import ROLES, makers_of, run_tool, tool_parser

HELD: Final = (100, 1_000, 10_000)
"""Calls that are up while others come and go."""

SPREAD: Final = 0.10
"""How far the costs may lie apart, as a share of the least."""

_FILL: Final = 500.0  # calls/s
_LINGER: Final = 35.0  # 64*T1 and a little: the transactions of the held calls are over
_IDLE: Final = 5.0
_WARM_UP: Final = 1.0
_SPARE: Final = 300.0


@dataclass(slots=True)
class Costs:
    """One server: the calls it holds, the CPU seconds a second that these take, what each
    short call takes in microseconds beyond that, and in multiples of the first server's."""

    held: int
    idle: float = 0.0
    slices: list[Slice] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def cost_us(slice_: Slice, wall: float, idle: float) -> float:
    """CPU per call of a slice that took `wall` seconds, without what is used all the time."""
    return slice_.cpu_us - idle * wall / slice_.calls * 1e6


class Rounds:
    """Servers that hold calls, and slices of each in turn."""

    def __init__(self, subjects: Mapping[str, Subject], held: Sequence[int], rate: float) -> None:
        self.costs = {name: Costs(n) for name, n in zip(subjects, held, strict=True)}
        self._subjects = subjects
        self._rate = rate
        self._calls = dict.fromkeys(subjects, 0)
        self._callers = {name: Caller(one.address, one.number) for name, one in subjects.items()}

    def hold(self) -> None:
        """Set the calls up, and see what they cost once their transactions are over."""
        for name, caller in self._callers.items():
            tell(f"holding {self.costs[name].held} calls")
            caller.hold(self.costs[name].held, _FILL)
        time.sleep(_LINGER)
        before = {name: subject.cpu() for name, subject in self._subjects.items()}
        begun = time.monotonic()
        time.sleep(_IDLE)
        for name, costs in self.costs.items():
            used = self._subjects[name].cpu() - before[name]
            costs.idle = used / (time.monotonic() - begun)

    def run(self, directory: Path, rounds: int, seconds: float) -> None:
        """So many rounds with so many seconds for each server."""
        for name in self._subjects:
            self._slice(name, directory / f"{self.costs[name].held}-warm-up", _WARM_UP)
        for number in range(1, rounds + 1):
            turns = list(self.costs.items())
            for name, costs in turns if number % 2 else reversed(turns):  # against drift
                place = directory / f"{costs.held}-{number}"
                slice_, wall = self._slice(name, place, seconds)
                costs.slices.append(slice_)
                costs.cpu_us.append(cost_us(slice_, wall, costs.idle))
                costs.problems += [f"round {number}: {text}" for text in slice_.problems]
            base = next(iter(self.costs.values())).cpu_us[-1]
            for costs in self.costs.values():
                costs.ratios.append(costs.cpu_us[-1] / base)
            texts = [f"{one.held} held {one.cpu_us[-1]:.0f} us" for one in self.costs.values()]
            tell(f"round {number} of {rounds}: {', '.join(texts)}")

    def end(self) -> None:
        """Hang up, and look at everybody's counts."""
        for name, caller in self._callers.items():
            costs = self.costs[name]
            if len(caller.calls) != costs.held:
                costs.problems.append(f"{len(caller.calls)} of {costs.held} calls stayed up")
            caller.hang_up_all(_FILL)
            costs.problems += caller.all_problems()
            costs.problems += self._subjects[name].joined(self._calls[name] + caller.placed)

    def close(self) -> None:
        """Close the callers' sockets."""
        for caller in self._callers.values():
            caller.close()

    def _slice(self, name: str, place: Path, seconds: float) -> tuple[Slice, float]:
        begun = time.monotonic()
        found = run_slice(self._subjects[name], place, self._rate, seconds)
        self._calls[name] += found.calls
        return found, time.monotonic() - begun


def costs_table(role: str, costs: Sequence[Costs]) -> str:
    """Cost per call by the calls that are held."""
    least = costs[0].held
    heading = (
        *(role, "CPU per call, us", f"x {least} held", "idle, us/s"),
        *("core", "generator", "other work, cores"),
    )
    rows = [
        (
            *(f"{one.held:,} held", spread(one.cpu_us), spread(one.ratios, 2)),
            f"{one.idle * 1e6:.0f}",
            f"{max(slice_.server_load for slice_ in one.slices):.0%}",
            f"{max(slice_.generator_load for slice_ in one.slices):.0%}",
            f"{max(slice_.other_load for slice_ in one.slices):.1f}",
        )
        for one in costs
    ]
    return table(heading, rows)


def distance(costs: Sequence[Costs]) -> float:
    """How far the dearest lies above the cheapest, by the medians of their ratios."""
    ratios = [median(one.ratios) for one in costs]
    return max(ratios) / min(ratios) - 1


def measure_role(
    name: str, make: Maker, options: argparse.Namespace, directory: Path
) -> list[Costs]:
    """The costs of Callsim in one role."""
    held = [max(1, round(calls * options.share)) for calls in HELD]
    length = sum(held) / _FILL * 2 + 3 * options.rounds * (2 * options.seconds + 20) + _SPARE
    makers = {f"{name} {number}": make for number in held}
    subjects = start_all(directory / "servers", length, makers)
    try:
        rounds = Rounds(subjects, held, options.rate)
        try:
            rounds.hold()
            rounds.run(directory, options.rounds, options.seconds)
            rounds.end()
        finally:
            rounds.close()
    finally:
        stopped = stop_all(subjects)
    costs = list(rounds.costs.values())
    costs[0].problems += stopped
    return costs


def add_role(outcome: Outcome, name: str, costs: Sequence[Costs]) -> None:
    """Table, verdict and figures of one role."""
    outcome.tables.append(costs_table(name, costs))
    outcome.targets.append(
        Target(f"{name}: distance of costs per call", distance(costs) * 100, SPREAD * 100, "%")
    )
    outcome.figures[name] = [asdict(one) for one in costs]
    outcome.problems += [
        f"{name}, {one.held} held: {text}" for one in costs for text in one.problems
    ]


def measure(options: argparse.Namespace, directory: Path) -> Outcome:
    """The whole run."""
    settings = {key: getattr(options, key) for key in ("rate", "rounds", "seconds", "share")}
    outcome = Outcome(settings)
    makers = makers_of(options.form)
    names = [name for role, name in ROLES.items() if options.role in (role, "both")]
    for number, name in enumerate(names):
        tell(name)
        costs = measure_role(name, makers[name], options, directory / str(number))
        add_role(outcome, name, costs)
    return outcome


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 2:
        raise argparse.ArgumentTypeError(f"{value:g} is not above 0 and at most 2")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as told by the command line."""
    parser = tool_parser("linear", __doc__)
    number = WholeNumber
    parser.add_argument("--rate", type=number(1, 20_000), default=1000, help="calls/s (1000)")
    parser.add_argument("--rounds", type=number(1, 100), default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=number(1, 120), default=5, help="of each slice (5)")
    parser.add_argument("--role", choices=(*ROLES, "both"), default="both", help="(both)")
    parser.add_argument(
        "--share", type=_share, default=1.0, help="of the calls to hold, for a trial (1)"
    )
    options = parser.parse_args(arguments)
    return run_tool("linear", options, measure)


if __name__ == "__main__":
    sys.exit(main())
