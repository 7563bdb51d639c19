import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simulator.config import Config
from simulator.errors import CallServerError
from simulator.patterns import Entry, Pattern, PatternTable
from simulator.profile_patterns import PriorityTable, ProfilePattern
from simulator.routing import DialPlan, InvalidNumber, Label, Lookup, NotRoutable, check_number
from sip.errors import LocalError
from tests.support.virtual_server import configuration

# -- patterns ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("5551212", "5551212", "555121 55512121 5551213"),
        ("555.", "5550 555a", "555 55500"),
        ("555X", "5550 555a", "555 55500"),
        ("555x", "555x", "5550 555X"),
        (".5.", "151 a5b", "15 155a 161"),
        ("5>", "5 55 5123", "6 15"),
        ("5*", "5 5abc", "4"),
        ("5!", "5 5abc", "4"),
        ("91919191>", "91919191 919191911", "9191919"),
        ("5X>", "51 512", "5 61"),
        (">", "1 anything +49", ""),
        ("a1B", "a1B", "A1B a1b"),
    ],
)
def test_a_pattern_matches(pattern: str, matching: str, other: str) -> None:
    parsed = Pattern.parse(pattern)
    assert [number for number in matching.split() if not parsed.matches(number)] == []
    assert [number for number in other.split() if parsed.matches(number)] == []
    table = PatternTable[int]()
    table.add(pattern, 1)
    assert all(table.lookup(number) for number in matching.split())
    assert not any(table.lookup(number) for number in other.split())


def test_a_lone_trailing_wildcard_matches_nothing_dialed_too() -> None:
    assert Pattern.parse(">").matches("")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "pattern '' is empty"),
        ("1" * 25, "has 25 characters; at most 24"),
        ("1>2", "before its end"),
        (">>", "before its end"),
        ("1*!", "before its end"),
        ("+49", r"has '\+'; letters, digits"),
        ("1-2", "has '-'"),
        ("1 ", "has ' '"),
        ("٣", "has '٣'"),
        ("9[3-6]", r"has '\['"),
        ("1\n", r"has '\\n'"),
    ],
)
def test_a_malformed_pattern_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pattern.parse(pattern)


@pytest.mark.parametrize(
    ("patterns", "number", "best"),
    [
        ("> 12> 123 12X", "123", "123"),  # exact first
        ("> 1> 12> 1.", "123", "12>"),  # then more literal characters
        ("12> 12X", "123", "12X"),  # then fixed length
        ("1.3 12.", "123", "1.3"),  # then the order of the list
        ("12. 1.3", "123", "12."),
        ("1.> 1>", "12", "1.>"),  # of equal rank: the order of the list
        ("1> 1.>", "12", "1>"),
        (".2> 1>", "12", ".2>"),
        ("1XXX 8XX 93XX >", "9404", ">"),
        ("4> 5>", "6", None),
    ],
)
def test_the_most_specific_pattern_is_taken(patterns: str, number: str, best: str | None) -> None:
    table = PatternTable[str]()
    for pattern in patterns.split():
        table.add(pattern, pattern)
    found = table.lookup(number)
    assert (found and found.value) == best
    assert table.lookup(number) is found  # from the cache
    assert [entry.value for entry in table.explain(number)[:1]] == ([best] if best else [])


def test_candidates_are_explained_in_order() -> None:
    table = PatternTable[None]()
    for pattern in "> 12> 1.3 12. 123 4>".split():
        table.add(pattern, None)
    assert [(str(entry.pattern), entry.reason) for entry in table.explain("123")] == [
        ("123", "exact"),
        ("1.3", "2 literal characters, fixed length"),
        ("12.", "2 literal characters, fixed length"),
        ("12>", "2 literal characters, any length"),
        (">", "0 literal characters, any length"),
    ]


def test_patterns_are_added_and_removed() -> None:
    table = PatternTable[int]()
    for value, pattern in enumerate("123 12X 1> 4.5>".split()):
        table.add(pattern, value)
    assert [(str(entry.pattern), entry.value) for entry in table] == [
        ("123", 0),
        ("12X", 1),
        ("1>", 2),
        ("4.5>", 3),
    ]
    order = ["123", "12X", "1>"]
    for pattern in order:
        found = table.lookup("123")
        assert found is not None
        assert str(found.pattern) == pattern
        assert table.remove(pattern) is found
    assert table.lookup("123") is None
    assert len(table) == 1
    table.add("1>", 7)
    entry = table.lookup("123")
    assert entry is not None
    assert (entry.value, entry.order) == (7, 4)
    with pytest.raises(KeyError, match="999"):
        table.remove("999")
    with pytest.raises(KeyError, match="12X"):
        table.remove("12X")


