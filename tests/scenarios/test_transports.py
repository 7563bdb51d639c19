"""Calls through a real server by UDP, TCP and TLS, IPv4 and IPv6, to where the DNS says."""

import asyncio
import shutil
import ssl
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from scenarios.capture import Capture
from scenarios.runner import free_port
from scenarios.server import ServerProcess
from sip.aio.tls import client_context, server_context
from sip.events import Acknowledged, Answered, Closed, Hungup, Invited
from sip.transport import host_port
from tests.support.certificates import Authority, Issued
from tests.support.dns_server import dns_server
from tests.support.phone import ANSWER, Contexts, Phone, phones
from tests.support.traces import check_alike, decoded, traces

HOSTS = ("127.0.0.1", "::1")
TRANSPORTS = ("UDP", "TCP", "TLS")


class Pki:
    """An authority, the server's certificate, and the phones' contexts."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        self.server: Issued = self.authority.issue("localhost", *HOSTS)
        self.phone: Issued = self.authority.issue("sip:example.com", *HOSTS)

    @property
    def contexts(self) -> Contexts:
        files = (self.phone.certificate, self.phone.key, self.authority.ca)
        return server_context(*files), client_context(*files)

    def settings(self, **more: object) -> dict[str, object]:
        named = {"certificate": self.server.certificate, "key": self.server.key}
        named["ca"] = self.authority.ca
        return {f"sip.tls.{name}": value for name, value in {**named, **more}.items()}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@asynccontextmanager
async def serving(
    directory: Path,
    listen: Sequence[str],
    route: str,
    settings: dict[str, object],
) -> AsyncIterator[ServerProcess]:
    """A server beside the loop of the test; 2000 leads to `route`."""
    options = [part for one in listen for part in ("--sip", one)]
    server = await asyncio.to_thread(
        ServerProcess, directory, routes={"2>": route}, settings=settings, options=options
    )
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


def number(server: ServerProcess, transport: str, scheme: str = "sip") -> str:
    """The URI of 2000 at the server by a transport."""
    place = host_port(*server.listeners[transport.lower()])
    parameter = f";transport={transport.lower()}" if scheme == "sip" else ""
    return f"{scheme}:2000@{place}{parameter}"


async def whole_call(caller: Phone, callee: Phone, uri: str) -> Invited:
    """From INVITE to the end of BYE on both sides; what the callee got."""
    session = caller.call(uri)
    await callee.sees(Acknowledged)
    await caller.sees(Answered)
    session.bye(caller.stack.now())
    caller.stack.pump()
    await caller.sees(Closed)
    await callee.sees(Hungup)
    return next(event for event in callee.seen if isinstance(event, Invited))


def completed(server: ServerProcess) -> int:
    return sum(cdr.call_result == "completed" for cdr in server.cdrs())


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_call_by_each_transport_and_family(
    tmp_path: Path, pki: Pki, host: str, transport: str
) -> None:
    """RFC 3261 section 18, RFC 5118: in and out by the same, both legs."""

    async def play() -> None:
        async with phones(2) as (caller, callee):
            for phone in (caller, callee):
                tls = pki.contexts if transport == "TLS" else None
                await phone.listen(transport, host, tls=tls)
            usual = (transport, host) == ("UDP", "127.0.0.1")  # what a server of tests has anyway
            listen = [] if usual else [f"{transport.lower()}:{host_port(host, 0)}"]
            settings = pki.settings() if transport == "TLS" else {}
            async with serving(tmp_path / "s", listen, callee.uri, settings) as server:
                invited = await whole_call(caller, callee, number(server, transport))
                request = invited.request
                place = host_port(*server.listeners[transport.lower()])
                assert request.top_via.startswith(f"SIP/2.0/{transport} {place};")
                assert place in (request.get("contact") or "")
                await asyncio.to_thread(server.wait_until_idle)
                assert completed(server) == 1

    asyncio.run(play())


def test_sips_on_both_legs(tmp_path: Path, pki: Pki) -> None:
    """A sips: call stays on TLS, with client certificates required (RFC 3261 section 26)."""

    async def play() -> None:
        async with phones(2) as (caller, callee):
            for phone in (caller, callee):
                await phone.listen("TLS", tls=pki.contexts)
            route = callee.at("127.0.0.1", "sips")
            settings = pki.settings(clients="require")
            listen = ["tls:127.0.0.1:0"]
            async with serving(tmp_path / "s", listen, route, settings) as server:
                invited = await whole_call(caller, callee, number(server, "TLS", "sips"))
                assert (invited.request.get("contact") or "").startswith("<sips:")
                answered = next(e for e in caller.seen if isinstance(e, Answered))
                assert (answered.response.get("contact") or "").startswith("<sips:")

    asyncio.run(play())


def test_between_transports_and_families(tmp_path: Path, pki: Pki) -> None:
    """A caller on UDP and IPv6, a callee on TLS and IPv4."""

    async def play() -> None:
        async with phones(2) as (caller, callee):
            await caller.listen("UDP", "::1")
            await callee.listen("TLS", tls=pki.contexts)
            listen = ["udp:[::1]:0", "tls:127.0.0.1:0"]
            async with serving(tmp_path / "s", listen, callee.uri, pki.settings()) as server:
                await whole_call(caller, callee, number(server, "UDP"))

    asyncio.run(play())


def test_a_server_without_the_right_certificate_is_not_called(tmp_path: Path, pki: Pki) -> None:
    """RFC 5922: its certificate is for example.com and for addresses, not for localhost."""

    async def play() -> None:
        async with phones(2) as (caller, callee):
            await caller.listen("UDP")
            await callee.listen("TLS", tls=pki.contexts)
            route = callee.at("localhost")
            listen = ["tls:127.0.0.1:0"]
            async with serving(tmp_path / "s", listen, route, pki.settings()) as server:
                caller.call(number(server, "UDP"))
                assert await caller.refusal() >= 500
                assert callee.seen == []

    asyncio.run(play())


@pytest.mark.parametrize("host", HOSTS)
def test_the_servers_own_description_has_the_family_of_its_caller(
    tmp_path: Path, host: str
) -> None:
    """RFC 8866 section 5.7: number 5000 is answered by the server itself."""

    async def play() -> None:
        async with phones(1) as (caller,):
            await caller.listen("TCP", host)
            listen = [f"tcp:{host_port(host, 0)}"]
            async with serving(tmp_path / "s", listen, "sip:127.0.0.1:9", {}) as server:
                uri = number(server, "TCP").replace("2000", "5000")
                session = caller.call(uri, ANSWER)
                await caller.sees(Answered)
                answered = next(e for e in caller.seen if isinstance(e, Answered))
                family = "IP6" if ":" in host else "IP4"
                assert f"c=IN {family} {host}\r\n".encode() in answered.response.body
                session.bye(caller.stack.now())
                caller.stack.pump()
                await caller.sees(Closed)

    asyncio.run(play())


# RFC 3263, with a DNS server of the test's own.

ADDRESS = "one 60 IN A 127.0.0.1\ntwo 60 IN A 127.0.0.1\n"


@pytest.mark.parametrize("fault", ["503", "refused", "silent"])
def test_the_next_server_is_called_when_one_fails(tmp_path: Path, pki: Pki, fault: str) -> None:
    """RFC 3263 section 4.3: a 503, a connection refused, no answer at all."""

    async def play() -> None:
        async with phones(3) as (caller, bad, good):
            bad.status = 503
            transport = "UDP" if fault == "silent" else "TCP"
            for phone in (caller, bad, good):
                await phone.listen(transport)
            if fault == "refused":
                bad.stream.close()
            elif fault == "silent":
                bad.stack.close()
            service = f"_sip._{transport.lower()}"
            zone = ADDRESS + (
                f"{service} 60 IN SRV 1 0 {bad.listener.port} one\n"
                f"{service} 60 IN SRV 2 0 {good.listener.port} two\n"
            )
            settings = {"sip.t1": 0.02, "sip.t2": 0.1}
            async with dns_server(zone) as names:
                nameserver = host_port(*names.address)
                async with serving(
                    tmp_path / "s",
                    [f"{transport.lower()}:127.0.0.1:0"],
                    "sip:example.com",
                    {**settings, "sip.nameservers": nameserver},
                ) as server:
                    await whole_call(caller, good, number(server, transport))
                    assert bad.saw(Invited) is (fault == "503")
                    asked = set(names.asked)
                    assert ("example.com", "NAPTR") in asked
                    assert (f"{service}.example.com", "SRV") in asked

    asyncio.run(play())


def test_naptr_leads_to_tls(tmp_path: Path, pki: Pki) -> None:
    """NAPTR to SRV to A, and the certificate of the domain, not of the host (RFC 5922)."""

    async def play() -> None:
        async with phones(2) as (caller, callee):
            await caller.listen("UDP")
            await callee.listen("TLS", tls=pki.contexts)
            zone = ADDRESS + (
                '@ 60 IN NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp\n'
                f"_sips._tcp 60 IN SRV 1 0 {callee.listener.port} one\n"
            )
            async with dns_server(zone) as names:
                settings = pki.settings() | {"sip.nameservers": host_port(*names.address)}
                async with serving(
                    tmp_path / "s", ["tls:127.0.0.1:0"], "sip:example.com", settings
                ) as server:
                    invited = await whole_call(caller, callee, number(server, "UDP"))
                    assert invited.request.via.transport == "TLS"
                    assert "transport=tls" in (invited.request.get("contact") or "")

    asyncio.run(play())


def test_certificates_are_checked_before_the_start(tmp_path: Path, pki: Pki) -> None:
    """The mistake is told by its key, and nothing starts."""
    other = pki.authority.issue("other.example")
    settings = pki.settings(key=other.key)
    with pytest.raises(Exception, match=r"sip\.tls\.key: .* is not the key of the certificate"):
        ServerProcess(tmp_path / "s", settings=settings)


def test_tls_alone_has_its_default_port(pki: Pki) -> None:
    from simulator.config_sip import SipSection, TlsSection

    tls = TlsSection(certificate=pki.server.certificate, key=pki.server.key)
    addresses = SipSection(tls=tls).addresses()
    assert [str(one) for one in addresses][-1] == "tls:0.0.0.0:5061"


def test_the_contexts_of_phones_are_strict(pki: Pki) -> None:
    server, client = pki.contexts
    for context in (server, client):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert {cipher["kea"] for cipher in context.get_ciphers()} <= {"kx-ecdhe", "kx-any"}


# Strangers.


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("mode", ["u1", "t1", "tn"])
def test_sipp_by_each_family(tmp_path: Path, host: str, mode: str) -> None:
    """SIPp's own caller, over one socket or one connection for each call."""
    transport = "udp" if mode == "u1" else "tcp"
    options = ["--sip", f"{transport}:{host_port(host, 0)}"]
    with ServerProcess(tmp_path / "s", options=options) as server:
        place = host_port(*server.listeners[transport])
        ours = ["-i", f"[{host}]" if ":" in host else host]
        command = ["sipp", "-sn", "uac", "-s", "5000", "-m", "10", "-d", "100", "-t", mode, *ours]
        limits = ["-timeout", "20", "-timeout_error", "-nostdin", "-max_socket", "64"]
        done = subprocess.run(
            [*command, *limits, place],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        server.wait_until_idle()
        assert completed(server) == 10


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_openssl_asks_for_options(tmp_path: Path, pki: Pki, version: str) -> None:
    """Its verdict on chain and name, with a client certificate; then SIP over that."""
    options = ["--sip", "tls:127.0.0.1:0"]
    settings = pki.settings(clients="require")
    with ServerProcess(tmp_path / "s", settings=settings, options=options) as server:
        place = host_port(*server.listeners["tls"])
        files = ["-cert", str(pki.phone.certificate), "-key", str(pki.phone.key)]
        files += ["-CAfile", str(pki.authority.ca)]
        names = ["-servername", "localhost", "-verify_hostname", "localhost"]
        command = ["openssl", "s_client", "-connect", place, f"-{version}", *files, *names]
        with subprocess.Popen(
            [*command, "-verify_return_error", "-quiet"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            try:
                client.stdin.write(
                    f"OPTIONS sips:{place} SIP/2.0\r\n"
                    "Via: SIP/2.0/TLS 127.0.0.1:1;branch=z9hG4bKo\r\nMax-Forwards: 70\r\n"
                    f"From: <sip:o@localhost>;tag=1\r\nTo: <sips:{place}>\r\nCall-ID: o\r\n"
                    "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n".encode()
                )
                client.stdin.flush()
                assert client.stdout.readline() == b"SIP/2.0 200 OK\r\n"
            finally:
                client.kill()


def test_traces_of_streams_say_what_tshark_has_captured(
    tmp_path: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What TLS carries too: tshark has the keys, our capture is decrypted."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "tls-keys"))
    ports = {transport: free_port() for transport in ("TCP", "TLS")}

    async def play(server: ServerProcess) -> None:
        async with phones(4) as made:
            places = (("TCP", 0), ("TCP", ports["TCP"]), ("TLS", 0), ("TLS", ports["TLS"]))
            for phone, (transport, port) in zip(made, places, strict=True):
                tls = pki.contexts if transport == "TLS" else None
                await phone.listen(transport, port=port, tls=tls)
            await whole_call(made[0], made[1], number(server, "TCP"))
            await whole_call(made[2], made[3], number(server, "TLS").replace("2000", "3000"))

    routes = {
        f"{digit}>": f"sip:phone@127.0.0.1:{port};transport={transport.lower()}"
        for digit, (transport, port) in zip("23", ports.items(), strict=True)
    }
    options = ["--sip", "tcp:127.0.0.1:0", "--sip", "tls:127.0.0.1:0"]
    with ServerProcess(
        tmp_path / "s", routes=routes, settings=pki.settings(), options=options
    ) as server:
        plain, secret = (
            [server.listeners[transport.lower()][1], ports[transport]] for transport in ports
        )
        wire = Capture(tmp_path / "capture", plain, secret)
        try:
            asyncio.run(play(server))
            server.wait_until_idle()
            found = wire.messages()
            captures = traces(server, found)
        finally:
            wire.close()
    assert Counter(message.transport for message in found) == {"tcp": 11, "tls": 11}
    check_alike("TCP and TLS", found, decoded(tmp_path, captures))
