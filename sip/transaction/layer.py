"""The transaction layer: tables, matching, and the way out (RFC 3261 sections 17, 18).

Still sans-IO: what is to be sent stands in `outbox`, names to be looked up in
`lookups`, and every call that depends on time gets it as ``now``.
"""

from collections.abc import Callable
from functools import lru_cache

from sip.errors import InvalidValue, ParseError
from sip.grammar import is_ipv4, is_ipv6
from sip.ids import IdSource
from sip.message import MAGIC_COOKIE, Request, Response
from sip.timers import Timers, TimerWheel
from sip.transaction.client import (
    ClientTransaction,
    ClientUser,
    InviteClientTransaction,
    NonInviteClientTransaction,
)
from sip.transaction.machine import TERMINATED, TRANSPORT_ERROR
from sip.transaction.server import ServerTransaction
from sip.transport import Address, Listener
from sip.uri import SipUri, parse_uri
from sip.values import Via

LookupDone = Callable[[Address | None, float], None]
MakeRequest = Callable[[str], Request]
_MOST_ADDRESSES = 10_000


@lru_cache(maxsize=4096)
def hop_of(uri: str) -> tuple[str, int, str]:
    """Host, port and transport that a URI leads to before any DNS (RFC 3263 section 4).

    Raises ParseError for what is no SIP URI.
    """
    parsed = parse_uri(uri)
    if not isinstance(parsed, SipUri):
        raise ParseError(f"{uri!r} is not a sip: URI", 416)
    transport = (parsed.transport or ("tls" if parsed.scheme == "sips" else "udp")).upper()
    port = parsed.port or (5061 if transport == "TLS" else 5060)
    return parsed.host, port, transport


def branch_and_sent_by(via: str) -> tuple[str, str]:
    """The branch (empty without one) and sent-by of a Via value.

    Raises ParseError when the value does not follow the grammar.
    """
    at = via.find(";branch=")
    space = via.find(" ")
    if at > space > 0 and via.find(" ", space + 1) < 0:
        end = via.find(";", at + 8)
        branch = via[at + 8 :] if end < 0 else via[at + 8 : end]
        return branch, via[space + 1 : via.find(";")]
    parsed = Via.parse(via)
    return parsed.branch or "", parsed.sent_by


def server_key(request: Request) -> str:
    """What retransmissions, ACK and CANCEL have in common with their request (17.2.3).

    ACK and CANCEL give the key of the INVITE. Without the magic cookie the fields of
    RFC 2543 make the key.
    """
    via = request.top_via
    branch, sent_by = branch_and_sent_by(via)
    method = request.method
    if method in ("ACK", "CANCEL"):
        method = "INVITE"
    if branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE):
        return f"{branch} {sent_by} {method}"
    number, _ = request.cseq
    return f"{request.uri} {request.from_tag} {request.call_id} {number} {via} {method}"


