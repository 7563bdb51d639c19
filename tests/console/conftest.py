"""One server and one browser for the tests of a process; each test has a page of its own.

What a page complains of is a fault.
Until the last of them Playwright's loop runs in this thread: no other test may be among them.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from scenarios.server import PASSWORD, USER, ServerProcess
from tests.console.support import CHROMIUM, PATIENCE, Console, no_complaints, open_console

USERS = [
    {"name": USER, "password": PASSWORD},
    *({"name": role, "password": role, "role": role} for role in ("read", "control")),
]
SETTINGS = {
    "transfer.consultation": "manual",
    "transfer.replaces": "false",
    "api.users": json.dumps(USERS),
}

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, timeout=PATIENCE) as found,
    ):
        yield found


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory: Path = tmp_path_factory.mktemp("console")
    with ServerProcess(directory, settings=SETTINGS, lab=True) as server:
        yield server


@pytest.fixture
def server(running: ServerProcess) -> Iterator[ServerProcess]:
    """The server of the built-in plan, with its neighbours and without calls."""
    yield running
    running.extension("POST", "/sim/v1/reset")
    running.wait_until_idle()


@pytest.fixture
def console(browser: Browser, server: ServerProcess) -> Iterator[Console]:
    """A console with nothing opened yet, in a window of its own."""
    with open_console(browser, server) as found:
        yield found


@pytest.fixture
def page(console: Console) -> Iterator[Page]:
    """The page of the console."""
    yield console.page
    no_complaints(console)


@pytest.fixture
def busy(console: Console) -> str:
    """A call after a transfer that failed, beside others, a record and a fault; its GUID."""
    guid = console.connected()
    console.server.transfer(guid, "9486")
    body = {"callVariables": {"callVariable1": "gold"}, "eccVariables": {"user.tier": "1"}}
    console.server.rest("PUT", f"/call/{guid}/variables", body)
    console.server.wait_for_history(guid, "transfer_failed")
    console.server.terminate(console.call())
    console.call("1003", "7001")
    console.server.extension("POST", "/sim/v1/faults", {"set": "lossy", "enabled": False})
    return guid
