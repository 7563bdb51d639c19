"""What all real listeners share: which of our addresses a peer sees."""

import socket
from collections.abc import Callable

from sip.grammar import is_ipv4, is_ipv6
from sip.transport import Address, Listener

Take = Callable[[bytes, Address], None]
"""Gets each message that arrived whole, and where it came from."""

_MOST_HOSTS = 10_000
# Documentation addresses (RFC 5737, RFC 3849): only ever asked the way to.
_ANYWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


class SocketListener(Listener):
    """A listener bound to a local address.

    Bound to all interfaces, it speaks with the address of the interface that routes to
    the peer; `advertise` replaces both (behind NAT, in a container).
    """

    __slots__ = ("_advertise", "_local_hosts", "family")

    def __init__(
        self, transport: str, host: str, port: int, advertise: str | None, *, reliable: bool
    ) -> None:
        super().__init__(transport, host, port, reliable)
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._advertise = advertise
        self._local_hosts: dict[str, str] | None = {} if host in ("0.0.0.0", "::") else None

    def local_host(self, remote: str) -> str:
        """The address towards `remote`; the kernel's routing decides, once a host."""
        if self._advertise is not None:
            return self._advertise
        return self._own_host(remote)

    def path(self, remote: Address) -> tuple[Address | None, Address]:
        """Both ends of what goes to `remote` now; ours as it is bound, not as advertised."""
        return (self._own_host(remote[0]), self.port), remote

    def _own_host(self, remote: str) -> str:
        known = self._local_hosts
        if known is None:
            return self.host
        local = known.get(remote)
        if local is not None:
            return local
        local = self._routed(remote)
        if local is None:  # no way at present, or no file to ask with: as to the others, if any
            loopback = "::1" if self.family == socket.AF_INET6 else "127.0.0.1"
            return next(reversed(known.values()), loopback)
        if len(known) > _MOST_HOSTS:
            known.clear()
        known[remote] = local
        return local

    def _routed(self, remote: str) -> str | None:
        if not (is_ipv4(remote) or is_ipv6(remote)):
            remote = _ANYWHERE[self.family]  # a name: the default route is the best guess
        try:
            with socket.socket(self.family, socket.SOCK_DGRAM) as probe:
                probe.connect((remote, 9))  # sends nothing: it asks for the route
                return str(probe.getsockname()[0])
        except OSError:
            return None

    def transmit(self, data: bytes, address: Address) -> None:
        """Send octets to `address`.

        Raises BlockingIOError when it has to wait, OSError when it cannot be done.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close every socket."""
        raise NotImplementedError
