"""The call flow models of CVP.md 1: comprehensive, call director, standalone; VRU returns."""

from functools import partial
from typing import Any

import pytest

from sip.message import Request, Response
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import SILENT, Manner, Phone
from tests.simulator.flows.test_call_treatment import QUEUE, SERVICE, agents, script
from tests.simulator.flows.world import SOON, Line, World

VRU = "7770000000"


def test_comprehensive_the_first_answer_is_that_of_the_vru(world: World) -> None:
    """Steps 4 to 6: the caller's SDP goes on unchanged, the VRU's comes back unchanged, and
    its ACK waits for the caller's."""
    world.caller.manner = Manner(acknowledge=False)
    line = world.dial("3000")
    world.run(0.05)
    assert line.statuses == [200]
    assert world.vxml.line.invite.body == line.offered
    assert line.received == world.vxml.line.media.body()
    assert "Acknowledged" not in world.vxml.line.heard
    assert world.sent("ACK") == []
    line.acknowledge()
    world.run()
    assert world.vxml.line.heard[-1] == "Acknowledged"
    line.hang_up()


def test_comprehensive_without_an_offer(world: World) -> None:
    """An offerless INVITE goes on offerless: the VRU's offer in the 200, the answer in the ACK."""
    line = world.dial("3000", offer=False)
    world.run()
    assert world.vxml.line.invite.body == b""
    (ack,) = world.sent("ACK", to="vxml")
    assert isinstance(ack, Request)
    assert ack.body == line.media.body()
    line.hang_up()


@pytest.mark.parametrize("treatment", ["label", "connect"])
def test_call_director_has_no_vxml_leg(build: Build, treatment: str) -> None:
    """The label comes straight from NEW_CALL; the callee's 180 is relayed."""
    if treatment == "label":
        world = build(dialed_numbers=[{"pattern": "4>", "label": "1002"}])
    else:
        world = build(**script({"connect": {"label": "1002"}}))
    line = world.dial("4000")
    world.run(2.0)
    assert line.statuses == [180, 200]
    assert world.vxml.lines == []
    assert (world.state, world.call.icm_label or "1002") == ("connected", "1002")
    line.hang_up()
    world.run()
    assert [leg.leg_type for leg in world.cdr.legs] == ["inbound", "outbound"]


def test_standalone_has_no_other_leg(world: World) -> None:
    line = world.dial("5000")
    world.run()
    assert (world.state, len(world.call.legs)) == ("connected", 1)
    line.hang_up()


@pytest.mark.parametrize("offerless", [False, True])
def test_who_offers_when_the_agent_is_joined(build: Build, offerless: bool) -> None:
    """`sdp.mid_call`: the caller's SDP to the target, or an INVITE without any."""
    sections: dict[str, Any] = {"sdp": {"mid_call": "offerless"}} if offerless else {}
    world = build(services={"ringtone": "9191"}, **sections)
    line = world.queued()
    world.run(5.0)
    assert world.state == "connected"
    for there in (world.vxml.line, world.agents.line):
        assert (there.invite.body == b"") is offerless
        acks = [m for m in there.requests if m.method == "ACK"]
        assert (acks[0].body != b"") is offerless
    assert line.received
    line.hang_up()


# Returns from the VRU.


class Switch:
    """A CUCM between the call server and its VRU: it calls the server back."""

    def __init__(self, build: Build, *steps: Any, **sections: Any) -> None:
        self.world: World
        plan = script(*steps, **agents(a1001=1)) if steps else {}
        self.world = build(
            routes=[f"{VRU}>=sip:192.0.2.5:5060"],
            services={"ringtone": "", "vru_return": "7780000000", **sections},
            **plan,
        )
        self.phone = Phone(self.world.network, "switch", SILENT)
        assert self.phone.host == "192.0.2.5"

    def back(self, number: str = "", lines: str = "") -> tuple[Line, Line]:
        """The leg that came, and the call that goes back."""
        came = self.phone.line
        number = number or came.invite.uri.removeprefix("sip:").partition("@")[0]
        back = self.phone.dial(f"sip:{number}@{self.world.address}", "5551234", lines=lines)
        self.world.run(0.05)
        return came, back

    def bridged(self) -> tuple[Line, Line]:
        """The same, joined."""
        came, back = self.back()
        came.answer(back.received)
        self.world.run(SOON)
        return came, back


