"""Fault rules: which SIP messages a rule matches, and what is done to them.

The same model serves ``faults`` of the configuration and `/sim/v1/faults`. `SETS` are rules
that are there by name.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from simulator.config_base import PatternText, Section, Text
from simulator.config_headers import FieldName, FieldValue
from simulator.config_values import check_network, no_zone, split_address
from sip.fields import header_key

MOST_RULES: Final = 100

SETS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "all-503": (
        "Every new call is refused: 503 with Retry-After.",
        {
            "direction": "in",
            "method": "INVITE",
            "answer": {"status": 503, "headers": {"Retry-After": "5"}},
        },
    ),
    "late-200": (
        "The 200 to an INVITE comes 3 seconds late.",
        {"direction": "out", "method": "INVITE", "status": "200", "delay": {"seconds": 3.0}},
    ),
    "lost-200": (
        "The first 200 to the INVITE of a call gets lost: it has to be sent again.",
        {"direction": "out", "method": "INVITE", "status": "200", "nth": 1, "drop": True},
    ),
    "lost-ack": (
        "The first ACK of each leg gets lost, whoever sends it: the 200 comes again.",
        {"method": "ACK", "nth": 1, "drop": True},
    ),
    "no-ack": (
        "No ACK of ours goes out: the callee has to give up, 64*T1 later.",
        {"direction": "out", "method": "ACK", "drop": True},
    ),
    "lost-bye": (
        "Our BYE never goes out: the far end has to notice by itself.",
        {"direction": "out", "method": "BYE", "drop": True},
    ),
    "glare": (
        "The first re-INVITE of each leg that comes in meets one of ours, as it seems: 491.",
        {"direction": "in", "method": "re-INVITE", "nth": 1, "answer": {"status": 491}},
    ),
    "one-way-hold": (
        "Who is put on hold is not told: its re-INVITE says sendrecv, and it goes on sending.",
        {"direction": "out", "method": "re-INVITE", "sdp": {"direction": "sendrecv"}},
    ),
    "one-way-audio": (
        "Our answer to an INVITE says recvonly: the caller hears nothing.",
        {
            "direction": "out",
            "method": "INVITE",
            "status": "2xx",
            "sdp": {"direction": "recvonly"},
        },
    ),
    "dead-peer": (
        "From its ACK on nothing is heard of a caller, and nothing reaches it.",
        {"direction": "in", "method": "ACK", "silence": "dialog"},
    ),
    "lossy": ("One message in ten gets lost, either way.", {"probability": 0.1, "drop": True}),
}
SetName = Literal[
    "all-503",
    "late-200",
    "lost-200",
    "lost-ack",
    "no-ack",
    "lost-bye",
    "glare",
    "one-way-hold",
    "one-way-audio",
    "dead-peer",
    "lossy",
]

LegName = Literal[
    "inbound",
    "outbound",
    "caller",
    "callee",
    "vxml",
    "agent",
    "transfer",
    "ringtone",
    "whisper",
    "greeting",
    "originated",
    "callback",
]

_NAME: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_METHOD: Final = "re-INVITE|[A-Z]{2,32}"
_STATUS: Final = "[1-6x][0-9x]{2}"
_CODEC: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,31}"
# The stack copies these from the request.
_COPIED: Final = frozenset("via from to call-id cseq record-route content-length".split())


def _matching(pattern: str, fault: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{text!r} is not {fault}")
        return text

    return AfterValidator(check)


def _text(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole else value


def _peer(text: str) -> str:
    """An address, a network, or an address with a port, as `split_address` takes it."""
    if "/" in text:
        return check_network(text)
    bare = text.strip("[]") if text.count(":") > 1 and not text.startswith("[") else ""
    host, port = (bare, None) if bare else split_address(text, None, any_port=False)
    try:
        address = str(ipaddress.ip_address(no_zone(host)))
    except ValueError:
        raise ValueError(
            f"{text!r} is not an IP address, a network such as 10.0.0.0/8, or ADDRESS:PORT"
        ) from None
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _settable(name: str) -> str:
    if header_key(name) in _COPIED:
        raise ValueError(f"{name!r} is copied from the request; leave it out")
    return name


def _true(value: bool) -> bool:
    if not value:
        raise ValueError("must be true; leave it out otherwise")
    return value


Codec = Annotated[
    str,
    Field(json_schema_extra={"pattern": f"^{_CODEC}$"}),
    _matching(_CODEC, "a codec such as PCMU"),
]
Yes: TypeAlias = Annotated[bool, Field(json_schema_extra={"const": True}), AfterValidator(_true)]
HeaderName = Annotated[FieldName, AfterValidator(_settable)]


class Delay(Section):
    """For how long a message is held back."""

    seconds: float = Field(gt=0, le=3600, description="At least so long.")
    jitter: float = Field(default=0.0, ge=0, le=3600, description="And up to so much longer.")


class FaultAnswer(Section):
    """The answer that an incoming request gets in place of the call's."""

    # A provisional one would leave the request without an end: no call hears of its CANCEL.
    status: int = Field(ge=200, le=699, description="SIP code of a final answer.")
    reason: Text = Field(default="", description="Phrase. Unset: that of the RFC.")
    headers: dict[HeaderName, FieldValue] = Field(
        default={}, description="Further header fields, such as Retry-After or Contact."
    )


