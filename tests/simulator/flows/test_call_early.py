"""Before the answer: reliable ringing, PRACK and UPDATE on both legs (RFC 3262, RFC 3311)."""

import pytest

from sip.message import Request, Response
from sip.usage.session import Unheard
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Line, Manner, direction_of
from tests.simulator.flows.world import World

REQUIRED = "Require: 100rel\r\n"
SUPPORTED = "Supported: 100rel\r\n"


def ringing(world: World, *, offer: bool = True, lines: str = REQUIRED) -> tuple[Line, Line]:
    """A call to an agent that does nothing by itself: both far ends."""
    for phone in (world.caller, world.agents):
        phone.party.endpoint.support("100rel")
    world.agents.manner = Manner(answer=None)
    world.caller.behaves(prack=False)
    caller = world.dial("6000", offer=offer, lines=lines)
    world.run()
    return caller, world.agents.line


def port(body: bytes) -> int:
    return int(body.partition(b"m=audio ")[2].partition(b" ")[0])


def answered(world: World, caller: Line, agent: Line, body: bytes | None = None) -> None:
    """The agent answers; each has the port of the other in the end."""
    agent.answer(body)
    world.run(1.0)
    assert world.state == "connected"
    assert port(caller.received) == agent.media.port
    assert port(agent.received) == caller.media.port
    caller.hang_up()
    world.run()
    world.over()


@pytest.mark.parametrize(
    ("setting", "lines", "reliable"),
    [
        ("required", REQUIRED, True),
        ("required", "", False),
        ("supported", "", True),
        ("off", "", False),
    ],
)
def test_ringing(build: Build, setting: str, lines: str, reliable: bool) -> None:
    """What the callee does on its leg decides nothing on the caller's."""
    world = build(sip={"reliable_provisional": setting})
    caller, agent = ringing(world, lines=lines)
    agent.ring(183, agent.media.answer(agent.received), reliable=True)
    world.run()
    assert len(world.sent("PRACK", by="server")) == (setting != "off")
    assert len(world.sent("PRACK", by="caller")) == reliable
    assert (caller.responses[-1].get("rseq") is not None) == reliable
    assert port(caller.received) == agent.media.port
    answered(world, caller, agent)


def test_nobody_may_require_it_when_off(build: Build) -> None:
    world = build(sip={"reliable_provisional": "off"})
    world.caller.party.endpoint.amendments.clear()
    caller = world.dial("6000", lines=REQUIRED)
    world.run()
    assert caller.statuses == [420]
    assert caller.responses[0].get("unsupported") == "100rel"


def test_the_answer_waits_for_the_callers_prack(world: World) -> None:
    caller, agent = ringing(world)
    world.network.lose("PRACK", 3)
    agent.ring(183, agent.media.answer(agent.received))
    agent.answer()
    world.run()
    assert not world.sent("200 INVITE", to="caller")
    world.run(5.0)
    assert world.sent("200 INVITE", to="caller")
    assert world.state == "connected"
    caller.hang_up()
    world.run()
    world.over()


def test_a_caller_that_never_sends_prack(world: World) -> None:
    caller, agent = ringing(world)
    caller.session.holds_prack = True
    agent.ring()
    world.run(33.0)
    assert caller.statuses[-1] == 504
    assert world.state == "ended"
    assert agent.heard[-1] == "Cancelled"
    world.over()


# A call without an offer.


def test_the_callees_offer_goes_to_the_caller(world: World) -> None:
    """And the answer in the caller's PRACK into ours; the 200s hold nothing more."""
    caller, agent = ringing(world, offer=False, lines=SUPPORTED)
    assert agent.received == b""
    agent.ring(183, agent.media.body(), reliable=True)
    world.run()
    assert not world.sent("PRACK")
    response = caller.responses[-1]
    assert response.has_option("require", "100rel")
    assert response.sdp == agent.media.body()
    caller.prack(response, caller.media.answer(response.sdp))
    world.run()
    assert port(agent.received) == caller.media.port
    agent.answer(b"")
    world.run()
    assert world.state == "connected"
    assert world.the("200 INVITE", to="caller").body == b""
    assert world.the("ACK", to="agents").body == b""
    caller.hang_up()
    world.run()
    world.over()


def silent(world: World) -> None:
    """The server has answered the callee's offer itself, without media."""
    prack = world.the("PRACK", to="agents")
    assert isinstance(prack, Request)
    assert direction_of(prack.body) == "inactive"


def test_a_caller_without_100rel(world: World) -> None:
    world.agents.party.endpoint.support("100rel")
    world.agents.manner = Manner(answer=None)
    caller = world.dial("6000", offer=False)
    world.run()
    agent = world.agents.line
    agent.ring(183, agent.media.body(), reliable=True)
    world.run()
    silent(world)
    assert caller.responses[-1].get("rseq") is None
    answered(world, caller, agent, b"")


def test_an_offer_that_cannot_be_read(world: World) -> None:
    world.agents.party.endpoint.support("100rel")
    world.agents.manner = Manner(answer=None)
    caller = world.dial("6000", offer=False)
    world.run()
    world.agents.line.ring(183, b"nonsense", reliable=True)
    world.run()
    assert caller.statuses[-1] == 488
    assert world.agents.line.heard[-1] == "Cancelled"
    world.over()


