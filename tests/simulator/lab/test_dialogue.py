"""The dialogues of VXML applications, by a virtual clock."""

from typing import Any

import pytest

from simulator.applications import Step
from simulator.lab.dialogue import OVER, Dialogue
from sip.timers import TimerWheel


class Caller:
    """Who hears a dialogue and presses keys."""

    def __init__(self, *steps: Any, **values: str) -> None:
        self.wheel = TimerWheel()
        self.now = 0.0
        self.heard: list[tuple[float, str]] = []
        self.results: list[tuple[float, dict[str, str]]] = []
        parsed = tuple(Step.model_validate(step) for step in steps)
        self.dialogue = Dialogue(parsed, values, self.wheel, self)
        self.dialogue.start(0.0)

    def spoken(self, text: str, now: float) -> None:
        self.heard.append((round(now, 1), text))

    def finished(self, dialogue: Dialogue, now: float) -> None:
        assert dialogue is self.dialogue
        self.results.append((round(now, 1), dialogue.outcome.values))

    def wait(self, seconds: float) -> "Caller":
        end = self.now + seconds + 0.01
        while (due := self.wheel.next_time()) is not None and due <= end:
            self.now = max(self.now, due)
            self.wheel.advance(self.now)
        self.now = end
        return self

    def press(self, keys: str, gap: float = 0.0) -> "Caller":
        for key in keys:
            self.dialogue.key(key, self.now)
            self.wait(gap)
        return self

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.heard]

    @property
    def result(self) -> dict[str, str]:
        """The result of the application, which has exited once."""
        assert self.dialogue.state == OVER
        assert self.wheel.running == 0
        ((_, values),) = self.results
        return values


def prompt(text: str, seconds: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"text": text, "seconds": seconds, **more}


ACCOUNT = {"collect": {"into": "account", "min": 4, "max": 8}}


def test_prompts_are_played_one_after_the_other() -> None:
    caller = Caller({"prompt": prompt("one", 2.0)}, {"prompt": prompt("two", 1.5)})
    assert caller.heard == [(0.0, "one")]
    caller.wait(10)
    assert caller.heard == [(0.0, "one"), (2.0, "two")]
    assert caller.results == [(3.5, {"error_code": "0"})]


def test_a_prompt_without_a_length_is_as_long_as_its_text() -> None:
    caller = Caller({"prompt": "x" * 30}, {"prompt": ""}).wait(10)
    assert caller.results[0][0] == 2.0
    assert caller.result == {"error_code": "0"}


@pytest.mark.parametrize("digit", "0123456789*ABCD")
def test_one_digit_is_enough_where_max_is_one(digit: str) -> None:
    caller = Caller({"collect": {"prompt": "Choose"}})
    caller.press(digit)
    assert caller.result == {"error_code": "0", "caller_input": digit}


def test_the_terminator_ends_the_input() -> None:
    assert Caller(ACCOUNT).press("12345#", 1.0).result["caller_input"] == "12345"


def test_the_input_ends_with_its_longest() -> None:
    assert Caller(ACCOUNT).press("12345678").result["caller_input"] == "12345678"


def test_the_input_ends_when_no_further_key_comes() -> None:
    caller = Caller(ACCOUNT).press("12345", 2.9)
    assert caller.results == []
    caller.wait(0.2)
    assert caller.result["caller_input"] == "12345"


def test_a_terminator_of_choice() -> None:
    step = {"collect": {"max": 3, "terminator": "*"}}
    assert Caller(step).press("1#*").result["caller_input"] == "1#"


def test_without_a_terminator_every_key_is_input() -> None:
    step = {"collect": {"max": 3, "terminator": ""}}
    assert Caller(step).press("1*#").result["caller_input"] == "1*#"


def test_the_terminator_behind_a_full_input_is_not_the_next_input() -> None:
    second = {"collect": {"into": "second", "max": 2}}
    caller = Caller({"collect": {"into": "first", "max": 2}}, second, {"exit": {"r": "{first}"}})
    caller.press("12#").press("34")
    assert caller.result == {"error_code": "0", "caller_input": "34", "r": "12"}
    assert caller.dialogue.outcome.errors == 0


def test_keys_that_come_early_wait_for_their_input() -> None:
    caller = Caller(
        {"prompt": prompt("Welcome", 5)},
        {"collect": {"into": "a", "max": 2}},
        {"collect": {"into": "b", "max": 2, "prompt": prompt("and now", 5)}},
        {"exit": {"result": "{a}/{b}"}},
    )
    caller.press("12#34")
    assert caller.result["result"] == "12/34"
    assert caller.texts == ["Welcome", "and now"]


def test_while_a_key_waits_prompts_with_barge_in_are_passed_over() -> None:
    caller = Caller({"prompt": prompt("one")}, {"prompt": prompt("two")}, {"collect": None})
    assert caller.press("7").result["caller_input"] == "7"
    assert caller.texts == ["one"]


def test_a_key_ends_a_prompt_and_is_the_first_of_the_input() -> None:
    caller = Caller({"collect": {"prompt": prompt("Your number", 10), "max": 2}})
    caller.wait(1).press("1").wait(1).press("2")
    assert caller.results == [(2.0, {"error_code": "0", "caller_input": "12"})]


def test_without_barge_in_a_prompt_is_heard_to_its_end() -> None:
    deaf = prompt("The law says", 4, barge_in=False)
    caller = Caller({"prompt": deaf}, {"collect": {"first_digit_timeout": 2, "retries": 0}})
    caller.wait(1).press("12").wait(2.5)
    assert caller.results == []
    caller.wait(2.6)
    assert caller.result == {"error_code": "noinput"}, "the keys in between were discarded"


