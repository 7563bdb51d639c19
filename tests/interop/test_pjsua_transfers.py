"""Transfers with PJSIP phones: by REST, and what the phones do about them."""

import pytest

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


def test_consultation_completed_by_replaces(
    phones: PhoneFactory, exchange: ExchangeFactory
) -> None:
    """RFC 5589 7.3, RFC 3891: bob talks to carol, then alice calls carol in our place."""
    alice, bob, carol = phones("1000"), phones("2000"), phones("3000")
    line = exchange(bob, carol, settings={"transfer.consultation": "manual"})
    _, other = line.connect(alice, bob)
    guid = line.guid
    line.server.transfer(guid, "3000", transferType="consultation")
    line.server.wait_for_history(guid, "consulting")
    bob.wait_for_rtp(other)
    carol.wait_for_rtp(1)
    line.server.extension("POST", f"/sim/v1/calls/{guid}/transfer/complete", expect=202)
    alice.wait("referred")
    carol.wait("replaced", call=1)
    for phone in (alice, bob, carol):
        phone.wait("state", call=1, state="DISCONNECTED")
    carol.wait_for_rtp(2)
    alice.wait_for_rtp(2)
    messages = line.finish()
    (refer,) = [m for m in messages if m.name == "REFER"]
    assert "Replaces=" in refer.header("Refer-To")
    (transfer,) = line.server.extension("GET", f"/sim/v1/calls/{guid}/transfers")["transfers"]
    assert (transfer["method"], transfer["state"]) == ("replaces", "completed")
    assert results(line.server) == [("transferred", [200, 200, 200])]


@pytest.mark.parametrize("end", ["complete", "cancel"])
def test_consultation_by_reinvite(
    phones: PhoneFactory, exchange: ExchangeFactory, end: str
) -> None:
    """RFC 3264 8: the agent is moved to the target, and the caller or he himself back."""
    alice, bob, carol = phones("1000"), phones("2000"), phones("3000")
    settings = {"transfer.consultation": "manual", "transfer.replaces": False}
    line = exchange(bob, carol, settings=settings)
    call, other = line.connect(alice, bob)
    guid = line.guid
    line.server.transfer(guid, "3000", transferType="consultation")
    line.server.wait_for_history(guid, "consulting")
    alice.wait("media", status="remote hold")
    bob.wait_for_rtp(other)
    carol.wait_for_rtp(1)
    line.server.extension("POST", f"/sim/v1/calls/{guid}/transfer/{end}", expect=202)
    left, stays, leg = (bob, carol, 1) if end == "complete" else (carol, bob, other)
    left.wait("state", call=1, state="DISCONNECTED")
    alice.wait("media", status="active")
    alice.wait_for_rtp(call)
    stays.wait_for_rtp(leg)
    line.hang_up(alice, call, stays)
    line.finish()
    result = "transferred" if end == "complete" else "completed"
    assert results(line.server) == [(result, [200, 200, 200])]


