"""What users get wrong, operation by operation: each answer names the field and the fix.

Of every wrong input of the table the answer has the contract's Error body; its details hold
the words of the row, and none of the words by which Python or its libraries speak.
"""

import json
import re
from typing import Any

import pytest

from tests.api.support import GUID, RINGING_GUID, FakeCallServer, run, serving

CALL = f"/cvp/rest/call/{GUID}"
RINGING = f"/cvp/rest/call/{RINGING_GUID}"
SIM = f"/sim/v1/calls/{GUID}"
CDR = "/cvp-reporting/rest/cdr"
FIGURES = "/cvp-reporting/rest/statistics"
NUMBERS = "/oamp/rest/dialedNumberPattern"
GROUPS = "/oamp/rest/sipserver"
HOOKS = "/sim/v1/webhooks"

NUMBER = {"pattern": "41>", "callType": "preroute", "applicationName": "welcome"}
GROUP = {"groupName": "gw.lab", "servers": [{"ipAddress": "10.0.0.1"}]}
HOOK = {"url": "http://example.com/"}
CALLS = {"callingNumber": "1001", "destination": "1002"}

STATES = "'ringing', 'connected', 'queued', 'self_service', 'transferring' or 'on_hold'"
REASONS = "'administrative', 'timeout', 'error' or 'requested'"
TIME = "must be a time as in RFC 3339 with its zone, such as 2026-01-15T10:30:00Z"
LONG = "1" * 201

# What comes from a library rather than from us.
FOREIGN = re.compile(
    'Traceback|File "|\\.py\\b|pydantic|aiohttp|Exception|[a-z]Error\\b|Input should|NoneType'
    "|valid (string|integer|boolean|array|list)|<class|0x[0-9a-f]{6}|bytearray|validation"
    "|function-|value_error|[Ee]rrno|\\b(dict|str)\\b"
)

Row = tuple[Any, ...]  # query or body, then words of the answer


def number(**changes: Any) -> dict[str, Any]:
    return {**NUMBER, **changes}


def group(**changes: Any) -> dict[str, Any]:
    return {**GROUP, **changes}


def server(**changes: Any) -> dict[str, Any]:
    return group(servers=[{"ipAddress": "10.0.0.1", **changes}])


def lookup(**changes: Any) -> dict[str, Any]:
    return {"dialedNumber": "7001", **changes}


def transfer(**changes: Any) -> dict[str, Any]:
    return {"destination": "1002", **changes}


def hook(**changes: Any) -> dict[str, Any]:
    return {**HOOK, **changes}


NOT_JSON: list[Row] = [
    ("", "the body is missing; send a JSON object"),
    ("nonsense", "the body is not JSON", "none of true, false and null"),
    ("{", "the body is not JSON: it ends within an object", "column 1"),
    ('{"a": 1,}', "the body is not JSON: trailing comma"),
    ("{'a': 1}", "the body is not JSON: key must be a string"),
    ('{"a": 1}{}', "the body is not JSON: trailing characters"),
    ('{"a": "\\ud800"}', "a has the lone surrogate '\\ud800' at place 1; remove it"),
    ('{"a": "\\u12"}', "the body is not JSON", "escape"),
    (b"\xff", "the body is not JSON"),
    (b"\xef\xbb\xbf{}", "the body is not JSON"),
    ("[" * 5000, "the body is not JSON", "nested too deeply"),
    ("[]", "the body must be an object (given: [])"),
    ("null", "the body must be an object (given: null)"),
    ('"x"', 'the body must be an object (given: "x")'),
]

