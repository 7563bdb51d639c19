"""Every status that the contract lists, for every operation, each for its real reason.

The call server and the API are the real ones, on real sockets, and SIPp places the calls:
one is connected, one rings, one is being transferred, one has ended. Only what a 500 needs
is broken by the test: what the API asks of the call server raises, or the store of records
is held by somebody else.
"""

import http.client
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from api.app import GROUPS, create_app
from api.keys import ApiOptions, CallServer
from api.openapi import document
from api.runner import ApiServer
from scenarios.runner import SippMissing, SippRun
from simulator.config_base import User
from simulator.config_defaults import BUILTIN
from tests.api.support import CONTRACT, LOOPBACK, USER, Reply, basic
from tests.api.test_contract import OPERATIONS, json_schema, resolved
from tests.api.test_operations import conforms
from tests.support.live_server import LiveServer

JSON = {"Content-Type": "application/json"}
TRANSFER = {"destination": "1002"}
VARIABLES = {"callVariables": {"callVariable1": "gold"}}
LOOKUP = {"dialedNumber": "7001"}
NOBODY = "0" * 32

CALL, CALLS = "/call/{callGuid}", "/call"
SESSION, SESSIONS = "/sip/session/{sessionId}", "/sip/session"


class Breakable:
    """A call server whose commands and queries raise `fault`, once there is one."""

    def __init__(self, server: CallServer) -> None:
        self._server = server
        self.fault: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._server, name)
        fault = self.fault
        if fault is None or not callable(found):
            return found

        def broken(*_: object) -> None:
            raise fault

        return broken


@dataclass
class Scene:
    """A server under real calls; `calls` are their GUIDs by what they are."""

    directory: Path
    live: LiveServer
    broken: Breakable
    port: int
    calls: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    runs: list[SippRun] = field(default_factory=list)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        user: User | None = USER,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """The answer to a request; a body of text is sent as it is, another as JSON."""
        sent = dict(headers or {}) | (basic(user) if user else {})
        data = body if isinstance(body, str) or body is None else json.dumps(body)
        sent |= JSON if data is not None else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with closing(connection):
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            return Reply(response.status, dict(response.headers), response.read().decode())

    def place(self, scenario: str, number: str, state: str) -> str:
        """The GUID of a call that SIPp makes, once it is in `state`."""
        known = self.live.do(lambda server: set(server.calls))
        directory = self.directory / f"sipp-{len(self.runs)}"
        run = SippRun(scenario, directory, self.live.address, service=number, seconds=300)
        self.runs.append(run)
        new: list[str] = []

        def there(server: Any) -> bool:
            calls = server.calls.values()
            new[:] = [call.guid for call in calls if call.guid not in known and call.state == state]
            return bool(new)

        self.live.wait_for(there, f"call to {number}, {state}")
        return new[0]

    def steered(self) -> str:
        """The GUID of a connected call, whose caller agrees to all that is done to it."""
        return self.place("caller-is-steered", "5001", "connected")

    def begin(self) -> None:
        """The calls that the cases are about."""
        self.calls["connected"] = self.steered()
        self.calls["ringing"] = self.place("caller-ended-expect-480", "860", "ringing")
        self.calls["transferring"] = self.steered()
        path = f"/cvp/rest/call/{self.calls['transferring']}/transfer"
        assert self.ask("POST", path, {"destination": "860"}).status == 202
        self.calls["ended"] = ended = self.steered()
        (self.sessions["ended"],) = self.sessions_of(ended)
        assert self.ask("POST", f"/cvp/rest/call/{ended}/terminate").status == 200
        (self.sessions["connected"],) = self.sessions_of(self.calls["connected"])
        self.calls["nobody"] = self.sessions["nobody"] = NOBODY

    def sessions_of(self, guid: str) -> list[str]:
        listed = self.ask("GET", "/cvp/rest/sip/session?limit=1000").json["sessions"]
        return [one["sessionId"] for one in listed if one["callGuid"] == guid]

    def stop(self) -> None:
        """Every SIPp, whatever it does."""
        for run in self.runs:
            run.stop()

    def finish(self) -> None:
        """The calls that are left end, and every SIPp has seen what its scenario says."""
        for call in self.ask("GET", "/cvp/rest/call").json["calls"]:
            reply = self.ask("POST", f"/cvp/rest/call/{call['callGuid']}/terminate")
            assert reply.status == 200
        for run in self.runs:
            run.check()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("statuses")
    plan = {key: BUILTIN[key] for key in ("dialed_numbers", "icm", "lab")}
    with ExitStack() as stack:
        live = stack.enter_context(LiveServer(directory / "data", {}, t1=0.1, **plan))
        broken = Breakable(cast(CallServer, live.server))
        app = create_app(cast(CallServer, broken), ApiOptions((USER,), (LOOPBACK,)))
        api = ApiServer(app, shutdown_timeout=1)
        (address,) = live.run(api.start((LOOPBACK,)))
        stack.callback(lambda: live.run(api.stop()))
        scene = Scene(directory, live, broken, address.port)
        stack.callback(scene.stop)
        try:
            scene.begin()
        except SippMissing as missing:
            pytest.fail(str(missing), pytrace=False)
        yield scene
        scene.finish()
        live.settle()


