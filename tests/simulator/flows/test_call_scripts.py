"""ICM scripts as graphs: each kind of node, what it decides, and what the history says."""

import logging
from typing import Any

import pytest

from simulator.script_values import value_of
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner
from tests.simulator.flows.test_call_treatment import agents
from tests.simulator.flows.world import World

BANK = {"self_service": {"application": "bank"}}


def graph(*, icm: Any = None, **nodes: Any) -> dict[str, Any]:
    """A plan in which every number runs these nodes."""
    return {
        "dialed_numbers": [{"pattern": ">", "script": "test"}],
        "icm": {"scripts": {"test": nodes}, **agents(a1001=1, a1002=1), "wait": 0, **(icm or {})},
    }


def steps(world: World) -> list[str]:
    """What the script did, by the history."""
    return [line.removeprefix("script ") for line in world.history if line.startswith("script ")]


def result(world: World, **values: str) -> bool:
    """The VXML application of the last call has ended with this result."""
    treatment = world.call.treatment
    assert treatment is not None
    taken = treatment.application_result(values, world.network.now)
    world.stack.pump()
    return taken


def test_set_call_and_ecc_variables(build: Build) -> None:
    values = {"callVariable1": "to {dnis}", "peripheral2": "{ani}", "user.lang": "de"}
    world = build(**graph(first={"set": values}, bank=BANK))
    world.dial("3000")
    world.run()
    variables = world.server.call_variables(world.call.guid)
    assert variables.call == {"callVariable1": "to 3000", "callVariable2": "5551234"}
    assert variables.ecc["user.lang"] == "de"
    assert steps(world) == ["first set: callVariable1=to 3000, peripheral2=5551234, user.lang=de"]
    world.terminate()


def test_a_value_too_long_at_run_time_is_told(build: Build) -> None:
    world = build(**graph(first={"set": {"callVariable1": "{dnis}"}}, bank=BANK))
    world.dial("3" * 41)
    world.run()
    assert world.state == "self_service", "the script goes on"
    assert any(line.startswith("variable_refused callVariables.call") for line in world.history)
    world.terminate()


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"variable": "callVariable1", "equals": "gold"}, True),
        ({"variable": "callVariable1", "equals": ["silver", "gold"]}, True),
        ({"variable": "callVariable1", "equals": "silver"}, False),
        ({"variable": "callVariable2", "equals": ""}, True),
        ({"variable": "user.age", "above": 17}, True),
        ({"variable": "user.age", "above": 18}, False),
        ({"variable": "user.age", "above": 17, "below": 18}, False),
        ({"variable": "callVariable1", "above": 1}, False),
        ({"dialed": "30>"}, True),
        ({"dialed": ["40>", "3000"]}, True),
        ({"dialed": "30>", "calling": "9>"}, False),
        ({"calling": "555XXXX"}, True),
        ({"variable": "guid", "equals": ""}, False),
        ({"variable": "requeryStatus", "equals": "0"}, True),
    ],
)
def test_if(build: Build, condition: dict[str, Any], holds: bool) -> None:
    world = build(
        **graph(
            first={"set": {"callVariable1": "gold", "user.age": "18"}},
            test={"if": {**condition, "then": "yes", "else": "no"}},
            yes={"release": {"status": 486}},
            no={"release": {"status": 603}},
        )
    )
    caller = world.dial("3000")
    world.run()
    assert caller.statuses == [486 if holds else 603]
    assert steps(world)[-1] == f"test if: {'true' if holds else 'false'}"


