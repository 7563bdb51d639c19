"""The door: what becomes of a new call while there is more to do than time.

An INVITE outside of a dialog that is refused gets 503 from a few of its header fields, before
anything is made of it (a stateless UAS, RFC 3261 section 8.2.7); the ACK to that is
absorbed. All else passes: what is in a dialog, ACK, BYE, CANCEL, responses.

New calls have to wait once they come faster than they are taken in, and who has waited too
long is refused while the queue never gets empty. So delay is bounded, as by CoDel (RFC 8289),
and as many calls come in as there is time for. A queue that stays has places for those who can
come in soon; all others are refused as they arrive, which is cheapest, and they hear of it at
once. Those who are known to the screen wait in a queue of their own, and go first; who is banned,
over its rate, or may not call at all, does not wait.
"""

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from sip.errors import PeerError, Unanswered
from sip.knock import Knock, knock_of
from sip.message import VERSION, Request, parse, reason_phrase
from sip.transport import Address, Listener
from sip.usage.named import replaced_by

if TYPE_CHECKING:
    from sip.endpoint import Endpoint

AT_ONCE: Final = 16
"""New calls of one turn of the shell that are taken in without waiting."""

MOST_WAITING: Final = 8_192
"""New calls that may wait in a queue; more are refused at once."""

RETRY_AFTER: Final = 5
"""Seconds after which a refused caller may come again, or up to as many more: each has its
own number, so that they do not come in one wave."""

_SOON: Final = 0.5
"""The share of the delay for which new calls are let into a queue that stays."""

REMEMBERED: Final = 4.0
"""Seconds for which a refusal is remembered at least, so that a copy of the INVITE that is
under way opens no call whose caller has given up."""

MOST_REMEMBERED: Final = 32_768
"""Refusals after which those before them are forgotten sooner."""


_CALL: Final = Request("INVITE", "", "")  # for those who only ask for the method
_START: Final = f"{VERSION} 503 {reason_phrase(503)}".encode()


class Keeper(Protocol):
    """Who decides whether a new call may come in."""

    def shut(self, now: float) -> bool:
        """Whether new calls have to be looked at, as some may be refused."""

    def refuses(self, knock: Knock, now: float, *, late: bool) -> str:
        """Why this one is refused, or nothing; `late`: it has waited too long."""

    def count(self, reason: str, now: float) -> None:
        """Told of each call that is refused, once for all copies of its INVITE."""


class _Waiting:
    """A new call that waits, or the CANCEL of one, which has no `knock`."""

    __slots__ = ("address", "arrived", "data", "key", "knock", "listener")

    def __init__(
        self,
        key: str,
        knock: Knock | None,
        data: bytes,
        address: Address,
        listener: Listener,
        arrived: float,
    ) -> None:
        self.key = key
        self.knock = knock
        self.data = data
        self.address = address
        self.listener = listener
        self.arrived = arrived


