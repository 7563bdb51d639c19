"""The webhook over real HTTP on loopback: questions, answers, the breaker."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, ParamSpec, cast

import pytest
from aiohttp import web

from simulator.config_icm import WebhookSection
from simulator.config_vxml import VxmlSection
from simulator.probes import Prober
from simulator.router import IcmContext
from simulator.script import Step
from simulator.variables import Variables
from simulator.webhook import CLOSED, HALF_OPEN, MAX_ANSWER, OPEN, Breaker, HttpRouter

P = ParamSpec("P")


def run(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run an async test in a loop of its own."""

    @functools.wraps(test)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        async def main() -> None:
            await asyncio.wait_for(test(*args, **kwargs), 60)

        asyncio.run(main())

    return wrapper


class Case:
    """A treatment that only pretends, and what it was told."""

    def __init__(self) -> None:
        icm = IcmContext(7, 155_555)
        icm.requery = 2
        icm.results["choice"] = "3"
        variables = Variables()
        variables.update(ecc={"user.a": "b"}, call={"callVariable1": "c"})
        self.call = SimpleNamespace(
            guid="F" * 32,
            calling="5551234",
            called="7001",
            state="queued",
            started=1.0,
            icm=icm,
            icm_label="1001",
            icm_skill_group="support",
            icm_agent="",
            application="bank",
            variables=variables,
        )
        self.script = SimpleNamespace(name="mine")
        self.node = SimpleNamespace(name="ask")
        self.takes = True
        self.told: asyncio.Queue[tuple[int, Step | None, str]] = asyncio.Queue()

    def instructed(self, question: int, step: Step | None, problem: str, _now: float) -> bool:
        self.told.put_nowait((question, step, problem))
        return self.takes


class Hook:
    """A web server with the next answer, and an `HttpRouter` that asks it."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.answer: Callable[[], Awaitable[web.StreamResponse]]
        self.asked: list[Any] = []
        self.headers: list[Any] = []
        self.now = 3.5
        self.case = Case()
        section = WebhookSection.model_validate({"url": url, "timeout": 5, **settings})
        config = SimpleNamespace(
            icm=SimpleNamespace(webhook=section), neighbours=(), vxml=VxmlSection()
        )
        stack = SimpleNamespace(now=lambda: self.now, pump=lambda _now: None)
        store = SimpleNamespace(ping=lambda: 0.0, healthy=True)
        groups = SimpleNamespace(neighbours=list)
        self.server = SimpleNamespace(config=config, stack=stack, store=store, server_groups=groups)
        self.router = self.server.webhook = HttpRouter(cast(Any, self.server))

    async def ask(self, cause: str = "new_call") -> tuple[Step | None, str]:
        question = self.router.ask(cast(Any, self.case), cause, self.now)
        assert question
        number, step, problem = await self.case.told.get()
        assert number == question
        return step, problem

    def says(self, text: str, status: int = 200) -> None:
        async def answer() -> web.StreamResponse:
            return web.Response(text=text, status=status)

        self.answer = answer

    async def status(self) -> tuple[str, str, int]:
        view = (await Prober(cast(Any, self.server)).probe_all())[0]
        assert view.component == "ICM"
        return view.status, view.ip_address, view.port


@asynccontextmanager
async def hook(**settings: Any) -> AsyncIterator[Hook]:
    async def handle(request: web.Request) -> web.StreamResponse:
        found.asked.append(await request.json())
        found.headers.append(request.headers)
        return await found.answer()

    app = web.Application()
    app.router.add_post("/route", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    found = Hook(f"http://127.0.0.1:{port}/route", **settings)
    try:
        yield found
    finally:
        await found.router.close()
        await runner.cleanup()


@run
async def test_what_is_asked() -> None:
    async with hook(token="s3cret") as one:
        one.says('{"label": "1001"}')
        step, problem = await one.ask("requery")
        assert step is not None
        assert (step.kind, problem) == ("label", "")
        assert one.headers[0]["Authorization"] == "Bearer s3cret"
        assert one.headers[0]["Content-Type"].startswith("application/json")
        assert one.asked == [
            {
                "cause": "requery",
                "callGuid": "F" * 32,
                "callingNumber": "5551234",
                "calledNumber": "7001",
                "state": "queued",
                "age": 2.5,
                "script": "mine",
                "node": "ask",
                "label": "1001",
                "skillGroup": "support",
                "agentId": "",
                "application": "bank",
                "eccVariables": {"user.a": "b"},
                "peripheralVariables": {"peripheral1": "c"},
                "callVariables": {"callVariable1": "c"},
                "routerCallKey": 7,
                "routerCallKeyDay": 155_555,
                "routerCallKeySequenceNumber": 0,
                "requeryStatus": 2,
                "requery": "BUSY",
                "result": {"choice": "3"},
            }
        ]
        assert (await one.status())[:2] == ("connected", "127.0.0.1")


@pytest.mark.parametrize(
    ("text", "status", "problem"),
    [
        ("", 200, "the answer is not JSON"),
        ("[1]", 200, "the answer is not an object"),
        ("[" * 60_000, 200, "the answer is not JSON: "),
        ("{}", 200, "the answer is no instruction: needs exactly one of answer"),
        ('{"lable": "1"}', 200, "the answer is no instruction: lable: Extra inputs are not"),
        ('{"label": "a b"}', 200, "the answer is no instruction: label.label: 'a b' may hold"),
        ('{"label": "a\\r\\nb: c"}', 200, "the answer is no instruction: label.label: "),
        ('{"release": {"status": 200}}', 200, "the answer is no instruction: release.status: "),
        ('{"webhook": {}}', 200, "the answer is no instruction: webhook would ask again"),
        ("x", 500, "answered 500; 200 with an instruction is wanted"),
        ("x" * (MAX_ANSWER + 1), 200, f"the answer has more than {MAX_ANSWER} bytes"),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), 200, "the answer is not"),
    ],
)
@run
async def test_an_answer_that_is_none(
    caplog: pytest.LogCaptureFixture, text: str, status: int, problem: str
) -> None:
    async with hook() as one:
        one.says(text, status)
        step, told = await one.ask()
        assert step is None
        assert told.startswith(problem)
        assert told.isprintable()
        assert problem[:20] in caplog.text
        assert (await one.status())[0] == "error"


@run
async def test_no_answer_in_time() -> None:
    async with hook(timeout=0.05) as one:
        waiting = asyncio.Event()

        async def answer() -> web.StreamResponse:
            await waiting.wait()
            return web.Response(text="{}")

        one.answer = answer
        step, told = await one.ask()
        waiting.set()
        assert (step, told) == (None, "no answer within 0.05 s")
        assert (await one.status())[0] == "timeout"


@run
async def test_nobody_listens() -> None:
    async with hook() as one:
        url = "http://127.0.0.1:9/"
        section = one.server.config.icm.webhook.model_copy(update={"url": url})
        one.server.config.icm.webhook = section
        _, told = await one.ask()
        assert told.startswith("cannot be asked: ")
        assert await one.status() == ("disconnected", "127.0.0.1", 9)


@run
async def test_an_error_that_nobody_expects(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call goes on, and the breaker does not wait for the answer for ever."""
    async with hook(failures=1, retry_after=10) as one:

        async def post(*_: object) -> bytes:
            raise RuntimeError("odd")

        monkeypatch.setattr(one.router, "_post", post)
        for _ in range(2):
            step, told = await one.ask()
            assert (step, told) == (None, "cannot be asked: RuntimeError('odd')")
            assert one.router.breaker.state == OPEN
            one.now += 10.0
        assert "cannot be asked: RuntimeError('odd')" in caplog.text
        assert (await one.status())[0] == "error"


