"""The callee's side of a call: RFC 3261 sections 12.1.1, 13.3 and 15."""

import pytest

from sip.events import Acknowledged, Closed, Hungup, Invited, Lost, Requested
from sip.message import Request
from sip.usage.invite import InviteSession
from sip.usage.session import CONFIRMED, TERMINATED
from tests.sip.transaction.bench import near
from tests.sip.usage.calls import ANSWER, OFFER, SOON, automatic, ringing
from tests.support.builders import request_text, response_text
from tests.support.network import Network, Party, Stranger

FROM_CAROL = "<sip:carol@example.org>;tag=carol"


@pytest.fixture
def carol(network: Network, bob: Party) -> Stranger:
    return network.add_stranger("carol", "198.51.100.9")


def called(
    carol: Stranger, bob: Party, headers: dict[str, str | None] | None = None, body: str = ""
) -> InviteSession:
    """A call that a stranger makes."""
    carol.send(bob, request_text("INVITE", headers, body))
    carol.network.run(SOON)
    return bob.take(Invited).session


def send(carol: Stranger, bob: Party, session: InviteSession, method: str, number: int = 1) -> None:
    """A request of the stranger in the dialog."""
    headers: dict[str, str | None] = {
        "To": session.dialog.local,
        "CSeq": f"{number} {method}",
        "Via": f"SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK{number}{method}",
    }
    carol.send(bob, request_text(method, headers))
    carol.network.run(SOON)


def test_ringing(bob: Party, carol: Stranger) -> None:
    session = called(carol, bob)
    assert not session.outgoing
    session.ring(bob.now)
    session.ring(bob.now, 183, OFFER, "X-Own: 1\r\n", "Wait")
    bob.network.run(SOON)
    trying, ring, progress = carol.responses("INVITE")
    assert (trying.status, ring.status, progress.status) == (100, 180, 183)
    assert ring.to_tag == progress.to_tag == session.local_tag
    assert ring.contact is not None
    assert progress.reason == "Wait"
    assert progress.get("x-own") == "1"
    assert progress.body == OFFER


def test_an_answer_at_once_needs_no_100(bob: Party, carol: Stranger) -> None:
    """RFC 3261 17.2.1: 100 is for what is not answered at once."""
    automatic(bob)
    carol.send(bob, request_text("INVITE"))
    bob.network.run(SOON)
    assert carol.statuses("INVITE") == [200]


def test_an_answer_takes_the_place_of_100(bob: Party, carol: Stranger) -> None:
    """Also where other messages wait behind it."""

    def react(event: object, now: float) -> None:
        assert isinstance(event, Invited)
        bob.endpoint.options(now, "sip:198.51.100.9", from_="<sip:bob@example.org>", context=None)
        event.session.answer(now, ANSWER)

    bob.handler = react
    carol.send(bob, request_text("INVITE"))
    bob.network.run(SOON)
    assert carol.statuses("INVITE") == [200]


def test_record_route_is_copied(bob: Party, carol: Stranger) -> None:
    routes = "<sip:p2.example.com;lr>;x=y\r\nRecord-Route: <sip:p1.example.com;lr>"
    session = called(carol, bob, {"Record-Route": routes})
    session.ring(bob.now)
    session.answer(bob.now, ANSWER)
    bob.network.run(SOON)
    for answer in carol.responses("INVITE")[1:]:
        assert answer.values("record-route") == [
            "<sip:p2.example.com;lr>;x=y",
            "<sip:p1.example.com;lr>",
        ]


def test_requests_of_the_callee_follow_the_route_set(bob: Party, carol: Stranger) -> None:
    proxy = bob.network.add_stranger("proxy", "203.0.113.1")
    session = called(carol, bob, {"Record-Route": "<sip:203.0.113.1;lr>"})
    session.answer(bob.now, ANSWER)
    bob.network.run(SOON)
    send(carol, bob, session, "ACK")
    session.bye(bob.now)
    bob.network.run(SOON)
    [bye] = proxy.requests("BYE")
    assert bye.uri == "sip:carol@198.51.100.9:5060"
    assert bye.get("route") == "<sip:203.0.113.1;lr>"
    assert (bye.get("from"), bye.get("to")) == (session.dialog.local, FROM_CAROL)


