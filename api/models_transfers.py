"""The schemas of transfers, which the contract does not have."""

from datetime import datetime
from typing import Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from api.models import OptionalText, Reply, Text


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
