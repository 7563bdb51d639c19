"""The nodes of an ICM script, as the configuration writes them.

A script is a list of nodes, or a mapping of names to nodes. It begins at the first and goes
on from each to the one below, unless the node names another; the nodes of a list are called
1, 2, 3 where they have no `name`. After the last node the call is released.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from simulator.config_base import Name, Patterns, Section, Text, one_or_many
from simulator.variables import Variables

_NODE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}", re.ASCII)
_REFERENCE: Final = re.compile(r"\{[A-Za-z0-9_.\[\]-]{1,64}\}", re.ASCII)
_HOURS: Final = re.compile(r"(\d\d?):(\d\d)\s*-\s*(\d\d?):(\d\d)", re.ASCII)
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Place: TypeAlias = tuple[str | int, ...]


def check_label(text: str, rest: str) -> str:
    """`text` if `rest`, which is the same without what stands for something, can be dialed."""
    if any(c in "{}" or c.isspace() for c in rest) or not rest.isprintable():
        raise ValueError(f"{text!r} may hold {{dnis}} for the dialed number, but no blank or brace")
    return text


def _label(text: str) -> str:
    return check_label(text, _REFERENCE.sub("1", text))


def _node_name(text: str) -> str:
    if not _NODE_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of a node: 1 to 40 letters, digits, _ . -")
    return text


def minutes(text: str) -> tuple[int, int]:
    """``08:00-17:30`` as minutes of the day; ValueError otherwise."""
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time of day such as 08:00-17:30")
    hours = [int(part) for part in match.groups()]
    begin, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if hours[1] > 59 or hours[3] > 59 or begin >= 1440 or end > 1440 or begin == end:
        raise ValueError(f"{text!r} is not a time of day: from 00:00 to 24:00, and not empty")
    return begin, end


def days(text: str) -> frozenset[int]:
    """``mon-fri`` or ``sat`` as days of the week, Monday is 0; ValueError otherwise."""
    first, dash, last = text.lower().partition("-")
    if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
        raise ValueError(f"{text!r} is not a day or days of {', '.join(WEEKDAYS)}, such as mon-fri")
    begin = WEEKDAYS.index(first)
    length = (WEEKDAYS.index(last) - begin) % 7 if dash else 0
    return frozenset((begin + day) % 7 for day in range(length + 1))


def _time(text: str) -> str:
    minutes(text)
    return text


def _weekday(text: str) -> str:
    days(text)
    return text


NodeName = Annotated[str, AfterValidator(_node_name)]
LabelText = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_label)]


class Answer(Section):
    """The call server answers itself: no second leg."""


class SelfService(Section):
    """The caller is with a VXML application: for `seconds`, or until it ends.

    `branches` leads on by the value of `variable` in its result.
    """

    application: Name
    seconds: float | None = Field(default=None, gt=0)
    variable: Name = "result"
    branches: dict[Text, NodeName] = Field(default_factory=dict)
    timeout: NodeName | None = None
    on_failure: NodeName | None = None


class Queue(Section):
    """The caller waits for an agent of a skill group: at most `seconds`, if given."""

    skill_group: Name
    seconds: float | None = Field(default=None, gt=0)
    timeout: NodeName | None = None
    on_failure: NodeName | None = None


class Callback(Section):
    """The caller leaves, keeps the place in the queue of a skill group, and is called back.

    The node below is for the caller who is back; `on_failure` for one who has no number.
    """

    skill_group: Name
    number: LabelText = "{ani}"
    on_failure: NodeName | None = None


class Connect(Section):
    """The caller is connected to a label, which may hold ``{dnis}`` and variables."""

    label: LabelText
    on_failure: NodeName | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        """The label alone."""
        return {"label": data} if isinstance(data, str) else data


class Release(Section):
    """The call ends: with this SIP status if it is not answered yet."""

    status: int | None = Field(default=None, ge=400, le=699)


class Condition(Section):
    """What must hold, all of it; of several values of one key one is enough."""

    model_config = ConfigDict(populate_by_name=True)

    variable: Name | None = None
    equals: Annotated[tuple[Text, ...], BeforeValidator(one_or_many)] = ()
    above: float | None = None
    below: float | None = None
    time: Annotated[tuple[Annotated[str, AfterValidator(_time)], ...],
                    BeforeValidator(one_or_many)] = ()  # fmt: skip
    weekday: Annotated[tuple[Annotated[str, AfterValidator(_weekday)], ...],
                       BeforeValidator(one_or_many)] = ()  # fmt: skip
    digits: Patterns = ()
    dialed: Patterns = ()
    calling: Patterns = ()
    then: NodeName | None = None
    otherwise: NodeName | None = Field(default=None, alias="else")

    @model_validator(mode="after")
    def _asks_something(self) -> "Condition":
        compared = bool(self.equals) or self.above is not None or self.below is not None
        if compared and self.variable is None:
            raise ValueError("'equals', 'above' and 'below' need 'variable'")
        if self.variable is not None and not compared:
            raise ValueError("'variable' needs 'equals', 'above' or 'below'")
        asked = compared or self.time or self.weekday or self.digits or self.dialed or self.calling
        if not asked:
            raise ValueError("needs one of variable, time, weekday, digits, dialed, calling")
        if self.then is None and self.otherwise is None:
            raise ValueError("needs 'then' or 'else', the node to go on at")
        return self


class Requery(Section):
    """Where a call goes whose target could not be reached, by RequeryStatus."""

    busy: NodeName | None = None
    no_answer: NodeName | None = None
    connect_failure: NodeName | None = None


class Webhook(Section):
    """icm.webhook is asked what to do; the node below takes over where it fails."""


class DialogueFailure(Section):
    """ICM sends DIALOGUE_FAILURE_EVENT with this error code."""

    error: int = Field(default=15, ge=1, le=255)


class Silence(Section):
    """ICM says nothing more: after icm.wait the call is given up."""


Action: TypeAlias = (
    Answer | SelfService | Queue | Callback | Connect | Release | Condition | Requery | Webhook
    | DialogueFailure | Silence | dict[str, str] | dict[str, float]
)  # fmt: skip

_BESIDE: Final = frozenset({"name", "next"})


class Step(Section):
    """One node of a script: exactly one of the kinds is set, `action` is that one."""

    model_config = ConfigDict(populate_by_name=True)

    answer: Answer | None = None
    self_service: SelfService | None = None
    run_application: SelfService | None = None
    queue: Queue | None = None
    callback: Callback | None = None
    connect: Connect | None = None
    label: Connect | None = None
    release: Release | None = None
    assign: dict[Name, Text] | None = Field(default=None, alias="set")
    condition: Condition | None = Field(default=None, alias="if")
    percent: dict[NodeName, float] | None = None
    requery: Requery | None = None
    webhook: Webhook | None = None
    dialogue_failure: DialogueFailure | None = None
    silence: Silence | None = None
    name: NodeName | None = None
    next: NodeName | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        """``- answer`` and ``- answer:`` for ``- answer: {}``; likewise release."""
        data = {data: None} if isinstance(data, str) else data
        if isinstance(data, Mapping):
            return {
                key: {} if value is None and key not in _BESIDE else value
                for key, value in data.items()
            }
        return data

    @model_validator(mode="after")
    def _exactly_one(self) -> "Step":
        if len(self.model_fields_set - _BESIDE) != 1:
            fields = type(self).model_fields.items()
            kinds = [info.alias or name for name, info in fields if name not in _BESIDE]
            raise ValueError(f"needs exactly one of {', '.join(kinds)}")
        if self.assign is not None:
            _check_variables(self.assign)
        if self.percent is not None and abs(sum(self.percent.values()) - 100) > 1e-6:
            total = sum(self.percent.values())
            raise ValueError(f"the parts of percent are {total:g} together; make them 100")
        if self.percent is not None and min(self.percent.values()) < 0:
            raise ValueError("no part of percent may be below 0")
        return self

    @property
    def field(self) -> str:
        """The attribute that is set."""
        (name,) = self.model_fields_set - _BESIDE
        return name

    @property
    def kind(self) -> str:
        """What the node is, in the words of the configuration."""
        name = self.field
        return type(self).model_fields[name].alias or name

    @property
    def action(self) -> Action:
        """What to do."""
        found: Action = getattr(self, self.field)
        return found

    def references(self) -> Iterator[tuple[Place, str]]:
        """Every node that this one names, and where."""
        action: Any = self.action
        kind = self.kind
        if self.next is not None:
            yield ("next",), self.next
        if self.percent is not None:
            for name in self.percent:
                yield (kind, name), name
        elif not isinstance(action, Mapping):
            fields: Mapping[str, Any] = type(action).model_fields
            for field, key in _BRANCHES.items():
                if field in fields and getattr(action, field) is not None:
                    yield (kind, key), getattr(action, field)
            if isinstance(action, SelfService):
                for value, name in action.branches.items():
                    yield (kind, "branches", value), name


_BRANCHES: Final = {
    "timeout": "timeout",
    "on_failure": "on_failure",
    "then": "then",
    "otherwise": "else",
    "busy": "busy",
    "no_answer": "no_answer",
    "connect_failure": "connect_failure",
}


def variable_group(name: str) -> Literal["call", "peripheral", "ecc"]:
    """Which of the sets of variables a name belongs to."""
    if name.startswith("callVariable"):
        return "call"
    return "peripheral" if name.startswith("peripheral") else "ecc"


def _check_variables(wanted: Mapping[str, str]) -> None:
    """ValueError for a name that no variable has, or text that is too long for it."""
    if not wanted:
        raise ValueError("needs a variable to set")
    for name, text in wanted.items():
        shown = _REFERENCE.sub("", text)
        if "{" in shown or "}" in shown:
            raise ValueError(f"{text!r} may hold names of variables in braces, such as {{dnis}}")
        group = variable_group(name)
        try:
            Variables().update(**{group: {name: shown}})
        except Exception as error:
            raise ValueError(str(error)) from None


def as_list(data: object) -> object:
    """A script written as a mapping: the name of each node goes into it."""
    if not isinstance(data, Mapping):
        return data
    nodes: list[object] = []
    for name, node in data.items():
        if isinstance(node, Mapping) and "name" in node:
            raise ValueError(f"node {name!r} is named by its key; remove 'name' in it")
        inner = {node: None} if isinstance(node, str) else node if node is not None else {}
        nodes.append({"name": name, **inner} if isinstance(inner, Mapping) else inner)
    return nodes


Script = Annotated[tuple[Step, ...], BeforeValidator(as_list), Field(min_length=1, max_length=1000)]
"""The nodes of a script, in their order."""


def names_of(steps: tuple[Step, ...]) -> list[str]:
    """The name of each node: its own, or its place in the list from 1."""
    return [step.name or str(place) for place, step in enumerate(steps, 1)]
