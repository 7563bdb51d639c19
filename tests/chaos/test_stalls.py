"""A process that stands still, a clock that is set: calls go on, and records stay sane."""

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scenarios.server import ServerProcess
from tests.chaos.crowd import Crowd

T1: Final = 0.1
TIMEOUT: Final = 64 * T1
FAST: Final = {"sip.t1": T1, "sip.t2": 4 * T1, "sip.t4": T1, "admission.delay": 0}
MANY: Final = 150
"""More datagrams than are read at a time."""


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process stands still meanwhile, as in a virtual machine that is moved."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_process_that_stood_still(tmp_path: Path) -> None:
    """What came meanwhile is read before timers end the calls that waited for it."""
    with ServerProcess(tmp_path, settings=FAST) as server, Crowd(server.sip, MANY) as crowd:
        crowd.say("INVITE")
        crowd.hears("200 INVITE")
        with stopped(server.pid):
            crowd.say("ACK")
            time.sleep(TIMEOUT + 1.0)  # every 200 has waited longer than it may
        server.wait_for(lambda: server.rest("GET", "/health")["status"] == "degraded", "the news")
        assert len(server.calls(limit=1000)) == MANY
        assert crowd.said_to("BYE") == 0
        crowd.say("BYE")
        crowd.hears("200 BYE")
        assert "the process stood still for" in server.errors
    assert [record.call_result for record in server.cdrs()] == ["completed"] * MANY


HOUR: Final = 3600.0
SHIFT: Final = Path(__file__).with_name("other_clock.py")


def set_shift(file: Path, seconds: float) -> None:
    """The server, which reads it at any moment, finds all of it or what was there before."""
    beside = file.with_suffix(".new")
    beside.write_text(str(seconds))
    beside.replace(file)


def test_a_clock_that_is_set(tmp_path: Path) -> None:
    """Timers go on; a call keeps the clock that it began with, the next one has the new one."""
    step = -HOUR
    file = tmp_path / "shift"
    set_shift(file, 0.0)
    prefix = [sys.executable, str(SHIFT), str(file)]
    began = time.time()
    with (
        ServerProcess(tmp_path, settings=FAST, prefix=prefix) as server,
        Crowd(server.sip, 1) as before,
        Crowd(server.sip, 1) as after,
    ):
        before.say("INVITE")
        before.hears("200 INVITE")
        before.say("ACK")
        set_shift(file, step)
        news = re.compile(r"set by -(3599|3600)\.\d s")
        server.wait_for(lambda: news.search(server.errors), "the news")
        after.say("INVITE")
        after.hears("200 INVITE")
        after.say("ACK")
        time.sleep(0.5)  # no timer takes the step for its time, or waits for that
        assert len(server.calls()) == 2
        for crowd in (before, after):
            crowd.say("BYE")
            crowd.hears("200 BYE")
    records = {record.sip_call_id: record for record in server.cdrs()}
    assert len(records) == 2
    for crowd, shift in ((before, 0.0), (after, step)):
        record = records[crowd.call_ids[0]]
        start, end = record.call_start_time / 1000 - shift, record.call_end_time / 1000 - shift
        assert began < start < end < time.time()
        assert 0.5 < end - start < HOUR / 2
        assert record.call_result == "completed"
