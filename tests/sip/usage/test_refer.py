"""REFER and its NOTIFY, both roles (RFC 3515, RFC 6665)."""

import pytest

from sip.errors import InvalidState
from sip.events import Hungup, ReferProgressed, Referred
from sip.message import Request
from sip.usage.invite import InviteSession
from sip.usage.refer import ReceivedRefer, SentRefer
from tests.sip.usage.calls import (
    SOON,
    Sides,
    automatic,
    end,
    established,
    in_dialog,
    with_stranger,
)
from tests.support.builders import request_text, response_text
from tests.support.network import Network, Party, Stranger

TARGET = "sip:dave@example.com"
News = tuple[int, str, bool, bool]


@pytest.fixture
def call(alice: Party, bob: Party) -> Sides:
    return established(alice, bob)


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", "198.51.100.9")


def news(party: Party) -> list[News]:
    """Status, reason, notified and final of every report so far."""
    reports = [event for event in party.events if isinstance(event, ReferProgressed)]
    party.events = [event for event in party.events if event not in reports]
    return [(r.status, r.reason, r.notified, r.final) for r in reports]


def referred(
    network: Network, session: InviteSession, other: Party
) -> tuple[SentRefer, ReceivedRefer]:
    refer = session.refer(network.now, TARGET, "X-Own: 1\r\n")
    network.run(SOON)
    return refer, other.take(Referred).refer


