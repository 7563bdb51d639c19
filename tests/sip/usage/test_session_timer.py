"""Session timers (RFC 4028), hours of them on the virtual clock."""

import itertools
from typing import Any

import pytest

from sip.errors import InvalidValue
from sip.events import (
    Acknowledged,
    Answered,
    Closed,
    Hungup,
    Invited,
    Lost,
    RefreshDue,
    Refused,
    Reinvited,
    Requested,
)
from sip.message import Message, Request, Response
from sip.usage.invite import InviteSession
from sip.usage.session import CONFIRMED, TERMINATED
from sip.usage.session_timer import SessionTimers
from tests.sip.usage.calls import SOON, Sides, end, established, in_dialog
from tests.support.builders import request_text, response_text
from tests.support.network import ANSWER, OFFER, Network, Party, Stranger


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", "198.51.100.9")


def timed(party: Party, expires: int = 0, min_se: int = 90, refresher: str = "auto") -> Party:
    """The party with session timers."""
    SessionTimers(expires, min_se, refresher).serve(party.endpoint)
    return party


def without_update(party: Party) -> Party:
    """The party says nothing of UPDATE."""
    methods = tuple(m for m in party.endpoint.methods if m != "UPDATE")
    party.endpoint.methods = methods
    party.endpoint.support("timer")
    return party


def reoffering(event: object, now: float) -> None:
    """A party that refreshes when it is asked to, and answers its peer's."""
    if isinstance(event, RefreshDue):
        event.session.reinvite(now, OFFER)
    elif isinstance(event, Answered):
        event.session.acknowledge(now)
    elif isinstance(event, Reinvited):
        event.session.answer(now, ANSWER)
    elif isinstance(event, Hungup):
        event.session.confirm_bye(now)


def answering(event: object, now: float) -> None:
    """A party that takes every UPDATE, and knows nothing of timers."""
    if isinstance(event, Requested):
        event.transaction.respond(200, now)


def expect(carol: Stranger, method: str, count: int) -> None:
    """Wait for so many requests."""
    carol.network.run(60.0, until=lambda: len(carol.requests(method)) == count)


def only(party: Party) -> InviteSession:
    """The one session that there is."""
    (session,) = party.endpoint.sessions.values()
    assert isinstance(session, InviteSession)
    return session


def said(message: Message) -> tuple[str | None, str | None]:
    return message.get("session-expires"), message.get("min-se")


def invite(network: Network) -> Request:
    """The last INVITE that was sent."""
    return network.requests("INVITE")[-1]


def call(alice: Party, bob: Party) -> Sides:
    """An established call; the messages of it stay in the log."""
    session = alice.call(bob)
    alice.network.run(SOON)
    peer = bob.take(Invited).session
    peer.answer(bob.now, ANSWER)
    alice.network.run(SOON)
    alice.take(Answered)
    session.acknowledge(alice.now)
    alice.network.run(SOON)
    bob.take(Acknowledged)
    return session, peer


def answer(carol: Stranger, alice: Party, status: int, lines: str = "") -> None:
    """Answer the last request that carol got, ACK aside."""
    asked = [m for m in carol.received if isinstance(m, Request) and m.method != "ACK"][-1]
    contact = f"Contact: <{carol.uri}>\r\n"
    carol.send(alice, response_text(asked, status, "c", contact + lines))
    alice.network.run(SOON)


def call_to(carol: Stranger, alice: Party, lines: str = "") -> InviteSession:
    """A call to a stranger whose 200 has these lines."""
    session = alice.call(carol)
    alice.network.run(SOON)
    answer(carol, alice, 200, lines)
    alice.take(Answered)
    session.acknowledge(alice.now)
    alice.network.run(SOON)
    return session


