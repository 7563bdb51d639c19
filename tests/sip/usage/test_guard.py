"""Requests that must be authenticated (RFC 3261 section 22.2, RFC 7616, RFC 8760)."""

from random import Random

import pytest

from sip.auth import Challenge, DigestServer
from sip.errors import InvalidValue
from sip.events import Answered, Hungup, Invited, Refused
from sip.ids import IdSource
from sip.message import Request
from sip.usage.credentials import Account, Accounts
from sip.usage.guard import Guard
from tests.sip.usage.calls import ANSWER, OFFER, SOON, automatic
from tests.support.builders import request_text
from tests.support.network import Network, Party, Stranger


def guard(*methods: str, trusted: str = "", secret: bytes = b"k" * 32) -> Guard:
    ids = IdSource(Random(9).randbytes)
    server = DigestServer("pbx", secret, {"alice": "secret"}.get, ids)
    return Guard(server, methods or ("INVITE", "BYE"), trusted.__eq__ if trusted else None)


@pytest.fixture
def bob(network: Network) -> Party:
    """A party who asks who calls."""
    bob = network.add("bob")
    bob.endpoint.guard = guard()
    return bob


@pytest.fixture
def alice(network: Network) -> Party:
    """A party with an account at bob's."""
    alice = network.add("alice")
    amend = Accounts([Account("pbx", "alice", "secret")], alice.endpoint.ids).amend
    alice.endpoint.amendments |= {401: amend, 407: amend}
    return alice


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", "198.51.100.9")


def test_a_call_of_two_who_know_each_other(network: Network, alice: Party, bob: Party) -> None:
    automatic(bob)
    session = alice.call(bob)
    network.run(SOON)
    alice.take(Answered)
    session.acknowledge(alice.now)
    network.run(SOON)
    session.bye(alice.now)
    network.run(SOON)
    bob.take(Hungup)
    assert network.ladder() == [
        "alice > bob INVITE",
        "bob > alice 401 INVITE",
        "alice > bob ACK",
        "alice > bob INVITE",
        "bob > alice 200 INVITE",
        "alice > bob ACK",
        "alice > bob BYE",  # credentials at once, nc counted up
        "bob > alice 200 BYE",
    ]
    network.settle()


def test_the_challenge_leaves_no_state(network: Network, bob: Party, carol: Stranger) -> None:
    """Section 8.2.7: a stateless 401, the most preferred algorithm first (RFC 8760 2.4)."""
    for _ in range(3):
        carol.send(bob, request_text())
    network.run(SOON)
    assert carol.statuses("INVITE") == [401, 401, 401]
    assert bob.leftovers() == {}
    assert len({response.to_tag for response in carol.responses("INVITE")}) == 1
    texts = carol.responses("INVITE")[0].all("www-authenticate")
    assert [Challenge.parse(text).algorithm for text in texts] == ["SHA-256", "MD5"]
    assert Challenge.parse(texts[0]).qop == ("auth",)


def test_a_replay_is_stale(network: Network, alice: Party, bob: Party, carol: Stranger) -> None:
    """RFC 7616 section 3.4: nc grows; a copy of good credentials is worth nothing."""
    alice.call(bob)
    network.run(SOON)
    bob.take(Invited)
    good = network.requests("INVITE")[-1]
    headers = {"Authorization": good.get("authorization"), "CSeq": "2 INVITE"}
    carol.send(bob, request_text(headers=headers, uri=good.uri))
    network.run(SOON)
    assert carol.statuses("INVITE") == [401]
    assert Challenge.parse(carol.responses("INVITE")[0].get("www-authenticate") or "").stale
    assert bob.seen == []


