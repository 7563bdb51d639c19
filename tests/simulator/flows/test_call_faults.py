"""Fault rules between the wire and the call server: each action, and what a rule matches."""

from typing import Any

import pytest

from simulator.config_faults import SETS, FaultRule
from simulator.errors import FaultConflict, FaultNotFound
from simulator.fault_rules import ActiveRule
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import direction_of
from tests.simulator.flows.world import Line, World
from tests.support.network import Network, Stranger

LONG = f"Subject: {'x' * 900}\r\n"


def fault(world: World, **rule: Any) -> ActiveRule:
    """A rule in force."""
    return world.server.faults.add(FaultRule.model_validate(rule))


def send(
    world: World,
    stranger: Stranger,
    number: str,
    cseq: str,
    tag: str = "",
    via: str = "SIP/2.0/UDP {at};branch=z9hG4bK{branch}",
) -> None:
    """One request with a Call-ID that all have in common; its branch is the number of CSeq."""
    at, branch = f"{stranger.address[0]}:{stranger.address[1]}", cseq.partition(" ")[0]
    stranger.send(
        world.party,
        f"{cseq.partition(' ')[2]} sip:{number}@{world.address} SIP/2.0\r\n"
        f"Via: {via.format(at=at, branch=branch)}\r\nMax-Forwards: 70\r\n"
        f"From: <{stranger.uri}>;tag=theirs\r\n"
        f"To: <sip:{number}@{world.address}>{f';tag={tag}' * bool(tag)}\r\nCall-ID: one\r\n"
        f"CSeq: {cseq}\r\nContact: <{stranger.uri}>\r\nContent-Length: 0\r\n\r\n",
    )
    world.run(0.1)


def finish(world: World, line: Line) -> None:
    """The caller hangs up, and nothing is left of the call."""
    world.server.faults.clear()
    line.hang_up()
    world.run()
    world.over()


# What is done.


def test_drop(world: World) -> None:
    rule = fault(world, direction="out", method="INVITE", status="200", drop=True, count=1)
    caller = world.dial("5000")
    world.run(0.1)
    assert caller.statuses == []
    world.run(0.6)  # it is sent again after T1
    assert caller.statuses == [200]
    assert (rule.matched, rule.fired, rule.used_up) == (1, 1, True)
    finish(world, caller)


def test_a_bye_that_is_withheld(world: World) -> None:
    caller = world.connected()
    rule = fault(world, set="lost-bye", leg="callee")
    caller.hang_up()
    world.run(1.2)
    assert world.agents.line.heard[-1] != "Hungup"
    assert rule.fired == 2  # it and what was sent again
    world.server.faults.clear()
    world.run(3.0)
    assert world.agents.line.heard[-1] == "Hungup"
    world.over()


def test_delay(world: World) -> None:
    fault(world, direction="in", method="INVITE", delay={"seconds": 0.3})
    caller = world.dial("5000")
    world.run(0.29)
    assert world.seen == {}
    world.run(0.1)
    assert caller.statuses == [200]
    finish(world, caller)


def test_delay_of_what_goes_out(world: World) -> None:
    fault(world, direction="out", status="200", delay={"seconds": 0.3, "jitter": 0.1})
    caller = world.dial("5000")
    world.run(0.6)
    (sent,) = world.network.times("200 INVITE")
    assert 0.31 <= sent <= 0.42
    finish(world, caller)


def test_what_is_held_back_is_lost_with_all_rules(world: World) -> None:
    fault(world, direction="in", method="INVITE", delay={"seconds": 60}, count=1)
    caller = world.dial("5000")
    world.run(0.1)
    assert world.leftovers()["faults"] == 1
    world.server.faults.clear()
    assert "faults" not in world.leftovers()
    world.run(0.6)
    assert caller.statuses == [200]  # to the INVITE that was sent again
    finish(world, caller)


def test_what_is_held_back_by_a_rule_goes_on_without_it(world: World) -> None:
    rule = fault(world, direction="in", method="INVITE", delay={"seconds": 0.2})
    caller = world.dial("5000")
    world.run(0.1)
    world.server.faults.remove(rule.name)
    world.run(0.2)
    assert caller.statuses == [200]
    finish(world, caller)


