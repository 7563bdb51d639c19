"""The scripts of ICM: self-service, queue, connect, release."""

from typing import Any

import pytest

from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner
from tests.simulator.flows.world import World

SERVICE = {"self_service": {"application": "bank"}}
QUEUE = {"queue": {"skill_group": "support"}}


def script(*steps: Any, **icm: Any) -> dict[str, Any]:
    """Sections for a plan in which every number runs these steps."""
    return {
        "dialed_numbers": [{"pattern": ">", "script": "test"}],
        "icm": {"scripts": {"test": list(steps)}, **icm},
    }


def agents(wait: float = 0.0, **agents: int) -> dict[str, Any]:
    """A skill group of agents with so many calls at a time."""
    known = {name.removeprefix("a"): {"max_calls": calls} for name, calls in agents.items()}
    return {"skill_groups": {"support": {"wait": wait, "agents": list(known)}}, "agents": known}


def test_self_service_until_the_gateway_hangs_up(build: Build) -> None:
    world = build(**script(SERVICE, {"connect": {"label": "1002"}}))
    caller = world.dial("3000")
    world.run(100.0)
    assert world.state == "self_service"
    world.forget()
    world.vxml.line.hang_up()
    world.run(1.5)
    assert world.state == "connected"
    assert world.flow == [
        "vxml > server BYE",
        "server > vxml 200 BYE",
        "server > agents INVITE",
        "agents > server 180 INVITE",
        "agents > server 200 INVITE",
        "server > caller INVITE",
        "caller > server 200 INVITE",
        "server > caller ACK",
        "server > agents ACK",
    ]
    assert world.call.icm_label == "1002"
    caller.hang_up()


def test_the_gateway_is_released_before_the_agent_is_called(build: Build) -> None:
    world = build(**script({"self_service": {"application": "bank", "seconds": 5}},
                           {"connect": {"label": "1{dnis}"}}))  # fmt: skip
    world.dial("002")
    world.run()
    world.forget()
    world.run(5.0)
    assert world.flow[:2] == ["server > vxml BYE", "server > agents INVITE"]
    assert world.agents.line.invite.uri.startswith("sip:1002@")
    world.run(1.0)
    world.terminate()


def test_two_applications_share_a_gateway_leg(build: Build) -> None:
    second = {"self_service": {"application": "survey", "seconds": 1}}
    world = build(**script({"self_service": {"application": "bank", "seconds": 1}}, second))
    world.dial("3000")
    world.run(1.5)
    assert world.call.application == "survey"
    assert len(world.vxml.lines) == 1
    world.run(1.0)
    assert world.history[-1] == "ended end of the script"
    assert world.cdr.call_result == "completed"
    world.over()


def test_release(build: Build) -> None:
    world = build(**script({"release": {"status": 486}}))
    caller = world.dial("3000")
    world.run()
    assert caller.statuses == [486]
    assert world.cdr.error_code == "486"


def test_release_of_an_answered_caller(build: Build) -> None:
    world = build(**script({"self_service": {"application": "bank", "seconds": 1}}, "release"))
    caller = world.dial("3000")
    world.run(1.5)
    assert (caller.requests[-1].get("reason") or "").startswith("SIP;cause=480")
    assert {bye.get("reason") for bye in world.sent("BYE")} == {caller.requests[-1].get("reason")}
    world.over()


def test_the_gateway_refuses(build: Build) -> None:
    world = build()
    world.vxml.behaves(refuse=404)
    caller = world.dial("3000")
    world.run()
    assert caller.statuses == [404]
    world.over()


def test_an_offer_that_the_server_cannot_answer(world: World) -> None:
    caller = world.caller.dial(f"sip:5000@{world.address}", "1", offer=False)
    world.run()
    assert world.state == "connected"
    assert caller.responses[-1].body.startswith(b"v=0")
    caller.hang_up()


def test_first_come_first_served(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1)))
    for number in ("1", "2", "3"):
        world.dial(number)
        world.run()
    first, second, third = world.seen.values()
    world.run(2.0)
    assert [c.state for c in (first, second, third)] == ["connected", "queued", "queued"]
    world.caller.lines[0].hang_up()
    world.run(1.5)
    assert [c.state for c in (second, third)] == ["connected", "queued"]
    world.caller.lines[2].hang_up()
    world.agents.line.hang_up()
    world.run()
    assert [r.call_result for r in world.store.records] == ["completed", "abandoned", "completed"]


def test_the_agent_who_was_idle_longest(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1, a1002=1, a1003=1)))
    for _ in range(3):
        world.dial("1")
        world.run(1.5)
    assert [call.icm_agent for call in world.seen.values()] == ["1001", "1002", "1003"]
    for index in (1, 0, 2):
        world.caller.lines[index].hang_up()
        world.run(1.0)
    for _ in range(3):
        world.dial("1")
        world.run(1.5)
    assert [c.icm_agent for c in world.seen.values()][3:] == ["1002", "1001", "1003"]
    for line in world.agents.lines[3:]:
        line.hang_up()


def test_an_agent_whose_call_was_taken_elsewhere_is_free(build: Build) -> None:
    """Its leg is over, though the call goes on."""
    world = build(**script(QUEUE, **agents(a1001=1)))
    world.dial("1")
    world.run(2.0)
    world.transfer("1002")
    world.run(2.0)
    assert world.state == "connected"
    world.dial("2")
    world.run(2.0)
    assert world.state == "connected"
    assert world.call.icm_agent == "1001"
    for line in world.caller.lines:
        line.hang_up()


