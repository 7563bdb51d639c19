"""Another configuration while calls wait in queues, and while agents are busy."""

from typing import Any

import pytest

from simulator.config import Config
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.test_call_reload import OTHER, administered, reload
from tests.simulator.flows.world import World
from tests.support.virtual_server import configuration


def without_support() -> Config:
    """The built-in plan with another skill group in the place of its own, and no dialed number."""
    config = configuration(dialed_numbers=[], icm={"skill_groups": {"sales": {"agents": ["1003"]}}})
    groups = {"sales": config.icm.skill_groups["sales"]}
    icm = config.icm.model_copy(update={"skill_groups": groups})
    return config.model_copy(update={"icm": icm})


def test_who_waits_gets_an_agent_of_the_new_group(world: World) -> None:
    line = world.queued()
    assert reload(world, **OTHER)
    world.run(6.0)
    assert world.state == "connected"
    assert world.agents.line.invite.uri.startswith("sip:1002@")
    line.hang_up()
    world.run()
    assert world.cdr.call_result == "completed"


def test_a_group_that_is_gone_serves_those_who_wait(world: World) -> None:
    line = world.queued()
    assert world.wait_for(administered(world).reload(without_support))
    world.run(6.0)
    assert world.state == "connected"
    line.hang_up()
    world.run()


def test_a_script_that_is_gone_runs_to_its_end(world: World) -> None:
    """Its skill group is gone when the call comes to it: it waits, and is not lost."""
    line = world.dial("7000")
    world.run()
    assert world.state == "self_service"
    assert world.wait_for(administered(world).reload(without_support))
    world.run(10.0)
    assert world.state == "queued"
    line.hang_up()
    world.run()
    assert world.cdr.call_result == "abandoned"


def test_a_busy_agent_stays_busy(build: Build) -> None:
    sections: dict[str, Any] = {
        "icm": {
            "agents": {"1001": {"max_calls": 1}},
            "skill_groups": {"support": {"wait": 0, "agents": ["1001"]}},
        }
    }
    world = build(**sections)
    first = world.dial("7000")
    world.run(5.0)
    assert world.state == "connected"
    assert reload(world, **sections, server={"max_calls": 9})
    second = world.dial("7000")
    world.run(5.0)
    assert world.state == "queued"
    first.hang_up()
    world.run(2.0)
    assert world.state == "connected"
    second.hang_up()
    world.run()


def test_an_agent_who_is_gone_finishes_the_call(world: World) -> None:
    line = world.queued()
    world.run(5.0)
    assert world.state == "connected"
    config = without_support()
    agents = {"1003": config.icm.agents["1003"]}
    icm = config.icm.model_copy(update={"agents": agents})
    changed = config.model_copy(update={"icm": icm})
    assert world.wait_for(administered(world).reload(lambda: changed))
    world.run(5.0)
    assert world.state == "connected"
    line.hang_up()
    world.run()
    assert world.cdr.call_result == "completed"


@pytest.mark.parametrize("how", ["blind", "consultation"])
def test_a_transfer_goes_on(world: World, how: Any) -> None:
    line = world.connected()
    world.transfer("1003", how)
    world.run()
    assert world.state == "transferring"
    assert reload(world, **OTHER)
    world.run(3.0)
    assert world.state == "connected"
    line.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"
