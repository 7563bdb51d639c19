"""REFER from a phone: the call server carries the transfer out, and keeps its place.

The phone is answered 202 and told by NOTIFY how it goes; the call server calls the
target itself and joins the other party to it, as in a transfer by REST. A Refer-To with
Replaces names a leg of another call: the two remaining parties are joined, see
`simulator.takeover`. The phone has two seconds for its BYE after success; after a failure
the call goes on with it.
"""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from simulator.access import place_of, route_to
from simulator.bridge import partner
from simulator.connection import Connection
from simulator.errors import CallStateError
from simulator.joining import FAILED
from simulator.leg import VXML, Leg
from simulator.refer import BYE_WAIT
from simulator.routing import InvalidNumber, NotRoutable, Route
from simulator.states import HELD_FROM, NORMAL, TRANSFER
from simulator.transfer_log import REINVITE
from sip.dialog import name_addr_uri
from sip.errors import ParseError, PeerError
from sip.message import Request, Response, reason_phrase
from sip.replaces import Replaces
from sip.uri import OtherUri, SipUri, TelUri, parse_uri
from sip.usage.refer import ReceivedRefer

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.treatment import Treatment

_RING: Final = 0
_NO_BYE: Final = 1


class PhoneTransfer(Connection):
    """A connection that the phone of the `old` leg has asked for; it hears how it goes."""

    __slots__ = ("_swapped", "_told", "refer")

    def __init__(
        self,
        call: "Call",
        target: Leg,
        uri: str,
        ring_no_answer: float,
        refer: ReceivedRefer,
        *,
        run: "Treatment | None" = None,
    ) -> None:
        super().__init__(call, target, uri, ring_no_answer, transfer=True, run=run)
        self.refer = refer
        self._told = False
        self._swapped = False

    def begin(self, leg: Leg, now: float) -> None:
        """Accept the REFER of `leg`, and set out."""
        call = self.call
        self._swapped = leg is call.caller
        if self._swapped:  # who stays is who gets the new leg
            assert call.peer is not None
            call.caller, call.peer = call.peer, call.caller
            self.old = call.peer
            self.target.cli = call.caller.number
        call.work = self
        self.refer.accept(now)
        call.steps.leaves(leg)
        call.steps.received(leg, "REFER", now, self.refer.target.uri)
        call.steps.sent(leg, "202 REFER", now, 202, reason_phrase(202))
        self._notified(100, now)
        self.start(now)

    def apply(self, what: int, now: float, message: Request | Response | None = None) -> None:
        """Take one input; the phone hears of a failure, and has its place back."""
        super().apply(what, now, message)
        if self.state == FAILED and not self._told:
            self._tell(now, self.status or 500)
            call, phone = self.call, self.old
            if self._swapped and phone is not None and call.peer is phone:
                call.caller, call.peer = phone, call.caller

    def _tell(self, now: float, status: int) -> None:
        """The last word; the peer's own reason phrase stays with us."""
        if not self._told:
            self._told = True
            self.refer.notify(now, status)
            self._notified(status, now)

    def _notified(self, status: int, now: float) -> None:
        if self.refer.subscribed and self.old is not None:
            self.call.steps.sent(self.old, "NOTIFY", now, status, reason_phrase(status))

    def progressed(self, response: Response, now: float) -> None:
        """The target rings, and the phone hears so."""
        super().progressed(response, now)
        if not self.finished:
            self.refer.notify(now, response.status)
            self._notified(response.status, now)

    def release_old(self, now: float) -> None:
        """Success: the phone is told, and has a while for its BYE."""
        self._tell(now, 200)
        self.call.server.stack.endpoint.wheel.start(now, BYE_WAIT, self, _NO_BYE)

    def timer_fired(self, what: int, now: float) -> None:
        """Ring no answer, or no BYE from the phone."""
        if what == _RING:
            super().timer_fired(what, now)
        elif self.old is not None and self.old.ended == 0.0:
            self.old.hang_up(now, NORMAL)
            self.call.server.stack.pump(now)

    def abandon(self, now: float) -> None:
        """The call ends: the phone hears that nothing comes of it."""
        super().abandon(now)
        self._tell(now, 487)


def refer_received(call: "Call", leg: Leg, refer: ReceivedRefer, now: float) -> None:
    """Carry out what a phone asks for, or refuse it with the reason."""
    from simulator.takeover import Takeover

    log = call.server.transfer_log
    try:
        _check(call, leg, refer)
        if refer.replaces is not None:
            other = named_leg(call, refer.replaces)
            if other is not None:
                call.log(now, "referred", f"by the {leg.kind}, to call {other.call.guid}")
                log.begin(call, "attended", REINVITE, leg.kind, name_of(other), now)
                call.enter(TRANSFER, now, f"attended to {name_of(other)}")
                Takeover(call, other, refer).begin(leg, now)
                return
        number, route = _route(call, leg, refer.target.uri)
    except PeerError as error:
        call.log(now, "refer_refused", f"{leg.kind}: SIP {error.status} {error.reason}")
        refer.reject(now, error.status, error.reason)
        log.refused(call, leg, refer.target.uri, error.status, error.reason, now)
        return
    call.log(now, "referred", f"by the {leg.kind} to {number}")
    kind = "blind" if refer.replaces is None else "attended"
    log.begin(call, kind, REINVITE, leg.kind, number, now)
    call.enter(TRANSFER, now, f"blind to {number}")
    target, uri, run = call.server.target_of(call, number, route, now)
    target.lines = refer.referred_by
    if refer.replaces is not None:  # a dialog of somebody else's: the target knows it
        target.lines += f"Replaces: {refer.replaces}\r\nRequire: replaces\r\n"
    PhoneTransfer(call, target, uri, route.ring_no_answer, refer, run=run).begin(leg, now)


