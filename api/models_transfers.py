"""The schemas of transfers and of calls that are made, which the contract does not have."""

from datetime import datetime
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from api.models import (
    Number,
    OptionalText,
    PlainText,
    Reply,
    Request,
    SipSessionDetail,
    Text,
)
from simulator.views import CallState, TerminateReason


def _given(value: object) -> object:
    if value is None:
        raise ValueError("is null; leave it out")
    return value


Wanted = TypeVar("Wanted")
Given = Annotated[Wanted | SkipJsonSchema[None], BeforeValidator(_given)]
"""What may be left out of a body, but not be null."""

_FILTERS: Final = ("state", "calledNumber", "callingNumber", "applicationName", "leg")


class OriginateRequest(Request):
    """Whom to call, and where to connect it to."""

    calling_number: Number = Field(
        description="Called first: a number with a static route, an extension or a SIP URI."
    )
    destination: Number = Field(
        description="Then, as if the first had dialed it: a number, an extension or a SIP URI."
    )


class TerminateCallsRequest(Request):
    """Which calls are to end, by one or more of the filters, and why."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [name]} for name in _FILTERS]}
    )

    state: Given[CallState] = None
    called_number: Given[PlainText] = None
    calling_number: Given[PlainText] = None
    application_name: Given[PlainText] = None
    leg: Given[PlainText] = Field(None, description="The number, sessionId or Call-ID of one leg.")
    reason: TerminateReason = "requested"

    @model_validator(mode="after")
    def _says_which(self) -> "TerminateCallsRequest":
        if not self.model_fields_set - {"reason"}:
            raise ValueError("needs a filter; POST /sim/v1/reset ends all calls")
        return self


class TerminatedCalls(Reply):
    """How many calls were ended; their records are stored."""

    terminated_calls: int


class ActiveLeg(Reply):
    """One leg of a call that is up or rings: what it is for, its number, and its SIP session."""

    leg: Text
    number: OptionalText = None
    session: SipSessionDetail


class ActiveLegs(Reply):
    """The legs of one call, the oldest first."""

    call_guid: Text
    legs: list[ActiveLeg]


class TransferStep(Reply):
    """One SIP message on one leg; the code and reason of a NOTIFY are those that it tells."""

    timestamp: datetime = Field(validation_alias="time")
    leg: Text
    number: OptionalText = None
    session_id: Text
    direction: Literal["sent", "received"]
    message: OptionalText = None
    sip_code: int | SkipJsonSchema[None] = None
    reason: OptionalText = None
    outcome: Literal["requested", "progress", "success", "failure"]


class Transfer(Reply):
    """One transfer; `sip_code` and `reason` tell the outcome of one that is over."""

    transfer_type: Literal["blind", "consultation", "attended"]
    method: Literal["reinvite", "refer", "replaces", "outpulse"]
    initiated_by: Text
    destination: Text
    label: OptionalText = None
    state: Literal["pending", "completed", "failed", "cancelled"]
    start_time: datetime
    end_time: datetime | SkipJsonSchema[None] = None
    sip_code: int | SkipJsonSchema[None] = None
    reason: OptionalText = None
    steps: list[TransferStep]


class CallTransfers(Reply):
    """The transfers of one call, the first one first."""

    call_guid: Text
    transfers: list[Transfer]
