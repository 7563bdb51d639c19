"""Half an hour under load: memory stays where it is, and no call fails.

``python -m benchmarks.long --rate R`` calls one server at a fixed rate and reads its
resident memory every ten seconds. R is to be half the highest clean rate of this server. What
was sent again is told with the moment, and with the CPU time that the machine's host gave to
others meanwhile: a server that does not run for half a second has messages sent again.
"""

import argparse
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from benchmarks.figures import Outcome, Target, WholeNumber, tell
from benchmarks.report import table
from benchmarks.slices import Slice, run_slice
from benchmarks.subjects import BenchmarkError, Subject, start
from benchmarks.tools import ROLES, makers_of, run_tool, tool_parser
from scenarios.load.meters import stolen_seconds
from scenarios.load.sipp_files import sipp_figures, whole

GROWTH: Final = 0.01
"""How much memory may grow after the first minutes, as a share."""

SETTLING: Final = 300.0
"""Seconds in which it may grow: transactions that linger, pages of the database."""

_WINDOW: Final = 60.0
_EVERY: Final = 10.0
_BYTES_PER_CDR: Final = 1100  # twice what is usual is there during a checkpoint, at most
_TELL_EVERY: Final = 60.0

Sample = tuple[float, int]
"""Seconds since the first call, bytes."""


class Moment(NamedTuple):
    """So far, `at` seconds since the first call: what the caller sent again, and the CPU
    seconds that all cores lost to others on the same host."""

    at: float
    again: int
    stolen: float


def growth(samples: Sequence[Sample], end: float, settling: float, window: float) -> float:
    """How much more memory there was in the last `window` of `end` seconds than in the one
    that follows `settling`, as a share; medians, since single samples swing.

    Raises ValueError when one of them has no sample.
    """
    first = [size for at, size in samples if settling <= at < settling + window]
    last = [size for at, size in samples if end - window <= at <= end]
    if not first or not last:
        raise ValueError("there are no samples after the settling time: let it run longer")
    return median(last) / median(first) - 1


def trend(samples: Sequence[Sample], end: float, settling: float) -> float:
    """Bytes an hour by which memory rose after `settling`: the slope of least squares."""
    points = [(at, size) for at, size in samples if settling <= at <= end]
    if len(points) < 2:
        return 0.0
    middle = sum(at for at, _ in points) / len(points)
    mean = sum(size for _, size in points) / len(points)
    return 3600 * (
        sum((at - middle) * (size - mean) for at, size in points)
        / sum((at - middle) ** 2 for at, _ in points)
    )


def needed_bytes(rate: int, seconds: float) -> int:
    """Room for the records of a run, with a spare gigabyte."""
    return round(rate * seconds * _BYTES_PER_CDR) + (1 << 30)


class Watch:
    """Reads the memory of a server from time to time, and what its caller has `sent_again`,
    in a thread of its own."""

    def __init__(
        self, memory: Callable[[], int], sent_again: Callable[[], int], every: float
    ) -> None:
        self.samples: list[Sample] = []
        self.moments: list[Moment] = []
        self._memory = memory
        self._sent_again = sent_again
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        told = 0.0
        stolen = stolen_seconds()
        while True:
            at = time.monotonic() - self._begun
            try:
                self.samples.append((at, self._memory()))
            except OSError:  # it has ended, which the caller reports
                return
            self.moments.append(Moment(at, self._sent_again(), stolen_seconds() - stolen))
            if at >= told:
                told += _TELL_EVERY
                tell(
                    f"{at / 60:.0f} min: {self.samples[-1][1] / 1e6:.1f} MB, "
                    f"{self.moments[-1].again} sent again, {self.moments[-1].stolen:.1f} s stolen"
                )
            due = self._begun + len(self.samples) * self._every
            if self._over.wait(max(0.0, due - time.monotonic())):
                return


