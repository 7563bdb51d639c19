"""The list of calls: it follows them, filters, sorts, and is gone about in by keyboard."""

import re

from playwright.sync_api import Page, Route, expect

from tests.console.support import Console


def test_calls_come_change_and_go(console: Console, page: Page) -> None:
    console.open()
    expect(page).to_have_title("Calls \u2013 Callsim")
    expect(page.locator("#link")).to_have_text("live")
    rows = page.locator("tr.row")
    expect(rows).to_have_count(0)
    guid = console.call("1002", "7001")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(["1002"])
    expect(rows).to_contain_text(["7001"])
    expect(rows.locator(".badge")).to_have_text("connected", timeout=30_000)
    expect(page.locator(".chip", has_text="connected").locator("b")).to_have_text("1")
    console.server.terminate(guid)
    expect(rows).to_have_count(0)


def test_a_reading_that_fails_is_begun_again(console: Console, page: Page) -> None:
    """The stream of events is up all the while, so that nothing else asks for it."""
    console.connected("1003", "6000")  # nothing more is told of it
    refused = {"code": "OVERLOAD", "details": "The server is busy."}
    refusing = True
    refusals = 0

    def refuse(route: Route) -> None:
        nonlocal refusals
        if refusing:
            refusals += 1
            route.fulfill(status=503, json=refused)
        else:
            route.continue_()

    page.route("**/cvp/rest/call?*", refuse)
    console.open("calls")
    rows, alert = page.locator("tr.row"), page.get_by_role("alert")
    expect(page.locator("#link")).to_have_text("live")
    expect(alert).to_contain_text("The server is busy.")
    expect(page.locator(".view-head .muted")).to_have_text("reading \u2026")
    console.call("1002", "5002")  # is told by an event
    expect(rows).to_have_count(1)
    refusing = False
    expect(rows).to_have_count(2)
    expect(page.locator(".view-head .muted")).to_have_text("2 calls")
    expect(alert).to_be_empty()
    assert refusals >= 1


def test_filter_and_sort(console: Console, page: Page) -> None:
    for number, destination in (("1003", "5001"), ("1002", "5002"), ("1004", "5003")):
        console.call(number, destination)
    console.open("calls")
    first = page.locator("tr.row td:first-child")
    expect(first).to_have_count(3)
    page.get_by_role("button", name="From").click()
    expect(first).to_have_text(["1002", "1003", "1004"])
    page.get_by_role("button", name="From").click()
    expect(first).to_have_text(["1004", "1003", "1002"])
    expect(page.get_by_role("columnheader", name="From")).to_have_attribute(
        "aria-sort", "descending"
    )
    page.get_by_label("Search").fill("5002")
    expect(first).to_have_text(["1002"])
    expect(page.locator(".view-head .muted")).to_have_text("1 of 3 calls")
    page.get_by_label("Search").fill("")
    page.get_by_label(re.compile("^ringing")).check(force=True)
    expect(first).to_have_count(0)


# What each row in the page shows, from its number in the list, once the list was scrolled to there.
ROWS = """async top => {
    const list = document.querySelector(".live-table");
    list.scrollTop = top;
    for (const _ of "ab") await new Promise(requestAnimationFrame);
    const edge = list.querySelector("tbody").getBoundingClientRect().top;
    return [...list.querySelectorAll("tr.row")].map(row => [
        row.ariaRowIndex - 2, row.querySelector("a").hash, row.cells[0].textContent,
        row.querySelector(".badge").textContent, row.getBoundingClientRect().top - edge,
    ]);
}"""


def test_rows_that_leave_the_sight_serve_others(console: Console, page: Page) -> None:
    states = ("queued", "connected", "ringing")
    calls = [
        {
            "callGuid": f"{number:032X}", "state": states[number % 3],
            "callingNumber": str(number), "calledNumber": "7001", "applicationName": "support",
            "startTime": "2026-01-01T00:00:00Z",
        }
        for number in range(300)
    ]  # fmt: skip
    page.route("**/cvp/rest/call?*", lambda route: route.fulfill(json={"calls": calls}))
    console.open("calls")
    expect(page.locator(".view-head .muted")).to_have_text("300 calls")
    page.get_by_role("button", name="From").click()
    page.locator("tr.row a").nth(3).focus()
    for top in (0, 120, 4000, 3900, 10**6, 0):
        rows = page.evaluate(ROWS, top)
        first = rows[0][0]
        assert rows == [
            [n, f"#/call/{n:032X}", str(n), states[n % 3], 30 * n]
            for n in range(first, first + len(rows))
        ]
        assert len(rows) <= 60, "only those in sight"
        assert first * 30 <= top
        assert rows[-1][0] == 299 or rows[-1][0] * 30 > top + 600
        expect(page.locator("tr.row a:focus")).to_have_count(1)  # it is not lost


def test_a_row_by_keyboard(console: Console, page: Page) -> None:
    guids = [console.call("1002", f"500{number}") for number in range(3)]
    console.open("calls")
    expect(page.locator("tr.row")).to_have_count(3)
    page.get_by_role("link", name="Call from 1002 to 5002").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="Call from 1002 to 5001")).to_be_focused()
    page.keyboard.press("End")
    expect(page.get_by_role("link", name="Call from 1002 to 5000")).to_be_focused()
    console.call("1003", "5009")  # the newest is first: the rows move, the focus stays
    expect(page.locator("tr.row")).to_have_count(4)
    expect(page.get_by_role("link", name="Call from 1002 to 5000")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"#/call/{guids[0]}$"))
    expect(page.get_by_role("heading", level=1)).to_contain_text(guids[0])


def test_place_a_call(console: Console, page: Page) -> None:
    console.open("calls")
    page.get_by_role("button", name="Place a test call").click()
    page.get_by_label("First party").fill("1003")
    page.get_by_label("Destination").fill("5000")
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page).to_have_url(re.compile("#/call/"))
    (call,) = console.server.calls()
    assert (call["callingNumber"], call["calledNumber"]) == ("1003", "5000")
    expect(page).to_have_url(re.compile(call["callGuid"]))
