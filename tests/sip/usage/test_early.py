"""Forks as the caller sees them: RFC 3261 sections 12.1.2 and 13.2.2.4, RFC 6228."""

import pytest

from sip.events import Answered, Progressed, Refused, Requested
from sip.message import Request
from sip.usage.invite import InviteSession
from sip.usage.session import CONFIRMED, EARLY
from tests.sip.usage.calls import ANSWER, OFFER, SOON, in_dialog
from tests.support.builders import response_text
from tests.support.network import Network, Party, Stranger

RELIABLE = "Require: 100rel\r\nRSeq: {}\r\n"


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", "198.51.100.9")


@pytest.fixture
def call(network: Network, alice: Party, carol: Stranger) -> tuple[InviteSession, Request]:
    alice.endpoint.support("100rel")
    session = alice.call(carol)
    network.run(SOON)
    return session, carol.requests("INVITE")[0]


def reply(
    carol: Stranger, alice: Party, to: Request, status: int, tag: str, lines: str = ""
) -> None:
    lines += (
        f"Contact: <sip:{tag}@198.51.100.9>\r\nRecord-Route: <sip:198.51.100.9;lr;for={tag}>\r\n"
    )
    carol.send(alice, response_text(to, status, tag, lines))
    alice.network.run(SOON)


def of_fork(session: InviteSession, method: str, number: int, tag: str) -> bytes:
    value = f"<{session.dialog.remote.partition('<')[2].partition('>')[0]}>;tag={tag}"
    return in_dialog(session, method, number, {"From": value})


def test_each_fork_counts_by_itself(
    network: Network, alice: Party, carol: Stranger, call: tuple[InviteSession, Request]
) -> None:
    session, invite = call
    for tag, number in (("one", 7), ("two", 100), ("one", 8), ("two", 101), ("two", 103)):
        reply(carol, alice, invite, 180, tag, RELIABLE.format(number))
        for prack in carol.requests("PRACK")[-1:]:
            carol.send(alice, response_text(prack, 200))
    pracks = list({(p.to_tag, p.cseq[0]): p for p in carol.requests("PRACK")}.values())
    assert [(p.to_tag, p.cseq[0], p.get("rack")) for p in pracks] == [
        ("one", 2, "7 1 INVITE"),
        ("two", 2, "100 1 INVITE"),
        ("one", 3, "8 1 INVITE"),
        ("two", 3, "101 1 INVITE"),
    ]
    assert [p.get("route") for p in pracks[:2]] == [
        f"<sip:198.51.100.9;lr;for={tag}>" for tag in ("one", "two")
    ]
    assert [p.uri for p in pracks[:2]] == ["sip:one@198.51.100.9", "sip:two@198.51.100.9"]
    tags = [e.response.to_tag for e in alice.events if isinstance(e, Progressed)]
    assert tags == ["one", "two", "one", "two"]
    assert session.state == EARLY


@pytest.mark.parametrize("winner", ["one", "two", "three"])
def test_a_2xx_confirms_its_dialog(
    network: Network,
    alice: Party,
    carol: Stranger,
    call: tuple[InviteSession, Request],
    winner: str,
) -> None:
    session, invite = call
    reply(carol, alice, invite, 180, "one", RELIABLE.format(1))
    reply(carol, alice, invite, 180, "two")
    reply(carol, alice, invite, 200, winner)
    assert alice.take(Answered).session is session
    session.acknowledge(network.now)
    session.update(network.now, OFFER)
    network.run(SOON)
    [ack], [update] = carol.requests("ACK"), carol.requests("UPDATE")
    assert (ack.to_tag, ack.cseq[0], ack.uri) == (winner, 1, f"sip:{winner}@198.51.100.9")
    assert (update.to_tag, update.uri) == (winner, ack.uri)
    assert session.state == CONFIRMED
    loser = "two" if winner == "one" else "one"
    carol.send(alice, of_fork(session, "INFO", 9, loser))
    network.run(SOON)
    assert carol.statuses("INFO") == [481]  # section 13.2.2.4: the others are over
    reply(carol, alice, invite, 200, loser)
    assert [m.to_tag for m in carol.requests("BYE")] == [loser]


