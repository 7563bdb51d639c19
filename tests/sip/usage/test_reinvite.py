"""Requests inside a call: re-INVITE, glare, and ends that cross them (RFC 3261 section 14)."""

import pytest

from sip.events import Answered, Lost, Refused, Reinvited
from sip.usage.session import CONFIRMED, TERMINATED
from tests.sip.usage.calls import (
    ANSWER,
    OFFER,
    SOON,
    Sides,
    automatic,
    end,
    established,
    in_dialog,
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


@pytest.mark.parametrize("role", [0, 1])
def test_a_new_offer(network: Network, alice: Party, bob: Party, call: Sides, role: int) -> None:
    sides = ((call[0], alice), (call[1], bob))
    (session, party), (peer, other) = sides[role], sides[1 - role]
    session.reinvite(network.now, OFFER, "X-Own: 1\r\n")
    assert session.busy
    network.run(SOON)
    reinvited = other.take(Reinvited)
    assert reinvited.session is peer
    assert reinvited.request.body == OFFER
    assert reinvited.request.get("x-own") == "1"
    assert reinvited.request.defect is None
    peer.ring(network.now)
    peer.answer(network.now, ANSWER)
    network.run(SOON)
    assert party.take(Answered).response.body == ANSWER
    session.acknowledge(network.now)
    network.run(SOON)
    assert not session.busy
    assert not peer.busy
    assert party.seen == ["Progressed"]
    end(network, session)


def test_an_offer_is_refused_and_the_call_stays(
    network: Network, alice: Party, bob: Party, call: Sides
) -> None:
    session, peer = call
    session.reinvite(network.now, OFFER)
    network.run(SOON)
    peer.reject(network.now, 488)
    network.run(SOON)
    assert alice.take(Refused).status == 488
    assert (session.state, peer.state) == (CONFIRMED, CONFIRMED)
    assert not session.busy
    end(network, session)


@pytest.mark.parametrize("status", [408, 481])
def test_an_offer_that_breaks_the_dialog(
    network: Network, alice: Party, carol: Stranger, status: int
) -> None:  # section 12.2.1.2
    session = with_stranger(alice, carol)
    session.reinvite(network.now, OFFER)
    network.run(SOON)
    carol.send(alice, response_text(carol.requests("INVITE")[-1], status))
    network.run(SOON)
    assert alice.take(Lost).status == status
    assert alice.take(Refused).status == status
    carol.send(alice, response_text(carol.requests("BYE")[0], 481))
    network.run(SOON)
    assert alice.seen == ["Closed"]
    network.settle()


def test_an_offer_that_nobody_answers(network: Network, alice: Party, carol: Stranger) -> None:
    session = with_stranger(alice, carol)
    session.reinvite(network.now, OFFER)
    network.run(70.0)
    assert alice.seen == ["Lost", "Refused", "Closed"]
    assert session.state == TERMINATED


# Turns.


def test_offers_wait_their_turn(network: Network, alice: Party, bob: Party, call: Sides) -> None:
    session, peer = call
    peer.reinvite(network.now, OFFER)
    network.run(SOON)
    session.reinvite(network.now, OFFER)  # the peer's is not answered yet
    network.run(SOON)
    assert len(network.packets("INVITE")) == 1
    session.answer(network.now, ANSWER)
    network.run(SOON)
    bob.take(Answered)
    peer.acknowledge(network.now)
    network.run(SOON)
    assert bob.take(Reinvited).session is peer
    peer.reject(network.now, 488)
    network.run(SOON)
    assert alice.take(Refused).status == 488
    end(network, session)


@pytest.mark.parametrize("status", [0, 488])
def test_an_offer_behind_an_offer(
    network: Network, alice: Party, bob: Party, call: Sides, status: int
) -> None:
    session, peer = call
    session.reinvite(network.now, OFFER)
    session.reinvite(network.now, OFFER, "X-Turn: 2\r\n")
    network.run(SOON)
    if status:
        peer.reject(network.now, status)
    else:
        peer.answer(network.now, ANSWER)
        network.run(SOON)
        session.acknowledge(network.now)
    network.run(SOON)
    turns = [bob.take(Reinvited).request.get("x-turn") for _ in range(2)]
    assert turns == [None, "2"]
    peer.answer(network.now, ANSWER)
    network.run(SOON)
    session.acknowledge(network.now)
    network.run(SOON)
    end(network, session)


def test_an_offer_waits_for_a_cancelled_one(
    network: Network, alice: Party, carol: Stranger
) -> None:
    session = with_stranger(alice, carol)
    carol.send(alice, in_dialog(session, "INVITE", 5))
    network.run(SOON)
    session.reinvite(network.now, OFFER)
    carol.send(alice, in_dialog(session, "CANCEL", 5, {"Via": _via("5INVITE")}))
    network.run(SOON)
    assert carol.statuses("CANCEL") == [200]
    assert carol.statuses("INVITE") == [100, 487]
    assert len(carol.requests("INVITE")) == 2
    assert alice.seen == ["Reinvited", "Withdrawn"]
    assert session.state == CONFIRMED


def _via(branch: str) -> str:
    return f"SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK{branch}"


def test_bye_forgets_an_offer_that_waits(
    network: Network, alice: Party, bob: Party, call: Sides
) -> None:
    session, peer = call
    peer.reinvite(network.now, OFFER)
    network.run(SOON)
    session.reinvite(network.now, OFFER)
    session.bye(network.now)
    network.run(SOON)
    assert len(network.packets("INVITE")) == 1  # the peer's, refused
    assert bob.take(Refused).status == 487
    peer.confirm_bye(network.now)
    network.settle()


# Glare.


@pytest.mark.parametrize("seed", range(4))
def test_glare(seed: int) -> None:  # section 14.1
    network = Network(seed)
    alice, bob = network.add("alice"), network.add("bob")
    session, peer = established(alice, bob)
    start = network.now
    session.reinvite(start, OFFER)
    peer.reinvite(start, OFFER)
    network.run(SOON)
    assert sorted(network.ladder()[2:4]) == ["alice > bob 491 INVITE", "bob > alice 491 INVITE"]
    assert (alice.seen, bob.seen) == ([], [])
    automatic(alice, bob)
    network.run(5.0)
    retries = {p.source: p.time - start for p in network.packets("INVITE")[2:]}
    assert 2.1 <= retries["alice"] <= 4.0 + SOON  # the owner of the Call-ID
    assert retries["bob"] <= 2.0 + SOON
    assert alice.seen.count("Answered") == bob.seen.count("Answered") == 1
    end(network, session)


def test_an_offer_behind_one_that_met_glare(
    network: Network, alice: Party, bob: Party, call: Sides
) -> None:
    session, peer = call
    for side in (session, peer):
        side.reinvite(network.now, OFFER)
    session.reinvite(network.now, OFFER, "X-Turn: 2\r\n")
    automatic(alice, bob)
    network.run(10.0)
    assert alice.take(Refused).status == 491  # nobody wants the first any more
    assert [r.get("x-turn") for r in network.requests("INVITE") if r.get("x-turn")]
    end(network, session)


def test_the_call_ends_while_an_offer_waits_for_its_retry(
    network: Network, alice: Party, bob: Party, call: Sides
) -> None:
    session, peer = call
    for side in (session, peer):
        side.reinvite(network.now, OFFER)
    network.run(SOON)
    end(network, session)
    assert len(network.packets("INVITE")) == 2


def test_a_second_offer_before_the_answer_to_the_first(
    network: Network, alice: Party, carol: Stranger
) -> None:  # section 14.2
    session = with_stranger(alice, carol)
    for number in (5, 6):
        carol.send(alice, in_dialog(session, "INVITE", number))
    network.run(SOON)
    [late] = [answer for answer in carol.responses("INVITE") if answer.status == 500]
    assert 0 <= int(late.get("retry-after") or "") <= 10
    session.answer(network.now, ANSWER)
    carol.send(alice, in_dialog(session, "INVITE", 7))  # before the ACK
    network.run(SOON)
    assert carol.statuses("INVITE") == [100, 500, 200, 491]


def test_an_early_invite_of_the_callee_is_glare(
    network: Network, alice: Party, carol: Stranger
) -> None:
    session = alice.call(carol)
    network.run(SOON)
    carol.send(alice, response_text(carol.requests("INVITE")[0], 180, "c"))
    network.run(SOON)
    carol.send(alice, in_dialog(session, "INVITE", 5))
    network.run(SOON)
    assert carol.statuses("INVITE") == [491]


# Ends that cross an offer.


def test_bye_while_our_offer_is_under_way(
    network: Network, alice: Party, bob: Party, call: Sides
) -> None:
    session, peer = call
    session.reinvite(network.now, OFFER)
    network.run(SOON)
    session.bye(network.now)
    network.run(SOON)
    assert bob.seen == ["Reinvited", "Hungup"]
    peer.confirm_bye(network.now)
    network.run(SOON)
    assert sorted(alice.seen) == ["Closed", "Refused"]
    assert "bob > alice 487 INVITE" in network.ladder()
    network.settle()


def test_our_offer_is_accepted_after_the_end(
    network: Network, alice: Party, carol: Stranger
) -> None:
    """The 2xx gets its ACK, and the session stays ended."""
    session = with_stranger(alice, carol)
    session.reinvite(network.now, OFFER)
    network.run(SOON)
    carol.send(alice, in_dialog(session, "BYE", 5))
    network.run(SOON)
    session.confirm_bye(network.now)
    carol.send(alice, response_text(carol.requests("INVITE")[-1], 200))
    network.run(SOON)
    assert [ack.cseq[0] for ack in carol.requests("ACK")] == [1, 2]
    assert session.state == TERMINATED
    assert alice.seen == ["Hungup", "PeerOddity", "Refused"]  # no Contact
    network.settle()


def test_the_dialog_breaks_under_an_offer_of_the_peer(
    network: Network, alice: Party, carol: Stranger
) -> None:
    session = with_stranger(alice, carol)
    carol.send(alice, in_dialog(session, "INVITE", 5))
    session.request(network.now, "INFO")
    network.run(SOON)
    carol.send(alice, response_text(carol.requests("INFO")[0], 481))
    network.run(SOON)
    assert carol.statuses("INVITE") == [100, 487]
    assert alice.seen == ["Reinvited", "Responded", "Lost"]


def test_a_late_refusal_of_an_offer_after_the_end(
    network: Network, alice: Party, carol: Stranger
) -> None:
    session = with_stranger(alice, carol)
    session.reinvite(network.now, OFFER)
    session.bye(network.now)
    network.run(SOON)
    carol.send(alice, in_dialog(session, "INVITE", 6))
    network.run(SOON)
    assert carol.statuses("INVITE") == [481]
    carol.send(alice, response_text(carol.requests("BYE")[0], 200))
    carol.send(alice, response_text(carol.requests("INVITE")[-1], 481))
    network.run(SOON)
    assert alice.seen == ["Closed", "Refused"]
    network.settle()


@pytest.mark.parametrize("ended_first", [True, False])
def test_no_answer_to_our_offer_after_the_end(
    network: Network, alice: Party, carol: Stranger, ended_first: bool
) -> None:
    """The peer has forgotten the offer, or its answer got lost."""
    session = with_stranger(alice, carol)
    session.reinvite(network.now, OFFER)
    network.run(SOON)
    trying = response_text(carol.requests("INVITE")[-1], 100)
    bye = in_dialog(session, "BYE", 5)
    for data in (bye, trying) if ended_first else (trying, bye):
        carol.send(alice, data)
        network.run(SOON)
    session.confirm_bye(network.now)
    carol.send(alice, trying)
    network.run(33.0)
    assert alice.seen == ["Hungup", "Refused"]
    assert alice.leftovers() == {}


def test_glare_without_end(network: Network, alice: Party, carol: Stranger) -> None:
    """A peer that refuses every re-INVITE with 491 is asked a few times, not for ever."""
    session = with_stranger(alice, carol)
    session.reinvite(network.now, OFFER)
    for _ in range(20):
        network.run(5.0)
        for request in carol.requests("INVITE")[1:]:
            carol.send(alice, response_text(request, 491))
    network.run(70.0)
    assert alice.take(Refused).status == 491
    assert len({request.cseq for request in carol.requests("INVITE")[1:]}) == 5
    assert session.state == CONFIRMED


def test_only_promises_to_answer(network: Network, alice: Party, carol: Stranger) -> None:
    """A re-INVITE that gets 100 and nothing else is cancelled in the end (section 9.1)."""
    session = with_stranger(alice, carol)
    session.reinvite(network.now, OFFER)
    network.run(SOON)
    carol.send(alice, response_text(carol.requests("INVITE")[-1], 100))
    network.run(65.0)
    assert carol.requests("CANCEL")
    network.run(33.0)
    assert alice.take(Lost).status == 408
