"""The configuration: a YAML file, ``CALLSIM_...`` variables and options, in rising rank.

``Config.load(path, env, overrides)`` gives a `Config` or raises `ConfigError`, which says
for every fault the file, line, key and fix. Times are seconds unless a key says otherwise.
Without a file the plan of `Config.builtin` holds, with the lab neighbours embedded.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    field_validator,
    model_validator,
)

from simulator import config_defaults
from simulator.config_check import cross_check, translate
from simulator.config_source import (
    OPTION_KEYS,
    ConfigError,
    Mark,
    Problem,
    Source,
    apply_environment,
    apply_option,
    apply_setting,
    read_file,
)
from simulator.config_values import HttpListen, Listen, SipTarget
from simulator.patterns import Pattern

__all__ = ["OPTION_KEYS", "Config", "ConfigError", "HttpListen", "Listen", "Problem", "SipTarget"]

Override: TypeAlias = str | tuple[str, object]

DEFAULT_RING_NO_ANSWER: Final = 60.0


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{text!r} has a control character in it")
    return text


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _pattern(text: str) -> str:
    return Pattern.parse(text).text


def _label(text: str) -> str:
    rest = text.replace("{dnis}", "1")
    if any(c in "{}" or c.isspace() for c in rest) or not rest.isprintable():
        raise ValueError(f"{text!r} may hold {{dnis}} for the dialed number, but no blank or brace")
    return text


Text = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
Extension = Annotated[str, Field(pattern=r"^[A-Za-z0-9+*#._-]{1,32}$")]
PatternText = Annotated[str, AfterValidator(_pattern)]
LabelText = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_label)]
ListenAddress = Annotated[Listen, PlainValidator(Listen.parse), PlainSerializer(str)]
HttpAddress = Annotated[HttpListen, PlainValidator(HttpListen.parse), PlainSerializer(str)]
Target = Annotated[SipTarget, PlainValidator(SipTarget.parse), PlainSerializer(str)]
RingNoAnswer = Annotated[
    float,
    Field(
        gt=0,
        le=60,
        description="Seconds a callee may ring (RNA timer of CVP: 5 to 60; less for tests).",
    ),
]


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, a key without value is unset."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _unset(cls, data: object) -> object:
        data = {} if data is None else data
        if isinstance(data, Mapping):
            return {key: value for key, value in data.items() if value is not None}
        return data


class ServerSection(Section):
    """The process."""

    name: Name = Field("callsim", description="Call server name in CDRs and events.")
    max_calls: int = Field(
        -1,
        ge=-1,
        description="Calls at a time; more get 503. -1: no limit (SIP.CallsMaxThreshold).",
    )
    grace: float = Field(
        30.0, ge=0, le=86_400, description="Seconds calls may go on after SIGTERM."
    )
    data_dir: Path = Field(
        Path("callsim-data"), description="Folder of CDRs, certificate and password."
    )


class TlsSection(Section):
    """SIP over TLS."""

    certificate: Path | None = Field(None, description="PEM file with the certificate chain.")
    key: Path | None = Field(None, description="PEM file with its private key.")


class SipSection(Section):
    """The SIP side."""

    listen: Annotated[tuple[ListenAddress, ...], BeforeValidator(_one_or_many)] = Field(
        (Listen("udp", "0.0.0.0", 5060), Listen("tcp", "0.0.0.0", 5060)),
        min_length=1,
        description="udp:, tcp: or tls:HOST:PORT, with ;advertise=HOST behind NAT. Port 0: any.",
    )
    t1: float = Field(0.5, ge=0.01, le=5, description="T1 of RFC 3261: the estimated round trip.")
    t2: float = Field(4.0, ge=0.01, le=60, description="T2: longest interval of retransmission.")
    t4: float = Field(5.0, ge=0.01, le=60, description="T4: how long a message may linger.")
    tls: TlsSection = Field(TlsSection(), description="Without a certificate there is no TLS.")
    error_refer: bool = Field(
        True,
        description="Failures go to the error number: 302 before answer, REFER after. "
        "false: the caller gets the code of the refusal.",
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


@dataclass(frozen=True, slots=True)
class User:
    """A REST user; the password does not show in `repr`."""

    name: str
    password: str = field(repr=False)

    @classmethod
    def parse(cls, value: object) -> "User":
        """Read ``NAME:PASSWORD``; ValueError (without the password in it) otherwise."""
        if isinstance(value, User):
            return value
        if not isinstance(value, str) or ":" not in value:
            raise ValueError("must be NAME:PASSWORD")
        name, _, password = value.partition(":")
        if not name or not password or not value.isprintable():
            raise ValueError("must be NAME:PASSWORD, neither empty, without control characters")
        return cls(name, password)

    def __str__(self) -> str:
        return f"{self.name}:{self.password}"


def _users(value: object) -> object:
    """A mapping of names to passwords as the list of NAME:PASSWORD."""
    if isinstance(value, Mapping):
        return [f"{name}:{password or ''}" for name, password in value.items()]
    return _one_or_many(value)


def _distinct(users: tuple[User, ...]) -> tuple[User, ...]:
    names = [user.name for user in users]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"user {twice[0]!r} is there twice; keep one")
    return users


class ApiSection(Section):
    """The REST side."""

    listen: Annotated[tuple[HttpAddress, ...], BeforeValidator(_one_or_many)] = Field(
        (HttpListen("https", "0.0.0.0", 8000), HttpListen("http", "127.0.0.1", 8080)),
        min_length=1,
        description="https://HOST:PORT or http://HOST:PORT (for loopback). Port 0: any.",
    )
    users: Annotated[
        tuple[Annotated[User, PlainValidator(User.parse), PlainSerializer(str)], ...],
        BeforeValidator(_users),
        AfterValidator(_distinct),
    ] = Field((), description="NAME:PASSWORD each. None: a password is made on first start.")
    allowed_hosts: Annotated[tuple[Name, ...], BeforeValidator(_one_or_many)] = Field(
        (),
        description="Host names accepted besides addresses, localhost and this machine's; * any.",
    )


class SdpSection(Section):
    """Session descriptions, which are the endpoints' own."""

    origin: Literal["keep", "passthrough"] = Field(
        "keep",
        description="o= line of later offers: keep what the leg first saw, version plus one, "
        "or passthrough.",
    )
    mid_call: Literal["offer", "offerless"] = Field(
        "offer",
        description="How parties are joined in an answered call: with the target's "
        "description as offer, or by an INVITE without one.",
    )


