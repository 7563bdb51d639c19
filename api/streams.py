"""Answers that are sent as they come: events as they happen, to readers who take them.

Each reader has a place in the ring of `simulator.event_bus` and no buffer of its own. One
who takes nothing for a while, or has fallen behind the ring, is dropped.
"""

import asyncio
import logging
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import ClassVar, Final

from aiohttp import WSCloseCode, hdrs, web
from pydantic import BaseModel

from api.errors import ApiError, shown
from api.event_models import MODELS, Event, EventsQuery
from api.guard import check_origin
from api.keys import OPTIONS
from api.listing import Writer
from simulator.errors import EventsGone
from simulator.event_bus import EventBus, EventReader
from simulator.event_views import VIEWS, EventView

_log = logging.getLogger(__name__)

LAST_EVENT_ID: Final = "Last-Event-ID"
AT_ONCE: Final = 200
"""Events that are looked at in one turn of the event loop: well below a millisecond."""

_RETRY: Final = 1000  # milliseconds that a browser waits before it comes back
_MAX_MESSAGE: Final = 4096  # of what a WebSocket sends here, where nothing is expected
_GOODBYE: Final = 2.0  # seconds that it has to answer our close

_WRITERS: Final = {view: Writer(model, view) for model, view in zip(MODELS, VIEWS, strict=True)}

Send = Callable[[Sequence[EventView], int], Awaitable[None]]
"""Sends events, and how far all has been looked at; without events it is a heartbeat."""


class Stream(ABC):
    """An answer that is sent as it comes: one `model` after the other, as `media_type`."""

    model: ClassVar[type[BaseModel]]
    media_type: ClassVar[str]

    @abstractmethod
    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, until one of both sides has enough."""


class EventStream(Stream):
    """The events that happen, without an end."""

    model = Event

    def __init__(self, bus: EventBus, query: EventsQuery) -> None:
        self._bus = bus
        self._query = query

    def _reader(self, request: web.Request, wake: Callable[[], None]) -> EventReader:
        query = self._query
        cursor = query.cursor
        last = request.headers.get(LAST_EVENT_ID)
        if last is not None:  # a browser that comes back uses the old URL
            if not last.isdecimal() or not last.isascii() or len(last) > 16:
                details = f"{LAST_EVENT_ID} is {shown(last)}; send the cursor of an event"
                raise ApiError(400, details, code="INVALID_REQUEST")
            cursor = int(last)
        guid = query.call_guid
        return self._bus.reader(wake, cursor, query.type, guid.upper() if guid else None)

    async def _feed(
        self, request: web.Request, reader: EventReader, news: asyncio.Event, send: Send
    ) -> None:
        """Send what comes until the reader is to go; drop it when it cannot follow."""
        options = request.app[OPTIONS]
        loop = asyncio.get_running_loop()
        beat = loop.time() + options.heartbeat
        try:
            while True:
                news.clear()
                events = reader.take(AT_ONCE)
                if events or loop.time() >= beat:
                    async with asyncio.timeout(options.patience):
                        await send(events, reader.position)
                    beat = loop.time() + options.heartbeat
                if reader.behind:
                    await asyncio.sleep(0)
                elif reader.closing:
                    return
                else:
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(beat):
                            await news.wait()
        except (EventsGone, TimeoutError):
            _log.warning(
                "a reader of events, %s, does not take them: it is dropped at event %d",
                request.remote,
                reader.position,
            )
            abort(request)
        except ConnectionError:  # it has gone
            pass


def abort(request: web.Request) -> None:
    """Close at once: what was not taken is not kept by the system either."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


class ServerSentEvents(EventStream):
    """The stream as EventSource reads it."""

    media_type = "text/event-stream"

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, until one of both sides has enough."""
        response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})
        response.content_type = self.media_type
        news = asyncio.Event()
        reader = self._reader(request, news.set)
        try:
            await response.prepare(request)
            if request.method != hdrs.METH_HEAD:
                # An id without data is no event, but where a browser goes on that has had none.
                await response.write(b"retry: %d\nid: %d\n\n" % (_RETRY, reader.position))

                async def send(events: Sequence[EventView], position: int) -> None:
                    frames = [_frame(event) for event in events] or [b":\nid: %d\n\n" % position]
                    await response.write(b"".join(frames))

                await self._feed(request, reader, news, send)
        except ConnectionError:
            pass
        finally:
            reader.leave()
        return response


def _frame(event: EventView) -> bytes:
    kind = event.event_type.encode()
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.cursor, kind, event_json(event))


def event_json(event: EventView) -> bytes:
    """An event as the stream has it."""
    return _WRITERS[type(event)].json(event)


class EventSocket(EventStream):
    """The stream over WebSocket: a text message for each event."""

    media_type = ""

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, until one of both sides has enough."""
        options = request.app[OPTIONS]
        messages = web.WebSocketResponse(
            timeout=_GOODBYE,
            heartbeat=options.heartbeat,
            compress=False,
            max_msg_size=_MAX_MESSAGE,
        )
        if not messages.can_prepare(request).ok:
            headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
            details = "this is a WebSocket; ask for an upgrade to it, or read /sim/v1/events"
            raise ApiError(426, details, headers=headers)
        check_origin(request)
        news = asyncio.Event()
        reader = self._reader(request, news.set)

        async def send(events: Sequence[EventView], _position: int) -> None:
            for event in events:
                await messages.send_str(event_json(event).decode())

        async def listen() -> None:
            async for _ in messages:  # pings are answered and the end is seen here
                pass
            reader.close()

        listening = None
        try:
            await messages.prepare(request)
            listening = asyncio.create_task(listen())
            await self._feed(request, reader, news, send)
            await messages.close(code=WSCloseCode.GOING_AWAY)
        except ConnectionError:
            pass
        finally:
            reader.leave()
            if listening is not None:
                listening.cancel()
        return messages
