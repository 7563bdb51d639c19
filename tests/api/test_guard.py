import socket
from typing import Any

import pytest

from api.guard import Hosts
from api.keys import ApiOptions
from simulator.config_values import HttpListen
from tests.api.support import GUID, USER, FakeCallServer, run, serving

NAME = socket.gethostname()


def hosts(*listen: str, allowed: tuple[str, ...] = ()) -> Hosts:
    parsed = tuple(HttpListen.parse(one) for one in listen)
    return Hosts(ApiOptions(users=(USER,), listen=parsed, allowed_hosts=allowed))


@pytest.mark.parametrize(
    "header",
    [
        "localhost",
        "LOCALHOST:8080",
        "localhost:65535",
        "localhost.",
        "127.0.0.1:1",
        "127.9.9.9",
        "[::1]:8000",
        NAME,
    ],
)
def test_this_machine_is_always_a_good_name(header: str) -> None:
    assert hosts("http://127.0.0.1:8080").allow(header)


@pytest.mark.parametrize(
    "header",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "[2001:db8::1]",
        "",
        "localhost:",
        "localhost:x",
        "localhost:0",
        "localhost:65536",
        "localhost:99999",
        "user@localhost",
        "localhost/",
        "localhost, localhost",
        "[::1",
        "127.1",
    ],
)
def test_other_names_are_refused(header: str) -> None:
    assert not hosts("http://127.0.0.1:8080").allow(header)


def test_listen_addresses_and_configured_names_are_good() -> None:
    some = hosts("https://10.0.0.1:8000", "https://lab.example:1", allowed=("Sim.Example",))
    for good in ("10.0.0.1:8000", "10.0.0.1", "lab.example", "sim.example:99"):
        assert some.allow(good)
    for bad in ("10.0.0.2", "example", "x.sim.example"):
        assert not some.allow(bad)


@pytest.mark.parametrize("wildcard", ["https://0.0.0.0:8000", "https://[::]:8000"])
def test_a_wildcard_takes_every_address_but_no_name(wildcard: str) -> None:
    some = hosts(wildcard)
    assert some.allow("192.0.2.7:8000")
    assert some.allow("[2001:db8::1]:8000")
    assert not some.allow("evil.example")


def test_a_star_takes_every_name() -> None:
    assert hosts(allowed=("*",)).allow("any.example")
    assert not hosts(allowed=("*",)).allow("no host")
    assert not hosts(allowed=("*",)).allow("any.example:99999")


@run
async def test_another_host_is_refused_before_the_password_is_asked() -> None:
    async with serving(FakeCallServer()) as client:
        for path in ("/cvp/rest/health", "/openapi.json", "/livez", "/nowhere"):
            reply = await client("get", path, headers={"Host": "evil.example"})
            assert "evil.example" in reply.error(403, "HOST_NOT_ALLOWED")
        for port in ("0", "99999"):
            headers = {"Host": f"localhost:{port}"}
            reply = await client("get", "/openapi.json?paths=full", login=False, headers=headers)
            assert f"localhost:{port}" in reply.error(403, "HOST_NOT_ALLOWED")


@run
async def test_there_is_one_host_header() -> None:
    async with serving(FakeCallServer()) as client:
        for headers in (b"", b"Host: localhost\r\nHost: localhost\r\n"):
            request = b"GET /livez HTTP/1.1\r\nConnection: close\r\n" + headers + b"\r\n"
            answer = await client.raw(request)
            assert answer.split()[1] == b"400"
            assert b"Host header" in answer or b"not proper HTTP" in answer
        assert b" 200 " in await client.raw(b"GET /livez HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://{host}", 200),
        ("HTTP://{host}", 200),
        ("https://evil.example", 403),
        ("http://{host}.evil.example", 403),
        ("http://localhost:1", 403),
        ("null", 403),
        ("", 403),
        ("file://", 403),
        ("{host}", 403),
    ],
)
@run
async def test_only_our_own_pages_may_change_things(origin: str, status: int) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        host = f"{client.address.host}:{client.address.port}"
        headers = {"Origin": origin.format(host=host)}
        path = f"/cvp/rest/call/{GUID}/terminate"
        assert (await client("post", path, headers=headers)).status == status
        assert len(fake.asked) == (status == 200)
        assert (await client("get", "/cvp/rest/health", headers=headers)).status == 200


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("https://localhost", "localhost:443", 404),
        ("http://localhost:80", "localhost", 404),
        ("http://localhost:8080", "localhost", 403),
        ("http://[::1]:80", "[::1]", 404),
    ],
)
@run
async def test_a_default_port_may_be_left_out(origin: str, host: str, status: int) -> None:
    async with serving(FakeCallServer()) as client:
        headers: dict[str, Any] = {"Origin": origin, "Host": host}
        reply = await client("post", "/cvp/rest/call/x/terminate", headers=headers)
        reply.error(status)
