"""What the API needs to know: the call server it shows, and its own options."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.http_figures import HttpFigures
    from api.idempotency import Answers
    from api.log_levels import LogLevels
    from api.logins import FailedLogins
    from api.webhooks import Webhooks
    from simulator.administration import Administration
    from simulator.agent_desk import AgentDesk
    from simulator.audit_trail import Requester
    from simulator.call_log import CallLog
    from simulator.config_base import User
    from simulator.config_values import HttpListen
    from simulator.event_bus import EventBus
    from simulator.faults import Faults
    from simulator.metrics import Metrics
    from simulator.reports import Reports
    from simulator.routing import Lookup
    from simulator.trace import Trace
    from simulator.views import (
        CallDetailView,
        CallFilter,
        CallPage,
        ConnectionView,
        HealthView,
        LegView,
        SessionDetailView,
        SessionView,
        TerminateReason,
        TransferCommand,
        TransferView,
        VariablesView,
    )


class CallServer(Protocol):
    """The commands and queries of `simulator.server.CallServer` that REST uses.

    `CallNotFound`, `SessionNotFound`, `CallStateError`, `NotRoutable` and `VariableError`
    are what they may raise; `api.errors` says what becomes of each.
    """

    @property
    def ready(self) -> bool:
        """Whether new calls are taken."""

    @property
    def administration(self) -> "Administration":
        """The dial plan and server groups, to look at and to change, and the audit trail."""

    @property
    def faults(self) -> "Faults":
        """The fault rules; FaultNotFound, FaultConflict."""

    @property
    def reports(self) -> "Reports":
        """What the reporting interface asks."""

    @property
    def metrics(self) -> "Metrics":
        """The figures for Prometheus."""

    @property
    def events(self) -> "EventBus":
        """What happens to calls and servers; EventsGone, TooManyReaders."""

    @property
    def call_log(self) -> "CallLog":
        """What the log says of calls."""

    @property
    def trace(self) -> "Trace":
        """The SIP messages of calls; TraceNotFound."""

    @property
    def desk(self) -> "AgentDesk":
        """Agents and skill groups; AgentNotFound, SkillGroupNotFound, CallNotQueued."""

    def active_calls(self, wanted: "CallFilter", limit: int, cursor: int) -> "CallPage":
        """The oldest `limit` calls that match, or those after the page that gave `cursor`."""

    def call_detail(self, guid: str) -> "CallDetailView":
        """One call; CallNotFound."""

    def passed_headers(self, guid: str) -> list[tuple[str, str]]:
        """Names and values of what goes on from the caller's INVITE; CallNotFound."""

    def originate(self, calling: str, destination: str) -> str:
        """Make a call, under way when this returns: its GUID; NotRoutable, NotAdmitted."""

    def transfer(self, guid: str, command: "TransferCommand") -> None:
        """Start a transfer: when this returns it is under way."""

    async def terminate(self, guid: str, reason: "TerminateReason") -> None:
        """End a call; returns once its CDR is stored."""

    async def terminate_all(self, wanted: "CallFilter", reason: "TerminateReason") -> int:
        """End all calls that match: how many; returns once their CDRs are stored."""

    def complete_transfer(self, guid: str) -> None:
        """Join the caller to who is consulted; under way when this returns."""

    def cancel_transfer(self, guid: str) -> None:
        """Give up a transfer: the call goes back."""

    def transfers(self, guid: str) -> list["TransferView"]:
        """The transfers of a call, active or ended of late; CallNotFound."""

    def hold(self, guid: str) -> None:
        """Put the far ends on hold; under way when this returns."""

    def resume(self, guid: str) -> None:
        """End what `hold` began."""

    def call_variables(self, guid: str) -> "VariablesView":
        """The variables of a call that were set."""

    def set_variables(
        self,
        guid: str,
        ecc: dict[str, str] | None,
        peripheral: dict[str, str] | None,
        call: dict[str, str] | None,
    ) -> "VariablesView":
        """Merge what is given, all of it or nothing; the full set comes back."""

    def lookup(self, dialed_number: str, calling_number: str | None) -> "Lookup":
        """The routing decision for a number; nothing is dialed."""

    def sessions(self, limit: int) -> tuple[int, "Iterable[SessionView]"]:
        """How many SIP dialogs there are, and the oldest `limit` of them, made as they are read."""

    def session(self, session_id: str) -> "SessionDetailView":
        """One SIP dialog; SessionNotFound."""

    def legs(self, guid: str) -> list["LegView"]:
        """The legs of a call whose dialogs there are; CallNotFound."""

    def health(self) -> "HealthView":
        """The server as a whole, now."""

    async def connectivity(self) -> list["ConnectionView"]:
        """Each configured neighbour, probed now."""


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """How the application guards itself.

    `users` must not be empty. `listen` are the addresses it will be served at: their hosts
    are good names for it, besides loopback, this machine's name and `allowed_hosts` (``*``
    stands for any). `max_body` is in bytes, `body_timeout` in seconds. A reader of events hears
    something every `heartbeat` seconds, and is dropped when it takes nothing for `patience`,
    as is who exports records, and who has not taken them all after `longest_export` seconds.
    What a webhook does not take is posted again after `retry` seconds first. An address may send
    `failed_logins` wrong passwords before it is slowed; 0: any number. There may be so many
    `connections` at a time.
    """

    users: "tuple[User, ...]"
    listen: "tuple[HttpListen, ...]" = ()
    allowed_hosts: tuple[str, ...] = ()
    health_public: bool = False
    max_body: int = 64 * 1024
    body_timeout: float = 30.0
    heartbeat: float = 15.0
    patience: float = 30.0
    longest_export: float = 3600.0
    retry: float = 1.0
    failed_logins: int = 20
    connections: int = 2000


SERVER: Final[web.AppKey[CallServer]] = web.AppKey("server")
OPTIONS: Final[web.AppKey[ApiOptions]] = web.AppKey("options")
ANSWERS: Final[web.AppKey["Answers"]] = web.AppKey("answers")
WEBHOOKS: Final[web.AppKey["Webhooks"]] = web.AppKey("webhooks")
HTTP_FIGURES: Final[web.AppKey["HttpFigures"]] = web.AppKey("http_figures")
LOGINS: Final[web.AppKey["FailedLogins"]] = web.AppKey("logins")
LOG_LEVELS: Final[web.AppKey["LogLevels"]] = web.AppKey("log_levels")

# The (host, port) pairs bound to loopback: probes answer there without a password.
LOOPBACK: Final[web.AppKey[set[tuple[str, int]]]] = web.AppKey("loopback")

# Who makes a request, and what that user may do; nobody where no password is asked for.
REQUESTER: Final[web.RequestKey["Requester"]] = web.RequestKey("requester")
