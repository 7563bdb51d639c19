"""Faults on demand: rules that drop, delay, alter and answer SIP messages.

The rules stand between the sockets and the endpoint, see `sip.transport.Faults`, and only while
one is switched on. A message meets them in their order: one that changes it hands it on to the
next, any other that fires has the last word. What is sent again is a message of its own; but a
request that was answered by a rule gets the same answer whenever it comes again.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

from simulator.config_faults import MOST_RULES, FaultRule
from simulator.errors import FaultConflict, FaultNotFound
from simulator.fault_messages import corrupted, with_sdp
from simulator.fault_rules import RE_INVITE, ActiveRule, Direction, Passage
from simulator.headers import user_part
from simulator.leg import CALLER, Leg
from simulator.routing import NotRoutable
from sip.dialog import name_addr_uri
from sip.errors import SipError
from sip.grammar import header_line
from sip.message import Request, Response, parse
from sip.timers import Timer
from sip.transaction.layer import server_key
from sip.transport import Address, Listener, Outgoing

if TYPE_CHECKING:
    from simulator.server import CallServer

MOST_HELD: Final = 10_000
"""Messages that wait at most; others pass then as if there were no rule."""

_MOST_DIALOGS: Final = 10_000
_MOST_PEERS: Final = 10_000
_MOST_ANSWERED: Final = 16  # requests of a dialog
_DONE: Final[Mapping[str, str]] = {
    "drop": "dropped",
    "silence": "dropped, and all that follows",
    "close": "dropped, and the connection closed",
}

Mark = Callable[[str, str, float], None]
"""Told of each firing: the Call-ID of the message, what was done to it, and the time."""


class _Dialog:
    """What the rules know of the messages with one Call-ID."""

    __slots__ = (
        "answered",
        "application",
        "held",
        "leg",
        "number",
        "reinvite",
        "seen",
        "silent",
        "tag",
        "used",
    )

    def __init__(self) -> None:
        self.used = 0.0
        self.tag = ""  # ours: that of its session
        self.leg: tuple[str, ...] = ()
        self.number = ""
        self.application = ""
        self.reinvite: dict[Direction, int] = {}  # CSeq of the last one
        self.seen: dict[ActiveRule, int] = {}  # messages that matched, by rule
        self.silent: ActiveRule | None = None
        self.answered: dict[str, ActiveRule] = {}  # by transaction
        self.held: dict[Direction, _Held] = {}  # what waits for the next one


class _Held:
    """A message that waits for its time."""

    def __init__(self, faults: "Faults", passage: Passage, dialog: _Dialog | None) -> None:
        self._faults = faults
        self.passage = passage
        self.dialog = dialog  # where it waits for the next one
        self.timer: Timer | None = None

    def timer_fired(self, _what: int, now: float) -> None:
        """It goes on, past the rules."""
        self._faults.release(self, now)


class Faults:
    """The fault rules of `server`, by name; nothing of them is in the way without any.

    `mark` is told of each firing.
    """

    def __init__(self, server: "CallServer") -> None:
        self._server = server
        self._stack = server.stack
        self._configured: tuple[FaultRule, ...] = ()
        self._dialogs: OrderedDict[str, _Dialog] = OrderedDict()
        self._silent_peers: dict[Address, ActiveRule] = {}
        self._held: set[_Held] = set()
        self.rules: dict[str, ActiveRule] = {}
        self.mark: Mark | None = None

    # The table.

    @property
    def fired(self) -> dict[str, int]:
        """How often each rule has fired."""
        return {rule.name: rule.fired for rule in self.rules.values()}

    @property
    def kept(self) -> int:
        """How many messages are held back."""
        return len(self._held)

    def find(self, name: str) -> ActiveRule:
        """The rule `name`. Raises FaultNotFound."""
        rule = self.rules.get(name)
        if rule is None:
            raise FaultNotFound(f"no fault has the name {name!r}")
        return rule

    def add(self, rule: FaultRule) -> ActiveRule:
        """Put a rule in force, behind the others. Raises FaultConflict."""
        active = self._add(rule, configured=False)
        self._settle()
        return active

    def _add(self, rule: FaultRule, *, configured: bool) -> ActiveRule:
        if len(self.rules) >= MOST_RULES:
            raise FaultConflict(f"there are {MOST_RULES} faults already; delete one")
        if rule.name in self.rules:
            raise FaultConflict(f"a fault {rule.name!r} is there already; give another name")
        if not rule.name:
            taken = {*self.rules, *(one.name for one in self._configured)}
            number = 1
            while f"fault-{number}" in taken:
                number += 1
            rule = rule.model_copy(update={"name": f"fault-{number}"})
        active = self.rules[rule.name] = ActiveRule(rule, configured=configured)
        return active

    def switch(self, name: str, *, enabled: bool) -> ActiveRule:
        """Have a rule wait, or go on with the counters it has. Raises FaultNotFound."""
        rule = self.find(name)
        rule.enabled = enabled
        self._settle()
        return rule

    def remove(self, name: str) -> ActiveRule:
        """Take a rule away; what it holds back goes on in its time. Raises FaultNotFound."""
        rule = self.find(name)
        del self.rules[name]
        rule.enabled = False
        self._settle()
        return rule

    def clear(self) -> list[ActiveRule]:
        """Take all rules away, and what they hold back; the rules that there were."""
        removed = list(self.rules.values())
        for rule in removed:
            rule.enabled = False
        self.rules.clear()
        self._settle()
        self._forget_held()
        return removed

    def reset(self) -> None:
        """As after the start: the rules of the configuration, and none has fired."""
        self.clear()
        for rule in self._configured:
            self._add(rule, configured=True)
        self._settle()

    def configure(self, rules: tuple[FaultRule, ...]) -> None:
        """Take the rules of a configuration; those that were there stay as they are, and so do
        those that came over REST, unless one of these has their name."""
        if rules == self._configured:
            return
        before, self._configured = self.rules, rules
        others = [one for one in before.values() if not one.configured]
        self.rules = {}
        for rule in rules:
            active = self._add(rule, configured=True)
            known = before.get(active.name)
            if known is not None and known.configured and known.rule == active.rule:
                self.rules[active.name] = known
        for one in others:
            self.rules.setdefault(one.name, one)
        for one in before.values():
            one.enabled = one.enabled and self.rules.get(one.name) is one
        self._settle()

    def _settle(self) -> None:
        """Stand in the way while a rule is switched on, with nothing of those that are not."""
        silent = self._silent_peers
        self._silent_peers = {peer: rule for peer, rule in silent.items() if rule.enabled}
        if any(rule.enabled for rule in self.rules.values()):
            self._stack.faults = self
        else:
            self._stack.faults = None
            self._dialogs.clear()

    def _forget_held(self) -> None:
        for held in list(self._held):
            self._stop(held)

    # What the stack calls.

    def arrived(
        self, data: bytes, address: Address, listener: Listener, now: float, age: float = 0.0
    ) -> None:
        """A message from a socket: what goes on of it goes to the door."""
        door = self._stack.endpoint.door
        for found, peer, way in self._through("in", listener, address, data, now):
            door.take(found, peer, way, now, age)

    def leaving(self, outbox: list[Outgoing], now: float) -> list[Outgoing]:
        """Messages for the sockets: those that go out now."""
        return [
            (listener, address, data)
            for way, peer, given in outbox
            for data, address, listener in self._through("out", way, peer, given, now)
        ]

    def release(self, held: _Held, now: float) -> None:
        """A message has waited long enough."""
        self._stop(held)
        passage = held.passage
        if passage.direction == "in":
            door = self._stack.endpoint.door
            door.take(passage.data, passage.address, passage.listener, now)
        else:
            self._stack.transmit([(passage.listener, passage.address, passage.data)], now)

    # A message meets the rules.

    def _through(
        self, direction: Direction, listener: Listener, address: Address, data: bytes, now: float
    ) -> Iterator[tuple[bytes, Address, Listener]]:
        if address in self._silent_peers:
            return
        try:
            message = parse(data)
            passage = Passage(direction, listener, address, data, message)
        except SipError:  # no SIP, such as a keep-alive
            yield data, address, listener
            return
        dialog = self._dialog_of(message.call_id, now)
        if dialog.silent is not None and dialog.silent.enabled:
            return
        self._describe(passage, dialog)
        if self._answered_before(passage, dialog, now):
            return
        self._meet(passage, dialog, now)
        for _ in range(passage.copies):
            yield passage.data, address, listener
        waiting = dialog.held.get(direction) if passage.copies else None
        if waiting is not None:
            self._stop(waiting)
            yield waiting.passage.data, waiting.passage.address, waiting.passage.listener

    def _dialog_of(self, call_id: str, now: float) -> _Dialog:
        dialogs = self._dialogs
        dialog = dialogs.get(call_id)
        if dialog is None:
            self._forget_old(now)
            dialog = dialogs[call_id] = _Dialog()
        dialogs.move_to_end(call_id)
        dialog.used = now
        return dialog

    def _forget_old(self, now: float) -> None:
        """Forget the dialog that was not used for longest, unless it may go on."""
        dialogs, endpoint = self._dialogs, self._stack.endpoint
        for call_id in list(islice(dialogs, 2)):
            dialog = dialogs[call_id]
            if len(dialogs) < _MOST_DIALOGS and now < dialog.used + endpoint.timers.timeout:
                return
            if len(dialogs) >= _MOST_DIALOGS or dialog.tag not in endpoint.sessions:
                del dialogs[call_id]
            else:
                dialog.used = now
                dialogs.move_to_end(call_id)

    def _describe(self, passage: Passage, dialog: _Dialog) -> None:
        """Say what leg and call a message belongs to, and which INVITE is within a call."""
        message, direction = passage.message, passage.direction
        ours = (direction == "out") == isinstance(message, Request)
        tag = message.from_tag if ours else message.to_tag
        session = self._stack.endpoint.sessions.get(tag) if tag else None
        if session is not None:
            dialog.tag = session.local_tag
            if isinstance(session.user, Leg):
                leg = session.user
                dialog.leg = ("outbound" if session.outgoing else "inbound", leg.kind)
                dialog.number, dialog.application = leg.call.called, leg.call.application
        if passage.method == "INVITE":
            number = message.cseq[0]
            if isinstance(message, Response):
                asked: Direction = "out" if direction == "in" else "in"
                within = dialog.reinvite.get(asked) == number
            else:
                within = message.to_tag is not None
                if within:
                    dialog.reinvite[direction] = number
                elif direction == "in" and not dialog.leg:
                    self._expect(message, dialog)
            if within:
                passage.method = RE_INVITE
        passage.leg, passage.number = dialog.leg, dialog.number
        passage.application = dialog.application

    def _expect(self, request: Request, dialog: _Dialog) -> None:
        """What the call will be that an INVITE begins."""
        dialog.leg = ("inbound", CALLER)
        dialog.number = user_part(request.uri) or user_part(name_addr_uri(request.get("to") or ""))
        with suppress(NotRoutable, SipError):
            dialog.application = self._server.plan.route_call(dialog.number).application

    def _answered_before(self, passage: Passage, dialog: _Dialog, now: float) -> bool:
        """Whether a request was answered by a rule, and is again; an ACK to that is absorbed."""
        message = passage.message
        if passage.direction == "out" or isinstance(message, Response) or not dialog.answered:
            return False
        rule = dialog.answered.get(server_key(message))
        if rule is None or message.method == "CANCEL":
            return False
        if message.method != "ACK" and self._may_ask(message, passage, now):
            self._answer(rule, message, passage)
        return True

    def _meet(self, passage: Passage, dialog: _Dialog, now: float) -> None:
        for rule in self.rules.values():
            if not rule.enabled or rule.used_up or not rule.matches(passage):
                continue
            seen = dialog.seen.get(rule, 0)
            if rule.rule.nth is not None:
                dialog.seen[rule] = seen + 1
            if not rule.strikes(seen):
                continue
            done = self._do(rule, passage, dialog, now)
            if not done:
                continue
            rule.fired += 1
            if self.mark is not None:
                self.mark(passage.message.call_id, f"{rule.name}: {passage} {done}", now)
            if rule.rule.action not in ("corrupt", "sdp"):
                return

    def _do(self, rule: ActiveRule, passage: Passage, dialog: _Dialog, now: float) -> str:
        """Do what a rule says: what that was, or nothing where it does not apply."""
        wanted = rule.rule
        if wanted.corrupt is not None:
            return self._change(
                passage, corrupted(passage.data, wanted.corrupt), f"with a wrong {wanted.corrupt}"
            )
        if wanted.sdp is not None:
            return self._change(
                passage, with_sdp(passage.data, wanted.sdp), "with another description"
            )
        if wanted.duplicate is not None:
            passage.copies += wanted.duplicate
            return f"duplicated {wanted.duplicate} times"
        if wanted.delay is not None:
            seconds = rule.delay()
            held = self._hold(passage, None, seconds, now)
            return f"delayed by {seconds:.3f} s" if held else ""
        if wanted.reorder is not None:
            if passage.direction in dialog.held:  # this is the next one
                return ""
            return "held for the next one" * self._hold(passage, dialog, wanted.reorder, now)
        if wanted.close is not None and not passage.listener.disconnect(passage.address):
            return ""
        if wanted.answer is not None:
            assert isinstance(passage.message, Request)
            if not self._may_ask(passage.message, passage, now):
                return ""  # the endpoint refuses it
            passage.copies = 0
            while len(dialog.answered) >= _MOST_ANSWERED:
                del dialog.answered[next(iter(dialog.answered))]
            dialog.answered[server_key(passage.message)] = rule
            self._answer(rule, passage.message, passage)
            return f"answered {wanted.answer.status}"
        passage.copies = 0
        if wanted.silence == "dialog":
            dialog.silent = rule
        elif wanted.silence == "peer":
            while len(self._silent_peers) >= _MOST_PEERS:
                del self._silent_peers[next(iter(self._silent_peers))]
            self._silent_peers[passage.address] = rule
        return _DONE[wanted.action]

    @staticmethod
    def _change(passage: Passage, data: bytes, what: str) -> str:
        if data == passage.data:
            return ""
        passage.data = data
        return what

    def _may_ask(self, request: Request, passage: Passage, now: float) -> bool:
        """Whether its source is heard here: no rule answers who is banned or sends too much."""
        endpoint = self._stack.endpoint
        if endpoint.screen is None or request.to_tag in endpoint.sessions:
            return True
        try:
            endpoint.screen.admit(request, passage.address, passage.listener, now)
        except SipError:
            return False
        return True

    def _answer(self, rule: ActiveRule, request: Request, passage: Passage) -> None:
        answer = rule.rule.answer
        assert answer is not None
        lines = "".join([header_line(name, value) for name, value in answer.headers.items()])
        endpoint = self._stack.endpoint
        endpoint.refuse(
            request, passage.address, passage.listener, answer.status, lines, answer.reason
        )

    def _hold(self, passage: Passage, dialog: _Dialog | None, seconds: float, now: float) -> bool:
        """Hold a message back, unless too many are."""
        if len(self._held) >= MOST_HELD:
            return False
        passage.copies = 0
        held = _Held(self, passage, dialog)
        held.timer = self._stack.endpoint.wheel.start(now, seconds, held, 0)
        self._held.add(held)
        if dialog is not None:
            dialog.held[passage.direction] = held
        return True

    def _stop(self, held: _Held) -> None:
        """A message waits no more."""
        self._held.discard(held)
        if held.dialog is not None:
            held.dialog.held.pop(held.passage.direction, None)
        if held.timer is not None:
            held.timer.stop()
