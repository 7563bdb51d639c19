"""Runs `callsim` and samples where its main thread spends CPU: ``sampler.py FILE serve ...``.

The kernel's task clock of that thread (``perf_event_open``) interrupts it after each 1.9 ms
of CPU that it uses, in the kernel too; so waiting does not count, nor do other threads. What
looks at the wall clock or at the kernel's tick sees SIPp's own rhythm instead.

SIGUSR1 begins, and a second one ends. When the server is over, FILE has a line for each
stack: ``file: function;... SAMPLES``.
"""

import ctypes
import fcntl
import os
import signal
import struct
import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

PERIOD_NS: Final = 1_900_007

_SYSCALL: Final = {"x86_64": 298, "aarch64": 241}
_SOFTWARE: Final = 1
_TASK_CLOCK: Final = 1
_ATTRIBUTES: Final = 112  # octets of struct perf_event_attr
_ENABLE: Final = 0x2400
_DISABLE: Final = 0x2401
_SETSIG: Final = 10
_SETOWN_EX: Final = 15


class Sampler:
    """The stacks of the main thread, and how often each was met."""

    def __init__(self) -> None:
        self.stacks: Counter[tuple[str, ...]] = Counter()
        self._event = _open_task_clock()
        self._running = False

    def switch(self, *_: object) -> None:
        """Begin to sample, or end."""
        self._running = not self._running
        fcntl.ioctl(self._event, _ENABLE if self._running else _DISABLE, 0)

    def sample(self, _number: int, frame: FrameType | None) -> None:
        """Note the stack at `frame`."""
        stack = []
        while frame is not None:
            code = frame.f_code
            stack.append(f"{code.co_filename}: {code.co_qualname}")
            frame = frame.f_back
        self.stacks[tuple(reversed(stack))] += 1


def _open_task_clock() -> int:
    """An event, not enabled yet, that sends SIGPROF to this thread as its CPU time passes."""
    # type, size, config, sample_period, then zeros up to the flags: disabled.
    head = struct.pack("IIQQQQQ", _SOFTWARE, _ATTRIBUTES, _TASK_CLOCK, PERIOD_NS, 0, 0, 1)
    # wakeup_events: one signal for each sample.
    attributes = (head + struct.pack("I", 1)).ljust(_ATTRIBUTES, b"\0")
    library = ctypes.CDLL(None, use_errno=True)
    event = int(library.syscall(_SYSCALL[os.uname().machine], attributes, 0, -1, -1, 0))
    if event < 0:
        reason = os.strerror(ctypes.get_errno())
        raise OSError(f"perf_event_open: {reason} (see kernel.perf_event_paranoid)")
    fcntl.fcntl(event, _SETSIG, signal.SIGPROF)
    fcntl.fcntl(event, _SETOWN_EX, struct.pack("ii", 0, threading.get_native_id()))
    fcntl.fcntl(event, fcntl.F_SETFL, fcntl.fcntl(event, fcntl.F_GETFL) | os.O_ASYNC)
    return event


def main(output: str, arguments: list[str]) -> int:
    """Run `callsim` with these arguments."""
    from simulator.__main__ import main as callsim

    sampler = Sampler()
    signal.signal(signal.SIGPROF, sampler.sample)
    signal.siginterrupt(signal.SIGPROF, False)
    signal.signal(signal.SIGUSR1, sampler.switch)
    try:
        return callsim(arguments)
    finally:
        lines = [f"{';'.join(stack)} {count}\n" for stack, count in sampler.stacks.items()]
        Path(output).write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    # This directory is not a place to import from.
    sys.path[0] = str(Path(__file__).parent.parent)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
