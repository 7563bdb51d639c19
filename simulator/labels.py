"""Labels of ICM: what stands in them, and where they lead.

A label goes, in this order [SDG-CVP]: back to the caller's host where it is to be sent to
the originator; to the phone that is logged in under it; to the outbound proxy if there is
one; where a static route leads; to the server group of the dialed number. Else nowhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from simulator.config_values import SipTarget
from simulator.errors import CallServerError
from simulator.origin import NO_ORIGIN, CallOrigin
from simulator.patterns import PatternTable
from sip.errors import LocalError

if TYPE_CHECKING:
    from simulator.config import Config

MAX_TEXT: Final = 200
_URI: Final = re.compile(r"sips?:", re.IGNORECASE)
_CLI: Final = re.compile(r"(?P<text>.*?)(?:;CLI=(?P<cli>[^;]*))?", re.IGNORECASE | re.DOTALL)


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
    shown = label if label.isprintable() else ascii(label)[1:-1]  # an application may make it
    return (
        f"B2BUA is not configured with a route for making calls to [{shown}]. "
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


class LabelRoutes:
    """Where the labels of one configuration lead; `phones` as in `DialPlan`."""

    def __init__(self, config: "Config", phones: Mapping[str, str]) -> None:
        self.routes = config.route_table()
        self.to_originator = PatternTable[None]()
        for pattern in config.dial_plan.send_to_originator:
            self.to_originator.add(pattern, None)
        self._proxy = config.sip.outbound_proxy
        self._phones = phones

    def find(self, label: str | Label, origin: CallOrigin = NO_ORIGIN) -> Destination | None:
        """Where a label of a call from `origin` leads, or None [SDG-CVP].

        Modifiers are left out; a label that is a SIP URI leads to itself. `InvalidNumber`
        when it cannot be dialed at all.
        """
        bare = label.text if isinstance(label, Label) else Label.parse(label).text
        if _URI.match(bare):
            return Destination(str(read_uri(bare, "label")), "itself")
        number = f"{origin.digits}{bare}" if origin.digits else bare
        if origin.host is not None:
            back = self.to_originator.lookup(number)
            if back is not None:
                uri = str(origin.host.with_user(number))
                return Destination(uri, "originator", back.pattern.text)
        entry = self.routes.lookup(number)
        patience = 0.0 if entry is None else entry.value.ring_no_answer or 0.0
        ringtone = "" if entry is None else entry.value.ringtone
        file = "" if entry is None else entry.value.ringtone_file
        phone = self._phones.get(bare)
        if phone is not None:
            return Destination(phone, "phone", "", patience, ringtone, file)
        if self._proxy is not None:
            uri = str(self._proxy.with_user(number))
            return Destination(uri, "proxy", "", patience, ringtone, file)
        if entry is not None:
            uri = str(entry.value.to.with_user(number))
            return Destination(uri, "route", entry.pattern.text, patience, ringtone, file)
        if origin.server_group:
            target = SipTarget("sip", "", origin.server_group, None, "")
            return Destination(str(target.with_user(number)), "group")
        return None

    def steps(self, label: str, digits: str) -> list[tuple[str, str]]:
        """What is asked for a label, in that order, until something takes it."""
        text = f"{digits}{label}"
        steps: list[tuple[str, str]] = []
        back = self.to_originator.lookup(text)
        if back is not None:
            steps.append((back.pattern.text, f"label {text}: back to the caller's IOS gateway"))
        found = self.find(label, CallOrigin(digits))
        if found is not None:
            how = {"proxy": "outbound proxy", "itself": "a SIP URI"}.get(found.how, found.how)
            steps.append((found.pattern or "-", f"label {text}: {how} {found.uri}"))
        elif not steps:
            steps.append(("-", f"label {text}: no route; add one under routes"))
        return steps


def read_uri(text: str, what: str) -> SipTarget:
    """A SIP URI in text; InvalidNumber names `what`."""
    try:
        return SipTarget.parse(text)
    except ValueError as error:
        raise InvalidNumber(f"{what} {text!r}: {error}") from None
