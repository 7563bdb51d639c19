"""The treatment of a call by an ICM script: self-service, queue, connect, release.

ICM's messages (TEMPORARY_CONNECT, CONNECT, RELEASE) are what the nodes do to the call:
a leg to the VXML gateway under VRU label plus correlation id, a leg to an agent under its
label, the end of the call [TN178].
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from simulator import router
from simulator.callback import Callback, may_be_called
from simulator.ivr import run_script
from simulator.leg import AGENT, VXML, Leg
from simulator.router import (
    ANSWER,
    CALLBACK,
    CONNECT,
    DIALOGUE_FAILURE,
    END,
    EVENT_NAMES,
    RELEASE,
    SELF_SERVICE,
    SILENCE,
    WEBHOOK,
    Node,
)
from simulator.script_run import SILENT, ScriptRun
from simulator.script_values import expand, take_result, value_of
from simulator.states import CONNECT as TO_CONNECTED
from simulator.states import QUEUE
from simulator.states import SELF_SERVICE as TO_SELF_SERVICE

if TYPE_CHECKING:
    from simulator.agents import Agent
    from simulator.connection import Connection
    from simulator.script import Step

log = logging.getLogger(__name__)

_MOST_REQUERIES: Final = 3


class Treatment(ScriptRun):
    """A script at work on a call."""

    __slots__ = ()

    def begin(self, now: float) -> None:
        """NEW_CALL: the first node."""
        start = self.script.start
        if start.kind != ANSWER:
            self.call.server.router.begin(self.call, self.script, now)
        self.go(start, now)

    def _do(self, node: Node, now: float) -> None:
        self._node = node
        kind = node.kind
        call = self.call
        if kind == ANSWER:
            if call.caller.answered == 0.0:
                call.server.answer_standalone(call, now)
            elif call.state == "ringing":  # a command has called it
                call.enter(TO_CONNECTED, now, "standalone")
            else:
                self._tell("the caller is answered already", now)
                self._pending = node.next
        elif kind == SELF_SERVICE:
            call.application = node.action.application
            self._on_vxml(now)
        elif kind == router.QUEUE:
            call.icm_skill_group = node.action.skill_group
            self._on_vxml(now)
        elif kind == CALLBACK:
            self._call_back(node, now)
        elif kind == CONNECT:
            self._connect(expand(node.action.label, call), now)
        elif kind == RELEASE:
            status = node.action.status or call.server.config.icm.release_status
            call.log(now, "RELEASE", f"SIP {status}")
            call.refuse(now, status, "released by ICM")
        elif kind == WEBHOOK:
            self._ask(node, now)
        elif kind == DIALOGUE_FAILURE:
            call.log(now, "DIALOGUE_FAILURE", f"error {node.action.error}")
            self._without_icm("ICM has failed the dialogue", now)
        elif kind == SILENCE:
            call.log(now, "script", f"{node.name} silence: ICM says nothing")
            self._start_timer(now, call.server.config.icm.wait, SILENT)
        else:
            self._pending = router.decide(call, node, now)

    # What the nodes do.

    def _on_vxml(self, now: float) -> None:
        """TEMPORARY_CONNECT, unless the caller is with the VXML gateway already."""
        peer = self.call.peer
        if peer is not None and peer.kind == VXML and peer.up:
            self._arrived(now)
        else:
            self.call.server.connect_vxml(self.call, now)

    def _connect(self, label: str, now: float, agent: "Agent | None" = None) -> None:
        call = self.call
        call.icm_label = label
        if call.icm is not None:
            call.icm.requery = 0
            call.icm.advance()
        call.log(now, "CONNECT", label)
        call.server.connect_label(call, label, AGENT, now, agent)

    def _arrived(self, now: float) -> None:
        """The caller is with the VXML gateway: the node begins."""
        node = self._node
        call = self.call
        if node is None:
            return
        action = node.action
        if node.kind == SELF_SERVICE:
            call.enter(TO_SELF_SERVICE, now, action.application)
            call.note_holder(now)
            call.log(now, "RUN_SCRIPT_REQ", action.application)
            run_script(call, action.application, now)
            if action.seconds is not None:
                self._start_timer(now, action.seconds)
        elif node.kind == router.QUEUE:
            call.enter(QUEUE, now, action.skill_group)
            call.note_holder(now)
            if action.seconds is not None and self._timer is None:
                self._start_timer(now, action.seconds)
            self._wait(now, again=self._requeries > 0 or self._again == action.skill_group)

    def _wait(self, now: float, *, again: bool) -> None:
        """Enter the queue; `again` at its head."""
        self._waiting = name = self.call.icm_skill_group
        self._again = ""
        self.call.server.skill_groups.queue(name).enter(self, now, again=again)

    def _call_back(self, node: Node, now: float) -> None:
        """The caller leaves and keeps the place, unless there is no number to call."""
        call = self.call
        number = expand(node.action.number, call)
        if call.work is not None:  # the caller is just being moved: after that
            self._due = node
        elif call.server.draining or not call.caller.up or not may_be_called(number):
            self._cause = "requery"
            self._tell(f"not offered: {number or 'nothing'!r} cannot be called back", now)
            self._pending = node.failure or node.next
        else:
            call.icm_skill_group = node.action.skill_group
            call.enter(QUEUE, now)
            self.callback = callback = Callback(self, number)
            callback.begin(now)
            self._wait(now, again=self._again == node.action.skill_group)
            if self.callback is callback:  # no agent was free: it is not dialled yet
                callback.look(now)

    def _ask(self, node: Node, now: float) -> None:
        """The webhook decides; meanwhile the call goes on as it is."""
        self._home = node
        webhook = self.call.server.webhook
        self._asked = webhook.ask(self, self._cause, now) if webhook is not None else 0
        if self._asked == 0:
            self._tell("not asked, goes on without", now)
            self._pending = self._rescue(node.next, now)

    def _without_icm(self, reason: str, now: float) -> None:
        """ICM says nothing more of this call: it is rescued, or it fails."""
        node = self._rescue(self.script.end, now)
        if node.kind == END:
            self.call.fail(now, self.call.server.config.icm.failure_status, reason)
        else:
            self._move_on(node, "icm_failed", now)

    def _rescue(self, node: Node, now: float) -> Node:
        """`node`, or the survivability application of the number where the script has no more."""
        application = self.call.route.survival
        if node.kind != END or not application:
            return node
        self.call.log(now, "survivability", application)
        return router.survivability(application)

    # What the call and the router tell.

    def connected(self, work: "Connection", now: float) -> bool:
        """The target answered; True when this treatment has set the call's state."""
        self._vain = 0
        call, node = self.call, self._node
        if work.run is self and node is not None:  # another caller is in the place
            if node.kind == SELF_SERVICE:
                call.application = node.action.application
                call.enter(TO_SELF_SERVICE, now, call.application)
            else:
                call.enter(QUEUE, now, call.icm_skill_group)
            call.note_holder(now)
            return True
        if work.target.kind != VXML:
            if call.icm is not None:
                call.log(now, "EVENT_REPORT", "ANSWER")
            return False
        if node is None:
            self.begin(now)
        else:
            self._arrived(now)
        return True

    def application_result(
        self, result: Mapping[str, str], now: float, *, failed: bool = False
    ) -> bool:
        """RUN_SCRIPT_RESULT: the application is over, the caller still with the gateway.

        What becomes of the values says `take_result`. False when no application of
        this script is running: nothing has changed then.
        """
        node = self._node
        if node is None or node.kind != SELF_SERVICE or self._over or self._due is not None:
            return False
        shown = take_result(self.call, result, now)
        told = f"{node.action.application} failed" if failed else node.action.application
        self.call.log(now, "RUN_SCRIPT_RESULT", f"{told} {shown}".rstrip())
        target = node.branches.get(value_of(self.call, node.action.variable), node.next)
        if failed:
            target = node.failure or node.next
        self._stop_timer()
        self._tell("failed" if failed else target.name or "end", now)
        self._move_on(target, "application_result", now)
        return True

    def application_refused(self, status: int, now: float) -> bool:
        """The gateway does not run it: on to the branch for that, or wait what else it plays.

        False when no application of this script is running.
        """
        node = self._node
        if node is None or node.kind != SELF_SERVICE or self._over or self._due is not None:
            return False
        if node.failure is not None:
            self._stop_timer()
            self._tell(f"failed, SIP {status}", now)
            self._move_on(self._after_failure(node.failure, now), "application_result", now)
        return True

    def agent_found(self, agent: "Agent", now: float) -> None:
        """CONNECT: the queue has an agent for the call."""
        self._waiting = ""
        if self.call.work is not None:  # a transfer is under way: wait for its outcome
            self._passed_over = True
            return
        self._stop_timer()
        self._tell(f"agent {agent.agent_id}", now)
        self.call.icm_agent = agent.agent_id
        self._connect(agent.extension, now, agent)

    def called_back(self, now: float) -> None:
        """The caller is there again, and the next one in the queue."""
        self.callback = None
        node = self._node
        if node is not None:
            self._again = node.action.skill_group
            self._move_on(node.next, "called_back", now)

    def failed(self, status: int, reason: str, now: float) -> None:
        """A node could not reach its target: requery, or give up."""
        call = self.call
        node = self._node
        event = router.requery_status(status)
        if call.icm is not None:
            call.icm.requery = event
            call.log(now, "EVENT_REPORT", f"{EVENT_NAMES[event]}, SIP {status} {reason}")
        if node is not None and node.failure is not None:
            if node.kind == router.QUEUE:
                self._again = node.action.skill_group
            self._tell(f"failed, SIP {status} {reason}", now)
            self._cause = "requery"
            self.go(self._after_failure(node.failure, now), now)
        elif (
            node is not None
            and node.kind == router.QUEUE
            and call.caller.up
            and self._requeries < _MOST_REQUERIES
        ):
            self._requeries += 1
            self._leave_queue()
            call.log(now, "requery", f"RequeryStatus {event} after SIP {status} {reason}")
            self._on_vxml(now)
        else:
            call.give_up(now, status, reason)

    def _after_failure(self, node: Node, now: float) -> Node:
        """`node`; for a webhook that names nothing but what fails, the one below it."""
        if node.kind != router.WEBHOOK:
            return node
        self._vain += 1
        if self._vain <= _MOST_REQUERIES:
            return node
        self._vain = 0
        self._tell(f"asked no more: {_MOST_REQUERIES + 1} targets failed", now)
        return node.next

    def peer_left(self, leg: Leg, now: float) -> bool:
        """BYE from the caller's peer; True when the treatment goes on without it."""
        node = self._node
        if leg.kind != VXML or node is None or node.kind != SELF_SERVICE:
            return False
        self.call.log(now, "application_ended", node.action.application)
        if self._due is None and node.next.kind == END:
            return False
        leg.session.confirm_bye(now)
        self._move_on(self._due or node.next, "application_ended", now)
        return True

    def instructed(self, question: int, step: "Step | None", problem: str, now: float) -> bool:
        """The webhook's answer to `question`; without one, `problem` says why.

        False when the answer is too late: the call has moved on.
        """
        home = self._home
        if self._over or question != self._asked or home is None:
            return False
        self._asked = 0
        node = home.next
        if step is not None:
            try:
                self.call.server.skill_groups.check(step)
                node = self.script.instruct(step, home)
                self._tell(node.what, now)
            except ValueError as error:
                log.warning("icm.webhook: %s: %s", self.call.guid, error)
                problem = str(error)
        if problem:
            self._tell(problem, now)
            node = self._rescue(node, now)
        self._move_on(node, "instruction", now)
        return True

    def resume(self, now: float) -> None:
        """A transfer failed, or a late ACK came: go on where the script was."""
        if self._due is not None:
            self.go(self._due, now)
        elif self._passed_over:
            self._passed_over = False
            self._wait(now, again=True)

    def timer_fired(self, what: int, now: float) -> None:
        """The time of the node is over."""
        self._timer = None
        node = self._node
        if what == SILENT:
            self._without_icm("ICM says nothing", now)
        elif node is not None:
            self._tell("time is over", now)
            queued = node.kind == router.QUEUE
            cause = "queue_timeout" if queued else "application_timeout"
            self._move_on(node.timeout, cause, now)

    def ending(self, result: str, now: float) -> None:
        """The call is about to end: ICM is told."""
        if self.call.icm is not None and self._node is not None:
            event = "ABANDON, cause 2" if result == "abandoned" else "DISCONNECT, cause 1"
            self.call.log(now, "EVENT_REPORT", event)
