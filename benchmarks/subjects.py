"""What is measured: servers that answer SIP calls, each a process of its own on loopback.

Here are SIPp and Callsim, `benchmarks.peers` has the others.
"""

import shutil
import signal
import sqlite3
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.cores import Side, placed
from scenarios.child import Child
from scenarios.load.meters import cpu_seconds, main_thread_seconds, resident_bytes
from scenarios.load.sipp_files import sipp_figures, whole
from scenarios.runner import LOOPBACK, Address, SippRun, sipp_below

USER: Final = "bench:bench"
"""Name and password for the REST of `Callsim`."""

_START: Final = 30.0
_STOP: Final = 15.0
_JOIN: Final = 10.0  # SIPp's uas counts a call as successful 4 s after its BYE
_MANY: Final = 10_000_000
_WRITTEN: Final = 3.0


class BenchmarkError(Exception):
    """A server did not start, or something it needs is missing."""


class Subject:
    """A server under load: callers dial `number` at `address`, its process is `pid`.

    `caller` is the SIPp scenario that calls it, `callee` the SIPp behind it, if any. `most`
    are the calls/s that it is asked for at most. It `holds` calls unless it keeps nothing of
    a call that is up. What a `peer` cannot do is told, and is no fault of the run.
    """

    caller: str | Path = "uac"
    most: float = float("inf")
    holds = True
    peer = False

    def __init__(self, directory: Path, number: str) -> None:
        self.directory = directory
        self.number = number
        self.address: Address = ("", 0)
        self.pid = 0
        self.callee: SippUas | None = None
        directory.mkdir(parents=True, exist_ok=True)

    def cpu(self) -> float:
        """CPU seconds that the server has used."""
        return cpu_seconds(self.pid)

    def main_cpu(self) -> float:
        """The part of its main thread."""
        return main_thread_seconds(self.pid)

    def memory(self) -> int:
        """Bytes of memory that the server occupies."""
        return resident_bytes(self.pid)

    def joined(self, calls: int) -> list[str]:
        """What is wrong on the far side, where `calls` calls were placed: its own counts."""
        raise NotImplementedError

    def stop(self) -> list[str]:
        """End it; what was wrong with it."""
        raise NotImplementedError


class SippUas(Subject):
    """``sipp -sn uas``: answers 180 and 200, has no transaction layer. Or another scenario."""

    def __init__(self, directory: Path, seconds: float, scenario: str | Path = "uas") -> None:
        super().__init__(directory, "service")
        self._run = SippRun(scenario, directory, calls=_MANY, seconds=seconds)
        self.address = self._run.address
        self.uri = self._run.uri
        self.pid = sipp_below(self._run.pid)
        self._sent_again = 0

    def sent_again(self) -> int:
        """The messages that it has sent again since this was asked last.

        It writes its counts each second: this waits until it has.
        """
        now, deadline = time.time(), time.monotonic() + _WRITTEN
        file = self.directory / "statistics.csv"
        while file.stat().st_mtime <= now and time.monotonic() < deadline:
            time.sleep(0.05)
        before = self._sent_again
        self._sent_again = whole(sipp_figures(self.directory).get("Retransmissions(C)", ""))
        return self._sent_again - before

    def joined(self, calls: int) -> list[str]:
        """Each call complete, ACK and BYE included, and next to nothing sent twice."""
        deadline = time.monotonic() + _JOIN
        while True:
            figures = {key: whole(text) for key, text in sipp_figures(self.directory).items()}
            if figures.get("SuccessfulCall(C)") == calls or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        successful = figures.get("SuccessfulCall(C)", 0)
        failed, again = figures.get("FailedCall(C)", 0), figures.get("Retransmissions(C)", 0)
        problems = []
        if successful != calls or failed:
            problems.append(f"SIPp uas saw {successful} of {calls} calls whole, {failed} failed")
        if again > calls / 1000:
            problems.append(f"SIPp uas sent {again} messages again in {calls} calls")
        return problems

    def stop(self) -> list[str]:
        """End it; its counts were looked at before."""
        self._run.stop()
        return []


