"""Server groups: which server takes the next request, and which are out [CG-SYS, HB].

A group is the host of a route (``sip:cucm.lab``). It is asked for the servers to try for
each request outside a dialog, and hears how they fared. A server that does not answer, or
with 503, is out: until a ping of the heartbeat is answered where there is one, else for
`downtime` seconds, or for the Retry-After of its 503, an hour at most. It is a server that
is out, by UDP and TCP alike. What a callee says for itself (480, 600) is not the server's
state, unless it is the answer to a ping.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Literal

from simulator.config_dial_plan import Server, ServerGroupSection
from simulator.config_sections import Neighbour
from simulator.config_values import join_address
from simulator.heartbeat import Heartbeat
from simulator.views import ServerGroupView, ServerView
from sip.locate import Target

if TYPE_CHECKING:
    from sip.endpoint import Endpoint
    from sip.transport import Listener

log = logging.getLogger(__name__)

State = Literal["up", "down", "overloaded"]

UP: Final = "up"
DOWN: Final = "down"
OVERLOADED: Final = "overloaded"

Report = Callable[["ServerGroup", "Element", State, float], None]
"""Told that the state of a server has changed, and what it was before."""


class Element:
    """One server: `since` is when its state began, `until` when it is tried again (0: a ping says).

    `share` is what smooth weighted round-robin owes to it.
    """

    __slots__ = (
        "addresses",
        "config",
        "contact",
        "failures",
        "latency",
        "reason",
        "share",
        "since",
        "state",
        "until",
        "uri",
    )

    def __init__(self, config: Server, now: float) -> None:
        self.config = config
        self.uri = _uri(config)
        self.state: State = UP
        self.reason = "not asked yet"
        self.since = now
        self.until = 0.0
        self.failures = 0  # pings in a row without an answer
        self.share = 0
        self.contact = 0.0  # when it answered last; 0: never
        self.latency: float | None = None  # seconds, of the last ping
        self.addresses: set[str] = set()

    def __str__(self) -> str:
        return join_address(self.config.host, self.config.port)


def _uri(config: Server) -> str:
    transport = f";transport={config.transport}" if config.transport else ""
    return f"sip:{join_address(config.host, config.port)}{transport}"


class ServerGroup:
    """The servers of one group, as `sip.server_group` asks for them."""

    def __init__(self, config: ServerGroupSection, t1: float, report: Report, now: float) -> None:
        self.config = config
        self.elements: list[Element] = []
        self._t1 = t1
        self._report = report
        self._turn = 0
        self._places: dict[tuple[str, int], Element] = {}
        self.configure(config, now)

    def configure(self, config: ServerGroupSection, now: float) -> None:
        """Take other servers or settings; those that stay keep their state."""
        self.config = config
        known = {(one.config.host, one.config.port): one for one in self.elements}
        self.elements = []
        for server in config.servers:
            element = known.get((server.host, server.port)) or Element(server, now)
            element.config = server
            element.uri = _uri(server)
            self.elements.append(element)
        self._places = {(one.config.host, one.config.port): one for one in self.elements}
        if not self._ping_ends:
            for element in self.elements:
                self.expire(element, now)

    @property
    def pinged(self) -> bool:
        """Whether pings decide who is up."""
        return self.config.heartbeat.enabled

    @property
    def _ping_ends(self) -> bool:
        """Whether a server that is out stays so until a ping is answered."""
        return self.pinged and bool(self.config.heartbeat.down_interval)

    @property
    def patience(self) -> float:
        """Seconds for so many tries by UDP, T1 apart and then twice as long (17.1.1.2)."""
        return float(self._t1 * 2 ** (self.config.tries - 1))

    # Who is next.

    def uris(self, now: float) -> list[str]:
        """The servers to try: the best priority first, within one as the group balances.

        Where none is up and no ping says so, all are tried: they may be back.
        """
        self.refresh(now)
        usable = [one for one in self.elements if one.state == UP]
        if not usable and not self.pinged:
            usable = self.elements
        found: list[str] = []
        for priority in sorted({one.config.priority for one in usable}):
            members = [one for one in usable if one.config.priority == priority]
            found += [one.uri for one in self._ordered(members, choose=not found)]
        return found

    def likely(self) -> str:
        """The first that is up; any where none is."""
        ranked = sorted(self.elements, key=lambda one: (one.state != UP, one.config.priority))
        return ranked[0].uri

    def refresh(self, now: float) -> None:
        """Those whose time is over are up again, until they show otherwise."""
        for element in self.elements:
            if 0.0 < element.until <= now:
                self.mark(element, UP, "it may be tried again", now)

    def _ordered(self, members: Sequence[Element], *, choose: bool) -> list[Element]:
        """`members` in the order to try; `choose`: this is a turn, the next is another's."""
        balancing = self.config.load_balancing
        if balancing == "top_down" or not choose:
            return list(members)
        if balancing == "round_robin":
            start = self._turn % len(members)
            self._turn += 1
            return [*members[start:], *members[:start]]
        total = 0
        for one in members:
            weight = one.config.weight
            one.share += weight
            total += weight
        chosen = max(members, key=lambda one: one.share)  # of equal ones the first
        chosen.share -= total
        rest = [one for one in members if one is not chosen]
        return [chosen, *sorted(rest, key=lambda one: -one.share)]

    # How they fare.

    def located(self, uri: str, target: Target) -> None:
        """Remember whose address that is."""
        for element in self.elements:
            if element.uri == uri:
                element.addresses.add(target.host)
                self._places[target.host, target.port] = element
                return

    def name_of(self, target: Target) -> str:
        """The host as it is configured."""
        element = self._places.get((target.host, target.port))
        return self.config.name if element is None else element.config.host

    def by_tcp(self, target: Target) -> bool:
        """Unless the configuration says UDP."""
        element = self._places.get((target.host, target.port))
        return element is not None and element.config.transport is None

    def answered(self, target: Target, now: float) -> None:
        """A server has answered a request: it is there."""
        element = self._places.get((target.host, target.port))
        if element is not None:
            element.contact = now
            if element.state == DOWN or not self.pinged:
                self.mark(element, UP, "it has answered a request", now)

    def failed(self, target: Target, status: int, seconds: int | None, now: float) -> None:
        """A server has not answered (408), or with 503."""
        element = self._places.get((target.host, target.port))
        if element is None:
            return
        out = self.config.downtime if seconds is None else float(seconds)
        if status == 503:
            element.contact = now
            self.mark(element, OVERLOADED, "503 to a request", now, out)
        else:
            self.mark(element, DOWN, "no answer to a request", now, out)

    def mark(
        self, element: Element, state: State, reason: str, now: float, out: float = 0.0
    ) -> None:
        """A server is in `state`; `out`: for so many seconds, where no ping ends it."""
        element.until = 0.0
        if state != UP and not self._ping_ends:
            element.until = now + max(out, 0.001)
        if element.state == state:
            element.reason = reason
            return
        before, element.state = element.state, state
        element.reason = reason
        element.since = now
        for one in self.elements:  # the others do not make up for what was missed
            one.share = 0
        self._report(self, element, before, now)

    def expire(self, element: Element, now: float) -> None:
        """No ping will end that a server is out: then time does."""
        if element.state != UP and not element.until:
            element.until = now + max(self.config.downtime, 0.001)

    @property
    def state(self) -> Literal["up", "partial", "down"]:
        """Of the group: whether all, some or none of its servers are up."""
        up = sum(one.state == UP for one in self.elements)
        return "up" if up == len(self.elements) else "partial" if up else "down"


