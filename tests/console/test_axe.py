"""axe-core finds nothing serious in any view, light or dark, nor in their longest forms."""

from playwright.sync_api import Page, expect

from tests.console.support import VIEWS, Console, faults, opened

FORMS = {"call": "Transfer \u2026", "faults": "New fault", "plan": "New server group"}


def test_axe_finds_nothing_serious(console: Console, page: Page, busy: str) -> None:
    found = {}
    for view in [*VIEWS, "call"]:
        opened(console, view, busy)
        found[view] = faults(page)
        if view in FORMS:
            page.get_by_role("button", name=FORMS[view]).click()
            expect(page.get_by_role("dialog")).to_be_visible()
            found[f"the form of {view}"] = faults(page)
    assert {what: some for what, some in found.items() if some} == {}


def test_it_finds_what_is_seen_in_the_dark_alone(console: Console, page: Page) -> None:
    console.open("health")
    heading = page.get_by_role("heading", name="Health")
    expect(heading).to_be_visible()
    heading.evaluate("node => (node.style.color = 'light-dark(#000, #223)')")
    assert [one.partition(":")[0] for one in faults(page)] == ["color-contrast"]
