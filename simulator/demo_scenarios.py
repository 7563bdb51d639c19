"""What goes wrong in real labs [TN178], each a call before your eyes: ``callsim demo --scenario``.

A scenario is a plan with one fault in it. The call is real: the ladder and the log are printed
as it happens, then what a lab engineer sees of it and what to change. With ``--mended`` that
has been changed, and the call goes as it should. The faults are in `simulator.demo_faults`.
"""

import asyncio
import logging
import textwrap
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from simulator.config import Config
from simulator.demo import PATIENCE, Service, stage
from simulator.demo_faults import SCENARIOS, Scenario
from simulator.lab.call import Ending
from simulator.lab.caller import CallerCall
from simulator.lab.lab import Lab

__all__ = ["SCENARIOS", "Outcome", "Scenario", "play", "run_scenario"]

_LINGER: Final = 10.0


@dataclass(frozen=True)
class Outcome:
    """What became of the call; `log` is its history and what the server wrote.

    `spoilt` and `good` say whether the signs of the scenario were seen.
    """

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
        self.changed: asyncio.Event | None = None

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self.lines.append(text)
        print(f"  log {record.levelname}: {text}")
        if self.changed is not None:
            self.changed.set()


async def play(scenario: Scenario, config: Config, service: Service, *, mended: bool) -> Outcome:
    """The call of a scenario, with the fault or without. Raises TimeoutError."""

    def change(config: Config, lab: Lab) -> Config:
        config = scenario.base(config, lab)
        return config if mended else scenario.fault(config, lab)

    shown = _Shown()
    logger = logging.getLogger("simulator")
    level = logger.level
    logger.addHandler(shown)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # it is shown in its place
    try:
        async with stage(config, service, change) as demo, asyncio.timeout(PATIENCE):
            shown.changed = demo.changed
            print(f"\nThe caller dials {scenario.number}.\n\n{demo.ladder.header()}")
            calls = [await demo.lab.caller.call(scenario.number)]
            if scenario.then:
                await demo.until(scenario.then[0])
                print(f"\n{scenario.then[1]}\n")
                calls.append(await demo.lab.caller.call(scenario.then[2]))
            signs = [scenario.good, *([scenario.sign] if scenario.status == 200 else [])]
            await _until_decided(
                demo.until_so(lambda: _seen(signs, [*demo.notes, *shown.lines])),
                calls[-1].ended(),
            )
            for call in calls:
                call.hang_up()
                await call.ended()
            return _outcome(scenario, calls[-1], [*demo.notes, *shown.lines])
    finally:
        logger.removeHandler(shown)
        logger.setLevel(level)
        logger.propagate = True


def _outcome(scenario: Scenario, call: CallerCall, log: list[str]) -> Outcome:
    status = 200 if call.received["200"] or call.ending is None else call.ending.status
    spoilt, good = _seen([scenario.sign], log), _seen([scenario.good], log)
    return Outcome(spoilt, good, status, call.ending, log)


def _seen(signs: list[str], log: list[str]) -> bool:
    return any(sign in line for sign in signs for line in log)


async def _until_decided(*ways: Coroutine[Any, Any, object]) -> None:
    """Wait until the call is as it should be, or over, or nothing more comes of it."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    done, _ = await asyncio.wait(tasks, timeout=_LINGER, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for task in done:
        task.result()


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
    ending = outcome.ending
    said = f" ({ending.reason})" if ending is not None and ending.reason else ""
    print(f"\nThe caller got {outcome.status}{said}.")
    if mended:
        as_told = outcome.good and not outcome.spoilt
    else:
        as_told = outcome.spoilt and not outcome.good and outcome.status == scenario.status
        for title, text in (("What you see", scenario.seen), ("What to change", scenario.mend)):
            print(textwrap.fill(f"{title}: {text}", 90, subsequent_indent="  "))
    if not as_told:
        print("\nThat is not how this scenario goes.")
    return 0 if as_told else 1
