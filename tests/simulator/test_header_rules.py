"""Header fields by rules: which peers, in which order, and what may not be touched."""

from typing import Any

import pytest
from pydantic import ValidationError

from simulator.config_headers import HeaderRule, HeadersSection
from simulator.header_rules import HeaderRules

LINES = "Expires: 60\r\nX-A: 1\r\nX-A: 2\r\nDiversion: <sip:1@a>\r\nUser-Agent: b\r\n"


def changed(*rules: dict[str, Any], source: str = "10.1.1.1", to: str = "sbc.example") -> str:
    made = HeaderRules(tuple(HeaderRule.model_validate(rule) for rule in rules))
    names = frozenset((source, "gw.example"))
    once = made.apply(LINES, names, to)
    assert made.apply(LINES, names, to) == once, "the choice is remembered"
    return once


def test_drop_rename_add() -> None:
    rule = {"drop": "diversion", "rename": {"x-a": "X-B"}, "add": {"X-C": "3", "Diversion": "new"}}
    assert changed(rule) == (
        "Expires: 60\r\nX-B: 1\r\nX-B: 2\r\nUser-Agent: b\r\nX-C: 3\r\nDiversion: new\r\n"
    )


def test_rules_work_one_after_another() -> None:
    assert "X-Z: 1\r\nX-Z: 2\r\n" in changed({"rename": {"X-A": "X-B"}}, {"rename": {"X-B": "X-Z"}})


@pytest.mark.parametrize(
    ("peers", "applies"),
    [
        ({}, True),
        ({"sources": "10.1.1.1"}, True),
        ({"sources": "10.0.0.0/8"}, True),
        ({"sources": "10.2.0.0/16"}, False),
        ({"sources": "GW.example"}, True),
        ({"sources": "*"}, True),
        ({"destinations": "*"}, True),
        ({"destinations": "sbc.example"}, True),
        ({"destinations": "*.example"}, True),
        ({"destinations": "example"}, False),
        ({"destinations": ["other.example", "*.other"]}, False),
        ({"sources": "10.1.1.1", "destinations": "other.example"}, False),
        ({"sources": "10.1.1.1", "destinations": "sbc.example"}, True),
    ],
)
def test_peers(peers: dict[str, Any], applies: bool) -> None:
    assert ("X-C: 3" in changed({"add": {"X-C": "3"}, **peers})) is applies


def test_addresses_of_version_6() -> None:
    rule = {"add": {"X-C": "3"}, "sources": "2001:db8::/32"}
    assert "X-C" in changed(rule, source="2001:db8::1")
    assert "X-C" in changed(rule, source="[2001:db8::1]")
    assert "X-C" not in changed(rule, source="2001:db9::1")


def test_the_memory_of_choices_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.header_rules._MOST_PAIRS", 10)
    rules = HeaderRules((HeaderRule.model_validate({"drop": "X-A"}),))
    for number in range(25):
        assert "X-A" not in rules.apply(LINES, frozenset((str(number),)), "b")
    assert len(rules._chosen) <= 10


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ({}, "changes nothing"),
        ({"drop": "Via"}, "'Via' cannot be changed"),
        ({"drop": "v"}, "'v' cannot be changed"),
        ({"rename": {"X-A": "Call-ID"}}, "'Call-ID' cannot be changed"),
        ({"rename": {"from": "X-A"}}, "'from' cannot be changed"),
        ({"add": {"Content-Length": "0"}}, "'Content-Length' cannot be changed"),
        ({"add": {"X-A": "1\r\nVia: x"}}, "control character"),
        ({"add": {"X-A": "1\x00"}}, "control character"),
        ({"add": {"X-A\r\n": "1"}}, "no name of a header field"),
        ({"add": {"X A": "1"}}, "no name of a header field"),
        ({"add": {"X-A": ""}}, "must not be empty"),
        ({"add": {"X-A": "1"}, "sources": "10.0.0.1/8"}, "host bits set"),
        ({"add": {"X-A": "1"}, "sources": "a b"}, "not a host name"),
    ],
)
def test_a_wrong_rule_is_refused(rule: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HeaderRule.model_validate(rule)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ({"user_agent": "a\r\nb"}, "control character"),
        ({"server": "a\nb"}, "control character"),
        ({"app_info": "8000"}, "HTTP-PORT:HTTPS-PORT"),
        ({"to_icm": "a b"}, "no name"),
        ({"gtd_parameters": "uus"}, "no GTD parameter"),
    ],
)
def test_a_wrong_section_is_refused(section: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HeadersSection.model_validate(section)
    assert fault in str(caught.value)