def test_a_prack_without_the_answer(world: World) -> None:
    caller, agent = ringing(world, offer=False, lines=SUPPORTED)
    agent.ring(183, agent.media.body(), reliable=True)
    world.run()
    number = caller.responses[-1].get("rseq")
    rack = f"RAck: {number} 1 INVITE\r\n"
    caller.session.send_request(caller.now, "PRACK", rack, user=Unheard())
    world.network.pump()
    world.run()
    silent(world)
    caller.cancel()
    world.run()
    world.over()


def test_a_transfer_without_an_offer(build: Build) -> None:
    """The new agent offers in its 183; the caller is asked only after the answer."""
    world = build(sdp={"mid_call": "offerless"})
    caller = world.connected()
    world.agents.party.endpoint.support("100rel")
    world.agents.manners["1002"] = Manner(answer=None)
    world.transfer("1002")
    world.run(0.5)
    agent = world.agents.line
    agent.ring(183, agent.media.body(), reliable=True)
    world.run()
    silent(world)
    answered(world, caller, agent, b"")


# UPDATE before the answer.


@pytest.mark.parametrize("by_callee", [False, True])
def test_update_in_an_early_dialog(world: World, by_callee: bool) -> None:
    caller, agent = ringing(world)
    agent.ring(183, agent.media.answer(agent.received), reliable=True)
    world.run()
    one, other = (agent, caller) if by_callee else (caller, agent)
    one.media.port += 100
    one.request("UPDATE", one.media.body())
    world.run()
    assert other.requests[-1].method == "UPDATE"
    assert port(other.received) == one.media.port
    assert one.statuses[-1] == 200
    assert one.responses[-1].get("contact")
    answered(world, caller, agent)


def test_update_without_an_offer_in_an_early_dialog(world: World) -> None:
    caller, agent = ringing(world, lines="")
    agent.ring()
    world.run()
    agent.request("UPDATE", lines="P-Asserted-Identity: <sip:1001@example.com>\r\n")
    world.run()
    assert caller.requests[-1].get("p-asserted-identity") == "<sip:1001@example.com>"
    assert agent.statuses[-1] == 200
    answered(world, caller, agent)


def test_update_to_a_caller_that_may_not_be_asked(world: World) -> None:
    """The caller's own offer has no answer yet: it rings without 100rel."""
    caller, agent = ringing(world, lines="")
    agent.ring(183, agent.media.answer(agent.received), reliable=True)
    world.run()
    agent.request("UPDATE", agent.media.body("sendonly"))
    world.run()
    assert agent.statuses[-1] == 500
    assert agent.responses[-1].get("retry-after")
    assert "Requested" not in caller.heard
    answered(world, caller, agent)


@pytest.mark.parametrize("status", [200, 405])
def test_an_offer_in_the_callers_prack(world: World, status: int) -> None:
    """Our own PRACK has been sent: the offer goes on as UPDATE."""
    caller, agent = ringing(world)
    caller.session.holds_prack = True
    agent.manner = Manner(answer=None, update=status)
    agent.ring(183, agent.media.answer(agent.received), reliable=True)
    world.run()
    caller.media.port += 100
    caller.prack(caller.responses[-1], caller.media.body())
    world.run()
    assert agent.requests[-1].method == "UPDATE"
    prack = world.the(f"{200 if status == 200 else 488} PRACK")
    assert isinstance(prack, Response)
    assert bool(prack.body) == (status == 200)
    if status != 200:
        caller.media.port -= 100
        agent.received = agent.invite.sdp
    answered(world, caller, agent)


@pytest.mark.parametrize("status", [408, 481])
def test_a_leg_that_is_gone(world: World, status: int) -> None:
    """The other leg does not hear of a dialog that is not its own."""
    caller = world.connected()
    agent = world.agents.line
    agent.manner = Manner(update=status)
    caller.request("UPDATE", caller.media.body("inactive"))
    world.run()
    assert 500 in caller.statuses
    assert status not in caller.statuses
    world.over()


def test_glare_across_the_bridge(world: World) -> None:
    """UPDATE from both sides at once: each hears 491, and the call goes on."""
    caller = world.connected()
    agent = world.agents.line
    caller.request("UPDATE", caller.media.body("sendonly"))
    agent.request("UPDATE", agent.media.body("sendonly"))
    world.run(1.0)
    assert {caller.statuses[-1], agent.statuses[-1]} <= {491, 500}
    caller.request("UPDATE", caller.media.body())
    world.run()
    assert caller.statuses[-1] == 200
    assert world.state == "connected"
    caller.hang_up()


VIDEO = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=video 4 RTP/AVP 31\r\n"
)


@pytest.mark.parametrize("body", [b"nonsense", VIDEO])
def test_an_offer_that_nobody_can_take(world: World, body: bytes) -> None:
    """488 says why (RFC 3261 section 21.4.26)."""
    party = world.caller.party
    session = party.call(f"sip:5000@{world.address}", body)
    world.run()
    assert session.state == 3
    refused = world.the("488 INVITE")
    assert (refused.get("warning") or "").startswith(f'305 {world.party.listener.host} "')
