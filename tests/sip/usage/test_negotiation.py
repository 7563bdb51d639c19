"""Whose offer is outstanding: RFC 3264 section 4, RFC 6337 section 2."""

from itertools import product

import pytest

from sip.usage.negotiation import (
    ASKED,
    OFFERED,
    OFFERS,
    OVER,
    OWING,
    RECEIVE_INVITE,
    RECEIVE_OFFER,
    RECEIVE_SDP,
    SEND_INVITE,
    SEND_OFFER,
    SEND_SDP,
    STABLE,
    WANTED,
    Negotiation,
)

STATES = (STABLE, OFFERED, ASKED, WANTED, OWING)
INPUTS = (SEND_OFFER, RECEIVE_OFFER, SEND_INVITE, RECEIVE_INVITE, SEND_SDP, RECEIVE_SDP, OVER)


@pytest.mark.parametrize(
    ("inputs", "states"),
    [
        ((SEND_OFFER, RECEIVE_SDP), (OFFERED, STABLE)),  # offer in INVITE, answer in 18x or 2xx
        ((SEND_OFFER, RECEIVE_SDP, RECEIVE_SDP), (OFFERED, STABLE, STABLE)),  # and once more in 2xx
        ((RECEIVE_OFFER, SEND_SDP), (ASKED, STABLE)),
        ((SEND_INVITE, RECEIVE_SDP, SEND_SDP), (WANTED, ASKED, STABLE)),  # answer in PRACK or ACK
        ((RECEIVE_INVITE, SEND_SDP, RECEIVE_SDP), (OWING, OFFERED, STABLE)),
        ((SEND_OFFER, OVER, RECEIVE_OFFER, OVER), (OFFERED, STABLE, ASKED, STABLE)),  # refused
    ],
)
def test_exchanges(inputs: tuple[int, ...], states: tuple[int, ...]) -> None:
    negotiation = Negotiation(STABLE)
    for what, state in zip(inputs, states, strict=True):
        assert negotiation.apply(what)
        assert negotiation.state == state


def test_the_table_is_total() -> None:
    """Every state ends by OVER; no offer is made or taken while one is outstanding."""
    assert set(OFFERS) == set(STATES)
    for state, what in product(STATES, INPUTS):
        then = OFFERS[state].get(what)
        negotiation = Negotiation(state)
        assert negotiation.apply(what) == (then is not None)
        assert negotiation.state == (state if then is None else then)
        if state != STABLE and what in (SEND_OFFER, RECEIVE_OFFER, SEND_INVITE, RECEIVE_INVITE):
            assert then is None
        if what == OVER:
            assert then == STABLE
