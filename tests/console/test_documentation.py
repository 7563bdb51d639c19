"""The page at /docs works under its policy: it shows all operations and tries them out."""

from playwright.sync_api import Page, expect

from api.app import GROUPS
from scenarios.server import PASSWORD, USER
from tests.console.support import Console


def sent(page: Page, operation_id: str) -> str:
    """Open an operation, execute it, and give the status that the page shows."""
    block = page.locator(f'[id$="-{operation_id}"]')
    block.locator(".opblock-summary-control").click()
    block.locator(".execute").click()
    status = block.locator(".live-responses-table tbody .response-col_status")
    expect(status).to_be_visible()
    return status.inner_text().partition("\n")[0]


def test_the_page_shows_all_operations_and_tries_them_out(console: Console, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{console.url}docs")
    paths = page.locator(".opblock-summary-path")
    expect(paths).to_have_count(sum(len(group.declared) for group in GROUPS))
    page.evaluate(f"docs.preauthorizeBasic('basicAuth', '{USER}', '{PASSWORD}') && 1")
    assert sent(page, "routingLookup") == "200"
    assert sent(page, "listSkillGroups") == "200", "with a server of its own"
    assert not [url for url in asked if not url.startswith((console.url, "data:"))]
