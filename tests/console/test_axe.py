"""axe-core finds nothing serious in the views of tables and forms, light or dark."""

from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from scenarios.server import ServerProcess
from tests.console.support import faults, no_complaints, open_console

# By view and heading: the button of its longest form.
FORMS = {
    ("agents", "Agents"): "",
    ("faults", "Faults"): "New fault",
    ("plan", "Dial plan"): "New server group",
    ("records", "Records"): "",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    browser: Browser, server: ServerProcess, scheme: Literal["light", "dark"]
) -> None:
    server.extension("POST", "/sim/v1/faults", {"set": "lossy", "enabled": False})
    with open_console(browser, server, scheme=scheme) as console:
        server.terminate(console.call())  # there is a record
        for (view, title), form in FORMS.items():
            page = console.open(view)
            expect(page.locator(f"#views a[data-view={view}][aria-current]")).to_be_visible()
            expect(page.locator("main h1")).to_have_text(title)
            expect(page.locator("main table").first).to_be_visible()
            assert_clean(page, view)
            if form:
                page.get_by_role("button", name=form).click()
                expect(page.get_by_role("dialog")).to_be_visible()
                assert_clean(page, f"the form of {view}")
                page.keyboard.press("Escape")
        no_complaints(console)


def assert_clean(page: Page, what: str) -> None:
    assert faults(page) == [], what
