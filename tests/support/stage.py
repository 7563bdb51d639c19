"""The two stages that flows are played on: a network in memory, and the wire."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from difflib import unified_diff
from itertools import count
from pathlib import Path
from typing import Any

from scenarios.capture import Capture
from scenarios.flows import Flow
from scenarios.flows.plan import APPLICATIONS, PLAN
from scenarios.ladder import Seen, draw
from scenarios.server import RestError, ServerProcess
from simulator.applications import Application
from simulator.cdr_records import CdrRecord
from simulator.config import Config
from simulator.lab.caller import guid_words
from simulator.lab.dialogue import Dialogue
from simulator.lab.dtmf import info_key
from simulator.script_messages import (
    INFO_PACKAGE,
    JSON,
    RunScript,
    ScriptResult,
    is_package,
)
from simulator.views import TerminateReason, TransferCommand, TransferType
from sip.events import Requested
from sip.transport import Address
from sip.usage.named import replaces_of
from tests.simulator.flows.phones import Line, Manner, Phone
from tests.support.network import Network
from tests.support.virtual_server import VirtualServer, configuration
from tests.support.wire import WireNetwork

PATIENCE = 20.0
ROUTED = "2>"  # goes straight to an agent
QUIET = 0.25  # seconds: who is to act within this time is waited for
AGENT = Manner(ring=0.0, answer=0.2)
GATEWAY = Manner()


def lay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings merge, lists replace."""
    found = dict(deepcopy(below))
    for key, value in above.items():
        old = found.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        found[key] = lay(old, value) if both and old else value
    return found


class Gateway(Phone):
    """The VXML gateway. Where a flow has it take RUN_SCRIPT_REQ (Recv-Info among its `lines`)
    it runs the applications of the plan, as the lab's does.
    """

    def __init__(self, network: Network, name: str, manner: Manner) -> None:
        super().__init__(network, name, manner)
        self.applications: Mapping[str, Application] = {}
        self._visits: dict[Line, Visit] = {}

    def _take_request(self, line: Line, event: Requested, now: float) -> None:
        super()._take_request(line, event, now)
        request = event.request
        key = info_key(request.content_type, request.body)
        if is_package(request.get("info-package") or ""):
            run = RunScript.parse(request.body)
            self._visits[line] = visit = Visit(line, run.number)
            steps = self.applications[run.application]
            visit.dialogue = Dialogue(steps, run.variables, self.party.endpoint.wheel, visit)
            visit.dialogue.start(now)
        elif key is not None and line in self._visits:
            self._visits[line].dialogue.key(key, now)


class Visit:
    """An application at work for one caller."""

    dialogue: Dialogue

    def __init__(self, line: Line, number: int) -> None:
        self._line = line
        self._number = number

    def spoken(self, text: str, now: float) -> None:
        """The caller hears a prompt."""

    def finished(self, dialogue: Dialogue, now: float) -> None:
        """RUN_SCRIPT_RESULT."""
        outcome = dialogue.outcome
        counts = (outcome.failed, outcome.timeouts, outcome.errors)
        result = ScriptResult(self._number, outcome.values, *counts)
        self._line.request("INFO", result.to_body(), JSON, INFO_PACKAGE)


