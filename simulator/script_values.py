"""The variables of a call, by the names that scripts have for them."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from simulator.script import variable_group
from simulator.variables import VariableError, Variables

if TYPE_CHECKING:
    from simulator.call import Call

NO_CHANGE: Final[Mapping[str, str]] = {}
CALLER_INPUT: Final = "user.microapp.caller_input"
_MICROAPP: Final = frozenset(("caller_input", "error_code", "input_type"))
_REFERENCE: Final = re.compile(r"\{([^{}]+)\}")


def value_of(call: "Call", name: str, ecc: Mapping[str, str] = NO_CHANGE) -> str:
    """A variable of a call by its name in scripts; empty where it is not set.

    `ecc` are ECC variables that are about to be set.
    """
    fixed = _FIXED.get(name)
    if fixed is not None:
        return fixed(call)
    if name == "digits":
        name = CALLER_INPUT
    if call.icm is not None and name in call.icm.results:
        return call.icm.results[name]
    group = variable_group(name)
    if group == "ecc" and name in ecc:
        return ecc[name]
    variables = call.variables
    if variables is None:
        return ""
    if group == "ecc":
        return variables.ecc.get(name, "")
    return (variables.call if group == "call" else variables.peripheral).get(name, "")


def _requery_of(call: "Call") -> str:
    return str(call.icm.requery) if call.icm is not None else "0"


def _dnis(call: "Call") -> str:
    return call.route.number  # that of the survey, while the caller is there


def _ani(call: "Call") -> str:
    return call.calling


def _guid(call: "Call") -> str:
    return call.guid


_FIXED: Final[Mapping[str, "Callable[[Call], str]"]] = {
    "dnis": _dnis,
    "ani": _ani,
    "guid": _guid,
    "requeryStatus": _requery_of,
}


def expand(text: str, call: "Call", ecc: Mapping[str, str] = NO_CHANGE) -> str:
    """`text` with the value of each variable that it names in braces; `ecc` as in `value_of`."""
    if "{" not in text:
        return text
    parts = _REFERENCE.split(text)
    for place in range(1, len(parts), 2):
        parts[place] = value_of(call, parts[place], ecc)
    return "".join(parts)


def assign(call: "Call", values: Mapping[str, str], now: float) -> None:
    """Set variables of a call; one that cannot be set is told in the history."""
    variables = call.variables
    if variables is None:
        variables = Variables(separate=call.server.config.variables.separate)
        call.variables = variables
    for name, value in values.items():
        group = variable_group(name)
        one = {name: value}
        try:
            if group == "call":
                variables.update(call=one)
            elif group == "peripheral":
                variables.update(peripheral=one)
            else:
                variables.update(ecc=one)
        except VariableError as error:
            call.log(now, "variable_refused", str(error))


def take_result(call: "Call", result: Mapping[str, str], now: float) -> str:
    """What an application brought back: variables of the call, and its own results.

    ``caller_input``, ``error_code`` and ``input_type`` are the micro-applications' ECC
    variables, other names with a dot are ECC variables as well [CG-ICM], ``callVariable1``
    and so on call variables. Returns it as text for the history.
    """
    values: dict[str, str] = {}
    for name, value in result.items():
        if name in _MICROAPP:
            values[f"user.microapp.{name}"] = value
        elif "." in name or name.startswith(("callVariable", "peripheral")):
            values[name] = value
        elif call.icm is not None:
            call.icm.results[name] = value
    if values:
        assign(call, values, now)
    shown = {name: value if value.isprintable() else ascii(value) for name, value in result.items()}
    return ", ".join(f"{name}={value}" for name, value in shown.items())


def hand_on(before: "Call", call: "Call", now: float) -> None:
    """`call` goes on in the script of `before`, with what that knows."""
    if before.icm is not None and call.icm is not None:
        call.icm.results.update(before.icm.results)
    elif call.icm is None:
        call.icm = before.icm
    variables = before.variables
    if variables is not None:
        values = {**variables.peripheral, **variables.call, **variables.ecc}
        assign(call, {**values, "user.media.id": call.guid}, now)
