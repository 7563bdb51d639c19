"""/metrics over HTTP: who may read it, in which form, and what REST itself adds."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from simulator.config_base import User
from simulator.config_values import HttpListen
from tests.api.support import GUID, FakeCallServer, basic, run, serving

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
PROMETHEUS = (  # what Prometheus 2.x sends
    "application/openmetrics-text;version=1.0.0;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PLAIN = "text/plain; version=0.0.4; charset=utf-8"


def samples(text: str) -> dict[str, float]:
    """By name and values of the labels."""
    found = {}
    for family in plain_text(text):
        for sample in family.samples:
            labels = ",".join(sample.labels[name] for name in sorted(sample.labels))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


@run
async def test_it_is_open_on_loopback_and_asks_for_a_password_elsewhere() -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client("get", "/metrics", login=False)
        assert reply.status == 200
        assert "callsim_build_info" in reply.text
    async with serving(FakeCallServer(), HttpListen("http", "0.0.0.0", 0)) as client:
        url = f"http://127.0.0.1:{client.address.port}/metrics"
        (await client("get", url, login=False)).error(401)
        assert "callsim" not in (await client("get", url, login=False)).text.replace(
            'realm="callsim"', ""
        )
        assert (await client("get", url)).status == 200


@run
async def test_the_form_is_the_one_that_is_asked_for() -> None:
    async with serving(FakeCallServer()) as client:
        for accept, form in (
            ("", PLAIN),
            ("*/*", PLAIN),
            ("application/json", PLAIN),
            ("application/openmetrics-text; version=x", PLAIN),
            (OPEN_METRICS, "application/openmetrics-text"),
            (PROMETHEUS, "application/openmetrics-text"),
        ):
            headers = {"Accept": accept}
            reply = await client("get", "/metrics", login=False, headers=headers)
            assert reply.status == 200
            assert reply.headers["Content-Type"].startswith(form)
            parse = plain_text if form == PLAIN else open_metrics
            names = {family.name for family in parse(reply.text)}
            assert {"callsim_calls", "process_resident_memory_bytes", "python_info"} <= names
        head = await client("head", "/metrics", login=False)
        assert (head.status, head.text) == (200, "")


@run
async def test_rest_operations_are_measured() -> None:
    fake = FakeCallServer()
    took = "callsim_http_request_duration_seconds"
    async with serving(fake) as client:
        for _ in range(3):
            await client("get", f"/cvp/rest/call/{GUID}")
        await client("head", f"/cvp/rest/call/{GUID}")
        await client("get", f"/cvp/rest/call/{'A' * 32}")
        await client("get", "/nowhere/at/all")
        await client("get", "/cvp/rest/call", login=False)
        await client("get", "/metrics", login=False)
        shown = samples((await client("get", "/metrics", login=False)).text)
    counts = {
        name.removeprefix(f"{took}_count"): value
        for name, value in shown.items()
        if name.startswith(f"{took}_count")
    }
    assert counts == {
        "{2xx,getCallDetails}": 4,
        "{4xx,getCallDetails}": 1,
        "{4xx,other}": 1,
        "{4xx,listActiveCalls}": 1,
    }
    assert shown[f"{took}_bucket{{2xx,+Inf,getCallDetails}}"] == 4
    assert 0 < shown[f"{took}_sum{{2xx,getCallDetails}}"] < 60


@run
async def test_a_request_that_waits_takes_as_long() -> None:
    fake = FakeCallServer(release=asyncio.Event())
    assert fake.release is not None
    async with serving(fake) as client:
        asking = asyncio.create_task(client("post", f"/cvp/rest/call/{GUID}/terminate"))
        await fake.entered.wait()
        began = asyncio.get_running_loop().time()
        asyncio.get_running_loop().call_later(0.3, fake.release.set)
        await asking
        waited = asyncio.get_running_loop().time() - began
        shown = samples((await client("get", "/metrics", login=False)).text)
    took = "callsim_http_request_duration_seconds"
    assert shown[f"{took}_sum{{2xx,terminateCall}}"] >= 0.25
    assert shown[f"{took}_sum{{2xx,terminateCall}}"] <= waited + 60
    assert shown[f"{took}_bucket{{2xx,0.25,terminateCall}}"] == 0


@run
async def test_logins_refused() -> None:
    wrong = basic(User("operator", "wrong"))
    async with serving(FakeCallServer()) as client:
        for _ in range(2):
            url = "/cvp/rest/health"
            assert (await client("get", url, login=False, headers=wrong)).status == 401
        shown = samples((await client("get", "/metrics", login=False)).text)
    refused = "callsim_http_logins_refused_total"
    assert [shown[f"{refused}{{{why}}}"] for why in ("wrong", "slowed", "busy")] == [2, 0, 0]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_mend(tmp_path: Path) -> None:
    page = tmp_path / "metrics"

    @run
    async def scrape() -> None:
        async with serving(FakeCallServer()) as client:
            await client("get", f"/cvp/rest/call/{GUID}")
            page.write_text((await client("get", "/metrics", login=False)).text)

    scrape()
    with page.open() as text:
        checked = subprocess.run(
            ["promtool", "check", "metrics"], stdin=text, capture_output=True, text=True
        )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
