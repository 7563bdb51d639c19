"""Passwords and log-ins: PJSIP answers our challenges, and registers as an agent."""

import pytest

from scenarios.server import ServerProcess
from tests.interop.conftest import ExchangeFactory, PhoneFactory
from tests.interop.exchange import between, names, results

USERS = {"sip.authentication.users": '["1000:wonder", "1001:secret"]'}


def domain(server: ServerProcess) -> str:
    return f"sip:{server.sip[0]}:{server.sip[1]}"


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_caller_is_asked(phones: PhoneFactory, exchange: ExchangeFactory, algorithm: str) -> None:
    """RFC 3261 22.2, RFC 7616, RFC 8760: 401, then the same INVITE with an answer."""
    alice, bob = phones("1000", password="wonder"), phones("2000")
    settings = {**USERS, "sip.authentication.algorithms": algorithm}
    line = exchange(bob, settings=settings)
    call, _ = line.connect(alice, bob)
    line.hang_up(alice, call, bob)
    messages = line.finish()
    said = names(between(messages, alice.address, line.server.sip))
    assert said == [
        *["INVITE", "401 INVITE", "ACK", "INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]
    ]
    answer = next(m.header("Authorization") for m in messages if m.header("Authorization"))
    assert f"algorithm={algorithm}" in answer.replace('"', "")
    assert "qop=auth" in answer.replace('"', "")
    assert results(line.server) == [("completed", [200, 200])]


def test_the_strongest_is_chosen(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 8760 2.4: of two challenges the phone answers the first that it knows."""
    alice, bob = phones("1000", password="wonder"), phones("2000")
    line = exchange(bob, settings=USERS)
    call, _ = line.connect(alice, bob)
    line.hang_up(alice, call, bob)
    answers = [m.header("Authorization") for m in line.finish() if m.header("Authorization")]
    assert all("SHA-256" in answer for answer in answers)


def test_a_wrong_password(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 3261 22.1: the call is refused, and no leg is placed."""
    alice, bob = phones("1000", password="guess"), phones("2000")
    line = exchange(bob, settings=USERS)
    alice.call(line.server.sip, "2000")
    alice.wait("state", state="DISCONNECTED", code=403)
    messages = line.finish()
    assert between(messages, bob.address, line.server.sip) == []
    assert results(line.server) == []


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_phone_logs_in_as_an_agent(
    phones: PhoneFactory, exchange: ExchangeFactory, transport: str
) -> None:
    """RFC 3261 10.2, 10.3, 22: REGISTER with digest; calls go there until it logs out."""
    alice = phones("1000", password="wonder")
    line = exchange(transports=["tcp"], settings=USERS, watched=[alice.address[1]])
    host, port = line.server.listeners[transport]
    ada = phones(
        *("1001", transport),
        uri=f"sip:1001@{host}",
        registrar=f"sip:{host}:{port};transport={transport}",
        password="secret",
    )
    ada.wait("registration", code=200, active=True)
    call = alice.call(line.server.sip, "6000")
    ada.wait("state", state="CONFIRMED")
    alice.wait("state", state="CONFIRMED")
    alice.wait_for_rtp(call)
    line.hang_up(alice, call, ada)
    ada.do("unregister")
    ada.wait("registration", code=200, active=False)
    alice.call(line.server.sip, "6000")
    alice.wait("state", state="DISCONNECTED", code=404)
    messages = line.finish()
    registering = [m for m in messages if m.method == "REGISTER"]
    assert {m.transport for m in registering} == {transport}
    assert results(line.server)[0] == ("completed", [200, 200])


def test_a_log_in_as_somebody_else(phones: PhoneFactory, exchange: ExchangeFactory) -> None:
    """RFC 3261 10.3 step 4: who knows the password of 1000 does not become 1001."""
    line = exchange(settings=USERS)
    host, port = line.server.sip
    eve = phones("1000", uri=f"sip:1001@{host}", registrar=f"sip:{host}:{port}", password="wonder")
    eve.wait("registration", code=403, active=False)
    assert "403 REGISTER" in names(line.finish())
