"""How many calls there may be: licences and the threshold of calls."""

from sip.message import Response
from sip.usage.named import replaces_of
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.world import SILENT, Line, Manner, Phone, World


def refused(world: World, line: Line) -> Response:
    """The only answer to an INVITE."""
    world.run()
    (response,) = line.responses
    return response


def test_each_call_takes_one_licence_whatever_it_goes_through(build: Build) -> None:
    """[OPS]: self-service, queue and an agent are one call; so is a transferred one."""
    world = build(server={"licences": 10})
    line = world.queued()
    assert world.server.licences.used == 1
    world.run(5.0)
    assert (world.state, world.server.licences.used) == ("connected", 1)
    world.transfer("1002")
    world.run(2.0)
    assert world.server.licences.used == 1
    line.hang_up()
    world.run()
    assert world.server.licences.used == 0


def test_the_call_that_finds_none_left_is_denied(build: Build) -> None:
    world = build(server={"licences": 2})
    lines = [world.dial("5000") for _ in range(2)]
    world.run()
    response = refused(world, world.dial("5000"))
    assert response.status == 503
    assert 5 <= int(response.get("retry-after") or 0) <= 10
    assert (world.server.licences.name, world.server.licences.denied) == ("failure", 1)
    shown = world.server.reports.service().licences
    assert shown is not None
    assert (shown.limit, shown.used, shown.free, shown.denied) == (2, 2, 0, 1)
    assert len(world.server.calls) == 2
    lines[0].hang_up()
    world.run()
    assert world.server.licences.name == "safe"
    third = world.dial("5000")
    world.run()
    assert third.session.state == lines[1].session.state
    for line in (lines[1], third):
        line.hang_up()


def test_a_call_that_is_refused_or_given_up_gives_its_licence_back(build: Build) -> None:
    world = build(server={"licences": 1})
    for _ in range(3):
        line = world.dial("9486")
        world.run(2.0)
        assert line.statuses[-1] == 486
    world.agents.manners["844"] = SILENT
    line = world.dial("844")
    world.run(1.0)
    line.cancel()
    world.run()
    assert (world.server.licences.used, world.server.licences.denied) == (0, 0)


def test_maximum_calls(build: Build) -> None:
    """SIP.CallsMaxThreshold: 503."""
    world = build(server={"max_calls": 1})
    line = world.dial("5000")
    world.run()
    response = refused(world, world.dial("5000"))
    assert response.status == 503
    assert 5 <= int(response.get("retry-after") or 0) <= 10
    assert world.server.licences.denied == 0
    line.hang_up()


def test_who_takes_a_place_needs_none_of_its_own(build: Build) -> None:
    """RFC 3891: the call goes on under its GUID, so it is no call more."""
    world = build(server={"licences": 1, "max_calls": 1})
    old = world.connected()
    agent = world.agents.line
    desk = Phone(world.network, "desk", Manner())
    lines = f"Replaces: {replaces_of(agent.session)}\r\n"
    line = desk.dial(f"sip:6000@{world.address}", "2001", lines=lines)
    world.run()
    assert line.statuses[-1] == 200
    assert len(world.server.calls) == 1
    old.hang_up()
