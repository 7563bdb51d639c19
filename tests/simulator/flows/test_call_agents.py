"""Skill groups at work: states of agents, places in the queue, another configuration."""

import pytest

from simulator.errors import AgentNotFound, CallNotQueued
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner
from tests.simulator.flows.test_call_treatment import QUEUE, agents, script
from tests.simulator.flows.world import World
from tests.support.network import Network
from tests.support.virtual_server import configuration


def hang_up(world: World) -> None:
    for line in world.caller.lines:
        line.hang_up()


@pytest.mark.parametrize("state", ["not_ready", "busy", "logged_out"])
def test_an_agent_who_is_not_available_gets_no_call(build: Build, state: str) -> None:
    world = build(**script(QUEUE, **agents(a1001=1)))
    desk = world.server.desk
    assert desk.set_state("1001", state).state == state  # type: ignore[arg-type]
    world.dial("1")
    world.run(5.0)
    assert world.state == "queued"
    desk.set_state("1001", "available")
    world.run(1.5)
    assert world.state == "connected"
    shown = desk.agent("1001")
    assert (shown.state, shown.active_calls, shown.call_guid) == ("busy", 1, world.call.guid)
    hang_up(world)
    world.run()
    assert desk.agent("1001").state == "available"
    with pytest.raises(AgentNotFound):
        desk.set_state("7", "available")


def test_an_agent_without_a_call_yet_is_idle_since_the_start(build: Build) -> None:
    """The clock of the loop does not begin with the server."""
    network = Network()
    network.run(86_400.0)
    world = build(network, icm={"agents": {"1002": {"state": "not_ready"}}})
    desk, started = world.server.desk, world.server.wall(network.now)
    network.run(5.0)
    assert {agent.idle_since for agent in desk.agents()} == {started}
    assert desk.set_state("1002", "available").idle_since == world.server.wall(network.now)


@pytest.mark.parametrize("way", [{"label": "1001"}, {"script": "straight"}])
def test_a_call_by_label_makes_the_agent_busy(build: Build, way: dict[str, str]) -> None:
    """Whatever the label comes from: no call of the queue beside it where one is the limit."""
    plan = script(QUEUE, **agents(a1001=1))
    plan["icm"]["scripts"]["straight"] = [{"connect": {"label": "1001"}}]
    plan["dialed_numbers"].append({"pattern": "6>", **way})
    world = build(**plan)
    agent = world.server.skill_groups.agents["1001"]
    agent.max_calls = 1
    first = world.dial("6000")
    world.run(1.5)
    assert (world.state, agent.busy, agent.call) == ("connected", 1, world.call)
    world.dial("1")
    world.run(5.0)
    assert (world.state, len(world.agents.lines)) == ("queued", 1)
    first.hang_up()
    world.run(1.5)
    assert (world.state, world.call.icm_agent, agent.busy) == ("connected", "1001", 1)
    world.caller.line.hang_up()
    world.run()
    assert (agent.busy, agent.call) == (0, None)


def test_who_is_busy_with_a_call_is_not_counted_as_available(build: Build) -> None:
    """Though an agent without a limit would take the next one too."""
    world = build(**script(QUEUE, **agents(a1001=0, a1002=0)))
    desk = world.server.desk

    def counted() -> tuple[int, int, list[str]]:
        group = desk.skill_group("support")
        return group.logged_in, group.available, [agent.state for agent in desk.agents()[:2]]

    assert counted() == (2, 2, ["available", "available"])
    world.dial("1")
    world.run(1.5)
    assert counted() == (2, 1, ["busy", "available"])
    hang_up(world)
    world.run()
    assert counted() == (2, 2, ["available", "available"])


def test_an_agents_call_that_has_ended_is_not_shown_while_others_go_on(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=0)))
    for number in ("1", "2"):
        world.dial(number)
        world.run(1.5)
    first, last = world.seen.values()
    desk = world.server.desk
    assert (desk.agent("1001").active_calls, desk.agent("1001").call_guid) == (2, last.guid)
    world.caller.lines[1].hang_up()
    world.run()
    assert (first.state, last.state) == ("connected", "ended")
    assert (desk.agent("1001").active_calls, desk.agent("1001").call_guid) == (1, None)
    world.caller.lines[0].hang_up()


def test_an_agent_whom_a_label_does_not_reach_is_free(build: Build) -> None:
    """Refused, or without any way there: once, at the end of the leg."""
    world = build()
    agent = world.server.skill_groups.agents["1001"]
    world.agents.manners["1001"] = Manner(ring=0.0, answer=0.5, refuse=486)
    world.dial("6000")
    world.run(0.3)
    assert (world.state, agent.busy) == ("ringing", 1)
    world.run(1.0)
    assert (world.state, agent.busy) == ("ended", 0)


def test_the_state_at_the_start(build: Build) -> None:
    plan = script(QUEUE, **agents(a1001=1, a1002=1))
    plan["icm"]["agents"]["1001"]["state"] = "logged_out"
    world = build(**plan)
    world.dial("1")
    world.run(2.0)
    assert world.call.icm_agent == "1002"
    hang_up(world)


def test_a_call_goes_on_when_its_agent_logs_out(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1)))
    world.dial("1")
    world.run(2.0)
    world.server.desk.set_state("1001", "logged_out")
    world.run(2.0)
    assert world.state == "connected"
    world.dial("2")
    world.run(2.0)
    assert world.state == "queued"
    hang_up(world)


