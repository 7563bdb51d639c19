"""Agents and queues: what each button makes of an agent, and of the call that waits."""

import re
from collections.abc import Iterator
from datetime import datetime

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.console.support import Console


@pytest.fixture(autouse=True)
def all_available(console: Console) -> Iterator[None]:
    """The agents as they were, for the next test."""
    yield
    as_before = {"state": "available", "answerAfter": 1}
    for agent in console.server.extension("GET", "/sim/v1/agents")["agents"]:
        console.server.extension("PUT", f"/sim/v1/agents/{agent['extension']}", as_before)


def become(console: Console, extension: str, state: str) -> None:
    console.server.extension("PUT", f"/sim/v1/agents/{extension}", {"state": state})


def state_of(console: Console, extension: str) -> str:
    return str(console.server.extension("GET", f"/sim/v1/agents/{extension}")["state"])


def row(page: Page, extension: str) -> Locator:
    table = page.get_by_role("region", name="Agents").last
    return table.locator("tbody tr", has=page.locator("b", has_text=extension))


def test_each_button(console: Console, page: Page) -> None:
    console.open("agents")
    badge = row(page, "1002").locator(".badge")
    for button, shown, state in (
        ("Not ready", "not ready", "not_ready"),
        ("Ready", "available", "available"),
        ("Log out", "logged out", "logged_out"),
        ("Log in", "available", "available"),
    ):
        page.get_by_role("button", name=f"{button}: 1002", exact=True).click()
        expect(badge).to_have_text(shown)
        assert state_of(console, "1002") == state
    expect(row(page, "1001").locator(".badge")).to_have_text("available")


def seconds_to_answer(console: Console, guid: str) -> float:
    """From the INVITE to the 200 of the leg to the agent, on the wire."""
    trace = console.server.extension("GET", f"/sim/v1/calls/{guid}/trace")["messages"]
    leg = [one for one in trace if one.get("leg") == "callee" and "direction" in one]
    invite = next(one for one in leg if one["direction"] == "out")
    answer = next(one for one in leg if one["summary"].startswith("200"))
    assert invite["summary"].startswith("INVITE")
    times = [datetime.fromisoformat(one["timestamp"]) for one in (invite, answer)]
    return (times[1] - times[0]).total_seconds()


def test_how_long_a_phone_rings(console: Console, page: Page) -> None:
    console.open("agents")
    for name, seconds in (("1", 1.5), ("1.5", 0.0)):
        button = page.get_by_role("button", name=f"Answer after {name} s: 1001", exact=True)
        button.click()
        page.get_by_label("Seconds").fill("4000")
        page.get_by_role("button", name="Set", exact=True).click()
        expect(page.get_by_role("dialog")).to_be_visible()  # the field has its bounds
        page.get_by_label("Seconds").fill(str(seconds))
        page.get_by_role("button", name="Set", exact=True).click()
        changed = page.get_by_role("button", name=f"Answer after {seconds:g} s: 1001", exact=True)
        expect(changed).to_be_focused()
        guid = console.connected(destination="6000")
        took = seconds_to_answer(console, guid)
        assert seconds <= took < seconds + 1.0
        console.server.terminate(guid)
    expect(page.get_by_role("button", name="Answer after 1 s: 1002", exact=True)).to_be_visible()


def test_who_becomes_ready_gets_the_call_that_waits(console: Console, page: Page) -> None:
    for extension in ("1001", "1002", "1003"):
        become(console, extension, "not_ready")
    guid = console.call("1004", "7001")
    console.open("agents")
    waiting = page.get_by_role("region", name="Calls that wait for support").locator("tbody tr")
    expect(waiting).to_have_count(1)
    expect(waiting).to_contain_text("1004 to 7001")
    page.get_by_role("button", name="Ready: 1002", exact=True).click()
    expect(waiting).to_have_count(0)
    expect(row(page, "1002").locator(".badge")).to_have_text("busy")
    expect(page.get_by_text("0 of 3 agents available")).to_be_visible()
    row(page, "1002").get_by_role("link").click()
    expect(page).to_have_url(re.compile(f"#/call/{guid}$"))
    agent = console.server.extension("GET", "/sim/v1/agents/1002")
    assert (agent["state"], agent["callGuid"]) == ("busy", guid)
