"""Memory per held call: the growth of a server while so many calls are up."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.cores import Side, placed
from benchmarks.slices import run_slice
from benchmarks.subjects import Maker, Subject, start_all, stop_all
from scenarios.load.sipp_files import sipp_figures
from scenarios.runner import SippRun

RATE: Final = 400.0
"""Calls placed per second, or half of what a server can be asked; all are filled at once."""

_SLOWEST: Final = 50.0
_WARM_UP: Final = 20  # few: what they leave behind is there for the calls that follow
_QUIET: Final = 1.0
_SPARE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes per call of `calls` calls that are up at the same time."""

    calls: int
    bytes_each: float
    problems: tuple[str, ...]
    peer: bool = False


def hold_calls(directory: Path, makers: Mapping[str, Maker], calls: int) -> dict[str, Held]:
    """Start the servers anew and hold `calls` calls on each of them for a while."""
    subjects = start_all(directory, 2 * calls / _SLOWEST + 2 * _SPARE + 60, makers)
    try:
        filling = max(calls / _rate(subject) for subject in subjects.values())
        return _hold(directory, subjects, calls, filling)
    finally:
        stop_all(subjects)


def _rate(subject: Subject) -> float:
    return max(_SLOWEST, min(RATE, subject.most / 2))


def _hold(
    directory: Path, subjects: Mapping[str, Subject], calls: int, filling: float
) -> dict[str, Held]:
    hold = filling + 5.0
    seconds = filling + hold + _SPARE
    places = {name: directory / f"{index}-caller" for index, name in enumerate(subjects)}
    for name, subject in subjects.items():  # what is allocated once only
        run_slice(subject, places[name].with_suffix(".warm-up"), _WARM_UP, 1)
    empty = {name: subject.memory() for name, subject in subjects.items()}
    with ExitStack() as stack:
        callers: dict[str, SippRun] = {}
        for name, subject in subjects.items():
            with placed(Side.GENERATOR):
                callers[name] = SippRun(
                    subject.caller,
                    places[name],
                    subject.address,
                    calls=calls,
                    rate=_rate(subject),
                    service=subject.number,
                    hold_ms=round(hold * 1000),
                    seconds=seconds,
                    options=["-l", str(calls)],
                )
            stack.callback(callers[name].stop)
        deadline = time.monotonic() + filling + 3.0  # then the first of them end
        for place in places.values():
            _wait_until_up(place, calls, deadline)
        time.sleep(_QUIET)
        full = {name: subject.memory() for name, subject in subjects.items()}
        up = {name: _open_calls(place) for name, place in places.items()}
        results = {name: caller.wait() for name, caller in callers.items()}
    found = {}
    for name, result in results.items():
        problems = subjects[name].joined(calls + _WARM_UP)
        if not result.good or result.successful != calls:
            problems.append(f"{result.successful} of {calls} held calls went well")
        if up[name] != calls:
            problems.append(f"{up[name]} of {calls} calls were up when memory was read")
        found[name] = Held(
            calls, (full[name] - empty[name]) / calls, tuple(problems), subjects[name].peer
        )
    return found


def _wait_until_up(directory: Path, calls: int, deadline: float) -> None:
    while _open_calls(directory) < calls and time.monotonic() < deadline:
        time.sleep(0.2)


def _open_calls(directory: Path) -> int:
    return int(sipp_figures(directory).get("CurrentCall") or 0)
