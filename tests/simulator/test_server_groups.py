"""Which server takes the next request, which are out, and what the heartbeat says."""

import logging
from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError

from simulator.config_dial_plan import ServerGroupSection
from simulator.server_groups import ServerGroup, ServerGroups
from sip.locate import Target
from tests.support.builders import response_text
from tests.support.network import Network, Party, Stranger


def section(*servers: Any, **settings: Any) -> ServerGroupSection:
    return ServerGroupSection.model_validate({"name": "g.lab", "servers": servers, **settings})


def server(number: int, **settings: Any) -> dict[str, Any]:
    return {"host": f"10.0.0.{number}", **settings}


def group(*servers: Any, **settings: Any) -> ServerGroup:
    return ServerGroup(section(*servers, **settings), 0.5, lambda *_: None, 0.0)


def numbers(uris: list[str]) -> list[int]:
    return [int(uri.rpartition(":")[0].rpartition(".")[2]) for uri in uris]


def target(number: int) -> Target:
    return Target("UDP", f"10.0.0.{number}", 5060)


def first(of: ServerGroup, count: int, now: float = 0.0) -> list[int]:
    return [numbers(of.uris(now))[0] for _ in range(count)]


# -- whose turn it is ----------------------------------------------------------------------


def test_priority_comes_before_weight() -> None:
    """CVP.md 4: priority 1 is primary; weight inside a priority."""
    found = group(server(1, priority=2, weight=900), server(2), server(3, priority=3))
    assert numbers(found.uris(0.0)) == [2, 1, 3]


def test_weights_are_shares_spread_evenly() -> None:
    found = group(server(1, weight=50), server(2, weight=30), server(3, weight=20))
    turns = first(found, 100)
    assert Counter(turns) == {1: 50, 2: 30, 3: 20}
    assert Counter(turns[:10]) == {1: 5, 2: 3, 3: 2}
    assert max(len(run) for run in "".join(map(str, turns)).replace("2", " ").split()) <= 3


def test_weight_0_is_only_for_when_the_others_are_out() -> None:
    found = group(server(1, weight=0), server(2, weight=7))
    assert first(found, 5) == [2] * 5
    found.failed(target(2), 408, None, 0.0)
    assert found.uris(0.0) == ["sip:10.0.0.1:5060"]


def test_round_robin_takes_turns_whatever_the_weight() -> None:
    found = group(server(1, weight=9), server(2), server(3), load_balancing="round_robin")
    assert first(found, 5) == [1, 2, 3, 1, 2]
    assert numbers(found.uris(0.0)) == [3, 1, 2]


def test_top_down_takes_the_first_that_is_up() -> None:
    found = group(server(1), server(2), load_balancing="top_down")
    assert first(found, 3) == [1, 1, 1]
    found.failed(target(1), 503, None, 0.0)
    assert first(found, 3) == [2, 2, 2]


# -- who is out ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "seconds", "state", "until"),
    [(408, None, "down", 180.0), (503, None, "overloaded", 180.0), (503, 20, "overloaded", 20.0)],
)
def test_who_fails_is_out_for_a_while(
    status: int, seconds: int | None, state: str, until: float
) -> None:
    """CVP.md 4: a static downtime of 3 minutes; RFC 3261 20.33 where Retry-After says more."""
    found = group(server(1), server(2))
    found.failed(target(1), status, seconds, 0.0)
    assert (found.elements[0].state, found.state) == (state, "partial")
    assert numbers(found.uris(until - 0.1)) == [2]
    assert sorted(numbers(found.uris(until))) == [1, 2]
    assert found.state == "up"


def test_out_is_the_server_by_every_transport() -> None:
    """CVP.md 4: down and overloaded cover UDP and TCP."""
    found = group(server(1), server(2))
    found.failed(Target("TCP", "10.0.0.1", 5060), 408, None, 0.0)
    assert numbers(found.uris(1.0)) == [2]


