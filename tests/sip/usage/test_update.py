"""UPDATE: RFC 3311, early and later, both sides."""

import pytest

from sip.errors import InvalidState
from sip.events import Answered, Invited, Lost, Progressed, Reinvited, Requested, Responded
from sip.usage.invite import InviteSession
from tests.sip.usage.calls import (
    ANSWER,
    OFFER,
    SOON,
    end,
    established,
    in_dialog,
    ringing,
    with_stranger,
)
from tests.support.builders import response_text
from tests.support.network import Network, Party, Stranger

SDP_LINE = "Content-Type: application/sdp\r\n"
REQUIRED = "Require: 100rel\r\n"
OTHER = OFFER.replace(b"o=- 1 1", b"o=- 1 2")


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", "198.51.100.9")


def early(alice: Party, bob: Party) -> tuple[InviteSession, InviteSession]:
    """A call whose first offer is answered reliably, and not more."""
    for party in (alice, bob):
        party.endpoint.support("100rel")
    session = alice.call(bob, lines=REQUIRED)
    alice.network.run(SOON)
    peer = bob.take(Invited).session
    peer.ring(bob.now, 183, ANSWER)
    alice.network.run(SOON)
    for party in (alice, bob):
        party.events.clear()
    return session, peer


def answer(party: Party, event: Requested, body: bytes = ANSWER, status: int = 200) -> None:
    lines = event.session.contact + (SDP_LINE if body else "")
    event.transaction.respond(status, party.now, lines, body)
    party.network.run(SOON)


@pytest.mark.parametrize("by_callee", [False, True])
def test_an_offer_in_an_early_dialog(
    network: Network, alice: Party, bob: Party, by_callee: bool
) -> None:  # sections 5.1 and 5.2
    network.expect_idle = True
    session, peer = early(alice, bob)
    ours, theirs, there = (peer, session, alice) if by_callee else (session, peer, bob)
    ours.update(network.now, OTHER, context="u")
    with pytest.raises(InvalidState, match="not answered"):
        ours.update(network.now, OFFER)
    network.run(SOON)
    with pytest.raises(InvalidState, match="not answered"):
        theirs.update(network.now, OFFER)
    asked = there.take(Requested)
    assert (asked.session, asked.request.sdp) == (theirs, OTHER)
    answer(there, asked)
    responded = (bob if by_callee else alice).take(Responded)
    assert (responded.context, responded.status) == ("u", 200)
    theirs.update(network.now, OFFER)  # nothing is outstanding any more
    network.run(SOON)
    answer(bob if by_callee else alice, (bob if by_callee else alice).take(Requested))
    peer.answer(network.now)
    network.run(SOON)
    alice.take(Answered)
    session.acknowledge(network.now)
    network.run(SOON)
    end(network, session)


def test_no_offer_before_the_first_is_answered(network: Network, alice: Party, bob: Party) -> None:
    """Section 5.1; a 183 that is not reliable is only a preview of the answer (RFC 6337 3.1.1)."""
    session, peer = ringing(alice, bob)
    peer.ring(network.now, 183, ANSWER)
    network.run(SOON)
    for one in (session, peer):
        with pytest.raises(InvalidState, match="not answered"):
            one.update(network.now, OTHER)
        one.update(network.now)  # without an offer it may


def test_no_offer_before_prack(network: Network, alice: Party, bob: Party) -> None:
    for party in (alice, bob):
        party.endpoint.support("100rel")
    alice.call(bob, lines=REQUIRED)
    network.run(SOON)
    peer = bob.take(Invited).session
    network.lose("183 INVITE")
    peer.ring(network.now, 183, ANSWER)
    with pytest.raises(InvalidState, match="not answered"):
        peer.update(network.now, OTHER)


def test_no_dialog_yet(network: Network, alice: Party, carol: Stranger) -> None:
    session = alice.call(carol)
    with pytest.raises(InvalidState, match="no dialog"):
        session.update(network.now)


