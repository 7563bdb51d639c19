"""Log lines are written by a thread of their own: a terminal or pipe that stalls stops no call."""

import logging
from queue import SimpleQueue
from threading import Thread
from typing import Final, TextIO

MOST_WAITING: Final = 10_000
"""Lines that wait for the stream at most; further ones are counted and left out."""

_LAST_WORDS: Final = 2.0  # seconds that the stream has for the rest at the end


class LogThread(logging.Handler):
    """Writes what is logged to `stream`; the caller never waits for it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
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
        return f"{lost} log lines were left out: they came faster than written\n" if lost else ""
