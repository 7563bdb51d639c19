"""Every timer at its time: RFC 3261 table 4, RFC 6026, on the wheel's grid of 5 ms."""

import pytest

from sip.message import Request
from sip.timers import Timers
from sip.transaction.machine import STATE_NAMES
from tests.sip.transaction.bench import TICK, Bench, near
from tests.support.builders import response


def times(bench: Bench, what: str) -> list[float]:
    return [at for at, name in bench.sent if name == what]


def lifetime(bench: Bench) -> float:
    """How long it takes from now until nothing is left."""
    start = bench.now
    while bench.layer.wheel.running:
        bench.run(bench.layer.wheel.next_time() or 0.0)
    assert bench.empty
    return round(bench.now - start, 3)


def is_at(measured: float, expected: float) -> bool:
    """At the next tick."""
    return 0 < measured - expected <= TICK + 1e-9


def lingers(measured: float, expected: float) -> bool:
    """At that tick or at most three later: D, I, J, K, L and M end together."""
    return 0 < measured - expected <= 4 * TICK + 1e-9


# Clients.


def test_a_doubles_until_b_gives_up() -> None:
    bench = Bench()
    bench.client("INVITE")
    end = lifetime(bench)
    assert near(times(bench, "INVITE"), [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5])
    assert is_at(end, 32.0)
    [(at, status)] = bench.told
    assert is_at(at, 32.0)
    assert status == 408


def test_a_stops_at_the_first_provisional_response() -> None:
    bench = Bench()
    tx = bench.client("INVITE")
    bench.run(0.6)
    tx.receive(response(tx.request, 100), bench.now)
    bench.run(300.0)
    assert near(times(bench, "INVITE"), [0, 0.5])
    assert STATE_NAMES[tx.state] == "proceeding"  # B ran in the state calling only


def test_no_final_response_after_cancel() -> None:
    bench = Bench()
    tx = bench.client("INVITE")
    tx.receive(response(tx.request, 180, "bob"), bench.now)
    bench.run(10.0)
    tx.cancelled(bench.now)
    assert is_at(lifetime(bench), 32.0)  # section 9.1
    assert [status for _, status in bench.told] == [180, 408]


def test_cancelled_after_the_final_response_is_nothing() -> None:
    bench = Bench()
    tx = bench.client("INVITE")
    tx.receive(response(tx.request, 486, "bob"), bench.now)
    bench.run(10.0)
    tx.cancelled(bench.now)
    assert lingers(lifetime(bench), 22.0)


def test_d_absorbs_repeated_refusals() -> None:
    bench = Bench()
    tx = bench.client("INVITE")
    refusal = response(tx.request, 486, "bob")
    tx.receive(refusal, bench.now)
    bench.run(31.9)
    tx.receive(refusal, bench.now)
    bench.collect()
    assert len(times(bench, "ACK")) == 2
    assert [status for _, status in bench.told] == [486]
    assert lingers(31.9 + lifetime(bench), 32.0)


def test_d_is_zero_on_a_reliable_transport() -> None:
    bench = Bench(reliable=True)
    tx = bench.client("INVITE")
    tx.receive(response(tx.request, 486, "bob"), bench.now)
    assert is_at(lifetime(bench), 0.0)


def test_m_passes_every_2xx_up_and_absorbs_the_rest() -> None:
    bench = Bench()
    tx = bench.client("INVITE")
    tx.receive(response(tx.request, 200, "bob"), bench.now)
    bench.run(31.9)
    for status, tag in ((200, "bob"), (200, "fork"), (180, "late"), (486, "late")):
        tx.receive(response(tx.request, status, tag), bench.now)
    assert [status for _, status in bench.told] == [200, 200, 200]
    assert lingers(31.9 + lifetime(bench), 32.0)
    assert times(bench, "ACK") == []  # that of a 2xx is the user's


def test_m_runs_on_a_reliable_transport_too() -> None:
    bench = Bench(reliable=True)
    tx = bench.client("INVITE")
    tx.receive(response(tx.request, 200, "bob"), bench.now)
    assert lingers(lifetime(bench), 32.0)


