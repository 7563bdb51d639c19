"""The subscription of a REFER: declined, prolonged, ended (RFC 4488, 3515, 6665)."""

import pytest

from sip.errors import InvalidState
from sip.events import ReferProgressed, Referred
from sip.usage.refer import ReceivedRefer, SentRefer
from tests.sip.usage.calls import SOON, Sides, end, established, in_dialog, with_stranger
from tests.support.builders import response_text
from tests.support.network import Network, Party, Stranger

TARGET = "sip:dave@example.com"


@pytest.fixture
def call(alice: Party, bob: Party) -> Sides:
    return established(alice, bob)


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", "198.51.100.9")


def accepted(network: Network, call: Sides, bob: Party) -> tuple[SentRefer, ReceivedRefer]:
    bob.endpoint.serve("SUBSCRIBE")
    sent = call[0].refer(network.now, TARGET)
    network.run(SOON)
    received = bob.take(Referred).refer
    received.accept(network.now)
    network.run(SOON)
    network.log.clear()
    return sent, received


def statuses(party: Party) -> list[tuple[int, bool]]:
    return [(e.status, e.final) for e in party.events if isinstance(e, ReferProgressed)]


# RFC 4488.


def test_declined_by_both(network: Network, alice: Party, bob: Party, call: Sides) -> None:
    bob.endpoint.support("norefersub")
    sent = call[0].refer(network.now, TARGET, subscribe=False)
    network.run(SOON)
    [request] = network.requests("REFER")
    assert request.get("refer-sub") == "false"
    assert request.has_option("supported", "norefersub")
    received = bob.take(Referred).refer
    assert not received.subscribed
    received.accept(network.now)
    network.run(SOON)
    [response] = network.responses("202 REFER")
    assert response.get("refer-sub") == "false"
    assert response.has_option("supported", "norefersub")
    received.notify(network.now, 180)
    received.notify(network.now, 200)
    network.run(SOON)
    assert not network.requests("NOTIFY")
    assert (sent.silent, sent.over, call[0].refers) == (True, True, {})
    assert statuses(alice) == [(202, False)]
    end(network, call[0])


def test_the_peer_insists(network: Network, alice: Party, carol: Stranger) -> None:
    """Section 4: without Refer-Sub in the 2xx the subscription is there as ever."""
    session = with_stranger(alice, carol)
    sent = session.refer(network.now, TARGET, subscribe=False)
    network.run(SOON)
    carol.send(alice, response_text(carol.requests("REFER")[0], 202, reason="Accepted"))
    network.run(SOON)
    assert not sent.over
    assert session.refers == {sent.number: sent}


@pytest.mark.parametrize(
    ("value", "subscribed"),
    [
        ("false", False),
        ("FALSE ;x=1", False),
        ("true", True),
        ("nonsense", True),
        (None, True),
    ],
)
def test_refer_sub(
    network: Network, alice: Party, carol: Stranger, value: str | None, subscribed: bool
) -> None:
    session = with_stranger(alice, carol)
    headers = {"Refer-To": f"<{TARGET}>", "Refer-Sub": value}
    carol.send(alice, in_dialog(session, "REFER", 5, headers))
    network.run(SOON)
    assert alice.take(Referred).refer.subscribed is subscribed


# SUBSCRIBE prolongs it (RFC 3515 section 2.4.4).


def test_prolonged(network: Network, bob: Party, call: Sides) -> None:
    sent, received = accepted(network, call, bob)
    network.run(200.0)
    sent.refresh(network.now, 250)
    network.run(SOON)
    [response] = network.responses("200 SUBSCRIBE")
    assert response.get("expires") == "250"
    [notify] = network.requests("NOTIFY")
    assert notify.get("subscription-state") == "active;expires=250"
    assert notify.body == b"SIP/2.0 100 Trying\r\n"
    network.run(240.0)
    received.notify(network.now, 200)
    network.run(SOON)
    assert (sent.status, sent.over) == (200, True)
    with pytest.raises(InvalidState):
        sent.refresh(network.now, 10)