class Transactions:
    """Client and server transactions of one user agent, by their keys."""

    def __init__(self, listeners: list[Listener], ids: IdSource, timers: Timers | None) -> None:
        self.listeners = listeners
        self.ids = ids
        self.timers = timers or Timers()
        self.wheel = TimerWheel()
        self.outbox: list[tuple[Listener, Address, bytes]] = []
        self.lookups: list[str] = []
        self.clients: dict[str, ClientTransaction] = {}
        self.servers: dict[str, ServerTransaction] = {}
        self.merged: dict[str, ServerTransaction] = {}
        self.discarded = 0  # what arrived and fitted nowhere
        self.retransmitted = 0  # what we sent again
        self._addresses: dict[str, str] = {}
        self._waiting: dict[str, list[tuple[int, LookupDone]]] = {}

    def send(self, listener: Listener, address: Address, data: bytes) -> None:
        """Queue octets for the shell."""
        self.outbox.append((listener, address, data))

    def new_via(self, listener: Listener, address: Address) -> str:
        """A Via value with a new branch; ``rport`` asks for RFC 3581."""
        sent_by = listener.sent_by(address[0])
        return f"SIP/2.0/{listener.transport} {sent_by};branch={self.ids.branch()};rport"

    def listener_for(self, transport: str, host: str = "") -> Listener:
        """The listener to send by `transport`, of the address family of `host` where it tells.

        Raises InvalidValue when there is none.
        """
        found = [one for one in self.listeners if one.transport == transport]
        for listener in found:
            if (":" in listener.host) == (":" in host):
                return listener
        if found and not is_ipv4(host) and not is_ipv6(host):
            return found[0]
        raise InvalidValue(f"no {transport} listener can reach {host}: add one to sip.listen")

    def listener_on(self, uri: str, usual: Listener) -> Listener:
        """The listener of the transport that `uri` names, else the `usual` one."""
        if ";transport=" not in uri.lower() and not uri.startswith("sips:"):
            return usual
        try:
            _, _, transport = hop_of(uri)
        except ParseError:
            return usual
        if transport == usual.transport:
            return usual
        return next((one for one in self.listeners if one.transport == transport), usual)

    # Where to.

    def address_of(self, uri: str) -> Address | None:
        """The address that `uri` leads to, where that needs no look-up."""
        try:
            host, port, _ = hop_of(uri)
        except ParseError:
            return None
        address = self._addresses.get(host)
        if address is None and (is_ipv4(host) or is_ipv6(host)):
            if len(self._addresses) > _MOST_ADDRESSES:
                self._addresses.clear()
            address = self._addresses[host] = host
        return (address, port) if address is not None else None

    def locate(self, uri: str, done: LookupDone, now: float) -> None:
        """Find the address that `uri` leads to; `done` may be called before returning."""
        address = self.address_of(uri)
        if address is not None:
            done(address, now)
            return
        try:
            host, port, _ = hop_of(uri)
        except ParseError:
            done(None, now)
            return
        if host not in self._waiting:
            self._waiting[host] = []
            self.lookups.append(host)
        self._waiting[host].append((port, done))

    def resolved(self, host: str, address: str | None, now: float) -> None:
        """The answer to a name in `lookups`: an IP address, or None when there is none."""
        for port, done in self._waiting.pop(host, ()):
            done((address, port) if address is not None else None, now)

    def transport_failed(self, listener: Listener, address: Address, now: float) -> None:
        """Nothing can be sent to `address`: an input to the transactions towards it."""
        for client in list(self.clients.values()):
            if client.address == address and client.listener is listener:
                client.apply(TRANSPORT_ERROR, now)

    # Client transactions.

    def start_client(
        self,
        request: Request,
        listener: Listener,
        address: Address,
        user: ClientUser,
        now: float,
        context: object = None,
        branch: str = "",
    ) -> ClientTransaction:
        """Send a request whose address is known."""
        key = f"{branch or request.via.branch} {request.method}"
        made = InviteClientTransaction if request.method == "INVITE" else NonInviteClientTransaction
        transaction = made(self, key, listener, address, request, user, context)
        self.clients[key] = transaction
        transaction.start(now)
        return transaction

    def start_client_at(
        self,
        uri: str,
        method: str,
        make: MakeRequest,
        listener: Listener,
        user: ClientUser,
        now: float,
        context: object = None,
    ) -> ClientTransaction:
        """Send what `make` returns for a Via value, once `uri` is located.

        A name that leads nowhere is a transport error of the transaction (503).
        """
        address = self.address_of(uri)
        if address is not None:
            branch = self.ids.branch()
            sent_by = listener.sent_by(address[0])
            via = f"SIP/2.0/{listener.transport} {sent_by};branch={branch};rport"
            return self.start_client(make(via), listener, address, user, now, context, branch)
        made = InviteClientTransaction if method == "INVITE" else NonInviteClientTransaction
        waiting = made(self, "", listener, ("", 0), Request(method, uri, ""), user, context)

        def found(address: Address | None, when: float) -> None:
            if address is None:
                self.wheel.start(when, 0.0, waiting, TRANSPORT_ERROR)
                return
            if waiting.state == TERMINATED:  # given up meanwhile
                return
            branch = self.ids.branch()
            sent_by = listener.sent_by(address[0])
            via = f"SIP/2.0/{listener.transport} {sent_by};branch={branch};rport"
            waiting.located(f"{branch} {method}", address, make(via))
            self.clients[waiting.key] = waiting
            waiting.start(when)

        self.locate(uri, found, now)
        return waiting

    def receive_response(self, response: Response, now: float) -> None:
        """Match a response to its transaction (section 17.1.3), or drop it."""
        if response.defect is None and len(response.values("via")) == 1:
            branch, _ = branch_and_sent_by(response.top_via)
            transaction = self.clients.get(f"{branch} {response.cseq[1]}")
            if transaction is not None:
                transaction.receive(response, now)
                return
        self.discarded += 1

    def forget_client(self, key: str) -> None:
        """A client transaction has terminated."""
        self.clients.pop(key, None)

    def forget_server(self, key: str, merge_key: str | None) -> None:
        """A server transaction has terminated."""
        self.servers.pop(key, None)
        if merge_key is not None:
            self.merged.pop(merge_key, None)
