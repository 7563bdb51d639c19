"""Registering with somebody else's registrar (RFC 3261 section 10.2)."""

from random import Random

import pytest

from sip.auth import Credentials, DigestServer
from sip.errors import InvalidValue
from sip.ids import IdSource
from sip.message import Request
from sip.registrar import Registrar
from sip.registration import FAILED, IDLE, REGISTERED, REGISTERING, Registration
from sip.usage.credentials import Account, Accounts
from sip.usage.guard import Guard
from tests.sip.usage.calls import SOON
from tests.support.builders import response_text
from tests.support.network import Network, Party, Stranger

AOR = "sip:+4930123@carrier.example"


@pytest.fixture
def carrier(network: Network) -> Stranger:
    return network.add_stranger("carrier", "198.51.100.9")


@pytest.fixture
def alice(network: Network) -> Party:
    alice = network.add("alice")
    amend = Accounts(
        [Account("", "u", "secret", "198.51.100.9"), Account("pbx", "+4930123", "secret")],
        alice.endpoint.ids,
    ).amend
    alice.endpoint.amendments |= {401: amend, 407: amend}
    return alice


@pytest.fixture
def trunk(network: Network, alice: Party, carrier: Stranger) -> Registration:
    made = Registration(alice.endpoint, "sip:198.51.100.9", AOR, expires=600)
    made.start(network.now)
    network.run(SOON)
    return made


def sent(carrier: Stranger) -> list[Request]:
    """The requests, each once however often it came."""
    return list({request.cseq[0]: request for request in carrier.requests("REGISTER")}.values())


def last(carrier: Stranger) -> Request:
    return sent(carrier)[-1]


def reply(carrier: Stranger, alice: Party, status: int, lines: str = "") -> None:
    carrier.send(alice, response_text(last(carrier), status, "c", lines))
    alice.network.run(SOON)


def contact(carrier: Stranger, expires: int) -> str:
    value = (last(carrier).get("contact") or "").partition(";expires=")[0]
    return f"Contact: {value};expires={expires}\r\n"


def test_the_request(alice: Party, carrier: Stranger, trunk: Registration) -> None:
    """Sections 10.2 and 8.1.1: no user in the Request-URI, the AoR in To and From."""
    register = last(carrier)
    assert register.defect is None
    assert register.uri == "sip:198.51.100.9"
    assert register.get("to") == f"<{AOR}>"
    assert (register.get("from") or "").startswith(f"<{AOR}>;tag=")
    assert register.get("expires") == "600"
    here = alice.listener.sent_by("")
    assert register.get("contact") == f"<sip:+4930123@{here};transport=udp>;expires=600"
    assert trunk.state == REGISTERING


def test_refreshed_before_the_end(
    network: Network, alice: Party, carrier: Stranger, trunk: Registration
) -> None:
    """Section 10.2.4: the interval is the one that was granted; same Call-ID, next CSeq."""
    reply(carrier, alice, 200, f"Contact: <sip:else@192.0.2.9>\r\n{contact(carrier, 100)}")
    assert (trunk.state, str(trunk)) == (
        REGISTERED,
        f"{AOR} at sip:198.51.100.9: registered for 100 s",
    )
    network.run(49)
    assert len(sent(carrier)) == 1
    network.run(2)
    first, second = sent(carrier)
    assert (first.cseq[0], second.cseq[0]) == (1, 2)
    assert first.call_id == second.call_id
    assert first.from_tag == second.from_tag


@pytest.mark.parametrize(
    ("lines", "pause"),
    [("Expires: 1000\r\n", 700), ("", 300), ("Contact: <bad\r\nExpires: 200\r\n", 100)],
)
def test_the_interval_without_our_contact(
    network: Network, alice: Party, carrier: Stranger, trunk: Registration, lines: str, pause: int
) -> None:
    reply(carrier, alice, 200, lines)
    network.run(pause - 1)
    assert len(sent(carrier)) == 1
    network.run(2)
    assert len(sent(carrier)) == 2


def test_credentials(
    network: Network, alice: Party, carrier: Stranger, trunk: Registration
) -> None:
    """Section 22.2: asked once; each refresh has them at once."""
    ids = IdSource(Random(7).randbytes)
    server = DigestServer("any", b"s" * 32, {"u": "secret"}.get, ids, lifetime=1000)
    reply(carrier, alice, 401, server.challenge(network.now).lines)
    assert server.verify(last(carrier), network.now).user == "u"
    assert last(carrier).cseq[0] == 2
    reply(carrier, alice, 200, contact(carrier, 100))
    network.run(51)
    assert len(sent(carrier)) == 3
    assert last(carrier).cseq[0] == 3
    assert Credentials.parse(last(carrier).get("authorization") or "").nc == 2
    assert server.verify(last(carrier), network.now).user == "u"


