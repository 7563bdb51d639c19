"""A typed client of the REST surface: async, over aiohttp.

    async with CallsimClient("http://127.0.0.1:8080", "admin", "password") as server:
        async for call in server.calls(state="queued"):
            outcome = await server.transfer_and_wait(call.call_guid, "1002")

Answers are the models of `api.models` and of its neighbours. Every command has an
Idempotency-Key of its own, so that it is carried out once, also where it has to be asked
again. `api/README.md` has an example of each task.
"""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypedDict, TypeVar, Unpack

from pydantic import BaseModel

from api.connection import CallsimError as CallsimError
from api.connection import Connection, fields, part, read, utc
from api.event_models import AnyEvent, CallEnded, CallStateChanged
from api.models import (
    ActiveCall,
    ActiveCallDetail,
    ActiveCalls,
    CallOperationResult,
    CallVariables,
    RoutingResult,
)
from api.models_trace import CallTrace
from api.models_transfers import CallTransfers, TerminatedCalls, Transfer
from simulator.cdr_records import CallResult
from simulator.event_views import CONSULTING, EventType
from simulator.views import CallState, CallType, TerminateReason, TransferType

# A client that does not ask for these need not wait for them.
if TYPE_CHECKING:
    from api.plan_models import DialedNumberPattern
    from api.report_models import CallDetailRecord, WholeCallDetailRecord
    from api.webhook_models import NewWebhook

_CONTRACT: Final = "/cvp/rest"
_SIM: Final = "/sim/v1"
_REPORTING: Final = "/cvp-reporting/rest"
_PLAN: Final = "/oamp/rest"

Model = TypeVar("Model", bound=BaseModel)


class CallFilters(TypedDict, total=False):
    """Which calls are meant; `leg` is the number, sessionId or Call-ID of one of their legs."""

    state: CallState
    called_number: str
    calling_number: str
    application_name: str
    leg: str


class TransferData(TypedDict, total=False):
    """What else a transfer says: a label instead of the destination, ECC variables to set."""

    label: str
    ecc: Mapping[str, str]


