"""Runs SIPp: one scenario on a port of its own, bounded in time; its exit code is the verdict."""

import csv
import secrets
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scenarios.child import Child

SCENARIOS: Final = Path(__file__).parent / "sipp"
LOOPBACK: Final = "127.0.0.1"
BUILT_IN: Final = ("uac", "uas")
"""Scenarios of SIPp itself that `SippRun` takes as well."""

_CANNOT_BIND: Final = "Unable to bind"
_SPARE: Final = 5.0  # seconds from SIPp's own limit to the end by force
_START: Final = 10.0
_PORTS: Final = range(10_000, 32_000)
_EXCERPT: Final = 3000

Address = tuple[str, int]


class SippError(Exception):
    """SIPp cannot be run, or its scenario did not go as it should."""


class SippMissing(SippError):
    """There is no SIPp on this machine."""


def scenario_names() -> list[str]:
    """The scenarios that come with Callsim, in order of name."""
    return sorted(path.stem for path in SCENARIOS.glob("*.xml"))


def sipp_program() -> str:
    """The path of SIPp. Raises SippMissing, which names the package."""
    path = shutil.which("sipp")
    if path is None:
        raise SippMissing("SIPp is not installed: apt-get install sip-tester (Debian, Ubuntu)")
    return path


def free_port(in_a_row: int = 1) -> int:
    """A port of 127.0.0.1, free a moment ago on UDP and TCP; the first of so many.

    It lies below those that systems give to whoever asks for none in particular, so that
    nobody gets it by chance before the program that it is meant for.
    """
    while True:
        port = _PORTS.start + secrets.randbelow(len(_PORTS) - in_a_row)
        if all(map(_is_free, range(port, port + in_a_row))):
            return port


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                return False
    return True


@dataclass(frozen=True, slots=True)
class SippResult:
    """What came of a run of `calls` calls. `errors` is what SIPp complained of, shortened."""

    calls: int
    exit_code: int
    successful: int
    failed: int
    retransmissions: int
    cpu_seconds: float
    errors: str = ""

    @property
    def good(self) -> bool:
        """Whether every call went as the scenario says."""
        return self.exit_code == 0 and self.successful == self.calls


