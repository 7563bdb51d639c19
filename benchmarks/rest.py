"""How quick REST is: with calls held, and while SIP is loaded.

``python -m benchmarks.rest --rate R`` holds 1,000 calls and asks for the list of them, and
ends calls one after the other: from the request to the BYE that the caller's socket gets.
Then it holds 2,000, does the same with lists of 100, first with no other traffic and then
beside R calls/s by SIPp; R is to be half the highest rate of this server. The same load
without REST, before, tells whether a retransmission is REST's fault.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from benchmarks.caller import Caller
from benchmarks.figures import Outcome, Target, WholeNumber, percentile, tell
from benchmarks.report import table
from benchmarks.rest_client import RestClient, RestError
from benchmarks.subjects import BenchmarkError, Callsim, start
from benchmarks.tools import ROLES, makers_of, run_tool, tool_parser
from scenarios.load.meters import SATURATED
from scenarios.runner import SippRun

LIST_P50: Final = 5.0
"""Milliseconds for a list of 1,000 calls, in the median."""

TERMINATE_P99: Final = 1.8
"""Milliseconds from REST request to BYE on the wire, p99."""

SLOWDOWN: Final = 20.0
"""The p99 under load stays below so many idle medians."""

_HELD: Final = 1000
_HELD_UNDER_LOAD: Final = 2000
_FILL: Final = 500.0  # calls/s
_WARM_UP: Final = 20
_PAUSE: Final = 0.02  # seconds between requests, half of it at random
_LEAD: Final = 2.0  # seconds of load before the first request
_PATIENCE: Final = 5.0


@dataclass(slots=True)
class Times:
    """Milliseconds of requests of one kind, and the calls that were held meanwhile."""

    what: str
    held: int
    rate: int
    values: list[float] = field(default_factory=list)

    @property
    def p50(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def p99(self) -> float:
        """What 99 % do not exceed."""
        return percentile(self.values, 0.99)


@dataclass(frozen=True, slots=True)
class Load:
    """SIP traffic beside REST, or by itself; loads are shares of a core."""

    rest: bool
    rate: int
    calls: int
    retransmissions: int
    server_load: float
    generator_load: float
    problems: tuple[str, ...]


class Desk:
    """One client of REST, and the caller whose calls it lists and ends."""

    def __init__(self, server: Callsim) -> None:
        self.caller = Caller(server.address, server.number)
        self.problems: list[str] = []
        self._client = RestClient(server.api)
        self._random = Random(6141)

    def close(self) -> None:
        """End the calls, close the sockets."""
        self.caller.hang_up_all(_FILL)
        self.problems += self.caller.all_problems()
        self._client.close()
        self.caller.close()

    def list(self, limit: int) -> float:
        """Milliseconds until a list of so many calls is there."""
        begun = time.perf_counter()
        body = self._client.request("GET", f"/call?limit={limit}")
        took = time.perf_counter() - begun
        found = len(json.loads(body)["calls"])
        if found != limit:
            raise RestError(f"a list of {limit} calls has {found}")
        return took * 1e3

    def terminate(self) -> float:
        """Milliseconds until the BYE of a call that is ended; another call takes its place."""
        call = next(iter(self.caller.calls.values()))
        begun = time.time_ns()
        self._client.send("POST", f"/call/{call.guid}/terminate")
        deadline = time.monotonic() + _PATIENCE
        while not call.ended and self.caller.receive(deadline):
            pass
        status, body = self._client.receive()
        if status != 200 or not call.ended:
            raise RestError(f"terminate {call.guid}: {status} {body[:300]!r}")
        self.caller.place(hold=True)
        if not self.caller.settle(_PATIENCE):
            raise RestError("a call was not answered in time")
        return (call.ended - begun) / 1e6

    def ask(self, seconds: float, limit: int, rate: int = 0) -> tuple[Times, Times]:
        """Lists and terminations by turns for so many seconds."""
        held = len(self.caller.calls)
        lists = Times(f"list of {limit}", held, rate)
        terminations = Times("terminate to BYE", held, rate)
        end = time.monotonic() + seconds
        while not terminations.values or time.monotonic() < end:
            self._pause()
            lists.values.append(self.list(limit))
            self._pause()
            terminations.values.append(self.terminate())
        return lists, terminations

    def _pause(self) -> None:
        """So that each request finds the server at rest; messages are answered meanwhile."""
        pause = _PAUSE * (0.5 + self._random.random())
        self.caller.receive_until(time.monotonic() + pause)


def load(
    server: Callsim, directory: Path, rate: int, seconds: float, work: Callable[[], None] | None
) -> Load:
    """SIP calls for so many seconds, and `work` meanwhile."""
    calls = round(rate * (seconds + 2 * _LEAD))
    cpu, begun = server.cpu(), time.monotonic()
    caller = SippRun(
        "uac",
        directory,
        server.address,
        calls=calls,
        rate=rate,
        service=server.number,
        seconds=2 * seconds + 30,
        options=["-l", str(max(10, 2 * rate))],
    )
    problems = []
    try:
        if work is not None:
            time.sleep(_LEAD)
            work()
            if not caller.running:
                problems.append("the SIP load was over before the last REST request")
        result = caller.wait()
    finally:
        caller.stop()
    took = time.monotonic() - begun
    if not result.good or result.failed:
        problems.append(f"{result.successful} of {calls} calls went well: {result.errors[:200]}")
    generator = result.cpu_seconds / took
    if generator > SATURATED:
        problems.append(f"the generator was saturated: {generator:.0%} of a core")
    return Load(
        work is not None,
        rate,
        calls,
        result.retransmissions,
        (server.cpu() - cpu) / took,
        generator,
        tuple(problems),
    )


class Run:
    """What is asked, in order."""

    def __init__(self, server: Callsim, directory: Path, rate: int) -> None:
        self.times: list[Times] = []
        self.loads: list[Load] = []
        self.calls = 0
        self.problems: list[str] = []
        self._desk = Desk(server)
        self._server = server
        self._directory = directory
        self._rate = rate

    def run(self, seconds: float) -> None:
        """All of it; each part takes so many seconds."""
        desk = self._desk
        try:
            tell(f"holding {_HELD} calls")
            desk.caller.hold(_HELD, _FILL)
            for _ in range(_WARM_UP):
                desk.list(_HELD)
                desk.terminate()
            self.times += desk.ask(seconds, _HELD)
            if self._rate:
                self._under_load(seconds)
        except RestError as error:
            raise BenchmarkError(f"REST: {error}") from error
        finally:
            desk.close()
        self.problems += desk.problems
        self.calls = desk.caller.placed + sum(one.calls for one in self.loads)

    def _under_load(self, seconds: float) -> None:
        desk, rate = self._desk, self._rate
        tell(f"holding {_HELD_UNDER_LOAD} calls")
        desk.caller.hold(_HELD_UNDER_LOAD - _HELD, _FILL)
        self.times += desk.ask(seconds, 100)
        tell(f"{rate} calls/s, without REST and with it")

        def work() -> None:
            self.times.extend(desk.ask(seconds, 100, rate))

        for name, what in (("without", None), ("with", work)):
            place = self._directory / name
            self.loads.append(load(self._server, place, rate, seconds, what))


def outcome_of(
    times: Sequence[Times], loads: Sequence[Load], settings: dict[str, object]
) -> Outcome:
    """Tables, verdicts and figures."""
    outcome = Outcome(settings)
    rows = []
    idle = {one.what: one.p50 for one in times if not one.rate}
    for one in times:
        slow = f"{one.p99 / idle[one.what]:.1f}" if one.rate else ""
        rows.append(
            (
                *(one.what, f"{one.held:,}", f"{one.rate:,}", str(len(one.values))),
                *(f"{one.p50:.2f}", f"{one.p99:.2f}", f"{max(one.values):.2f}", slow),
            )
        )
    heading = ("REST", "held calls", "calls/s", "requests")
    more = ("p50, ms", "p99, ms", "worst, ms", "p99 / idle p50")
    outcome.tables.append(table((*heading, *more), rows))
    lists, terminations, *loaded = times
    outcome.targets = [
        Target("list of 1,000 calls, p50", lists.p50, LIST_P50, "ms"),
        Target("terminate to BYE, 1,000 held, p99", terminations.p99, TERMINATE_P99, "ms"),
    ]
    for one in loaded:
        if one.rate:
            what = f"{one.what}, {one.held:,} held, {one.rate:,} calls/s: p99"
            outcome.targets.append(
                Target(what, one.p99 / idle[one.what], SLOWDOWN, "x idle median", below=True)
            )
    if loads:
        outcome.tables.append(_loads_table(loads))
        without, beside = loads
        outcome.targets.append(
            Target("retransmissions beside REST", beside.retransmissions, without.retransmissions)
        )
    for one_load in loads:
        which = "with" if one_load.rest else "without"
        outcome.problems += [f"SIP {which} REST: {text}" for text in one_load.problems]
    outcome.figures["rest_ms"] = [{**asdict(one), "p50": one.p50, "p99": one.p99} for one in times]
    outcome.figures["loads"] = [asdict(one) for one in loads]
    return outcome


def _loads_table(loads: Sequence[Load]) -> str:
    rows = [
        (
            "with REST" if one.rest else "without REST",
            f"{one.rate:,}",
            f"{one.calls:,}",
            str(one.retransmissions),
            f"{one.server_load:.0%}",
            f"{one.generator_load:.0%}",
        )
        for one in loads
    ]
    heading = ("SIP load", "calls/s", "calls", "retransmissions", "server, core", "generator, core")
    return table(heading, rows)


def measure(options: argparse.Namespace, directory: Path) -> Outcome:
    """The whole run."""
    settings = {key: getattr(options, key) for key in ("role", "rate", "seconds")}
    name = ROLES[options.role]
    length = 6 * options.seconds + 300
    server = start(name, makers_of(options.form)[name], directory, length)
    assert isinstance(server, Callsim)
    try:
        run = Run(server, directory, options.rate)
        run.run(options.seconds)
        run.problems += server.joined(run.calls)
    finally:
        stopped = server.stop()
    outcome = outcome_of(run.times, run.loads, settings)
    outcome.problems += run.problems + stopped
    return outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as told by the command line."""
    parser = tool_parser("rest", __doc__)
    parser.add_argument(
        "--rate",
        type=WholeNumber(0, 20_000),
        default=2000,
        help="SIP calls/s, half the highest; 0: no load (2000)",
    )
    parser.add_argument("--role", choices=ROLES, default="callee", help="of Callsim (callee)")
    parser.add_argument(
        "--seconds", type=WholeNumber(1, 300), default=20, help="of requests in each part (20)"
    )
    options = parser.parse_args(arguments)
    return run_tool("rest", options, measure)


if __name__ == "__main__":
    sys.exit(main())
