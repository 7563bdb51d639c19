"""Reliable ringing with PJSIP: each side may insist on PRACK; UPDATE by a phone."""

import pytest

from tests.interop.conftest import ExchangeFactory, PhoneFactory
from tests.interop.exchange import between, names, results


@pytest.mark.parametrize("callee", ["off", "optional", "required"])
@pytest.mark.parametrize("caller", ["off", "required"])
def test_prack(phones: PhoneFactory, exchange: ExchangeFactory, caller: str, callee: str) -> None:
    """RFC 3262 3, 4: whoever requires 100rel gets it, on its own leg."""
    alice = phones("1000", **{"100rel": caller})
    bob = phones("2000", **{"100rel": callee, "answer": [180]})
    line = exchange(bob)
    call = alice.call(line.server.sip, "2000")
    if callee != "off":  # our INVITE supports it, so its ringing is reliable
        line.wire.wait_for(lambda m: m.name == "200 PRACK" and m.source == bob.address)
    alice.wait("state", state="EARLY", code=180)
    if caller == "required":
        line.wire.wait_for(lambda m: m.name == "200 PRACK" and m.destination == alice.address)
    bob.do("answer", call=1)
    alice.wait("state", state="CONFIRMED")
    alice.wait_for_rtp(call)
    line.hang_up(alice, call, bob)
    messages = line.finish()
    for phone, use in ((alice, caller), (bob, callee)):
        leg = between(messages, phone.address, line.server.sip)
        ringing = [m for m in leg if m.status == 180]
        reliable = use != "off"
        assert [m.header("Require") == "100rel" for m in ringing] == [reliable] * len(ringing)
        assert names(leg).count("PRACK") == names(leg).count("200 PRACK") == reliable * 1
    assert results(line.server) == [("completed", [200, 200])]


@pytest.mark.parametrize("use", ["off", "required"])
def test_reliable_early_media(phones: PhoneFactory, exchange: ExchangeFactory, use: str) -> None:
    """RFC 3262 5: the answer to the offer comes in a reliable 183."""
    alice = phones("1000", **{"100rel": "required"})
    bob = phones("2000", **{"100rel": use, "answer": [183]})
    line = exchange(bob)
    call = alice.call(line.server.sip, "2000")
    alice.wait("state", state="EARLY", code=183)
    alice.wait("media", status="active")
    alice.wait_for_rtp(call)
    line.wire.wait_for(lambda m: m.name == "200 PRACK" and m.destination == alice.address)
    bob.do("answer", call=1)
    alice.wait("state", state="CONFIRMED")
    line.hang_up(alice, call, bob)
    line.finish()
    assert results(line.server) == [("completed", [200, 200])]


def test_prack_and_cancel(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 3262 3, RFC 3261 9: a caller gives up after reliable ringing."""
    alice = phones("1000", **{"100rel": "required"})
    bob = phones("2000", **{"100rel": "required", "answer": [180]})
    line = exchange(bob)
    call = alice.call(line.server.sip, "2000")
    line.wire.wait_for(lambda m: m.name == "200 PRACK" and m.destination == alice.address)
    alice.wait("state", state="EARLY", code=180)
    alice.do("hangup", call=call)
    alice.wait("state", state="DISCONNECTED", code=487)
    bob.wait("state", state="DISCONNECTED")
    line.finish()


@pytest.mark.parametrize("sender", ["caller", "callee"])
def test_update(phones: PhoneFactory, exchange: ExchangeFactory, sender: str) -> None:
    """RFC 3311 5: an offer in UPDATE is carried to the other leg, its answer back."""
    alice, bob = phones("1000"), phones("2000")
    line = exchange(bob)
    ends = dict(zip((alice, bob), line.connect(alice, bob), strict=True))
    one, other = (alice, bob) if sender == "caller" else (bob, alice)
    one.do("update", call=ends[one])
    for phone in (one, other):
        phone.wait("media", status="active")
        phone.wait_for_rtp(ends[phone])
    line.hang_up(alice, ends[alice], bob)
    messages = line.finish()
    updates = [m for m in messages if m.method == "UPDATE"]
    answers = [m for m in messages if m.name == "200 UPDATE"]
    assert len(updates) == len(answers) == 2
    assert all("m=audio" in m.body for m in updates + answers)