def notify(
    session: InviteSession,
    number: int,
    body: str = "SIP/2.0 200 OK\r\n",
    /,
    **headers: str | None,
) -> bytes:
    """A NOTIFY of the stranger."""
    plain = in_dialog(session, "NOTIFY", number).decode()
    taken = dict(line.split(": ", 1) for line in plain.split("\r\n\r\n")[0].split("\r\n")[1:])
    fields: dict[str, str | None] = {
        **taken,
        "Event": "refer",
        "Subscription-State": "terminated;reason=noresource",
        "Content-Type": "message/sipfrag;version=2.0",
        "Content-Length": str(len(body)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return request_text("NOTIFY", fields, body)


# Both roles together.


@pytest.mark.parametrize("role", [0, 1])
def test_a_refer_that_succeeds(
    network: Network, alice: Party, bob: Party, call: Sides, role: int
) -> None:
    (session, party), (_peer, other) = [(call[0], alice), (call[1], bob)][:: 1 - 2 * role]
    refer, received = referred(network, session, other)
    [request] = network.requests("REFER")
    assert request.get("refer-to") == f"<{TARGET}>"
    assert request.get("x-own") == "1"
    assert received.target.uri == TARGET
    assert received.request.defect is None
    received.accept(network.now)
    network.run(SOON)
    received.notify(network.now, 180)
    network.run(SOON)
    received.notify(network.now, 200, "Fine")
    network.run(SOON)
    assert news(party) == [
        (202, "Accepted", False, False),
        (100, "Trying", True, False),
        (180, "Ringing", True, False),
        (200, "Fine", True, True),
    ]
    assert refer.over
    assert session.refers == {}
    end(network, session)


def test_the_notify_on_the_wire(network: Network, bob: Party, call: Sides) -> None:
    session, _ = call
    refer, received = referred(network, session, bob)
    received.accept(network.now)
    network.run(SOON)
    received.notify(network.now, 486)
    network.run(SOON)
    first, last = network.requests("NOTIFY")
    assert first.defect is None
    assert first.get("event") == f"refer;id={refer.number}"
    assert (first.get("subscription-state") or "").startswith("active;expires=")
    assert first.content_type == "message/sipfrag"
    assert first.body == b"SIP/2.0 100 Trying\r\n"
    assert first.contact is not None
    assert last.get("subscription-state") == "terminated;reason=noresource"
    assert last.body == b"SIP/2.0 486 Busy Here\r\n"
    [accepted] = network.responses("202 REFER")
    assert accepted.contact is not None


def test_a_refusal(network: Network, alice: Party, bob: Party, call: Sides) -> None:
    session, _ = call
    refer, received = referred(network, session, bob)
    received.reject(network.now, 603, "No")
    network.run(SOON)
    assert news(alice) == [(603, "No", False, True)]
    assert (refer.over, refer.status) == (True, 603)
    with pytest.raises(InvalidState):
        received.accept(network.now)
    with pytest.raises(InvalidState):
        received.notify(network.now, 200)
    end(network, session)


def test_the_verbs_once_only(network: Network, bob: Party, call: Sides) -> None:
    _, received = referred(network, call[0], bob)
    with pytest.raises(InvalidState):
        received.notify(network.now, 100)
    received.accept(network.now)
    with pytest.raises(InvalidState):
        received.reject(network.now, 603)
    received.notify(network.now, 200)
    with pytest.raises(InvalidState):
        received.notify(network.now, 200)


def test_two_refers_in_one_call(network: Network, alice: Party, bob: Party, call: Sides) -> None:
    one, to_one = referred(network, call[0], bob)
    two, to_two = referred(network, call[0], bob)
    to_one.accept(network.now)
    to_two.accept(network.now)
    to_two.notify(network.now, 200)
    network.run(SOON)
    assert (one.status, two.status) == (100, 200)
    assert call[0].refers == {one.number: one}
    to_one.notify(network.now, 404)
    network.run(SOON)
    assert one.status == 404
    end(network, call[0])


# The sender.


def test_notify_overtakes_202(network: Network, alice: Party, carol: Stranger) -> None:
    session = with_stranger(alice, carol)
    refer = session.refer(network.now, TARGET)
    network.run(SOON)
    carol.send(alice, notify(session, 5, "SIP/2.0 100 Trying\r\n", Subscription_State="active"))
    carol.send(alice, response_text(carol.requests("REFER")[0], 100))
    carol.send(alice, response_text(carol.requests("REFER")[0], 202, reason="Accepted"))
    carol.send(alice, notify(session, 6))
    network.run(SOON)
    assert carol.statuses("NOTIFY") == [200, 200]
    assert news(alice) == [
        (100, "Trying", True, False),
        (202, "Accepted", False, False),
        (200, "OK", True, True),
    ]
    assert refer.over


def test_the_outcome_overtakes_202(network: Network, alice: Party, carol: Stranger) -> None:
    session = with_stranger(alice, carol)
    session.refer(network.now, TARGET)
    network.run(SOON)
    carol.send(alice, notify(session, 5))
    carol.send(alice, response_text(carol.requests("REFER")[0], 202))
    network.run(SOON)
    assert news(alice) == [(200, "OK", True, True)]


def test_the_outcome_is_told_once(network: Network, alice: Party, carol: Stranger) -> None:
    """Some peers keep the subscription open after the outcome, and end it later."""
    session = with_stranger(alice, carol)
    refer = session.refer(network.now, TARGET)
    network.run(SOON)
    carol.send(alice, notify(session, 5, Subscription_State="active;expires=60"))
    network.run(SOON)
    assert (refer.final, refer.over) == (True, False)
    carol.send(alice, notify(session, 6, "", Content_Type=None))
    network.run(SOON)
    assert carol.statuses("NOTIFY") == [200, 200]
    assert news(alice) == [(200, "OK", True, True)]
    assert (refer.status, refer.over) == (200, True)


def test_the_end_without_an_outcome(network: Network, alice: Party, carol: Stranger) -> None:
    session = with_stranger(alice, carol)
    refer = session.refer(network.now, TARGET)
    network.run(SOON)
    state = "terminated;reason=timeout"
    carol.send(alice, notify(session, 5, "", Subscription_State=state, Content_Type=None))
    network.run(SOON)
    assert news(alice) == [(0, "timeout", True, True)]
    assert refer.over
    carol.send(alice, notify(session, 6))
    network.run(SOON)
    assert carol.statuses("NOTIFY") == [200, 481]


def test_an_empty_notify_is_no_news(network: Network, alice: Party, carol: Stranger) -> None:
    session = with_stranger(alice, carol)
    session.refer(network.now, TARGET)
    network.run(SOON)
    carol.send(alice, notify(session, 5, "", Subscription_State="pending", Content_Type=None))
    network.run(SOON)
    assert carol.statuses("NOTIFY") == [200]
    assert news(alice) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Event": None}, 481),
        ({"Event": "presence"}, 481),
        ({"Event": "refer;id=x"}, 481),
        ({"Event": "refer;id=99"}, 481),
        ({"Event": "refer;id=2"}, 200),
        ({"Event": "refer"}, 200),
        ({"Subscription_State": None}, 400),
        ({"Subscription_State": "=active"}, 400),
        ({"Subscription_State": "active;expires=x"}, 200),
        ({"Subscription_State": "terminated;reason=reason=noresource"}, 200),
        ({"Content_Type": "text/plain"}, 415),
    ],
)
def test_matching_a_notify(
    network: Network, alice: Party, carol: Stranger, headers: dict[str, str | None], status: int
) -> None:
    session = with_stranger(alice, carol)
    session.refer(network.now, TARGET)
    network.run(SOON)
    carol.send(alice, notify(session, 5, **headers))
    network.run(SOON)
    assert carol.statuses("NOTIFY") == [status]
    assert len(news(alice)) == (status == 200)
    if status == 415:
        assert carol.responses("NOTIFY")[0].get("accept") == "message/sipfrag"


