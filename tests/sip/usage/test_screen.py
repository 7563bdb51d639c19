"""Who may send requests outside of dialogs, and how many; what strangers are answered."""

from collections.abc import Callable

import pytest

from sip.auth import DigestClient
from sip.errors import PeerError, Unanswered
from sip.events import Acknowledged, Cancelled, Hungup, Invited
from sip.message import Request, Response, parse
from sip.registrar import Registrar
from sip.stream import FramingError
from sip.transport import Address, Listener
from sip.usage.screen import (
    AMPLIFICATION,
    MOST_BANS,
    MOST_SOURCES,
    Limits,
    Rule,
    Screen,
    network_of,
)
from tests.sip.usage.calls import ANSWER, SOON, established
from tests.sip.usage.test_guard import guard
from tests.support.builders import PEER, request, request_text
from tests.support.network import Network, Party, Stranger

UDP = Listener("UDP", "192.0.2.1", 5060)
TCP = Listener("TCP", "192.0.2.1", 5060, True)
OPTIONS = request("OPTIONS")
LIMITS = Limits(rate=2.0, burst=4.0, unacknowledged=3, wrong_passwords=2, ban=60.0)


class Door:
    """A screen, and what it says to requests."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.noted: list[tuple[str, str]] = []
        self.waiting: dict[str, int] = {}
        self.screen = Screen(self.waiting, lambda who, what, _now: self.noted.append((who, what)))
        self.screen.limits = limits
        self.guessed = 0

    def ask(
        self,
        host: str,
        now: float = 0.0,
        listener: Listener = UDP,
        message: Request = OPTIONS,
    ) -> int:
        """0: let in, -1: dropped, else the status of the answer."""
        try:
            self.screen.admit(message, (host, 5060), listener, now)
        except Unanswered:
            return -1
        except PeerError as error:
            return error.status
        return 0

    def guess(self, host: str, now: float = 0.0, count: int = 1, user: str = "1001") -> None:
        """So many wrong passwords, none of them tried before."""
        for _ in range(count):
            self.guessed += 1
            self.screen.wrong_password((host, 5060), user, f"guess {self.guessed}", now)


# Rules.


@pytest.mark.parametrize(("silent", "status"), [(False, 403), (True, -1)])
def test_who_may_what_at_a_listener(silent: bool, status: int) -> None:
    door = Door()
    phones = "10.0.0.1".__eq__
    gateways = "10.0.0.2".__eq__
    door.screen.rules[UDP] = Rule(gateways, {"REGISTER": phones}, silent=silent)
    register = request("REGISTER")
    assert door.ask("10.0.0.2") == door.ask("10.0.0.1", message=register) == 0
    assert door.ask("10.0.0.1") == door.ask("10.0.0.2", message=register) == status
    assert door.ask("10.0.0.1", listener=TCP) == 0, "another listener has no rule"
    assert door.ask("127.0.0.1") == status, "a rule is for everybody"
    assert door.screen.allows("REGISTER", ("10.0.0.1", 1), UDP)
    assert not door.screen.allows("REFER", ("10.0.0.1", 1), UDP)


def test_refused_before_there_is_a_call(network: Network, bob: Party, carol: Stranger) -> None:
    bob.endpoint.screen = screen = Screen(bob.endpoint.unacknowledged)
    screen.rules[bob.listener] = Rule("10.0.0.1".__eq__, {}, silent=False)
    for method in ("INVITE", "OPTIONS", "MESSAGE", "BYE"):
        carol.send(bob, request_text(method))
        network.run(SOON)
        assert carol.statuses(method) == [403], method
    assert (bob.leftovers(), bob.seen) == ({}, [])
    screen.rules[bob.listener] = Rule("10.0.0.1".__eq__, {}, silent=True)
    carol.received.clear()
    carol.send(bob, request_text("INVITE"))
    carol.send(bob, request_text("INVITE", {"CSeq": "1 BYE"}))  # one that is malformed as well
    network.run(SOON)
    assert carol.received == []


def test_refer_in_a_dialog(network: Network, alice: Party, bob: Party) -> None:
    """The rule holds there too; the call goes on."""
    session, _ = established(alice, bob)
    bob.endpoint.screen = screen = Screen(bob.endpoint.unacknowledged)
    screen.rules[bob.listener] = Rule(lambda _: True, {"REFER": lambda _: False}, silent=True)
    session.refer(alice.now, "sip:carol@192.0.2.9")
    network.run(SOON)
    assert [str(packet) for packet in network.log] == ["alice > bob REFER", "bob > alice 403 REFER"]
    session.request(alice.now, "INFO")
    network.run(SOON)
    assert network.packets("INFO")
    assert bob.seen == ["Requested"]


# What belongs to a call that was let in.


@pytest.mark.parametrize("reason", ["rate", "ban", "rule"])
def test_a_cancel_belongs_to_its_invite(
    network: Network, bob: Party, carol: Stranger, reason: str
) -> None:
    screen = bob.endpoint.screen = Screen(bob.endpoint.unacknowledged)
    screen.limits = Limits(rate=0.001, burst=1.0, wrong_passwords=1, ban=60.0)
    carol.send(bob, invite(1))
    network.run(SOON)
    bob.take(Invited)
    if reason == "ban":
        screen.wrong_password(carol.address, "1001", "guess", bob.now)
    elif reason == "rule":
        screen.rules[bob.listener] = Rule(lambda _: False, {}, silent=True)
    for number in (1, 2, 1):
        cancel = invite(number).replace(b"INVITE sip", b"CANCEL sip")
        carol.send(bob, cancel.replace(b"1 INVITE", b"1 CANCEL"))
        network.run(SOON)
    answers = carol.statuses("CANCEL")
    assert answers == ([200, 503, 200] if reason == "rate" else [200, 200]), "the other has none"
    assert carol.statuses("INVITE")[-1] == 487
    bob.take(Cancelled)


def test_a_stream_that_breaks_is_screened(network: Network, bob: Party) -> None:
    """Where nothing can be read after a header, its sender is not told that we are there."""
    screen = bob.endpoint.screen = Screen(bob.endpoint.unacknowledged)

    def broken() -> list[int]:
        head = request_text("OPTIONS").partition(b"\r\n\r\n")[0] + b"\r\n"
        error = FramingError("Content-Length is no number", head)
        bob.endpoint.receive_broken(error, PEER, TCP, bob.now)
        answers = [parse(octets).status for _, _, octets in bob.endpoint.outbox]  # type: ignore[union-attr]
        bob.endpoint.outbox.clear()
        return answers

    bob.endpoint.listeners.append(TCP)
    assert broken() == [400]
    screen.rules[TCP] = Rule(lambda _: False, {}, silent=False)
    assert broken() == [403]
    screen.rules[TCP] = Rule(lambda _: False, {}, silent=True)
    assert broken() == []


# Limits.


def test_a_call_over_its_rate_hears_nothing_by_udp() -> None:
    """Its copy half a second later is let in: a 503 before that would have ended the call."""
    door = Door()
    call = request("INVITE")
    assert [door.ask("10.0.0.1", message=call) for _ in range(6)] == [0] * 4 + [-1, -1]
    assert door.ask("10.0.0.1", 0.5, message=call) == 0
    assert [door.ask("10.0.0.1", listener=TCP, message=call) for _ in range(5)] == [0] * 4 + [503]


def test_who_is_exempt_is_asked_when_something_is_refused() -> None:
    """That takes time, which a flood under many names would cost for each."""
    door = Door(Limits(rate=2.0, burst=4.0))
    asked: list[str] = []

    def exempt(host: str) -> bool:
        asked.append(host)
        return host == "10.0.0.1"

    door.screen.exempt = exempt
    assert [door.ask("10.0.0.2") for _ in range(4)] == [0] * 4
    assert asked == []
    assert {door.ask("10.0.0.1") for _ in range(10)} == {0}
    assert door.ask("10.0.0.2") == 503


def test_a_source_over_its_rate() -> None:
    door = Door()
    assert [door.ask("10.0.0.1") for _ in range(4)] == [0] * 4
    assert [door.ask("10.0.0.1") for _ in range(3)] == [503, -1, -1]
    assert door.ask("10.0.0.2") == 0, "another source has a bucket of its own"
    assert [door.ask("10.0.0.1", 0.5) for _ in range(2)] == [0, -1], "half a second: one request"
    assert [door.ask("10.0.0.1", 1.0) for _ in range(3)] == [0, 503, -1], "one answer a second"
    assert door.noted == [("10.0.0.1", "limited")], "told once"
    assert [door.ask("10.0.0.1", 60.0) for _ in range(5)] == [0, 0, 0, 0, 503]
    assert door.noted == [("10.0.0.1", "limited")] * 2
    assert (door.screen.refused, door.screen.dropped) == (3, 4)


def test_without_a_rate_there_is_no_limit() -> None:
    door = Door(Limits())
    assert {door.ask("10.0.0.1") for _ in range(10_000)} == {0}
    assert door.screen._datagrams == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "10.0.0.9", "10.1.2.3"])
def test_peers_and_this_machine_are_not_limited(host: str) -> None:
    door = Door()
    door.screen.peers.add("10.0.0.9")
    door.screen.exempt = lambda host: host.startswith("10.1.")
    assert {door.ask(host, listener=TCP) for _ in range(1000)} == {0}
    door.guess(host, count=100)
    assert door.screen.bans == {}
    assert door.noted == []


@pytest.mark.parametrize(
    ("host", "network"),
    [("10.0.0.1", "10.0.0.1"), ("2001:db8::1", "2001:db8::/64"), ("fe80::1%eth0", "fe80::/64")],
)
def test_what_is_one_source(host: str, network: str) -> None:
    assert network_of(host) == network


def test_a_customer_of_ipv6_is_one_source() -> None:
    door = Door()
    answers = [door.ask(f"2001:db8::{number:x}") for number in range(1, 7)]
    assert answers == [0, 0, 0, 0, 503, -1]


def test_forged_sources_do_not_fill_the_memory() -> None:
    """Nor do they ban anybody, or empty the bucket of who sends now and then."""
    door = Door()
    for number in range(3 * MOST_SOURCES):
        door.ask(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        if number % 1000 == 0:
            assert door.ask("192.0.2.77", number / 1000) == 0
    assert len(door.screen._datagrams) == MOST_SOURCES
    assert "192.0.2.77" in door.screen._datagrams, "the longest quiet goes first"
    for _ in range(1000):
        door.ask("10.0.0.1")
    assert door.screen.bans == {}


# Bans.


def test_a_forger_gets_no_user_of_tcp_banned_or_limited() -> None:
    door = Door()
    for _ in range(100):
        door.ask("10.0.0.1", listener=UDP)
    assert [door.ask("10.0.0.1", listener=TCP) for _ in range(5)] == [0] * 4 + [503]
    assert door.screen.bans == {}


def test_a_stream_just_over_its_rate_is_limited_and_not_banned() -> None:
    """As a busy proxy; one at more than twice its rate is banned."""
    door = Door()
    answers = [door.ask("10.0.0.1", number / 3, TCP) for number in range(3000)]
    assert set(answers) == {0, 503}
    assert 1990 <= answers.count(0) <= 2010
    assert door.screen.bans == {}
    answers = [door.ask("10.0.0.2", number / 6, TCP) for number in range(60)]
    assert answers[-1] == -1
    assert list(door.screen.bans) == ["10.0.0.2"]


def test_copies_of_a_wrong_password_count_once() -> None:
    door = Door()
    for _ in range(100):
        door.screen.wrong_password(("10.0.0.1", 5060), "1001", "the same", 0.0)
    assert door.screen.bans == {}
    door.screen.wrong_password(("10.0.0.1", 5060), "1001", "another", 0.0)
    assert list(door.screen.bans) == ["10.0.0.1"]


def test_the_right_password_forgives_what_was_wrong_for_its_user() -> None:
    """And nothing else: who has one password could go on to try out those of others."""
    door = Door()
    for _ in range(5):
        door.guess("10.0.0.1", user="1001")
        door.screen.right_password(("10.0.0.1", 5060), "1001")
    assert door.screen.bans == {}
    for _ in range(2):
        door.guess("10.0.0.1", user="1002")
        door.screen.right_password(("10.0.0.1", 5060), "1001")
    assert list(door.screen.bans) == ["10.0.0.1"]


def test_forged_sources_do_not_flush_wrong_passwords() -> None:
    door = Door()
    door.guess("192.0.2.77")
    for number in range(MOST_SOURCES + 1):
        door.ask(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    door.guess("192.0.2.77")
    assert list(door.screen.bans) == ["192.0.2.77"]


def test_those_who_guess_do_not_fill_the_memory() -> None:
    door = Door()
    for number in range(MOST_SOURCES + 5):
        door.guess(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(door.screen._guesses) == MOST_SOURCES


def test_a_stream_that_goes_on_over_its_rate_is_banned() -> None:
    door = Door()
    answers = [door.ask("10.0.0.1", listener=TCP) for _ in range(9)]
    assert answers == [0] * 4 + [503] * 4 + [-1]
    assert door.ask("10.0.0.1", listener=UDP) == -1, "whichever way it comes now"
    (ban,) = door.screen.banned(1.0)
    assert (ban.network, ban.reason, ban.refused) == ("10.0.0.1", "too many requests", 2)
    assert door.noted[-1] == ("10.0.0.1", "too many requests")
    assert door.ask("10.0.0.1", 59.9) == -1
    assert door.ask("10.0.0.1", 60.0) == 0
    assert door.screen.banned(60.0) == []


def test_a_ban_is_over_or_lifted() -> None:
    door = Door()
    for host in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
        door.guess(host, count=2)
    door.screen.lift("10.0.0.2")
    assert [ban.network for ban in door.screen.banned(59.0)] == ["10.0.0.1", "10.0.0.3"]
    assert door.ask("10.0.0.2") == 0
    assert door.screen.banned(60.0) == []
    door.guess("10.0.0.2", 60.0)
    door.screen.forget()
    door.guess("10.0.0.2", 60.0)
    assert door.screen.bans == {}, "what was wrong before is forgotten"


def test_wrong_passwords_are_forgotten_after_a_while() -> None:
    door = Door()
    for now in (0.0, 901.0, 1803.0):
        door.guess("10.0.0.1", now)
    assert door.screen.bans == {}
    door.guess("10.0.0.1", 1804.0)
    assert list(door.screen.bans) == ["10.0.0.1"]


def test_there_are_so_many_bans_and_no_more() -> None:
    door = Door()
    for number in range(MOST_BANS + 5):
        door.guess(f"10.0.{number >> 8}.{number & 255}", count=2)
    assert len(door.screen.bans) == MOST_BANS
    assert "10.0.0.0" not in door.screen.bans


@pytest.mark.parametrize("limits", [Limits(wrong_passwords=0, ban=60.0), Limits(wrong_passwords=1)])
def test_nobody_is_banned_where_the_settings_say_so(limits: Limits) -> None:
    door = Door(limits)
    door.guess("10.0.0.1", count=100)
    assert door.screen.bans == {}


# Passwords that are tried out.


def guess(carol: Stranger, bob: Party, nonce: str, count: int) -> int:
    """A wrong password over a nonce: the status of the answer, 0 for none."""
    before = len(carol.received)
    credentials = (
        f'Digest username="alice", realm="pbx", nonce="{nonce}", uri="sip:bob@192.0.2.1", '
        f'response="{count:064x}", algorithm=SHA-256, qop=auth, nc={count:08x}, cnonce="x"'
    )
    headers = {"Authorization": credentials, "CSeq": f"{count} INVITE"}
    carol.send(bob, request_text("INVITE", headers))
    bob.network.run(SOON)
    return carol.statuses("INVITE")[-1] if len(carol.received) > before else 0


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", "198.51.100.9")


def test_who_guesses_is_banned_once_it_has_answered_our_nonce(
    network: Network, bob: Party, carol: Stranger
) -> None:
    screen = Screen(bob.endpoint.unacknowledged)
    screen.limits = Limits(wrong_passwords=5, ban=60.0)
    bob.endpoint.screen = screen
    bob.endpoint.guard = guard()
    bob.endpoint.guard._screen = screen
    invented = [guess(carol, bob, "0123456789abcdef" * 3, count) for count in range(1, 21)]
    assert set(invented) == {403}
    assert screen.bans == {}, "anybody could have sent those in carol's name"
    carol.send(bob, request_text("INVITE", {"CSeq": "100 INVITE"}))
    network.run(SOON)
    header = carol.responses("INVITE")[-1].get("www-authenticate") or ""
    nonce = header.partition('nonce="')[2].partition('"')[0]
    assert [guess(carol, bob, nonce, count) for count in range(101, 108)] == [403] * 5 + [0, 0]
    assert list(screen.bans) == ["198.51.100.9"]
    assert bob.leftovers() == {}


def test_copies_of_a_request_with_a_wrong_password_are_one_guess(
    network: Network, bob: Party, carol: Stranger
) -> None:
    """Retransmissions by UDP; and the right password of alice ends the count."""
    screen = bob.endpoint.screen = Screen(bob.endpoint.unacknowledged)
    screen.limits = Limits(wrong_passwords=3, ban=60.0)
    bob.endpoint.guard = guard()
    bob.endpoint.guard._screen = screen
    carol.send(bob, request_text("INVITE"))
    network.run(SOON)
    asked = carol.responses("INVITE")[-1]
    nonce = (asked.get("www-authenticate") or "").partition('nonce="')[2].partition('"')[0]
    for count in range(1, 3):
        assert {guess(carol, bob, nonce, count) for _ in range(10)} == {403}
    keys = DigestClient({"pbx": ("alice", "secret")}, bob.endpoint.ids)
    sent = request("INVITE", {"CSeq": "50 INVITE"}, uri="sip:bob@192.0.2.1")
    assert keys.challenged(sent, asked, {})
    lines = keys.lines("INVITE", sent.uri).partition(": ")[2].strip()
    headers = {
        "CSeq": "50 INVITE",
        "Authorization": lines,
        "Via": "SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKright",
    }
    carol.send(bob, request_text("INVITE", headers))
    network.run(SOON)
    bob.take(Invited)
    assert [guess(carol, bob, nonce, count) for count in range(101, 105)] == [403] * 3 + [0]
    assert list(screen.bans) == ["198.51.100.9"]


def test_our_nonce_in_the_name_of_somebody_else_bans_nobody(
    network: Network, bob: Party, carol: Stranger
) -> None:
    """It is bound to the address that it was sent to."""
    test_who_guesses_is_banned_once_it_has_answered_our_nonce(network, bob, carol)
    header = carol.responses("INVITE")[-1]
    assert header.status == 403
    dave = network.add_stranger("dave", "198.51.100.10")
    challenge = next(r for r in carol.responses("INVITE") if r.status == 401)
    nonce = (challenge.get("www-authenticate") or "").partition('nonce="')[2].partition('"')[0]
    assert {guess(dave, bob, nonce, count) for count in range(201, 221)} == {403}
    assert bob.endpoint.screen is not None
    assert "198.51.100.10" not in bob.endpoint.screen.bans


# Answers that wait for their ACK.


def invite(number: int) -> bytes:
    """One of many INVITEs, which names a victim for all that follows."""
    return request_text(
        "INVITE",
        {
            "Call-ID": f"call{number}",
            "Via": f"SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK{number}",
            "Contact": "<sip:victim@203.0.113.66:5060>",
            "Record-Route": "<sip:203.0.113.67;lr>",
        },
    )


@pytest.mark.parametrize("status", [200, 486])
def test_unacknowledged_calls_are_capped(
    network: Network, bob: Party, carol: Stranger, status: int
) -> None:
    screen = bob.endpoint.screen = Screen(bob.endpoint.unacknowledged)
    screen.limits = Limits(unacknowledged=3)

    def act(event: object, now: float) -> None:
        if isinstance(event, Invited):
            if status == 200:
                event.session.answer(now, ANSWER)
            else:
                event.session.reject(now, status)

    bob.handler = act
    for number in range(6):
        carol.send(bob, invite(number))
        network.run(SOON / 2)
    finals = [code for code in carol.statuses("INVITE") if code >= 200]
    assert finals == [status] * 3, "the others hear nothing"
    assert screen.dropped == 3
    assert bob.endpoint.unacknowledged == {"198.51.100.9": 3}
    network.run(40.0)
    assert bob.endpoint.unacknowledged == {}, "64*T1 later nothing waits any more"
    carol.send(bob, invite(99))
    network.run(SOON)
    assert [code for code in carol.statuses("INVITE") if code >= 200][-1] == status
    screen.peers.add("198.51.100.9")
    for number in range(100, 110):
        carol.send(bob, invite(number))
        network.run(SOON)
    assert 503 not in carol.statuses("INVITE")[-10:], "a peer has no cap"


def test_an_ack_makes_room(network: Network, alice: Party, bob: Party) -> None:
    screen = bob.endpoint.screen = Screen(bob.endpoint.unacknowledged)
    screen.limits = Limits(unacknowledged=1)
    for _ in range(5):
        session, _ = established(alice, bob)
        assert bob.endpoint.unacknowledged == {}
        session.bye(alice.now)
        network.run(SOON)
        bob.take(Hungup).session.confirm_bye(bob.now)
        network.run(SOON)
    refused = alice.call(bob)
    network.run(SOON)
    bob.take(Invited).session.reject(bob.now, 486)
    network.run(SOON)
    assert refused.state == 3
    assert bob.endpoint.unacknowledged == {}
    network.settle()


@pytest.mark.parametrize("known", [False, True])
def test_the_bye_after_a_lost_ack(
    network: Network, bob: Party, carol: Stranger, known: bool
) -> None:
    """From somebody unknown: back where the INVITE came from, whatever Contact and routes say."""
    victim = network.add_stranger("victim", "203.0.113.66")
    proxy = network.add_stranger("proxy", "203.0.113.67")
    screen = bob.endpoint.screen = Screen(bob.endpoint.unacknowledged)
    if known:
        screen.peers.add("198.51.100.9")
    carol.send(bob, invite(1))
    network.run(SOON)
    session = bob.take(Invited).session
    session.answer(bob.now, ANSWER)
    network.run(100.0)
    assert carol.statuses("INVITE").count(200) == 11
    assert (victim.received, bool(proxy.received)) == ([], known)
    byes = carol.requests("BYE")
    assert bool(byes) is not known
    if byes:
        assert byes[0].uri == "sip:victim@198.51.100.9:5060"
        assert byes[0].get("route") is None
    assert bob.leftovers() == {}


def test_the_bye_that_waited_for_the_ack(network: Network, bob: Party, carol: Stranger) -> None:
    victim = network.add_stranger("victim", "203.0.113.66")
    bob.endpoint.screen = Screen(bob.endpoint.unacknowledged)
    carol.send(bob, request_text("INVITE", {"Contact": "<sip:203.0.113.66>"}))
    network.run(SOON)
    session = bob.take(Invited).session
    session.answer(bob.now, ANSWER)
    session.bye(bob.now, "X-Reason: done\r\n")
    network.run(100.0)
    assert victim.received == []
    assert carol.requests("BYE")[0].uri == "sip:198.51.100.9:5060"
    assert carol.requests("BYE")[0].get("x-reason") == "done"


def test_an_acknowledged_call_goes_to_its_contact(
    network: Network, bob: Party, carol: Stranger
) -> None:
    """Whoever has our tag hears us: what comes after the ACK follows RFC 3261."""
    contact = network.add_stranger("contact", "203.0.113.66")
    bob.endpoint.screen = Screen(bob.endpoint.unacknowledged)
    carol.send(bob, request_text("INVITE", {"Contact": "<sip:203.0.113.66>"}))
    network.run(SOON)
    session = bob.take(Invited).session
    session.answer(bob.now, ANSWER)
    network.run(SOON)
    to = carol.responses("INVITE")[-1].get("to")
    carol.send(bob, request_text("ACK", {"To": to}))
    network.run(SOON)
    bob.take(Acknowledged)
    session.bye(bob.now)
    network.run(SOON)
    assert len(contact.requests("BYE")) == 1


# What strangers are answered.

SHORT = (
    "{method} sip:a SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK{n}\r\nf: <sip:a>;tag=1\r\n"
    "t: <sip:a>\r\ni: {n}\r\nCSeq: 1 {method}\r\n\r\n"
)
Prepare = Callable[[Party], object]


def with_guard(bob: Party) -> None:
    bob.endpoint.guard = guard("INVITE", "REGISTER")


@pytest.mark.parametrize("listener", [UDP, TCP])
@pytest.mark.parametrize(
    ("method", "prepare", "status"),
    [
        ("OPTIONS", lambda bob: None, 200),
        ("MESSAGE", lambda bob: None, 405),
        ("INVITE", lambda bob: None, 100),
        ("BYE", lambda bob: None, 481),
        ("CANCEL", lambda bob: None, 481),
        ("INVITE", with_guard, 401),
        ("NONSENSE", lambda bob: None, 501),
    ],
)
def test_no_answer_to_a_stranger_is_much_longer_than_its_request(
    bob: Party, method: str, prepare: Prepare, status: int, listener: Listener
) -> None:
    endpoint = bob.endpoint
    endpoint.listeners.append(listener)
    endpoint.user_agent_line = "User-Agent: " + 300 * "x" + "\r\n"
    endpoint.tell("Allow-Events: dialog, refer\r\n")
    endpoint.screen = Screen(endpoint.unacknowledged)
    prepare(bob)
    data = SHORT.format(method=method, n=1).encode()
    endpoint.receive_datagram(data, ("198.51.100.9", 5060), listener, 0.0)
    answers = [octets for _, _, octets in endpoint.outbox]
    said = sum(map(len, answers))
    if listener is TCP:  # nobody can speak in another's name there
        assert parse(answers[0]).status == status  # type: ignore[union-attr]
        return
    assert said <= AMPLIFICATION * len(data), answers
    if status != 401:  # which is nothing without its challenges
        assert parse(answers[0]).status == status  # type: ignore[union-attr]
    endpoint.outbox.clear()
    known: Address = ("127.0.0.1", 5060)
    endpoint.receive_datagram(SHORT.format(method=method, n=2).encode(), known, listener, 0.0)
    if status in (200, 401):
        assert sum(len(octets) for _, _, octets in endpoint.outbox) > AMPLIFICATION * len(data)


def test_a_phone_gets_its_challenge(network: Network, bob: Party, carol: Stranger) -> None:
    """What phones send is long enough for the whole answer."""
    bob.endpoint.screen = Screen(bob.endpoint.unacknowledged)
    with_guard(bob)
    carol.send(bob, request_text("INVITE"))
    carol.send(bob, request_text("OPTIONS"))
    network.run(SOON)
    assert len(carol.responses("INVITE")[0].all("www-authenticate")) == 2
    assert carol.responses("OPTIONS")[0].get("allow") is not None


def test_a_list_of_bindings_is_no_answer_to_a_datagram(
    network: Network, bob: Party, carol: Stranger
) -> None:
    """Who has logged in under many long names could have them sent to somebody else."""
    registrar = Registrar(bob.endpoint, lambda *_: 0)
    screen = bob.endpoint.screen = Screen(bob.endpoint.unacknowledged)

    def log_in(number: int, contact: str | None, listener: Listener) -> Response:
        headers = {
            "To": "<sip:1001@bob>",
            "Contact": contact,
            "CSeq": f"{number} REGISTER",
            "Via": f"SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK{number};rport",
        }
        data = request_text("REGISTER", headers)
        bob.endpoint.receive_datagram(data, PEER, listener, bob.now)
        answer = parse(bob.endpoint.outbox.pop()[2])
        assert isinstance(answer, Response)
        return answer

    contacts = [f"<sip:1001@198.51.100.9:{5070 + n};x={100 * 'y'}>" for n in range(10)]
    statuses = [log_in(n, contact, bob.listener).status for n, contact in enumerate(contacts, 1)]
    taken = statuses.index(513)
    assert taken > 3
    assert set(statuses[:taken]) == {200}
    assert len(registrar.bindings["1001"]) == taken, "what is refused changes nothing"
    assert log_in(20, None, bob.listener).status == 513
    assert len(log_in(21, None, TCP).all("contact")) == taken
    screen.peers.add("198.51.100.9")
    assert log_in(22, None, bob.listener).status == 200
    registrar.close()


def test_a_flood_of_options_is_answered_at_a_bounded_rate(
    network: Network, bob: Party, carol: Stranger
) -> None:
    bob.endpoint.screen = screen = Screen(bob.endpoint.unacknowledged)
    screen.limits = Limits(rate=10.0, burst=10.0)
    for number in range(1000):
        headers = {"Call-ID": f"{number}", "Via": f"SIP/2.0/UDP a;branch=z9hG4bK{number};rport"}
        carol.send(bob, request_text("OPTIONS", headers))
        network.run(0.005)
    network.run(1.0)
    statuses = carol.statuses("OPTIONS")
    assert 55 <= statuses.count(200) <= 61, "5 s at 10 a second, after 10 at once"
    assert 4 <= statuses.count(503) <= 6
    assert len(statuses) == statuses.count(200) + statuses.count(503)
    assert screen.dropped == 1000 - len(statuses)


def test_malformed_requests_are_limited_too(bob: Party) -> None:
    endpoint = bob.endpoint
    endpoint.screen = screen = Screen(endpoint.unacknowledged)
    screen.limits = Limits(rate=1.0, burst=2.0)
    for _ in range(10):
        data = request_text("OPTIONS", {"CSeq": "1 BYE"})
        endpoint.receive_datagram(data, PEER, bob.listener, 0.0)
    statuses = [parse(octets).status for _, _, octets in endpoint.outbox]  # type: ignore[union-attr]
    assert statuses == [400, 400, 503]
    assert endpoint.discarded == 7
