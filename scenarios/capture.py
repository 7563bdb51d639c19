"""What is on the wire, as tshark understands it: the judge between the API and the stack."""

import json
import os
import re
import shutil
import socket
import subprocess  # nosec B404 # tshark, without a shell
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scenarios.child import Child
from sip.stream import FramingError, StreamFramer

WARNING: Final = 0x600000
ERROR: Final = 0x800000
"""Severities of Wireshark's expert information."""

_NOT_ALLOWED: Final = "tshark does not capture (it takes root or the group wireshark)"
_START: Final = 20.0
_NUDGE: Final = 0.1
_FIELDS: Final = (
    "frame.time_epoch ip.src udp.srcport ip.dst udp.dstport udp.payload tcp.srcport "
    "tcp.dstport tcp.stream tcp.payload tcp.analysis.retransmission sip.Method "
    "sip.Status-Code sip.r-uri sip.Call-ID sip.CSeq.seq sip.CSeq.method sip.from.tag sip.to.tag "
    "sip.from.addr sip.to.addr sip.Reason sip.resend sip.msg_hdr sip.Request-Line "
    "sip.Status-Line _ws.malformed _ws.expert.severity _ws.expert.message"
).split()
_TO: Final = re.compile(rb"\r\n(?:to|t)[ \t]*:[^\r]*", re.IGNORECASE)

Address = tuple[str, int]


class CaptureError(Exception):
    """tshark cannot be run, or it found fault with what it saw."""


class TsharkMissing(CaptureError):
    """There is no tshark on this machine."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One SIP message on the wire, its parts as tshark's dissector reads them.

    `transport` is "udp", "tcp" or "tls". `method` is that of a request, "" in a response; `status`
    that of a response, 0 in a request; `cseq` the number and method of CSeq. `resent` marks a
    retransmission. `severity` is the highest of the dissector's complaints, `complaints`
    their texts.
    """

    time: float
    source: Address
    destination: Address
    transport: str
    data: bytes
    method: str
    status: int
    uri: str
    call_id: str
    cseq: tuple[int, str]
    from_tag: str
    to_tag: str
    from_uri: str
    to_uri: str
    reason: str
    resent: bool
    malformed: bool
    severity: int
    complaints: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.time:.3f} {self.source[1]} -> {self.destination[1]} "
            f"{self.method or self.status} (CSeq {self.cseq[0]} {self.cseq[1]}, {self.call_id})"
            f"{' RETRANSMISSION' if self.resent else ''}{''.join(f' {c}' for c in self.complaints)}"
        )

    @property
    def name(self) -> str:
        """The method of a request, ``200 INVITE`` and the like of a response."""
        return self.method or f"{self.status} {self.cseq[1]}"

    @property
    def head(self) -> str:
        """The message without its body."""
        return self.data.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")

    @property
    def body(self) -> str:
        """What follows the header."""
        return self.data.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")

    def header(self, name: str) -> str:
        """The first header field of this name, in its long form; "" when it is missing."""
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.strip().lower() == name.lower():
                return value.strip()
        return ""