@dataclass(frozen=True)
class Case:
    """A request, and the status that it must get.

    `of` names the call or session of the path; "fresh" is a call of its own. A `fault` is
    there while it is asked, `before` happens first.
    """

    method: str
    path: str
    status: int
    why: str
    of: str = "connected"
    body: object = None
    query: str = ""
    code: str = ""
    user: User | None = USER
    headers: tuple[tuple[str, str], ...] = ()
    fault: Exception | None = None
    before: Callable[[Scene, str], None] = lambda scene, path: None

    def __str__(self) -> str:
        return f"{self.status} {self.method} {self.path}: {self.why}"

    @property
    def key(self) -> tuple[str, str, int]:
        return self.path, self.method.lower(), self.status


KEYED = (("Idempotency-Key", "again"),)


def with_key(scene: Scene, path: str) -> None:
    """A command with the key of the case has been carried out."""
    reply = scene.ask("POST", path, {"reason": "timeout"}, headers=dict(KEYED))
    assert reply.status == 200, reply.text


def transferred_with_key(scene: Scene, path: str) -> None:
    reply = scene.ask("POST", path, {"destination": "1001"}, headers=dict(KEYED))
    assert reply.status == 202, reply.text


# What every operation of the contract can be asked well.
GOOD = (
    Case("GET", CALLS, 200, "two calls are there"),
    Case("GET", CALLS, 200, "one of them rings", query="?state=ringing&calledNumber=860&limit=1"),
    Case("GET", CALL, 200, "it is connected"),
    Case("GET", CALL, 200, "it rings", of="ringing"),
    Case("GET", CALL, 200, "it is being transferred", of="transferring"),
    Case("POST", f"{CALL}/transfer", 202, "it is connected", of="fresh", body=TRANSFER),
    Case("POST", f"{CALL}/terminate", 200, "it is connected", of="fresh"),
    Case("GET", f"{CALL}/variables", 200, "it is connected"),
    Case("PUT", f"{CALL}/variables", 200, "it is connected", body=VARIABLES),
    Case("POST", "/routing/lookup", 200, "the plan has the number", body=LOOKUP),
    Case("GET", SESSIONS, 200, "each leg has one"),
    Case("GET", SESSION, 200, "it is the caller's"),
    Case("GET", "/health", 200, "the server runs"),
    Case("GET", "/health/connectivity", 200, "the neighbours answer"),
)

UNAUTHORIZED = tuple(
    replace(case, of="connected", status=401, why=why, user=user, code="UNAUTHORIZED")
    for case in GOOD
    for why, user in (
        ("nobody says who asks", None),
        ("the password is wrong", User(USER.name, "wrong")),
        ("there is no such user", User("nobody", USER.password)),
    )
)

NOT_FOUND = tuple(
    Case(method, path, 404, why, of=of, body=body, code=code)
    for method, path, body, code in (
        ("GET", CALL, None, "CALL_NOT_FOUND"),
        ("POST", f"{CALL}/transfer", TRANSFER, "CALL_NOT_FOUND"),
        ("POST", f"{CALL}/terminate", None, "CALL_NOT_FOUND"),
        ("GET", f"{CALL}/variables", None, "CALL_NOT_FOUND"),
        ("PUT", f"{CALL}/variables", VARIABLES, "CALL_NOT_FOUND"),
        ("GET", SESSION, None, "SESSION_NOT_FOUND"),
    )
    for why, of in (("there never was such a one", "nobody"), ("it has ended", "ended"))
)