class CdrSection(Section):
    """Call detail records."""

    url: str | None = Field(
        None,
        pattern=r"^sqlite:///.+$",
        description="sqlite:///FILE (four slashes: from the root). Unset: cdr.sqlite in data_dir.",
    )


class HealthSection(Section):
    """The health operations."""

    public: bool = Field(False, description="true: they answer without a password.")


class VariablesSection(Section):
    """Call and peripheral variables."""

    separate: bool = Field(
        False, description="true: peripheral1..10 and callVariable1..10 are two sets, not one."
    )


class DialedNumber(Section):
    """One line of the dial plan; exactly one of `script` and `label`."""

    pattern: PatternText = Field(
        description="At most 24 letters and digits; . or X one character, last > any rest."
    )
    description: Text = ""
    call_type: Literal["preroute", "translation_route", "post_route"] = "preroute"
    application: Text = ""
    enabled: bool = True
    script: Name | None = Field(None, description="Name under icm.scripts.")
    label: LabelText | None = Field(None, description="Where the call goes; may hold {dnis}.")
    ring_no_answer: RingNoAnswer = DEFAULT_RING_NO_ANSWER

    @model_validator(mode="after")
    def _one_treatment(self) -> "DialedNumber":
        if (self.script is None) == (self.label is None):
            raise ValueError("needs exactly one of 'script' and 'label'")
        return self


