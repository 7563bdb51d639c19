"""/openapi.json for tools, and /docs for people: open, from this server alone, and it works."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from api.app import GROUPS
from api.operations import CONTRACT_PREFIX
from simulator.config_base import User
from tests.api.support import FakeCallServer, run, serving
from tests.support.browser import CHROMIUM, Page, browser_page

USER = User("name", "password")
OPERATIONS = [operation for group in GROUPS for operation in group.declared]


class Html(HTMLParser):
    """What a page loads and links to, and what a strict policy would not let run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[tuple[str, str]] = []
        self.inline: list[str] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        for name, value in attrs:
            if name in ("src", "href"):
                self.loads.append((tag, value or ""))
            elif name.startswith("on") or name == "style":
                self.inline.append(f"{tag} {name}")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style") and data.strip():
            self.inline.append(data)


@run
async def test_the_page_and_all_that_it_loads_come_from_here_without_a_password() -> None:
    async with serving(FakeCallServer()) as client:
        page = await client("GET", "/docs", login=False)
        html = Html(page.text)
        kinds = {}
        for tag, reference in html.loads:
            parts = urlsplit(reference)
            assert not parts.scheme, reference
            assert not parts.netloc, reference
            path = urljoin("/docs", reference)
            async with client.session.get(f"{client.address}{path}") as response:
                assert response.status == 200, path
                kinds[reference.rpartition("/")[2]] = response.content_type
                text = await response.read()
                kept = response.headers["Cache-Control"]
                if "swagger-ui-5." in path:
                    assert kept == "public, max-age=31536000, immutable"
                else:
                    assert kept == "no-store"
                if tag == "link" and path.endswith(".css"):
                    assert b"@import" not in text
                    assert text.count(b"url(") == text.count(b'url("data:') + text.count(
                        b"url(data:"
                    )
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert html.inline == []
    assert kinds == {
        "favicon-32x32.png": "image/png",
        "swagger-ui.css": "text/css",
        "swagger-ui-bundle.js": "text/javascript",
        "start.js": "text/javascript",
        "openapi.json": "application/json",
    }


@run
async def test_the_policy_of_the_page_has_no_exception() -> None:
    async with serving(FakeCallServer()) as client:
        policy = (await client("GET", "/docs", login=False)).headers["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert {rules[kind] for kind in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert not [word for word in ("unsafe", "http", "*") if word in policy]


@run
async def test_whoever_has_a_copy_is_told_so() -> None:
    async with serving(FakeCallServer()) as client:
        page = await client("GET", "/docs", login=False)
        style = next(href for tag, href in Html(page.text).loads if href.endswith(".css"))
        first = await client("HEAD", f"/{style}", login=False)
        again = await client(
            "GET", f"/{style}", login=False, headers={"If-None-Match": first.headers["ETag"]}
        )
        nothing = await client("GET", "/docs/swagger-ui.css")
    assert (first.status, again.status) == (200, 304)
    assert nothing.error(404)


@run
async def test_a_document_for_tools_that_heed_one_server_only() -> None:
    """Postman takes the first server of the document for all paths."""
    async with serving(FakeCallServer()) as client:
        plain = (await client("GET", "/openapi.json", login=False)).json
        full = (await client("GET", "/openapi.json?paths=full", login=False)).json
        wrong = await client("GET", "/openapi.json?paths=whole", login=False)
        assert full["servers"] == [{"url": str(client.address)}]
        assert 'give "full"' in wrong.error(400, "INVALID_REQUEST")
    assert not any("servers" in item for item in full["paths"].values())
    assert set(full["paths"]) == {
        operation.group.prefix + operation.path for operation in OPERATIONS
    }
    call = f"{CONTRACT_PREFIX}/call"
    assert full["paths"][call] == plain["paths"]["/call"]
    assert full["components"] == plain["components"]


@pytest.mark.parametrize("host", ["lab.example", "[....]", "[::::]"])
@run
async def test_that_server_is_the_one_that_was_asked(host: str) -> None:
    async with serving(FakeCallServer(), allowed_hosts=("*",)) as client:
        headers = {"Host": host}
        full = await client("GET", "/openapi.json?paths=full", login=False, headers=headers)
    assert full.json["servers"] == [{"url": f"http://{host}"}]


# In a browser.


async def sent(page: Page, operation_id: str) -> Any:
    """Open an operation, execute it, and give the status that the page shows."""
    block = f"""document.querySelector('[id$="-{operation_id}"]')"""
    await page.run(f"{block}.querySelector('.opblock-summary-control').click()")
    await page.wait_for(f"{block}.querySelector('.execute')")
    await page.run(f"{block}.querySelector('.execute').click()")
    code = ".live-responses-table tbody .response-col_status"
    return await page.wait_for(f"{block}.querySelector('{code}')?.firstChild?.textContent")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
@run
async def test_the_page_shows_all_operations_and_tries_them_out(tmp_path: Path) -> None:
    fake = FakeCallServer()
    async with serving(fake, users=(USER,)) as client:
        address = str(client.address)
        async with browser_page(f"{address}/docs", tmp_path) as page:
            await page.wait_for("document.querySelector('.opblock')")
            paths = await page.run(
                "[...document.querySelectorAll('.opblock-summary-path')].map(e => e.dataset.path)"
            )
            assert len(paths) == len(OPERATIONS)
            assert {"/call", "/sim/v1/calls", "/oamp/rest/sipserver"} <= set(paths)
            await page.run(
                f"docs.preauthorizeBasic('basicAuth', '{USER.name}', '{USER.password}') && 1"
            )
            assert await sent(page, "routingLookup") == "200"
            assert await sent(page, "listSkillGroups") == "200", "with a server of its own"
    assert fake.asked == [("lookup", "7001", None)], "the example is what is sent"
    assert page.complaints == [], "the policy lets all through that the page needs"
    assert {url for url in page.requests if not url.startswith((f"{address}/", "data:"))} <= {
        "about:blank"
    }
