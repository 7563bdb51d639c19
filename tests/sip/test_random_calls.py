"""Hundreds of calls over a bad network: each ends right on both sides, and nothing is left.

The long run of the same is `make soak`.
"""

import pytest

from sip.events import Answered, Lost, ReferProgressed, Responded
from tests.soak.calls import Play
from tests.soak.verdict import BYE, CANCELLED, HUNG_UP, NEVER_HEARD, NO_ANSWER, fits, judge
from tests.support.network import Network, Packet
from tests.support.rules import Rules

pytestmark = pytest.mark.thousands


@pytest.mark.parametrize("seed", [1, 2, 131])
@pytest.mark.parametrize("loss", [0.0, 0.1, 0.2, 0.3])
def test_every_call_ends_right_on_both_sides(loss: float, seed: int) -> None:
    play = Play(seed, loss)
    play.run()
    ends, wrong = judge(play)
    assert wrong == []
    assert ends.total() == play.calls == 100
    assert len(ends) >= 5


@pytest.mark.parametrize(
    ("caller", "callee", "fit"),
    [
        (BYE, HUNG_UP, True),
        (BYE, BYE, True),
        (HUNG_UP, HUNG_UP, False),
        (HUNG_UP, NEVER_HEARD, False),
        ("rejected with 486", "rejected with 486", True),
        ("rejected with 486", "rejected with 480", False),
        (CANCELLED, CANCELLED, True),
        (CANCELLED, BYE, False),
        (NO_ANSWER, NEVER_HEARD, True),
        (NO_ANSWER, HUNG_UP, False),
    ],
)
def test_what_fits_together(caller: str, callee: str, fit: bool) -> None:
    assert fits(caller, callee) is fit


def test_a_broken_rule_is_seen() -> None:
    network = Network()
    alice, bob = network.add("alice"), network.add("bob")
    alice.call(bob)
    network.run(0.1)
    invite = network.packets("INVITE")[0].data
    ringing = network.packets("100 INVITE")[0].data
    busy, answer = (ringing.replace(b" 100 Trying", end) for end in (b" 486 No", b" 200 OK"))
    rules = Rules()
    for data in (
        invite,
        invite,
        busy,
        busy,
        answer,
        invite.replace(b"branch=", b"branch=z9hG4bKnew"),
        invite.replace(b"INVITE sip", b"ACK sip").replace(b"1 INVITE", b"2 ACK"),
        invite.replace(b"INVITE sip", b"CANCEL sip").replace(b"1 INVITE", b"2 CANCEL"),
    ):
        rules.see(Packet(0.0, "alice", "bob", data))
    assert rules.packets == 8
    assert [text.split("\n")[0] for text in rules.broken] == [
        f"0.000 alice > bob {what}"
        for what in (
            f"200 INVITE: answered {(486, answer.split(b'tag=')[2][:10].decode())} before",
            "INVITE: CSeq does not grow beyond 1",
            "ACK: no INVITE has the CSeq 2",
            "CANCEL: no INVITE has this branch and CSeq",
        )
    ]


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
