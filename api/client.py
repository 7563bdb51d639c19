"""A typed client of the REST surface: async, over aiohttp.

    async with CallsimClient("http://127.0.0.1:8080", "admin", "password") as server:
        async for call in server.calls(state="queued"):
            outcome = await server.transfer_and_wait(call.call_guid, "1002")

Answers are the models of `api.models`. Every command has an Idempotency-Key of its own, so
that it is carried out once, also where it has to be asked again.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Final, Self, TypeVar, get_args
from uuid import uuid4

import aiohttp
from pydantic import BaseModel
from yarl import URL

from api.event_models import MODELS, TYPES, AnyEvent, CallEnded, CallStateChanged
from api.models import (
    ActiveCall,
    ActiveCallDetail,
    ActiveCalls,
    CallOperationResult,
    CallVariables,
    Error,
)
from api.models_transfers import CallTransfers, TerminatedCalls, Transfer
from simulator.views import CallState, TerminateReason, TransferType

ATTEMPTS: Final = 3
"""How often a request is sent whose connection breaks."""

_PAUSE: Final = 1.0  # seconds before a stream that broke is asked for again
_SILENCE: Final = 60.0  # seconds without a heartbeat, after which it is broken
_CONTRACT: Final = "/cvp/rest"
_SIM: Final = "/sim/v1"
_EVENTS: Final = dict(zip(TYPES, MODELS, strict=True))

Model = TypeVar("Model", bound=BaseModel)


class CallsimError(Exception):
    """The server's answer is an error: `status`, and `code` and `details` of its body."""

    def __init__(self, status: int, code: str, details: str) -> None:
        super().__init__(f"{status} {code}: {details}")
        self.status = status
        self.code = code
        self.details = details


