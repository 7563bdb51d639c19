"""What a server has traced, held against what tshark has captured."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from scenarios.capture import Captured, read_capture
from scenarios.server import ServerProcess
from simulator.masking import masked

HEADER = 24
"""Octets before the first packet of a capture."""


def traces(server: ServerProcess, wire: Sequence[Captured]) -> list[bytes]:
    """The server's own captures of the calls that are on the wire."""
    dialogs = {message.call_id for message in wire}
    listed = server.extension("GET", "/sim/v1/trace/calls?limit=1000")["calls"]
    names = [one.get("callGuid", one["callId"]) for one in listed if one["callId"] in dialogs]
    return [
        server.download(f"/sim/v1/calls/{quote(name, safe='')}/trace.pcap") for name in names[::-1]
    ]


def decoded(directory: Path, captures: Sequence[bytes]) -> list[Captured]:
    """What tshark reads in them, in one go. Calls that are there twice are read once."""
    file = directory / "traced.pcap"
    whole = dict.fromkeys(captures)
    file.write_bytes(captures[0][:HEADER] + b"".join(one[HEADER:] for one in whole))
    return read_capture(file)


def check_alike(name: str, wire: Sequence[Captured], traced: Sequence[Captured]) -> None:
    """The same messages of each dialog in the same order, octet for octet but for secrets; those
    of all of them that went one way too. Two that crossed, each of another dialog, may stand
    either way: the server has sent the one before it has read the other.
    """
    wire = [message for message in wire if message.cseq[1] != "OPTIONS"]
    dialogs = dict.fromkeys(message.call_id for message in wire)
    traced = [message for message in traced if message.call_id in dialogs]
    assert wire, name
    for dialog in dialogs:
        expected = [_shown(message) for message in wire if message.call_id == dialog]
        found = [_shown(message) for message in traced if message.call_id == dialog]
        assert found == expected, f"{name}: {dialog}"
    if {message.transport for message in wire} != {"udp"}:
        return  # connections are read one after the other
    server = next(m.destination for m in wire if m.method == "INVITE")
    for inbound in (True, False):
        ways = [[m for m in one if (m.destination == server) == inbound] for one in (wire, traced)]
        assert [_shown(m) for m in ways[1]] == [_shown(m) for m in ways[0]], name


def _shown(message: Captured) -> tuple[object, ...]:
    head = (message.source, message.destination, message.method, message.status, message.cseq)
    return (*head, masked(message.data))
