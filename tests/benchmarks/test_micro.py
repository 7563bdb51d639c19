"""Every step of the micro benchmark runs, and its figures are read right."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.figures import Form, form_of
from benchmarks.micro.__main__ import Step, main, read_steps, run, steps_table
from benchmarks.subjects import BenchmarkError

STEPS = {
    "call[callee]", "call[back-to-back]", "parse[INVITE]", "parse[200]", "parse[BYE]",
    "dialog of invite", "head of bye", "sdp answer", "invite server transaction",
    "bye server transaction", "invite of second leg", "session of callee", "request in dialog",
    "cdr", "list of 1000",
}  # fmt: skip


def test_every_step_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "micro.json"
    arguments = ["--venv", sys.prefix, "--seconds", "0.01", "--output", str(output)]
    assert main(arguments) == 0
    form = form_of(Path(sys.prefix)).name
    steps = json.loads(output.read_text())["steps_us"][form]
    assert set(steps) == STEPS
    assert all(0 < step["lowest"] <= step["median"] for step in steps.values())
    assert f"{form}, us: median (lowest)" in capsys.readouterr().out


def test_another_form_than_was_asked_for_is_an_error(tmp_path: Path) -> None:
    right = form_of(Path(sys.prefix))
    wrong = Form(right.directory, {"plain": "compiled", "compiled": "plain"}[right.name])
    with pytest.raises(BenchmarkError, match="other modules"):
        run(wrong, tmp_path / "a.json", 0.01, "bench_head_of_bye")
    with pytest.raises(BenchmarkError, match="no benchmarks have been run"):
        run(right, tmp_path / "b.json", 0.01, "nothing_of_this_name")


def test_steps_are_in_microseconds() -> None:
    stats = {"median": 2e-6, "min": 1e-6, "rounds": 5, "iterations": 20}
    found = read_steps({"benchmarks": [{"name": "bench_head_of_bye", "stats": stats}]})
    assert found == {"head of bye": Step(2.0, 1.0, 100)}


def test_the_ratio_is_that_of_the_lowest() -> None:
    forms = {
        "plain": {"parse": Step(12.5, 10.0, 5), "cdr": Step(2000.0, 1500.0, 5)},
        "compiled": {"parse": Step(4.5, 4.0, 5)},
    }
    lines = [" ".join(line.split()) for line in steps_table(forms).splitlines()]
    assert lines[2] == "| parse | 12.5 (10.0) | 4.50 (4.00) | 2.50 |"
    assert lines[3] == "| cdr | 2000 (1500) | | |"
