"""Our provisional responses sent reliably (RFC 3262 section 3): the callee's side of PRACK."""

import re
from typing import TYPE_CHECKING, Final

from sip.events import Event, Lost, Pracked, Requested, Withdrawn
from sip.message import Request
from sip.timers import Timer
from sip.traffic import RELIABLE_1XX
from sip.transaction.server import ServerTransaction
from sip.usage.negotiation import (
    OFFERED,
    OVER,
    RECEIVE_OFFER,
    RECEIVE_SDP,
    SEND_SDP,
    STABLE,
)
from sip.usage.session import CONFIRMED

if TYPE_CHECKING:
    from sip.usage.invite import InviteSession

OPTION: Final = "100rel"

_MOST: Final = 2**31 - 1
_RESEND: Final = 0
_CONTINUE: Final = 1
_rack: Final = re.compile(r"([0-9]{1,10})[ \t]+([0-9]{1,10})[ \t]+([!-~]+)").fullmatch


def is_wanted(invite: Request, *, asked: bool) -> bool:
    """Whether a provisional response is to be reliable.

    The caller requires it, or supports it and the program asks.
    """
    if invite.get("require") is not None and invite.has_option("require", OPTION):
        return True
    return asked and invite.has_option("supported", OPTION)


class ReliableResponses:
    """The reliable provisional responses to `invite`, one at a time.

    Each is repeated from T1 on, doubling, until its PRACK; the next ones wait. A 2xx waits
    as well while one with a session description is not acknowledged. After 64*T1 the
    session is told.
    """

    __slots__ = (
        "_answer",
        "_cseq",
        "_data",
        "_deadline",
        "_has_sdp",
        "_interval",
        "_number",
        "_offer",
        "_queue",
        "_session",
        "_timer",
        "invite",
    )

    def __init__(self, session: "InviteSession", invite: ServerTransaction) -> None:
        self._session = session
        self.invite = invite
        self._cseq = invite.request.cseq
        self._number = session.endpoint.ids.below(_MOST)  # RSeq of the last one
        self._queue: list[tuple[int, bytes, str, str]] = []
        self._data: bytes | None = None  # the one that waits for its PRACK
        self._has_sdp = False
        self._answer: tuple[bytes, str] | None = None  # the 2xx that waits
        self._offer: ServerTransaction | None = None  # a PRACK whose offer is not answered
        self._interval = 0.0
        self._deadline = 0.0
        self._timer: Timer | None = None

    @property
    def answering(self) -> bool:
        """Whether the program has answered, and only PRACK is awaited."""
        return self._answer is not None

    @property
    def outstanding(self) -> bool:
        """Whether a response with a session description waits for its PRACK."""
        return self._data is not None and self._has_sdp

    def send(self, now: float, status: int, body: bytes, lines: str, reason: str) -> None:
        """Send this one when those before it are acknowledged."""
        self._queue.append((status, body, lines, reason))
        self._next(now)

    def withhold(self, body: bytes, lines: str) -> bool:
        """Whether the 2xx has to wait; then it is sent by `InviteSession.accept` later."""
        if not (self.outstanding or self._offer or any(queued[1] for queued in self._queue)):
            self._queue.clear()
            return False
        self._answer = (body, lines)
        return True

    def acknowledged(self, tx: ServerTransaction, request: Request, now: float) -> bool:
        """A PRACK; False when its RAck matches nothing that waits for it."""
        found = _rack((request.get("rack") or "").strip(" \t"))
        if self._data is None or found is None:
            return False
        number, method = self._cseq
        if (int(found[1]), int(found[2]), found[3]) != (self._number, number, method):
            return False
        self._data = None
        self._stop()
        self._take(tx, request, now)
        self._next(now)
        return True

    def _take(self, tx: ServerTransaction, request: Request, now: float) -> None:
        """Section 5: a PRACK answers the offer in our response, or makes one after our answer."""
        session = self._session
        negotiation = session.negotiate()
        body = request.sdp
        if negotiation.state == OFFERED:
            negotiation.apply(RECEIVE_SDP if body else OVER)
        elif body:
            if negotiation.state != STABLE:
                tx.respond(488, now, reason="No offer is allowed in this PRACK")
                return
            negotiation.apply(RECEIVE_OFFER, tx)
            self._offer = tx
            session.endpoint.events.append(Requested(session, request, tx))
            return
        tx.respond(200, now)
        session.endpoint.events.append(Pracked(session, request))

    def _next(self, now: float) -> None:
        """Send what waits, if its turn has come."""
        session = self._session
        if self._data is not None or session.server_invite is not self.invite:
            return
        if self._offer is not None and not self._offer.answered:
            # The program responds to that by itself: look again in a while.
            if self._timer is None:
                wait = session.endpoint.timers.t1 / 10
                self._timer = session.endpoint.wheel.start(now, wait, self, _CONTINUE)
            return
        self._offer = None
        if self._queue:
            self._send(now, *self._queue.pop(0))
        elif self._answer is not None:
            body, lines = self._answer
            self._answer = None
            session.accept(self.invite, now, body, lines)

    def _send(self, now: float, status: int, body: bytes, lines: str, reason: str) -> None:
        endpoint = self._session.endpoint
        self._number += 1
        self._has_sdp = bool(body)
        if body:
            self._session.negotiate().apply(SEND_SDP)
        lines = f"Require: {OPTION}\r\nRSeq: {self._number}\r\n{lines}"
        self._data = self.invite.reply(status, now, lines, body, reason)
        self._interval = endpoint.timers.t1
        self._deadline = now + endpoint.timers.timeout
        self._stop()
        self._timer = endpoint.wheel.start(now, self._interval, self, _RESEND)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def timer_fired(self, what: int, now: float) -> None:
        """Send it again, or give up; or go on with what waited for the program."""
        self._timer = None
        if what == _CONTINUE:
            self._next(now)
            return
        session = self._session
        session.endpoint.traffic.timers[RELIABLE_1XX] += 1
        if self._data is None or session.server_invite is not self.invite:
            return  # the INVITE has its final response: no need to insist
        if now >= self._deadline:
            self._give_up(now)
            return
        endpoint = session.endpoint
        endpoint.retransmitted += 1
        endpoint.send(self.invite.listener, self.invite.address, self._data)
        self._interval *= 2
        delay = min(self._interval, self._deadline - now)
        self._timer = endpoint.wheel.start(now, delay, self, _RESEND)

    def _give_up(self, now: float) -> None:
        """No PRACK in 64*T1: the INVITE is refused."""
        session = self._session
        event: Event = Lost(session, 408)
        if session.state == CONFIRMED:
            event = Withdrawn(session, self.invite.request)
        session.reject(now, 504)
        session.endpoint.events.append(event)
