"""A call that is over: its memory is free at once, and what still comes is answered.

Call, legs and sessions refer to one another. Parted by hand they need no garbage
collection, which would stop all other calls while it looks for them.
"""

from typing import TYPE_CHECKING

from simulator.audit import AuditCheck
from simulator.bridge import RequestRelay
from sip.events import Event, Hungup, Referred, Requested, Responded
from sip.usage.session import TERMINATED

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.server import CallServer
    from sip.usage.invite import InviteSession


class Ending:
    """A call whose CDR is on its way: the BYE of `session` is answered after it."""

    __slots__ = ("_guid", "_server", "_session")

    def __init__(self, server: "CallServer", guid: str, session: "InviteSession | None") -> None:
        self._server = server
        self._guid = guid
        self._session = session

    def stored(self) -> None:
        """The CDR is on disk."""
        self._server.stored(self._guid)
        if self._session is not None:
            self._session.confirm_bye(self._server.stack.now())


def let_go(call: "Call") -> None:
    """Part an ended call from its legs, once nothing is left of any of its sessions."""
    for leg in call.legs:
        if leg.call is call and (leg.session.state != TERMINATED or leg.session.shared):
            return
    server = call.server
    if server.dialogs.watched:  # a watcher is told of the legs a little later
        return
    for leg in call.legs:
        if leg.call is call:
            leg.session.user = None
            leg.owner = None
            leg.call = server.nobody
    if call.ivr is not None:
        call.ivr.call = server.nobody
        call.ivr.leg = None
        call.ivr.untaken = (None, 0, 0, 0)


def late(event: Event | Responded, now: float) -> None:
    """An event that was under way meanwhile."""
    if isinstance(event, Hungup):
        event.session.confirm_bye(now)
    elif isinstance(event, Requested):
        event.transaction.respond(481, now)
    elif isinstance(event, Referred):
        event.refer.reject(now, 481)
    elif isinstance(event, Responded) and isinstance(event.context, RequestRelay | AuditCheck):
        event.context.responded(event, now)
