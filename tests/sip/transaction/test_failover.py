"""A request goes to the next target before its user hears anything (RFC 3263 section 4.3)."""

from collections.abc import Callable

import pytest

from sip.events import Answered, Invited, Refused, Responded
from sip.message import Request, Response
from sip.records import Query, Srv
from sip.transaction.failover import retry_after
from sip.usage.invite import InviteSession
from tests.sip.usage.calls import ANSWER, OFFER, SOON, automatic, established
from tests.support.builders import request, response, response_text
from tests.support.network import Network, Party, Stranger

URI = "sip:bob@example.com"
PATIENT = 33.0  # longer than timers B and F


def by_udp(network: Network, *strangers: Stranger, transport: str = "udp") -> None:
    """The servers of example.com, in this order."""
    network.records[Query(f"_sip._{transport}.example.com", "SRV")] = [
        Srv(at, 0, one.address[1], f"{one.name}.example.com") for at, one in enumerate(strangers)
    ]
    network.names |= {f"{one.name}.example.com": one.address[0] for one in strangers}


@pytest.fixture
def servers(network: Network) -> list[Stranger]:
    network.expect_idle = True
    found = [network.add_stranger(name) for name in ("first", "second", "third")]
    by_udp(network, *found)
    return found


def answer(stranger: Stranger, to: Party, status: int, lines: str = "", at: int = -1) -> None:
    invite = stranger.requests("INVITE")[at]
    stranger.send(to, response_text(invite, status, stranger.name, lines))
    to.network.run(SOON)


def refuse_with_503(network: Network, alice: Party, first: Stranger) -> None:
    answer(first, alice, 503)


def time_out(network: Network, alice: Party, first: Stranger) -> None:
    network.run(PATIENT)


def cannot_send(network: Network, alice: Party, first: Stranger) -> None:
    alice.endpoint.transport_failed(alice.listener, first.address, network.now)


Failure = Callable[[Network, Party, Stranger], None]


@pytest.mark.parametrize("fails", [refuse_with_503, time_out, cannot_send])
def test_an_invite_goes_to_the_next_target(
    network: Network, alice: Party, servers: list[Stranger], fails: Failure
) -> None:
    first, second, third = servers
    session = alice.call(URI)
    network.run(SOON)
    fails(network, alice, first)
    network.run(SOON)
    assert alice.seen == []  # nothing of it is heard
    one, two = first.requests("INVITE")[0], second.requests("INVITE")[0]
    assert one.via.branch != two.via.branch
    same = ("call-id", "cseq", "from", "to", "contact")
    assert [one.get(name) for name in same] == [two.get(name) for name in same]
    assert session.remote_address == second.address
    answer(second, alice, 200, f"Contact: <{second.uri}>\r\n")
    alice.take(Answered)
    session.acknowledge(alice.now)
    session.bye(alice.now)
    network.run(SOON)
    assert len(second.requests("ACK")) == len(second.requests("BYE")) == 1
    assert third.received == []
    second.send(alice, response_text(second.requests("BYE")[0], 200))


