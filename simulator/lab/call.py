"""One live call of a lab endpoint, and how to wait for what happens to it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from simulator.lab.media import SDP, Negotiation, sdp_of
from sip.errors import InvalidState, PeerError
from sip.events import (
    Acknowledged,
    Answered,
    Cancelled,
    Closed,
    Event,
    Hungup,
    Lost,
    Pracked,
    Progressed,
    ReferProgressed,
    Referred,
    Refused,
    Reinvited,
    Requested,
    RequestEvent,
    ResponseEvent,
)
from sip.message import Request, Response, reason_phrase
from sip.sdp import SessionDescription
from sip.timers import Timer
from sip.usage.invite import InviteSession
from sip.usage.session import CONFIRMED
from sip.values import Reason

if TYPE_CHECKING:
    from simulator.lab.endpoint import LabEndpoint

EndedBy = Literal["us", "peer", "timeout"]

_ANSWER: Final = 0
_HANG_UP: Final = 1


class Watched:
    """Something whose changes can be awaited."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until `condition` holds; it is asked again after every change."""
        loop = asyncio.get_running_loop()
        while not condition():
            waiter = loop.create_future()
            self._waiters.append(waiter)
            await waiter

    def changed(self) -> None:
        """Wake those who wait."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended.

    `status` is 200 after a BYE, 408 or 481 when the peer was lost, otherwise the final
    response to the INVITE. `reason` is the Reason header of the BYE or CANCEL, or a
    reason phrase. `by` says who ended it.
    """

    status: int
    reason: str
    by: EndedBy


