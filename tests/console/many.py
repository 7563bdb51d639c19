"""The list of calls with 5,000 of them: make test-console ARGS=tests/console/many.py.

SIPp holds the calls. Beside what must hold it prints how long a filter takes, and what a frame
costs that scrolls: in CPU time, which a busy machine hardly changes.
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
FRAMES = 100
# So many frames, in each of which the rows scroll by so many pixels.
SCROLL = """async ([frames, pixels]) => {
    const list = document.querySelector(".live-table");
    list.scrollTop = 0;
    for (let frame = 0; frame <= frames; frame++) {
        await new Promise(requestAnimationFrame);
        list.scrollTop += pixels;
    }
}"""
PARTS = ("Script", "Layout", "RecalcStyle")


def scrolled(page: Page, pixels: int) -> dict[str, float]:
    """What a frame costs, by part, in ms of CPU time."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> dict[str, float]:
        metrics = devtools.send("Performance.getMetrics")["metrics"]
        return {one["name"]: one["value"] for one in metrics}

    before = spent()
    page.evaluate(SCROLL, [FRAMES, pixels])
    after = spent()
    devtools.detach()
    names = {part: f"{part}Duration" for part in PARTS}
    return {part: (after[name] - before[name]) * 1000 / FRAMES for part, name in names.items()}


def test_five_thousand_calls(console: Console, page: Page, tmp_path: Path) -> None:
    server = console.server

    def placed() -> int:
        return int(server.extension("GET", "/sim/v1/statistics")["sinceStart"]["newCalls"])

    wanted = placed() + CALLS
    caller = SippRun(
        "uac", tmp_path, server.sip, calls=CALLS, rate=300, service="5000", hold_ms=600_000,
        seconds=600, options=["-l", str(CALLS)],
    )  # fmt: skip
    console.open("calls")
    count = page.locator(".view-head .muted")
    server.wait_for(lambda: placed() >= wanted, "the calls", 240)
    calls = server.rest("GET", "/call?limit=1")["totalActiveCalls"]
    assert calls > 0.95 * CALLS, "a busy machine refuses some"
    expect(count).to_have_text(f"{calls:,} calls")
    rows = page.locator("tr.row")
    assert rows.count() <= SIGHT
    expect(page.locator(".live-table table")).to_have_attribute("aria-rowcount", str(calls + 1))

    some = server.calls(limit=1)[0]["callGuid"]
    took = [page.evaluate(FILTER, text) for text in ("5000", "nobody", "", some, "")]
    frames = {pixels: scrolled(page, pixels) for pixels in (120, 600)}
    assert rows.count() <= SIGHT
    page.locator(".live-table").focus()
    page.keyboard.press("End")
    expect(page.locator("tr.row a:focus")).to_have_count(1)
    last = page.locator("tr.row").last.get_attribute("aria-rowindex")
    assert last == str(calls + 1)

    page.get_by_label("Search").fill(some)
    expect(count).to_have_text(f"1 of {calls:,} calls")
    server.terminate(some)
    expect(count).to_have_text(f"0 of {calls - 1:,} calls")
    server.extension("POST", "/sim/v1/calls/terminate", {"calledNumber": "5000"})
    expect(count).to_have_text("0 calls", timeout=120_000)
    caller.stop()
    print(f"\nfilter {max(took):.0f} ms at most")  # noqa: T201
    for pixels, parts in frames.items():
        shown = ", ".join(f"{part.lower()} {cost:.1f}" for part, cost in parts.items())
        print(f"a frame that scrolls by {pixels} pixels: ms of {shown}")  # noqa: T201
    assert max(took) < 500
    assert all(sum(parts.values()) < 16 for parts in frames.values())
