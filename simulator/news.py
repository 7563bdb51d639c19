"""What becomes an event: lines of a call's history, and news of the server.

Only asked while the event bus is on. A line is looked up by its name; most say nothing that
the stream tells. The bus gets the values of an event in the order of its view's fields.
"""

import errno
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from simulator.event_views import (
    CONSULTING,
    ApplicationInvoked,
    CallEnded,
    CallError,
    CallQueued,
    CallStarted,
    CallStateChanged,
    CallTransferred,
    DeviceStatus,
    DeviceStatusChanged,
    ErrorCategory,
    ServiceName,
    ServiceState,
    ServiceStateChanged,
    ThresholdExceeded,
)
from simulator.leg import VXML
from simulator.licence import REACHED
from simulator.probes import VXML_SERVER
from simulator.records import vxml_server
from simulator.server_groups import Element, ServerGroup, State
from simulator.transfer_log import ICM

if TYPE_CHECKING:
    from simulator.agents import Queue
    from simulator.call import Call
    from simulator.server import CallServer

log = logging.getLogger(__name__)

STOOD_STILL: Final = 2.0
"""Seconds that the event loop is late after which that is news."""

CLOCK_SET: Final = 0.5
"""Seconds by which the time of day has changed after which somebody has set it."""

_SHOWN: Final = 10.0
"""Seconds for which health tells that the process stood still, or had no file."""

_AGAIN: Final = 60.0
"""Seconds from one line in the log to the next about the same want."""

_SIP_CODE: Final = re.compile(r"SIP (\d{3})")
_TIMEOUTS: Final = (408, 504)

# Which server of a group is what: a server that is overloaded is there, but of no use.
_STATUSES: Final[Mapping[str, DeviceStatus]] = {
    "up": "online",
    "down": "offline",
    "overloaded": "error",
}


def _started(call: "Call", now: float, _line: str, _details: str) -> None:
    server = call.server
    session = call.caller.session
    server.events.publish(
        CallStarted,
        now,
        (
            call.guid,
            call.calling,
            call.called,
            server.config.server.name,
            session.dialog.call_id,
            session.remote_address[0],
            call.route.pattern or None,
        ),
    )


def _state(call: "Call", now: float, _line: str, details: str) -> None:
    call.server.events.publish(
        CallStateChanged,
        now,
        (
            call.guid,
            call.calling,
            call.called,
            call.state,
            details or None,
        ),
    )


def note_consulting(call: "Call", now: float) -> None:
    """The target of a consultation talks to the agent: it can be completed."""
    _state(call, now, "consulting", CONSULTING)


def note_queued(call: "Call", queue: "Queue", position: int, now: float) -> None:
    """A call is about to wait in `queue`."""
    wait = queue.estimated_wait(position, now)
    call.server.events.publish(
        CallQueued,
        now,
        (
            call.guid,
            call.calling,
            call.called,
            queue.name,
            None if wait is None else round(wait),
            position,
            call.application or None,
        ),
    )


def _connected(call: "Call", now: float, line: str, details: str) -> None:
    """What ICM has chosen is a transfer as well, where the caller was somewhere before."""
    _state(call, now, line, details)
    steps = call.steps
    if steps.on and steps.by == ICM and steps.state == "completed" and steps.ended == now:
        _transfer(call, now, steps.destination)


def _transferred(call: "Call", now: float, _line: str, _details: str) -> None:
    _transfer(call, now, call.transfer_destination)


def _transfer(call: "Call", now: float, destination: str) -> None:
    # The profile has two types: what phones do with Replaces was a consultation.
    blind = not call.steps.on or call.steps.kind == "blind"
    call.server.events.publish(
        CallTransferred,
        now,
        (
            call.guid,
            call.calling,
            call.called,
            destination,
            "blind" if blind else "consultation",
            call.icm_label or None,
            call.icm_skill_group or None,
        ),
    )


