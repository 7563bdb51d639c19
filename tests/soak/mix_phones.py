"""The phones of the mix, and what is noted of each of their calls for the verdict."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sip.errors import SipError
from sip.events import (
    Answered,
    Cancelled,
    Event,
    Hungup,
    Invited,
    Lost,
    Referred,
    Refused,
    Reinvited,
    Requested,
    Responded,
)
from sip.message import Request, parse
from sip.usage.refer import SentRefer
from tests.simulator.flows.phones import SILENT, Line, Media, Phone
from tests.support.network import Packet
from tests.support.rules import CheckedLog

if TYPE_CHECKING:
    from tests.soak.mix import Mix

_PORT: Final = re.compile(rb"^m=audio (\d+)", re.MULTILINE)
_TONE: Final = b"Duration=100\r\n"  # those of the call server; phones press longer


@dataclass(slots=True)
class Parting:
    """When each side of a dialog sent BYE or CANCEL first, 0.0 never; `reason` is the server's."""

    phone_bye: float = 0.0
    phone_cancel: float = 0.0
    server_bye: float = 0.0
    server_cancel: float = 0.0
    reason: str = ""


class Farewells(CheckedLog):
    """Notes who sent BYE and CANCEL, for each dialog: what events cannot tell where two cross."""

    def __init__(self, phones: set[str]) -> None:
        super().__init__(keep=False)
        self.phones = phones
        self.partings: dict[str, Parting] = {}  # by leg

    def append(self, packet: Packet) -> None:
        """A packet was sent."""
        super().append(packet)
        if not packet.data.startswith((b"BYE ", b"CANCEL ")):
            return
        request = parse(packet.data)
        assert isinstance(request, Request)
        if request.method == "CANCEL" and request.to_tag is not None:
            return  # of a re-INVITE
        parting = self.partings.setdefault(request.call_id.partition("@")[0], Parting())
        side = "phone" if packet.source in self.phones else "server"
        name = f"{side}_{request.method.lower()}"
        if not getattr(parting, name):
            setattr(parting, name, packet.time)
            if side == "server":
                parting.reason = request.get("reason") or ""


@dataclass(slots=True)
class Partner:
    """From when on a phone's media went to another phone; no leg: to the call server itself."""

    at: float
    leg_id: str
    number: str


@dataclass(slots=True)
class Referral:
    """A REFER that came; when it was accepted, and what was said of it last, when."""

    at: float
    number: str
    accepted: float = 0.0
    told: float = 0.0
    status: int = 0


@dataclass(eq=False)
class Seat:
    """A phone in one dialog: `number` is what was dialled, `refused` what it said to that."""

    line: Line
    number: str
    refused: int = 0
    left: bool = False  # it has hung up or given up
    crossed: bool = False  # its CANCEL crossed the 200
    partners: list[Partner] = field(default_factory=list)
    referrals: list[Referral] = field(default_factory=list)
    digits: list[float] = field(default_factory=list)  # when the call server sent one
    run: int = 0  # the application that it has been asked to run
    refer: SentRefer | None = None  # which is to move the other party of this call

    @property
    def leg_id(self) -> str:
        """As records have it."""
        return self.line.session.dialog.call_id.partition("@")[0]

    def heard(self, event: Event | Responded, now: float, by_port: Mapping[int, "Seat"]) -> None:
        """An event of this dialog, which the phone has reacted to."""
        manner = self.line.manner
        if isinstance(event, Answered):
            self._agreed(event.response.sdp or self.line.received, now, by_port)
        elif isinstance(event, Refused):
            self.crossed = event.response is not None and event.response.status < 300
        elif isinstance(event, Reinvited) and manner.reinvite == 200:
            self._agreed(event.request.sdp, now, by_port)
        elif isinstance(event, Requested):
            if event.request.method == "INFO" and event.request.body.endswith(_TONE):
                self.digits.append(now)
            elif event.request.method == "UPDATE" and manner.update == 200:
                self._agreed(event.request.sdp, now, by_port)
        elif isinstance(event, Referred):
            self.referrals.append(Referral(now, user_of(event.refer.target.uri)))

    def _agreed(self, body: bytes, now: float, by_port: Mapping[int, "Seat"]) -> None:
        found = _PORT.search(body)
        if found is None:
            return
        seat = by_port.get(int(found[1]))
        leg_id, number = (seat.leg_id, seat.number) if seat is not None else ("", "")
        if not self.partners or self.partners[-1].leg_id != leg_id:
            self.partners.append(Partner(now, leg_id, number))


def user_of(uri: str) -> str:
    """The number in a SIP URI."""
    return uri.removeprefix("sip:").partition("@")[0]


class MixPhone(Phone):
    """A phone that forgets its lines: the mix keeps them, by their call."""

    mix: "Mix"

    def new_media(self) -> Media:
        """Ports tell whose media a description is of."""
        return Media(self.host, next(self.mix.ports))

    def _handle(self, event: Event | Responded, now: float) -> None:
        if isinstance(event, Invited):
            number = user_of(event.request.uri)
            self.manners = {number: self.mix.manner(self, number)}
        super()._handle(event, now)
        taken, self.lines = self.lines, []
        for line in taken:
            self.mix.took(self, line)
        user = event.session.user if event.session is not None else None
        seat = self.mix.seats.get(user) if isinstance(user, Line) else None
        if seat is not None:
            seat.heard(event, now, self.mix.by_port)
            self.mix.heard(seat, event)


class Switch(MixPhone):
    """A CUCM on the way to the VRU: it calls the call server back, and joins both."""

    def __init__(self, mix: "Mix") -> None:
        self.mix = mix
        self.pairs: dict[Line, Line] = {}
        super().__init__(mix.network, "switch", SILENT)

    def call_back(self, came: Line, number: str) -> None:
        """Call the number that was called, for the one who called it."""
        back = self.mix.place(self.mix.new_guid(), self, number)
        self.pairs |= {came: back, back: came}

    def _handle(self, event: Event | Responded, now: float) -> None:
        super()._handle(event, now)
        line = event.session.user if event.session is not None else None
        other = self.pairs.get(line) if isinstance(line, Line) else None
        if other is None or not isinstance(line, Line):
            return
        if isinstance(event, Answered):
            with suppress(SipError):  # given up meanwhile
                other.answer(line.received)
        elif isinstance(event, Refused | Cancelled | Hungup | Lost):
            del self.pairs[line], self.pairs[other]
            if isinstance(event, Refused):
                self.mix.refuse(other, event.status if event.status >= 400 else 503)
            else:
                self.mix.leave(other)
