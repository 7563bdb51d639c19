"""What readers of the trace see: messages and calls as plain values, secrets masked.

What takes its time, to mask and to read messages, is done when a reader asks for it: in the
reader's thread, so that calls do not wait.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from simulator.masking import masked
from sip.transport import host_port

_FINAL: Final = re.compile(rb"SIP/2\.0 ([2-6]\d\d)")
_OF_INVITE: Final = re.compile(rb"\ncseq[ \t]*:[ \t\r\n]*\d+[ \t\r\n]+INVITE\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TracedMessage:
    """One SIP message of a call, or a note between two of them.

    `time` is in seconds since 1970, `direction` ``in`` or ``out``, `transport` ``UDP``, ``TCP``
    or ``TLS``; `local` and `peer` are host and port of both ends on the wire. `data` has its
    secrets masked, octet for octet. `leg` is the kind of the leg, ``caller`` and so on, empty
    where there is no call. `number` rises from message to message of the whole server.
    A note has a `note`, and neither data nor transport nor addresses.
    """

    time: float
    direction: str
    transport: str
    local: tuple[str, int]
    peer: tuple[str, int]
    data: bytes
    call_id: str
    leg: str
    note: str = ""
    number: int = 0

    @property
    def ends(self) -> tuple[str, str]:
        """Our end and the peer's as ``host:port``."""
        return host_port(*self.local), host_port(*self.peer)


@dataclass(frozen=True)
class TraceView:
    """The messages of one call on all its legs, in the order in which they came and went.

    `guid` is empty where there never was a call: its INVITE was refused before. `omitted`
    messages made room while the call was in progress.
    """

    guid: str
    ended: bool
    omitted: int
    unmasked: Sequence[TracedMessage] = field(repr=False)

    @cached_property
    def messages(self) -> list[TracedMessage]:
        """They are masked when this is read first: read it in a thread."""
        return [replace(one, data=masked(one.data)) for one in self.unmasked]


@dataclass(frozen=True)
class TracedCallView:
    """A call of which something is kept: its first leg, by its Call-ID and the octets of its
    messages, and how many there are of all legs. What is read of the octets takes a thread.
    """

    guid: str
    leg: bytes
    time: float
    unmasked: Sequence[bytes] = field(repr=False)
    legs: int
    messages: int

    @property
    def call_id(self) -> str:
        """Of the first leg."""
        return text_of(masked(self.leg))

    @property
    def request(self) -> str:
        """The first line of the first message."""
        return text_of(masked(self.unmasked[0].strip().partition(b"\r\n")[0]))

    @property
    def status(self) -> int:
        """The last final response to an INVITE of the first leg, 0 without one."""
        for data in reversed(self.unmasked):
            final = _FINAL.match(data)
            if final is not None and _OF_INVITE.search(data) is not None:
                return int(final[1])
        return 0


@dataclass(frozen=True, slots=True)
class TraceStateView:
    """The trace itself: whether it is on, and how many messages and octets it keeps."""

    enabled: bool
    messages: int
    octets: int


def text_of(data: bytes) -> str:
    """Octets of a message as text, whatever they are."""
    return data.decode("utf-8", "surrogateescape")
