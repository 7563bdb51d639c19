"""SIPp calls SIPp through a real server: what the wire, the API and the record say of it."""

from itertools import pairwise
from pathlib import Path

import pytest

from scenarios.plugin import CaptureFactory, ServerFactory, SippFactory
from scenarios.runner import SippError, scenario_names
from tests.scenarios.flow import Flows, assert_api_equals_wire, names, on_leg, the_cdr

HOLD = 1000  # milliseconds in which the API is looked at


def test_the_caller_hangs_up(flows: Flows) -> None:
    flow = flows.start("caller-hangs-up", "callee-answers", "connected", caller_ms=HOLD)
    assert_api_equals_wire(flow)
    messages = flow.finish()
    whole = ["INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]
    assert names(on_leg(messages, flow.caller)) == whole
    assert names(on_leg(messages, flow.callee)) == whole
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_the_agent_hangs_up(flows: Flows) -> None:
    flow = flows.start("caller-waits-for-bye", "callee-hangs-up", "connected", callee_ms=HOLD)
    assert_api_equals_wire(flow)
    messages = flow.finish()
    # The caller is told the agent's reason.
    (bye,) = [m for m in on_leg(messages, flow.caller) if m.name == "BYE"]
    assert bye.reason == 'Q.850;cause=16;text="agent went home"'
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_the_caller_cancels(flows: Flows) -> None:
    flow = flows.start("caller-cancels", "callee-rings", "ringing", caller_ms=HOLD)
    flow.wire.wait_for(lambda m: m.status == 180 and m.destination == flow.caller.address)
    assert_api_equals_wire(flow)
    messages = flow.finish()
    cancelled = ["INVITE", "CANCEL", "200 CANCEL", "487 INVITE", "ACK"]
    assert names(on_leg(messages, flow.caller)) == cancelled
    assert names(on_leg(messages, flow.callee)) == cancelled
    (cancel,) = [m for m in on_leg(messages, flow.callee) if m.name == "CANCEL"]
    assert cancel.reason == 'SIP;cause=200;text="Call completed elsewhere"'
    assert the_cdr(flow) == ("abandoned", "487", [487, 487])


def test_the_agent_is_busy(flows: Flows) -> None:
    flow = flows.start("caller-busy-expect-486", "callee-busy-486", "ringing", callee_ms=HOLD)
    flow.wire.wait_for(lambda m: m.status == 180 and m.destination == flow.caller.address)
    assert_api_equals_wire(flow)
    messages = flow.finish()
    assert names(on_leg(messages, flow.caller)) == ["INVITE", "486 INVITE", "ACK"]
    assert the_cdr(flow) == ("error", "486", [486, 486])


def test_the_caller_offers_nothing(flows: Flows) -> None:
    flow = flows.start("caller-offerless", "callee-offers", "connected", caller_ms=HOLD)
    assert_api_equals_wire(flow)
    flow.finish()
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_the_caller_holds(flows: Flows) -> None:
    flow = flows.start("caller-holds", "callee-is-held", "on_hold", caller_ms=HOLD)
    assert_api_equals_wire(flow)
    messages = flow.finish()
    for run in (flow.caller, flow.callee):
        assert names(on_leg(messages, run)).count("INVITE") == 3
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_a_via_without_rport(flows: Flows) -> None:
    flow = flows.start("caller-no-rport", "callee-answers", "connected", caller_ms=HOLD)
    assert_api_equals_wire(flow)
    messages = flow.finish()
    responses = [m for m in on_leg(messages, flow.caller) if m.status]
    assert {m.destination for m in responses} == {flow.caller.address}


def test_everything_comes_twice(flows: Flows) -> None:
    flow = flows.start(
        "caller-retransmits",
        "callee-answers",
        "ringing",
        caller_ms=HOLD,
        callee_ms=600,
        options=["-pause_msg_ign"],
        sip__t1=0.1,
    )
    flow.wire.wait_for(lambda m: m.name == "INVITE" and m.resent)
    assert len(flow.server.calls()) == 1
    flow.server.wait_for_call("connected")
    assert_api_equals_wire(flow)
    messages = flow.finish(retransmissions=True)
    seen = [m.name for m in on_leg(messages, flow.caller)]
    twice = ("INVITE", "180 INVITE", "ACK", "BYE", "200 BYE")
    assert {name: seen.count(name) for name in twice} == dict.fromkeys(twice, 2)
    assert seen.count("200 INVITE") >= 3  # the answer, missed; 100, 300 and perhaps 700 ms later
    tags = {m.to_tag for m in on_leg(messages, flow.caller) if m.status > 100}
    assert tags == {flow.call["sipToTag"]}
    # Nothing of it reaches the callee (whose 200 waits for the caller's ACK).
    there = [m.method for m in on_leg(messages, flow.callee) if m.method]
    assert there == ["INVITE", "ACK", "BYE"]
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_no_ack(flows: Flows) -> None:
    t1 = 0.03
    flow = flows.start("caller-no-ack", "callee-answers", "connected", sip__t1=t1, sip__t2=0.3)
    assert_api_equals_wire(flow)
    messages = on_leg(flow.finish(retransmissions=True), flow.caller)
    sent = [m.time for m in messages if m.name == "200 INVITE"]
    # T1, doubled up to T2 (RFC 3261 section 13.3.1.4). What leaves late makes the next gap short.
    gaps = [after - before for before, after in pairwise(sent)]
    wanted = [t1 * 2**n for n in range(4)] + [0.3] * (len(gaps) - 5)
    assert all(gap > 0.7 * least for gap, least in zip(gaps, wanted, strict=False)), gaps
    assert len(gaps) >= 6
    (bye,) = [m for m in messages if m.name == "BYE"]
    assert 0.95 < (bye.time - sent[0]) / (64 * t1) < 1.5
    assert the_cdr(flow)[:2] == ("error", "408")


def lossy(
    callsim_server: ServerFactory, sipp: SippFactory, caller: str, callee: str, calls: int
) -> int:
    """Place calls over a bad line, each of which must go well; SIPp's retransmissions."""
    # 64*T1 is 3.2 s: with T2 at 0.1 s most messages are sent thirty times before it is over.
    patience = ["-T2", "100", "-max_retrans", "30", "-max_invite_retrans", "30"]
    second = sipp(callee, calls=calls, options=patience)
    server = callsim_server(routes={">": second.uri}, settings={"sip.t1": 0.05, "sip.t2": 0.1})
    first = sipp(caller, server.sip, calls=calls, rate=40, hold_ms=1000, options=patience)
    assert server.wait_for_call("connected")["calledNumber"] == "2000"
    placed, answered = first.check(), second.check()
    server.wait_until_idle()
    records = server.cdrs()
    assert [record.call_result for record in records] == ["completed"] * calls
    assert all(len(record.legs) == 2 for record in records)
    return placed.retransmissions + answered.retransmissions


def test_the_caller_loses_messages(callsim_server: ServerFactory, sipp: SippFactory) -> None:
    assert lossy(callsim_server, sipp, "caller-loses-messages", "callee-answers", 40) > 0


def test_the_callee_loses_messages(callsim_server: ServerFactory, sipp: SippFactory) -> None:
    lossy(callsim_server, sipp, "caller-hangs-up", "callee-loses-messages", 20)


@pytest.mark.parametrize(
    ("number", "caller", "state"),
    [
        ("5000", "caller-hangs-up", "connected"),
        ("6000", "caller-hangs-up", "connected"),
        ("7000", "caller-hangs-up", "self_service"),
        ("1234567", "caller-hangs-up", "self_service"),
        ("9486", "caller-busy-expect-486", None),
    ],
)
def test_the_built_in_plan(
    callsim_server: ServerFactory, sipp: SippFactory, number: str, caller: str, state: str | None
) -> None:
    server = callsim_server(lab=True)
    run = sipp(caller, server.sip, service=number, hold_ms=HOLD)
    if state is not None:
        call = server.wait_for_call(state)
        assert call["calledNumber"] == number
        assert len(server.sessions(call["callGuid"])) == (1 if number == "5000" else 2)
    run.check()
    server.wait_until_idle()
    (record,) = server.cdrs()
    assert record.call_result == ("completed" if state is not None else "error")


def test_strays(callsim_server: ServerFactory, sipp: SippFactory, capture: CaptureFactory) -> None:
    server = callsim_server()
    wire = capture(server)
    sipp("caller-sends-strays", server.sip).check()
    assert server.calls() == server.sessions() == server.cdrs() == []
    answers = [m.name for m in wire.check() if m.status]
    assert answers == ["200 OPTIONS", "501 DANCE", "405 PUBLISH", "420 OPTIONS", "481 BYE"]


def test_a_scenario_that_fails_is_seen(callsim_server: ServerFactory, sipp: SippFactory) -> None:
    callee = sipp("callee-busy-486")
    server = callsim_server(routes={">": callee.uri})
    with pytest.raises(SippError, match="486 Busy Here"):
        sipp("caller-hangs-up", server.sip).check()


def test_every_scenario_is_run() -> None:
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in scenario_names() if f'"{name}"' not in sources] == []
