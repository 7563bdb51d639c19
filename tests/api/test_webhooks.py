"""Webhooks: events posted to receivers on loopback, signed, tried again, given up."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from api.app import GROUPS
from api.openapi import document
from api.webhooks import (
    ATTEMPTS,
    MOST_DEAD,
    MOST_WEBHOOKS,
    HostResolver,
    Webhooks,
    check_url,
    signed,
)
from tests.api.support import Client, FakeCallServer, Reply, events_bus, run, serving
from tests.api.test_events import EXAMPLES, event, put

PATH = "/sim/v1/webhooks"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


class Receiver:
    """Takes posts; `statuses` are its next answers, 204 when there are none."""

    def __init__(self) -> None:
        self.url = ""
        self.statuses: list[int] = []
        self.posts: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()
        self.hold: asyncio.Event | None = None

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.posts.put_nowait((dict(request.headers), await request.read()))
        if self.hold is not None:
            await self.hold.wait()
        status = self.statuses.pop(0) if self.statuses else 204
        return web.Response(status=status, headers={"Location": self.url})

    async def next(self) -> Any:
        """The next event that is posted."""
        return json.loads((await self.posts.get())[1])


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    runner = web.ServerRunner(web.Server(made.answer), shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    try:
        yield made
    finally:
        if made.hold is not None:
            made.hold.set()
        await runner.cleanup()


async def subscribe(client: Client, url: str, **body: Any) -> Reply:
    reply = await client("POST", PATH, json={"url": url, **body})
    assert reply.status == 201, reply.text
    return reply


async def state(client: Client, hook: Reply) -> Any:
    reply = await client("GET", f"{PATH}/{hook.json['webhookId']}")
    assert reply.status == 200
    return reply.json


async def until(client: Client, hook: Reply, **wanted: int) -> Any:
    """How the webhook stands, once its figures are so."""
    while True:
        found = await state(client, hook)
        if all(found[name] == value for name, value in wanted.items()):
            return found


@run
async def test_what_happens_is_posted_in_order() -> None:
    fake = FakeCallServer()
    async with receiver() as there, serving(fake) as client:
        hook = await subscribe(client, there.url)
        for view in EXAMPLES:
            put(fake, view)
        told = [await there.next() for _ in EXAMPLES]
        assert [one["eventType"] for one in told] == [view.event_type for view in EXAMPLES]
        first = told[0]["cursor"]
        assert [one["cursor"] for one in told] == list(range(first, first + len(told)))
        found = await until(client, hook, delivered=len(EXAMPLES))
    assert (found["lost"], found["deadLetters"], found["eventTypes"]) == (0, 0, [])
    assert "secret" not in found
    assert "lastError" not in found


@run
async def test_only_some_types() -> None:
    fake = FakeCallServer()
    async with receiver() as there, serving(fake) as client:
        hook = await subscribe(client, there.url, eventTypes=["call.ended", "call.error"])
        assert hook.json["eventTypes"] == ["call.ended", "call.error"]
        for view in EXAMPLES:
            put(fake, view)
        assert [(await there.next())["eventType"] for _ in range(2)] == ["call.error", "call.ended"]


@run
async def test_a_post_is_signed() -> None:
    """As Standard Webhooks says, computed here by itself."""
    fake = FakeCallServer()
    async with receiver() as there, serving(fake) as client:
        made = await subscribe(client, there.url)
        given = await subscribe(client, there.url, secret=SECRET)
        assert given.json["secret"] == SECRET
        put(fake, event(1))
        posts = [await there.posts.get() for _ in range(2)]
    keys = [base64.b64decode(one.json["secret"].removeprefix("whsec_")) for one in (made, given)]
    assert len(keys[0]) == 32
    found = set()
    for headers, body in posts:
        assert headers["Content-Type"] == "application/json"
        sent = {name.lower(): value for name, value in headers.items()}
        assert sent["webhook-id"] == f"evt_{json.loads(body)['cursor']}"
        text = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + body
        for number, key in enumerate(keys):
            right = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
            if sent["webhook-signature"] == f"v1,{right}":
                found.add(number)
    assert found == {0, 1}


def test_the_signature_of_the_specification() -> None:
    """The example of https://github.com/standard-webhooks/standard-webhooks, spec."""
    headers = signed(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@run
async def test_what_fails_is_tried_again_and_the_others_wait() -> None:
    fake = FakeCallServer()
    async with receiver() as there, serving(fake, retry=0.001) as client:
        there.statuses = [500, 302, 404]
        hook = await subscribe(client, there.url)
        for number in range(3):
            put(fake, event(number))
        told = [(await there.next())["details"] for _ in range(6)]
        found = await until(client, hook, delivered=3)
    assert told == ["0", "0", "0", "0", "1", "2"]
    assert (found["deadLetters"], found["lastError"]) == (0, "answered 404")


@run
async def test_what_is_given_up_can_be_sent_again() -> None:
    fake = FakeCallServer()
    async with receiver() as there, serving(fake, retry=0.0001) as client:
        there.statuses = [503] * (2 * ATTEMPTS)
        hook = await subscribe(client, there.url)
        for number in range(3):
            put(fake, event(number))
        await until(client, hook, delivered=1, deadLetters=2)
        path = f"{PATH}/{hook.json['webhookId']}/dead-letters"
        letters = (await client("GET", path)).json["deadLetters"]
        assert [one["event"]["details"] for one in letters] == ["0", "1"]
        assert letters[0]["attempts"] == ATTEMPTS
        assert letters[0]["error"] == "answered 503"
        while not there.posts.empty():
            there.posts.get_nowait()
        reply = await client("POST", f"{path}/redeliver")
        assert (reply.status, reply.json["redelivered"]) == (202, 2)
        assert [(await there.next())["details"] for _ in range(2)] == ["0", "1"]
        await until(client, hook, delivered=3, deadLetters=0)


@run
async def test_nobody_is_there() -> None:
    fake = FakeCallServer()
    async with receiver() as there:
        url = there.url
    async with serving(fake, retry=0.0001) as client:
        hook = await subscribe(client, url)
        put(fake, event(1))
        found = await until(client, hook, deadLetters=1)
    assert "cannot be reached" in found["lastError"]


@run
async def test_no_error_shows_the_path_of_a_url(caplog: pytest.LogCaptureFixture) -> None:
    """It may be a secret, and errors are in the log too."""

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"nonsense\r\n\r\n")
        await writer.drain()
        writer.close()

    there = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    port = there.sockets[0].getsockname()[1]
    fake = FakeCallServer()
    async with there, serving(fake, retry=0.0001) as client:
        hook = await subscribe(client, f"http://127.0.0.1:{port}/hidden?token=hidden")
        put(fake, event(1))
        found = await until(client, hook, deadLetters=1)
        path = f"{PATH}/{hook.json['webhookId']}/dead-letters"
        (letter,) = (await client("GET", path)).json["deadLetters"]
    assert found["lastError"] == letter["error"]
    assert letter["error"].startswith("answered what is not HTTP: ")
    assert letter["error"] in caplog.text
    assert "hidden" not in letter["error"] + caplog.text


