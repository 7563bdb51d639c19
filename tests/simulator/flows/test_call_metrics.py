"""/metrics: each family against what was on the wire, or what became of the calls."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from simulator.metrics import Histogram
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.world import World
from tests.support.builders import request_text
from tests.support.network import Network

Figures = dict[str, float]
"""Samples by name and label values: ``calls{queued}``, without ``callsim_``."""


def figures(world: World) -> Figures:
    found: Figures = {}
    for family in world.server.metrics.families():
        for sample in family.samples:
            name = sample.name.removeprefix("callsim_")
            labels = ",".join(sample.labels.values())
            key = f"{name}{{{labels}}}" if labels else name
            assert key not in found
            found[key] = sample.value
    return found


def some(world: World, name: str) -> Figures:
    """The samples of one name that are not 0, by their labels."""
    shown = {key: value for key, value in figures(world).items() if value}
    return {
        key[len(name) + 1 : -1]: value
        for key, value in shown.items()
        if key.partition("{")[0] == name
    }


# Messages.


class Recorded(World):
    """A world whose whole log is kept."""

    def forget(self) -> None:
        pass

    def wire(self, *, received: bool) -> Counter[str]:
        """The messages that the server received or sent: ``INVITE``, ``2xx INVITE``."""
        found: Counter[str] = Counter()
        for packet in self.network.log:
            name = packet.target if received else packet.source
            if name == "server" and not (received and packet.lost):
                words = packet.summary.split()
                found[f"{words[0][0]}xx {words[1]}" if len(words) == 2 else words[0]] += 1
        return found

    def counted(self, *, received: bool) -> Counter[str]:
        """The same, as the metrics have it."""
        found: Counter[str] = Counter()
        mine = "received" if received else "sent"
        for labels, count in some(self, "sip_requests_total").items():
            direction, method = labels.split(",")
            if direction == mine:
                found[method] = int(count)
        for labels, count in some(self, "sip_responses_total").items():
            direction, method, kind = labels.split(",")
            if direction == mine:
                found[f"{kind} {method}"] = int(count)
        return found


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    world = Recorded(Network())
    yield world
    world.settle()


def hold_and_hang_up(world: World) -> None:
    line = world.connected()
    line.offer("sendonly")
    world.run()
    line.hang_up()


def transfer_blind(world: World) -> None:
    line = world.connected()
    world.transfer("1002")
    world.run(2)
    line.hang_up()


def give_up(world: World) -> None:
    line = world.dial("6000")
    world.run()
    line.cancel()


def be_refused(world: World) -> None:
    world.dial("9486")


def be_queued(world: World) -> None:
    line = world.queued()
    world.run(6)
    line.hang_up()


FLOWS: list[Callable[[World], None]] = [
    hold_and_hang_up,
    transfer_blind,
    give_up,
    be_refused,
    be_queued,
]


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
def test_messages_are_those_of_the_wire(flow: Callable[[World], None], recorded: Recorded) -> None:
    flow(recorded)
    recorded.run(5)
    for received in (False, True):
        wire = recorded.wire(received=received)
        assert recorded.counted(received=received) == wire
        assert len(wire) >= 3
    assert some(recorded, "sip_retransmissions_total") == {}


def test_what_is_repeated_is_counted_by_itself() -> None:
    """On a bad network: all that arrived or left, and no message twice."""
    world = Recorded(Network(7, loss=0.2, duplication=0.2))
    for _ in range(20):
        line = world.dial("6000")
        world.run(20)
        line.hang_up()
        world.run(40)
    again = some(world, "sip_retransmissions_total")
    assert again["sent"] > 20
    assert again["received"] > 20
    sent = world.counted(received=False)
    assert sent.total() + again["sent"] == world.wire(received=False).total()
    # One INVITE for each call that was let in, and one BYE at most on each leg.
    received = world.counted(received=True)
    assert received["INVITE"] == len(world.seen)
    assert sent["INVITE"] == len(world.seen)
    assert received["BYE"] <= len(world.seen)
    world.settle()


def test_timers_by_name(build: Build) -> None:
    world = build()
    world.agents.party.dead = True
    world.dial("6000")
    world.run(0.6)
    assert some(world, "sip_timers_fired_total") == {"A": 1}
    world.run(40)
    fired = some(world, "sip_timers_fired_total")
    assert fired["A"] == len(world.sent("INVITE", to="agents")) - 1
    assert fired["B"] == 1
    world.settle()
    fired = some(world, "sip_timers_fired_total")
    assert fired["I"] == 1  # what lingered of the caller's INVITE
    assert sum(fired.values()) == world.party.endpoint.wheel.fired


def test_what_breaks_the_grammar(world: World) -> None:
    stranger = world.network.add_stranger("stranger")
    stranger.send(world.party, b"\r\n\r\n")  # a keep-alive
    world.run()
    assert some(world, "sip_parse_errors_total") == {}
    stranger.send(world.party, b"GET / HTTP/1.1\r\n\r\n")
    stranger.send(world.party, b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x\r\n\r\n")
    stranger.send(world.party, request_text("OPTIONS", {"CSeq": "x OPTIONS"}))
    world.run()
    assert some(world, "sip_parse_errors_total") == {"unreadable": 2, "request": 1}
    assert figures(world)["sip_discarded_total"] == 3
    assert some(world, "sip_requests_total") == {"received,OPTIONS": 1}
    assert some(world, "sip_responses_total") == {"sent,OPTIONS,4xx": 1}
    stranger.send(world.party, request_text("INVENT"))
    stranger.send(world.party, request_text("CONTRIVE"))
    world.run()
    assert some(world, "sip_requests_total") == {"received,OPTIONS": 1, "received,other": 2}


# Calls.


def test_calls_and_what_they_hold(world: World) -> None:
    queued = world.queued()
    agent = world.connected()
    shown = figures(world)
    assert some(world, "calls") == {"queued": 1, "connected": 1}
    assert shown["calls_peak"] == 2
    assert shown["calls_offered_total"] == 2
    assert shown["legs"] == shown["sip_dialogs"] == len(world.party.endpoint.sessions) >= 4
    assert shown["legs_begun_total"] >= 4
    assert shown["icm_lookups_total"] == 2
    endpoint = world.party.endpoint
    assert shown["sip_transactions{client}"] == len(endpoint.clients) > 0
    assert shown["sip_transactions{server}"] == len(endpoint.servers) > 0
    assert shown["sip_invites_waiting"] == 0
    for line in (queued, agent):
        line.hang_up()
    world.run()
    assert some(world, "calls") == {}
    assert some(world, "calls_ended_total") == {"abandoned": 1, "completed": 1}
    assert shown["connect_latency_seconds_count"] == 2
    assert shown["connect_latency_seconds_sum"] == pytest.approx(1.04, abs=0.1)
    world.settle()
    assert some(world, "sip_transactions") == {}
    assert figures(world)["legs"] == 0


def test_transfers_by_kind_and_outcome(world: World) -> None:
    line = world.connected()
    world.transfer("1002")
    world.run(2)
    world.transfer("9486")
    world.run(2)
    world.transfer("1003", "consultation")
    line.hang_up()
    world.run(2)
    assert some(world, "transfers_total") == {
        "blind,completed": 1,
        "blind,failed": 1,
        "consultation,cancelled": 1,
    }
    assert some(world, "connects_failed_total") == {"answered": 1}
    world.dial("9404")
    world.run()
    assert some(world, "connects_failed_total") == {"answered": 1, "unanswered": 1}
    assert some(world, "calls_ended_total") == {"transferred": 1, "error": 1}


def test_refusals_by_reason(build: Build) -> None:
    world = build(server={"max_calls": 1}, admission={"rate": 5})
    assert some(world, "ready") == {"": 1}
    line = world.dial("5000")
    world.run()
    full = world.dial("5000")
    world.run()
    copy = [packet for packet in world.network.log if packet.summary == "INVITE"][-1]
    world.network.post(world.caller.party.address, world.party.address, copy.data)
    world.run()
    assert full.statuses[0] == 503
    assert some(world, "calls_refused_total") == {"calls": 1}
    assert some(world, "sip_requests_total")["received,INVITE"] == 2
    assert some(world, "sip_responses_total")["sent,INVITE,5xx"] == 1
    assert some(world, "sip_retransmissions_total") == {"received": 1, "sent": 1}
    line.hang_up()
    world.run()
    for _ in range(5):
        world.dial("5000")
    world.run()
    refused = some(world, "calls_refused_total")
    assert refused.keys() == {"calls", "rate"}
    assert some(world, "overloaded") == {"": 1}
    assert figures(world)["calls_offered_total"] == 7
    world.terminate()


def test_calls_refused_for_another_reason(world: World) -> None:
    world.server.draining, world.server.ready = True, False
    world.dial("5000")
    world.run()
    world.dial("6000")
    world.run()
    assert some(world, "calls_refused_total") == {"other": 2}
    assert some(world, "ready") == {}


def test_licences(build: Build) -> None:
    world = build(server={"licences": 1})
    line = world.standalone()
    world.dial("5001")
    world.run()
    shown = figures(world)
    assert (shown["licences_limit"], shown["licences_used"]) == (1, 1)
    assert shown["licences_denied_total"] == 1
    line.hang_up()
    world.run()
    assert figures(world)["licences_used"] == 0


def test_sources(build: Build) -> None:
    limits = {"rate": 1, "burst": 2, "unacknowledged": 0, "wrong_passwords": 1, "ban": 60}
    world = build(sip={"limits": limits})
    stranger = world.network.add_stranger("stranger")
    for number in range(5):
        via = f"SIP/2.0/UDP {stranger.address[0]};branch=z9hG4bK{number}"
        stranger.send(world.party, request_text("OPTIONS", {"Via": via}))
    world.run()
    screen = world.server.sources.screen
    assert some(world, "sip_screened_total") == {"refused": 1, "dropped": 2}
    screen.wrong_password(stranger.address, "1001", "guess", world.network.now)
    shown = figures(world)
    assert (shown["sip_bans_total"], shown["sip_banned_sources"]) == (1, 1)
    world.run(61)
    shown = figures(world)
    assert (shown["sip_bans_total"], shown["sip_banned_sources"]) == (1, 0)


# Records, events, the loop.


def test_records_that_wait(world: World) -> None:
    line = world.standalone()
    world.store.slow = True
    line.hang_up()
    world.run()
    assert figures(world)["cdr_waiting"] == 1
    world.store.healthy, world.store.journaled, world.store.malformed = False, 4, 2
    shown = figures(world)
    assert (shown["cdr_store_healthy"], shown["cdr_journaled"], shown["cdr_lost_total"]) == (
        0,
        4,
        2,
    )
    world.store.catch_up()
    world.store.healthy = True
    world.run()
    assert figures(world)["cdr_waiting"] == 0
    assert figures(world)["cdr_store_healthy"] == 1


def test_events_and_their_readers(world: World) -> None:
    reader = world.server.events.reader(lambda: None)
    line = world.standalone()
    line.hang_up()
    world.run()
    shown = figures(world)
    assert shown["event_readers"] == 1
    assert shown["events_total"] == len(reader.take(100)) > 2
    reader.leave()
    assert figures(world)["event_readers"] == 0


def test_faults_that_fire(build: Build) -> None:
    rule = {"direction": "out", "method": "INVITE", "status": "200", "drop": True, "count": 2}
    world = build(faults=[{"name": "late-200", **rule}])
    line = world.dial("5000")
    world.run(2)
    assert line.statuses == [200]
    assert some(world, "faults_fired_total") == {"late-200": 2}
    line.hang_up()


def test_loop_lag(world: World) -> None:
    for late in (0.0, 0.003, 0.003, 7.0):
        world.server.metrics.loop_lag.observe(late)
    lag = "event_loop_lag_seconds"
    shown = figures(world)
    assert shown[f"{lag}_count"] == 4
    assert shown[f"{lag}_sum"] == pytest.approx(7.006)
    buckets = [shown[f"{lag}_bucket{{{bound}}}"] for bound in ("0.001", "0.005", "2.5", "+Inf")]
    assert buckets == [1, 3, 3, 4]


def test_a_value_on_a_bound_is_in_its_bucket() -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe(1.0)
    found: list[Any] = []

    class Family:
        def add_metric(self, labels: object, buckets: object, total: float) -> None:
            found.append((labels, buckets, total))

    histogram.add_to(Family(), ("a",))  # type: ignore[arg-type]
    assert found == [(("a",), [("1.0", 1), ("2.0", 1), ("+Inf", 1)], 1.0)]


def test_announcements_and_version(world: World) -> None:
    statistics = world.server.statistics
    statistics.announced(whisper=True, played=True)
    statistics.announced(whisper=False, played=False)
    assert some(world, "announcements_total") == {"whisper,played": 1, "greeting,failed": 1}
    assert some(world, "build_info") == {"1.0-test": 1}


# What a scrape costs, and whether all of this is complete.


class Untouched(dict[str, Any]):
    """A table that may be counted, not walked."""

    def _refuse(self, *_: object) -> NoReturn:
        raise AssertionError("a scrape must not walk the calls")

    __iter__ = items = values = keys = _refuse


def test_a_scrape_walks_no_calls(world: World) -> None:
    line = world.connected()
    places = [
        (world.server, "calls"),
        *((world.party.endpoint, name) for name in ("sessions", "owned", "clients", "servers")),
    ]
    tables = [getattr(owner, name) for owner, name in places]
    for (owner, name), table in zip(places, tables, strict=True):
        setattr(owner, name, Untouched(table))
    assert figures(world)["legs"] == 2
    for (owner, name), table in zip(places, tables, strict=True):
        setattr(owner, name, table)
    line.hang_up()
    world.run()


def test_as_many_samples_with_many_calls(world: World) -> None:
    first = world.connected()
    before = figures(world).keys()
    lines = [world.connected() for _ in range(20)]
    assert figures(world).keys() == before
    for line in (first, *lines):
        line.hang_up()
    world.run()


def test_each_family_has_its_test(world: World) -> None:
    text = Path(__file__).read_text()
    for family in world.server.metrics.families():
        name = family.name.removeprefix("callsim_")
        assert re.search(rf"\b{name}(_total|_count)?\b", text), name
        assert family.documentation.endswith(".")
