"""Many REST clients in one process: what they do, and whether the errors they get are deserved."""

import asyncio
import base64
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from random import Random
from typing import Any, Final, get_args

from benchmarks.rest_client import PREFIX, RestError
from benchmarks.subjects import USER
from scenarios.runner import Address
from simulator.views import CallState

PATIENCE: Final = 30.0

_READERS: Final = 20  # one client in so many reads the events
_UNDER_WAY: Final = 10.0  # seconds in which what a command began explains a 409
_RING: Final = 1.5  # seconds until a call that was made is connected
_LARGEST: Final = 4 << 20  # of what is read at once

Reply = tuple[int, Mapping[str, str], bytes]
"""Status, header fields with their names in lower case, body."""


@dataclass(slots=True, eq=False)
class Command:
    """A request that changes a call; until it is answered, `answered` is infinite."""

    what: str
    sent: float
    answered: float = inf


class Ledger:
    """What was done to which call, so that errors can be explained."""

    def __init__(self) -> None:
        self._commands: defaultdict[str, list[Command]] = defaultdict(list)

    def note(self, guid: str, what: str, now: float) -> Command:
        """A command is sent."""
        command = Command(what, now)
        self._commands[guid].append(command)
        return command

    def explains(self, guid: str, status: int, since: float, but: Command | None) -> bool:
        """Whether what was done to a call explains an error of `but`, sent at `since`.

        For a 412 that is when the variables were read.
        """
        others = [one for one in self._commands.get(guid, ()) if one is not but]
        match status:
            case 404:
                return any(one.what == "terminate" for one in others)
            case 409:
                begun = since - _UNDER_WAY
                return any(one.what != "put" and one.answered >= begun for one in others)
            case 412:
                return any(one.what == "put" and one.answered >= since for one in others)
            case _:
                return False


class Calls:
    """The calls that are connected, as the events tell."""

    def __init__(self) -> None:
        self._guids: list[str] = []
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._guids)

    def add(self, guid: str) -> None:
        """A call is connected."""
        if guid not in self._places:
            self._places[guid] = len(self._guids)
            self._guids.append(guid)

    def remove(self, guid: str) -> None:
        """A call has ended."""
        place = self._places.pop(guid, None)
        if place is not None:
            last = self._guids.pop()
            if last != guid:
                self._guids[place] = last
                self._places[last] = place

    def any(self, random: Random) -> str:
        """One of them."""
        return random.choice(self._guids)


@dataclass(slots=True)
class Figures:
    """Milliseconds of the requests by operation, errors by cause, and what the readers had.

    `delays` are from an event to its arrival, `events` and `ends` the number of events and
    the last cursor of each reader, `made` the calls that REST has made.
    """

    times: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    deserved: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    undeserved: Counter[str] = field(default_factory=Counter)
    delays: list[float] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    made: int = 0


