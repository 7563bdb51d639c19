"""The parts of the configuration, as pydantic models: what may stand where, and what it does.

Times are seconds unless a key says otherwise. A description becomes the comment of its key
in the file that ``callsim check --defaults`` prints.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    field_validator,
    model_validator,
)

from simulator.applications import Applications
from simulator.config_accounts import (
    ApiUsers,
    AuthenticationSection,
    Credential,
    RegistrarSection,
    Trunk,
)
from simulator.config_base import Name, Networks, Section, one_or_many, printable
from simulator.config_dial_plan import Component
from simulator.config_values import HttpListen, Listen, SipTarget, check_probe_url, name_server

DEFAULT_RING_NO_ANSWER: Final = 60.0

_CDR_URL: Final = re.compile(r"sqlite:///[^?#]+")


def _cdr_url(text: str) -> str:
    if not _CDR_URL.fullmatch(text):
        raise ValueError(f"{text!r} is not sqlite:///FILE, the one kind of store there is")
    return text


def _path(path: Path) -> Path:
    printable(str(path))
    return path


FilePath = Annotated[Path, AfterValidator(_path)]
ListenAddress = Annotated[Listen, PlainValidator(Listen.parse), PlainSerializer(str)]
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
        "for 1200 at 14; it throttles no call rate, and neither does this one.",
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


class TlsSection(Section):
    """SIP over TLS."""

    certificate: FilePath | None = Field(
        default=None, description="PEM file with the certificate chain."
    )
    key: FilePath | None = Field(
        default=None, description="PEM file with its private key. Unset: it is in certificate."
    )
    ca: FilePath | None = Field(
        default=None,
        description="PEM file with the authorities that verify peers. Unset: the system's.",
    )
    clients: Literal["ignore", "ask", "require"] = Field(
        default="ignore",
        description="Certificates of those who connect: ignore them, ask (verified if one is "
        "shown), or require.",
    )
    verify: bool = Field(
        default=True,
        description="Whether servers we connect to must show a certificate for the name called "
        "(RFC 5922). false: for labs.",
    )


class SessionTimerSection(Section):
    """Session timers (RFC 4028), each leg for itself. What a peer asks for is served."""

    min_se: int = Field(
        default=90,
        ge=1,
        le=86_400,
        description="Seconds: shorter intervals are refused by 422. Below 90 (RFC 4028 section 5) "
        "for tests only.",
    )
    expires: int = Field(
        default=0,
        ge=0,
        le=86_400,
        description="Seconds: the interval that every leg asks for, and the longest that is "
        "granted, such as 1800. 0: legs ask for what the caller asks for, and any is granted.",
    )
    refresher: Literal["auto", "local", "remote"] = Field(
        default="auto",
        description="Who refreshes where the peer leaves it open: local, remote, or auto: whoever "
        "sent the INVITE.",
    )

    @field_validator("expires")
    @classmethod
    def _expires_is_not_below_min_se(cls, expires: int, info: Any) -> int:
        if 0 < expires < info.data.get("min_se", 0):
            raise ValueError(f"must not be below sip.session_timer.min_se ({info.data['min_se']})")
        return expires


class AuditSection(Section):
    """Calls whose caller has gone without a word: old ones get UPDATE, as CVP does."""

    every: float = Field(
        default=120.0, ge=0, le=86_400, description="Seconds between two looks. 0: none."
    )
    older_than: float = Field(
        default=7200.0,
        ge=0,
        le=31_536_000,
        description="Seconds of age from which the caller gets UPDATE each time; a call whose "
        "caller rejects it or does not answer is ended.",
    )


class SipSection(Section):
    """The SIP side."""

    listen: Annotated[tuple[ListenAddress, ...], BeforeValidator(one_or_many)] = Field(
        default=(Listen("udp", "0.0.0.0", 5060), Listen("tcp", "0.0.0.0", 5060)),
        min_length=1,
        description="udp:, tcp: or tls:HOST:PORT, with ;advertise=HOST behind NAT. Port 0: any.",
    )
    t1: float = Field(
        default=0.5, ge=0.01, le=5, description="Seconds: T1 of RFC 3261, the estimated round trip."
    )
    t2: float = Field(
        default=4.0,
        ge=0.01,
        le=60,
        description="Seconds: T2, the longest interval of retransmission.",
    )
    t4: float = Field(
        default=5.0, ge=0.01, le=60, description="Seconds: T4, how long a message may linger."
    )
    nameservers: Annotated[
        tuple[Annotated[str, AfterValidator(name_server)], ...], BeforeValidator(one_or_many)
    ] = Field(
        default=(),
        description="ADDRESS:PORT of the DNS servers for SIP. None: those of the system.",
    )
    reliable_provisional: Literal["required", "supported", "off"] = Field(
        default="required",
        description="required or supported: ringing is reliable (100rel, PRACK) for callers that "
        "require it, or that support it. off: nobody may require it.",
    )
    tls: TlsSection = Field(
        default=TlsSection(), description="Without a certificate there is no TLS."
    )
    session_timer: SessionTimerSection = SessionTimerSection()
    audit: AuditSection = AuditSection()
    error_refer: bool = Field(
        default=True,
        description="true: the caller of a failed call is sent to services.error, by 302 before "
        "the answer and by REFER after it; 404 where no route leads there. false, and always for "
        "callers with survivability (--CVP in Remote-Party-ID): the code of the refusal, or BYE.",
    )
    follow_redirects: bool = Field(
        default=True, description="Try the contacts of a 3xx; else the caller gets it."
    )
    credentials: tuple[Credential, ...] = Field(
        default=(),
        description="Answers to 401 and 407; each for a realm, a peer, or both.",
    )
    authentication: AuthenticationSection = AuthenticationSection()
    registrar: RegistrarSection = RegistrarSection()
    outbound_proxy: (
        Annotated[SipTarget, PlainValidator(SipTarget.parse), PlainSerializer(str)] | None
    ) = Field(
        default=None,
        description="sip:HOST:PORT or a server group: labels go there instead of by the routes.",
    )
    heartbeat_port: int = Field(
        default=5067,
        ge=0,
        le=65_535,
        description="UDP port that pings of server groups leave from. 0: that of the calls.",
    )
    trunks: tuple[Trunk, ...] = Field(
        default=(), description="Registrars where this server registers, so that calls come in."
    )

    @model_validator(mode="before")
    @classmethod
    def _t2_follows(cls, data: object) -> object:
        """A slow T1 given alone takes T2 with it."""
        if isinstance(data, Mapping) and data.get("t1") is not None and data.get("t2") is None:
            try:
                return {**data, "t2": max(4.0, float(data["t1"]))}
            except (TypeError, ValueError):
                return data
        return data

    @field_validator("t2")
    @classmethod
    def _t2_is_not_below_t1(cls, t2: float, info: Any) -> float:
        if t2 < info.data.get("t1", 0):
            raise ValueError(f"must not be below sip.t1 ({info.data['t1']:g})")
        return t2

    def addresses(self) -> tuple[Listen, ...]:
        """`listen`, with TLS on port 5061 added when there is a certificate and no TLS yet."""
        if self.tls.certificate is None or any(one.transport == "tls" for one in self.listen):
            return self.listen
        first = self.listen[0]
        return (*self.listen, Listen("tls", first.host, 5061, first.advertise))


class ApiSection(Section):
    """The REST side."""

    listen: Annotated[tuple[HttpAddress, ...], BeforeValidator(one_or_many)] = Field(
        default=(HttpListen("https", "0.0.0.0", 8000), HttpListen("http", "127.0.0.1", 8080)),
        min_length=1,
        description="https://HOST:PORT or http://HOST:PORT (for loopback). Port 0: any.",
    )
    users: ApiUsers = Field(
        default=(),
        description="NAME:PASSWORD each, or name, password and role: read (every GET but webhooks "
        "and audit), control (calls and agents too) or admin (all, and without a role). The "
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
        description="sqlite:///FILE (four slashes: from the root). Unset: cdr.sqlite in data_dir.",
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


class EventsSection(Section):
    """The event stream of REST, and SUBSCRIBE to dialogs (RFC 4235).

    Who knows a dialog's ids can take it over.
    """

    kept: int = Field(
        default=50_000,
        ge=100,
        description="Events kept in memory, some 400 bytes each, for readers that come back.",
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
