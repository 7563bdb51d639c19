"""What the tools share: figures, targets, the form that was measured, and the report."""

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.report import machine, table
from benchmarks.subjects import BenchmarkError

RESULTS: Final = Path(__file__).parent / "results"

PLAIN: Final = "plain"
COMPILED: Final = "compiled"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all values do not exceed (nearest rank)."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True, slots=True)
class Target:
    """A figure, and the most that it may be; `below` when it has to stay under that."""

    what: str
    value: float
    most: float
    unit: str = ""
    below: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure is as it should be."""
        return self.value < self.most if self.below else self.value <= self.most

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        limit = f"{'below' if self.below else 'at most'} {self.most:g}{unit}"
        return f"{self.what}: {self.value:.3g}{unit} (wanted: {limit})"


@dataclass(slots=True)
class Outcome:
    """What a run gave: tables to print, everything for the JSON, targets, and problems, each
    of which says why the figures do not count."""

    settings: Mapping[str, object]
    tables: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code: 0 when all counts and every target is met."""
        return 1 if self.problems or not all(target.met for target in self.targets) else 0

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        targets = [asdict(target) | {"met": target.met} for target in self.targets]
        return {
            "machine": machine(),
            "settings": dict(self.settings),
            **self.figures,
            "targets": targets,
            "problems": self.problems,
        }


@dataclass(frozen=True, slots=True)
class Form:
    """An environment with Callsim: its commands, and whether its modules are compiled."""

    directory: Path
    name: str

    @property
    def command(self) -> list[str]:
        """``callsim`` of this environment."""
        return [str(self.directory / "bin" / "callsim")]


def form_of(directory: Path) -> Form:
    """The form of the Callsim in the environment `directory`.

    Raises BenchmarkError when there is none.
    """
    directory = directory.absolute()
    if not (directory / "bin" / "callsim").exists():
        raise BenchmarkError(f"there is no {directory}/bin/callsim: run `make setup`")
    # -P: the installed modules, not those of the working directory.
    code = "import sip.message; print(sip.message.__file__)"
    command = [str(directory / "bin" / "python"), "-P", "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise BenchmarkError(f"{directory} has no usable Callsim: {found.stderr[-500:]}")
    return Form(directory, COMPILED if found.stdout.strip().endswith(".so") else PLAIN)


class WholeNumber:
    """An argument that is a whole number within limits."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        """The number. Raises what argparse expects."""
        value = int(text)
        if not self._low <= value <= self._high:
            raise argparse.ArgumentTypeError(f"{value} is not from {self._low} to {self._high}")
        return value

    def __repr__(self) -> str:
        return "number"


@contextmanager
def scratch(keep: bool = False) -> Iterator[Path]:
    """A directory for the files of a run.

    Not in /tmp, which may be memory: CDRs are to reach a disk.
    """
    RESULTS.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=RESULTS))
    try:
        yield directory
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


def report(outcome: Outcome, output: Path) -> int:
    """Print tables and verdicts, write the JSON; the exit code."""
    print("\n" + "\n\n".join(outcome.tables))
    if outcome.targets:
        print("\n" + targets_table(outcome.targets))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(outcome.as_json(), indent=2) + "\n", "utf-8")
    print(f"\nFigures: {output}")
    for text in outcome.problems:
        print(f"NOT CLEAN: {text}", file=sys.stderr)
    for target in outcome.targets:
        if not target.met:
            print(f"MISSED: {target}", file=sys.stderr)
    return outcome.code


def targets_table(targets: Sequence[Target]) -> str:
    """Each target and what came of it."""
    rows = []
    for target in targets:
        unit = f" {target.unit}" if target.unit else ""
        limit = f"{'< ' if target.below else ''}{target.most:g}{unit}"
        met = "yes" if target.met else "no"
        rows.append((target.what, f"{target.value:.3g}{unit}", limit, met))
    return table(("measure", "found", "target", "met"), rows)


def tell(text: str) -> None:
    """Say how far it is."""
    print(text, flush=True)
