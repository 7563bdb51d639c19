"""The verdict of the mix: a record that says something else than its ends is found out."""

from dataclasses import replace
from typing import Any

import pytest

from simulator.cdr_events import (
    BLIND_TRANSFER,
    BY_REFER,
    CALL_ABANDON,
    CALL_TRANSFER,
    CALL_TRANSFERRED,
    CALLBACK_REQUESTED,
    CALLED_PARTY_DISCONNECTED,
    CAUSE_BUSY,
    ERROR,
    RUN_SCRIPT,
    Mark,
)
from simulator.cdr_records import CdrRecord, LegRecord
from tests.soak.ends import End
from tests.soak.mix_phones import Partner, Referral
from tests.soak.mix_verdict import Asked, judge

# A call of ten seconds: answered after one, an agent hears BYE when the caller has hung up.
AGENT = End(
    "out", False, "1001", answered=True, status=200, left=False, over=True,
    ended_by="server", ended_at=10.0, reason="Q.850;cause=16",
)  # fmt: skip
CALLER = replace(
    AGENT, leg_id="in", outgoing=True, number="6000", left=True, ended_by="phone",
    partners=(Partner(1.0, "out", "1001"),),
)  # fmt: skip
GATEWAY = replace(AGENT, number="777000000000001")
WAITING = replace(CALLER, partners=(Partner(1.0, "out", GATEWAY.number),))
QUEUED: Mark = (1000, RUN_SCRIPT, 0, 0, "support")
MOVED: Mark = (1000, CALL_TRANSFER, 1, 1, "1001")
SENT_OFF: Mark = (9000, BLIND_TRANSFER, 1, BY_REFER, "1002")
ABANDONED = {"call_result": "abandoned", "cause_id": CALL_ABANDON}
TRANSFERRED = {"call_result": "transferred", "cause_id": CALL_TRANSFERRED}
REFERRED = replace(CALLER, referrals=(Referral(8.5, "1002", accepted=8.6),))


def record(**changes: Any) -> CdrRecord:
    legs = [
        LegRecord("in", "G", "inbound", 0, 10_000, sip_response_code=200, answer_time=1000),
        LegRecord("out", "G", "outbound", 0, 10_000, sip_response_code=200, answer_time=1000),
    ]
    return replace(CdrRecord("G", 0, 10_000, legs=legs), **changes)


def found(changes: dict[str, Any], *ends: End, asked: Asked | None = None) -> list[str]:
    return judge(record(**changes), ends, asked or Asked(), 0.0)


HUNG_UP_ON = replace(CALLER, left=False, ended_by="server")
HANGS_UP = replace(AGENT, left=True, ended_by="phone")
BY_AGENT = {"cause_id": CALLED_PARTY_DISCONNECTED}


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({}, [CALLER, AGENT]),
        (BY_AGENT, [HUNG_UP_ON, HANGS_UP]),
        ({**ABANDONED, "marks": [QUEUED]}, [WAITING, GATEWAY]),
        ({}, [WAITING, GATEWAY]),
        ({**TRANSFERRED, "marks": [MOVED]}, [CALLER, AGENT]),
        ({**TRANSFERRED, "marks": [SENT_OFF]}, [REFERRED, AGENT]),
    ],
)
def test_what_agrees(changes: dict[str, Any], ends: list[End]) -> None:
    assert found(changes, *ends) == []


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({}, [CALLER]),
        ({}, [CALLER, replace(AGENT, over=False)]),
        ({}, [CALLER, replace(AGENT, answered=False, status=486)]),
        ({}, [HUNG_UP_ON, AGENT]),
        ({}, [HUNG_UP_ON, HANGS_UP]),
        (BY_AGENT, [CALLER, AGENT]),
        ({}, [replace(CALLER, ended_at=9.0), AGENT]),
        ({"error_code": "486"}, [CALLER, AGENT]),
        (ABANDONED, [CALLER, AGENT]),
        (ABANDONED, [WAITING, GATEWAY]),
        ({"marks": [QUEUED]}, [WAITING, GATEWAY]),
        ({"call_result": "error", "cause_id": ERROR}, [CALLER, AGENT]),
        (TRANSFERRED, [CALLER, AGENT]),
        ({"marks": [MOVED]}, [CALLER, AGENT]),
        ({**TRANSFERRED, "marks": [(5000, *MOVED[1:])]}, [CALLER, AGENT]),
        ({**TRANSFERRED, "marks": [SENT_OFF]}, [CALLER, AGENT]),
        ({}, [REFERRED, AGENT]),
    ],
)
def test_what_does_not(changes: dict[str, Any], ends: list[End]) -> None:
    assert found(changes, *ends) != []


