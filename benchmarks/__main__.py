"""The command: `python -m benchmarks`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.choices import add_choices, chosen, finish, run_command, start_peers
from benchmarks.figures import RESULTS, WholeNumber, tell
from benchmarks.held import Held, hold_calls
from benchmarks.profiling import ROLES, files_table, functions_table, profile
from benchmarks.report import as_json, calls_table, figures_table, held_table
from benchmarks.rounds import Rounds, Series
from benchmarks.subjects import BASE, BenchmarkError, other_checkout, start_all, stop_all

_SETTLE: Final = 35.0  # 64*T1 and a little: then every transaction is gone
_LONGEST: Final = 7200.0
_PROFILE: Final = 20  # seconds at least, for enough samples


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; 0 when every figure counts, 1 when not, 2 when it cannot run."""
    options = _parser().parse_args(arguments)
    measure = _profile if options.profile else _measure
    return run_command(lambda directory: measure(options, directory), keep=options.keep)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="CPU per call and memory per held call of Callsim and of the peers that are "
        "installed, as multiples of SIPp's own uas in the same run. Everything stays on 127.0.0.1.",
    )
    number = WholeNumber
    parser.add_argument("--rate", type=number(1, 20_000), default=2000, help="calls/s (2000)")
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
    parser.add_argument(
        "--lab", action="store_true", help="without a trace too, and without one with /metrics read"
    )
    add_choices(parser)
    parser.add_argument("--profile", action="store_true", help="instead: where the time goes")
    parser.add_argument("--keep", action="store_true", help="keep the files of the run")
    return parser


def _measure(options: argparse.Namespace, directory: Path) -> int:
    ours, peers = chosen(options, lab=options.lab)
    if options.against:
        ours |= other_checkout(options.against)
    count = len(ours) + 2 * len(peers)
    length = count * (options.rounds + 1) * (2 * options.seconds + 20) + 300
    if length > _LONGEST:
        raise BenchmarkError("that may take more than two hours: fewer rounds, or shorter ones")
    tell(
        f"{options.rounds} rounds of {options.seconds} s for each of {', '.join(ours | peers)} "
        f"at {options.rate} calls/s, CDRs on; then {options.held} held calls"
    )
    held: dict[str, Held] = {}
    subjects = start_all(directory / "servers", length, ours)
    problems: list[str] = []
    try:
        start_peers(subjects, directory / "servers", length, peers)
        rounds = Rounds(subjects, directory / "calls", options.rate)
        rounds.run(options.rounds, options.seconds, tell)
        end = time.monotonic() + _SETTLE
        if options.held:
            tell(f"holding {options.held} calls on each")
            makers = ours | peers
            able = {name: makers[name] for name, one in subjects.items() if one.holds}
            held = hold_calls(directory / "held", able, options.held)
        time.sleep(max(0.0, end - time.monotonic()))
        rounds.join()
    finally:
        problems += stop_all(subjects)
    return _report(options, rounds.series, held, problems)


def _report(
    options: argparse.Namespace,
    series: dict[str, Series],
    held: dict[str, Held],
    problems: list[str],
) -> int:
    """Tables, JSON and plots; what is wrong with the run, and with a peer."""
    print("\n" + calls_table(series, BASE))
    if held:
        print("\n" + held_table(held))
    print("\nThe figures alone:\n\n" + figures_table(series, held, BASE))
    notes: list[str] = []
    for name, one in series.items():
        texts = problems if one.spoils_the_run else notes
        texts += [f"{name} at {one.rate:g} calls/s: {text}" for text in one.all_problems]
    for name, memory in held.items():
        texts = notes if memory.peer else problems
        texts += [f"{name}, held calls: {text}" for text in memory.problems]
    settings = {key: getattr(options, key) for key in ("rate", "rounds", "seconds", "held", "pin")}
    figures = as_json(settings, series, held) | {"problems": problems, "notes": notes}
    finish(options.output, figures)
    for text in notes:
        print(f"NOTE: {text}", file=sys.stderr)
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


if __name__ == "__main__":
    sys.exit(main())
