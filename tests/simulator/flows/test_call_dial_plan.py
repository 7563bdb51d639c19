"""Where outbound legs go: originator, proxy, routes, server groups, digits, location."""

import logging
from typing import Any

import pytest

from simulator.routing import NotRoutable
from sip.locate import Target
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner, Phone
from tests.simulator.flows.world import World

GATEWAY = (
    "User-Agent: Cisco-SIPGateway/IOS-15.7.3.M5\r\n"
    'Remote-Party-ID: "Gateway" <sip:5551234@192.0.2.1>;party=calling\r\n'
)
AGENTS = "192.0.2.3:5060"
VXML = "192.0.2.2:5060"
CALLER = "192.0.2.1:5060"


def target(world: World, number: str, lines: str = "", seconds: float = 0.2) -> str:
    """Where the INVITE of the outbound leg went, and its Request-URI."""
    world.dial(number, lines=lines)
    world.run(seconds)
    invites = [packet for packet in world.network.packets("INVITE") if packet.source == "server"]
    assert invites, world.history
    return f"{invites[-1].target} {invites[-1].message.uri}"  # type: ignore[union-attr]


def over(world: World) -> None:
    if world.state != "ended":
        world.terminate()


# -- the order [SDG-CVP] -------------------------------------------------------------------


def test_a_label_goes_back_to_the_gateway_it_came_from(build: Build) -> None:
    """CVP.md 4, step 2: before the proxy and the routes."""
    world = build(dial_plan={"send_to_originator": ["1XXX"]}, sip={"outbound_proxy": f"sip:{VXML}"})
    world.caller.behaves(ring=0.0)
    assert target(world, "6000", GATEWAY) == f"caller sip:1001@{CALLER};transport=udp"
    over(world)


@pytest.mark.parametrize(
    "lines",
    [
        "",
        GATEWAY.partition("\r\n")[0] + "\r\n",  # no Remote-Party-ID
        GATEWAY.partition("\r\n")[2],  # no User-Agent
        GATEWAY.replace("IOS", "XYZ"),
        GATEWAY.replace("/IOS-15", "/CURIOSITY"),
    ],
    ids=["neither", "no RPID", "no UA", "another UA", "no word"],
)
def test_only_an_ios_gateway_with_remote_party_id_gets_it_back(build: Build, lines: str) -> None:
    """CVP.md 4, step 2: needs RPID present and an IOS User-Agent."""
    world = build(dial_plan={"send_to_originator": ["1XXX"]})
    assert target(world, "6000", lines) == f"agents sip:1001@{AGENTS}"
    over(world)


def test_only_labels_of_the_pattern_go_back(build: Build) -> None:
    world = build(dial_plan={"send_to_originator": ["777>"]})
    assert target(world, "6000", GATEWAY) == f"agents sip:1001@{AGENTS}"
    world.terminate()
    world.caller.behaves(answer=0.0)
    assert target(world, "3000", GATEWAY) == f"caller sip:777000000000001@{CALLER};transport=udp"
    over(world)


def test_behind_a_proxy_the_gateway_is_whom_call_info_names(build: Build) -> None:
    """CVP.md 2: ``Call-Info: <sip:...>;purpose=x-cisco-origIP``."""
    world = build(dial_plan={"send_to_originator": [">"]})
    lines = f"{GATEWAY}Call-Info: <sip:{VXML}>;purpose=x-cisco-origIP\r\n"
    assert target(world, "6000", lines) == f"vxml sip:1001@{VXML}"
    over(world)


def test_a_contact_that_cannot_be_called_is_passed_over(build: Build) -> None:
    world = build(dial_plan={"send_to_originator": [">"]})
    lines = f"{GATEWAY}Call-Info: <tel:123>;purpose=x-cisco-origIP\r\n"
    assert target(world, "6000", lines) == f"agents sip:1001@{AGENTS}"
    over(world)


