"""Lists are written straight from views, in pieces between which others get a turn."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from api import listing
from api.listing import Listing
from api.models import ActiveCalls, SipSessions
from simulator.views import CallView, SessionView
from tests.api.support import FakeCallServer, call_view, run, serving, session_view


def as_model(model: type[ActiveCalls | SipSessions], **values: Any) -> bytes:
    return model.model_validate(values).model_dump_json(by_alias=True, exclude_none=True).encode()


@run
async def test_a_list_says_what_its_model_says() -> None:
    calls = [call_view(f"{number:032X}", duration=number) for number in range(3)]
    shown = await Listing(ActiveCalls, CallView).of(7, calls)
    assert shown.body == as_model(ActiveCalls, total_active_calls=7, calls=calls)
    sessions = [session_view("leg-1"), session_view("leg-2")]
    told = await Listing(SipSessions, SessionView).of(2, sessions)
    assert told.body == as_model(SipSessions, total_sessions=2, sessions=sessions)
    assert (await Listing(ActiveCalls, CallView).of(0, [])).body == (
        b'{"totalActiveCalls":0,"calls":[]}'
    )


@run
async def test_text_that_utf_8_cannot_carry_is_mended() -> None:
    calls = [call_view(), call_view("A" * 32, calling_number="10\udcff01\U0001f600")]
    shown = await Listing(ActiveCalls, CallView).of(2, calls)
    assert shown.body == as_model(ActiveCalls, total_active_calls=2, calls=calls)
    assert "10�01\U0001f600" in shown.body.decode()


@run
async def test_no_turn_of_the_loop_writes_more_than_a_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between two pieces whatever is ready runs: SIP above all."""
    monkeypatch.setattr(listing, "AT_ONCE", 10)
    read = 0
    seen: list[int] = []

    def views() -> Iterator[SessionView]:
        nonlocal read
        for number in range(95):
            read += 1
            yield session_view(str(number))

    def other() -> None:
        seen.append(read)
        if read < 95:
            asyncio.get_running_loop().call_soon(other)

    asyncio.get_running_loop().call_soon(other)
    shown = await Listing(SipSessions, SessionView).of(95, views())
    assert shown.body.count(b"sessionId") == 95
    assert seen[:9] == [10, 20, 30, 40, 50, 60, 70, 80, 90]


@run
async def test_a_thousand_calls_are_listed_whole() -> None:
    fake = FakeCallServer(
        calls={f"{number:032X}": call_view(f"{number:032X}") for number in range(1200)}
    )
    async with serving(fake) as client:
        reply = await client("get", "/cvp/rest/call?limit=1000")
    assert reply.json["totalActiveCalls"] == 1200
    assert [call["callGuid"] for call in reply.json["calls"]] == list(fake.calls)[:1000]
