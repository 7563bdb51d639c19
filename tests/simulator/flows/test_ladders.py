"""Each flow of `scenarios/flows`, in memory: its ladder is the one that is kept.

`make ladders` writes the kept ones anew; read what changed before it is committed.
"""

import time

import pytest

from scenarios.flows import LADDERS, Flow, load
from tests.support.stage import VirtualStage, difference

FLOWS = load()
HINT = "If that is as it should be: make ladders"


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_the_ladder_is_the_golden_one(flow: Flow) -> None:
    wrong = difference(flow, VirtualStage(flow).play(flow))
    assert not wrong, f"{wrong}\n\n{HINT}"


@pytest.mark.parametrize("wall", [0.0, 999_999_999.9999, 4e9])
def test_no_clock_shows_in_a_ladder(monkeypatch: pytest.MonkeyPatch, wall: float) -> None:
    """The one real time that the server reads in memory: identifiers and records have it."""
    monkeypatch.setattr(time, "time", lambda: wall)
    for name in ("blind-transfer", "phone-attended-transfer"):
        assert not difference(FLOWS[name], VirtualStage(FLOWS[name]).play(FLOWS[name]))


def test_every_ladder_is_of_a_flow() -> None:
    assert {path.stem for path in LADDERS.glob("*")} == set(FLOWS)
