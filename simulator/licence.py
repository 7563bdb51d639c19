"""Ports licensed: each call takes one, whatever it goes through [OPS].

The level of use rises at 94 % (warning) and 97 % (critical), and falls back only at the
threshold below: from critical at 94 %, from warning at 90 % (safe). With all in use it is
failure, and who calls is denied.
"""

import logging
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

LEVELS: Final = ("safe", "warning", "critical", "failure")

# Percent at which a level is reached, and at which it is left for the one below.
REACHED: Final = (0, 94, 97, 100)
_LEFT: Final = (0, 90, 94, 97)

Watch = Callable[[float, str, str], None]


class Licences:
    """How many of `limit` ports are in use; none at all are counted where it is 0.

    `denied` are the calls refused for want of one; `watch` is told each change of level:
    the time, what happened, and the words for it. `rising`: the last one was for the worse.
    """

    __slots__ = ("denied", "level", "limit", "rising", "used", "watch")

    def __init__(self) -> None:
        self.limit = 0
        self.used = 0
        self.denied = 0
        self.level = 0
        self.rising = False
        self.watch: Watch | None = None

    @property
    def name(self) -> str:
        """The level in a word."""
        return LEVELS[self.level]

    @property
    def free(self) -> int:
        """How many are not in use."""
        return max(0, self.limit - self.used)

    def use(self, used: int, limit: int, now: float) -> None:
        """So many calls have one now, of so many."""
        self.used, self.limit = used, limit
        level = self.level
        if limit <= 0:
            level = 0
        else:
            while level and used * 100 <= _LEFT[level] * limit:
                level -= 1
            for above in range(level + 1, len(LEVELS)):
                if used * 100 >= REACHED[above] * limit:
                    level = above
        if level != self.level:
            self._enter(level, now)

    def deny(self) -> None:
        """A call could not get one."""
        self.denied += 1

    def _enter(self, level: int, now: float) -> None:
        self.rising = worse = level > self.level
        self.level = level
        details = f"licences {LEVELS[level]}: {self.used} of {self.limit} ports in use"
        log.log(logging.WARNING if worse else logging.INFO, "%s", details)
        if self.watch is not None:
            self.watch(now, "system.threshold_exceeded", details)
