"""3xx followed by the caller (RFC 3261 section 8.1.3.4)."""

from random import Random

import pytest

from sip.auth import DigestServer
from sip.events import Answered, Progressed, Refused, Responded
from sip.ids import IdSource
from sip.message import Request
from sip.usage.again import Attempts
from sip.usage.credentials import Account, Accounts
from sip.usage.redirect import MOST_TARGETS, Redirector, RedirectTargets
from tests.sip.usage.calls import SOON, with_stranger
from tests.support.builders import request, response, response_text
from tests.support.network import Network, Party, Stranger


@pytest.fixture
def alice(network: Network) -> Party:
    alice = network.add("alice")
    Redirector(alice.endpoint)
    return alice


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", "198.51.100.9")


@pytest.fixture
def others(network: Network) -> list[Stranger]:
    return [network.add_stranger(f"o{n}", f"198.51.100.{10 + n}") for n in range(8)]


def reply(who: Stranger, alice: Party, status: int, lines: str = "", tag: str = "c") -> None:
    """Answer the last request, ACK aside."""
    asked = [m for m in who.received if isinstance(m, Request) and m.method != "ACK"][-1]
    who.send(alice, response_text(asked, status, tag, lines))
    alice.network.run(SOON)


def called(others: list[Stranger]) -> list[str]:
    return [other.name for other in others if other.requests("INVITE")]


def moved(alice: Party, carol: Stranger, contacts: str, status: int = 302) -> None:
    """A call that is answered with these contacts."""
    alice.call(carol)
    alice.network.run(SOON)
    reply(carol, alice, status, f"Contact: {contacts}\r\n")