class Stage(ABC):
    """What both have in common: the phones, and when to go on."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.caller = Phone(network, "caller", Manner())
        self.vxml = Gateway(network, "vxml", GATEWAY)
        self.agents = Phone(network, "agents", AGENT)
        self.address = ""  # of the call server
        self.guids: list[str] = []
        self._guids = count(1)

    def config(self, sections: Mapping[str, Any]) -> Config:
        """The plan with these sections, and routes to the phones."""
        plan = {**lay(PLAN, sections), "direct_routes": [f"{ROUTED}={self.agents.uri}"]}
        config = configuration(**plan, lab={"embedded": False, "applications": APPLICATIONS})
        self.vxml.applications = config.lab.applications
        return config.with_lab(self.agents.uri, self.vxml.uri)

    def reset(self) -> None:
        """The phones as they are by themselves."""
        self.agents.manners = {
            f"9{number}": Manner(refuse=int(number)) for number in ("404", "486", "503")
        }
        self.vxml.manner = GATEWAY
        self.network.log.clear()
        self.guids.clear()
        for phone in (self.caller, self.vxml, self.agents):
            phone.lines.clear()

    def agent(self, number: str, **manner: Any) -> None:
        self.agents.manners[number] = replace(AGENT, **manner)

    def gateway(self, **manner: Any) -> None:
        self.vxml.manner = replace(GATEWAY, **manner)

    def dial(self, number: str, *, calling: str = "5551234", lines: str = "") -> Line:
        if self.guids:
            self.settle()
        guid = self.new_guid()
        self.guids.append(guid)
        lines += f"Cisco-Guid: {guid_words(guid)}\r\n"
        return self.caller.dial(f"sip:{number}@{self.address}", calling, lines=lines)

    def dial_from(self, agent: str, number: str, lines: str = "") -> Line:
        self.settle()
        return self.agents.dial(f"sip:{number}@{self.address}", agent, lines=lines)

    def line(self, number: str) -> Line:
        def find() -> Line | None:
            called = f"sip:{number}"
            lines = [*self.caller.lines, *self.vxml.lines, *self.agents.lines]
            return next(
                (
                    line
                    for line in reversed(lines)
                    if not line.session.outgoing and line.invite.uri.startswith(called)
                ),
                None,
            )

        self.until(find, f"a call to {number}")
        found = find()
        assert found is not None
        return found

    def refer(self, line: Line, number: str, other: Line | None = None) -> None:
        self.settle()
        target = f"sip:{number}@{self.address}"
        line.transfer(replaces_of(other.session).in_uri(target) if other else target)

    def reach(self, event: str, times: int = 1) -> None:
        self.until(lambda: self.history.count(event) >= times, event)

    def until(self, condition: Callable[[], object], what: str) -> None:
        self.network.run(PATIENCE, until=lambda: bool(condition()))
        assert condition(), f"waited for {what}: {self.history}\n{self.ladder()}"
        self.settle()

    @abstractmethod
    def settle(self) -> None:
        """Let time pass until nothing is under way."""

    def pause(self, seconds: float) -> None:
        self.network.run(seconds)

    def new_guid(self) -> str:
        return f"{next(self._guids):032X}"

    def play(self, flow: Flow) -> str:
        """Play a flow to its end; what its golden file must say."""
        self.reset()
        flow.play(self)
        self.over()
        return flow.page(self.ladder(), "\n".join(map(summary, self.records())))

    @property
    @abstractmethod
    def history(self) -> list[str]:
        """The events of the first call, as long as it is up."""

    @abstractmethod
    def rest(self, text: str) -> None: ...

    @abstractmethod
    def transfer(
        self, destination: str = "", kind: TransferType = "blind", label: str | None = None
    ) -> None: ...

    @abstractmethod
    def terminate(self, reason: TerminateReason = "requested") -> None: ...

    @abstractmethod
    def extension(self, operation: str) -> None: ...

    @abstractmethod
    def over(self) -> None:
        """Let the calls end; nothing may be left of them."""

    @abstractmethod
    def ladder(self) -> str: ...

    @abstractmethod
    def records(self) -> list[CdrRecord]:
        """The CDRs of this flow, in order of their calls."""


def difference(flow: Flow, page: str) -> str:
    """How a page differs from the golden one, line by line; nothing where it does not."""
    if not flow.golden.exists():
        return f"{flow.golden} is not there: make ladders"
    golden = flow.golden.read_text().splitlines()
    return "\n".join(unified_diff(golden, page.splitlines(), "golden", "played", lineterm=""))


def transfer_text(destination: str, kind: str, label: str | None) -> str:
    what = f"label {label}" if label else f"{destination}, {kind}"
    return f"REST: transfer to {what}"


def summary(record: CdrRecord) -> str:
    """What a CDR says, addresses and times left out."""
    text = f"record: {record.call_result}"
    if record.transfer_destination:
        text += f" to {record.transfer_destination}"
    if record.error_code:
        text += f", SIP {record.error_code}"
    legs = [f"{leg.leg_type} {leg.sip_response_code}" for leg in record.legs]
    return f"{text}; legs: {', '.join(legs)}"


class VirtualStage(Stage):
    """A call server in memory: real seconds cost nothing."""

    def __init__(self, flow: Flow) -> None:
        super().__init__(Network())
        self.world = VirtualServer(
            self.network, self.config(flow.sections), self.agents.uri, self.vxml.uri
        )
        self.address = self.world.address
        self._notes: list[tuple[int, str]] = []

    def settle(self) -> None:
        before = -1
        while before != len(self.network.log):
            before = len(self.network.log)
            self.network.run(QUIET)

    @property
    def history(self) -> list[str]:
        call = self.world.seen.get(self.guids[0]) if self.guids else None
        return [event for _, event, _ in call.history] if call else []

    def rest(self, text: str) -> None:
        self.settle()
        self._notes.append((len(self.network.log), text))

    def transfer(
        self, destination: str = "", kind: TransferType = "blind", label: str | None = None
    ) -> None:
        self.rest(transfer_text(destination, kind, label))
        command = TransferCommand(destination, kind, label)
        self.world.server.transfer(self.guids[0], command)

    def terminate(self, reason: TerminateReason = "requested") -> None:
        self.rest(f"REST: terminate, {reason}")
        self.world.wait_for(self.world.server.terminate(self.guids[0], reason))

    def extension(self, operation: str) -> None:
        self.rest(f"REST: {operation}")
        server = self.world.server
        commands = {
            "hold": server.hold,
            "resume": server.resume,
            "transfer/complete": server.complete_transfer,
            "transfer/cancel": server.cancel_transfer,
        }
        commands[operation](self.guids[0])

    def over(self) -> None:
        self.until(lambda: not self.world.server.calls, "the end")
        self.world.settle()

    def ladder(self) -> str:
        entries: list[Seen | str] = []
        notes = list(self._notes)
        for at, packet in enumerate(self.network.log):
            while notes and notes[0][0] <= at:
                entries.append(notes.pop(0)[1])
            if "server" in (packet.source, packet.target):
                inbound = packet.target == "server"
                peer = packet.source if inbound else packet.target
                entries.append(Seen(peer, inbound, packet.data))
        return draw([*entries, *(text for _, text in notes)])

    def records(self) -> list[CdrRecord]:
        return sorted(self.world.store.records, key=lambda record: record.call_start_time)


class WireStage(Stage):
    """`callsim serve` on loopback; `capture` watches it. Flows of one plan share a server."""

    network: WireNetwork

    def __init__(self, directory: Path, sections: Mapping[str, Any]) -> None:
        super().__init__(WireNetwork())
        directory.mkdir(parents=True)
        file = directory / "plan.yaml"
        file.write_text(self.config(sections).to_yaml(comments=False))
        self.server = ServerProcess(directory, options=["--config", str(file)])
        self.address = "{}:{}".format(*self.server.sip)
        self.capture = Capture(directory / "capture", [self.server.sip[1]])
        self._notes: list[tuple[int, str]] = []
        self._records_before = 0
        self._names: dict[Address, str] = {
            phone.party.address: phone.name for phone in (self.caller, self.vxml, self.agents)
        }

    def close(self, *, failed: bool = False) -> None:
        """The server must end as it should, unless a flow has `failed` on it."""
        self.network.close()
        self.capture.close()
        if failed:
            self.server.kill()
        else:
            self.server.stop()

    def reset(self) -> None:
        super().reset()
        self.capture.forget()
        self._notes.clear()
        self._records_before = len(self.server.cdrs())

    @property
    def history(self) -> list[str]:
        if self.guids:
            with suppress(RestError):  # not there yet, or over
                return [e["event"] for e in self.server.call(self.guids[0])["callHistory"]]
        return []

    def settle(self) -> None:
        """By what has happened, not by time: all has been read, and made nobody say more."""
        before = -1
        while before != len(self.network.log):
            while self.network.due(QUIET):
                self.network.run(0.02)
            before = len(self.network.log)
            self.network.catch_up(self.server.sip)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Looks every few hundredths of a second: a look may be a request of its own."""
        looks = int(PATIENCE / 0.02)
        for _ in range(looks):
            if condition():
                break
            self.network.run(0.02)
        else:
            raise AssertionError(f"waited for {what}: {self.history}\n{self.ladder()}")
        self.settle()

    def rest(self, text: str) -> None:
        self.settle()
        self._notes.append((self.capture.mark(), text))

    def transfer(
        self, destination: str = "", kind: TransferType = "blind", label: str | None = None
    ) -> None:
        self.rest(transfer_text(destination, kind, label))
        more = {"label": label} if label else {}
        self.server.transfer(self.guids[0], destination or "-", transferType=kind, **more)

    def terminate(self, reason: TerminateReason = "requested") -> None:
        self.rest(f"REST: terminate, {reason}")
        self.server.terminate(self.guids[0], reason)

    def extension(self, operation: str) -> None:
        self.rest(f"REST: {operation}")
        self.server.extension("POST", f"/sim/v1/calls/{self.guids[0]}/{operation}")

    def over(self) -> None:
        phones = (self.caller, self.vxml, self.agents)

        def done() -> bool:
            if any(phone.party.endpoint.sessions for phone in phones):
                return False
            return self.server.calls() == [] == self.server.sessions()

        self.until(done, "the end")

    def ladder(self) -> str:
        entries: list[Seen | str] = []
        messages = self.capture.check(retransmissions=True)
        notes = [(self.capture.place(mark), text) for mark, text in self._notes]
        for at, message in enumerate(messages):
            while notes and notes[0][0] <= at:
                entries.append(notes.pop(0)[1])
            if message.cseq[1] == "OPTIONS":  # see `settle`
                continue
            inbound = message.destination == self.server.sip
            peer = self._names[message.source if inbound else message.destination]
            entries.append(Seen(peer, inbound, message.data))
        return draw([*entries, *(text for _, text in notes)])

    def records(self) -> list[CdrRecord]:
        found = self.server.cdrs()[self._records_before :]
        return sorted(found, key=lambda record: record.call_start_time)