def test_where_all_are_out_all_are_tried() -> None:
    found = group(server(1, priority=2), server(2))
    for number in (1, 2):
        found.failed(target(number), 408, None, 0.0)
    assert found.state == "down"
    assert numbers(found.uris(1.0)) == [2, 1]
    found.answered(target(1), 1.0)
    assert numbers(found.uris(1.0)) == [1]


def test_with_pings_all_out_means_nobody() -> None:
    found = group(server(1), heartbeat={"enabled": True})
    found.failed(target(1), 408, None, 0.0)
    assert found.uris(1000.0) == []
    assert found.likely() == "sip:10.0.0.1:5060"


def test_a_server_of_nobody_changes_nothing() -> None:
    found = group(server(1))
    found.failed(target(9), 408, None, 0.0)
    found.answered(target(9), 0.0)
    assert (found.state, found.by_tcp(target(9)), found.name_of(target(9))) == (
        "up",
        False,
        "g.lab",
    )


def test_names_and_transports_are_those_of_the_configuration() -> None:
    found = group({"host": "one.lab", "transport": "tls", "port": 5061}, "10.0.0.2:5070", server(3))
    assert found.uris(0.0)[0] == "sip:one.lab:5061;transport=tls"
    found.located("sip:one.lab:5061;transport=tls", Target("TLS", "10.9.9.9", 5061))
    found.located("sip:other.lab", Target("TLS", "10.9.9.8", 5061))
    assert found.name_of(Target("TLS", "10.9.9.9", 5061)) == "one.lab"
    assert not found.by_tcp(Target("TLS", "10.9.9.9", 5061))
    assert found.by_tcp(target(3))


def test_other_settings_leave_the_state_of_who_stays() -> None:
    found = group(server(1), server(2))
    found.failed(target(1), 408, None, 0.0)
    found.configure(section(server(3), server(1, weight=5)), 1.0)
    assert [(str(one), one.state) for one in found.elements] == [
        ("10.0.0.3:5060", "up"),
        ("10.0.0.1:5060", "down"),
    ]
    assert found.elements[1].config.weight == 5


@pytest.mark.parametrize(
    "beat", [{"enabled": False}, {"enabled": True, "down_interval": 0}], ids=["off", "up only"]
)
def test_who_waits_for_a_ping_that_no_longer_comes_is_back_in_time(beat: dict[str, Any]) -> None:
    found = group(server(1), server(2), heartbeat={"enabled": True}, downtime=30)
    for number in (1, 2):
        found.failed(target(number), 408, None, 0.0)
    assert found.uris(1000.0) == []
    found.configure(section(server(1), server(2), heartbeat=beat, downtime=30), 1000.0)
    found.refresh(1029.9)
    assert found.state == "down"
    assert sorted(numbers(found.uris(1030.0))) == [1, 2]
    assert [one.state for one in found.elements] == ["up", "up"]


def test_who_is_out_for_a_time_keeps_it_with_other_settings() -> None:
    found = group(server(1), server(2))
    found.failed(target(1), 503, 20, 0.0)
    found.configure(section(server(1), server(2), downtime=500), 10.0)
    assert sorted(numbers(found.uris(20.0))) == [1, 2]


# -- heartbeats ----------------------------------------------------------------------------

BEAT: dict[str, Any] = {"enabled": True}


