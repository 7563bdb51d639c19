"""One leg of a call: a SIP session, what it is for, and its view of the media."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from sip.errors import InvalidState, ParseError, PeerError, SipError
from sip.events import PeerOddity
from sip.message import Request, Response, reason_phrase
from sip.sdp import Origin, SessionDescription, origin_line, rewrite_origin, same_media
from sip.usage.invite import InviteSession
from sip.usage.session import CONFIRMED, EARLY, INITIAL, TERMINATED

if TYPE_CHECKING:
    from simulator.call import Call

# What a leg is for; `CALLER` is the inbound one.
CALLER: Final = "caller"
VXML: Final = "vxml"
AGENT: Final = "agent"
TRANSFER: Final = "transfer"
RINGTONE: Final = "ringtone"  # what plays ringback between queue and agent
WHISPER: Final = "whisper"
GREETING: Final = "greeting"
ORIGINATED: Final = "originated"  # the first leg of a call that a command made
CALLBACK: Final = "callback"  # the caller, who had left: an answered one is the call's caller
CALLERS: Final = (CALLER, CALLBACK, ORIGINATED)
"""The kinds of whom a call is for."""

Offer = bytes | Callable[[], bytes] | None
"""A description to offer, or what makes it when it can go out; None: what was sent last."""


class OfferUser(Protocol):
    """Who sent an offer on a leg by re-INVITE, and wants the outcome."""

    @property
    def wanted(self) -> bool:
        """Whether an offer that had to wait is still to be sent."""

    def offer_answered(self, leg: "Leg", response: Response, now: float) -> None:
        """The 2xx; whoever is told acknowledges it."""

    def offer_refused(self, leg: "Leg", status: int, reason: str, now: float) -> None:
        """Any other end; the session stays as it was before the offer."""

    def leg_over(self, leg: "Leg", now: float) -> None:
        """The leg ended before there was an outcome, or the offer is not wanted any more."""


class AckUser(Protocol):
    """Who answered an INVITE on a leg with 200, and waits for the ACK."""

    def acknowledged(self, leg: "Leg", request: Request, now: float) -> None:
        """The ACK; its body is the answer when our 200 carried an offer."""

    def not_acknowledged(self, now: float) -> None:
        """The leg is over, and no ACK came."""


class LegOwner(Protocol):
    """Who placed a leg beside the target of the call's work, and wants to know of it."""

    def leg_rings(self, leg: "Leg", response: Response, now: float) -> None:
        """A provisional response."""

    def leg_answered(self, leg: "Leg", response: Response, now: float) -> None:
        """The 2xx; whoever is told acknowledges it."""

    def leg_refused(self, leg: "Leg", status: int, reason: str, now: float) -> None:
        """It cannot be reached."""

    def leg_left(self, leg: "Leg", now: float) -> None:
        """It hung up, or is lost, after the answer; its BYE is answered next."""