QUERIES: dict[str, list[Row]] = {
    "/cvp/rest/call": [
        ("limit=0", "limit must be at least 1", '"0"'),
        ("limit=1001", "limit must be at most 1000", '"1001"'),
        ("limit=-1", "limit must be at least 1"),
        ("limit=x", "limit must be a whole number", '"x"'),
        ("limit=", "limit must be a whole number", '""'),
        ("limit=1.5", "limit must be a whole number"),
        ("limit=1e2", "limit must be a whole number"),
        ("limit=%20", "limit must be a whole number"),
        ("limit=٣", "limit must be a whole number"),
        (f"limit={'9' * 30}", "limit must be at most 1000"),
        (f"limit={'9' * 200}", "limit must be a whole number"),
        ("state=up", f"state must be {STATES}", '"up"'),
        ("state=", f"state must be {STATES}"),
        ("state=Connected", f"state must be {STATES}"),
        ("state=queued&state=ringing", 'query "state" is there twice; give it once'),
        ("foo=1", "foo is not known; known in the query: state, calledNumber"),
        ("called_number=1", "called_number is not known; known in the query: state, calledNumber"),
        (f"calledNumber={LONG}", "calledNumber has 201 characters; at most 200"),
        ("calledNumber=%00", "calledNumber has the character '\\x00' at place 1; remove it"),
        ("callingNumber=1%0d%0aX", "callingNumber has the character '\\r' at place 2; remove it"),
        ("applicationName=%09", "applicationName has the character '\\t' at place 1"),
        ("leg=%7f", "leg has the character '\\x7f' at place 1"),
        ("cursor=-1", "cursor must be at least 0"),
        ("cursor=x", "cursor must be a whole number"),
    ],
    "/cvp/rest/sip/session": [
        ("limit=0", "limit must be at least 1"),
        ("limit=x", "limit must be a whole number"),
        ("limit=-5", "limit must be at least 1", '"-5"'),
        ("state=early", "state is not known; known in the query: limit"),
    ],
    "/sim/v1/events": [
        ("cursor=x", "cursor must be a whole number"),
        ("cursor=-1", "cursor must be at least 0"),
        ("cursor=1&cursor=2", 'query "cursor" is there twice'),
        ("type=foo", "type has 'foo', which is no type; known are call.*, system.*, call.started"),
        ("callGuid=%00", "callGuid has the character '\\x00' at place 1"),
        ("foo=1", "foo is not known; known in the query: cursor, type, callGuid"),
    ],
    "/sim/v1/audit": [
        ("limit=0", "limit must be at least 1"),
        ("limit=x", "limit must be a whole number"),
        ("user=x", "user is not known; known in the query: limit"),
    ],
    f"{CDR}.csv": [
        ("startTime=x", f"startTime {TIME}"),
        ("callResult=good", "callResult must be 'completed', 'abandoned'"),
        ("foo=1", "foo is not known; known in the query: startTime, endTime"),
    ],
    CDR: [
        ("startTime=x", f"startTime {TIME}", "%2B"),
        ("startTime=2026-01-15", f"startTime {TIME}"),
        ("startTime=2026-01-15T10:30:00", f"startTime {TIME}"),
        ("startTime=2026-01-15T10:30:00+01:00", f"startTime {TIME}", "a + in a URL is written %2B"),
        ("startTime=2026-13-15T10:30:00Z", "startTime is no time: month"),
        ("startTime=2026-02-30T10:30:00Z", "startTime is no time: day"),
        ("startTime=2026-01-15T25:30:00Z", "startTime is no time: hour"),
        ("startTime=2026-01-15T10:30:00%2B99:00", "startTime has no such time zone as +99:00"),
        ("endTime=now", f"endTime {TIME}"),
        (
            "startTime=2026-01-16T00:00:00Z&endTime=2026-01-15T00:00:00Z",
            "startTime is after endTime; exchange them",
        ),
        ("limit=0", "limit must be at least 1"),
        ("limit=1001", "limit must be at most 1000"),
        ("offset=-1", "offset must be at least 0"),
        ("offset=x", "offset must be a whole number"),
        (f"offset={'9' * 20}", "offset must be at most 9007199254740992"),
        ("sortBy=x", "sortBy must be 'callStartTime', 'callEndTime', 'calledNumber' or"),
        ("sortOrder=up", "sortOrder must be 'asc' or 'desc'"),
        (
            "callResult=good",
            "callResult must be 'completed', 'abandoned', 'transferred' or 'error'",
        ),
        ("callGuid=%00", "callGuid has the character"),
        ("calledNumber=%0a", "calledNumber has the character '\\n'"),
        ("foo=1", "foo is not known; known in the query: startTime, endTime, calledNumber"),
        ("limit=1&limit=2", 'query "limit" is there twice'),
    ],
    f"{FIGURES}/summary": [
        ("interval=weekly", "interval must be 'fifteen_minutes', 'thirty_minutes', 'hourly' or"),
        ("startTime=x", f"startTime {TIME}"),
        ("calledNumber=%00", "calledNumber has the character"),
        ("limit=1", "limit is not known; known in the query: startTime, endTime, interval"),
    ],
    f"{FIGURES}/application": [
        ("applicationName=%00", "applicationName has the character"),
        ("endTime=x", f"endTime {TIME}"),
    ],
    f"{FIGURES}/server": [
        ("serverType=x", "serverType must be 'CallServer' or 'VXMLServer'"),
        ("startTime=", f"startTime {TIME}"),
    ],
    f"{FIGURES}/realtime": [
        ("serverId=%00", "serverId has the character"),
        ("foo=1", "foo is not known; known in the query: serverId"),
    ],
    "/cvp/VBServlet": [
        ("MSG_TYPE=x", "MSG_TYPE must be 'HEARTBEAT'"),
        ("TIMEOUT=x", "TIMEOUT must be a whole number"),
        ("TIMEOUT=-1", "TIMEOUT must be at least 0"),
        ("msg_type=HEARTBEAT", "msg_type is not known; known in the query: MSG_TYPE, TIMEOUT"),
    ],
}

