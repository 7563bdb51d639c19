"""RUN_SCRIPT_REQ and RUN_SCRIPT_RESULT between the call server and a VXML gateway.

A real gateway asks CVP's IVR service for its pages over HTTP and brings the result back there
[TN178]; what that exchange looks like is not published. Here both ride on the call's own
dialog, as the Info Package ``callsim-ivr`` (RFC 6086) with a JSON object as body: nothing
beside SIP has to be reachable, and a far end that does not list the package in Recv-Info is
never sent one. The call server lists it in the INVITE to the VRU label, the lab gateway in
its 200.

::

    {"type": "RUN_SCRIPT_REQ", "id": 1, "application": "menu", "variables": {"ani": "5551234"}}
    {"type": "RUN_SCRIPT_RESULT", "id": 1, "result": {"caller_input": "2"},
     "failed": false, "timeouts": 0, "errors": 0}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sip.errors import PeerError
from sip.message import Message

PACKAGE: Final = "callsim-ivr"
JSON: Final = "application/json"
RECV_INFO: Final = f"Recv-Info: {PACKAGE}\r\n"
INFO_PACKAGE: Final = f"Info-Package: {PACKAGE}\r\n"

_MOST_NAMES: Final = 600
_LONGEST: Final = 2000
_MOST_COUNTED: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class RunScript:
    """The gateway is to run `application`; `number` comes back with its result."""

    number: int
    application: str
    variables: dict[str, str] = field(default_factory=dict)

    def to_body(self) -> bytes:
        """As the body of an INFO."""
        return _body(
            type="RUN_SCRIPT_REQ",
            id=self.number,
            application=self.application,
            variables=self.variables,
        )

    @classmethod
    def parse(cls, body: bytes) -> "RunScript":
        """Read a body. Raises PeerError, 400."""
        found = _object(body, "RUN_SCRIPT_REQ")
        application = found.get("application")
        if not isinstance(application, str) or not application:
            raise PeerError("RUN_SCRIPT_REQ: application must be text", 400)
        return cls(_count(found, "id"), application, _texts(found, "variables"))


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """What the application `number` brought back; see `simulator.lab.dialogue.Outcome`."""

    number: int
    values: dict[str, str] = field(default_factory=dict)
    failed: bool = False
    timeouts: int = 0
    errors: int = 0

    def to_body(self) -> bytes:
        """As the body of an INFO."""
        return _body(
            type="RUN_SCRIPT_RESULT",
            id=self.number,
            result=self.values,
            failed=self.failed,
            timeouts=self.timeouts,
            errors=self.errors,
        )

    @classmethod
    def parse(cls, body: bytes) -> "ScriptResult":
        """Read a body. Raises PeerError, 400."""
        found = _object(body, "RUN_SCRIPT_RESULT")
        failed = found.get("failed", False)
        if not isinstance(failed, bool):
            raise PeerError("RUN_SCRIPT_RESULT: failed must be true or false", 400)
        timeouts, errors = _count(found, "timeouts"), _count(found, "errors")
        return cls(_count(found, "id"), _texts(found, "result"), failed, timeouts, errors)


def accepts(message: Message) -> bool:
    """Whether a message lists the package in Recv-Info."""
    return any(is_package(one) for value in message.all("recv-info") for one in value.split(","))


def is_package(text: str) -> bool:
    """Whether the value of Info-Package or Recv-Info names the package."""
    return text.partition(";")[0].strip().lower() == PACKAGE


def _body(**fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _object(body: bytes, wanted: str) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise PeerError("The body is not JSON", 400) from None
    if not isinstance(found, dict) or found.get("type") != wanted:
        raise PeerError(f"The body is no {wanted}", 400)
    return found


def _count(found: Mapping[str, Any], name: str) -> int:
    value = found.get(name, 0)
    if type(value) is not int or not 0 <= value <= _MOST_COUNTED:
        raise PeerError(f"{name} must be a whole number from 0 to {_MOST_COUNTED}", 400)
    return value


def _texts(found: Mapping[str, Any], name: str) -> dict[str, str]:
    values = found.get(name, {})
    if not isinstance(values, dict) or len(values) > _MOST_NAMES:
        raise PeerError(f"{name} must be an object of texts", 400)
    for key, value in values.items():
        if not isinstance(value, str) or len(value) > _LONGEST or not 0 < len(key) <= 64:
            raise PeerError(f"{name} must be an object of texts", 400)
    return values