class Callsim(Subject):
    """``callsim serve`` as installed, CDRs on disk before each BYE is answered.

    With `callee` every number leads straight to it; without, the server itself answers.
    `command` stands for ``callsim``, to run it under something else; `settings` are what it is
    given by ``--set``. REST is at `api`, for the user `USER`.
    """

    def __init__(
        self,
        directory: Path,
        callee: SippUas | None = None,
        command: Sequence[str] | None = None,
        settings: Sequence[str] = (),
    ) -> None:
        super().__init__(directory, "5000")
        self.callee = callee
        self.api: Address = ("", 0)
        self._data = directory / "data"
        self._child = Child(
            [
                *(command or [installed_callsim()]),
                *["serve", "--sip", f"udp:{LOOPBACK}:0"],
                *["--api", f"http://{LOOPBACK}:0", "--user", USER],
                *["--data-dir", str(self._data), "--grace", "1"],
                *(["--route", f">={callee.uri}"] if callee is not None else []),
                *(part for setting in settings for part in ("--set", setting)),
            ],
            directory / "stderr.log",
            piped=True,
        )
        self.pid = self._child.pid
        deadline = time.monotonic() + _START
        while (line := self._child.line(deadline - time.monotonic())) != "ready":
            if line is None:
                self._child.end()
                raise BenchmarkError(f"callsim did not start: {self._child.error_text()}")
            if line.startswith("sip udp:"):
                host, _, port = line.removeprefix("sip udp:").rpartition(":")
                self.address = (host, int(port))
            elif line.startswith("api "):
                place = urlsplit(line.removeprefix("api "))
                self.api = (place.hostname or "", place.port or 0)
        self.begun()

    def begun(self) -> None:
        """It is ready."""

    def completed(self, begin: float, end: float) -> int:
        """The calls that were completed between two times, in seconds since the epoch."""
        with closing(self._records()) as store:
            (count,) = store.execute(
                "SELECT count(*) FROM cdr WHERE call_result = 'completed' "
                "AND call_end_time >= ? AND call_end_time < ?",
                (begin * 1000, end * 1000),
            ).fetchone()
        return int(count)

    def _records(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self._data / 'cdr.sqlite'}?mode=ro", uri=True)

    def joined(self, calls: int) -> list[str]:
        """A CDR for each call, and the callee's counts."""
        problems = self.callee.joined(calls) if self.callee is not None else []
        with closing(self._records()) as store:
            (records,) = store.execute("SELECT count(*) FROM cdr").fetchone()
            (good,) = store.execute(
                "SELECT count(*) FROM cdr WHERE call_result = 'completed'"
            ).fetchone()
        if records != calls or good != calls:
            problems.append(f"callsim has {records} CDRs, {good} completed, of {calls} calls")
        return problems

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the server."""
        self._child.send_signal(number)

    def stop(self) -> list[str]:
        """SIGTERM: it must end with exit code 0, and have complained of nothing."""
        problems = []
        self._child.send_signal(signal.SIGTERM)
        if (code := self._child.wait(_STOP)) != 0:
            problems.append(f"callsim ended with exit code {code} (None: by force)")
        if text := self._child.error_text(500):
            problems.append(f"callsim wrote to standard error: {text}")
        self._child.end()
        if self.callee is not None:
            problems += self.callee.stop()
        return problems


def behind(
    make: Callable[[SippUas], Subject],
    directory: Path,
    seconds: float,
    scenario: str | Path = "uas",
) -> Subject:
    """A server made by `make`, with a SIPp of its own behind it that answers."""
    with placed(Side.GENERATOR):
        callee = SippUas(directory / "callee", seconds, scenario)
    try:
        return make(callee)
    except BaseException:
        callee.stop()
        raise


class Scraped(Callsim):
    """Callsim whose /metrics are read each second: dearer than any Prometheus makes it."""

    def begun(self) -> None:
        """Its metrics are read from now on."""
        self.read = threading.Event()
        self._over = threading.Event()
        self._scraper = threading.Thread(target=self._scrape, daemon=True)
        self._scraper.start()

    def _scrape(self) -> None:
        headers = {"Authorization": f"Basic {b64encode(USER.encode()).decode()}"}
        with closing(HTTPConnection(*self.api, timeout=_STOP)) as connection:
            while not self._over.wait(1.0):
                connection.request("GET", "/metrics", headers=headers)
                if b"callsim_" in connection.getresponse().read():
                    self.read.set()

    def stop(self) -> list[str]:
        """As others, and it must have told its figures."""
        self._over.set()
        self._scraper.join(_STOP)
        problems = [] if self.read.is_set() else ["nobody could read /metrics"]
        return problems + super().stop()


BASE: Final = "SIPp uas"
"""What everything else is a multiple of: SIPp alone, nobody behind it."""

CALLEE: Final = "Callsim, callee"
BACK_TO_BACK: Final = "Callsim, back-to-back"

Maker = Callable[[Path, float], Subject]
"""Starts a subject in a directory of its own, for so many seconds at most."""


def callsims(
    prefix: str = "Callsim",
    suffix: str = "",
    command: Sequence[str] | None = None,
    settings: Sequence[str] = (),
    kind: type[Callsim] = Callsim,
) -> dict[str, Maker]:
    """Callsim as callee and back-to-back, of this command instead of the one installed here."""
    return {
        f"{prefix}, callee{suffix}": lambda directory, _: kind(directory, None, command, settings),
        f"{prefix}, back-to-back{suffix}": lambda directory, seconds: behind(
            lambda uas: kind(directory, uas, command, settings), directory, seconds
        ),
    }


def lab_benches(prefix: str = "Callsim", command: Sequence[str] | None = None) -> dict[str, Maker]:
    """Callsim without the lab bench, and with parts of it; as installed it traces."""
    off = ["trace.enabled=false"]
    return {
        **callsims(prefix, ", trace off", command, off),
        **callsims(prefix, ", trace off, metrics read", command, off, Scraped),
    }


SUBJECTS: Final[Mapping[str, Maker]] = {BASE: SippUas, **callsims()}


def other_checkout(checkout: Path) -> dict[str, Maker]:
    """Callsim of another checkout, set up there: what a change costs, in one run.

    Raises BenchmarkError when it has no ``.venv/bin/callsim``.
    """
    command = [str(checkout.absolute() / ".venv" / "bin" / "callsim")]
    if not Path(command[0]).exists():
        raise BenchmarkError(f"--against: there is no {command[0]}: run `make setup` there")
    return callsims("Callsim", ", other", command)


def start_all(directory: Path, seconds: float, makers: Mapping[str, Maker]) -> dict[str, Subject]:
    """Start the subjects, or none."""
    started: dict[str, Subject] = {}
    try:
        for name, make in makers.items():
            started[name] = start(name, make, directory, seconds)
    except BaseException:
        stop_all(started)
        raise
    return started


def start(name: str, make: Maker, directory: Path, seconds: float) -> Subject:
    """Start one, in a directory of its own below this one."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
    with placed(Side.SERVER):
        return make(directory / slug, seconds)


def stop_all(subjects: Mapping[str, Subject]) -> list[str]:
    """End them; what was wrong."""
    return [f"{name}: {text}" for name, subject in subjects.items() for text in subject.stop()]


def installed_callsim() -> str:
    """The command of this environment, else the one on the path."""
    beside = Path(sys.executable).with_name("callsim")
    found = str(beside) if beside.exists() else shutil.which("callsim")
    if found is None:
        raise BenchmarkError("callsim is not installed: run `make setup`")
    return found