def test_glare(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    session, peer = established(alice, bob)
    session.update(network.now, OFFER, context="a")
    peer.update(network.now, OTHER, context="b")
    network.run(SOON)
    assert (alice.take(Responded).status, bob.take(Responded).status) == (491, 491)
    assert "Requested" not in alice.seen + bob.seen
    session.update(network.now, OFFER)  # both are free again
    network.run(SOON)
    answer(bob, bob.take(Requested))
    end(network, session)


def test_update_crosses_reinvite(network: Network, alice: Party, bob: Party) -> None:
    """Each refuses what comes while its own is outstanding; the re-INVITE comes again."""
    network.expect_idle = True
    session, peer = established(alice, bob)
    session.update(network.now, OFFER, context="u")
    peer.reinvite(network.now, OTHER)
    network.run(SOON)
    assert alice.take(Responded).status == 491
    assert network.packets("491 INVITE")
    network.run(5.0)
    reinvited = alice.take(Reinvited)
    with pytest.raises(InvalidState, match="not answered"):
        session.update(network.now, OFFER)
    reinvited.session.answer(network.now, ANSWER)
    network.run(SOON)
    peer.acknowledge(network.now)
    network.run(SOON)
    end(network, session)


def test_a_reinvite_waits_for_our_update(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    session, _ = established(alice, bob)
    session.update(network.now, OFFER)
    session.reinvite(network.now, OTHER)
    network.run(SOON)
    assert "Reinvited" not in bob.seen
    answer(bob, bob.take(Requested))
    bob.take(Reinvited).session.answer(network.now, ANSWER)
    network.run(SOON)
    session.acknowledge(network.now)
    network.run(SOON)
    end(network, session)


@pytest.mark.parametrize("body", [OTHER, b""])
def test_a_second_update_before_the_answer(
    network: Network, alice: Party, carol: Stranger, body: bytes
) -> None:
    """Section 5.2: 500 with Retry-After, offer or not."""
    session = with_stranger(alice, carol)
    carol.send(alice, in_dialog(session, "UPDATE", 5))
    network.run(SOON)
    first = alice.take(Requested)
    carol.send(alice, in_dialog(session, "UPDATE", 6))
    network.run(SOON)
    [refused] = carol.responses("UPDATE")
    assert refused.status == 500
    assert 0 <= int(refused.get("retry-after") or -1) <= 10
    answer(alice, first, b"")
    carol.send(alice, in_dialog(session, "UPDATE", 7))
    network.run(SOON)
    assert alice.take(Requested).request.cseq == (7, "UPDATE")


def test_a_reinvite_before_the_answer_to_update(
    network: Network, alice: Party, carol: Stranger
) -> None:
    session = with_stranger(alice, carol)
    carol.send(alice, in_dialog(session, "UPDATE", 5))
    network.run(SOON)
    carol.send(alice, in_dialog(session, "INVITE", 6))
    network.run(SOON)
    assert carol.statuses("INVITE") == [500]


def test_a_refused_update_changes_nothing(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    session, peer = established(alice, bob)
    session.update(network.now, OFFER, context="u")
    network.run(SOON)
    answer(bob, bob.take(Requested), b"", 504)  # section 5.2: the user has to be asked
    assert alice.take(Responded).status == 504
    assert "Lost" not in alice.seen
    peer.update(network.now, OFFER)
    network.run(SOON)
    answer(alice, alice.take(Requested))
    end(network, session)


@pytest.mark.parametrize("status", [408, 481])
def test_a_dialog_that_is_gone(
    network: Network, alice: Party, carol: Stranger, status: int
) -> None:
    session = with_stranger(alice, carol)
    session.update(network.now, OFFER, context="u")
    network.run(SOON)
    if status == 481:
        carol.send(alice, response_text(carol.requests("UPDATE")[0], 481))
    network.run(33.0)
    assert alice.take(Responded).status == status
    assert alice.take(Lost).status == status


def test_an_offer_before_the_ack(network: Network, alice: Party, bob: Party) -> None:
    """Between the 2xx and its ACK nobody makes another offer."""
    session, peer = ringing(alice, bob)
    network.lose("ACK", 3)
    peer.answer(network.now, ANSWER)
    network.run(SOON)
    session.acknowledge(network.now)
    session.update(network.now, OFFER, context="u")
    network.run(SOON)
    assert alice.take(Responded).status == 500
    with pytest.raises(InvalidState, match="not answered"):
        peer.update(network.now, OFFER)
    network.run(5.0)
    peer.update(network.now, OFFER)
    network.run(SOON)
    assert alice.take(Requested).request.sdp == OFFER


def test_an_answer_by_update_in_several_early_dialogs(
    network: Network, alice: Party, carol: Stranger
) -> None:
    """The target of each is refreshed by itself."""
    alice.endpoint.support("100rel")
    session = alice.call(carol)
    network.run(SOON)
    [invite] = carol.requests("INVITE")
    for tag in ("one", "two"):
        lines = f"{REQUIRED}RSeq: 1\r\nContact: <sip:{tag}@198.51.100.9>\r\n{SDP_LINE}"
        carol.send(alice, response_text(invite, 183, tag, lines, ANSWER.decode()))
        network.run(SOON)
        alice.take(Progressed)
        for prack in carol.requests("PRACK")[-1:]:
            carol.send(alice, response_text(prack, 200))
    session.update(network.now, OTHER, context="u")
    network.run(SOON)
    [update] = carol.requests("UPDATE")
    assert (update.to_tag, update.uri) == ("two", "sip:two@198.51.100.9")
    one = in_dialog(
        session,
        "UPDATE",
        5,
        {
            "From": (session.dialog.remote or "").replace("two", "one"),
            "Contact": "<sip:new@198.51.100.9>",
        },
    )
    carol.send(alice, one)
    network.run(SOON)
    assert session.dialog.remote_tag == "one"
    assert session.dialog.target == "sip:new@198.51.100.9"
    carol.send(
        alice,
        response_text(
            update, 200, "", f"Contact: <sip:two2@198.51.100.9>\r\n{SDP_LINE}", ANSWER.decode()
        ),
    )
    network.run(SOON)
    assert alice.take(Responded).context == "u"
    assert (session.dialog.remote_tag, session.dialog.target) == ("two", "sip:two2@198.51.100.9")
