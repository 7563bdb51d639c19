"""Whose descriptions the legs see, and what o= says of them (RFC 3264 section 8)."""

import pytest

from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner, direction_of, origin_of
from tests.simulator.flows.world import World


def moved(world: World, number: str) -> tuple[str, int, int]:
    """What the caller sees after a transfer to `number`."""
    world.transfer(number)
    world.run(1.5)
    return origin_of(world.caller.line.received)


def test_the_id_stays_and_the_version_rises(world: World) -> None:
    caller = world.self_service()
    host, number, version = origin_of(caller.received)
    assert host == world.vxml.host
    assert moved(world, "1002") == (world.agents.host, number, version + 1)
    assert moved(world, "1003") == (world.agents.host, number, version + 2)
    assert moved(world, "3000") == (world.vxml.host, number, version + 3)
    caller.hang_up()


def test_passed_through(build: Build) -> None:
    world = build(sdp={"origin": "passthrough"})
    caller = world.self_service()
    assert moved(world, "1002") == origin_of(world.agents.line.media.body())
    caller.hang_up()


def test_nothing_changes(world: World) -> None:
    """A re-INVITE that only refreshes the session: the version stays."""
    caller = world.connected()
    agent = world.agents.line
    before = agent.received
    caller.offer()
    world.run()
    assert agent.received == before
    assert caller.received == agent.media.body()
    caller.hang_up()


def test_a_target_that_sees_another_answer_than_its_offer_had(world: World) -> None:
    """RFC 3264: the target is told by a re-INVITE what the caller now listens at."""
    caller = world.connected()
    caller.media.port = 5004
    world.transfer("1002")
    world.run(1.5)
    assert world.flow[-7:] == [
        "server > caller ACK",
        "server > agents ACK",
        "server > agents BYE",
        "server > agents INVITE",
        "agents > server 200 BYE",
        "agents > server 200 INVITE",
        "server > agents ACK",
    ]
    target = world.agents.line
    assert target.heard == ["Invited", "Acknowledged", "Reinvited", "Acknowledged"]
    first, second = target.requests[0].body, target.requests[2].body
    assert origin_of(second) == (*origin_of(first)[:2], origin_of(first)[2] + 1)
    assert b"m=audio 5004 " in second
    caller.hang_up()


def test_a_target_that_will_not_hear_of_it(world: World) -> None:
    caller = world.connected()
    caller.media.port = 5004
    world.agents.manners["1002"] = Manner(reinvite=488)
    world.transfer("1002")
    world.run(1.5)
    assert world.state == "connected"
    assert world.call.work is None
    caller.hang_up()


def test_offerless_in_the_middle_of_a_call(build: Build) -> None:
    """INVITE without offer, offer in the 200, answer of the caller in the ACK."""
    world = build(sdp={"mid_call": "offerless"})
    caller = world.self_service()
    caller.media.port = 5004
    world.transfer("1002")
    world.run(0.5)
    target = world.agents.line
    assert target.invite.body == b""
    world.run(1.0)
    assert world.state == "connected"
    assert target.heard == ["Invited", "Acknowledged"]
    assert b"m=audio 5004 " in target.requests[1].body
    assert origin_of(caller.received)[0] == world.agents.host
    caller.hang_up()


def test_offerless_and_the_caller_refuses(build: Build) -> None:
    world = build(sdp={"mid_call": "offerless"})
    caller = world.self_service()
    caller.manner = Manner(reinvite=488)
    world.transfer("1002")
    world.run(1.5)
    assert world.state == "self_service"
    assert world.agents.line.heard[-2:] == ["Acknowledged", "Hungup"]
    caller.hang_up()


def test_a_version_after_a_refused_offer(world: World) -> None:
    caller = world.self_service()
    before = origin_of(caller.received)
    caller.manner = Manner(reinvite=488)
    world.transfer("1002")
    world.run(1.5)
    caller.manner = Manner()
    world.transfer("1003")
    world.run(1.5)
    after = origin_of(caller.received)
    assert after[1] == before[1]
    assert after[2] > before[2]
    assert world.state == "connected"
    caller.hang_up()


@pytest.mark.parametrize("body", [b"", b"v=0\r\n", b"not a description"])
def test_descriptions_are_not_read_where_they_only_pass(world: World, body: bytes) -> None:
    world.vxml.behaves(answer=None)
    caller = world.dial("3000")
    world.run()
    world.vxml.line.answer(body)
    world.run()
    assert caller.responses[-1].body == body
    world.transfer("1002")
    world.run(1.5)
    assert world.state == "connected"
    assert direction_of(caller.received) == "sendrecv"
    world.terminate()
