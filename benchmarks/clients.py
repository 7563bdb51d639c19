"""200 REST clients at once, over 1,000 calls that SIPp holds.

``python -m benchmarks.clients`` lets them loose for a minute: they list, look, read and set
variables with If-Match, transfer, hold and resume, end and make calls, ask for health,
sessions and records, and one in twenty reads the events. SIPp agrees to every re-INVITE, and
places anew what is ended. An error must be deserved: a 409 because something else was under
way at the call, a 404 because it was ended, a 412 because somebody else has set its
variables. SIPp must not have sent anything again.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.crowd import PATIENCE, Crowd, Figures
from benchmarks.figures import Outcome, Target, WholeNumber, percentile, tell
from benchmarks.report import table
from benchmarks.rest_client import RestClient, RestError
from benchmarks.subjects import CALLEE, BenchmarkError, Callsim, start
from benchmarks.tools import makers_of, run_tool, tool_parser
from scenarios.load.meters import MACHINE_SATURATED, SATURATED, busy_seconds, cpu_seconds
from scenarios.runner import SippRun, sipp_below

_SCENARIO: Final = "caller-is-steered"
_FILL: Final = 250.0  # calls/s of SIPp
_MANY: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Loads:
    """What was used, in shares of a core, `machine` of all cores; and SIPp's own counts."""

    server: float
    clients: float
    sipp: float
    machine: float
    calls: int
    retransmissions: int

    @property
    def saturated(self) -> str:
        """Who was."""
        sides = {"server": self.server, "clients": self.clients, "SIPp": self.sipp}
        found = [name for name, load in sides.items() if load > SATURATED]
        if not found and self.machine > MACHINE_SATURATED:
            found = ["the machine"]
        return " and ".join(found) or "nobody"


def crowd_on(
    server: Callsim, directory: Path, calls: int, clients: int, seconds: float, pause: float
) -> tuple[Figures, Loads, list[str]]:
    """Hold calls by SIPp, let the clients loose, end it all: figures, and what was wrong.

    Raises BenchmarkError.
    """
    sipp = SippRun(
        _SCENARIO,
        directory,
        server.address,
        calls=_MANY,
        rate=_FILL,
        service=server.number,
        seconds=seconds + 4 * PATIENCE,
        options=["-l", str(calls)],
    )
    crowd = Crowd(server.api, server.number, pause)
    client, beside = RestClient(server.api), RestClient(server.api, prefix="")
    try:
        _wait_for_calls(client, calls)
        pid = sipp_below(sipp.pid)
        tell(f"{clients} clients for {seconds:g} s over {calls} calls")
        begun, before = time.monotonic(), _used(server, pid)
        asyncio.run(crowd.run(clients, seconds))
        took = time.monotonic() - begun
        used = [now - then for now, then in zip(_used(server, pid), before, strict=True)]
        os.kill(pid, signal.SIGUSR1)  # no new calls; it ends with the last one
        asyncio.run(crowd.end_calls())
        result = sipp.wait(PATIENCE)
        records = json.loads(beside.request("GET", "/cvp-reporting/rest/cdr?limit=1"))
    except (RestError, OSError, EOFError) as error:
        raise BenchmarkError(f"REST: {error}") from error
    except ExceptionGroup as group:
        raise BenchmarkError(f"REST: {group.exceptions[0]!r}") from group
    finally:
        client.close()
        beside.close()
        sipp.stop()
    figures = crowd.figures
    problems = [f"{count} x {text}" for text, count in figures.undeserved.items()]
    if result.exit_code or result.failed:
        problems.append(f"SIPp: {result.failed} calls failed: {result.errors[:300]}")
    if len(set(figures.events)) != 1:
        problems.append(f"the readers of events had {sorted(set(figures.events))} of them")
    wanted = result.successful + figures.made
    if records["totalRecords"] != wanted:
        problems.append(f"there are {records['totalRecords']} CDRs of {wanted} calls")
    theirs, ours, of_sipp, all_of_it = (seconds / took for seconds in used)
    machine = all_of_it / (os.cpu_count() or 1)
    loads = Loads(theirs, ours, of_sipp, machine, result.successful, result.retransmissions)
    return figures, loads, problems


