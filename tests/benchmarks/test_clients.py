"""Many clients over real calls: every operation is asked, and errors are held to account."""

import asyncio
import json
from math import inf
from pathlib import Path
from random import Random

import pytest

from benchmarks.clients import Loads, crowd_on, outcome_of
from benchmarks.crowd import Calls, Crowd, Figures, Ledger, read_frame
from benchmarks.rest_client import RestError
from benchmarks.subjects import Callsim

LOADS = Loads(0.8, 0.5, 0.1, 0.7, 1000, 0)
ASKED = {
    *("list of 100", "call", "variables", "put", "transfer", "hold", "resume", "terminate"),
    *("originate", "health", "connectivity", "lookup", "records", "sessions of 100"),
}


def test_a_small_crowd_over_real_calls(tmp_path: Path) -> None:
    server = Callsim(tmp_path / "server")
    try:
        figures, loads, problems = crowd_on(server, tmp_path / "sipp", 30, 40, 4.0, 0.1)
    finally:
        stopped = server.stop()
    assert problems == []
    assert stopped == []
    assert set(figures.times) == ASKED
    assert len(figures.events) == 2
    assert figures.events[0] == len(figures.delays) > 100
    assert min(figures.delays) > 0
    assert loads.calls >= 30
    assert loads.retransmissions == 0
    assert min(loads.server, loads.clients, loads.machine) > 0
    outcome = outcome_of(figures, loads, problems, {})
    assert outcome.code == 0
    assert all(what in outcome.tables[0] for what in ASKED)


def test_an_error_is_deserved_when_something_else_was_done_to_the_call() -> None:
    ledger = Ledger()
    mine = ledger.note("A", "transfer", 100.0)
    assert not ledger.explains("A", 409, 100.0, mine), "itself is no reason"
    theirs = ledger.note("A", "transfer", 99.0)
    assert theirs.answered == inf
    assert ledger.explains("A", 409, 100.0, mine), "under way"
    theirs.answered = 99.5
    assert ledger.explains("A", 409, 100.0, mine), "accepted, and its target rings"
    assert not ledger.explains("A", 409, 120.0, mine), "long ago"
    assert not ledger.explains("B", 409, 100.0, mine), "another call"
    assert not ledger.explains("A", 404, 100.0, mine)
    ledger.note("A", "terminate", 1.0).answered = 2.0
    assert ledger.explains("A", 404, 100.0, mine)
    assert not ledger.explains("A", 412, 100.0, mine)
    put = ledger.note("A", "put", 99.0)
    put.answered = 99.9
    assert not ledger.explains("A", 412, 100.0, mine), "before the variables were read"
    assert ledger.explains("A", 412, 99.5, mine)
    assert not ledger.explains("B", 409, 100.0, ledger.note("B", "put", 99.0))
    for status in (400, 401, 500, 503):
        assert not ledger.explains("A", status, 100.0, mine)


def test_the_calls_to_choose_from_are_those_that_are_there() -> None:
    calls, random = Calls(), Random(1)
    for guid in "ABCBA":
        calls.add(guid)
    assert len(calls) == 3
    assert {calls.any(random) for _ in range(50)} == {"A", "B", "C"}
    for guid in "AXA":
        calls.remove(guid)
    assert {calls.any(random) for _ in range(50)} == {"B", "C"}
    calls.remove("C")
    calls.remove("B")
    assert len(calls) == 0


def test_a_frame_of_the_stream_is_read() -> None:
    assert read_frame(b"retry: 1000\nid: 7") == (7, False, b"")
    assert read_frame(b'id: 8\nevent: call.ended\ndata: {"a": "b: c"}') == (
        8,
        True,
        b'{"a": "b: c"}',
    )
    assert read_frame(b":\nid: 9") == (9, False, b"")


def test_who_cannot_log_in_measures_nothing(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()
        await writer.wait_closed()

    async def attempt() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            await Crowd(server.sockets[0].getsockname(), "5000", 0.0).run(2, 1.0)

    with pytest.raises(RestError, match="GET /sim/v1/events: 401"):
        asyncio.run(attempt())


def test_an_error_that_is_not_deserved_fails_the_run() -> None:
    figures = Figures()
    figures.times["put"] = [1.0, 2.0, 9.0]
    figures.deserved["put", 412, "If-Match"] = 2
    assert outcome_of(figures, LOADS, [], {}).code == 0
    assert json.dumps(outcome_of(figures, LOADS, [], {}).as_json())
    figures.undeserved["put: 500 a fault of the server"] = 1
    outcome = outcome_of(figures, LOADS, [], {})
    assert [target.met for target in outcome.targets] == [False, True]
    assert "| put" in outcome.tables[0]
    assert "| If-Match" in outcome.tables[1]


def test_a_message_that_was_sent_again_fails_the_run() -> None:
    loads = Loads(0.8, 0.5, 0.1, 0.7, 1000, 1)
    assert outcome_of(Figures(), loads, [], {}).code == 1


@pytest.mark.parametrize(
    ("server", "clients", "machine", "saturated"),
    [
        (0.8, 0.5, 0.7, "nobody"),
        (0.95, 0.5, 0.7, "server"),
        (0.95, 0.95, 0.99, "server and clients"),
        (0.8, 0.8, 0.98, "the machine"),
    ],
)
def test_who_was_saturated(server: float, clients: float, machine: float, saturated: str) -> None:
    assert Loads(server, clients, 0.1, machine, 1000, 0).saturated == saturated
