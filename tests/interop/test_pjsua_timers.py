"""Session timers (RFC 4028) with PJSIP phones, which take no interval below 90 s."""

import time
from typing import Final

import pytest

from scenarios.capture import Captured
from tests.interop.conftest import ExchangeFactory, PhoneFactory
from tests.interop.exchange import fields, names, results
from tests.interop.phone import Phone

_SHORTEST: Final = 90


def expires(messages: list[Captured], name: str) -> list[str]:
    """Session-Expires of the messages of this name."""
    return [value for m in messages if m.name == name for value in fields(m, "Session-Expires")]


def on(messages: list[Captured], phone: Phone) -> list[Captured]:
    """The messages from and to a phone."""
    return [m for m in messages if phone.address in (m.source, m.destination)]


def test_each_leg_has_its_timer(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """Sections 7, 9 and 10: asked for, granted, passed on, and refreshed at half the interval.

    The caller refreshes its leg, the server the other: UPDATE, both times.
    """
    alice = phones("1000", timer="required", session_expires=_SHORTEST)
    bob = phones("2000", timer="optional")
    line = exchange(bob)
    call, _ = line.connect(alice, bob)
    since = time.monotonic()
    line.server.wait_for_call("connected")
    deadline = since + 0.7 * _SHORTEST
    while min(names(on(line.wire.messages(), p)).count("200 UPDATE") for p in (alice, bob)) < 1:
        assert time.monotonic() < deadline, line.wire.ladder()
        line.server.wait_for_call("connected")
        time.sleep(0.2)
    assert time.monotonic() - since > 0.4 * _SHORTEST
    line.hang_up(alice, call, bob)
    messages = line.finish()
    for phone in (alice, bob):
        leg = on(messages, phone)
        assert names(leg) == [
            "INVITE", "200 INVITE", "ACK", "UPDATE", "200 UPDATE", "BYE", "200 BYE",
        ]  # fmt: skip
        (asked,), (granted,) = expires(leg, "INVITE"), expires(leg, "200 INVITE")
        assert asked.partition(";")[0] == "90"
        assert granted == "90;refresher=uac"
        assert expires(leg, "UPDATE") == expires(leg, "200 UPDATE") == ["90;refresher=uac"]
    assert results(line.server) == [("completed", [200, 200])]


@pytest.mark.parametrize("caller", ["off", "optional"])
def test_the_server_asks(phones: PhoneFactory, exchange: ExchangeFactory, caller: str) -> None:
    """Section 9: where the caller asks for nothing the server brings a timer; 422 is followed."""
    alice = phones("1000", timer=caller)
    bob = phones("2000", timer="always", min_se=1200, session_expires=1800)
    line = exchange(bob, settings={"sip.session_timer.expires": 600})
    call = alice.call(line.server.listeners["udp"], bob.user)
    alice.wait("state", call=call, state="CONFIRMED")
    alice.do("hangup", call=call)
    messages = line.finish()
    refresher = "uas" if caller == "off" else "uac"
    assert expires(on(messages, alice), "200 INVITE") == [f"600;refresher={refresher}"]
    assert names(on(messages, bob))[:5] == ["INVITE", "422 INVITE", "ACK", "INVITE", "200 INVITE"]
    assert expires(on(messages, bob), "INVITE") == ["600", "1200"]
