"""``callsim demo``: one whole call, from INVITE to CDR, steered over REST.

It is a client like any other: the caller and the neighbours speak SIP to the server, and
every command goes to it over HTTP.
"""

import asyncio
import io
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import aiohttp

from simulator.applications import Step
from simulator.call import Call
from simulator.config import Config
from simulator.config_accounts import ApiUser
from simulator.config_values import HttpListen, Listen
from simulator.errors import ServiceError
from simulator.lab.caller import CallerCall
from simulator.lab.lab import Lab
from simulator.lab.vxml import VxmlCall
from simulator.ladder import Ladder
from simulator.passwords import is_hash
from simulator.script import SelfService
from simulator.server import CallServer
from simulator.service import with_neighbours
from sip.grammar import parse_host_port
from sip.transport import Address, Listener

Service = Callable[[Config], AbstractAsyncContextManager[tuple[CallServer, list[str]]]]

NUMBER: Final = "7001"
TRANSFER_TO: Final = "1002"
PATIENCE: Final = 30.0
"""Seconds that the whole call may take."""

_RECORD: Final = 10.0  # and its record, once it is over

DIALOGUE: Final = tuple(
    Step.model_validate(step)
    for step in (
        {"collect": {"into": "choice", "accept": ["1", "2"],
                     "prompt": "Welcome {ani}. For sales press 1, for support press 2."}},
        {"exit": {"callVariable2": "choice {choice}"}},
    )
)  # fmt: skip
KEY: Final = "2"


class DemoFailed(Exception):
    """The call did not go as it should; the text says where."""


class Demo:
    """The call: `play` drives it, `history` is what the call server said of it."""

    def __init__(self, server: CallServer, lab: Lab, url: str, user: str, password: str) -> None:
        self.server = server
        self.lab = lab
        self.url = url
        self.user = user
        self.password = password
        self.history: list[str] = []
        self.notes: list[str] = []  # the same with what each says
        self.changed = asyncio.Event()
        parties: dict[Address, str] = {}
        for name in ("caller", "vxml", "agents"):
            host, port = parse_host_port(lab.addresses[name].removeprefix("sip:"))
            parties[host, port or 5060] = {"vxml": "VXML gateway"}.get(name, name)
        self.ladder = Ladder("call server", parties, "caller")
        server.stack.add_tap(self._message)
        server.watch = self._news

    def _message(
        self, direction: str, data: bytes, listener: Listener, address: Address, now: float
    ) -> None:
        line = self.ladder.message(direction, data, listener, address, now)
        if line is not None:
            print(line)

    def _news(self, _call: Call, _now: float, event: str, details: str) -> None:
        note = f"{event}: {details}" if details else event
        self.history.append(event)
        self.notes.append(note)
        print(self.ladder.note(note))
        self.changed.set()

    async def until(self, event: str) -> None:
        """Wait until the call's history has `event`."""
        await self.until_so(lambda: event in self.history)

    async def until_so(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is asked again after every line of history."""
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    async def rest(self, method: str, path: str, body: object = None) -> Any:
        """One REST operation, shown; raises DemoFailed unless it succeeds."""
        url = f"{self.url}{path}"
        headers = {"Authorization": aiohttp.encode_basic_auth(self.user, self.password)}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, url, json=body) as answer,
        ):
            result = await answer.json()
            shown = "" if body is None else f" {body}"
            print(f"\n  REST  {method} {path}{shown}\n        {answer.status} {result}\n")
            if answer.status >= 300:
                raise DemoFailed(f"{method} {path} was answered {answer.status}: {result}")
            return result

    async def play(self) -> None:
        """The call from INVITE to CDR. Raises DemoFailed."""
        print(f"\nA caller dials {NUMBER}: self-service, then the queue, then an agent.\n")
        print(self.ladder.header())
        scripts = self.server.config.icm.scripts.values()
        actions = [step.action for steps in scripts for step in steps]
        served = [action for action in actions if isinstance(action, SelfService)]
        self.lab.vxml.applications |= {one.application: DIALOGUE for one in served}
        caller = await self.lab.caller.call(NUMBER)
        if served:
            await self._talk(caller)
        await self.until("queued")
        listed = await self.rest("GET", f"/call?calledNumber={NUMBER}")
        if not listed["calls"]:
            raise DemoFailed(f"the call to {NUMBER} is over already")
        guid = listed["calls"][0]["callGuid"]
        await self.rest(
            "PUT", f"/call/{guid}/variables", {"callVariables": {"callVariable1": "gold"}}
        )
        await self.until("connected")
        print(f"\nThe supervisor moves the call to extension {TRANSFER_TO}, over REST.")
        await self.rest("POST", f"/call/{guid}/transfer", {"destination": TRANSFER_TO})
        await self.until("transfer_completed")
        await self.lab.agents.until(
            lambda: any(
                call.established and call.number == TRANSFER_TO for call in self.lab.agents.calls
            )
        )
        detail = await self.rest("GET", f"/call/{guid}")
        if detail["state"] != "connected":
            raise DemoFailed(f"after the transfer the call is {detail['state']}")
        print("\nAnd ends it, over REST.")
        await self.rest("POST", f"/call/{guid}/terminate", {"reason": "requested"})
        await caller.until(lambda: caller.ending is not None)
        await self.lab.agents.until(lambda: not self.lab.agents.calls)
        await self._show_record(guid)

    async def _talk(self, caller: CallerCall) -> None:
        """Self-service: the gateway asks, the caller presses a key."""
        await self.lab.vxml.until(lambda: self.lab.vxml.calls)
        browser = self.lab.vxml.calls[0]
        assert isinstance(browser, VxmlCall)
        await browser.until(lambda: browser.prompts)
        print(self.ladder.note(f"the gateway says: {browser.prompts[0]}"))
        print(self.ladder.note(f"the caller presses {KEY}: RTP, past the call server (RFC 4733)"))
        await caller.press(KEY)

    async def _show_record(self, guid: str) -> None:
        # The disk may be slow: then the record is in the journal for a while.
        late = time.monotonic() + _RECORD
        while (record := self.server.store.get(guid)) is None:
            if time.monotonic() > late:
                raise DemoFailed(f"the call has no CDR after {_RECORD:g} s: the log says why")
            await asyncio.sleep(0.05)
        print("\nIts call detail record:\n")
        for name, value in asdict(record).items():
            if name not in ("legs", "marks") and value not in ("", None, 0, {}):
                print(f"  {name:22} {_shown(name, value)}")
        for leg in record.legs:
            print(f"  leg {leg.leg_type:18} {leg.from_uri} to {leg.to_uri}, {leg.duration} ms")
        if record.call_result != "transferred":
            raise DemoFailed(f"the CDR says {record.call_result!r}")


def _shown(name: str, value: object) -> object:
    """A field of a record for people: times with their zone, durations with their unit."""
    if name.endswith("_time") and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC).isoformat(" ", "milliseconds")
    return f"{value} ms" if name.endswith("_duration") else value


Change = Callable[[Config, Lab], Config]
"""Makes another plan; the neighbours may be changed with it."""


@asynccontextmanager
async def stage(
    config: Config, service: Service, change: Change = lambda config, _: config
) -> AsyncIterator[Demo]:
    """A server with its neighbours on loopback, ready for a call; `change` comes last."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a ladder as it happens, in a pipe too
    _end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="callsim-demo-") as folder:
        config, user = _prepared(config, folder)
        async with Lab() as lab:
            config = change(with_neighbours(config, lab), lab)
            async with service(config) as (server, addresses):
                lab.caller.server = _sip_address(server)
                url = next(address for address in addresses if address.startswith("http:"))
                yield Demo(server, lab, url, user.name, user.password)


