"""What `api.client` stands on: requests that are asked again, and the stream of events."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar, get_args
from urllib.parse import quote
from uuid import uuid4

import aiohttp
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from yarl import URL

from api.event_models import MODELS, TYPES, AnyEvent, Event
from api.models import AS_SHOWN, Error

ATTEMPTS: Final = 3
"""How often a request is sent whose connection breaks."""

_PAUSE: Final = 1.0  # seconds before a stream that broke is asked for again
_SILENCE: Final = 60.0  # seconds without a heartbeat, after which it is broken
_EVENTS: Final = dict(zip(TYPES, MODELS, strict=True))
_NONE: Final[Mapping[str, str]] = MappingProxyType({})

Model = TypeVar("Model", bound=BaseModel)


class CallsimError(Exception):
    """The server's answer is an error: `status`, and `code` and `details` of its body."""

    def __init__(self, status: int, code: str, details: str) -> None:
        super().__init__(f"{status} {code}: {details}")
        self.status = status
        self.code = code
        self.details = details


class Connection:
    """Requests to one server in the name of one user; opened by the first of them."""

    def __init__(
        self, url: str, user: str, password: str, tls: ssl.SSLContext | bool, timeout: float
    ) -> None:
        self._url = url.rstrip("/")
        self._login = {"Authorization": aiohttp.encode_basic_auth(user, password, "utf-8")}
        self._tls = tls
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of it; another request opens it again."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._login, timeout=self._timeout)
        return self._session

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = _NONE,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] = _NONE,
    ) -> tuple[Any, Mapping[str, str]]:
        """The JSON of the answer, and its header fields. Raises CallsimError."""
        data, answered = await self.fetch(method, path, query=query, body=body, headers=headers)
        return json.loads(data) if data else None, answered

    async def fetch(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = _NONE,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] = _NONE,
    ) -> tuple[bytes, Mapping[str, str]]:
        """The answer as it is, and its header fields. Raises CallsimError."""
        if method == "POST":
            headers = {"Idempotency-Key": uuid4().hex, **headers}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self._opened().request(
                    method,
                    f"{self._url}{path}",
                    params=query,
                    json=body,
                    headers=headers,
                    ssl=self._tls,
                ) as response:
                    data = await response.read()
                    if response.status >= 400:
                        raise _error(response.status, data)
                    return data, response.headers
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError):
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError

    async def pages(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[Any, None]:
        """The JSON of a list, a page at a time, as far as Link leads. Raises CallsimError."""
        wanted = dict(query)
        while True:
            data, headers = await self.ask("GET", path, query=wanted)
            yield data
            cursor = _next_cursor(headers)
            if cursor is None:
                return
            wanted["cursor"] = cursor

    async def events(
        self, path: str, cursor: int | None, types: Collection[str], call_guid: str | None
    ) -> AsyncGenerator[AnyEvent | int, None]:
        """Events; where the stream has begun, and for each heartbeat, how far it has come."""
        query = {"type": ",".join(types)} if types else {}
        if call_guid is not None:
            query["callGuid"] = call_guid
        timeout = aiohttp.ClientTimeout(total=None, sock_read=_SILENCE)
        while True:
            headers = {} if cursor is None else {"Last-Event-ID": str(cursor)}
            try:
                async with self._opened().get(
                    f"{self._url}{path}",
                    params=query,
                    headers=headers,
                    timeout=timeout,
                    ssl=self._tls,
                ) as response:
                    if response.status != 200:
                        raise _error(response.status, await response.read())
                    async for after, event in _frames(response.content):
                        cursor = after
                        yield after if event is None else event
            except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, TimeoutError):
                if cursor is None:  # it has never begun
                    raise
            await asyncio.sleep(_PAUSE)


def read(model: type[Model], data: Mapping[str, Any]) -> Model:
    """An answer of the server as its model. Raises pydantic.ValidationError."""
    values = {}
    for name, field in model.model_fields.items():
        shown = field.serialization_alias or name
        if shown in data:
            values[name] = _value(field.annotation, data[shown])
    return model.model_validate(values, context=AS_SHOWN)


def _value(annotation: Any, data: Any) -> Any:
    inner = get_args(annotation)
    if isinstance(data, list) and inner:
        return [_value(inner[0], one) for one in data]
    if isinstance(data, Mapping):
        for kind in (annotation, *inner):
            if kind is Event:
                return _event(data)
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                return read(kind, data)
    return data


async def _frames(lines: aiohttp.StreamReader) -> AsyncIterator[tuple[int, AnyEvent | None]]:
    """Server-sent events, each with where to go on after it; None says that alone."""
    cursor, data = 0, b""
    async for raw in lines:
        line = raw.rstrip(b"\r\n")
        name, _, value = line.partition(b": ")
        if name == b"id":
            cursor = int(value)
        elif name == b"data":
            data = value
        elif not line:
            yield cursor, _event(json.loads(data)) if data else None
            data = b""


def _event(data: Mapping[str, Any]) -> AnyEvent:
    return read(_EVENTS.get(data["eventType"], AnyEvent), data)


def _error(status: int, body: bytes) -> CallsimError:
    try:
        error = read(Error, json.loads(body))
    except ValueError:  # it is not the server that answers, but something before it
        return CallsimError(status, "", body[:200].decode(errors="replace"))
    return CallsimError(status, error.code, error.details)


def part(text: str) -> str:
    """`text` as one part of a path."""
    return quote(text, safe="")


def fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are set, by their names in the API."""
    return {to_camel(name): value for name, value in values.items() if value is not None}


def utc(moment: datetime | None) -> str | None:
    """A time as the API takes it; one without a zone is local."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _next_cursor(headers: Mapping[str, str]) -> str | None:
    """The cursor of the next page, by the Link of this one."""
    target, _, relation = headers.get("Link", "").partition(">")
    if 'rel="next"' not in relation:
        return None
    return URL(target.lstrip("<")).query.get("cursor")
