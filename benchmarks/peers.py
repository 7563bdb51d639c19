"""Other people's servers, each configured as its experts would, where they are installed.

Found on the path: Kamailio and Asterisk (``apt-get install``). sippy's B2BUA is looked for in
this environment and in ``.venv-sippy``. They run as they are and are never imported.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.forms import ROOT
from benchmarks.subjects import BenchmarkError, Maker, SippUas, Subject, behind
from scenarios.child import Child
from scenarios.load.meters import cpu_seconds, resident_bytes
from scenarios.runner import LOOPBACK, free_port

KAMAILIO: Final = "Kamailio, proxy"
ASTERISK_CALLEE: Final = "Asterisk, callee"
ASTERISK: Final = "Asterisk, back-to-back"
SIPPY: Final = "sippy B2BUA, back-to-back"

SIPPY_PYTHON: Final = ROOT / ".venv-sippy" / "bin" / "python"

_HERE: Final = Path(__file__).parent
_ROUTED_CALLER: Final = _HERE / "caller.xml"
_CALLEE: Final = _HERE / "callee.xml"
_KAMAILIO_MODULES: Final = "pv tm sl rr maxfwd siputils textops".split()
_START: Final = 30.0


def installed_peers(sippy: Path | None = None) -> dict[str, Maker]:
    """The peers that this machine has; `sippy` is the Python that has sippy's B2BUA.

    Raises BenchmarkError when that one was named and has none.
    """
    found: dict[str, Maker] = {}
    if kamailio := _program("kamailio"):
        found[KAMAILIO] = lambda directory, seconds: behind(
            lambda callee: Kamailio(directory, callee, kamailio), directory, seconds, _CALLEE
        )
    if asterisk := _program("asterisk"):
        found[ASTERISK_CALLEE] = lambda directory, _seconds: Asterisk(directory, None, asterisk)
        found[ASTERISK] = lambda directory, seconds: behind(
            lambda callee: Asterisk(directory, callee, asterisk), directory, seconds
        )
    for python in [sippy] if sippy is not None else [Path(sys.executable), SIPPY_PYTHON]:
        if python.exists() and has_sippy(python):
            found[SIPPY] = lambda directory, seconds, python=python: behind(  # type: ignore[misc]
                lambda callee: Sippy(directory, callee, python),
                directory,
                seconds,
                _CALLEE,
            )
            break
    else:
        if sippy is not None:
            raise BenchmarkError(f"--sippy: {sippy} is no Python that can import sippy")
    return found


def has_sippy(python: Path) -> bool:
    """Whether this Python has sippy's B2BUA."""
    ask = [str(python), "-c", "import sippy.b2bua_simple"]
    return subprocess.run(ask, cwd="/", capture_output=True, check=False).returncode == 0


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


class Peer(Subject):
    """A server that is not ours: its counts are those of the callee behind it, if any."""

    peer = True

    def __init__(self, directory: Path, number: str, callee: SippUas | None) -> None:
        super().__init__(directory, number)
        self.callee = callee
        self.address = (LOOPBACK, free_port())

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start it, and return once it listens."""
        self._child = Child(
            command, self.directory / "peer.log", directory=self.directory, environment=environment
        )
        self.pid = self._child.pid
        deadline = time.monotonic() + _START
        while not udp_port_is_open(self.address[1]):
            if self._child.wait(0.05) is not None or time.monotonic() > deadline:
                self._child.end()
                raise BenchmarkError(f"{command[0]} did not start: {self._child.error_text(500)}")

    def processes(self) -> list[int]:
        """Its processes: some fork."""
        return [self.pid, *descendants(self.pid)]

    def cpu(self) -> float:
        """CPU seconds of all its processes."""
        return sum(cpu_seconds(pid) for pid in self.processes())

    def main_cpu(self) -> float:
        """There is no saying which thread is the main one."""
        return self.cpu()

    def memory(self) -> int:
        """Bytes of memory of all its processes."""
        return sum(resident_bytes(pid) for pid in self.processes())

    def joined(self, calls: int) -> list[str]:
        """The callee's counts."""
        return self.callee.joined(calls) if self.callee is not None else []

    def stop(self) -> list[str]:
        """End it, and the callee."""
        self._child.end()
        if self.callee is not None:
            self.callee.stop()
        return []


class Kamailio(Peer):
    """A stateful proxy that record-routes: one child, so that nothing overtakes, and the fast
    memory manager; Debian's default costs several times the CPU."""

    caller = _ROUTED_CALLER
    most = 4000
    holds = False  # between its transactions a proxy knows nothing of a call

    def __init__(self, directory: Path, callee: SippUas, program: str) -> None:
        super().__init__(directory, "service", callee)
        config = directory / "kamailio.cfg"
        config.write_text(kamailio_config(self.address[1], callee.uri), "utf-8")
        (directory / "run").mkdir(exist_ok=True)
        self.run(
            [
                *[program, "-DD", "-E", "-f", str(config), "-Y", str(directory / "run")],
                *["-x", "tlsf", "-X", "tlsf", "-m", "256", "-M", "16"],
            ]
        )


