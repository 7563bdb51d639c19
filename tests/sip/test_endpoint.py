"""Requests as RFC 3261 section 8.2 inspects them, and what is answered without a dialog."""

from random import Random

import pytest

from sip.errors import InvalidValue
from sip.events import Cancelled, Invited, Refused, Requested, Responded
from sip.ids import IdSource
from sip.message import Request, Response, parse
from sip.transaction.server import ServerTransaction
from tests.support.builders import request, request_text, response_text
from tests.support.network import ANSWER, Network, Party, Stranger

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, PRACK, UPDATE, REFER, NOTIFY"
PROMPT = 0.2


@pytest.fixture
def carol(network: Network) -> Stranger:
    """A peer that a test speaks for."""
    return network.add_stranger("carol", "198.51.100.9")


def ask(carol: Stranger, bob: Party, data: bytes) -> list[Response]:
    """What comes back for one datagram within 200 ms."""
    before = len(carol.received)
    carol.send(bob, data)
    carol.network.run(PROMPT)
    return [message for message in carol.received[before:] if isinstance(message, Response)]


def ask_one(carol: Stranger, bob: Party, data: bytes) -> Response:
    [answer] = ask(carol, bob, data)
    return answer


# The order of section 8.2.


def test_trying_leaves_at_once(bob: Party, carol: Stranger) -> None:
    answer = ask_one(carol, bob, request_text())
    assert answer.status == 100
    assert answer.via.rport == 5060
    assert answer.via.received == "198.51.100.9"
    assert bob.network.packets("100 INVITE")[0].time == bob.network.latency


@pytest.mark.parametrize(
    ("method", "status"),
    [
        *((method, 405) for method in ("REGISTER", "SUBSCRIBE", "PUBLISH", "MESSAGE")),
        *((method, 501) for method in ("DANCE", "invite")),
    ],
)
def test_methods_that_are_not_served(bob: Party, carol: Stranger, method: str, status: int) -> None:
    answer = ask_one(carol, bob, request_text(method))
    assert answer.status == status
    assert answer.get("allow") == (ALLOW if status == 405 else None)
    assert answer.to_tag


def test_extensions(bob: Party, carol: Stranger) -> None:
    answer = ask_one(carol, bob, request_text(headers={"Require": "timer,  100rel"}))
    assert answer.status == 420
    assert answer.values("unsupported") == ["timer", "100rel"]


def test_extensions_that_are_supported(bob: Party, carol: Stranger) -> None:
    bob.endpoint.support("timer")
    bob.endpoint.support("100rel")
    answer = ask_one(carol, bob, request_text(headers={"Require": "Timer, x"}))
    assert answer.values("unsupported") == ["x"]
    assert ask_one(carol, bob, request_text("OPTIONS")).get("supported") == "100rel, timer"
    bob.endpoint.tell("User-Agent: bob\r\n")
    assert bob.endpoint.capability_lines == (
        f"Allow: {ALLOW}\r\nSupported: 100rel, timer\r\nUser-Agent: bob\r\n"
    )


