"""A result to look at, and SIPp's own figures to hold one against."""

import csv
from pathlib import Path
from typing import Any

from scenarios.load.result import Result, Second, Times, Totals, Verdict
from scenarios.load.sipp_files import FAILURES
from scenarios.load.timers import TERMINATE


def result(**changes: Any) -> Result:
    """Ten calls in two seconds, one of them failed."""
    seconds = [
        Second(0.0, 5, 5, 4, 1, 2, generator=0.1, server=0.2, machine=0.3, server_memory=100.0),
        Second(1.0, 5, 5, 5, 0, 0, generator=0.1, server=0.2, machine=0.3, server_memory=104.0),
    ]
    seconds[0].times["answer"] = {"p50": 3.0, "p95": 8.0, "p99": 8.0}
    values: dict[str, Any] = {
        "settings": {"scenario": "uac", "load": "5 calls/s for 2 s", "server": "127.0.0.1:5060"},
        "started": 0.0,
        "totals": Totals(2.0, 10.0, 10, 9, 1, again=2),
        "seconds": seconds,
        "times": {"answer": Times([3.0] * 8 + [8.0])},
        "causes": {"another message than the scenario expects": 1},
        "verdict": Verdict("none", ("all went well",)),
    }
    return Result(**values | changes)


def sipp_row(directory: Path) -> dict[str, str]:
    """The last line of SIPp's statistics."""
    with (directory / "statistics.csv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))[-1]


def disagreements(report: dict[str, Any], places: list[Path]) -> list[str]:
    """Where a report says otherwise than the callers' own files in these places."""
    rows = [sipp_row(place) for place in places]
    totals = report["totals"]
    found = []

    def hold(what: str, ours: float, theirs: float, margin: float = 0.0) -> None:
        if abs(ours - theirs) > margin:
            found.append(f"{what}: the report says {ours:g}, SIPp {theirs:g}")

    def total(column: str) -> int:
        return sum(int(row[column]) for row in rows)

    for name, column in (
        ("offered", "OutgoingCall(C)"),
        ("completed", "SuccessfulCall(C)"),
        ("failed", "FailedCall(C)"),
        ("again", "Retransmissions(C)"),
    ):
        hold(name, totals[name], total(column))
        hold(
            f"{name}, second by second", sum(s[name] for s in report["seconds"]), total(column), 0.5
        )
    causes = sum(report["causes"].get(text, 0) for text in FAILURES.values())
    hold("causes", causes, sum(total(f"{column}(C)") for column in FAILURES))
    if len(rows) == 1:  # SIPp's averages and shares are those of one
        for timer, times in report["times"].items():
            if timer == TERMINATE or f"ResponseTime{timer}(C)" not in rows[0]:
                continue  # not SIPp's, or a callee's
            hold(f"mean of {timer}", times["mean"], _milliseconds(rows[0], timer), 1.0)
            names = [n for n in rows[0] if n.startswith(f"ResponseTimeRepartition{timer}_")]
            if names:  # the scenario has them
                count = sum(int(rows[0][name]) for name in names)
                hold(f"count of {timer}", times["count"], count)
    return found


def _milliseconds(row: dict[str, str], timer: str) -> float:
    hours, minutes, seconds, micros = map(int, row[f"ResponseTime{timer}(C)"].split(":"))
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + micros / 1000
