"""What is wrong with VXML applications: names that lead nowhere, steps that nothing leads
to, loops in which nobody is waited for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from simulator.applications import Application, Place
from simulator.config_source import Source, near, nearest, undeclared
from simulator.script import SelfService
from simulator.script_check import loops, reached

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
        found = reached(0, leads.__getitem__)
        for index in range(len(steps)):
            if index not in found:
                message = "no step leads here; name it in a 'next' or in a branch, or remove it"
                source.problem((*at, index), message, warning=True)
        quick = [place for place, step in enumerate(steps) if step.assign or step.branch]
        for loop in loops(quick, leads.__getitem__):
            message = "leads back to itself and nobody is waited for; put a collect between"
            source.problem((*at, min(loop)), message)


def doubts(config: "Config", source: Source) -> None:
    """Warn of applications that nobody runs, and of those that calls run by another spelling."""
    known = config.lab.applications
    if not known:
        return
    if not config.lab.embedded:
        message = "nobody runs them while lab.embedded is false; set it to true, or remove them"
        source.problem(("lab", "applications"), message, warning=True)
    for place, wanted in _wanted(config):
        if wanted not in known and near(wanted, known) is not None:
            message = undeclared(wanted, "lab.applications", known)
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
                hint = nearest(target, names) if names else "give a step this name"
                message = f"{target!r} is no step of this application; {hint}"
                source.problem((*at, index, *place), message)


def _leads_to(steps: Application, index: int) -> Iterator[int]:
    """The steps that may come after this one, by place."""
    step = steps[index]
    places = {one.name: place for place, one in enumerate(steps)}
    yield from (places[name] for _, name in step.references() if name in places)
    always = step.branch is not None and step.branch.otherwise is not None
    if step.exit is None and step.next is None and not always and index + 1 < len(steps):
        yield index + 1
