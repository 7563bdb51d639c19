"""The plugin from outside: loaded by name, cheap, and clear about what is missing."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scenarios.plugin import ServerFactory
from scenarios.server import ServerError

README = Path(__file__).parents[2] / "scenarios" / "README.md"
TEST = """
def test_one({fixture}):
    {call}
"""


def run_pytest(directory: Path, source: str, path: str) -> str:
    """The output of pytest for a file of this source, with this PATH."""
    (directory / "test_it.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "test_it.py"],
        cwd=directory,
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("fixture", "call", "package"),
    [("sipp", "sipp('callee-answers')", "sip-tester"), ("capture", "capture(5060)", "tshark")],
)
def test_a_missing_program_is_named(tmp_path: Path, fixture: str, call: str, package: str) -> None:
    source = TEST.format(fixture=fixture, call=call)
    output = run_pytest(tmp_path, source, str(tmp_path))
    assert "1 failed" in output
    assert f"apt-get install {package}" in output


def test_the_plugin_needs_no_program(tmp_path: Path) -> None:
    source = TEST.format(fixture="callsim_server", call="assert callsim_server().calls() == []")
    output = run_pytest(tmp_path, source, str(tmp_path))
    assert "callsim: sipp not installed, tshark not installed" in output
    assert "1 passed" in output


def test_the_example_of_the_readme(tmp_path: Path) -> None:
    _, _, rest = README.read_text().partition("```python\n")
    assert "1 passed" in run_pytest(tmp_path, rest.partition("```")[0], os.environ["PATH"])


def test_loading_the_plugin_loads_little() -> None:
    program = "import scenarios.plugin, sys; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = found.stdout.split()
    assert [name for name in loaded if name.split(".")[0] in ("sip", "simulator", "aiohttp")] == []


@pytest.mark.parametrize(
    ("answers", "left"),
    [
        ({"agents": [{"extension": "1001", "activeCalls": 1}], "skillGroups": []}, "1001"),
        ({"agents": [], "skillGroups": [{"name": "support", "waiting": 2}]}, "support"),
    ],
)
def test_agents_and_queues_must_be_left_by_calls(
    callsim_server: ServerFactory,
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[str, list[Any]],
    left: str,
) -> None:
    server = callsim_server()
    with monkeypatch.context() as patched:
        patched.setattr(server, "extension", lambda *_: answers)
        with pytest.raises(ServerError, match=f"agents and queues: .*{left}"):
            server.wait_until_idle(0.1)
