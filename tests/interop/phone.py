"""A PJSIP phone as a test holds it: commands to its process, events from it."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from scenarios.child import Child
from scenarios.runner import free_port

DRIVER: Final = Path(__file__).with_name("pjsua_phone.py")
_START: Final = 20.0
_WAIT: Final = 10.0

Event = dict[str, Any]


class PhoneError(Exception):
    """The phone did not start, obey, tell or end as it should."""


class Phone:
    """A phone of `user` that runs once this is made, on a port of its own.

    `transport` is ``udp``, ``tcp``, ``tls``, or ``any``: UDP, and TCP for long requests.
    `settings` are those of the driver: ``answer`` (the responses to an INVITE, default 180
    and 200), ``100rel`` and ``timer`` (``off``, ``optional``, ``required``), ``password``,
    ``registrar``, ``refer`` (the response to a REFER) and so on.
    """

    def __init__(
        self, directory: Path, user: str, transport: str = "udp", **settings: object
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.user = user
        self.transport = transport
        self._log = directory / "pjsip.log"
        self._events: list[Event] = []
        whole = {
            "user": user,
            "transport": transport,
            "log": str(self._log),
            "port": free_port(),
            "rtp_port": free_port(),
            **settings,
        }
        command = [sys.executable, str(DRIVER), json.dumps(whole)]
        self._child = Child(command, directory / "stderr.log", piped=True, fed=True)
        try:
            host, _, port = self.wait("ready", seconds=_START)["address"].rpartition(":")
        except PhoneError:
            self._child.end()
            raise
        self.address: tuple[str, int] = (host, int(port))

    @property
    def uri(self) -> str:
        """Where it is reached, for a route."""
        return f"sip:{self.address[0]}:{self.address[1]}{self._parameter}"

    @property
    def _parameter(self) -> str:
        return f";transport={self.transport}" if self.transport in ("tcp", "tls") else ""

    def do(self, verb: str, **arguments: object) -> Any:
        """Have it do something; its result. Raises PhoneError when it cannot."""
        self._child.say(json.dumps({"do": verb, **arguments}))
        answer = self._next(lambda e: e["event"] in ("done", "failed"), f"{verb} to be done", _WAIT)
        if answer["event"] == "failed":
            raise PhoneError(f"{verb} {arguments}: {answer['why']}")
        return answer["result"]

    def call(self, server: tuple[str, int], number: str, **headers: str) -> int:
        """Call a number at a server; the number of the call in this phone."""
        uri = f"sip:{number}@{server[0]}:{server[1]}{self._parameter}"
        return int(self.do("call", uri=uri, headers=headers))

    def wait(self, event: str, seconds: float = _WAIT, **fields: object) -> Event:
        """The next event of this kind with these fields; each event is given once."""

        def fits(found: Event) -> bool:
            return found["event"] == event and all(found[k] == v for k, v in fields.items())

        return self._next(fits, f"{event} {fields}", seconds)

    def wait_for_rtp(self, call: int, seconds: float = _WAIT) -> None:
        """Return once RTP has arrived since now: each look is a pause of its own."""
        before = self.do("received", call=call)
        deadline = time.monotonic() + seconds
        while self.do("received", call=call) <= before:
            if time.monotonic() > deadline:
                raise PhoneError(f"{self.user} got no RTP in {seconds:g} s{self._situation()}")

    def _next(self, fits: Callable[[Event], bool], what: str, seconds: float) -> Event:
        for index, told in enumerate(self._events):
            if fits(told):
                return self._events.pop(index)
        deadline = time.monotonic() + seconds
        while (line := self._child.line(deadline - time.monotonic())) is not None:
            event: Event = json.loads(line)
            if fits(event):
                return event
            self._events.append(event)
        raise PhoneError(f"{self.user} waited {seconds:g} s for {what}{self._situation()}")

    def _situation(self) -> str:
        log = self._log.read_text("utf-8", "replace") if self._log.exists() else ""
        return f"; it told {self._events}\n{self._child.error_text()}\n{log[-6000:]}"

    def close(self) -> None:
        """Have it end. Raises PhoneError unless PJSIP ends in order."""
        try:
            self._child.finish_input()
            code = self._child.wait(_WAIT)
        finally:
            self._child.kill()
        if code != 0:
            raise PhoneError(f"{self.user} ended with {code}{self._situation()}")
