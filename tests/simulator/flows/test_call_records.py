"""The record of a call: what is counted, its events (CVP.md section 6), how it ended badly."""

import logging
import re
import time

import pytest

from simulator.cdr_events import (
    ABANDON,
    ANSWER,
    APP_SESSION_COMPLETE,
    BLIND_TRANSFER,
    BUSY,
    BY_REFER,
    CALL_TRANSFER,
    CAUSE_BUSY,
    CONNECT_FAILURE,
    DISCONNECT,
    INVALID_NUMBER,
    NEW_CALL,
    NO_ANSWER,
    RUN_SCRIPT,
    events_of,
)
from simulator.cdr_queries import CdrFilter
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Line, Manner
from tests.simulator.flows.world import World


def types(world: World) -> list[int]:
    return [event.event_type_id for event in events_of(world.cdr)]


def test_a_plain_call_has_no_marks(world: World) -> None:
    line = world.connected()
    line.hang_up()
    world.run()
    cdr = world.cdr
    assert cdr.marks == []
    assert (cdr.transfer_count, cdr.application_count) == (1, 0)
    assert (cdr.timeout_count, cdr.error_count, cdr.cause_id) == (0, 0, 1)
    caller, agent = cdr.legs
    assert (caller.kind, agent.kind) == ("caller", "callee")
    assert agent.answer_time is not None
    assert caller.answer_time == agent.answer_time
    assert caller.start_time < caller.answer_time < caller.end_time
    assert types(world) == [NEW_CALL, ANSWER, DISCONNECT, DISCONNECT]


def test_a_callee_that_hangs_up_is_the_cause(world: World) -> None:
    """CauseID 13: called party disconnected."""
    world.connected()
    world.agents.line.hang_up()
    world.run()
    assert (world.cdr.cause_id, world.cdr.cause) == (13, "Called Party Disconnected")


def test_self_service_queue_and_agent(world: World) -> None:
    line = world.queued()
    world.run(6.0)
    assert world.state == "connected"
    line.hang_up()
    world.run()
    cdr = world.cdr
    assert cdr.self_service_duration == pytest.approx(2000, abs=50)
    assert cdr.queue_duration > 2900
    assert cdr.application_count == 1, "what the queue plays is none"
    assert cdr.transfer_count == 2, "to the VRU, and to the agent"
    labels = [mark[4] for mark in cdr.marks if mark[1] == RUN_SCRIPT]
    assert labels[-1] == "support"
    assert types(world) == [
        NEW_CALL, ANSWER, RUN_SCRIPT, APP_SESSION_COMPLETE, RUN_SCRIPT, DISCONNECT, ANSWER,
        DISCONNECT, DISCONNECT,
    ]  # fmt: skip


def test_a_held_call_runs_its_application_once(world: World) -> None:
    line = world.self_service()
    line.offer("sendonly")
    world.run()
    line.offer("sendrecv")
    world.run()
    assert world.state == "self_service"
    world.terminate()
    assert (world.cdr.application_count, world.cdr.hold_count) == (1, 1)


def sessions(world: World) -> list[tuple[str, str]]:
    """The rows of VXMLSession: what ran, and how it ended."""
    rows = world.cdr.vxml_sessions
    assert all(row.start_time < row.end_time <= world.cdr.call_end_time for row in rows)
    return [(row.app_name, row.cause) for row in rows]


def test_a_caller_who_hangs_up_ends_the_application(world: World) -> None:
    world.self_service().hang_up()
    world.run()
    assert sessions(world) == [("welcome", "Hang Up")]
    assert types(world) == [
        NEW_CALL, ANSWER, RUN_SCRIPT, APP_SESSION_COMPLETE, DISCONNECT, DISCONNECT,
    ]  # fmt: skip


def test_an_application_that_the_operator_ends(world: World) -> None:
    world.self_service()
    world.run()
    world.terminate()
    assert sessions(world) == [("welcome", "Hang Up Forced")]


def test_an_application_that_a_transfer_ends(world: World) -> None:
    """One that fails does not."""
    caller = world.self_service()
    world.transfer("9486")
    world.run()
    world.transfer("1002")
    world.run(1.5)
    assert world.state == "connected"
    caller.hang_up()
    world.run()
    assert sessions(world) == [("welcome", "Transfer")]


def test_an_application_that_the_gateway_ends(world: World) -> None:
    world.self_service()
    world.run()
    world.vxml.line.hang_up()
    world.run()
    assert sessions(world) == [("welcome", "Normal Completion")]


def test_an_application_without_more_time(world: World) -> None:
    caller = world.queued()
    caller.hang_up()
    world.run()
    assert sessions(world) == [("support", "Time Out")]


