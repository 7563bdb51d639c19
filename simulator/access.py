"""Who may do what on the SIP side, and as whom this server acts: one object of `CallServer`.

Credentials for those who ask for them, credentials from those who must give them, phones
that log in by REGISTER, and trunks where this server registers itself.
"""

import asyncio
import logging
import os
from functools import partial
from typing import TYPE_CHECKING

from simulator.config_base import covers
from simulator.errors import ServiceError
from simulator.origin import NO_ORIGIN, CallOrigin
from simulator.patterns import PatternTable
from simulator.routing import NotRoutable, Route
from sip.auth import DigestServer
from sip.errors import InvalidValue, ParseError
from sip.events import Refused
from sip.message import Request
from sip.registrar import Binding, Registrar
from sip.registration import FAILED, IDLE, Registration
from sip.transport import Address
from sip.uri import SipUri
from sip.usage.credentials import UNAUTHORIZED, Account, Accounts
from sip.usage.guard import Guard
from sip.usage.redirect import FOLLOWED, Redirector, plain
from sip.usage.screen import Screen
from sip.values import NameAddr

if TYPE_CHECKING:
    from simulator.config import Config
    from simulator.server import CallServer
    from sip.ids import IdSource

log = logging.getLogger(__name__)


class Access:
    """Sets up the endpoint of `server` as its configuration says.

    `paths` leads from the contact of a phone that is logged in to the route there
    (RFC 3327).
    """

    def __init__(self, server: "CallServer") -> None:
        self.paths: dict[str, tuple[str, ...]] = {}
        self.trunks: list[Registration] = []
        self._server = server
        self._quiet = asyncio.Event()
        config, endpoint = server.config, server.stack.endpoint
        accounts = accounts_of(config)
        if accounts:
            amend = Accounts(accounts, endpoint.ids).amend
            endpoint.amendments |= dict.fromkeys(UNAUTHORIZED, amend)
        if config.sip.follow_redirects:
            Redirector(endpoint, self.redirected)
        endpoint.guard = guard_of(config, endpoint.ids, server.sources.screen)
        if endpoint.guard is not None:
            endpoint.guard.free = server.sources.free
        self._numbers = PatternTable[None]()
        for pattern in config.sip.registrar.numbers:
            self._numbers.add(pattern, None)
        if config.sip.registrar.enabled:
            Registrar(
                endpoint,
                self._accepts,
                self._logged_in,
                min_expires=config.sip.registrar.min_expires,
                max_expires=config.sip.registrar.max_expires,
                default_expires=config.sip.registrar.max_expires,
            )

    # Phones.

    def _accepts(self, number: str, request: Request, address: Address) -> int:
        """Whether a phone may log in as `number`; as nobody else than whose password it has."""
        if number not in self._server.config.icm.agents and self._numbers.lookup(number) is None:
            return 404
        guard = self._server.stack.endpoint.guard
        user = None if guard is None else guard.user_of(request, address)
        return 0 if user in (None, number) else 403

    def _logged_in(self, number: str, bindings: tuple[Binding, ...], _now: float) -> None:
        phones = self._server.phones
        old = phones.pop(number, None)
        if old is not None:
            self.paths.pop(old, None)
        if bindings:
            best = max(reversed(bindings), key=lambda binding: binding.q)
            uri = phones[number] = str(best.uri)
            if best.path:
                self.paths[uri] = best.path
            log.info("%s is logged in at %s", number, uri)
        else:
            log.info("%s is logged out", number)
        self._server.plan.forget()

    # Redirections.

    def redirected(self, uri: str) -> str | None:
        """Where to call for a contact of a 3xx; None: nowhere, as the log says."""
        found = self._place_of(uri)
        if found is None:
            log.warning("a redirection to %s is not followed; if it may, add transfer.hosts", uri)
        return found

    def _place_of(self, uri: str) -> str | None:
        """A number of ours goes where the dial plan says.

        Another host is one that the routes lead to for this number, as with REFER, a phone that is
        logged in, or one of `transfer.hosts`.
        """
        server = self._server
        target = SipUri.parse(uri)
        place = place_of(target)
        if place in self._our_places(target.host):
            try:
                return server.plan.resolve_transfer(target.number).destination
            except NotRoutable:
                return None
        allowed = server.config.transfer.hosts
        host = target.host.strip("[]").lower()
        if "*" in allowed or host in [one.strip("[]").lower() for one in allowed]:
            return uri
        phones = [SipUri.parse(phone) for phone in server.phones.values()]
        if (target.number, place) in [(phone.number, place_of(phone)) for phone in phones]:
            return uri
        return uri if route_to(server, target.number, place) is not None else None

    def _our_places(self, host: str) -> set[tuple[str, int]]:
        listeners = self._server.stack.endpoint.listeners
        return {(one.local_host(host).lower(), one.port) for one in listeners}

    def checked(self, event: Refused) -> Refused:
        """`event`, or 403 for a 3xx whose contacts may not be called: nobody else is to try."""
        response = event.response
        if response is None or event.status not in FOLLOWED:
            return event
        if not self._server.config.sip.follow_redirects:
            return event
        for line in response.all("contact"):
            try:
                uris = [contact.address for contact in NameAddr.parse_many(line)]
            except ParseError:
                continue
            if any(
                [not isinstance(uri, SipUri) or self._place_of(plain(uri)) is None for uri in uris]
            ):
                return Refused(event.session, 403, "transfer.hosts does not allow that host", None)
        return event

    # Trunks.

    def start(self) -> None:
        """Register with the trunks. Raises ServiceError when no socket can reach one."""
        server = self._server
        place = server.sources.open_to_all()
        if place:
            log.warning(
                "anybody who reaches %s can call, transfer and log in: sip.sources says who may, "
                "sip.authentication asks for passwords",
                place,
            )
        now = server.stack.now()
        for trunk in server.config.sip.trunks:
            try:
                registration = Registration(
                    server.stack.endpoint,
                    str(trunk.registrar),
                    str(trunk.aor),
                    expires=trunk.expires,
                    report=self._report,
                )
            except InvalidValue as error:
                raise ServiceError(f"sip.trunks: {trunk.registrar}: {error}") from None
            self.trunks.append(registration)
            registration.start(now)
        server.stack.pump(now)

    def _report(self, registration: Registration, _now: float) -> None:
        level = logging.WARNING if registration.state == FAILED else logging.INFO
        log.log(level, "trunk %s", registration)
        if all(trunk.state == IDLE for trunk in self.trunks):
            self._quiet.set()

    def stop(self) -> None:
        """Take the registrations back: no more calls are to come from there."""
        server = self._server
        now = server.stack.now()
        for trunk in self.trunks:
            trunk.stop(now)
        server.stack.pump(now)

    async def stopped(self, patience: float) -> None:
        """Wait `patience` seconds at most until all trunks have answered that."""
        self._quiet.clear()
        if any(trunk.state != IDLE for trunk in self.trunks):
            try:
                await asyncio.wait_for(self._quiet.wait(), patience)
            except TimeoutError:
                log.warning("a trunk has not answered that this server unregisters")


