"""/openapi.json for tools, and /docs for people: open, and from this server alone."""

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest

from api.app import GROUPS
from api.operations import CONTRACT_PREFIX
from tests.api.support import FakeCallServer, run, serving

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
