"""Our 2xx to an INVITE, repeated until its ACK (RFC 3261 section 13.3.1.4)."""

from typing import TYPE_CHECKING

from sip.timers import Timer
from sip.traffic import REPEATED_2XX
from sip.transaction.server import ServerTransaction, ack_over, await_ack
from sip.transport import host_port
from sip.usage.oddity import LATE_ACK

if TYPE_CHECKING:
    from sip.usage.invite import InviteSession


class UnacknowledgedAnswer:
    """The octets of a 2xx that waits for its ACK; `number` is the CSeq of its INVITE.

    Repeated at T1, doubling up to T2, on every transport, since the transaction is gone.
    After 64*T1 the session is told that no ACK came. The first INVITE of somebody unknown may
    then have come in another's name: its BYE goes back to where it came from, and nowhere else.
    """

    __slots__ = (
        "_address",
        "_counted",
        "_data",
        "_deadline",
        "_first",
        "_interval",
        "_repeated",
        "_session",
        "_timer",
        "number",
    )

    def __init__(
        self,
        session: "InviteSession",
        data: bytes,
        invite: ServerTransaction,
        number: int,
        now: float,
    ) -> None:
        timers = session.endpoint.timers
        self.number = number
        self._repeated = False
        self._session = session
        self._data = data
        self._address = address = invite.address
        self._first = invite.to_tag is not None
        self._interval = timers.t1
        self._deadline = now + timers.timeout
        self._timer: Timer = session.endpoint.wheel.start(now, timers.t1, self, 0)
        self._counted = not session.listener.reliable
        if self._counted:
            await_ack(session.endpoint.unacknowledged, address[0])

    def acknowledged(self) -> None:
        """The ACK is here: note it if the 2xx had to be repeated for it."""
        if self._repeated:
            self._session.note(LATE_ACK)

    def stop(self) -> None:
        """The ACK has come, or nobody waits for it any more."""
        self._timer.target = None
        if self._counted:
            ack_over(self._session.endpoint.unacknowledged, self._address[0])

    def timer_fired(self, _what: int, now: float) -> None:
        """Send it again, or give up."""
        endpoint = self._session.endpoint
        endpoint.traffic.timers[REPEATED_2XX] += 1
        if now >= self._deadline:
            screen, host = endpoint.screen, self._address[0]
            if self._first and screen is not None and not screen.known(host):
                self._session.dialog.turn_back(host_port(host, self._address[1]))
            self._session.not_acknowledged(now)
            return
        endpoint.retransmitted += 1
        self._repeated = True
        endpoint.send(self._session.listener, self._address, self._data)
        self._interval = min(self._interval * 2, endpoint.timers.t2)
        delay = min(self._interval, self._deadline - now)
        self._timer = endpoint.wheel.start(now, delay, self, 0)