BODIES: dict[str, list[Row]] = {
    f"POST {CALL}/transfer": [
        *NOT_JSON,
        ({}, "destination is missing; add it to the body"),
        ({"Destination": "1"}, "destination is missing", "Destination is not known; known in the"),
        ({"transfer_type": "blind"}, "transfer_type is not known; known in the body: destination,"),
        (transfer(destination=""), "destination is empty; give a number, an extension or a SIP"),
        (transfer(destination=None), "destination must be a string (given: null)"),
        (transfer(destination=5), "destination must be a string (given: 5)"),
        (transfer(destination=["1"]), 'destination must be a string (given: ["1"])'),
        (transfer(destination="a b"), "destination has the character ' ' at place 2", "%HH"),
        (transfer(destination="1\r\nX: y"), "destination has the character '\\r' at place 2"),
        (transfer(destination="<sip:1@h>"), "destination has the character '<' at place 1"),
        (transfer(destination="ü"), "destination has the character '\\xfc' at place 1"),
        (transfer(destination=LONG), "destination has 201 characters; at most 200"),
        (transfer(destination="http://h"), "destination 'http://h' is neither a number nor a sip:"),
        (transfer(destination="sip:"), "destination 'sip:': '' names no host"),
        (transfer(destination="sip:1@"), "destination 'sip:1@': '' names no host"),
        (transfer(destination="sip:1@h:x"), "destination 'sip:1@h:x': port 'x' is not a number"),
        (transfer(transferType="warm"), "transferType must be 'blind' or 'consultation'", '"warm"'),
        (transfer(transferType=None), "transferType must be 'blind' or 'consultation'", "null"),
        (transfer(label=""), "label is empty; give a number"),
        (transfer(label=5), "label must be a string"),
        (transfer(label="rf"), "label 'rf' names no destination"),
        (transfer(label="a b"), "label has the character ' ' at place 2"),
        (transfer(eccVariables=[]), "eccVariables must be an object (given: [])"),
        (transfer(eccVariables={"a": 1}), "eccVariables.a must be a string (given: 1)"),
        (transfer(eccVariables={"a": None}), "eccVariables.a must be a string (given: null)"),
        (transfer(eccVariables={"": "x"}), "eccVariables.'' has 0 characters; a name has 1 to 64"),
        (transfer(eccVariables={"a b": "x"}), "eccVariables.a b has the character ' ' at place 2"),
        (transfer(eccVariables={"a" * 65: "x"}), "has 65 characters; a name has 1 to 64"),
        (transfer(eccVariables={"a": "x" * 211}), "eccVariables.a has 211 characters; at most 210"),
        (transfer(eccVariables={"a": "\n"}), "eccVariables.a has the character '\\n' at place 1"),
        (transfer(extra=1), "extra is not known; known in the body: destination, transferType"),
        (
            {f"x{n}": 1 for n in range(9)},
            "destination is missing; add it to the body; x0 is not known",
            "and 5 more",
        ),
    ],
    f"POST {CALL}/transfer?a=1": [(transfer(), 'query "a" is not known here; leave it out')],
    f"POST {CALL}/terminate": [
        *NOT_JSON[1:],
        ({"reason": "bored"}, f"reason must be {REASONS}", '"bored"'),
        ({"reason": ""}, f"reason must be {REASONS}"),
        ({"reason": None}, f"reason must be {REASONS}", "null"),
        ({"why": "x"}, "why is not known; known in the body: reason"),
    ],
    f"PUT {CALL}/variables": [
        *NOT_JSON,
        ({"variables": {}}, "variables is not known; known in the body: eccVariables, peripheral"),
        ({"callGuid": GUID}, "callGuid is not known; known in the body: eccVariables"),
        ({"callVariables": None}, "callVariables must be an object (given: null)"),
        ({"callVariables": "x"}, "callVariables must be an object"),
        ({"callVariables": {"callVariable1": 1}}, "callVariables.callVariable1 must be a string"),
        (
            {"callVariables": {"callVariable1": "x" * 41}},
            "callVariables.callVariable1 has 41 characters; at most 40",
        ),
        (
            {"callVariables": {"callVariable1": "a\nb"}},
            "callVariables.callVariable1 has the character '\\n' at place 2; remove it",
        ),
        (
            {"callVariables": {"callVariable11": "x"}},
            "callVariables.callVariable11: is not a variable",
            "callVariable1 to callVariable10",
        ),
        (
            {"peripheralVariables": {"Peripheral1": "x"}},
            "peripheralVariables.Peripheral1: is not a variable",
            "peripheral1 to peripheral10",
        ),
        ({"eccVariables": {"a": True}}, "eccVariables.a must be a string (given: true)"),
        ({"eccVariables": {"a": "x" * 211}}, "eccVariables.a has 211 characters; at most 210"),
        ({"eccVariables": {"a": "ü" * 106}}, "eccVariables.a: has 212 bytes", "at most 210"),
        (
            {"eccVariables": {f"v{n}": "x" * 200 for n in range(11)}},
            "eccVariables: would have 2200 bytes of values together; at most 2000",
        ),
    ],
    "POST /cvp/rest/routing/lookup": [
        *NOT_JSON,
        ({}, "dialedNumber is missing; add it to the body"),
        ({"dialed_number": "1"}, "dialed_number is not known; known in the body: dialedNumber,"),
        (lookup(dialedNumber=""), "dialedNumber is empty; give a number"),
        (lookup(dialedNumber=7), "dialedNumber must be a string (given: 7)"),
        (lookup(dialedNumber="a b"), "dialedNumber has the character ' ' at place 2"),
        (lookup(dialedNumber=LONG), "dialedNumber has 201 characters; at most 200"),
        (lookup(callingNumber=5), "callingNumber must be a string"),
        (lookup(callingNumber="a b"), "callingNumber has the character ' ' at place 2"),
        (lookup(x=1), "x is not known; known in the body: dialedNumber, callingNumber"),
    ],
    "POST /sim/v1/calls": [
        *NOT_JSON[:1],
        ({}, "callingNumber is missing; add it to the body; destination is missing"),
        ({**CALLS, "callingNumber": ""}, "callingNumber is empty"),
        ({**CALLS, "callingNumber": 1}, "callingNumber must be a string"),
        ({**CALLS, "destination": "http://h"}, "destination 'http://h' is neither a number nor"),
        (
            {**CALLS, "from": "1"},
            "from is not known; known in the body: callingNumber, destination",
        ),
    ],
    "POST /sim/v1/calls/terminate": [
        *NOT_JSON[:1],
        ({}, "the body needs a filter; POST /sim/v1/reset ends all calls"),
        ({"reason": "timeout"}, "the body needs a filter"),
        ({"state": "up"}, f"state must be {STATES}"),
        ({"state": None}, "state is null; leave it out"),
        ({"calledNumber": 5}, "calledNumber must be a string"),
        ({"leg": "\n"}, "leg has the character '\\n' at place 1; remove it"),
        ({"state": "queued", "reason": "x"}, f"reason must be {REASONS}"),
        ({"callGuid": GUID}, "callGuid is not known; known in the body: state, calledNumber"),
    ],
    "PUT /sim/v1/agents/1001": [
        *NOT_JSON[:1],
        ({}, "the body needs state, answerAfter or both"),
        ({"state": None}, "state is null; leave it out"),
        ({"state": "gone"}, "state must be 'available', 'not_ready', 'busy' or 'logged_out'"),
        ({"state": "busy", "x": 1}, "x is not known; known in the body: state, answerAfter"),
        ({"answerAfter": "1"}, "answerAfter must be a number"),
        ({"answerAfter": -1}, "answerAfter must be at least 0"),
        ({"answerAfter": 3601}, "answerAfter must be at most 3600"),
    ],
    "PUT /sim/v1/log": [
        *NOT_JSON[:1],
        ({}, "levels is missing; add it to the body"),
        ({"levels": {"api": "loud"}}, "levels.api must be 'debug', 'info', 'warning', 'error' or"),
        ({"levels": {"nobody": "info"}}, '"nobody" is not a logger here'),
        ({"level": "info"}, "level is not known; known in the body: levels"),
    ],
    f"POST {HOOKS}": [
        *NOT_JSON[:1],
        ({}, "url is missing; add it to the body"),
        (hook(url=""), "url must be http:// or https:// and a host"),
        (hook(url=5), "url must be a string"),
        (hook(url="ftp://h"), "url must be http:// or https:// and a host", '"ftp://h"'),
        (hook(url="http://"), "url must be http:// or https:// and a host"),
        (hook(url="http://a b"), "url must be visible ASCII"),
        (hook(url="http://h:99999/"), "url must have a name or address as its host, and a port"),
        (hook(url="http://[::1/"), "url must have a name or address as its host"),
        (hook(url="http://u:p@h/"), "url must have no user"),
        (hook(url="http://h/#part"), "url must have no user and no fragment"),
        (hook(url="http://169.254.169.254/"), "url leads to 169.254.169.254"),
        (hook(url="http://h/" + "a" * 2000), "url has 2009 characters; at most 2000"),
        (hook(secret="abc"), "secret must be whsec_ and 24 to 64 bytes in Base64"),
        (hook(secret="whsec_abc"), "secret must be whsec_ and 24 to 64 bytes in Base64"),
        (hook(eventTypes=["foo"]), "eventTypes.0 must be 'call.started', 'call.state_changed'"),
        (hook(eventTypes="call.ended"), 'eventTypes must be an array (given: "call.ended")'),
    ],
    f"POST {NUMBERS}": [
        *NOT_JSON[:1],
        ({}, "pattern is missing; add it to the body; callType is missing"),
        ({"pattern": "41>"}, "callType is missing; add it to the body"),
        (
            {"pattern": "41>", "callType": "preroute"},
            "the body needs applicationName, or sipServerGroup, or both",
        ),
        (number(pattern=""), "pattern '' is empty; '>' matches every number"),
        (number(pattern=5), "pattern must be a string"),
        (number(pattern="4 4"), "pattern '4 4' has ' '; letters, digits, '.' or 'X'"),
        (number(pattern="4>>"), "pattern '4>>' has '>', '*' or '!' before its end"),
        (number(pattern="a" * 30), "has 30 characters; at most 24"),
        (number(callType="x"), "callType must be 'preroute', 'translation_route' or 'post_route'"),
        (number(callType=None), "callType must be 'preroute', 'translation_route' or"),
        (number(applicationName=""), "applicationName has 0 characters; at least 1"),
        (number(applicationName="a\nb"), "applicationName has the character '\\n' at place 2"),
        (number(priority=0), "priority must be at least 1 (given: 0)"),
        (number(priority=1.5), "priority must be a whole number (given: 1.5)"),
        (number(priority="1"), 'priority must be a whole number (given: "1")'),
        (number(priority=10**30), "priority must be at most 65535"),
        (number(enabled="yes"), 'enabled must be true or false (given: "yes")'),
        (number(enabled=1), "enabled must be true or false (given: 1)"),
        (number(sipServerGroup="a b"), "sipServerGroup 'a b' cannot be the host of a SIP URI"),
        (number(survivalApplication="x\n"), "survivalApplication has the character '\\n'"),
        (number(description="x" * 201), "description has 201 characters; at most 200"),
        (number(description="\u200b"), "description has the character '\\u200b' at place 1"),
        (number(patternId="x"), "patternId is not known; known in the body: pattern, description"),
    ],
    f"PUT {NUMBERS}/6%3E": [
        (number(pattern="\n"), "pattern '\\n' has '\\n'"),
        (number(callType="x"), "callType must be"),
    ],
    f"POST {GROUPS}": [
        *NOT_JSON[:1],
        ({}, "groupName is missing; add it to the body; servers is missing"),
        (
            group(groupName=""),
            "groupName '' cannot be the host of a SIP URI; give up to four parts",
        ),
        (group(groupName="a b"), "groupName 'a b' cannot be the host of a SIP URI"),
        (group(servers=[]), "servers has 0 entries; at least 1"),
        (group(servers={}), "servers must be an array (given: {})"),
        (group(servers=["x"]), 'servers.0 must be an object (given: "x")'),
        (group(servers=[{}]), "servers.0.ipAddress is missing; add it to the body"),
        (
            group(servers=[{"ipAddress": "10.0.0.1", "port": n} for n in range(1, 102)]),
            "servers has 101 entries; at most 100",
        ),
        (server(ipAddress=""), "servers.0.ipAddress must be an IP address, or a host name"),
        (server(ipAddress="1.2.3"), "servers.0.ipAddress must be an IP address"),
        (server(ipAddress="10.0.0.1:5060"), "servers.0.ipAddress must be an IP address"),
        (server(ipAddress="[::1]"), "servers.0.ipAddress must be an IP address"),
        (server(ipAddress="fe80::1%eth0"), "servers.0.ipAddress 'fe80::1%eth0' has a zone"),
        (server(port=0), "servers.0.port must be at least 1"),
        (server(port=70_000), "servers.0.port must be at most 65535"),
        (server(port="5060"), 'servers.0.port must be a whole number (given: "5060")'),
        (server(port=5060.5), "servers.0.port must be a whole number (given: 5060.5)"),
        (server(priority=0), "servers.0.priority must be at least 1"),
        (server(weight=-1), "servers.0.weight must be at least 0"),
        (server(hostname="\n"), "servers.0.hostname has the character '\\n'"),
        (server(host="x"), "servers.0.host is not known; known in servers.0: hostname, ipAddress,"),
        (group(loadBalancing="x"), "loadBalancing must be 'round_robin', 'top_down' or"),
        (group(description="\n"), "description has the character '\\n'"),
        (
            group(heartbeat=True),
            "heartbeat is not known; known in the body: groupName, description",
        ),
    ],
    "POST /sim/v1/reset?a=1": [(None, 'query "a" is not known here; leave it out')],
}