def test_200_is_repeated_until_ack(bob: Party, carol: Stranger) -> None:
    session = called(carol, bob)
    start = bob.now
    session.answer(bob.now, ANSWER, "X-Own: 1\r\n")
    bob.network.run(12.0)
    sent = [at - start for at in bob.network.times("200 INVITE")]
    assert near(sent, [0, 0.5, 1.5, 3.5, 7.5, 11.5])
    send(carol, bob, session, "ACK")
    assert bob.take(Acknowledged).session is session
    bob.network.run(30.0)
    assert len(bob.network.packets("200 INVITE")) == 6
    first, *again = {packet.data for packet in bob.network.packets("200 INVITE")}
    assert again == []
    assert b"X-Own: 1\r\n" in first


def test_200_without_ack_ends_in_bye(bob: Party, carol: Stranger) -> None:
    session = called(carol, bob)
    start = bob.now
    session.answer(bob.now, ANSWER)
    bob.network.run(40.0)
    assert bob.take(Lost).status == 408
    assert near([carol.network.times("BYE")[0] - start], [32.0])
    assert len(bob.network.packets("200 INVITE")) == 11
    carol.send(bob, response_text(carol.requests("BYE")[0], 200))
    bob.network.run(SOON)
    assert bob.take(Closed).session is session
    bob.network.settle()


def test_an_ack_for_something_else(bob: Party, carol: Stranger) -> None:
    session = called(carol, bob)
    session.answer(bob.now, ANSWER)
    bob.network.run(SOON)
    send(carol, bob, session, "ACK", 2)
    assert bob.seen == []
    send(carol, bob, session, "ACK", 1)
    send(carol, bob, session, "ACK", 1)
    assert bob.seen == ["Acknowledged"]
    assert bob.endpoint.discarded == 2


def test_requests_before_the_answer_do_not_confuse_the_ack(bob: Party, carol: Stranger) -> None:
    """The ACK carries the number of the INVITE, whatever came in between."""
    session = called(carol, bob)
    session.ring(bob.now)
    send(carol, bob, session, "UPDATE", 2)
    bob.take(Requested).transaction.respond(200, bob.now)
    session.answer(bob.now, ANSWER)
    bob.network.run(SOON)
    send(carol, bob, session, "ACK", 1)
    assert bob.seen == ["Acknowledged"]


def test_200_goes_where_its_invite_came_from(bob: Party, carol: Stranger) -> None:
    """Also when a request to the peer's Contact was sent meanwhile."""
    phone = bob.network.add_stranger("phone", "198.51.100.20")
    session = called(carol, bob, {"Contact": "<sip:carol@198.51.100.20>"})
    session.answer(bob.now, ANSWER)
    session.request(bob.now, "INFO")
    bob.network.run(1.0)
    assert len(phone.requests("INFO")) == 2
    assert carol.statuses("INVITE") == [100, 200, 200]
    assert phone.responses("INVITE") == []


def test_bye_waits_for_the_ack(bob: Party, carol: Stranger) -> None:  # section 15
    session = called(carol, bob)
    session.answer(bob.now, ANSWER)
    session.bye(bob.now, "Reason: x\r\n")
    bob.network.run(5.0)
    assert carol.requests("BYE") == []
    send(carol, bob, session, "ACK")
    [bye] = carol.requests("BYE")
    assert bye.get("reason") == "x"
    assert bob.seen == ["PeerOddity"]  # it came late
    carol.send(bob, response_text(bye, 200))
    bob.network.settle()
    assert bob.seen == ["PeerOddity", "Closed"]


def test_bye_goes_after_64_t1_without_ack(bob: Party, carol: Stranger) -> None:
    session = called(carol, bob)
    session.answer(bob.now, ANSWER)
    session.bye(bob.now)
    bob.network.run(33.0)
    assert carol.requests("BYE") != []
    assert bob.seen == []


def test_bye_of_the_peer_while_ours_waits(bob: Party, carol: Stranger) -> None:
    session = called(carol, bob)
    session.answer(bob.now, ANSWER)
    session.bye(bob.now)
    bob.network.run(SOON)
    send(carol, bob, session, "BYE", 2)
    assert carol.statuses("BYE") == [200]
    assert bob.seen == ["Closed"]
    bob.network.settle()
    assert carol.requests("BYE") == []


def test_bye_overtakes_ack(bob: Party, carol: Stranger) -> None:
    session = called(carol, bob)
    session.answer(bob.now, ANSWER)
    bob.network.run(SOON)
    send(carol, bob, session, "BYE", 2)
    assert bob.take(Hungup).session is session
    session.confirm_bye(bob.now)
    send(carol, bob, session, "ACK")
    assert bob.seen == []
    bob.network.settle()
    assert carol.statuses("INVITE") == [100, 200]


