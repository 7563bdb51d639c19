"""The index of calls: it says what a walk over all of them would say, without the walk."""

from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from simulator.call import Call
from simulator.call_index import CALL_STATES, CallIndex
from simulator.queries import Queries
from simulator.views import CallFilter, SessionView
from sip.usage.session import Session

NUMBERS = ("5000", "6000", "7000")
TOUCHED: set[str] = set()


class FakeCall:
    """What the index and the lists read of a call; every reading is noted."""

    def __init__(self, number: int, called: str, started: float, state: str = "ringing") -> None:
        self.guid = f"{number:032X}"
        self.serial = number + 1
        self.legs: list[Any] = []
        self.called = called
        self.calling = "1001"
        self.application = ""
        self.started = started
        self.epoch = 0.0
        self.state = state

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        TOUCHED.add(super().__getattribute__("guid"))
        return value


class Server(Queries):
    """A call server that knows only how to list calls."""

    def __init__(self) -> None:
        self.calls = {}
        self.index = CallIndex()
        self.stack = cast(Any, SimpleNamespace(now=lambda: 1e6))

    def offered(self, number: int, called: str, started: float) -> FakeCall:
        fake = FakeCall(number, called, started)
        call = cast(Call, fake)
        self.calls[fake.guid] = call
        self.index.add(call)
        return fake

    def enter(self, fake: FakeCall, state: str) -> None:
        self.index.move(cast(Call, fake), state)
        fake.state = state
        if state == "ended":
            del self.calls[fake.guid]

    def listed(self, state: str | None, called: str | None, limit: int) -> tuple[int, list[str]]:
        page = self.active_calls(CallFilter(state, called), limit)
        return page.total, [view.guid for view in page.calls]

    def walked(self, state: str | None, called: str | None, limit: int) -> tuple[int, list[str]]:
        found = [
            call.guid
            for call in self.calls.values()
            if state in (None, call.state) and called in (None, call.called)
        ]
        return len(found), found[:limit]


@pytest.mark.parametrize("seed", range(5))
def test_it_says_what_a_walk_over_all_calls_says(seed: int) -> None:
    random = Random(seed)
    server = Server()
    live: list[FakeCall] = []
    for step in range(3000):
        if random.random() < 0.3 or not live:
            live.append(server.offered(step, random.choice(NUMBERS), float(step)))
        else:
            call = random.choice(live)
            state = random.choice((*CALL_STATES[1:], "ended"))
            server.enter(call, state)
            if state == "ended":
                live.remove(call)
        if step % 50 == 0:
            for chosen in (None, *CALL_STATES):
                for called in (None, *NUMBERS, "nobody"):
                    limit = random.choice((1, 3, 1000))
                    wanted = server.walked(chosen, called, limit)
                    assert server.listed(chosen, called, limit) == wanted
    for call in live:
        server.enter(call, "ended")
    for chosen in (None, *CALL_STATES):
        assert server.listed(chosen, None, 10) == server.listed(chosen, "5000", 10) == (0, [])


@pytest.mark.parametrize("state", [None, "connected"])
@pytest.mark.parametrize("calling", [None, "1001"])
def test_pages_follow_one_another(state: str | None, calling: str | None) -> None:
    """Each call once, in order, though others come, go and change between the pages."""
    server = Server()
    calls = [server.offered(n, "5000", 1.0) for n in range(50)]  # all in one moment
    for call in reversed(calls):
        server.enter(call, "connected")
    wanted = CallFilter(state, calling_number=calling)
    seen: list[str] = []
    cursor: int | None = 0
    while cursor is not None:
        page = server.active_calls(wanted, 7, cursor)
        seen += [view.guid for view in page.calls]
        cursor = page.cursor
        if len(seen) == 14:
            server.enter(calls[3], "ended")  # it was told
            server.enter(calls[13], "ended")  # the last one of the page
            server.enter(server.offered(50, "5000", 1.0), "connected")
    assert seen == [f"{n:032X}" for n in range(51)]


def test_filters() -> None:
    server = Server()
    calls = [server.offered(n, "5000", float(n)) for n in range(4)]
    calls[1].calling = calls[2].calling = "1002"
    calls[2].application = calls[3].application = "bank"
    dialog = SimpleNamespace(local_tag="tag-1", call_id="abc@host")
    session = SimpleNamespace(dialog=dialog)
    calls[3].legs = [SimpleNamespace(number="1007", ended=0.0, session=session)]
    calls[0].legs = [SimpleNamespace(number="1007", ended=9.0, session=session)]

    def matching(**wanted: str) -> list[int]:
        found = server.matching(CallFilter(**wanted))
        return [call.serial - 1 for call in found]

    assert matching() == [0, 1, 2, 3]
    assert matching(calling_number="1002") == [1, 2]
    assert matching(calling_number="1002", application="bank") == [2]
    assert matching(leg="1007") == matching(leg="tag-1") == matching(leg="abc@host") == [3]
    assert matching(leg="") == matching(called_number="5001") == []


@pytest.mark.parametrize("called", [None, "5000"])
@pytest.mark.parametrize("state", [None, "connected"])
def test_ten_of_ten_thousand_calls_cost_ten(state: str | None, called: str | None) -> None:
    """Work is counted, not time: calls of which anything is read."""
    server = Server()
    calls = [server.offered(n, NUMBERS[n % 2], float(n)) for n in range(10_000)]
    for call in calls[:5000] + calls[:4900:-1]:
        server.enter(call, "connected")
    server.listed(state, called, 1)  # the first time that a number is asked for
    TOUCHED.clear()
    total, found = server.listed(state, called, 10)
    assert total == (10_000 if called is None else 5000)
    assert found == [call.guid for call in calls[:: 1 if called is None else 2][:10]]
    assert 10 <= len(TOUCHED) <= 30


def test_a_change_of_state_costs_as_much_with_many_calls() -> None:
    server = Server()
    for n in range(10_000):
        server.enter(server.offered(n, "5000", float(n)), "connected")
    TOUCHED.clear()
    call = server.offered(10_000, "5000", 1e4)
    for state in ("queued", "connected", "on_hold", "connected", "ended"):
        server.enter(call, state)
    assert {call.guid} == TOUCHED


def test_a_call_that_enters_its_state_again_keeps_its_place() -> None:
    server = Server()
    first, second = (server.offered(n, "5000", float(n)) for n in range(2))
    for call in (first, second, first):
        server.enter(call, "connected")
    assert server.listed("connected", None, 9) == (2, [first.guid, second.guid])


class SessionServer(Server):
    """It counts the sessions that it looks at."""

    looked = 0

    def _session(self, session: Session) -> SessionView:
        self.looked += 1
        return cast(SessionView, session)


def test_ten_of_ten_thousand_sessions_cost_ten() -> None:
    server = SessionServer()
    owned = {str(n): n for n in range(10_000)}
    server.stack = cast(Any, SimpleNamespace(endpoint=SimpleNamespace(owned=owned)))
    total, found = server.sessions(10)
    assert (total, server.looked) == (10_000, 0)
    assert cast("list[int]", list(found)) == list(range(10))
    assert server.looked == 10
