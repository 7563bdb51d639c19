"""Server groups in the place of the DNS: order, failover, what the group is told."""

import pytest

from sip.events import Closed, Refused
from sip.locate import Target, Targets
from sip.message import Request
from sip.records import Query
from sip.timers import Timers
from sip.transport import Listener
from sip.usage.invite import InviteSession
from tests.sip.usage.calls import SOON
from tests.support.builders import response_text
from tests.support.network import OFFER, Network, Party, Stranger


class Group:
    """A group that keeps what it is told."""

    def __init__(self, *uris: str, patience: float = 1.0, by_tcp: bool = True) -> None:
        self.order = list(uris)
        self.patience = patience
        self.tcp = by_tcp
        self.owners: dict[str, str] = {}
        self.heard: list[object] = []

    def uris(self, now: float) -> list[str]:
        return list(self.order)

    def likely(self) -> str:
        return self.order[0] if self.order else ""

    def located(self, uri: str, target: Target) -> None:
        self.owners[target.host] = uri

    def name_of(self, target: Target) -> str:
        return self.owners[target.host]

    def by_tcp(self, target: Target) -> bool:
        return self.tcp

    def answered(self, target: Target, now: float) -> None:
        self.heard.append(target.host)

    def failed(self, target: Target, status: int, seconds: int | None, now: float) -> None:
        self.heard.append((target.host, status, seconds))


@pytest.fixture
def servers(network: Network) -> list[Stranger]:
    network.expect_idle = True
    return [network.add_stranger(name) for name in ("first", "second", "third")]


def grouped(alice: Party, servers: list[Stranger], **options: float) -> Group:
    """alice knows the servers as ``agents.lab``."""
    group = Group(*[f"sip:{one.address[0]}:5060" for one in servers], **options)  # type: ignore[arg-type]
    alice.endpoint.locator.groups["agents.lab"] = group
    return group


def answer(stranger: Stranger, to: Party, status: int, lines: str = "") -> None:
    invite = stranger.requests("INVITE")[-1]
    stranger.send(to, response_text(invite, status, stranger.name, lines))
    to.network.run(SOON)


