import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import CallServerError
from simulator.variables import MAX_ECC_COUNT, VariableError, Variables
from sip.errors import LocalError


def state(variables: Variables) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    return variables.ecc, variables.peripheral, variables.call


def test_nothing_is_set_at_first() -> None:
    assert state(Variables()) == ({}, {}, {})


def test_untouched_variables_hold_nothing() -> None:
    variables = Variables()
    assert sys.getsizeof(variables) <= 64
    assert not hasattr(variables, "__dict__")
    variables.update()
    variables.update({}, {}, {})
    assert [variables._ecc, variables._call, variables._peripheral] == [None, None, None]


def test_peripheral_and_call_variables_are_one_set() -> None:
    variables = Variables()
    variables.update(peripheral={"peripheral3": "gold"}, call={"callVariable10": "x"})
    assert variables.call == {"callVariable3": "gold", "callVariable10": "x"}
    assert variables.peripheral == {"peripheral3": "gold", "peripheral10": "x"}


def test_the_sets_can_be_separate() -> None:
    variables = Variables(separate=True)
    variables.update(peripheral={"peripheral1": "a"}, call={"callVariable1": "b"})
    assert variables.peripheral == {"peripheral1": "a"}
    assert variables.call == {"callVariable1": "b"}


def test_an_update_merges() -> None:
    variables = Variables()
    variables.update({"user.a": "1", "user.b": "2"}, call={"callVariable1": "x"})
    variables.update({"user.b": "3"}, {"peripheral2": "y"}, {"callVariable1": ""})
    assert variables.ecc == {"user.a": "1", "user.b": "3"}
    assert variables.call == {"callVariable1": "", "callVariable2": "y"}


def test_readers_get_copies() -> None:
    variables = Variables()
    variables.update({"a": "1"}, call={"callVariable1": "x"})
    variables.ecc["a"] = variables.call["callVariable1"] = "changed"
    assert state(variables) == ({"a": "1"}, {"peripheral1": "x"}, {"callVariable1": "x"})


def test_two_names_of_one_variable_must_agree() -> None:
    variables = Variables()
    variables.update(peripheral={"peripheral1": "a"}, call={"callVariable1": "a"})
    with pytest.raises(VariableError, match="another name of callVariable2") as caught:
        variables.update(peripheral={"peripheral2": "a"}, call={"callVariable2": "b"})
    assert caught.value.field == "peripheralVariables.peripheral2"
    assert variables.call == {"callVariable1": "a"}


def test_limits_are_inclusive() -> None:
    variables = Variables()
    variables.update(
        {f"v{n}": "x" * 200 for n in range(10)},
        call={"callVariable1": "ä" * 40},
    )
    variables = Variables()
    variables.update({"v": "ä" * 105})
    variables.update({f"n{n}": "" for n in range(MAX_ECC_COUNT - 1)})


