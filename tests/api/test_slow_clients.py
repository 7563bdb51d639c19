"""Clients that send an octet at a time, or nothing at all: they do not keep their connection."""

import asyncio
from contextlib import suppress
from typing import Final

import pytest

from api import runner
from tests.api.support import Client, FakeCallServer, run, serving

SHORT: Final = 1.0
REQUEST: Final = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Padding: "


async def connect(client: Client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection of our own."""
    return await asyncio.open_connection(client.address.host, client.address.port)


@run
async def test_octet_by_octet_wins_no_time() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "_KEEPALIVE", SHORT)
        async with serving(FakeCallServer()) as client:
            reader, writer = await connect(client)
            writer.write(REQUEST)
            closed = asyncio.create_task(reader.read())
            with suppress(ConnectionError):
                while not closed.done():
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(SHORT / 100)
            with suppress(ConnectionError):
                assert await closed == b""
            assert (await client("GET", "/livez")).status == 200
            writer.close()


@run
async def test_who_says_nothing() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "_KEEPALIVE", SHORT)
        async with serving(FakeCallServer()) as client:
            reader, writer = await connect(client)
            assert await reader.read() == b""
            writer.close()
