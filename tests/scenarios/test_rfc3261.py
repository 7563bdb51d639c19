"""What RFC 3261 says of the hard moments of a call, with SIPp at both ends."""

import pytest

from scenarios.capture import Captured
from tests.scenarios.flow import Flow, Flows, assert_api_equals_wire, names, on_leg, the_cdr

WHOLE = ["INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]
PATIENT = ["-pause_msg_ign"]  # SIPp misses what comes in a pause


def legs(flow: Flow, messages: list[Captured]) -> tuple[list[str], list[str]]:
    """What was said with the caller, and with the callee."""
    return names(on_leg(messages, flow.caller)), names(on_leg(messages, flow.callee))


def test_early_media(flows: Flows) -> None:
    flow = flows.start("caller-hears-early", "callee-plays-early", "ringing", callee_ms=500)
    assert_api_equals_wire(flow)
    messages = flow.finish()
    assert legs(flow, messages) == (WHOLE, WHOLE)
    (early,) = [m for m in on_leg(messages, flow.caller) if m.status == 183]
    (answer,) = [m for m in on_leg(messages, flow.caller) if m.name == "200 INVITE"]
    assert early.body == answer.body != ""
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_a_late_ack(flows: Flows) -> None:
    """RFC 3261 section 13.3.1.4: the ACK ends the repetition, whenever it comes."""
    flow = flows.start(
        "caller-acks-late", "callee-answers", caller_ms=800, options=PATIENT, sip__t1=0.1
    )
    messages = flow.finish(retransmissions=True)
    seen = [m.name for m in on_leg(messages, flow.caller)]
    assert seen.count("200 INVITE") in (3, 4)  # at 0, 100, 300 and, a little late, 700 ms
    after = seen[seen.index("ACK") :]
    assert after == ["ACK", "BYE", "200 BYE"]
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_an_ack_after_the_end(flows: Flows) -> None:
    flow = flows.start("caller-acks-after-bye", "callee-answers", sip__t1=0.03)
    messages = on_leg(flow.finish(retransmissions=True), flow.caller)
    sent = [m.time for m in messages if m.name == "200 INVITE"]
    (bye,) = [m for m in messages if m.name == "BYE"]
    assert 0.95 < (bye.time - sent[0]) / (64 * 0.03) < 1.5
    assert names(messages)[-3:] == ["BYE", "ACK", "200 BYE"]
    assert the_cdr(flow)[:2] == ("error", "408")


def test_a_repeated_200_is_acknowledged_again(flows: Flows) -> None:
    """RFC 3261 section 13.2.2.4, also when the ACK waited for that of the caller."""
    flow = flows.start(
        "caller-hangs-up", "callee-repeats-200", caller_ms=700, callee_options=[*PATIENT, "-nr"]
    )
    messages = on_leg(flow.finish(retransmissions=True), flow.callee)
    acks = [m for m in messages if m.name == "ACK"]
    assert len(acks) == 3
    assert len({ack.data for ack in acks}) == 1
    assert [m.name for m in messages].count("200 INVITE") == 3


def test_bye_follows_an_unanswered_reinvite(flows: Flows) -> None:
    flow = flows.start("caller-reinvites-and-hangs-up", "callee-answers-no-reinvite", caller_ms=300)
    messages = flow.finish()
    to_caller, to_callee = legs(flow, messages)
    assert sorted(to_caller[3:]) == ["200 BYE", "487 INVITE", "ACK", "BYE", "INVITE"]
    assert to_callee[3:] == ["INVITE", "BYE", "200 BYE", "487 INVITE", "ACK"]
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_bye_of_the_far_leg_crosses_a_reinvite(flows: Flows) -> None:
    flow = flows.start("caller-holds-expect-491", "callee-hangs-up-on-reinvite", caller_ms=300)
    messages = flow.finish()
    to_caller, to_callee = legs(flow, messages)
    assert sorted(to_caller[3:]) == ["200 BYE", "491 INVITE", "ACK", "BYE", "INVITE"]
    assert to_callee[3:] == ["INVITE", "BYE", "200 BYE", "481 INVITE", "ACK"]
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_a_reinvite_crosses_our_bye(flows: Flows) -> None:
    flow = flows.start("caller-reinvites-after-bye", "callee-answers")
    flow.server.terminate(flow.guid)
    to_caller, _ = legs(flow, flow.finish())
    assert to_caller[3:] == ["BYE", "INVITE", "481 INVITE", "ACK", "200 BYE"]
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_bye_crosses_our_reinvite(flows: Flows) -> None:
    flow = flows.start("caller-hangs-up-on-reinvite", "callee-answers", target="callee-answers")
    flow.server.transfer(flow.guid, "3000")
    to_caller, _ = legs(flow, flow.finish())
    assert to_caller[3:] == ["INVITE", "BYE", "200 BYE", "481 INVITE", "ACK"]
    assert the_cdr(flow) == ("completed", None, [200, 200, 200])


def test_cancel_crosses_our_200(flows: Flows) -> None:
    flow = flows.start("caller-cancels-late", "callee-answers", None)
    messages = flow.finish()
    cancelled = ["INVITE", "200 INVITE", "CANCEL", "200 CANCEL", "ACK", "BYE", "200 BYE"]
    assert legs(flow, messages) == (cancelled, WHOLE)
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_our_cancel_crosses_a_200(flows: Flows) -> None:
    flow = flows.start("caller-cancels", "callee-answers-cancelled", None, caller_ms=100)
    messages = flow.finish(retransmissions=True)  # tshark confuses the two 200
    _, to_callee = legs(flow, messages)
    assert to_callee == ["INVITE", "CANCEL", "200 CANCEL", "200 INVITE", "ACK", "BYE", "200 BYE"]
    assert the_cdr(flow) == ("abandoned", "487", [487, 487])


def test_a_forked_callee(flows: Flows) -> None:
    flow = flows.start("caller-waits-for-bye", "callee-forks")
    other = flow.wire.wait_for(lambda m: m.name == "200 BYE")
    assert other.to_tag[0] == "b"
    (session,) = [
        s for s in flow.server.sessions(flow.guid) if s["callId"] != flow.call["sipCallId"]
    ]
    assert (session["toTag"][0], session["state"]) == ("a", "confirmed")
    flow.server.terminate(flow.guid)
    messages = on_leg(flow.finish(retransmissions=True), flow.callee)  # tshark sees no forks
    forks = {
        tag: [m.name for m in messages if tag in (m.to_tag[:1], m.from_tag[:1])] for tag in "ab"
    }
    assert forks["a"] == ["180 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]
    assert forks["b"] == ["183 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]
    # The caller hears of one answer only.
    to_caller, _ = legs(flow, flow.wire.messages())
    assert to_caller == WHOLE
    assert the_cdr(flow) == ("completed", None, [200, 200])


@pytest.mark.parametrize("callee", ["callee-behind-loose-proxy", "callee-behind-strict-proxy"])
def test_a_callee_behind_proxies(flows: Flows, callee: str) -> None:
    flow = flows.start("caller-hangs-up", callee, caller_ms=200)
    assert legs(flow, flow.finish()) == (WHOLE, WHOLE)


def test_a_caller_behind_proxies(flows: Flows) -> None:
    flow = flows.start("caller-behind-proxy", "callee-answers")
    flow.server.terminate(flow.guid)
    assert legs(flow, flow.finish()) == (WHOLE, WHOLE)


def test_hops_are_counted(flows: Flows) -> None:
    flow = flows.start("caller-hangs-up", "callee-answers", None)
    (invite,) = [m for m in on_leg(flow.finish(), flow.callee) if m.name == "INVITE"]
    assert invite.header("Max-Forwards") == "69"


def test_no_hop_is_left(flows: Flows) -> None:
    flow = flows.alone("caller-out-of-hops-expect-483")
    assert names(flow.finish()) == ["INVITE", "483 INVITE", "ACK"]


def test_an_unknown_extension(flows: Flows) -> None:
    flow = flows.start("caller-requires-expect-420", "callee-answers", None)
    to_caller, to_callee = legs(flow, flow.finish())
    assert to_caller[:3] == ["INVITE", "420 INVITE", "ACK"]
    assert to_caller[3:] == to_callee == WHOLE


def test_an_invite_expires(flows: Flows) -> None:
    flow = flows.start("caller-expires-expect-487", "callee-rings", "ringing")
    messages = flow.finish()
    (end,) = [
        m for m in messages if m.name == "487 INVITE" and m.destination == flow.caller.address
    ]
    assert 0.9 < end.time - messages[0].time < 1.5
    assert "CANCEL" in legs(flow, messages)[1]
    assert the_cdr(flow) == ("abandoned", "487", [487, 487])


def test_a_refusal_with_its_warning(flows: Flows) -> None:
    flow = flows.start("caller-rejected-expect-488", "callee-rejects-488", None)
    flow.finish()
    assert the_cdr(flow) == ("error", "488", [488, 488])


def test_a_callee_that_is_out_of_order(flows: Flows) -> None:
    flow = flows.start("caller-turned-away-expect-503", "callee-overloaded-503", None)
    messages = flow.finish()
    (turned,) = [m for m in messages if m.status == 503 and m.destination == flow.caller.address]
    assert turned.header("Retry-After") == "7"


def test_more_calls_than_the_server_takes(flows: Flows) -> None:
    flow = flows.alone("caller-turned-away-expect-503", server__max_calls=0)
    assert names(flow.finish()) == ["INVITE", "503 INVITE", "ACK"]


def test_several_streams(flows: Flows) -> None:
    flow = flows.start("caller-offers-video", "callee-rejects-video", caller_ms=200)
    messages = flow.finish()
    bodies = {m.body for m in messages if m.name in ("INVITE", "200 INVITE")}
    assert len(bodies) == 2  # offer and answer pass as they are


@pytest.mark.parametrize(
    ("caller", "callee"),
    [
        ("caller-writes-compact", "callee-answers"),
        ("caller-hangs-up", "callee-writes-compact"),
    ],
)
def test_header_forms(flows: Flows, caller: str, callee: str) -> None:
    flow = flows.start(caller, callee, caller_ms=200)
    assert legs(flow, flow.finish()) == (WHOLE, WHOLE)
