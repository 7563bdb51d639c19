"""A call server that only pretends, the API over it, and a client for tests."""

import asyncio
import base64
import functools
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, ParamSpec, TypeVar, cast

import aiohttp

from api.app import create_app
from api.keys import ApiOptions
from api.runner import ApiServer
from simulator.administration import Administration
from simulator.admission import Refusals
from simulator.agent_desk import AgentDesk
from simulator.agents import SkillGroups
from simulator.call_log import CallLog
from simulator.config import Config
from simulator.config_base import User
from simulator.config_sections import TraceSection
from simulator.config_values import HttpListen
from simulator.errors import CallNotFound, CallStateError, SessionNotFound
from simulator.event_bus import EventBus
from simulator.faults import Faults
from simulator.lab import Agents
from simulator.licence import Licences
from simulator.metrics import Metrics
from simulator.reports import IntervalView, RealtimeView, Reports, ServiceView
from simulator.routing import DialPlan, Lookup
from simulator.server import CallServer as RealCallServer
from simulator.statistics import Counts
from simulator.trace import Trace
from simulator.variables import Variables
from simulator.views import (
    CallDetailView,
    CallFilter,
    CallPage,
    CallView,
    ConnectionView,
    HealthView,
    HistoryEntry,
    IcmRouteResult,
    LegView,
    SessionDetailView,
    SessionView,
    TerminateReason,
    TransferCommand,
    TransferStepView,
    TransferView,
    VariablesView,
)
from sip.timers import TimerWheel
from tests.support.network import Network
from tests.support.records import RecordsInMemory
from tests.support.virtual_server import VirtualServer, configuration

CONTRACT: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "contract" / "call-control-api.json").read_text()
)
GUID: Final = "0123456789ABCDEF0123456789ABCDEF"
RINGING_GUID: Final = "F" * 32
STARTED: Final = 1_780_000_000.25
USER: Final = User("operator", "geheim: wörd")

PATIENCE: Final = 240.0
"""Seconds for a test at most, on a machine that is busy as well."""

P = ParamSpec("P")
T = TypeVar("T")


