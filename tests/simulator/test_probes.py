"""What connectivity tells of VXML servers: the heartbeat of CVP [CG-HA]."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from simulator.config import Config
from simulator.probes import Prober
from simulator.queries import Queries
from simulator.views import ConnectionView

LIMIT = 20.0


class VxmlServer:
    """An HTTP server; `answers` may be changed while it runs."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.silent = False
        self.asked: list[str] = []
        self.url = ""
        self.changed = asyncio.Condition()
        self.over = asyncio.Event()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        async with self.changed:
            self.changed.notify_all()
        if self.silent:
            await self.over.wait()
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})

    async def until_asked(self, times: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.asked) >= times)


@asynccontextmanager
async def vxml_server(status: int = 200) -> AsyncIterator[VxmlServer]:
    server = VxmlServer(status)
    runner = web.ServerRunner(web.Server(server.answer), shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.over.set()
        await runner.cleanup()


def prober(**vxml: Any) -> Prober:
    config = Config.model_validate({"vxml": vxml})
    store = SimpleNamespace(ping=lambda: 0.0, healthy=True)
    groups = SimpleNamespace(neighbours=list)
    server = SimpleNamespace(config=config, store=store, server_groups=groups, webhook=None)
    return Prober(cast(Any, server))


async def found(prober: Prober) -> ConnectionView:
    """What connectivity tells of the only VXML server."""
    (view,) = (v for v in await prober.probe_all() if v.component == "VXMLServer")
    return view


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await asyncio.wait_for(scenario(), LIMIT)

    asyncio.run(main())


def test_a_server_that_is_up_is_asked_for_its_heartbeat() -> None:
    async def scenario() -> None:
        async with vxml_server() as server:
            asking = prober(servers=server.url)
            view = await found(asking)
            assert server.asked == ["/cvp/VBServlet?MSG_TYPE=HEARTBEAT&TIMEOUT=0"]
            assert (view.hostname, view.ip_address) == ("127.0.0.1", "127.0.0.1")
            assert server.url.endswith(f":{view.port}")
            assert view.status == "connected"
            assert view.latency is not None
            assert 0 <= view.latency < 8000
            assert view.last_successful_contact is not None
            assert asking.missing == set()

    run(scenario)


def test_a_path_of_its_own_is_kept() -> None:
    async def scenario() -> None:
        async with vxml_server(404) as server:
            view = await found(prober(servers=f"{server.url}/ready?x=1"))
            assert server.asked == ["/ready?x=1"]
            assert view.status == "connected", "somebody is there"

    run(scenario)


@pytest.mark.parametrize("status", [302, 404, 500, 503])
def test_a_heartbeat_that_is_not_answered_200(status: int) -> None:
    async def scenario() -> None:
        async with vxml_server(status) as server:
            asking = prober(servers=server.url)
            view = await found(asking)
            assert (view.status, view.latency) == ("error", None)
            assert len(server.asked) == 1, "a redirect is not followed"
            assert asking.missing == {server.url}

    run(scenario)


def test_a_server_that_does_not_answer_in_time() -> None:
    async def scenario() -> None:
        async with vxml_server() as server:
            server.silent = True
            asking = prober(servers=server.url, timeout=0.2)
            view = await found(asking)
            assert (view.status, view.latency) == ("timeout", None)
            assert asking.missing == {server.url}

    run(scenario)


def test_a_server_that_is_not_there() -> None:
    async def scenario() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and nobody listens
            view = await found(prober(servers=f"http://127.0.0.1:{taken.getsockname()[1]}"))
        assert (view.status, view.latency) == ("disconnected", None)

    run(scenario)


def test_the_last_contact_is_remembered() -> None:
    async def scenario() -> None:
        async with vxml_server() as server:
            asking = prober(servers=server.url)
            told: list[tuple[str, str, bool]] = []
            asking.watch = lambda *what: told.append(what)
            before = (await found(asking)).last_successful_contact
            server.status = 503
            view = await found(asking)
            assert (view.status, view.last_successful_contact) == ("error", before)
            server.status = 200
            assert (await found(asking)).status == "connected"
            assert asking.missing == set()
            up = (server.url, "127.0.0.1", True)
            assert told == [(*up[:2], False), up], "only what changes"

    run(scenario)


def test_the_loop_goes_on_while_a_server_is_silent() -> None:
    async def scenario() -> None:
        async with vxml_server() as server:
            server.silent = True
            probe = asyncio.ensure_future(found(prober(servers=server.url, timeout=5)))
            await server.until_asked(1)
            turns = 0
            for _ in range(100):
                await asyncio.sleep(0)
                turns += 1
            assert not probe.done()
            assert turns == 100
            probe.cancel()

    run(scenario)


def test_heartbeats_go_on_by_themselves() -> None:
    async def scenario() -> None:
        async with vxml_server(503) as server:
            asking = prober(servers=server.url, heartbeat=0.01)
            asking.start()
            await server.until_asked(3)
            assert asking.missing == {server.url}
            asking.stop()
            asking.stop()

    run(scenario)


def test_heartbeats_follow_another_configuration() -> None:
    async def scenario() -> None:
        async with vxml_server(503) as server, vxml_server() as other:
            asking = prober(servers=server.url, heartbeat=0.01)
            asking.start()
            await server.until_asked(2)
            config = Config.model_validate({"vxml": {"servers": other.url, "heartbeat": 0.01}})
            asking._server.config = config
            await other.until_asked(2)
            assert asking.missing == set(), "of a server that is not wanted any more"
            asking.stop()

    run(scenario)


def test_without_heartbeats_only_connectivity_asks() -> None:
    async def scenario() -> None:
        async with vxml_server() as server:
            asking = prober(servers=server.url, heartbeat=0)
            asking.start()
            assert (await found(asking)).status == "connected"
            assert len(server.asked) == 1
            asking.stop()

    run(scenario)


@pytest.mark.parametrize(("missing", "status"), [(set(), "healthy"), ({"http://x"}, "degraded")])
def test_health_is_degraded_without_a_vxml_server(missing: set[str], status: str) -> None:
    """Up, Partial and Down are healthy, degraded and unhealthy."""
    server = Queries()
    server.config = Config()
    server.calls = {}
    server.draining = False
    server.started, server.version = 0.0, "1"
    server.store = cast(Any, SimpleNamespace(healthy=True))
    server.prober = cast(Any, SimpleNamespace(missing=missing))
    server.news = cast(Any, SimpleNamespace(unsteady=lambda _now: False))
    server.admission = cast(Any, SimpleNamespace(overload=""))
    endpoint = SimpleNamespace(listeners=[object()])
    server.stack = cast(Any, SimpleNamespace(endpoint=endpoint, now=lambda: 1.0))
    assert server.health().status == status
    endpoint.listeners = []
    assert server.health().status == "unhealthy"
