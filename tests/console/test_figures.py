"""Figures: what is plotted is what the server tells."""

import re

from playwright.sync_api import Page, expect

from tests.console.support import Console


def test_the_plots_follow_the_server(console: Console, page: Page) -> None:
    console.open("figures")
    calls = page.get_by_role("img", name="Active calls")
    expect(calls).to_have_attribute("aria-label", re.compile("^Active calls: all 0, ringing 0"))
    console.call("1002", "5000")
    expect(calls).to_have_attribute("aria-label", re.compile("^Active calls: all 1,"))
    points = re.compile(r"^M[\d.]+ [\d.]+(L[\d.]+ [\d.]+)+$")
    expect(calls.locator("path.line").first).to_have_attribute("d", points)
    counted = page.get_by_role("region", name="Counted", exact=True)
    since = console.server.extension("GET", "/sim/v1/statistics")["sinceStart"]["newCalls"]
    expect(counted.locator("tr", has_text="New calls").locator("td").last).to_have_text(str(since))
