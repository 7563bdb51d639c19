"""What the INVITE of one leg takes from the INVITE of the other."""

import re

import pytest

from sip.message import Request
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import origin_of
from tests.simulator.flows.world import World
from tests.support.builders import request_text
from tests.support.network import Network

GUID = "F13437331000013A5FCA33210A4244A9"
WORDS = "4046731059-0268435770-1607086881-0172115113"


def outbound(world: World, lines: str = "") -> Request:
    """The INVITE to the VXML gateway for a call with these header lines."""
    world.dial("3000", lines=lines)
    world.run()
    return world.vxml.line.invite


def told(world: World) -> dict[str, str]:
    """The ECC variables of the call, besides those that ICM has of every call."""
    ecc = world.server.call_variables(world.call.guid).ecc
    return {k: v for k, v in ecc.items() if k not in ("user.media.id", "user.cvp_server_info")}


def test_identity_of_an_outbound_leg(world: World) -> None:
    invite = outbound(world)
    host = world.party.listener.host
    assert re.fullmatch(rf"{world.call.guid}-\d{{13,}}@{host}", invite.call_id)
    assert invite.get("max-forwards") == "69"
    assert invite.get("expires") == "60"
    assert invite.get("user-agent") == "Callsim/1.0-test"
    assert re.fullmatch(rf"<sip:5551234@{host}:5060>;tag=ds[0-9a-f]{{8}}", invite.get("from") or "")
    assert invite.get("contact") == f"<sip:5551234@{host}:5060;transport=udp>"
    assert invite.get("cisco-gucid") == world.call.guid
    world.terminate()
    assert [leg.leg_id for leg in world.cdr.legs] == [
        world.caller.line.session.dialog.call_id.partition("@")[0],
        invite.call_id.partition("@")[0],
    ]


@pytest.mark.parametrize(
    ("lines", "guid"),
    [
        (f"Cisco-Gucid: {GUID}\r\n", GUID),
        (f"Cisco-Gucid: {GUID.lower()}\r\n", GUID),
        (f"Cisco-Guid: {WORDS}\r\n", GUID),
        (f"Cisco-Gucid: {GUID[::-1]}\r\nCisco-Guid: {WORDS}\r\n", GUID[::-1]),
        (f"Cisco-Gucid: short\r\nCisco-Guid: {WORDS}\r\n", GUID),
    ],
)
def test_the_guid_of_the_caller(world: World, lines: str, guid: str) -> None:
    invite = outbound(world, lines)
    assert world.call.guid == guid
    assert invite.get("cisco-gucid") == guid
    if guid == GUID:
        assert invite.get("cisco-guid") == WORDS
    world.terminate()
    assert world.cdr.call_guid == guid


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "Cisco-Gucid: 12\r\n",
        f"Cisco-Gucid: {GUID[:-1]}G\r\n",
        "Cisco-Guid: 1-2-3\r\n",
        "Cisco-Guid: 1-2-3-4294967296\r\n",
        "Cisco-Guid: \r\n",
    ],
)
def test_a_guid_of_our_own(world: World, lines: str) -> None:
    outbound(world, lines)
    assert re.fullmatch("[0-9A-F]{24}C0000204", world.call.guid), "ends in 192.0.2.4, our address"
    world.terminate()


def test_a_guid_in_use(world: World) -> None:
    outbound(world, f"Cisco-Gucid: {GUID}\r\n")
    outbound(world, f"Cisco-Gucid: {GUID}\r\n")
    assert len(world.server.calls) == 2
    assert next(iter(world.seen)) == GUID
    for line in world.caller.lines:
        line.hang_up()


