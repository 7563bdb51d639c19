"""Consultation that a command completes: the agent talks to the target first.

The caller is held, the target is called with what the agent can do and joined to the agent;
on `complete` the target is offered the caller's description and joined to the caller, on
`cancel` all is as before. A call without an agent (self-service, queue, standalone) has
nobody to consult: its target waits on hold. Where both far ends take Replaces the caller is
sent to the target by REFER (RFC 5589 section 7.3) instead of re-INVITEs, and these are tried
if it will not.
"""

from typing import TYPE_CHECKING, Final

from simulator.bridge import partner
from simulator.connection import Connection
from simulator.errors import CallStateError
from simulator.held_ringtone import HeldRingtone
from simulator.joining import (
    DIALLING,
    DIALLING_HELD,
    FAILED,
    HOLDING,
    REALIGNING,
    RETRIEVING,
    RING_TIMEOUT,
    TARGET_ANSWERED,
    TARGET_REFUSED,
)
from simulator.leg import RINGTONE, VXML, Leg, Restored
from simulator.news import note_consulting
from simulator.refer import ReferTransfer
from simulator.transfer_log import REPLACES
from sip.errors import PeerError, SipError
from sip.message import Message, Request, Response
from sip.sdp import SessionDescription, same_media
from sip.usage.named import replaces_of

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.treatment import Treatment

# States beside those of every connection.
ASKING: Final = 20  # the agent is offered the target's description
TALKING: Final = 21  # the target has answered: waiting for the command


class Consultation(Connection):
    """A transfer in two steps; `agent` is who talks to the target meanwhile, if anybody."""

    __slots__ = (
        "_caller_refers",
        "_completing",
        "_held",
        "_moved",
        "_ringtone",
        "_target_replaces",
        "agent",
    )

    def __init__(
        self,
        call: "Call",
        target: Leg,
        uri: str,
        ring_no_answer: float,
        *,
        transfer: bool = False,
        run: "Treatment | None" = None,
    ) -> None:
        super().__init__(call, target, uri, ring_no_answer, transfer=transfer, run=run)
        agent = partner(call, call.caller)
        self.agent = None if agent is None or agent.kind in (VXML, RINGTONE) else agent
        self._ringtone: HeldRingtone | None = None  # what the caller hears meanwhile
        self._held = False
        self._moved = False  # the agent has been offered the target's description
        self._completing = False
        self._caller_refers = False  # it takes REFER, and knows Replaces
        self._target_replaces = False

    @property
    def apart(self) -> bool:
        """Whether the caller is by itself meanwhile."""
        return not self.finished and not self._completing

    def partner_of(self, leg: Leg) -> Leg | None:
        """The agent and the target have each other, the caller nobody."""
        if self.state not in (ASKING, TALKING):
            return None
        other = self.target if leg is self.agent else self.agent if leg is self.target else None
        return other if other is not None and other.up else None

    def start(self, now: float, *, hold: bool = False) -> None:
        """Call the target; with `hold` once the caller has agreed to hold."""
        self._held = hold
        super().start(now, hold=hold)

    def own_offer(self) -> bytes:
        """What the agent can do; without one what the caller can, all of it on hold."""
        if self.agent is not None:
            offerless = self.call.server.config.sdp.mid_call == "offerless"
            return b"" if offerless else self.agent.offer_of()
        return _held(self.call.caller.offer_of())

    # Inputs.

    def target_answered(self, response: Response | Request, now: float) -> None:
        """The target's first 200 begins the consultation, that to the re-INVITE ends it."""
        if self._completing or self.state not in (DIALLING, DIALLING_HELD):
            super().target_answered(response, now)
            return
        self.stop_timer()
        self._target_replaces = response.has_option("supported", "replaces")
        self.call.log(now, "consulting", self.destination)
        agent = self.agent
        if agent is None or not agent.up:
            self._acknowledge(now, b"")
            self._talk(now)
            return
        self.state = ASKING
        self._moved = True
        agent.offer(now, response.sdp or self.target.received, self)

    def offer_answered(self, leg: Leg, response: Response, now: float) -> None:
        """An offer is agreed to: by the agent, the target, or the caller."""
        if leg is self.agent:
            self._agent_agreed(leg, response, now)
        elif leg is self.target and self._completing and self.state != REALIGNING:
            self.target_answered(response, now)
        else:
            if self.state == HOLDING:
                self._caller_refers = _refers(response)
            super().offer_answered(leg, response, now)

    def _agent_agreed(self, agent: Leg, response: Response, now: float) -> None:
        agent.session.acknowledge(now)
        self.call.steps.sent(agent, "ACK", now)
        if self.state != ASKING:  # it has come to nothing meanwhile
            return
        self._acknowledge(now, response.sdp)
        if self.offered and not same_media(response.sdp, self.offered):
            self.target.offer(now, response.sdp, Restored())
        self._talk(now)

    def offer_refused(self, leg: Leg, status: int, reason: str, now: float) -> None:
        """An offer is not agreed to."""
        if leg is self.agent:
            if self.state == ASKING:
                self._moved = False  # it is where it was
                self.back(now, status, reason)
        elif leg is self.target and self._completing and self.state != REALIGNING:
            self.target_refused(status, reason, now)
        else:
            super().offer_refused(leg, status, reason, now)

    def left(self, leg: Leg, now: float) -> bool:
        """BYE of the target ends the consultation, BYE of the agent completes it."""
        if leg is self.target and self.state in (ASKING, TALKING, DIALLING, DIALLING_HELD):
            self.back(now, 487, "the target hung up before it was joined")
            return True
        goes_on = super().left(leg, now)
        if leg is self.agent:
            self.agent = None
            if self.state == ASKING:
                self._acknowledge(now, b"")
            if self.state in (ASKING, TALKING):
                self.state = TALKING
                self.call.peer = None
                self.complete(now)
        return goes_on

    def apply(self, what: int, now: float, message: Request | Response | None = None) -> None:
        """Take one input; where it has come to nothing the agent has the caller back."""
        if self.state in (ASKING, TALKING):
            return
        self._stop_ringtone(what, now)
        super().apply(what, now, message)
        agent = self.agent
        if self._moved and self.state in (RETRIEVING, FAILED):
            self._moved = False
            if agent is not None and agent.up and self.call.peer is agent:
                agent.offer(now, self.call.caller.offer_of, Restored())

    def call_target(self, now: float) -> None:
        """The INVITE; the caller hears ringback from now on, where that is wanted."""
        super().call_target(now)
        if self._held and self.call.server.config.transfer.consultation_caller == "ringtone":
            self._ringtone = HeldRingtone.begin(self.call, now)

    def _stop_ringtone(self, what: int, now: float) -> None:
        """The caller is about to be offered something else."""
        if self._ringtone is not None and what in (TARGET_ANSWERED, TARGET_REFUSED, RING_TIMEOUT):
            self._ringtone.stop(now)
            self._ringtone = None

    # Commands.

    def complete(self, now: float) -> None:
        """Join the caller to the target. Raises CallStateError before it has answered."""
        if self.state != TALKING:
            raise CallStateError("the target has not answered yet, or is being joined already")
        wanted = self.call.server.config.transfer.replaces
        if wanted and self._caller_refers and self._target_replaces:
            ReplacesTransfer(self).begin(now)
        else:
            self.join(now)

    def join(self, now: float) -> None:
        """Offer the target what the caller can do; the caller is asked next."""
        self._completing = True
        self.state = DIALLING_HELD if self._held else DIALLING
        self.offered = super().own_offer()
        self.target.offer(now, self.offered, self)

    def cancel(self, now: float) -> None:
        """Give up. Raises CallStateError while the caller is put on hold or joined."""
        if self.state in (ASKING, TALKING):
            self.call.steps.cancelled("cancelled by a command", now)
            self.back(now, 487, "cancelled by a command")
        else:
            super().cancel(now)

    def back(self, now: float, status: int, reason: str) -> None:
        """It has come to nothing: all is as before."""
        self._completing = False
        self.state = DIALLING_HELD if self._held else DIALLING
        self.target_refused(status, reason, now)

    def _talk(self, now: float) -> None:
        self.state = TALKING
        if self.agent is None and self.old is not None and self.call.peer is None:
            self.complete(now)  # who wanted to consult has left
        elif self.call.server.events.on:
            note_consulting(self.call, now)

    def _acknowledge(self, now: float, body: bytes) -> None:
        """ACK to the target; the answer in it where our INVITE held no offer."""
        target = self.target
        if not target.up:
            return
        answer = b""
        if not self.offered:
            answer = target.describe(body or _held(self.call.caller.offer_of()))
        target.session.acknowledge(now, answer)
        self.call.steps.sent(target, "ACK", now)


