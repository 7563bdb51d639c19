"""/openapi.json held against the server by schemathesis: bounded, with a fixed seed.

Its command is used, not its pytest plugin: it runs all phases, stateful links included.
"""

import asyncio
import sys
from pathlib import Path

import pytest

from api.app import GROUPS
from api.handlers.events import events
from api.handlers.plan import plan
from simulator.config_base import User
from simulator.views import CallDetailView
from tests.api.support import FakeCallServer, call_view, run, serving

COMMAND = Path(sys.executable).with_name("st")
# A schema cannot say that a range must not end before it begins, what the plan routes,
# which ETag there is, which URLs are good, or which loggers there are.
SETTINGS = """
[[operations]]
include-path-regex = "^/sim/v1/calls$"
checks.positive_data_acceptance.expected-statuses = [202, 400, 409]

[[operations]]
include-name = "PUT /call/{callGuid}/variables"
checks.positive_data_acceptance.expected-statuses = [200, 404, 412]

[[operations]]
include-path-regex = "^/cvp-reporting/"
checks.positive_data_acceptance.expected-statuses = [200, 400, 404]

[[operations]]
include-path-regex = "^/sim/v1/webhooks$"
checks.positive_data_acceptance.expected-statuses = [200, 201, 400, 409]

[[operations]]
include-path-regex = "^/sim/v1/log$"
checks.positive_data_acceptance.expected-statuses = [200, 400]
"""
EXAMPLES = 30
SEED = 1


class EveryCall(dict[str, CallDetailView]):
    """Whatever GUID is made up, there is a call, so that requests reach beyond the 404."""

    def __contains__(self, guid: object) -> bool:
        return True

    def __missing__(self, guid: str) -> CallDetailView:
        return call_view(guid)


PLAN = "--include-path-regex ^/oamp/"
OTHERS = "--exclude-path-regex ^/(oamp/|sim/v1/(events|ws)$)"  # streams do not end


@pytest.mark.parametrize(
    ("calls", "which", "asked"),
    [({}, OTHERS, 100), (EveryCall(), OTHERS, 100), ({}, PLAN, 0)],
    ids=["no call", "every call", "plan"],
)
@run
async def test_the_server_keeps_to_its_document(
    calls: dict[str, CallDetailView], which: str, asked: int, tmp_path: Path
) -> None:
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    fake = FakeCallServer(calls=calls)
    async with serving(fake, users=(User("name", "password"),)) as client:
        options = f"--auth name:password --max-examples {EXAMPLES} --seed {SEED} --no-color {which}"
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            "run",
            f"{client.address}/openapi.json",
            *options.split(),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    told = output.decode()
    assert process.returncode == 0, told
    total = sum(len(group.declared) for group in GROUPS)
    others = total - len(plan.declared) - len(events.declared)
    selected = len(plan.declared) if which == PLAN else others
    assert f"{selected} selected / {total} total" in told
    assert len(fake.asked) >= asked
