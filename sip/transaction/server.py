"""Server transactions (RFC 3261 section 17.2, RFC 6026 section 8.5)."""

from typing import ClassVar, Final, Protocol

from sip.errors import ParseError
from sip.grammar import check_answer
from sip.message import REASONS, Request, reason_phrase
from sip.peer_address import PeerAddress
from sip.traffic import OTHER
from sip.transaction.machine import (
    ACCEPTED,
    ANSWERED,
    ANSWERED_INVITE,
    COMPLETED,
    CONFIRMED,
    PROCEEDING,
    RECEIVE_ACK,
    RECEIVE_REQUEST,
    SEND_1XX,
    SEND_2XX,
    SEND_FAILURE,
    TERMINATED,
    TIMER_EXPIRES,
    TIMER_G,
    TIMER_H,
    TIMER_I,
    TIMER_J,
    TIMER_L,
    TRANSPORT_ERROR,
    TRYING,
    Table,
    Transaction,
    TransactionLayer,
)
from sip.transport import Address, Listener
from sip.values import Via


def response_prefix(request: Request, address: Address, to_tag: str | None) -> str:
    """The header lines that every response copies (section 8.2.6.2), as one text.

    The top Via gets ``received`` and ``rport`` (section 18.2.1, RFC 3581); To gets
    `to_tag` unless it has one. What a defective request lacks, its answer lacks too.
    """
    return copied_lines(request, stamped_via(request, address), to_tag)


def copied_lines(request: Request, via: str, to_tag: str | None) -> str:
    """The same with the first Via line as it is to be."""
    vias = request.all("via")
    if len(vias) > 1:
        via = "\r\nVia: ".join([via, *vias[1:]])
    fields = request.fields()
    to = fields.get("to") or ""
    if to_tag and to and request.to_tag is None:
        to = f"{to};tag={to_tag}"
    if request.defect is not None:
        lines = [f"Via: {via}\r\n", f"To: {to}\r\n" if to else ""]
        for name, key in (("From", "from"), ("Call-ID", "call-id"), ("CSeq", "cseq")):
            value = fields.get(key)
            lines.append(f"{name}: {value}\r\n" if value else "")
        return "".join(lines)
    return (
        f"Via: {via}\r\nFrom: {fields['from']}\r\nTo: {to}\r\n"
        f"Call-ID: {fields['call-id']}\r\nCSeq: {fields['cseq']}\r\n"
    )


def is_own_address(via: str, address: Address) -> bool:
    """Whether one Via names the very address that it came from, and asks for no more.

    Then nothing is added to it, and the answer goes there.
    """
    host, port = address
    front, params, _ = via.partition(";")
    place = front.partition(" ")[2]
    return params != "" and place == f"{host}:{port}" and ";r" not in via and "," not in via


def stamped_via(request: Request, address: Address) -> str:
    """The first Via line with what the server must add to its first value.

    One that cannot be read is copied as it is.
    """
    line = request.get("via") or ""
    host, port = address[0], address[1]
    try:
        stamped = top = request.top_via
        if ";received" in top:  # the sender's word for it: replaced
            return str(Via.parse(top).stamped(host, port)) + line[len(top) :]
    except ParseError:
        return line
    at = top.find(";rport")
    if at >= 0 and (len(top) == at + 6 or top[at + 6] in "; \t"):
        # RFC 3581 section 4: both parameters, whatever the sent-by says.
        stamped = f"{top[: at + 6]}={port}{top[at + 6 :]};received={host}"
    elif sent_by_host(top) != host:
        stamped = f"{top};received={host}"
    return stamped + line[len(top) :]


def sent_by_host(via: str) -> str:
    """The host of a Via's sent-by, IPv6 without brackets."""
    sent_by = via.partition(";")[0].rstrip(" \t")
    sent_by = sent_by[sent_by.rfind(" ") + 1 :]
    if sent_by.startswith("["):
        return sent_by[1:].partition("]")[0]
    return sent_by.partition(":")[0]


class InviteUser(Protocol):
    """Who answers an INVITE."""

    def cancel_received(
        self, transaction: "ServerTransaction", request: Request, now: float
    ) -> None:
        """`request`, a CANCEL or the INVITE itself whose Expires has passed, gives it up."""


class Service(Protocol):
    """Who serves a method outside of dialogs: a registrar, a notifier."""

    def request_received(
        self, transaction: "ServerTransaction", request: Request, now: float
    ) -> None:
        """A request without a To tag, checked and new: respond on `transaction`."""