class Bench:
    """A party with groups, over strangers that answer as `answers` says (0: not at all)."""

    def __init__(self, network: Network, count: int, **settings: Any) -> None:
        self.network = network
        self.party: Party = network.add("server")
        self.servers = [network.add_stranger(f"s{number}") for number in range(1, count + 1)]
        self.answers = dict.fromkeys([one.name for one in self.servers], 200)
        self.groups = ServerGroups(self.party.endpoint)
        self.settings = settings
        self.groups.configure([self.section()], 0.0)

    def section(self, **settings: Any) -> ServerGroupSection:
        hosts = [one.address[0] for one in self.servers]
        return section(*hosts, **{"heartbeat": BEAT, **self.settings, **settings})

    @property
    def group(self) -> ServerGroup:
        return self.groups.groups["g.lab"]

    @property
    def states(self) -> list[str]:
        return [one.state for one in self.group.elements]

    def run(self, seconds: float) -> None:
        """Let time pass; pings are answered as they come."""
        end = self.network.now + seconds
        while self.network.now < end:
            self.network.run(min(0.05, end - self.network.now))
            for one in self.servers:
                self._answer(one)

    def _answer(self, one: Stranger) -> None:
        status = self.answers[one.name]
        for request in one.received if status else ():
            one.send(self.party, response_text(request, status))  # type: ignore[arg-type]
        one.received.clear()

    def pings(self) -> list[tuple[float, str]]:
        return [(round(p.time, 1), p.target) for p in self.network.packets("OPTIONS")]


@pytest.fixture
def network() -> Network:
    return Network()


def test_pings_go_round_one_every_interval(network: Network) -> None:
    """CVP.md 4: the interval is between any two pings across all elements."""
    bench = Bench(network, 3)
    bench.groups.start(0.0)
    bench.run(21.0)
    assert bench.pings() == [(0.0, "s1"), (5.0, "s2"), (10.0, "s3"), (15.0, "s1"), (20.0, "s2")]
    bench.groups.stop()
    bench.run(60.0)
    assert len(bench.pings()) == 5
    assert bench.party.leftovers() == {}


def test_no_pings_without_the_setting(network: Network) -> None:
    bench = Bench(network, 2, heartbeat={})
    bench.groups.start(0.0)
    bench.run(20.0)
    assert bench.pings() == []
    assert bench.party.leftovers() == {}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        *[(status, "up") for status in (200, 302, 404, 405, 483, 501)],
        *[(status, "overloaded") for status in (480, 503, 600)],
        (0, "down"),
    ],
)
def test_any_answer_but_those_of_overload_is_up(network: Network, status: int, state: str) -> None:
    """CVP.md 4: 503, 480 and 600 are overloaded, any other reply is up."""
    bench = Bench(network, 2)
    bench.answers["s1"] = status
    bench.groups.start(0.0)
    bench.run(1.0)
    assert bench.states == [state, "up"]
    assert numbers_of(bench) == (["s1", "s2"] if state == "up" else ["s2"])
    bench.groups.stop()


def numbers_of(bench: Bench) -> list[str]:
    uris = bench.group.uris(bench.network.now)
    return sorted(one.name for one in bench.servers if f"sip:{one.address[0]}:5060" in uris)


def test_a_server_comes_back_with_its_next_good_ping(network: Network) -> None:
    bench = Bench(network, 2)
    bench.answers["s1"] = 0
    bench.groups.start(0.0)
    bench.run(1.0)
    assert bench.states == ["down", "up"]
    bench.run(300.0)  # longer than any downtime: pings decide
    assert bench.states == ["down", "up"]
    bench.answers["s1"] = 200
    bench.run(5.5)
    assert bench.states == ["up", "up"]
    bench.groups.stop()


def test_as_many_pings_must_fail_as_are_configured(network: Network) -> None:
    bench = Bench(network, 1, heartbeat={**BEAT, "failed_tries": 3, "timeout": 1})
    bench.answers["s1"] = 0
    bench.groups.start(0.0)
    bench.run(10.9)
    assert bench.states == ["up"]
    bench.run(0.5)
    assert bench.states == ["down"]
    assert bench.group.elements[0].since == pytest.approx(11.0, abs=0.1)
    bench.groups.stop()


