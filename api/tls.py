"""HTTPS without preparation: a self-signed certificate, made once and kept.

Put your own certificate chain and key (PEM) in place of the two files to use those.
"""

import ipaddress
import socket
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from api.files import read_private, write_private

CERTIFICATE_FILE: Final = "api-certificate.pem"
KEY_FILE: Final = "api-key.pem"

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption. Those of TLS 1.3 all have both."""

_LIFETIME: Final = timedelta(days=825)
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def server_context(data_dir: Path, names: Iterable[str] = ()) -> ssl.SSLContext:
    """TLS 1.2 or later with the certificate in `data_dir`.

    Made first if there is none yet, or the one we made has expired: for localhost, its
    addresses, this machine's name and `names`. ssl.SSLError or ValueError when the files
    are unusable.
    """
    certificate, key = data_dir / CERTIFICATE_FILE, data_dir / KEY_FILE
    if read_private(key) is None or not _usable(certificate):
        make_certificate(certificate, key, names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    return context


def _usable(path: Path) -> bool:
    """Whether to keep the certificate: one of others' making stays whatever its age."""
    if not path.exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    ours = certificate.issuer == certificate.subject == _subject()
    return not ours or certificate.not_valid_after_utc > datetime.now(UTC)


def _subject() -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "callsim")])


def make_certificate(certificate: Path, key: Path, names: Iterable[str] = ()) -> None:
    """Write a self-signed certificate and its key, mode 0600."""
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key()
    hosts = dict.fromkeys([*_LOCAL, socket.gethostname(), *names])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject())
        .issuer_name(_subject())
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False)
    )
    signed = builder.sign(private, hashes.SHA256())
    pem = serialization.Encoding.PEM
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    write_private(key, private.private_bytes(pem, pkcs8, plain))
    write_private(certificate, signed.public_bytes(pem))
    certificate.chmod(0o644)


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