def test_requests_find_their_early_dialog(
    network: Network, alice: Party, carol: Stranger, call: tuple[InviteSession, Request]
) -> None:
    session, invite = call
    reply(carol, alice, invite, 180, "one")
    reply(carol, alice, invite, 180, "two")
    for number, tag in enumerate(("one", "two", "one"), 20):
        carol.send(alice, of_fork(session, "INFO", number, tag))
        network.run(SOON)
        asked = alice.take(Requested)
        assert asked.session is session
        assert asked.request.from_tag == session.dialog.remote_tag == tag
        asked.transaction.respond(200, network.now)
    carol.send(alice, of_fork(session, "INFO", 30, "three"))
    network.run(SOON)
    assert carol.statuses("INFO")[-1] == 481


@pytest.mark.parametrize("by_bye", [False, True])
def test_an_early_dialog_ends(
    network: Network,
    alice: Party,
    carol: Stranger,
    call: tuple[InviteSession, Request],
    by_bye: bool,
) -> None:
    """BYE of a callee that has not answered, or a proxy's 199 (RFC 6228): the call goes on."""
    session, invite = call
    reply(carol, alice, invite, 180, "one")
    reply(carol, alice, invite, 180, "two")
    if by_bye:
        carol.send(alice, of_fork(session, "BYE", 40, "two"))
        network.run(SOON)
        assert carol.statuses("BYE") == [200]
    else:
        reply(carol, alice, invite, 199, "two")
        assert [e.response.status for e in alice.events if isinstance(e, Progressed)][-1] == 199
    assert session.dialog.remote_tag == "one"
    carol.send(alice, of_fork(session, "INFO", 41, "two"))
    network.run(SOON)
    assert carol.statuses("INFO") == [481]
    reply(carol, alice, invite, 200, "one")
    assert alice.take(Answered).session is session


def test_a_prack_refused_by_one_fork(
    network: Network, alice: Party, carol: Stranger, call: tuple[InviteSession, Request]
) -> None:
    """481 ends that early dialog alone (section 12.2.1.2)."""
    session, invite = call
    reply(carol, alice, invite, 180, "one", RELIABLE.format(1))
    reply(carol, alice, invite, 180, "two", RELIABLE.format(1))
    for prack in carol.requests("PRACK"):
        carol.send(alice, response_text(prack, 481 if prack.to_tag == "two" else 200))
    network.run(SOON)
    assert carol.requests("CANCEL") == []
    assert session.dialog.remote_tag == "one"


def test_the_only_fork_is_gone_and_another_rings(
    network: Network, alice: Party, carol: Stranger, call: tuple[InviteSession, Request]
) -> None:
    session, invite = call
    reply(carol, alice, invite, 180, "one", RELIABLE.format(1))
    reply(carol, alice, invite, 199, "one")
    reply(carol, alice, invite, 180, "two", RELIABLE.format(1))
    assert session.dialog.remote_tag == "two"
    assert carol.requests("PRACK")[-1].to_tag == "two"
    reply(carol, alice, invite, 486, "two")
    assert alice.take(Refused).status == 486


def test_a_reliable_response_without_a_tag(
    network: Network, alice: Party, carol: Stranger, call: tuple[InviteSession, Request]
) -> None:
    _, invite = call
    carol.send(alice, response_text(invite, 180, "", RELIABLE.format(1)))
    network.run(SOON)
    assert [name for name in alice.seen if name != "PeerOddity"] == ["Progressed"]
    assert carol.requests("PRACK") == []


def test_an_offer_in_one_fork(network: Network, alice: Party, carol: Stranger) -> None:
    """Each early dialog of an offerless INVITE has an exchange of its own."""
    session = alice.call(carol, b"")
    network.run(SOON)
    [invite] = carol.requests("INVITE")
    for tag in ("one", "two"):
        lines = RELIABLE.format(1) + "Content-Type: application/sdp\r\n"
        carol.send(alice, response_text(invite, 183, tag, lines, OFFER.decode()))
        network.run(SOON)
    first, second = alice.take(Progressed).response, alice.take(Progressed).response
    session.prack(network.now, second, ANSWER)
    session.prack(network.now, first, ANSWER)
    network.run(SOON)
    assert [(p.to_tag, p.sdp) for p in carol.requests("PRACK")] == [
        ("two", ANSWER),
        ("one", ANSWER),
    ]