class ServerGroups:
    """All groups of a configuration, by name, in the locator of `endpoint`.

    `listener` is where pings leave from by UDP; None: where calls do. `watch` is told what
    becomes of servers.
    """

    def __init__(self, endpoint: "Endpoint") -> None:
        self.listener: Listener | None = None
        self.watch: Report | None = None
        self.groups: dict[str, ServerGroup] = {}
        self._endpoint = endpoint
        self._heartbeats: dict[str, Heartbeat] = {}
        self._running = False

    def configure(self, sections: Iterable[ServerGroupSection], now: float) -> None:
        """Take other groups; servers that stay keep their state."""
        before = self.groups
        self.groups = {}
        for section in sections:
            group = before.get(section.name)
            if group is None:
                group = ServerGroup(section, self._endpoint.timers.t1, self._changed, now)
            else:
                group.configure(section, now)
            self.groups[section.name] = group
        located = self._endpoint.locator.groups
        located.clear()
        located.update(self.groups)
        if self._running:
            self.start(now)

    def _changed(self, group: ServerGroup, element: Element, before: State, now: float) -> None:
        level = logging.INFO if element.state == UP else logging.WARNING
        text = "server group %s: %s is %s: %s; the group is %s"
        state = group.state
        log.log(level, text, group.config.name, element, element.state, element.reason, state)
        if self.watch is not None:
            self.watch(group, element, before, now)

    def start(self, now: float) -> None:
        """Begin with the heartbeats, or go on with those that are wanted now."""
        self._running = True
        for name in [name for name in self._heartbeats if name not in self.groups]:
            self._heartbeats.pop(name).stop()
        for name, group in self.groups.items():
            heartbeat = self._heartbeats.get(name)
            if heartbeat is None:
                heartbeat = self._heartbeats[name] = Heartbeat(self, self._endpoint, group)
            heartbeat.start(now)

    def stop(self) -> None:
        """No more pings."""
        self._running = False
        for heartbeat in self._heartbeats.values():
            heartbeat.stop()
        self._heartbeats.clear()

    def concrete(self, uri: str, now: float) -> str:
        """`uri` as others can use it, who do not know the groups: its host is a server then.

        For Refer-To; unchanged where it names no group, or one without a server.
        """
        if not self.groups:
            return uri
        user, at, rest = uri.rpartition("@") if "@" in uri else ("", "", uri.partition(":")[2])
        host = rest.partition(";")[0].partition(":")[0].lower()
        group = self.groups.get(host)
        if group is None:
            return uri
        found = group.uris(now) or [group.likely()]
        place = found[0].removeprefix("sip:")
        return f"{user}{at}{place}" if at else f"sip:{place}"

    def neighbours(self) -> list[Neighbour]:
        """The servers of groups that connectivity is to show, under their component."""
        return [
            Neighbour(component=group.config.component, url=element.uri)
            for group in self.groups.values()
            if group.config.component is not None
            for element in group.elements
        ]

    def views(self, wall: Callable[[float], float], now: float) -> list[ServerGroupView]:
        """All groups as readers see them; `wall` gives the time of day for a time."""
        for group in self.groups.values():
            group.refresh(now)
        return [self._view(group, wall) for group in self.groups.values()]

    def _view(self, group: ServerGroup, wall: Callable[[float], float]) -> ServerGroupView:
        servers = [
            ServerView(
                hostname=one.config.name or one.config.host,
                ip_address=min(one.addresses, default=one.config.host),
                port=one.config.port,
                transport=one.config.transport,
                priority=one.config.priority,
                weight=one.config.weight,
                status=one.state,
                reason=one.reason,
                since=wall(one.since),
                last_contact=wall(one.contact) if one.contact else None,
                latency=None if one.latency is None else round(one.latency * 1000),
            )
            for one in group.elements
        ]
        config = group.config
        return ServerGroupView(
            group_id=config.name,
            group_name=config.name,
            description=config.description,
            load_balancing=config.load_balancing,
            heartbeat=group.pinged,
            status=group.state,
            servers=servers,
        )
