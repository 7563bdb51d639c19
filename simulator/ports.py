"""What the call server asks of what it stands on: the SIP stack, and the store of records."""

from collections.abc import Callable
from typing import Protocol

from simulator.cdr_queries import ApplicationLine, CdrFilter, CdrPage, ServerLine, SummaryLine
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

    # From here on from any thread; these may take long.

    def page(self, wanted: CdrFilter) -> CdrPage:
        """How many records match, and those of one page."""
        ...

    def summary(self, wanted: CdrFilter, interval: int) -> list[SummaryLine]:
        """Figures of the calls that match, by intervals of so many milliseconds."""
        ...

    def applications(self, wanted: CdrFilter, name: str | None) -> list[ApplicationLine]:
        """Figures by application."""
        ...

    def servers(self, start: int, end: int) -> list[ServerLine]:
        """Figures by server, of the calls that were there in a range of time."""
        ...

    def ping(self) -> float:
        """Seconds that the store takes to answer; raises what it does when it is not there."""
        ...
