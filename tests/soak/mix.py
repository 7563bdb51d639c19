"""Calls at a steady rate through a call server: all flows mixed, everything at random moments.

The seed decides what each caller dials, how each phone takes its calls, when which side hangs
up, which REST commands come in between, and what the server's configuration says from then on.
Of each call its ends and its record are compared (`tests.soak.mix_verdict`) once it is long
over; then it is forgotten, so that any number can run.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import cycle
from random import Random
from typing import Any, Final

from simulator.cdr_records import CdrRecord
from simulator.config import Config
from simulator.errors import CallServerError
from simulator.lab.caller import guid_words
from simulator.script_messages import (
    INFO_PACKAGE,
    JSON,
    RECV_INFO,
    RunScript,
    ScriptResult,
    is_package,
)
from simulator.views import TransferCommand
from sip.errors import SipError
from sip.events import Event, Referred, Requested, Responded
from sip.usage.named import replaces_of
from sip.usage.session import CONFIRMED, TERMINATED
from tests.simulator.flows.phones import SILENT, Line, Manner
from tests.soak.ends import End
from tests.soak.kinds import DENIED
from tests.soak.mix_phones import Farewells, MixPhone, Parting, Seat, Switch
from tests.soak.mix_plan import (
    ANNOUNCEMENT,
    LABELS,
    MENU,
    NUMBERS,
    PLAIN,
    SURVIVES,
    TARGETS,
    VOICE,
    VRU,
    draw_plan,
)
from tests.soak.mix_verdict import Asked, judge
from tests.support.network import Network
from tests.support.virtual_server import configuration

RATE: Final = 20.0
PATIENCE: Final = 40.0  # seconds after which every caller has hung up
LONG_OVER: Final = 150.0  # seconds after the record: all that was under way has come to its end
RECONFIGURED: Final = 2.5  # seconds between two configurations

FOLLOWED_BY: Final = {"hold": ("resume",), "consultation": ("complete", "cancel")}
COMMANDS: Final = (
    "blind consultation consultation label label variables hold terminate resume complete cancel"
).split()
REASONS: Final = "requested administrative timeout error".split()
DIGITS: Final = ("DTMF", "TBCT", "HF")


class Mix(ABC):
    """One run: `calls` calls at `rate` a second; where the call server is a subclass says."""

    def __init__(self, network: Network, seed: int, calls: int, rate: float) -> None:
        self.random = Random(seed)
        self.calls = calls
        self.rate = rate
        self.network = network
        self.ports = cycle(range(1000, 32_000))
        self.caller = MixPhone(network, "caller", Manner())
        self.vxml = MixPhone(network, "vxml", Manner())
        self.agents = MixPhone(network, "agents", Manner())
        self.switch = Switch(self)
        self.phones = (self.caller, self.vxml, self.agents, self.switch)
        for phone in self.phones:
            phone.mix = self
        for phone in (self.caller, self.agents):
            phone.party.endpoint.support("replaces")
        network.log = self.log = Farewells({phone.name for phone in self.phones})
        self.address = ""  # of the call server
        self.seats: dict[Line, Seat] = {}
        self.by_port: dict[int, Seat] = {}
        self.lines: dict[str, list[Seat]] = {}  # by GUID
        self.asked: dict[str, Asked] = {}
        self.all_ends: dict[str, End] = {}  # by leg: one may have moved to another call
        self.no_leg: set[str] = set()
        self.placed: dict[str, str] = {}  # number dialled, by GUID, until its record came
        self.ends: Counter[tuple[str, str]] = Counter()
        self.kinds: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.judged = 0

    def config(self) -> Config:
        """The configuration from now on."""
        plan = draw_plan(self.random, len(self.placed), self.switch.uri)
        plan["direct_routes"] = [f"2>={self.agents.uri}"]
        config = configuration(**plan, lab={"embedded": False})
        return config.with_lab(self.agents.uri, self.vxml.uri)

    # The run.

    def run(self) -> None:
        """Place all calls, and let time pass until the last has been judged."""
        start = self.network.now
        for number in range(self.calls):
            self.network.at(start + number / self.rate, self.dial)
        for number in range(1, int(self.calls / self.rate / RECONFIGURED) + 1):
            self.network.at(start + number * RECONFIGURED, self.reconfigure)
        self.finish()
        for guid in [*self.placed]:
            self._denied(guid)
        self.wrong += [f"raised: {error!r}" for error in self.network.errors]
        self.wrong += [f"broke a rule: {text}" for text in self.log.rules.broken]
        self.wrong += [f"{self.all_ends[leg]} is in no record" for leg in self.no_leg]
        self.wrong += [f"{guid} to {n} has no record" for guid, n in self.placed.items()]
        self.wrong += [f"left over: {name} {what}" for name, what in self.leftovers().items()]

    def _denied(self, guid: str) -> None:
        """A call that found no room has no record: its caller was told so."""
        ends = [self._end(seat) for seat in self.lines.pop(guid, ())]
        if [(end.status, end.denied, end.over) for end in ends] == [(503, True, True)]:
            self.ends[self.placed.pop(guid), "denied"] += 1
            self.kinds[DENIED] += 1

    @property
    @abstractmethod
    def epoch(self) -> float:
        """Seconds since the epoch at which the clock of the network is 0."""

    @property
    @abstractmethod
    def delay(self) -> float:
        """Seconds that a packet takes."""

    @abstractmethod
    def finish(self) -> None:
        """Let time pass until all calls are over and judged."""

    @abstractmethod
    def reconfigure(self) -> None:
        """Give the call server another configuration."""

    @abstractmethod
    def is_up(self, guid: str) -> bool:
        """Whether the call is there."""

    @abstractmethod
    def transfer(self, guid: str, command: TransferCommand) -> None:
        """This and what follows raise CallServerError where they are refused."""

    @abstractmethod
    def terminate(self, guid: str, reason: Any) -> None:
        """End the call."""

    @abstractmethod
    def set_variables(self, guid: str, ecc: dict[str, str]) -> None:
        """Merge variables."""

    @abstractmethod
    def extension(self, guid: str, operation: str) -> None:
        """One of hold, resume, transfer/complete, transfer/cancel."""

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

    def new_guid(self) -> str:
        return f"{self.random.getrandbits(128):032X}"

    # What callers and phones do.

    def dial(self) -> None:
        """A call, what its caller will do, and what REST will do to it."""
        guid = self.new_guid()
        number = self.random.choice(NUMBERS)
        pick = self.random.choice
        lines = pick(["", "", PLAIN, SURVIVES])
        line = self.place(guid, self.caller, number, offer=not self.chance(0.05), lines=lines)
        line.manner = Manner(reinvite=pick([200] * 12 + [488, 491]))
        self.leave_in_time(line)
        self.act(line)
        if number.startswith("78"):
            self.later(6.0, lambda: self.press(line, pick("159")))
        elif number[0] in "46" and self.chance(0.2):  # it may ring still
            self.later(1.0, lambda: self.ask(guid, "terminate"))
        elif number[0] in "46" and self.chance(0.6):
            self.later(5.0, lambda: self.ask(guid, "consultation", "label"))
        while self.chance(0.5):
            self.later(pick([1.0, 4.0, 10.0]), lambda: self.ask(guid, *COMMANDS))

    def place(
        self, guid: str, phone: MixPhone, number: str, *, offer: bool = True, lines: str = ""
    ) -> Line:
        """A phone calls the server."""
        self.placed[guid] = number
        line = phone.dial(
            f"sip:{number}@{self.address}",
            f"555{self.random.randrange(10_000):04}",
            offer=offer,
            lines=f"Cisco-Guid: {guid_words(guid)}\r\n{lines}",
        )
        phone.lines.clear()
        self._sit(guid, line, number)
        return line

    def _sit(self, guid: str, line: Line, number: str) -> Seat:
        seat = self.seats[line] = self.by_port[line.media.port] = Seat(line, number)
        self.lines.setdefault(guid, []).append(seat)
        return seat

    def leave_in_time(self, line: Line) -> None:
        """A caller has some patience, and no more."""
        self.later(PATIENCE if self.chance(0.5) else 12.0, lambda: self.leave(line))
        self.network.at(self.network.now + PATIENCE, lambda: self.leave(line))

    def leave(self, line: Line) -> None:
        """Hang up or give up, whatever the state."""
        seat = self.seats.get(line)
        if seat is None or line.session.state == TERMINATED or seat.left:
            return
        try:
            if line.session.state == CONFIRMED:
                line.hang_up()
            elif line.session.outgoing:
                line.cancel()
            else:
                line.refuse(480)
                seat.refused = 480
            seat.left = True
        except SipError:  # its 200 waits for the ACK: a little later
            self.network.at(self.network.now + 1.0, lambda: self.leave(line))

    def refuse(self, line: Line, status: int) -> None:
        """Turn a call down; one that is answered already ends."""
        try:
            line.refuse(status)
            self.seats[line].refused = status
        except SipError:
            self.leave(line)

    def manner(self, phone: MixPhone, number: str) -> Manner:
        """How a phone takes the call that just comes."""
        pick = self.random.choice
        if phone is self.switch:
            return SILENT
        if phone is self.vxml:
            refuse = pick([0] * 30 + [404, 503])
            browses = number.startswith(VOICE[:2]) and not refuse and self.chance(0.6)
            return Manner(refuse=refuse, answer=None if browses else pick([0.0, 0.1]))
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

    def took(self, phone: MixPhone, line: Line) -> None:
        """A phone has been called: its line is kept with its call."""
        guid = line.invite.get("cisco-gucid") or ""
        number = line.invite.uri.removeprefix("sip:").partition("@")[0]
        seat = self._sit(guid, line, number)
        manner = line.manner
        if phone is self.switch:
            self.switch.call_back(line, number)
            return
        if manner.refuse:
            seat.refused = manner.refuse
        elif phone is self.caller:  # it is called back
            self.leave_in_time(line)
        elif number.startswith(ANNOUNCEMENT):
            self.later(2.0, lambda: self.leave(line))
        elif self.chance(0.3):
            self.later(20.0, lambda: self.leave(line))
        if phone is self.vxml and manner.answer is None:
            self.later(0.1, lambda: line.answer(None, RECV_INFO))
        self.act(line)

    def act(self, line: Line) -> None:
        """Now and then a phone does something in its call."""
        if self.chance(0.15):
            self.later(8.0, lambda: line.offer("sendonly"))
            self.later(16.0, line.offer)
        if self.chance(0.1):
            self.later(8.0, lambda: self.press(line, "5"))
        if line.phone is self.agents and not line.session.outgoing:
            if self.chance(0.15):
                self.later(8.0, lambda: self.blind(line))
            if self.chance(0.15):
                self.later(8.0, lambda: self.consult(line))

    def press(self, line: Line, key: str) -> None:
        """A key, by INFO."""
        body = f"Signal={key}\r\nDuration=250\r\n".encode()
        line.request("INFO", body, "application/dtmf-relay")

    def blind(self, line: Line) -> None:
        """A transfer started by the phone."""
        target = f"sip:{self.random.choice(TARGETS)}@{self.address}"
        line.transfer(target, subscribe=self.chance(0.8))

    def consult(self, line: Line) -> None:
        """The phone calls somebody else, and joins both a little later (attended)."""
        if line.session.state != CONFIRMED:
            return
        other = self.place(self.new_guid(), self.agents, "6002")
        self.network.at(self.network.now + PATIENCE, lambda: self.leave(other))
        target = f"sip:1002@{self.address}"

        def join() -> None:
            refer = line.transfer(replaces_of(other.session).in_uri(target))
            self.seats[other].refer = refer

        self.later(4.0, join)

    def heard(self, seat: Seat, event: Event | Responded) -> None:
        """What a phone's user, or the application at the gateway, reacts to."""
        if isinstance(event, Referred):
            self.referred(seat)
        elif isinstance(event, Requested) and seat.line.phone is self.vxml:
            self.asked_to_run(seat, event)

    def asked_to_run(self, seat: Seat, event: Requested) -> None:
        """INFO to the gateway: an application to run, or a key for the one that runs."""
        request = event.request
        if is_package(request.get("info-package") or ""):
            run = RunScript.parse(request.body)
            seat.run = run.number if run.application == MENU else 0
            if self.chance(0.3):
                self.later(6.0, lambda: self.result(seat, run.number, {}))
        elif request.body.startswith(b"Signal="):
            key = request.body.decode()[len("Signal=")]
            self.later(0.5, partial(self.result, seat, seat.run, {"caller_input": key}))

    def result(self, seat: Seat, number: int, values: dict[str, str]) -> None:
        """RUN_SCRIPT_RESULT, once."""
        if seat.run == number != 0:
            seat.run = 0
            body = ScriptResult(number, values, timeouts=int(not values)).to_body()
            seat.line.request("INFO", body, JSON, INFO_PACKAGE)

    def referred(self, seat: Seat) -> None:
        """The caller's gateway has got a REFER."""
        line, referral = seat.line, seat.referrals[-1]

        def accept() -> None:
            line.accept_refer()
            referral.accepted = self.network.now

        def tell(status: int) -> None:
            with suppress(SipError):
                line.notify(status)
                referral.told, referral.status = self.network.now, status

        draw = self.random.random()
        if draw < 0.2:
            referral.status = 603
            self.later(0.5, lambda: line.refuse_refer(603))
            return
        self.later(0.2, accept)
        at = self.network.now
        if draw < 0.4:
            self.network.at(at + 1.0, lambda: tell(486))
        elif draw < 0.95:
            self.network.at(at + 1.0, lambda: tell(200))
        if draw > 0.6:
            self.network.at(at + 1.2, lambda: self.leave(line))

    # What REST does.

    def rest(self, guid: str) -> Mapping[str, Callable[[], object]]:
        """What can be asked for, by name; a command may be refused."""
        return {
            "blind": lambda: self.transfer(guid, self.transfer_command("blind")),
            "consultation": lambda: self.transfer(guid, self.transfer_command("consultation")),
            "label": lambda: self._by_label(guid),
            "variables": lambda: self.set_variables(guid, {"user.tier": "1"}),
            "hold": lambda: self.extension(guid, "hold"),
            "resume": lambda: self.extension(guid, "resume"),
            "complete": lambda: self.extension(guid, "transfer/complete"),
            "cancel": lambda: self.extension(guid, "transfer/cancel"),
            "terminate": lambda: self._terminate(guid),
        }

    def ask(self, guid: str, *names: str) -> None:
        """One of these commands, if the call is up; what it began is ended a little later."""
        if not self.is_up(guid):
            return
        name = self.random.choice(names)
        self.rest(guid)[name]()
        self.commands[name] += 1
        if name in FOLLOWED_BY:
            then = FOLLOWED_BY[name]
            self.later(2.0, lambda: self.later(3.0, lambda: self.ask(guid, *then)))

    def transfer_command(self, kind: Any, label: str | None = None) -> TransferCommand:
        """A transfer to wherever."""
        return TransferCommand(self.random.choice(TARGETS), kind, label)

    def _by_label(self, guid: str) -> None:
        label = self.random.choice(LABELS)
        self.transfer(guid, self.transfer_command("blind", label))
        if label.startswith(DIGITS):
            self.asked.setdefault(guid, Asked()).digits.append((self.network.now, label))

    def _terminate(self, guid: str) -> None:
        reason = self.random.choice(REASONS)
        self.terminate(guid, reason)
        self.asked.setdefault(guid, Asked()).terminated = reason

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
        ends = [self.all_ends[leg] for leg in legs if leg in self.all_ends]
        asked = self.asked.pop(record.call_guid, Asked())
        self.wrong += self.verdict(record, ends, asked)
        number = record.called_number
        self.ends[VRU if number.startswith(VRU) else number, record.call_result] += 1
        self.judged += 1

    def verdict(self, record: CdrRecord, ends: list[End], asked: Asked) -> list[str]:
        """What is wrong with a record."""
        return judge(record, ends, asked, self.epoch)

    def gather(self, guid: str) -> None:
        """What the phones of a call saw, once it is long over."""
        for seat in self.lines.pop(guid, ()):
            end = self._end(seat)
            self.all_ends[end.leg_id] = end
            self.no_leg.add(end.leg_id)

    def _end(self, seat: Seat) -> End:
        """A phone's side of a dialog, which is forgotten."""
        del self.seats[seat.line]
        if self.by_port.get(seat.line.media.port) is seat:
            del self.by_port[seat.line.media.port]
        parting = self.log.partings.pop(seat.leg_id, Parting())
        return End.of(seat, parting, self.delay)
