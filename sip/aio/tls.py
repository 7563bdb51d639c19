"""TLS contexts for SIP: 1.2 or later, ciphers with forward secrecy (RFC 8996, RFC 9325)."""

import os
import ssl
from pathlib import Path
from typing import Final, Literal

ClientCertificates = Literal["ignore", "ask", "require"]

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_VERIFY: Final = {
    "ignore": ssl.CERT_NONE,
    "ask": ssl.CERT_OPTIONAL,
    "require": ssl.CERT_REQUIRED,
}


def server_context(
    certificate: Path,
    key: Path | None = None,
    ca: Path | None = None,
    clients: ClientCertificates = "ignore",
) -> ssl.SSLContext:
    """What connections are accepted with; files are PEM.

    `key` may stand in the file of the certificate chain. `ca` verifies the certificates of
    clients (None: the system's authorities). Raises OSError, ssl.SSLError among them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    _load(context, certificate, key)
    context.verify_mode = _VERIFY[clients]
    if clients != "ignore":
        _load_authorities(context, ca)
    return context


def client_context(
    certificate: Path | None = None,
    key: Path | None = None,
    ca: Path | None = None,
    *,
    verify: bool = True,
) -> ssl.SSLContext:
    """What connections are opened with; the certificate is shown to servers that ask.

    Who the server is, `sip.identity` decides: the rules of HTTPS are not those of SIP
    (RFC 5922 section 7). Raises OSError, ssl.SSLError among them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    context.check_hostname = False
    if certificate is not None:
        _load(context, certificate, key)
    if verify:
        _load_authorities(context, ca)
    else:
        context.verify_mode = ssl.CERT_NONE
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    # Whoever runs the process may read along, as with curl and browsers: Wireshark takes the file.
    if keys := os.environ.get("SSLKEYLOGFILE"):
        context.keylog_filename = keys


def _load(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    # A key that wants a passphrase is an error: nobody is there to type one.
    context.load_cert_chain(certificate, key, password=lambda: "")


def _load_authorities(context: ssl.SSLContext, ca: Path | None) -> None:
    if ca is not None:
        context.load_verify_locations(ca)
    else:
        context.load_default_certs()
