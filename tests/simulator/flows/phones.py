"""Far ends that tests drive: phones on the virtual network, and what they do by themselves."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sip.errors import SipError
from sip.events import (
    Acknowledged,
    Answered,
    Cancelled,
    Closed,
    Event,
    Hungup,
    Invited,
    Lost,
    PeerOddity,
    Pracked,
    Progressed,
    ReferProgressed,
    Referred,
    RefreshDue,
    Refused,
    Reinvited,
    Requested,
    Responded,
)
from sip.message import Request, Response
from sip.sdp import MIRRORED, Direction, SessionDescription
from sip.usage.invite import InviteSession
from sip.usage.refer import ReceivedRefer, SentRefer
from sip.usage.session import SDP
from tests.support.network import Network


@dataclass(frozen=True)
class Manner:
    """What a phone does by itself; times in seconds, None is never."""

    ring: float | None = None  # after the INVITE
    answer: float | None = 0.0
    refuse: int = 0  # in place of an answer, at the same time
    acknowledge: bool = True
    reinvite: int = 200  # the answer to a re-INVITE; 0: none
    think: float = 0.0  # before that answer
    update: int = 200
    info: int = 200  # 0: none
    early: bool = False  # it rings with a description, reliably where it may
    prack: bool = True  # whether an offer in a reliable response is answered
    bye: bool = True  # whether BYE is answered
    lines: str = ""  # header lines of its 200


SILENT = Manner(answer=None)
RINGS = Manner(ring=0.0, answer=None)


class Media:
    """The session description of one line; a change raises its version."""

    def __init__(self, host: str, number: int) -> None:
        self.host = host
        self.number = number
        self.version = 0
        self.port = 2 * number
        self._last = ""

    def body(self, direction: Direction = "sendrecv") -> bytes:
        """Our description."""
        rest = (
            f"s=-\r\nc=IN IP4 {self.host}\r\nt=0 0\r\nm=audio {self.port} RTP/AVP 0\r\n"
            f"a=rtpmap:0 PCMU/8000\r\na={direction}\r\n"
        )
        if rest != self._last:
            self.version += 1
            self._last = rest
        return f"v=0\r\no=- {self.number} {self.version} IN IP4 {self.host}\r\n{rest}".encode()

    def answer(self, offer: bytes) -> bytes:
        """Our answer to an offer."""
        return self.body(MIRRORED[direction_of(offer)])


def direction_of(body: bytes) -> Direction:
    """The direction of the first stream."""
    return SessionDescription.parse(body).media[0].direction


def origin_of(body: bytes) -> tuple[str, int, int]:
    """Whose description it is: the address in c=, and id and version in o=."""
    description = SessionDescription.parse(body)
    origin = description.origin
    return (description.connection or "", origin.sess_id, origin.sess_version)


class Line:
    """One call of a phone: `heard` are its events, `received` the last description."""

    def __init__(self, phone: "Phone", session: InviteSession, manner: Manner) -> None:
        self.phone = phone
        self.session = session
        self.manner = manner
        self.media = phone.new_media()
        self.heard: list[str] = []
        self.requests: list[Request] = []
        self.responses: list[Response] = []
        self.received = b""
        self.refer: ReceivedRefer | None = None
        self.news: list[int] = []  # of the REFER that we sent: the codes, in order
        self.transaction: Requested | None = None
        session.user = self

    def __repr__(self) -> str:
        return f"<Line of {self.phone.name} {self.heard}>"

    @property
    def now(self) -> float:
        return self.phone.network.now

    @property
    def invite(self) -> Request:
        """The INVITE that came."""
        return self.requests[0]

    @property
    def statuses(self) -> list[int]:
        """The responses that came."""
        return [response.status for response in self.responses]

    # Verbs; each sends at once.

    def ring(self, status: int = 180, body: bytes = b"", *, reliable: bool = False) -> None:
        self.session.ring(self.now, status, body, reliable=reliable)
        self.phone.network.pump()

    def ring_early(self) -> None:
        """183 with a description, reliably where the caller supports that."""
        self.ring(183, self._description(), reliable=True)

    def _description(self) -> bytes:
        invite = self.session.server_invite
        offer = invite.request.body if invite is not None else b""
        return self.media.answer(offer) if offer else self.media.body()

    def answer(self, body: bytes | None = None, lines: str = "") -> None:
        """200; the body answers the offer, or is one."""
        if body is None:
            body = self._description()
        self.session.answer(self.now, body, lines or self.manner.lines)
        self.phone.network.pump()

    def prack(self, response: Response, body: bytes = b"") -> None:
        """PRACK to a reliable response that waits for it."""
        self.session.prack(self.now, response, body, context=self)
        self.phone.network.pump()

    def refuse(self, status: int) -> None:
        self.session.reject(self.now, status)
        self.phone.network.pump()

    def cancel(self, lines: str = "") -> None:
        self.session.cancel(self.now, lines)
        self.phone.network.pump()

    def acknowledge(self) -> None:
        """ACK to the last 200; it answers the offer in it if our INVITE had none."""
        offer = b"" if self.offered else self.received
        if self.responses and not self.responses[-1].body:
            offer = b""  # it has been answered by PRACK
        answer = self.media.answer(offer) if offer else b""
        self.session.acknowledge(self.now, answer)
        self.phone.network.pump()

    def offer(self, direction: Direction = "sendrecv") -> None:
        """A re-INVITE."""
        self._offer(self.media.body(direction))

    def offer_nothing(self) -> None:
        """A re-INVITE without a description."""
        self._offer(b"")

    def _offer(self, body: bytes) -> None:
        self.offered = body
        self.session.reinvite(self.now, body)
        self.phone.network.pump()

    def hang_up(self, lines: str = "") -> None:
        self.session.bye(self.now, lines)
        self.phone.network.pump()

    def drop(self) -> None:
        """BYE without waiting for the ACK of our 200, as not all phones do."""
        self.session._stop_2xx()
        self.hang_up()

    def request(self, method: str, body: bytes = b"", kind: str = SDP, lines: str = "") -> None:
        if method == "UPDATE":
            self.session.update(self.now, body, lines, context=self)
        else:
            self.session.request(self.now, method, lines, body, kind)
        self.phone.network.pump()

    def transfer(self, uri: str, lines: str = "", *, subscribe: bool = True) -> SentRefer:
        """REFER: the other end is to call `uri`."""
        refer = self.session.refer(self.now, uri, lines, subscribe=subscribe)
        self.phone.network.pump()
        return refer

    def notify(self, status: int) -> None:
        assert self.refer is not None
        self.refer.notify(self.now, status)
        self.phone.network.pump()

    def accept_refer(self) -> None:
        """202, and NOTIFY with 100."""
        assert self.refer is not None
        self.refer.accept(self.now)
        self.phone.network.pump()

    def give_up_refer(self) -> None:
        """The last word on a REFER, if there is one: it failed."""
        if self.refer is not None:
            self.notify(503)

    def refuse_refer(self, status: int) -> None:
        assert self.refer is not None
        self.refer.reject(self.now, status)
        self.phone.network.pump()

    offered = b""


class Phone:
    """A far end at one address; `manner` is how it takes calls, `manners` that by number."""

    def __init__(self, network: Network, name: str, manner: Manner) -> None:
        self.network = network
        self.name = name
        self.party = network.add(name)
        self.host = self.party.listener.host
        self.manner = manner
        self.manners: dict[str, Manner] = {}
        self.lines: list[Line] = []
        self.party.handler = self._handle

    @property
    def uri(self) -> str:
        return f"sip:{self.party.listener.sent_by('')}"

    @property
    def line(self) -> Line:
        """The last call."""
        return self.lines[-1]

    def new_media(self) -> Media:
        """The media of a call to come."""
        return Media(self.host, 1000 + len(self.lines))

    def behaves(self, **changes: object) -> None:
        """Change the manner for calls to come."""
        self.manner = replace(self.manner, **changes)  # type: ignore[arg-type]

    def dial(
        self, uri: str, number: str, *, offer: bool = True, lines: str = "", call_id: str = ""
    ) -> Line:
        """Call `uri`."""
        media = self.new_media()
        body = media.body() if offer else b""
        session = self.party.endpoint.invite(
            self.network.now,
            uri,
            from_=f'"Caller" <sip:{number}@example.com>',
            to=f"<{uri}>",
            contact_user=number,
            body=body,
            lines=lines,
            call_id=call_id,
        )
        line = Line(self, session, self.manner)
        line.media = media
        line.offered = body
        self.lines.append(line)
        self.network.pump()
        return line

    def vanish(self) -> None:
        """The host dies: nothing is heard of it any more."""
        endpoint = self.party.endpoint
        for table in (endpoint.clients, endpoint.servers, endpoint.merged, endpoint.sessions):
            table.clear()
        self.party.dead = True

    def later(self, delay: float, action: Callable[[], object]) -> None:
        """Do something in `delay` seconds, if it is still possible then."""

        def attempt() -> None:
            try:
                action()
            except SipError:
                return

        if delay == 0.0:
            attempt()
        else:
            self.network.at(self.network.now + delay, attempt)

    # Events.

    def _handle(self, event: Event | Responded, now: float) -> None:
        self.party.events.clear()
        session = event.session
        assert session is not None
        if isinstance(event, Invited):
            assert isinstance(session, InviteSession)
            number = event.request.uri.removeprefix("sip:").partition("@")[0]
            self.lines.append(Line(self, session, self.manners.get(number, self.manner)))
        line = session.user
        if not isinstance(line, Line):
            return
        line.heard.append(type(event).__name__)
        message = getattr(event, "request", None) or getattr(event, "response", None)
        if isinstance(message, Request):
            line.requests.append(message)
        elif isinstance(message, Response):
            line.responses.append(message)
        if message is not None and message.body and message.content_type == SDP:
            line.received = message.body
        self._react(line, event, now)

    def _react(self, line: Line, event: Event | Responded, now: float) -> None:
        if isinstance(event, Invited):
            self._take_call(line)
        elif isinstance(event, Answered):
            if line.manner.acknowledge:
                line.acknowledge()
        elif isinstance(event, Progressed):
            if line.manner.prack and line.session.owes_prack(event.response):
                line.prack(event.response, line.media.answer(event.response.sdp))
        elif isinstance(event, Reinvited):
            self._take_offer(line)
        elif isinstance(event, Requested):
            self._take_request(line, event, now)
        elif isinstance(event, RefreshDue):
            line.offer()
        elif isinstance(event, Referred):
            line.refer = event.refer
        elif isinstance(event, ReferProgressed):
            line.news.append(event.status)
        elif isinstance(event, Hungup):
            if line.manner.bye:
                line.session.confirm_bye(now)
        else:
            known = Acknowledged | Cancelled | Closed | Lost | Pracked | Refused | Responded
            assert isinstance(event, known | PeerOddity)

    def _take_call(self, line: Line) -> None:
        manner = line.manner
        if manner.ring is not None:
            self.later(manner.ring, line.ring_early if manner.early else line.ring)
        if manner.answer is not None:
            status = manner.refuse
            self.later(manner.answer, lambda: line.refuse(status) if status else line.answer())

    def _take_offer(self, line: Line) -> None:
        status = line.manner.reinvite
        if status == 200:
            self.later(line.manner.think, line.answer)
        elif status:
            self.later(line.manner.think, lambda: line.refuse(status))

    def _take_request(self, line: Line, event: Requested, now: float) -> None:
        line.transaction = event
        manner = line.manner
        status = {"UPDATE": manner.update, "INFO": manner.info}.get(event.request.method, 200)
        if not status:
            return
        body = b""
        lines = ""
        if status == 200 and event.request.body and event.request.content_type == SDP:
            body = line.media.answer(event.request.body)
            lines = f"Content-Type: {SDP}\r\n"
        session = line.session
        ours = session.agreement(event.request, now) if status < 300 else session.contact
        event.transaction.respond(status, now, ours + lines, body)
