"""A baresip phone as a test holds it: commands and events over its control socket."""

import json
import shutil
import socket
import time
import wave
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from scenarios.child import Child
from scenarios.runner import LOOPBACK, free_port

_START: Final = 20.0
_WAIT: Final = 10.0

# What it hears goes to a bridge with nobody at its other end; what it says comes from a file.
_CONFIG: Final = """\
poll_method epoll
sip_listen 127.0.0.1:{port}
net_interface 127.0.0.1
call_local_timeout 60
audio_player aubridge,sink
audio_source aufile,{voice}
audio_alert aubridge,alert
module_path /usr/lib/baresip/modules
module g711.so
module aubridge.so
module aufile.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
"""

_RATE: Final = 8000
_SECONDS: Final = 60

Event = dict[str, Any]


class BaresipError(Exception):
    """baresip did not start, obey or tell as it should."""


def _write_silence(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(bytes(2 * _RATE * _SECONDS))


class Baresip:
    """A phone of `user`, ready once this is made, that takes every call.

    With `registrar` it logs in there.
    """

    def __init__(
        self,
        directory: Path,
        user: str,
        transport: str = "udp",
        *,
        registrar: tuple[str, int] | None = None,
        password: str = "",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.user = user
        self.transport = transport
        # It takes UDP and TCP, and the port behind it for TLS.
        self.address: tuple[str, int] = (LOOPBACK, free_port(2))
        self._told: list[Event] = []
        self._pending = b""
        control = free_port()
        voice = directory / "silence.wav"
        _write_silence(voice)
        (directory / "config").write_text(
            _CONFIG.format(port=self.address[1], control=control, voice=voice)
        )
        domain, login = LOOPBACK, "regint=0"
        if registrar is not None:
            domain, login = f"{LOOPBACK}:{registrar[1]}", f"regint=60;auth_pass={password}"
        (directory / "accounts").write_text(
            f"<sip:{user}@{domain};transport={transport}>;{login};answermode=auto\n"
        )
        (directory / "contacts").write_text("")
        program = shutil.which("baresip") or "baresip"
        self._child = Child([program, "-4", "-s", "-f", str(directory)], directory / "baresip.log")
        try:
            self._control = self._connect((LOOPBACK, control))
        except BaresipError:
            self._child.end()
            raise

    def _connect(self, address: tuple[str, int]) -> socket.socket:
        deadline = time.monotonic() + _START
        while True:
            if self._child.wait(0.02) is not None or time.monotonic() > deadline:
                raise BaresipError(f"baresip did not start: {self._child.error_text()}")
            probe = socket.socket()
            if probe.connect_ex(address) == 0:
                return probe
            probe.close()

    @property
    def uri(self) -> str:
        """Where it is reached, for a route."""
        scheme = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:{self.address[0]}:{self.address[1]}{scheme}"

    def do(self, command: str, parameters: str = "") -> str:
        """A command of its menu; what it says. Raises BaresipError when it cannot."""
        data = json.dumps({"command": command, "params": parameters, "token": "t"}).encode()
        self._control.sendall(b"%d:%s," % (len(data), data))
        answer = self._next(lambda e: bool(e.get("response")), command, _WAIT)
        if not answer["ok"]:
            raise BaresipError(f"{command} {parameters}: {answer['data']}{self._situation()}")
        return str(answer["data"])

    def call(self, server: tuple[str, int], number: str) -> None:
        """Call a number at a server; the phone adds its account's transport."""
        self.do("dial", f"sip:{number}@{server[0]}:{server[1]}")

    def wait(self, kind: str, seconds: float = _WAIT) -> Event:
        """The next event of this type, such as CALL_ESTABLISHED; each is given once."""
        return self._next(lambda e: e.get("type") == kind, kind, seconds)

    def _next(self, fits: Callable[[Event], bool], what: str, seconds: float) -> Event:
        deadline = time.monotonic() + seconds
        looked = 0
        while True:
            for index, told in enumerate(self._told[looked:], looked):
                if fits(told):
                    return self._told.pop(index)
            looked = len(self._told)
            self._control.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._control.recv(65536)
            except TimeoutError:
                data = b""
            if not data:
                raise BaresipError(f"{self.user} waited for {what}{self._situation()}")
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Netstrings: the length, a colon, JSON, a comma."""
        self._pending += data
        while True:
            length, colon, rest = self._pending.partition(b":")
            if not colon or len(rest) <= int(length):
                return
            self._told.append(json.loads(rest[: int(length)]))
            self._pending = rest[int(length) + 1 :]

    def _situation(self) -> str:
        return f"; it told {self._told}\n{self._child.error_text()}"

    def close(self) -> None:
        """Have it end."""
        with closing(self._control):
            self._child.end()