async def run_demo(config: Config, service: Service, *, leave: bool) -> int:
    """Play the call; then stay up unless `leave`. 0 when all went right, 1 otherwise."""
    async with stage(config, service) as demo:
        sip, user, password = demo.lab.caller.server, demo.user, demo.password
        print(f"SIP:  {sip}\nREST: {demo.url}   (user {user}, password {password})")
        try:
            async with asyncio.timeout(PATIENCE):
                await demo.play()
        except (DemoFailed, aiohttp.ClientError) as error:
            print(f"\nThe demo failed: {error}")
            return 1
        except TimeoutError:
            last = demo.notes[-1] if demo.notes else "the INVITE"
            print(f"\nThe demo failed: nothing came after {last!r}.")
            print(f"The plan must lead {NUMBER} through a queue to an agent.")
            return 1
        print("\nAll went right.")
        if not leave:
            await _stay(sip, demo.url, user, password)
    return 0


def _end_on_sigterm() -> None:
    """SIGTERM ends the demo as Ctrl-C does, so that nothing is left behind."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _stay(sip: str, url: str, user: str, password: str) -> None:
    host_port = sip.removeprefix("sip:")
    print(
        f"""
The server stays up. Its console: {urljoin(url, "/")} (user {user}, password {password})
In another terminal, in this folder, for example:
  sipp -sf scenarios/sipp/caller-is-steered.xml -s 7001 -m 1 {host_port}
  curl -u {user}:{password} {url}/call
  .venv/bin/callsim trace GUID --user {user}:{password} --url {url}
  curl -u {user}:{password} -X POST {url}/call/GUID/terminate
Ctrl-C ends it."""
    )
    await asyncio.Event().wait()


def _prepared(config: Config, folder: str) -> tuple[Config, ApiUser]:
    """The configuration of the demo: loopback, its own user and folder unless given."""
    changes: dict[str, Any] = {"lab": config.lab.model_copy(update={"embedded": False})}
    given = type(config).model_fields
    if config.sip.listen == given["sip"].default.listen:
        changes["sip"] = config.sip.model_copy(update={"listen": (_free_udp(5060),)})
    if config.api.listen == given["api"].default.listen:
        changes["api"] = config.api.model_copy(update={"listen": (_free_http(8080),)})
    api = changes.get("api", config.api)
    if not any(listen.scheme == "http" for listen in api.listen):
        raise ServiceError("--api: the demo needs a http:// listener")
    user = next((u for u in api.users if u.role == "admin" and not is_hash(u.password)), None)
    if user is None:
        user = ApiUser(name="demo", password=secrets.token_urlsafe(9))
        others = (one for one in api.users if one.name != user.name)
        changes["api"] = api.model_copy(update={"users": (user, *others)})
    server = config.server.model_copy(update={"grace": 0.0})
    if server.data_dir == type(server)().data_dir:
        server = server.model_copy(update={"data_dir": Path(folder)})
    return config.model_copy(update={**changes, "server": server}), user


def _free_udp(port: int) -> Listen:
    """Loopback at `port`, or at any free one when that is taken."""
    return Listen("udp", "127.0.0.1", _free(port, udp=True))


def _free_http(port: int) -> HttpListen:
    return HttpListen.parse(f"http://127.0.0.1:{_free(port, udp=False)}")


def _free(port: int, *, udp: bool) -> int:
    """`port`, or 0 (any) when somebody else has it."""
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if not udp:  # as the server does: connections of a former one do not matter
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            print(f"Port {port} is taken: another one is used.")
            return 0
    return port


def _sip_address(server: CallServer) -> str:
    listener = server.stack.endpoint.listeners[0]
    return f"sip:{listener.sent_by('127.0.0.1')}"
