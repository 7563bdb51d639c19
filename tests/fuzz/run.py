"""A bounded run in this process: parser and endpoint, on virtual time.

The datagrams come in rounds, each a scene and a mutator of its own, made from the seed
and the number of the round alone: any round can be had again.
"""

import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from tests.fuzz.mutate import Mutator
from tests.fuzz.scene import Scene, read_all

ROUND = 2_000  # datagrams of one scene
SLOW = 0.05  # seconds of CPU for one datagram that are worth a report
HUNG = 30.0  # seconds after which a hundred datagrams count as hung
_PACE = 16  # datagrams between two steps of the clock ...
_STEP = 0.4  # ... of so many seconds: 32 s are 1,280 datagrams
_READ = 4  # one datagram in so many is also read value by value
_MOST_FINDINGS = 20
_ATTEMPTS = 5


class Hung(BaseException):
    """A datagram that is not finished with; no suppressed exception may hide it."""


@dataclass
class Report:
    """What a run found."""

    datagrams: int = 0
    octets: int = 0
    seconds: float = 0.0
    exceptions: int = 0
    slow: int = 0
    longest: float = 0.0
    rest: int = 0  # entries that were left in tables
    most_entries: int = 0
    memory_before: int = 0
    memory_after: int = 0
    findings: list[str] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        """Join the report of another process or round."""
        self.datagrams += other.datagrams
        self.octets += other.octets
        self.exceptions += other.exceptions
        self.slow += other.slow
        self.rest += other.rest
        self.longest = max(self.longest, other.longest)
        self.most_entries = max(self.most_entries, other.most_entries)
        self.memory_before += other.memory_before
        self.memory_after += other.memory_after
        self.findings += other.findings[: _MOST_FINDINGS - len(self.findings)]

    def find(self, text: str) -> None:
        """Keep a finding, if there are not too many."""
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(text)

    @property
    def clean(self) -> bool:
        """Whether nothing was raised, hung or left behind."""
        return not (self.exceptions or self.slow or self.rest)

    def __str__(self) -> str:
        rate = self.datagrams / self.seconds if self.seconds else 0.0
        return (
            f"{self.datagrams:,} datagrams, {self.octets:,} octets, in {self.seconds:.1f} s "
            f"({rate:,.0f}/s)\nexceptions: {self.exceptions}\n"
            f"slower than {SLOW * 1000:.0f} ms: {self.slow}; the longest: "
            f"{self.longest * 1000:.1f} ms\nentries in tables: {self.most_entries:,} at most, "
            f"{self.rest} left\nresident memory: {self.memory_before / 1e6:.1f} MB after "
            f"warming up, {self.memory_after / 1e6:.1f} MB at the end"
        )


def run(seed: int, rounds: range, size: int = ROUND) -> Report:
    """Do these rounds of `size` datagrams; memory is compared from the third round on."""
    report = Report()
    started = time.perf_counter()
    for number in rounds:
        if number - rounds.start == 2 * rounds.step or report.memory_before == 0:
            report.memory_before = resident()
        _round(report, seed, number, size)
    report.memory_after = resident()
    report.seconds = time.perf_counter() - started
    return report


def datagrams(scene: Scene, seed: int, number: int, size: int) -> Iterator[bytes]:
    """The datagrams of one round."""
    mutator = Mutator(scene.messages, Random(f"{seed} {number}"))
    for _ in range(size):
        yield mutator.next()


def _round(report: Report, seed: int, number: int, size: int) -> None:
    scene = Scene()
    clock = time.thread_time
    data = b""
    index = 0
    with watched() as rearm:
        for index, data in enumerate(datagrams(scene, seed, number, size)):
            if index % 100 == 0:
                rearm()
                report.most_entries = max(report.most_entries, scene.sizes())
            report.datagrams += 1
            report.octets += len(data)
            before = clock()
            try:
                if index % _READ == 0:
                    read_all(data)
                scene.receive(data)
                if index % _PACE == 0:
                    scene.pass_time(_STEP)
            except (Exception, Hung):
                report.exceptions += 1
                report.find(_describe(seed, number, index, data) + traceback.format_exc())
                scene = Scene()
                rearm()
                continue
            took = clock() - before
            if took > report.longest:
                report.longest = took
            if took > SLOW and not _quick(data):
                report.slow += 1
                report.find(_describe(seed, number, index, data) + f"took {took * 1000:.0f} ms\n")
        rearm()
        left = scene.end()
    if left:
        report.rest += sum(left.values())
        report.find(f"seed {seed}, round {number}: left in tables: {left}\n")


def _quick(data: bytes) -> bool:
    """Whether the datagram alone is not what took the time: a clean-up of memory may have."""
    return any(_alone(data) < SLOW for _ in range(_ATTEMPTS))


def _alone(data: bytes) -> float:
    scene = Scene()
    before = time.thread_time()
    read_all(data)
    scene.receive(data)
    return time.thread_time() - before


def _describe(seed: int, number: int, index: int, data: bytes) -> str:
    shown = data if len(data) <= 3_000 else data[:1_500] + b" ... " + data[-1_500:]
    return f"seed {seed}, round {number}, datagram {index} ({len(data)} octets): {shown!r}\n"


@contextmanager
def watched() -> Iterator["Rearm"]:
    """An alarm that raises `Hung` unless it is armed again in time (a main thread's only)."""

    def raise_hung(_number: int, _frame: FrameType | None) -> None:
        raise Hung(f"not finished after {HUNG:.0f} s")

    before = signal.signal(signal.SIGALRM, raise_hung)
    try:
        yield Rearm()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Rearm:
    """Starts the alarm from the beginning."""

    def __call__(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, HUNG)


def resident(pid: int | str = "self") -> int:
    """Resident memory of a process in octets; 0 where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return 0
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096
