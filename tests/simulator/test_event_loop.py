"""`callsim serve` runs in uvloop's event loop where that is installed."""

import asyncio
import sys
from types import SimpleNamespace

import pytest

from simulator.serving import run


class OtherLoop(asyncio.SelectorEventLoop):
    pass


async def _loop() -> type[asyncio.AbstractEventLoop]:
    return type(asyncio.get_running_loop())


def test_uvloop_is_taken_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(new_event_loop=OtherLoop))
    assert run(_loop()) is OtherLoop


def test_without_it_asyncio_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert issubclass(run(_loop()), asyncio.SelectorEventLoop)