def test_both_say_bye(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    session, peer = ringing(alice, bob)
    peer.answer(bob.now, ANSWER)
    network.run(SOON)
    session.acknowledge(alice.now)
    network.run(SOON)
    alice.events.clear()
    bob.events.clear()
    session.bye(alice.now)
    peer.bye(bob.now)
    network.run(SOON)
    assert (alice.seen, bob.seen) == (["Closed"], ["Closed"])


def test_the_caller_ends_an_early_dialog_by_bye(bob: Party, carol: Stranger) -> None:
    session = called(carol, bob)
    session.ring(bob.now)
    send(carol, bob, session, "BYE", 2)
    assert bob.seen == ["Hungup"]
    session.confirm_bye(bob.now, "X-Own: 1\r\n")
    bob.network.run(SOON)
    assert carol.statuses("INVITE") == [100, 180, 487]  # section 15.1.2
    assert carol.responses("BYE")[0].get("x-own") == "1"
    assert session.state == TERMINATED


def test_an_invite_without_offer(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    session = alice.call(bob, b"")
    network.run(SOON)
    invited = bob.take(Invited)
    assert invited.request.body == b""
    assert invited.request.get("content-type") is None
    invited.session.answer(bob.now, OFFER)
    network.run(SOON)
    session.acknowledge(alice.now, ANSWER)
    network.run(SOON)
    acknowledged = bob.take(Acknowledged)
    assert acknowledged.request.body == ANSWER
    assert acknowledged.request.content_type == "application/sdp"
    session.bye(alice.now)
    network.run(SOON)
    bob.take(Hungup).session.confirm_bye(bob.now)


def test_a_retransmitted_invite_gets_the_last_answer(bob: Party, carol: Stranger) -> None:
    session = called(carol, bob)
    session.ring(bob.now)
    for _ in range(2):
        carol.send(bob, request_text())
    bob.network.run(SOON)
    assert carol.statuses("INVITE") == [100, 180, 180, 180]
    session.answer(bob.now, ANSWER)
    bob.network.run(SOON)
    carol.send(bob, request_text())
    bob.network.run(SOON)
    assert carol.statuses("INVITE")[-1] == 200
    assert bob.seen == []


def test_the_callee_hangs_up_to_a_peer_without_a_way(bob: Party, carol: Stranger) -> None:
    session = called(carol, bob, {"Contact": "<tel:+15551234>"})
    session.answer(bob.now, ANSWER)
    bob.network.run(SOON)
    send(carol, bob, session, "ACK")
    session.bye(bob.now)
    bob.network.run(SOON)
    assert bob.seen == ["Acknowledged", "Closed"]
    assert session.state == TERMINATED


def test_the_ack_comes_late(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    session, peer = ringing(alice, bob)
    peer.answer(bob.now, ANSWER)
    network.run(SOON)
    network.lose("ACK", 3)
    session.acknowledge(alice.now)
    network.run(10.0)
    assert len(network.packets("ACK")) == 4  # one for each 2xx
    assert bob.seen == ["PeerOddity", "Acknowledged"]
    assert (session.state, peer.state) == (CONFIRMED, CONFIRMED)
    session.bye(alice.now)
    network.run(SOON)
    peer.confirm_bye(bob.now)


def test_what_the_peer_sees_of_a_request(bob: Party, carol: Stranger) -> None:
    session = called(carol, bob)
    session.request(bob.now, "INFO", "X-Own: 1\r\n", b"signal=1", "application/dtmf-relay")
    bob.network.run(SOON)
    [info] = carol.requests("INFO")
    assert isinstance(info, Request)
    assert info.defect is None
    assert info.content_type == "application/dtmf-relay"
    assert info.body == b"signal=1"
    assert (info.cseq, info.to_tag) == ((1, "INFO"), "carol")


def test_trying_copies_the_timestamp(carol: Stranger, bob: Party) -> None:
    """Section 8.2.6.1."""
    called(carol, bob, {"Timestamp": "54.21"})
    trying = carol.responses("INVITE")[0]
    assert (trying.status, trying.get("timestamp")) == (100, "54.21")


def test_an_invite_that_expires(network: Network, carol: Stranger, bob: Party) -> None:
    """Section 13.3.1: 487, as if it had been cancelled."""
    called(carol, bob, {"Expires": "3"})
    network.run(2.5)
    assert carol.statuses("INVITE") == [100]
    network.run(1.0)
    assert 487 in carol.statuses("INVITE")
    assert bob.seen[-1] == "Cancelled"