def test_a_call_that_has_moved(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    there = others[0]
    session = alice.call(carol)
    network.run(SOON)
    reply(carol, alice, 180, f"Contact: <{carol.uri}>\r\n", "early")
    alice.take(Progressed)
    reply(carol, alice, 302, f"Contact: <{there.uri}>\r\n", "early")
    [invite] = there.requests("INVITE")
    first = carol.requests("INVITE")[0]
    assert (invite.uri, invite.cseq[0], invite.to_tag) == (there.uri, 2, None)
    for same in ("from", "to", "call-id", "contact"):
        assert invite.get(same) == first.get(same)
    assert len(carol.requests("ACK")) == 1
    reply(there, alice, 200, f"Contact: <{there.uri}>\r\n")
    assert alice.take(Answered).session is session
    session.acknowledge(alice.now)
    network.run(SOON)
    assert len(there.requests("ACK")) == 1
    session.bye(alice.now)
    network.run(SOON)
    reply(there, alice, 200)
    network.settle()


def test_the_contacts_by_q(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    a, b, c = others[:3]
    moved(alice, carol, f"<{a.uri}>;q=0.2, <{b.uri}>;q=0.9,<{c.uri}>;q=0.9", 300)
    assert called(others) == ["o1"]
    reply(b, alice, 486)
    assert called(others) == ["o1", "o2"]
    reply(c, alice, 500)
    assert called(others) == ["o0", "o1", "o2"]
    reply(a, alice, 503)
    refused = alice.take(Refused)  # the best of them
    assert refused.status == 486
    assert refused.response is not None
    assert refused.response.status == 486
    network.settle()


def test_what_cannot_be_followed(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    a, b = others[:2]
    contacts = f"<{a.uri}>;expires=0, <tel:+1234>, <mailto:a@b>, <{carol.uri}>, <bad"
    alice.call(carol)
    network.run(SOON)
    lines = "".join(f"Contact: {text}\r\n" for text in contacts.split(", "))
    reply(carol, alice, 302, lines)
    assert alice.take(Refused).status == 302  # as it came
    assert called([a, b]) == []
    network.settle()


def test_an_expired_redirection(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    alice.call(carol)
    network.run(SOON)
    reply(carol, alice, 301, f"Contact: <{others[0].uri}>\r\nExpires: 0\r\n")
    assert alice.take(Refused).status == 301


@pytest.mark.parametrize("status", [305, 380])
def test_3xx_of_another_meaning(
    alice: Party, carol: Stranger, others: list[Stranger], status: int
) -> None:
    moved(alice, carol, f"<{others[0].uri}>", status)
    assert alice.take(Refused).status == status


def test_a_loop_ends(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    a = others[0]
    moved(alice, carol, f"<{a.uri}>")
    reply(a, alice, 302, f"Contact: <{carol.uri.upper().replace('SIP:', 'sip:')}>, <{a.uri}>\r\n")
    assert alice.take(Refused).status == 302
    assert len(carol.requests("INVITE")) == len(a.requests("INVITE")) == 1
    network.settle()


def test_no_more_than_a_few_targets(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    moved(alice, carol, ", ".join(f"<{other.uri}>" for other in others))
    for other in others[:MOST_TARGETS]:
        reply(other, alice, 404)
    assert alice.take(Refused).status == 404
    assert called(others) == [f"o{n}" for n in range(MOST_TARGETS)]
    network.settle()


def test_a_chain_of_redirections(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    a, b, c = others[:3]
    moved(alice, carol, f"<{a.uri}>;q=0.9, <{b.uri}>;q=0.1")
    reply(a, alice, 302, f"Contact: <{c.uri}>;q=0.5\r\n")
    assert called(others) == ["o0", "o2"]
    reply(c, alice, 480)
    assert called(others) == ["o0", "o1", "o2"]
    reply(b, alice, 603)
    assert alice.take(Refused).status == 603
    network.settle()


def test_6xx_ends_the_search(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    a, b = others[:2]
    moved(alice, carol, f"<{a.uri}>, <{b.uri}>")
    reply(a, alice, 600)
    assert alice.take(Refused).status == 600
    assert called(others) == ["o0"]


def test_a_target_that_does_not_answer(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    a, b = others[:2]
    moved(alice, carol, f"<{a.uri}>, <{b.uri}>")
    network.run(32)
    assert called(others) == ["o0", "o1"]
    reply(b, alice, 486)
    assert alice.take(Refused).status == 486
    network.settle()


def test_none_of_them_answers(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    a, b = others[:2]
    moved(alice, carol, f"<{a.uri}>, <{b.uri}>")
    network.run(65)
    refused = alice.take(Refused)
    assert (refused.status, refused.response) == (408, None)


def test_the_last_does_not_answer(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    a, b = others[:2]
    moved(alice, carol, f"<{a.uri}>, <{b.uri}>")
    reply(a, alice, 486)
    network.run(33)
    assert alice.take(Refused).status == 486
    network.settle()


def test_one_that_cannot_be_reached(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    network.unreachable.add(others[0].address)
    moved(alice, carol, f"<{others[0].uri}>, <sip:x@nowhere.example>, <{others[1].uri}>")
    assert called(others) == ["o1"]


def test_cancelled_meanwhile(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    a, b = others[:2]
    session = alice.call(carol)
    network.run(SOON)
    reply(carol, alice, 302, f"Contact: <{a.uri}>, <{b.uri}>\r\n")
    reply(a, alice, 180, f"Contact: <{a.uri}>\r\n")
    session.cancel(alice.now)
    network.run(SOON)
    assert len(a.requests("CANCEL")) == 1
    a.send(alice, response_text(a.requests("INVITE")[0], 487, "c"))
    network.run(SOON)
    assert alice.take(Refused).status == 487
    assert called(others) == ["o0"]


def test_only_where_it_is_allowed(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    Redirector(alice.endpoint, lambda uri: uri if "o1@" in uri else None)
    moved(alice, carol, f"<{others[0].uri}>, <{others[1].uri}>")
    assert called(others) == ["o1"]


def test_the_uri_is_cleaned(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    """Section 19.1.5: method and header fields in the URI are not obeyed."""
    moved(alice, carol, f"<{others[0].uri};method=BYE;user=phone?Subject=x>")
    assert others[0].requests("INVITE")[0].uri == f"{others[0].uri};user=phone"


def test_sips_stays_sips() -> None:
    targets = RedirectTargets("sips:carol@example.com", None)
    contact = "Contact: <sip:a@example.com>, <sips:b@example.com>\r\n"
    targets.add(response(request(), 302, lines=contact))
    change = targets.next(Attempts(None), None)
    assert change is not None
    assert change.uri == "sips:b@example.com"


def test_credentials_stay_behind(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    """Section 22.4: what one peer asked for is not for another."""
    amend = Accounts([Account("pbx", "alice", "secret", "198.51.100.9")], alice.endpoint.ids).amend
    alice.endpoint.amendments[401] = amend
    ids = IdSource(Random(7).randbytes)
    pbx = DigestServer("pbx", b"s" * 32, {"alice": "secret"}.get, ids)
    session = alice.call(carol)
    network.run(SOON)
    reply(carol, alice, 401, pbx.challenge(0.0).lines)
    assert carol.requests("INVITE")[-1].get("authorization")
    reply(carol, alice, 302, f"Contact: <{others[0].uri}>\r\n")
    [invite] = others[0].requests("INVITE")
    assert invite.get("authorization") is None
    reply(others[0], alice, 401, pbx.challenge(0.0).lines)
    assert alice.take(Refused).status == 401
    assert session.credentials == ""


def test_options_too(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    alice.endpoint.options(alice.now, carol.uri, from_="<sip:alice@example.com>", context=1)
    network.run(SOON)
    reply(carol, alice, 302, f"Contact: <{others[0].uri}>\r\n")
    reply(others[0], alice, 200)
    assert alice.take(Responded).status == 200


def test_not_in_a_dialog(
    network: Network, alice: Party, carol: Stranger, others: list[Stranger]
) -> None:
    session = with_stranger(alice, carol)
    session.request(alice.now, "INFO", context=1)
    network.run(SOON)
    reply(carol, alice, 302, f"Contact: <{others[0].uri}>\r\n")
    assert alice.take(Responded).status == 302
