"""A script on its way: where it is, what it waits for, and how it goes on from node to node."""

from typing import TYPE_CHECKING, Final

from simulator.callback import Callback
from simulator.router import ANSWER, END, SELF_SERVICE, Node, Script, note_endless

if TYPE_CHECKING:
    from simulator.call import Call
    from sip.timers import Timer

STEP_OVER: Final = 0
SILENT: Final = 1


class ScriptRun:
    """What `simulator.treatment` stands on; `callback` while the caller has left."""

    __slots__ = (
        "_again",
        "_asked",
        "_cause",
        "_due",
        "_home",
        "_node",
        "_over",
        "_passed",
        "_passed_over",
        "_pending",
        "_requeries",
        "_running",
        "_timer",
        "_vain",
        "_waiting",
        "call",
        "callback",
        "script",
    )

    def __init__(self, call: "Call", script: Script) -> None:
        self.call = call  # another one, where its caller takes the place, see `simulator.takeover`
        self.script = script
        self._node: Node | None = None  # where the script is; None before it begins
        self._pending: Node | None = None  # where it goes on, once the present node is done with
        self._due: Node | None = None  # where it goes on, once the caller has been moved
        self._running = False
        self._over = False
        self._passed = 0  # nodes
        self._passed_over = False  # an agent was found while the caller was being moved
        self._requeries = 0
        self._vain = 0  # targets of the webhook that were not reached, one after the other
        self._again = ""  # the skill group at the head of whose queue the call is to wait
        self._waiting = ""  # the skill group in whose queue the call is
        self._timer: Timer | None = None
        self._asked = 0  # the question that the webhook is to answer
        self._cause = "new_call"  # what led to the present node, for the webhook
        self._home: Node | None = None  # the webhook node that decides
        self.callback: Callback | None = None

    @property
    def standalone(self) -> bool:
        """Whether the call server itself is the far end."""
        return self._node is not None and self._node.kind == ANSWER

    @property
    def node(self) -> Node | None:
        """Where the script is."""
        return self._node

    @property
    def waiting(self) -> str:
        """The skill group in whose queue the call is."""
        return self._waiting

    @property
    def serves(self) -> bool:
        """Whether the caller waits in a queue, or is with an application."""
        node = self._node
        with_application = node is not None and node.kind == SELF_SERVICE and not self._over
        return self._waiting != "" or with_application

    def go(self, node: Node, now: float) -> None:
        """Go on at a node, and from there as far as nothing takes time."""
        self._pending = node
        if self._running:
            return  # it goes on from where this was called
        self._running = True
        try:
            while self._pending is not None and not self._over:
                node, self._pending = self._pending, None
                self._leave_node()
                if node.kind == END:
                    self.call.end(now, "completed", "end of the script")
                else:
                    self._passed += 1
                    if self._passed <= self.call.server.router.max_steps:
                        self._do(node, now)
                    else:
                        note_endless(self.call, self.script, node, now)
                        status = self.call.server.config.icm.failure_status
                        self.call.fail(now, status, "endless script")
        finally:
            self._running = False

    def _move_on(self, node: Node, cause: str, now: float) -> None:
        """`go`, unless the caller is just being moved: then after that."""
        self._cause = cause
        if self.call.work is not None and not self._running:
            self._due = node
        else:
            self.go(node, now)

    def _leave_node(self) -> None:
        self._stop_timer()
        self._leave_queue()
        self._due = None
        self._passed_over = False
        self._requeries = 0
        self._asked = 0

    def _do(self, node: Node, now: float) -> None:
        """What a node does; it may set the next one."""
        raise NotImplementedError

    def timer_fired(self, what: int, now: float) -> None:
        """The time of the node is over."""
        raise NotImplementedError

    def _tell(self, outcome: str, now: float) -> None:
        """The outcome of the present node, for the history."""
        node = self._node
        if node is not None:
            self.call.log(now, "script", f"{node.name} {node.what}: {outcome}")

    def stop(self, _now: float) -> None:
        """The script ends here."""
        self._over = True
        self._pending = None
        self._asked = 0
        self._stop_timer()
        self._leave_queue()
        if self.callback is not None:
            self.callback.stop()
            self.callback = None

    def _start_timer(self, now: float, delay: float, what: int = STEP_OVER) -> None:
        self._stop_timer()
        wheel = self.call.server.stack.endpoint.wheel
        self._timer = wheel.start(now, delay, self, what)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _leave_queue(self) -> None:
        if self._waiting:
            self.call.server.skill_groups.queue(self._waiting).leave(self)
            self._waiting = ""