class SippRun:
    """One run of SIPp, over UDP from `port` of the address `local`; it begins at once.

    `scenario` is a name from `scenario_names`, one of `BUILT_IN`, or the path of a file.
    A caller needs `remote`, a callee does not. `service` is the number called, `hold_ms` the
    length of a ``<pause/>``, `keys` are the scenario's ``[keywords]``. After `seconds` SIPp
    gives up, and is ended a little later if it does not. Files go to `directory`.

    Raises SippMissing, and SippError when SIPp does not start.
    """

    def __init__(
        self,
        scenario: str | Path,
        directory: Path,
        remote: Address | None = None,
        *,
        calls: int = 1,
        rate: float = 10,
        service: str = "2000",
        hold_ms: int = 0,
        keys: Mapping[str, str] | None = None,
        seconds: float = 60,
        port: int | None = None,
        local: str = LOOPBACK,
        options: Sequence[str] = (),
    ) -> None:
        self.scenario = str(scenario)
        self.directory = directory
        self.calls = calls
        self.seconds = seconds
        self._local = local
        self._result: SippResult | None = None
        directory.mkdir(parents=True, exist_ok=True)
        arguments = [
            *_scenario_options(scenario),
            *["-i", local, "-mi", local, "-ci", LOOPBACK, "-bind_local", "-nostdin"],
            *["-m", str(calls), "-r", f"{rate:g}", "-s", service, "-d", str(hold_ms)],
            *["-timeout", f"{seconds:g}", "-timeout_error", "-buff_size", "4194304"],
            *["-trace_err", "-error_file", str(self._error_log)],
            *["-trace_stat", "-stf", str(self._statistics), "-fd", "1"],
            *(part for key, value in (keys or {}).items() for part in ("-key", key, value)),
            *options,
        ]
        if remote is not None:
            arguments.append(f"{remote[0]}:{remote[1]}")
        self._started = time.monotonic()
        self._child, self.port = self._start(arguments, port)

    @property
    def address(self) -> Address:
        """Where it listens, and sends from."""
        return (self._local, self.port)

    @property
    def uri(self) -> str:
        """The same as a SIP URI, for a route."""
        return f"sip:{self._local}:{self.port}"

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._child.pid

    def _start(self, arguments: list[str], wanted: int | None) -> tuple[Child, int]:
        # SIPp that cannot keep its rate may ignore its own -timeout.
        limit = ["timeout", "-s", "KILL", f"{self.seconds + _SPARE:g}"]
        command = [*limit, sipp_program(), *arguments]
        output = self.directory / "output.log"
        tries = 1 if wanted else 3
        while True:
            port = wanted or free_port()
            for file in (self._statistics, self._error_log):
                file.unlink(missing_ok=True)
            child = Child([*command, "-p", str(port)], output, directory=self.directory)
            if self._is_open(child):
                return child, port
            child.end()
            complaint = self._complaint(child)
            tries -= 1
            # Somebody may have taken the port just before.
            if not tries or _CANNOT_BIND not in complaint:
                raise SippError(f"SIPp {self.scenario} did not start: {complaint}")

    def _is_open(self, child: Child) -> bool:
        """Wait until SIPp has its sockets; False when it ends before or takes too long."""
        deadline = time.monotonic() + _START
        # It begins this file when it has opened them, or has written why it could not.
        while not self._statistics.exists():
            if child.wait(0.005) is not None or time.monotonic() > deadline:
                return False
        return _CANNOT_BIND not in self._error_text()

    @property
    def _statistics(self) -> Path:
        return self.directory / "statistics.csv"

    @property
    def _error_log(self) -> Path:
        return self.directory / "errors.log"

    def _error_text(self) -> str:
        log = self._error_log
        return log.read_text("utf-8", "replace").strip() if log.exists() else ""

    def wait(self, seconds: float | None = None) -> SippResult:
        """The result, once it has ended; after `seconds` (else its own limit) by force."""
        if self._result is None:
            left = self._started + self.seconds + 2 * _SPARE - time.monotonic()
            self._child.wait(left if seconds is None else seconds)
            self._child.end()
            self._result = self._read_result()
        return self._result

    def check(self, seconds: float | None = None) -> SippResult:
        """As `wait`; raises SippError, with SIPp's complaint, unless every call went well."""
        result = self.wait(seconds)
        if not result.good:
            raise SippError(
                f"SIPp {self.scenario}: exit code {result.exit_code}, {result.successful} of "
                f"{result.calls} calls went well, {result.failed} failed\n{result.errors}"
            )
        return result

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._child.wait(0) is None

    def stop(self) -> None:
        """End it now, if it still runs."""
        self._child.end()

    def _read_result(self) -> SippResult:
        code = self._child.exit_code
        assert code is not None
        figures = _last_row(self._statistics)
        return SippResult(
            calls=self.calls,
            exit_code=code,
            successful=int(figures.get("SuccessfulCall(C)", 0)),
            failed=int(figures.get("FailedCall(C)", 0)),
            retransmissions=int(figures.get("Retransmissions(C)", 0)),
            cpu_seconds=self._child.cpu_seconds,
            errors="" if code == 0 else self._complaint(self._child),
        )

    def _complaint(self, child: Child) -> str:
        """The error log's beginning (the first fault counts), else SIPp's output."""
        return self._error_text()[:_EXCERPT] or child.error_text(_EXCERPT) or "it said nothing"


def _scenario_options(scenario: str | Path) -> list[str]:
    if scenario in BUILT_IN:
        return ["-sn", str(scenario)]
    path = scenario if isinstance(scenario, Path) else SCENARIOS / f"{scenario}.xml"
    if not path.exists():
        known = ", ".join([*BUILT_IN, *scenario_names()])
        raise SippError(f"no scenario {str(scenario)!r}; known: {known}")
    return ["-sf", str(path)]


def _last_row(path: Path) -> dict[str, str]:
    """The latest line of a -trace_stat file; nothing when SIPp wrote none."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    return {key: value for key, value in rows[-1].items() if value} if rows else {}


def sipp_below(pid: int) -> int:
    """SIPp itself: it runs below the `timeout` that bounds it."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        return int(child)
    return pid
