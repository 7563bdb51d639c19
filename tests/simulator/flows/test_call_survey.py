"""The post-call survey: after the agent the caller goes to another dialed number."""

from typing import Any

import pytest

from tests.simulator.flows.conftest import Build
from tests.simulator.flows.world import World

PLAN: list[dict[str, Any]] = [
    {"pattern": "6>", "label": "1001", "survey": "3000"},
    {"pattern": "3>", "script": "self_service", "application": "survey"},
    {"pattern": "4>", "label": "1001", "survey": "5000"},
    {"pattern": "5>", "script": "standalone"},
    {"pattern": "7>", "label": "1001", "survey": "8000"},
    {"pattern": "8>", "label": "1002", "survey": "3000"},
]


def surveyed(build: Build, number: str = "6000") -> World:
    """A call whose agent has hung up."""
    world = build(dialed_numbers=PLAN)
    world.dial(number)
    world.run(1.5)
    assert world.state == "connected"
    world.agents.line.hang_up()
    world.run()
    return world


def test_the_agent_hangs_up_and_the_survey_begins(build: Build) -> None:
    """CVP.md 4: post-call-survey DN per pattern."""
    world = surveyed(build)
    assert (world.state, world.call.application) == ("self_service", "welcome")
    assert world.sent("200 BYE", to="agents")
    assert "survey 3000" in world.history
    assert world.server.statistics.current.surveys == 1
    world.caller.line.hang_up()
    world.run()
    assert world.cdr.call_result == "completed"
    assert [leg.leg_type for leg in world.cdr.legs] == ["inbound", "outbound", "outbound"]


def test_a_caller_who_hangs_up_first_gets_none(build: Build) -> None:
    world = build(dialed_numbers=PLAN)
    caller = world.dial("6000")
    world.run(1.5)
    caller.hang_up()
    world.run()
    assert world.vxml.lines == []
    assert world.cdr.call_result == "completed"


def test_a_script_may_want_none(build: Build) -> None:
    """CVP.md 5: the ECC variable user.microapp.isPostCallSurvey."""
    world = build(dialed_numbers=PLAN)
    world.dial("6000")
    world.run(1.5)
    world.server.set_variables(world.call.guid, {"user.microapp.isPostCallSurvey": "n"}, None, None)
    world.agents.line.hang_up()
    world.run()
    assert (world.state, world.vxml.lines) == ("ended", [])


def test_a_number_that_leads_nowhere_is_no_survey(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    world = surveyed(build, "4000")
    assert world.state == "ended"
    assert "no survey: '5000' is not a number to transfer to" in caplog.text
    assert world.cdr.call_result == "completed"


def test_the_survey_may_be_a_person_and_has_none_of_its_own(build: Build) -> None:
    world = surveyed(build, "7000")
    world.run(1.5)
    assert world.state == "connected"
    assert world.agents.line.invite.uri.startswith("sip:1002@")
    world.agents.line.hang_up()
    world.run()
    assert world.state == "ended"


def test_the_vru_is_no_agent(build: Build) -> None:
    plan = [{"pattern": "3>", "script": "self_service", "survey": "3000"}]
    world = build(dialed_numbers=plan)
    world.self_service()
    world.vxml.line.hang_up()
    world.run()
    assert world.state == "ended"


def test_the_dialed_number_of_its_script_is_its_own(build: Build) -> None:
    """The label {dnis} is the number that was checked, not the one that the caller dialed."""
    script = [
        {"if": {"dialed": ["1002"], "then": "yes"}},
        {"release": {}},
        {"connect": {"label": "{dnis}"}, "name": "yes"},
    ]
    plan = [
        {"pattern": "6>", "label": "1001", "survey": "1002"},
        {"pattern": "1002", "script": "same"},
    ]
    world = build(dialed_numbers=plan, icm={"scripts": {"same": script}})
    world.dial("6000")
    world.run(1.5)
    world.agents.line.hang_up()
    world.run(1.5)
    assert (world.state, world.call.icm_label) == ("connected", "1002")
    assert world.agents.line.invite.uri.startswith("sip:1002@")
    world.agents.line.hang_up()


def test_an_agent_whom_the_caller_has_transferred_gets_none(build: Build) -> None:
    """After the caller's own REFER the agent is in the caller's place."""
    world = build(dialed_numbers=PLAN)
    caller = world.dial("6000")
    world.run(1.5)
    caller.transfer(f"sip:1002@{world.address}")
    world.run(4.0)
    assert world.state == "connected"
    assert world.agents.line.invite.uri.startswith("sip:1002@")
    world.agents.line.hang_up()
    world.run()
    assert (world.state, world.vxml.lines) == ("ended", [])


def test_its_label_may_be_in_a_variable(build: Build) -> None:
    plan = [
        {"pattern": "6>", "label": "1001", "survey": "4000"},
        {"pattern": "4>", "script": "given"},
    ]
    scripts = {"given": [{"connect": {"label": "{callVariable1}"}}]}
    world = build(dialed_numbers=plan, icm={"scripts": scripts})
    world.dial("6000")
    world.run(1.5)
    world.server.set_variables(world.call.guid, None, None, {"callVariable1": "1002"})
    world.agents.line.hang_up()
    world.run(1.5)
    assert (world.state, world.call.icm_label) == ("connected", "1002")
    world.agents.line.hang_up()
