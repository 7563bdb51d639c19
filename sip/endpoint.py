"""The sans-IO endpoint: octets in, octets and events out; no socket, no clock.

The shell calls `receive_datagram`, `handle_timers` and ``locator.answered``; then it
sends what is in `outbox`, asks the DNS what is in ``locator.queries``, hands the `events`
to the program and sleeps until `next_time`. The program calls `invite`, `options` and the
verbs of its sessions. Every call carries ``now``, the time in seconds.
"""

from typing import Final

from sip.dialog import Dialog, is_sips, route_uri
from sip.door import Door
from sip.errors import ParseError, PeerError, Unanswered
from sip.events import Event, Responded
from sip.grammar import check_header
from sip.ids import IdSource
from sip.inspection import check_content, check_extensions, check_lines
from sip.message import Request, Response, build_request, parse, reason_phrase
from sip.stream import FramingError
from sip.timers import Timers
from sip.traffic import ACK, OTHER
from sip.transaction.client import ClientTransaction
from sip.transaction.layer import Transactions, server_key
from sip.transaction.machine import (
    ACCEPTED,
    PROCEEDING,
    RECEIVE_ACK,
    RECEIVE_REQUEST,
    TIMER_EXPIRES,
)
from sip.transaction.server import (
    InviteServerTransaction,
    NonInviteServerTransaction,
    Service,
)
from sip.transport import Address, Listener
from sip.uri import PLAIN_SIP_URI, OtherUri, parse_uri
from sip.usage.again import Amend, omit_extensions, send_again
from sip.usage.cancel import receive_cancel
from sip.usage.guard import Guard
from sip.usage.invite import InviteSession
from sip.usage.late import await_late
from sip.usage.oddity import inspect_invite, inspect_request
from sip.usage.refusal import ACCEPT, no_dialog, refuse, refuse_once
from sip.usage.screen import Screen
from sip.usage.session import SDP, Session
from sip.usage.session_timer import SessionTimers

METHODS: Final = (
    "INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "PRACK", "UPDATE", "REFER", "NOTIFY",
)  # fmt: skip
"""What every endpoint serves; `Endpoint.serve` adds others."""

_NOT_SERVED: Final = frozenset(("REGISTER", "SUBSCRIBE", "PUBLISH", "MESSAGE"))


