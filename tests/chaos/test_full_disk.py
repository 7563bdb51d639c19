"""A disk without room, a store that cannot be written: calls end all the same, and are recorded."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from simulator.backlog import STORE
from simulator.event_views import ServiceStateChanged
from tests.chaos.disk import NoDisk, SmallDisk
from tests.chaos.kills import Stage
from tests.support.live_server import LiveServer

ROOM = 1024  # octets of a file: what the server logs fits, a page of the store does not


def trouble(stage: Stage) -> None:
    """It is noticed, and calls end as before, without a record in the store."""
    stage.server.wait_for(lambda: stage.status() == "degraded", "notice of the trouble")
    stage.wait_for_more("ended", 5)  # those that were under way
    before = len(stage.server.cdrs())
    stage.wait_for_more("ended", 10)
    assert len(stage.server.cdrs()) == before
    assert stage.status() == "degraded"


def mended(stage: Stage) -> None:
    stage.server.wait_for(lambda: stage.status() == "healthy", "the end of the trouble")
    stage.server.wait_for(lambda: "CDRs are stored again" in stage.server.errors, "a line of it")


def judged(stage: Stage) -> None:
    """No more than what is on disk at this moment is judged."""
    stage.caller.wait()
    stage.kill()
    stage.start()
    verdict = stage.finish()
    assert verdict.good, verdict
    assert verdict.answered == stage.caller.calls


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, rate=20, seconds=4) as made:
        made.wait_for_more("ended", 3)
        yield made


def test_no_file_can_grow(stage: Stage) -> None:
    stage.limit_files(ROOM)
    trouble(stage)
    stage.limit_files(None)
    mended(stage)
    judged(stage)


def test_a_kill_while_no_file_can_grow(stage: Stage) -> None:
    """What was acknowledged meanwhile is in the journal, and nowhere else."""
    stage.limit_files(ROOM)
    trouble(stage)
    stage.kill()
    stage.start()
    assert " CDRs had waited in the journal" in stage.server.errors
    assert " 0 CDRs had waited" not in stage.server.errors
    verdict = stage.finish()
    assert verdict.good, verdict
    assert verdict.ended >= 18


def test_somebody_else_holds_the_store(stage: Stage) -> None:
    with closing(
        sqlite3.connect(stage.server.directory / "data" / "cdr.sqlite", isolation_level=None)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        trouble(stage)
        other.execute("ROLLBACK")
    mended(stage)
    judged(stage)


def test_a_full_file_system(tmp_path: Path) -> None:
    """No octet is left, and pages of the journal are written for the first time then."""
    try:
        disk = SmallDisk(tmp_path / "server" / "data", 6 << 20)
    except NoDisk as why:
        pytest.skip(str(why))
    with disk, Stage(tmp_path, rate=20, seconds=4, prefix=disk.prefix) as stage:
        stage.wait_for_more("ended", 3)
        disk.fill()
        stage.server.wait_for(lambda: stage.status() == "degraded", "notice of the full disk")
        stage.wait_for_more("ended", 15)
        assert stage.status() == "degraded"
        assert "database or disk is full" in stage.server.errors
        stage.kill()
        disk.free()
        stage.start()
        assert " 0 CDRs had waited" not in stage.server.errors
        disk.fill()
        stage.server.wait_for(lambda: stage.status() == "degraded", "notice of the full disk")
        disk.free()
        mended(stage)
        stage.caller.wait()
        stage.kill()
        stage.start()
        stage.stop()
        disk.copy()
        verdict = stage.judge()
    assert verdict.good, verdict
    assert verdict.ended >= 18


# -- at the start --------------------------------------------------------------------------


def started(prefix: list[str], data: Path) -> subprocess.CompletedProcess[str]:
    """``callsim serve`` in a folder that is of no use: it ends by itself."""
    command = [sys.executable, "-m", "simulator", "serve", "--data-dir", str(data)]
    listeners = ["--sip", "udp:127.0.0.1:0", "--api", "http://127.0.0.1:0"]
    return subprocess.run(
        [*prefix, *command, *listeners], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    data = tmp_path / "data"
    prefix: list[str] = []
    if os.geteuid() == 0:  # who may write everywhere but where nobody can
        data.mkdir()
        prefix = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro none "$0" && exec "$@"']
        prefix.append(str(data))
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
            pytest.skip("nothing can be mounted here")
    else:
        data.mkdir(mode=0o500)
    ended = started(prefix, data)
    assert ended.returncode == 2
    why = "Read-only file system" if prefix else "Permission denied"
    assert ended.stderr == (
        f"server.data_dir: '{data}/calls.journal' cannot be written: {why}; see that the folder "
        "is writable and has room, or choose another by --data-dir\n"
    )


# -- news ----------------------------------------------------------------------------------


def test_readers_of_events_are_told(tmp_path: Path) -> None:
    with LiveServer(tmp_path, {}) as live:
        reader = live.do(lambda server: server.events.reader(lambda: None))
        backlog = live.server.store.backlog  # type: ignore[attr-defined]
        backlog.report(STORE, "cdr.sqlite: disk I/O error")
        live.do(lambda _: None)
        assert live.do(lambda server: server.health().status) == "degraded"
        backlog.report(STORE, "")
        live.do(lambda _: None)
        events = live.do(lambda _: reader.take(10))
    told = [event for event in events if isinstance(event, ServiceStateChanged)]
    states = [(one.service_name, one.current_state, one.message) for one in told]
    assert states[:2] == [
        ("Reporting", "error", "cdr.sqlite: disk I/O error"),
        ("Reporting", "running", "CDRs are stored again"),
    ]
