"""What processes and the machine use, read from /proc and the kernel's clocks."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SATURATED: Final = 0.90
"""Share of one core from which a single-threaded process counts as saturated."""

MACHINE_SATURATED: Final = 0.97
"""Share of all cores from which the machine itself does."""


def saturated(server: float, generator: float, machine: float, cores: int | None = None) -> str:
    """Who was, by their loads in cores; a generator that was comes first: it spoils all else."""
    if generator > SATURATED:
        return "generator"
    if server > SATURATED:
        return "server"
    if machine > MACHINE_SATURATED * (cores or os.cpu_count() or 1):
        return "machine"
    return ""


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, those that have ended included.

    The same as in /proc/PID/stat, which rounds to 10 ms: the process's own CPU clock, whose
    number is made of its id (``clock_getcpuclockid``).
    """
    return time.clock_gettime((~pid << 3) | 2)


def main_thread_seconds(pid: int) -> float:
    """User and system time of the main thread."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


def resident_bytes(pid: int) -> int:
    """The memory that a process occupies."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def busy_seconds() -> float:
    """CPU seconds that all cores together have worked."""
    fields = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()
    user, nice, system, _idle, _wait, irq, softirq = map(int, fields[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def stolen_seconds() -> float:
    """CPU seconds that all cores together waited while the host served others ("steal")."""
    fields = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Use:
    """What a process used between two looks: `cpu` and `waited` in shares of one core, the
    latter what its main thread was ready to run and had no core; `memory` in bytes."""

    cpu: float
    waited: float
    memory: int


class Meter:
    """Looks at one process again and again."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._at, self._cpu, self._waited = self._read()

    def _read(self) -> tuple[float, float, float]:
        waited = int(Path(f"/proc/{self.pid}/schedstat").read_text("ascii").split()[1])
        return time.monotonic(), cpu_seconds(self.pid), waited / 1e9

    def look(self) -> Use | None:
        """Since the last time; None once the process is over."""
        with suppress(OSError, IndexError, ValueError):
            at, cpu, waited = self._read()
            took = max(at - self._at, 1e-6)
            use = Use(
                (cpu - self._cpu) / took, (waited - self._waited) / took, resident_bytes(self.pid)
            )
            self._at, self._cpu, self._waited = at, cpu, waited
            return use
        return None


class MachineMeter:
    """The share of all cores that worked."""

    def __init__(self) -> None:
        self._at, self._busy = time.monotonic(), busy_seconds()

    def look(self) -> float:
        """Since the last time, from 0 to 1."""
        at, busy = time.monotonic(), busy_seconds()
        share = (busy - self._busy) / max(at - self._at, 1e-6) / (os.cpu_count() or 1)
        self._at, self._busy = at, busy
        return min(share, 1.0)


def listener(port: int) -> int | None:
    """The process of this machine that has this UDP port, as far as we may see it."""
    inodes = set()
    for table in ("udp", "udp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text("ascii").splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").iterdir():
        if inodes and process.name.isdigit():
            with suppress(OSError):
                for handle in (process / "fd").iterdir():
                    with suppress(OSError):
                        if os.readlink(handle) in inodes:
                            return int(process.name)
    return None