class CallsimClient:
    """One server, one user. `tls` is a context for https, False to trust any certificate.

    `timeout` is in seconds, for each request; streams have none. The connection opens with
    the first request; leaving ``async with`` or `close` closes it. What a method may raise
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
        self._connection = Connection(url, user, password, tls, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._connection.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """Any operation of /openapi.json, by its whole path: the JSON of its answer."""
        return (await self._connection.ask(method, path, query=query or {}, body=body))[0]

    # Calls.

    async def calls(
        self, *, page: int = 1000, **filters: Unpack[CallFilters]
    ) -> AsyncIterator[ActiveCall]:
        """The active calls that match, the oldest first; `page` are asked for at a time."""
        query = fields(filters) | {"limit": str(page)}
        async for data in self._connection.pages(f"{_CONTRACT}/call", query):
            for call in read(ActiveCalls, data).calls:
                yield call

    async def call(self, call_guid: str) -> ActiveCallDetail:
        """One active call, with its history and variables."""
        return await self._get(f"{_CONTRACT}/call/{part(call_guid)}", ActiveCallDetail)

    async def originate(self, calling_number: str, destination: str) -> CallOperationResult:
        """Call one party, and connect it to the destination once it has answered."""
        body = {"callingNumber": calling_number, "destination": destination}
        return await self._post(f"{_SIM}/calls", CallOperationResult, body)

    async def terminate(
        self, call_guid: str, reason: TerminateReason = "requested"
    ) -> CallOperationResult:
        """End a call; the answer comes when its record is stored."""
        path = f"{_CONTRACT}/call/{part(call_guid)}/terminate"
        return await self._post(path, CallOperationResult, {"reason": reason})

    async def terminate_all(
        self, *, reason: TerminateReason = "requested", **filters: Unpack[CallFilters]
    ) -> int:
        """End all calls that match every filter, one at least: how many there were."""
        body = {**fields(filters), "reason": reason}
        return (await self._post(f"{_SIM}/calls/terminate", TerminatedCalls, body)).terminated_calls

    async def reset(self) -> int:
        """End all calls and forget idempotency keys: how many calls there were."""
        return (await self._post(f"{_SIM}/reset", TerminatedCalls)).terminated_calls

    async def hold(self, call_guid: str) -> CallOperationResult:
        """Put a call on hold; `wait_for` tells when it is: ``on_hold``."""
        return await self._command(call_guid, "hold")

    async def resume(self, call_guid: str) -> CallOperationResult:
        """Take a call back from the hold of a command."""
        return await self._command(call_guid, "resume")

    async def lookup(self, dialed_number: str, calling_number: str = "") -> RoutingResult:
        """Where a call to a number would go; nothing is dialed."""
        body = {"dialedNumber": dialed_number, "callingNumber": calling_number}
        return await self._post(f"{_CONTRACT}/routing/lookup", RoutingResult, body)

    # The trace.

    async def trace(self, call_guid: str, after: int = 0) -> CallTrace:
        """The SIP messages of a call, by its GUID or a Call-ID: those behind number `after`.

        CallsimError 404 where nothing of it is kept, or the trace is off.
        """
        path = f"{_SIM}/calls/{part(call_guid)}/trace"
        data, _ = await self._connection.ask("GET", path, query={"after": str(after)})
        return read(CallTrace, data)

    async def trace_file(self, call_guid: str, form: Literal["pcap", "svg", "txt"]) -> bytes:
        """The same as a file for Wireshark and its like, as a picture, or as a text."""
        path = f"{_SIM}/calls/{part(call_guid)}/trace.{form}"
        return (await self._connection.fetch("GET", path))[0]

    # Variables.

    async def variables(self, call_guid: str) -> CallVariables:
        """The variables of a call that were set."""
        return (await self.tagged_variables(call_guid))[0]

    async def tagged_variables(self, call_guid: str) -> tuple[CallVariables, str]:
        """The same with their ETag, which `set_variables` takes as `if_match`."""
        path = f"{_CONTRACT}/call/{part(call_guid)}/variables"
        data, headers = await self._connection.ask("GET", path)
        return read(CallVariables, data), headers["ETag"]

    async def set_variables(
        self,
        call_guid: str,
        *,
        ecc: Mapping[str, str] | None = None,
        call: Mapping[str, str] | None = None,
        peripheral: Mapping[str, str] | None = None,
        if_match: str = "",
    ) -> CallVariables:
        """Set variables; those that are not named keep their values. The full set comes back.

        CallsimError 412 where they have another ETag than `if_match` by now.
        """
        body = {
            "eccVariables": dict(ecc or {}),
            "callVariables": dict(call or {}),
            "peripheralVariables": dict(peripheral or {}),
        }
        path = f"{_CONTRACT}/call/{part(call_guid)}/variables"
        headers = {"If-Match": if_match} if if_match else {}
        data, _ = await self._connection.ask("PUT", path, body=body, headers=headers)
        return read(CallVariables, data)

    # Transfers.

    async def transfer(
        self,
        call_guid: str,
        destination: str,
        *,
        transfer_type: TransferType = "blind",
        **data: Unpack[TransferData],
    ) -> CallOperationResult:
        """Send a call elsewhere; under way when this returns."""
        body: dict[str, Any] = {"destination": destination, "transferType": transfer_type}
        if data.get("label"):
            body["label"] = data["label"]
        if data.get("ecc"):
            body["eccVariables"] = dict(data["ecc"])
        path = f"{_CONTRACT}/call/{part(call_guid)}/transfer"
        return await self._post(path, CallOperationResult, body)

    async def transfers(self, call_guid: str) -> list[Transfer]:
        """The transfers of a call, step by step, the first one first."""
        path = f"{_SIM}/calls/{part(call_guid)}/transfers"
        return (await self._get(path, CallTransfers)).transfers

    async def outcome(self, call_guid: str, number: int = -1) -> Transfer:
        """Wait until a transfer of a call is over: see its `state` and `sip_code`.

        `number` counts from 0; unset it is the last one.
        """
        async with aclosing(self._stream(None, (), call_guid)) as stream:
            await anext(stream)  # from here on nothing is missed
            while (found := (await self.transfers(call_guid))[number]).state == "pending":
                await anext(stream)
            return found

    async def transfer_and_wait(
        self,
        call_guid: str,
        destination: str,
        *,
        transfer_type: TransferType = "blind",
        **data: Unpack[TransferData],
    ) -> Transfer:
        """Send a call elsewhere, and wait for the outcome: see its `state` and `sip_code`."""
        before = len(await self.transfers(call_guid))
        await self.transfer(call_guid, destination, transfer_type=transfer_type, **data)
        return await self.outcome(call_guid, before)

    async def consult(
        self, call_guid: str, destination: str, **data: Unpack[TransferData]
    ) -> Transfer:
        """Have the agent consult the destination: ``pending`` once both talk, or ``failed``.

        Then `complete_transfer` or `cancel_transfer`. It takes a server that leaves the end
        to a command, by ``transfer.consultation: manual``.
        """
        before = len(await self.transfers(call_guid))
        async with aclosing(self._stream(None, (), call_guid)) as stream:
            await anext(stream)
            await self.transfer(call_guid, destination, transfer_type="consultation", **data)
            while (found := (await self.transfers(call_guid))[before]).state == "pending":
                event = await anext(stream)
                if isinstance(event, CallStateChanged) and event.details == CONSULTING:
                    break
            return found

    async def complete_transfer(self, call_guid: str) -> CallOperationResult:
        """Join the caller to the one who is consulted; `outcome` tells how it went."""
        return await self._command(call_guid, "transfer/complete")

    async def cancel_transfer(self, call_guid: str) -> CallOperationResult:
        """Give up a transfer whose target has not been joined to the caller."""
        return await self._command(call_guid, "transfer/cancel")

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
                if isinstance(event, AnyEvent):
                    yield event

    async def cursor(self) -> int:
        """Where the stream of events is now: to `watch` from there on misses nothing."""
        async with aclosing(self._stream(None, (), None)) as stream:
            first = await anext(stream)
            return first if isinstance(first, int) else first.cursor - 1

    async def wait_for(self, call_guid: str, *states: CallState) -> str:
        """Wait until a call is in one of these states, or over: the state, or ``ended``."""
        types = ("call.state_changed", "call.ended")
        async with aclosing(self._stream(None, types, call_guid)) as stream:
            await anext(stream)  # from here on nothing is missed
            try:
                state: str = (await self.call(call_guid)).state
            except CallsimError as error:
                if error.status != 404:
                    raise
                if await self._was(call_guid):
                    return "ended"
                details = f"no call has the GUID {call_guid!r}: none that is up, and no record"
                raise CallsimError(404, error.code, details) from None
            while state not in states:
                event = await anext(stream)
                if isinstance(event, CallEnded):
                    return "ended"
                if isinstance(event, CallStateChanged):
                    state = event.state
            return state

    async def add_webhook(
        self, url: str, event_types: Collection[EventType] = (), secret: str = ""
    ) -> "NewWebhook":
        """Have events posted to `url`; the answer has the secret that they are signed with."""
        from api.webhook_models import NewWebhook

        body = fields({"url": url, "event_types": list(event_types), "secret": secret or None})
        return await self._post(f"{_SIM}/webhooks", NewWebhook, body)

    async def remove_webhook(self, webhook_id: str) -> None:
        """Have no more events posted there."""
        await self._connection.ask("DELETE", f"{_SIM}/webhooks/{part(webhook_id)}")

    # Records and the dial plan.

    async def records(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        called_number: str | None = None,
        calling_number: str | None = None,
        call_result: CallResult | None = None,
        page: int = 1000,
    ) -> AsyncIterator["CallDetailRecord"]:
        """Records of calls that began in a range of time, the oldest first."""
        from api.report_models import CdrQueryResult

        query = fields(
            {
                "start_time": utc(start),
                "end_time": utc(end),
                "called_number": called_number,
                "calling_number": calling_number,
                "call_result": call_result,
            }
        )
        query |= {"sortOrder": "asc", "limit": str(page)}
        async for data in self._connection.pages(f"{_REPORTING}/cdr", query):
            for record in read(CdrQueryResult, data).records:
                yield record

    async def record(self, call_guid: str) -> "WholeCallDetailRecord":
        """The record of a call that has ended, with its legs, events and applications."""
        from api.report_models import WholeCallDetailRecord

        return await self._get(f"{_REPORTING}/cdr/{part(call_guid)}", WholeCallDetailRecord)

    async def patterns(self) -> "list[DialedNumberPattern]":
        """The dialed number patterns in their order."""
        from api.plan_models import DialedNumberPattern

        data, _ = await self._connection.ask("GET", f"{_PLAN}/dialedNumberPattern")
        return [read(DialedNumberPattern, one) for one in data]

    async def add_pattern(
        self,
        pattern: str,
        *,
        application_name: str | None = None,
        sip_server_group: str | None = None,
        call_type: CallType = "preroute",
        description: str | None = None,
    ) -> "DialedNumberPattern":
        """Lead numbers to an application or a script, or to a server group, from now on."""
        from api.plan_models import DialedNumberPattern

        body = fields(
            {
                "pattern": pattern,
                "call_type": call_type,
                "application_name": application_name,
                "sip_server_group": sip_server_group,
                "description": description,
            }
        )
        return await self._post(f"{_PLAN}/dialedNumberPattern", DialedNumberPattern, body)

    async def remove_pattern(self, pattern_id: str) -> None:
        """Take a pattern out of the plan."""
        await self._connection.ask("DELETE", f"{_PLAN}/dialedNumberPattern/{part(pattern_id)}")

    # Requests.

    def _stream(
        self, cursor: int | None, types: Collection[str], call_guid: str | None
    ) -> AsyncGenerator[AnyEvent | int, None]:
        return self._connection.events(f"{_SIM}/events", cursor, types, call_guid)

    async def _was(self, call_guid: str) -> bool:
        """Whether a call has ended: it has a record, or that still waits and there is its trace."""
        guid = part(call_guid)
        for path in (f"{_REPORTING}/cdr/{guid}", f"{_SIM}/calls/{guid}/trace"):
            try:
                found, _ = await self._connection.ask("GET", path)
            except CallsimError as error:
                if error.status != 404:
                    raise
            else:
                return bool(found.get("ended", True))
        return False

    async def _get(self, path: str, model: type[Model]) -> Model:
        return read(model, (await self._connection.ask("GET", path))[0])

    async def _post(
        self, path: str, model: type[Model], body: Mapping[str, Any] | None = None
    ) -> Model:
        return read(model, (await self._connection.ask("POST", path, body=body))[0])

    async def _command(self, call_guid: str, command: str) -> CallOperationResult:
        return await self._post(f"{_SIM}/calls/{part(call_guid)}/{command}", CallOperationResult)
