"""SUBSCRIBE and NOTIFY (RFC 6665), subscriber and notifier."""

import pytest

from sip.errors import InvalidState, InvalidValue, PeerError
from sip.events import Hungup, Notified, Unsubscribed
from sip.message import Request
from sip.usage.notifier import Notifier
from sip.usage.session import Session
from sip.usage.subscriber import SentSubscription, subscribe, subscribe_in
from sip.usage.subscription import Subscription
from sip.values import EventType
from tests.sip.usage.calls import SOON, end, established
from tests.support.builders import request_text, response_text
from tests.support.network import Network, Party, Stranger

EVENT = EventType("weather")
FROM = "<sip:alice@example.com>"


class Weather:
    """A package: its subscriptions are told what the weather is."""

    name = "weather"
    content_type = "text/plain"
    default_expires = 600
    min_expires = 60
    max_expires = 3600

    def __init__(self) -> None:
        self.now = b"sun"
        self.subscriptions: list[Subscription] = []
        self.ended: list[Subscription] = []
        self.refuses = 0

    def subject(self, _session: Session, _request: Request, _now: float) -> "Weather":
        if self.refuses:
            raise PeerError("No", self.refuses)
        return self

    def news(self, subscription: Subscription) -> tuple[str, bytes]:
        if subscription not in self.subscriptions:
            self.subscriptions.append(subscription)
        return self.content_type, self.now

    def subscription_over(self, subscription: Subscription, _now: float) -> None:
        self.ended.append(subscription)


@pytest.fixture
def weather(bob: Party) -> Weather:
    package = Weather()
    Notifier(bob.endpoint, package)
    return package


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", "198.51.100.9")


def watch(alice: Party, to: Party | Stranger | str, **more: object) -> SentSubscription:
    uri = to if isinstance(to, str) else to.uri
    return subscribe(
        alice.endpoint,
        alice.now,
        uri,
        EVENT,
        from_=FROM,
        to=f"<{uri}>",
        **{"expires": 600, **more},  # type: ignore[arg-type]
    )


def heard(party: Party) -> list[tuple[str, bytes]]:
    """State and body of each NOTIFY since, then the reason of the end."""
    found: list[tuple[str, bytes]] = []
    for event in party.events:
        if isinstance(event, Notified):
            found.append((event.state.state, event.request.body))
        elif isinstance(event, Unsubscribed):
            found.append(("over", event.subscription.reason.encode()))
    party.events.clear()
    return found


# Both roles together.


def test_from_beginning_to_end(
    network: Network, alice: Party, bob: Party, weather: Weather
) -> None:
    sent = watch(alice, bob)
    network.run(SOON)
    assert network.ladder() == [
        "alice > bob SUBSCRIBE",
        "bob > alice 200 SUBSCRIBE",
        "bob > alice NOTIFY",
        "alice > bob 200 NOTIFY",
    ]
    assert heard(alice) == [("active", b"sun")]
    weather.now = b"rain"
    weather.subscriptions[0].changed(network.now)
    network.run(SOON)
    assert heard(alice) == [("active", b"rain")]
    sent.end(network.now)
    network.run(SOON)
    assert heard(alice) == [("terminated", b"rain"), ("over", b"timeout")]
    assert weather.ended == weather.subscriptions
    assert sent.over
    with pytest.raises(InvalidState):
        sent.end(network.now)
    network.settle()


def test_it_renews_itself(network: Network, alice: Party, bob: Party, weather: Weather) -> None:
    sent = watch(alice, bob)
    network.run(3000.0)
    assert not sent.over
    assert len(network.requests("SUBSCRIBE")) == 6
    assert len({request.call_id for request in network.requests("SUBSCRIBE")}) == 1
    weather.subscriptions[0].end(network.now, "deactivated", 7)
    network.run(SOON)
    assert heard(alice)[-1] == ("over", b"deactivated")
    assert sent.retry_after == 7
    network.settle()


def test_fetch(network: Network, alice: Party, bob: Party, weather: Weather) -> None:
    sent = watch(alice, bob, expires=0)
    network.run(SOON)
    assert heard(alice) == [("terminated", b"sun"), ("over", b"timeout")]
    assert sent.over
    network.settle()


def test_423_asks_for_longer(network: Network, alice: Party, bob: Party, weather: Weather) -> None:
    sent = watch(alice, bob, expires=10)
    network.run(SOON)
    assert sent.expires == 60
    assert heard(alice) == [("active", b"sun")]
    sent.end(network.now)
    network.run(SOON)
    network.settle()


@pytest.mark.parametrize(
    ("event", "status"), [("presence", 489), ("weather", 403), ("weather", 603)]
)
def test_refused(
    network: Network, alice: Party, bob: Party, weather: Weather, event: str, status: int
) -> None:
    weather.refuses = status
    sent = subscribe(
        alice.endpoint, alice.now, bob.uri, EventType(event), from_=FROM, to=f"<{bob.uri}>"
    )
    network.run(SOON)
    assert (sent.over, sent.status) == (True, status)
    [response] = network.responses(f"{status} SUBSCRIBE")
    assert (response.get("allow-events") == "refer, weather") is (status == 489)
    assert [kind for kind, _ in heard(alice)] == ["over"]
    network.settle()