BAD = (
    Case("POST", f"{CALL}/transfer", 400, "no body", code="BAD_REQUEST"),
    Case("POST", f"{CALL}/transfer", 400, "no JSON", body="{", code="INVALID_REQUEST"),
    Case("POST", f"{CALL}/transfer", 400, "no destination", body={}, code="INVALID_REQUEST"),
    Case(
        *("POST", f"{CALL}/transfer", 400, "a line end that would be a header field of SIP"),
        body={"destination": "1002\r\nX-Injected: yes"},
        code="INVALID_REQUEST",
    ),
    Case(
        *("POST", f"{CALL}/transfer", 400, "nowhere to go"),
        body={"destination": "http://example.com"},
        code="NOT_ROUTABLE",
    ),
    Case(
        *("POST", f"{CALL}/transfer", 400, "a variable that is too long"),
        body={**TRANSFER, "eccVariables": {"user.a": "ü" * 106}},
        code="INVALID_VARIABLE",
    ),
    Case("PUT", f"{CALL}/variables", 400, "no body", code="BAD_REQUEST"),
    Case(
        *("PUT", f"{CALL}/variables", 400, "no such variable"),
        body={"callVariables": {"callVariable11": "x"}},
        code="INVALID_VARIABLE",
    ),
    Case(
        *("PUT", f"{CALL}/variables", 400, "two names of one variable differ"),
        body={
            "callVariables": {"callVariable1": "a"},
            "peripheralVariables": {"peripheral1": "b"},
        },
        code="INVALID_VARIABLE",
    ),
    Case("POST", "/routing/lookup", 400, "no number", body={}, code="INVALID_REQUEST"),
    Case("GET", CALLS, 400, "no such state", query="?state=up", code="INVALID_REQUEST"),
    Case("GET", CALLS, 400, "too many", query="?limit=1001", code="INVALID_REQUEST"),
    Case("GET", SESSIONS, 400, "none wanted", query="?limit=0", code="INVALID_REQUEST"),
    Case(
        *("POST", f"{CALL}/terminate", 400, "no such reason"),
        body={"reason": "boredom"},
        code="INVALID_REQUEST",
    ),
)

CONFLICT = (
    Case("POST", f"{CALL}/transfer", 409, "it rings", "ringing", TRANSFER, code="CALL_STATE"),
    Case(
        *("POST", f"{CALL}/transfer", 409, "another transfer is under way"),
        *("transferring", TRANSFER),
        code="CALL_STATE",
    ),
    Case(
        *("POST", f"{CALL}/transfer", 409, "the key came with another body", "fresh", TRANSFER),
        headers=KEYED,
        before=transferred_with_key,
        code="IDEMPOTENCY_KEY_REUSED",
    ),
    Case(
        *("POST", f"{CALL}/terminate", 409, "the key came with another body", "fresh"),
        body={"reason": "error"},
        headers=KEYED,
        before=with_key,
        code="IDEMPOTENCY_KEY_REUSED",
    ),
    Case(
        *("PUT", f"{CALL}/variables", 412, "somebody has changed them meanwhile"),
        body=VARIABLES,
        headers=(("If-Match", '"0"'),),
        code="PRECONDITION_FAILED",
    ),
)

FAULT = sqlite3.OperationalError("disk I/O error")
BROKEN = tuple(
    replace(
        case,
        of="connected",
        status=500,
        why="a fault of the server",
        fault=FAULT,
        code="INTERNAL_SERVER_ERROR",
    )
    for case in GOOD
)

CASES = (*GOOD, *UNAUTHORIZED, *NOT_FOUND, *BAD, *CONFLICT, *BROKEN)

OURS = document(GROUPS)


