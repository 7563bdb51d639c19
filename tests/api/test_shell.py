"""The commands that steer a running server from a shell."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from api.files import PASSWORD_FILE
from api.shell import steer
from api.tls import server_context
from simulator.__main__ import _parser
from tests.api.support import GUID, RINGING_GUID, USER, FakeCallServer, run, serving
from tests.api.test_client import served, until
from tests.api.test_tls import HTTPS
from tests.simulator.flows.world import World
from tests.support.network import Network


async def shell(url: str, *arguments: str) -> int:
    """The exit code of ``callsim ARGUMENTS``, which asks the API at `url`."""
    options = _parser().parse_args([*arguments, "--url", url, "--user", str(USER)])
    return await asyncio.to_thread(steer, options)


@run
async def test_calls(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(FakeCallServer()) as client:
        assert await shell(str(client.address), "calls") == 0
        shown = capsys.readouterr().out.splitlines()
        assert await shell(str(client.address), "calls", "--state", "ringing", "--json") == 0
        shown_json = capsys.readouterr()
        assert await shell(str(client.address), "calls", "--called", "1") == 0
    assert [line.split()[:2] for line in shown] == [[GUID, "connected"], [RINGING_GUID, "ringing"]]
    (line,) = shown_json.out.splitlines()
    assert f'"callGuid":"{RINGING_GUID}"' in line
    assert not shown_json.err
    assert capsys.readouterr() == ("", "no such calls are up\n")


@pytest.mark.parametrize(
    ("target", "code", "said"), [("1002", 0, "completed"), ("9486", 1, "failed")]
)
@run
async def test_transfer(
    capsys: pytest.CaptureFixture[str], target: str, code: int, said: str
) -> None:
    world = World(Network())
    world.connected()
    async with serving(served(world)) as client:
        asked = asyncio.create_task(shell(str(client.address), "transfer", world.call.guid, target))
        await until(lambda: world.state == "transferring")
        world.run(3.0)
        assert await asked == code
    assert capsys.readouterr().out.startswith(f"{said}, SIP ")


@run
async def test_hang_up_and_wait(capsys: pytest.CaptureFixture[str]) -> None:
    world = World(Network())
    world.connected()
    guid = world.call.guid
    async with serving(served(world)) as client:
        url = str(client.address)
        assert await shell(url, "wait", guid, "queued", "connected") == 0
        assert await shell(url, "wait", guid, "on_hold", "--timeout", "0.2") == 1
        leg = world.call.legs[0].session.dialog.call_id
        assert await shell(url, "wait", leg, "ended") == 1, "it has a trace, but is up"
        waiting = asyncio.create_task(shell(url, "wait", guid, "ended"))
        await until(lambda: len(world.server.events.readers) > 0)
        assert await shell(url, "hangup", guid) == 0
        assert await waiting == 0
        assert await shell(url, "wait", guid, "ended") == 0, "it has a record"
        assert "connected" in capsys.readouterr().out
        assert await shell(url, "wait", "0" * 32, "ended") == 1
        shown = capsys.readouterr()
        assert not shown.out
        assert shown.err.startswith(f"wait: no call has the GUID '{'0' * 32}'")
    assert world.cdr.call_result == "completed"


@run
async def test_a_certificate_of_its_own_making(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async with serving(FakeCallServer(), HTTPS, tls=server_context(tmp_path)) as client:
        assert await shell(str(client.address), "calls") == 2
        assert "; --insecure trusts any certificate" in capsys.readouterr().err
        assert await shell(str(client.address), "calls", "--insecure") == 0


@run
async def test_what_cannot_be(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(FakeCallServer()) as client:
        url = str(client.address)
        assert await shell(url, "hangup", "0" * 32) == 1
        assert "no active call" in capsys.readouterr().err
        stranger = _parser().parse_args(["calls", "--url", url, "--user", "nobody:x"])
        assert await asyncio.to_thread(steer, stranger) == 2
        nameless = ["calls", "--url", url, "--data-dir", str(tmp_path)]
        assert await asyncio.to_thread(steer, _parser().parse_args(nameless)) == 2
        assert "--user NAME:PASSWORD" in capsys.readouterr().err
        (tmp_path / PASSWORD_FILE).write_text(f"{USER}\n")
        (tmp_path / PASSWORD_FILE).chmod(0o600)
        assert await asyncio.to_thread(steer, _parser().parse_args(nameless)) == 0
        monkeypatch.setenv("CALLSIM_DATA_DIR", str(tmp_path))
        named = ["calls", "--url", url]
        assert await asyncio.to_thread(steer, _parser().parse_args(named)) == 0
        monkeypatch.setenv("CALLSIM_USER", f"nobody:x\n{USER}")
        assert await asyncio.to_thread(steer, _parser().parse_args(named)) == 2
        monkeypatch.setenv("CALLSIM_USER", str(USER))
        monkeypatch.setenv("CALLSIM_DATA_DIR", "/nowhere")
        assert await asyncio.to_thread(steer, _parser().parse_args(named)) == 0
        assert await shell(url.removeprefix("http://"), "calls") == 0
        assert await shell(f"{url}/cvp/rest", "calls") == 0, "as `callsim serve` prints it"
    async with TestServer(web.Application()) as other:
        assert await shell(str(other.make_url("/")), "calls") == 1
    assert "--url: no Callsim answers there, but 404" in capsys.readouterr().err
    assert await shell("127.0.0.1:1", "calls") == 2
    assert "--url: 127.0.0.1:1 does not answer" in capsys.readouterr().err
    for wrong in ("ftp://x", "http://", "http://127.0.0.1:99999"):
        assert await shell(wrong, "calls") == 2
        assert f"--url: {wrong!r} is not such as http://" in capsys.readouterr().err