@pytest.mark.parametrize(("first", "second"), [("12X", "12."), ("1>", "1!"), ("12", "12")])
def test_a_pattern_cannot_be_there_twice(first: str, second: str) -> None:
    table = PatternTable[int]()
    table.add(first, 1)
    with pytest.raises(ValueError, match="matches the same numbers as"):
        table.add(second, 2)
    assert len(table) == 1


def by_definition(patterns: list[Pattern], number: str) -> list[str]:
    """The order of choice, spelled out."""
    matching = [(i, p) for i, p in enumerate(patterns) if p.matches(number)]
    matching.sort(key=lambda m: (not m[1].exact, -m[1].literals, m[1].open_ended, m[0]))
    return [pattern.text for _, pattern in matching]


PATTERNS = st.builds(
    lambda body, end: Pattern.parse((body + end) or ">"),
    st.text("12.X", max_size=5),
    st.sampled_from(["", "", ">", "*", "!"]),
)


@given(
    st.lists(PATTERNS, max_size=12, unique_by=lambda p: (p.body, p.open_ended)),
    st.lists(st.text("123", max_size=6), max_size=8),
    st.integers(0, 11),
)
def test_the_table_agrees_with_the_definition(
    patterns: list[Pattern], numbers: list[str], removed: int
) -> None:
    table = PatternTable[str]()
    for pattern in patterns:
        table.add(pattern, pattern.text)
    for _ in range(2):
        for number in numbers:
            expected = by_definition(patterns, number)
            assert [entry.value for entry in table.explain(number)] == expected
            found: Entry[str] | None = table.lookup(number)
            assert (found.value if found else None) == (expected[0] if expected else None)
        if removed < len(patterns):
            table.remove(patterns[removed])
            patterns = patterns[:removed] + patterns[removed + 1 :]


def test_ten_thousand_patterns_are_found_and_the_cache_stays_bounded() -> None:
    table = PatternTable[int]()
    for value in range(10_000):
        table.add(f"{value:05}>" if value % 2 else f"{value:05}XX", value)
    for value in range(10_000):
        found = table.lookup(f"{value:05}00")
        assert found is not None
        assert found.value == value
    assert len(table._cache) <= 4096


# -- text from outside ---------------------------------------------------------------------


@pytest.mark.parametrize("text", ["1001", "+4930", "*8,,1", "ä#1", "x" * 200])
def test_a_number_can_be_dialed(text: str) -> None:
    assert check_number(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "number is empty"),
        ("1" * 201, "number has 201 characters; at most 200"),
        ("-" * 201, "number has 201 characters; at most 200"),
        ("12\r\nVia: x", r"control or invisible character '\\r' at place 3"),
        ("12\0", r"'\\x00' at place 3"),
        ("1\u202e2", r"invisible character '\\u202e'"),
        ("\ud800", r"'\\ud800' at place 1"),
        ("1 2", "the ' ' at place 2; remove it"),
        ("<1>", "the '<' at place 1"),
        (12, "must be text, not int"),
        (None, "must be text, not NoneType"),
    ],
)
def test_text_that_cannot_be_dialed_is_refused(text: object, message: str) -> None:
    with pytest.raises(InvalidNumber, match=message) as caught:
        check_number(text)
    assert isinstance(caught.value, LocalError)
    assert isinstance(caught.value, CallServerError)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1001", Label("1001")),
        ("rf1001", Label("1001", refer=True)),
        ("1001;CLI=987", Label("1001", cli="987")),
        ("rf1001;cli=NULL", Label("1001", refer=True, cli="")),
        ("RF1", Label("RF1")),
        ("rfsip:bob@h;transport=tcp;CLI=9", Label("sip:bob@h;transport=tcp", True, "9")),
    ],
)
def test_a_label_is_taken_apart(text: str, expected: Label) -> None:
    assert Label.parse(text) == expected


@pytest.mark.parametrize("text", ["", "rf", ";CLI=1", "rf;CLI=1", "1\n", 5])
def test_a_label_without_destination_is_refused(text: object) -> None:
    with pytest.raises(InvalidNumber, match="label"):
        Label.parse(text)


# -- the dial plan -------------------------------------------------------------------------

