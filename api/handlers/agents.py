"""Agents and skill groups: who is there, who waits."""

from typing import Final

from api.keys import CallServer
from api.models_icm import (
    Agent,
    Agents,
    AgentUpdate,
    QueuePlace,
    SkillGroup,
    SkillGroups,
)
from api.operations import Operations

agents: Final = Operations("Agents", prefix="/sim/v1")

_NO_AGENT: Final = "no such agent"


@agents.add("GET", "/agents", "agents")
async def list_agents(server: CallServer) -> Agents:
    """The agents of icm.agents with their states."""
    return Agents(agents=[Agent.model_validate(view) for view in server.desk.agents()])


@agents.add("GET", "/agents/{id}", "the agent", errors={404: _NO_AGENT})
async def get_agent(server: CallServer, id: str) -> Agent:
    """One agent, by extension or agent id."""
    return Agent.model_validate(server.desk.agent(id))


@agents.add(
    "PUT",
    "/agents/{id}",
    "the agent",
    errors={404: _NO_AGENT, 409: "answerAfter: the phone is none that this server simulates"},
    role="control",
)
async def set_agent_state(server: CallServer, id: str, body: AgentUpdate) -> Agent:
    """Make an agent available or not, or have the agent's phone ring shorter or longer.

    A call that the agent has goes on; who becomes available gets the next that waits. An
    available agent with a call is shown as busy. answerAfter holds for the calls to come, until
    the server stops.
    """
    if body.answer_after is not None:
        server.desk.set_answer_after(id, body.answer_after)
    if body.state is not None:
        server.desk.set_state(id, body.state)
    return Agent.model_validate(server.desk.agent(id))


@agents.add("GET", "/skill-groups", "skill groups")
async def list_skill_groups(server: CallServer) -> SkillGroups:
    """The skill groups, each with the calls that wait."""
    groups = server.desk.skill_groups()
    return SkillGroups(skill_groups=[SkillGroup.model_validate(view) for view in groups])


@agents.add("GET", "/skill-groups/{name}", "the skill group", errors={404: "no such skill group"})
async def get_skill_group(server: CallServer, name: str) -> SkillGroup:
    """One skill group with the calls that wait."""
    return SkillGroup.model_validate(server.desk.skill_group(name))


@agents.add(
    "GET",
    "/calls/{callGuid}/queue",
    "the place in the queue",
    errors={404: "not found or no longer active", 409: "the call waits in no queue"},
)
async def get_queue_place(server: CallServer, call_guid: str) -> QueuePlace:
    """Where a call stands in its queue, and how long it will probably wait."""
    return QueuePlace.model_validate(server.desk.place(call_guid))
