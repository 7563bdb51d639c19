"""Rounds: a slice of each server in turn, at the same rate, so that drift hits all alike."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.slices import Slice, run_slice
from benchmarks.subjects import BASE, Subject
from scenarios.runner import SippError

IDLE: Final = 3.0
"""Seconds without a call, at the start: what the servers use by just being there."""

_WARM_UP: Final = 1.0


@dataclass(slots=True)
class Series:
    """The slices of one server at one rate. `later_us` is the CPU per call spent outside of
    them, beyond what it uses idle: lingering transactions, the tail of the CDRs. Of a `peer`
    problems are told, and are no fault of the run."""

    slices: list[Slice] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    later_us: float = 0.0
    problems: list[str] = field(default_factory=list)
    rate: float = 0.0
    peer: bool = False

    @property
    def cpu_us(self) -> list[float]:
        """CPU per call of each slice."""
        return [slice_.cpu_us for slice_ in self.slices]

    @property
    def all_problems(self) -> list[str]:
        """Why its figures do not count; empty when they do."""
        of_slices = [
            f"round {number}: {text}"
            for number, slice_ in enumerate(self.slices, 1)
            for text in slice_.problems
        ]
        return of_slices + self.problems

    @property
    def spoils_the_run(self) -> bool:
        """Whether these problems are the run's: a peer may be slow, a generator may not."""
        generator = any(slice_.saturated == "generator" for slice_ in self.slices)
        return generator or bool(self.all_problems and not self.peer)


class Rounds:
    """The rounds of a run over running servers, each at `rate` or the most it can be asked.

    Where that is less, SIPp alone has slices at that rate as well, for the ratio. A peer that
    fails its first slice, or ends, takes no further part.
    """

    def __init__(self, subjects: Mapping[str, Subject], directory: Path, rate: float) -> None:
        self.subjects = subjects
        rates = {name: min(rate, subject.most) for name, subject in subjects.items()}
        rates[BASE] = rate
        self.series: dict[str, Series] = {}
        self._owner: dict[str, str] = {}
        for base_rate in sorted({*rates.values()}, reverse=True):
            self._add(base_name(base_rate, rate), BASE, base_rate)
            for name in rates:
                if name != BASE and rates[name] == base_rate:
                    self._add(name, name, base_rate)
        self._directory = directory
        self._tallies = {name: _Tally(subject.cpu()) for name, subject in subjects.items()}
        self._out: set[str] = set()
        time.sleep(IDLE)  # before the first call, so that nothing lingers yet
        for name, tally in self._tallies.items():
            tally.begin(subjects[name].cpu())
        for name in list(self.series):
            if name in subjects:
                self._warm_up(name)

    def _add(self, name: str, owner: str, rate: float) -> None:
        self.series[name] = Series(rate=rate, peer=self.subjects[owner].peer)
        self._owner[name] = owner

    def _warm_up(self, name: str) -> None:
        found = self._slice(name, "warm-up", _WARM_UP)
        if found is not None and found.problems and self.series[name].peer:
            self.series[name].problems += [f"warm-up: {text}" for text in found.problems]
            self._out.add(name)

    def run(self, rounds: int, seconds: float, tell: Callable[[str], None]) -> None:
        """So many rounds with so many seconds for each server."""
        for number in range(1, rounds + 1):
            base, line = 0.0, []
            for name, series in self.series.items():
                found = None if name in self._out else self._slice(name, str(number), seconds)
                if found is None:
                    continue
                series.slices.append(found)
                if self._owner[name] == BASE:  # those at this rate follow
                    base = found.cpu_us
                series.ratios.append(found.cpu_us / base)
                line.append(f"{name} {found.cpu_us:.0f} us ({series.ratios[-1]:.2f}x)")
            tell(f"round {number} of {rounds}: {', '.join(line)}")

    def join(self) -> None:
        """The far sides' counts; to be called when the last calls' transactions are over."""
        for name, subject in self.subjects.items():
            series, tally = self.series[name], self._tallies[name]
            if name in self._out:
                continue
            series.later_us = tally.later_us(subject.cpu())
            series.problems += subject.joined(tally.calls)

    def _slice(self, name: str, label: str, seconds: float) -> Slice | None:
        place = self._directory / f"{label}-{list(self.series).index(name)}"
        clock = time.monotonic()
        series, owner = self.series[name], self._owner[name]
        try:
            found = run_slice(self.subjects[owner], place, series.rate, seconds)
        except (OSError, SippError) as error:
            if not series.peer:
                raise
            series.problems.append(f"it ended: {error}")
            self._out.add(name)
            return None
        tally = self._tallies[owner]
        tally.calls += found.calls
        tally.inside_cpu += found.cpu_us * found.calls / 1e6
        tally.inside_wall += time.monotonic() - clock
        return found


class _Tally:
    """The CPU and the calls of one server, in slices and outside of them."""

    def __init__(self, cpu: float) -> None:
        self.calls = 0
        self.inside_cpu = 0.0
        self.inside_wall = 0.0
        self._idle = cpu
        self._begin_cpu = 0.0
        self._begin = 0.0

    def begin(self, cpu: float) -> None:
        """It was idle until now."""
        self._idle = (cpu - self._idle) / IDLE
        self._begin_cpu = cpu
        self._begin = time.monotonic()

    def later_us(self, cpu: float) -> float:
        """CPU per call outside of the slices, beyond what it uses idle."""
        outside = time.monotonic() - self._begin - self.inside_wall
        later = cpu - self._begin_cpu - self.inside_cpu - self._idle * outside
        return max(0.0, later / max(1, self.calls) * 1e6)


def base_name(rate: float, main_rate: float) -> str:
    """SIPp alone at this rate; its slices at the run's own rate have the plain name."""
    return BASE if rate == main_rate else f"{BASE} at {rate:g} calls/s"


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median, with the lowest and the highest value."""
    low, high = min(values), max(values)
    return f"{median(values):.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"
