"""INVITE to 200 at a modest rate, next to SIPp's uas in the same run.

``python -m benchmarks.latency`` calls SIPp uas, Callsim as callee and Callsim back-to-back
in turn, round after round, at 100 calls/s. The caller is the same for all (`caller.py`): its
clock starts just before INVITE is sent and stops when the kernel has the 200. Each call
starts at a random place within its 10 ms, so that it meets no server's own rhythm.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from benchmarks.caller import Caller
from benchmarks.figures import Outcome, Target, WholeNumber, percentile, tell
from benchmarks.forms import callsim_forms
from benchmarks.report import table
from benchmarks.rounds import spread
from benchmarks.subjects import BASE, SippUas, Subject, start_all, stop_all
from benchmarks.tools import run_tool, tool_parser
from scenarios.load.meters import busy_seconds

LIMITS: Final = {"callee": 1.0, "back-to-back": 1.5}
"""The p99 in multiples of SIPp uas's own, below which each role has to stay."""

_SEED: Final = 3261
_WARM_UP: Final = 1.0
_PATIENCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Delays:
    """INVITE to 200 in one slice, in milliseconds; `other_load` in cores."""

    calls: int
    p50: float
    p99: float
    worst: float
    other_load: float


@dataclass(slots=True)
class Latency:
    """The slices of one server; `ratios` are its p99 in multiples of SIPp uas's, by round."""

    slices: list[Delays] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    calls: int = 0
    problems: list[str] = field(default_factory=list)


def time_calls(
    subject: Subject, rate: float, seconds: float, random: Random
) -> tuple[Delays, list[str]]:
    """Call `subject` for so many seconds."""
    caller = Caller(subject.address, subject.number)
    calls = max(1, round(rate * seconds))
    placed = []
    busy, begun = busy_seconds() - subject.cpu(), time.monotonic()
    try:
        for number in range(calls):
            caller.receive_until(begun + (number + random.random()) / rate)
            placed.append(caller.place())
        settled = caller.settle(_PATIENCE)
    finally:
        caller.close()
    others = (busy_seconds() - subject.cpu() - busy) / (time.monotonic() - begun)
    problems = caller.all_problems()
    if not settled:
        problems.append(f"{len(caller.calls)} of {calls} calls were not over in time")
    delays = [call.delay * 1e3 for call in placed if call.answered] or [_PATIENCE * 1e3]
    found = Delays(calls, median(delays), percentile(delays, 0.99), max(delays), max(0.0, others))
    return found, problems


class Rounds:
    """Slices of each server in turn."""

    def __init__(self, subjects: dict[str, Subject], rate: float) -> None:
        self.latencies = {name: Latency() for name in subjects}
        self._subjects = subjects
        self._rate = rate
        self._random = Random(_SEED)
        for name in subjects:
            self._slice(name, "warm-up", _WARM_UP)

    def run(self, rounds: int, seconds: float) -> None:
        """So many rounds with so many seconds for each."""
        for number in range(1, rounds + 1):
            for name, latency in self.latencies.items():
                latency.slices.append(self._slice(name, f"round {number}", seconds))
            base = self.latencies[BASE].slices[-1].p99
            texts = []
            for name, latency in self.latencies.items():
                latency.ratios.append(latency.slices[-1].p99 / base)
                last = latency.slices[-1]
                texts.append(f"{name} {last.p50:.2f}/{last.p99:.2f} ms")
            tell(f"round {number} of {rounds}, p50/p99: {', '.join(texts)}")

    def join(self) -> None:
        """The far sides' counts."""
        for name, latency in self.latencies.items():
            latency.problems += self._subjects[name].joined(latency.calls)

    def _slice(self, name: str, label: str, seconds: float) -> Delays:
        found, problems = time_calls(self._subjects[name], self._rate, seconds, self._random)
        latency = self.latencies[name]
        latency.calls += found.calls
        latency.problems += [f"{label}: {text}" for text in problems]
        return found


def outcome_of(latencies: dict[str, Latency], settings: dict[str, object]) -> Outcome:
    """Table, verdicts and figures."""
    heading = ("server", "INVITE to 200, p50, ms", "p99, ms", f"p99 x {BASE}", "other work, cores")
    rows = []
    outcome = Outcome(settings)
    for name, latency in latencies.items():
        slices = latency.slices
        rows.append(
            (
                name,
                spread([one.p50 for one in slices], 2),
                spread([one.p99 for one in slices], 2),
                spread(latency.ratios, 2),
                f"{max(one.other_load for one in slices):.1f}",
            )
        )
        limit = LIMITS.get(name.rpartition(", ")[2])
        if limit is not None:
            what = f"{name}: p99, INVITE to 200"
            ratio = median(latency.ratios)
            outcome.targets.append(Target(what, ratio, limit, f"x {BASE}", below=True))
        outcome.problems += [f"{name}: {text}" for text in latency.problems]
    outcome.tables.append(table(heading, rows))
    outcome.figures["latency_ms"] = {name: asdict(one) for name, one in latencies.items()}
    return outcome


def measure(options: argparse.Namespace, directory: Path) -> Outcome:
    """The whole run."""
    settings = {key: getattr(options, key) for key in ("rate", "rounds", "seconds")}
    makers = {BASE: SippUas, **callsim_forms(options.form)}
    length = len(makers) * options.rounds * (options.seconds + _PATIENCE) + 300
    subjects = start_all(directory, length, makers)
    problems: list[str] = []
    try:
        rounds = Rounds(subjects, options.rate)
        rounds.run(options.rounds, options.seconds)
        rounds.join()
    finally:
        problems += stop_all(subjects)
    outcome = outcome_of(rounds.latencies, settings)
    outcome.problems += problems
    return outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as told by the command line."""
    parser = tool_parser("latency", __doc__, together=True)
    parser.add_argument("--rate", type=WholeNumber(1, 1000), default=100, help="calls/s (100)")
    parser.add_argument("--rounds", type=WholeNumber(1, 100), default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=WholeNumber(1, 120), default=10, help="of a slice (10)")
    options = parser.parse_args(arguments)
    return run_tool("latency", options, measure)


if __name__ == "__main__":
    sys.exit(main())
