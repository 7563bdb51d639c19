"""Client transactions (RFC 3261 section 17.1, RFC 6026 section 8.4)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from sip.message import Request, Response
from sip.traffic import OTHER
from sip.transaction.machine import (
    ACCEPTED,
    ANSWERED,
    ANSWERED_INVITE,
    CALLING,
    COMPLETED,
    PROCEEDING,
    RECEIVE_1XX,
    RECEIVE_2XX,
    RECEIVE_FAILURE,
    TERMINATED,
    TIMER_A,
    TIMER_B,
    TIMER_CANCEL,
    TIMER_D,
    TIMER_E,
    TIMER_F,
    TIMER_K,
    TIMER_M,
    TRANSPORT_ERROR,
    TRYING,
    Table,
    Transaction,
    TransactionLayer,
)
from sip.transport import Address, Listener

if TYPE_CHECKING:
    from sip.transaction.failover import Way
    from sip.usage.again import Attempts

MakeRequest = Callable[[str], Request]
"""Makes a request for a Via value: called again for each new transaction of it."""


class ClientUser(Protocol):
    """Who is told what became of a request (the "TU" of RFC 3261)."""

    def response_received(
        self, transaction: "ClientTransaction", response: Response, now: float
    ) -> None:
        """A provisional or final response; for INVITE also each repeated 2xx."""

    def transaction_failed(self, transaction: "ClientTransaction", status: int, now: float) -> None:
        """No response (408) or no way to send (503), RFC 3261 section 8.1.3.1."""


class ClientTransaction(Transaction):
    """One request on its way; `context` is the user's own.

    `make` makes the same request (same CSeq) for another Via, where the request may be
    repeated; `way` is there while it may still go to another target. `attempts` is there
    once the request has been sent again with the next CSeq, see `sip.usage.again`.
    `patience`, where it is not 0, stands in the place of timers B and F (seconds).
    """

    __slots__ = (
        "attempts",
        "context",
        "data",
        "deadline",
        "make",
        "patience",
        "request",
        "user",
        "way",
    )

    def __init__(
        self,
        layer: TransactionLayer,
        key: str,
        listener: Listener,
        address: Address,
        request: Request,
        user: ClientUser,
        context: object = None,
    ) -> None:
        invite = request.method == "INVITE"
        Transaction.__init__(self, layer, key, listener, address, CALLING if invite else TRYING)
        self.request = request
        self.data = request.to_bytes()
        self.user = user
        self.context = context
        self.make: MakeRequest | None = None
        self.way: Way | None = None
        self.attempts: Attempts | None = None
        self.deadline = 0.0  # when timer B or F is due
        self.patience = 0.0

    def start(self, now: float) -> None:
        """Send the request and start its timers (A, or E; where nothing repeats it B or F).

        Timers B and F start only once A or E has no more turn before them.
        """
        layer = self.layer
        traffic = layer.traffic
        traffic.sent[traffic.rows.get(self.request.method, OTHER)] += 1
        if traffic.watch is not None:
            traffic.watch.began(self, self.request, self.request.from_tag)
        layer.outbox.append((self.listener, self.address, self.data))
        invite = self.state == CALLING
        timeout = self.patience or layer.timers.timeout
        if self.listener.reliable or timeout <= layer.timers.t1:
            self.start_lifetime(now, timeout, TIMER_B if invite else TIMER_F)
        else:
            self.stop_timers()
            self.interval = layer.timers.t1
            self.deadline = now + timeout
            what = TIMER_A if invite else TIMER_E
            self.resend = layer.wheel.start(now, self.interval, self, what)

    def located(self, key: str, listener: Listener, address: Address, request: Request) -> None:
        """A target is known, the first or the next one: this is what `start` will send."""
        self.key = key
        self.listener = listener
        self.address = address
        self.request = request
        self.data = request.to_bytes()
        self.state = CALLING if request.method == "INVITE" else TRYING

    def leave_behind(self, now: float) -> None:
        """The request goes out anew: what acknowledges its old final response remains."""
        self.stop_timers()
        self.layer.forget_client(self.key)
        if self.request.method == "INVITE" and self.state == COMPLETED:
            old = type(self)(
                self.layer, self.key, self.listener, self.address, self.request, self.user
            )
            old.state = COMPLETED
            self.layer.clients[self.key] = old
            _start_d(old, now, None)

    def receive(self, response: Response, now: float) -> None:
        """Take a response that was matched to this transaction."""
        status = response.status
        if status < 200:
            self.apply(RECEIVE_1XX, now, response)
            return
        watch = self.layer.traffic.watch
        if watch is not None and self.state < COMPLETED:
            watch.ended(self, status)
        if status < 300:
            self.apply(RECEIVE_2XX, now, response)
        else:
            self.apply(RECEIVE_FAILURE, now, response)

    def cancelled(self, now: float) -> None:
        """CANCEL was sent, or the dialog ended: no final response may come (section 9.1)."""
        self.way = None
        if self.state in (CALLING, PROCEEDING):
            self.start_lifetime(now, self.layer.timers.timeout, TIMER_CANCEL)


def cancel_for(invite: Request, lines: str) -> Request:
    """The CANCEL of an INVITE: its fields, its branch (section 9.1); `lines` are further ones."""
    number, _ = invite.cseq
    routes = "".join([f"Route: {route}\r\n" for route in invite.all("route")])
    head = (
        f"CANCEL {invite.uri} SIP/2.0\r\nVia: {invite.top_via}\r\n{routes}"
        f"Max-Forwards: 70\r\nFrom: {invite.get('from')}\r\nTo: {invite.get('to')}\r\n"
        f"Call-ID: {invite.call_id}\r\nCSeq: {number} CANCEL\r\n{lines}Content-Length: 0"
    )
    return Request("CANCEL", invite.uri, head)


# Effects.


def _resend(tx: ClientTransaction, _now: float, _message: object) -> None:
    tx.layer.retransmitted += 1
    tx.layer.send(tx.listener, tx.address, tx.data)


def _restart_a(tx: ClientTransaction, now: float, _message: object) -> None:
    tx.interval *= 2
    _wait(tx, now, TIMER_A, TIMER_B)


def _restart_e(tx: ClientTransaction, now: float, _message: object) -> None:
    timers = tx.layer.timers
    tx.interval = timers.t2 if tx.state == PROCEEDING else min(tx.interval * 2, timers.t2)
    _wait(tx, now, TIMER_E, TIMER_F)


def _wait(tx: ClientTransaction, now: float, again: int, give_up: int) -> None:
    """For the next turn of timer A or E, or for the end."""
    if now + tx.interval < tx.deadline or tx.lifetime is not None:
        tx.resend = tx.layer.wheel.start(now, tx.interval, tx, again)
    else:
        tx.resend = None
        tx.start_lifetime(now, tx.deadline - now, give_up)


def _stop(tx: ClientTransaction, _now: float, _message: object) -> None:
    tx.stop_timers()


def _pass_up(tx: ClientTransaction, now: float, response: Response) -> None:
    if tx.way is not None and tx.way.answered(tx, response, now):
        return
    tx.user.response_received(tx, response, now)


def _pass_refusal(tx: ClientTransaction, now: float, response: Response) -> None:
    if tx.way is not None and tx.way.answered(tx, response, now):
        return
    if not tx.layer.send_again(tx, response, now):
        targets = tx.attempts.targets if tx.attempts is not None else None
        best = response if targets is None else targets.better(response)
        tx.user.response_received(tx, best, now)


def _report_timeout(tx: ClientTransaction, now: float, _message: object) -> None:
    _failed(tx, 408, now)


def _report_transport_error(tx: ClientTransaction, now: float, _message: object) -> None:
    _failed(tx, 503, now)


def _failed(tx: ClientTransaction, status: int, now: float) -> None:
    watch = tx.layer.traffic.watch
    if watch is not None:
        watch.ended(tx, status)
    if tx.way is not None and tx.way.failed(tx, status, now):
        return
    if tx.attempts is None:
        tx.user.transaction_failed(tx, status, now)
    elif not tx.layer.send_again(tx, None, now):
        targets = tx.attempts.targets
        best = None if targets is None else targets.best
        if best is None:
            tx.user.transaction_failed(tx, status, now)
        else:
            tx.user.response_received(tx, best, now)


def _send_ack(tx: ClientTransaction, _now: float, response: Response) -> None:
    """ACK for a refusal belongs to the transaction (section 17.1.1.3)."""
    request = tx.request
    number, _ = request.cseq
    lines = [f"ACK {request.uri} SIP/2.0", f"Via: {request.top_via}"]
    lines += [f"Route: {route}" for route in request.all("route")]
    lines += [
        "Max-Forwards: 70",
        f"From: {request.get('from')}",
        f"To: {response.get('to')}",
        f"Call-ID: {request.call_id}",
        f"CSeq: {number} ACK",
        "Content-Length: 0\r\n\r\n",
    ]
    data = "\r\n".join(lines).encode("utf-8", "surrogateescape")
    tx.layer.traffic.gave("ACK")
    tx.layer.send(tx.listener, tx.address, data)


def _start_d(tx: ClientTransaction, now: float, _message: object) -> None:
    # At least 32 s over UDP; with a smaller T1 the peer gives up after 64*T1.
    tx.linger(now, 0.0 if tx.listener.reliable else tx.layer.timers.timeout, TIMER_D)


def _start_k(tx: ClientTransaction, now: float, _message: object) -> None:
    timers = tx.layer.timers
    delay = 0.0 if tx.listener.reliable else min(timers.t4, timers.timeout)
    tx.data = b""
    tx.linger(now, delay, TIMER_K)


def _start_m(tx: ClientTransaction, now: float, _message: object) -> None:
    tx.make = None  # it goes nowhere else now, and holds what it would be made of
    tx.data = b""
    tx.linger(now, tx.layer.timers.timeout, TIMER_M)


def _absorb(tx: ClientTransaction, _now: float, _message: object) -> None:
    tx.request = ANSWERED_INVITE
    tx.data = b""


def _let_go(tx: ClientTransaction, _now: float, _message: object) -> None:
    """It is answered: only its key is of use now."""
    tx.make = None
    tx.request = ANSWERED


def _forget(tx: ClientTransaction, _now: float, _message: object) -> None:
    tx.stop_timers()
    tx.layer.forget_client(tx.key)


_INVITE_GIVES_UP: Final = (TERMINATED, (_forget, _report_timeout))
_INVITE_CANNOT_SEND: Final = (TERMINATED, (_forget, _report_transport_error))

INVITE_CLIENT: Final[Table] = {
    CALLING: {
        TIMER_A: (CALLING, (_resend, _restart_a)),
        TIMER_B: _INVITE_GIVES_UP,
        TIMER_CANCEL: _INVITE_GIVES_UP,
        TRANSPORT_ERROR: _INVITE_CANNOT_SEND,
        RECEIVE_1XX: (PROCEEDING, (_stop, _pass_up)),
        RECEIVE_2XX: (ACCEPTED, (_stop, _start_m, _pass_up, _absorb)),
        RECEIVE_FAILURE: (COMPLETED, (_stop, _send_ack, _start_d, _pass_refusal)),
    },
    PROCEEDING: {
        TIMER_CANCEL: _INVITE_GIVES_UP,
        TRANSPORT_ERROR: _INVITE_CANNOT_SEND,  # its connection is gone
        RECEIVE_1XX: (PROCEEDING, (_pass_up,)),
        RECEIVE_2XX: (ACCEPTED, (_stop, _start_m, _pass_up, _absorb)),
        RECEIVE_FAILURE: (COMPLETED, (_stop, _send_ack, _start_d, _pass_refusal)),
    },
    COMPLETED: {
        RECEIVE_FAILURE: (COMPLETED, (_send_ack,)),
        TRANSPORT_ERROR: (TERMINATED, (_forget,)),
        TIMER_D: (TERMINATED, (_forget,)),
    },
    ACCEPTED: {
        RECEIVE_2XX: (ACCEPTED, (_pass_up,)),
        TIMER_M: (TERMINATED, (_forget,)),
    },
    TERMINATED: {},
}

NON_INVITE_CLIENT: Final[Table] = {
    TRYING: {
        TIMER_E: (TRYING, (_resend, _restart_e)),
        TIMER_F: (TERMINATED, (_forget, _report_timeout)),
        TRANSPORT_ERROR: (TERMINATED, (_forget, _report_transport_error)),
        RECEIVE_1XX: (PROCEEDING, (_pass_up,)),
        RECEIVE_2XX: (COMPLETED, (_stop, _start_k, _pass_up, _let_go)),
        RECEIVE_FAILURE: (COMPLETED, (_stop, _start_k, _pass_refusal)),
    },
    PROCEEDING: {
        TIMER_E: (PROCEEDING, (_resend, _restart_e)),
        TIMER_F: (TERMINATED, (_forget, _report_timeout)),
        TRANSPORT_ERROR: (TERMINATED, (_forget, _report_transport_error)),
        RECEIVE_1XX: (PROCEEDING, (_pass_up,)),
        RECEIVE_2XX: (COMPLETED, (_stop, _start_k, _pass_up, _let_go)),
        RECEIVE_FAILURE: (COMPLETED, (_stop, _start_k, _pass_refusal)),
    },
    COMPLETED: {TIMER_K: (TERMINATED, (_forget,))},
    TERMINATED: {},
}


class InviteClientTransaction(ClientTransaction):
    """INVITE: RFC 3261 figure 5 with the state Accepted of RFC 6026."""

    __slots__ = ()
    table: ClassVar[Table] = INVITE_CLIENT


class NonInviteClientTransaction(ClientTransaction):
    """Every other request but ACK: RFC 3261 figure 6."""

    __slots__ = ()
    table: ClassVar[Table] = NON_INVITE_CLIENT
