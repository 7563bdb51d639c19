"""What is told of each transfer: every message of it, with SIP code, reason and outcome."""

import pytest

from simulator import transfer_log
from simulator.errors import CallNotFound
from sip.usage.named import replaces_of
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner
from tests.simulator.flows.test_call_referred import at
from tests.simulator.flows.test_call_treatment import QUEUE, agents, script
from tests.simulator.flows.world import World


def test_a_call_without_one(world: World) -> None:
    caller = world.connected()
    assert world.server.transfers(world.call.guid) == []
    assert not world.call.steps.on
    caller.hang_up()
    world.run()
    with pytest.raises(CallNotFound):
        world.server.transfers(world.call.guid)


def test_by_reinvite(world: World) -> None:
    caller = world.connected()
    world.transfer("1002")
    world.run(0.1)
    assert world.moved[3:] == ("pending", None)
    world.run(1.4)
    assert world.moved == ("blind", "reinvite", "rest", "completed", 200)
    assert world.steps == [
        "transfer > INVITE",
        "transfer < 180 INVITE",
        "transfer < 200 INVITE",
        "caller > INVITE",
        "caller < 200 INVITE",
        "caller > ACK",
        "transfer > ACK",
        "callee > BYE",
    ]
    (view,) = world.server.transfers(world.call.guid)
    ringing = view.steps[1]
    assert (ringing.number, ringing.sip_code, ringing.reason) == ("1002", 180, "Ringing")
    assert ringing.outcome == "progress"
    assert ringing.session_id == world.call.legs[-1].session.dialog.local_tag
    assert [step.outcome for step in view.steps[:3]] == ["requested", "progress", "success"]
    assert view.end_time is not None
    assert view.end_time - view.start_time == pytest.approx(1.06, abs=0.1)
    caller.offer("sendonly")
    world.run()
    caller.hang_up()
    world.run()
    assert len(world.steps) == 8, "what comes after it is not of it"
    world.over()


def test_a_busy_target(world: World) -> None:
    caller = world.connected()
    world.agents.manners["1002"] = Manner(refuse=486)
    world.transfer("1002")
    world.run()
    assert world.moved == ("blind", "reinvite", "rest", "failed", 486)
    assert world.steps == ["transfer > INVITE", "transfer < 486 INVITE"]
    assert world.server.transfers(world.call.guid)[0].reason == "Busy Here"
    world.transfer("1003")
    world.run(1.5)
    first, second = world.server.transfers(world.call.guid)
    assert (first.state, second.state) == ("failed", "completed")
    caller.hang_up()


def test_ring_no_answer(build: Build) -> None:
    world = build(transfer={"ring_no_answer": 2})
    caller = world.connected()
    world.agents.manners["1002"] = Manner(answer=None)
    world.transfer("1002")
    world.run(3.0)
    assert world.moved == ("blind", "reinvite", "rest", "failed", 408)
    assert world.steps == [
        "transfer > INVITE",
        "transfer > CANCEL",
        "transfer < 487 INVITE",
    ]
    caller.hang_up()


def test_by_refer(world: World) -> None:
    caller = world.connected()
    world.transfer(label="rf1002")
    world.run()
    caller.accept_refer()
    world.run()
    caller.notify(200)
    world.run()
    caller.hang_up()
    world.run()
    assert world.moved == ("blind", "refer", "rest", "completed", 200)
    assert world.steps == [
        "caller > REFER",
        "caller < 202 REFER",
        "caller < NOTIFY",
        "caller < NOTIFY",
        "caller < BYE",
        "callee > BYE",
    ]
    view = world.server.transfers(world.call.guid)[0]
    assert [step.sip_code for step in view.steps] == [None, 202, 100, 200, None, None]
    assert view.label == "rf1002"
    world.over()


def test_by_icm(build: Build) -> None:
    """An agent is found: the caller is moved from the VXML gateway [CG-XFER]."""
    world = build(**script(QUEUE, **agents(0.5, a1001=1)))
    caller = world.dial("1")
    world.run(3.0)
    assert world.state == "connected"
    assert world.moved == ("blind", "reinvite", "icm", "completed", 200)
    assert world.steps[:2] == ["vxml > BYE", "agent > INVITE"]
    caller.hang_up()


