"""What is completed of what is offered, from half the highest clean rate to three times.

``python -m benchmarks.overload`` finds the highest clean rate of a server (or is given it by
--rate), then offers it 0.5 to 3 times that, some seconds each, with 503 as good an answer as
200. At last three times the rate falls to the half of it: how long until calls go as if nothing
had been? The plot is the overload curve.
"""

import argparse
import csv
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.cores import Side, generator_cores, placed
from benchmarks.figures import RESULTS, Outcome, Target, WholeNumber, percentile, tell
from benchmarks.highest import START, Bench, find
from benchmarks.plots import NoPlots
from benchmarks.report import table
from benchmarks.slices import LoadClock
from benchmarks.subjects import BenchmarkError, Callsim, start
from benchmarks.tools import ROLES, makers_of, run_tool, tool_parser
from scenarios.load.meters import busy_seconds, cpu_seconds, saturated
from scenarios.load.sipp_files import message_counts, sipp_figures, whole
from scenarios.runner import SippRun, sipp_below

FACTORS: Final = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
"""What is offered, in multiples of the highest clean rate."""

LOST: Final = 0.20
"""The share of the highest rate that may be lost at three times of it."""

RECOVERY: Final = 5.0
"""Seconds in which a server must be as before, once the load has fallen."""

GROWTH: Final = 64.0
"""MB by which the memory at three times the rate may exceed that at the rate itself."""

_CALLER: Final = Path(__file__).parent / "overloaded.xml"
_LATE: Final = 500.0  # ms: T1, after which a caller sends its INVITE again
_PATIENCE: Final = 40.0
_BEGIN: Final = 1.0  # seconds of an offer that do not count
_WRITTEN: Final = 0.3  # seconds until the last record is surely there
_REST: Final = 2.0
_FILL: Final = 40.0  # seconds: 64*T1 and more, after which as much ends as begins
_JOURNAL: Final = 20.0
_LIFE: Final = 1800.0


class Offer:
    """SIPps that offer `rate` calls/s together, for so many seconds; it begins at once."""

    def __init__(
        self, subject: Callsim, directory: Path, rate: float, seconds: float, generators: int
    ) -> None:
        self.calls = max(generators, round(rate * seconds))
        self.began = time.time()
        self._places = [directory / str(number) for number in range(generators)]
        self._runs: list[SippRun] = []
        share = rate / generators
        for number, place in enumerate(self._places):
            with placed(Side.GENERATOR):
                run = SippRun(
                    _CALLER,
                    place,
                    subject.address,
                    calls=self.calls // generators + (number < self.calls % generators),
                    rate=share,
                    service=subject.number,
                    seconds=seconds + _PATIENCE,
                    options=[
                        *["-l", str(max(10, round(4 * share))), "-trace_counts"],
                        *["-trace_rtt", "-rtt_freq", "20"],
                    ],
                )
            self._runs.append(run)
        self.pids = [sipp_below(run.pid) for run in self._runs]

    @property
    def running(self) -> bool:
        """Whether one of them has not ended yet."""
        return any([run.running for run in self._runs])

    def stop(self) -> None:
        """End those that still run."""
        for run in self._runs:
            run.stop()

    def end(self) -> None:
        """Wait until every call is over, by force after a while."""
        for run in self._runs:
            run.wait()

    def total(self, name: str) -> int:
        """One of the counts of SIPp's statistics."""
        return sum(whole(sipp_figures(place).get(name, "")) for place in self._places)

    @property
    def refused(self) -> int:
        """The calls that got 503."""
        return sum(message_counts(place).get("503_Recv", 0) for place in self._places)

    @property
    def whole(self) -> int:
        """The calls that were answered and ended as they should be."""
        return self.total("SuccessfulCall(C)") - self.refused

    def times(self) -> dict[str, list[tuple[float, float]]]:
        """When final answers to INVITE came (seconds since the epoch), and how long each took,
        in milliseconds; by ``answered`` and ``refused``."""
        found: dict[str, list[tuple[float, float]]] = {"answered": [], "refused": []}
        for place in self._places:
            text = sipp_figures(place).get("StartTime", "")
            began = float(text.split("\t")[-1]) if text else self.began
            for path in place.glob("*_rtt.csv"):  # its times are milliseconds from there
                with path.open(encoding="utf-8", newline="") as file:
                    for row in csv.reader(file, delimiter=";"):
                        if len(row) == 3 and row[2] in found:
                            found[row[2]].append((began + float(row[0]) / 1000, float(row[1])))
        return found