@run
async def test_the_breaker() -> None:
    """Three failures in a row open it, one call tries after a while."""
    async with hook(failures=3, retry_after=10) as one:
        told: list[bool] = []
        one.router.watch = told.append
        one.says("x", 503)
        for _ in range(3):
            await one.ask()
        assert one.router.ask(cast(Any, one.case), "new_call", one.now) == 0
        assert len(one.asked) == 3
        one.now += 10.0
        await one.ask()
        assert one.router.breaker.state == OPEN, "the try failed"
        one.says('{"label": "1"}')
        one.now += 9.9
        assert one.router.ask(cast(Any, one.case), "new_call", one.now) == 0
        assert (await one.status())[0] == "error"
        one.now += 0.1
        question = one.router.ask(cast(Any, one.case), "new_call", one.now)
        assert one.router.ask(cast(Any, one.case), "new_call", one.now) == 0, "one try at a time"
        assert (await one.case.told.get())[0] == question
        assert one.router.breaker.state == CLOSED
        assert (await one.status())[0] == "connected"
        assert told == [False, True], "once each"


@run
async def test_a_late_answer_is_counted() -> None:
    async with hook() as one:
        one.says('{"label": "1"}')
        one.case.takes = False
        await one.ask()
        await asyncio.gather(*one.router._tasks)
        assert one.router.late == 1


@run
async def test_without_a_url_nothing_is_asked() -> None:
    async with hook() as one:
        one.server.config.icm.webhook = WebhookSection()
        assert one.router.ask(cast(Any, one.case), "new_call", 0.0) == 0
        assert one.router.view("") is None
        assert one.router.host == ""


def test_a_success_between_failures() -> None:
    """Only failures in a row count."""
    settings = WebhookSection(failures=2, retry_after=1)
    breaker = Breaker()
    assert not breaker.failed(0.0, settings)
    breaker.succeeded()
    assert not breaker.failed(0.0, settings)
    assert breaker.failed(0.0, settings)
    assert not breaker.failed(0.5, settings), "one that was under way changes nothing"
    assert breaker.until == 1.0
    assert breaker.admits(1.0)
    assert breaker.state == HALF_OPEN
