"""Extensions of SIP, carried header fields and odd peers, with SIPp at both ends."""

from typing import Any

from tests.scenarios.flow import Flow, Flows, assert_api_equals_wire, names, on_leg, the_cdr

WHOLE = ["INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]
PRACKED = ["INVITE", "PRACK", "200 PRACK", "200 INVITE", "ACK", "BYE", "200 BYE"]


def told(flow: Flow) -> list[str]:
    """The oddities in the call's history, without their clauses."""
    history: list[Any] = flow.server.call(flow.guid)["callHistory"]
    odd = [entry["details"] for entry in history if entry["event"] == "peer_oddity"]
    return [text.partition(" (")[0] for text in odd]


def test_the_caller_requires_prack(flows: Flows) -> None:
    """RFC 3262: on one leg, and not on the other, which is without it."""
    flow = flows.start("caller-requires-prack", "callee-answers", None, callee_ms=200)
    messages = flow.finish()
    assert names(on_leg(messages, flow.caller)) == PRACKED
    assert names(on_leg(messages, flow.callee)) == WHOLE
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_the_callee_rings_reliably(flows: Flows) -> None:
    flow = flows.start("caller-hangs-up", "callee-rings-reliably", caller_ms=300)
    messages = flow.finish()
    assert names(on_leg(messages, flow.caller)) == WHOLE
    assert names(on_leg(messages, flow.callee)) == PRACKED


def test_an_answer_in_prack(flows: Flows) -> None:
    """RFC 3262 section 5: the offer in the 183, the answer in PRACK, through both legs."""
    flow = flows.start("caller-answers-in-prack", "callee-offers-reliably", caller_ms=300)
    assert_api_equals_wire(flow)
    messages = flow.finish()
    for run in (flow.caller, flow.callee):
        (prack,) = [m for m in on_leg(messages, run) if m.name == "PRACK"]
        assert "o=caller 1 1 IN" in prack.body


def test_update(flows: Flows) -> None:
    """RFC 3311, in an established call: it is held."""
    flow = flows.start("caller-updates", "callee-is-updated", "on_hold", caller_ms=300)
    assert_api_equals_wire(flow)
    messages = flow.finish()
    for run in (flow.caller, flow.callee):
        assert names(on_leg(messages, run))[3:5] == ["UPDATE", "200 UPDATE"]


def test_update_before_the_answer(flows: Flows) -> None:
    flow = flows.start("caller-updates-early", "callee-is-updated-early", None, callee_ms=200)
    messages = flow.finish()
    for run in (flow.caller, flow.callee):
        seen = names(on_leg(messages, run))
        # Each leg has its own PRACK: that of one need not wait for that of the other.
        assert sorted(seen[1:5]) == ["200 PRACK", "200 UPDATE", "PRACK", "UPDATE"]
        assert seen[5:] == ["200 INVITE", "ACK", "BYE", "200 BYE"]


def test_refer_without_a_subscription(flows: Flows) -> None:
    """RFC 4488: the agent is called and joined; nobody is notified."""
    flow = flows.start(
        "caller-refers-quietly", "callee-is-joined", target="callee-answers", caller_ms=300
    )
    flow.caller.check()  # the server said BYE: the other two talk to each other
    flow.server.terminate(flow.guid)
    messages = flow.finish()
    quiet = ["INVITE", "200 INVITE", "ACK", "REFER", "202 REFER", "BYE", "200 BYE"]
    assert names(on_leg(messages, flow.caller)) == quiet


def test_a_phone_logs_in_and_out(flows: Flows) -> None:
    """RFC 3261 section 10."""
    flow = flows.alone("caller-registers")
    assert names(flow.finish()) == ["REGISTER", "200 REGISTER"] * 3


def test_a_gateway_of_rfc_2543(flows: Flows) -> None:
    flow = flows.start("caller-is-rfc2543", "callee-answers", caller_ms=300)
    assert told(flow)[:4] == [
        "caller: From has no tag",
        "caller: the branch of Via has no magic cookie",
        "caller: INVITE has no Contact",
        "caller: Max-Forwards is missing or no number",
    ]
    assert told(flow)[4:] == ["callee: the transport of Contact is in capitals"]
    flow.finish()
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_a_sloppy_callee(flows: Flows) -> None:
    flow = flows.start("caller-hangs-up", "callee-is-sloppy", caller_ms=300)
    assert told(flow) == [
        "callee: To of a response has no tag",
        "callee: a provisional response has no Contact",
        "callee: a 2xx has no Contact",
    ]
    flow.finish()
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_header_fields_that_are_carried(flows: Flows) -> None:
    """RFC 3323, 3325, 5806, 7044, 7433, 3326: as they are, each in its order."""
    flow = flows.start("caller-says-who-it-is", "callee-says-who-it-is", caller_ms=200)
    messages = flow.finish()
    invites = [
        next(m for m in on_leg(messages, run) if m.name == "INVITE")
        for run in (flow.caller, flow.callee)
    ]
    first, second = (
        [line for line in invite.head.split("\r\n") if line.partition(":")[0] in CARRIED]
        for invite in invites
    )
    assert len(first) == 12
    assert first == second


CARRIED = (
    "P-Asserted-Identity P-Preferred-Identity Privacy Remote-Party-ID Diversion History-Info "
    "User-to-User Call-Info Subject X-Custom"
).split()


def test_digits(flows: Flows) -> None:
    """RFC 2976, RFC 6086 section 3: bodies pass as they are."""
    flow = flows.start("caller-sends-digits", "callee-gets-digits", caller_ms=100)
    messages = flow.finish()
    sent, received = (
        [m.body for m in on_leg(messages, run) if m.name == "INFO"]
        for run in (flow.caller, flow.callee)
    )
    assert sent == received
    assert len(sent) == 2


def test_a_body_of_several_parts(flows: Flows) -> None:
    """RFC 5621: the description alone goes on."""
    flow = flows.start("caller-sends-multipart", "callee-answers", caller_ms=200)
    messages = flow.finish()
    (invite,) = [m for m in on_leg(messages, flow.callee) if m.name == "INVITE"]
    assert invite.header("Content-Type") == "application/sdp"
    assert "o=caller 1 1 IN" in invite.body
    assert "UUS" not in invite.body
