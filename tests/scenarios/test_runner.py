"""The SIPp runner and the server process: what they say when something is wrong."""

import os
from pathlib import Path

import pytest

from scenarios.runner import SippError, SippMissing, SippRun, scenario_names
from scenarios.server import ServerError, ServerProcess


def test_sipp_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SippMissing, match="apt-get install sip-tester"):
        SippRun("callee-answers", tmp_path)


def test_an_unknown_scenario(tmp_path: Path) -> None:
    with pytest.raises(SippError, match="no scenario 'caller-sings'; known: uac, uas, callee-"):
        SippRun("caller-sings", tmp_path)


def test_a_scenario_that_sipp_cannot_read(tmp_path: Path) -> None:
    broken = tmp_path / "broken.xml"
    broken.write_text('<?xml version="1.0"?><scenario><send>')
    with pytest.raises(SippError, match=r"did not start: .+"):
        SippRun(broken, tmp_path / "run")


def test_nobody_answers(tmp_path: Path) -> None:
    run = SippRun("caller-hangs-up", tmp_path, ("127.0.0.1", 9), seconds=1)
    with pytest.raises(SippError, match="0 of 1 calls went well"):
        run.check()
    assert not run.running


def test_it_ends_when_told(tmp_path: Path) -> None:
    run = SippRun("callee-answers", tmp_path)
    assert run.running
    assert run.uri == f"sip:127.0.0.1:{run.port}"
    run.stop()
    assert not run.running
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)  # what it started is gone as well
    assert not run.wait().good


def test_a_port_of_ones_own(tmp_path: Path) -> None:
    first = SippRun("callee-answers", tmp_path / "1")
    try:
        with pytest.raises(SippError, match="Unable to bind main socket"):
            SippRun("callee-answers", tmp_path / "2", port=first.port)
    finally:
        first.stop()


def test_a_server_that_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"did not start: .*sip\.t1"):
        ServerProcess(tmp_path, settings={"sip.t1": "soon"})


def test_a_server_that_does_not_stop_well(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    server.kill()
    assert not server.running
    with ServerProcess(tmp_path / "again") as again:
        assert again.rest("GET", "/health")["sipStackStatus"] == "running"
    assert not again.running
    assert all(": warning: " in line for line in again.errors.splitlines())


def test_the_readme_names_every_scenario() -> None:
    readme = (Path(__file__).parents[2] / "scenarios" / "README.md").read_text()
    named = {part for part in readme.split("`") if part.startswith(("caller-", "callee-"))}
    assert named == set(scenario_names())
