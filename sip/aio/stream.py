"""TCP and TLS: connections accepted and opened, reused for whoever is at their far end."""

import asyncio
import logging
import resource
import ssl
from collections.abc import Callable
from typing import Final

from sip.aio.connection import StreamConnection
from sip.aio.listener import SocketListener, Take
from sip.peer_address import PeerAddress
from sip.stream import FramingError
from sip.transport import Address

log = logging.getLogger(__name__)

CONNECT_TIMEOUT: Final = 4.0
_HANDSHAKE: Final = 10.0
_SHUTDOWN: Final = 2.0  # seconds for TLS to begin and to end

_MOST_CONNECTIONS: Final = 16_384
_MOST_TLS: Final = 4_096  # each has a read buffer of 256 KiB

Broken = Callable[[FramingError, Address], None]
Failed = Callable[[Address], None]

_Key = tuple[Address, str]  # an address, and the domain that its certificate must speak for


class StreamListener(SocketListener):
    """A TCP or TLS port, and the connections of that transport, by the peer's address.

    `take` gets every message, `broken` the header after which a stream could not be read
    any further, `failed` the address that could not be reached or whose connection is
    gone, `settle` runs after each batch of messages. With `client_tls` requests go by
    TLS: to whoever speaks for the domain that was called, if the context verifies.
    """

    __slots__ = (
        "_broken",
        "_client_tls",
        "_connecting",
        "_failed",
        "_refused",
        "_server",
        "_settle",
        "_take",
        "connections",
        "most",
    )

    def __init__(
        self,
        transport: str,
        host: str,
        port: int,
        advertise: str | None,
        *,
        take: Take,
        broken: Broken,
        failed: Failed,
        settle: Callable[[], None],
        client_tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(transport, host, port, advertise, reliable=True)
        self._take = take
        self._broken = broken
        self._failed = failed
        self._settle = settle
        self._client_tls = client_tls
        self._server: asyncio.Server | None = None
        self._connecting: dict[_Key, tuple[asyncio.Task[None], list[bytes]]] = {}
        self.most = 0  # connections there may be
        self._refused = 0
        self.connections: dict[Address, StreamConnection] = {}

    async def listen(self, server_tls: ssl.SSLContext | None) -> None:
        """Open the port. Raises OSError."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = _MOST_TLS if server_tls else _MOST_CONNECTIONS
        self.most = most if files < 0 else min(most, files * 3 // 4)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: StreamConnection(self, ours=False),
            self.host,
            self.port,
            ssl=server_tls,
            backlog=1024,
            ssl_handshake_timeout=_HANDSHAKE if server_tls else None,
            ssl_shutdown_timeout=_SHUTDOWN if server_tls else None,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def transmit(self, data: bytes, address: Address) -> None:
        """Send over the connection to `address`; one is opened where there is none.

        A `PeerAddress` says whose certificate a new one must show, and where a response
        goes whose connection is gone (RFC 3261 section 18.2.2).
        """
        address, connection = self._way(address)
        domain = address.domain if isinstance(address, PeerAddress) else ""
        if connection is not None and connection.usable and connection.speaks_for(domain):
            connection.send(data)
            return
        key = (address, domain)
        waiting = self._connecting.get(key)
        if waiting is None:
            task = asyncio.get_running_loop().create_task(self._connect(key))
            self._connecting[key] = (task, [data])
        else:
            waiting[1].append(data)

    def disconnect(self, address: Address) -> bool:
        """Close the connection to a peer, once all that was written is sent."""
        connection = self.connections.get(address)
        if connection is None:
            return False
        connection.close()
        return True

    def path(self, remote: Address) -> tuple[Address | None, Address]:
        """Both ends of what goes to `remote` now; ours is None until a connection is open."""
        address, connection = self._way(remote)
        return (connection.local if connection is not None else None), address

    def _way(self, address: Address) -> tuple[Address, StreamConnection | None]:
        """Where `transmit` sends to, and the connection that there is."""
        connection = self.connections.get(address)
        if connection is None and isinstance(address, PeerAddress):
            otherwise = address.otherwise
            if otherwise is not None:
                return otherwise, self.connections.get(otherwise)
        return address, connection

    async def _connect(self, key: _Key) -> None:
        address, domain = key
        host, port = address[0], address[1]
        loop = asyncio.get_running_loop()
        tls = self._client_tls
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                _, connection = await loop.create_connection(
                    lambda: StreamConnection(self, ours=True),
                    host,
                    port,
                    ssl=tls,
                    server_hostname=(domain or host) if tls is not None else None,
                    ssl_shutdown_timeout=_SHUTDOWN if tls is not None else None,
                )
            self._identify(connection, domain)
        except (OSError, ValueError) as error:  # TimeoutError and SSLError are OSErrors
            why = error or "no answer"
            log.warning("%s to %s:%s: %s", self.transport, host, port, why)
            self._connecting.pop(key, None)
            self._failed(address)
            return
        for data in self._connecting.pop(key)[1]:
            connection.send(data)

    def _identify(self, connection: StreamConnection, domain: str) -> None:
        """Raises ssl.CertificateError where the peer is not who was called (RFC 5922)."""
        tls = self._client_tls
        if tls is None or tls.verify_mode == ssl.CERT_NONE:
            connection.trust(domain)
        elif not connection.speaks_for(domain):
            connection.abort()
            raise ssl.CertificateError(f"the certificate does not speak for {domain}")

    # What connections tell.

    def opened(self, connection: StreamConnection) -> bool:
        """A connection is up; False when there are as many as there may be."""
        if len(self.connections) >= self.most:
            self._refused += 1
            if self._refused & (self._refused - 1) == 0:  # 1, 2, 4, 8 ...: not one line each
                log.warning("%s: %d connections too many", self.transport, self._refused)
            return False
        self.connections[connection.peer] = connection
        return True

    def arrived(self, connection: StreamConnection, messages: list[bytes]) -> None:
        """Messages of a connection, whole."""
        for message in messages:
            self._take(message, connection.peer)
        self._settle()

    def broke(self, connection: StreamConnection, error: FramingError) -> None:
        """A stream that cannot be read any further: answer what it was, and close it."""
        self._broken(error, connection.peer)
        self._settle()
        connection.close()

    def lost(self, connection: StreamConnection) -> None:
        """A connection is closed: an input to the transactions that wait for answers on it."""
        if self.connections.get(connection.peer) is connection:
            del self.connections[connection.peer]
            self._failed(connection.peer)

    def close(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        for task, _ in self._connecting.values():
            task.cancel()
        connections, self.connections = self.connections, {}
        for connection in connections.values():
            connection.close()
