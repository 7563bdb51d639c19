"""The client held against /openapi.json: paths, methods, fields, and what it reads."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, get_type_hints

import pytest
from pydantic.alias_generators import to_camel

from api.client import CallFilters, CallsimClient, TransferData
from api.examples import examples
from tests.api.support import run
from tests.api.test_contract import resolved
from tests.api.test_examples import DOCUMENT, FULL, OPERATIONS, faults, shown

GUID = examples().parameters["callGuid"]["example"]
FILTERS: dict[str, Any] = {
    "state": "queued",
    "called_number": "7001",
    "calling_number": "1001",
    "application_name": "bank",
    "leg": "1002",
}
Use = Callable[[CallsimClient], Awaitable[Any] | AsyncIterator[Any]]

# Each method with all its arguments, and the operations that it is to ask for.
USES: dict[str, tuple[Use, list[str]]] = {
    "calls": (lambda c: c.calls(page=10, **FILTERS), ["listActiveCalls"]),
    "call": (lambda c: c.call(GUID), ["getCallDetails"]),
    "originate": (lambda c: c.originate("1001", "7001"), ["originateCall"]),
    "terminate": (lambda c: c.terminate(GUID, "timeout"), ["terminateCall"]),
    "terminate_all": (lambda c: c.terminate_all(reason="error", **FILTERS), ["terminateCalls"]),
    "reset": (lambda c: c.reset(), ["resetServer"]),
    "hold": (lambda c: c.hold(GUID), ["holdCall"]),
    "resume": (lambda c: c.resume(GUID), ["resumeCall"]),
    "lookup": (lambda c: c.lookup("7001", "1001"), ["routingLookup"]),
    "variables": (lambda c: c.variables(GUID), ["getCallVariables"]),
    "tagged_variables": (lambda c: c.tagged_variables(GUID), ["getCallVariables"]),
    "set_variables": (
        lambda c: c.set_variables(
            GUID,
            ecc={"user.tier": "1"},
            call={"callVariable1": "x"},
            peripheral={"peripheral2": "y"},
            if_match='"1"',
        ),
        ["setCallVariables"],
    ),
    "transfer": (
        lambda c: c.transfer(
            GUID, "1002", transfer_type="consultation", label="1002", ecc={"user.a": "b"}
        ),
        ["transferCall"],
    ),
    "trace": (lambda c: c.trace(GUID, 7), ["getCallTrace"]),
    "transfers": (lambda c: c.transfers(GUID), ["listCallTransfers"]),
    "complete_transfer": (lambda c: c.complete_transfer(GUID), ["completeTransfer"]),
    "cancel_transfer": (lambda c: c.cancel_transfer(GUID), ["cancelTransfer"]),
    "add_webhook": (
        lambda c: c.add_webhook(
            "http://a.example/", ["call.ended"], "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        ),
        ["createWebhook"],
    ),
    "remove_webhook": (lambda c: c.remove_webhook("a/b"), ["deleteWebhook"]),
    "records": (
        lambda c: c.records(
            start=datetime(2026, 5, 28, tzinfo=UTC),
            end=datetime(2026, 5, 29, tzinfo=UTC),
            called_number="7001",
            calling_number="1001",
            call_result="completed",
            page=10,
        ),
        ["getCallDetailRecords"],
    ),
    "record": (lambda c: c.record(GUID), ["getCallDetailRecord"]),
    "patterns": (lambda c: c.patterns(), ["listDialedNumberPatterns"]),
    "add_pattern": (
        lambda c: c.add_pattern(
            "4XXX",
            application_name="bank",
            sip_server_group="cucm.lab",
            call_type="post_route",
            description="sales",
        ),
        ["createDialedNumberPattern"],
    ),
    "remove_pattern": (lambda c: c.remove_pattern("7>"), ["deleteDialedNumberPattern"]),
    "request": (
        lambda c: c.request("PUT", "/sim/v1/agents/1001", body={"state": "not_ready"}),
        ["setAgentState"],
    ),
}
# What stands on those: shown to work with calls in test_client.py, the file in test_trace.py.
WAITING = {
    *("outcome", "transfer_and_wait", "consult", "cursor", "watch", "wait_for", "trace_file"),
    "close",
}


class Documented:
    """Answers as the document shows it, to whoever asks as it says; `asked` are operations."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Any, Mapping[str, str]]:
        name = operation_at(method, path)
        described = resolved(DOCUMENT, {**shown(OPERATIONS[name]), "links": None})
        taken = {(one["in"], one["name"]) for one in described.get("parameters", ())}
        assert {("query", key) for key in query or {}} <= taken
        assert {("header", key) for key in headers or {}} <= taken
        schema = described.get("requestBody", {}).get("content", {}).get("application/json")
        if body is None:
            assert schema is None or not described["requestBody"]["required"]
        else:
            assert schema is not None
            assert faults(body, schema["schema"]) == []
        self.asked.append(name)
        return examples().of(name).answer, {"ETag": '"1"'}