def test_not_too_many_are_held_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.faults.MOST_HELD", 1)
    rule = fault(world, direction="in", method="INVITE", delay={"seconds": 0.2})
    lines = [world.dial("5000"), world.dial("5000")]
    world.run(0.1)
    assert [line.statuses for line in lines] == [[], [200]]
    assert (rule.matched, rule.fired) == (2, 1)
    world.run(0.3)
    world.server.faults.clear()
    for line in lines:
        line.hang_up()
    world.run()


def test_not_too_much_is_held_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.faults.MOST_HELD_OCTETS", 1_500)
    rule = fault(world, direction="in", method="INVITE", delay={"seconds": 0.2})
    lines = [world.dial("5000"), world.dial("5000"), world.dial("5000", lines=LONG)]
    world.run(0.1)
    assert [line.statuses for line in lines] == [[], [], [200]]
    assert (rule.matched, rule.fired) == (3, 2)
    world.run(0.3)
    again = world.dial("5000")  # what has gone on leaves its room
    world.run(0.1)
    assert again.statuses == []
    world.run(0.3)
    world.server.faults.clear()
    for line in (*lines, again):
        line.hang_up()
    world.run()


def test_duplicate(world: World) -> None:
    rule = fault(world, direction="out", method="INVITE", status="200", duplicate=2)
    caller = world.dial("5000")
    world.run()
    assert len(world.network.packets("200 INVITE")) == 3
    assert rule.fired == 1
    finish(world, caller)


def test_reorder(world: World) -> None:
    rule = fault(world, direction="out", leg="inbound", status="180", reorder=5)
    caller = world.dial("6000")
    world.run(1.5)
    statuses = [m.split()[3] for m in world.network.ladder() if m.startswith("server > caller")]
    assert statuses == ["100", "200", "180"]
    assert rule.fired == 1
    assert world.leftovers().get("faults") is None
    finish(world, caller)


def test_reorder_does_not_wait_for_ever(world: World) -> None:
    fault(world, direction="out", leg="inbound", status="180", reorder=0.3)
    caller = world.dial("6000")
    world.run(0.4)
    assert caller.statuses == [180]
    world.run(1.5)
    assert caller.statuses == [180, 200]
    finish(world, caller)


def test_answer(world: World) -> None:
    answer = {"status": 486, "reason": "Gone Fishing", "headers": {"Retry-After": "7"}}
    rule = fault(world, method="INVITE", answer=answer)
    caller = world.dial("5000")
    world.run()
    (response,) = caller.responses
    assert (response.status, response.reason) == (486, "Gone Fishing")
    assert response.get("retry-after") == "7"
    assert response.to_tag
    assert world.seen == {}
    assert rule.fired == 1
    world.server.faults.clear()
    assert world.party.endpoint.discarded == 0  # the ACK was absorbed


def test_an_answer_that_gets_lost_is_given_again(world: World) -> None:
    rule = fault(world, method="INVITE", answer={"status": 503}, count=1)
    world.network.lose("503 INVITE")
    caller = world.dial("5000")
    world.run(1.0)
    assert caller.statuses == [503]
    assert world.seen == {}
    assert rule.fired == 1  # though it went out twice
    assert len(world.network.packets("503 INVITE")) == 2


def test_who_is_not_heard_gets_no_answer(build: Build) -> None:
    world = build(sip={"sources": [{"call": "10.0.0.0/8", "others": "silence"}]})
    rule = fault(world, method="INVITE", answer={"status": 486})
    world.dial("5000")
    world.run(1.0)
    assert [step for step in world.flow if step.startswith("server")] == []
    assert (rule.matched > 0, rule.fired) == (True, 0)


def test_who_sends_too_much_gets_few_answers(build: Build) -> None:
    world = build(sip={"limits": {"rate": 1, "burst": 3}})
    fault(world, method="INVITE", answer={"status": 486})
    for _ in range(20):
        world.dial("5000")
    world.run(0.1)
    assert 3 <= len(world.network.packets("486 INVITE")) <= 5
    world.run(40.0)


