"""Blind transfer by re-INVITE, from every state and to every kind of target."""

from collections.abc import Callable

import pytest

from simulator.errors import CallStateError
from simulator.routing import InvalidNumber, NotRoutable
from simulator.views import TransferCommand
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner, origin_of
from tests.simulator.flows.world import Line, World

FROM: dict[str, Callable[[World], Line]] = {
    "standalone": World.standalone,
    "connected": World.connected,
    "self_service": World.self_service,
    "queued": World.queued,
    "on_hold": World.on_hold,
}
STATE = {"standalone": "connected"}  # the state of that name, where it is another


def old_leg(world: World, start: str) -> Line | None:
    """The far end that the caller leaves."""
    if start == "standalone":
        return None
    phone = world.vxml if start in ("self_service", "queued") else world.agents
    return phone.lines[0]


@pytest.mark.parametrize("start", FROM)
def test_it_succeeds(world: World, start: str) -> None:
    caller = FROM[start](world)
    old = old_leg(world, start)
    world.transfer("1002")
    assert world.state == "transferring"
    world.run()
    assert caller.session.state == 2
    assert not world.sent("BYE"), "the old leg stays until the target answers"
    world.run(1.5)
    assert world.state == ("on_hold" if start == "on_hold" else "connected")
    assert world.flow[:7] == [
        "server > agents INVITE",
        "agents > server 180 INVITE",
        "agents > server 200 INVITE",
        "server > caller INVITE",
        "caller > server 200 INVITE",
        "server > caller ACK",
        "server > agents ACK",
    ]
    if old is not None:
        assert old.heard[-1] == "Hungup"
        assert world.the("BYE").get("reason") == "Q.850;cause=16"
    assert "transfer_completed 1002" in world.history
    assert origin_of(caller.received)[0] == world.agents.host
    caller.hang_up()
    world.run()
    assert (world.cdr.call_result, world.cdr.transfer_destination) == ("transferred", "1002")
    assert world.cdr.legs[-1].leg_type == "transfer"
    world.over()


@pytest.mark.parametrize("start", FROM)
@pytest.mark.parametrize("status", [404, 486, 603])
def test_the_target_refuses(world: World, start: str, status: int) -> None:
    caller = FROM[start](world)
    state, before = world.state, caller.received
    world.agents.manners["1002"] = Manner(ring=0.0, answer=0.5, refuse=status)
    world.transfer("1002")
    world.run(1.0)
    assert world.state == state
    assert any(e.startswith(f"transfer_failed 1002: SIP {status} ") for e in world.history)
    assert caller.received == before
    assert not [step for step in world.flow if "caller" in step], "the caller heard nothing of it"
    world.terminate()
    world.run()
    assert world.cdr.call_result == "completed"
    world.over()


@pytest.mark.parametrize("start", FROM)
def test_the_target_does_not_answer(build: Build, start: str) -> None:
    world = build(transfer={"ring_no_answer": 2})
    FROM[start](world)
    state = world.state
    world.agents.manners["1002"] = Manner(ring=0.0, answer=None)
    world.transfer("1002")
    world.run(2.5)
    assert world.state == state
    assert "transfer_failed 1002: SIP 408 ring no answer" in world.history
    assert world.agents.lines[-1].heard == ["Invited", "Cancelled"]
    world.terminate()


@pytest.mark.parametrize("start", FROM)
def test_the_caller_refuses_the_new_description(world: World, start: str) -> None:
    caller = FROM[start](world)
    state, before = world.state, caller.received
    caller.manner = Manner(reinvite=488)
    world.transfer("1002")
    world.run(1.5)
    assert world.state == state
    assert any(e.startswith("transfer_failed 1002: SIP 488 ") for e in world.history)
    assert world.agents.line.heard[-2:] == ["Acknowledged", "Hungup"]
    caller.manner = Manner()
    world.agents.manners["1003"] = Manner(refuse=486)
    world.transfer("1003", "consultation")
    world.run(1.0)
    hold, call, retrieve = world.network.requests("INVITE")[-3:]
    assert call.uri.startswith("sip:1003@")
    for request in (hold, retrieve):
        assert origin_of(request.body)[0] == origin_of(before)[0], "what was in force"
    assert world.state == state
    world.terminate()


@pytest.mark.parametrize("start", FROM)
def test_the_target_leaves_while_the_caller_is_asked(world: World, start: str) -> None:
    caller = FROM[start](world)
    state, before = world.state, origin_of(caller.received)
    caller.manner = Manner(reinvite=0)
    world.agents.manners["1002"] = Manner()
    world.transfer("1002")
    world.run()
    world.agents.line.drop()
    world.run()
    assert world.state == "transferring"
    caller.manner = Manner()
    caller.answer()
    world.run()
    assert world.state == state
    assert "the target hung up before it was joined" in " ".join(world.history)
    host, number, version = origin_of(caller.received)
    assert (host, number, version) == (before[0], before[1], before[2] + 2)
    world.terminate()
    world.over()