def run_long(
    subject: Subject, directory: Path, rate: int, seconds: float, every: float
) -> tuple[Slice, Watch, list[str]]:
    """Calls for so many seconds; what was seen meanwhile, and what was wrong."""
    caller = directory / "caller"

    def sent_again() -> int:
        return whole(sipp_figures(caller / "0").get("Retransmissions(C)", ""))

    with Watch(subject.memory, sent_again, every) as watch:
        found = run_slice(subject, caller, rate, seconds)
    problems = [*found.problems, *subject.joined(found.calls)]
    return found, watch, [*problems, *when(watch.moments)] if problems else []


def when(moments: Sequence[Moment]) -> list[str]:
    """When messages were sent again, and what the host took from the machine just then."""
    return [
        f"at {now.at / 60:.1f} min: {now.again - before.again} sent again by the caller; the host "
        f"had taken {now.stolen - before.stolen:.1f} s of CPU time in {now.at - before.at:.0f} s"
        for before, now in pairwise(moments)
        if now.again > before.again
    ]


def outcome_of(
    found: Slice, samples: Sequence[Sample], seconds: float, settings: dict[str, object]
) -> Outcome:
    """Table, verdict and figures. Raises ValueError like `growth`."""
    settling = min(SETTLING, seconds / 3)  # shorter in a trial
    window = min(_WINDOW, seconds / 6)
    outcome = Outcome(settings)
    share = growth(samples, seconds, settling, window)
    sizes = [size for at, size in samples if settling <= at <= seconds]
    heading = ("minutes", "calls/s", "calls", "sent again", "CPU per call, us")
    memory = ("memory, MB", "highest", "at the end", "growth", "an hour, MB")
    row = (
        *(f"{seconds / 60:g}", f"{found.rate:,.0f}", f"{found.calls:,}"),
        *(str(found.retransmissions), f"{found.cpu_us:.0f}"),
        *(f"{sizes[0] / 1e6:.1f}", f"{max(sizes) / 1e6:.1f}", f"{sizes[-1] / 1e6:.1f}"),
        *(f"{share:.2%}", f"{trend(samples, seconds, settling) / 1e6:+.2f}"),
    )
    outcome.tables.append(table((*heading, *memory), [row]))
    what = f"growth of memory after {settling / 60:g} minutes"
    outcome.targets.append(Target(what, share * 100, GROWTH * 100, "%", below=True))
    outcome.figures.update(slice=asdict(found), memory=samples)
    return outcome


def measure(options: argparse.Namespace, directory: Path) -> Outcome:
    """The whole run."""
    settings = {key: getattr(options, key) for key in ("role", "rate", "minutes")}
    seconds = options.minutes * 60
    free, needed = shutil.disk_usage(directory).free, needed_bytes(options.rate, seconds)
    if free < needed:
        raise BenchmarkError(
            f"{directory.parent} has {free / 1e9:.1f} GB; the records take {needed / 1e9:.1f} GB"
        )
    name = ROLES[options.role]
    subject = start(name, makers_of(options.form)[name], directory, 2 * seconds + 120)
    try:
        every = min(_EVERY, seconds / 60)
        found, watch, problems = run_long(subject, directory, options.rate, seconds, every)
    finally:
        stopped = subject.stop()
    outcome = outcome_of(found, watch.samples, seconds, settings)
    outcome.figures["moments"] = watch.moments
    outcome.problems += problems + stopped
    return outcome


def _minutes(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 120:
        raise argparse.ArgumentTypeError(f"{value:g} is not from 0.1 to 120")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as told by the command line."""
    parser = tool_parser("long", __doc__)
    parser.add_argument(
        "--minutes", type=_minutes, default=30.0, help="of calls (30; 2 for a trial)"
    )
    parser.add_argument(
        "--rate", type=WholeNumber(1, 20_000), default=2000, help="calls/s, half the highest (2000)"
    )
    parser.add_argument("--role", choices=ROLES, default="callee", help="of Callsim (callee)")
    options = parser.parse_args(arguments)
    return run_tool("long", options, measure)


if __name__ == "__main__":
    sys.exit(main())