def test_e_doubles_to_t2_until_f_gives_up() -> None:
    bench = Bench()
    bench.client("OPTIONS")
    end = lifetime(bench)
    expected = [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert near(times(bench, "OPTIONS"), expected)
    assert is_at(end, 32.0)
    assert [status for _, status in bench.told] == [408]


def test_e_is_t2_after_a_provisional_response() -> None:
    bench = Bench()
    tx = bench.client("OPTIONS")
    bench.run(0.1)
    tx.receive(response(tx.request, 100), bench.now)
    end = bench.now + lifetime(bench)
    expected = [0, 0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
    assert near(times(bench, "OPTIONS"), expected)
    assert is_at(end, 32.0)  # F goes on


@pytest.mark.parametrize(("reliable", "expected"), [(False, 5.0), (True, 0.0)])
def test_k(reliable: bool, expected: float) -> None:
    bench = Bench(reliable)
    tx = bench.client("OPTIONS")
    tx.receive(response(tx.request, 200, "bob"), bench.now)
    tx.receive(response(tx.request, 200, "bob"), bench.now)
    assert [status for _, status in bench.told] == [200]
    assert lingers(lifetime(bench), expected)


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_nothing_is_repeated_on_a_reliable_transport(method: str) -> None:
    bench = Bench(reliable=True)
    bench.client(method)
    assert is_at(lifetime(bench), 32.0)
    assert len(times(bench, method)) == 1


# Servers.


def test_g_doubles_to_t2_until_h_gives_up() -> None:
    bench = Bench()
    bench.server("INVITE").respond(486, bench.now)
    bench.collect()
    end = lifetime(bench)
    expected = [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert near(times(bench, "486 INVITE"), expected)
    assert is_at(end, 32.0)


def test_g_does_not_run_on_a_reliable_transport_but_h_does() -> None:
    bench = Bench(reliable=True)
    bench.server("INVITE").respond(486, bench.now)
    bench.collect()
    assert is_at(lifetime(bench), 32.0)
    assert len(times(bench, "486 INVITE")) == 1


@pytest.mark.parametrize(("reliable", "expected"), [(False, 5.0), (True, 0.0)])
def test_i_absorbs_acks(reliable: bool, expected: float) -> None:
    bench = Bench(reliable)
    tx = bench.server("INVITE")
    tx.respond(486, bench.now)
    bench.run(1.0)
    bench.apply(tx, "RECEIVE_ACK")
    sent = len(bench.sent)
    assert lingers(lifetime(bench), expected)
    assert len(bench.sent) == sent


@pytest.mark.parametrize(("reliable", "expected"), [(False, 32.0), (True, 0.0)])
def test_j_answers_retransmissions(reliable: bool, expected: float) -> None:
    bench = Bench(reliable)
    tx = bench.server("OPTIONS")
    tx.respond(200, bench.now)
    bench.apply(tx, "RECEIVE_REQUEST")
    assert [what for _, what in bench.sent] == ["200 OPTIONS", "200 OPTIONS"]
    assert bench.octets[0] == bench.octets[1]
    assert lingers(lifetime(bench), expected)


@pytest.mark.parametrize("reliable", [False, True])
def test_l_absorbs_the_invite_and_repeats_nothing(reliable: bool) -> None:
    bench = Bench(reliable)
    tx = bench.server("INVITE")
    tx.respond(200, bench.now)
    bench.collect()
    bench.run(31.0)
    bench.apply(tx, "RECEIVE_REQUEST")
    assert lingers(31.0 + lifetime(bench), 32.0)
    assert times(bench, "200 INVITE") == [0]


def test_other_base_values() -> None:
    bench = Bench(timers=Timers(t1=0.1, t2=0.4, t4=9.0))
    bench.client("OPTIONS")
    assert is_at(lifetime(bench), 6.4)
    assert near(times(bench, "OPTIONS")[:5], [0, 0.1, 0.3, 0.7, 1.1])
    tx = bench.client("OPTIONS")
    tx.receive(response(tx.request, 200, "bob"), bench.now)
    assert lingers(lifetime(bench), 6.4)  # K never outlasts 64*T1


# Messages that the transactions write themselves.


def test_ack_of_a_refusal() -> None:
    bench = Bench()
    via = bench.layer.new_via(bench.listener, ("198.51.100.9", 5060))
    head = (
        f"INVITE sip:bob@example.com SIP/2.0\r\nVia: {via}\r\nRoute: <sip:p1.example.com;lr>\r\n"
        "Route: <sip:p2.example.com;lr>\r\nMax-Forwards: 10\r\nFrom: <sip:a@example.com>;tag=a\r\n"
        "To: <sip:bob@example.com>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\nContent-Length: 0"
    )
    invite = Request("INVITE", "sip:bob@example.com", head)
    tx = bench.layer.start_client(invite, bench.listener, ("198.51.100.9", 5060), bench, 0.0)
    tx.receive(response(invite, 302, "bob", "Contact: <sip:elsewhere@example.com>\r\n"), 0.0)
    bench.collect()
    assert bench.octets[-1].decode() == (  # RFC 3261 section 17.1.1.3
        f"ACK sip:bob@example.com SIP/2.0\r\nVia: {via}\r\nRoute: <sip:p1.example.com;lr>\r\n"
        "Route: <sip:p2.example.com;lr>\r\nMax-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=a\r\n"
        "To: <sip:bob@example.com>;tag=bob\r\nCall-ID: c\r\nCSeq: 7 ACK\r\n"
        "Content-Length: 0\r\n\r\n"
    )


def test_only_one_final_response_leaves() -> None:
    bench = Bench()
    tx = bench.server("OPTIONS")
    assert not tx.answered
    assert tx.respond(486, bench.now) is not None
    assert tx.answered
    assert tx.respond(200, bench.now) is None
    bench.apply(tx, "RECEIVE_REQUEST")
    assert [what for _, what in bench.sent] == ["486 OPTIONS", "486 OPTIONS"]
