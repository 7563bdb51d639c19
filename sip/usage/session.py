"""What every usage of a dialog can do: send requests in it, and refer its peer.

`InviteSession` builds on it; REFER subscriptions live beside it (RFC 5057).
"""

from typing import TYPE_CHECKING, Final

from sip.dialog import Dialog, can_name_transport, contact_user
from sip.errors import InvalidState, ParseError, PeerError
from sip.events import PeerOddity, Referred, Requested
from sip.grammar import check_header
from sip.message import Request, Response
from sip.peer_address import PeerAddress
from sip.transaction.client import ClientTransaction, ClientUser
from sip.transaction.machine import Transaction
from sip.transaction.server import ServerTransaction
from sip.transport import Address, Listener
from sip.usage.oddity import OTHER_TAG
from sip.usage.refer import ReceivedRefer, SentRefer
from sip.usage.subscription import Subscription, event_of, key_of, refreshed
from sip.values import NameAddr

if TYPE_CHECKING:
    from sip.endpoint import Endpoint
    from sip.usage.credentials import Keyring
    from sip.usage.subscriber import SentSubscription

# States of a session.
INITIAL: Final = 0
EARLY: Final = 1
CONFIRMED: Final = 2
TERMINATED: Final = 3
STATE_NAMES: Final = ("initial", "early", "confirmed", "terminated")

SDP: Final = "application/sdp"
OUTLIVES: Final = ("NOTIFY", "SUBSCRIBE")
"""Requests of subscriptions, which may outlive the call on their dialog (RFC 5057)."""


