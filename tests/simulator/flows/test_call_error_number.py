"""The abnormal end of a call: survivability, error number, or the code as it is [CAG8, TN178]."""

from typing import Any

import pytest

from sip.message import Request, Response
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner
from tests.simulator.flows.test_call_treatment import SERVICE, script
from tests.simulator.flows.world import Line, World

ON: dict[str, Any] = {"sip": {"error_refer": True}}
MARKED = 'Remote-Party-ID: "5551234--CVP" <sip:5551234@192.0.2.1>;party=calling\r\n'
PLAIN = 'Remote-Party-ID: "--CVPs" <sip:x--CVP@192.0.2.1>;party=calling\r\n'.replace("--CVPs", "Jo")
FAILS = ({"self_service": {"application": "a", "seconds": 1}}, {"connect": {"label": "9486"}})


def failing(build: Build, lines: str = "", **sections: Any) -> tuple[World, Line]:
    """An answered caller whose agent is busy: SIP 486 is what the call ends with."""
    world = build(**script(*FAILS), **{**ON, **sections})
    line = world.dial("1", lines=lines)
    world.run(1.5)
    return world, line


# Before the answer.


def test_an_unanswered_caller_is_redirected_to_the_error_number(build: Build) -> None:
    """302, whose Contact is the route of 9292."""
    world = build(**ON)
    line = world.dial("9486")
    world.run(1.5)
    response = line.responses[-1]
    assert response.status == 302
    assert response.get("contact") == f"<sip:9292@{world.vxml.host}:5060>"
    assert (response.get("reason") or "").startswith("SIP;cause=486")
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "486")
    assert "redirected 302 to 9292" in world.history
    world.over()


def test_without_a_route_to_the_error_number_it_is_404(build: Build) -> None:
    world = build(services={"error": "5292", "ringtone": ""}, **ON)
    line = world.dial("9486")
    world.run(1.5)
    assert line.statuses[-1] == 404
    assert "no_route error number 5292: add it under routes" in world.history
    assert world.cdr.error_code == "404"


def test_no_error_number_at_all(build: Build) -> None:
    world = build(services={"error": "", "ringtone": ""}, **ON)
    line = world.dial("9486")
    world.run(1.5)
    assert line.statuses[-1] == 404


def test_off_the_code_goes_through(build: Build) -> None:
    world = build(sip={"error_refer": False})
    line = world.dial("9486")
    world.run(1.5)
    assert line.statuses[-1] == 486


def test_a_direct_route_is_none_of_cvp(build: Build) -> None:
    """`--route`: no ICM decides there, and the code goes through."""
    world = build(direct_routes=["4>=sip:192.0.2.3:5060"], **ON)
    world.agents.manners["4000"] = Manner(refuse=486)
    line = world.dial("4000")
    world.run(1.5)
    assert line.statuses[-1] == 486
    assert not any(entry.startswith("no_rpid") for entry in world.history)


def test_a_number_that_nobody_knows(build: Build) -> None:
    """DIALOGUE_FAILURE: error number handling as well."""
    world = build(dialed_numbers=[], **ON)
    line = world.dial("3000")
    world.run()
    assert line.statuses == [302]
    assert world.cdr.error_code == "404"


def test_release_by_icm_is_no_failure(build: Build) -> None:
    world = build(**script({"release": {"status": 480}}), **ON)
    line = world.dial("3000")
    world.run()
    assert line.statuses == [480]


def test_a_caller_with_survivability_is_rejected(build: Build) -> None:
    """Its gateway's script plays critical_error.wav; the marker is in the display name only."""
    for lines, status in ((MARKED, 486), (PLAIN, 302)):
        world = build(**ON)
        line = world.dial("9486", lines=lines)
        world.run(1.5)
        assert line.statuses[-1] == status
        assert not any(entry.startswith("no_rpid") for entry in world.history)
        flag = str(status == 486).lower()
        (entry,) = [d for _, e, d in world.call.history if e == "abnormal_end"]
        assert f"SURV TCL flag [{flag}]" in entry


def test_a_caller_without_remote_party_id(build: Build) -> None:
    """ "Call is missing an RPID header. No survivability in use." """
    world = build(**ON)
    world.dial("9486")
    world.run(1.5)
    assert "no_rpid no Remote-Party-ID header: no survivability in use" in world.history


