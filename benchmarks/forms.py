"""The forms of Callsim that a run takes: plain, as installed here, and that of `make compiled`.

Figures of the wrong form, or of other sources, are worse than none.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.figures import COMPILED, PLAIN, form_of
from benchmarks.subjects import BenchmarkError, Maker, callsims, lab_benches

ROOT: Final = Path(__file__).parents[1]
COMPILED_VENV: Final = ROOT / ".venv-compiled"
PRESENT: Final = "present"
BOTH: Final = "both"

_ROOMS: Final = ("sip", "simulator")


def callsim_forms(
    wanted: str, compiled: Path = COMPILED_VENV, *, lab: bool = False
) -> dict[str, Maker]:
    """The subjects of the `wanted` form, or of both; or of those that are present. With `lab`
    also those that show what the lab bench costs.

    Raises BenchmarkError where one that is wanted is missing or is not what it should be.
    """
    commands = {}
    if wanted != COMPILED:
        commands["Callsim"] = checked(Path(sys.prefix), PLAIN)
    if wanted in (COMPILED, BOTH) or (wanted == PRESENT and compiled.exists()):
        if not compiled.exists():
            raise BenchmarkError(f"there is no {compiled}: run `make compiled`")
        commands["Callsim compiled"] = checked(compiled, COMPILED)
    found: dict[str, Maker] = {}
    for prefix, command in commands.items():
        found |= callsims(prefix, "", command)
        if lab:
            found |= lab_benches(prefix, command)
    return found


def checked(directory: Path, name: str) -> list[str]:
    """The command of the Callsim in this environment, which runs the form of this name; the
    compiled one must be of the sources here."""
    form = form_of(directory)
    if form.name != name:
        raise BenchmarkError(f"{directory} has the {form.name} form, not the {name} one")
    if name == COMPILED and (stale := sorted(changed(_packages(directory)))):
        raise BenchmarkError(
            f"{directory} is of other sources ({stale[0]}, and {len(stale) - 1} more files): "
            "run `make compiled` again"
        )
    return form.command


def _packages(directory: Path) -> Path:
    return next(iter(directory.glob("lib/python*/site-packages")), directory)


def changed(place: Path, root: Path = ROOT) -> Iterator[str]:
    """The sources below `root` that are not the same in `place`."""
    for room in _ROOMS:
        for source in (root / room).rglob("*.py"):
            name = source.relative_to(root)
            there = place / name
            if not there.exists() or there.read_bytes() != source.read_bytes():
                yield str(name)
