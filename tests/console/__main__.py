"""make screenshots: a picture of each view, of a live server with calls, in docs/screenshots/.

SIPp places the calls, over UDP; the server is one of the built-in plan with its neighbours.
After `LIMIT` seconds it gives up.
"""

import argparse
import signal
import tempfile
from pathlib import Path
from typing import Final, NoReturn

from playwright.sync_api import Browser, expect, sync_playwright

from scenarios.runner import SippRun
from scenarios.server import ServerProcess
from tests.console.support import CHROMIUM, VIEWS, Console, Scheme, no_complaints, open_console

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs" / "screenshots"
SCENARIO: Final = ROOT / "scenarios" / "sipp" / "caller-is-steered.xml"
SETTINGS: Final = {"transfer.consultation": "manual", "transfer.replaces": "false"}

CALLERS: Final = (
    "+493012345{0:02d}", "+44207946{0:04d}", "+1212555{0:04d}", "+331409{0:04d}", "555{0:04d}",
)  # fmt: skip
CALLED: Final = (
    "7001", "7002", "6000", "6100", "5001", "18005550100", "8059", "7003", "6200", "18005550199",
)  # fmt: skip
CALLS: Final = 60
LIMIT: Final = 600
FAULTS: Final = (
    {
        "name": "lost-200", "direction": "out", "method": "INVITE", "status": "200",
        "number": "7>", "nth": 1, "drop": True,
    },
    {
        "name": "slow-transfer", "direction": "out", "method": "INVITE", "leg": "transfer",
        "delay": {"seconds": 0.3},
    },
    {"set": "one-way-hold"},
    {"set": "lossy", "enabled": False},
)  # fmt: skip


def place(server: ServerProcess, directory: Path) -> SippRun:
    """Callers of many numbers, to many."""
    numbers = directory / "numbers.csv"
    rows = [
        f"{CALLERS[n % len(CALLERS)].format(11 * n)};{CALLED[(n * 7) % len(CALLED)]};"
        for n in range(CALLS)
    ]
    numbers.write_text("SEQUENTIAL\n" + "\n".join(rows) + "\n")
    text = SCENARIO.read_text().replace("sip:1000@", "sip:[field0]@")
    scenario = directory / "callers.xml"
    scenario.write_text(text.replace("[service]", "[field1]"))
    return SippRun(
        scenario, directory, server.sip, calls=CALLS, rate=5, seconds=900,
        options=["-inf", str(numbers), "-l", str(CALLS)],
    )  # fmt: skip


def steer(console: Console) -> str:
    """A call that has been about: the GUID of one with transfers, variables and a hold."""
    server = console.server
    server.wait_for(lambda: len(server.calls()) >= CALLS or None, "the calls", 120)
    guid = str(server.calls(state="connected", calledNumber="6000")[0]["callGuid"])
    variables = {
        "callVariables": {"callVariable1": "gold", "callVariable2": "Berlin"},
        "eccVariables": {"user.tier": "1", "user.language": "de"},
    }
    server.rest("PUT", f"/call/{guid}/variables", variables)
    server.transfer(guid, "9486")
    server.wait_for_history(guid, "transfer_failed")
    server.transfer(guid, "1003")
    server.wait_for_history(guid, "transfer_completed")
    others = [str(one["callGuid"]) for one in server.calls(state="connected")]
    others.remove(guid)
    for held in others[:4]:
        server.extension("POST", f"/sim/v1/calls/{held}/hold")
    for moved in others[4:8]:
        server.transfer(moved, "1002")
        server.wait_for_history(moved, "transfer_completed")
        server.terminate(moved)
    for one in server.calls(state="self_service")[:6]:
        server.terminate(one["callGuid"])
    for number in ("9486", "9503", "9404"):
        console.call("1003", number)
    keep_waiting(console)
    return guid


def keep_waiting(console: Console) -> None:
    """No agent takes the last callers; one of them gives up."""
    server = console.server
    server.wait_for(lambda: not server.calls(state="queued"), "an empty queue")
    away = {
        "1001": {"state": "busy"},
        "1002": {"state": "not_ready", "answerAfter": 0.5},
        "1003": {"state": "logged_out", "answerAfter": 4},
    }
    for extension, wanted in away.items():
        server.extension("PUT", f"/sim/v1/agents/{extension}", wanted)
    callers = [console.call(calling, "7001") for calling in ("1004", "1005", "1006", "1007")]
    server.wait_for(lambda: len(server.calls(state="queued")) == len(callers), "the queue")
    server.terminate(callers[0])


def picture(
    browser: Browser,
    server: ServerProcess,
    view: str,
    name: str,
    *,
    scheme: Scheme = "light",
    size: tuple[int, int] = (1280, 800),
) -> None:
    """One view as it looks once it has been read."""
    width, height = size
    with open_console(browser, server, width=width, height=height, scheme=scheme) as console:
        page = console.open(view)
        expect(page.locator("#link")).to_have_text("live")
        expect(page.locator("h1")).to_be_visible()
        if view.startswith("call"):
            expect(page.locator(".badge").first).to_be_visible()
        page.wait_for_timeout(1000)  # what is read beside it
        page.screenshot(path=FOLDER / f"{name}.png")
        no_complaints(console)


def give_up(*_: object) -> NoReturn:
    """End, with all that was started."""
    raise SystemExit(f"not done after {LIMIT} s: given up")


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("views", nargs="*", help="only these")
    wanted = parser.parse_args().views
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LIMIT)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as directory,
        ServerProcess(Path(directory), settings=SETTINGS, lab=True) as server,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, timeout=60_000) as browser,
    ):
        with open_console(browser, server) as console:
            figures = console.open("figures")  # from the first call on
            expect(figures.locator("h1")).to_be_visible()
            for fault in FAULTS:
                server.extension("POST", "/sim/v1/faults", fault)
            callers = place(server, Path(directory))
            guid = steer(console)
            figures.screenshot(path=FOLDER / "figures.png")
        for view in [*VIEWS, "call"]:
            if view != "figures" and (not wanted or view in wanted):
                picture(browser, server, f"call/{guid}" if view == "call" else view, view)
        for view in ("calls", f"call/{guid}"):
            name = view.partition("/")[0]
            if not wanted or name in wanted:
                picture(browser, server, view, f"{name}-dark", scheme="dark")
                picture(browser, server, view, f"{name}-phone", size=(360, 740))
        callers.stop()
        server.extension("POST", "/sim/v1/reset")


if __name__ == "__main__":
    main()
