"""The threat model in ``SECURITY.md`` names tests and settings that are there."""

import re
from pathlib import Path

import pytest

from tests.policy.test_fact_table import setting_missing
from tests.policy.test_rfc_table import missing

ROOT = Path(__file__).parents[2]
SECURITY = ROOT / "SECURITY.md"

_REFERENCE = re.compile(r"`([^`]+)`")


def rows() -> list[list[str]]:
    """The cells of each line: who, attacks, what holds, setting, shown by."""
    lines = [line for line in SECURITY.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def problems(row: list[str]) -> list[str]:
    """What is wrong with a line: what it names is not there, or it names nothing."""
    if len(row) != 5 or not all((*row[:3], row[4])):
        return ["a cell is missing"]
    tests = _REFERENCE.findall(row[4])
    found = [] if tests else ["no test"]
    found += [one for one in tests if not one.startswith("tests/") or missing(one) is not None]
    return found + [one for one in _REFERENCE.findall(row[3]) if setting_missing(one)]


@pytest.mark.parametrize("row", rows(), ids=lambda row: " ".join(row[:2])[:60])
def test_a_threat_is_met_by_what_is_there(row: list[str]) -> None:
    assert problems(row) == []


def test_it_says_how_to_report_what_is_assumed_and_what_is_left() -> None:
    text = SECURITY.read_text()
    for heading in ("Report a fault", "What is assumed", "Who attacks what", "What is left"):
        assert f"\n## {heading}" in text
    assert len(rows()) > 20
    named = _REFERENCE.findall(text.split("## What is left")[1])
    keys = [one for one in named if re.fullmatch(r"[a-z]+(\.[a-z_]+)+", one)]
    assert keys
    assert [one for one in keys if setting_missing(one)] == []


def test_a_line_that_shows_nothing_is_seen() -> None:
    good = ["a", "b", "c", "`sip.limits`", "`tests/policy/test_security.py::rows`"]
    assert problems(good) == []
    assert problems([*good[:4], ""]) == ["a cell is missing"]
    assert problems([*good[:4], "nothing"]) == ["no test"]
    assert problems([*good[:4], "`tests/policy/test_security.py::test_no`"])
    assert problems([*good[:3], "`sip.sunshine`", good[4]]) == ["sip.sunshine"]
    assert problems(good[:4])
