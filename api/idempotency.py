"""``Idempotency-Key``: the same key gives the same answer, and the command runs once.

A second request with a key waits while the first is under way. The key is a user's own and
belongs to one path; with another body it is refused, because one of the two was a mistake.
Answers are kept for an hour; a 500 is not kept, so that the command can be tried again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

from api.errors import Answer, ApiError

KEPT_SECONDS: Final = 3600.0
MAX_KEPT: Final = 10_000


class Answers:
    """What was answered to which key."""

    def __init__(self, kept: int = MAX_KEPT, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept = kept
        self._clock = clock
        # In the order of their expiry; a future that is not done is a command under way.
        self._entries: dict[Hashable, tuple[bytes, float, asyncio.Future[Answer]]] = {}

    def clear(self) -> None:
        """Forget all answers; a command under way still gives its own to who waits for it."""
        self._entries.clear()

    async def once(
        self, key: Hashable, body: bytes, produce: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """The answer of the first request with `key`; ApiError 409 if its body differs."""
        entry = self._entries.get(key)
        if entry is None or entry[1] <= self._clock():
            self._make_room()
            entry = self._entries.get(key)
        if entry is not None:
            if entry[0] != body:
                details = "this Idempotency-Key came with another body before; use a new key"
                raise ApiError(409, details, code="IDEMPOTENCY_KEY_REUSED")
            return await asyncio.shield(entry[2])
        future = asyncio.get_running_loop().create_future()
        self._entries[key] = (body, self._clock() + KEPT_SECONDS, future)
        try:
            answer = await produce()
        except BaseException:
            self._forget(key, future)
            future.cancel()
            raise
        if answer.status >= 500:
            self._forget(key, future)
        future.set_result(answer)
        return answer

    def _forget(self, key: Hashable, future: asyncio.Future[Answer]) -> None:
        entry = self._entries.get(key)
        if entry is not None and entry[2] is future:
            del self._entries[key]

    def _make_room(self) -> None:
        """Forget what is too old, and so many that one more fits; never what is under way."""
        now = self._clock()
        surplus = len(self._entries) + 1 - self._kept
        for key, (_, expiry, future) in list(self._entries.items()):
            if expiry > now and surplus <= 0:
                break
            if future.done():
                del self._entries[key]
                surplus -= 1
