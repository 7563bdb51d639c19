"""What goes wrong in real labs [TN178], each a call before your eyes: ``callsim demo --scenario``.

A scenario is a plan with one fault in it. The call is real: the ladder and the log are printed
as it happens, then what a lab engineer sees of it and what to change. With ``--mended`` that
has been changed, and the call goes as it should.
"""

import asyncio
import logging
import textwrap
from dataclasses import dataclass
from typing import Final

from simulator.config import Config
from simulator.demo import PATIENCE, Change, Demo, Service, stage
from simulator.lab.call import Ending
from simulator.lab.caller import CallerCall

_LINGER: Final = 10.0


@dataclass(frozen=True)
class Scenario:
    """One misconfiguration.

    `fault` lays it into the plan; the caller dials `number`. `sign` is what one knows it by, in
    the call's history or the log, and `status` what the caller gets: 200 if it is answered
    first. Without the fault the call's history has `good` instead.
    """

    title: str
    fault: Change
    number: str
    sign: str
    status: int
    seen: str
    mend: str
    good: str = "connected"


@dataclass(frozen=True)
class Outcome:
    """What became of the call; `log` is its history and what the server wrote."""

    spoilt: bool
    good: bool
    status: int
    ending: Ending | None
    log: list[str]


class _Shown(logging.Handler):
    """Prints what the server logs into the ladder."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self.lines.append(text)
        print(f"  log {record.levelname}: {text}")


async def play(scenario: Scenario, config: Config, service: Service, *, mended: bool) -> Outcome:
    """The call of a scenario, with the fault or without. Raises TimeoutError."""
    shown = _Shown()
    logger = logging.getLogger("simulator")
    level = logger.level
    logger.addHandler(shown)
    logger.setLevel(logging.INFO)
    try:
        change: Change = (lambda config: config) if mended else scenario.fault
        async with stage(config, service, change) as demo, asyncio.timeout(PATIENCE):
            print(f"\nThe caller dials {scenario.number}.\n\n{demo.ladder.header()}")
            caller = await demo.lab.caller.call(scenario.number)
            await _until_decided(demo, caller, scenario)
            if caller.ending is None:
                caller.hang_up()
                await caller.until(lambda: caller.ending is not None)
            ending = caller.ending
            answered = any(message == "200" for message in caller.received)
            status = 200 if answered or ending is None else ending.status
            log = [*demo.notes, *shown.lines]
            spoilt = any(scenario.sign in line for line in log)
            return Outcome(spoilt, scenario.good in demo.history, status, ending, log)
    finally:
        logger.removeHandler(shown)
        logger.setLevel(level)


async def _until_decided(demo: Demo, caller: CallerCall, scenario: Scenario) -> None:
    """Wait until the call is as it should be, or spoilt and over, or nothing more comes of it."""
    looking = asyncio.ensure_future(demo.until(scenario.good))
    ending = asyncio.ensure_future(caller.ended())
    await asyncio.wait((looking, ending), timeout=_LINGER, return_when=asyncio.FIRST_COMPLETED)
    for task in (looking, ending):
        task.cancel()


async def run_scenario(
    scenario: Scenario, config: Config, service: Service, *, mended: bool
) -> int:
    """Show a scenario; 0 when the call went as the scenario says, 1 otherwise."""
    print(f"{scenario.title}{', mended' if mended else ''}.")
    try:
        outcome = await play(scenario, config, service, mended=mended)
    except TimeoutError:
        print("\nThe call took too long.")
        return 1
    print(f"\nThe caller got {outcome.status}" + _said(outcome.ending))
    if not mended:
        for title, text in (("What you see", scenario.seen), ("What to change", scenario.mend)):
            print(textwrap.fill(f"{title}: {text}", 90, subsequent_indent="  "))
    if mended:
        as_told = outcome.good and not outcome.spoilt
    else:
        as_told = outcome.spoilt and not outcome.good and outcome.status == scenario.status
    if not as_told:
        print("\nThat is not how this scenario goes.")
    return 0 if as_told else 1


def _said(ending: Ending | None) -> str:
    return f" ({ending.reason})." if ending is not None and ending.reason else "."


def _without_route(*starts: str) -> Change:
    """No static route for what begins so."""

    def change(config: Config) -> Config:
        kept = tuple(route for route in config.routes if not route.pattern.startswith(starts))
        return config.model_copy(update={"routes": kept})

    return change


def _unknown_number(config: Config) -> Config:
    kept = tuple(number for number in config.dialed_numbers if number.pattern not in (">", "7>"))
    return config.model_copy(update={"dialed_numbers": kept})


SCENARIOS: Final[dict[str, Scenario]] = {
    "no-customer": Scenario(
        title="A dialed number that the router knows no customer for",
        fault=_unknown_number,
        number="7001",
        sign="ended: SIP 404 no route to this number",
        status=404,
        seen="The router answers NEW_CALL with DIALOGUE_FAILURE. The caller gets 404 before "
        "anything else has been called: no VXML leg, no label.",
        mend="dialed_numbers: add the number with its script (in ICM: a Dialed Number with a "
        "customer and a call type).",
        good="self_service",
    ),
    "no-vru-route": Scenario(
        title="No static route for the VRU label",
        fault=_without_route("777"),
        number="7001",
        sign="no_route: label 777",
        status=404,
        seen="TEMPORARY_CONNECT comes, but label and correlation id lead nowhere: "
        "CONNECT_FAILURE, a wait for other instructions, then 404.",
        mend="routes: add the VRU label to the VXML gateway. The pattern must end with > for the "
        "correlation id behind the label.",
        good="self_service",
    ),
}
