"""Credentials for 401 and 407 on the way (RFC 3261 section 22, RFC 7616, RFC 8760)."""

from random import Random

import pytest

from sip.auth import Credentials, DigestServer
from sip.errors import InvalidValue
from sip.events import Answered, Closed, Refused, Responded
from sip.ids import IdSource
from sip.message import Request
from sip.usage.credentials import Account, Accounts
from tests.sip.usage.calls import SOON
from tests.support.builders import response_text
from tests.support.network import OFFER, Network, Party, Stranger

HOST = "198.51.100.9"


def arm(party: Party, *accounts: Account) -> None:
    """Give a party its passwords."""
    amend = Accounts(accounts, party.endpoint.ids).amend
    party.endpoint.amendments |= {401: amend, 407: amend}


def server(realm: str = "pbx", *, proxy: bool = False, **options: object) -> DigestServer:
    ids = IdSource(Random(7).randbytes)
    users = {"alice": "secret"}
    return DigestServer(realm, b"s" * 32, users.get, ids, proxy=proxy, **options)  # type: ignore[arg-type]


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", HOST)


@pytest.fixture
def alice(network: Network) -> Party:
    alice = network.add("alice")
    arm(alice, Account("pbx", "alice", "secret", HOST), Account("gate", "alice", "secret"))
    return alice


def last(carol: Stranger) -> Request:
    """The last request that carol got, ACK aside."""
    return [m for m in carol.received if isinstance(m, Request) and m.method != "ACK"][-1]


def reply(carol: Stranger, alice: Party, status: int, lines: str = "", tag: str = "c") -> None:
    contact = f"Contact: <{carol.uri}>\r\n"
    carol.send(alice, response_text(last(carol), status, tag, contact + lines))
    alice.network.run(SOON)


def challenge(carol: Stranger, alice: Party, *servers: DigestServer, stale: bool = False) -> None:
    verdicts = [one.challenge(alice.now, stale=stale) for one in servers]
    reply(carol, alice, verdicts[0].status, "".join(verdict.lines for verdict in verdicts))


def given(request: Request, header: str = "authorization") -> Credentials:
    return Credentials.parse(request.get(header) or "")


def test_a_call_through_the_challenge(network: Network, alice: Party, carol: Stranger) -> None:
    """Section 22.1: the ACK repeats the credentials; what follows has them at once."""
    pbx = server()
    session = alice.call(carol)
    network.run(SOON)
    assert last(carol).get("authorization") is None
    challenge(carol, alice, pbx)
    invite = last(carol)
    assert pbx.verify(invite, network.now).user == "alice"
    assert given(invite).algorithm == "SHA-256"
    reply(carol, alice, 200)
    alice.take(Answered)
    session.acknowledge(alice.now)
    network.run(SOON)
    assert carol.requests("ACK")[-1].get("authorization") == invite.get("authorization")
    assert carol.requests("ACK")[0].get("authorization") is None  # of the 401, hop by hop
    session.request(alice.now, "INFO", body=b"x", content_type="text/plain")
    network.run(SOON)
    assert pbx.verify(last(carol), network.now).user == "alice"
    assert given(last(carol)).nc == 2
    reply(carol, alice, 200)
    session.reinvite(alice.now, OFFER)
    network.run(SOON)
    assert pbx.verify(last(carol), network.now).user == "alice"
    reinvite = last(carol)
    reply(carol, alice, 200)
    session.acknowledge(alice.now)
    network.run(SOON)
    assert carol.requests("ACK")[-1].get("authorization") == reinvite.get("authorization")
    session.bye(alice.now)
    network.run(SOON)
    assert pbx.verify(last(carol), network.now).user == "alice"
    reply(carol, alice, 200)
    network.settle()


def test_a_stale_nonce(network: Network, alice: Party, carol: Stranger) -> None:
    pbx = server(lifetime=10)
    session = alice.call(carol)
    network.run(SOON)
    challenge(carol, alice, pbx)
    reply(carol, alice, 200)
    session.acknowledge(alice.now)
    network.run(20)
    session.bye(alice.now)
    network.run(SOON)
    verdict = pbx.verify(last(carol), network.now)
    assert (verdict.user, verdict.stale) == (None, True)
    challenge(carol, alice, pbx, stale=True)
    assert pbx.verify(last(carol), network.now).user == "alice"
    assert len(carol.requests("BYE")) == 2
    reply(carol, alice, 200)
    network.settle()


