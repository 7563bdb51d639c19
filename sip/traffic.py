"""What the stack counts: messages by method and class, timers by name; plain numbers.

As in RFC 4780 what is sent again, or arrives again, is not counted with the messages but by
itself: so each number is that of transactions, whatever the network loses. An ACK counts each
time: it answers each copy of a final response.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sip.transaction.machine import Watch

METHODS: Final = (
    "INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "PRACK", "UPDATE", "REFER", "NOTIFY",
    "SUBSCRIBE", "REGISTER", "MESSAGE", "PUBLISH", "PING", "other",
)  # fmt: skip
"""What is told apart; whatever a peer makes up is ``other``."""

REPEATED_2XX: Final = 23
RELIABLE_1XX: Final = 24
SESSION: Final = 25

TIMERS: Final = {
    **dict(enumerate("ABDEFGHIJKLM")),
    12: "cancel",  # RFC 3261 section 9.1
    22: "expires",  # 13.3.1
    REPEATED_2XX: "2xx",  # 13.3.1.4
    RELIABLE_1XX: "reliable_1xx",  # RFC 3262
    SESSION: "session",  # RFC 4028
}
"""Timers that are told apart, by their place: that of the input that a transaction takes them for
(`sip.transaction.machine`), or of those above, which usages have."""

_KINDS: Final = 7  # requests, then the six classes of responses
ROWS: Final = {method: place * _KINDS for place, method in enumerate(METHODS)}
"""Where the counts of a method begin: requests, then responses by class."""
OTHER: Final = ROWS["other"]
ACK: Final = ROWS["ACK"]

Figure = tuple[str, int, int]
"""A method, the class of responses or 0 for requests, and how many there were."""


class Traffic:
    """The counters of one endpoint. Those of the hot path are counted up in place, which takes a
    third of what a call does. `rows` says where those of a method begin: CPython 3.11 looks methods
    of what a module imports up each time, so it is at hand here.

    `repeated` are messages that arrived again, `unreadable` those that are not SIP, or responses
    that cannot be read; `malformed` are requests that break the grammar, and hear so. `watch`, if
    there is one, is told of each transaction.
    """

    __slots__ = (
        "malformed",
        "received",
        "repeated",
        "rows",
        "sent",
        "timers",
        "unreadable",
        "watch",
    )

    def __init__(self) -> None:
        self.received = [0] * (_KINDS * len(METHODS))
        self.sent = [0] * (_KINDS * len(METHODS))
        self.rows = ROWS
        self.timers = [0] * (SESSION + 1)
        self.repeated = 0
        self.unreadable = 0
        self.malformed = 0
        self.watch: Watch | None = None

    def got(self, method: str, status: int = 0) -> None:
        """A request has arrived, or a response with `status`."""
        self.received[ROWS.get(method, OTHER) + status // 100] += 1

    def gave(self, method: str, status: int = 0) -> None:
        """A request goes out, or a response with `status`."""
        self.sent[ROWS.get(method, OTHER) + status // 100] += 1

    def again(self, method: str) -> None:
        """A request that was counted turns out to be a copy."""
        self.received[ROWS[method]] -= 1
        self.repeated += 1


def figures(counts: list[int]) -> Iterator[Figure]:
    """What is in `received` or `sent`, where there is any."""
    for place, count in enumerate(counts):
        if count:
            yield METHODS[place // _KINDS], place % _KINDS, count
