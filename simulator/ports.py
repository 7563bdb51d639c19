"""What the call server asks of what it stands on: the SIP stack, the store of records,
and whoever takes part in ICM's scripts from outside."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from simulator.cdr_csv import CsvPiece
from simulator.cdr_queries import ApplicationLine, CdrFilter, CdrPage, ServerLine, SummaryLine
from simulator.cdr_records import CdrRecord, Row
from sip.endpoint import Endpoint
from sip.transport import Faults, Outgoing, Tap

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.treatment import Treatment
    from simulator.views import ConnectionView


class Stack(Protocol):
    """An endpoint with a clock, and somebody to send what it wants sent: `sip.aio.stack`."""

    endpoint: Endpoint
    faults: Faults | None

    def add_tap(self, tap: Tap) -> None:
        """Have `tap` see each message."""
        ...

    def remove_tap(self, tap: Tap) -> None:
        """Have `tap` see no more."""
        ...

    def now(self) -> float:
        """The time that every verb wants, in seconds."""
        ...

    def pump(self, now: float | None = None) -> None:
        """Send what verbs outside of the handler have left."""
        ...

    def transmit(self, messages: list[Outgoing], now: float) -> None:
        """Send past the faults."""
        ...


class Store(Protocol):
    """Where records go when calls end: `simulator.cdr`."""

    @property
    def healthy(self) -> bool:
        """Whether records can be stored, and in time."""
        ...

    @property
    def full(self) -> bool:
        """Whether records wait in memory alone: there should be no new calls."""
        ...

    @property
    def pending(self) -> int:
        """How many records are not on disk yet."""
        ...

    @property
    def journaled(self) -> int:
        """How many of them are in the journal."""
        ...

    @property
    def malformed(self) -> int:
        """How many could not be stored, and are lost."""
        ...

    def begun(self, guid: str, start: int, calling: str, called: str, call_id: str) -> None:
        """A call has begun, at `start` in ms since the epoch: it has a record from now on,
        if only one that says that the server was restarted."""
        ...

    def submit(self, row: Row, done: Callable[[], None]) -> None:
        """Keep a record, as its row; `done` is called in the event loop when it is on disk."""
        ...

    def get(self, guid: str) -> CdrRecord | None:
        """The last record of a call, or None."""
        ...

    # From here on from any thread; these may take long.

    def page(self, wanted: CdrFilter) -> CdrPage:
        """How many records match, and those of one page."""
        ...

    def csv(self, wanted: CdrFilter) -> CsvPiece:
        """The records of one page as lines of CSV."""
        ...

    def newest(self) -> int:
        """The id of the record stored last, 0 without one."""
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


class Telemetry(Protocol):
    """Who traces calls: `simulator.telemetry`."""

    def call_begun(self, call: "Call") -> None:
        """A call has begun."""
        ...

    def call_ended(self, call: "Call", now: float) -> None:
        """A call has ended."""
        ...


class Webhook(Protocol):
    """Whom a script's webhook node asks: `simulator.webhook`."""

    def ask(self, treatment: "Treatment", cause: str, now: float) -> int:
        """Begin to ask what is to be done with a call, and why: the number of the question.

        `Treatment.instructed` gets the answer. 0 when it is not asked at present.
        """
        ...

    @property
    def host(self) -> str:
        """Where it is; empty where there is none."""
        ...

    def view(self, address: str) -> "ConnectionView | None":
        """How it stands with it, for connectivity."""
        ...
