"""REFER from a phone (RFC 3515): the call server calls the target and joins the other party."""

import pytest

from sip.usage.named import replaces_of
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner, Phone, direction_of, origin_of
from tests.simulator.flows.world import Line, World
from tests.support.network import Network

WHO = ["caller", "agents"]


def parties(world: World, who: str) -> tuple[Line, Line]:
    """A call with an agent: the phone that transfers, and the one that stays."""
    lines = [world.connected(), world.agents.line]
    return (lines[0], lines[1]) if who == "caller" else (lines[1], lines[0])


def at(world: World, number: str = "1002") -> str:
    return f"sip:{number}@{world.address}"


@pytest.mark.parametrize("who", WHO)
def test_blind(world: World, who: str) -> None:
    phone, other = parties(world, who)
    phone.transfer(at(world))
    world.run()
    assert world.state == "transferring"
    assert phone.news == [202, 100, 180]
    world.run(1.2)
    target = world.agents.line
    assert phone.news == [202, 100, 180, 200]
    assert world.state == "connected"
    assert target.invite.uri.startswith("sip:1002@")
    assert origin_of(other.received)[0] == origin_of(target.media.body())[0]
    phone.hang_up()
    world.run()
    assert not world.sent("BYE")
    assert [e.partition(" ")[0] for e in world.history][-5:] == [
        "referred",
        "transferring",
        "transfer_completed",
        "connected",
        "hung_up",
    ]
    other.hang_up()
    world.run()
    assert target.heard[-1] == "Hungup"
    assert (world.cdr.call_result, world.cdr.transfer_destination) == ("transferred", "1002")
    assert world.cdr.sip_call_id == world.caller.line.session.dialog.call_id
    world.over()


def test_the_number_shown_is_that_of_who_stays(world: World) -> None:
    phone, _ = parties(world, "caller")
    phone.transfer(at(world))
    world.run(1.5)
    assert "sip:1001@" in (world.agents.line.invite.get("from") or "")
    phone.hang_up()
    world.agents.line.hang_up()


@pytest.mark.parametrize("who", WHO)
def test_no_bye_from_the_phone(world: World, who: str) -> None:
    """It has two seconds after the 200; then the call server says it."""
    phone, other = parties(world, who)
    phone.transfer(at(world))
    world.run(1.5 + 1.4)
    assert "Hungup" not in phone.heard
    world.run(1.0)
    assert phone.heard[-1] == "Hungup"
    other.hang_up()
    world.run()
    world.over()


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("outcome", ["answered", "busy"])
def test_bye_in_the_middle(world: World, who: str, outcome: str) -> None:
    phone, other = parties(world, who)
    world.agents.manners["1002"] = Manner(ring=0.0, answer=1.0, refuse=486 * (outcome == "busy"))
    phone.transfer(at(world))
    world.run(0.5)
    phone.hang_up()
    world.run(1.5)
    if outcome == "answered":
        assert phone.news == [202, 100, 180, 200]  # in the dialog that the REFER keeps
        assert world.state == "connected"
        other.hang_up()
        world.run()
        assert world.cdr.call_result == "transferred"
    else:
        assert phone.news[-1] == 486
        assert other.heard[-1] == "Hungup"
        assert (world.cdr.call_result, world.cdr.error_code) == ("error", "486")
    world.over()


@pytest.mark.parametrize("who", WHO)
def test_target_busy(world: World, who: str) -> None:
    """The call goes on with the phone, and can be transferred again."""
    phone, other = parties(world, who)
    world.agents.manners["1002"] = Manner(refuse=486)
    phone.transfer(at(world))
    world.run()
    assert phone.news == [202, 100, 486]
    assert world.state == "connected"
    assert any(e.startswith("transfer_failed 1002: SIP 486") for e in world.history)
    assert not other.heard or "Reinvited" not in other.heard
    phone.offer("sendonly")
    world.run()
    assert direction_of(other.received) == "sendonly"
    assert world.state == "on_hold"
    phone.transfer(at(world, "1003"))
    world.run(1.5)
    assert phone.news[-1] == 200
    phone.hang_up()
    other.hang_up()
    world.run()
    assert world.cdr.transfer_destination == "1003"


def test_target_never_answers(build: Build) -> None:
    world = build(transfer={"ring_no_answer": 5})
    phone, other = parties(world, "agents")
    world.agents.manners["1002"] = Manner(ring=0.0, answer=None)
    phone.transfer(at(world))
    world.run(5.5)
    assert phone.news == [202, 100, 180, 408]
    assert world.state == "connected"
    assert world.sent("CANCEL")
    other.hang_up()


