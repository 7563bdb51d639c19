"""`callsim check`: what it prints, and its exit code."""

from pathlib import Path

import pytest

from simulator.__main__ import _parser
from simulator.config import Config


def check(*arguments: str) -> int:
    options = _parser().parse_args(["check", *arguments])
    return int(options.run(options))


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("server: {name: lab}", 0, "{file}: good\n"),
        (
            "icm: {agents: {2001: {}}}",
            0,
            "{file}:1: warning: icm.agents.2001: label '2001' has no static route; add one under "
            "routes\n{file}: good\n",
        ),
        ("sip: {t1: x}", 1, "{file}:1: sip.t1: must be a number, not 'x'\n"),
    ],
)
def test_a_file_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: int, said: str
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    assert check(str(file)) == code
    assert capsys.readouterr().out == said.format(file=file)


def test_the_defaults_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--defaults") == 0
    assert capsys.readouterr().out == Config.builtin().to_yaml()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "check: give FILE, or --defaults\n"),
        (["--defaults", "plan.yaml"], "check: give FILE or --defaults, not both\n"),
    ],
)
def test_a_file_or_the_defaults(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert check(*arguments) == 2
    assert capsys.readouterr().err == said
