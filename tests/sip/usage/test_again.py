"""Requests that are sent again, changed (RFC 3261 sections 8.1.3.5 and 22.2)."""

import pytest

from sip.events import Answered, Closed, Progressed, ReferProgressed, Refused, Responded
from sip.message import Request, Response
from sip.transaction.client import ClientTransaction
from sip.usage.again import MOST_REPETITIONS, Attempts, Change
from sip.usage.session import CONFIRMED, EARLY, INITIAL
from tests.sip.usage.calls import SOON, with_stranger
from tests.support.builders import response_text
from tests.support.network import OFFER, Network, Party, Stranger


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", "198.51.100.9")


@pytest.fixture
def alice(network: Network) -> Party:
    """A party who adds a line to what was refused with 499."""
    alice = network.add("alice")
    alice.endpoint.amendments[499] = add_a_line
    return alice


def add_a_line(
    _tx: ClientTransaction, attempts: Attempts, _response: Response, _now: float
) -> Change:
    return Change(f"X-Try: {attempts.count + 1}\r\n", without=("x-try",))


def reply(carol: Stranger, alice: Party, status: int, tag: str = "c", lines: str = "") -> None:
    """Answer the last request that carol got, ACK aside."""
    asked = [m for m in carol.received if isinstance(m, Request) and m.method != "ACK"][-1]
    carol.send(alice, response_text(asked, status, tag, f"Contact: <{carol.uri}>\r\n{lines}"))
    alice.network.run(SOON)


def test_an_invite_goes_out_again(network: Network, alice: Party, carol: Stranger) -> None:
    session = alice.call(carol, lines="X-Own: 1\r\n")
    network.run(SOON)
    reply(carol, alice, 499)
    assert alice.seen == []
    first, second = carol.requests("INVITE")
    assert (first.cseq, second.cseq) == ((1, "INVITE"), (2, "INVITE"))
    assert first.via.branch != second.via.branch
    for same in ("from", "to", "call-id", "contact", "x-own", "content-type", "content-length"):
        assert first.get(same) == second.get(same)
    assert (second.body, second.uri, second.get("x-try")) == (OFFER, carol.uri, "1")
    assert [ack.cseq[0] for ack in carol.requests("ACK")] == [1]
    assert session.dialog.last_cseq == 2
    reply(carol, alice, 200, "d")
    assert alice.take(Answered).session is session
    session.acknowledge(alice.now)
    network.run(SOON)
    assert carol.requests("ACK")[-1].cseq == (2, "ACK")
    session.bye(alice.now)
    network.run(SOON)
    assert carol.requests("BYE")[-1].cseq == (3, "BYE")
    reply(carol, alice, 200)
    network.settle()


def test_a_repeated_refusal_gets_its_ack_again(
    network: Network, alice: Party, carol: Stranger
) -> None:
    session = alice.call(carol)
    network.run(SOON)
    [first] = carol.requests("INVITE")
    for _ in range(3):  # section 17.1.1.3: the old transaction still acknowledges
        carol.send(alice, response_text(first, 499, "c"))
        network.run(SOON)
    assert [ack.cseq[0] for ack in carol.requests("ACK")] == [1, 1, 1]
    assert len(carol.requests("INVITE")) == 2
    reply(carol, alice, 486)
    assert alice.take(Refused).status == 486
    assert session.dialog.local_cseq == 2
    network.settle()


def test_the_dialog_is_what_it_was_before_it_rang(
    network: Network, alice: Party, carol: Stranger
) -> None:
    session = alice.call(carol)
    network.run(SOON)
    route = "Record-Route: <sip:198.51.100.9;lr>\r\n"
    reply(carol, alice, 180, "early", route)
    alice.take(Progressed)
    assert (session.state, session.dialog.remote_tag) == (EARLY, "early")
    reply(carol, alice, 499, "early")
    assert (session.state, session.dialog.remote_tag) == (INITIAL, None)
    assert (session.dialog.routes, session.dialog.target) == ((), carol.uri)
    second = carol.requests("INVITE")[-1]
    assert (second.to_tag, second.get("route")) == (None, None)
    reply(carol, alice, 180, "later")
    assert session.dialog.remote_tag == "later"
    reply(carol, alice, 404, "later")
    assert alice.take(Refused).status == 404
    network.settle()


