"""The command: `python -m benchmarks`."""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.held import Held, hold_calls
from benchmarks.profiling import ROLES, files_table, functions_table, profile
from benchmarks.report import as_json, calls_table, held_table
from benchmarks.rounds import Rounds
from benchmarks.subjects import (
    BASE,
    SUBJECTS,
    BenchmarkError,
    other_checkout,
    start_all,
    stop_all,
)
from scenarios.runner import SippError, sipp_program

RESULTS: Final = Path(__file__).parent / "results"

_SETTLE: Final = 35.0  # 64*T1 and a little: then every transaction is gone
_LONGEST: Final = 7200.0
_PROFILE: Final = 20  # seconds at least, for enough samples


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; 0 when every figure counts, 1 when not, 2 when it cannot run."""
    options = _parser().parse_args(arguments)
    RESULTS.mkdir(exist_ok=True)
    # Not in /tmp, which may be memory: CDRs are to reach a disk.
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=RESULTS))
    try:
        sipp_program()
        if options.profile:
            return _profile(options, directory)
        return _measure(options, directory)
    except (BenchmarkError, SippError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="CPU per call and memory per held call, as multiples of SIPp's own uas "
        "in the same run. Everything stays on 127.0.0.1.",
    )
    number = _WholeNumber
    parser.add_argument("--rate", type=number(1, 20_000), default=1000, help="calls/s (1000)")
    parser.add_argument("--rounds", type=number(1, 100), default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=number(1, 120), default=4, help="of each slice (4)")
    parser.add_argument(
        "--held", type=number(0, 20_000), default=2000, help="calls to hold, 0 for none (2000)"
    )
    parser.add_argument(
        "--output", type=Path, default=RESULTS / "latest.json", help="where the JSON goes"
    )
    parser.add_argument(
        "--against", type=Path, metavar="DIR", help="measure the Callsim of that checkout as well"
    )
    parser.add_argument("--profile", action="store_true", help="instead: where the time goes")
    parser.add_argument("--keep", action="store_true", help="keep the files of the run")
    return parser


def _measure(options: argparse.Namespace, directory: Path) -> int:
    makers = {**SUBJECTS, **(other_checkout(options.against) if options.against else {})}
    names = list(makers)
    length = len(names) * options.rounds * (2 * options.seconds + 20) + 300
    if length > _LONGEST:
        raise BenchmarkError("that may take more than two hours: fewer rounds, or shorter ones")
    _tell(
        f"{options.rounds} rounds of {options.seconds} s for each of {len(names)} servers "
        f"at {options.rate} calls/s, CDRs on; then {options.held} held calls"
    )
    held: dict[str, Held] = {}
    subjects = start_all(directory / "servers", length, makers)
    problems: list[str] = []
    try:
        rounds = Rounds(subjects, directory / "calls", options.rate)
        rounds.run(options.rounds, options.seconds, _tell)
        end = time.monotonic() + _SETTLE
        if options.held:
            _tell(f"holding {options.held} calls on each")
            held = hold_calls(directory / "held", makers, options.held)
        time.sleep(max(0.0, end - time.monotonic()))
        rounds.join()
    finally:
        problems += stop_all(subjects)
    series = rounds.series
    print("\n" + calls_table(series, BASE))
    if held:
        print("\n" + held_table(held))
    for name in names:
        problems += [f"{name}: {text}" for text in series[name].all_problems]
        if name in held:
            problems += [f"{name}, held calls: {text}" for text in held[name].problems]
    settings = {
        "rate": options.rate,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "held": options.held,
    }
    figures = as_json(settings, series, held) | {"problems": problems}
    options.output.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    print(f"\nFigures: {options.output}")
    for text in problems:
        print(f"NOT CLEAN: {text}", file=sys.stderr)
    return 1 if problems else 0


def _profile(options: argparse.Namespace, directory: Path) -> int:
    problems: list[str] = []
    for index, name in enumerate(ROLES):
        seconds = max(_PROFILE, options.seconds)
        found, wrong = profile(name, directory / str(index), options.rate, seconds)
        problems += wrong
        print(f"\n{name} at {options.rate} calls/s: {found.slice.cpu_us:.0f} us per call,")
        print(f"{found.samples} samples\n\n{files_table(found)}\n\n{functions_table(found)}")
    for text in problems:
        print(f"NOT CLEAN: {text}", file=sys.stderr)
    return 1 if problems else 0


class _WholeNumber:
    """An argument that is a whole number within limits."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        value = int(text)
        if not self._low <= value <= self._high:
            raise argparse.ArgumentTypeError(f"{value} is not from {self._low} to {self._high}")
        return value

    def __repr__(self) -> str:
        return "number"


def _tell(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
