"""The treatment of a call by an ICM script: self-service, queue, connect, release.

ICM's messages (TEMPORARY_CONNECT, CONNECT, RELEASE) are what the steps do to the call:
a leg to the VXML gateway under VRU label plus correlation id, a leg to an agent under its
label, the end of the call [TN178].
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from simulator.config_plan import Answer, Connect, Queue, Release, SelfService, Step
from simulator.ivr import run_script
from simulator.leg import AGENT, VXML, Leg
from simulator.states import QUEUE, SELF_SERVICE
from simulator.variables import VariableError, Variables

if TYPE_CHECKING:
    from simulator.agents import Agent
    from simulator.call import Call
    from simulator.connection import Connection
    from sip.timers import Timer

_STEP_OVER: Final = 0
_MOST_REQUERIES: Final = 3


class Treatment:
    """A script at work on a call: `steps`, and the one it is at."""

    __slots__ = (
        "_at",
        "_passed_over",
        "_requeries",
        "_steps",
        "_timer",
        "_waiting",
        "call",
        "due",
    )

    def __init__(self, call: "Call", steps: tuple[Step, ...]) -> None:
        self.call = call
        self.due = False  # the step was over while the caller was being moved
        self._passed_over = False  # an agent was found then
        self._steps = steps
        self._at = -1
        self._requeries = 0
        self._timer: Timer | None = None
        self._waiting = ""  # the skill group in whose queue the call is

    @property
    def standalone(self) -> bool:
        """Whether the call server itself is the far end."""
        return isinstance(self._action(), Answer)

    def _action(self) -> Answer | SelfService | Queue | Connect | Release | None:
        return self._steps[self._at].action if 0 <= self._at < len(self._steps) else None

    def next(self, now: float) -> None:
        """Do the next step; after the last the call is released."""
        self._stop_timer()
        self._leave_queue()
        self.due = self._passed_over = False
        self._requeries = 0
        self._at += 1
        action = self._action()
        call = self.call
        if isinstance(action, Answer):
            call.server.answer_standalone(call, now)
        elif isinstance(action, SelfService):
            call.application = action.application
            self._on_vxml(now)
        elif isinstance(action, Queue):
            call.icm_skill_group = action.skill_group
            self._on_vxml(now)
        elif isinstance(action, Connect):
            self._connect(action.label.replace("{dnis}", call.called), AGENT, now)
        elif isinstance(action, Release):
            call.log(now, "released", f"SIP {action.status}")
            call.refuse(now, action.status, "released by ICM")
        else:
            call.end(now, "completed", "end of the script")

    def _on_vxml(self, now: float) -> None:
        """TEMPORARY_CONNECT, unless the caller is with the VXML gateway already."""
        peer = self.call.peer
        if peer is not None and peer.kind == VXML and peer.up:
            self._arrived(now)
        else:
            self.call.server.connect_vxml(self.call, now)

    def _connect(self, label: str, kind: str, now: float, agent: "Agent | None" = None) -> None:
        self.call.icm_label = label
        self.call.server.connect_label(self.call, label, kind, now, agent)

    # What the call tells.

    def connected(self, work: "Connection", now: float) -> bool:
        """The target answered; True when this treatment has set the call's state."""
        if work.target.kind != VXML:
            return False
        if self._at < 0:
            self.next(now)
        else:
            self._arrived(now)
        return True

    def _arrived(self, now: float) -> None:
        """The caller is with the VXML gateway: the step begins."""
        action = self._action()
        call = self.call
        if isinstance(action, SelfService):
            call.enter(SELF_SERVICE, now, action.application)
            call.note_holder(now)
            run_script(call, action.application, now)
            if action.seconds is not None:
                self._start_timer(now, action.seconds)
        elif isinstance(action, Queue):
            call.enter(QUEUE, now, action.skill_group)
            call.note_holder(now)
            if action.seconds is not None and self._timer is None:
                self._start_timer(now, action.seconds)
            self._wait(now, again=self._requeries > 0)

    def _wait(self, now: float, *, again: bool) -> None:
        """Enter the queue; `again` at its head."""
        self._waiting = name = self.call.icm_skill_group
        self.call.server.skill_groups.queues[name].enter(self, now, again=again)

    def agent_found(self, agent: "Agent", now: float) -> None:
        """CONNECT: the queue has an agent for the call."""
        self._waiting = ""
        if self.call.work is not None:  # a transfer is under way: wait for its outcome
            self._passed_over = True
            return
        self._stop_timer()
        self.call.icm_agent = agent.agent_id
        self._connect(agent.extension, AGENT, now, agent)

    def failed(self, status: int, reason: str, now: float) -> None:
        """A step could not reach its target: requery the queue, or give up."""
        action = self._action()
        if isinstance(action, Queue) and self.call.caller.up and self._requeries < _MOST_REQUERIES:
            self._requeries += 1
            self._leave_queue()
            self.call.log(now, "requery", f"RequeryStatus after SIP {status} {reason}")
            self._on_vxml(now)
        else:
            self.call.give_up(now, status, reason)

    def peer_left(self, leg: Leg, now: float) -> bool:
        """BYE from the caller's peer; True when the treatment goes on without it."""
        if leg.kind != VXML:
            return False
        action = self._action()
        if isinstance(action, SelfService):
            self.call.log(now, "application_ended", action.application)
            if self._at + 1 < len(self._steps):
                leg.session.confirm_bye(now)
                self.next(now)
                return True
        return False

    def application_result(
        self, result: Mapping[str, str], now: float, *, failed: bool = False
    ) -> bool:
        """The application is over, the caller still with the gateway: the next step.

        Call and ECC variables of the result are set. False when no application is running.
        """
        action = self._action()
        if not isinstance(action, SelfService) or self.due:
            return False
        call = self.call
        shown = " ".join(f"{name}={value}" for name, value in result.items())
        call.log(now, "application_ended", f"{action.application} {shown}".rstrip())
        ecc = {k: v for k, v in result.items() if not k.startswith(("callVariable", "peripheral"))}
        variables = call.variables or Variables(separate=call.server.config.variables.separate)
        try:
            variables.update(ecc, None, {k: v for k, v in result.items() if k not in ecc})
        except VariableError as error:
            call.log(now, "variable_refused", str(error))
        call.variables = variables
        if call.work is None:
            self.next(now)
        else:
            self.due = True
        return True

    def resume(self, now: float) -> None:
        """A transfer failed, or a late ACK came: go on where the script was."""
        if self.due:
            self.next(now)
        elif self._passed_over:
            self._passed_over = False
            self._wait(now, again=True)

    def timer_fired(self, _what: int, now: float) -> None:
        """The time of the step is over."""
        self._timer = None
        if self.call.work is not None:
            self.due = True
        else:
            self.next(now)

    def stop(self, _now: float) -> None:
        """The script ends here."""
        self._stop_timer()
        self._leave_queue()

    def _start_timer(self, now: float, delay: float) -> None:
        self._stop_timer()
        wheel = self.call.server.stack.endpoint.wheel
        self._timer = wheel.start(now, delay, self, _STEP_OVER)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _leave_queue(self) -> None:
        if self._waiting:
            self.call.server.skill_groups.queues[self._waiting].leave(self)
            self._waiting = ""


class Refusal:
    """A call that is given up when its time is over, unless something else happens first."""

    __slots__ = ("_call", "_peer", "_reason", "_status")

    def __init__(self, call: "Call", status: int, reason: str) -> None:
        self._call = call
        self._peer = call.peer  # a ringtone, if anything
        self._status = status
        self._reason = reason

    def timer_fired(self, _what: int, now: float) -> None:
        """Nothing else has happened."""
        call = self._call
        unchanged = call.peer is None or call.peer is self._peer
        if call.work is None and unchanged and call.state != "ended":
            call.fail(now, self._status, self._reason)
            call.server.stack.pump(now)
