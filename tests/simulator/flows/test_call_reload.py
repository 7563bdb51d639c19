"""Another configuration while calls are up: none is lost, and the next follows the new one."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.administration import Administration
from simulator.audit_trail import Requester
from simulator.config import Config
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.world import Line, World
from tests.support.virtual_server import configuration


def administered(world: World) -> Administration:
    """Its administration, with the routes to the neighbours laid over every configuration."""
    found = world.server.administration
    found._dress = lambda config: config.with_lab(world.agents.uri, world.vxml.uri)
    return found


def reload(world: World, **sections: Any) -> bool:
    """Take the built-in plan with these sections over it."""
    return world.wait_for(administered(world).reload(lambda: configuration(**sections)))


OTHER: dict[str, Any] = {
    "icm": {
        "skill_groups": {"support": {"wait": 1, "agents": ["1002"]}, "sales": {"agents": ["1003"]}},
    },
    "dialed_numbers": [{"pattern": "2>", "label": "1002"}],
}


def ringing(world: World) -> Line:
    line = world.dial("6000")
    world.run()
    assert world.state == "ringing"
    return line


STATES: dict[str, tuple[Callable[[World], Line], str]] = {
    "ringing": (ringing, "connected"),
    "self-service": (World.self_service, "self_service"),
    "connected": (World.connected, "connected"),
    "on hold": (World.on_hold, "on_hold"),
    "standalone": (World.standalone, "connected"),
}


@pytest.mark.parametrize("state", STATES)
def test_no_call_is_lost(world: World, state: str) -> None:
    """CVP.md 4 and issue 5: changed by SIGHUP with no call lost."""
    make, then = STATES[state]
    line = make(world)
    assert reload(world, **OTHER)
    world.run(6.0)
    assert world.state == then
    line.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred" if state == "transferring" else "completed"
    caller = world.dial("6000")  # no longer in the plan
    world.run()
    assert caller.statuses == [404]
    caller = world.dial("2000")
    world.run(1.5)
    assert caller.statuses == [180, 200]
    world.terminate()
    world.store.records.sort(key=lambda record: record.call_start_time)
    assert len(world.store.records) == 3


def test_a_file_is_read_again(world: World, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(Config.builtin().to_yaml().replace('pattern: "6>"', 'pattern: "4>"'))
    assert world.wait_for(administered(world).reload(lambda: Config.load(path)))
    caller = world.dial("4000")
    world.run(1.5)
    assert caller.statuses == [180, 200]
    world.terminate()


def test_a_broken_file_changes_nothing_and_is_explained(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The old plan stays; the log says file, line, key and fix."""
    path = tmp_path / "plan.yaml"
    path.write_text("sip:\n  t1: fast\ndialed_numbers:\n  - {pattern: 5>, scrip: a}\n")
    line = world.connected()
    plan, config = world.server.plan, world.server.config
    assert not world.wait_for(administered(world).reload(lambda: Config.load(path)))
    assert (world.server.plan, world.server.config) == (plan, config)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert told[0] == f"reload: {path}:2: sip.t1: must be a number, not 'fast'"
    assert told[1].startswith(
        f"reload: {path}:4: dialed_numbers.0.scrip: is not a known key; did you mean 'script' or "
    )
    assert told[-1] == "reload: the old configuration stays in force"
    line.hang_up()
    world.run()
    assert world.cdr.call_result == "completed"


def test_a_file_that_is_gone_changes_nothing(world: World, tmp_path: Path) -> None:
    path = tmp_path / "gone.yaml"
    assert not world.wait_for(administered(world).reload(lambda: Config.load(path)))
    caller = world.dial("6000")
    world.run(1.5)
    assert caller.statuses == [180, 200]
    world.terminate()


def test_what_needs_a_restart_is_named_and_stays(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    administered(world).base = configuration()  # as the file has it, without the neighbours
    assert reload(
        world,
        sip={"listen": ["udp:0.0.0.0:5999"], "t1": 0.1, "audit": {"every": 5}},
        api={"listen": ["http://127.0.0.1:9"]},
        server={"max_calls": 7},
    )
    waiting = "reload: takes effect at the next start: sip.listen, sip.t1, api"
    assert waiting in caplog.text
    config = world.server.config
    assert (config.sip.t1, config.sip.audit.every, config.server.max_calls) == (0.5, 5, 7)
    line = json.loads(next(r for r in caplog.records if r.name == "simulator.changes").getMessage())
    assert (line["user"], line["action"]) == ("SIGHUP", "reload")
    assert line["after"] == {
        "changed": ["server.max_calls", "sip.audit"],
        "waiting": ["sip.listen", "sip.t1", "api"],
    }


def test_what_was_changed_over_rest_stays(world: World) -> None:
    admin = administered(world)
    number = admin.number("6>").model_copy(update={"label": "1002"})
    world.wait_for(admin.set_number(Requester("ada"), "6>", number))
    assert reload(world, server={"max_calls": 7})
    world.dial("6000")
    world.run(1.5)
    assert world.agents.line.invite.uri.startswith("sip:1002@")
    world.terminate()


def test_a_file_that_contradicts_what_was_changed_over_rest_is_not_taken(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    admin = administered(world)
    number = admin.number("6>").model_copy(update={"pattern": "4>"})
    world.wait_for(admin.add_number(Requester("ada"), number))
    assert not reload(world, dialed_numbers=[{"pattern": "4!", "label": "1001"}])
    assert "REST: with its 1 changes made over REST: pattern '4>' matches the same" in caplog.text
    world.dial("4000")
    world.run(1.5)
    assert world.state == "connected"
    world.terminate()


def test_a_call_keeps_its_group_member_when_the_group_changes(build: Build) -> None:
    groups = {"agents.lab": ["192.0.2.3"]}
    world = build(server_groups=groups, routes=["1XXX=sip:agents.lab"])
    line = world.connected()
    assert reload(
        world, server_groups={"agents.lab": ["192.0.2.99"]}, routes=["1XXX=sip:agents.lab"]
    )
    line.offer("sendonly")
    world.run()
    assert world.sent("INVITE", to="agents")
    line.hang_up()
    world.run()
    assert world.sent("BYE", to="agents")
