"""A call that is over: nothing of it waits for the garbage collector, and nothing is lost."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from simulator.call import Call
from simulator.connection import Connection
from simulator.leg import Leg
from sip.dialog import Dialog
from sip.message import Message
from sip.transaction.machine import Transaction
from sip.usage.session import Session
from tests.simulator.flows.world import Line, World

OF_A_CALL = (Call, Connection, Dialog, Leg, Message, Session, Transaction)


@contextmanager
def unreachable() -> Iterator[Counter[str]]:
    """Counts the objects of calls that only a garbage collection would free."""
    found: Counter[str] = Counter()
    gc.freeze()  # what was there before is not looked at
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found.update(type(one).__name__ for one in gc.garbage if isinstance(one, OF_A_CALL))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


def hung_up(world: World, line: Line) -> None:
    line.hang_up()


def hung_up_there(world: World, line: Line) -> None:
    world.agents.line.hang_up()


def transferred(world: World, line: Line) -> None:
    world.transfer("6001")
    world.run(2.0)
    assert world.call.transfer_destination == "6001"
    line.hang_up()


def held_and_hung_up(world: World, line: Line) -> None:
    line.offer("sendonly")
    world.run()
    assert world.state == "on_hold"
    line.hang_up()


def timed(world: World, line: Line) -> None:
    line.hang_up()
    world.run()
    line = world.dial("6000", lines="Supported: timer\r\nSession-Expires: 1800\r\n")
    world.run(1.5)
    assert world.call.caller.session.timer is not None
    line.hang_up()


def terminated(world: World, line: Line) -> None:
    world.terminate()


@pytest.mark.parametrize(
    ("number", "end"),
    [
        ("5000", hung_up),
        ("5000", terminated),
        ("6000", hung_up),
        ("6000", hung_up_there),
        ("6000", terminated),
        ("6000", held_and_hung_up),
        ("6000", transferred),
        ("6000", timed),
        ("3000", hung_up),
        ("7000", hung_up),
    ],
)
def test_nothing_waits_for_the_garbage_collector(
    world: World, number: str, end: Callable[[World, Line], None]
) -> None:
    with unreachable() as found:
        for _ in range(3):
            end(world, world.established(number))
            world.run(40.0)  # 64*T1, and what comes after it
            assert world.state == "ended"
            # What the test itself has kept.
            world.seen.clear()
            world.store.records.clear()
            world.forget()
            for phone in (world.caller, world.agents, world.vxml):
                for line in phone.lines:
                    line.session.user = None
                phone.lines.clear()
                phone.party.events.clear()
    assert not world.server.calls
    assert found == {}


def test_both_hang_up_at_once(world: World) -> None:
    """The BYE of each side is answered, also the one that is told when the call is over."""
    caller = world.connected()
    caller.hang_up()
    world.agents.line.hang_up()
    world.run()
    assert world.sent("200 BYE", to="caller")
    assert world.sent("200 BYE", to="agents")
    world.over()


def test_a_request_under_way_when_the_call_ends_is_answered(world: World) -> None:
    caller = world.connected()
    world.agents.vanish()
    caller.request("INFO", b"Signal=1\r\n", "application/dtmf-relay")
    world.run()
    world.terminate()
    world.run(40.0)
    assert world.sent("408 INFO", to="caller")
    world.over()


def test_a_held_call_keeps_no_text_of_its_invites(world: World) -> None:
    """What its transactions absorb for 64*T1 they know by their keys (RFC 6026 section 7)."""
    world.connected()
    endpoint = world.party.endpoint
    assert endpoint.servers
    assert endpoint.clients
    assert [tx.request.head for tx in endpoint.servers.values() if tx.request.head] == []
    assert [tx.data for tx in endpoint.clients.values() if tx.data or tx.request.head] == []
    world.terminate()
