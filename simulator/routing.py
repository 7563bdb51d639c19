"""Where a call goes: direct routes, the dial plan, returns from the VRU, and labels.

A `DialPlan` is made from a `Config` and never changes; another configuration makes another
plan. `DialPlan.arrive` and `route_call` decide for a call that arrives, `route_label` for a
label that ICM gives, `resolve_transfer` for what an operator types.

A label goes, in this order [SDG-CVP]: back to the caller's host where it is to be sent to
the originator; to the phone that is logged in under it; to the outbound proxy if there is
one; where a static route leads; to the server group of the dialed number. Else nowhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from simulator.config_values import SipTarget
from simulator.errors import CallServerError
from simulator.origin import NO_ORIGIN, CallOrigin, origin_of
from simulator.patterns import Entry, Pattern, PatternTable
from sip.errors import LocalError
from sip.message import Request

if TYPE_CHECKING:
    from simulator.config import Config

__all__ = [
    "Destination",
    "DialPlan",
    "InvalidNumber",
    "Label",
    "Lookup",
    "NotRoutable",
    "Pattern",
    "PatternTable",
    "Route",
    "check_number",
    "no_route",
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


def no_route(label: str) -> str:
    """What the log says of a label that leads nowhere, in the words of a Call Server."""
    return (
        f"B2BUA is not configured with a route for making calls to [{label}]. "
        "Please add this route. [id:5010]"
    )


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a label leads: a SIP URI, and by what.

    `pattern` is that of the route or of the send-to-originator list, "" where none was
    asked; `ring_no_answer` is in seconds, 0 where the pattern does not say. `ringtone` is the
    number of another ringtone service than usual, `ringtone_file` what it is to play.
    """

    uri: str
    how: Literal["itself", "originator", "phone", "proxy", "route", "group"]
    pattern: str = ""
    ring_no_answer: float = 0.0
    ringtone: str = ""
    ringtone_file: str = ""


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
    `server_group` takes labels without a route; `survey` is the number that the caller goes
    to after the agent; `survival` the application while ICM cannot be asked.
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
    server_group: str = ""
    survey: str = ""
    survival: str = ""


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
        self._numbers = config.number_table()
        self._labels = config.route_table()
        self._section = section = config.dial_plan
        self._to_originator = PatternTable[None]()
        for pattern in section.send_to_originator:
            self._to_originator.add(pattern, None)
        location = section.location
        self._sites = [one.id for one in location.sites] if location.insert != "off" else []
        self._site_in_front = location.insert == "front"
        self._proxy = config.sip.outbound_proxy
        self._simple = not (
            section.significant_digits or location.sites or len(self._to_originator)
        )
        self._extensions = frozenset(icm.agents)
        self._vru_label = icm.vru_label
        self._max_dnis_length = icm.max_dnis_length
        self._ring_no_answer = config.transfer.ring_no_answer
        self._cache: dict[str, Route] = {}
        self._phones = {} if phones is None else phones

    def forget(self) -> None:
        """A phone has logged in or out: what was decided before may not hold."""
        self._cache.clear()

    def arrive(self, request: Request, called: str, address: str) -> CallOrigin:
        """The origin of a call to `called` whose INVITE came from the IP `address`."""
        if self._simple:
            return NO_ORIGIN
        return origin_of(self._section, request, called, address)

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

    def vru_number(self, correlation_id: str, origin: CallOrigin = NO_ORIGIN) -> str:
        """The number to the VRU: its label, the caller's site id, the correlation id [CG-SYS]."""
        site = origin.site if self._sites else ""
        if self._site_in_front:
            return f"{site}{self._vru_label}{correlation_id}"
        return f"{self._vru_label}{site}{correlation_id}"

    def _vru_return(self, number: str) -> Route | None:
        """Longer than a DNIS, and the VRU label at its start: the rest ties it to its call.

        "Maximum Length of DNIS" alone decides in a Call Server [TN178]; here the label must
        fit too, so that long numbers can be dialed. A site id is no part of the rest.
        """
        label = self._vru_label
        start = label
        if self._site_in_front:
            fitting = [site for site in self._sites if number.startswith(f"{site}{label}")]
            start = f"{fitting[0]}{label}" if fitting else label
        if len(number) <= max(self._max_dnis_length, len(start)) or not number.startswith(start):
            return None
        rest = number[len(start) :]
        if not self._site_in_front:
            site = next((one for one in self._sites if rest.startswith(one) and rest != one), "")
            rest = rest[len(site) :]
        return Route(
            pattern=f"{start}>",
            number=number,
            call_type="translation_route",
            application="",
            kind="vru_return",
            label=label,
            correlation_id=rest,
        )

    def _dialed(self, number: str) -> Route | None:
        entry = self._numbers.lookup(number)
        if entry is None:
            return None
        dialed = entry.value
        group = dialed.server_group or ""
        label = destination = None
        if dialed.label is not None:
            label = dialed.label.replace("{dnis}", number)
            destination = self.route_label(label, CallOrigin(server_group=group))
        elif dialed.script is None:
            label = destination = str(SipTarget("sip", "", group, None, "").with_user(number))
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
            server_group=group,
            survey=dialed.survey,
            survival=dialed.survival_application,
        )

    def origin_for(self, origin: CallOrigin, route: Route) -> CallOrigin:
        """`origin`, with what the dialed number says of where labels go."""
        return replace(origin, server_group=route.server_group) if route.server_group else origin

    def route_label(self, label: str | Label, origin: CallOrigin = NO_ORIGIN) -> str | None:
        """The SIP URI a label leads to, or None; see `find`."""
        found = self.find(label, origin)
        return None if found is None else found.uri

    def find(self, label: str | Label, origin: CallOrigin = NO_ORIGIN) -> Destination | None:
        """Where a label of a call from `origin` leads, or None [SDG-CVP].

        Modifiers are left out; a label that is a SIP URI leads to itself. `InvalidNumber`
        when it cannot be dialed at all.
        """
        bare = label.text if isinstance(label, Label) else Label.parse(label).text
        if _URI.match(bare):
            return Destination(str(_uri(bare, "label")), "itself")
        number = f"{origin.digits}{bare}" if origin.digits else bare
        if origin.host is not None:
            back = self._to_originator.lookup(number)
            if back is not None:
                uri = str(origin.host.with_user(number))
                return Destination(uri, "originator", back.pattern.text)
        entry = self._labels.lookup(number)
        patience = 0.0 if entry is None else entry.value.ring_no_answer or 0.0
        phone = self._phones.get(bare)
        if phone is not None:
            return Destination(phone, "phone", "", patience)
        if self._proxy is not None:
            return Destination(str(self._proxy.with_user(number)), "proxy", "", patience)
        if entry is not None:
            uri = str(entry.value.to.with_user(number))
            route = entry.value
            name, ringtone, file = entry.pattern.text, route.ringtone, route.ringtone_file
            return Destination(uri, "route", name, patience, ringtone, file)
        if origin.server_group:
            target = SipTarget("sip", "", origin.server_group, None, "")
            return Destination(str(target.with_user(number)), "group")
        return None

    def resolve_transfer(self, destination: str, origin: CallOrigin = NO_ORIGIN) -> Route:
        """Where a transfer of a call from `origin` to a URI, extension, label or number goes.

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
        found = self.find(label, origin)
        if found is not None and found.how == "proxy" and self._is_ours(label.text):
            found = None
        if found is not None:
            return self._target(label.text, found.uri, found.pattern)
        if label.text in self._extensions:
            raise NotRoutable(f"extension {label.text!r} has no static route; add one under routes")
        return self.route_call(label.text)

    def _is_ours(self, number: str) -> bool:
        """Whether the plan has something for a number that is no label here."""
        if self._labels.lookup(number) is not None or number in self._extensions:
            return False
        return (self._direct.lookup(number) or self._numbers.lookup(number)) is not None

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
        count = self._section.significant_digits
        digits = number[:count] if len(number) > count else ""
        try:
            route = self.route_call(number[len(digits) :], calling)
            destination = route.destination
            if route.label is not None and digits:
                origin = CallOrigin(digits, server_group=route.server_group)
                destination = self.route_label(route.label, origin)
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
            route_destination=destination
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
