"""What all real listeners share: which of our addresses a peer sees."""

import socket
from collections.abc import Callable

from sip.transport import Address, Listener

Take = Callable[[bytes, Address], None]
"""Gets each message that arrived whole, and where it came from."""

_MOST_HOSTS = 10_000


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
        known = self._local_hosts
        if known is None:
            return self.host
        local = known.get(remote)
        if local is None:
            if len(known) > _MOST_HOSTS:
                known.clear()
            local = known[remote] = self._routed(remote)
        return local

    def _routed(self, remote: str) -> str:
        with socket.socket(self.family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((remote, 9))  # sends nothing: it asks for the route
            except OSError:  # a name, or no route: say what we are bound to
                return self.host
            return str(probe.getsockname()[0])

    def transmit(self, data: bytes, address: Address) -> None:
        """Send octets to `address`.

        Raises BlockingIOError when it has to wait, OSError when it cannot be done.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close every socket."""
        raise NotImplementedError
