"""Connections: as many at a time as `api.connections` says, whatever address they come from."""

import asyncio
import json
import ssl
from pathlib import Path

import pytest

from api.tls import server_context
from simulator.config_values import HttpListen
from tests.api.support import FakeCallServer, serving

PATIENCE = 10.0
ASK = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def answer(streams: Streams) -> tuple[int, dict[str, str], bytes]:
    """The next answer: status, header fields by lower-case names, body."""
    reader = streams[0]
    async with asyncio.timeout(PATIENCE):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        start, *lines = head.strip().split("\r\n")
        fields = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
        body = await reader.readexactly(int(fields["content-length"]))
    return int(start.split()[1]), fields, body


async def asked(streams: Streams) -> int:
    """The status of one more request."""
    streams[1].write(ASK)
    return (await answer(streams))[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_one_too_many_is_told_and_closed(tmp_path: Path, scheme: str) -> None:
    """Those that are there go on; when one of them ends another takes its place."""
    asyncio.run(crowded(tmp_path, scheme))


async def crowded(tmp_path: Path, scheme: str) -> None:
    tls = server_context(tmp_path, []) if scheme == "https" else None
    trust = None
    if tls is not None:
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    listen = HttpListen("https" if tls else "http", "127.0.0.1", 0)
    async with serving(FakeCallServer(), listen, tls=tls, connections=3) as client:
        port = client.address.port

        async def connect() -> Streams:
            return await asyncio.open_connection("127.0.0.1", port, ssl=trust)

        opened = [await connect() for _ in range(3)]
        assert [await asked(one) for one in opened] == [200, 200, 200]
        for _ in range(20):  # a refused one takes no place
            refused = await connect()
            status, fields, body = await answer(refused)
            assert (status, fields["retry-after"], fields["connection"]) == (503, "1", "close")
            assert json.loads(body)["code"] == "TOO_MANY_CONNECTIONS"
            assert await refused[0].read() == b""
            refused[1].close()
        assert [await asked(one) for one in opened] == [200, 200, 200]
        opened.pop()[1].close()
        async with asyncio.timeout(PATIENCE):
            while True:  # the server has to see it first
                another = await connect()
                another[1].write(ASK)
                if (await answer(another))[0] == 200:
                    break
                another[1].close()
        opened.append(another)
        assert [await asked(one) for one in opened] == [200, 200, 200]
        for _, writer in opened:
            writer.close()