class LabCall(Watched):
    """A call, either way; the methods are what a person or a gateway does with it.

    `number` is the dialled user part. `established` is true from the ACK on; `ending` is
    None as long as the call lives. `received` counts what the peer has sent: requests by
    method (``re-INVITE`` is one of its own) and the answers to our INVITEs by status
    (``"180"``); `messages` are the messages themselves. `refuse_reinvites` is a status to
    refuse re-INVITEs with, or 0.
    """

    def __init__(
        self,
        owner: "LabEndpoint",
        session: InviteSession,
        number: str,
        negotiation: Negotiation,
    ) -> None:
        super().__init__()
        self.owner = owner
        self.session = session
        self.number = number
        self.negotiation = negotiation
        self.established = False
        self.ending: Ending | None = None
        self.received: Counter[str] = Counter()
        self.messages: list[Request | Response] = []
        self.refuse_reinvites = 0
        self.answer_lines = ""  # header lines of our 200 to the INVITE
        self._timers: list[Timer] = []
        self.invite_offer: SessionDescription | None = None  # in our INVITE or re-INVITE
        self._answer_offer: SessionDescription | None = None  # in our 200, for ACK to answer
        self._settled = False  # a reliable response had the answer to our INVITE
        self._body = b""  # what our 200 to the INVITE will carry
        self._leaving = False
        self._offer_status = 0  # what became of our last re-INVITE
        self._refer_status: int | None = None  # the last word on our REFER

    def __repr__(self) -> str:
        state = self.ending or ("established" if self.established else "unanswered")
        return f"<{type(self).__name__} {self.number} {self.call_id} {state}>"

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self.session.dialog.call_id

    @property
    def on_hold(self) -> bool:
        """Whether the peer has put us on hold."""
        return self.negotiation.on_hold

    async def answered(self) -> bool:
        """Wait for the answer; False when the call ended without one."""
        await self.until(lambda: self.established or self.ending)
        return self.established

    async def ended(self) -> Ending:
        """Wait for the end and tell how it came."""
        await self.until(lambda: self.ending)
        assert self.ending is not None
        return self.ending

    # What one does with a call; where it no longer makes sense nothing happens.

    def ring(self) -> None:
        """Send 180."""
        if self.session.server_invite is not None and not self.established:
            self.session.ring(self._now(), reliable=self.owner.reliable)
            self._pump()

    def answer(self) -> None:
        """Accept the call."""
        if self.session.server_invite is not None and not self.established:
            self.session.answer(self._now(), self._body, self.answer_lines)
            self._pump()

    def answer_after(self, seconds: float) -> None:
        """Accept the call in a while; at once when `seconds` is 0."""
        self._after(seconds, _ANSWER)

    def reject(self, status: int, lines: str = "") -> None:
        """Refuse the call; `lines` are further header lines, each ended by CRLF."""
        if self.session.server_invite is not None and not self.established:
            self._leaving = True
            self.session.reject(self._now(), status, lines=lines)
            self.finish(Ending(status, reason_phrase(status), "us"))
            self._pump()

    def hang_up(self, cause: int = 16) -> None:
        """End the call: BYE, CANCEL, or 480 to a caller; `cause` is a Q.850 cause."""
        if self.ending is not None or self._leaving:
            return
        session = self.session
        lines = f"Reason: {Reason.q850(cause)}\r\n"
        if session.state == CONFIRMED:
            self._leaving = True
            session.bye(self._now(), lines)
        elif session.client_invite is not None:
            self._leaving = True
            session.cancel(self._now(), lines)
        else:
            self.reject(480)
        self._pump()

    def hang_up_after(self, seconds: float) -> None:
        """End the call in a while; at once when `seconds` is 0."""
        self._after(seconds, _HANG_UP)

    def stay(self) -> None:
        """Take back `answer_after` and `hang_up_after`."""
        for timer in self._timers:
            timer.stop()
        self._timers.clear()

    # These raise InvalidState unless the call is established.

    async def hold(self) -> int:
        """Put the peer on hold by re-INVITE; returns the final response's status."""
        return await self._reoffer(held=True)

    async def resume(self) -> int:
        """Take the peer off hold by re-INVITE; returns the final response's status."""
        return await self._reoffer(held=False)

    async def refer(self, target: str) -> int:
        """Ask the peer to call the URI `target` instead of us.

        Returns the status that the peer reports at last, or refused the REFER with; 0
        when it did not tell.
        """
        self.check_established("refer")
        self._refer_status = None
        self.session.refer(self._now(), target)
        self._pump()
        await self.until(lambda: self._refer_status is not None or self.ending)
        return self._refer_status or 0

    async def _reoffer(self, *, held: bool) -> int:
        self.check_established("hold" if held else "resume")
        was_held = self.negotiation.held
        self.negotiation.held = held
        self._offer_status = 0
        self.invite_offer = self.negotiation.offer()
        self.session.reinvite(self._now(), self.invite_offer.to_bytes())
        self._pump()
        await self.until(lambda: self._offer_status or self.ending)
        if not 200 <= self._offer_status < 300:
            self.negotiation.held = was_held
        return self._offer_status

    def check_established(self, verb: str) -> None:
        """Raises InvalidState unless the call is established."""
        if not self.established or self._leaving or self.ending is not None:
            raise InvalidState(f"{verb}: the call is not established")

    # What the peer does.

    def prepare(self, request: Request) -> bool:
        """Look at the INVITE and its offer; False when it had to be refused."""
        self._note("INVITE", request)
        try:
            self._body = self._description_for(request)
        except PeerError as error:
            self.reject(error.status, _lines_for(error))
            return False
        return True

    def handle(self, event: Event, now: float) -> None:
        """Take an event of the session."""
        self._count(event)
        match event:
            case Progressed(response=response):
                self._progressed(response, now)
            case Answered(response=response):
                self._answered(response, now)
            case Pracked(request=request) if request.body:
                self._body = b""  # our offer in the reliable response is answered
                self._take_answer(request, now)
            case Acknowledged(request=request):
                self._acknowledged(request, now)
            case Refused():
                self._refused(event, now)
            case Reinvited(request=request):
                self._reinvited(request, now)
            case Requested():
                self._requested(event, now)
            case Referred():
                self.owner.referred(self, event.refer, now)
            case ReferProgressed(final=True):
                self._refer_status = event.status
            case Hungup(request=request):
                self.session.confirm_bye(now)
                self.finish(Ending(200, request.get("reason") or "", "peer"))
            case Cancelled(request=request):
                self.finish(Ending(487, request.get("reason") or reason_phrase(487), "peer"))
            case Lost(status=status):
                self.finish(Ending(status, reason_phrase(status), "timeout"))
            case Closed():
                self.finish(Ending(200, "", "us"))
            case _:
                pass
        self.changed()

    def timer_fired(self, what: int, _now: float) -> None:
        """It is time to answer or to hang up."""
        if what == _ANSWER:
            self.answer()
        else:
            self.hang_up()

    def finish(self, ending: Ending) -> None:
        """The call is over; only the first ending counts."""
        if self.ending is None:
            self.ending = ending
            self.stay()
            self.owner.call_ended(self)
            self.changed()

    def _progressed(self, response: Response, now: float) -> None:
        """A reliable response: it has the answer, or the offer that PRACK answers (RFC 3262 5)."""
        if response.get("rseq") is None or not response.body:
            return
        offer, self.invite_offer = self.invite_offer, None
        try:
            if self.session.owes_prack(response):
                self.session.prack(now, response, self.negotiation.answer(sdp_of(response)))
            elif offer is not None:
                self.negotiation.accept(offer, sdp_of(response))
            self._settled = True
        except PeerError as error:
            self._give_up(error, now)

    def _answered(self, response: Response, now: float) -> None:
        """Our INVITE or re-INVITE: the 200 has the answer, or the offer that ACK answers."""
        body = b""
        offer, self.invite_offer = self.invite_offer, None
        settled, self._settled = self._settled, False
        try:
            if settled:
                pass  # the description in the 200, if any, says the same again
            elif offer is not None:
                self.negotiation.accept(offer, sdp_of(response))
            else:
                body = self.negotiation.answer(sdp_of(response))
        except PeerError as error:  # section 13.2.2.4: acknowledged all the same
            self.session.acknowledge(now)
            self._give_up(error, now)
            return
        self.session.acknowledge(now, body)
        self._offer_status = response.status
        self._establish(now)

    def _acknowledged(self, request: Request, now: float) -> None:
        if self._take_answer(request, now):
            self._establish(now)

    def _take_answer(self, request: Request, now: float) -> bool:
        """ACK or PRACK may answer an offer of ours; False when that ends the call."""
        offer, self._answer_offer = self._answer_offer, None
        if offer is not None:
            try:
                self.negotiation.accept(offer, sdp_of(request))
            except PeerError as error:
                self._give_up(error, now)
                return False
        return True

    def _establish(self, now: float) -> None:
        if not self.established and self.ending is None:
            self.established = True
            self.owner.call_established(self, now)

    def _give_up(self, error: PeerError, now: float) -> None:
        if self.session.state != CONFIRMED:
            self.hang_up()
        elif not self._leaving:
            self._leaving = True
            self.session.bye(now, f"Reason: {Reason('SIP', 488, error.reason)}\r\n")

    def _refused(self, event: Refused, _now: float) -> None:
        self.invite_offer = None
        if self.established:
            self._offer_status = event.status
            return
        by: EndedBy = "us" if self._leaving else "peer" if event.response else "timeout"
        self.finish(Ending(event.status, event.reason, by))

    def _reinvited(self, request: Request, now: float) -> None:
        if self.refuse_reinvites:
            self.session.reject(now, self.refuse_reinvites)
            return
        try:
            body = self._description_for(request)
        except PeerError as error:
            self.session.reject(now, error.status, error.reason, _lines_for(error))
            return
        self.session.answer(now, body)

    def _description_for(self, request: Request) -> bytes:
        offer = sdp_of(request)
        if offer:
            return self.negotiation.answer(offer)
        self._answer_offer = self.negotiation.offer()
        return self._answer_offer.to_bytes()

    def _requested(self, event: Requested, now: float) -> None:
        """An offer in UPDATE or PRACK gets an answer; INFO and the rest a plain 200."""
        respond = event.transaction.respond
        session = self.session
        if event.request.method not in ("UPDATE", "PRACK"):
            respond(self.asked(event.request, now), now)
            return
        try:
            offer = sdp_of(event.request)
            if offer:
                lines = f"{session.contact}Content-Type: {SDP}\r\n"
                respond(200, now, lines, self.negotiation.answer(offer))
            else:
                respond(200, now, session.contact)
        except PeerError as error:
            respond(error.status, now, _lines_for(error), reason=error.reason)

    def asked(self, request: Request, now: float) -> int:
        """The peer's INFO or the like; the status to answer it with."""
        return 200

    # Helpers.

    def _count(self, event: Event) -> None:
        if isinstance(event, Reinvited):
            self._note("re-INVITE", event.request)
        elif isinstance(event, RequestEvent):
            self._note(event.request.method, event.request)
        elif isinstance(event, ResponseEvent):
            self._note(str(event.response.status), event.response)
        elif isinstance(event, Refused) and event.response is not None:
            self._note(str(event.status), event.response)

    def _note(self, name: str, message: Request | Response) -> None:
        self.received[name] += 1
        self.messages.append(message)

    def _after(self, seconds: float, what: int) -> None:
        now = self._now()
        if seconds > 0:
            wheel = self.owner.stack.endpoint.wheel
            self._timers.append(wheel.start(now, seconds, self, what))
            self._pump()
        else:
            self.timer_fired(what, now)

    def _now(self) -> float:
        return self.owner.stack.now()

    def _pump(self) -> None:
        self.owner.stack.pump()


def _lines_for(error: PeerError) -> str:
    """What a refusal must carry besides its status (RFC 3261 section 21.4.13)."""
    return f"Accept: {SDP}\r\n" if error.status == 415 else ""
