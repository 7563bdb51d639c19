"""Admission: by the number of calls, their rate and their delay, and who passes all the same."""

import logging
from itertools import count
from random import Random
from typing import Any

import pytest

from simulator.admission import OVER
from simulator.event_views import ServiceStateChanged
from sip.knock import knock_of
from sip.message import Response
from sip.usage.named import replaces_of
from sip.usage.screen import Ban
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.world import Line, Manner, Phone, World
from tests.support.builders import request_text
from tests.support.network import Network


def refusal(world: World, line: Line) -> Response:
    """The only answer to an INVITE."""
    world.run()
    (response,) = line.responses
    assert response.status == 503
    assert 5 <= int(response.get("retry-after") or 0) <= 10
    return response


def late(world: World, number: str) -> Line:
    """A call that has waited too long at the door."""
    held = world.party.held = []
    line = world.dial(number)
    world.run(0.1)
    world.party.held = None
    endpoint = world.party.endpoint
    for data, source in held:
        if not endpoint.door.turn_away(data, source, world.party.listener, world.network.now, True):
            endpoint.receive_datagram(data, source, world.party.listener, world.network.now)
    world.network.pump()
    return line


def counted(world: World) -> tuple[int, int, int]:
    refused = world.server.admission.refused
    return refused.calls, refused.rate, refused.delay


def over(world: World) -> None:
    """Let an overload end."""
    world.run(2 * OVER)
    assert world.server.admission.overload == ""


def test_a_rate_of_new_calls(build: Build) -> None:
    """As many as are allowed come in, whatever more is offered; the others leave no trace."""
    world = build(admission={"rate": 10})
    lines = []
    for _ in range(100):  # twice the rate for 5 seconds
        lines.append(world.dial("5000"))
        world.run(0.05)
    world.run()
    taken = [line for line in lines if line.statuses == [200]]
    refused = [line for line in lines if line.statuses == [503]]
    assert len(taken) + len(refused) == 100
    assert 50 <= len(taken) <= 52
    assert len(world.server.calls) == len(world.seen) == len(taken)
    assert counted(world) == (0, len(refused), 0)
    total = world.server.reports.service().total.counts
    assert (total.new_calls, total.rejected) == (100, len(refused))
    assert len(world.party.endpoint.sessions) == len(taken)
    for line in taken:
        line.hang_up()
    over(world)


def test_calls_that_come_together_are_counted_one_by_one(build: Build) -> None:
    """What the door let in before the first was counted is refused behind it."""
    world = build(admission={"rate": 1})
    lines = [world.dial("5000") for _ in range(5)]
    world.run()
    assert sorted(line.statuses[0] for line in lines) == [200, 503, 503, 503, 503]
    assert counted(world) == (0, 4, 0)
    next(line for line in lines if line.statuses == [200]).hang_up()
    over(world)


def test_a_call_that_waited_too_long(build: Build) -> None:
    world = build()
    line = late(world, "5000")
    refusal(world, line)
    assert counted(world) == (0, 0, 1)
    assert world.server.admission.overload == "delay"
    other = world.dial("5000")
    world.run()
    assert other.statuses == [200]
    other.hang_up()
    over(world)


def test_emergency_calls_pass(build: Build) -> None:
    """Above the calls at a time, above the rate, and late; not without a place for the record."""
    world = build(server={"max_calls": 0}, admission={"rate": 1, "always": ["112", "5911", "50X>"]})
    lines = [world.dial("5911"), world.dial("5000"), late(world, "5911")]
    refused = world.dial("5100")
    refusal(world, refused)
    assert [line.statuses for line in lines] == [[200], [200], [200]]
    assert counted(world) == (0, 1, 0)
    world.store.full = True
    turned = world.dial("5911")
    world.run()
    assert turned.statuses == [503]
    world.store.full = False
    for line in lines:
        line.hang_up()
    over(world)


def test_an_emergency_call_needs_a_licence_all_the_same(build: Build) -> None:
    world = build(server={"licences": 1}, admission={"always": "5911"})
    first = world.dial("5911")
    world.run()
    refusal(world, world.dial("5911"))
    assert world.server.licences.denied == 1
    first.hang_up()


def test_emergency_calls_leave_no_debt(build: Build) -> None:
    """The others come in again at once when there is room for one."""
    world = build(admission={"rate": 10, "always": "5911"})
    admission, now = world.server.admission, world.network.now
    assert all([admission.admits("5911", now) for _ in range(300)])
    assert not admission.admits("5000", now)
    assert admission.admits("5000", now + 0.11)
    over(world)


def test_an_emergency_number_behind_significant_digits(build: Build) -> None:
    """The door takes off what the dial plan takes off."""
    world = build(
        server={"max_calls": 0},
        admission={"always": "911"},
        dial_plan={"significant_digits": 3},
    )
    found = {}
    for number in ("555911", "555100", "911", "911100"):
        knock = knock_of(request_text("INVITE", uri=f"sip:{number}@{world.address}"))
        assert knock is not None
        found[number] = world.server.admission.refuses(knock, world.network.now, late=False)
    assert found == {"555911": "", "555100": "calls", "911": "", "911100": "calls"}
    assert counted(world) == (0, 0, 0)


