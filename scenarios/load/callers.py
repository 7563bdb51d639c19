"""The SIPps of a load run: callers whose rate is steered while they run, and the callee."""

import math
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from scenarios.load.profile import Profile
from scenarios.load.result import Second, Times
from scenarios.load.sipp_files import (
    FAILURES,
    ResponseTimesFile,
    StatisticsFile,
    moment,
    repeated,
    unexpected_codes,
    whole,
)
from scenarios.load.terminator import LOG, Byes
from scenarios.runner import LOOPBACK, Address, SippRun, free_port, sipp_below

PATIENCE: Final = 10.0
"""Seconds that calls may take to be over once no more begin, beside the time they are held."""

_MANY: Final = 100_000_000
_LEAST_OPEN: Final = 100


class Timeline:
    """The seconds of a run that began at `began` (seconds since the epoch)."""

    def __init__(self, profile: Profile, began: float) -> None:
        self.profile = profile
        self.began = began
        self.seconds: list[Second] = []
        self.times: dict[str, Times] = {}
        self._by_second: dict[tuple[int, str], Times] = {}

    def second(self, index: int) -> Second:
        """That one; the ones before it are made as well."""
        index = max(0, index)
        while len(self.seconds) <= index:
            at = float(len(self.seconds))
            self.seconds.append(Second(at, planned=self.profile.calls(at, at + 1)))
        return self.seconds[index]

    def spread(self, name: str, begin: float, end: float, amount: float) -> None:
        """Add to a figure what came between two moments: SIPp's seconds are not ours."""
        first, last = begin - self.began, max(end - self.began, begin - self.began + 1e-3)
        if last <= 0:
            first, last = 0.0, 1e-3
        first = max(first, 0.0)
        for index in range(int(first), math.ceil(last)):
            share = (min(last, index + 1) - max(first, index)) / (last - first)
            second = self.second(index)
            setattr(second, name, getattr(second, name) + amount * share)

    def timed(self, at: float, timer: str, took: float) -> None:
        """A response time that was over at this moment."""
        self.times.setdefault(timer, Times()).add(took)
        index = max(0, int(at - self.began))
        self._by_second.setdefault((index, timer), Times()).add(took)

    def finish(self) -> None:
        """Work out the percentiles of each second."""
        for (index, timer), times in self._by_second.items():
            self.second(index).times[timer] = times.summary()

    def recent(self, timer: str, index: int) -> Times:
        """The times of one second so far."""
        return self._by_second.get((index, timer), Times())


class Sipp:
    """One SIPp and its files."""

    def __init__(self, run: SippRun, control: Address | None = None) -> None:
        self.run = run
        self.pid = sipp_below(run.pid)
        self.row: dict[str, str] = {}
        self._control = control
        self._statistics = StatisticsFile(run.directory / "statistics.csv")
        self._times = ResponseTimesFile(run.directory)
        self._byes = Byes(run.directory)
        self._began = 0.0
        self._before = 0.0

    def count(self, column: str) -> int:
        """A count since the start, as of its last second."""
        return whole(self.row.get(f"{column}(C)", ""))

    def read(self, timeline: Timeline, columns: dict[str, str]) -> None:
        """Take its new figures into the timeline: `columns` names those of its statistics."""
        for row in self._statistics.read():
            at = moment(row["CurrentTime"])
            self._began = moment(row["StartTime"])
            before = {one: self.count(one) for one in columns}
            self.row = row
            for column, name in columns.items():
                timeline.spread(name, self._before or at, at, self.count(column) - before[column])
            self._before = at
        if self._began:
            for at, timer, took in self._times.read(self._began):
                timeline.timed(at, timer, took)

    def byes(self) -> Iterator[tuple[str, float]]:
        """The BYEs that it has got since it was asked last: Call-ID, and when."""
        return self._byes.read()

    def tell(self, command: str) -> None:
        """A command for its control socket."""
        assert self._control is not None, "it is not steered"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            control.sendto(command.encode(), self._control)