def call_from(carol: Stranger, bob: Party, lines: dict[str, str | None]) -> Response | None:
    """The stranger calls; bob's 200, or None where he refused by himself."""
    headers = {"To": f"<{bob.uri}>", "Via": "SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKcall"}
    carol.send(bob, request_text("INVITE", {**headers, **lines}, uri=bob.uri))
    bob.network.run(SOON)
    if "Invited" not in bob.seen:
        return None
    session = bob.take(Invited).session
    session.answer(bob.now, ANSWER)
    bob.network.run(SOON)
    (response,) = [r for r in carol.responses("INVITE") if r.status == 200]
    carol.send(bob, in_dialog(session, "ACK", 1))
    bob.network.run(SOON)
    bob.take(Acknowledged)
    return response


# Nobody asks.


def test_without_timers_nothing_is_said(network: Network, alice: Party, bob: Party) -> None:
    timed(alice)
    timed(bob)
    session, peer = established(alice, bob)
    network.run(100_000.0)
    assert network.log == []
    assert session.timer is peer.timer is None
    end(network, session)


def test_understanding_is_declared(network: Network, alice: Party, bob: Party) -> None:
    """Section 7.1: Supported in every INVITE, also without a wish of our own."""
    timed(alice)
    timed(bob)
    session, _ = call(alice, bob)
    for message in (invite(network), network.responses("200 INVITE")[0]):
        assert message.has_option("supported", "timer")
        assert said(message) == (None, None)
    end(network, session)


def test_without_the_extension_it_is_refused_where_required(
    network: Network, carol: Stranger, bob: Party
) -> None:
    assert call_from(carol, bob, {"Require": "timer", "Session-Expires": "1800"}) is None
    (refusal,) = carol.responses("INVITE")
    assert (refusal.status, refusal.get("unsupported")) == (420, "timer")
    timed(bob)
    response = call_from(carol, bob, {"Require": "timer", "Session-Expires": "1800"})
    assert response is not None
    assert said(response) == ("1800;refresher=uac", None)


