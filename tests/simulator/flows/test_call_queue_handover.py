"""An agent's caller takes the agent's place in a queue, or with a VXML application."""

import json
from typing import Any

import pytest

from simulator.call import Call
from simulator.script_messages import INFO_PACKAGE, JSON, PACKAGE
from sip.usage.named import replaces_of
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner

PLAN: dict[str, Any] = {
    "dialed_numbers": [
        {"pattern": "6>", "label": "1001"},
        {"pattern": "7>", "script": "sales"},
        {"pattern": "3>", "script": "bank"},
        {"pattern": "4>", "script": "menu"},
        {"pattern": "2>", "script": "spare"},
    ],
    "icm": {
        "scripts": {
            "sales": [
                {"set": {"callVariable1": "sales for {ani}", "user.x": "y"}},
                {"queue": {"skill_group": "sales", "seconds": 20}},
                {"run_application": {"application": "sorry"}},
            ],
            "bank": [{"self_service": {"application": "bank"}}],
            "menu": [{"run_application": {"application": "menu"}}, {"label": "{result}"}],
            "spare": [
                {"self_service": {"application": "gone", "on_failure": "agent"}},
                {"name": "agent", "connect": {"label": "1003"}},
            ],
        },
        "skill_groups": {"sales": {"wait": 0, "agents": ["1002"]}},
        "agents": {"1002": {"max_calls": 1, "state": "not_ready"}},
    },
}


class Desk:
    """The agent 1001 with two calls: `first` of the caller, `second` its own in a queue."""

    def __init__(
        self, build: Build, number: str = "7000", package: str = "", *, info: int = 200
    ) -> None:
        self.world = world = build(**PLAN)
        self.caller = world.connected()
        self.first = world.call
        self.agent = world.agents.line
        world.vxml.behaves(answer=None, info=info)
        self.consult = world.agents.dial(f"sip:{number}@{world.address}", "1001")
        world.run()
        self.second = world.call
        self.gateway = world.vxml.line
        lines = f"Recv-Info: {package}\r\n" if package else ""
        body = self.gateway.media.answer(self.gateway.invite.body)
        self.gateway.session.answer(world.network.now, body, lines)
        world.run()
        world.forget()

    def refer(self) -> None:
        uri = f"sip:7000@{self.world.address}"
        self.agent.transfer(replaces_of(self.consult.session).in_uri(uri))
        self.world.run()

    @property
    def states(self) -> tuple[str, str]:
        return self.first.state, self.second.state

    @property
    def waiting(self) -> list[Call]:
        """Whose places they are in the queue."""
        queue = self.world.server.skill_groups.queues["sales"]
        return [treatment.call for _, _, treatment in queue.waiting]

    def staff(self) -> None:
        """Somebody is there for the queue."""
        self.world.server.desk.set_state("1002", "available")
        self.world.run(1.5)

    def leave(self) -> None:
        """Everybody hangs up."""
        for line in (self.caller, self.agent, self.consult):
            if line.session.state == 2:
                line.hang_up()
                self.world.run()
        assert self.waiting == []


@pytest.fixture
def desk(build: Build) -> Desk:
    return Desk(build)


def test_the_caller_takes_the_place(desk: Desk) -> None:
    world = desk.world
    assert desk.states == ("connected", "queued")
    desk.refer()
    assert desk.agent.news == [202, 100, 200]
    assert desk.states == ("queued", "ended")
    assert desk.consult.heard[-1] == "Hungup"
    assert len(world.vxml.lines) == 1, "it hears the same gateway"
    assert f"m=audio {desk.gateway.media.port}".encode() in desk.caller.received
    assert f"m=audio {desk.caller.media.port}".encode() in desk.gateway.received
    assert desk.waiting == [desk.first]
    desk.agent.hang_up()
    world.run()
    assert desk.states == ("queued", "ended")
    desk.staff()
    assert (desk.first.state, desk.first.icm_agent) == ("connected", "1002")
    assert desk.gateway.heard[-1] == "Hungup"
    assert f"m=audio {desk.caller.media.port}".encode() in world.agents.line.received
    desk.caller.hang_up()
    world.run()
    found = {r.call_guid: (r.call_result, r.transfer_destination) for r in world.store.records}
    assert found == {
        desk.first.guid: ("transferred", "7000"),
        desk.second.guid: ("transferred", "5551234"),
    }


def test_the_script_goes_on_with_what_it_knows(desk: Desk) -> None:
    own = desk.first.guid
    desk.refer()
    variables = desk.first.variables
    assert variables is not None
    assert variables.call == {"callVariable1": "sales for 1001"}
    assert (variables.ecc["user.x"], variables.ecc["user.media.id"]) == ("y", own)
    assert desk.first.icm_skill_group == "sales"
    desk.leave()


