"""Ends calls over REST while a run goes on, and times that: from the POST to the BYE at SIPp."""

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from scenarios.load.sipp_files import AddedLines
from scenarios.load.target import Rest, RestFailed

LOG: Final = "byes.log"

_AT_ONCE: Final = 16  # requests
_EVERY: Final = 0.2
_API: Final = "/cvp/rest/call"
_BYE: Final = re.compile(r"^BYE (\S+) .*?(\d+\.\d+)$")


class Terminator(threading.Thread):
    """Ends each call of the server that is `after` seconds old, unless it rings or is transferred:
    all calls, so that nobody else's should be there."""

    def __init__(self, rest: Rest, after: float) -> None:
        super().__init__(name="terminator", daemon=True)
        self._rest, self._after = rest, after
        self._over = threading.Event()
        self._seen: set[str] = set()
        self._posted: dict[str, float] = {}
        self.failed = 0

    def run(self) -> None:
        """Until `stop`."""
        with ThreadPoolExecutor(_AT_ONCE, "terminate") as pool:
            while not self._over.wait(_EVERY):
                with suppress(RestFailed):
                    for guid in self._due():
                        self._seen.add(guid)
                        pool.submit(self._terminate, guid)

    def _due(self) -> Iterator[str]:
        listed: list[dict[str, Any]] = self._rest.json("GET", f"{_API}?limit=1000")["calls"]
        for call in listed:
            begun = datetime.fromisoformat(call["startTime"]).timestamp()
            if (
                call["callGuid"] not in self._seen
                and call["state"] not in ("ringing", "transferring")
                and time.time() - begun >= self._after
            ):
                yield call["callGuid"]

    def _terminate(self, guid: str) -> None:
        try:
            call_id = self._rest.json("GET", f"{_API}/{guid}")["sipCallId"]
            self._posted[call_id] = time.time()
            self._rest.ask("POST", f"{_API}/{guid}/terminate", {"reason": "requested"})
        except (RestFailed, KeyError):  # it ended before
            self.failed += 1

    def stop(self) -> None:
        """End no more calls."""
        self._over.set()
        if self.is_alive():
            self.join(10)

    def took(self, call_id: str, bye: float) -> float | None:
        """Milliseconds from the POST to the BYE of a call; None for a call that was not ours."""
        posted = self._posted.pop(call_id, None)
        return None if posted is None else round(max(0.0, (bye - posted) * 1000), 1)


class Byes:
    """The BYEs that a SIPp got, by the log that `with_byes` makes it write."""

    def __init__(self, directory: Path) -> None:
        self._lines = AddedLines(directory / LOG)

    def read(self) -> Iterator[tuple[str, float]]:
        """The new ones: Call-ID, and when (seconds since the epoch)."""
        for line in self._lines.read():
            if found := _BYE.match(line):
                yield found[1], float(found[2])