@pytest.mark.parametrize(
    ("info", "nonce"),
    [
        ('nextnonce="next"', "next"),
        ('qop=auth, rspauth="00", cnonce="a,nextnonce=", NextNonce = "next"', "next"),
        ('qop=auth, cnonce="nextnonce=\\"x\\""', None),
        ('nextnonce=""', None),
        ('"nextnonce="x', None),
    ],
)
def test_the_nonce_for_the_next_request(
    network: Network, alice: Party, carol: Stranger, info: str, nonce: str | None
) -> None:
    """Section 20.6, RFC 7616 section 3.5: Authentication-Info of a 2xx."""
    session = alice.call(carol)
    network.run(SOON)
    challenge(carol, alice, server())
    before = given(last(carol))
    reply(carol, alice, 200, f"Authentication-Info: {info}\r\n")
    session.acknowledge(alice.now)
    session.bye(alice.now)
    network.run(SOON)
    after = given(last(carol))
    assert after.nonce == (nonce or before.nonce)
    assert after.nc == (2 if nonce is None else 1)
    assert (after.cnonce == before.cnonce) == (nonce is None)


def test_several_realms(network: Network, alice: Party, carol: Stranger) -> None:
    """Section 22.3: each proxy of the way and the server at its end, one after the other."""
    pbx, gate, far = server(), server("gate", proxy=True), server("far", proxy=True)
    alice.call(carol)
    network.run(SOON)
    challenge(carol, alice, gate, far)  # there is no account for one of them
    assert gate.verify(last(carol), network.now).user == "alice"
    assert len(last(carol).all("proxy-authorization")) == 1
    challenge(carol, alice, pbx)
    assert pbx.verify(last(carol), network.now).user == "alice"
    assert gate.verify(last(carol), network.now).user == "alice"
    reply(carol, alice, 486)
    assert alice.take(Refused).status == 486
    network.settle()


def test_a_wrong_password_is_tried_once(network: Network, alice: Party, carol: Stranger) -> None:
    alice.call(carol)
    network.run(SOON)
    challenge(carol, alice, server())
    challenge(carol, alice, server())
    assert alice.take(Refused).status == 401
    assert len(carol.requests("INVITE")) == 2
    network.settle()


def test_another_peer_gets_no_credentials(network: Network, alice: Party) -> None:
    dave = network.add_stranger("dave", "198.51.100.10")
    alice.call(dave)
    network.run(SOON)
    challenge(dave, alice, server())  # the realm is right, the peer is not
    assert alice.take(Refused).status == 401
    assert len(dave.requests("INVITE")) == 1
    network.settle()


def test_a_peer_by_its_name(network: Network, alice: Party, carol: Stranger) -> None:
    network.names["pbx.example"] = HOST
    arm(alice, Account("", "alice", "secret", "pbx.example"))
    alice.call("sip:carol@PBX.example")
    network.run(SOON)
    challenge(carol, alice, server())
    assert server().verify(last(carol), network.now).user == "alice"


def test_a_contact_that_names_the_peer_of_somebody_else(network: Network, alice: Party) -> None:
    """In a dialog the Request-URI is the peer's word: its host is not who gets the request."""
    arm(alice, Account("pbx", "alice", "secret", "pbx.example"))
    dave = network.add_stranger("dave", "198.51.100.10")
    session = alice.call(dave)
    network.run(SOON)
    contact = f"Contact: <sip:x@pbx.example;maddr={dave.address[0]}>\r\n"
    dave.send(alice, response_text(last(dave), 200, "d", contact))
    network.run(SOON)
    session.acknowledge(alice.now)
    session.bye(alice.now)
    network.run(SOON)
    assert last(dave).uri.startswith("sip:x@pbx.example")
    challenge(dave, alice, server())
    assert [request.get("authorization") for request in dave.requests("BYE")] == [None]
    network.settle()