def test_a_prompt_without_barge_in_discards_what_was_typed_before() -> None:
    deaf = prompt("Listen", 1, barge_in=False)
    caller = Caller({"prompt": prompt("hello", 3)}, {"prompt": deaf}, {"collect": None})
    caller.press("1").wait(2)
    assert caller.results == []
    assert caller.texts == ["hello", "Listen"]


def test_no_input_is_told_and_asked_again() -> None:
    step = {
        "collect": {
            "prompt": prompt("Your number"),
            "no_input": prompt("I hear nothing"),
            "first_digit_timeout": 5,
            "retries": 2,
        }
    }
    caller = Caller(step).wait(60)
    assert caller.heard == [(0.0, "Your number"), (6.0, "I hear nothing"), (12.0, "I hear nothing")]
    assert caller.results == [(18.0, {"error_code": "noinput"})]
    assert caller.dialogue.outcome.failed
    assert caller.dialogue.outcome.timeouts == 3
    assert caller.dialogue.outcome.errors == 0


def test_without_words_for_no_input_the_prompt_is_played_again() -> None:
    caller = Caller({"collect": {"prompt": prompt("Your number"), "retries": 1}}).wait(60)
    assert caller.texts == ["Your number", "Your number"]


def test_no_match_is_told_and_asked_again() -> None:
    step = {
        "collect": {
            "accept": ["1", "2XX"],
            "max": 3,
            "no_match": prompt("That is no choice"),
            "retries": 1,
        }
    }
    caller = Caller(step).press("9#")
    assert caller.texts == ["That is no choice"]
    caller.press("234")
    assert caller.result == {"error_code": "0", "caller_input": "234"}
    assert caller.dialogue.outcome.errors == 1
    assert not caller.dialogue.outcome.failed


def test_too_few_digits_do_not_match() -> None:
    caller = Caller({"collect": {"min": 4, "max": 8, "retries": 0}}).press("123#")
    assert caller.result == {"error_code": "nomatch"}
    assert caller.dialogue.outcome.failed
    assert caller.dialogue.outcome.errors == 1


def test_a_terminator_alone_does_not_match() -> None:
    assert Caller({"collect": {"retries": 0}}).press("#").result == {"error_code": "nomatch"}


def test_after_a_wrong_input_what_was_typed_behind_it_is_forgotten() -> None:
    caller = Caller({"collect": {"prompt": prompt("?", 9), "accept": "1", "retries": 1}})
    caller.dialogue._waiting = "91"
    caller.press("9")
    assert caller.results == []
    assert caller.press("1").result["caller_input"] == "1"


def test_what_comes_after_the_last_try() -> None:
    caller = Caller(
        {"collect": {"retries": 0, "on_failure": "agent"}},
        {"exit": {"result": "self"}},
        {"name": "agent", "exit": {"result": "agent after {error_code}"}},
    ).wait(6)
    assert caller.result == {"error_code": "noinput", "result": "agent after noinput"}
    assert not caller.dialogue.outcome.failed, "the application came to an exit of its own"
    assert caller.dialogue.outcome.timeouts == 1


MENU = (
    {
        "name": "menu",
        "collect": {"prompt": prompt("1 sales, 2 support"), "accept": ["1", "2", "9"]},
    },
    {"branch": {"cases": {"1": "sales", "2": "support"}, "else": "menu"}},
    {"name": "sales", "set": {"group": "sales"}, "next": "end"},
    {"name": "support", "set": {"group": "support of {ani}"}},
    {"name": "end", "exit": {"callVariable1": "{group}", "caller_input": "x{digits}"}},
)


@pytest.mark.parametrize(
    ("keys", "group"), [("1", "sales"), ("2", "support of 555"), ("992", "support of 555")]
)
def test_a_menu(keys: str, group: str) -> None:
    caller = Caller(*MENU, ani="555").press(keys)
    assert caller.result == {
        "error_code": "0",
        "callVariable1": group,
        "caller_input": f"x{keys[-1]}",
    }


def test_branches_on_variables_of_the_call() -> None:
    steps = (
        {"branch": {"on": "callVariable1", "cases": {"gold": "vip"}}},
        {"branch": {"on": "X-Customer", "cases": {"42": "vip"}}},
        {"exit": {"result": "plain"}},
        {"name": "vip", "exit": {"result": "vip"}},
    )
    assert Caller(*steps).result["result"] == "plain"
    assert Caller(*steps, callVariable1="gold").result["result"] == "vip"
    assert Caller(*steps, **{"x-customer": "42"}).result["result"] == "vip"


def test_prompts_have_the_values_of_variables() -> None:
    caller = Caller({"prompt": prompt("{X-Name}, {user.microapp.uui} and {nobody}.")})
    assert caller.texts == [",  and ."]
    values = {"X-NAME": "Ada", "user.microapp.uui": "7"}
    caller = Caller({"prompt": prompt("{X-Name}, {user.microapp.uui} and {nobody}.")}, **values)
    assert caller.texts == ["Ada, 7 and ."]


def test_an_application_that_never_waits_is_ended() -> None:
    caller = Caller({"name": "a", "prompt": prompt("", 0)}, {"prompt": prompt("", 0), "next": "a"})
    assert caller.result == {"error_code": "error.semantic"}
    assert caller.dialogue.outcome.failed


def test_a_long_dialogue_is_not_taken_for_an_endless_one() -> None:
    caller = Caller({"name": "again", "collect": {}, "next": "again"})
    for _ in range(2000):
        caller.press("1")
    assert caller.results == []


def test_nothing_is_left_when_the_caller_is_gone() -> None:
    caller = Caller({"collect": {"prompt": prompt("Your number", 5)}})
    caller.dialogue.stop()
    caller.press("1").wait(60)
    assert caller.results == []
    assert caller.wheel.running == 0
