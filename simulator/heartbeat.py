"""The heartbeat of a server group: one ping after the other to its servers [HB, CG-SYS].

Servers that are up are pinged in turn, one every `up_interval`; those that are out in turn
of their own, one every `down_interval`. Any answer says that a server is up, except those
that say it is overloaded.
"""

import logging
from typing import TYPE_CHECKING, Final

from simulator.config_values import join_address
from sip.errors import InvalidValue
from sip.usage.ping import Ping

if TYPE_CHECKING:
    from simulator.server_groups import Element, ServerGroup, ServerGroups
    from sip.endpoint import Endpoint
    from sip.message import Response
    from sip.timers import Timer
    from sip.transaction.client import ClientTransaction

log = logging.getLogger(__name__)

_UP: Final = 0
_OUT: Final = 1


class Heartbeat:
    """Pings the servers of `group` for as long as its configuration wants it."""

    def __init__(self, groups: "ServerGroups", endpoint: "Endpoint", group: "ServerGroup") -> None:
        self.group = group
        self._groups = groups
        self._endpoint = endpoint
        self._timers: dict[int, Timer] = {}
        self._last: dict[int, Element | None] = {_UP: None, _OUT: None}
        self._stopped = True

    def start(self, now: float) -> None:
        """Begin, or go on with what the configuration says now."""
        self.stop()
        if self.group.config.heartbeat.enabled:
            self._stopped = False
            self._next(_UP, now)
            self._next(_OUT, now)

    def stop(self) -> None:
        """No more pings."""
        self._stopped = True
        for timer in self._timers.values():
            timer.stop()
        self._timers.clear()

    def timer_fired(self, what: int, now: float) -> None:
        """The next one is due."""
        self._timers.pop(what, None)
        self._next(what, now)

    def _next(self, what: int, now: float) -> None:
        heartbeat = self.group.config.heartbeat
        interval = heartbeat.up_interval if what == _UP else heartbeat.down_interval
        if not interval:
            return
        members = [one for one in self.group.elements if (one.state == "up") == (what == _UP)]
        if members:
            last = self._last[what]
            at = members.index(last) + 1 if last in members else 0
            element = self._last[what] = members[at % len(members)]
            self._ping(element, now)
        self._timers[what] = self._endpoint.wheel.start(now, interval, self, what)

    def _ping(self, element: "Element", now: float) -> None:
        heartbeat = self.group.config.heartbeat
        place = join_address(element.config.host, element.config.port)
        ping = Ping(
            self._endpoint,
            f"sip:{place};transport={heartbeat.transport}",
            heartbeat.method,
            self._groups.listener,
            heartbeat.contact,
        )
        try:
            ping.send(_Answer(self, element, now), heartbeat.timeout, now)
        except InvalidValue as error:
            log.warning("server group %s: no heartbeat: %s", self.group.config.name, error)
            self.group.expire(element, now)

    def heard(self, element: "Element", status: int, asked: float, now: float) -> None:
        """The answer of a server; `status` 0: there was none."""
        if self._stopped or element not in self.group.elements:
            return
        heartbeat = self.group.config.heartbeat
        if status == 0:
            element.failures += 1
            element.latency = None
            if element.failures >= heartbeat.failed_tries:
                reason = f"no answer to {heartbeat.method} in {heartbeat.timeout:g} s"
                self.group.mark(element, "down", reason, now, self.group.config.downtime)
            return
        element.failures = 0
        element.contact = now
        element.latency = now - asked
        reason = f"{status} to {heartbeat.method}"
        if status in heartbeat.overloaded:
            self.group.mark(element, "overloaded", reason, now, self.group.config.downtime)
        else:
            self.group.mark(element, "up", reason, now)


class _Answer:
    """Who waits for the answer to one ping."""

    def __init__(self, heartbeat: Heartbeat, element: "Element", asked: float) -> None:
        self._heartbeat = heartbeat
        self._element = element
        self._asked = asked

    def response_received(
        self, transaction: "ClientTransaction", response: "Response", now: float
    ) -> None:
        """A provisional or the final response."""
        if response.status >= 200:
            self._heartbeat.heard(self._element, response.status, self._asked, now)

    def transaction_failed(self, transaction: "ClientTransaction", status: int, now: float) -> None:
        """Nothing came in time, or nothing could be sent."""
        self._heartbeat.heard(self._element, 0, self._asked, now)
