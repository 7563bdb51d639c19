"""Requests inside a call: target refresh, UPDATE, INFO and others (RFC 3261 section 12.2)."""

import pytest

from sip.events import Cancelled, Closed, Lost, Requested, Responded
from sip.message import Request
from tests.sip.usage.calls import (
    ANSWER,
    OFFER,
    SOON,
    Sides,
    end,
    established,
    in_dialog,
    ringing,
    with_stranger,
)
from tests.support.builders import response_text
from tests.support.network import Network, Party, Stranger


@pytest.fixture
def call(alice: Party, bob: Party) -> Sides:
    return established(alice, bob)


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", "198.51.100.9")


# Target refresh.


def test_targets_are_refreshed(network: Network, alice: Party, carol: Stranger) -> None:
    session = with_stranger(alice, carol)
    steps = ("INVITE", "UPDATE")
    for number, method in enumerate(steps, 5):
        contact = f"<sip:{method.lower()}@198.51.100.9>"
        carol.send(alice, in_dialog(session, method, number, {"Contact": contact}))
        network.run(SOON)
        assert session.dialog.target == contact[1:-1]
        if method == "INVITE":
            session.reject(network.now, 488)
    session.request(network.now, "UPDATE", session.contact, context="u")
    network.run(SOON)
    contact = "Contact: <sip:answer@198.51.100.9>\r\n"
    carol.send(alice, response_text(carol.requests("UPDATE")[0], 200, lines=contact))
    network.run(SOON)
    assert session.dialog.target == "sip:answer@198.51.100.9"
    session.reinvite(network.now, OFFER)
    network.run(SOON)
    contact = "Contact: <sip:last@198.51.100.9>\r\n"
    carol.send(alice, response_text(carol.requests("INVITE")[-1], 200, lines=contact))
    network.run(SOON)
    session.acknowledge(network.now)
    network.run(SOON)
    assert carol.requests("ACK")[-1].uri == "sip:last@198.51.100.9"


# UPDATE, INFO and others.


@pytest.mark.parametrize("method", ["INFO", "UPDATE"])
def test_a_request_and_its_response(
    network: Network, alice: Party, bob: Party, call: Sides, method: str
) -> None:
    session, peer = call
    session.request(network.now, method, "X-Own: 1\r\n", b"x", "text/plain", context="mine")
    network.run(SOON)
    requested = bob.take(Requested)
    assert requested.session is peer
    assert (requested.request.method, requested.request.body) == (method, b"x")
    requested.transaction.respond(200, network.now, "X-Answer: 1\r\n")
    network.run(SOON)
    responded = alice.take(Responded)
    assert (responded.session, responded.context, responded.status) == (session, "mine", 200)
    assert responded.response is not None
    assert responded.response.get("x-answer") == "1"
    end(network, session)


def test_update_in_an_early_dialog(network: Network, alice: Party, bob: Party) -> None:
    session, peer = ringing(alice, bob)
    peer.update(network.now, context="target refresh")
    network.run(SOON)
    alice.take(Requested).transaction.respond(481, network.now)
    network.run(SOON)
    assert bob.take(Responded).status == 481  # the call itself goes on
    peer.answer(network.now, ANSWER)
    network.run(SOON)
    session.acknowledge(network.now)
    network.run(SOON)
    end(network, session)


@pytest.mark.parametrize(("status", "seen"), [(500, ["Responded"]), (481, ["Responded", "Lost"])])
def test_refused_requests(
    network: Network, alice: Party, carol: Stranger, status: int, seen: list[str]
) -> None:
    session = with_stranger(alice, carol)
    session.request(network.now, "INFO", context=1)
    network.run(SOON)
    carol.send(alice, response_text(carol.requests("INFO")[0], 100))
    carol.send(alice, response_text(carol.requests("INFO")[0], status))
    network.run(SOON)
    assert alice.seen == seen


def test_a_request_without_response_ends_the_call(
    network: Network, alice: Party, carol: Stranger
) -> None:
    session = with_stranger(alice, carol)
    session.request(network.now, "INFO", context=1)
    network.run(33.0)
    responded = alice.take(Responded)
    assert (responded.status, responded.response) == (408, None)
    assert alice.take(Lost).status == 408
    network.run(33.0)
    assert alice.take(Closed).session is session
    network.settle()


def test_a_transport_error_in_a_call(network: Network, alice: Party, carol: Stranger) -> None:
    session = with_stranger(alice, carol)
    network.unreachable.add(carol.address)
    session.request(network.now, "INFO", context=1)
    session.bye(network.now)
    network.run(SOON)
    assert alice.seen == ["Responded", "Closed"]
    assert alice.take(Responded).status == 503
    network.settle()


def test_a_cancelled_call_is_no_call(network: Network, alice: Party, bob: Party) -> None:
    session, peer = ringing(alice, bob)
    session.cancel(network.now)
    network.run(SOON)
    assert bob.take(Cancelled).session is peer
    assert isinstance(bob.network.packets("CANCEL")[0].message, Request)
    network.settle()
