"""The command: `python -m benchmarks.micro`, each form in a process of its own."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import COMPILED, RESULTS, Form, Outcome, form_of, report, scratch, tell
from benchmarks.forms import checked
from benchmarks.report import table
from benchmarks.subjects import BenchmarkError

_HERE: Final = Path(__file__).parent
_ROOT: Final = _HERE.parents[1]
_LONGEST: Final = 600


@dataclass(frozen=True, slots=True)
class Step:
    """What one step takes, in microseconds."""

    median: float
    lowest: float
    rounds: int


def read_steps(found: Mapping[str, Any]) -> dict[str, Step]:
    """The steps by name, from the JSON of pytest-benchmark."""
    return {
        step["name"].removeprefix("bench_").replace("_", " "): Step(
            step["stats"]["median"] * 1e6,
            step["stats"]["min"] * 1e6,
            step["stats"]["rounds"] * step["stats"]["iterations"],
        )
        for step in found["benchmarks"]
    }


def steps_table(forms: Mapping[str, Mapping[str, Step]]) -> str:
    """The steps in each form; the ratio is that of the lowest times, which noise spares."""
    names = dict.fromkeys(name for steps in forms.values() for name in steps)
    first, *others = forms
    heading = ["step", *[f"{form}, us: median (lowest)" for form in forms]]
    heading += [f"{first} / {other}" for other in others]
    rows = []
    for name in names:
        plain, *steps = [forms[form].get(name) for form in forms]
        row = [name, *["" if one is None else _times(one) for one in (plain, *steps)]]
        for one in steps:
            row.append(f"{plain.lowest / one.lowest:.2f}" if plain and one else "")
        rows.append(row)
    return table(heading, rows)


def _times(step: Step) -> str:
    digits = 2 if step.median < 10 else 1 if step.median < 1000 else 0
    return f"{step.median:.{digits}f} ({step.lowest:.{digits}f})"


def run(form: Form, output: Path, seconds: float, only: str) -> dict[str, Step]:
    """The steps of one form.

    Raises BenchmarkError when one cannot be measured, or another form was.
    """
    command = [
        *[str(form.directory / "bin" / "python"), "-P", "-m", "pytest", "-q"],
        *["--import-mode=importlib", "-p", "no:cacheprovider", "-o", "python_files=bench_*.py"],
        *["-o", "python_functions=bench_*", f"--benchmark-max-time={seconds}"],
        *["--benchmark-warmup=on", "--benchmark-warmup-iterations=20"],
        *[f"--benchmark-json={output}", *(["-k", only] if only else []), str(_HERE)],
    ]
    # A pytest that is around this one says here that its workers are not to measure.
    environment = {key: value for key, value in os.environ.items() if "XDIST" not in key}
    done = subprocess.run(
        command, cwd=_ROOT, env=environment, capture_output=True, text=True,
        timeout=_LONGEST, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BenchmarkError(f"{form.directory}: {done.stdout[:2500]}{done.stderr[-500:]}")
    found = json.loads(output.read_text("utf-8"))
    if found["machine_info"]["compiled"] != (form.name == COMPILED):
        raise BenchmarkError(f"{form.directory}: other modules than the {form.name} were measured")
    return read_steps(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the forms; 0 when all was measured, 2 when not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.micro", description=__doc__)
    parser.add_argument(
        "--venv",
        type=Path,
        action="append",
        metavar="DIR",
        help="an environment to measure (repeatable; .venv, and .venv-compiled where it is)",
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="for each step at most (1)")
    parser.add_argument("--only", default="", metavar="WORDS", help="steps, as with pytest -k")
    parser.add_argument("--output", type=Path, default=RESULTS / "micro.json")
    options = parser.parse_args(arguments)
    usual = [_ROOT / name for name in (".venv", ".venv-compiled")]
    directories = options.venv or [path for path in usual if path.exists()]
    forms: dict[str, dict[str, Step]] = {}
    try:
        with scratch() as directory:
            for number, path in enumerate(directories):
                form = form_of(path)
                if form.name == COMPILED:
                    checked(path, COMPILED)  # of these sources?
                name = form.name if form.name not in forms else f"{form.name} {number + 1}"
                tell(f"{name}: {path}")
                output = directory / f"{number}.json"
                forms[name] = run(form, output, options.seconds, options.only)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 2
    outcome = Outcome({"seconds": options.seconds}, [steps_table(forms)])
    outcome.figures["steps_us"] = {
        name: {step: asdict(times) for step, times in steps.items()}
        for name, steps in forms.items()
    }
    return report(outcome, options.output)


if __name__ == "__main__":
    sys.exit(main())
