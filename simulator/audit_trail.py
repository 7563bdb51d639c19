"""The audit trail: who changed what in a running server, and when, from where, from what to what.

Each entry is a line of JSON: in the log, whatever its level, and in a file of the data folder,
which keeps the last ones over a restart. No secret is in one. Failed logins are not among
them: see `simulator.login_trail`.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from simulator.config_base import Role
from simulator.durable import append, read, rewrite

log = logging.getLogger(__name__)

TRAIL_LOGGER: Final = "simulator.changes"
_trail_log: Final = logging.getLogger(TRAIL_LOGGER)
_trail_log.setLevel(logging.INFO)  # whatever --log-level says

FILE: Final = "audit.jsonl"
KEPT: Final = 1000
"""Entries that can be looked at; the file has twice as many at most."""

MOST_BYTES: Final = 4 << 20
"""What they may take as JSON, but for the last one; the file twice as much."""


@dataclass(frozen=True, slots=True)
class Requester:
    """Who wants something: a user over REST from an address, by the request of that id.

    `role` is what that user may do.
    """

    user: str
    address: str = ""
    request_id: str = ""
    role: Role = "read"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change of a thing of the kind `what`; no `before`: it is new, no `after`: it is gone."""

    time: datetime
    user: str
    address: str
    request_id: str
    action: str
    what: str
    id: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


_ENTRY: Final = TypeAdapter(AuditEntry)


def _line(entry: AuditEntry) -> str:
    """The entry as JSON in ASCII: nothing in it moves a terminal."""
    return json.dumps(_ENTRY.dump_python(entry, mode="json"))


def _save(path: Path, entries: list[AuditEntry]) -> None:
    rewrite(path, "".join(f"{_line(one)}\n" for one in entries))


class AuditTrail:
    """The last entries. `path` is the file that keeps them, None: nowhere."""

    def __init__(self, path: Path | None = None) -> None:
        self.entries: deque[AuditEntry] = deque()
        self._sizes: deque[int] = deque()  # of each as a line
        self._size = 0
        self._path = path
        self._lines = 0  # of the file
        self._written = 0  # bytes of the file
        self._turn = asyncio.Lock()
        if path is not None:
            self._load(path)

    async def record(
        self,
        who: Requester,
        action: str,
        what: str,
        name: str = "",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Add an entry; it is on disk when this returns, or the log says why not."""
        async with self._turn:
            entry = AuditEntry(
                datetime.now(UTC),
                who.user,
                who.address,
                who.request_id,
                action,
                what,
                name,
                None if before is None else dict(before),
                None if after is None else dict(after),
            )
            line = _line(entry)
            _trail_log.info("%s", line)
            self._keep(entry, len(line) + 1)
            if self._path is None:
                return
            try:
                if self._lines >= 2 * KEPT or self._written + len(line) >= 2 * MOST_BYTES:
                    await asyncio.to_thread(_save, self._path, list(self.entries))
                    self._lines, self._written = len(self.entries), self._size
                else:
                    await asyncio.to_thread(append, self._path, f"{line}\n")
                    self._lines += 1
                    self._written += len(line) + 1
            except OSError as error:
                log.error("%s: %s: an entry is in the log alone", self._path, error.strerror)

    def _keep(self, entry: AuditEntry, size: int) -> None:
        """Add an entry of `size` bytes; the oldest go."""
        self.entries.append(entry)
        self._sizes.append(size)
        self._size += size
        while len(self.entries) > (KEPT if self._size <= MOST_BYTES else 1):
            self.entries.popleft()
            self._size -= self._sizes.popleft()

    def _load(self, path: Path) -> None:
        """Read the last entries; a file with something else in it is written anew next time."""
        try:
            lines = read(path).split("\n")
        except OSError as error:
            log.error("%s: %s: what was changed before cannot be shown", path, error.strerror)
            return
        whole = lines.pop() == ""
        self._lines = len(lines)
        self._written = sum(len(line) + 1 for line in lines)  # ours are ASCII
        for line in lines[-KEPT:]:
            try:
                self._keep(_ENTRY.validate_json(line), len(line) + 1)
            except ValidationError:
                whole = False
        if not whole:
            self._lines = max(self._lines, 2 * KEPT)
