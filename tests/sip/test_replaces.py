"""Replaces (RFC 3891 section 6.1) and Target-Dialog (RFC 4538 section 7) as values."""

import pytest

from sip.errors import InvalidValue, ParseError
from sip.replaces import Replaces, TargetDialog
from sip.uri import SipUri

VALUE = "425928@bobster.example.org;to-tag=7743;from-tag=6472"


@pytest.mark.parametrize(
    ("text", "early"), [(VALUE, False), (f"{VALUE};early-only", True), (f" {VALUE} ; x=y", False)]
)
def test_read(text: str, early: bool) -> None:
    read = Replaces.parse(text)
    assert read == Replaces("425928@bobster.example.org", "7743", "6472", early)
    assert str(read) == VALUE + ";early-only" * early


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a;to-tag=1",
        "a;from-tag=1",
        "a;to-tag=1;from-tag=2;to-tag=3",
        ";to-tag=1;from-tag=2",
        "a b;to-tag=1;from-tag=2",
        "a;to-tag;from-tag=2",
        "a;to-tag=1;from-tag=<",
        "a;;",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(ParseError):
        Replaces.parse(text)


def test_in_a_uri() -> None:
    """Section 4: escaped, so that it is one URI header and nothing else."""
    uri = Replaces("a%@b", "1", "2").in_uri("sip:carol@example.com;transport=tcp")
    assert uri == (
        "sip:carol@example.com;transport=tcp?Replaces=a%25%40b%3Bto-tag%3D1%3Bfrom-tag%3D2"
    )
    assert SipUri.parse(uri).header("replaces") == "a%@b;to-tag=1;from-tag=2"


@pytest.mark.parametrize("call_id", ["", "a b", "a\r\nX: y", "a;b", "a,b"])
def test_unsendable(call_id: str) -> None:
    with pytest.raises(InvalidValue):
        Replaces(call_id, "1", "2")


def test_target_dialog() -> None:
    text = "fa77as7@host.example.com;local-tag=kkaz-;remote-tag=6544"
    assert TargetDialog.parse(text) == TargetDialog("fa77as7@host.example.com", "kkaz-", "6544")
    assert str(TargetDialog.parse(text)) == text
    with pytest.raises(ParseError):
        TargetDialog.parse("fa77as7@host.example.com;local-tag=kkaz-")