def test_the_place_is_kept(desk: Desk) -> None:
    """Who has come after the agent is still behind."""
    world = desk.world
    world.vxml.behaves(answer=0.0)
    later = world.dial("7000")
    world.run()
    desk.refer()
    assert desk.waiting == [desk.first, world.call]
    desk.staff()
    assert (desk.first.state, world.state) == ("connected", "queued")
    later.hang_up()
    desk.leave()


def test_held_calls(desk: Desk) -> None:
    """A phone holds one call to speak in the other, and both to transfer."""
    desk.agent.offer("sendonly")
    desk.consult.offer("sendonly")
    desk.world.run()
    assert desk.states == ("on_hold", "on_hold")
    desk.refer()
    assert desk.states == ("queued", "ended")
    assert b"a=sendrecv" in desk.caller.received
    desk.staff()
    assert desk.first.state == "connected"
    desk.leave()


def test_an_agent_is_found_meanwhile(desk: Desk) -> None:
    desk.gateway.manner = Manner(reinvite=0)
    desk.refer()
    desk.staff()
    assert desk.states == ("transferring", "transferring")
    assert desk.waiting == []
    desk.gateway.answer()
    desk.world.run(1.5)
    assert (*desk.states, desk.first.icm_agent) == ("connected", "ended", "1002")
    desk.leave()


def test_the_wait_is_over_meanwhile(build: Build) -> None:
    """The script goes on with the new caller, and the gateway runs what it wants."""
    desk = Desk(build, package=PACKAGE)
    desk.gateway.manner = Manner(reinvite=0)
    desk.refer()
    desk.world.run(20.0)
    assert desk.states == ("transferring", "transferring")
    desk.gateway.answer()
    desk.world.run()
    assert desk.states == ("self_service", "ended")
    assert [r.method for r in desk.gateway.requests].count("INFO") == 1
    assert desk.waiting == []
    desk.leave()


@pytest.mark.parametrize("who", ["gateway", "caller"])
def test_one_does_not_agree(desk: Desk, who: str) -> None:
    """Both calls are as before."""
    getattr(desk, who).manner = Manner(reinvite=488)
    desk.refer()
    assert desk.agent.news == [202, 100, 488]
    assert desk.states == ("connected", "queued")
    assert desk.waiting == [desk.second]
    assert f"m=audio {desk.consult.media.port}".encode() in desk.gateway.received
    desk.staff()
    assert desk.states == ("connected", "connected")
    desk.leave()


def test_an_agent_is_found_and_one_does_not_agree(desk: Desk) -> None:
    desk.gateway.manner = Manner(reinvite=0)
    desk.refer()
    desk.staff()
    desk.gateway.refuse(488)
    desk.world.run(1.5)
    assert (*desk.states, desk.second.icm_agent) == ("connected", "connected", "1002")
    desk.leave()


@pytest.mark.parametrize("agrees", [True, False])
def test_the_agent_leaves_the_queue_meanwhile(desk: Desk, agrees: bool) -> None:
    desk.gateway.manner = Manner(reinvite=0)
    desk.refer()
    desk.consult.hang_up()
    desk.world.run()
    assert desk.states == ("transferring", "ended")
    desk.caller.manner = Manner(reinvite=200 if agrees else 488)
    desk.gateway.answer()
    desk.world.run()
    if agrees:
        assert (desk.first.state, desk.waiting) == ("queued", [desk.first])
    else:
        assert (desk.first.state, desk.waiting) == ("connected", [])
        assert desk.gateway.heard[-1] == "Hungup"
    desk.leave()


@pytest.mark.parametrize("who", ["gateway", "caller"])
def test_one_leaves_meanwhile(desk: Desk, who: str) -> None:
    desk.gateway.manner = Manner(reinvite=0)
    desk.refer()
    getattr(desk, who).hang_up()
    desk.world.run()
    if who == "gateway":
        assert (desk.states, desk.waiting) == (("connected", "ended"), [])
    else:
        assert (desk.states, desk.waiting) == (("ended", "queued"), [desk.second])
    desk.leave()


# An application: it goes on where it is.


def result(desk: Desk, *, timeouts: int = 0, errors: int = 0, **values: str) -> None:
    """RUN_SCRIPT_RESULT of the application that runs."""
    body = {"type": "RUN_SCRIPT_RESULT", "id": 1, "result": values}
    body |= {"timeouts": timeouts, "errors": errors}
    desk.gateway.request("INFO", json.dumps(body).encode(), JSON, INFO_PACKAGE)
    desk.world.run()


def counts(call: Call) -> tuple[int, int]:
    """The timeouts and errors of its applications."""
    return (call.ivr.timeouts, call.ivr.errors) if call.ivr is not None else (0, 0)


def requests(desk: Desk) -> int:
    """How often the gateway was told to run something."""
    return [request.method for request in desk.gateway.requests].count("INFO")


