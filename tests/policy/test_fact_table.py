"""The table of facts in ``simulator/README.md`` names tests that are there."""

import re
from collections import Counter
from pathlib import Path

import pytest

from simulator.config import Config
from tests.policy.test_rfc_table import missing

ROOT = Path(__file__).parents[2]
README = ROOT / "simulator" / "README.md"
MOST_LEFT_OUT = 0.05  # only ever shrinks

_FACT = re.compile(r"\| ([1-7](?:\.\d+)?) \| .* \| ([SIU]) \| (.*) \|")
_REFERENCE = re.compile(r"`([^`]+)`")
_LEFT_OUT = "left out: "


def rows() -> list[tuple[str, str, str]]:
    """Section, fact and mark together, and what shows it, of each line of the table."""
    lines = [line for line in README.read_text().splitlines() if re.match(r"\| [1-7]", line)]
    found = [_FACT.fullmatch(line) for line in lines]
    bad = [line for line, match in zip(lines, found, strict=True) if match is None]
    assert not bad, bad
    return [
        (match[1], line.rpartition("| ")[0], match[3])
        for line, match in zip(lines, found, strict=True)
        if match
    ]


def setting_missing(path: str) -> bool:
    """Whether the configuration has no such key."""
    model: object = Config
    for name in path.split("."):
        fields = getattr(model, "model_fields", None)
        if fields is None or name not in fields:
            return True
        inner = [fields[name].annotation, *getattr(fields[name].annotation, "__args__", ())]
        model = next((one for one in inner if hasattr(one, "model_fields")), None)
    return False


def problems(shows: str) -> list[str]:
    """What a cell names and is not there, or that it names nothing."""
    if shows.startswith(_LEFT_OUT):
        return [] if len(shows) > len(_LEFT_OUT) + 10 else ["no reason"]
    found = _REFERENCE.findall(shows)
    tests = [one for one in found if one.startswith("tests/")]
    settings = [one for one in found if not one.startswith("tests/") and "/" not in one]
    if not tests and not settings:
        return ["neither a test nor a setting"]
    files = [one for one in tests if missing(one.partition("[")[0]) is not None]
    return files + [one for one in settings if setting_missing(one)]


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row[1])[:60])
def test_a_fact_is_shown_by_what_is_there(row: tuple[str, str, str]) -> None:
    assert problems(row[2]) == []


def test_golden_ladders_that_are_named_are_there() -> None:
    named = set(
        re.findall(r"test_the_ladder_is_the_golden_one\[([a-z0-9-]+)\]", README.read_text())
    )
    assert named
    there = {path.stem for path in (ROOT / "scenarios" / "ladders").glob("*.ladder")}
    assert named <= there


def test_little_is_left_out() -> None:
    facts = rows()
    assert {section.partition(".")[0] for section, _, _ in facts} == set("1234567")
    counted = Counter(shows.startswith(_LEFT_OUT) for _, _, shows in facts)
    assert counted[True] <= MOST_LEFT_OUT * len(facts), f"{counted[True]} of {len(facts)} left out"
    assert f"{len(facts)} facts, {counted[True]} left out" in README.read_text()


def test_a_cell_that_shows_nothing_is_seen() -> None:
    assert problems("")
    assert problems("left out: ")
    assert problems("`tests/nothing.py::test_x`")
    assert problems("`sip.sunshine`") == ["sip.sunshine"]
    assert not problems("`sip.audit.older_than`")
    assert not problems("`tests/policy/test_fact_table.py::test_little_is_left_out`")
