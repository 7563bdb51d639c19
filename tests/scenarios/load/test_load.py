"""Load runs on loopback: the report agrees with SIPp, and says what broke a run off."""

import json
import os
import signal
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scenarios.load.callers import Callee, Timeline
from scenarios.load.profile import Profile
from scenarios.load.result import Second
from scenarios.load.run import Plan, Run
from scenarios.load.target import Target
from scenarios.load.timers import REFER, TERMINATE, with_byes, with_timers
from scenarios.runner import LOOPBACK, SCENARIOS
from simulator.__main__ import main
from tests.scenarios.load.support import disagreements

RATE = 20


def test_a_short_run_with_a_callee_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report"
    arguments = f"load --ramp 10:30 --for 5 --callee --number 2001 --keep --report {report}"
    criteria = "--max-failed 0 --p99-answer 1ms --min-rate 10"
    assert main([*arguments.split(), *criteria.split()]) == 1, "no answer takes 1 ms"
    found = json.loads((report / "report.json").read_text())
    assert disagreements(found, [report / "sipp" / "run" / "caller-0"]) == []
    assert found["totals"]["planned"] == pytest.approx(100)
    assert found["totals"]["offered"] == pytest.approx(100, abs=8)
    assert found["totals"]["completed"] == found["totals"]["offered"]
    assert found["server"]["new_calls"] == found["totals"]["offered"]
    assert found["times"]["ringing"]["count"] == found["times"]["answer"]["count"]
    assert [(one["name"], one["good"]) for one in found["criteria"]] == [
        ("max-failed", True),
        ("min-rate", True),
        ("p99-answer", False),
    ]
    (suite,) = ElementTree.parse(report / "junit.xml").getroot()
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("4", "1")
    page = (report / "report.html").read_text()
    assert page.count("data:image/svg+xml;base64,") >= 5
    assert f"<b>{found['totals']['offered']:,}</b>" in page
    assert (report / "report.png").read_bytes().startswith(b"\x89PNG")
    told = capsys.readouterr()
    assert "NOT MET p99-answer: at most 1 ms" in told.out
    assert "planned" in told.err, "plain progress, where there is no terminal"


class Looking:
    """Progress that does something once, after a second."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._done = False

    def begin(self, title: str, seconds: float) -> None:
        pass

    def second(self, second: Second, timeline: Timeline) -> None:
        if not self._done:
            self._done = True
            self._act()

    def note(self, text: str) -> None:
        pass

    def end(self) -> None:
        pass


@pytest.fixture
def uas(tmp_path: Path) -> Iterator[Callee]:
    """A SIPp that answers stands for the server."""
    callee = Callee("uas", tmp_path / "uas", 60, LOOPBACK)
    yield callee
    callee.stop()


def run_of(uas: Callee, tmp_path: Path, act: Callable[[Run], None]) -> Run:
    scenario = tmp_path / "scenario.xml"
    scenario.write_text(with_timers((SCENARIOS / "caller-hangs-up.xml").read_text()))
    target = Target(uas.address, pid=uas.sipp.pid)
    plan = Plan(Profile.fixed(RATE, 30), scenario, generators=2)
    run = Run(plan, target, None, tmp_path / "run", Looking(lambda: act(run)))
    return run


def pids(run: Run) -> list[int]:
    return [sipp.pid for sipp in run._callers.sipps]


def alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def check(run: Run) -> None:
    """What there is counts, and no SIPp is left."""
    assert not any(map(alive, pids(run)))
    found = run.result({})
    assert not found.good
    assert 0 < found.totals.seconds < 15
    assert found.totals.offered > 0
    assert found.verdict.saturated != "server", "its end does not mean that it was busy"
    assert found.totals.planned == pytest.approx(found.totals.seconds * RATE)


def test_a_sipp_that_dies_breaks_a_run_off(uas: Callee, tmp_path: Path) -> None:
    run = run_of(uas, tmp_path, lambda run: os.kill(pids(run)[0], signal.SIGKILL))
    run.go()
    assert run.broken.startswith("SIPp ended while calls were to go on: exit code")
    check(run)


def test_a_server_that_dies_breaks_a_run_off(uas: Callee, tmp_path: Path) -> None:
    run = run_of(uas, tmp_path, lambda run: uas.stop())
    run.go()
    assert run.broken == "the server ended while calls went on"
    check(run)


def test_ctrl_c_breaks_a_run_off(uas: Callee, tmp_path: Path) -> None:
    def interrupt(run: Run) -> None:
        raise KeyboardInterrupt

    run = run_of(uas, tmp_path, interrupt)
    run.go()
    assert run.broken == "interrupted"
    check(run)


def test_an_agent_s_refer_and_an_end_over_rest_are_timed(tmp_path: Path) -> None:
    caller, agent = tmp_path / "caller.xml", tmp_path / "agent.xml"
    text = (SCENARIOS / "caller-is-steered.xml").read_text()
    caller.write_text(with_byes(with_timers(text)))
    text = (SCENARIOS / "callee-refers.xml").read_text().replace("sip:3000@", "sip:1001@")
    agent.write_text(with_timers(text))
    callee = Callee(agent, tmp_path / "callee", 60, LOOPBACK)
    target = Target.started(tmp_path / "server", {"2001": callee.uri}, {})
    try:
        plan = Plan(Profile.fixed(5, 3), caller, number="2001", terminate=4)
        run = Run(plan, target, callee, tmp_path / "run", Looking(lambda: None))
        run.go()
    finally:
        target.stop()
        callee.stop()
    found = run.result({})
    assert found.good
    assert found.totals.offered == pytest.approx(15, abs=2)
    assert found.totals.offered == len(found.times[TERMINATE])
    assert found.times[TERMINATE].percentile(50) < 1000
    assert found.times[REFER].percentile(50) >= 1000, "the agent rings for a second"
    assert found.server["callsim_calls_offered_total"] == found.totals.offered
