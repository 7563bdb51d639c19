"""What one leg asks of the other: re-INVITE, UPDATE, INFO."""

import pytest

from tests.simulator.flows.phones import Line, Manner, direction_of, origin_of
from tests.simulator.flows.world import World

BOTH = pytest.mark.parametrize("who", ["caller", "agents"])


def sides(world: World, who: str) -> tuple[Line, Line]:
    """An agent's call: the side that asks, and the other."""
    caller = world.connected()
    agent = world.agents.line
    return (caller, agent) if who == "caller" else (agent, caller)


@BOTH
def test_hold_and_resume(world: World, who: str) -> None:
    one, other = sides(world, who)
    a, b = one.phone.name, other.phone.name
    one.offer("sendonly")
    world.run()
    assert world.flow == [
        f"{a} > server INVITE",
        f"server > {b} INVITE",
        f"{b} > server 200 INVITE",
        f"server > {a} 200 INVITE",
        f"{a} > server ACK",
        f"server > {b} ACK",
    ]
    assert world.state == "on_hold"
    assert (direction_of(other.received), direction_of(one.received)) == ("sendonly", "recvonly")
    kind = "caller" if who == "caller" else "callee"
    assert world.history[-1] == f"on_hold by the {kind}"
    one.offer("sendrecv")
    world.run()
    assert world.state == "connected"
    assert world.history[-1] == f"connected resumed by the {kind}"
    assert (direction_of(other.received), direction_of(one.received)) == ("sendrecv", "sendrecv")
    one.hang_up()
    world.run()
    cause = 1 if who == "caller" else 13  # called party disconnected [RG]
    assert (world.cdr.hold_count, world.cdr.cause_id) == (1, cause)


@BOTH
def test_each_side_resumes_its_own_hold(world: World, who: str) -> None:
    one, other = sides(world, who)
    one.offer("sendonly")
    world.run()
    other.offer("recvonly")  # it refreshes the session, and is still held
    world.run()
    assert world.state == "on_hold"
    other.offer("inactive")
    world.run()
    one.offer("recvonly")
    world.run()
    assert world.state == "on_hold", "the other holds now"
    other.offer()
    world.run()
    assert world.state == "connected"
    one.hang_up()


@BOTH
def test_resume_without_an_offer(world: World, who: str) -> None:
    """As some PBXes do: the offer comes in the 200, the answer in the ACK."""
    one, other = sides(world, who)
    one.offer("inactive")
    world.run()
    assert world.state == "on_hold"
    world.forget()
    one.offer_nothing()
    world.run()
    assert world.flow[-2:] == [f"{one.phone.name} > server ACK", f"server > {other.phone.name} ACK"]
    assert direction_of(one.received) == "sendrecv"
    assert direction_of(other.received) == "sendrecv"
    assert world.state == "connected"
    one.hang_up()


@BOTH
def test_refused(world: World, who: str) -> None:
    one, other = sides(world, who)
    other.manner = Manner(reinvite=488)
    one.offer("sendonly")
    world.run()
    assert one.statuses[-1] == 488
    assert world.state == "connected"
    one.hang_up()


def test_a_refused_description_is_not_offered_to_others(world: World) -> None:
    caller, agent = sides(world, "caller")
    agent.manner = Manner(reinvite=488)
    port = caller.media.port
    caller.media.port = 7000
    caller.offer()
    world.run()
    caller.media.port = port
    world.transfer("1002")
    world.run(1.5)
    assert f"m=audio {port} ".encode() in world.agents.line.invite.body
    assert world.agents.line.heard == ["Invited", "Acknowledged"], "nothing to realign"
    caller.hang_up()


def test_a_caller_that_an_agent_holds_is_transferred(world: World) -> None:
    """Its answer to the hold, recvonly, is not what it can do."""
    agent, caller = sides(world, "agents")
    agent.offer("sendonly")
    world.run()
    assert direction_of(agent.received) == "recvonly"
    world.transfer("1002")
    world.run(1.5)
    assert world.state == "connected"
    assert direction_of(world.agents.line.received) == "sendrecv"
    assert direction_of(caller.received) == "sendrecv"
    assert world.agents.line.heard == ["Invited", "Acknowledged"]
    caller.hang_up()


@BOTH
def test_glare(world: World, who: str) -> None:
    one, other = sides(world, who)
    one.offer("sendonly")
    other.offer()
    world.run(10.0)
    assert world.state == "on_hold"
    assert "491 INVITE" in " ".join(world.flow)
    assert not one.session.busy
    assert not other.session.busy
    one.hang_up()


