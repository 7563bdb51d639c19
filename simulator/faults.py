"""Faults on demand: rules that drop, delay, alter and answer SIP messages.

The rules stand between the sockets and the endpoint, see `sip.transport.Faults`, and only while
one is switched on. A message meets them in their order: one that changes it hands it on to the
next, any other that fires has the last word. What is sent again is a message of its own; but a
request that was answered by a rule gets the same answer whenever it comes again, with or
without the rule.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from simulator.config_faults import MOST_RULES, FaultRule
from simulator.errors import FaultConflict, FaultNotFound
from simulator.fault_dialogs import Dialog, Dialogs, Held
from simulator.fault_messages import corrupted, with_sdp
from simulator.fault_rules import ActiveRule, Direction, Passage
from sip.errors import PeerError, SipError, Unanswered
from sip.grammar import header_line
from sip.message import Request, Response, parse
from sip.transaction.layer import server_key
from sip.transport import Address, Listener, Outgoing

if TYPE_CHECKING:
    from simulator.server import CallServer

MOST_HELD: Final = 10_000
"""Messages that wait at most; others pass then as if there were no rule."""

MOST_HELD_OCTETS: Final = 16 * 1024 * 1024
"""Octets of the messages that wait, at most."""

_MOST_PEERS: Final = 10_000
_MOST_ANSWERED: Final = 32_768
_DONE: Final[Mapping[str, str]] = {
    "drop": "dropped",
    "silence": "dropped, and all that follows",
    "close": "dropped, and the connection closed",
}

Mark = Callable[[str, str, float], None]
"""Told of each firing: the Call-ID of the message, what was done to it, and the time."""


class _Answered:
    """What a rule has answered, and until when its request may come again."""

    __slots__ = ("rule", "until")

    def __init__(self, rule: ActiveRule, until: float) -> None:
        self.rule = rule
        self.until = until


class Faults:
    """The fault rules of `server`, by name; nothing of them is in the way without any.

    `mark` is told of each firing.
    """

    def __init__(self, server: "CallServer", mark: Mark) -> None:
        self._stack = server.stack
        self._configured: tuple[FaultRule, ...] = ()
        self._dialogs = Dialogs(server)
        self._answered: OrderedDict[str, _Answered] = OrderedDict()  # by transaction
        self._active = False  # a rule is switched on
        self._silent_peers: dict[Address, ActiveRule] = {}
        self._held: set[Held] = set()
        self._held_octets = 0
        self.rules: dict[str, ActiveRule] = {}
        self.mark = mark

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
        """Stand in the way while a rule is switched on, with nothing of those that are not; and
        while the copies of what was answered may come, which would begin a call."""
        silent = self._silent_peers
        self._silent_peers = {peer: rule for peer, rule in silent.items() if rule.enabled}
        self._active = any(rule.enabled for rule in self.rules.values())
        self._stack.faults = self if self._active or self._answered else None
        if not self._active:
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

    def release(self, held: Held, now: float) -> None:
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
        self._forget_answered(now)
        if not self._active:
            if not self._answered_before(passage, now):
                yield data, address, listener
            return
        dialog = self._dialogs.of(passage, now)
        if dialog.silent is not None and dialog.silent.enabled:
            return
        self._dialogs.describe(passage, dialog)
        if self._answered_before(passage, now):
            return
        self._meet(passage, dialog, now)
        for _ in range(passage.copies):
            yield passage.data, address, listener
        waiting = dialog.held.get(direction) if passage.copies else None
        if waiting is not None:
            self._stop(waiting)
            yield waiting.passage.data, waiting.passage.address, waiting.passage.listener

    def _forget_answered(self, now: float) -> None:
        """Forget the answers whose transactions are over."""
        answered = self._answered
        if not answered:
            return
        while answered and now >= next(iter(answered.values())).until:
            answered.popitem(last=False)
        if not answered:
            self._settle()

    def _answered_before(self, passage: Passage, now: float) -> bool:
        """Whether a request was answered by a rule, and is again; an ACK to that is absorbed."""
        message = passage.message
        if passage.direction == "out" or isinstance(message, Response) or not self._answered:
            return False
        before = self._answered.get(_key(message))
        if before is None or message.method == "CANCEL":
            return False
        if message.method != "ACK":
            with suppress(PeerError):
                self._admit(message, passage, now)
                self._answer(before.rule, message, passage)
        return True

    def _meet(self, passage: Passage, dialog: Dialog, now: float) -> None:
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
                if not passage.copies:
                    return
                continue
            rule.fired += 1
            self.mark(passage.message.call_id, f"{rule.name}: {passage} {done}", now)
            if rule.rule.action not in ("corrupt", "sdp"):
                return

    def _do(self, rule: ActiveRule, passage: Passage, dialog: Dialog, now: float) -> str:
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
            if not self._answer_first(rule, passage, now):
                return ""
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

    def _answer_first(self, rule: ActiveRule, passage: Passage, now: float) -> bool:
        """Answer a request, unless its source is not heard here, which then is told so. One that
        is malformed is left to the endpoint."""
        request, endpoint = passage.message, self._stack.endpoint
        assert isinstance(request, Request)
        key = _key(request)
        if not key:
            return False
        passage.copies = 0
        try:
            self._admit(request, passage, now)
        except Unanswered:
            endpoint.traffic.got(request.method)
            endpoint.discarded += 1
            return False
        except PeerError as error:
            endpoint.traffic.got(request.method)
            endpoint.refuse(
                request, passage.address, passage.listener, error.status, error.lines, error.reason
            )
            return False
        while len(self._answered) >= _MOST_ANSWERED:
            self._answered.popitem(last=False)
        self._answered[key] = _Answered(rule, now + endpoint.timers.timeout)
        self._answer(rule, request, passage)
        return True

    def _admit(self, request: Request, passage: Passage, now: float) -> None:
        """Let pass whose source is heard here, as the endpoint does, or raise its PeerError: no
        rule answers who is banned or sends too much."""
        endpoint = self._stack.endpoint
        if (
            endpoint.screen is not None
            and request.to_tag not in endpoint.sessions
            and _key(request) not in endpoint.servers
        ):
            endpoint.screen.admit(request, passage.address, passage.listener, now)

    def _answer(self, rule: ActiveRule, request: Request, passage: Passage) -> None:
        answer = rule.rule.answer
        assert answer is not None
        lines = "".join([header_line(name, value) for name, value in answer.headers.items()])
        endpoint = self._stack.endpoint
        endpoint.refuse(
            request, passage.address, passage.listener, answer.status, lines, answer.reason
        )

    def _hold(self, passage: Passage, dialog: Dialog | None, seconds: float, now: float) -> bool:
        """Hold a message back, unless too many are."""
        octets = self._held_octets + len(passage.data)
        if len(self._held) >= MOST_HELD or octets > MOST_HELD_OCTETS:
            return False
        passage.copies = 0
        self._held_octets = octets
        held = Held(self.release, passage, dialog)
        held.timer = self._stack.endpoint.wheel.start(now, seconds, held, 0)
        self._held.add(held)
        if dialog is not None:
            dialog.held[passage.direction] = held
        return True

    def _stop(self, held: Held) -> None:
        """A message waits no more."""
        if held in self._held:
            self._held.remove(held)
            self._held_octets -= len(held.passage.data)
        if held.dialog is not None:
            held.dialog.held.pop(held.passage.direction, None)
        if held.timer is not None:
            held.timer.stop()


def _key(request: Request) -> str:
    """That of its transaction; empty for a malformed request, which the endpoint refuses."""
    if request.defect is not None:
        return ""
    try:
        return server_key(request)
    except SipError:
        return ""
