"""The dial plan around its patterns: server groups, significant digits, location, originator."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from simulator.config_base import Networks, Patterns, Section, Text, one_or_many
from simulator.config_values import check_host, split_address
from simulator.views import Component, LoadBalancing

_DIGITS: Final = re.compile(r"[A-Za-z0-9]{1,20}", re.ASCII)

_LABEL: Final = "[A-Za-z]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
NAME_SYNTAX: Final = rf"^{_LABEL}(\.{_LABEL}){{0,3}}$"
"""Of group names: up to four parts, so that they can be hosts and are no addresses."""

_NAME: Final = re.compile(NAME_SYNTAX.replace("$", r"\Z"), re.ASCII)


def group_name(text: str) -> str:
    """`text` in lower case, if it can name a server group; ValueError otherwise."""
    if not _NAME.match(text):
        raise ValueError(
            f"{text!r} cannot be the host of a SIP URI; give up to four parts of letters, digits "
            "and '-' with dots between, each beginning with a letter, such as cucm.lab"
        )
    return text.lower()


def _site(text: str) -> str:
    if not _DIGITS.fullmatch(text):
        raise ValueError(f"{text!r} is not a site id: 1 to 20 letters and digits")
    return text


GroupName = Annotated[str, AfterValidator(group_name)]


class Server(Section):
    """One element of a server group."""

    host: Annotated[str, AfterValidator(check_host)]
    port: int = Field(default=5060, ge=1, le=65_535)
    transport: Literal["udp", "tcp", "tls"] | None = Field(
        default=None, description="Unset: UDP, and TCP for what is too long for that."
    )
    priority: int = Field(default=1, ge=1, le=65_535, description="1 is asked before 2.")
    weight: int = Field(
        default=100,
        ge=0,
        le=65_535,
        description="Share among servers of one priority. 0: only when the others are out.",
    )
    name: Text = Field(default="", description="For people: the host name, where host is an IP.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        """``HOST`` or ``HOST:PORT``."""
        if not isinstance(data, str):
            return data
        host, port = split_address(data.strip(), 5060, any_port=False)
        return {"host": host, "port": port}


class HeartbeatSection(Section):
    """OPTIONS to each server; what answers is up. Between calls too."""

    enabled: bool = False
    failed_tries: int = Field(
        default=1, ge=1, le=5, description="Pings without an answer until a server is down."
    )
    timeout: float = Field(
        default=0.5, ge=0.1, le=3, description="Seconds that an answer may take."
    )
    up_interval: float = Field(
        default=5.0,
        description="Seconds between any two pings of servers that are up, whichever they "
        "are: 5 to 3600. 0: none.",
    )
    down_interval: float = Field(
        default=5.0, description="The same of servers that are down or overloaded."
    )
    overloaded: tuple[Annotated[int, Field(ge=300, le=699)], ...] = Field(
        default=(503, 480, 600),
        description="Answers of an overloaded server. Any other: it is up.",
    )
    method: Literal["OPTIONS", "PING"] = "OPTIONS"
    transport: Literal["udp", "tcp"] = "udp"
    contact: Annotated[str, AfterValidator(check_host)] = Field(
        default="cvp.cisco.com", description="Host in the Contact of pings, as CVP writes it."
    )

    @field_validator("up_interval", "down_interval")
    @classmethod
    def _interval(cls, seconds: float) -> float:
        if seconds and not 5 <= seconds <= 3600:
            raise ValueError(f"must be 0 (off) or 5 to 3600 seconds, not {seconds:g}")
        return seconds


class ServerGroupSection(Section):
    """Servers under one name, which stands as host in routes: sip:NAME."""

    name: GroupName
    description: Text = ""
    servers: Annotated[tuple[Server, ...], BeforeValidator(one_or_many)] = Field(min_length=1)
    load_balancing: LoadBalancing = "weight_based"
    heartbeat: HeartbeatSection = HeartbeatSection()
    tries: int = Field(
        default=2,
        ge=1,
        le=6,
        description="Times that a request goes to one server by UDP, the second T1 after the "
        "first, before the next server is asked.",
    )
    downtime: float = Field(
        default=180.0,
        ge=0,
        le=86_400,
        description="Seconds that a server which failed is left out where no ping says more; "
        "the Retry-After of its 503 comes before it, up to an hour.",
    )
    component: Component | None = Field(
        default=None, description="What /health/connectivity shows its servers as."
    )

    @model_validator(mode="after")
    def _distinct(self) -> "ServerGroupSection":
        seen: set[tuple[str, int]] = set()
        for one in self.servers:
            if (one.host, one.port) in seen:
                raise ValueError(f"{one.host}:{one.port} is there twice; remove one")
            seen.add((one.host, one.port))
        return self


class Site(Section):
    """A place with a site id, and the gateways that calls from there come by."""

    id: Annotated[str, AfterValidator(_site)]
    gateways: Networks = Field(min_length=1, description="Source addresses and networks.")


class LocationSection(Section):
    """Location CAC: the site id in the number to the VRU."""

    insert: Literal["between", "front", "off"] = Field(
        default="between",
        description="between the VRU label and the correlation id, in front of both, or off.",
    )
    sites: tuple[Site, ...] = Field(
        default=(),
        description="The first that the caller's gateway is in gives its id; none: no id.",
    )


class DialPlanSection(Section):
    """What holds for all numbers and labels."""

    syntax: Literal["cvp", "profile"] = Field(
        default="cvp",
        description="Patterns of dialed_numbers. cvp: . and X one character, last > any rest, the "
        "most specific wins. profile: * any digits, the lowest priority wins.",
    )
    significant_digits: int = Field(
        default=0,
        ge=0,
        le=20,
        description="SigDigits: so many leading digits of the dialed number are taken off before "
        "ICM, and stand before each label again.",
    )
    send_to_originator: Patterns = Field(
        default=(),
        description="Labels that go back to the caller's host, if that is an IOS gateway (by its "
        "User-Agent) and sent Remote-Party-ID.",
    )
    location: LocationSection = LocationSection()


def short_group(data: object) -> object:
    """A mapping of names to groups as the list of groups."""
    if isinstance(data, Mapping):
        return [
            {"name": name, **(one if isinstance(one, Mapping) else {"servers": one})}
            for name, one in data.items()
        ]
    return data


ServerGroups = Annotated[tuple[ServerGroupSection, ...], BeforeValidator(short_group)]
"""A list of groups, or a mapping of names to groups, or to their servers."""
