"""Certificates for tests: an authority, and what it signs for domains and addresses."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_PEM = serialization.Encoding.PEM
_PKCS8 = serialization.PrivateFormat.PKCS8


def private_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes = b"") -> bytes:
    """A key in PEM."""
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        protection = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(_PEM, _PKCS8, protection)


def general_name(text: str) -> x509.GeneralName:
    """``sip:...`` as URI, an address as such, anything else as DNS name."""
    if text.partition(":")[0] in ("sip", "sips", "https"):
        return x509.UniformResourceIdentifier(text)
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


@dataclass
class Issued:
    """A certificate in `directory`, with its key."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates; its own is the file `ca`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = directory / "ca.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Authority")])
        signed = self._sign(self._name, self._key, None, is_ca=True, expired=False)
        self.ca.write_bytes(signed.public_bytes(_PEM))

    def issue(
        self, *names: str, common_name: str = "test", file: str = "", expired: bool = False
    ) -> Issued:
        """A certificate for `names`; without any it has only a common name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        signed = self._sign(subject, key, names, is_ca=False, expired=expired)
        stem = file or (names[0] if names else common_name)
        stem = "".join(c if c.isalnum() else "-" for c in stem)
        made = Issued(self.directory / f"{stem}.pem", self.directory / f"{stem}.key")
        made.certificate.write_bytes(signed.public_bytes(_PEM))
        made.key.write_bytes(private_pem(key))
        return made

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        names: Sequence[str] | None,
        *,
        is_ca: bool,
        expired: bool,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        public = key.public_key()
        own = self._key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=-1 if expired else 30))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own), False)
        )
        if is_ca:
            usage = [False] * 9
            usage[5] = usage[6] = True  # keyCertSign, cRLSign
            builder = builder.add_extension(x509.KeyUsage(*usage), True)
        else:
            purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), False)
        if names:
            found = x509.SubjectAlternativeName([general_name(name) for name in names])
            builder = builder.add_extension(found, False)
        return builder.sign(self._key, hashes.SHA256())
