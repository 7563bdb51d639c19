"""What the caller's INVITE tells ICM besides numbers: user-to-user data, GTD, header fields.

They go into ECC variables with NEW_CALL [CG-CS]: UUI into ``user.microapp.uui``, configured
header fields into ``user.sip.NAME``. A value is cut where an ECC variable ends.
"""

from typing import TYPE_CHECKING, Final

from simulator.variables import MAX_ECC_BYTES, VariableError, Variables
from sip.fields import header_key
from sip.multipart import part_of

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.config_headers import HeadersSection
    from sip.message import Request

UUI: Final = "user.microapp.uui"

_GTD: Final = ("application/gtd", "application/x-gtd")
_UUS: Final = "UUS"


class CallerData:
    """What of an INVITE ICM is to have, as the configuration says.

    `always` says that every INVITE has to be looked at; otherwise only one that has header
    fields out of the ordinary, or a body of several parts.
    """

    __slots__ = ("_fields", "_gtd", "_separate", "always")

    def __init__(self, section: "HeadersSection", *, separate: bool) -> None:
        self._fields = [
            (header_key(name), f"user.sip.{header_key(name).replace('-', '_')}")
            for name in section.to_icm
        ]
        self._gtd = frozenset(section.gtd_parameters)
        self._separate = separate
        self.always = bool(self._fields)

    def take(self, call: "Call", request: "Request", now: float) -> None:
        """Set the variables of a new call."""
        found: dict[str, str] = {}
        if self._gtd:
            gtd = part_of(request.get("content-type") or "text/plain", request.body, _GTD)
            if gtd:
                found.update(gtd_variables(gtd, self._gtd))
        uui = request.get("user-to-user")
        if uui is not None:  # what the header field says comes from the nearer hop
            found[UUI] = uui.partition(";")[0].strip(" \t")
        for key, variable in self._fields:
            values = request.all(key)
            if values:
                found[variable] = ", ".join(values)
        if found:
            self._set(call, found, now)

    def _set(self, call: "Call", found: dict[str, str], now: float) -> None:
        variables = call.variables or Variables(separate=self._separate)
        for name, value in found.items():
            try:
                variables.update({name: _fitting(value)})
            except VariableError as error:  # all of them together are too long
                call.log(now, "variable_refused", str(error))
        call.variables = variables


def uui_of(request: "Request") -> str:
    """The user-to-user information of an INVITE, as it is sent: hexadecimal pairs."""
    uui = request.get("user-to-user")
    if uui is None:
        gtd = part_of(request.get("content-type") or "text/plain", request.body, _GTD)
        uui = gtd_variables(gtd, frozenset((_UUS,))).get(UUI, "")
    return uui.partition(";")[0].strip(" \t")


def gtd_variables(gtd: bytes, wanted: frozenset[str]) -> dict[str, str]:
    """The wanted parameters of a Generic Transparency Descriptor, as ECC variables.

    It has a line for each parameter: its name, then its fields, divided by commas. The last
    field of UUS is the user-to-user information, in hexadecimal.
    """
    found: dict[str, str] = {}
    for line in gtd.decode("utf-8", "replace").splitlines():
        name, comma, fields = line.strip().partition(",")
        if comma and name in wanted:
            if name == _UUS:
                found.setdefault(UUI, fields.rpartition(",")[2].strip())
            else:
                found.setdefault(f"user.gtd.{name.lower()}", fields)
    return found


def _fitting(value: str) -> str:
    """As much of a value as an ECC variable holds, without what it must not hold."""
    plain = "".join([c if c.isprintable() else " " for c in value])
    return plain.encode("utf-8", "replace")[:MAX_ECC_BYTES].decode("utf-8", "ignore")
