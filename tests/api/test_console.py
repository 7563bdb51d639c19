"""The console as it is served: with a password, under a policy without exceptions."""

from urllib.parse import urljoin

import pytest

from api.handlers.console import _FILES
from tests.api.support import FakeCallServer, run, serving
from tests.api.test_documentation import Html


@run
async def test_the_page_and_all_that_it_loads_come_from_here() -> None:
    async with serving(FakeCallServer()) as client:
        page = await client("GET", "/")
        html = Html(page.text)
        loaded = [path for tag, path in html.loads if tag != "a"]
        for path in loaded:
            assert (await client("GET", urljoin("/", path))).status == 200
            assert "://" not in path
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert html.inline == []
    assert "console/main.js" in loaded


@pytest.mark.parametrize("path", ["/", "/console/main.js", "/console/views/calls.js"])
@run
async def test_nobody_sees_it_without_a_password(path: str) -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("GET", path, login=False)
    assert reply.error(401)
    assert reply.headers["WWW-Authenticate"].startswith("Basic")


@run
async def test_the_policy_of_the_page_has_no_exception() -> None:
    async with serving(FakeCallServer()) as client:
        policy = (await client("GET", "/")).headers["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert {rules[kind] for kind in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert rules["require-trusted-types-for"] == "'script'"
    for kind in ("trusted-types", "base-uri", "frame-ancestors", "form-action"):
        assert rules[kind] == "'none'"
    assert not [word for word in ("unsafe", "http", "*") if word in policy]


@run
async def test_each_file_has_its_type_and_whoever_has_a_copy_is_told_so() -> None:
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    async with serving(FakeCallServer()) as client:
        for path in _FILES:
            first = await client("HEAD", path)
            assert first.headers["Content-Type"].split(";")[0] == kinds[path.rpartition(".")[2]]
            assert first.headers["X-Content-Type-Options"] == "nosniff"
            again = await client("GET", path, headers={"If-None-Match": first.headers["ETag"]})
            assert again.status == 304


@pytest.mark.parametrize("name", ["README.md", "../app.py", "%2e%2e/app.py", "views", "nothing.js"])
@run
async def test_nothing_else_is_served(name: str) -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("GET", f"/console/{name}")
    assert reply.error(404)
