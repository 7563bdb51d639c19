"""Five hundred calls with far ends that do whatever comes to their mind, on a bad network.

Nothing is said of what each call does; but each gets exactly one CDR, and nothing is left.
"""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from simulator.call import Call
from simulator.cdr_records import CdrRecord
from simulator.errors import CallServerError
from simulator.views import CallFilter, TransferCommand
from sip.errors import LocalError
from sip.usage.named import replaces_of
from tests.simulator.flows.phones import Manner, Phone
from tests.simulator.flows.world import Line, World
from tests.support.network import Network

WORLDS = 25
CALLS = 20  # in each
BUSY_TIME = 30.0  # in which they come, and things happen to them
SETTLING = 70.0  # in which every request that is under way comes to its end
NUMBERS = "3000 5000 6000 7000 7000 7001 8000 9486 4000 4001".split()
TARGETS = "1001 1002 1003 7000 3000 4000 9503 sip:bob@192.0.2.3:5060 sip:x@192.0.2.77".split()
SECTIONS: dict[str, Any] = {
    "dialed_numbers": [
        {"pattern": "5>", "script": "standalone"},
        {"pattern": "6>", "label": "1001", "ring_no_answer": 5},
        {"pattern": "7>", "script": "support"},
        {"pattern": "4>", "script": "long"},
        {"pattern": "9XXX", "label": "{dnis}"},
        {"pattern": ">", "script": "self_service"},
    ],
    "icm": {
        "scripts": {
            "long": [
                {"self_service": {"application": "bank", "seconds": 0.5}},
                {"queue": {"skill_group": "support", "seconds": 6}},
                {"connect": {"label": "1003"}},
            ],
        },
        "skill_groups": {"support": {"wait": 0, "agents": ["1001", "1002", "1003"]}},
        "agents": {"1001": {"max_calls": 1}, "1002": {"max_calls": 2}, "1003": {}},
    },
    "transfer": {"ring_no_answer": 4},
}


