"""The schemas of fault rules: those of the configuration, read strictly."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from api.models import Reply, Request, Text
from simulator.config_base import Section
from simulator.config_faults import (
    ACTIONS,
    SETS,
    Delay,
    FaultAnswer,
    FaultRule,
    SdpChange,
)
from simulator.fault_rules import ActiveRule


def _without_null(schema: JsonDict) -> None:
    """What is not given is left out, in requests and answers, and never null."""
    properties = schema["properties"]
    assert isinstance(properties, dict)
    for name, kept in properties.items():
        assert isinstance(kept, dict)
        choices = kept.get("anyOf")
        if isinstance(choices, list) and {"type": "null"} in choices:
            left = [one for one in choices if one != {"type": "null"}]
            del kept["anyOf"]
            kept.pop("default", None)
            one = left[0]
            assert isinstance(one, dict)
            if "$ref" in one:  # nothing stands beside it
                properties[name] = one
            else:
                properties[name] = {**one, **kept} if len(left) == 1 else {"anyOf": left, **kept}


def _wanted(schema: JsonDict) -> None:
    _without_null(schema)
    schema["anyOf"] = [{"required": [name]} for name in ("set", *ACTIONS)]


class _Strict(Section):
    """A section as JSON has it: no text for a number, no null."""

    model_config = ConfigDict(strict=True, json_schema_extra=_without_null)

    @model_validator(mode="before")
    @classmethod
    def _unset(cls, data: object) -> object:
        for name, value in data.items() if isinstance(data, Mapping) else ():
            if value is None and name in cls.model_fields:
                raise ValueError(f"{name} is null; leave it out")
        return data


class FaultDelay(_Strict, Delay):
    """For how long a message is held back."""


class FaultAnswerWanted(_Strict, FaultAnswer):
    """The answer that an incoming request gets in place of the call's."""


class FaultSdp(_Strict, SdpChange):
    """What is changed in a session description, in each media section."""


class FaultRequest(_Strict, FaultRule):
    """What is to go wrong: which messages, how often, and what is done to them.

    Every condition that is given has to be met. Exactly one action is given: drop, delay,
    duplicate, reorder, answer, corrupt, silence, close or sdp; or a set, which has one.
    """

    model_config = ConfigDict(json_schema_extra=_wanted)

    delay: FaultDelay | None = Field(
        default=None, description="It goes on later: seconds, and up to jitter more."
    )
    answer: FaultAnswerWanted | None = Field(
        default=None, description="An incoming request gets this answer; no call hears of it."
    )
    sdp: FaultSdp | None = Field(default=None, description="Its session description is changed.")


class FaultUpdate(Request):
    """Whether a rule is in force."""

    enabled: bool


class Fault(FaultRule):
    """A rule, and how often it has fired."""

    model_config = ConfigDict(json_schema_extra=_without_null)

    matched: int = Field(description="Messages that met its conditions.")
    fired: int = Field(description="How often something was done.")
    origin: Literal["rest", "configuration"]

    @classmethod
    def of(cls, active: ActiveRule) -> "Fault":
        """A rule as it is now."""
        given: dict[str, Any] = active.rule.model_dump(exclude_unset=True)
        return cls.model_validate(
            {
                **given,
                "name": active.name,
                "enabled": active.enabled,
                "matched": active.matched,
                "fired": active.fired,
                "origin": "configuration" if active.configured else "rest",
            }
        )


class Faults(BaseModel):
    """All rules, in the order in which messages meet them."""

    faults: list[Fault]


class FaultSet(Reply):
    """A ready-made rule."""

    set: Text
    description: Text
    rule: dict[str, Any]


class FaultSets(Reply):
    """The ready-made rules."""

    sets: list[FaultSet]

    @classmethod
    def all(cls) -> "FaultSets":
        """All that there are."""
        return cls(
            sets=[
                FaultSet(set=name, description=description, rule=dict(rule))
                for name, (description, rule) in SETS.items()
            ]
        )
