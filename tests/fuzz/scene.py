"""An endpoint in the middle of several calls, for datagrams that concern them."""

from collections.abc import Callable
from contextlib import suppress

from sip.auth import Challenge, Credentials
from sip.errors import InvalidState, PeerError
from sip.events import (
    Answered,
    Hungup,
    Invited,
    Referred,
    Reinvited,
    Requested,
)
from sip.message import Request, parse
from sip.records import FAILED, Answer
from sip.sdp import SessionDescription
from sip.uri import parse_uri
from sip.usage.credentials import UNAUTHORIZED, Account, Accounts
from sip.usage.invite import InviteSession
from sip.usage.redirect import Redirector
from sip.values import (
    EventType,
    MediaType,
    NameAddr,
    Reason,
    SubscriptionState,
    Via,
    WarningValue,
)
from tests.fuzz.seeds import METHODS, make, plain, vectors
from tests.sip.usage.calls import established, ringing
from tests.support.builders import PEER, request_text, response_text
from tests.support.network import ANSWER, OFFER, AnyEvent, Network, Party

_PLAIN = [*plain(), *vectors()]
_GIVE_UP = 400.0  # seconds, longer than any timer that these scenes start


class Scene:
    """Bob with an established call, a ringing one, one that he places and one that rings him.

    `messages` are those that concern his dialogs, and others. Time passes only by
    `pass_time`, what he sends goes nowhere, and he reacts to what he hears.
    """

    def __init__(self, seed: int = 1) -> None:
        network = Network(seed)
        self.bob: Party = network.add("bob")
        endpoint = self.endpoint = self.bob.endpoint
        endpoint.support("100rel")
        Redirector(endpoint)
        accounts = Accounts([Account("example.com", "bob", "secret")], endpoint.ids)
        endpoint.amendments |= dict.fromkeys(UNAUTHORIZED, accounts.amend)
        alice = network.add("alice")
        carol = network.add_stranger("carol", *PEER)
        sessions = [established(self.bob, alice)[0], ringing(alice, self.bob)[1]]
        sessions[0].refer(network.now, "sip:dave@example.com")
        sessions[0].reinvite(network.now, OFFER)
        self.bob.call(carol)
        carol.send(self.bob, request_text())
        network.run(0.1)
        sessions.append(self.bob.take(Invited).session)
        assert network.errors == []
        self.now = network.now
        self._turn = 0
        self.messages = [*_PLAIN, *self._requests(sessions)]
        for request in [*network.requests("REFER"), *carol.requests("INVITE")]:
            self.messages += self._responses(request)
        self._drain()

    def _requests(self, sessions: list[InviteSession]) -> list[bytes]:
        made = []
        for session in sessions:
            dialog = session.dialog
            inside: dict[str, str | None] = {
                "From": dialog.remote,
                "To": dialog.local,
                "Call-ID": dialog.call_id,
            }
            for method in METHODS:
                made.append(make(method, {**inside, "CSeq": f"900 {method}"}))
        return made

    def _responses(self, request: Request) -> list[bytes]:
        routes = "Record-Route: <sip:p;lr>, <sip:q>\r\nContact: <sip:x@y;p=1>;q=1\r\n"
        return [
            response_text(request, status, "carol", routes)
            for status in (100, 180, 200, 302, 401, 407, 422, 486, 503)
        ]

    def receive(self, data: bytes) -> None:
        """Take a datagram, and do what it asks for."""
        self.endpoint.receive_datagram(data, PEER, self.bob.listener, self.now)
        self._drain()

    def pass_time(self, seconds: float) -> None:
        """Let timers fire."""
        self.now += seconds
        self.endpoint.handle_timers(self.now)
        self._drain()

    def _drain(self) -> None:
        endpoint = self.endpoint
        locator = endpoint.locator
        while endpoint.events or locator.queries:
            events, endpoint.events = endpoint.events, []
            for event in events:
                with suppress(InvalidState):
                    self._react(event)
            queries, locator.queries = locator.queries, []
            for query in queries:
                known = query.kind == "A" and len(query.name) % 2
                found = Answer(("192.0.2.77",), 60.0) if known else FAILED
                locator.answered(query, found, self.now)
        endpoint.outbox.clear()

    def _react(self, event: AnyEvent) -> None:
        now = self.now
        match event:
            case Invited(session=session):
                self._turn += 1
                if self._turn % 4:
                    session.ring(now)
                if self._turn % 3 == 0:
                    session.answer(now, ANSWER)
                elif self._turn % 3 == 1:
                    session.reject(now, 486)
            case Answered(session=session):
                session.acknowledge(now, ANSWER)
            case Reinvited(session=session):
                session.answer(now, ANSWER)
            case Hungup(session=session):
                session.confirm_bye(now)
            case Requested(transaction=transaction):
                transaction.respond(200, now)
            case Referred(refer=refer):
                refer.accept(now)
                refer.notify(now, 200)
            case _:
                pass

    def sizes(self) -> int:
        """How much is in the tables."""
        endpoint = self.endpoint
        return len(endpoint.clients) + len(endpoint.servers) + len(endpoint.sessions)

    def end(self) -> dict[str, int]:
        """Hang up everything and wait: what is left in the tables then."""
        for session in list(self.endpoint.sessions.values()):
            assert isinstance(session, InviteSession)
            for verb in (session.bye, session.cancel):
                with suppress(InvalidState):
                    verb(self.now)
            with suppress(InvalidState):
                session.reject(self.now, 480)
        self._drain()
        deadline = self.now + _GIVE_UP
        while (due := self.endpoint.next_time()) is not None and due < deadline:
            self.pass_time(max(due - self.now, 0.0))
        return self.bob.leftovers()


_READERS: dict[str, Callable[[str], object]] = {
    "authorization": Credentials.parse,
    "www-authenticate": Challenge.parse,
    "proxy-authenticate": Challenge.parse,
    "event": EventType.parse,
    "subscription-state": SubscriptionState.parse,
    "reason": Reason.parse_many,
    "warning": WarningValue.parse_many,
    "content-type": MediaType.parse,
    "refer-to": NameAddr.parse,
    "record-route": NameAddr.parse_many,
    "via": Via.parse_many,
}


def read_all(data: bytes) -> None:
    """Read what a program may ask a message for; only the peer may be to blame."""
    try:
        message = parse(data)
    except PeerError:
        return
    for name in ("from_", "to", "contact", "cseq", "via", "content_type"):
        with suppress(PeerError):
            getattr(message, name)
    for key in list(message.keys()):
        with suppress(PeerError):
            message.values(key)
        if (reader := _READERS.get(key)) is not None:
            with suppress(PeerError):
                reader(message.get(key) or "")
    if isinstance(message, Request):
        with suppress(PeerError):
            parse_uri(message.uri)
    if body := message.sdp:
        with suppress(PeerError):
            SessionDescription.parse(body)
    message.to_bytes()
