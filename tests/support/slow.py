"""Slow things, to show that the event loop does not wait for them."""

import asyncio
from threading import Event


class Slow:
    """Made in the loop; a call ends once the loop has had a turn since it began."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.calls = 0

    def __call__(self) -> None:
        turn = Event()
        self._loop.call_soon_threadsafe(turn.set)
        assert turn.wait(10), "the event loop waited for this"
        self.calls += 1