class _Queue:
    """Those who wait, and their keys: a copy of one who waits is no other call.

    `since` is when somebody had to wait first, and there was always one since. `room` is for
    how many there is time soon: so many came in within the last `_SOON` of the delay.
    """

    __slots__ = ("_came_in", "_turn", "keys", "room", "since", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[_Waiting] = deque()
        self.keys: set[str] = set()
        self.since = 0.0
        self.room = 0
        self._came_in = 0
        self._turn = 0.0

    def append(self, one: _Waiting, now: float) -> None:
        """Queue up, unless it is a copy."""
        if one.key in self.keys:
            return
        if not self.waiting:
            self.since = now
        self.waiting.append(one)
        self.keys.add(one.key)

    def pop(self) -> _Waiting:
        """Who has waited longest goes."""
        one = self.waiting.popleft()
        self.keys.discard(one.key)
        return one

    def late(self, now: float, delay: float) -> bool:
        """Whether who has waited longest has waited too long."""
        return now - self.since > delay and now - self.waiting[0].arrived > delay

    def came_in(self, now: float, delay: float) -> None:
        """Count one who was let in."""
        if now >= self._turn:
            self._look(now, delay)
        self._came_in += 1

    def full(self, now: float, delay: float) -> bool:
        """Whether one more would hear too late that there is no time for it: the queue has not
        been empty for long, and there is no `room`."""
        many = len(self.waiting)
        if many < AT_ONCE or now - self.since <= delay:
            return False
        if now >= self._turn:
            self._look(now, delay)
        return many >= self.room

    def _look(self, now: float, delay: float) -> None:
        period = _SOON * delay
        lately = now < self._turn + period
        self.room = self._came_in if lately else 0
        self._came_in = 0
        self._turn = now + period

    def clear(self) -> None:
        """All go."""
        self.waiting.clear()
        self.keys.clear()


class Door:
    """The door of `endpoint`.

    `delay` is how long a new call may wait, in seconds (0: none waits). With a `keeper` that
    is `watched` every new call is looked at once that is shut. `lines` are further header
    lines of the 503, each ended by CRLF. Nobody is refused without a keeper.
    """

    __slots__ = (
        "_before",
        "_endpoint",
        "_known",
        "_mark",
        "_refused",
        "_strangers",
        "_turn",
        "alert",
        "delay",
        "keeper",
        "lines",
        "taken",
        "watched",
    )

    def __init__(self, endpoint: "Endpoint") -> None:
        self._endpoint = endpoint
        self.keeper: Keeper | None = None
        self.watched = False
        self.alert = False  # what arrives has to be looked at
        self.delay = 0.0
        self.lines = b""
        self.taken = 0  # new calls that did not have to wait since the shell set it to 0
        self._known = _Queue()
        self._strangers = _Queue()
        self._mark = b""  # a part of the To tag of every refusal of this door
        self._refused: set[int] = set()
        self._before: set[int] = set()
        self._turn = 0.0  # when the older half of what is remembered is forgotten

    def watch(self, keeper: Keeper, *, always: bool, delay: float) -> None:
        """Have `keeper` decide: on who has waited `delay` seconds, or `always`."""
        self.keeper = keeper
        self.watched = always
        self.delay = delay
        self.alert = always or bool(self._refused or self._before)

    # What the shell calls.

    @property
    def waiting(self) -> int:
        """How many messages wait: new calls, and CANCELs behind them."""
        return len(self._known.waiting) + len(self._strangers.waiting)

    def clear(self) -> None:
        """Forget those who wait."""
        self._known.clear()
        self._strangers.clear()

    def take(
        self, data: bytes, address: Address, listener: Listener, now: float, age: float = 0.0
    ) -> None:
        """Take one message, which arrived `age` seconds ago: a new call may have to wait."""
        if data[:2] == b"\r\n":
            data = data.lstrip(b"\r\n")  # section 7.5
        if self.delay and data[:7] == b"INVITE ":
            if (
                self.taken < AT_ONCE
                and age <= self.delay
                and not (self._known.waiting or self._strangers.waiting)
            ):
                self.taken += 1
            elif self._waits(data, address, listener, now, age):
                return
        elif data[:7] == b"CANCEL " and self.waiting:
            knock = knock_of(data)
            if knock is not None:
                for queue in (self._known, self._strangers):
                    if knock.key in queue.keys:  # before its INVITE it would find no call
                        key = f"{knock.key} CANCEL"
                        queue.append(_Waiting(key, None, data, address, listener, now), now)
                        return
        if not (self.alert and self.settles(data, address, listener, now)):
            self._endpoint.receive_datagram(data, address, listener, now, True)

    def _waits(
        self, data: bytes, address: Address, listener: Listener, now: float, age: float
    ) -> bool:
        """Whether no more is to be done with an INVITE at once."""
        knock = knock_of(data)
        if knock is None or knock.key in self._endpoint.servers:
            return False
        traffic = self._endpoint.traffic
        screen = self._endpoint.screen
        known = screen is None or screen.known(address[0])
        queue = self._known if known else self._strangers
        if knock.key in queue.keys:
            traffic.repeated += 1
            return True
        # Who is known has no rate, and may be subject to rules at most.
        ask = screen is not None and (not known or bool(screen.rules))
        if ask and self._screened(data, address, listener, now):
            traffic.got("INVITE")
            return True
        if len(queue.waiting) < MOST_WAITING and not queue.full(now, self.delay):
            queue.append(_Waiting(knock.key, knock, data, address, listener, now - age), now)
            return True
        if self._refuse(knock, data, address, listener, now, late=True, screened=True):
            return True
        if screen is not None and not known:
            screen.give_back(address, listener, now)
        return False

    def next(self, now: float, *, busy: bool) -> bool:
        """Let in or refuse who has waited longest; False when there is nobody to see to.

        While all else keeps the server `busy` nobody is let in. A stranger is let in when none
        of the known wait, and is told else when it is late: one for each of those.
        """
        known = bool(self._known.waiting)
        served = known and self._see_to(self._known, now, busy)
        if self._strangers.waiting:
            served = self._see_to(self._strangers, now, busy or known) or served
        return served

    def _see_to(self, queue: _Queue, now: float, busy: bool) -> bool:
        late = queue.late(now, self.delay)
        if busy and not late:
            return False
        one = queue.pop()
        data, address, listener = one.data, one.address, one.listener
        knock = one.knock
        if knock is not None:
            if (late or self._guards(now)) and self._refuse(
                knock, data, address, listener, now, late=late, screened=True
            ):
                return True
            queue.came_in(now, self.delay)
            screen = self._endpoint.screen
            if screen is not None and queue is self._strangers:
                screen.give_back(address, listener, now)  # now the endpoint asks it
        self._endpoint.receive_datagram(data, address, listener, now, True)
        return True

    # What the endpoint calls.

    def settles(self, data: bytes, address: Address, listener: Listener, now: float) -> bool:
        """Whether no more is to be done with a message that has arrived, while on `alert`."""
        if data[:4] == b"ACK ":
            if not self._mark or self._mark not in data:
                return False
            self._endpoint.traffic.got("ACK")
            return True
        if data[:7] != b"INVITE " or not self._guards(now):
            return False
        return self.turn_away(data, address, listener, now, False)

    def _guards(self, now: float) -> bool:
        """Whether a new call may be one that was refused, or one that the keeper refuses."""
        keeper = self.keeper
        if keeper is None or not self.alert:
            return False
        if self._refused or self._before:
            if now >= self._turn:
                self._forget(now)
            if self._refused or self._before:
                return True
        return self.watched and keeper.shut(now)

    def turn_away(
        self, data: bytes, address: Address, listener: Listener, now: float, late: bool
    ) -> bool:
        """Refuse an INVITE, if it is that of a new call and the keeper, or a copy, says so."""
        knock = knock_of(data)
        return knock is not None and self._refuse(
            knock, data, address, listener, now, late=late, screened=False
        )

    def _refuse(
        self,
        knock: Knock,
        data: bytes,
        address: Address,
        listener: Listener,
        now: float,
        *,
        late: bool,
        screened: bool,
    ) -> bool:
        """Refuse a new call, unless it may come in; `screened`: its sender may call at all."""
        keeper = self.keeper
        if keeper is None or knock.key in self._endpoint.servers:
            return False  # the last is a copy of one that was let in
        known = knock.id
        again = known in self._refused or known in self._before
        reason = ""
        if not again:
            if knock.replaces and self._takes_place(data):
                return False
            reason = keeper.refuses(knock, now, late=late)
            if not reason:
                return False
        endpoint = self._endpoint
        if again:
            endpoint.traffic.repeated += 1
        else:
            endpoint.traffic.got("INVITE")
        if not screened and self._screened(data, address, listener, now):
            return True
        if again:
            endpoint.retransmitted += 1
        else:
            endpoint.traffic.gave("INVITE", 503)
            keeper.count(reason, now)
            self._remember(known, now)
        # The same to each copy: what differs is made of a number that they share.
        number = known & 0xFFFF_FFFF
        tag = b"ds%b%08x" % (self._mark, number)
        after = RETRY_AFTER + number % (RETRY_AFTER + 1)
        lines = b"Retry-After: %d\r\n%b" % (after, self.lines)
        target, answer = knock.answer(_START, tag, lines, address, listener)
        endpoint.send(listener, target, answer)
        return True

    def _takes_place(self, data: bytes) -> bool:
        """Whether Replaces names a dialog: a part of a call that is up is no new one."""
        try:
            message = parse(data)
            return isinstance(message, Request) and bool(
                replaced_by(message, self._endpoint.sessions)
            )
        except PeerError:
            return False

    def _screened(self, data: bytes, address: Address, listener: Listener, now: float) -> bool:
        """Whether the sender may not call, or not so often, and hears that, if anything."""
        endpoint = self._endpoint
        if endpoint.screen is None:
            return False
        try:
            endpoint.screen.admit(_CALL, address, listener, now)
        except Unanswered:
            endpoint.discarded += 1
        except PeerError as error:
            message = parse(data)
            if isinstance(message, Request):
                endpoint.refuse(message, address, listener, error.status, error.lines, error.reason)
        else:
            return False
        return True

    @property
    def remembered(self) -> int:
        """How many refusals are remembered."""
        return len(self._refused) + len(self._before)

    # What is remembered of refusals: two sets, the older of which is forgotten at each turn.

    def _remember(self, known: int, now: float) -> None:
        if not self._mark:
            self._mark = self._endpoint.ids.hex(8).encode()
        if not self.alert:
            self.alert = True
            self._turn = now + REMEMBERED
        if now >= self._turn or len(self._refused) >= MOST_REMEMBERED:
            self._forget(now)
        self._refused.add(known)

    def _forget(self, now: float) -> None:
        twice = now >= self._turn + REMEMBERED
        self._before = set() if twice else self._refused
        self._refused = set()
        self._turn = now + REMEMBERED
        self.alert = self.watched or bool(self._before)
