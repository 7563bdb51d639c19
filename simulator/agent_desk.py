"""What REST asks of the skill groups: agents and their states, queues and who waits in them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator.agents import AVAILABLE
from simulator.config_icm import AgentState
from simulator.config_values import SipTarget
from simulator.errors import (
    AgentNotFound,
    CallNotQueued,
    PhoneNotSimulated,
    SkillGroupNotFound,
)

if TYPE_CHECKING:
    from simulator.agents import Agent, Queue
    from simulator.call import Call
    from simulator.lab.agents import Agents
    from simulator.server import CallServer
    from simulator.treatment import Treatment


@dataclass(slots=True)
class AgentView:
    """One agent; `idle_since` is set while the agent has no call.

    `call_guid` is that of the last call, None once that has ended, though others go on.

    `answer_after` is the seconds that the agent's phone rings, None where it is no simulated one.
    """

    extension: str
    agent_id: str
    name: str
    state: AgentState
    active_calls: int
    max_calls: int
    skill_groups: list[str]
    call_guid: str | None
    idle_since: float | None
    answer_after: float | None


@dataclass(slots=True)
class QueuedView:
    """A call that waits; times in seconds, `estimated_wait_time` None while nobody is there.

    `callback` is ``waiting`` or ``dialling`` where the caller has left, to be called back.
    """

    call_guid: str
    skill_group: str
    queue_position: int
    waited: float
    estimated_wait_time: float | None
    callback: str | None


@dataclass(slots=True)
class SkillGroupView:
    """A skill group: how many agents, and the calls that wait, the first first.

    Of those who are `logged_in`, `available` have no call, as their states say.
    """

    name: str
    logged_in: int
    available: int
    handling_time: float
    waiting: int
    calls: list[QueuedView] = field(default_factory=list)


class AgentDesk:
    """The agents and queues of a call server; `phones` are those that are simulated beside it."""

    def __init__(self, server: "CallServer") -> None:
        self._server = server
        self.phones: Agents | None = None
        self._rang: dict[str, float | None] = {}  # by extension: how long, before it was changed

    def agents(self) -> list[AgentView]:
        """All of them, in the order of the configuration."""
        return [self._agent_view(agent) for agent in self._server.skill_groups.agents.values()]

    def agent(self, extension: str) -> AgentView:
        """One, by extension or agent id. Raises AgentNotFound."""
        return self._agent_view(self._find(extension))

    def set_state(self, extension: str, state: AgentState) -> AgentView:
        """An agent becomes available, not ready, busy elsewhere, or logs out.

        A call that the agent has goes on. Raises AgentNotFound.
        """
        agent = self._find(extension)
        now = self._server.stack.now()
        self._server.skill_groups.set_state(agent, state, now)
        self._server.stack.pump(now)
        return self._agent_view(agent)

    def set_answer_after(self, extension: str, seconds: float) -> None:
        """Calls that ring at the agent's phone from now on are answered after so many seconds.

        Raises AgentNotFound, PhoneNotSimulated.
        """
        agent = self._find(extension)
        phones = self._phones_of(agent)
        if phones is None:
            raise PhoneNotSimulated(
                f"the phone of agent {agent.extension} is none that this server simulates; "
                "answerAfter is for those that lab.embedded brings"
            )
        phone = phones.extension(agent.extension)
        self._rang.setdefault(agent.extension, phone.answer_after)
        phone.answer_after = seconds

    def reset(self) -> None:
        """Agents are in the states of the configuration, phones ring as long as after the start."""
        server = self._server
        now = server.stack.now()
        for extension, configured in server.config.icm.agents.items():
            agent = server.skill_groups.agents[extension]
            if agent.state != configured.state:
                server.skill_groups.set_state(agent, configured.state, now)
        server.stack.pump(now)
        for extension, seconds in self._rang.items():
            if self.phones is not None:
                self.phones.extension(extension).answer_after = seconds
        self._rang.clear()

    def skill_groups(self) -> list[SkillGroupView]:
        """All of them, in the order of the configuration."""
        now = self._server.stack.now()
        return [self._group(queue, now) for queue in self._server.skill_groups.queues.values()]

    def skill_group(self, name: str) -> SkillGroupView:
        """One. Raises SkillGroupNotFound."""
        queue = self._server.skill_groups.queues.get(name)
        if queue is None:
            raise SkillGroupNotFound(f"no skill group has the name {name!r}")
        return self._group(queue, self._server.stack.now())

    def place(self, guid: str) -> QueuedView:
        """A call's place in its queue. Raises CallNotFound and CallNotQueued."""
        call: Call = self._server.find(guid)
        now = self._server.stack.now()
        if call.treatment is not None and call.treatment.waiting:
            queue = self._server.skill_groups.queue(call.treatment.waiting)
            for position, (_, since, treatment) in enumerate(queue.waiting, 1):
                if treatment is call.treatment:
                    return _queued(queue, position, since, treatment, now)
        raise CallNotQueued(f"the call {guid} waits in no queue; its state is {call.state}")

    def _find(self, extension: str) -> "Agent":
        agents = self._server.skill_groups.agents
        found = agents.get(extension)
        if found is None:
            found = next((one for one in agents.values() if one.agent_id == extension), None)
        if found is None:
            raise AgentNotFound(f"no agent has the extension or agent id {extension!r}")
        return found

    def _phones_of(self, agent: "Agent") -> "Agents | None":
        """The simulated phones, where calls to the agent lead there."""
        if self.phones is None:
            return None
        found = self._server.plan.find(agent.extension)
        there = SipTarget.parse(self.phones.uri).with_user(agent.extension)
        return self.phones if found is not None and found.uri == str(there) else None

    def _agent_view(self, agent: "Agent") -> AgentView:
        groups = self._server.skill_groups.queues.items()
        phones = self._phones_of(agent)
        call = agent.call
        return AgentView(
            extension=agent.extension,
            agent_id=agent.agent_id,
            name=agent.name,
            state=agent.shown,  # type: ignore[arg-type]
            active_calls=agent.busy,
            max_calls=agent.max_calls,
            skill_groups=[name for name, queue in groups if agent in queue.agents],
            call_guid=call.guid if call is not None and call.state != "ended" else None,
            idle_since=None if agent.busy else self._server.wall(agent.idle_since),
            answer_after=None if phones is None else phones.rings(agent.extension),
        )

    def _group(self, queue: "Queue", now: float) -> SkillGroupView:
        return SkillGroupView(
            name=queue.name,
            logged_in=sum(agent.state != "logged_out" for agent in queue.agents),
            available=sum(agent.shown == AVAILABLE for agent in queue.agents),
            handling_time=queue.handling_time,
            waiting=len(queue.waiting),
            calls=[
                _queued(queue, position, since, treatment, now)
                for position, (_, since, treatment) in enumerate(queue.waiting, 1)
            ],
        )


def _queued(
    queue: "Queue", position: int, since: float, treatment: "Treatment", now: float
) -> QueuedView:
    return QueuedView(
        call_guid=treatment.call.guid,
        skill_group=queue.name,
        queue_position=position,
        waited=round(now - since, 3),
        estimated_wait_time=queue.estimated_wait(position, now),
        callback=treatment.callback.state if treatment.callback is not None else None,
    )
