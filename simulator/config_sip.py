"""The SIP side in the configuration: listeners, timers, TLS, and who may do what."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    field_validator,
    model_validator,
)

from simulator.config_accounts import (
    AuthenticationSection,
    Credential,
    RegistrarSection,
    Trunk,
)
from simulator.config_base import FilePath, Section, one_or_many
from simulator.config_sources import LimitsSection, ListenAddress, SourceRule
from simulator.config_values import Listen, SipTarget, name_server


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
    sources: tuple[SourceRule, ...] = Field(
        default=(),
        description="Who may call, transfer, log in and watch, by address. None: anybody.",
    )
    limits: LimitsSection = LimitsSection()
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