@pytest.mark.parametrize(
    ("update", "field", "message", "length", "limit"),
    [
        (
            {"call": {"callVariable1": "x" * 41}},
            "callVariables.callVariable1",
            "has 41 characters; at most 40",
            41,
            40,
        ),
        (
            {"peripheral": {"peripheral10": "x" * 100}},
            "peripheralVariables.peripheral10",
            "has 100 characters; at most 40",
            100,
            40,
        ),
        (
            {"ecc": {"user.a": "ä" * 105 + "b"}},
            "eccVariables.user.a",
            "has 211 bytes of UTF-8; at most 210",
            211,
            210,
        ),
        (
            {"ecc": {f"v{n}": "x" * 200 for n in range(11)}},
            "eccVariables",
            "would have 2201 bytes of values together; at most 2000",
            2201,
            2000,
        ),
        (
            {"ecc": {f"v{n}": "" for n in range(MAX_ECC_COUNT)}},
            "eccVariables",
            "would be 501 variables; at most 500",
            501,
            500,
        ),
        (
            {"ecc": {"x" * 65: ""}},
            f"eccVariables.{'x' * 64}...",
            "has a name of 65 characters; at most 64",
            65,
            64,
        ),
    ],
)
def test_what_is_too_long_is_refused(
    update: dict[str, Any], field: str, message: str, length: int, limit: int
) -> None:
    variables = Variables()
    variables.update({"kept": "1"})
    with pytest.raises(VariableError) as caught:
        variables.update(**update)
    error = caught.value
    assert (error.field, error.message, error.length, error.limit) == (
        field,
        message,
        length,
        limit,
    )
    assert str(error) == f"{field}: {message}"
    assert isinstance(error, LocalError)
    assert isinstance(error, CallServerError)
    assert state(variables) == ({"kept": "1"}, {}, {})


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"call": {"callVariable11": ""}}, "known are callVariable1 to callVariable10"),
        ({"call": {"callVariable0": ""}}, "callVariables.callVariable0: is not a variable"),
        ({"call": {"peripheral1": ""}}, "callVariables.peripheral1: is not a variable"),
        ({"peripheral": {"callVariable1": ""}}, "known are peripheral1 to peripheral10"),
        ({"peripheral": {"a\nb": ""}}, r"peripheralVariables.'a\\nb': is not a variable"),
        ({"call": {1: ""}}, "callVariables.1: is not a variable"),
        ({"call": {"callVariable1": 5}}, "must be text, not int"),
        ({"ecc": {"a": None}}, "eccVariables.a: must be text, not NoneType"),
        ({"ecc": {"": "x"}}, "is not a name"),
        ({"ecc": {"a b": "x"}}, "is not a name"),
        ({"ecc": {"a\r": "x"}}, "is not a name"),
    ],
)
def test_unknown_names_and_other_kinds_are_refused(update: dict[str, Any], message: str) -> None:
    variables = Variables()
    with pytest.raises(VariableError, match=message):
        variables.update(**update)
    assert state(variables) == ({}, {}, {})


CONTROLS = [*map(chr, range(32)), "\x7f", "\x85", "\u2028", "\u2029", "\ud800"]


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_no_control_character_gets_in(control: str) -> None:
    variables = Variables()
    for update in (
        {"ecc": {"user.uui": f"a{control}"}},
        {"call": {"callVariable1": f"a{control}"}},
        {"peripheral": {"peripheral1": f"a{control}"}},
    ):
        with pytest.raises(VariableError, match=r"has the control character .* at place 2"):
            variables.update(**update)
    assert state(variables) == ({}, {}, {})


NAMES = st.sampled_from(["user.a", "user.b", "c d", ""])
VALUES = st.text(max_size=45) | st.text("ab", min_size=200, max_size=212)


@given(
    st.booleans(),
    st.lists(
        st.tuples(
            st.dictionaries(NAMES, VALUES, max_size=2),
            st.dictionaries(st.sampled_from(["peripheral1", "peripheral11"]), VALUES),
            st.dictionaries(st.sampled_from(["callVariable1", "callVariable2"]), VALUES),
        ),
        max_size=4,
    ),
)
def test_an_update_is_taken_whole_or_not_at_all(
    separate: bool, updates: list[tuple[dict[str, str], dict[str, str], dict[str, str]]]
) -> None:
    variables = Variables(separate=separate)
    for ecc, peripheral, call in updates:
        before = state(variables)
        try:
            variables.update(ecc, peripheral, call)
        except VariableError:
            assert state(variables) == before
        else:
            assert ecc.items() <= variables.ecc.items()
            assert peripheral.items() <= variables.peripheral.items()
            assert call.items() <= variables.call.items()
            assert before[0].keys() <= variables.ecc.keys()
        assert sum(len(value.encode()) for value in variables.ecc.values()) <= 2000
        assert all(len(value) <= 40 for value in variables.call.values())


MICROAPP = (
    "media_server app_media_lib sys_media_lib locale currency error_code input_type caller_input "
    "play_data pd_tts inline_tts grammar_choices fetchaudio fetchdelay fetchminimum UseVXMLParams "
    "override_cli metadata uui isPostCallSurvey ToExtVXML[0] FromExtVXML[0]"
).split()
OTHERS = (
    "user.media.id user.cvp_server_info user.sip.refertransfer user.suppress.sendtovru "
    "user.CourtesyCallbackEnabled user.CxSurveyInfo"
).split()


def test_names_of_the_micro_applications() -> None:
    """CVP.md 5: the ECC names that a Call Server has."""
    names = [*(f"user.microapp.{name}" for name in MICROAPP), *OTHERS]
    variables = Variables()
    variables.update({name: "1" for name in names})
    assert set(variables.ecc) == set(names)
