"""The audit trail: in the log, in memory, and in a file that stays bounded and private."""

import asyncio
import json
import logging
import stat
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from simulator import audit_trail
from simulator.audit_trail import FILE, AuditTrail, Requester

ADA = Requester("ada", "10.0.0.7", "req-1")


def run(work: Awaitable[Any]) -> None:
    async def main() -> None:
        await work

    asyncio.run(main())


async def fill(trail: AuditTrail, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        await trail.record(ADA, "create", "thing", str(number))


def ids(trail: AuditTrail) -> list[int]:
    return [int(entry.id) for entry in trail.entries]


def test_an_entry_says_who_what_and_from_where(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "data" / FILE
    before, after = {"pattern": "6>"}, {"pattern": "61>", "label": "ü\x1b\u202e"}
    run(AuditTrail(path).record(ADA, "replace", "dialedNumberPattern", "6>", before, after))
    (record,) = [one for one in caplog.records if one.name == "simulator.changes"]
    line = path.read_text("ascii")
    assert line == f"{record.getMessage()}\n"
    shown = json.loads(line)
    assert shown.pop("time").endswith("Z")
    assert shown == {
        "user": "ada",
        "address": "10.0.0.7",
        "request_id": "req-1",
        "action": "replace",
        "what": "dialedNumberPattern",
        "id": "6>",
        "before": before,
        "after": after,
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (entry,) = AuditTrail(path).entries
    assert (entry.user, entry.request_id, entry.before, entry.after) == (
        "ada", "req-1", before, after,
    )  # fmt: skip


def test_the_log_tells_it_whatever_its_level() -> None:
    assert logging.getLogger("simulator.changes").isEnabledFor(logging.INFO)


@pytest.fixture
def few_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_trail, "KEPT", 10)


@pytest.mark.usefixtures("few_kept")
def test_the_last_entries_are_kept_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / FILE
    run(fill(AuditTrail(path), 15))
    again = AuditTrail(path)
    assert ids(again) == list(range(5, 15))
    run(fill(again, 1, 15))
    assert ids(AuditTrail(path)) == list(range(6, 16))


@pytest.mark.usefixtures("few_kept")
def test_the_file_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / FILE
    trail = AuditTrail(path)
    most = 0
    for number in range(50):
        run(fill(trail, 1, number))
        most = max(most, len(path.read_text().splitlines()))
    assert most == 20
    assert ids(trail) == list(range(40, 50))
    assert json.loads(path.read_text().splitlines()[-1])["id"] == "49"
    assert [one.name for one in tmp_path.iterdir()] == [FILE]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_memory_and_file_are_bounded_by_bytes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_trail, "MOST_BYTES", 5000)
    path = tmp_path / FILE
    trail = AuditTrail(path)
    for number in range(30):
        run(trail.record(ADA, "create", "thing", str(number), None, {"text": "x" * 800}))
        assert sum(len(line) for line in path.read_text().splitlines()) <= 10_000
    kept = ids(trail)
    assert kept == list(range(30 - len(kept), 30))
    assert 4 <= len(kept) <= 6
    assert ids(AuditTrail(path)) == kept
    run(trail.record(ADA, "create", "thing", "30", None, {"text": "x" * 20_000}))
    assert ids(trail) == ids(AuditTrail(path)) == [30]


def test_entries_that_come_at_once_are_all_there_in_order(tmp_path: Path) -> None:
    path = tmp_path / FILE
    trail = AuditTrail(path)

    async def at_once() -> None:
        await asyncio.gather(*[fill(trail, 1, number) for number in range(30)])

    run(at_once())
    assert ids(trail) == ids(AuditTrail(path)) == list(range(30))


@pytest.mark.parametrize("spoilt", ['{"time": "2026-05', "nonsense\n", "{}\n", "\xff\n"])
def test_a_file_that_broke_off_is_mended(tmp_path: Path, spoilt: str) -> None:
    path = tmp_path / FILE
    run(fill(AuditTrail(path), 2))
    with path.open("ab") as file:
        file.write(spoilt.encode("latin-1"))
    trail = AuditTrail(path)
    assert ids(trail) == [0, 1]
    run(fill(trail, 1, 2))
    assert len(path.read_text().splitlines()) == 3
    assert ids(AuditTrail(path)) == [0, 1, 2]


def test_what_cannot_be_written_is_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).mkdir()
    trail = AuditTrail(tmp_path / FILE)
    run(fill(trail, 1))
    assert ids(trail) == [0]
    assert "what was changed before cannot be shown" in caplog.text
    assert "an entry is in the log alone" in caplog.text
