"""Each operation over a pretended call server: what it asks, and what it answers."""

from datetime import datetime
from typing import Any

import pytest

from simulator.routing import Lookup
from simulator.views import CallFilter, IcmRouteResult, TransferCommand
from tests.api.support import (
    CONTRACT,
    GUID,
    RINGING_GUID,
    FakeCallServer,
    Reply,
    call_view,
    run,
    serving,
    session_view,
)
from tests.api.test_contract import json_schema, resolved

CALL = f"/cvp/rest/call/{GUID}"
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}


def conforms(value: Any, schema: dict[str, Any], where: str = "$") -> None:
    """Hold an answer against a schema of the contract; nothing undeclared may be in it."""
    assert isinstance(value, TYPES[schema["type"]]), where
    assert isinstance(value, bool) == (schema["type"] == "boolean"), where
    if "enum" in schema:
        assert value in schema["enum"], where
    if schema.get("format") == "date-time":
        assert isinstance(value, str), where
        assert value.endswith("Z"), where
        assert datetime.fromisoformat(value).tzinfo is not None, where
    for item in value if isinstance(value, list) else ():
        conforms(item, schema["items"], f"{where}[]")
    for key, item in value.items() if isinstance(value, dict) else ():
        known = schema.get("properties", {})
        assert key in known or "additionalProperties" in schema, f"{where}.{key}"
        inner = known[key] if key in known else schema["additionalProperties"]
        conforms(item, inner, f"{where}.{key}")


REQUESTS: list[tuple[str, str, Any]] = [
    ("get", "/call", None),
    ("get", "/call/{callGuid}", None),
    ("post", "/call/{callGuid}/transfer", {"destination": "2001"}),
    ("post", "/call/{callGuid}/terminate", None),
    ("get", "/call/{callGuid}/variables", None),
    ("put", "/call/{callGuid}/variables", {"eccVariables": {"user.a": "b"}}),
    ("post", "/routing/lookup", {"dialedNumber": "7000"}),
    ("get", "/sip/session", None),
    ("get", "/sip/session/{sessionId}", None),
    ("get", "/health", None),
    ("get", "/health/connectivity", None),
]


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
@run
async def test_an_answer_conforms_to_the_contract(method: str, path: str, body: Any) -> None:
    responses = resolved(CONTRACT, CONTRACT["paths"][path][method]["responses"])
    status = next(status for status in responses if status.startswith("2"))
    real = path.replace("{callGuid}", GUID).replace("{sessionId}", "leg-1")
    async with serving(FakeCallServer()) as client:
        reply = await client(method, f"/cvp/rest{real}", json=body)
    assert reply.status == int(status)
    assert reply.headers["Content-Type"] == "application/json"
    conforms(reply.json, json_schema(responses[status]))


@run
async def test_calls_are_listed_by_state_number_and_limit() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        everything = await client("get", "/cvp/rest/call")
        assert fake.asked[-1] == ("active_calls", CallFilter(), 100, 0)
        assert [call["callGuid"] for call in everything.json["calls"]] == [GUID, RINGING_GUID]
        first = await client("get", "/cvp/rest/call?limit=1")
        assert (first.json["totalActiveCalls"], len(first.json["calls"])) == (2, 1)
        few = await client("get", "/cvp/rest/call?state=ringing&calledNumber=8010&limit=1000")
        assert fake.asked[-1] == ("active_calls", CallFilter("ringing", "8010"), 1000, 0)
        assert [call["callGuid"] for call in few.json["calls"]] == [RINGING_GUID]
        held = await client("get", "/cvp/rest/call?state=on_hold")
        assert held.json == {"totalActiveCalls": 0, "calls": []}


