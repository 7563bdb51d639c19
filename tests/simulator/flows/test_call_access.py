"""Who may call and where to: digest, redirections, phones that log in, trunks."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from simulator.access import Access
from simulator.errors import ServiceError
from sip.message import Request
from sip.registration import FAILED, IDLE, REGISTERED, Registration
from sip.usage.credentials import Account, Accounts
from sip.usage.redirect import Redirector
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.world import Manner, Phone, World
from tests.support.builders import response_text
from tests.support.network import Network, Stranger

USERS = {"authentication": {"users": {"1001": "one", "5551234": "caller"}}}


def knows(phone: Phone, user: str, password: str) -> None:
    """Give a phone its password."""
    amend = Accounts([Account("callsim", user, password)], phone.party.endpoint.ids).amend
    phone.party.endpoint.amendments |= {401: amend, 407: amend}


class Desk:
    """A phone that logs in as `number`; its registrations end with the test."""

    def __init__(self, world: World, number: str = "1001", expires: int = 600) -> None:
        self.world = world
        self.phone = Phone(world.network, f"desk{len(world.network.parties)}", Manner())
        aor = f"sip:{number}@callsim"
        registrar = f"sip:{world.address}"
        self.login = Registration(self.phone.party.endpoint, registrar, aor, expires=expires)
        self.login.start(world.network.now)
        world.run()

    def log_out(self) -> None:
        self.login.stop(self.world.network.now)
        self.world.run()


@pytest.fixture
def desk(world: World) -> Iterator[Desk]:
    made = Desk(world)
    yield made
    made.log_out()


# Phones.


def test_a_call_to_an_agent_whose_phone_is_logged_in(
    world: World, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    assert desk.login.state == REGISTERED
    world.dial("6000")
    world.run()
    assert desk.phone.line.invite.uri.startswith("sip:1001@")
    assert world.agents.lines == []
    assert world.state == "connected"
    world.terminate()
    with caplog.at_level(logging.INFO, "simulator.access"):
        desk.log_out()
    assert "1001 is logged out" in caplog.text
    world.dial("6000")
    world.run(1.5)
    assert len(world.agents.lines) == 1
    world.terminate()


def test_a_transfer_and_the_queue_find_the_phone(world: World, desk: Desk) -> None:
    world.dial("7000")
    world.run(8.0)
    assert len(desk.phone.lines) == 1
    world.terminate()
    world.self_service()
    world.transfer("1001")
    world.run()
    assert world.state == "connected"
    assert len(desk.phone.lines) == 2
    assert world.server.plan.resolve_transfer("1001").destination == world.server.phones["1001"]
    world.terminate()


def test_the_phone_is_gone(world: World) -> None:
    """The binding ends by itself, and the static route holds again."""
    desk = Desk(world, expires=60)
    assert "1001" in world.server.phones
    world.network.lose("REGISTER", 100)
    world.run(61)
    assert world.server.phones == {}
    desk.log_out()


def test_a_number_without_a_static_route(build: Build) -> None:
    world = build(icm={"agents": {"anna": {}}}, sip={"registrar": {"numbers": []}})
    desk = Desk(world, "anna")
    world.self_service()
    world.transfer("anna")
    world.run()
    assert len(desk.phone.lines) == 1
    world.terminate()
    desk.log_out()


def test_who_may_log_in(build: Build) -> None:
    world = build()
    stranger = Desk(world, "2001")
    assert stranger.login.status == 404
    stranger.log_out()
    closed = build(sip={"registrar": {"enabled": False}})
    refused = Desk(closed)
    assert (refused.login.state, refused.login.status) == (FAILED, 405)
    refused.log_out()


def test_a_path_to_the_phone(network: Network, world: World) -> None:
    """RFC 3327: the INVITE takes the route that the REGISTER came by."""
    proxy = network.add_stranger("proxy", "198.51.100.9")
    register = (
        f"REGISTER sip:{world.address} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKp\r\n"
        "From: <sip:1001@callsim>;tag=p\r\nTo: <sip:1001@callsim>\r\nCall-ID: p\r\n"
        "CSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContact: <sip:1001@10.9.9.9>;expires=60\r\n"
        "Path: <sip:198.51.100.9;lr>\r\nSupported: path\r\nContent-Length: 0\r\n\r\n"
    )
    proxy.send(world.party, register)
    world.run()
    assert proxy.responses("REGISTER")[0].all("path") == ["<sip:198.51.100.9;lr>"]
    world.dial("6000")
    world.run()
    [invite] = proxy.requests("INVITE")
    assert (invite.uri, invite.get("route")) == ("sip:1001@10.9.9.9", "<sip:198.51.100.9;lr>")
    proxy.send(world.party, response_text(invite, 486, "b"))
    world.run()
    assert world.cdr.error_code == "486"
    world.run(60)
    assert world.server.access.paths == {}


@pytest.fixture
def network(world: World) -> Network:
    return world.network


# Digest, from callers and to callees.


def test_a_caller_must_say_who_it_is(build: Build) -> None:
    world = build(sip=USERS)
    stranger = world.dial("5000")
    world.run()
    assert stranger.statuses == [401]
    assert world.seen == {}
    knows(world.caller, "5551234", "caller")
    world.dial("5000")
    world.run()
    assert world.state == "connected"
    world.terminate()


def test_a_phone_logs_in_as_itself_only(build: Build) -> None:
    world = build(sip=USERS)
    desk = Desk(world)
    assert desk.login.status == 401
    desk.log_out()
    knows(desk.phone, "1001", "one")
    desk.login.start(world.network.now)
    world.run()
    assert desk.login.state == REGISTERED
    desk.log_out()
    other = Desk(world, "1002")
    knows(other.phone, "1001", "one")
    other.log_out()
    other.login.start(world.network.now)
    world.run()
    assert other.login.status == 403
    other.log_out()


def test_who_is_trusted_is_not_asked(build: Build) -> None:
    trusted = {**USERS["authentication"], "trusted": "192.0.2.0/24"}
    world = build(sip={"authentication": trusted})
    world.dial("5000")
    world.run()
    assert world.state == "connected"
    world.terminate()


def test_a_callee_who_asks(build: Build) -> None:
    """The credentials of sip.credentials answer; the caller hears nothing of it."""
    asked = {"credentials": [{"user": "u", "password": "p", "realm": "gw"}]}
    world = build(sip=asked)
    gateway = gateway_for(world)
    caller = world.dial("6000")
    world.run()
    challenge = 'WWW-Authenticate: Digest realm="gw", nonce="n", qop="auth"\r\n'
    gateway.send(world.party, response_text(gateway.requests("INVITE")[0], 401, "g", challenge))
    world.run()
    assert caller.statuses == []
    second = gateway.requests("INVITE")[1]
    assert 'username="u"' in (second.get("authorization") or "")
    gateway.send(world.party, response_text(second, 486, "g"))
    world.run()
    assert caller.statuses == [486]


def gateway_for(world: World) -> Stranger:
    """A stranger where agents are."""
    gateway = world.network.add_stranger("gateway", "198.51.100.7")
    world.server.phones["1001"] = gateway.uri
    world.server.plan.forget()
    return gateway


# Redirections.


@pytest.mark.parametrize("followed", [True, False])
def test_a_callee_who_has_moved(build: Build, followed: bool) -> None:
    world = build(sip={"follow_redirects": followed})
    gateway = gateway_for(world)
    caller = world.dial("6000")
    world.run()
    uri = world.agents.uri.replace("sip:", "sip:1002@")
    contact = f"Contact: <{uri}>\r\n"
    gateway.send(world.party, response_text(gateway.requests("INVITE")[0], 302, "g", contact))
    world.run(1.5)
    if followed:
        assert caller.statuses == [180, 200]
        assert world.state == "connected"
        world.terminate()
    else:
        assert caller.statuses == [302]
        assert caller.responses[0].get("contact") == f"<{uri}>"


@pytest.mark.parametrize("status", [480, 486, 500, 503, 600])
def test_retry_after_reaches_the_caller(world: World, status: int) -> None:
    """Section 20.33."""
    gateway = gateway_for(world)
    caller = world.dial("6000")
    world.run()
    lines = "Retry-After: 120 (busy)\r\n"
    gateway.send(world.party, response_text(gateway.requests("INVITE")[0], status, "g", lines))
    world.run()
    assert caller.responses[0].get("retry-after") == "120 (busy)"


# Trunks.


def test_a_trunk(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "simulator.access")
    trunk = {"registrar": "sip:198.51.100.8", "aor": "sip:+49301@carrier", "password": "s"}
    world = build(sip={"trunks": [trunk]})
    carrier = world.network.add_stranger("carrier", "198.51.100.8")
    world.server.access.start()
    world.run()
    challenge = 'WWW-Authenticate: Digest realm="any", nonce="n", qop="auth"\r\n'
    reply(world, carrier, 401, challenge)
    assert 'username="+49301"' in (carrier.requests("REGISTER")[-1].get("authorization") or "")
    reply(world, carrier, 200)
    assert world.server.access.trunks[0].state == REGISTERED
    assert "trunk sip:+49301@carrier at sip:198.51.100.8: registered for 3600 s" in caplog.text

    async def drained() -> None:
        draining = asyncio.ensure_future(world.server.drain(0.0))
        await asyncio.sleep(0)
        world.run()
        reply(world, carrier, 200)
        await draining

    asyncio.run(drained())
    assert carrier.requests("REGISTER")[-1].get("expires") == "0"
    assert world.server.access.trunks[0].state == IDLE


def reply(world: World, carrier: Stranger, status: int, lines: str = "") -> None:
    request: Request = carrier.requests("REGISTER")[-1]
    carrier.send(world.party, response_text(request, status, "c", lines))
    world.run()


def test_a_trunk_without_a_socket(build: Build) -> None:
    trunk = {"registrar": "sip:198.51.100.8;transport=tcp", "aor": "sip:1@carrier"}
    world = build(sip={"trunks": [trunk]})
    with pytest.raises(ServiceError, match=r"sip\.trunks: sip:198\.51\.100\.8"):
        world.server.access.start()


def test_nothing_is_attached_that_is_not_asked_for(build: Build) -> None:
    world = build(sip={"follow_redirects": False})
    assert isinstance(world.server.access, Access)
    assert world.party.endpoint.guard is None
    assert set(world.party.endpoint.amendments).isdisjoint((302, 401, 407))
    Redirector(world.party.endpoint)
    assert 302 in world.party.endpoint.amendments
