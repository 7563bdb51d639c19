import socket
import ssl
import stat
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
