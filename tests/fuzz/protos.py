"""Each field of each message with each anomaly, to a `callsim serve` of its own on 127.0.0.1.

Over UDP, TCP and TLS, inside calls that are good until then. After each group a good call must
still go through, and at the end nothing may be left of any.
"""

import asyncio
import ssl
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from scenarios.runner import free_port
from scenarios.server import ServerError, ServerProcess
from tests.fuzz.anomalies import Case, cases
from tests.fuzz.callee import RESPONSES, Callee
from tests.fuzz.lines import HOST, Call, Line, Peer, filled, new_id, template
from tests.fuzz.run import resident
from tests.fuzz.seeds import BODIES, MULTIPART, OWN, TYPES
from tests.support.certificates import Authority

TRANSPORTS: Final = ("UDP", "TCP", "TLS")
_ANSWERED: Final = "5000"  # by the server itself
_CALLEES: Final = {"UDP": "210", "TCP": "220", "TLS": "230"}  # ours
_AT_ONCE: Final = 4  # calls
_BIG: Final = 4_000  # octets of a datagram after which the server is waited for
_MOMENT: Final = 0.05  # seconds for connections on which the server waits for more
_GONE: Final = 60.0  # seconds for all calls to run out


@dataclass
class Pass:
    """What one transport saw."""

    transport: str
    messages: int = 0
    octets: int = 0
    seconds: float = 0.0
    good_calls: int = 0
    groups: int = 0
    memory: int = 0  # resident at its end, in octets
    statuses: Counter[int] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        answers = ", ".join(f"{status}: {n:,}" for status, n in sorted(self.statuses.items()))
        return (
            f"{self.transport}: {self.messages:,} messages of {self.groups} kinds, "
            f"{self.octets / 1e6:,.1f} MB, in {self.seconds:.1f} s; "
            f"{self.good_calls:,} good calls among them; {self.memory / 1e6:.1f} MB then\n"
            f"  answers: {answers}"
        )


@dataclass
class Outcome:
    """What a run found; memory in octets."""

    passes: list[Pass] = field(default_factory=list)
    memory_before: int = 0
    memory_after: int = 0
    files_before: int = 0  # open
    files_after: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __str__(self) -> str:
        messages = sum(one.messages for one in self.passes)
        seconds = sum(one.seconds for one in self.passes)
        lines = [
            *map(str, self.passes),
            f"in all {messages:,} messages in {seconds:.0f} s; "
            f"crashes, errors, calls left: {len(self.findings)}",
            f"resident memory: {self.memory_before / 1e6:.1f} MB before, "
            f"{self.memory_after / 1e6:.1f} MB after; "
            f"open files: {self.files_before} before, {self.files_after} after",
        ]
        return "\n".join(lines)


Play = Callable[["Run", Sequence[Case]], Awaitable[None]]


class Group(NamedTuple):
    """One message, and how its cases are put to the server."""

    name: str
    message: bytes
    play: Play


class Run:
    """One transport: the groups, one after the other."""

    def __init__(self, peer: Peer, callee: Callee, result: Pass) -> None:
        self.peer = peer
        self.callee = callee
        self.result = result
        self.rings = _CALLEES[peer.transport]
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def group(self, group: Group, every: int) -> None:
        """Play each `every`-th case of a group, then a good call."""
        result = self.result
        chosen = list(cases(group.message))[result.groups % every :: every]
        try:
            await group.play(self, chosen)
            await self.good_call()
        except (OSError, TimeoutError, AssertionError) as error:
            result.findings.append(f"{result.transport}, {group.name}: {error!r}")
        result.groups += 1
        result.messages += len(chosen)
        result.octets += sum(len(case.data) for case in chosen)

    async def good_call(self) -> None:
        """A call is answered, and hung up."""
        async with self.peer.line() as line:
            call = Call(line, _ANSWERED)
            await call.connect()
            status = await call.hang_up()
            assert status == 200, f"BYE of a good call: {status}"
        self.result.good_calls += 1

    async def put(self, line: Line, messages: Sequence[bytes]) -> None:
        """Send messages: as datagrams on `line`, or each on a connection of its own."""
        if line.transport == "UDP":
            for data in messages:
                line.send(data)
                if len(data) > _BIG:
                    await line.reached()
            await line.reached()
            return
        async with AsyncExitStack() as stack:
            lines = [await stack.enter_async_context(self.peer.line()) for _ in messages]
            for one, data in zip(lines, messages, strict=True):
                one.send(data)
            # Where the length is what is wrong, the server closes or waits for more.
            looks = [asyncio.create_task(_settled(one)) for one in lines]
            _, waiting = await asyncio.wait(looks, timeout=_MOMENT)
            for look in waiting:
                look.cancel()

    async def each(self, chosen: Sequence[Case], size: int, play: Play) -> None:
        """`size` cases in a call, some calls at a time."""

        async def one(at: int) -> None:
            async with self._slots:
                await play(self, chosen[at : at + size])

        await asyncio.gather(*(one(at) for at in range(0, len(chosen), size)))


