"""Kamailio as somebody who asks us for a password, lets us register, and writes Path."""

import json

import pytest

from scenarios.plugin import CaptureFactory
from tests.interop.conftest import ExchangeFactory, PhoneFactory
from tests.interop.exchange import fields, names, results
from tests.interop.kamailio import PASSWORD, REALM, TRUNK, Kamailio

NOWHERE = "sip:127.0.0.1:9"


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_we_are_asked(
    proxy: Kamailio, phones: PhoneFactory, exchange: ExchangeFactory, algorithm: str
) -> None:
    """RFC 3261 22.3, RFC 7616, RFC 8760: 407, then our INVITE again with an answer."""
    alice, bob = phones("1000"), phones("2000")
    credential = {"realm": REALM, "user": "callsim", "password": PASSWORD}
    line = exchange(
        bob,
        via=proxy.uri("udp"),
        watched=[proxy.address[1]],
        settings={"sip.credentials": json.dumps([credential])},
    )
    host, port = line.server.sip
    proxy.start(f"sip:{host}:{port}", {"2": bob.uri}, asks=True, algorithm=algorithm)
    call, _ = line.connect(alice, bob)
    line.hang_up(alice, call, bob)
    messages = line.finish()
    assert "407 INVITE" in names(messages)
    (answered,) = [m for m in messages if m.name == "INVITE" and m.header("Proxy-Authorization")]
    assert f"algorithm={algorithm}" in answered.header("Proxy-Authorization").replace('"', "")
    assert results(line.server) == [("completed", [200, 200])]


def test_we_register(
    proxy: Kamailio, phones: PhoneFactory, exchange: ExchangeFactory, capture: CaptureFactory
) -> None:
    """RFC 3261 10.2, 22.2: REGISTER with digest as a trunk; a call comes in from there."""
    alice, bob = phones("1000"), phones("4000")
    proxy.start(NOWHERE, {})
    host, port = proxy.address
    trunk = {
        "registrar": f"sip:{host}:{port}",
        "aor": f"sip:{TRUNK}@{host}",
        "password": PASSWORD,
    }
    wire = capture(port)  # from before the server starts
    line = exchange(
        watched=[port, bob.address[1]],
        settings={"sip.trunks": json.dumps([trunk])},
        also={"4>": bob.uri},
    )
    wire.wait_for(lambda m: m.name == "200 REGISTER")
    alice.call(proxy.address, TRUNK)
    alice.wait("state", state="CONFIRMED")
    bob.wait("state", state="CONFIRMED")
    bob.wait_for_rtp(1)
    line.hang_up(bob, 1, alice)
    line.finish()
    assert results(line.server) == [("completed", [200, 200])]
    line.server.stop()
    registering = [m for m in wire.check() if m.cseq[1] == "REGISTER"]
    assert names(registering)[:4] == ["REGISTER", "401 REGISTER", "REGISTER", "200 REGISTER"]
    gone = [m for m in registering if m.method and ";expires=0" in m.header("Contact")]
    assert gone
    assert registering[-1].name == "200 REGISTER"


def test_a_phone_logs_in_through_it(
    proxy: Kamailio, phones: PhoneFactory, exchange: ExchangeFactory
) -> None:
    """RFC 3327 5: the Path of its REGISTER is the Route of our INVITE."""
    alice = phones("1000")
    line = exchange(watched=[proxy.address[1], alice.address[1]])
    host, port = line.server.sip
    proxy.start(f"sip:{host}:{port}", {})
    near, by = proxy.address
    ada = phones("1001", uri=f"sip:1001@{host}", registrar=f"sip:{near}:{by}")
    ada.wait("registration", code=200, active=True)
    call = alice.call(line.server.sip, "6000")
    for phone in (alice, ada):
        phone.wait("state", state="CONFIRMED")
    alice.wait_for_rtp(call)
    line.hang_up(alice, call, ada)
    ada.do("unregister")
    ada.wait("registration", code=200, active=False)
    messages = line.finish()
    (path,) = {m.header("Path") for m in messages if m.method == "REGISTER" and m.header("Path")}
    sent = [m for m in messages if m.name == "INVITE" and m.destination == proxy.address]
    assert [fields(m, "Route") for m in sent] == [[path]]
    assert results(line.server) == [("completed", [200, 200])]
