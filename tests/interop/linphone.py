"""A linphone as a test holds it: the commands of linphone-daemon over its socket."""

import os
import shutil
import socket
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from scenarios.child import Child
from scenarios.runner import LOOPBACK, free_port

_START: Final = 20.0
_WAIT: Final = 10.0
_SOCKETS: Final = Path("/tmp")
_numbers = count(1)

_CONFIG: Final = """\
[sip]
sip_port={udp}
sip_tcp_port={tcp}
bind_address=127.0.0.1
contact=sip:{user}@127.0.0.1
default_proxy=-1
guess_hostname=0
use_ipv6=0
register_only_when_network_is_up=0
[rtp]
bind_address=127.0.0.1
audio_rtp_port={rtp}
[video]
enabled=0
capture=0
display=0
"""


class LinphoneError(Exception):
    """linphone did not start, obey or tell as it should."""


class Linphone:
    """A phone of `user`, ready once this is made; with `answers` it takes every call.

    Its calls are numbered from 1.
    """

    def __init__(
        self, directory: Path, user: str, transport: str = "udp", *, answers: bool = True
    ) -> None:
        (directory / ".local/share/linphone").mkdir(parents=True)  # it does not make it itself
        self.user = user
        self.transport = transport
        self.address: tuple[str, int] = (LOOPBACK, free_port())
        port = self.address[1]
        config = directory / "linphonerc"
        config.write_text(
            _CONFIG.format(
                user=user,
                udp=port if transport == "udp" else 0,
                tcp=port if transport == "tcp" else 0,
                rtp=free_port(),
            )
        )
        name = f"callsim-{os.getpid()}-{next(_numbers)}"
        self._path = _SOCKETS / name
        command = [
            shutil.which("linphone-daemon") or "linphone-daemon",
            *["--config", str(config), "--pipe", name, "--log", str(directory / "linphone.log")],
            *["--disable-stats-events"],
            *(["--auto-answer"] if answers else []),
        ]
        self._log = directory / "linphone.log"
        self._child = Child(
            command, directory / "output.log", environment={**os.environ, "HOME": str(directory)}
        )
        self._told: list[dict[str, str]] = []
        try:
            self._socket = self._connect()
        except LinphoneError:
            self._child.end()
            raise

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + _START
        while True:
            if self._child.wait(0.02) is not None or time.monotonic() > deadline:
                raise LinphoneError(f"linphone did not start: {self._child.error_text()}")
            probe = socket.socket(socket.AF_UNIX)
            if probe.connect_ex(str(self._path)) == 0:
                probe.settimeout(_WAIT)
                return probe
            probe.close()

    @property
    def uri(self) -> str:
        """Where it is reached, for a route."""
        scheme = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:{self.address[0]}:{self.address[1]}{scheme}"

    def do(self, command: str) -> dict[str, str]:
        """A command; what it says. Raises LinphoneError when it cannot."""
        self._socket.sendall(command.encode() + b"\n")
        answer = _fields(self._socket.recv(65536).decode("utf-8", "replace"))
        if answer.get("Status") != "Ok":
            raise LinphoneError(f"{command}: {answer}{self._situation()}")
        return answer

    def call(self, server: tuple[str, int], number: str) -> int:
        """Call a number at a server; the number of the call in this phone."""
        uri = f"sip:{number}@{server[0]}:{server[1]};transport={self.transport}"
        return int(self.do(f"call {uri}")["Id"])

    def wait(self, state: str, call: int = 1, seconds: float = _WAIT) -> None:
        """Return once the call has entered this state, such as StreamsRunning."""
        wanted = {"Event": f"LinphoneCall{state}", "Id": str(call)}
        deadline = time.monotonic() + seconds
        while True:
            for index, event in enumerate(self._told):
                if wanted.items() <= event.items():
                    del self._told[: index + 1]  # each state is entered after those before
                    return
            if time.monotonic() > deadline:
                raise LinphoneError(f"{self.user} waited for {state}{self._situation()}")
            event = self.do("pop-event")
            if "Event" in event:
                self._told.append(event)

    def _situation(self) -> str:
        log = self._log.read_text("utf-8", "replace") if self._log.exists() else ""
        return f"; it told {self._told}\n{log[-6000:]}"

    def close(self) -> None:
        """Have it end."""
        self._socket.close()
        self._child.end()
        with suppress(FileNotFoundError):
            self._path.unlink()


def _fields(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}
