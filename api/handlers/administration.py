"""Administration beside the dial plan: who changed what, who is banned, what the log tells."""

from typing import Final

from api.handlers.transfers import SIM_PREFIX
from api.keys import CallServer
from api.listing import Json, written
from api.log_levels import LogLevels, level_of, names
from api.models_administration import (
    AuditEntries,
    AuditEntry,
    AuditQuery,
    Ban,
    Bans,
    BansQuery,
    CurrentUser,
    FailedLogin,
    Logger,
    Loggers,
    LogLevelsUpdate,
)
from api.operations import Operations
from simulator.audit_trail import Requester
from simulator.views import BanView

administration: Final = Operations("Administration", SIM_PREFIX)


@administration.add("GET", "/user", "the user")
async def get_user(server: CallServer, who: Requester) -> CurrentUser:
    """Who asks, and what that user may do: x-role is the least role that an operation takes."""
    return CurrentUser.model_validate(who)


@administration.add("GET", "/audit", "the audit trail", role="admin")
async def get_audit_trail(server: CallServer, query: AuditQuery) -> Json[AuditEntries]:
    """Who changed what: dial plan, server groups, webhooks, faults, log levels, bans, resets.

    The last 1000 entries are kept (4 MiB at most), over a restart too. Failed logins stand beside
    them, in one entry for an address and a quarter of an hour; the last 200 are kept.
    """
    kept, logins = list(server.administration.trail.entries), server.administration.logins.entries
    return await written(
        lambda: AuditEntries(
            total_entries=len(kept),
            entries=[AuditEntry.model_validate(one) for one in kept[-query.limit :]],
            failed_logins=[FailedLogin.model_validate(one) for one in logins[-query.limit :]],
        )
    )


@administration.add("GET", "/log", "the loggers")
async def get_log_levels(server: CallServer, log_levels: LogLevels) -> Loggers:
    """From which level on each logger tells."""
    return _loggers(log_levels)


@administration.add("PUT", "/log", "the loggers")
async def set_log_levels(
    server: CallServer, who: Requester, log_levels: LogLevels, body: LogLevelsUpdate
) -> Loggers:
    """Change what the log tells, until the server stops or is reset.

    A level holds for all loggers below that have none of their own; api.requests tells every
    request at debug.
    """
    before = log_levels.set(body.levels)
    after = {name: level_of(name) for name in before}
    if after != before:
        await server.administration.trail.record(who, "replace", "log", "levels", before, after)
    return _loggers(log_levels)


@administration.add("GET", "/bans", "the bans", role="admin")
async def list_bans(server: CallServer) -> Bans:
    """Whose SIP requests are dropped, since when, until when and why: see sip.limits."""
    return _bans(server.administration.bans())


@administration.add(
    "DELETE", "/bans", "what was lifted", errors={404: "no source with this address is banned"}
)
async def lift_bans(server: CallServer, who: Requester, query: BansQuery) -> Bans:
    """Hear a source again, or all of them."""
    return _bans(await server.administration.lift_bans(who, query.address))


def _bans(views: list[BanView]) -> Bans:
    return Bans(bans=[Ban.model_validate(view) for view in views])


def _loggers(log_levels: LogLevels) -> Loggers:
    return Loggers(
        loggers=[
            Logger(name=name, level=level_of(name), changed=name in log_levels.changed)
            for name in names()
        ]
    )
