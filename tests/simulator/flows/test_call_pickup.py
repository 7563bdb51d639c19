"""INVITE with Replaces (RFC 3891): a phone takes the place of a leg."""

import pytest

from sip.usage.named import replaces_of
from tests.simulator.flows.phones import Manner, Phone
from tests.simulator.flows.test_call_consulted import talk_to_each_other
from tests.simulator.flows.world import SILENT, Line, World

WHO = ["caller", "agents"]


@pytest.fixture
def desk(world: World) -> Phone:
    """Another phone, which knows the dialog ids."""
    return Phone(world.network, "desk", Manner())


def take(world: World, desk: Phone, line: Line, early_only: bool = False) -> Line:
    """The desk calls to take the place of `line`."""
    replaces = replaces_of(line.session, early_only=early_only)
    return desk.dial(f"sip:6000@{world.address}", "2001", lines=f"Replaces: {replaces}\r\n")


def sides(world: World, who: str) -> tuple[Line, Line]:
    lines = [world.connected(), world.agents.line]
    return (lines[0], lines[1]) if who == "caller" else (lines[1], lines[0])


@pytest.mark.parametrize("who", WHO)
def test_an_answered_leg(world: World, desk: Phone, who: str) -> None:  # section 3
    old, other = sides(world, who)
    line = take(world, desk, old)
    world.run()
    assert line.heard[-1] == "Answered"
    assert old.heard[-1] == "Hungup"
    assert f"m=audio {line.media.port}".encode() in other.received
    assert f"m=audio {other.media.port}".encode() in line.received
    assert world.state == "connected"
    assert len(world.seen) == 1
    of = "caller 5551234" if who == "caller" else "callee 1001"
    assert [e for e in world.history if e.startswith(("replaced", "transfer"))] == [
        f"replaced {of} by 2001",
        "transferring INVITE with Replaces from 2001",
        "transfer_completed 2001",
    ]
    line.hang_up()
    world.run()
    assert other.heard[-1] == "Hungup"
    assert (world.cdr.call_result, world.cdr.transfer_destination) == ("transferred", "2001")
    assert len(world.cdr.legs) == 3
    world.over()


@pytest.mark.parametrize("who", WHO)
def test_the_other_party_refuses(world: World, desk: Phone, who: str) -> None:
    old, other = sides(world, who)
    other.manner = Manner(reinvite=488)
    line = take(world, desk, old)
    world.run()
    assert line.heard[-1] == "Refused"
    assert world.sent("488 INVITE", to="desk")
    assert world.state == "connected"
    assert "Hungup" not in old.heard
    old.hang_up()
    world.run()
    assert other.heard[-1] == "Hungup"


def test_the_phone_gives_up(world: World, desk: Phone) -> None:
    old, other = sides(world, "agents")
    other.manner = Manner(reinvite=0)
    line = take(world, desk, old)
    world.run()
    line.cancel()
    world.run()
    assert world.sent("487 INVITE", to="desk")
    other.answer()
    world.run()
    other.answer()  # what it had before
    world.run()
    assert world.state == "connected"
    assert f"m=audio {old.media.port}".encode() in other.received
    old.hang_up()
    world.run()
    world.over()


def test_the_other_party_leaves(world: World, desk: Phone) -> None:
    old, other = sides(world, "agents")
    other.manner = Manner(reinvite=0)
    line = take(world, desk, old)
    world.run()
    other.drop()
    world.run()
    assert line.heard[-1] == "Refused"
    assert old.heard[-1] == "Hungup"
    world.over()


@pytest.mark.parametrize("queued", [False, True])
def test_a_leg_that_rings(world: World, desk: Phone, queued: bool) -> None:
    """Section 3: an early dialog of our making is given up for the new one."""
    world.agents.behaves(ring=0.0, answer=None)
    caller = world.queued() if queued else world.dial("6000")
    world.run(3.0)
    old = world.agents.line
    line = take(world, desk, old, early_only=True)
    world.run()
    assert old.heard[-1] == "Cancelled"
    assert line.heard[-1] == "Answered"
    assert world.state == "connected"
    assert f"m=audio {line.media.port}".encode() in caller.received
    assert f"m=audio {caller.media.port}".encode() in line.received
    assert world.call.peer is not None
    assert world.call.peer.number == "2001"
    line.hang_up()
    world.run()
    assert caller.heard[-1] == "Hungup"
    assert world.cdr.call_result == "completed"
    world.over()


def test_early_only_of_an_answered_leg(world: World, desk: Phone) -> None:
    old, other = sides(world, "agents")
    line = take(world, desk, old, early_only=True)
    world.run()
    assert line.heard == ["Refused"]
    assert world.sent("486 INVITE", to="desk")
    assert "Reinvited" not in other.heard
    other.hang_up()


def test_a_caller_who_is_not_answered(world: World, desk: Phone) -> None:
    """An early dialog can be replaced only where its INVITE was sent."""
    world.agents.behaves(ring=0.0, answer=None)
    caller = world.dial("6000")
    world.run()
    take(world, desk, caller)
    world.run()
    assert world.sent("481 INVITE", to="desk")
    caller.cancel()
    world.run()


