"""The export of records: whole, as CSV, and without end for nobody who does not read it."""

import asyncio
import csv
import io
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from simulator.cdr_csv import CsvPiece
from simulator.cdr_queries import CdrFilter
from simulator.cdr_records import CdrRecord, CdrStoreError
from simulator.errors import ReportTooLong
from simulator.reports import ReportsBusy
from tests.api.support import USER, Client, FakeCallServer, FakeReports, basic, run, serving
from tests.support.records import RecordsInMemory

EXPORT = "/cvp-reporting/rest/cdr.csv"
START = 1_780_000_000_000


def records(count: int) -> list[CdrRecord]:
    return [
        CdrRecord(
            f"{number:032X}",
            START + number,
            START + number + 1000,
            calling_number="+4930123",
            called_number=str(7000 + number % 2),
        )
        for number in range(count)
    ]


class Endless(RecordsInMemory):
    """Has always another piece; `asked` counts them."""

    def __init__(self, trouble_at: int = -1) -> None:
        super().__init__()
        self.asked = 0
        self.trouble_at = trouble_at

    def csv(self, wanted: CdrFilter) -> CsvPiece:
        self.asked += 1
        if self.asked == self.trouble_at:
            raise CdrStoreError("the CDR store 'x' cannot be read: disk I/O error")
        return CsvPiece("x" * 262_142 + "\r\n", self.asked)


class WatchedReports(FakeReports):
    """Tells when an export is over."""

    def __init__(self, store: RecordsInMemory, before: Callable[[], None] = lambda: None) -> None:
        super().__init__(store, before)
        self.over = asyncio.Event()

    @asynccontextmanager
    async def export(self, wanted: CdrFilter) -> AsyncIterator[AsyncIterator[str]]:
        begun = False
        try:
            async with super().export(wanted) as pieces:
                begun = True
                yield pieces
        finally:
            if begun:
                self.over.set()


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


@run
async def test_all_records_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.reports.EXPORTED_AT_ONCE", 100)
    fake = FakeCallServer(reports=FakeReports(RecordsInMemory(records(1234))))
    async with serving(fake) as client:
        reply = await client("get", EXPORT)
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert reply.headers["Content-Disposition"] == 'attachment; filename="cdr.csv"'
        assert reply.headers["Transfer-Encoding"] == "chunked"
        shown = rows(reply.text)
        assert [line["callGuid"] for line in shown] == [f"{n:032X}" for n in reversed(range(1234))]
        assert {line["callingNumber"] for line in shown} == {"'+4930123"}
        some = "calledNumber=7001&sortOrder=asc&startTime=2026-05-28T20:26:40.100Z"
        shown = rows((await client("get", f"{EXPORT}?{some}")).text)
        assert [line["callGuid"] for line in shown] == [f"{n:032X}" for n in range(101, 1234, 2)]
        none = await client("get", f"{EXPORT}?callGuid=none")
        assert none.text.count("\r\n") == 1
        head = await client("head", EXPORT)
        assert (head.status, head.text) == (200, "")
        assert head.headers["Content-Type"] == "text/csv; charset=utf-8"


@run
async def test_what_is_wrong_is_told_before_the_first_line() -> None:
    def broken() -> None:
        raise CdrStoreError("the CDR store 'x' cannot be read: disk I/O error")

    fake = FakeCallServer(reports=FakeReports(RecordsInMemory(), before=broken))
    async with serving(fake) as client:
        assert "disk I/O error" in (await client("get", EXPORT)).error(503, "CDR_STORE")
        for query in ("limit=5", "cursor=1", "startTime=yesterday", "sortBy=x"):
            told = (await client("get", f"{EXPORT}?{query}")).error(400, "INVALID_REQUEST")
            assert query.partition("=")[0] in told
        (await client("get", EXPORT, login=False)).error(401)


async def stalled(client: Client) -> socket.socket:
    """A connection that has asked for an export and reads nothing of it."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    address = (client.address.host, client.address.port)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, address)
    login = basic(USER)["Authorization"]
    host = f"{address[0]}:{address[1]}"
    request = f"GET {EXPORT} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {login}\r\n\r\n"
    await loop.sock_sendall(connection, request.encode())
    return connection


@run
async def test_who_takes_nothing_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    store = Endless()
    reports = WatchedReports(store)
    async with serving(FakeCallServer(reports=reports), patience=0.2) as client:
        connection = await stalled(client)
        await reports.over.wait()
        connection.close()
    assert store.asked < 100, "no more is read than is taken"
    assert "takes nothing of its export" in caplog.text


@run
async def test_who_takes_too_long_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """However steadily it reads: others wait for its place."""
    reports = WatchedReports(Endless())
    async with serving(FakeCallServer(reports=reports), longest_export=0.3) as client:
        with pytest.raises(aiohttp.ClientError):
            await client("get", EXPORT)
        await reports.over.wait()
    assert "takes more than 0.3 s for its export" in caplog.text


@run
async def test_an_export_under_way_goes_on_while_many_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("simulator.reports.EXPORTED_AT_ONCE", 10)
    reports = FakeReports(RecordsInMemory(records(25)))
    async with reports.export(CdrFilter()) as pieces:
        text = await anext(pieces)
        monkeypatch.setattr("simulator.reports.MOST_WAITING", 0)
        with pytest.raises(ReportsBusy):
            await reports.page(CdrFilter())
        text += "".join([piece async for piece in pieces])
        assert len(rows(text)) == 25
        async with reports.export(CdrFilter()) as others:
            with pytest.raises(ReportsBusy):
                await anext(others)


@run
async def test_a_report_that_takes_too_long_has_an_answer() -> None:
    def late() -> None:
        raise ReportTooLong("given up after 5 s; ask for a shorter range by startTime")

    fake = FakeCallServer(reports=FakeReports(RecordsInMemory(), before=late))
    async with serving(fake) as client:
        for path in (EXPORT, "/cvp-reporting/rest/cdr", "/cvp-reporting/rest/statistics/server"):
            told = (await client("get", path)).error(503, "REPORT_TOO_LONG")
            assert "shorter range by startTime" in told


@run
async def test_who_leaves_is_left() -> None:
    store = Endless()
    reports = WatchedReports(store)
    async with serving(FakeCallServer(reports=reports)) as client:
        response = await client.session.get(f"{client.address}{EXPORT}", headers=basic(USER))
        assert await response.content.readexactly(1000)
        assert not reports.over.is_set()
        response.close()
        await reports.over.wait()
        asked = store.asked
        assert (await client("get", "/livez")).status == 200
    assert store.asked == asked


@run
async def test_an_export_that_cannot_go_on_does_not_look_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake = FakeCallServer(reports=FakeReports(Endless(trouble_at=3)))
    async with serving(fake) as client:
        with pytest.raises(aiohttp.ClientError):
            await client("get", EXPORT)
        assert (await client("get", "/livez")).status == 200
    assert "cannot go on" in caplog.text


@run
async def test_some_exports_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.reports.MOST_EXPORTS", 1)
    reports = WatchedReports(Endless())
    async with serving(FakeCallServer(reports=reports)) as client:
        response = await client.session.get(f"{client.address}{EXPORT}", headers=basic(USER))
        assert response.status == 200
        (await client("get", EXPORT)).error(503, "REPORTS_BUSY")
        page: Any = await client("get", "/cvp-reporting/rest/cdr")
        assert page.status == 200, "a page has its turn all the same"
        response.close()
        await reports.over.wait()
        reports.over.clear()
        async with client.session.get(f"{client.address}{EXPORT}", headers=basic(USER)) as again:
            assert again.status == 200
