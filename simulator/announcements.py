"""Whisper announcement and agent greeting [SDG-FEAT].

Whisper: the agent's leg is answered and hears the announcement, while the caller goes on
hearing the ringtone; then they are joined. The announcement's number is called with the
agent's description; what it answers goes to the agent by re-INVITE (or in the ACK, where
the agent was called without an offer). Its messages are not published; these are ours.

Greeting: one more call to the voice browser once agent and caller are joined, whose media
goes to the agent's phone, which mixes it (CUCM's built-in bridge).
"""

from typing import TYPE_CHECKING, Final

from simulator.connection import Connection
from simulator.joining import (
    DIALLING,
    TARGET_HEARS,
    WHISPER_OVER,
    WHISPER_USELESS,
    WHISPERING,
)
from simulator.leg import GREETING, WHISPER, Leg
from simulator.routing import NotRoutable
from simulator.states import NORMAL
from sip.errors import LocalError, PeerError
from sip.grammar import header_line
from sip.message import Request, Response
from sip.sdp import SessionDescription
from sip.timers import Timer

if TYPE_CHECKING:
    from simulator.call import Call

PATIENCE: Final = 5.0
"""Seconds that a service has for its answer."""


class Announcement:
    """A leg to a service number that plays `name`; `user` is told when it is over, once."""

    __slots__ = ("_timer", "_user", "leg", "name")

    def __init__(
        self, call: "Call", kind: str, number: str, name: str, user: "AgentConnection | None"
    ) -> None:
        self.leg = Leg(call, kind, number, 0.0)
        self.leg.lines = header_line("X-Announcement", name)
        self.leg.owner = self
        self.name = name
        self._user = user
        self._timer: Timer | None = None

    def begin(self, body: bytes, now: float) -> None:
        """Call the service, with `body` as the offer."""
        leg = self.leg
        server = leg.call.server
        try:
            uri = server.plan.route_label(leg.number, leg.call.origin) if leg.number else None
        except NotRoutable:
            uri = None
        if uri is None:
            self._failed(f"{leg.number}: no route, add it under routes", now)
            return
        self._start_timer(now, PATIENCE)
        try:
            server.place(leg, uri, body, PATIENCE, now)
        except LocalError as error:
            self._failed(f"{leg.number}: {error}", now)

    def leg_rings(self, leg: Leg, response: Response, now: float) -> None:
        """It will answer soon."""

    def leg_answered(self, leg: Leg, response: Response, now: float) -> None:
        """It plays."""
        leg.session.acknowledge(now)
        self._start_timer(now, leg.call.server.config.services.longest)
        leg.call.log(now, leg.kind, f"{leg.number} {self.name}")
        leg.call.server.statistics.announced(whisper=leg.kind == WHISPER, played=True)
        if self._user is not None:
            self._user.announced(self, now)

    def leg_refused(self, leg: Leg, status: int, reason: str, now: float) -> None:
        """Then without it."""
        self._failed(f"{leg.number}: SIP {status} {reason}", now)

    def leg_left(self, leg: Leg, now: float) -> None:
        """It has been played."""
        self._over(now)

    def stop(self, now: float) -> None:
        """It is not wanted any more; nobody is told."""
        self._user = None
        self._over(now)

    def timer_fired(self, _what: int, now: float) -> None:
        """It takes too long: to answer, or to come to its end."""
        self._timer = None
        if self.leg.answered:
            self._over(now)
        else:
            self._failed(f"{self.leg.number}: no answer", now)
        self.leg.call.server.stack.pump(now)

    def _failed(self, details: str, now: float) -> None:
        leg = self.leg
        leg.call.log(now, f"no_{leg.kind}", details)
        leg.call.server.statistics.announced(whisper=leg.kind == WHISPER, played=False)
        self._over(now)

    def _over(self, now: float) -> None:
        self.stop_timer()
        leg = self.leg
        if leg.ended == 0.0 and leg in leg.call.legs:
            leg.hang_up(now, NORMAL)
        user, self._user = self._user, None
        if user is not None:
            user.announcement_over(now)

    def _start_timer(self, now: float, delay: float) -> None:
        self.stop_timer()
        wheel = self.leg.call.server.stack.endpoint.wheel
        self._timer = wheel.start(now, delay, self, 0)

    def stop_timer(self) -> None:
        """The call ends, and its legs with it."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None


class AgentConnection(Connection):
    """A connection to an agent who hears `whisper` first, or whose `greeting` is played."""

    __slots__ = ("_announcement", "_asked", "greeting", "whisper")

    def __init__(
        self,
        call: "Call",
        target: Leg,
        uri: str,
        ring_no_answer: float,
        whisper: str,
        greeting: str,
    ) -> None:
        super().__init__(call, target, uri, ring_no_answer)
        self.whisper = whisper
        self.greeting = greeting
        self._announcement: Announcement | None = None
        self._asked = False  # the agent has not yet agreed to the whisper's description

    def target_answered(self, response: Response | Request, now: float) -> None:
        """The agent's 200: the whisper comes first, unless another phone has picked up."""
        ours = self.state == DIALLING and self.target.session.outgoing
        if not ours or not self.whisper or not self.call.caller.answered:
            super().target_answered(response, now)
            return
        self.stop_timer()
        self.apply(TARGET_HEARS, now)
        target = self.target
        if self.offered:
            target.session.acknowledge(now)
        call = self.call
        number = call.server.config.services.whisper
        self._announcement = Announcement(call, WHISPER, number, self.whisper, self)
        self._announcement.begin(target.offer_of(), now)

    def announced(self, announcement: Announcement, now: float) -> None:
        """The service has answered: the agent is to hear it."""
        body = announcement.leg.received
        target = self.target
        if not body:
            return
        if self.offered:
            self._asked = True
            target.offer(now, body, self)
        else:
            target.session.acknowledge(now, target.describe(body))
        self.offered = body

    def offer_answered(self, leg: Leg, response: Response, now: float) -> None:
        """The agent has agreed to the whisper's description, or what else was offered."""
        if leg is self.target and self._asked:
            self._asked = False
            leg.session.acknowledge(now)
            self._join(now)
        else:
            super().offer_answered(leg, response, now)

    def offer_refused(self, leg: Leg, status: int, reason: str, now: float) -> None:
        """The agent does not hear the whisper."""
        if leg is self.target and self._asked:
            self._asked = False
            self.offered = self.call.caller.offer_of()
            announcement = self._announcement
            if announcement is not None:
                announcement.stop(now)
            self._announcement = None
            self._join(now)
        else:
            super().offer_refused(leg, status, reason, now)

    def announcement_over(self, now: float) -> None:
        """The whisper has been played, or will not be."""
        self._announcement = None
        self._join(now)

    def _join(self, now: float) -> None:
        """Now the caller, once the whisper is over and the agent owes no answer."""
        if self._announcement is None and not self._asked and self.state == WHISPERING:
            # The agent's offer is still to be answered where the whisper did not.
            self.apply(WHISPER_OVER if self.offered else WHISPER_USELESS, now)

    def adopted(self, now: float) -> None:
        """Agent and caller talk: the greeting is played."""
        super().adopted(now)
        call = self.call
        if not self.greeting or call.state == "ended":
            return
        try:
            body = SessionDescription.parse(self.target.offer_of()).with_direction("recvonly")
        except PeerError as error:
            call.log(now, "no_greeting", str(error))
            call.server.statistics.announced(whisper=False, played=False)
            return
        number = call.server.config.services.greeting
        call.greeting = Announcement(call, GREETING, number, self.greeting, None)
        call.greeting.begin(body.to_bytes(), now)

    def failed(self, now: float) -> None:
        """The agent has left."""
        self._quiet(now)
        super().failed(now)

    def abandon(self, now: float) -> None:
        """The call ends: so does the whisper."""
        super().abandon(now)
        self._quiet(now)

    def _quiet(self, now: float) -> None:
        announcement, self._announcement = self._announcement, None
        if announcement is not None:
            announcement.stop(now)


def agent_connection(call: "Call", leg: Leg, uri: str, ring_no_answer: float) -> Connection:
    """A connection to `leg`; where that is an agent's, with what is to be announced there.

    The agent's own announcements come before those of the skill group. None for a label
    that no queue has chosen: CVP knows no whisper at a label node [SDG-FEAT].
    """
    if leg.agent is not None:
        icm = call.server.config.icm
        agent = icm.agents.get(leg.agent)
        group = icm.skill_groups.get(call.icm_skill_group)
        whisper = (agent and agent.whisper) or (group and group.whisper) or ""
        greeting = (agent and agent.greeting) or (group and group.greeting) or ""
        if whisper or greeting:
            return AgentConnection(call, leg, uri, ring_no_answer, whisper, greeting)
    return Connection(call, leg, uri, ring_no_answer)
