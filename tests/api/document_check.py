"""/openapi.json held against a server by schemathesis, with a fixed seed.

Its command is used, not its pytest plugin: it runs all phases, wrong data and stateful links
included. `make openapi ARGS='--examples 500 --seed 7 --seconds 600'` is the long run, against
a `callsim serve` of its own while SIPp holds calls in self-service, in the queue, with an
agent and standalone; whatever call is ended is placed anew.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from scenarios.runner import SippRun
from scenarios.server import AUTHORIZATION, PASSWORD, USER, ServerProcess

COMMAND: Final = Path(sys.executable).with_name("st")
# In the environment of the command, for its hooks: where calls are listed, and how to log in.
LIVE: Final = "CALLSIM_LIVE_CALLS"
LOGIN: Final = "CALLSIM_LOGIN"

HOOKS: Final = Path(__file__).with_name("document_hooks.py")
# A schema cannot say that a range must not end before it begins, what the plan routes, which ETag
# or logger there is, which URLs are good, that a variable has two names, or a fault one action.
# A link may put right what was to be wrong, and the check does not know.
SETTINGS: Final = """
[phases.stateful.checks.negative_data_rejection]
enabled = false

[[operations]]
include-path-regex = "^/sim/v1/calls$"
checks.positive_data_acceptance.expected-statuses = [202, 400, 409]

[[operations]]
include-name = "POST /call/{callGuid}/transfer"
checks.positive_data_acceptance.expected-statuses = [202, 400, 404, 409]

[[operations]]
include-name = "PUT /call/{callGuid}/variables"
checks.positive_data_acceptance.expected-statuses = [200, 400, 404, 412]

[[operations]]
include-path-regex = "^/cvp-reporting/"
checks.positive_data_acceptance.expected-statuses = [200, 400, 404]

[[operations]]
include-path-regex = "^/sim/v1/webhooks$"
checks.positive_data_acceptance.expected-statuses = [200, 201, 400, 409]

[[operations]]
include-path-regex = "^/sim/v1/faults$"
checks.positive_data_acceptance.expected-statuses = [200, 201, 400, 409]

[[operations]]
include-path-regex = "^/sim/v1/log$"
checks.positive_data_acceptance.expected-statuses = [200, 400]
"""

PLAN: Final = "^/oamp/"
STREAMS: Final = "sim/v1/(events|ws)$"  # they do not end
OTHERS: Final = f"^/(oamp/|{STREAMS})"
# Beside calls: a plan that is changed has none of them any more, and webhooks are posted to
# hosts that somebody has made up; faults end calls.
UNDER_CALLS: Final = f"^/(oamp/|sim/v1/(webhooks|faults)|{STREAMS})"

NUMBERS: Final = ("5001", "6001", "7001", "2001")
_HELD: Final = 10  # calls to each of them
_RATE: Final = 20.0
_SPARE: Final = 60.0
_MANY: Final = 10_000_000


def command(
    url: str, user: str, examples: int, seed: int, *which: str, seconds: int | None = None
) -> list[str]:
    """The command that runs in a directory with `SETTINGS`; `which` selects operations."""
    return [
        *[str(COMMAND), "run", f"{url}/openapi.json", "--auth", user, "--no-color"],
        *["--max-examples", str(examples), "--seed", str(seed), *which],
        *(["--max-time", str(seconds)] if seconds is not None else []),
    ]


def settle(directory: Path) -> None:
    """Write what the command needs in its directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "schemathesis.toml").write_text(f'hooks = "{HOOKS}"\n{SETTINGS}', "utf-8")


def run_under_calls(
    directory: Path,
    examples: int,
    seed: int,
    seconds: int,
    tell: Callable[[str], object] = print,
) -> list[str]:
    """Hold calls, run the command for at most so many seconds; what went wrong."""
    settle(directory)
    problems = []
    with ExitStack() as stack:
        # Two names of one variable would have to agree, which a schema cannot say.
        settings = {"variables.separate": "true"}
        server = ServerProcess(directory / "server", settings=settings, lab=True)
        stack.callback(server.kill)
        runs = [_hold(directory / number, server, number, seconds) for number in NUMBERS]
        for run in runs:
            stack.callback(run.stop)
        wanted = len(NUMBERS) * _HELD
        server.wait_for(lambda: len(server.calls(limit=1000)) >= wanted, f"{wanted} calls")
        url = server.api.removesuffix("/cvp/rest")
        which = ["--exclude-path-regex", UNDER_CALLS]
        begun = time.monotonic()
        done = subprocess.run(
            command(url, f"{USER}:{PASSWORD}", examples, seed, *which, seconds=seconds),
            cwd=directory,
            env={**os.environ, LIVE: f"{server.api}/call?limit=1000", LOGIN: AUTHORIZATION},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        tell(done.stdout)
        if done.returncode:
            problems.append(f"schemathesis: exit code {done.returncode}")
        problems += [f"SIPp for {run.scenario} has ended" for run in runs if not run.running]
        server.wait_for(lambda: server.calls(limit=1000), "calls after the last request")
        for run in runs:
            run.stop()
        server.extension("POST", "/sim/v1/reset")
        records = len(server.cdrs())
        tell(f"{time.monotonic() - begun:.0f} s; {records} calls were there, seed {seed}")
        if records < wanted:
            problems.append(f"only {records} calls were there")
        server.stop()  # raises ServerError when it has reported a fault
    return problems


def _hold(directory: Path, server: ServerProcess, number: str, seconds: float) -> SippRun:
    """Calls to a number, each replaced when it is over."""
    return SippRun(
        "caller-is-steered",
        directory,
        server.sip,
        calls=_MANY,
        rate=_RATE,
        service=number,
        seconds=2 * seconds + _SPARE,
        options=["-l", str(_HELD)],
    )
