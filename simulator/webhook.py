"""A router of your own over HTTP: it is asked for each decision of a script's webhook node.

The answer is one node in the words of a script, as JSON. Where there is none (an error, a
timeout, nonsense) the script goes on at the node below the webhook. After some failures in
a row it is left in peace for a while, then a single call tries it.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
from pydantic import ValidationError

from simulator.router import EVENT_NAMES
from simulator.script import Step
from simulator.variables import Variables
from simulator.views import ConnectionView

if TYPE_CHECKING:
    from simulator.config_icm import WebhookSection
    from simulator.server import CallServer
    from simulator.treatment import Treatment

log = logging.getLogger(__name__)

MAX_ANSWER: Final = 65_536
"""Bytes of an answer at most."""

# States of the breaker.
CLOSED: Final = 0
OPEN: Final = 1
HALF_OPEN: Final = 2


class BadAnswer(Exception):
    """What came back is not an instruction; the text says why."""


class Breaker:
    """Whether to ask at all.

    state     | ask?                  | success | failure
    ----------|-----------------------|---------|--------------------------------
    CLOSED    | yes                   | CLOSED  | OPEN after `failures` in a row
    OPEN      | once it is `until`: HALF_OPEN, by one question
    HALF_OPEN | no: one is under way  | CLOSED  | OPEN
    """

    def __init__(self) -> None:
        self.state = CLOSED
        self.until = 0.0
        self._failed = 0

    def admits(self, now: float) -> bool:
        """Whether a question may be asked now; it counts as asked then."""
        if self.state == OPEN and now >= self.until:
            self.state = HALF_OPEN
            return True
        return self.state == CLOSED

    def succeeded(self) -> None:
        """A question was answered."""
        self.state = CLOSED
        self._failed = 0

    def failed(self, now: float, settings: "WebhookSection") -> bool:
        """A question was not; True when that opens the breaker."""
        self._failed += 1
        if self.state == OPEN or (self.state == CLOSED and self._failed < settings.failures):
            return False
        self.state = OPEN
        self.until = now + settings.retry_after
        return True


class HttpRouter:
    """Asks ``icm.webhook`` of the configuration that `server` has at the time."""

    def __init__(self, server: "CallServer") -> None:
        self.breaker = Breaker()
        self.late = 0  # answers for calls that had moved on
        self.watch: Callable[[bool], None] | None = None  # told when it is not asked, and again
        self._server = server
        self._session: aiohttp.ClientSession | None = None
        self._questions = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._status = "connected"
        self._latency: int | None = None
        self._last: float | None = None

    def ask(self, treatment: "Treatment", cause: str, now: float) -> int:
        """The number of the question; 0 when the webhook is not to be asked at present."""
        settings = self._server.config.icm.webhook
        if settings.url is None or not self.breaker.admits(now):
            return 0
        self._questions += 1
        question = self._questions
        asking = self._ask(settings, question, treatment, describe(treatment, cause, now))
        task = asyncio.get_running_loop().create_task(asking)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return question

    async def _ask(
        self, settings: "WebhookSection", question: int, treatment: "Treatment", body: object
    ) -> None:
        step, problem = None, ""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(settings.timeout):
                step = instruction(await self._post(settings, body))
            self._status = "connected"
        except TimeoutError:
            self._status, problem = "timeout", f"no answer within {settings.timeout:g} s"
        except (aiohttp.ClientError, OSError) as error:
            self._status, problem = "disconnected", f"cannot be asked: {error}"
        except BadAnswer as error:
            self._status, problem = "error", str(error)
        except Exception as error:  # whatever else: the call goes on, the breaker counts it
            self._status, problem = "error", f"cannot be asked: {error!r}"
        now = self._server.stack.now()
        if not problem:
            self._latency = round((time.perf_counter() - started) * 1000)
            self._last = time.time()
            if self.breaker.state != CLOSED and self.watch is not None:
                self.watch(True)
            self.breaker.succeeded()
        else:
            guid = treatment.call.guid
            log.warning("icm.webhook.url: %s for call %s", problem, guid)
            closed = self.breaker.state == CLOSED
            if self.breaker.failed(now, settings):
                log.warning("icm.webhook: not asked for %g s", settings.retry_after)
                if closed and self.watch is not None:
                    self.watch(False)
        if not treatment.instructed(question, step, problem, now):
            self.late += 1
        self._server.stack.pump(now)

    async def _post(self, settings: "WebhookSection", body: object) -> bytes:
        assert settings.url is not None
        if self._session is None:
            self._session = aiohttp.ClientSession()
        headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
        async with self._session.post(
            settings.url, json=body, headers=headers, allow_redirects=False
        ) as answer:
            if answer.status != 200:
                raise BadAnswer(f"answered {answer.status}; 200 with an instruction is wanted")
            raw = b""
            async for part in answer.content.iter_any():
                raw += part
                if len(raw) > MAX_ANSWER:
                    raise BadAnswer(f"the answer has more than {MAX_ANSWER} bytes")
            return raw

    def view(self, address: str) -> ConnectionView | None:
        """How it stands with the webhook, for connectivity; None where there is none."""
        url = self._server.config.icm.webhook.url
        if url is None:
            return None
        parts = urlsplit(url)
        status = self._status
        if self.breaker.state != CLOSED and status == "connected":
            status = "disconnected"
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return ConnectionView(
            component="ICM",
            hostname=parts.hostname or "",
            ip_address=address,
            port=port,
            status=status,  # type: ignore[arg-type]
            latency=self._latency if status == "connected" else None,
            last_successful_contact=self._last,
        )

    @property
    def host(self) -> str:
        """Where the webhook is; empty where there is none."""
        return urlsplit(self._server.config.icm.webhook.url or "").hostname or ""

    async def close(self) -> None:
        """Ask no more."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()


def describe(treatment: "Treatment", cause: str, now: float) -> dict[str, Any]:
    """A question: why it is asked, and what is known of the call."""
    call = treatment.call
    icm = call.icm
    node = treatment.node
    variables = call.variables or Variables()
    question: dict[str, Any] = {
        "cause": cause,
        "callGuid": call.guid,
        "callingNumber": call.calling,
        "calledNumber": call.called,
        "state": call.state,
        "age": round(now - call.started, 3),
        "script": treatment.script.name,
        "node": node.name if node is not None else "",
        "label": call.icm_label,
        "skillGroup": call.icm_skill_group,
        "agentId": call.icm_agent,
        "application": call.application,
        "eccVariables": variables.ecc,
        "peripheralVariables": variables.peripheral,
        "callVariables": variables.call,
    }
    if icm is not None:
        question |= {
            "routerCallKey": icm.key,
            "routerCallKeyDay": icm.day,
            "routerCallKeySequenceNumber": icm.sequence,
            "requeryStatus": icm.requery,
            "requery": EVENT_NAMES.get(icm.requery, ""),
            "result": icm.results,
        }
    return question


def instruction(raw: bytes) -> Step:
    """The node that an answer holds. Raises BadAnswer."""
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"the answer is not JSON: {error}") from None
    if not isinstance(answer, dict):
        raise BadAnswer('the answer is not an object such as {"label": "1001"}')
    try:
        step = Step.model_validate(answer)
    except ValidationError as error:
        raise BadAnswer(f"the answer is no instruction: {_told(error)}") from None
    if step.webhook is not None:
        raise BadAnswer("the answer is no instruction: webhook would ask again")
    return step


def _told(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"] if part != "[key]")
    text = first["msg"].removeprefix("Value error, ")
    return ascii(f"{place}: {text}" if place else text)[1:-1][:300]
