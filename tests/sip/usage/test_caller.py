"""The caller's side of a call: RFC 3261 sections 9.1, 12.1.2, 13.2 and 15."""

import gc

import pytest

from sip.events import Answered, Closed, Hungup, Invited, Progressed, Refused
from sip.message import Request
from sip.usage.invite import InviteSession
from sip.usage.session import CONFIRMED, TERMINATED
from tests.sip.usage.calls import ANSWER, OFFER, SOON, established, ringing
from tests.support.builders import response_text
from tests.support.network import Network, Party, Stranger


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol")


def invited(alice: Party, carol: Stranger) -> tuple[InviteSession, Request]:
    """A call to a stranger, and the INVITE that the stranger got."""
    session = alice.call(carol)
    alice.network.run(SOON)
    return session, carol.requests("INVITE")[-1]


def reply(
    carol: Stranger, alice: Party, to: Request, status: int, tag: str = "c", lines: str = ""
) -> None:
    contact = "" if "Contact" in lines else f"Contact: <{carol.uri}>\r\n"
    carol.send(alice, response_text(to, status, tag, contact + lines))
    alice.network.run(SOON)


def test_a_whole_call(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    session, peer = ringing(alice, bob)
    peer.answer(bob.now, ANSWER)
    network.run(SOON)
    answered = alice.take(Answered)
    assert answered.response.body == ANSWER
    session.acknowledge(alice.now)
    network.run(SOON)
    assert session.state == peer.state == CONFIRMED
    session.bye(alice.now, "Reason: Q.850;cause=16\r\n")
    network.run(SOON)
    hungup = bob.take(Hungup)
    assert hungup.request.get("reason") == "Q.850;cause=16"
    peer.confirm_bye(bob.now)
    peer.confirm_bye(bob.now)
    network.run(SOON)
    assert alice.take(Closed).session is session
    assert session.state == peer.state == TERMINATED
    assert network.ladder() == [
        "alice > bob INVITE",
        "bob > alice 100 INVITE",
        "bob > alice 180 INVITE",
        "bob > alice 200 INVITE",
        "alice > bob ACK",
        "alice > bob BYE",
        "bob > alice 200 BYE",
    ]


def test_the_invite_on_the_wire(network: Network, alice: Party, carol: Stranger) -> None:
    session = alice.endpoint.invite(
        0.0,
        carol.uri,
        from_='"Alice" <sip:alice@example.com>',
        to="<sip:carol@example.com>",
        call_id="mine",
        contact_user="alice",
        body=OFFER,
        lines="X-Own: 1\r\n",
        max_forwards=12,
    )
    network.run(SOON)
    [invite] = carol.requests("INVITE")
    assert invite.defect is None
    assert invite.uri == carol.uri
    assert invite.get("max-forwards") == "12"
    assert invite.from_.display_name == "Alice"
    assert invite.from_tag == session.local_tag
    assert invite.get("to") == "<sip:carol@example.com>"
    assert invite.call_id == "mine"
    assert invite.cseq == (1, "INVITE")
    assert invite.contact is not None
    assert invite.contact.uri == "sip:alice@192.0.2.1:5060;transport=udp"
    assert invite.content_type == "application/sdp"
    assert invite.get("x-own") == "1"
    assert invite.body == OFFER
    assert session.remote_address == carol.address


def test_provisional_responses(alice: Party, carol: Stranger) -> None:
    session, invite = invited(alice, carol)
    reply(carol, alice, invite, 100, tag="")
    assert alice.seen == []
    reply(carol, alice, invite, 183)
    assert alice.take(Progressed).response.status == 183
    assert session.dialog.remote_tag == "c"


def test_a_refusal(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    session, peer = ringing(alice, bob)
    peer.reject(bob.now, 486, "On the phone", "X-Why: 1\r\n")
    network.run(SOON)
    refused = alice.take(Refused)
    assert (refused.status, refused.reason) == (486, "On the phone")
    assert refused.response is not None
    assert refused.response.get("x-why") == "1"
    assert session.state == peer.state == TERMINATED
    assert network.ladder()[-1] == "alice > bob ACK"


def test_silence(network: Network, alice: Party, carol: Stranger) -> None:
    network.expect_idle = True
    session, _ = invited(alice, carol)
    network.run(33.0)
    assert len(carol.requests("INVITE")) == 7
    refused = alice.take(Refused)
    assert (refused.status, refused.response, refused.session) == (408, None, session)


# CANCEL.


def test_cancel_while_it_rings(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    session, _peer = ringing(alice, bob)
    session.cancel(alice.now, "Reason: SIP;cause=200\r\n")
    session.cancel(alice.now)
    network.run(SOON)
    assert alice.take(Refused).status == 487
    assert bob.seen == ["Cancelled"]
    [cancel] = network.requests("CANCEL")
    [invite] = network.requests("INVITE")
    assert cancel.defect is None
    assert (cancel.uri, cancel.top_via) == (invite.uri, invite.top_via)
    assert (cancel.get("from"), cancel.get("to")) == (invite.get("from"), invite.get("to"))
    assert cancel.cseq == (1, "CANCEL")
    assert cancel.get("reason") == "SIP;cause=200"
    assert network.ladder()[-4:] == [
        "alice > bob CANCEL",
        "bob > alice 200 CANCEL",
        "bob > alice 487 INVITE",
        "alice > bob ACK",
    ]


def test_cancel_waits_for_a_provisional_response(alice: Party, carol: Stranger) -> None:
    session, invite = invited(alice, carol)
    session.cancel(alice.now)
    alice.network.run(SOON)
    assert carol.requests("CANCEL") == []
    reply(carol, alice, invite, 180)
    assert len(carol.requests("CANCEL")) == 1
    assert alice.seen == []  # a call that is given up makes no progress
    reply(carol, alice, invite, 487)
    assert alice.seen == ["Refused"]


@pytest.mark.parametrize("rang", [True, False])
def test_a_2xx_crosses_cancel(network: Network, alice: Party, carol: Stranger, rang: bool) -> None:
    network.expect_idle = True
    session, invite = invited(alice, carol)
    if rang:
        reply(carol, alice, invite, 180)
    session.cancel(alice.now, "Reason: x\r\n")
    reply(carol, alice, invite, 200)
    assert len(carol.requests("ACK")) == 1
    [bye] = carol.requests("BYE")
    assert bye.get("reason") == "x"
    reply(carol, alice, bye, 200)
    assert alice.seen == (["Progressed"] if rang else []) + ["Refused", "Closed"]
    assert alice.take(Refused).status == 487
    for cancel in carol.requests("CANCEL"):
        reply(carol, alice, cancel, 481)


def test_no_answer_to_cancel(network: Network, alice: Party, carol: Stranger) -> None:
    network.expect_idle = True
    session, invite = invited(alice, carol)
    reply(carol, alice, invite, 180)
    session.cancel(alice.now)
    network.run(33.0)
    assert alice.take(Refused).status == 408


# 2xx and ACK.


def test_each_repeated_2xx_gets_the_same_ack(alice: Party, carol: Stranger) -> None:
    session, invite = invited(alice, carol)
    reply(carol, alice, invite, 200)
    reply(carol, alice, invite, 200)
    assert carol.requests("ACK") == []  # the program has not acknowledged yet
    session.acknowledge(alice.now, ANSWER)
    reply(carol, alice, invite, 200)
    first, again = carol.requests("ACK")
    assert first.to_bytes() == again.to_bytes()
    assert first.body == ANSWER
    assert first.content_type == "application/sdp"
    assert first.cseq == (1, "ACK")
    assert first.via.branch != invite.via.branch


def test_a_2xx_is_acknowledged_even_after_bye(alice: Party, carol: Stranger) -> None:
    session, invite = invited(alice, carol)
    reply(carol, alice, invite, 200)
    session.acknowledge(alice.now)
    session.bye(alice.now)
    alice.network.run(SOON)
    reply(carol, alice, carol.requests("BYE")[0], 200)
    assert session.state == TERMINATED
    reply(carol, alice, invite, 200)
    assert len(carol.requests("ACK")) == 2


def test_bye_brings_the_ack_that_is_owed(alice: Party, carol: Stranger) -> None:
    session, invite = invited(alice, carol)
    reply(carol, alice, invite, 200)
    session.bye(alice.now)
    alice.network.run(SOON)
    methods = [m.method for m in carol.received if isinstance(m, Request)]
    assert methods == ["INVITE", "ACK", "BYE"]


def test_forks(network: Network, alice: Party, carol: Stranger) -> None:  # section 13.2.2.4
    network.expect_idle = True
    session, invite = invited(alice, carol)
    reply(carol, alice, invite, 180, "one")
    reply(carol, alice, invite, 180, "two")
    reply(carol, alice, invite, 200, "two")
    session.acknowledge(alice.now)
    for _ in range(2):
        reply(carol, alice, invite, 200, "three", f"Record-Route: <sip:{carol.address[0]};lr>\r\n")
    first, *others = carol.requests("ACK")
    assert first.to_tag == "two"
    assert [ack.to_tag for ack in others] == ["three", "three"]
    [bye] = carol.requests("BYE")
    assert (bye.to_tag, bye.cseq) == ("three", (2, "BYE"))
    assert bye.get("route") == f"<sip:{carol.address[0]};lr>"
    reply(carol, alice, bye, 200, "three")
    assert session.state == CONFIRMED
    assert alice.endpoint.sessions == {session.local_tag: session}
    assert alice.seen == ["Progressed", "Progressed", "Answered"]
    session.bye(alice.now)
    network.run(SOON)
    reply(carol, alice, carol.requests("BYE")[-1], 200)
    assert alice.seen[-1] == "Closed"


def test_a_fork_that_does_not_answer_bye(network: Network, alice: Party, carol: Stranger) -> None:
    session, invite = invited(alice, carol)
    reply(carol, alice, invite, 200, "one")
    session.acknowledge(alice.now)
    reply(carol, alice, invite, 200, "two")
    network.run(70.0)
    assert session.state == CONFIRMED
    assert alice.endpoint.sessions == {session.local_tag: session}


def test_a_malformed_record_route_does_not_stop_the_ack(alice: Party, carol: Stranger) -> None:
    session, invite = invited(alice, carol)
    reply(carol, alice, invite, 200, "c", 'Record-Route: "open\r\n')
    session.acknowledge(alice.now)
    alice.network.run(SOON)
    assert len(carol.requests("ACK")) == 1


def test_a_callee_that_gives_up_early(alice: Party, carol: Stranger) -> None:
    """No callee may send BYE before its answer; one that does learns nothing from us."""
    session, invite = invited(alice, carol)
    reply(carol, alice, invite, 180)
    carol.send(alice, _bye(carol, session))
    alice.network.run(SOON)
    assert carol.statuses("BYE") == [200]
    assert alice.seen == ["Progressed"]


def _bye(carol: Stranger, session: InviteSession) -> str:
    dialog = session.dialog
    return (
        "BYE sip:alice@192.0.2.1 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {carol.address[0]};branch=z9hG4bKb\r\n"
        f"From: {dialog.remote}\r\nTo: {dialog.local}\r\nCall-ID: {dialog.call_id}\r\n"
        "CSeq: 9 BYE\r\n\r\n"
    )


# Names and ways.


def test_a_name_is_resolved(network: Network, alice: Party, carol: Stranger) -> None:
    network.names["carol.example.com"] = carol.address[0]
    session = alice.call("sip:carol@carol.example.com")
    assert session.remote_address == ("", 0)
    network.run(SOON)
    assert len(carol.requests("INVITE")) == 1
    reply(
        carol, alice, carol.requests("INVITE")[0], 200, "c", "Contact: <sip:carol.example.com>\r\n"
    )
    assert session.remote_address == carol.address
    session.acknowledge(alice.now)
    session.bye(alice.now)
    network.run(SOON)
    assert len(carol.requests("ACK")) == len(carol.requests("BYE")) == 1


def test_an_ack_that_waits_for_its_name(network: Network, alice: Party, carol: Stranger) -> None:
    """A repeated 2xx must not get the ACK of an earlier INVITE meanwhile."""
    session, invite = invited(alice, carol)
    reply(carol, alice, invite, 200)
    session.acknowledge(alice.now)
    session.reinvite(alice.now, OFFER)
    network.run(SOON)
    again = carol.requests("INVITE")[-1]
    reply(carol, alice, again, 200, lines="Contact: <sip:nowhere.example.com>\r\n")
    session.acknowledge(alice.now)
    reply(carol, alice, again, 200)
    reply(carol, alice, again, 200)
    assert [ack.cseq[0] for ack in carol.requests("ACK")] == [1]
    session.bye(alice.now)
    network.run(SOON)
    assert alice.seen[-1] == "Closed"  # 503: there is no way to the target


def test_a_name_that_does_not_exist(network: Network, alice: Party) -> None:
    network.expect_idle = True
    alice.call("sip:carol@nowhere.example.com")
    network.run(SOON)
    assert alice.take(Refused).status == 503


def test_an_outbound_proxy(network: Network, alice: Party, carol: Stranger) -> None:
    session = alice.call("sip:carol@elsewhere.example.com", next_hop=carol.uri)
    network.run(SOON)
    [invite] = carol.requests("INVITE")
    assert invite.uri == "sip:carol@elsewhere.example.com"
    reply(
        carol, alice, invite, 200, "c", f"Record-Route: <{carol.uri};lr>\r\nContact: <sip:x@y>\r\n"
    )
    session.acknowledge(alice.now)
    network.run(SOON)
    [ack] = carol.requests("ACK")
    assert (ack.uri, ack.get("route")) == ("sip:x@y", f"<{carol.uri};lr>")


def test_strict_router(alice: Party, carol: Stranger) -> None:
    session, invite = invited(alice, carol)
    reply(carol, alice, invite, 200, "c", f"Record-Route: <{carol.uri}>\r\nContact: <sip:x@y>\r\n")
    session.acknowledge(alice.now)
    alice.network.run(SOON)
    [ack] = carol.requests("ACK")
    assert (ack.uri, ack.get("route")) == (carol.uri, "<sip:x@y>")


def test_a_reliable_transport() -> None:
    network = Network()
    alice, bob = network.add("alice", reliable=True), network.add("bob", reliable=True)
    session = alice.call(f"{bob.uri};transport=tcp")
    network.run(SOON)
    peer = bob.take(Invited).session
    assert session.contact == "Contact: <sip:192.0.2.1:5060;transport=tcp>\r\n"
    peer.answer(bob.now, ANSWER)
    network.run(SOON)
    session.acknowledge(alice.now)
    session.bye(alice.now)
    network.run(SOON)
    peer.confirm_bye(bob.now)
    network.settle()


def test_established_helper_leaves_both_sides_up(alice: Party, bob: Party) -> None:
    session, peer = established(alice, bob)
    assert (session.state, peer.state) == (CONFIRMED, CONFIRMED)
    assert repr(session).endswith("confirmed>")


def plain_call(alice: Party, bob: Party) -> int:
    """A call from its beginning to its end; how many sessions are in memory after it."""
    session, peer = established(alice, bob)
    session.bye(alice.now)
    alice.network.run(SOON)
    peer.confirm_bye(bob.now)
    alice.network.settle()
    del session, peer
    for party in (alice, bob):
        party.events.clear()
    return sum(isinstance(thing, InviteSession) for thing in gc.get_objects())


def test_a_session_goes_without_garbage_collection(alice: Party, bob: Party) -> None:
    """A plain call makes no cycles of references: every call would pay for them."""
    gc.collect()
    before = sum(isinstance(thing, InviteSession) for thing in gc.get_objects())
    gc.disable()
    try:
        assert plain_call(alice, bob) == before
    finally:
        gc.enable()
