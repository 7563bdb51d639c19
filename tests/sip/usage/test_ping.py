"""Pings: OPTIONS with Max-Forwards 0, and what becomes of them."""

import pytest

from sip.errors import InvalidValue
from sip.message import Response
from sip.transaction.client import ClientTransaction
from sip.transport import Listener
from sip.usage.ping import Ping
from tests.support.builders import response_text
from tests.support.network import Network, Party


class Asker:
    """Keeps the answers."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def response_received(
        self, transaction: ClientTransaction, response: Response, now: float
    ) -> None:
        self.heard.append(response.status)

    def transaction_failed(self, transaction: ClientTransaction, status: int, now: float) -> None:
        self.heard.append(-status)


def test_a_ping_goes_no_further_than_its_server(network: Network, alice: Party) -> None:
    """CVP.md 2: heartbeat OPTIONS uses Max-Forwards 0."""
    network.expect_idle = True
    server = network.add_stranger("server")
    asker = Asker()
    uri = f"sip:{server.address[0]}:5060;transport=udp"
    Ping(alice.endpoint, uri, contact="cvp.cisco.com").send(asker, 0.5, alice.now)
    network.run(0.1)
    (options,) = server.requests("OPTIONS")
    assert options.get("max-forwards") == "0"
    assert options.get("contact") == "<sip:cvp.cisco.com;transport=udp>"
    assert (options.uri, options.get("content-length")) == (uri, "0")
    server.send(alice, response_text(options, 483))
    network.run(0.1)
    assert asker.heard == [483]


def test_an_endpoint_answers_it(network: Network, alice: Party, bob: Party) -> None:
    network.expect_idle = True
    asker = Asker()
    Ping(alice.endpoint, bob.uri).send(asker, 0.5, alice.now)
    network.run(0.1)
    assert asker.heard == [200]
    (options,) = network.requests("OPTIONS")
    assert alice.listener.sent_by("") in (options.get("contact") or "")


def test_silence_is_over_soon_and_asked_once(network: Network, alice: Party) -> None:
    network.expect_idle = True
    server = network.add_stranger("server")
    asker = Asker()
    Ping(alice.endpoint, server.uri).send(asker, 0.5, alice.now)
    network.run(0.49)
    assert asker.heard == []
    network.run(0.1)
    assert asker.heard == [-408]
    network.run(60.0)
    assert network.times("OPTIONS") == [0.0]
    server.send(alice, response_text(server.requests("OPTIONS")[0], 200))
    network.run(0.1)
    assert (asker.heard, alice.endpoint.discarded) == ([-408], 1)


def test_a_dead_port_is_known_at_once(network: Network, alice: Party) -> None:
    network.expect_idle = True
    network.unreachable.add(("192.0.2.77", 5060))
    asker = Asker()
    Ping(alice.endpoint, "sip:192.0.2.77").send(asker, 3.0, alice.now)
    network.run(0.1)
    assert asker.heard == [-503]


def test_it_leaves_by_a_port_of_its_own_where_that_fits(network: Network, alice: Party) -> None:
    network.expect_idle = True
    own = alice.listen("UDP", port=5067)
    alice.listen("TCP", port=5070)
    asker = Asker()
    server = network.add_stranger("server")
    Ping(alice.endpoint, server.uri, "PING", own).send(asker, 0.5, alice.now)
    Ping(alice.endpoint, f"{server.uri};transport=tcp", "PING", own).send(asker, 0.5, alice.now)
    network.run(0.1)
    by_udp, by_tcp = server.requests("PING")
    assert (by_udp.via.sent_by, by_tcp.via.sent_by) == (
        f"{own.host}:5067",
        f"{own.host}:5070",
    )
    network.run(1.0)


def test_without_a_socket_that_fits_there_is_an_error(alice: Party) -> None:
    ping = Ping(alice.endpoint, "sip:192.0.2.9;transport=tcp")
    with pytest.raises(InvalidValue, match="no TCP listener"):
        ping.send(Asker(), 0.5, alice.now)
    six = Ping(alice.endpoint, "sip:192.0.2.9", listener=Listener("UDP", "2001:db8::1", 5067))
    six.send(Asker(), 0.5, alice.now)
    assert alice.endpoint.outbox[0][0] is alice.listener
