"""What the reporting interface asks: of the records on disk, and of the running server.

Queries of the records run one after another in a thread of their own, so that calls go on;
an export is many small ones, between which others have their turn.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from simulator.cdr_csv import HEAD
from simulator.cdr_queries import (
    ApplicationLine,
    CdrFilter,
    CdrPage,
    ServerLine,
    SummaryLine,
)
from simulator.errors import RecordNotFound

if TYPE_CHECKING:
    from simulator.admission import Refusals
    from simulator.cdr_records import CdrRecord
    from simulator.licence import Licences
    from simulator.server import CallServer
    from simulator.statistics import Counts

T = TypeVar("T")

MOST_WAITING: Final = 100
"""Queries that may wait for their turn."""

MOST_EXPORTS: Final = 2
"""Exports that may run at a time."""

EXPORTED_AT_ONCE: Final = 500
"""Records that one query of an export reads: some 10 ms."""

_LATEST: Final = 253_370_000_000_000  # in the year 9998, which no zone makes the year 10000


@dataclass(frozen=True, slots=True)
class RealtimeView:
    """The calls of this moment, by state; `peak` is the most there were at a time.

    Usages are in percent, `cpu_average` since the start.
    """

    server_name: str
    active_calls: int
    ringing: int
    self_service: int
    queued: int
    connected: int
    transferring: int
    on_hold: int
    calls_per_second: float
    peak: int
    cpu_usage: float
    cpu_average: float
    memory_usage: float


@dataclass(frozen=True, slots=True)
class IntervalView:
    """What was counted from `start` to `end`, seconds since the epoch."""

    start: float
    end: float
    counts: "Counts"


@dataclass(frozen=True, slots=True)
class ServiceView:
    """SIP and ICM statistics: this moment, the interval, the one before it, and all.

    `licences` are those of this moment, or None where they are not counted. `overload` is why
    calls are refused at present, empty where they are not; `refused` are those since the start.
    """

    active_calls: int
    active_legs: int
    icm_calls: int
    vru_calls: int
    interval: float
    current: IntervalView
    last: IntervalView
    total: IntervalView
    licences: "Licences | None"
    overload: str
    refused: "Refusals"


class ReportsBusy(Exception):
    """Too many queries wait, or too many exports run already."""


class Reports:
    """The reports of `server`."""

    def __init__(self, server: "CallServer") -> None:
        self._server = server
        self._executor: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._exports = 0

    # Of the records.

    async def page(self, wanted: CdrFilter) -> CdrPage:
        """How many records match, and those of one page."""
        return await self._run(lambda: self._page(wanted))

    def _page(self, wanted: CdrFilter) -> CdrPage:
        page = self._server.store.page(wanted)
        for record in page.records:
            self._set_zone(record)
        return page

    @asynccontextmanager
    async def export(self, wanted: CdrFilter) -> AsyncIterator[AsyncIterator[str]]:
        """All records that match and are stored by now, in order, as pieces of CSV.

        A piece is read when it is asked for, so who is slow holds up nobody; the first has the
        line of names as well. Raises ReportsBusy, as the first piece does: an export under way
        waits for its turn behind any number.
        """
        if self._exports >= MOST_EXPORTS:
            raise ReportsBusy(f"{MOST_EXPORTS} exports run already; ask again later")
        self._exports += 1
        try:
            async with aclosing(self._pieces(replace(wanted, limit=EXPORTED_AT_ONCE))) as pieces:
                yield pieces
        finally:
            self._exports -= 1

    async def _pieces(self, wanted: CdrFilter) -> AsyncGenerator[str, None]:
        store = self._server.store
        wanted = replace(wanted, newest=await self._run(store.newest))
        piece = await self._run(partial(store.csv, wanted))
        yield HEAD + piece.text
        while piece.cursor is not None:
            more = replace(wanted, cursor=piece.cursor)
            piece = await self._run(partial(store.csv, more), under_way=True)
            yield piece.text

    async def record(self, guid: str) -> "CdrRecord":
        """The last record of a call. Raises RecordNotFound."""
        record = await self._run(lambda: self._server.store.get(guid))
        if record is None:
            raise RecordNotFound(f"no call that has ended has the GUID {guid!r}")
        self._set_zone(record)
        return record

    def _set_zone(self, record: "CdrRecord") -> None:
        """By the zone that the server has now (`icm.timezone`): records do not keep it."""
        start = max(0, min(record.call_start_time, _LATEST)) / 1000
        record.local_time_zone_offset = self._server.router.utc_offset(start)

    async def summary(self, wanted: CdrFilter, interval: int) -> list[SummaryLine]:
        """Figures of the calls that match, by intervals of so many milliseconds."""
        return await self._run(lambda: self._server.store.summary(wanted, interval))

    async def applications(self, wanted: CdrFilter, name: str | None) -> list[ApplicationLine]:
        """Figures by application."""
        return await self._run(lambda: self._server.store.applications(wanted, name))

    async def servers(self, start: int, end: int) -> list[ServerLine]:
        """Figures by server."""
        return await self._run(lambda: self._server.store.servers(start, end))

    async def _run(self, query: Callable[[], T], *, under_way: bool = False) -> T:
        if self._waiting >= MOST_WAITING and not under_way:
            raise ReportsBusy(f"{MOST_WAITING} queries wait already; ask again later")
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "cdr-reports")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, query)
        finally:
            self._waiting -= 1

    # Of the running server.

    def realtime(self) -> RealtimeView:
        """The calls of this moment."""
        server = self._server
        statistics = server.statistics
        now = server.stack.now()
        health = server.health()

        def count(state: str) -> int:
            return server.index.oldest(state, None, 0)[0]

        return RealtimeView(
            server_name=server.config.server.name,
            active_calls=len(server.calls),
            ringing=count("ringing"),
            self_service=count("self_service"),
            queued=count("queued"),
            connected=count("connected"),
            transferring=count("transferring"),
            on_hold=count("on_hold"),
            calls_per_second=statistics.calls_per_second(now),
            peak=statistics.peak,
            cpu_usage=health.cpu_usage,
            cpu_average=round(100.0 * time.process_time() / max(now - server.started, 1.0), 1),
            memory_usage=health.memory_usage,
        )

    def service(self) -> ServiceView:
        """The SIP and ICM statistics."""
        server = self._server
        statistics = server.statistics
        now = server.stack.now()
        statistics.roll(now)
        wall = server.wall
        began = statistics.last_end
        before = max(statistics.started, began - statistics.interval)
        treated = sum(server.index.oldest(s, None, 0)[0] for s in ("self_service", "queued"))
        direct = sum(1 for call in server.calls.values() if call.route.kind == "direct")
        return ServiceView(
            active_calls=len(server.calls),
            active_legs=len(server.stack.endpoint.owned),
            icm_calls=len(server.calls) - direct,
            vru_calls=treated,
            interval=statistics.interval,
            current=IntervalView(wall(began), wall(now), statistics.current),
            last=IntervalView(wall(before), wall(began), statistics.last),
            total=IntervalView(wall(statistics.started), wall(now), statistics.total()),
            licences=server.licences if server.licences.limit > 0 else None,
            overload=server.admission.overload,
            refused=server.admission.refused,
        )
