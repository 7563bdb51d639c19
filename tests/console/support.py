"""The console in a browser: opened, gone about in, and held to its rules."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page

from scenarios.server import AUTHORIZATION, ServerProcess

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
) -> Iterator[Console]:
    """A window of this size and colour scheme."""
    context = browser.new_context(
        # As a browser sends it once its user was asked.
        extra_http_headers={"Authorization": AUTHORIZATION},
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


def no_complaints(console: Console) -> None:
    """Nothing was thrown, and the policy let all through that the page tried."""
    assert console.complaints == []


def faults(page: Page) -> list[str]:
    """What axe-core finds that is serious: its rule, and where."""
    page.evaluate(AXE)
    found: Any = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]