def listed(root: dict[str, Any]) -> set[tuple[str, str, int]]:
    """Path, method and status of all that the contract's operations may answer."""
    return {
        (path, method, int(status))
        for path, method in OPERATIONS
        for status in root["paths"][path][method]["responses"]
        if status != "default"
    }


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_status_for_its_reason(
    case: Case, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    guid = scene.steered() if case.of == "fresh" else scene.calls[case.of]
    path = case.path.replace("{callGuid}", guid)
    path = path.replace("{sessionId}", scene.sessions.get(case.of, ""))
    path = f"/cvp/rest{path}"
    case.before(scene, path)
    scene.broken.fault = case.fault
    try:
        reply = scene.ask(
            case.method,
            path + case.query,
            case.body,
            user=case.user,
            headers=dict(case.headers),
        )
    finally:
        scene.broken.fault = None
    assert reply.status == case.status, reply.text
    assert reply.headers["Content-Type"] == "application/json"
    root = CONTRACT if case.key in listed(CONTRACT) else OURS
    if case.key in listed(root):
        operation = root["paths"][case.path][case.method.lower()]
        answer = resolved(root, operation["responses"][str(case.status)])
        if "content" in answer:
            conforms(reply.json, json_schema(answer))
    if case.status >= 400:
        details = reply.error(case.status, case.code)
        assert case.code
        conforms(reply.json, resolved(CONTRACT, CONTRACT["components"]["schemas"]["Error"]))
        assert "disk I/O" not in details
        if case.status == 500:
            assert details.split()[-1] in caplog.text, "the log has what the client is not told"
    if case.status == 401:
        assert reply.headers["WWW-Authenticate"].startswith("Basic ")


def test_every_status_of_the_contract_has_a_case() -> None:
    assert len(listed(CONTRACT)) == 41
    assert listed(CONTRACT) - {case.key for case in CASES} == set()


def test_every_status_of_our_document_has_a_case_too() -> None:
    assert listed(OURS) - {case.key for case in CASES} == set()


def test_who_is_in_the_way_of_the_store_is_500_and_503(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call has ended, but nobody can say that its record is on disk; later it is."""
    monkeypatch.setattr("simulator.journal.Journal.put", lambda *_: -1)  # as when it is full
    guid = scene.steered()
    path = scene.directory / "data" / "cdr.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        reply = scene.ask("POST", f"/cvp/rest/call/{guid}/terminate")
        assert "not stored yet" in reply.error(500, "RECORD_NOT_STORED")
        assert scene.ask("GET", "/cvp/rest/health").json["status"] == "degraded"
        scene.ask("GET", f"/cvp/rest/call/{guid}").error(404, "CALL_NOT_FOUND")
        scene.ask("GET", f"/cvp-reporting/rest/cdr/{guid}").error(404, "CDR_NOT_FOUND")
        other.execute("ROLLBACK")
        scene.live.wait_for(lambda server: server.store.get(guid) is not None, "record")
        scene.live.wait_for(lambda server: not server.store.full, "room for new calls")
        assert scene.ask("GET", f"/cvp-reporting/rest/cdr/{guid}").status == 200
        other.execute("ALTER TABLE cdr RENAME TO elsewhere")
        try:
            for place in ("cdr", f"cdr/{guid}", "statistics/summary"):
                reply = scene.ask("GET", f"/cvp-reporting/rest/{place}")
                assert "cannot be read" in reply.error(503, "CDR_STORE")
                assert reply.headers["Retry-After"] == "1"
        finally:
            other.execute("ALTER TABLE elsewhere RENAME TO cdr")
    assert scene.ask("GET", "/cvp-reporting/rest/cdr").json["totalRecords"] > 0


def test_no_room_for_another_call_is_503(tmp_path: Path) -> None:
    plan = {key: BUILTIN[key] for key in ("dialed_numbers", "icm", "lab")}
    limits = {"data_dir": str(tmp_path / "data"), "grace": 0, "max_calls": 1}
    with LiveServer(tmp_path, {}, t1=0.1, server=limits, **plan) as live:
        app = create_app(cast(CallServer, live.server), ApiOptions((USER,), (LOOPBACK,)))
        api = ApiServer(app, shutdown_timeout=1)
        (address,) = live.run(api.start((LOOPBACK,)))
        scene = Scene(tmp_path, live, Breakable(cast(CallServer, live.server)), address.port)
        try:
            scene.steered()
            wanted = {"callingNumber": "1001", "destination": "1002"}
            reply = scene.ask("POST", "/sim/v1/calls", wanted)
            assert "try again later" in reply.error(503, "NOT_ADMITTED")
            assert reply.headers["Retry-After"] == "1"
            scene.finish()
            assert scene.ask("POST", "/sim/v1/calls", wanted).status == 202
            scene.finish()
        finally:
            scene.stop()
            live.run(api.stop())
