"""Corner cases of transfers that others get wrong; after each nothing is left 64*T1 later.

That is what the fixture asserts when a test is over. The same cases with SIPp at the far
ends: `tests/scenarios/test_transfer_corners.py`. The transferor's BYE in the middle, REFER
crossing BYE, NOTIFY before 202, no NOTIFY and Refer-Sub stand in `test_call_referred.py`
and `test_call_refer.py`.
"""

import pytest

from sip.message import Request
from sip.usage.named import replaces_of
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner, Phone, direction_of
from tests.simulator.flows.test_call_consulted import talk_to_each_other
from tests.simulator.flows.test_call_referred import at
from tests.simulator.flows.world import Line, World
from tests.support.network import Network

STREAMS = ["TCP", "TLS"]


class Gateway(Phone):
    """A caller that speaks by a stream only, which it opens itself."""

    def __init__(self, network: Network, transport: str) -> None:
        super().__init__(network, "gateway", Manner())
        self.transport = transport
        stream = self.party.listen(transport, port=40_000)
        self.party.listeners.remove(self.party.listener)
        self.party.listener = stream

    def call(self, world: World, number: str) -> Line:
        """An answered call by the stream."""
        uri = f"sip:{number}@{world.address};transport={self.transport.lower()}"
        line = self.dial(uri, "5551234")
        world.run(1.5)
        assert line.heard[-1] == "Answered"
        world.forget()
        return line


def by_stream(build: Build, transport: str) -> tuple[World, Gateway]:
    network = Network()
    gateway = Gateway(network, transport)
    world = build(network)
    world.party.listen(transport)
    return world, gateway


@pytest.mark.parametrize("transport", STREAMS)
def test_refer_goes_by_the_callers_own_connection(build: Build, transport: str) -> None:
    """RFC 3261 section 18.1.1, RFC 5923: no other connection is opened towards its Contact."""
    world, gateway = by_stream(build, transport)
    caller = gateway.call(world, "6000")
    world.transfer(label="rf1002")
    world.run()
    refer = world.the("REFER", to="gateway")
    assert f"SIP/2.0/{transport} " in (refer.get("via") or "")
    caller.accept_refer()
    caller.notify(200)
    world.run()
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"
    world.over()


@pytest.mark.parametrize("transport", STREAMS)
def test_a_phones_refer_by_its_connection(build: Build, transport: str) -> None:
    """NOTIFY comes back by it (RFC 3515 section 2.4.4)."""
    world, gateway = by_stream(build, transport)
    caller = gateway.call(world, "6000")
    caller.transfer(at(world))
    world.run(1.5)
    assert caller.news == [202, 100, 180, 200]
    for notify in world.sent("NOTIFY", to="gateway"):
        assert f"SIP/2.0/{transport} " in (notify.get("via") or "")
    caller.hang_up()
    world.agents.line.hang_up()


@pytest.mark.parametrize("who", ["caller", "agents"])
def test_bye_overtakes_the_ack_of_the_target(world: World, who: str) -> None:
    """RFC 3261 section 15: whoever has got the 200 may leave before its ACK arrives."""
    caller = world.connected()
    world.transfer("1002")
    world.run(1.015)  # the re-INVITE is on its way to the caller
    line = caller if who == "caller" else world.agents.line
    line.drop()
    world.run(1.0)
    if who == "caller":
        assert world.state == "ended"
    else:
        assert (world.state, world.moved[3:]) == ("connected", ("failed", 487))
        assert talk_to_each_other(caller, world.agents.lines[0])
        caller.hang_up()
    world.run()
    world.over()


def test_a_caller_whose_bye_overtakes_its_ack(world: World) -> None:
    """The ACK of the re-INVITE's answer is lost, and BYE is next."""
    caller = world.connected()
    agent = world.agents.line
    agent.transfer(at(world))
    world.run(1.025)
    caller.drop()
    world.run(1.0)
    assert agent.news[-1] in (200, 487)
    assert world.state == "ended"
    world.over()


@pytest.mark.parametrize("kind", ["blind", "consultation"])
@pytest.mark.parametrize("stage", [0.0, 0.9, 1.0, 1.005, 1.01, 1.015, 1.02, 1.03])
def test_glare(world: World, kind: str, stage: float) -> None:
    """RFC 3261 section 14.1: the caller offers when we do; both offers count in the end."""
    caller = world.connected()
    world.transfer("1002", kind)  # type: ignore[arg-type]
    world.run(stage)
    caller.offer()
    world.run(8.0)
    assert world.state == "connected"
    assert world.moved[3:] == ("completed", 200)
    assert talk_to_each_other(caller, world.agents.line)
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"


@pytest.mark.parametrize("kind", ["blind", "consultation"])
def test_the_target_answers_after_the_caller_has_left(world: World, kind: str) -> None:
    """RFC 3261 section 9.1: its 200 crosses the CANCEL, it gets ACK and BYE."""
    caller = world.connected()
    world.agents.manners["1002"] = Manner(ring=0.0, answer=None)
    world.transfer("1002", kind)  # type: ignore[arg-type]
    world.run(0.5)
    caller.hang_up()
    world.run(0.012)  # our CANCEL is under way
    target = world.agents.line
    target.answer()
    world.run(1.0)
    assert target.heard[-1] == "Hungup"
    assert world.moved[3:] == ("cancelled", 487)
    world.over()


