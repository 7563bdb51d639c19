"""Percentiles, targets and exit codes of the tools, and which form they measure."""

import argparse
import json
import os
import sys
from pathlib import Path

import pytest

from benchmarks import cores, tools
from benchmarks.figures import Outcome, Target, WholeNumber, form_of, percentile, report
from benchmarks.subjects import BACK_TO_BACK, CALLEE, BenchmarkError
from benchmarks.tools import makers_of, run_tool, tool_parser


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1), (0.5, 50), (0.501, 51), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_a_percentile_is_the_nearest_rank(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_a_percentile_needs_a_value() -> None:
    assert percentile([7.0], 0.5) == percentile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_a_target_is_met_at_its_limit_or_below_it() -> None:
    assert Target("memory", 1.0, 1.0).met
    assert not Target("memory", 1.0, 1.0, below=True).met
    assert Target("memory", 0.99, 1.0, below=True).met
    assert not Target("memory", 1.01, 1.0).met
    assert str(Target("p99", 2.0, 1.8, "ms")) == "p99: 2 ms (wanted: at most 1.8 ms)"


def test_the_exit_code_tells_a_missed_target_and_a_figure_that_does_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    met, missed = Target("list", 4.0, 5.0, "ms"), Target("terminate", 2.0, 1.8, "ms")
    assert report(Outcome({}, ["a table"], targets=[met]), tmp_path / "a.json") == 0
    assert report(Outcome({}, targets=[met, missed]), tmp_path / "b.json") == 1
    assert report(Outcome({}, targets=[met], problems=["lost"]), tmp_path / "c.json") == 1
    printed = capsys.readouterr()
    assert "a table" in printed.out
    assert "MISSED: terminate: 2 ms (wanted: at most 1.8 ms)\n" in printed.err
    assert "NOT CLEAN: lost\n" in printed.err
    kept = json.loads((tmp_path / "b.json").read_text())
    assert [target["met"] for target in kept["targets"]] == [True, False]


def test_the_form_is_that_of_the_environment(tmp_path: Path) -> None:
    assert form_of(Path(sys.prefix)).name in ("plain", "compiled")
    with pytest.raises(BenchmarkError, match="make setup"):
        form_of(tmp_path)


def test_a_run_that_cannot_begin_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tools, "COMPILED_VENV", tmp_path / "none")
    options = tool_parser("none", "").parse_args(["--form", "compiled"])

    def measure(_options: argparse.Namespace, _directory: Path) -> Outcome:
        makers_of(options.form)
        raise AssertionError("not reached")

    assert run_tool("none", options, measure) == 2
    assert "make compiled" in capsys.readouterr().err


def test_a_run_keeps_its_settings_with_its_figures(tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    options = tool_parser("none", "").parse_args(["--pin", "--output", str(output)])
    seen = []

    def measure(_options: argparse.Namespace, directory: Path) -> Outcome:
        seen.append(directory.is_dir())
        return Outcome({"rate": 7})

    if len(os.sched_getaffinity(0)) > 1:
        assert run_tool("none", options, measure) == 0
        assert seen == [True]
        settings = json.loads(output.read_text())["settings"]
        assert settings == {"form": "plain", "pin": True, "rate": 7}
    with cores.placed(cores.Side.SERVER):  # the run has let go of its cores
        pass


def test_both_roles_are_made_of_a_form() -> None:
    form = form_of(Path(sys.prefix)).name
    assert list(makers_of(form)) == [CALLEE, BACK_TO_BACK]


def test_a_number_has_limits() -> None:
    assert WholeNumber(1, 5)("5") == 5
    with pytest.raises(argparse.ArgumentTypeError, match="6 is not from 1 to 5"):
        WholeNumber(1, 5)("6")