def test_who_becomes_available_last_is_chosen_last(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1, a1002=1)))
    world.run(1.0)
    for state in ("not_ready", "available"):
        world.server.desk.set_state("1001", state)
    world.dial("1")
    world.run(2.0)
    assert world.call.icm_agent == "1002"
    hang_up(world)


def test_place_and_estimated_wait(build: Build) -> None:
    """One agent, calls of 120 s until others have shown otherwise."""
    world = build(**script(QUEUE, **agents(a1001=1)))
    for number in ("1", "2", "3"):
        world.dial(number)
        world.run()
    first, second, third = world.seen.values()
    desk = world.server.desk
    world.run(1.0)
    with pytest.raises(CallNotQueued):
        desk.place(first.guid)
    assert [desk.place(c.guid).queue_position for c in (second, third)] == [1, 2]
    assert [desk.place(c.guid).estimated_wait_time for c in (second, third)] == [120.0, 240.0]
    told = [details for _, event, details in third.history if event == "queue_position"]
    assert told == ["support: position 2, estimated wait 240 s"]
    group = desk.skill_groups()[0]
    assert [call.call_guid for call in group.calls] == [second.guid, third.guid]
    assert desk.place(third.guid).waited == pytest.approx(1.2, abs=0.1)

    world.run(9.0)
    world.caller.lines[0].hang_up()
    world.run(1.5)
    handled = desk.skill_groups()[0].handling_time
    assert handled == pytest.approx(9.3, abs=0.5), "the time of the first call"
    assert desk.place(third.guid).estimated_wait_time == pytest.approx(handled)
    for line in world.caller.lines[1:]:
        line.hang_up()


def test_the_estimate_counts_the_agents(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1, a1002=1)))
    desk = world.server.desk
    for _ in range(3):
        world.dial("1")
        world.run(1.5)
    guid = world.call.guid
    assert desk.place(guid).estimated_wait_time == 60.0
    desk.set_state("1001", "not_ready")
    assert desk.place(guid).estimated_wait_time == 120.0
    desk.set_state("1002", "logged_out")
    assert desk.place(guid).estimated_wait_time is None
    hang_up(world)


def test_the_wait_of_the_configuration(build: Build) -> None:
    world = build(**script(QUEUE, **agents(3.0, a1001=1)))
    world.dial("1")
    world.run()
    assert "queue_position support: position 1, estimated wait 3 s" in world.history
    hang_up(world)


def test_a_call_served_at_once_has_no_place(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1)))
    world.dial("1")
    world.run(2.0)
    assert not [line for line in world.history if line.startswith("queue_position")]
    hang_up(world)


# Another configuration while calls wait.


def test_who_waits_keeps_the_place(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1)))
    for number in ("1", "2", "3"):
        world.dial(number)
        world.run(0.5)
    _, second, third = world.seen.values()
    routes = world.server.config.routes
    world.server.configure(
        configuration(**script(QUEUE, **agents(a1001=1, a1003=1))).model_copy(
            update={"routes": routes}
        )
    )
    world.stack.pump()
    world.run(2.0)
    assert (second.state, second.icm_agent) == ("connected", "1003")
    assert third.state == "queued"
    assert world.server.desk.agent("1001").active_calls == 1, "the agent keeps the call"
    assert world.server.desk.place(third.guid).queue_position == 1
    hang_up(world)


def test_a_skill_group_that_is_gone_is_served_to_its_end(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1)))
    for number in ("1", "2", "3"):
        world.dial(number)
        world.run(0.5)
    _, second, third = world.seen.values()
    icm = world.server.config.icm.model_copy(update={"skill_groups": {}, "agents": {}})
    world.server.configure(world.server.config.model_copy(update={"icm": icm}))
    world.caller.lines[0].hang_up()
    world.run(2.0)
    assert (second.state, third.state) == ("connected", "queued")
    for line in world.caller.lines[1:]:
        line.hang_up()


def test_a_script_enters_a_group_that_is_gone(build: Build) -> None:
    """Nobody serves it: the time limit of the node ends the wait."""
    service = {"self_service": {"application": "x", "seconds": 2}}
    queue = {"queue": {"skill_group": "support", "seconds": 5}}
    world = build(**script(service, queue, {"connect": {"label": "1002"}}, **agents(a1001=1)))
    world.dial("1")
    world.run()
    icm = world.server.config.icm.model_copy(update={"skill_groups": {}})
    world.server.configure(world.server.config.model_copy(update={"icm": icm}))
    world.run(4.0)
    assert world.state == "queued"
    assert world.server.desk.place(world.call.guid).estimated_wait_time is None
    world.run(6.0)
    assert world.call.icm_label == "1002"
    hang_up(world)


def test_an_agent_who_is_gone_ends_the_call(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1)))
    world.agents.manners["1001"] = Manner(ring=0.0, answer=0.5)
    world.dial("1")
    world.run(2.0)
    icm = world.server.config.icm
    other = icm.model_copy(update={"agents": {}, "skill_groups": {}})
    world.server.configure(world.server.config.model_copy(update={"icm": other}))
    assert world.state == "connected"
    hang_up(world)
    world.run()
    assert world.cdr.call_result == "completed"
