"""Schemas of the simulated ICM: agents, skill groups, queues."""

from datetime import datetime
from typing import Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from api.models import Reply, Request, Text
from simulator.config_icm import AgentState


class AgentUpdate(Request):
    """The state that an agent is to have."""

    state: AgentState = Field(description="busy: with something else than calls of this server.")


class Agent(Reply):
    """One agent; `max_calls` 0 is no limit, `idle_since` is left out while there is a call."""

    extension: Text
    agent_id: Text
    name: Text
    state: AgentState
    active_calls: int
    max_calls: int
    skill_groups: list[Text]
    call_guid: Text | SkipJsonSchema[None] = None
    idle_since: datetime | SkipJsonSchema[None] = None


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
    """A skill group; `handling_time` is the mean of the last calls, in seconds."""

    name: Text
    logged_in: int
    available: int
    handling_time: float
    waiting: int
    calls: list[QueuePlace]


class SkillGroups(Reply):
    """All skill groups, in the order of the configuration."""

    skill_groups: list[SkillGroup]
