"""INVITE with Replaces (RFC 3891): a phone takes the place of a leg of a call.

The place of an answered leg: the other party is offered the phone's description, its
answer is the phone's, and the old leg gets BYE. The place of a leg that we ring (a call
is picked up): that leg gets CANCEL, and the phone's INVITE stands for its answer. The call
goes on under its GUID either way. Who takes the place of a caller in a queue waits there,
and who takes that of one with an application is with it.
"""

from typing import TYPE_CHECKING

from simulator.bridge import partner
from simulator.cdr_records import CallResult
from simulator.connection import Connection
from simulator.headers import user_part
from simulator.joining import DIALLING, DIALLING_HELD, TARGET_ANSWERED
from simulator.leg import TRANSFER as TRANSFER_LEG
from simulator.leg import VXML, Leg
from simulator.referred import check_free, is_served
from simulator.states import NORMAL, TRANSFER
from simulator.transfer_log import PHONE, REPLACES
from sip.dialog import name_addr_uri
from sip.errors import PeerError
from sip.message import Request, reason_phrase
from sip.usage.invite import InviteSession

if TYPE_CHECKING:
    from simulator.call import Call


class Pickup(Connection):
    """A phone that has called takes the place of `old`."""

    __slots__ = ("_swapped",)

    def __init__(self, call: "Call", target: Leg, old: Leg) -> None:
        self._swapped = old is call.caller
        if self._swapped:  # who stays is who gets the new leg
            assert call.peer is not None
            call.caller, call.peer = call.peer, old
        run = call.treatment if self._swapped and call.caller.kind == VXML else None
        super().__init__(call, target, "", 0.0, transfer=True, run=run)

    def adopted(self, now: float) -> None:
        """Who is with the gateway is the caller, and the gateway the peer."""
        super().adopted(now)
        call = self.call
        if self.run is not None and call.peer is self.target:
            call.caller, call.peer = self.target, call.caller

    def failed(self, now: float) -> None:
        """The old leg has its place back; a caller who has left the gateway has left for good."""
        call, old = self.call, self.old
        if self._swapped and old is not None and (call.peer is old or self.run is not None):
            call.caller, call.peer = old, call.caller
        if self.run is not None and not call.caller.up:
            result: CallResult = "abandoned" if call.settled_state == "queued" else "completed"
            call.end(now, result, "the caller hung up")
        else:
            super().failed(now)


def take_place(
    session: InviteSession, request: Request, replaced: InviteSession, now: float
) -> None:
    """Put the caller of `session` in the place of `replaced`. Raises PeerError to refuse it."""
    old = replaced.user
    if not isinstance(old, Leg):
        raise PeerError(reason_phrase(481), 481)
    if not request.sdp:
        raise PeerError("Replaces needs an offer in the INVITE", 488)
    call = old.call
    number = user_part(name_addr_uri(request.get("from") or ""))
    new = Leg(call, TRANSFER_LEG if old.up else old.kind, number, now)
    new.session = session
    if old.up:
        _check(call, old)
    elif not _rings(call, old):
        raise PeerError(reason_phrase(481), 481)
    session.belong_to(new)
    new.take(request)
    call.legs.append(new)
    call.server.trace.joined(new)
    call.log(now, "replaced", f"{old.kind} {old.number} by {number}")
    if old.up:
        steps = call.server.transfer_log.begin(call, "attended", REPLACES, PHONE, number, now)
        steps.leaves(old)
        steps.received(new, "INVITE", now, request.get("replaces") or "")
        call.enter(TRANSFER, now, f"INVITE with Replaces from {number}")
        call.work = Pickup(call, new, old)
        call.work.apply(TARGET_ANSWERED, now, request)
    else:
        assert isinstance(call.work, Connection)
        call.work.picked_up(new, request, now)
        old.hang_up(now, NORMAL)


def _check(call: "Call", old: Leg) -> None:
    """Whether an answered leg can be replaced now. Raises PeerError."""
    other = partner(call, old)
    if other is None or (other.kind == VXML and not (old is call.caller and is_served(call))):
        raise PeerError("There is nobody else in the call", 603)
    check_free(call)


def _rings(call: "Call", leg: Leg) -> bool:
    work = call.work
    return (
        isinstance(work, Connection)
        and work.target is leg
        and work.state in (DIALLING, DIALLING_HELD)
    )
