"""The contract's schemas: what requests may say, and what answers tell.

Class and field names become those of the contract (``call_guid`` is ``callGuid``). Requests
are strict: an unknown field, another type or a control character is an error. Answers are
made from the views of `simulator.views`; what is None is left out, and text that UTF-8
cannot carry (lone surrogates, from a peer's malformed message) is replaced by U+FFFD.
"""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic.json_schema import SkipJsonSchema

from simulator.views import CallState, CallType, Component, TerminateReason, TransferType

if TYPE_CHECKING:
    from simulator.routing import Lookup

MAX_NUMBER: Final = 200
MAX_VARIABLE: Final = 40
MAX_ECC: Final = 210
MAX_ECC_NAME: Final = 64
MAX_LIMIT: Final = 1000

AS_SHOWN: Final = "as shown"
"""The context in which a client makes models: of answers, not of views."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NO_CONTROL: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
_NOT_DIALABLE: Final = re.compile(r"[^!#-;=?-\[\]-~]")
_DIALABLE: Final = r"^[!#-;=?-\[\]-~]+$"
_NOT_NAME: Final = re.compile(r"[^!-~]")


def _refuse(found: re.Match[str] | None, fix: str) -> None:
    if found:
        raise ValueError(f"has the character {found[0]!a} at place {found.start() + 1}; {fix}")


def _plain(text: str) -> str:
    """Line ends and other control characters are what header injection is made of."""
    _refuse(_CONTROL.search(text), "remove it")
    return text


def _dialable(text: str) -> str:
    """What a SIP URI can hold, brackets and quotes excluded."""
    if not text:
        raise ValueError("is empty; give a number, an extension or a SIP URI")
    fix = 'use visible ASCII without < > " and \\, other characters as %HH in a SIP URI'
    _refuse(_NOT_DIALABLE.search(text), fix)
    return text


def _variable_name(name: str) -> str:
    if not name or len(name) > MAX_ECC_NAME:
        raise ValueError(f"has {len(name)} characters; a name has 1 to {MAX_ECC_NAME}")
    _refuse(_NOT_NAME.search(name), "a name is visible ASCII without blanks")
    return name


def _digits(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,100}", value):
        raise ValueError("must be a whole number in decimal digits")
    return value


WholeNumber = Annotated[int, BeforeValidator(_digits)]
Number = Annotated[
    str,
    Field(max_length=MAX_NUMBER, json_schema_extra={"pattern": _DIALABLE}),
    AfterValidator(_dialable),
]
NumberOrNone = Annotated[
    str,
    Field(max_length=MAX_NUMBER, json_schema_extra={"pattern": _DIALABLE.replace("]+$", "]*$")}),
    AfterValidator(lambda text: text and _dialable(text)),
]
PlainText = Annotated[
    str,
    Field(max_length=MAX_NUMBER, json_schema_extra={"pattern": _NO_CONTROL}),
    AfterValidator(_plain),
]
VariableValue = Annotated[
    str,
    Field(max_length=MAX_VARIABLE, json_schema_extra={"pattern": _NO_CONTROL}),
    AfterValidator(_plain),
]
EccValue = Annotated[
    str,
    Field(max_length=MAX_ECC, json_schema_extra={"pattern": _NO_CONTROL}),
    AfterValidator(_plain),
]
EccName = Annotated[str, AfterValidator(_variable_name)]


def _named(pattern: str) -> JsonDict:
    """Addition to the schema of a mapping: how its keys look."""
    return {"propertyNames": {"pattern": pattern}}


_ECC_NAMES: Final = _named(f"^[!-~]{{1,{MAX_ECC_NAME}}}$")


class Request(BaseModel):
    """A request body: strict types, no unknown fields."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)