def operation_at(method: str, path: str) -> str:
    """The operation with this method, at this path; its parts may be anything."""
    parts = path.split("/")
    for template, item in FULL["paths"].items():
        pattern = template.split("/")
        if len(pattern) == len(parts) and all(
            one.startswith("{") or one == other for one, other in zip(pattern, parts, strict=True)
        ):
            operation = item.get(method.lower())
            if operation is not None:
                found: str = operation["operationId"]
                return found
    raise AssertionError(f"there is no {method} {path}")


@pytest.mark.parametrize("name", USES)
@run
async def test_it_asks_as_the_document_says_and_reads_what_that_shows(name: str) -> None:
    use, operations = USES[name]
    client = CallsimClient("http://127.0.0.1:1", "me", "secret")
    documented = Documented()
    client._connection.ask = documented  # type: ignore[method-assign]
    result = use(client)
    answer = [one async for one in result] if isinstance(result, AsyncIterator) else await result
    assert documented.asked == operations
    if examples().of(operations[0]).answer is not None:
        assert answer is not None
        assert answer != []


def test_every_method_is_shown() -> None:
    public = {name for name in vars(CallsimClient) if not name.startswith("_")}
    assert public == set(USES) | WAITING


def names_of(method: Callable[..., Any], more: type | None = None) -> set[str]:
    """The arguments of a method, by their names in the API."""
    names = set(inspect.signature(method).parameters) | set(get_type_hints(more) if more else ())
    return {to_camel(name) for name in names}


def test_it_takes_all_that_the_document_has() -> None:
    """Every filter, and every field of a body."""
    schemas = DOCUMENT["components"]["schemas"]

    def queries(name: str) -> set[str]:
        parameters = shown(OPERATIONS[name])["parameters"]
        return {one["name"] for one in parameters if one.get("in") == "query"}

    filters = {to_camel(name) for name in get_type_hints(CallFilters)}
    assert filters == queries("listActiveCalls") - {"limit", "cursor"}
    assert filters | {"reason"} == set(schemas["TerminateCallsRequest"]["properties"])
    transfer = set(schemas["TransferRequest"]["properties"]) - {"eccVariables"} | {"ecc"}
    for method in (CallsimClient.transfer, CallsimClient.transfer_and_wait):
        assert names_of(method, TransferData) - {"self", "callGuid", "data"} == transfer
    assert names_of(CallsimClient.originate) - {"self"} == set(
        schemas["OriginateRequest"]["properties"]
    )
    assert names_of(CallsimClient.lookup) - {"self"} == set(
        schemas["RoutingLookupRequest"]["properties"]
    )
    webhook = set(schemas["WebhookRequest"]["properties"])
    assert names_of(CallsimClient.add_webhook) - {"self"} == webhook
    assert names_of(CallsimClient.watch) - {"self", "types"} == queries("streamEvents") - {"type"}


@run
async def test_durations_of_records_are_those_that_are_shown() -> None:
    client = CallsimClient("http://127.0.0.1:1", "me", "secret")
    client._connection.ask = Documented()  # type: ignore[method-assign]
    record = await client.record(GUID)
    assert (record.call_duration, record.self_service_duration) == (60, 2)
    assert record.legs[0].duration == 60
    assert record.call_start_time == datetime(2026, 5, 28, 20, 26, 40, 250_000, UTC)
