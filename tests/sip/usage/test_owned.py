"""Sessions that belong to an object of the program, and those that do not."""

from sip.events import Invited
from tests.sip.usage.calls import SOON, ringing
from tests.support.network import Party


def test_owned_sessions_are_those_that_belong_to_somebody(alice: Party, bob: Party) -> None:
    calls = [ringing(alice, bob) for _ in range(3)]
    assert bob.endpoint.owned == {}
    for _, peer in reversed(calls):
        peer.belong_to(bob)
    tags = [peer.local_tag for _, peer in reversed(calls)]
    assert list(bob.endpoint.owned) == tags
    calls[1][1].reject(bob.now, 486)
    assert list(bob.endpoint.owned) == [tags[0], tags[2]]
    assert calls[1][1].user is bob


def test_a_session_that_is_over_is_not_owned_any_more(alice: Party, bob: Party) -> None:
    """Its CANCEL came before the program was asked whose it is."""
    session = alice.call(bob)
    alice.network.run(SOON)
    peer = bob.take(Invited).session
    session.cancel(alice.now)
    alice.network.run(SOON)
    peer.belong_to(bob)
    assert peer.user is bob
    assert bob.endpoint.owned == {}
