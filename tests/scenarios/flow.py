"""What the tests of whole calls share: an established call, and REST held against the wire."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scenarios.capture import Capture, Captured
from scenarios.plugin import CaptureFactory, ServerFactory, SippFactory
from scenarios.runner import SippRun
from scenarios.server import ServerProcess


@dataclass(frozen=True)
class Flow:
    """A call from SIPp through a server to SIPp, watched; `call` is what REST says of it."""

    server: ServerProcess
    wire: Capture
    caller: SippRun
    callee: SippRun
    target: SippRun | None
    call: Any

    @property
    def guid(self) -> str:
        return str(self.call["callGuid"])

    def finish(self, *, retransmissions: bool = False) -> list[Captured]:
        """Every SIPp saw what it wanted, nothing is left, and the wire is clean."""
        for run in (self.caller, self.callee, self.target):
            if run is not None:
                run.check()
        self.server.wait_until_idle()
        return self.wire.check(retransmissions=retransmissions)


class Flows:
    """Makes flows out of the plugin's fixtures."""

    def __init__(
        self, callsim_server: ServerFactory, sipp: SippFactory, capture: CaptureFactory
    ) -> None:
        self._server = callsim_server
        self._sipp = sipp
        self._capture = capture

    def start(
        self,
        caller: str,
        callee: str,
        state: str | None,
        *,
        target: str | None = None,
        caller_ms: int = 0,
        callee_ms: int = 0,
        target_ms: int = 0,
        options: Sequence[str] = (),
        **settings: object,
    ) -> Flow:
        """Call 2000, where `callee` is; `target` is at 3000. `options` are the caller's
        for SIPp. Returns when REST says `state`.
        """
        second = self._sipp(target, hold_ms=target_ms) if target is not None else None
        first = self._sipp(callee, hold_ms=callee_ms)
        routes = {"2>": first.uri} | ({"3>": second.uri} if second is not None else {})
        server = self._server(
            routes=routes, settings={key.replace("__", "."): v for key, v in settings.items()}
        )
        wire = self._capture(server)
        run = self._sipp(caller, server.sip, hold_ms=caller_ms, options=options)
        return Flow(server, wire, run, first, second, server.wait_for_call(state))


def on_leg(messages: list[Captured], run: SippRun) -> list[Captured]:
    """The messages between the server and this SIPp."""
    return [m for m in messages if run.address in (m.source, m.destination)]


def names(messages: list[Captured]) -> list[str]:
    """What the messages are, provisional responses left out."""
    return [m.name for m in messages if not 100 <= m.status < 200]


def the_cdr(flow: Flow) -> tuple[str, str | None, list[int | None]]:
    """Result, error code, and the final SIP code of each leg of the one record there is."""
    (record,) = flow.server.cdrs()
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
