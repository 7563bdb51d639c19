"""A real `callsim serve` process on ports of its own, steered and read over HTTP."""

import base64
import http.client
import json
import re
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import urlencode, urlsplit

from scenarios.child import Child

if TYPE_CHECKING:
    from simulator.cdr_records import CdrRecord

USER: Final = "test"
PASSWORD: Final = "test"

_START: Final = 120.0
_STOP: Final = 30.0
_TIMEOUT: Final = 15.0
AUTHORIZATION: Final = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
_FAULT: Final = re.compile(
    r'^ *Traceback|\b(ERROR|CRITICAL)\b|"level": "(error|critical)"', re.MULTILINE
)

Address = tuple[str, int]
_T = TypeVar("_T")


class ServerError(Exception):
    """The server did not start, stop or answer as it should."""


class RestError(ServerError):
    """The answer had another status than expected; `status` and `body` are what came."""

    def __init__(self, request: str, status: int, body: Any) -> None:
        super().__init__(f"{request}: {status} {body}")
        self.status = status
        self.body = body


class ServerProcess:
    """A server with its data in `directory`; it is ready once this is made.

    `routes` lead numbers straight to callees (``{"2>": "sip:127.0.0.1:5080"}``), `settings`
    are those of ``--set``, `options` further options of ``callsim serve``, `prefix` a command
    that becomes it (``nsenter ...``). The neighbours of the built-in plan run beside it only
    with `lab`.

    `listeners` are its addresses by transport (``udp``, and what `options` add by ``--sip``),
    `sip` the one on UDP, `api` the URL of the Call Control API. Raises ServerError when it
    does not start. As a context manager it stops at the end.
    """

    def __init__(
        self,
        directory: Path,
        *,
        routes: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | None = None,
        options: Sequence[str] = (),
        lab: bool = False,
        prefix: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        url = str((settings or {}).get("cdr.url", ""))
        self._postgres = url if url.startswith("postgres") else None
        directory.mkdir(parents=True, exist_ok=True)
        self._child = Child(
            [*prefix, *_command(directory, routes or {}, settings or {}, options, lab)],
            directory / "stderr.log",
            piped=True,
        )
        self.listeners: dict[str, Address] = {}
        self.api = ""
        self._connection: http.client.HTTPConnection | None = None
        try:
            self._read_addresses()
        except ServerError:
            self._child.end()
            raise

    def _read_addresses(self) -> None:
        deadline = time.monotonic() + _START
        while (line := self._child.line(deadline - time.monotonic())) != "ready":
            if line is None:
                raise ServerError(f"the server did not start: {self.errors or 'it said nothing'}")
            kind, _, address = line.partition(" ")
            if kind == "sip":
                transport, _, place = address.partition(":")
                host, _, port = place.rpartition(":")
                self.listeners[transport] = (host.strip("[]"), int(port))
            elif kind == "api":
                self.api = address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def sip(self) -> Address:
        """Where it listens on UDP."""
        return self.listeners["udp"]

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._child.wait(0) is None

    @property
    def errors(self) -> str:
        """What it wrote to standard error, the last of it."""
        return self._child.error_text()

    # REST.

    def rest(
        self, method: str, path: str, body: object = None, *, expect: int | None = None
    ) -> Any:
        """One request to `path` under the Call Control API; the JSON of its answer.

        Raises RestError when the status is not `expect`; without `expect` any 2xx will do.
        """
        return self._ask(method, urlsplit(self.api).path + path, body, expect)

    def extension(
        self, method: str, path: str, body: object = None, *, expect: int | None = None
    ) -> Any:
        """`rest`, but to a path from the root, such as ``/sim/v1/agents``."""
        return self._ask(method, path, body, expect)

    def download(self, path: str) -> bytes:
        """What is at a path from the root, as it is. Raises RestError."""
        status, data = self._exchange("GET", path, None)
        if status != 200:
            raise RestError(f"GET {path}", status, json.loads(data))
        return data

    def _ask(self, method: str, path: str, body: object, expect: int | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        status, text = self._exchange(method, path, data)
        answer = json.loads(text) if text else None
        if status != expect and not (expect is None and 200 <= status < 300):
            raise RestError(f"{method} {path}", status, answer)
        return answer

    def _exchange(self, method: str, path: str, data: bytes | None) -> tuple[int, bytes]:
        headers = {"Authorization": AUTHORIZATION, "Content-Type": "application/json"}
        for fresh in (False, True):
            if self._connection is None:
                host = urlsplit(self.api).netloc
                self._connection = http.client.HTTPConnection(host, timeout=_TIMEOUT)
            try:
                self._connection.request(method, path, data, headers)
                with self._connection.getresponse() as response:
                    return response.status, response.read()
            except (ConnectionError, http.client.HTTPException):  # an idle connection was closed
                self._close_connection()
                if fresh:
                    raise
        raise AssertionError("not reached")

    def _close_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def calls(self, **query: object) -> list[Any]:
        """The active calls: what GET /call lists for this query."""
        return list(self.rest("GET", "/call" + _query(query))["calls"])

    def call(self, guid: str) -> Any:
        """One active call in detail."""
        return self.rest("GET", f"/call/{guid}")

    def sessions(self, guid: str | None = None) -> list[Any]:
        """Each SIP session in detail, oldest first; only those of one call, if named."""
        listed = self.rest("GET", "/sip/session?limit=1000")["sessions"]
        found = []
        for session in listed:
            if guid is None or session["callGuid"] == guid:
                with suppress(RestError):  # it may have ended meanwhile
                    found.append(self.rest("GET", f"/sip/session/{session['sessionId']}"))
        return found

    def transfer(self, guid: str, destination: str, **more: object) -> Any:
        """Ask for a transfer; 202 and its body."""
        body = {"destination": destination, **more}
        return self.rest("POST", f"/call/{guid}/transfer", body, expect=202)

    def terminate(self, guid: str, reason: str = "requested") -> Any:
        """End a call; 200 and its body."""
        return self.rest("POST", f"/call/{guid}/terminate", {"reason": reason}, expect=200)

    # Waiting: each look is a request of its own, which is pause enough.

    def wait_for(
        self, condition: Callable[[], _T | None], what: str, seconds: float = _TIMEOUT
    ) -> _T:
        """Ask again until `condition` gives something true; raises ServerError if it never does."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise ServerError(f"waited {seconds:g} s for {what}; {self._situation()}")
        return found

    def wait_for_call(self, state: str | None = None, seconds: float = _TIMEOUT) -> Any:
        """The first call, in detail, once there is one (in this state)."""

        def look() -> Any:
            for call in self.calls():
                with suppress(RestError):  # it may have ended meanwhile
                    detail = self.call(call["callGuid"])
                    if state in (None, detail["state"]):
                        return detail
            return None

        return self.wait_for(look, f"a call {state or 'of any state'}", seconds)

    def wait_for_history(self, guid: str, event: str, seconds: float = _TIMEOUT) -> Any:
        """The call in detail, once its history has this event."""

        def look() -> Any:
            call = self.call(guid)
            return call if any(e["event"] == event for e in call["callHistory"]) else None

        return self.wait_for(look, f"{event!r} in the history of {guid}", seconds)

    def wait_until_idle(self, seconds: float = _TIMEOUT) -> None:
        """Return once no call, no SIP session, no busy agent and nobody in a queue is left."""

        def idle() -> bool:
            calls: int = self.rest("GET", "/call?limit=1")["totalActiveCalls"]
            sessions: int = self.rest("GET", "/sip/session?limit=1")["totalSessions"]
            return calls == sessions == 0 and not self._kept()

        self.wait_for(idle, "the end of all calls and sessions", seconds)

    def _kept(self) -> list[Any]:
        """The agents that have calls, and the skill groups in which somebody waits."""
        agents = self.extension("GET", "/sim/v1/agents")["agents"]
        groups = self.extension("GET", "/sim/v1/skill-groups")["skillGroups"]
        return [
            *(agent for agent in agents if agent["activeCalls"]),
            *(group for group in groups if group["waiting"]),
        ]

    def _situation(self) -> str:
        calls = [self.call(call["callGuid"]) for call in self.calls()]
        return (
            f"calls: {json.dumps(calls)}, sessions: {json.dumps(self.sessions())}, "
            f"agents and queues: {json.dumps(self._kept())}"
        )

    # Records.

    def cdrs(self) -> "list[CdrRecord]":
        """The call detail records in the store, oldest first."""
        from simulator.cdr_records import COLUMNS, from_row

        columns = ", ".join(COLUMNS)
        query = f"SELECT {columns} FROM cdr ORDER BY id"  # noqa: S608 constants
        if self._postgres is not None:
            import psycopg

            with psycopg.connect(self._postgres) as server:
                return [from_row(row) for row in server.execute(query)]
        file = self.directory / "data" / "cdr.sqlite"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            return [from_row(row) for row in database.execute(query)]

    # The end.

    def stop(self) -> None:
        """SIGTERM; raises ServerError unless it ends with code 0 and reported no fault."""
        if self._child.exit_code is not None:
            return
        self._close_connection()
        self._child.send_signal(signal.SIGTERM)
        code = self._child.wait(_STOP)
        self._child.kill()
        if code != 0:
            how = "did not end after SIGTERM" if code is None else f"ended with code {code}"
            raise ServerError(f"the server {how}: {self.errors}")
        if _FAULT.search(self.errors):
            raise ServerError(f"the server reported faults: {self.errors}")

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._close_connection()
        self._child.kill()


def _command(
    directory: Path,
    routes: Mapping[str, str],
    settings: Mapping[str, object],
    options: Sequence[str],
    lab: bool,
) -> list[str]:
    if not lab:
        settings = {"lab.embedded": "false", **settings}
    settings = {"cdr.journal": 1, **settings}
    return [
        _program(),
        *["serve", "--sip", "udp:127.0.0.1:0", "--api", "http://127.0.0.1:0", "--grace", "2"],
        *["--user", f"{USER}:{PASSWORD}", "--data-dir", str(directory / "data")],
        *(part for pattern, uri in routes.items() for part in ("--route", f"{pattern}={uri}")),
        *(part for key, value in settings.items() for part in ("--set", f"{key}={value}")),
        *options,
    ]


def _program() -> str:
    """The callsim command of this Python, or the one on the path."""
    beside = Path(sys.executable).with_name("callsim")
    path = str(beside) if beside.exists() else shutil.which("callsim")
    if path is None:
        raise ServerError("there is no callsim command: pip install callsim")
    return path


def _query(query: Mapping[str, object]) -> str:
    return f"?{urlencode(query)}" if query else ""
