"""Refused at the door: nothing is made of it, copies are answered alike, all else passes."""

from random import Random

import pytest

from sip.door import AT_ONCE, MOST_REMEMBERED, MOST_WAITING, REMEMBERED, RETRY_AFTER, Door
from sip.endpoint import Endpoint
from sip.events import Answered, Closed, Hungup, Invited, Reinvited
from sip.ids import IdSource
from sip.knock import Knock
from sip.message import Response, parse
from sip.transport import Address, Listener
from sip.usage.named import replaces_of
from sip.usage.screen import Ban, Limits, Rule, Screen
from tests.support.builders import HEADERS, PEER, request_text
from tests.support.leftovers import endpoint_leftovers
from tests.support.network import ANSWER, OFFER, Network, Party, Stranger

DELAY = 0.2


class Keeper:
    """Refuses while `closed`, and whoever is late, but for calls to the `urgent` URI; the others
    it was asked of are `let_in`, those whose refusal was counted `refused`."""

    def __init__(self, door: Door, *, closed: bool = True, watched: bool = True) -> None:
        self.closed = closed
        self.urgent = ""
        self.refused: list[str] = []
        self.let_in: list[str] = []
        door.watch(self, always=watched, delay=DELAY)

    def shut(self, now: float) -> bool:
        return self.closed

    def refuses(self, knock: Knock, now: float, *, late: bool) -> str:
        reason = "late" if late else "closed" if self.closed else ""
        if not reason or knock.uri == self.urgent:
            reason = ""
            self.let_in.append(knock.key)
        return reason

    def count(self, reason: str, now: float) -> None:
        self.refused.append(reason)


def invite(number: int, **more: str) -> bytes:
    """The INVITE of another call."""
    headers = {
        "Via": f"SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK{number};rport",
        "Call-ID": f"{number}@198.51.100.9",
    }
    return request_text("INVITE", headers | more)


def ack_to(response: Response, number: int) -> bytes:
    """The ACK of a client transaction (section 17.1.1.3)."""
    return request_text(
        "ACK",
        {
            "Via": f"SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK{number};rport",
            "Call-ID": response.call_id,
            "To": response.get("to"),
        },
    )


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", *PEER)


def answer(network: Network, carol: Stranger, bob: Party, data: bytes) -> Response:
    """The response to one more message of carol's."""
    before = len(carol.received)
    carol.send(bob, data)
    network.run(0.1)
    response = carol.received[before]
    assert isinstance(response, Response)
    return response


def test_nothing_is_made_of_a_refused_call(network: Network, carol: Stranger, bob: Party) -> None:
    """RFC 3261 section 8.2.7; section 8.2.6.2: what every response copies."""
    keeper = Keeper(bob.endpoint.door)
    response = answer(network, carol, bob, invite(1))
    assert (response.status, response.reason) == (503, "Service Unavailable")
    sent = parse(invite(1))
    assert [response.get(key) for key in ("from", "call-id", "cseq")] == [
        sent.get(key) for key in ("from", "call-id", "cseq")
    ]
    assert ";received=198.51.100.9" in response.top_via
    assert response.to_tag
    assert RETRY_AFTER <= int(response.get("retry-after") or 0) <= 2 * RETRY_AFTER
    assert endpoint_leftovers(bob.endpoint) == {}
    assert bob.events == []
    assert len(keeper.refused) == 1


def test_copies_are_answered_alike(network: Network, carol: Stranger, bob: Party) -> None:
    """Also when the door has opened meanwhile: who got 503 has given the call up."""
    keeper = Keeper(bob.endpoint.door)
    first = answer(network, carol, bob, invite(1))
    keeper.closed = False
    for _ in range(3):
        again = answer(network, carol, bob, invite(1))
        assert again.to_bytes() == first.to_bytes()
    assert len(keeper.refused) == 1  # counted once
    assert bob.events == []


def test_the_same_over_tcp(network: Network, carol: Stranger, bob: Party) -> None:
    Keeper(bob.endpoint.door)
    listener = bob.listen("TCP", port=5070)
    bob.endpoint.receive_datagram(invite(1), ("198.51.100.9", 40_000), listener, network.now)
    ((way, address, data),) = bob.endpoint.outbox
    assert (way, tuple(address)) == (listener, ("198.51.100.9", 40_000))
    assert parse(data).to_bytes().startswith(b"SIP/2.0 503 ")
    bob.endpoint.outbox.clear()


