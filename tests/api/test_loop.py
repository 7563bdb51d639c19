"""What takes its time runs in threads: the event loop goes on with the calls."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api import app
from api.handlers import reporting
from api.models_administration import AuditEntries
from api.plan_models import DialedNumberPattern
from api.tls import server_context
from simulator.cdr_records import CdrRecord
from simulator.config import Config
from simulator.passwords import PasswordHash, hash_of
from simulator.probes import Prober
from tests.api.support import USER, FakeCallServer, FakeReports, basic, run, serving
from tests.support.records import RecordsInMemory
from tests.support.slow import Slow


@run
async def test_keys_and_hashes_at_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SIP is served already while the API gets ready."""
    slow = Slow()
    hashed, context = hash_of, server_context

    def slow_hash(password: str) -> PasswordHash:
        slow()
        return hashed(password)

    def slow_context(*arguments: Any) -> Any:
        slow()
        return context(*arguments)

    monkeypatch.setattr("api.auth.hash_of", slow_hash)
    monkeypatch.setattr("api.app.server_context", slow_context)
    config = Config.model_validate(
        {
            "api": {"listen": ["https://127.0.0.1:0"]},
            "server": {"data_dir": str(tmp_path)},
        }
    )
    async with app.serve_api(FakeCallServer(), config, lambda _: None) as addresses:
        assert [address.scheme for address in addresses] == ["https"]
    assert slow.calls == 2


@run
async def test_a_password_that_is_not_known_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(FakeCallServer()) as client:
        slow = Slow()
        matches = PasswordHash.matches

        def slow_match(self: PasswordHash, password: str) -> bool:
            slow()
            return matches(self, password)

        monkeypatch.setattr(PasswordHash, "matches", slow_match)
        for _ in range(3):
            reply = await client("get", "/cvp/rest/call", headers=basic(USER))
            assert reply.status == 200
    assert slow.calls == 1, "known from then on"


@run
async def test_the_probe_of_a_slow_cdr_store() -> None:
    slow = Slow()

    def ping() -> float:
        slow()
        return 0.5

    store = SimpleNamespace(ping=ping, healthy=True)
    groups = SimpleNamespace(neighbours=list)
    server = SimpleNamespace(config=Config(), store=store, server_groups=groups, webhook=None)
    prober = Prober(cast(Any, server))
    found = await asyncio.wait_for(prober.probe_all(), 10)
    assert [(view.component, view.status, view.latency) for view in found] == [
        ("ICM", "connected", 0),
        ("ReportingServer", "connected", 500),
    ]
    assert slow.calls == 1


@run
async def test_long_lists_are_written_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    pattern, interval = DialedNumberPattern.of, reporting._interval

    def slow_pattern(*entry: Any) -> DialedNumberPattern:
        slow()
        return pattern(*entry)

    def slow_interval(line: Any) -> Any:
        slow()
        return interval(line)

    monkeypatch.setattr("api.handlers.plan.DialedNumberPattern", SimpleNamespace(of=slow_pattern))
    monkeypatch.setattr(reporting, "_interval", slow_interval)
    records = RecordsInMemory([CdrRecord("A" * 32, 0, 1000)])
    async with serving(FakeCallServer(reports=FakeReports(records))) as client:
        patterns = await client("get", "/oamp/rest/dialedNumberPattern")
        assert len(patterns.json) == slow.calls == 9
        summary = "/cvp-reporting/rest/statistics/summary?startTime=1970-01-01T00:00:00Z"
        assert len((await client("get", summary)).json["intervals"]) == 1
    assert slow.calls == 10


@run
async def test_the_audit_trail_is_written_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()

    class SlowEntries(AuditEntries):
        def __init__(self, **fields: Any) -> None:
            slow()
            super().__init__(**fields)

    monkeypatch.setattr("api.handlers.administration.AuditEntries", SlowEntries)
    async with serving(FakeCallServer()) as client:
        assert (await client("get", "/sim/v1/audit")).status == 200
    assert slow.calls == 1
