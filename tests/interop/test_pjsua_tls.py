"""PJSIP over TLS: each side checks the other's certificate; tshark reads along."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import ExchangeFactory, PhoneFactory
from tests.interop.exchange import names, results
from tests.support.certificates import Authority, Issued

WHOLE_CALL = ["INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]


@dataclass
class Pki:
    """One authority, and certificates for this machine by it and by somebody else."""

    authority: Authority
    server: Issued
    phone: Issued
    stranger: Issued

    def settings(self, **more: object) -> dict[str, object]:
        """The server's."""
        files = {"certificate": self.server.certificate, "key": self.server.key}
        whole: dict[str, object] = {**files, "ca": self.authority.ca, **more}
        return {f"sip.tls.{name}": value for name, value in whole.items()}

    def of_phone(self, issued: Issued | None = None) -> dict[str, Any]:
        """Those of a phone."""
        own = issued or self.phone
        files = {"authority": self.authority.ca, "certificate": own.certificate, "key": own.key}
        return {name: str(file) for name, file in files.items()}


@pytest.fixture
def pki(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pki:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "tls-keys"))
    (tmp_path / "pki").mkdir()
    (tmp_path / "elsewhere").mkdir()
    authority, other = Authority(tmp_path / "pki"), Authority(tmp_path / "elsewhere")
    server, phone = (authority.issue("127.0.0.1", file=name) for name in ("server", "phone"))
    return Pki(authority, server, phone, other.issue("127.0.0.1"))


@pytest.mark.parametrize("clients", ["ignore", "require"])
def test_a_call_over_tls(
    phones: PhoneFactory, exchange: ExchangeFactory, pki: Pki, clients: str
) -> None:
    """RFC 3261 26.3, RFC 5922 7: calls in and out, hold, and the BYE of either side."""
    alice = phones("1000", "tls", **pki.of_phone())
    bob = phones("2000", "tls", **pki.of_phone())
    line = exchange(bob, transports=["tls"], settings=pki.settings(clients=clients))
    call, other = line.connect(alice, bob)
    bob.do("hold", call=other)
    alice.wait("media", status="remote hold")
    bob.wait("media", status="local hold")
    bob.do("resume", call=other)
    alice.wait("media", status="active")
    line.hang_up(alice, call, bob)
    messages = line.finish()
    assert {m.transport for m in messages} == {"tls"}
    for call_id in {m.call_id for m in messages}:
        said = names([m for m in messages if m.call_id == call_id])
        assert said == [*WHOLE_CALL[:3] * 3, *WHOLE_CALL[3:]]
    assert all(" SIP/2.0/TLS " in f" {m.header('Via')}" for m in messages)
    assert results(line.server) == [("completed", [200, 200])]


@pytest.mark.parametrize(("inside", "outside"), [("udp", "tls"), ("tls", "udp"), ("tls", "tcp")])
def test_transports_mix(
    phones: PhoneFactory, exchange: ExchangeFactory, pki: Pki, inside: str, outside: str
) -> None:
    """RFC 3261 18: one leg over TLS, the other not."""
    settings = {"1000": pki.of_phone(), "2000": pki.of_phone()}
    alice = phones("1000", outside, **(settings["1000"] if outside == "tls" else {}))
    bob = phones("2000", inside, **(settings["2000"] if inside == "tls" else {}))
    line = exchange(bob, transports=["tcp", "tls"], settings=pki.settings())
    call, _ = line.connect(alice, bob)
    line.hang_up(alice, call, bob)
    messages = line.finish()
    assert {m.transport for m in messages} == {inside, outside}
    assert results(line.server) == [("completed", [200, 200])]


def test_a_phone_that_nobody_vouches_for(
    phones: PhoneFactory, exchange: ExchangeFactory, pki: Pki
) -> None:
    """RFC 5922 7.3: a callee whose authority we do not trust is not called."""
    alice = phones("1000")
    bob = phones("2000", "tls", **pki.of_phone(pki.stranger))
    line = exchange(bob, transports=["tls"], settings=pki.settings())
    alice.call(line.server.sip, "2000")
    alice.wait("state", state="DISCONNECTED", code=503)
    messages = line.finish()
    assert {m.transport for m in messages} == {"udp"}


def test_a_server_that_nobody_vouches_for(
    phones: PhoneFactory, exchange: ExchangeFactory, pki: Pki
) -> None:
    """RFC 5922 7.2, the other way round: the phone turns our certificate down."""
    bob = phones("2000")
    settings = pki.settings(certificate=pki.stranger.certificate, key=pki.stranger.key)
    line = exchange(bob, transports=["tls"], settings=settings)
    alice = phones("1000", "tls", **pki.of_phone())
    alice.call(line.server.listeners["tls"], "2000")
    assert alice.wait("state", state="DISCONNECTED")["code"] in (502, 503)
    assert line.wire.messages() == []


@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize("asker", ["server", "caller"])
def test_refer_by_the_callers_own_connection(
    phones: PhoneFactory, exchange: ExchangeFactory, pki: Pki, transport: str, asker: str
) -> None:
    """RFC 5923, RFC 3515 2.4: REFER and NOTIFY go by the connection of the INVITE, either way."""
    files = pki.of_phone() if transport == "tls" else {}
    alice, carol = phones("1000", transport, **files), phones("3000", transport, **files)
    bob = phones("2000")
    line = exchange(bob, carol, transports=["tcp", "tls"], settings=pki.settings())
    call, other = line.connect(alice, bob)
    server = line.server.listeners[transport]
    if asker == "server":
        line.server.transfer(line.guid, "unused", label="rf3000")
        alice.wait("referred")
        alice.wait("state", call=call, state="DISCONNECTED")
        alice.wait_for_rtp(2)
        line.hang_up(alice, 2, carol)
    else:
        alice.do("transfer", call=call, uri=f"sip:3000@{server[0]}:{server[1]}")
        alice.wait("transfer", code=200, final=True)
        bob.wait_for_rtp(other)
        line.hang_up(bob, other, carol)
    messages = line.finish()
    invite = next(m for m in messages if m.name == "INVITE" and m.destination == server)
    asked = [m for m in messages if m.call_id == invite.call_id]
    assert {m.name for m in asked} >= {"REFER", "202 REFER", "NOTIFY", "200 NOTIFY"}
    assert {frozenset((m.source, m.destination)) for m in asked} == {
        frozenset((invite.source, server))
    }
    assert {m.transport for m in asked} == {transport}
