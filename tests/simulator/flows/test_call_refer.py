"""Transfer by REFER to the caller: NOTIFY and BYE decide."""

from collections.abc import Callable

import pytest

from tests.simulator.flows.conftest import Build
from tests.simulator.flows.world import Line, World

FROM: dict[str, Callable[[World], Line]] = {
    "standalone": World.standalone,
    "connected": World.connected,
    "self_service": World.self_service,
    "queued": World.queued,
    "on_hold": World.on_hold,
}


def referred(world: World, start: str = "connected") -> Line:
    """A caller that has the REFER."""
    caller = FROM[start](world)
    world.transfer(label="rf1002")
    world.run()
    assert world.state == "transferring"
    assert caller.refer is not None
    return caller


def failed(world: World, why: str) -> bool:
    return any(e.startswith(f"transfer_failed 1002: SIP {why}") for e in world.history)


@pytest.mark.parametrize("start", FROM)
def test_accepted_notified_and_bye(world: World, start: str) -> None:
    caller = referred(world, start)
    caller.accept_refer()
    world.run()
    caller.notify(200)
    world.run()
    caller.hang_up()
    world.run()
    assert [step for step in world.flow if "caller" in step] == [
        "server > caller REFER",
        "caller > server 202 REFER",
        "caller > server NOTIFY",
        "server > caller 200 NOTIFY",
        "caller > server NOTIFY",
        "server > caller 200 NOTIFY",
        "caller > server BYE",
        "server > caller 200 BYE",
    ]
    refer = world.the("REFER")
    assert refer.get("refer-to") == f"<sip:1002@{world.agents.host}:5060>"
    assert (refer.get("referred-by") or "").startswith(f"<sip:{world.call.called}@")
    assert [e for e in world.history if "SIP" in e] == [
        "refer_answered SIP 202 Accepted",
        "notified SIP 100 Trying",
        "notified SIP 200 OK",
    ]
    assert (world.cdr.call_result, world.cdr.transfer_destination) == ("transferred", "1002")
    world.over()


def test_bye_after_202_without_a_word(world: World) -> None:
    caller = referred(world)
    caller.accept_refer()
    world.run(0.005)
    world.network.lose("NOTIFY", 1)
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"
    world.run(1.0)
    world.over()


def test_a_notify_overtakes_the_202(world: World) -> None:
    caller = referred(world)
    world.network.lose("202 REFER")
    caller.accept_refer()
    world.run(0.1)
    assert world.history[-1] == "notified SIP 100 Trying"
    caller.hang_up()
    world.run(2.0)
    assert world.cdr.call_result == "transferred"
    world.over()


def test_success_without_bye(world: World) -> None:
    caller = referred(world)
    caller.accept_refer()
    caller.notify(200)
    world.run(1.9)
    assert world.state == "transferring"
    world.run(0.3)
    assert caller.heard[-1] == "Hungup"
    assert world.agents.line.heard[-1] == "Hungup"
    assert world.cdr.call_result == "transferred"
    world.over()


def test_refused(world: World) -> None:
    caller = referred(world)
    caller.refuse_refer(603)
    world.run()
    assert (world.state, failed(world, "603 Decline")) == ("connected", True)
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "completed"


def test_refused_after_news(world: World) -> None:
    """Odd, but a final word: nothing more will come of it."""
    caller = referred(world)
    world.network.lose("202 REFER", 20)
    caller.accept_refer()
    world.run(33.0)
    assert (world.state, failed(world, "408")) == ("connected", True)
    caller.hang_up()


@pytest.mark.parametrize("start", FROM)
def test_the_target_is_busy(world: World, start: str) -> None:
    caller = referred(world, start)
    caller.accept_refer()
    world.run()
    caller.notify(486)
    world.run()
    assert world.state == ("connected" if start == "standalone" else start)
    assert failed(world, "486 Busy Here")
    assert "transferring REFER to 1002" in world.history
    caller.hang_up()


