"""A transaction layer on a bench: a clock to turn, and everything that came out of it."""

from random import Random

from sip.ids import IdSource
from sip.message import Request, Response
from sip.records import Answer, Query
from sip.timers import Timers
from sip.transaction import machine
from sip.transaction.client import (
    ClientTransaction,
    InviteClientTransaction,
    NonInviteClientTransaction,
)
from sip.transaction.layer import Transactions, server_key
from sip.transaction.machine import Transaction
from sip.transaction.server import (
    InviteServerTransaction,
    NonInviteServerTransaction,
    ServerTransaction,
)
from sip.transport import Listener
from tests.support.builders import PEER, request, response
from tests.support.network import summary

TICK = 0.005

# Every input of the machine by its name.
INPUTS = {
    name: value
    for name, value in vars(machine).items()
    if name.startswith(("TIMER_", "RECEIVE_", "SEND_", "TRANSPORT_")) and isinstance(value, int)
}


class Bench:
    """Sends and reports of one layer, with their times."""

    def __init__(self, reliable: bool = False, timers: Timers | None = None) -> None:
        self.now = 0.0
        self.listener = Listener("UDP", "192.0.2.1", 5060, reliable)
        ids = IdSource(Random(1).randbytes)
        self.layer = Transactions([self.listener], ids, timers)
        self.sent: list[tuple[float, str]] = []
        self.octets: list[bytes] = []
        self.told: list[tuple[float, int]] = []

    # The transactions' user.

    def response_received(self, _tx: ClientTransaction, answer: Response, now: float) -> None:
        self.told.append((now, answer.status))

    def transaction_failed(self, _tx: ClientTransaction, status: int, now: float) -> None:
        self.told.append((now, status))

    # Making.

    def client(self, method: str) -> ClientTransaction:
        via = self.layer.new_via(self.listener, PEER)
        sent = request(method, {"Via": via})
        tx = self.layer.start_client(sent, self.listener, PEER, self, self.now)
        self.collect()
        return tx

    def server(self, method: str) -> ServerTransaction:
        received = request(method)
        kind = InviteServerTransaction if method == "INVITE" else NonInviteServerTransaction
        key = server_key(received)
        tx = kind(self.layer, key, self.listener, PEER, received, "bob", "merge")
        self.layer.servers[key] = self.layer.merged["merge"] = tx
        return tx

    def make(self, kind: type[Transaction]) -> Transaction:
        invite = kind in (InviteClientTransaction, InviteServerTransaction)
        method = "INVITE" if invite else "OPTIONS"
        if kind in (InviteClientTransaction, NonInviteClientTransaction):
            return self.client(method)
        return self.server(method)

    # Driving.

    def apply(self, tx: Transaction, name: str) -> bool:
        """Feed one input by name, with the message it comes with."""
        statuses = {"RECEIVE_1XX": 180, "RECEIVE_2XX": 200, "RECEIVE_FAILURE": 486}
        message: Request | Response | None = None
        if name in statuses and isinstance(tx, ClientTransaction):
            message = response(tx.request, statuses[name], "bob")
        if name.startswith("SEND_") and isinstance(tx, ServerTransaction):
            tx.last = b"SIP/2.0 999 Sent\r\nCSeq: 1 X\r\n\r\n"
        taken = tx.apply(INPUTS[name], self.now, message)
        self.collect()
        return taken

    def tell(self, name: str, address: str, now: float) -> None:
        """The DNS knows nothing of `name` but an address, if that."""
        locator = self.layer.locator
        while locator.queries:
            query = locator.queries.pop()
            found = (address,) if query == Query(name, "A") and address else ()
            locator.answered(query, Answer(found, 60.0), now)

    def collect(self) -> None:
        for _, _, data in self.layer.outbox:
            self.sent.append((round(self.now, 3), summary(data)))
            self.octets.append(data)
        self.layer.outbox.clear()

    def run(self, until: float) -> None:
        """Turn the clock from timer to timer."""
        while (due := self.layer.wheel.next_time()) is not None and due <= until:
            self.now = due
            self.layer.wheel.advance(due)
            self.collect()
        self.now = until

    @property
    def empty(self) -> bool:
        layer = self.layer
        return not (layer.clients or layer.servers or layer.merged or layer.wheel.running)


def near(times: list[float], expected: list[float]) -> bool:
    """Whether each time is at or at most some ticks of the wheel behind what is expected."""
    return len(times) == len(expected) and all(
        0 <= round(at - due, 6) <= TICK * (index + 1)
        for index, (at, due) in enumerate(zip(times, expected, strict=True))
    )