class Leg:
    """A leg of `call`.

    `number` is the user part or label it is called by, `label` what the plan or a script makes of
    that, where it is another; `answered` and `ended` are times (seconds of the loop's clock, 0.0
    not yet); `status` is the last final SIP code.
    """

    __slots__ = (
        "_offered",
        "_sent_before",
        "ack_user",
        "agent",
        "answered",
        "call",
        "cli",
        "ended",
        "holding",
        "kind",
        "label",
        "lines",
        "logged",
        "number",
        "offer_user",
        "offers",
        "origin",
        "owner",
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
        self.label = ""
        self.session: InviteSession
        self.cli: str | None = None  # the caller's number to show, where a label says so
        self.lines = ""  # header lines of its INVITE that the other legs do not get
        self.agent: str | None = None  # the extension, where ICM chose an agent
        self.started = now
        self.touched = now
        self.answered = 0.0
        self.ended = 0.0
        self.status = 0
        self.logged = 0  # what the log has told of it, see `simulator.call_log`
        self.received = b""  # the last session description the far end sent
        self.sent = b""  # the last that we sent to it and it did not refuse
        self._offered = b""  # the offer under way, as the far end sees it
        self._sent_before = b""  # what holds again if it refuses that
        self.holding = False  # the far end has put us on hold
        self.origin: Origin | None = None  # what this leg knows us by (RFC 3264 section 8)
        self.offer_user: OfferUser | None = None
        self.offers: list[tuple[Offer, OfferUser]] | None = None  # behind the one before
        self.ack_user: AckUser | None = None
        self.owner: LegOwner | None = None

    def __repr__(self) -> str:
        return f"<Leg {self.kind} {self.number} of {self.call.guid}>"

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
        if self.sent and self.call.server.config.sdp.origin != "passthrough":
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
            body = message.sdp
        if body:
            self.received = body
        return body

    def offer_of(self) -> bytes:
        """What the far end can do, to offer it to another leg.

        Its last description says less when it was the answer to a hold of ours or of its peer.
        """
        body = self.received
        if not self.up or self.holding or not (b"a=recvonly" in body or b"a=inactive" in body):
            return body
        try:
            return SessionDescription.parse(body).with_direction("sendrecv").to_bytes()
        except PeerError:
            return body

    def offer(self, now: float, body: Offer, user: OfferUser) -> None:
        """Offer `body` by re-INVITE, after those before it; `user` is told the outcome."""
        if self.offer_user is not None:
            if self.offers is None:
                self.offers = []
            self.offers.append((body, user))
            return
        self.offer_user = user
        self.touched = now
        self.call.steps.sent(self, "INVITE", now)
        self._offered = self._sent_before = self.sent
        try:
            self.session.reinvite(now, lambda: self._offer_body(body), self.call.server.agent_line)
        except InvalidState:  # it is ending
            self.offer_over(refused=True)
            user.offer_refused(self, 491, reason_phrase(491), now)

    def _offer_body(self, body: Offer) -> bytes:
        """`body` as it is sent, or sent again after glare: it may have heard another meanwhile."""
        if callable(body):
            body = body()
        if self.sent is not self._offered:
            self._sent_before = self.sent
        self._offered = self.sent if body is None else self.describe(body)
        return self._offered

    def offer_over(self, *, refused: bool = False) -> OfferUser | None:
        """The outcome of the present offer is here: whom to tell; the next one may go."""
        user = self.offer_user
        self.offer_user = None
        if refused and user is not None and self.sent is self._offered:
            self.sent = self._sent_before
        return user

    def next_offer(self, now: float) -> None:
        """Send the offer that waited, if the leg is still up and somebody wants it still."""
        while self.offers and self.offer_user is None and self.up:
            body, user = self.offers.pop(0)
            if user.wanted:
                self.offer(now, body, user)
            else:
                user.leg_over(self, now)

    def hang_up(self, now: float, reason: str, status: int = 480, beside: str = "") -> None:
        """End the leg in the way that its state asks for.

        An unanswered caller gets `status`, a callee that has not answered CANCEL, an
        established session BYE; `reason` is a Reason header value (RFC 3326), `beside`
        further header lines.
        """
        session = self.session
        lines = f"Reason: {reason}\r\n{beside}"
        if self.call.steps.on:
            self.call.steps.leaving(self, reason, status, now)
        with suppress(SipError):  # where it is ending by itself
            if session.state == CONFIRMED:
                self.finish(now)
                session.bye(now, lines)
            elif session.state in (INITIAL, EARLY):
                if session.outgoing:
                    session.cancel(now, lines)
                    self.finish(now, 487)
                else:
                    refusal = self.call.refusal
                    lines += refusal.lines * (refusal.status == status)
                    session.reject(now, status, lines=lines)
                    self.finish(now, status)
        self.finish(now, 0 if self.answered else 487)

    def finish(self, now: float, status: int = 0) -> None:
        """The leg is over; once. Its agent is free, and nobody waits for its word any more."""
        if self.ended == 0.0:
            self.ended = now
            if status:
                self.status = status
            dialogs = self.call.server.dialogs
            if dialogs.watched and self in self.call.legs:  # one that was never placed is not
                dialogs.changed(self, now)
            if self.agent is not None:
                self.release_agent(now)
            user, self.ack_user = self.ack_user, None
            if user is not None:
                user.not_acknowledged(now)
            if self.offer_user is not None or self.offers:
                self._nobody_agrees(now)

    def release_agent(self, now: float) -> None:
        """The agent that ICM chose for this leg takes other calls again."""
        agent, self.agent = self.agent, None
        if agent is not None:
            self.call.server.skill_groups.release(agent, now, self.answered)

    def _nobody_agrees(self, now: float) -> None:
        """Whoever has sent an offer, or waits to, hears that the leg is over."""
        waiting = [offered for _, offered in self.offers or ()]
        self.offers = None
        if self.offer_user is not None:
            waiting.append(self.offer_user)
            self.offer_user = None
        for asking in waiting:
            asking.leg_over(self, now)

    @property
    def terminated(self) -> bool:
        """Whether nothing of the session is left."""
        return self.session.state == TERMINATED


class Restored:
    """An offer of what holds on the other leg, after an exchange that it took no part in."""

    wanted = True

    def leg_over(self, leg: Leg, now: float) -> None:
        """Nothing is owed to anybody."""

    def offer_answered(self, leg: Leg, response: Response, now: float) -> None:
        """It agrees."""
        leg.session.acknowledge(now)

    def offer_refused(self, leg: Leg, status: int, reason: str, now: float) -> None:
        """Its media stay as they were."""
        leg.call.log(now, "offer_refused", f"{leg.kind}: SIP {status} {reason}")


def note_oddity(call: "Call", leg: Leg, event: PeerOddity, now: float) -> None:
    """The far end did what no RFC allows, and was served all the same."""
    if call.state != "ended":
        call.log(now, "peer_oddity", f"{leg.kind}: {event.oddity}")


def _origin_of(body: bytes) -> Origin | None:
    """The o= of a description, None where it cannot be read: then o= passes as it is."""
    line = origin_line(body)
    if line is None:
        return None
    try:
        return Origin.parse(line[2:].decode("utf-8", "surrogateescape"))
    except ParseError:
        return None
