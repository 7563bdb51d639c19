"""Who is who: digest accounts, whom to ask, the registrar, trunks; and the users of REST."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    field_validator,
    model_validator,
)

from simulator.config_base import (
    Name,
    Networks,
    Patterns,
    Role,
    Section,
    Text,
    User,
    Users,
    distinct,
    one_or_many,
)
from simulator.config_values import SipTarget, check_host
from simulator.passwords import check_password
from simulator.patterns import PatternTable
from sip.auth import ALGORITHMS

Algorithm = Literal["MD5", "SHA-256", "SHA-512-256"]
_METHOD: Final = (
    "INVITE REGISTER REFER BYE INFO UPDATE OPTIONS SUBSCRIBE NOTIFY MESSAGE PRACK PUBLISH"
).split()


@dataclass(frozen=True, slots=True)
class Password:
    """A password; it does not show in `repr`."""

    text: str = field(repr=False)

    @classmethod
    def parse(cls, value: object) -> "Password":
        """Read it; ValueError, without the password in it."""
        if isinstance(value, Password):
            return value
        if not isinstance(value, str) or not value or not value.isprintable():
            raise ValueError("must be text, not empty, without control characters")
        return cls(value)

    def __str__(self) -> str:
        return self.text


def _aor(target: SipTarget) -> SipTarget:
    if not str(target).partition("@")[2]:
        raise ValueError(f"{target} names no user; write sip:USER@DOMAIN")
    return target


def _method(text: str) -> str:
    if text.upper() in ("ACK", "CANCEL"):
        raise ValueError(f"{text} cannot be challenged (RFC 3261 section 22.1); remove it")
    if text.upper() not in _METHOD:
        raise ValueError(f"{text!r} is not one of {', '.join(_METHOD)}")
    return text.upper()


def _algorithm(text: str) -> str:
    if text not in ALGORITHMS:
        raise ValueError(f"{text} cannot be computed here; leave it out")
    return text


Secret = Annotated[Password, PlainValidator(Password.parse), PlainSerializer(str)]
Host = Annotated[str, AfterValidator(check_host)]
SipUriText = Annotated[SipTarget, PlainValidator(SipTarget.parse), PlainSerializer(str)]


class Credential(Section):
    """A user and password that answer 401 and 407: of one realm, of one peer, or both."""

    user: Name
    password: Secret
    realm: Text = ""
    peer: Host | None = None

    @model_validator(mode="after")
    def _for_somebody(self) -> "Credential":
        if not self.realm and self.peer is None:
            raise ValueError("needs 'realm' or 'peer': a password is not for everybody")
        return self


class AuthenticationSection(Section):
    """Digest authentication of those who call or register; off while there are no users."""

    realm: Name = Field(default="callsim", description="The realm of the challenges.")
    users: Users = Field(default=(), description="NAME:PASSWORD each. None: nobody is asked.")
    methods: Annotated[
        tuple[Annotated[str, AfterValidator(_method)], ...], BeforeValidator(one_or_many)
    ] = Field(
        default=("INVITE", "REGISTER", "REFER"),
        description="Requests that need credentials, outside of calls and in those that came in.",
    )
    algorithms: Annotated[
        tuple[Annotated[Algorithm, AfterValidator(_algorithm)], ...], BeforeValidator(one_or_many)
    ] = Field(
        default=("SHA-256", "MD5"),
        min_length=1,
        description="Offered in this order (RFC 8760). MD5 alone for phones that stop at the "
        "first which they do not know.",
    )
    qops: Annotated[tuple[Literal["auth", "auth-int"], ...], BeforeValidator(one_or_many)] = Field(
        default=("auth",),
        min_length=1,
        description="Offered protection: auth of the request line, auth-int of the body as well.",
    )
    nonce_lifetime: float = Field(
        default=300.0, ge=1, le=86_400, description="Seconds that a nonce is good for."
    )
    trusted: Networks = Field(
        default=(), description="Addresses and networks that are not asked; * any."
    )


class RegistrarSection(Section):
    """Phones log in as agents by REGISTER; calls to a number go to its phone first."""

    enabled: bool = Field(default=True, description="false: REGISTER gets 405.")
    numbers: Patterns = Field(
        default=("1XXX",), description="Numbers that may register, besides those of icm.agents."
    )
    min_expires: int = Field(
        default=60, ge=1, le=3600, description="Seconds; who asks for less gets 423."
    )
    max_expires: int = Field(
        default=3600, ge=60, le=604_800, description="Seconds; who asks for more gets this."
    )

    @field_validator("numbers")
    @classmethod
    def _distinct(cls, numbers: tuple[str, ...]) -> tuple[str, ...]:
        table = PatternTable[None]()
        for pattern in numbers:
            table.add(pattern, None)
        return numbers

    @model_validator(mode="after")
    def _ordered(self) -> "RegistrarSection":
        if self.max_expires < self.min_expires:
            raise ValueError("max_expires must not be below min_expires")
        return self


class Trunk(Section):
    """A registrar where this server registers, so that calls come in from there."""

    registrar: SipUriText
    aor: Annotated[SipUriText, AfterValidator(_aor)]
    user: Text = Field(default="", description="For its 401; the user of aor if not given.")
    password: Secret | None = None
    expires: int = Field(default=3600, ge=60, le=604_800)


def _user_name(text: str) -> str:
    if ":" in text:
        raise ValueError(f"{text!r} has a colon, which ends the name (RFC 7617 section 2)")
    return text


class ApiUser(Section):
    """A user of the REST interface: NAME:PASSWORD, or name, password and role."""

    name: Annotated[Name, AfterValidator(_user_name)]
    password: Annotated[str, Field(repr=False), AfterValidator(check_password)]
    role: Role = "admin"

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        """``NAME:PASSWORD`` as on the command line; the password may hold colons."""
        if not isinstance(data, str):
            return data
        name, colon, password = data.partition(":")
        if not colon:
            raise ValueError("must be NAME:PASSWORD, or name, password and role")
        return {"name": name, "password": password}

    @property
    def user(self) -> User:
        """The same as a value."""
        return User(self.name, self.password, self.role)


def _api_users(value: object) -> object:
    """One user, or a mapping of names to passwords, or to password and role, as a list."""
    if not isinstance(value, Mapping):
        return one_or_many(value)
    if value.keys() >= {"name", "password"}:
        return [value]
    return [
        {**(one if isinstance(one, Mapping) else {"password": one}), "name": name}
        for name, one in value.items()
    ]


ApiUsers = Annotated[tuple[ApiUser, ...], BeforeValidator(_api_users), AfterValidator(distinct)]
