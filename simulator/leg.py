"""One leg of a call: a SIP session, what it is for, and its view of the media."""

from typing import TYPE_CHECKING, Final, Protocol

from sip.errors import InvalidState, ParseError, SipError
from sip.message import Request, Response
from sip.sdp import Origin, origin_line, rewrite_origin, same_media
from sip.usage.invite import CONFIRMED, EARLY, INITIAL, TERMINATED, InviteSession

if TYPE_CHECKING:
    from simulator.call import Call

# What a leg is for; `CALLER` is the inbound one.
CALLER: Final = "caller"
VXML: Final = "vxml"
AGENT: Final = "agent"
TRANSFER: Final = "transfer"


class OfferUser(Protocol):
    """Who sent an offer on a leg by re-INVITE, and wants the outcome."""

    def offer_answered(self, leg: "Leg", response: Response, now: float) -> None:
        """The 2xx; whoever is told acknowledges it."""

    def offer_refused(self, leg: "Leg", status: int, reason: str, now: float) -> None:
        """Any other end; the session stays as it was before the offer."""


class AckUser(Protocol):
    """Who answered an INVITE on a leg with 200, and waits for the ACK."""

    def acknowledged(self, leg: "Leg", request: Request, now: float) -> None:
        """The ACK; its body is the answer when our 200 carried an offer."""


class Leg:
    """A leg of `call`.

    `number` is the user part or label it leads to; `answered` and `ended` are times
    (seconds of the loop's clock, 0.0 not yet); `status` is the last final SIP code.
    """

    __slots__ = (
        "ack_user",
        "agent",
        "answered",
        "call",
        "ended",
        "kind",
        "number",
        "offer_user",
        "offers",
        "origin",
        "received",
        "sent",
        "session",
        "started",
        "status",
        "touched",
    )

    def __init__(self, call: "Call", kind: str, number: str, now: float) -> None:
        self.call = call
        self.kind = kind
        self.number = number
        self.session: InviteSession
        self.agent: str | None = None  # the extension, where ICM chose an agent
        self.started = now
        self.touched = now
        self.answered = 0.0
        self.ended = 0.0
        self.status = 0
        self.received = b""  # the last session description the far end sent
        self.sent = b""  # the last that we sent to it
        self.origin: Origin | None = None  # what this leg knows us by (RFC 3264 section 8)
        self.offer_user: OfferUser | None = None
        self.offers: list[tuple[bytes, OfferUser]] = []  # that wait for the one before
        self.ack_user: AckUser | None = None

    def __repr__(self) -> str:
        return f"<Leg {self.kind} {self.number} of {self.call.guid}>"

    @property
    def inbound(self) -> bool:
        """Whether the far end called us."""
        return self.kind == CALLER

    @property
    def up(self) -> bool:
        """Whether the leg is answered and not over."""
        return self.answered != 0.0 and self.ended == 0.0

    def describe(self, body: bytes) -> bytes:
        """`body`, another endpoint's description, as this leg is to see it.

        The first one passes unchanged. In later ones ``o=`` stays as this leg first saw
        it, the version one higher where anything changed (RFC 3264 section 8), unless
        ``sdp.origin`` is ``passthrough``.
        """
        if not body or body is self.sent:
            return body
        if self.call.server.config.sdp.origin != "passthrough":
            if not self.sent:
                self.sent = body
                return body
            if same_media(body, self.sent):
                return self.sent
            origin = self.origin
            if origin is None:
                origin = _origin_of(self.sent)
            if origin is not None:
                self.origin = origin = origin.bumped()
                body = rewrite_origin(body, origin.to_line())
        self.sent = body
        return body

    def take(self, message: Request | Response) -> bytes:
        """Remember the session description in a message, if it has one."""
        body = message.body
        if body:
            self.received = body
        return body

    def offer(self, now: float, body: bytes, user: OfferUser) -> None:
        """Offer `body` by re-INVITE, after those before it; `user` is told the outcome."""
        if self.offer_user is not None:
            self.offers.append((body, user))
            return
        self.offer_user = user
        self.touched = now
        try:
            self.session.reinvite(now, self.describe(body), self.call.server.agent_line)
        except InvalidState as error:  # it is ending
            self.offer_user = None
            user.offer_refused(self, 481, str(error), now)

    def offer_over(self) -> OfferUser | None:
        """The outcome of the present offer is here: whom to tell; the next one may go."""
        user = self.offer_user
        self.offer_user = None
        return user

    def next_offer(self, now: float) -> None:
        """Send the offer that waited, if the leg is still up."""
        if self.offers and self.offer_user is None and self.up:
            body, user = self.offers.pop(0)
            self.offer(now, body, user)

    def hang_up(self, now: float, reason: str, status: int = 480) -> None:
        """End the leg in the way that its state asks for.

        An unanswered caller gets `status`, a callee that has not answered CANCEL, an
        established session BYE; `reason` is a Reason header value (RFC 3326).
        """
        session = self.session
        lines = f"Reason: {reason}\r\n"
        try:
            if session.state == CONFIRMED:
                self.finish(now)
                session.bye(now, lines)
            elif session.state in (INITIAL, EARLY):
                if session.outgoing:
                    session.cancel(now, lines)
                    self.finish(now, 487)
                else:
                    session.reject(now, status, lines=lines)
                    self.finish(now, status)
        except SipError:  # it is ending by itself
            self.finish(now)

    def finish(self, now: float, status: int = 0) -> None:
        """The leg is over; once."""
        if self.ended == 0.0:
            self.ended = now
            if status:
                self.status = status

    @property
    def terminated(self) -> bool:
        """Whether nothing of the session is left."""
        return self.session.state == TERMINATED


def _origin_of(body: bytes) -> Origin | None:
    """The o= of a description, None where it cannot be read: then o= passes as it is."""
    line = origin_line(body)
    if line is None:
        return None
    try:
        return Origin.parse(line[2:].decode("utf-8", "surrogateescape"))
    except ParseError:
        return None
