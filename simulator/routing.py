"""Where a call goes: direct routes, the dial plan, returns from the VRU, and labels.

A `DialPlan` is made from a `Config` and never changes; another configuration makes another
plan. `DialPlan.route_call` decides for a call that arrives, `route_label` for a label that
ICM gives, `resolve_transfer` for what an operator types.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from simulator.config_values import SipTarget
from simulator.errors import CallServerError
from simulator.patterns import Entry, Pattern, PatternTable
from sip.errors import LocalError

if TYPE_CHECKING:
    from simulator.config import Config
    from simulator.config_plan import DialedNumber

__all__ = [
    "DialPlan",
    "InvalidNumber",
    "Label",
    "Lookup",
    "NotRoutable",
    "Pattern",
    "PatternTable",
    "Route",
    "check_number",
]

CallType: TypeAlias = Literal["preroute", "translation_route", "post_route"]
RouteKind: TypeAlias = Literal["direct", "script", "label", "vru_return"]

MAX_TEXT: Final = 200
_CACHE_SIZE: Final = 4096
_URI: Final = re.compile(r"sips?:", re.IGNORECASE)
_ANY_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_CLI: Final = re.compile(r"(?P<text>.*?)(?:;CLI=(?P<cli>[^;]*))?", re.IGNORECASE | re.DOTALL)
_VISUAL_SEPARATORS: Final = str.maketrans("", "", "-.()")


class NotRoutable(CallServerError, LocalError):
    """No route leads there; the text says what was looked for and what to add."""


class InvalidNumber(NotRoutable, ValueError):
    """A number, label or destination that cannot stand in SIP at all; the text says why."""


def check_number(text: object, what: str = "number") -> str:
    """`text` if it can be dialed: 1 to 200 printable characters, no blank, ``<``, ``>``, ``"``.

    Raises `InvalidNumber`, which names `what`. Line ends and other control characters are
    what header injection is made of.
    """
    if not isinstance(text, str):
        raise InvalidNumber(f"{what} must be text, not {type(text).__name__}")
    if text.isascii() and text.isalnum() and len(text) <= MAX_TEXT:
        return text
    if not text:
        raise InvalidNumber(f"{what} is empty")
    if len(text) > MAX_TEXT:
        raise InvalidNumber(f"{what} has {len(text)} characters; at most {MAX_TEXT}")
    for place, character in enumerate(text, 1):
        if not character.isprintable() or character in ' <>"\\':
            kind = "" if character.isprintable() else "control or invisible character "
            raise InvalidNumber(f"{what} has the {kind}{character!r} at place {place}; remove it")
    return text


@dataclass(frozen=True, slots=True)
class Label:
    """A label of ICM without its modifiers [CG-XFER].

    `refer` stands for the prefix ``rf`` (blind transfer by REFER), `cli` for ``;CLI=987``:
    the caller's number to show, "" for ``;CLI=null`` (blank), None to leave it.
    """

    text: str
    refer: bool = False
    cli: str | None = None

    @classmethod
    def parse(cls, text: object) -> "Label":
        """Take a label apart; `InvalidNumber` when nothing is left or it cannot be dialed."""
        checked = check_number(text, "label")
        match = _CLI.fullmatch(checked)
        assert match is not None
        bare, cli = match["text"], match["cli"]
        refer = bare.startswith("rf")
        bare = bare.removeprefix("rf")
        if not bare:
            raise InvalidNumber(f"label {checked!r} names no destination")
        return cls(bare, refer, "" if cli is not None and cli.lower() == "null" else cli)


@dataclass(frozen=True, slots=True)
class Route:
    """What is to be done with a call to `number`.

    kind         | set beside it
    -------------|-----------------------------------------------------------------
    `direct`     | `destination`: the SIP URI to call, with no ICM
    `script`     | `script`: name of the ICM script to run
    `label`      | `label` (modifiers included) and `destination`, None if it has no route
    `vru_return` | `label` (the VRU label) and `correlation_id` of the waiting call

    `pattern` is the one that matched, "" when none was asked. `ring_no_answer` is in seconds.
    """

    pattern: str
    number: str
    call_type: CallType
    application: str
    kind: RouteKind
    script: str | None = None
    label: str | None = None
    destination: str | None = None
    ring_no_answer: float = 60.0
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """A routing decision as the contract's RoutingResult tells it; None: not matched.

    `route_destination` is a SIP URI, a label without a route, or ``icm:SCRIPT``.
    """

    dialed_number: str
    matched: bool
    matched_pattern: str | None = None
    call_type: CallType | None = None
    application_name: str | None = None
    route_destination: str | None = None


class DialPlan:
    """All routing decisions of one configuration.

    `phones` are the contacts of phones that are logged in, by number: they come before
    the static routes. Raises ValueError when two patterns of a list match the same numbers.
    """

    def __init__(self, config: "Config", phones: Mapping[str, str] | None = None) -> None:
        icm = config.icm
        self._direct = PatternTable[SipTarget]()
        for route in config.direct_routes:
            self._direct.add(route.pattern, route.to)
        self._numbers: PatternTable[DialedNumber] = PatternTable()
        for number in config.dialed_numbers:
            if number.enabled:
                self._numbers.add(number.pattern, number)
        self._labels = config.route_table()
        self._extensions = frozenset(icm.agents)
        self._vru_label = icm.vru_label
        self._max_dnis_length = icm.max_dnis_length
        self._ring_no_answer = config.transfer.ring_no_answer
        self._cache: dict[str, Route] = {}
        self._phones = {} if phones is None else phones

    def forget(self) -> None:
        """A phone has logged in or out: what was decided before may not hold."""
        self._cache.clear()

    def route_call(self, number: str, calling: str = "") -> Route:
        """The route of a call to `number`; NotRoutable when nothing matches.

        Direct routes come first, then returns from the VRU, then the dial plan.
        `calling` does not decide yet.
        """
        route = self._cache.get(number)
        if route is not None:
            return route
        route = self._decide(check_number(number, "dialed number"))
        if len(self._cache) >= _CACHE_SIZE:
            self._cache.clear()
        self._cache[number] = route
        return route

    def _decide(self, number: str) -> Route:
        direct = self._direct.lookup(number)
        if direct is not None:
            return self._direct_route(direct, number)
        route = self._vru_return(number) or self._dialed(number)
        if route is None:
            raise NotRoutable(
                f"no pattern of the dial plan matches {number!r}; add a dialed number"
            )
        return route

    def _direct_route(self, entry: Entry[SipTarget], number: str) -> Route:
        return Route(
            pattern=entry.pattern.text,
            number=number,
            call_type="post_route",
            application="",
            kind="direct",
            destination=str(entry.value.with_user(number)),
            ring_no_answer=self._ring_no_answer,
        )

    def _vru_return(self, number: str) -> Route | None:
        """Longer than a DNIS, and the VRU label at its start: the rest ties it to its call.

        "Maximum Length of DNIS" alone decides in a Call Server [TN178]; here the label must
        fit too, so that long numbers can be dialed.
        """
        label = self._vru_label
        if len(number) <= max(self._max_dnis_length, len(label)) or not number.startswith(label):
            return None
        return Route(
            pattern=f"{label}>",
            number=number,
            call_type="translation_route",
            application="",
            kind="vru_return",
            label=label,
            correlation_id=number[len(label) :],
        )

    def _dialed(self, number: str) -> Route | None:
        entry = self._numbers.lookup(number)
        if entry is None:
            return None
        dialed = entry.value
        label = destination = None
        if dialed.label is not None:
            label = dialed.label.replace("{dnis}", number)
            destination = self.route_label(label)
        return Route(
            pattern=dialed.pattern,
            number=number,
            call_type=dialed.call_type,
            application=dialed.application,
            kind="script" if label is None else "label",
            script=dialed.script,
            label=label,
            destination=destination,
            ring_no_answer=dialed.ring_no_answer,
        )

    def route_label(self, label: str | Label) -> str | None:
        """The SIP URI a label leads to, by its phone or the static routes, or None [SDG-CVP].

        Modifiers are left out; a label that is a SIP URI leads to itself. `InvalidNumber`
        when it cannot be dialed at all.
        """
        bare = label.text if isinstance(label, Label) else Label.parse(label).text
        if _URI.match(bare):
            return str(_uri(bare, "label"))
        phone = self._phones.get(bare)
        if phone is not None:
            return phone
        entry = self._labels.lookup(bare)
        return None if entry is None else str(entry.value.with_user(bare))

    def resolve_transfer(self, destination: str) -> Route:
        """Where a transfer to a SIP URI, extension, label or number goes.

        Static routes come first, then direct routes and the dial plan. A label's modifiers
        are the caller's to heed (`Label.parse`); here they are left out. Raises NotRoutable
        with the reason, `InvalidNumber` when the text cannot be dialed at all.
        """
        text = check_number(destination, "destination")
        if _URI.match(text):
            return self._target(text, str(_uri(text, "destination")))
        if text[:4].lower() == "tel:":
            text = text[4:].partition(";")[0].translate(_VISUAL_SEPARATORS)
            check_number(text, "destination")
        elif _ANY_SCHEME.match(text):
            raise InvalidNumber(f"destination {text!r} is neither a number nor a sip: URI")
        label = Label.parse(text)
        uri = self.route_label(label)
        if uri is not None:
            entry = self._labels.lookup(label.text)
            return self._target(label.text, uri, "" if entry is None else entry.pattern.text)
        if label.text in self._extensions:
            raise NotRoutable(f"extension {label.text!r} has no static route; add one under routes")
        return self.route_call(label.text)

    def _target(self, number: str, uri: str, pattern: str = "") -> Route:
        return Route(
            pattern=pattern,
            number=number,
            call_type="post_route",
            application="",
            kind="label" if pattern else "direct",
            label=number if pattern else None,
            destination=uri,
            ring_no_answer=self._ring_no_answer,
        )

    def lookup(self, number: str, calling: str = "") -> Lookup:
        """The decision `route_call` would take, told; `InvalidNumber` for impossible text."""
        check_number(number, "dialedNumber")
        if calling:
            check_number(calling, "callingNumber")
        try:
            route = self.route_call(number, calling)
        except InvalidNumber:
            raise
        except NotRoutable:
            return Lookup(number, matched=False)
        return Lookup(
            dialed_number=number,
            matched=True,
            matched_pattern=route.pattern,
            call_type=route.call_type,
            application_name=route.application,
            route_destination=route.destination
            or (f"icm:{route.script}" if route.script else route.label),
        )

    def explain(self, number: str) -> list[tuple[str, str]]:
        """Every pattern that matches `number`, the best first, with why it ranks there."""
        check_number(number, "dialed number")
        found = [(entry.pattern.text, "direct route") for entry in self._direct.explain(number)]
        if self._vru_return(number) is not None:
            found.append((f"{self._vru_label}>", "return from the VRU"))
        found += [(e.pattern.text, e.reason) for e in self._numbers.explain(number)]
        return found


def _uri(text: str, what: str) -> SipTarget:
    try:
        return SipTarget.parse(text)
    except ValueError as error:
        raise InvalidNumber(f"{what}: {error}") from None
