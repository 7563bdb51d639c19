"""A UDP socket is read at once while it is quiet, and by the clock while it is busy."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from sip.aio.udp import UdpListener

PAUSE = 0.001


class Loop(asyncio.BaseEventLoop):
    """An event loop that does nothing by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.reader: Callable[..., object] | None = None
        self.later: list[tuple[float, Callable[..., object]]] = []

    def time(self) -> float:
        return self.now

    def add_reader(  # type: ignore[override]
        self, fd: object, callback: Callable[..., Any], *args: Any
    ) -> None:
        self.reader = callback

    def remove_reader(self, fd: object) -> bool:
        self.reader = None
        return True

    def remove_writer(self, fd: object) -> bool:
        return True

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, **_: Any
    ) -> asyncio.TimerHandle:
        self.later.append((delay, callback))
        return asyncio.TimerHandle(self.now + delay, callback, args, self)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self.later.clear()


class Watched:
    """A listener on `loop`; each reading finds the next of `counts`, or one datagram."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.readings = 0
        self.counts: list[int] = []
        self.listener = UdpListener("127.0.0.1", 0)
        self.listener.watch(self.loop, self.read)

    def read(self) -> int:
        self.readings += 1
        return self.counts.pop(0) if self.counts else 1

    def arrive(self, times: int, apart: float) -> None:
        """So many datagrams, as long as the socket is watched for them."""
        for _ in range(times):
            self.loop.now += apart
            if self.loop.reader is not None:
                self.loop.reader()

    def pause(self, count: int) -> float:
        """The next pause ends and `count` datagrams are there; how long it was."""
        [(delay, callback)] = self.loop.later
        self.loop.later.clear()
        self.counts.append(count)
        self.loop.now += delay
        callback()
        return delay

    def close(self) -> None:
        self.listener.close()
        self.loop.close()


@pytest.fixture
def watched() -> Iterator[Watched]:
    with closing(Watched()) as made:
        yield made


def test_a_quiet_socket_is_read_at_once(watched: Watched) -> None:
    watched.arrive(1000, PAUSE * 1.01)
    assert (watched.readings, watched.loop.later) == (1000, [])


def test_a_short_burst_is_read_at_once(watched: Watched) -> None:
    for _ in range(100):  # the messages of some calls, and then nothing
        watched.arrive(30, PAUSE / 10)
        watched.loop.now += 2 * PAUSE
    assert (watched.readings, watched.loop.later) == (3000, [])


def test_a_busy_socket_is_read_by_the_clock(watched: Watched) -> None:
    watched.arrive(100, PAUSE / 10)
    assert watched.readings < 40
    assert watched.loop.reader is None
    before = watched.readings
    assert [watched.pause(count) for count in (6, 1, 20)] == [PAUSE] * 3
    assert watched.readings == before + 3
    assert watched.loop.reader is None


def test_more_than_a_batch_is_read_without_a_pause(watched: Watched) -> None:
    watched.arrive(100, PAUSE / 10)
    watched.pause(64)
    assert watched.pause(3) == 0.0
    assert watched.pause(3) == PAUSE


def test_who_falls_quiet_is_read_at_once_again(watched: Watched) -> None:
    watched.arrive(100, PAUSE / 10)
    for count in (0, 0, 0, 1, 0, 0, 0, 0):
        assert watched.loop.reader is None
        watched.pause(count)
    assert watched.loop.reader is not None
    assert watched.loop.later == []
    before = watched.readings
    watched.arrive(1, 0.0)
    assert watched.readings == before + 1


def test_a_reading_that_fails_is_not_the_last(watched: Watched) -> None:
    watched.arrive(100, PAUSE / 10)

    def fail() -> int:
        raise ZeroDivisionError

    watched.listener.watch(watched.loop, fail)
    for _ in range(3):
        [(_, callback)] = watched.loop.later
        watched.loop.later.clear()
        with pytest.raises(ZeroDivisionError):
            callback()
    assert len(watched.loop.later) == 1


def test_one_that_is_closed_is_not_read_again(watched: Watched) -> None:
    watched.arrive(100, PAUSE / 10)
    watched.listener.close()
    assert watched.loop.later == []


def test_the_reader_may_close_it(watched: Watched) -> None:
    def read() -> int:
        watched.listener.close()
        return 1

    watched.listener.watch(watched.loop, read)
    watched.arrive(1, 0.0)
    assert watched.loop.later == []
