"""Charts say what the figures say."""

import sys
from pathlib import Path

import pytest

from benchmarks.plots import NoPlots, charts, plot

FIGURES = {
    "calls": {
        "SIPp uas": {"rate": 2000, "cpu_us": 40.0, "ratios": [1.0, 1.0], "problems": []},
        "Callsim, callee": {"rate": 2000, "cpu_us": 90.0, "ratios": [2.0, 2.5], "problems": []},
        "slow": {"rate": 100, "cpu_us": None, "ratios": [], "problems": ["warm-up"]},
        "dirty": {"rate": 100, "cpu_us": 900.0, "ratios": [9.0], "problems": ["repeated"]},
    },
    "held": {"SIPp uas": {"bytes_each": 2900.0, "problems": []}},
}


def test_a_chart_has_the_medians_with_their_spread() -> None:
    cpu, held = charts(FIGURES)
    assert [bar.label for bar in cpu.bars] == [
        "SIPp uas, 2000/s",
        "Callsim, callee, 2000/s",
        "dirty, 100/s",
    ]
    ours, dirty = cpu.bars[1], cpu.bars[2]
    assert (ours.low, ours.value, ours.high) == (2.0, 2.25, 2.5)
    assert ours.text == "2.25 (90 us)"
    assert not dirty.clean
    assert len({bar.colour for bar in cpu.bars}) == 3
    assert held.slug == "held"


def test_a_chart_is_drawn_where_matplotlib_is(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    paths = plot(FIGURES, tmp_path / "run.json")
    assert [path.name for path in paths] == ["run-cpu.png", "run-held.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_without_matplotlib_it_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(NoPlots, match="pip install"):
        plot(FIGURES, tmp_path / "run.json")
