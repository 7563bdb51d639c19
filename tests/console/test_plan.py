"""Dial plan and server groups: each form by what the server then does with calls."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from scenarios.server import RestError
from tests.console.support import Console


def lookup(console: Console, number: str) -> Any:
    return console.server.rest("POST", "/routing/lookup", {"dialedNumber": number})


def test_the_tester_tells_what_the_server_would_do(console: Console, page: Page) -> None:
    console.open("plan")
    page.get_by_label("Number", exact=True).fill("7001")
    page.get_by_role("button", name="Look up").click()
    answer = page.locator(".facts")
    expect(answer).to_contain_text("support")
    expect(answer.locator("code").first).to_have_text(lookup(console, "7001")["matchedPattern"])
    assert console.server.calls() == []
    page.get_by_label("Number", exact=True).fill("7 001")
    page.get_by_role("button", name="Look up").click()
    expect(page.locator(".error")).to_contain_text("dialedNumber")


def test_a_pattern_is_added_changed_and_deleted(console: Console, page: Page) -> None:
    console.open("plan")
    page.get_by_role("button", name="New pattern").click()
    page.get_by_label("Pattern", exact=True).fill("47>")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("dialog [role=alert]")).to_contain_text("applicationName")
    page.get_by_label("Application", exact=True).fill("support")
    page.get_by_role("button", name="Add", exact=True).click()
    row = page.get_by_role("region", name="Patterns").last.locator("tr", has_text="47>")
    expect(row).to_contain_text("support")
    assert lookup(console, "4711")["matchedPattern"] == "47>"
    page.get_by_role("button", name="Edit the pattern 47>").click()
    page.get_by_label("Enabled").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(row.locator(".badge")).to_have_text("disabled")
    assert lookup(console, "4711")["matchedPattern"] == ">"
    page.get_by_role("button", name="Delete the pattern 47>").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(row).to_have_count(0)
    listed = console.server.extension("GET", "/oamp/rest/dialedNumberPattern")
    assert "47>" not in [one["pattern"] for one in listed]


def test_a_server_group_is_added_changed_and_deleted(console: Console, page: Page) -> None:
    console.open("plan")
    page.get_by_role("button", name="New server group").click()
    page.get_by_label("Name", exact=True).fill("borders.lab")
    page.get_by_label("Address").fill("127.0.0.1")
    page.get_by_label("Port").fill("5999")
    page.get_by_role("button", name="Another server").click()
    page.get_by_label("Address").last.fill("127.0.0.2")
    page.get_by_role("button", name="Add", exact=True).click()
    servers = page.get_by_role("region", name="Servers of borders.lab").locator("tbody tr")
    expect(servers).to_have_count(2)

    def kept() -> Any:
        found = console.server.extension("GET", "/oamp/rest/sipserver/borders.lab")
        return [(one["ipAddress"], one["port"], one["priority"]) for one in found["servers"]]

    assert kept() == [("127.0.0.1", 5999, 1), ("127.0.0.2", 5060, 1)]
    page.get_by_role("button", name="Edit the server group borders.lab").click()
    page.get_by_role("button", name="Remove this server").first.click()
    page.get_by_label("Priority").fill("2")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(servers).to_have_count(1)
    assert kept() == [("127.0.0.2", 5060, 2)]
    page.get_by_role("button", name="Delete the server group borders.lab").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(servers).to_have_count(0)
    with pytest.raises(RestError, match="404"):
        kept()
