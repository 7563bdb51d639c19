"""`callsim demo`: the whole call before your eyes, and what is said when it goes otherwise."""

import asyncio
import re
import socket
from contextlib import closing
from pathlib import Path

import pytest

from simulator.__main__ import _service
from simulator.cdr import CdrRecord, SqliteCdrStore
from simulator.config_accounts import ApiUser
from simulator.config_plan import DialedNumber
from simulator.demo import _free, _prepared, run_demo
from simulator.passwords import is_hash
from tests.scenarios.test_demo_scenarios import config


def test_the_whole_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow disk, too: the record is in the journal when the call is over."""
    get, asked = SqliteCdrStore.get, []

    def late(store: SqliteCdrStore, guid: str) -> CdrRecord | None:
        asked.append(guid)
        return get(store, guid) if len(asked) > 2 else None

    monkeypatch.setattr(SqliteCdrStore, "get", late)
    assert asyncio.run(run_demo(config(tmp_path), _service, leave=True)) == 0
    shown = capsys.readouterr().out
    assert "All went right." in shown
    assert re.search(r"call_start_time +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\+00:00\n", shown)
    assert re.search(r"queue_duration +\d{4} ms\n", shown)
    assert "marks" not in shown, "numbers that only the server knows"


def test_a_plan_without_a_queue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.demo.PATIENCE", 3.0)
    straight = (DialedNumber(pattern=">", label="1001"),)
    plan = config(tmp_path).model_copy(update={"dialed_numbers": straight})
    assert asyncio.run(run_demo(plan, _service, leave=True)) == 1
    shown = capsys.readouterr().out
    assert "nothing came after 'connected: 1001'" in shown
    assert "The plan must lead 7001 through a queue" in shown


def test_a_port_is_free_although_connections_of_a_former_demo_linger() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        assert _free(port, udp=False) == 0, "somebody listens there"
        with closing(socket.create_connection(("127.0.0.1", port), 20)) as client:
            listener.accept()[0].close()  # who closes first lingers in TIME_WAIT
            assert client.recv(1) == b""
    assert _free(port, udp=False) == port


def test_it_logs_in_although_no_password_is_known(tmp_path: Path) -> None:
    digest = "$scrypt$ln=10,r=8,p=1$c29kaXVtY2hsb3JpZGU$" + "A" * 43
    users = (
        ApiUser(name="demo", password=digest),
        ApiUser(name="ann", password="x", role="read"),
    )
    plan = config(tmp_path)
    plan = plan.model_copy(update={"api": plan.api.model_copy(update={"users": users})})
    prepared, user = _prepared(plan, str(tmp_path))
    assert (user.name, user.role, is_hash(user.password)) == ("demo", "admin", False)
    assert prepared.api.users == (user, users[1])
    boss = ApiUser(name="boss", password="y")
    api = plan.api.model_copy(update={"users": (*users, boss)})
    assert _prepared(plan.model_copy(update={"api": api}), str(tmp_path))[1] == boss
