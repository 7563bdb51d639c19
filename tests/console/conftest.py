"""One server and one browser for all tests of the console; each test has a page of its own.

What a page complains of is a fault.
Until the last of them Playwright's loop runs in this thread: no other test may be among them.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from scenarios.server import ServerProcess
from tests.console.support import CHROMIUM, PATIENCE, Console, no_complaints, open_console

SETTINGS = {"transfer.consultation": "manual", "transfer.replaces": "false"}

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
