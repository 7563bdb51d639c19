"""The mix in memory: the call server on a network with a clock of its own."""

from collections.abc import Callable
from typing import Any

from simulator.call import Call
from simulator.cdr_records import CdrRecord
from simulator.script import Step
from simulator.treatment import Treatment
from simulator.views import ConnectionView, TransferCommand
from tests.soak.kinds import kinds_of
from tests.soak.mix import LONG_OVER, PATIENCE, RATE, Mix
from tests.soak.mix_plan import ANSWERS
from tests.support.network import Network
from tests.support.virtual_server import MemoryStore, VirtualServer


class Records(MemoryStore):
    """Hands each record on instead of keeping it."""

    def __init__(self, take: Callable[[CdrRecord], None]) -> None:
        super().__init__()
        self._take = take

    def catch_up(self) -> None:
        super().catch_up()
        for record in self.records:
            self._take(record)
        self.records.clear()


class Decider:
    """The router of the user, without HTTP: it answers a little later, or has a problem."""

    host = ""

    def __init__(self, mix: "VirtualMix") -> None:
        self._mix = mix
        self._questions = 0

    def ask(self, treatment: Treatment, cause: str, now: float) -> int:
        """A question; now and then it is not to be asked."""
        mix = self._mix
        if mix.chance(0.05):
            return 0
        self._questions += 1
        question = self._questions
        answer = mix.random.choice(ANSWERS)

        def tell() -> None:
            problem = answer if isinstance(answer, str) else ""
            step = None if problem else Step.model_validate(answer)
            treatment.instructed(question, step, problem, mix.network.now)
            mix.world.stack.pump()

        mix.network.at(now + mix.random.random(), tell)
        return question

    def view(self, _address: str) -> ConnectionView | None:
        return None


class VirtualMix(Mix):
    """In memory, on a clock of its own."""

    def __init__(
        self, seed: int, calls: int, rate: float = RATE, network: Network | None = None
    ) -> None:
        super().__init__(network or Network(seed, latency=0.02), seed, calls, rate)
        self.world = VirtualServer(self.network, self.config(), self.agents.uri, self.vxml.uri)
        self.address = self.world.address
        self.server = self.world.server
        self.server.store = self.records = Records(self.recorded)
        self.server.watch = self._watch
        self.server.webhook = Decider(self)

    @property
    def epoch(self) -> float:
        return self.server.wall(0.0)

    @property
    def delay(self) -> float:
        return self.network.latency

    def finish(self) -> None:
        self.network.run(self.calls / self.rate + PATIENCE + 3 * LONG_OVER)

    def reconfigure(self) -> None:
        self.server.configure(self.config())

    def leftovers(self) -> dict[str, Any]:
        """And what is in the tables of the call server."""
        return {**self.world.leftovers(), **super().leftovers()}

    def is_up(self, guid: str) -> bool:
        return guid in self.server.calls

    def transfer(self, guid: str, command: TransferCommand) -> None:
        self.server.transfer(guid, command)

    def terminate(self, guid: str, reason: Any) -> None:
        self.world.wait_for(self.server.terminate(guid, reason))

    def set_variables(self, guid: str, ecc: dict[str, str]) -> None:
        self.server.set_variables(guid, ecc, None, None)

    def extension(self, guid: str, operation: str) -> None:
        server = self.server
        commands = {
            "hold": server.hold,
            "resume": server.resume,
            "transfer/complete": server.complete_transfer,
            "transfer/cancel": server.cancel_transfer,
        }
        commands[operation](guid)

    def _watch(self, call: Call, _now: float, event: str, _details: str) -> None:
        if event == "ended":
            self.kinds.update(kinds_of(call.history))

    def recorded(self, record: CdrRecord) -> None:
        """A record has come: what its ends saw is asked later."""
        guid = record.call_guid
        if self.placed.pop(guid, None) is None:
            self.wrong.append(f"{guid} has a second record, or nobody placed it")
        self.network.at(self.network.now + LONG_OVER, lambda: self.judge(record))
