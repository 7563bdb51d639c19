"""How a transaction runs its table.

A table maps state and input to the next state and the effects, in order. Timers
and transport errors are inputs like messages. An input that the state has no row
for is dropped and counted: from a peer it is a stray, and nothing changes.
States and inputs are plain numbers because this is the hot path.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Protocol

from sip.message import Request, Response
from sip.timers import Timer, Timers, TimerWheel
from sip.traffic import Traffic
from sip.transport import Address, Listener

# States.
CALLING: Final = 0  # INVITE client
TRYING: Final = 1  # the others before a provisional response
PROCEEDING: Final = 2
COMPLETED: Final = 3
CONFIRMED: Final = 4
ACCEPTED: Final = 5  # RFC 6026
TERMINATED: Final = 6

STATE_NAMES: Final = (
    "calling", "trying", "proceeding", "completed", "confirmed", "accepted", "terminated",
)  # fmt: skip

# Inputs. Timers carry their letter in RFC 3261 table 4 and RFC 6026.
TIMER_A: Final = 0
TIMER_B: Final = 1
TIMER_D: Final = 2
TIMER_E: Final = 3
TIMER_F: Final = 4
TIMER_G: Final = 5
TIMER_H: Final = 6
TIMER_I: Final = 7
TIMER_J: Final = 8
TIMER_K: Final = 9
TIMER_L: Final = 10
TIMER_M: Final = 11
TIMER_CANCEL: Final = 12  # RFC 3261 section 9.1: no final response 64*T1 after CANCEL
TRANSPORT_ERROR: Final = 13
RECEIVE_1XX: Final = 14
RECEIVE_2XX: Final = 15
RECEIVE_FAILURE: Final = 16  # 300 to 699
RECEIVE_REQUEST: Final = 17  # a retransmission
RECEIVE_ACK: Final = 18
SEND_1XX: Final = 19
SEND_2XX: Final = 20
SEND_FAILURE: Final = 21
TIMER_EXPIRES: Final = 22  # RFC 3261 section 13.3.1: the Expires of an INVITE

_SHARED: Final = 4  # ticks: 20 ms

Effect = Callable[[Any, float, Any], None]
Table = Mapping[int, Mapping[int, tuple[int, tuple[Effect, ...]]]]


ANSWERED: Final = Request("", "", "")
ANSWERED_INVITE: Final = Request("INVITE", "", "")
"""Stand for a request that has its final response.

Its transaction stays for 64*T1 to absorb what is repeated, by its key alone; the text and
the fields would be most of its memory.
"""


class Watch(Protocol):
    """Who wants to know of each transaction."""

    def began(self, tx: "Transaction", request: Request, local_tag: str | None) -> None:
        """A request is sent, or has come; `local_tag` is that of its dialog here, if any."""

    def ended(self, tx: "Transaction", status: int) -> None:
        """It has its final response, or what stands for one: 408, 503."""


class TransactionLayer(Protocol):
    """What a transaction needs of the layer it lives in."""

    timers: Timers
    wheel: TimerWheel
    discarded: int
    retransmitted: int
    traffic: Traffic
    clients: dict[str, Any]
    outbox: list[tuple[Listener, Address, bytes]]
    unacknowledged: dict[str, int]

    def send(self, listener: Listener, address: Address, data: bytes) -> None:
        """Put octets on the way."""

    def send_again(self, tx: Any, response: Response | None, now: float) -> bool:
        """Whether a refused request goes out again: then its user hears nothing."""

    def forget_client(self, key: str) -> None:
        """Drop a terminated client transaction."""

    def forget_server(self, key: str, merge_key: str | None) -> None:
        """Drop a terminated server transaction."""


class Transaction:
    """State, table and the timers that run; see the subclasses."""

    __slots__ = ("address", "interval", "key", "layer", "lifetime", "listener", "resend", "state")

    table: ClassVar[Table]

    def __init__(
        self, layer: TransactionLayer, key: str, listener: Listener, address: Address, state: int
    ) -> None:
        self.layer = layer
        self.key = key
        self.listener = listener
        self.address = address
        self.state = state
        self.interval = 0.0  # the retransmission interval that runs now
        self.resend: Timer | None = None  # timers A, E, G
        self.lifetime: Timer | None = None  # B, F, H, then D, I, J, K, L, M

    def apply(self, what: int, now: float, message: Request | Response | None = None) -> bool:
        """Take one input; False when the present state has no row for it."""
        row = self.table[self.state].get(what)
        if row is None:
            self.layer.discarded += 1
            return False
        self.state = row[0]
        for effect in row[1]:
            effect(self, now, message)
        return True

    def timer_fired(self, what: int, now: float) -> None:
        """A timer is an input."""
        self.layer.traffic.timers[what] += 1
        self.apply(what, now)

    def start_lifetime(self, now: float, delay: float, what: int) -> None:
        """Replace the timer that ends the present state."""
        if self.lifetime is not None:
            self.lifetime.target = None
        self.lifetime = self.layer.wheel.start(now, delay, self, what)

    def linger(self, now: float, delay: float, what: int) -> None:
        """Replace it by one that only awaits strays: it may end with its neighbours."""
        if self.lifetime is not None:
            self.lifetime.target = None
        self.lifetime = self.layer.wheel.start(now, delay, self, what, _SHARED if delay else 1)

    def stop_timers(self, _now: float = 0.0, _message: object = None) -> None:
        """Stop retransmission and the end of the present state."""
        if self.resend is not None:
            self.resend.target = None
            self.resend = None
        if self.lifetime is not None:
            self.lifetime.target = None
            self.lifetime = None
