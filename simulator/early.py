"""Offers in a callee's reliable provisional responses (RFC 3262 section 5).

They come where the target was called without an offer. The PRACK has to answer them, long
before the caller's ACK would.
"""

from typing import TYPE_CHECKING

from simulator.leg import Leg
from sip.errors import PeerError
from sip.message import Request, Response
from sip.sdp import SessionDescription
from sip.usage.reliable import OPTION

if TYPE_CHECKING:
    from simulator.connection import Connection


class EarlyOffers:
    """The offers of the target of `work`, one for each of its early dialogs.

    The first goes to a caller that can answer it by PRACK. Others are answered here: no
    media until the call is answered and the target is asked again.
    """

    __slots__ = ("_passed_on", "_silent", "_work")

    def __init__(self, work: "Connection") -> None:
        self._work = work
        self._passed_on: Response | None = None
        self._silent: set[str | None] = set()  # the tags of those answered here

    @property
    def passed_on(self) -> bool:
        """Whether the caller has been offered one: its 200 holds no other."""
        return self._passed_on is not None

    @property
    def silent(self) -> bool:
        """Whether the target, in the dialog it answered in, has no media yet."""
        return self._work.target.session.dialog.remote_tag in self._silent

    def take(self, response: Response, now: float) -> bool:
        """A new one; False when the target cannot be used."""
        if self._passed_on is None and _can_answer(self._work.call.caller):
            self._passed_on = response
            return True
        return self._silence(response, now)

    def pracked(self, request: Request, now: float) -> None:
        """The caller's PRACK goes on, with its answer."""
        response = self._passed_on
        target = self._work.target
        if response is None or not target.session.owes_prack(response):
            return
        if request.sdp:
            target.session.prack(now, response, target.describe(request.sdp))
        else:
            self._silence(response, now)

    def _silence(self, response: Response, now: float) -> bool:
        work = self._work
        target = work.target
        try:
            own = work.call.server.own_media(target, response.sdp)
            answer = SessionDescription.parse(own).with_direction("inactive").to_bytes()
        except PeerError as error:
            work.target_unusable(f"the callee's offer: {error.reason}", now)
            return False
        self._silent.add(response.to_tag)
        target.session.prack(now, response, target.describe(answer))
        if work.call.caller.answered:
            work.offered = answer  # to compare with what the caller will say
        return True


def _can_answer(caller: Leg) -> bool:
    """Whether an offer can go to the caller, not answered yet, in a reliable response."""
    invite = caller.session.server_invite
    if caller.answered or invite is None or invite.request.body:
        return False
    return any(invite.request.has_option(key, OPTION) for key in ("require", "supported"))
