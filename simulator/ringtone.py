"""The ringtone service: what an answered caller hears until the agent answers [TN178].

The VRU has been released; the gateway's ringtone number is joined to the caller, then the
agent is called. The agent's 200 ends the ringtone leg, and the caller is asked again.
"""

from typing import TYPE_CHECKING, Final

from simulator.connection import Connection
from simulator.joining import TARGET_AGREED
from simulator.leg import RINGTONE, Leg
from sip.grammar import header_line

if TYPE_CHECKING:
    from simulator.call import Call

PATIENCE: Final = 5.0
"""Seconds that the ringtone service has for its answer; the agent is not kept waiting longer."""


class Ringtone(Connection):
    """The caller is joined to the ringtone service; `after` that the agent is called."""

    __slots__ = ("after",)

    def __init__(self, call: "Call", number: str, uri: str, after: Connection, now: float) -> None:
        super().__init__(call, Leg(call, RINGTONE, number, now), uri, PATIENCE)
        self.after = after

    def adopted(self, now: float) -> None:
        """The caller hears it; the call is no further than it was."""
        call = self.call
        call.peer = self.target
        call.log(now, "ringtone", self.destination)

    def done(self, now: float) -> None:
        """Now the agent."""
        call = self.call
        if call.work is self:
            after = self.after
            call.work = after
            after.old = call.peer
            after.start(now)

    def failed(self, now: float) -> None:
        """Then the agent without it."""
        self.call.log(now, "no_ringtone", f"{self.destination}: SIP {self.status} {self.reason}")
        self.done(now)

    def leg_over(self, leg: Leg, now: float) -> None:
        """It is gone before it was asked to the end: that is no reason to wait."""
        if leg is self.target:
            self.apply(TARGET_AGREED, now)

    def give_up(self, now: float) -> None:
        """A transfer comes first; where the caller hears the ringtone, it does so still."""
        super().give_up(now)
        self.after.target.release_agent(now)

    def abandon(self, now: float) -> None:
        """The call ends, or goes elsewhere: the agent is not called any more."""
        super().abandon(now)
        self.after.target.release_agent(now)


def lead_in(work: Connection, number: str, file: str, now: float) -> Connection:
    """What comes first: the ringtone service, or `work` itself where there is no need or way.

    How CVP tells its gateway which file to play is not known; here it is a header field.
    """
    call = work.call
    peer = call.peer
    if not number or not call.caller.up or (peer is not None and peer.kind == RINGTONE):
        return work
    uri = call.server.way_to_service(call, "ringtone", number, now)
    if uri is None:
        return work
    ringtone = Ringtone(call, number, uri, work, now)
    if file:
        ringtone.target.lines = header_line("X-Announcement", file)
    return ringtone
