"""What the core knows of a socket: enough to write Via and Contact, and to send."""

from collections.abc import Callable
from typing import Protocol

from sip.peer_address import PeerAddress

Address = tuple[str, int] | PeerAddress
"""Host (an IP address in text, IPv6 without brackets) and port."""


def host_port(host: str, port: int) -> str:
    """``host:port`` as URIs and Via print it, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Listener:
    """A local address that messages arrive at and leave from.

    The shell subclasses it with a socket. `transport` is the Via token (``UDP``),
    `reliable` whether the transport retransmits by itself (RFC 3261 section 17).
    """

    __slots__ = ("host", "port", "reliable", "transport")

    def __init__(self, transport: str, host: str, port: int, reliable: bool = False) -> None:
        self.transport = transport
        self.host = host
        self.port = port
        self.reliable = reliable

    def local_host(self, remote: str) -> str:
        """The host that `remote` can reach this listener at, for Via, Contact and SDP."""
        return self.host

    def path(self, remote: Address) -> tuple[Address | None, Address]:
        """Both ends of what goes to `remote` now, as they are on the wire: ours, and theirs.

        Ours is None where a connection has to be opened first.
        """
        return (self.local_host(remote[0]), self.port), remote

    def sent_by(self, remote: str) -> str:
        """``host:port`` for Via and Contact towards the host `remote`."""
        return host_port(self.local_host(remote), self.port)

    def disconnect(self, _address: Address) -> bool:
        """Close the connection to a peer; False where there is none."""
        return False


Outgoing = tuple[Listener, Address, bytes]
"""A message with where it leaves from and goes to."""

Tap = Callable[[str, bytes, Listener, Address, float], None]
"""Sees each message: ``"in"`` or ``"out"``, octets, listener, peer, time."""


class Faults(Protocol):
    """Who stands between the sockets and the endpoint, to do harm to messages."""

    def arrived(
        self, data: bytes, address: Address, listener: Listener, now: float, age: float = 0.0
    ) -> None:
        """Take a message as `sip.door.Door.take` does, and give it what is to go on of it."""

    def leaving(self, outbox: list[Outgoing], now: float) -> list[Outgoing]:
        """The messages that are to go out now in place of these."""
