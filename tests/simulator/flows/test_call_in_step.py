"""Whatever a far end offers while the call is held, led back or moved: both legs agree in the end.

What is agreed on a leg is read from the wire: the last offer that was answered with 200.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from simulator.errors import CallStateError
from sip.message import Request, Response
from sip.sdp import Direction
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Line, Manner, direction_of
from tests.simulator.flows.world import World
from tests.support.network import Packet

SENDS = ("sendrecv", "sendonly")
RECEIVES = ("sendrecv", "recvonly")


def agreed(world: World, line: Line) -> tuple[bytes, bytes]:
    """What a far end and the server have said last of the media, both of one exchange."""
    ours = [p for p in world.network.log if p.message.call_id == line.session.dialog.call_id]
    found = (b"", b"")
    for packet in ours:
        message = packet.message
        if not isinstance(message, Response) or message.status != 200:
            continue
        if message.cseq[1] not in ("INVITE", "UPDATE") or not message.body:
            continue
        offer, answer = _offer_of(packet, ours).body, message.body
        if not offer:
            offer, answer = answer, _ack_of(packet, ours)
        by_server = (packet.source == "server") == bool(_offer_of(packet, ours).body)
        found = (offer, answer) if by_server else (answer, offer)
    assert found != (b"", b"")
    return found


def _offer_of(answer: Packet, packets: list[Packet]) -> Request:
    requests = [
        p.message
        for p in packets
        if p.source == answer.target
        and isinstance(p.message, Request)
        and p.message.cseq == answer.message.cseq
    ]
    assert isinstance(requests[0], Request)
    return requests[0]


def _ack_of(answer: Packet, packets: list[Packet]) -> bytes:
    number, _ = answer.message.cseq
    acks = [
        p.message.body
        for p in packets
        if p.source == answer.target and p.message.cseq == (number, "ACK")
    ]
    return acks[-1]


def in_step(world: World, one: Line, other: Line) -> None:
    """Each leg knows the media of the other, and who may send to whom."""
    (one_said, one_told), (other_said, other_told) = agreed(world, one), agreed(world, other)
    ports = [body.partition(b"m=audio ")[2].split()[0] for body in (one_said, other_told)]
    ports += [body.partition(b"m=audio ")[2].split()[0] for body in (other_said, one_told)]
    assert ports[0] == ports[1]
    assert ports[2] == ports[3]
    here = direction_of(one_said), direction_of(one_told)
    there = direction_of(other_said), direction_of(other_told)
    flows = here[0] in SENDS and here[1] in RECEIVES, here[1] in SENDS and here[0] in RECEIVES
    meant = there[1] in SENDS and there[0] in RECEIVES, there[0] in SENDS and there[1] in RECEIVES
    assert flows == meant, (here, there)
    held = "sendonly" in (here[0], there[0])
    assert world.state == ("on_hold" if held else "connected"), (here, there)


HOLDS: dict[Direction, Direction] = {
    "sendrecv": "sendonly",
    "recvonly": "sendonly",
    "sendonly": "inactive",
    "inactive": "inactive",
}


def holds(line: Line) -> None:
    """The phone holds, and whatever it is offered does not change that."""
    media = line.media

    def answer(offer: bytes) -> bytes:
        return media.body(HOLDS[direction_of(offer)])

    media.answer = answer  # type: ignore[method-assign]
    line.offer("sendonly")


Story = Callable[[World], None]


def resumed(world: World) -> None:
    """A command holds the call, and resumes it."""
    world.server.hold(world.call.guid)
    world.network.at(world.network.now + 0.25, lambda: _resume(world))


def _resume(world: World) -> None:
    try:
        world.server.resume(world.call.guid)
    except CallStateError:  # both have offered at once: not yet
        world.network.at(world.network.now + 0.5, lambda: _resume(world))


def refused(world: World) -> None:
    """The target of a consultation is busy: the caller is led back."""
    world.agents.manners["1002"] = Manner(answer=0.1, refuse=486)
    world.transfer("1002", "consultation")


def cancelled(world: World) -> None:
    """A consultation is given up by a command."""
    world.agents.manners["1002"] = Manner(answer=None)
    world.transfer("1002", "consultation")
    world.network.at(world.network.now + 0.25, lambda: _cancel(world))


def _cancel(world: World) -> None:
    try:
        world.server.cancel_transfer(world.call.guid)
    except CallStateError:  # the caller is being put on hold: not yet
        world.network.at(world.network.now + 0.5, lambda: _cancel(world))


STORIES: list[Story] = [resumed, refused, cancelled]
MOMENTS = [0.0, 0.005, 0.015, 0.05, 0.15, 0.25, 0.27, 0.35]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("direction", ["sendonly", "sendrecv"])
@pytest.mark.parametrize("who", ["caller", "agent"])
@pytest.mark.parametrize("slow", ["caller", "agent", ""])
@pytest.mark.parametrize("story", STORIES)
def test_a_far_end_offers_meanwhile(
    build: Build, story: Story, slow: str, who: str, direction: Direction, moment: float
) -> None:
    world = build()
    caller = world.dial("6000")
    world.run(1.5)
    agent = world.agents.line
    lines = {"caller": caller, "agent": agent}
    if slow:
        lines[slow].manner = replace(lines[slow].manner, think=0.12)
    line = lines[who]
    story(world)
    world.run(moment)
    line.media.port = 7000
    world.caller.later(0.0, lambda: holds(line) if direction == "sendonly" else line.offer())
    world.run(20.0)
    in_step(world, caller, agent)
    caller.hang_up()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("slow", ["caller", "agent", ""])
@pytest.mark.parametrize("story", [refused, cancelled])
def test_a_caller_who_holds_resumes_meanwhile(
    build: Build, story: Story, slow: str, moment: float
) -> None:
    world = build()
    caller = world.dial("6000")
    world.run(1.5)
    agent = world.agents.line
    caller.offer("sendonly")
    world.run()
    assert world.state == "on_hold"
    lines = {"caller": caller, "agent": agent}
    if slow:
        lines[slow].manner = replace(lines[slow].manner, think=0.12)
    story(world)
    world.run(moment)
    world.caller.later(0.0, caller.offer)
    world.run(20.0)
    in_step(world, caller, agent)
    caller.hang_up()