class StaticRoute(Section):
    """Numbers or labels of a pattern are sent to one place."""

    pattern: PatternText
    to: Target = Field(description="sip:HOST:PORT, with ;transport=tcp or tls if not UDP.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        """``PATTERN=sip:HOST:PORT`` as on the command line."""
        if not isinstance(data, str):
            return data
        pattern, equals, to = data.partition("=")
        if not equals:
            raise ValueError(f"{data!r} is not PATTERN=sip:HOST:PORT")
        return {"pattern": pattern.strip(), "to": to.strip()}


class Answer(Section):
    """The call server answers itself: no second leg."""


class SelfService(Section):
    """The caller is with a VXML application: for `seconds`, or until it ends."""

    application: Name
    seconds: float | None = Field(None, gt=0)


class Queue(Section):
    """The caller waits for an agent of a skill group: at most `seconds`, if given."""

    skill_group: Name
    seconds: float | None = Field(None, gt=0)


class Connect(Section):
    """The caller is connected to a label, which may hold ``{dnis}``."""

    label: LabelText


class Release(Section):
    """The call ends: with this SIP status if it is not answered yet."""

    status: int = Field(480, ge=400, le=699)


class Step(Section):
    """One step of a script: exactly one of the five is set; `action` is that one."""

    answer: Answer | None = None
    self_service: SelfService | None = None
    queue: Queue | None = None
    connect: Connect | None = None
    release: Release | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        """``- answer`` and ``- answer:`` for ``- answer: {}``; likewise release."""
        data = {data: None} if isinstance(data, str) else data
        if isinstance(data, Mapping):
            return {key: {} if value is None else value for key, value in data.items()}
        return data

    @model_validator(mode="after")
    def _exactly_one(self) -> "Step":
        if len(self.model_fields_set) != 1:
            raise ValueError(f"needs exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def action(self) -> Answer | SelfService | Queue | Connect | Release:
        """What to do."""
        found = self.answer or self.self_service or self.queue or self.connect or self.release
        assert found is not None
        return found


class SkillGroup(Section):
    """A queue and who serves it."""

    wait: float = Field(0.0, ge=0, description="Seconds until an agent is free.")
    agents: Annotated[tuple[Extension, ...], BeforeValidator(_one_or_many)] = Field(min_length=1)


class Agent(Section):
    """An agent at an extension."""

    agent_id: Text = ""
    name: Text = ""
    max_calls: int = Field(0, ge=0, description="Calls at a time; 0: no limit.")


class CorrelationIds(Section):
    """The numbers appended to the VRU label, as many digits each as `last` has."""

    first: int = Field(1, ge=0)
    last: int = Field(99_999, ge=1, le=999_999_999)

    @model_validator(mode="after")
    def _rises(self) -> "CorrelationIds":
        if self.first >= self.last:
            raise ValueError("'first' must be below 'last'")
        return self

    @property
    def digits(self) -> int:
        """How many digits each has."""
        return len(str(self.last))


class IcmSection(Section):
    """The scripted ICM."""

    max_dnis_length: int = Field(
        10, ge=1, le=32, description="Longer numbers are returns from the VRU, if by its label."
    )
    vru_label: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,20}$")] = Field(
        "7770000000", description="Label to the VRU; a correlation id is appended."
    )
    correlation_ids: CorrelationIds = CorrelationIds()
    wait: float = Field(
        2.0, ge=0, le=60, description="Seconds to wait for ICM instructions after a failure."
    )
    scripts: dict[Name, Annotated[tuple[Step, ...], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="Steps each: answer, self_service, queue, connect, release.",
    )
    skill_groups: dict[Name, SkillGroup] = Field(
        default_factory=dict, description="By name: seconds until an agent is free, extensions."
    )
    agents: dict[Extension, Agent] = Field(
        default_factory=dict, description="By extension: agent_id, name, max_calls (0: no limit)."
    )


class TransferSection(Section):
    """Transfers by REST or ICM."""

    mode: Literal["reinvite", "refer"] = Field(
        "reinvite", description="What a label without the prefix rf does."
    )
    ring_no_answer: RingNoAnswer = DEFAULT_RING_NO_ANSWER


class Neighbour(Section):
    """A component that /health/connectivity probes."""

    component: Literal["ICM", "CUCM", "VXMLServer", "ReportingServer", "MediaServer"]
    url: Annotated[str, AfterValidator(config_defaults.check_probe_url)] = Field(
        description="sip:HOST:PORT, tcp://HOST:PORT, http://... or https://..."
    )


class LabSection(Section):
    """The simulated neighbours."""

    embedded: bool = Field(
        False, description="true: VXML gateway and agents run in the server, on loopback."
    )


class Config(Section):
    """The whole configuration; never changes once made."""

    server: ServerSection = ServerSection()
    sip: SipSection = SipSection()
    api: ApiSection = ApiSection()
    sdp: SdpSection = SdpSection()
    cdr: CdrSection = CdrSection()
    health: HealthSection = HealthSection()
    variables: VariablesSection = VariablesSection()
    direct_routes: Annotated[tuple[StaticRoute, ...], BeforeValidator(_one_or_many)] = Field(
        (), description="Numbers that go straight to a callee, before the dial plan (--route)."
    )
    dialed_numbers: tuple[DialedNumber, ...] = Field(
        (), description="The dial plan: the most specific pattern wins, then the first."
    )
    routes: Annotated[tuple[StaticRoute, ...], BeforeValidator(_one_or_many)] = Field(
        (), description="Static routes: where labels and extensions are."
    )
    icm: IcmSection = IcmSection()
    transfer: TransferSection = TransferSection()
    neighbours: tuple[Neighbour, ...] = Field(
        (), description="What the connectivity check probes."
    )
    lab: LabSection = LabSection()

