"""Calls at a steady rate through a call server: all flows mixed, everything at random moments.

The seed decides what each caller dials, how each phone takes its calls, when which side hangs
up, and which REST commands come in between. Of each call its ends and its record are compared
(`tests.soak.ends`) once it is long over; then it is forgotten, so that any number can run.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Final

from scenarios.flows.plan import PLAN
from simulator.call import Call
from simulator.cdr_records import CdrRecord
from simulator.config import Config
from simulator.errors import CallServerError
from simulator.lab.caller import guid_words
from simulator.views import TransferCommand
from sip.errors import SipError
from sip.events import Event, Invited, Referred, Responded
from sip.usage.named import replaces_of
from sip.usage.session import CONFIRMED, TERMINATED
from tests.simulator.flows.phones import Line, Manner, Phone
from tests.soak.ends import End, judge
from tests.support.network import Network
from tests.support.rules import CheckedLog
from tests.support.stage import lay
from tests.support.virtual_server import MemoryStore, VirtualServer, configuration

RATE: Final = 20.0
PATIENCE: Final = 40.0  # seconds after which every caller has hung up
LONG_OVER: Final = 150.0  # seconds after the record: all that was under way has come to its end

NUMBERS: Final = (
    "5000 6000 6001 7000 7000 7001 7002 7100 3000 2000 4000 9404 9486 9503 9999 8000".split()
)
TARGETS: Final = "1001 1002 1003 7000 3000 4000 9486 9404".split()
FOLLOWED_BY: Final = {"hold": ("resume",), "consultation": ("complete", "complete", "cancel")}
REASONS: Final = "requested administrative timeout error".split()
LABELS: Final = (
    "1002 rf1002 1002;CLI=5550000 rf1003 DTMF*8,,,4441234 TBCT99#8005551212# HF,,,12".split()
)
SECTIONS: Final[dict[str, Any]] = {
    "icm": {
        "scripts": {
            "long": [
                {"self_service": {"application": "bank", "seconds": 3}},
                {"queue": {"skill_group": "support", "seconds": 20}},
                {"connect": {"label": "1003"}},
            ],
        },
        "skill_groups": {
            "support": {"wait": 1, "agents": [str(number) for number in range(1001, 1101)]},
        },
        "agents": {str(number): {"max_calls": 1} for number in range(1001, 1101)},
    },
}


class MixPhone(Phone):
    """A phone that forgets its lines: the mix keeps them, by their call."""

    mix: "Mix"

    def _handle(self, event: Event | Responded, now: float) -> None:
        if isinstance(event, Invited):
            number = event.request.uri.removeprefix("sip:").partition("@")[0]
            self.manners = {number: self.mix.manner(self, number)}
        super()._handle(event, now)
        for line in self.lines:
            self.mix.took(self, line)
        self.lines.clear()
        if isinstance(event, Referred) and isinstance(event.session.user, Line):
            self.mix.referred(event.session.user)


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


class Mix(ABC):
    """One run: `calls` calls at `rate` a second; where the call server is a subclass says."""

    def __init__(self, network: Network, seed: int, calls: int, rate: float) -> None:
        self.random = Random(seed)
        self.calls = calls
        self.rate = rate
        self.network = network
        self.network.log = self.log = CheckedLog(keep=False)
        self.caller = MixPhone(network, "caller", Manner())
        self.vxml = MixPhone(network, "vxml", Manner())
        self.agents = MixPhone(network, "agents", Manner())
        self.phones = (self.caller, self.vxml, self.agents)
        for phone in self.phones:
            phone.mix = self
        self.address = ""  # of the call server
        self.lines: dict[str, list[tuple[Line, str]]] = {}  # by GUID
        self.all_ends: dict[str, End] = {}  # by leg: one may have moved to another call
        self.no_leg: set[str] = set()
        self.left: set[Line] = set()  # whose phone has hung up or given up
        self.refused: dict[Line, int] = {}
        self.placed: dict[str, str] = {}  # number dialled, by GUID, until its record came
        self.ends: Counter[tuple[str, str]] = Counter()
        self.commands: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.judged = 0

    def config(self) -> Config:
        """The plan; how consultations end is drawn."""
        plan = lay(PLAN, SECTIONS)
        plan["direct_routes"] = [f"2>={self.agents.uri}"]
        plan["dialed_numbers"] = [{"pattern": "8>", "script": "long"}, *plan["dialed_numbers"]]
        plan["transfer"] = {
            **plan["transfer"],
            "consultation": self.random.choice(["automatic", "manual"]),
            "replaces": self.chance(0.5),
        }
        config = configuration(**plan, lab={"embedded": False})
        return config.with_lab(self.agents.uri, self.vxml.uri)

    # The run.

    def run(self) -> None:
        """Place all calls, and let time pass until the last has been judged."""
        start = self.network.now
        for number in range(self.calls):
            self.network.at(start + number / self.rate, self.dial)
        self.finish()
        self.wrong += [f"raised: {error!r}" for error in self.network.errors]
        self.wrong += [f"broke a rule: {text}" for text in self.log.rules.broken]
        self.wrong += [f"{self.all_ends[leg]} is in no record" for leg in self.no_leg]
        self.wrong += [f"{guid} to {n} has no record" for guid, n in self.placed.items()]
        self.wrong += [f"left over: {name} {what}" for name, what in self.leftovers().items()]

    @abstractmethod
    def finish(self) -> None:
        """Let time pass until all calls are over and judged."""

    @abstractmethod
    def is_up(self, guid: str) -> bool:
        """Whether the call is there."""

    @abstractmethod
    def rest(self, guid: str) -> list[tuple[str, Callable[[], object]]]:
        """What can be asked for, by name; a command may be refused."""

    def leftovers(self) -> dict[str, Any]:
        """What is in any table of a phone."""
        found: dict[str, Any] = {}
        for phone in self.phones:
            found |= {f"{phone.name} {k}": v for k, v in phone.party.leftovers().items()}
        return found

    def later(self, most: float, action: Callable[[], object]) -> None:
        """Do something at a random moment; what is not possible then is not done."""

        def attempt() -> None:
            try:
                action()
            except (SipError, CallServerError):
                return

        self.network.at(self.network.now + self.random.random() * most, attempt)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    # What callers and phones do.

    def dial(self) -> None:
        """A call, what its caller will do, and what REST will do to it."""
        guid = f"{self.random.getrandbits(128):032X}"
        number = self.random.choice(NUMBERS)
        line = self.place(guid, self.caller, number, offer=not self.chance(0.05))
        line.manner = Manner(reinvite=self.random.choice([200] * 12 + [488, 491]))
        leave = PATIENCE if self.chance(0.5) else 12.0
        self.later(leave, lambda: self.leave(line))
        self.network.at(self.network.now + PATIENCE, lambda: self.leave(line))
        self.act(line)
        while self.chance(0.5):
            self.later(10.0, lambda: self.command(guid))

    def place(self, guid: str, phone: Phone, number: str, *, offer: bool = True) -> Line:
        """A phone calls the server."""
        self.placed[guid] = number
        line = phone.dial(
            f"sip:{number}@{self.address}",
            f"555{self.random.randrange(10_000):04}",
            offer=offer,
            lines=f"Cisco-Guid: {guid_words(guid)}\r\n",
        )
        phone.lines.clear()
        self.lines.setdefault(guid, []).append((line, number))
        return line

    def leave(self, line: Line) -> None:
        """Hang up or give up, whatever the state."""
        if line.session.state == TERMINATED or line in self.left:
            return
        try:
            if line.session.state == CONFIRMED:
                line.hang_up()
            elif line.session.outgoing:
                line.cancel()
            else:
                line.refuse(480)
                self.refused[line] = 480
            self.left.add(line)
        except SipError:  # its 200 waits for the ACK: a little later
            self.network.at(self.network.now + 1.0, lambda: self.leave(line))

    def manner(self, phone: Phone, number: str) -> Manner:
        """How a phone takes the call that just comes."""
        pick = self.random.choice
        if phone is self.vxml:
            return Manner(refuse=pick([0] * 30 + [404, 503]), answer=pick([0.0, 0.1]))
        refuse = pick([0] * 8 + [486, 404, 480])
        if number[0] == "9":
            refuse = int(number[1:])
        return Manner(
            ring=pick([None, 0.0, 0.1]),
            answer=pick([0.0, 0.2, 0.5, 1.0, 2.0, None]) if not refuse else pick([0.0, 0.5]),
            refuse=refuse,
            early=self.chance(0.1),
            reinvite=pick([200] * 12 + [488]),
        )

    def took(self, phone: Phone, line: Line) -> None:
        """A phone has been called: its line is kept with its call."""
        guid = line.invite.get("cisco-gucid") or ""
        number = line.invite.uri.removeprefix("sip:").partition("@")[0]
        self.lines.setdefault(guid, []).append((line, number))
        if line.manner.refuse:
            self.refused[line] = line.manner.refuse
        elif self.chance(0.3):
            self.later(20.0, lambda: self.leave(line))
        self.act(line)

    def act(self, line: Line) -> None:
        """Now and then a phone does something in its call."""
        if self.chance(0.15):
            self.later(8.0, lambda: line.offer("sendonly"))
            self.later(16.0, line.offer)
        if self.chance(0.1):
            self.later(8.0, lambda: line.request("INFO", b"Signal=5\r\nDuration=100\r\n",
                                                 "application/dtmf-relay"))  # fmt: skip
        if self.chance(0.1) and line.phone is self.agents:
            self.later(8.0, lambda: self.transfer(line))
        if self.chance(0.05) and line.phone is self.agents and not line.session.outgoing:
            self.later(8.0, lambda: self.consult(line))

    def transfer(self, line: Line) -> None:
        """A transfer started by the phone: blind."""
        target = f"sip:{self.random.choice(TARGETS)}@{self.address}"
        line.transfer(target, subscribe=self.chance(0.8))

    def consult(self, line: Line) -> None:
        """The phone calls somebody else, and joins both a little later (attended)."""
        if line.session.state != CONFIRMED:
            return
        other = self.place(f"{self.random.getrandbits(128):032X}", self.agents, "6002")
        self.network.at(self.network.now + PATIENCE, lambda: self.leave(other))
        target = f"sip:1002@{self.address}"
        self.later(4.0, lambda: line.transfer(replaces_of(other.session).in_uri(target)))

    def referred(self, line: Line) -> None:
        """The caller's gateway has got a REFER."""
        draw = self.random.random()
        if draw < 0.15:
            self.later(0.5, lambda: line.refuse_refer(603))
            return
        self.later(0.2, line.accept_refer)
        at = self.network.now
        if draw < 0.3:
            self.network.at(at + 1.0, lambda: self.tell(line, 486))
        elif draw < 0.95:
            self.network.at(at + 1.0, lambda: self.tell(line, 200))
        if draw > 0.6:
            self.network.at(at + 1.2, lambda: self.leave(line))

    def tell(self, line: Line, status: int) -> None:
        try:
            line.notify(status)
        except SipError:
            return

    # What REST does.

    def command(self, guid: str) -> None:
        """A command for a call, if it is up."""
        self.ask(guid, *[name for name, _ in self.rest(guid)])

    def ask(self, guid: str, *names: str) -> None:
        """One of these commands, if the call is up; what it began is ended a little later."""
        if not self.is_up(guid):
            return
        name = self.random.choice(names)
        dict(self.rest(guid))[name]()
        self.commands[name] += 1
        if name in FOLLOWED_BY:
            self.later(4.0, lambda: self.ask(guid, *FOLLOWED_BY[name]))

    def transfer_command(self, kind: Any, *, label: bool = False) -> TransferCommand:
        """A transfer to wherever."""
        pick = self.random.choice
        return TransferCommand(pick(TARGETS), kind, pick(LABELS) if label else None)

    # Judging.

    def judge(self, record: CdrRecord, *, again: bool = True) -> None:
        """Compare; once more later where a leg came from a call whose turn has not come yet."""
        self.gather(record.call_guid)
        legs = [leg.leg_id for leg in record.legs]
        if again and any(leg not in self.all_ends for leg in legs):
            at = self.network.now + LONG_OVER
            self.network.at(at, lambda: self.judge(record, again=False))
            return
        self.no_leg.difference_update(legs)
        self.wrong += judge(record, [self.all_ends[leg] for leg in legs if leg in self.all_ends])
        self.ends[record.called_number, record.call_result] += 1
        self.judged += 1

    def gather(self, guid: str) -> None:
        """What the phones of a call saw, once it is long over."""
        for line, number in self.lines.pop(guid, ()):
            end = End.of(line, number, self.refused.pop(line, 0), left=line in self.left)
            self.left.discard(line)
            self.all_ends[end.leg_id] = end
            self.no_leg.add(end.leg_id)