def test_a_longer_interval_is_wanted(alice: Party, carrier: Stranger, trunk: Registration) -> None:
    """Section 10.2.8."""
    reply(carrier, alice, 423, "Min-Expires: 1800\r\n")
    assert last(carrier).get("expires") == "1800"
    reply(carrier, alice, 200)
    assert str(trunk).endswith("for 1800 s")


def test_an_interval_never_long_enough(
    alice: Party, carrier: Stranger, trunk: Registration
) -> None:
    for wanted in (700, 800, 900, 1000):
        reply(carrier, alice, 423, f"Min-Expires: {wanted}\r\n")
    assert (trunk.state, trunk.status) == (FAILED, 423)
    assert len(sent(carrier)) == 4


def test_tried_again_later_and_later(
    network: Network, alice: Party, carrier: Stranger, trunk: Registration
) -> None:
    for longest in (30, 60, 120, 240, 480, 960, 1800, 1800):
        before = len(sent(carrier))
        reply(carrier, alice, 500)
        assert trunk.state == FAILED
        assert str(trunk).endswith("failed, 500 Server Internal Error")
        network.run(longest / 2 - 1)
        assert len(sent(carrier)) == before
        network.run(longest / 2 + 1, until=lambda: len(sent(carrier)) > before)  # noqa: B023
        assert len(sent(carrier)) == before + 1
    reply(carrier, alice, 200)
    assert trunk.state == REGISTERED


def test_retry_after(
    network: Network, alice: Party, carrier: Stranger, trunk: Registration
) -> None:
    reply(carrier, alice, 503, "Retry-After: 300 (maintenance);duration=60\r\n")
    network.run(298)
    assert len(sent(carrier)) == 1
    network.run(3)
    assert len(sent(carrier)) == 2


def test_nobody_answers(network: Network, trunk: Registration) -> None:
    network.run(33)
    assert (trunk.state, trunk.status) == (FAILED, 408)


def test_taken_back(network: Network, alice: Party, carrier: Stranger, trunk: Registration) -> None:
    """Section 10.2.2."""
    reply(carrier, alice, 100)
    reply(carrier, alice, 200)
    trunk.stop(network.now)
    network.run(SOON)
    assert last(carrier).get("expires") == "0"
    assert (last(carrier).get("contact") or "").endswith(";expires=0")
    reply(carrier, alice, 200)
    assert trunk.state == IDLE
    network.settle()


def test_stopped_while_a_refresh_is_under_way(
    network: Network, alice: Party, carrier: Stranger, trunk: Registration
) -> None:
    first = last(carrier)
    trunk.stop(network.now)
    network.run(SOON)
    carrier.send(alice, response_text(first, 200, "c"))
    network.run(SOON)
    assert trunk.state == "unregistering"
    reply(carrier, alice, 500)
    assert (trunk.state, trunk.status) == (IDLE, 500)
    network.settle()


def test_stopped_while_it_waits(
    network: Network, alice: Party, carrier: Stranger, trunk: Registration
) -> None:
    reply(carrier, alice, 403)
    trunk.stop(network.now)
    assert trunk.state == IDLE
    network.settle()


def test_with_our_own_registrar(network: Network, alice: Party) -> None:
    """Both roles, with digest and Path's option in between."""
    pbx = network.add("pbx")
    ids = IdSource(Random(3).randbytes)
    server = DigestServer("pbx", b"p" * 32, {"+4930123": "secret"}.get, ids)
    pbx.endpoint.guard = Guard(server, ("REGISTER",))
    registrar = Registrar(pbx.endpoint, lambda *_: 0)
    seen: list[str] = []
    own = Registration(
        alice.endpoint,
        f"sip:{pbx.address[0]}",
        AOR,
        report=lambda registration, _now: seen.append(registration.state),
    )
    own.start(network.now)
    network.run(SOON)
    found = registrar.find("+4930123")
    assert found is not None
    assert found.uri.host == alice.address[0]
    network.run(4000)  # kept beyond the first interval, and the nonce's life
    assert registrar.find("+4930123") is not None
    own.stop(network.now)
    network.run(SOON)
    assert registrar.bindings == {}
    assert seen == [REGISTERING, REGISTERED, "unregistering", IDLE]
    network.settle()


def test_a_registrar_that_is_no_uri(alice: Party) -> None:
    with pytest.raises(InvalidValue):
        Registration(alice.endpoint, "mailto:x@example.com", AOR)
    with pytest.raises(InvalidValue):
        Registration(alice.endpoint, "sip:198.51.100.9", "sip:a@b\r\nX: 1")