def test_a_cancelled_invite_does_not_come_again(
    network: Network, alice: Party, carol: Stranger
) -> None:
    session = alice.call(carol)
    network.run(SOON)
    session.cancel(alice.now)
    reply(carol, alice, 499)
    assert alice.take(Refused).status == 499
    assert len(carol.requests("INVITE")) == 1
    network.settle()


def test_a_cancel_follows_the_second_attempt(
    network: Network, alice: Party, carol: Stranger
) -> None:
    session = alice.call(carol)
    network.run(SOON)
    reply(carol, alice, 180, "early")
    reply(carol, alice, 499, "early")
    session.cancel(alice.now)  # section 9.1: not before a 1xx of this attempt
    network.run(SOON)
    assert carol.requests("CANCEL") == []
    second = carol.requests("INVITE")[-1]
    carol.send(alice, response_text(second, 100))
    network.run(SOON)
    [cancel] = carol.requests("CANCEL")
    assert cancel.cseq == (2, "CANCEL")
    assert cancel.top_via == second.top_via
    carol.send(alice, response_text(cancel, 499))  # CANCEL is never sent again
    carol.send(alice, response_text(second, 487, "early"))
    network.run(SOON)
    assert len(carol.requests("CANCEL")) == 1
    assert alice.take(Refused).status == 487
    network.settle()


def test_there_is_an_end_to_it(network: Network, alice: Party, carol: Stranger) -> None:
    alice.call(carol)
    network.run(SOON)
    while not alice.seen:
        reply(carol, alice, 499)
    assert alice.take(Refused).status == 499
    numbers = [invite.cseq[0] for invite in carol.requests("INVITE")]
    assert numbers == list(range(1, MOST_REPETITIONS + 2))
    assert [line.get("x-try") for line in carol.requests("INVITE")][1:] == [
        str(n) for n in range(1, MOST_REPETITIONS + 1)
    ]
    network.settle()


@pytest.mark.parametrize("method", ["INFO", "UPDATE", "MESSAGE"])
def test_a_request_in_the_dialog(
    network: Network, alice: Party, carol: Stranger, method: str
) -> None:
    session = with_stranger(alice, carol)
    session.request(alice.now, method, "X-Own: 1\r\n", b"text", "text/plain", context="mine")
    network.run(SOON)
    reply(carol, alice, 499)
    assert alice.seen == []
    first, second = carol.requests(method)
    assert (second.cseq[0], second.to_tag, second.body) == (3, "c", b"text")
    assert (first.get("x-own"), second.get("content-type")) == ("1", "text/plain")
    reply(carol, alice, 200)
    responded = alice.take(Responded)
    assert (responded.status, responded.context) == (200, "mine")


def test_a_reinvite(network: Network, alice: Party, carol: Stranger) -> None:
    session = with_stranger(alice, carol)
    session.reinvite(alice.now, OFFER)
    network.run(SOON)
    reply(carol, alice, 499)
    assert session.state == CONFIRMED
    assert session.dialog.remote_tag == carol.requests("INVITE")[-1].to_tag == "c"
    reply(carol, alice, 200)
    alice.take(Answered)
    session.acknowledge(alice.now)
    network.run(SOON)
    assert carol.requests("ACK")[-1].cseq[0] == 3
    session.reinvite(alice.now, OFFER)  # the queue is free again
    network.run(SOON)
    assert carol.requests("INVITE")[-1].cseq[0] == 4


