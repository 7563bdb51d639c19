"""Sockets that fail, no file left, names that nobody knows: other calls go on, and it ends."""

import os
import re
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from scenarios.server import ServerProcess
from tests.chaos.crowd import Crowd

BROADCAST: Final = "255.255.255.255"  # where a socket may not send (EACCES)
TICKS: Final = os.sysconf("SC_CLK_TCK")
LOOK: Final = 1.0  # seconds


@pytest.fixture(scope="module")
def names() -> Iterator[socket.socket]:
    """A name server that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        yield server


@pytest.fixture(scope="module")
def server(
    names: socket.socket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """One that is bound to all addresses, which it has to ask for when it calls somebody."""
    with ServerProcess(
        tmp_path_factory.mktemp("server"),
        routes={"2>": f"sip:{BROADCAST}:5060", "4>": "sip:callee.example.com:5060"},
        settings={
            "sip.nameservers": f"127.0.0.1:{names.getsockname()[1]}",
            "admission.delay": 0,  # a busy machine is not the fault here
        },
        options=["--sip", "udp:0.0.0.0:0", "--sip", "tcp:127.0.0.1:0"],
    ) as started:
        yield started


@pytest.fixture
def address(server: ServerProcess) -> tuple[str, int]:
    """Where it is called."""
    return "127.0.0.1", server.sip[1]


def served(crowd: Crowd) -> None:
    """Whole calls."""
    crowd.say("INVITE")
    crowd.hears("200 INVITE")
    crowd.say("ACK")
    crowd.say("BYE")
    crowd.hears("200 BYE")


@contextmanager
def no_files(pid: int) -> Iterator[None]:
    """The process can open none meanwhile."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def test_no_file_is_left(server: ServerProcess, address: tuple[str, int]) -> None:
    """Who comes anew has to wait, or is sent away, without a busy loop; later all are served."""
    where = urlsplit(server.api)
    http, sip = (where.hostname or "", where.port or 0), server.listeners["tcp"]
    assert server.calls() == []  # and its connection stays
    with ExitStack() as stack:
        with no_files(server.pid):
            outside = [
                (stack.enter_context(socket.create_connection(place)), place)
                for place in (http, sip) * 20
            ]
            news = "new connections cannot come in: Too many open files"
            server.wait_for(lambda: news in server.errors, "a line of it")
            before = cpu_seconds(server.pid)
            time.sleep(LOOK)  # what it costs meanwhile is the question
            assert cpu_seconds(server.pid) - before < LOOK / 2
            with Crowd(address, 20) as crowd:
                served(crowd)
            assert server.rest("GET", "/health")["status"] == "degraded"
            assert server.errors.count(news) == 1
        for place in (http, sip):
            outside.append((stack.enter_context(socket.create_connection(place)), place))
        answers = [_ask(one, is_http=place == http) for one, place in outside]
    assert answers[-2:] == [b"HTTP/1.1 200", b"\r\n"]
    assert {*answers} <= {b"HTTP/1.1 200", b"\r\n", b""}  # uvloop closes who waited


def _ask(one: socket.socket, *, is_http: bool) -> bytes:
    """How the answer begins; nothing from a connection that is closed."""
    one.settimeout(10.0)
    with suppress(ConnectionError):
        one.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" if is_http else b"\r\n\r\n")
        return one.recv(12)
    return b""


def test_no_way_to_the_callee(server: ServerProcess, address: tuple[str, int]) -> None:
    with Crowd(address, 1, "2000") as crowd:
        crowd.say("INVITE")
        crowd.hears("503 INVITE")
    # Forbidden, or no route at all: as the machine has it.
    line = re.compile(rf"cannot send to {re.escape(BROADCAST)}:5060: \[Errno (13|101)\] ")
    server.wait_for(lambda: line.search(server.errors), "a line of it")


def test_the_dns_is_gone(server: ServerProcess, address: tuple[str, int]) -> None:
    """A call by name is refused once the resolver has waited; others do not wait for it."""
    first = []
    for _ in range(3):  # a busy machine may take as long for one call
        with Crowd(address, 1, "4000") as named, Crowd(address, 1) as other:
            named.say("INVITE")
            named.hears("100 INVITE")
            served(other)
            refused = named.said_to("503 INVITE")
            named.hears("503 INVITE")
        first.append("named" if refused else "other")
        if not refused:
            break
    assert first[-1] == "other"
