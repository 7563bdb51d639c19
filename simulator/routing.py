"""Where a call goes: direct routes, the dial plan, returns from the VRU, and labels.

A `DialPlan` is made from a `Config` and never changes; another configuration makes another
plan. `DialPlan.arrive` and `route_call` decide for a call that arrives, `route_label` for a
label that ICM gives, `resolve_transfer` for what an operator types.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from simulator.config_values import SipTarget
from simulator.labels import (
    Destination,
    InvalidNumber,
    Label,
    LabelRoutes,
    NotRoutable,
    check_number,
    no_route,
    read_uri,
)
from simulator.origin import NO_ORIGIN, CallOrigin, origin_of
from simulator.patterns import Entry, Pattern, PatternTable
from simulator.views import CallType
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

RouteKind: TypeAlias = Literal["direct", "script", "label", "vru_return"]

_CACHE_SIZE: Final = 4096
_URI: Final = re.compile(r"sips?:", re.IGNORECASE)
_ANY_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_VISUAL_SEPARATORS: Final = str.maketrans("", "", "-.()")


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

    `vru_label` is that of `icm`.
    `phones` are the contacts of phones that are logged in, by number: they come before
    the static routes. Raises ValueError when two patterns of a list match the same numbers.
    """

    def __init__(self, config: "Config", phones: Mapping[str, str] | None = None) -> None:
        icm = config.icm
        self._direct = PatternTable[SipTarget]()
        for route in config.direct_routes:
            self._direct.add(route.pattern, route.to)
        self._numbers = config.number_table()
        self._labels = LabelRoutes(config, {} if phones is None else phones)
        self._section = section = config.dial_plan
        location = section.location
        self._sites = [one.id for one in location.sites] if location.insert != "off" else []
        self._site_in_front = location.insert == "front"
        self._simple = not (
            section.significant_digits or location.sites or section.send_to_originator
        )
        self._extensions = frozenset(icm.agents)
        self.vru_label = icm.vru_label
        self._max_dnis_length = icm.max_dnis_length
        self._ring_no_answer = config.transfer.ring_no_answer
        self._cache: dict[str, Route] = {}

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
            return f"{site}{self.vru_label}{correlation_id}"
        return f"{self.vru_label}{site}{correlation_id}"

    def vru_numbers(self, correlation_id: str) -> list[str]:
        """The numbers that `vru_number` makes of an id, without a site and with each."""
        origins = [NO_ORIGIN, *(replace(NO_ORIGIN, site=site) for site in self._sites)]
        return [self.vru_number(correlation_id, origin) for origin in origins]

    def _vru_return(self, number: str) -> Route | None:
        """Longer than a DNIS, and the VRU label at its start: the rest ties it to its call.

        "Maximum Length of DNIS" alone decides in a Call Server [TN178]; here the label must
        fit too, so that long numbers can be dialed. A site id is no part of the rest.
        """
        label = self.vru_label
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
        found = self._labels.find(label, origin)
        return None if found is None else found.uri

    def find(self, label: str | Label, origin: CallOrigin = NO_ORIGIN) -> Destination | None:
        """Where a label of a call from `origin` leads, and by what; see `LabelRoutes.find`."""
        return self._labels.find(label, origin)

    def resolve_transfer(self, destination: str, origin: CallOrigin = NO_ORIGIN) -> Route:
        """Where a transfer of a call from `origin` to a URI, extension, label or number goes.

        Static routes come first, then direct routes and the dial plan. A label's modifiers
        are the caller's to heed (`Label.parse`); here they are left out. Raises NotRoutable
        with the reason, `InvalidNumber` when the text cannot be dialed at all.
        """
        text = check_number(destination, "destination")
        if _URI.match(text):
            return self._target(text, str(read_uri(text, "destination")))
        if text[:4].lower() == "tel:":
            text = text[4:].partition(";")[0].translate(_VISUAL_SEPARATORS)
            check_number(text, "destination")
        elif _ANY_SCHEME.match(text):
            raise InvalidNumber(f"destination {text!r} is neither a number nor a sip: URI")
        label = Label.parse(text)
        found = self._labels.find(label, origin)
        if found is not None and found.how == "proxy" and self._is_ours(label.text):
            found = None
        if found is not None:
            return self._target(label.text, found.uri, found.pattern)
        if label.text in self._extensions:
            raise NotRoutable(f"extension {label.text!r} has no static route; add one under routes")
        return self.route_call(label.text)

    def _is_ours(self, number: str) -> bool:
        """Whether the plan has something for a number that is no label here."""
        if self._labels.routes.lookup(number) is not None or number in self._extensions:
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
        """Every pattern that matches `number`, the best first, with why it ranks there.

        Where that gives a label, the steps that the label takes follow.
        """
        check_number(number, "dialed number")
        count = self._section.significant_digits
        digits = number[:count] if len(number) > count else ""
        number = number[len(digits) :]
        found = [(entry.pattern.text, "direct route") for entry in self._direct.explain(number)]
        vru = self._vru_return(number)
        if vru is not None:
            found.append((vru.pattern, "return from the VRU"))
        found += [(e.pattern.text, e.reason) for e in self._numbers.explain(number)]
        with suppress(NotRoutable):
            label = self.route_call(number).label
            if label is not None and vru is None:
                found += self._labels.steps(Label.parse(label).text, digits)
        return found
