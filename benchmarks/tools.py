"""What the tools beside the main command have in common: options, and how a run goes."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks import cores
from benchmarks.choices import run_command
from benchmarks.figures import COMPILED, PLAIN, RESULTS, Outcome, report
from benchmarks.forms import BOTH, COMPILED_VENV, PRESENT, checked
from benchmarks.subjects import BACK_TO_BACK, CALLEE, BenchmarkError, Maker, callsims

ROLES: Final = {"callee": CALLEE, "back-to-back": BACK_TO_BACK}


def tool_parser(
    name: str, description: str | None, *, together: bool = False
) -> argparse.ArgumentParser:
    """A parser with the options that all tools have; `together` when forms take turns."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    forms = [PLAIN, COMPILED, *([PRESENT, BOTH] if together else [])]
    usual = PRESENT if together else PLAIN
    parser.add_argument(
        "--form",
        choices=forms,
        default=usual,
        help=f"of Callsim; the compiled one is that of `make compiled` ({usual})",
    )
    parser.add_argument(
        "--pin", action="store_true", help="the last core for the server, the others for the rest"
    )
    parser.add_argument("--output", type=Path, help="where the JSON goes (benchmarks/results/)")
    parser.add_argument("--keep", action="store_true", help="keep the files of the run")
    return parser


def makers_of(form: str) -> dict[str, Maker]:
    """Both roles of Callsim in one form. Raises BenchmarkError when there is none."""
    directory = Path(sys.prefix) if form == PLAIN else COMPILED_VENV
    if not directory.exists():
        raise BenchmarkError(f"there is no {directory}: run `make compiled`")
    return callsims(command=checked(directory, form))


def run_tool(
    name: str, options: argparse.Namespace, measure: Callable[[argparse.Namespace, Path], Outcome]
) -> int:
    """Measure and report; 0 when all counts and meets its target, 1 when not, 2 when it
    cannot run."""

    def run(directory: Path) -> int:
        if options.pin:
            try:
                cores.pin()
            except ValueError as error:
                raise BenchmarkError(str(error)) from error
        with cores.placed(cores.Side.GENERATOR):
            outcome = measure(options, directory)
        outcome.settings = {"form": options.form, "pin": options.pin, **outcome.settings}
        suffix = f"-{options.form}" if options.form in (PLAIN, COMPILED) else ""
        return report(outcome, options.output or RESULTS / f"{name}{suffix}.json")

    return run_command(run, keep=options.keep)