def _wait_for_calls(client: RestClient, calls: int) -> None:
    deadline = time.monotonic() + PATIENCE + calls / _FILL
    found = 0
    while found < calls:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"SIPp has set up {found} of {calls} calls in time")
        time.sleep(0.05)
        listed = json.loads(client.request("GET", "/call?limit=1&state=connected"))
        found = listed["totalActiveCalls"]


def _used(server: Callsim, sipp: int) -> tuple[float, float, float, float]:
    """CPU seconds of the server, of this process, of SIPp, and of the whole machine."""
    return server.cpu(), time.process_time(), cpu_seconds(sipp), busy_seconds()


def outcome_of(
    figures: Figures, loads: Loads, problems: Sequence[str], settings: dict[str, object]
) -> Outcome:
    """Tables, verdicts and figures."""
    outcome = Outcome(settings, problems=list(problems))
    times = [*sorted(figures.times.items()), ("event, until it is read", figures.delays)]
    operations = {
        what: {
            "requests": len(values),
            "p50": median(values),
            "p99": percentile(values, 0.99),
            "worst": max(values),
        }
        for what, values in times
        if values
    }
    rows = [
        (what, f"{one['requests']:,}", *(f"{one[key]:.1f}" for key in ("p50", "p99", "worst")))
        for what, one in operations.items()
    ]
    outcome.tables.append(table(("REST", "requests", "p50, ms", "p99, ms", "worst, ms"), rows))
    causes = [
        (what, str(status), cause, str(count))
        for (what, status, cause), count in sorted(figures.deserved.items())
    ]
    outcome.tables.append(table(("deserved errors of", "status", "cause", "times"), causes))
    requests = sum(map(len, figures.times.values()))
    heading = ("requests", "SIP calls", "server, core", "clients, core", "SIPp, core", "machine")
    used = (loads.server, loads.clients, loads.sipp, loads.machine)
    line = (f"{requests:,}", f"{loads.calls:,}", *(f"{share:.0%}" for share in used))
    outcome.tables.append(table((*heading, "saturated"), [(*line, loads.saturated)]))
    outcome.targets = [
        Target("errors that are not deserved", figures.undeserved.total(), 0),
        Target("messages that SIPp sent again", loads.retransmissions, 0),
    ]
    outcome.figures["operations_ms"] = operations
    outcome.figures["deserved"] = causes
    outcome.figures["events_per_reader"] = figures.events
    outcome.figures["loads"] = {**asdict(loads), "saturated": loads.saturated}
    return outcome


def measure(options: argparse.Namespace, directory: Path) -> Outcome:
    """The whole run."""
    server = start(CALLEE, makers_of(options.form)[CALLEE], directory, options.seconds + 300)
    assert isinstance(server, Callsim)
    try:
        figures, loads, problems = crowd_on(
            server,
            directory / "sipp",
            options.calls,
            options.clients,
            options.seconds,
            options.pause / 1000,
        )
    finally:
        stopped = server.stop()
    settings = {key: getattr(options, key) for key in ("calls", "clients", "seconds", "pause")}
    return outcome_of(figures, loads, [*problems, *stopped], settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as told by the command line."""
    parser = tool_parser("clients", __doc__)
    parser.add_argument(
        "--calls", type=WholeNumber(1, 1000), default=1000, help="held by SIPp (1000)"
    )
    parser.add_argument("--clients", type=WholeNumber(2, 1000), default=200, help="at once (200)")
    parser.add_argument("--seconds", type=WholeNumber(1, 3600), default=60, help="of requests (60)")
    parser.add_argument(
        "--pause",
        type=WholeNumber(0, 60_000),
        default=500,
        help="milliseconds between two requests of a client, in the mean; 0: none (500)",
    )
    return run_tool("clients", parser.parse_args(arguments), measure)


if __name__ == "__main__":
    sys.exit(main())
