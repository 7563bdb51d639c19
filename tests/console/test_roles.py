"""Roles: what a user may not do is not offered, and the server would refuse it."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, expect

from scenarios.server import ServerProcess
from tests.console.support import VIEWS, Console, no_complaints, open_console, opened

# Keeps what becomes of each request.
LISTEN = """window.asked = [];
const ask = window.fetch;
window.fetch = (...what) => {
    const answer = ask(...what);
    asked.push(answer.then(({status}) => `${what[1]?.method} ${what[0]} ${status}`, String));
    return answer;
};"""
# Presses all that can be pressed and makes each choice; what the server has said so far.
PRESS = """async () => {
    for (const one of document.querySelectorAll("main :is(button, select, input[role=switch])")) {
        if (one.disabled || !one.checkVisibility()) continue;
        if (one.matches("select")) one.dispatchEvent(new Event("change", {bubbles: true}));
        else one.click();
    }
    return await Promise.all(asked);
}"""

As = Callable[[str], Console]


@pytest.fixture
def seen_as(browser: Browser, server: ServerProcess) -> Iterator[As]:
    """The console as a user with a role sees it: name and password are the same as the role."""
    with ExitStack() as stack:

        def see(role: str) -> Console:
            login = "Basic " + b64encode(f"{role}:{role}".encode()).decode()
            found = stack.enter_context(open_console(browser, server, authorization=login))
            stack.callback(no_complaints, found)
            return found

        yield see


def test_who_may_read_finds_nothing_that_is_refused(seen_as: As, busy: str) -> None:
    reader = seen_as("read")
    reader.page.add_init_script(LISTEN)
    for view in [*VIEWS, "call"]:
        page = opened(reader, view, busy)
        asked = page.evaluate(PRESS)
        assert [one for one in asked if one.endswith(" 403")] == [], view
        assert len(asked) > 2, "the views ask"
        expect(page.get_by_role("dialog"), view).to_have_count(0)
    expect(reader.page.get_by_label("callVariable1")).not_to_be_editable()
    expect(reader.page.locator("#server")).to_contain_text("read (read)")


def test_who_steers_calls_and_agents_is_offered_no_more(seen_as: As, busy: str) -> None:
    page = opened(seen_as("control"), "agents", busy)
    page.get_by_role("button", name="Not ready: 1002", exact=True).click()
    page.get_by_role("button", name="Ready: 1002", exact=True).click()
    expect(page.get_by_role("button", name="Not ready: 1002", exact=True)).to_be_visible()
    page.get_by_role("link", name="Calls", exact=True).click()
    expect(page.get_by_role("button", name="Place a test call")).to_be_visible()
    page.get_by_role("link", name="Faults", exact=True).click()
    expect(page.get_by_role("switch", name="lossy is on")).to_be_disabled()
    expect(page.get_by_role("button", name="New fault")).to_have_count(0)
