"""The simulated ICM in the configuration: its scripts, skill groups, agents and webhook."""

import re
from typing import Annotated, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from simulator.config_base import Name, Section, Text, one_or_many
from simulator.config_values import check_http_url
from simulator.script import Script

AgentState: TypeAlias = Literal["available", "not_ready", "busy", "logged_out"]

_EXTENSION: Final = re.compile(r"[A-Za-z0-9+*#._-]{1,32}", re.ASCII)
_VRU_LABEL: Final = re.compile(r"[A-Za-z0-9]{1,20}", re.ASCII)


def is_extension(text: str) -> bool:
    """Whether a phone can have this number."""
    return _EXTENSION.fullmatch(text) is not None


def _extension(text: str) -> str:
    if not is_extension(text):
        raise ValueError(f"{text!r} is not an extension: 1 to 32 letters, digits, + * # . _ -")
    return text


def _vru_label(text: str) -> str:
    if not _VRU_LABEL.fullmatch(text):
        raise ValueError(f"{text!r} is not a VRU label: 1 to 20 letters and digits")
    return text


def _timezone(text: str) -> str:
    try:
        if text:
            ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{text!r} is not a time zone such as Europe/Berlin") from None
    return text


Extension = Annotated[str, AfterValidator(_extension)]


class SkillGroup(Section):
    """A queue and who serves it."""

    wait: float = Field(default=0.0, ge=0, description="Seconds until an agent is free.")
    handling_time: float = Field(
        default=120.0,
        gt=0,
        description="Seconds that a call takes an agent, for the estimated wait until calls "
        "have shown it.",
    )
    whisper: Text = Field(
        default="", description="Announcement that its agents hear before the caller is joined."
    )
    greeting: Text = Field(default="", description="Played when an agent has answered.")
    agents: Annotated[tuple[Extension, ...], BeforeValidator(one_or_many)] = Field(min_length=1)


class Agent(Section):
    """An agent at an extension."""

    agent_id: Text = ""
    name: Text = ""
    state: AgentState = Field(default="available", description="At the start.")
    max_calls: int = Field(default=0, ge=0, description="Calls at a time; 0: no limit.")
    whisper: Text = Field(default="", description="In place of the skill group's.")
    greeting: Text = Field(default="", description="In place of the skill group's.")


class CorrelationIds(Section):
    """The numbers appended to the VRU label, as many digits each as `last` has."""

    first: int = Field(default=1, ge=0, description="The first of them, with zeros in front.")
    last: int = Field(
        default=99_999, ge=1, le=999_999_999, description="The last of them; then the first again."
    )

    @model_validator(mode="after")
    def _rises(self) -> "CorrelationIds":
        if self.first >= self.last:
            raise ValueError("'first' must be below 'last'")
        return self

    @property
    def digits(self) -> int:
        """How many digits each has."""
        return len(str(self.last))


class WebhookSection(Section):
    """Your own router over HTTP: what the node webhook of a script asks."""

    url: Annotated[str, AfterValidator(check_http_url)] | None = Field(
        default=None, description="http://... or https://..., which gets a POST for each decision."
    )
    token: Text = Field(default="", description="Sent as Authorization: Bearer, if set.")
    timeout: float = Field(default=2.0, ge=0.05, le=60, description="Seconds for an answer.")
    failures: int = Field(
        default=3, ge=1, le=1000, description="Failures in a row after which it is left in peace."
    )
    retry_after: float = Field(
        default=10.0, ge=0.1, le=3600, description="Seconds of peace, then one call tries it."
    )


class CallbackSection(Section):
    """Courtesy callback: when and how a caller who has left is called."""

    lead: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="Seconds of estimated wait that are left when the caller is called.",
    )
    attempts: int = Field(default=3, ge=1, le=100, description="How often, at most.")
    interval: float = Field(
        default=60.0, ge=0.1, le=86_400, description="Seconds between the attempts."
    )
    expires: float = Field(
        default=14_400.0,
        ge=60,
        le=604_800,
        description="Seconds after which a caller who could not be called back is given up.",
    )
    route: Literal["originator", "plan"] = Field(
        default="originator",
        description="originator: by the gateway that the call came from (its Contact). "
        "plan: by routes.",
    )


class IcmSection(Section):
    """The simulated ICM."""

    max_dnis_length: int = Field(
        default=10,
        ge=1,
        le=32,
        description="Numbers that are longer and begin with a VRU label are returns from the VRU.",
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
    release_status: int = Field(
        default=480,
        ge=400,
        le=699,
        description="SIP code of a caller whom ICM releases before the answer.",
    )
    failure_status: int = Field(
        default=404,
        ge=400,
        le=699,
        description="SIP code where ICM fails (DIALOGUE_FAILURE) or says nothing.",
    )
    max_steps: int = Field(
        default=1000,
        ge=10,
        le=1_000_000,
        description="Nodes that one call may pass: an endless script ends there.",
    )
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        default="",
        description="Of time and weekday in scripts, such as Europe/Berlin. Unset: the machine's.",
    )
    seed: int | None = Field(
        default=None, description="A number makes percent allocation the same in each run."
    )
    webhook: WebhookSection = WebhookSection()
    callback: CallbackSection = CallbackSection()
    scripts: dict[Name, Script] = Field(
        default_factory=dict,
        description="Nodes each, as a list or by name: answer, self_service or run_application, "
        "queue, callback, connect or label, release, set, if, percent, requery, webhook; each "
        "goes on at the one below, or at its next.",
    )
    skill_groups: dict[Name, SkillGroup] = Field(
        default_factory=dict,
        description="By name: who serves a queue. wait: seconds until an agent is free.",
    )
    agents: dict[Extension, Agent] = Field(
        default_factory=dict,
        description="By extension. max_calls at a time, 0: no limit; state at the start: "
        "available, not_ready, busy or logged_out.",
    )