def test_a_503_that_is_repeated_gets_its_ack_again(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    """The old transaction stays in state Completed (RFC 3261 section 17.1.1.2)."""
    first, second, _ = servers
    alice.call(URI)
    network.run(SOON)
    answer(first, alice, 503)
    answer(first, alice, 503)
    assert len(first.requests("ACK")) == 2
    assert {ack.via.branch for ack in first.requests("ACK")} == {
        first.requests("INVITE")[0].via.branch
    }
    answer(second, alice, 486)
    assert alice.take(Refused).status == 486


def test_the_last_failure_is_the_users(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    alice.call(URI)
    network.run(SOON)
    for server in servers:
        assert alice.seen == []
        answer(server, alice, 503, "Retry-After: 20\r\n")
    refused = alice.take(Refused)
    assert refused.status == 503
    assert refused.response is not None


def test_all_time_out(network: Network, alice: Party, servers: list[Stranger]) -> None:
    alice.call(URI)
    network.run(3 * PATIENT)
    assert alice.take(Refused).status == 408
    assert [len({i.via.branch for i in server.requests("INVITE")}) for server in servers] == [1] * 3


def test_retry_after_puts_a_target_last_for_its_time(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    """RFC 3261 section 21.5.4."""
    first, second, _ = servers
    for wait, starts_with in ((0.0, first), (15.0, second), (10.0, first)):
        network.run(wait)
        session = alice.call(URI)
        network.run(SOON)
        assert session.remote_address == starts_with.address
        answer(starts_with, alice, 503 if wait == 0.0 else 404, "Retry-After: 20\r\n")
        if wait == 0.0:
            answer(second, alice, 404)
        alice.take(Refused)


def test_a_503_without_retry_after_shuns_nobody(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    first, second, _ = servers
    alice.call(URI)
    network.run(SOON)
    answer(first, alice, 503)
    answer(second, alice, 404)
    session = alice.call(URI)
    network.run(SOON)
    assert session.remote_address == first.address
    answer(first, alice, 404)


def test_who_timed_out_is_asked_last(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    first, second, _ = servers
    alice.call(URI)
    network.run(PATIENT)
    answer(second, alice, 404)
    session = alice.call(URI)
    network.run(SOON)
    assert session.remote_address == second.address
    answer(second, alice, 404)
    assert len({invite.via.branch for invite in first.requests("INVITE")}) == 1


def given_up(network: Network, alice: Party, first: Stranger) -> tuple[InviteSession, Request]:
    """A call that has gone on to the second target; the first one's INVITE."""
    session = alice.call(URI)
    network.run(PATIENT)
    late = first.requests("INVITE")[0]
    first.received.clear()
    return session, late


@pytest.mark.parametrize("answered", [True, False])
def test_a_late_2xx_is_acknowledged_and_ended(
    network: Network, alice: Party, servers: list[Stranger], answered: bool
) -> None:
    """RFC 3261 section 13.2.2.4: ACK for each, BYE once; the call is with the second target."""
    first, second, _ = servers
    session, late = given_up(network, alice, first)
    contact = f"Contact: <{second.uri}>\r\n"
    if answered:
        answer(second, alice, 200, contact)
        session.acknowledge(alice.now)
    for _ in range(2):
        first.send(alice, response_text(late, 200, "late", f"Contact: <{first.uri}>\r\n"))
        network.run(SOON)
    found = [(one.method, one.to_tag) for one in first.received if isinstance(one, Request)]
    assert found == [("ACK", "late"), ("BYE", "late"), ("ACK", "late")]
    first.send(alice, response_text(first.requests("BYE")[0], 200))
    if not answered:
        answer(second, alice, 200, contact)
        session.acknowledge(alice.now)
    alice.take(Answered)
    session.bye(alice.now)
    network.run(SOON)
    assert len(second.requests("ACK")) == len(second.requests("BYE")) == 1
    second.send(alice, response_text(second.requests("BYE")[0], 200))


def test_what_rings_late_is_cancelled(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    """RFC 3261 section 9.1: or two phones would ring."""
    first, second, _ = servers
    _, late = given_up(network, alice, first)
    first.send(alice, response_text(late, 180, "late"))
    network.run(SOON)
    (cancel,) = first.requests("CANCEL")
    assert cancel.via.branch == late.via.branch
    first.send(alice, response_text(cancel, 200))
    first.send(alice, response_text(late, 487, "late"))
    network.run(SOON)
    assert len(first.requests("ACK")) == 1
    answer(second, alice, 486)
    assert alice.take(Refused).status == 486


def test_a_late_2xx_to_a_reinvite_ends_nothing(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    """Another target has led it to the same peer: the dialog goes on."""
    first, second, _ = servers
    session = alice.call(URI)
    network.run(SOON)
    answer(first, alice, 200, "Contact: <sip:bob@example.com>\r\n")
    alice.take(Answered)
    session.acknowledge(alice.now)
    session.reinvite(alice.now, OFFER)
    network.run(PATIENT)
    late = first.requests("INVITE")[-1]
    answer(second, alice, 200)
    session.acknowledge(alice.now)
    first.send(alice, response_text(late, 200))
    network.run(SOON)
    assert [*first.requests("BYE"), *second.requests("BYE")] == []
    session.bye(alice.now)
    network.run(SOON)
    (bye,) = [*first.requests("BYE"), *second.requests("BYE")]
    for one in (first, second):
        one.send(alice, response_text(bye, 200))


def test_nobody_else_is_asked_once_it_rings(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    first, second, _ = servers
    alice.call(URI)
    network.run(SOON)
    answer(first, alice, 100)
    answer(first, alice, 180)
    answer(first, alice, 503)
    assert alice.take(Refused).status == 503
    assert second.received == []


def test_after_100_there_is_still_a_next_one(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    first, second, _ = servers
    alice.call(URI)
    network.run(SOON)
    answer(first, alice, 100)
    answer(first, alice, 503)
    answer(second, alice, 404)
    assert alice.take(Refused).status == 404


def test_a_call_given_up_goes_nowhere_else(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    """CANCEL goes where its INVITE went (RFC 3263 section 4), and that is the end."""
    first, second, _ = servers
    session = alice.call(URI)
    network.run(SOON)
    answer(first, alice, 100)
    session.cancel(alice.now)
    network.run(SOON)
    first.send(alice, response_text(first.requests("CANCEL")[0], 200))
    answer(first, alice, 503)
    assert alice.take(Refused).status == 503
    assert second.received == []


@pytest.mark.parametrize("status", [500, 404, 302])
def test_other_failures_are_final(
    network: Network, alice: Party, servers: list[Stranger], status: int
) -> None:
    first, second, _ = servers
    alice.call(URI)
    network.run(SOON)
    answer(first, alice, status)
    assert alice.take(Refused).status == status
    assert second.received == []


@pytest.mark.parametrize("fails", ["503", "timeout", "error"])
def test_options_go_to_the_next_target(
    network: Network, alice: Party, servers: list[Stranger], fails: str
) -> None:
    first, second, _ = servers
    alice.endpoint.options(0.0, URI, from_="<sip:a@b>", context="probe")
    network.run(SOON)
    if fails == "503":
        first.send(alice, response_text(first.requests("OPTIONS")[0], 503))
    elif fails == "timeout":
        network.run(PATIENT)
    else:
        cannot_send(network, alice, first)
    network.run(SOON)
    second.send(alice, response_text(second.requests("OPTIONS")[-1], 200))
    network.run(SOON)
    assert alice.take(Responded).status == 200


def test_a_name_without_address_is_a_transport_error(
    network: Network, alice: Party, caplog: pytest.LogCaptureFixture
) -> None:
    network.expect_idle = True
    alice.call("sip:bob@nowhere.example.com")
    network.run(SOON)
    assert alice.take(Refused).status == 503
    assert "nowhere.example.com: no address found" in caplog.text


def test_a_socket_that_is_closed_while_a_name_is_looked_up(network: Network, alice: Party) -> None:
    network.expect_idle = True
    by_udp(network, network.add_stranger("carol"), transport="tcp")
    alice.listen("TCP")
    alice.call(URI)
    del alice.listeners[1:]
    network.run(SOON)
    assert alice.take(Refused).status == 503


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("20", 20), (" 20 ", 20), ("1800;duration=3600", 1800), ("120 (busy)", 120), ("x", None)]
    + [(value, 3600) for value in ("3600", "3601", "999999999", "9" * 20)],
)
def test_retry_after(value: str, seconds: int | None) -> None:
    """RFC 3261 20.33 has no bound; an hour is the most that is believed."""
    found = response(request("OPTIONS"), 503, lines=f"Retry-After: {value}\r\n")
    assert retry_after(found) == seconds


# By what DNS says: another transport than UDP.


def test_dns_may_lead_to_tcp(network: Network, alice: Party, bob: Party) -> None:
    """Via and Contact name the transport that is used, the dialog goes on by it."""
    network.expect_idle = True
    automatic(alice, bob)
    alice.listen("TCP", port=5062)
    bob.listen("TCP", port=5070)
    network.records[Query("_sip._tcp.example.com", "SRV")] = [Srv(0, 0, 5070, "bob.example.com")]
    network.names["bob.example.com"] = bob.address[0]
    session = alice.call(URI)
    network.run(SOON)
    (invite,) = network.requests("INVITE")
    here = f"{alice.address[0]}:5062"
    assert invite.top_via.startswith(f"SIP/2.0/TCP {here};")
    assert invite.get("contact") == f"<sip:{here};transport=tcp>"
    assert session.listener.transport == "TCP"
    session.bye(alice.now)
    network.run(SOON)
    assert network.requests("BYE")[0].top_via.startswith(f"SIP/2.0/TCP {here};")


# RFC 3261 section 18.1.1: more than 1300 octets.

LONG = OFFER + b"a=x:" + b"x" * 1000 + b"\r\n"


@pytest.fixture
def both(network: Network, alice: Party, bob: Party) -> tuple[Party, Party]:
    """Parties with UDP and TCP on port 5060."""
    network.expect_idle = True
    for party in (alice, bob):
        party.listen("TCP")
    automatic(alice, bob)
    return alice, bob


def transports(network: Network, method: str) -> list[str]:
    return [sent.via.transport for sent in network.requests(method)]


def test_a_long_request_goes_by_tcp(network: Network, both: tuple[Party, Party]) -> None:
    alice, bob = both
    session = alice.call(bob, LONG)
    network.run(SOON)
    alice.take(Answered)
    session.bye(alice.now)
    network.run(SOON)
    assert transports(network, "INVITE") == transports(network, "BYE") == ["TCP"]
    (invite,) = network.requests("INVITE")
    assert "transport=tcp" in (invite.get("contact") or "")


def test_a_short_one_by_udp(network: Network, both: tuple[Party, Party]) -> None:
    alice, bob = both
    session = alice.call(bob)
    network.run(SOON)
    assert transports(network, "INVITE") == ["UDP"]
    session.bye(alice.now)


def test_1300_octets_are_not_too_long(network: Network, both: tuple[Party, Party]) -> None:
    alice, bob = both
    fill = 500
    for expected, transport in ((None, "UDP"), (1300, "UDP"), (1301, "TCP")):
        if expected is not None:
            fill += expected - len(network.packets("INVITE")[-1].data)
        session = alice.call(bob, OFFER + b"x" * fill)
        network.run(SOON)
        assert transports(network, "INVITE")[-1] == transport
        assert expected in (None, len(network.packets("INVITE")[-1].data))
        session.bye(alice.now)
        network.run(SOON)


def test_who_has_no_tcp_gets_it_by_udp(network: Network, both: tuple[Party, Party]) -> None:
    """Refused: the next one comes by UDP at once, as nothing has changed since."""
    alice, bob = both
    network.refusing.add(("TCP", bob.address))
    for _ in range(2):
        session = alice.call(bob, LONG)
        network.run(SOON)
        alice.take(Answered)
        assert session.listener.transport == "UDP"
        session.bye(alice.now)
        network.run(SOON)
    assert transports(network, "INVITE") == ["UDP", "UDP"]
    contact = network.requests("INVITE")[0].get("contact") or ""
    assert "transport=udp" in contact


@pytest.mark.parametrize("parameter", [";transport=udp", ";transport=UDP"])
def test_a_transport_that_is_named_stays(
    network: Network, both: tuple[Party, Party], parameter: str
) -> None:
    alice, bob = both
    session = alice.call(bob.uri + parameter, LONG)
    network.run(SOON)
    assert transports(network, "INVITE") == ["UDP"]
    session.bye(alice.now)


def test_without_a_tcp_listener_there_is_no_choice(
    network: Network, alice: Party, bob: Party
) -> None:
    automatic(alice, bob)
    alice.call(bob, LONG)
    network.run(SOON)
    assert transports(network, "INVITE") == ["UDP"]


def test_a_503_by_tcp_is_not_tried_by_udp(network: Network, alice: Party) -> None:
    network.expect_idle = True
    alice.listen("TCP")
    carol = network.add_stranger("carol")
    alice.call(carol, LONG)
    network.run(SOON)
    answer(carol, alice, 503)
    assert alice.take(Refused).status == 503
    assert transports(network, "INVITE") == ["TCP"]


def test_a_long_reinvite_switches_too(network: Network, both: tuple[Party, Party]) -> None:
    alice, bob = both
    alice.handler = bob.handler = None
    session, _ = established(alice, bob)
    session.dialog.target = bob.uri  # a Contact that leaves the transport open
    automatic(alice, bob)
    session.reinvite(alice.now, LONG)
    network.run(SOON)
    assert transports(network, "INVITE") == ["TCP"]
    session.bye(alice.now)


# By what we have: IPv4 and IPv6.


def test_the_family_of_the_target_chooses_the_listener(network: Network, alice: Party) -> None:
    network.expect_idle = True
    automatic(alice)
    six = network.add("six", "2001:db8::6")
    automatic(six)
    alice.listen("UDP", "2001:db8::1")
    session = alice.call(six)
    network.run(SOON)
    alice.take(Answered)
    (invite,) = network.requests("INVITE")
    assert invite.top_via.startswith("SIP/2.0/UDP [2001:db8::1]:5060;branch=")
    assert invite.get("contact") == "<sip:[2001:db8::1]:5060;transport=udp>"
    assert invite.call_id.endswith("@2001:db8::1") or invite.call_id.endswith("@[2001:db8::1]")
    session.bye(alice.now)


def test_make_is_kept_for_who_repeats_a_request(network: Network, alice: Party, bob: Party) -> None:
    session: InviteSession = alice.call(bob)
    sent = session.client_invite
    assert sent is not None
    assert sent.make is not None
    again: Request = sent.make("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKagain")
    assert again.via.branch == "z9hG4bKagain"
    assert again.cseq == sent.request.cseq
    network.run(SOON)
    invited: Invited = bob.take(Invited)
    invited.session.answer(bob.now, ANSWER)
    network.run(SOON)
    reply: Response = alice.take(Answered).response
    assert reply.status == 200
