"""Health: the server, its neighbours, and the levels of its log."""

from playwright.sync_api import Page, expect

from tests.console.support import Console


def test_the_server_and_its_neighbours(console: Console, page: Page) -> None:
    console.open("health")
    known = console.server.rest("GET", "/health/connectivity")["connections"]
    rows = page.get_by_role("region", name="Neighbours").last.locator("tbody tr")
    expect(rows).to_have_count(len(known))
    expect(rows.first).to_contain_text(known[0]["component"])
    server = page.get_by_role("region", name="Server")
    expect(server).to_contain_text(console.server.rest("GET", "/health")["serverName"])
    expect(server.locator(".badge").first).to_have_text("healthy")
    with page.expect_response("**/health/connectivity"):
        page.get_by_role("button", name="Probe again").click()


def test_a_level_of_the_log(console: Console, page: Page) -> None:
    def level() -> str:
        listed = console.server.extension("GET", "/sim/v1/log")["loggers"]
        return str(next(one["level"] for one in listed if one["name"] == "sip"))

    console.open("health")
    before = level()
    choice = page.get_by_label("Level of sip")
    expect(choice).to_have_value(before)
    choice.select_option("debug")
    expect(choice.locator("option")).to_have_count(5)  # it may be put back
    assert level() == "debug"
    choice.select_option("default")
    expect(choice).to_have_value(before)
    assert level() == before