def test_a_held_application_is_one_session(world: World) -> None:
    line = world.self_service()
    line.offer("sendonly")
    world.run()
    line.offer("sendrecv")
    world.run()
    line.hang_up()
    world.run()
    assert sessions(world) == [("welcome", "Hang Up")]


@pytest.mark.parametrize(
    ("number", "event", "cause"),
    [("9486", BUSY, CAUSE_BUSY), ("9404", CONNECT_FAILURE, INVALID_NUMBER)],
)
def test_a_failed_connect(world: World, number: str, event: int, cause: int) -> None:
    world.dial(number)
    world.run()
    cdr = world.cdr
    assert (cdr.call_result, cdr.error_count, cdr.transfer_count) == ("error", 1, 0)
    assert cdr.cause_id == cause
    (mark,) = cdr.marks
    assert mark[1:] == (event, cause, 0, number)
    assert types(world) == [NEW_CALL, event, DISCONNECT]


def test_a_failed_transfer_to_a_uri(world: World) -> None:
    """TransferLabel is the whole of it, not the scheme."""
    world.connected()
    uri = world.agents.uri.replace("sip:", "sip:9486@")
    world.transfer(uri)
    world.run(1.0)
    assert any(e.startswith(f"transfer_failed {uri}") for e in world.history), world.history
    world.terminate()
    (mark,) = world.cdr.marks
    assert mark[1:] == (BUSY, CAUSE_BUSY, 0, uri)


def test_ring_no_answer(build: Build) -> None:
    world = build()
    world.agents.behaves(ring=0.0, answer=None)
    world.dial("6000")
    world.run(65.0)
    cdr = world.cdr
    assert (cdr.timeout_count, cdr.error_count, cdr.cause_id) == (1, 0, 6)
    assert types(world) == [NEW_CALL, NO_ANSWER, DISCONNECT]


def test_an_abandoned_call(world: World) -> None:
    world.agents.behaves(ring=0.0, answer=None)
    line = world.dial("6000")
    world.run()
    line.cancel()
    world.run()
    assert (world.cdr.call_result, world.cdr.cause_id) == ("abandoned", 2)
    assert types(world) == [NEW_CALL, ABANDON, DISCONNECT]


def test_transfers(world: World) -> None:
    world.connected()
    world.transfer("1003")
    world.run(1.5)
    world.transfer("9486")
    world.run(1.5)
    world.terminate()
    cdr = world.cdr
    assert (cdr.transfer_count, cdr.error_count) == (2, 1)
    assert types(world) == [
        NEW_CALL, ANSWER, ANSWER, CALL_TRANSFER, DISCONNECT, BUSY, DISCONNECT, DISCONNECT,
    ]  # fmt: skip


def test_a_transfer_by_refer(world: World) -> None:
    caller = world.connected()
    world.transfer(label="rf1003")
    world.run()
    caller.accept_refer()
    world.run()
    caller.notify(200)
    world.run()
    caller.hang_up()
    world.run()
    cdr = world.cdr
    assert (cdr.call_result, cdr.transfer_count) == ("transferred", 2)
    (mark,) = cdr.marks
    assert mark[1:] == (BLIND_TRANSFER, 1, BY_REFER, "1003")


def test_uui_is_recorded(world: World) -> None:
    """UUI goes into the record, and ICM may set it as well (CVP.md section 2)."""
    world.dial("3000", lines="User-to-User: 00c1;encoding=hex\r\n")
    world.run()
    world.server.set_variables(world.call.guid, {"user.microapp.uui": "beef"}, None, None)
    world.terminate()
    assert world.cdr.uui == "beef"


@pytest.mark.parametrize(
    ("zone", "start", "minutes"),
    [
        ("Europe/Berlin", 1_784_000_000.0, 120),  # July 2026
        ("Europe/Berlin", 1_795_000_000.0, 60),  # November
        ("Asia/Kolkata", 1_795_000_000.0, 330),
        ("America/New_York", 1_795_000_000.0, -300),
        ("UTC", 1_795_000_000.0, 0),
        ("", 1_795_000_000.0, None),  # the machine's
    ],
)
def test_the_local_time_of_a_record(
    build: Build, zone: str, start: float, minutes: int | None
) -> None:
    """LocalTimeZoneOffset of the table Call: in minutes, at the start of the call."""
    world = build(icm={"timezone": zone})
    world.server.epoch = start
    world.standalone().hang_up()
    world.run()
    record = world.wait_for(world.server.reports.record(world.cdr.call_guid))
    if minutes is None:
        minutes = time.localtime(start).tm_gmtoff // 60
    assert record.local_time_zone_offset == minutes
    page = world.wait_for(world.server.reports.page(CdrFilter()))
    assert [one.local_time_zone_offset for one in page.records] == [minutes]


