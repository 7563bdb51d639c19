"""The door: what becomes of a new call while there is more to do than time.

An INVITE outside of a dialog that is refused gets 503 from a few of its header fields, before
anything is made of it (a stateless UAS, RFC 3261 section 8.2.7); the ACK to that is
absorbed. All else passes: what is in a dialog, ACK, BYE, CANCEL, responses.

New calls have to wait once they come faster than they are taken in, and who has waited too
long is refused while the queue never gets empty. So delay is bounded, as by CoDel (RFC 8289),
and as many calls come in as there is time for.
"""

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from sip.errors import PeerError, Unanswered
from sip.knock import Knock, knock_of
from sip.message import VERSION, Request, parse, reason_phrase
from sip.transport import Address, Listener

if TYPE_CHECKING:
    from sip.endpoint import Endpoint

AT_ONCE: Final = 16
"""New calls of one reading that are taken in without waiting."""

MOST_WAITING: Final = 8_192
"""New calls that may wait, however short a time."""

RETRY_AFTER: Final = 5
"""Seconds after which a refused caller may come again, or up to as many more: each has its
own number, so that they do not come in one wave."""

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

    def refuses(self, knock: Knock, now: float, *, late: bool) -> bool:
        """Whether this one is refused; `late`: it has waited too long."""


class Door:
    """The door of `endpoint`.

    `delay` is how long a new call may wait, in seconds (0: none waits). With a `keeper` that
    is `watched` every new call is looked at once that is shut. `lines` are further header
    lines of the 503, each ended by CRLF. Nobody is refused without a keeper.
    """

    __slots__ = (
        "_before",
        "_endpoint",
        "_mark",
        "_refused",
        "_since",
        "_turn",
        "alert",
        "delay",
        "keeper",
        "lines",
        "taken",
        "waiting",
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
        self.waiting: deque[tuple[float, bytes, Address, Listener]] = deque()
        self._since = inf  # when somebody had to wait first, and there was always one since
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
    def crowded(self) -> bool:
        """Whether the next new call will have to wait."""
        return self.taken >= AT_ONCE or bool(self.waiting)

    def take(
        self, data: bytes, address: Address, listener: Listener, now: float, age: float = 0.0
    ) -> None:
        """Take one message, which arrived `age` seconds ago: a new call may have to wait."""
        if self.delay and data[:7] == b"INVITE ":
            if self.taken < AT_ONCE and not self.waiting:
                self.taken += 1
            elif not _in_dialog(data):
                self._wait(data, address, listener, now, age)
                return
        elif self.waiting and data[:7] == b"CANCEL ":  # its INVITE may be among them
            self._wait(data, address, listener, now, age)
            return
        self._endpoint.receive_datagram(data, address, listener, now)

    def _wait(
        self, data: bytes, address: Address, listener: Listener, now: float, age: float
    ) -> None:
        if not self.waiting:
            self._since = now
        self.waiting.append((now - age, data, address, listener))

    def next(self, now: float, *, busy: bool) -> bool:
        """Let in or refuse who has waited longest; False when there is nobody to see to.

        While all else keeps the server `busy` nobody is let in.
        """
        waiting = self.waiting
        if not waiting:
            return False
        arrived, data, address, listener = waiting[0]
        delay = self.delay
        late = (now - arrived > delay and now - self._since > delay) or len(waiting) > MOST_WAITING
        if busy and not late:
            return False
        waiting.popleft()
        if not (late and data[:1] == b"I" and self.turn_away(data, address, listener, now, True)):
            self._endpoint.receive_datagram(data, address, listener, now)
        return True

    # What the endpoint calls.

    def settles(self, data: bytes, address: Address, listener: Listener, now: float) -> bool:
        """Whether no more is to be done with a message that has arrived, while on `alert`."""
        if data[:4] == b"ACK ":
            return self._mark != b"" and self._mark in data
        keeper = self.keeper
        if data[:7] != b"INVITE " or keeper is None:
            return False
        if (self._refused or self._before) and now >= self._turn:
            self._forget(now)
        remembers = bool(self._refused or self._before)
        if not remembers and not (self.watched and keeper.shut(now)):
            return False
        return self.turn_away(data, address, listener, now, False)

    def turn_away(
        self, data: bytes, address: Address, listener: Listener, now: float, late: bool
    ) -> bool:
        """Refuse an INVITE, if it is that of a new call and the keeper, or a copy, says so."""
        keeper = self.keeper
        knock = knock_of(data)
        if keeper is None or knock is None or knock.key in self._endpoint.servers:
            return False  # the last is a copy of one that was let in
        known = knock.id
        again = known in self._refused or known in self._before
        if not again and not keeper.refuses(knock, now, late=late):
            return False
        screen = self._endpoint.screen
        if screen is not None:
            try:
                screen.admit(_CALL, address, listener, now)
            except PeerError as error:
                self._turn_out(data, address, listener, error)
                return True
        if not again:
            self._remember(known, now)
        # The same to each copy: what differs is made of a number that they share.
        number = knock.short
        tag = b"ds%b%08x" % (self._mark, number)
        after = b"Retry-After: %d\r\n" % (RETRY_AFTER + number % (RETRY_AFTER + 1))
        target, answer = knock.answer(_START, tag, after + self.lines, address, listener)
        self._endpoint.send(listener, target, answer)
        return True

    def _turn_out(
        self, data: bytes, address: Address, listener: Listener, error: PeerError
    ) -> None:
        """The sender may not call at all, and hears that, if anything."""
        message = parse(data)
        if isinstance(error, Unanswered) or not isinstance(message, Request):
            self._endpoint.discarded += 1
            return
        self._endpoint.refuse(message, address, listener, error.status, error.lines, error.reason)

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


def _in_dialog(data: bytes) -> bool:
    """Whether an INVITE has a To tag, or is too odd to say; From has one as well."""
    return data.count(b";tag=") > 1 and knock_of(data) is None
