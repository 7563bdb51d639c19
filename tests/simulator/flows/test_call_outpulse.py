"""Labels with digits for the gateway: DTMF*8, TBCT, HF; and ;CLI= [CG-XFER]."""

import pytest

from simulator.errors import CallStateError
from simulator.outpulse import outpulsed
from simulator.routing import NotRoutable
from simulator.views import TransferCommand
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner
from tests.simulator.flows.test_call_treatment import QUEUE, agents, script
from tests.simulator.flows.world import World

TICKS = 0.05  # each timer may be late by the wheel's tick
TNT = "DTMF*8,,,4441234"


def signals(world: World) -> list[tuple[float, str, int]]:
    """Each INFO to the caller: seconds since the first, signal, duration."""
    packets = [p for p in world.network.packets("INFO") if p.target == "caller"]
    found = []
    for packet in packets:
        assert packet.message.content_type == "application/dtmf-relay"
        lines = packet.message.body.decode().split("\r\n")
        values = dict(line.split("=") for line in lines if line)
        at = round(packet.time - packets[0].time, 3)
        found.append((at, values["Signal"], int(values["Duration"])))
    return found


@pytest.mark.parametrize(
    ("label", "found"),
    [
        (TNT, ("DTMF", "*8,,,4441234")),
        ("TBCT99#8005551212#", ("TBCT", "99#8005551212#")),
        ("HF,,,,,4441234", ("HF", ",,,,,4441234")),
        ("HF", None),
        ("DTMF*8x", None),
        ("dtmf1", None),
        ("1DTMF1", None),
        ("4441234", None),
    ],
)
def test_which_labels_they_are(label: str, found: tuple[str, str] | None) -> None:
    assert outpulsed(label) == found


def test_digits_and_the_gateways_bye(world: World) -> None:
    caller = world.connected()
    world.transfer(label=TNT)
    assert (world.state, world.history[-1]) == ("transferring", f"transferring digits to {TNT}")
    world.run(2.0)
    told = signals(world)
    assert "".join(signal for _, signal, _ in told) == "*84441234"
    assert {duration for _, _, duration in told} == {100}
    # 100 ms for a tone, 100 for a comma: *8, three commas, then 4.
    assert [at for at, _, _ in told[:4]] == pytest.approx([0.0, 0.1, 0.5, 0.6], abs=TICKS)
    assert world.state == "transferring"
    caller.hang_up()
    world.run()
    assert (world.cdr.call_result, world.cdr.transfer_destination) == ("transferred", TNT)
    assert world.moved == ("blind", "outpulse", "rest", "completed", 200)
    assert world.steps[:2] == ["caller > INFO", "caller < 200 INFO"]
    world.over()


def test_the_timing_is_configured(build: Build) -> None:
    world = build(transfer={"outpulse": {"comma_ms": 500, "tone_ms": 250}})
    caller = world.connected()
    world.transfer(label="DTMF1,2,,3")
    world.run(3.0)
    assert [rest for _, *rest in signals(world)] == [["1", 250], ["2", 250], ["3", 250]]
    assert [at for at, _, _ in signals(world)] == pytest.approx([0.0, 0.75, 2.0], abs=TICKS)
    caller.hang_up()


def test_a_slow_gateway_gets_one_digit_after_the_other(world: World) -> None:
    """The next waits for the answer to the one before."""
    caller = world.connected()
    world.network.lose("200 INFO", 1)
    world.transfer(label="DTMF12")
    world.run(2.0)
    told = [m.cseq[0] for m in world.sent("INFO", to="caller")]
    assert told == [told[0], told[0], told[0] + 1]
    caller.hang_up()


def test_a_hookflash(world: World) -> None:
    caller = world.connected()
    world.transfer(label="HF,,12")
    world.run(1.0)
    assert [signal for _, signal, _ in signals(world)] == ["hf", "1", "2"]
    assert [at for at, _, _ in signals(world)] == pytest.approx([0.0, 0.3, 0.4], abs=TICKS)
    caller.hang_up()


def test_two_b_channels(world: World) -> None:
    caller = world.connected()
    world.transfer(label="TBCT99#8005551212#")
    world.run(2.0)
    assert "".join(signal for _, signal, _ in signals(world)) == "99#8005551212#"
    caller.hang_up()


def test_no_bye(world: World) -> None:
    """The call ends as transferred."""
    caller = world.connected()
    world.transfer(label="DTMF1")
    world.run(5.0)
    assert world.state == "transferring"
    world.run(0.5)
    assert "no_bye after the digits of DTMF1" in world.history
    assert caller.heard[-1] == "Hungup"
    assert world.cdr.call_result == "transferred"
    world.over()


def test_no_bye_and_the_call_goes_on(build: Build) -> None:
    world = build(transfer={"outpulse": {"bye_wait": 1, "without_bye": "return"}})
    caller = world.connected()
    world.transfer(label="DTMF1")
    world.run(1.5)
    assert world.state == "connected"
    assert "transfer_failed DTMF1: SIP 408 no BYE after the digits" in world.history
    assert world.moved == ("blind", "outpulse", "rest", "failed", 408)
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "completed"


