"""linphone: a call each way, hold, and transfers; the other ends are PJSIP.

It has no sound here, so the voice is PJSIP's alone.
"""

import pytest

from tests.interop.conftest import ExchangeFactory, LinphoneFactory, PhoneFactory
from tests.interop.exchange import names, results


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_it_calls(
    linphones: LinphoneFactory, phones: PhoneFactory, exchange: ExchangeFactory, transport: str
) -> None:
    """RFC 3261 13, 14, 15: linphone calls, holds, resumes, and hangs up."""
    lin, bob = linphones("1000", transport), phones("2000")
    line = exchange(bob, transports=["tcp"])
    lin.call(line.server.listeners[transport], "2000")
    lin.wait("StreamsRunning")
    bob.wait("media", status="active")
    lin.do("call-pause 1")
    lin.wait("Paused")
    bob.wait("media", status="remote hold")
    line.server.wait_for_call("on_hold")
    lin.do("call-resume 1")
    lin.wait("StreamsRunning")
    bob.wait("media", status="active")
    lin.do("terminate")
    lin.wait("Released")
    bob.wait("state", state="DISCONNECTED")
    line.finish()
    assert results(line.server) == [("completed", [200, 200])]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_it_is_called(
    linphones: LinphoneFactory, phones: PhoneFactory, exchange: ExchangeFactory, transport: str
) -> None:
    """RFC 3261 12.1.1, 13.3.1, 14: linphone answers, is held, and is hung up on."""
    alice, lin = phones("1000"), linphones("2000", transport)
    line = exchange(lin, transports=["tcp"])
    call = alice.call(line.server.sip, "2000")
    alice.wait("state", state="CONFIRMED")
    alice.wait("media", status="active")
    lin.wait("StreamsRunning")
    alice.do("hold", call=call)
    lin.wait("PausedByRemote")
    alice.wait("media", status="local hold")
    alice.do("resume", call=call)
    lin.wait("StreamsRunning")
    alice.do("hangup", call=call)
    lin.wait("Released")
    line.finish()
    assert results(line.server) == [("completed", [200, 200])]


def test_it_is_referred(
    linphones: LinphoneFactory, phones: PhoneFactory, exchange: ExchangeFactory
) -> None:
    """RFC 3515 2.4: linphone takes our REFER, calls the target, and tells us."""
    lin, bob, carol = linphones("1000"), phones("2000"), phones("3000")
    line = exchange(bob, carol)
    lin.call(line.server.sip, "2000")
    lin.wait("StreamsRunning")
    line.server.transfer(line.guid, "unused", label="rf3000")
    carol.wait("state", state="CONFIRMED")
    lin.wait("StreamsRunning", call=2)
    bob.wait("state", state="DISCONNECTED")
    messages = line.finish()
    assert "202 REFER" in names(messages)
    assert results(line.server) == [("transferred", [200, 200])]
    lin.do("terminate 2")
    carol.wait("state", state="DISCONNECTED")


def test_it_transfers_blind(
    linphones: LinphoneFactory, phones: PhoneFactory, exchange: ExchangeFactory
) -> None:
    """RFC 3515 2.4: linphone asks us to transfer the caller, and leaves."""
    alice, lin, carol = phones("1000"), linphones("2000"), phones("3000")
    line = exchange(lin, carol)
    call = alice.call(line.server.sip, "2000")
    lin.wait("StreamsRunning")
    alice.wait("state", state="CONFIRMED")  # no transfer before the caller is joined
    host, port = line.server.sip
    lin.do(f"call-transfer 1 sip:3000@{host}:{port}")
    carol.wait("state", state="CONFIRMED")
    lin.wait("Released")
    alice.wait_for_rtp(call)
    line.hang_up(alice, call, carol)
    line.finish()
    assert results(line.server) == [("transferred", [200, 200, 200])]


def test_it_transfers_attended(
    linphones: LinphoneFactory, phones: PhoneFactory, exchange: ExchangeFactory
) -> None:
    """RFC 3891, RFC 3515: linphone joins its two parties, which both are behind us."""
    alice, lin, carol = phones("1000"), linphones("2000"), phones("3000")
    line = exchange(lin, carol)
    call = alice.call(line.server.sip, "2000")
    lin.wait("StreamsRunning")
    lin.do("call-pause 1")
    lin.wait("Paused")
    second = lin.call(line.server.sip, "3000")
    lin.wait("StreamsRunning", call=second)
    carol.wait("state", state="CONFIRMED")
    lin.do(f"call-transfer 1 {second}")
    lin.wait("Released")
    alice.wait_for_rtp(call)
    carol.wait_for_rtp(1)
    line.hang_up(alice, call, carol)
    messages = line.finish()
    (refer,) = [m for m in messages if m.name == "REFER"]
    assert "Replaces=" in refer.header("Refer-To")
    assert sorted(result for result, _ in results(line.server)) == ["transferred", "transferred"]
