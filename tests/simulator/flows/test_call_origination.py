"""Calls that a command makes: one party is called, and then connected."""

import pytest

from simulator.cdr_events import events_of
from simulator.errors import NotAdmitted
from simulator.routing import NotRoutable
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import SILENT, Manner, origin_of
from tests.simulator.flows.world import World

PHONE = "1005"


def originate(world: World, destination: str = "6000", calling: str = PHONE) -> str:
    """POST /sim/v1/calls."""
    return world.server.originate(calling, destination)


def test_the_first_answers_then_the_second_is_called(world: World) -> None:
    guid = originate(world)
    world.run()
    assert (world.call.guid, world.state) == (guid, "ringing")
    assert world.flow == ["server > agents INVITE", "agents > server 180 INVITE"]
    phone = world.agents.line
    assert phone.invite.uri.startswith(f"sip:{PHONE}@")
    assert "sip:6000@" in (phone.invite.get("from") or "")
    assert b" RTP/AVP " in phone.invite.body
    detail = world.server.call_detail(guid)
    assert (detail.calling_number, detail.called_number) == (PHONE, "6000")
    assert detail.sip_from_tag == phone.session.dialog.remote_tag
    world.forget()
    world.run(2.0)
    assert world.state == "connected"
    assert world.flow == [
        "agents > server 200 INVITE",
        "server > agents ACK",
        "server > agents INVITE",
        "agents > server 180 INVITE",
        "agents > server 200 INVITE",
        "server > agents INVITE",
        "agents > server 200 INVITE",
        "server > agents ACK",
        "server > agents ACK",
    ]
    callee = world.agents.line
    assert origin_of(callee.invite.body)[1] == phone.media.number
    assert origin_of(phone.received)[2] == origin_of(phone.invite.body)[2] + 1
    phone.hang_up()
    world.run()
    assert world.cdr.call_result == "completed"
    assert world.cdr.calling_number == PHONE
    assert world.cdr.transfer_count == 1
    assert events_of(world.cdr)[0].event_type == "New Call"
    world.over()


def test_to_self_service_queue_and_agent(world: World) -> None:
    originate(world, "7000")
    world.run(1.5)
    assert world.state == "self_service"
    world.run(2.0)
    assert world.state == "queued"
    world.run(5.0)
    assert world.state == "connected"
    world.terminate()
    assert world.cdr.call_result == "completed"


def test_to_the_call_server_itself(world: World) -> None:
    originate(world, "5000")
    world.run(1.5)
    assert world.state == "connected"
    assert len(world.agents.lines) == 1
    world.agents.line.hang_up()
    world.run()
    assert world.cdr.call_result == "completed"
    world.over()


def test_to_a_sip_uri(world: World) -> None:
    uri = f"sip:4711@{world.vxml.party.listener.sent_by('')}"
    originate(world, uri)
    world.run(1.5)
    assert world.state == "connected"
    assert world.vxml.line.invite.uri.startswith("sip:4711@")
    world.terminate()


@pytest.mark.parametrize(("manner", "status"), [(Manner(refuse=486), 486), (SILENT, 408)])
def test_the_first_cannot_be_reached(build: Build, manner: Manner, status: int) -> None:
    world = build(transfer={"ring_no_answer": 5})
    world.agents.manners[PHONE] = manner
    originate(world)
    world.run(6.0)
    assert world.state == "ended"
    assert len(world.agents.lines) == 1
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", str(status))
    world.over()


def test_the_second_cannot_be_reached(world: World) -> None:
    originate(world, "9486")
    world.run(3.0)
    assert world.state == "ended"
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "486")
    assert world.agents.lines[0].heard[-1] == "Hungup"
    world.over()


def test_the_first_hangs_up_while_the_second_rings(world: World) -> None:
    world.agents.manners[PHONE] = Manner()
    originate(world, "6000")
    world.run(0.5)
    world.agents.lines[0].hang_up()
    world.run()
    assert world.cdr.call_result == "abandoned"
    world.over()


def test_terminated_while_the_first_rings(world: World) -> None:
    originate(world)
    world.run()
    world.forget()
    world.terminate()
    world.run()
    assert "server > agents CANCEL" in world.flow
    assert world.cdr.call_result == "abandoned"
    world.over()


def test_transferred_like_any_other(world: World) -> None:
    originate(world)
    world.run(3.0)
    world.transfer("1002")
    world.run(2.0)
    assert world.state == "connected"
    assert world.call.transfer_destination == "1002"
    world.terminate()


def test_by_reinvite_where_transfers_go_by_refer(build: Build) -> None:
    """Nobody can be moved who is nowhere yet; nor is the first connect a transfer."""
    world = build(transfer={"mode": "refer"})
    guid = originate(world)
    world.run(3.0)
    assert world.state == "connected"
    assert world.server.transfers(guid) == []
    world.terminate()


@pytest.mark.parametrize(
    ("calling", "destination", "told"),
    [
        ("3000", "6000", "callingNumber: no static route for '3000'"),
        ("99999", "6000", "callingNumber: "),
        (PHONE, "sip:", "destination"),
    ],
)
def test_no_way(world: World, calling: str, destination: str, told: str) -> None:
    with pytest.raises(NotRoutable, match=told):
        originate(world, destination, calling)
    assert not world.server.calls
    assert world.flow == []


def test_no_room(build: Build) -> None:
    world = build(server={"max_calls": 0})
    with pytest.raises(NotAdmitted):
        originate(world)
