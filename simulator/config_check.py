"""What is wrong with a configuration: pydantic's findings in plain words, and what only
shows when its parts are held against each other.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from simulator.applications_check import check_applications, doubts
from simulator.config_plan import StaticRoute
from simulator.config_source import KeyPath, Source, nearest, undeclared
from simulator.config_tls import faults
from simulator.config_values import SipTarget
from simulator.outpulse import outpulsed
from simulator.patterns import PatternTable
from simulator.profile_patterns import PriorityTable
from simulator.script import Connect, Queue, SelfService
from simulator.script_check import check_scripts

if TYPE_CHECKING:
    from simulator.config import Config

_SECRETS: Final = (
    ("api", "users"),
    ("sip", "authentication", "users"),
    ("sip", "credentials"),
    ("sip", "trunks"),
    ("icm", "webhook", "token"),
)
_NOWHERE: Final = "sip:127.0.0.1:9"
_HINTS: Final = 3  # keys that may have been meant
_SLIP: Final = 0.7
"""How alike two names are that are probably one: cucm and cucn are, gw1 and gw2 are not."""


def translate(error: ValidationError, model: type[BaseModel], source: Source) -> None:
    """Note every fault that pydantic found, in words that name the fix."""
    details = error.errors(include_url=False)
    for detail in details:
        place = detail["loc"]
        below = (d["loc"] for d in details if len(d["loc"]) > len(place))
        if detail["type"] == "too_short" and any(one[: len(place)] == place for one in below):
            continue  # it is not empty: its items are wrong
        path: KeyPath = tuple(step for step in place if step != "[key]")
        source.problem(path, _message(detail, path, model))


def _message(detail: ErrorDetails, path: KeyPath, model: type[BaseModel]) -> str:
    context: Mapping[str, Any] = detail.get("ctx", {})
    secret = any(path[: len(one)] == one for one in _SECRETS)
    shown = "" if secret else f", not {_shorten(detail['input'])}"
    match detail["type"]:
        case "extra_forbidden":
            return f"is not a known key; {_instead(str(path[-1]), path[:-1], model)}"
        case "missing":
            return "is missing; add it"
        case "value_error":
            return str(context["error"])
        case "literal_error":
            choice = nearest(str(detail["input"]), _choices(context["expected"]))
            return f"must be {context['expected']}{shown}; {choice}"
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
            return f"must be a whole number{shown}"
        case "float_parsing" | "float_type" | "finite_number":
            return f"must be a number{shown}"
        case "bool_parsing" | "bool_type":
            return f"must be true or false{shown}"
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}{shown}"
        case "greater_than":
            return f"must be more than {context['gt']:g}{shown}"
        case "less_than_equal":
            return f"must be at most {context['le']:g}{shown}"
        case "string_too_long":
            return f"may have at most {context['max_length']} characters"
        case "string_too_short" | "too_short":
            return "must not be empty"
        case "string_type" | "path_type":
            return f"must be text{shown}"
        case "tuple_type" | "list_type":
            return f"must be a list{shown}; put '- ' before each item"
        case "model_type" | "model_attributes_type" | "dict_type":
            known = ", ".join(sorted(_known(model, path)))
            return f"must be a mapping{f' of {known}' if known else ''}{shown}"
        case _:
            return f"{detail['msg']}{shown}"


def _instead(key: str, section: KeyPath, model: type[BaseModel]) -> str:
    """A hint for an unknown key: the nearest of its section, else the same of others, and all."""
    known = sorted(_known(model, section))
    near = difflib.get_close_matches(key.lower(), known, _HINTS)
    if not near and all(isinstance(step, str) for step in section):
        near = [one for one in _keys(model) if one.endswith(f".{key}")][:_HINTS]
    hints = " or ".join(map(repr, near))
    meant = f"did you mean {hints}? " if hints else ""
    here = f"known here: {', '.join(known)}" if known else "nothing can stand here; remove it"
    return meant + here


def _keys(kind: Any, above: str = "") -> Iterator[str]:
    """The paths of all keys of a model that stand in no list."""
    for name in _known(kind, ()):
        yield above + name
        yield from _keys(_below(kind, name), f"{above}{name}.")


def _shorten(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = "no value" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _choices(expected: str) -> list[str]:
    """pydantic's ``'a', 'b' or 'c'`` as a list."""
    return [part.strip(" '") for part in expected.replace(" or ", ", ").split(",")]


