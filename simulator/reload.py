"""Another configuration for a server that runs: what takes effect, and what waits.

Calls in progress keep what they have; everything new follows the new configuration, but for
what is set up once, such as listeners: that stays, and its keys are named.
"""

from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel

from simulator.config import Config

AT_START: Final = (
    "server.data_dir",
    "sip.listen",
    "sip.t1",
    "sip.t2",
    "sip.t4",
    "sip.nameservers",
    "sip.reliable_provisional",
    "sip.tls",
    "sip.follow_redirects",
    "sip.credentials",
    "sip.authentication",
    "sip.registrar",
    "sip.heartbeat_port",
    "sip.trunks",
    "api",
    "cdr",
    "log",
    "trace",
    "telemetry",
    "health",
    "lab",
)
"""Keys that are read when the server starts, and no more."""


def kept(running: Config, wanted: Config) -> tuple[Config, list[str]]:
    """`wanted` without what needs a restart, and the keys of that, with its old values."""
    waiting = [key for key in AT_START if _value(running, key) != _value(wanted, key)]
    changes: dict[str, object] = {}
    for key in waiting:
        section, _, name = key.partition(".")
        if not name:
            changes[section] = getattr(running, section)
            continue
        present = changes.get(section, getattr(wanted, section))
        assert isinstance(present, BaseModel)
        changes[section] = present.model_copy(update={name: _value(running, key)})
    return wanted.model_copy(update=changes), waiting


def changed(before: Config, after: Config) -> list[str]:
    """The keys whose values differ, two levels deep: ``sip.audit``, ``dialed_numbers``."""
    return list(_differences(before, after, "", 2))


def _differences(before: BaseModel, after: BaseModel, path: str, depth: int) -> Iterator[str]:
    for name in type(before).model_fields:
        one, other = getattr(before, name), getattr(after, name)
        if one == other:
            continue
        if depth > 1 and isinstance(one, BaseModel) and isinstance(other, BaseModel):
            yield from _differences(one, other, f"{path}{name}.", depth - 1)
        else:
            yield f"{path}{name}"


def _value(config: Config, key: str) -> object:
    value: object = config
    for name in key.split("."):
        value = getattr(value, name)
    return value
