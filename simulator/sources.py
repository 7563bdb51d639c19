"""Whom the SIP side listens to: its screen, as the configuration says, and its bans.

Configured peers are known by address; a peer that is named by the DNS, once it was looked up, and
until `_KEPT` after that has expired.
"""

import logging
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from simulator.config_base import covers
from simulator.config_sources import SourceRule
from simulator.config_values import Listen
from simulator.errors import BanNotFound
from simulator.views import BanView
from sip.grammar import is_ipv4, is_ipv6
from sip.records import Answer, Naptr, Query
from sip.transport import Listener
from sip.usage.screen import Ban, Limits, Rule, Screen, network_of

if TYPE_CHECKING:
    from simulator.config import Config
    from simulator.server import CallServer

log = logging.getLogger(__name__)

_MOST_LEARNED: Final = 1000
"""Names and addresses that the DNS gives for those of the configuration; then the oldest goes."""

_KEPT: Final = 3600.0
"""Seconds: some servers name a few of many addresses at a time; some peers are called rarely."""

_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")


class Sources:
    """The screen of `server`.

    At the listeners in `free` nobody is asked for a password.
    """

    def __init__(self, server: "CallServer") -> None:
        endpoint = server.stack.endpoint
        self._server = server
        self.free: set[Listener] = set()
        self._configured: set[str] = set()  # names of peers
        self._learned: dict[str, float] = {}  # what the DNS makes of them, each until then
        self._exempt: tuple[str, ...] = ()
        self.screen = endpoint.screen = Screen(endpoint.unacknowledged, self._noted)
        endpoint.locator.watch = self._resolved

    def configure(self, config: "Config") -> None:
        """Take the rules, the limits and the peers of a configuration; bans stay."""
        screen, section = self.screen, config.sip.limits
        screen.limits = Limits(
            section.rate,
            float(section.burst),
            section.unacknowledged,
            section.wrong_passwords,
            section.ban,
        )
        hosts = {host.strip("[]").lower() for host in _hosts(config)}
        addresses = {host for host in hosts if is_ipv4(host) or is_ipv6(host)}
        if hosts - addresses != self._configured:
            self._configured = hosts - addresses
            self._learned.clear()
        screen.peers = addresses
        sites = config.dial_plan.location.sites
        self._exempt = (*section.exempt, *config.sip.authentication.trusted)
        self._exempt += tuple(network for site in sites for network in site.gateways)
        screen.exempt = self._is_exempt
        screen.rules = {}
        self.free.clear()
        rules = {_place(rule.listen): rule for rule in config.sip.sources}
        places = [_place(one) for one in config.sip.addresses()]
        for number, listener in enumerate(self._server.stack.endpoint.listeners):
            # One more is where pings leave from: it hears whom the first of its kind does.
            found = [place for place in places if place[0] == listener.transport.lower()]
            at = places[number] if number < len(places) else next(iter(found), ())
            rule = rules.get(at) or rules.get(())
            if rule is not None:
                screen.rules[listener] = rule_of(rule)
                if not rule.passwords:
                    self.free.add(listener)

    def open_to_all(self) -> str:
        """The first listener that anybody in the network can call; empty where none can."""
        sip = self._server.config.sip
        if sip.authentication.users:
            return ""
        ruled = {None if one.listen is None else str(one.listen) for one in sip.sources}
        for one in sip.addresses():
            host = one.host if is_ipv4(one.host) or is_ipv6(one.host) else "0.0.0.0"
            if not ruled & {None, str(one)} and not covers(_LOOPBACK, host):
                return str(one)
        return ""

    def _noted(self, network: str, what: str, _now: float) -> None:
        if what == "limited":
            text = "%s sends more than sip.limits.rate allows; if it may, add it to %s"
            log.warning(text, network, "sip.limits.exempt")
        else:
            log.warning("%s is banned for %g s: %s", network, self.screen.limits.ban, what)

    def _resolved(self, query: Query, answer: Answer) -> None:
        """What the DNS says of a configured name is a peer as well."""
        owner = query.name
        while owner.startswith("_"):  # _sip._udp.
            owner = owner.partition(".")[2]
        if not (self._is_named(owner) or self._is_named(query.name)):
            return
        learned, until = self._learned, self._server.stack.now() + answer.ttl + _KEPT
        for record in answer.records:
            if isinstance(record, str):
                found = record
            else:
                target = record.replacement if isinstance(record, Naptr) else record.target
                found = target.lower().rstrip(".")
            learned.pop(found, None)
            if len(learned) >= _MOST_LEARNED:
                del learned[next(iter(learned))]
            learned[found] = until

    def _is_named(self, name: str) -> bool:
        return name in self._configured or self._is_learned(name)

    def _is_learned(self, what: str) -> bool:
        until = self._learned.get(what)
        return until is not None and self._server.stack.now() < until

    def _is_exempt(self, host: str) -> bool:
        return self._is_learned(host) or (self._exempt != () and covers(self._exempt, host))

    # Bans.

    def bans(self) -> list[BanView]:
        """Who is not heard, the oldest first."""
        return [self._view(ban) for ban in self.screen.banned(self._server.stack.now())]

    def lift(self, address: str | None) -> list[BanView]:
        """End the ban of an address, or all; what was lifted. Raises BanNotFound."""
        screen = self.screen
        banned = screen.banned(self._server.stack.now())
        if address is not None:
            host = address.partition("/")[0]
            network = network_of(host) if is_ipv4(host) or is_ipv6(host) else host
            banned = [ban for ban in banned if ban.network == network]
            if not banned:
                raise BanNotFound(f"{address!r} is not banned")
        for ban in banned:
            screen.lift(ban.network)
        return [self._view(ban) for ban in banned]

    def _view(self, ban: Ban) -> BanView:
        wall = self._server.wall
        return BanView(ban.network, ban.reason, wall(ban.since), wall(ban.until), ban.refused)


def _place(listen: Listen | None) -> tuple[str | int, ...]:
    """Transport, host and port; nothing stands for all that have no rule of their own."""
    return () if listen is None else (listen.transport, listen.host, listen.port)


def rule_of(rule: SourceRule) -> Rule:
    """A rule of the configuration as the screen takes it."""
    others = {"REFER": rule.refer, "REGISTER": rule.register_, "SUBSCRIBE": rule.subscribe}
    return Rule(
        partial(covers, rule.call),
        {method: partial(covers, networks) for method, networks in others.items()},
        silent=rule.others == "silence",
    )


def _hosts(config: "Config") -> Iterator[str]:
    """The hosts that the configuration has us call, or be called from."""
    for route in config.routes:
        yield route.to.host
    for direct in config.direct_routes:
        yield direct.to.host
    for group in config.server_groups:
        for server in group.servers:
            yield server.host
    for trunk in config.sip.trunks:
        yield trunk.registrar.host
    if config.sip.outbound_proxy is not None:
        yield config.sip.outbound_proxy.host
