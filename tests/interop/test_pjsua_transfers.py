"""Transfers with PJSIP phones: by REST, and what the phones do about them."""

from tests.interop.conftest import ExchangeFactory, PhoneFactory
from tests.interop.exchange import between, history, names, results


def test_blind_transfer_by_reinvite(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 3261 14, RFC 3264 8: the caller's media moves to the target by re-INVITE."""
    alice, bob, carol = phones("1000"), phones("2000"), phones("3000")
    line = exchange(bob, carol)
    call, _ = line.connect(alice, bob)
    line.server.transfer(line.guid, "3000")
    carol.wait("state", state="CONFIRMED")
    bob.wait("state", state="DISCONNECTED")
    alice.wait("media", status="active")
    carol.wait_for_rtp(1)
    alice.wait_for_rtp(call)
    line.server.wait_for_history(line.guid, "transfer_completed")
    line.hang_up(alice, call, carol)
    line.finish()
    assert results(line.server) == [("transferred", [200, 200, 200])]


def test_consultation(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 3264 8.4: the caller is held while the target is called, then joined to it."""
    alice, bob, carol = phones("1000"), phones("2000"), phones("3000", answer=[180])
    line = exchange(bob, carol)
    call, _ = line.connect(alice, bob)
    line.server.transfer(line.guid, "3000", transferType="consultation")
    carol.wait("state", state="EARLY")
    alice.wait("media", status="remote hold")
    carol.do("answer", call=1)
    alice.wait("media", status="active")
    carol.wait_for_rtp(1)
    alice.wait_for_rtp(call)
    line.hang_up(carol, 1, alice)
    line.finish()
    assert results(line.server) == [("transferred", [200, 200, 200])]


def test_transfer_by_refer(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 3515 2.4: the caller's phone takes our REFER, calls the target, and tells us."""
    alice, bob, carol = phones("1000"), phones("2000"), phones("3000")
    line = exchange(bob, carol)
    line.connect(alice, bob)
    line.server.transfer(line.guid, "unused", label="rf3000")
    assert f"sip:3000@127.0.0.1:{carol.address[1]}" in alice.wait("referred")["to"]
    carol.wait("state", state="CONFIRMED")
    alice.wait("media", call=2, status="active")
    alice.wait_for_rtp(2)
    bob.wait("state", state="DISCONNECTED")
    alice.wait("state", call=1, state="DISCONNECTED")
    messages = line.finish()
    said = names(between(messages, alice.address, line.server.sip))
    assert said[3:5] == ["REFER", "202 REFER"]
    told = [m for m in messages if m.name == "NOTIFY"]
    assert told[-1].body.startswith("SIP/2.0 200")
    assert told[-1].header("Subscription-State").startswith("terminated")
    assert results(line.server) == [("transferred", [200, 200])]


def test_refer_refused(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 3515 2.4.2: a phone that will not be referred stays in its call."""
    alice, bob, carol = phones("1000", refer=603), phones("2000"), phones("3000")
    line = exchange(bob, carol)
    call, _ = line.connect(alice, bob)
    guid = line.guid
    line.server.transfer(guid, "unused", label="rf3000")
    line.server.wait_for_history(guid, "transfer_failed")
    assert "SIP 603" in history(line.server, guid)["transfer_failed"]
    alice.wait_for_rtp(call)
    line.hang_up(alice, call, bob)
    line.finish()
    assert results(line.server) == [("completed", [200, 200])]


def test_refer_to_somebody_busy(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 3515 2.4.5: the NOTIFY tells a failure, and the call goes on."""
    alice, bob, carol = phones("1000"), phones("2000"), phones("3000", answer=[486])
    line = exchange(bob, carol)
    call, _ = line.connect(alice, bob)
    guid = line.guid
    line.server.transfer(guid, "unused", label="rf3000")
    line.server.wait_for_history(guid, "transfer_failed")
    assert "SIP 486" in history(line.server, guid)["transfer_failed"]
    alice.wait_for_rtp(call)
    line.hang_up(alice, call, bob)
    line.finish()
    assert results(line.server) == [("completed", [200, 200])]