def test_the_ack_to_a_refusal_is_absorbed(network: Network, carol: Stranger, bob: Party) -> None:
    Keeper(bob.endpoint.door)
    response = answer(network, carol, bob, invite(1))
    carol.send(bob, ack_to(response, 1))
    network.run(0.1)
    assert len(carol.received) == 1
    assert bob.endpoint.discarded == 0
    assert endpoint_leftovers(bob.endpoint) == {}


def test_another_call_of_the_same_caller_is_another_refusal(
    network: Network, carol: Stranger, bob: Party
) -> None:
    """It is judged anew, has a To tag of its own, and mostly another time to come back."""
    keeper = Keeper(bob.endpoint.door)
    responses = [answer(network, carol, bob, invite(number)) for number in range(60)]
    assert len({response.to_tag for response in responses}) == 60
    waits = [int(response.get("retry-after") or 0) for response in responses]
    assert set(waits) == set(range(RETRY_AFTER, 2 * RETRY_AFTER + 1))
    keeper.closed = False
    carol.send(bob, invite(60))
    network.run(0.1)
    assert bob.take(Invited).request.call_id == "60@198.51.100.9"
    bob.endpoint.sessions.popitem()
    bob.endpoint.servers.popitem()
    bob.endpoint.merged.clear()


def test_what_is_there_goes_on(network: Network, alice: Party, bob: Party) -> None:
    """Copies of an INVITE that was let in, re-INVITE, ACK, BYE and OPTIONS pass."""
    keeper = Keeper(bob.endpoint.door, closed=False)
    session = alice.call(bob)
    network.run(0.1)
    keeper.closed = True
    (first,) = [p.data for p in network.log if p.summary == "INVITE"]
    network.post(alice.address, bob.address, first)
    network.run(0.1)
    bob.take(Invited).session.answer(network.now, ANSWER)
    network.run(0.1)
    alice.take(Answered)
    session.acknowledge(network.now)
    network.run(0.1)
    session.reinvite(network.now, OFFER)
    network.run(0.1)
    bob.take(Reinvited).session.answer(network.now, ANSWER)
    network.run(0.1)
    alice.take(Answered)
    session.acknowledge(network.now)
    alice.endpoint.options(network.now, bob.uri, from_="<sip:alice@a>", context=None)
    session.bye(network.now)
    network.run(0.1)
    bob.take(Hungup).session.confirm_bye(network.now)
    network.run(0.1)
    alice.take(Closed)
    assert "503 INVITE" not in [packet.summary for packet in network.log]
    assert keeper.refused == []
    network.settle()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"From": None}, 400),
        ({"CSeq": None}, 400),
        ({"Max-Forwards": "70\r\nTo: <sip:twice@b>"}, 400),
        ({"Via": "SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK1;;", "Call-ID": None}, 400),
        ({"To": "<sip:bob@192.0.2.1>;tag=unknown"}, 481),
    ],
)
def test_what_is_no_new_call_is_answered_as_ever(
    network: Network, carol: Stranger, bob: Party, headers: dict[str, str | None], status: int
) -> None:
    Keeper(bob.endpoint.door)
    assert answer(network, carol, bob, request_text("INVITE", headers)).status == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Via": None, "v": HEADERS["Via"], "Call-ID": None, "i": "1@a"},
        {"Via": "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK1,\r\n SIP/2.0/UDP far;branch=z9hG4bK2"},
        {"Via": "SIP/2.0/UDP 198.51.100.9", "From": '"a;tag=b" <sip:a@b>;tag=c;tag=d'},
        {"From": "sip:a@b", "To": "sip:b@c"},
    ],
)
def test_unusual_spellings_are_refused_too(
    network: Network, carol: Stranger, bob: Party, headers: dict[str, str | None]
) -> None:
    """Compact forms, folded lines, a list of Vias, and no cookie (RFC 2543)."""
    Keeper(bob.endpoint.door)
    data = request_text("INVITE", headers)
    response = answer(network, carol, bob, data)
    assert (response.status, len(response.values("via"))) == (503, len(parse(data).values("via")))
    assert answer(network, carol, bob, data).to_bytes() == response.to_bytes()
    assert endpoint_leftovers(bob.endpoint) == {}


