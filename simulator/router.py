"""The simulated router of ICM: scripts as graphs, what they decide at once, and call keys.

What takes time (an application, a queue, a label) is `simulator.treatment`'s to do.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from simulator.cdr_events import BUSY, CONNECT_FAILURE, NO_ANSWER, failure_of
from simulator.patterns import Pattern
from simulator.script import SelfService, days, minutes, names_of
from simulator.script_values import assign, expand, value_of
from sip.ids import IdSource

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.config import Config
    from simulator.script import Condition, Step

log = logging.getLogger(__name__)

# Kinds of nodes.
END: Final = 0
ANSWER: Final = 1
SELF_SERVICE: Final = 2
QUEUE: Final = 3
CONNECT: Final = 4
RELEASE: Final = 5
SET: Final = 6
IF: Final = 7
PERCENT: Final = 8
REQUERY: Final = 9
WEBHOOK: Final = 10
DIALOGUE_FAILURE: Final = 11
SILENCE: Final = 12
CALLBACK: Final = 13

KINDS: Final[Mapping[str, int]] = {
    "answer": ANSWER,
    "self_service": SELF_SERVICE,
    "run_application": SELF_SERVICE,
    "queue": QUEUE,
    "callback": CALLBACK,
    "connect": CONNECT,
    "label": CONNECT,
    "release": RELEASE,
    "set": SET,
    "if": IF,
    "percent": PERCENT,
    "requery": REQUERY,
    "webhook": WEBHOOK,
    "dialogue_failure": DIALOGUE_FAILURE,
    "silence": SILENCE,
}

# RequeryStatus is the id of the EVENT_REPORT as well [WS].
EVENT_NAMES: Final[Mapping[int, str]] = {
    CONNECT_FAILURE: "CONNECT_FAILURE",
    BUSY: "BUSY",
    NO_ANSWER: "NO_ANSWER",
}

_EPOCH_DAY: Final = 134_774
"""Days from 1601-01-01 to 1970-01-01: real values of RouterCallKeyDay count from there."""


def requery_status(status: int) -> int:
    """RequeryStatus for the SIP code of a target that could not be reached."""
    return failure_of(status)[0]


class IcmContext:
    """The key of a call, and the results of its applications.

    `key`, `day` and `sequence` are RouterCallKey, -Day and -SequenceNumber. Calls that belong
    together share the first two, and count the third together, so that all three are of one
    call only. `requery` is the last RequeryStatus.
    """

    __slots__ = ("_first", "_last", "day", "key", "requery", "results", "sequence")

    def __init__(self, key: int, day: int, sequence: int = 0) -> None:
        self.key = key
        self.day = day
        self.sequence = sequence
        self._last = sequence
        self._first: IcmContext | None = None  # of the call that this one belongs to
        self.requery = 0
        self.results: dict[str, str] = {}

    @property
    def call_key(self) -> str:
        """Day, key and sequence number as one text."""
        return f"{self.day}-{self.key}-{self.sequence}"

    def advance(self) -> None:
        """ICM has decided once more: the next number of all calls with this key."""
        first = self if self._first is None else self._first
        first._last += 1
        self.sequence = first._last

    def join(self, other: "IcmContext") -> None:
        """This call belongs to the `other` one."""
        self._first = other if other._first is None else other._first
        self.key, self.day = other.key, other.day
        self.advance()


class Node:
    """A node of a script; `action` is what the configuration says of it.

    `next` is where the script goes on; `timeout` where the time of the node is over,
    `failure` where its target cannot be reached (None: the router's own requery, or `next`
    where no callback can be offered).
    """

    __slots__ = (
        "action", "branches", "failure", "kind", "name", "next", "parts", "test", "timeout", "what",
    )  # fmt: skip

    def __init__(self, name: str, what: str, kind: int, action: Any) -> None:
        self.name = name
        self.what = what
        self.kind = kind
        self.action = action
        self.next: Node = self
        self.timeout: Node = self
        self.failure: Node | None = None
        self.branches: dict[str, Node] = {}
        self.parts: list[tuple[float, Node]] = []
        self.test: Test | None = None

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.what}>"


class Script:
    """A script, ready to be run: `start` is its first node."""

    __slots__ = ("end", "name", "nodes", "start")

    def __init__(self, name: str, steps: "tuple[Step, ...]") -> None:
        self.name = name
        self.end = Node("", "end", END, None)
        self.nodes: dict[str, Node] = {}
        names = names_of(steps)
        for own, step in zip(names, steps, strict=True):
            self.nodes[own] = Node(own, step.kind, KINDS[step.kind], step.action)
        self.start = self.nodes[names[0]] if names else self.end
        for place, step in enumerate(steps):
            below = self.nodes[names[place + 1]] if place + 1 < len(steps) else self.end
            self._join(self.nodes[names[place]], step, below)

    def instruct(self, step: "Step", home: Node) -> Node:
        """A node from outside, after which the script is at `home` unless it says more.

        Raises ValueError for names that the script does not know.
        """
        for _, target in step.references():
            if target not in self.nodes:
                known = ", ".join(self.nodes)
                raise ValueError(f"{target!r} is no node of script {self.name!r}; it has {known}")
        node = Node(f"{home.name} answer", step.kind, KINDS[step.kind], step.action)
        self._join(node, step, home)
        return node

    def _join(self, node: Node, step: "Step", below: Node) -> None:
        nodes = self.nodes
        action: Any = step.action
        node.next = node.timeout = below if step.next is None else nodes[step.next]
        kind = node.kind
        if kind == SELF_SERVICE:
            node.branches = {value: nodes[target] for value, target in action.branches.items()}
        elif kind == REQUERY:
            for status, target in (
                (BUSY, action.busy),
                (NO_ANSWER, action.no_answer),
                (CONNECT_FAILURE, action.connect_failure),
            ):
                if target is not None:
                    node.branches[str(status)] = nodes[target]
        elif kind == IF:
            node.test = Test(action)
            for outcome, target in (("true", action.then), ("false", action.otherwise)):
                if target is not None:
                    node.branches[outcome] = nodes[target]
        elif kind == PERCENT:
            node.parts = [(part, nodes[target]) for target, part in action.items()]
        if kind in (SELF_SERVICE, QUEUE) and action.timeout is not None:
            node.timeout = nodes[action.timeout]
        if kind in (SELF_SERVICE, QUEUE, CONNECT, CALLBACK):
            if action.on_failure is not None:
                node.failure = nodes[action.on_failure]
            elif node.next.kind in (REQUERY, WEBHOOK):
                node.failure = node.next


NO_SCRIPT: Final = Script("", ())


def survivability(application: str) -> Node:
    """The node of an application that takes the call where ICM cannot, and then ends it."""
    action = SelfService(application=application)
    node = Node("survivability", "self_service", SELF_SERVICE, action)
    node.next = node.timeout = NO_SCRIPT.end
    return node


class Test:
    """The condition of an `if`, ready to be asked."""

    __slots__ = ("_calling", "_condition", "_days", "_dialed", "_digits", "_hours")

    def __init__(self, condition: "Condition") -> None:
        self._condition = condition
        self._hours = [minutes(text) for text in condition.time]
        self._days: set[int] = set()
        for text in condition.weekday:
            self._days |= days(text)
        self._digits = [Pattern.parse(text) for text in condition.digits]
        self._dialed = [Pattern.parse(text) for text in condition.dialed]
        self._calling = [Pattern.parse(text) for text in condition.calling]

    def holds(self, call: "Call", now: float) -> bool:
        """Whether all that is asked is so."""
        if self._hours or self._days:
            router = call.server.router
            minute, day = router.local_time(call.server.wall(now))
            if self._days and day not in self._days:
                return False
            if self._hours and not any(within(minute, *hours) for hours in self._hours):
                return False
        if self._digits and not _matches(self._digits, value_of(call, "digits")):
            return False
        if self._dialed and not _matches(self._dialed, call.route.number):
            return False
        if self._calling and not _matches(self._calling, call.calling):
            return False
        variable = self._condition.variable
        return variable is None or self._compares(value_of(call, variable))

    def _compares(self, value: str) -> bool:
        condition = self._condition
        if condition.equals and value not in condition.equals:
            return False
        if condition.above is None and condition.below is None:
            return True
        try:
            number = float(value)
        except ValueError:
            return False
        if condition.above is not None and not number > condition.above:
            return False
        return condition.below is None or number < condition.below


def within(minute: int, begin: int, end: int) -> bool:
    """Whether a minute of the day lies in hours that may go past midnight."""
    if begin < end:
        return begin <= minute < end
    return minute >= begin or minute < end


def _matches(patterns: list[Pattern], number: str) -> bool:
    return any(pattern.matches(number) for pattern in patterns)


class Router:
    """The scripts of a configuration, and the keys of the calls that they route."""

    __slots__ = ("_day", "_ids", "_key", "_random", "_seed", "_zone", "max_steps", "scripts")

    def __init__(self, config: "Config", ids: IdSource) -> None:
        self._key = 0
        self._day = 0
        self._ids = ids
        self._seed = config.icm.seed
        self._random: Random | None = None
        self._zone: ZoneInfo | None = None
        self.scripts: dict[str, Script] = {}
        self.max_steps = 0
        self.configure(config)

    def configure(self, config: "Config") -> None:
        """Take the scripts of another configuration; calls go on in those that they have."""
        icm = config.icm
        self.scripts = {name: Script(name, steps) for name, steps in icm.scripts.items()}
        self.max_steps = icm.max_steps
        self._zone = ZoneInfo(icm.timezone) if icm.timezone else None

    def new_context(self, wall: float) -> IcmContext:
        """The key of a new call; the count begins again each day (UTC)."""
        day = int(wall // 86_400) + _EPOCH_DAY
        if day != self._day:
            self._day = day
            self._key = 0
        self._key += 1
        return IcmContext(self._key, day)

    def local_time(self, wall: float) -> tuple[int, int]:
        """Minute of the day and day of the week (Monday is 0)."""
        there = datetime.fromtimestamp(wall, self._zone)
        return there.hour * 60 + there.minute, there.weekday()

    def utc_offset(self, wall: float) -> int:
        """Minutes by which local time is ahead of UTC at a time."""
        there = datetime.fromtimestamp(wall, self._zone).astimezone(self._zone)
        offset = there.utcoffset()
        return 0 if offset is None else offset // timedelta(minutes=1)

    def percent(self, node: Node) -> Node:
        """One of the parts of a percent node, as often as it is to be chosen."""
        if self._random is None:
            seed: int | str = self._ids.hex(16) if self._seed is None else self._seed
            self._random = Random(seed)  # nosec B311 # shares of calls, no secret
        drawn = self._random.random() * 100.0
        for part, target in node.parts:
            drawn -= part
            if drawn < 0.0:
                return target
        return node.parts[-1][1]

    def begin(self, call: "Call", script: Script, now: float) -> None:
        """NEW_CALL (REQUEST_INSTRUCTION for a pre-routed call), with what ICM is told in it."""
        icm = call.icm
        if icm is None:
            icm = call.icm = self.new_context(call.server.wall(now))
        session = call.caller.session
        told = {
            "user.media.id": call.guid,
            "user.cvp_server_info": session.listener.local_host(session.remote_address[0]),
        }
        variables = call.variables
        if variables is None or "user.media.id" not in variables.ecc:
            assign(call, told, now)
        prerouted = call.route.call_type == "translation_route"
        message = "REQUEST_INSTRUCTION" if prerouted else "NEW_CALL"
        service, trunk_group = (2, 200) if prerouted else (1, 100)  # [CG-CS]
        call.log(
            now,
            message,
            f"script {script.name}, key {icm.day} {icm.key} {icm.sequence}, "
            f"service {service}, trunk group {trunk_group}",
        )


def share_key(call: "Call", other: "Call") -> None:
    """`other` belongs to `call`, as a consultation does: it gets the same key and day."""
    if call.icm is not None and other.icm is not None:
        other.icm.join(call.icm)


def note_endless(call: "Call", script: Script, node: Node, now: float) -> None:
    """A script has passed more nodes than it may, the last of them `node`."""
    most = call.server.router.max_steps
    log.warning(
        "%s: script %s has passed %d nodes, the last of them %s; lead out of the loop, "
        "or raise icm.max_steps",
        call.guid,
        script.name,
        most,
        node.name,
    )
    call.log(now, "script_endless", f"{most} nodes, the last of them {node.name}")


def decide(call: "Call", node: Node, now: float) -> Node:
    """The node after one that takes no time; what it found goes into the history."""
    kind = node.kind
    target = node.next
    if kind == SET:
        wanted: Mapping[str, str] = node.action
        values = {name: expand(text, call) for name, text in wanted.items()}
        assign(call, values, now)
        outcome = ", ".join(f"{name}={value}" for name, value in values.items())
    elif kind == IF:
        assert node.test is not None
        outcome = "true" if node.test.holds(call, now) else "false"
        target = node.branches.get(outcome, target)
    elif kind == PERCENT:
        target = call.server.router.percent(node)
        outcome = target.name
    else:
        status = call.icm.requery if call.icm is not None else 0
        target = node.branches.get(str(status), target)
        outcome = f"RequeryStatus {status} {EVENT_NAMES.get(status, '')}".rstrip()
    call.log(now, "script", f"{node.name} {node.what}: {outcome}")
    return target