def test_pending_until_approved(
    network: Network, alice: Party, bob: Party, weather: Weather
) -> None:
    """Section 4.2.2: whoever may not know yet is told nothing."""
    session, peer = established(alice, bob)
    sent = subscribe_in(session, network.now, EventType("weather", "7"))
    network.run(SOON)
    heard(alice)
    served = Subscription(peer, EventType("weather", "8"), weather)
    other = SentSubscription(session, EventType("weather", "8"), 600, (), "")
    assert session.watches is not None
    session.watches["weather;id=8"] = other
    served.open(network.now, 300, pending=True)
    served.changed(network.now)
    network.run(SOON)
    assert heard(alice) == [("pending", b"")]
    served.refresh(network.now, 300)
    served.approve(network.now)
    network.run(SOON)
    assert heard(alice) == [("pending", b""), ("active", b"sun")]
    served.end(network.now, "rejected")
    sent.end(network.now)
    network.run(SOON)
    assert heard(alice)[0:2] == [("terminated", b"sun"), ("over", b"rejected")]
    end(network, session)


@pytest.mark.parametrize("role", [0, 1])
def test_in_the_dialog_of_a_call(network: Network, alice: Party, bob: Party, role: int) -> None:
    """RFC 5057: the two usages share the dialog, and end each by itself."""
    sides = established(alice, bob)
    party, other = ((alice, bob), (bob, alice))[role]
    weather = Weather()
    Notifier(other.endpoint, weather)
    sent = subscribe_in(sides[role], network.now, EVENT, lines="X-Own: 1\r\n")
    network.run(SOON)
    [request] = network.requests("SUBSCRIBE")
    assert request.call_id == sides[0].dialog.call_id
    assert request.get("x-own") == "1"
    assert heard(party) == [("active", b"sun")]
    with pytest.raises(InvalidState):
        subscribe_in(sides[role], network.now, EVENT)
    sides[role].bye(network.now)
    network.run(SOON)
    other.take(Hungup).session.confirm_bye(network.now)
    network.run(100.0)
    weather.subscriptions[0].changed(network.now)
    network.run(SOON)
    assert heard(party)[-1] == ("active", b"sun")
    sent.end(network.now)
    network.run(SOON)
    assert heard(party)[-1] == ("over", b"timeout")
    network.settle()


def test_no_dialog(network: Network, alice: Party, bob: Party) -> None:
    session = alice.call(bob)
    with pytest.raises(InvalidState):
        subscribe_in(session, network.now, EVENT)


@pytest.mark.parametrize("uri", ["tel:1", "sip:bob@\r\nX: y"])
def test_a_destination_that_cannot_be_used(alice: Party, uri: str) -> None:
    with pytest.raises(InvalidValue):
        subscribe(alice.endpoint, 0.0, uri, EVENT, from_=FROM, to="<sip:bob@example.com>")
    assert alice.endpoint.sessions == {}


# The subscriber, before a stranger.


def notify(
    carol: Stranger,
    to: Party,
    number: int = 1,
    state: str | None = "active;expires=600",
    tag: str = "carol",
    **headers: str | None,
) -> None:
    subscribed = carol.requests("SUBSCRIBE")[0]
    fields: dict[str, str | None] = {
        "From": f"{subscribed.get('to')};tag={tag}",
        "To": subscribed.get("from"),
        "Call-ID": subscribed.call_id,
        "CSeq": f"{number} NOTIFY",
        "Via": f"SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKn{number}{tag};rport",
        "Event": "weather",
        "Subscription-State": state,
        "Record-Route": "<sip:198.51.100.9;lr>",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    carol.send(to, request_text("NOTIFY", fields))


def accept(carol: Stranger, to: Party, seconds: int = 600, at: int = -1, status: int = 200) -> None:
    lines = f"Contact: <{carol.uri}>\r\nExpires: {seconds}\r\n"
    carol.send(to, response_text(carol.requests("SUBSCRIBE")[at], status, "carol", lines))


def test_notify_before_the_2xx(network: Network, alice: Party, carol: Stranger) -> None:
    """Section 4.4.1: the NOTIFY makes the dialog."""
    sent = watch(alice, carol)
    network.run(SOON)
    notify(carol, alice)
    network.run(SOON)
    assert carol.statuses("NOTIFY") == [200]
    accept(carol, alice)
    network.run(SOON)
    assert heard(alice) == [("active", b"")]
    assert sent.session.dialog.remote_tag == "carol"
    sent.end(network.now)
    network.run(SOON)
    last = carol.requests("SUBSCRIBE")[-1]
    assert (last.to_tag, last.get("expires")) == ("carol", "0")
    assert last.get("route") == "<sip:198.51.100.9;lr>"
    notify(carol, alice, 2, "terminated;reason=timeout")
    network.run(33.0)
    assert heard(alice)[-1][0] == "over"


def test_forked(network: Network, alice: Party, carol: Stranger) -> None:
    """The first branch to notify is subscribed to; 481 ends the other (section 5.4.9)."""
    sent = watch(alice, carol)
    network.run(SOON)
    accept(carol, alice)
    notify(carol, alice, tag="one")
    notify(carol, alice, tag="two")
    network.run(SOON)
    assert carol.statuses("NOTIFY") == [200, 481]
    assert sent.session.dialog.remote_tag == "one"
    sent.end(network.now)
    network.run(40.0)
    assert sent.over


def test_timer_n(network: Network, alice: Party, carol: Stranger) -> None:
    """Section 4.1.2.4: a 2xx alone is no subscription."""
    sent = watch(alice, carol)
    network.run(SOON)
    accept(carol, alice)
    network.run(31.5)
    assert not sent.over
    network.run(1.0)
    assert heard(alice) == [("over", b"timeout")]
    assert alice.endpoint.sessions == {}


def test_no_response_at_all(network: Network, alice: Party, carol: Stranger) -> None:
    sent = watch(alice, carol)
    network.run(33.0)
    assert (sent.over, sent.status in (0, 408)) == (True, True)
    network.settle()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"state": None}, 400),
        ({"state": ";;"}, 400),
        ({"Event": "presence"}, 481),
        ({"Event": None}, 481),
        ({"Event": "weather;id=1"}, 481),
        ({"Content_Type": "text/html", "Content_Length": "0"}, 200),
    ],
)
def test_a_notify_that_is_not_understood(
    network: Network, alice: Party, carol: Stranger, headers: dict[str, str | None], status: int
) -> None:
    sent = watch(alice, carol, accept=("text/plain",))
    network.run(SOON)
    assert carol.requests("SUBSCRIBE")[0].get("accept") == "text/plain"
    accept(carol, alice)
    notify(carol, alice, 1, **headers)  # type: ignore[arg-type]
    network.run(SOON)
    assert carol.statuses("NOTIFY") == [status]
    assert not sent.over
    network.run(40.0)


