"""Far ends that vanish in the middle of a call: the others are served as far as can be."""

from tests.simulator.flows.conftest import Build
from tests.simulator.flows.world import World


def test_the_gateway_vanishes_during_self_service(world: World) -> None:
    """Its time is over, the caller gets an agent all the same."""
    caller = world.established("7000")
    world.vxml.vanish()
    world.run(7.0)
    assert world.state == "connected"
    assert world.sent("200 INVITE", "agents")
    caller.hang_up()
    world.run()
    assert caller.heard[-1] == "Closed"
    assert world.cdr.call_result == "completed"
    world.over()


def test_the_gateway_is_gone_before_it_answers(build: Build) -> None:
    """The caller is not kept ringing for longer than the gateway may."""
    world = build(dialed_numbers=[{"pattern": "7>", "script": "support", "ring_no_answer": 5}])
    world.vxml.vanish()
    caller = world.dial("7000")
    world.run(6.0)
    assert caller.statuses == [408]
    assert world.history[-1] == "ended SIP 408 ring no answer"
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "408")
    world.over()


def test_an_agent_vanishes_mid_call(world: World) -> None:
    """The caller hears nothing more and hangs up: that ends the call, not the agent's silence."""
    caller = world.connected()
    world.agents.vanish()
    world.run(10.0)
    caller.hang_up()
    world.run()
    assert caller.heard[-1] == "Closed"
    assert world.cdr.call_result == "completed"
    world.run(33.0)
    assert len(world.sent("BYE", to="agents")) == 11
    world.over()
