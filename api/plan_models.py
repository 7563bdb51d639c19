"""The dial plan as the profile's Administration API shows it."""

import re
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from api.models import OptionalText, Reply, Request, Text
from simulator.config_dial_plan import (
    NAME_SYNTAX,
    ServerGroupSection,
    group_name,
)
from simulator.config_plan import DialedNumber
from simulator.config_values import no_zone
from simulator.errors import PlanConflict
from simulator.profile_patterns import check_pattern
from simulator.views import CallType, LoadBalancing

_PRINTABLE: Final = (
    " -~\\u00a1-\\u00ac\\u00ae-\\u0377\\u0400-\\u052f\\u3041-\\u3096\\u30a1-\\u30fa"
    "\\u4e00-\\u9fff\\uac00-\\ud7a3"
)
"""Letters and signs of most languages; none that cannot be seen."""

_UNSEEN: Final = re.compile(f"[^{_PRINTABLE}]")


def _whole(value: object) -> object:
    """A number such as 1.0 is a whole one in JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _words(text: str) -> str:
    found = _UNSEEN.search(text)
    if found:
        raise ValueError(f"has the character {found[0]!a} at place {found.start() + 1}; remove it")
    return text


def _host(text: str) -> str:
    if ":" in text:
        no_zone(text)
    try:
        return str(ip_address(text))
    except ValueError:
        if re.fullmatch(NAME_SYNTAX[1:-1], text, re.ASCII):
            return text
    raise ValueError("must be an IP address, or a host name of parts that begin with a letter")


Whole = Annotated[int, BeforeValidator(_whole)]
Words = Annotated[
    str,
    Field(max_length=200, json_schema_extra={"pattern": f"^[{_PRINTABLE}]*$"}),
    AfterValidator(_words),
]
Name = Annotated[
    str,
    Field(min_length=1, max_length=200, json_schema_extra={"pattern": f"^[{_PRINTABLE}]+$"}),
    AfterValidator(_words),
]
GroupName = Annotated[
    str, Field(json_schema_extra={"pattern": NAME_SYNTAX}), AfterValidator(group_name)
]
PatternText = Annotated[
    str,
    Field(
        json_schema_extra={"pattern": r"^([A-Za-z0-9.]{0,23}[A-Za-z0-9.>*!]|[A-Za-z0-9+*#]{1,24})$"}
    ),
    AfterValidator(check_pattern),
]
Host = Annotated[
    str,
    AfterValidator(_host),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "ipv4"},
                {"type": "string", "format": "ipv6"},
                {"type": "string", "pattern": NAME_SYNTAX},
            ]
        }
    ),
]


class DialedNumberPatternCreate(Request):
    """What is to become of calls to the numbers of a pattern.

    applicationName, a script of ICM or a VXML application, or sipServerGroup must be there.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["applicationName"]}, {"required": ["sipServerGroup"]}]
        }
    )

    pattern: PatternText = Field(
        description="As dial_plan.syntax says: CVP's own unless configured otherwise."
    )
    description: Words = ""
    call_type: CallType
    application_name: Name = ""
    enabled: bool = True
    priority: Whole = Field(
        1, ge=1, le=65_535, description="The lowest wins, where dial_plan.syntax says so."
    )
    sip_server_group: GroupName = Field(
        "", description="groupId: where calls go, or with an application labels without a route."
    )
    survival_application: Words = Field(
        "", description="VXML application while ICM cannot be asked."
    )

    @model_validator(mode="after")
    def _leads_somewhere(self) -> "DialedNumberPatternCreate":
        if not self.model_fields_set & {"application_name", "sip_server_group"}:
            raise ValueError("needs applicationName, or sipServerGroup, or both")
        return self


class DialedNumberPattern(Reply):
    """One pattern of the dial plan."""

    pattern_id: Text
    pattern: Text
    description: OptionalText = None
    call_type: CallType
    application_name: OptionalText = None
    enabled: bool
    priority: int
    sip_server_group: OptionalText = None
    survival_application: OptionalText = None

    @classmethod
    def of(cls, pattern_id: str, number: DialedNumber) -> "DialedNumberPattern":
        """The model of an entry."""
        return cls(
            pattern_id=pattern_id,
            pattern=number.pattern,
            description=number.description or None,
            call_type=number.call_type,
            application_name=number.application or number.script or None,
            enabled=number.enabled,
            priority=number.priority,
            sip_server_group=number.server_group,
            survival_application=number.survival_application or None,
        )


