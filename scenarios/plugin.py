"""A pytest plugin: real servers, SIPp and tshark as fixtures.

It comes with Callsim; see scenarios/README.md for its use in tests of your own.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from scenarios.capture import Capture
    from scenarios.runner import SippRun
    from scenarios.server import ServerProcess

ServerFactory = Callable[..., "ServerProcess"]
SippFactory = Callable[..., "SippRun"]
CaptureFactory = Callable[..., "Capture"]


@pytest.fixture
def callsim_server(tmp_path: Path) -> Iterator[ServerFactory]:
    """Start servers: ``callsim_server(routes={">": callee.uri}, settings={"sip.t1": 0.1})``.

    Takes what `scenarios.server.ServerProcess` takes. After the test each server must have
    no call, no session and no busy agent left, and end with exit code 0 on SIGTERM.
    """
    from scenarios.server import ServerProcess

    numbers = count(1)
    with ExitStack() as stack:

        def start(**options: Any) -> ServerProcess:
            server = ServerProcess(tmp_path / f"server-{next(numbers)}", **options)
            stack.callback(server.kill)
            stack.callback(_finish, server)
            return server

        yield start


def _finish(server: "ServerProcess") -> None:
    if server.running:
        server.wait_until_idle()
        server.stop()


@pytest.fixture
def sipp(tmp_path: Path, callsim_server: ServerFactory) -> Iterator[SippFactory]:
    """Run SIPp: ``sipp("caller-hangs-up", server.sip)``; a callee without an address.

    Takes what `scenarios.runner.SippRun` takes, all but the directory. What still runs after
    the test is ended, before its servers are looked at. Without SIPp the test fails and says
    what to install.
    """
    from scenarios.runner import SippMissing, SippRun

    numbers = count(1)
    with ExitStack() as stack:

        def run(scenario: str | Path, *arguments: Any, **options: Any) -> SippRun:
            directory = tmp_path / f"sipp-{next(numbers)}-{Path(scenario).stem}"
            try:
                started = SippRun(scenario, directory, *arguments, **options)
            except SippMissing as missing:
                pytest.fail(str(missing), pytrace=False)
            stack.callback(started.stop)
            return started

        yield run


@pytest.fixture
def capture(tmp_path: Path, callsim_server: ServerFactory) -> Iterator[CaptureFactory]:
    """Watch the wire: ``capture(server)`` before the call, ``.check()`` after it.

    Takes servers, port numbers, and `tls_ports` of others; gives a `scenarios.capture.Capture`
    that captures already. Without tshark the test fails and says what to install.
    """
    from scenarios.capture import Capture, TsharkMissing

    numbers = count(1)
    with ExitStack() as stack:

        def start(*watched: "ServerProcess | int", tls_ports: Iterable[int] = ()) -> Capture:
            ports = {one for one in watched if isinstance(one, int)}
            secret = set(tls_ports)
            for one in watched:
                if not isinstance(one, int):
                    for transport, (_, port) in one.listeners.items():
                        (secret if transport == "tls" else ports).add(port)
            try:
                started = Capture(tmp_path / f"capture-{next(numbers)}", ports, secret)
            except TsharkMissing as missing:
                pytest.fail(str(missing), pytrace=False)
            stack.callback(started.close)
            return started

        yield start


def pytest_report_header() -> str:
    """Which of the outside programs are there."""
    found = {name: shutil.which(name) or "not installed" for name in ("sipp", "tshark")}
    return "callsim: " + ", ".join(f"{name} {path}" for name, path in found.items())