@pytest.mark.parametrize(
    "wish",
    [{"min_se": 0}, {"expires": 60}, {"expires": -1}, {"refresher": "me"}],
)
def test_impossible_wishes(wish: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        SessionTimers(**wish)


# The caller (section 7).


@pytest.mark.parametrize(
    ("refresher", "asked", "granted"),
    [
        ("auto", "1800", "1800;refresher=uac"),
        ("local", "1800;refresher=uac", "1800;refresher=uac"),
        ("remote", "1800;refresher=uas", "1800;refresher=uas"),
    ],
)
def test_who_refreshes(
    network: Network, alice: Party, bob: Party, refresher: str, asked: str, granted: str
) -> None:
    """Sections 7.1 and 9 (table 2), and 10: at half the interval, by UPDATE without SDP."""
    timed(alice, 1800, refresher=refresher)
    timed(bob)
    session, peer = call(alice, bob)
    assert said(invite(network)) == (asked, None)
    (ok,) = network.responses("200 INVITE")
    assert said(ok) == (granted, None)
    assert ok.has_option("require", "timer")
    assert session.timer is not None
    assert peer.timer is not None
    ours = "uac" in granted
    assert (session.timer.refreshing, peer.timer.refreshing) == (ours, not ours)
    network.log.clear()
    network.run(3 * 3600.0)
    who = "alice > bob" if ours else "bob > alice"
    assert network.ladder()[0] == f"{who} UPDATE"
    times = network.times("UPDATE")
    assert len(times) == 11
    gaps = [round(b - a) for a, b in itertools.pairwise(times)]
    assert gaps == [900] * 10
    for request in network.requests("UPDATE"):
        # Section 7.4: the interval as it is, and who refreshes, seen from this request.
        assert said(request) == ("1800;refresher=uac", None)
        assert request.has_option("supported", "timer")
        assert request.get("contact") is not None
        assert request.body == b""
    for response in network.responses("200 UPDATE"):
        assert said(response) == ("1800;refresher=uac", None)
        assert response.has_option("require", "timer")
        assert response.get("contact") is not None
    assert alice.seen == bob.seen == []
    end(network, session)


def test_a_single_call_may_ask(network: Network, alice: Party, bob: Party) -> None:
    timed(alice)
    timed(bob, 300)
    ask = alice.endpoint.invite
    session = ask(
        0.0, bob.uri, from_="<sip:a@b.example>", to="<sip:b@b.example>", session_expires=600,
        min_se=400,
    )  # fmt: skip
    network.run(SOON)
    assert said(invite(network)) == ("600", "400")
    bob.take(Invited).session.answer(bob.now, ANSWER)
    network.run(SOON)
    # Section 9: lowered, but not below Min-SE.
    assert said(network.responses("200 INVITE")[0]) == ("400;refresher=uac", None)
    session.acknowledge(alice.now)
    network.run(SOON)
    end(network, session)


def test_a_call_may_ask_for_none(network: Network, alice: Party, bob: Party) -> None:
    timed(alice, 600)
    session = alice.endpoint.invite(
        0.0, bob.uri, from_="<sip:a@b.example>", to="<sip:b@b.example>", session_expires=0
    )
    network.run(SOON)
    assert said(invite(network)) == (None, None)
    session.cancel(alice.now)
    network.run(SOON)


def test_a_refresh_by_reinvite(network: Network, alice: Party, bob: Party) -> None:
    """Section 7.4: where Allow lacks UPDATE; the description is the program's, unchanged."""
    timed(alice, 1800)
    timed(without_update(bob))
    session, _ = call(alice, bob)
    network.log.clear()
    alice.handler = bob.handler = reoffering
    network.run(3600.0)
    times = network.times("INVITE")
    assert [round(time) for time in times] == [900, 1800, 2700, 3600]
    for request in network.requests("INVITE"):
        assert said(request) == ("1800;refresher=uac", None)
        assert request.body == OFFER
    assert said(network.responses("200 INVITE")[0]) == ("1800;refresher=uac", None)
    end(network, session)


def test_the_peer_takes_no_update_whatever_it_says(
    network: Network, alice: Party, carol: Stranger
) -> None:
    timed(alice, 100)
    lines = "Allow: INVITE, UPDATE\r\nSession-Expires: 100;refresher=uac\r\nRequire: timer\r\n"
    session = call_to(carol, alice, lines)
    network.run(50.0)
    assert len(carol.requests("UPDATE")) == 1
    answer(carol, alice, 501)
    assert alice.take(RefreshDue).session is session
    session.reinvite(alice.now, OFFER)
    network.run(SOON)
    answer(carol, alice, 200, lines)
    alice.take(Answered)
    session.acknowledge(alice.now)
    network.run(51.0)
    assert len(carol.requests("UPDATE")) == 1, "its 200 says UPDATE again"
    assert alice.take(RefreshDue).session is session


def test_422_is_followed(network: Network, alice: Party, carol: Stranger) -> None:
    """Section 7.3: again, with the longer interval and the largest Min-SE seen."""
    timed(alice, 100)
    session = alice.call(carol)
    network.run(SOON)
    answer(carol, alice, 422, "Min-SE: 200\r\n")
    answer(carol, alice, 422, "Min-SE: 3000\r\n")
    assert [said(request) for request in carol.requests("INVITE")] == [
        ("100", None),
        ("200", "200"),
        ("3000", "3000"),
    ]
    assert len({request.call_id for request in carol.requests("INVITE")}) == 1
    answer(carol, alice, 200, "Session-Expires: 3000;refresher=uac\r\nAllow: UPDATE\r\n")
    alice.take(Answered)
    session.acknowledge(alice.now)
    network.run(1500.1)
    # Section 7.4: Min-SE stays for as long as the dialog.
    assert said(carol.requests("UPDATE")[0]) == ("3000;refresher=uac", "3000")
    answer(carol, alice, 422, "Min-SE: 4000\r\n")
    assert said(carol.requests("UPDATE")[1]) == ("4000;refresher=uac", "4000")
    answer(carol, alice, 200, "Session-Expires: 4000;refresher=uac\r\n")
    assert session.timer is not None
    assert session.timer.interval == 4000


@pytest.mark.parametrize("lines", ["", "Min-SE: x\r\n", "Min-SE: 100\r\n", "Min-SE: 90\r\n"])
def test_422_that_leads_nowhere(
    network: Network, alice: Party, carol: Stranger, lines: str
) -> None:
    timed(alice, 100)
    alice.call(carol)
    network.run(SOON)
    answer(carol, alice, 422, lines)
    assert alice.take(Refused).status == 422
    network.settle()


def test_422_to_a_call_without_timer(network: Network, alice: Party, carol: Stranger) -> None:
    timed(alice)
    alice.call(carol)
    network.run(SOON)
    answer(carol, alice, 422, "Min-SE: 100\r\n")
    assert alice.take(Refused).status == 422


def test_the_callee_knows_no_timers(network: Network, alice: Party, bob: Party) -> None:
    """Section 7.2: then the caller refreshes, for its own benefit only."""
    timed(alice, 1800, refresher="remote")
    session, _ = call(alice, bob)
    network.log.clear()
    bob.handler = answering
    network.run(4 * 900.0)
    assert [round(time) for time in network.times("UPDATE")] == [900, 1800, 2700, 3600]
    end(network, session)


def test_a_lone_refresher_does_not_end_the_session(
    network: Network, alice: Party, carol: Stranger
) -> None:
    """The peer answers: it is alive, and for it no session expires."""
    timed(alice, 100)
    session = call_to(carol, alice)
    for _ in range(3):
        network.run(50.0)
        assert isinstance(alice.take(RefreshDue), RefreshDue)
        session.reinvite(alice.now, OFFER)
        network.run(SOON)
        answer(carol, alice, 488)
        assert alice.take(Refused).status == 488
        alice.events.clear()
        network.run(50.0)
        alice.events.clear()
    assert session.state == CONFIRMED
    assert carol.requests("BYE") == []


def test_a_peer_that_is_gone_is_found_out(network: Network, alice: Party, carol: Stranger) -> None:
    """Section 10: 408 to the refresh ends the session, whoever wanted the timer."""
    timed(alice, 100)
    session = call_to(carol, alice, "Allow: UPDATE\r\n")
    network.run(50.0 + 33.0)
    assert alice.take(Lost).status == 408
    assert session.state == CONFIRMED, "its BYE is under way"
    network.run(33.0)
    assert alice.take(Closed).session is session
    network.settle()


def test_the_callee_brings_a_timer(network: Network, alice: Party, bob: Party) -> None:
    """Section 9: the 2xx may have Session-Expires where the INVITE had none."""
    timed(alice)
    timed(bob, 1200, refresher="local")
    session, peer = call(alice, bob)
    assert said(network.responses("200 INVITE")[0]) == ("1200;refresher=uas", None)
    assert session.timer is not None
    assert session.timer.refreshing is False
    network.log.clear()
    network.run(1300.0)
    assert network.ladder() == [
        "bob > alice UPDATE",
        "alice > bob 200 UPDATE",
        "bob > alice UPDATE",
        "alice > bob 200 UPDATE",
    ]
    end(network, peer)


def test_a_2xx_that_cannot_be_read(network: Network, alice: Party, carol: Stranger) -> None:
    timed(alice)
    session = call_to(carol, alice, "Session-Expires: soon\r\n")
    assert session.timer is None
    network.run(10_000.0)
    assert carol.requests("UPDATE") == []


def test_an_interval_too_short_is_not_served(
    network: Network, alice: Party, carol: Stranger
) -> None:
    """Section 9 forbids the callee to grant so little: the refreshes stay within reason."""
    timed(alice, 100)
    session = call_to(carol, alice, "Session-Expires: 1;refresher=uac\r\nAllow: UPDATE\r\n")
    assert session.timer is not None
    assert session.timer.interval == 10
    network.run(5.0)
    assert len(carol.requests("UPDATE")) == 1
    answer(carol, alice, 200, "Session-Expires: 100;refresher=uac\r\n")
    assert session.timer.interval == 100


def test_a_refresher_left_out_is_the_caller(
    network: Network, alice: Party, carol: Stranger
) -> None:
    timed(alice, 100)
    session = call_to(carol, alice, "Session-Expires: 100\r\n")
    assert session.timer is not None
    assert session.timer.refreshing is True


# The callee (section 9).


@pytest.mark.parametrize(
    ("supported", "asked", "refresher", "granted"),
    [  # the rows of table 2
        (None, "1800", "auto", "uas"),
        (None, "1800", "remote", "uas"),
        ("timer", "1800", "auto", "uac"),
        ("timer", "1800", "local", "uas"),
        ("100rel, timer", "1800", "remote", "uac"),
        ("timer", "1800;refresher=uac", "local", "uac"),
        ("timer", "1800;refresher=uas", "remote", "uas"),
    ],
)
def test_the_refresher_that_the_callee_names(
    network: Network, carol: Stranger, bob: Party,
    supported: str | None, asked: str, refresher: str, granted: str,
) -> None:  # fmt: skip
    timed(bob, refresher=refresher)
    response = call_from(carol, bob, {"Supported": supported, "Session-Expires": asked})
    assert response is not None
    assert said(response) == (f"1800;refresher={granted}", None)
    # Require only where the caller understands it; it must, where it is to refresh.
    assert response.has_option("require", "timer") == (supported is not None)


@pytest.mark.parametrize(
    ("ours", "asked", "min_se", "granted"),
    [
        (0, 1800, None, 1800),
        (600, 1800, None, 600),
        (600, 1800, 900, 900),
        (600, 500, None, 500),
        (600, None, None, 600),
        (600, None, 900, 900),
    ],
)
def test_the_interval_that_the_callee_grants(
    network: Network, carol: Stranger, bob: Party,
    ours: int, asked: int | None, min_se: int | None, granted: int,
) -> None:  # fmt: skip
    """Lower than asked, not higher, not below Min-SE, nor below 90 without it."""
    timed(bob, ours)
    lines = {"Supported": "timer", "Session-Expires": asked, "Min-SE": min_se}
    response = call_from(
        carol, bob, {name: None if value is None else str(value) for name, value in lines.items()}
    )
    assert response is not None
    assert said(response) == (f"{granted};refresher=uac", None)


@pytest.mark.parametrize("asked", ["89", "0"])
def test_too_short_an_interval_is_refused(
    network: Network, carol: Stranger, bob: Party, asked: str
) -> None:
    """Sections 6 and 9: 422 says what would do."""
    timed(bob)
    lines: dict[str, str | None] = {"Supported": "timer", "Session-Expires": asked}
    assert call_from(carol, bob, lines) is None
    refusal = carol.responses("INVITE")[-1]
    assert (refusal.status, refusal.get("min-se")) == (422, "90")
    ack = {"To": refusal.get("to"), "Via": "SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKcall"}
    carol.send(bob, request_text("ACK", {**ack, "CSeq": "1 ACK"}))
    network.settle()
    assert bob.seen == []


def test_422_would_mean_nothing_to_a_caller_without_timers(
    network: Network, carol: Stranger, bob: Party
) -> None:
    timed(bob)
    response = call_from(carol, bob, {"Session-Expires": "60"})
    assert response is not None
    assert said(response) == (None, None)


def test_a_malformed_wish_is_refused(network: Network, carol: Stranger, bob: Party) -> None:
    timed(bob)
    assert call_from(carol, bob, {"Session-Expires": "soon"}) is None
    refusal = carol.responses("INVITE")[-1]
    assert (refusal.status, refusal.reason) == (400, "Session-Expires is malformed")


def test_the_two_meet_at_422(network: Network, alice: Party, bob: Party) -> None:
    timed(alice, 100)
    timed(bob, min_se=2000)
    session, peer = call(alice, bob)
    assert [said(request) for request in network.requests("INVITE")] == [
        ("100", None),
        ("2000", "2000"),
    ]
    assert session.timer is not None
    assert peer.timer is not None
    assert session.timer.interval == peer.timer.interval == 2000
    end(network, session)


# The end (section 10).


@pytest.mark.parametrize(("expires", "margin"), [(1800, 32), (90, 30)])
def test_nobody_refreshes(
    network: Network, alice: Party, bob: Party, expires: int, margin: int
) -> None:
    """BYE shortly before the session expires, the smaller of 32 s and a third of it."""
    timed(alice, expires, refresher="local")
    timed(bob)
    _, peer = call(alice, bob)
    network.log.clear()
    alice.dead = True
    network.run(expires)
    (bye,) = {bye.head: bye for bye in network.requests("BYE")}.values()
    assert round(network.times("BYE")[0]) == expires - margin
    assert bye.get("reason") == 'SIP;cause=408;text="Session timer expired"'
    assert bob.take(Lost).status == 408
    network.run(40.0)
    assert peer.state == TERMINATED
    assert bob.leftovers() == {}


def test_the_refresher_gives_up_when_the_session_expires(
    network: Network, alice: Party, carol: Stranger
) -> None:
    """Other refusals than 408 and 481 are tolerated until then, and it tries again."""
    timed(alice, 100)
    lines = "Allow: UPDATE\r\nRequire: timer\r\nSession-Expires: 100;refresher=uac\r\n"
    session = call_to(carol, alice, lines)
    start = network.now
    for count in (1, 2):
        expect(carol, "UPDATE", count)
        answer(carol, alice, 503)
    assert session.state == CONFIRMED
    network.run(60.0, until=lambda: carol.requests("BYE") != [])
    assert 99 < network.now - start < 101
    assert [round(time - start) for time in network.times("UPDATE")] == [50, 75]
    assert alice.take(Lost).status == 408
    answer(carol, alice, 200)
    network.settle()


def test_481_to_the_refresh_ends_the_session(
    network: Network, alice: Party, carol: Stranger
) -> None:
    timed(alice, 100)
    call_to(carol, alice, "Allow: UPDATE\r\nSession-Expires: 100;refresher=uac\r\n")
    network.run(51.0)
    answer(carol, alice, 481)
    assert alice.take(Lost).status == 481
    answer(carol, alice, 200)
    network.settle()


def test_a_late_answer_to_the_refresh(network: Network, alice: Party, carol: Stranger) -> None:
    timed(alice, 100)
    session = call_to(carol, alice, "Allow: UPDATE\r\nSession-Expires: 100;refresher=uac\r\n")
    network.run(51.0)
    update = carol.requests("UPDATE")[0]
    session.bye(alice.now)
    network.run(SOON)
    carol.send(alice, response_text(update, 200, "c", "Session-Expires: 100;refresher=uac\r\n"))
    network.run(SOON)
    answer(carol, alice, 200)
    network.settle()


def test_a_late_refusal_of_the_refresh(network: Network, alice: Party, carol: Stranger) -> None:
    timed(alice, 100)
    session = call_to(carol, alice, "Allow: UPDATE\r\nSession-Expires: 100;refresher=uac\r\n")
    network.run(51.0)
    update = carol.requests("UPDATE")[0]
    session.bye(alice.now)
    network.run(SOON)
    carol.send(alice, response_text(update, 481, "c"))
    network.run(SOON)
    answer(carol, alice, 200)
    assert alice.seen == ["Closed"]
    network.settle()


def test_a_refresh_that_is_being_answered_saves_the_session(
    network: Network, alice: Party, bob: Party
) -> None:
    timed(alice, 90, refresher="local")
    timed(without_update(bob))
    session, _ = call(alice, bob)
    network.run(58.0)
    alice.events.clear()
    session.reinvite(alice.now, OFFER)
    network.run(10.0)
    bob.take(Reinvited).session.answer(bob.now, ANSWER)
    network.run(SOON)
    session.acknowledge(alice.now)
    network.run(40.0)
    assert session.state == CONFIRMED
    end(network, session)


def test_a_refresh_that_is_never_answered_does_not(
    network: Network, alice: Party, bob: Party
) -> None:
    timed(alice, 90, refresher="local")
    timed(without_update(bob))
    session, _ = call(alice, bob)
    network.run(58.0)
    session.reinvite(alice.now, OFFER)
    network.run(40.0)
    assert bob.take(Lost).status == 408
    bob.events.clear()
    alice.handler = reoffering
    network.settle()


# What else the session does.


def test_any_reinvite_refreshes(network: Network, alice: Party, bob: Party) -> None:
    """Section 7.4: also of the side that does not refresh; the roles stay."""
    timed(alice, 1800)
    timed(bob)
    session, peer = call(alice, bob)
    network.run(600.0)
    alice.handler = bob.handler = reoffering
    network.log.clear()
    peer.reinvite(bob.now, OFFER)
    network.run(SOON)
    (request,) = network.requests("INVITE")
    assert said(request) == ("1800;refresher=uas", None)
    assert said(network.responses("200 INVITE")[0]) == ("1800;refresher=uas", None)
    network.run(850.0)
    assert network.requests("UPDATE") == []
    network.run(60.0)
    assert network.ladder()[-2:] == ["alice > bob UPDATE", "bob > alice 200 UPDATE"]
    end(network, session)


def test_a_refresh_may_change_the_roles(network: Network, bob: Party, carol: Stranger) -> None:
    """Section 7.4: each refresh negotiates anew."""
    timed(bob)
    lines: dict[str, str | None] = {"Supported": "timer", "Session-Expires": "1800"}
    call_from(carol, bob, lines)
    session = only(bob)
    update: dict[str, str | None]
    update = {"Supported": "timer", "Session-Expires": "900;refresher=uas", "Min-SE": "300"}
    carol.send(bob, in_dialog(session, "UPDATE", 2, update))
    network.run(SOON)
    (ok,) = carol.responses("UPDATE")
    assert said(ok) == ("900;refresher=uas", None)
    assert session.timer is not None
    assert (session.timer.interval, session.timer.refreshing) == (900, True)
    network.run(451.0)
    assert bob.take(RefreshDue).session is session, "carol has no Allow"
    carol.send(bob, in_dialog(session, "UPDATE", 3, {"Session-Expires": "x"}))
    carol.send(bob, in_dialog(session, "UPDATE", 4, {**update, "Session-Expires": "60"}))
    network.run(SOON)
    assert carol.statuses("UPDATE") == [200, 400, 422]


def test_a_peer_that_stops_to_speak_of_timers(
    network: Network, bob: Party, carol: Stranger
) -> None:
    """Table 2: without Supported we refresh; with it, and no Session-Expires, nothing changes."""
    timed(bob)
    call_from(carol, bob, {"Supported": "timer", "Session-Expires": "1800"})
    session = only(bob)
    for number, supported in ((2, "timer"), (3, None)):
        carol.send(bob, in_dialog(session, "UPDATE", number, {"Supported": supported}))
        network.run(SOON)
        event = bob.take(Requested)  # it is not for the timer's sake
        event.transaction.respond(200, bob.now, session.agreement(event.request, bob.now))
        network.run(SOON)
    seconds = [said(response)[0] for response in carol.responses("UPDATE")]
    assert seconds == ["1800;refresher=uac", "1800;refresher=uas"]


def test_an_update_may_bring_the_timer(network: Network, bob: Party, carol: Stranger) -> None:
    timed(bob)
    call_from(carol, bob, {})
    session = only(bob)
    carol.send(bob, in_dialog(session, "UPDATE", 2, {"Session-Expires": "60"}))
    network.run(SOON)
    request = bob.take(Requested)
    assert request.session is session
    request.transaction.respond(200, bob.now)
    lines: dict[str, str | None] = {"Supported": "timer", "Session-Expires": "600"}
    carol.send(bob, in_dialog(session, "UPDATE", 3, lines))
    network.run(SOON)
    assert said(carol.responses("UPDATE")[-1]) == ("600;refresher=uac", None)


def test_an_update_with_an_offer(network: Network, alice: Party, bob: Party) -> None:
    """The program answers it; `agreement` has what the timer adds."""
    timed(alice, 1800)
    timed(bob)
    session, peer = call(alice, bob)
    network.run(300.0)
    session.update(alice.now, OFFER)
    network.run(SOON)
    event = bob.take(Requested)
    assert said(event.request) == ("1800;refresher=uac", None)
    lines = peer.agreement(event.request, bob.now) + "Content-Type: application/sdp\r\n"
    event.transaction.respond(200, bob.now, lines, ANSWER)
    network.run(SOON)
    (ok,) = network.responses("200 UPDATE")
    assert said(ok) == ("1800;refresher=uac", None)
    network.run(850.0)
    assert len(network.requests("UPDATE")) == 1
    network.run(60.0)
    assert len(network.requests("UPDATE")) == 2
    end(network, session)


def test_without_timer_the_agreement_is_the_contact(
    network: Network, alice: Party, bob: Party
) -> None:
    session, peer = established(alice, bob)
    session.update(alice.now)
    network.run(SOON)
    event = bob.take(Requested)
    assert peer.agreement(event.request, bob.now) == peer.contact
    event.transaction.respond(200, bob.now, peer.contact)
    end(network, session)


def test_early_updates_are_no_refreshes(network: Network, alice: Party, bob: Party) -> None:
    """Section 7: there is no session to refresh before the 2xx."""
    timed(alice, 1800)
    timed(bob)
    session = alice.call(bob)
    network.run(SOON)
    peer = bob.take(Invited).session
    peer.ring(bob.now)
    network.run(SOON)
    session.update(alice.now)
    network.run(SOON)
    event = bob.take(Requested)
    assert said(event.request) == (None, None)
    assert peer.agreement(event.request, bob.now) == peer.contact
    event.transaction.respond(200, bob.now, peer.contact)
    network.run(SOON)
    assert session.timer is not None
    assert session.timer.refreshing is None
    peer.answer(bob.now, ANSWER)
    network.run(SOON)
    session.acknowledge(alice.now)
    end(network, session)


def test_glare_of_refreshes(network: Network, alice: Party, bob: Party) -> None:
    """RFC 3261 section 14.1: a re-INVITE that met another comes again, and refreshes then."""
    timed(without_update(alice), 1800)
    timed(without_update(bob))
    session, peer = call(alice, bob)
    network.run(899.0)
    alice.handler = bob.handler = reoffering
    network.log.clear()
    session.reinvite(alice.now, OFFER)
    peer.reinvite(bob.now, OFFER)
    network.run(10.0)
    assert len(network.responses("491 INVITE")) == 2
    assert len(network.responses("200 INVITE")) == 2
    network.run(880.0)
    assert len(network.requests("INVITE")) == 4
    network.run(30.0)
    assert len(network.requests("INVITE")) == 5
    end(network, session)


def test_no_refresh_while_an_invite_is_under_way(
    network: Network, alice: Party, bob: Party
) -> None:
    timed(alice, 100)
    timed(bob)
    session, _ = call(alice, bob)
    network.log.clear()
    network.run(45.0)
    session.reinvite(alice.now, OFFER)
    network.run(10.0)
    assert network.requests("UPDATE") == []
    bob.take(Reinvited).session.answer(bob.now, ANSWER)
    network.run(SOON)
    alice.take(Answered)
    session.acknowledge(alice.now)
    network.run(45.0)
    assert network.requests("UPDATE") == []
    network.run(10.0)
    assert len(network.requests("UPDATE")) == 1
    end(network, session)


def test_nothing_is_left_of_a_timer(network: Network, alice: Party, bob: Party) -> None:
    timed(alice, 1800)
    timed(bob)
    session, _ = call(alice, bob)
    assert session.timer is not None
    assert repr(session.timer) == "<SessionTimer 1800 s, refreshing: True>"
    end(network, session)


def test_lost_messages_do_not_matter(network: Network, alice: Party, bob: Party) -> None:
    network.loss = 0.2
    timed(alice, 300)
    timed(bob)
    alice.handler = bob.handler = lambda event, now: (
        event.session.answer(now, ANSWER) if isinstance(event, Invited) else reoffering(event, now)
    )
    session = alice.call(bob)
    network.run(24 * 3600.0)
    assert session.state == CONFIRMED
    assert len({request.head for request in network.requests("UPDATE")}) > 550
    network.loss = 0.0
    end(network, session)