def _known(model: type[BaseModel], path: KeyPath) -> Iterable[str]:
    """The keys of the model that stands at `path`."""
    kind: Any = model
    for step in path:
        kind = _below(kind, step)
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return ()
    return [info.alias or name for name, info in kind.model_fields.items()]


def _below(kind: Any, step: str | int) -> Any:
    """The type of the part `step` of a value of type `kind`; None if that has no parts."""
    found: Any = None
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = kind.model_fields.items()
        found = next((i.annotation for name, i in fields if step in (name, i.alias)), None)
    elif get_origin(kind) is dict:
        found = get_args(kind)[1]
    elif get_origin(kind) is tuple:
        found = get_args(kind)[0]
    while get_origin(found) in (Annotated, Union, UnionType):
        found = next(arg for arg in get_args(found) if arg is not type(None))
    return found


def cross_check(config: "Config", source: Source) -> None:
    """Note references that lead nowhere, duplicates and labels without a route."""
    _check_duplicates(config, source)
    _check_references(config, source)
    check_applications(config, source)
    _check_listeners(config, source)
    _check_sources(config, source)
    if not any(not problem.warning for problem in source.problems):
        _check_labels(config, source)
        _check_hosts(config, source)
        doubts(config, source)


def _check_duplicates(config: "Config", source: Source) -> None:
    by_priority = config.dial_plan.syntax == "profile"
    lists = {
        "dialed_numbers": [(n.pattern, n.enabled) for n in config.dialed_numbers],
        "routes": [(route.pattern, True) for route in config.routes],
        "direct_routes": [(route.pattern, True) for route in config.direct_routes],
    }
    for name, patterns in lists.items():
        profile = by_priority and name == "dialed_numbers"
        table = PriorityTable[int]() if profile else PatternTable[int]()
        for index, (pattern, enabled) in enumerate(patterns):
            try:
                if enabled:
                    table.add(pattern, index)
            except ValueError as error:
                more = "" if name == "dialed_numbers" else "; a server group has several servers"
                source.problem((name, index, "pattern"), f"{error}{more}")
    seen: set[str] = set()
    for index, group in enumerate(config.server_groups):
        if group.name in seen:
            source.problem(("server_groups", index, "name"), f"{group.name!r} is there twice")
        seen.add(group.name)
    faults = [rule.name for rule in config.faults]
    for index, name in enumerate(faults):
        if name and name in faults[:index]:
            source.problem(("faults", index), f"{name!r} is there twice; give another name")


def _check_references(config: "Config", source: Source) -> None:
    icm = config.icm
    groups = [group.name for group in config.server_groups]
    for index, number in enumerate(config.dialed_numbers):
        if number.script is not None and number.script not in icm.scripts:
            message = undeclared(number.script, "icm.scripts", icm.scripts)
            source.problem(("dialed_numbers", index, "script"), message)
        if number.server_group is not None and number.server_group not in groups:
            message = undeclared(number.server_group, "server_groups", groups)
            source.problem(("dialed_numbers", index, "server_group"), message)
    check_scripts(config, source)
    for name, skill_group in icm.skill_groups.items():
        for index, extension in enumerate(skill_group.agents):
            if extension not in icm.agents:
                message = undeclared(extension, "icm.agents", icm.agents)
                source.problem(("icm", "skill_groups", name, "agents", index), message)


def _check_listeners(config: "Config", source: Source) -> None:
    tls = config.sip.tls
    seen: set[tuple[str, str, int]] = set()
    for index, one in enumerate(config.sip.listen):
        place = (one.transport, one.host, one.port)
        if one.port and place in seen:
            source.problem(("sip", "listen", index), f"{one} is there twice; remove one")
        seen.add(place)
        if one.transport == "tls" and tls.certificate is None:
            message = f"{one} needs sip.tls.certificate and sip.tls.key"
            source.problem(("sip", "listen", index), message)
    for name, fault in faults(tls):
        source.problem(("sip", "tls", name), fault)


