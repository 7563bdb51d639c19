"""One slice: a caller at a fixed rate against one server, and whether the figures hold."""

import csv
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.subjects import Subject, cpu_seconds, main_thread_seconds, sipp_below, sipp_figures
from scenarios.runner import SippRun

SATURATED: Final = 0.90
"""Share of one core from which a single-threaded process counts as saturated."""

MOST_REPEATED: Final = 0.001
"""Retransmissions per call that are still clean."""

_LOWEST_RATE: Final = 0.97
_SPARE: Final = 15.0
_WINDOW: Final = 0.5


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice gave.

    `server_load` and `generator_load` are shares of one core, at their highest within the
    slice, `other_load` what else ran on the machine, in cores; `answers` are the responses to
    INVITE that the caller got, by code; `problems` say why the figures do not count.
    """

    calls: int
    rate: float
    cpu_us: float
    main_thread_us: float
    server_load: float
    generator_load: float
    other_load: float
    retransmissions: int
    answers: Mapping[str, int]
    problems: tuple[str, ...]


def run_slice(subject: Subject, directory: Path, rate: float, seconds: float) -> Slice:
    """Call `subject` for so many seconds; CPU is counted until the last call is over."""
    calls = max(1, round(rate * seconds))
    begin, main = subject.cpu(), main_thread_seconds(subject.pid)
    clock, busy = time.monotonic(), busy_seconds()
    caller = SippRun(
        "uac",
        directory,
        subject.address,
        calls=calls,
        rate=rate,
        service=subject.number,
        seconds=2 * seconds + _SPARE,
        options=["-l", str(max(10, round(2 * rate))), "-trace_counts"],
    )
    server_clock = LoadClock(subject.cpu)
    generator_clock = LoadClock(lambda: cpu_seconds(sipp_below(caller.pid)))
    try:
        while caller.running and time.monotonic() - clock < 2 * seconds + 2 * _SPARE:
            time.sleep(0.05)
            server_clock.look()
            generator_clock.look()
        result = caller.wait()
    finally:
        caller.stop()
    spent, main = subject.cpu() - begin, main_thread_seconds(subject.pid) - main
    others = (busy_seconds() - busy - spent - result.cpu_seconds) / (time.monotonic() - clock)
    others = max(0.0, others)  # the kernel counts in ticks, and may miss what is short
    achieved = float(sipp_figures(directory).get("CallRate(C)") or 0)
    counts = message_counts(directory)
    again = sum(count for name, count in counts.items() if name.endswith("_Retrans"))
    server, generator = server_clock.highest, generator_clock.highest
    who = "the server was saturated"
    if server <= SATURATED:
        who = f"the server was not saturated; other work used {others:.1f} cores"
    problems = []
    if not result.good or result.successful != calls or result.failed:
        problems.append(
            f"{result.successful} of {calls} calls went well, {result.failed} failed "
            f"(exit code {result.exit_code}): {who}. {' '.join(result.errors.split())[:200]}"
        )
    if again > calls * MOST_REPEATED:
        problems.append(f"{again} messages were sent again in {calls} calls")
    if generator > SATURATED:
        problems.append(f"the generator was saturated: {generator:.0%} of a core")
    elif achieved < _LOWEST_RATE * rate:
        problems.append(f"{achieved:.0f} instead of {rate:g} calls/s: {who}")
    return Slice(
        calls=calls,
        rate=achieved,
        cpu_us=spent / calls * 1e6,
        main_thread_us=main / calls * 1e6,
        server_load=server,
        generator_load=generator,
        other_load=others,
        retransmissions=again,
        answers={code: counts.get(f"{code}_Recv", 0) for code in ("100", "180", "183", "200")},
        problems=tuple(problems),
    )


class LoadClock:
    """The highest share of a core that a process used, over windows of half a second."""

    def __init__(self, cpu: Callable[[], float]) -> None:
        self.highest = 0.0
        self._cpu = cpu
        self._at = time.monotonic()
        self._used = self._cpu()

    def look(self) -> None:
        """To be called often."""
        now = time.monotonic()
        if now - self._at < _WINDOW:
            return
        try:
            used = self._cpu()
        except OSError:  # it has ended
            return
        self.highest = max(self.highest, (used - self._used) / (now - self._at))
        self._at, self._used = now, used


def busy_seconds() -> float:
    """CPU seconds that all cores together have worked."""
    fields = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()
    user, nice, system, _idle, _wait, irq, softirq = map(int, fields[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def message_counts(directory: Path) -> dict[str, int]:
    """What the caller sent and received, each by message: ``INVITE_Sent``, ``200_Recv``.

    The first of each name: the 200 is the one to INVITE.
    """
    counts: dict[str, int] = {}
    for path in directory.glob("*_counts.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter=";"))
        if len(rows) < 2:
            continue
        for name, text in zip(*rows[:: len(rows) - 1], strict=False):
            index, _, key = name.partition("_")
            if not (index.isdigit() and text.isdigit()):
                continue
            if key.endswith("_Retrans"):
                key = name
            counts.setdefault(key, int(text))
    return counts
