"""The garbage collector looks at old objects while nobody waits for it."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Iterator
from random import Random
from typing import cast

import pytest

from simulator.collector import collect_old, collect_young
from sip.endpoint import Endpoint
from sip.ids import IdSource
from sip.transaction.server import ServerTransaction


class Circle:
    def __init__(self) -> None:
        self.me: Circle | None = self


@pytest.fixture
def dead() -> Iterator["weakref.ref[Circle]"]:
    """What only a full collection finds."""
    gc.disable()
    circle = Circle()
    gc.collect(1)
    gc.collect(1)
    found = weakref.ref(circle)
    del circle
    yield found
    gc.enable()


def look(endpoint: Endpoint, dead: "weakref.ref[Circle]", looks: int = 10) -> bool:
    """Whether so many looks have found it."""

    async def inner() -> bool:
        task = asyncio.create_task(collect_old(endpoint, 0.0))
        for _ in range(1 + looks):
            await asyncio.sleep(0)
        task.cancel()
        return dead() is None

    return asyncio.run(inner())


def test_a_quiet_server_frees_what_died_old(dead: "weakref.ref[Circle]") -> None:
    assert look(Endpoint([], IdSource(Random(1).randbytes)), dead)


def busy() -> Endpoint:
    endpoint = Endpoint([], IdSource(Random(1).randbytes))
    for number in range(1001):
        endpoint.servers[str(number)] = cast(ServerTransaction, None)
    return endpoint


def test_a_busy_one_waits(dead: "weakref.ref[Circle]") -> None:
    assert not look(busy(), dead)


def test_one_that_is_never_quiet_does_not_wait_for_ever(dead: "weakref.ref[Circle]") -> None:
    assert look(busy(), dead, looks=15)


def test_what_died_young_is_freed_whatever_the_load() -> None:
    gc.disable()
    try:
        circle = Circle()
        dead = weakref.ref(circle)
        del circle

        async def inner() -> None:
            task = asyncio.create_task(collect_young(0.0, lambda _late: None))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()

        asyncio.run(inner())
        assert dead() is None
    finally:
        gc.enable()


def test_whatever_goes_wrong_beside_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """And says so once, until all is well again."""
    outcomes = iter([True, False, False, True, False])
    over = asyncio.Event()

    def woke(_late: float) -> None:
        good = next(outcomes, None)
        if good is None:
            over.set()
        elif not good:
            raise OSError("no")

    async def inner() -> None:
        task = asyncio.create_task(collect_young(0.0, woke))
        await asyncio.wait_for(over.wait(), 20.0)
        task.cancel()

    with caplog.at_level(logging.ERROR):
        asyncio.run(inner())
    assert [record.getMessage() for record in caplog.records] == ["the look around failed"] * 2
