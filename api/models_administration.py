"""Schemas of the administration that is not of the dial plan: audit trail and log levels."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from api.log_levels import LevelName, WantedLevel
from api.models import PlainText, Query, Reply, Request, Text, WholeNumber
from simulator.audit_trail import KEPT
from simulator.config_base import Role

_LOGGER_NAMES: Final = r"^(api|simulator|sip)(\.[a-z0-9_]+)*$"


class CurrentUser(Reply):
    """Who asks. Each role may do what those before it may."""

    name: Text = Field(validation_alias="user")
    role: Role


class AuditQuery(Query):
    """How much of the audit trail to show."""

    limit: WholeNumber = Field(100, ge=1, le=KEPT, description="How many of each: the last ones.")


class AuditEntry(Reply):
    """Who did what. No `before`: the thing is new; no `after`: it is gone.

    `address` and `requestId` are empty where the change did not come over REST.
    """

    timestamp: datetime = Field(validation_alias="time")
    user: Text
    address: Text
    request_id: Text
    action: Text
    what: Text
    id: Text
    before: dict[str, Any] | SkipJsonSchema[None] = None
    after: dict[str, Any] | SkipJsonSchema[None] = None


class FailedLogin(Reply):
    """Different wrong passwords from an address, for `users` and names that are no user's.

    An address of IPv6 is its /64. `requestId` is the last one's.
    """

    first: datetime
    last: datetime
    address: Text
    request_id: Text
    attempts: int
    users: list[Text]


class AuditEntries(Reply):
    """The last changes and failed logins, the oldest first.

    `total_entries` counts all changes that are kept.
    """

    total_entries: int
    entries: list[AuditEntry]
    failed_logins: list[FailedLogin]


class BansQuery(Query):
    """Whose ban to lift."""

    address: PlainText | SkipJsonSchema[None] = Field(
        None, description="As listed, or any address in it. Without: all."
    )


class Ban(Reply):
    """A source that SIP does not hear, and why; an address of IPv6 is its /64."""

    address: Text
    reason: Text
    since: datetime
    until: datetime
    refused: int = Field(description="Requests that were dropped.")


class Bans(Reply):
    """The bans, the oldest first."""

    bans: list[Ban]


class Logger(Reply):
    """A logger and the level from which on it tells; `changed`: it was set while running."""

    name: Text
    level: LevelName
    changed: bool


class Loggers(Reply):
    """The loggers, by name."""

    loggers: list[Logger]


class LogLevelsUpdate(Request):
    """Levels by the name of the logger."""

    levels: dict[Annotated[str, Field(max_length=100)], WantedLevel] = Field(
        description="Of a logger and all below it; default puts back what was at the start.",
        json_schema_extra={"propertyNames": {"pattern": _LOGGER_NAMES}},
    )
