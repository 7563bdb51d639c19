"""Session timers (RFC 4028) with SIPp at both ends; intervals of seconds, as no real peer has."""

from typing import Any, Final

from tests.scenarios.flow import Flows, names, on_leg, the_cdr

WHOLE: Final = ["INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]
REFRESHED: Final = ["UPDATE", "200 UPDATE"]
REINVITED: Final = ["INVITE", "200 INVITE", "ACK"]
BRIEF: Final[dict[str, Any]] = {"sip__session_timer__min_se": 2}


def test_the_server_refreshes_both_legs(flows: Flows) -> None:
    """Section 10: at half the interval; UPDATE where Allow has it, else re-INVITE."""
    flow = flows.start("caller-is-refreshed", "callee-is-refreshed", caller_ms=500, **BRIEF)
    messages = flow.finish()
    to_caller = on_leg(messages, flow.caller)
    assert names(to_caller) == [*WHOLE[:3], *REFRESHED, *REFRESHED, *WHOLE[3:]]
    answered, first, second = (m.time for m in to_caller if m.name in ("200 INVITE", "UPDATE"))
    assert 1.8 < first - answered < 2.8
    assert 1.8 < second - first < 2.8
    to_callee = names(on_leg(messages, flow.callee))
    assert [name for name in to_callee if name != "180 INVITE"] == [
        *WHOLE[:3], *REINVITED, *REINVITED, *WHOLE[3:],
    ]  # fmt: skip
    assert the_cdr(flow)[0] == "completed"


def test_both_far_ends_refresh(flows: Flows) -> None:
    """Section 9, and what refreshes one leg goes no further."""
    flow = flows.start(
        "caller-refreshes", "callee-refreshes", caller_ms=1200, callee_ms=1500, **BRIEF
    )
    messages = flow.finish()
    to_caller = names(on_leg(messages, flow.caller))
    assert to_caller == [*WHOLE[:3], *REFRESHED, *REINVITED, *WHOLE[3:]]
    to_callee = names(on_leg(messages, flow.callee))
    assert [name for name in to_callee if name != "180 INVITE"] == [
        *WHOLE[:3], *REFRESHED, *WHOLE[3:],
    ]  # fmt: skip
    assert the_cdr(flow)[0] == "completed"


def test_an_agent_falls_silent(flows: Flows) -> None:
    """Section 10: BYE a third of the interval before it is over, with its reason."""
    flow = flows.start("caller-waits-for-bye", "callee-falls-silent", **BRIEF)
    to_callee = on_leg(flow.finish(), flow.callee)
    answered, bye = (m.time for m in to_callee if m.name in ("200 INVITE", "BYE"))
    assert 1.8 < bye - answered < 2.8
    assert the_cdr(flow)[:2] == ("error", "408")


def test_an_interval_too_brief(flows: Flows) -> None:
    flow = flows.alone("caller-too-brief-expect-422")
    assert names(on_leg(flow.finish(), flow.caller)) == ["INVITE", "422 INVITE", "ACK"]
    assert flow.records() == []
