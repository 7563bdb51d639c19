"""Rounds: a slice of each server in turn, at the same rate, so that drift hits all alike."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.slices import Slice, run_slice
from benchmarks.subjects import BASE, Subject

IDLE: Final = 3.0
"""Seconds without a call, at the start: what the servers use by just being there."""

_WARM_UP: Final = 1.0


@dataclass(slots=True)
class Series:
    """The slices of one server. `later_us` is the CPU per call spent outside of them, beyond
    what it uses idle: lingering transactions, the tail of the CDRs."""

    slices: list[Slice] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    later_us: float = 0.0
    problems: list[str] = field(default_factory=list)

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


class Rounds:
    """The rounds of a run over running servers."""

    def __init__(self, subjects: dict[str, Subject], directory: Path, rate: float) -> None:
        self.subjects = subjects
        self.series = {name: Series() for name in subjects}
        self._directory = directory
        self._rate = rate
        self._calls = dict.fromkeys(subjects, 0)
        self._inside_cpu = dict.fromkeys(subjects, 0.0)
        self._inside_wall = dict.fromkeys(subjects, 0.0)
        before = self._cpu()
        time.sleep(IDLE)  # before the first call, so that nothing lingers yet
        self._begin_cpu = self._cpu()
        self._begin = time.monotonic()
        self._idle = {name: (self._begin_cpu[name] - before[name]) / IDLE for name in subjects}
        for name in subjects:
            self._slice(name, "warm-up", _WARM_UP)

    def run(self, rounds: int, seconds: float, tell: Callable[[str], None]) -> None:
        """So many rounds with so many seconds for each server."""
        for number in range(1, rounds + 1):
            for name, series in self.series.items():
                series.slices.append(self._slice(name, str(number), seconds))
            base = self.series[BASE].slices[-1].cpu_us
            for series in self.series.values():
                series.ratios.append(series.slices[-1].cpu_us / base)
            tell(f"round {number} of {rounds}: {self._line()}")

    def join(self) -> None:
        """The far sides' counts; to be called when the last calls' transactions are over."""
        wall = time.monotonic() - self._begin
        for name, subject in self.subjects.items():
            series = self.series[name]
            calls = self._calls[name]
            idle = self._idle[name] * (wall - self._inside_wall[name])
            outside = subject.cpu() - self._begin_cpu[name] - self._inside_cpu[name] - idle
            series.later_us = max(0.0, outside / calls * 1e6)
            series.problems += subject.joined(calls)

    def _slice(self, name: str, label: str, seconds: float) -> Slice:
        place = self._directory / f"{label}-{list(self.subjects).index(name)}"
        clock = time.monotonic()
        found = run_slice(self.subjects[name], place, self._rate, seconds)
        self._calls[name] += found.calls
        self._inside_cpu[name] += found.cpu_us * found.calls / 1e6
        self._inside_wall[name] += time.monotonic() - clock
        return found

    def _cpu(self) -> dict[str, float]:
        return {name: subject.cpu() for name, subject in self.subjects.items()}

    def _line(self) -> str:
        return ", ".join(
            f"{name} {series.slices[-1].cpu_us:.0f} us ({series.ratios[-1]:.2f}x)"
            for name, series in self.series.items()
        )


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median, with the lowest and the highest value."""
    low, high = min(values), max(values)
    return f"{median(values):.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"
