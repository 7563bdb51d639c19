"""Records: found by what is asked for, page by page, and the same in the file."""

import csv
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.console.support import Console


def ended(console: Console, calling: str, destination: str) -> str:
    """The GUID of a call that has ended: its record is stored."""
    guid = console.call(calling, destination)
    console.server.terminate(guid)
    return guid


def test_search_one_record_and_download(console: Console, page: Page, tmp_path: Path) -> None:
    guids = [ended(console, calling, "5087") for calling in ("1002", "1003")]
    ended(console, "1002", "5088")
    console.open("records")
    page.get_by_label("To", exact=True).fill("5087")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile(r"#/records\?calledNumber=5087$"))
    rows = page.get_by_role("region", name="Records").last.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(page.locator(".view-head [role=status]")).to_have_text("2 of 2 records")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "records.csv")
    with (tmp_path / "records.csv").open(newline="") as file:
        assert {line["callGuid"] for line in csv.DictReader(file)} == set(guids)
    page.get_by_label("From", exact=True).fill("1003")
    page.get_by_role("button", name="Search").click()
    expect(rows).to_have_count(1)
    rows.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(guids[1])
    legs = console.server.extension("GET", f"/cvp-reporting/rest/cdr/{guids[1]}/legs")
    table = page.get_by_role("region", name="Legs").last
    expect(table.locator("tbody tr")).to_have_count(len(legs))


def test_times_result_and_pages(console: Console, page: Page) -> None:
    for number in range(52):
        console.call("1777", f"57{number:02}")
    console.server.extension("POST", "/sim/v1/reset")
    console.open("records?callingNumber=1777")
    rows = page.get_by_role("region", name="Records").last.locator("tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="More").click()
    expect(rows).to_have_count(52)
    expect(page.get_by_role("button", name="More")).to_be_hidden()
    page.get_by_label("Started before").fill("2020-01-01T00:00:00")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No record matches.")).to_be_visible()
    expect(page.get_by_label("Started before")).to_have_value(re.compile("2020-01-01T00:00"))
    page.get_by_role("link", name="All", exact=True).click()
    expect(rows).to_have_count(50)
    page.get_by_label("Result").select_option("error")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile("callResult=error"))
    failed = "/cvp-reporting/rest/cdr?callResult=error&limit=1"
    found = console.server.extension("GET", failed)["totalRecords"]
    expect(page.locator(".view-head [role=status]")).to_have_text(
        re.compile(f"of {found} records?$")
    )
