"""The reporting interface over records in memory."""

import asyncio
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from api.report_queries import _moment
from simulator.cdr_records import CdrRecord, CdrStoreError, LegRecord
from tests.api.support import GUID as CALL
from tests.api.support import FakeCallServer, FakeReports, Reply, run, serving
from tests.support.records import RecordsInMemory

START = 1_780_000_000_000  # 2026-05-28T20:26:40Z
GUID = "F13437331000013A5FCA33210A4244A9"
CDR = "/cvp-reporting/rest/cdr"
FIGURES = "/cvp-reporting/rest/statistics"
RANGE = "startTime=2026-05-28T20:00:00Z&endTime=2026-05-28T22:00:00Z"


def record(guid: str = GUID, start: int = START, **rest: Any) -> CdrRecord:
    values: dict[str, Any] = {
        "calling_number": "1001",
        "called_number": "7000",
        "self_service_duration": 2_900,
        "queue_duration": 1_000,
        "application_name": "support",
        "call_server_hostname": "callsim",
        "vxml_server_hostname": "10.0.0.9",
        "sip_call_id": "1-2@10.0.0.1",
        "icm_call_key": "152340-4711-0",
        "uui": "00aa",
        "hold_count": 1,
        "application_count": 1,
        "transfer_count": 2,
        "ecc_variables": {"user.a": "b"},
        "marks": [(50, 11, 0, 0, "support"), (2_950, 9, 1001, 0, "support")],
        "legs": [
            LegRecord(
                "1-2", guid, "inbound", start, start + 9_999, "sip:a@b;isup-oli=62", "sip:7000@d",
                "h", 200, start + 50, "caller",
            ),
            LegRecord(
                "3-4", guid, "outbound", start + 10, start + 9_999, "sip:a@d", "sip:1002@e", "i",
                200, start + 40, "agent",
            ),
        ],
    }  # fmt: skip
    return CdrRecord(guid, start, start + 9_999, **values | rest)


def reports_of(*records: CdrRecord) -> FakeCallServer:
    return FakeCallServer(reports=FakeReports(RecordsInMemory(records)))


