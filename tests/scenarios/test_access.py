"""SIPp asks and is asked for credentials, and has moved."""

from scenarios.runner import LOOPBACK
from tests.scenarios.flow import Flows, names, on_leg, the_cdr

HOLD = 600
WHOLE = ["INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]


def test_a_caller_authenticates(flows: Flows) -> None:
    """RFC 3261 22.2, by SIPp's own digest (MD5)."""
    flow = flows.start(
        "caller-authenticates",
        "callee-answers",
        caller_ms=HOLD,
        sip__authentication__users__1000="secret",
        sip__authentication__algorithms="MD5",
    )
    messages = flow.finish()
    assert names(on_leg(messages, flow.caller)) == ["INVITE", "401 INVITE", "ACK", *WHOLE]
    assert names(on_leg(messages, flow.callee)) == WHOLE
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_a_callee_asks(flows: Flows) -> None:
    """RFC 3261 22.1, verified by SIPp's own digest; the caller sees nothing of it."""
    flow = flows.start(
        "caller-hangs-up",
        "callee-asks-who-calls",
        caller_ms=HOLD,
        sip__credentials="[{user: callsim, password: secret, realm: gateway}]",
    )
    messages = flow.finish()
    assert names(on_leg(messages, flow.caller)) == WHOLE
    assert names(on_leg(messages, flow.callee)) == ["INVITE", "401 INVITE", "ACK", *WHOLE]
    assert the_cdr(flow) == ("completed", None, [200, 200])


def test_a_callee_has_moved(flows: Flows) -> None:
    """RFC 3261 8.1.3.4, to a user part that no route leads to."""
    flow = flows.start(
        "caller-hangs-up", "callee-has-moved", caller_ms=HOLD, transfer__hosts=LOOPBACK
    )
    messages = flow.finish()
    assert names(on_leg(messages, flow.caller)) == WHOLE
    assert names(on_leg(messages, flow.callee)) == ["INVITE", "302 INVITE", "ACK", *WHOLE]
    assert the_cdr(flow) == ("completed", None, [200, 200])
