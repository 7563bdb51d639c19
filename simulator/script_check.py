"""What is wrong with ICM scripts: names that lead nowhere, nodes that nothing leads to,
loops in which a call would never wait."""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from simulator.config_source import Source, nearest, undeclared
from simulator.script import (
    Answer,
    Callback,
    Connect,
    DialogueFailure,
    Place,
    Queue,
    Release,
    Silence,
    Step,
    names_of,
)

if TYPE_CHECKING:
    from simulator.config import Config

_AT_ONCE: Final = frozenset({"set", "if", "percent", "requery"})
"""Kinds that take no time."""

Node = TypeVar("Node", bound=Hashable)
Leads: TypeAlias = Callable[[Node], Iterable[Node]]
"""The nodes that may come after one."""


def check_scripts(config: "Config", source: Source) -> None:
    """Note every fault of the scripts."""
    icm = config.icm
    for name, steps in icm.scripts.items():
        at: Place = ("icm", "scripts", name)
        names = names_of(steps)
        for index, step in enumerate(steps):
            if names.index(names[index]) < index:
                message = f"there is a node {names[index]!r} already; choose another name"
                source.problem((*at, index, "name"), message)
            action = step.action
            if isinstance(action, Queue | Callback):
                group = action.skill_group
                if group not in icm.skill_groups:
                    message = undeclared(group, "icm.skill_groups", icm.skill_groups)
                    source.problem((*at, index, step.kind, "skill_group"), message)
            if step.webhook is not None and icm.webhook.url is None:
                source.problem((*at, index, "webhook"), "needs icm.webhook.url; add it")
            for place, target in step.references():
                if target not in names:
                    message = f"{target!r} is no node of this script; {nearest(target, names)}"
                    source.problem((*at, index, *place), message)
        graph = {names[index]: list(_leads_to(steps, index, names)) for index in range(len(steps))}
        found = reached(names[0], graph.__getitem__)
        for index, node in enumerate(names):
            if node not in found:
                message = f"node {node!r} is never reached; lead to it or remove it"
                source.problem((*at, index), message, warning=True)
        quick = [names[index] for index, step in enumerate(steps) if step.kind in _AT_ONCE]
        for loop in loops(quick, graph.__getitem__):
            _tell(at, loop, names, source)


def _leads_to(steps: tuple[Step, ...], index: int, names: list[str]) -> Iterator[str]:
    """The nodes that may come after this one."""
    step = steps[index]
    action = step.action
    known = set(names)
    yield from (target for _, target in step.references() if target in known)
    falls = index + 1 < len(steps) and step.next is None
    if isinstance(action, Answer | Release | DialogueFailure | Silence) or step.percent is not None:
        falls = False
    below = steps[index + 1] if falls else step
    if isinstance(action, Connect) or (isinstance(action, Queue) and action.seconds is None):
        falls = falls and (below.requery is not None or below.webhook is not None)
    if step.condition is not None:
        falls = falls and None in (step.condition.then, step.condition.otherwise)
    if falls:
        yield names[index + 1]


def reached(first: Node, leads: Leads[Node]) -> set[Node]:
    """The nodes that one comes to from the first, that one included."""
    found = {first}
    todo = [first]
    while todo:
        for target in leads(todo.pop()):
            if target not in found:
                found.add(target)
                todo.append(target)
    return found


def loops(quick: Collection[Node], leads: Leads[Node]) -> Iterator[list[Node]]:
    """The ways round among the nodes that take no time, each told once.

    Depth first, with a stack of its own: a script may be longer than Python's recursion is deep.
    """
    among, done = set(quick), set[Node]()
    for first in quick:
        if first in done:
            continue
        done.add(first)
        trail = [first]
        stack = [iter(dict.fromkeys(leads(first)))]
        while stack:
            target = next(stack[-1], None)
            if target is None:
                stack.pop()
                trail.pop()
            elif target in trail:
                yield trail[trail.index(target) :]
            elif target in among and target not in done:
                done.add(target)
                trail.append(target)
                stack.append(iter(dict.fromkeys(leads(target))))


def _tell(at: Place, loop: list[str], names: list[str], source: Source) -> None:
    first = min(loop, key=names.index)
    turn = loop.index(first)
    path = " -> ".join([*loop[turn:], *loop[:turn], first])
    source.problem(
        (*at, names.index(first)),
        f"a call would go round {path} without ever waiting; "
        "put a queue or an application into the loop, or lead out of it",
    )