@pytest.mark.parametrize(
    ("uui", "header"),
    [("3132", "3132;encoding=hex"), ("order 7", f"{b'order 7'.hex()};encoding=hex")],
)
def test_with_uui_bye_follows_at_once(world: World, uui: str, header: str) -> None:
    caller = world.connected()
    command = TransferCommand("", label="DTMF12", ecc_variables={"user.microapp.uui": uui})
    world.server.transfer(world.call.guid, command)
    world.run(0.3)
    assert len(signals(world)) == 2
    assert caller.heard[-1] == "Hungup"
    assert world.the("BYE", to="caller").get("user-to-user") == header
    assert world.cdr.call_result == "transferred"
    world.over()


def test_with_gtd_bye_follows_at_once(world: World) -> None:
    """Parameters of the caller's GTD, or of what ICM has made of it."""
    caller = world.connected()
    variables = {"user.gtd.prn": "isdn*,,ATT4*,"}
    world.server.transfer(
        world.call.guid, TransferCommand("", label="DTMF12", ecc_variables=variables)
    )
    world.run(0.3)
    assert len(signals(world)) == 2
    assert caller.heard[-1] == "Hungup"
    assert world.the("BYE", to="caller").get("user-to-user") is None
    assert world.cdr.call_result == "transferred"
    world.over()


@pytest.mark.parametrize("status", [415, 501])
def test_a_gateway_that_does_not_take_them(world: World, status: int) -> None:
    caller = world.connected()
    caller.manner = Manner(info=status)
    world.transfer(label="DTMF12")
    world.run()
    assert world.state == "connected"
    assert any(e.startswith(f"transfer_failed DTMF12: SIP {status} ") for e in world.history)
    assert world.steps == ["caller > INFO", f"caller < {status} INFO"]
    caller.hang_up()


def test_the_caller_leaves_before_the_last_digit(world: World) -> None:
    caller = world.connected()
    world.transfer(label=TNT)
    world.run(0.3)
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "completed"
    assert world.moved[3:] == ("cancelled", 487)
    world.over()


def test_the_gateway_acts_at_the_last_digit(world: World) -> None:
    """It need not hear the end of it."""
    caller = world.connected()
    world.transfer(label="DTMF12")
    world.run(0.13)
    assert len(signals(world)) == 2
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"
    world.over()


@pytest.mark.parametrize("stage", [0.0, 0.015, 0.3, 3.0])
def test_terminate(world: World, stage: float) -> None:
    caller = world.connected()
    world.transfer(label=TNT)
    world.run(stage)
    world.terminate()
    world.run()
    assert caller.heard[-1] == "Hungup"
    world.over()


def test_the_agent_leaves_meanwhile(world: World) -> None:
    caller = world.connected()
    world.transfer(label="DTMF12")
    world.agents.line.hang_up()
    world.run(1.0)
    assert world.state == "transferring"
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"


def test_icm_chooses_it(build: Build) -> None:
    """A label of a script, once the caller is answered."""
    world = build(
        **script(
            {"self_service": {"application": "bank", "seconds": 1}}, {"connect": {"label": TNT}}
        )
    )
    caller = world.dial("1")
    world.run(3.0)
    assert world.state == "transferring"
    assert "".join(signal for _, signal, _ in signals(world)) == "*84441234"
    counts = world.server.reports.service().current.counts
    assert counts.connects == 2, "a label of ICM like the VRU's (CVP.md 6)"
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"
    assert world.moved == ("blind", "outpulse", "icm", "completed", 200)


def test_nobody_to_consult(world: World) -> None:
    caller = world.connected()
    with pytest.raises(NotRoutable, match="nobody to consult"):
        world.transfer("", "consultation", label=TNT)
    assert world.state == "connected"
    caller.hang_up()


def test_not_as_a_destination(world: World) -> None:
    """Only a label has digits."""
    caller = world.connected()
    world.transfer("DTMF12")  # the built-in plan takes any text as a number
    world.run()
    assert not world.sent("INFO")
    caller.hang_up()


def test_not_while_ringing(world: World) -> None:
    world.agents.behaves(answer=None)
    caller = world.dial("6000")
    world.run()
    with pytest.raises(CallStateError):
        world.transfer(label=TNT)
    caller.cancel()


# The caller's number.


@pytest.mark.parametrize(
    ("label", "ecc", "shown"),
    [
        ("1002;CLI=987", "", "987"),
        ("1002;CLI=null", "", "anonymous"),
        ("1002;CLI=987", "555", "987"),
        ("1002;CLI=null", "555", "anonymous"),
        ("1002", "555", "555"),
        ("1002", "", "5551234"),
    ],
)
def test_the_number_shown(world: World, label: str, ecc: str, shown: str) -> None:
    caller = world.connected()
    variables = {"user.microapp.override_cli": ecc} if ecc else {}
    world.server.transfer(
        world.call.guid, TransferCommand("", label=label, ecc_variables=variables)
    )
    world.run()
    assert f"<sip:{shown}@" in (world.agents.line.invite.get("from") or "")
    caller.hang_up()


