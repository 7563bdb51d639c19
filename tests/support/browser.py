"""A real browser for tests: Chromium without a window, steered by its DevTools protocol."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import aiohttp

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")

PATIENCE: Final = 60.0
"""Seconds for one step."""

_OPTIONS: Final = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run "
    "--disable-background-networking --disable-component-update --remote-debugging-port=0"
)
_LISTENING: Final = "DevTools listening on "


class Page:
    """One page. `requests` are the URLs it asked for, `complaints` what the browser logged."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._socket = socket
        self._session = ""
        self._loaded = asyncio.Event()
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def open(self, url: str) -> None:
        """Go to `url`."""
        target = await self._send("Target.createTarget", url="about:blank")
        attached = await self._send(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Network", "Log", "Runtime", "Page"):
            await self._send(f"{domain}.enable")
        await self._send("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), PATIENCE)

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        answer = await self._send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def wait_for(self, script: str) -> Any:
        """The value of a JavaScript expression, once it is something; True for an element."""
        return await self.run(
            f"new Promise(done => {{ const look = () => {{ const found = ({script}); found ? "
            "done(found instanceof Element || found) : setTimeout(look, 20); }; look(); })"
        )

    async def listen(self) -> None:
        """Take what the browser says, until it says no more."""
        async for message in self._socket:
            content = message.json()
            parameters = content.get("params", {})
            match content.get("method"):
                case None:
                    waiting = self._waiting.pop(content["id"])
                    assert "error" not in content, content
                    waiting.set_result(content["result"])
                case "Page.loadEventFired":
                    self._loaded.set()
                case "Network.requestWillBeSent":
                    self.requests.append(parameters["request"]["url"])
                case "Log.entryAdded":
                    self.complaints.append(parameters["entry"]["text"])
                case "Runtime.exceptionThrown":
                    self.complaints.append(str(parameters["exceptionDetails"]))
                case _:
                    pass

    async def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        return await asyncio.wait_for(waiting, PATIENCE)


@asynccontextmanager
async def browser_page(url: str, directory: Path) -> AsyncIterator[Page]:
    """A page at `url` in a browser of its own, whose profile is in `directory`."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *_OPTIONS.split(),
        f"--user-data-dir={directory}",
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stderr is not None
        address = ""
        while not address:
            line = (await process.stderr.readline()).decode()
            assert line, "the browser has ended"
            address = line.partition(_LISTENING)[2].strip()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, max_msg_size=0) as socket,
        ):
            page = Page(socket)
            listening = asyncio.create_task(page.listen())
            try:
                await page.open(url)
                yield page
            finally:
                listening.cancel()
    finally:
        process.kill()
        await process.wait()
