"""The resolver of the system is made on first use, and reads its files in a thread."""

import asyncio

import pytest

from sip.aio import stack
from sip.aio.resolver import Resolver
from sip.records import FAILED, Answer, Query
from tests.support.slow import Slow


def test_the_hosts_file_may_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Query] = []

    async def look_up() -> None:
        slow = Slow()

        class SlowResolver(Resolver):
            def __init__(self) -> None:
                slow()

            async def ask(self, query: Query) -> Answer:
                asked.append(query)
                return FAILED

        monkeypatch.setattr(stack, "Resolver", SlowResolver)
        made = stack.SipStack()
        made.endpoint.locator.queries += [Query("one.test", "A"), Query("two.test", "A")]
        made.pump()
        await asyncio.wait_for(asyncio.gather(*made._lookups), 10)
        kept = made.resolver
        made.endpoint.locator.queries.append(Query("three.test", "A"))
        made.pump()
        await asyncio.wait_for(asyncio.gather(*made._lookups), 10)
        assert made.resolver is kept
        assert 1 <= slow.calls <= 2
        made.close()

    asyncio.run(look_up())
    assert sorted(query.name for query in asked[:2]) == ["one.test", "two.test"]
    assert asked[2:] == [Query("three.test", "A")]
