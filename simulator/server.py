"""The call server: takes calls in, places legs, carries out commands.

One process, one event loop; REST and SIP act on the same `Call` objects. A command is
checked and carried out with no ``await`` between; only its answer may wait (for a CDR).
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from simulator.access import Access
from simulator.administration import Administration
from simulator.admission import Admission
from simulator.agent_desk import AgentDesk
from simulator.agents import Agent, SkillGroups
from simulator.audit import Audit
from simulator.call import Call
from simulator.call_index import CallIndex
from simulator.call_log import CallLog
from simulator.caller_data import CallerData
from simulator.commands import Commands
from simulator.config import Config
from simulator.dialog_events import DialogEvents
from simulator.ended import Ending, late
from simulator.errors import NotAdmitted
from simulator.event_bus import EventBus
from simulator.faults import Faults
from simulator.header_rules import HeaderRules
from simulator.headers import (
    max_forwards,
    new_guid,
    passed_lines,
    received_guid,
    user_part,
)
from simulator.leg import CALLER, VXML, Leg
from simulator.licence import Licences
from simulator.metrics import Metrics
from simulator.news import SystemNews
from simulator.origin import NO_ORIGIN
from simulator.origination import Origination
from simulator.pickup import take_place
from simulator.ports import Stack, Store, Telemetry, Webhook
from simulator.probes import Prober
from simulator.records import row_of
from simulator.refresh import session_timers
from simulator.reports import Reports
from simulator.router import Router, share_key
from simulator.routing import DialPlan, NotRoutable, Route
from simulator.server_groups import ServerGroups
from simulator.sources import Sources
from simulator.states import REASONS
from simulator.statistics import Statistics
from simulator.trace import Trace
from simulator.transfer_log import TransferLog
from simulator.treatment import Treatment
from simulator.vru_return import WaitingCalls
from sip.dialog import name_addr_uri
from sip.errors import LocalError, PeerError
from sip.events import Event, Invited, Responded
from sip.grammar import header_line
from sip.message import Request
from sip.usage.invite import InviteSession
from sip.usage.named import replaced_by
from sip.usage.notifier import Notifier, OutOfDialogRefer
from sip.usage.reliable import OPTION
from sip.usage.session import TERMINATED

log = logging.getLogger(__name__)

_NO_ROUTE: Final = Route("", "", "preroute", "", "label")

LAST_WORDS: Final = 2.0
"""Seconds that the far ends have for answers when the server stops."""

Watch = Callable[[Call, float, str, str], None]


class CallServer(Commands):
    """All calls of one process. `stack` carries SIP, `store` keeps the CDRs."""

    def __init__(self, config: Config, stack: Stack, store: Store, version: str) -> None:
        self.stack = stack
        self.store = store
        self.version = version
        self.calls: dict[str, Call] = {}
        self._serial = 0
        self.index = CallIndex()
        self.watch: Watch | None = None  # told every line of every call's history
        self.ready = False
        self.draining = False
        self.media_port = 9  # where the call server's own media would go; see own_media
        self.started = stack.now()
        self.statistics = Statistics(self.started, 60 * config.statistics.interval)
        self.reports = Reports(self)
        self.epoch: float = time.time() - self.started  # seconds since 1970 at the loop's zero
        self.events = EventBus(config.events.kept, stack.now, self.wall)
        self.call_log = CallLog(stack.now)
        self._stored: dict[str, asyncio.Future[None]] = {}
        self._idle: asyncio.Event = asyncio.Event()
        self.phones: dict[str, str] = {}  # the contacts of those that are logged in, by number
        if config.sip.reliable_provisional != "off":
            stack.endpoint.support(OPTION)
        self.audit = Audit(self)
        self.transfer_log = TransferLog()
        self.router = Router(config, stack.endpoint.ids)
        self.skill_groups = SkillGroups(config, stack.endpoint.wheel, _offer_agent, self.started)
        self.webhook: Webhook | None = None
        self.telemetry: Telemetry | None = None
        self.server_groups = ServerGroups(stack.endpoint)
        self.sources = Sources(self)
        self.administration = Administration(self, config)
        self.trace = Trace(self, config.trace)
        self.waiting = WaitingCalls()
        self.licences = Licences()
        self.admission = Admission(self)
        self.faults = Faults(self, self.trace.mark)
        self.configure(config)
        self.nobody = Call(self, "", "", "", _NO_ROUTE, self.started)  # see `let_go`
        self.nobody.state = "ended"
        for option_tag in ("norefersub", "replaces"):
            stack.endpoint.support(option_tag)
        OutOfDialogRefer(stack.endpoint)
        self.access = Access(self)
        self.dialogs = DialogEvents(self)
        Notifier(stack.endpoint, self.dialogs)
        self.prober = Prober(self)
        self.desk = AgentDesk(self)
        self.news = SystemNews(self)
        self.metrics = Metrics(self)

    def configure(self, config: Config, plan: DialPlan | None = None) -> None:
        """Take a configuration, and the plan made of it: calls keep the routes they have."""
        self.config = config
        self.events.kept = config.events.kept
        self.plan = plan or DialPlan(config, self.phones)
        self.server_groups.configure(config.server_groups, self.stack.now())
        self.sources.configure(config)
        headers = config.headers
        own = f"Callsim/{self.version}"
        self.agent_line = header_line("User-Agent", headers.user_agent or own)
        self.server_line = header_line("Server", headers.server or own)
        self.stack.endpoint.user_agent_line = self.agent_line
        self.caller_data = CallerData(headers, separate=config.variables.separate)
        self.header_rules = HeaderRules(headers.rules) if headers.rules else None
        self.statistics.change_interval(self.stack.now(), 60 * config.statistics.interval)
        session_timers(config.sip.session_timer).serve(self.stack.endpoint)
        self.router.configure(config)
        self.skill_groups.configure(config, self.stack.now())
        self.licences.use(self._licensed, config.server.licences, self.stack.now())
        self.admission.configure(config, self.stack.now())
        self.faults.configure(config.faults)

    def wall(self, now: float) -> float:
        """Seconds since the epoch for a time of the loop's clock, as the time of day is now."""
        return self.epoch + now

    # Events.

    def on_event(self, event: Event | Responded, now: float) -> None:
        """What the SIP stack reports."""
        session = event.session
        if self.draining and not self.stack.endpoint.sessions:
            self._idle.set()
        if session is None:
            assert isinstance(event, Responded)
            self.prober.responded(event, now)
            return
        leg = session.user
        if isinstance(leg, Leg):
            leg.call.handle(leg, event, now)
        elif isinstance(event, Invited):
            try:
                self._offered(event.session, event.request, now)
            except PeerError as error:
                event.session.reject(now, error.status, error.reason)
        else:
            late(event, now)

    def _offered(self, session: InviteSession, request: Request, now: float) -> None:
        """A call arrives: NEW_CALL."""
        over = session.state == TERMINATED  # its CANCEL came in the same moment
        hops = max_forwards(request)
        if not over and not self._admitted(session, hops, now):
            return
        if request.get("replaces") is not None and not over:
            replaced = replaced_by(request, self.stack.endpoint.sessions)
            if replaced is not None:
                take_place(session, request, replaced, now)
                return
        called = user_part(request.uri) or user_part(name_addr_uri(request.get("to") or ""))
        calling = user_part(name_addr_uri(request.get("from") or ""))
        guid = received_guid(request)
        if guid is None or guid in self.calls:
            host = session.listener.local_host(session.remote_address[0])
            guid = new_guid(self.stack.endpoint.ids, host, int(self.wall(now) * 1000))
        origin = self.plan.arrive(request, called, session.remote_address[0])
        called = called[len(origin.digits) :]
        if called == self.plan.vru_label:
            digits = self.config.icm.correlation_ids.digits
            called = self.waiting.told_by_uui(request, self.plan, digits) or called
        try:
            route = self.plan.route_call(called, calling)
        except NotRoutable as error:
            log.info("%s: %s", guid, error)
            route = Route("", called, "preroute", "", "label")
        returns = route.kind == "vru_return" and self.waiting.expects(route.number)
        if not over and not returns and not self._capacity(session, called, now):
            return
        call = Call(self, guid, calling, called, route, now)
        call.origin = self.plan.origin_for(origin, route)
        call.hops = hops
        leg = Leg(call, CALLER, calling, now)
        leg.session = session
        session.belong_to(leg)
        call.caller = leg
        call.legs.append(leg)
        if self.dialogs.watched:
            self.dialogs.changed(leg, now)
        body = leg.take(request)
        call.passed = passed_lines(request)
        if call.passed or self.caller_data.always or len(body) != len(request.body):
            self.caller_data.take(call, request, now)
        if returns:
            self.waiting.returns.add(guid)
        self.begin(call, now)
        call.log(now, "offered", f"{calling} to {called}")
        if not over:
            self.treat(call, route, now)

    def begin(self, call: Call, now: float) -> None:
        """A call is in the tables from now on, and has its licence."""
        self.calls[call.guid] = call
        self._serial = call.serial = self._serial + 1
        start = int((call.epoch + call.started) * 1000)  # as in its record
        call_id = call.legs[0].session.dialog.call_id
        self.store.begun(call.guid, start, call.calling, call.called, call_id)
        self.index.add(call)
        self.trace.joined(call.legs[0])
        if self.telemetry is not None:
            self.telemetry.call_begun(call)
        self.statistics.begun(now, len(self.calls), by_icm=call.route.kind != "direct")
        self.audit.begin(now)
        if self.licences.limit:
            self.licences.use(self._licensed, self.licences.limit, now)

    @property
    def _licensed(self) -> int:
        """The calls that need a licence: a return from the VRU belongs to the one that waits."""
        return len(self.calls) - len(self.waiting.returns)

    def _capacity(self, session: InviteSession, called: str, now: float) -> bool:
        """Whether there is room for one more call; if not it is refused here."""
        if self.admission.admits(called, now):
            return True
        session.reject(now, 503, lines=f"Retry-After: 5\r\n{self.server_line}")
        return False

    @property
    def is_out_of_licences(self) -> bool:
        """Whether a call more would find no licence."""
        return 0 < self.licences.limit <= self._licensed

    @property
    def has_no_place(self) -> bool:
        """Whether a call more would find no licence, or no place for its record."""
        return self.is_out_of_licences or self.store.full

    @property
    def is_full(self) -> bool:
        """Whether there are as many calls as there may be, or `has_no_place`."""
        return (
            0 <= self.config.server.max_calls <= len(self.calls)
            or 0 < self.licences.limit <= self._licensed
            or self.store.full
        )

    def _admitted(self, session: InviteSession, hops: int, now: float) -> bool:
        """Whether anybody may come in now; who may not is refused here."""
        if self.draining:
            self.statistics.rejected(now)
            session.reject(now, 503, lines=f"Retry-After: 5\r\n{self.server_line}")
            return False
        if hops == 0:  # RFC 7332: a back-to-back user agent counts hops as well
            self.statistics.rejected(now)
            session.reject(now, 483, lines=self.server_line)
            return False
        return True

    def treat(self, call: Call, route: Route, now: float) -> None:
        """Do what `route` says with a call."""
        if call.icm is None and route.call_type != "post_route":
            self._to_icm(call, now)
        if route.kind == "script":
            assert route.script is not None
            call.treatment = Treatment(call, self.router.scripts[route.script])
            call.treatment.begin(now)
        elif route.kind == "direct":
            assert route.destination is not None
            self.connect(call, Leg(call, "callee", call.called, now), route.destination, now)
        elif route.kind == "label" and route.label is not None:
            self.connect_label(call, route.label, "callee", now)
        elif route.correlation_id and self.waiting.returned(call, now):
            label = self.config.services.vru_return or self.config.icm.vru_label
            self.connect_label(call, label + route.correlation_id, VXML, now)
        else:
            call.fail(now, 404, "no route to this number")

    def _to_icm(self, call: Call, now: float) -> None:
        """ICM routes the call: its key. An agent's second call belongs to the first."""
        call.icm = self.router.new_context(self.wall(now))
        agent = self.skill_groups.agents.get(call.calling)
        if agent is not None and agent.call is not None and agent.call is not call:
            share_key(agent.call, call)

    # The end of a call.

    def finished(self, call: Call, by: Leg | None, now: float) -> None:
        """A call has ended: its CDR goes to the store, then the BYE is answered."""
        del self.calls[call.guid]
        self.statistics.results[call.result] += 1
        if call.vru_number:
            self.waiting.forget(call)
        self.waiting.returns.discard(call.guid)
        licences = self.licences
        if licences.limit:
            licences.use(self._licensed, licences.limit, now)
        if not self.calls:
            self.audit.rest()
        if call.steps.on:
            self.transfer_log.closed(call, now)
        self.trace.ended(call, now)
        if self.telemetry is not None:
            self.telemetry.call_ended(call, now)
        ending = Ending(self, call.guid, by.session if by is not None else None)
        row = row_of(call, now, by)
        if self.call_log.on:
            self.call_log.ended(call, row, by, now)
        self.store.submit(row, ending.stored)

    def stored(self, guid: str) -> None:
        """The CDR of a call is on disk: whoever waits for that hears so."""
        waiting = self._stored.pop(guid, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    # Commands.

    def originate(self, calling: str, destination: str) -> str:
        """Call `calling`, and connect it to `destination` once it has answered; the new GUID.

        Raises NotRoutable, and NotAdmitted where the server takes no new call; then nothing
        has changed.
        """
        try:
            first = self.plan.resolve_transfer(calling)
            uri = self.destination_of(first, NO_ORIGIN)
        except NotRoutable as error:
            text = str(error).removeprefix("destination ")
            raise NotRoutable(f"callingNumber: {text}") from None
        if uri is None:
            raise NotRoutable(
                f"callingNumber: no static route for {calling!r}; add one under routes"
            )
        route = self.plan.resolve_transfer(destination)
        leads = route.script is not None or self.destination_of(route, NO_ORIGIN) is not None
        if not leads or route.kind == "vru_return":
            raise NotRoutable(
                f"destination: no static route for {destination!r}; add one under routes"
            )
        if self.draining or self.is_full:
            if self.is_out_of_licences:
                self.licences.deny()
            raise NotAdmitted("the server is full or is being stopped; try again later")
        now = self.stack.now()
        endpoint = self.stack.endpoint
        try:
            host, listener = endpoint.way_to(uri)
            local = listener.local_host(host)
            guid = new_guid(endpoint.ids, local, int(self.wall(now) * 1000))
            call = Call(self, guid, first.number, route.number, route, now)
            Origination(call, first.number, route, now).begin(uri, first.ring_no_answer, now)
        except LocalError as error:
            raise NotRoutable(f"callingNumber: {error}") from None
        self.begin(call, now)
        call.log(now, "originated", f"{first.number} to {route.number}")
        self.stack.pump(now)
        return guid

    async def drain(self, grace: float) -> None:
        """Refuse new calls, let the others end for `grace` seconds, end what is left."""
        now = self.stack.now()
        if not self.draining:
            self.news.stopping(now)
        self.draining = True
        self.ready = False
        self.stack.endpoint.service_status = 503
        self.dialogs.close(now)
        self.stack.pump()
        self.access.stop()
        self.server_groups.stop()
        await self._end_calls(grace)
        await self.access.stopped(LAST_WORDS)

    def hurry(self) -> None:
        """Those that are left while the server drains have had their time."""
        self._idle.set()

    async def _end_calls(self, grace: float) -> None:
        now = self.stack.now()
        left = len(self.calls)
        if left and grace:
            log.warning("stopping: %d calls have %g s left; Ctrl-C ends them now", left, grace)
        for call in list(self.calls.values()):
            if call.treatment is not None and call.treatment.callback is not None:
                self._end_call(call, now)  # nobody is there who could end it
        self.stack.pump(now)
        if not await self._gone(grace):
            now = self.stack.now()
            if self.calls:
                log.warning("stopping: %d calls are ended", len(self.calls))
            for call in list(self.calls.values()):
                self._end_call(call, now)
            self.stack.pump(now)
            await self._gone(LAST_WORDS)
        if left and not self.calls:
            log.warning("stopping: all calls are over")

    def _end_call(self, call: Call, now: float) -> None:
        call.end(now, "error", "the server was stopped", reason=REASONS["error"])

    async def _gone(self, patience: float) -> bool:
        """Wait until no session is left, `patience` seconds or until `hurry`; whether it is so."""
        if not self.stack.endpoint.sessions:
            return True
        self._idle.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), patience)
        return not self.stack.endpoint.sessions


def _offer_agent(treatment: Treatment, agent: Agent, now: float) -> None:
    treatment.agent_found(agent, now)