@pytest.mark.parametrize("who", WHO)
def test_the_other_party_leaves_meanwhile(world: World, who: str) -> None:
    phone, other = parties(world, who)
    phone.transfer(at(world))
    world.run(0.5)
    other.hang_up()
    world.run()
    assert phone.news == [202, 100, 180, 487]
    assert phone.heard[-1] == "Hungup"
    assert world.agents.line.heard[-1] in ("Cancelled", "Hungup")
    world.over()


@pytest.mark.parametrize("who", WHO)
def test_refer_crosses_bye(world: World, who: str) -> None:
    phone, other = parties(world, who)
    other.hang_up()
    world.run(0.012)  # our BYE to the phone is under way
    phone.transfer(at(world))
    world.run(1.0)
    assert 481 in phone.news
    world.over()


def test_without_subscription(world: World) -> None:
    """RFC 4488: no NOTIFY, and the 202 says so."""
    phone, other = parties(world, "agents")
    phone.transfer(at(world), subscribe=False)
    world.run(1.5)
    assert phone.news == [202]
    assert world.the("202 REFER").get("refer-sub") == "false"
    assert not world.sent("NOTIFY")
    assert world.state == "connected"
    world.run(2.2)
    assert phone.heard[-1] == "Hungup"
    other.hang_up()


def test_our_refer_without_subscription(build: Build) -> None:
    """The caller agrees to Refer-Sub: false; its BYE is the success."""
    world = build(transfer={"refer_news": False})
    caller = world.connected()
    world.transfer(label="rf1002")
    world.run()
    assert world.the("REFER").get("refer-sub") == "false"
    caller.accept_refer()
    world.run()
    assert not world.sent("NOTIFY", by="caller")
    caller.hang_up()
    world.run()
    assert world.cdr.call_result == "transferred"
    world.over()


def test_referred_by_goes_on(world: World) -> None:
    """RFC 3892 section 2.2."""
    phone, other = parties(world, "agents")
    phone.transfer(at(world), "Referred-By: <sip:ada@example.com>\r\n")
    world.run(1.5)
    assert world.agents.line.invite.get("referred-by") == "<sip:ada@example.com>"
    other.hang_up()


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("sip:1002@elsewhere.example", 403),
        ("sip:1002@{server};method=BYE", 403),
        ("sip:nobody@{server}", 404),
        ("mailto:ada@example.com", 416),
        ("sip:5000@{server}", 404),
        ("sip:1002@{server}?Replaces=x", 400),
        ("sip:1002@{server}?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2&Replaces=y", 400),
    ],
)
def test_refused(build: Build, uri: str, status: int) -> None:
    world = build(
        dialed_numbers=[
            {"pattern": "6>", "label": "1001"},
            {"pattern": "5>", "script": "standalone"},
        ]
    )
    phone, other = parties(world, "agents")
    phone.transfer(uri.format(server=world.address))
    world.run()
    assert phone.news == [status]
    assert world.state == "connected"
    other.hang_up()


@pytest.mark.parametrize("hosts", [["{}"], ["*"]])
def test_a_host_that_is_allowed(build: Build, hosts: list[str]) -> None:
    network = Network()
    elsewhere = Phone(network, "elsewhere", Manner())
    world = build(network, transfer={"hosts": [host.format(elsewhere.host) for host in hosts]})
    phone, other = parties(world, "agents")
    phone.transfer(f"sip:dave@{elsewhere.host}:5060")
    world.run()
    assert phone.news == [202, 100, 200]
    assert elsewhere.line.invite.uri == f"sip:dave@{elsewhere.host}:5060"
    other.hang_up()


def test_the_address_of_an_agent(world: World) -> None:
    """A phone may name where the routes lead to, instead of this server."""
    phone, other = parties(world, "agents")
    phone.transfer(f"{world.agents.uri.replace('sip:', 'sip:1002@')}")
    world.run(1.5)
    assert phone.news[-1] == 200
    other.hang_up()


def test_nobody_to_transfer(world: World) -> None:
    caller = world.standalone()
    caller.transfer(at(world))
    world.run()
    assert caller.news == [603]
    caller.hang_up()


def test_not_from_self_service(world: World) -> None:
    caller = world.self_service()
    caller.transfer(at(world))
    world.run()
    assert caller.news == [603]
    caller.hang_up()


def test_one_transfer_at_a_time(world: World) -> None:
    phone, other = parties(world, "agents")
    first = phone.transfer(at(world))
    second = phone.transfer(at(world, "1003"))
    world.run()
    assert 491 in phone.news
    assert (first.over, second.over) == (False, True)
    world.run(1.2)
    assert phone.news[-1] == 200
    other.hang_up()


def test_to_self_service(world: World) -> None:
    """A number with a script: the party that stays is treated by it."""
    phone, other = parties(world, "agents")
    phone.transfer(at(world, "3000"))
    world.run()
    assert world.state == "self_service"
    assert phone.news == [202, 100, 200]
    other.hang_up()


# Attended, with Replaces (RFC 3891).


