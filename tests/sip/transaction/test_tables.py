"""The four tables, row by row, against RFC 3261 figures 5 to 8 with RFC 6026.

Each figure is written out a second time below: next state, messages sent and reports
to the user. Every input that a figure has no arrow for must leave the state alone,
do nothing and be counted.
"""

import pytest

from sip.transaction.client import InviteClientTransaction, NonInviteClientTransaction
from sip.transaction.machine import STATE_NAMES, Transaction
from sip.transaction.server import InviteServerTransaction, NonInviteServerTransaction
from tests.sip.transaction.bench import INPUTS, Bench

# (next state, what is sent, what the user hears)
Arrow = tuple[str, list[str], list[int]]
Figure = dict[str, dict[str, Arrow]]

FIGURE_5: Figure = {
    "calling": {
        "TIMER_A": ("calling", ["INVITE"], []),
        "TIMER_B": ("terminated", [], [408]),
        "TIMER_CANCEL": ("terminated", [], [408]),
        "TRANSPORT_ERROR": ("terminated", [], [503]),
        "RECEIVE_1XX": ("proceeding", [], [180]),
        "RECEIVE_2XX": ("accepted", [], [200]),
        "RECEIVE_FAILURE": ("completed", ["ACK"], [486]),
    },
    "proceeding": {
        "TIMER_CANCEL": ("terminated", [], [408]),
        "TRANSPORT_ERROR": ("terminated", [], [503]),  # not in the figure: its connection is gone
        "RECEIVE_1XX": ("proceeding", [], [180]),
        "RECEIVE_2XX": ("accepted", [], [200]),
        "RECEIVE_FAILURE": ("completed", ["ACK"], [486]),
    },
    "completed": {
        "RECEIVE_FAILURE": ("completed", ["ACK"], []),
        "TRANSPORT_ERROR": ("terminated", [], []),
        "TIMER_D": ("terminated", [], []),
    },
    "accepted": {
        "RECEIVE_2XX": ("accepted", [], [200]),
        "TIMER_M": ("terminated", [], []),
    },
    "terminated": {},
}

_WAITING_6: dict[str, Arrow] = {
    "TIMER_F": ("terminated", [], [408]),
    "TRANSPORT_ERROR": ("terminated", [], [503]),
    "RECEIVE_1XX": ("proceeding", [], [180]),
    "RECEIVE_2XX": ("completed", [], [200]),
    "RECEIVE_FAILURE": ("completed", [], [486]),
}
FIGURE_6: Figure = {
    "trying": {"TIMER_E": ("trying", ["OPTIONS"], []), **_WAITING_6},
    "proceeding": {"TIMER_E": ("proceeding", ["OPTIONS"], []), **_WAITING_6},
    "completed": {"TIMER_K": ("terminated", [], [])},
    "terminated": {},
}

SENT = ["999 X"]
FIGURE_7: Figure = {
    "proceeding": {
        "RECEIVE_REQUEST": ("proceeding", SENT, []),
        "SEND_1XX": ("proceeding", SENT, []),
        "SEND_2XX": ("accepted", SENT, []),
        "SEND_FAILURE": ("completed", SENT, []),
        "TIMER_EXPIRES": ("proceeding", [], []),  # RFC 3261 13.3.1: the usage answers 487
        "TRANSPORT_ERROR": ("proceeding", [], []),
    },
    "completed": {
        "RECEIVE_REQUEST": ("completed", SENT, []),
        "RECEIVE_ACK": ("confirmed", [], []),
        "TIMER_G": ("completed", SENT, []),
        "TIMER_H": ("terminated", [], []),
        "TRANSPORT_ERROR": ("completed", [], []),
    },
    "confirmed": {
        "RECEIVE_REQUEST": ("confirmed", [], []),
        "RECEIVE_ACK": ("confirmed", [], []),
        "TIMER_I": ("terminated", [], []),
    },
    "accepted": {
        "RECEIVE_REQUEST": ("accepted", [], []),
        "TIMER_L": ("terminated", [], []),
    },
    "terminated": {},
}

_ANSWERING_8: dict[str, Arrow] = {
    "SEND_1XX": ("proceeding", SENT, []),
    "SEND_2XX": ("completed", SENT, []),
    "SEND_FAILURE": ("completed", SENT, []),
}
FIGURE_8: Figure = {
    "trying": {
        "RECEIVE_REQUEST": ("trying", [], []),
        "TRANSPORT_ERROR": ("trying", [], []),
        **_ANSWERING_8,
    },
    "proceeding": {
        "RECEIVE_REQUEST": ("proceeding", SENT, []),
        "TRANSPORT_ERROR": ("proceeding", [], []),
        **_ANSWERING_8,
    },
    "completed": {
        "RECEIVE_REQUEST": ("completed", SENT, []),
        "TIMER_J": ("terminated", [], []),
    },
    "terminated": {},
}

FIGURES: dict[type[Transaction], Figure] = {
    InviteClientTransaction: FIGURE_5,
    NonInviteClientTransaction: FIGURE_6,
    InviteServerTransaction: FIGURE_7,
    NonInviteServerTransaction: FIGURE_8,
}

# The inputs that lead from the first state to each other one.
PATHS: dict[type[Transaction], dict[str, list[str]]] = {
    InviteClientTransaction: {
        "calling": [],
        "proceeding": ["RECEIVE_1XX"],
        "completed": ["RECEIVE_FAILURE"],
        "accepted": ["RECEIVE_2XX"],
        "terminated": ["TIMER_B"],
    },
    NonInviteClientTransaction: {
        "trying": [],
        "proceeding": ["RECEIVE_1XX"],
        "completed": ["RECEIVE_2XX"],
        "terminated": ["TIMER_F"],
    },
    InviteServerTransaction: {
        "proceeding": ["SEND_1XX"],
        "completed": ["SEND_FAILURE"],
        "confirmed": ["SEND_FAILURE", "RECEIVE_ACK"],
        "accepted": ["SEND_2XX"],
        "terminated": ["SEND_FAILURE", "TIMER_H"],
    },
    NonInviteServerTransaction: {
        "trying": [],
        "proceeding": ["SEND_1XX"],
        "completed": ["SEND_2XX"],
        "terminated": ["SEND_2XX", "TIMER_J"],
    },
}


CELLS = [
    pytest.param(kind, state, name, id=f"{kind.__name__}-{state}-{name}")
    for kind, figure in FIGURES.items()
    for state in figure
    for name in INPUTS
]


@pytest.mark.parametrize(("kind", "state", "name"), CELLS)
def test_a_cell(kind: type[Transaction], state: str, name: str) -> None:
    bench = Bench()
    tx = bench.make(kind)
    for step in PATHS[kind][state]:
        assert bench.apply(tx, step)
    assert STATE_NAMES[tx.state] == state
    bench.sent.clear()
    bench.told.clear()
    before = bench.layer.discarded
    arrow = FIGURES[kind][state].get(name)
    taken = bench.apply(tx, name)
    after, sent, told = arrow or (state, [], [])
    assert taken == (arrow is not None)
    assert STATE_NAMES[tx.state] == after
    assert [what for _, what in bench.sent] == sent
    assert [status for _, status in bench.told] == told
    assert bench.layer.discarded - before == (0 if arrow else 1)
    if after == "terminated":
        assert bench.empty


@pytest.mark.parametrize("kind", FIGURES)
def test_the_table_has_no_state_that_the_figure_lacks(kind: type[Transaction]) -> None:
    assert {STATE_NAMES[state] for state in kind.table} == set(FIGURES[kind])
