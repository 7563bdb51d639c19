"""What the log tells, changed while the server runs: levels of our loggers, by name."""

import logging
from collections.abc import Callable, Mapping
from typing import Final, Literal, get_args

from api.errors import ApiError, shown
from simulator.audit_trail import TRAIL_LOGGER
from simulator.config_source import nearest

LevelName = Literal["debug", "info", "warning", "error"]
WantedLevel = Literal["debug", "info", "warning", "error", "default"]
DEFAULT: Final = "default"

ROOMS: Final = ("api", "simulator", "sip")
"""What our loggers are below of: a level of one holds for all below that have none."""


def level_of(name: str) -> LevelName:
    """From which level on a logger tells."""
    number = logging.getLogger(name).getEffectiveLevel()
    for level in get_args(LevelName):
        if number <= logging.getLevelNamesMapping()[level.upper()]:
            found: LevelName = level
            return found
    return "error"


def names() -> list[str]:
    """The loggers whose level may be set: all of ours but the audit trail, which always tells."""
    known = {*ROOMS, *(n for n in logging.root.manager.loggerDict if n.partition(".")[0] in ROOMS)}
    return sorted(known - {TRAIL_LOGGER})


class LogLevels:
    """The levels that were changed since the start, and what they were.

    `told` is called after each change.
    """

    def __init__(self, told: Callable[[], None]) -> None:
        self.changed: dict[str, int] = {}
        self._told = told

    def set(self, levels: Mapping[str, str]) -> dict[str, LevelName]:
        """Change them, all or none; ``default`` puts one back. What they were; ApiError 400."""
        known = names()
        for name in levels:
            if name not in known:
                details = f"levels: {shown(name)} is not a logger here; {nearest(name, known)}"
                raise ApiError(400, details, code="INVALID_REQUEST")
        before = {name: level_of(name) for name in levels}
        for name, level in levels.items():
            logger = logging.getLogger(name)
            if level != DEFAULT:
                self.changed.setdefault(name, logger.level)
                logger.setLevel(level.upper())
            elif name in self.changed:
                logger.setLevel(self.changed.pop(name))
        self._told()
        return before

    def restore(self) -> None:
        """Put all back."""
        self.set(dict.fromkeys(list(self.changed), DEFAULT))
