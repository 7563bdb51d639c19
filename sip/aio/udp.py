"""UDP sockets, drained in batches (RFC 3261 section 18)."""

import socket
from collections.abc import Callable

from sip.transport import Address, Listener

_BATCH = 64
_LARGEST = 65_535
_BUFFER = 4 * 1024 * 1024


class UdpListener(Listener):
    """A bound UDP socket.

    Bound to all interfaces, it speaks with the address of the interface that routes
    to the peer; `advertise` replaces both (behind NAT, in a container).
    """

    __slots__ = ("_advertise", "_local_hosts", "_wildcard", "socket")

    def __init__(self, host: str, port: int, advertise: str | None = None) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self.socket.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self.socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
            self.socket.bind((host, port))
        except OSError:
            self.socket.close()
            raise
        super().__init__("UDP", host, self.socket.getsockname()[1])
        self._advertise = advertise
        self._wildcard = host in ("0.0.0.0", "::", "")
        self._local_hosts: dict[str, str] = {}

    def local_host(self, remote: str) -> str:
        """The address towards `remote`; the kernel's routing decides, once a host."""
        if self._advertise is not None:
            return self._advertise
        if not self._wildcard:
            return self.host
        local = self._local_hosts.get(remote)
        if local is None:
            if len(self._local_hosts) > 10_000:
                self._local_hosts.clear()
            local = self._local_hosts[remote] = self._routed(remote)
        return local

    def _routed(self, remote: str) -> str:
        with socket.socket(self.socket.family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((remote, 9))
            except OSError:  # a name, or no route: say what we are bound to
                return self.host
            return str(probe.getsockname()[0])

    def drain(self, take: Callable[[bytes, Address], None]) -> None:
        """Hand over what has arrived, at most one batch, so that others get a turn."""
        receive = self.socket.recvfrom
        for _ in range(_BATCH):
            try:
                data, address = receive(_LARGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # an ICMP error of an earlier datagram
                continue
            take(data, address if len(address) == 2 else address[:2])
