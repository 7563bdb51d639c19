"""The application as `callsim serve` runs it: listeners, probes, first start."""

import asyncio
import logging
import socket
from pathlib import Path

import aiohttp
import pytest

from api.app import serve_api
from api.models import routing_result
from api.tls import CERTIFICATE_FILE, server_context
from simulator.config import Config
from simulator.config_base import User
from simulator.config_values import HttpListen
from simulator.errors import ServiceError
from simulator.routing import Lookup
from tests.api.support import LOOPBACK, FakeCallServer, basic, run, serving

HTTPS = HttpListen("https", "127.0.0.1", 0)


@run
async def test_probes_are_open_on_loopback() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        assert (await client("get", "/livez", login=False)).json == {"status": "alive"}
        assert (await client("get", "/readyz", login=False)).json == {"status": "ready"}
        assert (await client("get", "/livez?verbose", login=False)).status == 200
        fake.ready = False
        (await client("get", "/readyz", login=False)).error(503, "NOT_READY")
        assert (await client("get", "/livez", login=False)).status == 200


@run
async def test_the_heartbeat_of_cvp() -> None:
    """``/cvp/VBServlet?MSG_TYPE=HEARTBEAT&TIMEOUT=0`` is 200 in service [CG-HA]."""
    fake = FakeCallServer()
    url = "/cvp/VBServlet?MSG_TYPE=HEARTBEAT"
    async with serving(fake) as client:
        assert (await client("get", f"{url}&TIMEOUT=0", login=False)).status == 200
        assert (await client("get", url, login=False)).status == 200
        (await client("get", "/cvp/VBServlet?MSG_TYPE=NEW_CALL", login=False)).error(400)
        fake.ready = False
        (await client("get", url, login=False)).error(503, "NOT_READY")


@run
async def test_probes_ask_for_a_password_on_every_other_listener(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        async with serving(FakeCallServer(), HttpListen("http", "0.0.0.0", 0)) as client:
            url = f"http://127.0.0.1:{client.address.port}"
            (await client("get", f"{url}/livez", login=False)).error(401)
            (await client("get", f"{url}/readyz", login=False)).error(401)
            assert (await client("get", f"{url}/readyz")).status == 200
            assert (await client("get", f"{url}/openapi.json", login=False)).status == 200
    assert "passwords cross the network in clear" in caplog.text


@run
async def test_one_application_answers_on_both_listeners(tmp_path: Path) -> None:
    fake = FakeCallServer()
    async with serving(fake, LOOPBACK, HTTPS, tls=server_context(tmp_path)) as client:
        plain, secure = client.addresses
        assert (plain.scheme, secure.scheme) == ("http", "https")
        assert 0 not in (plain.port, secure.port)
        for address in client.addresses:
            reply = await client("get", f"{address}/cvp/rest/health", ssl=False)
            assert reply.status == 200
            assert (await client("get", f"{address}/livez", login=False, ssl=False)).status == 200
    assert len(fake.asked) == 2


@run
async def test_nothing_stays_open_when_an_address_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = HttpListen("http", "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            async with serving(FakeCallServer(), LOOPBACK, busy):
                raise AssertionError("unreachable")
    with pytest.raises(ValueError, match="needs a TLS context"):
        async with serving(FakeCallServer(), HTTPS):
            raise AssertionError("unreachable")


@run
async def test_stop_lets_a_request_finish() -> None:
    fake = FakeCallServer(release=asyncio.Event())
    assert fake.release is not None
    async with aiohttp.ClientSession() as session:
        async with serving(fake) as client:
            client.session = session
            guid = next(iter(fake.calls))
            asking = asyncio.create_task(client("post", f"/cvp/rest/call/{guid}/terminate"))
            await fake.entered.wait()
            asyncio.get_running_loop().call_later(0.05, fake.release.set)
        assert (await asking).status == 200


def configured(folder: Path, *listen: str, **api: object) -> Config:
    return Config.model_validate(
        {"server": {"data_dir": folder}, "api": {"listen": list(listen), **api}}
    )


@run
async def test_the_first_start_tells_the_password_once(tmp_path: Path) -> None:
    config = configured(tmp_path, "https://127.0.0.1:0", "http://127.0.0.1:0")
    told: list[str] = []
    for _ in range(2):
        async with serve_api(FakeCallServer(), config, told.append) as addresses:
            name, _, password = (tmp_path / "password").read_text().strip().partition(":")
            async with aiohttp.ClientSession(headers=basic(User(name, password))) as session:
                for address in addresses:
                    url = f"{address}/cvp/rest/health"
                    async with session.get(url, ssl=False) as response:
                        assert response.status == 200
    assert len(told) == 1
    assert (tmp_path / "password").read_text().strip().partition(":")[2] in told[0]
    assert (tmp_path / CERTIFICATE_FILE).exists()


@run
async def test_plain_http_with_users_needs_no_files(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    config = configured(folder, "http://127.0.0.1:0", users=["me:mine"])
    async with serve_api(FakeCallServer(), config) as addresses:
        assert len(addresses) == 1
    assert not folder.exists()


@run
async def test_a_start_that_cannot_be_is_explained(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = configured(tmp_path, f"http://127.0.0.1:{port}", users=["me:mine"])
        with pytest.raises(ServiceError, match=f"api.listen: .*{port}.*--api URL"):
            async with serve_api(FakeCallServer(), config):
                raise AssertionError("unreachable")
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path):
        (tmp_path / "password").write_text("spoilt")
        config = configured(folder, "http://127.0.0.1:0")
        with pytest.raises(ServiceError, match=r"server\.data_dir: .*"):
            async with serve_api(FakeCallServer(), config):
                raise AssertionError("unreachable")


def test_a_lookup_is_shown_as_the_contract_does() -> None:
    found = Lookup("7", True, "7>", "preroute", "", "icm:main")
    assert routing_result(found).model_dump(by_alias=True, exclude_none=True) == {
        "dialedNumber": "7",
        "matched": True,
        "matchedPattern": "7>",
        "callType": "preroute",
        "routeDestination": "icm:main",
    }