def test_who_is_refused_is_counted_once(build: Build) -> None:
    world = build(sip={"limits": {"rate": 1, "burst": 1}})
    rule = fault(world, method="INVITE", answer={"status": 486}, direction="in")
    world.dial("5000")
    world.run(0.1)
    assert rule.fired == 1
    other = world.dial("5000")
    world.run(0.1)
    screen = world.party.endpoint.screen
    assert screen is not None
    assert other.statuses == []
    assert (screen.refused, screen.dropped) == (0, 1)
    assert world.party.endpoint.discarded == 1
    assert rule.fired == 1
    world.run(40.0)


@pytest.mark.parametrize("via", ["SIP/2.0/UDP", "%"])
def test_a_malformed_request_is_left_to_the_endpoint(world: World, via: str) -> None:
    stranger = world.network.add_stranger("stranger")
    send(world, stranger, "5000", "1 OPTIONS", via=via)
    without = (stranger.statuses("OPTIONS"), world.party.endpoint.traffic.malformed)
    rule = fault(world, direction="in", answer={"status": 486})
    send(world, stranger, "5000", "2 OPTIONS", via=via)
    both = (2 * without[0], 2 * without[1])
    assert (stranger.statuses("OPTIONS"), world.party.endpoint.traffic.malformed) == both
    assert (rule.matched, rule.fired) == (1, 0)


def test_a_copy_of_what_was_answered_makes_no_call_without_the_rule(world: World) -> None:
    rule = fault(world, method="INVITE", answer={"status": 503})
    stranger = world.network.add_stranger("stranger")
    send(world, stranger, "5000", "1 INVITE")
    world.server.faults.remove(rule.name)
    send(world, stranger, "5000", "1 INVITE")
    assert stranger.statuses("INVITE") == [503, 503]
    first, again = stranger.responses("INVITE")
    send(world, stranger, "5000", "1 ACK", tag=first.to_tag or "")
    assert first.to_tag == again.to_tag
    assert world.party.endpoint.discarded == 0
    assert world.seen == {}
    caller = world.dial("5000")  # others are not in the way
    world.run()
    assert caller.statuses == [200]
    finish(world, caller)
    world.run(40.0)
    send(world, stranger, "5000", "1 OPTIONS")
    assert world.stack.faults is None  # the transaction is over


def test_a_rule_can_delay_what_another_answers(world: World) -> None:
    fault(world, method="INVITE", answer={"status": 503})
    fault(world, direction="out", status="503", delay={"seconds": 0.2})
    caller = world.dial("5000")
    world.run(0.15)
    assert caller.statuses == []
    world.run(0.1)
    assert caller.statuses == [503]


@pytest.mark.parametrize("what", ["to-tag", "branch", "content-length"])
def test_corrupt(world: World, what: str) -> None:
    rule = fault(world, direction="out", method="INVITE", status="200", corrupt=what, count=1)
    caller = world.dial("5000")
    world.run(1.0)
    assert rule.fired == 1
    wrong, right = (packet.data for packet in world.network.packets("200 INVITE"))
    differ = [
        (one, other)
        for one, other in zip(wrong.split(b"\r\n"), right.split(b"\r\n"), strict=True)
        if one != other
    ]
    ((bad, good),) = differ
    names = {"to-tag": b"To", "branch": b"Via"}
    assert good.partition(b":")[0] == names.get(what, b"Content-Length")
    assert bad.partition(b":")[0] == good.partition(b":")[0]
    assert 200 in caller.statuses  # to the one that was sent again
    if what in ("branch", "content-length"):
        assert caller.statuses == [200]  # the other was no answer
    finish(world, caller)


def test_stop_answering_in_a_dialog(world: World) -> None:
    caller = world.standalone()
    fault(world, direction="in", method="INFO", silence="dialog")
    other = world.dial("5000")
    world.run()
    caller.request("INFO")
    world.run(3.0)
    assert world.flow.count("server > caller 200 INFO") == 0
    assert other.statuses == [200]
    other.hang_up()
    world.run()
    assert "server > caller 200 BYE" in world.flow
    world.server.faults.clear()
    world.run(5.0)  # INFO is sent again, and heard
    assert "server > caller 200 INFO" in world.flow
    caller.hang_up()
    world.run()


