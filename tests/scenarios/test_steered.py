"""REST operations on live SIPp calls: terminate, and transfers of every kind."""

import pytest

from scenarios.plugin import ServerFactory, SippFactory
from scenarios.server import RestError
from tests.scenarios.flow import Flow, Flows, assert_api_equals_wire, names, on_leg, the_cdr

CAUSES = {"requested": 16, "administrative": 31, "timeout": 102, "error": 41}


def history(flow: Flow) -> dict[str, str]:
    """The call's events with what each says."""
    call = flow.server.call(flow.guid)
    return {entry["event"]: entry["details"] for entry in call["callHistory"]}


def test_what_reads_and_sets(flows: Flows) -> None:
    flow = flows.start("caller-waits-for-bye", "callee-answers", "connected")
    server = flow.server
    (listed,) = server.calls(state="connected", calledNumber="2000")
    assert listed == {key: flow.call[key] for key in listed} | {"duration": listed["duration"]}
    assert server.calls(state="queued") == server.calls(calledNumber="200") == []
    assert server.rest("GET", "/sip/session?limit=1")["totalSessions"] == 2
    assert server.rest("GET", "/health")["activeCalls"] == 1
    assert "connections" in server.rest("GET", "/health/connectivity")
    found = server.rest("POST", "/routing/lookup", {"dialedNumber": "2000"})
    assert found["routeDestination"] == f"sip:2000@127.0.0.1:{flow.callee.port}"
    variables = {"callVariables": {"callVariable1": "gold"}, "eccVariables": {"user.tier": "1"}}
    set_ = server.rest("PUT", f"/call/{flow.guid}/variables", variables)
    assert set_ == server.rest("GET", f"/call/{flow.guid}/variables")
    assert set_["callVariables"] == {"callVariable1": "gold"}
    server.terminate(flow.guid)
    flow.finish()
    assert flow.records()[0].ecc_variables == {"user.tier": "1"}


def test_terminate_while_ringing(flows: Flows) -> None:
    flow = flows.start("caller-ended-expect-480", "callee-rings", "ringing")
    flow.wire.wait_for(lambda m: m.status == 180 and m.destination == flow.caller.address)
    assert_api_equals_wire(flow)
    answer = flow.server.terminate(flow.guid)
    assert (answer["callGuid"], answer["status"]) == (flow.guid, "success")
    assert len(flow.records()) == 1  # stored before the answer
    messages = flow.finish()
    assert names(on_leg(messages, flow.caller)) == ["INVITE", "480 INVITE", "ACK"]
    cancelled = ["INVITE", "CANCEL", "200 CANCEL", "487 INVITE", "ACK"]
    assert names(on_leg(messages, flow.callee)) == cancelled
    assert all("cause=16" in m.reason for m in messages if m.name in ("CANCEL", "480 INVITE"))
    assert the_cdr(flow)[0] == "abandoned"


@pytest.mark.parametrize("reason", CAUSES)
def test_terminate_when_answered(flows: Flows, reason: str) -> None:
    flow = flows.start("caller-waits-for-bye", "callee-answers", "connected")
    flow.server.terminate(flow.guid, reason)
    assert len(flow.records()) == 1
    messages = flow.finish()
    for run in (flow.caller, flow.callee):
        (bye,) = [m for m in on_leg(messages, run) if m.name == "BYE"]
        assert bye.source == flow.server.sip
        assert bye.reason == f"Q.850;cause={CAUSES[reason]}"
    result = "error" if reason in ("timeout", "error") else "completed"
    assert the_cdr(flow)[0] == result
    with pytest.raises(RestError) as gone:
        flow.server.call(flow.guid)
    assert gone.value.status == 404


