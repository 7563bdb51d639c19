"""Schemas of the simulated ICM: agents, skill groups, queues."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from api.models import Reply, Request, Text
from api.models_transfers import Given
from simulator.config_icm import AgentState


class AgentUpdate(Request):
    """The state that an agent is to have, how long the agent's simulated phone rings, or both."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["state"]}, {"required": ["answerAfter"]}]}
    )

    state: Given[AgentState] = Field(
        None, description="busy: with something else than calls of this server."
    )
    answer_after: Given[Annotated[float, Field(ge=0, le=3600)]] = Field(
        None, description="Seconds from the INVITE to the 200 of calls to come."
    )

    @model_validator(mode="after")
    def _says_something(self) -> "AgentUpdate":
        if not self.model_fields_set:
            raise ValueError("needs state, answerAfter or both")
        return self


class Agent(Reply):
    """One agent; `max_calls` 0 is no limit, `idle_since` is left out while there is a call.

    `answer_after` is the seconds that the phone rings; left out where it is no simulated one.
    """

    extension: Text
    agent_id: Text
    name: Text
    state: AgentState
    active_calls: int
    max_calls: int
    skill_groups: list[Text]
    call_guid: Text | SkipJsonSchema[None] = None
    idle_since: datetime | SkipJsonSchema[None] = None
    answer_after: float | SkipJsonSchema[None] = None


class Agents(Reply):
    """All agents, in the order of the configuration."""

    agents: list[Agent]


class QueuePlace(Reply):
    """A call that waits; times in seconds, no `estimatedWaitTime` while no agent is there.

    `callback` says how far it is, where the caller has left, to be called back.
    """

    call_guid: Text
    skill_group: Text
    queue_position: int
    waited: float
    estimated_wait_time: float | SkipJsonSchema[None] = None
    callback: Literal["waiting", "dialling"] | SkipJsonSchema[None] = None


class SkillGroup(Reply):
    """A skill group; `handling_time` is the mean of the last calls, in seconds.

    `available` are the agents in that state: who is busy with a call is none of them.
    """

    name: Text
    logged_in: int
    available: int
    handling_time: float
    waiting: int
    calls: list[QueuePlace]


class SkillGroups(Reply):
    """All skill groups, in the order of the configuration."""

    skill_groups: list[SkillGroup]
