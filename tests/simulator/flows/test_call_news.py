"""What the event stream tells of whole calls, and of the servers around them."""

import asyncio
from dataclasses import asdict
from typing import Any

import pytest

from simulator.event_views import VIEWS
from sip.locate import Target
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner
from tests.simulator.flows.world import CALLING, World

BUSY = Manner(refuse=486)


class Told:
    """What a reader of the stream of `world` has been told from the begin of this on."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._reader = world.server.events.reader(lambda: None)
        self.events: list[dict[str, Any]] = []

    def read(self) -> list[str]:
        """The types of what is new."""
        taken = self._reader.take(1000)
        new = [{"event_type": event.event_type, **asdict(event)} for event in taken]
        self.events += new
        return [event["event_type"].partition(".")[2] for event in new]

    def the(self, event_type: str) -> dict[str, Any]:
        """The only event of a type."""
        self.read()
        (event,) = [event for event in self.events if event["event_type"] == event_type]
        return event

    @property
    def states(self) -> list[str]:
        self.read()
        return [event["state"] for event in self.events if "state" in event]


def test_a_call_that_the_server_answers(world: World) -> None:
    told = Told(world)
    caller = world.standalone()
    world.run(5.0)
    caller.hang_up()
    world.run()
    assert told.read() == ["started", "state_changed", "ended"]
    call = world.call
    assert told.the("call.started") == {
        "event_type": "call.started",
        "cursor": told.events[0]["cursor"],
        "timestamp": world.server.wall(call.started),
        "call_guid": call.guid,
        "calling_number": CALLING,
        "called_number": "5000",
        "call_server_hostname": "callsim",
        "sip_call_id": caller.session.dialog.call_id,
        "ingress_gateway": world.caller.host,
        "matched_pattern": "5>",
    }
    ended = told.the("call.ended")
    assert {key: ended[key] for key in list(ended)[6:]} == {
        "call_result": "completed",
        "call_duration": 5,
        "self_service_duration": 0,
        "queue_duration": 0,
        "application_name": "standalone",
        "termination_reason": "the caller hung up",
        "sip_response_code": 200,
    }
    assert ended["timestamp"] > told.the("call.started")["timestamp"] + 5


def test_nothing_is_made_for_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[type] = []
    for view in VIEWS:
        monkeypatch.setattr(view, "__init__", lambda self, **_: made.append(type(self)))
    world.standalone().hang_up()
    world.run()
    world.queued().hang_up()
    world.run()
    assert made == []
    assert world.server.events.last + 1 == world.server.events.first


def test_self_service_queue_and_agent(world: World) -> None:
    """The agent of the queue is a transfer, as /transfers shows it."""
    told = Told(world)
    caller = world.queued()
    assert told.read() == [
        "started", "state_changed", "application_invoked", "state_changed", "queued",
    ]  # fmt: skip
    invoked = told.the("call.application_invoked")
    assert invoked["application_name"] == "support"
    assert invoked["vxml_server_hostname"] == world.vxml.host
    vxml = next(leg for leg in world.call.legs if leg.kind == "vxml")
    assert invoked["session_id"] == vxml.session.dialog.local_tag
    queued = told.the("call.queued")
    assert queued["skill_group"] == "support"
    assert (queued["queue_position"], queued["estimated_wait_time"]) == (1, 3)
    assert queued["queue_application"] == "support"
    world.run(5.0)
    assert told.read() == ["state_changed", "transferred"]
    transferred = told.the("call.transferred")
    assert {key: transferred[key] for key in list(transferred)[6:]} == {
        "transfer_destination": "1001",
        "transfer_type": "blind",
        "icm_label": "1001",
        "skill_group": "support",
    }
    caller.hang_up()
    world.run()
    assert told.read() == ["ended"]
    ended = told.the("call.ended")
    assert (ended["self_service_duration"], ended["queue_duration"]) == (2, 4)
    assert ended["application_name"] == "support"
    assert told.states == ["self_service", "queued", "connected"]


def test_the_second_in_the_queue(build: Build) -> None:
    icm = {
        "skill_groups": {"support": {"wait": 0, "agents": ["1001"], "handling_time": 100}},
        "agents": {"1001": {"max_calls": 1}},
        "scripts": {"support": [{"queue": {"skill_group": "support"}}]},
    }
    world = build(icm=icm)
    lines = [world.established("7000") for _ in range(2)]
    world.run(2.0)
    told = Told(world)
    lines.append(world.established("7002"))
    queued = told.the("call.queued")
    assert (queued["queue_position"], queued["estimated_wait_time"]) == (2, 200)
    for line in lines:
        line.hang_up()


def test_a_transfer_that_succeeds(world: World) -> None:
    caller = world.connected()
    told = Told(world)
    world.transfer("1002")
    world.run(1.5)
    assert told.read() == ["state_changed", "transferred", "state_changed"]
    assert told.states == ["transferring", "connected"]
    transferred = told.the("call.transferred")
    assert transferred["transfer_destination"] == "1002"
    assert transferred["transfer_type"] == "blind"
    caller.hang_up()
    world.run()
    assert told.the("call.ended")["call_result"] == "transferred"


def test_a_consultation(world: World) -> None:
    caller = world.connected()
    told = Told(world)
    world.transfer("1002", "consultation")
    world.run(1.5)
    assert told.the("call.transferred")["transfer_type"] == "consultation"
    caller.hang_up()


def test_a_transfer_that_fails(world: World) -> None:
    """The outcome of the 202: an error with the SIP code, then the state before."""
    caller = world.connected()
    world.agents.manners["1002"] = BUSY
    told = Told(world)
    world.transfer("1002")
    world.run(1.0)
    assert told.read() == ["state_changed", "error", "state_changed"]
    error = told.the("call.error")
    assert {key: error[key] for key in list(error)[6:]} == {
        "error_code": "486",
        "error_message": "1002: SIP 486 Busy Here",
        "error_category": "sip_failure",
        "server_hostname": "callsim",
        "sip_response_code": 486,
    }
    assert told.states == ["transferring", "connected"]
    caller.hang_up()


def test_a_refusal_is_told_once(world: World) -> None:
    told = Told(world)
    world.dial("9486")
    world.run(3.0)
    assert told.read() == ["started", "error", "ended"]
    assert told.the("call.error")["sip_response_code"] == 486
    ended = told.the("call.ended")
    assert (ended["call_result"], ended["sip_response_code"]) == ("error", 486)


def test_a_busy_agent_and_the_next_error(build: Build) -> None:
    """An error that did not end the call does not hide the one that did."""
    world = build(sip={"error_refer": False})
    told = Told(world)
    world.agents.manners["1002"] = BUSY
    caller = world.connected()
    world.transfer("1002")
    world.run(1.0)
    world.agents.vanish()
    caller.offer("sendonly")
    world.run(60.0)
    assert world.state == "ended"
    told.read()
    errors = [event for event in told.events if event["event_type"] == "call.error"]
    assert [error["error_category"] for error in errors] == ["sip_failure", "timeout"]


def test_no_answer_is_a_timeout(world: World) -> None:
    told = Told(world)
    world.agents.vanish()
    world.dial("6000")
    world.run(40.0)
    error = told.the("call.error")
    assert (error["error_category"], error["error_code"]) == ("timeout", "408")


def test_the_caller_gives_up(world: World) -> None:
    world.agents.behaves(answer=None)
    told = Told(world)
    line = world.dial("6000")
    world.run()
    line.cancel()
    world.run()
    assert told.read() == ["started", "ended"]
    ended = told.the("call.ended")
    assert (ended["call_result"], ended["sip_response_code"]) == ("abandoned", 487)


def test_a_call_that_a_command_makes(world: World) -> None:
    told = Told(world)
    guid = world.server.originate("1002", "5000")
    world.run(2.0)
    started = told.the("call.started")
    assert (started["call_guid"], started["calling_number"]) == (guid, "1002")
    assert started["called_number"] == "5000"
    world.terminate()
    assert told.the("call.ended")["call_guid"] == guid


def test_hold(world: World) -> None:
    caller = world.on_hold()
    told = Told(world)
    caller.offer("sendrecv")
    world.run()
    assert told.states == ["connected"]
    assert told.events[0]["details"] == "resumed by the caller"
    caller.hang_up()


def test_icm_fails_the_dialogue(build: Build) -> None:
    scripts: dict[str, Any] = {"bad": {"a": {"dialogue_failure": {}}}}
    world = build(icm={"scripts": scripts}, dialed_numbers=[{"pattern": ">", "script": "bad"}])
    told = Told(world)
    world.dial("3000")
    world.run(3.0)
    error = told.the("call.error")
    assert error["error_category"] == "icm_communication"
    assert (error["error_code"], error["sip_response_code"]) == ("DIALOGUE_FAILURE", None)


def test_terminated_as_an_error(world: World) -> None:
    world.connected()
    told = Told(world)
    world.terminate("error")
    assert told.read() == ["error", "ended"]
    assert told.the("call.error")["error_category"] == "system_error"


# -- the system ----------------------------------------------------------------------------


def test_thresholds_of_the_licences(build: Build) -> None:
    """Told as the calls rise beyond them, not as they fall back."""
    world = build(server={"licences": 20})
    told = Told(world)
    lines = [world.dial("5000") for _ in range(20)]
    world.run()
    for line in lines:
        line.hang_up()
    world.run()
    told.read()
    found = [
        (event["threshold_value"], event["current_value"], event["severity"], event["metric"])
        for event in told.events
        if event["event_type"] == "system.threshold_exceeded"
    ]
    assert found == [
        (18.8, 19.0, "warning", "concurrent_calls"),
        (20.0, 20.0, "critical", "concurrent_calls"),
    ]


def test_a_server_of_a_group_goes_and_comes(build: Build) -> None:
    groups = {"agents.lab": {"servers": [{"host": "192.0.2.3", "port": 5060}], "component": "CUCM"}}
    world = build(server_groups=groups)
    told = Told(world)
    group = world.server.server_groups.groups["agents.lab"]
    target = Target("UDP", "192.0.2.3", 5060)
    group.failed(target, 408, None, world.network.now)
    group.answered(target, world.network.now)
    group.failed(target, 503, None, world.network.now)
    assert told.read() == ["device_status_changed"] * 3
    assert [(e["previous_status"], e["current_status"]) for e in told.events] == [
        ("online", "offline"),
        ("offline", "online"),
        ("online", "error"),
    ]
    first = told.events[0]
    assert (first["device_id"], first["hostname"]) == ("192.0.2.3:5060", "192.0.2.3")
    assert (first["device_type"], first["reason"]) == ("CUCM", "no answer to a request")


def test_the_server_stops(world: World) -> None:
    told = Told(world)
    asyncio.run(world.server.drain(0.0))
    asyncio.run(world.server.drain(0.0))
    stopped = told.the("system.service_state_changed")
    assert (stopped["service_name"], stopped["current_state"]) == ("SIP", "stopped")


def test_system_news_are_not_kept_for_nobody(world: World) -> None:
    asyncio.run(world.server.drain(0.0))
    assert world.server.events.last + 1 == world.server.events.first


def test_icm_and_vxml_servers_come_and_go(world: World) -> None:
    told = Told(world)
    world.server.news.icm(False)
    world.server.news.icm(True)
    watch = world.server.prober.watch
    assert watch is not None
    watch("http://vxml.lab:7000", "vxml.lab", False)
    assert told.read() == ["service_state_changed"] * 2 + ["device_status_changed"]
    states = [(event["service_name"], event["current_state"]) for event in told.events[:2]]
    assert states == [("ICM", "error"), ("ICM", "running")]
    device = told.events[2]
    assert (device["device_id"], device["device_type"]) == ("http://vxml.lab:7000", "VXMLServer")
    assert (device["previous_status"], device["current_status"]) == ("online", "offline")


def test_records_cannot_be_stored_and_can_be_again(world: World) -> None:
    told = Told(world)
    world.server.news.records("cdr.sqlite: database or disk is full")
    world.server.news.records("")
    assert told.read() == ["service_state_changed"] * 2
    failed, mended = told.events
    assert (failed["service_name"], failed["current_state"]) == ("Reporting", "error")
    assert failed["message"] == "cdr.sqlite: database or disk is full"
    assert (mended["previous_state"], mended["current_state"]) == ("error", "running")