@run
async def test_dead_letters_are_bounded() -> None:
    """The oldest go. A webhook that is to end tries each event once."""
    bus = events_bus(2000)
    fake = FakeCallServer(events=bus)
    async with receiver() as there:
        url = there.url  # nobody is there after this
    hooks = Webhooks(bus, 0.0)
    hook = hooks.add(url, None, None)
    for number in range(MOST_DEAD + 10):
        put(fake, event(number))
    hook.reader.close()
    assert hook.task is not None
    await hook.task
    assert [one.event.cursor - bus.first for one in hook.dead] == list(range(10, MOST_DEAD + 10))
    await hooks.close()


@run
async def test_a_receiver_that_is_too_slow_loses_what_the_ring_drops() -> None:
    fake = FakeCallServer(events=events_bus(100))
    async with receiver() as there, serving(fake) as client:
        there.hold = asyncio.Event()
        hook = await subscribe(client, there.url)
        put(fake, event(0))
        assert (await there.next())["details"] == "0"
        for number in range(1, 301):
            put(fake, event(number))
        there.hold.set()
        assert (await there.next())["details"] == "201"
        assert (await until(client, hook, delivered=101))["lost"] == 200


@run
async def test_a_receiver_that_holds_costs_no_other_reader_anything() -> None:
    fake = FakeCallServer()
    async with receiver() as stuck, receiver() as there, serving(fake) as client:
        stuck.hold = asyncio.Event()
        await subscribe(client, stuck.url)
        await subscribe(client, there.url)
        for number in range(100):
            put(fake, event(number))
        assert [(await there.next())["details"] for _ in range(100)] == list(map(str, range(100)))
        assert stuck.posts.qsize() == 1