def test_who_is_screened_out_is_no_overload(build: Build) -> None:
    """Nothing is sent, nothing counted: whoever is banned cannot make a server look overloaded."""
    world = build()
    screen = world.server.sources.screen
    host = "203.0.113.9"
    screen.bans[host] = ban = Ban(host, "x", 0.0, world.network.now + 60.0)
    door, listener = world.party.endpoint.door, world.party.listener
    data = request_text("INVITE", uri=f"sip:5000@{world.address}")
    for _ in range(3):
        assert door.turn_away(data, (host, 5060), listener, world.network.now, True)
    assert (ban.refused, world.party.endpoint.outbox) == (3, [])
    assert counted(world) == (0, 0, 0)
    assert world.server.admission.overload == ""
    assert world.server.health().status == "healthy"


def test_what_belongs_to_a_call_that_is_up_passes(build: Build) -> None:
    """RFC 3891: who takes its place is no new call; nor is what comes in its dialogs."""
    world = build(admission={"rate": 0.001})
    old = world.connected()
    refusal(world, world.dial("6000"))
    agent = world.agents.line
    desk = Phone(world.network, "desk", Manner())
    lines = f"Replaces: {replaces_of(agent.session)}\r\n"
    line = desk.dial(f"sip:6000@{world.address}", "2001", lines=lines)
    world.run()
    assert line.statuses[-1] == 200
    old.offer("sendonly")
    world.run()
    assert old.statuses[-1] == 200
    old.hang_up()
    over(world)


def test_overload_is_seen(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    """Health, one event and one line when it begins, and again when it ends."""
    world = build(admission={"rate": 0.5})
    reader = world.server.events.reader(lambda: None)
    caplog.set_level(logging.INFO, "simulator.admission")
    first = world.dial("5000")
    for _ in range(20):
        world.dial("5000")
        world.run(0.05)
    health = world.server.health
    assert health().status == "degraded"
    view = world.server.reports.service()
    assert (view.overload, view.refused.rate) == ("rate", 20)
    why = "more new calls come than admission.rate"
    assert caplog.messages == [f"overload: calls are refused, as {why}"]
    world.run(OVER + 0.1)
    assert health().status == "healthy"
    assert caplog.messages[1:] == ["the overload is over: 20 calls were refused in 1.0 s"]
    news = [e for e in reader.take(1000) if isinstance(e, ServiceStateChanged)]
    assert [(e.service_name, e.previous_state, e.current_state) for e in news] == [
        ("SIP", "running", "error"),
        ("SIP", "error", "running"),
    ]
    reader.close()
    assert news[0].message == f"overload: {why}"
    first.hang_up()


def test_full_is_not_overloaded(build: Build) -> None:
    world = build(server={"max_calls": 0})
    refusal(world, world.dial("5000"))
    assert world.server.health().status == "healthy"
    assert counted(world) == (1, 0, 0)


def test_another_configuration_takes_effect_at_once(build: Build) -> None:
    world = build(admission={"rate": 0.001})
    first = world.dial("5000")
    refusal(world, world.dial("5000"))
    wanted = world.server.config.model_copy(
        update={"admission": world.server.config.admission.model_copy(update={"rate": 0.0})}
    )
    world.server.configure(wanted)
    second = world.dial("5000")
    world.run()
    assert second.statuses == [200]
    for line in (first, second):
        line.hang_up()
    over(world)


def test_refused_calls_leave_nothing_behind(build: Build) -> None:
    """No session, no transaction, no timer but the one that looks for the end."""
    world = build(admission={"rate": 0.001})
    first = world.dial("5000")
    world.run(40.0)  # its INVITE transaction is over
    timers = world.party.endpoint.wheel.running
    for _ in range(50):
        world.dial("5000")
    world.run()
    endpoint = world.party.endpoint
    assert (len(endpoint.servers), len(endpoint.sessions), len(endpoint.owned)) == (0, 1, 1)
    assert endpoint.wheel.running <= timers + 1
    assert endpoint.door.remembered == 50
    first.hang_up()
    over(world)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_door_does(build: Build, seed: int) -> None:
    """On a network that loses, doubles and disorders packets, with a door that opens and shuts:
    a call is refused, or goes through and has its record; none is half open."""
    random = Random(seed)
    network = Network(seed, loss=0.1, duplication=0.1, reordering=0.2)
    world = build(network, admission={"rate": 2.0, "always": "5911"})
    lines: list[Line] = []
    urgent: list[Line] = []
    sections: list[dict[str, Any]] = [{"rate": 0.5}, {"rate": 0.0}, {"rate": 5.0}]
    for number in count():
        if number == 30:
            break
        dial = late if random.random() < 0.2 else World.dial
        called = random.choice(("5000", "6000", "5911"))
        lines.append(dial(world, called))
        if called == "5911":
            urgent.append(lines[-1])
        world.run(random.random() / 2)
        if random.random() < 0.2:
            config = world.server.config
            admission = config.admission.model_copy(update=random.choice(sections))
            world.server.configure(config.model_copy(update={"admission": admission}))
    world.run(40.0)  # every INVITE has its answer, or was given up
    up = [line for line in lines if line.statuses[-1:] == [200]]
    for line in lines:
        finals = {status for status in line.statuses if status >= 200}
        assert finals <= {200} or finals == {503}, line
        assert not (line in urgent and 503 in finals)
    refused = [line for line in lines if 503 in line.statuses]
    assert len(up) > 1
    assert len(refused) > 1
    seen = {call.legs[0].session.dialog.call_id for call in world.seen.values()}
    for line in refused:
        assert line.session.dialog.call_id not in seen
    for line in up:
        assert line.session.dialog.call_id in seen
        line.hang_up()
    over(world)
    world.run(40.0)
    assert not world.server.calls
    assert len(world.store.records) == len(world.seen)
