"""SIPVicious scans the server: what it learns is that there is one, and then nothing more.

It comes from this machine's own address: the limits do not hold on loopback.
"""

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scenarios.plugin import ServerFactory
from scenarios.server import ServerProcess

USERS = {"1001": "geheim", "1002": "0007"}
GUESSES = 20  # sip.limits.wrong_passwords, as it is by default


def own_address() -> str:
    """An address of this machine that is not loopback: the one that the default route has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.fail("this machine has no address but loopback", pytrace=False)
        return str(probe.getsockname()[0])


class Scanner:
    """Runs a tool against the UDP port of a server that asks for passwords."""

    def __init__(self, directory: Path, start: ServerFactory, **settings: Any) -> None:
        self.directory = directory
        self.host = own_address()
        users = {f"sip.authentication.users.{name}": word for name, word in USERS.items()}
        # The scanner knows no SHA-256.
        settings = {**users, "sip.authentication.algorithms": "MD5", **settings}
        options = ["--sip", f"udp:{self.host}:0"]
        self.server: ServerProcess = start(settings=settings, options=options, lab=True)

    def run(self, tool: str, *arguments: str) -> str:
        """What the tool found, and said of it."""
        program = Path(sys.executable).with_name(f"sipvicious_{tool}")
        port = f"-p{self.server.sip[1]}"
        done = subprocess.run(
            [str(program), port, "-b", self.host, "-x", self.host, *arguments, self.host],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.directory,
        )
        return done.stdout + done.stderr

    def crack(self, user: str, words: list[str]) -> str:
        """Try these passwords."""
        file = self.directory / "words.txt"
        file.write_text("".join(f"{word}\n" for word in words))
        return self.run("svcrack", "-u", user, "-d", str(file), "--maximumtime=5", "-t", "0.01")

    @property
    def bans(self) -> list[Any]:
        found = self.server.extension("GET", "/sim/v1/bans")["bans"]
        assert isinstance(found, list)
        return found


@pytest.fixture
def scanner(tmp_path: Path, callsim_server: ServerFactory) -> Scanner:
    return Scanner(tmp_path, callsim_server)


def test_there_is_a_server_and_no_extension_is_told_from_another(scanner: Scanner) -> None:
    """1001 and 1002 are users, agents and phones that may log in; 998 and 999 are none."""
    found = scanner.run("svmap")
    assert re.search(rf"{scanner.host}:\d+ +\| +Callsim/", found), found
    for method in ("REGISTER", "OPTIONS", "INVITE"):
        found = scanner.run("svwar", "-e998-1003", "-m", method, "--force")
        assert "found nothing" in found
        for extension in range(998, 1004):
            assert not re.search(rf"^\| {extension} +\|", found, re.MULTILINE), found
    assert scanner.bans == []


def test_a_server_that_is_silent_is_not_found(
    tmp_path: Path, callsim_server: ServerFactory
) -> None:
    rule = "[{call: 127.0.0.0/8, register: 127.0.0.0/8, others: silence}]"
    scanner = Scanner(tmp_path, callsim_server, **{"sip.sources": rule})
    assert "found nothing" in scanner.run("svmap")
    assert "found nothing" in scanner.run("svwar", "-e1001", "--maximumtime=2")


def test_passwords_are_not_tried_for_long(scanner: Scanner) -> None:
    """It does find one, if that is among the first; then the source is banned, for all users."""
    right = USERS["1002"]
    few = [f"000{number}" for number in range(1, 6)]  # it does not wait for the last answer
    assert right in scanner.crack("1002", [right, *few])
    assert scanner.bans == []
    wrong = [f"{number:04d}" for number in range(100, 100 + 3 * GUESSES)]
    found = scanner.crack("1002", [*wrong, right])
    assert "found nothing" in found
    assert right not in found
    (ban,) = scanner.bans
    assert (ban["address"], ban["reason"]) == (scanner.host, "wrong passwords")
    assert USERS["1001"] not in scanner.crack("1001", [USERS["1001"]])
    assert "geheim" not in scanner.server.errors