AGENTS, VXML = "sip:127.0.0.1:6001", "sip:127.0.0.1:6002;transport=tcp"


@pytest.fixture
def builtin() -> DialPlan:
    return DialPlan(Config.builtin().with_lab(AGENTS, VXML))


def plan(*settings: str) -> DialPlan:
    return DialPlan(Config.load(overrides=settings).with_lab(AGENTS, VXML))


@pytest.mark.parametrize(
    ("number", "pattern", "kind", "leads_to"),
    [
        ("5", "5>", "script", "standalone"),
        ("5551212", "5>", "script", "standalone"),
        ("6123", "6>", "label", "sip:1001@127.0.0.1:6001"),
        ("7000", "7>", "script", "support"),
        ("9404", "94XX", "label", "sip:9404@127.0.0.1:6001"),
        ("9603", "96XX", "label", "sip:9603@127.0.0.1:6001"),
        ("803", "8XX", "label", "sip:803@127.0.0.1:6001"),
        ("8030", ">", "script", "self_service"),
        ("9704", ">", "script", "self_service"),
        ("1001", ">", "script", "self_service"),
        ("service", ">", "script", "self_service"),
        ("+49301234567890123456", ">", "script", "self_service"),
        ("777000000", "7>", "script", "support"),
        ("7770000000", "7>", "script", "support"),
    ],
)
def test_the_builtin_plan_answers_every_number(
    builtin: DialPlan, number: str, pattern: str, kind: str, leads_to: str
) -> None:
    route = builtin.route_call(number, "sipp")
    assert (route.number, route.pattern, route.kind) == (number, pattern, kind)
    assert (route.script or route.destination) == leads_to
    assert route.ring_no_answer == (120 if pattern == "8XX" else 60)
    assert builtin.route_call(number) is route


def test_a_return_from_the_vru_is_told_by_length_and_label(builtin: DialPlan) -> None:
    route = builtin.route_call("777000000000042")
    assert (route.kind, route.call_type) == ("vru_return", "translation_route")
    assert (route.label, route.correlation_id) == ("7770000000", "00042")
    other = builtin.route_call("7780000000042")
    assert (other.kind, other.pattern) == ("script", "7>")


def test_a_short_vru_label_does_not_take_ordinary_numbers() -> None:
    dial_plan = plan("icm.vru_label=777")
    assert dial_plan.route_call("7771234567").kind == "script"
    assert dial_plan.route_call("77712345678").correlation_id == "12345678"


def test_direct_routes_come_before_everything() -> None:
    dial_plan = plan("direct_routes=['7>=sip:10.0.0.1:5070', '61=sip:bob@10.0.0.2;transport=tcp']")
    route = dial_plan.route_call("7#1")
    assert (route.kind, route.destination) == ("direct", "sip:7%231@10.0.0.1:5070")
    assert (route.call_type, route.application) == ("post_route", "")
    assert dial_plan.route_call("777000000000042").kind == "direct"
    assert dial_plan.route_call("61").destination == "sip:bob@10.0.0.2;transport=tcp"
    assert dial_plan.route_call("62").kind == "label"


def test_a_call_nobody_expects_is_not_routable() -> None:
    dial_plan = plan("dialed_numbers=[{pattern: 5>, script: standalone}]")
    with pytest.raises(NotRoutable, match="no pattern of the dial plan matches '6'"):
        dial_plan.route_call("6")
    with pytest.raises(InvalidNumber, match="dialed number is empty"):
        dial_plan.route_call("")
    assert dial_plan.lookup("6") == Lookup("6", matched=False)


def test_a_label_without_a_route_is_a_route_without_destination() -> None:
    dial_plan = plan("dialed_numbers=[{pattern: 5>, label: rf44, ring_no_answer: 7}]")
    route = dial_plan.route_call("5")
    assert (route.kind, route.label, route.destination) == ("label", "rf44", None)
    assert route.ring_no_answer == 7
    assert dial_plan.lookup("5").route_destination == "rf44"


def test_disabled_numbers_are_passed_over() -> None:
    dial_plan = plan("dialed_numbers.0.enabled=false")
    assert dial_plan.route_call("5").pattern == ">"


