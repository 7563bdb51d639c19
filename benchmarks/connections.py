"""Many connections at once: one call over each of them, none lost.

``python -m benchmarks.connections --tls --connections 1000`` opens that many connections to
a `callsim serve` on 127.0.0.1, places a call over each, holds them until all are up, and
ends them. The exit code is 0 when every call was established and ended as it should.
"""

import argparse
import asyncio
import resource
import ssl
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scenarios.load.meters import cpu_seconds, resident_bytes
from scenarios.server import ServerProcess
from sip.aio.tls import client_context
from sip.message import Response, parse
from sip.stream import StreamFramer
from tests.support.certificates import Authority

PATIENCE: Final = 60.0
"""Seconds for the whole run."""

_MOST: Final = 5_000
_AT_ONCE: Final = 100  # connections being opened
_OFFER: Final = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\n"
)


class Failure(Exception):
    """A call that did not go as it should."""


@dataclass
class Figures:
    """What a run showed; times in seconds."""

    transport: str
    connections: int
    good: int = 0
    up_at_once: int = 0
    opening: float = 0.0
    setting_up: float = 0.0
    ending: float = 0.0
    server_cpu: float = 0.0
    server_memory: int = 0
    records: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        """Whether no call was lost, on either side."""
        return self.good == self.connections == self.up_at_once == self.records

    def __str__(self) -> str:
        calls = self.connections
        lines = [
            f"{self.transport}: {calls} connections, {self.up_at_once} calls up at once, "
            f"{calls - self.good} lost, {self.records} CDRs",
            f"  connections: {calls / self.opening:.0f}/s",
            f"  calls set up (INVITE to 200): {calls / self.setting_up:.0f}/s",
            f"  calls ended (BYE to 200): {calls / self.ending:.0f}/s",
            f"  server: {self.server_cpu:.2f} s of CPU, {self.server_cpu / calls * 1e6:.0f} us a "
            f"call and its connection; memory {self.server_memory / 1e6:.0f} MB",
        ]
        lines += [f"  {count} x {reason}" for reason, count in self.failures.most_common()]
        return "\n".join(lines)


class Caller:
    """One connection and the call over it."""

    def __init__(self, number: int, transport: str, server: tuple[str, int]) -> None:
        self._number = number
        self._transport = transport
        self._server = server
        self._framer = StreamFramer()
        self._messages: list[bytes] = []
        self._to = ""

    async def open(self, tls: ssl.SSLContext | None) -> None:
        """Connect."""
        host, port = self._server
        name = "localhost" if tls is not None else None
        self._reader, self._writer = await asyncio.open_connection(
            host, port, ssl=tls, server_hostname=name
        )
        self._host, self._port = self._writer.get_extra_info("sockname")[:2]

    async def set_up(self) -> None:
        """INVITE to ACK."""
        self._send("INVITE", 1, _OFFER)
        answer = await self._final()
        self._to = answer.get("to") or ""
        self._send("ACK", 1)

    async def end(self) -> None:
        """BYE to its 200."""
        self._send("BYE", 2)
        await self._final()

    def close(self) -> None:
        """Close the connection at once."""
        self._writer.transport.abort()

    def _send(self, method: str, number: int, body: str = "") -> None:
        place = f"{self._host}:{self._port}"
        host, port = self._server
        transport = self._transport.lower()
        branch = f"z9hG4bK{self._number}{method if method != 'BYE' else 'b'}"
        lines = [
            f"{method} sip:5000@{host}:{port};transport={transport} SIP/2.0",
            f"Via: SIP/2.0/{self._transport} {place};branch={branch}",
            "Max-Forwards: 70",
            f"From: <sip:{self._number}@{place}>;tag={self._number}",
            f"To: {self._to or f'<sip:5000@{host}:{port}>'}",
            f"Call-ID: {self._number}-{place}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:{self._number}@{place};transport={transport}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self._writer.write(("\r\n".join(lines) + f"\r\n\r\n{body}").encode())

    async def _final(self) -> Response:
        while True:
            while not self._messages:
                data = await self._reader.read(65_536)
                if not data:
                    raise Failure("the connection was closed")
                self._messages += self._framer.feed(data)
            message = parse(self._messages.pop(0))
            if not isinstance(message, Response):
                raise Failure(f"{message.method} came")
            if message.status >= 300:
                raise Failure(f"{message.status} {message.reason}")
            if message.status >= 200:
                return message


async def _all(callers: list[Caller], figures: Figures, step: str) -> tuple[list[Caller], float]:
    """Take one step with each; who went well, and how long it took."""
    begun = time.perf_counter()
    outcomes = await asyncio.gather(
        *[getattr(caller, step)() for caller in callers], return_exceptions=True
    )
    well: list[Caller] = []
    for caller, outcome in zip(callers, outcomes, strict=True):
        if outcome is None:
            well.append(caller)
        elif isinstance(outcome, Failure | OSError):
            figures.failures[f"{step}: {outcome}"] += 1
        else:
            raise outcome
    return well, time.perf_counter() - begun


async def _run(
    figures: Figures, server: ServerProcess, address: tuple[str, int], tls: ssl.SSLContext | None
) -> None:
    callers = [Caller(n, figures.transport, address) for n in range(figures.connections)]
    turn = asyncio.Semaphore(_AT_ONCE)

    async def opened(caller: Caller) -> None:
        async with turn:
            await caller.open(tls)

    async with asyncio.timeout(PATIENCE):
        begun = time.perf_counter()
        await asyncio.gather(*[opened(caller) for caller in callers])
        figures.opening = time.perf_counter() - begun
        up, figures.setting_up = await _all(callers, figures, "set_up")
        figures.up_at_once = await asyncio.to_thread(_active, server)
        figures.server_memory = resident_bytes(server.pid)
        ended, figures.ending = await _all(up, figures, "end")
        figures.good = len(ended)
        for caller in callers:
            caller.close()


def _active(server: ServerProcess) -> int:
    return int(server.rest("GET", "/call?limit=1")["totalActiveCalls"])


def measure(transport: str, connections: int, directory: Path) -> Figures:
    """One run against a server of its own; `transport` is TCP or TLS."""
    figures = Figures(transport, connections)
    settings: dict[str, object] = {}
    tls: ssl.SSLContext | None = None
    if transport == "TLS":
        authority = Authority(directory)
        issued = authority.issue("localhost", "127.0.0.1")
        settings = {"sip.tls.certificate": issued.certificate, "sip.tls.key": issued.key}
        tls = client_context(ca=authority.ca)
        tls.check_hostname = True
    options = ["--sip", f"{transport.lower()}:127.0.0.1:0"]
    with ServerProcess(
        directory / "server", settings=settings, options=options, lab=True
    ) as server:
        before = cpu_seconds(server.pid)
        asyncio.run(_run(figures, server, server.listeners[transport.lower()], tls))
        server.wait_until_idle()
        figures.server_cpu = cpu_seconds(server.pid) - before
        figures.records = sum(cdr.call_result == "completed" for cdr in server.cdrs())
    return figures


def main() -> int:
    """Run as told by the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.connections", description=__doc__)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--tls", action="store_const", const="TLS", dest="transport")
    kind.add_argument("--tcp", action="store_const", const="TCP", dest="transport")
    parser.add_argument("--connections", type=int, default=1000, metavar="N")
    options = parser.parse_args()
    if not 1 <= options.connections <= _MOST:
        parser.error(f"--connections: {options.connections} is not from 1 to {_MOST}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(options.transport or "TCP", options.connections, Path(directory))
    print(figures)
    return 0 if figures.clean else 1


if __name__ == "__main__":
    sys.exit(main())
