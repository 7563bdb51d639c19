"""Whose certificate it is: RFC 5922 sections 7.1 and 7.2."""

import pytest

from sip.identity import Certificate, identities, speaks_for


def certificate(*names: tuple[str, str], common_name: str = "") -> Certificate:
    """What `getpeercert` gives for these names."""
    subject = ((("commonName", common_name),),) if common_name else ()
    return {"subject": subject, **({"subjectAltName": names} if names else {})}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ((("DNS", "Example.COM"),), ("example.com",)),
        ((("DNS", "b.example"), ("URI", "sip:a.example")), ("a.example",)),
        ((("IP Address", "192.0.2.1"), ("URI", "sip:a.example")), ("a.example", "192.0.2.1")),
        ((("DNS", "b.example"), ("URI", "sip:alice@a.example")), ("b.example",)),
        ((("URI", "sip:example.com"), ("DNS", "example.com")), ("example.com",)),
        ((("URI", "sip:example.com:5061;transport=tls"),), ("example.com",)),
        ((("IP Address", "192.0.2.1"),), ("192.0.2.1",)),
        ((("IP Address", "2001:DB8:0:0:0:0:0:1"),), ("2001:db8::1",)),
        ((("URI", "sip:[2001:db8::1]"),), ("2001:db8::1",)),
    ],
)
def test_who_a_certificate_speaks_for(
    names: tuple[tuple[str, str], ...], found: tuple[str, ...]
) -> None:
    assert identities(certificate(*names)) == found


@pytest.mark.parametrize(
    "uri",
    [
        "sip:alice@example.com",  # a user, not a domain
        "sips:example.com",
        "https://example.com",
        "xmpp:example.com",
        "sip:",
        "nonsense",
    ],
)
def test_a_uri_that_names_no_sip_domain(uri: str) -> None:
    assert identities(certificate(("URI", uri))) == ()


def test_the_common_name_counts_only_without_alternative_names() -> None:
    assert identities(certificate(common_name="Example.com")) == ("example.com",)
    assert identities(certificate(("DNS", "a.example"), common_name="b.example")) == ("a.example",)
    assert identities(certificate(("email", "x@y"), common_name="b.example")) == ()
    assert identities({}) == ()


@pytest.mark.parametrize(
    ("name", "domain", "expected"),
    [
        ("example.com", "example.com", True),
        ("example.com", "EXAMPLE.com", True),
        ("example.com", "example.com.", True),
        ("example.com.", "example.com", True),
        ("example.com", "sip.example.com", False),
        ("sip.example.com", "example.com", False),
        ("*.example.com", "sip.example.com", False),  # section 7.2: no wildcards
        ("*.example.com", "example.com", False),
        (".example.com", "sip.example.com", False),
        ("*", "example.com", False),
    ],
)
def test_the_whole_name_counts(name: str, domain: str, expected: bool) -> None:
    assert speaks_for(certificate(("DNS", name)), domain) is expected


@pytest.mark.parametrize("domain", ["2001:db8::1", "[2001:db8::1]", "2001:DB8:0::1"])
def test_an_ipv6_address_in_any_spelling(domain: str) -> None:
    assert speaks_for(certificate(("IP Address", "2001:DB8:0:0:0:0:0:1")), domain)