@pytest.mark.parametrize(
    ("label", "uri"),
    [
        ("1001", "sip:1001@127.0.0.1:6001"),
        ("rf1001;CLI=5", "sip:1001@127.0.0.1:6001"),
        (Label("1001"), "sip:1001@127.0.0.1:6001"),
        ("777000000000042", "sip:777000000000042@127.0.0.1:6002;transport=tcp"),
        ("9191", "sip:9191@127.0.0.1:6002;transport=tcp"),
        ("929292", "sip:929292@127.0.0.1:6002;transport=tcp"),
        ("sip:bob@h", "sip:bob@h"),
        ("4000", None),
    ],
)
def test_a_label_leads_to_a_uri(builtin: DialPlan, label: str | Label, uri: str | None) -> None:
    assert builtin.route_label(label) == uri


def test_a_label_that_is_a_bad_uri_is_refused(builtin: DialPlan) -> None:
    with pytest.raises(InvalidNumber, match="label 'sip:bob@h\\?Replaces=1': "):
        builtin.route_label("sip:bob@h?Replaces=1")


@pytest.mark.parametrize(
    ("destination", "kind", "leads_to"),
    [
        ("sip:bob@example.com", "direct", "sip:bob@example.com"),
        ("SIPS:bob@[::1]:5061", "direct", "sips:bob@[::1]:5061"),
        ("1002", "label", "sip:1002@127.0.0.1:6001"),
        ("tel:1-00.2;phone-context=x", "label", "sip:1002@127.0.0.1:6001"),
        ("rf1002;CLI=3", "label", "sip:1002@127.0.0.1:6001"),
        ("9404", "label", "sip:9404@127.0.0.1:6001"),
        ("61", "label", "sip:1001@127.0.0.1:6001"),
        ("7000", "script", "support"),
        ("tel:+49(30)1", "script", "self_service"),
    ],
)
def test_a_transfer_is_resolved(
    builtin: DialPlan, destination: str, kind: str, leads_to: str
) -> None:
    route = builtin.resolve_transfer(destination)
    assert (route.kind, route.script or route.destination) == (kind, leads_to)


def test_a_transfer_tries_static_routes_before_direct_ones() -> None:
    dial_plan = plan("direct_routes=['>=sip:10.0.0.1:5070']")
    assert dial_plan.resolve_transfer("1001").destination == "sip:1001@127.0.0.1:6001"
    assert dial_plan.resolve_transfer("2001").destination == "sip:2001@10.0.0.1:5070"


@pytest.mark.parametrize(
    ("destination", "message"),
    [
        ("", "destination is empty"),
        ("1\r\n2", "control"),
        ("sip:", "destination 'sip:': '' names no host$"),
        ("sip:a%0d%0ab@h", "escaped control character"),
        ("http://h", "neither a number nor a sip: URI"),
        ("tel:", "destination is empty"),
        ("rf", "names no destination"),
        ("x" * 201, "201 characters"),
        ("2001", "extension '2001' has no static route; add one under routes"),
    ],
)
def test_a_transfer_that_leads_nowhere_names_why(destination: str, message: str) -> None:
    dial_plan = plan("icm.agents.2001={name: Eve}")
    with pytest.raises(NotRoutable, match=message):
        dial_plan.resolve_transfer(destination)


@given(st.text())
@example("SIP:A")  # a URI needs no route
def test_a_transfer_never_yields_a_line_end(text: str) -> None:
    dial_plan = DialPlan(Config(dialed_numbers=(), routes=()))
    if text[:4].lower() not in ("sip:", "sips"):
        with pytest.raises(NotRoutable):
            dial_plan.resolve_transfer(text)
    routed = plan("routes=['>=sip:h']")
    try:
        uri = routed.resolve_transfer(text).destination
    except NotRoutable:
        return
    assert uri is not None
    assert uri.isascii()
    assert uri.isprintable()
    assert not set(uri) & set(' <>"')


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("7000", Lookup("7000", True, "7>", "preroute", "support", "icm:support")),
        ("5", Lookup("5", True, "5>", "post_route", "standalone", "icm:standalone")),
        ("803", Lookup("803", True, "8XX", "preroute", "agent", "sip:803@127.0.0.1:6001")),
        (
            "77700000001",
            Lookup("77700000001", True, "7770000000>", "translation_route", "", "7770000000"),
        ),
    ],
)
def test_a_lookup_tells_the_decision(builtin: DialPlan, number: str, expected: Lookup) -> None:
    assert builtin.lookup(number, "sipp") == expected


def test_a_lookup_refuses_impossible_numbers(builtin: DialPlan) -> None:
    with pytest.raises(InvalidNumber, match="dialedNumber is empty"):
        builtin.lookup("")
    with pytest.raises(InvalidNumber, match="callingNumber has the control"):
        builtin.lookup("1", "\n")