def test_header_fields_that_go_on(world: World) -> None:
    """RFC 3323, 3325, 5876, 5806, 7044, 7433, 6086; any order, several values."""
    passed = (
        "P-Asserted-Identity: <sip:5551234@example.com>, <tel:+1-408-555-1234>\r\n"
        'P-Preferred-Identity: "Caller" <sip:5551234@example.com>\r\n'
        "Privacy: id;user\r\n"
        "Diversion: <sip:1@example.com>;reason=unconditional\r\n"
        "Diversion: <sip:2@example.com>\r\n"
        "History-Info: <sip:3@example.com?Reason=SIP%3Bcause%3D302>;index=1\r\n"
        "History-Info: <sip:4@example.com>;index=1.1;rc=1\r\n"
        'Remote-Party-ID: "Caller--CVP" <sip:5551234@example.com>\r\n'
        "Call-Info: <sip:192.0.2.1:5060>;purpose=x-cisco-origIP\r\n"
        "User-to-User: 00aa;encoding=hex\r\n"
        "Subject: about, it all\r\n"
        "Recv-Info: dtmf\r\n"
        "X-Anything: as it is, with\tall\r\n"
    )
    invite = outbound(world, passed + "Session-Expires: 1800\r\nRoute-Not: 1\r\n")
    text = invite.to_bytes().decode()
    assert passed in text
    assert "Route-Not" not in text
    assert "Session-Expires: 1800\r\n" in text, "asked for anew (RFC 4028)"
    world.terminate()


def test_folded_and_compact_header_fields_go_on(world: World) -> None:
    """RFC 3261 section 7.3: what was folded stands on one line."""
    folded = "Diversion: <sip:1@example.com>\r\n ;reason=unconditional\r\ns: short\r\n"
    stranger = world.network.add_stranger("gateway")
    invite_text = request_text(
        "INVITE",
        {"Via": f"SIP/2.0/UDP {stranger.address[0]};branch=z9hG4bKf"},
        uri=f"sip:3000@{world.party.listener.host}",
    ).decode()
    stranger.send(world.party, invite_text.replace("Max-Forwards", f"{folded}Max-Forwards"))
    world.run()
    invite = world.vxml.line.invite
    assert invite.get("diversion") == "<sip:1@example.com> ;reason=unconditional"
    assert invite.get("subject") == "short"
    world.run(40.0)  # nobody sends ACK


def test_what_the_callee_says_of_itself_goes_back(world: World) -> None:
    """RFC 3325 section 9.1, RFC 7433 section 3, RFC 7044 section 9: in responses as well."""
    world.agents.behaves(ring=None, answer=None)
    caller = world.dial("6000")
    world.run()
    agent = world.agents.line
    said = "P-Asserted-Identity: <sip:1002@example.com>\r\nUser-to-User: 01;encoding=hex\r\n"
    agent.session.ring(world.network.now, 180, lines=said + "Alert-Info: <http://a>\r\n")
    agent.session.answer(
        world.network.now, agent.media.answer(agent.received), said + "X-Skill: gold\r\n"
    )
    world.run()
    ringing, answer = caller.responses
    for response in (ringing, answer):
        assert said in response.head
        assert response.get("alert-info") is None
    assert answer.get("x-skill") == "gold"
    world.terminate()


@pytest.mark.parametrize("by", ["caller", "agent"])
def test_reasons_and_user_data_of_a_bye_go_on(world: World, by: str) -> None:
    """RFC 3326: one value for each protocol; RFC 7433 section 3."""
    line = world.connected()
    other = world.agents.line
    if by == "agent":
        line, other = other, line
    line.hang_up(
        "Reason: SIP;cause=600\r\nReason: Q.850;cause=21\r\nUser-to-User: 02;encoding=hex\r\n"
    )
    world.run()
    bye = other.requests[-1]
    assert (bye.method, bye.values("reason")) == ("BYE", ["SIP;cause=600", "Q.850;cause=21"])
    assert bye.get("user-to-user") == "02;encoding=hex"
    world.over()


def test_the_reason_of_a_cancel_goes_on(world: World) -> None:
    """RFC 3326 section 2: a call completed elsewhere is no missed call."""
    world.agents.behaves(ring=0.0, answer=None)
    caller = world.dial("6000")
    world.run()
    elsewhere = 'SIP;cause=200;text="Call completed elsewhere"'
    caller.cancel(f"Reason: {elsewhere}\r\n")
    world.run()
    assert world.the("CANCEL", to="agents").get("reason") == elsewhere
    world.over()


