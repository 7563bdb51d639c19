"""``callsim serve`` and signals, on real sockets: calls go on, the next follows the new file."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scenarios.server import ServerProcess
from tests.simulator.flows.phones import Line, Manner, Phone
from tests.support.wire import WireNetwork

PATIENCE = 20.0

CONFIG = """\
dialed_numbers:
  - {{pattern: "{pattern}", script: standalone, application: standalone}}
icm: {{wait: 0, scripts: {{standalone: [answer]}}}}
"""


class Bench:
    """A server with a configuration file, and a caller."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "callsim.yaml"
        self.write("5>")
        self.folder = folder / "server"
        self.server = self.start()
        self.network = WireNetwork()
        self.caller = Phone(self.network, "caller", Manner())

    def start(self) -> ServerProcess:
        options = ["--config", str(self.path), "--grace", "60"]
        return ServerProcess(self.folder, options=options)

    def write(self, pattern: str) -> None:
        self.path.write_text(CONFIG.format(pattern=pattern))

    def dial(self, number: str) -> Line:
        """A call, once it has its final response."""
        host, port = self.server.sip
        line = self.caller.dial(f"sip:{number}@{host}:{port}", "5551234")
        self.wait(lambda: line.statuses != [] and line.statuses[-1] >= 200)
        return line

    def hang_up(self, line: Line) -> None:
        line.hang_up()
        self.wait(lambda: "Closed" in line.heard)

    def wait(self, until: Callable[[], bool]) -> None:
        self.network.run(PATIENCE, until)
        assert until(), self.server.errors

    def reload(self, told: str) -> None:
        """SIGHUP, and wait until the log tells this."""
        self._signal(signal.SIGHUP, told)

    def interrupt(self, told: str) -> None:
        """Ctrl-C, and wait until the log tells this."""
        self._signal(signal.SIGINT, told)

    def _signal(self, number: signal.Signals, told: str) -> None:
        os.kill(self.server.pid, number)
        self.server.wait_for(lambda: told in self.server.errors, told, PATIENCE)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.network.close()
    made.server.kill()


def test_a_call_outlives_the_file_that_let_it_in(bench: Bench) -> None:
    first = bench.dial("5000")
    assert first.statuses == [200]
    bench.write("6>")
    bench.reload('"action": "reload"')
    assert bench.dial("5001").statuses == [404]
    second = bench.dial("6000")
    assert second.statuses == [200]
    assert len(bench.server.calls()) == 2
    bench.hang_up(first)
    bench.hang_up(second)
    bench.server.wait_until_idle()
    bench.server.stop()
    assert [cdr.call_result for cdr in bench.server.cdrs()] == ["error", "completed", "completed"]


def test_a_broken_file_leaves_the_server_as_it_is(bench: Bench) -> None:
    line = bench.dial("5000")
    bench.write("[")
    bench.reload("the old configuration stays in force")
    assert f"{bench.path}:2: dialed_numbers.0.pattern: pattern '[' has '['" in bench.server.errors
    other = bench.dial("5001")
    assert other.statuses == [200]
    bench.hang_up(line)
    bench.hang_up(other)
    bench.write("6>")
    bench.reload('"action": "reload"')
    assert bench.dial("5002").statuses == [404]


def test_changes_over_rest_are_there_after_a_restart(bench: Bench) -> None:
    body = {"pattern": "7>", "callType": "post_route", "applicationName": "standalone"}
    status, text = bench.server._exchange(
        "POST", "/oamp/rest/dialedNumberPattern", json.dumps(body).encode()
    )
    assert status == 201
    name = json.loads(text)["patternId"]
    line = bench.dial("7000")
    assert line.statuses == [200]
    bench.hang_up(line)
    bench.write("6>")
    bench.reload('"action": "reload"')
    bench.server.stop()
    bench.server = bench.start()
    line = bench.dial("7000")
    assert line.statuses == [200]
    bench.hang_up(line)
    path = f"/oamp/rest/dialedNumberPattern/{name}"
    assert bench.server._exchange("DELETE", path, None)[0] == 204
    assert bench.dial("7001").statuses == [404]
    assert "1 changes of the dial plan that were made over REST are in force" in bench.server.errors


def test_warnings_are_told_at_the_start_and_when_the_file_is_read_again(bench: Bench) -> None:
    """What `callsim check` says of it, and the server runs all the same."""
    told = f"{bench.path}:3: warning: icm.agents.2001: label '2001' has no static route; add one"
    assert "warning" not in bench.server.errors
    text = bench.path.read_text()
    bench.path.write_text(text.replace("icm: {", "icm: {agents: {2001: {}}, "))
    bench.reload('"action": "reload"')
    assert told in bench.server.errors
    bench.server.stop()
    bench.server = bench.start()
    assert told in bench.server.errors
    line = bench.dial("5000")
    assert line.statuses == [200]
    bench.interrupt("stopping: 1 calls have 60 s left; Ctrl-C ends them now")
    assert bench.dial("5001").statuses == [503]
    assert "Hungup" not in line.heard
    bench.interrupt("stopping: 1 calls are ended")
    bench.wait(lambda: "Hungup" in line.heard)
    assert bench.server._child.wait(PATIENCE) == 0
    assert "stopping: all calls are over" in bench.server.errors