class Line:
    """One kept connection, HTTP/1.1 in clear."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        host, port = writer.get_extra_info("peername")[:2]
        token = base64.b64encode(USER.encode()).decode()
        self._head = f"Host: {host}:{port}\r\nAuthorization: Basic {token}\r\n"

    @classmethod
    @asynccontextmanager
    async def to(cls, server: Address) -> AsyncIterator["Line"]:
        """A line to a server, closed at the end."""
        reader, writer = await asyncio.open_connection(*server, limit=_LARGEST)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def ask(self, method: str, path: str, body: object = None, if_match: str = "") -> Reply:
        """The answer to a request; `body` is sent as JSON."""
        await self._send(method, path, body, if_match)
        status, fields = await self._read_head()
        return status, fields, await self._reader.readexactly(int(fields.get("content-length", 0)))

    async def chunks(self, path: str) -> AsyncIterator[bytes]:
        """The pieces of an answer that does not end. Raises RestError unless it is a 200."""
        await self._send("GET", path, None, "")
        status, _ = await self._read_head()
        if status != 200:
            raise RestError(f"GET {path}: {status}")
        while size := int(await self._reader.readline(), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]

    async def _send(self, method: str, path: str, body: object, if_match: str) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\n{self._head}"
        if if_match:
            head += f"If-Match: {if_match}\r\n"
        if body is not None:
            head += "Content-Type: application/json\r\n"
        if method != "GET":
            head += f"Content-Length: {len(data)}\r\n"
        self._writer.write(f"{head}\r\n".encode() + data)
        await self._writer.drain()

    async def _read_head(self) -> tuple[int, Mapping[str, str]]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        start, *lines = head.decode("latin-1").strip().split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return int(start.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}


class Client:
    """One client: it does one thing after the other, at random by the weights of its list."""

    def __init__(self, number: int, line: Line, crowd: "Crowd") -> None:
        self._line = line
        self._crowd = crowd
        self._random = Random(number)
        self._mix: Mapping[Callable[[], Awaitable[None]], int] = {
            self._list: 12,
            self._look: 20,
            self._variables: 12,
            self._transfer: 8,
            self._hold: 8,
            self._terminate: 2,
            self._originate: 4,
            self._health: 10,
            self._connectivity: 2,
            self._lookup: 8,
            self._records: 6,
            self._sessions: 8,
        }

    async def run(self, end: float) -> None:
        """Go on until `end` (monotonic)."""
        await asyncio.sleep(self._random.random() * self._crowd.pause)
        things, weights = list(self._mix), list(self._mix.values())
        while time.monotonic() < end:
            (thing,) = self._random.choices(things, weights)
            await thing()

    async def _ask(
        self,
        what: str,
        method: str,
        path: str,
        body: object = None,
        *,
        guid: str = "",
        read: float | None = None,
        tag: str = "",
    ) -> Reply:
        """Ask, keep the figures, and pause; `what` is the operation, `guid` its call."""
        figures, ledger = self._crowd.figures, self._crowd.ledger
        sent = time.monotonic()
        command = ledger.note(guid, what, sent) if guid and method != "GET" else None
        reply = await self._line.ask(method, path, body, tag)
        now = time.monotonic()
        if command is not None:
            command.answered = now
        status, _, text = reply
        figures.times[what].append((now - sent) * 1e3)
        if status >= 400:
            cause = json.loads(text)["details"].replace(guid or "-", "GUID")[:120]
            if ledger.explains(guid, status, sent if read is None else read, command):
                figures.deserved[what, status, _general(cause)] += 1
            else:
                figures.undeserved[f"{what}: {status} {cause}"] += 1
        await asyncio.sleep(self._crowd.pause * (0.5 + self._random.random()))
        return reply

    async def _of_call(self, what: str, method: str, rest: str, body: object = None) -> None:
        """One request about any call."""
        guid = self._crowd.calls.any(self._random)
        await self._ask(what, method, f"{PREFIX}/call/{guid}{rest}", body, guid=guid)

    # What a client does.

    async def _list(self) -> None:
        await self._ask("list of 100", "GET", f"{PREFIX}/call?limit=100")

    async def _look(self) -> None:
        await self._of_call("call", "GET", "")

    async def _variables(self) -> None:
        guid = self._crowd.calls.any(self._random)
        path = f"{PREFIX}/call/{guid}/variables"
        read = time.monotonic()
        status, fields, _ = await self._ask("variables", "GET", path, guid=guid)
        if status == 200:
            body = {"callVariables": {"callVariable1": str(self._random.random())}}
            tag = fields["etag"]
            await self._ask("put", "PUT", path, body, guid=guid, read=read, tag=tag)

    async def _transfer(self) -> None:
        kind = "consultation" if self._random.random() < 0.25 else "blind"
        body = {"destination": f"100{self._random.randint(1, 3)}", "transferType": kind}
        await self._of_call("transfer", "POST", "/transfer", body)

    async def _hold(self) -> None:
        guid = self._crowd.calls.any(self._random)
        path = f"/sim/v1/calls/{guid}"
        again = (await self._ask("hold", "POST", f"{path}/hold", guid=guid))[0] == 202
        while again:  # the far ends may not have answered yet
            status, _, text = await self._ask("resume", "POST", f"{path}/resume", guid=guid)
            again = status == 409 and b"try again" in text

    async def _terminate(self) -> None:
        await self._of_call("terminate", "POST", "/terminate")

    async def _originate(self) -> None:
        body = {"callingNumber": "1001", "destination": self._crowd.number}
        status, _, text = await self._ask("originate", "POST", "/sim/v1/calls", body)
        if status == 202:
            self._crowd.figures.made += 1
            guid = json.loads(text)["callGuid"]
            await asyncio.sleep(_RING)
            await self._ask("terminate", "POST", f"{PREFIX}/call/{guid}/terminate", guid=guid)

    async def _health(self) -> None:
        await self._ask("health", "GET", f"{PREFIX}/health")

    async def _connectivity(self) -> None:
        await self._ask("connectivity", "GET", f"{PREFIX}/health/connectivity")

    async def _lookup(self) -> None:
        body = {"dialedNumber": str(self._random.randint(1000, 9999))}
        await self._ask("lookup", "POST", f"{PREFIX}/routing/lookup", body)

    async def _records(self) -> None:
        await self._ask("records", "GET", "/cvp-reporting/rest/cdr?limit=20")

    async def _sessions(self) -> None:
        await self._ask("sessions of 100", "GET", f"{PREFIX}/sip/session?limit=100")


def _general(cause: str) -> str:
    """A cause without what is of one request alone: tags, and the fix."""
    return cause.partition(";")[0].partition(" is ")[0] if "If-Match" in cause else cause


class Crowd:
    """The clients, and what they share. `number` is what calls that they make lead to.

    `pause` is in seconds, in the mean, between two requests of a client.
    """

    def __init__(self, server: Address, number: str, pause: float) -> None:
        self.server = server
        self.number = number
        self.pause = pause
        self.ledger = Ledger()
        self.calls = Calls()
        self.figures = Figures()

    async def run(self, clients: int, seconds: float) -> None:
        """So many clients for so many seconds; what they began is over then.

        Raises RestError, OSError and EOFError, of clients in an ExceptionGroup.
        """
        readers = max(1, clients // _READERS)
        figures = self.figures
        figures.events, figures.ends = [0] * readers, [0] * readers
        following = [asyncio.create_task(self._follow(number)) for number in range(readers)]
        try:
            await _until(lambda: all(figures.ends), following, "the readers of events")
            await self._learn()
            end = time.monotonic() + seconds
            async with asyncio.TaskGroup() as group:
                for number in range(clients - readers):
                    group.create_task(self._client(number, end))
            await _until(
                lambda: min(figures.ends) == max(figures.ends), following, "the last event"
            )
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)

    async def end_calls(self) -> None:
        """End all calls, those that are being placed meanwhile among them. Raises RestError."""
        async with Line.to(self.server) as line:
            while True:
                for state in get_args(CallState):
                    body = {"state": state, "reason": "administrative"}
                    status, _, text = await line.ask("POST", "/sim/v1/calls/terminate", body)
                    if status != 200:
                        raise RestError(f"end of the calls: {status} {text[:300]!r}")
                await asyncio.sleep(0.5)
                _, _, text = await line.ask("GET", f"{PREFIX}/call?limit=1")
                if not json.loads(text)["totalActiveCalls"]:
                    return

    async def _client(self, number: int, end: float) -> None:
        async with Line.to(self.server) as line:
            await Client(number, line, self).run(end)

    async def _learn(self) -> None:
        """The calls that are there already."""
        path = f"{PREFIX}/call?limit=1000&state=connected"
        async with Line.to(self.server) as line:
            status, _, text = await line.ask("GET", path)
        if status != 200:
            raise RestError(f"GET {path}: {status} {text[:300]!r}")
        for call in json.loads(text)["calls"]:
            self.calls.add(call["callGuid"])

    async def _follow(self, number: int) -> None:
        """Read the events; the first reader keeps `calls`, the others only count."""
        figures = self.figures
        rest = b""
        async with Line.to(self.server) as line:
            async for piece in line.chunks("/sim/v1/events"):
                *frames, rest = (rest + piece).split(b"\n\n")
                now = time.time()
                for frame in frames:
                    cursor, is_event, data = read_frame(frame)
                    if cursor < figures.ends[number]:
                        raise RestError(f"event {cursor} came after {figures.ends[number]}")
                    figures.ends[number] = cursor
                    if is_event:
                        figures.events[number] += 1
                        if number == 0:
                            self._learn_from(json.loads(data), now)
        raise RestError("the server has ended the events")

    def _learn_from(self, event: Mapping[str, Any], now: float) -> None:
        at = datetime.fromisoformat(event["timestamp"]).timestamp()
        self.figures.delays.append((now - at) * 1e3)
        if event["eventType"] == "call.ended":
            self.calls.remove(event["callGuid"])
        elif event.get("state") == "connected":
            self.calls.add(event["callGuid"])


def read_frame(frame: bytes) -> tuple[int, bool, bytes]:
    """The cursor of a frame of the stream, whether it is an event, and its data."""
    fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if b": " in line)
    return int(fields[b"id"]), b"event" in fields, fields.get(b"data", b"")


async def _until(
    condition: Callable[[], bool], running: Sequence[asyncio.Task[None]], what: str
) -> None:
    """Wait; what one of the tasks that run meanwhile raises is raised here."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        for task in running:
            if task.done():
                task.result()
        if time.monotonic() > deadline:
            raise RestError(f"waited {PATIENCE:g} s for {what}")
        await asyncio.sleep(0.05)
