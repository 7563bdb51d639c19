"""What one leg asks of the other: re-INVITE, UPDATE and INFO pass through the bridge."""

from typing import TYPE_CHECKING, Final

from simulator.connection import Connection
from simulator.headers import content_type, is_cut, passed_lines, refusal_lines
from simulator.ivr import script_result
from simulator.leg import Leg, Restored
from simulator.refer import Departure
from simulator.script_messages import is_package
from simulator.states import HELD_FROM, HOLD
from sip.errors import PeerError, SipError
from sip.events import Requested, Responded, Withdrawn
from sip.message import Request, Response
from sip.sdp import Direction, SessionDescription
from sip.transaction.server import ServerTransaction
from sip.usage.session import EARLY, SDP

if TYPE_CHECKING:
    from simulator.call import Call

# Header fields of a relayed request that mean the same on the other leg.
_CARRIED: Final = ("info-package", "content-disposition")


def partner(call: "Call", leg: Leg) -> Leg | None:
    """The leg that `leg` talks to, if it is up."""
    work = call.work
    if isinstance(work, Departure):
        work = work.beneath
    if isinstance(work, Connection) and work.apart:
        return work.partner_of(leg)
    other = call.peer if leg is call.caller else call.caller if leg is call.peer else None
    return other if other is not None and other.up and other.call is call else None


def early_partner(call: "Call", leg: Leg) -> Leg | None:
    """The leg that `leg` is about to talk to: caller and callee before the answer."""
    work = call.work
    if not isinstance(work, Connection) or call.caller.answered or work.finished:
        return None
    other = work.target if leg is call.caller else call.caller if leg is work.target else None
    return other if other is not None and other.session.state == EARLY else None


def is_refresh(leg: Leg, request: Request) -> bool:
    """Whether a re-INVITE says nothing but that the leg's far end is still there (RFC 4028)."""
    return (
        request.get("session-expires") is not None
        and leg.session.timer is not None
        and leg.offer_user is None
        and leg.sent != b""
        and request.sdp == leg.received != b""
    )


class OfferRelay:
    """A re-INVITE of one leg, carried to the other, its answer carried back.

    The ACK is passed on as well: it holds the answer when the re-INVITE held no offer.
    """

    __slots__ = ("_invite", "_received_before", "call", "origin", "request", "target")

    def __init__(self, call: "Call", origin: Leg, request: Request) -> None:
        self.call = call
        self.origin = origin
        self.request = request
        self.target: Leg | None = None
        self._received_before = origin.received
        self._invite = origin.session.server_invite  # another may follow when it is cancelled

    @property
    def wanted(self) -> bool:
        """Whether an offer that had to wait is still to be sent: not to a former partner."""
        origin = self.origin
        return origin.up and self._open and partner(self.call, origin) is self.target

    @property
    def _open(self) -> bool:
        """Whether the re-INVITE still waits for its answer."""
        return self._invite is not None and self.origin.session.server_invite is self._invite

    def start(self, now: float) -> None:
        """Offer to the other leg; without one the call server answers itself."""
        origin = self.origin
        if is_refresh(origin, self.request):
            self._answer(now, origin.sent)  # a session timer concerns this leg alone
            return
        origin.take(self.request)
        if is_held(self.call) and origin.sent:
            self._answer_held(now)
            return
        target = partner(self.call, origin)
        if target is not None and target.session.server_invite is not None:
            self._refuse(now, 491)  # it offers as well: each would wait for the other
        elif target is not None:
            self.target = target
            target.offer(now, self.request.sdp, self)
        elif origin is self.call.caller and self.call.work is None:
            try:
                body = self.call.server.own_media(origin, self.request.sdp)
            except PeerError as error:
                self._refuse(now, 488, lines=error.lines)
                return
            if self._answer(now, body):
                origin.ack_user = self
                note_hold(self.call, origin, self.request.sdp, now)
        else:
            self._refuse(now, 491)

    def _answer_held(self, now: float) -> None:
        """200 while a command holds the call: the other leg does not hear of the change yet."""
        origin = self.origin
        offer = self.request.sdp
        try:
            body = answer_on_hold(offer, origin.sent)
        except PeerError as error:
            self._refuse(now, 488, lines=error.lines)
            return
        if self._answer(now, body):
            origin.ack_user = self
            note_hold(self.call, origin, offer, now)

    def _answer(self, now: float, body: bytes) -> bool:
        """200; False when the re-INVITE was given up meanwhile."""
        if not self._open:
            return False
        origin = self.origin
        origin.session.answer(now, origin.describe(body), self.call.server.server_line)
        return True

    def _refuse(self, now: float, status: int, reason: str = "", lines: str = "") -> None:
        if self._open:
            self.origin.received = self._received_before
            refused = self.call.refusal
            lines = lines or refused.lines * (refused.status == status)
            self.origin.session.reject(now, status, reason, lines)

    def offer_answered(self, leg: Leg, response: Response, now: float) -> None:
        """The other leg agrees: so do we, and wait for the ACK."""
        if not self._answer(now, response.sdp):
            leg.session.acknowledge(now)
            if self.origin.up:  # it thought better of it: the other leg hears so
                leg.offer(now, self.origin.received, Restored())
            return
        self.origin.ack_user = self
        note_hold(self.call, self.origin, self.request.sdp, now)

    def acknowledged(self, leg: Leg, request: Request, now: float) -> None:
        """The ACK goes on to the other leg."""
        note_hold(self.call, self.origin, request.sdp, now)
        self._acknowledge(now, request.sdp)

    def not_acknowledged(self, now: float) -> None:
        """Without an ACK to pass on: the other leg gets its own."""
        self._acknowledge(now, b"")

    def _acknowledge(self, now: float, body: bytes) -> None:
        target = self.target
        if target is not None and target.up:
            target.session.acknowledge(now, target.describe(body))
            target.next_offer(now)

    def withdrawn(self) -> None:
        """The origin has cancelled it: what it sent before holds."""
        self.origin.received = self._received_before

    def offer_refused(self, leg: Leg, status: int, reason: str, now: float) -> None:
        """The other leg does not want it: neither do we, for the same reason."""
        self._refuse(now, status, reason)

    def leg_over(self, leg: Leg, now: float) -> None:
        """Nobody is there to agree; if the call goes on, there may be later."""
        self._refuse(now, 491)