class Query(BaseModel):
    """The query of a URL: all values arrive as text, no unknown names."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class ActiveCallsQuery(Query):
    """Which calls to list."""

    state: CallState | SkipJsonSchema[None] = Field(None, description="Only calls in this state.")
    called_number: PlainText | SkipJsonSchema[None] = Field(
        None, description="Only calls to exactly this number."
    )
    calling_number: PlainText | SkipJsonSchema[None] = Field(
        None, description="Only calls from exactly this number."
    )
    application_name: PlainText | SkipJsonSchema[None] = Field(
        None, description="Only calls of this application."
    )
    leg: PlainText | SkipJsonSchema[None] = Field(
        None, description="Only calls with this leg: its number, sessionId or Call-ID."
    )
    limit: WholeNumber = Field(
        100, ge=1, le=MAX_LIMIT, description="How many calls to list at most."
    )
    cursor: WholeNumber = Field(
        0, ge=0, description="Where the page begins: as the Link of the page before says."
    )


class SipSessionsQuery(Query):
    """How many sessions to list."""

    limit: WholeNumber = Field(100, ge=1, description="How many sessions to list at most.")


class HeartbeatQuery(Query):
    """What CVP's IVR service is asked for."""

    msg_type: Literal["HEARTBEAT"] = Field(
        "HEARTBEAT", alias="MSG_TYPE", description="The one question."
    )
    timeout: WholeNumber = Field(
        0, ge=0, alias="TIMEOUT", description="As CVP has it; the answer comes at once."
    )


class TransferRequest(Request):
    """Where a call is to go."""

    destination: Number = Field(description="A number, an extension or a SIP URI.")
    transfer_type: TransferType = Field("blind", description="consultation asks the target first.")
    label: Number = Field(
        "", description="A label that replaces the destination; its prefix rf chooses REFER."
    )
    ecc_variables: dict[EccName, EccValue] = Field(
        default_factory=dict,
        description="Set before the transfer starts.",
        json_schema_extra=_ECC_NAMES,
    )


class TerminateRequest(Request):
    """Why a call is to end; Q.850 cause 16, 31, 102 or 41 tells the parties."""

    reason: TerminateReason = "requested"


class CallVariablesUpdate(Request):
    """Variables to set; those that are not named keep their values."""

    ecc_variables: dict[EccName, EccValue] = Field(
        default_factory=dict, json_schema_extra=_ECC_NAMES
    )
    peripheral_variables: dict[str, VariableValue] = Field(
        default_factory=dict, json_schema_extra=_named("^peripheral([1-9]|10)$")
    )
    call_variables: dict[str, VariableValue] = Field(
        default_factory=dict, json_schema_extra=_named("^callVariable([1-9]|10)$")
    )


class RoutingLookupRequest(Request):
    """The number to look up; an anonymous caller has none."""

    dialed_number: Number
    calling_number: NumberOrNone = ""


def _clean(value: object) -> object:
    """Text with lone surrogates mended, so that it can be sent."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def _finite(value: object) -> object:
    """JSON knows no NaN and no infinity: such a figure is left out."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _whole(value: object) -> object:
    """RFC 3339 durations have no fractions of a second."""
    return int(value) if isinstance(value, float) else value


def _now() -> datetime:
    return datetime.now(UTC)


Text = Annotated[str, BeforeValidator(_clean)]
# Left out of the answer where there is none.
OptionalText = Annotated[Text | SkipJsonSchema[None], BeforeValidator(lambda value: value or None)]
Share = Annotated[
    float | SkipJsonSchema[None],
    BeforeValidator(_finite),
    Field(json_schema_extra={"format": "float"}),
]
Texts = dict[Text, Text]


class Reply(BaseModel):
    """An answer; made from a view by ``model_validate``."""

    model_config = ConfigDict(
        alias_generator=AliasGenerator(serialization_alias=to_camel),
        populate_by_name=True,
        from_attributes=True,
        frozen=True,
    )


class ActiveCall(Reply):
    """One active call; `duration` in seconds."""

    call_guid: Text = Field(validation_alias="guid")
    state: CallState
    calling_number: Text
    called_number: Text
    start_time: datetime
    duration: int
    application_name: Text


class IcmRouteResult(Reply):
    """What ICM decided last; a part it has not decided is left out."""

    route_label: OptionalText = None
    skill_group: OptionalText = None
    agent_id: OptionalText = None