@run
async def test_variables_change_only_while_they_are_as_they_were_read() -> None:
    path = f"/cvp/rest/call/{GUID}/variables"
    async with serving(FakeCallServer()) as client:
        read = await client("get", path)
        tag = read.headers["ETag"]
        assert (await client("get", path)).headers["ETag"] == tag

        async def put(value: str, if_match: str) -> Reply:
            body = {"callVariables": {"callVariable1": value}}
            return await client("put", path, json=body, headers={"If-Match": if_match})

        first = await put("one", f'"other", {tag}')
        assert first.status == 200
        assert "ETag" not in first.headers, "RFC 9110 9.3.4: what is kept is not what was sent"
        changed = (await client("get", path)).headers["ETag"]
        assert changed != tag
        assert changed in (await put("two", tag)).error(412)
        assert (await put("three", "*")).status == 200
        assert (await put("four", f"W/{tag}")).status == 412
        now = await client("get", path)
        assert now.json["callVariables"]["callVariable1"] == "three"


@run
async def test_a_link_leads_to_the_next_page() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        first = await client("get", "/cvp/rest/call?limit=1&callingNumber=5551234&leg=a%26b")
        link = '</cvp/rest/call?callingNumber=5551234&leg=a%26b&limit=1&cursor=1>; rel="next"'
        assert first.headers["Link"] == link
        second = await client("get", link[1:].partition(">")[0])
        assert [call["callGuid"] for call in second.json["calls"]] == [RINGING_GUID]
        assert "Link" not in second.headers
    assert fake.asked[-1] == (
        "active_calls", CallFilter(calling_number="5551234", leg="a&b"), 1, 1
    )  # fmt: skip


@pytest.mark.parametrize(
    "query",
    "limit=0 limit=1001 limit=-1 limit=x limit= limit=1.0 limit=1_0 limit=%2B5 limit=NaN "
    "limit=99999999999999999999999 limit=1&limit=2 state= state=held state=RINGING "
    "calledNumber=a%0D%0Ab calledNumber=a%00 state=ringing&state=queued unknown=1".split(),
)
@run
async def test_a_wrong_query_is_refused(query: str) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        reply = await client("get", f"/cvp/rest/call?{query}")
        assert query.partition("=")[0] in reply.error(400)
    assert fake.asked == []


@run
async def test_a_call_is_told_with_history_and_variables() -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("get", CALL)
    assert reply.json == {
        "callGuid": GUID,
        "state": "connected",
        "callingNumber": "1001",
        "calledNumber": "7000",
        "startTime": "2026-05-28T20:26:40.250000Z",
        "duration": 12,
        "applicationName": "support",
        "sipCallId": "abc@10.0.0.1",
        "sipFromTag": "from-1",
        "sipToTag": "to-1",
        "icmRouteResult": {"routeLabel": "2001", "skillGroup": "support"},
        "vxmlServer": "vxml.example",
        "callHistory": [
            {
                "timestamp": "2026-05-28T20:26:40.250000Z",
                "event": "offered",
                "details": "1001 to 7000",
            }
        ],
        "eccVariables": {"user.lang": "de"},
    }


@run
async def test_a_transfer_is_commanded() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        body = {"destination": "sip:2001@10.0.0.9;user=phone"}
        reply = await client("post", f"{CALL}/transfer", json=body)
        assert fake.asked[-1] == ("transfer", GUID, TransferCommand(body["destination"]))
        full = {
            "destination": "1",
            "transferType": "consultation",
            "label": "rf2001;CLI=null",
            "eccVariables": {"user.a": "ü"},
        }
        reply = await client("post", f"{CALL}/transfer", json=full)
    assert fake.asked[-1] == (
        "transfer",
        GUID,
        TransferCommand("1", "consultation", "rf2001;CLI=null", {"user.a": "ü"}),
    )
    assert reply.status == 202
    told = {key: reply.json[key] for key in ("callGuid", "operation", "status")}
    assert told == {"callGuid": GUID, "operation": "transfer", "status": "pending"}


HOSTILE = [f"20{character}01" for character in '\r\n\t\x00\x1b\x7f\x85\u2028 <>"\\']


