"""Faults: rules made, switched and deleted in the page, by what they do to calls."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.console.support import Console


def rules(console: Console) -> dict[str, Any]:
    listed = console.server.extension("GET", "/sim/v1/faults")["faults"]
    return {one["name"]: one for one in listed}


def test_a_ready_made_one_is_added_fires_and_is_switched(console: Console, page: Page) -> None:
    console.open("faults")
    expect(page.get_by_text("No rule is in force")).to_be_visible()
    page.get_by_role("button", name="Add lost-200").click()
    switch = page.get_by_role("switch", name="lost-200 is on")
    expect(switch).to_be_checked()
    page.get_by_role("button", name="Add all-503").click()
    expect(page.get_by_role("switch")).to_have_count(2)
    switch.focus()
    page.keyboard.press("Space")
    expect(switch).not_to_be_checked()
    console.server.wait_for(lambda: not rules(console)["lost-200"]["enabled"], "the switch")
    assert rules(console)["all-503"]["enabled"]
    page.get_by_role("button", name="Delete lost-200").click()
    expect(page.get_by_role("switch")).to_have_count(1)
    assert list(rules(console)) == ["all-503"]


def test_a_rule_of_ones_own_harms_a_call(console: Console, page: Page) -> None:
    console.open("faults")
    page.get_by_role("button", name="New fault").click()
    page.get_by_label("Direction").select_option("out")
    page.get_by_label("Method").select_option("INVITE")
    page.get_by_label("A message that matches").select_option("drop")
    page.get_by_label("At most so many times").fill("1")
    page.get_by_label("Name").fill("first-invite")
    page.get_by_label("Further fields").fill('{"every": 1')
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("dialog [role=alert]")).to_contain_text("Further fields: no JSON")
    page.get_by_label("Further fields").fill('{"every": 1}')
    page.get_by_role("button", name="Add", exact=True).click()
    rule = page.get_by_role("region", name="Rules in force").locator("tbody tr")
    expect(rule).to_contain_text("direction out; method INVITE; every 1; count 1; drop")
    console.connected()  # by the INVITE that is sent again
    expect(rule.locator(".number").last).to_have_text("1")
    assert rules(console)["first-invite"]["fired"] == 1
    assert rules(console)["first-invite"]["matched"] == 1


def test_what_the_server_refuses_stands_in_the_form(console: Console, page: Page) -> None:
    console.open("faults")
    page.get_by_role("button", name="New fault").click()
    page.get_by_label("Response code").fill("9xx")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("dialog [role=alert]")).to_contain_text("status")
    assert rules(console) == {}


def test_delete_all_asks(console: Console, page: Page) -> None:
    console.server.extension("POST", "/sim/v1/faults", {"set": "lossy", "enabled": False})
    console.open("faults")
    page.get_by_role("button", name="Delete all").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    assert list(rules(console)) == ["lossy"]
    page.get_by_role("button", name="Delete all").click()
    page.get_by_role("button", name="Delete all", exact=True).last.click()
    expect(page.get_by_text("No rule is in force")).to_be_visible()
    assert rules(console) == {}
