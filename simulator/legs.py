"""The legs that the call server places, and what it answers by itself."""

import logging
import re
from math import ceil
from typing import TYPE_CHECKING, Final

from simulator.agents import Agent
from simulator.announcements import agent_connection
from simulator.call_log import CallLog
from simulator.connection import Connection
from simulator.header_rules import destination_of, names_of
from simulator.headers import CalleeRefusal, guid_lines, media_warning, without
from simulator.leg import CALLBACK, VXML, Leg
from simulator.outpulse import Outpulse, outpulsed
from simulator.queries import Queries
from simulator.refer import ReferTransfer
from simulator.ringtone import lead_in
from simulator.routing import Destination, Label, NotRoutable, no_route
from simulator.script_messages import RECV_INFO
from simulator.server_groups import ServerGroups
from simulator.states import CONNECT, NORMAL, TRANSFER
from simulator.transfer_log import ICM, OUTPULSE, REFER, REINVITE, TransferLog
from sip.dialog import route_uri
from sip.errors import PeerError
from sip.grammar import escape_user, format_host
from sip.offer_answer import fast_answer, make_offer

if TYPE_CHECKING:
    from simulator.access import Access
    from simulator.agents import SkillGroups
    from simulator.call import Call
    from simulator.dialog_events import DialogEvents
    from simulator.header_rules import HeaderRules
    from simulator.statistics import Statistics
    from simulator.vru_return import WaitingCalls

log = logging.getLogger(__name__)

_MEDIA_IN_USE: Final = re.compile(rb"^m=[^ ]+ [1-9]", re.MULTILINE)

OVERRIDE_CLI: Final = "user.microapp.override_cli"
REFER_TRANSFER: Final = "user.sip.refertransfer"


