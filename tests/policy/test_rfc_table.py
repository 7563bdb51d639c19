"""The table of RFC clauses in ``sip/README.md`` names modules and tests that are there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "sip" / "README.md"

# What the stack claims to do: each has a line at least.
CLAIMED = (
    "2976 3261 3262 3263 3264 3311 3323 3325 3326 3327 3420 3515 3581 3891 3892 3966 4028 4235 "
    "4475 4488 4538 4733 5118 5626 5806 5876 5922 6026 6086 6228 6665 7044 7433 7616 8217 8760"
).split()

_REFERENCE = re.compile(r"`([^`]+)`")


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of the tests in a file, classes of tests included."""
    names = (
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    )
    return frozenset(names)


def rows() -> list[list[str]]:
    """The cells of each line: clause, module, test, stranger."""
    lines = [line for line in README.read_text().splitlines() if line.startswith("| RFC ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def missing(reference: str) -> str | None:
    """What a reference names and is not there: a path, or ``path::name``."""
    path, _, name = reference.partition("::")
    file = ROOT / path
    if not file.exists():
        return path
    return reference if name and name not in names_in(file) else None


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row[0]))
def test_a_line_names_what_is_there(row: list[str]) -> None:
    assert len(row) == 4
    _, module, test, stranger = row
    found = _REFERENCE.findall(f"{module} {test}")
    assert [one for one in found if one.startswith("tests/")], "no test"
    assert [problem for one in found if (problem := missing(one))] == []
    shown = [one for one in _REFERENCE.findall(stranger) if "/" in one]
    assert [problem for one in shown if (problem := missing(one))] == []


def test_every_rfc_that_is_claimed_has_a_line() -> None:
    clauses = " ".join(row[0] for row in rows())
    assert [number for number in CLAIMED if f"RFC {number}" not in clauses] == []


def test_a_reference_to_nothing_is_seen() -> None:
    here = "tests/policy/test_rfc_table.py"
    assert missing(f"{here}::test_a_reference_to_nothing_is_seen") is None
    assert missing(f"{here}::test_of_nothing") == f"{here}::test_of_nothing"
    assert missing("sip/nothing.py") == "sip/nothing.py"
