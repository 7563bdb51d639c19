"""The way of a request that may have several targets (RFC 3263 section 4.3).

A request to a numeric host has one target and needs none of this. A `Way` stands behind
a client transaction whose URI is a name, whose request is too long for UDP, or whose
dialog has a connection of its own. When a target fails before the user has heard
anything, the request goes to the next one in a new transaction: new branch, same CSeq.
"""

import logging
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from sip.errors import InvalidValue
from sip.grammar import delta_seconds
from sip.locate import Located, Target, Targets, hop_of_uri
from sip.message import Response
from sip.peer_address import PeerAddress
from sip.transaction.machine import TERMINATED, TRANSPORT_ERROR
from sip.transport import Address, Listener

if TYPE_CHECKING:
    from sip.transaction.client import ClientTransaction
    from sip.transaction.layer import Transactions

log = logging.getLogger(__name__)

LARGEST_DATAGRAM: Final = 1300
"""Octets of a request that may go by UDP where the path MTU is not known (18.1.1)."""

UNANSWERED: Final = 300.0
"""Seconds for which a target that did not answer comes after all others."""

LONGEST_RETRY_AFTER: Final = 3600
"""Seconds: who asks for more with a 503 is tried again all the same (20.33 has no bound)."""

Rerouted = Callable[[Listener, Address], None]
"""Told which way a request will go, before it is made."""

_OB: Final = re.compile(r";ob(?=;|\?|$)", re.IGNORECASE)


def address_of(target: Target, domain: str) -> Address:
    """The address of a target; for TLS with the name that its certificate must bear."""
    if target.transport == "TLS":
        return PeerAddress(target.host, target.port, domain)
    return (target.host, target.port)


def retry_after(response: Response) -> int | None:
    """The seconds in Retry-After (RFC 3261 section 20.33), an hour at most; None without any."""
    seconds = delta_seconds(response.get("retry-after"))
    return min(seconds, LONGEST_RETRY_AFTER) if seconds is not None else None


def may_be_large(uri: str, listeners: Iterable[Listener]) -> bool:
    """Whether a long request to `uri` goes by TCP: unless the URI names its transport."""
    hop = hop_of_uri(uri)
    return (
        hop.transport is None
        and not hop.secure
        and any(one.transport == "TCP" for one in listeners)
    )


