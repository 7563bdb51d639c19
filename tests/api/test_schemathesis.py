"""/openapi.json held against the server by schemathesis, shortly; `make openapi` takes its time."""

import asyncio
from pathlib import Path

import pytest

from api.app import GROUPS
from api.handlers.events import events
from api.handlers.plan import plan
from simulator.config_base import User
from simulator.views import CallDetailView
from tests.api.document_check import OTHERS, PLAN, command, run_under_calls, settle
from tests.api.support import FakeCallServer, call_view, run, serving

EXAMPLES = 10
SEED = 1


class EveryCall(dict[str, CallDetailView]):
    """Whatever GUID is made up, there is a call, so that requests reach beyond the 404."""

    def __contains__(self, guid: object) -> bool:
        return True

    def __missing__(self, guid: str) -> CallDetailView:
        return call_view(guid)


@pytest.mark.parametrize(
    ("which", "seconds", "asked"),
    [
        (("--exclude-path-regex", OTHERS), 30, 40),
        (("--include-path-regex", PLAN), 15, 0),
    ],
    ids=["calls", "plan"],
)
@run
async def test_the_server_keeps_to_its_document(
    which: tuple[str, ...], seconds: int, asked: int, tmp_path: Path
) -> None:
    """For `seconds` at most: on a busy machine there are fewer examples."""
    settle(tmp_path)
    fake = FakeCallServer(calls=EveryCall())
    user = User("name", "password")
    async with serving(fake, users=(user,)) as client:
        process = await asyncio.create_subprocess_exec(
            *command(str(client.address), str(user), EXAMPLES, SEED, *which, seconds=seconds),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    told = output.decode()
    assert process.returncode == 0, told
    total = sum(len(group.declared) for group in GROUPS)
    others = total - len(plan.declared) - len(events.declared)
    selected = len(plan.declared) if PLAN in which else others
    assert f"{selected} selected / {total} total" in told
    assert len(fake.asked) >= asked


def test_a_server_with_calls_keeps_to_its_document(tmp_path: Path) -> None:
    told: list[str] = []
    problems = run_under_calls(tmp_path, examples=2, seed=SEED, seconds=20, tell=told.append)
    assert problems == [], "\n".join(told)
    assert "calls were there, seed 1" in told[-1]