def stamps(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.text
    return [one["callStartTime"] for one in reply.json["records"]]


@run
async def test_a_record_is_told_whole() -> None:
    async with serving(reports_of(record())) as client:
        reply = await client("get", f"{CDR}/{GUID.lower()}")
    shown = reply.json
    legs, events = shown.pop("legs"), shown.pop("callEvents")
    sessions = shown.pop("vxmlSessions")
    assert shown == {
        "callGuid": GUID,
        "callStartTime": "2026-05-28T20:26:40Z",
        "callEndTime": "2026-05-28T20:26:49.999000Z",
        "callingNumber": "1001",
        "calledNumber": "7000",
        "callResult": "completed",
        "callDuration": 9,
        "selfServiceDuration": 2,
        "queueDuration": 1,
        "applicationName": "support",
        "callServerHostname": "callsim",
        "vxmlServerHostname": "10.0.0.9",
        "sipCallId": "1-2@10.0.0.1",
        "icmCallKey": "152340-4711-0",
        "eccVariables": {"user.a": "b"},
        "numTimeOut": 0,
        "numError": 0,
        "numOnHold": 1,
        "numAppVisited": 1,
        "totalTransfer": 2,
        "uui": "00aa",
        "iiDigits": "62",
        "localTimeZoneOffset": 120,
        "callTypeId": 4,
        "callType": "SIP",
        "subSystemTypeId": 0,
        "subSystemType": "SIP",
        "causeId": 1,
        "cause": "Normal Completion",
        "routerCallKey": 4711,
        "routerCallKeyDay": 152340,
        "routerCallKeySequenceNumber": 0,
    }
    assert legs[0] == {
        "legId": "1-2",
        "callGuid": GUID,
        "legType": "inbound",
        "startTime": "2026-05-28T20:26:40Z",
        "answerTime": "2026-05-28T20:26:40.050000Z",
        "endTime": "2026-05-28T20:26:49.999000Z",
        "duration": 9,
        "fromUri": "sip:a@b;isup-oli=62",
        "toUri": "sip:7000@d",
        "serverHostname": "h",
        "sipResponseCode": 200,
    }
    assert [event["eventType"] for event in events] == [
        "New Call", "Answer", "Run Script", "App Session Complete", "Disconnect", "Disconnect",
    ]  # fmt: skip
    assert events[1] == {
        "callLegId": "3-4",
        "messageBusName": "callsim",
        "eventDateTime": "2026-05-28T20:26:40.040000Z",
        "eventTypeId": 4,
        "eventType": "Answer",
        "causeId": 0,
        "cause": "None",
        "transferTypeId": 0,
        "transferLabel": "1002",
    }
    assert sessions == [
        {
            "appName": "support",
            "startDateTime": "2026-05-28T20:26:40.050000Z",
            "endDateTime": "2026-05-28T20:26:42.950000Z",
            "causeId": 1001,
            "cause": "Hang Up",
        }
    ]


@run
async def test_legs_events_and_applications_of_a_call() -> None:
    async with serving(reports_of(record())) as client:
        whole = (await client("get", f"{CDR}/{GUID}")).json
        assert (await client("get", f"{CDR}/{GUID}/legs")).json == whole["legs"]
        assert (await client("get", f"{CDR}/{GUID}/events")).json == whole["callEvents"]
        assert (await client("get", f"{CDR}/{GUID}/vxml-sessions")).json == whole["vxmlSessions"]
        for path in (f"{CDR}/{'0' * 32}", f"{CDR}/x/legs", f"{CDR}/%00/events"):
            (await client("get", path)).error(404, "CDR_NOT_FOUND")


@run
async def test_the_local_time_of_a_call_is_told() -> None:
    """In the list as well, by the zone at its start."""
    async with serving(reports_of(record(), record("1" * 32, 0))) as client:
        listed = (await client("get", f"{CDR}?sortOrder=asc")).json["records"]
    assert [one["localTimeZoneOffset"] for one in listed] == [60, 120]


@run
async def test_records_are_listed_by_page_and_filter() -> None:
    records = [record(f"{n:032X}", START + n * 1000, called_number=str(n % 2)) for n in range(5)]
    async with serving(reports_of(*records)) as client:
        reply = await client("get", CDR)
        assert (reply.json["totalRecords"], reply.json["offset"], reply.json["limit"]) == (
            5,
            0,
            100,
        )
        assert stamps(reply)[0] == "2026-05-28T20:26:44Z", "the newest first"
        reply = await client("get", f"{CDR}?limit=2&offset=1&sortOrder=asc&sortBy=callEndTime")
        assert stamps(reply) == ["2026-05-28T20:26:41Z", "2026-05-28T20:26:42Z"]
        assert reply.json["totalRecords"] == 5
        reply = await client("get", f"{CDR}?calledNumber=1&callingNumber=1001&callResult=completed")
        assert len(stamps(reply)) == 2
        reply = await client("get", f"{CDR}?callGuid={'0' * 31}3")
        assert stamps(reply) == ["2026-05-28T20:26:43Z"]
        some = "startTime=2026-05-28T20:26:41Z&endTime=2026-05-28T22:26:43%2B02:00"
        assert len(stamps(await client("get", f"{CDR}?{some}"))) == 2
        assert "legs" not in reply.json["records"][0]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "sortOrder=asc",
        "sortBy=calledNumber&sortOrder=asc&callResult=completed",
        "calledNumber=1&sortBy=callEndTime",
        "callingNumber=%2B49%2030%2F1%262",
        "startTime=2026-05-28T20:26:41.5Z&endTime=2026-05-28T20:26:49.001%2B00:00",
    ],
)
@run
async def test_link_leads_through_all_records(query: str) -> None:
    records = [
        record(f"{n:032X}", START + n * 700, called_number=str(n % 2), calling_number="+49 30/1&2")
        for n in range(20)
    ]
    async with serving(reports_of(*records)) as client:
        whole = (await client("get", f"{CDR}?{query}")).json["records"]
        assert len(whole) >= 10
        path, found = f"{CDR}?limit=3&offset=0&{query}", []
        while path:
            reply = await client("get", path)
            found += reply.json["records"]
            link = reply.headers.get("Link", "")
            path, _, rest = link.removeprefix("<").partition(">")
            assert rest in ("", '; rel="next"')
    assert found == whole


@run
async def test_a_cursor_is_of_a_page_and_without_an_offset() -> None:
    async with serving(reports_of(record())) as client:
        told = (await client("get", f"{CDR}?cursor=9")).error(400, "INVALID_REQUEST")
        assert "cursor 9 is of no page; take it from the Link of one" in told
        told = (await client("get", f"{CDR}?cursor=1&offset=1")).error(400, "INVALID_REQUEST")
        assert "leave offset out" in told
        assert "Link" not in (await client("get", CDR)).headers