async def _settled(line: Line) -> None:
    with suppress(ConnectionError):
        await line.reached()


async def outside(run: Run, chosen: Sequence[Case]) -> None:
    """Requests outside a dialog, each with ids of its own."""
    for at in range(0, len(chosen), 16):
        async with run.peer.line() as line:
            part = chosen[at : at + 16]
            await run.put(line, [filled(c.data, line, new_id(), "", 1, new_id()) for c in part])


def inside(size: int) -> Play:
    """`size` requests in an established call, then another call."""

    async def in_call(run: Run, chosen: Sequence[Case]) -> None:
        async with run.peer.line() as line:
            call = Call(line, _ANSWERED)
            await call.connect()
            made = [call.fill(case.data, at, new_id()) for at, case in enumerate(chosen, 2)]
            await run.put(line, made)
            call.cseq += len(made)
            status = await call.hang_up()
            assert status in (200, 481), f"BYE: {status}, after {[case[:2] for case in chosen]}"
        run.result.good_calls += 1

    return lambda run, chosen: run.each(chosen, size, in_call)


async def _acknowledge(run: Run, chosen: Sequence[Case]) -> None:
    async with run.peer.line() as line:
        call = Call(line, _ANSWERED)
        assert await call.invite() == 200
        await run.put(line, [call.fill(case.data, 1, new_id()) for case in chosen])
        await call.end(200)


async def _cancel(run: Run, chosen: Sequence[Case]) -> None:
    async with run.peer.line() as line:
        call = Call(line, run.rings)
        assert await call.invite(least=101) == 180
        call.to_tag = ""
        await run.put(line, [call.fill(case.data, 1, call.call_id) for case in chosen])
        await call.cancel()


async def _confirm(run: Run, chosen: Sequence[Case]) -> None:
    async with run.peer.line() as line:
        call = Call(line, run.rings, {"Require": "100rel"})
        assert await call.invite(least=101) == 180
        await run.put(line, [call.fill(c.data, at, new_id()) for at, c in enumerate(chosen, 2)])
        await call.cancel()


async def _respond(run: Run, chosen: Sequence[Case]) -> None:
    """Calls to our callee: it answers with a case each, then with 486."""
    run.callee.cases.extend(case.data for case in chosen)
    for _ in chosen:
        async with run.peer.line() as line:
            call = Call(line, run.rings)
            await call.end(await call.invite())


async def responding(run: Run, chosen: Sequence[Case]) -> None:
    """The callee refuses what it has no case for."""
    run.callee.refuses = True
    await run.each(chosen, 10, _respond)
    assert not run.callee.cases, f"{len(run.callee.cases)} responses were not asked for"
    run.callee.refuses = False


def in_calls(size: int, play: Play) -> Play:
    """`size` cases in each call."""
    return lambda run, chosen: run.each(chosen, size, play)


