"""The table in ``simulator/FAULTS.md`` names tests and words of the log that are there."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.policy.test_fact_table import setting_missing
from tests.policy.test_rfc_table import missing

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "simulator" / "FAULTS.md"
LINKED_FROM = ("README.md", "simulator/README.md")

NAMED = (
    "kill -9", "stands still", "clock", "UDP", "half-open TCP", "one octet at a time",
    "file descriptor", "DNS", "webhook", "VXML gateway", "agent", "caller", "full", "hangs",
    "data directory", "SIGHUP", "SIGTERM",
)  # fmt: skip
"""What is in the first column at least."""

_QUOTED = re.compile(r"`([^`]+)`")


def rows() -> list[list[str]]:
    """Fault, caller, operator, what is lost, tests."""
    table = TABLE.read_text().partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@cache
def source() -> str:
    """What the product says, the pieces of its texts joined."""
    files = [path for room in ("sip", "simulator", "api") for path in (ROOT / room).rglob("*.py")]
    return re.sub(r'"\s*f?"', "", "".join(path.read_text() for path in files))


def unknown(quoted: str) -> bool:
    """Whether something quoted is neither a setting nor in the source; paths are of REST."""
    return setting_missing(quoted) and quoted.lstrip("/").removeprefix("oamp/rest/") not in source()


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row[0])[:50])
def test_a_fault_is_shown_by_what_is_there(row: list[str]) -> None:
    assert len(row) == 5
    assert all(row)
    tests = [one for one in _QUOTED.findall(row[4]) if one.startswith("tests/")]
    assert tests
    assert [one for one in tests if missing(one) is not None] == []
    said = [one for cell in row[1:4] for one in _QUOTED.findall(cell)]
    assert [one for one in said if unknown(one)] == []


def test_every_fault_has_a_line() -> None:
    faults = " ".join(row[0] for row in rows())
    assert [one for one in NAMED if one not in faults] == []


def test_it_is_found() -> None:
    assert all("FAULTS.md" in (ROOT / path).read_text() for path in LINKED_FROM)


def test_words_that_nobody_says_are_seen() -> None:
    assert unknown("the moon is full")
    assert unknown("/moon")
    assert not unknown("stood still for")
    assert not unknown("sip.audit")