class Consultation:
    """An agent with two calls: of the caller, and its own to somebody else."""

    def __init__(self, world: World) -> None:
        self.caller = world.connected()
        self.first = world.call
        self.agent = world.agents.line
        self.consult = world.agents.dial(at(world, "6001"), "1001")
        world.run(1.5)
        self.second = world.call
        self.target = world.agents.line
        assert self.second is not self.first
        assert self.consult.heard[-1] == "Answered"
        world.forget()

    def refer(self, world: World, uri: str = "") -> None:
        replaces = replaces_of(self.consult.session)
        self.agent.transfer(replaces.in_uri(uri or at(world, "6001")))


@pytest.fixture
def calls(world: World) -> Consultation:
    return Consultation(world)


def cdrs(world: World, *calls: str) -> list[tuple[str, str]]:
    found = {r.call_guid: (r.call_result, r.transfer_destination) for r in world.store.records}
    return [found[guid] for guid in calls]


def test_attended(world: World, calls: Consultation) -> None:
    calls.refer(world)
    world.run()
    assert calls.agent.news == [202, 100, 200]
    assert calls.first.state == "connected"
    assert calls.second.state == "ended"
    assert calls.consult.heard[-1] == "Hungup"
    assert origin_of(calls.caller.received)[0] == origin_of(calls.target.media.body())[0]
    assert f"m=audio {calls.target.media.port}".encode() in calls.caller.received
    assert f"m=audio {calls.caller.media.port}".encode() in calls.target.received
    calls.agent.hang_up()
    world.run()
    calls.caller.hang_up()
    world.run()
    assert calls.target.heard[-1] == "Hungup"
    assert cdrs(world, calls.first.guid, calls.second.guid) == [
        ("transferred", calls.target.session.user.invite.uri[4:8]),  # type: ignore[attr-defined]
        ("transferred", "5551234"),
    ]
    (record,) = [r for r in world.store.records if r.call_guid == calls.second.guid]
    assert len(record.legs) == 2
    assert any(e == "transferring" and calls.first.guid in d for _, e, d in calls.second.history)
    assert any(e == "referred" and calls.second.guid in d for _, e, d in calls.first.history)


def test_attended_by_the_caller(world: World) -> None:
    """The caller has two calls and joins their agents."""
    first_line = world.connected()
    first, stays = world.call, world.agents.line
    second_line = world.connected()
    second, target = world.call, world.agents.line
    first_line.transfer(replaces_of(second_line.session).in_uri(at(world)))
    world.run()
    assert first_line.news == [202, 100, 200]
    assert (first.state, second.state) == ("connected", "ended")
    assert f"m=audio {target.media.port}".encode() in stays.received
    assert f"m=audio {stays.media.port}".encode() in target.received
    world.run(2.5)
    assert first_line.heard[-1] == "Hungup"
    target.hang_up()
    world.run()
    assert stays.heard[-1] == "Hungup"
    assert {r.call_result for r in world.store.records} == {"transferred"}


@pytest.mark.parametrize("which", ["agent", "consult"])
def test_attended_with_bye_in_the_middle(world: World, calls: Consultation, which: str) -> None:
    world.agents.lines[-1].manner = Manner(reinvite=0)
    calls.refer(world)
    world.run()
    line: Line = getattr(calls, which)
    line.hang_up()
    world.run()
    calls.target.answer()
    world.run()
    assert calls.first.state == "connected"
    assert calls.second.state == "ended"
    assert f"m=audio {calls.target.media.port}".encode() in calls.caller.received
    calls.caller.hang_up()
    world.run(2.5)
    assert {r.call_result for r in world.store.records} == {"transferred"}


def test_the_target_refuses_to_be_moved(world: World, calls: Consultation) -> None:
    """Both calls are as before."""
    world.agents.lines[-1].manner = Manner(reinvite=488)
    calls.refer(world)
    world.run()
    assert calls.agent.news == [202, 100, 488]
    assert (calls.first.state, calls.second.state) == ("connected", "connected")
    calls.agent.hang_up()
    calls.consult.hang_up()
    world.run()
    assert calls.target.heard[-1] == "Hungup"
    assert {r.call_result for r in world.store.records} == {"completed"}


def test_the_party_here_refuses(world: World, calls: Consultation) -> None:
    calls.caller.manner = Manner(reinvite=488)
    calls.refer(world)
    world.run()
    assert calls.agent.news == [202, 100, 488]
    assert (calls.first.state, calls.second.state) == ("connected", "connected")
    assert f"m=audio {calls.consult.media.port}".encode() in calls.target.received
    calls.target.hang_up()
    calls.caller.hang_up()
    world.run()
    assert calls.consult.heard[-1] == calls.agent.heard[-1] == "Hungup"


