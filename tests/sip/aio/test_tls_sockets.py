"""TLS on real sockets: certificates, names, sips: URIs (RFC 3261 section 26, RFC 5922)."""

import asyncio
import logging
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sip.aio.tls import client_context, server_context
from sip.events import Answered, Hungup, Invited, Refused
from tests.support.certificates import Authority, Issued
from tests.support.phone import Contexts, Phone, phones

NAME = "localhost"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def sound(authority: Authority) -> Issued:
    return authority.issue(NAME, "127.0.0.1", "::1")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever peers do, nothing is an error of ours."""
    yield
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == []


@asynccontextmanager
async def tls_phones(*contexts: Contexts, host: str = "127.0.0.1") -> AsyncIterator[list[Phone]]:
    async with phones(len(contexts)) as made:
        for phone, tls in zip(made, contexts, strict=True):
            await phone.listen("TLS", host, tls=tls)
        yield made


def contexts(issued: Issued, authority: Authority, **more: Any) -> Contexts:
    verify = more.pop("verify", True)
    server = server_context(issued.certificate, issued.key, authority.ca, **more)
    client = client_context(issued.certificate, issued.key, authority.ca, verify=verify)
    return server, client


def play(step: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(step())


@pytest.mark.parametrize("scheme", ["sip", "sips"])
@pytest.mark.parametrize("host", [NAME, "127.0.0.1"])
def test_a_call_over_tls(authority: Authority, sound: Issued, scheme: str, host: str) -> None:
    """Contact is sips: for a sips: call (sections 8.1.1.8, 12.1.1); all goes by one connection."""

    async def step() -> None:
        both = contexts(sound, authority)
        async with tls_phones(both, both) as (alice, bob):
            alice.call(bob.at(host, scheme))
            await alice.until(lambda: alice.saw(Answered))
            invited = next(event for event in bob.seen if isinstance(event, Invited))
            answered = next(event for event in alice.seen if isinstance(event, Answered))
            assert invited.request.via.transport == "TLS"
            for message in (invited.request, answered.response):
                contact = message.get("contact") or ""
                assert contact.startswith(f"<{scheme}:")
                assert (";transport=tls" in contact) is (scheme == "sip")
            answered.session.bye(alice.stack.now())
            alice.stack.pump()
            await bob.until(lambda: bob.saw(Hungup))
            assert len(bob.stream.connections) == 1

    play(step)


def test_over_ipv6(authority: Authority, sound: Issued) -> None:
    async def step() -> None:
        both = contexts(sound, authority)
        async with tls_phones(both, both, host="::1") as (alice, bob):
            alice.call(bob.at("::1", "sips"))
            await alice.until(lambda: alice.saw(Answered))

    play(step)


async def refused(alice: Phone, uri: str) -> int:
    alice.call(uri)
    await alice.until(lambda: alice.saw(Refused))
    return next(event.status for event in alice.seen if isinstance(event, Refused))


@pytest.mark.parametrize(
    "names",
    [
        ("other.example",),
        ("*.example",),
        ("sip:bob@localhost",),
        ("sips:localhost",),
        ("127.0.0.2",),
    ],
)
def test_a_certificate_of_somebody_else(
    authority: Authority, sound: Issued, names: tuple[str, ...]
) -> None:
    """RFC 5922 section 7: 503, and nothing of the request was sent."""

    async def step() -> None:
        theirs = authority.issue(*names, common_name=NAME)
        async with tls_phones(contexts(sound, authority), contexts(theirs, authority)) as phones:
            alice, bob = phones
            assert await refused(alice, bob.at(NAME)) == 503
            assert bob.seen == []

    play(step)


@pytest.mark.parametrize("names", [(), ("sip:localhost",), ("sip:localhost", "a.example")])
def test_a_certificate_for_the_domain(
    authority: Authority, sound: Issued, names: tuple[str, ...]
) -> None:
    """By the common name where nothing else is there, or by a SIP URI."""

    async def step() -> None:
        theirs = authority.issue(*names, common_name=NAME, file=f"named{len(names)}")
        async with tls_phones(contexts(sound, authority), contexts(theirs, authority)) as phones:
            alice, bob = phones
            alice.call(bob.at(NAME))
            await alice.until(lambda: alice.saw(Answered))

    play(step)


def test_an_unknown_authority(authority: Authority, sound: Issued, tmp_path: Any) -> None:
    async def step() -> None:
        theirs = Authority(tmp_path).issue(NAME)
        async with tls_phones(contexts(sound, authority), contexts(theirs, authority)) as phones:
            alice, bob = phones
            assert await refused(alice, bob.at(NAME)) == 503

    play(step)


def test_without_verification_anybody_will_do(
    authority: Authority, sound: Issued, tmp_path: Any
) -> None:
    async def step() -> None:
        theirs = Authority(tmp_path).issue("other.example", expired=True)
        ours = contexts(sound, authority, verify=False)
        async with tls_phones(ours, contexts(theirs, authority)) as (alice, bob):
            alice.call(bob.at(NAME))
            await alice.until(lambda: alice.saw(Answered))

    play(step)


def test_the_name_called_is_sent_as_sni(authority: Authority, sound: Issued) -> None:
    """RFC 6066 section 3: the domain, never an address."""

    async def step() -> None:
        asked: list[str | None] = []
        server, client = contexts(sound, authority)
        server.sni_callback = lambda _socket, name, _context: asked.append(name)
        async with tls_phones(contexts(sound, authority), (server, client)) as (alice, bob):
            for host in (NAME, "127.0.0.1"):
                alice.call(bob.at(host))
                await alice.until(lambda: alice.saw(Answered))
                alice.seen.clear()
        assert asked[0] == NAME
        assert set(asked) <= {NAME, None}

    play(step)


def test_a_connection_for_one_name_is_not_used_for_another(
    authority: Authority, sound: Issued
) -> None:
    """Both names lead to one address; the certificate is for one of them."""

    async def step() -> None:
        theirs = authority.issue(NAME, file="only-localhost")
        async with tls_phones(contexts(sound, authority), contexts(theirs, authority)) as phones:
            alice, bob = phones
            alice.call(bob.at(NAME))
            await alice.until(lambda: alice.saw(Answered))
            assert await refused(alice, bob.at("127.0.0.1")) == 503

    play(step)


@pytest.mark.parametrize("clients", ["ask", "require"])
def test_client_certificates(authority: Authority, sound: Issued, clients: Any) -> None:
    async def step() -> None:
        strict = contexts(sound, authority, clients=clients)
        anonymous = (strict[0], client_context(ca=authority.ca))
        async with tls_phones(strict, anonymous, strict) as (known, unknown, bob):
            known.call(bob.at(NAME))
            await known.until(lambda: known.saw(Answered))
            unknown.call(bob.at(NAME))
            await unknown.until(lambda: unknown.saw(Answered) or unknown.saw(Refused))
            assert unknown.saw(Answered) is (clients == "ask")

    play(step)


def test_who_runs_it_may_read_along(
    authority: Authority, sound: Issued, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wireshark takes the file that SSLKEYLOGFILE names; without it there is none."""
    for context in contexts(sound, authority):
        assert context.keylog_filename is None
    keys = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))

    async def step() -> None:
        both = contexts(sound, authority)
        async with tls_phones(both, both) as (alice, bob):
            alice.call(bob.at(NAME))
            await alice.until(lambda: alice.saw(Answered))

    play(step)
    assert "TRAFFIC_SECRET" in keys.read_text()


