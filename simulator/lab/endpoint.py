"""What the lab endpoints share: a SIP stack on a UDP port of its own, and its live calls."""

import asyncio
import contextlib
import logging
from collections import deque
from typing import ClassVar, Final

from simulator.lab.call import LabCall, Watched
from simulator.lab.media import MediaSink, Negotiation
from sip.aio.stack import SipStack
from sip.errors import InvalidState
from sip.events import Event, Invited, Responded
from sip.grammar import escape_user, format_host_port
from sip.timers import Timers
from sip.uri import OtherUri, parse_uri
from sip.usage.invite import InviteSession
from sip.usage.refer import ReceivedRefer
from sip.usage.reliable import OPTION

log = logging.getLogger(__name__)

_REMEMBERED: Final = 100
_GRACE: Final = 0.5


class LabEndpoint(Watched):
    """A user agent on a UDP port; it answers every call unless a subclass says otherwise.

    Made in a running event loop; port 0 takes any free one. Raises OSError when the port
    is taken. `ended` remembers the calls that ended last. An endpoint changes (see
    `until`) whenever one of its calls does. `reliable`: it rings reliably (RFC 3262) for
    callers that support that.
    """

    user_agent: ClassVar[str] = "Callsim-Lab"

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, *, timers: Timers | None = None
    ) -> None:
        super().__init__()
        self.stack = SipStack(timers, self.user_agent, self._handle)
        self.listener = self.stack.listen_udp(host, port)
        self.stack.endpoint.support(OPTION)
        self.stack.endpoint.tell(self.stack.endpoint.user_agent_line)
        try:
            self.sink = MediaSink(host)
        except OSError:
            self.stack.close()
            raise
        self.reliable = False
        self.ended: deque[LabCall] = deque(maxlen=_REMEMBERED)
        self._calls: dict[str, LabCall] = {}

    @property
    def host(self) -> str:
        """The address that it is reached at from this machine."""
        return self.listener.local_host("127.0.0.1")

    @property
    def port(self) -> int:
        """The port that it is bound to."""
        return self.listener.port

    @property
    def uri(self) -> str:
        """Where it is reached: ``sip:HOST:PORT``."""
        return f"sip:{format_host_port(self.host, self.port)}"

    @property
    def calls(self) -> list[LabCall]:
        """The live calls, oldest first."""
        return list(self._calls.values())

    def find(self, call_id: str) -> LabCall | None:
        """The live call with this Call-ID."""
        return next((call for call in self.calls if call.call_id == call_id), None)

    async def close(self, grace: float = _GRACE) -> None:
        """Hang up, wait at most `grace` seconds for the answers, and close the sockets."""
        try:
            for call in self.calls:
                call.hang_up()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.until(lambda: not self._calls), grace)
        finally:
            self.stack.close()
            self.sink.close()

    # What a subclass decides.

    def invited(self, call: LabCall, now: float) -> None:
        """A call has come in, and its offer is acceptable: ring, answer or reject it."""
        call.answer()

    def call_established(self, call: LabCall, now: float) -> None:
        """A call has been answered and acknowledged."""

    def referred(self, call: LabCall, refer: ReceivedRefer, now: float) -> None:
        """The peer asks us to call somebody else."""
        refer.reject(now, 603)

    def call_ended(self, call: LabCall) -> None:
        """A call is over."""
        self._calls.pop(call.session.local_tag, None)
        self.ended.append(call)
        self.changed()

    def new_call(self, session: InviteSession, number: str, negotiation: Negotiation) -> LabCall:
        """Make the object for a call."""
        return LabCall(self, session, number, negotiation)

    # What the calls and subclasses use.

    def new_negotiation(self, remote: str, port: int = 0) -> Negotiation:
        """The media side of a new session with the host `remote`, at an RTP port of its own."""
        address = self.listener.local_host(remote)
        session_id = self.stack.endpoint.ids.below(2**31)
        return Negotiation(address, port or self.sink.port, session_id)

    def add(self, call: LabCall) -> None:
        """A call begins."""
        call.session.belong_to(call)
        self._calls[call.session.local_tag] = call
        self.changed()

    # Events.

    def _handle(self, event: Event | Responded, now: float) -> None:
        session = event.session
        if session is None:
            return
        try:
            if isinstance(event, Invited):
                self._invited(event, now)
            elif isinstance(event, Responded):
                if isinstance(event.context, asyncio.Future) and not event.context.done():
                    event.context.set_result(event.status)
            elif isinstance(session.user, LabCall):
                session.user.handle(event, now)
        except InvalidState as error:
            # The session has gone on: what ended it is among the next events.
            log.debug("%s: %s", type(event).__name__, error)
        self.changed()

    def _invited(self, event: Invited, now: float) -> None:
        session = event.session
        uri = parse_uri(event.request.uri)
        number = "" if isinstance(uri, OtherUri) else uri.number
        remote = session.remote_address[0]
        session.contact = self.stack.endpoint.contact_line(
            self.listener, remote, escape_user(number)
        )
        call = self.new_call(session, number, self.new_negotiation(remote))
        self.add(call)
        if call.prepare(event.request):
            self.invited(call, now)