def test_a_leg_on_its_way_out(world: World, desk: Phone) -> None:
    old, other = sides(world, "agents")
    old.manner = Manner(bye=False)
    other.hang_up()
    world.run(0.05)
    take(world, desk, old)
    world.run()
    assert world.sent("603 INVITE", to="desk")
    old.session.confirm_bye(world.network.now)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("abc;to-tag=1;from-tag=2", 481),
        ("abc;to-tag=1", 400),
        ("abc;to-tag=1;from-tag=2\r\nReplaces: abd;to-tag=3;from-tag=4", 400),
        (";to-tag=1;from-tag=2", 400),
    ],
)
def test_nothing_to_replace(world: World, desk: Phone, value: str, status: int) -> None:
    desk.dial(f"sip:6000@{world.address}", "2001", lines=f"Replaces: {value}\r\n")
    world.run()
    assert world.sent(f"{status} INVITE", to="desk")
    assert world.seen == {}


def test_without_an_offer(world: World, desk: Phone) -> None:
    old, other = sides(world, "agents")
    desk.dial(
        f"sip:6000@{world.address}",
        "2001",
        offer=False,
        lines=f"Replaces: {replaces_of(old.session)}\r\n",
    )
    world.run()
    assert world.sent("488 INVITE", to="desk")
    other.hang_up()


def test_nobody_else_in_the_call(world: World, desk: Phone) -> None:
    caller = world.standalone()
    take(world, desk, caller)
    world.run()
    assert world.sent("603 INVITE", to="desk")
    caller.hang_up()


def test_while_a_transfer_is_under_way(world: World, desk: Phone) -> None:
    old, other = sides(world, "agents")
    world.agents.manners["1002"] = SILENT
    world.transfer("1002")
    world.run()
    take(world, desk, old)
    world.run()
    assert world.sent("491 INVITE", to="desk")
    other.hang_up()


def test_supported(world: World) -> None:
    """RFC 3891 section 4, RFC 4488 section 5, RFC 4538 section 3."""
    caller = world.connected()
    tags = caller.responses[-1].get("supported") or ""
    assert {"replaces", "norefersub", "tdialog"} <= {tag.strip() for tag in tags.split(",")}
    caller.hang_up()


# The place of a caller with the VXML gateway.


def test_the_place_with_an_application(world: World, desk: Phone) -> None:
    """It goes on, with somebody else."""
    old = world.self_service()
    gateway = world.vxml.line
    line = take(world, desk, old)
    world.run()
    assert (line.heard[-1], old.heard[-1]) == ("Answered", "Hungup")
    assert (world.state, world.call.application) == ("self_service", "welcome")
    assert len(world.vxml.lines) == 1
    assert talk_to_each_other(line, gateway)
    line.hang_up()
    world.run()
    assert gateway.heard[-1] == "Hungup"
    world.over()


def test_the_place_in_a_queue(world: World, desk: Phone) -> None:
    old = world.queued()
    gateway = world.vxml.line
    line = take(world, desk, old)
    world.run()
    assert (line.heard[-1], old.heard[-1]) == ("Answered", "Hungup")
    assert world.state == "queued"
    assert len(world.vxml.lines) == 1
    assert talk_to_each_other(line, gateway)
    world.run(5.0)
    assert world.state == "connected"
    assert f"m=audio {line.media.port}".encode() in world.agents.line.received
    assert gateway.heard[-1] == "Hungup"
    line.hang_up()
    world.run()
    assert world.agents.line.heard[-1] == "Hungup"
    assert (world.cdr.call_result, world.cdr.transfer_destination) == ("transferred", "2001")
    world.over()


def test_a_gateway_that_does_not_agree(world: World, desk: Phone) -> None:
    """The caller is still in the queue, and gets an agent."""
    old = world.queued()
    world.vxml.line.manner = Manner(reinvite=488)
    line = take(world, desk, old)
    world.run()
    assert (line.heard[-1], world.state) == ("Refused", "queued")
    world.run(5.0)
    assert world.state == "connected"
    assert f"m=audio {old.media.port}".encode() in world.agents.line.received
    old.hang_up()


def test_an_agent_is_found_while_the_gateway_is_asked(world: World, desk: Phone) -> None:
    old = world.queued()
    world.vxml.line.manner = Manner(reinvite=0)
    line = take(world, desk, old)
    world.run(4.0)
    assert world.state == "transferring"
    world.vxml.line.answer()
    world.run(1.5)
    assert world.state == "connected"
    assert f"m=audio {line.media.port}".encode() in world.agents.line.received
    line.hang_up()


@pytest.mark.parametrize(
    ("start", "result"), [("queued", "abandoned"), ("self_service", "completed")]
)
def test_a_caller_who_leaves_the_gateway_meanwhile(
    world: World, desk: Phone, start: str, result: str
) -> None:
    old: Line = getattr(world, start)()
    world.vxml.line.manner = Manner(reinvite=0)
    line = take(world, desk, old)
    world.run()
    old.hang_up()
    world.run()
    world.vxml.line.refuse(488)
    world.run()
    assert line.heard[-1] == "Refused"
    assert world.cdr.call_result == result
    world.over()
