"""``callsim serve``: the server in its event loop, until a signal ends it."""

import asyncio
import errno
import gc
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar
from urllib.parse import urljoin

from simulator.collector import COLLECT_OLD, COLLECT_YOUNG, collect_old, collect_young
from simulator.config import Config
from simulator.server import CallServer
from sip.transport import host_port

Service = Callable[[Config], AbstractAsyncContextManager[tuple[CallServer, list[str]]]]
"""What runs a server with its REST surface, and gives the URLs that it is at."""

_ANY_HOST: Final = {"//0.0.0.0": "//127.0.0.1", "//[::]": "//[::1]"}

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in an event loop: uvloop's where that is installed (the extra ``fast``)."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


async def serve(load: Callable[[], Config], config: Config, service: Service) -> int:
    """Run the server of `config` until SIGTERM or SIGINT; SIGHUP loads another."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with service(config) as (server, addresses):
        _reload_on_hangup(server, load)
        _tell(server, addresses)
        gc.collect()
        gc.freeze()  # what is here now stays: the collector need not look at it again
        gc.disable()  # it is told when
        loop.set_exception_handler(_unhandled)
        endpoint = server.stack.endpoint

        def woke(late: float) -> None:
            server.metrics.loop_lag.observe(late)
            server.news.look_around(late)

        collecting = [
            loop.create_task(collect_young(COLLECT_YOUNG, woke)),
            loop.create_task(collect_old(endpoint, COLLECT_OLD)),
        ]
        await stop.wait()
        loop.add_signal_handler(signal.SIGINT, server.hurry)
        for task in collecting:
            task.cancel()
        await server.drain(server.config.server.grace)
    return 0


def _tell(server: CallServer, addresses: Sequence[str]) -> None:
    """Where it listens, for programs, which read up to ``ready``; then the console's address."""
    for listener in server.stack.endpoint.listeners:
        place = host_port(listener.host, listener.port)
        print(f"sip {listener.transport.lower()}:{place}")
    for address in addresses:
        print(f"api {address}")
    ready = ["ready", *([f"console {console(addresses)}"] if addresses else [])]
    print("\n".join(ready), flush=True)  # at once: who waited for the one may be gone then


def console(addresses: Sequence[str]) -> str:
    """Where a browser on this machine finds the console: by http where it may."""
    found = min(addresses, key=lambda address: not address.startswith("http:"))
    for any_host, host in _ANY_HOST.items():
        found = found.replace(any_host, host)
    return urljoin(found, "/")


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What goes wrong in the event loop itself. Without a file left it tells for each caller
    that waits outside, each second, what `SystemNews.look_around` tells once."""
    error = context.get("exception")
    if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
        loop.default_exception_handler(context)


def _reload_on_hangup(server: CallServer, load: Callable[[], Config]) -> None:
    """SIGHUP: read the configuration again."""
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Task[bool]] = set()

    def reload() -> None:
        task = loop.create_task(server.administration.reload(load))
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