def test_a_refusal_with_another_code() -> None:
    refused = End("in", True, "9486", answered=False, status=486, left=False, over=True)
    legs = [LegRecord("in", "G", "inbound", 0, 1, sip_response_code=486)]
    error = {"call_result": "error", "error_code": "486", "cause_id": CAUSE_BUSY, "legs": legs}
    assert found(error, refused) == []
    assert found({**error, "error_code": "404"}, refused) != []
    assert found({**error, "cause_id": ERROR}, refused) != []
    redirected = replace(refused, status=302)
    there = [replace(legs[0], sip_response_code=302)]
    assert found({**error, "legs": there}, redirected) == []


def test_who_gives_up_before_the_answer() -> None:
    left = End("in", True, "6000", answered=False, status=487, left=True, over=True)
    legs = [LegRecord("in", "G", "inbound", 0, 1, sip_response_code=487)]
    abandoned = {**ABANDONED, "error_code": "487", "legs": legs}
    assert found(abandoned, left) == []
    assert found(abandoned, replace(left, left=False)) != []
    assert found({**abandoned, "call_result": "completed"}, left) != []


def test_a_command_that_ended_the_call() -> None:
    ends = [HUNG_UP_ON, AGENT]
    assert found({}, *ends, asked=Asked("requested")) == []
    assert found({}, *ends, asked=Asked("error")) != []
    error = {"call_result": "error", "cause_id": ERROR}
    assert found(error, *ends, asked=Asked("timeout")) == []
    assert found(error, *ends) != []


def test_digits_that_were_all_sent() -> None:
    label = "DTMF*8,,,44"
    asked = Asked(digits=[(8.0, label)])
    changes = {**TRANSFERRED, "marks": [(10_000, BLIND_TRANSFER, 1, 3, label)]}
    digits = (8.1, 8.3, 8.5, 9.0)
    assert found(changes, replace(CALLER, digits=digits), AGENT, asked=asked) == []
    assert found({}, replace(CALLER, digits=digits), AGENT, asked=asked) != []
    assert found({}, replace(CALLER, digits=digits[:2]), AGENT, asked=asked) == []


def test_joined_to_a_target_that_the_record_does_not_know() -> None:
    legs = record().legs
    other = [legs[0], replace(legs[1], leg_type="transfer")]
    assert found({"legs": other}, CALLER, AGENT) != []
    moved = {**TRANSFERRED, "marks": [MOVED], "legs": other}
    assert found(moved, CALLER, AGENT) == []


def test_who_was_called_back() -> None:
    """It has its place in the queue until the script goes on; not reached, it has abandoned."""
    first, gateway = record().legs
    asked = replace(CALLER, left=False, ended_by="server", ended_at=3.0, partners=())
    there = replace(GATEWAY, ended_at=3.0)
    back = replace(AGENT, leg_id="back", number="5551234", left=True, ended_by="phone")
    leg = replace(first, leg_id="back", leg_type="outbound", kind="callback", answer_time=7000)
    requested: Mark = (3000, CALLBACK_REQUESTED, 0, 0, "5551234")
    marks = [(1000, RUN_SCRIPT, 0, 0, "offer"), requested]
    changes = {"marks": marks, "legs": [first, gateway, leg]}
    assert found({**changes, **ABANDONED}, asked, there, back) == []
    assert found(changes, asked, there, back) != []
    confirms = [*marks, (7500, RUN_SCRIPT, 0, 0, "confirm")]
    assert found({**changes, "marks": confirms}, asked, there, back) == []
    gone = {"marks": marks, "legs": [first, gateway], **ABANDONED}
    assert found(gone, asked, there) == []
    assert found({**gone, "call_result": "completed", "cause_id": 1}, asked, there) != []