# Who may not call at all.


@pytest.mark.parametrize(("silent", "answers"), [(True, []), (False, [403])])
def test_who_may_not_call_hears_no_503(
    network: Network, carol: Stranger, bob: Party, silent: bool, answers: list[int]
) -> None:
    """The door of a server under attack tells nobody that there is one."""
    keeper = Keeper(bob.endpoint.door)
    bob.endpoint.screen = screen = Screen({})
    screen.rules[bob.listener] = Rule(lambda _host: False, {}, silent=silent)
    for _ in range(3):
        carol.send(bob, invite(1))
    network.run(0.1)
    assert carol.statuses("INVITE") == 3 * answers
    assert keeper.refused == []  # it is none of the calls that there is too much of
    assert bob.endpoint.door.remembered == 0


def test_refusals_are_within_the_limits_of_a_source(
    network: Network, carol: Stranger, bob: Party
) -> None:
    """Else a forged sender would make us flood whom it names."""
    Keeper(bob.endpoint.door)
    bob.endpoint.screen = screen = Screen({})
    screen.limits = Limits(rate=1.0, burst=5.0)
    for number in range(50):
        carol.send(bob, invite(number))
    network.run(0.1)
    assert carol.statuses("INVITE") == 5 * [503], "over its rate it hears nothing"


# What is remembered.


def alone() -> tuple[Endpoint, Listener]:
    """An endpoint without a network."""
    listener = Listener("UDP", "192.0.2.1", 5060)
    return Endpoint([listener], IdSource(Random(1).randbytes)), listener


def test_what_is_remembered_is_bounded_and_forgotten() -> None:
    endpoint, listener = alone()
    door = endpoint.door
    keeper = Keeper(door, closed=False, watched=False)
    most = 0
    for number in range(2 * MOST_REMEMBERED + 10):
        assert door.turn_away(invite(number), PEER, listener, 0.0, True)
        endpoint.outbox.clear()
        most = max(most, door.remembered)
    assert len(keeper.refused) == 2 * MOST_REMEMBERED + 10
    assert most == 2 * MOST_REMEMBERED
    assert door.remembered == MOST_REMEMBERED + 10
    assert door.alert
    later = 3 * REMEMBERED
    for number in range(2):  # the first that come when the time is over
        endpoint.receive_datagram(invite(-number), PEER, listener, later + number * REMEMBERED)
    assert door.remembered == 0
    assert not door.alert


# Those who wait.


def offered(door: Door, listener: Listener, numbers: range, now: float, age: float = 0.0) -> None:
    for number in numbers:
        door.take(invite(number), PEER, listener, now, age)


def calls(endpoint: Endpoint) -> list[int]:
    """The numbers of the calls that were let in, in order."""
    return [int(tx.request.call_id.partition("@")[0]) for tx in endpoint.servers.values()]


def refusals(endpoint: Endpoint) -> list[int]:
    """Those that got 503, in order."""
    sent = [parse(data) for _, _, data in endpoint.outbox]
    refused = [m for m in sent if isinstance(m, Response) and m.status == 503]
    return [int(message.call_id.partition("@")[0]) for message in refused]


def test_calls_wait_when_too_many_come_at_once() -> None:
    endpoint, listener = alone()
    door = endpoint.door
    keeper = Keeper(door, closed=False, watched=False)
    offered(door, listener, range(AT_ONCE + 3), 1.0)
    assert calls(endpoint) == list(range(AT_ONCE))
    assert [door.next(1.0, busy=False) for _ in range(4)] == [True, True, True, False]
    assert calls(endpoint) == list(range(AT_ONCE + 3))
    assert keeper.refused == []


def test_nobody_is_let_in_while_all_else_keeps_the_server_busy() -> None:
    endpoint, listener = alone()
    door = endpoint.door
    Keeper(door, closed=False, watched=False)
    offered(door, listener, range(AT_ONCE + 1), 1.0)
    assert not door.next(1.0, busy=True)
    assert door.next(1.0 + 2 * DELAY, busy=True)  # but who is late hears so
    assert refusals(endpoint) == [AT_ONCE]


