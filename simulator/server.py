"""The call server: takes calls in, places legs, carries out commands.

One process, one event loop; REST and SIP act on the same `Call` objects. A command is
checked and carried out with no ``await`` between; only its answer may wait (for a CDR).
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from math import ceil
from typing import Final

from simulator.access import Access
from simulator.agents import Agent, SkillGroups
from simulator.audit import Audit
from simulator.call import Call
from simulator.call_index import CallIndex
from simulator.commands import Commands
from simulator.config import Config
from simulator.connection import Connection
from simulator.dialog_events import DialogEvents
from simulator.ended import late
from simulator.headers import (
    CalleeRefusal,
    guid_lines,
    max_forwards,
    media_warning,
    new_guid,
    passed_lines,
    received_guid,
    user_part,
)
from simulator.leg import CALLER, VXML, Leg
from simulator.pickup import take_place
from simulator.ports import Stack, Store
from simulator.probes import Prober
from simulator.records import row_of
from simulator.refresh import session_timers
from simulator.routing import DialPlan, Label, NotRoutable, Route
from simulator.states import CONNECT, NORMAL, REASONS, TRANSFER
from simulator.treatment import Treatment
from sip.dialog import name_addr_uri, route_uri
from sip.errors import PeerError
from sip.events import Event, Invited, Responded
from sip.grammar import escape_user
from sip.message import Request
from sip.offer_answer import fast_answer, make_offer
from sip.sdp import Origin
from sip.timers import Timer
from sip.usage.invite import InviteSession
from sip.usage.named import replaced_by
from sip.usage.notifier import Notifier, OutOfDialogRefer
from sip.usage.reliable import OPTION
from sip.usage.session import TERMINATED

log = logging.getLogger(__name__)

BYE_PATIENCE: Final = 0.2
"""Seconds that the answer to a BYE waits for the CDR at most."""

_MEDIA_IN_USE: Final = re.compile(rb"^m=[^ ]+ [1-9]", re.MULTILINE)

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
        self.index = CallIndex()
        self.watch: Watch | None = None  # told every line of every call's history
        self.ready = False
        self.draining = False
        self.media_port = 9  # where the call server's own media would go; see own_media
        self.agent_line = stack.endpoint.user_agent_line
        self.server_line = f"Server: Callsim/{version}\r\n"
        self.started = stack.now()
        self._wall_offset = time.time() - self.started
        self._stored: dict[str, asyncio.Future[None]] = {}
        self._idle: asyncio.Event = asyncio.Event()
        self._correlation = 0
        self.phones: dict[str, str] = {}  # the contacts of those that are logged in, by number
        if config.sip.reliable_provisional != "off":
            stack.endpoint.support(OPTION)
        self.audit = Audit(self)
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

    def configure(self, config: Config) -> None:
        """Take a configuration: calls in progress keep the routes they have."""
        self.config = config
        self.plan = DialPlan(config, self.phones)
        session_timers(config.sip.session_timer).serve(self.stack.endpoint)
        self.skill_groups = SkillGroups(config, self.stack.endpoint.wheel, _offer_agent)

    def wall(self, now: float) -> float:
        """Seconds since the epoch for a time of the loop's clock."""
        return self._wall_offset + now

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
        try:
            route = self.plan.route_call(called, calling)
        except NotRoutable as error:
            log.info("%s: %s", guid, error)
            route = Route("", called, "preroute", "", "label")
        call = Call(self, guid, calling, called, route, now)
        call.hops = hops
        leg = Leg(call, CALLER, calling, now)
        leg.session = session
        session.belong_to(leg)
        call.caller = leg
        call.legs.append(leg)
        if self.dialogs.watched:
            self.dialogs.changed(leg, now)
        leg.take(request)
        call.passed = passed_lines(request)
        self.calls[guid] = call
        self.index.add(call)
        self.audit.begin(now)
        call.log(now, "offered", f"{calling} to {called}")
        if not over:
            self._treat(call, route, now)

    def _admitted(self, session: InviteSession, hops: int, now: float) -> bool:
        """Whether a new call may come in; the others are refused here."""
        limit = self.config.server.max_calls
        if self.draining or 0 <= limit <= len(self.calls):
            session.reject(now, 503, lines=f"Retry-After: 5\r\n{self.server_line}")
            return False
        if hops == 0:  # RFC 7332: a back-to-back user agent counts hops as well
            session.reject(now, 483, lines=self.server_line)
            return False
        return True

    def _treat(self, call: Call, route: Route, now: float) -> None:
        if route.kind == "script":
            assert route.script is not None
            call.treatment = Treatment(call, self.config.icm.scripts[route.script])
            call.treatment.next(now)
        elif route.kind == "direct":
            assert route.destination is not None
            self.connect(call, Leg(call, "callee", call.called, now), route.destination, now)
        elif route.kind == "label" and route.label is not None:
            self.connect_label(call, route.label, "callee", now)
        else:
            call.refuse(now, 404, "no route to this number")

    # Legs.

    def connect(
        self, call: Call, leg: Leg, uri: str, now: float, ring_no_answer: float = 0.0
    ) -> None:
        """Connect the caller to `uri` by a new leg."""
        work = Connection(call, leg, uri, ring_no_answer or call.route.ring_no_answer)
        call.work = work
        work.start(now)

    def connect_label(
        self, call: Call, label: str, kind: str, now: float, agent: Agent | None = None
    ) -> None:
        """CONNECT: the label's route decides where to; without one 404."""
        try:
            uri = self.plan.route_label(label)
        except NotRoutable:
            uri = None  # it cannot be dialed at all
        parsed = Label.parse(label) if uri else Label(label)
        leg = Leg(call, kind, parsed.text, now)
        leg.cli = parsed.cli
        by_refer = parsed.refer or (kind != VXML and self.config.transfer.mode == "refer")
        if uri is not None and by_refer and call.caller.up:
            call.enter(TRANSFER, now, f"REFER to {parsed.text}")
            self._refer(call, parsed.text, uri, now, by_icm=True)
            return
        if uri is None:
            call.log(now, "no_route", f"label {label}: add it under routes")
            leg.ended = now
            call.connect_failed(Connection(call, leg, "", 1.0), 404, "no route to the label", now)
            return
        if agent is not None:
            leg.agent = agent.extension
            self.skill_groups.take(agent)
        old = call.peer
        if old is not None and old.kind == VXML:
            # The VRU is released before the agent is called [TN178].
            call.peer = None
            old.hang_up(now, NORMAL)
        self.connect(call, leg, uri, now)

    def connect_vxml(self, call: Call, now: float) -> None:
        """TEMPORARY_CONNECT: VRU label and correlation id make the number [TN178]."""
        self.connect_label(call, self.vru_number(), VXML, now)

    def vru_number(self) -> str:
        """The VRU label with the next correlation id."""
        icm = self.config.icm
        ids = icm.correlation_ids
        number = ids.first + self._correlation % (ids.last - ids.first + 1)
        self._correlation += 1
        return f"{icm.vru_label}{number:0{ids.digits}d}"

    def place(self, leg: Leg, uri: str, body: bytes, patience: float, now: float) -> None:
        """Send the INVITE of an outbound leg, which may ring for `patience` seconds.

        Raises InvalidValue when there is no way.
        """
        call = leg.call
        leg.started = now
        endpoint = self.stack.endpoint
        routes = self.access.paths.get(uri, ())
        host, listener = endpoint.way_to(route_uri(routes[0]) if routes else uri)
        local = listener.local_host(host)
        shown = call.calling if leg.cli is None else leg.cli
        number = escape_user(shown) or "anonymous"
        from_ = f"<sip:{number}@{listener.sent_by(host)}>"
        expires = max(60, ceil(patience))
        counter = endpoint.ids.below(1 << 31)
        timer = call.caller.session.timer  # what the caller asks for is asked for here too
        leg.session = endpoint.invite(
            now,
            uri,
            from_=from_,
            to=f"<{uri.partition(';')[0]}>",
            call_id=f"{call.guid}-{int(self.wall(now) * 1000)}{counter}@{local}",
            contact_user=number,
            body=leg.describe(body),
            lines=f"Expires: {expires}\r\n{guid_lines(call.guid)}"
            f"{call.passed}{leg.lines}{self.agent_line}",
            routes=routes,
            max_forwards=call.hops - 1,
            session_expires=self.config.sip.session_timer.expires
            or (timer.interval if timer else 0),
            min_se=timer.min_se if timer else 0,
        )
        leg.session.belong_to(leg)
        call.legs.append(leg)
        if self.dialogs.watched:
            self.dialogs.changed(leg, now)

    def answer_standalone(self, call: Call, now: float) -> None:
        """The call server itself is the far end: 200 at once."""
        leg = call.caller
        try:
            body = self.own_media(leg, leg.received)
            if not _MEDIA_IN_USE.search(body):
                reason = "Nothing in the offer can be answered"
                host = leg.session.listener.local_host(leg.session.remote_address[0])
                raise PeerError(reason, 488, media_warning(host, reason))
        except PeerError as error:
            call.refusal = CalleeRefusal(488, error.lines)
            call.refuse(now, 488, error.reason)
            return
        leg.session.answer(now, leg.describe(body), self.server_line)
        leg.answered = now
        leg.status = 200
        call.enter(CONNECT, now, "standalone")

    def own_media(self, leg: Leg, offer: bytes) -> bytes:
        """The call server's own description: it takes the media and says nothing.

        Raises PeerError, 488 with a Warning, when the offer cannot be read.
        """
        session = leg.session
        host = session.listener.local_host(session.remote_address[0])
        number = int(leg.call.guid[8:23], 16)  # the part that differs most, below 2**63
        if offer:
            try:
                return fast_answer(offer, host, self.media_port, Origin.local(host, number))
            except PeerError as error:
                raise PeerError(error.reason, 488, media_warning(host, error.reason)) from None
        return make_offer(host, self.media_port, number).to_bytes()

    # The end of a call.

    def finished(self, call: Call, by: Leg | None, now: float) -> None:
        """A call has ended: its CDR goes to the store, then the BYE is answered."""
        del self.calls[call.guid]
        if not self.calls:
            self.audit.rest()
        ending = _Ending(self, call.guid, by.session if by is not None else None, now)
        self.store.submit(row_of(call, now), ending.stored)

    def stored(self, guid: str) -> None:
        """The CDR of a call is on disk: whoever waits for that hears so."""
        waiting = self._stored.pop(guid, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    # Commands.

    async def drain(self, grace: float) -> None:
        """Refuse new calls, let the others end for `grace` seconds, end what is left."""
        self.draining = True
        self.ready = False
        self.stack.endpoint.service_status = 503
        self.dialogs.close(self.stack.now())
        self.stack.pump()
        self.access.stop()
        await self._end_calls(grace)
        await self.access.stopped(LAST_WORDS)

    async def _end_calls(self, grace: float) -> None:
        if await self._gone(grace):
            return
        now = self.stack.now()
        for call in list(self.calls.values()):
            call.end(now, "error", "the server was stopped", reason=REASONS["error"])
        self.stack.pump(now)
        await self._gone(LAST_WORDS)

    async def _gone(self, patience: float) -> bool:
        """Wait until no session is left, `patience` seconds at most; whether it is so."""
        if not self.stack.endpoint.sessions:
            return True
        self._idle.clear()
        try:
            await asyncio.wait_for(self._idle.wait(), patience)
        except TimeoutError:
            return False
        return True


class _Ending:
    """A call whose CDR is on its way: the BYE of `session` is answered after it.

    Where the CDR takes too long, the answer does not wait for it.
    """

    __slots__ = ("_guid", "_server", "_session", "_timer")

    def __init__(
        self, server: CallServer, guid: str, session: InviteSession | None, now: float
    ) -> None:
        self._server = server
        self._guid = guid
        self._session = session
        self._timer: Timer | None = None
        if session is not None:
            self._timer = server.stack.endpoint.wheel.start(now, BYE_PATIENCE, self, 0)

    def stored(self) -> None:
        """The CDR is on disk."""
        self._server.stored(self._guid)
        if self._session is not None:
            self._session.confirm_bye(self._server.stack.now())
        if self._timer is not None:
            self._timer.stop()

    def timer_fired(self, _what: int, now: float) -> None:
        """It takes too long."""
        self._timer = None
        if self._session is not None:
            self._session.confirm_bye(now)


def _offer_agent(treatment: Treatment, agent: Agent, now: float) -> None:
    treatment.agent_found(agent, now)