def test_glare(world: World) -> None:
    caller = world.connected()
    caller.manner = Manner(reinvite=491)
    world.transfer("1002")
    world.run(1.5)
    assert world.state == "transferring"
    caller.manner = Manner()
    world.run(5.0)
    assert world.state == "connected"
    assert "transfer_completed 1002" in world.history
    world.terminate()


@pytest.mark.parametrize("start", ["connected", "self_service"])
@pytest.mark.parametrize("stage", [0.1, 1.0, 1.03])
def test_the_old_leg_hangs_up_in_the_middle(world: World, start: str, stage: float) -> None:
    FROM[start](world)
    old = old_leg(world, start)
    assert old is not None
    world.transfer("1002")
    world.run(stage)
    old.hang_up()
    world.run(1.5)
    assert world.state == "connected"
    assert old.heard[-1] in ("Closed", "Hungup")
    world.terminate()
    world.run()
    assert world.cdr.call_result == "transferred"


def test_the_old_leg_hangs_up_and_the_target_is_busy(world: World) -> None:
    caller = world.connected()
    world.agents.manners["1002"] = Manner(ring=0.0, answer=0.5, refuse=486)
    world.transfer("1002")
    world.run(0.1)
    world.agents.lines[0].hang_up()
    world.run(1.0)
    assert world.state == "ended"
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "486")
    assert (caller.requests[-1].get("reason") or "").startswith("SIP;cause=486")
    world.over()


@pytest.mark.parametrize("stage", [0.0, 0.015, 0.5, 1.0, 1.015, 1.025, 1.035, 1.045])
@pytest.mark.parametrize("kind", ["blind", "consultation"])
def test_the_caller_hangs_up_at_each_stage(world: World, kind: str, stage: float) -> None:
    caller = world.connected()
    world.transfer("1002", kind)  # type: ignore[arg-type]
    world.run(stage)
    caller.hang_up()
    world.run(1.0)
    assert all(line.session.state == 3 for line in world.agents.lines)
    world.over()


@pytest.mark.parametrize("stage", [0.0, 0.015, 0.5, 1.0, 1.015, 1.025, 1.035, 1.045])
@pytest.mark.parametrize("kind", ["blind", "consultation"])
def test_terminate_at_each_stage(world: World, kind: str, stage: float) -> None:
    caller = world.connected()
    world.transfer("1002", kind)  # type: ignore[arg-type]
    world.run(stage)
    world.terminate("administrative")
    world.run(1.0)
    assert caller.heard[-1] == "Hungup"
    assert caller.requests[-1].get("reason") == "Q.850;cause=31"
    assert all(line.session.state == 3 for line in world.agents.lines)
    world.over()


def test_to_a_script_with_a_queue(world: World) -> None:
    caller = world.connected()
    world.transfer("7000")
    world.run()
    assert world.state == "self_service"
    assert world.agents.lines[0].heard[-1] == "Hungup"
    world.run(2.0)
    assert world.state == "queued"
    world.run(5.0)
    assert (world.state, world.call.icm_agent) == ("connected", "1002"), "idle for longest"
    caller.hang_up()
    world.run()
    assert (world.cdr.call_result, world.cdr.transfer_destination) == ("transferred", "7000")


def test_to_a_script_from_the_queue(world: World) -> None:
    world.queued()
    world.transfer("3000")
    world.run()
    assert world.state == "self_service"
    assert [line.heard[-1] for line in world.vxml.lines] == ["Hungup", "Acknowledged"]
    world.run(10.0)
    assert world.state == "self_service", "it has left the queue"
    world.terminate()


def test_to_a_sip_uri(world: World) -> None:
    world.connected()
    host = world.agents.host
    world.transfer(f"sip:bob@{host}:5060")
    world.run(1.5)
    assert world.agents.line.invite.uri == f"sip:bob@{host}:5060"
    assert world.state == "connected"
    world.terminate()


def test_a_label_takes_the_place_of_the_destination(world: World) -> None:
    world.connected()
    world.transfer("1003", label="1002")
    world.run(1.5)
    assert world.agents.line.invite.uri.startswith("sip:1002@")
    assert world.server.call_detail(world.call.guid).icm_route_result.route_label == "1002"
    world.terminate()


def test_a_target_that_cannot_be_called(build: Build) -> None:
    world = build(routes=["2222=sip:192.0.2.9:5060;transport=tcp"])
    world.connected()
    world.transfer("2222")
    world.run()
    assert world.state == "connected"
    assert "transfer_failed 2222: SIP 503" in " ".join(world.history)
    world.terminate()


def test_two_transfers_one_after_the_other(world: World) -> None:
    caller = world.connected()
    for number in ("1002", "1003"):
        world.transfer(number)
        world.run(1.5)
    assert [line.heard[-1] for line in world.agents.lines] == ["Hungup", "Hungup", "Acknowledged"]
    caller.hang_up()
    world.run()
    assert world.cdr.transfer_destination == "1003"


