"""The list of calls with 5,000 of them: make test-console ARGS=tests/console/many.py.

SIPp holds the calls. Beside what must hold it prints how long a filter and a frame take.
"""

from pathlib import Path

from playwright.sync_api import Page, expect

from scenarios.runner import SippRun
from tests.console.support import Console

CALLS = 5000
SIGHT = 80
"""Rows in the page at most, in a window of 800 pixels."""

# How long it takes from a key to the rows that match, in ms.
FILTER = """async text => {
    const search = document.getElementById("search");
    const began = performance.now();
    search.value = text;
    search.dispatchEvent(new Event("input", {bubbles: true}));
    await new Promise(requestAnimationFrame);
    return performance.now() - began;
}"""
# The work of each of 100 frames in which the rows scroll by a page, in ms, in order.
SCROLL = """async () => {
    const list = document.querySelector(".live-table");
    const work = [];
    for (let frame = 0; frame < 100; frame++) {
        await new Promise(requestAnimationFrame);
        const began = performance.now();
        list.scrollTop += list.clientHeight;
        list.dispatchEvent(new Event("scroll"));
        void list.offsetHeight;
        work.push(performance.now() - began);
    }
    return work.sort((one, other) => one - other);
}"""


def test_five_thousand_calls(console: Console, page: Page, tmp_path: Path) -> None:
    server = console.server
    caller = SippRun(
        "uac", tmp_path, server.sip, calls=CALLS, rate=300, service="5000", hold_ms=600_000,
        seconds=600, options=["-l", str(CALLS)],
    )  # fmt: skip
    console.open("calls")
    count = page.locator(".view-head .muted")
    expect(count).to_have_text("5,000 calls", timeout=300_000)
    rows = page.locator("tr.row")
    assert rows.count() <= SIGHT
    expect(page.locator(".live-table table")).to_have_attribute("aria-rowcount", str(CALLS + 1))

    some = server.calls(limit=1)[0]["callGuid"]
    took = [page.evaluate(FILTER, text) for text in ("5000", "nobody", "", some, "")]
    work = page.evaluate(SCROLL)
    assert rows.count() <= SIGHT
    page.locator(".live-table").focus()
    page.keyboard.press("End")
    expect(page.locator("tr.row a:focus")).to_have_count(1)
    last = page.locator("tr.row").last.get_attribute("aria-rowindex")
    assert last == str(CALLS + 1)

    page.get_by_label("Search").fill(some)
    expect(count).to_have_text("1 of 5,000 calls")
    server.terminate(some)
    expect(count).to_have_text("0 of 4,999 calls")
    server.extension("POST", "/sim/v1/calls/terminate", {"calledNumber": "5000"})
    expect(count).to_have_text("0 calls", timeout=120_000)
    caller.stop()
    print(  # noqa: T201
        f"\nfilter {max(took):.0f} ms at most; a frame that scrolls {work[50]:.1f} ms, "
        f"{work[95]:.1f} ms at most in 95 of 100"
    )
    assert max(took) < 500
    assert work[50] < 16