def _check(call: "Call", leg: Leg, refer: ReceivedRefer) -> None:
    """Whether this call can be transferred by this phone now. Raises PeerError."""
    other = partner(call, leg)
    if other is None or other.kind == VXML:
        raise PeerError("There is nobody to transfer", 603)
    if refer.method != "INVITE":
        raise PeerError("Only INVITE can be referred", 403)
    check_free(call)


def check_free(call: "Call") -> None:
    """Whether a phone can change the legs of a call now. Raises PeerError."""
    try:
        call.check(TRANSFER)
    except CallStateError:
        raise PeerError(reason_phrase(491), 491) from None
    if call.work is not None:
        raise PeerError(reason_phrase(491), 491)


def named_leg(call: "Call", replaces: Replaces) -> Leg | None:
    """The leg that stays behind where the named leg of another call is replaced.

    None where the dialog is none of ours. Raises PeerError where it cannot be replaced.
    """
    session = call.server.stack.endpoint.sessions.get(replaces.to_tag)
    leg = session.user if session is not None else None
    if session is None or session.dialog.call_id != replaces.call_id or not isinstance(leg, Leg):
        return None
    other = leg.call
    if session.dialog.remote_tag != replaces.from_tag or other is call:
        raise PeerError("Replaces names no other call of yours", 603)
    if replaces.early_only and leg.up:
        raise PeerError("The dialog to replace is answered", 486)
    remaining = partner(other, leg)
    if not leg.up or remaining is None or (remaining.kind == VXML and not is_served(other)):
        raise PeerError("The call to replace is over, or not answered yet", 603)
    state = other.state
    if other.work is not None or (state not in HELD_FROM and state != "on_hold"):
        raise PeerError(reason_phrase(491), 491)
    return remaining


def is_served(call: "Call") -> bool:
    """Whether another caller may have the place of this one at its VXML gateway.

    In a queue, or with an application, which goes on where it is.
    """
    return call.treatment is not None and call.treatment.serves


def name_of(leg: Leg) -> str:
    """Where a party goes that is joined to `leg`: a gateway stands for the number of its queue."""
    return leg.call.called if leg.kind == VXML else leg.number


def _route(call: "Call", leg: Leg, uri: str) -> tuple[str, Route]:
    """Number and route of Refer-To by the dial plan. Raises PeerError."""
    server = call.server
    plan = server.plan
    try:
        address = parse_uri(uri)
        if isinstance(address, OtherUri):
            raise PeerError(reason_phrase(416), 416)
        if isinstance(address, TelUri):
            text, route = address.number, plan.resolve_transfer(uri, call.origin)
        else:
            text = address.number
            at = place_of(address)
            if text and at in _our_places(leg):
                route = plan.resolve_transfer(text, call.origin)
            else:
                text, route = _elsewhere(call, text, at, uri)
        server.check_reachable(call, route)
    except ParseError:
        raise PeerError("Refer-To is missing, repeated or malformed", 400) from None
    except InvalidNumber:
        raise PeerError("Refer-To cannot be dialed", 400) from None
    except NotRoutable:
        raise PeerError("No route leads to Refer-To", 404) from None
    return text, route


def _our_places(leg: Leg) -> set[tuple[str, int]]:
    """Hosts and ports that mean this server to the phone: what it called, what we say."""
    session = leg.session
    remote = session.remote_address[0]
    places = {
        (listener.local_host(remote), listener.port)
        for listener in session.endpoint.listeners
        if (":" in listener.host) == (":" in remote)
    }
    with suppress(ParseError):
        places.add(place_of(SipUri.parse(name_addr_uri(session.dialog.local))))
    return places


def _elsewhere(call: "Call", number: str, at: tuple[str, int], uri: str) -> tuple[str, Route]:
    """Another host: one that the routes lead to for this number, or one that is allowed."""
    route = route_to(call.server, number, at, call.origin)
    if route is not None:
        return number, route
    hosts = call.server.config.transfer.hosts
    if "*" not in hosts and at[0] not in [host.lower() for host in hosts]:
        raise PeerError("transfer.hosts does not allow that host", 403)
    return number or at[0], call.server.plan.resolve_transfer(uri, call.origin)
