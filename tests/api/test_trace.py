"""The trace over REST, by the client, and by ``callsim trace``."""

import asyncio
import json
import re
import struct
import threading
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from simulator import trace_views
from simulator.masking import masked
from simulator.trace_svg import STYLE_HASH
from tests.api.support import USER, basic, run, serving
from tests.api.test_audit import entries
from tests.api.test_client import client_of, served, until
from tests.api.test_shell import shell
from tests.simulator.flows.world import World
from tests.support.network import Network

TRACE = "/sim/v1/trace"


def path(world: World, form: str = "") -> str:
    return f"/sim/v1/calls/{world.call.guid}/trace{form}"


@pytest.fixture
def world() -> World:
    """A call that the server itself answered."""
    made = World(Network())
    made.dial("5000", lines="Authorization: Digest response=1234\r\n")
    made.run()
    return made


def finish(world: World) -> None:
    world.call.end(world.network.now, "completed", "")
    world.run()


@run
async def test_the_messages_as_json(world: World) -> None:
    async with serving(served(world)) as client:
        reply = await client("get", path(world))
        assert reply.status == 200, reply.text
        found = reply.json
        assert (found["callGuid"], found["ended"], found["omitted"]) == (world.call.guid, False, 0)
        first, answer, ack = found["messages"]
        assert [one["summary"] for one in (first, answer, ack)] == [
            "INVITE (SDP)", "200 OK (SDP)", "ACK",
        ]  # fmt: skip
        assert [one["direction"] for one in (first, answer, ack)] == ["in", "out", "in"]
        assert (first["leg"], first["transport"], first["local"]) == (
            "caller", "UDP", world.address,
        )  # fmt: skip
        assert "Digest response=xxxx\r\n" in first["message"]
        assert first["timestamp"].endswith("Z")
        reply = await client("get", f"{path(world)}?after={answer['number']}")
        assert reply.json["messages"] == [ack]
        world.server.trace.mark(first["callId"], "ACK delayed", world.network.now)
        reply = await client("get", f"{path(world).lower()}?after={ack['number']}")
        (note,) = reply.json["messages"]
        assert note["note"] == "ACK delayed"
        assert note.keys() == {"number", "timestamp", "leg", "callId", "note"}
        reply = await client("get", f"/sim/v1/calls/{first['callId'].replace('@', '%40')}/trace")
        assert reply.json["callGuid"] == world.call.guid
        assert "after" in (await client("get", f"{path(world)}?after=x")).error(400)


