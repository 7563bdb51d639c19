"""Hundreds of calls over a bad network: each ends on both sides, and nothing is left.

What the two sides do is drawn from a seed: ring, reliably or not, answer, refuse, cancel,
offer, update, ask, refer, hang up, at once or later, often against each other.
"""

from collections.abc import Callable
from random import Random

import pytest

from sip.errors import InvalidState
from sip.events import (
    Answered,
    Closed,
    Event,
    Hungup,
    Invited,
    Lost,
    Progressed,
    ReferProgressed,
    Referred,
    Refused,
    Reinvited,
    Requested,
    Responded,
)
from sip.usage.invite import InviteSession
from sip.usage.session import TERMINATED, Session
from tests.support.network import ANSWER, OFFER, AnyEvent, Network

CALLS = 100
PATIENCE = 200.0  # seconds after which everybody hangs up


class Play:
    """Two parties that call each other, and what became of each session."""

    def __init__(self, seed: int, loss: float) -> None:
        self.random = Random(seed)
        self.network = Network(
            seed, loss=loss, duplication=loss / 2, reordering=loss / 2, latency=0.02
        )
        self.parties = [self.network.add(name) for name in ("alice", "bob")]
        for party in self.parties:
            party.handler = self.react
            party.endpoint.support("100rel")
        self.sessions: list[InviteSession] = []
        self.events: dict[Session, list[Event]] = {}

    def run(self) -> None:
        for _ in range(CALLS):
            self.network.at(self.random.random() * 30.0, self.call)
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
        self.attempt(lambda: session.reject(now, 480))

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
            self.later(3.0, lambda: session.reject(self.network.now, 486))
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


def outcome(events: list[Event]) -> list[str]:
    """The events that say how a session ended."""
    ends = [type(e).__name__ for e in events if isinstance(e, Hungup | Closed)]
    early = [e for e in events if isinstance(e, Refused)]
    return ends or [type(e).__name__ for e in early[-1:]]


@pytest.mark.parametrize("seed", [1, 2, 131])
@pytest.mark.parametrize("loss", [0.0, 0.1, 0.2, 0.3])
def test_every_call_ends(loss: float, seed: int) -> None:
    play = Play(seed, loss)
    play.run()
    assert play.network.errors == []
    assert [party.leftovers() for party in play.parties] == [{}, {}]
    assert {session.state for session in play.sessions} == {TERMINATED}
    for session, events in play.events.items():
        kinds = [type(event).__name__ for event in events]
        final = [k for k in kinds if k in ("Hungup", "Closed", "Cancelled")]
        assert len(final) <= 1, kinds
        if session.outgoing:
            assert len(outcome(events)) == 1, kinds
        if "Answered" in kinds or "Acknowledged" in kinds:
            assert final, kinds


@pytest.mark.parametrize("seed", [3, 4])
def test_without_loss_both_sides_agree(seed: int) -> None:
    play = Play(seed, 0.0)
    play.run()
    by_tag = {session.local_tag: session for session in play.sessions}
    for session, events in play.events.items():
        assert not [e for e in events if isinstance(e, Lost)]
        peer = by_tag.get(session.dialog.remote_tag or "")
        if session.outgoing and any(isinstance(e, Answered) for e in events):
            assert peer is not None
            others = {type(e).__name__ for e in play.events[peer]}
            assert "Acknowledged" in others or "Closed" in others
    assert not [p for p in play.network.log if p.summary.startswith(("500", "400"))]


def test_every_refer_has_an_outcome_without_loss() -> None:
    play = Play(5, 0.0)
    play.run()
    for events in play.events.values():
        reports = [e for e in events if isinstance(e, ReferProgressed)]
        refers = {report.refer for report in reports}
        assert len([report for report in reports if report.final]) == len(refers)


def test_a_seed_decides_everything() -> None:
    one, other = Play(6, 0.2), Play(6, 0.2)
    one.run()
    other.run()
    assert [packet.data for packet in one.network.log] == [p.data for p in other.network.log]
    assert len([e for e in one.parties[0].events if isinstance(e, Responded)])


def test_a_loss_pattern() -> None:
    network = Network(pattern=[True, False, True])
    alice, bob = network.add("alice"), network.add("bob")
    alice.call(bob)
    network.run(1.0)
    assert network.ladder()[:3] == [
        "alice x bob INVITE",
        "alice > bob INVITE",
        "bob x alice 100 INVITE",
    ]


def test_the_random_calls_use_it_all() -> None:
    play = Play(1, 0.0)
    play.run()
    seen = {packet.summary for packet in play.network.log}
    assert {"PRACK", "200 PRACK", "183 INVITE", "UPDATE", "200 UPDATE", "REFER", "ACK"} <= seen