def test_a_body_that_was_not_asked_for(network: Network, alice: Party, bob: Party) -> None:
    weather = Weather()
    Notifier(bob.endpoint, weather)
    session, _ = established(alice, bob)
    sent = SentSubscription(session, EVENT, 600, ("text/html",), "")
    session.watches = {"weather": sent}
    Subscription(_, EVENT, weather).open(network.now, 60)
    network.run(SOON)
    assert network.responses("415 NOTIFY")
    session.watches = None
    end(network, session)


@pytest.mark.parametrize(("status", "over"), [(481, True), (489, True), (500, False), (403, False)])
def test_a_renewal_that_is_refused(
    network: Network, alice: Party, carol: Stranger, status: int, over: bool
) -> None:
    """Section 4.1.2.2: some mean the end, after others it lasts its time."""
    sent = watch(alice, carol)
    network.run(SOON)
    accept(carol, alice)
    notify(carol, alice)
    network.run(571.0)
    assert len({request.cseq for request in carol.requests("SUBSCRIBE")}) == 2
    accept(carol, alice, status=status)
    network.run(SOON)
    assert sent.over is over
    network.run(31.0)
    assert heard(alice)[-1][0] == "over"
    assert sent.over


def test_the_notifier_shortens_it(network: Network, alice: Party, carol: Stranger) -> None:
    watch(alice, carol)
    network.run(SOON)
    accept(carol, alice)
    notify(carol, alice, state="pending;expires=40")
    network.run(19.0)
    assert len(carol.requests("SUBSCRIBE")) == 1
    network.run(2.0)
    assert len({request.cseq for request in carol.requests("SUBSCRIBE")}) == 2
    network.run(40.0)
    assert heard(alice)[-1] == ("over", b"timeout")


def test_a_request_that_does_not_belong(network: Network, alice: Party, carol: Stranger) -> None:
    watch(alice, carol)
    network.run(SOON)
    subscribed = carol.requests("SUBSCRIBE")[0]
    fields = {
        "From": f"{subscribed.get('to')};tag=carol",
        "To": subscribed.get("from"),
        "Call-ID": subscribed.call_id,
        "CSeq": "1 INFO",
    }
    carol.send(alice, request_text("INFO", fields))
    network.run(SOON)
    notify(carol, alice)
    carol.send(
        alice,
        request_text(
            "INFO",
            {
                **fields,
                "CSeq": "7 INFO",
                "Via": "SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKinfo;rport",
            },
        ),
    )
    network.run(SOON)
    assert carol.statuses("INFO") == [500, 481]  # the first before there is a dialog
    network.run(700.0)


def test_over_a_stream_news_go_back_the_way_that_subscribe_came(network: Network) -> None:
    """Its Contact may lead nowhere: behind NAT the connection is the way (RFC 5626 4.3)."""
    server = network.add("server", reliable=True)
    package = Weather()
    Notifier(server.endpoint, package)
    phone = network.add("phone", reliable=True)
    watch(phone, f"{server.uri};transport=tcp")
    network.run(SOON)
    [subscription] = package.subscriptions
    assert subscription.session.flow == phone.address
