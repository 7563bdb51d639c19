"""What the tests of whole calls share: an established call, and REST held against the wire."""

import random
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest

from scenarios.capture import Capture, Captured, TsharkMissing
from scenarios.plugin import SippFactory
from scenarios.runner import LOOPBACK, SippError, SippRun
from scenarios.server import ServerProcess
from simulator.cdr_records import CdrRecord


@dataclass
class Place:
    """A server that waits for calls, watched: 2000 leads to one port, 3000 to another.

    `busy` from the start of a flow until it has finished as it should.
    """

    server: ServerProcess
    wire: Capture
    ports: tuple[int, int]
    busy: bool = False


class Pool:
    """Servers by their settings, each used by one test after the other.

    At the end each must have no call and no session left, and end with exit code 0.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = count(1)
        self._stack = ExitStack()
        self._places: dict[str, Place] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        try:
            for place in self._places.values():
                if not place.busy:
                    place.server.wait_until_idle()
                    place.server.stop()
        finally:
            self._stack.close()

    def place(self, settings: Mapping[str, object]) -> Place:
        """The server with these settings; a new one if a flow on it did not finish."""
        key = repr(sorted(settings.items()))
        place = self._places.get(key)
        if place is not None and place.busy:
            place.server.kill()
            place.wire.close()
            place = None
        if place is None:
            place = self._places[key] = self._start(settings)
        place.wire.forget()
        place.busy = True
        return place

    def _start(self, settings: Mapping[str, object]) -> Place:
        directory = self._directory / str(next(self._numbers))
        ports = (quiet_port(), quiet_port())
        routes = {
            f"{digit}>": f"sip:{LOOPBACK}:{port}" for digit, port in zip("23", ports, strict=True)
        }
        server = ServerProcess(directory, routes=routes, settings=settings)
        self._stack.callback(server.kill)
        try:
            wire = Capture(directory / "capture", [server.sip[1]])
        except TsharkMissing as missing:
            pytest.fail(str(missing), pytrace=False)
        self._stack.callback(wire.close)
        return Place(server, wire, ports)


def quiet_port() -> int:
    """A UDP port that is free, and that the kernel gives to nobody who does not ask for it."""
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port


@dataclass(frozen=True)
class Flow:
    """A call from SIPp through a server to SIPp, watched; `call` is what REST says of it."""

    place: Place
    runs: tuple[SippRun, ...]
    call: Any
    records_before: int

    @property
    def server(self) -> ServerProcess:
        return self.place.server

    @property
    def wire(self) -> Capture:
        return self.place.wire

    @property
    def caller(self) -> SippRun:
        return self.runs[0]

    @property
    def callee(self) -> SippRun:
        return self.runs[1]

    @property
    def target(self) -> SippRun:
        return self.runs[2]

    @property
    def guid(self) -> str:
        return str(self.call["callGuid"])

    def finish(self, *, retransmissions: bool = False) -> list[Captured]:
        """Every SIPp saw what it wanted, nothing is left, and the wire is clean."""
        try:
            for run in self.runs:
                run.check()
        except SippError as error:
            self.wire.messages()
            raise SippError(f"{error}\n\n{self.wire.ladder()}") from None
        self.server.wait_until_idle()
        messages = self.wire.check(retransmissions=retransmissions)
        self.place.busy = False
        return messages

    def records(self) -> list[CdrRecord]:
        """The records of what came since this call began."""
        return self.server.cdrs()[self.records_before :]


class Flows:
    """Makes flows on the servers of a pool."""

    def __init__(self, pool: Pool, sipp: SippFactory) -> None:
        self._pool = pool
        self._sipp = sipp

    def start(
        self,
        caller: str,
        callee: str,
        state: str | None = "connected",
        *,
        target: str | None = None,
        caller_ms: int = 0,
        callee_ms: int = 0,
        target_ms: int = 0,
        options: Sequence[str] = (),
        callee_options: Sequence[str] = (),
        **settings: object,
    ) -> Flow:
        """Call 2000, where `callee` is; `target` is at 3000. `options` are the caller's
        for SIPp. Returns when REST says `state`, which the caller must hold long enough to be
        seen; at once without one.
        """
        place = self._place(settings)
        runs = [self._sipp(callee, port=place.ports[0], hold_ms=callee_ms, options=callee_options)]
        if target is not None:
            runs.append(self._sipp(target, port=place.ports[1], hold_ms=target_ms))
        return self._begin(place, caller, runs, state, hold_ms=caller_ms, options=options)

    def alone(self, caller: str, state: str | None = None, **settings: object) -> Flow:
        """Call where nobody else takes part."""
        return self._begin(self._place(settings), caller, [], state)

    def _place(self, settings: dict[str, object]) -> Place:
        return self._pool.place({k.replace("__", "."): v for k, v in settings.items()})

    def _begin(
        self, place: Place, caller: str, others: list[SippRun], state: str | None, **how: Any
    ) -> Flow:
        server = place.server
        before = len(server.cdrs())
        run = self._sipp(caller, server.sip, **how)
        call = server.wait_for_call(state) if state is not None else {}
        return Flow(place, (run, *others), call, before)


def on_leg(messages: list[Captured], run: SippRun) -> list[Captured]:
    """The messages between the server and this SIPp."""
    return [m for m in messages if run.address in (m.source, m.destination)]


def names(messages: list[Captured]) -> list[str]:
    """What the messages are, provisional responses left out."""
    return [m.name for m in messages if not 100 <= m.status < 200]


def the_cdr(flow: Flow) -> tuple[str, str | None, list[int | None]]:
    """Result, error code, and the final SIP code of each leg of the one record there is."""
    (record,) = flow.records()
    if flow.call:
        assert record.call_guid == flow.guid
        assert record.sip_call_id == flow.call["sipCallId"]
    return record.call_result, record.error_code, [leg.sip_response_code for leg in record.legs]


def assert_api_equals_wire(flow: Flow) -> None:
    """State, tags, Call-ID, CSeq and addresses, as REST tells them, are those on the wire."""
    server = flow.server
    asked = time.time()
    call = server.call(flow.guid)
    sessions = server.sessions(flow.guid)
    messages = [message for message in flow.wire.messages() if message.time < asked]
    inbound = next(m for m in messages if m.name == "INVITE" and m.destination == server.sip)
    assert call["sipCallId"] == inbound.call_id
    assert call["sipFromTag"] == inbound.from_tag
    assert call["callingNumber"] == "1000"
    assert call["calledNumber"] == "2000"
    for session in sessions:
        of_leg = [m for m in messages if m.call_id == session["callId"]]
        assert_session_equals_leg(session, of_leg)
    assert sessions[0]["callId"] == call["sipCallId"]
    assert sessions[0]["toTag"] == call["sipToTag"]
    # The API knows exactly the dialogs that the wire has and that no BYE has ended.
    over = {m.call_id for m in messages if m.name in ("BYE", "487 INVITE", "486 INVITE")}
    alive = {m.call_id for m in messages} - over
    assert {session["callId"] for session in sessions} == alive


def assert_session_equals_leg(session: Any, messages: list[Captured]) -> None:
    invite = messages[0]
    assert invite.name == "INVITE"
    assert session["fromTag"] == invite.from_tag
    assert session["toTag"] == next(m.to_tag for m in messages if m.status > 100)
    assert session["fromUri"] == invite.from_uri
    assert session["toUri"] == invite.to_uri
    assert session["transport"] == "UDP"
    ends = {session["localAddress"], session["remoteAddress"]}
    assert ends == {f"{host}:{port}" for host, port in (invite.source, invite.destination)}
    last = [m for m in messages if m.method not in ("", "ACK")][-1]
    assert session["cseq"] == last.cseq[0]
    answered = any(m.name == "200 INVITE" for m in messages)
    assert session["state"] == ("confirmed" if answered else "early")