class SdpChange(Section):
    """What is changed in a session description, in each media section."""

    remove: Codec | None = Field(
        default=None, description="A codec, such as PCMU. A section without any is refused."
    )
    replace: dict[Codec, Codec] = Field(
        default={}, description="Codecs by others: {PCMU: G729}. Their payload types too."
    )
    direction: Literal["sendrecv", "sendonly", "recvonly", "inactive"] | None = Field(
        default=None, description="The direction attribute."
    )
    port: int | None = Field(
        default=None, ge=0, le=65_535, description="The port; 0 refuses the media."
    )

    @model_validator(mode="after")
    def _changes_something(self) -> "SdpChange":
        if not self.model_dump(exclude_defaults=True):
            raise ValueError("changes nothing; give remove, replace, direction or port")
        return self


class FaultRule(Section):
    """What is to go wrong: which messages, how often, and what is done to them.

    Every condition that is given has to be met. Exactly one of `ACTIONS` is given.
    """

    set: SetName | None = Field(
        default=None,
        description="A ready-made rule; what else is given here takes the place of its own.",
    )
    name: Annotated[
        str,
        Field(json_schema_extra={"pattern": f"^({_NAME})?$"}),
        _matching(f"({_NAME})?", "a name: 1 to 64 letters, digits, '.', '_' and '-'"),
    ] = Field(default="", description="Unset: that of its set, or a number.")
    enabled: bool = Field(default=True, description="false: it waits to be switched on.")
    direction: Literal["in", "out"] | None = Field(
        default=None, description="in: what this server receives; out: what it sends."
    )
    method: (
        Annotated[
            str,
            Field(json_schema_extra={"pattern": f"^({_METHOD})$"}),
            _matching(_METHOD, "a method such as INVITE, or re-INVITE"),
        ]
        | None
    ) = Field(
        default=None,
        description="Requests of this method, or with status responses to them. INVITE begins a "
        "call, re-INVITE is one within.",
    )
    status: (
        Annotated[
            str,
            BeforeValidator(_text),
            _matching(_STATUS, "a SIP code such as 503, or a class such as 5xx; xxx is any"),
            WithJsonSchema(
                {
                    "anyOf": [
                        {"type": "string", "pattern": f"^{_STATUS}$"},
                        {"type": "integer", "minimum": 100, "maximum": 699},
                    ]
                }
            ),
        ]
        | None
    ) = Field(default=None, description="Responses with this code, or class: 5xx, 18x; xxx: any.")
    leg: LegName | None = Field(
        default=None, description="inbound, outbound, or what a leg is for, such as vxml."
    )
    peer: Annotated[str, AfterValidator(_peer)] | None = Field(
        default=None, description="Address, ADDRESS:PORT or network of the far end."
    )
    number: PatternText | None = Field(
        default=None, description="Pattern of the called number of the call, such as 7>."
    )
    application: Text | None = Field(default=None, description="The application of the call.")
    nth: int | None = Field(
        default=None, ge=1, description="Only the nth that matches in its dialog; 1 is the first."
    )
    every: int | None = Field(default=None, ge=1, description="Only every nth of all that match.")
    probability: float = Field(
        default=1.0, gt=0, le=1, description="With what probability it is done."
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**53,
        description="Of probability and jitter: the same messages in the same order have the "
        "same faults.",
    )
    count: int | None = Field(
        default=None, ge=1, description="After so many times it is used up. Unset: never."
    )
    drop: Yes | None = Field(default=None, description="It gets lost.")
    delay: Delay | None = Field(
        default=None, description="It goes on later: seconds, and up to jitter more."
    )
    duplicate: int | None = Field(
        default=None, ge=1, le=10, description="So many copies follow it."
    )
    reorder: float | None = Field(
        default=None,
        gt=0,
        le=60,
        description="It goes after the next one of its dialog; after so many seconds anyway.",
    )
    answer: FaultAnswer | None = Field(
        default=None, description="An incoming request gets this answer; no call hears of it."
    )
    corrupt: Literal["from-tag", "to-tag", "branch", "cseq", "content-length"] | None = Field(
        default=None, description="What becomes wrong in it."
    )
    silence: Literal["dialog", "peer"] | None = Field(
        default=None,
        description="From this message on nothing passes, either way, in its dialog, or to and "
        "from its peer (address and port).",
    )
    close: Yes | None = Field(
        default=None, description="Its TCP or TLS connection is closed, and it is lost."
    )
    sdp: SdpChange | None = Field(default=None, description="Its session description is changed.")

    @model_validator(mode="before")
    @classmethod
    def _lay_over_set(cls, data: object) -> object:
        if isinstance(data, Mapping) and isinstance(data.get("set"), str):
            _, rule = SETS.get(data["set"], ("", {}))
            given = {key: value for key, value in data.items() if value is not None}
            if any(given.get(action) is not None for action in ACTIONS):
                rule = {key: value for key, value in rule.items() if key not in ACTIONS}
            return {"name": data["set"], **rule, **given}
        return data

    @model_validator(mode="after")
    def _can_be_done(self) -> "FaultRule":
        given = [action for action in ACTIONS if getattr(self, action) is not None]
        if len(given) != 1:
            found = f"has {' and '.join(given)}" if given else "does nothing"
            raise ValueError(f"{found}; give one of {', '.join(ACTIONS)}")
        if self.answer is not None:
            if self.direction == "out" or self.status is not None:
                raise ValueError("answer: only incoming requests can be answered; match those")
            if self.method == "ACK":
                raise ValueError("answer: an ACK has no answer; match another method")
        if self.nth is not None and self.every is not None:
            raise ValueError("has nth and every; give one of them")
        return self

    @property
    def action(self) -> str:
        """Which of `ACTIONS` it is."""
        return next(action for action in ACTIONS if getattr(self, action) is not None)


ACTIONS: Final = (
    "drop", "delay", "duplicate", "reorder", "answer", "corrupt", "silence", "close", "sdp",
)  # fmt: skip

assert tuple(SETS) == get_args(SetName)