def test_an_answer_between_them_counts_from_the_start(network: Network) -> None:
    bench = Bench(network, 1, heartbeat={**BEAT, "failed_tries": 2})
    for status in (0, 200, 0, 200):
        bench.answers["s1"] = status
        bench.run(0.1)
        if status == 0 and not bench.pings():
            bench.groups.start(network.now)
        bench.run(4.9)
        assert bench.states == ["up"]
    bench.groups.stop()


def test_a_request_that_fails_takes_a_server_out_until_a_ping(network: Network) -> None:
    bench = Bench(network, 2)
    bench.groups.start(0.0)
    bench.run(1.0)
    bench.group.failed(Target("UDP", bench.servers[1].address[0], 5060), 503, 1, network.now)
    assert bench.states == ["up", "overloaded"]
    bench.run(3.0)
    assert bench.states == ["up", "overloaded"]
    bench.run(2.0)  # at 5 s it is pinged: s2 is the only one that is out
    assert bench.states == ["up", "up"]
    bench.groups.stop()


def test_without_pings_of_those_that_are_down_time_brings_them_back(network: Network) -> None:
    bench = Bench(network, 2, heartbeat={**BEAT, "down_interval": 0}, downtime=30)
    bench.answers["s1"] = 0
    bench.groups.start(0.0)
    bench.run(2.0)
    assert bench.states == ["down", "up"]
    bench.answers["s1"] = 200
    bench.run(20.0)
    assert bench.states == ["down", "up"]
    bench.run(10.0)
    assert numbers_of(bench) == ["s1", "s2"]
    bench.groups.stop()


def test_only_those_that_are_out_may_be_pinged(network: Network) -> None:
    bench = Bench(network, 2, heartbeat={**BEAT, "up_interval": 0})
    bench.groups.start(0.0)
    bench.run(11.0)
    assert bench.pings() == []
    bench.group.failed(Target("UDP", bench.servers[0].address[0], 5060), 408, None, network.now)
    bench.run(5.0)
    assert bench.states == ["up", "up"]
    bench.groups.stop()


def test_pings_cannot_be_sent_without_a_socket_for_them(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(network, 1, heartbeat={**BEAT, "transport": "tcp"})
    bench.groups.start(0.0)
    assert "g.lab: no heartbeat: no TCP listener" in caplog.text
    bench.group.failed(Target("UDP", bench.servers[0].address[0], 5060), 408, None, network.now)
    bench.run(5.5)  # what is out cannot be pinged either
    assert bench.states == ["down"]
    bench.run(181.0)
    assert numbers_of(bench) == ["s1"]
    bench.groups.stop()


def test_every_change_is_logged(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(network, 2)
    bench.answers["s1"] = 503
    bench.groups.start(0.0)
    bench.run(1.0)
    bench.answers["s1"] = 200
    bench.run(10.0)
    host = bench.servers[0].address[0]
    assert [record.getMessage() for record in caplog.records] == [
        f"server group g.lab: {host}:5060 is overloaded: 503 to OPTIONS; the group is partial",
        f"server group g.lab: {host}:5060 is up: 200 to OPTIONS; the group is up",
    ]
    bench.groups.stop()


def test_another_configuration_while_pings_run(network: Network) -> None:
    bench = Bench(network, 2)
    bench.answers["s1"] = 0
    bench.groups.start(0.0)
    bench.run(1.0)
    before = bench.group
    bench.groups.configure([bench.section(load_balancing="top_down")], network.now)
    assert (bench.group is before, bench.states) == (True, ["down", "up"])
    bench.groups.configure([bench.section(heartbeat={})], network.now)
    bench.run(1.0)
    count = len(bench.pings())
    bench.run(30.0)
    assert len(bench.pings()) == count
    bench.groups.configure([bench.section()], network.now)
    bench.groups.configure([], network.now)
    bench.run(1.0)
    assert (bench.groups.groups, bench.party.endpoint.locator.groups) == ({}, {})
    bench.run(30.0)
    assert bench.party.leftovers() == {}
    bench.groups.stop()


def test_what_readers_see(network: Network) -> None:
    bench = Bench(network, 2, description="agents")
    bench.answers["s2"] = 0
    bench.groups.start(0.0)
    bench.run(6.0)
    (view,) = bench.groups.views(lambda now: 1000.0 + now, network.now)
    assert (view.group_id, view.description, view.status) == ("g.lab", "agents", "partial")
    one, two = view.servers
    assert (one.status, one.reason) == ("up", "200 to OPTIONS")
    assert one.latency == pytest.approx(60, abs=50)
    assert one.last_contact == pytest.approx(1000.0, abs=0.2)
    assert (two.status, two.latency, two.last_contact) == ("down", None, None)
    assert two.reason == "no answer to OPTIONS in 0.5 s"
    bench.groups.stop()


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("sip:1001@g.lab", "sip:1001@192.0.2.2:5060"),
        ("sip:g.lab;transport=udp", "sip:192.0.2.2:5060"),
        ("sip:1001@10.1.1.1:5080", "sip:1001@10.1.1.1:5080"),
    ],
)
def test_others_are_told_of_a_server_not_of_its_group(
    network: Network, uri: str, wanted: str
) -> None:
    bench = Bench(network, 1)
    assert bench.groups.concrete(uri, 0.0) == wanted
    bench.group.mark(bench.group.elements[0], "down", "test", 0.0)
    assert bench.groups.concrete(uri, 0.0) == wanted
    bench.groups.configure([], 0.0)
    assert bench.groups.concrete(uri, 0.0) == uri