def test_who_has_waited_too_long_is_refused() -> None:
    """As many are let in as there is time for; nobody waits longer than the delay."""
    endpoint, listener = alone()
    door = endpoint.door
    keeper = Keeper(door, closed=False, watched=False)
    door.taken = AT_ONCE
    number = 0
    for step in range(1000):  # a second: 4 come in each ms, there is time for 1
        now = step / 1000
        offered(door, listener, range(number, number + 4), now)
        number += 4
        let_in = len(endpoint.servers)
        while len(endpoint.servers) == let_in and door.next(now, busy=False):
            pass
    assert len(endpoint.servers) == 1000  # none of its time is lost
    assert len(set(calls(endpoint) + refusals(endpoint))) == number - door.waiting
    assert door.waiting <= 4 * 1000 * (DELAY + 0.01)
    assert len(keeper.refused) == len(set(refusals(endpoint)))
    # The load falls: within the delay nobody waits any more.
    until = 1.0 + DELAY + 0.01
    while door.next(until, busy=False):
        pass
    assert door.waiting == 0


class Flood:
    """An endpoint in its third second of four calls a millisecond, of which there is time for
    one; `number` is that of the next."""

    def __init__(self, *, strangers: bool = False) -> None:
        self.endpoint, self.listener = alone()
        if strangers:
            self.endpoint.screen = Screen(self.endpoint.unacknowledged)
        self.door = self.endpoint.door
        self.keeper = Keeper(self.door, closed=False, watched=False)
        self.number = 0
        self.now = 1.0
        self.door.taken = AT_ONCE
        self.go_on(2000)

    def go_on(self, milliseconds: int) -> None:
        for _ in range(milliseconds):
            self.now += 0.001
            self.offer(4)
            before = len(self.endpoint.servers)
            while len(self.endpoint.servers) == before and self.door.next(self.now, busy=False):
                pass

    def offer(self, many: int, address: Address = PEER) -> None:
        for number in range(self.number, self.number + many):
            self.door.take(invite(number), address, self.listener, self.now)
        self.number += many

    def refused(self) -> list[int]:
        """Those that are refused, since this was asked last."""
        found = refusals(self.endpoint)
        self.endpoint.outbox.clear()
        return found


def test_who_would_wait_too_long_is_refused_at_once() -> None:
    """A queue that stays has places for as many as come in within half the delay."""
    flood = Flood()
    assert 80 <= flood.door.waiting <= 120
    flood.refused()
    let_in = len(flood.endpoint.servers)
    first = flood.number
    flood.go_on(1000)
    refused = flood.refused()
    assert len(flood.endpoint.servers) == let_in + 1000
    assert 2900 <= len(refused) <= 3100
    assert refused == sorted(refused)  # in the order of their arrival: none of them had waited
    assert refused[0] < first + 10
    assert refused[-1] > flood.number - 10
    # When there is time for all, nobody is refused any more.
    while flood.door.next(flood.now, busy=False):
        pass
    flood.offer(100)
    assert flood.door.waiting == 100
    assert flood.refused() == []


def test_who_is_refused_at_once_hears_the_same_again() -> None:
    flood = Flood()
    flood.refused()
    flood.offer(50)
    answers = {data for _, _, data in flood.endpoint.outbox}
    first = flood.refused()[-1]
    counted = len(flood.keeper.refused)
    flood.door.take(invite(first), PEER, flood.listener, flood.now)
    ((_, _, again),) = flood.endpoint.outbox
    assert again in answers
    assert len(flood.keeper.refused) == counted


def test_urgent_calls_find_a_full_queue_open() -> None:
    flood = Flood()
    flood.offer(50)
    flood.refused()
    flood.keeper.urgent = "sip:bob@192.0.2.1"  # that of all of them here
    let_in = len(flood.endpoint.servers)
    flood.offer(1)
    assert len(flood.endpoint.servers) == let_in + 1
    assert flood.refused() == []


