"""Facts of a Call Server that belong to no feature of their own (the table in simulator/README)."""

from typing import Any

import pytest

from tests.simulator.flows.conftest import Build
from tests.simulator.flows.test_call_dial_plan import CALLER, GATEWAY
from tests.simulator.flows.test_call_treatment import SERVICE, script
from tests.simulator.flows.world import World


def told(world: World, message: str) -> str:
    """What the history says of a message to ICM."""
    (details,) = [d for _, event, d in world.call.history if event == message]
    return details


def test_a_refer_may_send_back_to_the_originator(build: Build) -> None:
    """CVP.md 3: the documents conflict; as in the design guide, it does."""
    short = {"self_service": {"application": "bank", "seconds": 0.5}}
    plan = script(short, {"connect": {"label": "rf1002"}})
    world = build(**plan, dial_plan={"send_to_originator": ["1XXX"]})
    caller = world.dial("3000", lines=GATEWAY)
    world.run(0.8)
    assert (world.the("REFER").get("refer-to") or "").startswith(f"<sip:1002@{CALLER}")
    caller.accept_refer()
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"


def test_a_rescued_call_is_a_new_call(build: Build) -> None:
    """CVP.md 3: the gateway's survivability calls again when its call has failed."""
    world = build(**script(SERVICE))
    world.dial("3000")
    world.run()
    world.terminate("error")
    first = world.call
    rescued = world.dial("3000")
    world.run()
    assert world.call.guid != first.guid
    assert "script test" in told(world, "NEW_CALL")
    rescued.hang_up()


def test_the_recording_number_is_one_as_any_other(build: Build) -> None:
    """CVP.md 1: recording DN 93939393, by the routes of labels; it has no route by itself."""
    plan = script({"connect": {"label": "93939393"}})
    world = build(**plan)
    assert world.dial("3000").session is not None
    world.run()
    assert world.history[-1].startswith("ended SIP 404")
    world = build(**plan, routes=["9393>=sip:192.0.2.3"])
    caller = world.dial("3000")
    world.run(1.5)
    assert world.state == "connected"
    assert world.agents.line.invite.uri.startswith("sip:93939393@192.0.2.3")
    caller.hang_up()


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"connect": {"label": "1002"}}, "agents sip:1002@"),
        ({"release": {"status": 486}}, "486"),
        ({"connect": {"label": "9191"}}, "vxml sip:9191@"),
    ],
    ids=["normal", "busy", "ring"],
)
def test_label_types(build: Build, step: dict[str, Any], expected: str) -> None:
    """CVP.md 5: what the steps of a script are for each; default is another test."""
    world = build(**script(step))
    caller = world.dial("3000")
    world.run(1.5)
    invites = [p for p in world.network.packets("INVITE") if p.source == "server"]
    said = [f"{p.target} {p.message.uri}" for p in invites]  # type: ignore[union-attr]
    said += [str(status) for status in caller.statuses if status >= 300]
    assert [one[: len(expected)] for one in said] == [expected]
    if world.state == "connected":
        caller.hang_up()


@pytest.mark.parametrize(
    ("changes", "message", "words"),
    [
        ({}, "NEW_CALL", "service 1, trunk group 100"),
        (
            {"call_type": "translation_route"},
            "REQUEST_INSTRUCTION",
            "service 2, trunk group 200",
        ),
    ],
    ids=["new call", "pre-routed"],
)
def test_service_and_trunk_group(
    build: Build, changes: dict[str, Any], message: str, words: str
) -> None:
    """CVP.md 5: service ids and trunk groups; a translation route's pool asks for instructions."""
    plan = script(SERVICE)
    plan["dialed_numbers"] = [{"pattern": ">", "script": "test", **changes}]
    world = build(**plan)
    world.dial("3000")
    world.run()
    assert words in told(world, message)
    world.terminate()