def withdrawn(call: "Call", leg: Leg, event: Withdrawn, now: float) -> None:
    """The re-INVITE of `leg` was cancelled."""
    other = call.peer if leg is call.caller else call.caller
    user = other.offer_user if other is not None else None
    if isinstance(user, OfferRelay) and user.origin is leg:
        user.withdrawn()


def note_hold(call: "Call", origin: Leg, body: bytes, now: float) -> None:
    """What a description that was agreed to says of hold; each side resumes its own."""
    if not body:
        return
    origin.holding = is_hold(body)
    held = held_by(call) != ""
    if held and call.state in HELD_FROM:
        call.enter(HOLD, now, f"by the {origin.kind}")
    elif not held and call.state == "on_hold":
        call.go_back(now, f"resumed by the {origin.kind}")


def held_by(call: "Call") -> str:
    """Who has put the call on hold: the kind of a leg, or a command; "" nobody."""
    if call.caller.holding:
        return call.caller.kind
    peer = call.peer
    if peer is not None and peer.holding:
        return peer.kind
    return "operator" if call.hold is not None else ""


def is_held(call: "Call") -> bool:
    """Whether a command holds the call, and has not begun to resume it."""
    return call.hold is not None and not call.hold.resuming


def answer_on_hold(offer: bytes, sent: bytes) -> bytes:
    """What we said last, on hold, as the answer to `offer`. Raises PeerError, 488."""
    ours = SessionDescription.parse(sent)
    theirs = SessionDescription.parse(offer) if offer else ours
    if len(theirs.media) != len(ours.media):
        raise PeerError("The call is on hold: no streams can be added", 488)
    # RFC 3264 section 6.1: sendonly answers only who would hear it.
    direction: Direction = "inactive" if theirs.is_hold else "sendonly"
    return ours.with_direction(direction).to_bytes()


def is_hold(body: bytes) -> bool:
    """Whether a description puts its receiver on hold; one that cannot be read does not."""
    try:
        return SessionDescription.parse(body).is_hold
    except PeerError:
        return False


