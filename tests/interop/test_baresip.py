"""baresip: a call each way, hold, and transfers; the other ends are PJSIP."""

import pytest

from tests.interop.conftest import BaresipFactory, ExchangeFactory, PhoneFactory
from tests.interop.exchange import names, results


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_it_calls(
    baresips: BaresipFactory, phones: PhoneFactory, exchange: ExchangeFactory, transport: str
) -> None:
    """RFC 3261 13, 14: baresip calls, holds and resumes; the callee hangs up."""
    dora, bob = baresips("1000", transport), phones("2000")
    line = exchange(bob, transports=["tcp"])
    dora.call(line.server.listeners[transport], "2000")
    dora.wait("CALL_ESTABLISHED")
    bob.wait_for_rtp(1)
    bob.wait("media", status="active")
    dora.do("hold")
    bob.wait("media", status="remote hold")
    line.server.wait_for_call("on_hold")
    dora.do("resume")
    bob.wait("media", status="active")
    line.server.wait_for_call("connected")
    bob.do("hangup", call=1)
    dora.wait("CALL_CLOSED")
    line.finish()
    assert results(line.server) == [("completed", [200, 200])]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_it_is_called(
    baresips: BaresipFactory, phones: PhoneFactory, exchange: ExchangeFactory, transport: str
) -> None:
    """RFC 3261 12.1.1, 13.3.1, 15.1: baresip rings, answers, and hangs up."""
    alice, dora = phones("1000"), baresips("2000", transport)
    line = exchange(dora, transports=["tcp"])
    call = alice.call(line.server.sip, "2000")
    alice.wait("state", state="CONFIRMED")
    dora.wait("CALL_ESTABLISHED")
    alice.wait_for_rtp(call)
    dora.do("hangup")
    alice.wait("state", state="DISCONNECTED")
    messages = line.finish()
    assert {m.transport for m in messages if m.method == "BYE"} == {transport, "udp"}
    assert results(line.server) == [("completed", [200, 200])]


def test_it_is_referred(
    baresips: BaresipFactory, phones: PhoneFactory, exchange: ExchangeFactory
) -> None:
    """RFC 3515 2.4: baresip takes our REFER, calls the target, and tells us."""
    dora, bob, carol = baresips("1000"), phones("2000"), phones("3000")
    line = exchange(bob, carol)
    dora.call(line.server.sip, "2000")
    dora.wait("CALL_ESTABLISHED")
    bob.wait("state", state="CONFIRMED")
    line.server.transfer(line.guid, "unused", label="rf3000")
    carol.wait("state", state="CONFIRMED")
    bob.wait("state", state="DISCONNECTED")
    carol.wait_for_rtp(1)
    messages = line.finish()
    assert "202 REFER" in names(messages)
    assert results(line.server) == [("transferred", [200, 200])]


def test_it_is_joined_to_a_target(
    baresips: BaresipFactory, phones: PhoneFactory, exchange: ExchangeFactory
) -> None:
    """RFC 3264 8, RFC 3261 14: baresip as caller of a transfer by re-INVITE, and as target."""
    dora, bob, eric = baresips("1000"), phones("2000"), baresips("3000")
    line = exchange(bob, eric)
    dora.call(line.server.sip, "2000")
    dora.wait("CALL_ESTABLISHED")
    bob.wait_for_rtp(1)
    line.server.transfer(line.guid, "3000")
    eric.wait("CALL_ESTABLISHED")
    bob.wait("state", state="DISCONNECTED")
    line.server.wait_for_history(line.guid, "transfer_completed")
    eric.do("hangup")
    dora.wait("CALL_CLOSED")
    line.finish()
    assert results(line.server) == [("transferred", [200, 200, 200])]


def test_it_transfers(
    baresips: BaresipFactory, phones: PhoneFactory, exchange: ExchangeFactory
) -> None:
    """RFC 3515 2.4: baresip asks us to transfer the caller, and leaves."""
    alice, dora, carol = phones("1000"), baresips("2000"), phones("3000")
    line = exchange(dora, carol)
    call = alice.call(line.server.sip, "2000")
    dora.wait("CALL_ESTABLISHED")
    alice.wait("state", state="CONFIRMED")
    host, port = line.server.sip
    dora.do("transfer", f"sip:3000@{host}:{port}")
    carol.wait("state", state="CONFIRMED")
    dora.wait("CALL_CLOSED")
    carol.wait_for_rtp(1)
    line.hang_up(alice, call, carol)
    messages = line.finish()
    assert "202 REFER" in names(messages)
    assert results(line.server) == [("transferred", [200, 200, 200])]


def test_it_logs_in(
    baresips: BaresipFactory, phones: PhoneFactory, exchange: ExchangeFactory
) -> None:
    """RFC 3261 10.2, 22: baresip registers as an agent with digest, and is called."""
    alice = phones("1000", password="wonder")
    asking = {
        "sip.authentication.users": '["1000:wonder", "1001:secret"]',
        "sip.authentication.algorithms": "MD5",  # it stops at one that it does not know
    }
    line = exchange(settings=asking, watched=[alice.address[1]])
    ada = baresips("1001", registrar=line.server.sip, password="secret")
    line.wire.wait_for(lambda m: m.name == "200 REGISTER")
    call = alice.call(line.server.sip, "6000")
    ada.wait("CALL_ESTABLISHED")
    alice.wait("state", state="CONFIRMED")
    alice.wait_for_rtp(call)
    ada.do("hangup")
    alice.wait("state", state="DISCONNECTED")
    messages = line.finish()
    assert names(messages)[:4] == ["REGISTER", "401 REGISTER", "REGISTER", "200 REGISTER"]
    assert results(line.server) == [("completed", [200, 200])]