@pytest.mark.parametrize("text", [*HOSTILE, "", "x" * 201])
@pytest.mark.parametrize("field", ["destination", "label"])
@run
async def test_what_cannot_be_dialed_is_refused(field: str, text: str) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        body = {"destination": "2001", field: text}
        reply = await client("post", f"{CALL}/transfer", json=body)
        assert field in reply.error(400, "INVALID_REQUEST")
        name = "callingNumber" if text else "dialedNumber"  # an anonymous caller has none
        numbers = {"dialedNumber": "1", name: text}
        reply = await client("post", "/cvp/rest/routing/lookup", json=numbers)
        assert name in reply.error(400, "INVALID_REQUEST")
    assert fake.asked == []


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("", "body is missing"),
        ("{", "not JSON"),
        ("[]", "object"),
        ("null", "object"),
        ('{"destination": "1", "destinaton": "2"}', "destinaton is not known"),
        ('{"destination": 1}', "destination"),
        ('{"destination": null}', "destination"),
        ('{"destination": NaN}', "destination"),
        ('{"destination": "\\ud800"}', "destination has the lone surrogate"),
        ('{"destination": "1", "label": null}', "label"),
        ('{"destination": "1", "transferType": "warm"}', "transferType"),
        ('{"destination": "1", "eccVariables": {"a": 1}}', "eccVariables.a"),
        ('{"destination": "1", "eccVariables": {"a": "b\\r\\nc"}}', "eccVariables.a"),
        ('{"destination": "1", "eccVariables": {"a b": ""}}', "eccVariables.a b"),
        ('{"destination": "1", "eccVariables": {"": ""}}', "eccVariables"),
        ('{"destination": "1", "eccVariables": []}', "eccVariables"),
        ("{}", "destination is missing"),
        ("[" * 5000, "not JSON"),
    ],
)
@run
async def test_a_wrong_transfer_body_is_refused(body: str, named: str) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        headers = {"Content-Type": "application/json"}
        reply = await client("post", f"{CALL}/transfer", data=body, headers=headers)
        assert named in reply.error(400)
        latin = await client("post", f"{CALL}/transfer", data=b'{"a":"\xff"}', headers=headers)
        latin.error(400, "INVALID_REQUEST")
    assert fake.asked == []


@pytest.mark.parametrize("reason", ["administrative", "timeout", "error", "requested"])
@run
async def test_a_call_is_terminated_for_a_reason(reason: str) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        reply = await client("post", f"{CALL}/terminate", json={"reason": reason})
    assert fake.asked == [("terminate", GUID, reason)]
    assert (reply.status, reply.json["status"]) == (200, "success")


@pytest.mark.parametrize("body", [None, b"", b"{}"])
@run
async def test_terminate_needs_no_body(body: bytes | None) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        headers = {"Content-Type": "application/json"}
        reply = await client("post", f"{CALL}/terminate", data=body, headers=headers)
        assert reply.status == 200
        # A reason in the wrong place must not end the call for another one.
        wrong = await client("post", f"{CALL}/terminate?reason=error")
        assert "reason" in wrong.error(400)
        (await client("post", f"{CALL}/terminate", json={"reason": "boredom"})).error(400)
    assert fake.asked == [("terminate", GUID, "requested")]


@run
async def test_variables_are_merged_and_come_back_whole() -> None:
    async with serving(FakeCallServer()) as client:
        await client("put", f"{CALL}/variables", json={"peripheralVariables": {"peripheral1": "p"}})
        body = {"eccVariables": {"user.a": "1"}, "callVariables": {"callVariable10": "c"}}
        reply = await client("put", f"{CALL}/variables", json=body)
        assert reply.json == {
            "callGuid": GUID,
            "eccVariables": {"user.a": "1"},
            "peripheralVariables": {"peripheral1": "p"},
            "callVariables": {"callVariable10": "c"},
        }
        assert (await client("put", f"{CALL}/variables", json={})).json == reply.json
        assert (await client("get", f"{CALL}/variables")).json == reply.json


