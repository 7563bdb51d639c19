"""The listeners: one application behind HTTPS and, on loopback, plain HTTP."""

import asyncio
import ipaddress
import logging
import re
import ssl
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import http_exceptions, web
from aiohttp.web_protocol import RequestHandler

from api.errors import ApiError, answer_to
from api.headers import STANDARD_HEADERS, complete
from api.keys import LOOPBACK, OPTIONS
from api.models import Error
from simulator.config_values import HttpListen

_log = logging.getLogger(__name__)

_BACKLOG: Final = 1024
_KEEPALIVE: Final = 75.0
_HANDSHAKE: Final = 10.0
_MAX_TARGET: Final = 8192  # bytes of path and query
_MAX_FIELD: Final = 16_384  # of one header field; not the same, so that one knows which it was
_MAX_FIELDS: Final = 128

_REQUEST_LINE: Final = re.compile(r"""['"][!-~]+ [!-~]+ HTTP/[0-9]""")
_QUOTED: Final = re.compile(r"""b(['"])(.*)\1""")
_MAX_QUOTED: Final = 80


class _Connection(RequestHandler):
    """A connection whose errors have the Error body even where no middleware is reached.

    One for which there is no place among the `others` hears so, and is closed, before a request
    is read.
    """

    most = 0
    others: set["_Connection"]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it; TLS is up, where it is spoken."""
        if len(self.others) < self.most:
            self.others.add(self)
            super().connection_made(transport)
            return
        assert isinstance(transport, asyncio.Transport)
        transport.write(_REFUSAL)
        transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place to another one."""
        if self in self.others:
            self.others.remove(self)
            super().connection_lost(exc)

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
            error: BaseException = _fault(status, exc, message or str(exc))
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


def _refusal() -> bytes:
    error = Error(
        code="TOO_MANY_CONNECTIONS",
        message="service unavailable",
        details="there are api.connections already; close some, or come again",
    )
    body = error.model_dump_json(by_alias=True, exclude_none=True).encode()
    fields = {
        **STANDARD_HEADERS,
        "Server": "callsim",
        "Retry-After": "1",
        "Connection": "close",
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(len(body)),
    }
    lines = [f"{name}: {value}\r\n" for name, value in fields.items()]
    return f"HTTP/1.1 503 Service Unavailable\r\n{''.join(lines)}\r\n".encode() + body


_REFUSAL: Final = _refusal()


def _fault(status: int, error: BaseException | None, message: str) -> ApiError:
    """What the parser has found, with its status of RFC 9110 and the fix."""
    match error:
        case http_exceptions.LineTooLong(args=(_, limit, *_)) if limit == _MAX_TARGET:
            return ApiError(414, f"path and query have more than {limit} bytes; shorten them")
        case http_exceptions.LineTooLong(args=(_, limit, *_)):
            return ApiError(431, f"a header field has more than {limit} bytes; shorten it")
        case http_exceptions.ContentEncodingError() if "Can not decode" in message:
            details = "the body's Content-Encoding is not known here; send gzip, deflate or none"
            return ApiError(415, details)
    if "Too many headers" in message:
        return ApiError(431, f"there are more than {_MAX_FIELDS} header fields; send fewer")
    if "HTTPS traffic" in message:
        return ApiError(400, "this is HTTPS, and the port is one for HTTP; use http://")
    if "Invalid HTTP version" in message or "PRI/Upgrade" in message:
        return ApiError(505, "this is not a version of HTTP that is spoken here; use HTTP/1.1")
    if isinstance(error, http_exceptions.BadHttpMethod) and _REQUEST_LINE.search(message):
        return ApiError(501, "the method is not known here; methods are GET, POST, PUT and DELETE")
    return ApiError(status, f"this is not proper HTTP: {_told(message)}")


def _told(message: str) -> str:
    """The parser's message without its marks of Python."""
    lines = [line.strip() for line in message.splitlines()]
    told = [_QUOTED.sub(_quoted, line) for line in lines if line.strip("^")]
    return " ".join(told)


def _quoted(match: re.Match[str]) -> str:
    text = match[2]
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."


class ApiServer:
    """The application of `create_app`, listening."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float = 5.0) -> None:
        self._app = app
        self._runner = web.AppRunner(app, shutdown_timeout=shutdown_timeout)
        self._servers: list[asyncio.Server] = []
        self._connections: set[_Connection] = set()

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
        most = self._app[OPTIONS].connections

        def connection() -> _Connection:
            made = _Connection(
                manager,
                loop=loop,
                keepalive_timeout=_KEEPALIVE,
                max_line_size=_MAX_TARGET,
                max_field_size=_MAX_FIELD,
                max_headers=_MAX_FIELDS,
            )
            made.most, made.others = most, self._connections
            return made

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