def test_the_subscription_ends_without_an_outcome(world: World) -> None:
    caller = referred(world)
    caller.accept_refer()
    caller.request(
        "NOTIFY",
        kind="",
        lines="Event: refer\r\nSubscription-State: terminated;reason=timeout\r\n",
    )
    world.run()
    assert (world.state, failed(world, "487 timeout")) == ("connected", True)
    caller.hang_up()


def test_no_news_at_all(build: Build) -> None:
    world = build(transfer={"ring_no_answer": 10})
    caller = referred(world)
    caller.accept_refer()
    world.run(9.0)
    assert world.state == "transferring"
    world.run(2.0)
    assert (world.state, failed(world, "408 no NOTIFY told an outcome")) == ("connected", True)
    caller.hang_up()


def test_bye_crosses_the_refer(world: World) -> None:
    caller = world.connected()
    caller.hang_up()
    world.transfer(label="rf1002")
    world.run()
    assert world.cdr.call_result == "completed"
    world.over()


def test_the_agent_leaves_meanwhile(world: World) -> None:
    caller = referred(world)
    caller.accept_refer()
    world.agents.line.hang_up()
    world.run()
    assert world.state == "transferring"
    caller.notify(200)
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"
    world.over()


def test_the_agent_leaves_meanwhile_and_the_refer_fails(world: World) -> None:
    caller = referred(world)
    caller.accept_refer()
    world.agents.line.hang_up()
    world.run()
    caller.notify(503)
    world.run()
    assert caller.heard[-1] == "Hungup"
    assert (world.cdr.call_result, world.cdr.error_code) == ("error", "503")
    world.over()


@pytest.mark.parametrize(
    ("status", "cause"), [(486, 17), (404, 1), (503, 41), (408, 102), (606, 127), (480, 19)]
)
def test_the_bye_after_a_failure_has_its_cause(build: Build, status: int, cause: int) -> None:
    """[AG]; RFC 3398 section 8.2.6.1, with a cause of one's own for 480."""
    world = build(transfer={"causes": {480: 19}})
    caller = referred(world)
    caller.accept_refer()
    world.agents.line.hang_up()
    world.run()
    caller.notify(status)
    world.run()
    assert world.the("BYE", to="caller").get("reason") == f"Q.850;cause={cause}"
    world.over()


@pytest.mark.parametrize("step", ["sent", "accepted", "succeeded"])
def test_terminate(world: World, step: str) -> None:
    caller = referred(world)
    if step != "sent":
        caller.accept_refer()
        world.run()
    if step == "succeeded":
        caller.notify(200)
        world.run()
    world.terminate()
    world.run(0.1)
    assert caller.heard[-1] == "Hungup"
    if step == "sent":
        caller.refuse_refer(481)
    world.over()


def test_a_number_of_the_server_itself(world: World) -> None:
    """The caller is to call the server again."""
    caller = world.connected()
    world.transfer(label="rf7000")
    world.run()
    assert world.the("REFER").get("refer-to") == f"<sip:7000@{world.address}>"
    caller.refuse_refer(603)
    world.run()
    caller.hang_up()


def test_the_configuration_chooses_it(build: Build) -> None:
    world = build(transfer={"mode": "refer"})
    caller = referred_by_configuration(world)
    caller.accept_refer()
    caller.notify(200)
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"


def referred_by_configuration(world: World) -> Line:
    caller = world.connected()
    world.transfer("1002")
    world.run()
    assert world.sent("REFER")
    return caller


def test_an_agent_is_found_meanwhile(world: World) -> None:
    caller = referred(world, "queued")
    world.run(5.0)
    assert not world.agents.lines
    caller.refuse_refer(603)
    world.run(1.5)
    assert (world.state, world.call.icm_agent) == ("connected", "1001")
    caller.hang_up()


@pytest.mark.parametrize("who", ["caller", "agents"])
def test_a_refer_to_a_strange_host_is_refused(world: World, who: str) -> None:
    caller = world.connected()
    line = caller if who == "caller" else world.agents.line
    line.session.refer(world.network.now, "sip:1002@example.com")
    world.run()
    assert world.sent("403 REFER", to=who)
    assert world.state == "connected"
    caller.hang_up()