def accounts_of(config: "Config") -> list[Account]:
    """The passwords that may be used: those of trunks only at their registrar."""
    accounts = [
        Account(one.realm, one.user, str(one.password), one.peer or "")
        for one in config.sip.credentials
    ]
    for trunk in config.sip.trunks:
        if trunk.password is not None:
            user = trunk.user or trunk.aor.number
            accounts.append(Account("", user, str(trunk.password), trunk.registrar.host))
    return accounts


def place_of(uri: SipUri) -> tuple[str, int]:
    """Host and port of a URI, in small letters."""
    return uri.host.lower(), uri.port or (5061 if uri.scheme == "sips" else 5060)


def route_to(
    server: "CallServer", number: str, place: tuple[str, int], origin: CallOrigin = NO_ORIGIN
) -> Route | None:
    """The route of a number, if it leads to this host and port, or to a group of servers there."""
    try:
        route = server.plan.resolve_transfer(number, origin) if number else None
    except NotRoutable:
        return None
    if route is None or not route.destination:
        return None
    host, port = place_of(SipUri.parse(route.destination))
    places = [(host, port)]
    for group in server.config.server_groups:
        if group.name.lower() == host:
            places += [(one.host.strip("[]").lower(), one.port) for one in group.servers]
    return route if place in places else None


def guard_of(config: "Config", ids: "IdSource", screen: Screen) -> Guard | None:
    """Who asks for credentials, if there are users who could give them."""
    section = config.sip.authentication
    if not section.users:
        return None
    passwords = {user.name: user.password for user in section.users}
    server = DigestServer(
        section.realm,
        os.urandom(32),
        passwords.get,
        ids,
        section.nonce_lifetime,
        algorithms=section.algorithms,
        qops=section.qops,
    )
    trusted = partial(covers, section.trusted) if section.trusted else None
    return Guard(server, section.methods, trusted, screen)