@dataclass(frozen=True, slots=True)
class Point:
    """What came of one offer: `completed` calls a second by the server's records, `refused` the
    share that got 503; times from INVITE to 200 in ms; memory in MB, at its highest.

    `whole` are the calls that were answered and ended, as the callers saw them, `failed` those
    that came to no good end, `again` the messages that the callers sent again.
    """

    factor: float
    offered: float
    completed: float
    refused: float
    p50: float
    p99: float
    refused_p99: float
    whole: int
    failed: int
    again: int
    server_load: float
    generator_load: float
    memory: float
    saturated: str


def offer(
    subject: Callsim, directory: Path, rate: float, factor: float, seconds: float, generators: int
) -> Point:
    """Offer `factor` times the `rate` for so many seconds."""
    server, machine = LoadClock([subject.cpu]), LoadClock([busy_seconds])
    offered = Offer(subject, directory, rate * factor, seconds, generators)
    generator = LoadClock([_cpu_of(pid) for pid in offered.pids])
    memory = 0
    try:
        while offered.running:
            time.sleep(0.05)
            for clock in (server, machine, generator):
                clock.look()
            memory = max(memory, subject.memory())
    finally:
        offered.stop()
    offered.end()
    times = offered.times()
    generator_load = max(generator.busiest, generator.together / generator_cores())
    time.sleep(_WRITTEN)
    answered = [took for _, took in times["answered"]] or [0.0]
    return Point(
        factor=factor,
        offered=_offered_rate(times, offered.began, seconds),
        completed=subject.completed(offered.began + _BEGIN, offered.began + seconds)
        / (seconds - _BEGIN),
        refused=offered.refused / offered.calls,
        p50=percentile(answered, 0.5),
        p99=percentile(answered, 0.99),
        refused_p99=percentile([took for _, took in times["refused"]] or [0.0], 0.99),
        whole=offered.whole,
        failed=offered.total("FailedCall(C)"),
        again=offered.total("Retransmissions(C)"),
        server_load=server.together,
        generator_load=generator_load,
        memory=memory / 1e6,
        saturated=saturated(server.together, generator_load, machine.together),
    )


def _offered_rate(
    times: Mapping[str, Sequence[tuple[float, float]]], began: float, seconds: float
) -> float:
    """Calls begun a second within the time that counts: a generator may not keep its rate."""
    first, last = began + _BEGIN, began + seconds
    begun = sum(
        first <= at - took / 1000 < last for at, took in (*times["answered"], *times["refused"])
    )
    return begun / (last - first)


def _cpu_of(pid: int) -> Callable[[], float]:
    return lambda: cpu_seconds(pid)


def recovery(
    subject: Callsim,
    directory: Path,
    rate: float,
    seconds: float,
    generators: int,
    after: float = 2 * RECOVERY,
) -> tuple[float, int]:
    """Seconds from the fall of the load, from three times the rate to the half of it, to the last
    call that was refused, or answered only after its INVITE had come twice; the whole calls.

    Calls go on for the seconds `after` that.
    """
    half = Offer(subject, directory / "half", rate / 2, seconds + after, 1)
    more = Offer(subject, directory / "more", rate * 2.5, seconds, generators)
    fall = more.began + seconds
    try:
        more.end()
        half.end()
    finally:
        more.stop()
        half.stop()
    return recovered(half.times(), fall), half.whole + more.whole


