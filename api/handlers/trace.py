"""The trace: the SIP messages of a call as JSON, as text and as a capture."""

import asyncio
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from api.downloads import Download
from api.handlers.transfers import SIM_PREFIX
from api.keys import CallServer
from api.listing import Json, written
from api.models_trace import (
    CallTrace,
    TracedCall,
    TracedCalls,
    TracedCallsQuery,
    TraceMessage,
    TracePcap,
    TraceQuery,
    TraceState,
    TraceSvg,
    TraceText,
    TraceUpdate,
)
from api.operations import Operations
from simulator.audit_trail import Requester
from simulator.ladder import label_of
from simulator.trace import TracedMessage
from simulator.trace_pcap import pcap
from simulator.trace_svg import STYLE_HASH, svg_ladder
from simulator.trace_text import text_ladder

trace: Final = Operations("Trace", SIM_PREFIX, capitals=False)

_GONE: Final = "the trace is off, or nothing is kept of this call"


class TextFile(Download):
    """The ladder."""

    model = TraceText
    media_type = "text/plain"


class SvgFile(Download):
    """The ladder, drawn: its one style sheet is all that a browser may heed."""

    model = TraceSvg
    media_type = "image/svg+xml"

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Send it."""
        response = await super().respond(request)
        policy = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; frame-ancestors 'none'"
        response.headers["Content-Security-Policy"] = policy
        return response


class PcapFile(Download):
    """The capture."""

    model = TracePcap
    media_type = "application/vnd.tcpdump.pcap"


@trace.add("GET", "/calls/{callGuid}/trace", "the messages", errors={404: _GONE})
async def get_call_trace(server: CallServer, call_guid: str, query: TraceQuery) -> Json[CallTrace]:
    """The SIP messages of a call on all its legs.

    The Call-ID of a leg will do for the GUID; a call that was refused at the door has no other
    name. Ended calls stay until newer ones take their place. With after, only what is new.
    """
    view = await asyncio.to_thread(server.trace.reader(call_guid, query.after))
    return await written(
        lambda: CallTrace(
            call_guid=view.guid,
            ended=view.ended,
            omitted=view.omitted,
            messages=[_shown(one) for one in view.messages],
        )
    )


@trace.add("GET", "/calls/{callGuid}/trace.txt", "the ladder", errors={404: _GONE})
async def get_call_ladder(server: CallServer, call_guid: str) -> TextFile:
    """The same as a ladder in plain text."""
    view = await asyncio.to_thread(server.trace.reader(call_guid))
    return TextFile((await asyncio.to_thread(text_ladder, view)).encode("utf-8", "replace"))


@trace.add("GET", "/calls/{callGuid}/trace.svg", "the picture", errors={404: _GONE})
async def get_call_picture(server: CallServer, call_guid: str) -> SvgFile:
    """The same as a picture, whose arrows show the whole message at a click, without a script."""
    view = await asyncio.to_thread(server.trace.reader(call_guid))
    return SvgFile((await asyncio.to_thread(svg_ladder, view)).encode())


@trace.add("GET", "/calls/{callGuid}/trace.pcap", "the capture", errors={404: _GONE})
async def get_call_capture(server: CallServer, call_guid: str) -> PcapFile:
    """The same as a capture file for Wireshark, tshark and sngrep.

    Addresses, ports and times are real; what went by TLS is there as text by TCP, with 5060 for
    port 5061, which Wireshark would take for TLS.
    """
    view = await asyncio.to_thread(server.trace.reader(call_guid))
    name = f"{view.guid or 'refused'}.pcap"
    return PcapFile(await asyncio.to_thread(lambda: pcap(view.messages)), name)


@trace.add("GET", "/trace", "the trace")
async def get_trace(server: CallServer) -> TraceState:
    """Whether messages are kept, and how many there are."""
    return TraceState.model_validate(server.trace.state())


@trace.add("PUT", "/trace", "the trace")
async def set_trace(server: CallServer, who: Requester, body: TraceUpdate) -> TraceState:
    """Turn the trace on or off, until the server stops or is reset.

    Off it forgets what it has; on it has the messages from now on.
    """
    before = server.trace.enabled
    server.trace.switch(on=body.enabled)
    if body.enabled != before:
        state = {"enabled": before}, {"enabled": body.enabled}
        await server.administration.trail.record(who, "replace", "trace", "trace", *state)
    return TraceState.model_validate(server.trace.state())


@trace.add("GET", "/trace/calls", "the calls")
async def list_traced_calls(server: CallServer, query: TracedCallsQuery) -> Json[TracedCalls]:
    """The calls of which messages are kept, refused ones too, those that began last first."""
    views = await asyncio.to_thread(server.trace.lister(query.limit))
    return await written(
        lambda: TracedCalls(calls=[TracedCall.model_validate(view) for view in views])
    )


def _shown(message: TracedMessage) -> TraceMessage:
    """The addresses of a note are empty."""
    local, peer = message.ends if message.direction else (None, None)
    return TraceMessage(
        number=message.number,
        timestamp=datetime.fromtimestamp(message.time, UTC),
        leg=message.leg,
        call_id=message.call_id,
        direction=message.direction or None,  # type: ignore[arg-type]
        transport=message.transport or None,  # type: ignore[arg-type]
        local=local,
        peer=peer,
        summary=label_of(message.data),
        message=message.data.decode("utf-8", "replace"),
        note=message.note,
    )
