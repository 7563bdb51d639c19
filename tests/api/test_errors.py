"""Every error has the contract's Error body, whoever finds it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from api.errors import ERRORS
from simulator.errors import CallServerError
from tests.api.support import GUID, RINGING_GUID, USER, FakeCallServer, basic, run, serving

CALL = f"/cvp/rest/call/{GUID}"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/call/unknown"),
        ("get", f"/call/{GUID[:-1]}"),
        ("get", "/call/%0d%0a"),
        ("get", "/call/%FF%FE"),
        ("get", "/call/%zz"),
        ("get", "/call/..%2f..%2fetc"),
        ("get", "/call/unknown/variables"),
        ("post", "/call/unknown/terminate"),
        ("get", "/sip/session/unknown"),
        ("get", "/nowhere"),
        ("get", "/call/"),
        ("get", f"/call/{GUID}/"),
    ],
)
@run
async def test_404(method: str, path: str) -> None:
    async with serving(FakeCallServer()) as client:
        assert (await client(method, f"/cvp/rest{path}")).error(404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("delete", CALL, {"GET", "HEAD"}),
        ("get", f"{CALL}/transfer", {"POST"}),
        ("patch", f"{CALL}/variables", {"GET", "HEAD", "PUT"}),
        ("trace", "/cvp/rest/health", {"GET", "HEAD"}),
        ("post", "/openapi.json", {"GET", "HEAD"}),
    ],
)
@run
async def test_405_says_what_is_allowed(method: str, path: str, allowed: set[str]) -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client(method, path)
        assert all(one in reply.error(405, "METHOD_NOT_ALLOWED") for one in allowed)
        assert set(reply.headers["Allow"].split(", ")) == allowed


@run
async def test_400_and_409_come_from_the_call_server() -> None:
    async with serving(FakeCallServer()) as client:
        path = f"/cvp/rest/call/{RINGING_GUID}/transfer"
        assert "ringing" in (await client("post", path, json={"destination": "1"})).error(409)
        body = {"destination": "http://example.com"}
        reply = await client("post", f"{CALL}/transfer", json=body)
        assert "http://example.com" in reply.error(400, "NOT_ROUTABLE")
        body = {"peripheral1": "x", "peripheral99": "y"}
        reply = await client("put", f"{CALL}/variables", json={"peripheralVariables": body})
        assert "peripheral99" in reply.error(400, "INVALID_VARIABLE")


def kinds(base: type[CallServerError] = CallServerError) -> Iterator[type[CallServerError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_every_error_of_a_command_is_in_the_table() -> None:
    import simulator.server  # noqa: F401 (all of its errors, then)

    listed = tuple(row[0] for row in ERRORS)
    ours = [kind for kind in kinds() if kind.__module__.startswith("simulator.")]
    assert [kind for kind in ours if not issubclass(kind, listed)] == []


@run
async def test_408_when_a_body_does_not_come() -> None:
    async with serving(FakeCallServer(), body_timeout=0.05) as client:

        async def half() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.Event().wait()

        reply = await client("post", f"{CALL}/transfer", data=half(), headers=JSON)
        assert "0.05 seconds" in reply.error(408)
        assert reply.headers["Connection"] == "close"


@run
async def test_413_when_a_body_is_too_long() -> None:
    async with serving(FakeCallServer(), max_body=1000) as client:
        body = b'{"destination": "' + b"1" * 1000 + b'"}'
        (await client("post", f"{CALL}/transfer", data=body, headers=JSON)).error(413)
        (await client("post", f"{CALL}/terminate", data=body, headers=JSON)).error(413)


@pytest.mark.parametrize(
    "sent",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/jsonp",
        "nonsense",
        None,
    ],
)
@run
async def test_415_when_a_body_is_not_json(sent: str | None) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        headers = {"Content-Type": sent} if sent else {}
        skip = [] if sent else ["Content-Type"]
        for path in ("transfer", "terminate"):
            reply = await client(
                "post",
                f"{CALL}/{path}",
                data=b'{"destination": "1"}',
                headers=headers,
                skip_auto_headers=skip,
            )
            assert "application/json" in reply.error(415)
    assert fake.asked == []


@pytest.mark.parametrize("sent", ["application/json;charset=UTF-8", "application/merge-patch+json"])
@run
async def test_json_by_another_name_is_taken(sent: str) -> None:
    async with serving(FakeCallServer()) as client:
        headers = {"Content-Type": sent}
        reply = await client("post", f"{CALL}/terminate", data=b"{}", headers=headers)
        assert reply.status == 200


@run
async def test_a_broken_compressed_body_is_400() -> None:
    async with serving(FakeCallServer()) as client:
        headers = JSON | {"Content-Encoding": "gzip"}
        reply = await client("post", f"{CALL}/terminate", data=b"no gzip", headers=headers)
        reply.error(400)


@run
async def test_417_has_the_body_too() -> None:
    async with serving(FakeCallServer()) as client:
        for path in ("/cvp/rest/health", "/nowhere"):
            reply = await client("get", path, headers={"Expect": "the unexpected"})
            reply.error(417)


def test_500_tells_nothing_but_a_reference(caplog: pytest.LogCaptureFixture) -> None:
    @run
    async def ask() -> None:
        async with serving(FakeCallServer(failure=ZeroDivisionError("secret"))) as client:
            reply = await client("get", "/cvp/rest/health")
            details = reply.error(500, "INTERNAL_SERVER_ERROR")
            reference = details.split()[-1]
            assert reference in caplog.text
            for word in ("secret", "ZeroDivision", "Traceback", ".py"):
                assert word not in reply.text
            assert (await client("get", "/livez")).status == 200

    with caplog.at_level(logging.ERROR, "api"):
        ask()
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 9000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET http://[::bad/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
@run
async def test_what_is_not_http_gets_the_body_too(request_: bytes) -> None:
    async with serving(FakeCallServer()) as client:
        head, _, body = (await client.raw(request_)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.")
        assert head.split()[1] == b"400"
        assert b"application/json" in head
        assert b'"code":"BAD_REQUEST"' in body
        assert (await client("get", "/livez")).status == 200


@run
async def test_a_client_that_leaves_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(FakeCallServer()) as client:
        _, writer = await asyncio.open_connection(client.address.host, client.address.port)
        (name, value), *_ = basic(USER).items()
        writer.write(
            f"POST {CALL}/terminate HTTP/1.1\r\nHost: localhost\r\n{name}: {value}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await client("get", "/livez")).status == 200
    assert caplog.records == []


@run
async def test_errors_are_not_cached_and_not_sniffed() -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("get", "/nowhere")
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "aiohttp" not in reply.headers["Server"].lower()
