"""PJSIP phones on both sides of a call: set up, media, hold, digits, and who ends it."""

import pytest

from scenarios.runner import free_port
from tests.interop.conftest import ExchangeFactory, PhoneFactory
from tests.interop.exchange import between, names, results

WHOLE_CALL = ["INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]


@pytest.mark.parametrize("callee_transport", ["udp", "tcp"])
@pytest.mark.parametrize("caller_transport", ["udp", "tcp"])
def test_a_call_from_phone_to_phone(
    phones: PhoneFactory, exchange: ExchangeFactory, caller_transport: str, callee_transport: str
) -> None:
    """RFC 3261 12, 13, 15.1, 18: each leg on its own transport; the voice passes us by."""
    alice = phones("1000", caller_transport)
    bob = phones("2000", callee_transport)
    line = exchange(bob, transports=["tcp"])
    call, _ = line.connect(alice, bob)
    sessions = line.server.sessions(line.guid)
    assert [one["transport"] for one in sessions] == [
        caller_transport.upper(),
        callee_transport.upper(),
    ]
    line.hang_up(alice, call, bob)
    messages = line.finish()
    for call_id in {m.call_id for m in messages}:
        assert names([m for m in messages if m.call_id == call_id]) == WHOLE_CALL
    used = {m.transport for m in messages}
    assert used == {caller_transport, callee_transport}
    assert results(line.server) == [("completed", [200, 200])]


@pytest.mark.parametrize("holder", ["caller", "callee"])
def test_hold_and_resume(phones: PhoneFactory, exchange: ExchangeFactory, holder: str) -> None:
    """RFC 3264 8.4, RFC 3261 14: either side holds by re-INVITE, the other sees it."""
    alice, bob = phones("1000"), phones("2000")
    line = exchange(bob)
    ends = dict(zip((alice, bob), line.connect(alice, bob), strict=True))
    one, other = (alice, bob) if holder == "caller" else (bob, alice)
    one.do("hold", call=ends[one])
    one.wait("media", status="local hold")
    other.wait("media", status="remote hold")
    line.server.wait_for_call("on_hold")
    one.do("resume", call=ends[one])
    for phone in (one, other):
        phone.wait("media", status="active")
        phone.wait_for_rtp(ends[phone])
    line.server.wait_for_call("connected")
    line.hang_up(other, ends[other], one)
    messages = line.finish()
    held = [m for m in messages if m.name == "INVITE" and "a=sendonly" in m.body]
    agreed = [m for m in messages if m.name == "200 INVITE" and "a=recvonly" in m.body]
    assert len(held) == len(agreed) == 2  # on each leg


def test_digits_in_rtp(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 4733 7.1: the payload format is negotiated through us, the digits pass us by."""
    alice, bob = phones("1000"), phones("2000")
    line = exchange(bob)
    call, other = line.connect(alice, bob)
    alice.do("dial", call=call, digits="42#", method="rtp")
    assert [bob.wait("dtmf")["digit"] for _ in "42#"] == list("42#")
    bob.do("dial", call=other, digits="*", method="rtp")
    event = alice.wait("dtmf")
    assert (event["digit"], event["method"]) == ("*", "rtp")
    line.hang_up(alice, call, bob)
    messages = line.finish()
    described = [m for m in messages if m.body]
    assert len(described) == 4
    assert all("telephone-event/8000" in m.body for m in described)
    assert not [m for m in messages if m.name == "INFO"]


def test_digits_in_info(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 2976, RFC 6086: INFO with a DTMF body is carried to the other leg, and answered."""
    alice, bob = phones("1000"), phones("2000")
    line = exchange(bob)
    call, other = line.connect(alice, bob)
    alice.do("dial", call=call, digits="7", method="info")
    event = bob.wait("dtmf")
    assert (event["digit"], event["method"]) == ("7", "info")
    bob.do("dial", call=other, digits="#", method="info")
    assert alice.wait("dtmf")["digit"] == "#"
    line.hang_up(alice, call, bob)
    messages = line.finish()
    carried = [m for m in messages if m.name == "INFO"]
    assert len(carried) == 4
    for message in carried:
        assert message.header("Content-Type") == "application/dtmf-relay"
        assert f"Signal={'7' if message.body == carried[0].body else '#'}" in message.body
    assert len([m for m in messages if m.name == "200 INFO"]) == 4


def test_early_media(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 3261 13.2.2.1, RFC 3264: a description in 183 reaches the caller, who listens."""
    alice, bob = phones("1000"), phones("2000", answer=[183])
    line = exchange(bob)
    call = alice.call(line.server.sip, "2000")
    alice.wait("state", state="EARLY", code=183)
    alice.wait("media", status="active")
    alice.wait_for_rtp(call)
    bob.do("answer", call=1, status=200)
    alice.wait("state", state="CONFIRMED")
    line.hang_up(alice, call, bob)
    line.finish()
    assert results(line.server) == [("completed", [200, 200])]


@pytest.mark.parametrize("status", [486, 603, 480])
def test_a_call_refused(phones: PhoneFactory, exchange: ExchangeFactory, status: int) -> None:
    """RFC 3261 17.1.1.3, 21: the callee's refusal reaches the caller."""
    alice, bob = phones("1000"), phones("2000", answer=[180, status])
    line = exchange(bob)
    alice.call(line.server.sip, "2000")
    alice.wait("state", state="DISCONNECTED", code=status)
    messages = line.finish()
    refused = ["INVITE", f"{status} INVITE", "ACK"]
    assert names(between(messages, alice.address, line.server.sip)) == refused
    assert names(between(messages, bob.address, line.server.sip)) == refused


def test_a_call_given_up(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 3261 9: the caller cancels while the callee's phone rings."""
    alice, bob = phones("1000"), phones("2000", answer=[180])
    line = exchange(bob)
    call = alice.call(line.server.sip, "2000")
    alice.wait("state", state="EARLY", code=180)
    alice.do("hangup", call=call)
    alice.wait("state", state="DISCONNECTED", code=487)
    bob.wait("state", state="DISCONNECTED")
    messages = line.finish()
    for phone in (alice, bob):
        said = names(between(messages, phone.address, line.server.sip))
        assert sorted(said) == ["200 CANCEL", "487 INVITE", "ACK", "CANCEL", "INVITE"]
    assert results(line.server)[0][0] == "abandoned"


def test_a_call_ended_by_rest(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 3261 15.1, RFC 3326: our BYE to both phones."""
    alice, bob = phones("1000"), phones("2000")
    line = exchange(bob)
    line.connect(alice, bob)
    line.server.terminate(line.guid, "administrative")
    for phone in (alice, bob):
        phone.wait("state", state="DISCONNECTED")
    byes = [m for m in line.finish() if m.name == "BYE"]
    assert [(m.source, m.reason) for m in byes] == [(line.server.sip, "Q.850;cause=31")] * 2


MANY = ["PCMU/8000/1", "PCMA/8000/1", "G722/16000/1", "GSM/8000/1", "iLBC/8000/1"]
MANY += ["speex/8000/1", "speex/16000/1", "speex/32000/1", "opus/48000/2"]


@pytest.mark.parametrize("answers", [True, False])
def test_long_requests_leave_udp(
    phones: PhoneFactory, exchange: ExchangeFactory, answers: bool
) -> None:
    """RFC 3261 18.1.1: over 1300 bytes PJSIP and we take TCP, and UDP where nobody takes it."""
    alice = phones("1000", "any", codecs=MANY)
    bob = phones("2000", "any" if answers else "udp", codecs=MANY)
    port = free_port()
    both = [part for one in ("udp", "tcp") for part in ("--sip", f"{one}:127.0.0.1:{port}")]
    line = exchange(bob, options=both)
    call = alice.call(line.server.sip, "2000", **{"X-Padding": "x" * 600})
    for phone in (alice, bob):
        phone.wait("state", state="CONFIRMED")
    alice.wait_for_rtp(call)
    line.hang_up(alice, call, bob)
    messages = line.finish()
    first, second = (m for m in messages if m.name == "INVITE")
    assert min(len(first.data), len(second.data)) > 1300
    assert [first.transport, second.transport] == ["tcp", "tcp" if answers else "udp"]
    assert results(line.server) == [("completed", [200, 200])]