def test_a_return_finds_the_call_that_waits(build: Build) -> None:
    """REQUEST_INSTRUCTION: it is the VRU of that call, whose script goes on."""
    switch = Switch(build, SERVICE)
    world = switch.world
    line = world.dial("3000")
    world.run(0.05)
    first = world.call
    world.server.set_variables(first.guid, {"user.microapp.locale": "en_US"}, None, None)
    came, back = switch.bridged()
    second = world.call
    assert second is not first
    assert world.vxml.line.invite.uri.startswith("sip:778000000000001@")
    assert (first.state, second.state) == ("self_service", "self_service")
    assert second.application == "bank"
    ecc = world.server.call_variables(second.guid).ecc
    assert ecc["user.microapp.locale"] == "en_US"
    assert f"request_instruction correlation id 00001: call {first.guid}" in world.history
    assert any(e == "vru_returned" and second.guid in d for _, e, d in first.history)
    line.hang_up()
    world.run()
    bye_goes_on(came, back)
    world.run()
    assert [c.state for c in (first, second)] == ["ended", "ended"]
    world.settle()


def uui(text: str) -> str:
    """User-to-User with `text` as hexadecimal pairs (RFC 7433)."""
    return f"User-to-User: {text.encode().hex()};encoding=hex\r\n"


@pytest.mark.parametrize("site", ["", "21"])
def test_a_return_may_say_its_correlation_id_as_uui(build: Build, site: str) -> None:
    """CVP.md 2: hexadecimal pairs, beside a number that is the bare VRU label."""
    location = {"insert": "between", "sites": [{"id": site, "gateways": ["192.0.2.1"]}]}
    sections = {"dial_plan": {"location": location}} if site else {}
    switch = Switch(partial(build, **sections), SERVICE)
    world = switch.world
    line = world.dial("3000")
    world.run(0.05)
    first = world.call
    assert switch.phone.line.invite.uri.startswith(f"sip:{VRU}{site}00001@")
    came, back = switch.back(VRU, uui("\x0400001"))
    came.answer(back.received)
    world.run(SOON)
    assert world.call is not first
    assert f"request_instruction correlation id 00001: call {first.guid}" in world.history
    assert (first.state, world.state) == ("self_service", "self_service")
    line.hang_up()
    world.run()
    bye_goes_on(came, back)
    world.run()
    world.settle()


@pytest.mark.parametrize("lines", ["", uui("00002"), uui("1"), "User-to-User: bank\r\n"])
def test_a_call_to_the_bare_vru_label_is_one_of_its_own(build: Build, lines: str) -> None:
    """Without an id that a call waits for: the dial plan decides, as for any number."""
    switch = Switch(build, SERVICE)
    world = switch.world
    line = world.dial("3000")
    world.run(0.05)
    other = switch.phone.dial(f"sip:{VRU}@{world.address}", "5551234", lines=lines)
    world.run(0.05)
    assert "request_instruction" not in " ".join(world.history)
    assert world.call.route.kind == "script"
    line.cancel()
    other.cancel()