def _check_sources(config: "Config", source: Source) -> None:
    listeners = {(one.transport, one.host, one.port) for one in config.sip.addresses()}
    seen: set[tuple[str, str, int] | None] = set()
    for index, rule in enumerate(config.sip.sources):
        one = rule.listen
        place = None if one is None else (one.transport, one.host, one.port)
        if place is not None and place not in listeners:
            known = ", ".join(map(str, config.sip.addresses()))
            message = f"{one} is not in sip.listen, which has {known}; name one of them"
            source.problem(("sip", "sources", index, "listen"), message)
        if place in seen:
            what = "a rule for all other listeners" if one is None else f"a rule for {one}"
            source.problem(("sip", "sources", index), f"{what} is there twice; make it one")
        seen.add(place)


def _check_hosts(config: "Config", source: Source) -> None:
    """Warn of hosts in routes that are probably meant to be server groups."""
    groups = [group.name for group in config.server_groups]
    lists = {"routes": config.routes, "direct_routes": config.direct_routes}
    hosts: list[tuple[KeyPath, str]] = [
        ((name, index, "to"), route.to.host)
        for name, routes in lists.items()
        for index, route in enumerate(routes)
    ]
    if config.sip.outbound_proxy is not None:
        hosts.append((("sip", "outbound_proxy"), config.sip.outbound_proxy.host))
    unknown = {host.lower() for _, host in hosts} - set(groups)
    slips = {host: next((g for g in groups if _resembles(host, g)), None) for host in unknown}
    for path, host in hosts:
        meant = slips.get(host.lower())
        if meant is not None:
            message = f"{host!r} is looked up in the DNS: no server group; did you mean {meant!r}?"
            source.problem(path, message, warning=True)


def _resembles(host: str, group: str) -> bool:
    """Whether `host` looks like a slip of `group`; the domain that both are in says nothing."""
    ours, theirs = host.split("."), group.split(".")
    while ours and theirs and ours[-1] == theirs[-1]:
        ours.pop()
        theirs.pop()
    return difflib.SequenceMatcher(None, ".".join(ours), ".".join(theirs)).ratio() >= _SLIP


def _sample(pattern: str) -> str:
    """A number that a pattern stands for, whichever language it is in."""
    return re.sub(r"[.X]", "0", pattern.rstrip(">!").replace("*", "")) or "0"


def _check_labels(config: "Config", source: Source) -> None:
    """Warn of labels that no static route takes, once the parts are known to be sound."""
    icm = config.icm
    routed = config.with_lab(_NOWHERE, _NOWHERE) if config.lab.embedded else config
    table = routed.route_table()
    if config.sip.outbound_proxy is not None or config.dial_plan.significant_digits:
        return  # every label goes to the proxy; what digits stand before one, calls tell
    for pattern in config.dial_plan.send_to_originator:
        with suppress(ValueError):
            table.add(pattern, StaticRoute(pattern=pattern, to=SipTarget.parse(_NOWHERE)))

    def check(path: KeyPath, label: str) -> None:
        text = label.removeprefix("rf").partition(";CLI=")[0]
        if not text.startswith(("sip:", "sips:")) and table.lookup(text) is None:
            message = f"label {text!r} has no static route; add one under routes"
            source.problem(path, message, warning=True)

    for index, number in enumerate(config.dialed_numbers):
        if number.label is not None and number.enabled and number.server_group is None:
            sample = _sample(number.pattern)
            label = number.label.replace("{dnis}", sample)
            check(("dialed_numbers", index, "label"), label)
        if number.survival_application and number.script is None:
            message = "is never played: without a script ICM is not asked; give one, or remove it"
            place = ("dialed_numbers", index, "survival_application")
            source.problem(place, message, warning=True)
    needs_vru = any(number.survival_application for number in config.dialed_numbers)
    for name, steps in icm.scripts.items():
        for index, step in enumerate(steps):
            action = step.action
            needs_vru |= isinstance(action, SelfService | Queue)
            if isinstance(action, Connect) and "{" not in action.label:
                label = action.label
                if outpulsed(label.partition(";")[0]) is None:  # else it is the gateway's
                    check(("icm", "scripts", name, index, step.kind, "label"), label)
    for extension in icm.agents:
        check(("icm", "agents", extension), extension)
    if needs_vru:
        check(("icm", "vru_label"), icm.vru_label + str(icm.correlation_ids.last))
    if len(icm.vru_label) + icm.correlation_ids.digits <= icm.max_dnis_length:
        message = (
            f"with a correlation id has no more than icm.max_dnis_length ({icm.max_dnis_length}) "
            "characters: returns from the VRU would be taken for new calls"
        )
        source.problem(("icm", "vru_label"), message, warning=True)
