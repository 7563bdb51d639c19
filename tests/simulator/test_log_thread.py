"""What is logged is written by a thread; who logs does not wait for it."""

import asyncio
import io
import logging
from collections.abc import Iterator
from threading import Event

import pytest

from simulator import log_thread
from simulator.log_thread import LogThread


class Pipe(io.StringIO):
    """A stream that nobody reads until `reader` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = Event()
        self.stalled = Event()
        self.broken = False

    def write(self, text: str) -> int:
        self.stalled.set()
        assert self.reader.wait(10)
        if self.broken:
            raise BrokenPipeError
        return super().write(text)


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


@pytest.fixture
def log(pipe: Pipe) -> Iterator[logging.Logger]:
    logger = logging.Logger("somebody")
    handler = LogThread(pipe)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    yield logger
    pipe.reader.set()
    handler.close()


def test_a_stalled_stream_holds_nobody_up(pipe: Pipe, log: logging.Logger) -> None:
    log.warning("one: %d", 1)
    assert pipe.stalled.wait(10)
    try:
        raise ValueError("two")
    except ValueError:
        log.exception("it failed")
    assert pipe.getvalue() == ""
    pipe.reader.set()
    log.handlers[0].close()
    lines = pipe.getvalue().splitlines()
    assert lines[:2] == ["WARNING one: 1", "ERROR it failed"]
    assert lines[-1] == "ValueError: two"


def test_what_does_not_fit_is_counted(
    pipe: Pipe, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_thread, "MOST_WAITING", 2)
    log.warning("first")
    assert pipe.stalled.wait(10)  # the thread has taken it; two more may wait
    for number in range(5):
        log.warning("%d", number)
    pipe.reader.set()
    log.handlers[0].close()
    assert pipe.getvalue().splitlines() == [
        "WARNING first",
        "WARNING 0",
        "WARNING 3 log lines were left out: they came faster than written",
        "WARNING 1",
    ]


def test_a_stream_that_breaks_is_no_fault(pipe: Pipe, log: logging.Logger) -> None:
    pipe.broken = True
    log.warning("lost")
    log.warning("lost too")
    pipe.reader.set()
    log.handlers[0].close()
    assert pipe.getvalue() == ""


def test_without_a_line_there_is_no_thread(pipe: Pipe) -> None:
    handler = LogThread(pipe)
    handler.close()
    assert not pipe.stalled.is_set()


def test_a_line_has_the_id_of_the_request_that_it_is_for() -> None:
    stream = io.StringIO()
    handler = LogThread(stream)
    handler.setFormatter(logging.Formatter("%(message)s%(request)s"))
    logger = logging.Logger("somebody")
    logger.addHandler(handler)

    async def work() -> None:
        logger.warning("later")

    async def request(name: str) -> None:
        with log_thread.serving(name):
            logger.warning("at once")
            # Neither a timer nor a task that a request starts works for it alone.
            asyncio.get_running_loop().call_soon(logger.warning, "timer")
            await asyncio.create_task(work())
            await asyncio.to_thread(logger.warning, "thread")
            logger.warning("in the end")
        logger.warning("after it")

    asyncio.run(request("one"))
    handler.close()
    assert stream.getvalue().splitlines() == [
        "at once [one]", "timer", "later", "thread", "in the end [one]", "after it",
    ]  # fmt: skip