class DialedNumberPatterns(RootModel[list[DialedNumberPattern]]):
    """All patterns, in the order of the list."""


class SipServer(Request):
    """One server of a group."""

    hostname: Words = Field("", description="For people.")
    ip_address: Host = Field(description="Where requests go; a name is looked up.")
    port: Whole = Field(5060, ge=1, le=65_535)
    priority: Whole = Field(1, ge=1, le=65_535, description="1 is asked before 2.")
    weight: Whole = Field(100, ge=0, le=65_535, description="Share among those of one priority.")


class SipServerGroupCreate(Request):
    """Servers under one name, which is the host in routes; none twice."""

    group_name: GroupName
    description: Words = ""
    servers: list[SipServer] = Field(min_length=1, max_length=100)
    load_balancing: LoadBalancing = "round_robin"


class SipServerStatus(Reply):
    """One server, and how it stands; `latency` in milliseconds, of its last ping."""

    hostname: Text
    ip_address: Text
    port: int
    transport: Literal["udp", "tcp", "tls"] | SkipJsonSchema[None] = None
    priority: int
    weight: int
    status: Literal["up", "down", "overloaded"]
    reason: Text
    since: datetime
    last_contact: datetime | SkipJsonSchema[None] = None
    latency: int | SkipJsonSchema[None] = None


class SipServerGroup(Reply):
    """One server group; `heartbeat` says whether pings decide who is up."""

    group_id: Text
    group_name: Text
    description: Text
    load_balancing: LoadBalancing
    heartbeat: bool
    status: Literal["up", "partial", "down"]
    servers: list[SipServerStatus]


class SipServerGroups(RootModel[list[SipServerGroup]]):
    """All server groups."""


class SipTrunk(Reply):
    """A registrar where this server registers, and how that stands."""

    registrar: Text
    aor: Text
    state: Literal["idle", "registering", "registered", "failed", "unregistering"]
    sip_response_code: int | SkipJsonSchema[None] = None


class SipTrunks(RootModel[list[SipTrunk]]):
    """All trunks."""


def number_of(body: DialedNumberPatternCreate, present: DialedNumber | None) -> dict[str, Any]:
    """The entry that a body asks for, over the `present` one, as the configuration writes it.

    What the profile does not know (label, ring_no_answer, survey) stays as it is, as long as
    the application stays.
    """
    entry: dict[str, Any] = {}
    same = False
    if present is not None:
        entry = present.model_dump(mode="json", exclude_defaults=True)
        shown = DialedNumberPattern.of("", present)
        same = (shown.application_name or "") == body.application_name
    entry |= {
        "pattern": body.pattern,
        "description": body.description,
        "call_type": body.call_type,
        "application": body.application_name,
        "enabled": body.enabled,
        "priority": body.priority,
        "server_group": body.sip_server_group or None,
        "survival_application": body.survival_application,
    }
    if not same:
        entry |= {"script": body.application_name or None, "label": None}
    return entry


def group_of(body: SipServerGroupCreate, present: ServerGroupSection | None) -> dict[str, Any]:
    """The same for a group: heartbeat and the like stay, and the transport of its servers."""
    entry: dict[str, Any] = {}
    transports: dict[tuple[str, int], Any] = {}
    if present is not None:
        entry = present.model_dump(mode="json", exclude_defaults=True)
        transports = {(one.host, one.port): one.transport for one in present.servers}
    servers: list[dict[str, Any]] = []
    for one in body.servers:
        host = one.ip_address
        if any((host, one.port) == (other["host"], other["port"]) for other in servers):
            raise PlanConflict(f"servers: {host} port {one.port} is there twice; remove one")
        servers.append(
            {
                "host": host,
                "port": one.port,
                "priority": one.priority,
                "weight": one.weight,
                "name": one.hostname,
                "transport": transports.get((host, one.port)),
            }
        )
    return entry | {
        "name": body.group_name,
        "description": body.description,
        "servers": servers,
        "load_balancing": body.load_balancing,
    }