def groups(callee: Callee) -> Iterator[Group]:
    """All of them; the callee has had a call, which its responses are made for."""
    number = _ANSWERED
    multipart = {"Content-Type": "multipart/mixed;boundary=b"}
    for method in ("INVITE", "OPTIONS", "REGISTER", "SUBSCRIBE", "REFER", "NOTIFY"):
        yield Group(f"{method} outside", made(method, number), outside)
    text = template("INVITE", number, MULTIPART, multipart)
    yield Group("INVITE, multipart", text, outside)
    yield Group("ACK", made("ACK", number), in_calls(10, _acknowledge))
    yield Group("INVITE inside", made("INVITE", number), inside(1))
    for method in ("UPDATE", "INFO", "NOTIFY", "SUBSCRIBE", "OPTIONS", "PRACK"):
        yield Group(f"{method} inside", made(method, number), inside(10))
    yield Group("REFER inside", made("REFER", number), inside(5))
    yield Group("BYE", made("BYE", number), inside(1))
    yield Group("CANCEL", made("CANCEL", callee.number), in_calls(1, _cancel))
    yield Group("PRACK of 180", made("PRACK", callee.number), in_calls(5, _confirm))
    for status, lines, body in RESPONSES:
        yield Group(f"{status} to INVITE", callee.response(status, lines, body), responding)


def made(method: str, number: str) -> bytes:
    """A request with all the fields that a method may have, none with another's address."""
    lines = {"Content-Type": TYPES.get(method), **OWN.get(method, {})}
    if "Contact" in lines:
        lines["Contact"] = f"<sip:1001@{HOST}:PORT-HERE>;expires=60;q=0.5, <sip:1001@{HOST}:9>"
    return template(method, number, BODIES.get(method, ""), lines)


async def _pass(server: ServerProcess, peer: Peer, port: int, every: int) -> Pass:
    result = Pass(peer.transport, statuses=peer.statuses)
    callee = Callee(_CALLEES[peer.transport], _place(peer.transport, port))
    run = Run(peer, callee, result)
    started = time.perf_counter()
    async with peer.callee(port, callee):
        await _cancel(run, [Case("none", "none", b"")])  # a call that responses are made for
        for group in groups(callee):
            await run.group(group, every)
            lines = server.errors.splitlines()
            errors = [line for line in lines if "Traceback" in line or " ERROR " in line]
            if errors or not server.running:
                result.findings.append(f"{result.transport}, {group.name}: {errors}")
                break
    result.seconds = time.perf_counter() - started
    result.memory = resident(server.pid) if server.running else 0
    return result


def _place(transport: str, port: int) -> str:
    return f"{HOST}:{port};transport={transport.lower()}"


def _open_files(server: ServerProcess) -> int:
    return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))


def run_protos(transports: Sequence[str] = TRANSPORTS, every: int = 1) -> Outcome:
    """One case in `every` over each of these transports, to one server."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        authority = Authority(directory)
        issued = authority.issue(HOST)
        accepting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        accepting.load_cert_chain(issued.certificate, issued.key)
        opening = ssl.create_default_context(cafile=str(authority.ca))
        ports = {transport: free_port() for transport in transports}
        outcome = Outcome()
        with ServerProcess(
            directory,
            routes={_CALLEES[one]: f"sip:{_place(one, port)}" for one, port in ports.items()},
            settings={
                "sip.t1": 0.05,
                "sip.nameservers": f"{HOST}:{free_port()}",  # nobody: no name is known
                "sip.tls.certificate": issued.certificate,
                "sip.tls.key": issued.key,
                "sip.tls.ca": authority.ca,
            },
            options=["--sip", f"tcp:{HOST}:0", "--sip", f"tls:{HOST}:0"],
        ) as server:
            outcome.memory_before = resident(server.pid)
            outcome.files_before = _open_files(server)
            for one in transports:
                tls = (accepting, opening) if one == "TLS" else None
                peer = Peer(one, server.listeners[one.lower()], tls)
                outcome.passes.append(asyncio.run(_pass(server, peer, ports[one], every)))
                outcome.findings += outcome.passes[-1].findings
                if not server.running:
                    return outcome
            try:
                server.wait_until_idle(_GONE)
            except (ServerError, OSError) as error:
                outcome.findings.append(str(error))
            outcome.memory_after = resident(server.pid)
            outcome.files_after = _open_files(server)
        return outcome
