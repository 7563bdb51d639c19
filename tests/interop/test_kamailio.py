"""Kamailio in front of the call server: every request of a dialog follows its route."""

import pytest

from scenarios.capture import Captured
from tests.interop.conftest import ExchangeFactory, PhoneFactory
from tests.interop.exchange import Exchange, fields
from tests.interop.kamailio import Kamailio
from tests.interop.phone import Phone

TRANSPORTS = [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp"), ("tcp", "udp")]


def start(proxy: Kamailio, exchange: ExchangeFactory, inside: str, *phones: Phone) -> Exchange:
    """The proxy between the phones and a server, which it reaches over `inside`."""
    line: Exchange = exchange(
        *phones, transports=["tcp"], via=proxy.uri(inside), watched=[proxy.address[1]]
    )
    port = line.server.listeners[inside][1]
    proxy.start(f"sip:127.0.0.1:{port};transport={inside}", {p.user[0]: p.uri for p in phones})
    return line


def connect(proxy: Kamailio, alice: Phone, bob: Phone) -> int:
    call = alice.call(proxy.address, bob.user)
    for phone in (alice, bob):
        phone.wait("state", state="CONFIRMED")
        phone.wait("media", status="active")
    alice.wait_for_rtp(call)
    bob.wait_for_rtp(1)
    return call


def hold_and_resume(one: Phone, call: int, other: Phone) -> None:
    one.do("hold", call=call)
    other.wait("media", status="remote hold")
    one.wait("media", status="local hold")
    one.do("resume", call=call)
    for phone in (one, other):
        phone.wait("media", status="active")


def routed(messages: list[Captured], method: str, sockets: int) -> int:
    """How many requests of this method there were in a dialog.

    Each is there twice: as its sender sends it, with the route that has the proxy's
    `sockets`, and as the proxy sends it on, its own entries taken off.
    """
    requests = [m for m in messages if m.name == method and m.to_tag]
    by_hops: dict[tuple[str, object], list[Captured]] = {}
    for request in requests:
        by_hops.setdefault((request.call_id, request.cseq), []).append(request)
    for sent, forwarded in by_hops.values():
        assert [len(fields(m, "Via")) for m in (sent, forwarded)] == [1, 2]
        assert len(fields(sent, "Route")) == sockets
        assert all(";lr" in route for route in fields(sent, "Route"))
        assert fields(forwarded, "Route") == []
        assert sent.uri == forwarded.uri
    return len(by_hops)


@pytest.mark.parametrize(("outside", "inside"), TRANSPORTS)
def test_a_dialog_follows_its_route(
    proxy: Kamailio, phones: PhoneFactory, exchange: ExchangeFactory, outside: str, inside: str
) -> None:
    """RFC 3261 12.2.1.1, 16.12: ACK, re-INVITE, INFO and BYE of both sides."""
    alice, bob = phones("1000", outside), phones("2000", outside)
    line = start(proxy, exchange, inside, bob)
    call = connect(proxy, alice, bob)
    hold_and_resume(alice, call, bob)
    alice.do("dial", call=call, digits="5", method="info")
    assert bob.wait("dtmf")["digit"] == "5"
    hold_and_resume(bob, 1, alice)
    line.hang_up(bob, 1, alice)
    messages = line.finish()
    sockets = 1 if outside == inside else 2
    assert {m.transport for m in messages} == {outside, inside}
    first = [m for m in messages if m.method == "INVITE" and not m.to_tag]
    assert [len(fields(m, "Record-Route")) for m in first] == [0, sockets, 0, sockets]
    for method, count in {"INVITE": 8, "ACK": 10, "INFO": 2, "BYE": 2}.items():
        assert routed(messages, method, sockets) == count


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_refer_follows_the_route(
    proxy: Kamailio, phones: PhoneFactory, exchange: ExchangeFactory, transport: str
) -> None:
    """RFC 3515 2.4.4, RFC 3261 12.2.1.1: REFER, its NOTIFYs, and the BYEs."""
    alice, bob, carol = (phones(user, transport) for user in ("1000", "2000", "3000"))
    line = start(proxy, exchange, transport, bob, carol)
    connect(proxy, alice, bob)
    line.server.transfer(line.guid, "unused", label="rf3000")
    carol.wait("state", state="CONFIRMED")
    bob.wait("state", state="DISCONNECTED")
    alice.wait("state", call=1, state="DISCONNECTED")
    line.hang_up(carol, 1, alice)
    messages = line.finish()
    assert routed(messages, "REFER", 1) == 1
    assert routed(messages, "NOTIFY", 1) >= 2
    assert routed(messages, "BYE", 1) == 4


@pytest.mark.parametrize(("outside", "inside"), TRANSPORTS[1:])
def test_a_transfer_by_reinvite_follows_the_route(
    proxy: Kamailio, phones: PhoneFactory, exchange: ExchangeFactory, outside: str, inside: str
) -> None:
    """RFC 3261 14.1, 12.2.1.1: the re-INVITE and the BYEs that are ours."""
    alice, bob, carol = (phones(user, outside) for user in ("1000", "2000", "3000"))
    line = start(proxy, exchange, inside, bob, carol)
    call = connect(proxy, alice, bob)
    line.server.transfer(line.guid, "3000")
    bob.wait("state", state="DISCONNECTED")
    carol.wait_for_rtp(1)
    alice.wait_for_rtp(call)
    line.server.terminate(line.guid)
    for phone in (alice, carol):
        phone.wait("state", state="DISCONNECTED")
    messages = line.finish()
    sockets = 1 if outside == inside else 2
    assert routed(messages, "INVITE", sockets) == 1
    assert routed(messages, "BYE", sockets) == 3
