"""The transaction layer: tables, matching, and the way out (RFC 3261 sections 17, 18).

Still sans-IO: what is to be sent stands in `outbox`, what the DNS is to be asked in
``locator.queries``, and every call that depends on time gets it as ``now``.
"""

from collections.abc import Callable

from sip.errors import InvalidValue, ParseError
from sip.grammar import is_ipv4, is_ipv6
from sip.ids import IdSource
from sip.locate import Reach, Target, Targets, hop_of_uri
from sip.message import MAGIC_COOKIE, Request, Response
from sip.server_group import GroupLocator
from sip.timers import Timers, TimerWheel
from sip.traffic import OTHER, Traffic
from sip.transaction.client import (
    ClientTransaction,
    ClientUser,
    InviteClientTransaction,
    MakeRequest,
    NonInviteClientTransaction,
)
from sip.transaction.failover import LARGEST_DATAGRAM, Rerouted, Way, address_of, may_be_large
from sip.transaction.machine import CALLING, COMPLETED, PROCEEDING, TRANSPORT_ERROR, TRYING
from sip.transaction.server import ServerTransaction
from sip.transport import Address, Listener
from sip.values import Via

UseWay = Callable[[Listener, Address], None]


def branch_and_sent_by(via: str) -> tuple[str, str]:
    """The branch (empty without one) and sent-by of a Via value.

    Raises ParseError when the value does not follow the grammar.
    """
    front, found, params = via.partition(";branch=")
    protocol, space, sent_by = front.partition(" ")
    if found and protocol and space and " " not in sent_by and " " not in params:
        return params.partition(";")[0], sent_by.partition(";")[0]
    parsed = Via.parse(via)
    return parsed.branch or "", parsed.sent_by


def server_key(request: Request) -> str:
    """What retransmissions, ACK and CANCEL have in common with their request (17.2.3).

    ACK and CANCEL give the key of the INVITE. Without the magic cookie the fields of
    RFC 2543 make the key.
    """
    via = request.get("via") or ""
    if "," in via:
        via = request.top_via
    branch, sent_by = branch_and_sent_by(via)
    method = request.method
    if method in ("ACK", "CANCEL"):
        method = "INVITE"
    if branch[:7] == MAGIC_COOKIE != branch:
        return f"{branch} {sent_by} {method}"
    number, _ = request.cseq
    return f"{request.uri} {request.from_tag} {request.call_id} {number} {via} {method}"