def test_the_outbound_proxy_comes_before_the_routes(build: Build) -> None:
    """CVP.md 4, step 3."""
    world = build(sip={"outbound_proxy": f"sip:{VXML}"})
    assert target(world, "6000") == f"vxml sip:1001@{VXML}"
    over(world)


def test_a_transfer_goes_to_the_proxy_unless_the_plan_has_the_number(build: Build) -> None:
    world = build(sip={"outbound_proxy": f"sip:{AGENTS}"}, dialed_numbers=[
        {"pattern": "6>", "label": "1001"}, {"pattern": "2001", "label": "1002"},
    ])  # fmt: skip
    world.connected()
    world.transfer("8888")
    world.run(1.5)
    assert world.agents.line.invite.uri == f"sip:8888@{AGENTS}"
    world.transfer("2001")
    world.run(1.5)
    assert world.agents.line.invite.uri == f"sip:1002@{AGENTS}"
    world.transfer("1003")  # an extension, whatever the plan says
    world.run(1.5)
    assert world.agents.line.invite.uri == f"sip:1003@{AGENTS}"
    over(world)


def test_no_route_is_told_with_its_fix(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    """CVP.md 4, step 5, and 7: CONNECT_FAILURE, then 404; the text is that of the SNMP trap."""
    world = build(dialed_numbers=[{"pattern": "4>", "label": "nowhere"}])
    caller = world.dial("4000")
    world.run()
    assert caller.statuses == [404]
    assert (
        "B2BUA is not configured with a route for making calls to [nowhere]. "
        "Please add this route. [id:5010]"
    ) in caplog.text
    assert "no_route label nowhere: add it under routes" in world.history


# -- digits and places ---------------------------------------------------------------------


def test_significant_digits_go_around_icm(build: Build) -> None:
    """CVP.md 4: N leading digits are taken off before ICM, and stand before the label again."""
    world = build(
        dial_plan={"significant_digits": 3},
        routes=[f"6061XXX=sip:{AGENTS}", f"606777>=sip:{VXML}"],
    )
    assert target(world, "6066000") == f"agents sip:6061001@{AGENTS}"
    assert (world.call.called, world.call.icm_label) == ("6000", "")
    world.terminate()
    assert target(world, "6067000") == f"vxml sip:606777000000000001@{VXML}"
    over(world)


def test_a_number_of_those_digits_alone_is_left_whole(build: Build) -> None:
    world = build(dial_plan={"significant_digits": 4})
    assert target(world, "6000") == f"agents sip:1001@{AGENTS}"
    assert world.call.called == "6000"
    over(world)


def test_digits_that_no_route_expects_are_a_missing_route(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    """CVP.md 8: what a gateway that does not strip them runs into."""
    world = build(dial_plan={"significant_digits": 3})
    caller = world.dial("6066000")
    world.run()
    assert caller.statuses == [404]
    assert "calls to [6061001]" in caplog.text


SITES: dict[str, Any] = {"sites": [{"id": "042", "gateways": ["192.0.2.0/24"]}]}


@pytest.mark.parametrize(
    ("insert", "number"),
    [
        ("between", "777000000004200001"),
        ("front", "042777000000000001"),
        ("off", "777000000000001"),
    ],
)
def test_the_site_id_stands_in_the_number_to_the_vru(
    build: Build, insert: str, number: str
) -> None:
    """CVP.md 4: between VRU label and correlation id (default), in front, or not at all."""
    world = build(
        dial_plan={"location": {**SITES, "insert": insert}}, routes=[f"042777>=sip:{VXML}"]
    )
    assert target(world, "3000") == f"vxml sip:{number}@{VXML}"
    route = world.server.plan.route_call(number)
    assert (route.kind, route.correlation_id) == ("vru_return", "00001")
    over(world)


def test_a_caller_from_nowhere_known_has_no_site_id(build: Build) -> None:
    sites = [{"id": "042", "gateways": ["10.0.0.0/8"]}]
    world = build(dial_plan={"location": {"sites": sites}})
    assert target(world, "3000") == f"vxml sip:777000000000001@{VXML}"
    over(world)


# -- patterns ------------------------------------------------------------------------------


def test_a_route_may_say_how_long_its_labels_ring(build: Build) -> None:
    """CVP.md 4: RNA per pattern."""
    world = build(routes=[{"pattern": "1XXX", "to": f"sip:{AGENTS}", "ring_no_answer": 5}])
    world.agents.behaves(answer=None)
    caller = world.dial("6000")
    world.run(5.2)
    assert caller.statuses == [180, 408]
    assert "connect_failed 1001: SIP 408 ring no answer" in world.history


def test_the_language_of_the_profile(build: Build) -> None:
    """CVP.md 0: ``*`` any digits, the lowest priority wins."""
    world = build(
        dial_plan={"syntax": "profile"},
        dialed_numbers=[
            {"pattern": "*", "script": "self_service", "priority": 9},
            {"pattern": "6*0", "label": "1001", "priority": 5},
            {"pattern": "6000", "label": "1002", "priority": 5},
        ],
    )
    assert target(world, "6000") == f"agents sip:1001@{AGENTS}"
    world.terminate()
    assert target(world, "6001").startswith("vxml ")
    over(world)


# -- server groups -------------------------------------------------------------------------


def grouped(build: Build, *, heartbeat: bool = False, **sections: Any) -> tuple[World, Phone]:
    """The agents' labels lead to a group: `agents`, and a spare with a lower priority."""
    made = build(
        server_groups={
            "agents.lab": {
                "servers": [AGENTS, {"host": "192.0.2.5", "priority": 2}],
                "heartbeat": {"enabled": heartbeat},
            }
        },
        routes=["1XXX=sip:agents.lab"],
        **sections,
    )
    spare = Phone(made.network, "spare", Manner(ring=0.0, answer=1.0))
    assert spare.host == "192.0.2.5"
    return made, spare


def test_a_call_goes_to_the_best_server(build: Build) -> None:
    world, spare = grouped(build)
    assert target(world, "6000", seconds=1.5) == "agents sip:1001@agents.lab"
    assert (world.state, spare.lines) == ("connected", [])
    over(world)


def test_the_spare_takes_over_what_the_first_refuses(build: Build) -> None:
    world, spare = grouped(build)
    world.agents.behaves(answer=0.0, ring=None, refuse=503)
    caller = world.dial("6000")
    world.run(1.5)
    assert world.state == "connected"
    assert caller.statuses == [180, 200]
    assert len(world.agents.lines) == 1
    world.terminate()
    world.dial("6000")  # the first is out: it is not asked again
    world.run(1.5)
    assert (len(world.agents.lines), len(spare.lines)) == (1, 2)
    world.run(180.0)
    world.agents.behaves(refuse=0)
    world.terminate()
    world.dial("6000")
    world.run(1.5)
    assert (len(world.agents.lines), len(spare.lines)) == (2, 2)
    over(world)


def test_the_spare_takes_over_when_the_first_is_dead(build: Build) -> None:
    world, spare = grouped(build)
    world.agents.vanish()
    world.dial("6000")
    world.run(2.5)
    assert world.state == "connected"
    assert world.network.times("INVITE")[1:4] == pytest.approx([0.01, 0.51, 1.01], abs=0.02)
    assert len(spare.lines) == 1
    over(world)


def test_what_a_callee_says_is_the_calls_answer(build: Build) -> None:
    """480 and 600 to an INVITE are the callee's: only as answers to a ping are they overload."""
    world, spare = grouped(build)
    for status in (480, 486, 600, 404):
        world.agents.behaves(answer=0.0, ring=None, refuse=status)
        caller = world.dial("6000")
        world.run()
        assert caller.statuses == [status]
    assert spare.lines == []


def test_requests_inside_a_dialog_bypass_the_group(build: Build) -> None:
    """CVP.md 4: in-dialog requests bypass the group."""
    world, spare = grouped(build)
    caller = world.connected()
    host, port = AGENTS.split(":")
    group = world.server.server_groups.groups["agents.lab"]
    group.failed(Target("UDP", host, int(port)), 503, None, world.network.now)
    caller.offer("sendonly")
    world.run()
    assert world.sent("INVITE", to="agents")
    caller.hang_up()
    world.run()
    assert world.sent("BYE", to="agents")
    assert spare.lines == []


def test_a_heartbeat_keeps_calls_from_a_dead_server(build: Build) -> None:
    world, spare = grouped(build, heartbeat=True)
    world.agents.party.dead = True
    world.server.server_groups.start(world.network.now)
    world.run(1.0)
    world.dial("6000")
    world.run(1.5)
    assert (world.state, len(spare.lines)) == ("connected", 1)
    assert world.sent("INVITE", to="agents") == []
    world.agents.party.dead = False
    world.terminate()
    world.run(6.0)
    world.dial("6000")
    world.run(1.5)
    assert (len(world.agents.lines), len(spare.lines)) == (1, 1)
    over(world)
    world.server.server_groups.stop()


def test_all_servers_dead_is_a_connect_failure(build: Build) -> None:
    world, _ = grouped(build, heartbeat=True)
    for place in world.server.server_groups.groups["agents.lab"].elements:
        world.server.server_groups.groups["agents.lab"].mark(place, "down", "test", 0.0)
    caller = world.dial("6000")
    world.run()
    assert caller.statuses == [503]


def test_direct_routes_and_the_proxy_may_be_groups(build: Build) -> None:
    world, _ = grouped(build, direct_routes=["4>=sip:agents.lab"])
    assert target(world, "4711") == "agents sip:4711@agents.lab"
    world.terminate()
    other, _ = grouped(build, sip={"outbound_proxy": "sip:agents.lab"})
    assert target(other, "6000") == "agents sip:1001@agents.lab"
    over(other)


def test_refer_names_a_server_of_the_group(build: Build) -> None:
    """The phone does not know the group: Refer-To has a server that is up."""
    world, _ = grouped(build)
    world.connected()
    world.transfer(label="rf1002")
    world.run()
    refer = world.the("REFER", to="caller")
    assert refer.get("refer-to") == f"<sip:1002@{AGENTS}>"
    world.caller.line.accept_refer()
    world.run()
    world.caller.line.notify(503)
    world.run()
    over(world)


def test_a_number_may_go_to_a_group(build: Build) -> None:
    world, spare = grouped(
        build,
        dialed_numbers=[
            {"pattern": "2>", "server_group": "agents.lab"},
            {"pattern": "3>", "label": "7{dnis}", "server_group": "agents.lab"},
            {"pattern": "4>", "label": "7{dnis}"},
        ],
    )
    assert target(world, "2000") == "agents sip:2000@agents.lab"
    world.terminate()
    assert target(world, "3000") == "agents sip:73000@agents.lab"
    world.terminate()
    caller = world.dial("4000")
    world.run()
    assert caller.statuses == [404]
    assert spare.lines == []


def test_a_transfer_to_what_has_no_route_is_refused(build: Build) -> None:
    world, _ = grouped(build, dialed_numbers=[{"pattern": "6>", "label": "1001"}])
    world.connected()
    with pytest.raises(NotRoutable):
        world.transfer("4444")
    over(world)


def test_states_are_logged(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    world, _ = grouped(build)
    world.agents.vanish()
    world.dial("6000")
    world.run(2.5)
    assert "server group agents.lab: 192.0.2.3:5060 is down: no answer to a request" in caplog.text
    over(world)


def test_trunks_show_how_they_stand(build: Build) -> None:
    trunk = {"registrar": f"sip:{VXML}", "aor": "sip:4930@carrier.example"}
    world = build(sip={"trunks": [trunk]})
    world.server.access.start()
    (view,) = world.server.administration.trunk_views()
    assert (view.registrar, view.state, view.sip_response_code) == (
        f"sip:{VXML}",
        "registering",
        None,
    )
    world.run()
    (view,) = world.server.administration.trunk_views()
    assert (view.aor, view.state, view.sip_response_code) == (trunk["aor"], "failed", 405)
    world.server.access.stop()
