"""What the parts of the configuration are made of: sections, texts, users and passwords."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    model_validator,
)

from simulator.config_values import no_zone
from simulator.patterns import Pattern


def printable(text: str) -> str:
    """`text`, if a header line can hold it: ValueError for control characters."""
    if not text.isprintable():
        raise ValueError(f"{text!r} has a control character in it")
    return text


def _path(path: Path) -> Path:
    printable(str(path))
    return path


def one_or_many(value: object) -> object:
    """A single text stands for a list of one."""
    return [value] if isinstance(value, str) else value


ANY: Final = "*"


def _network(text: str) -> str:
    no_zone(text)
    try:
        return ANY if text == ANY else str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError(
            f"{text!r} is not an IP address, a network such as 10.0.0.0/8, or {ANY} for any"
        ) from None


@lru_cache(maxsize=256)
def _prefixes(networks: tuple[str, ...]) -> tuple[tuple[int, int, frozenset[int]], ...]:
    """The version of IP, the number of bits behind the prefix, and all prefixes of that length."""
    found: dict[tuple[int, int], set[int]] = {}
    for network in map(ipaddress.ip_network, networks):
        behind = network.max_prefixlen - network.prefixlen
        prefix = int(network.network_address) >> behind
        found.setdefault((network.version, behind), set()).add(prefix)
    return tuple((*place, frozenset(prefixes)) for place, prefixes in found.items())


@lru_cache(maxsize=1024)
def _number(host: str) -> tuple[int, int]:
    address = ipaddress.ip_address(host.partition("%")[0])
    return address.version, int(address)


def covers(networks: tuple[str, ...], host: str) -> bool:
    """Whether an IP address lies in one of these `Network`s."""
    if ANY in networks:
        return True
    version, number = _number(host)
    return any(
        [number >> behind in some for kind, behind, some in _prefixes(networks) if kind == version]
    )


def _pattern(text: str) -> str:
    return Pattern.parse(text).text


FilePath = Annotated[Path, AfterValidator(_path)]
Network = Annotated[str, AfterValidator(_network)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(one_or_many)]
PatternText = Annotated[str, AfterValidator(_pattern)]
Patterns = Annotated[tuple[PatternText, ...], BeforeValidator(one_or_many)]
Text = Annotated[str, Field(max_length=200), AfterValidator(printable)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(printable)]


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, a key without value is unset."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _unset(cls, data: object) -> object:
        data = {} if data is None else data
        if isinstance(data, Mapping):
            return {k: v for k, v in data.items() if v is not None or k not in cls.model_fields}
        return data


Role = Literal["read", "control", "admin"]
"""What a REST user may do: look; also steer calls; also change the server."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a password, which does not show in `repr`; `role` is for REST."""

    name: str
    password: str = field(repr=False)
    role: Role = "admin"

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


def users_from_mapping(value: object) -> object:
    """A mapping of names to passwords as the list of NAME:PASSWORD."""
    if isinstance(value, Mapping):
        return [
            f"{name}:{password or ''}" if isinstance(password, str | None) else password
            for name, password in value.items()
        ]
    return one_or_many(value)


class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str:
        """Its name."""


N = TypeVar("N", bound=Named)


def distinct(users: tuple[N, ...]) -> tuple[N, ...]:
    """`users`, if no name is there twice; ValueError otherwise."""
    names = [user.name for user in users]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"user {twice[0]!r} is there twice; keep one")
    return users


Users = Annotated[
    tuple[Annotated[User, PlainValidator(User.parse), PlainSerializer(str)], ...],
    BeforeValidator(users_from_mapping),
    AfterValidator(distinct),
]
"""NAME:PASSWORD each, or a mapping of names to passwords."""
