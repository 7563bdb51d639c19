"""Call Management: what calls there are, and what to do with one."""

from typing import Final
from urllib.parse import urlencode

from api.keys import CallServer
from api.listing import Json, Listing
from api.models import (
    ActiveCallDetail,
    ActiveCalls,
    ActiveCallsQuery,
    CallOperationResult,
    CallVariables,
    CallVariablesUpdate,
    TerminateRequest,
    TransferRequest,
)
from api.operations import CONTRACT_PREFIX, Operations, check_match
from simulator.views import CallFilter, CallView, TransferCommand

calls: Final = Operations("Call Management")

_GONE: Final = "not found or no longer active"
_REQUESTED: Final = TerminateRequest()
_ACTIVE: Final = Listing(ActiveCalls, CallView)


@calls.add("GET", "/call", "active calls")
async def list_active_calls(server: CallServer, query: ActiveCallsQuery) -> Json[ActiveCalls]:
    """Active calls, the oldest first.

    totalActiveCalls counts all that match, not only those listed. Where there are more, Link
    (rel="next") leads to them.
    """
    wanted = CallFilter(
        query.state, query.called_number, query.calling_number, query.application_name, query.leg
    )
    page = server.active_calls(wanted, query.limit, query.cursor)
    listed = await _ACTIVE.of(page.total, page.calls)
    if page.cursor is not None:
        more = query.model_copy(update={"cursor": page.cursor})
        asked = urlencode(more.model_dump(by_alias=True, exclude_defaults=True))
        listed.headers["Link"] = f'<{CONTRACT_PREFIX}/call?{asked}>; rel="next"'
    return listed


@calls.add("GET", "/call/{callGuid}", "call details", errors={404: _GONE})
async def get_call_details(server: CallServer, call_guid: str) -> ActiveCallDetail:
    """One active call with its dialog, history and variables."""
    return ActiveCallDetail.model_validate(server.call_detail(call_guid))


@calls.add(
    "POST",
    "/call/{callGuid}/transfer",
    "transfer initiated",
    status=202,
    errors={404: _GONE, 409: "state does not allow transfer"},
    role="control",
    once=True,
)
async def transfer_call(
    server: CallServer, call_guid: str, body: TransferRequest
) -> CallOperationResult:
    """Send a call elsewhere.

    202 means under way; the outcome comes in the call's state and callHistory. The label, if
    there is one, replaces the destination.
    """
    command = TransferCommand(
        destination=body.destination,
        transfer_type=body.transfer_type,
        label=body.label or None,
        ecc_variables=body.ecc_variables,
    )
    server.transfer(call_guid, command)
    return CallOperationResult(
        call_guid=call_guid,
        operation="transfer",
        status="pending",
        message=f"{body.transfer_type} transfer to {body.label or body.destination} initiated",
    )


@calls.add(
    "POST",
    "/call/{callGuid}/terminate",
    "terminated",
    errors={404: "not found or already terminated"},
    role="control",
    once=True,
)
async def terminate_call(
    server: CallServer, call_guid: str, body: TerminateRequest = _REQUESTED
) -> CallOperationResult:
    """End a call on all its legs.

    The answer comes when its record is stored.
    """
    await server.terminate(call_guid, body.reason)
    return CallOperationResult(
        call_guid=call_guid,
        operation="terminate",
        status="success",
        message=f"call terminated ({body.reason})",
    )


@calls.add("GET", "/call/{callGuid}/variables", "variables", errors={404: "not found"}, tagged=True)
async def get_call_variables(server: CallServer, call_guid: str) -> CallVariables:
    """The variables of a call that were set."""
    return _variables(server, call_guid, None)


@calls.add(
    "PUT",
    "/call/{callGuid}/variables",
    "updated variables",
    errors={404: "not found"},
    role="control",
)
async def set_call_variables(
    server: CallServer, call_guid: str, body: CallVariablesUpdate, if_match: str
) -> CallVariables:
    """Set variables of a call.

    Those that are not named keep their values; all are set or none. The full set comes back.
    If-Match with the ETag that was read keeps two clients from undoing each other's work.
    """
    if if_match:
        check_match(if_match, _variables(server, call_guid, None))
    return _variables(server, call_guid, body)


def _variables(
    server: CallServer, call_guid: str, update: CallVariablesUpdate | None
) -> CallVariables:
    if update is None:
        view = server.call_variables(call_guid)
    else:
        view = server.set_variables(
            call_guid,
            update.ecc_variables or None,
            update.peripheral_variables or None,
            update.call_variables or None,
        )
    return CallVariables(
        call_guid=call_guid,
        ecc_variables=view.ecc,
        peripheral_variables=view.peripheral,
        call_variables=view.call,
    )
