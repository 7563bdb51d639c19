"""What happens in an established call: re-INVITE, UPDATE, INFO, bad offers."""

import asyncio

import pytest

from simulator.lab import Lab, LabCall
from simulator.lab.media import SDP
from sip.errors import InvalidState
from sip.events import Event, Responded
from sip.ids import IdSource
from sip.message import Response
from sip.offer_answer import make_offer
from tests.simulator.lab.helpers import connected, direction, run, version


async def request(call: LabCall, method: str, body: bytes = b"", kind: str = "") -> Response:
    """Send a request in the dialog and wait for its final response."""
    answers: list[Responded] = []
    handle = call.owner.stack.handler

    def listen(event: Event | Responded, now: float) -> None:
        if isinstance(event, Responded):
            answers.append(event)
        handle(event, now)

    call.owner.stack.handler = listen
    if method == "UPDATE" and kind in ("", SDP):
        call.session.update(call.owner.stack.now(), body, context="test")
    else:
        call.session.request(call.owner.stack.now(), method, "", body, kind)
    call.owner.stack.pump()
    await call.owner.until(lambda: answers)
    response = answers[0].response
    assert response is not None
    return response


@pytest.mark.parametrize("who", ["agent", "caller"])
def test_hold_and_resume(who: str) -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        one, other = (agent, call) if who == "agent" else (call, agent)
        assert await one.hold() == 200
        await other.until(lambda: other.received["ACK"] == (2 if other is agent else 1))
        assert other.received["re-INVITE"] == 1
        assert other.on_hold
        assert not one.on_hold
        assert (direction(one), direction(other)) == ("sendonly", "recvonly")
        assert (version(one), version(other)) == (2, 2)
        assert await one.resume() == 200
        assert not other.on_hold
        assert (direction(one), direction(other)) == ("sendrecv", "sendrecv")
        assert (version(one), version(other)) == (3, 3)

    run(scenario)


def test_both_hold() -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        assert await call.hold() == 200
        await agent.until(lambda: agent.received["ACK"] == 2)
        assert await agent.hold() == 200
        assert direction(call) == "inactive"
        assert call.on_hold
        assert agent.on_hold

    run(scenario)


def test_a_refused_reinvite_changes_nothing() -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        call.refuse_reinvites = 488
        assert await agent.hold() == 488
        assert direction(agent) == "sendrecv"
        assert call.ending is None
        assert agent.ending is None
        call.refuse_reinvites = 0
        assert await agent.hold() == 200
        assert version(agent) == 2

    run(scenario)


def test_a_reinvite_without_offer_gets_one_and_ack_answers_it() -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        agent.session.reinvite(lab.agents.stack.now())
        lab.agents.stack.pump()
        await call.until(lambda: call.received["ACK"])
        ack = call.messages[-1]
        assert ack.content_type == SDP
        assert call.negotiation.remote == agent.negotiation.local
        assert call.negotiation.local == agent.negotiation.remote

    run(scenario)


def test_an_offerless_call() -> None:
    async def scenario(lab: Lab) -> None:
        call = await lab.caller.call("1001", offer=False)
        assert await call.answered()
        agent = lab.agents.find(call.call_id)
        assert agent is not None
        assert await agent.answered()
        invite, ack = agent.messages
        assert invite.body == b""
        assert ack.content_type == SDP
        assert agent.negotiation.remote == call.negotiation.local
        assert agent.negotiation.local == call.negotiation.remote

    run(scenario)


def test_info_and_update() -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        info = await request(call, "INFO", b"Signal=5\r\n", "application/dtmf-relay")
        assert info.status == 200
        assert agent.messages[-1].body == b"Signal=5\r\n"
        plain = await request(call, "UPDATE")
        assert (plain.status, plain.body) == (200, b"")
        offer = call.negotiation.offer()
        answered = await request(call, "UPDATE", offer.to_bytes(), SDP)
        assert answered.status == 200
        assert answered.content_type == SDP
        assert answered.get("contact")
        call.negotiation.accept(offer, answered.body)
        assert agent.received == {"INVITE": 1, "ACK": 1, "INFO": 1, "UPDATE": 2}

    run(scenario)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"hello", SDP, 400),
        (b"hello", "text/plain", 415),
        (make_offer("127.0.0.1", 4000, 1, ["opus/48000/2"]).to_bytes(), SDP, 488),
    ],
)
def test_a_bad_offer_in_the_call(body: bytes, kind: str, status: int) -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        response = await request(call, "UPDATE", body, kind)
        assert response.status == status
        if kind == SDP:
            agent.session.reinvite(lab.agents.stack.now(), body)
            lab.agents.stack.pump()
            await agent.until(lambda: agent.received[str(status)])
        assert call.ending is None
        assert agent.ending is None

    run(scenario)


def test_a_call_whose_answer_is_of_no_use_is_hung_up() -> None:
    async def scenario(lab: Lab) -> None:
        lab.agents.extension("1001").answers = False
        call = await lab.caller.call("1001")
        await lab.agents.until(lambda: lab.agents.calls)
        agent = lab.agents.calls[0]
        agent._body = b"hello"
        agent.answer()
        ending = await agent.ended()
        assert ending.by == "peer"
        assert ending.reason.startswith("SIP;cause=488")
        assert not await call.answered()

    run(scenario)


def test_verbs_of_a_call_that_is_over_do_nothing() -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        call.hang_up()
        call.hang_up()
        agent.hang_up()
        await call.ended()
        await agent.ended()
        for over in (call, agent):
            over.hang_up()
            over.ring()
            over.answer()
            over.reject(486)
            with pytest.raises(InvalidState):
                await over.hold()
            with pytest.raises(InvalidState):
                await over.refer(lab.vxml.uri)

    run(scenario)


def test_both_hold_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both get 491; the callee comes again first (RFC 3261 section 14.1)."""
    monkeypatch.setattr(IdSource, "below", lambda _self, _limit: 0)

    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        calls_hold = asyncio.create_task(call.hold())
        assert await agent.hold() == 200
        await call.until(lambda: call.received["ACK"] == 1)
        assert call.on_hold
        assert not calls_hold.done()  # it waits two seconds or more
        call.hang_up()
        assert await calls_hold == 0
        assert (await agent.ended()).by == "peer"

    run(scenario)


@pytest.mark.parametrize("offer", [True, False])
def test_reliable_ringing(offer: bool) -> None:
    """RFC 3262: agents ring reliably where they are told to; here with a description in it."""

    async def scenario(lab: Lab) -> None:
        lab.agents.reliable = True
        call = await lab.caller.call("805", offer=offer)
        await call.until(lambda: call.received["180"])
        agent = lab.agents.find(call.call_id)
        assert agent is not None
        await agent.until(lambda: agent.received["PRACK"])
        now = lab.agents.stack.now()
        agent.session.ring(now, 183, agent._body, reliable=True)
        lab.agents.stack.pump()
        await agent.until(lambda: agent.received["PRACK"] == 2)
        agent.session.update(now, context="refresh")
        lab.agents.stack.pump()
        await call.until(lambda: call.received["UPDATE"])
        agent.answer()
        assert await call.answered()
        assert await agent.answered()
        assert call.negotiation.remote == agent.negotiation.local
        assert call.negotiation.local == agent.negotiation.remote
        assert agent.messages[-1].body == b""  # the ACK: PRACK had what was to be said

    run(scenario)
