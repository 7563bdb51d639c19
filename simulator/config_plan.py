"""The plan in the configuration: dialed numbers and routes."""

from typing import Annotated

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    model_validator,
)

from simulator.config_base import Name, PatternText, Section, Text
from simulator.config_dial_plan import GroupName
from simulator.config_icm import is_extension
from simulator.config_sections import DEFAULT_RING_NO_ANSWER, RingNoAnswer
from simulator.config_services import Number
from simulator.config_values import SipTarget
from simulator.profile_patterns import check_pattern
from simulator.script import check_label
from simulator.views import CallType


def _survey(text: str) -> str:
    if text and not is_extension(text):
        raise ValueError(f"{text!r} is not a number: 1 to 32 letters, digits, + * # . _ -")
    return text


def _label(text: str) -> str:
    return check_label(text, text.replace("{dnis}", "1"))


LabelText = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_label)]
Target = Annotated[SipTarget, PlainValidator(SipTarget.parse), PlainSerializer(str)]


class DialedNumber(Section):
    """One line of the dial plan; exactly one of `script` and `label`, or a server group."""

    pattern: Annotated[str, AfterValidator(check_pattern)] = Field(
        description="At most 24 letters and digits; . or X one character, last > any rest; or as "
        "dial_plan.syntax says."
    )
    description: Text = ""
    call_type: CallType = "preroute"
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
        default="",
        description="Application that takes the call where ICM fails: after dialogue_failure or "
        "silence, or without an answer of the webhook where the script has no node below it.",
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


class DirectRoute(Section):
    """Numbers or labels of a pattern are sent to one place."""

    pattern: PatternText
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


class StaticRoute(DirectRoute):
    """The same for labels, and how they are treated."""

    ring_no_answer: RingNoAnswer | None = Field(
        default=None, description="Seconds for labels of this pattern; unset: as the number says."
    )
    ringtone: Number = Field(
        default="", description="Ringtone service for labels of this pattern. Unset: the usual."
    )
    ringtone_file: Text = Field(
        default="", description="What the ringtone service is to play, in its X-Announcement."
    )