@BOTH
def test_one_hangs_up_during_a_reinvite(world: World, who: str) -> None:
    one, other = sides(world, who)
    other.manner = Manner(reinvite=0)
    one.offer()
    world.run()
    one.hang_up()
    world.run()
    assert other.heard[-1] == "Hungup"
    world.over()


@BOTH
def test_the_other_hangs_up_during_a_reinvite(world: World, who: str) -> None:
    one, other = sides(world, who)
    other.manner = Manner(reinvite=0)
    one.offer()
    world.run()
    other.hang_up()
    world.run()
    assert one.statuses[-1] == 487
    assert one.heard[-1] == "Hungup"
    world.over()


def test_the_other_leaves_while_a_reinvite_waits_after_glare(world: World) -> None:
    """The call goes on with another leg, and so must the one that asked."""
    caller = world.connected()
    old = world.agents.line
    old.manner = Manner(reinvite=491)
    caller.offer()
    world.run(0.1)
    world.transfer("1002")
    world.run(0.5)
    old.hang_up()
    world.run(8.0)
    assert world.state == "connected"
    assert not caller.session.busy
    caller.hang_up()


def test_a_reinvite_with_nobody_at_the_other_end(world: World) -> None:
    caller = world.standalone()
    before = origin_of(caller.received)
    caller.offer("sendonly")
    world.run()
    assert world.state == "on_hold"
    assert origin_of(caller.received) == (*before[:2], before[2] + 1)
    assert direction_of(caller.received) == "recvonly"
    caller.offer_nothing()
    world.run()
    assert world.state == "connected"
    caller._offer(b"nonsense")
    world.run()
    assert caller.statuses[-1] == 488
    caller.hang_up()


@pytest.mark.parametrize("stage", [0.0, 0.3, 1.0, 1.011, 1.021, 1.031, 1.041])
@pytest.mark.parametrize("who", ["caller", "old", "target"])
def test_a_reinvite_while_a_transfer_is_under_way(world: World, who: str, stage: float) -> None:
    caller = world.connected()
    world.transfer("1002")
    world.run(stage)
    line = {"caller": caller, "old": world.agents.lines[0], "target": world.agents.line}[who]
    if line.session.state == 2:
        line.offer()
    world.run(8.0)
    assert world.state == "connected"
    assert origin_of(caller.received)[0] == world.agents.host
    port = world.agents.line.media.port
    assert f"m=audio {port} ".encode() in caller.received, "what the target said, not the old leg"
    assert not caller.session.busy
    caller.hang_up()


def test_an_old_leg_that_never_acknowledges(world: World) -> None:
    """It hangs up instead; the caller must not wait for its ACK for ever."""
    caller = world.connected()
    old = world.agents.line
    old.manner = Manner(acknowledge=False)
    world.transfer("1002")
    old.offer("sendonly")
    world.run(0.1)
    world.network.lose("ACK")  # that a stack sends before its BYE
    old.hang_up()
    world.run(3.0)
    assert world.state == "connected"
    caller.hang_up()


def test_an_offer_that_waited_for_a_leg_that_is_gone(world: World) -> None:
    """The old leg re-INVITEs while the caller is asked to join the target."""
    caller = world.connected()
    world.transfer("1002")
    world.run(0.5)
    caller.manner = Manner(reinvite=0)
    world.run(1.0)
    world.agents.lines[0].offer()
    world.run()
    caller.manner = Manner()
    caller.answer()
    world.run(1.0)
    assert world.state == "connected"
    assert caller.heard.count("Reinvited") == 1
    assert f"m=audio {world.agents.line.media.port} ".encode() in caller.received
    caller.hang_up()


@BOTH
def test_update_without_a_description(world: World, who: str) -> None:
    """It may tell of the target or of who is there; a session refresh concerns one leg alone."""
    one, other = sides(world, who)
    one.request("UPDATE", lines="P-Asserted-Identity: <sip:new@example.com>\r\n")
    world.run()
    assert other.requests[-1].get("p-asserted-identity") == "<sip:new@example.com>"
    assert other.requests[-1].body == b""
    assert one.statuses[-1] == 200
    assert one.responses[-1].get("contact")
    other.heard.clear()
    one.request("UPDATE", lines="Session-Expires: 1800\r\n")
    world.run()
    assert one.statuses[-1] == 200
    assert one.responses[-1].get("contact")
    assert "Requested" not in other.heard
    one.hang_up()