def test_a_group_is_asked_in_its_order_and_told(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    """RFC 3263 section 4.3, with the group's list in the place of SRV records."""
    group = grouped(alice, servers)
    alice.call("sip:1001@Agents.Lab")
    network.run(SOON)
    (invite,) = servers[0].requests("INVITE")
    assert invite.uri == "sip:1001@Agents.Lab"  # as with a name in the DNS
    answer(servers[0], alice, 503, "Retry-After: 7\r\n")
    answer(servers[1], alice, 503)
    answer(servers[2], alice, 486)
    assert alice.take(Refused).status == 486
    hosts = [one.address[0] for one in servers]
    assert group.heard == [(hosts[0], 503, 7), (hosts[1], 503, None), hosts[2]]
    assert network.asked == []


def test_a_server_has_two_tries_by_udp(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    """CVP.md 4: twice, 500 ms apart; then the next one, half a second later."""
    group = grouped(alice, servers[:2])
    alice.call("sip:1001@agents.lab")
    network.run(10.0)
    assert network.times("INVITE") == pytest.approx([0.0, 0.5, 1.0, 1.5], abs=0.02)
    assert alice.take(Refused).status == 408
    hosts = [one.address[0] for one in servers]
    assert group.heard == [(hosts[0], 408, None), (hosts[1], 408, None)]


@pytest.mark.parametrize(("patience", "times"), [(0.5, [0.0]), (2.0, [0.0, 0.5, 1.5])])
def test_a_server_has_as_many_tries_as_the_group_says(
    network: Network, alice: Party, servers: list[Stranger], patience: float, times: list[float]
) -> None:
    grouped(alice, servers[:1], patience=patience)
    alice.call("sip:1001@agents.lab")
    network.run(10.0)
    assert network.times("INVITE") == pytest.approx(times, abs=0.02)
    assert alice.take(Refused).status == 408


def test_what_rings_has_all_its_time(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    grouped(alice, servers)
    session = alice.call("sip:1001@agents.lab")
    network.run(SOON)
    answer(servers[0], alice, 180)
    network.run(100.0)
    assert servers[1].received == []
    session.cancel(alice.now)
    network.run(SOON)
    servers[0].send(alice, response_text(servers[0].requests("CANCEL")[0], 200))
    answer(servers[0], alice, 487)


def test_a_group_without_a_server_leads_nowhere(network: Network, alice: Party) -> None:
    network.expect_idle = True
    grouped(alice, [])
    alice.call("sip:1001@agents.lab")
    network.run(SOON)
    assert alice.take(Refused).status == 503
    assert network.log == []


def test_other_names_are_still_the_dns(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    grouped(alice, servers)
    network.names["elsewhere.lab"] = servers[2].address[0]
    alice.call("sip:1001@elsewhere.lab")
    network.run(SOON)
    assert servers[2].requests("INVITE")
    answer(servers[2], alice, 486)


def test_a_server_may_have_a_name(network: Network, alice: Party, servers: list[Stranger]) -> None:
    network.names["first.lab"] = servers[0].address[0]
    group = grouped(alice, [])
    group.order = ["sip:first.lab:5060", f"sip:{servers[1].address[0]}"]
    alice.call("sip:1001@agents.lab")
    network.run(SOON)
    assert network.asked == [Query("first.lab", "A")]
    answer(servers[0], alice, 503)
    answer(servers[1], alice, 486)
    assert set(group.owners.values()) == set(group.order)


def test_a_name_that_leads_nowhere_is_passed_over(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    group = grouped(alice, [])
    group.order = ["sip:nowhere.lab:5060", f"sip:{servers[1].address[0]}"]
    alice.call("sip:1001@agents.lab")
    network.run(SOON)
    answer(servers[1], alice, 486)
    assert alice.take(Refused).status == 486


LONG = OFFER + b"a=x:" + b"y" * 1300 + b"\r\n"


@pytest.mark.parametrize("by_tcp", [True, False])
def test_what_is_too_long_goes_by_tcp_where_the_server_takes_it(
    network: Network, alice: Party, servers: list[Stranger], by_tcp: bool
) -> None:
    """RFC 3261 section 18.1.1; the group is asked once only, so that turns stay turns."""
    alice.listen("TCP", port=5070)
    grouped(alice, servers[:1], by_tcp=by_tcp)
    alice.call("sip:1001@agents.lab", LONG)
    network.run(SOON)
    (invite,) = servers[0].requests("INVITE")
    assert invite.via.transport == ("TCP" if by_tcp else "UDP")
    answer(servers[0], alice, 486)


def test_the_request_may_ask_for_a_transport(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    alice.listen("TCP", port=5070)
    grouped(alice, servers)
    alice.call("sip:1001@agents.lab;transport=tcp")
    network.run(SOON)
    (invite,) = servers[0].requests("INVITE")
    assert invite.via.transport == "TCP"
    answer(servers[0], alice, 486)


def test_sips_needs_tls(network: Network, alice: Party, servers: list[Stranger]) -> None:
    """RFC 3261 section 26.2.2: a group does not make a sips: URI less secure."""
    alice.listeners.append(Listener("TLS", alice.listener.host, 5061, True))
    grouped(alice, servers)
    found: list[Target] = []
    locate = alice.endpoint.locator.locate
    locate("sips:1001@agents.lab", lambda targets, _now: found.extend(targets), 0.0)
    assert {one.transport for one in found} == {"TLS"}


OURS = "Contact: <sip:1001@agents.lab>\r\n"


def methods(stranger: Stranger) -> list[str]:
    return [one.method for one in stranger.received if isinstance(one, Request)]


# -- what comes late -----------------------------------------------------------------------


def given_up(alice: Party, servers: list[Stranger]) -> tuple[InviteSession, Request]:
    """A call that has gone on to the second server; the first one's INVITE."""
    grouped(alice, servers)
    session = alice.call("sip:1001@agents.lab")
    alice.network.run(1.2)
    (invite,) = servers[1].requests("INVITE")
    late = servers[0].requests("INVITE")[0]
    assert late.via.branch != invite.via.branch
    servers[0].received.clear()
    return session, late


@pytest.mark.parametrize("contact", [OURS, "Contact: <sip:1001@192.0.2.2>\r\n"])
@pytest.mark.parametrize("answered", [True, False])
def test_a_late_2xx_is_acknowledged_and_ended(
    network: Network, alice: Party, servers: list[Stranger], answered: bool, contact: str
) -> None:
    """RFC 3261 section 13.2.2.4: ACK for each, BYE once; the call is with the second server."""
    first, second, _ = servers
    assert first.address[0] == "192.0.2.2"
    session, late = given_up(alice, [first, second])
    if answered:
        answer(second, alice, 200, OURS)
        session.acknowledge(alice.now)
    for _ in range(2):
        first.send(alice, response_text(late, 200, "late", contact))
        network.run(SOON)
    assert methods(first) == ["ACK", "BYE", "ACK"]
    assert {one.to_tag for one in first.received} == {"late"}
    first.send(alice, response_text(first.requests("BYE")[0], 200))
    if not answered:
        answer(second, alice, 200, OURS)
        session.acknowledge(alice.now)
    network.run(SOON)
    assert session.remote_address == second.address
    hang_up(session, alice, second)
    assert methods(second)[-2:] == ["ACK", "BYE"]


def test_a_late_2xx_of_the_last_server_is_ended_too(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    first = servers[0]
    grouped(alice, [first])
    alice.call("sip:1001@agents.lab")
    network.run(1.2)
    assert alice.take(Refused).status == 408
    first.send(alice, response_text(first.requests("INVITE")[0], 200, "late", OURS))
    network.run(SOON)
    assert methods(first)[-2:] == ["ACK", "BYE"]
    first.send(alice, response_text(first.requests("BYE")[0], 200))
    network.run(SOON)
    assert alice.events == []


def test_what_rings_late_is_cancelled(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    """RFC 3261 section 9.1: or two phones would ring."""
    first, second, _ = servers
    _, late = given_up(alice, [first, second])
    for status in (100, 180):
        first.send(alice, response_text(late, status, "late"))
        network.run(SOON)
    (cancel,) = first.requests("CANCEL")
    assert cancel.via.branch == late.via.branch
    first.send(alice, response_text(cancel, 200))
    first.send(alice, response_text(late, 487, "late"))
    network.run(SOON)
    assert methods(first) == ["CANCEL", "ACK"]
    answer(second, alice, 486)
    assert alice.take(Refused).status == 486


@pytest.mark.parametrize("status", [302, 420, 500])
def test_a_late_refusal_changes_nothing(
    network: Network, alice: Party, servers: list[Stranger], status: int
) -> None:
    """It is acknowledged (17.1.1.3); nobody is asked again for its sake."""
    first, second, third = servers
    _, late = given_up(alice, [first, second])
    lines = f"Contact: {third.uri}\r\nUnsupported: 100rel\r\n"
    first.send(alice, response_text(late, status, "late", lines))
    network.run(SOON)
    assert methods(first) == ["ACK"]
    answer(second, alice, 486)
    assert alice.take(Refused).status == 486
    assert third.received == []


# -- inside a dialog ------------------------------------------------------------------------


def joined(alice: Party, servers: list[Stranger], contact: str = OURS) -> InviteSession:
    """A call that the first server answers; whoever asks the group now gets the second."""
    group = grouped(alice, servers)
    session = alice.call("sip:1001@agents.lab")
    alice.network.run(SOON)
    group.order.reverse()
    answer(servers[0], alice, 200, contact)
    session.acknowledge(alice.now)
    alice.network.run(SOON)
    return session


def hang_up(session: InviteSession, alice: Party, server: Stranger) -> None:
    session.bye(alice.now)
    alice.network.run(SOON)
    server.send(alice, response_text(server.requests("BYE")[0], 200))
    alice.network.run(SOON)


def test_a_dialog_stays_with_the_server_that_answered(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    """CVP.md 4: requests in a dialog bypass the group, whatever the Contact calls it."""
    first, second, _ = servers
    session = joined(alice, [first, second])
    hang_up(session, alice, first)
    assert methods(first) == ["INVITE", "ACK", "BYE"]
    assert first.requests("BYE")[0].uri == "sip:1001@agents.lab"
    assert second.received == []
    assert alice.take(Closed)


def test_in_a_dialog_there_is_no_next_server(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    """A request in a dialog has all of timer F (RFC 3261 section 17.1.2.2)."""
    first, second, _ = servers
    joined(alice, [first, second]).bye(alice.now)
    network.run(31.0)
    assert len(first.requests("BYE")) > 2
    network.run(2.0)
    assert second.received == []
    assert alice.take(Closed)


def test_another_fork_is_ended_where_it_answered(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    """RFC 3261 section 13.2.2.4: each 2xx gets its ACK, what is not wanted BYE."""
    first, second, _ = servers
    session = joined(alice, [first, second])
    invite = first.requests("INVITE")[0]
    first.received.clear()
    first.send(alice, response_text(invite, 200, "fork", OURS))
    network.run(SOON)
    assert methods(first) == ["ACK", "BYE"]
    first.send(alice, response_text(first.requests("BYE")[0], 200))
    first.received.clear()
    hang_up(session, alice, first)
    assert second.received == []


@pytest.mark.parametrize("by_tcp", [True, False])
def test_what_is_too_long_stays_with_the_server_too(
    network: Network, alice: Party, servers: list[Stranger], by_tcp: bool
) -> None:
    """RFC 3261 section 18.1.1."""
    alice.listen("TCP", port=5070)
    first, second, _ = servers
    session = joined(alice, [first, second])
    group = alice.endpoint.locator.groups["agents.lab"]
    assert isinstance(group, Group)
    group.tcp = by_tcp
    session.reinvite(alice.now, LONG)
    network.run(SOON)
    invite = first.requests("INVITE")[-1]
    assert invite.via.transport == ("TCP" if by_tcp else "UDP")
    answer(first, alice, 488)
    hang_up(session, alice, first)
    assert second.received == []


def test_another_name_in_a_dialog_is_the_dns(
    network: Network, alice: Party, servers: list[Stranger]
) -> None:
    network.names["elsewhere.lab"] = servers[2].address[0]
    session = joined(alice, servers, "Contact: <sip:1001@elsewhere.lab>\r\n")
    hang_up(session, alice, servers[2])
    assert methods(servers[2]) == ["ACK", "BYE"]


@pytest.mark.parametrize("contact", ["mailto:a@agents.lab", "sip:a@agents.lab;maddr=%"])
def test_a_contact_that_cannot_be_read_leads_nowhere(
    network: Network, alice: Party, servers: list[Stranger], contact: str
) -> None:
    session = joined(alice, servers, f"Contact: <{contact}>\r\n")
    session.bye(alice.now)
    network.run(SOON)
    assert [methods(one) for one in servers] == [["INVITE"], [], []]
    assert alice.take(Closed)


def test_a_sips_contact_still_needs_tls(alice: Party, servers: list[Stranger]) -> None:
    """RFC 3261 section 26.2.2; the certificate is to bear the server's name (RFC 5922)."""
    alice.listeners.append(Listener("TLS", alice.listener.host, 5061, True))
    grouped(alice, servers).owners["192.0.2.77"] = "first.lab"
    found: list[Targets] = []
    locate = alice.endpoint.locator.locate_peer
    peer = ("192.0.2.77", 5061)
    locate("sips:1@agents.lab", peer, lambda targets, _now: found.append(targets), 0.0)
    assert list(found[0]) == [Target("TLS", *peer)]
    assert found[0].name_of(Target("TLS", *peer)) == "first.lab"


@pytest.mark.parametrize("uri", ["mailto:a@agents.lab", "sip:a@b;maddr=%"])
def test_a_uri_that_cannot_be_read_leads_nowhere(alice: Party, uri: str) -> None:
    grouped(alice, [])
    reasons: list[str] = []
    locator = alice.endpoint.locator
    locator.locate(uri, lambda targets, _now: reasons.append(targets.reason), 0.0)
    assert reasons != [""]
    assert locator.likely(uri) == uri


def test_a_slow_t1_is_the_measure(network: Network, servers: list[Stranger]) -> None:
    slow = network.add("slow", timers=Timers(1.0, 4.0, 5.0))
    grouped(slow, servers[:1], patience=1.0)
    slow.call("sip:1001@agents.lab")
    network.run(2.0)
    assert network.times("INVITE") == [0.0]