def test_stop_answering_a_peer(world: World) -> None:
    caller = world.standalone()
    rule = fault(world, direction="in", method="INFO", silence="peer", leg="inbound")
    caller.request("INFO")
    world.run(0.1)
    other = world.dial("5000")
    world.run(3.0)
    assert [step for step in world.flow if step.startswith("server")] == []
    assert rule.fired == 1
    world.server.faults.switch(rule.name, enabled=False)
    world.run(2.0)
    assert other.statuses == [200]
    world.server.faults.clear()
    for line in (caller, other):
        line.hang_up()
    world.run()


def test_sdp(world: World) -> None:
    fault(world, direction="out", method="INVITE", leg="outbound", sdp={"direction": "inactive"})
    caller = world.dial("6000")
    world.run(1.5)
    assert direction_of(world.agents.line.invite.body) == "inactive"
    finish(world, caller)


def test_one_way_hold(world: World) -> None:
    caller = world.connected()
    rule = fault(world, set="one-way-hold")
    caller.offer("sendonly")
    world.run()
    reinvite = world.the("INVITE", to="agents")
    assert direction_of(reinvite.body) == "sendrecv"
    assert rule.fired == 1
    finish(world, caller)


def test_glare(world: World) -> None:
    caller = world.connected()
    rule = fault(world, set="glare")
    caller.offer("sendonly")
    world.run(0.1)
    assert "server > caller 491 INVITE" in world.flow
    world.run(5.0)  # it comes again
    assert world.state == "on_hold"
    assert (rule.matched, rule.fired) == (2, 1)
    finish(world, caller)


def test_lost_ack(world: World) -> None:
    rule = fault(world, set="lost-ack", direction="in")
    caller = world.dial("5000")
    world.run(0.1)
    assert world.flow.count("server > caller 200 INVITE") == 1
    world.run(0.6)
    assert world.flow.count("server > caller 200 INVITE") == 2
    assert (rule.matched, rule.fired) == (2, 1)
    finish(world, caller)


# What a rule matches.


@pytest.mark.parametrize(
    ("condition", "fires"),
    [
        ({"direction": "in"}, 0),
        ({"direction": "out"}, 1),
        ({"method": "BYE"}, 0),
        ({"method": "re-INVITE"}, 0),
        ({"status": "486"}, 0),
        ({"status": "2xx"}, 1),
        ({"status": "xxx"}, 1),
        ({"leg": "inbound"}, 1),
        ({"leg": "caller"}, 1),
        ({"leg": "outbound"}, 0),
        ({"peer": "192.0.2.1"}, 1),
        ({"peer": "192.0.2.1:5060"}, 1),
        ({"peer": "192.0.2.1:5061"}, 0),
        ({"peer": "192.0.2.0/30"}, 1),
        ({"peer": "198.51.100.0/24"}, 0),
        ({"peer": "2001:db8::/32"}, 0),
        ({"number": "5>"}, 1),
        ({"number": "6>"}, 0),
        ({"application": "no such"}, 0),
        ({"nth": 2}, 0),
        ({"every": 2}, 0),
        ({"every": 1}, 1),
    ],
    ids=str,
)
def test_conditions(world: World, condition: dict[str, Any], fires: int) -> None:
    rule = fault(world, **{"method": "INVITE", "status": "200", "duplicate": 1, **condition})
    caller = world.dial("5000")
    world.run()
    assert rule.fired == fires
    assert len(world.network.packets("200 INVITE")) == 1 + fires
    finish(world, caller)


def test_requests_and_responses_are_told_apart(world: World) -> None:
    requests = fault(world, method="INVITE", corrupt="branch", peer="198.51.100.1")
    everything = fault(world, duplicate=1, peer="192.0.2.1", every=1000)
    caller = world.dial("5000")
    world.run()
    assert requests.matched == 0
    assert everything.matched == 3  # INVITE, 200, ACK
    finish(world, caller)