class VirtualMix(Mix):
    """In memory, on a clock of its own."""

    def __init__(self, seed: int, calls: int, rate: float = RATE) -> None:
        super().__init__(Network(seed, latency=0.02), seed, calls, rate)
        self.world = VirtualServer(self.network, self.config(), self.agents.uri, self.vxml.uri)
        self.address = self.world.address
        self.server = self.world.server
        self.server.store = Records(self.recorded)
        self.server.watch = self._watch

    def finish(self) -> None:
        self.network.run(self.calls / self.rate + PATIENCE + 3 * LONG_OVER)

    def leftovers(self) -> dict[str, Any]:
        """And what is in the tables of the call server."""
        return {**self.world.leftovers(), **super().leftovers()}

    def is_up(self, guid: str) -> bool:
        return guid in self.server.calls

    def rest(self, guid: str) -> list[tuple[str, Callable[[], object]]]:
        server = self.server
        kinds = {
            "blind": self.transfer_command("blind"),
            "consultation": self.transfer_command("consultation"),
            "label": self.transfer_command("blind", label=True),
        }
        reason: Any = self.random.choice(REASONS)
        return [
            *[(name, partial(server.transfer, guid, what)) for name, what in kinds.items()],
            ("variables", lambda: server.set_variables(guid, {"user.tier": "1"}, None, None)),
            ("hold", lambda: server.hold(guid)),
            ("resume", lambda: server.resume(guid)),
            ("complete", lambda: server.complete_transfer(guid)),
            ("cancel", lambda: server.cancel_transfer(guid)),
            ("terminate", lambda: self.world.wait_for(server.terminate(guid, reason))),
        ]

    def _watch(self, call: Call, _now: float, event: str, _details: str) -> None:
        self.events[event] += 1

    def recorded(self, record: CdrRecord) -> None:
        """A record has come: what its ends saw is asked later."""
        guid = record.call_guid
        if self.placed.pop(guid, None) is None:
            self.wrong.append(f"{guid} has a second record, or nobody placed it")
        self.network.at(self.network.now + LONG_OVER, lambda: self.judge(record))
