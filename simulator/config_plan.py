"""The plan in the configuration: dialed numbers, routes, and the scripted ICM."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    model_validator,
)

from simulator.config_base import Name, Section, Text, one_or_many
from simulator.config_dial_plan import GroupName
from simulator.config_sections import DEFAULT_RING_NO_ANSWER, RingNoAnswer
from simulator.config_services import Number
from simulator.config_values import SipTarget
from simulator.patterns import Pattern
from simulator.profile_patterns import check_pattern

_EXTENSION: Final = re.compile(r"[A-Za-z0-9+*#._-]{1,32}", re.ASCII)
_VRU_LABEL: Final = re.compile(r"[A-Za-z0-9]{1,20}", re.ASCII)


def _pattern(text: str) -> str:
    return Pattern.parse(text).text


def _survey(text: str) -> str:
    if text and not _EXTENSION.fullmatch(text):
        raise ValueError(f"{text!r} is not a number: 1 to 32 letters, digits, + * # . _ -")
    return text


def _label(text: str) -> str:
    rest = text.replace("{dnis}", "1")
    if any(c in "{}" or c.isspace() for c in rest) or not rest.isprintable():
        raise ValueError(f"{text!r} may hold {{dnis}} for the dialed number, but no blank or brace")
    return text


def _extension(text: str) -> str:
    if not _EXTENSION.fullmatch(text):
        raise ValueError(f"{text!r} is not an extension: 1 to 32 letters, digits, + * # . _ -")
    return text


def _vru_label(text: str) -> str:
    if not _VRU_LABEL.fullmatch(text):
        raise ValueError(f"{text!r} is not a VRU label: 1 to 20 letters and digits")
    return text


Extension = Annotated[str, AfterValidator(_extension)]
PatternText = Annotated[str, AfterValidator(_pattern)]
LabelText = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_label)]
Target = Annotated[SipTarget, PlainValidator(SipTarget.parse), PlainSerializer(str)]


class DialedNumber(Section):
    """One line of the dial plan; exactly one of `script` and `label`, or a server group."""

    pattern: Annotated[str, AfterValidator(check_pattern)] = Field(
        description="At most 24 letters and digits; . or X one character, last > any rest; or as "
        "dial_plan.syntax says."
    )
    description: Text = ""
    call_type: Literal["preroute", "translation_route", "post_route"] = "preroute"
    application: Text = ""
    enabled: bool = True
    script: Name | None = Field(default=None, description="Name under icm.scripts.")
    label: LabelText | None = Field(
        default=None, description="Where the call goes; may hold {dnis}."
    )
    ring_no_answer: RingNoAnswer = DEFAULT_RING_NO_ANSWER
    priority: int = Field(
        default=1, ge=1, description="The lowest wins where dial_plan.syntax is profile."
    )
    server_group: GroupName | None = Field(
        default=None,
        description="Where the call goes without script and label; with one of them, where "
        "labels go that no route takes.",
    )
    survival_application: Text = Field(
        default="", description="Application for callers while ICM cannot be asked."
    )
    survey: Annotated[str, AfterValidator(_survey)] = Field(
        default="",
        description="Post-call survey: the dialed number that a caller goes to when the agent "
        "has hung up.",
    )

    @model_validator(mode="after")
    def _one_treatment(self) -> "DialedNumber":
        if self.script is None and self.label is None and self.server_group is not None:
            return self
        if (self.script is None) == (self.label is None):
            raise ValueError("needs exactly one of 'script' and 'label', or 'server_group' alone")
        return self


class StaticRoute(Section):
    """Numbers or labels of a pattern are sent to one place."""

    pattern: PatternText
    ring_no_answer: RingNoAnswer | None = Field(
        default=None, description="Seconds for labels of this pattern; unset: as the number says."
    )
    ringtone: Number = Field(
        default="", description="Ringtone service for labels of this pattern. Unset: the usual."
    )
    ringtone_file: Text = Field(
        default="", description="What the ringtone service is to play, in its X-Announcement."
    )
    to: Target = Field(
        description="sip:HOST:PORT, with ;transport=tcp or tls if not UDP; HOST may be a server "
        "group."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        """``PATTERN=sip:HOST:PORT`` as on the command line."""
        if not isinstance(data, str):
            return data
        pattern, equals, to = data.partition("=")
        if not equals:
            raise ValueError(f"{data!r} is not PATTERN=sip:HOST:PORT")
        return {"pattern": pattern.strip(), "to": to.strip()}


class Answer(Section):
    """The call server answers itself: no second leg."""


class SelfService(Section):
    """The caller is with a VXML application: for `seconds`, or until it ends."""

    application: Name
    seconds: float | None = Field(default=None, gt=0)


class Queue(Section):
    """The caller waits for an agent of a skill group: at most `seconds`, if given."""

    skill_group: Name
    seconds: float | None = Field(default=None, gt=0)


class Connect(Section):
    """The caller is connected to a label, which may hold ``{dnis}``."""

    label: LabelText


class Release(Section):
    """The call ends: with this SIP status if it is not answered yet."""

    status: int = Field(default=480, ge=400, le=699)


class Step(Section):
    """One step of a script: exactly one of the five is set; `action` is that one."""

    answer: Answer | None = None
    self_service: SelfService | None = None
    queue: Queue | None = None
    connect: Connect | None = None
    release: Release | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        """``- answer`` and ``- answer:`` for ``- answer: {}``; likewise release."""
        data = {data: None} if isinstance(data, str) else data
        if isinstance(data, Mapping):
            return {key: {} if value is None else value for key, value in data.items()}
        return data

    @model_validator(mode="after")
    def _exactly_one(self) -> "Step":
        if len(self.model_fields_set) != 1:
            raise ValueError(f"needs exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def action(self) -> Answer | SelfService | Queue | Connect | Release:
        """What to do."""
        found = self.answer or self.self_service or self.queue or self.connect or self.release
        assert found is not None
        return found


class SkillGroup(Section):
    """A queue and who serves it."""

    wait: float = Field(default=0.0, ge=0, description="Seconds until an agent is free.")
    whisper: Text = Field(
        default="", description="Announcement that its agents hear before the caller is joined."
    )
    greeting: Text = Field(default="", description="Played when an agent has answered.")
    agents: Annotated[tuple[Extension, ...], BeforeValidator(one_or_many)] = Field(min_length=1)


class Agent(Section):
    """An agent at an extension."""

    agent_id: Text = ""
    name: Text = ""
    max_calls: int = Field(default=0, ge=0, description="Calls at a time; 0: no limit.")
    whisper: Text = Field(default="", description="In place of the skill group's.")
    greeting: Text = Field(default="", description="In place of the skill group's.")


class CorrelationIds(Section):
    """The numbers appended to the VRU label, as many digits each as `last` has."""

    first: int = Field(default=1, ge=0)
    last: int = Field(default=99_999, ge=1, le=999_999_999)

    @model_validator(mode="after")
    def _rises(self) -> "CorrelationIds":
        if self.first >= self.last:
            raise ValueError("'first' must be below 'last'")
        return self

    @property
    def digits(self) -> int:
        """How many digits each has."""
        return len(str(self.last))


class IcmSection(Section):
    """The scripted ICM."""

    max_dnis_length: int = Field(
        default=10,
        ge=1,
        le=32,
        description="Longer numbers are returns from the VRU, if by its label.",
    )
    vru_label: Annotated[str, AfterValidator(_vru_label)] = Field(
        default="7770000000", description="Label to the VRU; a correlation id is appended."
    )
    correlation_ids: CorrelationIds = CorrelationIds()
    wait: float = Field(
        default=2.0,
        ge=0,
        le=60,
        description="Seconds to wait for ICM instructions after a failure.",
    )
    scripts: dict[Name, Annotated[tuple[Step, ...], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="Steps each: answer, self_service, queue, connect, release.",
    )
    skill_groups: dict[Name, SkillGroup] = Field(
        default_factory=dict, description="By name: seconds until an agent is free, extensions."
    )
    agents: dict[Extension, Agent] = Field(
        default_factory=dict, description="By extension: agent_id, name, max_calls (0: no limit)."
    )
