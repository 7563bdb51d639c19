"""CallEvent rows [RG] from a record: its legs, and what its history had besides."""

import pytest

from simulator.cdr_events import (
    ABANDON,
    ANSWER,
    APP_SESSION_COMPLETE,
    BUSY,
    CALL_TRANSFER,
    CALL_TRANSFERRED,
    CALL_TYPES,
    CALLER_CANCELED,
    CAUSE_BUSY,
    CAUSES,
    CONNECT_FAILURE,
    DISCONNECT,
    ERROR,
    EVENT_TYPES,
    INVALID_NUMBER,
    NEW_CALL,
    NO_ANSWER,
    RUN_SCRIPT,
    SUB_SYSTEMS,
    CallEvent,
    events_of,
    failure_of,
)
from simulator.cdr_records import CdrRecord, LegRecord

START = 1_700_000_000_000


def leg(kind: str, number: str, start: int, answer: int | None, end: int) -> LegRecord:
    return LegRecord(
        leg_id=f"id-{number}",
        call_guid="G",
        leg_type="inbound" if kind == "caller" else "outbound",
        start_time=START + start,
        end_time=START + end,
        to_uri=f"sip:{number}@10.0.0.1:5060",
        answer_time=None if answer is None else START + answer,
        kind=kind,
    )


def told(events: list[CallEvent]) -> list[tuple[str, int, int, int, str]]:
    return [
        (e.call_leg_id, e.event_time - START, e.event_type_id, e.cause_id, e.transfer_label)
        for e in events
    ]


def test_a_plain_call() -> None:
    record = CdrRecord("G", START, START + 900, call_server_hostname="cs", cause_id=1)
    record.legs = [leg("caller", "7000", 0, 50, 900), leg("callee", "1002", 10, 40, 900)]
    events = events_of(record)
    assert told(events) == [
        ("id-7000", 0, NEW_CALL, 0, ""),
        ("id-1002", 40, ANSWER, 0, "1002"),
        ("id-7000", 900, DISCONNECT, 1, ""),
        ("id-1002", 900, DISCONNECT, 1, ""),
    ]
    assert {event.message_bus_name for event in events} == {"cs"}
    assert [event.event_type for event in events[:2]] == ["New Call", "Answer"]


def test_a_call_through_the_vru_to_an_agent_after_a_busy_one() -> None:
    record = CdrRecord("G", START, START + 900, cause_id=1)
    record.legs = [
        leg("caller", "7000", 0, 50, 900),
        leg("vxml", "7771", 10, 40, 300),
        leg("agent", "1001", 300, None, 350),
        leg("agent", "1002", 360, 400, 900),
    ]
    record.marks = [
        (50, RUN_SCRIPT, 0, 0, "support"),
        (350, BUSY, CAUSE_BUSY, 0, "1001"),
        (400, CALL_TRANSFER, 1, 1, "1002"),
    ]
    assert told(events_of(record)) == [
        ("id-7000", 0, NEW_CALL, 0, ""),
        ("id-7771", 40, ANSWER, 0, "7771"),
        ("id-7000", 50, RUN_SCRIPT, 0, "support"),
        ("id-7771", 300, APP_SESSION_COMPLETE, 1, ""),
        ("id-7771", 300, DISCONNECT, CALL_TRANSFERRED, ""),
        ("id-1001", 350, BUSY, CAUSE_BUSY, "1001"),
        ("id-1002", 400, ANSWER, 0, "1002"),
        ("id-1002", 400, CALL_TRANSFER, 1, "1002"),
        ("id-7000", 900, DISCONNECT, 1, ""),
        ("id-1002", 900, DISCONNECT, 1, ""),
    ]


def test_an_abandoned_call() -> None:
    record = CdrRecord("G", START, START + 900, call_result="abandoned", cause_id=2)
    record.legs = [leg("caller", "7000", 0, None, 900), leg("agent", "1002", 10, None, 900)]
    assert told(events_of(record))[1:] == [
        ("id-7000", 900, ABANDON, 2, ""),
        ("id-1002", 900, DISCONNECT, CALLER_CANCELED, ""),
    ]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (486, (BUSY, CAUSE_BUSY)),
        (600, (BUSY, CAUSE_BUSY)),
        (408, (NO_ANSWER, 6)),
        (480, (NO_ANSWER, 6)),
        (404, (CONNECT_FAILURE, INVALID_NUMBER)),
        (500, (CONNECT_FAILURE, ERROR)),
        (0, (CONNECT_FAILURE, ERROR)),
    ],
)
def test_failures(status: int, expected: tuple[int, int]) -> None:
    """404 is CONNECT_FAILURE for sure, the others are inferred (CVP.md section 1)."""
    assert failure_of(status) == expected


def test_the_numbers_are_those_of_the_reporting_guide() -> None:
    assert (EVENT_TYPES[11], EVENT_TYPES[18], EVENT_TYPES[20]) == (
        "Run Script",
        "ReqICMLabel",
        "Callback Requested",
    )
    assert set(EVENT_TYPES) == {*range(12), 16, 17, 18, *range(20, 30)}
    assert (CAUSES[13], CAUSES[28], CAUSES[1040]) == (
        "Called Party Disconnected",
        "Caller Canceled",
        "CVP System Unavailable",
    )
    assert SUB_SYSTEMS == {0: "SIP", 1: "IVR", 2: "VXML", 6: "ICM"}
    assert CALL_TYPES[4] == "SIP"


def test_the_router_call_key() -> None:
    record = CdrRecord("G", 0, 0, icm_call_key="152340-4711-2")
    key = (record.router_call_key_day, record.router_call_key)
    assert (*key, record.router_call_key_sequence_number) == (152340, 4711, 2)
    assert CdrRecord("G", 0, 0).router_call_key is None
    assert CdrRecord("G", 0, 0, icm_call_key="1-x").router_call_key is None