def _application(call: "Call", now: float, _line: str, details: str) -> None:
    peer = call.peer
    session = peer.session.dialog.local_tag if peer is not None and peer.kind == VXML else None
    call.server.events.publish(
        ApplicationInvoked,
        now,
        (
            call.guid,
            call.calling,
            call.called,
            details,
            vxml_server(call) or None,
            session,
        ),
    )


def _failed(call: "Call", now: float, line: str, details: str) -> None:
    found = _SIP_CODE.search(details)
    _error(call, now, line, details, int(found[1]) if found is not None else 0)


def _abnormal(call: "Call", now: float, line: str, details: str) -> None:
    """The end of a call that failed, unless the failure that led to it was told."""
    for _, before, _ in reversed(call.history[:-1]):
        if before in _ERRORS:
            return
        if before in _STATES:
            break
    _error(call, now, line, details, call.error_code)


def _error(call: "Call", now: float, line: str, details: str, status: int) -> None:
    category = _ERRORS[line]
    if status in _TIMEOUTS and category == "sip_failure":
        category = "timeout"
    elif line == "abnormal_end" and not status:
        category = "system_error"
    call.server.events.publish(
        CallError,
        now,
        (
            call.guid,
            call.calling,
            call.called,
            str(status) if status else line,
            details,
            category,
            call.server.config.server.name,
            status or None,
        ),
    )


def _ended(call: "Call", now: float, _line: str, details: str) -> None:
    call.server.events.publish(
        CallEnded,
        now,
        (
            call.guid,
            call.calling,
            call.called,
            call.result,
            int(now - call.started),
            int(call.self_service_time),
            int(call.queue_time),
            call.application or None,
            details,
            call.error_code or call.caller.status or None,
        ),
    )


_ERRORS: Final[Mapping[str, ErrorCategory]] = {
    "connect_failed": "sip_failure",
    "transfer_failed": "sip_failure",
    "leg_lost": "sip_failure",
    "application_not_run": "vxml_error",
    "script_endless": "application_error",
    "DIALOGUE_FAILURE": "icm_communication",
    "abnormal_end": "sip_failure",
}
_STATES: Final = ("self_service", "queued", "connected", "transferring", "on_hold")

_Tell = Callable[["Call", float, str, str], None]
# What a line of the history of a call tells, by its name.
LINES: Final[dict[str, _Tell]] = {
    "offered": _started,
    "originated": _started,
    "self_service": _state,
    "queued": _state,
    "connected": _connected,
    "transferring": _state,
    "on_hold": _state,
    "RUN_SCRIPT_REQ": _application,
    "transfer_completed": _transferred,
    "connect_failed": _failed,
    "transfer_failed": _failed,
    "leg_lost": _failed,
    "application_not_run": _failed,
    "script_endless": _failed,
    "DIALOGUE_FAILURE": _failed,
    "abnormal_end": _abnormal,
    "ended": _ended,
}


