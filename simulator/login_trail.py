"""Failed logins, as the audit trail shows them: one entry an address and quarter of an hour.

Anybody can cause them, so they have a place of their own: whatever their number, no change
leaves the trail for them. They are written together, some seconds after the first of them,
so that strangers do not keep the disk busy.
"""

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from simulator.audit_trail import TRAIL_LOGGER
from simulator.durable import read, rewrite

log = logging.getLogger(__name__)

_trail_log: Final = logging.getLogger(TRAIL_LOGGER)

FILE: Final = "logins.jsonl"
MOST_LOGINS: Final = 200
"""Entries that are kept; then the oldest goes."""

INTERVAL: Final = 900
"""Seconds, by the clock, for which an address has one entry."""

WRITE_PAUSE: Final = 5.0
"""Seconds until what has failed is in the log and on disk."""


@dataclass(frozen=True, slots=True)
class FailedLogin:
    """What came from an address: so many different wrong passwords, for these `users` of ours.

    Names that are no user's may be passwords, so they are left out. `request_id` is of the last.
    """

    first: datetime
    last: datetime
    address: str
    request_id: str
    attempts: int
    users: tuple[str, ...]


_ENTRY: Final = TypeAdapter(FailedLogin)


def _line(entry: FailedLogin) -> str:
    """The entry as JSON in ASCII: nothing in it moves a terminal."""
    shown = _ENTRY.dump_python(entry, mode="json")
    return json.dumps({"action": "refuse", "what": "login", **shown})


def _save(path: Path, entries: list[FailedLogin]) -> None:
    rewrite(path, "".join(f"{_line(one)}\n" for one in entries))


class LoginTrail:
    """The last failed logins. `path` is the file that keeps them, None: nowhere."""

    def __init__(self, path: Path | None = None, pause: float = WRITE_PAUSE) -> None:
        self._entries: dict[tuple[str, int], FailedLogin] = {}  # the oldest first
        self._path = path
        self._pause = pause
        self._unwritten: set[tuple[str, int]] = set()
        self._writer: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        if path is not None:
            self._load(path)

    @property
    def entries(self) -> list[FailedLogin]:
        """The oldest first."""
        return list(self._entries.values())

    def record(self, address: str, request_id: str, user: str | None) -> None:
        """A wrong password for `user`, None: for no user of ours. Written soon, by a task."""
        now = datetime.now(UTC)
        key = _key(address, now)
        old = self._entries.get(key) or FailedLogin(now, now, address, request_id, 0, ())
        users = old.users if user is None or user in old.users else (*old.users, user)
        new = FailedLogin(old.first, now, address, request_id, old.attempts + 1, users)
        self._keep(key, new)
        self._unwritten.add(key)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Write what is not written yet."""
        self._closing.set()
        if self._writer is not None:
            await self._writer

    def _keep(self, key: tuple[str, int], entry: FailedLogin) -> None:
        self._entries[key] = entry
        if len(self._entries) > MOST_LOGINS:
            oldest = next(iter(self._entries))
            del self._entries[oldest]
            self._unwritten.discard(oldest)

    async def _write(self) -> None:
        while self._unwritten:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._pause)
            for key in sorted(self._unwritten, key=lambda key: self._entries[key].last):
                _trail_log.info("%s", _line(self._entries[key]))
            self._unwritten.clear()
            if self._path is None:
                continue
            try:
                await asyncio.to_thread(_save, self._path, self.entries)
            except OSError as error:
                log.error("%s: %s: failed logins are in the log alone", self._path, error.strerror)

    def _load(self, path: Path) -> None:
        """Read what can be read; the file is written anew next time."""
        try:
            lines = read(path).split("\n")
        except OSError as error:
            log.error("%s: %s: former failed logins cannot be shown", path, error.strerror)
            return
        for line in lines:
            try:
                entry = _ENTRY.validate_json(line)
            except ValidationError:
                continue
            self._keep(_key(entry.address, entry.first), entry)


def _key(address: str, moment: datetime) -> tuple[str, int]:
    return address, int(moment.timestamp() // INTERVAL)