def test_the_reason_of_a_refusal_goes_on(world: World) -> None:
    """RFC 6432: the cause of the far network, in place of our own words."""
    world.agents.behaves(ring=None, answer=None)
    caller = world.dial("6000")
    world.run()
    agent = world.agents.line
    agent.session.reject(world.network.now, 486, lines="Reason: Q.850;cause=17\r\n")
    world.run()
    assert caller.responses[-1].all("reason") == ["Q.850;cause=17"]
    world.over()


@pytest.mark.parametrize(
    ("uri", "called"),
    [
        ("tel:+1-408-555-0100", "+14085550100"),
        ("tel:3000;phone-context=example.com", "3000"),
        ("sip:+14085550100@{host};user=phone", "+14085550100"),
        ("sip:%2B3000;npdi@{host}", "+3000"),
    ],
)
def test_telephone_numbers_in_uris(world: World, uri: str, called: str) -> None:
    """RFC 3966 in Request-URI, To and From; routing is by what is dialed."""
    stranger = world.network.add_stranger("gateway")
    uri = uri.format(host=world.party.listener.host)
    headers = {
        "Via": f"SIP/2.0/UDP {stranger.address[0]};branch=z9hG4bKtel",
        "From": "<tel:+1.408.555.0199>;tag=gw",
        "To": f"<{uri}>",
        "Contact": f"<sip:{stranger.address[0]}>",
    }
    stranger.send(world.party, request_text("INVITE", headers, uri=uri))
    world.run()
    call = next(iter(world.server.calls.values()))
    assert (call.called, call.calling) == (called, "+14085550199")
    invite = world.vxml.line.invite
    assert invite.from_.uri == f"sip:+14085550199@{world.party.listener.sent_by('')}"
    world.run(40.0)  # nobody sends ACK


@pytest.mark.parametrize("number", ["12,34", "12;isub=1", "12?34"])
def test_uris_with_separators_stand_in_brackets(world: World, number: str) -> None:
    """RFC 8217: in every address that we write; no part of a URI becomes the header's."""
    stranger = world.network.add_stranger("gateway")
    headers = {
        "Via": f"SIP/2.0/UDP {stranger.address[0]};branch=z9hG4bK8217",
        "From": f"<sip:{number}@example.com>;tag=gw",
        "Contact": f"<sip:{number}@{stranger.address[0]}>",
    }
    uri = f"sip:3000@{world.party.listener.host}"
    stranger.send(world.party, request_text("INVITE", headers, uri=uri))
    world.run()
    invite = world.vxml.line.invite
    user = number.partition(";")[0]
    for key in ("from", "contact"):
        (value,) = invite.values(key)
        assert value.startswith(f"<sip:{user}@")
    assert invite.from_.tag == invite.from_tag
    (answer,) = [r for r in stranger.responses("INVITE") if r.status == 200][:1]
    assert answer.get("from") == headers["From"]
    world.terminate()
    world.run(40.0)  # BYE waits for an ACK that does not come
    assert stranger.requests("BYE")[0].uri == f"sip:{number}@{stranger.address[0]}:5060"
    world.run(40.0)  # nobody answers it


def test_max_forwards_runs_out(world: World) -> None:
    stranger = world.network.add_stranger("proxy")
    host = world.party.listener.host
    for hops in ("1", "0", "none"):
        headers = {
            "Max-Forwards": hops,
            "Call-ID": hops,
            "Via": f"SIP/2.0/UDP {stranger.address[0]}:5060;branch=z9hG4bK{hops}",
        }
        invite = request_text("INVITE", headers, uri=f"sip:3000@{host}")
        stranger.send(world.party, invite)
        world.run()
    assert stranger.statuses("INVITE")[:4] == [100, 200, 483, 100]
    assert [line.invite.get("max-forwards") for line in world.vxml.lines] == ["0", "69"]
    assert len(world.server.calls) == 2
    world.run(40.0)  # nobody sends ACK