class SystemNews:
    """Hears of the licences, servers and services of `server`."""

    __slots__ = ("_server", "_told_at", "_unsteady_until")

    def __init__(self, server: "CallServer") -> None:
        self._server = server
        server.licences.watch = self._licences
        self._unsteady_until = 0.0
        self._told_at = -_AGAIN  # that there are no files
        server.server_groups.watch = self._server_changed
        server.prober.watch = self._vxml_server

    def _licences(self, now: float, _event: str, _details: str) -> None:
        """A threshold is exceeded by the calls that reach it, not by those that leave it."""
        server = self._server
        licences = server.licences
        if not server.events.on or not licences.rising:
            return
        name = server.config.server.name
        server.events.publish(
            ThresholdExceeded,
            now,
            (
                name,
                name,
                "concurrent_calls",
                licences.limit * REACHED[licences.level] / 100,
                float(licences.used),
                "warning" if licences.name == "warning" else "critical",
            ),
        )

    def _server_changed(
        self, group: ServerGroup, element: Element, before: State, now: float
    ) -> None:
        name = element.config.name or element.config.host
        kind = group.config.component
        self._device(
            str(element), name, kind, _STATUSES[before], _STATUSES[element.state],
            element.reason, now,
        )  # fmt: skip

    def _vxml_server(self, url: str, host: str, up: bool) -> None:
        before: DeviceStatus = "offline" if up else "online"
        after: DeviceStatus = "online" if up else "offline"
        reason = f"the heartbeat was {'' if up else 'not '}answered"
        now = self._server.stack.now()
        self._device(url, host, VXML_SERVER, before, after, reason, now)

    def _device(
        self,
        device_id: str,
        hostname: str,
        device_type: str | None,
        before: DeviceStatus,
        after: DeviceStatus,
        reason: str,
        now: float,
    ) -> None:
        server = self._server
        if server.events.on:
            server.events.publish(
                DeviceStatusChanged,
                now,
                (
                    device_id,
                    hostname,
                    device_type,
                    before,
                    after,
                    reason,
                ),
            )

    def stopping(self, now: float) -> None:
        """The SIP service takes no more calls."""
        self._service("SIP", "running", "stopped", "the server takes no more calls", now)

    def look_around(self, late: float) -> None:
        """Some times a second, this time `late` by so many seconds: is all as it should be?"""
        server = self._server
        if late >= STOOD_STILL:
            self.stood_still(late)
        before = server.stack.now()
        epoch = time.time() - before
        step = epoch - server.epoch
        if abs(step) >= CLOCK_SET and server.stack.now() - before < CLOCK_SET / 2:
            server.epoch = epoch
            self.clock_set(step)
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self.out_of_files(error)

    def stood_still(self, seconds: float) -> None:
        """For so long nothing was done: the machine was busy, or the process was stopped."""
        now = self._server.stack.now()
        self._unsteady_until = now + _SHOWN
        text = f"the process stood still for {seconds:.1f} s"
        log.warning("%s; calls go on. See what else the machine was doing", text)
        self._service("SIP", "error", "running", text, now)

    def unsteady(self, now: float) -> bool:
        """Whether it has stood still or had no file a little while ago."""
        return now < self._unsteady_until

    def out_of_files(self, error: OSError) -> None:
        """No connection can be accepted or opened; once a minute that is news."""
        now = self._server.stack.now()
        self._unsteady_until = now + _SHOWN
        if now < self._told_at + _AGAIN:
            return
        self._told_at = now
        log.warning(
            "new connections cannot come in: %s; see who holds so many, and raise LimitNOFILE of "
            "the service (ulimit -n)",
            error.strerror,
        )

    def clock_set(self, step: float) -> None:
        """The time of day is another one than it was."""
        log.warning(
            "the clock was set by %+.1f s; calls in progress keep the time of day that they began "
            "with, timers do not go by it",
            step,
        )

    def overload(self, reason: str, now: float) -> None:
        """New calls are refused, and why; with an empty reason they are taken again."""
        if reason:
            self._service("SIP", "running", "error", f"overload: {reason}", now)
        else:
            self._service("SIP", "error", "running", "all new calls are taken again", now)

    def icm(self, up: bool) -> None:
        """The router that is asked over HTTP is not asked any more, or again."""
        now = self._server.stack.now()
        if up:
            self._service("ICM", "error", "running", "icm.webhook answers again", now)
        else:
            self._service("ICM", "running", "error", "icm.webhook does not answer", now)

    def records(self, reason: str) -> None:
        """CDRs cannot be stored, and why; with an empty reason they can be again."""
        now = self._server.stack.now()
        if reason:
            self._service("Reporting", "running", "error", reason, now)
        else:
            self._service("Reporting", "error", "running", "CDRs are stored again", now)

    def _service(
        self,
        name: ServiceName,
        before: ServiceState,
        after: ServiceState,
        message: str,
        now: float,
    ) -> None:
        server = self._server
        if server.events.on:
            here = server.config.server.name
            server.events.publish(
                ServiceStateChanged,
                now,
                (
                    here,
                    here,
                    name,
                    before,
                    after,
                    message,
                ),
            )
