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
from zlib import crc32

from sip.errors import ParseError
from sip.message import VERSION, Request, reason_phrase
from sip.transaction.layer import server_key
from sip.transaction.server import (
    copied_lines,
    is_own_address,
    return_address,
    stamped_via,
)
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


class Keeper(Protocol):
    """Who decides whether a new call may come in."""

    def shut(self, now: float) -> bool:
        """Whether new calls have to be looked at, as some may be refused."""

    def refuses(self, request: Request, now: float, *, late: bool) -> bool:
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
        "_mark_octets",
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
        self.lines = ""
        self.taken = 0  # new calls that did not have to wait since the shell set it to 0
        self.waiting: deque[tuple[float, bytes, Address, Listener]] = deque()
        self._since = inf  # when somebody had to wait first, and there was always one since
        self._mark = ""  # a part of the To tag of every refusal of this door
        self._mark_octets = b""
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
            return self._mark != "" and self._mark_octets in data
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
        request = glance(data)
        if keeper is None or request is None or request.to_tag is not None:
            return False
        try:
            key = server_key(request)
        except ParseError:
            return False
        if key in self._endpoint.servers:
            return False  # a copy of one that was let in
        fields = request.fields()
        text = f"{key} {fields['call-id']} {fields['cseq']}"
        known = hash(text)
        if known not in self._refused and known not in self._before:
            if not keeper.refuses(request, now, late=late):
                return False
            self._remember(known, now)
        self._refuse(request, crc32(text.encode("utf-8", "surrogateescape")), address, listener)
        return True

    def _refuse(self, request: Request, number: int, address: Address, listener: Listener) -> None:
        """503, the same to each copy: what differs is made of `number`, which they share."""
        tag = f"ds{self._mark}{number:08x}"
        via = request.fields()["via"]
        target = address
        if listener.reliable or not is_own_address(via, address):
            target = return_address(request, address, listener)
            via = stamped_via(request, address)
        head = (
            f"{VERSION} 503 {reason_phrase(503)}\r\n{copied_lines(request, via, tag)}"
            f"Retry-After: {RETRY_AFTER + number % (RETRY_AFTER + 1)}\r\n{self.lines}"
            "Content-Length: 0\r\n\r\n"
        )
        self._endpoint.send(listener, target, head.encode("utf-8", "surrogateescape"))

    @property
    def remembered(self) -> int:
        """How many refusals are remembered."""
        return len(self._refused) + len(self._before)

    # What is remembered of refusals: two sets, the older of which is forgotten at each turn.

    def _remember(self, known: int, now: float) -> None:
        if not self._mark:
            self._mark = self._endpoint.ids.hex(8)
            self._mark_octets = self._mark.encode()
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
    """Whether an INVITE has a To tag; From has one as well."""
    if data.count(b";tag=") < 2:
        return False
    request = glance(data)
    return request is not None and request.to_tag is not None


def glance(data: bytes) -> Request | None:
    """An INVITE as far as it is needed to refuse it; None for one that is not plainly good."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end].decode("utf-8", "surrogateescape")
    parts = head[: head.find("\r\n")].split(" ")
    if len(parts) != 3 or parts[2] != VERSION:
        return None
    request = Request(parts[0], parts[1], head)
    fields = request.fields()
    if request.defect is not None:
        return None
    for key in ("via", "from", "to", "call-id", "cseq"):
        if not fields.get(key):
            return None
    return request
