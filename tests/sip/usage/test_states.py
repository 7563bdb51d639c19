"""Every verb in every state that it does not fit: InvalidState, and nothing is sent."""

from collections.abc import Callable

import pytest

from sip.errors import InvalidState, InvalidValue
from sip.events import Answered, Invited
from sip.usage.invite import InviteSession
from tests.sip.usage.calls import ANSWER, OFFER, SOON, established, ringing
from tests.support.network import Network, Party

Verb = Callable[[InviteSession, float], object]

VERBS: dict[str, Verb] = {
    "ring": lambda session, now: session.ring(now),
    "answer": lambda session, now: session.answer(now, ANSWER),
    "reject": lambda session, now: session.reject(now, 486),
    "cancel": lambda session, now: session.cancel(now),
    "acknowledge": lambda session, now: session.acknowledge(now),
    "reinvite": lambda session, now: session.reinvite(now, OFFER),
    "bye": lambda session, now: session.bye(now),
    "request": lambda session, now: session.request(now, "INFO"),
    "refer": lambda session, now: session.refer(now, "sip:carol@example.com"),
}
IN_CALL = {"reinvite", "bye", "request", "refer"}


def calling(alice: Party, bob: Party) -> InviteSession:
    session = alice.call(bob)
    alice.network.pump()
    return session


def called(alice: Party, bob: Party) -> InviteSession:
    alice.call(bob)
    alice.network.run(SOON)
    return bob.take(Invited).session


def answered(alice: Party, bob: Party) -> tuple[InviteSession, InviteSession]:
    session, peer = ringing(alice, bob)
    peer.answer(alice.now, ANSWER)
    alice.network.run(SOON)
    alice.take(Answered)
    return session, peer


def offering(alice: Party, bob: Party) -> tuple[InviteSession, InviteSession]:
    session, peer = established(alice, bob)
    session.reinvite(alice.now, OFFER)
    alice.network.run(SOON)
    return session, peer


def leaving(alice: Party, bob: Party) -> tuple[InviteSession, InviteSession]:
    session, peer = established(alice, bob)
    session.bye(alice.now)
    alice.network.run(SOON)
    return session, peer


def refused(alice: Party, bob: Party) -> tuple[InviteSession, InviteSession]:
    session, peer = ringing(alice, bob)
    peer.reject(alice.now, 486)
    alice.network.run(SOON)
    return session, peer


# How to get there, and the verbs that fit.
STATES: dict[str, tuple[Callable[[Party, Party], InviteSession], set[str]]] = {
    "calling": (calling, {"cancel"}),
    "called": (called, {"ring", "answer", "reject", "request"}),
    "ringing, caller": (lambda a, b: ringing(a, b)[0], {"cancel", "request"}),
    "ringing, callee": (
        lambda a, b: ringing(a, b)[1],
        {"ring", "answer", "reject", "request"},
    ),
    "answered, caller": (lambda a, b: answered(a, b)[0], {"acknowledge"} | IN_CALL),
    "answered, callee": (lambda a, b: answered(a, b)[1], IN_CALL),
    "established, caller": (lambda a, b: established(a, b)[0], IN_CALL),
    "established, callee": (lambda a, b: established(a, b)[1], IN_CALL),
    "offering": (lambda a, b: offering(a, b)[0], IN_CALL),
    "offered": (lambda a, b: offering(a, b)[1], IN_CALL | {"ring", "answer", "reject"}),
    "leaving": (lambda a, b: leaving(a, b)[0], set()),
    "left": (lambda a, b: leaving(a, b)[1], set()),
    "refused, caller": (lambda a, b: refused(a, b)[0], set()),
    "refused, callee": (lambda a, b: refused(a, b)[1], set()),
}


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("state", STATES)
def test_a_verb_in_a_state(network: Network, state: str, name: str) -> None:
    alice, bob = network.add("alice"), network.add("bob")
    reach, fitting = STATES[state]
    session = reach(alice, bob)
    before = (len(network.log), session.state, session.dialog.local_cseq, session.busy)
    if name in fitting:
        VERBS[name](session, network.now)
        network.run(SOON)
        return
    with pytest.raises(InvalidState):
        VERBS[name](session, network.now)
    network.pump()
    assert (len(network.log), session.state, session.dialog.local_cseq, session.busy) == before


@pytest.mark.parametrize("target", ["", "carol", "sip:a b", "sip:a>\r\nEvil: 1"])
def test_refer_to_what_is_no_uri(alice: Party, bob: Party, target: str) -> None:
    session, _ = established(alice, bob)
    with pytest.raises(InvalidValue):
        session.refer(alice.now, target)
    assert session.dialog.local_cseq == 1
    assert not session.refers