class Endpoint(Transactions):
    """Transactions, dialogs and sessions of one user agent.

    `sessions` is the dialog table, keyed by the local tag; `owned` are those of them that
    belong to an object of the program, in the order in which they came to. `service_status` answers
    OPTIONS: 200 in service, 503 otherwise. `extensions` are the option tags that
    Require may name, see `support`; `services` serve methods outside of dialogs, see
    `serve`; `amendments` say by status how a refused request is sent again. `screen` says who
    may send requests outside of dialogs, and how many, `guard` asks who sent one; the `door`
    refuses new calls; `session_timers` is what is wanted of RFC 4028. But for the door they
    may be None.
    """

    __slots__ = (
        "_further_lines", "allow_line", "amendments", "capability_lines", "door", "events",
        "extensions", "guard", "methods", "owned", "screen", "service_status", "services",
        "session_timers", "sessions", "supported_line", "user_agent_line",
    )  # fmt: skip

    def __init__(
        self,
        listeners: list[Listener],
        ids: IdSource,
        timers: Timers | None = None,
        user_agent: str = "",
    ) -> None:
        super().__init__(listeners, ids, timers)
        self.events: list[Event | Responded] = []
        self.sessions: dict[str, Session] = {}
        self.owned: dict[str, Session] = {}
        self.services: dict[str, Service] = {}
        self.amendments: dict[int, Amend] = {420: omit_extensions}
        self.screen: Screen | None = None
        self.guard: Guard | None = None
        self.door = Door(self)
        self.service_status = 200
        self.methods: tuple[str, ...] = METHODS
        self.extensions: tuple[str, ...] = ()
        self.session_timers: SessionTimers | None = None
        self.user_agent_line = f"User-Agent: {user_agent}\r\n" if user_agent else ""
        self.allow_line = self.supported_line = self.capability_lines = ""
        self._further_lines = ""
        self._describe()

    def serve(self, method: str, service: Service | None = None) -> None:
        """Serve a further method, in dialogs, and outside of them by `service`."""
        if method not in self.methods:
            self.methods = (*self.methods, method)
        if service is not None:
            self.services[method] = service
        self._describe()

    def support(self, option_tag: str) -> None:
        """Understand an extension: Require may name it, Supported says so."""
        if option_tag not in self.extensions:
            self.extensions = tuple(sorted((*self.extensions, option_tag)))
        self._describe()

    def tell(self, lines: str) -> None:
        """Have INVITE and its 200 say more of us: header lines ended by CRLF."""
        self._further_lines += lines
        self._describe()

    def _describe(self) -> None:
        """Write the lines that INVITE, its 200 and OPTIONS tell of us."""
        self.allow_line = f"Allow: {', '.join(self.methods)}\r\n"
        tags = ", ".join(self.extensions)
        self.supported_line = f"Supported: {tags}\r\n" if tags else ""
        self.capability_lines = self.allow_line + self.supported_line + self._further_lines

    # What the shell calls.

    def receive_datagram(
        self, data: bytes, address: Address, listener: Listener, now: float, admitted: bool = False
    ) -> None:
        """Take a datagram, `admitted` by the door or not yet; a fault is answered or dropped."""
        if not admitted and self.door.alert and self.door.settles(data, address, listener, now):
            return
        try:
            message = parse(data)
            if isinstance(message, Response):
                self.receive_response(message, now)
                return
        except PeerError:
            self.discarded += 1  # not SIP (keep-alives, scans), or a faulty response
            if data.strip(b"\r\n\0 "):
                self.traffic.unreadable += 1
            return
        self._receive(message, address, listener, now)

    def _receive(self, message: Request, address: Address, listener: Listener, now: float) -> None:
        try:
            if message.defect is not None:
                self.traffic.got(message.method)
                if self.screen is not None:
                    self.screen.admit(message, address, listener, now)
                raise message.defect
            self._receive_request(message, address, listener, now)
        except Unanswered:
            self.discarded += 1
        except PeerError as error:
            if isinstance(error, ParseError):
                self.traffic.malformed += 1
            if not refuse_once(self, message, address, listener, error, now):
                self.refuse(message, address, listener, error.status, error.lines, error.reason)

    def receive_broken(
        self, error: FramingError, address: Address, listener: Listener, now: float
    ) -> None:
        """A header on a stream after which nothing can be read: a request is answered."""
        try:
            message = parse(error.head + b"\r\n")
        except PeerError:
            self.discarded += 1
            self.traffic.unreadable += 1
            return
        if isinstance(message, Request):
            message.defect = error
            self._receive(message, address, listener, now)
        else:
            self.traffic.unreadable += 1

    def handle_timers(self, now: float) -> None:
        """Fire what is due."""
        self.wheel.advance(now)

    def next_time(self) -> float | None:
        """When `handle_timers` wants to be called next."""
        return self.wheel.next_time()

    # What the program calls.

    def invite(
        self,
        now: float,
        uri: str,
        *,
        from_: str,
        to: str,
        call_id: str = "",
        contact_user: str = "",
        body: bytes = b"",
        lines: str = "",
        next_hop: str = "",
        routes: tuple[str, ...] = (),
        max_forwards: int = 70,
        session_expires: int | None = None,
        min_se: int = 0,
    ) -> InviteSession:
        """Call `uri`; `from_` and `to` are name-addrs without tags, as text.

        `routes` are the Route values of the INVITE (section 8.1.2); `next_hop`, a URI,
        overrides where it goes to without one (an outbound proxy).
        `session_expires` asks for a session timer in place of what `session_timers` says,
        0 for none, where the endpoint has session timers at all.
        Raises InvalidValue, and nothing is sent, when the destination cannot be used or
        a text cannot stand in a header line.
        """
        check_lines(uri, from_, to, call_id, contact_user, *routes)
        check_header(lines)
        hop = next_hop or (route_uri(routes[0]) if routes else uri)
        host, listener = self.way_to(hop)
        tag = self.new_tag()
        call_id = call_id or f"{self.ids.hex(32)}@{listener.local_host(host)}"
        dialog = Dialog(call_id, f"{from_};tag={tag}", tag, to, uri)
        dialog.max_forwards = max_forwards
        dialog.routes = routes
        session = InviteSession(self, dialog, listener, outgoing=True)
        secure = is_sips(hop)
        session.contact = self.contact_line(listener, host, contact_user, secure=secure)
        session.first_hop = next_hop
        self.sessions[tag] = session
        if self.session_timers is not None:
            self.session_timers.ask(session, session_expires, min_se)
        session.send_invite(now, body, lines)
        return session

    def options(
        self, now: float, uri: str, *, from_: str, context: object, max_forwards: int = 70
    ) -> None:
        """Ask `uri` for its capabilities; the answer comes as `Responded` with `context`.

        Raises InvalidValue like `invite`.
        """
        check_lines(from_)
        host, listener = self.way_to(uri)
        call_id = f"{self.ids.hex(32)}@{listener.local_host(host)}"
        tag = self.new_tag()

        def make(via: str) -> Request:
            lines = [
                f"Via: {via}",
                f"Max-Forwards: {max_forwards}",
                f"From: {from_};tag={tag}",
                f"To: <{uri}>",
                f"Call-ID: {call_id}",
                "CSeq: 1 OPTIONS",
                f"{self.contact_line(listener, host, '')}{self.user_agent_line}Accept: {SDP}",
            ]
            return build_request("OPTIONS", uri, lines)

        self.start_client_at(uri, "OPTIONS", make, listener, self, now, context)

    def contact_line(
        self, listener: Listener, remote: str, user: str, *, secure: bool = False
    ) -> str:
        """The Contact line for messages to the host `remote`.

        `secure`: a sips: URI, where the listener is one of TLS (section 8.1.1.8); that
        names no transport (RFC 5630 section 3.1.4).
        """
        at = f"{user}@" if user else ""
        if secure and listener.transport == "TLS":
            return f"Contact: <sips:{at}{listener.sent_by(remote)}>\r\n"
        transport = listener.transport.lower()
        return f"Contact: <sip:{at}{listener.sent_by(remote)};transport={transport}>\r\n"

    def new_tag(self) -> str:
        """A tag that no session here has."""
        tag = self.ids.tag()
        while tag in self.sessions:
            tag = self.ids.tag()
        return tag

    # Requests without a session: the user is the endpoint itself.

    def response_received(
        self, transaction: ClientTransaction, response: Response, _now: float
    ) -> None:
        """A response to OPTIONS."""
        if response.status >= 200:
            self.events.append(Responded(None, transaction.context, response.status, response))

    def transaction_failed(self, transaction: ClientTransaction, status: int, _now: float) -> None:
        """No response to OPTIONS."""
        self.events.append(Responded(None, transaction.context, status, None))

    def send_again(self, tx: ClientTransaction, response: Response | None, now: float) -> bool:
        """Whether a refused request goes out again, changed by one of the `amendments`."""
        return send_again(self, tx, response, now)

    def await_late(self, tx: ClientTransaction, now: float) -> None:
        """A server had its time: what it says to an INVITE now is ended."""
        await_late(tx, now)

    def forget(self, session: Session) -> None:
        """A session is over."""
        tag = session.local_tag
        if self.sessions.get(tag) is session:
            del self.sessions[tag]
            self.owned.pop(tag, None)

    # Requests that arrive (section 8.2), in the order the RFC inspects them.

    def _receive_request(
        self, request: Request, address: Address, listener: Listener, now: float
    ) -> None:
        key = server_key(request)
        method = request.method
        transaction = self.servers.get(key)
        if transaction is not None and method != "CANCEL":
            if method != "ACK":
                self.traffic.repeated += 1
                transaction.apply(RECEIVE_REQUEST, now)
                return
            if transaction.state != ACCEPTED:
                self.traffic.received[ACK] += 1
                transaction.apply(RECEIVE_ACK, now)
                return
        traffic = self.traffic
        traffic.received[traffic.rows.get(method, OTHER)] += 1
        to_tag = request.to_tag
        session = self.sessions.get(to_tag) if to_tag is not None else None
        if session is not None:
            dialog = session.dialog
            call_id = request.get("call-id")
            same = dialog.call_id == call_id and dialog.remote_tag == request.from_tag
            if not (same or session.turn_to(request)):
                session = None
        if method == "ACK":
            if session is None or not session.ack_received(request, now):
                self.discarded += 1
            return
        # A CANCEL has no To tag, and yet it belongs to what was let in.
        if session is None and transaction is None and self.screen is not None:
            self.screen.admit(request, address, listener, now)
        if method == "CANCEL":
            receive_cancel(self, request, key, address, listener, now)
        else:
            self._check_method(request)
            check_extensions(request, self.extensions)
            if to_tag is None:
                self._outside_dialog(request, key, address, listener, now)
            elif session is None:
                raise no_dialog(self.sessions.get(to_tag), request)
            else:
                self._inside_dialog(session, request, key, address, listener, now)

    def _check_method(self, request: Request) -> None:
        method = request.method
        if method not in self.methods:
            status = 405 if method in _NOT_SERVED else 501
            raise PeerError(reason_phrase(status), status)

    def _inside_dialog(
        self,
        session: Session,
        request: Request,
        key: str,
        address: Address,
        listener: Listener,
        now: float,
    ) -> None:
        number, method = request.cseq
        if method == "INVITE":
            check_content(request)
        dialog = session.dialog
        if number <= dialog.remote_cseq:
            raise PeerError("CSeq is not above the last one", 500)  # section 12.2.2
        if self.guard is not None and not session.outgoing:
            self.guard.check(request, address, listener, now)
        dialog.remote_cseq = dialog.last_cseq = number
        made = InviteServerTransaction if method == "INVITE" else NonInviteServerTransaction
        transaction = made(self, key, listener, address, request, None)
        self.servers[key] = transaction
        if method == "OPTIONS":
            transaction.respond(200, now, self._capabilities())
        else:
            inspect_request(session, request)
            session.request_received(transaction, request, now)

    def _outside_dialog(
        self, request: Request, key: str, address: Address, listener: Listener, now: float
    ) -> None:
        merge_key = f"{request.call_id} {request.from_tag} {request.get('cseq')}"
        if merge_key in self.merged:
            raise PeerError(reason_phrase(482), 482)  # section 8.2.2.2
        if self.guard is not None:
            self.guard.check(request, address, listener, now)
        uri = request.uri
        if not PLAIN_SIP_URI.fullmatch(uri) and isinstance(parse_uri(uri), OtherUri):
            raise PeerError(reason_phrase(416), 416)
        method = request.method
        if method == "INVITE":
            check_content(request)
            tag = self.new_tag()
            dialog = Dialog.from_request(request, tag)
            transaction = InviteServerTransaction(
                self, key, listener, address, request, tag, merge_key
            )
            self.servers[key] = self.merged[merge_key] = transaction
            session = InviteSession(self, dialog, listener, outgoing=False)
            self.sessions[tag] = session
            secure = is_sips(uri)  # section 12.1.1
            session.contact = self.contact_line(listener, address[0], "", secure=secure)
            session.invited(transaction, request, now)
            inspect_invite(session, transaction, request)
            expires = request.get("expires") or ""
            if transaction.state == PROCEEDING and expires.isascii() and expires.isdigit():
                # Section 13.3.1: no answer in that time is as good as CANCEL.
                transaction.start_lifetime(now, int(expires[:6]), TIMER_EXPIRES)
        elif method == "OPTIONS":
            # Our 200 has no body, so any Accept will do (sipsak's is text/plain).
            status = self.service_status
            self.refuse(request, address, listener, status, self._capabilities())
        elif (service := self.services.get(method)) is not None:
            tag = self.new_tag()
            served = NonInviteServerTransaction(
                self, key, listener, address, request, tag, merge_key
            )
            self.servers[key] = self.merged[merge_key] = served
            service.request_received(served, request, now)
        elif method == "REFER":
            raise PeerError("REFER is served inside a dialog", 403)
        else:
            raise PeerError(reason_phrase(481), 481)

    def _capabilities(self) -> str:
        supported = self.supported_line or "Supported: \r\n"
        return f"{self.allow_line}{ACCEPT}{supported}{self.user_agent_line}"

    def refuse(
        self,
        request: Request,
        address: Address,
        listener: Listener,
        status: int,
        lines: str = "",
        reason: str = "",
        tag: str | None = None,
    ) -> None:
        """Answer without a transaction, see `sip.usage.refusal.refuse`."""
        refuse(self, request, address, listener, status, lines, reason, tag)
