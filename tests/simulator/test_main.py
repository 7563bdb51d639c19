"""The command line: `callsim check`, options, and what a command waits for before it starts."""

import subprocess
import sys
from pathlib import Path

import pytest

from simulator.__main__ import _parser
from simulator.config import Config
from simulator.serving import console
from simulator.version import callsim_version


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


@pytest.mark.parametrize("command", ["serve", "load", "wait"])
def test_an_unknown_option_shows_the_usage_of_its_command(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    arguments = {"wait": ["GUID", "ended"]}.get(command, [])
    with pytest.raises(SystemExit) as ended:
        _parser().parse_args([command, *arguments, "--port=5060"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"usage: callsim {command} ")
    assert said.endswith(f"callsim {command}: error: unrecognized arguments: --port=5060\n")


def test_the_log_level_stands_before_the_command_or_after_it() -> None:
    for arguments in (["--log-level", "info", "serve"], ["serve", "--log-level", "info"]):
        assert _parser().parse_args(arguments).log_level == "info"
    assert _parser().parse_args(["serve"]).log_level == "warning"


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _parser().parse_args(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"callsim {callsim_version()}\n")


@pytest.mark.parametrize(
    ("addresses", "found"),
    [
        (["https://0.0.0.0:8000", "http://127.0.0.1:8080"], "http://127.0.0.1:8080/"),
        (["https://0.0.0.0:8000"], "https://127.0.0.1:8000/"),
        (["https://[::]:8000", "https://10.0.0.1:8000"], "https://[::1]:8000/"),
    ],
)
def test_the_console_has_an_address_that_a_browser_takes(addresses: list[str], found: str) -> None:
    assert console([f"{one}/cvp/rest" for one in addresses]) == found


@pytest.mark.parametrize(
    ("start", "not_for_it"),
    [
        (
            "from simulator.__main__ import _parser; _parser().format_help()",
            "aiohttp asyncio importlib.metadata pydantic scenarios sip yaml",
        ),
        ("import api.shell", "api.app prometheus_client scenarios simulator.config sip yaml"),
    ],
)
def test_a_command_does_not_wait_for_what_it_does_not_take(start: str, not_for_it: str) -> None:
    script = f"import sys; {start}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    assert set(not_for_it.split()) & set(loaded.decode().split()) == set()