@pytest.mark.parametrize("who", ["caller", "agents"])
def test_by_a_phone(world: World, who: str) -> None:
    caller = world.connected()
    phone = caller if who == "caller" else world.agents.line
    other = world.agents.line if who == "caller" else caller
    kind, stays = ("caller", "callee") if who == "caller" else ("callee", "caller")
    phone.transfer(at(world))
    world.run(1.5)
    phone.hang_up()
    world.run()
    assert world.moved == ("blind", "reinvite", kind, "completed", 200)
    assert world.steps == [
        f"{kind} < REFER",
        f"{kind} > 202 REFER",
        f"{kind} > NOTIFY",
        "transfer > INVITE",
        "transfer < 180 INVITE",
        f"{kind} > NOTIFY",
        "transfer < 200 INVITE",
        f"{stays} > INVITE",
        f"{stays} < 200 INVITE",
        f"{stays} > ACK",
        "transfer > ACK",
        f"{kind} > NOTIFY",
        f"{kind} < BYE",
    ]
    other.hang_up()
    world.run()
    world.over()


def test_a_phone_that_is_refused(world: World) -> None:
    caller = world.connected()
    world.agents.line.transfer("sip:1002@elsewhere.example")
    world.run()
    assert world.moved == ("blind", "reinvite", "callee", "failed", 403)
    assert world.steps == ["callee < REFER", "callee > 403 REFER"]
    caller.hang_up()


def test_a_refused_one_beside_another(world: World) -> None:
    caller = world.connected()
    world.agents.line.transfer(at(world))
    world.agents.line.transfer(at(world, "1003"))
    world.run(1.5)
    states = [view.state for view in world.server.transfers(world.call.guid)]
    assert states == ["completed", "failed"]
    caller.hang_up()


def test_attended(world: World) -> None:
    """Each of the two calls has its own."""
    world.connected()
    first, agent = world.call, world.agents.line
    consult = world.agents.dial(at(world, "6001"), "1001")
    world.run(1.5)
    second = world.call
    agent.transfer(replaces_of(consult.session).in_uri(at(world, "6001")))
    world.run()
    for call, by in ((first, "callee"), (second, "phone")):
        (view,) = world.server.transfers(call.guid)
        assert (view.transfer_type, view.initiated_by, view.state) == ("attended", by, "completed")
    world.caller.line.hang_up()
    world.run(2.5)


def test_the_caller_leaves_in_the_middle(world: World) -> None:
    caller = world.connected()
    world.agents.manners["1002"] = Manner(answer=None)
    world.transfer("1002")
    world.run()
    caller.hang_up()
    world.run()
    assert world.moved == ("blind", "reinvite", "rest", "cancelled", 487)
    assert world.steps[1:4] == ["caller < BYE", "callee > BYE", "transfer > CANCEL"]
    world.over()


def test_they_are_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A while after the end of the call, and the oldest first."""
    for _ in range(2):
        caller = world.connected()
        world.transfer("1002")
        world.run(1.5)
        caller.hang_up()
        world.run()
    first, second = world.seen
    assert world.server.transfers(first)
    world.run(transfer_log.KEPT_FOR - 1.0)
    with pytest.raises(CallNotFound):
        world.server.transfers(first)
    assert world.server.transfers(second)
    world.run(2.0)
    with pytest.raises(CallNotFound):
        world.server.transfers(second)


def test_only_so_many(world: World) -> None:
    """Neither many calls nor many steps fill the memory."""
    log = transfer_log.TransferLog()
    caller = world.connected()
    call = world.call
    for _ in range(transfer_log.MOST_TRANSFERS + 1):
        log.begin(call, "blind", "reinvite", "rest", "1002", 1.0)
    record = call.steps
    assert len(log.of(call.guid, call, 1.0) or ()) == transfer_log.MOST_TRANSFERS
    for _ in range(transfer_log.MOST_STEPS + 1):
        record.sent(call.caller, "INVITE", 1.0)
    assert len(record.steps) == transfer_log.MOST_STEPS
    call.steps = transfer_log.NO_TRANSFER
    caller.hang_up()


def test_a_guid_used_again(world: World) -> None:
    """The transfers of an earlier call are not those of this one."""
    guid = "0123456789ABCDEF0123456789ABCDEF"
    for _ in range(2):
        caller = world.dial("6000", lines=f"Cisco-Gucid: {guid}\r\n")
        world.run(1.5)
        assert world.server.transfers(guid) == []
        world.transfer("1002")
        world.run(1.5)
        assert len(world.server.transfers(guid)) == 1
        caller.hang_up()
        world.run()
        world.seen.clear()
    world.store.records.clear()