@run
async def test_one_that_is_deleted_gets_no_more() -> None:
    fake = FakeCallServer()
    async with receiver() as there, serving(fake) as client:
        hook, other = [await subscribe(client, there.url) for _ in range(2)]
        path = f"{PATH}/{hook.json['webhookId']}"
        assert (await client("DELETE", path)).status == 204
        assert len(fake.events.readers) == 1
        put(fake, event(1))
        await until(client, other, delivered=1)
        assert there.posts.qsize() == 1
        for method, rest in [("GET", ""), ("DELETE", ""), ("GET", "/dead-letters"),
                             ("POST", "/dead-letters/redeliver")]:  # fmt: skip
            assert (await client(method, path + rest)).error(404, "WEBHOOK_NOT_FOUND")
        listed = (await client("GET", PATH)).json["webhooks"]
        assert [one["webhookId"] for one in listed] == [other.json["webhookId"]]


@run
async def test_what_is_there_is_posted_before_the_server_stops() -> None:
    fake = FakeCallServer()
    async with receiver() as there:
        async with serving(fake) as client:
            await subscribe(client, there.url)
            for number in range(20):
                put(fake, event(number))
        assert there.posts.qsize() == 20
    assert fake.events.readers == []


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("ftp://example.com/", "http"),
        ("example.com", "http"),
        ("http:///path", "host"),
        ("http://user:secret@example.com/", "user"),
        ("http://example.com/#part", "fragment"),
        ("http://example.com/a b", "visible"),
        ("http://example.com/\r\nX: y", "visible"),
        ("http://example.com:0/", "port"),
        ("http://example.com:99999/", "port"),
        ("http://169.254.169.254/latest", "169.254.169.254"),
        ("http://[fe80::1]/", "fe80::1"),
        ("http://[::ffff:169.254.169.254]/", "169.254.169.254"),
        ("http://0.0.0.0/", "0.0.0.0"),
        ("http://224.0.0.1/", "224.0.0.1"),
        ("http://[::1/", ""),
        ("", "http"),
    ],
)
@run
async def test_where_nothing_can_be_posted(url: str, fault: str) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        reply = await client("POST", PATH, json={"url": url})
    details = reply.error(400, "INVALID_REQUEST")
    assert details.startswith("url ")
    assert fault.lower() in details.lower()
    assert not fake.events.on


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9000/a", "https://example.com", "http://[::1]:9000/?a=b", "http://10.0.0.1"],
)
def test_where_events_can_be_posted(url: str) -> None:
    assert check_url(url) == url


class Names(AbstractResolver):
    """Knows one name."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=one, port=port, family=family, proto=0, flags=0)
            for one in self.addresses
        ]

    async def close(self) -> None:
        self.closed = True


@run
async def test_a_name_that_leads_to_a_forbidden_address() -> None:
    names = Names("169.254.169.254", "10.0.0.1", "fe80::1%eth0")
    resolver = HostResolver(names)
    assert [one["host"] for one in await resolver.resolve("a", 80)] == ["10.0.0.1"]
    names.addresses = ("169.254.169.254",)
    with pytest.raises(OSError, match="leads to no host"):
        await resolver.resolve("a", 80)
    await resolver.close()
    assert names.closed


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({}, "url"),
        ({"url": "http://a/", "eventTypes": ["call.nothing"]}, "eventTypes.0"),
        ({"url": "http://a/", "secret": "short"}, "secret"),
        ({"url": "http://a/", "secret": "whsec_" + "A" * 8}, "secret"),
        ({"url": "http://a/", "secret": "whsec_" + "!" * 40}, "secret"),
        ({"url": "http://a/", "more": 1}, "more"),
    ],
)
@run
async def test_what_cannot_be_asked(body: dict[str, Any], fault: str) -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("POST", PATH, json=body)
    assert fault in reply.error(400, "INVALID_REQUEST")


@run
async def test_one_too_many() -> None:
    async with serving(FakeCallServer()) as client:
        for _ in range(MOST_WEBHOOKS):
            await subscribe(client, "http://127.0.0.1:9/")
        reply = await client("POST", PATH, json={"url": "http://127.0.0.1:9/"})
        assert reply.error(409, "TOO_MANY_WEBHOOKS")


@run
async def test_nobody_sees_them_without_a_password() -> None:
    async with serving(FakeCallServer()) as client:
        assert (await client("GET", PATH, login=False)).error(401)
        assert (await client("POST", PATH, login=False, json={"url": "http://a/"})).error(401)


def test_they_are_documented() -> None:
    paths = document(GROUPS)["paths"]
    assert {path for path in paths if path.startswith(PATH)} == {
        PATH,
        f"{PATH}/{{webhookId}}",
        f"{PATH}/{{webhookId}}/dead-letters",
        f"{PATH}/{{webhookId}}/dead-letters/redeliver",
    }