class Shop:
    """A service that sells nothing."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def request_received(
        self, transaction: ServerTransaction, request: Request, now: float
    ) -> None:
        self.asked.append(request)
        transaction.respond(202, now)


def test_a_service_outside_of_dialogs(bob: Party, carol: Stranger) -> None:
    shop = Shop()
    bob.endpoint.serve("MESSAGE", shop)
    in_dialog = request_text("MESSAGE", {"To": "<sip:bob@192.0.2.1>;tag=none"})
    assert ask_one(carol, bob, in_dialog).status == 481
    data = request_text("MESSAGE")
    answer = ask_one(carol, bob, data)
    assert (answer.status, len(shop.asked)) == (202, 1)
    assert answer.to_tag
    assert ask_one(carol, bob, data).status == 202  # a retransmission: not served again
    assert len(shop.asked) == 1
    assert ask_one(carol, bob, request_text("PUBLISH")).get("allow") == f"{ALLOW}, MESSAGE"


def test_require_is_ignored_in_cancel_and_ack(bob: Party, carol: Stranger) -> None:  # 8.2.2.3
    ask(carol, bob, request_text())
    [to_cancel, to_invite] = ask(carol, bob, request_text("CANCEL", {"Require": "x"}))
    assert (to_cancel.status, to_invite.status) == (200, 487)
    assert ask(carol, bob, request_text("ACK", {"Require": "x"})) == []


def test_schemes(bob: Party, carol: Stranger) -> None:
    assert ask_one(carol, bob, request_text(uri="soap.beep://192.0.2.1")).status == 416
    assert ask_one(carol, bob, request_text(uri="tel:+15551234")).status == 100
    assert ask_one(carol, bob, request_text("OPTIONS", uri="sip:b@")).status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/sdp", "Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "Application/SDP;x=y", "Content-Encoding": "Identity"}, 100),
        ({"Content-Type": "multipart/mixed;boundary=x"}, 100),
        ({}, 100),
    ],
)
def test_content(bob: Party, carol: Stranger, headers: dict[str, str | None], status: int) -> None:
    answer = ask_one(carol, bob, request_text(headers=headers, body="v=0\r\n"))
    assert answer.status == status
    if status == 415:
        assert answer.get("accept") == "application/sdp"
        assert answer.get("accept-encoding") == "identity"


@pytest.mark.parametrize(
    ("accept", "status"),
    [("text/plain", 406), ("application/*", 100), ("text/plain, Application/SDP", 100), ("", 100)],
)
def test_what_the_peer_accepts(bob: Party, carol: Stranger, accept: str, status: int) -> None:
    answer = ask_one(carol, bob, request_text(headers={"Accept": accept}))
    assert answer.status == status
    if status == 406:
        assert answer.get("warning") == '399 192.0.2.1 "only application/sdp is offered"'


def test_any_accept_will_do_for_a_response_without_a_body(bob: Party, carol: Stranger) -> None:
    """RFC 3261 sections 11.2, 20.1: Accept is about the body of the response to OPTIONS."""
    answer = ask_one(carol, bob, request_text("OPTIONS", {"Accept": "text/plain"}))
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    "change",
    [
        {"Contact": "<sip:open"},
        {"Contact": None, "From": "<sip:a@b>x;tag=c"},
        {"Record-Route": '<sip:p;lr>, "open'},
        {"To": '"open <sip:a@b>'},
        {"Via": "SIP/2.0/UDP"},
        {"Via": 'SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK1;x="a,b'},
    ],
)
def test_what_cannot_be_read(bob: Party, carol: Stranger, change: dict[str, str | None]) -> None:
    carol.send(bob, request_text(headers=change))
    bob.network.run(PROMPT)
    assert bob.network.log[-1].summary == "400 INVITE"
    assert bob.leftovers() == {}  # nothing half-made stays behind


def test_a_request_without_via_cannot_be_answered(bob: Party, carol: Stranger) -> None:
    assert ask(carol, bob, request_text(headers={"Via": None})) == []
    assert bob.endpoint.discarded == 1


def test_merged_requests(bob: Party, carol: Stranger) -> None:  # section 8.2.2.2
    ask(carol, bob, request_text())
    other = {"Via": "SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKother"}
    assert ask_one(carol, bob, request_text(headers=other)).status == 482
    assert ask(carol, bob, request_text())[0].status == 100  # the first again: no merge


@pytest.mark.parametrize("method", ["INVITE", "BYE", "OPTIONS", "INFO", "UPDATE", "NOTIFY"])
def test_a_dialog_that_is_not_ours(bob: Party, carol: Stranger, method: str) -> None:
    headers: dict[str, str | None] = {"To": "<sip:bob@192.0.2.1>;tag=gone"}
    assert ask_one(carol, bob, request_text(method, headers)).status == 481


@pytest.mark.parametrize(
    ("method", "status"), [("BYE", 481), ("UPDATE", 481), ("INFO", 481), ("REFER", 403)]
)
def test_requests_that_need_a_dialog(bob: Party, carol: Stranger, method: str, status: int) -> None:
    assert ask_one(carol, bob, request_text(method)).status == status


def test_the_wrong_peer_in_a_dialog(bob: Party, carol: Stranger) -> None:
    ask(carol, bob, request_text())
    tag = bob.take(Invited).session.local_tag
    for change in ({"From": "<sip:m@x>;tag=mallory"}, {"Call-ID": "other"}):
        headers = {"To": f"<sip:bob@192.0.2.1>;tag={tag}", "CSeq": "2 BYE", **change}
        assert ask_one(carol, bob, request_text("BYE", headers)).status == 481


def test_a_sequence_number_that_is_not_above_the_last(bob: Party, carol: Stranger) -> None:
    ask(carol, bob, request_text(headers={"CSeq": "7 INVITE"}))
    tag = bob.take(Invited).session.local_tag
    for number, status in ((6, 500), (7, 500), (8, 200)):
        headers: dict[str, str | None] = {
            "To": f"<sip:bob@192.0.2.1>;tag={tag}",
            "CSeq": f"{number} OPTIONS",
            "Via": f"SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK{number}",
        }
        assert ask_one(carol, bob, request_text("OPTIONS", headers)).status == status


# OPTIONS.


def test_options(bob: Party, carol: Stranger) -> None:
    answer = ask_one(carol, bob, request_text("OPTIONS"))
    assert answer.status == 200
    assert answer.get("allow") == ALLOW
    assert answer.get("accept") == "application/sdp"
    assert answer.get("supported") == ""
    assert bob.leftovers() == {}


def test_options_when_out_of_service(bob: Party, carol: Stranger) -> None:
    bob.endpoint.service_status = 503
    assert ask_one(carol, bob, request_text("OPTIONS")).status == 503


def test_asking_for_options(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    alice.endpoint.options(0.0, bob.uri, from_="<sip:alice@example.com>", context="probe")
    network.run(PROMPT)
    responded = alice.take(Responded)
    assert (responded.context, responded.status, responded.session) == ("probe", 200, None)
    assert responded.response is not None
    [sent] = network.requests("OPTIONS")
    assert sent.defect is None
    assert sent.get("accept") == "application/sdp"


def test_asking_somebody_silent(network: Network, alice: Party, carol: Stranger) -> None:
    alice.endpoint.options(0.0, carol.uri, from_="<sip:alice@example.com>", context=1)
    network.run(1.0)
    carol.send(alice, response_text(carol.requests("OPTIONS")[0], 100))
    network.run(40.0)
    responded = alice.take(Responded)
    assert (responded.status, responded.response) == (408, None)


@pytest.mark.parametrize("uri", ["tel:+15551234", "sip:bob@192.0.2.1;transport=tcp", "bob"])
def test_a_destination_that_cannot_be_used(alice: Party, uri: str) -> None:
    with pytest.raises(InvalidValue):
        alice.call(uri)
    with pytest.raises(InvalidValue):
        alice.endpoint.options(0.0, uri, from_="<sip:a@b>", context=None)
    assert alice.leftovers() == {}


@pytest.mark.parametrize("bad", ["a\r\nEvil: 1", "a\nb", "a\0b", "a\ud800b"])
def test_line_breaks_add_no_header_fields(alice: Party, bad: str) -> None:
    good = {"from_": "<sip:a@b>", "to": "<sip:c@d>"}
    for change in ({"from_": bad}, {"to": bad}, {"call_id": bad}, {"contact_user": bad}):
        with pytest.raises(InvalidValue, match="header line"):
            alice.endpoint.invite(0.0, "sip:c@192.0.2.9", **{**good, **change})  # type: ignore[arg-type]
    with pytest.raises(InvalidValue):
        alice.endpoint.options(0.0, "sip:c@192.0.2.9", from_=bad, context=None)
    assert alice.leftovers() == {}


def test_a_tag_is_given_once(alice: Party, carol: Stranger) -> None:
    pools = [bytes(2048), Random(1).randbytes(2048)]  # the first repeats itself
    alice.endpoint.ids = IdSource(lambda _count: pools.pop(0))
    one, other = alice.call(carol), alice.call(carol)
    assert one.local_tag == "ds00000000"
    assert other.local_tag != one.local_tag


# Answers without a transaction.


@pytest.mark.parametrize(
    "data",
    [
        request_text("OPTIONS"),
        request_text("REGISTER"),
        request_text("BYE"),
        request_text(headers={"Require": "x"}),
        request_text(headers={"CSeq": "x"}),
        request_text("CANCEL"),
    ],
)
def test_a_retransmission_gets_the_same_answer(
    bob: Party, carol: Stranger, data: bytes
) -> None:  # section 8.2.7
    first, again = ask_one(carol, bob, data), ask_one(carol, bob, data)
    assert first.to_bytes() == again.to_bytes()
    assert first.to_tag
    assert bob.leftovers() == {}


def test_a_user_agent_line() -> None:
    network = Network()
    party = network.add("party")
    party.endpoint.user_agent_line = "User-Agent: Test\r\n"
    carol = network.add_stranger("carol", "198.51.100.9")
    assert ask_one(carol, party, request_text("OPTIONS")).get("user-agent") == "Test"


# Strays.


@pytest.mark.parametrize(
    "data",
    [
        request_text("ACK"),
        request_text("ACK", {"To": "<sip:bob@192.0.2.1>;tag=gone"}),
        request_text("ACK", {"CSeq": "x"}),
        response_text(request(), 200, "bob"),
        response_text(request(headers={"Via": "nonsense"}), 200),
        response_text(request(headers={"CSeq": "x INVITE"}), 200),
        b"\r\n\r\n",
        b"\x00\x01\x02",
        b"",
    ],
)
def test_strays_are_counted_and_not_answered(bob: Party, carol: Stranger, data: bytes) -> None:
    assert ask(carol, bob, data) == []
    assert bob.endpoint.discarded == 1
    assert bob.events == []


# CANCEL, section 9.2.


def test_cancel(bob: Party, carol: Stranger) -> None:
    ask(carol, bob, request_text())
    session = bob.take(Invited).session
    session.ring(bob.now)
    [ringing] = ask(carol, bob, b"")
    [to_cancel, to_invite] = ask(carol, bob, request_text("CANCEL"))
    assert (to_cancel.status, to_cancel.cseq) == (200, (1, "CANCEL"))
    assert (to_invite.status, to_invite.cseq) == (487, (1, "INVITE"))
    assert to_cancel.to_tag == to_invite.to_tag == ringing.to_tag
    assert bob.take(Cancelled).session is session
    assert ask(carol, bob, request_text("ACK", {"To": to_invite.get("to")})) == []
    assert ask_one(carol, bob, request_text("CANCEL")).status == 200  # a retransmission
    assert bob.events == []
    bob.network.settle()


def test_cancel_of_nothing(bob: Party, carol: Stranger) -> None:
    assert ask_one(carol, bob, request_text("CANCEL")).status == 481


def test_cancel_after_the_answer_changes_nothing(bob: Party, carol: Stranger) -> None:
    ask(carol, bob, request_text())
    session = bob.take(Invited).session
    session.answer(bob.now, ANSWER)
    ask(carol, bob, b"")
    assert ask_one(carol, bob, request_text("CANCEL")).status == 200
    assert repr(session) == f"<InviteSession {session.local_tag} confirmed>"
    assert bob.events == []


# A call from a peer of RFC 2543: no branch, no From tag, no Contact.


def test_a_peer_of_rfc_2543(bob: Party, carol: Stranger) -> None:
    old: dict[str, str | None] = {
        "Via": "SIP/2.0/UDP 198.51.100.9:5060",
        "From": "<sip:carol@198.51.100.9>",
        "Contact": None,
        "Max-Forwards": None,
    }
    assert ask_one(carol, bob, request_text(headers=old)).status == 100
    session = bob.take(Invited).session
    session.answer(bob.now, ANSWER)
    [answer] = ask(carol, bob, request_text(headers=old))  # absorbed, but the 200 leaves
    assert answer.status == 200
    ask(carol, bob, request_text("ACK", {**old, "To": answer.get("to")}))
    session.bye(bob.now)
    bob.network.run(PROMPT)
    [bye] = carol.requests("BYE")
    assert bye.uri == "sip:carol@198.51.100.9"
    assert bye.get("to") == "<sip:carol@198.51.100.9>"


def test_acks_with_the_branch_of_their_invite_reach_the_session(
    bob: Party, carol: Stranger
) -> None:
    """Some peers acknowledge a 2xx like a refusal."""
    ask(carol, bob, request_text())
    session = bob.take(Invited).session
    session.answer(bob.now, ANSWER)
    [answer] = ask(carol, bob, b"")
    ask(carol, bob, request_text("ACK", {"To": answer.get("to")}))
    assert bob.seen == ["Acknowledged"]


def test_options_and_info_in_a_dialog(bob: Party, carol: Stranger) -> None:
    ask(carol, bob, request_text())
    session = bob.take(Invited).session
    headers: dict[str, str | None] = {
        "To": f"<sip:bob@192.0.2.1>;tag={session.local_tag}",
        "CSeq": "2 OPTIONS",
    }
    assert ask_one(carol, bob, request_text("OPTIONS", headers)).status == 200
    headers["CSeq"] = "3 INFO"
    assert ask(carol, bob, request_text("INFO", headers)) == []
    requested = bob.take(Requested)
    requested.transaction.respond(200, bob.now)
    assert ask_one(carol, bob, b"").status == 200


def test_transport_failure(network: Network, alice: Party, carol: Stranger) -> None:
    network.expect_idle = True
    network.unreachable.add(carol.address)
    session = alice.call(carol)
    network.run(0.1)
    refused = alice.take(Refused)
    assert (refused.status, refused.response, refused.session) == (503, None, session)


def test_nothing_is_sent_to_whom_via_names(bob: Party, carol: Stranger) -> None:
    victim = bob.network.add_stranger("victim", "203.0.113.7")
    via = "SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bKx;maddr=203.0.113.7"
    answer = ask_one(carol, bob, request_text("OPTIONS", {"Via": via}))
    assert answer.via.received == "198.51.100.9"
    assert victim.received == []


def test_every_answer_can_be_parsed(bob: Party, carol: Stranger) -> None:
    for method in ("OPTIONS", "REGISTER", "INVITE", "BYE"):
        for answer in ask(carol, bob, request_text(method)):
            assert answer.defect is None
            assert parse(answer.to_bytes()).defect is None
