"""The verdict of the mix: a record that says something else than its ends is found out."""

from dataclasses import replace

import pytest

from simulator.cdr_records import CdrRecord, LegRecord
from tests.soak.ends import End, judge

CALLER = End("in", True, "6000", True, 200, left=True, told=False, reason="", over=True)
AGENT = End("out", False, "1001", True, 200, left=False, told=True, reason="", over=True)


def record(**changes: object) -> CdrRecord:
    legs = [
        LegRecord("in", "G", "inbound", 0, 1, sip_response_code=200),
        LegRecord("out", "G", "outbound", 0, 1, sip_response_code=200),
    ]
    return replace(CdrRecord("G", 0, 1, legs=legs), **changes)  # type: ignore[arg-type]


def test_what_agrees() -> None:
    assert judge(record(), [CALLER, AGENT]) == []
    assert judge(record(call_result="transferred"), [CALLER, AGENT]) == []


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({}, [CALLER]),
        ({}, [CALLER, replace(AGENT, over=False)]),
        ({}, [CALLER, replace(AGENT, answered=False, status=486)]),
        ({}, [replace(CALLER, left=False), AGENT]),
        ({"call_result": "abandoned"}, [replace(CALLER, left=False), AGENT]),
        ({"call_result": "error"}, [replace(CALLER, left=False), AGENT]),
        ({"call_result": "transferred"}, [CALLER, replace(AGENT, answered=False, status=486)]),
    ],
)  # fmt: skip
def test_what_does_not(changes: dict[str, object], ends: list[End]) -> None:
    assert judge(record(**changes), ends) != []


def test_a_refusal_with_another_code() -> None:
    refused = replace(CALLER, answered=False, status=486)
    legs = [LegRecord("in", "G", "inbound", 0, 1, sip_response_code=486)]
    assert judge(record(call_result="error", error_code="486", legs=legs), [refused]) == []
    assert judge(record(call_result="error", error_code="404", legs=legs), [refused]) != []
