"""Reliable provisional responses and PRACK: RFC 3262, both sides."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from sip.errors import InvalidState
from sip.events import (
    Acknowledged,
    Answered,
    Cancelled,
    Invited,
    Lost,
    Pracked,
    Progressed,
    Refused,
    Reinvited,
    Requested,
    Responded,
    Withdrawn,
)
from sip.message import Request
from sip.usage.invite import InviteSession
from sip.usage.session import CONFIRMED, TERMINATED
from tests.sip.usage.calls import ANSWER, OFFER, SOON, end, established, in_dialog
from tests.support.builders import request_text, response_text
from tests.support.network import Network, Party, Stranger

REQUIRED = "Require: 100rel\r\n"
SUPPORTED = "Supported: 100rel\r\n"
OTHER = OFFER.replace(b"o=- 1 1", b"o=- 1 2")


@pytest.fixture(autouse=True)
def supported(alice: Party, bob: Party) -> None:
    for party in (alice, bob):
        party.endpoint.support("100rel")


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", "198.51.100.9")


def called(
    alice: Party, bob: Party, body: bytes = OFFER, lines: str = REQUIRED
) -> tuple[InviteSession, InviteSession]:
    """A call that nobody has answered in any way: both sides."""
    session = alice.call(bob, body, lines=lines)
    alice.network.run(SOON)
    return session, bob.take(Invited).session


# The callee: section 3.


@pytest.mark.parametrize(
    ("lines", "asked", "reliable"),
    [
        (REQUIRED, False, True),
        (SUPPORTED, True, True),
        (SUPPORTED, False, False),
    ],
)
def test_when_a_response_is_reliable(
    network: Network, alice: Party, bob: Party, lines: str, asked: bool, reliable: bool
) -> None:
    session, peer = called(alice, bob, lines=lines)
    peer.ring(network.now, reliable=asked)
    network.run(SOON)
    [ringing] = network.responses("180 INVITE")
    assert ringing.has_option("require", "100rel") == reliable
    assert (ringing.get("rseq") is not None) == reliable
    assert len(network.requests("PRACK")) == reliable
    assert alice.take(Progressed).session is session


def test_without_support_no_response_is_reliable(
    network: Network, carol: Stranger, bob: Party
) -> None:
    carol.send(bob, request_text())
    network.run(SOON)
    bob.take(Invited).session.ring(network.now, reliable=True)
    network.run(SOON)
    assert carol.responses("INVITE")[-1].get("rseq") is None


def test_a_whole_call(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    session, peer = called(alice, bob)
    peer.ring(network.now, 183, ANSWER)
    network.run(SOON)
    peer.ring(network.now, 180)
    network.run(SOON)
    peer.answer(network.now)
    network.run(SOON)
    first, second = network.responses("183 INVITE") + network.responses("180 INVITE")
    assert int(second.get("rseq") or 0) == int(first.get("rseq") or 0) + 1
    assert 1 <= int(first.get("rseq") or 0) < 2**31
    pracks = network.requests("PRACK")
    assert [p.get("rack") for p in pracks] == [f"{r.get('rseq')} 1 INVITE" for r in (first, second)]
    assert [p.cseq[0] for p in pracks] == [2, 3]
    assert [p.to_tag for p in pracks] == [peer.local_tag] * 2
    assert [type(e).__name__ for e in alice.events] == ["Progressed", "Progressed", "Answered"]
    assert bob.seen == ["Pracked", "Pracked"]
    session.acknowledge(network.now)
    network.run(SOON)
    end(network, session)


def test_repeated_until_prack(network: Network, alice: Party, bob: Party) -> None:
    session, peer = called(alice, bob)
    network.lose("PRACK", 2)
    network.lose("183 INVITE")
    start = network.now
    peer.ring(network.now, 183, ANSWER)
    network.run(10.0)
    assert network.times("183 INVITE") == pytest.approx([start, start + 0.5, start + 1.5], abs=0.02)
    assert alice.seen == ["Progressed"]  # the third was a retransmission
    assert len(network.packets("200 PRACK")) == 1
    assert session.state == peer.state == 1


def test_no_prack_is_the_end(network: Network, carol: Stranger, bob: Party) -> None:
    network.expect_idle = True
    carol.send(bob, request_text(headers={"Require": "100rel"}))
    network.run(SOON)
    peer = bob.take(Invited).session
    peer.ring(network.now)
    network.run(31.9)
    at = network.times("180 INVITE")
    gaps = [round(b - a, 1) for a, b in pairwise(at)]
    assert gaps == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    assert carol.statuses("INVITE")[-1] == 180
    network.run(0.5)
    assert carol.statuses("INVITE")[-1] == 504
    assert bob.take(Lost).status == 408
    assert peer.state == TERMINATED


def test_one_at_a_time(network: Network, alice: Party, bob: Party) -> None:
    _, peer = called(alice, bob)
    network.lose("PRACK")
    peer.ring(network.now, 183, ANSWER)
    peer.ring(network.now, 180)
    peer.ring(network.now, 181)
    network.run(SOON)
    assert not network.packets("180 INVITE")
    network.run(1.0)
    assert [p.summary for p in network.log if p.summary.endswith("INVITE")][-3:] == [
        "183 INVITE",
        "180 INVITE",
        "181 INVITE",
    ]
    assert alice.seen == ["Progressed"] * 3


@pytest.mark.parametrize("with_answer", [True, False])
def test_the_answer_waits_for_prack(
    network: Network, alice: Party, bob: Party, with_answer: bool
) -> None:
    """A 2xx may not overtake a session description; it may overtake a mere 180."""
    network.expect_idle = True
    session, peer = called(alice, bob)
    network.lose("PRACK")
    peer.ring(network.now, 183, ANSWER if with_answer else b"")
    peer.answer(network.now, ANSWER)
    network.run(SOON)
    assert len(network.packets("200 INVITE")) == (0 if with_answer else 1)
    if with_answer:
        for verb in (peer.ring, peer.answer):
            with pytest.raises(InvalidState, match="waits for a PRACK"):
                verb(network.now)
    network.run(1.0)
    assert len(network.packets("200 PRACK")) == 1
    assert alice.take(Answered).session is session
    session.acknowledge(network.now)
    network.run(SOON)
    assert len(network.packets("200 INVITE")) >= 1
    assert bob.take(Acknowledged).session is peer
    end(network, session)


def test_cancel_while_the_answer_waits(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    session, peer = called(alice, bob)
    network.lose("PRACK", 2)
    peer.ring(network.now, 183, ANSWER)
    peer.answer(network.now)
    network.run(SOON)
    session.cancel(network.now)
    network.run(SOON)
    assert alice.take(Refused).status == 487
    assert bob.take(Cancelled).session is peer
    assert not network.packets("200 INVITE")


def test_a_refusal_does_not_wait(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    _, peer = called(alice, bob)
    network.lose("PRACK", 20)
    peer.ring(network.now, 183, ANSWER)
    peer.answer(network.now)
    peer.reject(network.now, 486)
    network.run(SOON)
    assert alice.take(Refused).status == 486


@pytest.mark.parametrize(
    "rack", ["{0} 2 INVITE", "{1} 1 INVITE", "{0} 1 UPDATE", "1", "x y z", None]
)
def test_a_prack_that_matches_nothing(
    network: Network, bob: Party, carol: Stranger, rack: str | None
) -> None:
    carol.send(bob, request_text(headers={"Require": "100rel"}))
    network.run(SOON)
    peer = bob.take(Invited).session
    prack = in_dialog_of(peer)
    carol.send(bob, prack(2, "1 1 INVITE"))
    network.run(SOON)
    assert carol.statuses("PRACK") == [481]  # nothing was reliable yet
    peer.ring(network.now)
    network.run(SOON)
    number = int(carol.responses("INVITE")[-1].get("rseq") or 0)
    value = rack.format(number, number + 1) if rack is not None else None
    carol.send(bob, prack(3, value))
    network.run(SOON)
    assert carol.statuses("PRACK") == [481, 481]
    carol.send(bob, prack(4, f"{number} 1 INVITE"))
    carol.send(bob, prack(5, f"{number} 1 INVITE"))
    network.run(SOON)
    assert carol.statuses("PRACK") == [481, 481, 200, 481]


def in_dialog_of(peer: InviteSession) -> Callable[[int, str | None], bytes]:
    return lambda number, rack: in_dialog(peer, "PRACK", number, {"RAck": rack})


def test_in_a_reinvite(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    session, peer = established(alice, bob)
    for _ in range(2):
        session.reinvite(network.now, OFFER, REQUIRED)
        network.run(SOON)
        bob.take(Reinvited)
        peer.ring(network.now, 183, ANSWER)
        network.run(SOON)
        assert alice.take(Progressed).response.status == 183
        assert bob.take(Pracked).session is peer
        peer.answer(network.now)
        network.run(SOON)
        session.acknowledge(network.now)
        network.run(SOON)
    session.reinvite(network.now, OFFER, REQUIRED)
    network.run(SOON)
    network.lose("PRACK", 100)
    peer.ring(network.now, 183, ANSWER)
    network.run(40.0)
    assert bob.take(Withdrawn).session is peer
    assert alice.take(Refused).status == 504
    assert session.state == peer.state == CONFIRMED
    network.run(40.0)
    end(network, session)


# Offers and answers: section 5.


def test_an_offer_in_the_response(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    session, peer = called(alice, bob, b"")
    peer.ring(network.now, 183, OFFER)
    network.run(SOON)
    assert not network.packets("PRACK")
    response = alice.take(Progressed).response
    assert response.sdp == OFFER
    with pytest.raises(InvalidState, match="an answer is due"):
        session.prack(network.now, response)
    session.prack(network.now, response, ANSWER)
    with pytest.raises(InvalidState, match="does not wait"):
        session.prack(network.now, response, ANSWER)
    network.run(SOON)
    assert bob.take(Pracked).request.sdp == ANSWER
    peer.answer(network.now)
    network.run(SOON)
    session.acknowledge(network.now)
    network.run(SOON)
    assert network.requests("ACK")[0].body == b""
    end(network, session)


def test_an_offer_in_the_prack(network: Network, alice: Party, bob: Party) -> None:
    """The answer in the 183, another offer in the PRACK, its answer in the 200."""
    network.expect_idle = True
    session, peer = called(alice, bob)
    session.holds_prack = True
    peer.ring(network.now, 183, ANSWER)
    peer.answer(network.now)
    network.run(SOON)
    session.prack(network.now, alice.take(Progressed).response, OTHER, context="again")
    with pytest.raises(InvalidState, match="not answered"):
        session.update(network.now, OFFER)
    network.run(SOON)
    asked = bob.take(Requested)
    assert (asked.request.method, asked.request.sdp) == ("PRACK", OTHER)
    assert not network.packets("200 INVITE")  # nor while the program thinks
    asked.transaction.respond(200, network.now, "Content-Type: application/sdp\r\n", ANSWER)
    network.run(SOON)
    responded = alice.take(Responded)
    assert responded.context == "again"
    assert responded.response is not None
    assert responded.response.sdp == ANSWER
    assert alice.take(Answered).session is session
    session.acknowledge(network.now)
    network.run(SOON)
    session.update(network.now, OFFER)  # nothing is outstanding
    network.run(SOON)
    bob.take(Requested).transaction.respond(488, network.now)
    network.run(SOON)
    end(network, session)


def test_an_offer_before_the_answer(network: Network, alice: Party, bob: Party) -> None:
    session, peer = called(alice, bob)
    session.holds_prack = True
    peer.ring(network.now)
    network.run(SOON)
    response = alice.take(Progressed).response
    with pytest.raises(InvalidState, match="no offer is allowed"):
        session.prack(network.now, response, OTHER)
    session.prack(network.now, response)
    network.run(SOON)
    assert bob.take(Pracked).session is peer


def test_a_stranger_offers_before_the_answer(network: Network, bob: Party, carol: Stranger) -> None:
    carol.send(
        bob,
        request_text(
            headers={"Require": "100rel", "Content-Type": "application/sdp"}, body=OFFER.decode()
        ),
    )
    network.run(SOON)
    peer = bob.take(Invited).session
    peer.ring(network.now)
    network.run(SOON)
    number = carol.responses("INVITE")[-1].get("rseq")
    headers = {"RAck": f"{number} 1 INVITE", "Content-Type": "application/sdp"}
    dialog = peer.dialog
    headers |= {
        "From": dialog.remote,
        "To": dialog.local,
        "Call-ID": dialog.call_id,
        "CSeq": "2 PRACK",
        "Via": "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKp",
    }
    carol.send(bob, request_text("PRACK", headers, OTHER.decode()))
    network.run(1.0)
    assert carol.statuses("PRACK") == [488]
    assert carol.statuses("INVITE")[-1] == 180  # acknowledged all the same


# The caller: section 4.


def invited(alice: Party, carol: Stranger, body: bytes = OFFER) -> tuple[InviteSession, Request]:
    session = alice.call(carol, body)
    alice.network.run(SOON)
    return session, carol.requests("INVITE")[-1]


def reliably(
    carol: Stranger, alice: Party, invite: Request, status: int, number: object, tag: str = "c"
) -> None:
    lines = f"Require: 100rel\r\nRSeq: {number}\r\nContact: <{carol.uri}>\r\n"
    carol.send(alice, response_text(invite, status, tag, lines))
    alice.network.run(SOON)


def test_gaps_and_repetitions(alice: Party, carol: Stranger) -> None:
    _, invite = invited(alice, carol)
    assert invite.has_option("supported", "100rel")
    for number in (7, 9, 7, 6, 8, 8, 9):
        reliably(carol, alice, invite, 180, number)
    racks = [prack.get("rack") for prack in carol.requests("PRACK")]
    assert list(dict.fromkeys(racks)) == ["7 1 INVITE", "8 1 INVITE", "9 1 INVITE"]
    assert alice.seen == ["Progressed"] * 3


@pytest.mark.parametrize("number", ["x", "", "12345678901", "0"])
def test_a_malformed_rseq_is_none(alice: Party, carol: Stranger, number: str) -> None:
    _, invite = invited(alice, carol)
    reliably(carol, alice, invite, 180, number)
    assert alice.seen == ["Progressed"]
    assert carol.requests("PRACK") == []


@pytest.mark.parametrize("status", [481, 408, 500])
def test_a_refused_prack(network: Network, alice: Party, carol: Stranger, status: int) -> None:
    """481 and 408 end the dialog (RFC 3261 section 12.2.1.2), and so the call."""
    session, invite = invited(alice, carol)
    reliably(carol, alice, invite, 180, 1)
    carol.send(alice, response_text(carol.requests("PRACK")[0], status))
    network.run(SOON)
    assert len(carol.requests("CANCEL")) == (status != 500)
    assert session.state != TERMINATED


def test_a_prack_without_response(network: Network, alice: Party, carol: Stranger) -> None:
    network.expect_idle = True
    _, invite = invited(alice, carol)
    reliably(carol, alice, invite, 180, 1)
    network.run(33.0)
    cancel = carol.requests("CANCEL")[0]
    carol.send(alice, response_text(cancel, 200))
    carol.send(alice, response_text(invite, 487, "c"))
    network.run(SOON)
    assert alice.take(Refused).status == 487


def test_nothing_to_acknowledge(alice: Party, carol: Stranger) -> None:
    session, invite = invited(alice, carol)
    carol.send(alice, response_text(invite, 180, "c"))
    alice.network.run(SOON)
    with pytest.raises(InvalidState, match="no response waits"):
        session.prack(alice.now, alice.take(Progressed).response)


@pytest.mark.parametrize("seed", range(8))
def test_a_bad_network(seed: int) -> None:
    """Loss, duplication and reordering: the events are those of a good one."""
    network = Network(seed, loss=0.25, duplication=0.2, reordering=0.3)
    alice, bob = network.add("alice"), network.add("bob")
    for party in (alice, bob):
        party.endpoint.support("100rel")
    session = alice.call(bob, lines=REQUIRED)
    network.run(20.0)
    peer = bob.take(Invited).session
    for status in (183, 180, 182):
        peer.ring(network.now, status, ANSWER if status == 183 else b"")
    peer.answer(network.now)
    network.run(60.0, lambda: "Answered" in alice.seen)
    statuses = [e.response.status for e in alice.events if isinstance(e, Progressed)]
    assert statuses == [183, 180, 182]
    session.acknowledge(network.now)
    network.run(40.0)
    assert bob.seen.count("Pracked") == 3
    assert session.state == peer.state == CONFIRMED
    network.loss = 0.0
    network.expect_idle = True
    end(network, session)
