"""/sim/v1/log: what the log tells, changed while the server runs."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from api.log_levels import ROOMS, names
from tests.api.support import Client, FakeCallServer, run, serving

LOG = "/sim/v1/log"
LEVELS = {"api": logging.WARNING, "simulator": logging.NOTSET, "simulator.access": logging.ERROR}


@pytest.fixture(autouse=True)
def _levels() -> Iterator[None]:
    """Levels at the start that are not all the same."""
    before = {name: logging.getLogger(name).level for name in LEVELS}
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def level(name: str) -> int:
    return logging.getLogger(name).getEffectiveLevel()


async def put(client: Client, **levels: str) -> dict[str, Any]:
    body = {"levels": {name.replace("_", "."): value for name, value in levels.items()}}
    reply = await client("put", LOG, json=body)
    assert reply.status == 200, reply.text
    return {one["name"]: one for one in reply.json["loggers"]}


@run
async def test_the_loggers_are_ours() -> None:
    async with serving(FakeCallServer()) as client:
        found = (await client("get", LOG)).json["loggers"]
    listed = [one["name"] for one in found]
    assert listed == sorted(listed)
    assert {"api", "api.requests", "simulator", "simulator.router", "sip", "sip.aio"} <= {*listed}
    assert {name.partition(".")[0] for name in listed} == set(ROOMS)
    shown = {one["name"]: one for one in found}
    assert shown["api.errors"] == {"name": "api.errors", "level": "warning", "changed": False}
    assert shown["simulator.access"]["level"] == "error"


@run
async def test_a_level_holds_for_all_below() -> None:
    async with serving(FakeCallServer()) as client:
        shown = await put(client, simulator="debug", sip_aio="error")
        assert (level("simulator.router"), level("sip.aio.stack")) == (10, 40)
        assert level("simulator.access") == logging.ERROR  # has its own
        assert shown["simulator.router"] == {
            "name": "simulator.router", "level": "debug", "changed": False,
        }  # fmt: skip
        assert shown["simulator"]["changed"]
        assert (await client("get", LOG)).json["loggers"] == list(shown.values())


@run
async def test_default_and_reset_put_back_what_was_at_the_start() -> None:
    async with serving(FakeCallServer()) as client:
        for _ in range(2):
            await put(client, simulator_access="debug", api="info")
            await put(client, simulator_access="info")
        shown = await put(client, simulator_access="default", sip="default")
        assert level("simulator.access") == logging.ERROR
        assert level("api") == logging.INFO
        assert not shown["simulator.access"]["changed"]
        await client("post", "/sim/v1/reset")
        assert level("api") == logging.WARNING
        assert not any(one["changed"] for one in (await client("get", LOG)).json["loggers"])


@run
async def test_the_end_of_the_server_puts_them_back_too() -> None:
    async with serving(FakeCallServer()) as client:
        await put(client, api="debug")
    assert logging.getLogger("api").level == logging.WARNING


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({"levels": {"simulator.rooter": "debug"}}, "did you mean 'simulator.router'?"),
        ({"levels": {"aiohttp": "debug"}}, '"aiohttp" is not a logger here'),
        ({"levels": {"": "debug"}}, '"" is not a logger here'),
        ({"levels": {"root": "debug"}}, '"root" is not a logger here'),
        ({"levels": {"simulator.changes": "error"}}, '"simulator.changes" is not a logger here'),
        ({"levels": {"api": "debug", "x": "info"}}, '"x" is not a logger here'),
        (
            {"levels": {"api": "loud"}},
            "levels.api must be 'debug', 'info', 'warning', 'error' or 'default'",
        ),
        ({"levels": {"api": 10}}, "levels.api must be"),
        ({}, "levels is missing"),
        ({"api": "debug"}, "api is not known"),
    ],
)
@run
async def test_what_cannot_be_changes_nothing(body: dict[str, Any], details: str) -> None:
    known = names()
    async with serving(FakeCallServer()) as client:
        reply = await client("put", LOG, json=body)
        assert details in reply.error(400, "INVALID_REQUEST")
    assert level("api") == logging.WARNING
    assert names() == known
