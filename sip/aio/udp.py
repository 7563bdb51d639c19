"""UDP sockets, drained in batches (RFC 3261 section 18)."""

import asyncio
import socket

from sip.aio.listener import SocketListener, Take
from sip.transport import Address

_BATCH = 64
_LARGEST = 65_535
_BUFFER = 4 * 1024 * 1024


class UdpListener(SocketListener):
    """A bound UDP socket."""

    __slots__ = ("socket",)

    def __init__(self, host: str, port: int, advertise: str | None = None) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self.socket.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self.socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
            if family == socket.AF_INET6:  # IPv4 has a listener of its own
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self.socket.bind((host, port))
        except OSError:
            self.socket.close()
            raise
        super().__init__("UDP", host, self.socket.getsockname()[1], advertise, reliable=False)

    def transmit(self, data: bytes, address: Address) -> None:
        """Send a datagram. Raises BlockingIOError when it has to wait, OSError when not at all."""
        self.socket.sendto(data, address)

    def close(self) -> None:
        """Leave the event loop and close the socket."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.socket)
        loop.remove_writer(self.socket)
        self.socket.close()

    def drain(self, take: Take) -> None:
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