@run
async def test_calls_do_not_wait_for_what_is_masked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done in a thread, and no more of it than is shown."""
    seen: list[tuple[int, bytes]] = []

    def watched(data: bytes) -> bytes:
        seen.append((threading.get_ident(), data))
        return masked(data)

    monkeypatch.setattr(trace_views, "masked", watched)
    whole = world.network.log
    async with serving(served(world)) as client:
        for form in ("", ".txt", ".svg", ".pcap"):
            url = f"{client.address}{path(world, form)}"
            async with client.session.get(url, headers=basic(USER)) as answer:
                assert answer.status == 200
            assert [data for _, data in seen[-len(whole) :]] == [one.data for one in whole], form
        assert len(seen) == 4 * len(whole)
        last = (await client("get", path(world))).json["messages"][-1]
        del seen[:]
        await client("get", f"{path(world)}?after={last['number'] - 1}")
        assert [data for _, data in seen] == [whole[-1].data]
        await client("get", f"{TRACE}/calls")
        assert not any(b"\r\n" in data for _, data in seen[1:])
        assert threading.get_ident() not in {thread for thread, _ in seen}


@run
async def test_a_call_id_that_looks_like_a_guid() -> None:
    """It is found as it is written; a GUID in either case."""
    world = World(Network())
    call_id = "0123456789abcdef" * 2
    stranger = world.network.add_stranger("hex")
    stranger.send(
        world.party,
        f"INVITE sip:5000@{world.address} SIP/2.0\r\nVia: SIP/2.0/UDP {stranger.address[0]}"
        f";branch=z9hG4bKh\r\nFrom: <sip:1@a>;tag=1\r\nTo: <sip:5000@b>\r\nCall-ID: {call_id}\r\n"
        f"CSeq: 1 INVITE\r\nContact: <{stranger.uri}>\r\nMax-Forwards: 70\r\n"
        "Content-Length: 0\r\n\r\n",
    )
    world.run()
    async with serving(served(world)) as client:
        for name in (call_id, world.call.guid, world.call.guid.lower()):
            reply = await client("get", f"/sim/v1/calls/{name}/trace")
            assert reply.status == 200, name
            assert reply.json["callGuid"] == world.call.guid
            assert reply.json["messages"][0]["callId"] == call_id
    world.call.end(world.network.now, "completed", "")
    world.run(40.0)


@run
async def test_what_is_not_there(world: World) -> None:
    async with serving(served(world)) as client:
        reply = await client("get", f"/sim/v1/calls/{'0' * 32}/trace")
        assert "GET /sim/v1/trace/calls lists" in reply.error(404)
        assert reply.json["code"] == "TRACE_NOT_FOUND"
        reply = await client("put", TRACE, json={"enabled": False})
        assert (reply.status, reply.json["enabled"], reply.json["octets"]) == (200, False, 0)
        for form in ("", ".txt", ".pcap"):
            assert "the trace is off" in (await client("get", path(world, form))).error(404)
        assert (await client("get", TRACE)).json["enabled"] is False
        await client("put", TRACE, json={"enabled": False})
        await client("post", "/sim/v1/reset")
        assert (await client("get", TRACE)).json["enabled"] is True
        changes = [one for one in await entries(client) if one["what"] == "trace"]
        assert [(one["before"], one["after"]) for one in changes] == [
            ({"enabled": True}, {"enabled": False})
        ]


@run
async def test_the_calls_of_which_something_is_kept(world: World) -> None:
    async with serving(served(world)) as client:
        state = (await client("get", TRACE)).json
        assert (state["enabled"], state["messages"]) == (True, 3)
        (listed,) = (await client("get", f"{TRACE}/calls?limit=1")).json["calls"]
        assert (listed["callGuid"], listed["sipCode"]) == (world.call.guid, 200)
        assert "limit" in (await client("get", f"{TRACE}/calls?limit=0")).error(400)


@run
async def test_files(world: World) -> None:
    async with serving(served(world)) as client:
        reply = await client("get", path(world, ".txt"))
        assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "|---- INVITE (SDP) -->|" in reply.text
        async with client.session.get(
            f"{client.address}{path(world, '.pcap')}", headers=basic(USER)
        ) as answer:
            assert answer.content_type == "application/vnd.tcpdump.pcap"
            assert f'filename="{world.call.guid}.pcap"' in answer.headers["Content-Disposition"]
            data = await answer.read()
    assert struct.unpack("<I", data[:4]) == (0xA1B2C3D4,)
    assert data.count(b"\r\n\r\n") == 3
    assert b"response=xxxx" in data


@run
async def test_the_picture(world: World) -> None:
    """It may use its style sheet, and nothing else."""
    async with serving(served(world)) as client:
        reply = await client("get", path(world, ".svg"))
        (await client("get", f"/sim/v1/calls/{'0' * 32}/trace.svg")).error(404)
    assert reply.headers["Content-Type"] == "image/svg+xml"
    assert reply.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; frame-ancestors 'none'"
    )
    root = ET.fromstring(reply.text)
    assert sum(one.get("class") == "shaft" for one in root.iter()) == 3
    assert "response=xxxx" in reply.text.replace('"', "")


@run
async def test_the_client(world: World, tmp_path: Path) -> None:
    async with client_of(served(world)) as client:
        found = await client.trace(world.call.guid)
        assert [one.summary for one in found.messages] == ["INVITE (SDP)", "200 OK (SDP)", "ACK"]
        rest = await client.trace(world.call.guid, found.messages[1].number)
        assert rest.messages == found.messages[2:]
        assert (await client.trace_file(world.call.guid, "txt")).count(b"\n") == 5


@run
async def test_from_a_shell(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(served(world)) as client:
        url, guid = str(client.address), world.call.guid
        assert await shell(url, "trace", guid) == 0
        assert "|<--- 200 OK (SDP) ---|" in capsys.readouterr().out
        assert await shell(url, "trace", guid, "--json") == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["summary"] for line in lines] == ["INVITE (SDP)", "200 OK (SDP)", "ACK"]
        capture = tmp_path / "call.pcap"
        assert await shell(url, "trace", guid, "--pcap", str(capture)) == 0
        assert capture.read_bytes()[:4] == b"\xd4\xc3\xb2\xa1"
        assert await shell(url, "trace", guid, "--pcap", str(tmp_path / "no" / "file")) == 2
        assert "no/file: No such file" in capsys.readouterr().err
        assert await shell(url, "trace", guid, "--follow", "--pcap", str(capture)) == 2
        assert "--follow prints messages" in capsys.readouterr().err
        assert await shell(url, "trace", "0" * 32) == 1
        assert "nothing is kept" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["text", "json"])
@run
async def test_it_is_followed(world: World, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    def told(text: str) -> bool:
        seen.append(capsys.readouterr().out)
        return text in "".join(seen)

    async with serving(served(world)) as client:
        arguments = ["--json"] if form == "json" else []
        url = str(client.address)
        following = asyncio.create_task(
            shell(url, "trace", world.call.guid, "--follow", *arguments)
        )
        await until(lambda: told("ACK"))
        world.server.trace.mark(
            world.call.caller.session.dialog.call_id, "a note", world.network.now
        )
        await until(lambda: told("a note"))
        finish(world)
        assert await following == 0
    text = "".join(seen) + capsys.readouterr().out
    if form == "json":
        found: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
        assert [one.get("summary", "note") for one in found] == [
            "INVITE (SDP)", "200 OK (SDP)", "ACK", "note", "BYE", "200 OK",
        ]  # fmt: skip
        return
    labels = [re.sub(r"[-<>| ]+", " ", line).split(maxsplit=1)[1] for line in text.splitlines()[2:]]
    assert [label.strip() for label in labels] == [
        "INVITE (SDP)", "200 OK (SDP)", "ACK", "* a note", "BYE", "200 OK",
    ]  # fmt: skip


@run
async def test_on_or_off_is_true_or_false(world: World) -> None:
    async with serving(served(world)) as client:
        reply = await client("put", TRACE, json={"enabled": "yes"})
        assert "enabled must be true or false" in reply.error(400)
    assert world.server.trace.enabled