def test_the_caller_cancels_while_icm_is_waited_for(build: Build) -> None:
    world = build(icm={"wait": 2}, **ON)
    line = world.dial("9486")
    world.run(2.0)
    assert world.history[-1] == "waiting_for_icm 2 s"
    line.cancel()
    world.run(3.0)
    assert world.cdr.call_result == "abandoned"
    world.over()


# After the answer.


def refer_of(world: World) -> Request:
    message = world.sent("REFER")[0]
    assert isinstance(message, Request)
    return message


def test_an_answered_caller_is_referred_to_the_error_number(build: Build) -> None:
    world, line = failing(build)
    world.run(0.5)
    assert refer_of(world).get("refer-to") == f"<sip:9292@{world.vxml.host}:5060>"
    assert world.state == "transferring"
    assert all("Hungup" in one.heard for one in world.vxml.lines)
    line.accept_refer()
    line.notify(200)
    line.hang_up()
    world.run()
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "486")
    assert world.cdr.transfer_destination in ("", None)
    world.over()


def test_the_caller_says_200_but_does_not_hang_up(build: Build) -> None:
    """It hears BYE, with the reason, two seconds later."""
    world, line = failing(build)
    world.run(0.5)
    line.accept_refer()
    line.notify(200)
    world.run(2.5)
    assert (line.requests[-1].get("reason") or "").startswith("SIP;cause=486")
    world.over()


@pytest.mark.parametrize("answer", ["refused", "failed", "silent"])
def test_a_caller_that_cannot_call_the_error_number(build: Build, answer: str) -> None:
    world, line = failing(build)
    world.run(0.5)
    if answer == "refused":
        line.refuse_refer(603)
    elif answer == "failed":
        line.accept_refer()
        line.notify(503)
    else:
        line.accept_refer()
        world.run(11.0)
    world.run()
    assert line.heard[-1] == "Hungup"
    assert (line.requests[-1].get("reason") or "").startswith("SIP;cause=486")
    assert any(entry.startswith("error_refer_failed") for entry in world.history)
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "486")
    world.over()


@pytest.mark.parametrize("accepted", [False, True])
def test_the_caller_hangs_up_instead(build: Build, accepted: bool) -> None:
    world, line = failing(build)
    world.run(0.5)
    if accepted:
        line.accept_refer()
    line.hang_up()
    world.run()
    if not accepted:
        line.refuse_refer(603)
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "486")
    world.over()


def test_it_is_terminated_meanwhile(build: Build) -> None:
    world, line = failing(build)
    world.run(0.5)
    line.accept_refer()
    world.terminate()
    world.run()
    assert line.heard[-1] == "Hungup"
    world.over()


def test_an_answered_caller_with_survivability_gets_bye(build: Build) -> None:
    world, line = failing(build, MARKED)
    world.run(0.5)
    assert world.sent("REFER") == []
    assert line.heard[-1] == "Hungup"
    assert (line.requests[-1].get("reason") or "").startswith("SIP;cause=486")


def test_an_answered_caller_and_no_route(build: Build) -> None:
    world, line = failing(build, services={"error": "5292", "ringtone": ""})
    world.run(0.5)
    assert line.heard[-1] == "Hungup"
    assert (line.requests[-1].get("reason") or "").startswith("SIP;cause=404")


def test_the_ringtone_ends_when_the_caller_is_referred(build: Build) -> None:
    world, line = failing(build, services={"ringtone": "9191"})
    world.run(0.5)
    assert refer_of(world)
    assert all("Hungup" in one.heard for one in world.vxml.lines)
    line.accept_refer()
    line.hang_up()


def test_a_party_that_is_lost(build: Build) -> None:
    """481 of the agent to a re-INVITE: the caller is sent to the error number too."""
    world = build(**ON)
    line = world.connected()
    world.agents.line.manner = Manner(reinvite=481)
    line.offer()
    world.run()
    assert refer_of(world)
    line.accept_refer()
    line.hang_up()
    world.run()
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "481")
    world.over()


def test_the_gateway_is_lost(build: Build) -> None:
    world = build(**script(SERVICE), **ON)
    line = world.dial("1")
    world.run()
    world.vxml.line.manner = Manner(reinvite=481)
    line.offer()
    world.run()
    response = line.responses[-1]
    assert isinstance(response, Response)
    assert refer_of(world)
    line.accept_refer()
    line.hang_up()
    world.run()
    world.over()