def test_descriptions_pass_unchanged(world: World) -> None:
    caller = world.dial("3000")
    world.run()
    assert world.vxml.line.received == caller.offered
    assert caller.received == world.vxml.line.media.body()
    assert origin_of(caller.received)[0] == world.vxml.host
    world.terminate()


def test_an_early_description_is_relayed(world: World) -> None:
    world.agents.behaves(ring=None, answer=None)
    caller = world.dial("6000")
    world.run()
    agent = world.agents.line
    agent.ring(183, agent.media.body())
    world.run()
    assert caller.statuses == [183]
    early = caller.received
    assert early == agent.media.body()
    agent.answer()
    world.run()
    assert caller.received == early
    world.terminate()


def test_the_answer_may_have_come_early_only(world: World) -> None:
    world.agents.behaves(ring=None, answer=None)
    caller = world.dial("6000")
    world.run()
    agent = world.agents.line
    agent.ring(183, agent.media.body())
    agent.answer(b"")
    world.run()
    assert (world.state, caller.statuses) == ("connected", [183, 200])
    assert caller.responses[-1].body == agent.media.body()
    world.terminate()


def test_an_offerless_call_is_offerless_to_its_end(world: World) -> None:
    caller = world.dial("3000", offer=False)
    world.run()
    gateway = world.vxml.line
    assert gateway.invite.body == b""
    assert caller.responses[-1].body == gateway.media.body()
    ack = gateway.requests[-1]
    assert (ack.method, ack.body) == ("ACK", caller.media.body())
    assert world.flow[-2:] == ["caller > server ACK", "server > vxml ACK"]
    world.terminate()


def test_the_gateway_gets_its_ack_after_the_callers(world: World) -> None:
    world.caller.behaves(acknowledge=False)
    caller = world.dial("3000")
    world.run(5.0)
    assert world.state == "self_service"
    assert not world.sent("ACK")
    caller.acknowledge()
    world.run()
    assert world.sent("ACK", to="vxml")
    world.terminate()


def test_a_seed_decides_a_run(build: Build) -> None:
    flows = []
    for _ in range(2):
        world = build(Network(seed=7, loss=0.2))
        world.dial("7000")
        world.run(20.0)
        flows.append(world.flow)
        if world.state != "ended":
            world.terminate()
    assert flows[0] == flows[1]


# -- what ICM gets, and rules --------------------------------------------------------------


def test_app_info_is_for_the_vxml_gateway(world: World) -> None:
    """The voice browser finds the IVR service by it [CG-FLOW]."""
    invite = outbound(world)
    assert invite.get("app-info") == f"<{world.party.listener.host}:8000:8443>"
    world.terminate()
    world.connected()
    assert world.agents.line.invite.get("app-info") is None
    world.terminate()


def test_app_info_may_be_left_out(build: Build) -> None:
    world = build(headers={"app_info": ""})
    assert outbound(world).get("app-info") is None
    world.terminate()


def test_user_agent_and_server_are_settings(build: Build) -> None:
    world = build(headers={"user_agent": "CVP 12.6 (2) Build-7", "server": "CVP"})
    assert outbound(world).get("user-agent") == "CVP 12.6 (2) Build-7"
    assert world.caller.line.responses[-1].get("server") == "CVP"
    world.terminate()


