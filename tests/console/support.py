"""The console in a browser: opened, gone about in, and held to its rules."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from scenarios.server import AUTHORIZATION, ServerProcess

VIEWS = re.findall(
    r'name: "(\w+)", label', (Path(__file__).parents[2] / "api/console/registry.js").read_text()
)
"""Those of the navigation; the page of a call is below one."""

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

Scheme = Literal["light", "dark"]

PATIENCE = 120_000
"""Milliseconds for one step."""

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
SERIOUS = ("serious", "critical")


@dataclass
class Console:
    """A window with the console of `server`; `complaints` is what the page or its policy said."""

    server: ServerProcess
    page: Page
    complaints: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        parts = urlsplit(self.server.api)
        return f"{parts.scheme}://{parts.netloc}/"

    def open(self, view: str = "") -> Page:
        """Go to a view, as ``calls?state=queued``."""
        self.page.goto(f"{self.url}#/{view}")
        return self.page

    def call(self, calling: str = "1002", destination: str = "5000") -> str:
        """Have the server make a call; its GUID."""
        body = {"callingNumber": calling, "destination": destination}
        made = self.server.extension("POST", "/sim/v1/calls", body, expect=202)
        return str(made["callGuid"])

    def connected(self, calling: str = "1002", destination: str = "6000") -> str:
        """A call that has been answered on all sides."""
        guid = self.call(calling, destination)
        self.server.wait_for(
            lambda: self.server.call(guid)["state"] == "connected" or None, "its connection"
        )
        return guid


@contextmanager
def open_console(
    browser: Browser,
    server: ServerProcess,
    *,
    width: int = 1280,
    height: int = 800,
    scheme: Scheme = "light",
    authorization: str = AUTHORIZATION,
) -> Iterator[Console]:
    """A window of this size and colour scheme, of who has this Authorization header."""
    context = browser.new_context(
        # As a browser sends it once its user was asked.
        extra_http_headers={"Authorization": authorization},
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        locale="en-GB",
        timezone_id="UTC",
    )
    context.set_default_timeout(PATIENCE)
    console = Console(server, context.new_page())

    def listen(message: ConsoleMessage) -> None:
        # That a request failed is told by the page, in words.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            console.complaints.append(message.text)

    console.page.on("console", listen)
    console.page.on("pageerror", lambda error: console.complaints.append(str(error)))
    try:
        yield console
    finally:
        context.close()


def opened(console: Console, view: str, guid: str) -> Page:
    """A view as it is once it has been read; ``call`` is the page of the call `guid`."""
    page = console.open(f"call/{guid}" if view == "call" else view)
    entry = "calls" if view == "call" else view
    expect(page.locator(f"#views a[data-view={entry}][aria-current]")).to_be_visible()
    expect(page.locator("main table").first).to_be_visible()
    return page


def no_complaints(console: Console) -> None:
    """Nothing was thrown, and the policy let all through that the page tried."""
    assert console.complaints == []


def faults(page: Page) -> list[str]:
    """What axe-core finds that is serious, in light and dark: its rule, and where."""
    if page.evaluate("!window.axe"):
        page.evaluate(AXE)
    found: list[Any] = []
    # The page is the same in the dark, but for its colours.
    looks: list[tuple[Scheme, dict[str, Any]]] = [
        ("light", {}),
        ("dark", {"runOnly": ["color-contrast"]}),
    ]
    for scheme, rules in looks:
        page.emulate_media(color_scheme=scheme)
        options = {"resultTypes": ["violations"], **rules}
        found += page.evaluate("options => axe.run(document, options)", options)["violations"]
    page.emulate_media(color_scheme="light")
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]
