"""Requests of a dialog that cannot be taken when they come (RFC 3261 sections 12.2.2, 17.2.2)."""

from sip.events import Invited, Referred, Requested
from tests.sip.usage.calls import (
    ANSWER,
    SOON,
    automatic,
    established,
    in_dialog,
    ringing,
    with_stranger,
)
from tests.support.network import Network, Party, Stranger


def test_a_request_that_overtakes_the_answer(network: Network, alice: Party, bob: Party) -> None:
    """The 2xx is lost, what the callee says next is not: the call lives on."""
    network.expect_idle = True
    session = alice.call(bob)
    network.lose("100 INVITE")
    network.lose("200 INVITE")
    network.run(SOON)
    peer = bob.take(Invited).session
    peer.answer(bob.now, ANSWER)
    peer.request(bob.now, "INFO")
    network.run(SOON)
    assert network.ladder()[-1] == "alice > bob 500 INFO"
    assert network.responses("500 INFO")[0].get("retry-after") == "1"
    automatic(alice, bob)
    network.run(1.0)
    peer.request(bob.now, "INFO")
    network.run(SOON)
    alice.take(Requested).transaction.respond(200, alice.now)
    session.bye(alice.now)


def test_a_refusal_is_final(network: Network, alice: Party, bob: Party) -> None:
    """The answer to a repetition is that of the first time, though it would be taken now."""
    session = alice.call(bob)
    network.lose("100 INVITE")
    network.lose("200 INVITE")
    network.run(SOON)
    peer = bob.take(Invited).session
    peer.answer(bob.now, ANSWER)
    peer.request(bob.now, "INFO")
    network.lose("500 INFO")
    network.run(3.0)
    assert session.dialog.remote_tag == peer.local_tag
    assert {packet.summary for packet in network.log if packet.summary.endswith(" INFO")} == {
        "500 INFO"
    }
    assert len(network.packets("500 INFO")) > 1


def test_an_old_number_is_refused_for_good(network: Network, alice: Party) -> None:
    carol = network.add_stranger("carol", "198.51.100.9")
    session = with_stranger(alice, carol)
    carol.send(alice, in_dialog(session, "INFO", 9))
    network.run(SOON)
    alice.take(Requested).transaction.respond(200, alice.now)
    carol.send(alice, in_dialog(session, "UPDATE", 8))
    network.run(SOON)
    session.bye(alice.now)
    carol.send(alice, in_dialog(session, "UPDATE", 8))
    network.run(SOON)
    assert carol.statuses("UPDATE") == [500, 500]


def test_a_refer_that_overtakes_the_answer(network: Network, alice: Party, bob: Party) -> None:
    session, peer = ringing(alice, bob)
    network.lose("200 INVITE")
    peer.answer(bob.now, ANSWER)
    peer.refer(bob.now, "sip:dave@example.com")
    network.run(SOON)
    assert network.ladder()[-1] == "alice > bob 500 REFER"
    automatic(alice, bob)
    network.run(1.0)
    peer.refer(bob.now, "sip:dave@example.com")
    network.run(SOON)
    assert any(isinstance(event, Referred) for event in alice.events)
    assert session.state == peer.state


def test_a_cancel_is_answered_alike_for_as_long_as_it_comes(
    network: Network, alice: Party, bob: Party
) -> None:
    """Section 9.2: the transaction of the INVITE is gone after T4, CANCEL comes for 64*T1."""
    network.expect_idle = True
    session, _ = ringing(alice, bob)
    for _ in range(7):
        network.lose("200 CANCEL")
    session.cancel(alice.now)
    network.run(30.0)
    assert {p.summary for p in network.log if p.summary.endswith(" CANCEL")} == {"200 CANCEL"}
    assert len(network.packets("200 CANCEL")) == 8


def test_other_sessions_are_not_concerned(network: Network, alice: Party, bob: Party) -> None:
    """481 where the tag is known and the call is another's."""
    carol: Stranger = network.add_stranger("carol", "198.51.100.9")
    session, _ = established(alice, bob)
    carol.send(alice, in_dialog(session, "INFO", 9, {"Call-ID": "another"}))
    network.run(SOON)
    assert carol.statuses("INFO") == [481]
