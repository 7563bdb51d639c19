import asyncio

import pytest

from simulator.lab import Lab
from tests.simulator.lab.helpers import connected, run


def test_a_call_is_held_until_bye() -> None:
    async def scenario(lab: Lab) -> None:
        call, browser = await connected(lab.caller, lab.vxml, "777000000012345")
        assert browser.number == "777000000012345"
        assert call.received == {"200": 1}
        call.hang_up()
        assert (await browser.ended()).by == "peer"

    run(scenario)


def test_the_application_ends() -> None:
    async def scenario(lab: Lab) -> None:
        lab.vxml.seconds = 0.02
        call, _ = await connected(lab.caller, lab.vxml)
        ending = await call.ended()
        assert (ending.status, ending.by) == (200, "peer")

    run(scenario)


def test_ringback_has_no_end_but_the_error_message_has() -> None:
    async def scenario(lab: Lab) -> None:
        lab.vxml.seconds = lab.vxml.error_seconds = lab.vxml.announcement_seconds = 0.02
        ringback, _ = await connected(lab.caller, lab.vxml, "91919191")
        error, _ = await connected(lab.caller, lab.vxml, "9292")
        whisper, _ = await connected(lab.caller, lab.vxml, "9191919100")
        assert (await error.ended()).by == "peer"
        assert (await whisper.ended()).by == "peer"
        assert ringback.ending is None

    run(scenario)


def test_it_answers_after_a_delay() -> None:
    async def scenario(lab: Lab) -> None:
        lab.vxml.answer_delay = 0.05
        loop = asyncio.get_running_loop()
        started = loop.time()
        await connected(lab.caller, lab.vxml)
        assert loop.time() - started >= 0.05

    run(scenario)


@pytest.mark.parametrize("status", [404, 503])
def test_it_refuses(status: int) -> None:
    async def scenario(lab: Lab) -> None:
        lab.vxml.refuse = status
        call = await lab.caller.call(f"sip:1@127.0.0.1:{lab.vxml.port}")
        assert (await call.ended()).status == status

    run(scenario)