# 2026-11-24 is a Tuesday.
@pytest.mark.parametrize(
    ("when", "condition", "holds"),
    [
        (9.0, {"time": "08:00-18:00"}, True),
        (18.0, {"time": "08:00-18:00"}, False),
        (18.0, {"time": ["08:00-12:00", "18:00-24:00"]}, True),
        (2.0, {"time": "22:00-06:00"}, True),
        (12.0, {"time": "22:00-06:00"}, False),
        (12.0, {"weekday": "mon-fri"}, True),
        (12.0, {"weekday": ["sat", "sun"]}, False),
        (12.0, {"weekday": "fri-tue", "time": "00:00-24:00"}, True),
        (30.0, {"weekday": "sat-tue"}, False),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_if_time(
    build: Build, when: float, condition: dict[str, Any], holds: bool, zone: str
) -> None:
    """Hours of the configured zone: Tokyo is nine hours ahead."""
    world = build(
        **graph(
            icm={"timezone": zone},
            test={"if": {**condition, "then": "yes", "else": "no"}},
            yes={"release": {"status": 486}},
            no={"release": {"status": 603}},
        )
    )
    midnight = 1_795_478_400.0 - (9 * 3600 if zone == "Asia/Tokyo" else 0)
    world.server.epoch = midnight + when * 3600
    caller = world.dial("3000")
    world.run()
    assert caller.statuses == [486 if holds else 603]


def test_if_without_else_goes_on_below(build: Build) -> None:
    world = build(
        **graph(
            a={"if": {"dialed": "1>", "then": "c"}},
            b={"release": {"status": 486}},
            c={"release": {"status": 603}},
        )
    )
    first, second = world.dial("1"), world.dial("2")
    world.run()
    assert (first.statuses, second.statuses) == ([603], [486])


def test_the_result_of_an_application_decides(build: Build) -> None:
    """RUN_SCRIPT_RESULT: branches by value, digits and variables for what follows."""
    world = build(
        **graph(
            menu={"run_application": {"application": "menu", "branches": {"agent": "digits"}}},
            other="release",
            digits={"if": {"digits": "12XX", "then": "agent", "else": "other"}},
            agent={"label": "{callVariable3}"},
        )
    )
    caller = world.dial("3000")
    world.run()
    assert "RUN_SCRIPT_REQ menu" in world.history
    values = {"result": "agent", "caller_input": "1234", "callVariable3": "1002", "user.z": "1"}
    assert result(world, **values)
    world.run(1.5)
    assert world.state == "connected"
    assert world.agents.line.invite.uri.startswith("sip:1002@")
    assert world.call.variables is not None
    assert world.call.variables.ecc["user.microapp.caller_input"] == "1234"
    assert world.call.variables.ecc["user.z"] == "1"
    assert value_of(world.call, "result") == "agent"
    assert steps(world) == ["menu run_application: digits", "digits if: true"]
    assert not result(world, result="agent"), "no application runs any more"
    caller.hang_up()


def test_the_leg_stays_for_the_next_application(build: Build) -> None:
    world = build(
        **graph(
            menu={"run_application": {"application": "menu", "branches": {"again": "menu"}}},
            bank=BANK,
        )
    )
    world.dial("3000")
    world.run()
    for value in ("again", "done"):
        assert result(world, result=value)
        world.run()
    runs = [line for line in world.history if line.startswith("RUN_SCRIPT_REQ")]
    assert runs == ["RUN_SCRIPT_REQ menu", "RUN_SCRIPT_REQ menu", "RUN_SCRIPT_REQ bank"]
    assert len(world.vxml.lines) == 1
    world.terminate()


def test_a_failed_application_has_a_branch(build: Build) -> None:
    node = {"application": "menu", "on_failure": "apology", "seconds": 9, "timeout": "late"}
    world = build(
        **graph(
            menu={"run_application": node},
            end="release",
            late={"label": "1001"},
            apology={"label": "1002"},
        )
    )
    caller = world.dial("3000")
    world.run()
    assert world.call.treatment is not None
    world.call.treatment.application_result({"error_code": "9"}, world.network.now, failed=True)
    world.stack.pump()
    world.run(1.5)
    assert world.call.icm_label == "1002"
    caller.hang_up()
    second = world.dial("3000")
    world.run(11.0)
    assert world.call.icm_label == "1001"
    second.hang_up()


def test_the_gateway_cannot_be_reached(build: Build) -> None:
    node = {"application": "menu", "on_failure": "agent"}
    world = build(**graph(menu={"run_application": node}, end="release", agent={"label": "1001"}))
    world.vxml.behaves(refuse=503)
    caller = world.dial("3000")
    world.run(1.5)
    assert world.state == "connected"
    assert "EVENT_REPORT CONNECT_FAILURE, SIP 503 Service Unavailable" in world.history
    caller.hang_up()


def test_a_result_while_the_caller_is_being_transferred(build: Build) -> None:
    world = build(
        **graph(menu={"run_application": {"application": "menu"}}, agent={"label": "1001"})
    )
    world.agents.manners["1002"] = Manner(ring=0.0, answer=2.0, refuse=486)
    caller = world.dial("3000")
    world.run()
    world.transfer("1002")
    world.run(0.5)
    assert result(world, result="x")
    assert not result(world, result="twice")
    assert world.state == "transferring"
    world.run(4.0)
    assert (world.state, world.call.icm_label) == ("connected", "1001")
    caller.hang_up()


def test_percent(build: Build) -> None:
    """The same seed gives the same calls the same parts."""
    plan = graph(
        icm={"seed": 7},
        share={"percent": {"a": 30, "b": 70, "c": 0}},
        a={"release": {"status": 486}},
        b={"release": {"status": 603}},
        c={"release": {"status": 404}},
    )
    outcomes = []
    for _ in range(2):
        world = build(**plan)
        for _ in range(4):  # fewer at a time than one source may
            for _ in range(50):
                world.dial("1")
            world.run()
        outcomes.append([line.statuses[0] for line in world.caller.lines])
    assert outcomes[0] == outcomes[1]
    assert 40 <= outcomes[0].count(486) <= 80
    assert outcomes[0].count(404) == 0


@pytest.mark.parametrize(
    ("status", "label"), [(486, "1003"), (600, "1003"), (503, "1004"), (480, "1005"), (408, "1005")]
)
def test_requery(build: Build, status: int, label: str) -> None:
    """RequeryStatus tells busy, no answer and connect failure apart."""
    world = build(
        **graph(
            agent={"label": "1002"},
            again={"requery": {"busy": "b", "connect_failure": "c", "no_answer": "n"}},
            b={"label": "1003"},
            c={"label": "1004"},
            n={"label": "1005"},
        )
    )
    world.agents.manners["1002"] = Manner(ring=0.0, answer=0.1, refuse=status)
    caller = world.dial("1")
    world.run(2.5)
    assert (world.state, world.call.icm_label) == ("connected", label)
    number = {486: 2, 600: 2, 408: 3, 480: 3}.get(status, 1)
    assert steps(world)[1].startswith(f"again requery: RequeryStatus {number} ")
    caller.hang_up()


def test_requery_on_ring_no_answer(build: Build) -> None:
    plan = graph(
        agent={"label": {"label": "1002", "on_failure": "q"}},
        end="release",
        q={"requery": {"no_answer": "n"}},
        n={"label": "1005"},
    )
    plan["dialed_numbers"][0]["ring_no_answer"] = 5
    world = build(**plan)
    world.agents.manners["1002"] = Manner(ring=0.0, answer=None)
    caller = world.dial("1")
    world.run(7.0)
    assert "EVENT_REPORT NO_ANSWER, SIP 408 ring no answer" in world.history
    assert world.call.icm_label == "1005"
    caller.hang_up()


def test_a_requeried_call_is_at_the_head_of_its_queue(build: Build) -> None:
    world = build(
        **graph(
            icm=agents(a1001=1),
            q={"queue": {"skill_group": "support"}},
            again={"requery": {"busy": "q", "connect_failure": "q"}},
        )
    )
    world.agents.manners["1001"] = Manner(ring=0.0, answer=0.5, refuse=486)
    world.dial("1")
    world.run(0.3)
    world.dial("2")
    world.run(0.3)
    world.agents.manners["1001"] = Manner(ring=0.0, answer=0.5)
    world.run(3.0)
    first, second = world.seen.values()
    assert (first.state, second.state) == ("connected", "queued")
    for line in world.caller.lines:
        line.hang_up()


def test_the_queue_has_a_timeout_branch(build: Build) -> None:
    queue = {"skill_group": "support", "seconds": 5, "timeout": "voicemail"}
    world = build(
        **graph(icm=agents(9.0, a1001=1), q={"queue": queue}, end="release",
                voicemail={"label": "1002"})
    )  # fmt: skip
    caller = world.dial("1")
    world.run(7.0)
    assert world.call.icm_label == "1002"
    assert steps(world) == ["q queue: time is over"]
    caller.hang_up()


def test_an_endless_script_is_bounded(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    """Each time round takes a moment, so nothing but the bound ends it."""
    world = build(
        **graph(
            icm={"max_steps": 20},
            a={"label": {"label": "1002", "on_failure": "b"}},
            b={"set": {"callVariable1": "x"}, "next": "a"},
        )
    )
    world.agents.manners["1002"] = Manner(refuse=486)
    caller = world.dial("1")
    with caplog.at_level(logging.WARNING):
        world.run(60.0)
    assert caller.statuses == [404]
    assert "script test has passed 20 nodes" in caplog.text
    assert "script_endless 20 nodes, the last of them a" in world.history
    world.over()


def test_an_endless_script_that_never_waits(build: Build) -> None:
    """The agent has no route at all: each failure comes at once, and no stack grows."""
    world = build(
        **graph(
            a={"label": {"label": "77", "on_failure": "a"}},
        )
    )
    caller = world.dial("1")
    world.run()
    assert caller.statuses == [404]
    world.over()


def test_icm_messages_in_the_history(build: Build) -> None:
    world = build(**graph(bank=BANK, agent={"label": "1001"}))
    caller = world.dial("3000")
    world.run()
    result(world, result="1")
    world.run(1.5)
    caller.hang_up()
    world.run()
    icm = [line.partition(" ")[0] for line in world.history if line[0].isupper()]
    assert icm == [
        "NEW_CALL", "TEMPORARY_CONNECT", "RUN_SCRIPT_REQ", "RUN_SCRIPT_RESULT", "CONNECT",
        "EVENT_REPORT", "EVENT_REPORT",
    ]  # fmt: skip
    assert "EVENT_REPORT ANSWER" in world.history
    assert world.history[-2:] == ["EVENT_REPORT DISCONNECT, cause 1", "ended the caller hung up"]


def test_an_abandoned_call(build: Build) -> None:
    world = build(**graph(q={"queue": {"skill_group": "support"}}, icm=agents(9.0, a1001=1)))
    caller = world.dial("3000")
    world.run()
    caller.hang_up()
    world.run()
    assert "EVENT_REPORT ABANDON, cause 2" in world.history


def test_the_context_of_a_new_call(build: Build) -> None:
    """user.media.id is the CallGUID, user.cvp_server_info our address [TN178]."""
    world = build(**graph(bank=BANK))
    world.dial("3000")
    world.run()
    assert world.call.variables is not None
    assert world.call.variables.ecc == {
        "user.media.id": world.call.guid,
        "user.cvp_server_info": world.party.listener.host,
    }
    world.terminate()


def test_the_router_call_key(build: Build) -> None:
    """Key and day of each call, in its CDR; the count begins again on the next day."""
    world = build()
    world.server.epoch = 1_795_478_400.0 + 86_399.0  # a second before midnight
    for number in ("6000", "7000", "5000"):
        world.dial(number)
        world.run(0.1)
    world.run(1.0)
    world.dial("6000")
    world.run(1.5)
    for line in world.caller.lines:
        line.hang_up()
    world.run(2.0)
    day = 134_774 + 20_781
    keys = {record.icm_call_key for record in world.store.records}
    assert keys == {f"{day}-1-0", f"{day}-2-1", "", f"{day + 1}-1-0"}
    treated = next(one for one in world.store.records if one.called_number == "7000")
    assert treated.router_call_key_sequence_number == 1, "TEMPORARY_CONNECT"


def test_an_agents_second_call_has_the_same_key(build: Build) -> None:
    """A consultation: two GUIDs, one key and day, the sequence counts [RG]."""
    world = build(**graph(q={"queue": {"skill_group": "support"}}))
    caller = world.dial("1")
    world.run(2.0)
    assert world.state == "connected"
    first = world.call
    consult = world.agents.dial(f"sip:2@{world.address}", first.icm_agent)
    world.run(2.0)
    second = world.call
    assert second is not first
    assert first.icm is not None
    assert second.icm is not None
    assert (second.icm.key, second.icm.day) == (first.icm.key, first.icm.day)
    consult.hang_up()
    caller.hang_up()
    world.run()
    keys = [record.icm_call_key for record in world.store.records]
    day_and_key = f"{first.icm.day}-{first.icm.key}-"
    assert all(key.startswith(day_and_key) for key in keys)
    assert len(set(keys)) == 2, "the sequence tells one from the other"
    assert min(record.router_call_key_sequence_number or 0 for record in world.store.records) > 0


@pytest.mark.parametrize(("settings", "status"), [({}, 404), ({"failure_status": 503}, 503)])
def test_icm_fails_the_dialogue(build: Build, settings: dict[str, int], status: int) -> None:
    world = build(**graph(icm=settings, a={"dialogue_failure": {}}))
    caller = world.dial("1")
    world.run()
    assert caller.statuses == [status]
    assert "DIALOGUE_FAILURE error 15" in world.history
    assert world.cdr.error_code == str(status)


@pytest.mark.parametrize(("settings", "status"), [({}, 480), ({"release_status": 403}, 403)])
def test_icm_releases_before_the_answer(
    build: Build, settings: dict[str, int], status: int
) -> None:
    world = build(**graph(icm=settings, a="release"))
    caller = world.dial("1")
    world.run()
    assert caller.statuses == [status]
    assert f"RELEASE SIP {status}" in world.history


def test_icm_says_nothing(build: Build) -> None:
    """The wait timer ends it."""
    world = build(**graph(icm={"wait": 2, "failure_status": 503}, a="silence"))
    caller = world.dial("1")
    world.run(1.9)
    assert caller.statuses == []
    world.run(0.5)
    assert caller.statuses == [503]
    world.over()


def test_the_caller_leaves_a_silent_icm(build: Build) -> None:
    world = build(**graph(icm={"wait": 2}, a="silence"))
    caller = world.dial("1")
    world.run(1.0)
    caller.cancel()
    world.run(5.0)
    assert world.cdr.call_result == "abandoned"
    world.over()


def test_an_answer_in_an_answered_call(build: Build) -> None:
    world = build(**graph(bank={"self_service": {"application": "x", "seconds": 1}}, a="answer"))
    world.dial("1")
    world.run(2.0)
    assert "script a answer: the caller is answered already" in world.history
    world.over()
