"""What is wrong with VXML applications: names that lead nowhere, steps that nothing leads
to, loops in which nobody is waited for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from simulator.applications import Application, Place
from simulator.config_source import Source, nearest
from simulator.script import SelfService

if TYPE_CHECKING:
    from simulator.config import Config


def check_applications(config: "Config", source: Source) -> None:
    """Note every fault of the applications."""
    for name, steps in config.lab.applications.items():
        at: Place = ("lab", "applications", name)
        told = len(source.problems)
        _check_names(at, steps, source)
        if len(source.problems) > told:
            continue  # where the others lead is not known
        leads = [list(_leads_to(steps, index)) for index in range(len(steps))]
        _check_reach(at, steps, leads, source)
        _check_loops(at, steps, leads, source)


def near_names(config: "Config", source: Source) -> None:
    """Warn of applications that calls run and that are declared under another spelling."""
    known = config.lab.applications
    for place, wanted in _wanted(config):
        hint = nearest(wanted, known) if known and wanted not in known else ""
        if hint.startswith("did you mean"):
            message = f"{wanted!r} is not in lab.applications; {hint}"
            source.problem(place, message, warning=True)


def _wanted(config: "Config") -> Iterator[tuple[Place, str]]:
    """The applications that scripts run and numbers fall back to, and where that is said."""
    for script, steps in config.icm.scripts.items():
        for index, step in enumerate(steps):
            if isinstance(step.action, SelfService):
                place = ("icm", "scripts", script, index, step.kind, "application")
                yield place, step.action.application
    for index, number in enumerate(config.dialed_numbers):
        if number.survival_application:
            yield ("dialed_numbers", index, "survival_application"), number.survival_application


def _check_names(at: Place, steps: Application, source: Source) -> None:
    names = [step.name for step in steps if step.name is not None]
    for index, step in enumerate(steps):
        if step.name is not None and any(step.name == one.name for one in steps[:index]):
            message = f"there is a step {step.name!r} already; choose another name"
            source.problem((*at, index, "name"), message)
        for place, target in step.references():
            if target not in names:
                message = f"{target!r} is no step of this application; {nearest(target, names)}"
                source.problem((*at, index, *place), message)


def _leads_to(steps: Application, index: int) -> Iterator[int]:
    """The steps that may come after this one, by place."""
    step = steps[index]
    places = {one.name: place for place, one in enumerate(steps)}
    yield from (places[name] for _, name in step.references() if name in places)
    always = step.branch is not None and step.branch.otherwise is not None
    if step.exit is None and step.next is None and not always and index + 1 < len(steps):
        yield index + 1


def _check_reach(at: Place, steps: Application, leads: list[list[int]], source: Source) -> None:
    reached = {0}
    todo = [0]
    while todo:
        for target in leads[todo.pop()]:
            if target not in reached:
                reached.add(target)
                todo.append(target)
    for index in range(len(steps)):
        if index not in reached:
            message = "no step leads here; name it in a 'next' or in a branch, or remove it"
            source.problem((*at, index), message, warning=True)


def _check_loops(at: Place, steps: Application, leads: list[list[int]], source: Source) -> None:
    """Steps that take no time must not lead back to themselves through others of that kind."""
    quick = [step.assign is not None or step.branch is not None for step in steps]
    for start in range(len(steps)):
        seen: set[int] = set()
        todo = [start] if quick[start] else []
        while todo:
            for target in leads[todo.pop()]:
                if target == start:
                    message = "leads back to itself and nobody is waited for; put a collect between"
                    source.problem((*at, start), message)
                    return
                if quick[target] and target not in seen:
                    seen.add(target)
                    todo.append(target)
