"""What readers of the trace see: messages and calls as plain values, secrets masked."""

from dataclasses import dataclass

from sip.transport import host_port


@dataclass(frozen=True, slots=True)
class TracedMessage:
    """One SIP message of a call, or a note between two of them.

    `time` is in seconds since 1970, `direction` ``in`` or ``out``, `transport` ``UDP``, ``TCP``
    or ``TLS``; `local` and `peer` are host and port of both ends on the wire. `data` has its
    secrets masked, octet for octet. `leg` is the kind of the leg, ``caller`` and so on, empty
    where there is no call. `number` rises from message to message of the whole server.
    A note has a `text`, and neither data nor transport nor addresses.
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


@dataclass(frozen=True, slots=True)
class TraceView:
    """The messages of one call on all its legs, in the order in which they came and went.

    `guid` is empty where there never was a call: its INVITE was refused before. `omitted`
    messages from the middle of long legs, or the begin of old ones, are not kept any more.
    """

    guid: str
    ended: bool
    omitted: int
    messages: list[TracedMessage]


@dataclass(frozen=True, slots=True)
class TracedCallView:
    """A call of which something is kept: its first message, and what became of its INVITE.

    `request` is the first line of that message; `status` the last final response to an INVITE
    of that leg, 0 without one.
    """

    guid: str
    call_id: str
    time: float
    request: str
    status: int
    legs: int
    messages: int


@dataclass(frozen=True, slots=True)
class TraceStateView:
    """The trace itself: whether it is on, and how much it keeps; `octets` of memory, about."""

    enabled: bool
    legs: int
    messages: int
    octets: int
