"""Two parties that call each other over a bad network.

What they do is drawn from a seed: ring, reliably or not, answer, refuse, cancel, offer,
update, ask, refer, hang up, at once or later, often against each other.
"""

from collections.abc import Callable
from random import Random

from sip.errors import InvalidState
from sip.events import (
    Answered,
    Event,
    Hungup,
    Invited,
    Progressed,
    Referred,
    Reinvited,
    Requested,
)
from sip.usage.invite import InviteSession
from sip.usage.session import TERMINATED, Session
from tests.support.network import ANSWER, OFFER, AnyEvent, Network
from tests.support.rules import CheckedLog

PATIENCE = 200.0  # seconds after which everybody hangs up


class Play:
    """Two parties that call each other, and what became of each session."""

    def __init__(
        self, seed: int, loss: float, calls: int = 100, span: float = 30.0, *, keep: bool = True
    ) -> None:
        self.calls = calls
        self.span = span  # seconds in which they are placed
        self.rejected: dict[Session, int] = {}
        self.random = Random(seed)
        self.network = Network(
            seed, loss=loss, duplication=loss / 2, reordering=loss / 2, latency=0.02
        )
        self.network.log = self.log = CheckedLog(keep=keep)
        self.parties = [self.network.add(name) for name in ("alice", "bob")]
        for party in self.parties:
            party.handler = self.react
            party.endpoint.support("100rel")
        self.sessions: list[InviteSession] = []
        self.events: dict[Session, list[Event]] = {}

    def run(self) -> None:
        for _ in range(self.calls):
            self.network.at(self.random.random() * self.span, self.call)
        self.network.run_until_idle()

    def call(self) -> None:
        caller, callee = self.random.sample(self.parties, 2)
        lines = self.random.choice(("", "", "Require: 100rel\r\n"))
        session = caller.call(callee, self.random.choice((OFFER, b"")), lines=lines)
        self.enter(session)
        if self.random.random() < 0.2:
            self.later(5.0, lambda: session.cancel(self.network.now))

    def enter(self, session: InviteSession) -> None:
        self.sessions.append(session)
        self.events[session] = []
        self.network.at(self.network.now + PATIENCE, lambda: self.leave(session))

    def leave(self, session: InviteSession) -> None:
        """Whatever the state, this is the end."""
        now = self.network.now
        self.attempt(lambda: session.bye(now))
        self.attempt(lambda: session.cancel(now))
        self.attempt(lambda: self.reject(session, 480))

    def reject(self, session: InviteSession, status: int) -> None:
        session.reject(self.network.now, status)
        if session.state == TERMINATED:  # else it was an offer
            self.rejected[session] = status

    def later(self, most: float, action: Callable[[], object]) -> None:
        when = self.network.now + self.random.choice((0.0, self.random.random() * most))
        self.network.at(when, lambda: self.attempt(action))

    def attempt(self, action: Callable[[], object]) -> None:
        """A verb that comes too late is refused, and that is all."""
        try:
            action()
        except InvalidState:
            return

    # Reactions.

    def react(self, event: AnyEvent, now: float) -> None:
        if isinstance(event, Event):
            if isinstance(event, Invited):
                self.enter(event.session)
            self.events[event.session].append(event)
        match event:
            case Invited(session=session):
                self.invited(session, now)
            case Answered(session=session):
                session.acknowledge(now, ANSWER)
                if len([e for e in self.events[session] if isinstance(e, Answered)]) == 1:
                    self.converse(session)
            case Progressed(session=session, response=response):
                self.attempt(lambda: session.prack(now, response, ANSWER))
                if self.random.random() < 0.2:
                    self.later(1.0, lambda: session.update(self.network.now, OFFER))
            case Reinvited(session=session):
                if self.random.random() < 0.3:
                    session.ring(now, 183, ANSWER, reliable=True)
                self.later(1.0, lambda: session.answer(self.network.now, ANSWER))
            case Hungup(session=session):
                session.confirm_bye(now)
            case Requested(request=request, transaction=transaction):
                contact = event.session.contact
                lines = f"{contact}Content-Type: application/sdp\r\n"
                body = ANSWER if request.body else b""
                transaction.respond(200, now, lines if body else contact, body)
            case Referred(refer=refer):
                refer.accept(now)
                status = self.random.choice((200, 486))
                self.later(3.0, lambda: refer.notify(self.network.now, status))
            case _:
                pass

    def invited(self, session: InviteSession, now: float) -> None:
        draw = self.random.random()
        if draw < 0.7:
            body = self.random.choice((b"", ANSWER))
            session.ring(now, 183 if body else 180, body, reliable=draw < 0.5)
            self.later(2.0, lambda: session.ring(self.network.now, reliable=draw < 0.3))
            self.later(
                2.0, lambda: session.update(self.network.now, self.random.choice((OFFER, b"")))
            )
        if draw < 0.15:
            self.later(3.0, lambda: self.reject(session, 486))
        else:
            self.later(3.0, lambda: self.pick_up(session))

    def pick_up(self, session: InviteSession) -> None:
        session.answer(self.network.now, ANSWER)
        self.converse(session)

    def converse(self, session: InviteSession) -> None:
        """Some things to do in a call; one side or both hang up at some time."""
        verbs: dict[str, Callable[[], object]] = {
            "offer": lambda: session.reinvite(self.network.now, OFFER),
            "ask": lambda: session.request(self.network.now, "INFO"),
            "update": lambda: session.update(self.network.now, OFFER),
            "refer": lambda: session.refer(self.network.now, "sip:dave@example.com"),
        }
        for name in self.random.sample(sorted(verbs), self.random.randrange(3)):
            self.later(10.0, verbs[name])
        if self.random.random() < 0.6:
            self.later(20.0, lambda: session.bye(self.network.now))