def test_a_bye_and_nothing_else_after_it(network: Network, alice: Party, carol: Stranger) -> None:
    session = with_stranger(alice, carol)
    session.reinvite(alice.now, OFFER)
    network.run(SOON)
    invite = carol.requests("INVITE")[-1]
    session.bye(alice.now)
    network.run(SOON)
    reply(carol, alice, 499)
    assert [bye.cseq[0] for bye in carol.requests("BYE")] == [3, 4]
    carol.send(alice, response_text(invite, 499))
    network.run(SOON)
    assert len(carol.requests("INVITE")) == 2
    alice.take(Refused)
    reply(carol, alice, 200)
    assert alice.take(Closed).session is session
    network.settle()


def test_a_refer_takes_its_new_number_as_id(
    network: Network, alice: Party, carol: Stranger
) -> None:
    """RFC 3515 section 2.4.6: the id is the CSeq of the REFER that was accepted."""
    session = with_stranger(alice, carol)
    refer = session.refer(alice.now, "sip:dave@example.com")
    assert refer.number == 2
    network.run(SOON)
    reply(carol, alice, 499)
    assert refer.number == 3
    assert session.refers == {3: refer}
    reply(carol, alice, 202)
    assert alice.take(ReferProgressed).status == 202


def test_options_outside_a_dialog(network: Network, alice: Party, carol: Stranger) -> None:
    alice.endpoint.options(alice.now, carol.uri, from_="<sip:alice@example.com>", context=7)
    network.run(SOON)
    reply(carol, alice, 499)
    first, second = carol.requests("OPTIONS")
    assert (first.cseq[0], second.cseq[0]) == (1, 2)
    assert first.call_id == second.call_id
    assert first.from_tag == second.from_tag
    reply(carol, alice, 200)
    assert alice.take(Responded).context == 7
    network.settle()


def test_another_uri_that_is_looked_up(network: Network, alice: Party, carol: Stranger) -> None:
    network.names["other.example"] = "198.51.100.10"
    other = network.add_stranger("other", "198.51.100.10")
    alice.endpoint.amendments[398] = lambda *_: Change(uri="sip:other@other.example")
    session = alice.call(carol)
    network.run(SOON)
    reply(carol, alice, 398)
    [moved] = other.requests("INVITE")
    assert (moved.uri, moved.get("to")) == ("sip:other@other.example", f"<{carol.uri}>")
    reply(other, alice, 486)
    assert alice.take(Refused).session is session
    network.settle()


def test_another_uri_that_leads_nowhere(network: Network, alice: Party, carol: Stranger) -> None:
    alice.endpoint.amendments[398] = lambda *_: Change(uri="sip:other@nowhere.example")
    alice.call(carol)
    network.run(SOON)
    reply(carol, alice, 398)
    assert alice.take(Refused).status == 503
    network.settle()


def test_420_without_what_the_peer_lacks(network: Network, alice: Party, carol: Stranger) -> None:
    alice.call(carol, lines="Require: 100rel, X-Need\r\nRequire: timer\r\n")
    network.run(SOON)
    reply(carol, alice, 420, lines="Unsupported: 100rel\r\n")
    assert carol.requests("INVITE")[-1].all("require") == ["X-Need, timer"]
    reply(carol, alice, 420, lines="Unsupported: timer\r\n")
    assert carol.requests("INVITE")[-1].all("require") == ["X-Need"]
    reply(carol, alice, 420, lines="Unsupported: X-Need\r\n")  # nothing would be left of it
    assert alice.take(Refused).status == 420
    network.settle()


def test_420_that_names_nothing_of_ours(network: Network, alice: Party, carol: Stranger) -> None:
    alice.call(carol, lines="Require: 100rel\r\n")
    network.run(SOON)
    reply(carol, alice, 420, lines="Unsupported: timer\r\n")
    assert alice.take(Refused).status == 420
    assert len(carol.requests("INVITE")) == 1
    network.settle()


def test_an_answer_that_cannot_be_read(network: Network, alice: Party, carol: Stranger) -> None:
    alice.call(carol, lines="Require: 100rel\r\n")
    network.run(SOON)
    reply(carol, alice, 420, lines='Unsupported: 100rel, "\r\n')
    assert alice.take(Refused).status == 420
    network.settle()