class CallHistoryEntry(Reply):
    """One line of a call's history."""

    timestamp: datetime = Field(validation_alias="time")
    event: Text
    details: Text


class ActiveCallDetail(ActiveCall):
    """One active call with its caller's dialog, its history and variables."""

    sip_call_id: Text
    sip_from_tag: Text
    sip_to_tag: Text
    icm_route_result: IcmRouteResult
    vxml_server: Text
    call_history: list[CallHistoryEntry] = Field(validation_alias="history")
    ecc_variables: Texts


class ActiveCalls(Reply):
    """`total_active_calls` counts all that match; `calls` are the oldest of them."""

    total_active_calls: int
    calls: list[ActiveCall]


class CallOperationResult(Reply):
    """What became of a command: `pending` is under way, `success` is done."""

    call_guid: Text
    operation: Text
    status: Literal["success", "pending", "failed"]
    message: Text
    timestamp: datetime = Field(default_factory=_now)


def _ten_texts(name: str) -> WithJsonSchema:
    properties = {f"{name}{number}": {"type": "string"} for number in range(1, 11)}
    return WithJsonSchema({"type": "object", "properties": properties})


class CallVariables(Reply):
    """All variables of a call that were set."""

    call_guid: Text
    ecc_variables: Texts
    peripheral_variables: Annotated[Texts, _ten_texts("peripheral")]
    call_variables: Annotated[Texts, _ten_texts("callVariable")]


class RoutingResult(Reply):
    """A routing decision; what an unmatched number lacks is left out."""

    dialed_number: Text
    matched: bool
    matched_pattern: OptionalText = None
    call_type: CallType | SkipJsonSchema[None] = None
    application_name: OptionalText = None
    route_destination: OptionalText = None


def routing_result(found: "Lookup") -> RoutingResult:
    """The model of a decision."""
    return RoutingResult.model_validate(found)


class SipSession(Reply):
    """One SIP dialog, which is one leg of a call."""

    session_id: Text
    call_id: Text
    call_guid: Text
    state: Literal["initial", "early", "confirmed", "terminated"]
    method: Text
    from_uri: Text
    to_uri: Text
    start_time: datetime


class SipSessionDetail(Reply):
    """One SIP dialog with its identifiers and addresses."""

    session_id: Text
    call_id: Text
    call_guid: Text
    state: Text
    from_uri: Text
    to_uri: Text
    from_tag: Text
    to_tag: Text
    cseq: int
    transport: Literal["UDP", "TCP", "TLS"]
    local_address: Text
    remote_address: Text
    start_time: datetime
    last_activity_time: datetime


class SipSessions(Reply):
    """`total_sessions` counts all; `sessions` are the oldest of them."""

    total_sessions: int
    sessions: list[SipSession]


class HealthStatus(Reply):
    """The server as a whole; usages in percent, `uptime` an ISO 8601 duration."""

    server_name: Text
    status: Literal["healthy", "degraded", "unhealthy"]
    uptime: Annotated[timedelta, BeforeValidator(_whole)]
    version: Text
    active_calls: int
    max_calls: int
    sip_stack_status: Literal["running", "stopped", "error"]
    cpu_usage: Share
    memory_usage: Share
    timestamp: datetime = Field(default_factory=_now)


class Connection(Reply):
    """One neighbour; `latency` in milliseconds, left out when the probe failed."""

    component: Component
    hostname: Text
    ip_address: Text
    port: int
    status: Literal["connected", "disconnected", "timeout", "error"]
    latency: int | SkipJsonSchema[None] = None
    last_successful_contact: datetime | SkipJsonSchema[None] = None


class ConnectivityStatus(Reply):
    """The neighbours, probed for this answer."""

    timestamp: datetime = Field(default_factory=_now)
    connections: list[Connection]


class Probe(Reply):
    """The answer to a liveness or readiness probe."""

    status: Literal["alive", "ready"]


class Error(Reply):
    """What went wrong; `details` names field, value and fix."""

    code: Text
    message: Text
    details: Text
    timestamp: datetime = Field(default_factory=_now)
