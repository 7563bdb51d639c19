"""Header fields of every answer: request ids, what browsers must not do, and no CORS."""

import io
import logging
import re

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from api.headers import STANDARD_HEADERS, complete
from simulator.log_lines import ConsoleFormatter
from simulator.log_thread import LogThread
from tests.api.support import GUID, USER, FakeCallServer, basic, run, serving

CALL = f"/cvp/rest/call/{GUID}"
ID = "X-Request-Id"

ANSWERS = [
    ("get", "/cvp/rest/health", {}, 200),
    ("head", "/cvp/rest/health", {}, 200),
    ("post", f"{CALL}/terminate", {}, 200),
    ("delete", "/oamp/rest/dialedNumberPattern/6%3E", {}, 204),
    ("get", "/openapi.json", {}, 200),
    ("get", "/livez", {}, 200),
    ("get", "/cvp/rest/health", {"Authorization": "Basic !"}, 401),
    ("get", "/cvp/rest/health", {"Host": "evil.example"}, 403),
    ("get", "/nowhere", {}, 404),
    ("patch", "/cvp/rest/health", {}, 405),
    ("get", "/cvp/rest/health", {"Expect": "the unexpected"}, 417),
    ("get", "/nowhere", {"Expect": "the unexpected"}, 417),
    ("get", "/sim/v1/ws", {}, 426),
]


@pytest.mark.parametrize(("method", "path", "headers", "status"), ANSWERS)
@run
async def test_every_answer_has_them(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client(method, path, headers={**headers, ID: "mine-1"})
    assert reply.status == status
    assert reply.headers[ID] == "mine-1"
    assert reply.headers["Server"] == "callsim"
    assert {name: reply.headers[name] for name in STANDARD_HEADERS} == STANDARD_HEADERS


@run
async def test_streams_have_them_too() -> None:
    async with serving(FakeCallServer()) as client:
        headers = basic(USER) | {ID: "mine-1"}
        async with client.session.get(f"{client.address}/sim/v1/events", headers=headers) as events:
            assert events.status == 200
        url = f"{client.address}/sim/v1/ws"
        async with client.session.ws_connect(url, headers=headers) as messages:
            upgrade = messages._response
        for response in (events, upgrade):
            assert response.headers[ID] == "mine-1"
            assert response.headers["X-Content-Type-Options"] == "nosniff"


@run
async def test_what_is_not_http_gets_them_as_well() -> None:
    async with serving(FakeCallServer()) as client:
        head, _, _ = (await client.raw(b"nonsense\r\n\r\n")).partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert re.fullmatch("[0-9a-f]{16}", fields[ID])
    assert fields["Server"] == "callsim"
    assert {name: fields[name] for name in STANDARD_HEADERS} == STANDARD_HEADERS


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("a", True),
        ("0af7651916cd43dd-8448eb211c80319c", True),
        ("A-Za.z_0~9:/+=@", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("a b", False),
        ('a"b', False),
        ("a,b", False),
        ("ä", False),
        ("%0d%0a", False),
    ],
)
@run
async def test_an_id_is_taken_where_it_can_stand_in_a_log(given: str, taken: bool) -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("get", "/livez", headers={ID: given})
    assert (reply.headers[ID] == given) == taken
    assert taken or re.fullmatch("[0-9a-f]{16}", reply.headers[ID])


@run
async def test_ids_of_our_own_differ() -> None:
    async with serving(FakeCallServer()) as client:
        found = {(await client("get", "/livez")).headers[ID] for _ in range(5)}
    assert len(found) == 5


def test_a_fault_of_ours_is_in_the_log_under_the_id(caplog: pytest.LogCaptureFixture) -> None:
    @run
    async def ask() -> None:
        async with serving(FakeCallServer(failure=ZeroDivisionError())) as client:
            reply = await client("get", "/cvp/rest/health", headers={ID: "mine-1"})
            assert reply.error(500) == "a fault of the server, in its log under mine-1"

    with caplog.at_level(logging.ERROR, "api"):
        ask()
    assert "request mine-1 failed" in caplog.text


def test_every_request_is_in_the_log_at_debug_with_its_id() -> None:
    stream = io.StringIO()
    handler = LogThread(stream)
    handler.setFormatter(ConsoleFormatter())

    @run
    async def ask() -> None:
        async with serving(FakeCallServer()) as client:
            for level in ("debug", "default"):
                await client("put", "/sim/v1/log", json={"levels": {"api.requests": level}})
                await client("get", "/cvp/rest/call?limit=5", headers={ID: level})
                await client("get", "/nowhere?x=%0Ay", login=False, headers={ID: f"{level}-2"})

    logging.getLogger().addHandler(handler)
    try:
        ask()
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    lines = [line.split(" ", 2)[2] for line in stream.getvalue().splitlines()]
    told = [line for line in lines if line.startswith("DEBUG api.requests ")]
    assert told[1:] == [
        f'DEBUG api.requests [debug]: GET "/cvp/rest/call?limit=5" from "{USER.name}" '
        "at 127.0.0.1: 200",
        'DEBUG api.requests [debug-2]: GET "/nowhere?x=%0Ay" from nobody at 127.0.0.1: 401',
    ]
    changes = [line for line in stream.getvalue().splitlines() if "simulator.changes [" in line]
    assert len(changes) == 2  # what the calls below log has the id as well


def test_a_page_may_have_a_policy_of_its_own() -> None:
    policy = "default-src 'self'; frame-ancestors 'none'"
    page = web.Response(text="<p>", content_type="text/html")
    page.headers["Content-Security-Policy"] = policy
    page.headers["Cache-Control"] = "max-age=60"
    complete(make_mocked_request("GET", "/docs"), page)
    assert page.headers["Content-Security-Policy"] == policy
    assert page.headers["Cache-Control"] == "max-age=60"
    assert page.headers["X-Frame-Options"] == "DENY"


# -- CORS is off: a page of another site can neither ask nor read ---------------------------


@pytest.mark.parametrize("login", [True, False])
@pytest.mark.parametrize("path", ["/cvp/rest/call", f"{CALL}/terminate", "/openapi.json"])
@run
async def test_a_preflight_is_refused(path: str, login: bool) -> None:
    headers = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    async with serving(FakeCallServer()) as client:
        reply = await client("options", path, login=login, headers=headers)
    assert reply.status == (405 if login else 401)
    assert [name for name in reply.headers if name.startswith("Access-Control-")] == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000"])
@run
async def test_no_other_site_may_read_an_answer(origin: str) -> None:
    async with serving(FakeCallServer()) as client:
        for path in ("/cvp/rest/call", "/openapi.json", "/nowhere"):
            reply = await client("get", path, headers={"Origin": origin})
            assert [name for name in reply.headers if name.startswith("Access-Control-")] == []
            assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await client.session.ws_connect(
                f"{client.address}/sim/v1/ws", headers={**basic(USER), "Origin": origin}
            )