class ReplacesTransfer(ReferTransfer):
    """REFER to the caller: it is to call the target in our place (RFC 3891)."""

    __slots__ = ("_consultation",)

    def __init__(self, consultation: Consultation) -> None:
        super().__init__(consultation.call, consultation.destination)
        self.how = " by REFER with Replaces"
        self._consultation = self.beneath = consultation

    def begin(self, now: float) -> None:
        """Send it; where that cannot be, join the two here."""
        call = self.call
        session = self._consultation.target.session
        try:
            uri = replaces_of(session).in_uri(session.dialog.target)
        except SipError:
            self._consultation.join(now)
            return
        call.work = self
        call.steps.method = REPLACES
        call.log(now, "replaces", f"the caller is to call {self.destination} itself")
        self.start(uri, call.server.config.transfer.ring_no_answer, now)

    def failed(self, now: float) -> None:
        """The caller will not, or cannot: by re-INVITE then."""
        consultation = self._consultation
        self.call.log(now, "replaces_failed", f"SIP {self.status} {self.reason}")
        self.call.work = consultation
        if consultation.target.up:
            consultation.join(now)
        else:
            consultation.back(now, self.status, self.reason)


def _refers(message: Message) -> bool:
    """Whether who sent it can be referred with Replaces."""
    return "REFER" in message.tokens("allow") and message.has_option("supported", "replaces")


def _held(body: bytes) -> bytes:
    """A description that nobody sends or hears by."""
    try:
        return SessionDescription.parse(body).with_direction("inactive").to_bytes() if body else b""
    except PeerError:
        return body
