"""The states of a call, as a table: state and input to the next state.

An input that a state has no row for is refused, and nothing changes. The end of a
transfer or of a hold leads back to the state it left, which the call remembers.
"""

from collections.abc import Mapping
from typing import Final

from simulator.views import CallState

# Inputs of the call's table.
SELF_SERVICE: Final = 0
QUEUE: Final = 1
CONNECT: Final = 2
TRANSFER: Final = 3
HOLD: Final = 4
RESUME: Final = 5
END: Final = 6
INPUT_NAMES: Final = ("self-service", "queue", "connect", "transfer", "hold", "resume", "end")

_ACTIVE: Final[Mapping[int, CallState]] = {
    SELF_SERVICE: "self_service",
    QUEUE: "queued",
    CONNECT: "connected",
    TRANSFER: "transferring",
}
HELD_FROM: Final = ("connected", "self_service", "queued")
"""The states that a hold by a leg changes."""

STATES: Final[Mapping[str, Mapping[int, str]]] = {
    "ringing": {
        SELF_SERVICE: "self_service",
        QUEUE: "queued",
        CONNECT: "connected",
        END: "ended",
    },
    "self_service": {**_ACTIVE, HOLD: "on_hold", END: "ended"},
    "queued": {**_ACTIVE, HOLD: "on_hold", END: "ended"},
    "connected": {**_ACTIVE, HOLD: "on_hold", END: "ended"},
    "on_hold": {**_ACTIVE, RESUME: "connected", END: "ended"},
    "transferring": {SELF_SERVICE: "self_service", QUEUE: "queued", CONNECT: "connected",
                     END: "ended"},
    "ended": {},
}  # fmt: skip


def possible_when(what: int) -> str:
    """The states that have a row for an input, for people."""
    return " or ".join(state for state, row in STATES.items() if what in row)


# Reason headers (RFC 3326) with the Q.850 causes of a Call Server.
NORMAL: Final = "Q.850;cause=16"
REASONS: Final[Mapping[str, str]] = {
    "requested": NORMAL,
    "administrative": "Q.850;cause=31",
    "timeout": "Q.850;cause=102",
    "error": "Q.850;cause=41",
}