def test_hold_by_a_command(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 3264 8.4: both phones are on hold until the command to resume."""
    alice, bob = phones("1000"), phones("2000")
    line = exchange(bob)
    call, other = line.connect(alice, bob)
    guid = line.guid
    line.server.extension("POST", f"/sim/v1/calls/{guid}/hold", expect=202)
    for phone in (alice, bob):
        phone.wait("media", status="remote hold")
    line.server.wait_for_history(guid, "on_hold")
    line.server.extension("POST", f"/sim/v1/calls/{guid}/resume", expect=202)
    for phone in (alice, bob):
        phone.wait("media", status="active")
    alice.wait_for_rtp(call)
    bob.wait_for_rtp(other)
    line.hang_up(alice, call, bob)
    line.finish()


def test_digits_for_the_gateway(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """INFO with application/dtmf-relay, as a phone reads it; then the gateway says BYE."""
    alice, bob = phones("1000"), phones("2000")
    line = exchange(bob)
    call, _ = line.connect(alice, bob)
    line.server.transfer(line.guid, "unused", label="DTMF*8,,123")
    for digit in "*8123":
        alice.wait("dtmf", digit=digit, method="info")
    line.hang_up(alice, call, bob)
    line.finish()
    assert results(line.server) == [("transferred", [200, 200])]


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


@pytest.mark.parametrize("asker", ["caller", "callee"])
def test_a_phone_transfers_blind(
    phones: PhoneFactory, exchange: ExchangeFactory, asker: str
) -> None:
    """RFC 3515 2.4.2, 2.4.5: its REFER is accepted; NOTIFY tells 180 and 200."""
    alice, bob, carol = phones("1000"), phones("2000"), phones("3000")
    line = exchange(bob, carol)
    ends = dict(zip((alice, bob), line.connect(alice, bob), strict=True))
    one, other = (alice, bob) if asker == "caller" else (bob, alice)
    host, port = line.server.sip
    one.do("transfer", call=ends[one], uri=f"sip:3000@{host}:{port}")
    one.wait("transfer", code=200, final=True)
    one.wait("state", state="DISCONNECTED")
    carol.wait_for_rtp(1)
    other.wait_for_rtp(ends[other])
    line.hang_up(other, ends[other], carol)
    messages = line.finish()
    (refer,) = [m for m in messages if m.name == "REFER"]
    (accepted,) = [m for m in messages if m.name == "202 REFER"]
    assert refer.source == accepted.destination == one.address
    told = [m.body.split("\r\n")[0] for m in messages if m.name == "NOTIFY"]
    assert told == ["SIP/2.0 100 Trying", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK"]
    assert results(line.server) == [("transferred", [200, 200, 200])]


def test_a_phone_transfers_to_somebody_busy(
    phones: PhoneFactory, exchange: ExchangeFactory
) -> None:
    """RFC 3515 2.4.5: NOTIFY tells the failure, and the call goes on with the phone."""
    alice, bob, carol = phones("1000"), phones("2000"), phones("3000", answer=[486])
    line = exchange(bob, carol)
    call, other = line.connect(alice, bob)
    host, port = line.server.sip
    bob.do("transfer", call=other, uri=f"sip:3000@{host}:{port}")
    bob.wait("transfer", code=486, final=True)
    alice.wait_for_rtp(call)
    line.hang_up(alice, call, bob)
    line.finish()
    assert results(line.server)[0][0] == "completed"


def test_attended_transfer(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 3891, RFC 3515, RFC 3264 8: Refer-To with Replaces joins the parties of two calls."""
    alice, bob, carol = phones("1000"), phones("2000"), phones("3000")
    line = exchange(bob, carol)
    call, first = line.connect(alice, bob)
    bob.do("hold", call=first)
    alice.wait("media", status="remote hold")
    bob.wait("media", status="local hold")
    second = bob.call(line.server.sip, "3000")
    carol.wait("state", state="CONFIRMED")
    bob.wait("state", call=second, state="CONFIRMED")
    carol.wait_for_rtp(1)
    bob.do("attend", call=first, other=second)
    for ended in (first, second):
        bob.wait("state", call=ended, state="DISCONNECTED")
    alice.wait("media", status="active")
    alice.wait_for_rtp(call)
    carol.wait_for_rtp(1)
    line.hang_up(carol, 1, alice)
    messages = line.finish()
    (refer,) = [m for m in messages if m.name == "REFER"]
    assert "Replaces=" in refer.header("Refer-To")
    assert not [m for m in messages if m.name == "INVITE" and m.header("Replaces")]
    assert sorted(result for result, _ in results(line.server)) == ["transferred", "transferred"]


def test_attended_transfer_of_a_call_beside_us(
    phones: PhoneFactory, exchange: ExchangeFactory
) -> None:
    """RFC 3891 3: a dialog that is none of ours is replaced by the INVITE that we send."""
    alice, bob, carol = phones("1000"), phones("2000"), phones("3000")
    line = exchange(bob, carol)
    call, first = line.connect(alice, bob)
    second = bob.call(carol.address, "3000")
    carol.wait("state", call=1, state="CONFIRMED")
    bob.wait("state", call=second, state="CONFIRMED")
    bob.do("attend", call=first, other=second)
    carol.wait("replaced", call=1)
    carol.wait("state", call=2, state="CONFIRMED")
    carol.wait("state", call=1, state="DISCONNECTED")
    bob.wait("state", call=first, state="DISCONNECTED")
    carol.wait_for_rtp(2)
    alice.wait_for_rtp(call)
    line.hang_up(carol, 2, alice)
    messages = line.finish()
    (invite,) = [m for m in messages if m.name == "INVITE" and m.header("Replaces")]
    assert (invite.source, invite.destination) == (line.server.sip, carol.address)
    assert "replaces" in invite.header("Require")
    assert invite.header("Referred-By")
    assert results(line.server) == [("transferred", [200, 200, 200])]


def test_somebody_takes_the_place_of_a_leg(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 3891 3: carol, referred by bob beside us, calls us with Replaces for his leg."""
    alice, bob, carol = phones("1000"), phones("2000"), phones("3000")
    line = exchange(bob, carol)
    call, first = line.connect(alice, bob)
    beside = bob.call(carol.address, "3000")
    carol.wait("state", call=1, state="CONFIRMED")
    bob.wait("state", call=beside, state="CONFIRMED")
    bob.do("attend", call=beside, other=first)
    carol.wait("referred", call=1)
    carol.wait("state", call=2, state="CONFIRMED")
    bob.wait("state", call=first, state="DISCONNECTED")
    carol.wait_for_rtp(2)
    alice.wait_for_rtp(call)
    line.hang_up(alice, call, carol)
    messages = line.finish()
    (invite,) = [m for m in messages if m.name == "INVITE" and m.header("Replaces")]
    assert (invite.source, invite.destination) == (carol.address, line.server.sip)
    assert len(line.server.cdrs()) == 1