def test_a_realm_behind_the_peer(network: Network, alice: Party, carol: Stranger) -> None:
    """Section 22.3: what a trunk passes on from somebody else is not answered by its account."""
    arm(alice, Account("", "alice", "secret", HOST))
    alice.call(carol)
    network.run(SOON)
    challenge(carol, alice, server("trunk"))
    challenge(carol, alice, server("beyond", proxy=True))
    assert len(carol.requests("INVITE")) == 2
    assert alice.take(Refused).status == 407


def test_an_account_that_names_the_realm_comes_first(
    network: Network, alice: Party, carol: Stranger
) -> None:
    arm(alice, Account("", "other", "other", HOST), Account("pbx", "alice", "secret"))
    alice.call(carol)
    network.run(SOON)
    challenge(carol, alice, server())
    assert server().verify(last(carol), network.now).user == "alice"


def test_a_malformed_challenge(network: Network, alice: Party, carol: Stranger) -> None:
    alice.call(carol)
    network.run(SOON)
    reply(carol, alice, 401, "WWW-Authenticate: Digest realm\r\n")
    assert alice.take(Refused).status == 401


def test_options_outside_a_dialog(network: Network, alice: Party, carol: Stranger) -> None:
    alice.endpoint.options(alice.now, carol.uri, from_="<sip:alice@example.com>", context=1)
    network.run(SOON)
    challenge(carol, alice, server(qops=("auth-int",)))
    assert given(last(carol)).qop == "auth-int"
    assert server(qops=("auth-int",)).verify(last(carol), network.now).user == "alice"
    reply(carol, alice, 200)
    assert alice.take(Responded).status == 200


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256"])
@pytest.mark.parametrize("qops", [(), ("auth",), ("auth-int",)])
def test_every_algorithm(
    network: Network, alice: Party, carol: Stranger, algorithm: str, qops: tuple[str, ...]
) -> None:
    """RFC 8760 and RFC 7616, and the form of RFC 2069 without qop."""
    pbx = server(algorithms=(algorithm,), qops=qops)
    alice.call(carol)
    network.run(SOON)
    challenge(carol, alice, pbx)
    assert given(last(carol)).algorithm == algorithm
    assert pbx.verify(last(carol), network.now).user == "alice"


def test_the_password_is_in_no_repr() -> None:
    account = Account("pbx", "alice", "secret")
    assert "secret" not in repr(account)


def test_an_account_for_anybody_is_refused() -> None:
    with pytest.raises(InvalidValue, match="neither realm nor peer"):
        Account("", "alice", "secret")


def test_a_peer_cannot_name_itself_another(network: Network, alice: Party) -> None:
    """In a dialog the peer has written the Request-URI: that proves nothing about it."""
    mallory = network.add_stranger("mallory")
    session = alice.call(mallory)
    network.run(SOON)
    lines = f"Contact: <sip:x@{HOST}>\r\nRecord-Route: <{mallory.uri};lr>\r\n"
    mallory.send(alice, response_text(last(mallory), 200, "m", lines))
    network.run(SOON)
    session.acknowledge(alice.now)
    session.bye(alice.now)
    network.run(SOON)
    assert last(mallory).uri == f"sip:x@{HOST}"
    challenge(mallory, alice, server())
    assert len(mallory.requests("BYE")) == 1
    alice.take(Closed)


@pytest.mark.parametrize("by", ["maddr", "Route"])
def test_a_uri_names_nobody_beyond_its_next_hop(network: Network, alice: Party, by: str) -> None:
    mallory = network.add_stranger("mallory")
    host, _ = mallory.address
    if by == "maddr":
        alice.call(f"sip:x@{HOST};maddr={host}")
    else:
        alice.endpoint.invite(
            alice.now,
            f"sip:x@{HOST}",
            from_="<sip:alice@a.example>",
            to=f"<sip:x@{HOST}>",
            routes=(f"<sip:{host};lr>",),
        )
    network.run(SOON)
    challenge(mallory, alice, server())
    assert alice.take(Refused).status == 401