UNKNOWN = "no active call has the GUID 'nobody'; GET /cvp/rest/call lists the active calls"
NO_RECORD = "no call that has ended has the GUID 'x'; GET /cvp-reporting/rest/cdr lists the records"

OTHERS: list[tuple[int, str, Any, str]] = [
    (404, "GET /cvp/rest/call/nobody", None, UNKNOWN),
    (404, f"GET /cvp/rest/call/{'x' * 3000}", None, "...; GET /cvp/rest/call lists"),
    (404, "POST /cvp/rest/call/nobody/transfer", transfer(), UNKNOWN),
    (404, "POST /cvp/rest/call/nobody/terminate", None, UNKNOWN),
    (404, "GET /cvp/rest/call/nobody/variables", None, UNKNOWN),
    (404, "PUT /cvp/rest/call/nobody/variables", {}, UNKNOWN),
    (404, "GET /cvp/rest/sip/session/x", None, "no SIP session has the id 'x'; GET /cvp/rest/sip"),
    (404, "GET /cvp/rest/sip/session/%0d%0a", None, "no SIP session has the id '\\r\\n'"),
    (404, "POST /sim/v1/calls/nobody/hold", None, UNKNOWN),
    (404, "POST /sim/v1/calls/nobody/resume", None, UNKNOWN),
    (404, "POST /sim/v1/calls/nobody/transfer/complete", None, UNKNOWN),
    (404, "POST /sim/v1/calls/nobody/transfer/cancel", None, UNKNOWN),
    (404, "GET /sim/v1/calls/nobody/transfers", None, UNKNOWN),
    (404, "GET /sim/v1/calls/nobody/queue", None, UNKNOWN),
    (404, "GET /sim/v1/calls/nobody/headers", None, UNKNOWN),
    (404, "GET /sim/v1/agents/x", None, "agent id 'x'; GET /sim/v1/agents lists the agents"),
    (404, "PUT /sim/v1/agents/x", {"state": "busy"}, "no agent has the extension or agent id 'x'"),
    (404, "GET /sim/v1/skill-groups/x", None, "name 'x'; GET /sim/v1/skill-groups lists them"),
    (404, f"GET {HOOKS}/x", None, 'no webhook has the id "x"; GET /sim/v1/webhooks lists them'),
    (404, f"DELETE {HOOKS}/x", None, 'no webhook has the id "x"'),
    (404, f"GET {HOOKS}/x/dead-letters", None, 'no webhook has the id "x"'),
    (404, f"POST {HOOKS}/x/dead-letters/redeliver", None, 'no webhook has the id "x"'),
    (404, f"GET {CDR}/x", None, NO_RECORD),
    (404, f"GET {CDR}/x/legs", None, NO_RECORD),
    (404, f"GET {CDR}/x/events", None, NO_RECORD),
    (404, f"GET {CDR}/x/vxml-sessions", None, NO_RECORD),
    (404, f"GET {NUMBERS}/x", None, "no dialed number pattern has the id 'x'; GET /oamp/rest/"),
    (404, f"PUT {NUMBERS}/x", NUMBER, "no dialed number pattern has the id 'x'; GET /oamp/rest/"),
    (404, f"DELETE {NUMBERS}/x", None, "no dialed number pattern has the id 'x'; GET /oamp/rest/"),
    (404, f"GET {GROUPS}/x", None, "no server group has the id 'x'; GET /oamp/rest/"),
    (404, f"PUT {GROUPS}/x", GROUP, "no server group has the id 'x'; GET /oamp/rest/"),
    (404, f"DELETE {GROUPS}/x", None, "no server group has the id 'x'; GET /oamp/rest/"),
    (404, "GET /cvp/rest/calls", None, "there is no such path; /openapi.json lists them"),
    (405, "GET /cvp/rest/routing/lookup", None, '"GET" is not possible here; use POST'),
    (409, f"POST {RINGING}/transfer", transfer(), "the call is ringing"),
    (409, f"POST {SIM}/transfer/complete", None, "no consultation is under way"),
    (409, f"GET {SIM}/queue", None, f"the call {GUID} waits in no queue; its state is connected"),
    (409, f"POST {NUMBERS}", number(pattern="6!"), "matches the same numbers as '6>'"),
    (409, f"POST {NUMBERS}", number(sipServerGroup="gw"), "'gw', which is not there; add it first"),
    (409, f"POST {GROUPS}", group(servers=[{"ipAddress": "10.0.0.1"}] * 2), "there twice; remove"),
    (410, "GET /sim/v1/events?cursor=99999999999999999", None, "read on without a cursor"),
]