def kamailio_config(port: int, callee: str) -> str:
    """Its configuration."""
    modules = "\n".join(
        f'loadmodule "{name}.so"' for name in "pv tm sl rr maxfwd siputils textops".split()
    )
    return f"""#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=1
disable_tcp=yes
auto_aliases=no
dns=no
rev_dns=no
use_dns_cache=no
listen=udp:{LOOPBACK}:{port}
{modules}
modparam("rr", "append_fromtag", 0)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (has_totag()) {{
        if (!loose_route()) {{
            sl_send_reply("404", "Not Here");
            exit;
        }}
    }} else {{
        if (!is_method("INVITE")) {{
            sl_send_reply("405", "Method Not Allowed");
            exit;
        }}
        record_route();
        $du = "{callee}";
    }}
    if (!t_relay()) sl_reply_error();
}}
"""


class Sippy(Peer):
    """sippy's simple B2BUA without its log, with one worker: more of them let messages overtake."""

    most = 100
    _RUN = (
        "from sippy.Udp_server import Udp_server_opts; Udp_server_opts.nworkers = 1; "
        "from sippy.b2bua_simple import main_func; main_func()"
    )

    def __init__(self, directory: Path, callee: SippUas, python: Path) -> None:
        super().__init__(directory, "5000", callee)
        host, port = self.address
        behind_it = "{}:{}".format(*callee.address)
        self.run(
            [str(python), "-c", self._RUN, "-f", "-l", host, "-p", str(port), "-n", behind_it],
            {**os.environ, "SIPLOG_BEND": "none"},
        )

    def main_cpu(self) -> float:
        """The thread that works; the others only receive and send."""
        return Subject.main_cpu(self)


class Asterisk(Peer):
    """Answers each call, or dials the callee; without records, log, and what calls do not need."""

    def __init__(self, directory: Path, callee: SippUas | None, program: str) -> None:
        super().__init__(directory, "5000", callee)
        self.most = 500 if callee is None else 200
        for name, text in asterisk_files(
            directory, self.address[1], callee.uri if callee is not None else None
        ).items():
            (directory / name).write_text(text, "utf-8")
        for folder in ("run", "log", "db", "spool"):
            (directory / folder).mkdir(exist_ok=True)
        config = str(directory / "asterisk.conf")
        self.run([program, "-f", "-C", config])
        try:  # it listens before it knows its dial plan
            subprocess.run(
                [program, "-C", config, "-rx", "core waitfullybooted"],
                capture_output=True,
                check=True,
                timeout=_START,
            )
        except subprocess.SubprocessError as error:
            self._child.end()
            raise BenchmarkError(f"asterisk did not start: {error}") from error


def asterisk_files(directory: Path, port: int, callee: str | None) -> dict[str, str]:
    """Its configuration, by file; what it needs of its own data stays where it was installed."""
    unwanted = "\n".join(
        f"noload = {name}.so"
        for name in "cdr_csv cdr_custom cdr_manager cdr_sqlite3_custom cel_custom cel_manager "
        "cel_sqlite3_custom chan_iax2 chan_sip pbx_ael pbx_dundi pbx_lua res_hep res_hep_pjsip "
        "res_hep_rtcp res_pjsip_logger res_pjsip_history res_phoneprov res_smdi".split()
    )
    step = "Answer()\nsame = n,Wait(7200)" if callee is None else "Dial(PJSIP/callee)"
    endpoint = "type = endpoint\ncontext = bench\ndisallow = all\nallow = ulaw\ndirect_media = no"
    called = (
        f"[callee]\n{endpoint}\naors = callee\n[callee]\ntype = aor\ncontact = {callee}\n"
        if callee is not None
        else ""
    )
    return {
        "asterisk.conf": f"""[directories]
astetcdir => {directory}
astrundir => {directory}/run
astlogdir => {directory}/log
astdbdir => {directory}/db
astspooldir => {directory}/spool
[options]
verbose = 0
debug = 0
maxfiles = 100000
""",
        "modules.conf": f"[modules]\nautoload = yes\n{unwanted}\n",
        "logger.conf": "[general]\n[logfiles]\nconsole = error\n",
        "cdr.conf": "[general]\nenable = no\n",
        "cel.conf": "[general]\nenable = no\n",
        "rtp.conf": "[general]\nrtpstart = 20000\nrtpend = 60000\n",
        "extensions.conf": f"[bench]\nexten = _X.,1,{step}\n",
        "pjsip.conf": f"""[udp]
type = transport
protocol = udp
bind = {LOOPBACK}:{port}
[caller]
{endpoint}
[caller]
type = identify
endpoint = caller
match = {LOOPBACK}
{called}""",
    }


def udp_port_is_open(port: int, table: str | None = None) -> bool:
    """Whether somebody has bound this UDP port, as the kernel's table says."""
    text = Path("/proc/net/udp").read_text("ascii") if table is None else table
    return any(line.split()[1].endswith(f":{port:04X}") for line in text.splitlines()[1:])


def descendants(pid: int) -> list[int]:
    """The processes below this one."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *descendants(child)]
    return found
