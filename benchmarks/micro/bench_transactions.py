"""Transactions by themselves, and what a session does with them."""

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.micro import wire
from benchmarks.micro.driver import STEP, endpoint
from sip.endpoint import Endpoint
from sip.events import Invited, Responded
from sip.message import Request, parse
from sip.transaction.server import InviteServerTransaction, NonInviteServerTransaction
from sip.transport import Listener
from sip.usage.invite import InviteSession


class Clock:
    """Time passes with each look, so that what lingers ends at last."""

    def __init__(self, user: Endpoint) -> None:
        self._user = user
        self._now = 0.0
        self.number = 0

    def next(self) -> float:
        """The next moment."""
        self.number += 1
        self._now += STEP
        self._user.handle_timers(self._now)
        return self._now


def _request(data: bytes) -> Request:
    message = parse(data)
    assert isinstance(message, Request)
    return message


def bench_invite_server_transaction(benchmark: BenchmarkFixture) -> None:
    """200 with SDP in response to an INVITE that is known, in octets; its end in time."""
    user, listener = endpoint()
    clock = Clock(user)
    request = _request(wire.invite(1))
    lines = "Contact: <sip:127.0.0.1:5060;transport=udp>\r\nContent-Type: application/sdp\r\n"

    def answer() -> bytes | None:
        now = clock.next()
        key = f"key{clock.number}"
        transaction = InviteServerTransaction(user, key, listener, wire.CALLER, request, "tag")
        sent = transaction.respond(200, now, lines, wire.OFFER)
        user.outbox.clear()
        return sent

    sent = benchmark(answer)
    assert sent.endswith(wire.OFFER)


def bench_bye_server_transaction(benchmark: BenchmarkFixture) -> None:
    """200 in response to a BYE that is known."""
    user, listener = endpoint()
    clock = Clock(user)
    request = _request(wire.in_dialog(b"BYE", 1, 2, b"tag"))

    def answer() -> bytes | None:
        now = clock.next()
        key = f"key{clock.number}"
        transaction = NonInviteServerTransaction(user, key, listener, wire.CALLER, request, None)
        sent = transaction.respond(200, now)
        user.outbox.clear()
        return sent

    assert benchmark(answer).startswith(b"SIP/2.0 200 OK\r\n")


def _place(user: Endpoint, now: float) -> InviteSession:
    return user.invite(
        now,
        "sip:5000@127.0.0.1:7001",
        from_="<sip:sipp@127.0.0.1>",
        to="<sip:5000@127.0.0.1:7001>",
        body=wire.OFFER,
    )


def bench_invite_of_second_leg(benchmark: BenchmarkFixture) -> None:
    """An INVITE of our own: dialog, session, client transaction, octets."""

    def fresh() -> tuple[tuple[Endpoint, float], dict[str, object]]:
        user, _ = endpoint()
        _place(user, 0.0)  # what is done only once
        return (user, 0.0), {}

    session = benchmark.pedantic(  # type: ignore[no-untyped-call]
        _place, setup=fresh, rounds=5000
    )
    assert session.dialog.local_cseq == 1


def bench_session_of_callee(benchmark: BenchmarkFixture) -> None:
    """INVITE, 100, 200, ACK, BYE, 200 at the endpoint, with nobody above it."""
    user, listener = endpoint()
    clock = Clock(user)

    def call() -> bytes:
        now = clock.next()
        number = clock.number
        user.receive_datagram(wire.invite(number), wire.CALLER, listener, now)
        session = _invited(user)
        session.answer(now, wire.OFFER)
        tag = session.local_tag.encode()
        for method, cseq in ((b"ACK", 1), (b"BYE", 2)):
            data = wire.in_dialog(method, number, cseq, tag)
            user.receive_datagram(data, wire.CALLER, listener, now)
        session.confirm_bye(now)
        last = user.outbox[-1][2]
        user.outbox.clear()
        user.events.clear()
        return last

    last = benchmark(call)
    assert last.startswith(b"SIP/2.0 200 OK\r\n")
    assert user.sessions == {}


def bench_request_in_dialog(benchmark: BenchmarkFixture) -> None:
    """INFO of our own in a dialog, its client transaction, and the 200 to it."""
    user, listener = endpoint()
    clock = Clock(user)
    session = _established(user, listener, clock)

    def ask() -> int:
        now = clock.next()
        session.request(now, "INFO")
        data = user.outbox[-1][2]
        user.outbox.clear()
        answer = wire.response(data, b"200 OK", b"")
        user.receive_datagram(answer, wire.CALLER, listener, now)
        (event,) = user.events
        user.events.clear()
        assert isinstance(event, Responded)
        return event.status

    assert benchmark(ask) == 200


def _established(user: Endpoint, listener: Listener, clock: Clock) -> InviteSession:
    now = clock.next()
    user.receive_datagram(wire.invite(0), wire.CALLER, listener, now)
    session = _invited(user)
    session.answer(now, wire.OFFER)
    ack = wire.in_dialog(b"ACK", 0, 1, session.local_tag.encode())
    user.receive_datagram(ack, wire.CALLER, listener, now)
    user.events.clear()
    user.outbox.clear()
    return session


def _invited(user: Endpoint) -> InviteSession:
    (event,) = user.events
    assert isinstance(event, Invited)
    user.events.clear()
    return event.session
