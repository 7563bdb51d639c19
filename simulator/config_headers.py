"""What the configuration says of SIP header fields: ours, those for ICM, and rules by peer."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from simulator.config_base import ANY, Section, Text, one_or_many, printable
from simulator.config_values import check_host, check_network
from sip.fields import header_key

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]{1,64}", re.ASCII)
_PORTS: Final = re.compile(r"([0-9]{1,5}:[0-9]{1,5})?", re.ASCII)
_GTD: Final = re.compile(r"[A-Z0-9]{3}", re.ASCII)

# Dialog, transaction, body and what was negotiated hang on these: the stack writes them.
FIXED: Final = frozenset(
    "via from to call-id cseq contact max-forwards route record-route path service-route "
    "content-type content-length content-encoding content-disposition mime-version require "
    "proxy-require supported unsupported allow accept session-expires min-se replaces join rseq "
    "rack refer-to refer-sub event subscription-state authorization proxy-authorization "
    "www-authenticate proxy-authenticate authentication-info".split()
)


def _name(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a header field")
    return text


def _changeable(text: str) -> str:
    if header_key(_name(text)) in FIXED:
        raise ValueError(
            f"{text!r} cannot be changed by a rule: the dialog, the body or what was negotiated "
            "hangs on it"
        )
    return text


def _value(text: str) -> str:
    if printable(text) != text.strip() or not text:
        raise ValueError(f"{text!r} must not be empty, nor begin or end with a blank")
    return text


def _peer(text: str) -> str:
    """``*``, an address or network, a host name, or ``*.DOMAIN``."""
    if text == ANY:
        return text
    if "/" in text:
        return check_network(text)
    return text[: -len(text.removeprefix("*."))] + check_host(text.removeprefix("*.")).lower()


def _ports(text: str) -> str:
    if not _PORTS.fullmatch(text):
        raise ValueError(f"{text!r} is not HTTP-PORT:HTTPS-PORT such as 8000:8443")
    return text


def _gtd(text: str) -> str:
    if not _GTD.fullmatch(text):
        raise ValueError(f"{text!r} is no GTD parameter: three capital letters, such as UUS")
    return text


FieldName = Annotated[str, AfterValidator(_name)]
ChangeableName = Annotated[str, AfterValidator(_changeable)]
FieldValue = Annotated[str, Field(max_length=500), AfterValidator(_value)]
Peers = Annotated[tuple[Annotated[str, AfterValidator(_peer)], ...], BeforeValidator(one_or_many)]


class HeaderRule(Section):
    """What to change in the INVITE of an outbound leg; first drop, then rename, then add."""

    sources: Peers = Field(
        default=(),
        description="Calls from these: addresses, networks, hosts of From, *.DOMAIN, the "
        "registrar of a trunk, a server group by its name. None: from anywhere.",
    )
    destinations: Peers = Field(
        default=(),
        description="Legs to these, or to a server group by its name. None: to anywhere.",
    )
    drop: Annotated[tuple[ChangeableName, ...], BeforeValidator(one_or_many)] = Field(
        default=(), description="Names of header fields."
    )
    rename: dict[ChangeableName, ChangeableName] = Field(
        default={}, description="Old name: new name."
    )
    add: dict[ChangeableName, FieldValue] = Field(default={}, description="Name: value.")

    @model_validator(mode="after")
    def _changes_something(self) -> "HeaderRule":
        if not (self.drop or self.rename or self.add):
            raise ValueError("changes nothing; give drop, rename or add")
        return self


class HeadersSection(Section):
    """SIP header fields."""

    user_agent: Text = Field(
        default="",
        description="User-Agent of our requests, such as CVP 12.6 (2) Build-1. Unset: Callsim.",
    )
    server: Text = Field(default="", description="Server of our responses. Unset: Callsim.")
    app_info: Annotated[str, AfterValidator(_ports)] = Field(
        default="8000:8443",
        description="Ports of the IVR service: App-Info names them and our address to the VXML "
        "gateway. Empty: no App-Info.",
    )
    to_icm: Annotated[tuple[FieldName, ...], BeforeValidator(one_or_many)] = Field(
        default=(),
        description="Header fields of the caller's INVITE that ICM gets, as ECC variables: "
        "P-Asserted-Identity is user.sip.p_asserted_identity. 210 bytes of each.",
    )
    gtd_parameters: Annotated[
        tuple[Annotated[str, AfterValidator(_gtd)], ...], BeforeValidator(one_or_many)
    ] = Field(
        default=("UUS",),
        description="Parameters of the caller's GTD that ICM gets: UUS as user.microapp.uui, "
        "others such as PRN as user.gtd.prn.",
    )
    rules: tuple[HeaderRule, ...] = Field(
        default=(), description="Changes to the INVITE of outbound legs, by peer, in their order."
    )