def test_a_decision_is_explained() -> None:
    dial_plan = plan("direct_routes=['777>=sip:h']")
    assert dial_plan.explain("77700000001") == [
        ("777>", "direct route"),
        ("7770000000>", "return from the VRU"),
        ("7>", "1 literal character, any length"),
        (">", "0 literal characters, any length"),
    ]


def test_duplicates_cannot_make_a_plan() -> None:
    config = Config.model_validate({"routes": ["1.=sip:h", "1X=sip:h"]})
    with pytest.raises(ValueError, match="matches the same numbers"):
        DialPlan(config)


def test_the_cache_of_decisions_stays_bounded(builtin: DialPlan) -> None:
    for number in range(5000):
        builtin.route_call(str(number))
    assert len(builtin._cache) <= 4096


# -- labels, step by step ------------------------------------------------------------------


def explained(number: str, **sections: Any) -> list[str]:
    plan = DialPlan(configuration(**sections).with_lab("sip:agents.lab", "sip:vxml.lab"))
    return [": ".join(step) for step in plan.explain(number)]


def test_the_steps_of_a_label_are_explained() -> None:
    """CVP.md 4: the order for every outbound leg."""
    patterns = ["6>: 1 literal character, any length", ">: 0 literal characters, any length"]
    assert explained("6000") == [*patterns, "1XXX: label 1001: route sip:1001@agents.lab"]
    assert explained("6000", dial_plan={"send_to_originator": ["1>"]})[2:] == [
        "1>: label 1001: back to the caller's IOS gateway",
        "1XXX: label 1001: route sip:1001@agents.lab",
    ]
    assert explained("6000", sip={"outbound_proxy": "sip:proxy.lab"})[2:] == [
        "-: label 1001: outbound proxy sip:1001@proxy.lab"
    ]
    assert explained("6066000", dial_plan={"significant_digits": 3})[2:] == [
        "-: label 6061001: no route; add one under routes"
    ]
    assert explained("3000") == [">: 0 literal characters, any length"]


def test_the_lookup_takes_significant_digits_off_and_on() -> None:
    config = configuration(dial_plan={"significant_digits": 3}, routes=["6061>=sip:10.0.0.1"])
    found = DialPlan(config).lookup("6066000")
    assert (found.dialed_number, found.matched_pattern) == ("6066000", "6>")
    assert found.route_destination == "sip:6061001@10.0.0.1"


# -- the profile's patterns ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*", "1 123 anything", ""),
        ("1800*", "1800 18005551234", "180 21800"),
        ("1*5", "15 12345", "1 5 156"),
        ("1*2*3", "123 1x2y3", "132 12 1232"),
        ("*99", "99 199", "990"),
        ("9X", "9X", "91"),
        ("+49#", "+49#", "49#"),
        ("1**2", "12 1002", "1"),
        ("5*5", "55 5x5", "5"),
    ],
)
def test_a_pattern_of_the_profile_matches(pattern: str, matching: str, other: str) -> None:
    """CVP.md 0: ``*`` stands for any digits."""
    parsed = ProfilePattern.parse(pattern)
    assert [number for number in matching.split() if not parsed.matches(number)] == []
    assert [number for number in other.split() if parsed.matches(number)] == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("", "pattern '' is empty"), ("1" * 25, "at most 24"), ("1>", "has '>'"), ("1.", r"has '\.'")],
)
def test_a_malformed_pattern_of_the_profile_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProfilePattern.parse(pattern)


def test_the_lowest_priority_wins_then_the_order() -> None:
    table = PriorityTable[str]()
    for pattern, priority in (("*", 9), ("1*", 2), ("12*", 2), ("123", 3)):
        table.add(pattern, pattern, priority)
    found = table.lookup("123")
    assert found is not None
    assert (found.value, found.reason) == ("1*", "priority 2")
    assert table.lookup("123") is found
    assert [entry.value for entry in table.explain("123")] == ["1*", "12*", "123", "*"]
    with pytest.raises(ValueError, match="matches the same numbers as"):
        table.add("1**", "again")


@given(st.text("12*", min_size=1, max_size=6), st.text("12", max_size=8))
def test_a_pattern_of_the_profile_is_what_it_says(pattern: str, number: str) -> None:
    wanted = re.fullmatch(pattern.replace("*", ".*"), number) is not None
    assert ProfilePattern.parse(pattern).matches(number) == wanted
