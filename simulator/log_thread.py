"""Log lines are written by a thread of their own: a terminal or pipe that stalls stops no call.

What is logged on behalf of a request over REST has its id in the line.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, TextIO

MOST_WAITING: Final = 10_000
"""Lines that wait for the stream at most; further ones are counted and left out."""

_LAST_WORDS: Final = 2.0  # seconds that the stream has for the rest at the end

# The request that is served, and by which task: timers and tasks that it starts inherit the
# variable, but work for whatever comes.
_served: Final[ContextVar[tuple[str, "asyncio.Task[Any] | None"] | None]] = ContextVar(
    "served", default=None
)


@contextmanager
def serving(request_id: str) -> Iterator[None]:
    """What the current task logs meanwhile is logged for this request."""
    token = _served.set((request_id, asyncio.current_task()))
    try:
        yield
    finally:
        _served.reset(token)


def _tag(record: logging.LogRecord) -> bool:
    """Give a record its `request`: the id in brackets, or nothing."""
    served = _served.get()
    text = ""
    if served is not None:
        with suppress(RuntimeError):  # another thread has no tasks
            if asyncio.current_task() is served[1]:
                text = f" [{served[0]}]"
    record.__dict__["request"] = text
    return True


class LogThread(logging.Handler):
    """Writes what is logged to `stream`; the caller never waits for it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.addFilter(_tag)
        self._stream = stream
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._lost = 0
        self._thread: Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; its line is made here and now."""
        if self._lines.qsize() >= MOST_WAITING:
            self._lost += 1
            return
        self._lines.put(self.format(record))
        if self._thread is None:
            self._thread = Thread(target=self._write_all, name="log", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write what waits, for two seconds at most."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._lines.put(None)
            thread.join(_LAST_WORDS)
        super().close()

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(f"{line}\n{self._omission()}")
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):  # nobody reads any more: there is no one to tell
                pass

    def _omission(self) -> str:
        lost, self._lost = self._lost, 0
        if not lost:
            return ""
        text = f"{lost} log lines were left out: they came faster than written"
        record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None)
        return f"{self.format(record)}\n"