def test_a_return_takes_no_licence_of_its_own(build: Build) -> None:
    """[OPS]: one for each call; the return is part of the one that waits."""

    def licensed(**sections: Any) -> World:
        return build(server={"licences": 1, "max_calls": 1}, **sections)

    switch = Switch(licensed, SERVICE)
    world = switch.world
    licences = world.server.licences
    line = world.dial("3000")
    world.run(0.05)
    came, back = switch.bridged()
    assert back.statuses[-1] == 200
    assert len(world.server.calls) == 2
    assert (licences.used, licences.denied) == (1, 0)
    lost = switch.phone.dial(f"sip:{VRU}99999@{world.address}", "5551234")
    world.run(0.05)
    assert lost.statuses == [503], "a number that no call waits for"
    assert (licences.used, licences.denied) == (1, 1)
    line.hang_up()
    world.run()
    bye_goes_on(came, back)
    world.run()
    assert (licences.used, len(world.server.calls)) == (0, 0)
    again = world.dial("3000")
    world.run(0.05)
    assert licences.used == 1
    again.cancel()


def bye_goes_on(came: Line, back: Line) -> None:
    """What the switch does when the call server releases its leg."""
    assert came.heard[-1] == "Hungup"
    back.hang_up()


def test_the_vru_dialogue_ends_when_the_agent_is_found(build: Build) -> None:
    """Step 8: ICM releases the VRU dialogue, CONNECT comes on the switch dialogue."""
    switch = Switch(build, QUEUE)
    world = switch.world
    line = world.dial("3000")
    world.run(0.05)
    came, back = switch.bridged()
    world.run(0.1)
    bye_goes_on(came, back)
    world.run(2.0)
    first, second = world.seen.values()
    assert (first.state, second.state) == ("connected", "ended")
    assert "Hungup" in world.vxml.line.heard
    line.hang_up()
    world.run()
    assert {r.call_result for r in world.store.records} == {"completed"}


def test_the_gateway_hangs_up_on_a_return(build: Build) -> None:
    """The application is over: so is the VRU dialogue, and the script of the other goes on."""
    switch = Switch(build, SERVICE, {"connect": {"label": "1002"}})
    world = switch.world
    line = world.dial("3000")
    world.run(0.05)
    came, back = switch.bridged()
    world.vxml.line.hang_up()
    world.run()
    assert back.heard[-1] == "Hungup"
    came.hang_up()
    world.run(2.0)
    assert next(iter(world.seen.values())).state == "connected"
    line.hang_up()


def test_a_return_that_nobody_waits_for(build: Build) -> None:
    """The wrong correlation split, or a call that is over: DIALOGUE_FAILURE."""
    switch = Switch(build, SERVICE)
    world = switch.world
    line = world.dial("3000")
    world.run(0.05)
    _, back = switch.back(f"{VRU}00002")
    assert back.statuses == [404]
    assert "request_instruction correlation id 00002 is that of no call" in world.history
    line.cancel()
    world.run()
    late = switch.phone.dial(f"sip:{VRU}00001@{world.address}", "5551234")
    world.run()
    assert late.statuses == [404]


def test_a_vru_route_that_leads_back_for_ever(build: Build) -> None:
    """The VRU label must lead to the gateway in the end: the second return is refused."""
    switch = Switch(build, SERVICE, vru_return="")
    world = switch.world
    line = world.dial("3000")
    world.run(0.05)
    came, back = switch.back()
    assert len(switch.phone.lines) == 3, "the return is sent to the switch as well"
    again, third = switch.back()
    assert third.statuses == [404]
    assert "leads back here" in " ".join(world.history)
    again.refuse(404)
    world.run()
    assert back.statuses == [404]
    came.refuse(404)
    world.run()
    assert line.statuses == [404]


def test_a_return_whose_gateway_refuses(build: Build) -> None:
    switch = Switch(build, SERVICE)
    world = switch.world
    world.vxml.behaves(refuse=503)
    line = world.dial("3000")
    world.run(0.05)
    came, back = switch.back()
    assert [r.status for r in back.responses if isinstance(r, Response)] == [503]
    came.refuse(503)
    world.run()
    assert line.statuses == [503]


def test_a_number_that_is_longer_but_no_vru_label(world: World) -> None:
    """Only a VRU label at the start makes a return of a long number."""
    line = world.dial("12345678901234")
    world.run()
    assert world.state == "self_service"
    line.hang_up()
