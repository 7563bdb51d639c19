"""Failed logins: folded by address and time, bounded, and written together."""

import asyncio
import json
import logging
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator import login_trail
from simulator.login_trail import FILE, MOST_LOGINS, LoginTrail
from tests.support.live_server import LiveServer


@pytest.fixture(autouse=True)
def long_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """None ends while a test runs."""
    monkeypatch.setattr(login_trail, "INTERVAL", 10**9)


def run(trail: LoginTrail, fill: Callable[[LoginTrail], None]) -> None:
    """Fill it, then close it, as at the end of a server."""

    async def main() -> None:
        fill(trail)
        await trail.close()

    asyncio.run(main())


def test_what_comes_from_an_address_is_one_entry(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "data" / FILE
    trail = LoginTrail(path)

    def fill(trail: LoginTrail) -> None:
        for number in range(50):
            trail.record("10.0.0.1", f"r-{number}", ("ada", None, "bob")[number % 3])
        trail.record("10.0.0.2", "other", None)

    run(trail, fill)
    shown = [(one.address, one.request_id, one.attempts, one.users) for one in trail.entries]
    assert shown == [("10.0.0.1", "r-49", 50, ("ada", "bob")), ("10.0.0.2", "other", 1, ())]
    assert trail.entries[0].first <= trail.entries[0].last
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = path.read_text("ascii").splitlines()
    assert lines == [one.getMessage() for one in caplog.records if one.name == "simulator.changes"]
    assert [json.loads(line)["action"] for line in lines] == ["refuse", "refuse"]
    again = LoginTrail(path)
    assert again.entries == trail.entries
    run(again, lambda trail: trail.record("10.0.0.2", "later", None))
    assert [one.attempts for one in again.entries] == [50, 2]
    assert LoginTrail(path).entries == again.entries


def test_a_new_interval_is_a_new_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_trail, "INTERVAL", 1e-6)
    trail = LoginTrail()

    def fill(trail: LoginTrail) -> None:
        for number in range(2):
            trail.record("10.0.0.1", str(number), None)

    run(trail, fill)
    assert [one.attempts for one in trail.entries] == [1, 1]


def test_memory_and_file_are_bounded(tmp_path: Path) -> None:
    trail = LoginTrail(tmp_path / FILE)

    def fill(trail: LoginTrail) -> None:
        for number in range(MOST_LOGINS + 50):
            trail.record(f"10.0.0.{number}", "", None)

    run(trail, fill)
    addresses = [one.address for one in trail.entries]
    assert addresses == [f"10.0.0.{number}" for number in range(50, MOST_LOGINS + 50)]
    assert len((tmp_path / FILE).read_text().splitlines()) == MOST_LOGINS
    assert [one.name for one in tmp_path.iterdir()] == [FILE]


def test_many_cost_one_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)

    def fill(trail: LoginTrail) -> None:
        for number in range(100):
            trail.record(f"10.0.0.{number}", "", None)

    run(LoginTrail(tmp_path / FILE), fill)
    assert len(synced) == 2  # the file and its folder


def test_they_are_written_while_the_server_runs(tmp_path: Path) -> None:
    trail = LoginTrail(tmp_path / FILE, pause=0.001)

    async def main() -> None:
        for number in range(2):
            trail.record(f"10.0.0.{number}", "", None)
            assert trail._writer is not None
            await trail._writer
            assert len((tmp_path / FILE).read_text().splitlines()) == number + 1

    asyncio.run(main())


def test_what_cannot_be_written_or_read_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / FILE
    path.write_text('nonsense\n{}\n{"first": "2026-0')
    assert LoginTrail(path).entries == []
    path.unlink()
    path.mkdir()
    trail = LoginTrail(path)
    with caplog.at_level(logging.ERROR):
        run(trail, lambda trail: trail.record("10.0.0.1", "", "ada"))
    assert [one.users for one in trail.entries] == [("ada",)]
    assert "former failed logins cannot be shown" in caplog.text
    assert "failed logins are in the log alone" in caplog.text


def test_they_are_kept_over_a_restart_of_the_server(tmp_path: Path) -> None:
    with LiveServer(tmp_path, {}) as live:
        live.do(lambda server: server.administration.logins.record("10.0.0.1", "", "ada"))
    with LiveServer(tmp_path, {}) as live:
        (entry,) = live.do(lambda server: server.administration.logins.entries)
    assert (entry.address, entry.users) == ("10.0.0.1", ("ada",))
