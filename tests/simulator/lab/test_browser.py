"""The voice browser of the lab gateway: the IVR service, prompts, and what cannot be had."""

import asyncio
import socket

import pytest
from aiohttp import web

from simulator.lab.agents import Agents
from simulator.lab.browser import IvrService, fetch_failure, ivr_service
from simulator.lab.lab import Lab
from sip.message import Request, parse


def invite(lines: str) -> Request:
    message = parse(f"INVITE sip:1@h SIP/2.0\r\n{lines}\r\n".encode())
    assert isinstance(message, Request)
    return message


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("App-Info: <10.0.0.1:8000:8443>\r\n", IvrService("http://10.0.0.1:8000", True)),
        ("App-Info: <[::1]:8000:8443>\r\n", IvrService("http://[::1]:8000", True)),
        ("App-Info: nothing\r\n", IvrService("http://192.0.2.9:8000", False)),
        ("", IvrService("http://192.0.2.9:8000", False)),
    ],
)
def test_app_info_names_the_service(lines: str, found: IvrService) -> None:
    assert ivr_service(invite(lines), "192.0.2.9") == found


def test_what_can_be_fetched() -> None:
    async def run() -> list[str]:
        app = web.Application()
        app.router.add_get("/prompt.wav", _answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            return [
                await fetch_failure(f"http://127.0.0.1:{port}/prompt.wav"),
                await fetch_failure(f"http://127.0.0.1:{port}/other.wav"),
            ]
        finally:
            await runner.cleanup()

    good, bad = asyncio.run(run())
    assert good == ""
    assert bad.startswith("error.badfetch.http.404 http://127.0.0.1")


async def _answer(_: web.Request) -> web.Response:
    return web.Response(body=b"RIFF")


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
        failure = asyncio.run(fetch_failure(f"http://127.0.0.1:{port}/x"))
    assert failure.startswith(f"error.badfetch http://127.0.0.1:{port}/x")
    assert asyncio.run(fetch_failure("no url")).startswith("error.badfetch no url")


@pytest.mark.parametrize(
    ("prefix", "number", "status"),
    [("606", "6061001", 200), ("", "6061001", 404), ("606", "1001", 200), ("606", "6069999", 404)],
)
def test_the_gateway_in_front_of_the_phones_strips_digits(
    prefix: str, number: str, status: int
) -> None:
    async def run() -> int:
        async with Lab() as lab:
            lab.agents.prefix, lab.agents.strict = prefix, True
            lab.agents.answer_after = 0.0
            call = await lab.caller.call(f"{lab.agents.uri.replace('sip:', f'sip:{number}@')}")
            if await call.answered():
                call.hang_up()
                await call.ended()
                return 200
            return (await call.ended()).status

    assert asyncio.run(run()) == status
    assert not Agents.strict
