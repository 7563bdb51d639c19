"""REST is timed on real answers and a real BYE, and slow ones miss their targets."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.rest import Desk, Load, Times, load, outcome_of
from benchmarks.rest_client import RestError, read_head
from benchmarks.subjects import Callsim

TIMES = [
    Times("list of 1000", 1000, 0, [4.0, 5.0, 9.0]),
    Times("terminate to BYE", 1000, 0, [0.5, 1.8]),
    Times("list of 100", 2000, 0, [1.0]),
    Times("terminate to BYE", 2000, 0, [0.5]),
    Times("list of 100", 2000, 900, [19.9]),
    Times("terminate to BYE", 2000, 900, [9.9]),
]
LOAD = Load(False, 900, 9000, 3, 0.5, 0.2, ())
LOADS = [LOAD, replace(LOAD, rest=True)]


def test_lists_and_terminations_are_timed(tmp_path: Path) -> None:
    server = Callsim(tmp_path / "server")
    desk = Desk(server)
    try:
        desk.caller.hold(5, 500)
        lists, terminations = desk.ask(0.2, 5)
        with pytest.raises(RestError, match="a list of 9 calls has 5"):
            desk.list(9)

        def work() -> None:
            desk.ask(0.0, 5, 20)

        beside = load(server, tmp_path / "load", 20, 1, work)
    finally:
        desk.close()
    assert beside.problems == ()
    assert (beside.rest, beside.calls, beside.retransmissions) == (True, 100, 0)
    assert desk.problems == []
    assert len(lists.values) == len(terminations.values) > 0
    assert lists.held == 5
    assert all(value > 0 for value in lists.values + terminations.values)
    assert server.joined(desk.caller.placed + beside.calls) == []
    assert server.stop() == []


def test_the_client_reads_a_head() -> None:
    assert read_head(b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 12") == (200, 12)
    with pytest.raises(RestError, match="no Content-Length"):
        read_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked")


def test_what_is_quick_enough_meets_its_targets() -> None:
    outcome = outcome_of(TIMES, LOADS, {})
    assert [target.met for target in outcome.targets] == [True] * 5
    assert outcome.code == 0
    assert "19.9" in outcome.tables[0]


def test_what_is_too_slow_misses_them() -> None:
    slow = [replace(one, values=[value * 1.1 for value in one.values]) for one in TIMES]
    slow[2:4] = TIMES[2:4]
    slow[5].values[:] = [10.0]
    loads = [LOAD, replace(LOAD, rest=True, retransmissions=4, problems=("lost",))]
    outcome = outcome_of(slow, loads, {})
    assert [target.met for target in outcome.targets] == [False] * 5
    assert outcome.problems == ["SIP with REST: lost"]


def test_without_load_there_are_two_targets() -> None:
    assert len(outcome_of(TIMES[:2], [], {}).targets) == 2
