"""Whom the call server listens to: rules and limits by source, bans, and what others name."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from simulator.administration import SIGHUP
from simulator.config import Config, check_config
from simulator.errors import BanNotFound
from simulator.reload import kept
from sip.message import Request, Response
from sip.records import Answer, Query, Srv
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner, Phone
from tests.simulator.flows.test_call_access import USERS, Desk, gateway_for, knows, reply
from tests.simulator.flows.test_call_injection import Rogue
from tests.simulator.flows.test_call_referred import at, parties
from tests.simulator.flows.test_call_watched import Watcher
from tests.simulator.flows.world import World
from tests.support.builders import request_text, response_text
from tests.support.network import Network, Stranger
from tests.support.virtual_server import configuration

CALLER, VXML, AGENTS = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def with_rule(build: Build, **rule: Any) -> World:
    """A server with one rule for all listeners; anybody may watch."""
    world = build(sip={"sources": [rule]}, events={"watchers": "*"})
    assert world.caller.host == CALLER
    return world


def options(world: World, stranger: Stranger, number: int = 1) -> int:
    """The status of the answer to OPTIONS, 0 for none."""
    before = len(stranger.received)
    branch = f"SIP/2.0/UDP {stranger.address[0]}:5060;branch=z9hG4bK{number};rport"
    headers = {"Via": branch, "Call-ID": f"options-{number}"}
    stranger.send(world.party, request_text("OPTIONS", headers))
    world.run()
    return stranger.statuses("OPTIONS")[-1] if len(stranger.received) > before else 0


# Rules.


def test_who_may_call(build: Build) -> None:
    world = with_rule(build, call="10.0.0.0/8")
    refused = world.dial("5000")
    world.run()
    assert refused.statuses == [403]
    assert (world.seen, world.store.records) == ({}, [])
    world = with_rule(build, call=[CALLER, "10.0.0.0/8"])
    world.standalone()
    assert options(world, world.network.add_stranger("scanner", "203.0.113.66")) == 403
    world.terminate()


def test_others_hear_nothing(build: Build) -> None:
    world = with_rule(build, call="10.0.0.0/8", others="silence")
    stranger = world.network.add_stranger("scanner", "203.0.113.66")
    for method in ("INVITE", "OPTIONS", "MESSAGE", "BYE"):
        stranger.send(world.party, request_text(method))
    world.run(40.0)
    assert stranger.received == []
    assert world.seen == {}


def test_who_may_transfer(build: Build) -> None:
    world = with_rule(build, refer=AGENTS)
    phone, other = parties(world, "caller")
    phone.transfer(at(world))
    world.run()
    assert phone.news == [403]
    agent = world.agents.line
    agent.transfer(at(world, "1003"))
    world.run(1.5)
    assert agent.news[-1] == 200
    assert other is agent
    world.terminate()


def test_who_may_log_in(build: Build) -> None:
    world = with_rule(build, register="10.0.0.0/8")
    desk = Desk(world)
    assert desk.login.status == 403
    assert world.server.phones == {}
    desk.log_out()
    world.standalone()
    world.terminate()


def test_who_may_subscribe(build: Build) -> None:
    world = with_rule(build, subscribe="10.0.0.0/8")
    watcher = Watcher(world, "1001")
    watcher.subscribe()
    assert watcher.statuses == [403]


def test_each_listener_has_its_rule(build: Build) -> None:
    listen = ["udp:192.0.2.4:5060", "udp:192.0.2.4:5070"]
    sources = [{"listen": listen[1], "call": "10.0.0.0/8"}]
    world = build(sip={"listen": listen, "sources": sources})
    # The second listener comes with the configuration that is read again.
    second = world.party.listen("UDP", port=5070)
    world.server.sources.configure(world.server.config)
    assert list(world.server.sources.screen.rules) == [second]
    scanner = world.network.add_stranger("scanner", "203.0.113.66")
    assert options(world, scanner) == 200
    scanner.network.post(
        scanner.address,
        ("192.0.2.4", 5070),
        request_text(
            "OPTIONS", {"Call-ID": "second", "Via": "SIP/2.0/UDP a;branch=z9hG4bK7;rport"}
        ),
    )
    world.run()
    assert scanner.statuses("OPTIONS") == [200, 403]


def test_the_port_of_pings_is_no_way_round(build: Build) -> None:
    """Whoever finds it is heard there as at the first listener of its kind."""
    listen = ["udp:192.0.2.4:5060"]
    sources = [{"listen": listen[0], "call": "10.0.0.0/8"}]
    world = build(sip={"listen": listen, "sources": sources})
    pings = world.party.listen("UDP", port=5067)
    world.server.sources.configure(world.server.config)
    assert list(world.server.sources.screen.rules) == [world.party.listener, pings]
    scanner = world.network.add_stranger("scanner", "203.0.113.66")
    scanner.network.post(scanner.address, ("192.0.2.4", 5067), request_text("INVITE"))
    world.run()
    assert scanner.statuses("INVITE") == [403]
    assert world.seen == {}


def test_a_listener_that_asks_for_no_password(build: Build) -> None:
    """Such as one that wants certificates; the other asks."""
    listen = ["udp:192.0.2.4:5060", "udp:192.0.2.4:5070"]
    sources = [{"listen": listen[1], "passwords": False}]
    world = build(sip={"listen": listen, "sources": sources, **USERS})
    world.party.listen("UDP", port=5070)
    world.server.sources.configure(world.server.config)
    scanner = world.network.add_stranger("phone", "203.0.113.66")
    for number, port in enumerate((5060, 5070)):
        headers = {"Call-ID": f"{port}", "To": "<sip:1001@callsim>", "CSeq": "1 REGISTER"}
        headers["Via"] = f"SIP/2.0/UDP a;branch=z9hG4bK{number};rport"
        text = request_text("REGISTER", headers | {"Contact": "<sip:203.0.113.66>;expires=60"})
        scanner.network.post(scanner.address, ("192.0.2.4", port), text)
        world.run()
    assert scanner.statuses("REGISTER") == [401, 200]
    world.run(61.0)


def test_another_configuration_holds_at_once(build: Build) -> None:
    world = build()
    scanner = world.network.add_stranger("scanner", "203.0.113.66")
    assert options(world, scanner, 1) == 200
    sip = {"sources": [{"call": "10.0.0.0/8"}]}
    config, waiting = kept(world.server.config, configuration(sip=sip))
    world.server.configure(config)
    assert waiting == []
    assert options(world, scanner, 2) == 403
    world.server.configure(configuration())
    assert options(world, scanner, 3) == 200


@pytest.mark.parametrize(
    ("sources", "fault"),
    [
        ("[{listen: 'udp:10.0.0.1:5060'}]", "is not in sip.listen, which has udp:0.0.0.0:5060"),
        ("[{call: 10.0.0.0/8}, {call: '*'}]", "a rule for all other listeners is there twice"),
        ("[{call: nobody}]", "is not an IP address, a network such as 10.0.0.0/8"),
        ("[{others: 404}]", "must be '403' or 'silence'"),
        ("[{callers: '*'}]", "is not a known key"),
    ],
)
def test_a_rule_that_cannot_be(tmp_path: Path, sources: str, fault: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(f"sip:\n  sources: {sources}\n")
    assert any(fault in str(problem) for problem in check_config(file)), check_config(file)


def test_rules_survive_their_file(tmp_path: Path) -> None:
    rule = {"listen": "udp:0.0.0.0:5060", "register": ["10.0.0.0/8"], "others": "silence"}
    config = Config.model_validate({"sip": {"sources": [rule]}})
    file = tmp_path / "plan.yaml"
    file.write_text(config.to_yaml())
    assert Config.load(file) == config


@pytest.mark.parametrize(
    ("sip", "hint"),
    [
        ({}, "udp:0.0.0.0:5060"),
        ({"listen": ["tcp:[::]:5060"]}, "tcp:[::]:5060"),
        ({"listen": ["udp:127.0.0.1:5060", "udp:[::1]:5060"]}, ""),
        ({"sources": [{"call": "10.0.0.0/8"}]}, ""),
        ({"sources": [{"listen": "udp:0.0.0.0:5060"}]}, "tcp:0.0.0.0:5060"),
        (USERS, ""),
    ],
)
def test_a_hint_that_anybody_may_call(
    build: Build, caplog: pytest.LogCaptureFixture, sip: dict[str, Any], hint: str
) -> None:
    """By default everybody is served, as a lab wants it; the log says so once."""
    world = build(sip=sip)
    world.server.access.start()
    hints = [text for text in caplog.messages if "sip.sources says who may" in text]
    assert len(hints) == (hint != "")
    assert all(f"reaches {hint} can call" in text for text in hints)


# Limits.

FEW = {"limits": {"rate": 1, "burst": 3, "wrong_passwords": 3, "ban": 60}}


def test_a_stranger_is_limited_and_a_peer_is_not(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    world = build(sip=FEW, routes=[{"pattern": "88XX", "to": "sip:203.0.113.5"}])
    stranger = world.network.add_stranger("scanner", "203.0.113.66")
    peer = world.network.add_stranger("peer", "203.0.113.5")
    # Each takes 0.2 s.
    assert [options(world, stranger, number) for number in range(6)] == [200, 200, 200, 503, 0, 200]
    assert [options(world, peer, number) for number in range(20)] == [200] * 20
    assert [one for one in caplog.messages if "sip.limits" in one] == [
        "203.0.113.66 sends more than sip.limits.rate allows; if it may, add it to "
        "sip.limits.exempt"
    ]


@pytest.mark.parametrize(
    "sections",
    [
        {"sip": {"limits": {**FEW["limits"], "exempt": "203.0.113.0/24"}}},
        {"sip": {**FEW, "authentication": {"trusted": "203.0.113.66"}}},
        {"sip": {**FEW, "outbound_proxy": "sip:203.0.113.66"}},
        {"sip": {**FEW, "trunks": [{"registrar": "sip:203.0.113.66", "aor": "sip:1@a"}]}},
        {"sip": FEW, "direct_routes": ["88XX=sip:203.0.113.66:5070"]},
        {"sip": FEW, "server_groups": [{"name": "cucm", "servers": "203.0.113.66"}]},
        {
            "sip": FEW,
            "dial_plan": {"location": {"sites": [{"id": "1", "gateways": "203.0.113.0/28"}]}}
            | {"significant_digits": 0},
        },
    ],
)
def test_who_is_configured(build: Build, sections: dict[str, Any]) -> None:
    world = build(**sections)
    stranger = world.network.add_stranger("scanner", "203.0.113.66")
    known = "sites" not in str(sections)
    answers = [options(world, stranger, number) for number in range(10)]
    assert (answers == [200] * 10) is known, "203.0.113.66 is in no network of a site"


def test_a_peer_that_the_dns_names(build: Build) -> None:
    """It is known once it was looked up, by SRV too; and while a reload names it still."""
    world = build(sip=FEW, routes=[{"pattern": "88XX", "to": "sip:gw.example"}])
    sources = world.server.sources
    scanner = world.network.add_stranger("gw", "203.0.113.66")
    assert [options(world, scanner, number) for number in range(5)][-1] != 200
    locator = world.party.endpoint.locator
    target = Srv(1, 1, 5060, "sip1.gw.example")
    locator.answered(Query("_sip._udp.gw.example", "SRV"), Answer((target,), 60.0), 1.0)
    locator.answered(Query("sip1.gw.example", "A"), Answer(("203.0.113.66",), 60.0), 1.0)
    locator.answered(Query("other.example", "A"), Answer(("203.0.113.67",), 60.0), 1.0)
    assert [options(world, scanner, number) for number in range(10, 20)] == [200] * 10
    assert not sources.screen.known("203.0.113.67")
    sources.configure(world.server.config)
    assert sources.screen.known("203.0.113.66")
    sources.configure(Config.builtin())
    assert not sources.screen.known("203.0.113.66")


def test_what_the_dns_named_is_forgotten(build: Build) -> None:
    """An hour after its answer has expired; and there are so many and no more."""
    world = build(routes=[{"pattern": "88XX", "to": "sip:gw.example"}])
    screen, locator = world.server.sources.screen, world.party.endpoint.locator
    locator.answered(Query("gw.example", "A"), Answer(("203.0.113.66",), 60.0), world.network.now)
    world.run(3000.0)
    assert screen.known("203.0.113.66")
    world.run(700.0)
    assert not screen.known("203.0.113.66")
    many = tuple(f"10.0.{number >> 8}.{number & 255}" for number in range(1010))
    locator.answered(Query("gw.example", "A"), Answer(many, 60.0), world.network.now)
    assert [screen.known(host) for host in (many[0], many[-1])] == [False, True]
    assert sum(map(screen.known, many)) == 1000


def log_in(world: World, who: Stranger, user: str, number: int, nonce: str = "") -> Response | None:
    """REGISTER, with a wrong password over `nonce`, if that is given; None: no answer."""
    before = len(who.received)
    headers: dict[str, str | None] = {
        "Via": f"SIP/2.0/UDP a;branch=z9hG4bK{user}{number};rport",
        "To": f"<sip:{user}@callsim>",
        "CSeq": f"{number} REGISTER",
    }
    if nonce:
        headers["Authorization"] = (
            f'Digest username="{user}", realm="callsim", nonce="{nonce}", uri="sip:callsim", '
            f'response="{number:064x}", algorithm=SHA-256, qop=auth, nc={number:08x}, cnonce="x"'
        )
    who.send(world.party, request_text("REGISTER", headers, uri="sip:callsim"))
    world.run()
    return who.responses("REGISTER")[-1] if len(who.received) > before else None


def test_wrong_passwords_end_in_a_ban(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    """Users and nobodies are told the same, until nothing is heard; an administrator lifts it."""
    world = build(sip={**FEW, "limits": {**FEW["limits"], "burst": 100}, **USERS})
    thief = world.network.add_stranger("thief", "203.0.113.66")
    answers = []
    for user in ("1001", "nobody", "5551234", "1001"):
        asked = log_in(world, thief, user, 1)
        challenge = (asked.get("www-authenticate") or "") if asked else ""
        nonce = challenge.partition('nonce="')[2].partition('"')[0]
        answers.append((asked, log_in(world, thief, user, 2, nonce)))
    told = [
        [None if answer is None else (answer.status, answer.reason) for answer in pair]
        for pair in answers
    ]
    assert told == [[(401, "Unauthorized"), (403, "Forbidden")]] * 3 + [[None, None]]
    server = world.server
    (ban,) = server.administration.bans()
    assert (ban.address, ban.reason, ban.refused) == ("203.0.113.66", "wrong passwords", 2)
    assert ban.until - ban.since == 60.0
    assert "203.0.113.66 is banned for 60 s: wrong passwords" in caplog.text
    (lifted,) = asyncio.run(server.administration.lift_bans(SIGHUP, "203.0.113.66"))
    assert lifted == ban
    entries = server.administration.trail.entries
    assert [(e.action, e.what, e.id) for e in entries] == [("delete", "ban", "203.0.113.66")]
    again = log_in(world, thief, "1001", 9)
    assert again is not None
    assert again.status == 401
    for nobody in ("203.0.113.66", "203.0.113.1", "x::y::z", ""):
        with pytest.raises(BanNotFound):
            server.sources.lift(nobody)


def test_calls_of_a_banned_source_go_on(build: Build) -> None:
    world = build(sip=FEW)
    line = world.standalone()
    screen = world.server.sources.screen
    for guess in "abc":
        screen.wrong_password((CALLER, 5060), "1001", guess, world.network.now)
    refused = world.dial("5000")
    world.run()
    assert refused.statuses == []
    line.request("INFO", b"Signal=1\r\n", "application/dtmf-relay")
    line.hang_up()
    world.run()
    assert world.state == "ended"
    refused.cancel()
    world.run(40.0)


# The other listed things: redirections.


@pytest.mark.parametrize(
    ("contact", "hosts", "status"),
    [
        ("sip:1002@{elsewhere}", [], 403),
        ("sip:1002@evil.example", [], 403),
        ("sip:1002@{elsewhere}", ["{elsewhere}"], 200),
        ("sip:1002@{elsewhere}", ["*"], 200),
        ("sip:1002@{agents}", [], 200),
        ("sip:{agents}", [], 403),
        ("sip:1002@{agents}9", [], 403),
        ("sip:0900666@{agents}", [], 403),
        ("tel:+4930123", ["*"], 403),
        ("sip:1002@{server}", [], 200),
        ("sip:nobody@{server}", [], 403),
    ],
)
def test_where_a_redirection_leads(
    build: Build, contact: str, hosts: list[str], status: int
) -> None:
    """By the dial plan, or nowhere; and the caller is not sent there either."""
    network = Network()
    elsewhere = Phone(network, "elsewhere", Manner())
    world = build(
        network,
        transfer={"hosts": [host.format(elsewhere=elsewhere.host) for host in hosts]},
        dialed_numbers=[{"pattern": "6>", "label": "1001"}],
    )
    gateway = gateway_for(world)
    caller = world.dial("6000")
    world.run()
    agents = f"{world.agents.host}:5060"
    uri = contact.format(agents=agents, server=world.address, elsewhere=elsewhere.host)
    invite = gateway.requests("INVITE")[0]
    gateway.send(world.party, response_text(invite, 302, "g", f"Contact: <{uri}>\r\n"))
    world.run(1.5)
    assert caller.statuses[-1] == status
    assert caller.responses[-1].get("contact") != f"<{uri}>"
    if status == 200:
        world.terminate()
    else:
        assert elsewhere.lines == []
        assert world.cdr.error_code == "403"


@pytest.mark.parametrize(("port", "status"), [(5060, 200), (5070, 403)])
def test_a_redirection_within_a_server_group(build: Build, port: int, status: int) -> None:
    """From one of its servers to the other, for a number that the routes lead to the group."""
    network = Network()
    other = Phone(network, "other", Manner())
    world = build(
        network,
        server_groups=[{"name": "cucm.lab", "servers": ["203.0.113.5", other.host]}],
        routes=[{"pattern": "77XX", "to": "sip:cucm.lab"}],
        dialed_numbers=[{"pattern": "6>", "label": "1001"}],
    )
    gateway = gateway_for(world)
    caller = world.dial("6000")
    world.run()
    invite = gateway.requests("INVITE")[0]
    contact = f"Contact: <sip:7701@{other.host}:{port}>\r\n"
    gateway.send(world.party, response_text(invite, 302, "g", contact))
    world.run(1.5)
    assert caller.statuses[-1] == status
    if status == 200:
        world.terminate()


def test_a_redirection_to_a_phone_that_is_logged_in(build: Build) -> None:
    """To its contact and no other port of its host."""
    for port, status in ((5060, 200), (5070, 403)):
        network = Network()
        phone = Phone(network, "phone", Manner())
        world = build(network, dialed_numbers=[{"pattern": "6>", "label": "1001"}])
        gateway = gateway_for(world)
        world.server.phones["1009"] = f"sip:1009@{phone.host}:5060"
        world.server.plan.forget()
        caller = world.dial("6000")
        world.run()
        invite = gateway.requests("INVITE")[0]
        contact = f"Contact: <sip:1009@{phone.host}:{port}>\r\n"
        gateway.send(world.party, response_text(invite, 302, "g", contact))
        world.run(1.5)
        assert caller.statuses[-1] == status
        if status == 200:
            world.terminate()


@pytest.mark.parametrize("status", [302, 305, 380, 485, 486])
@pytest.mark.parametrize("followed", [True, False])
def test_a_refusal_does_not_tell_where_the_callee_is(
    build: Build, status: int, followed: bool
) -> None:
    """But for a 3xx where the caller is to follow it."""
    world = build(
        sip={"follow_redirects": followed},
        dialed_numbers=[{"pattern": "6>", "label": "1001"}],
        transfer={"hosts": ["*"]},
    )
    gateway = gateway_for(world)
    caller = world.dial("6000")
    world.run()
    invite = gateway.requests("INVITE")[0]
    lines = (
        "Contact: <sip:secret@10.20.30.40>\r\nError-Info: <sip:10.20.30.40>\r\n"
        'Warning: 399 10.20.30.40 "busy", 370 10.20.30.40:5060 "too much"\r\nAllow: INVITE\r\n'
    )
    if status == 302 and followed:
        lines = lines.replace("Contact", "X-Contact")  # else it is called
    gateway.send(world.party, response_text(invite, status, "g", lines))
    world.run(1.5)
    (answer,) = [one for one in caller.responses if one.status >= 300]
    assert answer.status == status
    assert answer.values("warning") == ['399 callee "busy"', '370 callee "too much"']
    assert answer.get("allow") == "INVITE"
    shown = status < 400 and not followed
    assert (answer.get("contact") == "<sip:secret@10.20.30.40>") is shown
    assert answer.head.count("10.20.30.40") == shown


def test_a_trunk_that_points_elsewhere(build: Build) -> None:
    """Its password goes nowhere else, nor does the registration."""
    trunk = {"registrar": "sip:198.51.100.8", "aor": "sip:+49301@carrier", "password": "s"}
    world = build(sip={"trunks": [trunk]})
    carrier = world.network.add_stranger("carrier", "198.51.100.8")
    thief = world.network.add_stranger("thief", "203.0.113.66")
    world.server.access.start()
    world.run()
    reply(world, carrier, 302, "Contact: <sip:203.0.113.66>\r\n")
    assert thief.received == []
    world.server.access.stop()
    world.run(100.0)


# What one leg hears of another.


def test_no_leg_hears_where_another_is(build: Build) -> None:
    """Addresses, tags, Call-IDs, routes: each leg has its own."""
    rogue = Rogue(build)
    world = rogue.world
    secret = "198.18.77.7"
    caller = world.caller.dial(
        f"sip:661@{world.address}",
        "5551234",
        lines=f"Record-Route: <sip:{secret};lr>\r\nUser-Agent: Secret/1.0\r\n"
        f"Organization: Secret\r\nServer: Secret/2.0\r\nIn-Reply-To: secret@{secret}\r\n",
    )
    world.run()
    invite = rogue.invite
    head = invite.head.lower()
    for hidden in (secret, "secret", world.caller.host, "example.com", caller.session.local_tag):
        assert hidden.lower() not in head, hidden
    assert invite.call_id != caller.session.dialog.call_id
    place = "198.18.88.8"
    lines = f"Record-Route: <sip:{place};lr>\r\nServer: Secret\r\nContact: <sip:{place}>\r\n"
    rogue.say(180, "Ringing", lines, "hidden-tag")
    rogue.say(486, "Busy", "Server: Secret\r\n", "hidden-tag")
    for response in caller.responses:
        for hidden in (place, "secret", rogue.stranger.address[0], "hidden-tag", invite.call_id):
            assert hidden.lower() not in response.head.lower(), hidden


def test_an_address_in_via_or_contact_gets_no_answer(build: Build) -> None:
    """Replies go to the source (RFC 3581); a port of the sent-by, at the same host (18.2.2)."""
    world = build(Network())
    victim = world.network.add_stranger("victim", "203.0.113.9")
    sender = world.network.add_stranger("sender", "203.0.113.66")
    for number, via in enumerate(
        (
            "SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bKa{}",
            "SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bKb{};received=203.0.113.9",
            "SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bKc{};maddr=203.0.113.9",
            "SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bKd{};rport=5060",
        )
    ):
        headers = {
            "Via": via.format(number),
            "Call-ID": f"a{number}",
            "Contact": "<sip:203.0.113.9>",
            "Record-Route": "<sip:203.0.113.9;lr>",
        }
        for method in ("OPTIONS", "REGISTER", "MESSAGE", "INVITE"):
            sender.send(world.party, request_text(method, headers, uri="sip:5000@a"))
        world.run()
    world.run(100.0)
    assert victim.received == []
    assert len(sender.statuses("OPTIONS")) == 4
    assert len([m for m in sender.received if isinstance(m, Request) and m.method == "BYE"]) >= 4


# Secrets.


def test_no_password_in_log_history_or_record(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = ("geheim-eins", "geheim-zwei", "geheim-drei")
    world = build(
        sip={
            "authentication": {"users": {"5551234": secrets[0]}},
            "credentials": [{"user": "u", "password": secrets[1], "realm": "gw"}],
            "trunks": [{"registrar": "sip:198.51.100.8", "aor": "sip:1@a", "password": secrets[2]}],
        }
    )
    knows(world.caller, "5551234", secrets[0])
    gateway = gateway_for(world)
    world.dial("6000")
    world.run()
    challenge = 'WWW-Authenticate: Digest realm="gw", nonce="n", qop="auth"\r\n'
    gateway.send(world.party, response_text(gateway.requests("INVITE")[0], 401, "g", challenge))
    world.run()
    signed = gateway.requests("INVITE")[1]
    responses = [signed.get("authorization") or ""]
    responses += [m.get("authorization") or "" for m in world.sent("INVITE", by="caller")]
    digests = [text.partition('response="')[2].partition('"')[0] for text in responses]
    gateway.send(world.party, response_text(signed, 486, "g"))
    world.run()
    told = caplog.text + repr(world.store.records) + repr(world.call.history)
    told += repr(world.server.config.sip.credentials) + repr(world.server.access.trunks)
    for secret in [*secrets, *filter(None, digests)]:
        assert secret not in told
    assert any(digests)
