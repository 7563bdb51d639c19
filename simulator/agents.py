"""Skill groups: calls that wait, agents that serve them, who is next."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from simulator.news import note_queued

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.config import Config
    from simulator.config_icm import SkillGroup
    from simulator.leg import Leg
    from simulator.script import Step
    from simulator.script_run import ScriptRun
    from simulator.treatment import Treatment
    from sip.timers import TimerWheel

_SERVE: Final = 0
_HANDLED: Final = 20
"""Calls whose handling times make the estimated wait."""

AVAILABLE: Final = "available"
BUSY: Final = "busy"
_STAFFED: Final = (AVAILABLE, BUSY)


class Agent:
    """One agent: `busy` is the number of calls, `idle_since` when the agent became idle.

    `state` is what was set, by the configuration or by REST; `shown` tells calls as well.
    """

    __slots__ = (
        "agent_id", "busy", "call", "extension", "idle_since", "max_calls", "name", "state",
    )  # fmt: skip

    def __init__(
        self,
        extension: str,
        agent_id: str,
        max_calls: int,
        name: str,
        state: str,
        now: float,
    ) -> None:
        self.extension = extension
        self.agent_id = agent_id or extension
        self.max_calls = max_calls
        self.name = name
        self.state: str = state
        self.busy = 0
        self.idle_since = now
        self.call: Call | None = None  # the last one, while there is any

    @property
    def available(self) -> bool:
        """Whether the agent takes another call."""
        return self.state == AVAILABLE and (self.max_calls == 0 or self.busy < self.max_calls)

    @property
    def shown(self) -> str:
        """The state as others see it: an available agent with a call is busy."""
        return BUSY if self.state == AVAILABLE and self.busy else self.state


class Queue:
    """The calls that wait for one skill group, first come, first served.

    An entry of `waiting` is: not to be served before, since when, whose.
    """

    __slots__ = ("_config", "_handled", "_offer", "_wheel", "agents", "name", "waiting")

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
        self.waiting: deque[tuple[float, float, Treatment]] = deque()
        self._config = config
        self._wheel = wheel
        self._offer = offer
        self._handled: deque[float] = deque(maxlen=_HANDLED)

    def configure(self, config: "SkillGroup", agents: list[Agent]) -> None:
        """Other agents, another wait: who waits keeps the place."""
        self._config = config
        self.agents = agents

    def enter(self, treatment: "Treatment", now: float, *, again: bool = False) -> None:
        """Wait here; `again` after an agent could not be reached: at the head of the queue."""
        call = treatment.call
        if call.server.events.on:
            note_queued(call, self, 1 if again else len(self.waiting) + 1, now)
        if again:
            self.waiting.appendleft((now, now, treatment))
            self.serve(now)
        else:
            wait = self._config.wait
            self.waiting.append((now + wait, now, treatment))
            self._wheel.start(now, wait, self, _SERVE)
            if len(self.waiting) > 1 or wait > 0.0 or self._longest_available() is None:
                self._tell(treatment, len(self.waiting), now)

    def _tell(self, treatment: "Treatment", position: int, now: float) -> None:
        wait = self.estimated_wait(position, now)
        shown = "unknown" if wait is None else f"{wait:.0f} s"
        details = f"{self.name}: position {position}, estimated wait {shown}"
        treatment.call.log(now, "queue_position", details)

    def leave(self, treatment: "ScriptRun") -> None:
        """Wait no longer."""
        for entry in self.waiting:
            if entry[2] is treatment:
                self.waiting.remove(entry)
                return

    def position(self, treatment: "Treatment") -> int:
        """The place in the queue, from 1; 0 when the call does not wait here."""
        for place, entry in enumerate(self.waiting, 1):
            if entry[2] is treatment:
                return place
        return 0

    @property
    def handling_time(self) -> float:
        """Seconds that a call takes an agent: the mean of the last ones, or as configured."""
        handled = self._handled
        return sum(handled) / len(handled) if handled else self._config.handling_time

    def handled(self, seconds: float) -> None:
        """An agent has spent this long on a call."""
        self._handled.append(seconds)

    def estimated_wait(self, position: int, now: float) -> float | None:
        """Seconds until a call at `position` gets an agent; None while nobody is there."""
        if position <= len(self.waiting):
            rest = self.waiting[position - 1][0] - now
        else:
            rest = self._config.wait
        rest = rest if rest > 0.0 else 0.0
        free = at_work = 0
        for agent in self.agents:
            if agent.state in _STAFFED:
                at_work += agent.max_calls or 1
                if agent.available:
                    free += agent.max_calls - agent.busy if agent.max_calls else position
        if position <= free:
            return rest
        if at_work == 0:
            return None
        wait = (position - free) * self.handling_time / at_work
        return wait if wait > rest else rest

    def timer_fired(self, _what: int, now: float) -> None:
        """Somebody has waited long enough."""
        self.serve(now)

    def serve(self, now: float) -> None:
        """Give agents to the calls at the head, while there are both.

        A caller who has left is called back instead, and those behind come first meanwhile.
        """
        waiting = self.waiting
        place = 0
        while place < len(waiting) and waiting[place][0] <= now + 1e-6:
            agent = self._longest_available()
            if agent is None:
                return
            treatment = waiting[place][2]
            callback = treatment.callback
            if callback is None:
                del waiting[place]
                self._offer(treatment, agent, now)
                continue
            if self._called_back < sum(one.available for one in self.agents):
                callback.near(now)  # each free agent for one of them
            if place < len(waiting) and waiting[place][2] is treatment:  # it may have ended
                place += 1

    @property
    def _called_back(self) -> int:
        """How many callers who have left are being called."""
        callbacks = [entry[2].callback for entry in self.waiting]
        return sum(one is not None and one.state == "dialling" for one in callbacks)

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
        now: float,
    ) -> None:
        self._wheel = wheel
        self._offer = offer
        self._left: dict[str, Queue] = {}  # no longer configured, and calls still wait
        self.agents: dict[str, Agent] = {}
        self.queues: dict[str, Queue] = {}
        self.configure(config, now)

    def configure(self, config: "Config", now: float) -> None:
        """Take a configuration. Who waits goes on waiting, agents keep their calls and states.

        A skill group that is gone keeps its agents until nobody waits for them any more.
        """
        icm = config.icm
        agents: dict[str, Agent] = {}
        for extension, one in icm.agents.items():
            agent = self.agents.get(extension)
            if agent is None:
                agent = Agent(extension, one.agent_id, one.max_calls, one.name, one.state, now)
            else:
                agent.agent_id = one.agent_id or extension
                agent.max_calls = one.max_calls
                agent.name = one.name
            agents[extension] = agent
        before = {**self._left, **self.queues}
        self.agents = agents
        self.queues = {}
        for name, group in icm.skill_groups.items():
            members = [agents[extension] for extension in group.agents]
            queue = before.pop(name, None)
            if queue is None:
                queue = Queue(name, group, members, self._wheel, self._offer)
            else:
                queue.configure(group, members)
            self.queues[name] = queue
        self._left = {name: queue for name, queue in before.items() if queue.waiting}
        for queue in self._left.values():
            for agent in queue.agents:
                agents.setdefault(agent.extension, agent)
        for queue in list(self.queues.values()):
            queue.serve(now)

    def check(self, step: "Step") -> None:
        """Raises ValueError where an instruction from outside queues for an unknown group."""
        node = step.queue or step.callback
        if node is not None and node.skill_group not in self.queues:
            known = ", ".join(self.queues) or "none"
            raise ValueError(f"{node.skill_group!r} is no skill group; there are {known}")

    def queue(self, name: str) -> Queue:
        """The queue of a skill group, also of one whose script is older than the configuration."""
        found = self.queues.get(name)
        return found if found is not None else self._left_queue(name)

    def _left_queue(self, name: str) -> Queue:
        queue = self._left.get(name)
        if queue is None:  # nobody serves it: the script's time limit is what ends the wait
            from simulator.config_icm import SkillGroup

            queue = Queue(name, SkillGroup(agents=("0",)), [], self._wheel, self._offer)
            self._left[name] = queue
        return queue

    def take(self, agent: Agent, call: "Call") -> None:
        """The agent gets a call."""
        agent.busy += 1
        agent.call = call

    def called(self, leg: "Leg") -> None:
        """A leg to an agent's extension, by whatever label: the agent has one more call."""
        agent = self.agents.get(leg.label or leg.number)
        if agent is not None and leg.agent is None:
            leg.agent = agent.extension
            self.take(agent, leg.call)

    def release(self, extension: str, now: float, answered: float = 0.0) -> None:
        """A call of the agent, answered at that time if at all, is over: perhaps another waits."""
        agent = self.agents.get(extension)
        if agent is None or agent.busy == 0:
            return
        agent.busy -= 1
        agent.idle_since = now
        if agent.busy == 0:
            agent.call = None
        for queue in self._of(agent):
            if answered:
                queue.handled(now - answered)
            if queue.waiting:
                queue.serve(now)

    def set_state(self, agent: Agent, state: str, now: float) -> None:
        """The agent has become ready, or has gone."""
        if state == AVAILABLE and agent.state != AVAILABLE:
            agent.idle_since = now
        agent.state = state
        for queue in self._of(agent):
            if queue.waiting:
                queue.serve(now)

    def _of(self, agent: Agent) -> list[Queue]:
        queues = [*self.queues.values(), *self._left.values()]
        return [queue for queue in queues if agent in queue.agents]
