"""What is wrong with certificate files is told with field and fix, before anything starts."""

import asyncio
import ssl
from pathlib import Path

import pytest

from simulator.config import Config
from simulator.config_sip import TlsSection
from simulator.config_tls import faults
from simulator.errors import ServiceError
from simulator.service import call_server, tls_contexts
from tests.support.certificates import Authority, Issued, private_pem


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def issued(authority: Authority) -> Issued:
    return authority.issue("lab.example")


def section(**values: object) -> TlsSection:
    return TlsSection.model_validate(values)


def found(**values: object) -> list[str]:
    return [f"{name}: {fault}" for name, fault in faults(section(**values))]


def test_sound_files(authority: Authority, issued: Issued, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(issued.certificate.read_bytes() + issued.key.read_bytes())
    assert found() == []
    assert found(certificate=both) == []
    assert found(certificate=issued.certificate, key=issued.key, ca=authority.ca) == []


def test_servers_are_verified_unless_told_otherwise(issued: Issued) -> None:
    files = {"certificate": issued.certificate, "key": issued.key}
    for values, mode in (({}, ssl.CERT_REQUIRED), ({"verify": False}, ssl.CERT_NONE)):
        _, opening = tls_contexts(section(**files, **values))
        assert opening.verify_mode == mode


def test_a_key_of_another_certificate(authority: Authority, issued: Issued) -> None:
    other = authority.issue("other.example")
    (fault,) = found(certificate=issued.certificate, key=other.key)
    assert fault.startswith("key: ")
    assert "is not the key of the certificate" in fault


def test_a_key_with_a_passphrase(authority: Authority, issued: Issued, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    file = tmp_path / "locked.key"
    file.write_bytes(private_pem(ec.generate_private_key(ec.SECP256R1()), b"secret"))
    (fault,) = found(certificate=issued.certificate, key=file)
    assert "passphrase" in fault
    assert "openssl pkey" in fault


def test_files_without_what_they_should_have(issued: Issued, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    assert "no PEM certificate" in found(certificate=empty)[0]
    assert "no PEM private key" in found(certificate=issued.certificate)[0]
    assert "no PEM certificate" in found(ca=empty)[0]
    missing = tmp_path / "missing.pem"
    for name in ("certificate", "ca"):
        assert found(**{name: missing}) == [f"{name}: there is no file {str(missing)!r}"]
    assert "there is no file" in found(certificate=issued.certificate, key=missing)[0]
    assert "cannot read" in found(certificate=tmp_path)[0]


def test_a_key_alone(issued: Issued) -> None:
    assert found(key=issued.key) == ["key: needs sip.tls.certificate beside it"]


def test_an_expired_certificate(authority: Authority) -> None:
    old = authority.issue("old.example", expired=True)
    (fault,) = found(certificate=old.certificate, key=old.key)
    assert fault.startswith("certificate: it expired on ")


def test_the_server_does_not_start_without(tmp_path: Path) -> None:
    """What was sound when the configuration was read may be gone since."""
    config = Config.builtin()
    changed = {
        "server": config.server.model_copy(update={"data_dir": tmp_path}),
        "lab": config.lab.model_copy(update={"embedded": False}),
        "sip": config.sip.model_validate({"listen": ["tls:127.0.0.1:0"]}),
    }

    async def start() -> None:
        async with call_server(config.model_copy(update=changed)):
            raise AssertionError("it started")

    with pytest.raises(ServiceError, match=r"sip\.tls\.certificate"):
        asyncio.run(start())
