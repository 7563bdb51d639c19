"""REST terminate in every state of a call."""

import asyncio
from collections.abc import Callable

import pytest

from simulator.errors import CallNotFound
from simulator.views import CallFilter, TerminateReason
from tests.simulator.flows.world import World

REASONS: list[tuple[TerminateReason, str, str]] = [
    ("requested", "Q.850;cause=16", "completed"),
    ("administrative", "Q.850;cause=31", "completed"),
    ("timeout", "Q.850;cause=102", "error"),
    ("error", "Q.850;cause=41", "error"),
]
STATES: dict[str, Callable[[World], object]] = {
    "standalone": World.standalone,
    "connected": World.connected,
    "self_service": World.self_service,
    "queued": World.queued,
    "on_hold": World.on_hold,
}


@pytest.mark.parametrize(("reason", "header", "result"), REASONS)
def test_a_ringing_call(world: World, reason: TerminateReason, header: str, result: str) -> None:
    world.agents.behaves(answer=None)
    caller = world.dial("6000")
    world.run()
    world.forget()
    world.terminate(reason)
    world.run()
    assert world.flow == [
        "server > caller 480 INVITE",
        "server > agents CANCEL",
        "caller > server ACK",
        "agents > server 200 CANCEL",
        "agents > server 487 INVITE",
        "server > agents ACK",
    ]
    assert caller.responses[-1].get("reason") == header
    assert world.the("CANCEL").get("reason") == header
    expected = "abandoned" if result == "completed" else result
    assert world.cdr.call_result == expected
    assert [leg.sip_response_code for leg in world.cdr.legs] == [480, 487]
    world.over()


@pytest.mark.parametrize(("reason", "header", "result"), REASONS)
@pytest.mark.parametrize("state", STATES)
def test_an_answered_call(
    world: World, state: str, reason: TerminateReason, header: str, result: str
) -> None:
    STATES[state](world)
    world.terminate(reason)
    world.run()
    byes = world.sent("BYE")
    assert len(byes) == (1 if state == "standalone" else 2)
    assert {bye.get("reason") for bye in byes} == {header}
    assert world.cdr.call_result == result
    assert f"terminate {reason}" in world.history
    assert world.history[-1] == f"ended terminated: {reason}"
    world.over()


def test_it_waits_for_the_record_and_not_for_the_far_end(world: World) -> None:
    world.connected()
    world.store.slow = True
    world.caller.behaves(bye=False)

    async def main() -> None:
        ending = asyncio.create_task(world.server.terminate(world.call.guid, "requested"))
        await asyncio.sleep(0)
        assert world.state == "ended"
        assert not ending.done()
        world.store.catch_up()
        await ending

    asyncio.run(main())
    assert not world.sent("200 BYE", "caller")


def test_once_only(world: World) -> None:
    world.connected()
    world.terminate()
    with pytest.raises(CallNotFound):
        world.terminate()


def test_byes_cross(world: World) -> None:
    caller = world.connected()
    caller.hang_up()
    world.terminate()
    world.run()
    assert caller.heard[-1] == "Closed"
    assert len(world.store.records) == 1
    world.over()


def test_while_the_callers_ack_is_missing(world: World) -> None:
    """BYE waits for the ACK (RFC 3261 section 15), the answer to terminate does not."""
    world.caller.behaves(acknowledge=False)
    caller = world.dial("3000")
    world.run()
    world.terminate()
    world.run()
    assert world.sent("BYE", to="vxml")
    assert not world.sent("BYE", to="caller")
    caller.acknowledge()
    world.run()
    assert world.sent("BYE", to="caller")
    world.over()


def test_while_a_requery_is_under_way(world: World) -> None:
    world.agents.behaves(refuse=486, answer=0.0)
    world.vxml.behaves(answer=1.0)
    world.dial("7000")
    world.run(6.5)
    assert world.history[-2].startswith("requery")
    world.terminate()
    world.run()
    assert world.vxml.line.heard[-1] == "Cancelled"
    world.over()


def test_many_by_a_filter(world: World) -> None:
    """More than end in one turn; the others stay."""
    for number in [*["3000"] * 60, *["5000"] * 3]:
        world.dial(number)
        world.run(0.1)
    server = world.server
    ended = world.wait_for(server.terminate_all(CallFilter(called_number="3000"), "requested"))
    assert ended == 60
    assert [call.called for call in server.calls.values()] == ["5000"] * 3
    assert len(world.store.records) == 60
    assert world.wait_for(server.terminate_all(CallFilter("queued"), "requested")) == 0
    assert world.wait_for(server.terminate_all(CallFilter(), "administrative")) == 3
    assert not server.calls