@pytest.mark.parametrize("who", ["caller", "target"])
def test_a_party_leaves_while_they_are_joined(world: World, calls: Consultation, who: str) -> None:
    world.agents.lines[-1].manner = Manner(reinvite=0)
    calls.refer(world)
    world.run()
    getattr(calls, who).hang_up()
    world.run()
    assert calls.agent.news[-1] == 487
    if who == "target":
        assert (calls.first.state, calls.second.state) == ("connected", "ended")
        calls.caller.hang_up()
    else:
        assert calls.first.state == "ended"
        calls.target.answer()
        world.run()
        assert calls.second.state == "connected"
        calls.consult.hang_up()
    world.run()


def test_the_call_ends_before_the_target_agrees(world: World, calls: Consultation) -> None:
    """The target is the phone's again: its late 200 has an ACK, and it hears where to send."""
    calls.target.manner = Manner(reinvite=0)
    calls.refer(world)
    world.run()
    calls.caller.hang_up()
    world.run()
    calls.target.manner = Manner()
    calls.target.answer()
    world.run()
    assert calls.target.heard[-2:] == ["Reinvited", "Acknowledged"]
    assert calls.target.heard.count("Acknowledged") == 3
    assert f"m=audio {calls.consult.media.port}".encode() in calls.target.received
    calls.consult.hang_up()
    world.run()


def test_the_target_leaves_after_it_agreed(world: World, calls: Consultation) -> None:
    calls.caller.manner = Manner(reinvite=0)
    calls.refer(world)
    world.run()
    calls.target.drop()
    world.run()
    assert calls.second.state == "ended"
    (record,) = world.store.records
    assert record.cause == "Called Party Disconnected"
    calls.caller.answer()
    world.run()
    calls.caller.answer()
    world.run()
    assert calls.agent.news[-1] == 487
    assert calls.first.state == "connected"
    calls.caller.hang_up()
    world.run()


def test_the_phone_leaves_and_nothing_comes_of_it(world: World, calls: Consultation) -> None:
    world.agents.lines[-1].manner = Manner(reinvite=0)
    calls.refer(world)
    world.run()
    calls.consult.hang_up()
    calls.agent.hang_up()
    world.run()
    calls.target.refuse(488)
    world.run()
    assert (calls.first.state, calls.second.state) == ("ended", "ended")
    assert calls.caller.heard[-1] == calls.target.heard[-1] == "Hungup"


def test_terminate_in_the_middle(world: World, calls: Consultation) -> None:
    world.agents.lines[-1].manner = Manner(reinvite=0)
    calls.refer(world)
    world.run()
    world.wait_for(world.server.terminate(calls.second.guid, "requested"))
    calls.target.answer()
    world.run()
    assert calls.first.state == "connected"
    calls.caller.hang_up()
    world.run(2.5)


def test_a_script_whose_call_ends_in_the_middle(world: World) -> None:
    """A gateway joins its two callers; one call is terminated meanwhile, and does nothing more."""
    world.established("7000")
    first, one = world.call, world.vxml.line
    stays = world.established("7000")
    second, other = world.call, world.vxml.line
    stays.manner = Manner(reinvite=0)
    one.transfer(replaces_of(other.session).in_uri(at(world, "7000")))
    world.run()
    assert (first.state, second.state) == ("transferring", "transferring")
    world.terminate()
    world.run(5.0)
    assert second.history[-1][1] == "ended"
    stays.answer()
    world.run()
    assert first.state == "connected"
    stays.hang_up()
    world.run()
    world.over()


def test_replaces_of_itself(world: World, calls: Consultation) -> None:
    calls.agent.transfer(replaces_of(calls.agent.session).in_uri(at(world)))
    world.run()
    assert calls.agent.news == [603]
    assert calls.first.state == "connected"
    calls.caller.hang_up()
    calls.consult.hang_up()


def test_early_only_of_an_answered_call(world: World, calls: Consultation) -> None:
    replaces = replaces_of(calls.consult.session, early_only=True)
    calls.agent.transfer(replaces.in_uri(at(world)))
    world.run()
    assert calls.agent.news == [486]
    calls.caller.hang_up()
    calls.consult.hang_up()


def test_replaces_of_a_dialog_elsewhere(world: World) -> None:
    """A consultation that did not pass through us: the target is told whom to replace."""
    world.agents.party.endpoint.support("replaces")
    phone, other = parties(world, "agents")
    uri = f"{at(world)}?Replaces=abc%40elsewhere%3Bto-tag%3D7%3Bfrom-tag%3D8&Subject=dropped"
    phone.transfer(uri)
    world.run(1.5)
    invite = world.agents.line.invite
    assert invite.get("replaces") == "abc@elsewhere;to-tag=7;from-tag=8"
    assert invite.get("require") == "replaces"
    assert invite.get("subject") is None
    other.hang_up()