def test_a_retransmission_is_no_replay(network: Network, alice: Party, bob: Party) -> None:
    """The same transaction (section 17.2.3) is not asked twice."""
    network.lose("100 INVITE", 2)
    alice.call(bob)
    network.run(2.0)
    bob.take(Invited)
    assert bob.seen == []
    assert len(network.packets("401 INVITE")) == 1
    assert len(network.packets("INVITE")) >= 3


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Digest nonsense", 400),
        ('Digest username="x", realm="pbx"', 400),
        ("Basic YWxpY2U6c2VjcmV0", 401),
        ('Digest username="a", realm="else", nonce="n", uri="sip:x", response="00"', 401),
        (
            'Digest username="a", realm="pbx", nonce="n", uri="sip:x", response="00", '
            'algorithm=SHA-256, qop=auth, nc=00000001, cnonce="c"',
            403,
        ),
    ],
)
def test_other_credentials(
    network: Network, bob: Party, carol: Stranger, authorization: str, status: int
) -> None:
    carol.send(bob, request_text(headers={"Authorization": authorization}))
    network.run(SOON)
    assert carol.statuses("INVITE") == [status]
    assert bob.leftovers() == {}


def test_ack_and_cancel_are_never_asked(network: Network, bob: Party, carol: Stranger) -> None:
    with pytest.raises(InvalidValue, match="ACK and CANCEL"):
        guard("INVITE", "CANCEL")
    bob.endpoint.guard = guard(trusted="198.51.100.9")
    carol.send(bob, request_text())
    network.run(SOON)
    bob.endpoint.guard = guard("INVITE", "BYE", "OPTIONS")
    carol.send(bob, request_text("CANCEL"))
    network.run(SOON)
    assert carol.statuses("CANCEL") == [200]
    assert carol.statuses("INVITE") == [100, 487]


def test_a_host_that_is_trusted(network: Network, bob: Party, carol: Stranger) -> None:
    bob.endpoint.guard = guard(trusted="198.51.100.9")
    carol.send(bob, request_text())
    network.run(SOON)
    assert carol.statuses("INVITE") == [100]
    bob.take(Invited)


def test_a_challenge_in_a_dialog_uses_up_no_cseq(
    network: Network, alice: Party, bob: Party
) -> None:
    """Section 12.2.2: the repeated request may even have the same CSeq."""
    automatic(alice, bob)
    session = alice.call(bob)
    network.run(SOON)
    peer = bob.take(Invited).session
    bob.endpoint.guard = guard("BYE", secret=b"l" * 32)  # another secret: what alice holds is stale
    before = peer.dialog.remote_cseq
    session.bye(alice.now)
    network.run(0.025)
    assert [p.summary for p in network.log[-2:]] == ["401 BYE", "BYE"]
    assert peer.dialog.remote_cseq == before
    network.run(SOON)
    assert peer.dialog.remote_cseq == before + 2
    bob.take(Hungup)
    network.settle()


def test_whom_we_called_is_not_asked(network: Network, alice: Party, bob: Party) -> None:
    automatic(alice)
    session = bob.call(alice)
    network.run(SOON)
    bob.take(Answered)
    session.acknowledge(bob.now)
    network.run(SOON)
    bob.endpoint.guard = guard("BYE", secret=b"l" * 32)
    alice.take(Invited).session.bye(alice.now)
    network.run(SOON)
    bob.take(Hungup).session.confirm_bye(bob.now)
    assert network.packets("401 BYE") == []


def test_without_an_account(network: Network, bob: Party) -> None:
    dave = network.add("dave")
    dave.call(bob)
    network.run(SOON)
    refused = dave.take(Refused)
    assert refused.status == 401
    assert refused.response is not None
    assert bob.leftovers() == {}


def test_whose_credentials_they_were(network: Network, alice: Party, bob: Party) -> None:
    watch = bob.endpoint.guard
    assert watch is not None
    session = alice.call(bob, OFFER)
    network.run(SOON)
    event = bob.take(Invited)
    assert watch.user_of(event.request, ("192.0.2.1", 5060)) == "alice"
    first = network.requests("INVITE")[0]
    assert watch.user_of(first, ("192.0.2.1", 5060)) is None
    assert guard("BYE").user_of(event.request, ("192.0.2.1", 5060)) is None
    assert guard(trusted="192.0.2.1").user_of(event.request, ("192.0.2.1", 5060)) is None
    broken = Request("INVITE", first.uri, f"{first.head}\r\nAuthorization: Digest x")
    assert watch.user_of(broken, ("192.0.2.1", 5060)) is None
    event.session.answer(bob.now, ANSWER)
    network.run(SOON)
    session.acknowledge(alice.now)