Case = tuple[int, str, Any, tuple[str, ...]]  # status, query (with its ?), body, words


def table() -> dict[str, list[Case]]:
    """The cases by method and path."""
    cases: dict[str, list[Case]] = {}
    for path, queries in QUERIES.items():
        cases[f"GET {path}"] = [(400, f"?{query}", None, tuple(words)) for query, *words in queries]
    for place, bodies in BODIES.items():
        cases[place] = [(400, "", body, tuple(words)) for body, *words in bodies]
    for status, place, body, word in OTHERS:
        cases.setdefault(str(status), []).append((status, place, body, (word,)))
    return cases


TABLE = table()


@pytest.mark.parametrize("place", TABLE)
@run
async def test_details_name_field_value_and_fix(place: str) -> None:
    wrong = []
    async with serving(FakeCallServer()) as client:
        for status, rest, body, words in TABLE[place]:
            method, path = (rest if place.isdigit() else place + rest).split(" ")
            data = body if isinstance(body, bytes) else None
            if data is None and body is not None:
                data = (body if isinstance(body, str) else json.dumps(body)).encode()
            headers = {"Content-Type": "application/json"} if data is not None else {}
            details = (await client(method, path, data=data, headers=headers)).error(status)
            missing = [word for word in words if word not in details]
            if missing or FOREIGN.search(details) or not details.isprintable():
                wrong.append((method, path, body, details, missing))
    assert wrong == []


def test_the_table_is_long_and_reaches_every_prefix() -> None:
    assert sum(map(len, TABLE.values())) >= 150
    places = [place for place in TABLE if not place.isdigit()]
    for prefix in ("/cvp/rest/", "/cvp-reporting/", "/sim/v1/", "/oamp/", "/cvp/VBServlet"):
        assert any(place.split(" ")[1].startswith(prefix) for place in places), prefix


def test_a_foreign_word_is_seen() -> None:
    for text in ("Input should be a valid string", "ValueError: x", "NoneType", "a.py", "errno 2"):
        assert FOREIGN.search(text), text
