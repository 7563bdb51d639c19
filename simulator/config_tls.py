"""What is wrong with the files of SIP over TLS."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from simulator.config_sip import TlsSection

Fault = tuple[str, str]
"""A key of `TlsSection`, and what is wrong with its value and how to mend it."""


def faults(tls: TlsSection) -> Iterator[Fault]:
    """What keeps the files from being used."""
    if tls.key is not None and tls.certificate is None:
        yield "key", "needs sip.tls.certificate beside it"
    chain: list[x509.Certificate] = []
    if tls.certificate is not None:
        text = _read(tls.certificate)
        if isinstance(text, str):
            yield "certificate", text
        else:
            try:
                chain = x509.load_pem_x509_certificates(text)
            except ValueError:
                yield "certificate", f"{str(tls.certificate)!r} has no PEM certificate in it"
        if chain:
            yield from _key_faults(tls, chain[0])
            if chain[0].not_valid_after_utc < datetime.now(UTC):
                end = chain[0].not_valid_after_utc.date()
                yield "certificate", f"it expired on {end}; get a new one"
    if tls.ca is not None:
        text = _read(tls.ca)
        if isinstance(text, str):
            yield "ca", text
        else:
            try:
                x509.load_pem_x509_certificates(text)
            except ValueError:
                yield "ca", f"{str(tls.ca)!r} has no PEM certificate in it"


def _key_faults(tls: TlsSection, certificate: x509.Certificate) -> Iterator[Fault]:
    file = tls.key or tls.certificate
    assert file is not None
    text = _read(file)
    if isinstance(text, str):
        yield "key", text
        return
    try:
        key = serialization.load_pem_private_key(text, None)
    except TypeError:
        fix = "remove it (openssl pkey -in KEY -out NEW)"
        yield "key", f"{str(file)!r} is protected by a passphrase; {fix}"
    except ValueError:
        fix = "" if tls.key is not None else "; set sip.tls.key to the file that has it"
        yield "key", f"{str(file)!r} has no PEM private key in it{fix}"
    else:
        if key.public_key() != certificate.public_key():
            yield "key", f"{str(file)!r} is not the key of the certificate; give the one it is of"


def _read(file: Path) -> bytes | str:
    """The octets of a file, or what is wrong with it."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return f"there is no file {str(file)!r}"
    except OSError as error:
        return f"cannot read {str(file)!r}: {error.strerror}"