class RequestRelay:
    """INFO or UPDATE of one leg, carried to the other, its response carried back.

    The offer in a caller's PRACK goes on as UPDATE: our own PRACK has been sent.
    """

    __slots__ = ("_received_before", "_sent_before", "call", "origin", "request", "transaction")

    def __init__(
        self, call: "Call", origin: Leg, request: Request, transaction: ServerTransaction
    ) -> None:
        self.call = call
        self.origin = origin
        self.request = request
        self.transaction = transaction
        self._received_before = origin.received
        self._sent_before: tuple[Leg, bytes] | None = None

    @classmethod
    def start(cls, call: "Call", origin: Leg, event: Requested, now: float) -> None:
        """Send the request on; with nobody at the other end answer it here."""
        request = event.request
        # Info-Package means something in INFO alone (RFC 6086 section 7.2).
        if request.method == "INFO" and is_package(request.get("info-package") or ""):
            script_result(call, origin, event, now)
            return
        target = partner(call, origin) or early_partner(call, origin)
        relay = cls(call, origin, request, event.transaction)
        body = request.body
        if request.method == "UPDATE" and not body and request.get("session-expires") is not None:
            target = None  # a session refresh concerns this leg alone (RFC 4028)
        offers = request.method == "UPDATE" and request.content_type == SDP and body != b""
        if offers and origin.offer_user is None and is_held(call) and origin.sent:
            relay.answer_held(now)
            return
        if target is None:
            relay.answer_here(now)
            return
        if request.content_type == SDP and origin.offer_user is not None:
            event.transaction.respond(491, now)  # RFC 3311 section 5.2
            return
        if request.content_type == SDP:
            origin.take(request)
            relay._sent_before = (target, target.sent)
            body = target.describe(body)
        lines = "".join(
            [
                f"{name}: {value}\r\n"
                for name, value in request.lines()
                if name.lower() in _CARRIED and not is_cut(value)
            ]
        )
        try:
            if request.method == "INFO" or request.content_type not in ("", SDP):
                kind = content_type(request) or SDP
                target.session.request(now, request.method, lines, body, kind, relay)
            else:
                target.session.update(now, body, lines + passed_lines(request), relay)
        except SipError:
            if relay._sent_before is not None:
                relay._offer_over(491, None, now)
            relay.answer_here(now)

    def answer_here(self, now: float) -> None:
        """200; an offer in UPDATE is answered as the call server does for itself."""
        if self.request.get("info-package") is not None and self.request.method == "INFO":
            self.transaction.respond(469, now, "Recv-Info:\r\n")  # RFC 6086 section 4.2.2
            return
        body = b""
        lines = self.call.server.server_line
        if self.request.body and self.request.content_type == SDP:
            if self.request.method == "PRACK":
                self.transaction.respond(488, now)
                return
            if partner(self.call, self.origin) is not None or self.call.work is not None:
                self.transaction.respond(500, now, "Retry-After: 1\r\n")
                return
            try:
                body = self.call.server.own_media(self.origin, self.request.body)
            except PeerError as error:
                self.transaction.respond(488, now, error.lines)
                return
            body = self.origin.describe(body)
            lines += f"Content-Type: {SDP}\r\n"
        if self.request.method == "UPDATE":
            lines = self.origin.session.agreement(self.request, now) + lines
        self.transaction.respond(200, now, lines, body)

    def answer_held(self, now: float) -> None:
        """200 while a command holds the call, as to a re-INVITE."""
        origin = self.origin
        try:
            body = answer_on_hold(self.request.body, origin.sent)
        except PeerError as error:
            self.transaction.respond(488, now, error.lines)
            return
        origin.take(self.request)
        lines = origin.session.agreement(self.request, now) + self.call.server.server_line
        lines += f"Content-Type: {SDP}\r\n"
        self.transaction.respond(200, now, lines, origin.describe(body))
        note_hold(self.call, origin, self.request.body, now)

    def responded(self, event: Responded, now: float) -> None:
        """Carry the response back."""
        response = event.response
        if self._sent_before is not None:
            self._offer_over(event.status, response, now)
        if event.status in (408, 481) and self.call.state != "ended":
            self.transaction.respond(500, now)  # it is the other leg that is gone
            return
        if self.request.method == "PRACK" and event.status >= 300:
            self.transaction.respond(488, now)
            return
        if response is None:
            self.transaction.respond(event.status, now)
            return
        body = response.body
        lines = self.call.server.server_line
        if self.request.method == "UPDATE" and response.status < 300:
            lines = self.origin.session.agreement(self.request, now) + lines
        if body:
            if response.content_type == SDP:
                body = self.origin.describe(body)
            lines += f"Content-Type: {content_type(response) or SDP}\r\n"
        if response.status >= 300:
            lines += refusal_lines(response)
        self.transaction.respond(event.status, now, lines, body, response.reason)

    def _offer_over(self, status: int, response: Response | None, now: float) -> None:
        """An UPDATE with an offer is agreed to, or nothing of it is in force."""
        assert self._sent_before is not None
        target, sent = self._sent_before
        if status < 300:
            if response is not None:
                target.take(response)
            note_hold(self.call, self.origin, self.request.body, now)
        else:
            target.sent = sent
            self.origin.received = self._received_before
