"""What readers ask of the call server; nothing here changes anything."""

import os
import resource
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal

from simulator.errors import SessionNotFound
from simulator.leg import Leg
from simulator.records import vxml_server
from simulator.views import (
    CallDetailView,
    CallFilter,
    CallPage,
    CallState,
    CallView,
    ConnectionView,
    HealthView,
    HistoryEntry,
    IcmRouteResult,
    LegView,
    SessionDetailView,
    SessionView,
)
from sip.dialog import name_addr_uri
from sip.usage.session import STATE_NAMES, Session

if TYPE_CHECKING:
    from simulator.admission import Admission
    from simulator.call import Call
    from simulator.call_index import CallIndex
    from simulator.config import Config
    from simulator.news import SystemNews
    from simulator.ports import Stack, Store
    from simulator.probes import Prober
    from simulator.routing import DialPlan, Lookup

_PAGE: Final = resource.getpagesize()


class Queries:
    """The reading half of `CallServer`."""

    calls: "dict[str, Call]"
    index: "CallIndex"
    config: "Config"
    plan: "DialPlan"
    news: "SystemNews"
    prober: "Prober"
    admission: "Admission"
    stack: "Stack"
    store: "Store"
    draining: bool
    started: float
    version: str
    _cpu: tuple[float, float] = (0.0, 0.0)
    _cpu_percent: float = 0.0

    def find(self, guid: str) -> "Call":
        """The active call `guid`. Raises CallNotFound."""
        raise NotImplementedError

    def wall(self, now: float) -> float:
        """Seconds since the epoch for a time of the loop's clock."""
        raise NotImplementedError

    def active_calls(self, wanted: CallFilter, limit: int, cursor: int = 0) -> CallPage:
        """The oldest `limit` calls that match, or those after the page that gave `cursor`."""
        if cursor == 0 and wanted == CallFilter(wanted.state, wanted.called_number):
            total, found = self._oldest(wanted, limit)
            more = total > limit
        else:
            matching = self.matching(wanted)
            total = len(matching)
            found = list(islice((c for c in matching if c.serial > cursor), limit + 1))
            more = len(found) > limit
            del found[limit:]
        now = self.stack.now()
        shown = [self._view(call, now) for call in found]
        return CallPage(total, shown, found[-1].serial if more else None)

    def matching(self, wanted: CallFilter) -> "list[Call]":
        """All calls that match, the oldest first."""
        _, found = self._oldest(wanted, len(self.calls))
        if wanted.calling_number is not None:
            found = [call for call in found if call.calling == wanted.calling_number]
        if wanted.application is not None:
            found = [call for call in found if call.application == wanted.application]
        leg = wanted.leg
        if leg is not None:
            found = [call for call in found if any(_is_leg(one, leg) for one in call.legs)]
        return found

    def _oldest(self, wanted: CallFilter, limit: int) -> "tuple[int, list[Call]]":
        if wanted.state is None and wanted.called_number is None:
            return len(self.calls), list(islice(self.calls.values(), limit))
        return self.index.oldest(wanted.state, wanted.called_number, limit)

    def _view(self, call: "Call", now: float) -> CallView:
        return CallView(
            guid=call.guid,
            state=_state(call),
            calling_number=call.calling,
            called_number=call.called,
            start_time=call.epoch + call.started,
            duration=int(now - call.started),
            application_name=call.application,
        )

    def call_detail(self, guid: str) -> CallDetailView:
        """One call. Raises CallNotFound."""
        call = self.find(guid)
        first = call.legs[0].session
        dialog = first.dialog
        ours, theirs = dialog.local_tag, dialog.remote_tag or ""
        now = self.stack.now()
        return CallDetailView(
            guid=call.guid,
            state=_state(call),
            calling_number=call.calling,
            called_number=call.called,
            start_time=call.epoch + call.started,
            duration=int(now - call.started),
            application_name=call.application,
            sip_call_id=dialog.call_id,
            sip_from_tag=ours if first.outgoing else theirs,
            sip_to_tag=theirs if first.outgoing else ours,
            icm_route_result=IcmRouteResult(call.icm_label, call.icm_skill_group, call.icm_agent),
            vxml_server=vxml_server(call),
            history=[
                HistoryEntry(call.epoch + at, event, details) for at, event, details in call.history
            ],
            ecc_variables=call.variables.ecc if call.variables is not None else {},
        )

    def passed_headers(self, guid: str) -> list[tuple[str, str]]:
        """The header fields of the caller that its other legs get. Raises CallNotFound."""
        lines = self.find(guid).passed.split("\r\n")[:-1]
        fields = [line.partition(":") for line in lines]
        return [(name, value.strip(" \t")) for name, _, value in fields]

    def lookup(self, dialed_number: str, calling_number: str | None = None) -> "Lookup":
        """The routing decision for a number. Raises NotRoutable for impossible text."""
        return self.plan.lookup(dialed_number, calling_number or "")

    # Sessions: the dialog table itself.

    def sessions(self, limit: int) -> tuple[int, Iterator[SessionView]]:
        """How many SIP sessions belong to calls, and the oldest `limit` of them.

        Each is looked at when it is read: there may be more than one turn of the loop can show.
        """
        owned = self.stack.endpoint.owned
        return len(owned), map(self._session, list(islice(owned.values(), limit)))

    def _session(self, session: Session) -> SessionView:
        leg = session.user
        assert isinstance(leg, Leg)
        dialog = session.dialog
        from_uri, to_uri = self.leg_uris(leg)
        return SessionView(
            session_id=dialog.local_tag,
            call_id=dialog.call_id,
            call_guid=leg.call.guid,
            state="terminated" if leg.ended else STATE_NAMES[session.state],
            method="INVITE",
            from_uri=from_uri,
            to_uri=to_uri,
            start_time=leg.call.epoch + leg.started,
        )

    def session(self, session_id: str) -> SessionDetailView:
        """One session by its id. Raises SessionNotFound."""
        session = self.stack.endpoint.owned.get(session_id)
        leg = session.user if session is not None else None
        if session is None or not isinstance(leg, Leg):
            raise SessionNotFound(f"no SIP session has the id {session_id!r}")
        shown = self._session(session)
        dialog = session.dialog
        ours, theirs = dialog.local_tag, dialog.remote_tag or ""
        address = session.remote_address
        host, port = address[0], address[1]
        transport = session.listener.transport
        return SessionDetailView(
            session_id=shown.session_id,
            call_id=shown.call_id,
            call_guid=shown.call_guid,
            state=shown.state,
            method=shown.method,
            from_uri=shown.from_uri,
            to_uri=shown.to_uri,
            start_time=shown.start_time,
            from_tag=ours if session.outgoing else theirs,
            to_tag=theirs if session.outgoing else ours,
            cseq=dialog.last_cseq,
            transport=transport,  # type: ignore[arg-type]
            local_address=session.listener.sent_by(host),
            remote_address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            last_activity_time=leg.call.epoch + leg.touched,
        )

    def legs(self, guid: str) -> list[LegView]:
        """The legs of a call whose dialogs there are, the oldest first. Raises CallNotFound."""
        owned = self.stack.endpoint.owned
        return [
            LegView(leg.kind, leg.number, self.session(leg.session.dialog.local_tag))
            for leg in self.find(guid).legs
            if leg.session.dialog.local_tag in owned
        ]

    def leg_uris(self, leg: Leg) -> tuple[str, str]:
        """From and To URI of a leg's INVITE."""
        dialog = leg.session.dialog
        ours = name_addr_uri(dialog.local)
        theirs = name_addr_uri(dialog.remote)
        return (ours, theirs) if leg.session.outgoing else (theirs, ours)

    # Health.

    def health(self) -> HealthView:
        """The server as a whole; percentages are of one core and of the machine's memory."""
        listening = bool(self.stack.endpoint.listeners)
        unsteady = self.news.unsteady(self.stack.now()) or self.admission.overload != ""
        status: Literal["healthy", "degraded", "unhealthy"] = "healthy"
        if not listening:
            status = "unhealthy"
        elif self.draining or not self.store.healthy or self.prober.missing or unsteady:
            status = "degraded"
        return HealthView(
            server_name=self.config.server.name,
            status=status,
            uptime=self.stack.now() - self.started,
            version=self.version,
            active_calls=len(self.calls),
            max_calls=self.config.server.max_calls,
            sip_stack_status="running" if listening else "stopped",
            cpu_usage=self._cpu_usage(),
            memory_usage=_memory_usage(),
        )

    def _cpu_usage(self) -> float:
        """Percent of one core since the last time it was asked, at least a second ago."""
        used, at = time.process_time(), time.monotonic()
        before, since = self._cpu
        if at - since < 1.0:
            return self._cpu_percent
        self._cpu = (used, at)
        if since:
            self._cpu_percent = round(100.0 * (used - before) / (at - since), 1)
        return self._cpu_percent

    async def connectivity(self) -> list[ConnectionView]:
        """Probe every neighbour now."""
        return await self.prober.probe_all()


def _is_leg(leg: Leg, name: str) -> bool:
    if leg.ended:
        return False
    dialog = leg.session.dialog
    return name in (leg.number, dialog.local_tag, dialog.call_id)


def _state(call: "Call") -> CallState:
    return call.state  # type: ignore[return-value]


def _memory_usage() -> float:
    """Resident memory as percent of the machine's; 0 where /proc does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            resident = int(file.read().split()[1]) * _PAGE
        total = os.sysconf("SC_PHYS_PAGES") * _PAGE
    except (OSError, ValueError, IndexError):
        return 0.0
    return round(100.0 * resident / total, 2)
