"""Where the microseconds of a call go: the server runs under `benchmarks.sampler`."""

import re
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.report import table
from benchmarks.slices import Slice, run_slice
from benchmarks.subjects import BACK_TO_BACK, CALLEE, Callsim, SippUas

_SAMPLER: Final = Path(__file__).with_name("sampler.py")
_LIBRARY: Final = re.compile(r".*/(?:lib/python3\.\d+|site-packages)/")
_ROOMS: Final = re.compile(r".*/(?=(?:sip|simulator|api)/)")
_THREADS: Final = "other threads: CDRs to SQLite"


@dataclass(frozen=True, slots=True)
class Profile:
    """CPU of the main thread in microseconds per call by ``file: function``: in the function
    itself (`own`), and in it or below it. C functions count to their callers."""

    slice: Slice
    own: Mapping[str, float]
    below: Mapping[str, float]
    samples: int

    @property
    def threads(self) -> float:
        """Microseconds per call of the other threads."""
        return self.slice.cpu_us - self.slice.main_thread_us


def profile(name: str, directory: Path, rate: float, seconds: float) -> tuple[Profile, list[str]]:
    """Sample Callsim in the role `name` under load; and what was wrong."""
    output = directory / "samples.txt"
    command = [sys.executable, str(_SAMPLER), str(output)]
    callee = SippUas(directory / "callee", 2 * seconds + 120) if name == BACK_TO_BACK else None
    try:
        server = Callsim(directory / "server", callee, command)
    except BaseException:
        if callee is not None:
            callee.stop()
        raise
    try:
        run_slice(server, directory / "warm-up", rate, 2)
        server.send_signal(signal.SIGUSR1)
        found = run_slice(server, directory / "caller", rate, seconds)
        server.send_signal(signal.SIGUSR1)
    finally:
        problems = server.stop()
    own, below = read_samples(output.read_text("utf-8").splitlines())
    samples = own.total()
    each = found.main_thread_us / max(1, samples)
    return Profile(
        found,
        {key: count * each for key, count in own.items()},
        {key: count * each for key, count in below.items()},
        samples,
    ), [f"{name}: {text}" for text in (*found.problems, *problems)]


ROLES: Final = (CALLEE, BACK_TO_BACK)
"""What can be profiled."""


def read_samples(lines: Sequence[str]) -> tuple[Counter[str], Counter[str]]:
    """Samples by function, of the function itself and with what it calls."""
    own: Counter[str] = Counter()
    below: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        names = [_ROOMS.sub("", _LIBRARY.sub("", name)) for name in stack.split(";")]
        own[names[-1]] += int(count)
        for name in set(names):
            below[name] += int(count)
    return own, below


def functions_table(found: Profile, most: int = 30) -> str:
    """The functions with the most time in themselves."""
    total = found.slice.cpu_us
    rows = [
        (name, f"{own:.1f}", f"{own / total:.1%}", f"{found.below[name]:.1f}")
        for name, own in _largest(found.own, most)
    ]
    return table(("function", "own, us per call", "share", "with what it calls, us"), rows)


def files_table(found: Profile, most: int = 20) -> str:
    """The same by file, the other threads included."""
    files = {_THREADS: found.threads}
    for name, own in found.own.items():
        file = name.partition(": ")[0]
        files[file] = files.get(file, 0.0) + own
    total = found.slice.cpu_us
    rows = [(name, f"{own:.1f}", f"{own / total:.1%}") for name, own in _largest(files, most)]
    return table(("file", "own, us per call", "share"), rows)


def _largest(times: Mapping[str, float], most: int) -> list[tuple[str, float]]:
    return sorted(times.items(), key=lambda pair: -pair[1])[:most]