def recovered(times: Mapping[str, Sequence[tuple[float, float]]], fall: float) -> float:
    """Seconds from the fall to the last call that was refused or late, of those that went on."""
    bad = [at for at, _ in times["refused"]]
    bad += [at for at, took in times["answered"] if took >= _LATE]
    return max(0.0, *(at - fall for at in bad)) if bad else 0.0


def joined(subject: Callsim, calls: int) -> list[str]:
    """What is wrong with the records of so many calls, once those that waited in the journal,
    because the disk was slow, have come to the store."""
    deadline = time.monotonic() + _JOURNAL
    while (problems := subject.joined(calls)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return problems


def points_table(points: Sequence[Point], rate: float) -> str:
    """The curve in figures."""
    heading = (
        *("offered, x highest", "offered/s", "completed/s", "x highest", "got 503"),
        *("INVITE to 200, p50, ms", "p99, ms", "INVITE to 503, p99, ms", "failed", "sent again"),
        *("server, core", "generator, core", "memory, MB", "saturated"),
    )
    rows = [
        (
            *(f"{one.factor:g}", f"{one.offered:,.0f}", f"{one.completed:,.0f}"),
            *(f"{one.completed / rate:.2f}", f"{one.refused:.0%}", f"{one.p50:.0f}"),
            *(f"{one.p99:.0f}", f"{one.refused_p99:.0f}", str(one.failed), str(one.again)),
            *(f"{one.server_load:.0%}", f"{one.generator_load:.0%}", f"{one.memory:.1f}"),
            one.saturated or "nobody",
        )
        for one in points
    ]
    return table(heading, rows)


def outcome_of(
    points: Sequence[Point],
    rate: float,
    seconds: float,
    memory: tuple[float, float],
    settings: Mapping[str, object],
) -> Outcome:
    """Table, verdict and figures; `seconds` is the recovery, `memory` that before and after."""
    outcome = Outcome(settings)
    outcome.tables.append(points_table(points, rate))
    last = points[-1]
    at_rate = min(points, key=lambda one: abs(one.factor - 1))
    what = f"lost of the highest rate ({rate:,.0f}/s) at {last.factor:g} times of it"
    outcome.targets += [
        Target(what, (1 - last.completed / rate) * 100, LOST * 100, "%"),
        Target("recovery after the load has fallen to a half", seconds, RECOVERY, "s"),
        Target("more memory there than at the rate", last.memory - at_rate.memory, GROWTH, "MB"),
        Target("calls that came to no good end", sum(one.failed for one in points), 0),
    ]
    if last.offered < 0.9 * last.factor * rate:
        outcome.problems.append(
            f"{last.offered:,.0f} calls/s were offered of {last.factor * rate:,.0f}: the generator "
            "could do no more; give the server's form or a lower --rate that leaves it room"
        )
    outcome.figures.update(
        rate=rate,
        points=[asdict(one) for one in points],
        recovery=seconds,
        memory={"before": memory[0], "after": memory[1]},
    )
    return outcome


def measure(options: argparse.Namespace, directory: Path) -> Outcome:
    """The whole run."""
    name = ROLES[options.role]
    make = makers_of(options.form)[name]
    rate = float(options.rate or 0)
    if not rate:
        bench = Bench(name, make, directory / "highest", options.seconds, options.generators)
        try:
            found = find(bench, START, 2.0)
        finally:
            bench.stop()
        rate = found.rate
        tell(f"highest clean rate: {rate:g} calls/s, above it: {found.limited_by}")
        if not rate:
            raise BenchmarkError("it was clean at no rate: give one by --rate")
    subject = start(name, make, directory, _LIFE)
    assert isinstance(subject, Callsim)
    points: list[Point] = []
    try:
        tell(f"filling with what lingers and what is traced: {rate:g} calls/s for {_FILL:g} s")
        full = offer(subject, directory / "filled", rate, 1.0, _FILL, options.generators)
        before = subject.memory() / 1e6
        for factor in FACTORS:
            place = directory / f"{factor:g}"
            point = offer(subject, place, rate, factor, options.seconds, options.generators)
            points.append(point)
            time.sleep(_REST)
            tell(
                f"{factor:g} x {rate:g}: offered {point.offered:,.0f}/s, completed "
                f"{point.completed:,.0f}/s, 503 {point.refused:.0%}, p99 {point.p99:.0f} ms"
            )
        seconds, last = recovery(
            subject, directory / "recovery", rate, options.seconds, options.generators
        )
        tell(f"recovery: {seconds:.2f} s")
        memory = before, subject.memory() / 1e6
        problems = joined(subject, full.whole + last + sum(point.whole for point in points))
    finally:
        stopped = subject.stop()
    settings = {key: getattr(options, key) for key in ("role", "seconds", "generators")}
    outcome = outcome_of(points, rate, seconds, memory, settings)
    outcome.problems += problems
    # That calls are refused is told there, one line when it begins and one when it ends.
    outcome.problems += [text for text in stopped if "overload" not in text]
    return outcome


def draw(figures: Mapping[str, Any], output: Path) -> Path:
    """The overload curve, beside the JSON. Raises NoPlots without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NoPlots("No plot: pip install -e '.[load]' adds matplotlib") from error
    points, rate = figures["points"], figures["rate"]
    offered = [one["offered"] for one in points]
    figure = Figure(figsize=(9, 7), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    above.plot(offered, offered, color="#999999", linestyle=":", label="offered")
    above.plot(offered, [one["completed"] for one in points], "o-", color="#2a78b8",
               label="completed")  # fmt: skip
    above.axhline(rate, color="#777777", linewidth=0.8, label="highest clean rate")
    above.axhline((1 - LOST) * rate, color="#d98a29", linestyle="--", linewidth=0.8,
                  label=f"{1 - LOST:.0%} of it")  # fmt: skip
    above.set_ylim(0, 1.6 * rate)
    above.set_ylabel("calls/s")
    above.set_title(f"Overload: {figures['settings']['role']}, {figures['settings']['form']} form")
    above.legend(loc="lower right")
    below.plot(offered, [100 * one["refused"] for one in points], "s-", color="#b8442a",
               label="got 503, %")  # fmt: skip
    below.plot(offered, [one["p99"] for one in points], "^-", color="#2a78b8",
               label="INVITE to 200, p99, ms")  # fmt: skip
    below.set_ylim(bottom=0)
    below.set_xlabel("offered, calls/s")
    below.legend(loc="upper left")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    path = output.with_suffix(".png")
    figure.savefig(path, dpi=120)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as told by the command line."""
    parser = tool_parser("overload", __doc__)
    parser.add_argument(
        "--rate", type=WholeNumber(1, 20_000), help="the highest clean rate (looked for)"
    )
    parser.add_argument("--seconds", type=WholeNumber(2, 120), default=8, help="of an offer (8)")
    parser.add_argument("--role", choices=ROLES, default="callee", help="of Callsim (callee)")
    parser.add_argument(
        "--generators",
        type=WholeNumber(1, 16),
        default=generator_cores(),
        help="SIPps that share what is offered (all cores but one)",
    )
    options = parser.parse_args(arguments)
    options.output = options.output or RESULTS / f"overload-{options.form}.json"
    outcomes: list[Outcome] = []

    def run(options: argparse.Namespace, directory: Path) -> Outcome:
        outcomes.append(measure(options, directory))
        return outcomes[0]

    code = run_tool("overload", options, run)
    if outcomes:
        try:
            print(f"Plot: {draw(outcomes[0].as_json(), options.output)}")
        except NoPlots as error:
            print(error)
    return code


if __name__ == "__main__":
    sys.exit(main())
