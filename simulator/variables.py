"""The data ICM ties to a call: ten call variables and the expanded (ECC) variables.

Limits [CG-ICM, SDG-LIM, SDG-NON]: 40 characters for each of the ten; 210 bytes of UTF-8 for
an ECC value and 2000 bytes for all ECC values of a call together. Names do not count (to
CTI they have a further 500 bytes of their own); a name has at most 64 characters, and a
call at most 500 of them.

In GED-125 "peripheral" and "call" variables are the same ten [WS], so ``peripheral3`` and
``callVariable3`` name one variable, unless the sets are asked to be separate.
"""

from collections.abc import Mapping
from typing import Final
from unicodedata import category

from simulator.errors import CallServerError
from sip.errors import InvalidValue

COUNT: Final = 10
MAX_CHARACTERS: Final = 40
MAX_ECC_BYTES: Final = 210
MAX_ECC_TOTAL: Final = 2000
MAX_ECC_NAME: Final = 64
MAX_ECC_COUNT: Final = 500

# Control characters, lone surrogates, and the line and paragraph separators.
_REFUSED: Final = frozenset(("Cc", "Cs", "Zl", "Zp"))

_CALL_KEYS: Final = tuple(f"callVariable{n}" for n in range(1, COUNT + 1))
_PERIPHERAL_KEYS: Final = tuple(f"peripheral{n}" for n in range(1, COUNT + 1))
_CALL_INDEX: Final = {key: index for index, key in enumerate(_CALL_KEYS)}
_PERIPHERAL_INDEX: Final = {key: index for index, key in enumerate(_PERIPHERAL_KEYS)}


class VariableError(CallServerError, InvalidValue):
    """A variable that cannot be set: `field` such as ``callVariables.callVariable1``.

    `length` and `limit` are set when the value is too long: characters for the ten
    variables, bytes for ECC.
    """

    def __init__(
        self, field: str, message: str, *, length: int | None = None, limit: int | None = None
    ) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.length = length
        self.limit = limit


class Variables:
    """The variables of one call; until one is set it holds nothing."""

    __slots__ = ("_call", "_ecc", "_peripheral", "separate")

    def __init__(self, *, separate: bool = False) -> None:
        self.separate = separate
        self._call: dict[int, str] | None = None
        self._peripheral: dict[int, str] | None = None
        self._ecc: dict[str, str] | None = None

    @property
    def ecc(self) -> dict[str, str]:
        """A copy of the ECC variables, in the order they were first set."""
        return dict(self._ecc) if self._ecc else {}

    @property
    def call(self) -> dict[str, str]:
        """``callVariable1`` to ``callVariable10``, those that were set."""
        return _named(self._call, _CALL_KEYS)

    @property
    def peripheral(self) -> dict[str, str]:
        """``peripheral1`` to ``peripheral10``, those that were set."""
        return _named(self._peripheral if self.separate else self._call, _PERIPHERAL_KEYS)

    def update(
        self,
        ecc: Mapping[str, str] | None = None,
        peripheral: Mapping[str, str] | None = None,
        call: Mapping[str, str] | None = None,
    ) -> None:
        """Merge what is given into what is set: all of it, or nothing.

        Raises `VariableError` for an unknown key, a value that is no text, too long or has
        a control character (values may reach SIP headers), and for two names of one
        variable whose values differ.
        """
        new_ecc = self._checked_ecc(ecc) if ecc else None
        new_peripheral = _checked("peripheralVariables", peripheral, _PERIPHERAL_INDEX)
        new_call = _checked("callVariables", call, _CALL_INDEX)
        if not self.separate:
            for index, value in new_peripheral.items():
                if new_call.setdefault(index, value) != value:
                    raise VariableError(
                        f"peripheralVariables.{_PERIPHERAL_KEYS[index]}",
                        f"is another name of {_CALL_KEYS[index]}, which has a different value "
                        "here; give one of them, or the same value",
                    )
        if new_ecc is not None:
            self._ecc = new_ecc
        if new_call:
            self._call = {**(self._call or {}), **new_call}
        if new_peripheral and self.separate:
            self._peripheral = {**(self._peripheral or {}), **new_peripheral}

    def _checked_ecc(self, ecc: Mapping[str, str]) -> dict[str, str]:
        """What the ECC variables would be with `ecc` merged in."""
        for name, value in ecc.items():
            _check_name(name)
            field = f"eccVariables.{name}"
            size = _utf8_length(field, value)
            if size > MAX_ECC_BYTES:
                message = f"has {size} bytes of UTF-8; at most {MAX_ECC_BYTES}"
                raise VariableError(field, message, length=size, limit=MAX_ECC_BYTES)
        merged = {**(self._ecc or {}), **ecc}
        if len(merged) > MAX_ECC_COUNT:
            message = f"would be {len(merged)} variables; at most {MAX_ECC_COUNT}"
            raise VariableError("eccVariables", message, length=len(merged), limit=MAX_ECC_COUNT)
        total = sum(len(value.encode()) for value in merged.values())
        if total > MAX_ECC_TOTAL:
            message = f"would have {total} bytes of values together; at most {MAX_ECC_TOTAL}"
            raise VariableError("eccVariables", message, length=total, limit=MAX_ECC_TOTAL)
        return merged


def _named(values: dict[int, str] | None, names: tuple[str, ...]) -> dict[str, str]:
    return {names[index]: values[index] for index in sorted(values)} if values else {}


def _checked(
    group: str, values: Mapping[str, str] | None, known: Mapping[str, int]
) -> dict[int, str]:
    """The values by place in the set of ten."""
    checked: dict[int, str] = {}
    for key, value in (values or {}).items():
        field = f"{group}.{_shown(key)}"
        index = known.get(key) if isinstance(key, str) else None
        if index is None:
            first, *_, last = known
            raise VariableError(field, f"is not a variable; known are {first} to {last}")
        _utf8_length(field, value)
        if len(value) > MAX_CHARACTERS:
            message = f"has {len(value)} characters; at most {MAX_CHARACTERS}"
            raise VariableError(field, message, length=len(value), limit=MAX_CHARACTERS)
        checked[index] = value
    return checked


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name or " " in name or not name.isprintable():
        message = "is not a name; it must be text without blanks and control characters"
        raise VariableError(f"eccVariables.{_shown(name)}", message)
    if len(name) > MAX_ECC_NAME:
        raise VariableError(
            f"eccVariables.{_shown(name)}",
            f"has a name of {len(name)} characters; at most {MAX_ECC_NAME}",
            length=len(name),
            limit=MAX_ECC_NAME,
        )


def _shown(name: object) -> str:
    """A name that is safe to repeat in a message."""
    text = name if isinstance(name, str) and name.isprintable() else ascii(name)
    return text if len(text) <= MAX_ECC_NAME else f"{text[:MAX_ECC_NAME]}..."


def _utf8_length(field: str, value: object) -> int:
    """The bytes of a value that may stand in a SIP header."""
    if not isinstance(value, str):
        raise VariableError(field, f"must be text, not {type(value).__name__}")
    for place, character in enumerate(value, 1):
        if category(character) in _REFUSED:
            message = f"has the control character {character!r} at place {place}; remove it"
            raise VariableError(field, message)
    return len(value.encode())
