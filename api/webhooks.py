"""Webhooks: events of the stream, posted to those who have asked for them.

A webhook is a reader of `simulator.event_bus` with a task of its own: it posts one event
after the other, in their order, and whatever its receiver does costs no other reader, and no
call, anything. A post that is not answered 2xx is tried again, each time after twice as long;
then the event is a dead letter, which can be looked at and sent again.

Posts are signed as Standard Webhooks says (https://www.standardwebhooks.com): HMAC-SHA256
over ``ID.TIMESTAMP.BODY``, so that ready-made libraries can check them.
"""

import asyncio
import base64
import hmac
import ipaddress
import logging
import secrets
import socket
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from api.errors import ApiError, shown
from api.streams import AT_ONCE, event_json
from simulator.errors import EventsGone
from simulator.event_bus import EventBus, EventReader
from simulator.event_views import EventView

_log = logging.getLogger(__name__)

ATTEMPTS: Final = 8
"""Posts of one event, with pauses that double: two minutes in all from a second on."""

MOST_WEBHOOKS: Final = 50
MOST_DEAD: Final = 1000
"""Dead letters that are kept for a webhook; then the oldest one goes."""

SECRET_PREFIX: Final = "whsec_"

_PATIENCE: Final = 10.0  # seconds for an answer
_GOODBYE: Final = 2.0  # seconds for what is under way when the server stops


@dataclass(slots=True)
class DeadLetter:
    """An event that could not be posted; `failed` is when it was given up."""

    event: EventView
    attempts: int
    error: str
    failed: float


