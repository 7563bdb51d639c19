"""A caller on a UDP socket of its own that knows when each message was on the wire.

SIPp measures with a clock of 1 ms; here the kernel stamps what arrives, as it does for
tshark, and what is sent is timed just before the system call that sends it. One thread, no
retransmissions of its own: on loopback nothing is lost, and what comes again is counted.
"""

import os
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

from scenarios.runner import LOOPBACK, Address
from sip.message import Request, Response, parse

_STAMPED: Final = 35  # SO_TIMESTAMPNS and SCM_TIMESTAMPNS of Linux
_STAMP: Final = struct.Struct("qq")
_LARGEST: Final = 65_535
_BUFFER: Final = 4 << 20
_PATIENCE: Final = 10.0
_OFFER: Final = (
    "v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n"
    "t=0 0\r\nm=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


@dataclass(slots=True, eq=False)
class PlacedCall:
    """A call; times in nanoseconds since the epoch, 0 for what has not been.

    `guid` is the GUID that a Call Server knows it by; a call that is not to be held gets its
    BYE together with the ACK. `ended` is when BYE came, or when ours was answered.
    """

    number: int
    guid: str
    call_id: str
    hold: bool
    invited: int = 0
    answered: int = 0
    ended: int = 0
    to: str = ""
    target: str = ""
    hung_up: bool = False

    @property
    def delay(self) -> float:
        """Seconds from INVITE to its 200."""
        return (self.answered - self.invited) / 1e9


class Caller:
    """Calls to `number` at `server`; those that are not over are in `calls`, by Call-ID.

    `repeated` counts messages that came again, `problems` what went wrong, by its name.
    """

    def __init__(self, server: Address, number: str) -> None:
        self.calls: dict[str, PlacedCall] = {}
        self.repeated = 0
        self.placed = 0
        self.problems: Counter[str] = Counter()
        self._ended: set[str] = set()
        self._uri = f"sip:{number}@{server[0]}:{server[1]}"
        self._mark = os.urandom(4).hex()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, _STAMPED, 1)
        self._socket.bind((LOOPBACK, 0))
        self._socket.connect(server)
        self._here = f"{LOOPBACK}:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    # What it sends.

    def place(self, *, hold: bool = False) -> PlacedCall:
        """Send INVITE."""
        number = self.placed
        self.placed += 1
        guid = f"{self._mark}{number:08x}".upper().rjust(32, "0")
        call = PlacedCall(number, guid, f"{number}-{self._mark}@{LOOPBACK}", hold)
        self.calls[call.call_id] = call
        call.to = f"<{self._uri}>"
        lines = f"Cisco-Gucid: {guid}\r\nContact: <sip:bench@{self._here}>\r\n"
        data = self._request(call, "INVITE", 1, self._uri, lines, _OFFER)
        call.invited = time.time_ns()
        self._socket.send(data)
        return call

    def hang_up(self, call: PlacedCall) -> None:
        """Send BYE."""
        call.hung_up = True
        self._socket.send(self._request(call, "BYE", 2, call.target))

    def _request(
        self,
        call: PlacedCall,
        method: str,
        cseq: int,
        uri: str,
        lines: str = "",
        body: str = "",
    ) -> bytes:
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self._here};branch=z9hG4bK{self._mark}-{call.number}-{method}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:bench@{self._here}>;tag={call.number}\r\n"
            f"To: {call.to}\r\nCall-ID: {call.call_id}\r\nCSeq: {cseq} {method}\r\n"
            f"{lines}{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    # What it receives.

    def receive(self, deadline: float) -> bool:
        """Handle the next message; False when none comes until `deadline` (monotonic)."""
        try:
            # 0 would mean something else: not to wait at all, but with another error.
            self._socket.settimeout(max(1e-6, deadline - time.monotonic()))
            data, stamps, _flags, _address = self._socket.recvmsg(
                _LARGEST, socket.CMSG_SPACE(_STAMP.size)
            )
        except TimeoutError:
            return False
        ((_level, _type, stamp),) = stamps
        seconds, nanoseconds = _STAMP.unpack(stamp)
        self._take(parse(data), seconds * 1_000_000_000 + nanoseconds)
        return True

    def receive_until(self, deadline: float) -> None:
        """Handle what comes until `deadline` (monotonic)."""
        while self.receive(deadline):
            pass

    def settle(self, seconds: float) -> bool:
        """Handle what comes until every call is up to stay or over; False if that is not to
        be within `seconds`."""
        deadline = time.monotonic() + seconds
        while self._unsettled and self.receive(deadline):
            pass
        return not self._unsettled

    @property
    def _unsettled(self) -> int:
        """Calls that are still being set up or ended."""
        calls = self.calls.values()
        return sum(not (call.hold and call.answered) or call.hung_up for call in calls)

    def _take(self, message: Request | Response, at: int) -> None:
        if message.defect is not None:
            self.problems[f"malformed: {message.defect}"] += 1
            return
        call = self.calls.get(message.call_id)
        if isinstance(message, Request):
            self._requested(message, call, at)
        elif message.status >= 200:
            self._answered(message, call, at)

    def _requested(self, request: Request, call: PlacedCall | None, at: int) -> None:
        if request.method == "BYE":
            if call is None:
                self.repeated += request.call_id in self._ended
            else:
                self._end(call, at)
        elif request.method != "OPTIONS":
            self.problems[f"{request.method} came"] += 1
        copied = "".join(
            f"{name}: {value}\r\n"
            for name, value in request.lines()
            if name.lower() in ("via", "from", "to", "call-id", "cseq")
        )
        self._socket.send(f"SIP/2.0 200 OK\r\n{copied}Content-Length: 0\r\n\r\n".encode())

    def _answered(self, response: Response, call: PlacedCall | None, at: int) -> None:
        method = response.cseq[1]
        if call is None or (method == "INVITE" and call.answered):
            self.repeated += 1
            return
        if response.status >= 300:
            self.problems[f"{response.status} to {method}"] += 1
            self._end(call, at)
        elif method == "BYE":
            self._end(call, at)
        else:
            call.answered = at
            call.to = response.get("to") or ""
            contact = response.contact
            call.target = contact.uri if contact is not None else self._uri
            self._socket.send(self._request(call, "ACK", 1, call.target))
            if not call.hold:
                self.hang_up(call)

    def _end(self, call: PlacedCall, at: int) -> None:
        call.ended = at
        self._ended.add(call.call_id)
        del self.calls[call.call_id]

    # Calls in numbers.

    def hold(self, calls: int, rate: float) -> None:
        """Place `calls` calls and keep them up."""
        start = time.monotonic()
        for number in range(calls):
            self.receive_until(start + number / rate)
            self.place(hold=True)
        self._finish("set up")

    def hang_up_all(self, rate: float) -> None:
        """End every call."""
        start = time.monotonic()
        for number, call in enumerate(list(self.calls.values())):
            self.receive_until(start + number / rate)
            if call.call_id in self.calls:
                self.hang_up(call)
        self._finish("ended")

    def _finish(self, done: str) -> None:
        if not self.settle(_PATIENCE):
            self.problems[f"{self._unsettled} calls were not {done} in time"] += 1

    def all_problems(self, allowed: int = 0) -> list[str]:
        """What went wrong, with more messages that came again than `allowed`."""
        found = [f"{count} x {text}" for text, count in self.problems.items()]
        if self.repeated > allowed:
            found.append(f"{self.repeated} messages came again")
        return found