def test_never_longer_than_at_first(network: Network, bob: Party, call: Sides) -> None:
    sent, _ = accepted(network, call, bob)
    sent.refresh(network.now, 100_000)
    network.run(SOON)
    [response] = network.responses("200 SUBSCRIBE")
    assert response.get("expires") == "300"


def test_unsubscribed(network: Network, alice: Party, bob: Party, call: Sides) -> None:
    """Expires: 0 (RFC 6665 section 4.4.3): a last NOTIFY, and the transfer goes on unheard."""
    sent, received = accepted(network, call, bob)
    sent.refresh(network.now, 0)
    network.run(SOON)
    [notify] = network.requests("NOTIFY")
    assert notify.get("subscription-state") == "terminated;reason=timeout"
    assert sent.over
    assert statuses(alice)[-1] == (100, True)
    received.notify(network.now, 200)
    network.run(SOON)
    assert len(network.requests("NOTIFY")) == 1


def test_expired(network: Network, bob: Party, call: Sides) -> None:
    sent, _ = accepted(network, call, bob)
    network.run(301.0)
    assert network.requests("NOTIFY")[-1].get("subscription-state") == "terminated;reason=timeout"
    assert sent.over


def test_not_known_there_any_more(network: Network, alice: Party, carol: Stranger) -> None:
    """RFC 6665 section 4.1.2.2: 481 ends the subscription, not the call."""
    session = with_stranger(alice, carol)
    sent = session.refer(network.now, TARGET)
    network.run(SOON)
    carol.send(alice, response_text(carol.requests("REFER")[0], 202, reason="Accepted"))
    network.run(SOON)
    sent.refresh(network.now, 60)
    network.run(SOON)
    carol.send(alice, response_text(carol.requests("SUBSCRIBE")[0], 481))
    network.run(SOON)
    assert sent.over
    assert statuses(alice)[-1] == (0, True)
    assert "Lost" not in alice.seen


def test_nobody_answers_the_subscribe(network: Network, alice: Party, carol: Stranger) -> None:
    session = with_stranger(alice, carol)
    sent = session.refer(network.now, TARGET)
    network.run(SOON)
    carol.send(alice, response_text(carol.requests("REFER")[0], 202, reason="Accepted"))
    sent.refresh(network.now, 60)
    network.run(33.0)
    assert sent.over


@pytest.mark.parametrize(
    ("event", "status"),
    [("refer;id=77", 489), ("presence", 489), (None, 400), ("refer;id=5", 200), ("refer", 489)],
)
def test_subscribe_in_a_call(
    network: Network, alice: Party, carol: Stranger, event: str | None, status: int
) -> None:
    alice.endpoint.serve("SUBSCRIBE")
    session = with_stranger(alice, carol)
    carol.send(alice, in_dialog(session, "REFER", 5, {"Refer-To": f"<{TARGET}>"}))
    network.run(SOON)
    alice.take(Referred).refer.accept(network.now)
    network.run(SOON)
    carol.send(alice, response_text(carol.requests("NOTIFY")[0], 200))
    carol.send(alice, in_dialog(session, "SUBSCRIBE", 6, {"Event": event}))
    network.run(SOON)
    assert carol.statuses("SUBSCRIBE") == [status]


@pytest.mark.parametrize("status", [500, 503])
def test_a_notify_that_is_not_the_end(
    network: Network, alice: Party, carol: Stranger, status: int
) -> None:
    """An older NOTIFY that came late (500), and a peer that asks for patience (Retry-After)."""
    session = with_stranger(alice, carol)
    carol.send(alice, in_dialog(session, "REFER", 5, {"Refer-To": f"<{TARGET}>"}))
    network.run(SOON)
    received = alice.take(Referred).refer
    received.accept(network.now)
    network.run(SOON)
    again = "Retry-After: 5\r\n" if status == 503 else ""
    carol.send(alice, response_text(carol.requests("NOTIFY")[0], status, lines=again))
    network.run(SOON)
    received.notify(network.now, 200)
    network.run(SOON)
    assert carol.requests("NOTIFY")[-1].body == b"SIP/2.0 200 OK\r\n"
