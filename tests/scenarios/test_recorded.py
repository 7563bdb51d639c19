"""Recorded calls, played again by SIPp against another server (`callsim trace GUID --sipp DIR`)."""

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from scenarios.plugin import SippFactory
from scenarios.runner import LOOPBACK, free_port
from scenarios.server import PASSWORD, USER, ServerProcess
from simulator.__main__ import main
from simulator.cdr_records import CdrRecord
from simulator.trace_sipp import sipp_scenarios
from simulator.trace_views import TracedMessage
from tests.simulator.test_hep import decoded

Steer = Callable[[ServerProcess], None]


def transfer(server: ServerProcess) -> None:
    """By re-INVITE, as soon as the caller talks to the agent."""
    server.transfer(server.wait_for_call("connected")["callGuid"], "3000")


def nothing(_server: ServerProcess) -> None:
    """The far ends do all."""


CALLS: Final[Mapping[str, tuple[str, Sequence[str], Steer]]] = {
    "plain": ("caller-hangs-up", ["callee-answers"], nothing),
    "refused": ("caller-busy-expect-486", ["callee-busy-486"], nothing),
    "cancelled": ("caller-cancels", ["callee-rings"], nothing),
    "transferred": ("caller-answers-reinvite", ["callee-answers", "callee-hangs-up"], transfer),
}


@dataclass
class Lab:
    """A server whose calls are recorded, one to play them against, and who is sent what passes
    the first; both have the same routes, to `ports`."""

    recording: ServerProcess
    other: ServerProcess
    ports: tuple[int, int]
    homer: socket.socket


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("recorded")
    ports = (free_port(), free_port())
    routes = {
        f"{digit}>": f"sip:{LOOPBACK}:{port}" for digit, port in zip("23", ports, strict=True)
    }
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as homer:
        homer.bind((LOOPBACK, 0))
        homer.settimeout(10)
        hep = {"trace.hep": f"udp:{LOOPBACK}:{homer.getsockname()[1]}", "trace.hep_id": 77}
        with (
            ServerProcess(folder / "1", routes=routes, settings=hep) as recording,
            ServerProcess(folder / "2", routes=routes) as other,
        ):
            yield Lab(recording, other, ports, homer)


@pytest.mark.parametrize("name", CALLS)
def test_it_is_played_again(name: str, lab: Lab, sipp: SippFactory, tmp_path: Path) -> None:
    caller, callees, steer = CALLS[name]

    def play(server: ServerProcess, caller: str | Path, callees: Sequence[str | Path]) -> CdrRecord:
        answering = [
            sipp(one, hold_ms=300, port=port) for one, port in zip(callees, lab.ports, strict=False)
        ]
        calling = sipp(caller, server.sip, hold_ms=500)
        steer(server)
        for run in (calling, *answering):
            run.check()
        server.wait_until_idle()
        return server.cdrs()[-1]

    before = play(lab.recording, caller, callees)
    files = exported(lab.recording, before.call_guid, tmp_path / "recorded")
    assert len(files) == 1 + len(callees)
    after = play(lab.other, files[0], files[1:])
    assert (after.call_result, after.error_code) == (before.call_result, before.error_code)
    legs = [[leg.sip_response_code for leg in record.legs] for record in (before, after)]
    assert legs[0] == legs[1]


def test_a_collector_gets_what_is_traced(lab: Lab, sipp: SippFactory) -> None:
    """The same messages in the same order, with the same ends."""
    lab.homer.setblocking(False)
    with suppress(BlockingIOError):  # what was before
        while lab.homer.recv(65_535):
            pass
    lab.homer.settimeout(10)
    callee = sipp("callee-answers", port=lab.ports[0])
    sipp("caller-hangs-up", lab.recording.sip, hold_ms=100).check()
    callee.check()
    lab.recording.wait_until_idle()
    guid = lab.recording.cdrs()[-1].call_guid
    traced = lab.recording.extension("GET", f"/sim/v1/calls/{guid}/trace")["messages"]
    heard = [decoded(lab.homer.recv(65_535)) for _ in traced]
    assert [one[15].decode() for one in heard] == [one["message"] for one in traced]
    assert {int.from_bytes(one[12]) for one in heard} == {77}
    for packet, message in zip(heard, traced, strict=True):
        ends = [f"{ip_address(packet[3 + n])}:{int.from_bytes(packet[7 + n])}" for n in (0, 1)]
        wanted = [message["peer"], message["local"]]
        assert ends == (wanted if message["direction"] == "in" else wanted[::-1])
        at = datetime.fromisoformat(message["timestamp"]).timestamp()
        assert abs(int.from_bytes(packet[9]) + int.from_bytes(packet[10]) / 1e6 - at) < 0.01


def test_odd_text_is_sent_as_it_was(sipp: SippFactory, tmp_path: Path) -> None:
    """What is a keyword of SIPp, an escape, an octet that XML cannot have."""
    odd = b"[call_id] ]]> \\x41 \\ <&> \xc3\xbc\xff\x01"
    body = b"v=0\r\na=" + odd + b"\r\n"
    end = b"CSeq: 1 INVITE\r\nSubject: %b\r\nContent-Length: %d\r\n\r\n%b" % (odd, len(body), body)
    invite = (
        b"INVITE sip:7001@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK7\r\n"
        b"Call-ID: one\r\nFrom: <sip:1000@x>;tag=a\r\nTo: <sip:7001@x>\r\n" + end
    )
    ends = ("10.0.0.1", 5060), ("10.0.0.7", 5060)
    said = [TracedMessage(1.0, "in", "UDP", *ends, invite, "one", "caller")]
    file = tmp_path / "odd.xml"
    file.write_text(sipp_scenarios(said)["1-caller.xml"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((LOOPBACK, 0))
        server.settimeout(20)
        run = sipp(file, server.getsockname())
        heard = server.recv(65_535)
        run.stop()
    assert b"\r\nSubject: %b\r\n" % odd in heard
    assert heard.partition(b"\r\n\r\n")[2] == body


def exported(server: ServerProcess, guid: str, directory: Path) -> list[Path]:
    """The files that the command writes, the caller's first."""
    parts = urlsplit(server.api)
    url = f"{parts.scheme}://{parts.netloc}"
    login = ["--url", url, "--user", f"{USER}:{PASSWORD}"]
    assert main(["trace", guid, "--sipp", str(directory), *login]) == 0
    return sorted(directory.glob("*.xml"))