def test_the_legs_of_a_call(world: World) -> None:
    legs = ["inbound", "outbound", "caller", "vxml", "agent"]
    rules = [
        fault(
            world, method="INVITE", leg=leg, number="7>", application="support", nth=1000, drop=True
        )
        for leg in legs
    ]
    caller = world.dial("7000")
    world.run(8.0)
    assert world.state == "connected"
    assert [rule.matched > 0 for rule in rules] == [True] * 5
    finish(world, caller)


def test_reinvites_are_told_from_invites(world: World) -> None:
    within = fault(world, method="re-INVITE", status="2xx", duplicate=1)
    first = fault(world, method="INVITE", status="2xx", duplicate=1, leg="inbound")
    caller = world.connected()
    assert (within.fired, first.fired) == (0, 1)
    caller.offer("sendonly")
    world.run()
    assert (within.matched, first.fired) == (2, 1)  # of the agent, and to the caller
    finish(world, caller)


def test_the_nth_is_of_a_dialog_and_every_of_all(world: World) -> None:
    nth = fault(world, direction="in", method="INFO", nth=2, corrupt="cseq", enabled=True)
    every = fault(world, direction="in", method="INFO", every=3, drop=True, count=1)
    lines = [world.dial("5000"), world.dial("5000")]
    world.run()
    for _ in range(2):
        for line in lines:
            line.request("INFO")
            world.run()
    world.run(1.0)
    assert nth.fired == 2
    assert every.fired == 1
    world.server.faults.clear()
    for line in lines:
        line.hang_up()
    world.run()


@pytest.mark.parametrize("condition", [{"number": "7777"}, {"nth": 1}, {"count": 1}], ids=str)
def test_a_call_id_that_is_used_again(world: World, condition: dict[str, Any]) -> None:
    """As a caller does after 3xx or 4xx (RFC 3261 section 8.1.3.5)."""
    rule = fault(world, method="INVITE", answer={"status": 486}, **condition)
    stranger = world.network.add_stranger("stranger")
    send(world, stranger, "7777", "1 INVITE")
    (refused,) = stranger.responses("INVITE")
    send(world, stranger, "7777", "1 ACK", tag=refused.to_tag or "")
    send(world, stranger, "5000", "2 INVITE")
    last = 486 if "nth" in condition else 200  # the first of the other dialog too
    assert stranger.statuses("INVITE")[-1] == last
    assert stranger.statuses("INVITE")[0] == 486
    assert rule.fired == 1 + (last == 486)
    answered = stranger.responses("INVITE")[-1]
    send(world, stranger, "5000", "2 ACK", tag=answered.to_tag or "")
    if last == 200:
        send(world, stranger, "5000", "3 BYE", tag=answered.to_tag or "")
        assert stranger.statuses("BYE") == [200]


def test_calls_at_once_with_one_call_id(world: World) -> None:
    """Whose INVITE a proxy has forked: each has its own number, application, and silence."""
    fault(world, direction="in", method="INVITE", number="7777", silence="dialog")
    fives = fault(world, direction="in", number="5000", every=1000, drop=True)
    stranger = world.network.add_stranger("stranger")
    send(world, stranger, "7777", "1 INVITE")
    send(world, stranger, "5000", "2 INVITE")
    send(world, stranger, "7777", "1 INVITE")
    assert set(stranger.statuses("INVITE")) - {100} == {200}
    answered = stranger.responses("INVITE")[-1]
    send(world, stranger, "5000", "2 ACK", tag=answered.to_tag or "")
    send(world, stranger, "5000", "3 BYE", tag=answered.to_tag or "")
    assert stranger.statuses("BYE") == [200]
    assert fives.matched == 3
    send(world, stranger, "7777", "1 CANCEL")
    assert stranger.statuses("CANCEL") == []  # it is of the one that is silent


def test_a_rule_that_is_switched_off(world: World) -> None:
    rule = fault(world, method="INVITE", answer={"status": 503}, enabled=False)
    assert world.stack.faults is None  # nothing is in the way
    caller = world.dial("5000")
    world.run()
    assert caller.statuses == [200]
    world.server.faults.switch(rule.name, enabled=True)
    other = world.dial("5000")
    world.run()
    assert other.statuses == [503]
    finish(world, caller)