class Transactions:
    """Client and server transactions of one user agent, by their keys.

    It has slots: from the 30th attribute on CPython 3.11 takes longer for each of them.
    """

    __slots__ = (
        "clients",
        "discarded",
        "ids",
        "listeners",
        "locator",
        "merged",
        "outbox",
        "retransmitted",
        "servers",
        "timers",
        "traffic",
        "unacknowledged",
        "wheel",
    )

    def __init__(self, listeners: list[Listener], ids: IdSource, timers: Timers | None) -> None:
        self.listeners = listeners
        self.ids = ids
        self.timers = timers or Timers()
        self.wheel = TimerWheel()
        self.outbox: list[tuple[Listener, Address, bytes]] = []
        self.locator = GroupLocator(listeners, ids)
        self.clients: dict[str, ClientTransaction] = {}
        self.servers: dict[str, ServerTransaction] = {}
        self.merged: dict[str, ServerTransaction] = {}
        self.discarded = 0  # what arrived and fitted nowhere
        self.retransmitted = 0  # what we sent again
        self.traffic = Traffic()
        # Final responses to INVITE by UDP that wait for their ACK, by the host that is to send it.
        self.unacknowledged: dict[str, int] = {}

    def send(self, listener: Listener, address: Address, data: bytes) -> None:
        """Queue octets for the shell."""
        self.outbox.append((listener, address, data))

    def via(self, listener: Listener, address: Address, branch: str) -> str:
        """A Via value; ``rport`` asks for RFC 3581."""
        sent_by = listener.sent_by(address[0])
        return f"SIP/2.0/{listener.transport} {sent_by};branch={branch};rport"

    def new_via(self, listener: Listener, address: Address) -> str:
        """A Via value with a new branch."""
        return self.via(listener, address, self.ids.branch())

    # Where to.

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

    def listener_of(self, target: Target, usual: Listener | None = None) -> Listener:
        """The listener to send to `target` by: the `usual` one if that can reach it.

        Raises InvalidValue when there is none.
        """
        if (
            usual is not None
            and usual.transport == target.transport
            and (":" in usual.host) == (":" in target.host)
        ):
            return usual
        return self.listener_for(target.transport, target.host)

    def way_to(self, uri: str) -> tuple[str, Listener]:
        """The host that `uri` names, and the listener that requests to it will leave by.

        For a name that is a guess: the DNS may say otherwise. Raises InvalidValue when
        nothing here can send to such a URI.
        """
        if self.locator.groups:
            uri = self.locator.likely(uri)
        target = self.locator.direct(uri)
        if target is not None:
            return target.host, self.listener_of(target)
        try:
            hop = hop_of_uri(uri)
        except ParseError as error:
            raise InvalidValue(f"destination {uri!r}: {error}") from None
        allowed = hop.transports(Reach.of(self.listeners))
        likely = hop.default(allowed) or next(iter(allowed), None)
        likely = likely or (hop.transport or ("tls" if hop.secure else "udp")).upper()
        return hop.host, self.listener_for(likely, hop.host)

    def with_way(self, uri: str, usual: Listener, peer: Address, use: UseWay, now: float) -> None:
        """Call `use` with the way to `uri` once that is known: for ACK, which has no transaction.

        Not at all when the URI leads nowhere. `peer` is the far end of its dialog.
        """
        target = self.locator.direct(uri)
        if target is not None:
            use(self.listener_of(target, usual), address_of(target, target.host))
            return

        def found(targets: Targets, _now: float) -> None:
            if targets.current is not None:
                listener = self.listener_of(targets.current, usual)
                use(listener, address_of(targets.current, targets.name_of(targets.current)))

        self.locator.locate_peer(uri, peer, found, now)

    def transport_failed(self, listener: Listener, address: Address, now: float) -> None:
        """Nothing can be sent to `address`: an input to the transactions towards it."""
        for client in list(self.clients.values()):
            ours = client.address == address and client.listener is listener
            # Whoever has answered once by UDP may still be there.
            if ours and (listener.reliable or client.state != PROCEEDING):
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
        usual: Listener | None,
        user: ClientUser,
        now: float,
        context: object = None,
        rerouted: Rerouted | None = None,
        flow: Address | None = None,
        patience: float = 0.0,
        peer: Address | None = None,
    ) -> ClientTransaction:
        """Send what `make` returns for a Via value, to where `uri` leads (RFC 3263).

        `usual` is the listener to take where the target leaves a choice. `make` is called
        again for each further target; `rerouted` is told the way before, unless it is the
        `usual` one from the start. `flow` is the far end of a connection of `usual` that
        leads there too. `patience` is what a server has for its first response, in place of
        timers B and F. `peer` is the far end of the dialog that the request is in. A URI that
        leads nowhere is a transport error of the transaction (503). Until the way is known
        the transaction has no `key`.
        """
        made = InviteClientTransaction if method == "INVITE" else NonInviteClientTransaction
        target = self.locator.direct(uri)
        if target is not None and (flow is None or flow == target[1:]):
            listener = self.listener_of(target, usual)
            host, port = target.host, target.port
            address = (host, port) if target.transport != "TLS" else address_of(target, host)
            branch = self.ids.branch()
            sent_by = listener.sent_by(host)
            via = f"SIP/2.0/{listener.transport} {sent_by};branch={branch};rport"
            key = f"{branch} {method}"
            transaction = made(self, key, listener, address, make(via), user, context)
            transaction.make = make
            transaction.patience = patience
            if (
                len(transaction.data) <= LARGEST_DATAGRAM
                or listener.reliable
                or not may_be_large(uri, self.listeners)
            ):
                self.clients[key] = transaction
                transaction.start(now)
                return transaction
            transaction.key = ""
        else:
            blank = Request(method, uri, "")
            nowhere = usual or self.listeners[0]
            transaction = made(self, "", nowhere, ("", 0), blank, user, context)
            transaction.make = make
            transaction.patience = patience
        transaction.way = Way(self, uri, usual, rerouted, flow, peer)
        transaction.way.start(transaction, now)
        return transaction

    def restart_client(
        self,
        tx: ClientTransaction,
        make: MakeRequest,
        now: float,
        uri: str = "",
        rerouted: Rerouted | None = None,
    ) -> None:
        """Send what `make` returns in the place of the request of `tx`, which was refused.

        It goes where that went, or to `uri`. The user keeps its transaction.
        """
        tx.leave_behind(now)
        tx.make = make
        if uri:
            tx.key = ""
            tx.state = CALLING if tx.request.method == "INVITE" else TRYING
            tx.way = Way(self, uri, tx.listener, rerouted)
            tx.way.start(tx, now)
            return
        tx.way = None
        branch = self.ids.branch()
        request = make(self.via(tx.listener, tx.address, branch))
        tx.located(f"{branch} {request.method}", tx.listener, tx.address, request)
        self.clients[tx.key] = tx
        tx.start(now)

    def send_again(self, tx: ClientTransaction, response: Response | None, now: float) -> bool:
        """Nobody here knows how; see `Endpoint`."""
        return False

    def await_late(self, tx: ClientTransaction, now: float) -> None:
        """Nobody here would know what to do; see `Endpoint`."""

    def receive_response(self, response: Response, now: float) -> None:
        """Match a response to its transaction (section 17.1.3), or drop it."""
        if response.defect is None:
            method = response.cseq[1]
            vias = response.all("via")
            if len(vias) == 1 and ("," not in vias[0] or len(response.values("via")) == 1):
                branch, _ = branch_and_sent_by(vias[0])
                transaction = self.clients.get(f"{branch} {method}")
                if transaction is not None:
                    if transaction.state >= COMPLETED and response.status >= 200:
                        self.traffic.repeated += 1
                    else:
                        traffic = self.traffic
                        row = traffic.rows.get(method, OTHER)
                        traffic.received[row + response.status // 100] += 1
                    transaction.receive(response, now)
                    return
            self.traffic.got(method, response.status)
        else:
            self.traffic.unreadable += 1
        self.discarded += 1

    def forget_client(self, key: str) -> None:
        """A client transaction has terminated."""
        self.clients.pop(key, None)

    def forget_server(self, key: str, merge_key: str | None) -> None:
        """A server transaction has terminated."""
        self.servers.pop(key, None)
        if merge_key is not None:
            self.merged.pop(merge_key, None)
