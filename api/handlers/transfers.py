"""What the contract lacks: the steps of transfers, the end of a consultation, hold."""

from typing import Final

from api.keys import CallServer
from api.models import CallOperationResult
from api.models_transfers import ActiveLeg, ActiveLegs, CallTransfers, Transfer
from api.operations import Operations

SIM_PREFIX: Final = "/sim/v1"

transfers: Final = Operations("Transfers", SIM_PREFIX)

_GONE: Final = "not found or no longer active"


@transfers.add(
    "GET",
    "/calls/{callGuid}/transfers",
    "transfers, step by step",
    errors={404: "not found, or ended too long ago"},
)
async def list_call_transfers(server: CallServer, call_guid: str) -> CallTransfers:
    """The transfers of a call, with the messages, SIP codes and reasons of each.

    The calls transferred last stay for an hour after their end.
    """
    found = [Transfer.model_validate(view) for view in server.transfers(call_guid)]
    return CallTransfers(call_guid=call_guid, transfers=found)


@transfers.add("GET", "/calls/{callGuid}/legs", "the legs", errors={404: _GONE})
async def list_call_legs(server: CallServer, call_guid: str) -> ActiveLegs:
    """The legs of a call that are up or ring, each with its SIP session."""
    found = [ActiveLeg.model_validate(view) for view in server.legs(call_guid)]
    return ActiveLegs(call_guid=call_guid, legs=found)


@transfers.add(
    "POST",
    "/calls/{callGuid}/transfer/complete",
    "the caller is being joined to the target",
    status=202,
    errors={404: _GONE, 409: "nobody is consulted, or has answered yet"},
    role="control",
    once=True,
)
async def complete_transfer(server: CallServer, call_guid: str) -> CallOperationResult:
    """Complete a consultation (transfer.consultation: manual).

    202 means under way; the outcome comes as that of every transfer.
    """
    server.complete_transfer(call_guid)
    return _pending(call_guid, "transfer/complete", "the caller is being joined to the target")


@transfers.add(
    "POST",
    "/calls/{callGuid}/transfer/cancel",
    "the call goes back to where it was",
    status=202,
    errors={404: _GONE, 409: "no transfer is under way that can be cancelled"},
    role="control",
    once=True,
)
async def cancel_transfer(server: CallServer, call_guid: str) -> CallOperationResult:
    """Give up a transfer whose target has not been joined to the caller."""
    server.cancel_transfer(call_guid)
    return _pending(call_guid, "transfer/cancel", "the transfer was given up")


@transfers.add(
    "POST",
    "/calls/{callGuid}/hold",
    "the far ends are being put on hold",
    status=202,
    errors={404: _GONE, 409: "state does not allow hold"},
    role="control",
    once=True,
)
async def hold_call(server: CallServer, call_guid: str) -> CallOperationResult:
    """Put a call on hold.

    The state is on_hold when the far ends have agreed; callHistory tells if they do not.
    """
    server.hold(call_guid)
    return _pending(call_guid, "hold", "the far ends are being put on hold")


@transfers.add(
    "POST",
    "/calls/{callGuid}/resume",
    "the far ends are being taken back",
    status=202,
    errors={404: _GONE, 409: "the call is not held by a command"},
    role="control",
    once=True,
)
async def resume_call(server: CallServer, call_guid: str) -> CallOperationResult:
    """Take a call back from the hold of a command; those of phones are theirs to end."""
    server.resume(call_guid)
    return _pending(call_guid, "resume", "the far ends are being taken back")


def _pending(call_guid: str, operation: str, message: str) -> CallOperationResult:
    return CallOperationResult(
        call_guid=call_guid, operation=operation, status="pending", message=message
    )