def test_the_target_of_a_phone_answers_after_all_have_left(world: World) -> None:
    caller = world.connected()
    agent = world.agents.line
    world.agents.manners["1002"] = Manner(ring=0.0, answer=None)
    agent.transfer(at(world))
    world.run(0.5)
    agent.hang_up()
    world.run(0.1)
    caller.hang_up()
    world.run(0.012)
    world.agents.line.answer()
    world.run(1.0)
    assert world.agents.line.heard[-1] == "Hungup"
    assert agent.news[-1] == 487
    world.over()


@pytest.mark.parametrize("kind", ["blind", "consultation"])
def test_a_target_that_says_nothing_at_all(build: Build, kind: str) -> None:
    """Neither 180 nor an answer, and CANCEL is of no use: Timer B (RFC 3261 section 17.1.1.2)."""
    network = Network()
    dead = Phone(network, "dead", Manner(answer=None))
    world = build(network, routes=[f"3>={dead.uri}"], transfer={"ring_no_answer": 2})
    caller = world.connected()
    dead.vanish()
    world.transfer("3000", kind)  # type: ignore[arg-type]
    world.run(3.0)
    assert (world.state, world.moved[3:]) == ("connected", ("failed", 408))
    assert direction_of(caller.received) == "sendrecv"
    caller.hang_up()


def test_transfers_one_after_the_other_by_everybody(world: World) -> None:
    """By the agent, by a command, by the new agent, by REFER in the end."""
    caller = world.connected()
    world.agents.line.transfer(at(world))
    world.run(1.5)
    world.transfer("1003", "consultation")
    world.run(4.0)
    world.agents.line.transfer(at(world, "1001"))
    world.run(1.5)
    assert talk_to_each_other(caller, world.agents.line)
    world.transfer(label="rf1002")
    world.run()
    caller.accept_refer()
    caller.notify(200)
    world.run()
    caller.hang_up()
    world.run(4.0)
    found = world.server.transfers(world.call.guid)
    assert [(one.initiated_by, one.method, one.state) for one in found] == [
        ("callee", "reinvite", "completed"),
        ("rest", "reinvite", "completed"),
        ("transfer", "reinvite", "completed"),
        ("rest", "refer", "completed"),
    ]
    assert world.cdr.call_result == "transferred"
    world.over()


def test_an_attended_transfer_of_an_attended_transfer(world: World) -> None:
    """Whoever has been joined to the caller consults the next, and joins the two in turn."""
    caller = world.connected()
    first = world.call
    agent = world.agents.line
    for number in ("6001", "6002"):
        consult = world.agents.dial(at(world, number), "1001")
        world.run(1.5)
        target = world.agents.line
        agent.transfer(replaces_of(consult.session).in_uri(at(world, number)))
        world.run()
        assert talk_to_each_other(caller, target)
        world.run(3.0)
        agent = target
    assert first.state == "connected"
    found = world.server.transfers(first.guid)
    assert [(one.transfer_type, one.state) for one in found] == [("attended", "completed")] * 2
    caller.hang_up()
    world.run()
    assert {record.call_result for record in world.store.records} == {"transferred"}


def test_a_transfer_while_the_phones_bye_is_awaited(world: World) -> None:
    """The two seconds of the first transferor run on beside the second transfer."""
    caller = world.connected()
    phone = world.agents.line
    phone.transfer(at(world))
    world.run(1.3)
    world.transfer("1003")
    world.run(4.0)
    assert phone.heard[-1] == "Hungup"
    assert talk_to_each_other(caller, world.agents.line)
    assert [len(leg) for leg in (world.agents.lines,)] == [3]
    caller.hang_up()


def test_refer_from_the_caller_while_ours_is_under_way(world: World) -> None:
    """REFER both ways at once: theirs is refused, ours goes on."""
    caller = world.connected()
    world.transfer(label="rf1002")
    world.run()
    caller.transfer(at(world, "1003"))
    world.run()
    assert caller.news == [491]
    caller.accept_refer()
    caller.notify(200)
    world.run()
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"


def test_the_refer_of_a_transferor_is_not_told_twice(world: World) -> None:
    """One final NOTIFY, whatever comes after it (RFC 3515 section 2.4.7)."""
    caller = world.connected()
    phone = world.agents.line
    phone.transfer(at(world))
    world.run(1.5)
    phone.hang_up()
    caller.hang_up()
    world.run()
    told = [m.body.split(b"\r\n")[0] for m in world.sent("NOTIFY") if isinstance(m, Request)]
    assert told == [b"SIP/2.0 100 Trying", b"SIP/2.0 180 Ringing", b"SIP/2.0 200 OK"]
    last = world.sent("NOTIFY")[-1]
    assert (last.get("subscription-state") or "").startswith("terminated")