class Capture:
    """Captures all SIP from and to some UDP and TCP ports of the loopback interface.

    On `tls_ports` it is decrypted by the file that SSLKEYLOGFILE names, if the server was
    started with the same.
    It captures once this is made: a datagram of its own has been seen. Raises TsharkMissing,
    and CaptureError when tshark may not capture.
    """

    def __init__(
        self, directory: Path, ports: Iterable[int], tls_ports: Iterable[int] = ()
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        program = _tshark()
        dumpcap = shutil.which("dumpcap")
        if dumpcap is None:  # Debian lets only root and the group wireshark see it
            raise CaptureError(_NOT_ALLOWED)
        self._probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._probe.bind(("127.0.0.1", 0))
        self._mark: int = self._probe.getsockname()[1]
        secret = set(tls_ports)
        wanted = set(ports) - secret
        terms = " or ".join(f"port {port}" for port in [*wanted, *secret, self._mark])
        kinds = [f"{lower}.port=={port},sip" for port in wanted for lower in ("udp", "tcp")]
        for port in secret:
            kinds += [f"tcp.port=={port},tls", f"tls.port=={port},sip"]
        decode = [part for kind in kinds for part in ("-d", kind)]
        decode += ["-o", f"tls.keylog_file:{os.environ.get('SSLKEYLOGFILE', '')}"]
        self._tls_ports = {str(port) for port in secret}
        fields = [part for field in _FIELDS for part in ("-e", field)]
        # tshark's own capture looks for packets twice a second; through a pipe they come at once.
        capture = [dumpcap, "-q", "-i", "lo", "-f", terms, "-P", "-w", "-"]
        command = [program, "-l", "-n", "-r", "-", *decode, "-T", "ek", *fields]
        self._dumpcap = Child(capture, directory / "dumpcap.log", piped=True)
        self._child = Child(command, directory / "tshark.log", piped=True, source=self._dumpcap)
        self._marks_sent = 0
        self._marks_seen = 0
        self._forgotten = 0  # the mark at which the messages begin
        self._places: dict[int, int] = {}  # how many messages came before each mark
        self._messages: list[Captured] = []
        # Each way of each connection; None where it is no SIP.
        self._streams: dict[tuple[str, str], StreamFramer | None] = {}
        try:
            self._read_to_mark(_START, again=True)
        except CaptureError:
            self.close()
            raise

    def messages(self) -> list[Captured]:
        """Everything that was on the wire until now, in order."""
        self._read_to_mark(_START)
        return list(self._messages)

    def forget(self) -> None:
        """What is asked for from here on begins here."""
        self._forgotten = self.mark()

    def mark(self) -> int:
        """A moment to be found again by `place`; dumpcap is not waited for, as `messages` does.

        It hands on what it has four times a second.
        """
        self._send_mark()
        return self._marks_sent

    def place(self, mark: int) -> int:
        """How many of the `messages` that have been asked for meanwhile came before a mark."""
        return self._places[mark]

    def named(self, name: str) -> list[Captured]:
        """The messages of this `Captured.name`."""
        return [message for message in self.messages() if message.name == name]

    def wait_for(self, condition: Callable[[Captured], bool], seconds: float = 15.0) -> Captured:
        """The first message that meets the condition. Raises CaptureError when none comes."""
        deadline = time.monotonic() + seconds
        if self._marks_seen < self._forgotten:
            self._read_to_mark(seconds)
        looked = 0
        while True:
            for message in self._messages[looked:]:
                if condition(message):
                    return message
            looked = len(self._messages)
            line = self._child.line(deadline - time.monotonic())
            if line is None:
                raise CaptureError(f"no such message in {seconds:g} s:\n{self.ladder()}")
            self._take(line)

    def check(self, *, retransmissions: bool = False, severity: int = WARNING) -> list[Captured]:
        """All messages; raises CaptureError when one is faulty or comes again.

        Faulty is what tshark calls malformed, or complains of at `severity` or above. With
        `retransmissions` messages may come again.
        """
        found = self.messages()
        for message in found:
            if message.malformed or message.severity >= severity:
                raise CaptureError(f"faulty: {message}\n{message.head}\n\n{self.ladder()}")
            if message.resent and not retransmissions:
                raise CaptureError(f"retransmitted: {message}\n\n{self.ladder()}")
        if not found:
            raise CaptureError("no SIP was captured")
        return found

    def ladder(self) -> str:
        """The messages so far, one on a line."""
        return "\n".join(map(str, self._messages))

    def close(self) -> None:
        """End tshark."""
        self._probe.close()
        self._dumpcap.end()
        self._child.end()

    def _read_to_mark(self, seconds: float, *, again: bool = False) -> None:
        """Send a datagram and read until tshark has seen it; with `again` until one is seen."""
        deadline = time.monotonic() + seconds
        target = self._send_mark()
        while self._marks_seen < target:
            line = self._child.line(_NUDGE if again else deadline - time.monotonic())
            if line is not None:
                self._take(line)
            elif self._child.wait(0) is not None or time.monotonic() > deadline:
                errors = f"{self._dumpcap.error_text()} {self._child.error_text()}"
                raise CaptureError(f"{_NOT_ALLOWED}: {errors}")
            elif again:
                self._send_mark()

    def _send_mark(self) -> int:
        self._marks_sent += 1
        self._probe.sendto(b"%d" % self._marks_sent, ("127.0.0.1", self._mark))
        return 1 if self._marks_seen == 0 else self._marks_sent

    def _take(self, line: str) -> None:
        layers = json.loads(line).get("layers")
        if layers is None:  # the index line before each packet
            return
        if _first(layers, "udp.dstport") == str(self._mark):
            number = int(bytes.fromhex(_first(layers, "udp.payload").replace(":", "")))
            self._marks_seen = max(self._marks_seen, number)
            if number == self._forgotten:
                self._messages.clear()
                self._places.clear()
            self._places[number] = len(self._messages)
        elif _first(layers, "udp.payload"):
            data = bytes.fromhex(_first(layers, "udp.payload").replace(":", ""))
            self._messages.append(_captured(layers, "udp", [data])[0])
        elif self._tls_ports & {_first(layers, "tcp.srcport"), _first(layers, "tcp.dstport")}:
            self._messages += _captured(layers, "tls", _decrypted(layers))
        elif _first(layers, "tcp.payload") and not _values(layers, "tcp.analysis.retransmission"):
            self._messages += _captured(layers, "tcp", self._cut(layers))

    def _cut(self, layers: dict[str, Any]) -> list[bytes]:
        """The SIP messages that end in this TCP segment."""
        data = bytes.fromhex(_first(layers, "tcp.payload").replace(":", ""))
        way = (_first(layers, "tcp.stream"), _first(layers, "tcp.srcport"))
        if way not in self._streams:
            # A connection to the API may have been given the port of somebody's UDP socket.
            foreign = b"HTTP/1." in data.partition(b"\r\n")[0]
            self._streams[way] = None if foreign else StreamFramer()
        framer = self._streams[way]
        try:
            return [] if framer is None else framer.feed(data)
        except FramingError as error:
            raise CaptureError(f"no SIP in TCP: {error}\n\n{self.ladder()}") from error


def _tshark() -> str:
    program = shutil.which("tshark")
    if program is None:
        raise TsharkMissing("tshark is not installed: apt-get install tshark (Debian, Ubuntu)")
    return program


def read_capture(file: Path) -> list[Captured]:
    """The SIP messages of a capture file that has one in each packet, or its last segment.

    tshark is told nothing of ports, but to look at what is in a packet first: whatever free port
    a test was given may be that of some other protocol. Raises TsharkMissing.
    """
    fields = [part for field in _FIELDS for part in ("-e", field)]
    first = [part for one in ("udp", "tcp") for part in ("-o", f"{one}.try_heuristic_first:TRUE")]
    command = [_tshark(), "-n", "-r", str(file), *first, "-T", "ek", *fields]
    done = subprocess.run(command, capture_output=True, check=True)  # nosec B603 # no shell
    found = done.stdout
    messages: list[Captured] = []
    for line in found.splitlines():
        layers = json.loads(line).get("layers")
        if layers is not None:
            lower = "udp" if _first(layers, "udp.payload") else "tcp"
            data = bytes.fromhex(_first(layers, f"{lower}.payload").replace(":", ""))
            messages += _captured(layers, lower, [data])
    return messages


def _decrypted(layers: dict[str, Any]) -> list[bytes]:
    """The SIP messages that end in this segment of a TLS connection."""
    requests = iter(_values(layers, "sip.Request-Line"))
    responses = iter(_values(layers, "sip.Status-Line"))
    found = []
    for rest in _values(layers, "sip.msg_hdr"):  # the body as well
        line = next(requests if "\r\nMax-Forwards:" in rest else responses)
        found.append(f"{line}\r\n{rest}".encode())
    return found


def _values(layers: dict[str, Any], field: str) -> list[str]:
    return list(layers.get(field.replace(".", "_"), ()))


def _first(layers: dict[str, Any], field: str) -> str:
    return next(iter(_values(layers, field)), "")


def _captured(layers: dict[str, Any], transport: str, found: list[bytes]) -> list[Captured]:
    """The messages of one packet: in a stream there may be none, or several."""
    seen: Counter[str] = Counter()
    lower = "udp" if transport == "udp" else "tcp"

    def take(field: str) -> str:
        """The field of the next message: tshark lists those of all messages in order."""
        values = _values(layers, field)
        seen[field] += 1
        return values[seen[field] - 1] if seen[field] <= len(values) else ""

    def one(data: bytes) -> Captured:
        response = data.startswith(b"SIP/2.0 ")
        tagged = b";tag=" in _to_line(data)
        return Captured(
            time=float(_first(layers, "frame.time_epoch")),
            source=(_first(layers, "ip.src"), int(_first(layers, f"{lower}.srcport"))),
            destination=(_first(layers, "ip.dst"), int(_first(layers, f"{lower}.dstport"))),
            transport=transport,
            data=data,
            method="" if response else take("sip.Method"),
            status=int(take("sip.Status-Code") or 0) if response else 0,
            uri="" if response else take("sip.r-uri"),
            call_id=take("sip.Call-ID"),
            cseq=(int(take("sip.CSeq.seq") or 0), take("sip.CSeq.method")),
            from_tag=take("sip.from.tag"),
            to_tag=take("sip.to.tag") if tagged else "",
            from_uri=take("sip.from.addr"),
            to_uri=take("sip.to.addr"),
            reason=take("sip.Reason") if b"\r\nReason:" in data else "",
            resent=_first(layers, "sip.resend") not in ("", "0", "False", "false"),
            malformed=bool(_values(layers, "_ws.malformed")),
            severity=max(severities, default=0),
            complaints=tuple(_values(layers, "_ws.expert.message")),
        )

    severities = [int(value, 0) for value in _values(layers, "_ws.expert.severity")]
    return [one(data) for data in found]


def _to_line(data: bytes) -> bytes:
    found = _TO.search(data)
    return found[0] if found else b""
