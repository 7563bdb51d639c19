"""Both ends of many calls vanish at once: SIPp is killed, on either side of `callsim serve`."""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scenarios.runner import SippRun
from scenarios.server import ServerProcess

T1: Final = 0.1
EVERY: Final = 1.0
OLD: Final = 5.0
"""Seconds, beside twice the time that placing the calls takes, until the audit asks."""

SETTINGS: Final = {
    "sip.t1": T1,
    "sip.t2": 4 * T1,
    "sip.t4": T1,
    "sip.audit.every": EVERY,
}
_PATIENCE: Final = 120.0


@dataclass(frozen=True, slots=True)
class Vanished:
    """`calls` were up when both ends were killed; `seconds` later the server had none.

    `ends` counts results and codes of the records, `left` what was up in the end: calls, sessions.
    """

    calls: int
    seconds: float
    ends: dict[tuple[str, str | None], int]
    left: tuple[int, int]

    @property
    def good(self) -> bool:
        """Whether each call has one record that says so, and nothing is left."""
        return self.ends == {("error", "408"): self.calls} and self.left == (0, 0)


def vanish(folder: Path, calls: int, rate: float) -> Vanished:
    """Place so many calls, kill both ends, wait for the server to notice."""
    callee = SippRun("uas", folder / "callee", calls=calls, seconds=2 * _PATIENCE)
    routes = {"2>": callee.uri}
    settings = {**SETTINGS, "sip.audit.older_than": 2 * calls / rate + OLD}
    with ServerProcess(folder / "server", routes=routes, settings=settings) as server:
        caller = SippRun(
            "uac",
            folder / "caller",
            server.sip,
            calls=calls,
            rate=rate,
            hold_ms=int(1000 * _PATIENCE),
            seconds=2 * _PATIENCE,
        )

        def connected() -> bool:
            query = "/call?limit=1&state=connected"
            return bool(server.rest("GET", query)["totalActiveCalls"] == calls)

        try:
            server.wait_for(connected, f"{calls} calls", _PATIENCE)
        finally:
            caller.stop()
            callee.stop()
        killed = time.monotonic()
        server.wait_until_idle(_PATIENCE)
        seconds = time.monotonic() - killed
        left = (len(server.calls()), len(server.sessions()))
    records = server.cdrs()
    ends = Counter[tuple[str, str | None]](
        (record.call_result, record.error_code) for record in records
    )
    return Vanished(calls, seconds, dict(ends), left)
