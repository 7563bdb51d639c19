"""`callsim serve` runs in uvloop's event loop where that is installed."""

import asyncio
import sys
from types import SimpleNamespace

import pytest

from simulator import __main__ as command


class OtherLoop(asyncio.SelectorEventLoop):
    pass


async def _loop() -> type[asyncio.AbstractEventLoop]:
    return type(asyncio.get_running_loop())


def test_uvloop_is_taken_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(new_event_loop=OtherLoop))
    assert command.run(_loop()) is OtherLoop


def test_without_it_asyncio_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert issubclass(command.run(_loop()), asyncio.SelectorEventLoop)