class Chaos:
    """One world in which a seed decides everything."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        network = Network(
            seed,
            loss=self.random.choice([0.0, 0.0, 0.05, 0.1, 0.2]),
            duplication=self.random.choice([0.0, 0.1]),
            reordering=self.random.choice([0.0, 0.1]),
        )
        icm = {**SECTIONS["icm"], "wait": self.random.choice([0, 0, 1])}
        sdp = {
            "origin": self.random.choice(["keep", "passthrough"]),
            "mid_call": self.random.choice(["offer", "offerless"]),
        }
        sip = {
            "reliable_provisional": self.random.choice(["required", "supported"]),
            "error_refer": self.random.random() < 0.5,
        }
        services = {"ringtone": self.random.choice(["", "9191", "9191"])}
        group = {**icm["skill_groups"]["support"]}
        group["whisper"] = self.random.choice(["", "sales.wav"])
        group["greeting"] = self.random.choice(["", "hello.wav"])
        icm["skill_groups"] = {"support": group}
        sections = {**SECTIONS, "icm": icm, "sdp": sdp, "sip": sip, "services": services}
        self.world = World(network, **sections)
        for phone in (self.world.caller, self.world.vxml, self.world.agents):
            if self.random.random() < 0.7:
                phone.party.endpoint.support("100rel")

    def manner(self, *, caller: bool = False) -> Manner:
        pick = self.random.choice
        return Manner(
            ring=pick([None, 0.0, 0.1]),
            answer=pick([0.0, 0.0, 0.2, 1.0, 3.0, None]),
            refuse=pick([0, 0, 0, 0, 404, 486, 503]),
            acknowledge=self.random.random() > 0.05,
            reinvite=pick([200] * 8 + [488, 491, 500, 0]),
            update=pick([200, 200, 488, 405]),
            early=self.random.random() < 0.3,
            bye=caller or self.random.random() > 0.05,
        )

    def at(self, time: float, action: Callable[[], object]) -> None:
        """Do something at a time, if it is possible then."""

        def attempt() -> None:
            try:
                action()
            except (LocalError, CallServerError):
                return

        self.world.network.at(time, attempt)

    def moment(self) -> float:
        return self.random.random() * BUSY_TIME

    def plan(self) -> None:
        """Calls, and what happens to them."""
        for _ in range(CALLS):
            self.at(self.moment(), self.dial)
            self.at(self.moment(), self.dial)
        for _ in range(CALLS * 6):
            self.at(self.moment(), self.happen)
            self.at(self.moment(), self.command)

    def dial(self) -> None:
        if len(self.world.caller.lines) < CALLS:
            self.world.caller.behaves(**vars(self.manner(caller=True)))
            lines = self.random.choice(["", "", "Require: 100rel\r\n"])
            number = self.random.choice(NUMBERS)
            self.world.dial(number, offer=self.random.random() > 0.1, lines=lines)

    def happen(self) -> None:
        """A far end does something on one of its lines."""
        world = self.world
        world.vxml.behaves(**vars(self.manner()))
        world.agents.behaves(**vars(self.manner()))
        phone: Phone = self.random.choice([world.caller, world.vxml, world.agents])
        lines = [line for line in phone.lines if line.session.state != 3]
        if lines:
            line = self.random.choice(lines)
            line.manner = self.manner()
            self.random.choice(self.deeds(line))()

    def deeds(self, line: Line) -> list[Callable[[], None]]:
        """What a far end can do in a call."""
        deeds: list[Callable[[], None]] = [
            lambda: line.offer("sendonly"),
            line.offer,
            line.offer_nothing,
            lambda: self.change_port(line),
            lambda: line.request("INFO", b"Signal=1", "application/dtmf-relay"),
            lambda: line.request("UPDATE"),
            lambda: line.request("UPDATE", line.media.body("inactive")),
            lambda: line.request("UPDATE", line.media.body()),
            line.hang_up,
            line.drop,
            line.acknowledge,
            lambda: self.refer(line),
            lambda: self.replace(line),
            lambda: self.consult(line),
        ]
        if line.session.outgoing:
            deeds.append(line.cancel)
        if line.refer is not None:
            deeds += [line.accept_refer, lambda: line.refuse_refer(603)] * 3
            deeds += [lambda: line.notify(self.random.choice([180, 200, 486]))] * 3
        return deeds

    def refer(self, line: Line) -> None:
        """A transfer by the phone: blind, or attended with another of its calls."""
        here = f"sip:{self.random.choice(TARGETS[:7])}@{self.world.address}"
        others = [other for other in line.phone.lines if other.session.state == 2]
        if others and self.random.random() < 0.6:
            here = replaces_of(self.random.choice(others).session).in_uri(here)
        line.transfer(here, subscribe=self.random.random() < 0.8)

    def replace(self, line: Line) -> None:
        """Another phone takes the place of this one."""
        replaces = f"Replaces: {replaces_of(line.session)}\r\n"
        self.world.agents.dial(f"sip:6000@{self.world.address}", "1009", lines=replaces)

    def consult(self, line: Line) -> None:
        """The phone calls somebody, or a queue, beside this call."""
        if line.phone is self.world.agents and len(self.world.seen) < 2 * CALLS:
            number = self.random.choice(["6000", "7000", "7001"])
            line.phone.dial(f"sip:{number}@{self.world.address}", "1001")

    def change_port(self, line: Line) -> None:
        line.media.port += 2
        line.offer()

    def command(self) -> None:
        """A REST command for one of the calls."""
        world = self.world
        calls = list(world.server.calls)
        if not calls:
            return
        guid = self.random.choice(calls)
        world.server.call_detail(guid)
        self.list_sessions()
        self.list_calls()
        chance = self.random.random()
        if chance < 0.5:
            command = TransferCommand(
                self.random.choice(TARGETS),
                self.random.choice(["blind", "consultation"]),
                self.random.choice([None, None, None, "rf1002"]),
            )
            world.server.transfer(guid, command)
        elif chance < 0.58:
            self.terminate(guid)
        elif chance < 0.65:
            world.store.slow = not world.store.slow
            world.store.catch_up()

    def list_sessions(self) -> None:
        """All sessions of calls are listed, and no others."""
        total, found = self.world.server.sessions(1000)
        table = self.world.party.endpoint.sessions
        wanted = [tag for tag, session in table.items() if session.user is not None]
        assert (total, [view.session_id for view in found]) == (len(wanted), wanted)

    def list_calls(self) -> None:
        """What the index of calls says is what a walk over them says."""
        server = self.world.server
        calls = server.calls.values()
        for state in {call.state for call in calls}:
            for called in (None, *{call.called for call in calls}):
                page = server.active_calls(CallFilter(state, called), 1000)
                wanted = [c.guid for c in calls if c.state == state and called in (None, c.called)]
                assert (page.total, [v.guid for v in page.calls]) == (len(wanted), wanted)

    def terminate(self, guid: str) -> None:
        world = self.world
        world.store.slow = False  # it would wait, and time here stands still meanwhile
        world.store.catch_up()
        world.wait_for(world.server.terminate(guid, "timeout"))

    def calm_down(self) -> None:
        """The network is well again, and each far end does what is asked of it."""
        world = self.world
        world.network.loss = 0.0
        for phone in (world.caller, world.vxml, world.agents):
            phone.behaves(**vars(Manner()))
            for line in phone.lines:
                line.manner = Manner()
                for deed in (line.answer, line.acknowledge, line.give_up_refer):
                    self.at(world.network.now, deed)
        world.run(SETTLING)

    def stuck(self, call: Call) -> bool:
        """Whether something is under way that will never come to its end."""
        groups = self.world.server.skill_groups
        queue = groups.queues["support"]
        waits = any(treatment.call is call for _, _, treatment in queue.waiting)
        free = any(agent.available for agent in queue.agents)
        return (
            call.work is not None
            or call.state in ("ringing", "transferring")
            or any(leg.up and leg.session.busy for leg in call.legs)
            or (call.state == "queued" and (free or not waits))
        )

    def run(self) -> None:
        world = self.world
        self.plan()
        world.run(BUSY_TIME + 1.0)
        self.calm_down()
        assert [call for call in world.server.calls.values() if self.stuck(call)] == []
        for guid in list(world.server.calls):
            self.terminate(guid)
        world.store.slow = False
        world.store.catch_up()


def check(record: CdrRecord) -> None:
    """What holds for every record."""
    assert record.call_start_time <= record.call_end_time
    assert record.legs[0].leg_type == "inbound"
    assert record.self_service_duration + record.queue_duration <= record.call_duration + 2
    for leg in record.legs:
        assert record.call_start_time <= leg.start_time <= leg.end_time <= record.call_end_time + 1


@pytest.mark.parametrize("seed", range(WORLDS))
def test_calls_leave_nothing_but_a_record(seed: int) -> None:
    chaos = Chaos(seed)
    world = chaos.world
    chaos.run()
    # BYE may have to wait 64*T1 for an ACK, and as long for its own answer.
    world.run(3 * world.party.endpoint.timers.timeout)
    assert world.network.errors == []
    assert world.leftovers() == {}
    assert len(world.caller.lines) == CALLS
    guids = [record.call_guid for record in world.store.records]
    assert sorted(guids) == sorted(world.seen)
    for record in world.store.records:
        check(record)
