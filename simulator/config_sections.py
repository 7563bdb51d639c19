"""The parts of the configuration, as pydantic models: what may stand where, and what it does.

Times are seconds unless a key says otherwise. A description becomes the comment of its key
in the file that ``callsim check --defaults`` prints.
"""

import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
)

from simulator.applications import Applications
from simulator.config_accounts import ApiUsers
from simulator.config_base import FilePath, Name, Networks, Section, one_or_many
from simulator.config_values import (
    HttpListen,
    check_http_url,
    check_probe_url,
    hep_collector,
)
from simulator.views import Component

DEFAULT_RING_NO_ANSWER: Final = 60.0

_CDR_URL: Final = re.compile(
    r"sqlite:///[^?#]+|postgres(?:ql)?://(?:[^/?#@\s]*@)?[^/?#@\s]*/[^/?#\s]+(?:\?[^#\s]+)?"
)


def _cdr_url(text: str) -> str:
    if not _CDR_URL.fullmatch(text):  # which may hold a password: it is not shown
        raise ValueError(
            "is neither sqlite:///FILE nor postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with "
            "what is special in a part as %XX (%40 for @, %2F for /)"
        )
    return text


HttpAddress = Annotated[HttpListen, PlainValidator(HttpListen.parse), PlainSerializer(str)]
RingNoAnswer = Annotated[
    float,
    Field(
        gt=0,
        le=180,
        description="Seconds a callee may ring (RNA timer of CVP: 5 to 60).",
    ),
]


class ServerSection(Section):
    """The process."""

    name: Name = Field(default="callsim", description="Call server name in CDRs and events.")
    max_calls: int = Field(
        default=-1,
        ge=-1,
        description="Calls at a time; more get 503. -1: no limit (SIP.CallsMaxThreshold). A CVP "
        "12.6 Call Server is sized for 3000 calls at 15 a second (2500 with HTTPS), one of 8.x "
        "for 1200 at 14; it throttles no call rate, and this one only by admission.rate.",
    )
    licences: int = Field(
        default=0,
        ge=0,
        description="Ports licensed, one for each call; who gets none is answered 503. "
        "0: not counted.",
    )
    grace: float = Field(
        default=30.0, ge=0, le=86_400, description="Seconds calls may go on after SIGTERM."
    )
    data_dir: FilePath = Field(
        default=Path("callsim-data"), description="Folder of CDRs, certificate and password."
    )


class ApiSection(Section):
    """The REST side."""

    listen: Annotated[tuple[HttpAddress, ...], BeforeValidator(one_or_many)] = Field(
        default=(HttpListen("https", "0.0.0.0", 8000), HttpListen("http", "127.0.0.1", 8080)),
        min_length=1,
        description="https://HOST:PORT or http://HOST:PORT (for loopback). Port 0: any.",
    )
    users: ApiUsers = Field(
        default=(),
        description="NAME:PASSWORD each, or name, password and role: read (every GET but webhooks, "
        "bans and audit), control (calls and agents too) or admin (all, and without a role). The "
        "password may be a hash of 'callsim password'. None: a password is made on first start.",
    )
    failed_logins: int = Field(
        default=20,
        ge=0,
        le=10_000,
        description="Wrong passwords from one address before it is slowed: it gets 429, for a "
        "second at first, then twice as long each time, a minute at most. 0: never. They are "
        "forgotten after 15 minutes.",
    )
    connections: int = Field(
        default=2000,
        ge=1,
        le=100_000,
        description="Connections at a time, at all listeners together; one more gets 503 with "
        "Retry-After, and is closed.",
    )
    allowed_hosts: Annotated[tuple[Name, ...], BeforeValidator(one_or_many)] = Field(
        default=(),
        description="Host names accepted besides addresses, localhost and this machine's; * any.",
    )


class SdpSection(Section):
    """Session descriptions, which are the endpoints' own."""

    origin: Literal["keep", "passthrough"] = Field(
        default="keep",
        description="o= line of later offers: keep what the leg first saw, version plus one, "
        "or passthrough.",
    )
    mid_call: Literal["offer", "offerless"] = Field(
        default="offer",
        description="How parties are joined in an answered call: with the target's "
        "description as offer, or by an INVITE without one.",
    )


class CdrSection(Section):
    """Call detail records."""

    url: Annotated[str, AfterValidator(_cdr_url)] | None = Field(
        default=None,
        description="sqlite:///FILE (four slashes: from the root), or "
        "postgresql://USER:PASSWORD@HOST:PORT/DATABASE (callsim[postgres]; several HOST:PORT, "
        "by commas: whichever is the primary). Unset: cdr.sqlite in data_dir.",
    )
    journal: int = Field(
        default=16,
        ge=1,
        le=4096,
        description="MiB of calls.journal in data_dir, where records wait while they cannot be "
        "stored: 600 to 2000 each.",
    )


class StatisticsSection(Section):
    """What the SIP and ICM services count."""

    interval: float = Field(
        default=30.0, ge=10, le=1440, description="Minutes of an interval, 10 to 1440."
    )


class LogSection(Section):
    """What goes to standard error; from which level on says --log-level, and /sim/v1/log."""

    format: Literal["console", "json", "cvp"] = Field(
        default="console",
        description="console: text. json: an object each line. cvp: as a Call Server writes it.",
    )


