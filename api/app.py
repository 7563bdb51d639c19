"""The application: operations, documentation, and the guards in front of them."""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final

from aiohttp import web

from api.auth import Credentials, authentication, first_user
from api.documentation import PUBLIC, add_documentation
from api.errors import error_middleware
from api.files import PASSWORD_FILE
from api.guard import guard
from api.handlers.administration import administration
from api.handlers.agents import agents
from api.handlers.calls import calls
from api.handlers.console import add_console
from api.handlers.events import events
from api.handlers.faults import faults
from api.handlers.health import health, probes
from api.handlers.lab import lab
from api.handlers.metrics import metrics
from api.handlers.plan import plan
from api.handlers.reporting import reporting, statistics
from api.handlers.routing import routing
from api.handlers.sessions import sessions
from api.handlers.trace import trace
from api.handlers.transfers import transfers
from api.handlers.webhooks import webhooks
from api.headers import on_prepare
from api.http_figures import HttpFigures, measuring
from api.idempotency import Answers
from api.keys import (
    ANSWERS,
    HTTP_FIGURES,
    LOG_LEVELS,
    LOGINS,
    LOOPBACK,
    OPTIONS,
    SERVER,
    WEBHOOKS,
    ApiOptions,
    CallServer,
)
from api.log_levels import LogLevels
from api.logins import FailedLogins
from api.openapi import document
from api.operations import CONTRACT_PREFIX, add_routes
from api.runner import ApiServer
from api.tls import server_context
from api.webhooks import Webhooks
from simulator.config import Config
from simulator.config_base import User
from simulator.config_values import HttpListen
from simulator.errors import ServiceError

GROUPS: Final = (
    calls, routing, health, sessions, transfers, trace, events, webhooks, lab, faults, agents,
    plan, administration, reporting, statistics, probes, metrics,
)  # fmt: skip

_HEALTH_PATHS: Final = frozenset(CONTRACT_PREFIX + operation.path for operation in health.declared)
_PROBE_PATHS: Final = frozenset(
    operation.path for group in (probes, metrics) for operation in group.declared
)


@cache
def _described(public: frozenset[str]) -> Mapping[str, Any]:
    """The document about `GROUPS`, which takes longer to write than all else of an application."""
    return document(GROUPS, public)


def create_app(server: CallServer, options: ApiOptions) -> web.Application:
    """The REST surface over `server`; ValueError when `options` names no user.

    `api.runner.ApiServer` serves it. Hashing the users' passwords takes some 50 ms each.
    """
    public = _HEALTH_PATHS if options.health_public else frozenset()
    logins = FailedLogins(options.failed_logins)
    credentials = Credentials(options.users, logins)
    figures = HttpFigures()
    app = web.Application(
        middlewares=[
            measuring(figures, GROUPS),
            error_middleware,
            guard(options),
            authentication(credentials, public | PUBLIC, _PROBE_PATHS),
        ],
        client_max_size=options.max_body,
    )
    app[SERVER] = server
    app[OPTIONS] = options
    app[ANSWERS] = Answers()
    app[WEBHOOKS] = Webhooks(server.events, options.retry)
    app[HTTP_FIGURES] = figures
    app[LOGINS] = logins
    app[LOG_LEVELS] = LogLevels(server.call_log.refresh)
    app[LOOPBACK] = set()
    app.on_response_prepare.append(on_prepare)
    add_routes(app, GROUPS)
    add_documentation(app, _described(public | _PROBE_PATHS))
    add_console(app)

    async def end_streams(app: web.Application) -> None:
        server.events.close()
        await app[WEBHOOKS].close()

    app.on_shutdown.append(end_streams)

    async def tidy_up(app: web.Application) -> AsyncIterator[None]:
        yield
        credentials.close()
        app[LOG_LEVELS].restore()

    app.cleanup_ctx.append(tidy_up)
    return app


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


@asynccontextmanager
async def serve_api(
    server: CallServer, config: Config, tell: Callable[[str], None] = _tell
) -> AsyncIterator[tuple[HttpListen, ...]]:
    """The API of `server`, listening as `config` says; gives the addresses that were bound.

    Without configured users one is made on first start, and `tell` gets the line that says
    the password. Raises ServiceError.
    """
    try:
        app, tls = await asyncio.to_thread(_prepare, server, config, tell)
    except (OSError, ValueError) as error:
        raise ServiceError(f"server.data_dir: {error}") from error
    listeners = ApiServer(app)
    try:
        addresses = await listeners.start(config.api.listen, tls)
    except OSError as error:
        text = error.strerror or error
        raise ServiceError(f"api.listen: {text}; choose another by --api URL") from error
    try:
        yield addresses
    finally:
        await listeners.stop()


def _prepare(
    server: CallServer, config: Config, tell: Callable[[str], None]
) -> tuple[web.Application, ssl.SSLContext | None]:
    """What takes its time (hashes, keys, files), while calls are served already."""
    users = tuple(one.user for one in config.api.users) or _made_user(config, tell)
    options = ApiOptions(
        users,
        config.api.listen,
        config.api.allowed_hosts,
        health_public=config.health.public,
        failed_logins=config.api.failed_logins,
        connections=config.api.connections,
    )
    return create_app(server, options), _tls(config)


def _made_user(config: Config, tell: Callable[[str], None]) -> tuple[User, ...]:
    user, new = first_user(config.server.data_dir)
    if new:
        kept = config.server.data_dir / PASSWORD_FILE
        tell(f"REST user {user.name}, password {user.password} (made just now, kept in {kept})")
    return (user,)


def _tls(config: Config) -> ssl.SSLContext | None:
    """The context for https listeners, if there are any; the certificate names their hosts."""
    listen = config.api.listen
    if not any(one.scheme == "https" for one in listen):
        return None
    named = [one.host for one in listen] + list(config.api.allowed_hosts)
    names = [name for name in named if name not in ("0.0.0.0", "::", "*") and name.isascii()]
    return server_context(config.server.data_dir, names)