def test_a_pause_alone_refuses_nobody() -> None:
    """The loop stood still for a second; then there is time for all (CoDel: no standing queue)."""
    endpoint, listener = alone()
    door = endpoint.door
    keeper = Keeper(door, closed=False, watched=False)
    door.taken = AT_ONCE
    offered(door, listener, range(300), 1.0, age=1.0)
    while door.next(1.0 + DELAY / 2, busy=False):
        pass
    assert len(endpoint.servers) == 300
    assert keeper.refused == []


def test_what_the_kernel_held_back_counts_where_the_queue_stays() -> None:
    endpoint, listener = alone()
    door = endpoint.door
    Keeper(door, closed=False, watched=False)
    door.taken = AT_ONCE
    offered(door, listener, range(1), 1.0)
    offered(door, listener, range(1, 2), 1.0 + DELAY, age=2 * DELAY)
    offered(door, listener, range(2, 3), 1.0 + DELAY)
    while door.next(1.001 + DELAY, busy=False):
        pass
    assert refusals(endpoint) == [0, 1]
    assert calls(endpoint) == [2]


def test_no_more_wait_than_there_may() -> None:
    endpoint, listener = alone()
    door = endpoint.door
    Keeper(door, closed=False, watched=False)
    door.taken = AT_ONCE
    offered(door, listener, range(MOST_WAITING + 5), 1.0)
    assert door.waiting == MOST_WAITING
    assert refusals(endpoint) == list(range(MOST_WAITING, MOST_WAITING + 5))


def cancel(number: int) -> bytes:
    """The CANCEL of `invite`."""
    return request_text(
        "CANCEL",
        {
            "Via": f"SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK{number};rport",
            "Call-ID": f"{number}@198.51.100.9",
        },
    )


def test_only_the_cancel_of_who_waits_waits_and_once() -> None:
    """Else a few octets each would fill the memory."""
    endpoint, listener = alone()
    door = endpoint.door
    Keeper(door, closed=False, watched=False)
    offered(door, listener, range(AT_ONCE + 2), 1.0)
    for number in (0, AT_ONCE, AT_ONCE, AT_ONCE, 99, 99):
        door.take(cancel(number), PEER, listener, 1.0)
    assert door.waiting == 3
    sent = [parse(data) for _, _, data in endpoint.outbox]
    found = [(m.status, m.cseq[1]) for m in sent if isinstance(m, Response)]
    assert found[-3:] == [(200, "CANCEL"), (481, "CANCEL"), (481, "CANCEL")]
    assert (487, "INVITE") in found  # at once: that call is in


def test_copies_of_who_waits_do_not_wait() -> None:
    endpoint, listener = alone()
    door = endpoint.door
    Keeper(door, closed=False, watched=False)
    door.taken = AT_ONCE
    for _ in range(3):
        offered(door, listener, range(2), 1.0)
    assert door.waiting == 2


def test_who_is_old_waits_even_when_it_comes_alone() -> None:
    """What the kernel held back is seen, whatever else a reading holds."""
    endpoint, listener = alone()
    door = endpoint.door
    Keeper(door, closed=False, watched=False)
    for step in range(30):  # more than there is time for, a few in each turn
        now = 1.0 + step / 100
        offered(door, listener, range(3 * step, 3 * step + 3), now, age=2 * DELAY)
        door.taken = 0
        while door.next(now, busy=True):
            pass
    assert len(endpoint.servers) == 0
    assert len(set(refusals(endpoint))) == 90 - door.waiting
    assert door.waiting < 45


def test_blank_lines_before_a_call_do_not_open_the_door() -> None:
    """Section 7.5: they are ignored."""
    endpoint, listener = alone()
    door = endpoint.door
    keeper = Keeper(door)
    door.take(b"\r\n\r\n" + invite(1), PEER, listener, 1.0)
    assert refusals(endpoint) == [1]
    keeper.closed = False
    door.taken = AT_ONCE
    door.take(b"\r\n" + invite(2), PEER, listener, 1.0)
    assert door.waiting == 1


# Who goes first.


def screened(endpoint: Endpoint) -> Screen:
    endpoint.screen = screen = Screen(endpoint.unacknowledged)
    return screen