class CallsimClient:
    """One server, one user. `tls` is a context for https, False to trust any certificate.

    `timeout` is in seconds, for each request; streams have none. What a method may raise
    besides CallsimError is aiohttp.ClientError where the server cannot be reached.
    """

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        *,
        tls: ssl.SSLContext | bool = True,
        timeout: float = 30.0,
    ) -> None:
        self._url = url.rstrip("/")
        self._login = {"Authorization": aiohttp.encode_basic_auth(user, password, "utf-8")}
        self._tls = tls
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._login, timeout=self._timeout)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._session is not None
        await self._session.close()

    # Calls.

    async def calls(
        self,
        *,
        state: CallState | None = None,
        called_number: str | None = None,
        calling_number: str | None = None,
        application_name: str | None = None,
        leg: str | None = None,
        page: int = 1000,
    ) -> AsyncIterator[ActiveCall]:
        """The active calls that match, the oldest first; `page` are asked for at a time."""
        wanted = {
            "state": state,
            "calledNumber": called_number,
            "callingNumber": calling_number,
            "applicationName": application_name,
            "leg": leg,
            "limit": str(page),
        }
        query = {name: value for name, value in wanted.items() if value is not None}
        while True:
            found, headers = await self._ask("GET", f"{_CONTRACT}/call", ActiveCalls, query=query)
            for call in found.calls:
                yield call
            cursor = _next_cursor(headers)
            if cursor is None:
                return
            query["cursor"] = cursor

    async def call(self, call_guid: str) -> ActiveCallDetail:
        """One active call, with its history and variables."""
        return await self._get(f"{_CONTRACT}/call/{call_guid}", ActiveCallDetail)

    async def originate(self, calling_number: str, destination: str) -> CallOperationResult:
        """Call one party, and connect it to the destination once it has answered."""
        body = {"callingNumber": calling_number, "destination": destination}
        return await self._post(f"{_SIM}/calls", CallOperationResult, body)

    async def terminate(
        self, call_guid: str, reason: TerminateReason = "requested"
    ) -> CallOperationResult:
        """End a call; the answer comes when its record is stored."""
        path = f"{_CONTRACT}/call/{call_guid}/terminate"
        return await self._post(path, CallOperationResult, {"reason": reason})

    async def reset(self) -> int:
        """End all calls and forget idempotency keys: how many calls there were."""
        return (await self._post(f"{_SIM}/reset", TerminatedCalls)).terminated_calls

    # Variables.

    async def variables(self, call_guid: str) -> CallVariables:
        """The variables of a call that were set."""
        return await self._get(f"{_CONTRACT}/call/{call_guid}/variables", CallVariables)

    async def set_variables(
        self,
        call_guid: str,
        *,
        ecc: Mapping[str, str] | None = None,
        call: Mapping[str, str] | None = None,
        peripheral: Mapping[str, str] | None = None,
    ) -> CallVariables:
        """Set variables; those that are not named keep their values. The full set comes back."""
        body = {
            "eccVariables": dict(ecc or {}),
            "callVariables": dict(call or {}),
            "peripheralVariables": dict(peripheral or {}),
        }
        path = f"{_CONTRACT}/call/{call_guid}/variables"
        return (await self._ask("PUT", path, CallVariables, body=body))[0]

    # Transfers.

    async def transfer(
        self,
        call_guid: str,
        destination: str,
        *,
        transfer_type: TransferType = "blind",
        label: str = "",
        ecc: Mapping[str, str] | None = None,
    ) -> CallOperationResult:
        """Send a call elsewhere; under way when this returns."""
        body: dict[str, Any] = {"destination": destination, "transferType": transfer_type}
        if label:
            body["label"] = label
        if ecc:
            body["eccVariables"] = dict(ecc)
        return await self._post(f"{_CONTRACT}/call/{call_guid}/transfer", CallOperationResult, body)

    async def transfers(self, call_guid: str) -> list[Transfer]:
        """The transfers of a call, step by step, the first one first."""
        path = f"{_SIM}/calls/{call_guid}/transfers"
        return (await self._get(path, CallTransfers)).transfers

    async def transfer_and_wait(
        self,
        call_guid: str,
        destination: str,
        *,
        transfer_type: TransferType = "blind",
        label: str = "",
        ecc: Mapping[str, str] | None = None,
    ) -> Transfer:
        """Send a call elsewhere, and wait for the outcome: see its `state` and `sip_code`."""
        async with aclosing(self._stream(None, (), call_guid)) as stream:
            await anext(stream)  # from here on nothing is missed
            before = len(await self.transfers(call_guid))
            await self.transfer(
                call_guid, destination, transfer_type=transfer_type, label=label, ecc=ecc
            )
            while True:
                found = (await self.transfers(call_guid))[before:]
                if found and found[0].state != "pending":
                    return found[0]
                await anext(stream)

    # Events.

    async def watch(
        self,
        *,
        cursor: int | None = None,
        types: Collection[str] = (),
        call_guid: str | None = None,
    ) -> AsyncIterator[AnyEvent]:
        """Events as they happen, each one once, for ever: after `cursor`, or from now on.

        Where the connection breaks it is asked for again, and what was missed comes first.
        CallsimError 410 when that is not kept any more.
        """
        async with aclosing(self._stream(cursor, types, call_guid)) as stream:
            async for event in stream:
                if event is not None:
                    yield event

    async def wait_for(self, call_guid: str, *states: CallState) -> str:
        """Wait until a call is in one of these states, or over: the state, or ``ended``."""
        types = ("call.state_changed", "call.ended")
        async with aclosing(self._stream(None, types, call_guid)) as stream:
            await anext(stream)  # from here on nothing is missed
            try:
                state: str = (await self.call(call_guid)).state
            except CallsimError as error:
                if error.status == 404:
                    return "ended"
                raise
            while state not in states:
                event = await anext(stream)
                if isinstance(event, CallEnded):
                    return "ended"
                if isinstance(event, CallStateChanged):
                    state = event.state
            return state

    async def _stream(
        self, cursor: int | None, types: Collection[str], call_guid: str | None
    ) -> AsyncGenerator[AnyEvent | None, None]:
        """Events; None where the stream has begun, and for each heartbeat."""
        assert self._session is not None
        query = {"type": ",".join(types)} if types else {}
        if call_guid is not None:
            query["callGuid"] = call_guid
        timeout = aiohttp.ClientTimeout(total=None, sock_read=_SILENCE)
        while True:
            headers = {} if cursor is None else {"Last-Event-ID": str(cursor)}
            try:
                async with self._session.get(
                    f"{self._url}{_SIM}/events",
                    params=query,
                    headers=headers,
                    timeout=timeout,
                    ssl=self._tls,
                ) as response:
                    if response.status != 200:
                        raise _error(response.status, await response.read())
                    async for after, event in _frames(response.content):
                        cursor = after
                        yield event
            except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, TimeoutError):
                if cursor is None:  # it has never begun
                    raise
            await asyncio.sleep(_PAUSE)

    # Requests.

    async def _get(self, path: str, model: type[Model]) -> Model:
        return (await self._ask("GET", path, model))[0]

    async def _post(
        self, path: str, model: type[Model], body: Mapping[str, Any] | None = None
    ) -> Model:
        return (await self._ask("POST", path, model, body=body))[0]

    async def _ask(
        self,
        method: str,
        path: str,
        model: type[Model],
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> tuple[Model, Mapping[str, str]]:
        assert self._session is not None
        headers = {"Idempotency-Key": uuid4().hex} if method == "POST" else {}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self._session.request(
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
                    return read(model, json.loads(data)), response.headers
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError):
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError


def read(model: type[Model], data: Mapping[str, Any]) -> Model:
    """An answer of the server as its model. Raises pydantic.ValidationError."""
    values = {}
    for name, field in model.model_fields.items():
        shown = field.serialization_alias or name
        if shown in data:
            values[name] = _value(field.annotation, data[shown])
    return model.model_validate(values)


def _value(annotation: Any, data: Any) -> Any:
    inner = get_args(annotation)
    if isinstance(data, list) and inner:
        return [_value(inner[0], one) for one in data]
    known = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return read(annotation, data) if known and isinstance(data, Mapping) else data


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


def _next_cursor(headers: Mapping[str, str]) -> str | None:
    """The cursor of the next page, by the Link of this one."""
    target, _, relation = headers.get("Link", "").partition(">")
    if 'rel="next"' not in relation:
        return None
    return URL(target.lstrip("<")).query.get("cursor")