def test_ii_digits_are_recorded(world: World) -> None:
    """The URI of From may say what line the caller has; nobody looks before the record is read."""
    uri = f"sip:5000@{world.address}"
    endpoint = world.caller.party.endpoint
    session = endpoint.invite(
        world.network.now,
        uri,
        from_="<sip:5551234@example.com;isup-oli=62>",
        to=f"<{uri}>",
        body=b"",
    )
    line = Line(world.caller, session, Manner())
    world.run()
    line.hang_up()
    world.run()
    assert (world.cdr.calling_number, world.cdr.ii_digits) == ("5551234", "62")


def test_how_a_call_ended_abnormally(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The line that the field looks for (CVP.md section 8)."""
    caplog.set_level(logging.INFO, "simulator.calls")
    world.server.call_log.refresh()
    world.dial("9486", lines='Remote-Party-ID: "x--CVP" <sip:5551234@example.com>\r\n')
    world.run()
    (line,) = [details for _, event, details in world.call.history if event == "abnormal_end"]
    assert re.fullmatch(
        r"ABNORMALLY ENDING - SIP code \[486\], "
        r'Reason Hdr \[SIP;cause=486;text="Busy Here"\], '
        r"GW call using SURV TCL flag \[true\], NON NORMAL flag \[true\], DNIS \[9486\], "
        r"ANI \[5551234\], AGE \(msecs\) \[\d+\], Call History : 9486\|486;",
        line,
    )
    (told,) = [one.getMessage() for one in caplog.records if line in one.getMessage()]
    leg_id = world.cdr.legs[0].leg_id
    expected = f"CALLGUID = {world.call.guid} LEGID = {leg_id} - [INBOUND]: {line}"
    assert told == expected


def test_a_call_without_remote_party_id_has_no_survivability(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "simulator.calls")
    world.server.call_log.refresh()
    world.dial("9486")
    world.run()
    told = [record.getMessage() for record in caplog.records]
    at = next(i for i, text in enumerate(told) if "ABNORMALLY ENDING" in text)
    missing = "Call is missing an RPID header. No survivability in use."
    assert told[at - 1].endswith(f"[INBOUND]: {missing}")
    assert "GW call using SURV TCL flag [false]" in told[at]


def test_a_call_that_ended_well_has_no_such_line(world: World) -> None:
    line = world.connected()
    line.hang_up()
    world.run()
    assert "abnormal_end" not in [event for _, event, _ in world.call.history]


# -- statistics ----------------------------------------------------------------------------


def test_what_the_services_count(build: Build) -> None:
    """New calls include rejected ones; connects are all labels from ICM [OPS]."""
    world = build(server={"max_calls": 2})
    reports = world.server.reports
    first, second = world.dial("7000"), world.dial("6000")
    world.run(1.5)
    world.dial("6000")
    world.run(0.5)
    view = reports.service()
    assert (view.active_calls, view.active_legs, view.icm_calls, view.vru_calls) == (2, 4, 2, 1)
    counts = view.current.counts
    assert (counts.new_calls, counts.rejected, counts.lookups) == (3, 1, 2)
    assert (counts.legs, counts.vru_legs, counts.connects) == (4, 1, 2)
    assert counts.average_latency == pytest.approx(0.5, abs=0.1), "0 s and 1 s"
    now = reports.realtime()
    assert (now.active_calls, now.self_service, now.connected, now.peak) == (2, 1, 1, 2)
    first.hang_up()
    second.hang_up()
    world.run()
    assert reports.realtime().active_calls == 0
    assert reports.realtime().peak == 2


def test_failed_transfers_before_and_in_the_dialog(world: World) -> None:
    world.dial("9486")
    world.run()
    world.connected()
    world.transfer("9503")
    world.run()
    world.terminate()
    counts = world.server.reports.service().total.counts
    assert (counts.failed_pre_dialog, counts.failed_in_dialog) == (1, 1)


def test_an_interval_is_closed(world: World) -> None:
    world.dial("9486")
    world.run(1801.0)
    view = world.server.reports.service()
    assert view.interval == 1800.0
    assert (view.last.counts.new_calls, view.current.counts.new_calls) == (1, 0)
    assert view.last.end - view.last.start == 1800.0
    assert view.total.counts.new_calls == 1


def test_calls_are_counted_by_another_interval(build: Build) -> None:
    world = build(statistics={"interval": 10})
    assert world.server.reports.service().interval == 600.0


def test_a_phone_that_is_silent(build: Build) -> None:
    """The caller's own leg, and what a manner may do, change nothing of the figures."""
    world = build()
    world.agents.manners["1001"] = Manner(refuse=503)
    world.dial("6000")
    world.run()
    assert world.cdr.cause_id == 11