class Way:
    """The targets of one request, of which the first that works is used.

    `usual` is the listener to take where the target leaves a choice, `flow` the far end
    of a connection of its that the dialog has: the last resort, as a peer may take no
    connections, or the first for a Contact with ``ob`` (RFC 5626 section 4.3). `peer` is the
    far end of the dialog, which is not left for another server of its group.
    """

    __slots__ = ("_flow", "_large", "_peer", "_rerouted", "_usual", "layer", "targets", "uri")

    def __init__(
        self,
        layer: "Transactions",
        uri: str,
        usual: Listener | None,
        rerouted: Rerouted | None = None,
        flow: Address | None = None,
        peer: Address | None = None,
    ) -> None:
        self.layer = layer
        self.uri = uri
        self.targets = Targets((), "")
        self._usual = usual
        self._rerouted = rerouted
        self._flow: Target | None = None
        if flow is not None and usual is not None:
            self._flow = Target(usual.transport, flow[0], flow[1])
        self._peer = peer
        self._large = False

    def start(self, tx: "ClientTransaction", now: float) -> None:
        """Locate the URI and send to its first target; nowhere is a transport error."""
        self._locate(lambda found, when: self._found(tx, found, when), now)

    def start_large(self, tx: "ClientTransaction", now: float) -> None:
        """Send by TCP what is too long for UDP, and by UDP if there is no TCP (18.1.1)."""
        self._large = True
        group = self.targets.group
        if group is not None:
            by_tcp = [
                Target("TCP", one.host, one.port) if group.by_tcp(one) else one
                for one in self.targets
            ]
            self._found(tx, self.targets.reordered(dict.fromkeys([*by_tcp, *self.targets])), now)
            return

        def found(by_tcp: Targets, when: float) -> None:
            tcp = tuple(by_tcp)
            by_tcp_first = (*tcp, *[one for one in self.targets if one not in tcp])
            if by_tcp.current is not None and self.layer.locator.shunned(by_tcp.current, when):
                by_tcp_first = (*self.targets, *tcp)
            self._found(tx, self.targets.reordered(dict.fromkeys(by_tcp_first)), when)

        self._locate(found, now, large=True)

    def _locate(self, done: Located, now: float, large: bool = False) -> None:
        locator = self.layer.locator
        if self._peer is None:
            locator.locate(self.uri, done, now, large)
        else:
            locator.locate_peer(self.uri, self._peer, done, now, large)

    def _found(self, tx: "ClientTransaction", targets: Targets, now: float) -> None:
        if tx.state == TERMINATED:  # given up meanwhile
            return
        flow = self._flow
        if flow is not None:
            found = [one for one in targets if one != flow]
            ordered = [flow, *found] if _OB.search(self.uri) else [*found, flow]
            targets = targets.reordered(ordered)
        self.targets = targets
        if targets.current is None:
            log.warning("%r leads nowhere: %s", self.uri, targets.reason or "no target")
            self.layer.wheel.start(now, 0.0, tx, TRANSPORT_ERROR)
        else:
            self._send(tx, targets.current, now)

    def _send(self, tx: "ClientTransaction", target: Target, now: float) -> None:
        layer = self.layer
        assert tx.make is not None
        try:
            listener = layer.listener_of(target, self._usual)
        except InvalidValue:  # the socket was closed meanwhile
            layer.wheel.start(now, 0.0, tx, TRANSPORT_ERROR)
            return
        # The peer of a dialog has shown who it is; its connection is not asked again.
        domain = self.targets.name_of(target) if target is not self._flow else ""
        address = address_of(target, domain)
        group = self.targets.group
        if group is not None:
            tx.patience = group.patience if target.transport == "UDP" else 0.0
        if self._rerouted is not None:
            self._rerouted(listener, address)
        branch = layer.ids.branch()
        request = tx.make(layer.via(listener, address, branch))
        tx.located(f"{branch} {request.method}", listener, address, request)
        if (
            len(tx.data) > LARGEST_DATAGRAM
            and not self._large
            and target.transport == "UDP"
            and may_be_large(self.uri, layer.listeners)
        ):
            self.start_large(tx, now)
            return
        layer.clients[tx.key] = tx
        tx.start(now)

    # What became of it.

    def answered(self, tx: "ClientTransaction", response: Response, now: float) -> bool:
        """Whether a response was the end of one target only, and the next one is tried."""
        status = response.status
        failed = self.targets.current
        group = self.targets.group
        if status != 503:
            if status > 100:
                tx.way = None  # the user has heard: nobody else is asked
                if group is not None and failed is not None:
                    group.answered(failed, now)
            return False
        seconds = retry_after(response)
        if failed is not None:
            if group is not None:
                group.failed(failed, status, seconds, now)
            elif seconds is not None:  # without it: as if it were 500
                self.layer.locator.shun(failed, seconds, now)
        following = self.targets.next()
        while following is not None and failed is not None and following[1:] == failed[1:]:
            following = self.targets.next()  # the same server by another transport
        if following is None:
            return False
        tx.leave_behind(now)
        self._send(tx, following, now)
        return True

    def failed(self, tx: "ClientTransaction", status: int, now: float) -> bool:
        """Whether after a timeout or a transport error the next target is tried."""
        target = self.targets.current
        if target is None or not tx.key:
            return False
        if status == 408:
            self.layer.await_late(tx, now)
        if self.targets.group is not None:
            self.targets.group.failed(target, 408, None, now)
        else:
            self.layer.locator.shun(target, UNANSWERED, now)
        following = self.targets.next()
        if following is None:
            return False
        self._send(tx, following, now)
        return True
