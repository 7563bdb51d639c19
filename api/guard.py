"""Against other sites in a user's browser: Host is checked, a foreign Origin is refused.

Browsers add Basic credentials to requests that any page makes. A page elsewhere shows by
its Origin; a name that was pointed at this server (DNS rebinding) shows by Host.
"""

import ipaddress
import re
import socket
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler, Middleware

from api.errors import ApiError, shown
from api.keys import ApiOptions

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class Hosts:
    """The names by which this server may be called."""

    def __init__(self, options: ApiOptions) -> None:
        listening = {_bare(listen.host) for listen in options.listen}
        self._any_address = any(_is_unspecified(host) for host in listening)
        self._any = "*" in options.allowed_hosts
        self._names = _own_names() | listening | {_bare(host) for host in options.allowed_hosts}

    def allow(self, header: str) -> bool:
        """Whether a Host header (with or without a port) is one of ours."""
        match = _HOST.fullmatch(header)
        if match is None:
            return False
        if match["port"] is not None and not 1 <= int(match["port"]) <= 65535:
            return False
        host = _bare(match["host"])
        if self._any or host in self._names:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return address.is_loopback or self._any_address


def _own_names() -> set[str]:
    name = socket.gethostname().lower()
    return {"localhost", name, name.partition(".")[0]}


def _bare(host: str) -> str:
    """As it is compared: lower case, no brackets, no final dot."""
    return host.lower().strip("[]").removesuffix(".")


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _same_site(origin: str, host: str) -> bool:
    """Whether a page with this Origin came from this Host."""
    scheme, separator, place = origin.partition("://")
    default = _DEFAULT_PORTS.get(scheme.lower())
    theirs, ours = _HOST.fullmatch(place), _HOST.fullmatch(host)
    if not separator or default is None or theirs is None or ours is None:
        return False
    return (_bare(theirs["host"]), theirs["port"] or default) == (
        _bare(ours["host"]),
        ours["port"] or default,
    )


def guard(options: ApiOptions) -> Middleware:
    """The middleware that refuses requests for another host or from another site."""
    hosts = Hosts(options)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        _check_protocol(request)
        _check_host(request, hosts)
        if request.method not in _SAFE:
            check_origin(request)
        return await handler(request)

    return check


def _check_protocol(request: web.Request) -> None:
    if request.version not in (HttpVersion10, HttpVersion11):
        major, minor = request.version
        details = f"HTTP/{major}.{minor} is not spoken here; use HTTP/1.1"
        raise ApiError(505, details, headers={"Connection": "close"})
    if request.method == hdrs.METH_CONNECT:
        raise ApiError(501, "this is no proxy; ask for a path, such as /cvp/rest/health")


def _check_host(request: web.Request, hosts: Hosts) -> None:
    given = request.headers.getall(hdrs.HOST, [])
    if len(given) > 1 or (not given and request.version >= HttpVersion11):
        raise ApiError(400, f"there are {len(given)} Host headers; HTTP/1.1 requires one")
    if given and not hosts.allow(given[0]):
        details = f"Host is {shown(given[0])}; use this server's address, or add that name to "
        raise ApiError(403, details + "api.allowed_hosts", code="HOST_NOT_ALLOWED")


def check_origin(request: web.Request) -> None:
    """ApiError 403 when a page of another site makes this request."""
    host = request.headers.get(hdrs.HOST, "")
    for origin in request.headers.getall(hdrs.ORIGIN, []):
        if not _same_site(origin, host):
            details = f"Origin is {shown(origin)}; only pages of this server may change things"
            raise ApiError(403, details, code="ORIGIN_NOT_ALLOWED")
