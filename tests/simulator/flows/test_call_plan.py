"""Every row of the built-in plan, and direct routes."""

import pytest

from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner
from tests.simulator.flows.world import World


def test_5_is_answered_by_the_server_itself(world: World) -> None:
    caller = world.dial("5000")
    world.run()
    assert world.state == "connected"
    assert world.flow == [
        "caller > server INVITE",
        "server > caller 200 INVITE",
        "caller > server ACK",
    ]
    caller.hang_up()
    world.run()
    assert world.flow[3:] == ["caller > server BYE", "server > caller 200 BYE"]
    assert (world.cdr.call_result, len(world.cdr.legs)) == ("completed", 1)


def test_6_is_an_agent(world: World) -> None:
    world.dial("6000")
    world.run()
    assert world.state == "ringing"
    world.run(1.0)
    assert world.state == "connected"
    assert world.flow == [
        "caller > server INVITE",
        "server > agents INVITE",
        "agents > server 180 INVITE",
        "server > caller 180 INVITE",
        "agents > server 200 INVITE",
        "server > caller 200 INVITE",
        "caller > server ACK",
        "server > agents ACK",
    ]
    world.terminate()


def test_7_is_self_service_queue_and_agent(world: World) -> None:
    caller = world.dial("7000")
    world.run()
    assert (world.state, world.call.application) == ("self_service", "support")
    assert world.vxml.line.invite.uri.startswith("sip:777000000000001@")
    world.run(2.0)
    assert world.state == "queued"
    assert len(world.vxml.lines) == 1
    world.run(3.0)
    world.forget()
    world.run(1.5)
    assert world.state == "connected"
    assert world.flow == [
        "agents > server 200 INVITE",
        "server > caller INVITE",
        "caller > server 200 INVITE",
        "server > caller ACK",
        "server > agents ACK",
    ]
    caller.hang_up()
    world.run()
    record = world.cdr
    assert record.call_result == "completed"
    assert record.self_service_duration == pytest.approx(2000, abs=10)
    assert record.queue_duration == pytest.approx(4050, abs=50)
    assert [leg.leg_type for leg in record.legs] == ["inbound", "outbound", "outbound"]


@pytest.mark.parametrize("status", [404, 486, 503, 603])
def test_9_is_refused_with_that_code(world: World, status: int) -> None:
    caller = world.dial(f"9{status}")
    world.run()
    assert caller.statuses[-1] == status
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", str(status))
    assert [leg.sip_response_code for leg in world.cdr.legs] == [status, status]


def test_8_rings_for_a_while(world: World) -> None:
    world.agents.manners["803"] = Manner(ring=0.0, answer=3.0)
    caller = world.dial("803")
    world.run(2.9)
    assert (world.state, caller.statuses) == ("ringing", [180])
    world.run()
    assert (world.state, caller.statuses) == ("connected", [180, 200])
    world.terminate()


@pytest.mark.parametrize("number", ["3000", "welcome", "12345678901234", "+49301234567"])
def test_anything_else_is_self_service(world: World, number: str) -> None:
    caller = world.dial(number)
    world.run(1000.0)
    assert (world.state, world.call.application) == ("self_service", "welcome")
    caller.hang_up()
    world.run()
    assert (world.cdr.called_number, world.cdr.call_result) == (number, "completed")
    assert world.cdr.vxml_server_hostname == world.vxml.host


def test_a_return_from_the_vru_leads_nowhere(world: World) -> None:
    caller = world.dial("777000000000001")
    world.run()
    assert caller.heard[-1] == "Refused"
    assert world.cdr.error_code == "404"


def test_a_number_without_a_pattern(build: Build) -> None:
    world = build(dialed_numbers=[])
    caller = world.dial("3000")
    world.run()
    assert caller.heard == ["Refused"]
    assert world.cdr.error_code == "404"


def test_a_label_without_a_route(build: Build) -> None:
    world = build(dialed_numbers=[{"pattern": "4>", "label": "nowhere"}])
    world.dial("4000")
    world.run()
    assert world.cdr.error_code == "404"
    assert "no_route label nowhere: add it under routes" in world.history


def test_a_route_comes_first(build: Build) -> None:
    world = build(direct_routes=["5>=sip:192.0.2.3:5060"])
    caller = world.dial("5000")
    world.run(1.5)
    assert world.state == "connected"
    assert caller.statuses == [180, 200]
    assert world.agents.line.invite.uri == "sip:5000@192.0.2.3:5060"
    caller.hang_up()
    world.run()
    assert world.flow[-4:] == [
        "caller > server BYE",
        "server > agents BYE",
        "server > caller 200 BYE",
        "agents > server 200 BYE",
    ]


def test_ringing_is_relayed_before_the_answer_and_absorbed_after(world: World) -> None:
    caller = world.dial("7000")
    world.vxml.behaves(ring=0.0, answer=0.1)
    world.run(7.0)
    assert world.state == "connected"
    assert world.sent("180 INVITE", "agents")
    assert caller.statuses == [180, 200]
    world.terminate()