# -- the configuration ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"name": "10.0.0.1"}, "'10.0.0.1' cannot be the host of a SIP URI"),
        ({"name": "a b"}, "cannot be the host of a SIP URI"),
        ({"servers": []}, "at least 1 item"),
        ({"servers": ["10.0.0.1", "10.0.0.1:5060"]}, "10.0.0.1:5060 is there twice"),
        ({"servers": ["10.0.0.1:99999"]}, "is not a number from 1 to 65535"),
        ({"servers": ["a\r\nb"]}, "is not a host name"),
        ({"heartbeat": {"failed_tries": 6}}, "less than or equal to 5"),
        ({"heartbeat": {"timeout": 0.05}}, "greater than or equal to 0.1"),
        ({"heartbeat": {"up_interval": 4}}, r"must be 0 \(off\) or 5 to 3600 seconds, not 4"),
        ({"tries": 0}, "greater than or equal to 1"),
        ({"load_balancing": "random"}, "'round_robin', 'top_down' or 'weight_based'"),
    ],
)
def test_a_group_that_cannot_be(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        ServerGroupSection.model_validate({"name": "g", "servers": ["10.0.0.1"], **settings})


def test_the_defaults_are_those_of_the_product() -> None:
    """CVP.md 4, the table of server groups (times here in seconds)."""
    beat = section("10.0.0.1").heartbeat
    assert (beat.enabled, beat.failed_tries, beat.timeout) == (False, 1, 0.5)
    assert (beat.up_interval, beat.down_interval) == (5.0, 5.0)
    assert (beat.method, beat.transport, beat.overloaded) == ("OPTIONS", "udp", (503, 480, 600))
    assert beat.contact == "cvp.cisco.com"


def test_connectivity_shows_the_servers_of_a_group_with_a_component(network: Network) -> None:
    """As CUCM, say; a group without a component is shown at /oamp/rest/sipserver alone."""
    groups = ServerGroups(network.add("server").endpoint)
    shown = section("10.0.0.1", {"host": "10.0.0.2", "transport": "tcp"}, component="CUCM")
    groups.configure([shown, section("10.0.0.3").model_copy(update={"name": "h.lab"})], 0.0)
    assert [(one.component, one.url) for one in groups.neighbours()] == [
        ("CUCM", "sip:10.0.0.1:5060"),
        ("CUCM", "sip:10.0.0.2:5060;transport=tcp"),
    ]
