"""Whose offer is outstanding in a dialog (RFC 3264 section 4, RFC 6337 section 2).

The table below is asked only where more than INVITE, 2xx and ACK exchange descriptions:
once UPDATE or a reliable provisional response shows up.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sip.transaction.client import ClientTransaction
from sip.transaction.server import ServerTransaction

if TYPE_CHECKING:
    from sip.usage.provisional import ProvisionalSession

# States.
STABLE: Final = 0  # no offer is outstanding: either side may make one
OFFERED: Final = 1  # ours waits for its answer
ASKED: Final = 2  # the peer's waits for our answer
WANTED: Final = 3  # our INVITE has no offer: the peer is to make one
OWING: Final = 4  # the peer's INVITE has no offer: we are to make one

# Inputs.
SEND_OFFER: Final = 0
RECEIVE_OFFER: Final = 1
SEND_INVITE: Final = 2  # without an offer
RECEIVE_INVITE: Final = 3  # without an offer
SEND_SDP: Final = 4  # in a reliable response, PRACK or ACK: offer or answer, as it is due
RECEIVE_SDP: Final = 5
OVER: Final = 6  # refused, given up, or the exchange ended without a description

OFFERS: Final[Mapping[int, Mapping[int, int]]] = {
    STABLE: {
        SEND_OFFER: OFFERED,
        RECEIVE_OFFER: ASKED,
        SEND_INVITE: WANTED,
        RECEIVE_INVITE: OWING,
        SEND_SDP: STABLE,  # the answer once more: a 200 after a reliable 18x (RFC 3261 13.2.1)
        RECEIVE_SDP: STABLE,
        OVER: STABLE,
    },
    OFFERED: {RECEIVE_SDP: STABLE, OVER: STABLE},
    ASKED: {SEND_SDP: STABLE, OVER: STABLE},
    WANTED: {RECEIVE_SDP: ASKED, OVER: STABLE},
    OWING: {SEND_SDP: OFFERED, OVER: STABLE},
}

Carrier = ClientTransaction | ServerTransaction


class Negotiation:
    """The state of offer and answer in one dialog.

    `carrier` is the PRACK or UPDATE that the outstanding offer came in, None for INVITE.
    """

    __slots__ = ("_state", "_update", "carrier")

    def __init__(self, state: int) -> None:
        self._state = state
        self.carrier: Carrier | None = None
        self._update: ServerTransaction | None = None  # the peer's last UPDATE

    @classmethod
    def of(cls, session: "ProvisionalSession") -> "Negotiation":
        """As INVITE has left it in the session so far."""
        if session.client_invite is not None:
            return cls(OFFERED if session.client_invite.request.body else WANTED)
        if session.server_invite is not None:
            return cls(ASKED if session.server_invite.request.body else OWING)
        # A 2xx may hold an offer: until its ACK nobody makes another.
        return cls(ASKED if session.busy else STABLE)

    @property
    def state(self) -> int:
        """Whose offer is outstanding."""
        carrier = self.carrier
        if isinstance(carrier, ServerTransaction) and carrier.answered:
            self.carrier = None
            self._state = STABLE
        return self._state

    @property
    def pending(self) -> bool:
        """Whether a PRACK or UPDATE of ours waits for the answer to its offer."""
        return self._state == OFFERED and self.carrier is not None

    def apply(self, what: int, carrier: Carrier | None = None) -> bool:
        """Take one input; False, and nothing has changed, where the state has no row for it.

        What INVITE, its responses and ACK bring (`carrier` None) does not concern the offer
        of a PRACK or UPDATE.
        """
        state = OFFERS[self.state].get(what)
        if state is None or (self.carrier is not None and self.carrier is not carrier):
            return False
        self._state = state
        self.carrier = carrier if state != STABLE else None
        return True

    def refusal(self, update: ServerTransaction | None, *, offer: bool) -> int:
        """The status that refuses an `update` of the peer (RFC 3311 section 5.2), or 0.

        None stands for a re-INVITE (RFC 3261 section 14.2).
        """
        if self._update is not None and not self._update.answered:
            return 500
        if offer and self.state != STABLE:
            return 491 if self.state in (OFFERED, WANTED) else 500
        if update is not None:
            self._update = update
            if offer:
                self.apply(RECEIVE_OFFER, update)
        return 0
