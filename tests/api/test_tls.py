import asyncio
import socket
import ssl
import stat
import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from api import tls
from api.tls import CERTIFICATE_FILE, KEY_FILE, server_context
from simulator.config_values import HttpListen
from tests.api.support import FakeCallServer, run, serving

HTTPS = HttpListen("https", "127.0.0.1", 0)


def trusting(certificate: Path, **changes: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate))
    for name, value in changes.items():
        setattr(context, name, value)
    return context


def names(certificate: Path) -> list[str]:
    read = x509.load_pem_x509_certificate(certificate.read_bytes())
    found = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(one.value) for one in found]


@run
async def test_https_is_trusted_by_who_trusts_the_certificate(tmp_path: Path) -> None:
    context = server_context(tmp_path)
    certificate = tmp_path / CERTIFICATE_FILE
    strict = ssl.VerifyFlags.VERIFY_X509_STRICT | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    async with serving(FakeCallServer(), HTTPS, tls=context) as client:
        port = client.address.port
        for host in ("127.0.0.1", "localhost"):
            for trust in (trusting(certificate), trusting(certificate, verify_flags=strict)):
                url = f"https://{host}:{port}/cvp/rest/health"
                assert (await client("get", url, ssl=trust)).status == 200
        reply = await client("get", "/cvp/rest/health", login=False, ssl=trusting(certificate))
        reply.error(401)


@run
async def test_tls_is_1_2_or_later(tmp_path: Path) -> None:
    context = server_context(tmp_path)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    old = trusting(tmp_path / CERTIFICATE_FILE, maximum_version=ssl.TLSVersion.TLSv1_2)
    async with serving(FakeCallServer(), HTTPS, tls=context) as client:
        assert (await client("get", "/livez", ssl=old)).status == 200


def test_the_certificate_is_made_once_and_its_key_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    server_context(folder, ["10.1.2.3", "lab.example"])
    certificate, key = folder / CERTIFICATE_FILE, folder / KEY_FILE
    made = certificate.read_bytes(), key.read_bytes()
    expected = {"localhost", "127.0.0.1", "::1", socket.gethostname(), "10.1.2.3", "lab.example"}
    assert set(names(certificate)) == expected
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    server_context(folder, ["other.example"])
    assert (certificate.read_bytes(), key.read_bytes()) == made


def test_an_expired_certificate_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_LIFETIME", timedelta(seconds=-1))
    server_context(tmp_path)
    monkeypatch.undo()
    server_context(tmp_path)
    certificate = x509.load_pem_x509_certificate((tmp_path / CERTIFICATE_FILE).read_bytes())
    assert certificate.not_valid_after_utc > datetime.now(UTC)


def test_a_certificate_of_someone_elses_making_stays(tmp_path: Path) -> None:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mine")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tls, "_subject", lambda: subject)
        patch.setattr(tls, "_LIFETIME", timedelta(seconds=-1))
        tls.make_certificate(tmp_path / CERTIFICATE_FILE, tmp_path / KEY_FILE)
    before = (tmp_path / CERTIFICATE_FILE).read_bytes()
    server_context(tmp_path)
    assert (tmp_path / CERTIFICATE_FILE).read_bytes() == before


def test_spoilt_files_are_an_error_and_stay(tmp_path: Path) -> None:
    server_context(tmp_path)
    (tmp_path / KEY_FILE).write_text("spoilt")
    with pytest.raises((ssl.SSLError, ValueError)):
        server_context(tmp_path)
    assert (tmp_path / KEY_FILE).read_text() == "spoilt"


def client_hello(version: int, *suites: int) -> bytes:
    """A ClientHello of this version at most (RFC 5246 section 7.4.1.2), with some extensions."""
    groups = struct.pack("!HHHH", 10, 4, 2, 0x17)  # secp256r1
    formats = struct.pack("!HHBB", 11, 2, 1, 0)
    schemes = struct.pack("!HHHHH", 13, 6, 4, 0x0403, 0x0203)  # ECDSA with SHA-256, SHA-1
    extensions = groups + formats + schemes
    listed = b"".join(struct.pack("!H", suite) for suite in suites)
    body = struct.pack("!H", version) + bytes(32) + b"\0"
    body += struct.pack("!H", len(listed)) + listed + b"\1\0"
    body += struct.pack("!H", len(extensions)) + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack("!H", len(message)) + message


ALERT, HANDSHAKE = 21, 22
PROTOCOL_VERSION, HANDSHAKE_FAILURE = 70, 40
GCM, CHACHA, CBC, CBC_SHA, RSA_GCM = 0xC02B, 0xCCA9, 0xC023, 0xC009, 0x009C


@pytest.mark.parametrize(
    ("version", "suites", "alert"),
    [
        (0x0303, [GCM], None),
        (0x0303, [CHACHA], None),
        (0x0303, [CBC, CBC_SHA, GCM], None),
        (0x0303, [CBC, CBC_SHA], HANDSHAKE_FAILURE),  # no authenticated encryption
        (0x0303, [RSA_GCM], HANDSHAKE_FAILURE),  # no forward secrecy
        (0x0302, [GCM, CBC_SHA], PROTOCOL_VERSION),  # TLS 1.1
        (0x0301, [GCM, CBC_SHA], PROTOCOL_VERSION),
        (0x0300, [CBC_SHA], HANDSHAKE_FAILURE),  # SSL 3 has no other alert for it
    ],
)
def test_what_is_old_is_refused(
    tmp_path: Path, version: int, suites: list[int], alert: int | None
) -> None:
    """By bytes: the library of the tests may refuse by itself what the server would take."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context(tmp_path).wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(client_hello(version, *suites))
    with suppress(ssl.SSLError):  # refused, or more is to come
        server.do_handshake()
    record = outgoing.read()
    answer = record[5:]
    if alert is not None:
        assert (record[0], answer[1]) == (ALERT, alert)
    else:
        assert (record[0], answer[0]) == (HANDSHAKE, 2)  # ServerHello
        chosen = 4 + 2 + 32 + 1 + answer[38]
        assert int.from_bytes(answer[chosen : chosen + 2], "big") in (GCM, CHACHA)


@run
async def test_tls_1_3_is_what_others_agree_on(tmp_path: Path) -> None:
    context = server_context(tmp_path)
    async with serving(FakeCallServer(), HTTPS, tls=context) as client:
        _, writer = await asyncio.open_connection(
            client.address.host, client.address.port, ssl=trusting(tmp_path / CERTIFICATE_FILE)
        )
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        writer.close()
        await writer.wait_closed()
    offered = {one["name"] for one in context.get_ciphers() if one["protocol"] == "TLSv1.2"}
    assert offered
    assert all(
        name.startswith("ECDHE-") and ("GCM" in name or "CHACHA20" in name) for name in offered
    )
