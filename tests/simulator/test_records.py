from types import SimpleNamespace
from typing import cast

import pytest

from simulator.call import Call
from simulator.cdr_events import (
    APP_SESSION_COMPLETE,
    BLIND_TRANSFER,
    BY_REFER,
    BY_REINVITE,
    CALL_TRANSFER,
    CONNECT_FAILURE,
    MOVED_ON,
    NO_ANSWER,
    RUN_SCRIPT,
)
from simulator.cdr_records import CdrRecord, LegRecord, LegType, as_json, from_row
from simulator.records import _cause, row_of


@pytest.mark.parametrize(
    ("result", "code", "cause"),
    [
        ("completed", 0, 1),
        ("abandoned", 487, 2),
        ("transferred", 0, 3),
        ("error", 486, 5),
        ("error", 480, 6),
        ("error", 408, 6),
        ("error", 503, 11),
        ("error", 500, 18),
        ("error", 404, 26),
    ],
)
def test_the_cause_of_an_end(result: str, code: int, cause: int) -> None:
    """CauseID of the reporting database [RG]."""
    assert _cause(cast(Call, SimpleNamespace(result=result, error_code=code)), None) == cause


def fake_leg(
    kind: str, call_id: str, started: float, ended: float, status: int, answered: float = 0.0
) -> SimpleNamespace:
    session = SimpleNamespace(
        dialog=SimpleNamespace(call_id=call_id),
        remote_address=(f"host of {kind}", 5060),
        outgoing=kind != "caller",
    )
    return SimpleNamespace(
        kind=kind, session=session, started=started, ended=ended, status=status, answered=answered
    )


def test_each_value_stands_in_its_column() -> None:
    server = SimpleNamespace(
        config=SimpleNamespace(server=SimpleNamespace(name="the server")),
        leg_uris=lambda leg: (f"from {leg.kind}", f'to "{leg.kind}"'),
    )
    call = SimpleNamespace(
        server=server,
        epoch=1_700_000_000.0,
        guid="the GUID",
        started=2.0,
        calling="ANI",
        called="DNIS",
        result="error",
        self_service_time=0.125,
        queue_time=0.25,
        application="the application",
        legs=[
            fake_leg("caller", "1@a", 1.0, 9.0, 200, 3.5),
            fake_leg("vxml", "2@b", 3.0, 0.0, 0, 3.25),
            fake_leg("transfer", "3@c", 4.0, 5.0, 486),
        ],
        transfer_destination="the target",
        error_code=486,
        holds=3,
        transfers=2,
        variables=SimpleNamespace(ecc={"user.a": "\u00e4", "user.microapp.uui": "00"}),
        ivr=SimpleNamespace(applications=4, timeouts=5, errors=6),
        history=[
            (2.0, "offered", "ANI to DNIS"),
            (2.25, "self_service", "the application"),
            (2.5, "queued", "sales"),
            (2.75, "connect_failed", "1001: SIP 408 ring no answer"),
            (3.0, "transfer_failed", "1002: SIP 503 Service Unavailable"),
            (3.25, "queued", "SIP 503 Service Unavailable"),
            (3.5, "transfer_completed", "1003 by REFER"),
            (3.75, "transfer_completed", "1004"),
        ],
        icm=SimpleNamespace(call_key="the key"),
    )

    def leg(
        number: str,
        kind: str,
        type_: str,
        start: int,
        end: int,
        status: int | None,
        answer: int | None = None,
    ) -> LegRecord:
        return LegRecord(
            leg_id=number,
            call_guid="the GUID",
            leg_type=cast(LegType, type_),
            start_time=1_700_000_000_000 + start,
            end_time=1_700_000_000_000 + end,
            from_uri=f"from {kind}",
            to_uri=f'to "{kind}"',
            server_hostname=f"host of {kind}",
            sip_response_code=status,
            answer_time=None if answer is None else 1_700_000_000_000 + answer,
            kind=kind,
        )

    assert from_row(row_of(cast(Call, call), 10.0)) == CdrRecord(
        call_guid="the GUID",
        call_start_time=1_700_000_002_000,
        call_end_time=1_700_000_010_000,
        calling_number="ANI",
        called_number="DNIS",
        call_result="error",
        self_service_duration=125,
        queue_duration=250,
        application_name="the application",
        call_server_hostname="the server",
        vxml_server_hostname="host of vxml",
        sip_call_id="1@a",
        icm_call_key="the key",
        transfer_destination="the target",
        error_code="486",
        cause_id=5,
        hold_count=3,
        application_count=4,
        transfer_count=2,  # to the VRU, and by REFER
        timeout_count=6,
        error_count=7,
        uui="00",
        ecc_variables={"user.a": "\u00e4", "user.microapp.uui": "00"},
        legs=[
            # One that came over from another call was here no longer than this call is.
            leg("1", "caller", "inbound", 2_000, 9_000, 200, 3_500),
            leg("2", "vxml", "outbound", 3_000, 10_000, None, 3_250),
            leg("3", "transfer", "transfer", 4_000, 5_000, 486),
        ],
        marks=[
            (250, RUN_SCRIPT, 0, 0, "the application"),
            (500, APP_SESSION_COMPLETE, MOVED_ON, 0, "the application"),
            (500, RUN_SCRIPT, 0, 0, "sales"),
            (750, NO_ANSWER, 6, 0, "1001"),
            (1000, CONNECT_FAILURE, 11, 0, "1002"),
            (1500, BLIND_TRANSFER, 1, BY_REFER, "1003"),
            (1750, CALL_TRANSFER, 1, BY_REINVITE, "1004"),
        ],
    )


def test_json_keeps_octets_that_are_no_utf_8_for_the_store_to_repair() -> None:
    assert as_json({"user.a": "\udce9"}) == '{"user.a":"\udce9"}'
    assert as_json([]) is None