def test_into_an_application(build: Build) -> None:
    desk = Desk(build, "4000", PACKAGE)
    desk.agent.offer("sendonly")
    desk.world.run()
    assert desk.states == ("on_hold", "self_service")
    assert requests(desk) == 1
    desk.refer()
    assert desk.agent.news == [202, 100, 200]
    assert desk.states == ("self_service", "ended")
    assert desk.first.application == "menu"
    assert requests(desk) == 1, "it is not begun anew"
    assert desk.consult.heard[-1] == "Hungup"
    assert len(desk.world.vxml.lines) == 1
    assert f"m=audio {desk.gateway.media.port}".encode() in desk.caller.received
    assert f"m=audio {desk.caller.media.port}".encode() in desk.gateway.received
    desk.agent.hang_up()
    result(desk, result="1003", caller_input="5")
    desk.world.run(1.5)
    assert desk.first.state == "connected"
    assert desk.world.agents.line.invite.uri.startswith("sip:1003@")
    assert f"m=audio {desk.caller.media.port}".encode() in desk.world.agents.line.received
    assert desk.gateway.heard[-1] == "Hungup"
    variables = desk.first.variables
    assert variables is not None
    assert variables.ecc["user.microapp.caller_input"] == "5"
    desk.leave()


def test_an_application_that_ends_with_the_gateway(build: Build) -> None:
    """One that takes no RUN_SCRIPT_REQ: its BYE is the end of the script, and of the call."""
    desk = Desk(build, "3000")
    desk.refer()
    assert desk.states == ("self_service", "ended")
    desk.gateway.hang_up()
    desk.world.run()
    assert desk.first.state == "ended"
    assert desk.caller.heard[-1] == "Hungup"
    desk.leave()


@pytest.mark.parametrize("agrees", ["both", "caller", "gateway"])
def test_a_result_meanwhile(build: Build, agrees: str) -> None:
    """The script goes on with it in the call that the gateway is in afterwards."""
    desk = Desk(build, "4000", PACKAGE)
    desk.gateway.manner = Manner(reinvite=0)
    if agrees == "gateway":
        desk.caller.manner = Manner(reinvite=488)
    desk.refer()
    result(desk, result="1003", caller_input="5", timeouts=2, errors=1)
    assert desk.states == ("transferring", "transferring")
    desk.gateway.manner = Manner()
    if agrees == "caller":
        desk.gateway.refuse(488)
    else:
        desk.gateway.answer()
    if agrees != "both":  # it is not awaited any more
        result(desk, result="1002", timeouts=1, errors=1)
    desk.world.run(2.0)
    assert desk.states == ("connected", "ended" if agrees == "both" else "connected")
    there, elsewhere = desk.first, desk.second
    if agrees != "both":
        there, elsewhere = elsewhere, there
    assert (counts(there), counts(elsewhere)) == ((2, 1), (0, 0))
    assert there.variables is not None
    assert there.variables.ecc["user.microapp.caller_input"] == "5"
    other = desk.caller if agrees == "both" else desk.consult
    assert f"m=audio {other.media.port}".encode() in desk.world.agents.line.received
    assert "Hungup" in desk.gateway.heard
    desk.leave()


@pytest.mark.parametrize("agrees", ["both", "caller", "gateway"])
def test_an_application_that_is_refused_meanwhile(build: Build, agrees: str) -> None:
    """The script takes its branch for that in the call that the gateway is in afterwards."""
    desk = Desk(build, "2000", PACKAGE, info=0)
    assert (desk.states, requests(desk)) == (("connected", "self_service"), 1)
    info = desk.gateway.transaction
    assert info is not None
    desk.gateway.manner = Manner(reinvite=0)
    if agrees == "gateway":
        desk.caller.manner = Manner(reinvite=488)
    desk.refer()
    info.transaction.respond(488, desk.world.network.now)
    desk.world.run()
    assert desk.states == ("transferring", "transferring")
    if agrees == "caller":
        desk.gateway.refuse(488)
    else:
        desk.gateway.answer()
    desk.gateway.manner = Manner()
    desk.world.run(2.0)
    assert desk.states == ("connected", "ended" if agrees == "both" else "connected")
    assert desk.world.agents.line.invite.uri.startswith("sip:1003@")
    there, elsewhere = desk.first, desk.second
    if agrees != "both":
        there, elsewhere = elsewhere, there
    assert (counts(there), counts(elsewhere)) == ((0, 1), (0, 0))
    assert desk.gateway.heard[-1] == "Hungup"
    desk.leave()


def test_the_agent_leaves_the_application_meanwhile(build: Build) -> None:
    desk = Desk(build, "4000", PACKAGE)
    desk.gateway.manner = Manner(reinvite=0)
    desk.refer()
    desk.consult.hang_up()
    desk.world.run()
    result(desk, result="1003")
    desk.gateway.answer()
    desk.world.run(1.5)
    assert desk.states == ("connected", "ended")
    assert desk.world.agents.line.invite.uri.startswith("sip:1003@")
    desk.leave()
