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


def test_the_router_call_key_of_a_former_version() -> None:
    """It had no sequence number."""
    record = CdrRecord("G", 0, 0, icm_call_key="152340-4711")
    assert (record.router_call_key_day, record.router_call_key) == (152340, 4711)
    assert record.router_call_key_sequence_number is None


@pytest.mark.parametrize(
    ("from_uri", "ecc", "expected"),
    [
        ("sip:+15551234@h;isup-oli=62", {}, "62"),
        ("sip:+15551234@h;user=phone;oli=00;noa=national", {}, "00"),
        ("sip:+15551234;oli=27@h;user=phone", {}, "27"),
        ("sip:anonymous@h", {"user.sip.p_asserted_identity": "<sip:1@h;isup-oli=63>"}, "63"),
        ("sip:1@h", {"user.gtd.oli": "70"}, "70"),
        ("sip:1@h;isup-oli=x;folio=1", {}, ""),
        ("sip:1@h", {}, ""),
    ],
)
def test_ii_digits(from_uri: str, ecc: dict[str, str], expected: str) -> None:
    """What gateways say of the caller's line, in the URI of From or beside it."""
    record = CdrRecord("G", START, START, ecc_variables=ecc)
    record.legs = [LegRecord("1", "G", "inbound", START, START, from_uri=from_uri)]
    assert record.ii_digits == expected
    record.legs = []
    assert record.ii_digits == (expected if ecc else "")


def applications() -> CdrRecord:
    """Two applications on one gateway leg, between an agent and a queue on another."""
    record = CdrRecord("G", START, START + 900, cause_id=1)
    record.legs = [
        leg("caller", "7000", 0, 50, 900),
        leg("vxml", "7771", 10, 40, 300),
        leg("vxml", "7772", 310, 320, 400),
        leg("agent", "1002", 410, 420, 900),
    ]
    record.marks = [
        (50, RUN_SCRIPT, 0, 0, "menu"),
        (100, APP_SESSION_COMPLETE, ERROR, 0, "menu"),
        (100, RUN_SCRIPT, 0, 0, "x" * 32),
        (290, APP_SESSION_COMPLETE, 1, 0, "x" * 40),
        (320, RUN_SCRIPT, 0, 0, "sales"),
    ]
    return record


def test_the_applications_of_a_call() -> None:
    """Rows of VXMLSession: name, start, end, and how it ended; a queue is none."""
    rows = applications().vxml_sessions
    assert [(r.app_name, r.start_time - START, r.end_time - START, r.cause) for r in rows] == [
        ("menu", 50, 100, "Error"),
        ("x" * 40, 100, 290, "Normal Completion"),
    ]
    assert CdrRecord("G", START, START, marks=[(50, RUN_SCRIPT, 0, 0, "old")]).vxml_sessions == []


def test_an_application_ends_where_it_ended() -> None:
    """App Session Complete, on the gateway's leg; a leg with a queue alone has it at its end."""
    events = told(events_of(applications()))
    assert [event for event in events if event[2] == APP_SESSION_COMPLETE] == [
        ("id-7771", 100, APP_SESSION_COMPLETE, ERROR, "menu"),
        ("id-7771", 290, APP_SESSION_COMPLETE, 1, "x" * 32),
        ("id-7772", 400, APP_SESSION_COMPLETE, 1, ""),
    ]
