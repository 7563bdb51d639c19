"""ICM fails a call: the survivability application of its dialed number takes it."""

from typing import Any

import pytest

from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner
from tests.simulator.flows.test_call_scripts import graph, result
from tests.simulator.flows.test_call_webhook import VirtualWebhook
from tests.simulator.flows.world import World

WAIT = {"wait": 2}
WEBHOOK = {"webhook": {"url": "http://127.0.0.1:9/"}}
MENU = {"self_service": {"application": "menu", "seconds": 0.5}}


def plan(icm: Any = None, survival: str = "sorry", **nodes: Any) -> dict[str, Any]:
    """Every number runs these nodes, and falls back to an application."""
    number = {"pattern": ">", "script": "test", "survival_application": survival}
    return {**graph(icm=icm, **nodes), "dialed_numbers": [number]}


def rescued(world: World) -> bool:
    """Whether the application has the caller, and was begun once."""
    begun = [line for line in world.history if line == "survivability sorry"]
    there = (world.state, world.call.application) == ("self_service", "sorry")
    return there and len(begun) == 1 and world.history.count("RUN_SCRIPT_REQ sorry") == 1


@pytest.mark.parametrize("node", ["dialogue_failure", "silence"])
def test_the_application_answers_the_caller(build: Build, node: str) -> None:
    world = build(**plan(WAIT, a=node))
    caller = world.dial("3000")
    world.run(2.5)
    assert caller.statuses[-1] == 200
    assert rescued(world)
    assert result(world, caller_input="1")
    world.run()
    assert caller.heard[-1] == "Hungup"
    world.over()
    record = world.cdr
    assert (record.call_result, record.application_name) == ("completed", "sorry")
    assert record.application_count == 1


def test_the_gateways_bye_ends_it(build: Build) -> None:
    world = build(**plan(a="dialogue_failure"))
    caller = world.dial("3000")
    world.run()
    world.vxml.line.hang_up()
    world.run()
    assert caller.heard[-1] == "Hungup"
    assert world.cdr.call_result == "completed"
    world.over()


def test_a_caller_who_is_with_the_gateway_stays_there(build: Build) -> None:
    world = build(**plan(menu=MENU, a="dialogue_failure"))
    caller = world.dial("3000")
    world.run(1.0)
    assert rescued(world)
    assert len(world.vxml.lines) == 1
    caller.hang_up()


def test_without_a_gateway_the_call_fails(build: Build) -> None:
    world = build(**plan(a="dialogue_failure"))
    world.vxml.behaves(refuse=503)
    world.dial("3000")
    world.run()
    assert "survivability sorry" in world.history
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "503")
    world.over()


@pytest.mark.parametrize("answers", [[], ["no answer within 2 s"], [{"percent": {"no": 100}}]])
def test_a_webhook_without_an_answer(build: Build, answers: list[Any]) -> None:
    """It is not to be asked, does not answer, or says what is no instruction."""
    world = build(**plan(WEBHOOK, ask="webhook"))
    VirtualWebhook(world, *answers)
    caller = world.dial("3000")
    world.run(0.5)
    assert rescued(world)
    caller.hang_up()


def test_a_webhook_that_fails_later(build: Build) -> None:
    world = build(**plan(WEBHOOK, ask="webhook"))
    VirtualWebhook(world, MENU, "cannot be asked")
    caller = world.dial("3000")
    world.run(1.5)
    assert rescued(world)
    assert len(world.vxml.lines) == 1
    caller.hang_up()


def test_the_script_has_its_own_way_out(build: Build) -> None:
    world = build(**plan(WEBHOOK, ask="webhook", below={"label": "1002"}))
    VirtualWebhook(world, "cannot be asked")
    caller = world.dial("3000")
    world.run(2.0)
    assert (world.state, world.call.icm_label) == ("connected", "1002")
    caller.hang_up()


def test_a_webhook_that_ends_the_call_is_heard(build: Build) -> None:
    world = build(**plan(WEBHOOK, ask="webhook"))
    VirtualWebhook(world, {"release": {"status": 486}})
    caller = world.dial("3000")
    world.run()
    assert caller.statuses[-1] == 486
    world.over()


def test_a_number_without_one(build: Build) -> None:
    world = build(**plan(WEBHOOK, "", ask="webhook"))
    VirtualWebhook(world)
    caller = world.dial("3000")
    world.run()
    assert caller.statuses[-1] == 480
    assert world.vxml.lines == []
    world.over()


def test_a_transfer_that_is_under_way_comes_first(build: Build) -> None:
    world = build(**plan(WAIT, menu=MENU, a="silence"))
    world.agents.manners["9486"] = Manner(ring=0.0, answer=3.0, refuse=486)
    caller = world.dial("3000")
    world.run(1.0)
    world.transfer("9486")
    world.run(2.0)
    assert world.state == "transferring"
    assert "survivability sorry" in world.history
    world.run(2.0)
    assert rescued(world)
    caller.hang_up()
