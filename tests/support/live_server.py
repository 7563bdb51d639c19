"""A call server on real sockets, in a thread of its own, whose tables a test can look into."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, TypeVar

from simulator.call import Call
from simulator.cdr_records import CdrRecord
from simulator.config import Config
from simulator.server import CallServer
from simulator.service import call_server
from simulator.views import TransferCommand, TransferType, TransferView
from tests.support.leftovers import leftovers

T = TypeVar("T")

PATIENCE = 20.0  # seconds until a test gives up
POLL = 0.01


class LiveServer:
    """`callsim serve` without its API; `routes` lead numbers to far ends.

    Times are short: 64*T1 takes `t1` times 64 seconds. T4 is T1, so that no timer of a
    transaction is longer than that.
    """

    def __init__(
        self, directory: Path, routes: dict[str, str], *, t1: float = 0.03, **sections: Any
    ) -> None:
        sip = {"listen": "udp:127.0.0.1:0", "t1": t1, "t2": 4 * t1, "t4": t1, "error_refer": False}
        sip["audit"] = {"every": 0}
        self._config = Config.model_validate(
            {
                "sip": sip,
                "server": {"data_dir": str(directory), "grace": 0},
                "direct_routes": [{"pattern": p, "to": to} for p, to in routes.items()],
                "icm": {"wait": 0},
                "cdr": {"journal": 1},
                **sections,
            }
        )
        self._t1 = t1
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._ready: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        self.server: CallServer
        self.seen: dict[str, Call] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.result(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        try:
            async with call_server(self._config) as server:
                self.server = server
                server.watch = self._note
                self._ready.set_result(None)
                await self._over.wait()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            raise

    def _note(self, call: Call, _now: float, _event: str, _details: str) -> None:
        self.seen.setdefault(call.guid, call)

    @property
    def address(self) -> tuple[str, int]:
        """Where it is called."""
        listener = self.server.stack.endpoint.listeners[0]
        return (listener.host, listener.port)

    # What a test asks and does, in the server's own loop.

    def do(self, what: Callable[[CallServer], T]) -> T:
        """What comes of a function of the server; its exceptions are raised here."""

        async def run() -> T:
            return what(self.server)

        return self.run(run())

    def run(self, what: Coroutine[Any, Any, T], patience: float = PATIENCE) -> T:
        """What comes of a coroutine; its exceptions are raised here."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(patience)

    def wait_for(self, what: Callable[[CallServer], bool], thing: str) -> None:
        """Wait until it is so."""

        async def wait() -> bool:
            deadline = self._loop.time() + PATIENCE
            while not what(self.server):
                if self._loop.time() > deadline:
                    return False
                await asyncio.sleep(POLL)
            return True

        happened = self.run(wait(), 2 * PATIENCE)
        assert happened, f"no {thing}: {self.do(lambda _: [c.history for c in self.seen.values()])}"

    def call(self, state: str = "connected") -> str:
        """The GUID of the one call, once it is in `state`."""
        found = [""]

        def there(server: CallServer) -> bool:
            found[0] = next((c.guid for c in server.calls.values() if c.state == state), "")
            return found[0] != ""

        self.wait_for(there, f"call in the state {state}")
        return found[0]

    def transfer(
        self, guid: str, destination: str = "", kind: TransferType = "blind", label: str = ""
    ) -> None:
        """Begin a transfer."""
        command = TransferCommand(destination, kind, label or None)
        self.do(lambda server: server.transfer(guid, command))

    def terminate(self, guid: str) -> None:
        """End a call, and wait for its record."""
        self.run(self.server.terminate(guid, "requested"))

    def wait_for_event(self, guid: str, event: str) -> None:
        """Wait until the history of a call has it."""
        self.wait_for(lambda _: any(e == event for _, e, _ in self.seen[guid].history), event)

    def transfers(self, guid: str) -> list[TransferView]:
        """What is told of its transfers."""
        return self.do(lambda server: server.transfers(guid))

    def steps(self, guid: str) -> list[str]:
        """The messages of its last transfer, as ``leg > message``."""
        arrows = {"sent": ">", "received": "<"}
        steps = self.transfers(guid)[-1].steps
        return [f"{step.leg} {arrows[step.direction]} {step.message}" for step in steps]

    def record(self, guid: str) -> CdrRecord:
        """The CDR of a call that has ended."""
        found = self.do(lambda server: server.store.get(guid))
        assert found is not None
        return found

    # The end.

    def settle(self) -> None:
        """No call, leg, transaction or timer is left 64*T1 after the last call is over."""

        self.wait_for(lambda server: not server.calls, "end of the calls")

        async def settled() -> dict[str, Any]:
            deadline = self._loop.time() + 64 * self._t1 + 1.0
            while left := leftovers(self.server):
                if self._loop.time() > deadline:
                    return left
                await asyncio.sleep(POLL)
            return {}

        assert self.run(settled()) == {}