@run
async def test_calls_of_a_number_are_counted_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.cdr_pages.MOST_COUNTED", 4)
    records = [record(f"{n:032X}", START + n) for n in range(5)]
    async with serving(reports_of(*records)) as client:
        shown = (await client("get", f"{CDR}?calledNumber=7000")).json
        assert (shown["totalRecords"], shown["totalIsMinimum"], len(shown["records"])) == (
            4,
            True,
            5,
        )
        shown = (await client("get", f"{CDR}?callResult=completed")).json
        assert shown["totalRecords"] == 5
        assert "totalIsMinimum" not in shown


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
        ("offset=99999999999999999999", "offset"),
        ("sortBy=calling", "sortBy"),
        ("sortOrder=up", "sortOrder"),
        ("callResult=busy", "callResult"),
        ("calledNumber=%0D%0A", "calledNumber"),
        ("startTime=yesterday", "startTime"),
        ("startTime=2026-05-28", "startTime"),
        ("startTime=2026-05-28T20:26:40", "startTime"),
        ("endTime=2026-05-28T20:26:40+02:00", "endTime"),
        ("endTime=2026-02-30T20:26:40Z", "endTime"),
        ("startTime=2027-01-01T00:00:00Z&endTime=2026-01-01T00:00:00Z", "startTime"),
        ("colour=red", "colour"),
    ],
)
@run
async def test_a_wrong_query_is_refused(query: str, field: str) -> None:
    async with serving(reports_of()) as client:
        told = (await client("get", f"{CDR}?{query}")).error(400, "INVALID_REQUEST")
        assert field in told
        assert not re.search(r"function-|literal\[|none", told)


@run
async def test_nothing_is_told_without_a_password() -> None:
    async with serving(reports_of(record())) as client:
        for path in (CDR, f"{CDR}/{GUID}", f"{FIGURES}/realtime", "/sim/v1/statistics"):
            (await client("get", path, login=False)).error(401)


@run
async def test_figures_of_this_moment() -> None:
    async with serving(reports_of()) as client:
        shown = (await client("get", f"{FIGURES}/realtime")).json
        other = (await client("get", f"{FIGURES}/realtime?serverId=other")).json
    assert shown.pop("timestamp").endswith("Z")
    assert shown == {
        "activeCalls": 21,
        "callsInProgress": {
            "ringing": 1, "selfService": 2, "queued": 3, "connected": 4,
            "transferring": 5, "onHold": 6,
        },
        "callsPerSecond": 2.5,
        "peakActiveCalls": 30,
        "serverMetrics": [
            {
                "serverId": "callsim", "hostname": "callsim", "serverType": "CallServer",
                "activeCalls": 21, "cpuUsage": 1.5, "memoryUsage": 2.5,
            }
        ],
    }  # fmt: skip
    assert other["serverMetrics"] == []


@run
async def test_a_summary() -> None:
    records = [
        record("1" * 32, START, transfer_count=1),
        record("2" * 32, START + 1, call_result="abandoned", self_service_duration=0),
        record("3" * 32, START + 3_600_000, called_number="8"),
    ]
    async with serving(reports_of(*records)) as client:
        shown = (await client("get", f"{FIGURES}/summary?{RANGE}&interval=daily")).json
        hours = (await client("get", f"{FIGURES}/summary?{RANGE}")).json
        one = (await client("get", f"{FIGURES}/summary?{RANGE}&calledNumber=8")).json
        (await client("get", f"{FIGURES}/summary?interval=weekly")).error(400, "INVALID_REQUEST")
    assert (shown["startTime"], shown["endTime"], shown["interval"]) == (
        "2026-05-28T20:00:00Z", "2026-05-28T22:00:00Z", "daily",
    )  # fmt: skip
    (day,) = shown["intervals"]
    assert day["intervalStart"] == "2026-05-28T00:00:00Z"
    assert day["intervalEnd"] == "2026-05-29T00:00:00Z"
    assert (day["totalCalls"], day["abandonedCalls"]) == (3, 1)
    assert day["averageDuration"] == pytest.approx(9.999)
    assert day["abandonRate"] == pytest.approx(100 / 3)
    assert [part["totalCalls"] for part in hours["intervals"]] == [2, 1]
    assert [part["totalCalls"] for part in one["intervals"]] == [1]


@run
async def test_figures_by_application_and_by_server() -> None:
    records = [record(), record("2" * 32, START + 1, call_result="error")]
    async with serving(reports_of(*records)) as client:
        applications = (await client("get", f"{FIGURES}/application?{RANGE}")).json
        none = (await client("get", f"{FIGURES}/application?{RANGE}&applicationName=x")).json
        servers = (await client("get", f"{FIGURES}/server?{RANGE}")).json["servers"]
        vxml = (await client("get", f"{FIGURES}/server?{RANGE}&serverType=VXMLServer")).json
        today = (await client("get", f"{FIGURES}/server")).json
        (await client("get", f"{FIGURES}/server?serverType=PBX")).error(400)
    assert applications["applications"] == [
        {
            "applicationName": "support", "totalInvocations": 2, "completedInvocations": 1,
            "errorInvocations": 1, "averageDuration": 2.9, "completionRate": 50.0,
            "errorRate": 50.0,
        }
    ]  # fmt: skip
    assert none["applications"] == []
    assert servers[0] == {
        "serverId": "callsim", "hostname": "callsim", "serverType": "CallServer",
        "totalCalls": 2, "peakConcurrentCalls": 2,
        "averageConcurrentCalls": pytest.approx(2 * 9.999 / 7200),
        "cpuUsageAverage": 3.5, "memoryUsageAverage": 2.5,
    }  # fmt: skip
    assert servers[1:] == vxml["servers"]
    assert vxml["servers"] == [
        {"serverId": "10.0.0.9", "hostname": "10.0.0.9", "serverType": "VXMLServer",
         "totalCalls": 2}
    ]  # fmt: skip
    assert today["servers"] == []