class ServerTransaction(Transaction):
    """One request received, and the answers to it."""

    __slots__ = ("last", "merge_key", "prefix", "request", "session", "to_tag", "trying")

    def __init__(
        self,
        layer: TransactionLayer,
        key: str,
        listener: Listener,
        address: Address,
        request: Request,
        to_tag: str | None,
        merge_key: str | None = None,
    ) -> None:
        via = request.get("via") or ""
        source = address
        if listener.reliable or not is_own_address(via, address):
            address = return_address(request, source, listener)
            via = stamped_via(request, source)
        state = PROCEEDING if request.method == "INVITE" else TRYING
        Transaction.__init__(self, layer, key, listener, address, state)
        self.request = request
        self.to_tag = to_tag
        self.merge_key = merge_key
        self.prefix = copied_lines(request, via, to_tag)
        self.last: bytes | None = None
        self.trying = -1  # where 100 stands in the outbox, if it is the last that was sent
        self.session: InviteUser | None = None  # whom a CANCEL of this INVITE concerns
        watch = layer.traffic.watch
        if watch is not None:
            watch.began(self, request, to_tag or request.to_tag)

    def respond(
        self,
        status: int,
        now: float,
        lines: str = "",
        body: bytes = b"",
        reason: str = "",
    ) -> bytes | None:
        """Send a response; `lines` are further header lines, each ended by CRLF.

        Returns the octets sent (a 2xx to INVITE is repeated by the usage, section
        13.3.1.4), or None when a final response has been sent before.
        Raises InvalidValue for a text that would be more than a line.
        """
        check_answer(lines, reason)
        return self.reply(status, now, lines, body, reason)

    def reply(
        self, status: int, now: float, lines: str = "", body: bytes = b"", reason: str = ""
    ) -> bytes | None:
        """`respond` with texts that are the stack's own, or that a verb has checked."""
        phrase = reason or REASONS.get(status) or reason_phrase(status)
        head = (
            f"SIP/2.0 {status} {phrase}\r\n{self.prefix}{lines}Content-Length: {len(body)}\r\n\r\n"
        )
        data = head.encode("utf-8", "surrogateescape") + body
        before = self.last
        self.last = data
        outbox = self.layer.outbox
        place = self.trying
        if place >= 0:
            self.trying = -1
            if place >= len(outbox) or outbox[place][2] is not before:
                place = -1  # it has gone out
        what = SEND_1XX if status < 200 else SEND_2XX if status < 300 else SEND_FAILURE
        method = self.request.method
        if self.apply(what, now):
            traffic = self.layer.traffic
            sent = traffic.sent
            row = traffic.rows.get(method, OTHER)
            sent[row + status // 100] += 1
            if place >= 0:  # 100 is not needed where more follows at once (section 17.2.1)
                outbox[place] = outbox.pop()
                sent[row + 1] -= 1
            if status >= 200 and traffic.watch is not None:
                traffic.watch.ended(self, status)
            return data
        self.last = before
        return None

    def try_it(self, now: float) -> None:
        """100 Trying, with the request's Timestamp (section 8.2.6.1)."""
        timestamp = self.request.get("timestamp")
        self.reply(100, now, "" if timestamp is None else f"Timestamp: {timestamp}\r\n")
        self.trying = len(self.layer.outbox) - 1

    @property
    def answered(self) -> bool:
        """Whether a final response has been sent."""
        return self.state > PROCEEDING


def return_address(request: Request, address: Address, listener: Listener) -> Address:
    """Where responses to a request from `address` go (section 18.2.2).

    On a stream: over the connection of the request; if that is gone, over a new one to
    the port of the sent-by.
    """
    if not listener.reliable:
        return reply_address(request, address)
    try:
        via = Via.parse(request.top_via)
    except ParseError:
        return address
    host, port = address[0], address[1]
    named = via.port or (5061 if listener.transport == "TLS" else 5060)
    if named == port:
        return address
    return PeerAddress(host, port, "", PeerAddress(host, named, via.host.lower()))


def reply_address(request: Request, address: Address) -> Address:
    """Where responses go over UDP (RFC 3261 section 18.2.2, RFC 3581 section 4).

    With ``rport``: where the request came from. Without: to the port of the sent-by,
    if the sent-by names the host that sent it (gateways send from one port and listen
    on another); otherwise somebody translated addresses on the way and only the
    source can be right. ``maddr`` is ignored: replies go nowhere but to the sender.
    """
    try:
        via = request.top_via
    except ParseError:
        return address
    if ";rport" in via or sent_by_host(via) != address[0]:
        return address
    sent_by = via.partition(";")[0].rstrip(" \t")
    _, colon, port = sent_by[sent_by.rfind("]") + 1 :].partition(":")
    if not colon:
        return (address[0], 5060)
    if port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536:
        return (address[0], int(port))
    return address


# Effects.


def _send(tx: ServerTransaction, _now: float, _message: object) -> None:
    if tx.last is not None:
        tx.layer.outbox.append((tx.listener, tx.address, tx.last))


def _send_again(tx: ServerTransaction, _now: float, _message: object) -> None:
    if tx.last is not None:
        tx.layer.retransmitted += 1
        tx.layer.send(tx.listener, tx.address, tx.last)


def await_ack(waiting: dict[str, int], host: str) -> None:
    """One more final response to `host` waits for its ACK."""
    waiting[host] = waiting.get(host, 0) + 1


def ack_over(waiting: dict[str, int], host: str) -> None:
    """The ACK is here, or will not come."""
    left = waiting.get(host, 0) - 1
    if left > 0:
        waiting[host] = left
    else:
        waiting.pop(host, None)


def _ack_over(tx: ServerTransaction, _now: float, _message: object) -> None:
    if not tx.listener.reliable:
        ack_over(tx.layer.unacknowledged, tx.address[0])


def _start_g_h(tx: ServerTransaction, now: float, _message: object) -> None:
    timers = tx.layer.timers
    if not tx.listener.reliable:
        await_ack(tx.layer.unacknowledged, tx.address[0])
        tx.interval = timers.t1
        tx.resend = tx.layer.wheel.start(now, tx.interval, tx, TIMER_G)
    tx.start_lifetime(now, timers.timeout, TIMER_H)


def _restart_g(tx: ServerTransaction, now: float, _message: object) -> None:
    tx.interval = min(tx.interval * 2, tx.layer.timers.t2)
    tx.resend = tx.layer.wheel.start(now, tx.interval, tx, TIMER_G)


def _start_i(tx: ServerTransaction, now: float, _message: object) -> None:
    tx.stop_timers()
    timers = tx.layer.timers
    delay = 0.0 if tx.listener.reliable else min(timers.t4, timers.timeout)
    tx.linger(now, delay, TIMER_I)


def _start_j(tx: ServerTransaction, now: float, _message: object) -> None:
    tx.linger(now, 0.0 if tx.listener.reliable else tx.layer.timers.timeout, TIMER_J)
    tx.request = ANSWERED
    tx.prefix = ""


def _start_l(tx: ServerTransaction, now: float, _message: object) -> None:
    tx.linger(now, tx.layer.timers.timeout, TIMER_L)
    tx.last = None  # from here the usage repeats the 2xx; the transaction only absorbs
    tx.request = ANSWERED_INVITE
    tx.prefix = ""


def _expire(tx: ServerTransaction, now: float, _message: object) -> None:
    if tx.session is not None:
        tx.session.cancel_received(tx, tx.request, now)


def _forget(tx: ServerTransaction, _now: float, _message: object) -> None:
    tx.stop_timers()
    tx.session = None
    tx.layer.forget_server(tx.key, tx.merge_key)


INVITE_SERVER: Final[Table] = {
    PROCEEDING: {
        RECEIVE_REQUEST: (PROCEEDING, (_send_again,)),
        SEND_1XX: (PROCEEDING, (_send,)),
        SEND_2XX: (ACCEPTED, (_send, _start_l)),
        SEND_FAILURE: (COMPLETED, (_send, _start_g_h)),
        TIMER_EXPIRES: (PROCEEDING, (_expire,)),
        TRANSPORT_ERROR: (PROCEEDING, ()),
    },
    COMPLETED: {
        RECEIVE_REQUEST: (COMPLETED, (_send_again,)),
        RECEIVE_ACK: (CONFIRMED, (_ack_over, _start_i)),
        TIMER_G: (COMPLETED, (_send_again, _restart_g)),
        TIMER_H: (TERMINATED, (_ack_over, _forget)),
        TRANSPORT_ERROR: (COMPLETED, ()),
    },
    CONFIRMED: {
        RECEIVE_REQUEST: (CONFIRMED, ()),
        RECEIVE_ACK: (CONFIRMED, ()),
        TIMER_I: (TERMINATED, (_forget,)),
    },
    ACCEPTED: {
        RECEIVE_REQUEST: (ACCEPTED, ()),
        TIMER_L: (TERMINATED, (_forget,)),
    },
    TERMINATED: {},
}

NON_INVITE_SERVER: Final[Table] = {
    TRYING: {
        RECEIVE_REQUEST: (TRYING, ()),
        SEND_1XX: (PROCEEDING, (_send,)),
        SEND_2XX: (COMPLETED, (_send, _start_j)),
        SEND_FAILURE: (COMPLETED, (_send, _start_j)),
        TRANSPORT_ERROR: (TRYING, ()),
    },
    PROCEEDING: {
        RECEIVE_REQUEST: (PROCEEDING, (_send_again,)),
        SEND_1XX: (PROCEEDING, (_send,)),
        SEND_2XX: (COMPLETED, (_send, _start_j)),
        SEND_FAILURE: (COMPLETED, (_send, _start_j)),
        TRANSPORT_ERROR: (PROCEEDING, ()),
    },
    COMPLETED: {
        RECEIVE_REQUEST: (COMPLETED, (_send_again,)),
        TIMER_J: (TERMINATED, (_forget,)),
    },
    TERMINATED: {},
}


class InviteServerTransaction(ServerTransaction):
    """INVITE: RFC 3261 figure 7 with the state Accepted of RFC 6026."""

    __slots__ = ()
    table: ClassVar[Table] = INVITE_SERVER


class NonInviteServerTransaction(ServerTransaction):
    """Every other request but ACK: RFC 3261 figure 8."""

    __slots__ = ()
    table: ClassVar[Table] = NON_INVITE_SERVER
