"""Calls through `callsim serve` that is killed and started again; then the records are judged.

With PostgreSQL as the store, that is stopped, crashed and frozen meanwhile as well.
"""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path
from random import Random
from typing import Final

from scenarios.runner import SippRun, free_port
from scenarios.server import ServerProcess
from tests.chaos.verdict import Verdict, judge
from tests.support.postgres import Cluster

CALLER: Final = Path(__file__).with_name("caller.xml")
HOLD: Final = 0.5
"""Seconds from the answer of a call to its BYE."""

_LONGEST: Final = 60.0  # seconds that SIPp has for the rest, and for each kill


class Stage:
    """A server at the same address after each start, and callers that do not stop for it.

    `rate` in calls a second, for `seconds`; `prefix` and `settings` as of `ServerProcess`. As a
    context manager it ends what it began.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rate: float,
        seconds: float,
        prefix: Sequence[str] = (),
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.folder = folder
        self._prefix = prefix
        # On a busy machine a call that waits is not to be refused: each is counted here.
        self._settings = {"admission.delay": 0, **(settings or {})}
        self.kills: list[float] = []
        self._port = free_port()
        self.server = self._start()
        self.caller = SippRun(
            CALLER,
            folder / "caller",
            self.server.sip,
            calls=int(rate * seconds),
            rate=rate,
            service="5000",
            hold_ms=int(HOLD * 1000),
            seconds=seconds + _LONGEST,
            options=[
                *["-trace_logs", "-log_file", str(self._log)],
                *["-l", "100000"],
            ],
        )

    def _start(self) -> ServerProcess:
        return ServerProcess(
            self.folder / "server",
            settings=self._settings,
            options=["--sip", f"udp:127.0.0.1:{self._port}"],
            prefix=self._prefix,
        )

    @property
    def _log(self) -> Path:
        return self.folder / "caller.log"

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self.caller.stop()
        self.server.kill()

    def kill(self) -> None:
        """kill -9, at once."""
        self.server.kill()
        self.kills.append(time.time())  # what began before it was dead began before

    def start(self) -> None:
        """The server again, on what it left behind."""
        self.server = self._start()

    def said(self, what: str) -> int:
        """How many calls the log says this of, by now."""
        if not self._log.exists():
            return 0
        text = self._log.read_text("utf-8", "replace")
        return sum(line.startswith(what) and line[-6:] != "INVITE" for line in text.splitlines())

    def wait_for_more(self, what: str, count: int) -> None:
        """Wait until the log says this of so many more calls."""
        wanted = self.said(what) + count
        self.server.wait_for(lambda: self.said(what) >= wanted, f"{count} calls that {what}")

    def limit_files(self, octets: int | None) -> None:
        """No file of the server may grow beyond this from now on: its disk is full."""
        soft = resource.RLIM_INFINITY if octets is None else octets
        resource.prlimit(self.server.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    def status(self) -> str:
        """What the server says of its health."""
        return str(self.server.rest("GET", "/health")["status"])

    def place_no_more(self) -> None:
        """The callers end what they have begun, and begin nothing."""
        limiter = self.caller.pid  # `timeout`, which would not pass the signal on
        sipp = Path(f"/proc/{limiter}/task/{limiter}/children").read_text()
        os.kill(int(sipp), signal.SIGUSR1)

    def stop(self) -> None:
        """Stop the server as one should."""
        self.server.stop()

    def finish(self) -> Verdict:
        """Wait for the callers, stop the server, and judge."""
        self.caller.wait()
        self.stop()
        return self.judge()

    def judge(self) -> Verdict:
        """What the log of the callers and the records on disk say of each other."""
        log = self._log.read_text("utf-8", "replace").splitlines()
        return judge(log, self.server.cdrs(), self.kills)


def settings_of(cluster: Cluster) -> dict[str, object]:
    """The records in an empty database of `cluster`, and a journal of the usual size."""
    return {"cdr.url": cluster.url(cluster.database()), "cdr.journal": 16}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to PostgreSQL about a kill: it begins before that, and ends after it, or
    before it as well where it is `over` then.
    """

    begin: Callable[[], None]
    end: Callable[[], None]
    over: bool = False


def troubles(cluster: Cluster) -> Iterator[Trouble]:
    """Stopped, frozen once, and then more of the first kind."""
    stopped = Trouble(cluster.stop, cluster.start)
    frozen = Trouble(cluster.freeze, cluster.thaw)
    restarted = Trouble(cluster.stop, cluster.start, over=True)
    crashed = Trouble(lambda: cluster.stop("immediate"), cluster.start)
    return chain([stopped, frozen], cycle([restarted, crashed, stopped]))


def kill_often(
    folder: Path, *, kills: int, rate: float, seed: int, cluster: Cluster | None = None
) -> Verdict:
    """So many kills, each at a random moment of half a second to two after the start.

    About each but the last one something happens to `cluster`, which has the records, if any.
    """
    random = Random(seed)
    pauses = [random.uniform(0.5, 2.0) for _ in range(kills)]
    settings = None if cluster is None else settings_of(cluster)
    planned: list[Trouble | None] = [None] * kills
    if cluster is not None:
        planned[:-1] = islice(troubles(cluster), kills - 1)
    with Stage(folder, rate=rate, seconds=_LONGEST * kills, settings=settings) as stage:
        for pause, trouble in zip(pauses, planned, strict=True):
            time.sleep(pause)  # the moment is what the test is about
            if trouble is None:
                stage.kill()
                stage.start()
                continue
            trouble.begin()
            time.sleep(random.uniform(0.1, 0.5))
            if trouble.over:
                trouble.end()
            stage.kill()
            stage.start()
            if not trouble.over:
                time.sleep(random.uniform(0.1, 1.0))
                trouble.end()
        stage.wait_for_more("ended", int(rate * HOLD))
        stage.place_no_more()
        return stage.finish()


def journal_size(folder: Path) -> int:
    """Octets of the journal of a server in `folder`."""
    return os.stat(folder / "server" / "data" / "calls.journal").st_size