def test_a_busy_agent_is_left_for_the_next(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1, a1002=1)))
    world.agents.manners["1001"] = Manner(refuse=486)
    world.dial("1")
    world.run(0.1)
    world.forget()
    world.run(2.0)
    assert world.state == "connected"
    assert world.call.icm_agent == "1002"
    assert len(world.vxml.lines) == 2, "back in the queue on a VXML leg of its own"
    assert "requery RequeryStatus 2 after SIP 486 Busy Here" in world.history
    world.terminate()
    world.over()


def test_the_only_agent_is_always_busy(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1)))
    world.agents.manners["1001"] = Manner(refuse=486)
    caller = world.dial("1")
    world.run(5.0)
    assert len([e for e in world.history if e.startswith("requery")]) == 3
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "486")
    assert (caller.requests[-1].get("reason") or "").startswith("SIP;cause=486")
    world.over()


def test_an_agent_that_cannot_be_called_is_not_busy(build: Build) -> None:
    """No TCP listener here: the INVITE is never sent."""
    routes = ["1001=sip:192.0.2.9:5060;transport=tcp"]
    world = build(**script(QUEUE, **agents(a1001=1)), routes=routes)
    world.dial("1")
    world.run(5.0)
    assert world.cdr.error_code == "503"
    world.over()


def test_an_agent_that_does_not_answer(build: Build) -> None:
    plan = script(QUEUE, **agents(a1001=1, a1002=1))
    plan["dialed_numbers"][0]["ring_no_answer"] = 5
    world = build(**plan)
    world.agents.manners["1001"] = Manner(ring=0.0, answer=None)
    world.dial("1")
    world.run(7.0)
    assert "connect_failed 1001: SIP 408 ring no answer" in world.history
    assert (world.state, world.call.icm_agent) == ("connected", "1002")
    world.terminate()


def test_nobody_is_free(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1)))
    world.dial("1")
    world.run(2.0)
    waiting = world.dial("2")
    world.run(3600.0)
    assert world.state == "queued"
    waiting.hang_up()
    world.caller.lines[0].hang_up()


def test_the_queue_has_a_limit(build: Build) -> None:
    limited = {"queue": {"skill_group": "support", "seconds": 20}}
    world = build(**script(limited, {"connect": {"label": "1003"}}, **agents(a1001=1)))
    world.dial("1")
    world.run(2.0)
    world.dial("2")
    world.run(19.0)
    assert world.state == "queued"
    world.run(3.0)
    assert world.state == "connected"
    assert world.agents.line.invite.uri.startswith("sip:1003@")
    for line in world.caller.lines:
        line.hang_up()


def test_a_number_of_two_hundred_digits(build: Build) -> None:
    """The label that it makes is too long to be dialed."""
    world = build(**script({"connect": {"label": "9{dnis}"}}))
    caller = world.dial("1" * 200)
    world.run()
    assert caller.statuses == [404]
    world.over()


def test_the_time_of_a_step_passes_while_the_ack_is_missing(build: Build) -> None:
    steps = {"self_service": {"application": "bank", "seconds": 2}}, {"connect": {"label": "1002"}}
    world = build(**script(*steps))
    world.caller.behaves(acknowledge=False)
    caller = world.dial("1")
    world.run(3.0)
    caller.manner = Manner()
    caller.acknowledge()
    world.run(2.0)
    assert world.state == "connected"
    world.terminate()


def test_an_agent_is_found_while_the_ack_is_missing(build: Build) -> None:
    world = build(**script(QUEUE, **agents(a1001=1)))
    world.caller.behaves(acknowledge=False)
    caller = world.dial("1")
    world.run(3.0)
    caller.manner = Manner()
    caller.acknowledge()
    world.run(2.0)
    assert (world.state, world.call.icm_agent) == ("connected", "1001")
    world.terminate()


@pytest.mark.parametrize("status", [200, 603])
def test_a_label_with_rf_is_a_refer(build: Build, status: int) -> None:
    """[CG-XFER]: the prefix decides, also in ICM's own CONNECT."""
    service = {"self_service": {"application": "bank", "seconds": 1}}
    world = build(**script(service, {"connect": {"label": "rf1002"}}, wait=0))
    caller = world.dial("3000")
    world.run(1.5)
    assert world.state == "transferring"
    assert world.the("REFER").get("refer-to") == f"<sip:1002@{world.agents.host}:5060>"
    if status == 200:
        caller.accept_refer()
        world.run()
        caller.notify(200)
        world.run()
        caller.hang_up()
    else:
        caller.refuse_refer(status)
    world.run()
    result, code = (("transferred", None), ("error", "603"))[status != 200]
    assert (world.cdr.call_result, world.cdr.error_code) == (result, code)
    assert not world.agents.lines


def test_a_label_shows_another_caller(build: Build) -> None:
    """;CLI= replaces the caller's number [CG-XFER]."""
    world = build(dialed_numbers=[{"pattern": ">", "label": "1002;CLI=987"}])
    caller = world.dial("3000")
    world.run(1.5)
    assert "<sip:987@" in (world.agents.line.invite.get("from") or "")
    caller.hang_up()