def test_uui_reaches_icm(world: World) -> None:
    outbound(world, "User-to-User: 00aa;encoding=hex\r\n")
    assert told(world) == {"user.microapp.uui": "00aa"}
    world.terminate()
    assert world.cdr.uui == "00aa"


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (["UUS"], {"user.microapp.uui": "3132"}),
        (["PRN"], {"user.gtd.prn": "isdn*,,ATT4*,"}),
        ([], {}),
    ],
)
def test_gtd_reaches_icm(build: Build, parameters: list[str], expected: dict[str, str]) -> None:
    """GTD parameter forwarding; the session description is found beside it (RFC 5621)."""
    world = build(headers={"gtd_parameters": parameters})
    stranger = world.network.add_stranger("gateway")
    sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    sdp += "m=audio 4000 RTP/AVP 0\r\n"
    body = f"--b\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--b\r\n"
    body += "Content-Type: application/gtd\r\n\r\nIAM,\r\nPRN,isdn*,,ATT4*,\r\nUUS,3,3132\r\n"
    body += "\r\n--b--\r\n"
    stranger.send(
        world.party,
        request_text(
            "INVITE",
            {
                "Via": f"SIP/2.0/UDP {stranger.address[0]};branch=z9hG4bKf",
                "Content-Type": "multipart/mixed;boundary=b",
            },
            uri=f"sip:3000@{world.party.listener.host}",
            body=body,
        ).decode(),
    )
    world.run()
    assert world.vxml.line.received.decode() == sdp
    assert told(world) == expected
    world.run(40.0)  # nobody sends ACK


def test_header_fields_for_icm(build: Build) -> None:
    """A configured list, 210 characters of each (CVP.md section 2)."""
    world = build(headers={"to_icm": ["P-Asserted-Identity", "X-Data", "Call-ID", "X-None"]})
    lines = f"P-Asserted-Identity: <sip:1@a>\r\nX-Data: {'x' * 300}\r\nX-data: y\r\n"
    outbound(world, lines)
    assert told(world) == {
        "user.sip.p_asserted_identity": "<sip:1@a>",
        "user.sip.x_data": "x" * 210,
        "user.sip.call_id": world.caller.line.session.dialog.call_id,
    }
    world.terminate()


def test_too_much_for_icm_is_noted(build: Build) -> None:
    names = [f"X-{number}" for number in range(12)]
    world = build(headers={"to_icm": names})
    outbound(world, "".join(f"{name}: {'x' * 210}\r\n" for name in names))
    assert len(told(world)) == 9, "2000 bytes in all"
    assert sum(line.startswith("variable_refused") for line in world.history) == 3
    world.terminate()


def test_rules_change_the_invite_of_a_leg(build: Build) -> None:
    rules = [
        {
            "sources": "192.0.2.0/24",
            "drop": ["X-Secret"],
            "rename": {"X-Old": "X-New"},
            "add": {"P-Early-Media": "supported"},
        },
        {"destinations": "nowhere.example", "add": {"X-Never": "1"}},
    ]
    world = build(headers={"rules": rules})
    invite = outbound(world, "X-Secret: 1\r\nX-Old: 2\r\nX-Other: 3\r\n")
    assert invite.get("x-secret") is None
    assert (invite.get("x-new"), invite.get("x-other")) == ("2", "3")
    assert invite.get("p-early-media") == "supported"
    assert invite.get("x-never") is None
    world.terminate()


def test_a_rule_for_a_destination(build: Build) -> None:
    world = build()
    host = world.vxml.uri.partition(":")[2].partition(":")[0]
    world = build(headers={"rules": [{"destinations": host, "drop": ["Cisco-Guid", "User-Agent"]}]})
    invite = outbound(world)
    assert (invite.get("cisco-guid"), invite.get("user-agent")) == (None, None)
    assert invite.get("cisco-gucid") == world.call.guid
    world.terminate()
    world.connected()
    assert world.agents.line.invite.get("cisco-guid") is not None
    world.terminate()


def test_a_rule_for_a_server_group_that_calls(build: Build) -> None:
    network = Network()
    world = build(network)
    address = world.caller.host
    world = build(
        server_groups=[{"name": "gateways.lab", "servers": [{"host": address}]}],
        headers={"rules": [{"sources": "gateways.lab", "add": {"X-From": "gateways"}}]},
    )
    assert outbound(world).get("x-from") == "gateways"
    world.terminate()


def test_what_goes_on_is_told(world: World) -> None:
    outbound(world, "X-A: 1\r\nRoute-Not: 1\r\nDiversion:  <sip:1@a>\r\n")
    told = world.server.passed_headers(world.call.guid)
    assert told == [("X-A", "1"), ("Diversion", "<sip:1@a>")]
    world.terminate()
