"""The log's lines of calls: an event each, with GUID and leg."""

import logging
from typing import Any

import pytest

from simulator.call_log import log
from tests.simulator.flows.world import World


@pytest.fixture
def told(world: World, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log, which tells of calls."""
    caplog.set_level(logging.INFO, log.name)
    world.server.call_log.refresh()
    return caplog


def fields(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__["call"] for record in caplog.records if record.name == log.name]


def texts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["text"] for record in caplog.records if record.name == log.name]


def test_a_whole_call(world: World, told: pytest.LogCaptureFixture) -> None:
    line = world.connected()
    line.hang_up()
    world.run()
    assert texts(told)[:-1] == [
        "offered: 5551234 to 6000",
        f"routed: 6000 by 6>: label sip:1001@{world.agents.host}:5060",
        "leg_placed: callee 1001",
        "ringing: 1001",
        "leg_answered: caller 5551234",
        "leg_answered: callee 1001",
        "connected: 1001",
        "leg_ended: caller 5551234",
        "hung_up: caller 5551234",
        "leg_ended: callee 1001",
    ]
    said = fields(told)
    assert {one["callGuid"] for one in said} == {world.call.guid}
    placed, ended = said[2], said[-1]
    legs = {leg.kind: leg.leg_id for leg in world.cdr.legs}
    assert (placed["leg"], placed["direction"]) == ("callee", "outbound")
    assert placed["legId"] == legs["callee"]
    assert (ended["legId"], ended["direction"]) == (legs["caller"], "inbound")
    assert ended["event"] == "ended"
    assert (ended["result"], ended["causeId"]) == ("completed", 1)
    assert (ended["cause"], ended["endedBy"]) == ("Normal Completion", "caller")
    assert "sipResponseCode" not in ended


def test_a_refusal_and_its_cause(world: World, told: pytest.LogCaptureFixture) -> None:
    world.dial("9486")
    world.run()
    ended = fields(told)[-1]
    assert (ended["result"], ended["causeId"], ended["cause"]) == ("error", 5, "Busy")
    assert ended["sipResponseCode"] == 486
    assert "leg_ended: callee 9486: SIP 486 Busy Here" in texts(told)
    assert [one["event"] for one in fields(told)].count("ended") == 1


def test_a_transfer(world: World, told: pytest.LogCaptureFixture) -> None:
    line = world.connected()
    world.transfer("1002")
    world.run(2.0)
    line.hang_up()
    world.run()
    events = [one["event"] for one in fields(told)]
    assert events.index("transferring") < events.index("transfer_completed") < events.index("ended")
    assert fields(told)[-1]["transferDestination"] == "1002"


def test_nothing_is_said_while_the_level_is_higher(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, log.name)
    world.server.call_log.refresh()
    world.connected().hang_up()
    world.run()
    assert not world.server.call_log.on
    assert fields(caplog) == []


def test_one_that_is_up_is_told_of_from_then_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, log.name)
    world.server.call_log.refresh()
    line = world.connected()
    world.run(1.0)
    caplog.set_level(logging.INFO, log.name)
    world.server.call_log.refresh()
    line.hang_up()
    world.run()
    events = [one["event"] for one in fields(caplog)]
    assert events == ["leg_ended", "hung_up", "leg_ended", "ended"]
