"""The listeners: one application behind HTTPS and, on loopback, plain HTTP."""

import asyncio
import ipaddress
import logging
import ssl
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from api.errors import ApiError, answer_to
from api.headers import complete
from api.keys import LOOPBACK
from simulator.config_values import HttpListen

_log = logging.getLogger(__name__)

_BACKLOG: Final = 1024
_KEEPALIVE: Final = 75.0
_HANDSHAKE: Final = 10.0


class _Connection(RequestHandler):
    """A connection whose errors have the Error body even where no middleware is reached."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """For what is no HTTP at all, and for faults below the application."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has been started already")
        if status < 500:
            text = " ".join((message or str(exc)).split())
            error: BaseException = ApiError(status, f"this is not proper HTTP: {text}")
        else:
            error = exc or RuntimeError(message)
        response = answer_to(error, request).response()
        complete(request, response)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """For HTTP errors raised before the middlewares, such as an unknown Expect."""
        if isinstance(resp, web.HTTPException):
            resp = answer_to(resp, request).response()
        return await super().finish_response(request, resp, start_time)


class ApiServer:
    """The application of `create_app`, listening."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float = 5.0) -> None:
        self._app = app
        self._runner = web.AppRunner(app, shutdown_timeout=shutdown_timeout)
        self._servers: list[asyncio.Server] = []

    async def start(
        self, listen: Iterable[HttpListen], tls: ssl.SSLContext | None = None
    ) -> tuple[HttpListen, ...]:
        """Open the listeners; the addresses that were bound, with their real ports.

        One per socket: a host name may stand for several. `tls` is needed for https.
        OSError when an address cannot be bound; nothing is left open then.
        """
        await self._runner.setup()
        try:
            bound = [address for one in listen for address in await self._open(one, tls)]
        except BaseException:
            await self.stop()
            raise
        return tuple(bound)

    async def _open(self, listen: HttpListen, tls: ssl.SSLContext | None) -> list[HttpListen]:
        secure: dict[str, Any] = {}
        if listen.scheme == "https":
            if tls is None:
                raise ValueError(f"{listen} needs a TLS context")
            secure = {"ssl": tls, "ssl_handshake_timeout": _HANDSHAKE}
        manager, loop = self._runner.server, asyncio.get_running_loop()
        assert manager is not None

        def connection() -> _Connection:
            return _Connection(manager, loop=loop, keepalive_timeout=_KEEPALIVE)

        server = await loop.create_server(
            connection, listen.host, listen.port, backlog=_BACKLOG, **secure
        )
        self._servers.append(server)
        bound = []
        for one in server.sockets:
            host, port = one.getsockname()[:2]
            if ipaddress.ip_address(host).is_loopback:
                self._app[LOOPBACK].add((host, port))
            elif listen.scheme == "http":
                _log.warning("%s is not on loopback: passwords cross the network in clear", listen)
            bound.append(HttpListen(listen.scheme, host, port))
        return bound

    async def stop(self) -> None:
        """Close the listeners, then the connections once their requests are answered."""
        for server in self._servers:
            server.close()
        await self._runner.cleanup()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
