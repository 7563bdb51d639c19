import asyncio

import pytest

from simulator.lab import Extension, Lab
from sip.message import Response
from tests.simulator.lab.helpers import connected, ended, run


def test_an_agent_rings_and_answers() -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        assert call.received == {"180": 1, "200": 1}
        assert agent.received == {"INVITE": 1, "ACK": 1}
        assert agent.number == "1001"

    run(scenario)


def test_the_agent_hangs_up() -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        agent.hang_up()
        ending = await call.ended()
        assert (ending.status, ending.by) == (200, "peer")
        assert ending.reason == "Q.850;cause=16"
        assert (await agent.ended()).by == "us"
        assert lab.agents.calls == lab.caller.calls == []

    run(scenario)


@pytest.mark.parametrize("own", [True, False])
def test_an_agent_hangs_up_after_talking(own: bool) -> None:
    async def scenario(lab: Lab) -> None:
        lab.agents.talk = None if own else 0.02
        lab.agents.extension("1001").talk = 0.02 if own else None
        call = await lab.caller.call("1001")
        assert (await call.ended()).by == "peer"
        assert call.established

    run(scenario)


@pytest.mark.parametrize(
    ("number", "status", "header"),
    [
        ("9404", 404, None),
        ("9486", 486, None),
        ("9503", 503, None),
        ("9603", 603, None),
        ("9302", 302, "contact"),
        ("9401", 401, "www-authenticate"),
        ("9405", 405, "allow"),
        ("9407", 407, "proxy-authenticate"),
        ("9420", 420, "unsupported"),
    ],
)
def test_a_number_that_refuses(number: str, status: int, header: str | None) -> None:
    async def scenario(lab: Lab) -> None:
        call = await lab.caller.call(number)
        ending = await call.ended()
        assert (ending.status, ending.by) == (status, "peer")
        assert not await call.answered()
        refusal = call.messages[-1]
        assert isinstance(refusal, Response)
        assert refusal.status == status
        assert header is None or refusal.get(header)
        assert ended(lab.agents, call).ending is not None

    run(scenario)


def test_a_redirection_names_its_target() -> None:
    async def scenario(lab: Lab) -> None:
        lab.agents.redirect_to = "sip:2000@192.0.2.9"
        call = await lab.caller.call("9302")
        await call.ended()
        contact = call.messages[-1].contact
        assert contact is not None
        assert contact.uri == "sip:2000@192.0.2.9"

    run(scenario)


@pytest.mark.parametrize(("number", "seconds"), [("800", 0), ("801", 1)])
def test_a_number_that_rings_for_so_long(number: str, seconds: int) -> None:
    async def scenario(lab: Lab) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        call = await lab.caller.call(number)
        assert await call.answered()
        assert seconds <= loop.time() - started < seconds + 0.5
        assert call.received["180"] == 1

    run(scenario)


def test_a_busy_extension() -> None:
    async def scenario(lab: Lab) -> None:
        lab.agents.extension("1001").busy = True
        busy = await lab.caller.call("1001")
        free = await lab.caller.call("1002")
        assert (await busy.ended()).status == 486
        assert await free.answered()

    run(scenario)


def test_an_agent_who_never_answers_and_a_caller_who_gives_up() -> None:
    async def scenario(lab: Lab) -> None:
        lab.agents.extension("1001").answers = False
        call = await lab.caller.call("1001")
        await call.until(lambda: call.received["180"])
        call.cancel()
        ending = await call.ended()
        assert (ending.status, ending.by) == (487, "us")
        other = ended(lab.agents, call)
        assert other.ending is not None
        assert (other.ending.status, other.ending.by) == (487, "peer")
        assert other.ending.reason == "Q.850;cause=16"
        assert other.received["CANCEL"] == 1

    run(scenario)


def test_a_caller_who_gives_up_before_anything_was_heard() -> None:
    async def scenario(lab: Lab) -> None:
        lab.agents.answer_after = 1.0
        call = await lab.caller.call("1001")
        call.cancel()
        assert (await call.ended()).status == 487
        assert lab.agents.calls == []

    run(scenario)


def test_an_agent_who_will_not_take_the_ringing_call() -> None:
    async def scenario(lab: Lab) -> None:
        lab.agents.extension("1001").answers = False
        call = await lab.caller.call("1001")
        await lab.agents.until(lambda: lab.agents.calls)
        lab.agents.calls[0].hang_up()
        assert (await call.ended()).status == 480

    run(scenario)


def test_how_long_a_phone_rings() -> None:
    """Its own time comes before that of its number, and this before that of all."""

    async def scenario(lab: Lab) -> None:
        agents = lab.agents
        assert [agents.rings(number) for number in ("1001", "859")] == [0.01, 59.0]
        for number in ("1001", "859"):
            agents.extension(number).answer_after = 0.3
            began = asyncio.get_running_loop().time()
            assert await (await lab.caller.call(number)).answered()
            assert asyncio.get_running_loop().time() - began >= 0.3
        assert agents.rings("1002") == 0.01

    run(scenario)


def test_skill_groups() -> None:
    async def scenario(lab: Lab) -> None:
        lab.agents.extensions["2001"] = Extension("2001", ("sales", "support"))
        assert [e.number for e in lab.agents.skill_group("sales")] == ["2001"]
        support = [e.number for e in lab.agents.skill_group("support")]
        assert support == ["1001", "1002", "1003", "2001"]
        assert lab.agents.skill_group("nobody") == []

    run(scenario)


def test_an_agent_refuses_refer() -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        assert await call.refer(lab.vxml.uri) == 603
        assert agent.received["REFER"] == 1
        assert agent.ending is None

    run(scenario)
