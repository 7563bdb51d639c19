"""A call server between strangers, watched by tshark."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from scenarios.capture import Capture, Captured
from scenarios.plugin import CaptureFactory, ServerFactory
from scenarios.server import ServerProcess
from tests.interop.phone import Phone

_LAST_WORDS: Final = 5.0

Address = tuple[str, int]


class Party(Protocol):
    """Somebody whom a number leads to: the first digit of `user` and any rest."""

    user: str
    transport: str
    address: Address

    @property
    def uri(self) -> str: ...


class Exchange:
    """A server whose numbers lead to `parties`, and the wire between all of them.

    `transports` are the server's beside UDP. `via` is where the server sends all calls
    instead (a proxy); `also` are further routes.
    """

    def __init__(
        self,
        servers: ServerFactory,
        captures: CaptureFactory,
        parties: Sequence[Party],
        *,
        transports: Sequence[str] = (),
        settings: dict[str, object] | None = None,
        options: Sequence[str] = (),
        watched: Sequence[int] = (),
        via: str = "",
        also: Mapping[str, str] | None = None,
    ) -> None:
        self.server: ServerProcess = servers(
            routes={
                **{f"{party.user[0]}>": via or party.uri for party in parties},
                **(also or {}),
            },
            settings=settings or {},
            options=[
                *(part for one in transports for part in ("--sip", f"{one}:127.0.0.1:0")),
                *options,
            ],
        )
        ports: dict[bool, set[int]] = {True: set(), False: set(watched)}
        for party in parties:
            ports[party.transport == "tls"].add(party.address[1])
        self.wire: Capture = captures(self.server, *ports[False], tls_ports=ports[True])

    def connect(self, caller: Phone, callee: Phone) -> tuple[int, int]:
        """A call that is answered, with voice both ways; its number in either phone."""
        address = self.server.listeners.get(caller.transport, self.server.sip)
        ours = caller.call(address, callee.user)
        theirs = int(callee.wait("incoming")["call"])
        for phone, call in ((caller, ours), (callee, theirs)):
            phone.wait("state", call=call, state="CONFIRMED")
            phone.wait("media", call=call, status="active")
        caller.wait_for_rtp(ours)
        callee.wait_for_rtp(theirs)
        return ours, theirs

    def hang_up(self, phone: Phone, call: int, other: Phone) -> None:
        """One end hangs up; returns when the other end has heard."""
        phone.do("hangup", call=call)
        phone.wait("state", call=call, state="DISCONNECTED")
        other.wait("state", state="DISCONNECTED")

    @property
    def guid(self) -> str:
        """That of the one call there is."""
        return str(self.server.wait_for_call("connected")["callGuid"])

    def finish(self, *, retransmissions: bool = False) -> list[Captured]:
        """No call and no unanswered request is left, and tshark has no complaint.

        Returns all that was said.
        """
        self.server.wait_until_idle()
        deadline = time.monotonic() + _LAST_WORDS
        while open_requests(self.wire.messages()):
            assert time.monotonic() < deadline, f"unanswered requests:\n{self.wire.ladder()}"
        return self.wire.check(retransmissions=retransmissions)


def open_requests(messages: Sequence[Captured]) -> set[tuple[str, tuple[int, str]]]:
    """Call-ID and CSeq of the requests that have no final response yet."""
    asked = {(m.call_id, m.cseq) for m in messages if m.method not in ("", "ACK")}
    return asked - {(m.call_id, m.cseq) for m in messages if m.status >= 200}


def between(messages: Sequence[Captured], one: Address, other: Address) -> list[Captured]:
    """The messages of these two, either way."""
    return [m for m in messages if {m.source, m.destination} == {one, other}]


def fields(message: Captured, name: str) -> list[str]:
    """The values of a header field, all of them."""
    lines = (line.partition(":") for line in message.head.split("\r\n")[1:])
    return [
        value.strip()
        for key, _, values in lines
        if key.strip().lower() == name.lower()
        for value in values.split(",")
    ]


def names(messages: Sequence[Captured]) -> list[str]:
    """What the messages are, provisional responses left out."""
    return [m.name for m in messages if not 100 <= m.status < 200]


def results(server: ServerProcess) -> list[tuple[str, list[int | None]]]:
    """Of each CDR its result and the final SIP code of each leg."""
    return [
        (record.call_result, [leg.sip_response_code for leg in record.legs])
        for record in server.cdrs()
    ]


def history(server: ServerProcess, guid: str) -> dict[str, Any]:
    """The events of a call with what each says."""
    return {entry["event"]: entry["details"] for entry in server.call(guid)["callHistory"]}
