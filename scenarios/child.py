"""A process that we start: waited for with a bound, ended by its own id, its CPU time known."""

import ctypes
import os
import select
import signal
import subprocess  # nosec B404 # SIPp and servers are children
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

_CHUNK: Final = 65_536
_GRACE: Final = 2.0
_LIBC: Final = ctypes.CDLL(None)
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A process in a process group of its own. Standard error goes to the file `errors`.

    It is asked to end (SIGTERM) when this process ends, however that does. (Not one that another
    thread than the main one starts: to the kernel the thread is the parent.)

    With `piped`, `line` reads its standard output, or another process whose `source` it is;
    otherwise that goes to `errors` as well. With `fed`, `say` writes to its standard input.
    `cpu_seconds` is known once it has ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        errors: Path,
        *,
        piped: bool = False,
        fed: bool = False,
        directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
        source: "Child | None" = None,
    ) -> None:
        self.command = list(command)
        self.errors = errors
        self.cpu_seconds = 0.0
        stdin: int | IO[bytes] | None = subprocess.PIPE if fed else subprocess.DEVNULL
        if source is not None:
            stdin = source._process.stdout
        alone = threading.current_thread() is threading.main_thread()
        with errors.open("wb") as log:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(  # nosec B603 # no shell
                self.command,
                stdin=stdin,
                stdout=subprocess.PIPE if piped else log,
                stderr=log,
                cwd=directory,
                env=environment,
                start_new_session=True,
                preexec_fn=_end_with_parent if alone else None,
            )
        self.pid = self._process.pid
        self._handle = os.pidfd_open(self.pid)  # names this process even when the id is reused
        self._text = b""
        self._lines: Iterator[str] = iter(())

    @property
    def exit_code(self) -> int | None:
        """None while it runs; below zero the signal that ended it."""
        return self._process.returncode

    def wait(self, seconds: float) -> int | None:
        """Wait for the end, at most so long; the exit code, or None when it runs on."""
        if self.exit_code is None and _readable(self._handle, seconds):
            _, status, usage = os.wait4(self.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_seconds = usage.ru_utime + usage.ru_stime
        return self.exit_code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to it, unless it has ended."""
        if self.exit_code is None:
            signal.pidfd_send_signal(self._handle, number)

    def end(self) -> None:
        """End it and what it started, if it still runs: asked first, then by force."""
        if self.wait(0) is None:
            self.send_signal(signal.SIGTERM)
            self.wait(_GRACE)
        self.kill()

    def kill(self) -> None:
        """End it and what it started at once, if it still runs, and give everything back."""
        if self.wait(0) is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.wait(10)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def say(self, line: str) -> None:
        """Write a line to standard input. Raises BrokenPipeError when nobody reads it."""
        assert self._process.stdin is not None, "not fed"
        os.write(self._process.stdin.fileno(), line.encode() + b"\n")

    def finish_input(self) -> None:
        """Close its standard input."""
        assert self._process.stdin is not None, "not fed"
        self._process.stdin.close()

    def line(self, seconds: float) -> str | None:
        """The next line of standard output; None when none comes in time, or ever."""
        deadline = time.monotonic() + seconds
        while (found := next(self._lines, None)) is None:
            if not self._read(deadline - time.monotonic()):
                return None
        return found

    def _read(self, seconds: float) -> bool:
        output = self._process.stdout
        assert output is not None, "not piped"
        if not _readable(output.fileno(), seconds):
            return False
        data = os.read(output.fileno(), _CHUNK)
        *lines, self._text = (self._text + data).split(b"\n")
        self._lines = iter([line.decode("utf-8", "replace") for line in lines])
        return bool(data)

    def error_text(self, most: int = 4000) -> str:
        """The end of what it wrote to standard error."""
        return self.errors.read_text("utf-8", "replace")[-most:].strip()


def _readable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))
