"""Every error has the contract's Error body, whoever finds it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from api.errors import ERRORS
from simulator.errors import CallServerError
from tests.api.support import (
    GUID,
    RINGING_GUID,
    USER,
    Client,
    FakeCallServer,
    Reply,
    basic,
    run,
    serving,
)

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


HOST = "Host: localhost"
(LOGIN,) = (f"{name}: {value}" for name, value in basic(USER).items())
JSON_LINE = "Content-Type: application/json"
TWO = "Content-Length: 2"
CHUNKED = b"2\r\n{}\r\n0\r\n\r\n"
TERMINATE = f"POST {CALL}/terminate HTTP/1.1"


def request(*head: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


async def ask(client: Client, data: bytes) -> Reply:
    """The answer to some bytes on a connection of their own."""
    reader, writer = await asyncio.open_connection(client.address.host, client.address.port)
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    start, *lines = head.decode().strip().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    body = await reader.readexactly(int(fields["Content-Length"]))
    writer.close()
    await writer.wait_closed()
    return Reply(int(start.split(" ")[1]), fields, body.decode())


RAW: list[tuple[bytes, int, str]] = [
    (request("nonsense"), 400, "not proper HTTP"),
    (request("GET /livez HTTP/1.1", HOST, "Bad Header: x"), 400, "Bad Header: x"),
    (request("GET /livez HTTP/1.1", HOST, "X: a", " b"), 400, "whitespace"),
    (request("GET /livez HTTP/1.1", HOST, "X: a\0b"), 400, "X: a\\x00b"),
    (request("GET /li\0vez HTTP/1.1", HOST), 400, "/li\\x00vez"),
    (request("GET http://[::bad/ HTTP/1.1", HOST), 400, "not proper HTTP"),
    (request("GET /livez HTTP/1.1"), 400, "'Host' header"),
    (request("POST / HTTP/1.1", HOST, "Content-Length: -1"), 400, "Content-Length"),
    (request("POST / HTTP/1.1", HOST, "Content-Length: x"), 400, "Content-Length: x"),
    (
        request("POST / HTTP/1.1", HOST, "Content-Length: 2", "Content-Length: 3", body=b"{}"),
        400,
        "Content-Length",
    ),
    (
        request("POST / HTTP/1.1", HOST, "Transfer-Encoding: chunked", "Content-Length: 2"),
        400,
        "Transfer-Encoding",
    ),
    (request("POST / HTTP/1.1", HOST, "Transfer-Encoding: rot13"), 400, "Transfer-Encoding"),
    (
        request("POST / HTTP/1.1", HOST, "Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n"),
        400,
        "chunk size",
    ),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), 400, "http://"),
    (request(f"GET /{'a' * 9000} HTTP/1.1", HOST), 414, "8192"),
    (request(f"GET /livez?{'a' * 20_000} HTTP/1.1", HOST), 414, "8192"),
    (request("GET /livez HTTP/1.1", HOST, f"A: {'x' * 17_000}"), 431, "16384"),
    (request("GET /livez HTTP/1.1", HOST, f"{'A' * 17_000}: x"), 431, "16384"),
    (request("GET /livez HTTP/1.1", HOST, *(f"A{n}: x" for n in range(200))), 431, "128"),
    (request("FROB /livez HTTP/1.1", HOST), 501, "method"),
    (request("get /livez HTTP/1.1", HOST), 501, "method"),
    (request("CONNECT localhost:443 HTTP/1.1", HOST, LOGIN, "Connection: close"), 501, "proxy"),
    (
        request(
            TERMINATE, HOST, LOGIN, JSON_LINE, "Transfer-Encoding: rot13, chunked", body=CHUNKED
        ),
        501,
        "rot13, chunked",
    ),
    (request("GET /livez HTTP/9.9", HOST), 505, "HTTP/1.1"),
    (request("GET /livez HTTP/1.2", HOST), 505, "HTTP/1.1"),
    (request("GET /livez HTTP/2.0", HOST), 505, "HTTP/2.0"),
    (request("GET /livez"), 505, "HTTP/0.9"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.1"),
    (request("OPTIONS * HTTP/1.1", HOST, LOGIN, "Connection: close"), 404, "/openapi.json"),
    (
        request(TERMINATE, HOST, LOGIN, JSON_LINE, "Content-Encoding: rot13", TWO, body=b"{}"),
        415,
        "rot13",
    ),
    (
        request(TERMINATE, HOST, LOGIN, JSON_LINE, "Content-Length: 99999999", body=b"{"),
        413,
        "65536",
    ),
]


@run
async def test_what_is_hardly_http_gets_the_body_too() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        for sent, status, words in RAW:
            details = (await ask(client, sent)).error(status)
            assert words in details, sent[:100]
            for word in ("bytearray", "b'", 'b"', "aiohttp", "Brotli", "llhttp"):
                assert word not in details
            assert (await client("get", "/livez")).status == 200
    assert fake.asked == []


@run
async def test_a_field_that_is_just_short_enough_is_taken() -> None:
    async with serving(FakeCallServer()) as client:
        for path in ("/livez", f"/livez?{'a' * 8000}"):
            sent = request(f"GET {path} HTTP/1.1", HOST, "Connection: close", f"A: {'x' * 16_000}")
            assert (await ask(client, sent)).status == 200


@run
async def test_a_coding_that_this_python_lacks_is_415() -> None:
    """br needs a package; without it aiohttp itself refuses, with it the body is no Brotli."""
    async with serving(FakeCallServer()) as client:
        headers = JSON | {"Content-Encoding": "br"}
        reply = await client("post", f"{CALL}/terminate", data=b"no br", headers=headers)
        assert reply.status in (400, 415)
        assert "install" not in reply.error(reply.status)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ([], 200),
        ([""], 200),
        (["*/*"], 200),
        (["application/*"], 200),
        (["Application/JSON; charset=utf-8"], 200),
        (["text/html", "application/json;q=0.1"], 200),
        (["text/html,application/xhtml+xml,*/*;q=0.8"], 200),
        (["*"], 200),
        (["application/xml"], 406),
        (["text/*, application/problem+json"], 406),
        (["application/json;q=0, */*"], 406),
        (["*/*;q=0.0"], 406),
        (["nonsense"], 406),
    ],
)
@run
async def test_406_when_json_is_not_accepted(accept: list[str], status: int) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        for method, path in (("GET", "/cvp/rest/health"), ("POST", f"{CALL}/terminate")):
            fake.asked.clear()
            lines = [f"Accept: {one}" for one in accept]
            sent = request(f"{method} {path} HTTP/1.1", HOST, LOGIN, "Connection: close", *lines)
            reply = await ask(client, sent)
            assert reply.status == status
            assert len(fake.asked) == (status == 200), "refused before anything is done"
            if status == 406:
                assert "application/json" in reply.error(406, "NOT_ACCEPTABLE")


@run
async def test_who_cannot_be_answered_otherwise_is_not_asked_what_it_accepts() -> None:
    headers = {"Accept": "text/plain"}
    async with serving(FakeCallServer()) as client:
        assert (await client("get", "/livez", headers=headers)).status == 200
        assert (await client("get", "/openapi.json", headers=headers)).status == 200
        assert "text/event-stream" in (
            await client("get", "/sim/v1/events", headers=headers)
        ).error(406)
        (await client("delete", "/sim/v1/webhooks/x", headers=headers)).error(404)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/cvp/rest/health", 200),
        ("HEAD", "/cvp/rest/call/unknown", 404),
        ("HEAD", "/nowhere", 404),
        ("HEAD", f"{CALL}/terminate", 405),
        ("HEAD", "/cvp/rest/call?limit=0", 400),
    ],
)
@run
async def test_head_has_the_header_of_get_and_no_body(method: str, path: str, status: int) -> None:
    async with serving(FakeCallServer()) as client:
        sent = request(f"{method} {path} HTTP/1.1", HOST, LOGIN, "Connection: close")
        head, _, body = (await client.raw(sent)).partition(b"\r\n\r\n")
        assert head.split()[1] == str(status).encode()
        assert b"Content-Type: application/json" in head
        assert body == b""


@run
async def test_options_is_answered_with_what_is_allowed() -> None:
    async with serving(FakeCallServer()) as client:
        for path, allowed in ((CALL, "GET, HEAD"), (f"{CALL}/variables", "GET, HEAD, PUT")):
            reply = await client("options", path)
            assert allowed in reply.error(405)
            assert reply.headers["Allow"] == allowed
        foreign = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "PUT"}
        reply = await client("options", f"{CALL}/variables", headers=foreign)
        reply.error(405)
        assert not any(name.startswith("Access-Control") for name in reply.headers)


@run
async def test_503_says_when_to_come_back() -> None:
    async with serving(FakeCallServer(ready=False)) as client:
        reply = await client("get", "/readyz")
        assert reply.error(503, "NOT_READY")
        assert reply.headers["Retry-After"] == "1"


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
