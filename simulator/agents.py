"""Skill groups: calls that wait, agents that serve them, who is next."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from simulator.config import Config
    from simulator.config_plan import SkillGroup
    from simulator.leg import Leg
    from simulator.treatment import Treatment
    from sip.timers import TimerWheel

_SERVE: Final = 0


class Agent:
    """One agent: `busy` is the number of calls, `idle_since` the time of the last end."""

    __slots__ = ("agent_id", "busy", "extension", "idle_since", "max_calls")

    def __init__(self, extension: str, agent_id: str, max_calls: int) -> None:
        self.extension = extension
        self.agent_id = agent_id or extension
        self.max_calls = max_calls
        self.busy = 0
        self.idle_since = 0.0

    @property
    def available(self) -> bool:
        """Whether the agent takes another call."""
        return self.max_calls == 0 or self.busy < self.max_calls


class Queue:
    """The calls that wait for one skill group, first come, first served."""

    __slots__ = ("_config", "_offer", "_wheel", "agents", "name", "waiting")

    def __init__(
        self,
        name: str,
        config: "SkillGroup",
        agents: list[Agent],
        wheel: "TimerWheel",
        offer: "Callable[[Treatment, Agent, float], None]",
    ) -> None:
        self.name = name
        self.agents = agents
        self.waiting: deque[tuple[float, Treatment]] = deque()
        self._config = config
        self._wheel = wheel
        self._offer = offer

    def enter(self, treatment: "Treatment", now: float, *, again: bool = False) -> None:
        """Wait here; `again` after an agent could not be reached: at the head of the queue."""
        if again:
            self.waiting.appendleft((now, treatment))
            self.serve(now)
            return
        self.waiting.append((now + self._config.wait, treatment))
        self._wheel.start(now, self._config.wait, self, _SERVE)

    def leave(self, treatment: "Treatment") -> None:
        """Wait no longer."""
        for entry in self.waiting:
            if entry[1] is treatment:
                self.waiting.remove(entry)
                return

    def timer_fired(self, _what: int, now: float) -> None:
        """Somebody has waited long enough."""
        self.serve(now)

    def serve(self, now: float) -> None:
        """Give agents to the calls at the head, while there are both."""
        while self.waiting and self.waiting[0][0] <= now + 1e-6:
            agent = self._longest_available()
            if agent is None:
                return
            _, treatment = self.waiting.popleft()
            self._offer(treatment, agent, now)

    def _longest_available(self) -> Agent | None:
        free = [agent for agent in self.agents if agent.available]
        return min(free, key=lambda a: (a.busy, a.idle_since)) if free else None


class SkillGroups:
    """All queues and agents of a configuration, by name and extension."""

    def __init__(
        self,
        config: "Config",
        wheel: "TimerWheel",
        offer: "Callable[[Treatment, Agent, float], None]",
    ) -> None:
        icm = config.icm
        self.agents = {
            extension: Agent(extension, agent.agent_id, agent.max_calls)
            for extension, agent in icm.agents.items()
        }
        self.queues = {
            name: Queue(name, group, [self.agents[e] for e in group.agents], wheel, offer)
            for name, group in icm.skill_groups.items()
        }

    def take(self, agent: Agent) -> None:
        """The agent gets a call."""
        agent.busy += 1

    def called(self, leg: "Leg") -> None:
        """A leg of a transfer may lead to an agent, who has one more call then."""
        agent = self.agents.get(leg.number)
        if agent is not None and leg.agent is None:
            leg.agent = leg.number
            self.take(agent)

    def release(self, extension: str, now: float) -> None:
        """A call of the agent is over: perhaps another waits."""
        agent = self.agents.get(extension)
        if agent is None:
            return
        agent.busy -= 1
        agent.idle_since = now
        for queue in self.queues.values():
            if queue.waiting and agent in queue.agents:
                queue.serve(now)
