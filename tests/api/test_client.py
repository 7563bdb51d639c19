"""The client with a server: what it does to calls, and what it gives back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from api.client import CallsimClient, CallsimError
from api.event_models import CallEnded, CallStateChanged
from tests.api.support import (
    GUID,
    RINGING_GUID,
    USER,
    FakeCallServer,
    FakeReports,
    call_view,
    run,
    serving,
)
from tests.api.test_reporting import START, record
from tests.simulator.flows.phones import Manner
from tests.simulator.flows.world import World
from tests.support.network import Network
from tests.support.records import RecordsInMemory


@asynccontextmanager
async def client_of(server: FakeCallServer) -> AsyncIterator[CallsimClient]:
    """A client of an API on loopback over `server`."""
    async with (
        serving(server) as other,
        CallsimClient(str(other.address), USER.name, USER.password) as client,
    ):
        yield client


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until something is so."""
    for _ in range(20_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it does not become so")


def guid_of(number: int) -> str:
    return f"{number:032X}"


@run
async def test_all_calls_of_all_pages() -> None:
    fake = FakeCallServer(calls={guid_of(n): call_view(guid_of(n)) for n in range(25)})
    async with client_of(fake) as client:
        found = [call async for call in client.calls(state="connected", page=10)]
    assert [call.call_guid for call in found] == [guid_of(n) for n in range(25)]
    assert (found[0].state, found[0].start_time.tzinfo is not None) == ("connected", True)
    assert len([one for one in fake.asked if one[0] == "active_calls"]) == 3


@run
async def test_a_call_and_its_variables() -> None:
    fake = FakeCallServer()
    async with client_of(fake) as client:
        call = await client.call(GUID)
        assert (call.call_guid, call.call_history[0].event) == (GUID, "offered")
        variables = await client.set_variables(
            GUID, ecc={"user.a": "1"}, call={"callVariable1": "x"}
        )
        assert variables == await client.variables(GUID)
        assert (variables.ecc_variables["user.a"], variables.call_variables["callVariable1"]) == (
            "1",
            "x",
        )


@run
async def test_commands() -> None:
    fake = FakeCallServer()
    async with client_of(fake) as client:
        made = await client.originate("1005", "6000")
        moved = await client.transfer(
            GUID, "1002", transfer_type="consultation", ecc={"user.a": "1"}
        )
        ended = await client.terminate(GUID, "timeout")
        assert await client.reset() == 2
    assert [(one.operation, one.status) for one in (made, moved, ended)] == [
        ("originate", "pending"), ("transfer", "pending"), ("terminate", "success")
    ]  # fmt: skip
    assert fake.asked[1][2].ecc_variables == {"user.a": "1"}


@run
async def test_an_error_says_what_is_wrong() -> None:
    async with client_of(FakeCallServer()) as client:
        with pytest.raises(CallsimError) as caught:
            await client.call("0" * 32)
        assert (caught.value.status, caught.value.code) == (404, "CALL_NOT_FOUND")
        with pytest.raises(CallsimError) as caught:
            await client.transfer(RINGING_GUID, "1002")
        assert (caught.value.status, caught.value.code) == (409, "CALL_STATE")
        assert "ringing" in caught.value.details


def served(world: World) -> FakeCallServer:
    """A real call server in memory, for the API."""
    return cast(FakeCallServer, world.server)


@pytest.mark.parametrize(
    ("target", "state", "code"), [("1002", "completed", 200), ("9486", "failed", 486)]
)
@run
async def test_the_outcome_of_a_transfer(target: str, state: str, code: int) -> None:
    world = World(Network())
    world.connected()
    async with client_of(served(world)) as client:
        waiting = asyncio.create_task(client.transfer_and_wait(world.call.guid, target))
        await until(lambda: world.state == "transferring")
        world.run(3.0)
        outcome = await waiting
    assert (outcome.state, outcome.destination, outcome.sip_code) == (state, target, code)


@run
async def test_wait_for_a_state() -> None:
    world = World(Network())
    line = world.queued()
    guid = world.call.guid
    async with client_of(served(world)) as client:
        assert await client.wait_for(guid, "queued", "connected") == "queued"
        waiting = [
            asyncio.create_task(client.wait_for(guid, state)) for state in ("connected", "on_hold")
        ]
        await until(lambda: len(world.server.events.readers) == 2)
        world.run(5.0)
        assert await waiting[0] == "connected"
        line.hang_up()
        world.run()
        assert await waiting[1] == "ended"
        assert await client.wait_for(guid, "connected") == "ended", "it is over"


@run
async def test_events_go_on_where_the_connection_broke() -> None:
    world = World(Network())
    fake = served(world)
    async with client_of(fake) as client:
        seen: list[Any] = []

        async def watch() -> None:
            async for event in client.watch(types=["call.state_changed", "call.ended"]):
                seen.append(event)
                if isinstance(event, CallEnded):
                    return

        watching = asyncio.create_task(watch())
        await until(lambda: world.server.events.readers)
        line = world.connected()
        await until(lambda: seen)
        world.server.events.close()  # the stream ends; the client comes back
        line.hang_up()
        world.run()
        await watching
    assert [type(event) for event in seen] == [CallStateChanged, CallEnded]
    assert seen[0].cursor < seen[1].cursor
    assert seen[1].call_result == "completed"


@run
async def test_a_target_that_rings_for_long() -> None:
    """The wait for the outcome is as long."""
    world = World(Network())
    world.connected()
    world.agents.manners["1002"] = Manner(ring=0.0, answer=8.0)
    async with client_of(served(world)) as client:
        waiting = asyncio.create_task(client.transfer_and_wait(world.call.guid, "1002"))
        await until(lambda: world.state == "transferring")
        world.run(4.0)
        assert not waiting.done()
        world.run(6.0)
        assert (await waiting).state == "completed"


@run
async def test_a_consultation_is_completed_once_both_talk() -> None:
    world = World(Network(), transfer={"consultation": "manual", "replaces": False})
    world.connected()
    guid = world.call.guid
    async with client_of(served(world)) as client:
        asked = asyncio.create_task(client.consult(guid, "1002"))
        await until(lambda: world.state == "transferring")
        world.run(0.5)
        assert not asked.done(), "it rings"
        world.run(1.0)
        assert (await asked).state == "pending"
        await client.complete_transfer(guid)
        waiting = asyncio.create_task(client.outcome(guid))
        await until(lambda: world.server.events.readers)
        world.run(1.0)
        assert (await waiting).state == "completed"


@run
async def test_a_consultation_that_nobody_answers_has_failed() -> None:
    world = World(Network(), transfer={"consultation": "manual"})
    world.connected()
    async with client_of(served(world)) as client:
        asked = asyncio.create_task(client.consult(world.call.guid, "9486"))
        await until(lambda: world.state == "transferring")
        world.run(1.0)
        outcome = await asked
    assert (outcome.state, outcome.sip_code) == ("failed", 486)


@run
async def test_variables_that_somebody_else_has_changed() -> None:
    async with client_of(FakeCallServer()) as client:
        _, tag = await client.tagged_variables(GUID)
        await client.set_variables(GUID, call={"callVariable1": "a"}, if_match=tag)
        with pytest.raises(CallsimError) as caught:
            await client.set_variables(GUID, call={"callVariable1": "b"}, if_match=tag)
        assert caught.value.status == 412


@run
async def test_it_may_be_closed_and_goes_on() -> None:
    async with client_of(FakeCallServer()) as client:
        assert (await client.call(GUID)).state == "connected"
        await client.close()
        assert (await client.request("GET", "/cvp/rest/health"))["status"] == "healthy"


@run
async def test_patterns_and_webhooks_come_and_go() -> None:
    async with client_of(FakeCallServer()) as client:
        added = await client.add_pattern("4XXX", application_name="support")
        assert added in await client.patterns()
        await client.remove_pattern(added.pattern_id)
        assert added not in await client.patterns()
        await client.remove_pattern("7>")
        assert "7>" not in [one.pattern for one in await client.patterns()]
        hook = await client.add_webhook("http://127.0.0.1:9/", ["call.ended"])
        assert hook.secret.startswith("whsec_")
        await client.remove_webhook(hook.webhook_id)
        assert (await client.request("GET", "/sim/v1/webhooks")) == {"webhooks": []}


@run
async def test_records_of_all_pages() -> None:
    stored = [record(guid_of(n), START + n * 1000) for n in range(5)]
    fake = FakeCallServer(reports=FakeReports(RecordsInMemory(stored)))
    async with client_of(fake) as client:
        found = [one.call_guid async for one in client.records(page=2)]
        since = datetime.fromtimestamp(START / 1000 + 3, UTC)
        late = [one.call_guid async for one in client.records(start=since)]
    assert found == [guid_of(n) for n in range(5)]
    assert late == found[3:]


@run
async def test_nothing_is_missed_from_a_cursor_on() -> None:
    world = World(Network())
    async with client_of(served(world)) as client:
        now = await client.cursor()
        world.connected()
        async with aclosing(client.watch(cursor=now)) as events:  # type: ignore[type-var]
            first = await anext(events)
        assert (first.event_type, first.cursor) == ("call.started", now + 1)
        assert await client.cursor() > now
