"""`callsim demo --scenario`: each fault spoils a real call as told; mended, it goes well."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from simulator.__main__ import _parser, _service
from simulator.config import Config
from simulator.config_values import HttpListen, Listen
from simulator.demo_scenarios import SCENARIOS, Outcome, play


def config(folder: Path) -> Config:
    """The built-in plan on free ports of loopback."""
    plan = Config.builtin()
    changes: dict[str, Any] = {
        "sip": plan.sip.model_copy(update={"listen": (Listen("udp", "127.0.0.1", 0),)}),
        "api": plan.api.model_copy(update={"listen": (HttpListen.parse("http://127.0.0.1:0"),)}),
        "server": plan.server.model_copy(update={"data_dir": folder}),
    }
    return plan.model_copy(update=changes)


def outcome(name: str, folder: Path, *, mended: bool) -> Outcome:
    return asyncio.run(play(SCENARIOS[name], config(folder), _service, mended=mended))


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_fault_spoils_the_call(name: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    found = outcome(name, tmp_path, mended=False)
    assert found.spoilt, found
    assert found.status == scenario.status
    assert not found.good


@pytest.mark.parametrize("name", SCENARIOS)
def test_mended_the_call_goes_as_it_should(name: str, tmp_path: Path) -> None:
    found = outcome(name, tmp_path, mended=True)
    assert not found.spoilt
    assert found.status == SCENARIOS[name].mended
    assert found.good


def command(*arguments: str) -> int:
    options = _parser().parse_args(["demo", *arguments])
    return int(options.run(options))


def test_the_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--scenario", "list") == 0
    listed = capsys.readouterr().out
    assert all(name in listed and SCENARIOS[name].title in listed for name in SCENARIOS)


def test_a_scenario_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--scenario", "sunshine") == 2
    assert "--scenario: 'sunshine' is none of no-customer" in capsys.readouterr().err


@pytest.mark.parametrize("scenario", [[], ["--scenario", "list"]])
def test_mended_needs_a_fault(scenario: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--exit", "--mended", *scenario) == 2
    assert "--mended: name the fault that is to be mended by --scenario NAME" in (
        capsys.readouterr().err
    )
