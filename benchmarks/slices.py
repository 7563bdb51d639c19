"""One slice: callers at a fixed rate against one server, and whether the figures hold."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.cores import Side, generator_cores, placed
from benchmarks.subjects import Subject
from scenarios.load.meters import busy_seconds, cpu_seconds, saturated
from scenarios.load.sipp_files import message_counts, sipp_figures, whole
from scenarios.runner import SippResult, SippRun, sipp_below

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
    INVITE that the callers got, by code; `problems` say why the figures do not count, and
    `saturated` who was: the generator, the server, the machine, or nobody.
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
    saturated: str = ""


def run_slice(
    subject: Subject,
    directory: Path,
    rate: float,
    seconds: float,
    *,
    generators: int = 1,
    hurry: bool = False,
) -> Slice:
    """Call `subject` for so many seconds; CPU is counted until the last call is over.

    The rate is shared by so many `generators`. In a `hurry` the slice ends as soon as it can
    no longer be clean.
    """
    calls = max(generators, round(rate * seconds))
    begin, main = subject.cpu(), subject.main_cpu()
    behind = [subject.callee.pid] if subject.callee is not None else []
    callee_begin = sum(map(cpu_seconds, behind))
    clock, busy = time.monotonic(), busy_seconds()
    callers = Callers(subject, directory, calls, rate, seconds, generators)
    server = LoadClock([subject.cpu])
    machine = LoadClock([busy_seconds])
    generator = LoadClock([_cpu_of(pid) for pid in [*callers.pids, *behind]])
    try:
        looked = clock
        while callers.running and (now := time.monotonic()) - clock < 2 * seconds + 2 * _SPARE:
            time.sleep(0.05)
            for one in (server, generator, machine):
                one.look()
            if hurry and now - looked > _WINDOW:
                looked = now
                if callers.repeated_or_failed > calls * MOST_REPEATED:
                    break
        results = callers.end()
    finally:
        callers.stop()
    elapsed = time.monotonic() - clock
    spent, main = subject.cpu() - begin, subject.main_cpu() - main
    generated = sum(map(cpu_seconds, behind)) - callee_begin
    generated += sum(result.cpu_seconds for result in results)
    # The kernel counts in ticks, and may miss what is short.
    others = max(0.0, (busy_seconds() - busy - spent - generated) / elapsed)
    # All generators of a machine share the cores that the server leaves to them.
    generator_load = max(generator.busiest, generator.together / generator_cores())
    who = saturated(server.together, generator_load, machine.together)
    counts = callers.counts()
    again = sum(count for name, count in counts.items() if name.endswith("_Retrans"))
    if subject.callee is not None:
        again += subject.callee.sent_again()
    return Slice(
        calls=calls,
        rate=callers.achieved,
        cpu_us=spent / calls * 1e6,
        main_thread_us=main / calls * 1e6,
        server_load=server.together,
        generator_load=generator_load,
        other_load=others,
        retransmissions=again,
        answers={code: counts.get(f"{code}_Recv", 0) for code in ("100", "180", "183", "200")},
        problems=tuple(_problems(results, calls, again, callers.achieved / rate, who, others)),
        saturated=who,
    )


def _problems(
    results: Sequence[SippResult], calls: int, again: int, share: float, who: str, others: float
) -> list[str]:
    """Why the figures of a slice do not count; `share` of the rate was reached."""
    why = f"the {who} was saturated" if who else "nobody was saturated"
    if who != "server":
        why += f"; other work used {others:.1f} cores"
    problems = []
    if who == "generator":
        problems.append("the generator was saturated")
    successful = sum(result.successful for result in results)
    failed = sum(result.failed for result in results)
    if successful != calls or failed or not all(result.good for result in results):
        codes = " ".join(str(result.exit_code) for result in results)
        errors = " ".join(" ".join(result.errors.split())[:200] for result in results)
        problems.append(
            f"{successful} of {calls} calls went well, {failed} failed "
            f"(exit code {codes}): {why}. {errors}".strip()
        )
    if again > calls * MOST_REPEATED:
        problems.append(f"{again} messages were sent again in {calls} calls: {why}")
    if share < _LOWEST_RATE and who != "generator":
        problems.append(f"{share:.0%} of the rate was reached: {why}")
    return problems


class Callers:
    """The SIPps of a slice, with their shares of the calls and of the rate."""

    def __init__(
        self,
        subject: Subject,
        directory: Path,
        calls: int,
        rate: float,
        seconds: float,
        generators: int,
    ) -> None:
        self._runs: list[SippRun] = []
        self._places = [directory / str(number) for number in range(generators)]
        share = rate / generators
        try:
            for number in range(generators):
                with placed(Side.GENERATOR):
                    run = SippRun(
                        subject.caller,
                        self._places[number],
                        subject.address,
                        calls=calls // generators + (number < calls % generators),
                        rate=share,
                        service=subject.number,
                        seconds=2 * seconds + _SPARE,
                        options=["-l", str(max(10, round(2 * share))), "-trace_counts"],
                    )
                self._runs.append(run)
        except BaseException:
            self.stop()
            raise
        self.pids = [sipp_below(run.pid) for run in self._runs]

    @property
    def running(self) -> bool:
        """Whether one of them has not ended yet."""
        return any([run.running for run in self._runs])

    @property
    def repeated_or_failed(self) -> int:
        """The messages they have sent again and the calls that failed, as of a second ago."""
        return sum(
            whole(figures.get(name, ""))
            for figures in map(sipp_figures, self._places)
            for name in ("Retransmissions(C)", "FailedCall(C)")
        )

    @property
    def achieved(self) -> float:
        """The calls placed per second."""
        return sum(float(sipp_figures(place).get("CallRate(C)") or 0) for place in self._places)

    def counts(self) -> dict[str, int]:
        """What they sent and received, by message."""
        return dict(sum((Counter(message_counts(place)) for place in self._places), Counter()))

    def end(self) -> list[SippResult]:
        """What came of each; by force, where it still runs."""
        self.stop()
        return [run.wait() for run in self._runs]

    def stop(self) -> None:
        """End those that still run."""
        for run in self._runs:
            run.stop()


class LoadClock:
    """The highest shares of a core, over windows of half a second, that some processes used:
    the `busiest` of them, and all `together`."""

    def __init__(self, cpu: Sequence[Callable[[], float]]) -> None:
        self.busiest = 0.0
        self.together = 0.0
        self._cpu = cpu
        self._at = time.monotonic()
        self._used = [one() for one in cpu]

    def look(self) -> None:
        """To be called often."""
        now = time.monotonic()
        if now - self._at < _WINDOW:
            return
        try:
            used = [one() for one in self._cpu]
        except OSError:  # one has ended
            return
        shares = [(new - old) / (now - self._at) for new, old in zip(used, self._used, strict=True)]
        self.busiest = max(self.busiest, *shares)
        self.together = max(self.together, sum(shares))
        self._at, self._used = now, used


def _cpu_of(pid: int) -> Callable[[], float]:
    return lambda: cpu_seconds(pid)
