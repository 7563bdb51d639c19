import re

import pytest

from simulator.lab import Lab
from simulator.lab.caller import guid_words
from sip.errors import InvalidValue
from sip.message import Request
from tests.simulator.lab.helpers import FAST, connected, ended, run


def test_the_caller_hangs_up() -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        call.hang_up()
        assert (await call.ended()).by == "us"
        ending = await agent.ended()
        assert (ending.status, ending.by) == (200, "peer")
        assert ending.reason == "Q.850;cause=16"
        assert lab.agents.calls == lab.caller.calls == []

    run(scenario)


def test_guid_words() -> None:
    guid = "F13437331000013A5FCA33210A4244A9"
    assert guid_words(guid) == "4046731059-0268435770-1607086881-0172115113"


def test_the_headers_of_a_gateway() -> None:
    async def scenario(lab: Lab) -> None:
        call = await lab.caller.call("1001", calling_number="5551234", name="Ada")
        assert await call.answered()
        other = lab.agents.find(call.call_id)
        assert other is not None
        invite = other.messages[0]
        assert isinstance(invite, Request)
        assert invite.get("cisco-guid") == guid_words(call.guid)
        assert re.fullmatch(r"[0-9A-F]{32}", call.guid)
        rpid = f'"Ada" <sip:5551234@127.0.0.1:{lab.caller.port}>;party=calling;screen=yes'
        assert (invite.get("remote-party-id") or "").startswith(rpid)
        assert invite.from_.display_name == "Ada"
        assert (invite.get("user-agent") or "").startswith("Callsim-Lab")

    run(scenario)


def test_headers_are_added_replaced_and_removed() -> None:
    async def scenario(lab: Lab) -> None:
        headers = {"X-Site": "Lyon", "cisco-guid": "1-2-3-4", "Remote-Party-ID": None}
        call = await lab.caller.call("1001", headers=headers)
        assert await call.answered()
        other = lab.agents.find(call.call_id)
        assert other is not None
        invite = other.messages[0]
        assert invite.get("x-site") == "Lyon"
        assert invite.all("cisco-guid") == ["1-2-3-4"]
        assert invite.get("remote-party-id") is None

    run(scenario)


@pytest.mark.parametrize(
    "headers", [{"X-Site": "a\r\nEvil: b"}, {"X Site": "a"}, {"X-Site\r\nEvil": "a"}]
)
def test_a_header_cannot_break_out(headers: dict[str, str | None]) -> None:
    async def scenario(lab: Lab) -> None:
        with pytest.raises(InvalidValue):
            await lab.caller.call("1001", headers=headers)
        assert lab.caller.calls == []

    run(scenario)


def test_a_number_is_escaped() -> None:
    async def scenario(lab: Lab) -> None:
        number = "1 ä>;x\r\n"
        call = await lab.caller.call(number, calling_number="a b\r\nEvil: x")
        assert await call.answered()
        other = lab.agents.find(call.call_id)
        assert other is not None
        assert other.messages[0].get("evil") is None
        assert other.number == "1 ä>;x%0D%0A"

    run(scenario)


def test_without_a_server_there_is_no_call() -> None:
    async def scenario(lab: Lab) -> None:
        lab.caller.server = ""
        with pytest.raises(InvalidValue):
            await lab.caller.call("1001")

    run(scenario)


def test_a_call_that_comes_in_is_answered() -> None:
    async def scenario(lab: Lab) -> None:
        async with Lab(timers=FAST) as elsewhere:
            call, other = await connected(elsewhere.caller, lab.caller, "4085550100")
            assert call.received == {"200": 1}
            call.hang_up()
            await other.ended()

    run(scenario)


def test_refer_is_followed() -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        assert await agent.refer(f"sip:7001@127.0.0.1:{lab.vxml.port}") == 200
        assert (await agent.ended()).by == "peer"
        assert (await call.ended()).by == "us"
        assert call.received["REFER"] == 1
        transfer = call.transfer
        assert transfer is not None
        assert transfer.established
        other = lab.vxml.find(transfer.call_id)
        assert other is not None
        assert other.messages[0].get("cisco-guid") == guid_words(call.guid)
        assert other.number == "7001"
        assert lab.caller.calls == [transfer]

    run(scenario)


def test_refer_is_followed_and_the_bye_left_to_the_referrer() -> None:
    async def scenario(lab: Lab) -> None:
        lab.caller.refer_policy = "stay"
        call, agent = await connected(lab.caller, lab.agents)
        assert await agent.refer(lab.vxml.uri) == 200
        assert call.ending is None
        agent.hang_up()
        assert (await call.ended()).by == "peer"
        assert call.transfer is not None
        assert call.transfer.ending is None

    run(scenario)


def test_survivability_reports_success_whatever_becomes_of_it() -> None:
    async def scenario(lab: Lab) -> None:
        lab.caller.refer_policy = "survivability"
        call, agent = await connected(lab.caller, lab.agents)
        assert await agent.refer(f"sip:9486@127.0.0.1:{lab.agents.port}") == 200
        assert call.transfer is not None
        assert (await call.transfer.ended()).status == 486
        assert call.ending is None
        agent.hang_up()
        await call.ended()

    run(scenario)


@pytest.mark.parametrize(("policy", "status"), [("reject", 603), ("reject", 403), ("fail", 486)])
def test_refer_is_refused_or_reported_as_failed(policy: str, status: int) -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        call.refer_policy = "reject" if policy == "reject" else "fail"
        call.refer_status = status
        assert await agent.refer(lab.vxml.uri) == status
        assert call.transfer is None
        assert call.ending is None
        assert agent.ending is None

    run(scenario)


def test_the_target_of_refer_is_busy() -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        assert await agent.refer(f"sip:9486@127.0.0.1:{lab.agents.port}") == 486
        assert call.ending is None
        assert agent.ending is None
        call.hang_up()
        await agent.ended()

    run(scenario)


@pytest.mark.parametrize(
    ("target", "status"), [("tel:+123", 416), ("sip:a@127.0.0.1;transport=tcp", 503)]
)
def test_the_target_of_refer_cannot_be_called(target: str, status: int) -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        assert await agent.refer(target) == status
        assert call.ending is None

    run(scenario)


def test_the_caller_hangs_up_while_the_target_rings() -> None:
    async def scenario(lab: Lab) -> None:
        lab.agents.extension("1002").answers = False
        call, agent = await connected(lab.caller, lab.agents)
        agent.session.refer(lab.agents.stack.now(), f"sip:1002@127.0.0.1:{lab.agents.port}")
        lab.agents.stack.pump()
        await call.until(lambda: call.transfer)
        assert call.transfer is not None
        call.hang_up()
        await call.ended()
        assert (await call.transfer.ended()).status == 487
        assert ended(lab.agents, call.transfer).received["CANCEL"] == 1

    run(scenario)


def test_the_referrer_hangs_up_after_the_202() -> None:
    async def scenario(lab: Lab) -> None:
        lab.agents.extension("1002").answer_after = 0.05
        call, agent = await connected(lab.caller, lab.agents)
        agent.session.refer(lab.agents.stack.now(), f"sip:1002@127.0.0.1:{lab.agents.port}")
        lab.agents.stack.pump()
        await call.until(lambda: call.transfer)
        assert call.transfer is not None
        agent.hang_up()
        await call.ended()
        assert await call.transfer.answered()
        assert lab.caller.calls == [call.transfer]

    run(scenario)