def test_who_is_banned_does_not_wait() -> None:
    endpoint, listener = alone()
    door = endpoint.door
    keeper = Keeper(door, closed=False, watched=False)
    ban = Ban(PEER[0], "x", 0.0, 9.0)
    screened(endpoint).bans[PEER[0]] = ban
    door.taken = AT_ONCE
    offered(door, listener, range(5), 1.0)
    assert (door.waiting, ban.refused, endpoint.outbox) == (0, 5, [])
    assert endpoint.discarded == 5
    offered(door, listener, range(5), 9.0)  # it is over
    assert (door.waiting, ban.refused, keeper.refused) == (5, 5, [])


@pytest.mark.parametrize(("silent", "answers"), [(True, []), (False, 3 * [403])])
def test_who_may_not_call_does_not_wait(silent: bool, answers: list[int]) -> None:
    endpoint, listener = alone()
    door = endpoint.door
    keeper = Keeper(door, closed=False, watched=False)
    screened(endpoint).rules[listener] = Rule(lambda _host: False, {}, silent=silent)
    door.taken = AT_ONCE
    offered(door, listener, range(3), 1.0)
    sent = [parse(data) for _, _, data in endpoint.outbox]
    assert [m.status for m in sent if isinstance(m, Response)] == answers
    assert (door.waiting, keeper.refused) == (0, [])


def test_who_is_known_goes_first() -> None:
    """However many strangers wait, and they hear all the same that they were refused."""
    endpoint, listener = alone()
    door = endpoint.door
    keeper = Keeper(door, closed=False, watched=False)
    screened(endpoint).peers.add("192.0.2.7")
    door.taken = AT_ONCE
    offered(door, listener, range(100), 1.0)
    for number in range(100, 103):
        door.take(invite(number), ("192.0.2.7", 5060), listener, 1.0 + DELAY)
    for _ in range(3):
        assert door.next(1.01 + DELAY, busy=False)
    assert calls(endpoint) == [100, 101, 102]
    assert len(keeper.refused) == 3  # one stranger for each
    assert door.waiting == 97
    door.next(1.02 + DELAY, busy=True)
    assert len(keeper.refused) == 4


def test_strangers_over_their_rate_do_not_wait() -> None:
    """A place is for who may come in; each call costs its source once, waiting or not."""
    endpoint, listener = alone()
    door = endpoint.door
    keeper = Keeper(door, closed=False, watched=False)
    screen = screened(endpoint)
    screen.limits = Limits(rate=1.0, burst=5.0)
    door.taken = AT_ONCE
    offered(door, listener, range(50), 1.0)
    offered(door, listener, range(5), 1.0)  # copies
    assert (door.waiting, screen.dropped, endpoint.outbox) == (5, 45, [])
    door.take(invite(50), ("192.0.2.99", 5060), listener, 1.0)
    assert door.waiting == 6  # another source
    while door.next(1.0, busy=False):
        pass
    assert calls(endpoint) == [0, 1, 2, 3, 4, 50]
    assert (keeper.refused, screen.dropped) == ([], 45)
    door.taken = 0
    offered(door, listener, range(51, 53), 2.0)  # a second later it may once more
    assert calls(endpoint)[6:] == [51]


def test_a_stranger_pays_once_where_the_queue_is_full() -> None:
    flood = Flood(strangers=True)
    screen = flood.endpoint.screen
    assert screen is not None
    screen.limits = Limits(rate=0.001, burst=3.0)
    flood.offer(20)
    flood.refused()
    flood.offer(5, ("192.0.2.98", 5060))
    assert len(flood.refused()) == 3
    flood.keeper.urgent = "sip:bob@192.0.2.1"
    let_in = len(flood.endpoint.servers)
    flood.offer(5, ("192.0.2.99", 5060))
    assert len(flood.endpoint.servers) == let_in + 3
    assert screen.dropped == 17 + 2 + 2


def test_a_pause_makes_no_peer_late_while_strangers_wait() -> None:
    endpoint, listener = alone()
    door = endpoint.door
    keeper = Keeper(door, closed=False, watched=False)
    screened(endpoint).peers.add("192.0.2.7")
    door.taken = AT_ONCE
    offered(door, listener, range(10), 1.0)
    door.take(invite(10), ("192.0.2.7", 5060), listener, 2.0, age=1.0)
    door.next(2.0, busy=False)
    assert calls(endpoint) == [10]
    assert keeper.refused == ["late"]