class Session:
    """A dialog in use.

    `user` is what a session belongs to in the program, see `belong_to`. `outgoing`:
    we sent the first request. `remote_address` is where the last message came from or
    went.
    """

    __slots__ = (
        "_leaving",
        "contact",
        "credentials",
        "dialog",
        "endpoint",
        "first_hop",
        "flow",
        "keyring",
        "listener",
        "oddities",
        "outgoing",
        "refers",
        "remote_address",
        "state",
        "subscriptions",
        "user",
        "watches",
    )

    def __init__(
        self, endpoint: "Endpoint", dialog: Dialog, listener: Listener, *, outgoing: bool
    ) -> None:
        self.endpoint = endpoint
        self.dialog = dialog
        self.listener = listener
        self.outgoing = outgoing
        self.user: object = None
        self.state = INITIAL
        self.first_hop = ""  # where the first request goes, if not to the target
        self.contact = ""  # the Contact line we send, with CRLF
        self.remote_address: Address = ("", 0)
        self.flow: Address | None = None  # the far end of the connection it came by, if it did
        self.refers: dict[int, SentRefer] | None = None
        self.keyring: Keyring | None = None  # once the peer or a proxy wanted credentials
        self.credentials = ""  # those of our last INVITE, for its ACK (section 22.1)
        self.subscriptions: dict[str, Subscription] | None = None  # those that we serve
        self.watches: dict[str, SentSubscription] | None = None  # ours
        self.oddities: tuple[str, ...] = ()  # what `note` was told
        self._leaving = False  # it is over, or our BYE is under way

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.dialog.local_tag} {STATE_NAMES[self.state]}>"

    @property
    def local_tag(self) -> str:
        """Our tag: what the endpoint's table of sessions is keyed by."""
        return self.dialog.local_tag

    @property
    def leaving(self) -> bool:
        """Whether it is over, or our BYE is under way."""
        return self._leaving

    def note(self, oddity: str) -> None:
        """The peer did something odd that was tolerated: report it, once."""
        if oddity not in self.oddities:
            self.oddities += (oddity,)
            self.endpoint.events.append(PeerOddity(self, oddity))

    def belong_to(self, user: object) -> None:
        """It is the session of `user`, an object of the program."""
        self.user = user
        tag = self.dialog.local_tag
        if self.endpoint.sessions.get(tag) is self:  # else it is over already
            self.endpoint.owned[tag] = self

    # Verbs.

    def request(
        self,
        now: float,
        method: str,
        lines: str = "",
        body: bytes = b"",
        content_type: str = "",
        context: object = None,
    ) -> None:
        """Send INFO, UPDATE or another request in the dialog; see `Responded`."""
        check_header(lines)
        if self._leaving or self.dialog.remote_tag is None:
            raise InvalidState(f"{method}: no dialog yet or any more")
        self.send_request(now, method, lines, body, content_type, context=context, user=self)

    def refer(
        self, now: float, target: str, lines: str = "", *, subscribe: bool = True
    ) -> SentRefer:
        """Ask the peer to call `target`, a URI (RFC 3515); see `ReferProgressed`.

        Without `subscribe` the peer is asked for no NOTIFY, and may send them all the same
        (RFC 4488). For an attended transfer see `Replaces.in_uri`.
        """
        check_header(lines)
        if self.state != CONFIRMED or self._leaving:
            raise InvalidState("refer: the session is not established")
        if not subscribe:
            lines += "Refer-Sub: false\r\nSupported: norefersub\r\n"
        lines = f"{self.contact}Refer-To: {NameAddr(target)}\r\n{lines}"
        refer = SentRefer(self, target)
        refer.number = self.dialog.local_cseq + 1
        if self.refers is None:
            self.refers = {}
        self.refers[refer.number] = refer
        self.send_request(now, "REFER", lines, user=refer)
        return refer

    def send_request(
        self,
        now: float,
        method: str,
        lines: str,
        body: bytes = b"",
        content_type: str = "",
        *,
        context: object = None,
        user: ClientUser | None = None,
    ) -> ClientTransaction:
        """Send a request with the next CSeq in a client transaction of its own.

        The verb has checked `lines`, as far as they are the program's.
        """
        dialog = self.dialog
        dialog.local_cseq += 1
        dialog.last_cseq = dialog.local_cseq
        if body:
            lines = f"{lines}Content-Type: {content_type}\r\n"
        if self.keyring is not None:
            credentials = self.keyring.lines(method, dialog.request_uri(), body)
            lines += credentials
            if method == "INVITE":
                self.credentials = credentials
        number = dialog.local_cseq
        hop = self.next_hop(dialog)
        contact = self.contact

        def make(via: str) -> Request:
            ours = lines if contact is self.contact else lines.replace(contact, self.contact, 1)
            uri, head = dialog.request_head(method, number, via, ours)
            return Request(method, uri, f"{head}Content-Length: {len(body)}", body)

        transaction = self.endpoint.start_client_at(
            hop,
            method,
            make,
            self.listener,
            user or self,
            now,
            context,
            self.rerouted,
            self.flow,
            0.0,
            None if dialog.remote_tag is None else self.remote_address,
        )
        if transaction.key:  # else its name is being looked up
            self.remote_address = transaction.address
        return transaction

    def next_hop(self, dialog: Dialog) -> str:
        """Where a request in `dialog` goes; a URI that leaves it open keeps the transport."""
        if dialog.remote_tag is None:
            return self.first_hop or dialog.next_hop()
        hop = dialog.next_hop()
        if self.listener.reliable and can_name_transport(hop):
            return f"{hop};transport={self.listener.transport.lower()}"
        return hop

    def came_by(self, transaction: Transaction) -> None:
        """A message of the peer: it has shown which way it is reached."""
        self.remote_address = transaction.address
        if transaction.listener.reliable:
            self.flow = transaction.address

    def by_flow(self, listener: Listener, address: Address) -> Address:
        """The way of an ACK, which cannot be tried again: that of the 2xx while there is one.

        A stream goes on to `address`, the target, only when its connection is gone.
        """
        flow = self.flow
        if flow is None or flow == address or listener is not self.listener:
            return address
        domain = address.domain if isinstance(address, PeerAddress) else ""
        return PeerAddress(flow[0], flow[1], "", PeerAddress(address[0], address[1], domain))

    def rerouted(self, listener: Listener, address: Address) -> None:
        """A request leaves by another listener than thought: by DNS, or for its length.

        Before there is a dialog, that listener is the one that the peer is to answer to.
        """
        self.remote_address = address
        if self.dialog.remote_tag is None:
            self.listener = listener
            user = contact_user(self.contact)
            secure = "<sips:" in self.contact
            self.contact = self.endpoint.contact_line(listener, address[0], user, secure=secure)

    def may_repeat(self, request: Request) -> bool:
        """Whether a refused request of this session may go out again, see `sip.usage.again`."""
        return not self._leaving or request.method in ("BYE", "NOTIFY")

    def repeated(self, request: Request, number: int, uri: str) -> None:
        """`request` goes out again, to `uri`, with the CSeq `number`."""
        self.dialog.local_cseq = self.dialog.last_cseq = number
        if request.method == "REFER" and self.refers is not None:
            refer = self.refers.pop(request.cseq[0], None)
            if refer is not None:
                refer.number = number
                self.refers[number] = refer

    def response_received(
        self, transaction: ClientTransaction, response: Response, now: float
    ) -> None:
        """A response to a request of this session."""
        raise NotImplementedError

    def transaction_failed(self, transaction: ClientTransaction, status: int, now: float) -> None:
        """No response to a request, or no way to send it."""
        raise NotImplementedError

    def broken(self, status: int, now: float, reason: str = "") -> None:
        """A request in the dialog got 408 or 481, or none came in time: the dialog is over."""
        raise NotImplementedError

    # Requests of the peer.

    def turn_to(self, request: Request) -> bool:
        """Whether `request` belongs to another dialog that the session has."""
        if self.dialog.call_id == request.call_id:
            self.note(OTHER_TAG)
        return False

    def request_received(
        self, transaction: ServerTransaction, request: Request, now: float
    ) -> None:
        """A request in the dialog, its CSeq checked."""
        raise NotImplementedError

    def ack_received(self, request: Request, now: float) -> bool:
        """An ACK in the dialog; False when nothing waited for it."""
        return False

    def updated(self, tx: ServerTransaction, request: Request, now: float) -> None:
        """UPDATE (RFC 3311): the target may have changed; the program answers."""
        self.dialog.refresh(request)
        self.endpoint.events.append(Requested(self, request, tx))

    def notified(self, tx: ServerTransaction, request: Request, now: float) -> None:
        """NOTIFY: news of a REFER or a subscription of ours, or a stray."""
        refer = SentRefer.matching(self.refers, request)
        watch = self._watch_of(request) if self.watches and refer is None else None
        if refer is not None:
            refer.notified(tx, request, now)
        elif watch is not None:
            watch.notified(tx, request, now)
        else:
            tx.respond(481, now)

    def _watch_of(self, request: Request) -> "SentSubscription | None":
        try:
            return (self.watches or {}).get(key_of(event_of(request)))
        except ParseError:
            return None

    def referred(self, tx: ServerTransaction, request: Request, now: float) -> None:
        """REFER (RFC 3515)."""
        screen = self.endpoint.screen
        if screen is not None and not screen.allows("REFER", tx.address, tx.listener):
            tx.respond(403, now, reason="sip.sources does not allow this address")
            return
        try:
            refer = ReceivedRefer(self, tx, request)
        except PeerError as error:
            tx.respond(error.status, now, reason=error.reason)
            return
        if self._leaving:
            tx.respond(481, now)
        elif self.state != CONFIRMED:  # it overtook the 2xx: 481 would end the peer's call
            tx.respond(500, now, "Retry-After: 1\r\n")
        else:
            self.endpoint.events.append(Referred(self, request, refer))

    def subscribed(self, tx: ServerTransaction, request: Request, now: float) -> None:
        """SUBSCRIBE (RFC 6665 section 4.2.1), also to what a REFER has begun."""
        service = self.endpoint.services.get("SUBSCRIBE")
        if refreshed(self, tx, request, now):
            return
        if service is not None and not self._leaving:
            service.request_received(tx, request, now)
        else:
            tx.respond(481 if self._leaving else 489, now, "Allow-Events: refer\r\n")

    def refer_over(self, refer: SentRefer) -> None:
        """A REFER has had its last news."""
        if self.refers is not None and self.refers.pop(refer.number, None) is not None:
            self.usage_over()

    def usage_over(self) -> None:
        """A usage is over: with the last one goes the dialog (RFC 5057)."""
        if self.state == TERMINATED and not self.shared:
            self.endpoint.forget(self)

    @property
    def shared(self) -> bool:
        """Whether a REFER or a subscription, either way, stands on the dialog."""
        return bool(self.refers or self.subscriptions or self.watches)


class Unheard:
    """The user of a request whose outcome changes nothing: BYE to a fork."""

    __slots__ = ()

    def response_received(
        self, transaction: ClientTransaction, response: Response, now: float
    ) -> None:
        """As good as any."""

    def transaction_failed(self, transaction: ClientTransaction, status: int, now: float) -> None:
        """The fork will find out by itself."""
