"""Whose certificate it is: SIP domain identities of a peer (RFC 5922 section 7).

A certificate is the mapping that `ssl.SSLSocket.getpeercert` gives: its chain has been
verified, what is left is whether it speaks for the domain that was called.
"""

from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address
from typing import Any

from sip.errors import ParseError
from sip.grammar import is_ipv6
from sip.uri import SipUri, parse_uri

Certificate = Mapping[str, Any]


def identities(certificate: Certificate) -> tuple[str, ...]:
    """The SIP domains that a certificate speaks for, in lower case (section 7.1).

    Those of its ``sip:`` URIs, or only without any its DNS names; its IP addresses, of which
    the RFC says nothing; and the common name only in a certificate without a subjectAltName.
    """
    names: tuple[tuple[str, str], ...] = certificate.get("subjectAltName", ())
    if names:
        uris = [host for kind, value in names if kind == "URI" for host in _uri_domain(value)]
        named = uris or [_plain(value.lower()) for kind, value in names if kind == "DNS"]
        addresses = [_plain(value.lower()) for kind, value in names if kind == "IP Address"]
        return tuple(dict.fromkeys([*named, *addresses]))
    subject = certificate.get("subject", ())
    return tuple(
        _plain(value.lower())
        for attributes in subject
        for name, value in attributes
        if name == "commonName"
    )


def speaks_for(certificate: Certificate, domain: str) -> bool:
    """Whether a certificate bears `domain`: the whole name in any case, no wildcard (7.2)."""
    return _plain(domain.lower()) in identities(certificate)


def _uri_domain(value: str) -> Iterator[str]:
    """The host of a ``sip:`` URI without user part; others name no domain (section 7.1)."""
    try:
        uri = parse_uri(value)
    except ParseError:
        return
    if isinstance(uri, SipUri) and uri.scheme == "sip" and uri.user is None:
        yield _plain(uri.host.lower())


def _plain(name: str) -> str:
    """A name without its last dot; an IPv6 address as it is usually written."""
    bare = name.removeprefix("[").removesuffix("]")
    if is_ipv6(bare):
        return str(IPv6Address(bare))
    return name.rstrip(".")
