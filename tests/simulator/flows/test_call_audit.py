"""The audit of old calls, as CVP does it [SDG-HA]."""

from collections import Counter

import pytest

from simulator.audit import AT_ONCE
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Line
from tests.simulator.flows.world import World


def test_old_calls_are_asked_whether_they_live(build: Build) -> None:
    """Every 2 minutes, older than 120 minutes: UPDATE to the inbound leg [SDG-HA]."""
    world = build()
    line = world.connected()
    world.run(7190.0)
    assert world.sent("UPDATE") == []
    world.run(600.0)
    times = [p.time - world.call.started for p in world.network.packets("UPDATE")]
    assert [round(time) for time in times] == [7200, 7320, 7440, 7560, 7680]
    assert {p.target for p in world.network.packets("UPDATE")} == {"caller"}
    assert world.state == "connected"
    line.hang_up()
    world.run()
    assert world.cdr.call_result == "completed"


@pytest.mark.parametrize("status", [405, 501, 603])
def test_a_caller_that_rejects_the_audit(build: Build, status: int) -> None:
    world = build()
    world.caller.behaves(update=status)
    line = world.connected()
    world.run(7201.0)
    assert world.history[-1] == f"ended audit: SIP {status} to UPDATE"
    assert line.heard[-1] == "Hungup"
    assert world.the("BYE", to="caller").get("reason") == "Q.850;cause=102"
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", str(status))
    world.over()


def test_a_caller_that_is_busy_lives(build: Build) -> None:
    world = build(sip={"audit": {"every": 60, "older_than": 600}})
    world.caller.behaves(update=491)
    line = world.connected()
    world.run(700.0)
    assert len(world.sent("UPDATE")) == 2
    assert world.state == "connected"
    line.hang_up()


def test_a_caller_that_does_not_answer_the_audit(build: Build) -> None:
    world = build(sip={"audit": {"every": 5, "older_than": 60}})
    world.connected()
    world.caller.vanish()
    world.run(60.0 + 5.0 + 33.0)
    assert len({request.head for request in world.sent("UPDATE")}) == 1, "one at a time"
    assert world.history[-2:] == ["leg_lost caller: SIP 408", "ended caller lost: SIP 408"]
    world.over()


def test_a_call_that_ends_meanwhile(build: Build) -> None:
    world = build(sip={"audit": {"every": 5, "older_than": 60}})
    world.caller.behaves(update=0)
    line = world.connected()
    world.run(64.0)
    line.hang_up()
    world.run()
    assert line.transaction is not None
    line.transaction.transaction.respond(603, line.now)
    world.run()
    assert world.cdr.call_result == "completed"


def test_an_unanswered_call_is_not_audited(build: Build) -> None:
    world = build(sip={"audit": {"every": 5, "older_than": 10}})
    world.agents.behaves(answer=None)
    line = world.dial("6000")
    world.run(25.0)
    assert world.state == "ringing"
    assert world.sent("UPDATE") == []
    line.cancel()
    world.run()


def test_the_audit_may_be_off(build: Build) -> None:
    world = build(sip={"audit": {"every": 0}})
    line = world.connected()
    world.run(10_800.0)
    assert world.flow == []
    line.hang_up()


def many(build: Build, calls: int) -> tuple[World, list[Line]]:
    """Calls that began together and are old at the tenth look."""
    world = build(sip={"audit": {"every": 60, "older_than": 590}})
    lines = [world.dial("5000") for _ in range(calls)]
    world.run(599.0)
    assert world.sent("UPDATE") == []
    return world, lines


def test_many_old_calls_are_asked_some_at_a_time(build: Build) -> None:
    """Calls go on in between: what takes a second is not done in one turn of the loop."""
    world, lines = many(build, 2 * AT_ONCE + 20)
    world.run(3.0)
    times = Counter(packet.time for packet in world.network.packets("UPDATE"))
    assert sorted(times.values()) == [20, AT_ONCE, AT_ONCE]
    assert max(times) - min(times) < 0.2
    for line in lines:
        line.hang_up()


def test_the_calls_end_while_old_ones_are_asked(build: Build) -> None:
    world, lines = many(build, AT_ONCE + 1)
    while not world.network.packets("UPDATE"):
        world.run(0.001)
    for line in lines:
        line.hang_up()
    world.run(3.0)
    assert len(world.network.packets("UPDATE")) == AT_ONCE