@pytest.mark.parametrize(("value", "by_refer"), [("y", True), ("Y", True), ("n", False)])
def test_refer_wanted_at_the_queue_node(build: Build, value: str, by_refer: bool) -> None:
    """ECC user.sip.refertransfer."""
    world = build(**script(QUEUE, **agents(1.0, a1001=1)))
    caller = world.dial("1")
    world.run(0.2)
    world.server.set_variables(world.call.guid, {"user.sip.refertransfer": value}, None, None)
    world.run(1.0)
    assert bool(world.sent("REFER", to="caller")) == by_refer
    if by_refer:
        caller.accept_refer()
        caller.notify(200)
    world.run()
    caller.hang_up()


# Agents.


ONE_AGENT = {
    "agents": {"1001": {"max_calls": 1}},
    "skill_groups": {"support": {"wait": 0.5, "agents": ["1001"]}},
}


def test_a_transfer_makes_the_agent_busy(build: Build) -> None:
    """Whoever is called by a transfer is not called by the queue as well."""
    world = build(icm=ONE_AGENT)
    first = world.standalone()
    agent = world.server.skill_groups.agents["1001"]
    world.transfer("1001")
    world.run(1.5)
    assert (world.state, agent.busy) == ("connected", 1)
    second = world.dial("7000")
    world.run(5.0)
    assert world.state == "queued"
    first.hang_up()
    world.run(1.5)
    assert (world.state, agent.busy) == ("connected", 1)
    second.hang_up()
    world.run()
    assert agent.busy == 0


def test_a_failed_transfer_frees_the_agent(build: Build) -> None:
    world = build(icm=ONE_AGENT)
    caller = world.standalone()
    agent = world.server.skill_groups.agents["1001"]
    world.agents.manners["1001"] = Manner(ring=0.0, answer=1.0, refuse=486)
    world.transfer("1001")
    world.run()
    assert agent.busy == 1
    world.run(1.0)
    assert (world.state, agent.busy) == ("connected", 0)
    caller.hang_up()


@pytest.mark.parametrize("route", ["1001=sip:192.0.2.9:5060;transport=tcp"])
def test_an_agent_who_cannot_be_called(build: Build, route: str) -> None:
    world = build(routes=[route])
    caller = world.standalone()
    world.transfer("1001")
    world.run()
    assert "transfer_failed 1001: SIP 503" in " ".join(world.history)
    assert world.server.skill_groups.agents["1001"].busy == 0
    caller.hang_up()


def test_a_phones_transfer_makes_the_agent_busy(build: Build) -> None:
    world = build(icm={"agents": {"1002": {"max_calls": 1}}})
    caller = world.connected()
    world.agents.line.transfer(f"sip:1002@{world.address}")
    world.run(1.5)
    assert world.server.skill_groups.agents["1002"].busy == 1
    caller.hang_up()


# Numbers of the plan that lead to an agent, and their labels.

STRAIGHT = {
    "dialed_numbers": [
        {"pattern": "5>", "script": "standalone"},
        {"pattern": "6>", "label": "1002"},
        {"pattern": "4>", "script": "straight"},
        {"pattern": "3>", "script": "shown"},
    ],
    "icm": {
        "scripts": {
            "straight": [{"connect": {"label": "1002"}}],
            "shown": [{"connect": {"label": "1002;CLI=987"}}],
        },
        "agents": {"1002": {"max_calls": 1}},
    },
}


@pytest.mark.parametrize("number", ["6000", "4000", "3000"])
def test_a_transfer_to_a_number_makes_its_agent_busy(build: Build, number: str) -> None:
    """Whom the label of its script or of the plan leads to."""
    world = build(**STRAIGHT)
    caller = world.standalone()
    agent = world.server.skill_groups.agents["1002"]
    world.transfer(number)
    world.run(1.5)
    assert (world.state, agent.busy, agent.call) == ("connected", 1, world.call)
    assert not agent.available
    caller.hang_up()
    world.run()
    assert (agent.busy, agent.call) == (0, None)


def test_a_phones_transfer_to_a_number_makes_its_agent_busy(build: Build) -> None:
    world = build(**STRAIGHT)
    caller = world.connected()
    agent = world.server.skill_groups.agents["1002"]
    assert agent.busy == 1
    world.agents.line.transfer(f"sip:4000@{world.address}")
    world.run(0.5)
    assert agent.busy == 2, "both phones of the agent"
    world.run(3.5)
    assert agent.busy == 1
    caller.hang_up()


def test_a_label_of_a_number_may_show_another_caller(build: Build) -> None:
    world = build(**STRAIGHT)
    caller = world.standalone()
    world.transfer("3000")
    world.run(1.5)
    assert "sip:987@" in (world.agents.line.invite.get("from") or "")
    world.transfer(label="3000;CLI=null")
    world.run(1.5)
    assert "sip:anonymous@" in (world.agents.line.invite.get("from") or "")
    caller.hang_up()