def test_old_tls_is_refused(authority: Authority, sound: Issued) -> None:
    """RFC 8996; and a port scan in plain text does no harm."""

    async def step() -> None:
        async with tls_phones(contexts(sound, authority)) as (bob,):
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname = False
            old.verify_mode = ssl.CERT_NONE
            old.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings(action="ignore"):
                old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
                old.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", bob.listener.port, ssl=old)
            reader, writer = await asyncio.open_connection("127.0.0.1", bob.listener.port)
            writer.write(b"OPTIONS sip:b@c SIP/2.0\r\n\r\n")
            await reader.read()
            writer.close()
            alice = Phone()
            try:
                await alice.listen("TLS", tls=contexts(sound, authority))
                alice.call(bob.at(NAME))
                await alice.until(lambda: alice.saw(Answered))
            finally:
                alice.stack.close()

    play(step)


def test_a_peer_without_tls_is_a_transport_error(authority: Authority, sound: Issued) -> None:
    async def step() -> None:
        with socket.create_server(("127.0.0.1", 0)) as plain:
            async with tls_phones(contexts(sound, authority)) as (alice,):
                port = plain.getsockname()[1]
                accepted = asyncio.get_running_loop().run_in_executor(None, plain.accept)
                uri = f"sips:b@127.0.0.1:{port}"
                alice.call(uri)
                peer, _ = await accepted
                peer.sendall(b"SIP/2.0 200 OK\r\n\r\n")
                peer.close()
                await alice.until(lambda: alice.saw(Refused))

    play(step)
