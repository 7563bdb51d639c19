"""The server under test: where it is, what it says of itself, and the route to the callee."""

import base64
import json
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from scenarios.load.meters import listener
from scenarios.runner import Address
from scenarios.server import AUTHORIZATION, ServerProcess

_TIMEOUT: Final = 3.0
_REFUSAL: Final = 0.3  # seconds in which the kernel says that nobody is there
_SAMPLE: Final = re.compile(r"^(callsim_\w+(?:\{[^}]*\})?) (\S+)$", re.MULTILINE)
_SENT_AGAIN: Final = 'callsim_sip_retransmissions_total{direction="sent"}'
_STATISTICS: Final = "/sim/v1/statistics"
_COUNTS: Final = ("new_calls", "refused")
_PATTERNS: Final = "/oamp/rest/dialedNumberPattern"
_GROUPS: Final = "/oamp/rest/sipserver"
_GROUP: Final = "callee.load"


class RestFailed(Exception):
    """The server cannot be asked, or says no."""


class Rest:
    """Its HTTP interface at `url`, such as ``http://127.0.0.1:8080``."""

    def __init__(self, url: str, authorization: str, *, insecure: bool = False) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": authorization, "Content-Type": "application/json"}
        self._tls = ssl.create_default_context()
        if insecure:
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        """The body of its answer. Raises RestFailed, with the answer's details."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # the user's own URL, checked for its scheme
            self.url + path, data, self._headers, method=method
        )
        try:
            with (
                urllib.request.urlopen(  # nosec B310
                    request,
                    timeout=_TIMEOUT,
                    context=self._tls if self.url[:5] == "https" else None,
                ) as answer
            ):
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(500).decode("utf-8", "replace")
            raise RestFailed(f"{method} {path}: {error.code} {text}") from None
        except (OSError, ValueError) as error:
            raise RestFailed(f"{method} {self.url}{path}: {error}") from None

    def json(self, method: str, path: str, body: object = None) -> Any:
        """The same, read as JSON."""
        text = self.ask(method, path, body)
        return json.loads(text) if text else None

    def counts(self) -> dict[str, float]:
        """What the server counts since its start, and its calls of this moment (`active`).

        Of ``/sim/v1/statistics``: `new_calls` and `refused`; of ``/metrics``, where it has that,
        each sample under its own name. Raises RestFailed.
        """
        view = self.json("GET", _STATISTICS)
        total = view["sinceStart"]
        found = {
            "active": float(view["activeCalls"]),
            "new_calls": float(total["newCalls"]),
            "refused": float(total["rejectedCalls"]),
        }
        with suppress(RestFailed):
            for name, value in _SAMPLE.findall(self.ask("GET", "/metrics").decode()):
                with suppress(ValueError):
                    found[name] = float(value)
        return found


def basic(user: str) -> str:
    """The header of a user, ``NAME:PASSWORD``."""
    return "Basic " + base64.b64encode(user.encode()).decode()


def deserted(address: Address) -> bool:
    """Whether the machine at `address` says that nothing has this UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(_REFUSAL)
        try:
            probe.connect(address)
            probe.send(b"\r\n\r\n")  # which keeps a way open, and says nothing (RFC 5626)
            probe.recv(16)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def sent_again(counts: Mapping[str, float]) -> float | None:
    """The messages that the server says to have sent again; None where it does not say."""
    return counts.get(_SENT_AGAIN)


@dataclass(slots=True)
class Target:
    """The server: its SIP address, its REST interface if that can be asked, and its process, if
    that is on this machine; `own` if it was started for this run."""

    sip: Address
    rest: Rest | None = None
    pid: int | None = None
    own: ServerProcess | None = None
    why: str = ""
    """Why it cannot be asked."""

    @classmethod
    def started(
        cls, directory: Path, routes: Mapping[str, str], settings: Mapping[str, object]
    ) -> "Target":
        """One of our own on loopback, with the built-in plan. Raises ServerError."""
        server = ServerProcess(directory, routes=routes, settings=settings, lab=True)
        rest = Rest(server.api.removesuffix("/cvp/rest"), AUTHORIZATION)
        return cls(server.sip, rest, server.pid, server)

    @classmethod
    def running(cls, sip: Address, rest: Rest | None, pid: int | None = None) -> "Target":
        """One that runs already."""
        target = cls(sip, rest, pid or (listener(sip[1]) if sip[0].startswith("127.") else None))
        if rest is not None:
            try:
                rest.counts()
            except RestFailed as error:
                target.rest, target.why = None, str(error)
        return target

    @property
    def alive(self) -> bool:
        """Whether its process is there, as far as we can see."""
        if self.own is not None:
            return self.own.running
        return self.pid is None or Path(f"/proc/{self.pid}").exists()

    def stop(self) -> None:
        """End it, if it is ours."""
        if self.own is not None:
            self.own.kill()


class CalleeRoute:
    """Calls to `number` go to the callee, from its making until `remove`. Raises RestFailed."""

    def __init__(self, rest: Rest, number: str, callee: Address) -> None:
        self._rest = rest
        self._made: list[str] = []
        server = {"ipAddress": callee[0], "port": callee[1]}
        pattern = {"pattern": number, "callType": "preroute", "sipServerGroup": _GROUP}
        try:
            group = rest.json("POST", _GROUPS, {"groupName": _GROUP, "servers": [server]})
            self._made.append(f"{_GROUPS}/{quote(group['groupId'], safe='')}")
            entry = rest.json("POST", _PATTERNS, pattern | {"description": "callsim load"})
            self._made.append(f"{_PATTERNS}/{quote(entry['patternId'], safe='')}")
        except RestFailed:
            self.remove()
            raise

    def remove(self) -> list[str]:
        """Take it back; what could not be."""
        problems = []
        while self._made:
            path = self._made.pop()
            try:
                self._rest.ask("DELETE", path)
            except RestFailed as error:
                problems.append(f"the route to the callee is still there: {error}")
        return problems


class Watcher(threading.Thread):
    """Asks the server for its counts: when made, each second beside the run, and at its end."""

    def __init__(self, rest: Rest) -> None:
        super().__init__(name="watcher", daemon=True)
        self._rest = rest
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._seen: list[tuple[float, dict[str, float]]] = []
        self.first: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self._ask()

    def run(self) -> None:
        """Until `stop`, and once more."""
        while not self._over.wait(1.0):
            self._ask()
        self._ask()

    def _ask(self) -> None:
        with suppress(RestFailed, KeyError, TypeError, ValueError):
            counts = self._rest.counts()
            with self._lock:
                self.first = self.first or counts
                self.last = counts
                self._seen.append((time.time(), counts))

    def take(self) -> list[tuple[float, dict[str, float]]]:
        """What was seen since the last time, and when."""
        with self._lock:
            seen, self._seen = self._seen, []
            return seen

    def stop(self) -> None:
        """Ask once more, and end; waits for that."""
        self._over.set()
        self.join(2 * _TIMEOUT)

    def grown(self) -> dict[str, float]:
        """By how much each count has grown."""
        names = [name for name in self.last if name in _COUNTS or "_total" in name]
        grown = {name: self.last[name] - self.first.get(name, 0.0) for name in names}
        return {name: value for name, value in grown.items() if value}