@run
async def test_statistics_of_the_services() -> None:
    async with serving(reports_of()) as client:
        shown = (await client("get", "/sim/v1/statistics")).json
    assert shown["activeCallLegs"] == 40
    assert shown["logins"] == {"failed": 0, "slowed": 0, "busy": 0, "addresses": 0}
    assert shown["admission"] == {
        "overload": "delay", "refused": {"calls": 1, "rate": 2, "delay": 3},
    }  # fmt: skip
    assert shown["intervalMinutes"] == 30
    assert shown["licencePorts"] == {
        "licensed": 100, "inUse": 95, "available": 5, "denied": 2, "level": "warning",
    }  # fmt: skip
    assert shown["current"] == {
        "startTime": "2026-05-28T20:26:40Z",
        "endTime": "2026-05-28T20:30:00Z",
        "newCalls": 7,
        "rejectedCalls": 1,
        "connectsReceived": 6,
        "averageLatency": 0.5,
        "failedTransfersPreDialog": 2,
        "failedTransfersPostDialog": 1,
        "callLegs": 14,
        "vruLegs": 3,
        "icmLookups": 5,
        "whispersPlayed": 4,
        "whispersFailed": 1,
        "greetingsPlayed": 3,
        "greetingsFailed": 2,
        "postCallSurveys": 6,
    }


@run
async def test_header_fields_of_a_caller() -> None:
    async with serving(FakeCallServer()) as client:
        shown = (await client("get", f"/sim/v1/calls/{CALL}/headers")).json
        (await client("get", f"/sim/v1/calls/{'0' * 32}/headers")).error(404, "CALL_NOT_FOUND")
    assert shown == {
        "callGuid": CALL,
        "headers": [
            {"name": "X-A", "value": "1"},
            {"name": "X-A", "value": "2 "},
            {"name": "Diversion", "value": "<sip:1@\ufffd>"},
        ],
    }


@run
async def test_a_store_that_cannot_be_read_says_so() -> None:
    def broken() -> None:
        raise CdrStoreError("the CDR store 'x' cannot be read: disk I/O error")

    fake = FakeCallServer(reports=FakeReports(RecordsInMemory(), before=broken))
    async with serving(fake) as client:
        assert "disk I/O error" in (await client("get", CDR)).error(503, "CDR_STORE")


@run
async def test_the_loop_goes_on_while_a_report_takes_long() -> None:
    entered, release = threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        assert release.wait(30)

    fake = FakeCallServer(reports=FakeReports(RecordsInMemory([record()]), before=slow))
    async with serving(fake) as client:
        report = asyncio.create_task(client("get", CDR))
        assert await asyncio.to_thread(entered.wait, 30)
        assert (await client("get", "/livez")).status == 200
        assert not report.done()
        release.set()
        assert (await report).json["totalRecords"] == 1


@run
async def test_too_many_reports_at_a_time_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("simulator.reports.MOST_WAITING", 1)
    entered, release = threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        assert release.wait(30)

    fake = FakeCallServer(reports=FakeReports(before=slow))
    async with serving(fake) as client:
        report = asyncio.create_task(client("get", CDR))
        assert await asyncio.to_thread(entered.wait, 30)
        (await client("get", CDR)).error(503, "REPORTS_BUSY")
        release.set()
        assert (await report).status == 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01.25z", 1250),
        ("1970-01-01T01:00:00+00:30", 1_800_000),
        ("1969-12-31T23:30:00-01:00", 1_800_000),
        ("1970-01-01T00:00:00.001999Z", 1),
        ("1970-01-01T00:00:09.29Z", 9290),
        ("1990-12-31T23:59:60Z", 662_688_000_000),  # a leap second (RFC 3339 section 5.8)
        ("0000-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59Z", 0),
        ("9999-12-31T23:59:59-23:59", 253_402_300_799_999),
    ],
)
def test_times_of_rfc_3339(text: str, expected: int) -> None:
    assert _moment(text) == expected


@pytest.mark.parametrize("text", ["1970-01-01T00:00:61Z", "1970-01-01T00:00:00+24:00", "x", ""])
def test_what_is_no_time(text: str) -> None:
    parse: Callable[[object], object] = _moment
    with pytest.raises(ValueError, match=r"RFC 3339|no time|time zone"):
        parse(text)