def run_with_dice(seed: int) -> tuple[list[str], list[tuple[str, str, float]]]:
    """Ten calls over a bad line: what was sent, and the marks of the rules."""
    world = World(Network())
    marks: list[tuple[str, str, float]] = []
    world.server.faults.mark = lambda *one: marks.append(one)
    fault(world, name="loss", probability=0.3, seed=seed, drop=True)
    fault(world, name="late", probability=0.3, seed=seed, delay={"seconds": 0.1, "jitter": 0.2})
    lines = [world.dial("5000") for _ in range(10)]
    world.run(5.0)
    world.server.faults.clear()
    for line in lines:
        if 200 in line.statuses:
            line.hang_up()
    world.network.settle()
    return world.network.ladder(), marks


def test_a_run_repeats_with_its_seed() -> None:
    first, again, other = run_with_dice(7), run_with_dice(7), run_with_dice(8)
    assert len(first[1]) > 10
    assert first == again
    assert first[1] != other[1]


def test_each_firing_is_marked(world: World) -> None:
    marks: list[tuple[str, str, float]] = []
    world.server.faults.mark = lambda *one: marks.append(one)
    fault(world, set="lost-200")
    caller = world.dial("5000")
    world.run(1.0)
    (mark,) = marks
    assert mark == (caller.session.dialog.call_id, "lost-200: 200 INVITE dropped", 0.01)
    assert world.server.faults.fired == {"lost-200": 1}
    finish(world, caller)


# The table.


def test_names(world: World) -> None:
    faults = world.server.faults
    assert [fault(world, drop=True, method="INFO").name for _ in range(2)] == ["fault-1", "fault-2"]
    with pytest.raises(FaultConflict, match="'fault-2' is there already; give another name"):
        fault(world, name="fault-2", drop=True)
    with pytest.raises(FaultNotFound, match="no fault has the name 'x'"):
        faults.switch("x", enabled=True)
    faults.remove("fault-1")
    assert fault(world, drop=True, method="INFO").name == "fault-1"
    assert list(faults.rules) == ["fault-2", "fault-1"]


def test_not_too_many(world: World) -> None:
    for _ in range(100):
        fault(world, drop=True, method="INFO")
    with pytest.raises(FaultConflict, match="100 faults already; delete one"):
        fault(world, drop=True)


def test_rules_of_the_configuration(build: Build) -> None:
    world = build(faults=[{"set": "lost-200"}, {"method": "INFO", "drop": True}])
    faults = world.server.faults
    caller = world.dial("5000")
    world.run(1.0)
    assert faults.fired == {"lost-200": 1, "fault-1": 0}
    fault(world, name="mine", method="INFO", drop=True)
    rules = (FaultRule.model_validate({"set": "lost-200"}), FaultRule(name="mine", drop=True))
    world.server.configure(world.server.config.model_copy(update={"faults": rules}))
    assert faults.fired == {"lost-200": 1, "mine": 0}
    assert faults.find("mine").configured
    faults.reset()
    assert faults.fired == {"lost-200": 0, "mine": 0}
    faults.configure(())
    assert faults.rules == {}
    assert world.stack.faults is None
    finish(world, caller)


@pytest.mark.parametrize("name", SETS)
def test_a_call_under_each_set_leaves_nothing(name: str) -> None:
    world = World(Network())
    fault(world, set=name)
    caller = world.dial("6000")
    world.run(10.0)
    if 200 in caller.statuses:
        caller.hang_up()
    world.run(70.0)
    assert world.leftovers() == {}
    assert len(world.store.records) == len(world.seen)


def test_dialogs_are_forgotten(world: World) -> None:
    fault(world, method="INFO", drop=True)
    kept = world.dial("5000")
    world.run()
    for _ in range(20):
        line = world.dial("5000")
        world.run()
        line.hang_up()
        world.run(40.0)
    known = world.server.faults._dialogs.call_ids
    assert 2 <= len(known) <= 4
    assert kept.session.dialog.call_id in known
    finish(world, kept)
