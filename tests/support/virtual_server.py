"""A call server in memory: the real `CallServer` on the virtual network.

Its stack is a party of the network, its CDRs are kept in a list. Time passes only when
a test lets it pass, so that hours of calls take milliseconds and no test sleeps.
"""

import asyncio
from collections.abc import Callable, Coroutine
from copy import deepcopy
from typing import Any, TypeVar

from simulator.call import Call
from simulator.cdr_records import CdrRecord, Row, from_row
from simulator.config import Config
from simulator.config_defaults import BUILTIN
from simulator.server import CallServer
from simulator.views import TerminateReason, TransferCommand, TransferType
from sip.endpoint import Endpoint
from sip.events import Event, Responded
from sip.timers import Timers
from sip.transport import Faults, Outgoing, Tap
from tests.support.leftovers import leftovers
from tests.support.network import Network, Party
from tests.support.records import RecordsInMemory

T = TypeVar("T")

VERSION = "1.0-test"


class VirtualStack:
    """What `CallServer` uses of `SipStack`, on a party of the virtual network."""

    def __init__(self, party: Party, user_agent: str) -> None:
        self.party = party
        self.endpoint: Endpoint = party.endpoint
        self.endpoint.user_agent_line = f"User-Agent: {user_agent}\r\n"
        self._pumping = False

    @property
    def faults(self) -> Faults | None:
        return self.party.faults

    @faults.setter
    def faults(self, faults: Faults | None) -> None:
        self.party.faults = faults

    def transmit(self, messages: list[Outgoing], _now: float) -> None:
        self.party.network.transmit(self.party, messages)

    def add_tap(self, tap: Tap) -> None:
        self.party.taps.append(tap)

    def remove_tap(self, tap: Tap) -> None:
        self.party.taps.remove(tap)

    def now(self) -> float:
        return self.party.network.now

    def serve(self, handler: Callable[[Event | Responded, float], None]) -> None:
        """Give every event to `handler`."""

        def handle(event: Event | Responded, now: float) -> None:
            self.party.events.clear()
            self._pumping = True
            try:
                handler(event, now)
            finally:
                self._pumping = False

        self.party.handler = handle

    def pump(self, _now: float | None = None) -> None:
        """Send what is to be sent, like `SipStack.pump`: nothing from within the handler."""
        if not self._pumping:
            self.party.network.pump()


class MemoryStore(RecordsInMemory):
    """CDRs in a list. With `slow` they are stored only by `catch_up`."""

    def __init__(self) -> None:
        super().__init__()
        self.healthy = True
        self.full = False
        self.slow = False
        self.journaled = 0
        self.malformed = 0
        self.alive: set[tuple[str, int]] = set()  # calls without a record
        self._waiting: list[tuple[Row, Callable[[], None]]] = []

    def begun(self, guid: str, start: int, calling: str, called: str, call_id: str) -> None:
        self.alive.add((guid, start))

    def submit(self, row: Row, done: Callable[[], None]) -> None:
        self._waiting.append((row, done))
        if not self.slow:
            self.catch_up()

    @property
    def pending(self) -> int:
        return len(self._waiting)

    def ping(self) -> float:
        return 0.0

    def catch_up(self) -> None:
        """Store what waits, and say so."""
        waiting, self._waiting = self._waiting, []
        for row, done in waiting:
            self.records.append(from_row(row))
            self.alive.remove(row[:2])
            done()


def configuration(**sections: Any) -> Config:
    """The built-in plan with these sections laid over it: mappings merge, lists replace."""

    def lay(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
        for key, value in above.items():
            old = below.get(key)
            merged = isinstance(old, dict) and isinstance(value, dict)
            below[key] = lay(old, value) if merged and old else value
        return below

    return Config.model_validate(lay(deepcopy(BUILTIN), sections))


class VirtualServer:
    """A call server at ``server`` on `network`, its far ends wherever `agents` and `vxml` say."""

    def __init__(self, network: Network, config: Config, agents: str, vxml: str) -> None:
        self.network = network
        timers = Timers(config.sip.t1, config.sip.t2, config.sip.t4)
        self.party = network.add("server", timers=timers)
        self.stack = VirtualStack(self.party, f"Callsim/{VERSION}")
        self.store = MemoryStore()
        self.server = CallServer(
            config.with_lab(agents, vxml),
            self.stack,
            self.store,
            VERSION,
        )
        self.stack.serve(self.server.on_event)
        self.server.ready = True
        self.seen: dict[str, Call] = {}  # every call that there was
        self.server.watch = lambda call, _now, _event, _details: self._note(call)

    def _note(self, call: Call) -> None:
        self.seen.setdefault(call.guid, call)

    # What a test asks.

    @property
    def address(self) -> str:
        """``host:port`` of the server."""
        return self.party.listener.sent_by("")

    @property
    def call(self) -> Call:
        """The last call that came, over or not."""
        return list(self.seen.values())[-1]

    @property
    def state(self) -> str:
        """Its state."""
        return self.call.state

    @property
    def history(self) -> list[str]:
        """Its history: ``event details``, without the line that sums up an abnormal end."""
        return [
            f"{event} {details}".rstrip()
            for _, event, details in self.call.history
            if event != "abnormal_end"
        ]

    @property
    def cdr(self) -> CdrRecord:
        """The only CDR."""
        (record,) = self.store.records
        return record

    # Commands.

    def transfer(
        self, destination: str = "", kind: TransferType = "blind", label: str | None = None
    ) -> None:
        """Transfer the last call."""
        command = TransferCommand(destination, kind, label)
        self.server.transfer(self.call.guid, command)

    @property
    def steps(self) -> list[str]:
        """What its last transfer took, as ``leg > message`` (sent) and ``leg < message``."""
        arrows = {"sent": ">", "received": "<"}
        steps = self.server.transfers(self.call.guid)[-1].steps
        return [f"{step.leg} {arrows[step.direction]} {step.message}" for step in steps]

    @property
    def moved(self) -> tuple[str, str, str, str, int | None]:
        """Kind, method, initiator and outcome of its last transfer."""
        view = self.server.transfers(self.call.guid)[-1]
        return view.transfer_type, view.method, view.initiated_by, view.state, view.sip_code

    def terminate(self, reason: TerminateReason = "requested") -> None:
        """Terminate the last call."""
        self.wait_for(self.server.terminate(self.call.guid, reason))

    def wait_for(self, command: Coroutine[Any, Any, T]) -> T:
        """The outcome of a command that waits for its CDR."""
        return asyncio.run(command)

    # The end.

    def leftovers(self) -> dict[str, Any]:
        """What is in the tables of the call server, where that is anything."""
        return leftovers(self.server)

    def settle(self) -> None:
        """All calls are over, and 64*T1 later nothing is left but one CDR each."""
        self.network.settle()
        assert self.leftovers() == {}
        assert self.store.alive == set()
        assert sorted(record.call_guid for record in self.store.records) == sorted(self.seen)