# Who takes the place of another.


def test_only_who_names_a_dialog_takes_its_place(
    network: Network, carol: Stranger, alice: Party, bob: Party
) -> None:
    """RFC 3891: such a call is no new one; a made-up dialog opens no door."""
    session = alice.call(bob)
    network.run(0.1)
    old = bob.take(Invited).session
    old.answer(network.now, ANSWER)
    network.run(0.1)
    alice.take(Answered)
    session.acknowledge(network.now)
    network.run(0.1)
    keeper = Keeper(bob.endpoint.door)
    for number, replaces in enumerate(("nonsense", "a@b;to-tag=1;from-tag=2")):
        assert answer(network, carol, bob, invite(number, Replaces=replaces)).status == 503
    assert keeper.refused == ["closed", "closed"]
    carol.send(bob, invite(2, Replaces=str(replaces_of(session))))
    network.run(0.1)
    bob.take(Invited).session.reject(network.now, 486)
    session.bye(network.now)
    network.run(0.1)
    bob.take(Hungup).session.confirm_bye(network.now)
    network.run(0.1)
    alice.take(Closed)
    assert carol.statuses("INVITE")[-1] == 486


def test_cancel_waits_behind_its_invite() -> None:
    """Before it, CANCEL would find no call and the phone would ring on."""
    endpoint, listener = alone()
    door = endpoint.door
    Keeper(door, closed=False, watched=False)
    door.taken = AT_ONCE
    offered(door, listener, range(1), 1.0)
    door.take(cancel(0), PEER, listener, 1.0)
    assert endpoint.outbox == []
    while door.next(1.0, busy=False):
        pass
    sent = [parse(data) for _, _, data in endpoint.outbox]
    found = [(m.status, m.cseq[1]) for m in sent if isinstance(m, Response)]
    assert {(200, "CANCEL"), (487, "INVITE")} <= set(found)


def test_a_cancel_of_a_refused_call_finds_none() -> None:
    endpoint, listener = alone()
    door = endpoint.door
    Keeper(door, closed=False, watched=False)
    door.taken = AT_ONCE
    offered(door, listener, range(1), 1.0)
    door.take(
        request_text("CANCEL", {"Via": "SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK0;rport"}),
        PEER,
        listener,
        1.0,
    )
    while door.next(2.0, busy=False):
        pass
    sent = [parse(data) for _, _, data in endpoint.outbox]
    assert [m.status for m in sent if isinstance(m, Response)] == [503, 481]


def test_what_is_in_a_dialog_does_not_wait() -> None:
    endpoint, listener = alone()
    door = endpoint.door
    Keeper(door, closed=False, watched=False)
    door.taken = AT_ONCE
    offered(door, listener, range(1), 1.0)
    for data in (
        invite(7, To="<sip:bob@192.0.2.1>;tag=gone"),
        request_text("BYE", {"To": "<sip:bob@192.0.2.1>;tag=gone"}),
    ):
        door.take(data, PEER, listener, 1.0)
    sent = [parse(data) for _, _, data in endpoint.outbox]
    assert [m.status for m in sent if isinstance(m, Response)] == [481, 481]
    assert door.waiting == 1


def test_a_copy_that_waits_belongs_to_the_call() -> None:
    """However late it is: its call was let in."""
    endpoint, listener = alone()
    door = endpoint.door
    keeper = Keeper(door, closed=False, watched=False)
    door.taken = AT_ONCE
    offered(door, listener, range(1), 1.0)
    offered(door, listener, range(1), 1.0)
    assert door.next(1.0, busy=False)
    while door.next(3.0, busy=False):
        pass
    assert len(endpoint.servers) == 1
    assert keeper.refused == []
    assert refusals(endpoint) == []


def test_without_a_keeper_nobody_waits() -> None:
    endpoint, listener = alone()
    offered(endpoint.door, listener, range(3 * AT_ONCE), 1.0)
    assert len(endpoint.servers) == 3 * AT_ONCE
    assert endpoint.door.waiting == 0
