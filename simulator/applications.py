"""VXML applications as the configuration writes them: the dialogues of the lab gateway.

An application is a list of steps. It begins at the first and goes on from each to the one
below, unless the step names another by `next`; after the last it exits.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from simulator.config_base import Name, Patterns, Section, Text, printable
from simulator.patterns import Pattern

REFERENCE: Final = re.compile(r"\{([A-Za-z0-9_.\[\]-]{1,64})\}", re.ASCII)
"""A variable in a text."""

DIGITS: Final = "0123456789*#ABCD"

_NAME: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}", re.ASCII)
_STEP_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}", re.ASCII)
_SPEECH: Final = 15.0  # characters that are spoken in a second
_MOST: Final = 32  # digits of one input

Place: TypeAlias = tuple[str | int, ...]


def _references(text: str) -> str:
    rest = REFERENCE.sub("", printable(text))
    if "{" in rest or "}" in rest:
        raise ValueError(f"{text!r} has a brace that is not around a variable, as in {{ani}}")
    return text


def _variable(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a variable: 1 to 64 letters, digits, _ . - [ ]")
    return text


def _step_name(text: str) -> str:
    if not _STEP_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of a step: 1 to 40 letters, digits, _ . -")
    return text


def _terminator(text: str) -> str:
    if text and (len(text) != 1 or text not in DIGITS):
        raise ValueError(f"{text!r} is not one key of {DIGITS}; '' for none")
    return text


Variable = Annotated[str, AfterValidator(_variable)]
StepName = Annotated[str, AfterValidator(_step_name)]
Template = Annotated[str, Field(max_length=1000), AfterValidator(_references)]
Seconds = Annotated[float, Field(ge=0.05, le=600)]


class Prompt(Section):
    """What the caller hears: `text`, which may hold variables in braces, for `seconds`.

    Where `seconds` is not given, it is as long as the text takes to be spoken. With
    `barge_in` a key ends it, and is the first of the input that follows.
    """

    text: Template = ""
    seconds: float | None = Field(default=None, ge=0, le=3600)
    barge_in: bool = True

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        """The text alone."""
        return {"text": data} if isinstance(data, str) else data

    def length(self, text: str) -> float:
        """Seconds that it takes with this text, its variables put in."""
        return len(text) / _SPEECH if self.seconds is None else self.seconds


class Collect(Section):
    """Digits of the caller become the variable `into`.

    Input ends with the `terminator`, with `max` digits, or when no key comes for
    `inter_digit_timeout`. Nothing in `first_digit_timeout` is no input; fewer than `min`
    digits, or none of the patterns `accept`, is no match: the caller is told and has as many
    further tries as `retries`. Then the application goes on at `on_failure`, or exits with
    error_code noinput or nomatch.
    """

    into: Variable = "digits"
    prompt: Prompt | None = None
    min: int = Field(default=1, ge=1, le=_MOST)
    max: int = Field(default=1, ge=1, le=_MOST)
    accept: Patterns = ()
    terminator: Annotated[str, AfterValidator(_terminator)] = "#"
    first_digit_timeout: Seconds = 5.0
    inter_digit_timeout: Seconds = 3.0
    retries: int = Field(default=2, ge=0, le=20)
    no_input: Prompt | None = None
    no_match: Prompt | None = None
    on_failure: StepName | None = None

    @model_validator(mode="after")
    def _rises(self) -> "Collect":
        if self.min > self.max:
            raise ValueError(f"'min' ({self.min}) is above 'max' ({self.max}); raise 'max'")
        return self

    def accepts(self, digits: str) -> bool:
        """Whether the digits are an input of this step."""
        if len(digits) < self.min:
            return False
        return not self.accept or any(Pattern.parse(one).matches(digits) for one in self.accept)


class Branch(Section):
    """On at the step that `cases` has for the value of the variable `on`, or at `else`."""

    model_config = ConfigDict(populate_by_name=True)

    on: Variable = "digits"
    cases: dict[Text, StepName] = Field(min_length=1)
    otherwise: StepName | None = Field(default=None, alias="else")


Action: TypeAlias = Prompt | Collect | Branch | dict[str, str]

_BESIDE: Final = frozenset({"name", "next"})


class Step(Section):
    """One step of an application: exactly one of the kinds is set, `action` is that one."""

    model_config = ConfigDict(populate_by_name=True)

    prompt: Prompt | None = None
    collect: Collect | None = None
    assign: dict[Variable, Template] | None = Field(default=None, alias="set", min_length=1)
    branch: Branch | None = None
    exit: dict[Variable, Template] | None = None
    name: StepName | None = None
    next: StepName | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        """``- exit`` and ``- exit:`` for ``- exit: {}``; likewise collect."""
        data = {data: None} if isinstance(data, str) else data
        if isinstance(data, Mapping):
            return {
                key: {} if value is None and key in ("exit", "collect") else value
                for key, value in data.items()
            }
        return data

    @model_validator(mode="after")
    def _exactly_one(self) -> "Step":
        if len(self.model_fields_set - _BESIDE) != 1:
            raise ValueError("needs exactly one of prompt, collect, set, branch, exit")
        if self.next is not None and self.exit is not None:
            raise ValueError("nothing comes after 'exit'; remove 'next'")
        return self

    @property
    def action(self) -> Action:
        """What to do."""
        (name,) = self.model_fields_set - _BESIDE
        found: Action = getattr(self, name)
        return found

    def references(self) -> Iterator[tuple[Place, str]]:
        """Every step that this one names, and where."""
        if self.next is not None:
            yield ("next",), self.next
        if self.collect is not None and self.collect.on_failure is not None:
            yield ("collect", "on_failure"), self.collect.on_failure
        if self.branch is not None:
            for value, name in self.branch.cases.items():
                yield ("branch", "cases", value), name
            if self.branch.otherwise is not None:
                yield ("branch", "else"), self.branch.otherwise


Application = Annotated[tuple[Step, ...], Field(min_length=1, max_length=1000)]
"""The steps of an application, in their order."""

Applications = dict[Name, Application]
