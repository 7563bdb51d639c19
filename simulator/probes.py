"""Connectivity: each neighbour is asked when somebody wants to know.

SIP neighbours get OPTIONS, others a TCP connection or an HTTP request. VXML servers get the
heartbeat of CVP [CG-HA], which they answer 200 in about 4 s, and that at intervals as well:
what they say decides whether the call server's health is degraded (Partial Service).
"""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aiohttp

from simulator.config_sections import Neighbour
from simulator.views import ConnectionView
from sip.errors import InvalidValue
from sip.events import Responded
from sip.locate import hop_of_uri

if TYPE_CHECKING:
    from simulator.server import CallServer

PATIENCE: Final = 2.0
"""Seconds that a neighbour has for its answer; a VXML server has `vxml.timeout`."""

HEARTBEAT: Final = "/cvp/VBServlet?MSG_TYPE=HEARTBEAT&TIMEOUT=0"
VXML_SERVER: Final = "VXMLServer"
_REST: Final = 30.0  # seconds, while no heartbeats are wanted


class Prober:
    """Probes the neighbours of `server` and remembers when each last answered."""

    def __init__(self, server: "CallServer") -> None:
        self._server = server
        self._last: dict[tuple[str, str], float] = {}
        self._heartbeat: asyncio.Task[None] | None = None
        self.missing: set[str] = set()
        """The VXML servers that did not answer their last heartbeat, by URL."""
        self.watch: Callable[[str, str, bool], None] | None = None
        """Told when one does not answer any more, or again: its URL, host, and which."""

    def start(self) -> None:
        """Begin the heartbeats of `vxml.servers`."""
        self._heartbeat = asyncio.get_running_loop().create_task(self._beat())

    def stop(self) -> None:
        """No more heartbeats."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None

    async def _beat(self) -> None:
        while True:  # the configuration may be another one each time
            vxml = self._server.config.vxml
            self.missing &= set(vxml.servers)
            if vxml.heartbeat:
                await asyncio.gather(*map(self._probe, self._vxml_servers()))
            await asyncio.sleep(vxml.heartbeat or _REST)

    def _vxml_servers(self) -> list[Neighbour]:
        servers = self._server.config.vxml.servers
        return [Neighbour(component=VXML_SERVER, url=url) for url in servers]

    async def probe_all(self) -> list[ConnectionView]:
        """Every configured neighbour, the ICM and the CDR store of this process included."""
        server = self._server
        neighbours = [
            *server.config.neighbours,
            *self._vxml_servers(),
            *server.server_groups.neighbours(),
        ]
        probes = [self._probe(neighbour) for neighbour in neighbours]
        views = list(await asyncio.gather(*probes))
        named = {view.component for view in views}
        if "ICM" not in named:
            views.insert(0, await self._icm())
        if "ReportingServer" not in named:
            views.append(await self._store())
        return views

    def responded(self, event: Responded, _now: float) -> None:
        """The answer to an OPTIONS; any answer says that somebody is there [HB]."""
        future = event.context
        if isinstance(future, asyncio.Future) and not future.done():
            future.set_result(event.status if event.response is not None else None)

    async def _probe(self, neighbour: Neighbour) -> ConnectionView:
        url = neighbour.url
        host, port = _place(url)
        patience = PATIENCE
        if neighbour.component == VXML_SERVER and not url.startswith(("sip", "tcp")):
            patience = self._server.config.vxml.timeout
        started = time.perf_counter()
        try:
            async with asyncio.timeout(patience):
                if url.startswith("sip"):
                    status = await self._options(url)
                elif url.startswith("tcp"):
                    status = await _connect(host, port)
                else:
                    status = await _get(*_question(neighbour))
        except TimeoutError:
            status = "timeout"
        except (OSError, aiohttp.ClientError, InvalidValue):
            status = "disconnected"
        latency = round((time.perf_counter() - started) * 1000)
        if url in self._server.config.vxml.servers:
            self._note(url, host, up=status == "connected")
        return await self._view(neighbour.component, url, host, port, status, latency)

    def _note(self, url: str, host: str, *, up: bool) -> None:
        if up != (url in self.missing):
            return
        (self.missing.discard if up else self.missing.add)(url)
        if self.watch is not None:
            self.watch(url, host, up)

    async def _options(self, url: str) -> str:
        stack = self._server.stack
        answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        now = stack.now()
        stack.endpoint.options(now, url, from_=f"<{self._from(url)}>", context=answer)
        stack.pump(now)
        return "connected" if await answer is not None else "disconnected"

    def _from(self, url: str) -> str:
        host, listener = self._server.stack.endpoint.way_to(url)
        return f"sip:callsim@{listener.sent_by(host)}"

    async def _view(
        self, component: str, url: str, host: str, port: int, status: str, latency: int
    ) -> ConnectionView:
        key = (component, url)
        if status == "connected":
            self._last[key] = time.time()
        return ConnectionView(
            component=component,  # type: ignore[arg-type]
            hostname=host,
            ip_address=await _address(host),
            port=port,
            status=status,  # type: ignore[arg-type]
            latency=latency if status == "connected" else None,
            last_successful_contact=self._last.get(key),
        )

    async def _icm(self) -> ConnectionView:
        """The scripted ICM is this process: it is there as long as anybody answers.

        With a webhook it is that, as it stood when it was last asked.
        """
        webhook = self._server.webhook
        asked = webhook.view(await _address(webhook.host)) if webhook and webhook.host else None
        if asked is not None:
            return asked
        here = socket.gethostname()
        return ConnectionView("ICM", here, "127.0.0.1", 0, "connected", 0, time.time())

    async def _store(self) -> ConnectionView:
        store = self._server.store
        key = ("ReportingServer", "")
        status, latency = "connected", None
        try:
            seconds = await asyncio.get_running_loop().run_in_executor(None, store.ping)
            latency = round(seconds * 1000)
            self._last[key] = time.time()
        except Exception:  # whatever the store raises: it is not there
            status = "error"
        if not store.healthy:
            status = "error"
        here = socket.gethostname()
        last = self._last.get(key)
        return ConnectionView("ReportingServer", here, "127.0.0.1", 0, status, latency, last)  # type: ignore[arg-type]


def _place(url: str) -> tuple[str, int]:
    if url.startswith("sip"):
        hop = hop_of_uri(url)
        secure = hop.secure or hop.transport == "tls"
        return hop.host, hop.port or (5061 if secure else 5060)
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)


async def _connect(host: str, port: int) -> str:
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    await writer.wait_closed()
    return "connected"


def _question(neighbour: Neighbour) -> tuple[str, int]:
    """What to ask over HTTP, and from which status on the answer is an error."""
    url = neighbour.url
    parts = urlsplit(url)
    if neighbour.component == VXML_SERVER and parts.path in ("", "/") and not parts.query:
        return url.rstrip("/") + HEARTBEAT, 300
    return url, 500


async def _get(url: str, error: int) -> str:
    """Certificates of labs are seldom known here, and nothing secret is sent."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, allow_redirects=False, ssl=False) as answer,
    ):
        return "connected" if answer.status < error else "error"


async def _address(host: str) -> str:
    """The IP address of a host; empty where its name leads nowhere, or not in time."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(PATIENCE):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        return ""
    return str(found[0][4][0])