def test_not_while_ringing(world: World) -> None:
    world.agents.behaves(answer=None)
    world.dial("6000")
    world.run()
    with pytest.raises(CallStateError, match="ringing"):
        world.transfer("1002")
    assert world.state == "ringing"
    world.terminate()


def test_not_while_transferring(world: World) -> None:
    world.connected()
    world.transfer("1002")
    with pytest.raises(CallStateError, match="transferring"):
        world.transfer("1003")
    world.run(1.5)
    assert "transfer_completed 1002" in world.history
    world.terminate()


@pytest.mark.parametrize(
    ("destination", "error"),
    [
        ("5000", NotRoutable),
        ("sip:", InvalidNumber),
        ("http://example.com", InvalidNumber),
        ("a b", InvalidNumber),
        ("1\r\nX-Injected: 1", InvalidNumber),
        ("rf", InvalidNumber),
        ("", InvalidNumber),
        ("1" * 201, InvalidNumber),
    ],
)
def test_a_destination_that_leads_nowhere(
    world: World, destination: str, error: type[Exception]
) -> None:
    world.connected()
    history = world.history
    with pytest.raises(error):
        world.transfer(destination)
    assert (world.state, world.history) == ("connected", history)
    world.terminate()


@pytest.mark.parametrize("label", ["9{dnis}", "nowhere"])
def test_a_script_that_connects_nowhere(build: Build, label: str) -> None:
    numbers = [{"pattern": "4>", "script": "dead"}, {"pattern": ">", "label": "1001"}]
    world = build(
        dialed_numbers=numbers, icm={"scripts": {"dead": [{"connect": {"label": label}}]}}
    )
    world.established("6000")
    with pytest.raises(NotRoutable):
        world.transfer("4" * 200)
    assert world.state == "connected"
    world.terminate()


def test_a_caller_who_leaves_the_queue_during_a_transfer(world: World) -> None:
    caller = world.queued()
    world.transfer("1002")
    world.run()
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "abandoned"


def given_by_a_variable(build: Build) -> World:
    """A call with an agent; 4000 is a script that leads to the label in a variable."""
    scripts = {"given": [{"connect": {"label": "{callVariable1}"}}]}
    plan = [{"pattern": "6>", "label": "1001"}, {"pattern": "4>", "script": "given"}]
    world = build(dialed_numbers=plan, icm={"scripts": scripts})
    world.connected()
    return world


def test_the_label_of_a_script_may_be_in_a_variable(build: Build) -> None:
    world = given_by_a_variable(build)
    world.server.set_variables(world.call.guid, None, None, {"callVariable1": "1002"})
    world.transfer("4000")
    world.run(1.5)
    assert "transfer_completed 4000" in world.history
    assert world.agents.line.invite.uri.startswith("sip:1002@")
    world.agents.line.hang_up()


@pytest.mark.parametrize("label", ["", "77", "a b"])
def test_a_variable_that_leads_nowhere(build: Build, label: str) -> None:
    world = given_by_a_variable(build)
    world.server.set_variables(world.call.guid, None, None, {"callVariable1": label})
    with pytest.raises(NotRoutable, match=f"no static route for '{label}'"):
        world.transfer("4000")
    assert world.state == "connected"
    world.agents.line.hang_up()


def given_by_the_transfer(build: Build) -> World:
    """A call with an agent; 4000 leads to the label in an ECC variable."""
    scripts = {"given": [{"connect": {"label": "1{user.to}"}}]}
    plan = [{"pattern": "6>", "label": "1001"}, {"pattern": "4>", "script": "given"}]
    world = build(dialed_numbers=plan, icm={"scripts": scripts})
    world.connected()
    return world


def test_a_variable_that_the_transfer_itself_brings(build: Build) -> None:
    """It is in force when the script's label is looked at: to see whether it leads anywhere too."""
    world = given_by_the_transfer(build)
    guid = world.call.guid
    with pytest.raises(NotRoutable, match="no static route for '1'"):
        world.transfer("4000")
    world.server.transfer(guid, TransferCommand("4000", "blind", None, {"user.to": "002"}))
    world.run(1.5)
    assert "transfer_completed 4000" in world.history
    assert world.agents.line.invite.uri.startswith("sip:1002@")
    assert world.server.call_variables(guid).ecc["user.to"] == "002"
    world.agents.line.hang_up()


def test_a_variable_that_the_transfer_itself_spoils(build: Build) -> None:
    world = given_by_the_transfer(build)
    guid = world.call.guid
    world.server.set_variables(guid, {"user.to": "002"}, None, None)
    command = TransferCommand("4000", "blind", None, {"user.to": "a b"})
    with pytest.raises(NotRoutable, match="no static route for '1a b'"):
        world.server.transfer(guid, command)
    assert world.state == "connected"
    assert world.server.call_variables(guid).ecc["user.to"] == "002", "nothing has changed"
    world.agents.line.hang_up()