@dataclass(slots=True)
class Webhook:
    """One subscription. `lost` are events that the ring dropped before their turn came.

    `types` None stands for all; times are seconds since the epoch.
    """

    webhook_id: str
    url: str
    types: frozenset[str] | None
    secret: str
    created: float
    reader: EventReader
    news: asyncio.Event
    delivered: int = 0
    lost: int = 0
    last_delivery: float | None = None
    last_error: str = ""
    dead: deque[DeadLetter] = field(default_factory=lambda: deque(maxlen=MOST_DEAD))
    again: deque[DeadLetter] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class Webhooks:
    """All webhooks of the events of `bus`. `pause` is in seconds, after a first failure."""

    def __init__(self, bus: EventBus, pause: float) -> None:
        self.hooks: dict[str, Webhook] = {}
        self._bus = bus
        self._pause = pause
        self._session: aiohttp.ClientSession | None = None

    def add(self, url: str, types: frozenset[str] | None, secret: str | None) -> Webhook:
        """Post what happens from now on. Raises ApiError 409 and TooManyReaders."""
        if len(self.hooks) >= MOST_WEBHOOKS:
            details = f"there are {MOST_WEBHOOKS} webhooks already; delete one"
            raise ApiError(409, details, code="TOO_MANY_WEBHOOKS")
        news = asyncio.Event()
        hook = Webhook(
            webhook_id=secrets.token_hex(8),
            url=url,
            types=types,
            secret=secret or f"{SECRET_PREFIX}{base64.b64encode(secrets.token_bytes(32)).decode()}",
            created=time.time(),
            reader=self._bus.reader(news.set, types=types),
            news=news,
        )
        self.hooks[hook.webhook_id] = hook
        hook.task = asyncio.get_running_loop().create_task(self._run(hook))
        return hook

    def find(self, webhook_id: str) -> Webhook:
        """One webhook. Raises ApiError 404."""
        hook = self.hooks.get(webhook_id)
        if hook is None:
            details = f"no webhook has the id {shown(webhook_id)}; GET /sim/v1/webhooks lists them"
            raise ApiError(404, details, code="WEBHOOK_NOT_FOUND")
        return hook

    def remove(self, webhook_id: str) -> None:
        """Post no more there. Raises ApiError 404."""
        hook = self.find(webhook_id)
        del self.hooks[webhook_id]
        hook.reader.leave()
        if hook.task is not None:
            hook.task.cancel()

    def resend(self, webhook_id: str) -> int:
        """Post the dead letters again, before anything new; how many. Raises ApiError 404."""
        hook = self.find(webhook_id)
        count = len(hook.dead)
        hook.again.extend(hook.dead)
        hook.dead.clear()
        hook.news.set()
        return count

    async def close(self) -> None:
        """Post what is there, if that can be done at once, and no more."""
        tasks = [hook.task for hook in self.hooks.values() if hook.task is not None]
        for hook in self.hooks.values():
            hook.reader.close()
        if tasks:
            await asyncio.wait(tasks, timeout=_GOODBYE)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    # The task of one webhook.

    async def _run(self, hook: Webhook) -> None:
        reader = hook.reader
        try:
            while True:
                hook.news.clear()
                while hook.again:
                    letter = hook.again.popleft()
                    await self._deliver(hook, letter.event, letter.attempts)
                for event in self._take(hook):
                    await self._deliver(hook, event)
                if reader.behind or hook.again:
                    await asyncio.sleep(0)
                elif reader.closing:
                    return
                else:
                    await hook.news.wait()
        except Exception:
            _log.exception("webhook %s: its task has failed", hook.webhook_id)
        finally:
            reader.leave()

    def _take(self, hook: Webhook) -> list[EventView]:
        """The next events; those that were too long in coming are lost, and counted."""
        reader = hook.reader
        try:
            return reader.take(AT_ONCE)
        except EventsGone:
            lost = self._bus.first - 1 - reader.position
            reader.position += lost
            hook.lost += lost
            _log.warning(
                "webhook %s: %s is too slow: %d events are lost; raise events.kept",
                hook.webhook_id,
                origin(hook.url),
                lost,
            )
            return reader.take(AT_ONCE)

    async def _deliver(self, hook: Webhook, event: EventView, before: int = 0) -> None:
        """Post an event until it is taken; what is not is a dead letter."""
        body = event_json(event)
        pause = self._pause
        attempts = 0
        while error := await self._post(hook, event, body):
            hook.last_error = error
            attempts += 1
            if attempts == ATTEMPTS or hook.reader.closing:
                _log.warning("webhook %s: event %d: %s", hook.webhook_id, event.cursor, error)
                hook.dead.append(DeadLetter(event, before + attempts, error, time.time()))
                return
            # Up to a quarter more, so that webhooks of one receiver do not come all at once.
            await asyncio.sleep(pause * (1 + secrets.randbelow(256) / 1024))
            pause *= 2
        hook.delivered += 1
        hook.last_delivery = time.time()

    async def _post(self, hook: Webhook, event: EventView, body: bytes) -> str:
        """Post it once; what went wrong, if anything, without path and query of the URL."""
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=HostResolver(DefaultResolver()))
            timeout = aiohttp.ClientTimeout(total=_PATIENCE)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "callsim",
            **signed(hook.secret, f"evt_{event.cursor}", int(time.time()), body),
        }
        try:
            async with self._session.post(
                hook.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                return "" if 200 <= answer.status < 300 else f"answered {answer.status}"
        except TimeoutError:
            return f"no answer within {_PATIENCE:g} s"
        except aiohttp.InvalidURL:
            return "cannot be reached: its URL is none that can be posted to"
        except aiohttp.ClientResponseError as error:
            return f"answered what is not HTTP: {' '.join(error.message.split())}"[:300]
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"cannot be reached: {error}"[:300]


def signed(secret: str, message_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """The headers that say which event it is, when it was posted, and that it is from here."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    text = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    signature = base64.b64encode(hmac.digest(key, text, "sha256")).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


def origin(url: str) -> str:
    """`url` without path and query, which may be secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def check_url(url: str) -> str:
    """`url`, if events can be posted there; ValueError says what is wrong with it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # brackets around no address, or no such port
        fix = "must have a name or address as its host, and a port of 1 to 65535 or none"
        raise ValueError(fix) from None
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("must be http:// or https:// and a host")
    if parts.username is not None or parts.fragment:
        raise ValueError("must have no user and no fragment; the signature says who posts")
    if port == 0 or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be visible ASCII, its port 1 to 65535")
    if _forbidden(host):
        raise ValueError(f"leads to {host}, which is no host of a network")
    return url


def _forbidden(host: str) -> bool:
    """Whether an address is one where machines keep their secrets, or no host at all."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_link_local or address.is_multicast or address.is_unspecified


class HostResolver(AbstractResolver):
    """What `resolver` finds, but for addresses that `check_url` does not take either."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises OSError."""
        found = await self._resolver.resolve(host, port, family)
        allowed = [one for one in found if not _forbidden(one["host"])]
        if not allowed:
            raise OSError(f"{host} leads to no host of a network")
        return allowed

    async def close(self) -> None:
        """Let go of it."""
        await self._resolver.close()