class TelemetrySection(Section):
    """Traces by OpenTelemetry (the extra `otel`): a span for each call, and below it one for
    each SIP transaction.
    """

    otlp: Annotated[str, AfterValidator(check_http_url)] | None = Field(
        default=None,
        description="Collector that takes OTLP over HTTP: http://HOST:4318. None: no traces.",
    )


class EventsSection(Section):
    """The event stream of REST, and SUBSCRIBE to dialogs (RFC 4235).

    Who knows a dialog's ids can take it over.
    """

    kept: int = Field(
        default=50_000,
        ge=100,
        description="Events kept in memory, some 400 bytes each, for readers that come back; "
        "fewer where callers write long texts (16 million characters in all).",
    )
    watchers: Networks = Field(
        default=("127.0.0.0/8", "::1/128"),
        description="Addresses and networks that may watch the dialogs of numbers, agents and "
        "calls; * any.",
    )
    max_subscriptions: int = Field(
        default=1000, ge=0, description="Subscriptions at a time; more get 503."
    )
    max_per_source: int = Field(
        default=100, ge=0, description="Subscriptions of one address; more get 503."
    )


class TraceSection(Section):
    """The SIP messages of calls, as /sim/v1/calls/{callGuid}/trace and callsim trace show them.

    Passwords, keys of media and DTMF digits are masked there.
    """

    enabled: bool = Field(
        default=True, description="PUT /sim/v1/trace turns it on and off while calls run."
    )
    memory: int = Field(
        default=64,
        ge=1,
        le=65_536,
        description="MiB that messages take: those of some 8000 calls. The oldest make room, but "
        "what calls in progress said stays while it takes less than half; then it may be a fifth "
        "more for a while.",
    )
    hep: Annotated[str, AfterValidator(hep_collector)] | None = Field(
        default=None,
        description="udp:HOST:PORT of a HOMER collector, which gets every SIP message as HEPv3, "
        "masked likewise, whether the trace is on or off.",
    )
    hep_id: int = Field(
        default=2001, ge=0, le=0xFFFFFFFF, description="Capture id by which HOMER knows us."
    )


class HealthSection(Section):
    """The health operations."""

    public: bool = Field(default=False, description="true: they answer without a password.")


class VariablesSection(Section):
    """Call and peripheral variables."""

    separate: bool = Field(
        default=False,
        description="true: peripheral1..10 and callVariable1..10 are two sets, not one.",
    )


class OutpulseSection(Section):
    """Labels such as DTMF*8,,,4441234: digits by INFO, then the gateway takes the call away."""

    comma_ms: int = Field(default=100, ge=50, le=2000, description="Milliseconds of a comma.")
    tone_ms: int = Field(default=100, ge=50, le=2000, description="Milliseconds of a digit.")
    bye_wait: float = Field(
        default=5.0, gt=0, le=180, description="Seconds the gateway has for its BYE."
    )
    without_bye: Literal["end", "return"] = Field(
        default="end",
        description="A gateway that says no BYE: end the call as transferred, or return to where "
        "it was as a failed transfer.",
    )


class TransferSection(Section):
    """Transfers by REST or ICM."""

    mode: Literal["reinvite", "refer"] = Field(
        default="reinvite",
        description="How a label without the prefix rf transfers: by reinvite or refer.",
    )
    ring_no_answer: RingNoAnswer = DEFAULT_RING_NO_ANSWER
    hosts: Annotated[tuple[Name, ...], BeforeValidator(one_or_many)] = Field(
        default=(),
        description="Hosts that phones may transfer to by REFER besides this server and where "
        "the routes lead; * any. Others get 403.",
    )
    refer_news: bool = Field(
        default=True,
        description="false: our own REFER asks for no NOTIFY (RFC 4488); a BYE is its success.",
    )
    consultation: Literal["automatic", "manual"] = Field(
        default="automatic",
        description="automatic: the caller is joined when the target answers. manual: the agent "
        "talks to the target until a command completes or cancels the transfer.",
    )
    consultation_caller: Literal["hold", "ringtone"] = Field(
        default="hold",
        description="A caller during a manual consultation: on hold, or with services.ringtone.",
    )
    replaces: bool = Field(
        default=True,
        description="A command completes a consultation by REFER with Replaces where both far "
        "ends take it. false: always by re-INVITE, the call server stays in the call.",
    )
    outpulse: OutpulseSection = OutpulseSection()
    causes: dict[Annotated[int, Field(ge=300, le=699)], Annotated[int, Field(ge=1, le=127)]] = (
        Field(
            default_factory=dict,
            description="Q.850 causes by SIP code, for the BYE after a failed REFER; others as in "
            "RFC 3398.",
        )
    )


class Neighbour(Section):
    """A component that /health/connectivity probes."""

    component: Component
    url: Annotated[str, AfterValidator(check_probe_url)] = Field(
        description="sip:HOST:PORT, tcp://HOST:PORT, http://... or https://..."
    )


class LabSection(Section):
    """The simulated neighbours: a VXML gateway and agents."""

    embedded: bool = Field(
        default=False,
        description="true: a simulated VXML gateway and agents run in the server, on loopback, "
        "and routes lead to them.",
    )
    applications: Applications = Field(
        default_factory=dict,
        description="Dialogues that the VXML gateway runs for self_service, by name. Steps each: "
        "prompt, collect, set, branch, exit; each goes on at the one below, or at its next.",
    )
