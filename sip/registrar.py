"""A registrar: where users can be reached now (RFC 3261 section 10.3, Path of RFC 3327).

`Registrar` serves REGISTER on an endpoint and keeps the bindings in memory. An address of
record is known by its user part alone, unescaped: there is one domain.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from sip.dialog import name_addr_uri
from sip.endpoint import Endpoint
from sip.errors import PeerError
from sip.grammar import delta_seconds, find_param, q_value
from sip.message import Request, reason_phrase
from sip.timers import Timer
from sip.transaction.server import ServerTransaction
from sip.transport import Address
from sip.uri import SipUri, TelUri, parse_uri
from sip.usage.refusal import amplifies
from sip.values import NameAddr

MOST_CONTACTS: Final = 10
"""Of one address of record."""

_MALFORMED_EXPIRES: Final = 3600  # what it counts as (section 20.19)


Admission = Callable[[str, Request, Address], int]
"""0 to let a request from an address bind contacts to a user, else the status that refuses it."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of an address of record: `uri`, good until the time `expires`.

    `params` are its Contact parameters other than expires, `path` the route to it.
    """

    uri: SipUri
    expires: float
    q: float
    params: tuple[tuple[str, str | None], ...]
    path: tuple[str, ...]
    call_id: str
    cseq: int


Changed = Callable[[str, tuple[Binding, ...], float], None]
"""Told the user and the bindings after each change, and the time."""


class Registrar:
    """Bindings by user part; `accepts` says who may have them, `changed` is told each change.

    Intervals are in seconds: shorter ones than `min_expires` get 423, longer ones than
    `max_expires` are cut, `default_expires` is for requests that ask for none.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        accepts: Admission,
        changed: Changed | None = None,
        *,
        min_expires: int = 60,
        max_expires: int = 7200,
        default_expires: int = 3600,
    ) -> None:
        self.bindings: dict[str, tuple[Binding, ...]] = {}
        self._endpoint = endpoint
        self._accepts = accepts
        self._changed = changed
        self._min = min_expires
        self._max = max_expires
        self._default = default_expires
        self._timers: dict[str, Timer] = {}
        endpoint.support("path")
        endpoint.serve("REGISTER", self)

    def find(self, user: str) -> Binding | None:
        """The contact to call for `user`: the highest q, of several the latest; or None."""
        found = self.bindings.get(user)
        return max(reversed(found), key=lambda binding: binding.q) if found else None

    # The Service of REGISTER.

    def request_received(
        self, transaction: ServerTransaction, request: Request, now: float
    ) -> None:
        """Add, refresh, remove or fetch bindings; all of a request or nothing of it."""
        try:
            user = self._address_of_record(request)
            if refused := self._accepts(user, request, transaction.address):
                raise PeerError(reason_phrase(refused), refused)
            bindings = self._updated(user, request, now)
            lines = self._lines(request, bindings, now)
            self._check_length(transaction, request, lines)
        except PeerError as error:
            transaction.respond(error.status, now, error.lines, b"", error.reason)
            return
        if bindings != self.bindings.get(user, ()):
            self._keep(user, bindings, now)
        transaction.respond(200, now, lines)

    def _check_length(self, transaction: ServerTransaction, request: Request, lines: str) -> None:
        """All bindings of a user are no answer to a datagram that may be anybody's."""
        endpoint, listener = self._endpoint, transaction.listener
        length = len(transaction.prefix) + len(lines)
        if endpoint.guard is None and amplifies(
            endpoint, request, transaction.address, listener, length
        ):
            raise PeerError("The bindings are too long for a datagram; use TCP", 513)

    def _address_of_record(self, request: Request) -> str:
        uri = parse_uri(name_addr_uri(request.get("to") or ""))
        if not isinstance(uri, SipUri | TelUri) or not uri.number:
            raise PeerError("To names no user to register", 404)
        return uri.number

    def _updated(self, user: str, request: Request, now: float) -> tuple[Binding, ...]:
        """The bindings of `user` as `request` wants them (section 10.3 steps 6 and 7)."""
        present = tuple(b for b in self.bindings.get(user, ()) if b.expires > now)
        contacts = request.values("contact")
        if not contacts:
            return present
        number, _ = request.cseq
        if "*" in [contact.strip(" \t") for contact in contacts]:
            if len(contacts) > 1 or (request.get("expires") or "").strip(" \t") != "0":
                raise PeerError("Contact: * stands alone, with Expires: 0")
            for binding in present:
                _check_order(binding, request.call_id, number)
            return ()
        path = tuple(request.values("path"))
        for route in path:
            NameAddr.parse(route)
        kept = list(present)
        for text in contacts:
            made = self._binding(NameAddr.parse(text), request, path, now)
            for old in present:
                if old in kept and old.uri.equivalent(made.uri):
                    _check_order(old, request.call_id, number)
                    kept.remove(old)
            if made.expires > now:
                kept.append(made)
        if len(kept) > MOST_CONTACTS:
            raise PeerError(f"More than {MOST_CONTACTS} contacts", 403)
        return tuple(kept)

    def _binding(
        self, contact: NameAddr, request: Request, path: tuple[str, ...], now: float
    ) -> Binding:
        uri = contact.address
        if not isinstance(uri, SipUri):
            raise PeerError("Contact: only sip: and sips: can be called", 400)
        text = find_param(contact.params, "expires")
        if text is None:
            text = request.get("expires")
        seconds = self._default if text is None else delta_seconds(text)
        if seconds is None:
            seconds = _MALFORMED_EXPIRES
        if 0 < seconds < self._min:
            lines = f"Min-Expires: {self._min}\r\n"
            raise PeerError(reason_phrase(423), 423, lines)
        params = tuple(one for one in contact.params if one[0].lower() != "expires")
        expires = now + min(seconds, self._max)
        number, _ = request.cseq
        uri = replace(uri, headers=())
        q = q_value(find_param(contact.params, "q"))
        return Binding(uri, expires, q, params, path, request.call_id, number)

    def _lines(self, request: Request, bindings: tuple[Binding, ...], now: float) -> str:
        """The header lines of the 200: all bindings (section 10.3 step 8), and Path."""
        lines = ""
        for binding in bindings:
            left = max(1, round(binding.expires - now))
            params = (*binding.params, ("expires", str(left)))
            lines += f"Contact: {NameAddr(str(binding.uri), '', params)}\r\n"
        if request.has_option("supported", "path"):  # RFC 3327 section 5.3
            lines += "".join([f"Path: {route}\r\n" for route in request.values("path")])
        return lines + self._endpoint.supported_line

    # Time.

    def _keep(self, user: str, bindings: tuple[Binding, ...], now: float) -> None:
        timer = self._timers.pop(user, None)
        if timer is not None:
            timer.stop()
        if bindings:
            self.bindings[user] = bindings
            due = min(binding.expires for binding in bindings)
            self._timers[user] = self._endpoint.wheel.start(
                now, max(due - now, 0.0), _Expiry(self, user), 0
            )
        else:
            self.bindings.pop(user, None)
        if self._changed is not None:
            self._changed(user, bindings, now)

    def expire(self, user: str, now: float) -> None:
        """Drop the bindings of `user` whose time is over."""
        self._timers.pop(user, None)
        left = tuple(b for b in self.bindings.get(user, ()) if b.expires > now)
        self._keep(user, left, now)

    def close(self) -> None:
        """Forget all bindings, and what waits for their end."""
        for timer in self._timers.values():
            timer.stop()
        self._timers.clear()
        self.bindings.clear()


class _Expiry:
    """Waits for the first binding of a user to end."""

    __slots__ = ("_registrar", "_user")

    def __init__(self, registrar: Registrar, user: str) -> None:
        self._registrar = registrar
        self._user = user

    def timer_fired(self, _what: int, now: float) -> None:
        self._registrar.expire(self._user, now)


def _check_order(binding: Binding, call_id: str, number: int) -> None:
    if binding.call_id == call_id and number <= binding.cseq:
        raise PeerError("CSeq is not above that of the binding", 500)