def run(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run an async test in a loop of its own."""

    @functools.wraps(test)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        async def main() -> None:
            await asyncio.wait_for(test(*args, **kwargs), PATIENCE)

        asyncio.run(main())

    return wrapper


def call_view(guid: str = GUID, **changes: Any) -> CallDetailView:
    values: dict[str, Any] = {
        "guid": guid,
        "state": "connected",
        "calling_number": "1001",
        "called_number": "7000",
        "start_time": STARTED,
        "duration": 12,
        "application_name": "support",
        "sip_call_id": "abc@10.0.0.1",
        "sip_from_tag": "from-1",
        "sip_to_tag": "to-1",
        "icm_route_result": IcmRouteResult("2001", "support", ""),
        "vxml_server": "vxml.example",
        "history": [HistoryEntry(STARTED, "offered", "1001 to 7000")],
        "ecc_variables": {"user.lang": "de"},
    }
    return CallDetailView(**values | changes)


def session_view(session_id: str = "leg-1") -> SessionDetailView:
    return SessionDetailView(
        session_id=session_id,
        call_id="abc@10.0.0.1",
        call_guid=GUID,
        state="confirmed",
        method="INVITE",
        from_uri="sip:1001@10.0.0.1",
        to_uri="sip:7000@10.0.0.2",
        from_tag="from-1",
        to_tag="to-1",
        cseq=1,
        transport="UDP",
        local_address="10.0.0.2:5060",
        remote_address="10.0.0.1:5060",
        start_time=STARTED,
        last_activity_time=STARTED + 1,
    )


def transfer_view() -> TransferView:
    step = TransferStepView(
        time=STARTED + 1,
        leg="transfer",
        number="1002",
        session_id="leg-2",
        direction="received",
        message="486 INVITE",
        sip_code=486,
        reason="Busy Here",
        outcome="failure",
    )
    invite = replace(step, direction="sent", message="INVITE", sip_code=None, outcome="requested")
    return TransferView(
        transfer_type="blind",
        method="reinvite",
        initiated_by="rest",
        destination="1002",
        label="",
        state="failed",
        start_time=STARTED,
        end_time=STARTED + 1,
        sip_code=486,
        reason="Busy Here",
        steps=[replace(invite, reason=""), step],
    )


def _administration() -> Administration:
    """Of a real call server, which has no calls."""
    neighbours = ("sip:127.0.0.1:5071", "sip:127.0.0.1:5072")
    return VirtualServer(Network(), configuration(), *neighbours).server.administration


class FakeReports(Reports):
    """Reports of some records, and figures that are made up. `before` runs in the thread."""

    def __init__(
        self, store: RecordsInMemory | None = None, before: Callable[[], None] = lambda: None
    ) -> None:
        self.store = store or RecordsInMemory()
        self.before = before
        self.router = SimpleNamespace(utc_offset=lambda wall: 120 if wall else 60)
        super().__init__(cast(RealCallServer, self))

    async def _run(self, query: Callable[[], T], *, under_way: bool = False) -> T:
        def run() -> T:
            self.before()
            return query()

        return await super()._run(run, under_way=under_way)

    def realtime(self) -> RealtimeView:
        return RealtimeView("callsim", 21, 1, 2, 3, 4, 5, 6, 2.5, 30, 1.5, 3.5, 2.5)

    def service(self) -> ServiceView:
        counts = Counts()
        counts.new_calls, counts.rejected, counts.connects = 7, 1, 6
        counts.answers, counts.latency = 4, 2.0
        counts.failed_pre_dialog, counts.failed_in_dialog = 2, 1
        counts.legs, counts.vru_legs, counts.lookups = 14, 3, 5
        counts.whispers, counts.failed_whispers = 4, 1
        counts.greetings, counts.failed_greetings, counts.surveys = 3, 2, 6
        licences = Licences()
        licences.use(95, 100, 0.0)
        licences.denied = 2
        began = 1_780_000_000.0
        current = IntervalView(began, began + 200, counts)
        last = IntervalView(began - 1800, began, Counts())
        refused = Refusals()
        refused.calls, refused.rate, refused.delay = 1, 2, 3
        return ServiceView(
            21, 40, 20, 5, 1800.0, current, last, current, licences, "delay", refused
        )


def events_bus(kept: int) -> EventBus:
    """A bus on a clock that stands still, when `STARTED` is."""
    return EventBus(kept, lambda: 0.0, lambda now: STARTED + now)


def empty_trace() -> Trace:
    """A trace that nothing passes."""
    stack = SimpleNamespace(add_tap=lambda _tap: None, remove_tap=lambda _tap: None)
    server = SimpleNamespace(calls={}, stack=stack, wall=lambda now: STARTED + now)
    return Trace(cast(Any, server), TraceSection())


@dataclass
class FakeCallServer:
    """Two calls; what was asked is in `asked`. `failure` is raised by every command."""

    ready: bool = True
    failure: BaseException | None = None
    release: asyncio.Event | None = None  # what terminate waits for
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    calls: dict[str, CallDetailView] = field(
        default_factory=lambda: {
            GUID: call_view(),
            RINGING_GUID: call_view(RINGING_GUID, state="ringing", called_number="8010"),
        }
    )
    sessions_: list[SessionDetailView] = field(
        default_factory=lambda: [session_view(), session_view("leg-2")]
    )
    asked: list[Any] = field(default_factory=list)
    reports: Reports = field(default_factory=FakeReports)
    groups: SkillGroups | None = None
    phones: Agents | None = None
    rang: dict[str, float | None] = field(default_factory=dict)
    variables: Variables = field(default_factory=lambda: Variables(separate=True))
    plan: DialPlan = field(
        default_factory=lambda: DialPlan(
            Config.builtin().with_lab("sip:127.0.0.1:5071", "sip:127.0.0.1:5072")
        )
    )

    administration: Administration = field(default_factory=_administration)
    events: EventBus = field(default_factory=lambda: events_bus(1000))
    call_log: CallLog = field(default_factory=lambda: CallLog(lambda: 0.0))
    trace: Trace = field(default_factory=lambda: empty_trace())

    @property
    def metrics(self) -> Metrics:
        """Those of a real call server, which has no calls."""
        return self.administration.server.metrics

    @property
    def faults(self) -> Faults:
        """Those of the call server that is behind the administration."""
        return self.administration.server.faults

    @property
    def desk(self) -> AgentDesk:
        """The agents of the built-in plan, on a clock that stands still."""
        if self.groups is None:
            wheel = TimerWheel()
            self.groups = SkillGroups(Config.builtin(), wheel, lambda *_: None, 0.0)
        stack = SimpleNamespace(now=lambda: 0.0, pump=lambda _now: None)
        server = SimpleNamespace(
            config=Config.builtin(),
            skill_groups=self.groups,
            plan=self.plan,
            stack=stack,
            wall=lambda now: STARTED + now,
            find=lambda guid: SimpleNamespace(treatment=None, state=self._find(guid).state),
        )
        desk = AgentDesk(cast(Any, server))
        desk.phones = self.phones
        desk._rang = self.rang
        return desk

    def _ask(self, *what: Any) -> None:
        self.asked.append(what)
        if self.failure is not None:
            raise self.failure

    def _find(self, guid: str) -> CallDetailView:
        if guid not in self.calls:
            raise CallNotFound(f"no active call has the GUID {guid!r}")
        return self.calls[guid]

    def active_calls(self, wanted: CallFilter, limit: int, cursor: int) -> CallPage:
        self._ask("active_calls", wanted, limit, cursor)
        found: list[CallView] = [
            call
            for call in self.calls.values()
            if wanted.state in (None, call.state)
            and wanted.called_number in (None, call.called_number)
        ]
        rest = found[cursor:]
        return CallPage(len(found), rest[:limit], cursor + limit if len(rest) > limit else None)

    async def terminate_all(self, wanted: CallFilter, reason: TerminateReason) -> int:
        self._ask("terminate_all", wanted, reason)
        return len(self.calls)

    def call_detail(self, guid: str) -> CallDetailView:
        self._ask("call_detail", guid)
        return self._find(guid)

    def passed_headers(self, guid: str) -> list[tuple[str, str]]:
        self._find(guid)
        return [("X-A", "1"), ("X-A", "2 "), ("Diversion", "<sip:1@\udce9>")]

    def originate(self, calling: str, destination: str) -> str:
        self._ask("originate", calling, destination)
        self.plan.resolve_transfer(destination)
        return GUID

    def transfer(self, guid: str, command: TransferCommand) -> None:
        self._ask("transfer", guid, command)
        if self._find(guid).state == "ringing":
            raise CallStateError("the call is ringing; a transfer needs an answered call")
        self.plan.resolve_transfer(command.label or command.destination)

    def complete_transfer(self, guid: str) -> None:
        self._ask("complete_transfer", guid)
        if self._find(guid).state != "transferring":
            raise CallStateError("no consultation is under way")

    def cancel_transfer(self, guid: str) -> None:
        self._ask("cancel_transfer", guid)
        if self._find(guid).state != "transferring":
            raise CallStateError("no transfer can be cancelled now")

    def transfers(self, guid: str) -> list[TransferView]:
        self._ask("transfers", guid)
        self._find(guid)
        return [transfer_view()]

    def hold(self, guid: str) -> None:
        self._ask("hold", guid)
        if self._find(guid).state == "ringing":
            raise CallStateError("the call is ringing: hold is not possible now")

    def resume(self, guid: str) -> None:
        self._ask("resume", guid)
        if self._find(guid).state == "ringing":
            raise CallStateError("the call is ringing, not held by a command")

    async def terminate(self, guid: str, reason: TerminateReason) -> None:
        self._ask("terminate", guid, reason)
        self._find(guid)
        self.entered.set()
        if self.release is not None:
            await self.release.wait()

    def call_variables(self, guid: str) -> VariablesView:
        self._find(guid)
        return VariablesView(self.variables.ecc, self.variables.peripheral, self.variables.call)

    def set_variables(
        self,
        guid: str,
        ecc: dict[str, str] | None,
        peripheral: dict[str, str] | None,
        call: dict[str, str] | None,
    ) -> VariablesView:
        self._ask("set_variables", guid, ecc, peripheral, call)
        self._find(guid)
        self.variables.update(ecc, peripheral, call)
        return self.call_variables(guid)

    def lookup(self, dialed_number: str, calling_number: str | None) -> Lookup:
        self._ask("lookup", dialed_number, calling_number)
        return self.plan.lookup(dialed_number, calling_number or "")

    def sessions(self, limit: int) -> tuple[int, Iterator[SessionView]]:
        self._ask("sessions", limit)
        return len(self.sessions_), iter(self.sessions_[:limit])

    def legs(self, guid: str) -> list[LegView]:
        self._ask("legs", guid)
        self._find(guid)
        return [
            LegView("caller", "1001", session_view()),
            LegView("agent", "", session_view("leg-2")),
        ]

    def session(self, session_id: str) -> SessionDetailView:
        self._ask("session", session_id)
        for session in self.sessions_:
            if session.session_id == session_id:
                return session
        raise SessionNotFound(f"no SIP session has the id {session_id!r}")

    def health(self) -> HealthView:
        self._ask("health")
        return HealthView(
            server_name="callsim",
            status="healthy",
            uptime=3723.5,
            version="1.0",
            active_calls=2,
            max_calls=-1,
            sip_stack_status="running",
            cpu_usage=1.5,
            memory_usage=2.5,
        )

    async def connectivity(self) -> list[ConnectionView]:
        self._ask("connectivity")
        return [
            ConnectionView("ICM", "icm", "10.0.0.5", 5000, "connected", 3, STARTED),
            ConnectionView("CUCM", "cucm", "10.0.0.6", 5060, "timeout", None, None),
        ]


@asynccontextmanager
async def simulated_phones(fake: FakeCallServer) -> AsyncIterator[Agents]:
    """Phones of `fake`'s agents, to which its plan leads."""
    phones = Agents()
    fake.phones = phones
    fake.plan = DialPlan(Config.builtin().with_lab(phones.uri, "sip:127.0.0.1:5072"))
    try:
        yield phones
    finally:
        await phones.close()


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def error(self, status: int, code: str = "") -> str:
        """The details of an Error body, checked to be one."""
        assert self.status == status, self.text
        assert self.headers["Content-Type"] == "application/json"
        assert set(self.json) == {"code", "message", "details", "timestamp"}
        assert all(self.json.values())
        assert code in ("", self.json["code"])
        details = self.json["details"]
        assert isinstance(details, str)
        return details


def basic(user: User) -> dict[str, str]:
    encoded = base64.b64encode(str(user).encode()).decode()
    return {"Authorization": f"Basic {encoded}"}


class Client:
    """Requests with good credentials, unless told otherwise."""

    def __init__(self, session: aiohttp.ClientSession, addresses: tuple[HttpListen, ...]) -> None:
        self.session = session
        self.addresses = addresses
        self.address = addresses[0]

    async def __call__(self, method: str, path: str, *, login: bool = True, **rest: Any) -> Reply:
        if login:
            rest["headers"] = basic(USER) | rest.get("headers", {})
        url = f"{self.address}{path}" if path.startswith("/") else path
        async with self.session.request(method, url, **rest) as response:
            return Reply(response.status, response.headers, await response.text())

    async def raw(self, data: bytes) -> bytes:
        """The bytes that come back for some bytes on a connection of their own."""
        reader, writer = await asyncio.open_connection(self.address.host, self.address.port)
        writer.write(data)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


LOOPBACK: Final = HttpListen("http", "127.0.0.1", 0)


@asynccontextmanager
async def serving(
    fake: FakeCallServer,
    *listen: HttpListen,
    tls: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    """The API over `fake`, and a client for its first listener."""
    listen = listen or (LOOPBACK,)
    options.setdefault("users", (USER,))
    app = create_app(fake, ApiOptions(listen=listen, **options))
    server = ApiServer(app, shutdown_timeout=1)
    addresses = await server.start(listen, tls)
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(session, addresses)
    finally:
        await server.stop()