@pytest.mark.parametrize("caller", ["caller-accepts-refer", "caller-stays-after-refer"])
def test_blind_transfer_by_refer(flows: Flows, caller: str) -> None:
    flow = flows.start(caller, "callee-answers", "connected")
    answer = flow.server.transfer(flow.guid, "unused", label="rf2001")
    assert (answer["callGuid"], answer["status"]) == (flow.guid, "pending")
    messages = flow.finish()
    (refer,) = [m for m in messages if m.name == "REFER"]
    assert refer.header("Refer-To") == f"<sip:2001@127.0.0.1:{flow.callee.port}>"
    end = ["BYE", "200 BYE"]
    assert names(on_leg(messages, flow.caller)) == [
        *["INVITE", "200 INVITE", "ACK", "REFER", "202 REFER"],
        *["NOTIFY", "200 NOTIFY", "NOTIFY", "200 NOTIFY", *end],
    ]
    assert names(on_leg(messages, flow.callee)) == ["INVITE", "200 INVITE", "ACK", *end]
    assert the_cdr(flow) == ("transferred", None, [200, 200])
    assert flow.records()[0].transfer_destination == "2001"


def test_blind_transfer_by_reinvite(flows: Flows) -> None:
    flow = flows.start(
        "caller-answers-reinvite",
        "callee-answers",
        "connected",
        target="callee-answers",
        target_ms=1500,
    )
    flow.server.transfer(flow.guid, "3000")
    # The old leg stays until the target answers.
    assert flow.server.call(flow.guid)["state"] == "transferring"
    target = flow.target.address
    flow.wire.wait_for(lambda m: m.status == 180 and m.source == target)
    assert_api_equals_wire(flow)
    call = flow.server.wait_for_history(flow.guid, "transfer_completed")
    assert call["state"] == "connected"
    flow.server.wait_for(lambda: len(flow.server.sessions()) == 2, "the end of the old leg")
    assert_api_equals_wire(flow)
    flow.callee.check()
    flow.server.terminate(flow.guid)
    messages = flow.finish()
    assert names(on_leg(messages, flow.caller)) == [
        *["INVITE", "200 INVITE", "ACK", "INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]
    ]
    # Each ACK to a target waits for the caller's answer.
    (offered,) = [m for m in on_leg(messages, flow.target) if m.name == "INVITE"]
    assert "o=caller 1 1 IN" in offered.body
    assert the_cdr(flow) == ("transferred", None, [200, 200, 200])
    assert flow.records()[0].transfer_destination == "3000"


def test_the_caller_answers_otherwise_than_the_target_was_offered(flows: Flows) -> None:
    flow = flows.start(
        "caller-changes-media", "callee-answers", "connected", target="callee-answers-reinvite"
    )
    flow.server.transfer(flow.guid, "3000")
    flow.server.wait_for_history(flow.guid, "transfer_completed")
    target = flow.target.address
    flow.wire.wait_for(lambda m: m.destination == target and m.cseq == (2, "ACK"))
    assert_api_equals_wire(flow)
    flow.server.terminate(flow.guid)
    flow.finish()
    assert the_cdr(flow)[0] == "transferred"


def test_consultation(flows: Flows) -> None:
    flow = flows.start(
        "caller-is-consulted",
        "callee-answers",
        "connected",
        target="callee-answers",
        target_ms=300,
    )
    flow.server.transfer(flow.guid, "3000", transferType="consultation")
    call = flow.server.wait_for_history(flow.guid, "transfer_completed")
    assert call["state"] == "connected"
    flow.server.terminate(flow.guid)
    flow.finish()
    assert the_cdr(flow)[0] == "transferred"


@pytest.mark.parametrize(
    ("caller", "code"), [("caller-rejects-refer", 603), ("caller-fails-refer", 486)]
)
def test_refer_fails(flows: Flows, caller: str, code: int) -> None:
    flow = flows.start(caller, "callee-answers", "connected")
    flow.server.transfer(flow.guid, "unused", label="rf2001")
    call = flow.server.wait_for_history(flow.guid, "transfer_failed")
    assert call["state"] == "connected"
    assert f"SIP {code}" in history(flow)["transfer_failed"]
    assert_api_equals_wire(flow)
    flow.server.terminate(flow.guid)
    flow.finish()
    assert the_cdr(flow) == ("completed", None, [200, 200])


@pytest.mark.parametrize(
    ("caller", "target", "code"),
    [
        ("caller-rejects-reinvite-488", "callee-answers", 488),
        ("caller-waits-for-bye", "callee-busy-486", 486),
        ("caller-waits-for-bye", "callee-rings", 408),
    ],
)
def test_transfer_by_reinvite_fails(flows: Flows, caller: str, target: str, code: int) -> None:
    flow = flows.start(
        caller, "callee-answers", "connected", target=target, transfer__ring_no_answer=1
    )
    flow.server.transfer(flow.guid, "3000")
    call = flow.server.wait_for_history(flow.guid, "transfer_failed")
    assert call["state"] == "connected"
    assert f"SIP {code}" in history(flow)["transfer_failed"]
    flow.target.check()
    assert_api_equals_wire(flow)
    flow.server.terminate(flow.guid)
    messages = flow.finish()
    # The call went on as it was: nothing but its end came after the failure.
    assert names(on_leg(messages, flow.callee))[3:] == ["BYE", "200 BYE"]
    assert the_cdr(flow)[0] == "completed"


def test_glare(flows: Flows) -> None:
    flow = flows.start("caller-glares-491", "callee-answers", "connected", target="callee-answers")
    flow.server.transfer(flow.guid, "3000")
    call = flow.server.wait_for_history(flow.guid, "transfer_completed")
    assert call["state"] == "connected"
    flow.server.terminate(flow.guid)
    messages = flow.finish(retransmissions=True)  # the target's 200 waits for the caller
    refused, again = (
        m
        for m in on_leg(messages, flow.caller)
        if m.name == "INVITE" and m.source == flow.server.sip
    )
    # The server has not made the Call-ID, so it waits less than the caller would.
    assert again.time - refused.time < 2.5
    assert again.cseq[0] == refused.cseq[0] + 1


def test_the_caller_leaves_while_the_target_rings(flows: Flows) -> None:
    flow = flows.start(
        "caller-hangs-up", "callee-answers", "connected", target="callee-rings", caller_ms=1500
    )
    flow.server.transfer(flow.guid, "3000")
    assert flow.server.call(flow.guid)["state"] == "transferring"
    flow.finish()
    assert the_cdr(flow) == ("completed", None, [200, 200, 487])


def test_no_transfer_while_ringing_or_transferring(flows: Flows) -> None:
    flow = flows.start("caller-cancels", "callee-rings", "ringing", caller_ms=1500)
    with pytest.raises(RestError) as conflict:
        flow.server.transfer(flow.guid, "2001")
    assert conflict.value.status == 409
    flow.finish()


def test_a_second_transfer_waits_for_the_first(flows: Flows) -> None:
    flow = flows.start("caller-waits-for-bye", "callee-answers", "connected", target="callee-rings")
    flow.server.transfer(flow.guid, "3000")
    with pytest.raises(RestError) as conflict:
        flow.server.transfer(flow.guid, "3001")
    assert conflict.value.status == 409
    # Terminate ends all three legs, each in the way its state asks for.
    flow.wire.wait_for(lambda m: m.status == 180 and m.call_id != flow.call["sipCallId"])
    flow.server.terminate(flow.guid)
    flow.finish()
    assert the_cdr(flow)[2] == [200, 200, 487]


def test_the_lab_steered_by_hand(callsim_server: ServerFactory, sipp: SippFactory) -> None:
    """What the README shows: self-service, queue, agent, a transfer, an end, with SIPp's caller."""
    server = callsim_server(lab=True)
    caller = sipp("caller-is-steered", server.sip, service="7001")
    call = server.wait_for_call("connected")
    server.transfer(call["callGuid"], "1002")
    server.wait_for_history(call["callGuid"], "transfer_completed")
    server.terminate(call["callGuid"], "requested")
    caller.check()
    assert server.cdrs()[0].call_result == "transferred"
