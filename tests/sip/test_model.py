"""A model of three endpoints that do what they like on a network that does what it likes.

hypothesis chooses who does what and when, and what becomes of the packets; what it finds it
makes small. `tests.soak` goes the other way: few choices, very many calls.
"""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
)

from sip.errors import InvalidState
from sip.events import (
    Answered,
    Cancelled,
    Closed,
    Event,
    Hungup,
    Invited,
    Progressed,
    Referred,
    Refused,
    Requested,
)
from sip.usage.invite import InviteSession
from sip.usage.session import TERMINATED
from tests.support.network import ANSWER, OFFER, AnyEvent, Network, Party
from tests.support.rules import CheckedLog

pytestmark = pytest.mark.thousands

NAMES = ("alice", "bob", "carol")
LOSABLE = ["INVITE", "100 INVITE", "180 INVITE", "200 INVITE", "487 INVITE", "ACK", "CANCEL"]
LOSABLE += ["200 CANCEL", "BYE", "200 BYE", "PRACK"]


class Calls(RuleBasedStateMachine):
    """Verbs in any order; those that do not fit the state must say so and do nothing."""

    sessions = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.network = Network(latency=0.02)
        self.network.log = self.log = CheckedLog()
        self.everyone: list[InviteSession] = []
        self.events: dict[object, list[Event]] = {}
        self.fresh: list[InviteSession] = []  # callees' sessions that no rule has got yet
        self.numbers: dict[InviteSession, int] = {}
        self.parties = [self.network.add(name) for name in NAMES]
        for party in self.parties:
            party.handler = self.react
            party.endpoint.support("100rel")

    def react(self, event: AnyEvent, now: float) -> None:
        """What every program does at once: ACK, and answer what waits for an answer."""
        if not isinstance(event, Event):
            return
        if isinstance(event, Invited):
            self.everyone.append(event.session)
            self.fresh.append(event.session)
        self.events.setdefault(event.session, []).append(event)
        match event:
            case Answered(session=session):
                session.acknowledge(now, ANSWER)
            case Progressed(session=session, response=response):
                self.attempt(lambda: session.prack(now, response, ANSWER))
            case Hungup(session=session):
                session.confirm_bye(now)
            case Requested(request=request, transaction=transaction):
                lines = f"{event.session.contact}Content-Type: application/sdp\r\n"
                body = ANSWER if request.body else b""
                transaction.respond(200, now, lines if body else event.session.contact, body)
            case Referred(refer=refer):
                refer.accept(now)
                refer.notify(now, 200)
            case _:
                pass

    def attempt(self, verb: Callable[[], object]) -> None:
        """A verb whose time is not now is refused; then nothing was sent."""
        endpoints = [party.endpoint for party in self.parties]
        before = [(len(e.outbox), len(e.clients), len(e.sessions)) for e in endpoints]
        try:
            verb()
        except InvalidState:
            after = [(len(e.outbox), len(e.clients), len(e.sessions)) for e in endpoints]
            assert before == after
        self.network.pump()

    # What the parties do.

    @precondition(lambda self: len(self.everyone) < 6)
    @rule(target=sessions, pair=st.permutations(range(len(NAMES))), offer=st.booleans(),
          insist=st.booleans())  # fmt: skip
    def invite(self, pair: list[int], offer: bool, insist: bool) -> InviteSession:
        caller: Party = self.parties[pair[0]]
        lines = "Require: 100rel\r\n" if insist else ""
        body = OFFER if offer else b""
        session = caller.call(self.parties[pair[1]], body, lines=lines)
        self.everyone.append(session)
        self.network.pump()
        return session

    @precondition(lambda self: len(self.everyone) < 6)
    @rule(target=sessions, pair=st.permutations(range(len(NAMES))))
    def talk(self, pair: list[int]) -> object:
        """A call that is answered, as far as the network lets it: most verbs are for those."""
        self.invite(pair, offer=True, insist=False)
        caller = self.everyone[-1]
        self.network.run(0.1)
        fresh, self.fresh = self.fresh, []
        for session in fresh:
            self.answer(session)
        self.network.run(0.1)
        return multiple(caller, *fresh)

    @rule(target=sessions, seconds=st.sampled_from((0.0, 0.05, 0.3, 0.6, 2.0, 5.0, 33.0)))
    def wait(self, seconds: float) -> object:
        """Time passes; the calls that have come in meanwhile are known from now on."""
        self.network.run(seconds)
        fresh, self.fresh = self.fresh, []
        return multiple(*fresh)

    @rule(session=sessions, reliable=st.booleans(), body=st.sampled_from((b"", ANSWER)))
    def ring(self, session: InviteSession, reliable: bool, body: bytes) -> None:
        self.attempt(lambda: session.ring(self.network.now, 180, body, reliable=reliable))

    @rule(session=sessions)
    def answer(self, session: InviteSession) -> None:
        self.attempt(lambda: session.answer(self.network.now, ANSWER))

    @rule(session=sessions, status=st.sampled_from((302, 404, 486, 503, 603)))
    def reject(self, session: InviteSession, status: int) -> None:
        self.attempt(lambda: session.reject(self.network.now, status))

    @rule(session=sessions)
    def cancel(self, session: InviteSession) -> None:
        self.attempt(lambda: session.cancel(self.network.now))

    @rule(session=sessions, offer=st.booleans())
    def reinvite(self, session: InviteSession, offer: bool) -> None:
        self.attempt(lambda: session.reinvite(self.network.now, OFFER if offer else b""))

    @rule(session=sessions)
    def inform(self, session: InviteSession) -> None:
        self.attempt(lambda: session.request(self.network.now, "INFO"))

    @rule(session=sessions, offer=st.booleans())
    def update(self, session: InviteSession, offer: bool) -> None:
        self.attempt(lambda: session.update(self.network.now, OFFER if offer else b""))

    @rule(session=sessions)
    def refer(self, session: InviteSession) -> None:
        self.attempt(lambda: session.refer(self.network.now, "sip:dave@example.com"))

    @rule(session=sessions)
    def bye(self, session: InviteSession) -> None:
        self.attempt(lambda: session.bye(self.network.now))

    def leave(self, session: InviteSession) -> None:
        """Whatever the state, this is the end."""
        now = self.network.now
        self.attempt(lambda: session.bye(now))
        self.attempt(lambda: session.cancel(now))
        self.attempt(lambda: session.reject(now, 480))

    # What the network does.

    @rule(loss=st.sampled_from((0.0, 0.3, 1.0)), duplication=st.sampled_from((0.0, 0.5)),
          reordering=st.sampled_from((0.0, 0.5)))  # fmt: skip
    def turn(self, loss: float, duplication: float, reordering: float) -> None:
        network = self.network
        network.loss, network.duplication, network.reordering = loss, duplication, reordering

    @rule(what=st.sampled_from(LOSABLE))
    def lose_next(self, what: str) -> None:
        self.network.lose(what)

    # What holds at any time, and in the end.

    @invariant()
    def no_rule_is_broken(self) -> None:
        """One final response to a request, CSeq grows, ACK and CANCEL keep their INVITE's."""
        assert self.log.rules.broken == []
        assert self.network.errors == []

    @invariant()
    def numbers_grow(self) -> None:
        for session in self.everyone:
            assert session.dialog.local_cseq >= self.numbers.get(session, 0)
            self.numbers[session] = session.dialog.local_cseq

    @invariant()
    def an_end_comes_once(self) -> None:
        for events in self.events.values():
            assert sum(isinstance(e, Hungup | Closed | Cancelled) for e in events) <= 1, events

    def teardown(self) -> None:
        """Everybody hangs up; then every session has ended, and all tables are empty.

        Twice: an INVITE may arrive late, of a caller who has given up by then.
        """
        self.turn(0.1, 0.1, 0.1)
        for _ in range(2):
            for session in list(self.everyone):
                self.leave(session)
            self.network.run_until_idle()
        self.no_rule_is_broken()
        self.an_end_comes_once()
        for session in self.everyone:
            assert session.state == TERMINATED, (session, self.events.get(session))
            if session.outgoing and session in self.events:
                kinds = [type(event) for event in self.events[session]]
                assert {Hungup, Closed, Refused} & set(kinds), kinds
        assert [party.leftovers() for party in self.parties] == [{}, {}, {}]


Calls.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestCalls = Calls.TestCase
