"""TCP and TLS: connections accepted and opened, reused for whoever is at their far end."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Final

from sip.aio.listener import SocketListener, Take
from sip.stream import FramingError, StreamFramer
from sip.transport import Address

log = logging.getLogger(__name__)

CONNECT_TIMEOUT: Final = 4.0
IDLE: Final = 900.0
"""Seconds without a message after which a connection is closed."""

_MOST_UNSENT: Final = 4 * 1024 * 1024

Broken = Callable[[FramingError, Address], None]
Failed = Callable[[Address], None]


class StreamListener(SocketListener):
    """A TCP or TLS port, and the connections of that transport, by the peer's address.

    `take` gets every message, `broken` the header after which a stream could not be read
    any further, `failed` the address that could not be reached, `settle` runs after each
    batch of messages.
    """

    __slots__ = (
        "_broken",
        "_client_tls",
        "_connecting",
        "_failed",
        "_server",
        "_settle",
        "_take",
        "connections",
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
        self._connecting: dict[Address, tuple[asyncio.Task[None], list[bytes]]] = {}
        self.connections: dict[Address, StreamConnection] = {}

    async def listen(self, server_tls: ssl.SSLContext | None) -> None:
        """Open the port. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: StreamConnection(self), self.host, self.port, ssl=server_tls, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def transmit(self, data: bytes, address: Address) -> None:
        """Send over the connection to `address`; one is opened where there is none."""
        connection = self.connections.get(address)
        if connection is not None:
            connection.send(data)
            return
        waiting = self._connecting.get(address)
        if waiting is None:
            task = asyncio.get_running_loop().create_task(self._connect(address))
            self._connecting[address] = (task, [data])
        else:
            waiting[1].append(data)

    async def _connect(self, address: Address) -> None:
        loop = asyncio.get_running_loop()
        host, port = address
        tls = self._client_tls
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                _, connection = await loop.create_connection(
                    lambda: StreamConnection(self, address),
                    host,
                    port,
                    ssl=tls,
                    server_hostname=host if tls is not None else None,
                )
        except (OSError, TimeoutError, ssl.SSLError) as error:
            log.warning("%s to %s:%s: %s", self.transport, host, port, error or "no answer")
            self._connecting.pop(address, None)
            self._failed(address)
            return
        for data in self._connecting.pop(address)[1]:
            connection.send(data)

    def arrived(self, connection: "StreamConnection", messages: list[bytes]) -> None:
        """Messages of a connection, whole."""
        for message in messages:
            self._take(message, connection.peer)
        self._settle()

    def broke(self, connection: "StreamConnection", error: FramingError) -> None:
        """A stream that cannot be read any further: answer what it was, and close it."""
        self._broken(error, connection.peer)
        self._settle()
        connection.close()

    def lost(self, connection: "StreamConnection") -> None:
        """A connection is closed."""
        if self.connections.get(connection.peer) is connection:
            del self.connections[connection.peer]

    def close(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        for task, _ in self._connecting.values():
            task.cancel()
        for connection in list(self.connections.values()):
            connection.close()


class StreamConnection(asyncio.Protocol):
    """One connection; `peer` is the address at its far end."""

    def __init__(self, listener: StreamListener, peer: Address = ("", 0)) -> None:
        self.peer = peer
        self._listener = listener
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._active = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Enter the table under the peer's address."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        host, port = transport.get_extra_info("peername")[:2]
        self.peer = (host, port)
        self._listener.connections[self.peer] = self
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Octets, in whatever pieces the network made of them."""
        self._active = True
        framer = self._framer
        while True:
            try:
                messages = framer.feed(data)
            except FramingError as error:
                self._listener.broke(self, error)
                return
            for _ in range(framer.pings):  # RFC 5626 section 4.4.1
                self.send(b"\r\n")
            framer.pings = 0
            if not messages:
                return
            self._listener.arrived(self, messages)
            data = b""  # once more: what follows the last message may be none

    def connection_lost(self, error: Exception | None) -> None:
        """Leave the table."""
        if self._idle is not None:
            self._idle.cancel()
        self._listener.lost(self)

    def send(self, data: bytes) -> None:
        """Write; a peer that does not read is cut off before it fills the memory."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._active = True
        transport.write(data)
        if transport.get_write_buffer_size() > _MOST_UNSENT:
            log.warning("%s:%s does not read: connection closed", *self.peer)
            transport.abort()

    def close(self) -> None:
        """Close after what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def _watch(self) -> None:
        """Close the connection when nothing has passed for a while."""
        if not self._active and self._idle is not None:
            self.close()
            return
        self._active = False
        self._idle = asyncio.get_running_loop().call_later(IDLE, self._watch)
