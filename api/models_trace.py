"""The schemas of the trace: the SIP messages of calls."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, RootModel
from pydantic.json_schema import SkipJsonSchema

from api.models import MAX_LIMIT, OptionalText, Query, Reply, Request, Text, WholeNumber


def _some(value: int) -> int | None:
    return value or None


class TraceQuery(Query):
    """Which messages of a call."""

    after: WholeNumber = Field(
        0, ge=0, description="Only messages whose number is higher: what is new since then."
    )


class TracedCallsQuery(Query):
    """How many calls."""

    limit: WholeNumber = Field(100, ge=1, le=MAX_LIMIT, description="Calls at most.")


class TraceMessage(Reply):
    """One SIP message, or a note between two, which has none of a message's fields.

    `number` rises from message to message of the whole server; addresses are host:port.
    """

    number: int
    timestamp: datetime
    leg: OptionalText = Field(None, description="caller, vxml, agent, transfer and so on.")
    call_id: Text
    direction: Literal["in", "out"] | SkipJsonSchema[None] = None
    transport: Literal["UDP", "TCP", "TLS"] | SkipJsonSchema[None] = None
    local: OptionalText = None
    peer: OptionalText = None
    summary: OptionalText = Field(None, description="Method, or status and reason.")
    message: OptionalText = Field(
        None, description="The whole message; an x stands for each octet of a secret."
    )
    note: OptionalText = Field(None, description="What was done on purpose to a message.")


class CallTrace(Reply):
    """The messages of one call on all its legs, in the order in which they came and went."""

    call_guid: OptionalText = Field(
        None, description="Missing where the INVITE was refused before there was a call."
    )
    ended: bool
    omitted: int = Field(description="Messages that made room while the call was in progress.")
    messages: list[TraceMessage]


class TracedCall(Reply):
    """A call of which messages are kept."""

    call_guid: OptionalText = Field(None, validation_alias="guid")
    call_id: Text = Field(description="Of the first leg.")
    start_time: datetime = Field(validation_alias="time")
    request: Text = Field(description="The first line of the first message.")
    sip_code: Annotated[int | SkipJsonSchema[None], BeforeValidator(_some)] = Field(
        None,
        validation_alias="status",
        description="The last final response to an INVITE of the first leg.",
    )
    legs: int
    messages: int


class TracedCalls(Reply):
    """Calls of which messages are kept, those that began last first."""

    calls: list[TracedCall]


class TraceState(Reply):
    """The trace itself: how many messages and octets it keeps."""

    enabled: bool
    messages: int
    octets: int


class TraceUpdate(Request):
    """On or off; turned off it forgets all."""

    enabled: bool


class TraceText(RootModel[str]):
    """A ladder as text in UTF-8."""


class TraceSvg(RootModel[str]):
    """A ladder as a picture."""


class TracePcap(RootModel[str]):
    """A capture file (libpcap, raw IP)."""