class Callers:
    """So many SIPps that call `remote` with one scenario, at no rate yet.

    `numbers` is an injection file, `peak` the highest rate of all together; a call pauses for
    `hold` seconds and may last for `lasting`. Raises SippError.
    """

    COLUMNS: Final = {
        "OutgoingCall": "offered",
        "SuccessfulCall": "completed",
        "FailedCall": "failed",
        "Retransmissions": "again",
    }

    def __init__(
        self,
        scenario: Path,
        directory: Path,
        remote: Address,
        *,
        generators: int,
        peak: float,
        hold: float,
        lasting: float,
        number: str,
        numbers: Path | None,
        seconds: float,
    ) -> None:
        self.sipps: list[Sipp] = []
        share = peak / generators
        self.limit_each = max(_LEAST_OPEN, math.ceil(share * (lasting + PATIENCE)))
        injected = ["-inf", str(numbers)] if numbers is not None else []
        try:
            for index in range(generators):
                control = free_port()
                run = SippRun(
                    scenario,
                    directory / f"caller-{index}",
                    remote,
                    calls=_MANY,
                    rate=0,
                    service=number,
                    hold_ms=round(hold * 1000),
                    seconds=seconds,
                    local=local_address(remote),
                    options=[
                        *["-cp", str(control), "-l", str(self.limit_each), *injected],
                        *["-trace_logs", "-log_file", LOG],
                        *["-trace_rtt", "-rtt_freq", "1", "-trace_counts", "-trace_error_codes"],
                        # It would end when it is late; that it is, is what we want to see.
                        *["-watchdog_major_maxtriggers", "-1", "-watchdog_minor_maxtriggers", "-1"],
                    ],
                )
                self.sipps.append(Sipp(run, (LOOPBACK, control)))
        except BaseException:
            self.stop()
            raise

    @property
    def limit(self) -> int:
        """The calls that all together have open at most."""
        return self.limit_each * len(self.sipps)

    def set_rate(self, rate: float, *, begin: bool = False) -> None:
        """Calls a second, all together; they `begin` with the first."""
        for sipp in self.sipps:
            sipp.tell(f"cset rate {rate / len(self.sipps):.3f}")
        if begin:  # a pause that is over wakes SIPp, which sleeps for a second without a rate
            for sipp in self.sipps:
                sipp.tell("p")
                sipp.tell("p")

    def finish(self) -> None:
        """Begin no more calls, and end when those that are open are over."""
        for sipp in self.sipps:
            sipp.tell("q")

    def read(self, timeline: Timeline) -> None:
        """Take the new figures of all into the timeline."""
        for sipp in self.sipps:
            sipp.read(timeline, self.COLUMNS)

    def total(self, column: str) -> int:
        """A count of all."""
        return sum(sipp.count(column) for sipp in self.sipps)

    @property
    def active(self) -> int:
        """The calls that are open, as of the last second."""
        return sum(whole(sipp.row.get("CurrentCall", "")) for sipp in self.sipps)

    @property
    def running(self) -> list[Sipp]:
        """Those that have not ended."""
        return [sipp for sipp in self.sipps if sipp.run.running]

    def causes(self) -> Counter[str]:
        """Why calls failed, by count."""
        found: Counter[str] = Counter()
        for column, text in FAILURES.items():
            if count := self.total(column):
                found[text] = count
        for sipp in self.sipps:
            for code, count in unexpected_codes(sipp.run.directory).items():
                found[f"of these with an unexpected {code}"] += count
        return found

    def repeated(self) -> tuple[int, int]:
        """The messages that they sent again, and those that came to them again."""
        pairs = [repeated(sipp.run.directory) for sipp in self.sipps]
        return sum(sent for sent, _ in pairs), sum(came for _, came in pairs)

    def complaint(self) -> str:
        """What one that ended before its time complained of."""
        for sipp in self.sipps:
            if not sipp.run.running and (result := sipp.run.wait(0)).exit_code not in (0, 1, 99):
                return f"exit code {result.exit_code}: {' '.join(result.errors.split())[:300]}"
        return ""

    def stop(self) -> None:
        """End those that still run."""
        for sipp in self.sipps:
            sipp.run.stop()


class Callee:
    """A SIPp that is called: at `uri`, by a scenario of its own."""

    COLUMNS: Final = {"Retransmissions": "behind"}

    def __init__(self, scenario: str | Path, directory: Path, seconds: float, local: str) -> None:
        run = SippRun(
            scenario,
            directory,
            calls=_MANY,
            seconds=seconds,
            local=local,
            options=["-trace_rtt", "-rtt_freq", "1"],
        )
        self.sipp = Sipp(run)
        self.uri = run.uri
        self.address = run.address

    def read(self, timeline: Timeline) -> None:
        """Take its new figures into the timeline."""
        self.sipp.read(timeline, self.COLUMNS)

    def stop(self) -> None:
        """End it."""
        self.sipp.run.stop()


def local_address(remote: Address) -> str:
    """The address of ours from which packets go there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(remote)
        return str(probe.getsockname()[0])