@BOTH
def test_update_with_a_description(world: World, who: str) -> None:
    one, other = sides(world, who)
    one.request("UPDATE", one.media.body("sendonly"))
    world.run()
    assert other.requests[-1].method == "UPDATE"
    assert direction_of(other.received) == "sendonly"
    assert direction_of(one.received) == "recvonly"
    assert one.responses[-1].get("contact")
    assert world.state == "on_hold"
    one.request("UPDATE", one.media.body())
    world.run()
    assert world.state == "connected"
    one.hang_up()


@BOTH
@pytest.mark.parametrize("status", [405, 488, 504])
def test_update_refused(world: World, who: str, status: int) -> None:
    one, other = sides(world, who)
    before = one.phone.host
    other.manner = Manner(update=status)
    one.request("UPDATE", one.media.body("inactive"))
    world.run()
    assert one.statuses[-1] == status
    assert world.state == "connected"
    one.offer()
    world.run()
    assert origin_of(other.received)[0] == before
    one.hang_up()


def test_update_with_nobody_at_the_other_end(world: World) -> None:
    caller = world.standalone()
    caller.request("UPDATE", caller.media.body("inactive"))
    world.run()
    assert caller.statuses[-1] == 200
    assert direction_of(caller.received) == "inactive"
    caller.request("UPDATE", b"nonsense")
    world.run()
    assert caller.statuses[-1] == 488
    assert (caller.responses[-1].get("warning") or "").startswith("305 ")
    caller.hang_up()


@BOTH
@pytest.mark.parametrize(
    ("kind", "body"),
    [("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n"), ("application/dtmf", b"5")],
)
def test_info(world: World, who: str, kind: str, body: bytes) -> None:
    """RFC 2976, RFC 6086: digits as they are, either way."""
    one, other = sides(world, who)
    one.request("INFO", body, kind, "Info-Package: dtmf\r\n")
    world.run()
    info = other.requests[-1]
    assert (info.method, info.body) == ("INFO", body)
    assert info.content_type == kind
    assert info.get("info-package") == "dtmf"
    assert one.statuses[-1] == 200
    one.hang_up()


def test_info_with_nobody_at_the_other_end(world: World) -> None:
    caller = world.standalone()
    caller.request("INFO", b"Signal=5\r\n", "application/dtmf-relay")
    world.run()
    assert caller.statuses[-1] == 200
    caller.hang_up()


def test_an_info_package_that_nobody_is_there_for(world: World) -> None:
    """RFC 6086 section 4.2.2: 469, and Recv-Info tells that none is known."""
    caller = world.standalone()
    caller.request("INFO", b"x", "application/x-unknown", "Info-Package: unknown\r\n")
    world.run()
    assert caller.statuses[-1] == 469
    assert caller.responses[-1].get("recv-info") == ""
    caller.hang_up()


def test_info_on_the_way_when_the_call_ends(world: World) -> None:
    caller = world.connected()
    agent = world.agents.line
    agent.manner = Manner(update=0)
    caller.request("UPDATE", caller.media.body())
    world.run()
    agent.hang_up()
    world.run()
    assert world.state == "ended"
    assert agent.transaction is not None
    agent.transaction.transaction.respond(481, world.network.now)
    world.run()
    assert caller.statuses[-1] == 481
    world.over()


def withdrawn(world: World) -> tuple[Line, Line]:
    """A hold by the caller, given up before the agent has answered it."""
    caller = world.connected()
    agent = world.agents.line
    agent.manner = Manner(reinvite=0)
    caller.offer("sendonly")
    world.run()
    caller.session.withdraw(caller.now)
    world.network.pump()
    world.run()
    assert caller.statuses[-1] == 487
    return caller, agent


def test_what_a_cancelled_reinvite_said_is_taken_back(world: World) -> None:
    caller, agent = withdrawn(world)
    agent.answer()
    agent.manner = Manner()
    world.run()
    assert direction_of(agent.received) == "sendrecv"
    assert world.state == "connected"
    caller.hang_up()


def test_a_late_answer_is_not_for_the_next_reinvite(world: World) -> None:
    caller, agent = withdrawn(world)
    caller.offer()
    world.run()
    answered = len(world.sent("200 INVITE", to="caller"))
    agent.answer()
    assert direction_of(agent.received) == "sendonly"
    world.network.pump()
    assert len(world.sent("200 INVITE", to="caller")) == answered
    agent.manner = Manner()
    world.run(70.0)
    assert world.state == "connected"
    caller.hang_up()
