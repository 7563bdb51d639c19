"""When the garbage collector runs: often a little, seldom all; and whether the loop is in time."""

import asyncio
import gc
import logging
from collections.abc import Callable
from typing import Final

from sip.endpoint import Endpoint

log = logging.getLogger(__name__)

COLLECT_YOUNG: Final = 0.1
"""Seconds from one collection of young garbage to the next.

Calls free themselves by reference counts, so the collector is there for the rest alone. By
itself it would start when more was made than freed: a steady load makes as much as it frees,
and then one collection finds all transactions of a minute and stops the calls for 150 ms.
What a tenth of a second leaves behind takes some milliseconds at the highest rate.
"""

COLLECT_OLD: Final = 60.0
"""Seconds from one look whether all objects may be collected to the next."""

_QUIET: Final = 1_000
"""Transactions and sessions at most, for the collector to look at all objects."""

_COLLECT_ANYWAY: Final = 15
"""Looks after which all objects are collected although the server is busy."""


async def collect_young(every: float, woke: Callable[[float], None]) -> None:
    """Free what was made and died in a circle since the last time.

    `woke` is told each time how many seconds late that is. What goes wrong there is logged, the
    first time, and does not end this: nobody else would collect.
    """
    loop = asyncio.get_running_loop()
    before = loop.time()
    failed = False
    while True:
        await asyncio.sleep(every)
        now = loop.time()
        try:
            woke(now - before - every)
            failed = False
        except Exception:
            if not failed:
                log.exception("the look around failed")
            failed = True
        before = now
        gc.collect(0)


async def collect_old(endpoint: Endpoint, every: float) -> None:
    """Free what died old and in a circle, when nobody is kept waiting by it, or too long after."""
    put_off = 0
    while True:
        await asyncio.sleep(every)
        busy = len(endpoint.servers) + len(endpoint.clients) + len(endpoint.sessions)
        put_off += 1
        if busy <= _QUIET or put_off >= _COLLECT_ANYWAY:
            gc.collect()
            put_off = 0
