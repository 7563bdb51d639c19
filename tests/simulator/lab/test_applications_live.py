"""Self-service as a dialogue, over loopback: caller, call server, gateway, and ICM's script."""

import asyncio
from collections.abc import Awaitable, Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from simulator.config import Config
from simulator.config_defaults import BUILTIN
from simulator.lab import Lab, VxmlCall
from simulator.lab.caller import CallerCall, KeysBy
from simulator.server import CallServer
from simulator.service import call_server, with_neighbours

LIMIT = 15.0

APPLICATION = [
    {"prompt": {"text": "Welcome {ani}, of {X-Company}.", "seconds": "0.05"}},
    {
        "name": "ask",
        "collect": {
            "into": "account",
            "prompt": {"text": "Your account, please.", "seconds": "20"},
            "min": "4",
            "max": "6",
            "first_digit_timeout": "1",
            "inter_digit_timeout": "1",
            "no_input": {"text": "I hear nothing.", "seconds": "0.05"},
            "no_match": {"text": "That is no account.", "seconds": "0.05"},
            "accept": "4>",
        },
    },
    {"exit": {"callVariable1": "{account}", "FromExtVXML[0]": "x{account}"}},
]

Scenario = Callable[[CallServer, Lab], Awaitable[None]]


def play(folder: Path, scenario: Scenario) -> None:
    """Run `scenario` against a server whose script runs the application, then queues."""
    plan: dict[str, Any] = deepcopy(BUILTIN)
    plan["icm"]["scripts"]["support"][0] = {"self_service": {"application": "account"}}
    plan["lab"] = {"embedded": "false", "applications": {"account": APPLICATION}}
    plan["sip"] = {**plan["sip"], "listen": "udp:127.0.0.1:0"}
    plan["server"] = {"data_dir": str(folder), "grace": "0"}
    config = Config.model_validate(plan)

    async def main() -> None:
        async with (
            Lab(applications=config.lab.applications) as lab,
            call_server(with_neighbours(config, lab)) as server,
        ):
            listener = server.stack.endpoint.listeners[0]
            lab.caller.server = f"sip:{listener.sent_by('127.0.0.1')}"
            await asyncio.wait_for(scenario(server, lab), LIMIT)

    asyncio.run(main())


async def dialled(lab: Lab) -> tuple[CallerCall, VxmlCall]:
    """A call in self-service: the caller's side and the gateway's."""
    caller = await lab.caller.call("7001", headers={"X-Company": "Acme"})
    assert await caller.answered()
    await lab.vxml.until(lambda: lab.vxml.calls)
    (browser,) = lab.vxml.calls
    assert isinstance(browser, VxmlCall)
    await browser.until(lambda: len(browser.prompts) >= 2)
    assert browser.prompts == ["Welcome 4085550100, of Acme.", "Your account, please."]
    return caller, browser


async def queued(server: CallServer, browser: VxmlCall) -> Any:
    """The call, once the result has led its script to the queue."""
    await browser.until(lambda: browser.results)
    (call,) = server.calls.values()
    state = asyncio.Event()
    server.watch = lambda *_: state.set()
    while call.state != "queued":
        await state.wait()
        state.clear()
    return call


@pytest.mark.parametrize("by", ["rtp", "dtmf-relay", "dtmf"])
def test_keys_reach_the_application_and_its_result_the_script(tmp_path: Path, by: KeysBy) -> None:
    async def scenario(server: CallServer, lab: Lab) -> None:
        caller, browser = await dialled(lab)
        await caller.press("4321#", by, held=0.05, gap=0.05)
        call = await queued(server, browser)
        assert browser.keys == "4321#"
        assert browser.results[0].values["caller_input"] == "4321"
        assert call.variables.call == {"callVariable1": "4321"}
        assert call.variables.ecc["user.microapp.caller_input"] == "4321"
        assert call.variables.ecc["user.microapp.error_code"] == "0"
        assert call.variables.ecc["user.microapp.FromExtVXML[0]"] == "x4321"
        infos = [m for m in browser.messages if getattr(m, "method", "") == "INFO"]
        sent = 0 if by == "rtp" else len("4321#")
        assert len(infos) == 1 + sent, "RTP never passes the call server"

    play(tmp_path, scenario)


def test_a_caller_who_says_nothing_and_then_the_wrong_thing(tmp_path: Path) -> None:
    async def scenario(server: CallServer, lab: Lab) -> None:
        caller, browser = await dialled(lab)
        await caller.press("99#", held=0.05, gap=0.05)
        await browser.until(lambda: "That is no account." in browser.prompts)
        await browser.until(lambda: "I hear nothing." in browser.prompts)
        await caller.press("456789", held=0.05, gap=0.05)
        call = await queued(server, browser)
        assert browser.results[0].values["caller_input"] == "456789"
        assert (call.ivr.applications, call.ivr.timeouts, call.ivr.errors) == (1, 1, 1)

    play(tmp_path, scenario)


def test_the_gateway_has_a_port_for_each_call(tmp_path: Path) -> None:
    async def scenario(server: CallServer, lab: Lab) -> None:
        first, one = await dialled(lab)
        second = await lab.caller.call("7001", headers={"X-Company": "Acme"})
        assert await second.answered()
        other = next(call for call in lab.vxml.calls if call is not one)
        assert isinstance(other, VxmlCall)
        await other.until(lambda: len(other.prompts) >= 2)
        await asyncio.gather(first.press("41", "rtp"), second.press("42", "rtp"))
        await one.until(lambda: len(one.keys) >= 2)
        await other.until(lambda: len(other.keys) >= 2)
        assert (one.keys, other.keys) == ("41", "42")
        ports = [call.rtp.port for call in (one, other) if call.rtp is not None]
        assert len(set(ports)) == 2
        first.hang_up()
        await one.ended()
        assert one.rtp is not None
        assert one.rtp._socket.fileno() < 0

    play(tmp_path, scenario)


def test_a_caller_who_hangs_up_in_the_middle(tmp_path: Path) -> None:
    async def scenario(server: CallServer, lab: Lab) -> None:
        caller, browser = await dialled(lab)
        await caller.press("4")
        caller.hang_up()
        await browser.ended()
        assert browser.dialogue is not None
        assert browser.results == []

    play(tmp_path, scenario)


def test_keys_of_a_call_that_is_over_are_not_sent(tmp_path: Path) -> None:
    async def scenario(server: CallServer, lab: Lab) -> None:
        caller, _ = await dialled(lab)
        caller.hang_up()
        with pytest.raises(Exception, match="not established"):
            await caller.press("1")

    play(tmp_path, scenario)
