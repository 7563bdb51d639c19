"""The container file and the unit of systemd: what they promise, and that callsim keeps it."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenarios.server import ServerProcess
from simulator.__main__ import _parser
from simulator.config import Config
from simulator.config_sections import ServerSection

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "Containerfile"
UNIT = ROOT / "callsim.service"


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction of a container file, and its argument on one line."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (name, rest)
        for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)
    ]


INSTRUCTIONS = instructions(CONTAINERFILE.read_text())


def last_stage() -> dict[str, str]:
    """The last of each kind of instruction in the stage that runs."""
    start = max(at for at, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM")
    return dict(INSTRUCTIONS[start:])


def test_it_is_not_root_that_runs() -> None:
    stage = last_stage()
    assert int(stage["USER"]) >= 1000
    assert f"--uid {stage['USER']} " in stage["RUN"]


def test_only_the_data_directory_is_written() -> None:
    stage = last_stage()
    folder = stage["VOLUME"]
    assert f"CALLSIM_DATA_DIR={folder}" in stage["ENV"].split()
    config = Config.load(env={"CALLSIM_DATA_DIR": folder})
    assert config.server.data_dir == Path(folder)
    names = [name for name, _ in INSTRUCTIONS]
    assert names.index("VOLUME") > names.index("USER"), "who runs it must own the volume"


def test_nothing_comes_from_elsewhere() -> None:
    """No ADD, no URL, a base with a version, packages by their hashes."""
    text = CONTAINERFILE.read_text()
    assert "ADD" not in [name for name, _ in INSTRUCTIONS]
    assert "://" not in re.sub(r"http://127\.0\.0\.1:\d+", "", text)
    assert dict(INSTRUCTIONS)["ARG"] == "COMPILED=0"
    base = next(rest for name, rest in INSTRUCTIONS if name == "ARG")
    assert re.fullmatch(r"BASE=debian:\d+-slim", base)
    assert {rest.split()[0] for name, rest in INSTRUCTIONS if name == "FROM"} == {"${BASE}"}
    for _, command in INSTRUCTIONS:
        for install in re.findall(r"pip\b[^&]*? install [^&]*", command):
            assert "--require-hashes" in install or "--no-deps /wheels/" in install, install


def test_what_is_copied_is_let_in() -> None:
    """.dockerignore keeps everything out that the container file does not name."""
    let_in = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    copied = [
        source
        for name, rest in INSTRUCTIONS
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(Path(source).match(pattern) for pattern in let_in), source


def test_it_starts_and_stops_callsim() -> None:
    stage = last_stage()
    assert json.loads(stage["ENTRYPOINT"]) == ["callsim"]
    assert _parser().parse_args(json.loads(stage["CMD"])).run
    assert stage["STOPSIGNAL"] == "SIGTERM"


def test_the_health_check_tells_up_from_down(tmp_path: Path) -> None:
    command = json.loads(last_stage()["HEALTHCHECK"].partition("CMD ")[2])
    assert command[0] == "python"
    default = next(one for one in Config.load(env={}).api.listen if one.scheme == "http")
    assert f"http://{default.host}:{default.port}/livez" in command[-1]
    with ServerProcess(tmp_path) as server:
        port = re.findall(r":(\d+)/", server.api)[0]
        here = [part.replace(str(default.port), port) for part in command[1:]]
        assert subprocess.run([sys.executable, *here]).returncode == 0
    assert subprocess.run([sys.executable, *here], stderr=subprocess.DEVNULL).returncode == 1


def settings(section: str) -> Iterator[tuple[str, str]]:
    """Those of a section of the unit; a name may come more than once."""
    text = UNIT.read_text().partition(f"[{section}]\n")[2].partition("\n[")[0]
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield name, value


def test_the_unit_starts_reloads_and_drains() -> None:
    service = dict(settings("Service"))
    program, *arguments = shlex.split(service["ExecStart"])
    assert Path(program).name == "callsim"
    assert _parser().parse_args(arguments).run
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert float(service["TimeoutStopSec"]) > ServerSection().grace
    name, _, folder = service["Environment"].partition("=")
    assert name == "CALLSIM_DATA_DIR"
    assert folder == f"/var/lib/{service['StateDirectory']}"


def test_the_unit_may_do_no_more_than_it_needs() -> None:
    service = dict(settings("Service"))
    wanted = dict.fromkeys(
        "NoNewPrivileges PrivateTmp PrivateDevices PrivateUsers ProtectHome ProtectKernelModules "
        "ProtectKernelTunables ProtectControlGroups RestrictNamespaces RestrictSUIDSGID "
        "LockPersonality MemoryDenyWriteExecute".split(),
        "yes",
    )
    wanted |= {"CapabilityBoundingSet": "", "ProtectSystem": "strict", "User": "callsim"}
    assert {name: service.get(name) for name in wanted} == wanted
    filters = [value for name, value in settings("Service") if name == "SystemCallFilter"]
    assert filters == ["@system-service", "~@privileged @resources"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.skipif(not os.access("/bin/kill", os.X_OK), reason="ExecReload needs /bin/kill")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """And says that it is exposed little (0.0 nothing, 10.0 all)."""
    unit = tmp_path / UNIT.name
    program = Path(sys.executable).with_name("callsim")
    unit.write_text(UNIT.read_text().replace("/opt/callsim/bin/callsim", str(program)))
    quiet = {**os.environ, "SYSTEMD_LOG_LEVEL": "warning"}
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        env=quiet,
    )
    # It looks at the units of the machine as well, which are none of ours.
    ours = [line for line in verified.stderr.splitlines() if UNIT.name in line]
    assert ours == []
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
    )
    if "option '--offline" in rated.stderr:  # before systemd 250
        pytest.skip(rated.stderr.strip())
    assert rated.returncode == 0, (rated.stdout.splitlines()[-1:], rated.stderr)
