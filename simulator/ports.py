"""What the call server asks of what it stands on: the SIP stack, and the store of records."""

from collections.abc import Callable
from typing import Protocol

from simulator.cdr_records import CdrRecord, Row
from sip.endpoint import Endpoint
from sip.transport import Address, Listener


class Stack(Protocol):
    """An endpoint with a clock, and somebody to send what it wants sent: `sip.aio.stack`."""

    endpoint: Endpoint
    tap: Callable[[str, bytes, Listener, Address, float], None] | None

    def now(self) -> float:
        """The time that every verb wants, in seconds."""
        ...

    def pump(self, now: float | None = None) -> None:
        """Send what verbs outside of the handler have left."""
        ...


class Store(Protocol):
    """Where records go when calls end: `simulator.cdr`."""

    healthy: bool

    def submit(self, row: Row, done: Callable[[], None]) -> None:
        """Keep a record, as its row; `done` is called in the event loop when it is safe."""
        ...

    def get(self, guid: str) -> CdrRecord | None:
        """The last record of a call, or None."""
        ...

    def ping(self) -> float:
        """Seconds that the store takes to answer; raises what it does when it is not there."""
        ...
