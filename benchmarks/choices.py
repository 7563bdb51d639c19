"""What a run measures, as its command line says, and where its figures go."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import cores
from benchmarks.figures import COMPILED, PLAIN, scratch
from benchmarks.forms import BOTH, PRESENT, callsim_forms
from benchmarks.peers import installed_peers
from benchmarks.plots import NoPlots, plot
from benchmarks.subjects import BASE, BenchmarkError, Maker, SippUas, Subject, start
from scenarios.runner import SippError, sipp_program


def run_command(measure: Callable[[Path], int], *, keep: bool) -> int:
    """Measure in a directory of its own; the exit code, 2 when it cannot run."""
    try:
        sipp_program()
        with scratch(keep) as directory:
            return measure(directory)
    except (BenchmarkError, SippError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        cores.unpin()


def add_choices(parser: argparse.ArgumentParser) -> None:
    """The options that say which servers, and on which cores."""
    parser.add_argument(
        "--form",
        choices=(PRESENT, PLAIN, COMPILED, BOTH),
        default=PRESENT,
        help="of Callsim; the compiled one is that of `make compiled` (those that are there)",
    )
    parser.add_argument("--no-peers", action="store_true", help="Callsim and SIPp alone")
    parser.add_argument(
        "--sippy",
        type=Path,
        metavar="PYTHON",
        help="the Python that has sippy's B2BUA (this one, else that of .venv-sippy)",
    )
    parser.add_argument(
        "--pin", action="store_true", help="the last core for the server, the others for SIPp"
    )


def chosen(
    options: argparse.Namespace, *, lab: bool = False
) -> tuple[dict[str, Maker], dict[str, Maker]]:
    """SIPp alone and Callsim, with `lab` what its lab bench costs too, and the peers.

    Raises BenchmarkError for what is not there.
    """
    if options.pin:
        try:
            cores.pin()
        except ValueError as error:
            raise BenchmarkError(str(error)) from error
    ours: dict[str, Maker] = {BASE: SippUas, **callsim_forms(options.form, lab=lab)}
    return ours, {} if options.no_peers else installed_peers(options.sippy)


def start_peers(
    subjects: dict[str, Subject], directory: Path, seconds: float, peers: Mapping[str, Maker]
) -> None:
    """Start the peers as well; one that does not start is left out, and said so."""
    for name, make in peers.items():
        try:
            subjects[name] = start(name, make, directory, seconds)
        except (BenchmarkError, SippError, OSError) as error:
            print(f"NOTE: {name} is left out: {error}", file=sys.stderr)


def finish(output: Path, figures: Mapping[str, Any]) -> None:
    """Write the figures, and the plots beside them."""
    output.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    print(f"\nFigures: {output}")
    try:
        for path in plot(figures, output):
            print(f"Plot: {path}")
    except NoPlots as error:
        print(error)