class Legs(Queries):
    """The part of `CallServer` that calls somebody."""

    access: "Access"
    call_log: CallLog
    dialogs: "DialogEvents"
    server_groups: ServerGroups
    skill_groups: "SkillGroups"
    transfer_log: TransferLog
    waiting: "WaitingCalls"
    agent_line: str
    server_line: str
    media_port: int
    statistics: "Statistics"
    header_rules: "HeaderRules | None"
    _correlation: int = 0

    def connect(
        self, call: "Call", leg: Leg, uri: str, now: float, found: Destination | None = None
    ) -> None:
        """Connect the caller to `uri` by a new leg; an answered one hears ringback meanwhile."""
        patience = 0.0 if found is None else found.ring_no_answer
        work = agent_connection(call, leg, uri, patience or call.route.ring_no_answer)
        if call.caller.answered and leg.kind != VXML:
            number = self.config.services.ringtone
            if number and found is not None and found.ringtone:
                number = found.ringtone
            work = lead_in(work, number, "" if found is None else found.ringtone_file, now)
        call.work = work
        work.start(now)

    def connect_label(
        self, call: "Call", label: str, kind: str, now: float, agent: Agent | None = None
    ) -> None:
        """CONNECT: the label's route decides where to; without one 404."""
        self.statistics.current.connects += 1
        moved = kind != VXML and call.caller.up and call.state != "ringing"
        if moved and self._outpulsed(call, label, now):
            return
        try:
            found = self.plan.find(label, call.origin)
        except NotRoutable:
            found = None  # it cannot be dialed at all
        uri = None if found is None else found.uri
        parsed = Label.parse(label) if uri else Label(label)
        leg = Leg(call, kind, parsed.text, now)
        leg.cli = parsed.cli
        by_refer = parsed.refer or (kind != VXML and self.config.transfer.mode == "refer")
        by_refer = by_refer or (agent is not None and _refer_wanted(call))
        if uri is not None and moved:
            method = REFER if by_refer else REINVITE
            self.transfer_log.begin(call, "blind", method, ICM, parsed.text, now, label)
        if uri is not None and by_refer and moved:
            call.enter(TRANSFER, now, f"REFER to {parsed.text}")
            self.refer(call, parsed.text, uri, now, by_icm=True)
            return
        if uri is None:
            call.log(now, "no_route", f"label {label}: add it under routes")
            log.warning("%s: %s", call.guid, no_route(f"{call.origin.digits}{label}"))
            leg.ended = now
            call.connect_failed(Connection(call, leg, "", 1.0), 404, "no route to the label", now)
            return
        if agent is not None:
            leg.agent = agent.extension
            self.skill_groups.take(agent, call)
        old = call.peer
        if old is not None and old.kind == VXML:
            # The VRU is released before the agent is called [TN178].
            call.peer = None
            old.hang_up(now, NORMAL)
        self.connect(call, leg, uri, now, found)

    def way_to_service(self, call: "Call", name: str, number: str, now: float) -> str | None:
        """The URI of a service number; None, told in the history, where no route leads there."""
        try:
            uri = self.plan.route_label(number, call.origin) if number else None
        except NotRoutable:
            uri = None
        if uri is None:
            call.log(now, "no_route", f"{name} {number}: add it under routes")
        return uri

    def refer(
        self, call: "Call", destination: str, uri: str | None, now: float, *, by_icm: bool = False
    ) -> None:
        """Ask the caller to call the destination itself."""
        work = ReferTransfer(call, destination, by_icm=by_icm)
        call.work = work
        if uri is None:  # a number of ours: the caller calls us again
            session = call.caller.session
            here = session.listener.sent_by(session.remote_address[0])
            uri = f"sip:{escape_user(destination)}@{here}"
        uri = self.server_groups.concrete(uri, now)
        work.start(uri, self.config.transfer.ring_no_answer, now)

    def outpulse(self, call: "Call", label: str, now: float, *, by_icm: bool = False) -> None:
        """Have the caller's gateway take the call away by the digits of `label`."""
        call.work = work = Outpulse(call, label, by_icm=by_icm)
        work.start(now)

    def _outpulsed(self, call: "Call", label: str, now: float) -> bool:
        """Whether a label of ICM has digits for the gateway; then they are on their way."""
        bare = label.partition(";")[0]
        if outpulsed(bare) is None:
            return False
        self.transfer_log.begin(call, "blind", OUTPULSE, ICM, bare, now, label)
        call.enter(TRANSFER, now, f"digits to {bare}")
        self.outpulse(call, bare, now, by_icm=True)
        return True

    def connect_vxml(self, call: "Call", now: float) -> None:
        """TEMPORARY_CONNECT: VRU label and correlation id make the number [TN178]."""
        number = self.vru_number(call)
        if call.icm is not None:
            call.icm.advance()
        call.log(now, "TEMPORARY_CONNECT", number)
        self.connect_label(call, number, VXML, now)

    def vru_number(self, call: "Call") -> str:
        """The VRU label with the next correlation id, and the site id of the caller.

        A return from the VRU finds the call by it.
        """
        icm = self.config.icm
        ids = icm.correlation_ids
        number = ids.first + self._correlation % (ids.last - ids.first + 1)
        self._correlation += 1
        vru_number = self.plan.vru_number(f"{number:0{ids.digits}d}", call.origin)
        self.waiting.expect(call, vru_number)
        return vru_number

    def place(self, leg: Leg, uri: str, body: bytes | None, patience: float, now: float) -> None:
        """Send the INVITE of an outbound leg, which may ring for `patience` seconds.

        `body` None: the call server's own media. Raises InvalidValue when there is no way.
        """
        call = leg.call
        caller = call.caller
        leg.started = now
        endpoint = self.stack.endpoint
        routes = self.access.paths.get(uri, ())
        host, listener = endpoint.way_to(route_uri(routes[0]) if routes else uri)
        local = listener.local_host(host)
        shown = _shown(call) if leg.cli is None else leg.cli
        self.skill_groups.called(leg)
        number = escape_user(shown) or "anonymous"
        from_ = f"<sip:{number}@{listener.sent_by(host)}>"
        expires = max(60, ceil(patience))
        counter = endpoint.ids.below(1 << 31)
        # A caller is told nothing of what it said itself.
        back = leg.kind == CALLBACK
        passed = "" if back else call.passed
        if leg.lines and passed:
            passed = without(passed, leg.lines)
        lines = f"Expires: {expires}\r\n{guid_lines(call.guid)}{passed}{leg.lines}{self.agent_line}"
        vru = leg.kind == VXML
        if vru:
            lines += RECV_INFO
            if self.config.headers.app_info:  # the IVR service that the browser is to use
                lines += f"App-Info: <{format_host(local)}:{self.config.headers.app_info}>\r\n"
        if self.header_rules is not None:
            lines = self.header_rules.apply(
                lines,
                frozenset() if caller is leg else names_of(caller, self.server_groups),
                destination_of(uri),
            )
        self.statistics.placed(vru=vru)
        # What the caller asks for is asked for here too.
        timer = None if caller is leg else caller.session.timer
        if body is None:
            body = self.own_offer(call, local)
        end = uri.find(";", uri.find("@") + 1)  # of a URI without its parameters
        leg.session = endpoint.invite(
            now,
            uri,
            from_=from_,
            to=f"<{uri if end < 0 else uri[:end]}>",
            call_id=f"{call.guid}-{int(self.wall(now) * 1000)}{counter}@{local}",
            contact_user=number,
            body=leg.describe(body),
            lines=lines,
            routes=routes,
            max_forwards=70 if back else call.hops - 1,
            session_expires=self.config.sip.session_timer.expires
            or (timer.interval if timer else 0),
            min_se=timer.min_se if timer else 0,
        )
        leg.session.belong_to(leg)
        call.legs.append(leg)
        call.server.trace.joined(leg)
        if call.steps.on:
            call.steps.sent(leg, "INVITE", now, 0, uri)
        if self.call_log.on:
            self.call_log.look(call)
        if self.dialogs.watched:
            self.dialogs.changed(leg, now)

    def answer_standalone(self, call: "Call", now: float) -> None:
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
        if not offer:
            return self.own_offer(leg.call, host)
        try:
            return fast_answer(offer, host, self.media_port, _media_id(leg.call))
        except PeerError as error:
            raise PeerError(error.reason, 488, media_warning(host, error.reason)) from None

    def own_offer(self, call: "Call", host: str) -> bytes:
        """The call server's own description, at `host`, as an offer."""
        return make_offer(host, self.media_port, _media_id(call)).to_bytes()


def _media_id(call: "Call") -> int:
    """The part of the GUID that differs most, below 2**63."""
    return int(call.guid[8:23], 16)


def _shown(call: "Call") -> str:
    """The caller's number for the other legs, or the one that ICM has put in its place."""
    if call.variables is None:
        return call.calling
    return call.variables.ecc.get(OVERRIDE_CLI) or call.calling


def _refer_wanted(call: "Call") -> bool:
    """Whether ICM has asked for REFER at its queue node [CG-XFER]."""
    variables = call.variables
    return variables is not None and variables.ecc.get(REFER_TRANSFER, "").lower() == "y"
