"""The event stream: what happens to calls and servers, as it happens."""

from typing import Final

from api.event_models import EventsQuery
from api.handlers.transfers import SIM_PREFIX
from api.keys import CallServer
from api.operations import Operations
from api.streams import EventSocket, ServerSentEvents

events: Final = Operations("Events", SIM_PREFIX)

_ERRORS: Final = {
    410: "what followed the cursor is not kept any more",
    503: "too many read the events already",
}


@events.add("GET", "/events", "events as they happen", errors=_ERRORS)
async def stream_events(server: CallServer, query: EventsQuery) -> ServerSentEvents:
    """Events as they happen, as server-sent events.

    The id of each is its cursor. Last-Event-ID or cursor sends what followed that event first,
    as long as it is kept: `events.kept` events, from the first reader until an hour without
    one. Cursors rise, from one start of the server to the next too; one of a former run gives
    410. A reader that takes nothing for 30 seconds is dropped.
    """
    return ServerSentEvents(server.events, query)


@events.add(
    "GET",
    "/ws",
    "a WebSocket, with one text message for each event",
    status=101,
    errors={**_ERRORS, 403: "a page of another site asks", 426: "no upgrade to a WebSocket"},
)
async def open_event_socket(server: CallServer, query: EventsQuery) -> EventSocket:
    """The same events over WebSocket.

    Each message is the JSON of one event, with its cursor. What is sent here is ignored.
    """
    return EventSocket(server.events, query)
