"""``callsim trace``: the messages of a call in a running server, as they were or as they come."""

import asyncio
from argparse import Namespace
from pathlib import Path
from typing import Final

from api.client import CallsimClient
from api.models_trace import TraceMessage
from simulator.config_values import split_address
from simulator.trace_sipp import sipp_scenarios
from simulator.trace_text import TraceLadder
from simulator.trace_views import TracedMessage

_PAUSE: Final = 0.3
"""Seconds from one look for new messages to the next."""


async def show_trace(client: CallsimClient, options: Namespace) -> None:
    """Print the trace of a call, or write it to a file. ValueError for options that do not fit."""
    guid: str = options.guid
    name: str | None = options.pcap or options.svg
    if options.follow and (name or options.sipp):
        raise ValueError("--follow prints messages; leave it out, or --pcap, --svg and --sipp")
    if options.sipp:
        await _write_scenarios(client, guid, Path(options.sipp))
    elif name is not None:
        data = await client.trace_file(guid, "svg" if options.svg else "pcap")
        try:
            await asyncio.to_thread(Path(name).write_bytes, data)
        except OSError as error:
            raise ValueError(f"{name}: {error.strerror}") from None
    elif options.follow:
        await _follow(client, guid, as_json=options.json)
    elif options.json:
        for message in (await client.trace(guid)).messages:
            _print_json(message)
    else:
        print((await client.trace_file(guid, "txt")).decode(), end="")


async def _write_scenarios(client: CallsimClient, guid: str, path: Path) -> None:
    """Write the scenarios of all far ends into a folder, or the caller's to one file."""
    said = [traced(one) for one in (await client.trace(guid)).messages if one.direction]
    found = sipp_scenarios(said)
    if not found:
        raise ValueError("there is no leg that begins with its INVITE")
    if path.suffix == ".xml":
        files = {path: next(iter(found.values()))}
    else:
        files = {path / name: text for name, text in found.items()}
    for file, text in files.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        except OSError as error:
            raise ValueError(f"{file}: {error.strerror}") from None
        print(file)


def traced(message: TraceMessage) -> TracedMessage:
    """What the server has sent, as it had it."""
    ends = [split_address(end or "", 0, any_port=True) for end in (message.local, message.peer)]
    return TracedMessage(
        message.timestamp.timestamp(),
        message.direction or "",
        message.transport or "",
        (ends[0][0], ends[0][1] or 0),
        (ends[1][0], ends[1][1] or 0),
        (message.message or "").encode(),
        message.call_id,
        message.leg or "",
        message.note or "",
        message.number,
    )


async def _follow(client: CallsimClient, guid: str, *, as_json: bool) -> None:
    """Print messages until the call is over, and a look later nothing more has come."""
    ladder = TraceLadder()
    after = 0
    while True:
        found = await client.trace(guid, after)
        new = [message for message in found.messages if message.direction]
        added = [ladder.add(one.call_id, one.leg or "", one.peer or "") for one in new]
        if any(added) and not as_json:
            print(ladder.header())
        for message in found.messages:
            after = message.number
            if as_json:
                _print_json(message)
            else:
                print(_line(ladder, message), flush=True)
        if found.ended and not found.messages:
            return
        await asyncio.sleep(_PAUSE)


def _line(ladder: TraceLadder, message: TraceMessage) -> str:
    time = message.timestamp.timestamp()
    if message.direction is None:
        return ladder.note(time, message.note or "")
    label = message.summary or "malformed"
    return ladder.message(time, message.direction, label, message.call_id)


def _print_json(message: TraceMessage) -> None:
    print(message.model_dump_json(by_alias=True, exclude_none=True), flush=True)