@pytest.mark.parametrize(
    ("group", "values", "named"),
    [
        ("callVariables", {"callVariable11": ""}, "callVariable11"),
        ("callVariables", {"peripheral1": ""}, "peripheral1"),
        ("peripheralVariables", {"peripheral1": "x" * 41}, "peripheral1"),
        ("peripheralVariables", {"peripheral1": "\n"}, "peripheral1"),
        ("eccVariables", {"user.a": "x" * 211}, "user.a"),
        ("eccVariables", {"user.a": "ü" * 106}, "user.a"),
        ("eccVariables", {f"user.{n}": "x" * 210 for n in range(10)}, "2000"),
        ("eccVariables", {"x" * 65: ""}, "eccVariables"),
    ],
)
@run
async def test_a_wrong_variable_is_refused(group: str, values: dict[str, str], named: str) -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("put", f"{CALL}/variables", json={group: values})
        assert named in reply.error(400)


@run
async def test_a_number_is_looked_up() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        body = {"dialedNumber": "7000", "callingNumber": "1001"}
        reply = await client("post", "/cvp/rest/routing/lookup", json=body)
        assert fake.asked[-1] == ("lookup", "7000", "1001")
        assert (reply.json["matched"], reply.json["matchedPattern"]) == (True, "7>")
        anonymous = body | {"callingNumber": ""}
        assert (await client("post", "/cvp/rest/routing/lookup", json=anonymous)).status == 200
        assert fake.asked[-1] == ("lookup", "7000", None)
        fake.lookup = lambda *_: Lookup("7000", False)  # type: ignore[method-assign]
        reply = await client("post", "/cvp/rest/routing/lookup", json=body)
        assert reply.json == {"dialedNumber": "7000", "matched": False}


@run
async def test_sessions_are_listed_without_a_maximum() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        assert (await client("get", "/cvp/rest/sip/session?limit=1")).json["totalSessions"] == 2
        huge = await client("get", f"/cvp/rest/sip/session?limit={10**40}")
        assert len(huge.json["sessions"]) == 2
        for limit in ("0", "-5", "many"):
            reply = await client("get", f"/cvp/rest/sip/session?limit={limit}")
            assert "limit" in reply.error(400)
        one = await client("get", "/cvp/rest/sip/session/leg-2")
        assert one.json["sessionId"] == "leg-2"
        assert one.json["lastActivityTime"].startswith("2026-05-28T20:26:41")


@run
async def test_health_tells_uptime_as_a_duration() -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("get", "/cvp/rest/health")
        assert reply.json["uptime"] == "PT1H2M3S"
        neighbours = (await client("get", "/cvp/rest/health/connectivity")).json["connections"]
    assert neighbours[0]["latency"] == 3
    assert "latency" not in neighbours[1]
    assert "lastSuccessfulContact" not in neighbours[1]


@run
async def test_what_a_peer_sends_never_breaks_the_json() -> None:
    fake = FakeCallServer()
    fake.calls[GUID] = call_view(
        calling_number="\ud800x\udcff",
        icm_route_result=IcmRouteResult(),
        ecc_variables={"user.\udc80": '"\x00\u2028'},
    )
    health = fake.health()
    health.cpu_usage, health.memory_usage = float("nan"), float("inf")
    fake.health = lambda: health  # type: ignore[method-assign]
    fake.sessions_ = [session_view("\udcfe")]
    async with serving(fake) as client:
        call = (await client("get", CALL)).json
        status = (await client("get", "/cvp/rest/health")).json
        sessions = (await client("get", "/cvp/rest/sip/session")).json
    assert call["callingNumber"] == "\ufffdx\ufffd"
    assert call["eccVariables"] == {"user.\ufffd": '"\x00\u2028'}
    assert call["icmRouteResult"] == {}
    assert status.keys().isdisjoint({"cpuUsage", "memoryUsage"})
    assert sessions["sessions"][0]["sessionId"] == "\ufffd"


@run
async def test_head_answers_where_get_does() -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("head", "/cvp/rest/health")
    assert (reply.status, reply.text) == (200, "")
