"""One call: what is shown of it, and each button by what it does to the call."""

import re

from playwright.sync_api import Page, expect

from tests.console.support import Console


def transfers(console: Console, guid: str) -> list[tuple[str, str]]:
    listed = console.server.extension("GET", f"/sim/v1/calls/{guid}/transfers")["transfers"]
    return [(one["transferType"], one["state"]) for one in listed]


def state(page: Page, name: str) -> None:
    expect(page.locator(".view-head .badge")).to_have_text(name)


def test_what_is_shown(console: Console, page: Page) -> None:
    guid = console.connected()
    console.open(f"call/{guid}")
    state(page, "connected")
    legs = page.get_by_role("region", name="Legs").last.locator("tbody tr")
    sessions = console.server.sessions(guid)
    expect(legs).to_have_count(len(sessions))
    for session in sessions:
        expect(page.get_by_text(session["callId"]).first).to_be_visible()
    history = page.locator("section", has=page.get_by_role("heading", name="History")).locator("li")
    expect(history).to_have_count(len(console.server.call(guid)["callHistory"]))


def test_hold_and_resume(console: Console, page: Page) -> None:
    guid = console.connected()
    console.open(f"call/{guid}")
    page.get_by_role("button", name="Hold").click()
    state(page, "on hold")
    assert console.server.call(guid)["state"] == "on_hold"
    page.get_by_role("button", name="Resume").click()
    state(page, "connected")
    assert console.server.call(guid)["state"] == "connected"


def transfer(page: Page, to: str, kind: str = "blind") -> None:
    page.get_by_role("button", name="Transfer \u2026").click()
    page.get_by_label("To", exact=True).fill(to)
    page.get_by_label("Type").select_option(kind)
    page.get_by_role("button", name="Transfer", exact=True).click()


def test_a_blind_transfer(console: Console, page: Page) -> None:
    guid = console.connected()
    console.open(f"call/{guid}")
    transfer(page, "1003")
    expect(page.locator(".transfer .badge")).to_have_text("completed")
    expect(page.locator(".transfer .steps li").first).to_contain_text("INVITE")
    assert transfers(console, guid) == [("blind", "completed")]


def test_a_transfer_that_fails_says_why(console: Console, page: Page) -> None:
    guid = console.connected()
    console.open(f"call/{guid}")
    transfer(page, "9486")
    expect(page.locator(".transfer .badge")).to_have_text("failed")
    expect(page.locator(".transfer").get_by_text("486 Busy Here").first).to_be_visible()
    state(page, "connected")


def test_a_refused_command_says_why_and_stays(console: Console, page: Page) -> None:
    guid = console.connected()
    console.open(f"call/{guid}")
    transfer(page, "10 03")
    expect(page.locator("dialog [role=alert]")).to_contain_text("destination has the character")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Transfer \u2026")).to_be_focused()
    assert transfers(console, guid) == []


def test_a_consultation_completed_and_one_given_up(console: Console, page: Page) -> None:
    guid = console.connected()
    console.open(f"call/{guid}")
    transfer(page, "1003", "consultation")
    expect(page.get_by_role("button", name="Complete transfer")).to_be_visible()
    page.get_by_role("button", name="Cancel transfer").click()
    state(page, "connected")
    transfer(page, "1004", "consultation")
    expect(page.locator(".steps").get_by_text("consulting")).to_have_count(1)
    page.get_by_role("button", name="Complete transfer").click()
    expect(page.locator(".transfer .badge")).to_have_text(["cancelled", "completed"])
    assert transfers(console, guid) == [
        ("consultation", "cancelled"),
        ("consultation", "completed"),
    ]


def test_terminate_asks_and_shows_the_record(console: Console, page: Page) -> None:
    guid = console.connected()
    console.open(f"call/{guid}")
    page.get_by_role("button", name="Terminate \u2026").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    assert console.server.call(guid)["state"] == "connected"
    page.get_by_role("button", name="Terminate \u2026").click()
    page.get_by_label("Reason").select_option("administrative")
    page.get_by_role("button", name="Terminate", exact=True).click()
    expect(page.get_by_role("heading", name="Call detail record")).to_be_visible()
    assert console.server.calls() == []
    record = console.server.extension("GET", f"/cvp-reporting/rest/cdr/{guid}")
    expect(page.locator(".facts")).to_contain_text(record["callResult"])


def test_a_call_that_never_was(console: Console, page: Page) -> None:
    console.open(f"call/{'0' * 32}")
    expect(page.get_by_role("alert")).to_contain_text("0" * 32)


def variables(console: Console, guid: str) -> dict[str, str]:
    found = console.server.rest("GET", f"/call/{guid}/variables")
    return {**found["callVariables"], **found["eccVariables"]}


def test_variables_are_set_and_nobody_is_overwritten(console: Console, page: Page) -> None:
    guid = console.connected()
    console.open(f"call/{guid}")
    for name, value in (("callVariable2", "gold"), ("user.tier", "1")):
        page.get_by_role("button", name="Add \u2026").click()
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_label("Value", exact=True).fill(value)
        page.get_by_role("button", name="Set", exact=True).click()
        expect(page.get_by_label(name, exact=True)).to_have_value(value)
    assert variables(console, guid) == {"callVariable2": "gold", "user.tier": "1"}
    page.get_by_label("callVariable2").fill("silver")
    body = {"eccVariables": {"user.tier": "2"}}
    console.server.rest("PUT", f"/call/{guid}/variables", body)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text(re.compile("Somebody else.*callVariable2"))
    expect(page.get_by_label("user.tier")).to_have_value("2")
    assert variables(console, guid)["callVariable2"] == "gold"
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Save")).to_be_hidden()
    assert variables(console, guid) == {"callVariable2": "silver", "user.tier": "2"}


def test_the_ladder_grows_and_opens_to_messages(console: Console, page: Page) -> None:
    guid = console.connected()
    console.open(f"call/{guid}")
    arrows = page.locator(".ladder .arrow")

    def traced() -> int:
        messages = console.server.extension("GET", f"/sim/v1/calls/{guid}/trace")["messages"]
        return sum("direction" in one for one in messages)

    expect(arrows).to_have_count(traced())
    page.get_by_role("button", name="Hold").click()
    state(page, "on hold")
    expect(arrows).to_have_count(traced())
    page.get_by_role("button", name=re.compile("^to originated.*INVITE")).first.press("Enter")
    expect(page.locator(".ladder pre:visible")).to_contain_text("Call-ID:")
    with page.expect_download() as file:
        page.get_by_role("link", name="pcap").click()
    assert file.value.suggested_filename.endswith(".pcap")
    console.server.terminate(guid)
    expect(page.get_by_role("heading", name="Call detail record")).to_be_visible()
    expect(arrows.filter(has_text="BYE").first).to_be_visible()


def test_the_trace_can_be_turned_on(console: Console, page: Page) -> None:
    console.server.extension("PUT", "/sim/v1/trace", {"enabled": False})
    console.open(f"call/{console.connected()}")
    page.get_by_role("button", name="Turn the trace on").click()
    page.get_by_role("button", name="Hold").click()
    expect(page.locator(".ladder .arrow").first).to_be_visible()
    assert console.server.extension("GET", "/sim/v1/trace")["enabled"]