def test_a_notify_that_nobody_asked_for(network: Network, alice: Party, carol: Stranger) -> None:
    session = with_stranger(alice, carol)
    carol.send(alice, notify(session, 5))
    network.run(SOON)
    assert carol.statuses("NOTIFY") == [481]


def test_no_response_to_refer(network: Network, alice: Party, carol: Stranger) -> None:
    session = with_stranger(alice, carol)
    refer = session.refer(network.now, TARGET)
    network.run(33.0)
    assert news(alice) == [(408, "Request Timeout", False, True)]
    assert refer.over


@pytest.mark.parametrize("outcome", [True, False])
def test_notify_after_bye(network: Network, alice: Party, carol: Stranger, outcome: bool) -> None:
    """The subscription keeps the dialog for a while (RFC 5057), for nothing else."""
    session = with_stranger(alice, carol)
    session.refer(network.now, TARGET)
    network.run(SOON)
    carol.send(alice, response_text(carol.requests("REFER")[0], 202, reason="Accepted"))
    carol.send(alice, in_dialog(session, "BYE", 5))
    network.run(SOON)
    alice.take(Hungup).session.confirm_bye(network.now)
    for number, method in enumerate(("INFO", "INVITE", "BYE", "UPDATE", "REFER"), 6):
        carol.send(alice, in_dialog(session, method, number))
        network.run(SOON)
        assert carol.statuses(method)[-1] == 481
    if outcome:
        carol.send(alice, notify(session, 20))
        network.run(SOON)
        assert news(alice)[-1] == (200, "OK", True, True)
        assert alice.endpoint.sessions == {}
    network.run(65.0)
    assert alice.leftovers() == {}


# The receiver.


def refer_of(session: InviteSession, number: int, headers: dict[str, str | None]) -> bytes:
    return in_dialog(session, "REFER", number, headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Refer-To": "<sip:open"},
        {"Refer-To": f"<{TARGET}>\r\nRefer-To: <{TARGET}>"},
        {"r": "nonsense"},
    ],
)
def test_refer_to_nobody(
    network: Network, alice: Party, carol: Stranger, headers: dict[str, str | None]
) -> None:  # section 2.4.2
    session = with_stranger(alice, carol)
    carol.send(alice, refer_of(session, 5, headers))
    network.run(SOON)
    assert carol.statuses("REFER") == [400]
    assert alice.seen == []


def test_refer_outside_a_call(network: Network, alice: Party, carol: Stranger) -> None:
    session = alice.call(carol)
    network.run(SOON)
    carol.send(alice, response_text(carol.requests("INVITE")[0], 180, "c"))
    network.run(SOON)
    carol.send(alice, refer_of(session, 5, {"Refer-To": f"<{TARGET}>"}))
    network.run(SOON)
    assert carol.statuses("REFER") == [500]  # it may have overtaken the 2xx


@pytest.mark.parametrize("status", [481, 0])
def test_a_notify_that_fails_ends_the_subscription(
    network: Network, alice: Party, carol: Stranger, status: int
) -> None:  # RFC 6665 section 4.2.2
    session = with_stranger(alice, carol)
    carol.send(alice, refer_of(session, 5, {"r": f"<{TARGET}>"}))
    network.run(SOON)
    received = alice.take(Referred).refer
    received.accept(network.now)
    network.run(SOON)
    if status:
        carol.send(alice, response_text(carol.requests("NOTIFY")[0], 100))
        carol.send(alice, response_text(carol.requests("NOTIFY")[0], status))
    network.run(33.0)
    received.notify(network.now, 200)  # nobody is told
    network.run(SOON)
    assert len({request.cseq for request in carol.requests("NOTIFY")}) == 1
    assert alice.seen == []  # the call goes on


def test_news_after_the_call_is_over(
    network: Network, alice: Party, bob: Party, call: Sides
) -> None:
    """A blind transfer: the sender hangs up, and the receiver still reports."""
    session, _peer = call
    _, received = referred(network, session, bob)
    received.accept(network.now)
    automatic(alice, bob)
    session.bye(network.now)
    network.run(SOON)
    received.notify(network.now, 200)
    network.run(SOON)
    assert news(alice)[-1] == (200, "OK", True, True)
    assert isinstance(network.packets("NOTIFY")[-1].message, Request)
    network.settle()
